-- ARGV: ttl, ids. Answers the records as they are afterwards.
beyond_memory()
local ttl, answer = tonumber(ARGV[1]), {}
for at = 2, #ARGV do
  local id = ARGV[at]
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'revision', 'queued')
  if known[1] == 'PENDING' or known[1] == 'RUNNING' then
    redis.call('HDEL', key, 'fence')
    redis.call('ZREM', DELAYED, id)
    close(id, key, 'CANCELLED', known[2] + 1, ttl)
    if in_queue(known[3]) then redis.call('HSET', key, 'queued', known[3]) end  -- its entry stays
  end
  answer[#answer + 1] = known[1] and row(key, false) or false
end
conclude()
return answer
