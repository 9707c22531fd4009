/** More waiting parts of one owner than this are not put in a new order: that would hold up all others in Redis. */
const mostMoved = 5_000;

/**
 * Gives an owner its next turns (start-time fair queueing): after its last one, but never before the turn that the
 * workers have come to.
 *
 * Parts of jobs take the turns of their owner side by side: those of all its jobs that wait are dealt out anew, one of
 * each job in turn, so that a short job waits for no long one that came before it. The owner itself gets no more turns by
 * that. Where too many wait to be moved, new ones come after each other, further apart by as many jobs as there are.
 *
 * KEYS[1]: last turns by taker, its field '' is where the workers are. KEYS[2]: BullMQ's set of jobs that wait, whose score
 * is the priority times 2^32 and a count. ARGV: owner, length of a turn, turns, parent or '', prefix of BullMQ's job
 * hashes, priority before the first turn, last turn. Gives the turns.
 */
export const turnsScript = `
local turnsKey, waitingKey = KEYS[1], KEYS[2]
local length, count, parent = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local base, lastTurn, unit = tonumber(ARGV[6]), tonumber(ARGV[7]), 4294967296
if redis.call('ZCARD', waitingKey) == 0 or redis.call('HLEN', turnsKey) > 10000 then redis.call('DEL', turnsKey) end
local now = tonumber(redis.call('HGET', turnsKey, '') or 0)
local turns = {}

-- Jobs of this owner that have parts waiting, by the parts' first turn; the taker itself may be one of them.
local owned = 'o' .. ARGV[1] .. '\\n'
local lists, order, moved = {}, {}, 0
if parent ~= '' then
  local all = redis.call('HGETALL', turnsKey)
  local siblings, others = {}, 0
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, #owned) == owned and tonumber(all[i + 1]) > now then
      local job = string.sub(all[i], #owned + 1)
      siblings[job] = true
      if job ~= parent then others = others + 1 end
    end
  end
  local from, to = base * unit, (base + lastTurn + 1) * unit
  if others > 0 and redis.call('ZCOUNT', waitingKey, from, to) <= ${mostMoved} then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', waitingKey, from, to)) do
      local job = string.match(id, '^(.+)%.[^.]+%.[^.]+$')
      if job and siblings[job] then
        if not lists[job] then
          lists[job] = {}
          order[#order + 1] = job
        end
        table.insert(lists[job], id)
        moved = moved + 1
      end
    end
  elseif others > 0 then
    length = length * (others + 1)
  end
end

if moved == 0 then
  local taker = parent == '' and 'o' .. ARGV[1] or owned .. parent
  local first = math.max(now, tonumber(redis.call('HGET', turnsKey, taker) or 0))
  for i = 1, count do turns[i] = first + length * i end
  redis.call('HSET', turnsKey, '', now, taker, first + length * count)
else
  if not lists[parent] then
    lists[parent] = {}
    order[#order + 1] = parent
  end
  -- Places of those that are to be queued.
  for _ = 1, count do table.insert(lists[parent], false) end
  local turn, round = now, 0
  while #order > 0 do
    round = round + 1
    local rest = {}
    for _, job in ipairs(order) do
      local id = lists[job][round]
      turn = turn + length
      if id then
        local priority = base + math.min(turn, lastTurn)
        redis.call('ZADD', waitingKey, priority * unit + round, id)
        redis.call('HSET', ARGV[5] .. id, 'priority', priority)
      else
        turns[#turns + 1] = turn
      end
      if lists[job][round + 1] ~= nil then rest[#rest + 1] = job else redis.call('HSET', turnsKey, owned .. job, turn) end
    end
    order = rest
  end
  redis.call('HSET', turnsKey, '', now)
end
redis.call('EXPIRE', turnsKey, 604800)
return turns`;
