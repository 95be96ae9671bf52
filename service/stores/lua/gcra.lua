-- Charge one request to a rate limit, by the generic cell rate algorithm: the key holds the time at which
-- the bucket would be full again, and is gone when it is.
--
-- key, interval: microseconds in which one request comes back, capacity: requests that may come at once,
-- now: microseconds, or nil for the server's clock
-- Returns  1 allowed, 0 refused, -1 nothing could be written;
--          requests left, microseconds until the next is allowed, microseconds until all are
local function charge(key, interval, capacity, now)
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  local full_at = math.max(now, tonumber(redis.call('GET', key) or 0))
  local spare = now - (full_at + interval - interval * capacity)
  if spare < 0 then
    return {0, 0, -spare, full_at - now}
  end
  full_at = full_at + interval
  local ttl = math.ceil((full_at - now) / 1000)
  -- A full or read-only server refuses this; the caller then counts for itself.
  local written = redis.pcall('SET', key, string.format('%.0f', full_at), 'PX', ttl)
  if written.err then
    return {-1, 0, 0, 0}
  end
  return {1, math.floor(spare / interval), 0, full_at - now}
end
