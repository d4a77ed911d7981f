-- next_schedules: read when workers have to look at schedules of a queue.
--
-- Needs    clock
-- KEYS     scheduled_tasks
-- ARGV     none
-- Returns  the server's time in ms; a list of the tasks with schedules, each followed by its earliest moment in ms
local scheduled_tasks = KEYS[1]
return { string.format('%.0f', now), redis.call('ZRANGE', scheduled_tasks, 0, -1, 'WITHSCORES') }
