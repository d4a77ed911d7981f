-- outage: the signs of life of a queue's workers, with the rules of aioq.model.outage. They are one line of text:
--   <seen> <next by> <lease> <wait until> <noticed> <noticed before> <give up> <claimed by> <survived>
-- survived is 1 if a worker from before the outage has extended a lease since, the others are ms.
local SIGNS_TTL = 604800000

local function parse_signs(line)
  local seen, next_by, lease, wait_until, noticed, noticed_before, give_up, claimed_by, survived =
    string.match(line or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ([01])$')
  return seen and {
    seen = tonumber(seen), next_by = tonumber(next_by), lease = tonumber(lease), wait_until = tonumber(wait_until),
    noticed = tonumber(noticed), noticed_before = tonumber(noticed_before), give_up = tonumber(give_up),
    claimed_by = tonumber(claimed_by), survived = survived == '1',
  }
end

local function after_outage(life, next_by, lease, step)
  return {
    seen = now, next_by = next_by, lease = lease, wait_until = now + math.max(lease, life.lease), noticed = now,
    noticed_before = step > 0 and 0 or life.noticed, give_up = step > 0 and 0 or life.noticed_before,
    claimed_by = life.seen + math.floor(life.lease * 5 / 12), survived = false,
  }
end

-- Returns the signs with a new one, and the ms by which the clock was set back since the one before.
local function note_sign(life, lease)
  local next_by = now + math.floor(lease * 2 / 3)
  if not life then
    return {
      seen = now, next_by = next_by, lease = lease, wait_until = 0, noticed = 0, noticed_before = 0, give_up = 0,
      claimed_by = 0, survived = false,
    }, 0
  end
  local step = life.seen - now > life.lease * 5 / 12 and life.seen - now or 0
  if now > life.next_by or step > 0 then
    return after_outage(life, next_by, lease, step), step
  end
  life.seen = now
  if next_by >= life.next_by then
    life.next_by, life.lease = next_by, lease
  end
  return life, 0
end

local function store_signs(key, life)
  redis.call('SET', key, string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %d', life.seen, life.next_by,
    life.lease, life.wait_until, life.noticed, life.noticed_before, life.give_up, life.claimed_by,
    life.survived and 1 or 0), 'PX', SIGNS_TTL)
end

-- The moment by which a lease must have run out to be taken back.
local function reapable(life)
  return now >= life.wait_until and now or math.min(life.give_up, now)
end

-- After the clock was set back, the leases from before would run out too late by the step.
local function move_deadlines(leased, life, step)
  local late = redis.call('ZRANGEBYSCORE', leased, string.format('%.0f', life.wait_until), '+inf', 'WITHSCORES')
  local scores = {}
  for n = 1, #late, 2 do
    scores[n], scores[n + 1] = string.format('%.10f', math.max(late[n + 1] - step, 0)), late[n]
  end
  spread('ZADD', leased, scores)
end
