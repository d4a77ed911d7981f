-- retry_job: enqueue a failed, cancelled, dead or expired job again, with no attempts counted.
--
-- Needs    clock batches scores states runs attempts records due ended wakes
-- KEYS     jobs runs due cancelled_ids attempts ended wake ended_indexes ready:0-9
-- ARGV     1 job id   2 request id
-- Returns  1 if the script enqueued it, 0 if it is unknown or in another state
local jobs, runs, due, cancelled_ids, attempts, ended, wake = unpack(KEYS)
local INDEX, READY = ended_indexes(8)
local MOST_PROMOTED = 1000
local id, request = ARGV[1], ARGV[2]

if redis.call('HEXISTS', jobs, id) == 1 then
  -- The run line of a job that was enqueued again names the request: a repeated one is answered as the first time.
  local run = parse_run(redis.call('HGET', runs, id))
  return run and run.state == RUN_REPLAY and string.match(run.worker, '^%S+') == request and 1 or 0
end
local text = redis.call('HGET', ended, id)
local kept = text and parse_ended(text)
local index = kept and REPLAYABLE[kept.state] and INDEX[kept.state]
if not index or not is_kept(index, id) then
  return 0
end

local past = parse_run(kept.run) or { epoch = 0, worker = '' }
local told = kept.attempts
if kept.settled == '1' and past.claimed then
  told = with_attempt(told, attempt_line(past, kept.state, tonumber(kept.finished), kept.body))
end
local run = {
  state = RUN_REPLAY, noted = told .. kept.body ~= '', started = true, epoch = past.epoch, hand_backs = 0,
  enqueued = string.match(kept.record, '^(%d+) ') or '0',
  attempt = 0, crashes = 0, claimed = '0', due = string.format('%.0f', now),
  -- The worker stays: if it repeats its report of the run before, it hears that the report was written.
  worker = request .. ' ' .. string.match(past.worker, '%S*$'),
}
if redis.call('SREM', cancelled_ids, id) == 1 then
  -- The id that the cancelled job left in a ready list would run this one twice.
  for priority = 0, 9 do
    redis.call('LREM', KEYS[READY + priority], 0, id)
  end
end
local promoted = promote(due, READY, MOST_PROMOTED)
redis.call('RPUSH', KEYS[READY + line_of(kept.record)], id)
redis.call('HSET', runs, id, run_line(run))
if run.noted then
  redis.call('HSET', attempts, id, told .. '\n' .. kept.body)
end
redis.call('HSET', jobs, id, kept.record)
forget_ended(ended, index, { id })
wake_workers(wake, promoted + 1)
return 1
