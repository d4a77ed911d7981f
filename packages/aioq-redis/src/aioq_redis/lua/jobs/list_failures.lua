-- list_failures: return a page of failures, the newest first.
--
-- Needs    clock batches states runs failures
-- KEYS     failure_list
-- ARGV     1 the group, or ''   2 the id of the failure before the page, or ''   3 when it failed, in ms   4 most failures
-- Returns  1 if there may be more, else 0; then for each: its id, and what is listed of it
local failed = failure_keys(1)
local group, after, moment, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local function page_of_group()
  local lowest = '[' .. group .. ' '
  local highest = after == '' and lowest .. '\255' or '(' .. in_group(group, moment, after)
  local ids = redis.call('ZRANGE', failed.failure_causes, highest, lowest, 'BYLEX', 'REV', 'LIMIT', 0, most)
  for n, member in ipairs(ids) do
    ids[n] = string.match(member, '^%S+ %d+ (.*)$')
  end
  return ids
end

-- If the failure before the page has left the list, the page begins with those that are not newer.
local function page_of_all()
  local rank = after ~= '' and redis.call('ZREVRANK', failed.failure_times, after)
  local start = rank and rank + 1 or after ~= '' and redis.call('ZCOUNT', failed.failure_times, '(' .. moment, '+inf') or 0
  return redis.call('ZREVRANGE', failed.failure_times, start, start + most - 1)
end

local ids = group ~= '' and page_of_group() or page_of_all()
local reply = { #ids == most and 1 or 0 }
local over = now - FAILURE_TTL
if #ids > 0 then
  for n, text in ipairs(fetch('HMGET', failed.failures, ids)) do
    local failed_at = tonumber(string.match(text or '', '^%S+ %a (%d+) '))
    if failed_at and failed_at > over then
      reply[#reply + 1] = ids[n]
      reply[#reply + 1] = text
    end
  end
end
return reply
