-- ARGV: charge, delay ms, attempts allowed, reason, ttl of a failed record, then id and dispatch of each.
-- Answers the state of each that was put back or failed, '' where it belongs to another dispatch by now.
local DRAINS = 20  -- cut short by more drains than this, a task pays as for a lost worker
beyond_memory()
local charge, delay, max_attempts, reason, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local answer = {}

local function give_back(id, key, known)
  local attempts, drains, revision = tonumber(known[3]) or 0, tonumber(known[4]) or 0, known[5] + 1
  local lane = known[6] or 'i'
  if known[1] == 'PENDING' then
    put_back(id, key, revision, attempts, drains, charge == 'attempt' and 0 or delay, lane)
    return 'PENDING'
  end
  local pays = charge == 'retry' or charge == 'attempt' and not spare(key)
  if charge == 'drain' then
    drains = drains + 1
    pays = drains > DRAINS
  end
  if not pays then
    attempts = math.max(0, attempts - 1)
  elseif attempts >= max_attempts then
    close(id, key, 'FAILED', revision, ttl, 'error', reason)
    return 'FAILED'
  end
  put_back(id, key, revision, attempts, drains, delay, lane)
  return 'PENDING'
end

for at = #ARGV - 1, 6, -2 do  -- backwards, since each goes to its queue's head
  local id = ARGV[at]
  local key = key_of(id)
  local known = redis.call('HMGET', key, 'state', 'dispatch', 'attempts', 'drains', 'revision', 'lane')
  local open = known[1] == 'PENDING' or known[1] == 'RUNNING'
  answer[(at - 4) / 2] = open and known[2] == ARGV[at + 1] and give_back(id, key, known) or ''
end
conclude()
return answer
