-- Write a batch of changes of one partition, each if what is stored is what it was decided on.
--
-- KEYS[1] key index  [2] ready index of lane 0  [3] of lane 1
-- KEYS[4...] for each change its record, then the records that it creates
-- ARGV[1] highest store time seen, in ms  [2] bytes of a record's Redis key before the record key  [3] number of changes
-- ARGV[4...] for each change:
--   generation, version expected ("" for "no such record"), write_id, lease_for in ms ("" for none),
--   "1" to write or "0" to delete, number of records created with it, then for each record written, its own first:
--   lane, generation, token, owner, lease end ("" for no lease), ready_at, document, "1" if there is a body, body
--
-- Result: { now, verdict, version, verdict, version, ... }; verdicts: 1 applied, 2 stale, 3 missing, 4 exists.
-- Each change is written whole or not at all: it is judged before its first write, and Redis refuses a script for
-- want of memory only at a write that nothing was written before.
-- Cost: O(k log n) for k changes in n records; k is bounded by the caller (500). Works from Redis 6.2 on.
-- Numbers stay below 2^53 and are written with %.0f, never concatenated.

local FIELDS = 9
local APPLIED, STALE, MISSING, EXISTS = 1, 2, 3, 4

local time = redis.call('TIME')
local now = math.max(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[1]))
local skip = tonumber(ARGV[2]) + 1

local function write(hash, at, version, write_id, lease_for, old_lane)
  local key = string.sub(hash, skip)
  local lane, ends, ready = ARGV[at], ARGV[at + 4], ARGV[at + 5]
  if lease_for ~= '' then
    ends = string.format('%.0f', now + tonumber(lease_for))
    ready = ends
  end
  redis.call('HSET', hash, 'l', lane, 'g', ARGV[at + 1], 'v', version, 't', ARGV[at + 2], 'w', write_id,
    'o', ARGV[at + 3], 'u', ends, 'd', ARGV[at + 6])
  if ARGV[at + 7] == '1' then
    redis.call('HSET', hash, 'b', ARGV[at + 8])
  elseif old_lane then
    redis.call('HDEL', hash, 'b')
  end
  if old_lane and old_lane ~= lane and old_lane ~= '2' then
    redis.call('ZREM', KEYS[2 + tonumber(old_lane)], key)
  end
  if lane ~= '2' then
    redis.call('ZADD', KEYS[2 + tonumber(lane)], ready, key)
  end
  if not old_lane then
    redis.call('ZADD', KEYS[1], 0, key)
  end
end

local function delete(hash)
  local key = string.sub(hash, skip)
  redis.call('DEL', hash)
  redis.call('ZREM', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end

local function judge(stored, generation, version, write_id)
  if not stored[1] then
    return version ~= '' and MISSING or nil
  elseif stored[3] == write_id then
    return APPLIED
  elseif version == '' then
    return EXISTS
  elseif stored[1] ~= generation or stored[2] ~= version then
    return STALE
  end
end

local function any_exists(first, count)
  for i = first, first + count - 1 do
    if KEYS[i] == KEYS[first - 1] or redis.call('EXISTS', KEYS[i]) == 1 then
      return true
    end
  end
end

local out = { now }
local k, at = 4, 4
for _ = 1, tonumber(ARGV[3]) do
  local version, write_id, lease_for, writes = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] == '1'
  local children, hash = tonumber(ARGV[at + 5]), KEYS[k]
  local stored = redis.call('HMGET', hash, 'g', 'v', 'w', 'l')
  local new_version = version == '' and '1' or string.format('%.0f', tonumber(version) + 1)
  local verdict = judge(stored, ARGV[at], version, write_id)
  if not verdict and children > 0 and any_exists(k + 1, children) then
    verdict = EXISTS
  end
  at = at + 6
  if not verdict then
    verdict = APPLIED
    if writes then
      write(hash, at, new_version, write_id, lease_for, stored[4])
    else
      delete(hash)
    end
    local from = writes and at + FIELDS or at
    for i = 1, children do
      write(KEYS[k + i], from + (i - 1) * FIELDS, '1', write_id, '', false)
    end
  end
  out[#out + 1] = verdict
  out[#out + 1] = verdict == APPLIED and writes and tonumber(new_version) or 0
  at = at + (children + (writes and 1 or 0)) * FIELDS
  k = k + 1 + children
end
return out
