-- pause_queue: let no claim take a job of one queue.
--
-- Needs    clock wakes orders
-- KEYS     stops latest_order resumed wake
-- ARGV     1 request id   2 note and author, as JSON
-- Returns  1, or 0 if the queue was paused already
local stops, latest_order, resumed, wake = unpack(KEYS)
local request, text = unpack(ARGV)
local answer = earlier_answer(latest_order, request)
if answer then
  return answer
end
local before = redis.call('HGET', stops, 'queue')
redis.call('LLEN', wake)
-- Tokens of an earlier resume would wake the workers that are about to wait for the next one. This first write needs no
-- memory, so a full server lets the script continue.
redis.call('DEL', resumed)
local since = before and string.match(before, '^%d+') or string.format('%.0f', now)
redis.call('HSET', stops, 'queue', since .. ' ' .. text)
if not before then
  -- Each idle worker claims once, and then waits for the resume.
  wake_workers(wake, MOST_TOKENS)
end
return note_answer(latest_order, request, before and 0 or 1)
