-- reserve_schedules: return due schedules of a task, and reserve them.
--
-- Needs    clock batches numbers schedules
-- KEYS     schedules scheduled_tasks schedule_moments:<task>
-- ARGV     1 task   2 number of schedules   3 ms of the reservation
-- Returns  the earliest moment that is left, in ms, or ''; then for each schedule its line
local schedules, scheduled_tasks, schedule_moments = unpack(KEYS)
local task, limit, reserved = ARGV[1], ARGV[2], string.format('%.0f', now + ARGV[3])
local names = redis.call('ZRANGEBYSCORE', schedule_moments, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
local reply, moments, gone = { '' }, {}, {}
for n, line in ipairs(#names > 0 and redis.call('HMGET', schedules, unpack(names)) or {}) do
  local known = parse_schedule(line)
  if known and known.task == task and known.due ~= '-' then
    moments[#moments + 1] = reserved
    moments[#moments + 1] = names[n]
    reply[#reply + 1] = line
  else
    gone[#gone + 1] = names[n]
  end
end
spread('ZADD', schedule_moments, moments)
spread('ZREM', schedule_moments, gone)
note_first(scheduled_tasks, schedule_moments, task)
reply[1] = redis.call('ZSCORE', scheduled_tasks, task) or ''
return reply
