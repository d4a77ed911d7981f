-- known: whether the id of a job is free, belongs to the same job, or to another one.
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

-- Returns 1 if the id is free, 0 if it belongs to the same job, -1 if it belongs to another one; with 1 also
-- the index that still has an outdated record. `live` and `past` are the records stored under the id.
local function id_status(id, new, live, past, indexes)
  if live then
    return same_job(without_moment(live), new) and 0 or -1
  end
  local kept = past and parse_ended(past)
  local index = kept and indexes[kept.state]
  if index and is_kept(index, id) then
    return same_ended(kept, new) and 0 or -1
  end
  return 1, index or nil
end
