-- Say how a reserved login attempt ended.
--
-- KEYS  1 the attempts, a sorted set by their time in milliseconds
-- ARGV  1 the attempt's id   2 its time   3 window, milliseconds   4 "failed", "succeeded" or "refunded"
redis.call('ZREM', KEYS[1], 'p:' .. ARGV[1])
if ARGV[4] == 'failed' then
  redis.call('ZADD', KEYS[1], ARGV[2], 'f:' .. ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
elseif ARGV[4] == 'succeeded' then
  -- The owner is in: forget the failures, but not the attempts that are still being hashed.
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(member, 1, 2) == 'f:' then
      redis.call('ZREM', KEYS[1], member)
    end
  end
end
return 1
