// SPDX-License-Identifier: Apache-2.0
/*
 * Sentinels: who is the primary? All of them are asked at once, each over a connection that is
 * kept; a round ends when enough of them, or all that are there, have said what they know, or after
 * a moment.
 *
 * After a fail-over the one that led it knows first; the others may name the old primary for two
 * more seconds. So what was tried in vain last time is not tried again while another one is named;
 * ROLE, which every connection is greeted with, tells who is right. While a connection is being
 * made, to a primary that may hang, they are asked again and again. While there is one, every
 * second: if most of them name another primary it is dropped, for the old one may not know yet.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum {
    ROUND_MS = 500,
    LOOK_EVERY_MS = 1000,
    LOOK_AWAY_MS = 100,
    CONNECT_MS = 150,
    SILENCE_MS = 150
};

struct sentinel {
    struct redis_sentinels *all;
    struct redis_place place;
    struct redis_conn *conn;
    struct redis_resolve *resolve;
    bool ready, asked, told;
    struct redis_call call;
    struct redis_place answer; /* if `told` */
};

struct redis_sentinels {
    struct redis *redis;
    struct sentinel one[REDIS_PLACES_MAX];
    size_t count;
    struct redis_node *node; /* to be located */
    struct redis_place last; /* what was answered last */
    bool locating, in_round, denied;
    struct loop_timer round, look;
};

static bool same_place(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* ---- a round's end ---- */

static size_t votes_for(const struct redis_sentinels *all, const struct redis_place *place)
{
    size_t votes = 0;

    for (size_t i = 0; i < all->count; i++)
        votes += all->one[i].told && same_place(&all->one[i].answer, place);
    return votes;
}

/* The one with most votes, but not `but` unless it is the only one. */
static const struct redis_place *choose(const struct redis_sentinels *all,
                                        const struct redis_place *but)
{
    const struct redis_place *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < all->count; i++) {
        const struct redis_place *place = &all->one[i].answer;
        if (!all->one[i].told)
            continue;
        size_t votes = but && same_place(place, but) ? 1 : 1 + votes_for(all, place);
        if (votes > most) {
            most = votes;
            best = place;
        }
    }
    return best;
}

/* A connection is left when most name another primary; an attempt, when anybody does. */
static void end_looking(struct redis_sentinels *all)
{
    struct redis_node *node = all->node;
    bool trying = node->state == REDIS_NODE_CONNECTING;
    const struct redis_place *place = choose(all, trying ? &node->place : NULL);

    if (!place || same_place(place, &node->place))
        return;
    if (trying) {
        all->last = *place;
        redis_node_turn_to(node, &all->last);
    } else if (node->state == REDIS_NODE_READY && votes_for(all, place) * 2 > all->count) {
        redis_node_drop(node, "sentinels name another primary");
    }
}

static void end_locating(struct redis_sentinels *all)
{
    const struct redis_place *place = choose(all, all->node->failures ? &all->last : NULL);

    all->locating = false;
    if (!place) {
        redis_node_lost(all->node, all->denied ? "the sentinels refuse sentinel_user or "
                                                 "sentinel_password of the URL"
                                               : "no sentinel knows the primary");
        return;
    }
    all->last = *place;
    redis_node_located(all->node, &all->last);
}

static void end_round(struct redis_sentinels *all)
{
    all->in_round = false;
    loop_timer_stop(&all->round);
    if (all->locating)
        end_locating(all);
    else
        end_looking(all);
}

/* Enough has been said: most name one, or somebody another than that which failed. */
static bool has_enough(const struct redis_sentinels *all)
{
    bool failed = all->locating && all->node->failures > 0;

    for (size_t i = 0; i < all->count; i++) {
        const struct redis_place *place = &all->one[i].answer;
        if (!all->one[i].told)
            continue;
        if (votes_for(all, place) * 2 > all->count || (failed && !same_place(place, &all->last)))
            return true;
    }
    return false;
}

static void end_if_complete(struct redis_sentinels *all)
{
    if (!all->in_round)
        return;
    if (has_enough(all)) {
        end_round(all);
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct sentinel *one = &all->one[i];
        bool on_its_way = !one->ready && (one->conn || one->resolve);
        if (one->asked || on_its_way)
            return;
    }
    end_round(all);
}

static void on_round(struct loop_timer *timer)
{
    end_round(CONTAINER_OF(timer, struct redis_sentinels, round));
}

/* ---- one sentinel ---- */

static void ask(struct sentinel *one);

static void on_ready(void *owner)
{
    struct sentinel *one = owner;

    one->ready = true;
    if (one->all->in_round)
        ask(one);
}

static bool is_denial(const char *why)
{
    static const char *const errors[] = { "NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH" };

    for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
        if (str_has_prefix(str_from(why), str_from(errors[i])))
            return true;
    return false;
}

