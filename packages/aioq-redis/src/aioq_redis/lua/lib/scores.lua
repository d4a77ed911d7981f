-- scores: a time in milliseconds. Its fraction encodes the job's priority and its place among jobs that were
-- delayed together: (9 - priority) / 16 + place / 1024, with places from 0 to 63. So scripts know the ready
-- list of a job without its record, and jobs that are due in the same millisecond keep their order. A double
-- is precise enough for that until the year 2248.
local PLACES = 64

local function score(moment, priority, place)
  return string.format('%.10f', moment + (9 - priority) / 16 + (place or 0) / 1024)
end

-- A damaged score, such as -inf, has no fraction: it stands for the usual priority.
local function priority_of(score)
  local number = tonumber(score)
  local fraction = number - math.floor(number)
  return fraction >= 0 and 9 - math.min(math.floor(fraction * 16), 9) or 5
end
