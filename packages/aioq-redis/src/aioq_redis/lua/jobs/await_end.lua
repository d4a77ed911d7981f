-- await_end: ask to be told when a job ends, unless it has.
--
-- Needs    clock
-- KEYS     jobs waits
-- ARGV     1 job id   2 how long it is of interest, ms
-- Returns  1 when no such job waits or runs, 0 when its end will be told
local jobs, waits = unpack(KEYS)
local id, ttl = ARGV[1], tonumber(ARGV[2])
if redis.call('HEXISTS', jobs, id) == 0 then
  return 1
end
redis.call('ZREMRANGEBYSCORE', waits, '-inf', now)
-- Others may wait for it for longer.
redis.call('ZADD', waits, 'GT', string.format('%.0f', now + ttl), id)
if redis.call('PTTL', waits) < ttl then
  redis.call('PEXPIRE', waits, ttl)
end
return 0
