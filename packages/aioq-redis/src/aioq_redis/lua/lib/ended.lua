-- ended: records of ended jobs, in one hash. One sorted set for each final state has the time at which each
-- record is removed. A record is
--   <state> <settled> <finished ms> <length of the body, or -1>[+<length of the attempts>] <note>\n<run>\n<body>
--   <attempts><job record>
-- state: c completed, f failed, x cancelled, d dead, e expired
-- settled: 1 if the run's own epoch ended the job
-- note: the reason of a dead job, the request that cancelled it, or the digest of a long payload
-- body: the result of a completed job, the failure of another
-- attempts: lines of lib/attempts.lua; the attempt that ended the job is in them only if settled is 0
local LONGEST_PAYLOAD = 1024

local function digest(payload)
  return string.sub(redis.sha1hex(payload), 1, 16)
end

local function ended_record(state, settled, note, run, body, record, attempts)
  if state == COMPLETED and #record > LONGEST_PAYLOAD then
    local head, payload = string.match(record, '^([^\n]*)\n?(.*)$')
    if #payload > LONGEST_PAYLOAD then
      note, record = digest(payload), head .. '\n'
    end
  end
  local length = attempts ~= '' and '+' .. #attempts or ''
  return string.format('%s %d %.0f %d%s %s\n', state, settled, now, body and #body or -1, length, note)
    .. (run or '') .. '\n' .. (body or '') .. attempts .. record
end

local function parse_ended(text)
  local state, settled, finished, length, more, note, run, rest =
    string.match(text, '^(%a) (%d) (%d+) (-?%d+)%+?(%d*) ([^\n]*)\n([^\n]*)\n(.*)$')
  if not state then
    return nil
  end
  length = math.max(tonumber(length), 0)
  local start = length + (tonumber(more) or 0) + 1
  return {
    state = state, settled = settled, finished = finished, note = note, run = run,
    body = string.sub(rest, 1, length), attempts = string.sub(rest, length + 1, start - 1),
    record = string.sub(rest, start),
  }
end

-- The hash and its indexes expire at the same time. No script removes a record that is in no index.
local function outlive(ended, indexes, index, ttl)
  local left = redis.call('PTTL', ended)
  if left < ttl then
    local extended = string.format('%.0f', ttl * 1.5 + 60000)
    redis.call('PEXPIRE', ended, extended)
    for _, each in pairs(indexes) do
      redis.call('PEXPIRE', each, extended)
    end
  elseif redis.call('PTTL', index) < left then
    redis.call('PEXPIRE', index, left)
  end
end

local function forget_ended(ended, index, ids)
  if #ids > 0 then
    spread('ZREM', index, ids)
    spread('HDEL', ended, ids)
  end
end

local function prune(ended, index, limit)
  forget_ended(ended, index, redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, limit))
end

local function store_ended(ended, indexes, state, pairs_of_id_and_record, ttls)
  local index, scores, longest = indexes[state], {}, 0
  for n = 1, #ttls do
    scores[2 * n - 1], scores[2 * n] = string.format('%.0f', now + ttls[n]), pairs_of_id_and_record[2 * n - 1]
    longest = math.max(longest, ttls[n])
  end
  spread('HSET', ended, pairs_of_id_and_record)
  spread('ZADD', index, scores)
  outlive(ended, indexes, index, longest)
  prune(ended, index, 2 * #ttls + 10)
end

local function bound(ended, index, most)
  local surplus = redis.call('ZCARD', index) - most
  if surplus > 0 then
    forget_ended(ended, index, redis.call('ZRANGE', index, 0, surplus - 1))
  end
end

local function is_kept(index, id)
  local moment = redis.call('ZSCORE', index, id)
  return moment and tonumber(moment) > now
end
