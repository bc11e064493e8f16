-- ARGV: lane, force, queue maximum or -1, size of the recent listing, bytes of results in the answer or -1 for brief
-- answers, then id, version and parameters of each task.
-- Answers per task its fields, result and outcome (1 created, 2 joined, 3 hit), or 4 when there is no room.
local lane, force, queue_max = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local recent_max, budget = tonumber(ARGV[4]), tonumber(ARGV[5])
local brief, already = budget < 0, queue_max >= 0 and waiting() or 0
local answer, created = {}, 0
local TO_TAIL, TO_RECENT = {'RPUSH', QUEUES[lane]}, {'ZADD', RECENT}

-- Only a script's first write can be refused for want of memory; nothing has been written then.
local function write(...)
  local written = redis.pcall('HSET', ...)
  if type(written) ~= 'table' or not written.err then return true end
  if string.find(written.err, 'OOM', 1, true) then return false end
  error(written.err, 0)
end

local function create(id, key, known, version, parameters)
  if queue_max >= 0 and already + created >= queue_max then return false end
  -- An entry left by a cancelled task serves again.
  local entry = (known[3] == lane or known[3] == 'i') and known[3]
  if not write(key, 'schema', '1', 'state', 'PENDING', 'revision', (tonumber(known[2]) or 0) + 1,
      'version', version, 'parameters', parameters, 'created', NOW, 'queued', entry or lane) then
    return false
  end
  if known[1] then
    redis.call('PERSIST', key)
    detach(id, key, 'started', 'finished', 'expires', 'attempts', 'progress', 'error', 'result', 'object', 'fence', 'lane')
    note(id, known[2] + 1, 'PENDING')  -- of a new task nobody has heard yet
  end
  if not entry then put_off(TO_TAIL, id) end
  put_off(TO_RECENT, NOW, id)
  created = created + 1
  return true
end

-- Whoever waits for a task himself does not wait behind its batch: it gets an entry in the other queue, and the old
-- one goes stale. One that is delayed keeps its time. A full server leaves it where it is.
local function overtake(id, key, queued)
  if queued == 'b' then
    if write(key, 'queued', 'i') then redis.call('RPUSH', QUEUES.i, id) end
  elseif not in_queue(queued) then
    write(key, 'lane', 'i')
  end
end

local function meet(id, key, version, parameters)
  local known = redis.call('HMGET', key, 'state', 'revision', 'queued', 'dispatch')
  local state = known[1]
  if state == 'DONE' and not force then return 3, state end
  if state == 'PENDING' or state == 'RUNNING' then
    if lane == 'i' and state == 'PENDING' and not known[4] then overtake(id, key, known[3]) end
    return 2, state
  end
  if create(id, key, known, version, parameters) then return 1, 'PENDING' end
  return 4, ''
end

for at = 6, #ARGV, 3 do
  local id = ARGV[at]
  local key = key_of(id)
  local outcome, state = meet(id, key, ARGV[at + 1], ARGV[at + 2])
  if brief then
    answer[#answer + 1] = outcome
    answer[#answer + 1] = state
  elseif outcome == 4 then
    answer[#answer + 1] = 4
  else
    local values = row(key, outcome == 3 and budget > 0)
    budget = budget - #(values[#FIELDS + 1] or '')
    values[#values + 1] = outcome
    answer[#answer + 1] = values
  end
end
conclude()
if created > 0 then redis.call('ZREMRANGEBYRANK', RECENT, 0, -recent_max - 1) end
return answer
