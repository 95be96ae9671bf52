-- Write a session's "alive" copy, and raise the user's version to the one it was opened at.
-- Login, refresh and refill all come through here.
--
-- KEYS  1 the session's copy   2 the user's session version
-- ARGV  1 the copy, JSON   2 its end, as it stands in the copy   3 when to forget the copy, Unix seconds
--       4 the version      5 when to forget the version, Unix seconds
local now = tonumber(redis.call('TIME')[1])

local known = redis.call('GET', KEYS[1])
local readable, copy = pcall(cjson.decode, known or '{}')
local known_end = readable and type(copy) == 'table' and copy['end']
-- A tombstone is final. And a refill that read the database before a refresh must not shorten the session.
if known ~= 'revoked' and not (type(known_end) == 'string' and known_end > ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', math.max(1, tonumber(ARGV[3]) - now))
end

local version = tonumber(redis.call('GET', KEYS[2]) or 0)
local ttl = math.max(redis.call('TTL', KEYS[2]), tonumber(ARGV[5]) - now, 1)
redis.call('SET', KEYS[2], math.max(version, tonumber(ARGV[4])), 'EX', ttl)
return 1
