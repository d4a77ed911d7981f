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
