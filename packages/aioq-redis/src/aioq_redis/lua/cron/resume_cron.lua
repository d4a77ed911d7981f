-- resume_cron: resume a paused entry, from the next tick on.
--
-- Needs    clock numbers
-- KEYS     cron:<name>
-- ARGV     1 request id   2 ms to remember the entry
-- Returns  1, or 0 if it was not paused
local cron = KEYS[1]
local request, remember = unpack(ARGV)
if redis.call('HEXISTS', cron, 'paused') == 0 then
  return redis.call('HGET', cron, 'resumed') == request and 1 or 0
end
local last_tick = math.max(now, stored_tick(redis.call('HGET', cron, 'last_tick')) or 0)
redis.call('HDEL', cron, 'paused')
redis.call('HSET', cron, 'last_tick', string.format('%.0f', last_tick), 'armed', string.format('%.0f', now), 'resumed', request)
redis.call('PEXPIRE', cron, remember)
return 1
