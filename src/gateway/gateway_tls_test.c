// SPDX-License-Identifier: Apache-2.0
/* Over TLS: who the gateway is is checked, and nothing is sent to one who is not. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway_http.h"

#define BODY "{\"status\":\"approved\",\"transactionId\":\"T-1\"}"
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 43\r\nConnection: close\r\n\r\n" BODY;

/* ---- a certificate that vouches for itself ---- */

static char ca_path[] = "/tmp/gateway-tls-XXXXXX";

static X509 *make_certificate(EVP_PKEY *key, const char *names)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"gateway", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    ASSERT(extension && X509_add_ext(x, extension, -1));
    X509_EXTENSION_free(extension);
    ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

/* ---- a server of one connection after another ---- */

static SSL_CTX *context;
static int listener;
static uint16_t port;
static pthread_t thread;
static _Atomic int requests, connections;

static void serve_one(int fd)
{
    SSL *ssl = SSL_new(context);
    char request[4096];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof request) > 0) {
        requests++;
        SSL_write(ssl, answer, sizeof answer - 1);
        SSL_shutdown(ssl);
        SSL_read(ssl, request, sizeof request); /* until the client has hung up */
    }
    SSL_free(ssl);
    close(fd);
}

static void *serve(void *unused)
{
    int fd;

    (void)unused;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        connections++;
        serve_one(fd);
    }
    return NULL;
}

/* `names` are what the certificate is for. */
static void begin(const char *names)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof addr;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key, names);
    FILE *file = fopen(ca_path, "w");

    ASSERT(file && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
    context = SSL_CTX_new(TLS_server_method());
    ASSERT(SSL_CTX_use_certificate(context, certificate) == 1);
    ASSERT(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(listener, (struct sockaddr *)&addr, n) == 0 && listen(listener, 8) == 0);
    ASSERT(getsockname(listener, (struct sockaddr *)&addr, &n) == 0);
    port = ntohs(addr.sin_port);
    requests = connections = 0;
    ASSERT(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void end(void)
{
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    SSL_CTX_free(context);
    assert_int_equal(mem_live_count(), 0);
}

/* ---- calls ---- */

static struct loop *loop;

static void on_done(struct gateway_call *call)
{
    (void)call;
    loop_stop(loop);
}

static enum gateway_outcome ask(const char *ca_file)
{
    char url[64];
    struct gateway_http_options options = { .url = url,
                                            .ca_file = ca_file,
                                            .secret = STR("0123456789abcdef0123456789abcdef"),
                                            .connect_timeout_ms = 5000,
                                            .timeout_ms = 10000,
                                            .in_flight_max = 1,
                                            .breaker = breaker_options_default(2000, 1) };
    struct gateway_call call = {
        .done = on_done, .op = GATEWAY_CHARGE, .key = "order-17-1", .user_id = 1, .amount = 1
    };
    struct gateway *gateway;

    snprintf(url, sizeof url, "https://127.0.0.1:%u/", (unsigned)port);
    loop = loop_new();
    assert_non_null(loop);
    assert_int_equal(gateway_http_new(&options, &gateway), ERR_OK);
    struct gateway_client *client = gateway_client_new(gateway, loop, NULL);
    assert_non_null(client);
    gateway_start(client, &call);
    loop_run(loop);
    gateway_client_free(client);
    gateway_free(gateway);
    loop_free(loop);
    return call.outcome;
}

static void test_known_authority(void **state)
{
    (void)state;
    begin("IP:127.0.0.1");
    assert_int_equal(ask(ca_path), GATEWAY_APPROVED);
    assert_int_equal(requests, 1);
    end();
}

static void test_unknown_authority(void **state)
{
    (void)state;
    begin("IP:127.0.0.1");
    assert_int_equal(ask(NULL), GATEWAY_UNSENT);
    assert_int_equal(ask(""), GATEWAY_UNSENT);
    assert_int_equal(connections, 2);
    assert_int_equal(requests, 0);
    end();
}

static void test_other_name(void **state)
{
    (void)state;
    begin("DNS:gateway.example,IP:127.0.0.2");
    assert_int_equal(ask(ca_path), GATEWAY_UNSENT);
    assert_int_equal(connections, 1);
    assert_int_equal(requests, 0);
    end();
}

static void test_no_authorities(void **state)
{
    (void)state;
    begin("IP:127.0.0.1");
    assert_int_equal(ask("/nowhere"), GATEWAY_UNSENT);
    assert_int_equal(requests, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_authority),
        cmocka_unit_test(test_unknown_authority),
        cmocka_unit_test(test_other_name),
        cmocka_unit_test(test_no_authorities),
    };
    int fd = mkstemp(ca_path);

    ASSERT(fd >= 0);
    close(fd);
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    log_set_level(LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(ca_path);
    return failed;
}
