-- bids: claims of an entry that spent ticks. The latest one is a field of the entry:
--   <outcome> <mark before> <previous> <moment ms> <request>\n<ticks, while it waits>
-- Those before it are another, newest first, a line for each without its ticks.
local MOST_BIDS, REPEATED = 10, 120000

local function parse_bid(text)
  local outcome, before, previous, moment, by, waiting =
    string.match(text or '', '^(%l+) (%d*) (%d*) (%d+) ([^\n]*)\n(.*)$')
  return outcome and {
    outcome = outcome, before = before, previous = previous, moment = tonumber(moment), request = by, waiting = waiting,
  }
end

local function waiting_ticks(bid)
  local moments = {}
  for tick in string.gmatch(bid.waiting, '%d+') do
    moments[#moments + 1] = tick
  end
  return moments
end

-- What a claim repeats. With `cancel` only the latest counts: the runs of the others have been replaced.
local function known_bid(claim)
  if claim.bid and claim.bid.request == claim.request then
    return claim.bid
  end
  if claim.bids == '' or claim.overlap == 'cancel' or not string.find(claim.bids, claim.request, 1, true) then
    return nil
  end
  for line in string.gmatch(claim.bids, '[^\n]+') do
    local bid = parse_bid(line .. '\n')
    if bid.request == claim.request then
      return bid
    end
  end
end

local function bid_line(claim)
  local moment = claim.again and claim.bid.moment or now
  local waiting = claim.outcome == 'queued' and table.concat(claim.spent, ' ') or ''
  return string.format('%s %s %s %.0f %s\n%s', claim.outcome, claim.before, claim.previous, moment, claim.request, waiting)
end

-- Those of the bids before that may still be repeated, now that another one has spent ticks.
local function earlier_bids(claim)
  local kept, latest = {}, claim.bid
  if latest and latest.outcome ~= 'queued' and latest.moment > now - REPEATED then
    kept[1] = string.format('%s %s %s %.0f %s', latest.outcome, latest.before, latest.previous, latest.moment,
      latest.request)
  end
  for line in string.gmatch(claim.bids, '[^\n]+') do
    if #kept < MOST_BIDS and parse_bid(line .. '\n').moment > now - REPEATED then
      kept[#kept + 1] = line
    end
  end
  return table.concat(kept, '\n')
end

-- Move the mark: add what is to be written to `fields`.
local function spend(claim, fields)
  local bids = earlier_bids(claim)
  for _, part in ipairs({ 'mark', claim.latest, 'marked_by', claim.fingerprint }) do
    fields[#fields + 1] = part
  end
  if bids ~= claim.bids then
    fields[#fields + 1] = 'bids'
    fields[#fields + 1] = bids
  end
end
