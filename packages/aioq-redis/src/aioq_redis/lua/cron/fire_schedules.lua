-- fire_schedules: decide on firings of schedules of one task, enqueue their jobs, and move the schedules on.
--
-- Needs    clock batches scores states due ended wakes runs known store numbers tick_history tick_runs tick_claims tick_decisions schedules
-- KEYS     jobs runs ended cancelled_ids due wake schedules scheduled_tasks schedule_moments:<task> ended_indexes ready:0-9 cron:<name>... ticks:<name>...
-- ARGV     1 ms that a tick may be early   2 ms to remember an entry   3 task; then for each schedule, each only once:
--          revision, due in ms, latest tick that is decided or '', next due in ms or -, number of records of ticks that
--          do not fire, tick and body of each, and the claim as in claim_ticks, with 0 ticks or more
-- Returns  for each schedule the outcome, a value of `aioq.model.cron.TickOutcome`
local jobs, runs, ended, cancelled_ids, due, wake, schedules, scheduled_tasks, schedule_moments = unpack(KEYS)
local INDEX, READY = ended_indexes(10)
local at = {
  jobs = jobs, runs = runs, ended = ended, cancelled_ids = cancelled_ids, due = due, wake = wake, index = INDEX,
  ready = READY, entries = READY + 9, count = (#KEYS - READY - 9) / 2, allowed = tonumber(ARGV[1]), remember = ARGV[2],
}
local task = ARGV[3]
local RECORDED = { won = true, paused = true, busy = true }

local function read_firing(n, place)
  local firing = { first = place + 5, skipped = tonumber(ARGV[place + 4]) }
  firing.revision, firing.due, firing.until_tick, firing.next_due = unpack(ARGV, place, place + 3)
  firing.claim = read_claim(at, n, firing.first + 2 * firing.skipped)
  return firing
end

local function outcome_of_firing(firing, known)
  local claim = firing.claim
  if not known or known.revision ~= firing.revision or known.due ~= firing.due then
    return 'lost'
  end
  firing.known = known
  if claim.registered and not claim.retired then
    return 'superseded'
  end
  if claim.last < claim.first then
    return 'won'
  end
  -- A registration that is over does not count.
  claim.registered = nil
  local outcome = decide(at, claim)[1]
  if outcome == 'early' then
    firing.known = nil
  end
  return outcome
end

-- Each command of a script takes a while, so the schedules are stored with as few as possible.
local function move_on(firings, lines)
  local moved, moments, over = {}, {}, {}
  for n, firing in ipairs(firings) do
    local name, known, since, due = firing.claim.name, firing.known, firing.until_tick, firing.next_due
    if known then
      if since == '' or tonumber(known.since) > tonumber(since) then
        since = known.since
      end
      moved[#moved + 1] = name
      moved[#moved + 1] = table.concat({ known.revision, since, due, rest_of_schedule(lines[n], known) }, ' ')
      if due == '-' then
        over[#over + 1] = name
      else
        moments[#moments + 1] = due
        moments[#moments + 1] = name
      end
    end
  end
  spread('HSET', schedules, moved)
  spread('ZADD', schedule_moments, moments)
  spread('ZREM', schedule_moments, over)
end

local function record_not_fired(firing)
  for n = 0, firing.skipped - 1 do
    note_tick(firing.claim.history, ARGV[firing.first + 2 * n], '', ARGV[firing.first + 2 * n + 1])
  end
end

local firings, claims, names, place = {}, {}, {}, 4
for n = 1, at.count do
  firings[n] = read_firing(n, place)
  claims[n] = firings[n].claim
  names[n] = claims[n].name
  place = claims[n].stop + 1
end
local replies, lines = {}, redis.call('HMGET', schedules, unpack(names))
for n, line in ipairs(lines) do
  replies[n] = outcome_of_firing(firings[n], parse_schedule(line))
end
redis.call('ZCARD', scheduled_tasks)
redis.call('ZCARD', schedule_moments)
-- A full server refuses this first, before anything is stored.
enqueue(at, claims)
-- A full server lets a script continue if its first write needs no memory.
redis.call('HDEL', claims[1].cron, '')
move_on(firings, lines)
for n, firing in ipairs(firings) do
  local claim, noted = firing.claim, RECORDED[replies[n]] and firing.skipped > 0
  if firing.known and (claim.outcome or noted) then
    if claim.outcome then
      record_ticks(claim)
    end
    if noted then
      record_not_fired(firing)
    end
    store_claim(at, claim)
  end
end
note_first(scheduled_tasks, schedule_moments, task)
return replies
