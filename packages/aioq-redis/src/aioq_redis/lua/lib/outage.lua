-- outage: the signs of life of a queue's workers, with the rules of aioq.model.outage. They are one line of text:
--   <seen> <next by> <lease> <wait until> <waits> <claimed by> <survived>
-- waits is a count, survived is 1 if a worker from before the outage has extended a lease since, the others are ms.
local SIGNS_TTL, MOST_WAITS = 604800000, 2

local function parse_signs(line)
  local seen, next_by, lease, wait_until, waits, claimed_by, survived =
    string.match(line or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ([01])$')
  return seen and {
    seen = tonumber(seen), next_by = tonumber(next_by), lease = tonumber(lease), wait_until = tonumber(wait_until),
    waits = tonumber(waits), claimed_by = tonumber(claimed_by), survived = survived == '1',
  }
end

local function after_outage(life, next_by, lease)
  local waits = life.seen < life.wait_until and life.waits + 1 or 1
  return {
    seen = now, next_by = next_by, lease = lease, waits = waits,
    wait_until = waits > MOST_WAITS and now or now + math.max(lease, life.lease),
    claimed_by = life.seen + math.floor(life.lease * 5 / 12), survived = false,
  }
end

-- Returns the signs with a new one, and the ms by which the clock was set back since the one before.
local function note_sign(life, lease)
  local next_by = now + math.floor(lease * 2 / 3)
  if not life then
    return {
      seen = now, next_by = next_by, lease = lease, wait_until = 0, waits = 0, claimed_by = 0, survived = false,
    }, 0
  end
  local step = life.seen - now > life.lease * 5 / 12 and life.seen - now or 0
  if now > life.next_by or step > 0 then
    return after_outage(life, next_by, lease), step
  end
  life.seen = now
  if next_by >= life.next_by then
    life.next_by, life.lease = next_by, lease
  end
  return life, 0
end

local function store_signs(key, life)
  redis.call('SET', key, string.format('%.0f %.0f %.0f %.0f %d %.0f %d', life.seen, life.next_by, life.lease,
    life.wait_until, life.waits, life.claimed_by, life.survived and 1 or 0), 'PX', SIGNS_TTL)
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
