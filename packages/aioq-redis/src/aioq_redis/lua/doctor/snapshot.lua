-- snapshot: read the ids in all keys of one queue at one moment, up to a limit.
--
-- Needs    clock batches states runs failures
-- KEYS     jobs runs attempts cancelled_ids wake ended due leased suspects held failure_list ended_indexes ready:0-9
-- ARGV     1 most ids of each key
-- Returns  the server's time in ms; then one part for each key: its size and its ids. Of a hash or a set
--          all ids, or none if there are too many; of a list or sorted set the first ones. After each id of
--          `runs` follow its first two letters, after each of `ended` the first, or '' for a long record.
--          The part before the last two has the sizes of the keys of listed failures, and the sum of the groups.
--          The last part but one has the suspects, `held` and the ready lists, one part each. The last part has the
--          ids of ready lists, due and leased that have no record; cancelled ids are left out
local jobs, runs, attempts, cancelled_ids, wake, ended, due, leased, suspects, held = unpack(KEYS)
local INDEX, READY = ended_indexes(16)
local LONGEST = 4096
local most = tonumber(ARGV[1])

local function part(size, ids)
  local found = { size }
  for n = 1, #ids do
    found[n + 1] = ids[n]
  end
  return found
end

local function all(count, list, key)
  local size = redis.call(count, key)
  return part(size, size <= most and redis.call(list, key) or {})
end

local function first(count, range, key)
  return part(redis.call(count, key), redis.call(range, key, 0, most - 1))
end

local function marked(key, letters)
  local found = all('HLEN', 'HKEYS', key)
  local marks = {}
  for n = 2, #found do
    local short = redis.call('HSTRLEN', key, found[n]) <= LONGEST
    marks[#marks + 1] = found[n]
    marks[#marks + 1] = short and string.sub(redis.call('HGET', key, found[n]), 1, letters) or ''
  end
  return part(found[1], marks)
end

local absent = {}
local function seek(found, in_line)
  for n = 2, #found do
    local there = redis.call('HEXISTS', jobs, found[n]) == 1
    if not there and not (in_line and redis.call('SISMEMBER', cancelled_ids, found[n]) == 1) then
      absent[#absent + 1] = found[n]
    end
  end
  return found
end

local lines = { seek(first('ZCARD', 'ZRANGE', suspects), true), seek(first('ZCARD', 'ZRANGE', held), true) }
for priority = 0, 9 do
  lines[priority + 3] = seek(first('LLEN', 'LRANGE', KEYS[READY + priority]), true)
end
local reply = {
  string.format('%.0f', now),
  all('HLEN', 'HKEYS', jobs),
  marked(runs, 2),
  all('HLEN', 'HKEYS', attempts),
  all('SCARD', 'SMEMBERS', cancelled_ids),
  { redis.call('LLEN', wake) },
  marked(ended, 1),
  seek(first('ZCARD', 'ZRANGE', due)),
  seek(first('ZCARD', 'ZRANGE', leased)),
}
for _, letter in ipairs(ENDED) do
  reply[#reply + 1] = first('ZCARD', 'ZRANGE', INDEX[letter])
end
local list, listed = failure_keys(11), 0
for _, count in ipairs(redis.call('HVALS', list.failure_groups)) do
  listed = listed + (tonumber(count) or 0)
end
reply[#reply + 1] = {
  redis.call('HLEN', list.failures), redis.call('ZCARD', list.failure_times), redis.call('ZCARD', list.failure_causes),
  listed,
}
reply[#reply + 1] = lines
reply[#reply + 1] = absent
return reply
