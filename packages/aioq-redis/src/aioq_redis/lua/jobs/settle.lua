-- settle: write how attempts of one queue's jobs ended, each on its own.
--
-- Needs    clock batches scores states runs attempts ended failures wakes waits
-- KEYS     jobs runs leased due attempts ended waits wake memo:<client> dropped failure_list ended_indexes ready:0-9
-- ARGV     1 request id, <report>.<try>: a client that hears no answer repeats its settlements as the same report
--          2 channel of ends, without the job id   3 ms to keep dead and expired jobs
--          4 most of each to keep   5 worker id   6 `full` if the server has refused a write; then for each settlement:
--          id, fence, kind, and by kind
--          c completed, nothing kept           k completed: ms to keep, result
--          n completed, no result: ms to keep  f failed: ms to keep, failure
--          r retry: priority, delay ms, failure or ''   h handed back: the same
--          l release: priority, delay ms, 1 if the job was started
--          b bury: reason, failure or ''       e expired: failure
--          m completed, result dropped: ms to know of it
--          A failure is <JSON>\n<traceback>.
-- Returns  one letter for each settlement: d done, a already done by this epoch and worker, s stale
--
-- A full server refuses a settlement that stores a record, unless its client says `full`. The client then sends it again
-- without results: a settlement must not take more room than its job did, or a full server could not be emptied.
local jobs, runs, leased, due, attempts, ended, waits, wake, memo, dropped = unpack(KEYS)
local INDEX, READY = ended_indexes(16)
local request, channel, dead_ttl, most_dead = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local owner, FULL = ' ' .. ARGV[5], ARGV[6] == 'full'
local MEMO_TTL, MOST_DROPPED = 60000, 10000
local EXTRA = { c = 0, k = 2, n = 1, m = 1, f = 2, r = 3, h = 3, l = 3, b = 2, e = 1 }
local KEPT = { k = true, n = true, f = true, b = true, e = true }

