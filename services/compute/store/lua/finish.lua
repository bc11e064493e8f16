-- ARGV: count, then id, fence, state, ttl, field and value of each, then name, count and total ms of what was learned.
-- Answers 1 per task whose end is on record under this fence and state, else 0.
local ALPHA = 0.9  -- weight of what was known before, per task
beyond_memory()
local count, answer = tonumber(ARGV[1]), {}
for at = 2, 1 + 6 * count, 6 do
  local id, fence, state = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'fence', 'revision')
  local accepted = known[2] == fence and known[1] == state
  if known[2] == fence and known[1] == 'RUNNING' then
    close(id, key, state, known[3] + 1, tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5])
    accepted = true
  end
  answer[#answer + 1] = accepted and 1 or 0
end
for at = 2 + 6 * count, #ARGV, 3 do
  local name, tasks = ARGV[at], tonumber(ARGV[at + 1])
  local mean = tonumber(ARGV[at + 2]) / tasks
  local before = tonumber(redis.call('HGET', DURATIONS, name) or nil)  -- nil also while it is being measured
  if before then mean = mean + (before - mean) * ALPHA ^ tasks end
  redis.call('HSET', DURATIONS, name, string.format('%.4f', mean))
end
conclude()
return answer
