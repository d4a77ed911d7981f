-- register_app: store the entries of an app, and retire those that it no longer has.
--
-- Needs    clock batches numbers
-- KEYS     registrations apps crons:<app> version:<app>
-- ARGV     1 app   2 version   3 ms to remember   4 ms until the version lapses   then for each entry:
--          queue and name, definition
-- Returns  the number of this registration, higher than all before; queue and name of each retired entry
local registrations, apps, crons, version = unpack(KEYS)
local app, remember = ARGV[1], ARGV[3]
local stamp = string.format('%.0f', now)
local oldest = now - tonumber(remember)

-- The first write needs no memory, so a full server lets the script continue.
redis.call('ZREMRANGEBYSCORE', apps, '-inf', string.format('%.0f', oldest))
-- The running version stays in force until it is replaced. A version whose entries are being stored is
-- announced first, so that a worker of the replaced version does not register its own version again.
if redis.call('GET', version) ~= 'open ' .. ARGV[2] then
  redis.call('SET', version, 'coming ' .. ARGV[2], 'PX', ARGV[4])
end

-- Also higher than the clock, in case that the number was lost.
local number = string.format('%.0f', math.max(now, (stored_number(redis.call('GET', registrations)) or 0) + 1))
local entries, mine = { '', number }, { [''] = true }
for n = 5, #ARGV, 2 do
  mine[ARGV[n]] = true
  entries[#entries + 1] = ARGV[n]
  entries[#entries + 1] = '0 ' .. ARGV[n + 1]
end

local retired, forgotten = {}, {}
for _, field in ipairs(redis.call('HKEYS', crons)) do
  if not mine[field] then
    local since, definition = string.match(redis.call('HGET', crons, field), '^(%d+) (.*)$')
    -- A damaged definition has no time, and is forgotten.
    if since == '0' then
      entries[#entries + 1] = field
      entries[#entries + 1] = stamp .. ' ' .. definition
    end
    if since == '0' or (stored_number(since) or 0) > oldest then
      retired[#retired + 1] = field
    else
      forgotten[#forgotten + 1] = field
    end
  end
end

redis.call('SET', registrations, number, 'PX', remember)
redis.call('ZADD', apps, stamp, app)
redis.call('PEXPIRE', apps, remember)
spread('HDEL', crons, forgotten)
spread('HSET', crons, entries)
redis.call('PEXPIRE', crons, remember)
return { number, retired }
