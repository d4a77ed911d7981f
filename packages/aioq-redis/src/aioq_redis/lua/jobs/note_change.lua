-- note_change: put a change in front of the others, once, and forget the oldest.
--
-- KEYS     changes
-- ARGV     1 id and change   2 most changes to keep
-- Returns  1
local changes = KEYS[1]
for _, text in ipairs(redis.call('LRANGE', changes, 0, 9)) do
  if text == ARGV[1] then
    return 1
  end
end
-- The first write needs no memory, so a full server lets the script continue.
redis.call('LTRIM', changes, 0, ARGV[2] - 2)
redis.call('LPUSH', changes, ARGV[1])
return 1
