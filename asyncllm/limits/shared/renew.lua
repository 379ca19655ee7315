-- Renews the leases of one process; the rules of ledger.py, by the server's clock, in one step.
-- KEYS: the processes (sorted set), shares and cooldown (hash), the rates (hashes), the budgets (hashes).
-- ARGV: the request as JSON: member, leaving, cooldown_s, rates, budgets, constants.
local request = cjson.decode(ARGV[1])
local look_ahead_s, member_s, short_s, dead_s, rate_ttl_s, budget_ttl_s = unpack(request.constants)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local member = request.member
local members_key, state_key = KEYS[1], KEYS[2]

local function text(number)
  return string.format('%.17g', number)
end

local function number(key, field)
  return tonumber(redis.call('HGET', key, field) or '0')
end

-- Cooldown.
local cooldown_until = math.max(number(state_key, 'cooldown'), now + request.cooldown_s)
redis.call('HSET', state_key, 'cooldown', text(cooldown_until))

-- Processes and their shares.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', members_key, '-inf', '(' .. text(now - member_s))) do
  redis.call('ZREM', members_key, gone)
  redis.call('HDEL', state_key, 'share:' .. gone)
end
redis.call('HDEL', state_key, 'share:' .. member)
local share = 0
if request.leaving then
  redis.call('ZREM', members_key, member)
else
  redis.call('ZADD', members_key, text(now), member)
  local room = 1
  local state = redis.call('HGETALL', state_key)
  for i = 1, #state, 2 do
    if string.sub(state[i], 1, 6) == 'share:' then
      room = room - tonumber(state[i + 1])
    end
  end
  share = math.min(math.max(0, room), 1 / redis.call('ZCARD', members_key))
  redis.call('HSET', state_key, 'share:' .. member, text(share))
end
local members = math.max(1, redis.call('ZCARD', members_key))
redis.call('EXPIRE', members_key, math.ceil(rate_ttl_s))
redis.call('EXPIRE', state_key, math.ceil(math.max(rate_ttl_s, cooldown_until - now)))

-- Rates.
local rates = {}
for i, ask in ipairs(request.rates) do
  local key = KEYS[2 + i]
  local wanted_per_s, size, want, held, least, unused = unpack(ask)
  local per_s = number(key, 'per_s')
  if per_s == 0 or wanted_per_s <= per_s or now - number(key, 'lowest_at') > member_s then
    per_s = wanted_per_s
    redis.call('HSET', key, 'per_s', text(per_s), 'lowest_at', text(now))
  end
  local at = math.max(number(key, 'at') - unused / per_s, now - size / per_s)
  local most = math.max(look_ahead_s * per_s / members, least)
  local units = math.max(0, math.min(want, most - held))
  redis.call('HSET', key, 'at', text(at + units / per_s))
  redis.call('EXPIRE', key, math.ceil(math.max(rate_ttl_s, at + units / per_s - now)))
  rates[i] = {units, at - now, per_s, most}
end

-- Budgets.
local budgets = {}
for i, ask in ipairs(request.budgets) do
  local key = KEYS[2 + #request.rates + i]
  local limit, want, least, granted, spent, returned = unpack(ask)
  local shares = {}
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local other = string.match(all[j], '^share:(.*)$')
    if other then
      shares[other] = cjson.decode(all[j + 1])
    end
  end
  if next(shares) then
    limit = math.min(limit, number(key, 'limit'))
  end
  local total = number(key, 'spent')
  local own = shares[member] or {granted, 0, 0, now}
  shares[member] = own
  total = total + spent - own[2]
  own[2], own[3], own[4] = spent, returned, now
  local leased = 0
  for other, of in pairs(shares) do
    local holds = math.max(0, of[1] - of[2] - of[3])
    if now - of[4] > dead_s then
      total = total + holds
      of[2] = of[2] + holds
      holds = 0
      redis.call('HSET', key, 'share:' .. other, cjson.encode(of))
    end
    if now - of[4] > budget_ttl_s then
      redis.call('HDEL', key, 'share:' .. other)
    end
    leased = leased + holds
  end
  local free = limit - total - leased
  local short_until = number(key, 'short_until')
  if least > free then
    short_until = now + short_s
  else
    own[1] = own[1] + math.max(0, math.min(want, math.max(least, free / (2 * members))))
  end
  redis.call('HSET', key, 'limit', text(limit), 'spent', text(total), 'short_until', text(short_until))
  if request.leaving then
    redis.call('HDEL', key, 'share:' .. member)
  else
    redis.call('HSET', key, 'share:' .. member, cjson.encode(own))
  end
  redis.call('EXPIRE', key, math.ceil(budget_ttl_s))
  budgets[i] = {own[1], total, limit, short_until > now}
end

return cjson.encode({members = members, share = share, cooldown_s = math.max(0, cooldown_until - now), rates = rates, budgets = budgets})
