-- cancel: cancel a job, whether it is pending, scheduled or running.
--
-- Needs    clock batches states runs attempts ended waits
-- KEYS     jobs runs leased due cancelled_ids attempts ended waits suspects held ended_indexes ready:0-9
-- ARGV     1 job id   2 request id   3 ms to keep the record
--          4 channel of ends, without the job id   5 channel of aborts, without the worker id, on which the script
--          publishes the fencing token of the run, the queue and the job id   6 queue
-- Returns  1 if the script cancelled it, 0 if it has ended or is unknown
local jobs, runs, leased, due, cancelled_ids, attempts, ended, waits, suspects, held = unpack(KEYS)
local INDEX, READY = ended_indexes(11)
local MOST_PRUNED, SWEEP_EVERY, MOST_SWEPT = 100, 1000, 20000
local id, request, ttl, ends, aborts = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- Removes the cancelled ids from the front of a ready list; returns how many ids it looked at.
local function sweep_line(line, most)
  local ids = redis.call('LRANGE', line, 0, most - 1)
  local absent = #ids > 0 and fetch('SMISMEMBER', cancelled_ids, ids)
  local kept, removed = {}, {}
  for n = #ids, 1, -1 do
    local list = absent[n] == 1 and removed or kept
    list[#list + 1] = ids[n]
  end
  if #removed > 0 then
    redis.call('LTRIM', line, #ids, -1)
    spread('LPUSH', line, kept)
    spread('SREM', cancelled_ids, removed)
  end
  return #ids
end

local function sweep()
  local left = MOST_SWEPT
  for priority = 9, 0, -1 do
    if left > 0 then
      left = left - sweep_line(KEYS[READY + priority], left)
    end
  end
end

local record = redis.call('HGET', jobs, id)
if not record then
  -- A repeated request finds its own record, and is answered as the first time.
  local text = redis.call('HGET', ended, id)
  local kept = text and parse_ended(text)
  return kept and kept.state == CANCELLED and kept.note == request and 1 or 0
end

local line = redis.call('HGET', runs, id)
local run = parse_run(line)
local running = redis.call('ZSCORE', leased, id)
local past, failure = split_attempts(run and run.noted and redis.call('HGET', attempts, id))
if running and run then
  past = with_attempt(past, attempt_line(run, CANCELLED, now, ''))
end
-- A full server lets a script continue if its first write needs no memory. What is added
-- comes before what is removed: if a key of the wrong type ends the script, the lease is still there.
redis.call('ZREM', leased, '')
store_ended(ended, INDEX, CANCELLED,
  { id, ended_record(CANCELLED, 0, request, line or '', failure ~= '' and failure or nil, record, past) }, { ttl })
for _, index in pairs(INDEX) do
  -- A queue without workers is not reaped, and its clients go on to cancel jobs.
  prune(ended, index, MOST_PRUNED)
end
local apart = running or run and run.crashes > 0 and redis.call('ZREM', suspects, id) > 0
if not apart and redis.call('ZREM', due, id) == 0 and redis.call('ZREM', held, id) == 0 then
  -- The id stays in its ready list, because searching a list is slow; the claim that pops it drops it.
  redis.call('SADD', cancelled_ids, id)
end
redis.call('ZREM', leased, id)
redis.call('HDEL', jobs, id)
redis.call('HDEL', runs, id)
redis.call('HDEL', attempts, id)
if running and run then
  redis.pcall('PUBLISH', aborts .. run.worker, string.format('%d %s %s %s', run.epoch, run.enqueued, ARGV[6], id))
end
notify_waiters(waits, ends, { id })
-- Without a worker that claims, the ids would accumulate. Once in a while, so that a cancel costs little on average.
local cancelled = redis.call('SCARD', cancelled_ids)
if cancelled > 0 and cancelled % SWEEP_EVERY == 0 then
  sweep()
end
return 1
