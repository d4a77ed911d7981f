-- put_schedule: store a schedule, or replace that of its name.
--
-- Needs    clock numbers schedules
-- KEYS     schedules schedule_names scheduled_tasks schedule_moments:<task> cron:<name>...
-- ARGV     1 name   2 revision   3 due, ms, or -   4 task   5 app   6 digest of the fingerprint   7 the line from the
--          app on
-- Returns  a value of `aioq.model.schedules.PutOutcome`
local schedules, schedule_names, scheduled_tasks, schedule_moments = unpack(KEYS)
local cron = KEYS[5]
local name, revision, due, task, app, fingerprint, rest = unpack(ARGV)
local registered, retired = unpack(redis.call('HMGET', cron, 'app', 'retired'))
if registered and not retired then
  return 'declared'
end
local line, since = redis.call('HGET', schedules, name), string.format('%.0f', now)
local known = parse_schedule(line)
if known and known.app ~= app then
  return 'taken'
end
if known and rest_of_schedule(line, known) == rest then
  return 'unchanged'
end
if known and known.fingerprint == fingerprint then
  -- The same moments with other arguments or policies: a tick that is owed stays owed.
  since = known.since
  if due ~= '-' and known.due ~= '-' and tonumber(known.due) < tonumber(due) then
    due = known.due
  end
end
-- A key of a wrong type must fail before the script stores anything.
for n = 2, 4 do
  redis.call('ZCARD', KEYS[n])
end
redis.call('HSET', schedules, name, table.concat({ revision, since, due, rest }, ' '))
redis.call('ZADD', schedule_names, 0, name)
note_moment(schedule_moments, name, due)
note_first(scheduled_tasks, schedule_moments, task)
return known and 'changed' or 'added'
