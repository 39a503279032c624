// SPDX-License-Identifier: Apache-2.0
/*
 * Server-sent events: the top 10 of a window, whenever it has changed. A loop looks at a window's
 * board four times a second, once for all who listen, and only if something was sold; who is slow
 * gets the newest state when there is room again, so nothing is queued but what is being sent.
 */
#include "api/ranking_stream.h"

#include "api/ranking.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    LOOK_MS = 250,
    LOOKS_STALE = 8, /* with the primary away, what is there instead changes every ten minutes */
    KEEP_ALIVE_MS = 15000,
    ENTRIES = 10,
};

struct board {
    struct ranking_streams *streams;
    struct list listeners;
    struct ranking_top top;
    struct arena arena;     /* of one read */
    struct buf event, said; /* what is sent; the same without times, to see changes */
    uint64_t number;        /* of the event; 0: none yet */
    bool reading;
    uint64_t seen_version, seen_sales, seen_listed;
    int64_t seen_day;
    unsigned looks;
};

struct ranking_streams {
    struct api_loop *loop;
    struct board boards[SALES_WINDOW_N];
    struct loop_timer timer;
    bool timing, ended;
};

struct listener {
    struct list node;
    struct api_call *call;
    struct board *board;
    uint64_t has; /* number of the event that it got last */
    uint64_t sent_ms;
    bool paused;
};

/* ---- one listener ---- */

static void listener_gone(struct listener *listener)
{
    struct api_loop *loop = listener->call->loop;

    list_remove(&listener->node);
    atomic_fetch_sub_explicit(&loop->api->streams_open, 1, memory_order_relaxed);
    metrics_level(loop->metrics, METRIC_ranking_streams, -1);
}

/* The listener is gone afterwards. */
static void listener_end(struct listener *listener, bool whole)
{
    struct http_request *request = listener->call->http;

    listener_gone(listener);
    if (whole)
        http_stream_end(request);
    else
        http_stream_abort(request);
}

static void listener_write(struct listener *listener, struct str bytes)
{
    listener->sent_ms = loop_now_ms(listener->call->loop->shop->loop);
    switch (http_stream_write(listener->call->http, bytes)) {
    case HTTP_STREAM_GO:
        return;
    case HTTP_STREAM_PAUSE:
        listener->paused = true;
        return;
    case HTTP_STREAM_GONE:
        listener_end(listener, false);
    }
}

static void listener_look(struct listener *listener, uint64_t now_ms)
{
    const struct board *board = listener->board;

    if (listener->paused)
        return;
    if (board->number != listener->has &&
        (!listener->has || now_ms - listener->sent_ms >= LOOK_MS)) {
        listener->has = board->number;
        listener_write(listener, buf_str(&board->event));
    } else if (now_ms - listener->sent_ms >= KEEP_ALIVE_MS) {
        listener_write(listener, STR(": still here\n\n"));
    }
}

static void on_drain(struct http_request *request)
{
    struct listener *listener = ((const struct api_call *)request->user)->state;

    if (http_request_peer_gone(request))
        listener_end(listener, false);
    else
        listener->paused = false; /* the next look sends the newest */
}

/* ---- a board ---- */

static void board_look_all(struct board *board)
{
    uint64_t now_ms = loop_now_ms(board->streams->loop->shop->loop);
    struct list *node = board->listeners.next, *next;

    for (; node != &board->listeners; node = next) {
        next = node->next;
        listener_look(CONTAINER_OF(node, struct listener, node), now_ms);
    }
}

static bool render(struct board *board, struct ranking_top_answer *answer, struct buf *said,
                   struct buf *event)
{
    enum json_presence as_of_is = answer->as_of_ms_is;

    answer->as_of_ms_is = JSON_NULLED;
    json_render(said, &ranking_top_answer_json, answer);
    answer->as_of_ms_is = as_of_is;
    buf_printf(event, "id: %llu\ndata: ", (unsigned long long)board->number + 1);
    json_render(event, &ranking_top_answer_json, answer);
    buf_literal(event, "\n\n");
    return buf_ok(said) && buf_ok(event);
}

/* What was read, if it is something new. Without memory it is looked at again later. */
static void board_take(struct board *board)
{
    struct ranking_top_answer answer;
    struct buf said = { 0 }, event = { 0 };
    bool kept = board->top.err == ERR_OK &&
                ranking_answer_of(board->streams->loop->shop->shop, &board->top, &answer) &&
                render(board, &answer, &said, &event) &&
                !(board->number && str_equal(buf_str(&said), buf_str(&board->said)));

    if (kept) {
        buf_fini(&board->said);
        buf_fini(&board->event);
        board->said = said;
        board->event = event;
        board->number++;
        return;
    }
    buf_fini(&said);
    buf_fini(&event);
}

static void board_end_all(struct board *board)
{
    while (!list_empty(&board->listeners))
        listener_end(CONTAINER_OF(board->listeners.next, struct listener, node), true);
}

static void board_read(struct ranking_top *top)
{
    struct board *board = CONTAINER_OF(top, struct board, top);

    board_take(board);
    if (top->err != ERR_OK)
        board->seen_day = INT64_MIN; /* once more */
    arena_reset(&board->arena);
    board->reading = false;
    if (board->streams->ended)
        board_end_all(board);
    else
        board_look_all(board);
}

