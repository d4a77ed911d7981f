-- orders: what a person has ordered for a queue, in the hash `stops`. A paused queue is the field `queue`:
--   <since ms> <note and author as JSON>
-- Stopped tasks are in lib/holds.lua. The key `latest_order` has the latest order and its answer, for a client that
-- repeats it.
local ORDER_TTL = '120000'

local function earlier_answer(latest, request)
  local known, answer = string.match(redis.call('GET', latest) or '', '^(%S+) ([01])$')
  return known == request and tonumber(answer) or nil
end

local function note_answer(latest, request, answer)
  redis.call('SET', latest, request .. ' ' .. answer, 'PX', ORDER_TTL)
  return answer
end
