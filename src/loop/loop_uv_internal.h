// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "loop/loop.h"

struct timer_slot;

struct loop {
    uv_loop_t uv;
    uv_check_t after_poll;
    uv_prepare_t before_poll;
    uv_idle_t not_quiet; /* active: the next poll does not block */
    uv_async_t wakeup;
    struct list posted, hooks;
    struct timer_slot *free_slots; /* timers are as many as there ever were at once */
    pthread_mutex_t lock;
    struct list mail; /* under `lock` */
    _Atomic bool stop;
};
