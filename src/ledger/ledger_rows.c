// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_rows.h"

#include "base/assert.h"
#include "base/clock.h"

void ledger_rows_init(struct ledger_rows *rows)
{
    *rows = (struct ledger_rows){ 0 };
    ledger_table_init(&rows->users, sizeof(struct ledger_user_row));
    ledger_table_init(&rows->coupons, sizeof(struct ledger_coupon_row));
    ledger_table_init(&rows->charges, sizeof(struct ledger_charge_row));
    ledger_table_init(&rows->products, sizeof(struct ledger_product_row));
    ledger_table_init(&rows->carts, sizeof(struct ledger_cart_row));
    ledger_table_init(&rows->cart_lines, sizeof(struct ledger_cart_line_row));
    ledger_table_init(&rows->orders, sizeof(struct ledger_order_row));
    ledger_table_init(&rows->order_keys, sizeof(struct ledger_order_key_row));
    ledger_table_init(&rows->held, sizeof(struct ledger_held_row));
    ledger_table_init(&rows->attempts, sizeof(struct ledger_attempt_row));
    ledger_table_init(&rows->sales, sizeof(struct ledger_sale_row));
    ledger_table_init(&rows->days, sizeof(struct ledger_day_row));
}

static void each_table(struct ledger_rows *rows, void (*run)(struct ledger_table *table))
{
    struct ledger_table *const tables[] = { &rows->users,      &rows->coupons, &rows->charges,
                                            &rows->products,   &rows->carts,   &rows->cart_lines,
                                            &rows->orders,     &rows->held,    &rows->attempts,
                                            &rows->order_keys, &rows->sales,   &rows->days };

    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        run(tables[i]);
}

void ledger_rows_fini(struct ledger_rows *rows)
{
    each_table(rows, ledger_table_fini);
    arena_fini(&rows->arena);
}

/* ---- finding ---- */

/* Keys of one, two or three parts; the others are zero. */
static struct ledger_row_key key_1(int64_t a)
{
    return (struct ledger_row_key){ .a = a };
}

static struct ledger_row_key key_2(int64_t a, int64_t b)
{
    return (struct ledger_row_key){ .a = a, .b = b };
}

static struct ledger_row_key key_3(int64_t a, int64_t b, struct str text)
{
    return (struct ledger_row_key){ .a = a, .b = b, .text = text };
}

static void *find(const struct ledger_table *table, struct ledger_row_key key)
{
    return ledger_table_find(table, &key);
}

static void *add(struct ledger_rows *rows, struct ledger_table *table, struct ledger_row_key key)
{
    return ledger_table_need(table, &rows->arena, &key);
}

static struct ledger_row_key attempt_key(enum ledger_attempt_kind kind, int64_t subject_id,
                                         int64_t number)
{
    return (struct ledger_row_key){ .a = subject_id, .b = number * 4 + (int64_t)kind };
}

struct ledger_user_row *ledger_rows_user(struct ledger_rows *rows, int64_t user_id)
{
    return find(&rows->users, key_1(user_id));
}

struct ledger_coupon_row *ledger_rows_coupon(struct ledger_rows *rows, int64_t coupon_id)
{
    return find(&rows->coupons, key_1(coupon_id));
}

struct ledger_charge_row *ledger_rows_charge(struct ledger_rows *rows, int64_t user_id,
                                             struct str key)
{
    return find(&rows->charges, key_3(user_id, 0, key));
}

struct ledger_product_row *ledger_rows_product(struct ledger_rows *rows, int64_t product_id)
{
    return find(&rows->products, key_1(product_id));
}

struct ledger_cart_row *ledger_rows_cart(struct ledger_rows *rows, int64_t user_id)
{
    return find(&rows->carts, key_1(user_id));
}

struct ledger_cart_line_row *ledger_rows_cart_line(struct ledger_rows *rows, int64_t user_id,
                                                   int64_t product_id)
{
    return find(&rows->cart_lines, key_2(user_id, product_id));
}

struct ledger_order_row *ledger_rows_order(struct ledger_rows *rows, int64_t order_id)
{
    return find(&rows->orders, key_1(order_id));
}

