-- open_version: put a version of an app in force, unless a newer one was registered meanwhile.
--
-- Needs    clock
-- KEYS     crons:<app> version:<app>
-- ARGV     1 number of the registration   2 version   3 ms until it lapses
-- Returns  1 if it is in force, 0 if not
local crons, version = unpack(KEYS)
if redis.call('HGET', crons, '') ~= ARGV[1] then
  return 0
end
-- The first write needs no memory, so a full server lets the script continue.
redis.call('DEL', version)
redis.call('SET', version, 'open ' .. ARGV[2], 'PXAT', string.format('%.0f', now + tonumber(ARGV[3])))
return 1
