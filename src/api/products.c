// SPDX-License-Identifier: Apache-2.0
#include "api/products.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

struct product_answer product_answer_of(const struct ledger_product *product)
{
    return (struct product_answer){
        .product_id = product->product_id,
        .price = product->price,
        .stock = product->stock,
        .name = product->name,
        .description_is = product->description.ptr ? JSON_GIVEN : JSON_NULLED,
        .description = product->description,
        .category_is = product->category.ptr ? JSON_GIVEN : JSON_NULLED,
        .category = product->category,
    };
}

/* ---- one ---- */

struct get_call {
    struct api_call *call;
    struct product_get get;
};

static void get_done(struct product_get *get)
{
    struct api_call *call = CONTAINER_OF(get, struct get_call, get)->call;

    if (get->err == ERR_NOT_FOUND) {
        api_problem(call, PROBLEM_PRODUCT_NOT_FOUND, "there is no such product");
    } else if (get->err != ERR_OK) {
        api_store_problem(call, get->err);
    } else {
        struct product_answer answer = product_answer_of(&get->product);
        api_answer(call, 200, &product_answer_json, &answer);
    }
}

void products_get(struct api_call *call)
{
    struct shop_loop *shop = call->loop->shop;
    struct get_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    api_keep(call, changes_of_product(shop->shop->changes, call->ids[0]));
    self->call = call;
    self->get.done = get_done;
    self->get.arena = &call->http->arena;
    self->get.product_id = call->ids[0];
    product_get(shop, &self->get);
}

/* ---- a list ---- */

/*
 * A cursor says by what the list is sorted, and behind which key and id it goes on: "p-2710-7".
 * With another sort it is not one that such a list has given.
 */
enum { CURSOR_BYTES = 40, HEX_DIGITS_MAX = 16 };
static const char cursor_letters[LEDGER_PRODUCT_SORT_N] = {
    [LEDGER_PRODUCTS_BY_ID] = 'i',
    [LEDGER_PRODUCTS_BY_PRICE] = 'p',
    [LEDGER_PRODUCTS_BY_PRICE_DOWN] = 'd',
    [LEDGER_PRODUCTS_NEWEST] = 'n',
};
static const char letter_ranked = 'r', letter_unsold = 'u';

