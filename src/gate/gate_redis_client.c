// SPDX-License-Identifier: Apache-2.0
/* What a loop asks of the gate goes to its coupon's lane; calls are sent at the end of the turn. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { SWEEP_BLIND_MS = 5000 };

/* ---- asks ---- */

/* What can be said without asking Redis. */
static bool decide_here(struct redis_gate *gate, struct redis_drop *drop, struct gate_ask *ask)
{
    bool decided = true;

    pthread_mutex_lock(&drop->lock);
    if (!drop->known || drop->closed_here ||
        atomic_load_explicit(&gate->fault, memory_order_relaxed)) {
        ask->outcome = GATE_CLOSED;
    } else if (redis_drop_is_over_for(gate, drop, ask->user_id)) {
        ask->outcome = GATE_SOLD_OUT;
        ask->for_good = true;
        atomic_fetch_add_explicit(&gate->told_over, 1, memory_order_relaxed);
    } else {
        decided = false;
    }
    pthread_mutex_unlock(&drop->lock);
    if (!decided && ask->purpose == GATE_RESERVE && !redis_gate_has_lease(gate)) {
        ask->outcome = GATE_CLOSED;
        decided = true;
    }
    return decided;
}

void gate_redis_ask(struct gate_client *base, struct gate_ask *ask)
{
    struct redis_client *client = redis_client_self(base);
    struct redis_gate *gate = redis_gate_self(base->gate);
    struct lane *lane = lane_get(client, ask->coupon_id);

    ask->durability = GATE_DURABLE_REDIS;
    ask->pending = ask->for_good = ask->store = false;
    ask->slot = ask->tries = 0;
    ask->outcome = GATE_FAILED;
    if (!ask->deadline_ms)
        ask->deadline_ms = loop_now_ms(client->loop) + gate->deadline_ms;
    if (!lane || decide_here(gate, lane->drop, ask)) {
        list_append(&client->answered, &ask->node);
        return;
    }
    list_append(&lane->waiting.asks, &ask->node);
    lane_ready(lane);
}

static bool answer_now(struct redis_client *client)
{
    bool any = !list_empty(&client->answered);

    while (!list_empty(&client->answered)) {
        struct gate_ask *ask = CONTAINER_OF(client->answered.next, struct gate_ask, node);
        list_remove(&ask->node);
        ask->done(ask);
    }
    return any;
}

static bool end_of_turn(struct loop_hook *hook)
{
    struct redis_client *client = CONTAINER_OF(hook, struct redis_client, hook);
    bool any = answer_now(client);

    while (!list_empty(&client->ready)) {
        struct lane *lane = CONTAINER_OF(client->ready.next, struct lane, node);
        list_remove(&lane->node);
        lane_send(lane);
        any = true;
    }
    return any;
}

/* ---- settling ---- */

static struct settled settled_of(const struct gate_entry *entry)
{
    return (struct settled){
        .user_id = entry->user_id, .slot = entry->slot, .epoch = entry->epoch, .token = entry->token
    };
}

/* Without memory it stays pending, and is swept up. */
void gate_redis_confirm(struct gate_client *base, const struct gate_entry *entry)
{
    struct lane *lane = lane_get(redis_client_self(base), entry->coupon_id);
    struct settled item = settled_of(entry);

    if (lane && settled_put(&lane->waiting.confirms, &item) == ERR_OK)
        lane_ready(lane);
}

void gate_redis_release(struct gate_client *base, const struct gate_entry *entry)
{
    struct lane *lane = lane_get(redis_client_self(base), entry->coupon_id);
    struct settled item = settled_of(entry);

    if (entry->epoch >= 0 && lane && settled_put(&lane->waiting.releases, &item) == ERR_OK)
        lane_ready(lane);
}

static void move_failed(struct loop_task *task)
{
    struct gate_move *move = CONTAINER_OF(task, struct gate_move, task);

    redis_client_self(move->client)->under_way--;
    move->done(move);
}

void gate_redis_move(struct gate_client *base, struct gate_move *move)
{
    struct redis_client *client = redis_client_self(base);
    struct lane *lane = lane_get(client, move->entry.coupon_id);

    move->pending = false;
    if (!move->deadline_ms)
        move->deadline_ms = loop_now_ms(client->loop) + redis_gate_self(base->gate)->deadline_ms;
    bool closed = lane && move->offer;
    if (closed) {
        pthread_mutex_lock(&lane->drop->lock);
        closed = !lane->drop->known || lane->drop->closed_here;
        pthread_mutex_unlock(&lane->drop->lock);
    }
    if (!lane || closed) {
        move->outcome = lane ? GATE_CLOSED : GATE_FAILED;
        move->client = base;
        move->task.run = move_failed;
        client->under_way++;
        loop_post(client->loop, &move->task);
        return;
    }
    list_append(&lane->waiting.moves, &move->node);
    lane_ready(lane);
}

