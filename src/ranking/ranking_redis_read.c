// SPDX-License-Identifier: Apache-2.0
/*
 * Reading: one call on the loop's own connection, within the deadline. What is known to be
 * unreadable is not asked for. A board that is being made is asked for again, each time it is made
 * a little further.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ranking/ranking_redis_internal.h"

enum { MAKE_MS = 1000, READ_ARGS = 16, READ_TEXT_BYTES = 256 };
enum { FIELD_RANK = 5, FIELD_FIRST, FIELD_ENTRIES, FIELDS };

struct asking {
    struct redis_call call;
    struct ranking_read *read;
    uint64_t ticket, make_until_ms;
    struct rr_args args;
    const char *argv[READ_ARGS];
    size_t bytes[READ_ARGS];
    char text[READ_TEXT_BYTES];
    char category[]; /* behind a '=' */
};

static struct redis_client *client_of(const struct ranking_read *read)
{
    return CONTAINER_OF(read->client, struct redis_client, base);
}

static struct redis_ranking *ranking_of(const struct ranking_read *read)
{
    return redis_ranking_self(read->client->ranking);
}

static void end(struct ranking_read *read)
{
    client_of(read)->in_flight--;
    read->done(read);
}

static void end_posted(struct loop_task *task)
{
    end(CONTAINER_OF(task, struct ranking_read, task));
}

/* ---- the answer ---- */

/* Neighbours without the product itself, which is put aside. */
static void take_product(struct ranking_read *read, int64_t rank, size_t count)
{
    struct ranking_entry *entries = read->entries;

    for (size_t i = 0; i < count; i++)
        if (entries[i].rank == rank) {
            read->product = entries[i];
            read->entry_count = count - 1;
            memmove(&entries[i], &entries[i + 1], (count - i - 1) * sizeof *entries);
            return;
        }
}

static void take(struct ranking_read *read, const redisReply *reply)
{
    size_t max = (size_t)(read->op == RANKING_READ_PAGE ? read->limit : 2 * read->around + 1);

    if (reply->elements < FIELDS || reply->element[FIELD_RANK]->type != REDIS_REPLY_INTEGER ||
        reply->element[FIELD_FIRST]->type != REDIS_REPLY_INTEGER) {
        read->outcome = RANKING_UNREADABLE;
        return;
    }
    size_t count = rr_entries_of(reply->element[FIELD_ENTRIES], read->window,
                                 reply->element[FIELD_FIRST]->integer, read->entries, max);
    if (read->op == RANKING_READ_PAGE)
        read->entry_count = count;
    else
        take_product(read, reply->element[FIELD_RANK]->integer + 1, count);
}

static enum ranking_outcome outcome_of(enum rr_code code)
{
    switch (code) {
    case RR_OK:
        return RANKING_OK;
    case RR_NOT_HELD:
        return RANKING_NOT_HELD;
    case RR_LOST:
    case RR_MAKING:
    case RR_BUSY:
    case RR_FAILED:
        break;
    }
    return RANKING_UNREADABLE;
}

/* The version is that of ranking_status() if that is of the same moment. */
static void take_header(struct asking *asking, const struct rr_header *header)
{
    struct redis_ranking *ranking = ranking_of(asking->read);

    pthread_mutex_lock(&ranking->lock);
    rr_view_take(ranking, asking->ticket, header);
    asking->read->version =
        ranking->remote_version == header->version ? ranking->version : ranking->version - 1;
    pthread_mutex_unlock(&ranking->lock);
    asking->read->as_of_ms = header->as_of_ms;
}

static void ask(struct asking *asking);

static void answered(struct redis_call *call)
{
    struct asking *asking = CONTAINER_OF(call, struct asking, call);
    struct ranking_read *read = asking->read;
    struct rr_header header = rr_header_of(call->err, call->reply);

    if (header.code != RR_FAILED)
        take_header(asking, &header);
    if (header.code == RR_MAKING && loop_now_ms(client_of(read)->loop) < asking->make_until_ms) {
        ask(asking);
        return;
    }
    read->outcome = outcome_of(header.code);
    if (read->outcome == RANKING_OK)
        take(read, call->reply);
    end(read);
}

/* ---- the question ---- */

