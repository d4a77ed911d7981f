-- nudge: lay out a token for a job of one queue that has come due.
--
-- Needs    clock wakes
-- KEYS     due wake
-- ARGV     none
-- Returns  1 when there is such a job, 0 when there is none
local due, wake = unpack(KEYS)
local moment = earliest(due)
if not moment or tonumber(moment) >= now + 1 then
  return 0
end
wake_workers(wake, 1)
return 1