/* ---- sweeping: one coupon after the other, until the room is full ---- */

static bool wants_sweep(const struct gate_sweep *sweep, struct redis_drop *drop)
{
    pthread_mutex_lock(&drop->lock);
    bool stale = clock_boot_ms() - drop->seen_boot_ms > SWEEP_BLIND_MS &&
                 drop->seen.store != GATE_STORE_MISSING;
    bool wants = sweep->coupon_id == drop->coupon_id ||
                 (sweep->coupon_id == 0 && drop->known && (drop->seen.pending > 0 || stale));
    pthread_mutex_unlock(&drop->lock);
    return wants;
}

void sweep_next(struct redis_client *client, struct gate_sweep *sweep)
{
    struct redis_gate *gate = redis_gate_self(client->base.gate);
    struct redis_drop *drop;

    while (sweep->err == ERR_OK && sweep->count < sweep->room &&
           (drop = redis_drop_at(gate, sweep->waiting++))) {
        if (!wants_sweep(sweep, drop))
            continue;
        struct lane *lane = lane_get(client, drop->coupon_id);
        if (lane) {
            list_append(&lane->waiting.sweeps, &sweep->node);
            lane_ready(lane);
            return;
        }
        sweep->err = ERR_UNAVAILABLE;
    }
    client->under_way--;
    sweep->done(sweep);
}

static void sweep_begin(struct loop_task *task)
{
    struct gate_sweep *sweep = CONTAINER_OF(task, struct gate_sweep, task);

    sweep_next(redis_client_self(sweep->client), sweep);
}

void gate_redis_sweep(struct gate_client *base, struct gate_sweep *sweep)
{
    sweep->client = base;
    sweep->count = sweep->waiting = 0;
    sweep->err = ERR_OK;
    sweep->task.run = sweep_begin;
    redis_client_self(base)->under_way++;
    loop_post(redis_client_self(base)->loop, &sweep->task);
}

/* ---- the heartbeat ---- */

void refresh_part_done(struct gate_refresh *refresh, enum err e)
{
    if (e != ERR_OK)
        refresh->err = e;
    if (--refresh->waiting > 0)
        return;
    redis_client_self(refresh->client)->under_way--;
    refresh->done(refresh);
}

static void refresh_begun(struct loop_task *task)
{
    refresh_part_done(CONTAINER_OF(task, struct gate_refresh, task), ERR_OK);
}

void gate_redis_refresh(struct gate_client *base, struct gate_refresh *refresh)
{
    struct redis_client *client = redis_client_self(base);

    client->under_way++;
    refresh->client = base;
    refresh->err = ERR_OK;
    refresh->waiting = 1; /* until it is begun */
    for (size_t i = 0; i < refresh->count; i++) {
        struct lane *lane = lane_get(client, refresh->coupon_ids[i]);
        if (!lane || pointer_put(&lane->waiting.refreshes, refresh) != ERR_OK) {
            refresh->err = ERR_UNAVAILABLE;
            continue;
        }
        refresh->waiting++;
        lane_ready(lane);
    }
    refresh->task.run = refresh_begun;
    loop_post(client->loop, &refresh->task);
}

/* ---- a client ---- */

bool gate_redis_client_is_idle(struct gate_client *base)
{
    struct redis_client *client = redis_client_self(base);

    if (client->under_way || !list_empty(&client->answered))
        return false;
    for (size_t i = 0; i < client->lanes.size; i++) {
        const struct lane *lane = client->lanes.cells[i];
        if (lane && (lane->busy || !lane_work_is_empty(&lane->waiting)))
            return false;
    }
    return true;
}

struct gate_client *gate_redis_client_free(struct gate_client *base)
{
    struct redis_client *client = redis_client_self(base);
    struct redis_gate *gate = redis_gate_self(base->gate);

    ASSERT(gate_redis_client_is_idle(base));
    pthread_mutex_lock(&gate->lock);
    list_remove(&client->node);
    pthread_mutex_unlock(&gate->lock);
    loop_hook_remove(&client->hook);
    id_map_fini(&client->lanes, lane_free);
    redis_free(client->redis);
    return mem_free(client);
}

struct gate_client *gate_redis_client_new(struct gate *base, struct loop *loop,
                                          struct metrics_slot *metrics)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_options options = gate->redis;
    struct redis_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base.gate = base;
    client->loop = loop;
    list_init(&client->ready);
    list_init(&client->answered);
    list_init(&client->node);
    options.metrics = metrics;
    client->redis = redis_new(loop, &options);
    if (!client->redis)
        return mem_free(client);
    client->hook.run = end_of_turn;
    loop_hook_add(loop, &client->hook);
    pthread_mutex_lock(&gate->lock);
    list_append(&gate->clients, &client->node);
    pthread_mutex_unlock(&gate->lock);
    return &client->base;
}
