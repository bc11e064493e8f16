-- ARGV: limit, bound, threads, target ms, largest bundle, ms until a look, ms to wait for a version, ttl of a failed
-- record, scheduler, hex, then name and version of what workers hold.
-- Answers bundles, failed ids, whether it was paced, depth.
local limit, bound, threads = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local target, max_bundle, check_after = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local version_wait, failed_ttl, scheduler, hex = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local SCAN, PIECE, ASIDE, PROBE = 1000, 500, 100, 1000
local UNHELD_MIN, UNHELD_MAX = 2000, 10000  -- ms until a version is looked for again, the longer the longer it is missing

-- Without workers nothing can run, and nothing is known about versions: all wait on, uncharged.
if #ARGV < 11 then
  return {{}, {}, 0, depth()}
end
beyond_memory()
local held = {}
for at = 11, #ARGV, 2 do held[ARGV[at] .. ' ' .. ARGV[at + 1]] = true end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', NOW, 'LIMIT', 0, PIECE)) do
  redis.call('ZREM', DELAYED, id)
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'dispatch', 'queued', 'lane')
  if known[1] == 'PENDING' and not known[2] and not in_queue(known[3]) then enqueue(id, key, known[4] or 'b') end
end
settle()

local room = math.min(limit, bound - redis.call('ZCARD', FLIGHT))
local groups, by_name, popped, failed, scanned, paced = {}, {}, {}, {}, 0, 0
local known_durations, probes = {}, {}

-- Milliseconds per task, or nil while the first tasks of a computation are still out to be measured.
local function duration_of(name)
  local duration = known_durations[name]
  if duration then return duration end
  local probe = probes[name]
  if not probe then
    local text = redis.call('HGET', DURATIONS, name)
    if text and string.sub(text, 1, 1) ~= '?' then
      known_durations[name] = math.max(tonumber(text), 0.001)
      return known_durations[name]
    end
    local since, sent = string.match(text or '', '^%?(%d+):(%d+)$')
    probe = {since = tonumber(since) or NOW, sent = tonumber(sent) or 0}
    probes[name] = probe
  end
  if NOW - probe.since >= PROBE then  -- as slow as that at least
    known_durations[name] = PROBE
    return PROBE
  end
  if probe.sent >= 4 * threads then return nil end
  probe.sent = probe.sent + 1
  redis.call('HSET', DURATIONS, name, '?' .. whole(probe.since) .. ':' .. whole(probe.sent))
  return PROBE
end

local function version_missing(id, key, lane, known, version)
  local since = tonumber(known[7]) or NOW
  if NOW - since > version_wait then
    close(id, key, 'FAILED', known[8] + 1, failed_ttl, 'error', cjson.encode({type = 'version_unavailable', message =
      'no worker held version ' .. version .. ' of the computation for ' .. math.floor(version_wait / 1000) ..
      ' s: start workers with that code, or submit the task again to the present version'}))
    failed[#failed + 1] = id
    return
  end
  redis.call('HSET', key, 'unheld', since, 'lane', lane)
  redis.call('ZADD', DELAYED, NOW + math.min(UNHELD_MAX, math.max(UNHELD_MIN, math.floor((NOW - since) / 5))), id)
end

local function group(id, name, version, lane, duration, alone)
  local label = lane .. ' ' .. name .. ' ' .. version
  local found = not alone and by_name[label]
  if not found then
    found = {name = name, version = version, lane = lane, duration = duration, ids = {}}
    groups[#groups + 1] = found
    if not alone then by_name[label] = found end
  end
  found.ids[#found.ids + 1] = id
end

-- One entry that was popped; false if it has to go back, while its computation's duration is being measured.
local function pop(id, lane)
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'dispatch', 'queued', 'version', 'attempts', 'drains', 'unheld',
    'revision', 'alone')
  if known[3] ~= lane or popped[id] then return true end  -- a stale entry
  if known[1] ~= 'PENDING' or known[2] then
    redis.call('HDEL', key, 'queued')
    return true
  end
  local name, version = string.match(id, '^(.*)%-'), known[4]
  if not held[name .. ' ' .. version] then
    redis.call('HDEL', key, 'queued')
    version_missing(id, key, lane, known, version)
    return true
  end
  local duration = duration_of(name)
  if not duration then return false end
  if known[7] then redis.call('HDEL', key, 'unheld') end
  local alone = known[9] or (tonumber(known[5]) or 0) > 0 or (tonumber(known[6]) or 0) > 0
  group(id, name, version, lane, duration, alone)
  popped[id] = true
  room = room - 1
  return true
end

for _, lane in ipairs({'i', 'b'}) do
  local aside = {}  -- these keep their places; others behind them need not wait
  while room > 0 and scanned < limit + SCAN and #aside < ASIDE do
    local ids = redis.call('LPOP', QUEUES[lane], math.min(room, PIECE))
    if not ids then break end
    for _, id in ipairs(ids) do
      if not pop(id, lane) then aside[#aside + 1] = id end
    end
    scanned = scanned + #ids
  end
  for at = #aside, 1, -1 do redis.call('LPUSH', QUEUES[lane], aside[at]) end
  if #aside > 0 then paced = 1 end
end

local bundles, INTO_FLIGHT = {}, {'ZADD', FLIGHT}
for _, found in ipairs(groups) do
  local count = #found.ids
  local size = math.max(1, math.min(math.floor(target / found.duration), max_bundle, math.ceil(count / threads)))
  for begin = 1, count, size do
    local dispatch = found.name .. '-' .. hex .. '-' .. #bundles
    local bundle = {dispatch, found.name, found.version, found.lane}
    for at = begin, math.min(begin + size - 1, count) do
      local id = found.ids[at]
      redis.call('HSET', key_of(id), 'dispatch', dispatch, 'scheduler', scheduler, 'lane', found.lane, 'queued', '')
      put_off(INTO_FLIGHT, NOW + check_after, id)
      bundle[#bundle + 1] = id
    end
    bundles[#bundles + 1] = bundle
  end
end
conclude()
return {bundles, failed, paced, depth()}
