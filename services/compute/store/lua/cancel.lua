-- ARGV: ttl, ids. Answers the records as they are afterwards.
beyond_memory()
local ttl, answer = tonumber(ARGV[1]), {}
for at = 2, #ARGV do
  local id = ARGV[at]
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'revision')
  if known[1] == 'PENDING' or known[1] == 'RUNNING' then
    redis.call('HDEL', key, 'fence')
    redis.call('ZREM', DELAYED, id)
    close(id, key, 'CANCELLED', known[2] + 1, ttl)
  end
  answer[#answer + 1] = known[1] and row(key, false) or false
end
announce()
return answer
