-- pass_on_resume: wake the next worker that waits for the resume of one queue.
--
-- Needs    wakes
-- KEYS     stops resumed
-- ARGV     1 ms until the token expires
-- Returns  1 if the queue is not paused, 0 if it is
--
-- Each worker that was woken does this, so that all are woken, however many they are.
local stops, resumed = unpack(KEYS)
if redis.call('HEXISTS', stops, 'queue') == 1 then
  return 0
end
if redis.call('LLEN', resumed) == 0 then
  wake_workers(resumed, 1)
  redis.call('PEXPIRE', resumed, ARGV[1])
end
return 1
