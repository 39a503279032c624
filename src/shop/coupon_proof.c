// SPDX-License-Identifier: Apache-2.0
#include "shop/shop_internal.h"

struct proof_scan {
    struct ledger_scan scan;
    struct coupon_proof *proof;
};

static bool proof_coupon(struct ledger_scan *scan, const struct coupon *coupon)
{
    struct coupon_proof *self = CONTAINER_OF(scan, struct proof_scan, scan)->proof;

    self->coupon = *coupon;
    proof_begin(&self->proof, &self->coupon, &self->before);
    return true;
}

static bool proof_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    struct coupon_proof *self = CONTAINER_OF(scan, struct proof_scan, scan)->proof;

    return proof_add_row(&self->proof, row->slot, row->user_id) == ERR_OK;
}

static enum err picture_take(struct shop *shop, int64_t coupon_id, struct gate_picture *ret_picture)
{
    if (shop->gate)
        return gate_picture(shop->gate, coupon_id, ret_picture);
    *ret_picture = (struct gate_picture){ 0 };
    return ERR_OK;
}

/* The gate's picture, then the rows, then the gate again: see core/proof.h. */
static enum err proof_make(struct shop *shop, struct coupon_proof *self)
{
    struct proof_scan scan = {
        .scan = { .coupon_id = self->coupon_id, .begin = proof_coupon, .each = proof_row },
        .proof = self
    };
    struct gate_picture after;

    if (shop->gate)
        TRY(picture_take(shop, self->coupon_id, &self->before));
    TRY(ledger_scan_rows(shop->ledger, &scan.scan));
    TRY(picture_take(shop, self->coupon_id, &after));
    enum err e = proof_finish(&self->proof, &after);
    gate_picture_fini(&after);
    return e;
}

void coupon_proof_run(struct shop *shop, struct coupon_proof *self)
{
    self->err = proof_make(shop, self);
    if (self->err != ERR_OK && self->err != ERR_NOT_FOUND && self->err != ERR_NOMEM)
        self->err = ERR_UNAVAILABLE;
}

static void proof_work(struct loop_work *work)
{
    struct coupon_proof *self = CONTAINER_OF(work, struct coupon_proof, work);

    coupon_proof_run(self->shop, self);
}

static void proof_done(struct loop_work *work)
{
    struct coupon_proof *self = CONTAINER_OF(work, struct coupon_proof, work);

    self->done(self);
}

static void proof_not_started(struct loop_task *task)
{
    struct coupon_proof *self = CONTAINER_OF(task, struct coupon_proof, task);

    self->err = ERR_NOMEM;
    self->done(self);
}

void coupon_proof(struct shop_loop *loop, struct coupon_proof *self)
{
    self->shop = loop->shop;
    self->work.work = proof_work;
    self->work.done = proof_done;
    if (loop_work_start(loop->loop, &self->work) == ERR_OK)
        return;
    self->task.run = proof_not_started;
    loop_post(loop->loop, &self->task);
}

void coupon_proof_fini(struct coupon_proof *self)
{
    proof_fini(&self->proof);
    gate_picture_fini(&self->before);
}
