-- requests: the answers to the requests of one client, so that no request is executed twice. Requests have
-- ascending numbers of 12 digits. The client has given up a request that arrives after a later one, so the
-- script does not execute it. The memo has the answer to the latest request, and to earlier ones that the
-- client reports as unacknowledged. So a memo that is >= a number, as texts, is of that request or a later one:
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
