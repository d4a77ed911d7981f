-- reap: take back the jobs of one queue with an expired lease, and remove expired records.
--
-- Needs    clock batches scores states runs records ended wakes waits
-- KEYS     jobs runs leased failures ended waits wake suspects ended_indexes ready:0-9
-- ARGV     1 most jobs   2 channel of ends, without the job id   3 ms to keep dead jobs
--          4 most dead jobs to keep
-- Returns  for each job, the one whose lease expired last first: id, crashes, `pending` or `dead`
local jobs, runs, leased, failures, ended, waits, wake, suspects = unpack(KEYS)
local INDEX, READY = ended_indexes(9)
local limit, channel, dead_ttl, most_dead = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST_PRUNED, MAX_CRASHES = 1000, 3

for _, index in pairs(INDEX) do
  prune(ended, index, MOST_PRUNED)
end

local found = redis.call('ZRANGEBYSCORE', leased, '-inf', '(' .. string.format('%.0f', now + 1),
  'WITHSCORES', 'LIMIT', 0, limit)
local reply, lapsed, orphans, over, front = {}, {}, {}, {}, {}
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

-- Each job goes in front of those before it, so take the one that expired last first: the one that expired first
-- is the next to run.
for n = #found - 1, 1, -2 do
  local id = found[n]
  local record, run = redis.call('HGET', jobs, id), parse_run(redis.call('HGET', runs, id))
  lapsed[#lapsed + 1] = id
  if record and run then
    run.state, run.crashes = RUN_REAP, run.crashes + 1
    note_start(run)
    local final = run.crashes >= whole_number(header_of(record).c, 1, 1000, MAX_CRASHES)
    if final then
      mark_dead(id, run, record)
    else
      put_back(id, run, priority_of(found[n + 1]))
    end
    reply[#reply + 1] = id
    reply[#reply + 1] = run.crashes
    reply[#reply + 1] = final and 'dead' or 'pending'
  else
    orphans[#orphans + 1] = id
  end
end
if #lapsed == 0 then
  return reply
end

-- As in settle: begin with a write that needs no memory, and add before removing.
redis.call('ZREM', leased, '')
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
