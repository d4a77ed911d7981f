-- extend_runs: report that runs of ticks still go on.
--
-- Needs    clock numbers tick_runs
-- KEYS     cron:<name>...
-- ARGV     1 length from now, ms; then for each key: tick in ms, worker id
-- Returns  the positions of the runs that another one has replaced, counted from 0
local length = tonumber(ARGV[1])
local lost = {}
for n, cron in ipairs(KEYS) do
  local tick, worker = ARGV[2 * n], ARGV[2 * n + 1]
  local run = parse_tick_run(redis.call('HGET', cron, 'run'))
  if run and (run.tick ~= tick or run.worker ~= worker) then
    lost[#lost + 1] = n - 1
  elseif run and run.kind == 'w' then
    -- A full server lets a script continue if its first write needs no memory.
    redis.call('HDEL', cron, '')
    redis.call('HSET', cron, 'run', tick_run_line(tick, now + length, 'w', worker))
  end
end
return lost
