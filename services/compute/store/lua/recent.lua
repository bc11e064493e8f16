-- ARGV: state or '', computation or '', rows wanted, entries to look at, and score and id of the last entry seen.
-- Answers where the look ended (empty at the end of the list), then rows with the id as the last value.
local state, computation, limit, scan = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local from, after = ARGV[5], ARGV[6]
local PIECE = 200
local answer, offset, seen, rows = {'', ''}, 0, 0, 0

local function wanted(id, values)
  return values[1] and (state == '' or values[1] == state)
    and (computation == '' or string.match(id, '^(.*)%-') == computation)
end

while true do
  local piece = redis.call('ZREVRANGEBYSCORE', RECENT, from, '-inf', 'WITHSCORES', 'LIMIT', offset, PIECE)
  offset = offset + PIECE
  for at = 1, #piece, 2 do
    local id, score = piece[at], piece[at + 1]
    if score ~= from or id < after then  -- entries of one millisecond come in descending order of their ids
      if seen >= scan or rows >= limit then return answer end
      local values = row(key_of(id), false)
      if wanted(id, values) then
        values[#values + 1] = id
        answer[#answer + 1] = values
        rows = rows + 1
      end
      seen = seen + 1
      answer[1], answer[2] = score, id
    end
  end
  if #piece < 2 * PIECE then
    answer[1], answer[2] = '', ''
    return answer
  end
end
