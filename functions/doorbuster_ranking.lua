#!lua name=doorbuster_ranking_v2
-- SPDX-License-Identifier: Apache-2.0
--
-- The ranking in Redis: the ledger's sums, copied, and boards made of them. docs/ranking.md says
-- what the keys are. Every call has one key, <prefix>meta; the others have its hash tag.
--
--   meta    hash: the state of the copy
--   sums    hash: product -> cmsgpack {category, its version, then six numbers a day,
--           in order of days}
--   ids     sorted set: product -> product, to go through them in pieces
--   boards  hash: name of a board -> cmsgpack of what is known of it
--   b:<n>   sorted set: a board; score -units, the rest of the order in the member
--
-- A day's six numbers: day, version, units, revenue (high, low 30 bits), reached. Numbers are
-- doubles here: whole up to 2^53, which is why revenue comes in two.
--
-- Only a full copy makes `meta`. What does not fit together (another replication id, a key that is
-- gone) is told as LOST until the next one. A board is made of the sums when it is first read, some
-- products at a time, and changed with them from then on: in a board that is being made, those up to
-- `cursor`.

local OK, LOST, NOT_HELD, MAKING, BUSY = 0, 1, 2, 3, 4
local FIRST, STRIDE = 3, 6 -- of the days in a record
local LOW = 1073741824 -- 2^30
local HIGH_MIDDLE = 1099511627776 -- 2^40: makes the high part of any revenue positive
local TOUCH_S = 10
local UNREAD_S = 172800
local COPY_MS = 5000 -- without a sign of life: then another may copy

local function whole_number(text)
    return string.format('%.0f', text)
end

local function replication_id()
    return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What every call begins with.
local function enter(keys)
    local prefix = string.sub(keys[1], 1, -5)
    local at = { meta = keys[1], sums = prefix .. 'sums', ids = prefix .. 'ids',
                 boards = prefix .. 'boards', board = prefix .. 'b:' }
    local v = redis.call('HMGET', at.meta, 'replid', 'complete', 'copier', 'until', 'from', 'accept',
                         'version', 'as_of', 'count', 'serial')
    at.complete = v[2] == '1'
    at.copier = v[3] or ''
    at.copier_until = tonumber(v[4] or 0)
    at.from = tonumber(v[5] or 0)
    at.accept = tonumber(v[6] or 0)
    at.version = tonumber(v[7] or 0)
    at.as_of = tonumber(v[8] or 0)
    at.count = tonumber(v[9] or 0)
    at.serial = tonumber(v[10] or 0)
    at.whole = v[1] and v[1] == replication_id() and redis.call('HLEN', at.sums) == at.count and
               redis.call('ZCARD', at.ids) == at.count
    at.accepting = at.whole and (at.complete or at.copier ~= '')
    at.readable = at.whole and at.complete
    return at
end

local function answer(at, code)
    return { code, at.version, at.as_of, at.from, at.readable and 1 or 0 }
end

local function changed(at)
    at.version = at.version + 1
    redis.call('HSET', at.meta, 'version', whole_number(at.version), 'as_of', whole_number(at.as_of),
               'count', whole_number(at.count))
end

-- ---- sums ----

local function total(record, from, to)
    local units, high, low, reached = 0, 0, 0, 0
    for i = #record - STRIDE + 1, FIRST, -STRIDE do
        local day = record[i]
        if day < from then
            break
        end
        if day <= to then
            units = units + record[i + 2]
            high = high + record[i + 3]
            low = low + record[i + 4]
            if record[i + 5] > reached then
                reached = record[i + 5]
            end
        end
    end
    local carry = math.floor(low / LOW)
    return units, high + carry, low - carry * LOW, reached
end

-- Sorts as core/sales.h says among equal units; all of the sum can be read from it.
local function member(order, id, high, low, reached)
    if order == '3' then
        return struct.pack('>I8I4I8I8', HIGH_MIDDLE - high, LOW - low, id, reached)
    end
    return struct.pack('>I8I8I8I4', reached, id, HIGH_MIDDLE + high, low)
