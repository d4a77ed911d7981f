-- restore_held: find the jobs of one queue that are set aside for a stop that is gone, and let claims take them again.
--
-- Needs    wakes holds
-- KEYS     stops held wake
-- ARGV     1 whether to put them back: 1 or 0
-- Returns  how many jobs are set aside for stops of which nothing is stored
local stops, held, wake = unpack(KEYS)
local MOST_NUMBERS = 2000
local aside = held_jobs(stops, held)
local restoring = aside.numbers_in(redis.call('HGET', stops, 'restoring'))
local known = {}
for _, number in ipairs(restoring) do
  known[number] = true
end
local fields = redis.call('HGETALL', stops)
for n = 1, #fields, 2 do
  if string.sub(fields[n], 1, 5) == 'task:' then
    known[tonumber(string.match(fields[n + 1], '^%d+')) or -1] = true
  end
end
local from, lost = '0', 0
for _ = 1, MOST_NUMBERS do
  local position = redis.call('ZRANGEBYSCORE', held, from, '(inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if not position then
    break
  end
  local number = aside.number(position)
  if not known[number] then
    lost = lost + aside.count(number)
    restoring[#restoring + 1] = number
  end
  from = aside.first(number + 1)
end
if lost > 0 and ARGV[1] == '1' then
  redis.call('LLEN', wake)
  aside.note_restoring(restoring)
  wake_workers(wake, lost)
end
return lost
