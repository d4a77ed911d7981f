-- cron_status: what is known of some entries of one queue.
--
-- Needs    clock tick_runs
-- KEYS     jobs cron:<name>... ticks:<name>...
-- ARGV     the names, in the order of the keys
-- Returns  for each entry: app, number of its registration, armed, retired, paused, mark, success, result,
--          the counts of fired, ok, failed, skipped, missed and coalesced (each '' or false when there is
--          none), run line of a run that goes on or '', latest record or ''
local jobs = KEYS[1]
local reply = {}
for n, name in ipairs(ARGV) do
  local cron, ticks = KEYS[1 + n], KEYS[1 + #ARGV + n]
  local told = redis.call('HMGET', cron, 'app', 'number', 'armed', 'retired', 'paused', 'mark', 'success', 'result',
    'fired', 'ok', 'failed', 'skipped', 'missed', 'coalesced', 'run')
  local line = table.remove(told)
  told[#told + 1] = goes_on(parse_tick_run(line), name, jobs) and line or ''
  told[#told + 1] = redis.call('ZREVRANGE', ticks, 0, 0)[1] or ''
  reply[n] = told
end
return reply
