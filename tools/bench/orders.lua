-- SPDX-License-Identifier: Apache-2.0
-- Orders and their payments: whoever's order was answered has it paid by the next free connection.
-- SIDE=issue sends coupons' issues instead, through the same lines, so that both sides of a ratio
-- cost the generator the same. SIDE=make sends orders only, SIDE=pay only payments of orders that are
-- there, and ends when all have been sent.
--
--   SIDE                      orders | issue | make | pay
--   RUN                       names this run in idempotency keys
--   USER_BASE, USER_SPAN      user of order k: USER_BASE + k mod USER_SPAN
--   PRODUCT_BASE, PRODUCT_SPAN, PRODUCT_STRIDE    product: PRODUCT_BASE + k * PRODUCT_STRIDE mod PRODUCT_SPAN
--   COUPON                    of SIDE=issue
--   ORDERS                    of SIDE=pay: file with the ids of the orders, one a line
local side, run, coupon
local waiting = {} -- of SIDE=pay: ids
local user_base, user_span, product_base, product_span, product_stride
local k = 0
local to_pay, first, last = {}, 1, 0 -- answered orders, and who made them
local host

local function number(name)
    return tonumber(os.getenv(name) or "0")
end

function init()
    side, run, coupon = os.getenv("SIDE"), os.getenv("RUN"), os.getenv("COUPON")
    user_base, user_span = number("USER_BASE"), number("USER_SPAN")
    product_base, product_span = number("PRODUCT_BASE"), number("PRODUCT_SPAN")
    product_stride = number("PRODUCT_STRIDE")
    if side == "pay" then
        for id in io.lines(os.getenv("ORDERS")) do
            waiting[#waiting + 1] = id
        end
    end
    host = "Host: " .. wrk.host .. ":" .. wrk.port .. "\r\nContent-Type: application/json\r\nContent-Length: "
end

local function post(path, body)
    return "POST " .. path .. " HTTP/1.1\r\n" .. host .. #body .. "\r\n\r\n" .. body
end

function request()
    if first <= last then
        local order = to_pay[first]
        to_pay[first] = nil
        first = first + 1
        return post("/api/orders/" .. order[1] .. "/payment",
            '{"userId":' .. order[2] .. ',"idempotencyKey":"' .. run .. order[1] .. '"}')
    end
    k = k + 1
    if side == "pay" then
        -- wrk asks for one request before the first it sends.
        local order = waiting[math.min(math.max(k - 1, 1), #waiting)]
        if k - 1 >= #waiting then
            wrk.thread:stop()
        end
        return post("/api/orders/" .. order .. "/payment",
            '{"userId":' .. user_base .. ',"idempotencyKey":"' .. run .. order .. '"}')
    end
    local user = user_base + k % user_span
    if side == "issue" then
        return post("/api/coupons/" .. coupon .. "/issue", '{"userId":' .. user .. "}")
    end
    return post("/api/orders", '{"userId":' .. user .. ',"items":[{"productId":' ..
        product_base + k * product_stride % product_span ..
        ',"quantity":1}],"idempotencyKey":"' .. run .. k .. '"}')
end

function response(status, headers, body)
    local order, user = body:match('^{"orderId":(%d+),"userId":(%d+)')
    if order and status == 201 and side == "orders" then
        last = last + 1
        to_pay[last] = { order, user }
    end
end

-- The same line as load.lua's.
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("bench %d %d %d %d %d %d %d", summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(95),
        latency:percentile(99)))
end
