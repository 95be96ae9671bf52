-- Look a session up, and charge the request to its rate limit if it may be alive.
--
-- KEYS  1 the session's copy   2 the user's session version   3 the state of the session's rate limit
-- ARGV  1 the token's version   2 interval, microseconds, or 0 for no limit   3 capacity
-- Returns  the copy, the version, then what `charge` does (nothing, where nothing was charged)
local copy, version = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
local interval = tonumber(ARGV[2])
if interval == 0 or copy == 'revoked' or tonumber(version or 0) > tonumber(ARGV[1]) then
  return {copy, version}
end
local charged = charge(KEYS[3], interval, tonumber(ARGV[3]))
return {copy, version, unpack(charged)}
