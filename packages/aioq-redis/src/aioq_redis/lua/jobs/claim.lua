-- claim: lease due jobs of one queue to a worker, once per request.
--
-- Needs    clock batches scores states runs records due wakes holds
-- KEYS     jobs runs leased due cancelled_ids wake claim:<worker> suspects awaited stops held ready:0-9
-- ARGV     1 request id   2 worker id   3 most jobs, or -1 for a look   4 length of a lease, ms   5 leases it holds,
--          those of cleared jobs left out; followed by - if it takes no observed jobs now   6 most bytes of the
--          records   7 the request before it, if it is known
-- Returns  how many jobs the request took, or -1 if the script did nothing because the request before is not the
--          latest: another one came in between, or the memo has expired, or -2 if a look found jobs, or -3 if the queue
--          is paused; ms until the next job is due (-1 for none), or how many jobs a look found; ids that were dropped
--          because nothing is stored under them, ms for which the worker must claim no more unless it becomes empty;
--          the server's time in ms; then for each lease: id, record, run line ('' for the first run of a job)
--
-- The memo of a worker has its latest request and the ids that the request took. So a repeated request gets the same
-- leases, and a parked claim that names an earlier request takes nothing.
--
-- A look tells a worker of many queues which of them have jobs, so that it can claim from those at once. If there are
-- none, a look is a claim of no job; if there are some, the request stays open.
--
-- A claim takes no further job once the records in its reply have `most_bytes`, so that a slow network can deliver the
-- reply. Beyond FREE_BYTES the leases are longer, until the worker extends them for the first time: by the time that
-- the reply takes at SLOWEST bytes in a millisecond.
--
-- Jobs that have crashed wait in `suspects`; `plan_claim` of aioq.model.suspects decides what a claim takes of them. A
-- job with one crash is observed: a worker takes a few at a time. A suspect has crashed more often: an empty worker
-- claims it and nothing else. If all workers are busy, one of them makes room for a while: it claims no more until it
-- is empty.
--
-- A claim that meets jobs of a stopped task sets them aside, about MOST_HELD at most, so that no later claim meets them.
-- Those of a restored task come back from there: of each priority, in front of the ready ones.
local jobs, runs, leased, due, cancelled_ids, wake, memo, suspects, awaited, stops, held = unpack(KEYS)
local READY, PAUSED = 12, -3
local request, worker, limit, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local leases_held, most_bytes, before = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local observes = leases_held ~= nil
local empty = (leases_held or tonumber(string.sub(ARGV[5], 1, -2))) == 0
local MOST_PROMOTED, MOST_ROUNDS, USUAL = 1000, 200, 5
local TURN, STEPS, MAX_SEARCHED, EXTENSIONS = 10, 15, 25, 3
local FREE_BYTES, SLOWEST, FIRST_READ = 65536, 256, 10
local MOST_HELD, MOST_HELD_BYTES, MOST_POPPED = 1000, 4194304, 256
local looks = limit < 0

local function next_due()
  return time_until(earliest(due))
end

