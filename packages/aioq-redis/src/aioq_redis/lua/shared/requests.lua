-- requests: what one client was answered, so that nothing is done twice. Its requests have numbers
-- that only grow: whatever comes after a later one was given up, and is not done any more.
-- The memo has the answers of the latest, and of earlier ones that the client says it has not heard:
--   <number>=<answers> <number>=<answers> ...
-- answers: for each job 1 new, 0 known, . not decided. A space is in front of each.
local UNHEARD_TTL = 120000

local function too_late(memo, number)
  return memo and tonumber(string.match(memo, '%d+') or 0) >= tonumber(number)
end

local function memo_of(memo, number, unheard, answers)
  local noted = ' ' .. number .. '=' .. answers
  if memo and unheard ~= '' then
    for other in string.gmatch(unheard, '%d+') do
      noted = noted .. (string.match(memo, ' ' .. other .. '=%S+') or '')
    end
  end
  return noted
end
