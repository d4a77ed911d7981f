-- tick_runs: the run of the latest tick of an entry that was won, as one line of text:
--   <tick ms> <time until which the run counts as going on, ms> <kind>[<tick ms of the run that its job waits for>] <worker>
-- kind: w its worker calls a function, j it is a job, e it has ended
local DAY = 86400000

local function parse_tick_run(line)
  local tick, till, kind, after, worker = string.match(line or '', '^(%d+) (%d+) (%a)(%d*) (.*)$')
  return tick and stored_number(till) and {
    tick = tick, till = tonumber(till), kind = kind, after = after, worker = worker,
  }
end

local function tick_run_line(tick, till, kind, worker)
  return string.format('%s %.0f %s %s', tick, till, kind, worker)
end

local function job_of_tick(name, tick)
  return 'cron:' .. name .. ':' .. tick
end

local function goes_on(run, name, jobs)
  if not run or run.kind == 'e' then
    return false
  end
  if run.kind == 'w' then
    -- A worker extends its run every few seconds: a moment that is far ahead is damaged.
    return run.till > now and run.till < now + DAY
  end
  return redis.call('HEXISTS', jobs, job_of_tick(name, run.tick)) == 1
end
