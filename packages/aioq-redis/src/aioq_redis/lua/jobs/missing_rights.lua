-- missing_rights: return the commands that the user must not run, of those that scripts run.
--
-- KEYS     due
-- ARGV     names of commands, separated by blanks
-- Returns  names; none on Redis 6.2, which cannot tell
if not redis.acl_check_cmd then
  return {}
end
local due = KEYS[1]
local missing = {}
for name in string.gmatch(ARGV[1], '%S+') do
  if not redis.acl_check_cmd(name, due) then
    missing[#missing + 1] = name
  end
end
return missing
