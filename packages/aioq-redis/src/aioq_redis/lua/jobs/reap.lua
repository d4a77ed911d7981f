-- reap: take back the jobs of one queue with an expired lease, and remove expired records; a sign of life of a worker.
--
-- Needs    clock batches scores states runs attempts records ended failures wakes waits outage
-- KEYS     jobs runs leased attempts ended waits wake suspects signs crashed failure_list ended_indexes ready:0-9
-- ARGV     1 most jobs   2 channel of ends, without the job id   3 ms to keep dead jobs
--          4 most dead jobs to keep   5 length of the worker's leases, ms
-- Returns  the server's time in ms; then for each job, the one whose lease expired last first: id, worker, 1 if that
--          was a crash or 0, crashes, `pending` or `dead`, task
local jobs, runs, leased, attempts, ended, waits, wake, suspects, signs, crashed = unpack(KEYS)
local INDEX, READY = ended_indexes(16)
local limit, channel, dead_ttl, most_dead = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lease = tonumber(ARGV[5])
local MOST_PRUNED, MAX_CRASHES = 1000, 3
local MAX_EXCUSED, EXCUSE_WINDOW, EXTENSIONS, CRASH_TTL, MOST_CRASHED = 2, 10, 3, 3600000, 1000
local life, step = note_sign(parse_signs(redis.call('GET', signs)), lease)

for _, index in pairs(INDEX) do
  prune(ended, index, MOST_PRUNED)
end
prune_failures(failure_keys(11), MOST_PRUNED)

-- A full server lets a script continue if its first write needs no memory.
redis.call('ZREM', leased, '')
if step > 0 then
  move_deadlines(leased, life, step)
end
store_signs(signs, life)

local found = redis.call('ZRANGEBYSCORE', leased, '-inf', '(' .. string.format('%.0f', reapable(life) + 1),
  'WITHSCORES', 'LIMIT', 0, limit)
local reply, lapsed, orphans, over, front = { now }, {}, {}, {}, {}
local reruns, dead_entries, ttls, ranked, noted, failed = {}, {}, {}, {}, {}, {}

