-- nudge: put out a wake token if a job of one queue is due.
--
-- Needs    clock wakes
-- KEYS     due wake
-- ARGV     none
-- Returns  1 if there is such a job, 0 if not
local due, wake = unpack(KEYS)
local moment = earliest(due)
if not moment or tonumber(moment) >= now + 1 then
  return 0
end
wake_workers(wake, 1)
return 1
