-- enqueue_one: store one new job that is due now, if that takes no decision.
--
-- Needs    clock requests
-- KEYS     jobs ended cancelled_ids due wake memo:<client> ready:<priority>
-- ARGV     1 id   2 record: without its moment, which is put in front here
--          3 number of the request   4 numbers of those that are unheard
-- Returns  1 stored; 0 nothing was done, `enqueue` has to decide
--
-- It does less than `enqueue`, and takes 7 us of the server instead of 17: every client that waits for one job
-- waits that much less.
local jobs, ended, cancelled_ids, due, wake, memo = unpack(KEYS)
local READY = 7
local ENOUGH = 100
local id, record, number, unheard = unpack(ARGV)

if redis.call('HEXISTS', jobs, id) == 1 then
  return 0
end
if redis.call('EXISTS', ended, cancelled_ids, due) > 0 then
  if redis.call('HEXISTS', ended, id) == 1 or redis.call('EXISTS', cancelled_ids) == 1 then
    return 0
  end
  -- Jobs that became due meanwhile must go into their ready lists before this one.
  local nearest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  if nearest and tonumber(nearest) < now + 1 then
    return 0
  end
end
local tokens = redis.call('LLEN', wake)
-- In this order, as in `enqueue`: an id in a ready list without a record does no harm.
redis.call('RPUSH', KEYS[READY], id)
local others = unheard ~= '' and redis.call('GET', memo)
local before = redis.call('SET', memo, memo_of(others, number, unheard, '1'), 'PX', MEMO_LASTS, 'GET')
if before and before >= number then
  redis.call('RPOP', KEYS[READY])
  redis.call('SET', memo, before, 'PX', MEMO_LASTS)
  return 0
end
redis.call('HSET', jobs, id, string.format('%.0f ', now) .. record)
if tokens < ENOUGH then
  redis.call('LPUSH', wake, '1')
end
return 1
