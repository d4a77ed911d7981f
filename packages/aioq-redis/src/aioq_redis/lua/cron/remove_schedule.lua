-- remove_schedule: remove a schedule.
--
-- Needs    schedules
-- KEYS     schedules schedule_names scheduled_tasks schedule_moments:<task>
-- ARGV     1 name   2 task
-- Returns  1, or 0 if there is none
local schedules, schedule_names, scheduled_tasks, schedule_moments = unpack(KEYS)
local name, task = unpack(ARGV)
for n = 2, 4 do
  redis.call('ZCARD', KEYS[n])
end
local removed = redis.call('HDEL', schedules, name)
redis.call('ZREM', schedule_names, name)
note_moment(schedule_moments, name, '-')
note_first(scheduled_tasks, schedule_moments, task)
return removed
