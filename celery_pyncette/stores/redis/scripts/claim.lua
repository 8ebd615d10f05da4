-- Lease the records of one lane of one partition that are ready, oldest first; or only say when they were ready.
--
-- KEYS[1] ready index of the lane  [2] key index of the partition  [3] the record m:meta, there only in partition 0
--   The records' own keys cannot be known beforehand; they carry the same hash tag, hence live in the same slot.
-- ARGV[1] prefix of record keys  [2] owner  [3] most records  [4] lease in ms, -1 to lease none and only look
--     [5] highest store time seen, in ms
--
-- Result: { now, lease end, earliest ready_at after these or -1, meta record there 1 / 0, times, lengths, rows, bodies }
--   times: ready_at of each as it was before, separated by blanks; for a mere look that is all.
--   rows: for each a text of the bytes said in lengths, one after the other: key, lane, generation, version, token,
--   write_id, document, separated by zero bytes; the key alone where a field is missing. It is leased until the lease end.
--   bodies: { number of the row, body, ... } of those that have one. Few long strings, because drivers read many slowly.
-- Cost: O(log n + k log n) for k records of n; k is bounded by the caller (500). Works from Redis 6.2 on.
-- Numbers stay below 2^53 and are written with %.0f, never concatenated.

local time = redis.call('TIME')
local now = math.max(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[5]))
local lease = tonumber(ARGV[4])
local ends = string.format('%.0f', now + lease)
local meta = redis.call('EXISTS', KEYS[3])
local ready = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local after = redis.call('ZRANGE', KEYS[1], #ready / 2, #ready / 2, 'WITHSCORES')
local times, lengths, rows, bodies = {}, {}, {}, {}

for i = 1, #ready, 2 do
  local key, ready_at = ready[i], string.format('%.0f', tonumber(ready[i + 1]))
  if lease < 0 then
    times[#times + 1] = ready_at
  else
    local hash = ARGV[1] .. key
    local row = redis.pcall('HMGET', hash, 'l', 'g', 'v', 't', 'w', 'd', 'b')
    if row.err or not (row[2] or row[3] or row[6]) then
      -- Evicted, or not a record at all: what is left of it in the indexes goes too.
      redis.call('ZREM', KEYS[1], key)
      redis.call('ZREM', KEYS[2], key)
    else
      local version = string.format('%.0f', (tonumber(row[3]) or 0) + 1)
      local token = string.format('%.0f', math.max((tonumber(row[4]) or 0) + 1, now))
      redis.call('HSET', hash, 'v', version, 't', token, 'o', ARGV[2], 'u', ends)
      redis.call('ZADD', KEYS[1], ends, key)
      times[#times + 1] = ready_at
      local text = key
      if row[1] and row[2] and row[5] and row[6] then
        text = table.concat({ key, row[1], row[2], version, token, row[5], row[6] }, '\0')
      end
      rows[#rows + 1] = text
      lengths[#rows] = #text
      if row[7] then
        bodies[#bodies + 1] = #rows - 1
        bodies[#bodies + 1] = row[7]
      end
    end
  end
end

return {
  now, tonumber(ends), after[2] and tonumber(after[2]) or -1, meta,
  table.concat(times, ' '), table.concat(lengths, ' '), table.concat(rows), bodies,
}
