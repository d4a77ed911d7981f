-- replays: put an ended job back into its queue, with no attempts counted. `at` has the keys, `line`: the place in KEYS
-- of ready list 0.

local PROMOTED_BEFORE = 1000

-- The run line of a job that was put back or brought forward names the request: a repeated one is answered as the
-- first time.
local function was_ordered(run, request)
  return run ~= nil and string.match(run.worker, '^(%S+) ') == request
end

local function replay_job(at, id, kept, request)
  local past = parse_run(kept.run) or { epoch = 0, worker = '' }
  local told = kept.attempts
  if kept.settled == '1' and past.claimed then
    told = with_attempt(told, attempt_line(past, kept.state, tonumber(kept.finished), kept.body))
  end
  local run = {
    state = RUN_REPLAY, noted = told .. kept.body ~= '', started = true, epoch = past.epoch, hand_backs = 0,
    enqueued = string.match(kept.record, '^(%d+) ') or '0',
    attempt = 0, crashes = 0, claimed = '0', due = string.format('%.0f', now),
    -- The worker stays: if it repeats its report of the run before, it hears that the report was written.
    worker = request .. ' ' .. string.match(past.worker, '%S*$'),
  }
  if redis.call('SREM', at.cancelled_ids, id) == 1 then
    -- The id that the cancelled job left in a ready list would run this one twice.
    for priority = 0, 9 do
      redis.call('LREM', KEYS[at.line + priority], 0, id)
    end
  end
  local promoted = promote(at.due, at.line, PROMOTED_BEFORE)
  redis.call('RPUSH', KEYS[at.line + line_of(kept.record)], id)
  redis.call('HSET', at.runs, id, run_line(run))
  if run.noted then
    redis.call('HSET', at.attempts, id, told .. '\n' .. kept.body)
  end
  redis.call('HSET', at.jobs, id, kept.record)
  wake_workers(at.wake, promoted + 1)
end
