-- enqueue: store new jobs of one queue; of each group all or none.
--
-- Needs    clock batches scores due ended wakes
-- KEYS     jobs ended gone due wake completed failed cancelled dead ready:0-9
-- ARGV     1 `store`, or `check` to only look; then for each job: id, plan, record
--          plan: [&]priority[+delay ms or @moment ms]; & puts a job into the group of the one before
--          record: without its moment, which is put in front here
-- Returns  for each job 1 new, 0 known, -1 known as another job; nothing of such a group is stored
local jobs, ended, gone, due, wake, completed, failed, cancelled, dead = unpack(KEYS)
local READY = 10
local INDEX = { c = completed, f = failed, x = cancelled, d = dead }
local MOST_PROMOTED = 1000

local ids, plans, records = {}, {}, {}
for n = 2, #ARGV, 3 do
  local at = #ids + 1
  ids[at], plans[at], records[at] = ARGV[n], ARGV[n + 1], ARGV[n + 2]
end
local stored = fetch('HMGET', jobs, ids)
local remembered = redis.call('EXISTS', ended) == 1 and fetch('HMGET', ended, ids) or {}
local fresh, outdated = {}, {}

local function task_and_payload(record)
  return string.match(record, '^(%S*)[^\n]*\n(.*)$')
end

local function same_job(record, n)
  local task, payload = task_and_payload(record)
  local new_task, new_payload = task_and_payload(records[n])
  return task == new_task and payload == new_payload
end

local function same_ended(kept, n)
  if kept.state ~= 'c' or kept.note == '' then
    return same_job(string.match(kept.record, '^%d* ?(.*)$'), n)
  end
  local task, payload = task_and_payload(records[n])
  return kept.note == digest(payload) and string.match(kept.record, '^%d+ (%S*)') == task
end

-- 1 when the id is free, 0 when it is this very job's, -1 when it is another's.
local function verdict(n, batch)
  local id = ids[n]
  local twin = batch[id] or fresh[id]
  if twin then
    return same_job(records[twin], n) and 0 or -1
  end
  if stored[n] then
    return same_job(string.match(stored[n], '^%d* ?(.*)$'), n) and 0 or -1
  end
  local kept = remembered[n] and parse_ended(remembered[n])
  if kept and still_kept(INDEX[kept.state], id) then
    return same_ended(kept, n) and 0 or -1
  end
  outdated[id] = kept and INDEX[kept.state] or nil
  return 1
end

local answers, accepted = {}, {}
local n = 1
while n <= #ids do
  local batch, refused = {}, false
  local first = n
  repeat
    answers[n] = verdict(n, batch)
    refused = refused or answers[n] == -1
    if answers[n] == 1 then
      batch[ids[n]] = n
    end
    n = n + 1
  until n > #ids or string.byte(plans[n]) ~= 38
  for member = first, refused and 0 or n - 1 do
    if answers[member] == 1 then
      fresh[ids[member]] = member
      accepted[#accepted + 1] = member
    end
  end
end
if #accepted == 0 or ARGV[1] == 'check' then
  return answers
end

local stamp = string.format('%.0f ', now)
local entries, lines, later, pending = {}, {}, {}, 0
for _, member in ipairs(accepted) do
  local id = ids[member]
  local priority, from, moment = string.match(plans[member], '^&?(%d)([+@]?)(%d*)$')
  priority = tonumber(priority)
  moment = from == '' and now or tonumber(moment) + (from == '+' and now or 0)
  entries[#entries + 1] = id
  entries[#entries + 1] = stamp .. records[member]
  if moment > now then
    later[#later + 1] = score(moment, priority, math.floor(#later / 2 * PLACES / #accepted))
    later[#later + 1] = id
  else
    local line = lines[priority] or {}
    lines[priority] = line
    line[#line + 1] = id
    pending = pending + 1
  end
end

if redis.call('EXISTS', gone) == 1 then
  for _, member in ipairs(accepted) do
    if redis.call('SREM', gone, ids[member]) == 1 then
      for priority = 0, 9 do
        redis.call('LREM', KEYS[READY + priority], 0, ids[member])
      end
    end
  end
end
-- A full server refuses the first of these commands, and a key of the wrong type fails before
-- any record is there: an id in line without a record does no harm, a record without a line would.
pending = pending + promote(due, READY, MOST_PROMOTED)
local before = #later > 0 and earliest(due)
for priority, line in pairs(lines) do
  spread('RPUSH', KEYS[READY + priority], line)
end
spread('ZADD', due, later)
spread('HSET', jobs, entries)
for id, index in pairs(outdated) do
  if fresh[id] then
    forget_ended(ended, index, { id })
  end
end
if pending > 0 then
  wake_workers(wake, pending)
elseif #later > 0 and earliest(due) ~= before then
  wake_workers(wake, 1)
end
return answers
