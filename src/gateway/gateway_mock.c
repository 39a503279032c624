// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_mock.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "gateway/gateway_backend.h"

struct mock {
    struct gateway base;
    uint64_t latency_ms;
    _Atomic uint64_t in_flight;
};

static struct mock *of(struct gateway *gateway)
{
    return CONTAINER_OF(gateway, struct mock, base);
}

static bool says_fail(struct str key)
{
    static const struct str word = { "fail", 4 };

    for (size_t i = 0; i + word.len <= key.len; i++)
        if (str_equal_nocase((struct str){ key.ptr + i, word.len }, word))
            return true;
    return false;
}

/* The same for the same operation and key, in every process. */
static void make_transaction_id(struct gateway_call *call)
{
    uint64_t high = hash_u64((uint64_t)call->op + 1), low = hash_u64(high);

    for (const char *p = call->key; *p; p++) {
        high = hash_u64(high ^ (unsigned char)*p);
        low = hash_u64(low + (unsigned char)*p);
    }
    snprintf(call->transaction_id, sizeof call->transaction_id, "mock-%016" PRIx64 "%016" PRIx64,
             high, low);
}

static void answer(struct gateway_call *call)
{
    of(call->client->gateway)->in_flight--;
    call->outcome = GATEWAY_APPROVED;
    if (call->op == GATEWAY_CHARGE && says_fail(call->client_key))
        call->outcome = GATEWAY_REFUSED;
    else
        make_transaction_id(call);
    call->done(call);
}

static void answer_later(struct loop_task *task)
{
    answer(CONTAINER_OF(task, struct gateway_call, task));
}

static void answer_late(struct loop_timer *timer)
{
    answer(CONTAINER_OF(timer, struct gateway_call, timer));
}

/* Without memory for a timer the answer comes at once: it is the same. */
static void mock_start(struct gateway_client *client, struct gateway_call *call)
{
    struct mock *mock = of(client->gateway);

    mock->in_flight++;
    call->task.run = answer_later;
    call->timer.run = answer_late;
    if (mock->latency_ms == 0 ||
        loop_timer_start(client->loop, &call->timer, mock->latency_ms) != ERR_OK)
        loop_post(client->loop, &call->task);
}

static struct gateway_stats mock_stats(struct gateway *gateway)
{
    return (struct gateway_stats){ .in_flight = of(gateway)->in_flight };
}

static struct gateway_client *mock_client_new(struct gateway *gateway, struct loop *loop,
                                              struct metrics_slot *metrics)
{
    struct gateway_client *client = mem_alloc(sizeof *client);

    (void)metrics;
    if (client)
        *client = (struct gateway_client){ .gateway = gateway, .loop = loop };
    return client;
}

static struct gateway_client *mock_client_free(struct gateway_client *client)
{
    return mem_free(client);
}

static struct gateway *mock_free(struct gateway *gateway)
{
    struct mock *mock = of(gateway);

    ASSERT(mock->in_flight == 0);
    return mem_free(mock);
}

struct gateway *gateway_mock_new(uint64_t latency_ms)
{
    static const struct gateway_backend backend = { .start = mock_start,
                                                    .stats = mock_stats,
                                                    .client_new = mock_client_new,
                                                    .client_free = mock_client_free,
                                                    .free = mock_free };
    struct mock *mock = mem_alloc(sizeof *mock);

    if (!mock)
        return NULL;
    mock->base = (struct gateway){ .backend = &backend, .timeout_ms = latency_ms + 1000 };
    mock->latency_ms = latency_ms;
    return &mock->base;
}
