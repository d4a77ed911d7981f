-- extend: lengthen leases of one queue; a sign of life of a worker.
--
-- Needs    clock batches scores states runs outage
-- KEYS     runs leased signs
-- ARGV     1 length from now, ms   2 worker id; then for each lease: id, fence, priority
-- Returns  the positions of the leases that are lost, counted from 0
local runs, leased, signs = unpack(KEYS)
local length, owner = tonumber(ARGV[1]), ' ' .. ARGV[2]
local life, step = note_sign(parse_signs(redis.call('GET', signs)), length)
local ids, scores, lost = {}, {}, {}
for n = 3, #ARGV, 3 do
  ids[#ids + 1] = ARGV[n]
end

-- After an outage: whether a worker from before it is still there.
local function look_for_survivor(line)
  if life.wait_until > 0 and not life.survived then
    life.survived = tonumber(parse_run(line).claimed) <= life.claimed_by
  end
end

local lines = #ids > 0 and fetch('HMGET', runs, ids)
for n, id in ipairs(ids) do
  local line = lines[n]
  if line and string.byte(line) == RUN_CLAIM_BYTE and fenced(line, ARGV[3 * n + 1], owner) then
    look_for_survivor(line)
    scores[#scores + 1] = score(now + length, tonumber(ARGV[3 * n + 2]))
    scores[#scores + 1] = id
  else
    lost[#lost + 1] = n - 1
  end
end
-- A full server lets a script continue if its first write needs no memory.
redis.call('ZREM', leased, '')
if step > 0 then
  move_deadlines(leased, life, step)
end
spread('ZADD', leased, scores)
store_signs(signs, life)
return lost
