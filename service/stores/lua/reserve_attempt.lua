-- Decide on all counters whether one more login attempt is allowed, and count it in all of them or in none.
-- An attempt counts from here on: pending ("p:") until it is settled, then failed ("f:") or gone. A pending
-- one that nobody settles in time (its worker died) is as good as failed.
--
-- KEYS  the counters, sorted sets of attempts by their time in milliseconds
-- ARGV  1 now, milliseconds, or "" for the server's clock   2 the attempt's id, or "" to decide and count nothing
--       3 milliseconds after which a pending attempt is as good as failed
--       then for each counter its limit, and its window in milliseconds
-- Returns  the verdict: 1 counted, 0 blocked by failures, -1 full of attempts that are pending still,
--          milliseconds until every counter that failures block has room, now in milliseconds,
--          then for each counter its attempts, those pending of them, milliseconds until the oldest leaves
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local stale = now - tonumber(ARGV[3])
local verdict, wait = 1, 0
local counters = {}

for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[2 * i + 2]), tonumber(ARGV[2 * i + 3])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local attempts = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  local count, pending = #attempts / 2, 0
  for j = 1, #attempts, 2 do
    if string.sub(attempts[j], 1, 2) == 'p:' and tonumber(attempts[j + 1]) > stale then
      pending = pending + 1
    end
  end
  if count - pending >= limit then
    verdict = 0
    wait = math.max(wait, tonumber(attempts[2 * (count - limit + 1)]) + window - now)
  elseif count >= limit and verdict == 1 then
    verdict = -1
  end
  counters[i] = {count = count, pending = pending, window = window, oldest = tonumber(attempts[2]) or now}
end

local reply = {verdict, wait, now}
for i, counter in ipairs(counters) do
  -- A blocked attempt is not counted: it costs nothing and extends nothing.
  if verdict == 1 and ARGV[2] ~= '' then
    redis.call('ZADD', KEYS[i], now, 'p:' .. ARGV[2])
    redis.call('PEXPIRE', KEYS[i], counter.window)
    counter.count, counter.pending = counter.count + 1, counter.pending + 1
  end
  table.insert(reply, counter.count)
  table.insert(reply, counter.pending)
  table.insert(reply, counter.oldest + counter.window - now)
end
return reply
