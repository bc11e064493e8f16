-- ARGV: ms until the next look, ids. A deadline that comes earlier keeps its look.
local GRACE = 500
beyond_memory()
for at = 2, #ARGV do
  local id = ARGV[at]
  local look, deadline = NOW + ARGV[1], redis.call('HGET', key_of(id), 'deadline')
  if deadline then look = math.min(look, deadline + GRACE) end
  put_off(LOOK_AT, look, id)
end
settle()
return 0