/* "-" and digits without leading zeros, from the front of `text`. */
static bool take_hex(struct str *text, int64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 1;

    if (text->len < 2 || text->ptr[0] != '-' ||
        (text->ptr[1] == '0' && text->len > 2 && text->ptr[2] != '-'))
        return false;
    for (; i < text->len && text->ptr[i] != '-' && i <= HEX_DIGITS_MAX; i++) {
        char c = text->ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return false;
        value = value << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    if (i == 1 || value > INT64_MAX)
        return false;
    *text = (struct str){ text->ptr + i, text->len - i };
    *ret_value = (int64_t)value;
    return true;
}

static bool cursor_parse(struct str text, char letter, int64_t *ret_key, int64_t *ret_id)
{
    if (text.len < 1 || text.ptr[0] != letter)
        return false;
    text = (struct str){ text.ptr + 1, text.len - 1 };
    return take_hex(&text, ret_key) && take_hex(&text, ret_id) && text.len == 0 && *ret_id >= 1;
}

static struct str cursor_make(char letter, int64_t key, int64_t id, char out[CURSOR_BYTES])
{
    int n =
        snprintf(out, CURSOR_BYTES, "%c-%" PRIx64 "-%" PRIx64, letter, (uint64_t)key, (uint64_t)id);

    return (struct str){ out, (size_t)n };
}

static void refuse_cursor(struct api_call *call)
{
    api_invalid(call, "cursor", "is not one that this list has given");
}

/* `cursor`: len 0: this was the last page. */
static void answer_page(struct api_call *call, const struct ledger_product *products, size_t count,
                        int64_t total_count, struct str cursor)
{
    struct product_list_answer answer = { .total_count = total_count,
                                          .next_cursor_is = cursor.len ? JSON_GIVEN : JSON_NULLED,
                                          .next_cursor = cursor };

    answer.products = api_alloc(call, (count + 1) * sizeof *answer.products);
    if (!answer.products)
        return;
    for (size_t i = 0; i < count; i++)
        answer.products[answer.products_count++] = product_answer_of(&products[i]);
    api_answer(call, 200, &product_list_answer_json, &answer);
}

struct list_call {
    struct api_call *call;
    struct product_list list;
};

static void list_done(struct product_list *list)
{
    struct api_call *call = CONTAINER_OF(list, struct list_call, list)->call;
    const struct ledger_product *last = list->count ? &list->products[list->count - 1] : NULL;
    struct str cursor = STR_NONE;
    char text[CURSOR_BYTES];

    if (list->err != ERR_OK) {
        api_store_problem(call, list->err);
        return;
    }
    if (list->more && last)
        cursor = cursor_make(cursor_letters[list->sort],
                             list->sort == LEDGER_PRODUCTS_BY_ID    ? 0
                             : list->sort == LEDGER_PRODUCTS_NEWEST ? last->created_at_ms
                                                                    : last->price,
                             last->product_id, text);
    answer_page(call, list->products, list->count, list->total_count, cursor);
}

static void list_sorted(struct api_call *call, enum ledger_product_sort sort)
{
    struct shop_loop *shop = call->loop->shop;
    const struct product_query *query = call->query;
    struct list_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->list.done = list_done;
    self->list.arena = &call->http->arena;
    self->list.category = query->category_is == JSON_GIVEN ? query->category : STR_NONE;
    self->list.sort = sort;
    self->list.limit = api_page_limit(&query->page);
    if (query->page.cursor_is == JSON_GIVEN &&
        !cursor_parse(query->page.cursor, cursor_letters[sort], &self->list.after_key,
                      &self->list.after)) {
        refuse_cursor(call);
        return;
    }
    api_keep(call, &shop->shop->changes->products);
    product_list(shop, &self->list);
}

/* ---- by popularity ---- */

struct popular_call {
    struct api_call *call;
    struct product_popular list;
};

static void popular_done(struct product_popular *list)
{
    struct api_call *call = CONTAINER_OF(list, struct popular_call, list)->call;
    struct str cursor = STR_NONE;
    char text[CURSOR_BYTES];

    if (list->err == ERR_OVERLOADED) {
        api_problem(call, PROBLEM_OVERLOADED, "too many boards are being added up; try again");
        return;
    }
    if (list->err != ERR_OK) {
        api_store_problem(call, list->err);
        return;
    }
    if (list->more)
        cursor = list->next_unsold ? cursor_make(letter_unsold, 0, list->next, text)
                                   : cursor_make(letter_ranked, 0, list->next, text);
    answer_page(call, list->products, list->count, list->total_count, cursor);
}

static void list_popular(struct api_call *call)
{
    const struct product_query *query = call->query;
    const struct changes *changes = call->loop->shop->shop->changes;
    struct popular_call *self = api_alloc(call, sizeof *self);
    int64_t key;

    if (!self)
        return;
    self->call = call;
    self->list.done = popular_done;
    self->list.arena = &call->http->arena;
    self->list.category = query->category_is == JSON_GIVEN ? query->category : STR_NONE;
    self->list.limit = api_page_limit(&query->page);
    if (query->page.cursor_is == JSON_GIVEN) {
        struct str cursor = query->page.cursor;
        self->list.unsold = cursor_parse(cursor, letter_unsold, &key, &self->list.after);
        if (!self->list.unsold && !cursor_parse(cursor, letter_ranked, &key, &self->list.after)) {
            refuse_cursor(call);
            return;
        }
    }
    /* As the rankings: who is popular changes with the day, too, and with what can be read. */
    api_keep_for_a_moment(call, &changes->products, &changes->sales);
    product_popular(call->loop->shop, &self->list);
}

void products_list(struct api_call *call)
{
    const struct product_query *query = call->query;

    if (query->sort_is == JSON_GIVEN && query->sort == PRODUCTS_BY_POPULARITY)
        list_popular(call);
    else
        list_sorted(call, query->sort_is == JSON_GIVEN ? (enum ledger_product_sort)query->sort
                                                       : LEDGER_PRODUCTS_BY_ID);
}
