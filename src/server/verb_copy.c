// SPDX-License-Identifier: Apache-2.0
/*
 * `copy`: a shop moves from shop.db to PostgreSQL, or back, while no server runs on either. What a
 * gate granted and the source has not stored would be lost on the way, and a gate of another life
 * would be taken for this shop's: both are looked for first.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gate/gate_memory.h"
#include "ledger/ledger_copy.h"
#include "server/stores.h"
#include "server/verb.h"

static struct config_flag flags[] = {
    { "--to", "CONFIG",
      "a configuration file that names where the shop moves: `postgres = URL` (and"
      " `redis = URL`), or `data = DIR`",
      NULL },
    { 0 },
};

struct moving {
    struct config *from_config, to_config;
    struct store from, to;
    struct ledger_copy copy;
    struct ledger_copy_place *places;
    size_t place_max;
    bool failed; /* no memory for places */
    uint64_t told_ns;
    struct config_error *error;
};

/* ---- the two ends ---- */

/* The file alone says it: what the environment says is of the source. */
static enum err load_target(struct moving *self, const char *path)
{
    static char config_flag[] = "--config";
    char *nothing[] = { NULL };
    char *argv[] = { config_flag, (char *)(uintptr_t)path, NULL };
    struct config *to = &self->to_config;

    TRY(config_load(to, 2, argv, nothing, NULL, 0, self->error));
    if (self->from_config->postgres[0] && to->postgres[0])
        return config_refuse(self->error,
                             "both are on PostgreSQL: its own tools move a database (pg_dump)");
    if (!self->from_config->postgres[0] && !to->postgres[0])
        return config_refuse(self->error,
                             "both are shop.db: copy the data directory while no server runs, or "
                             "give %.200s a line `postgres = URL`",
                             path);
    if (!to->postgres[0] && config_source(to, CONFIG_data) != CONFIG_FROM_FILE)
        return config_refuse(self->error,
                             "%.300s does not say where to: a line `data = DIR`, or "
                             "`postgres = URL`",
                             path);
    return ERR_OK;
}

static bool is_journal(const char *name)
{
    size_t length = strlen(name);

    return strncmp(name, "gate-", 5) == 0 && length > 8 &&
           strcmp(name + length - 8, ".journal") == 0;
}

/* A journal of an earlier life would bring places back that are long settled. */
static enum err refuse_journal(struct moving *self)
{
    DIR *directory = opendir(self->to.directory);
    bool found = false;

    for (struct dirent *entry; directory && !found && (entry = readdir(directory)) != NULL;)
        found = is_journal(entry->d_name);
    if (directory)
        closedir(directory);
    if (!found)
        return ERR_OK;
    return config_refuse(self->error, "%.300s holds a gate's journal: choose an empty directory",
                         self->to.directory);
}

/* What both are stamped with is the source's: a file that says otherwise is a mistake. */
static enum err compare_settings(struct moving *self)
{
    const struct ledger_stamp *stamp = &self->from.stamp;
    struct config *to = &self->to_config;

    TRY(config_stamp(to, stamp->profile, stamp->time_zone, self->error));
    if (strcmp(config_profile_name(to->profile), stamp->profile) == 0 &&
        strcmp(to->shop_time_zone, stamp->time_zone) == 0)
        return ERR_OK;
    return config_refuse(self->error,
                         "the shop is of profile %s and time zone %s, and so will its copy be; "
                         "%.200s says otherwise",
                         stamp->profile, stamp->time_zone, to->config_file);
}

static enum err open_source(struct moving *self)
{
    struct store *from = &self->from;

    TRY(store_look(from, self->from_config, self->error));
    if (!from->exists)
        return config_refuse(self->error, "there is no shop in %.300s", from->database);
    TRY(store_lock(from, LOCK_TO_READ, self->error));
    if (from->lock < 0 && !from->postgres) /* no server has ever been there: none may come */
        TRY(store_lock(from, LOCK_TO_WRITE, self->error));
    return store_look(from, self->from_config, self->error);
}

static enum err open_target(struct moving *self)
{
    struct store *to = &self->to;

    TRY(store_place(to, &self->to_config, self->error));
    TRY(compare_settings(self));
    if (to->postgres)
        return ERR_OK;
    TRY(store_make_directory(to, self->error));
    TRY(store_lock(to, LOCK_TO_WRITE, self->error));
    return refuse_journal(self);
}

/* ---- what the gates know ---- */

static bool take_place(void *context, const struct gate_memory_entry *entry)
{
    struct moving *self = context;
    struct ledger_copy *copy = &self->copy;

    self->failed = !MEM_ROOM(self->places, copy->place_count, self->place_max, 1024);
    if (self->failed)
        return false;
    self->places[copy->place_count++] =
        (struct ledger_copy_place){ entry->coupon_id, entry->user_id };
    copy->places = self->places;
    return true;
}

static enum err look_at_journal(struct moving *self)
{
    struct gate_memory_options options = {
        .journal = { .directory = self->from.directory, .read_only = true },
    };
    struct journal_report report = { 0 };
    struct gate *gate = NULL;

    memcpy(options.journal.database_id, self->from.stamp.database_id,
           sizeof options.journal.database_id);
    if (access(self->from.directory, F_OK) != 0)
        return ERR_OK;
    enum err e = gate_memory_open(&options, &report, &gate);
    if (e == ERR_OK)
        gate_memory_remembered(gate, take_place, self);
    gate_memory_free(gate);
    if (e != ERR_OK && e != ERR_NOMEM)
        return config_refuse(self->error, "%s",
                             report.problem[0] ? report.problem : "the journal cannot be read");
    return self->failed ? ERR_NOMEM : e;
}