local function mark_dead(id, run, record, past, failure)
  local line, body = run_line(run), failure ~= '' and failure or nil
  local text = ended_record(DEAD, 0, 'crashed', line, body, record, past)
  dead_entries[#dead_entries + 1] = id
  dead_entries[#dead_entries + 1] = text
  -- The failure of an earlier attempt is not why it is dead.
  failed[#failed + 1] = {
    id = id, state = DEAD, reason = 'crashed', run = line, failure = '', record = record, text = text,
  }
  ttls[#ttls + 1] = dead_ttl
  over[#over + 1] = id
end

local function put_back(id, run, priority, past, failure)
  run.noted = past .. failure ~= ''
  if run.noted then
    noted[#noted + 1] = id
    noted[#noted + 1] = past .. '\n' .. failure
  end
  reruns[#reruns + 1] = id
  reruns[#reruns + 1] = run_line(run)
  if run.crashes > 0 then
    -- Of jobs that crashed together, those first that had run for the shortest time: to start them harms the fewest.
    ranked[#ranked + 1] = rank(run, now + (run.ran or 0))
    ranked[#ranked + 1] = id
    return
  end
  front[priority] = front[priority] or {}
  table.insert(front[priority], id)
end

-- The run of a job whose run line is gone. Its epoch is unknown, so it gets one that no earlier lease can have.
local function unknown_run(record)
  return {
    noted = false, epoch = 1000000, enqueued = string.match(record, '^(%d+) ') or '0', attempt = 1, crashes = 0,
    hand_backs = 0, claimed = '0', worker = '', probation = 0, since = 0,
  }
end

local function forgiven(place)
  return life.survived and math.floor(place) < life.wait_until
end

local function note_crashed_worker(worker)
  redis.call('ZREMRANGEBYSCORE', crashed, '-inf', now - CRASH_TTL)
  redis.call('ZREMRANGEBYRANK', crashed, 0, -MOST_CRASHED)
  redis.call('ZADD', crashed, 'NX', now, worker)
  redis.call('PEXPIRE', crashed, CRASH_TTL)
end

-- As `after_crash` of aioq.model.suspects: notes the crash in the run, and returns whether the job is dead.
local function count_crash(run, deadline, max_crashes)
  run.ran = math.max(deadline - lease - tonumber(run.claimed), 0)
  local may_have_run = run.ran + math.floor(lease / EXTENSIONS)
  if run.crashes > 0 and run.ran >= run.probation then
    run.probation = math.max(may_have_run, 2 * run.probation)
    return false
  end
  run.since = run.crashes > 0 and run.since or now
  run.crashes, run.probation = run.crashes + 1, math.max(may_have_run, run.probation)
  local excusable = SUSPECT_AFTER < run.crashes and run.crashes < max_crashes + MAX_EXCUSED
  return run.alone and run.crashes >= max_crashes
    and not (excusable and redis.call('ZCOUNT', crashed, run.since - EXCUSE_WINDOW * lease, '+inf') > run.crashes)
end

local function take_back(id, run, record, place)
  local final = false
  local past, failure = split_attempts(run.noted and redis.call('HGET', attempts, id))
  if tonumber(run.claimed) > 0 then
    -- It is known to have run until its lease was extended last.
    local outcome = forgiven(place) and ATTEMPT_LOST or ATTEMPT_CRASHED
    past = with_attempt(past, attempt_line(run, outcome, math.floor(place) - lease, ''))
  end
  run.state, run.due = RUN_REAP, string.format('%.0f', now)
  note_start(run)
  if forgiven(place) then
    -- After an outage the attempt does not count either: neither the job nor its worker has failed.
    run.attempt = math.max(run.attempt - 1, 0)
  else
    final = count_crash(run, math.floor(place), whole_number(header_of(record).c, 1, 1000, MAX_CRASHES))
  end
  if final then
    mark_dead(id, run, record, past, failure)
  else
    put_back(id, run, priority_of(place), past, failure)
  end
  local crashed, state = forgiven(place) and 0 or 1, final and 'dead' or 'pending'
  for _, part in ipairs({ id, run.worker, crashed, run.crashes, state, task_of(record) }) do
    reply[#reply + 1] = part
  end
end

local records, found_runs = {}, {}
for n = 1, #found, 2 do
  local id = found[n]
  records[n] = redis.call('HGET', jobs, id)
  found_runs[n] = records[n] and (parse_run(redis.call('HGET', runs, id)) or unknown_run(records[n]))
  if records[n] and not forgiven(found[n + 1]) then
    note_crashed_worker(found_runs[n].worker)
  end
end

-- Each job goes in front of those before it, so take the one that expired last first: the one that expired first
-- is the next to run.
for n = #found - 1, 1, -2 do
  local id = found[n]
  lapsed[#lapsed + 1] = id
  if records[n] then
    take_back(id, found_runs[n], records[n], found[n + 1])
  else
    orphans[#orphans + 1] = id
  end
end
if #lapsed == 0 then
  return reply
end

-- What is added comes before what is removed: if a key of the wrong type ends the script, no job is lost.
if #over > 0 then
  store_ended(ended, INDEX, DEAD, dead_entries, ttls)
  bound(ended, INDEX[DEAD], most_dead)
  list_failures(failure_keys(11), failed)
end
for priority, members in pairs(front) do
  spread('LPUSH', KEYS[READY + priority], members)
end
spread('ZADD', suspects, ranked)
spread('HSET', attempts, noted)
spread('HSET', runs, reruns)
spread('ZREM', leased, lapsed)
spread('HDEL', jobs, over)
spread('HDEL', runs, over)
spread('HDEL', runs, orphans)
spread('HDEL', attempts, over)
if #reruns > 0 then
  wake_workers(wake, #reruns / 2)
end
notify_waiters(waits, channel, over)
return reply
