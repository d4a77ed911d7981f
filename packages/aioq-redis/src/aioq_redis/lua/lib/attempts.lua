-- attempts: the latest attempts of a job, with the failure of the latest one that failed, as one text. A job whose
-- first attempt completes has none: its run line tells all.
--   <attempt>\n for each attempt, the oldest first; then \n<failure>
-- attempt: <number> <letter of its outcome> <start ms> <duration ms> <worker> <failure without its traceback, or nothing>
-- failure: <JSON>\n<traceback>, or nothing
local MOST_ATTEMPTS = 5

local function attempt_line(run, outcome, ended, failure)
  return string.format('%d %s %s %.0f %s %s\n', run.attempt, outcome, run.claimed,
    math.max(ended - tonumber(run.claimed), 0), run.worker, string.match(failure, '^[^\n]*'))
end

-- The lines of the attempts, and the failure.
local function split_attempts(text)
  if not text or string.sub(text, 1, 1) == '\n' then
    return '', string.sub(text or '', 2)
  end
  local lines, failure = string.match(text, '^(.-\n)\n(.*)$')
  return lines or '', failure or ''
end

local function with_attempt(lines, line)
  lines = lines .. line
  if select(2, string.gsub(lines, '\n', '')) > MOST_ATTEMPTS then
    return string.match(lines, '^[^\n]*\n(.*)$')
  end
  return lines
end
