-- stats: count the jobs of one queue by state.
--
-- Needs    clock
-- KEYS     jobs due leased dead expired
-- ARGV     none
-- Returns  pending, scheduled, running, dead, expired
local jobs, due, leased, dead, expired = unpack(KEYS)
local scheduled, running = redis.call('ZCARD', due), redis.call('ZCARD', leased)
local pending = redis.call('HLEN', jobs) - scheduled - running
return {
  math.max(pending, 0), scheduled, running,
  redis.call('ZCOUNT', dead, now, '+inf'), redis.call('ZCOUNT', expired, now, '+inf'),
}
