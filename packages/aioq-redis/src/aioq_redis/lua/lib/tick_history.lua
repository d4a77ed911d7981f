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

local function write_counts(cron, counts)
  for part, count in pairs(counts) do
    if count ~= 0 then
      local answer = redis.pcall('HINCRBY', cron, part, count)
      if type(answer) == 'table' and answer.err then
        -- The stored count is damaged, so counting begins anew.
        redis.call('HSET', cron, part, math.max(count, 0))
      end
    end
  end
end

local function known_tick(ticks, tick, head)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', ticks, tick, tick)) do
    if string.sub(member, 1, #head) == head then
      return member
    end
  end
end

local function forgotten_tick(cron)
  return stored_number(redis.call('HGET', cron, 'forgotten')) or -1
end

local function note_tick(cron, ticks, tick, owner, body)
  local head, counts = tick .. ' ' .. owner .. '\n', {}
  local known = known_tick(ticks, tick, head)
  if known then
    add_counts(counts, string.sub(known, #head + 1), -1)
    redis.call('ZREM', ticks, known)
  elseif tonumber(tick) <= forgotten_tick(cron) then
    -- The tick was counted when it fired. Only its end was not known.
    add_counts(counts, body, 1, true)
    write_counts(cron, counts)
    return
  end
  add_counts(counts, body, 1)
  write_counts(cron, counts)
  redis.call('ZADD', ticks, tick, head .. body)
  if not known and redis.call('ZCARD', ticks) > MOST_TICKS then
    local oldest = redis.call('ZPOPMIN', ticks)[2]
    redis.call('HSET', cron, 'forgotten', string.format('%.0f', math.max(forgotten_tick(cron), stored_number(oldest) or 0)))
  end
end
