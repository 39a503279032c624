// SPDX-License-Identifier: Apache-2.0
/*
 * Webhooks: signed JSON, POSTed to one address. A call is made once; when to make it again is the
 * caller's business.
 *
 * Headers: `Doorbuster-Signature: t=<Unix time>,v1=<hex(HMAC-SHA256(secret, t + "." + body))>`, and
 * `Doorbuster-Event: <id>`, the same every time that this event is sent.
 */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "loop/loop.h"

enum { HOOK_SECRET_BYTES_MIN = 32, HOOK_WHY_BYTES = 96 };

struct hook;        /* the address and the secret; any thread */
struct hook_client; /* of one loop */

struct hook_options {
    const char *url;     /* http or https; copied */
    const char *ca_file; /* authorities in PEM, or ""/NULL: the system's; borrowed */
    struct str secret;   /* at least HOOK_SECRET_BYTES_MIN; copied, wiped at the end */
    uint32_t connect_timeout_ms, timeout_ms;
};

/* ERR_INVALID: not an http or https URL that names a host. ERR_NOMEM. */
enum err hook_check_url(const char *text) MUST_CHECK;

/* Before threads start, in a process that ignores SIGPIPE. ERR_INVALID: not a URL that can be
 * called; ERR_NOMEM. */
enum err hook_new(const struct hook_options *options, struct hook **ret_hook) MUST_CHECK;
struct hook *hook_free(struct hook *hook);

struct hook_client *hook_client_new(struct hook *hook, struct loop *loop) MUST_CHECK;
struct hook_client *hook_client_free(struct hook_client *client); /* no call is under way */

struct hook_call {
    void (*done)(struct hook_call *call);
    struct str body; /* borrowed until `done` */
    const char *id;  /* names the event; the same */

    long status;              /* of the answer; 0: there was none, see `why` */
    char why[HOOK_WHY_BYTES]; /* "" with an answer */

    struct list node; /* private */
    struct hook_client *client;
    void *easy, *headers;
    size_t answer_bytes;
    struct loop_task task;
};
void hook_call(struct hook_client *client, struct hook_call *call);
/* Ends every call under way, each as one without an answer. */
void hook_client_cut(struct hook_client *client);
