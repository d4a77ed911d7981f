-- stats: count the jobs of one queue by state.
--
-- Needs    clock
-- KEYS     jobs due leased dead expired failure_times
-- ARGV     none
-- Returns  pending, scheduled, running, dead, expired, listed failures
local jobs, due, leased, dead, expired, failure_times = unpack(KEYS)
local FAILURE_TTL = 604800000
local scheduled, running = redis.call('ZCARD', due), redis.call('ZCARD', leased)
local pending = redis.call('HLEN', jobs) - scheduled - running
return {
  math.max(pending, 0), scheduled, running,
  redis.call('ZCOUNT', dead, now, '+inf'), redis.call('ZCOUNT', expired, now, '+inf'),
  redis.call('ZCOUNT', failure_times, '(' .. string.format('%.0f', now - FAILURE_TTL), '+inf'),
}
