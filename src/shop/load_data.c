// SPDX-License-Identifier: Apache-2.0
/* The load-test data set. Ids are fixed, because scripts name them; running it twice changes
 * nothing. The load generators' own users come in ranges. */
#include "base/clock.h"
#include "shop/shop.h"

static const struct {
    int64_t from, to, balance;
} users[] = {
    { 1, 1, 20000000000 },     { 2, 2, 500000 },       { 3, 3, 100000 },
    { 4, 153, 100000000 },     { 1000, 10999, 10000 }, { 200000, 200099, 10000 },
    { 300000, 309999, 10000 },
};

#define ELECTRONICS "전자제품"
#define FURNITURE "가구"
#define BOOKS "도서"
#define CLOTHES "의류"
#define SUNDRIES "잡화"
static const struct {
    const char *name, *description, *category;
    int64_t price, stock;
} products[] = {
    /* ids from 1 on */
    { "노트북", "가볍고 빠른 15인치 노트북", ELECTRONICS, 1500000, 10000 },
    { "마우스", "손에 잘 맞는 무선 마우스", ELECTRONICS, 80000, 10000 },
    { "키보드", "조용한 기계식 키보드", ELECTRONICS, 120000, 10000 },
    { "모니터", "27인치 4K 모니터", ELECTRONICS, 500000, 10000 },
    { "헤드셋", "소음을 줄여 주는 무선 헤드셋", ELECTRONICS, 250000, 10000 },
    { "웹캠", "풀 HD 웹캠", ELECTRONICS, 150000, 10000 },
    { "스피커", "책상 위 블루투스 스피커", ELECTRONICS, 95000, 10000 },
    { "마이크", "방송용 USB 마이크", ELECTRONICS, 180000, 0 },
    { "의자", "오래 앉아도 편한 사무용 의자", FURNITURE, 350000, 10000 },
    { "책상", "높이를 바꿀 수 있는 책상", FURNITURE, 450000, 10000 },
    { "모니터 암", "책상에 고정하는 모니터 받침대", FURNITURE, 75000, 2 },
    { "자바 프로그래밍", "기초부터 배우는 자바", BOOKS, 45000, 10000 },
    { "스프링 입문", "스프링으로 만드는 웹 서비스", BOOKS, 38000, 10000 },
    { "도메인 주도 설계", "복잡한 문제를 다루는 설계", BOOKS, 42000, 10000 },
    { "클린 아키텍처", "소프트웨어 구조와 설계의 원칙", BOOKS, 35000, 10000 },
    { "리팩터링", "코드를 더 낫게 고치는 방법", BOOKS, 40000, 10000 },
    { "티셔츠", "부드러운 면 티셔츠", CLOTHES, 25000, 10000 },
    { "후드티", "따뜻한 기모 후드티", CLOTHES, 55000, 10000 },
    { "양말", "발이 편한 양말 세 켤레", CLOTHES, 12000, 10000 },
    { "스티커", "노트북을 꾸미는 스티커", SUNDRIES, 1000, 10000 },
    { "워크스테이션", "전문가를 위한 워크스테이션", ELECTRONICS, 15000000, 100 },
};

static const struct {
    int64_t user_id, product_id, quantity;
} cart_lines[] = { { 1, 1, 1 }, { 1, 2, 2 }, { 2, 3, 1 } };

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

/* In the order of their ids, 1 and on; days before today. Paid in them: 12 × product 2, 9 × 3, 6 ×
 * 1, 4 × 5, 2 × 4. */
enum { LINES_MAX = 4 };
static const struct {
    int64_t user_id, days_ago;
    enum order_status status;
    struct {
        int64_t product_id, quantity;
    } lines[LINES_MAX];
} orders[] = {
    { 1, 2, ORDER_COMPLETED, { { 2, 1 }, { 3, 1 } } },
    { 1, 2, ORDER_CANCELLED, { { 9, 1 } } },
    { 2, 2, ORDER_COMPLETED, { { 1, 1 }, { 2, 1 } } },
    { 1, 2, ORDER_COMPLETED, { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 5, 1 } } },
    { 3, 2, ORDER_CANCELLED, { { 20, 1 } } },
    { 3, 2, ORDER_COMPLETED, { { 2, 2 }, { 5, 1 } } },
    { 2, 2, ORDER_CANCELLED, { { 3, 1 } } },
    { 1, 2, ORDER_COMPLETED, { { 3, 1 }, { 5, 1 } } },
    { 1, 1, ORDER_COMPLETED, { { 1, 1 }, { 2, 2 } } },
    { 1, 1, ORDER_COMPLETED, { { 3, 2 } } },
    { 2, 1, ORDER_COMPLETED, { { 2, 2 }, { 3, 1 } } },
    { 1, 1, ORDER_PENDING, { { 1, 1 } } },
    { 1, 1, ORDER_COMPLETED, { { 2, 2 }, { 4, 1 } } },
    { 2, 1, ORDER_COMPLETED, { { 3, 2 }, { 5, 1 } } },
    { 3, 1, ORDER_COMPLETED, { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } } },
    { 1, 1, ORDER_COMPLETED, { { 1, 2 } } },
    { 2, 1, ORDER_PENDING, { { 12, 1 } } },
    { 1, 1, ORDER_PENDING, { { 20, 3 } } },
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

