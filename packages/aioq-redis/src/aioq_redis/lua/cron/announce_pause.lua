-- announce_pause: mark an entry as paused for the workers of its app. They read it when they renew their registration.
--
-- Needs    clock
-- KEYS     pauses
-- ARGV     1 queue and name of the entry   2 ms to remember
-- Returns  1
local pauses = KEYS[1]
-- The first write needs no memory, so a full server lets the script continue.
redis.call('HDEL', pauses, ARGV[1])
redis.call('HSET', pauses, ARGV[1], string.format('%.0f', now))
redis.call('PEXPIRE', pauses, ARGV[2])
return 1
