-- Answers the depth, ms since the oldest task at the queues' heads was asked for, and bytes of memory: used, allowed.
local LOOK = 10  -- entries of each head, since some may be stale
local oldest = NOW
for lane, queue in pairs(QUEUES) do
  for _, id in ipairs(redis.call('LRANGE', queue, 0, LOOK - 1)) do
    local known = redis.call('HMGET', key_of(id), 'state', 'queued', 'created')
    if known[1] == 'PENDING' and known[2] == lane then
      oldest = math.min(oldest, tonumber(known[3]))
      break
    end
  end
end
local memory = redis.call('INFO', 'memory')
local used, most = string.match(memory, 'used_memory:(%d+)'), string.match(memory, 'maxmemory:(%d+)')
return {depth(), whole(NOW - oldest), used or '0', most or '0'}
