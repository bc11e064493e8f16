-- ARGV: ids. Answers the state of each, '' where there is no record.
local answer = {}
for at = 1, #ARGV do answer[at] = redis.call('HGET', key_of(ARGV[at]), 'state') or '' end
return answer
