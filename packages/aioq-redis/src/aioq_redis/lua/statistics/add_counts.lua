-- add_counts: add the counts of one report to those of their minutes and hours, unless the report was counted before.
--
-- Needs    clock
-- KEYS     counted reported:<reporter> counts:<series>...
-- ARGV     1 number of the report   2 ms to remember it   3 most series   4 ms to keep a series
--          then for each series: its name, the place of its key and of that which its counts go to without room among
--          the keys, the number of its counts; for each count its minute, and its numbers
-- Returns  the server's time in ms
--
-- A key of counts has a field for each 60 minutes, m<n>, and for each 20 hours, h<n>. The value has an entry for each
-- period that is not empty: the place of the period in the field and the size of the rest, a byte each, and the numbers of
-- the period: count, sums of wait and duration in 0.1 ms, and for hours the buckets of both histograms. Zeros at the end
-- are left out. A number has 7 bits in each byte, the lowest first, and the highest bit set in each but the last.
local counted, reported = unpack(KEYS)
local number, remember, most, keep = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local MINUTE, HOUR = 60000, 3600000
local MINUTES = { letter = 'm', length = MINUTE, kept = 180, in_field = 60, numbers = 3 }
local HOURS = { letter = 'h', length = HOUR, kept = 720, in_field = 20, numbers = 27 }
local LARGEST = 9007199254740992

local function packed(numbers, most_numbers)
  local bytes, last = {}, math.min(#numbers, most_numbers)
  while last > 0 and numbers[last] == 0 do
    last = last - 1
  end
  for n = 1, last do
    local rest = math.min(numbers[n], LARGEST)
    while rest >= 128 do
      bytes[#bytes + 1] = string.char(128 + rest % 128)
      rest = math.floor(rest / 128)
    end
    bytes[#bytes + 1] = string.char(rest)
  end
  return table.concat(bytes)
end

local function unpacked(text)
  local numbers, rest, weight = {}, 0, 1
  for n = 1, #text do
    local byte = string.byte(text, n)
    rest = rest + byte % 128 * weight
    weight = weight * 128
    if byte < 128 then
      -- Another program may have written what is no number.
      numbers[#numbers + 1] = rest < LARGEST and rest or 0
      rest, weight = 0, 1
    end
  end
  return numbers
end

-- An entry is where it is found, or belongs at the end; what is damaged at the end of the text makes room for it.
local function find_entry(text, place)
  local first = 1
  while first < #text do
    local last = first + 1 + string.byte(text, first + 1)
    if last > #text then
      break
    elseif string.byte(text, first) == place then
      return first, last
    end
    first = last + 1
  end
  return first, #text
end

local function oldest(step)
  return math.floor(now / step.length) - step.kept + 1
end

local function remove_old_fields(key, step)
  local first = math.floor(oldest(step) / step.in_field)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 1) == step.letter and (tonumber(string.sub(field, 2)) or 0) < first then
      redis.call('HDEL', key, field)
    end
  end
end

local function add(key, step, moment, added)
  local period = math.floor(moment / step.length)
  if period < oldest(step) then
    return
  end
  local place = period % step.in_field
  local field = step.letter .. string.format('%.0f', math.floor(period / step.in_field))
  local text = redis.call('HGET', key, field)
  if not text then
    remove_old_fields(key, step)
    text = ''
  end
  local first, last = find_entry(text, place)
  local numbers = string.byte(text, first) == place and unpacked(string.sub(text, first + 2, last)) or {}
  for n = 1, #added do
    numbers[n] = (numbers[n] or 0) + added[n]
  end
  local entry = packed(numbers, step.numbers)
  text = string.sub(text, 1, first - 1) .. string.char(place, #entry) .. entry .. string.sub(text, last + 1)
  redis.call('HSET', key, field, text)
end

local function key_of(name, own, others)
  if name == '' or not redis.call('ZSCORE', counted, name) and redis.call('ZCARD', counted) >= most then
    return KEYS[others]
  end
  redis.call('ZADD', counted, string.format('%.0f', now), name)
  return KEYS[own]
end

local latest = tonumber(redis.call('GET', reported) or '')
if latest and latest >= number then
  return now
end
-- First, so that a full server refuses the whole report.
redis.call('SET', reported, ARGV[1], 'PX', remember)
redis.call('ZREMRANGEBYSCORE', counted, '-inf', string.format('(%.0f', now - keep))
local place = 5
while ARGV[place] do
  local key = key_of(ARGV[place], tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2]))
  local last = place + 3 + 2 * tonumber(ARGV[place + 3])
  for at = place + 4, last, 2 do
    local added = {}
    for text in string.gmatch(ARGV[at + 1], '%d+') do
      added[#added + 1] = tonumber(text)
    end
    local moment = math.min(tonumber(ARGV[at]) * MINUTE, now)
    add(key, MINUTES, moment, added)
    add(key, HOURS, moment, added)
  end
  redis.call('PEXPIRE', key, keep)
  place = last + 1
end
redis.call('PEXPIRE', counted, keep)
return now
