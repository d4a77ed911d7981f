-- peek: how long until a job of one queue may be claimed.
--
-- Needs    clock wakes
-- KEYS     due ready:0-9
-- ARGV     none
-- Returns  milliseconds, 0 for now, -1 when no job waits
local due = KEYS[1]
if redis.call('EXISTS', unpack(KEYS, 2)) > 0 then
  return 0
end
local moment = earliest(due)
return moment and math.max(0, math.floor(moment) - now) or -1
