-- Charge one request to the rate limit of a network.
--
-- KEYS  1 the limit's state
-- ARGV  1 interval, microseconds   2 capacity   3 now, microseconds, or "" for the server's clock
-- Returns  what `charge` does
return charge(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
