// SPDX-License-Identifier: Apache-2.0
/* The load-test data set. Ids are fixed, because scripts name them; running it twice changes
 * nothing. The load generators' own users come in ranges. */
#include "shop/shop.h"

static const struct {
    int64_t from, to, balance;
} users[] = {
    { 1, 1, 20000000000 },     { 2, 2, 500000 },       { 3, 3, 100000 },
    { 4, 153, 100000000 },     { 1000, 10999, 10000 }, { 200000, 200099, 10000 },
    { 300000, 309999, 10000 },
};

enum { DAY_MS = 86400000 };

/* Months are calendar months in the data set's description; 30 and 31 days are near enough. */
static const struct {
    const char *name;
    int64_t rate, quantity, starts_days, ends_days, uses_per_user;
    int64_t user_id, uses; /* issued to this user at once; 0: nobody */
} coupons[] = {
    { "WELCOME10", 10, 100, 0, 92, COUPON_USES_UNLIMITED, 0, 0 },
    { "VIP20", 20, 50, 0, 31, 1, 0, 0 },
    { "EARLYBIRD15", 15, 100, -20, 10, 1, 3, 1 },
    { "SOLDOUT", 25, 1, 0, 31, 1, 3, 0 },
    { "EXPIRED30", 30, 100, -60, -1, 1, 0, 0 },
};

static enum err mark(struct ledger *ledger, enum ledger_load_data value)
{
    struct ledger_command command = { .op = LEDGER_LOAD_DATA_SET, .load_data = value };

    ledger_run(ledger, &command);
    return command.err;
}

static enum err add_users(struct ledger *ledger, struct load_data_report *report)
{
    for (size_t i = 0; i < ARRAY_COUNT(users); i++) {
        struct ledger_command command = { .op = LEDGER_USERS_CREATE,
                                          .users_create = { .from_user_id = users[i].from,
                                                            .to_user_id = users[i].to,
                                                            .balance = users[i].balance } };
        ledger_run(ledger, &command);
        TRY(command.err);
        report->users += command.users_create.created;
    }
    return ERR_OK;
}

static enum err add_place(struct ledger *ledger, int64_t coupon_id, int64_t user_id, int64_t uses,
                          struct load_data_report *report)
{
    struct ledger_command command = {
        .op = LEDGER_PLACE,
        .place = { .coupon_id = coupon_id, .user_id = user_id, .slot = 1, .uses = uses }
    };

    ledger_run(ledger, &command);
    report->places += command.err == ERR_OK && command.place.outcome == LEDGER_PLACE_STORED;
    return command.err;
}

/* `begun`: a coupon that is there is ours, and may miss its holder yet. */
static enum err add_coupons(struct ledger *ledger, int64_t now_ms, bool begun,
                            struct load_data_report *report)
{
    for (size_t i = 0; i < ARRAY_COUNT(coupons); i++) {
        struct coupon coupon = {
            .coupon_id = (int64_t)i + 1,
            .discount_rate = coupons[i].rate,
            .uses_per_user = coupons[i].uses_per_user,
            .settings = { .total_quantity = coupons[i].quantity,
                          .starts_at_ms = now_ms + coupons[i].starts_days * DAY_MS,
                          .ends_at_ms = now_ms + coupons[i].ends_days * DAY_MS },
        };
        struct ledger_command command = { .op = LEDGER_COUPON_CREATE,
                                          .coupon_create = { .coupon = &coupon } };
        memcpy(coupon.name, coupons[i].name, strlen(coupons[i].name));
        ledger_run(ledger, &command);
        TRY(command.err);
        bool added = !command.coupon_create.taken;
        report->coupons += added;
        if (coupons[i].user_id && (added || begun))
            TRY(add_place(ledger, (int64_t)i + 1, coupons[i].user_id, coupons[i].uses, report));
    }
    return ERR_OK;
}

enum err shop_load_data(struct ledger *ledger, int64_t now_ms, bool begun,
                        struct load_data_report *ret_report)
{
    *ret_report = (struct load_data_report){ 0 };
    TRY(mark(ledger, LEDGER_LOAD_DATA_STARTED));
    TRY(add_users(ledger, ret_report));
    TRY(add_coupons(ledger, now_ms, begun, ret_report));
    return mark(ledger, LEDGER_LOAD_DATA_DONE);
}
