-- tick_claims: the claims of an entry that spent ticks. The latest claim is the field `claim` of the entry:
--   <outcome> <last tick before> <previous> <time, ms> <request>\n<ticks, while the claim is queued>
-- previous: = if it is the last tick before. Redis stores a hash compactly if its values have up to 64 bytes.
-- The claims before it are the field `earlier_claims`: newest first, one line each, without their ticks.
-- A worker that got no answer repeats its claim, so answers are stored for CLAIM_TTL ms.
local MAX_CLAIMS, CLAIM_TTL = 10, 120000

local function parse_tick_claim(text)
  local outcome, before, previous, moment, by, waiting =
    string.match(text or '', '^(%l+) (%d*) (=?%d*) (%d+) ([^\n]*)\n(.*)$')
  previous = previous == '=' and before or previous
  if before ~= '' and not stored_number(before) or previous ~= '' and not stored_number(previous) then
    return nil
  end
  return outcome and stored_number(moment) and {
    outcome = outcome, before = before, previous = previous, moment = tonumber(moment), request = by, waiting = waiting,
  }
end

local function waiting_ticks(known)
  local moments = {}
  for tick in string.gmatch(known.waiting, '%d+') do
    moments[#moments + 1] = tick
  end
  return moments
end

-- The stored claim that has the same request id. With `cancel` only the latest is searched: the runs of the
-- earlier claims have been replaced, so their answers no longer hold.
local function repeated_claim(claim)
  if claim.known and claim.known.request == claim.request then
    return claim.known
  end
  if claim.earlier == '' or claim.overlap == 'cancel' or not string.find(claim.earlier, claim.request, 1, true) then
    return nil
  end
  for line in string.gmatch(claim.earlier, '[^\n]+') do
    local known = parse_tick_claim(line .. '\n')
    if known and known.request == claim.request then
      return known
    end
  end
end

local function tick_claim_head(outcome, before, previous, moment, request)
  previous = before ~= '' and previous == before and '=' or previous
  return string.format('%s %s %s %.0f %s', outcome, before, previous, moment, request)
end

local function tick_claim_line(claim)
  local moment = claim.again and claim.known.moment or now
  local waiting = claim.outcome == 'queued' and table.concat(claim.spent, ' ') or ''
  return tick_claim_head(claim.outcome, claim.before, claim.previous, moment, claim.request) .. '\n' .. waiting
end

-- The earlier claims that may still be repeated, now that another claim spends ticks.
local function earlier_tick_claims(claim)
  local kept, latest = {}, claim.known
  if latest and latest.outcome ~= 'queued' and latest.moment > now - CLAIM_TTL then
    kept[1] = tick_claim_head(latest.outcome, latest.before, latest.previous, latest.moment, latest.request)
  end
  for line in string.gmatch(claim.earlier, '[^\n]+') do
    local known = parse_tick_claim(line .. '\n')
    if known and #kept < MAX_CLAIMS and known.moment > now - CLAIM_TTL then
      kept[#kept + 1] = line
    end
  end
  return table.concat(kept, '\n')
end

-- Move the last tick of the entry: append the fields to write to `fields`.
local function spend(claim, fields)
  local claims = earlier_tick_claims(claim)
  for _, part in ipairs({ 'last_tick', claim.latest, 'last_tick_by', claim.fingerprint }) do
    fields[#fields + 1] = part
  end
  if claims ~= claim.earlier then
    fields[#fields + 1] = 'earlier_claims'
    fields[#fields + 1] = claims
  end
end
