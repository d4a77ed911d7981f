-- runs: the history of a job that was claimed, as one line of text:
--   <state><marks> <epoch> <enqueued ms> <attempt> <crashes>[+<hand-backs>][/<probation ms>@<since ms>][*<due ms>][!]
--   <claimed ms> <worker>
-- state: r running, y retrying, s postponed, p released, c its worker crashed, n put back by hand
-- marks: the sum of 1 if the hash `attempts` has attempts of the job, and 2 if the job no longer expires, because it was
--   started or replayed
-- hand-backs: how often workers handed the job back since its latest start; left out if 0
-- probation, since: fields of CrashHistory in aioq.model.suspects; left out without a crash
-- due: when the job was put back, or comes due after that; left out if it never was
-- !: the run was claimed as the only one of its worker that was not cleared
-- worker: the one that claimed the job last; in a job that was put back or brought forward by hand, after the request
--   that did so
-- <epoch> <enqueued ms> is the fencing token: a write with another one, or by another worker, is rejected.
local function parse_run(line)
  local state, marks, epoch, enqueued, attempt, crashes, more, claimed, worker =
    string.match(line or '', '^(%a)(%d) (%d+) (%d+) (%d+) (%d+)(%S*) (%d+) (.*)$')
  if not state then
    return nil
  end
  local probation, since = string.match(more, '/(%d+)@(%d+)')
  return {
    state = state, noted = marks % 2 == 1, started = tonumber(marks) >= 2, epoch = tonumber(epoch), enqueued = enqueued,
    attempt = tonumber(attempt), crashes = tonumber(crashes), hand_backs = tonumber(string.match(more, '^%+(%d+)')) or 0,
    probation = tonumber(probation) or 0, since = tonumber(since) or 0, due = string.match(more, '%*(%d+)'),
    alone = string.sub(more, -1) == '!',
    claimed = claimed, worker = worker,
  }
end

local function run_line(run)
  local crashes = run.hand_backs > 0 and run.crashes .. '+' .. run.hand_backs or run.crashes
  local past = run.crashes > 0 and string.format('/%.0f@%.0f', run.probation, run.since) or ''
  return string.format('%s%d %d %s %d %s%s%s%s %s %s', run.state, (run.noted and 1 or 0) + (run.started and 2 or 0),
    run.epoch, run.enqueued, run.attempt, crashes, past, run.due and '*' .. run.due or '', run.alone and '!' or '',
    run.claimed, run.worker)
end

-- The job was started, or is to run however late it is.
local function note_start(run)
  run.started, run.hand_backs = true, 0
end

local function has_attempts(line)
  return string.byte(line, 2) % 2 == 1
end

-- A job with this many crashes may be the cause of them, so it runs alone.
local SUSPECT_AFTER = 2

local function suspect(run)
  return run.crashes >= SUSPECT_AFTER
end

-- The place of a job that crashed among those that wait in `suspects`. Suspects come first, the latest claimed before
-- the others; then observed jobs in the order of their time.
local function rank(run, time)
  return suspect(run) and '-' .. run.claimed or string.format('%.0f', time)
end

-- Whether the worker itself ended the run: it settled it, and did not crash.
local function was_settled(line)
  local state = string.byte(line)
  return state ~= RUN_CLAIM_BYTE and state ~= RUN_REAP_BYTE
end

-- Whether a line has this fencing token and ends with the worker; `owner` is a space and the worker's id.
local function fenced(line, fence, owner)
  return string.find(line, fence .. ' ', 4, true) == 4 and string.find(line, owner, -#owner, true) ~= nil
end
