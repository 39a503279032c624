#!lua name=@LIBRARY@
-- SPDX-License-Identifier: Apache-2.0
--
-- The gate of a coupon: who is in. One call carries everything that a server's loop collected for
-- one coupon, and is one atomic step. docs/protocol.md has the rules.
--
-- Keys, all in one hash tag:
--   c  hash    the counts, the settings and the state: open, sealed, building, lost
--   h  hash    user -> "slot" (stored), "slot:token" (pending), "slot:token:1" (pending, joined)
--   p  zset    the pending users, by the time of their grant or of the last sweep
--   r  zset    places that came back
--
-- Redis has no empty collections, so that what is missing is told by the counts in `c`. Lua does not
-- roll back, so that everything is checked before the first write. Each redis.call costs 1.5 to
-- 2 microseconds, so that many people go into one.

local PIECE = 1000 -- arguments of one command; unpack() ends at some thousands
local SKIP_MAX = 100000 -- numbers that become returned ones in one step: some ten milliseconds

local FIELDS = { 'state', 'epoch', 'replid', 'version', 'quantity', 'starts', 'ends', 'closed',
                 'next', 'held', 'pend', 'ret', 'changes' }

-- While a library is being loaded there are no globals: bound at the start of every call.
local find, match, sub, format, insert, concat, max, min, call

local function bind()
    find, match, sub, format = string.find, string.match, string.sub, string.format
    insert, concat, max, min = table.insert, table.concat, math.max, math.min
    call = redis.call
end

local function is_number(text)
    return text and #text <= 20 and find(text, '^%d+$')
end

-- All of them at once: a look at each would cost more than what is done with it.
local function are_numbers(args, first, last)
    if last < first then
        return true
    elseif not args[last] then
        return false
    end
    local text = ',' .. concat(args, ',', first, last) .. ','
    return not find(text, '[^%d,]') and not find(text, ',,', 1, true)
end

