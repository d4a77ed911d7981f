-- record_ticks: store records of ticks of one queue's entries.
--
-- Needs    numbers tick_history tick_runs
-- KEYS     cron:<name>... ticks:<name>...
-- ARGV     1 ms to remember an entry; then for each record: position of its entry, from 1; tick in ms;
--          owner; worker id; body, see lib/tick_history.lua; + and the result of a success, or ''
-- Returns  1
local remember = ARGV[1]
local entries = #KEYS / 2

local function end_run(cron, tick, worker)
  local run = parse_tick_run(redis.call('HGET', cron, 'run'))
  if run and run.tick == tick and (run.kind == 'j' or run.worker == worker) then
    redis.call('HSET', cron, 'run', tick_run_line(tick, run.till, 'e', run.worker))
  end
end

local function store_result(cron, tick, result)
  if tonumber(tick) < (stored_number(redis.call('HGET', cron, 'success')) or -1) then
    return
  end
  redis.call('HSET', cron, 'success', tick)
  if result == '' then
    redis.call('HDEL', cron, 'result')
  else
    redis.call('HSET', cron, 'result', string.sub(result, 2))
  end
end

for at = 2, #ARGV, 6 do
  local entry, tick, owner, worker, body, result = unpack(ARGV, at, at + 5)
  local cron, ticks = KEYS[tonumber(entry)], KEYS[entries + tonumber(entry)]
  -- A full server lets a script continue if its first write needs no memory.
  redis.call('HDEL', cron, '')
  note_tick(cron, ticks, tick, owner, body)
  if string.match(body, '^%a%d+ %S+ %-?%d') then
    end_run(cron, tick, worker)
  end
  if string.byte(body) == 111 then
    store_result(cron, tick, result)
  end
end
for n = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[n], remember)
end
return 1
