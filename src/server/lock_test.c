// SPDX-License-Identifier: Apache-2.0
#include "server/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/lock-test-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/lock-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/doorbuster.lock", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void test_text(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t pid;
        const char *url;
    } rows[] = {
        { "12 http://127.0.0.1:8080\n", true, 12, "http://127.0.0.1:8080" },
        { "12\n", true, 12, "" },
        { "12 http://[::1]:80\nrest of an older line\n", true, 12, "http://[::1]:80" },
        { "", false, 0, "" },
        { "12", false, 0, "" },
        { "12 http://127.0.0.1:8", false, 0, "" },
        { "\n", false, 0, "" },
        { "x\n", false, 0, "" },
        { "-3\n", false, 0, "" },
        { "0 http://127.0.0.1:1\n", false, 0, "" },
        { " 12\n", false, 0, "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct lock_holder holder;
        assert_int_equal(lock_parse(str_from(rows[i].text), &holder), rows[i].good);
        assert_int_equal(holder.pid, rows[i].pid);
        assert_string_equal(holder.url, rows[i].url);
    }
    struct lock_holder holder;
    char text[300] = "1 ";
    memset(text + 2, 'a', 200);
    text[202] = '\n';
    assert_false(lock_parse(str_from(text), &holder));
}

static void test_alone(void **state)
{
    struct lock_holder holder;
    int fd, other;

    (void)state;
    assert_int_equal(lock_look(directory, &holder), ERR_NOT_FOUND);
    assert_int_equal(lock_take(directory, LOCK_TO_READ, &fd, &holder), ERR_NOT_FOUND);
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_OK);
    assert_int_equal(lock_look(directory, &holder), ERR_OK);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.url, "");
    assert_int_equal(lock_tell(fd, "http://127.0.0.1:8080"), ERR_OK);
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &other, &holder), ERR_CONFLICT);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.url, "http://127.0.0.1:8080");
    assert_false(holder.reading);
    assert_int_equal(lock_take(directory, LOCK_TO_READ, &other, &holder), ERR_CONFLICT);
    assert_string_equal(holder.url, "http://127.0.0.1:8080");
    lock_release(fd);
    assert_int_equal(lock_look(directory, &holder), ERR_NOT_FOUND);
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_OK);
    lock_release(fd);
}

static void test_readers(void **state)
{
    struct lock_holder holder;
    struct stat before, after;
    int fd, one, two;

    (void)state;
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_OK);
    lock_release(fd);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(lock_take(directory, LOCK_TO_READ, &one, &holder), ERR_OK);
    assert_int_equal(lock_take(directory, LOCK_TO_READ, &two, &holder), ERR_OK);
    assert_int_equal(lock_look(directory, &holder), ERR_NOT_FOUND); /* nobody writes */
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_CONFLICT);
    assert_true(holder.reading);
    lock_release(one);
    lock_release(two);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_OK);
    lock_release(fd);
}

/* A process that is killed keeps nothing locked, whatever it has written. */
static void test_goes_with_its_process(void **state)
{
    struct lock_holder holder;
    int status, fd;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        if (lock_take(directory, LOCK_TO_WRITE, &fd, &holder) != ERR_OK ||
            lock_tell(fd, "http://127.0.0.1:1") != ERR_OK)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(lock_look(directory, &holder), ERR_NOT_FOUND);
    assert_int_equal(lock_take(directory, LOCK_TO_WRITE, &fd, &holder), ERR_OK);
    lock_release(fd);
}

static void test_no_directory(void **state)
{
    struct lock_holder holder;
    int fd;

    (void)state;
    assert_int_equal(lock_take("/nowhere/at/all", LOCK_TO_WRITE, &fd, &holder), ERR_IO);
    assert_int_equal(lock_look("/nowhere/at/all", &holder), ERR_NOT_FOUND);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),         IN_DIRECTORY(test_alone),
        IN_DIRECTORY(test_readers),          IN_DIRECTORY(test_goes_with_its_process),
        cmocka_unit_test(test_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
