-- renew_registration: report that a worker of an app is up.
--
-- Needs    clock
-- KEYS     version:<app> crons:<app> apps pauses attendance:<app>
-- ARGV     1 app   2 version of the worker   3 ms until the version lapses   4 ms to remember   5 report of a worker
--          that fires entries, or ''   6 ms for which it counts   7 reports that are returned at most
-- Returns  the version that is registered or announced, or ''; the server's time in us; queue and name of each
--          paused entry of the app; the reports of the workers that are up, none if they are too many
local version, crons, apps, pauses, attendance = unpack(KEYS)
local app, remember = ARGV[1], ARGV[4]
local stamp = string.format('%.0f', now)
-- The first write needs no memory, so a full server lets the script continue.
redis.call('ZREMRANGEBYSCORE', attendance, '-inf', stamp)
if ARGV[5] ~= '' then
  redis.call('ZADD', attendance, string.format('%.0f', now + ARGV[6]), ARGV[5])
  redis.call('PEXPIRE', attendance, ARGV[3])
end
local present = redis.call('ZCARD', attendance) <= tonumber(ARGV[7]) and redis.call('ZRANGE', attendance, 0, -1)

local state, registered = string.match(redis.call('GET', version) or '', '^(%l+) (.*)$')
if state == 'coming' and registered == ARGV[2] then
  -- The worker that registers it may have died half-way, so the next worker of that version registers it again.
  registered = ''
elseif registered == ARGV[2] then
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
return { registered or '', microseconds(), paused, present or {} }
