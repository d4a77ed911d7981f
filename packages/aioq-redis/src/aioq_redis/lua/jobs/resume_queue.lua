-- resume_queue: let claims take jobs of a paused queue again, and wake the workers that wait for that.
--
-- Needs    wakes orders holds
-- KEYS     stops latest_order resumed wake
-- ARGV     1 request id   2 ms until the tokens expire
-- Returns  1, or 0 if the queue was not paused
local stops, latest_order, resumed, wake = unpack(KEYS)
local request, ttl = unpack(ARGV)
local answer = earlier_answer(latest_order, request)
if answer then
  return answer
end
redis.call('LLEN', resumed)
redis.call('LLEN', wake)
if redis.call('HDEL', stops, 'queue') == 0 then
  return note_answer(latest_order, request, 0)
end
held_jobs(stops).forget_if_open()
wake_workers(resumed, MOST_TOKENS)
redis.call('PEXPIRE', resumed, ttl)
-- Some workers may not have claimed since the pause.
wake_workers(wake, MOST_TOKENS)
return note_answer(latest_order, request, 1)
