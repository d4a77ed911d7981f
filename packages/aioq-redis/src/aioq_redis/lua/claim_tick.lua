-- claim_tick: decide who fires a tick of a cron entry. The mark only ever goes up.
--
-- Needs    clock
-- KEYS     cron:<name>
-- ARGV     1 tick, ms   2 fingerprint of the schedule   3 worker id   4 ms a tick may be early
--          5 ms to remember the entry
-- Returns  `won`, `lost` or `early`; the server's time in ms; with `won` the mark before, or ''
local cron = KEYS[1]
local tick, fingerprint, worker, allowed, ttl = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local stamp = string.format('%.0f', now)
if tick > now + allowed then
  return { 'early', stamp, '' }
end
local entry = redis.call('HMGET', cron, 'mark', 'fingerprint')
local mark = tonumber(entry[1] or nil)
if mark and mark >= tick then
  return { 'lost', stamp, '' }
end
redis.call('HSET', cron, 'mark', ARGV[1], 'fingerprint', fingerprint, 'worker', worker, 'at', stamp)
redis.call('HINCRBY', cron, 'generation', 1)
redis.call('PEXPIRE', cron, ttl)
return { 'won', stamp, mark and entry[2] == fingerprint and entry[1] or '' }
