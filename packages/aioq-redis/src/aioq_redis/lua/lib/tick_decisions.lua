-- tick_decisions: decide on claims of ticks, and write what was decided. `at` has the keys of the queue, and:
--   ready    the place in KEYS of ready list 0
--   entries  the place in KEYS before the first `cron:<name>`; the keys `ticks:<name>` follow them
--   count    the number of entries
--   index    the places of `ended_indexes`
--   allowed  ms that a tick may be early
--   remember ms to remember an entry
-- Reads one claim from ARGV, and the stored fields of its entry.
local function read_claim(at, n, place)
  local claim = { cron = KEYS[at.entries + n], ticks = KEYS[at.entries + at.count + n], first = place + 8 }
  claim.name, claim.fingerprint, claim.worker, claim.request, claim.overlap = unpack(ARGV, place, place + 4)
  claim.length, claim.plan = tonumber(ARGV[place + 5]), ARGV[place + 6]
  claim.last = place + 7 + tonumber(ARGV[place + 7])
  claim.records = tonumber(ARGV[claim.last + 1])
  claim.stop = claim.last + 1 + claim.records
  claim.latest = ARGV[claim.last]
  local known = redis.call('HMGET', claim.cron, 'fingerprint', 'retired', 'paused', 'last_tick', 'last_tick_by', 'claim',
    'earlier_claims', 'run', 'enabled', 'fired', 'forgotten', 'success')
  claim.registered, claim.retired, claim.paused, claim.last_tick, claim.last_tick_by = unpack(known, 1, 5)
  claim.last_tick = stored_tick(claim.last_tick) and claim.last_tick
  claim.known, claim.earlier, claim.run = parse_tick_claim(known[6]), known[7] or '', parse_tick_run(known[8])
  claim.disabled, claim.fired, claim.success = known[9] == '-', known[10], known[12]
  claim.history = history_of(claim.cron, claim.ticks, known[11])
  return claim
end

-- A job that waits for an earlier one may be claimed: its worker then releases it, and has not started it.
local function was_started(at, run, name)
  local line = parse_run(redis.call('HGET', at.runs, job_of_tick(name, run.tick)))
  return line and (line.state == RUN_CLAIM or line.attempt > 0)
    and (run.after == '' or redis.call('HEXISTS', at.jobs, job_of_tick(name, run.after)) == 0)
end

local function outcome_of(at, claim)
  local run, overlap = claim.run, claim.overlap
  if claim.paused then
    return 'paused'
  end
  if (overlap ~= 'skip' and overlap ~= 'queue_one') or not goes_on(run, claim.name, at.jobs) then
    return 'won'
  end
  claim.was_busy = true
  if overlap == 'skip' then
    return 'busy'
  end
  if claim.plan ~= '' then
    return (run.kind == 'w' or was_started(at, run, claim.name)) and 'won' or 'busy'
  end
  return 'queued'
end

local function refusal(at, claim)
  if claim.registered and (claim.retired or claim.disabled or claim.registered ~= claim.fingerprint) then
    return 'superseded'
  end
  if tonumber(claim.latest) > now + at.allowed then
    return 'early'
  end
  return not claim.again and claim.last_tick and tonumber(claim.latest) <= tonumber(claim.last_tick) and 'lost'
end

