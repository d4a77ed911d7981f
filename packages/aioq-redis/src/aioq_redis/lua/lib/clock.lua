-- clock: the server's time, `now` in milliseconds. Scripts use no other clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The same time in microseconds, as text. Workers fire ticks by it.
local function microseconds()
  return string.format('%.0f', clock[1] * 1000000 + clock[2])
end
