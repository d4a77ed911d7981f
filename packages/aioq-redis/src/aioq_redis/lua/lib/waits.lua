-- waits: tell clients that a job has ended, and only those that asked for it.
local function tell_waiters(waits, channel, ids)
  if #ids == 0 or redis.call('EXISTS', waits) == 0 then
    return
  end
  local asked = fetch('ZMSCORE', waits, ids)
  for n = 1, #ids do
    if asked[n] then
      -- A user without the right to publish still ends jobs; who waits looks again by itself.
      redis.pcall('PUBLISH', channel .. ids[n], '1')
      redis.call('ZREM', waits, ids[n])
    end
  end
end