static void on_lost(void *owner, const char *why)
{
    struct sentinel *one = owner;

    one->all->denied |= is_denial(why);
    one->conn = NULL;
    one->ready = one->asked = false;
    end_if_complete(one->all);
}

static bool on_replied(struct redis_call *call, redisReply *reply)
{
    struct sentinel *one = CONTAINER_OF(call, struct sentinel, call);

    one->asked = false;
    one->told = redis_master_parse(reply, &one->answer);
    end_if_complete(one->all);
    return false;
}

static void on_failed(struct redis_call *call, enum err e)
{
    struct sentinel *one = CONTAINER_OF(call, struct sentinel, call);

    (void)e;
    one->asked = false;
    if (one->ready) /* else its connection's end follows */
        end_if_complete(one->all);
}

static void ask(struct sentinel *one)
{
    const char *words[] = { "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
                            one->all->redis->target->master };

    one->call = (struct redis_call){ .argc = ARRAY_COUNT(words),
                                     .argv = words, /* copied when it is sent */
                                     .deadline_ms = loop_now_ms(one->all->redis->loop) + ROUND_MS };
    one->asked = redis_conn_send(one->conn, &one->call) == ERR_OK;
}

static void connect_to(struct sentinel *one, const struct loop_addr *addr)
{
    static const struct redis_conn_use use = {
        .ready = on_ready, .lost = on_lost, .replied = on_replied, .failed = on_failed
    };
    struct redis *redis = one->all->redis;
    struct redis_conn_options options = { .use = &use,
                                          .owner = one,
                                          .user = redis->target->sentinel_user,
                                          .password = redis->target->sentinel_password,
                                          .name = redis->options.name,
                                          .connect_timeout_ms = CONNECT_MS,
                                          .silence_ms = SILENCE_MS };

    one->conn = redis_conn_new(redis->loop, addr, &options);
}

static void on_resolved(void *owner, enum err e, const struct loop_addr *addr)
{
    struct sentinel *one = owner;

    one->resolve = NULL;
    if (e == ERR_OK)
        connect_to(one, addr);
    end_if_complete(one->all);
}

static void begin_connection(struct sentinel *one)
{
    struct redis *redis = one->all->redis;
    struct loop_addr addr;

    if (loop_addr_parse(str_from(one->place.host), one->place.port, &addr) == ERR_OK)
        connect_to(one, &addr);
    else
        err_ignore(redis_resolve_start(redis->loop, &one->place, on_resolved, one, &one->resolve),
                   "then it is away in this round");
}

/* ---- rounds ---- */

static void look_later(struct redis_sentinels *all)
{
    bool is_ready = all->node->state == REDIS_NODE_READY;

    err_ignore(
        loop_timer_start(all->redis->loop, &all->look, is_ready ? LOOK_EVERY_MS : LOOK_AWAY_MS),
        "locating looks, too");
}

static void begin_round(struct redis_sentinels *all)
{
    if (all->in_round)
        return;
    all->in_round = true;
    all->denied = false;
    /* Without memory the round ends when all have answered. */
    err_ignore(loop_timer_start(all->redis->loop, &all->round, ROUND_MS), "see above");
    look_later(all);
    for (size_t i = 0; i < all->count; i++) {
        struct sentinel *one = &all->one[i];
        one->told = false;
        if (one->asked) /* in the last round: it may answer yet */
            continue;
        if (one->ready)
            ask(one);
        else if (!one->conn && !one->resolve)
            begin_connection(one);
    }
    /* Never from inside: whoever is located must have returned. */
    if (!all->round.impl)
        end_if_complete(all);
}

void redis_sentinels_locate(struct redis_sentinels *all, struct redis_node *node)
{
    all->node = node;
    all->locating = true;
    begin_round(all);
}

static void on_look(struct loop_timer *timer)
{
    struct redis_sentinels *all = CONTAINER_OF(timer, struct redis_sentinels, look);

    begin_round(all);
    if (!all->look.impl)
        look_later(all);
}

struct redis_sentinels *redis_sentinels_new(struct redis *redis)
{
    struct redis_sentinels *all = mem_alloc(sizeof *all);

    if (!all)
        return NULL;
    all->redis = redis;
    all->round.run = on_round;
    all->look.run = on_look;
    all->count = redis->target->place_count;
    for (size_t i = 0; i < all->count; i++)
        all->one[i] = (struct sentinel){ .all = all, .place = redis->target->place[i] };
    return all;
}

struct redis_sentinels *redis_sentinels_free(struct redis_sentinels *all)
{
    if (!all)
        return NULL;
    all->in_round = false;
    loop_timer_stop(&all->round);
    loop_timer_stop(&all->look);
    for (size_t i = 0; i < all->count; i++) {
        redis_resolve_cancel(TAKE(all->one[i].resolve));
        if (all->one[i].conn)
            redis_conn_abandon(TAKE(all->one[i].conn));
    }
    return mem_free(all);
}
