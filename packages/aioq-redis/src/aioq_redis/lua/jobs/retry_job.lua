-- retry_job: let a job run again that failed, died, expired or was cancelled, or one now that waits for its retry.
--
-- Needs    clock batches scores states runs attempts records due ended failures wakes replays
-- KEYS     jobs runs due cancelled_ids attempts ended wake failure_list ended_indexes ready:0-9
-- ARGV     1 job id   2 request id
-- Returns  1 if the script enqueued it or brought it forward, 0 if it is unknown or in another state
local jobs, runs, due, cancelled_ids, attempts, ended, wake = unpack(KEYS)
local INDEX, READY = ended_indexes(13)
local id, request = ARGV[1], ARGV[2]
local MOST_PROMOTED = 1000
local at = {
  jobs = jobs, runs = runs, due = due, cancelled_ids = cancelled_ids, attempts = attempts, wake = wake, line = READY,
}

-- The priority is in the score. Nothing of the job changes but its time, and the worker that its line names.
local function bring_forward(run)
  local moment = redis.call('ZSCORE', due, id)
  if not moment or tonumber(moment) < now + 1 then
    return 0
  end
  run.due, run.worker = string.format('%.0f', now), request .. ' ' .. string.match(run.worker, '%S*$')
  local promoted = promote(due, READY, MOST_PROMOTED)
  redis.call('RPUSH', KEYS[READY + priority_of(moment)], id)
  redis.call('HSET', runs, id, run_line(run))
  redis.call('ZREM', due, id)
  wake_workers(wake, promoted + 1)
  return 1
end

if redis.call('HEXISTS', jobs, id) == 1 then
  local run = parse_run(redis.call('HGET', runs, id))
  if was_ordered(run, request) then
    return 1
  end
  return run and run.state == RUN_RETRY and bring_forward(run) or 0
end
local text = redis.call('HGET', ended, id)
local kept = text and parse_ended(text)
local index = kept and REPLAYABLE[kept.state] and INDEX[kept.state]
if not index or not is_kept(index, id) then
  return 0
end
replay_job(at, id, kept, request)
forget_ended(ended, index, { id })
unlist_failures(failure_keys(8), { id .. '~' .. (string.match(kept.record, '^(%d+) ') or '0') })
return 1
