-- batches: commands with any number of arguments, in chunks, because Lua's stack is limited.
local CHUNK = 4000

local function spread(command, key, items)
  for first = 1, #items, CHUNK do
    redis.call(command, key, unpack(items, first, math.min(first + CHUNK - 1, #items)))
  end
end

local function fetch(command, key, ids)
  local found = {}
  for first = 1, #ids, CHUNK do
    local part = redis.call(command, key, unpack(ids, first, math.min(first + CHUNK - 1, #ids)))
    if #ids <= CHUNK then
      return part
    end
    for n = 1, #part do
      found[first + n - 1] = part[n]
    end
  end
  return found
end
