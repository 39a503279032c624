// SPDX-License-Identifier: Apache-2.0
/* Bad input, a row each: what is answered, and whether the connection ends. Every row is sent at
 * once and byte by byte, with the same outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_fixture_test.h"

#define H "Host: shop\r\n"
#define CHUNKED "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

struct row {
    const char *bytes;
    size_t len;
    const char *outcome; /* as answers_text() */
};

#define ROW(bytes, outcome)                   \
    {                                         \
        (bytes), sizeof(bytes) - 1, (outcome) \
    }

static const struct row rows[] = {
    /* good ones, so that the table proves something */
    ROW("GET / HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("GET /a?b=c&d HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("GET / HTTP/1.0\r\n\r\n", "200x"),
    ROW("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200"),
    ROW("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "200x"),
    ROW("GET / HTTP/1.1\r\n" H "Connection: foo, CLOSE\r\n\r\n", "200x"),
    ROW("GET / HTTP/1.1\r\nhOST:shop:8080 \t\r\nX:\r\nY: \r\n\r\n", "200"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", "200"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 02 \r\n\r\n{}", "200"),
    ROW("GET / HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H "\r\n", "200 200"),
    ROW("OPTIONS * HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("GET http://shop/a HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("GET HTTP://SHOP?a HTTP/1.1\r\n" H "\r\n", "200"),
    ROW("GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "200"),
    ROW("GET / HTTP/1.1\r\n" H "Accept: \xC3\xA9\r\n\r\n", "200"),

    /* methods: any token reaches the application, and the connection ends */
    ROW("FOO / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("get / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("TRACE / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("CONNECT / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("CONNECT shop:80 HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("DESCRIBE / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("DESCRIBE / RTSP/1.0\r\n" H "\r\n", "400x"),
    ROW("SOURCE / ICE/1.0\r\n" H "\r\n", "400x"),
    ROW("SOURCE / HTTP/1.1\r\n" H "\r\n", "405x"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400x"),
    ROW("GET/ HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("G(T / HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("FOO / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "400x"),
    ROW("\x16\x03\x01\x02", "400x"), /* TLS */
    ROW("\r\nGET / HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW(" GET / HTTP/1.1\r\n" H "\r\n", "400x"),

    /* request line */
    ROW("GET  / HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /  HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\tHTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.1 \r\n" H "\r\n", "400x"),
    ROW("GET /a b HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\r\n" H "\r\n", "400x"),
    ROW("GET\r\n\r\n", "400x"),
    ROW("GET / http/1.1\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.2\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/2.0\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/0.9\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.10\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/01.1\r\n" H "\r\n", "400x"),
    ROW("GET / HTTPS/1.1\r\n" H "\r\n", "400x"),

    /* targets */
    ROW("GET * HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("OPTIONS ** HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET a HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET shop:80 HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /a#b HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /a?b#c HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\x01 HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\x7F HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\0 HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET /\xC3\xA9 HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET ftp://shop/ HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET http:/// HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET http:// HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET http://other/ HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET http://u@shop/ HTTP/1.1\r\n" H "\r\n", "400x"),

    /* Host */
    ROW("GET / HTTP/1.1\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H H "\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "host: other\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.0\r\n" H H "\r\n", "400x"),

    /* lines and fields */
    ROW("GET / HTTP/1.1\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\nHost: shop\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n A: b\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H " \r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H ": b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A(: b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "\xC3\xA9: b\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "A: b\x7F\r\n\r\n", "400x"),

    /* lengths */
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\ncontent-length: 2\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 1 1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: \r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: a\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\na", "413x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 65537\r\n\r\na", "413x"),

    /* transfer codings */
    ROW(CHUNKED "2\r\n{}\r\n0\r\n\r\n", "200"),
    ROW(CHUNKED "2;a=b\r\n{}\r\n0\r\nT: v\r\n\r\n", "200"),
    ROW(CHUNKED "0\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "200 200"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: Chunked \r\n\r\n0\r\n\r\n", "200"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
        "\r\n0\r\n\r\n",
        "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
        "\r\n0\r\n\r\n",
        "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        "\r\n0\r\n\r\n",
        "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
        "\r\n0\r\n\r\n",
        "400x"),
    ROW("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400x"),
    ROW("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: \x0B"
        "chunked\r\n\r\n0\r\n\r\n",
        "400x"),

    /* chunks */
    ROW(CHUNKED "\r\n", "400x"),
    ROW(CHUNKED "-1\r\na\r\n", "400x"),
    ROW(CHUNKED "+1\r\na\r\n", "400x"),
    ROW(CHUNKED "0x1\r\na\r\n", "400x"),
    ROW(CHUNKED " 1\r\na\r\n", "400x"),
    ROW(CHUNKED "1 \r\na\r\n", "400x"),
    ROW(CHUNKED "g\r\na\r\n", "400x"),
    ROW(CHUNKED ";a\r\na\r\n", "400x"),
    ROW(CHUNKED "1\na\r\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1\ra\r\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1;a=\"b\nc\"\r\na\r\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1\r\na\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1\r\nab\r\n0\r\n\r\n", "400x"),
    ROW(CHUNKED "1\r\na0\r\n\r\n", "400x"),
    ROW(CHUNKED "fffffffffffffffff\r\na\r\n", "400x"),
    ROW(CHUNKED "0\n\r\n", "400x"),
    ROW(CHUNKED "0\r\n\n", "400x"),
    ROW(CHUNKED "0\r\nT: v\n\r\n", "400x"),
    ROW(CHUNKED "0\r\n T: v\r\n\r\n", "400x"),
    ROW(CHUNKED "0\r\nT: v\r\n\tw\r\n\r\n", "400x"),
    ROW(CHUNKED "0\r\n: v\r\n\r\n", "400x"),
    ROW(CHUNKED "0\r\nT\r\n\r\n", "400x"),
    ROW(CHUNKED "0\r\nT: \0\r\n\r\n", "400x"),
    ROW(CHUNKED "0\r\nT: a\rb\r\n\r\n", "400x"),

    /* expectations */
    ROW("POST /echo HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", "400x"),
    ROW("POST /echo HTTP/1.0\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na", "200x"),

    /* what stands behind a refused request is not a request */
    ROW("GET /a#b HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H "\r\n", "400x"),
    ROW("GET / HTTP/1.1\r\n" H "\r\n\r\n", "200 400x"),
};

static unsigned check_row(const struct row *row, size_t piece)
{
    struct fixture f;
    char outcome[64];

    fixture_init(&f, (struct http_server_options){ 0 });
    struct loop_sim_peer *peer = loop_sim_dial(f.loop, f.port);
    for (size_t at = 0; at < row->len; at += piece) {
        loop_sim_send(peer, (struct str){ row->bytes + at, MIN(piece, row->len - at) });
        loop_sim_turn(f.loop);
    }
    answers_text(peer, outcome, sizeof outcome);
    bool wrong = strcmp(outcome, row->outcome) != 0;
    if (wrong)
        print_error("%zu bytes at a time: got \"%s\", want \"%s\": %s\n", piece, outcome,
                    row->outcome, row->bytes);
    loop_sim_hang_up(peer);
    fixture_fini(&f);
    return wrong;
}

static void test_rows(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        wrong += check_row(&rows[i], rows[i].len);
        wrong += check_row(&rows[i], 1);
        wrong += check_row(&rows[i], 7);
    }
    assert_int_equal(wrong, 0);
}

/* ---- limits: the last that is good, the first that is not ---- */

static void append_repeated(struct buf *buf, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(buf, c);
}

static void check_outcome(struct buf *bytes, const char *want)
{
    struct row row = { bytes->ptr, bytes->len, want };
    struct fixture f;
    char outcome[64];

    assert_true(buf_ok(bytes));
    for (size_t piece = bytes->len; piece > 1; piece = piece == bytes->len ? 1000 : 1) {
        fixture_init(&f, (struct http_server_options){ 0 });
        struct loop_sim_peer *peer = loop_sim_dial(f.loop, f.port);
        for (size_t at = 0; at < row.len; at += piece) {
            loop_sim_send(peer, (struct str){ row.bytes + at, MIN(piece, row.len - at) });
            loop_sim_turn(f.loop);
        }
        answers_text(peer, outcome, sizeof outcome);
        assert_string_equal(outcome, want);
        loop_sim_hang_up(peer);
        fixture_fini(&f);
    }
    buf_fini(bytes);
}

static void request_line_of(struct buf *out, size_t bytes)
{
    buf_literal(out, "GET /");
    append_repeated(out, 'a', bytes - sizeof("GET / HTTP/1.1") + 1);
    buf_literal(out, " HTTP/1.1\r\n" H "\r\n");
}

static void test_request_line_limit(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    request_line_of(&bytes, 8000);
    check_outcome(&bytes, "200");
    request_line_of(&bytes, 8001);
    check_outcome(&bytes, "414x");
    buf_literal(&bytes, "GET /");
    append_repeated(&bytes, 'a', 9000);
    check_outcome(&bytes, "414x");
}

static void fields_of(struct buf *out, int count)
{
    buf_literal(out, "GET / HTTP/1.1\r\n" H);
    for (int i = 1; i < count; i++)
        buf_literal(out, "A: b\r\n");
    buf_literal(out, "\r\n");
}

static void test_field_count_limit(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    fields_of(&bytes, 100);
    check_outcome(&bytes, "200");
    fields_of(&bytes, 101);
    check_outcome(&bytes, "431x");
}

static void field_bytes_of(struct buf *out, size_t count)
{
    buf_literal(out, "GET / HTTP/1.1\r\n" H "A: ");
    append_repeated(out, 'b', count - sizeof(H "A: \r\n") + 1);
    buf_literal(out, "\r\n\r\n");
}

static void test_field_bytes_limit(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    field_bytes_of(&bytes, 16384);
    check_outcome(&bytes, "200");
    field_bytes_of(&bytes, 16385);
    check_outcome(&bytes, "431x");
}

static void chunks_of(struct buf *out, size_t size, int count, const char *extension)
{
    buf_literal(out, CHUNKED);
    for (int i = 0; i < count; i++) {
        buf_printf(out, "%zx%s\r\n", size, extension);
        append_repeated(out, 'x', size);
        buf_literal(out, "\r\n");
    }
    buf_literal(out, "0\r\n\r\n");
}

static void test_body_limit(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    buf_literal(&bytes, "POST /echo HTTP/1.1\r\n" H "Content-Length: 65536\r\n\r\n");
    append_repeated(&bytes, 'x', 65536);
    check_outcome(&bytes, "200");
    chunks_of(&bytes, 4096, 16, "");
    check_outcome(&bytes, "200");
    chunks_of(&bytes, 4096, 17, "");
    check_outcome(&bytes, "413x");
    chunks_of(&bytes, 1, 1000, "");
    check_outcome(&bytes, "200");
    chunks_of(&bytes, 1, 3000, ";a=bbbbbbbbbbbbbbbbbbbb");
    check_outcome(&bytes, "413x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_request_line_limit),
        cmocka_unit_test(test_field_count_limit),
        cmocka_unit_test(test_field_bytes_limit),
        cmocka_unit_test(test_body_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
