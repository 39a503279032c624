// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/attr.h"
#include "http/http.h"

static const char proxies[] = "10.0.0.0/8, 192.0.2.7 2001:db8:1::/48,127.0.0.1";

static struct http_ip ip_of(const char *text)
{
    struct http_ip ip;

    if (!http_ip_parse(str_from(text), &ip))
        fail_msg("%s is no address", text);
    return ip;
}

static struct http_nets nets_of(const char *text)
{
    struct http_nets nets;
    struct str bad;

    if (http_nets_parse(str_from(text), &nets, &bad) != ERR_OK)
        fail_msg("%.*s is no network", (int)bad.len, bad.ptr);
    return nets;
}

static void test_ip(void **state)
{
    static const char *const bad[] = { "",        "1",         "1.2.3",      "1.2.3.4.5",
                                       "1.2.3.x", "256.1.1.1", "01.2.3.4",   " 1.2.3.4",
                                       "[::1]",   "::1%lo",    "1.2.3.4:80", "localhost",
                                       "12345::", "::1::" };
    static const struct {
        const char *text, *same;
        bool loopback;
    } good[] = {
        { "127.0.0.1", "127.0.0.1", true },        { "127.255.0.9", "127.255.0.9", true },
        { "::ffff:127.0.0.1", "127.0.0.1", true }, { "::1", "::1", true },
        { "0:0:0:0:0:0:0:1", "::1", true },        { "128.0.0.1", "128.0.0.1", false },
        { "::ffff:c000:207", "192.0.2.7", false }, { "::", "::", false },
        { "2001:DB8::1", "2001:db8::1", false },   { "::127.0.0.1", "::127.0.0.1", false },
    };
    char text[HTTP_IP_TEXT_BYTES];
    struct http_ip ip;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (http_ip_parse(str_from(bad[i]), &ip))
            fail_msg("%s is taken for an address", bad[i]);
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        ip = ip_of(good[i].text);
        assert_true(str_equal(http_ip_text(&ip, text), str_from(good[i].same)));
        assert_int_equal(http_ip_is_loopback(&ip), good[i].loopback);
    }
}

static void test_nets(void **state)
{
    static const struct {
        const char *list, *ip;
        bool has;
    } rows[] = {
        { "", "10.0.0.1", false },
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.0.0.0/8", "::ffff:10.1.2.3", true },
        { "10.1.2.3", "10.1.2.3", true },
        { "10.1.2.3", "10.1.2.2", false },
        { "10.1.2.3/31", "10.1.2.2", true },
        { "10.1.2.3/31", "10.1.2.4", false },
        { "0.0.0.0/0", "203.0.113.1", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "::/0", "203.0.113.1", true },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "a::,b::", "b::", true },
        { "  a::   b:: ", "a::", true },
    };
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0.0/-1",  "10.0.0.0/",   "x",
                                       "::/129",      "10.0.0.0/8/8", "10.0.0.0/08", "a::;b::" };
    struct http_nets nets;
    struct str part;
    char many[HTTP_NETS_MAX * 3 + 4] = "";

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_ip ip = ip_of(rows[i].ip);
        nets = nets_of(rows[i].list);
        if (http_nets_have(&nets, &ip) != rows[i].has)
            fail_msg("%s in %s", rows[i].ip, rows[i].list);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (http_nets_parse(str_from(bad[i]), &nets, &part) != ERR_INVALID)
            fail_msg("%s is taken for a network", bad[i]);
    assert_int_equal(http_nets_parse(STR("10.0.0.1, nonsense, ::1"), &nets, &part), ERR_INVALID);
    assert_true(str_equal(part, STR("nonsense")));
    for (size_t i = 0; i <= HTTP_NETS_MAX; i++) {
        nets = nets_of(many);
        assert_int_equal(nets.count, i);
        memcpy(many + 3 * i, "::,", 4);
    }
    assert_int_equal(http_nets_parse(str_from(many), &nets, &part), ERR_INVALID);
}

