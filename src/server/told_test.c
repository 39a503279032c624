// SPDX-License-Identifier: Apache-2.0
#include "server/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static struct told parse(const char *text)
{
    struct told told = { 0 };
    uint32_t line = 0;

    assert_int_equal(told_parse(&told, str_from(text), &line), ERR_OK);
    return told;
}

static void test_lines(void **state)
{
    struct told told =
        parse("# a drop\n\nissued 7 1\r\nreserved 8 2\nalready 9223372036854775807 3");

    (void)state;
    assert_int_equal(told.count, 3);
    assert_int_equal(told.entries[0].kind, TOLD_ISSUED);
    assert_int_equal(told.entries[0].line, 3);
    assert_int_equal(told.entries[1].kind, TOLD_RESERVED);
    assert_int_equal(told.entries[1].user_id, 8);
    assert_int_equal(told.entries[1].slot, 2);
    assert_int_equal(told.entries[2].kind, TOLD_ALREADY);
    assert_int_equal(told.entries[2].user_id, INT64_MAX);
    told_fini(&told);
}

static void test_bad_lines(void **state)
{
    static const char *const bad[] = {
        "issued",       "issued 1",   "issued 1 ",      "issued 1 2 3",
        "issued  1 2",  "issued 0 2", "issued 1 0",     "issued -1 2",
        "issued 1 2.0", "Issued 1 2", " issued 1 2",    "issued 1 2 ",
        "issued,1,2",   "won 1 2",    "issued 01 2",    "issued 1\t2",
        "issued 1 x",   "issue 1 2",  "{\"userId\":1}", "issued 9223372036854775808 1",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct told told = { 0 };
        char text[100];
        uint32_t line = 0;
        snprintf(text, sizeof text, "issued 1 1\n# fine\n%s\nissued 2 2\n", bad[i]);
        if (told_parse(&told, str_from(text), &line) != ERR_INVALID || line != 3)
            fail_msg("\"%s\" was taken, or blamed on line %u", bad[i], line);
        told_fini(&told);
    }
}

static void test_write_is_read(void **state)
{
    struct told told = { 0 };
    CLEANUP(buf_fini) struct buf text = { 0 };

    (void)state;
    for (int i = 0; i < 3000; i++)
        assert_int_equal(told_add(&told, (enum told_kind)(i % 3), 3000 - i, i + 1), ERR_OK);
    told_write(&told, &text);
    buf_char(&text, '\0');
    struct told again = parse(text.ptr);
    assert_int_equal(again.count, 3000);
    for (size_t i = 0; i < again.count; i++) {
        assert_int_equal(again.entries[i].kind, told.entries[i].kind);
        assert_int_equal(again.entries[i].user_id, told.entries[i].user_id);
        assert_int_equal(again.entries[i].slot, told.entries[i].slot);
    }
    told_fini(&told);
    told_fini(&again);
}

static void test_file(void **state)
{
    char path[] = "/tmp/told-test-XXXXXX";
    struct told told = { 0 };
    uint32_t line;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "issued 1 1\n", 11), 11);
    close(fd);
    assert_int_equal(told_read(&told, path, &line), ERR_OK);
    assert_int_equal(told_read(&told, path, &line), ERR_OK); /* appends */
    assert_int_equal(told.count, 2);
    unlink(path);
    assert_int_equal(told_read(&told, path, &line), ERR_IO);
    told_fini(&told);
}

/* ---- what is so ---- */

static void test_told_and_rows(void **state)
{
    /* What was told of user 5 and number 2; what there is; whether it is so. */
    static const struct {
        const char *told;
        int64_t row_slot, pending_slot, pending_user;
        int64_t lies;
    } rows[] = {
        { "issued 5 2", 2, 0, 0, 0 },
        { "reserved 5 2", 2, 0, 0, 0 },
        { "already 5 2", 2, 0, 0, 0 },
        { "issued 5 2", 0, 0, 0, 1 },
        { "reserved 5 2", 0, 0, 0, 1 },
        { "already 5 2", 0, 0, 0, 1 },
        { "issued 5 2", 3, 0, 0, 1 },
        { "reserved 5 2", 3, 0, 0, 1 },
        { "issued 5 2", 0, 2, 0, 1 },
        { "reserved 5 2", 0, 2, 0, 0 },
        { "already 5 2", 0, 2, 0, 0 },
        { "reserved 5 2", 0, 2, 5, 0 },
        { "reserved 5 2", 0, 2, 6, 1 },
        { "reserved 5 2", 0, 3, 0, 1 },
        { "reserved 5 2", 3, 2, 0, 1 },
        { "already 5 2\nissued 5 2\nissued 5 2", 2, 0, 0, 0 },
        { "issued 5 2\nissued 5 3", 2, 0, 0, 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct told told = parse(rows[i].told);
        char first[TOLD_LIE_BYTES];
        told_show_row(&told, 2, 4); /* other people's */
        told_show_row(&told, 2, 6);
        if (rows[i].row_slot)
            told_show_row(&told, rows[i].row_slot, 5);
        if (rows[i].pending_slot)
            told_show_pending(&told, rows[i].pending_slot, rows[i].pending_slot,
                              rows[i].pending_user);
        if (told_lies(&told, first) != rows[i].lies)
            fail_msg("row %zu: %s", i, first);
        told_fini(&told);
    }
}

static void test_first_lie_is_named(void **state)
{
    struct told told = parse("issued 9 1\nissued 8 2\nreserved 7 3\n");
    char first[TOLD_LIE_BYTES];

    (void)state;
    told_show_row(&told, 1, 9);
    told_show_row(&told, 5, 8);
    assert_int_equal(told_lies(&told, first), 2);
    assert_string_equal(first, "user 8 was told issued 2 and has 5");
    told_show_row(&told, 2, 8); /* a second row of that user: the one that was told is there */
    assert_int_equal(told_lies(&told, first), 1);
    assert_string_equal(first, "user 7 was told reserved 3 and has no row");
    told_show_pending(&told, 2, 4, 0);
    assert_int_equal(told_lies(&told, first), 0);
    assert_string_equal(first, "");
    told_rewind(&told);
    assert_int_equal(told_lies(&told, first), 3);
    told_fini(&told);
}

static void test_no_memory(void **state)
{
    struct told told = { 0 };
    uint32_t line;

    (void)state;
    mem_fault_set(0);
    assert_int_equal(told_parse(&told, STR("issued 1 1\n"), &line), ERR_NOMEM);
    mem_fault_set(-1);
    told_fini(&told);
    assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_write_is_read), cmocka_unit_test(test_file),
        cmocka_unit_test(test_told_and_rows), cmocka_unit_test(test_first_lie_is_named),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
