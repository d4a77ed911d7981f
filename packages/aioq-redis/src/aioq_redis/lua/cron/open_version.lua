-- open_version: let a version of an app be in force, unless a newer one was registered meanwhile.
--
-- Needs    clock
-- KEYS     crons:<app> version:<app>
-- ARGV     1 number of the registration   2 version   3 ms until it lapses
-- Returns  1 when it is in force, 0 when not
local crons, version = unpack(KEYS)
if redis.call('HGET', crons, '') ~= ARGV[1] then
  return 0
end
-- Begins with a command that needs no room, so that a full server lets it go on.
redis.call('DEL', version)
redis.call('SET', version, 'open ' .. ARGV[2], 'PXAT', string.format('%.0f', now + tonumber(ARGV[3])))
return 1
