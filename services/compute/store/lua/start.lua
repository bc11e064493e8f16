-- ARGV: dispatch, worker, run, call, timeout ms, attempts allowed, ttl of a failed record, ms until a look, ids.
-- Answers the server's clock, then per task {fence, attempts, parameters, deadline} or the reason for a refusal.
local dispatch, worker, run, call = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local timeout, max_attempts, ttl, check_after = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local GRACE = 500  -- the worker's own watch comes first
local FIRST = 9
local mates = #ARGV - FIRST + 1

beyond_memory()
-- The clock keeps fences rising also when a failover has lost the counter's last values.
local fence = math.max((tonumber(redis.call('GET', P .. 'fence')) or 0), clock[1] * 1000000 + clock[2])
local answer = {whole(NOW)}

local function begin(id, key, known)
  fence = fence + 1
  local attempts, revision, deadline = (tonumber(known[4]) or 0) + 1, known[5] + 1, NOW + timeout
  redis.call('HSET', key, 'state', 'RUNNING', 'revision', revision, 'attempts', attempts, 'fence', whole(fence),
    'started', NOW, 'worker', worker, 'run', run, 'call', call, 'deadline', deadline, 'mates', mates)
  put_off(LOOK_AT, math.min(deadline + GRACE, NOW + check_after), id)
  note(id, revision, 'RUNNING')
  return {whole(fence), attempts, known[3], whole(deadline)}
end

-- Dask runs the key of a dead worker again. An attempt that began there counts, unless others began with it.
local function lost(id, key, known)
  local attempts, revision = tonumber(known[3]) or 0, known[4] + 1
  if spare(key) then
    attempts = attempts - 1
  elseif attempts >= max_attempts then
    close(id, key, 'FAILED', revision, ttl, 'error', cjson.encode({type = 'worker_lost', message =
      'worker ' .. (known[8] or 'unknown') .. ' was lost while it ran attempt ' .. attempts .. ' of ' .. max_attempts}))
    return 'failed'
  end
  put_back(id, key, revision, attempts, tonumber(known[9]) or 0, 0, known[10] or 'i')
  return 'requeued'
end

-- Members that have begun already.
local function met(id, key)
  local known = redis.call('HMGET', key, 'run', 'call', 'attempts', 'revision', 'parameters', 'fence', 'deadline',
    'worker', 'drains', 'lane')
  if known[1] ~= run then return lost(id, key, known) end
  if known[2] ~= call then return 'running' end
  return {known[6], tonumber(known[3]), known[5], known[7]}  -- the same call again, since its answer was lost
end

for at = FIRST, #ARGV do
  local id = ARGV[at]
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'dispatch', 'parameters', 'attempts', 'revision')
  local state = known[1]
  if known[2] ~= dispatch or (state ~= 'PENDING' and state ~= 'RUNNING') then
    answer[#answer + 1] = 'stale'
  elseif state == 'PENDING' then
    answer[#answer + 1] = begin(id, key, known)
  else
    answer[#answer + 1] = met(id, key)
  end
end
redis.call('SET', P .. 'fence', whole(fence))
conclude()
return answer
