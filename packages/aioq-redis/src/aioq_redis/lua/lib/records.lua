-- records: <enqueued ms> <task> <header as JSON, or nothing>\n<payload>
local function task_of(record)
  return string.match(record, '^%d+ (%S+) ') or ''
end

local function header_of(record)
  local json = string.match(record, '^%d+ %S+ ([^\n]+)\n')
  local read, header = pcall(cjson.decode, json or '{}')
  return read and type(header) == 'table' and header or {}
end

local function whole_number(value, low, high, default)
  if type(value) ~= 'number' or value ~= math.floor(value) or value < low or value > high then
    return default
  end
  return value
end

local function line_of(record)
  return whole_number(header_of(record).p, 0, 9, 5)
end
