-- tell_pause: let the workers of an app hear that an entry is paused, when they say that they are up.
--
-- Needs    clock
-- KEYS     pauses
-- ARGV     1 queue and name of the entry   2 ms to remember
-- Returns  1
local pauses = KEYS[1]
-- Begins with a command that needs no room, so that a full server lets it go on.
redis.call('HDEL', pauses, ARGV[1])
redis.call('HSET', pauses, ARGV[1], string.format('%.0f', now))
redis.call('PEXPIRE', pauses, ARGV[2])
return 1
