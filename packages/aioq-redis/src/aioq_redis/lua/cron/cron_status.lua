-- cron_status: read the stored fields of entries of one queue.
--
-- Needs    clock numbers tick_runs
-- KEYS     jobs schedules cron:<name>... ticks:<name>...
-- ARGV     the names, in the order of the keys
-- Returns  for each entry: app, number of its registration, armed, retired, paused, last tick, success, result,
--          the counts of fired, ok, failed, skipped, missed and coalesced (each '' or false if absent),
--          the run line of a run that goes on or '', the latest record or '', the line of the stored schedule or ''
--          if there is none, or an app has registered the entry
local jobs, schedules = unpack(KEYS)
local reply = {}
for n, name in ipairs(ARGV) do
  local cron, ticks = KEYS[2 + n], KEYS[2 + #ARGV + n]
  local fields = redis.call('HMGET', cron, 'app', 'number', 'armed', 'retired', 'paused', 'last_tick', 'success', 'result',
    'fired', 'ok', 'failed', 'skipped', 'missed', 'coalesced', 'run')
  local line = table.remove(fields)
  fields[#fields + 1] = goes_on(parse_tick_run(line), name, jobs) and line or ''
  fields[#fields + 1] = redis.call('ZREVRANGE', ticks, 0, 0)[1] or ''
  local registered = fields[1] and not fields[4]
  fields[#fields + 1] = not registered and redis.call('HGET', schedules, name) or ''
  reply[n] = fields
end
return reply
