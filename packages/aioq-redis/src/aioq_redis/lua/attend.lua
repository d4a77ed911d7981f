-- attend: say that a worker of an app is up.
--
-- Needs    clock
-- KEYS     version:<app> crons:<app> apps pauses
-- ARGV     1 app   2 version of the worker   3 ms until the version lapses   4 ms to remember
-- Returns  the version that is registered, or ''; the server's time in ms; queue and name of each entry
--          of the app that is paused
local version, crons, apps, pauses = unpack(KEYS)
local app, remember = ARGV[1], ARGV[4]
local stamp = string.format('%.0f', now)
local registered = redis.call('GET', version) or ''
if registered == ARGV[2] and registered ~= '' then
  -- Begins with a command that needs no room, so that a full server lets it go on.
  redis.call('PEXPIRE', version, ARGV[3])
  redis.call('PEXPIRE', crons, remember)
  redis.call('PEXPIRE', pauses, remember)
  redis.call('ZADD', apps, stamp, app)
  redis.call('PEXPIRE', apps, remember)
end
local paused = {}
for _, field in ipairs(redis.call('HKEYS', pauses)) do
  if redis.call('HEXISTS', crons, field) == 1 then
    paused[#paused + 1] = field
  end
end
return { registered, stamp, paused }