struct looking {
    struct gate *gate;
    bool source;
    int64_t coupon_id; /* the first that is not as it should be; 0: none */
    enum err err;
};

static bool look_at_coupon(void *context, const struct coupon *coupon)
{
    struct looking *self = context;
    struct gate_picture picture;

    self->err = gate_adopt(self->gate, coupon->coupon_id, coupon->epoch, &coupon->settings);
    if (self->err == ERR_OK)
        self->err = gate_picture(self->gate, coupon->coupon_id, &picture);
    if (self->err != ERR_OK)
        return false;
    bool wrong =
        self->source ? picture.pending_count > 0 : picture.known && picture.epoch >= coupon->epoch;
    gate_picture_fini(&picture);
    if (wrong)
        self->coupon_id = coupon->coupon_id;
    return !wrong;
}

static enum err look_at_gates(struct moving *self, const struct stores *stores, bool source)
{
    struct looking looking = { .gate = stores->gate, .source = source };
    enum err e = ledger_scan_coupons(stores->ledger, look_at_coupon, &looking);

    if (looking.err != ERR_OK)
        return config_refuse(self->error, "Redis of the %s cannot be asked: %s",
                             source ? "source" : "target", err_text(looking.err));
    if (looking.coupon_id && source)
        return config_refuse(self->error,
                             "the gate granted places of coupon %" PRId64
                             " that are not stored yet: start the server on the source and stop "
                             "it, which stores them",
                             looking.coupon_id);
    if (looking.coupon_id)
        return config_refuse(self->error,
                             "Redis of the target has a gate of coupon %" PRId64
                             " already, of another shop or of this one's past: empty it (FLUSHDB), "
                             "or give another",
                             looking.coupon_id);
    return e;
}

static enum err look_at_redis(struct moving *self, struct config *config, bool source)
{
    struct stores stores = { .config = config, .store = &self->from };

    enum err e = stores_look_at_gate(&stores, self->error);
    if (e == ERR_OK)
        e = store_open_at_rest(&self->from, &stores.ledger);
    if (e == ERR_OK)
        e = look_at_gates(self, &stores, source);
    stores_close(&stores);
    return e;
}

static enum err look_at_all_gates(struct moving *self)
{
    if (self->from_config->redis[0])
        TRY(look_at_redis(self, self->from_config, true));
    else
        TRY(look_at_journal(self));
    return self->to_config.redis[0] ? look_at_redis(self, &self->to_config, false) : ERR_OK;
}

/* ---- the verb ---- */

enum { TELL_PERSON_NS = 100000000, TELL_LOG_NS = 2000000000 };

static void progress(void *context, const char *what, const char *table, int64_t rows, int64_t of)
{
    struct moving *self = context;
    uint64_t now_ns = clock_mono_ns();
    bool person = isatty(STDERR_FILENO), whole = rows >= of;

    if (!whole && now_ns - self->told_ns < (uint64_t)(person ? TELL_PERSON_NS : TELL_LOG_NS))
        return;
    self->told_ns = now_ns;
    fprintf(stderr, "%s%s %s: %" PRId64 " of %" PRId64 " rows%s", person ? "\r\033[K" : "", what,
            table, rows, of, person ? "" : "\n");
}

static enum err move(struct moving *self)
{
    struct ledger_copy *copy = &self->copy;

    TRY(open_source(self));
    TRY(open_target(self));
    TRY(look_at_all_gates(self));
    copy->to_postgres = self->to.postgres != NULL;
    copy->url = copy->to_postgres ? self->to.postgres : self->from.postgres;
    copy->path = copy->to_postgres ? self->from.database : self->to.database;
    copy->progress = progress;
    copy->context = self;
    enum err e = ledger_copy_run(copy);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(self->error, "%s%s", copy->why,
                         e == ERR_UNAVAILABLE ? ". Call it again to go on" : "");
}

static int copy(const struct verb *verb, struct config *config)
{
    struct config_error error = { "out of memory" };
    struct moving moving = {
        .from_config = config, .from = { .lock = -1 }, .to = { .lock = -1 }, .error = &error
    };
    const char *to = verb_flag(verb, "--to");
    uint64_t began_ns = clock_mono_ns();

    if (!to)
        return verb_fail(VERB_USAGE, "where to? doorbuster %s", verb->usage);
    umask(0077);
    enum err e = load_target(&moving, to);
    if (e == ERR_OK)
        e = move(&moving);
    if (e == ERR_OK) {
        const struct ledger_copy *done = &moving.copy;
        printf("%s -> %s: %" PRId64 " tables with %" PRId64 " rows are the same in both, %" PRId64
               " coupons agree with their witnesses; %" PRIu64 " s",
               moving.from.database, moving.to.database, done->tables, done->rows, done->coupons,
               (clock_mono_ns() - began_ns) / 1000000000);
        if (done->found)
            printf(" (%" PRId64 " rows were there from an earlier call)", done->found);
        printf("\nStart the server with %s from now on; the source is as it was.\n", to);
    }
    store_unlock(&moving.to);
    store_unlock(&moving.from);
    config_fini(&moving.to_config);
    mem_free(moving.places);
    return e == ERR_OK ? VERB_OK : verb_fail(VERB_FAILED, "%s", error.text);
}

const struct verb verb_copy = {
    .name = "copy",
    .usage = "copy --to CONFIG [FLAGS]",
    .about = "Moves a shop from shop.db to PostgreSQL, or back. No server may run on either.",
    .flags = flags,
    .run = copy,
};
