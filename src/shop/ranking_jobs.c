// SPDX-License-Identifier: Apache-2.0
/*
 * What the first loop does for the ranking, looked at ten times a second: a full copy when it wants
 * one, a backup when it is time, and what a new day needs. What blocks runs on a thread for that.
 */
#include "base/clock.h"
#include "base/log.h"
#include "shop/ranking_internal.h"

enum {
    LOOK_MS = 100,
    COPY_AGAIN_MS = 500,      /* after one that did not come to its end */
    AFTER_START_MS = 30000,   /* what the process before this one did not get to */
    AFTER_MIDNIGHT_MS = 1000, /* commits of the day that ended are through */
    PREPARE_BEFORE_MS = 60000,
};

/* ---- full copies ---- */

static void copy_work(struct loop_work *work)
{
    struct ranking_jobs *jobs = CONTAINER_OF(work, struct ranking_jobs, copy);

    jobs->copy_err = ranking_feed_copy(jobs->loop->shop);
}

static void copy_done(struct loop_work *work)
{
    struct ranking_jobs *jobs = CONTAINER_OF(work, struct ranking_jobs, copy);

    jobs->copying = false;
    jobs->next_copy_ms = loop_now_ms(jobs->loop->loop) + COPY_AGAIN_MS;
    if (jobs->copy_err != ERR_OK && jobs->copy_err != ERR_CONFLICT &&
        jobs->copy_err != jobs->copy_err_said)
        LOG(LOG_WARN, "ranking not copied, trying again",
            LOG_CSTR("error", err_name(jobs->copy_err)));
    jobs->copy_err_said = jobs->copy_err;
}

static void copy_if_wanted(struct ranking_jobs *jobs)
{
    struct loop *loop = jobs->loop->loop;

    if (jobs->copying || loop_now_ms(loop) < jobs->next_copy_ms ||
        !ranking_feed_wants_copy(jobs->loop->shop))
        return;
    jobs->copy.work = copy_work;
    jobs->copy.done = copy_done;
    jobs->copying = loop_work_start(loop, &jobs->copy) == ERR_OK;
}

/* ---- backups ---- */

static bool has_backup(const struct ranking_jobs *jobs)
{
    return jobs->loop->shop->config->ranking_backup_every_ms > 0;
}

static void backup_work(struct loop_work *work)
{
    struct ranking_jobs *jobs = CONTAINER_OF(work, struct ranking_jobs, backup);

    jobs->backup_err = backup_run(jobs->loop->shop, &jobs->written);
}

static void backup_begin(struct ranking_jobs *jobs);

static void backup_done(struct loop_work *work)
{
    struct ranking_jobs *jobs = CONTAINER_OF(work, struct ranking_jobs, backup);

    jobs->backing_up = false;
    if (jobs->backup_err == ERR_TIMEOUT)
        LOG(LOG_INFO, "backup of the ranking cut short: the rest is for the next start");
    else if (jobs->backup_err != ERR_OK && jobs->backup_err != jobs->backup_err_said)
        LOG(LOG_ERROR, "backup of the ranking failed, trying again",
            LOG_CSTR("error", err_name(jobs->backup_err)));
    else if (jobs->written)
        LOG(LOG_DEBUG, "ranking backed up", LOG_INT("boards", jobs->written));
    jobs->backup_err_said = jobs->backup_err;
    if (jobs->last_backup_due && jobs->backup_err != ERR_TIMEOUT)
        backup_begin(jobs);
}

static void backup_begin(struct ranking_jobs *jobs)
{
    struct shop_loop *loop = jobs->loop;

    jobs->next_backup_ms =
        loop_now_ms(loop->loop) + (uint64_t)loop->shop->config->ranking_backup_every_ms;
    jobs->last_backup_due = false;
    jobs->backup.work = backup_work;
    jobs->backup.done = backup_done;
    jobs->backing_up = loop_work_start(loop->loop, &jobs->backup) == ERR_OK;
}

static void backup_if_due(struct ranking_jobs *jobs)
{
    if (has_backup(jobs) && !jobs->backing_up &&
        loop_now_ms(jobs->loop->loop) >= jobs->next_backup_ms)
        backup_begin(jobs);
}

/* ---- days ---- */

/* Tomorrow's boards, so that they are there when it is tomorrow. */
static void prepare_next(struct ranking_jobs *jobs, enum sales_window window);

