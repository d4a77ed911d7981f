-- enqueue: store new jobs of one queue, all or none of each group.
--
-- Needs    clock batches scores states due ended wakes known store requests
-- KEYS     jobs ended cancelled_ids due wake memo:<client> ended_indexes ready:0-9
-- ARGV     1 `store`, or `check` to only look
--          2 number of the request   3 numbers of requests whose answer the client has not heard
--          4 jobs in doubt, each as <place>:<number>.<place> ...; for its place in this request and its places in
--          earlier requests, from 1; or as <place>:x; if it must not be stored, because its caller is gone
--          then for each job: id, plan, record
--          plan: as in lib/store.lua; & in front puts a job into the group of the one before
--          record: without its moment
-- Returns  for each job 1 new, 0 known, -1 known as another job; nothing of such a group is stored;
--          nothing if nothing was done, because a later request came before
local jobs, ended, cancelled_ids, due, wake, memo = unpack(KEYS)
local INDEX, READY = ended_indexes(7)

local mode, number, unheard, doubts = unpack(ARGV, 1, 4)
local storing = mode == 'store'
local before = redis.call('GET', memo)
before = before and string.find(before, '^%d+=') and before
-- The memo begins with the number of the latest request: this one is a repetition, or was overtaken by another.
if storing and before and before >= number then
  return {}
end

local ids, plans, records = {}, {}, {}
for n = 5, #ARGV, 3 do
  local at = #ids + 1
  ids[at], plans[at], records[at] = ARGV[n], ARGV[n + 1], ARGV[n + 2]
end
local stored = fetch('HMGET', jobs, ids)
local remembered = redis.call('EXISTS', ended) == 1 and fetch('HMGET', ended, ids) or {}
local fresh, leftover = {}, {}

-- `settled`: by place, the answer that an earlier request of this client got for the job. The client did not hear it.
local settled, withdrawn = {}, {}
local function look_up(place, earlier, there)
  local noted = before and string.match(before, earlier .. '=(%S+)')
  settled[place] = settled[place] or noted and tonumber(string.sub(noted, there, there))
end
for place, tries in string.gmatch(doubts, '(%d+):([^;]*);') do
  withdrawn[tonumber(place)] = tries == 'x'
  for earlier, there in string.gmatch(tries, '(%d+)%.(%d+)') do
    look_up(tonumber(place), earlier, tonumber(there))
  end
end

-- The answer for a job: by what is stored under its id, or comes before it in this request. `batch` is its group.
local function judge(n, batch)
  if settled[n] or withdrawn[n] then
    return settled[n] or 0
  end
  local id = ids[n]
  local twin = batch[id] or fresh[id]
  if twin then
    return same_job(records[twin], records[n]) and 0 or -1
  end
  local answer, index = id_status(id, records[n], stored[n], remembered[n], INDEX)
  leftover[id] = index
  return answer
end

local answers, noted = {}, {}
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
    if answers[n] == 1 and not settled[n] then
      batch[ids[n]] = n
    end
    n = n + 1
  until n > #ids or string.byte(plans[n]) ~= 38
  -- A job of a rejected group is noted as not decided, so that a repetition decides it anew.
  for member = first, n - 1 do
    noted[member] = (withdrawn[member] or refused and not settled[member]) and '.' or answers[member]
    if answers[member] == 1 and not refused and not settled[member] then
      accept(member)
    end
  end
end
if storing and #accepted.ids > 0 then
  local at = { jobs = jobs, ended = ended, cancelled_ids = cancelled_ids, due = due, wake = wake, ready = READY }
  store(at, accepted.ids, accepted.plans, accepted.records, accepted.outdated)
end
if storing then
  -- Last, because what is noted here must have been done. A full server rejects it, and has stored no job either.
  redis.pcall('SET', memo, memo_of(before, number, unheard, table.concat(noted)), 'PX', MEMO_LASTS)
end
return answers
