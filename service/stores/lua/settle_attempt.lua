-- Say how a counted login attempt ended: in the counter of its pair first, then in the others.
--
-- KEYS  the counters the attempt was counted in, sorted sets of attempts by their time in milliseconds
-- ARGV  1 the attempt's id   2 its time   3 "failed", "succeeded" or "refunded"
--       4 1 if the failures of the first counter are to be forgotten
--       then for each counter its window in milliseconds
for i, key in ipairs(KEYS) do
  -- First: a full server takes what needs memory from a script that has written something already.
  redis.call('ZREM', key, 'p:' .. ARGV[1])
  -- Also where the pending entry is gone (a flush): what has left the window falls out at the next look.
  if ARGV[3] == 'failed' then
    redis.call('ZADD', key, ARGV[2], 'f:' .. ARGV[1])
    redis.call('PEXPIRE', key, ARGV[4 + i])
  end
end
if ARGV[4] == '1' then
  -- The owner is in: forget the failures, but not the attempts that are still being hashed.
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(member, 1, 2) == 'f:' then
      redis.call('ZREM', KEYS[1], member)
    end
  end
end
return 1
