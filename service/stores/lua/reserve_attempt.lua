-- Decide whether one more login attempt is allowed, and count it in the same step.
-- An attempt counts from here on: pending ("p:") until it is settled, then failed ("f:") or gone.
-- One that nobody settles (its worker died) goes on counting like a failure until it leaves the window.
--
-- KEYS  1 the attempts, a sorted set by their time in milliseconds
-- ARGV  1 limit   2 window, milliseconds   3 the attempt's id
-- Returns  allowed (1 or 0), attempts counted, milliseconds until the oldest leaves the window, now in milliseconds
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local count = redis.call('ZCARD', KEYS[1])
local allowed = 0
-- A blocked attempt is not counted: it costs nothing and extends nothing.
if count < limit then
  redis.call('ZADD', KEYS[1], now, 'p:' .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], window)
  count = count + 1
  allowed = 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {allowed, count, tonumber(oldest[2]) + window - now, now}
