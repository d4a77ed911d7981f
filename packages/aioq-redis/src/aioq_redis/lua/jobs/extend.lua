-- extend: lengthen leases of one queue.
--
-- Needs    clock batches scores states runs
-- KEYS     runs leased
-- ARGV     1 length from now, ms   2 worker id; then for each lease: id, fence, priority
-- Returns  the positions of the leases that are lost, counted from 0
local runs, leased = unpack(KEYS)
local deadline, owner = now + tonumber(ARGV[1]), ' ' .. ARGV[2]
local ids, scores, lost = {}, {}, {}
for n = 3, #ARGV, 3 do
  ids[#ids + 1] = ARGV[n]
end
local lines = fetch('HMGET', runs, ids)
for n, id in ipairs(ids) do
  local line = lines[n]
  if line and string.byte(line) == RUN_CLAIM_BYTE and fenced(line, ARGV[3 * n + 1], owner) then
    scores[#scores + 1] = score(deadline, tonumber(ARGV[3 * n + 2]))
    scores[#scores + 1] = id
  else
    lost[#lost + 1] = n - 1
  end
end
if #scores > 0 then
  -- A full server lets a script continue if its first write needs no memory.
  redis.call('ZREM', leased, '')
  spread('ZADD', leased, scores)
end
return lost
