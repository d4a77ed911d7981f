-- replay_failures: enqueue listed failures again, with no attempts counted.
--
-- Needs    clock batches scores states runs attempts records due ended failures wakes replays
-- KEYS     jobs runs due cancelled_ids attempts ended wake failure_list ended_indexes ready:0-9
-- ARGV     1 request id; then failure ids
-- Returns  for each: 1 if the script enqueued it; 0 if it is not listed, another job has its id, or nothing of the job
--          is stored
local jobs, runs, due, cancelled_ids, attempts, ended, wake = unpack(KEYS)
local INDEX, READY = ended_indexes(13)
local request, failed = ARGV[1], failure_keys(8)
local at = {
  jobs = jobs, runs = runs, due = due, cancelled_ids = cancelled_ids, attempts = attempts, wake = wake, line = READY,
}

-- The record of the ended job, and the index of it if it is among the ended jobs; nil if the job cannot be replayed.
local function stored_job(id, enqueued, failure_id)
  local text = redis.call('HGET', ended, id)
  local kept = text and parse_ended(text)
  local index = kept and INDEX[kept.state]
  if index and is_kept(index, id) then
    local same = string.match(kept.record, '^(%d+) ') == enqueued and REPLAYABLE[kept.state]
    return same and kept or nil, index
  end
  local copy = redis.call('HGET', failed.failed_jobs, failure_id)
  return copy and parse_ended(copy), index or nil
end

local function replay(failure_id)
  local id, enqueued = string.match(failure_id, '^(.*)~(%d+)$')
  if not id or redis.call('HEXISTS', jobs, id) == 1 then
    return id and was_ordered(parse_run(redis.call('HGET', runs, id)), request) and 1 or 0
  end
  if redis.call('HEXISTS', failed.failures, failure_id) == 0 then
    return 0
  end
  local kept, index = stored_job(id, enqueued, failure_id)
  if not kept then
    return 0
  end
  replay_job(at, id, kept, request)
  if index then
    forget_ended(ended, index, { id })
  end
  unlist_failures(failed, { failure_id })
  return 1
end

local reply = {}
for n = 2, #ARGV do
  reply[n - 1] = replay(ARGV[n])
end
return reply
