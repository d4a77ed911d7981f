-- await_end: have the end of a job published, unless it has ended already.
--
-- Needs    clock
-- KEYS     jobs waits
-- ARGV     1 job id   2 how long a client waits for it, ms
-- Returns  1 if the job has ended or is unknown, 0 if its end will be published
local jobs, waits = unpack(KEYS)
local id, ttl = ARGV[1], tonumber(ARGV[2])
if redis.call('HEXISTS', jobs, id) == 0 then
  return 1
end
redis.call('ZREMRANGEBYSCORE', waits, '-inf', now)
-- Another client may wait longer for the same job: keep the later moment.
redis.call('ZADD', waits, 'GT', string.format('%.0f', now + ttl), id)
if redis.call('PTTL', waits) < ttl then
  redis.call('PEXPIRE', waits, ttl)
end
return 0
