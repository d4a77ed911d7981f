-- list_due: return ids of jobs of one queue that are due later, the earliest first.
--
-- Needs    batches states
-- KEYS     due runs
-- ARGV     1 first position   2 last position
-- Returns  for each: id, and 1 if it is due for another attempt after a failed one
local due, runs = unpack(KEYS)
local ids = redis.call('ZRANGE', due, ARGV[1], ARGV[2])
local reply = {}
if #ids == 0 then
  return reply
end
for n, line in ipairs(fetch('HMGET', runs, ids)) do
  reply[2 * n - 1] = ids[n]
  reply[2 * n] = line and string.sub(line, 1, 1) == RUN_RETRY and 1 or 0
end
return reply
