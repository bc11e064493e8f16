-- What every script shares. KEYS[1] is the prefix of all keys, with a hash tag, so that they lie in one slot.
local P = KEYS[1]
local FIELDS = {'@FIELDS'}
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
local QUEUES = {i = P .. 'q:interactive', b = P .. 'q:batch'}
local FLIGHT, DELAYED, RECENT, DURATIONS = P .. 'flight', P .. 'delayed', P .. 'recent', P .. 'durations'
local changed = {}

local function key_of(id) return P .. 't:' .. id end

-- Lua prints large numbers as 1e+15.
local function whole(number) return string.format('%.0f', number) end

-- A full server refuses a script's first write when that needs memory, and none after a write: those scripts that
-- end or move work begin with a write that needs none, so that only `submit` is ever refused.
local function beyond_memory() redis.call('DEL', P .. 'none') end

local function note(id, revision, state) changed[#changed + 1] = id .. ' ' .. revision .. ' ' .. state end

-- Writes to what tasks share, put off so that one command has those of many: each command costs the server, its
-- append-only file and its replicas some microseconds. Lua can hand over only some thousand words at once.
local WORDS = 2000
local heads, lists = {}, {}

local function put_off(head, ...)
  local words = lists[head]
  if not words then
    words = {}
    heads[#heads + 1], lists[head] = head, words
  end
  for _, word in ipairs({...}) do words[#words + 1] = word end
end

local function settle()
  for _, head in ipairs(heads) do
    local words = lists[head]
    for from = 1, #words, WORDS do
      local command = {unpack(head)}
      for at = from, math.min(from + WORDS - 1, #words) do command[#command + 1] = words[at] end
      redis.call(unpack(command))
    end
  end
  heads, lists = {}, {}
end

local TO_HEAD = {i = {'LPUSH', QUEUES.i}, b = {'LPUSH', QUEUES.b}}
local OUT_OF_FLIGHT, LOOK_AT = {'ZREM', FLIGHT}, {'ZADD', FLIGHT, 'XX'}

-- The end of every script that changes tasks.
local function conclude()
  settle()
  if #changed > 0 then redis.call('PUBLISH', P .. 'changes', table.concat(changed, '\n')) end
end

local function row(key, results)
  local values = redis.call('HMGET', key, unpack(FIELDS))
  values[#FIELDS + 1] = results and values[1] == 'DONE' and redis.call('HGET', key, 'result')
  return values
end

local function depth()
  return {redis.call('LLEN', QUEUES.i), redis.call('LLEN', QUEUES.b), redis.call('ZCARD', DELAYED),
    redis.call('ZCARD', FLIGHT)}
end

local function waiting()
  return redis.call('LLEN', QUEUES.i) + redis.call('LLEN', QUEUES.b) + redis.call('ZCARD', DELAYED)
end

-- Ends a task's stay in Dask and its present attempt; the fields that tell of a finished one are the caller's.
local function detach(id, key, ...)
  redis.call('HDEL', key, 'dispatch', 'scheduler', 'worker', 'run', 'call', 'deadline', 'mates', 'unheld', 'drains', ...)
  put_off(OUT_OF_FLIGHT, id)
end

local function close(id, key, state, revision, ttl, ...)
  detach(id, key, 'lane', 'alone', 'queued')
  redis.call('HSET', key, 'state', state, 'revision', revision, 'finished', NOW, 'expires', NOW + ttl, ...)
  redis.call('PEXPIRE', key, ttl)
  note(id, revision, state)
end

-- `queued` names the queue that has an entry of this task that counts; none does when it is absent or ''.
local function enqueue(id, key, lane)
  put_off(TO_HEAD[lane], id)
  redis.call('HSET', key, 'queued', lane)
end

local function in_queue(queued) return queued and queued ~= '' end

-- Whether a lost worker costs this task nothing: it was started together with others, so its code may never have run
-- and any of them may be at fault. That holds once, since from then on the task travels alone.
local function spare(key)
  local known = redis.call('HMGET', key, 'mates', 'alone')
  if known[2] or (tonumber(known[1]) or 1) < 2 then return false end
  redis.call('HSET', key, 'alone', 1)
  return true
end

-- Back to the head of its queue, or to the delayed set; `drains` survives what `detach` removes.
local function put_back(id, key, revision, attempts, drains, delay, lane)
  detach(id, key, 'fence', 'started', 'progress')
  redis.call('HSET', key, 'state', 'PENDING', 'revision', revision, 'attempts', attempts, 'lane', lane)
  if drains > 0 then redis.call('HSET', key, 'drains', drains) end
  if delay > 0 then
    redis.call('ZADD', DELAYED, NOW + delay, id)
  else
    enqueue(id, key, lane)
  end
  note(id, revision, 'PENDING')
end
