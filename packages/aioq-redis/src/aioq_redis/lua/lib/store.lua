-- store: store new jobs as pending or scheduled. A plan is priority[+delay ms or @time ms]. This part puts
-- the enqueue time in front of each record. `at` has the keys, and `ready`: the place in KEYS of ready list 0.
local PROMOTED_FIRST = 1000

local function sort_out(ids, plans, records)
  local stamp = string.format('%.0f ', now)
  local entries, lines, later, pending = {}, {}, {}, 0
  for n, id in ipairs(ids) do
    local priority, from, moment = string.match(plans[n], '^&?(%d)([+@]?)(%d*)$')
    priority = tonumber(priority)
    moment = from == '' and now or tonumber(moment) + (from == '+' and now or 0)
    entries[#entries + 1] = id
    entries[#entries + 1] = stamp .. records[n]
    if moment > now then
      later[#later + 1] = score(moment, priority, math.floor(#later / 2 * PLACES / #ids))
      later[#later + 1] = id
    else
      local line = lines[priority] or {}
      lines[priority] = line
      line[#line + 1] = id
      pending = pending + 1
    end
  end
  return entries, lines, later, pending
end

local function remove_from_ready(at, ids)
  for _, id in ipairs(ids) do
    if redis.call('SREM', at.cancelled_ids, id) == 1 then
      for priority = 0, 9 do
        redis.call('LREM', KEYS[at.ready + priority], 0, id)
      end
    end
  end
end

local function store(at, ids, plans, records, outdated)
  local entries, lines, later, pending = sort_out(ids, plans, records)
  if redis.call('EXISTS', at.cancelled_ids) == 1 then
    remove_from_ready(at, ids)
  end
  -- Ids go into the ready lists before their records are stored. A full server refuses the first write, and a
  -- key of a wrong type fails here. An id without a record does no harm; a record without an id is never run.
  pending = pending + promote(at.due, at.ready, PROMOTED_FIRST)
  local before = #later > 0 and earliest(at.due)
  for priority, line in pairs(lines) do
    spread('RPUSH', KEYS[at.ready + priority], line)
  end
  spread('ZADD', at.due, later)
  spread('HSET', at.jobs, entries)
  for id, index in pairs(outdated) do
    forget_ended(at.ended, index, { id })
  end
  if pending > 0 then
    wake_workers(at.wake, pending)
  elseif #later > 0 and earliest(at.due) ~= before then
    wake_workers(at.wake, 1)
  end
end
