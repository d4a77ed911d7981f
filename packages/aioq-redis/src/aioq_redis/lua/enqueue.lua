-- enqueue: store new jobs of one queue; of each group all or none.
--
-- Needs    clock batches scores due ended wakes known store
-- KEYS     jobs ended gone due wake completed failed cancelled dead expired ready:0-9
-- ARGV     1 `store`, or `check` to only look; then for each job: id, plan, record
--          plan: as in shared/store.lua; & in front puts a job into the group of the one before
--          record: without its moment
-- Returns  for each job 1 new, 0 known, -1 known as another job; nothing of such a group is stored
local jobs, ended, gone, due, wake, completed, failed, cancelled, dead, expired = unpack(KEYS)
local READY = 11
local INDEX = { c = completed, f = failed, x = cancelled, d = dead, e = expired }

local ids, plans, records = {}, {}, {}
for n = 2, #ARGV, 3 do
  local at = #ids + 1
  ids[at], plans[at], records[at] = ARGV[n], ARGV[n + 1], ARGV[n + 2]
end
local stored = fetch('HMGET', jobs, ids)
local remembered = redis.call('EXISTS', ended) == 1 and fetch('HMGET', ended, ids) or {}
local fresh, leftover = {}, {}

local function judge(n, batch)
  local id = ids[n]
  local twin = batch[id] or fresh[id]
  if twin then
    return same_job(records[twin], records[n]) and 0 or -1
  end
  local answer, index = verdict(id, records[n], stored[n], remembered[n], INDEX)
  leftover[id] = index
  return answer
end

local answers = {}
local accepted = { ids = {}, plans = {}, records = {}, outdated = {} }
local function accept(n)
  local id, at = ids[n], #accepted.ids + 1
  fresh[id] = n
  accepted.ids[at], accepted.plans[at], accepted.records[at] = id, plans[n], records[n]
  accepted.outdated[id] = leftover[id]
end

local n = 1
while n <= #ids do
  local batch, refused = {}, false
  local first = n
  repeat
    answers[n] = judge(n, batch)
    refused = refused or answers[n] == -1
    if answers[n] == 1 then
      batch[ids[n]] = n
    end
    n = n + 1
  until n > #ids or string.byte(plans[n]) ~= 38
  for member = first, refused and 0 or n - 1 do
    if answers[member] == 1 then
      accept(member)
    end
  end
end
if #accepted.ids > 0 and ARGV[1] ~= 'check' then
  local at = { jobs = jobs, ended = ended, gone = gone, due = due, wake = wake, ready = READY }
  store(at, accepted.ids, accepted.plans, accepted.records, accepted.outdated)
end
return answers
