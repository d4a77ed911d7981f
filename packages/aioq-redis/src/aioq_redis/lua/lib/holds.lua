-- holds: the jobs of stopped tasks, set aside in the sorted set `held` by the claims that met them. A position is
--   (<number of the stop> * 10 + 9 - <priority>) * LINE + <place>
-- So the jobs of a task lie together, in the order in which they are to run. The place is that of a counter, but a job
-- that was claimed before has one by the time of that claim, in front of the others.
-- In the hash `stops`, a stopped task is the field `task:<name>`: <number> <since ms> <note and author as JSON>. The
-- field `restoring` has the numbers of tasks that were restored while jobs of theirs lay in `held`; `places` is the
-- counter.
-- All functions are made by one, because a claim needs none of them if nothing is stopped.
local function held_jobs(stops, held)
  local LINE, AT_FRONT = 549755813888, 400000000000
  local part = {}

  function part.first(number)
    return string.format('%.0f', number * 10 * LINE)
  end

  function part.last(number)
    return string.format('(%.0f', (number + 1) * 10 * LINE)
  end

  -- The first position of a priority, and the end of its positions.
  function part.line(number, priority)
    local first = (number * 10 + 9 - priority) * LINE
    return string.format('%.0f', first), string.format('(%.0f', first + LINE)
  end

  function part.position(number, priority, place, claimed)
    place = claimed and math.floor(claimed / 10) or AT_FRONT + place
    return string.format('%.0f', (number * 10 + 9 - priority) * LINE + place)
  end

  function part.priority(position)
    return 9 - math.floor(position / LINE) % 10
  end

  function part.number(position)
    return math.floor(position / LINE / 10)
  end

  function part.count(number)
    return redis.call('ZCOUNT', held, part.first(number), part.last(number))
  end

  function part.numbers_in(text)
    local numbers = {}
    for number in string.gmatch(text or '', '%d+') do
      numbers[#numbers + 1] = tonumber(number)
    end
    return numbers
  end

  -- Nothing may be left of orders that are over: each claim looks whether there are any.
  function part.forget_if_open()
    if redis.call('HLEN', stops) == redis.call('HEXISTS', stops, 'places') then
      redis.call('DEL', stops)
    end
  end

  function part.note_restoring(numbers)
    if #numbers > 0 then
      redis.call('HSET', stops, 'restoring', table.concat(numbers, ' '))
    else
      redis.call('HDEL', stops, 'restoring')
      part.forget_if_open()
    end
  end

  return part
end
