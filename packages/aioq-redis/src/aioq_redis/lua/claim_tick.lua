-- claim_tick: decide who fires ticks of an entry, and enqueue them if they are to be jobs.
--
-- Needs    clock batches scores due ended wakes runs known store ring tick_runs
-- KEYS     cron:<name> ticks:<name> jobs runs ended gone due wake completed failed cancelled dead ready:0-9
-- ARGV     1 name   2 fingerprint of the schedule   3 worker id   4 request id   5 overlap
--          6 ms that a run is taken to go on   7 ms that a tick may be early   8 ms to remember the entry
--          9 plan of the job, '' for none   10 record of the job; then the ticks, ms, ascending
-- Returns  the outcome, as `aioq.ticks.TickOutcome` has it; the server's time in ms; and when ticks were
--          spent the mark before, or '', and the same or '' if it was another fingerprint's
local cron, ticks, jobs, runs, ended, gone, due, wake, completed, failed, cancelled, dead = unpack(KEYS)
local READY = 13
local INDEX = { c = completed, f = failed, x = cancelled, d = dead }
local name, fingerprint, worker, request, overlap = unpack(ARGV, 1, 5)
local length, allowed, remember = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local plan, record = ARGV[9], ARGV[10]
local FIRST_TICK = 11
local latest = ARGV[#ARGV]
local stamp = string.format('%.0f', now)

local known = redis.call('HMGET', cron, 'fingerprint', 'retired', 'paused', 'mark', 'marked_by', 'bid', 'run')
local registered, retired, paused, mark, marked_by = unpack(known, 1, 5)
local run = parse_tick_run(known[7])

-- The latest claim that spent ticks: <outcome> <mark before> <previous> <request>\n<ticks, while it waits>
local function parse_bid(text)
  local outcome, before, previous, by, waiting = string.match(text or '', '^(%l+) (%d*) (%d*) ([^\n]*)\n(.*)$')
  return outcome and { outcome = outcome, before = before, previous = previous, request = by, waiting = waiting }
end

local bid = parse_bid(known[6])
local again = bid and bid.request == request
if again and bid.outcome ~= 'queued' then
  return { bid.outcome, stamp, bid.before, bid.previous }
end
if registered and (retired or registered ~= fingerprint) then
  return { 'superseded', stamp }
end
if tonumber(latest) > now + allowed then
  return { 'early', stamp }
end
if not again and mark and tonumber(latest) <= tonumber(mark) then
  return { 'lost', stamp }
end

local function was_started(job)
  local line = parse_run(redis.call('HGET', runs, job))
  return line and (line.state == 'r' or line.attempt > 0)
end

local function decide()
  if paused then
    return 'paused'
  end
  if (overlap ~= 'skip' and overlap ~= 'queue_one') or not goes_on(run, name, jobs) then
    return 'won'
  end
  if overlap == 'skip' then
    return 'busy'
  end
  if plan ~= '' then
    return (run.kind == 'w' or was_started(job_of_tick(name, run.tick))) and 'won' or 'busy'
  end
  return 'queued'
end

local before = again and bid.before or mark or ''
local previous = again and bid.previous or mark and marked_by == fingerprint and mark or ''
local outcome = decide()
local spent, ids = {}, {}
for n = FIRST_TICK, #ARGV do
  if before == '' or tonumber(ARGV[n]) > tonumber(before) then
    spent[#spent + 1], ids[#ids + 1] = ARGV[n], job_of_tick(name, ARGV[n])
  end
end

local function enqueue()
  local stored = fetch('HMGET', jobs, ids)
  local remembered = redis.call('EXISTS', ended) == 1 and fetch('HMGET', ended, ids) or {}
  local fresh, plans, records, outdated = {}, {}, {}, {}
  for n, id in ipairs(ids) do
    local answer, index = verdict(id, record, stored[n], remembered[n], INDEX)
    if answer == 1 then
      fresh[#fresh + 1], outdated[id] = id, index
      plans[#fresh], records[#fresh] = plan, record
    end
  end
  if #fresh > 0 then
    local at = { jobs = jobs, ended = ended, gone = gone, due = due, wake = wake, ready = READY }
    store(at, fresh, plans, records, outdated)
  end
end

local function note_skipped(moments, why)
  for _, tick in ipairs(moments) do
    note_tick(cron, ticks, tick, '', 's1 - -\n' .. why .. '\n\n\n')
  end
end

local function note_fired(moments)
  local owner, rest = worker, '\n\n'
  if plan ~= '' then
    owner, rest = '', worker .. '\n=\n'
  end
  for _, tick in ipairs(moments) do
    note_tick(cron, ticks, tick, owner, string.format('f1 %.0f -\n\n', now - tick) .. rest)
  end
end

local function waiting_ticks(text)
  local moments = {}
  for tick in string.gmatch(text, '%d+') do
    moments[#moments + 1] = tick
  end
  return moments
end

-- A key of the wrong type must fail before anything is stored.
redis.call('ZCARD', ticks)
if outcome == 'won' and plan ~= '' then
  -- On a full server this is where it ends.
  enqueue()
end
-- A full server lets a script go on that began with a command which needs no room.
redis.call('HDEL', cron, '')
if bid and not again and bid.outcome == 'queued' then
  note_skipped(waiting_ticks(bid.waiting), 'overlap')
end
if not again then
  redis.call('HSET', cron, 'mark', latest, 'marked_by', fingerprint)
end
local waiting = outcome == 'queued' and table.concat(spent, ' ') or ''
redis.call('HSET', cron, 'bid', table.concat({ outcome, before, previous, request }, ' ') .. '\n' .. waiting)
if outcome == 'won' then
  note_fired(spent)
  redis.call('HSET', cron, 'run', tick_run_line(latest, now + length, plan ~= '' and 'j' or 'w', worker))
elseif outcome ~= 'queued' then
  note_skipped(spent, outcome == 'paused' and 'paused' or 'overlap')
end
redis.call('PEXPIRE', cron, remember)
redis.call('PEXPIRE', ticks, remember)
return { outcome, stamp, before, previous }
