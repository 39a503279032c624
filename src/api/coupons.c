// SPDX-License-Identifier: Apache-2.0
#include "api/coupons.h"

#include "api/api_json.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- issue, reserve ---- */

struct take_call {
    struct api_call *call;
    struct coupon_take take;
};

static void count(const struct take_call *self, enum metrics_outcome outcome)
{
    metrics_coupon(self->call->loop->metrics, self->take.reserve ? METRICS_RESERVE : METRICS_ISSUE,
                   outcome);
}

/* Who got a place is in the log, with its number; who did not, only while debugging. */
static void log_take(const struct take_call *self, enum log_level level, const char *outcome)
{
    LOG(level, "coupon", LOG_STR("request", self->call->http->request_id),
        LOG_CSTR("operation", self->take.reserve ? "reserve" : "issue"),
        LOG_CSTR("outcome", outcome), LOG_INT("coupon", self->take.coupon_id),
        LOG_INT("user", self->take.user_id), LOG_INT("sequence", self->take.slot),
        LOG_INT("duration_us", api_elapsed_us(self->call)));
}

static void answer_issued(struct take_call *self)
{
    const struct coupon_take *take = &self->take;

    count(self, METRICS_ISSUED);
    log_take(self, LOG_INFO, "issued");
    api_answer(self->call, 200, &issue_answer_json,
               &(struct issue_answer){ .user_coupon_id = take->user_coupon_id,
                                       .coupon_id = take->coupon_id,
                                       .coupon_name = str_from(take->coupon->name),
                                       .discount_rate = take->coupon->discount_rate,
                                       .status = HELD_AVAILABLE,
                                       .issued_at_ms = take->issued_at_ms,
                                       .expires_at_ms = take->expires_at_ms,
                                       .remaining_quantity = take->remaining,
                                       .sequence_number = take->slot });
}

static void answer_reserved(struct take_call *self)
{
    const struct coupon_take *take = &self->take;

    count(self, METRICS_RESERVED);
    log_take(self, LOG_INFO, "reserved");
    api_answer(self->call, 200, &reserve_answer_json,
               &(struct reserve_answer){ .coupon_id = take->coupon_id,
                                         .user_id = take->user_id,
                                         .sequence_number = take->slot,
                                         .status = HELD_RESERVED,
                                         .message = STR("Your place is reserved."),
                                         .durability = (int)take->durability });
}

static void answer_already(struct take_call *self)
{
    const struct coupon_take *take = &self->take;
    bool stored = take->held_state != HELD_RESERVED;
    struct problem_answer extra = { .sequence_number_is = JSON_GIVEN,
                                    .sequence_number = take->slot,
                                    .user_coupon_id_is = stored ? JSON_GIVEN : JSON_NULLED,
                                    .user_coupon_id = take->user_coupon_id,
                                    .coupon_status_is = JSON_GIVEN,
                                    .coupon_status = (int)take->held_state };

    count(self, METRICS_ALREADY);
    log_take(self, LOG_DEBUG, "already");
    problem_respond(self->call->http, PROBLEM_ALREADY_ISSUED_COUPON,
                    "this user already has this coupon", &extra);
}

static void answer_not_started(struct take_call *self)
{
    struct problem_answer extra = { .starts_at_ms_is = JSON_GIVEN,
                                    .starts_at_ms = self->take.coupon->settings.starts_at_ms };

    count(self, METRICS_NOT_STARTED);
    log_take(self, LOG_DEBUG, "not started");
    problem_respond(self->call->http, PROBLEM_COUPON_NOT_STARTED,
                    "this coupon is not handed out yet", &extra);
}

static void refuse(struct take_call *self, enum metrics_outcome outcome, enum problem problem,
                   const char *why)
{
    count(self, outcome);
    log_take(self, LOG_DEBUG, why);
    api_problem(self->call, problem, why);
}

