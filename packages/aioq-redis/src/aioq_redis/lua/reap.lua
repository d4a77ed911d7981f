-- reap: take back the jobs of one queue whose lease ran out, and forget what is kept no longer.
--
-- Needs    clock batches scores runs records ended wakes waits
-- KEYS     jobs runs leased failures ended completed failed cancelled dead waits wake ready:0-9
-- ARGV     1 most jobs   2 channel of ends, without the job id   3 ms to keep the dead
--          4 most dead to keep
-- Returns  for each job: id, crashes, `pending` or `dead`
local jobs, runs, leased, failures, ended, completed, failed, cancelled, dead, waits, wake = unpack(KEYS)
local READY = 12
local limit, channel, dead_ttl, most_dead = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST_PRUNED, MAX_CRASHES = 1000, 3

for _, index in ipairs({ completed, failed, cancelled, dead }) do
  prune(ended, index, MOST_PRUNED)
end

local found = redis.call('ZRANGEBYSCORE', leased, '-inf', '(' .. string.format('%.0f', now + 1),
  'WITHSCORES', 'LIMIT', 0, limit)
local reply, over, front, buried, ttls = {}, {}, {}, {}, {}
local back = 0

local function bury(id, run, record)
  local failure = run.failed == '1' and redis.call('HGET', failures, id) or nil
  buried[#buried + 1] = id
  buried[#buried + 1] = ended_record('d', 0, 'crashed', run_line(run), failure, record)
  ttls[#ttls + 1] = dead_ttl
  over[#over + 1] = id
end

for n = 1, #found, 2 do
  local id, priority = found[n], priority_of(found[n + 1])
  local record, run = redis.call('HGET', jobs, id), parse_run(redis.call('HGET', runs, id))
  redis.call('ZREM', leased, id)
  if not record or not run then
    redis.call('HDEL', runs, id)
  else
    run.state, run.crashes = 'c', run.crashes + 1
    local final = run.crashes >= whole_number(header_of(record).c, 1, 1000, MAX_CRASHES)
    if final then
      bury(id, run, record)
    else
      redis.call('HSET', runs, id, run_line(run))
      front[priority] = front[priority] or {}
      table.insert(front[priority], id)
      back = back + 1
    end
    reply[#reply + 1] = id
    reply[#reply + 1] = run.crashes
    reply[#reply + 1] = final and 'dead' or 'pending'
  end
end

for priority, members in pairs(front) do
  for n = #members, 1, -1 do
    redis.call('LPUSH', KEYS[READY + priority], members[n])
  end
end
if back > 0 then
  wake_workers(wake, back)
end
if #over > 0 then
  spread('HDEL', jobs, over)
  spread('HDEL', runs, over)
  spread('HDEL', failures, over)
  keep(ended, dead, buried, ttls)
  bound(ended, dead, most_dead)
  tell_waiters(waits, channel, over)
end
return reply
