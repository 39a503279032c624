// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"
#include "api/coupons.h"
#include "base/clock.h"
#include "base/log.h"

static void log_change(struct api_call *call, const char *what, int64_t coupon_id, int64_t quantity)
{
    LOG(LOG_INFO, what, LOG_STR("request", call->http->request_id), LOG_INT("coupon", coupon_id),
        LOG_INT("quantity", quantity), API_LOG_BY(call));
}

static bool quantity_allowed(struct api_call *call, int64_t quantity)
{
    if (quantity <= call->loop->api->config->coupon_quantity_max)
        return true;
    api_invalid(call, "totalQuantity", "is above coupon.quantity_max");
    return false;
}

/* ---- create ---- */

struct create_call {
    struct api_call *call;
    struct coupon_create create;
};

static void create_done(struct coupon_create *create)
{
    struct create_call *self = CONTAINER_OF(create, struct create_call, create);

    if (create->err == ERR_CONFLICT) {
        api_problem(self->call, PROBLEM_CONFLICT, "this coupon id is taken");
    } else if (create->err != ERR_OK) {
        api_store_problem(self->call, create->err);
    } else {
        struct coupon_answer answer = coupon_answer_of(self->call, &create->coupon);
        log_change(self->call, "coupon created", create->coupon.coupon_id,
                   create->coupon.settings.total_quantity);
        api_answer(self->call, 201, &coupon_answer_json, &answer);
    }
}

void admin_coupons_create(struct api_call *call)
{
    const struct coupon_create_body *body = call->body;
    int64_t starts_at_ms =
        body->starts_at_ms_is == JSON_GIVEN ? body->starts_at_ms : clock_wall_ms();

    if (!quantity_allowed(call, body->total_quantity))
        return;
    if (body->ends_at_ms <= starts_at_ms) {
        api_invalid(call, "endsAt", "must be after startsAt");
        return;
    }
    struct create_call *self = api_alloc(call, sizeof *self);
    if (!self)
        return;
    self->call = call;
    self->create.done = create_done;
    self->create.coupon = (struct coupon){
        .coupon_id = body->coupon_id_is == JSON_GIVEN ? body->coupon_id : 0,
        .discount_rate = body->discount_rate,
        .uses_per_user = body->uses_per_user_is == JSON_GIVEN    ? body->uses_per_user
                         : body->uses_per_user_is == JSON_NULLED ? COUPON_USES_UNLIMITED
                                                                 : 1,
        .settings = { .total_quantity = body->total_quantity,
                      .starts_at_ms = starts_at_ms,
                      .ends_at_ms = body->ends_at_ms },
    };
    str_cstr(body->name, self->create.coupon.name, sizeof self->create.coupon.name);
    coupon_create(call->loop->shop, &self->create);
}

/* ---- patch ---- */

struct patch_call {
    struct api_call *call;
    struct coupon_patch patch;
};

static void answer_below(struct patch_call *self)
{
    int64_t highest = self->patch.coupon.witness.highest;
    struct problem_answer extra = { .possible_quantity_is = JSON_GIVEN,
                                    .possible_quantity = highest };
    struct buf why = { 0 };

    buf_printf(&why, "numbers up to %lld are handed out; the quantity can be %lld at least",
               (long long)highest, (long long)highest);
    buf_char(&why, '\0');
    problem_respond(self->call->http, PROBLEM_CONFLICT,
                    buf_ok(&why) ? why.ptr : "below the highest number handed out", &extra);
    buf_fini(&why);
}

static void patch_done(struct coupon_patch *patch)
{
    struct patch_call *self = CONTAINER_OF(patch, struct patch_call, patch);
    struct api_call *call = self->call;

    if (patch->err == ERR_NOT_FOUND) {
        api_problem(call, PROBLEM_NOT_FOUND, "there is no such coupon");
    } else if (patch->err != ERR_OK) {
        api_store_problem(call, patch->err);
    } else if (patch->outcome == COUPON_CHANGE_BELOW_HANDED_OUT) {
        answer_below(self);
    } else if (patch->outcome == COUPON_CHANGE_EMPTY_WINDOW) {
        api_invalid(call, "endsAt", "must be after startsAt");
    } else {
        struct coupon_answer answer = coupon_answer_of(call, &patch->coupon);
        log_change(call, "coupon changed", patch->coupon_id, patch->coupon.settings.total_quantity);
        api_answer(call, 200, &coupon_answer_json, &answer);
    }
}

void admin_coupons_patch(struct api_call *call)
{
    const struct coupon_patch_body *body = call->body;
    struct patch_call *self;

    if (body->total_quantity_is == JSON_GIVEN && !quantity_allowed(call, body->total_quantity))
        return;
    self = api_alloc(call, sizeof *self);
    if (!self)
        return;
    self->call = call;
    self->patch.done = patch_done;
    self->patch.coupon_id = call->ids[0];
    self->patch.change = (struct coupon_change){
        .has_quantity = body->total_quantity_is == JSON_GIVEN,
        .has_starts = body->starts_at_ms_is == JSON_GIVEN,
        .has_ends = body->ends_at_ms_is == JSON_GIVEN,
        .has_closed = body->closed_is == JSON_GIVEN,
        .total_quantity = body->total_quantity,
        .starts_at_ms = body->starts_at_ms,
        .ends_at_ms = body->ends_at_ms,
        .closed = body->closed,
    };
    coupon_patch(call->loop->shop, &self->patch);
}

/* A change of nothing, with a new life of the gate. */
void admin_coupons_rebuild(struct api_call *call)
{
    struct patch_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->patch.done = patch_done;
    self->patch.coupon_id = call->ids[0];
    self->patch.rebuild = true;
    coupon_patch(call->loop->shop, &self->patch);
}

void admin_coupons_list(struct api_call *call)
{
    coupons_page(call, true);
}

/* ---- proof ---- */

struct proof_call {
    struct api_call *call;
    struct coupon_proof proof;
};

static void proof_done(struct coupon_proof *proof)
{
    struct proof_call *self = CONTAINER_OF(proof, struct proof_call, proof);
    struct api_call *call = self->call;
    struct coupon_proof made = *proof; /* outlives the request, which ends here */
    struct proof_answer answer;

    made.proof.coupon = &made.coupon;
    made.proof.before = &made.before;
    if (made.err == ERR_NOT_FOUND)
        api_problem(call, PROBLEM_NOT_FOUND, "there is no such coupon");
    else if (made.err != ERR_OK ||
             proof_answer_of(&made.proof, &call->http->arena, &answer) != ERR_OK)
        api_store_problem(call, ERR_UNAVAILABLE);
    else
        api_answer(call, 200, &proof_answer_json, &answer);
    coupon_proof_fini(&made);
}

void admin_proof(struct api_call *call)
{
    struct proof_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->proof.done = proof_done;
    self->proof.coupon_id = call->ids[0];
    coupon_proof(call->loop->shop, &self->proof);
}
