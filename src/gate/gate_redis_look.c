// SPDX-License-Identifier: Apache-2.0
/* Which coupons a user has a place of: one read for each coupon whose gate is open. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { USER_BYTES = 24 };

struct look_all {
    struct redis_client *client;
    struct gate_look *look;
    size_t waiting;
    char user[USER_BYTES];
    size_t user_bytes;
    struct look_one {
        struct look_all *all;
        struct gate_held *held;
        struct redis_call call;
        const char *argv[3];
        size_t bytes[3];
    } one[];
};

static void part_done(struct look_all *all)
{
    struct gate_look *look = all->look;

    if (--all->waiting > 0)
        return;
    all->client->under_way--;
    mem_free(all);
    look->done(look);
}

static void begun(struct loop_task *task)
{
    struct gate_look *look = CONTAINER_OF(task, struct gate_look, task);

    if (look->all)
        part_done(look->all);
    else
        look->done(look);
}

static void one_done(struct redis_call *call)
{
    struct look_one *one = CONTAINER_OF(call, struct look_one, call);
    const redisReply *reply = call->reply;

    if (call->err != ERR_OK || reply->type == REDIS_REPLY_ERROR) {
        one->all->look->err = ERR_UNAVAILABLE;
    } else if (reply->type == REDIS_REPLY_STRING) {
        one->held->slot = strtoll(reply->str, NULL, 10);
        one->held->pending = strchr(reply->str, ':') != NULL;
    }
    part_done(one->all);
}

static bool may_hold(struct redis_gate *gate, struct redis_drop *drop, int64_t user_id)
{
    pthread_mutex_lock(&drop->lock);
    bool may = redis_drop_is_open(drop) && !redis_drop_is_over_for(gate, drop, user_id);
    pthread_mutex_unlock(&drop->lock);
    return may;
}

static void look_one(struct look_all *all, struct look_one *one, struct redis_drop *drop)
{
    one->all = all;
    one->argv[0] = "HGET";
    one->bytes[0] = 4;
    one->argv[1] = drop->keys[1];
    one->bytes[1] = drop->key_bytes[1];
    one->argv[2] = all->user;
    one->bytes[2] = all->user_bytes;
    one->call = (struct redis_call){
        .done = one_done,
        .argc = 3,
        .argv = one->argv,
        .argv_bytes = one->bytes,
        .key = { drop->keys[1], drop->key_bytes[1] },
        .deadline_ms =
            loop_now_ms(all->client->loop) + redis_gate_self(all->client->base.gate)->call_ms,
        .read_only = true,
    };
    all->waiting++;
    redis_call(all->client->redis, &one->call);
}

void gate_redis_look(struct gate_client *base, struct gate_look *look)
{
    struct redis_client *client = redis_client_self(base);
    struct redis_gate *gate = redis_gate_self(base->gate);
    struct look_all *all = mem_alloc(sizeof *all + look->held_count * sizeof all->one[0]);
    size_t asked = 0;

    look->err = all ? ERR_OK : ERR_UNAVAILABLE;
    look->all = all;
    look->task.run = begun;
    for (size_t i = 0; i < look->held_count; i++)
        look->held[i].slot = look->held[i].pending = 0;
    if (all) {
        *all = (struct look_all){ .client = client, .look = look, .waiting = 1 };
        all->user_bytes =
            (size_t)snprintf(all->user, sizeof all->user, "%lld", (long long)look->user_id);
        client->under_way++;
        for (size_t i = 0; i < look->held_count; i++) {
            struct redis_drop *drop = redis_drop_find(gate, look->held[i].coupon_id);
            if (!drop || look->user_id < 1 || !may_hold(gate, drop, look->user_id))
                continue;
            all->one[asked].held = &look->held[i];
            look_one(all, &all->one[asked++], drop);
        }
    }
    loop_post(client->loop, &look->task);
}
