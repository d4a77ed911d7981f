-- list_due: look at jobs of one queue that are due later, the earliest first, and return the ids of those of one kind.
--
-- Needs    batches states
-- KEYS     due runs
-- ARGV     1 first position   2 last position   3 1 for jobs that wait for a retry, 0 for the others
-- Returns  the number of jobs that were looked at, and the ids
local due, runs = unpack(KEYS)
local ids = redis.call('ZRANGE', due, ARGV[1], ARGV[2])
local reply = { #ids }
if #ids == 0 then
  return reply
end
for n, line in ipairs(fetch('HMGET', runs, ids)) do
  local retrying = line and string.sub(line, 1, 1) == RUN_RETRY and '1' or '0'
  if retrying == ARGV[3] then
    reply[#reply + 1] = ids[n]
  end
end
return reply
