// SPDX-License-Identifier: Apache-2.0
/*
 * Carts. The order of the checks is the order of the errors that callers see: user, cart, product
 * or line, quantity, stock. A cart exists from the first line that was added, for good.
 */
#include "ledger/ledger_rows.h"

static void line_put(struct ledger_user_row *user, struct ledger_cart_row *cart,
                     struct ledger_cart_line_row *line, int64_t quantity)
{
    if (line->quantity == 0) {
        line->line = ++cart->line_max;
        cart->line_count++;
    }
    line->quantity = quantity;
    line->changed = true;
    if (!user->has_cart)
        user->has_cart = user->changed = true;
}

static void line_remove(struct ledger_cart_row *cart, struct ledger_cart_line_row *line)
{
    line->quantity = 0;
    line->changed = true;
    cart->line_count--;
}

static enum ledger_cart_outcome add(struct ledger_rows *rows,
                                    const struct ledger_cart_change *change,
                                    struct ledger_user_row *user, struct ledger_cart_line_row *line)
{
    struct ledger_cart_row *cart = ledger_rows_cart(rows, change->user_id);
    const struct ledger_product_row *product = ledger_rows_product(rows, change->product_id);
    int64_t sum;

    if (!product->row.found && !product->created)
        return LEDGER_CART_NO_PRODUCT;
    if (change->quantity < 1)
        return LEDGER_CART_INVALID_QUANTITY;
    /* What cannot be counted is more than there is. */
    if (__builtin_add_overflow(line->quantity, change->quantity, &sum) ||
        sum > product->product.stock)
        return LEDGER_CART_INSUFFICIENT_STOCK;
    if (line->quantity == 0 && cart->line_count >= LEDGER_CART_LINES_MAX)
        return LEDGER_CART_FULL;
    line_put(user, cart, line, sum);
    return LEDGER_CART_OK;
}

static enum ledger_cart_outcome set(struct ledger_rows *rows,
                                    const struct ledger_cart_change *change,
                                    struct ledger_user_row *user, struct ledger_cart_line_row *line)
{
    const struct ledger_product_row *product = ledger_rows_product(rows, change->product_id);

    if (change->quantity < 0)
        return LEDGER_CART_INVALID_QUANTITY;
    if (change->quantity > product->product.stock)
        return LEDGER_CART_INSUFFICIENT_STOCK;
    if (change->quantity == 0)
        line_remove(ledger_rows_cart(rows, change->user_id), line);
    else
        line_put(user, ledger_rows_cart(rows, change->user_id), line, change->quantity);
    return LEDGER_CART_OK;
}

void ledger_decide_cart_change(struct ledger_rows *rows, struct ledger_cart_change *change)
{
    struct ledger_user_row *user = ledger_rows_user(rows, change->user_id);
    struct ledger_cart_line_row *line =
        ledger_rows_cart_line(rows, change->user_id, change->product_id);

    if (!ledger_rows_user_is_there(rows, user)) {
        change->outcome = LEDGER_CART_NO_USER;
    } else if (change->what == LEDGER_CART_ADD) {
        change->outcome = add(rows, change, user, line);
    } else if (!user->has_cart) {
        change->outcome = LEDGER_CART_NO_CART;
    } else if (line->quantity == 0) {
        change->outcome = LEDGER_CART_NO_LINE;
    } else if (change->what == LEDGER_CART_SET) {
        change->outcome = set(rows, change, user, line);
    } else {
        line_remove(ledger_rows_cart(rows, change->user_id), line);
        change->outcome = LEDGER_CART_OK;
    }
}