end

-- Where the day begins in the record, or where it would, and whether it is there.
local function find_day(record, day)
    local i = #record - STRIDE + 1
    while i >= FIRST and record[i] > day do
        i = i - STRIDE
    end
    if i >= FIRST and record[i] == day then
        return i, true
    end
    return i + STRIDE, false
end

-- ---- boards ----

local function board_store(at, board)
    redis.call('HSET', at.boards, board.name,
               cmsgpack.pack({ board.key, board.order, board.from, board.to, board.category,
                               board.cursor, board.count, board.touched, board.ready }))
end

local function board_of(name, packed)
    local b = cmsgpack.unpack(packed)
    return { name = name, key = b[1], order = b[2], from = b[3], to = b[4], category = b[5],
             cursor = b[6], count = b[7], touched = b[8], ready = b[9] }
end

local function board_drop(at, board)
    board.gone = true
    redis.call('UNLINK', board.key)
    redis.call('HDEL', at.boards, board.name)
end

local function boards_of(at)
    local raw, list = redis.call('HGETALL', at.boards), {}
    for i = 1, #raw, 2 do
        list[#list + 1] = board_of(raw[i], raw[i + 1])
    end
    return list
end

local function boards_drop_before(at, day)
    for _, board in ipairs(boards_of(at)) do
        if board.from < day then
            board_drop(at, board)
        end
    end
end

-- One product's part of a board was the first sum and is the second.
local function board_change(at, board, old_units, old_member, new_units, new_member)
    local count = board.count
    if old_units > 0 and old_member ~= new_member then
        count = count - redis.call('ZREM', board.key, old_member)
    elseif old_units > 0 and new_units <= 0 then
        count = count - redis.call('ZREM', board.key, old_member)
    end
    if new_units > 0 then
        count = count + redis.call('ZADD', board.key, whole_number(-new_units), new_member)
    end
    if count ~= board.count then
        if board.count == 0 then
            redis.call('EXPIRE', board.key, UNREAD_S)
        end
        board.count = count
        board_store(at, board)
    end
end

local function board_has(board, id, category)
    return not board.gone and (board.ready or id <= board.cursor) and
           (board.category == false or board.category == category)
end

local function part_of(board, record, id)
    local units, high, low, reached = total(record, board.from, board.to)
    return units, member(board.order, id, high, low, reached)
end

-- ---- putting ----

local function product_get(at, id)
    local packed = redis.call('HGET', at.sums, id)
    return packed and cmsgpack.unpack(packed)
end

local function product_store(at, id, record, is_new)
    redis.call('HSET', at.sums, id, cmsgpack.pack(record))
    if is_new then
        redis.call('ZADD', at.ids, id, id)
        at.count = at.count + 1
    end
end

local function trim(record, day)
    local first = FIRST
    while first <= #record and record[first] < day do
        first = first + STRIDE
    end
    if first == FIRST then
        return false
    end
    local kept = #record - first + 1
    for i = 0, kept - 1 do
        record[FIRST + i] = record[first + i]
    end
    for i = #record, FIRST + kept, -1 do
        record[i] = nil
    end
    return true
end

local function day_set(record, i, there, args, first)
    if not there then
        for j = #record, i, -1 do
            record[j + STRIDE] = record[j]
        end
    end
    for j = 0, STRIDE - 1 do
        record[i + j] = tonumber(args[first + j])
    end
end

local function same_day(record, i, args, first)
    for j = 2, STRIDE - 1 do
        if record[i + j] ~= tonumber(args[first + j]) then
            return false
        end
    end
    return true
end

-- The product's boards, if that version of its category is a higher one. Whether it is, and whether
-- an answer may have changed.
local function category_set(at, boards, record, id, to, version)
    local from = record[1]
    if version <= record[2] then
        return false, false
    end
    for _, board in ipairs(boards) do
        if board.category ~= false and from ~= to then
            local units, m = part_of(board, record, id)
            if board_has(board, id, from) then
                board_change(at, board, units, m, 0, nil)
            elseif board_has(board, id, to) then
                board_change(at, board, 0, nil, units, m)
            end
        end
    end
    record[1], record[2] = to, version
    return true, from ~= to
end

-- args from `first`: id, category, its version, the day's six numbers. True: an answer may have
-- changed. Version -1: there is no sum, only the category counts.
local function put_one(at, boards, args, first)
    local id, day = tonumber(args[first]), tonumber(args[first + 3])
    local version = tonumber(args[first + 4])
    local held = version >= 0 and day >= at.accept
    local record, raised, any = product_get(at, args[first]), false, false
    local is_new = not record
    if is_new and not held then
        return false
    elseif is_new then
        record = { args[first + 1], tonumber(args[first + 2]) }
    else
        raised, any = category_set(at, boards, record, id, args[first + 1], tonumber(args[first + 2]))
    end
    local i, there = find_day(record, day)
    if not held or (there and version <= record[i + 1]) then
        if raised then
            product_store(at, args[first], record, false)
        end
        return any
    end
    if there and same_day(record, i, args, first + 3) then
        record[i + 1] = version
        product_store(at, args[first], record, is_new)
        return any
    end
    local touched = {}
    for _, board in ipairs(boards) do
        if board.from <= day and day <= board.to and board_has(board, id, record[1]) then
            local units, old = part_of(board, record, id)
            touched[#touched + 1] = { board, units, old }
        end
    end
    day_set(record, i, there, args, first + 3)
    for _, t in ipairs(touched) do
        local units, new = part_of(t[1], record, id)
        board_change(at, t[1], t[2], t[3], units, new)
    end
    trim(record, math.min(at.accept, at.from))
    product_store(at, args[first], record, is_new)
    return true
end

-- args: token of the copy or '', time, then nine for each sum.
local function put(keys, args)
    local at = enter(keys)
    if not at.accepting or (args[1] ~= '' and at.copier ~= args[1]) then
        return answer(at, LOST)
    end
    local boards, count, any = boards_of(at), at.count, false
    for first = 3, #args, 9 do
        any = put_one(at, boards, args, first) or any
    end
    if any then
        at.as_of = tonumber(args[2])
        changed(at)
    elseif count ~= at.count then
        redis.call('HSET', at.meta, 'count', whole_number(at.count))
    end
    if args[1] ~= '' then
        redis.call('HSET', at.meta, 'until', whole_number(now_ms() + COPY_MS))
    end
    return answer(at, OK)
end

-- args: id, category, its version.
local function move(keys, args)
    local at = enter(keys)
    if not at.accepting then
        return answer(at, LOST)
    end
    local version = tonumber(args[3])
    local record, raised, any = product_get(at, args[1]), true, true
    local is_new = not record
    if is_new then
        record = { args[2], version }
    else
        raised, any = category_set(at, boards_of(at), record, tonumber(args[1]), args[2], version)
    end
    if raised then
        product_store(at, args[1], record, is_new)
    end
    if any then
        changed(at)
    end
    return answer(at, OK)
end

-- ---- copies, days ----

local function begin_anew(at, from)
    for _, board in ipairs(boards_of(at)) do
        redis.call('UNLINK', board.key)
    end
    redis.call('UNLINK', at.meta, at.sums, at.ids, at.boards)
    -- Never a version, nor a board's key, that was there before.
    local time = redis.call('TIME')
    at.version = math.max(at.version + 1, time[1] * 1000000 + time[2])
    at.serial = math.max(at.serial, at.version)
    at.complete, at.readable, at.whole, at.as_of, at.count = false, false, true, 0, 0
    redis.call('HSET', at.meta, 'replid', replication_id(), 'complete', '0', 'as_of', '0', 'count', '0',
               'version', whole_number(at.version), 'serial', whole_number(at.serial))
    at.from = from
end

local function forget_before(at, day)
    if day <= at.from then
        return
    end
    at.from = day
    boards_drop_before(at, day)
    changed(at)
end

-- args: token, first day.
local function copy_begin(keys, args)
    local at, now = enter(keys), now_ms()
    local from = tonumber(args[2])
    if at.whole and at.copier ~= '' and at.copier ~= args[1] and now < at.copier_until then
        return answer(at, BUSY)
    end
    if not at.readable then
        begin_anew(at, from)
    else
        forget_before(at, from)
    end
    redis.call('HSET', at.meta, 'copier', args[1], 'until', whole_number(now + COPY_MS), 'from',
               whole_number(at.from), 'accept', whole_number(from))
    return answer(at, OK)
end

-- args: token.
local function copy_end(keys, args)
    local at = enter(keys)
    if not at.accepting or at.copier ~= args[1] then
        return answer(at, LOST)
    end
    boards_drop_before(at, at.accept)
    at.from, at.readable = at.accept, true
    redis.call('HSET', at.meta, 'complete', '1', 'copier', '', 'from', whole_number(at.from))
    changed(at)
    return answer(at, OK)
end

-- Something was lost on its way here: all of it is to be copied again.
local function lose(keys, args)
    local at = enter(keys)
    if at.whole then
        redis.call('HSET', at.meta, 'complete', '0', 'copier', '')
        at.readable = false
        changed(at)
    end
    return answer(at, LOST)
end

-- args: day.
local function forget(keys, args)
    local at = enter(keys)
    local day = tonumber(args[1])
    if not at.accepting then
        return answer(at, LOST)
    end
    if day > at.accept then
        at.accept = day
        redis.call('HSET', at.meta, 'accept', whole_number(day))
    end
    if day > at.from then
        forget_before(at, day)
        redis.call('HSET', at.meta, 'from', whole_number(at.from))
    end
    return answer(at, OK)
end

-- Memory of days that are not held is given back. args: product to go on after, how many.
-- The answer has one more: where to go on, or '' at the end.
local function sweep(keys, args)
    local at = enter(keys)
    local reply = answer(at, at.accepting and OK or LOST)
    reply[6] = ''
    if not at.accepting then
        return reply
    end
    local ids = redis.call('ZRANGEBYSCORE', at.ids, '(' .. args[1], '+inf', 'LIMIT', 0, args[2])
    local count, day = at.count, math.min(at.accept, at.from)
    for _, id in ipairs(ids) do
        local record = cmsgpack.unpack(redis.call('HGET', at.sums, id))
        if trim(record, day) and #record >= FIRST then
            product_store(at, id, record, false)
        elseif #record < FIRST then
            redis.call('HDEL', at.sums, id)
            redis.call('ZREM', at.ids, id)
            at.count = at.count - 1
        end
    end
    if at.count ~= count then
        redis.call('HSET', at.meta, 'count', whole_number(at.count))
    end
    if #ids == tonumber(args[2]) then
        reply[6] = ids[#ids]
    end
    return reply
end

local function status(keys)
    local at = enter(keys)
    return answer(at, at.readable and OK or LOST)
end

-- ---- reading ----

-- Room for one more: whoever has not been read for long goes.
local function make_room(at, most, now)
    local list = boards_of(at)
    table.sort(list, function(a, b) return a.touched < b.touched end)
    for i, board in ipairs(list) do
        if #list - i + 1 < most and board.touched > now - UNREAD_S then
            break
        end
        board_drop(at, board)
    end
end

local function board_get(at, name, order, from, to, category, most, now)
    local packed = redis.call('HGET', at.boards, name)
    if packed then
        local board = board_of(name, packed)
        if redis.call('ZCARD', board.key) == board.count then
            return board
        end
        board_drop(at, board)
    end
    make_room(at, most, now)
    at.serial = at.serial + 1
    redis.call('HSET', at.meta, 'serial', whole_number(at.serial))
    return { name = name, key = at.board .. whole_number(at.serial), order = order, from = from, to = to,
             category = category, cursor = -9007199254740992, count = 0, touched = 0, ready = false }
end

-- Some more products. False: the sums have changed behind our back.
local function board_make(at, board, step)
    local ids = redis.call('ZRANGEBYSCORE', at.ids, '(' .. whole_number(board.cursor), '+inf', 'LIMIT', 0, step)
    local entries = {}
    if #ids > 0 then
        local packed = redis.call('HMGET', at.sums, unpack(ids))
        for i, id in ipairs(ids) do
            if not packed[i] then
                return false
            end
            local record = cmsgpack.unpack(packed[i])
            if board.category == false or board.category == record[1] then
                local units, m = part_of(board, record, tonumber(id))
                if units > 0 then
                    entries[#entries + 1] = whole_number(-units)
                    entries[#entries + 1] = m
                end
            end
        end
        board.cursor = tonumber(ids[#ids])
    end
    if #entries > 0 then
        board.count = board.count + redis.call('ZADD', board.key, unpack(entries))
    end
    board.ready = #ids < step
    return true
end

local function read_page(at, board, reply, offset, limit)
    reply[7] = offset
    reply[8] = {}
    if offset < board.count then
        reply[8] = redis.call('ZRANGE', board.key, offset, offset + limit - 1, 'WITHSCORES')
    end
    return reply
end

-- The product's own entry is among its neighbours.
local function read_product(at, board, reply, id, around)
    local packed = redis.call('HGET', at.sums, id)
    reply[7] = -1
    reply[8] = {}
    if not packed then
        return reply
    end
    local record = cmsgpack.unpack(packed)
    local units, m = part_of(board, record, tonumber(id))
    if units <= 0 or (board.category ~= false and board.category ~= record[1]) then
        return reply
    end
    local rank = redis.call('ZRANK', board.key, m)
    if not rank then
        board_drop(at, board)
        reply[1] = MAKING
        return reply
    end
    local first = math.max(rank - around, 0)
    reply[6] = rank
    reply[7] = first
    reply[8] = redis.call('ZRANGE', board.key, first, rank + around, 'WITHSCORES')
    return reply
end

-- args: 'page' or 'product', order, first day, last day, '*' or '=category', offset or product,
-- limit or around, boards at most, products to a step.
local function read(keys, args)
    local at = enter(keys)
    local from, to = tonumber(args[3]), tonumber(args[4])
    if not at.readable then
        return answer(at, LOST)
    end
    if from < at.from then
        return answer(at, NOT_HELD)
    end
    local category = args[5] ~= '*' and string.sub(args[5], 2)
    local now = tonumber(redis.call('TIME')[1])
    local name = table.concat({ args[2], args[3], args[4], args[5] }, ':')
    local board = board_get(at, name, args[2], from, to, category, tonumber(args[8]), now)
    local unready = not board.ready
    if unready and not board_make(at, board, tonumber(args[9])) then
        return lose(keys, {})
    end
    if unready or now - board.touched > TOUCH_S then
        board.touched = now
        board_store(at, board)
        redis.call('EXPIRE', board.key, UNREAD_S)
    end
    local reply = answer(at, board.ready and OK or MAKING)
    reply[6] = -1
    if not board.ready then
        return reply
    end
    if args[1] == 'page' then
        return read_page(at, board, reply, tonumber(args[6]), tonumber(args[7]))
    end
    return read_product(at, board, reply, args[6], tonumber(args[7]))
end

redis.register_function('ranking_v2_put', put)
redis.register_function('ranking_v2_move', move)
redis.register_function('ranking_v2_copy_begin', copy_begin)
redis.register_function('ranking_v2_copy_end', copy_end)
redis.register_function{ function_name = 'ranking_v2_lose', callback = lose, flags = { 'allow-oom' } }
redis.register_function('ranking_v2_forget', forget)
redis.register_function('ranking_v2_sweep', sweep)
redis.register_function{ function_name = 'ranking_v2_status', callback = status, flags = { 'no-writes' } }
redis.register_function('ranking_v2_read', read)