struct ledger_order_key_row *ledger_rows_order_key(struct ledger_rows *rows, int64_t user_id,
                                                   enum ledger_operation operation, struct str key)
{
    return find(&rows->order_keys, key_3(user_id, operation, key));
}

struct ledger_held_row *ledger_rows_held(struct ledger_rows *rows, int64_t user_id,
                                         int64_t coupon_id)
{
    return find(&rows->held, key_2(user_id, coupon_id));
}

struct ledger_attempt_row *ledger_rows_attempt(struct ledger_rows *rows,
                                               enum ledger_attempt_kind kind, int64_t subject_id,
                                               int64_t number)
{
    return find(&rows->attempts, attempt_key(kind, subject_id, number));
}

struct ledger_sale_row *ledger_rows_sale(struct ledger_rows *rows, int64_t day, int64_t product_id)
{
    return find(&rows->sales, key_2(day, product_id));
}

struct ledger_day_row *ledger_rows_day(struct ledger_rows *rows, int64_t day)
{
    return find(&rows->days, key_1(day));
}

struct ledger_coupon_row *ledger_rows_add_coupon(struct ledger_rows *rows, int64_t coupon_id)
{
    return add(rows, &rows->coupons, key_1(coupon_id));
}

struct ledger_product_row *ledger_rows_add_product(struct ledger_rows *rows, int64_t product_id)
{
    return add(rows, &rows->products, key_1(product_id));
}

struct ledger_order_row *ledger_rows_add_order(struct ledger_rows *rows, int64_t order_id)
{
    return add(rows, &rows->orders, key_1(order_id));
}

struct ledger_attempt_row *ledger_rows_add_attempt(struct ledger_rows *rows,
                                                   enum ledger_attempt_kind kind,
                                                   int64_t subject_id, int64_t number)
{
    struct ledger_attempt_row *row =
        add(rows, &rows->attempts, attempt_key(kind, subject_id, number));

    if (row) {
        row->attempt.kind = kind;
        row->attempt.subject_id = subject_id;
        row->attempt.number = number;
    }
    return row;
}

bool ledger_rows_user_is_there(struct ledger_rows *rows, struct ledger_user_row *user)
{
    if (!user->row.found && !user->created && rows->users_external && user->row.key.a >= 1)
        user->created = true;
    return user->row.found || user->created;
}

void ledger_id_use(int64_t *next_id, int64_t id)
{
    if (id >= *next_id)
        *next_id = id < INT64_MAX ? id + 1 : id;
}

/* ---- what a batch needs ---- */

static enum err need(struct ledger_rows *rows, struct ledger_table *table,
                     struct ledger_row_key key)
{
    return add(rows, table, key) ? ERR_OK : ERR_NOMEM;
}

/* The same, of a row that may change. */
static enum err need_changing(struct ledger_rows *rows, struct ledger_table *table,
                              struct ledger_row_key key)
{
    struct ledger_row *row = add(rows, table, key);

    if (!row)
        return ERR_NOMEM;
    row->locks = true;
    return ERR_OK;
}

static enum err need_sales(struct ledger_rows *rows, int64_t day, const struct order_line *lines,
                           size_t count)
{
    TRY(need(rows, &rows->days, key_1(day)));
    for (size_t i = 0; i < count; i++)
        TRY(need(rows, &rows->sales, key_2(day, lines[i].product_id)));
    return ERR_OK;
}

static enum err need_products(struct ledger_rows *rows, const struct order_line *lines,
                              size_t count, bool change)
{
    for (size_t i = 0; i < count; i++)
        TRY((change ? need_changing : need)(rows, &rows->products, key_1(lines[i].product_id)));
    return ERR_OK;
}

static enum err need_used_coupon(struct ledger_rows *rows, int64_t user_id, int64_t coupon_id)
{
    if (coupon_id == 0)
        return ERR_OK;
    TRY(need(rows, &rows->coupons, key_1(coupon_id)));
    return need(rows, &rows->held, key_2(user_id, coupon_id));
}

static enum err need_order_key(struct ledger_rows *rows, const struct ledger_key *key)
{
    if (!key)
        return ERR_OK;
    return need(rows, &rows->order_keys, key_3(key->user_id, key->operation, key->key));
}

static enum err need_new_order(struct ledger_rows *rows, const struct ledger_command *command)
{
    const struct ledger_order_create *create = &command->order_create;

