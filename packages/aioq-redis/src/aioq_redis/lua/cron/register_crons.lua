-- register_crons: register entries of one queue for an app: arm new ones, retire removed ones.
--
-- Needs    clock numbers
-- KEYS     cron:<name>...
-- ARGV     1 number of the registration   2 app   3 ms to remember an entry; then for each key
--          + and its fingerprint, - and its fingerprint if it is disabled, or nothing to retire it
-- Returns  for each key 1 if the entry belongs to the app, 0 if it belongs to another app
local number, app, remember = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local stamp = string.format('%.0f', now)

local function retire(cron, known)
  if known.app == app and not known.retired then
    redis.call('HSET', cron, 'retired', stamp, 'number', ARGV[1])
  end
end

local function arm(cron, known, fingerprint)
  local last_tick = math.max(now, stored_tick(known.last_tick) or 0)
  redis.call('HSET', cron, 'armed', stamp, 'last_tick', string.format('%.0f', last_tick), 'last_tick_by', fingerprint)
end

local function define(cron, known, plan)
  local enabled, fingerprint = string.sub(plan, 1, 1), string.sub(plan, 2)
  if known.retired or known.fingerprint ~= fingerprint or (enabled == '+' and known.enabled == '-') then
    arm(cron, known, fingerprint)
  end
  redis.call('HSET', cron, 'app', app, 'number', ARGV[1], 'fingerprint', fingerprint, 'enabled', enabled)
  redis.call('HDEL', cron, 'retired')
end

local reply = {}
for n, cron in ipairs(KEYS) do
  local plan = ARGV[3 + n]
  local found = redis.call('HMGET', cron, 'app', 'number', 'fingerprint', 'enabled', 'retired', 'last_tick')
  local known = {
    app = found[1], fingerprint = found[3], enabled = found[4], retired = found[5], last_tick = found[6],
  }
  -- A full server lets a script continue if its first write needs no memory.
  redis.call('HDEL', cron, '')
  if (stored_number(found[2]) or 0) > number then
    -- A newer registration was made meanwhile.
    reply[n] = known.app == app and 1 or 0
  elseif plan == '' then
    retire(cron, known)
    reply[n] = known.app == app and 1 or 0
  else
    define(cron, known, plan)
    reply[n] = 1
  end
  redis.call('PEXPIRE', cron, remember)
end
return reply
