// SPDX-License-Identifier: Apache-2.0
#include "loop/loop_sim.h"

#include <time.h>

#include "base/assert.h"
#include "base/mem.h"
#include "loop/loop_sim_internal.h"

/* More than this in one moment of virtual time is a livelock in the code under test. */
enum { ROUNDS_MAX = 1000000, START_MS = 1000 };

struct sim_timer {
    struct list node; /* in loop->timers, by due_ms */
    uint64_t due_ms;
    struct loop_timer *owner;
};

struct loop *loop_new(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);

    if (!loop)
        return NULL;
    loop->now_ms = START_MS;
    loop->next_port = 20000;
    list_init(&loop->posted);
    list_init(&loop->hooks);
    list_init(&loop->timers);
    list_init(&loop->ends);
    list_init(&loop->listeners);
    list_init(&loop->mail);
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->arrived, NULL);
    return loop;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    loop_sim_turn(loop);
    ASSERT(list_empty(&loop->ends) && list_empty(&loop->listeners) && list_empty(&loop->timers));
    pthread_cond_destroy(&loop->arrived);
    pthread_mutex_destroy(&loop->lock);
    return mem_free(loop);
}

static bool run_posted(struct loop *loop)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, &loop->posted);
    pthread_mutex_lock(&loop->lock);
    list_splice(&batch, &loop->mail);
    pthread_mutex_unlock(&loop->lock);
    bool any = !list_empty(&batch);
    while (!list_empty(&batch)) {
        struct loop_task *task = CONTAINER_OF(batch.next, struct loop_task, node);
        list_remove(&task->node);
        task->run(task);
    }
    return any;
}

void loop_sim_turn(struct loop *loop)
{
    struct loop_hook *hook;
    bool any = true;

    for (unsigned rounds = 0; any; rounds++) {
        ASSERT(rounds < ROUNDS_MAX);
        any = loop_sim_deliver(loop);
        any |= run_posted(loop);
        LIST_FOREACH (hook, &loop->hooks, struct loop_hook, node)
            any |= hook->run(hook);
    }
}

static struct sim_timer *first_timer(struct loop *loop)
{
    if (list_empty(&loop->timers))
        return NULL;
    return CONTAINER_OF(loop->timers.next, struct sim_timer, node);
}

static void fire(struct loop *loop, struct sim_timer *timer)
{
    struct loop_timer *owner = timer->owner;

    loop->now_ms = MAX(loop->now_ms, timer->due_ms);
    loop_timer_stop(owner);
    owner->run(owner);
}

void loop_sim_advance(struct loop *loop, uint64_t ms)
{
    uint64_t until_ms = loop->now_ms + ms;
    struct sim_timer *timer;

    loop_sim_turn(loop);
    while ((timer = first_timer(loop)) && timer->due_ms <= until_ms) {
        fire(loop, timer);
        loop_sim_turn(loop);
    }
    loop->now_ms = until_ms;
    loop_sim_turn(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stop) {
        loop_sim_turn(loop);
        struct sim_timer *timer = first_timer(loop);
        ASSERT(loop->stop || timer); /* else it would wait for ever */
        if (!loop->stop)
            fire(loop, timer);
    }
    loop->stop = false;
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    list_append(&loop->posted, &task->node);
}

void loop_send(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->lock);
    list_append(&loop->mail, &task->node);
    pthread_cond_signal(&loop->arrived);
    pthread_mutex_unlock(&loop->lock);
}

bool loop_sim_wait(struct loop *loop, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&loop->lock);
    while (list_empty(&loop->mail) &&
           pthread_cond_timedwait(&loop->arrived, &loop->lock, &until) == 0)
        ;
    bool any = !list_empty(&loop->mail);
    pthread_mutex_unlock(&loop->lock);
    return any;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    list_append(&loop->hooks, &hook->node);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_remove(&hook->node);
}

/* ---- work: done in the turn after, on this thread ---- */

struct sim_work {
    struct loop_task task;
    struct loop_work *work;
};

static void do_work(struct loop_task *task)
{
    struct sim_work *sim = CONTAINER_OF(task, struct sim_work, task);
    struct loop_work *work = sim->work;

    work->work(work);
    work->impl = mem_free(sim);
    work->done(work);
}

enum err loop_work_start(struct loop *loop, struct loop_work *work)
{
    struct sim_work *sim = mem_alloc(sizeof *sim);

    if (!sim)
        return ERR_NOMEM;
    sim->work = work;
    sim->task.run = do_work;
    work->impl = sim;
    loop_post(loop, &sim->task);
    return ERR_OK;
}

/* ---- descriptors: real ones, and time here is not ---- */

enum err loop_poll_start(struct loop *loop, struct loop_poll *poll, int events)
{
    (void)loop, (void)poll, (void)events;
    return ERR_UNAVAILABLE;
}

void loop_poll_stop(struct loop_poll *poll)
{
    (void)poll;
}

/* ---- timers ---- */

/* Behind those due at the same moment, as libuv does it. */
static void insert_timer(struct loop *loop, struct sim_timer *timer)
{
    struct list *before = loop->timers.prev;

    while (before != &loop->timers &&
           CONTAINER_OF(before, struct sim_timer, node)->due_ms > timer->due_ms)
        before = before->prev;
    timer->node.prev = before;
    timer->node.next = before->next;
    before->next->prev = &timer->node;
    before->next = &timer->node;
}

enum err loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ms)
{
    struct sim_timer *sim = timer->impl;

    if (sim)
        list_remove(&sim->node);
    else if (!(sim = mem_alloc(sizeof *sim)))
        return ERR_NOMEM;
    sim->due_ms = loop->now_ms + after_ms;
    sim->owner = timer;
    timer->impl = sim;
    timer->loop = loop;
    insert_timer(loop, sim);
    return ERR_OK;
}

void loop_timer_stop(struct loop_timer *timer)
{
    struct sim_timer *sim = timer->impl;

    if (!sim)
        return;
    list_remove(&sim->node);
    timer->impl = mem_free(sim);
}
