-- due: move due jobs to the end of their ready list. Scripts do this first, so that jobs of equal priority run
-- in the order of their due times. `ready` is the place in KEYS of ready list 0.
local function promote(due, ready, limit)
  local found = redis.call('ZRANGEBYSCORE', due, '-inf', '(' .. string.format('%.0f', now + 1),
    'WITHSCORES', 'LIMIT', 0, limit)
  local ids, lines = {}, {}
  for n = 1, #found, 2 do
    local priority = priority_of(found[n + 1])
    local line = lines[priority] or {}
    lines[priority] = line
    line[#line + 1] = found[n]
    ids[#ids + 1] = found[n]
  end
  for priority, line in pairs(lines) do
    spread('RPUSH', KEYS[ready + priority], line)
  end
  spread('ZREM', due, ids)
  return #ids
end
