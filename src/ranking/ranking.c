// SPDX-License-Identifier: Apache-2.0
#include "ranking/ranking.h"

#include "base/assert.h"
#include "ranking/ranking_backend.h"

void ranking_put(struct ranking *ranking, const struct ranking_sum *sums, size_t count)
{
    ranking->backend->put(ranking, sums, count);
}

enum err ranking_put_surely(struct ranking *ranking, const struct ranking_sum *sums, size_t count)
{
    return ranking->backend->put_surely(ranking, sums, count);
}

void ranking_move(struct ranking *ranking, int64_t product_id, struct str category, int64_t version)
{
    ranking->backend->move(ranking, product_id, category, version);
}

enum err ranking_copy_begin(struct ranking *ranking, int64_t from_day)
{
    return ranking->backend->copy_begin(ranking, from_day);
}

enum err ranking_copy_end(struct ranking *ranking)
{
    return ranking->backend->copy_end(ranking);
}

void ranking_forget_before(struct ranking *ranking, int64_t day)
{
    ranking->backend->forget_before(ranking, day);
}

struct ranking_status ranking_status(struct ranking *ranking)
{
    return ranking->backend->status(ranking);
}

void ranking_fault_set(struct ranking *ranking, bool on)
{
    ranking->backend->fault_set(ranking, on);
}

const char *ranking_source(const struct ranking *ranking)
{
    return ranking->backend->source;
}

enum err ranking_read_prepare(struct ranking_read *read)
{
    int64_t entries = read->op == RANKING_READ_PAGE ? read->limit : 2 * read->around + 1;

    read->outcome = RANKING_UNREADABLE;
    read->entry_count = 0;
    read->product = (struct ranking_entry){ -1, { .product_id = read->product_id } };
    read->version = 0;
    read->as_of_ms = 0;
    read->entries = arena_alloc(read->arena, (size_t)entries * sizeof *read->entries);
    return read->entries ? ERR_OK : ERR_NOMEM;
}

void ranking_read(struct ranking_client *client, struct ranking_read *read)
{
    if (read->op == RANKING_READ_PAGE)
        ASSERT(read->offset >= 0 && read->limit >= 1 && read->limit <= RANKING_LIMIT_MAX);
    else
        ASSERT(read->around >= 0 && read->around <= RANKING_AROUND_MAX);
    client->ranking->backend->read(client, read);
}

struct ranking_client *ranking_client_new(struct ranking *ranking, struct loop *loop,
                                          struct metrics_slot *metrics)
{
    return ranking->backend->client_new(ranking, loop, metrics);
}

struct ranking_client *ranking_client_free(struct ranking_client *client)
{
    return client ? client->ranking->backend->client_free(client) : NULL;
}