static void ask(struct asking *asking)
{
    struct redis_client *client = client_of(asking->read);
    struct redis_ranking *ranking = ranking_of(asking->read);

    pthread_mutex_lock(&ranking->lock);
    asking->ticket = rr_ticket(ranking);
    pthread_mutex_unlock(&ranking->lock);
    asking->call =
        (struct redis_call){ .done = answered,
                             .argc = asking->args.argc,
                             .argv = asking->argv,
                             .argv_bytes = asking->bytes,
                             .key = STR(RANKING_REDIS_KEY),
                             .deadline_ms = loop_now_ms(client->loop) + ranking->options.timeout_ms,
                             .read_only = true };
    redis_call(client->redis, &asking->call);
}

static void fill(struct asking *asking, struct sales_days days)
{
    const struct ranking_read *read = asking->read;
    struct rr_args *args = &asking->args;
    bool page = read->op == RANKING_READ_PAGE;

    rr_args_call(args, RANKING_REDIS_NAME("read"), false);
    rr_args_text(args, page ? STR("page") : STR("product"));
    rr_args_text(args, read->window == SALES_3DAYS ? STR("3") : STR("1"));
    rr_args_int(args, days.from);
    rr_args_int(args, days.to);
    if (read->category.ptr) {
        asking->category[0] = '=';
        if (read->category.len)
            memcpy(asking->category + 1, read->category.ptr, read->category.len);
        rr_args_text(args, (struct str){ asking->category, read->category.len + 1 });
    } else {
        rr_args_text(args, STR("*"));
    }
    rr_args_int(args, page ? read->offset : read->product_id);
    rr_args_int(args, page ? read->limit : read->around);
    rr_args_int(args, (int64_t)ranking_of(read)->options.boards_max);
    rr_args_int(args, (int64_t)ranking_of(read)->options.step_products);
}

/* False: it is known already. */
static bool has_to_ask(struct ranking_read *read, struct sales_days days)
{
    struct redis_ranking *ranking = ranking_of(read);

    pthread_mutex_lock(&ranking->lock);
    bool readable = ranking->reachable && ranking->readable && !ranking->lost && !ranking->fault;
    bool held = days.from >= ranking->floor_day;
    read->version = ranking->version;
    read->as_of_ms = ranking->as_of_ms;
    pthread_mutex_unlock(&ranking->lock);
    if (readable && !held)
        read->outcome = RANKING_NOT_HELD;
    return readable && held;
}

static struct asking *asking_new(struct ranking_read *read)
{
    struct asking *asking = arena_alloc(read->arena, sizeof *asking + read->category.len + 1);

    if (!asking)
        return NULL;
    *asking = (struct asking){ .read = read };
    asking->args = (struct rr_args){ .argv = asking->argv,
                                     .bytes = asking->bytes,
                                     .text = asking->text,
                                     .argc_max = READ_ARGS,
                                     .room = sizeof asking->text };
    asking->make_until_ms = loop_now_ms(client_of(read)->loop) + MAKE_MS;
    return asking;
}

void rr_read(struct ranking_client *base, struct ranking_read *read)
{
    struct redis_client *client = CONTAINER_OF(base, struct redis_client, base);
    struct sales_days days = sales_window_days(read->window, read->day);
    struct asking *asking = NULL;

    read->client = base;
    read->task.run = end_posted;
    client->in_flight++;
    read->err = ranking_read_prepare(read);
    if (read->err == ERR_OK && has_to_ask(read, days)) {
        asking = asking_new(read);
        read->err = asking ? ERR_OK : ERR_NOMEM;
    }
    if (!asking) {
        loop_post(client->loop, &read->task);
        return;
    }
    fill(asking, days);
    ask(asking);
}

/* ---- clients ---- */

struct ranking_client *rr_client_new(struct ranking *base, struct loop *loop,
                                     struct metrics_slot *metrics)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    struct redis_options options = ranking->options.redis;
    struct redis_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base.ranking = base;
    client->loop = loop;
    options.metrics = metrics;
    client->redis = redis_new(loop, &options);
    if (!client->redis)
        return mem_free(client);
    pthread_mutex_lock(&ranking->lock);
    list_append(&ranking->clients, &client->node);
    pthread_mutex_unlock(&ranking->lock);
    return &client->base;
}

struct ranking_client *rr_client_free(struct ranking_client *base)
{
    struct redis_client *client = CONTAINER_OF(base, struct redis_client, base);
    struct redis_ranking *ranking = redis_ranking_self(base->ranking);

    ASSERT(client->in_flight == 0);
    pthread_mutex_lock(&ranking->lock);
    list_remove(&client->node);
    pthread_mutex_unlock(&ranking->lock);
    redis_free(client->redis);
    return mem_free(client);
}
