-- SPDX-License-Identifier: Apache-2.0
-- The one load of every measurement: each request names a user of its own and is built the same way
-- whichever side is measured. SIDE=get then sends a fixed GET instead of what it built, so that both
-- sides of a ratio cost the generator the same.
--
--   SIDE      post | get
--   TARGET    path of the GET
--   PATH_     path of the POST
--   BODY_HEAD, BODY_TAIL    what stands before and after the number in the POST's body
--   BASE, STEP, SPAN, STRIDE    number of request k: BASE + STEP * (k * STRIDE mod SPAN); the numbers
--             are of one length, and STRIDE has no factor in common with SPAN: none comes twice
--   FIRST     k of the first request
--   COUNT     0: until wrk ends. Else a burst: after COUNT requests, and as many more GETs as there are
--             connections, the load ends and OUT gets the moment each of them was sent
--   OUT       file for those: doubles, seconds of the system's clock; one more than COUNT, the last
--             being the moment when as many answers as requests had come
local ffi = require("ffi")
ffi.cdef [[
    struct bench_time { long seconds, nanoseconds; };
    int clock_gettime(int clock, struct bench_time *time);
]]

local side, target, path, body_head, body_tail, out
local base, step, span, stride, first, count, connections
local i -- of the request, from 0
local head, get, sent
local now = ffi.new("struct bench_time")
local thrown_away -- keeps the compiler from leaving out what SIDE=get does not send

local function number(name)
    return tonumber(os.getenv(name) or "0")
end

local function clock()
    ffi.C.clock_gettime(0, now)
    return tonumber(now.seconds) + tonumber(now.nanoseconds) * 1e-9
end

function init()
    side, target, path = os.getenv("SIDE"), os.getenv("TARGET") or "/", os.getenv("PATH_") or "/"
    body_head, body_tail = os.getenv("BODY_HEAD") or "", os.getenv("BODY_TAIL") or ""
    base, step, span, stride = number("BASE"), number("STEP"), number("SPAN"), number("STRIDE")
    count, connections, out = number("COUNT"), number("CONNECTIONS"), os.getenv("OUT")
    -- wrk asks for one request before the first it sends.
    i = -2
    first = number("FIRST")
    sent = ffi.new("double[?]", count + connections + 2)
    local host = "Host: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
    local bytes = #body_head + #string.format("%d", base) + #body_tail
    head = "POST " .. path .. " HTTP/1.1\r\n" .. host ..
        "Content-Type: application/json\r\nContent-Length: " .. bytes .. "\r\n\r\n" .. body_head
    get = "GET " .. target .. " HTTP/1.1\r\n" .. host .. "\r\n"
end

local function finish()
    local file = assert(io.open(out .. ".part", "wb"))
    file:write(ffi.string(sent, count * 8))
    file:write(ffi.string(sent + count + connections - 1, 8))
    file:close()
    os.rename(out .. ".part", out)
    wrk.thread:stop()
end

function request()
    i = i + 1
    local post = head .. (base + step * ((first + i) * stride % span)) .. body_tail
    if count > 0 and i >= 0 then
        sent[i] = clock()
        if i >= count then
            if i == count + connections - 1 then
                finish()
            end
            post, thrown_away = get, post
        end
    end
    if side == "get" then
        thrown_away = post
        return get
    end
    return post
end

-- One line that a program reads: answers, microseconds, and what went wrong.
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("bench %d %d %d %d %d %d %d", summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(95),
        latency:percentile(99)))
end