-- What the node calls its history: another one after a restart, a fail-over, a loss.
local function replid()
    return match(call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- Every call is of a command with a key and many arguments.
local function call_many(name, key, list)
    for i = 1, #list, PIECE do
        call(name, key, unpack(list, i, min(i + PIECE - 1, #list)))
    end
end

-- ---- the coupon as it stands ----

-- nil: nothing is there; else with `good`: its memory can be trusted. What cannot be is closed in
-- the same step, whatever comes next.
local function load(keys)
    local row = call('HMGET', keys[1], unpack(FIELDS))
    local now = { state = row[1], epoch = tonumber(row[2]), version = tonumber(row[4]),
                  quantity = tonumber(row[5]), starts = tonumber(row[6]), ends = tonumber(row[7]),
                  closed = row[8] == '1', next = tonumber(row[9]), held = tonumber(row[10]),
                  pend = tonumber(row[11]), ret = tonumber(row[12]), changes = tonumber(row[13]) }
    if not now.state then
        return call('EXISTS', unpack(keys)) > 0 and { state = 'lost', epoch = 0, version = 0,
            next = 0, held = 0, pend = 0, ret = 0, changes = 0 } or nil
    end
    if now.state == 'lost' then
        return now
    end
    now.good = now.epoch and now.version and now.quantity and now.starts and now.ends and now.next
        and now.held and now.pend and now.ret and now.changes and row[3] == replid()
        and (now.state == 'building' or (call('HLEN', keys[2]) == now.held
            and call('ZCARD', keys[3]) == now.pend
            and call('ZCARD', keys[4]) == now.ret))
    if not now.good then
        now.state = 'lost'
    end
    return now
end

local function describe(now)
    if not now then
        return 'missing 0 0 0 0 0 0 0 0'
    end
    return concat({ now.state, now.epoch or 0, now.version or 0, now.quantity or 0, now.next or 0,
                    now.held or 0, now.pend or 0, now.ret or 0, now.changes or 0 }, ' ')
end

-- ---- what a call asks for ----

-- section -> numbers of each of its items, and which of them is the user
local SECTIONS = {
    confirm = { 2, 1 },  -- user slot
    release = { 4, 1 },  -- user slot token epoch
    move = { 3, 1 },     -- user slot own_slot
    offer = { 3, 1 },    -- user slot token
    ask = { 2, 1 },      -- user token
    settings = { 5 },    -- version quantity starts ends closed
    sweep = { 3 },       -- older_than_ms at_most token
    oldest = { 0 },
}

-- args: epoch, offset of a test's clock, then sections: name, count, items. nil and why, or
-- section -> { first, last, width } and the users.
local function parse(args)
    local sections, users, at = {}, {}, 3
    if not is_number(args[1]) or not match(args[2] or '', '^-?%d+$') then
        return nil, 'no epoch or clock'
    end
    while args[at] do
        local name, shape, count = args[at], SECTIONS[args[at]], args[at + 1]
        if not shape or sections[name] or not is_number(count) then
            return nil, 'no such section'
        end
        local width, first, last = shape[1], at + 2, at + 1 + shape[1] * tonumber(count)
        if not are_numbers(args, first, last) then
            return nil, 'not a number'
        end
        if shape[2] then
            for i = first, last, width do
                users[#users + 1] = args[i]
            end
        end
        sections[name] = { first, last, width }
        at = last + 1
    end
    return sections, users
end

-- ---- one step ----

-- The entries of these users, into `entry`; false where there is none.
local function fetch(key, users, entry)
    for i = 1, #users, PIECE do
        local found = call('HMGET', key, unpack(users, i, min(i + PIECE - 1, #users)))
        for j = 1, #found do
            entry[users[i + j - 1]] = found[j]
        end
    end
end

-- slot, token, ":1" or "" of a pending entry
local function pending_of(value)
    if value then
        return match(value, '^(%d+):(%d+)(.*)$')
    end
end

-- Whoever is put twice is written twice, as of the second time.
local function put(step, user, value)
    step.order[#step.order + 1] = user
    step.entry[user] = value
end

-- The smallest place that came back, or the next new one; nil: none is left.
local function take_place(step)
    local now = step.now
    if now.ret > 0 then
        now.ret = now.ret - 1
        return tonumber(call('ZPOPMIN', step.keys[4])[1])
    end
    if now.next <= now.quantity then
        now.next = now.next + 1
        return now.next - 1
    end
end

local function give_back(step, slot)
    if slot <= step.now.quantity then
        call('ZADD', step.keys[4], slot, slot)
        step.now.ret = step.now.ret + 1
    end
end

-- Numbers before `slot` that were never handed out are returned ones from now on.
local function skip_to(step, slot)
    local now, skipped = step.now, {}
    for number = now.next, min(slot - 1, now.quantity) do
        insert(skipped, number)
        insert(skipped, number)
    end
    call_many('ZADD', step.keys[4], skipped)
    now.ret = now.ret + #skipped / 2
    now.next = max(now.next, slot + 1)
end

local function no_longer_pending(step, user)
    call('ZREM', step.keys[3], user)
    step.now.pend = step.now.pend - 1
end

-- The row is what counts: token and epoch are not compared.
local function confirm(step, args, section)
    local gone, n, entry = {}, 0, step.entry
    for i = section[1], section[2], section[3] do
        local user, slot = args[i], args[i + 1]
        local value, before = entry[user], #slot + 1
        if value and sub(value, before, before) == ':' and sub(value, 1, before - 1) == slot then
            put(step, user, slot)
            n = n + 1
            gone[n] = user
        end
    end
    call_many('ZREM', step.keys[3], gone)
    step.now.pend = step.now.pend - n
    step.now.changes = step.now.changes + n
end

local function release(step, args, section)
    for i = section[1], section[2], section[3] do
        local user = args[i]
        local slot, token, joined = pending_of(step.entry[user])
        if slot == args[i + 1] and token == args[i + 2] and joined == ''
            and tonumber(args[i + 3]) == step.now.epoch then
            put(step, user, false)
            no_longer_pending(step, user)
            give_back(step, tonumber(slot))
            step.now.held = step.now.held - 1
            step.now.changes = step.now.changes + 1
            step.released = step.released + 1
        end
    end
end

-- The user's own row has another number: the entry takes it, and its old place comes back.
local function move_to_own(step, user, old, own)
    if call('ZREM', step.keys[4], own) == 1 then
        step.now.ret = step.now.ret - 1
    end
    if own >= step.now.next then
        skip_to(step, own)
    end
    put(step, user, tostring(own))
    no_longer_pending(step, user)
    if old ~= own then
        give_back(step, old)
    end
    return 'a' .. own
end

-- The place is somebody else's row: it does not come back, and the user gets another.
local function move_on(step, user, token, joined)
    local slot = take_place(step)
    if slot then
        put(step, user, slot .. ':' .. token .. joined)
        return 'g' .. slot
    end
    put(step, user, false)
    no_longer_pending(step, user)
    step.now.held = step.now.held - 1
    return 's'
end

local function move(step, args, section)
    for i = section[1], section[2], section[3] do
        local user, own = args[i], tonumber(args[i + 2])
        local slot, token, joined = pending_of(step.entry[user])
        local told = 'c'
        if own - step.now.next > SKIP_MAX then
            step.now.state, step.open = 'sealed', false -- built anew, in pieces
            call('HSET', step.keys[1], 'state', 'sealed')
        elseif slot == args[i + 1] and step.same then
            told = own > 0 and move_to_own(step, user, tonumber(slot), own)
                or move_on(step, user, token, joined)
            step.now.changes = step.now.changes + 1
        end
        insert(step.out, told)
    end
end

-- The place of another epoch, if nobody has it here.
local function take_offered(step, slot)
    local now = step.now
    if slot < 1 or slot > now.quantity then
        return take_place(step)
    end
    if slot - now.next > SKIP_MAX then
        return take_place(step)
    end
    if slot >= now.next then
        skip_to(step, slot)
        return slot
    end
    if call('ZREM', step.keys[4], slot) == 1 then
        now.ret = now.ret - 1
        return slot
    end
    return take_place(step)
end

-- A number becomes text in Lua slowly: `slot` is text already.
local function granted(step, user, slot, token, joined)
    local now, begun = step.now, step.begun
    put(step, user, slot .. ':' .. token .. joined)
    begun[#begun + 1] = step.ms_text
    begun[#begun + 1] = user
    now.held = now.held + 1
    now.pend = now.pend + 1
    now.changes = now.changes + 1
end

-- Somebody may have been told of what is offered: it is joined from the start.
local function offer(step, args, section)
    for i = section[1], section[2], section[3] do
        local user, value = args[i], step.entry[args[i]]
        local slot, token = pending_of(value)
        if not step.open then
            insert(step.out, 'c')
        elseif slot then
            put(step, user, slot .. ':' .. token .. ':1')
            insert(step.out, 'p' .. slot)
        elseif value then
            insert(step.out, 'a' .. value)
        else
            slot = take_offered(step, tonumber(args[i + 1]))
            insert(step.out, slot and 'g' .. slot or 's')
            if slot then
                granted(step, user, format('%d', slot), args[i + 2], ':1')
            end
        end
    end
end

local function remaining(now)
    return max(now.quantity - now.next + 1, 0) + now.ret
end

-- The order of tests: an entry, the window, closed, a place left.
local function ask_one(step, user, token)
    local now, value = step.now, step.entry[user]
    if value then
        local slot, known, joined = pending_of(value)
        if not slot then
            return 'a' .. value
        end
        -- The same question once more; who joined has joined, however often it is asked.
        if known == token and joined == '' then
            return format('g%s,%d', slot, remaining(now))
        end
        put(step, user, slot .. ':' .. token .. ':1')
        return 'p' .. slot
    end
    if step.wall < now.starts then
        return 'b'
    elseif step.wall >= now.ends then
        return 'x'
    elseif now.closed then
        return 'e'
    end
    local slot = take_place(step)
    if not slot then
        return now.pend == 0 and 'S' or 's'
    end
    slot = format('%d', slot)
    granted(step, user, slot, token, '')
    return format('g%s,%d', slot, remaining(now))
end

local function ask(step, args, section)
    local out, open = step.out, step.open
    for i = section[1], section[2], section[3] do
        out[#out + 1] = open and ask_one(step, args[i], args[i + 1]) or 'c'
    end
end

-- A lower quantity is decided in SQL with a new epoch: this life of the gate is over.
local function settings(step, args, section)
    local at, now = section[1], step.now
    if tonumber(args[at]) <= now.version then
        return
    end
    if tonumber(args[at + 1]) < now.quantity then
        now.state = 'sealed'
        call('HSET', step.keys[1], 'state', now.state)
        return
    end
    now.version, now.quantity = tonumber(args[at]), tonumber(args[at + 1])
    now.starts, now.ends = tonumber(args[at + 2]), tonumber(args[at + 3])
    now.closed, now.changes = args[at + 4] == '1', now.changes + 1
    call('HSET', step.keys[1], 'version', args[at], 'quantity', args[at + 1],
               'starts', args[at + 2], 'ends', args[at + 3], 'closed', args[at + 4],
               'changes', now.changes)
end

-- Who has been pending for long: joined, with a new token, and not found again for as long.
local function sweep(step, args, section)
    local at = section[1]
    local users = not step.same and {} or call('ZRANGEBYSCORE', step.keys[3], '-inf', step.ms - tonumber(args[at]),
                             'LIMIT', 0, args[at + 1])
    local unknown = {}
    for i = 1, #users do
        if step.entry[users[i]] == nil then
            insert(unknown, users[i])
        end
    end
    fetch(step.keys[2], unknown, step.entry)
    insert(step.out, #users)
    for i = 1, #users do
        local slot = pending_of(step.entry[users[i]])
        if slot then
            put(step, users[i], slot .. ':' .. args[at + 2] .. ':1')
            insert(step.begun, step.ms_text)
            insert(step.begun, users[i])
        end
        insert(step.out, users[i] .. ',' .. (slot or 0))
    end
end

local function write(step, before)
    local set, del, now, order, entry = {}, {}, step.now, step.order, step.entry
    for i = 1, #order do
        local user = order[i]
        local value = entry[user]
        if value then
            set[#set + 1] = user
            set[#set + 1] = value
        else
            del[#del + 1] = user
        end
    end
    call_many('HSET', step.keys[2], set)
    call_many('HDEL', step.keys[2], del)
    call_many('ZADD', step.keys[3], step.begun)
    if now.changes ~= before then
        call('HSET', step.keys[1], 'next', now.next, 'held', now.held, 'pend', now.pend,
                   'ret', now.ret, 'changes', now.changes)
    end
end

-- What closed gates, and ones whose memory is lost, answer to each section that is answered.
local function refuse(sections)
    local out = {}
    for _, name in ipairs({ 'move', 'offer', 'ask' }) do
        local section = sections[name]
        for _ = 1, section and (section[2] + 1 - section[1]) / section[3] or 0 do
            insert(out, 'c')
        end
    end
    if sections.sweep then
        insert(out, 0)
    end
    if sections.oldest then
        insert(out, 0)
    end
    return concat(out, ' ')
end

-- One turn of a loop. Answers how the coupon stands, how many were released, and what each move,
-- offer, ask and sweep got, in this order.
local function turn(keys, args)
    bind()
    local sections, users = parse(args)
    if not sections then
        return redis.error_reply('ERR doorbuster: ' .. users)
    end
    local now = load(keys)
    if not now or not now.good then
        if now then
            call('HSET', keys[1], 'state', 'lost')
        end
        return describe(now) .. ' 0 ' .. refuse(sections)
    end
    local time = call('TIME')
    local step = { keys = keys, now = now, entry = {}, order = {}, begun = {}, out = {},
                   released = 0 }
    step.ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    step.ms_text = format('%d', step.ms)
    step.wall = step.ms + tonumber(args[2])
    fetch(keys[2], users, step.entry)
    -- From here on things are written: nothing may fail.
    local before = now.changes
    if sections.settings then settings(step, args, sections.settings) end
    step.same = tonumber(args[1]) == now.epoch
    step.open = now.state == 'open' and step.same
    if sections.confirm then confirm(step, args, sections.confirm) end
    if sections.release then release(step, args, sections.release) end
    if sections.move then move(step, args, sections.move) end
    if sections.offer then offer(step, args, sections.offer) end
    if sections.ask then ask(step, args, sections.ask) end
    if sections.sweep then sweep(step, args, sections.sweep) end
    write(step, before)
    if sections.oldest then
        local first = call('ZRANGE', keys[3], 0, 0, 'WITHSCORES')
        insert(step.out, first[2] and max(step.ms - tonumber(first[2]), 0) or 0)
    end
    return describe(now) .. ' ' .. step.released .. ' ' .. concat(step.out, ' ')
end

-- ---- building anew ----
--
-- The holders and the returned places are put into keys of their own, `h:EPOCH` and `r:EPOCH`, by
-- plain HSET and ZADD, which are twice as fast as from here. `open` takes those of its epoch, if all
-- has arrived, so that pieces of another epoch, or for another node's memory, are never taken.

-- epoch version quantity starts ends closed
local function begin(keys, args)
    bind()
    if not are_numbers(args, 1, 6) then
        return redis.error_reply('ERR doorbuster: not a number')
    end
    local epoch = tonumber(call('HGET', keys[1], 'epoch'))
    if epoch and epoch >= tonumber(args[1]) then
        return 'conflict ' .. epoch
    end
    call('UNLINK', unpack(keys))
    if epoch then
        call('UNLINK', keys[2] .. ':' .. epoch, keys[4] .. ':' .. epoch)
    end
    call('HSET', keys[1], 'state', 'building', 'epoch', args[1], 'replid', replid(),
         'version', args[2], 'quantity', args[3], 'starts', args[4], 'ends', args[5],
         'closed', args[6], 'next', 1, 'held', 0, 'pend', 0, 'ret', 0, 'changes', 0)
    return 'ok'
end

-- epoch holders returned next
local function open(keys, args)
    bind()
    if not are_numbers(args, 1, 4) then
        return redis.error_reply('ERR doorbuster: not a number')
    end
    local now = load(keys)
    if not now or now.state ~= 'building' or tonumber(args[1]) ~= now.epoch then
        return 'conflict'
    end
    local holders, returned = keys[2] .. ':' .. args[1], keys[4] .. ':' .. args[1]
    if call('HLEN', holders) ~= tonumber(args[2]) or call('ZCARD', returned) ~= tonumber(args[3]) then
        return 'corrupt'
    end
    for from, to in pairs({ [holders] = keys[2], [returned] = keys[4] }) do
        if call('EXISTS', from) == 1 then
            call('RENAME', from, to)
            call('PERSIST', to)
        end
    end
    call('HSET', keys[1], 'state', 'open', 'held', args[2], 'ret', args[3], 'next', args[4])
    return 'ok'
end

-- epoch: from now on closed for everybody, if it is not a gate of a higher one
local function seal(keys, args)
    bind()
    local state, epoch = unpack(call('HMGET', keys[1], 'state', 'epoch'))
    if not state then
        return 'missing'
    end
    if epoch and tonumber(epoch) > tonumber(args[1]) then
        return 'conflict ' .. epoch
    end
    if state ~= 'lost' then
        call('HSET', keys[1], 'state', 'sealed')
    end
    return 'ok'
end

-- How it stands, then the slots that are pending and those that came back.
local function picture(keys)
    bind()
    local now, slots = load(keys), {}
    if not now or not now.good then
        return { describe(now), {}, {} }
    end
    local users, entry = call('ZRANGE', keys[3], 0, -1), {}
    fetch(keys[2], users, entry)
    for i = 1, #users do
        slots[i] = pending_of(entry[users[i]]) or '0'
    end
    return { describe(now), slots, call('ZRANGE', keys[4], 0, -1) }
end

redis.register_function('@PREFIX@turn', turn)
redis.register_function('@PREFIX@begin', begin)
redis.register_function('@PREFIX@open', open)
redis.register_function('@PREFIX@seal', seal)
redis.register_function{ function_name = '@PREFIX@picture', callback = picture,
                         flags = { 'no-writes' } }
