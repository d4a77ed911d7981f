-- reap: take back the jobs of one queue with an expired lease, and remove expired records; a sign of life of a worker.
--
-- Needs    clock batches scores states runs records ended wakes waits outage
-- KEYS     jobs runs leased failures ended waits wake suspects signs ended_indexes ready:0-9
-- ARGV     1 most jobs   2 channel of ends, without the job id   3 ms to keep dead jobs
--          4 most dead jobs to keep   5 length of the worker's leases, ms
-- Returns  the server's time in ms; then for each job, the one whose lease expired last first: id, worker, 1 if that
--          was a crash or 0, crashes, `pending` or `dead`
local jobs, runs, leased, failures, ended, waits, wake, suspects, signs = unpack(KEYS)
local INDEX, READY = ended_indexes(10)
local limit, channel, dead_ttl, most_dead = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST_PRUNED, MAX_CRASHES = 1000, 3
local life, step = note_sign(parse_signs(redis.call('GET', signs)), tonumber(ARGV[5]))

for _, index in pairs(INDEX) do
  prune(ended, index, MOST_PRUNED)
end

-- A full server lets a script continue if its first write needs no memory.
redis.call('ZREM', leased, '')
if step > 0 then
  move_deadlines(leased, life, step)
end
store_signs(signs, life)

local found = redis.call('ZRANGEBYSCORE', leased, '-inf', '(' .. string.format('%.0f', reapable(life) + 1),
  'WITHSCORES', 'LIMIT', 0, limit)
local reply, lapsed, orphans, over, front = { now }, {}, {}, {}, {}
local reruns, dead_entries, ttls, accused = {}, {}, {}, {}

local function mark_dead(id, run, record)
  local failure = run.failed and redis.call('HGET', failures, id) or nil
  dead_entries[#dead_entries + 1] = id
  dead_entries[#dead_entries + 1] = ended_record(DEAD, 0, 'crashed', run_line(run), failure, record)
  ttls[#ttls + 1] = dead_ttl
  over[#over + 1] = id
end

local function put_back(id, run, priority)
  reruns[#reruns + 1] = id
  reruns[#reruns + 1] = run_line(run)
  if suspect(run) then
    table.insert(accused, 1, id)
    return
  end
  front[priority] = front[priority] or {}
  table.insert(front[priority], id)
end

-- The run of a job whose run line is gone. Its epoch is unknown, so it gets one that no earlier lease can have.
local function unknown_run(record)
  return {
    failed = false, epoch = 1000000, enqueued = string.match(record, '^(%d+) ') or '0', attempt = 1, crashes = 0,
    hand_backs = 0, claimed = '0', worker = '',
  }
end

-- After an outage the attempt does not count either: neither the job nor its worker has failed.
local function count_lapse(run, forgiven)
  run.state = RUN_REAP
  note_start(run)
  if forgiven then
    run.attempt = math.max(run.attempt - 1, 0)
  else
    run.crashes = run.crashes + 1
  end
end

local function take_back(id, record, place)
  local run = parse_run(redis.call('HGET', runs, id)) or unknown_run(record)
  local forgiven = life.survived and math.floor(place) < life.wait_until
  count_lapse(run, forgiven)
  local final = not forgiven and run.crashes >= whole_number(header_of(record).c, 1, 1000, MAX_CRASHES)
  if final then
    mark_dead(id, run, record)
  else
    put_back(id, run, priority_of(place))
  end
  for _, part in ipairs({ id, run.worker, forgiven and 0 or 1, run.crashes, final and 'dead' or 'pending' }) do
    reply[#reply + 1] = part
  end
end

-- Each job goes in front of those before it, so take the one that expired last first: the one that expired first
-- is the next to run.
for n = #found - 1, 1, -2 do
  local id = found[n]
  local record = redis.call('HGET', jobs, id)
  lapsed[#lapsed + 1] = id
  if record then
    take_back(id, record, found[n + 1])
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
end
for priority, members in pairs(front) do
  spread('LPUSH', KEYS[READY + priority], members)
end
spread('RPUSH', suspects, accused)
spread('HSET', runs, reruns)
spread('ZREM', leased, lapsed)
spread('HDEL', jobs, over)
spread('HDEL', runs, over)
spread('HDEL', runs, orphans)
spread('HDEL', failures, over)
if #reruns > 0 then
  wake_workers(wake, #reruns / 2)
end
notify_waiters(waits, channel, over)
return reply
