-- enqueue_one: store one new job that is due now, when nothing stands in the way.
--
-- Needs    clock
-- KEYS     jobs ended gone due wake ready:<priority>
-- ARGV     1 id   2 record: without its moment, which is put in front here
-- Returns  1 stored; 0 nothing was done, it takes `enqueue` to decide
--
-- It does less than `enqueue` and so takes 7 us of the server in place of 17: of those who wait
-- for one job to be stored, each waits that much less.
local jobs, ended, gone, due, wake = unpack(KEYS)
local READY = 6
local ENOUGH = 100
local id = ARGV[1]

local known = redis.call('HEXISTS', jobs, id) == 1 or redis.call('HEXISTS', ended, id) == 1
if known or redis.call('EXISTS', gone) == 1 then
  return 0
end
-- Jobs that have come due meanwhile go in line before this one.
local nearest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
if nearest and tonumber(nearest) < now + 1 then
  return 0
end
local tokens = redis.call('LLEN', wake)
-- In this order, as in `enqueue`: an id in line without a record does no harm.
redis.call('RPUSH', KEYS[READY], id)
redis.call('HSET', jobs, id, string.format('%.0f ', now) .. ARGV[2])
if tokens < ENOUGH then
  redis.call('LPUSH', wake, '1')
end
return 1
