-- ARGV: id, fence, progress. Answers 1, or 0 when the attempt is not the current one.
local key = key_of(ARGV[1])
local known = redis.call('HMGET', key, 'state', 'fence', 'revision')
if known[1] ~= 'RUNNING' or known[2] ~= ARGV[2] then return 0 end
beyond_memory()
redis.call('HSET', key, 'progress', ARGV[3], 'revision', known[3] + 1)
note(ARGV[1], known[3] + 1, 'RUNNING')
conclude()
return 1
