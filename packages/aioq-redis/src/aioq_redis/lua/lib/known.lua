-- known: whether the id of a job is free, taken by this very job, or by another.
local function task_and_payload(record)
  return string.match(record, '^(%S*)[^\n]*\n(.*)$')
end

local function same_job(record, new)
  local task, payload = task_and_payload(record)
  local new_task, new_payload = task_and_payload(new)
  return task == new_task and payload == new_payload
end

local function without_moment(record)
  return string.match(record, '^%d* ?(.*)$')
end

local function same_ended(kept, new)
  if kept.state ~= COMPLETED or kept.note == '' then
    return same_job(without_moment(kept.record), new)
  end
  local task, payload = task_and_payload(new)
  return kept.note == digest(payload) and string.match(kept.record, '^%d+ (%S*)') == task
end

-- 1 when the id is free, 0 when it is this very job's, -1 when it is another's; with 1 the index
-- in which an outdated record of it is left. `live` and `past` are what is stored under the id.
local function verdict(id, new, live, past, indexes)
  if live then
    return same_job(without_moment(live), new) and 0 or -1
  end
  local kept = past and parse_ended(past)
  local index = kept and indexes[kept.state]
  if index and still_kept(index, id) then
    return same_ended(kept, new) and 0 or -1
  end
  return 1, index or nil
end
