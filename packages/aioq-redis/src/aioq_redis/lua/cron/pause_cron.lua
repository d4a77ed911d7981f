-- pause_cron: have an entry fire no more.
--
-- Needs    clock
-- KEYS     cron:<name>
-- ARGV     1 request id   2 who did it and why, as JSON   3 ms to remember the entry
-- Returns  1, or 0 when it was paused already
local cron = KEYS[1]
local request, said, remember = unpack(ARGV)
local paused = redis.call('HGET', cron, 'paused')
-- A full server lets a script go on that began with a command which needs no room.
redis.call('HDEL', cron, '')
redis.call('HSET', cron, 'paused', string.format('%.0f %s %s', now, request, said))
redis.call('PEXPIRE', cron, remember)
return (not paused or string.match(paused, '^%d+ (%S+)') == request) and 1 or 0