-- The memo has the latest request that changed anything: its id, the answer, and id and fence of each settled job,
-- each on a line of its own.
local known = redis.call('GET', memo) or ''
if string.sub(known, 1, #request + 1) == request .. ' ' then
  return string.match(known, '^%S+ (%l*)')
end
local report = string.match(request, '^[^.]*')
-- The notes of an earlier try of this report: the client may not know that those jobs are settled.
local unheard = string.sub(known, 1, #report + 1) == report .. '.' and known

local ids, at, recorded = {}, {}, {}
local position = 7
while position <= #ARGV do
  local id, kind = ARGV[position], ARGV[position + 2]
  ids[#ids + 1], at[#at + 1] = id, position
  if KEPT[kind] then
    recorded[#recorded + 1] = id
  end
  position = position + 3 + EXTRA[kind]
end

local lines, records = {}, {}
for n, line in ipairs(fetch('HMGET', runs, ids)) do
  lines[ids[n]] = line
end
if #recorded > 0 then
  for n, record in ipairs(fetch('HMGET', jobs, recorded)) do
    records[recorded[n]] = record
  end
end

local over, unnoted, unleased = {}, {}, {}
local later, front, rerun, noted = {}, {}, {}, {}
local kept = {}
for _, state in ipairs(ENDED) do
  kept[state] = { {}, {} }
end
local just_kept, without_record, longest, failed = {}, {}, 0, {}

local function finish(id)
  over[#over + 1] = id
  if has_attempts(lines[id]) then
    unnoted[#unnoted + 1] = id
  end
  lines[id] = nil
end

local function finish_kept(id, state, ttl, note, body)
  local needs_person = state ~= COMPLETED
  if records[id] and (ttl > 0 or needs_person) then
    local past = has_attempts(lines[id]) and split_attempts(redis.call('HGET', attempts, id)) or ''
    local text = ended_record(state, 1, note, lines[id], body, records[id], past)
    if needs_person then
      failed[#failed + 1] = {
        id = id, state = state, reason = note, run = lines[id], failure = body or '', record = records[id],
        -- A full server stores the job once.
        text = not (FULL and ttl > 0) and text or nil,
      }
    end
    if ttl > 0 then
      local entries, ttls = kept[state][1], kept[state][2]
      entries[#entries + 1] = id
      entries[#entries + 1] = text
      ttls[#ttls + 1] = ttl
      just_kept[id] = lines[id]
    end
  end
  finish(id)
end

-- A full server stores the latest failure, and no attempts.
local function note_attempt(id, run, outcome, failure)
  if FULL and failure == '' then
    return
  end
  local past, latest = split_attempts(run.noted and redis.call('HGET', attempts, id))
  past = FULL and '' or with_attempt(past, attempt_line(run, outcome, now, failure))
  run.noted = true
  noted[#noted + 1] = id
  noted[#noted + 1] = past .. '\n' .. (failure ~= '' and failure or latest)
end

-- A released job goes to the front of its ready list, as it was claimed before the others there.
local function put_back(id, run, priority, delay)
  run.due = string.format('%.0f', now + delay)
  local line = run_line(run)
  lines[id] = line
  rerun[#rerun + 1] = id
  rerun[#rerun + 1] = line
  unleased[#unleased + 1] = id
  if run.state == RUN_RELEASE then
    local members = front[priority] or {}
    front[priority] = members
    members[#members + 1] = id
  else
    later[#later + 1] = score(now + delay, priority)
    later[#later + 1] = id
  end
end

-- All that is left of the job is its id. A record of a small job would take more room than the job did.
local function finish_dropped(id, ttl)
  without_record[#without_record + 1] = string.format('%.0f', now + ttl)
  without_record[#without_record + 1] = id
  longest = math.max(longest, ttl)
  finish(id)
end

local function rerun_job(id, kind, priority, delay, more)
  local run = parse_run(lines[id])
  if kind == 'r' then
    note_attempt(id, run, ATTEMPT_RETRIED, more)
    run.state = RUN_RETRY
    note_start(run)
  else
    if kind == 'h' then
      note_attempt(id, run, ATTEMPT_HANDED_BACK, more)
      run.hand_backs = run.hand_backs + 1
    elseif more == '1' then
      note_attempt(id, run, ATTEMPT_RELEASED, '')
      note_start(run)
    end
    run.attempt = math.max(run.attempt - 1, 0)
    run.state = (kind == 'h' or delay > 0) and RUN_POSTPONE or RUN_RELEASE
  end
  put_back(id, run, priority, delay)
end

-- Writes one settlement; what its kind needs in addition begins at place `p` of ARGV. This is not a table of functions,
-- because each run of the script would make all of them.
local function write(id, kind, p)
  local first, second, third = ARGV[p], ARGV[p + 1], ARGV[p + 2]
  if kind == 'c' then
    finish(id)
  elseif kind == 'k' then
    finish_kept(id, COMPLETED, tonumber(first), '', second)
  elseif kind == 'n' then
    finish_kept(id, COMPLETED, tonumber(first), '')
  elseif kind == 'm' then
    finish_dropped(id, tonumber(first))
  elseif kind == 'f' then
    finish_kept(id, FAILED, tonumber(first), '', second)
  elseif kind == 'b' then
    finish_kept(id, DEAD, dead_ttl, first, second ~= '' and second or nil)
  elseif kind == 'e' then
    finish_kept(id, EXPIRED, dead_ttl, '', first)
  else
    rerun_job(id, kind, tonumber(first), tonumber(second), third)
  end
end

-- Late settlement: did this epoch settle the job already? Its notes tell, then the run line of a job that lives on,
-- then the record of one that has ended.
local function afterwards(id, line, fence)
  if unheard and string.find(unheard, '\n' .. id .. '\n' .. fence .. '\n', 1, true) then
    return 'a'
  end
  if line then
    return fenced(line, fence, owner) and was_settled(line) and 'a' or 's'
  end
  if just_kept[id] then
    return fenced(just_kept[id], fence, owner) and 'a' or 's'
  end
  local text = redis.call('HGET', ended, id)
  local record = text and parse_ended(text)
  local told = record and fenced(record.run, fence, owner) and (record.settled == '1' or was_settled(record.run))
  return told and is_kept(INDEX[record.state], id) and 'a' or 's'
end

local answers, done, notes = {}, false, {}
for n, id in ipairs(ids) do
  local fence, kind = ARGV[at[n] + 1], ARGV[at[n] + 2]
  local line = lines[id]
  if line and string.byte(line) == RUN_CLAIM_BYTE and fenced(line, fence, owner) then
    write(id, kind, at[n] + 3)
    answers[n] = 'd'
    done = true
  else
    answers[n] = afterwards(id, line, fence)
  end
  if answers[n] ~= 's' then
    notes[#notes + 1] = id
    notes[#notes + 1] = fence
  end
end
local reply = table.concat(answers)
if not done then
  return reply
end

local stores = #noted + #failed > 0
for _, entries in pairs(kept) do
  stores = stores or #entries[2] > 0
end
-- A full server lets a script continue if its first write needs no memory. What is added comes before what is
-- removed: if a key of the wrong type ends the script, no job is lost.
local first = (FULL or not stores) and 'ZREM' or 'ZSCORE'
redis.call(first, leased, '')
for state, entries in pairs(kept) do
  if #entries[2] > 0 then
    store_ended(ended, INDEX, state, entries[1], entries[2])
  end
end
for _, state in ipairs(OPERATOR_STATES) do
  if #kept[state][2] > 0 then
    bound(ended, INDEX[state], most_dead)
  end
end
if #failed > 0 then
  list_failures(failure_keys(11), failed)
end
for priority, members in pairs(front) do
  for n = #members, 1, -1 do
    redis.call('LPUSH', KEYS[READY + priority], members[n])
  end
  wake_workers(wake, #members)
end
if #later > 0 then
  local before = earliest(due)
  spread('ZADD', due, later)
  if earliest(due) ~= before then
    wake_workers(wake, 1)
  end
end
if #without_record > 0 then
  spread('ZADD', dropped, without_record)
  redis.call('ZREMRANGEBYSCORE', dropped, '-inf', now)
  redis.call('ZREMRANGEBYRANK', dropped, 0, -MOST_DROPPED - 1)
  if redis.call('PTTL', dropped) < longest then
    redis.call('PEXPIRE', dropped, string.format('%.0f', longest + 60000))
  end
end
spread('HSET', attempts, noted)
spread('HSET', runs, rerun)
spread('ZREM', leased, unleased)
spread('HDEL', jobs, over)
spread('HDEL', runs, over)
spread('HDEL', attempts, unnoted)
spread('ZREM', leased, over)
notify_waiters(waits, channel, over)
redis.call('SET', memo, request .. ' ' .. reply .. '\n' .. table.concat(notes, '\n') .. '\n', 'PX', MEMO_TTL)
return reply