static void take_done(struct coupon_take *take)
{
    struct take_call *self = CONTAINER_OF(take, struct take_call, take);

    switch (take->outcome) {
    case COUPON_TAKE_ISSUED:
        answer_issued(self);
        return;
    case COUPON_TAKE_RESERVED:
        answer_reserved(self);
        return;
    case COUPON_TAKE_ALREADY:
        answer_already(self);
        return;
    case COUPON_TAKE_NOT_STARTED:
        answer_not_started(self);
        return;
    case COUPON_TAKE_NO_USER:
        refuse(self, METRICS_INVALID, PROBLEM_USER_NOT_FOUND, "there is no such user");
        return;
    case COUPON_TAKE_NO_COUPON:
        refuse(self, METRICS_INVALID, PROBLEM_INVALID_COUPON, "there is no such coupon");
        return;
    case COUPON_TAKE_EXPIRED:
        refuse(self, METRICS_EXPIRED, PROBLEM_EXPIRED_COUPON, "this coupon's window is over");
        return;
    case COUPON_TAKE_ENDED:
        refuse(self, METRICS_ENDED, PROBLEM_COUPON_ENDED, "closed by the administrator");
        return;
    case COUPON_TAKE_SOLD_OUT:
        refuse(self, METRICS_SOLD_OUT, PROBLEM_COUPON_SOLD_OUT, "no coupon is left");
        return;
    case COUPON_TAKE_CLOSED:
        refuse(self, METRICS_CLOSED, PROBLEM_COUPON_CLOSED,
               "the gate is being rebuilt; nobody loses a place; try again");
        return;
    case COUPON_TAKE_OVERLOADED:
        refuse(self, METRICS_OVERLOADED, PROBLEM_OVERLOADED,
               "too many wait already; nothing was done; try again");
        return;
    case COUPON_TAKE_UNAVAILABLE:
        refuse(self, METRICS_UNAVAILABLE, PROBLEM_STORE_UNAVAILABLE,
               "the outcome is not known; call again: a place once taken stays yours");
        return;
    }
}

static void take(struct api_call *call, bool reserve)
{
    struct take_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->take.done = take_done;
    self->take.coupon_id = call->ids[0];
    self->take.user_id = ((const struct take_body *)call->body)->user_id;
    self->take.reserve = reserve;
    coupon_take(call->loop->shop, &self->take);
}

void coupons_issue(struct api_call *call)
{
    take(call, false);
}

void coupons_reserve(struct api_call *call)
{
    take(call, true);
}

/* ---- looking ---- */

struct coupon_answer coupon_answer_of(struct api_call *call, const struct coupon *coupon)
{
    int64_t remaining = coupon_remaining(call->loop->shop->shop, coupon);

    return (struct coupon_answer){
        .coupon_id = coupon->coupon_id,
        .name = str_from(coupon->name),
        .discount_rate = coupon->discount_rate,
        .total_quantity = coupon->settings.total_quantity,
        .remaining_quantity = remaining,
        .status = (int)coupon_state(&coupon->settings, remaining, clock_wall_ms()),
        .starts_at_ms = coupon->settings.starts_at_ms,
        .ends_at_ms = coupon->settings.ends_at_ms,
    };
}

void coupons_get(struct api_call *call)
{
    const struct coupon *coupon = catalog_find(call->loop->shop->shop->catalog, call->ids[0]);

    if (!coupon) {
        api_problem(call, PROBLEM_NOT_FOUND, "there is no such coupon");
        return;
    }
    struct coupon_answer answer = coupon_answer_of(call, coupon);
    api_answer(call, 200, &coupon_answer_json, &answer);
}

static bool listed(const struct coupon *coupon, bool all, int64_t now_ms)
{
    return all ||
           (coupon_window(&coupon->settings, now_ms) != COUPON_AFTER && !coupon->settings.closed);
}