/* want: an address, "unknown", or NULL: malformed. F: is Forwarded, X: is X-Forwarded-For. */
static const struct {
    const char *peer, *fields[3], *want;
} rows[] = {
    { "203.0.113.9", { NULL }, "203.0.113.9" },
    { "203.0.113.9", { "X127.0.0.1" }, "203.0.113.9" }, /* not a proxy of ours */
    { "203.0.113.9", { "Ffor=127.0.0.1" }, "203.0.113.9" },
    { "203.0.113.9", { "Fnonsense", "X\"" }, "203.0.113.9" },
    { "10.0.0.1", { NULL }, "10.0.0.1" }, /* the proxy itself */
    { "10.0.0.1", { "X" }, "10.0.0.1" },
    { "10.0.0.1", { "X , ," }, "10.0.0.1" },
    { "10.0.0.1", { "F" }, "10.0.0.1" },
    { "10.0.0.1", { "X203.0.113.1" }, "203.0.113.1" },
    { "::ffff:10.0.0.1", { "X203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "X203.0.113.1, 10.9.9.9" }, "203.0.113.1" },
    { "10.0.0.1", { "X127.0.0.1, 203.0.113.1, 10.9.9.9" }, "203.0.113.1" },
    { "10.0.0.1", { "X127.0.0.1", "X203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "X203.0.113.1", "X10.0.0.3", "X192.0.2.7" }, "203.0.113.1" },
    { "10.0.0.1", { "X127.0.0.1, 10.0.0.3" }, "127.0.0.1" }, /* all of them ours: the first */
    { "10.0.0.1", { "X\"; DROP, 203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "X203.0.113.1:4711" }, "203.0.113.1" },
    { "10.0.0.1", { "X[2001:db8::1]:4711" }, "2001:db8::1" },
    { "10.0.0.1", { "X2001:db8::1" }, "2001:db8::1" },
    { "2001:db8:1::1", { "X2001:db8::1,\t2001:db8:1:2::3" }, "2001:db8::1" },
    { "10.0.0.1", { "X::ffff:127.0.0.1" }, "127.0.0.1" },
    { "10.0.0.1", { "X::ffff:203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "Xunknown" }, "unknown" },
    { "10.0.0.1", { "X127.0.0.1, unknown" }, "unknown" },
    { "10.0.0.1", { "Xnonsense" }, NULL },
    { "10.0.0.1", { "X203.0.113.1 127.0.0.1" }, NULL },
    { "10.0.0.1", { "X203.0.113.1:x" }, NULL },
    { "10.0.0.1", { "X203.0.113.1:123456" }, NULL },
    { "10.0.0.1", { "X203.0.113.1:" }, NULL },
    { "10.0.0.1", { "X[203.0.113.1]" }, NULL },
    { "10.0.0.1", { "X[::1" }, NULL },
    { "10.0.0.1", { "X[]" }, NULL },
    { "10.0.0.1", { "X[::1]x" }, NULL },
    { "10.0.0.1", { "X_" }, NULL },
    { "10.0.0.1", { "Ffor=203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "FFOR=\"203.0.113.1:80\"" }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=\"[2001:db8::1]:80\";proto=https;by=10.0.0.1" }, "2001:db8::1" },
    { "10.0.0.1", { "F proto=https ; for=203.0.113.1 ; host=\"a,b;c\\\"d\" " }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=127.0.0.1, for=203.0.113.1, for=10.2.2.2" }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=127.0.0.1", "Ffor=203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "Fnonsense \"", "Ffor=203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=unknown" }, "unknown" },
    { "10.0.0.1", { "Ffor=127.0.0.1, for=_hidden" }, "unknown" },
    { "10.0.0.1", { "Ffor=\"_hidden:_port\"" }, "unknown" },
    { "10.0.0.1", { "Ffor=127.0.0.1, proto=https" }, "unknown" },
    { "10.0.0.1", { "F,, for=203.0.113.1 ,;," }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=127.0.0.1;by=\", for=203.0.113.1" }, NULL },
    { "10.0.0.1", { "Ffor=127.0.0.1;by=\", for=\"203.0.113.1\"" }, NULL },
    { "10.0.0.1", { "Ffor=127.0.0.1;by=\"\\, for=\"203.0.113.1\"" }, NULL },
    { "10.0.0.1", { "Ffor=203.0.113.1;for=127.0.0.1" }, NULL },
    { "10.0.0.1", { "Ffor=" }, NULL },
    { "10.0.0.1", { "Ffor" }, NULL },
    { "10.0.0.1", { "F=x" }, NULL },
    { "10.0.0.1", { "Ffor =203.0.113.1" }, NULL },
    { "10.0.0.1", { "Ffor=\"127.0.0.\\1\"" }, NULL },
    { "10.0.0.1", { "Ffor=127.0.0.1 x" }, NULL },
    /* both: a proxy writes one, the other is the caller's own */
    { "10.0.0.1", { "Ffor=203.0.113.1", "X203.0.113.1" }, "203.0.113.1" },
    { "10.0.0.1", { "Ffor=127.0.0.1", "X203.0.113.1" }, NULL },
    { "10.0.0.1", { "Ffor=203.0.113.1", "X127.0.0.1" }, NULL },
    { "10.0.0.1", { "Ffor=unknown", "X203.0.113.1" }, NULL },
    { "10.0.0.1", { "Ffor=unknown", "Xunknown" }, "unknown" },
};

static void test_chains(void **state)
{
    struct http_nets trusted = nets_of(proxies);
    char text[HTTP_IP_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_field fields[3] = { 0 };
        struct http_ip peer = ip_of(rows[i].peer), client;
        struct http_request request = { .peer_ip = &peer, .headers = fields };
        while (request.header_count < 3 && rows[i].fields[request.header_count]) {
            const char *field = rows[i].fields[request.header_count];
            fields[request.header_count++] =
                (struct http_field){ *field == 'F' ? STR("forwarded") : STR("X-Forwarded-For"),
                                     str_from(field + 1) };
        }
        enum http_client found = http_client_find(&request, &trusted, &client);
        struct str got = found == HTTP_CLIENT_KNOWN     ? http_ip_text(&client, text)
                         : found == HTTP_CLIENT_UNKNOWN ? STR("unknown")
                                                        : STR_NONE;
        if (!str_equal(got, str_from(rows[i].want)))
            fail_msg("%s, %s: %.*s", rows[i].peer, rows[i].fields[0] ? rows[i].fields[0] : "",
                     (int)got.len, got.ptr ? got.ptr : "");
    }
}

/* Longer than any chain of proxies. */
static void test_long(void **state)
{
    struct http_nets trusted = nets_of(proxies);
    struct http_ip peer = ip_of("10.0.0.1"), client;
    char value[4000];

    (void)state;
    for (int forwarded = 0; forwarded < 2; forwarded++) {
        size_t n = (size_t)sprintf(value, "%s", forwarded ? "for=203.0.113.1" : "203.0.113.1");
        for (int i = 0; i < 200; i++)
            n += (size_t)sprintf(value + n, forwarded ? ",for=10.0.0.1" : ",10.0.0.1");
        const struct http_field field = { forwarded ? STR("Forwarded") : STR("X-Forwarded-For"),
                                          { value, n } };
        struct http_request request = { .peer_ip = &peer, .headers = &field, .header_count = 1 };
        assert_int_equal(http_client_find(&request, &trusted, &client),
                         forwarded ? HTTP_CLIENT_MALFORMED : HTTP_CLIENT_KNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_nets),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests_name("http_client_ip", tests, NULL, NULL);
}
