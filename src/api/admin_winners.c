// SPDX-License-Identifier: Apache-2.0
/* A coupon's rows: a page as JSON, or all of them as CSV, streamed page by page as fast as the
 * caller takes them. */
#include "api/admin.h"
#include "api/api_json.h"
#include "base/clock.h"

enum { CSV_PAGE = 100 };

struct winners_call {
    struct api_call *call;
    int64_t uses_per_user; /* of the coupon; a slow reader outlives the catalogue's own object */
    struct ledger_read read;
    struct arena arena; /* of one page */
    bool streaming;
};

static int state_of(const struct winners_call *self, const struct ledger_held *row)
{
    return (int)coupon_held_state(row->uses, self->uses_per_user, row->expires_at_ms,
                                  clock_wall_ms());
}

static void read_page(struct winners_call *self)
{
    self->read.op = LEDGER_READ_WINNERS;
    self->read.coupon_id = self->call->ids[0];
    ledger_read(self->call->loop->shop->ledger, &self->read);
}

/* ---- JSON ---- */

static void page_done(struct ledger_read *read)
{
    struct winners_call *self = CONTAINER_OF(read, struct winners_call, read);
    struct api_call *call = self->call;
    struct winners_answer answer = { .next_cursor_is = JSON_NULLED };
    char cursor[API_CURSOR_BYTES];

    if (read->err != ERR_OK) {
        api_store_problem(call, read->err);
        return;
    }
    answer.total_count = read->total_count;
    answer.winners = api_alloc(call, (read->row_count + 1) * sizeof *answer.winners);
    if (!answer.winners)
        return;
    for (size_t i = 0; i < read->row_count; i++)
        answer.winners[answer.winners_count++] =
            (struct winner_answer){ .sequence_number = read->rows[i].slot,
                                    .user_id = read->rows[i].user_id,
                                    .user_coupon_id = read->rows[i].user_coupon_id,
                                    .status = state_of(self, &read->rows[i]),
                                    .issued_at_ms = read->rows[i].issued_at_ms };
    if (read->more) {
        answer.next_cursor_is = JSON_GIVEN;
        answer.next_cursor = api_cursor(read->rows[read->row_count - 1].slot, cursor);
    }
    api_answer(call, 200, &winners_answer_json, &answer);
}

/* ---- CSV ---- */

static void stream_end(struct winners_call *self, bool whole)
{
    struct http_request *request = self->call->http;

    arena_fini(&self->arena);
    if (whole)
        http_stream_end(request);
    else
        http_stream_abort(request);
}

static enum http_stream write_rows(struct winners_call *self)
{
    struct buf text = { 0 };
    char time[CLOCK_RFC3339_BYTES];

    for (size_t i = 0; i < self->read.row_count; i++) {
        const struct ledger_held *row = &self->read.rows[i];
        clock_format_rfc3339(row->issued_at_ms, time);
        buf_printf(&text, "%lld,%lld,%lld,%s,%s\r\n", (long long)row->slot, (long long)row->user_id,
                   (long long)row->user_coupon_id, held_state_names[state_of(self, row)].name,
                   time);
    }
    enum http_stream then =
        buf_ok(&text) ? http_stream_write(self->call->http, buf_str(&text)) : HTTP_STREAM_GONE;
    buf_fini(&text);
    return then;
}

static void csv_page_done(struct ledger_read *read)
{
    struct winners_call *self = CONTAINER_OF(read, struct winners_call, read);

    if (!self->streaming) {
        if (read->err != ERR_OK) {
            api_store_problem(self->call, read->err);
            return;
        }
        self->streaming = true;
        http_stream_begin(self->call->http, 200, STR("text/csv; charset=utf-8"));
        http_stream_write(self->call->http,
                          STR("sequenceNumber,userId,userCouponId,status,issuedAt\r\n"));
    }
    enum http_stream then = read->err == ERR_OK ? write_rows(self) : HTTP_STREAM_GONE;
    if (then == HTTP_STREAM_GONE || !read->more) {
        stream_end(self, then != HTTP_STREAM_GONE);
        return;
    }
    read->after = read->rows[read->row_count - 1].slot;
    arena_reset(&self->arena);
    if (then == HTTP_STREAM_GO)
        read_page(self);
}

static void csv_drained(struct http_request *request)
{
    struct winners_call *self = ((const struct api_call *)request->user)->state;

    if (http_request_peer_gone(request))
        stream_end(self, false);
    else
        read_page(self);
}

static bool wants_csv(struct api_call *call)
{
    struct str accept = http_request_header(call->http, STR("Accept"));

    return accept.len && memmem(accept.ptr, accept.len, "text/csv", 8) != NULL;
}

void admin_winners(struct api_call *call)
{
    const struct page_query *query = call->query;
    const struct coupon *coupon = catalog_find(call->loop->shop->shop->catalog, call->ids[0]);
    struct winners_call *self;
    int64_t after = 0;

    if (!coupon) {
        api_problem(call, PROBLEM_NOT_FOUND, "there is no such coupon");
        return;
    }
    if (!api_page_after(call, query, &after))
        return;
    self = api_alloc(call, sizeof *self);
    if (!self)
        return;
    self->call = call;
    self->uses_per_user = coupon->uses_per_user;
    self->read.after = after;
    if (wants_csv(call)) {
        call->state = self;
        call->http->on_drain = csv_drained;
        self->read.done = csv_page_done;
        self->read.arena = &self->arena;
        self->read.limit = CSV_PAGE;
    } else {
        self->read.done = page_done;
        self->read.arena = &call->http->arena;
        self->read.limit = api_page_limit(query);
    }
    read_page(self);
}
