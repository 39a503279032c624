// SPDX-License-Identifier: Apache-2.0
/*
 * getaddrinfo() may take as long as it likes, so it has a thread of its own, which nobody waits
 * for: whoever comes last, it or the one who asked, frees the look-up.
 */
#include <netdb.h>
#include <stdio.h>

#include "base/mem.h"
#include "redis/redis_internal.h"

struct redis_resolve {
    struct loop_task task;
    struct loop *loop;
    struct redis_place place;
    struct loop_addr addr;
    enum err e;
    void (*done)(void *owner, enum err e, const struct loop_addr *addr);
    void *owner;
    pthread_mutex_t lock;
    bool cancelled;
};

static void free_resolve(struct redis_resolve *resolve)
{
    pthread_mutex_destroy(&resolve->lock);
    mem_free(resolve);
}

static void tell(struct loop_task *task)
{
    struct redis_resolve *resolve = CONTAINER_OF(task, struct redis_resolve, task);

    if (!resolve->cancelled)
        resolve->done(resolve->owner, resolve->e, &resolve->addr);
    free_resolve(resolve);
}

static void look_up(struct redis_resolve *resolve)
{
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
    char port[8];

    snprintf(port, sizeof port, "%u", (unsigned)resolve->place.port);
    resolve->e = ERR_UNAVAILABLE;
    if (getaddrinfo(resolve->place.host, port, &hints, &found) != 0)
        return;
    if (found && found->ai_addrlen <= sizeof resolve->addr) {
        memcpy(&resolve->addr, found->ai_addr, found->ai_addrlen);
        resolve->e = ERR_OK;
    }
    freeaddrinfo(found);
}

static void *run(void *arg)
{
    struct redis_resolve *resolve = arg;

    look_up(resolve);
    pthread_mutex_lock(&resolve->lock);
    bool cancelled = resolve->cancelled;
    if (!cancelled) /* under the lock: else the loop could end first */
        loop_send(resolve->loop, &resolve->task);
    pthread_mutex_unlock(&resolve->lock);
    if (cancelled)
        free_resolve(resolve);
    return NULL;
}

static bool start_thread(struct redis_resolve *resolve)
{
    pthread_attr_t detached;
    pthread_t thread;

    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &detached, run, resolve);
    pthread_attr_destroy(&detached);
    return failed == 0;
}

enum err redis_resolve_start(struct loop *loop, const struct redis_place *place,
                             void (*done)(void *owner, enum err e, const struct loop_addr *addr),
                             void *owner, struct redis_resolve **ret_resolve)
{
    struct redis_resolve *resolve = mem_alloc(sizeof *resolve);

    if (!resolve)
        return ERR_NOMEM;
    resolve->task.run = tell;
    resolve->loop = loop;
    resolve->place = *place;
    resolve->done = done;
    resolve->owner = owner;
    pthread_mutex_init(&resolve->lock, NULL);
    if (!start_thread(resolve)) {
        free_resolve(resolve);
        return ERR_NOMEM;
    }
    *ret_resolve = resolve;
    return ERR_OK;
}

/* What is sent already is freed when it comes. */
void redis_resolve_cancel(struct redis_resolve *resolve)
{
    if (!resolve)
        return;
    pthread_mutex_lock(&resolve->lock);
    resolve->cancelled = true;
    pthread_mutex_unlock(&resolve->lock);
}
