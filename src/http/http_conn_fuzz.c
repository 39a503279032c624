// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes of a client, whole and in random pieces, with a reader that is slow or fast. Whatever they
 * are: answers are well formed and in order, none is a 5xx, the verdict is the same however the
 * bytes were cut, and everything is given back at the end.
 */
#include <stdio.h>

#include "base/hash.h"
#include "http/http_fixture_test.h"

enum { ANSWERS_MAX = 4096 };

struct run {
    struct fixture f;
    struct http_request *held;
    struct loop_sim_peer *peer;
    struct buf received;
    unsigned heads[ANSWERS_MAX]; /* 1: answers a HEAD, and so has no body */
    unsigned answered, sum;
    unsigned statuses[ANSWERS_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct run *of(struct http_request *req)
{
    return CONTAINER_OF((struct fixture *)req->app, struct run, f);
}

/* Slices must lie in memory that is readable; ASan looks. */
static void touch(struct run *run, const struct http_request *req)
{
    const struct str all[] = { req->method_token, req->path,       req->query,
                               req->body,         req->request_id, req->peer_text };

    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        for (size_t k = 0; k < all[i].len; k++)
            run->sum += (unsigned char)all[i].ptr[k];
    for (size_t i = 0; i < req->header_count; i++) {
        const struct http_field *field = &req->headers[i];
        ASSERT(field->name.len > 0);
        ASSERT(!memchr(field->value.ptr, '\0', field->value.len));
        ASSERT(!memchr(field->value.ptr, '\n', field->value.len));
    }
}

static void on_request(struct http_request *req)
{
    struct run *run = of(req);
    char kind = req->path.len > 1 ? req->path.ptr[1] : '\0';

    run->f.requests++;
    ASSERT(req->path.len > 0 && req->path.ptr[0] == (req->path.len == 1 ? req->path.ptr[0] : '/'));
    ASSERT(req->body.len <= 65536 && http_request_header(req, STR("Host")).len <= 16384);
    touch(run, req);
    if (kind == 'h' && !run->held) {
        run->held = req;
    } else if (kind == 's') {
        http_stream_begin(req, 200, STR("text/plain"));
        http_stream_write(req, STR("one"));
        http_stream_write(req, req->body);
        http_stream_end(req);
    } else if (kind == 'n') {
        http_respond(req, 204, STR_NONE, STR_NONE);
    } else {
        http_respond(req, 200, STR("text/plain"), req->body);
    }
}

static void on_refusal(struct http_request *req, enum http_refusal why)
{
    struct run *run = of(req);

    run->f.refusals++;
    touch(run, req);
    http_respond(req, http_refusal_status(why), STR("text/plain"), STR("refused\n"));
}

static void on_answered(struct http_request *req, unsigned status, size_t bytes)
{
    struct run *run = of(req);

    (void)bytes;
    run->f.answers++;
    ASSERT(status < 500 && run->answered < ANSWERS_MAX);
    run->heads[run->answered] = req->method == HTTP_HEAD;
    run->statuses[run->answered++] = status;
}

static void take_received(struct run *run)
{
    buf_str_append(&run->received, loop_sim_received(run->peer));
    loop_sim_drop(run->peer, loop_sim_received(run->peer).len);
}

static void let_go(struct run *run)
{
    if (run->held) {
        struct http_request *req = TAKE(run->held);
        touch(run, req); /* nothing has moved under it */
        http_respond(req, 200, STR("text/plain"), req->body);
    }
    loop_sim_turn(run->f.loop);
    take_received(run);
}

static void check_answers(const struct run *run)
{
    struct str rest = buf_str(&run->received);
    unsigned i = 0;
    struct answer a;

    ASSERT(buf_ok(&run->received));
    while (rest.len > 0) {
        size_t n = answer_read(rest, i < run->answered && run->heads[i], &a);
        ASSERT(n > 0);
        rest = (struct str){ rest.ptr + n, rest.len - n };
        if (a.status < 200)
            continue;
        ASSERT(i < run->answered && a.status == run->statuses[i]);
        ASSERT(!a.close || rest.len == 0);
        i++;
    }
    ASSERT(i == run->answered);
}

static void talk(struct run *run, struct str bytes, uint64_t seed)
{
    struct http_server_options options = { .on_request = on_request,
                                           .on_refusal = on_refusal,
                                           .on_answered = on_answered,
                                           .app = &run->f };
    struct loop_addr addr;
    struct fixture *f = &run->f;

    f->loop = loop_new();
    f->server = http_server_new(f->loop, &options);
    ASSERT(f->server && loop_addr_parse(STR("127.0.0.1"), 0, &addr) == ERR_OK);
    ASSERT(http_server_listen(f->server, &addr, &addr) == ERR_OK);
    run->peer = loop_sim_dial(f->loop, loop_addr_port(&addr));
    while (bytes.len > 0) {
        size_t n = seed ? 1 + (seed >> 32) % (bytes.len < 64 ? bytes.len : 64) : bytes.len;
        seed = seed ? hash_u64(seed) : 0;
        if (seed % 8 == 1)
            loop_sim_set_window(run->peer, 1 + (seed >> 8) % 300);
        loop_sim_send(run->peer, (struct str){ bytes.ptr, n });
        bytes = (struct str){ bytes.ptr + n, bytes.len - n };
        loop_sim_turn(f->loop);
        take_received(run);
        if (seed % 4 == 1)
            let_go(run);
    }
    loop_sim_shutdown(run->peer);
    loop_sim_turn(f->loop);
    loop_sim_set_window(run->peer, SIZE_MAX);
    do
        let_go(run);
    while (run->held || loop_sim_received(run->peer).len > 0);
    ASSERT(loop_sim_ended(run->peer)); /* it has been told everything, and been let go */
    loop_sim_hang_up(run->peer);
    fixture_fini(f);
    check_answers(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces;
    struct str bytes = { (const char *)data, size };

    if (size > 100000)
        return 0;
    whole.answered = pieces.answered = 0;
    whole.f = pieces.f = (struct fixture){ 0 };
    talk(&whole, bytes, 0);
    talk(&pieces, bytes, hash_u64(hash_crc32c(0, data, size)) | 1);
    ASSERT(whole.answered == pieces.answered);
    ASSERT(memcmp(whole.statuses, pieces.statuses, whole.answered * sizeof(unsigned)) == 0);
    buf_fini(&whole.received);
    buf_fini(&pieces.received);
    return 0;
}
