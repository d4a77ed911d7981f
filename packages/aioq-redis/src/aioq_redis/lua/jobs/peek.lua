-- peek: return how long it takes until a job of one queue can be claimed.
--
-- Needs    clock wakes
-- KEYS     due ready:0-9
-- ARGV     none
-- Returns  milliseconds; 0 for now, -1 if there is no job
local due = KEYS[1]
if redis.call('EXISTS', unpack(KEYS, 2)) > 0 then
  return 0
end
return time_until(earliest(due))
