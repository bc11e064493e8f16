-- ARGV: name, owner, ttl ms. Answers 1 while the lease is the owner's. No TTL, which a full server could evict.
local key = P .. 'lease:' .. ARGV[1]
local known = redis.call('HMGET', key, 'owner', 'until')
if known[1] and known[1] ~= ARGV[2] and tonumber(known[2]) > NOW then return 0 end
beyond_memory()
redis.call('HSET', key, 'owner', ARGV[2], 'until', NOW + ARGV[3])
return 1
