-- pause_cron: pause an entry.
--
-- Needs    clock
-- KEYS     cron:<name>
-- ARGV     1 request id   2 operator and note, as JSON   3 ms to remember the entry
-- Returns  1, or 0 if it was paused already
local cron = KEYS[1]
local request, note, remember = unpack(ARGV)
local paused = redis.call('HGET', cron, 'paused')
-- A full server lets a script continue if its first write needs no memory.
redis.call('HDEL', cron, '')
redis.call('HSET', cron, 'paused', string.format('%.0f %s %s', now, request, note))
redis.call('PEXPIRE', cron, remember)
return (not paused or string.match(paused, '^%d+ (%S+)') == request) and 1 or 0
