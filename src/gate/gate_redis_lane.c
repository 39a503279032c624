// SPDX-License-Identifier: Apache-2.0
/*
 * One coupon on one loop. One call is under way at a time; everything that is asked, confirmed,
 * released or moved meanwhile makes up the next one. So the busier Redis is, the more people go
 * into a call, and nobody waits who comes alone.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_redis_internal.h"

/* ---- lists ---- */

enum err settled_put(struct settled_list *list, const struct settled *item)
{
    if (!MEM_ROOM(list->items, list->count, list->cap, 64))
        return ERR_NOMEM;
    list->items[list->count++] = *item;
    return ERR_OK;
}

enum err pointer_put(struct pointer_list *list, void *item)
{
    if (!MEM_ROOM(list->items, list->count, list->cap, 4))
        return ERR_NOMEM;
    list->items[list->count++] = item;
    return ERR_OK;
}

/* The first `n` of `from` are then all of `to`; the lists are kept, with their memory. */
static bool settled_take(struct settled_list *to, struct settled_list *from, size_t n)
{
    to->count = 0;
    if (n == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (settled_put(to, &from->items[i]) != ERR_OK)
            return false;
    from->count -= n;
    memmove(from->items, from->items + n, from->count * sizeof *from->items);
    return true;
}

static void list_take(struct list *to, struct list *from, size_t n)
{
    for (size_t i = 0; i < n && !list_empty(from); i++) {
        struct list *node = from->next;
        list_remove(node);
        list_append(to, node);
    }
}

bool lane_work_is_empty(const struct lane_work *work)
{
    return list_empty(&work->asks) && list_empty(&work->moves) && list_empty(&work->sweeps) &&
           work->confirms.count == 0 && work->releases.count == 0 && work->refreshes.count == 0;
}

static void work_init(struct lane_work *work)
{
    list_init(&work->asks);
    list_init(&work->moves);
    list_init(&work->sweeps);
}

static void work_fini(struct lane_work *work)
{
    mem_free(work->confirms.items);
    mem_free(work->releases.items);
    mem_free(work->refreshes.items);
}

/* ---- a lane ---- */

static void again(struct loop_timer *timer)
{
    lane_ready(CONTAINER_OF(timer, struct lane, again));
}

void lane_free(void *item)
{
    struct lane *lane = item;

    loop_timer_stop(&lane->again);
    list_remove(&lane->node);
    work_fini(&lane->waiting);
    work_fini(&lane->sent);
    args_fini(&lane->args);
    mem_free(lane);
}

struct lane *lane_get(struct redis_client *client, int64_t coupon_id)
{
    struct lane *lane = id_map_get(&client->lanes, coupon_id);

    if (lane)
        return lane;
    lane = mem_alloc(sizeof *lane);
    if (!lane)
        return NULL;
    lane->coupon_id = coupon_id;
    lane->client = client;
    lane->again.run = again;
    list_init(&lane->node);
    work_init(&lane->waiting);
    work_init(&lane->sent);
    lane->drop = redis_drop_get(redis_gate_self(client->base.gate), coupon_id);
    if (!lane->drop || id_map_put(&client->lanes, lane) != ERR_OK)
        return mem_free(lane);
    return lane;
}

void lane_ready(struct lane *lane)
{
    if (!lane->busy && !lane->again.impl && list_empty(&lane->node))
        list_append(&lane->client->ready, &lane->node);
}

/* ---- the call ---- */

static void fill_settings(struct lane *lane)
{
    struct call_args *args = &lane->args;
    struct redis_drop *drop = lane->drop;

    pthread_mutex_lock(&drop->lock);
    struct coupon_settings settings = drop->settings;
    bool news = drop->known &&
                (drop->seen.store == GATE_STORE_UNASKED || settings.version > drop->seen.version);
    args_int(args, drop->epoch);
    pthread_mutex_unlock(&drop->lock);
    args_int(args, redis_gate_self(lane->client->base.gate)->test_clock ? clock_offset_ms() : 0);
    if (!news)
        return;
    args_str(args, "settings");
    args_int(args, 1);
    args_int(args, settings.version);
    args_int(args, settings.total_quantity);
    args_int(args, MAX(settings.starts_at_ms, 0));
    args_int(args, MAX(settings.ends_at_ms, 0));
    args_int(args, settings.closed);
}

static void fill_settled(struct lane *lane)
{
    const struct settled_list *confirms = &lane->sent.confirms, *releases = &lane->sent.releases;
    struct call_args *args = &lane->args;

    if (confirms->count) {
        args_str(args, "confirm");
        args_uint(args, confirms->count);
        for (size_t i = 0; i < confirms->count; i++) {
            args_int(args, confirms->items[i].user_id);
            args_int(args, confirms->items[i].slot);
        }
    }
    if (releases->count == 0)
        return;
    args_str(args, "release");
    args_uint(args, releases->count);
    for (size_t i = 0; i < releases->count; i++) {
        args_int(args, releases->items[i].user_id);
        args_int(args, releases->items[i].slot);
        args_uint(args, releases->items[i].token);
        args_int(args, releases->items[i].epoch);
    }
}

/* Moves and offers are two sections: `offers` says which of them. */
static void fill_moves(struct lane *lane, bool offers)
{
    struct call_args *args = &lane->args;
    struct gate_move *move;
    uint64_t count = 0;

    LIST_FOREACH (move, &lane->sent.moves, struct gate_move, node)
        count += move->offer == offers;
    if (count == 0)
        return;
    args_str(args, offers ? "offer" : "move");
    args_uint(args, count);
    LIST_FOREACH (move, &lane->sent.moves, struct gate_move, node) {
        if (move->offer != offers)
            continue;
        args_int(args, move->entry.user_id);
        args_int(args, move->entry.slot);
        if (offers)
            args_uint(args, move->entry.token);
        else
            args_int(args, move->own_slot);
    }
}

static void fill_asks(struct lane *lane)
{
    struct redis_gate *gate = redis_gate_self(lane->client->base.gate);
    struct call_args *args = &lane->args;
    struct gate_ask *ask;
    uint64_t count = 0;

    LIST_FOREACH (ask, &lane->sent.asks, struct gate_ask, node)
        count++;
    if (count == 0)
        return;
    args_str(args, "ask");
    args_uint(args, count);
    LIST_FOREACH (ask, &lane->sent.asks, struct gate_ask, node) {
        args_int(args, ask->user_id);
        args_uint(args, ask->token);
    }
    atomic_fetch_add_explicit(&gate->people, count, memory_order_relaxed);
}

static void fill_looks(struct lane *lane)
{
    struct call_args *args = &lane->args;

    if (!list_empty(&lane->sent.sweeps)) {
        const struct gate_sweep *sweep =
            CONTAINER_OF(lane->sent.sweeps.next, struct gate_sweep, node);
        args_str(args, "sweep");
        args_int(args, 1);
        args_uint(args, sweep->older_than_ms);
        args_uint(args, sweep->room - sweep->count);
        lane->sweep_token = gate_redis_token(lane->client->base.gate);
        args_uint(args, lane->sweep_token);
    }
    if (lane->sent.refreshes.count) {
        args_str(args, "oldest");
        args_int(args, 0);
    }
}

static bool take_work(struct lane *lane)
{
    struct lane_work *from = &lane->waiting, *to = &lane->sent;
    struct pointer_list refreshes = to->refreshes;

    if (!settled_take(&to->confirms, &from->confirms, MIN(from->confirms.count, SETTLED_MAX)) ||
        !settled_take(&to->releases, &from->releases, MIN(from->releases.count, PEOPLE_MAX)))
        return false;
    list_take(&to->asks, &from->asks, PEOPLE_MAX);
    list_take(&to->moves, &from->moves, PEOPLE_MAX);
    list_take(&to->sweeps, &from->sweeps, 1);
    to->refreshes = from->refreshes;
    from->refreshes = refreshes;
    from->refreshes.count = 0;
    return true;
}

static bool lane_fill(struct lane *lane)
{
    if (!take_work(lane))
        return false;
    args_function(&lane->args, lane->drop, "turn");
    fill_settings(lane);
    fill_settled(lane);
    fill_moves(lane, false);
    fill_moves(lane, true);
    fill_asks(lane);
    fill_looks(lane);
    return args_end(&lane->args);
}

static void load_done(struct redis_call *call);
static void turn_done(struct redis_call *call);

static void submit(struct lane *lane, void (*done)(struct redis_call *call), size_t argc,
                   const char *const *argv, const size_t *bytes)
{
    struct redis_gate *gate = redis_gate_self(lane->client->base.gate);

    lane->call = (struct redis_call){
        .done = done,
        .argc = argc,
        .argv = argv,
        .argv_bytes = bytes,
        .key = { lane->drop->keys[0], lane->drop->key_bytes[0] },
        .deadline_ms = loop_now_ms(lane->client->loop) + gate->call_ms,
    };
    redis_call(lane->client->redis, &lane->call);
}

static void submit_turn(struct lane *lane)
{
    submit(lane, turn_done, lane->args.count, lane->args.argv, lane->args.bytes);
}

/* Another release brought its library, or nobody did yet, or the node forgot it: load, go on. */
static void submit_load(struct lane *lane)
{
    static const char *const argv[] = { "FUNCTION", "LOAD", "REPLACE", gate_library };
    static size_t bytes[] = { 8, 4, 7, 0 };

    bytes[3] = gate_library_bytes;
    LOG(LOG_INFO, "library loaded into Redis", LOG_CSTR("functions", gate_library_prefix));
    submit(lane, load_done, ARRAY_COUNT(argv), argv, bytes);
}

static void lane_end(struct lane *lane)
{
    lane->busy = false;
    if (!lane_work_is_empty(&lane->waiting))
        lane_ready(lane);
}

static void load_done(struct redis_call *call)
{
    struct lane *lane = CONTAINER_OF(call, struct lane, call);
    bool loaded = call->err == ERR_OK && call->reply->type != REDIS_REPLY_ERROR;

    if (loaded) {
        lane->loaded = true;
        submit_turn(lane);
        return;
    }
    if (call->err == ERR_OK)
        LOG(LOG_ERROR, "library not loaded into Redis", LOG_CSTR("error", call->reply->str));
    lane_failed(lane, ERR_UNAVAILABLE);
    lane_end(lane);
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void turn_done(struct redis_call *call)
{
    struct lane *lane = CONTAINER_OF(call, struct lane, call);
    const redisReply *reply = call->reply;

    if (call->err != ERR_OK) {
        lane_failed(lane, call->err);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        if (begins_with(reply->str, "ERR Function not found") && !lane->loaded) {
            submit_load(lane);
            return;
        }
        LOG(LOG_ERROR, "gate in Redis failed", LOG_INT("coupon", lane->coupon_id),
            LOG_CSTR("error", reply->str));
        /* Lua does not roll back: what had been written when it failed is there. */
        lane_failed(lane, begins_with(reply->str, "ERR doorbuster:") ? ERR_INVALID : ERR_UNCERTAIN);
    } else {
        lane_answered(lane, reply);
    }
    lane_end(lane);
}

void lane_send(struct lane *lane)
{
    if (lane->busy || lane_work_is_empty(&lane->waiting))
        return;
    lane->busy = true;
    lane->loaded = false;
    lane->sent_boot_ms = clock_boot_ms();
    lane->sent_wall_ms = clock_wall_ms();
    atomic_fetch_add_explicit(&redis_gate_self(lane->client->base.gate)->calls, 1,
                              memory_order_relaxed);
    if (lane_fill(lane)) {
        submit_turn(lane);
        return;
    }
    lane_failed(lane, ERR_NOMEM);
    lane_end(lane);
}
