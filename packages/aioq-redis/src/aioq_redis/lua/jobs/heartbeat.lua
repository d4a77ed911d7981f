-- heartbeat: register a worker for a while.
--
-- Needs    clock
-- KEYS     workers worker:<id>
-- ARGV     1 worker id   2 description of the worker   3 ms until it expires
-- Returns  1
local workers, worker = unpack(KEYS)
local id, info, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- The first write needs no memory, so a full server lets the script continue.
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
redis.call('ZADD', workers, string.format('%.0f', now + ttl), id)
redis.call('SET', worker, info, 'PX', string.format('%.0f', ttl))
if redis.call('PTTL', workers) < ttl then
  redis.call('PEXPIRE', workers, string.format('%.0f', ttl))
end
return 1
