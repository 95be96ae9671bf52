-- Write the tombstones of sessions of one user.
--
-- KEYS  the sessions' copies
-- ARGV  of each, when to forget its tombstone, Unix seconds
for i, key in ipairs(KEYS) do
  redis.call('SET', key, 'revoked', 'EXAT', ARGV[i])
end
return 1
