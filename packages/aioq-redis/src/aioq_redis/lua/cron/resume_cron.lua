-- resume_cron: have an entry fire again, from the next tick on.
--
-- Needs    clock
-- KEYS     cron:<name>
-- ARGV     1 request id   2 ms to remember the entry
-- Returns  1, or 0 when it was not paused
local cron = KEYS[1]
local request, remember = unpack(ARGV)
if redis.call('HEXISTS', cron, 'paused') == 0 then
  return redis.call('HGET', cron, 'resumed') == request and 1 or 0
end
local mark = math.max(now, tonumber(redis.call('HGET', cron, 'mark') or 0))
redis.call('HDEL', cron, 'paused')
redis.call('HSET', cron, 'mark', string.format('%.0f', mark), 'armed', string.format('%.0f', now), 'resumed', request)
redis.call('PEXPIRE', cron, remember)
return 1
