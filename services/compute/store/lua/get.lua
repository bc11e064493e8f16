-- ARGV: bytes of results in the answer or -1 for none, ids. Answers a row per id, nil where there is no record.
local budget, answer = tonumber(ARGV[1]), {}
for at = 2, #ARGV do
  local values = row(key_of(ARGV[at]), budget > 0)
  budget = budget - #(values[#FIELDS + 1] or '')
  answer[#answer + 1] = values[1] and values or false
end
return answer
