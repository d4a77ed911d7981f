-- stop_task: let no claim take a job of one task of one queue.
--
-- Needs    clock orders holds
-- KEYS     stops latest_order held
-- ARGV     1 request id   2 task   3 note and author, as JSON
-- Returns  1, or 0 if the task was stopped already, or -1 if too many tasks are
local stops, latest_order, held = unpack(KEYS)
local MOST_STOPPED = 1000
local request, task, text = unpack(ARGV)
local answer = earlier_answer(latest_order, request)
if answer then
  return answer
end
local aside = held_jobs(stops, held)
local field = 'task:' .. task
local fields, used, stopped = redis.call('HGETALL', stops), {}, 0
for n = 1, #fields, 2 do
  if fields[n] == 'restoring' then
    for _, number in ipairs(aside.numbers_in(fields[n + 1])) do
      used[number] = true
    end
  elseif string.sub(fields[n], 1, 5) == 'task:' then
    stopped = stopped + 1
    used[tonumber(string.match(fields[n + 1], '^%d+')) or -1] = true
  end
end
local before = redis.call('HGET', stops, field)
if not before and stopped >= MOST_STOPPED then
  return -1
end
local number, since = string.match(before or '', '^(%d+) (%d+) ')
if not number then
  number, since = 0, string.format('%.0f', now)
  while used[number] or aside.count(number) > 0 do
    number = number + 1
  end
end
-- A full server lets a script continue if its first write needs no memory.
redis.call('HDEL', stops, '')
redis.call('HSET', stops, field, string.format('%d %s %s', number, since, text))
return note_answer(latest_order, request, before and 0 or 1)
