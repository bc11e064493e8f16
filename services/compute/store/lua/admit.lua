-- ARGV: force, ids. Answers how many would be queued anew, and how many wait.
local force, new = ARGV[1] == '1', 0
for at = 2, #ARGV do
  local state = redis.call('HGET', key_of(ARGV[at]), 'state')
  if state ~= 'PENDING' and state ~= 'RUNNING' and (force or state ~= 'DONE') then new = new + 1 end
end
return {new, waiting()}
