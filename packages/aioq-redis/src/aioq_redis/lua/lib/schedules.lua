-- schedules: the schedules that clients have stored. A line of the hash `schedules` is
--   <revision> <since ms> <due ms, or -> <app> <digest of the fingerprint> <length of the task> <task><schedule>
-- schedule: a `StoredSchedule` as msgpack, which scripts do not read
-- `schedule_moments:<task>` has when workers have to look at each schedule of a task: its due time, or the end of its
-- reservation. `scheduled_tasks` has the earliest of them for each task. A name whose line is gone, or has another
-- task, may be left in `schedule_moments`; it is removed when its moment has come.
local function parse_schedule(line)
  local revision, since, due, from, app, fingerprint, length, first =
    string.match(line or '', '^(%S+) (%d+) (%S+) ()(%S+) (%x+) (%d+) ()')
  if not revision or not stored_number(since) or not (due == '-' or stored_number(due)) or not stored_number(length) then
    return nil
  end
  return {
    revision = revision, since = since, due = due, app = app, fingerprint = fingerprint,
    task = string.sub(line, first, first + length - 1), from = from,
  }
end

-- The part of the line that no firing changes.
local function rest_of_schedule(line, known)
  return string.sub(line, known.from)
end

-- Write the moment of a schedule, '-' for none. `note_first` has to follow.
local function note_moment(moments, name, moment)
  if moment == '-' then
    redis.call('ZREM', moments, name)
  else
    redis.call('ZADD', moments, moment, name)
  end
end

local function note_first(tasks, moments, task)
  local first = redis.call('ZRANGE', moments, 0, 0, 'WITHSCORES')[2]
  if first then
    redis.call('ZADD', tasks, first, task)
  else
    redis.call('ZREM', tasks, task)
  end
end
