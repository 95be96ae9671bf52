-- Add attempts that a process counted while it could not reach this server.
--
-- KEYS  1 a counter, a sorted set of attempts by their time in milliseconds
-- ARGV  1 window, milliseconds   then of each attempt its name ("p:…" or "f:…") and its age in milliseconds
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], now - tonumber(ARGV[i + 1]), ARGV[i])
  -- It may be pending here: counted by this server, which answered too late.
  if string.sub(ARGV[i], 1, 2) == 'f:' then
    redis.call('ZREM', KEYS[1], 'p:' .. string.sub(ARGV[i], 3))
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