-- The leases of a request that was answered before, without those that the worker has lost since.
local function replay(text)
  local ids = {}
  for id in string.gmatch(text, '[^\n]+') do
    ids[#ids + 1] = id
  end
  local taken, alone_for = string.match(table.remove(ids, 1), '^(%d+)!?(%d*)$')
  if taken == '0' and redis.call('HEXISTS', stops, 'queue') == 1 then
    return { PAUSED, -1, {}, 0, now }
  end
  local reply = { tonumber(taken), next_due(), {}, tonumber(alone_for) or 0, now }
  local records = #ids > 0 and fetch('HMGET', jobs, ids)
  local lines = #ids > 0 and fetch('HMGET', runs, ids)
  for n, id in ipairs(ids) do
    local run = parse_run(lines[n])
    if records[n] and run and run.state == RUN_CLAIM and run.worker == worker then
      reply[#reply + 1] = id
      reply[#reply + 1] = records[n]
      reply[#reply + 1] = lines[n]
    end
  end
  return reply
end

-- The server runs a parked claim although its client may be gone. The claim takes nothing then, and puts the token
-- back that it was woken by, for another worker.
local function pass_on_token()
  if redis.call('EXISTS', unpack(KEYS, READY, READY + 9)) > 0 and redis.call('LLEN', wake) == 0 then
    wake_workers(wake, 1)
  end
end

local known = redis.call('GET', memo)
if known and string.sub(known, 1, #request + 1) == request .. '\n' then
  if before then
    pass_on_token()
  end
  return replay(string.sub(known, #request + 2))
end
if before and string.sub(known or '', 1, #before + 1) ~= before .. '\n' then
  pass_on_token()
  return { -1, -1, {}, 0, now }
end

local stamp = string.format('%.0f', now)
local bytes = 0

local function lease_end()
  return now + lease + math.floor(math.max(0, bytes - FREE_BYTES) / SLOWEST)
end
-- The only job of a worker that has one slot runs alone, too.
local only = empty and limit == 1
-- The end of the run line of a first run, equal for all jobs of this claim.
local FIRST_RUN = (only and ' 1 0! ' or ' 1 0 ') .. stamp .. ' ' .. worker

-- The run line of a claimed job, and the line for the reply: empty for a first run, to keep the reply short.
local function next_run(record, run)
  local enqueued = string.match(record, '^(%d+) ') or '0'
  if not run then
    return 'r0 1 ' .. enqueued .. FIRST_RUN, ''
  end
  run.state, run.epoch, run.attempt = RUN_CLAIM, run.epoch + 1, run.attempt + 1
  run.enqueued, run.claimed, run.worker = enqueued, stamp, worker
  run.alone = empty and suspect(run) or only
  local line = run_line(run)
  return line, line
end

local function remember(ids, alone_for)
  local alone = alone_for and alone_for > 0 and '!' .. alone_for or ''
  redis.call('SET', memo, request .. '\n' .. #ids .. alone .. '\n' .. table.concat(ids, '\n'),
    'PX', string.format('%.0f', math.max(lease, 60000)))
end

-- If the queue has jobs that are due later, one token stays: a worker that is about to wait may not know yet that one
-- of them is due earlier than it was told.
local function clear_tokens(nearest)
  if nearest < 0 then
    redis.call('DEL', wake)
  else
    redis.call('LTRIM', wake, 0, 0)
  end
end

-- The usual case of an idle worker that wakes: the queue has one job, of the usual priority, that was never claimed.
-- This takes half the time of the general case. The job leaves its ready list after all else is written, so that a key
-- of the wrong type loses no job.
local function take_lone()
  local line = KEYS[READY + USUAL]
  local ids = redis.call('LRANGE', line, 0, 1)
  if #ids ~= 1 or limit < 1 then
    return nil
  end
  if redis.call('EXISTS', cancelled_ids, suspects, stops, unpack(KEYS, READY, READY + 9)) ~= 1 then
    return nil
  end
  local id, moment = ids[1], earliest(due)
  local record = redis.call('HGET', jobs, id)
  if not record or moment and tonumber(moment) < now + 1 or redis.call('HEXISTS', runs, id) == 1 then
    return nil
  end
  local nearest = time_until(moment)
  clear_tokens(nearest)
  bytes = #record
  redis.call('ZADD', leased, score(lease_end(), USUAL), id)
  redis.call('HSET', runs, id, (next_run(record)))
  redis.call('LPOP', line)
  remember(ids)
  return { 1, nearest, {}, 0, now, id, record, '' }
end

local lone = take_lone()
if lone then
  return lone
end

-- Read every key that is written below: one of the wrong type must end the script before a job leaves its ready list.
local idle = redis.call('HLEN', jobs) == 0 and redis.call('EXISTS', unpack(KEYS, READY, READY + 9)) == 0
redis.call('HLEN', runs)
redis.call('ZCARD', leased)
local crashed = limit ~= 0 and not idle and redis.call('ZCARD', suspects) or 0
local has_cancelled = redis.call('SCARD', cancelled_ids) > 0
local has_stops = redis.call('HLEN', stops) > 0
-- The priorities of the ready lists that may have jobs, the highest first.
local filled = {}
if not idle then
  for priority = 9, 0, -1 do
    if redis.call('LLEN', KEYS[READY + priority]) > 0 then
      filled[#filled + 1] = priority
    end
  end
end
-- A full server lets a script continue if its first write needs no memory.
redis.call('ZREM', leased, '')
-- The numbers of the tasks that were restored, and whose jobs are still set aside.
local restoring, aside = {}, nil
if has_stops then
  aside = held_jobs(stops, held)
  local orders = redis.call('HMGET', stops, 'queue', 'restoring')
  if orders[1] then
    remember({})
    return { PAUSED, -1, {}, 0, now }
  end
  restoring = aside.numbers_in(orders[2])
  redis.call('ZCARD', held)
end
if not idle and (promote(due, READY, MOST_PROMOTED) > 0 or #restoring > 0) then
  filled = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 }
end

local function ready_jobs()
  local count = redis.call('ZCARD', suspects)
  for priority = 0, 9 do
    count = count + redis.call('LLEN', KEYS[READY + priority])
  end
  for _, number in ipairs(restoring) do
    count = count + aside.count(number)
  end
  return count
end

if looks then
  local found = idle and 0 or ready_jobs()
  if found > 0 then
    return { -2, found, {}, 0, now }
  end
  limit = 0
end
local entries, priorities_taken, taken, dropped = {}, {}, {}, {}
local reply = { 0, -1, dropped, 0, now }
local seen = {}

-- What a claim does about stopped tasks. These functions are made only if something is stopped.
local hold, hold_suspects, restored_lines, note_sifted, restores
local holds, places, held_bytes, restored = {}, nil, 0, {}
if has_stops then
  local stop_numbers = {}

  -- The number of the stop of a record's task; false if the task is not stopped.
  local function stop_number(record)
    local task = string.match(record, '^%d+ (%S+)') or ''
    if stop_numbers[task] == nil then
      stop_numbers[task] = tonumber(string.match(redis.call('HGET', stops, 'task:' .. task) or '', '^%d+')) or false
    end
    return stop_numbers[task]
  end

  -- Sets a job aside if its task is stopped; returns whether it is.
  hold = function(id, priority, record, run)
    local number = stop_number(record)
    if not number then
      return false
    end
    places = (places or tonumber(redis.call('HGET', stops, 'places')) or 0) + 1
    local returned = run and (run.state == RUN_RELEASE or run.state == RUN_REAP)
    holds[#holds + 1] = aside.position(number, priority, places, returned and run.claimed)
    holds[#holds + 1] = id
    held_bytes = held_bytes + #record
    return true
  end

  -- Sets suspects of stopped tasks aside until one of another task comes first: no worker makes room for them.
  hold_suspects = function()
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', suspects, '-inf', '(0', 'LIMIT', 0, MOST_ROUNDS)) do
      local record = redis.call('HGET', jobs, id)
      if not record or not hold(id, line_of(record), record, parse_run(redis.call('HGET', runs, id))) then
        return
      end
      redis.call('ZREM', suspects, id)
      crashed = crashed - 1
    end
  end

  -- The first jobs of restored tasks, by priority. They stay set aside until `sift` has dealt with them.
  restored_lines = function(most)
    local lines = {}
    for _, number in ipairs(restoring) do
      local first, last = aside.first(number), aside.last(number)
      local found = redis.call('ZRANGEBYSCORE', held, first, last, 'WITHSCORES', 'LIMIT', 0, most)
      for n = 1, #found, 2 do
        local priority = aside.priority(found[n + 1])
        lines[priority] = lines[priority] or {}
        table.insert(lines[priority], found[n])
      end
    end
    return lines
  end

  -- The first `last` ids have been dealt with: those of restored tasks are no longer set aside.
  note_sifted = function(ids, last)
    local done = {}
    for n = 1, last do
      done[#done + 1] = restored[ids[n]] and ids[n] or nil
    end
    spread('ZREM', held, done)
  end

  -- Returns whether jobs of restored tasks are still set aside, and forgets the tasks that have none.
  restores = function()
    local left = {}
    for _, number in ipairs(restoring) do
      left[#left + 1] = aside.count(number) > 0 and number or nil
    end
    if #left < #restoring then
      aside.note_restoring(left)
    end
    return #left > 0
  end
end

local function pop(most)
  local ids, priorities = {}, {}
  local lines = #restoring > 0 and restored_lines(most)
  for _, priority in ipairs(filled) do
    local line = lines and lines[priority]
    for n = 1, line and math.min(#line, most - #ids) or 0 do
      ids[#ids + 1], restored[line[n]] = line[n], true
      priorities[#ids] = priority
    end
    local popped = #ids < most and redis.call('LPOP', KEYS[READY + priority], most - #ids)
    for _, id in ipairs(popped or {}) do
      ids[#ids + 1] = id
      priorities[#ids] = priority
    end
  end
  return ids, priorities
end

-- A job that is running or due later cannot be ready as well: its id is in the ready list a second time.
local function misplaced(id, run)
  return run.state == RUN_CLAIM or (run.state == RUN_RETRY or run.state == RUN_POSTPONE) and redis.call('ZSCORE', due, id)
end

local function take(id, priority, record, run)
  local line, shown = next_run(record, run)
  local n = #taken + 1
  taken[n], priorities_taken[n] = id, priority
  entries[2 * n - 1], entries[2 * n] = id, line
  reply[3 * n + 3], reply[3 * n + 4], reply[3 * n + 5] = id, record, shown
  bytes = bytes + #record
end

-- Leases the jobs of popped ids. Suspects move to their own list; cancelled, unknown and duplicate ids are dropped.
-- The result is the place of the first id that it left.
local function sift_some(ids, priorities, first, last)
  local absent = has_cancelled and fetch('SMISMEMBER', cancelled_ids, ids, first, last)
  local records, lines = fetch('HMGET', jobs, ids, first, last), fetch('HMGET', runs, ids, first, last)
  for n, record in ipairs(records) do
    if bytes >= most_bytes or has_stops and #taken >= limit then
      return first + n - 1
    end
    local id, run = ids[first + n - 1], lines[n] and parse_run(lines[n])
    if absent and absent[n] == 1 then
      redis.call('SREM', cancelled_ids, id)
    elseif not record then
      dropped[#dropped + 1] = id
    elseif not seen[id] and not (run and misplaced(id, run)) then
      seen[id] = true
      if run and run.crashes > 0 then
        redis.call('ZADD', suspects, rank(run, now), id)
        crashed = crashed + 1
      elseif not (has_stops and hold(id, priorities[first + n - 1], record, run)) then
        take(id, priorities[first + n - 1], record, run)
      end
    end
  end
  return last + 1
end

-- Leases jobs until the reply is full, and puts the other ids back; returns whether there were none. It reads a few
-- records first, and then no more than the rest of the reply has room for if they are of the same size.
local function sift(ids, priorities)
  local at, count = 1, FIRST_READ
  while at <= #ids and bytes < most_bytes and #taken < limit and held_bytes < MOST_HELD_BYTES do
    at = sift_some(ids, priorities, at, math.min(at + count - 1, #ids))
    count = #taken == 0 and 2 * count or math.max(1, math.floor((most_bytes - bytes) * #taken / bytes))
  end
  for n = #ids, at, -1 do
    if not restored[ids[n]] then
      redis.call('LPUSH', KEYS[READY + priorities[n]], ids[n])
    end
  end
  if #restoring > 0 then
    note_sifted(ids, at - 1)
  end
  return at > #ids
end

local function take_crashed(ids)
  for _, id in ipairs(ids) do
    if bytes >= most_bytes then
      return
    end
    redis.call('ZREM', suspects, id)
    local record, run = redis.call('HGET', jobs, id), parse_run(redis.call('HGET', runs, id))
    if not record then
      dropped[#dropped + 1] = id
    elseif run and not misplaced(id, run) and not (has_stops and hold(id, line_of(record), record, run)) then
      take(id, line_of(record), record, run)
    end
  end
end

-- Takes the suspect that is next, and returns for how long it has to run alone; 0 if there is none.
local function take_suspect()
  redis.call('DEL', awaited)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', suspects, '-inf', '(0', 'LIMIT', 0, MOST_ROUNDS)) do
    take_crashed({ id })
    if #taken > 0 then
      return math.max(parse_run(reply[8]).probation, 1)
    end
  end
  return 0
end

-- How long this worker has to make room; 0 if it has not. A worker's turn ends after TURN leases, and it has no other
-- one for as long.
local function make_room()
  local till, owner = string.match(redis.call('GET', awaited) or '', '^(%d+) (.*)$')
  till = tonumber(till)
  if not till or now >= till and (owner ~= worker or now >= till + TURN * lease) then
    till, owner = now + TURN * lease, worker
    redis.call('SET', awaited, string.format('%.0f %s', till, worker), 'PX', string.format('%.0f', 2 * TURN * lease))
  end
  return owner == worker and now < till and math.min(till - now, math.floor(lease / EXTENSIONS)) or 0
end

-- Takes what the plan of this claim allows of the jobs that crashed; returns for how long the worker has to be alone.
local function take_of_crashed()
  if has_stops then
    hold_suspects()
  end
  local accused = redis.call('ZCOUNT', suspects, '-inf', '(0')
  if accused > 0 and empty then
    return take_suspect()
  end
  local alone_for = accused > 0 and make_room() or 0
  if alone_for == 0 and observes then
    local observed = crashed - accused
    local most = math.min(observed > MAX_SEARCHED and observed or math.ceil(observed / STEPS), limit)
    -- Those of stopped tasks are set aside, and the next ones are taken in their place.
    for _ = 1, MOST_ROUNDS do
      local wanted, before = most - #taken, #holds
      take_crashed(wanted > 0 and redis.call('ZRANGEBYSCORE', suspects, 0, '+inf', 'LIMIT', 0, wanted) or {})
      if #holds == before then
        break
      end
    end
  end
  return alone_for
end

local alone_for = crashed > 0 and take_of_crashed() or 0
if alone_for > 0 then
  limit = #taken
end

local known_crashed, drained = crashed, idle
for _ = 1, MOST_ROUNDS do
  if drained or #taken >= limit or bytes >= most_bytes or #holds >= 2 * MOST_HELD or held_bytes >= MOST_HELD_BYTES then
    break
  end
  -- While it meets jobs of stopped tasks only, it takes ever more at a time.
  local most = math.max(limit - #taken, math.min(#holds, MOST_POPPED))
  local ids, priorities = pop(most)
  drained = (#ids == 0 or sift(ids, priorities)) and #ids < most
end

-- This claim itself may have found the first jobs that crashed, and nothing else.
if crashed > known_crashed and #taken == 0 then
  alone_for = take_of_crashed()
end

local scores, score_of, ends = {}, {}, lease_end()
for n, id in ipairs(taken) do
  local priority = priorities_taken[n]
  -- To format a score takes longer than all else that this loop does, so it is done once for each priority.
  score_of[priority] = score_of[priority] or score(ends, priority)
  scores[2 * n - 1], scores[2 * n] = score_of[priority], id
end
spread('ZADD', leased, scores)
spread('HSET', runs, entries)
if #holds > 0 then
  spread('ZADD', held, holds)
  redis.call('HSET', stops, 'places', places)
end
remember(taken, alone_for)

local more = not drained and redis.call('EXISTS', unpack(KEYS, READY, READY + 9)) > 0
more = #restoring > 0 and restores() or more
local nearest = next_due()
local others = crashed > 0 and redis.call('ZCARD', suspects) > 0
if not more then
  -- All ready lists are empty, so no cancelled id is left in one.
  redis.call('DEL', cancelled_ids)
end
-- A worker that skips jobs that crashed must not wake another: two of them would wake each other without end.
if more or others and #taken > 0 then
  if redis.call('LLEN', wake) == 0 then
    wake_workers(wake, 1)
  end
elseif not others then
  clear_tokens(nearest)
end

reply[1], reply[2], reply[4] = #taken, nearest, alone_for
return reply
