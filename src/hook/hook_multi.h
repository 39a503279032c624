// SPDX-License-Identifier: Apache-2.0
/* curl on a loop: any number of transfers at once, driven by the loop's descriptors and timers. */
#pragma once
#include <curl/curl.h>

#include "loop/loop.h"

struct hook_multi {
    CURLM *curl;
    struct loop *loop;
    struct loop_timer timer;
    /* A transfer is over. Neither called from inside curl nor from inside hook_multi_add(). */
    void (*on_over)(CURL *easy, CURLcode result);
};

/* ERR_NOMEM. */
enum err hook_multi_init(struct hook_multi *multi, struct loop *loop,
                         void (*on_over)(CURL *easy, CURLcode result)) MUST_CHECK;
void hook_multi_fini(struct hook_multi *multi); /* empty */
enum err hook_multi_add(struct hook_multi *multi, CURL *easy) MUST_CHECK;
void hook_multi_remove(struct hook_multi *multi, CURL *easy);
