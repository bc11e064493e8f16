-- ARGV: owner of the lease, number of notes, name and value of each, then the document or nothing, then names of notes
-- to drop. Answers 1, or 0 when the lease is not the owner's, and then nothing is written.
local lease = redis.call('HMGET', P .. 'lease:autoscaler', 'owner', 'until')
if lease[1] ~= ARGV[1] or tonumber(lease[2]) <= NOW then return 0 end
beyond_memory()
local count = tonumber(ARGV[2])
for at = 3, 2 + 2 * count, 2 do redis.call('HSET', P .. 'fleet:notes', ARGV[at], ARGV[at + 1]) end
local document = ARGV[3 + 2 * count]
if document ~= '' then redis.call('SET', P .. 'fleet', document) end
for at = 4 + 2 * count, #ARGV do redis.call('HDEL', P .. 'fleet:notes', ARGV[at]) end
return 1
