-- renew_registration: report that a worker of an app is up.
--
-- Needs    clock
-- KEYS     version:<app> crons:<app> apps pauses
-- ARGV     1 app   2 version of the worker   3 ms until the version lapses   4 ms to remember
-- Returns  the version that is registered or announced, or ''; the server's time in ms; queue and name of each
--          paused entry of the app
local version, crons, apps, pauses = unpack(KEYS)
local app, remember = ARGV[1], ARGV[4]
local stamp = string.format('%.0f', now)
local state, registered = string.match(redis.call('GET', version) or '', '^(%l+) (.*)$')
if state == 'coming' and registered == ARGV[2] then
  -- The worker that registers it may have died half-way, so the next worker of that version registers it again.
  registered = ''
elseif registered == ARGV[2] then
  -- The first write needs no memory, so a full server lets the script continue.
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
return { registered or '', stamp, paused }
