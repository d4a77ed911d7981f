-- failure_groups: return the groups of failures, and remove failures that have been listed for long enough.
--
-- Needs    clock batches states runs failures
-- KEYS     failure_list
-- ARGV     none
-- Returns  1 if there may be more to remove, else 0; then for each group: its size, when the oldest failed in ms, the id
--          of the newest, and what is listed of it
local failed = failure_keys(1)
local MOST_PRUNED = 1000

local reply = { prune_failures(failed, MOST_PRUNED) == MOST_PRUNED and 1 or 0 }
local sizes = redis.call('HGETALL', failed.failure_groups)
for n = 1, #sizes, 2 do
  local lowest, highest = '[' .. sizes[n] .. ' ', '[' .. sizes[n] .. ' \255'
  local oldest = redis.call('ZRANGE', failed.failure_causes, lowest, highest, 'BYLEX', 'LIMIT', 0, 1)[1]
  local newest = redis.call('ZRANGE', failed.failure_causes, highest, lowest, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
  local first = string.match(oldest or '', '^%S+ 0*(%d+) ')
  local id = string.match(newest or '', '^%S+ %d+ (.*)$')
  local text = id and redis.call('HGET', failed.failures, id)
  if first and text then
    for _, part in ipairs({ tonumber(sizes[n + 1]), first, id, text }) do
      reply[#reply + 1] = part
    end
  end
end
return reply
