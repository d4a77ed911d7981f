-- restore_task: let claims take the jobs of a stopped task again, those that were set aside first.
--
-- Needs    wakes orders holds
-- KEYS     stops latest_order held wake
-- ARGV     1 request id   2 task
-- Returns  1, or 0 if the task was not stopped
local stops, latest_order, held, wake = unpack(KEYS)
local request, task = unpack(ARGV)
local answer = earlier_answer(latest_order, request)
if answer then
  return answer
end
local aside = held_jobs(stops, held)
local order = redis.call('HGET', stops, 'task:' .. task)
redis.call('LLEN', wake)
if not order then
  return note_answer(latest_order, request, 0)
end
local number = tonumber(string.match(order, '^%d+'))
local waiting = number and aside.count(number) or 0
redis.call('HDEL', stops, 'task:' .. task)
local restoring = aside.numbers_in(redis.call('HGET', stops, 'restoring'))
if waiting > 0 then
  restoring[#restoring + 1] = number
end
aside.note_restoring(restoring)
wake_workers(wake, waiting)
return note_answer(latest_order, request, 1)