static void prepare_done(struct ranking_read *read)
{
    struct ranking_jobs *jobs = CONTAINER_OF(read, struct ranking_jobs, prepare);

    arena_reset(&jobs->arena);
    jobs->preparing = false;
    if (read->window + 1 < SALES_WINDOW_N && !jobs->stopped)
        prepare_next(jobs, read->window + 1);
}

static void prepare_next(struct ranking_jobs *jobs, enum sales_window window)
{
    jobs->preparing = true;
    jobs->prepare = (struct ranking_read){ .op = RANKING_READ_PAGE,
                                           .done = prepare_done,
                                           .arena = &jobs->arena,
                                           .window = window,
                                           .day = jobs->prepared_for,
                                           .limit = 1 };
    ranking_read(jobs->loop->ranking, &jobs->prepare);
}

static void prepare_if_late(struct ranking_jobs *jobs, int64_t now_ms)
{
    int64_t soon = clock_day(now_ms + PREPARE_BEFORE_MS);

    if (soon <= jobs->prepared_for || jobs->preparing || !jobs->loop->ranking)
        return;
    jobs->prepared_for = soon;
    prepare_next(jobs, SALES_DAILY);
}

static void see_midnight(struct ranking_jobs *jobs, int64_t now_ms)
{
    struct loop *loop = jobs->loop->loop;
    int64_t today = clock_day(now_ms);

    if (today == jobs->today)
        return;
    jobs->today = today;
    if (jobs->loop->shop->ranking)
        ranking_forget_before(jobs->loop->shop->ranking, today - RANKING_DAYS_HELD);
    jobs->next_backup_ms = MIN(jobs->next_backup_ms, loop_now_ms(loop) + AFTER_MIDNIGHT_MS);
}

/* ---- the timer ---- */

static void look(struct loop_timer *timer)
{
    struct ranking_jobs *jobs = CONTAINER_OF(timer, struct ranking_jobs, timer);
    int64_t now_ms = clock_wall_ms();

    see_midnight(jobs, now_ms);
    prepare_if_late(jobs, now_ms);
    copy_if_wanted(jobs);
    backup_if_due(jobs);
    err_ignore(loop_timer_start(jobs->loop->loop, timer, LOOK_MS), "its slot is there");
}

enum err ranking_jobs_start(struct ranking_jobs *jobs, struct shop_loop *loop)
{
    jobs->loop = loop;
    jobs->today = jobs->prepared_for = clock_day(clock_wall_ms());
    int64_t every_ms = loop->shop->config->ranking_backup_every_ms;
    jobs->next_backup_ms = loop_now_ms(loop->loop) + (uint64_t)MIN(every_ms, AFTER_START_MS);
    jobs->timer.run = look;
    TRY(ranking_relay_start(&jobs->relay, loop));
    return loop_timer_start(loop->loop, &jobs->timer, LOOK_MS);
}

static void stop(struct ranking_jobs *jobs)
{
    jobs->stopped = true;
    loop_timer_stop(&jobs->timer);
    ranking_relay_stop(&jobs->relay);
}

static void cut(struct loop_timer *timer)
{
    struct ranking_jobs *jobs = CONTAINER_OF(timer, struct ranking_jobs, cut);

    atomic_store_explicit(&jobs->loop->shop->ranking_feed->backup_cut, true, memory_order_relaxed);
}

/* The last backup has a tenth of the drain's time: that is enough for what was sold since the one
 * before, and the end does not wait for the first one of a big shop. */
static void cut_later(struct ranking_jobs *jobs)
{
    const struct config *config = jobs->loop->shop->config;

    jobs->cut.run = cut;
    if (loop_timer_start(jobs->loop->loop, &jobs->cut,
                         (uint64_t)config->http_drain_timeout_ms / 10) != ERR_OK)
        cut(&jobs->cut);
}

void ranking_jobs_drain(struct ranking_jobs *jobs)
{
    if (!jobs->loop || jobs->stopped)
        return;
    stop(jobs);
    if (!has_backup(jobs))
        return;
    cut_later(jobs);
    jobs->last_backup_due = jobs->backing_up; /* what has been sold since it began */
    if (!jobs->backing_up)
        backup_begin(jobs);
}

bool ranking_jobs_are_idle(const struct ranking_jobs *jobs)
{
    return ranking_relay_is_idle(&jobs->relay) && !jobs->copying && !jobs->backing_up &&
           !jobs->preparing;
}

void ranking_jobs_fini(struct ranking_jobs *jobs)
{
    stop(jobs);
    loop_timer_stop(&jobs->cut);
    arena_fini(&jobs->arena);
}
