-- retry_job: enqueue a failed, cancelled, dead or expired job again, with no attempts counted.
--
-- Needs    clock batches scores states runs attempts records due ended failures wakes replays
-- KEYS     jobs runs due cancelled_ids attempts ended wake failure_list ended_indexes ready:0-9
-- ARGV     1 job id   2 request id
-- Returns  1 if the script enqueued it, 0 if it is unknown or in another state
local jobs, runs, due, cancelled_ids, attempts, ended, wake = unpack(KEYS)
local INDEX, READY = ended_indexes(13)
local id, request = ARGV[1], ARGV[2]
local at = {
  jobs = jobs, runs = runs, due = due, cancelled_ids = cancelled_ids, attempts = attempts, wake = wake, line = READY,
}

if redis.call('HEXISTS', jobs, id) == 1 then
  return was_replayed(at, id, request) and 1 or 0
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
