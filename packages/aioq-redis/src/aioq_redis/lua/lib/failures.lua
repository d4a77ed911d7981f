-- failures: the jobs that need a person, apart from the records of ended jobs. `at` has the names of five keys:
--   failures        failure id -> <group> <letter of the state> <failed ms> <attempt> <task> <worker> <reason>\n<failure>
--   failure_times   failure ids by the time at which the job ended
--   failure_causes  "<group> <failed ms, 15 digits> <failure id>", all with score 0: a group is a range of them
--   failure_groups  group -> how many failures it has
--   failed_jobs     failure id -> the record of the ended job; see lib/ended.lua
-- failure id: <job id>~<enqueued ms>
-- group: a digest of task, type and place, or `other`; failure: without its traceback, or nothing
local MOST_FAILURES, FAILURE_TTL, MOST_CAUSES, OTHER_CAUSES, LONGEST_JOB = 10000, 604800000, 256, 'other', 1048576

-- The keys of the list, the first of which is at this place in KEYS.
local function failure_keys(first)
  return {
    failures = KEYS[first], failure_times = KEYS[first + 1], failure_causes = KEYS[first + 2],
    failure_groups = KEYS[first + 3], failed_jobs = KEYS[first + 4],
  }
end

local function in_group(group, moment, failure_id)
  return string.format('%s %015d %s', group, moment, failure_id)
end

local function unlist_failures(at, failure_ids)
  if #failure_ids == 0 then
    return 0
  end
  local members, changes = {}, {}
  for n, text in ipairs(fetch('HMGET', at.failures, failure_ids)) do
    local group, moment = string.match(text or '', '^(%S+) %a (%d+) ')
    if group then
      members[#members + 1] = in_group(group, moment, failure_ids[n])
      changes[group] = (changes[group] or 0) + 1
    end
  end
  spread('ZREM', at.failure_times, failure_ids)
  spread('ZREM', at.failure_causes, members)
  spread('HDEL', at.failures, failure_ids)
  spread('HDEL', at.failed_jobs, failure_ids)
  for group, count in pairs(changes) do
    if redis.call('HINCRBY', at.failure_groups, group, -count) <= 0 then
      redis.call('HDEL', at.failure_groups, group)
    end
  end
  return #members
end

-- Removes failures that have been listed for long enough; returns how many.
local function prune_failures(at, most)
  return unlist_failures(at,
    redis.call('ZRANGEBYSCORE', at.failure_times, '-inf', now - FAILURE_TTL, 'LIMIT', 0, most))
end

-- Lists jobs that have just ended. Each entry has the state, the reason, the run line, the failure or '', the record of
-- the job, and the record of the ended job, or nil if there is no room for it.
local function list_failures(at, entries)
  local counts, groups = {}, redis.call('HLEN', at.failure_groups)
  groups = groups - redis.call('HEXISTS', at.failure_groups, OTHER_CAUSES)

  local function group_of(task, short, reason)
    local read, fields = pcall(cjson.decode, short)
    local known = read and type(fields) == 'table'
    local kind, place = known and fields.type or reason, known and fields.place or ''
    local group = string.sub(redis.sha1hex(task .. '\n' .. tostring(kind) .. '\n' .. tostring(place)), 1, 12)
    if counts[group] or redis.call('HEXISTS', at.failure_groups, group) == 1 then
      return group
    elseif groups >= MOST_CAUSES then
      return OTHER_CAUSES
    end
    groups = groups + 1
    return group
  end

  local ids = {}
  for n, entry in ipairs(entries) do
    ids[n] = entry.id .. '~' .. (string.match(entry.record, '^(%d+) ') or '0')
  end
  local again = {}
  for n, text in ipairs(fetch('HMGET', at.failures, ids)) do
    again[#again + 1] = text and ids[n] or nil
  end
  unlist_failures(at, again)

  local stamp, listed, times, members, texts = string.format('%.0f', now), {}, {}, {}, {}
  for n, entry in ipairs(entries) do
    local task, short = string.match(entry.record, '^%d+ (%S+)') or '?', string.match(entry.failure, '^[^\n]*')
    local run, group = parse_run(entry.run) or {}, group_of(task, short, entry.reason)
    counts[group] = (counts[group] or 0) + 1
    listed[2 * n - 1] = ids[n]
    listed[2 * n] = string.format('%s %s %s %d %s %s %s\n%s', group, entry.state, stamp, run.attempt or 0, task,
      run.worker or '', entry.reason, short)
    times[2 * n - 1], times[2 * n] = stamp, ids[n]
    members[2 * n - 1], members[2 * n] = '0', in_group(group, now, ids[n])
    if entry.text and #entry.text <= LONGEST_JOB then
      texts[#texts + 1] = ids[n]
      texts[#texts + 1] = entry.text
    end
  end
  spread('HSET', at.failures, listed)
  spread('ZADD', at.failure_times, times)
  spread('ZADD', at.failure_causes, members)
  spread('HSET', at.failed_jobs, texts)
  for group, count in pairs(counts) do
    redis.call('HINCRBY', at.failure_groups, group, count)
  end
  prune_failures(at, 2 * #entries + 10)
  local surplus = redis.call('ZCARD', at.failure_times) - MOST_FAILURES
  unlist_failures(at, surplus > 0 and redis.call('ZRANGE', at.failure_times, 0, surplus - 1) or {})
  for _, key in pairs(at) do
    redis.call('PEXPIRE', key, FAILURE_TTL + 60000)
  end
end
