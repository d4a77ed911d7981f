-- remove_orphans: remove stored data of one queue that belong to no job, from one page of a hash.
--
-- Needs    batches states
-- KEYS     jobs runs attempts ended ended_indexes
-- ARGV     1 the hash: `runs`, `attempts` or `ended`   2 cursor   3 fields of a page
-- Returns  the next cursor, 0 at the end; how many fields were removed
local jobs, runs, attempts, ended = unpack(KEYS)
local INDEX = ended_indexes(5)
local hash = ({ runs = runs, attempts = attempts, ended = ended })[ARGV[1]]

local function is_indexed(id)
  for _, index in pairs(INDEX) do
    if redis.call('ZSCORE', index, id) then
      return true
    end
  end
  return false
end

local function has_owner(id)
  if hash == ended then
    return is_indexed(id)
  end
  return redis.call('HEXISTS', jobs, id) == 1
end

local page = redis.call('HSCAN', hash, ARGV[2], 'COUNT', ARGV[3])
local orphans = {}
for n = 1, #page[2], 2 do
  if not has_owner(page[2][n]) then
    orphans[#orphans + 1] = page[2][n]
  end
end
spread('HDEL', hash, orphans)
return { page[1], #orphans }
