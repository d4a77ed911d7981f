-- list_ready: return ids of pending jobs of one queue, in the order of execution.
--
-- Needs    batches holds
-- KEYS     cancelled_ids suspects stops held ready:0-9
-- ARGV     1 how many to skip   2 most ids
-- Returns  the ids
local cancelled_ids, suspects, stops, held = unpack(KEYS)
local READY = 5
local skip, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local STEP = 1000
local has_cancelled = redis.call('EXISTS', cancelled_ids) == 1
local reply = {}

local function collect(ids)
  local absent = has_cancelled and fetch('SMISMEMBER', cancelled_ids, ids)
  for n, id in ipairs(ids) do
    if not (absent and absent[n] == 1) then
      if skip > 0 then
        skip = skip - 1
      elseif #reply < limit then
        reply[#reply + 1] = id
      end
    end
  end
end

local function collect_all(length, range)
  local first = 0
  if not has_cancelled then
    -- Every id counts, so the first ones can be skipped without reading them.
    first = math.min(skip, length)
    skip = skip - first
  end
  while first < length and #reply < limit do
    collect(range(first))
    first = first + STEP
  end
end

local function collect_key(count, range, key)
  collect_all(redis.call(count, key), function(first)
    return redis.call(range, key, first, first + STEP - 1)
  end)
end

local function collect_held(lowest, highest)
  collect_all(redis.call('ZCOUNT', held, lowest, highest), function(first)
    return redis.call('ZRANGEBYSCORE', held, lowest, highest, 'LIMIT', first, STEP)
  end)
end

-- Jobs that crashed come first, then the ready lists by priority, each behind the jobs of restored tasks, and last the
-- jobs of stopped tasks that were set aside.
local aside = held_jobs(stops, held)
local restoring = aside.numbers_in(redis.call('HGET', stops, 'restoring'))
collect_key('ZCARD', 'ZRANGE', suspects)
for priority = 9, 0, -1 do
  for _, number in ipairs(restoring) do
    collect_held(aside.line(number, priority))
  end
  collect_key('LLEN', 'LRANGE', KEYS[READY + priority])
end
table.sort(restoring)
local from = '-inf'
for _, number in ipairs(restoring) do
  collect_held(from, '(' .. aside.first(number))
  from = string.sub(aside.last(number), 2)
end
collect_held(from, '+inf')
return reply
