-- Raise a user's session version: every token of an older version is dead from here on.
--
-- KEYS  1 the user's session version
-- ARGV  1 the version   2 when to forget it, Unix seconds
local now = tonumber(redis.call('TIME')[1])
local version = tonumber(redis.call('GET', KEYS[1]) or 0)
local ttl = math.max(redis.call('TTL', KEYS[1]), tonumber(ARGV[2]) - now, 1)
redis.call('SET', KEYS[1], math.max(version, tonumber(ARGV[1])), 'EX', ttl)
return 1
