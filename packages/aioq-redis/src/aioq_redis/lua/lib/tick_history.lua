-- tick_history: records of the latest ticks of an entry, in a sorted set by tick. A member is
--   <tick ms> <owner>\n<status><count> <fired> <finished>\n<reason>\n<worker>\n<job>\n<error>
-- owner: the worker that reported the record, or nothing if all workers share it
-- status: f fired, o ok, x failed, s skipped, m missed
-- fired, finished: ms after the tick, or - if that did not happen. Redis stores members of up to 64 bytes compactly.
-- worker: if it is not the owner           job: its id, or = for the default id of the tick
-- The counts are fields of the entry. The field `forgotten` is the latest tick whose record was removed.
local MOST_TICKS = 100
local COUNTED = {
  f = { 'fired' }, o = { 'fired', 'ok' }, x = { 'fired', 'failed' }, s = { 'skipped' }, m = { 'missed' },
}
local COALESCED = 'coalesced' -- aioq.model.cron.TickReason.COALESCED: counted apart from other skipped ticks
local ENDS = { ok = true, failed = true }

local function add_counts(counts, body, sign, ends_only)
  local status, count, reason = string.match(body, '^(%a)(%d+)[^\n]*\n([^\n]*)')
  local parts = status == 's' and reason == COALESCED and { 'coalesced' } or COUNTED[status or '']
  for _, part in ipairs(stored_number(count or '') and parts or {}) do
    if ENDS[part] or not ends_only then
      counts[part] = (counts[part] or 0) + sign * count
    end
  end
end

-- The records of an entry, and what a script has to write for them at the end: `write_counts` must follow.
local function history_of(cron, ticks, forgotten)
  -- A key of a wrong type must fail before the script stores anything.
  local size = redis.call('ZCARD', ticks)
  return {
    cron = cron, ticks = ticks, size = size, is_new = size == 0, forgotten = stored_number(forgotten) or -1, counts = {},
  }
end

local function write_counts(history)
  for part, count in pairs(history.counts) do
    if count ~= 0 then
      local answer = redis.pcall('HINCRBY', history.cron, part, count)
      if type(answer) == 'table' and answer.err then
        -- The stored count is damaged, so counting begins anew.
        redis.call('HSET', history.cron, part, math.max(count, 0))
      end
    end
  end
end

local function known_tick(history, tick, head)
  for _, member in ipairs(history.size > 0 and redis.call('ZRANGEBYSCORE', history.ticks, tick, tick) or {}) do
    if string.sub(member, 1, #head) == head then
      return member
    end
  end
end

local function forget_oldest(history)
  local oldest = stored_number(redis.call('ZPOPMIN', history.ticks)[2]) or 0
  history.size, history.forgotten = history.size - 1, math.max(history.forgotten, oldest)
  redis.call('HSET', history.cron, 'forgotten', string.format('%.0f', history.forgotten))
end

local function note_tick(history, tick, owner, body)
  local head, counts = tick .. ' ' .. owner .. '\n', history.counts
  local known = known_tick(history, tick, head)
  if known then
    add_counts(counts, string.sub(known, #head + 1), -1)
    redis.call('ZREM', history.ticks, known)
    history.size = history.size - 1
  elseif tonumber(tick) <= history.forgotten then
    -- The tick was counted when it fired. Only its end was not known.
    add_counts(counts, body, 1, true)
    return
  end
  add_counts(counts, body, 1)
  redis.call('ZADD', history.ticks, tick, head .. body)
  history.size = history.size + 1
  if history.size > MOST_TICKS then
    forget_oldest(history)
  end
end
