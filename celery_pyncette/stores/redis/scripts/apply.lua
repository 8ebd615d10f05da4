-- Write a batch of changes of one partition, each if what is stored is what it was decided on.
--
-- KEYS[1] key index  [2] ready index of lane 0  [3] of lane 1
-- KEYS[4...] for each change its record, then the records that it creates
-- ARGV[1] highest store time seen, in ms  [2] bytes of a record's Redis key before the record key  [3] number of changes
-- ARGV[4...] for each change one text, followed by the body if it has one, then one text (and body) for each record that
--   it creates. Fields of a text are separated by zero bytes; the last one may hold some:
--   change: generation, version expected ("" for "no such record"), write_id, lease_for in ms ("" for none), 1 to write or
--     0 to delete, number of records created, then its own record (empty fields to delete)
--   record: lane, generation, token, owner, lease end ("" for no lease), ready_at, 1 if a body follows or 0, document
--
-- Result: { now, "verdict version verdict version ..." }; verdicts: 1 applied, 2 stale, 3 missing, 4 exists.
-- Each change is written whole or not at all: it is judged before its first write, and Redis refuses a script for
-- want of memory only at a write that nothing was written before.
-- Cost: O(k log n) for k changes in n records; k is bounded by the caller (500). Works from Redis 6.2 on.
-- Numbers stay below 2^53 and are written with %.0f, never concatenated.

local APPLIED, STALE, MISSING, EXISTS = '1', '2', '3', '4'
local OF_CHANGE, OF_RECORD = 6, 7

local time = redis.call('TIME')
local now = math.max(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[1]))
local skip = tonumber(ARGV[2]) + 1
local call, find, sub, format = redis.call, string.find, string.sub, string.format

local function split(text, count)
  local parts, from = {}, 1
  for i = 1, count do
    local at = find(text, '\0', from, true)
    parts[i] = sub(text, from, at - 1)
    from = at + 1
  end
  parts[count + 1] = sub(text, from)
  return parts
end

-- Write the record in `part` after `i`; a body is given for those that have one; `old_lane` is false for a new record.
local function write(hash, part, i, body, version, write_id, lease_for, old_lane)
  local key = sub(hash, skip)
  local lane, ends, ready = part[i + 1], part[i + 5], part[i + 6]
  if lease_for ~= '' then
    ends = format('%.0f', now + tonumber(lease_for))
    ready = ends
  end
  call('HSET', hash, 'l', lane, 'g', part[i + 2], 'v', version, 't', part[i + 3], 'w', write_id,
    'o', part[i + 4], 'u', ends, 'd', part[i + 8])
  if body then
    call('HSET', hash, 'b', body)
  elseif old_lane then
    call('HDEL', hash, 'b')
  end
  if old_lane and old_lane ~= lane and old_lane ~= '2' then
    call('ZREM', KEYS[2 + tonumber(old_lane)], key)
  end
  if lane ~= '2' then
    call('ZADD', KEYS[2 + tonumber(lane)], ready, key)
  end
  if not old_lane then
    call('ZADD', KEYS[1], 0, key)
  end
end

local function delete(hash)
  local key = sub(hash, skip)
  call('DEL', hash)
  call('ZREM', KEYS[1], key)
  call('ZREM', KEYS[2], key)
  call('ZREM', KEYS[3], key)
end

-- The verdict on a change as far as its own record goes; nil to write.
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
    if KEYS[i] == KEYS[first - 1] or call('EXISTS', KEYS[i]) == 1 then
      return true
    end
  end
end

local at = 3
local function body_if(flag)
  if flag == '1' then
    at = at + 1
    return ARGV[at]
  end
end

local out, k = {}, 4
for _ = 1, tonumber(ARGV[3]) do
  at = at + 1
  local change = split(ARGV[at], OF_CHANGE + OF_RECORD)
  local body = body_if(change[OF_CHANGE + OF_RECORD])
  local version, write_id, writes = change[2], change[3], change[5] == '1'
  local children, hash = tonumber(change[6]), KEYS[k]
  local stored = call('HMGET', hash, 'g', 'v', 'w', 'l')
  local new_version = version == '' and '1' or format('%.0f', tonumber(version) + 1)
  local verdict = judge(stored, change[1], version, write_id)
  if not verdict and children > 0 and any_exists(k + 1, children) then
    verdict = EXISTS
  end
  if not verdict and writes then
    write(hash, change, OF_CHANGE, body, new_version, write_id, change[4], stored[4])
  elseif not verdict then
    delete(hash)
  end
  for i = 1, children do
    at = at + 1
    local child = split(ARGV[at], OF_RECORD)
    local its_body = body_if(child[OF_RECORD])
    if not verdict then
      write(KEYS[k + i], child, 0, its_body, '1', write_id, '', false)
    end
  end
  out[#out + 1] = verdict or APPLIED
  out[#out + 1] = (verdict or APPLIED) == APPLIED and writes and new_version or '0'
  k = k + 1 + children
end
return { now, table.concat(out, ' ') }