    rows->needs_ids = true;
    TRY(need_order_key(rows, command->key));
    TRY(need(rows, &rows->users, key_1(create->user_id)));
    TRY(need_products(rows, create->lines, create->line_count, create->pay));
    TRY(need_used_coupon(rows, create->user_id, create->coupon_id));
    return create->pay ? need_sales(rows, rows->today, create->lines, create->line_count) : ERR_OK;
}

static enum err need_import(struct ledger_rows *rows, const struct ledger_order *order)
{
    rows->needs_ids = true;
    TRY(need(rows, &rows->users, key_1(order->user_id)));
    TRY(need_products(rows, order->lines, order->line_count, true));
    if (order->order_id)
        TRY(need(rows, &rows->orders, key_1(order->order_id)));
    if (order->status != ORDER_COMPLETED)
        return ERR_OK;
    return need_sales(rows, clock_day(order->paid_at_ms), order->lines, order->line_count);
}

static enum err need_cart(struct ledger_rows *rows, const struct ledger_cart_change *change)
{
    TRY(need(rows, &rows->users, key_1(change->user_id)));
    TRY(need(rows, &rows->products, key_1(change->product_id)));
    TRY(need(rows, &rows->carts, key_1(change->user_id)));
    return need(rows, &rows->cart_lines, key_2(change->user_id, change->product_id));
}

static enum err need_existing_order(struct ledger_rows *rows, const struct ledger_command *command,
                                    int64_t user_id, int64_t order_id)
{
    TRY(need_order_key(rows, command->key));
    TRY(need(rows, &rows->users, key_1(user_id)));
    return need(rows, &rows->orders, key_1(order_id));
}

static enum err collect_one(struct ledger_rows *rows, const struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_PLACE:
        rows->needs_ids = true;
        return need_changing(rows, &rows->coupons, key_1(command->place.coupon_id));
    case LEDGER_CHARGE:
        rows->needs_ids |= command->charge.gateway;
        TRY(need(rows, &rows->users, key_1(command->charge.user_id)));
        return need(rows, &rows->charges, key_3(command->charge.user_id, 0, command->key->key));
    case LEDGER_COUPON_CREATE:
        rows->needs_ids = true;
        rows->needs_next_coupon_id = command->coupon_create.coupon->coupon_id == 0;
        return rows->needs_next_coupon_id
                   ? ERR_OK
                   : need(rows, &rows->coupons, key_1(command->coupon_create.coupon->coupon_id));
    case LEDGER_COUPON_CHANGE:
        return need_changing(rows, &rows->coupons, key_1(command->coupon_change.coupon_id));
    case LEDGER_COUPON_CLOSING:
        return need_changing(rows, &rows->coupons, key_1(command->coupon_closing.coupon_id));
    case LEDGER_COUPON_EPOCH:
        return need_changing(rows, &rows->coupons, key_1(command->coupon_epoch.coupon_id));
    case LEDGER_USERS_CREATE:
        rows->needs_ids |= command->users_create.from_user_id == 0;
        rows->needs_next_user_id = command->users_create.from_user_id == 0;
        return ERR_OK;
    case LEDGER_PRODUCT_CREATE:
        rows->needs_ids = true;
        rows->needs_next_product_id = command->product_create.product->product_id == 0;
        return rows->needs_next_product_id
                   ? ERR_OK
                   : need(rows, &rows->products,
                          key_1(command->product_create.product->product_id));
    case LEDGER_PRODUCT_CHANGE:
        rows->needs_ids = true; /* categories are counted beside them */
        return need_changing(rows, &rows->products, key_1(command->product_change.product_id));
    case LEDGER_CART_CHANGE:
        return need_cart(rows, &command->cart_change);
    case LEDGER_ORDER_CREATE:
        return need_new_order(rows, command);
    case LEDGER_ORDER_PAY:
        return need_existing_order(rows, command, command->order_pay.user_id,
                                   command->order_pay.order_id);
    case LEDGER_ORDER_CANCEL:
        return need_existing_order(rows, command, command->order_cancel.user_id,
                                   command->order_cancel.order_id);
    case LEDGER_ORDER_IMPORT:
        return need_import(rows, command->order_import.order);
    case LEDGER_ATTEMPT_CLAIM: {
        const struct ledger_attempt *attempt = &command->attempt_claim.attempt;
        return need(rows, &rows->attempts,
                    attempt_key(attempt->kind, attempt->subject_id, attempt->number));
    }
    case LEDGER_ATTEMPT_SETTLE:
        return need(rows, &rows->attempts,
                    attempt_key(command->attempt_settle.kind, command->attempt_settle.subject_id,
                                command->attempt_settle.number));
    case LEDGER_EVENTS_MARK:
    case LEDGER_EVENT_DIE:
    case LEDGER_EVENT_REVIVE:
    case LEDGER_EVENTS_FORGET:
    case LEDGER_RELAY_LEASE:
    case LEDGER_BOARDS_STORE:
    case LEDGER_CLOCK_SET:
    case LEDGER_LOAD_DATA_SET:
    case LEDGER_FORGET:
    case LEDGER_OP_N:
        return ERR_OK;
    }
    return ERR_OK;
}

