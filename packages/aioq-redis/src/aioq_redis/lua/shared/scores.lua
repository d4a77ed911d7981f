-- scores: a moment in milliseconds, with the job's priority as (9 - priority) / 16 of one.
-- So a job's line is known without reading its record, and of jobs due in the same
-- millisecond the more urgent comes first.
local FRACTION = { '.5', '.4375', '.375', '.3125', '.25', '.1875', '.125', '.0625', '.0' }
FRACTION[0] = '.5625'

local function score(moment, priority)
  return string.format('%.0f', moment) .. FRACTION[priority]
end

local function priority_of(score)
  local priority = 9 - math.floor((score - math.floor(score)) * 16 + 0.5)
  return math.max(priority, 0)
end
