-- ARGV: name, owner. Answers 1 if the lease was the owner's; then anybody may take it.
local key = P .. 'lease:' .. ARGV[1]
if redis.call('HGET', key, 'owner') ~= ARGV[2] then return 0 end
redis.call('DEL', key)
return 1