-- Decides on a claim by the rules of `aioq.protocols.TickLedger.claim_tick`. `store_claim` writes the result later:
-- all claims are decided before the first write.
local function decide(at, claim)
  local known = repeated_claim(claim)
  if known and known.outcome ~= 'queued' then
    return { known.outcome, known.before, known.previous }
  end
  claim.again = known ~= nil
  local refused = refusal(at, claim)
  if refused then
    return { refused }
  end
  local last_tick = claim.last_tick or ''
  claim.before = known and known.before or last_tick
  claim.previous = known and known.previous or (claim.last_tick_by == claim.fingerprint and last_tick or '')
  claim.outcome, claim.spent, claim.records_of = outcome_of(at, claim), {}, {}
  for n = claim.first, claim.last do
    if claim.before == '' or tonumber(ARGV[n]) > tonumber(claim.before) then
      claim.spent[#claim.spent + 1] = ARGV[n]
      claim.records_of[ARGV[n]] = ARGV[claim.last + 2 + (claim.records > 1 and n - claim.first or 0)]
    end
  end
  return { claim.outcome, claim.before, claim.previous }
end

local MOST_RESULT = 128

-- Fields for the header of a job's record: the latest success of the entry, if its result is short, so that the worker
-- does not ask for it before it runs the job. Nothing if it is unknown or not before the tick.
local function success_fields(claim)
  local success, tick = claim.success or '0', claim.spent[1]
  if not tick or not stored_number(success) or tonumber(success) >= tonumber(tick) then
    return nil
  end
  local length = redis.call('HSTRLEN', claim.cron, 'result')
  if length > MOST_RESULT then
    return nil
  end
  local result = length > 0 and redis.call('HGET', claim.cron, 'result')
  local bytes = result and string.gsub(result, '.', function(byte)
    return string.format('%02x', string.byte(byte))
  end)
  return string.format('"s":%.0f', success) .. (bytes and ',"o":"' .. bytes .. '"' or '')
end

local function with_fields(record, fields)
  local head, payload = string.match(record, '^([^\n]*)(\n.*)$')
  if string.sub(head, -1) == '}' then
    return string.sub(head, 1, -2) .. ',' .. fields .. '}' .. payload
  end
  return head .. '{' .. fields .. '}' .. payload
end

local function enqueue(at, claims)
  local ids, owners, given = {}, {}, {}
  for _, claim in ipairs(claims) do
    if claim.outcome == 'won' and claim.plan ~= '' then
      local fields = success_fields(claim)
      for _, tick in ipairs(claim.spent) do
        ids[#ids + 1], owners[#owners + 1] = job_of_tick(claim.name, tick), claim
        local record = claim.records_of[tick]
        given[#ids] = fields and with_fields(record, fields) or record
      end
    end
  end
  if #ids == 0 then
    return
  end
  local stored = fetch('HMGET', at.jobs, ids)
  local remembered = redis.call('EXISTS', at.ended) == 1 and fetch('HMGET', at.ended, ids) or {}
  local fresh, plans, records, outdated = {}, {}, {}, {}
  for n, id in ipairs(ids) do
    local plan, record = owners[n].plan, given[n]
    local answer, index = id_status(id, record, stored[n], remembered[n], at.index)
    if answer == 1 then
      fresh[#fresh + 1], outdated[id] = id, index
      plans[#fresh], records[#fresh] = plan, record
    end
  end
  if #fresh > 0 then
    store(at, fresh, plans, records, outdated)
  end
end

local function record_skipped(claim, moments, reason)
  for _, tick in ipairs(moments) do
    note_tick(claim.history, tick, '', 's1 - -\n' .. reason .. '\n\n\n')
  end
end

local function record_fired(claim)
  local owner, rest = claim.worker, '\n\n'
  if claim.plan ~= '' then
    owner, rest = '', claim.worker .. '\n=\n'
  end
  for _, tick in ipairs(claim.spent) do
    note_tick(claim.history, tick, owner, string.format('f1 %.0f -\n\n', now - tick) .. rest)
  end
end

local function record_ticks(claim)
  local superseded = not claim.again and claim.known
  if superseded and superseded.outcome == 'queued' then
    record_skipped(claim, waiting_ticks(superseded), 'overlap')
  end
  if claim.outcome == 'won' then
    record_fired(claim)
  elseif claim.outcome ~= 'queued' then
    record_skipped(claim, claim.spent, claim.outcome == 'paused' and 'paused' or 'overlap')
  end
end

-- The count of fired ticks goes with the other fields: it changes with each claim that is won.
local function add_fired(claim, fields)
  local counts = claim.history.counts
  if (counts.fired or 0) ~= 0 then
    fields[#fields + 1] = 'fired'
    fields[#fields + 1] = string.format('%.0f', (stored_number(claim.fired) or 0) + counts.fired)
    counts.fired = 0
  end
end

-- Entries are remembered anew in each PARTS-th part of the time, and not with each claim.
local PARTS = 40

local function remember_entry(at, claim)
  local part, latest = tonumber(at.remember) / PARTS, claim.known and claim.known.moment or 0
  if math.floor(latest / part) ~= math.floor(now / part) then
    redis.call('PEXPIRE', claim.cron, at.remember)
    redis.call('PEXPIRE', claim.ticks, at.remember)
  elseif claim.history.is_new then
    redis.call('PEXPIRE', claim.ticks, at.remember)
  end
end

-- The tick of the run whose job the job of this claim has to wait for, or nothing.
local function waited_for(at, claim)
  local run = claim.overlap == 'queue_one' and claim.run
  return run and run.kind == 'j' and claim.was_busy and run.tick or ''
end

-- Write what was decided on a claim; without an outcome, only the counts of its history.
local function store_claim(at, claim)
  local fields = {}
  if claim.outcome then
    fields = { 'claim', tick_claim_line(claim) }
    if not claim.again then
      spend(claim, fields)
    end
  end
  if claim.outcome == 'won' then
    fields[#fields + 1] = 'run'
    local kind = claim.plan ~= '' and 'j' .. waited_for(at, claim) or 'w'
    fields[#fields + 1] = tick_run_line(claim.latest, now + claim.length, kind, claim.worker)
  end
  add_fired(claim, fields)
  if #fields > 0 then
    redis.call('HSET', claim.cron, unpack(fields))
  end
  write_counts(claim.history)
  remember_entry(at, claim)
end