enum err ledger_rows_collect(struct ledger_rows *rows, struct list *batch, int64_t now_ms)
{
    struct ledger_command *command;

    each_table(rows, ledger_table_clear);
    arena_reset(&rows->arena);
    rows->now_ms = now_ms;
    rows->today = clock_day(now_ms);
    rows->followed_attempts = rows->followed_keys = rows->followed_orders = 0;
    rows->needs_next_coupon_id = rows->needs_next_user_id = rows->needs_next_product_id = false;
    rows->needs_ids = rows->sequences_changed = false;
    rows->events = NULL;
    rows->event_count = rows->event_max = 0;
    rows->events_failed = false;
    LIST_FOREACH (command, batch, struct ledger_command, node)
        TRY(collect_one(rows, command));
    return ERR_OK;
}

/* ---- what the rows that are there need ---- */

/* An attempt names what it is about, and who asked for it. */
static enum err follow_attempt(struct ledger_rows *rows, const struct ledger_attempt_row *row)
{
    const struct ledger_attempt *attempt = &row->attempt;

    if (!row->row.found)
        return ERR_OK;
    TRY(need(rows, &rows->users, key_1(attempt->user_id)));
    if (attempt->kind == LEDGER_ATTEMPT_CHARGE)
        return need(rows, &rows->charges,
                    key_3(attempt->user_id, 0, str_from(attempt->client_key)));
    TRY(need(rows, &rows->orders, key_1(attempt->subject_id)));
    if (!attempt->client_key[0])
        return ERR_OK;
    return need(rows, &rows->order_keys,
                key_3(attempt->user_id, attempt->operation, str_from(attempt->client_key)));
}

/* An answer whose bytes are gone is made again from its order. */
static enum err follow_key(struct ledger_rows *rows, const struct ledger_order_key_row *row)
{
    if (!row->row.found || row->answer.ptr || row->order_id == 0)
        return ERR_OK;
    return need(rows, &rows->orders, key_1(row->order_id));
}

static enum err follow_order(struct ledger_rows *rows, const struct ledger_order_row *row)
{
    const struct ledger_order *order = &row->order;

    if (!row->row.found)
        return ERR_OK;
    TRY(need(rows, &rows->users, key_1(order->user_id)));
    TRY(need_products(rows, order->lines, order->line_count, true));
    TRY(need_used_coupon(rows, order->user_id, order->coupon_id));
    return need_sales(rows, order->status == ORDER_PENDING ? rows->today : order->sold_day,
                      order->lines, order->line_count);
}

enum err ledger_rows_follow(struct ledger_rows *rows, bool *ret_more)
{
    *ret_more = rows->followed_attempts < rows->attempts.count ||
                rows->followed_keys < rows->order_keys.count ||
                rows->followed_orders < rows->orders.count;
    while (rows->followed_attempts < rows->attempts.loaded)
        TRY(follow_attempt(rows, rows->attempts.rows[rows->followed_attempts++]));
    while (rows->followed_keys < rows->order_keys.loaded)
        TRY(follow_key(rows, rows->order_keys.rows[rows->followed_keys++]));
    while (rows->followed_orders < rows->orders.loaded)
        TRY(follow_order(rows, rows->orders.rows[rows->followed_orders++]));
    return ERR_OK;
}
