-- waits: notify the clients that wait for the end of a job.
local function notify_waiters(waits, channel, ids)
  if #ids == 0 or redis.call('EXISTS', waits) == 0 then
    return
  end
  local asked = fetch('ZMSCORE', waits, ids)
  for n = 1, #ids do
    if asked[n] then
      -- A user without the right to publish can still end jobs: waiting clients also poll.
      redis.pcall('PUBLISH', channel .. ids[n], '1')
      redis.call('ZREM', waits, ids[n])
    end
  end
end
