-- numbers: whole numbers that are stored as text. Another program may have stored anything: what is no number of up
-- to 15 digits counts as absent.
local function stored_number(text)
  return text and #text <= 15 and string.match(text, '^%d+$') and tonumber(text) or nil
end

-- A tick that counts as decided. One that is more than a year ahead would silence its entry, and is damaged.
local YEAR = 31622400000

local function stored_tick(text)
  local tick = stored_number(text)
  return tick and tick <= now + YEAR and tick or nil
end
