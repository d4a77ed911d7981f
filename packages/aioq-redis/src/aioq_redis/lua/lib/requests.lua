-- requests: what one client was answered, so that nothing is done twice. Its requests have numbers
-- that only grow, of 12 digits each: whatever comes after a later one was given up, and is not done
-- any more. The memo has the answers of the latest, and of earlier ones that the client says it has
-- not heard, so that a memo that is >= a number, as texts, is of that request or a later one:
--   <number>=<answers> <number>=<answers> ...
-- answers: for each job 1 new, 0 known, . not decided
local MEMO_LASTS = '120000'

local function memo_of(memo, number, unheard, answers)
  local noted = number .. '=' .. answers
  if memo and unheard ~= '' then
    for other in string.gmatch(unheard, '%d+') do
      local heard = string.match(memo, other .. '=%S+')
      noted = heard and noted .. ' ' .. heard or noted
    end
  end
  return noted
end
