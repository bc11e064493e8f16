-- ARGV: how many entries of each end of a queue to look at.
-- Answers the depth, then name and milliseconds learned of each computation, then name and number waiting, estimated
-- from the queues' ends. Below 0 are the milliseconds for which the first tasks of one that is being measured are out.
local sample = tonumber(ARGV[1])
local counts = {}
for _, queue in pairs(QUEUES) do
  local length = redis.call('LLEN', queue)
  local ids = redis.call('LRANGE', queue, 0, length <= 2 * sample and -1 or sample - 1)
  if length > 2 * sample then
    for _, id in ipairs(redis.call('LRANGE', queue, -sample, -1)) do ids[#ids + 1] = id end
  end
  for _, id in ipairs(ids) do
    local name = string.match(id, '^(.*)%-')
    if name then counts[name] = (counts[name] or 0) + length / #ids end
  end
end
local durations, waiting = {}, {}
for name, count in pairs(counts) do
  local text = redis.call('HGET', DURATIONS, name)
  if text then
    local since = string.match(text, '^%?(%d+):')
    durations[#durations + 1] = name
    durations[#durations + 1] = since and whole(since - NOW - 1) or text
  end
  waiting[#waiting + 1] = name
  waiting[#waiting + 1] = string.format('%.3f', count)
end
return {depth(), durations, waiting}