/* May what it says have changed? */
static bool board_moved(struct board *board)
{
    const struct shop *shop = board->streams->loop->shop->shop;
    uint64_t version = shop->ranking ? ranking_status(shop->ranking).version : 0;
    uint64_t sales = atomic_load_explicit(&shop->changes->sales, memory_order_acquire);
    uint64_t listed = atomic_load_explicit(&shop->changes->listed, memory_order_acquire);
    int64_t day = clock_day(clock_wall_ms());
    bool stale = board->number && board->top.said.stale && ++board->looks % LOOKS_STALE == 0;
    bool unreadable = board->number && !board->top.said.stale && shop->ranking &&
                      !ranking_status(shop->ranking).readable;
    bool back = board->number && board->top.said.stale && shop->ranking &&
                ranking_status(shop->ranking).readable;
    bool moved = version != board->seen_version || sales != board->seen_sales ||
                 listed != board->seen_listed || day != board->seen_day || stale || unreadable ||
                 back;

    board->seen_version = version;
    board->seen_sales = sales;
    board->seen_listed = listed; /* names */
    board->seen_day = day;
    return moved;
}

static void board_look(struct board *board)
{
    if (board->reading || list_empty(&board->listeners))
        return;
    if (!board_moved(board)) {
        board_look_all(board);
        return;
    }
    board->reading = true;
    board->top.arena = &board->arena;
    board->top.done = board_read;
    board->top.window = (enum sales_window)(board - board->streams->boards);
    board->top.day = board->seen_day;
    board->top.limit = ENTRIES;
    ranking_top(board->streams->loop->shop, &board->top);
}

/* ---- all of a loop ---- */

static bool anybody_listens(const struct ranking_streams *streams)
{
    for (int i = 0; i < SALES_WINDOW_N; i++)
        if (!list_empty(&streams->boards[i].listeners))
            return true;
    return false;
}

static void look(struct loop_timer *timer)
{
    struct ranking_streams *streams = CONTAINER_OF(timer, struct ranking_streams, timer);

    streams->timing = false;
    for (int i = 0; i < SALES_WINDOW_N; i++)
        board_look(&streams->boards[i]);
    if (!streams->ended && anybody_listens(streams))
        streams->timing = loop_timer_start(streams->loop->shop->loop, timer, LOOK_MS) == ERR_OK;
}

static struct ranking_streams *streams_of(struct api_loop *loop)
{
    struct ranking_streams *streams = loop->streams;

    if (streams || !(streams = mem_alloc(sizeof *streams)))
        return streams;
    streams->loop = loop;
    streams->timer.run = look;
    for (int i = 0; i < SALES_WINDOW_N; i++) {
        streams->boards[i].streams = streams;
        streams->boards[i].seen_day = INT64_MIN;
        list_init(&streams->boards[i].listeners);
    }
    loop->streams = streams;
    return streams;
}

void ranking_streams_end(struct api_loop *loop)
{
    struct ranking_streams *streams = streams_of(loop);

    if (!streams)
        return;
    streams->ended = true;
    loop_timer_stop(&streams->timer);
    for (int i = 0; i < SALES_WINDOW_N; i++)
        if (!streams->boards[i].reading)
            board_end_all(&streams->boards[i]);
}

void ranking_streams_fini(struct api_loop *loop)
{
    struct ranking_streams *streams = loop->streams;

    for (int i = 0; streams && i < SALES_WINDOW_N; i++) {
        buf_fini(&streams->boards[i].event);
        buf_fini(&streams->boards[i].said);
        arena_fini(&streams->boards[i].arena);
    }
    if (streams)
        loop_timer_stop(&streams->timer);
    loop->streams = mem_free(streams);
}

/* ---- the handler ---- */

static bool may_open(struct api_loop *loop)
{
    int64_t max = loop->api->config->ranking_streams_max;

    if (atomic_fetch_add_explicit(&loop->api->streams_open, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(&loop->api->streams_open, 1, memory_order_relaxed);
    return false;
}

static void listen_begin(struct api_call *call, struct ranking_streams *streams,
                         struct listener *listener, enum sales_window window)
{
    struct http_request *request = call->http;

    metrics_level(call->loop->metrics, METRIC_ranking_streams, 1);
    *listener = (struct listener){ .call = call,
                                   .board = &streams->boards[window],
                                   .sent_ms = loop_now_ms(call->loop->shop->loop) };
    list_append(&listener->board->listeners, &listener->node);
    call->state = listener;
    request->on_drain = on_drain;
    http_response_header(request, STR("Cache-Control"), STR("no-store"));
    http_response_header(request, STR("X-Accel-Buffering"), STR("no"));
    http_stream_begin(request, 200, STR("text/event-stream"));
    if (request->method == HTTP_HEAD)
        listener_end(listener, true);
    else if (!streams->timing)
        look(&streams->timer);
    else
        board_look(listener->board);
}

void ranking_get_stream(struct api_call *call)
{
    const struct ranking_stream_query *query = call->query;
    struct ranking_streams *streams = streams_of(call->loop);

    if (!streams) {
        api_problem(call, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    if (streams->ended || !may_open(call->loop)) {
        api_problem(call, PROBLEM_OVERLOADED, "too many streams are open, or the server is ending");
        return;
    }
    struct listener *listener = arena_alloc(&call->http->arena, sizeof *listener);
    if (listener) {
        listen_begin(call, streams, listener, (enum sales_window)query->window);
        return;
    }
    atomic_fetch_sub_explicit(&call->loop->api->streams_open, 1, memory_order_relaxed);
    api_problem(call, PROBLEM_OVERLOADED, "out of memory");
}
