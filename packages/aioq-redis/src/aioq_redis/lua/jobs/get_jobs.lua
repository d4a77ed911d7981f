-- get_jobs: return what is stored for jobs of one queue.
--
-- Needs    clock batches states ended
-- KEYS     jobs runs due attempts ended dropped ended_indexes
-- ARGV     job ids
-- Returns  for each job: false, or {`ended`, record}, or {`live`, record, run line or '',
--          score among the due or '', its attempts or ''}, or {`dropped`} if it completed while the server was full
local jobs, runs, due, attempts, ended, dropped = unpack(KEYS)
local INDEX = ended_indexes(7)

local function ended_job(id)
  local text = redis.call('HGET', ended, id)
  local index = text and INDEX[string.sub(text, 1, 1)]
  return index and is_kept(index, id) and { 'ended', text }
end

local function dropped_job(id)
  return is_kept(dropped, id) and { 'dropped' }
end

local reply = {}
for n, record in ipairs(fetch('HMGET', jobs, ARGV)) do
  local id = ARGV[n]
  reply[n] = record and {
    'live', record, redis.call('HGET', runs, id) or '', redis.call('ZSCORE', due, id) or '',
    redis.call('HGET', attempts, id) or '',
  } or ended_job(id) or dropped_job(id) or false
end
return reply
