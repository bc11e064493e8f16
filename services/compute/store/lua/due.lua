-- ARGV: limit. Answers a row per task in flight whose time to be looked at has come.
local GRACE = 500  -- the worker's own watch comes first
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', FLIGHT, '-inf', NOW, 'LIMIT', 0, ARGV[1])) do
  local known = redis.call('HMGET', key_of(id), 'state', 'dispatch', 'scheduler', 'run', 'worker', 'fence', 'started',
    'deadline', 'attempts')
  if (known[1] == 'PENDING' or known[1] == 'RUNNING') and known[2] then
    known[10] = known[8] and NOW >= known[8] + GRACE and 1 or 0
    table.insert(known, 1, id)
    answer[#answer + 1] = known
  else
    redis.call('ZREM', FLIGHT, id)
  end
end
return answer
