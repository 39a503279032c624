// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "ledger/ledger_batch.h"
#include "ledger/ledger_client.h"
#include "ledger/ledger_pg.h"
#include "ledger/ledger_pg_events.h"
#include "ledger/ledger_pg_trip.h"
#include "ledger/ledger_rows.h"
#include "ledger/ledger_sums.h"
#include "pg/pg_pool.h"

enum { PG_READERS = 8, PG_READS_AT_ONCE = 16, PG_TRIES_MAX = 8 };

/* One batch at a time: a connection is borrowed, the rows are loaded in one round trip, decided,
 * and stored and committed in the next. */
struct pg_writer {
    struct pg_ledger *ledger;
    size_t number;
    struct ledger_rows rows;
    struct list batch;    /* being tried */
    struct list todo;     /* to be tried one by one */
    struct list finished; /* with their errors */
    size_t count;         /* of the batch that was taken */
    bool chooses;         /* its only command asked the ledger to choose an id */
    bool busy, one_by_one, loading, watched;
    bool recalled;   /* nothing was loaded: see struct pg_recalled */
    bool uncertain;  /* a try may have stored the batch, and it is tried again all the same */
    bool places_new; /* its places are stored without care */
    unsigned tries, passes;
    uint64_t started_ns, give_up_ms;
    struct pg_borrow borrow;
    struct pg_conn *conn;
    struct pg_trip trip;
    struct pg_exchange exchange;
    struct ledger_changes changes;
    struct loop_timer pause;
};

/* What the last batches of places left of their coupons, and how far that can be relied on. */
enum { PG_RECALLED_MAX = 16 };
struct pg_recalled {
    struct coupon coupons[PG_RECALLED_MAX];
    size_t count;
    int64_t next_user_coupon_id, clock_offset_ms;
    uint64_t loaded_ms; /* the last time that coupons were loaded */
    unsigned unchanged; /* so many times in a row they were as they had been left */
};

/* Reads that came together share a round trip. */
struct pg_reader {
    struct pg_ledger *ledger;
    struct ledger_read *reads[PG_READS_AT_ONCE];
    size_t count;
    bool busy;
    struct pg_borrow borrow;
    struct pg_conn *conn;
    struct pg_trip trip;
    struct pg_exchange exchange;
};

struct pg_ledger {
    struct ledger base;
    struct ledger_pg_options options;
    char *url; /* owned */
    char settings_sql[512];
    struct loop *loop; /* the store loop */
    pthread_t thread;
    bool runs;
    _Atomic bool wake_sent;
    PGconn *outbox; /* of whoever relays; or NULL */
    bool outbox_said;
    /* the store loop's, from here on */
    struct pg_source *source;
    struct pg_pool *pool;
    struct pg_writer writers[LEDGER_WRITERS_MAX];
    struct pg_reader readers[PG_READERS];
    bool loading; /* a batch is not locked yet: those behind it wait, to come after it */
    struct pg_recalled recalled;
    struct list reads; /* waiting, by their task's node */
    size_t beats;      /* under way */
    struct loop_task wake, stop;
    struct loop_hook hook;
    bool look; /* at the end of the turn: there may be something to begin */
    struct loop_timer linger;
    int64_t seen_offset_ms; /* the test clock's, of the store */
    int64_t ahead_ms;       /* the database's clock, of ours */
    bool stopping;
};

/* ledger_pg_writer.c */
void ledger_pg_writer_init(struct pg_writer *writer, struct pg_ledger *ledger, size_t number);
void ledger_pg_writer_fini(struct pg_writer *writer);
/* Takes what is queued, as far as there are writers that have nothing to do. */
void ledger_pg_write(struct pg_ledger *ledger);

/* ledger_pg_load.c: the rows that a batch needs and has not looked up. Those that may change are
 * locked in the first pass, in this order: users, coupons, orders, products, the store. */
enum err ledger_pg_load_add(struct pg_writer *writer) MUST_CHECK;
void ledger_pg_begin_add(struct pg_writer *writer, int tag);
/* ledger_pg_load_take.c: *ret_more: another pass. ERR_CONFLICT: the rows changed meanwhile, begin
 * again. */
enum err ledger_pg_load_take(struct pg_writer *writer, bool *ret_more) MUST_CHECK;

/* ledger_pg_load_orders.c */
enum err ledger_pg_order(struct arena *arena, const PGresult *result, int row, int column,
                         struct ledger_order *ret_order) MUST_CHECK;
/* From `column` on: product_id, quantity, unit_price, name. */
enum err ledger_pg_line(struct arena *arena, const PGresult *result, int row, int column,
                        struct ledger_order *order) MUST_CHECK;
/* From `column` on: claim, user_id, amount, operation, idempotency_key, started_at. */
void ledger_pg_attempt(const PGresult *result, int row, int column, struct ledger_attempt *attempt);

