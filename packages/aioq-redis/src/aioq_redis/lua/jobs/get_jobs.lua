-- get_jobs: return what is stored for jobs of one queue.
--
-- Needs    clock batches states ended
-- KEYS     jobs runs due failures ended ended_indexes
-- ARGV     job ids
-- Returns  for each job: false, or {`ended`, record}, or {`live`, record, run line or '',
--          score among the due or '', latest failure or ''}
local jobs, runs, due, failures, ended = unpack(KEYS)
local INDEX = ended_indexes(6)

local function ended_job(id)
  local text = redis.call('HGET', ended, id)
  local index = text and INDEX[string.sub(text, 1, 1)]
  return index and is_kept(index, id) and { 'ended', text }
end

local reply = {}
for n, record in ipairs(fetch('HMGET', jobs, ARGV)) do
  local id = ARGV[n]
  reply[n] = record and {
    'live', record, redis.call('HGET', runs, id) or '', redis.call('ZSCORE', due, id) or '',
    redis.call('HGET', failures, id) or '',
  } or ended_job(id) or false
end
return reply
