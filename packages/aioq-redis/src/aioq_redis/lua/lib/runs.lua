-- runs: the history of a job that was claimed, as one line of text:
--   <state><failed> <epoch> <enqueued ms> <attempt> <crashes> <claimed ms> <worker>
-- state: r running, y retrying, s postponed, p released, c its worker crashed, n put back by hand
-- failed: 1 if the hash `failures` has the latest failure
-- <epoch> <enqueued ms> is the fencing token: a write with another one is rejected.
local function parse_run(line)
  local state, failed, epoch, enqueued, attempt, crashes, claimed, worker =
    string.match(line or '', '^(%a)(%d) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  if not state then
    return nil
  end
  return {
    state = state, failed = failed, epoch = tonumber(epoch), enqueued = enqueued,
    attempt = tonumber(attempt), crashes = tonumber(crashes), claimed = claimed, worker = worker,
  }
end

local function run_line(run)
  return string.format('%s%s %d %s %d %d %s %s', run.state, run.failed, run.epoch, run.enqueued,
    run.attempt, run.crashes, run.claimed, run.worker)
end

-- A job with this many crashes may be the cause of them, so it runs alone.
local SUSPECT_AFTER = 2

local function suspect(run)
  return run and run.crashes >= SUSPECT_AFTER
end

-- Whether the worker itself ended the run: it settled it, and did not crash.
local function was_settled(line)
  local state = string.byte(line)
  return state ~= RUN_CLAIM_BYTE and state ~= RUN_REAP_BYTE
end

local function fenced(line, fence)
  return string.sub(line, 4, 4 + #fence) == fence .. ' '
end
