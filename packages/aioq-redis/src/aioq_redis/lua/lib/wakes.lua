-- wakes: tokens on which idle workers block. A token carries no job, so a lost token only costs time.
local MOST_TOKENS = 100

local function wake_workers(wake, jobs)
  local tokens = {}
  for n = 1, math.min(jobs, MOST_TOKENS - redis.call('LLEN', wake)) do
    tokens[n] = '1'
  end
  if #tokens > 0 then
    redis.call('LPUSH', wake, unpack(tokens))
  end
end

local function earliest(due)
  return redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
end

-- Milliseconds until a moment, 0 if it has passed; -1 without one. A damaged moment may be infinite.
local MOST_WAIT = 1e12

local function time_until(moment)
  return moment and math.min(math.max(0, math.floor(moment) - now), MOST_WAIT) or -1
end
