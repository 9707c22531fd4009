/**
 * Lua of the job ledger: the hash of a job is the one truth about its fence, attempt and outcome, and each
 * change is atomic with the event that tells of it. KEYS[1] is the job's hash, KEYS[2] the event stream.
 *
 * A fence is granted by `start` alone; `report`, `leave` and `finish` refuse every fence but the newest,
 * and all of them refuse once there is an outcome. Commands may be sent twice (a reply lost with a connection),
 * so each gives the same answer when repeated.
 */
const emit = `
local function emit(id, kind, fence, attempt, at, body)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 50000, '*',
    'id', id, 'type', kind, 'fence', fence, 'attempt', attempt, 'at', at, 'body', body)
end
local function holds(fence)
  return redis.call('HGET', KEYS[1], 'fence') == fence and redis.call('HEXISTS', KEYS[1], 'outcome') == 0
end
`;

/**
 * ARGV: id, at, body, least fence, least attempt, turn. KEYS[3]: turns of the job's class and priority, which have come
 * to this one. Gives {0, outcome} or {1, fence, attempt, lost, failures of class user, platform, timeout}.
 */
export const startScript = `${emit}
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return {0, outcome} end
local old = redis.call('HMGET', KEYS[1], 'fence', 'attempt', 'running')
local fence = math.max(tonumber(old[1] or 0), tonumber(ARGV[4])) + 1
local attempt = math.max(tonumber(old[2] or 0), tonumber(ARGV[5])) + 1
if old[3] == '1' then
  redis.call('HINCRBY', KEYS[1], 'lost', 1)
  emit(ARGV[1], 'left', old[1], old[2], ARGV[2], '{"why":"lost"}')
end
redis.call('HSET', KEYS[1], 'fence', fence, 'attempt', attempt, 'running', 1)
redis.call('PERSIST', KEYS[1])
emit(ARGV[1], 'started', fence, attempt, ARGV[2], ARGV[3])
local now = redis.call('HGET', KEYS[3], '')
if now and tonumber(now) < tonumber(ARGV[6]) then redis.call('HSET', KEYS[3], '', ARGV[6]) end
local counts = redis.call('HMGET', KEYS[1], 'lost', 'failed_user', 'failed_platform', 'failed_timeout')
return {1, tostring(fence), attempt, tonumber(counts[1] or 0), tonumber(counts[2] or 0),
  tonumber(counts[3] or 0), tonumber(counts[4] or 0)}`;

/** ARGV: id, at, body, fence, attempt. Gives 1, or 0 when refused. */
export const reportScript = `${emit}
if not holds(ARGV[4]) then return 0 end
emit(ARGV[1], 'progress', ARGV[4], ARGV[5], ARGV[2], ARGV[3])
return 1`;

/** Ends an attempt without an outcome. ARGV: id, at, body, fence, attempt, class of its failure or ''. */
export const leaveScript = `${emit}
if not holds(ARGV[4]) then return 0 end
if redis.call('HGET', KEYS[1], 'running') ~= '1' then return 1 end
redis.call('HSET', KEYS[1], 'running', 0)
if ARGV[6] ~= '' then redis.call('HINCRBY', KEYS[1], 'failed_' .. ARGV[6], 1) end
emit(ARGV[1], 'left', ARGV[4], ARGV[5], ARGV[2], ARGV[3])
return 1`;

/** Takes an attempt up again that left to wait for children, all of which had ended meanwhile. ARGV: fence. */
export const resumeScript = `${emit}
if not holds(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'running', 1)
return 1`;

/**
 * ARGV: id, at, outcome, fence, attempt. Gives 1, or 0 when refused.
 * A large outcome stays out of the stream (body ''): the reader takes it from the hash.
 */
export const finishScript = `${emit}
if redis.call('HGET', KEYS[1], 'ended_by') == ARGV[4] then return 1 end
if not holds(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'outcome', ARGV[3], 'ended_by', ARGV[4], 'running', 0)
emit(ARGV[1], 'finished', ARGV[4], ARGV[5], ARGV[2], #ARGV[3] > 16384 and '' or ARGV[3])
return 1`;

/** Ends a job from outside. ARGV: id, at, outcome, channel. Gives the outcome that stands. */
export const cancelScript = `${emit}
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return outcome end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'outcome', ARGV[3], 'running', 0)
emit(ARGV[1], 'finished', fence, redis.call('HGET', KEYS[1], 'attempt') or '0', ARGV[2], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[1])
return ARGV[3]`;

/**
 * Stores a step's result. KEYS[3]: memo hash. ARGV: fence, name, value, most steps, most bytes.
 * Gives {1, stored value}, {0} when refused, {-1, bytes} when full.
 */
export const memoScript = `${emit}
local there = redis.call('HGET', KEYS[3], ARGV[2])
if there then return {1, there} end
if not holds(ARGV[1]) then return {0} end
local bytes = tonumber(redis.call('HGET', KEYS[1], 'memo_bytes') or 0) + #ARGV[3]
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[4]) or bytes > tonumber(ARGV[5]) then return {-1, bytes} end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[1], 'memo_bytes', bytes)
return {1, ARGV[3]}`;

/**
 * Notes the children of a job before they are queued. KEYS[3]: children hash.
 * ARGV: parent fence, at, then per child id, class, body. Gives 1, or 0 when refused.
 */
export const addChildrenScript = `${emit}
if not holds(ARGV[1]) then return 0 end
for i = 3, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[3], ARGV[i], ARGV[i + 1]) == 1 then
    emit(ARGV[i], 'added', 0, 0, ARGV[2], ARGV[i + 2])
  end
end
return 1`;