/* ledger_pg_store.c: what changed, as statements; then what came of them. */
enum err ledger_pg_store_add(struct pg_writer *writer) MUST_CHECK;
enum err ledger_pg_store_take(struct pg_writer *writer) MUST_CHECK;
void ledger_pg_store_orders_add(struct pg_writer *writer);
void ledger_pg_store_shop_add(struct pg_writer *writer);
enum err ledger_pg_boards_add(struct pg_writer *writer,
                              struct ledger_boards_store *store) MUST_CHECK;

/* ledger_pg_places.c */
void ledger_pg_places_add(struct pg_writer *writer);
void ledger_pg_places_take(struct pg_writer *writer, const PGresult *result);
void ledger_pg_places_new(struct pg_writer *writer);

/* ledger_pg_recall.c: a batch of new places without loading, by what the one before it left. True:
 * the rows are filled in; what is stored begins with the first and has the second for its numbers.
 */
bool ledger_pg_recall(struct pg_writer *writer);
void ledger_pg_recall_add(struct pg_writer *writer);
void ledger_pg_recall_numbers_add(struct pg_writer *writer);
/* A batch was loaded; was stored; may have left anything. */
void ledger_pg_recall_loaded(struct pg_writer *writer, int64_t clock_offset_ms);
void ledger_pg_recall_stored(struct pg_writer *writer);
void ledger_pg_recall_forget(struct pg_writer *writer);

/* ledger_pg_events.c: NULL: that consumer is to have it */
void ledger_pg_event_consumer_add(struct pg_trip *trip, unsigned consumers,
                                  enum ledger_consumer consumer);

/* ledger_pg_beat.c */
void ledger_pg_beat(struct ledger_client *client, struct ledger_beat *beat);

/* ledger_pg_read.c */
void ledger_pg_read(struct ledger_client *client, struct ledger_read *read);
void ledger_pg_reader_init(struct pg_reader *reader, struct pg_ledger *ledger);
void ledger_pg_reader_fini(struct pg_reader *reader);
bool ledger_pg_readers_busy(const struct pg_ledger *ledger);
/* Starts what waits, as far as there are readers that have nothing to do. */
void ledger_pg_read_waiting(struct pg_ledger *ledger);
/* ledger_pg_read_orders.c, ledger_pg_read_shop.c: false, ERR_INVALID: not one of theirs */
bool ledger_pg_read_orders_add(struct pg_trip *trip, const struct ledger_read *read);
enum err ledger_pg_read_orders_take(struct ledger_read *read, const PGresult *result) MUST_CHECK;
bool ledger_pg_read_shop_add(struct pg_trip *trip, const struct ledger_read *read);
enum err ledger_pg_read_shop_take(const struct pg_ledger *ledger, struct ledger_read *read,
                                  const PGresult *result) MUST_CHECK;

/* ledger_pg_outbox.c */
enum err ledger_pg_relay_sales(struct ledger *ledger, struct ledger_sales_relay *relay) MUST_CHECK;
void ledger_pg_outbox_fini(struct pg_ledger *ledger);

/* ledger_pg_scan.c */
enum err ledger_pg_scan_coupons(struct ledger *ledger,
                                bool (*each)(void *context, const struct coupon *coupon),
                                void *context) MUST_CHECK;
enum err ledger_pg_scan_rows(struct ledger *ledger, struct ledger_scan *scan) MUST_CHECK;

enum err ledger_pg_sums_read(PGconn *conn, struct sales_days days, struct str category,
                             struct ledger_sums *sums) MUST_CHECK;

/* Columns in the order in which they are taken. */
#define PG_COUPON_COLUMNS                                                                 \
    "coupon_id, name, discount_rate, uses_per_user, total_quantity, starts_at, ends_at, " \
    "closed, version, epoch, issued, highest_slot, witness, closing"
void ledger_pg_coupon(const PGresult *result, int row, struct coupon *ret_coupon);
#define PG_HELD_COLUMNS \
    "coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at, uses, used_at"
enum { PG_HELD_COLUMN_COUNT = 8 };
void ledger_pg_held(const PGresult *result, int row, int column, struct ledger_held *ret_held);
#define PG_PRODUCT_COLUMNS                                          \
    "product_id, name, description, category, price, stock, held, " \
    "created_at, category_version"
enum { PG_PRODUCT_COLUMN_COUNT = 9 };
enum err ledger_pg_product(struct arena *arena, const PGresult *result, int row, int column,
                           struct ledger_product *ret_product) MUST_CHECK;
#define PG_ORDER_COLUMNS                                                              \
    "order_id, user_id, status, coupon_id, subtotal, discount, created_at, paid_at, " \
    "cancelled_at, sold_day, transaction_id, attempts, open_attempt"
enum { PG_ORDER_COLUMN_COUNT = 13 };
