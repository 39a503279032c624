// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "shop/shop_internal.h"

struct rebuild_scan {
    struct ledger_scan scan;
    struct shop *shop;
    struct coupon coupon;
    struct gate_rebuild *rebuild;
    int64_t holders;
    enum err err;
};

static bool rebuild_begin(struct ledger_scan *scan, const struct coupon *coupon)
{
    struct rebuild_scan *self = CONTAINER_OF(scan, struct rebuild_scan, scan);

    self->coupon = *coupon;
    self->err = gate_rebuild_begin(self->shop->gate, coupon->coupon_id, coupon->epoch,
                                   &coupon->settings, &self->rebuild);
    return self->err == ERR_OK;
}

static bool rebuild_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    struct rebuild_scan *self = CONTAINER_OF(scan, struct rebuild_scan, scan);

    self->err = gate_rebuild_add(self->rebuild, row->slot, row->user_id);
    if (self->err == ERR_CONFLICT) {
        /* Two rows of one slot or user: the store was changed by other hands. The proof names it;
         * the gate goes on with the first of the two. */
        LOG(LOG_ERROR, "row conflicts with another", LOG_INT("coupon", row->coupon_id),
            LOG_INT("slot", row->slot), LOG_INT("user", row->user_id));
        return true;
    }
    self->holders++;
    return self->err == ERR_OK;
}

enum err coupon_rebuild(struct shop *shop, int64_t coupon_id, struct coupon *ret_coupon,
                        int64_t *ret_holders)
{
    struct rebuild_scan self = { .scan = { .coupon_id = coupon_id,
                                           .who_only = true,
                                           .begin = rebuild_begin,
                                           .each = rebuild_row },
                                 .shop = shop };
    enum err e = ledger_scan_rows(shop->ledger, &self.scan);

    if (e == ERR_NOMEM && self.err != ERR_OK)
        e = self.err;
    if (e == ERR_OK)
        e = gate_rebuild_open(self.rebuild, self.holders);
    gate_rebuild_free(self.rebuild);
    if (e != ERR_OK) {
        LOG(LOG_ERROR, "gate not rebuilt", LOG_INT("coupon", coupon_id),
            LOG_CSTR("error", err_name(e)));
        return e;
    }
    if (self.holders != self.coupon.witness.issued)
        LOG(LOG_ERROR, "rows and witness disagree", LOG_INT("coupon", coupon_id),
            LOG_INT("rows", self.holders), LOG_INT("witness", self.coupon.witness.issued));
    *ret_coupon = self.coupon;
    *ret_holders = self.holders;
    return ERR_OK;
}
