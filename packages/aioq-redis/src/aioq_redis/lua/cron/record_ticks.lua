-- record_ticks: store records of ticks of one queue's entries.
--
-- Needs    numbers tick_history tick_runs
-- KEYS     cron:<name>... ticks:<name>...
-- ARGV     1 ms to remember an entry; then for each record: position of its entry, from 1; tick in ms;
--          owner; worker id; body, see lib/tick_history.lua; + and the result of a success, or ''
-- Returns  1
local remember = ARGV[1]
local entries, histories = #KEYS / 2, {}

local function history_at(entry, cron)
  local history = histories[entry] or history_of(cron, KEYS[entries + entry], redis.call('HGET', cron, 'forgotten'))
  histories[entry] = history
  return history
end

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
  entry = tonumber(entry)
  local cron = KEYS[entry]
  -- A full server lets a script continue if its first write needs no memory.
  redis.call('HDEL', cron, '')
  note_tick(history_at(entry, cron), tick, owner, body)
  if string.match(body, '^%a%d+ %S+ %-?%d') then
    end_run(cron, tick, worker)
  end
  if string.byte(body) == 111 then
    store_result(cron, tick, result)
  end
end
for _, history in pairs(histories) do
  write_counts(history)
end
for n = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[n], remember)
end
return 1
