-- claim_ticks: decide which worker fires ticks of entries, and enqueue the jobs of schedules.
--
-- Needs    clock batches scores states due ended wakes runs known store numbers tick_history tick_runs tick_claims tick_decisions
-- KEYS     jobs runs ended cancelled_ids due wake ended_indexes ready:0-9 cron:<name>... ticks:<name>...
-- ARGV     1 ms that a tick may be early   2 ms to remember an entry; then for each entry, each only once:
--          name, fingerprint of the schedule, worker id, request id, overlap, ms that a run counts as going
--          on, plan of the job or '', number of ticks, the ticks in ms, ascending, number of records, the records
--          of the jobs: none, one for all ticks, or one for each
-- Returns  the server's time in us; then for each entry the outcome, a value of `aioq.model.cron.TickOutcome`; if
--          ticks were spent also the last tick before, or '', and the same again, or '' if it was set under
--          another fingerprint
local jobs, runs, ended, cancelled_ids, due, wake = unpack(KEYS)
local INDEX, READY = ended_indexes(7)
local at = {
  jobs = jobs, runs = runs, ended = ended, cancelled_ids = cancelled_ids, due = due, wake = wake, index = INDEX,
  ready = READY, entries = READY + 9, count = (#KEYS - READY - 9) / 2, allowed = tonumber(ARGV[1]), remember = ARGV[2],
}

local claims, replies, place = {}, { microseconds() }, 3
for n = 1, at.count do
  claims[n] = read_claim(at, n, place)
  place = claims[n].stop + 1
  replies[n + 1] = decide(at, claims[n])
end
-- A full server refuses this first, before any claim is stored.
enqueue(at, claims)
-- A full server lets a script continue if its first write needs no memory.
redis.call('HDEL', claims[1].cron, '')
for _, claim in ipairs(claims) do
  if claim.outcome then
    record_ticks(claim)
    store_claim(at, claim)
  end
end
return replies
