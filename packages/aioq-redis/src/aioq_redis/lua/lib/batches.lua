-- batches: commands with any number of arguments, in chunks, because Lua's stack is limited.
local CHUNK = 4000

local function spread(command, key, items)
  for first = 1, #items, CHUNK do
    redis.call(command, key, unpack(items, first, math.min(first + CHUNK - 1, #items)))
  end
end

-- Returns what the command answers for all ids, or for those from place `first` to `last`.
local function fetch(command, key, ids, first, last)
  first, last = first or 1, last or #ids
  local found = {}
  for at = first, last, CHUNK do
    local part = redis.call(command, key, unpack(ids, at, math.min(at + CHUNK - 1, last)))
    if last - first < CHUNK then
      return part
    end
    for n = 1, #part do
      found[at - first + n] = part[n]
    end
  end
  return found
end
