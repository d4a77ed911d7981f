-- next_schedules: read when workers have to look at schedules of a queue.
--
-- Needs    clock
-- KEYS     scheduled_tasks
-- ARGV     none
-- Returns  the server's time in us; a list of the tasks with schedules, each followed by its earliest moment in ms
local scheduled_tasks = KEYS[1]
return { microseconds(), redis.call('ZRANGE', scheduled_tasks, 0, -1, 'WITHSCORES') }
