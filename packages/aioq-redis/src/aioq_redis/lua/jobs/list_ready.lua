-- list_ready: return ids of pending jobs of one queue, in the order of execution.
--
-- Needs    batches
-- KEYS     cancelled_ids suspects ready:0-9
-- ARGV     1 how many to skip   2 most ids
-- Returns  the ids
local cancelled_ids, suspects = unpack(KEYS)
local READY = 3
local skip, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local STEP = 1000
local has_cancelled = redis.call('EXISTS', cancelled_ids) == 1
local reply = {}

local function collect(ids)
  local absent = has_cancelled and fetch('SMISMEMBER', cancelled_ids, ids)
  for n, id in ipairs(ids) do
    if not (absent and absent[n] == 1) then
      if skip > 0 then
        skip = skip - 1
      elseif #reply < limit then
        reply[#reply + 1] = id
      end
    end
  end
end

-- Jobs that crashed come first, then the ready lists by priority.
local lines = { suspects }
for priority = 9, 0, -1 do
  lines[#lines + 1] = KEYS[READY + priority]
end
for n, line in ipairs(lines) do
  local count, range = 'LLEN', 'LRANGE'
  if n == 1 then
    count, range = 'ZCARD', 'ZRANGE'
  end
  local first, length = 0, redis.call(count, line)
  if not has_cancelled then
    -- Every id counts, so the first ones can be skipped without reading them.
    first = math.min(skip, length)
    skip = skip - first
  end
  while first < length and #reply < limit do
    collect(redis.call(range, line, first, first + STEP - 1))
    first = first + STEP
  end
end
return reply
