-- One account of a cluster, one node's turn: tells what it has spent and what it holds, takes what it asks for. Both are told as
-- totals, so that a turn that is taken twice, or late, counts once and is put right by the next.
-- Invariant: settled + sum of leases <= limit, but for debt. Amounts are whole numbers below 2^53.
--
-- KEYS[1] the account's hash. ARGV: kind (rate | window | concurrent), limit, per_ms, window start (0: first spend), node, ttl_ms,
-- spent (ever), heard (of it, by the node's knowledge), held, need (the least that helps), want (all that is waited for), spare (welcome beside it).
-- Fields: settled, window, tat (rate: microseconds), l:NODE (lease), u:NODE (until, ms), f:NODE (charged when it expired),
-- s:NODE (its spent total).
-- Answers: granted, settled, leased, window start (ms), ms until the need could be met (-1: nobody knows).
local kind, limit, per_ms, calendar = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local node, ttl_ms = ARGV[5], tonumber(ARGV[6])
local total, heard, held = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local need, want, spare = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local clock = redis.call('TIME')
local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local now_ms = math.floor(now_us / 1000)

local fields, list = {}, redis.call('HGETALL', KEYS[1])
for index = 1, #list, 2 do fields[list[index]] = list[index + 1] end
local settled = tonumber(fields.settled or '0')
local window = tonumber(fields.window or '0')
local tat = tonumber(fields.tat or '0')
local changed, dropped = {}, {}
local function set(name, value) changed[#changed + 1] = name; changed[#changed + 1] = string.format('%.0f', value) end
local function drop(name) dropped[#dropped + 1] = name end

-- A new window forgets what was settled; promises under way stay promised.
if kind == 'window' then
    if calendar > window then
        settled, window = 0, calendar
    elseif calendar == 0 and window > 0 and now_ms >= window + per_ms then
        settled, window = 0, 0
    end
end

-- Leases of nodes that have not been heard of: money is charged in full, everything else flows back.
local leased = 0
for name, value in pairs(fields) do
    if string.sub(name, 1, 2) == 'l:' then
        local other, amount = string.sub(name, 3), tonumber(value)
        local until_ms = tonumber(fields['u:' .. other] or '0')
        if other ~= node and until_ms <= now_ms then
            if kind == 'window' and amount > 0 then
                settled = settled + amount
                set('f:' .. other, amount + tonumber(fields['f:' .. other] or '0'))
            end
            drop(name)
            drop('u:' .. other)
        elseif other ~= node then
            leased = leased + amount
        end
    end
end

-- This node's own: what it spent leaves its lease for good. A lease that had been charged is refunded by what is told now. A
-- store that has forgotten the node takes its word for what was heard before.
local own = tonumber(fields['l:' .. node] or '0')
local forfeited = tonumber(fields['f:' .. node] or '0')
local spent = math.max(0, total - tonumber(fields['s:' .. node] or heard))
if forfeited > 0 then
    settled = settled - forfeited
    drop('f:' .. node)
    own = own + forfeited
end
if kind == 'window' then settled = settled + spent end
-- What was spent without a lease, while the store was away.
local unlent = math.max(0, spent - own)
local returned = math.max(0, own - spent - held)
own = held

-- What is free.
local free
if kind == 'rate' then
    -- GCRA in tokens: what has not been refilled yet is used; leases never let the burst exceed the limit.
    local emission_us = per_ms * 1000 / limit
    tat = math.max(tat, now_us) + (unlent - returned) * emission_us
    tat = math.max(tat, now_us + (leased + own) * emission_us)
    free = math.floor((now_us + limit * emission_us - tat) / emission_us + 0.000001)
else
    free = limit - settled - leased - own
end
local granted = 0
if need > 0 and free >= need then granted = math.min(want, free) end
-- Near the edge nothing is lent that nobody waits for.
if free > granted then granted = granted + math.min(spare, math.floor((free - granted) / 4)) end
if kind == 'window' and window == 0 and (spent > 0 or granted > 0) then window = now_ms end
if granted > 0 and kind == 'rate' then tat = tat + granted * (per_ms * 1000 / limit) end
own = own + granted

local wait_ms = -1
if need > granted then
    if kind == 'rate' and need <= limit then
        wait_ms = math.ceil((need - free) * per_ms / limit)
    elseif kind == 'window' and need <= limit and calendar == 0 and window > 0 then
        wait_ms = math.max(1, window + per_ms - now_ms)
    end
end

set('settled', settled)
set('window', window)
if kind == 'rate' then set('tat', math.max(0, tat)) end
set('l:' .. node, own)
set('s:' .. node, total)
set('u:' .. node, now_ms + ttl_ms)
if #dropped > 0 then redis.call('HDEL', KEYS[1], unpack(dropped)) end
redis.call('HSET', KEYS[1], unpack(changed))
-- Kept as long as its window, and long enough for a node that comes back to settle.
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(2 * per_ms, 20 * ttl_ms)))
-- Of a rate, settled is what is not refilled yet.
if kind == 'rate' then settled = math.max(0, limit - (free - granted) - leased - own) end
return {granted, settled, leased + own, window, wait_ms}
