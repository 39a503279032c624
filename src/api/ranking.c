// SPDX-License-Identifier: Apache-2.0
#include "api/ranking.h"

#include "base/clock.h"

enum { LIMIT_DEFAULT = 10, TOP_PRODUCTS = 5 };

static int source_of(const struct shop *shop, const struct ranking_said *said)
{
    switch (said->origin) {
    case RANKING_FROM_PRIMARY:
        return strcmp(ranking_source(shop->ranking), "redis") == 0 ? RANKING_REDIS : RANKING_MEMORY;
    case RANKING_FROM_BACKUP:
        return RANKING_BACKUP;
    case RANKING_FROM_NOWHERE:
    case RANKING_ORIGIN_N:
        break;
    }
    return RANKING_NONE;
}

static struct ranking_entry_answer *entries_of(struct arena *arena, const struct ranking_row *rows,
                                               size_t count)
{
    struct ranking_entry_answer *entries = arena_alloc(arena, (count + 1) * sizeof *entries);

    for (size_t i = 0; entries && i < count; i++)
        entries[i] = (struct ranking_entry_answer){ .rank = rows[i].rank,
                                                    .product_id = rows[i].sum.product_id,
                                                    .product_name = rows[i].name,
                                                    .sales_count = rows[i].sum.units };
    return entries;
}

bool ranking_answer_of(const struct shop *shop, const struct ranking_top *top,
                       struct ranking_top_answer *ret_answer)
{
    *ret_answer = (struct ranking_top_answer){
        .date = top->day,
        .rankings = entries_of(top->arena, top->rows, top->count),
        .rankings_count = top->count,
        .source = source_of(shop, &top->said),
        .as_of_ms = top->said.as_of_ms,
        .as_of_ms_is = top->said.as_of_ms ? JSON_GIVEN : JSON_NULLED,
        .stale = top->said.stale,
    };
    return ret_answer->rankings != NULL;
}

static void refuse(struct api_call *call, enum err e)
{
    switch (e) {
    case ERR_NOT_FOUND:
        api_problem(call, PROBLEM_PRODUCT_NOT_FOUND, "there is no such product");
        return;
    case ERR_NOMEM:
        api_problem(call, PROBLEM_OVERLOADED, "out of memory");
        return;
    case ERR_OVERLOADED:
        api_problem(call, PROBLEM_OVERLOADED, "too many boards are being added up; try again");
        return;
    default:
        api_store_problem(call, e);
    }
}

static int64_t today(void)
{
    return clock_day(clock_wall_ms());
}

/* What was sold since is seen at once. */
static void keep_for_a_moment(struct api_call *call)
{
    const struct changes *changes = call->loop->shop->shop->changes;

    api_keep_for_a_moment(call, &changes->sales, &changes->listed);
}

/* ---- top ---- */

struct top_call {
    struct api_call *call;
    struct ranking_top top;
};

static void top_done(struct ranking_top *top)
{
    struct top_call *self = CONTAINER_OF(top, struct top_call, top);
    struct api_call *call = self->call;
    struct ranking_top_answer answer;

    if (top->err != ERR_OK)
        refuse(call, top->err);
    else if (!ranking_answer_of(call->loop->shop->shop, top, &answer))
        refuse(call, ERR_NOMEM);
    else
        api_answer(call, 200, &ranking_top_answer_json, &answer);
}

static void top_begin(struct api_call *call, const struct ranking_top *wanted)
{
    struct top_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->top = *wanted;
    self->top.arena = &call->http->arena;
    keep_for_a_moment(call);
    ranking_top(call->loop->shop, &self->top);
}

void ranking_get_top(struct api_call *call)
{
    const struct ranking_top_query *query = call->query;
    bool has_limit =
        query->limit_is == JSON_GIVEN && query->limit >= 1 && query->limit <= RANKING_LIMIT_MAX;
    struct ranking_top top = {
        .done = top_done,
        .window = (enum sales_window)query->window,
        .day = query->date_is == JSON_GIVEN ? query->date : today(),
        .category = query->category,
        .limit = has_limit ? query->limit : LIMIT_DEFAULT,
    };

    top_begin(call, &top);
}

static void top_products_done(struct ranking_top *top)
{
    struct top_call *self = CONTAINER_OF(top, struct top_call, top);
    struct top_products_answer answer = { .period = STR("3days"), .products_count = top->count };

    if (top->err != ERR_OK) {
        refuse(self->call, top->err);
        return;
    }
    answer.products = api_alloc(self->call, (top->count + 1) * sizeof *answer.products);
    if (!answer.products)
        return;
    for (size_t i = 0; i < top->count; i++)
        answer.products[i] = (struct top_product_answer){ .rank = top->rows[i].rank,
                                                          .product_id = top->rows[i].sum.product_id,
                                                          .sales_count = top->rows[i].sum.units,
                                                          .revenue = top->rows[i].sum.revenue,
                                                          .name = top->rows[i].name };
    api_answer(self->call, 200, &top_products_answer_json, &answer);
}

void products_get_top(struct api_call *call)
{
    struct ranking_top top = {
        .done = top_products_done, .window = SALES_3DAYS, .day = today(), .limit = TOP_PRODUCTS
    };

    top_begin(call, &top);
}

/* ---- one product's place ---- */

struct place_call {
    struct api_call *call;
    struct ranking_place place;
};

static void place_done(struct ranking_place *place)
{
    struct place_call *self = CONTAINER_OF(place, struct place_call, place);
    struct api_call *call = self->call;

    if (place->err != ERR_OK) {
        refuse(call, place->err);
        return;
    }
    struct ranking_place_answer answer = {
        .product_id = place->product_id,
        .date = place->day,
        .rank = place->rank,
        .sales_count = place->units,
        .previous_rank = place->previous_rank,
        .previous_rank_is = place->previous_rank > 0 ? JSON_GIVEN : JSON_NULLED,
        .neighbours = entries_of(place->arena, place->neighbours, place->count),
        .neighbours_count = place->count,
        .source = source_of(call->loop->shop->shop, &place->said),
        .as_of_ms = place->said.as_of_ms,
        .as_of_ms_is = place->said.as_of_ms ? JSON_GIVEN : JSON_NULLED,
        .stale = place->said.stale,
    };
    if (answer.neighbours)
        api_answer(call, 200, &ranking_place_answer_json, &answer);
    else
        refuse(call, ERR_NOMEM);
}

void ranking_get_place(struct api_call *call)
{
    const struct ranking_place_query *query = call->query;
    struct place_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    keep_for_a_moment(call);
    self->place.done = place_done;
    self->place.arena = &call->http->arena;
    self->place.window = (enum sales_window)query->window;
    self->place.day = query->date_is == JSON_GIVEN ? query->date : today();
    self->place.product_id = call->ids[0];
    self->place.around = MIN(MAX(query->around, 0), RANKING_AROUND_MAX);
    ranking_place(call->loop->shop, &self->place);
}