void coupons_page(struct api_call *call, bool all)
{
    const struct page_query *query = call->query;
    const struct catalog_list *list = catalog_list(call->loop->shop->shop->catalog);
    size_t limit = (size_t)api_page_limit(query);
    struct coupon_list_answer answer = { .next_cursor_is = JSON_NULLED };
    char cursor[API_CURSOR_BYTES];
    int64_t after = INT64_MIN, now_ms = clock_wall_ms();

    if (!api_page_after(call, query, &after))
        return;
    answer.coupons = api_alloc(call, limit * sizeof *answer.coupons);
    if (!answer.coupons)
        return;
    for (size_t i = 0; i < list->count; i++) {
        const struct coupon *coupon = list->items[i];
        if (!listed(coupon, all, now_ms))
            continue;
        answer.total_count++;
        if (coupon->coupon_id <= after)
            continue;
        if (answer.coupons_count < limit) {
            answer.coupons[answer.coupons_count++] = coupon_answer_of(call, coupon);
        } else if (answer.next_cursor_is == JSON_NULLED) {
            answer.next_cursor_is = JSON_GIVEN;
            answer.next_cursor = api_cursor(answer.coupons[limit - 1].coupon_id, cursor);
        }
    }
    api_answer(call, 200, &coupon_list_answer_json, &answer);
}

void coupons_list(struct api_call *call)
{
    coupons_page(call, false);
}

/* ---- a user's coupons ---- */

struct held_call {
    struct api_call *call;
    struct held_list list;
    int64_t before; /* the cursor: keys below it are still to be shown */
};

static struct held_answer held_answer_of(const struct held_coupon *item)
{
    bool reserved = item->state == HELD_RESERVED;

    return (struct held_answer){
        .user_coupon_id_is = reserved ? JSON_NULLED : JSON_GIVEN,
        .user_coupon_id = item->row.user_coupon_id,
        .coupon_id = item->coupon->coupon_id,
        .coupon_name = str_from(item->coupon->name),
        .discount_rate = item->coupon->discount_rate,
        .status = (int)item->state,
        .issued_at_ms_is = reserved ? JSON_NULLED : JSON_GIVEN,
        .issued_at_ms = item->row.issued_at_ms,
        .used_at_ms_is = item->row.used_at_ms ? JSON_GIVEN : JSON_NULLED,
        .used_at_ms = item->row.used_at_ms,
        .expires_at_ms = item->row.expires_at_ms,
    };
}

/* Falls from item to item, and stays an item's own while newer ones come in. */
static int64_t held_key(const struct held_list *list, size_t i)
{
    return list->items[i].state == HELD_RESERVED ? INT64_MAX - 1 - (int64_t)i
                                                 : list->items[i].row.user_coupon_id;
}

static void answer_held(struct held_call *self)
{
    struct api_call *call = self->call;
    const struct held_query *query = call->query;
    size_t limit = (size_t)api_page_limit(&query->page);
    struct held_list_answer answer = { .user_id = call->ids[0], .next_cursor_is = JSON_NULLED };
    char cursor[API_CURSOR_BYTES];
    int64_t last_key = 0;

    answer.coupons = api_alloc(call, limit * sizeof *answer.coupons);
    if (!answer.coupons)
        return;
    for (size_t i = 0; i < self->list.count; i++) {
        const struct held_coupon *item = &self->list.items[i];
        if (query->status_is == JSON_GIVEN && (int)item->state != query->status)
            continue;
        answer.total_count++;
        if (held_key(&self->list, i) >= self->before)
            continue;
        if (answer.coupons_count < limit) {
            answer.coupons[answer.coupons_count++] = held_answer_of(item);
            last_key = held_key(&self->list, i);
        } else if (answer.next_cursor_is == JSON_NULLED) {
            answer.next_cursor_is = JSON_GIVEN;
            answer.next_cursor = api_cursor(last_key, cursor);
        }
    }
    api_answer(call, 200, &held_list_answer_json, &answer);
}

static void held_done(struct held_list *list)
{
    struct held_call *self = CONTAINER_OF(list, struct held_call, list);

    if (list->err == ERR_OK)
        answer_held(self);
    else if (list->err == ERR_NOT_FOUND)
        api_problem(self->call, PROBLEM_USER_NOT_FOUND, "there is no such user");
    else
        api_store_problem(self->call, list->err);
}

void coupons_of_user(struct api_call *call)
{
    const struct held_query *query = call->query;
    struct held_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->before = INT64_MAX;
    if (!api_page_after(call, &query->page, &self->before))
        return;
    self->list.done = held_done;
    self->list.arena = &call->http->arena;
    self->list.user_id = call->ids[0];
    held_list(call->loop->shop, &self->list);
}