static enum err add_products(struct ledger *ledger, struct load_data_report *report)
{
    for (size_t i = 0; i < ARRAY_COUNT(products); i++) {
        struct ledger_product product = { .product_id = (int64_t)i + 1,
                                          .price = products[i].price,
                                          .stock = products[i].stock,
                                          .name = str_from(products[i].name),
                                          .description = str_from(products[i].description),
                                          .category = str_from(products[i].category) };
        struct ledger_command command = { .op = LEDGER_PRODUCT_CREATE,
                                          .product_create = { .product = &product } };
        ledger_run(ledger, &command);
        TRY(command.err);
        report->products += !command.product_create.taken;
    }
    return ERR_OK;
}

static enum err change_cart(struct ledger *ledger, size_t line, unsigned what, int64_t quantity,
                            enum ledger_cart_outcome *ret_outcome)
{
    struct ledger_command command = { .op = LEDGER_CART_CHANGE,
                                      .cart_change = { .user_id = cart_lines[line].user_id,
                                                       .product_id = cart_lines[line].product_id,
                                                       .what = what,
                                                       .quantity = quantity } };

    ledger_run(ledger, &command);
    *ret_outcome = command.cart_change.outcome;
    return command.err;
}

/* A quantity that cannot be asks what is there: a user's own cart is left alone, unless it is ours
 * and not finished. */
static enum err add_carts(struct ledger *ledger, bool begun, struct load_data_report *report)
{
    int64_t ours = 0; /* the user whose cart is new */

    for (size_t i = 0; i < ARRAY_COUNT(cart_lines); i++) {
        enum ledger_cart_outcome outcome;
        TRY(change_cart(ledger, i, LEDGER_CART_SET, -1, &outcome));
        if (outcome == LEDGER_CART_NO_CART)
            ours = cart_lines[i].user_id;
        if (outcome != LEDGER_CART_NO_CART &&
            (outcome != LEDGER_CART_NO_LINE || (!begun && ours != cart_lines[i].user_id)))
            continue;
        TRY(change_cart(ledger, i, LEDGER_CART_ADD, cart_lines[i].quantity, &outcome));
        report->cart_lines += outcome == LEDGER_CART_OK;
    }
    return ERR_OK;
}

static size_t lines_of(size_t i, struct order_line *lines)
{
    size_t count = 0;

    for (; count < LINES_MAX && orders[i].lines[count].quantity; count++) {
        size_t product = (size_t)orders[i].lines[count].product_id - 1;
        lines[count] = (struct order_line){ .product_id = (int64_t)product + 1,
                                            .quantity = orders[i].lines[count].quantity,
                                            .unit_price = products[product].price,
                                            .name = str_from(products[product].name) };
    }
    return count;
}

/* Some time between nine and three, so that no change of the clocks makes it another day. */
static int64_t time_of(size_t i, int64_t now_ms)
{
    const int64_t minute_ms = 60000;
    int64_t minutes = 9 * 60 + (int64_t)i * 20 - (int64_t)clock_zone_offset_s(now_ms) / 60;

    return (clock_day(now_ms) - orders[i].days_ago) * DAY_MS + minutes * minute_ms;
}

static enum err add_orders(struct ledger *ledger, int64_t now_ms, struct load_data_report *report)
{
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        struct order_line lines[LINES_MAX];
        int64_t at_ms = time_of(i, now_ms), done_ms = at_ms + 90000;
        struct ledger_order order = { .order_id = (int64_t)i + 1,
                                      .user_id = orders[i].user_id,
                                      .status = orders[i].status,
                                      .lines = lines,
                                      .line_count = lines_of(i, lines),
                                      .created_at_ms = at_ms };
        struct ledger_command command = { .op = LEDGER_ORDER_IMPORT,
                                          .order_import = { .order = &order } };
        if (order.status == ORDER_COMPLETED)
            order.paid_at_ms = done_ms;
        else if (order.status == ORDER_CANCELLED)
            order.cancelled_at_ms = done_ms;
        if (!order_price(lines, order.line_count, 0, &order.subtotal, &order.discount))
            return ERR_INVALID;
        ledger_run(ledger, &command);
        TRY(command.err);
        report->orders += !command.order_import.taken;
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
    TRY(add_products(ledger, ret_report));
    TRY(add_carts(ledger, begun, ret_report));
    TRY(add_orders(ledger, now_ms, ret_report));
    return mark(ledger, LEDGER_LOAD_DATA_DONE);
}
