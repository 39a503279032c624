// SPDX-License-Identifier: Apache-2.0
/* The journal's own promises, with writes that fail on demand: see pwrite() and ftruncate() below.
 */
#include "base/mem.h"
#include "gate/gate_faults_test.h"
#include "gate/gate_fixture_test.h"
#include "gate/journal.h"

enum { RECORD = sizeof(struct journal_record), HEADER = 64 };
#define FIRST "gate-00000001.journal"

/* ---- fixture ---- */

static struct journal_options options;
static struct journal_report report;
static struct journal_record seen[4096];
static size_t seen_count;
static bool keeps;

static bool see(void *context, const struct journal_record *record)
{
    (void)context;
    assert_true(seen_count < ARRAY_COUNT(seen));
    seen[seen_count++] = *record;
    return keeps;
}

static enum err try_open(struct journal **ret_journal)
{
    seen_count = 0;
    return journal_open(&options, see, NULL, &report, ret_journal);
}

static struct journal *reopen(struct journal *journal)
{
    journal_close(journal);
    assert_ok(try_open(&journal));
    return journal;
}

static uint32_t append(struct journal *journal, int64_t user_id, size_t count)
{
    struct journal_record records[16];
    uint32_t generation = 0;

    for (size_t i = 0; i < count; i++)
        records[i] = journal_record(JOURNAL_GRANT, 7, user_id + (int64_t)i, 100 + user_id);
    assert_ok(journal_append(journal, records, count, &generation));
    return generation;
}

static int setup(void **state)
{
    (void)state;
    dir_make();
    options = (struct journal_options){ .directory = dir,
                                        .database_id = "0123456789abcde",
                                        .generation_bytes_max = 1 << 20 };
    faults_end();
    keeps = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dir_remove();
    return mem_live_count() == 0 ? 0 : -1;
}

/* Three records of users 1, 2, 3 in the first file, nothing else. */
static void three_records(void)
{
    struct journal *journal;

    assert_ok(try_open(&journal));
    append(journal, 1, 3);
    journal_close(journal);
    assert_int_equal(file_size(FIRST), HEADER + 3 * RECORD);
}

/* ---- tests ---- */

static void test_round_trip(void **state)
{
    struct journal *journal;
    struct journal_record release = journal_record(JOURNAL_RELEASE, -5, 2, INT64_MAX);
    uint32_t generation;

    (void)state;
    assert_ok(try_open(&journal));
    assert_int_equal(seen_count, 0);
    assert_int_equal(append(journal, 1, 2), 1);
    assert_ok(journal_append(journal, &release, 1, &generation));
    write_interrupts = 3;
    append(journal, 3, 1);
    journal = reopen(journal);
    assert_int_equal(report.records, 4);
    assert_int_equal(report.damaged + report.torn_bytes, 0);
    assert_int_equal(seen_count, 4);
    assert_int_equal(seen[1].user_id, 2);
    assert_int_equal(seen[2].kind, JOURNAL_RELEASE);
    assert_true(seen[2].coupon_id == -5 && seen[2].slot == INT64_MAX);
    assert_int_equal(append(journal, 9, 1), 2); /* never into a file that was read */
    journal = reopen(journal);
    assert_int_equal(seen_count, 5);
    assert_int_equal(seen[4].user_id, 9);
    journal_close(journal);
}

static void test_torn_tail(void **state)
{
    char whole[HEADER + 3 * RECORD];
    struct journal *journal;

    (void)state;
    three_records();
    file_read(FIRST, whole, sizeof whole);
    for (size_t size = 0; size <= sizeof whole; size++) {
        size_t records = size < HEADER ? 0 : (size - HEADER) / RECORD;
        dir_empty();
        file_write(FIRST, whole, size);
        assert_ok(try_open(&journal));
        assert_int_equal(report.records, records);
        assert_int_equal(seen_count, records);
        assert_int_equal(report.damaged, 0);
        assert_int_equal(report.torn_bytes, size < HEADER ? size : (size - HEADER) % RECORD);
        append(journal, 8, 1); /* and it can be written on */
        journal = reopen(journal);
        assert_int_equal(seen_count, records + 1);
        assert_int_equal(dir_count(".damaged"), 0);
        journal_close(journal);
    }
}

/* What a power cut leaves behind: a length that is there and bytes that are not. */
static void test_zeros_at_the_end(void **state)
{
    char bytes[HEADER + 5 * RECORD + 7] = { 0 };
    struct journal *journal;
    static const size_t good[] = { 0, HEADER, HEADER + RECORD, HEADER + 3 * RECORD };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        dir_empty();
        three_records();
        memset(bytes, 0, sizeof bytes);
        file_read(FIRST, bytes, good[i]);
        file_write(FIRST, bytes, sizeof bytes);
        assert_ok(try_open(&journal));
        assert_int_equal(seen_count, good[i] < HEADER ? 0 : (good[i] - HEADER) / RECORD);
        assert_int_equal(report.damaged, 0);
        assert_int_equal(report.torn_bytes, sizeof bytes - good[i]);
        journal_close(journal);
    }
}

/* Nothing of an append that failed is left, whatever part of it reached the file. */
static void test_short_write(void **state)
{
    struct journal_record records[3];
    struct journal *journal;
    uint32_t generation;

    (void)state;
    for (ssize_t limit = -1; limit < 3 * RECORD; limit++) {
        dir_empty();
        assert_ok(try_open(&journal));
        append(journal, 1, 1);
        for (size_t i = 0; i < ARRAY_COUNT(records); i++)
            records[i] = journal_record(JOURNAL_GRANT, 7, 50 + (int64_t)i, 50);
        write_limit = limit;
        write_errno = limit < 0 ? ENOSPC : 0;
        assert_int_equal(journal_append(journal, records, 3, &generation), ERR_IO);
        write_limit = -1;
        write_errno = 0;
        assert_int_equal(file_size(FIRST), HEADER + RECORD);
        assert_int_equal(journal_stats(journal).failures, 1);
        assert_false(journal_stats(journal).broken);
        append(journal, 2, 1);
        journal = reopen(journal);
        assert_int_equal(seen_count, 2);
        assert_int_equal(seen[1].user_id, 2);
        assert_int_equal(report.damaged + report.torn_bytes, 0);
        journal_close(journal);
    }
}

static void test_cutting_back_fails(void **state)
{
    struct journal_record record = journal_record(JOURNAL_GRANT, 7, 50, 50);
    struct journal *journal;
    uint32_t generation;

    (void)state;
    assert_ok(try_open(&journal));
    append(journal, 1, 1);
    write_limit = 20;
    cut_fails = true;
    assert_int_equal(journal_append(journal, &record, 1, &generation), ERR_CORRUPT);
    write_limit = -1;
    cut_fails = false;
    assert_int_equal(journal_append(journal, &record, 1, &generation), ERR_CORRUPT);
    assert_true(journal_stats(journal).broken);
    journal = reopen(journal);
    assert_int_equal(seen_count, 1); /* the torn record was told to nobody */
    assert_int_equal(report.torn_bytes, 20);
    assert_false(journal_stats(journal).broken);
    journal_close(journal);
}

static void test_flipped_bit(void **state)
{
    char whole[HEADER + 3 * RECORD], kept[sizeof whole];
    struct journal *journal;

    (void)state;
    three_records();
    file_read(FIRST, whole, sizeof whole);
    for (size_t bit = 0; bit < 3 * RECORD * 8; bit++) {
        char flipped[sizeof whole];
        size_t victim = bit / 8 / RECORD;
        memcpy(flipped, whole, sizeof whole);
        flipped[HEADER + bit / 8] = (char)(flipped[HEADER + bit / 8] ^ (1 << (bit % 8)));
        dir_empty();
        file_write(FIRST, flipped, sizeof flipped);
        assert_ok(try_open(&journal));
        assert_int_equal(report.damaged, 1);
        assert_int_equal(report.torn_bytes, 0);
        assert_int_equal(seen_count, 2);
        assert_int_equal(seen[0].user_id, victim == 0 ? 2 : 1);
        assert_int_equal(seen[1].user_id, victim == 2 ? 2 : 3);
        assert_int_equal(file_read(FIRST ".damaged", kept, sizeof kept), sizeof kept);
        assert_memory_equal(kept, flipped, sizeof kept);
        journal_close(journal);
    }
}

/* A record that stands in another file's place is damage, too: it carries its generation. */
static void test_record_of_another_generation(void **state)
{
    char first[HEADER + 3 * RECORD], second[HEADER + RECORD];
    struct journal *journal;

    (void)state;
    three_records();
    assert_ok(try_open(&journal));
    append(journal, 9, 1);
    journal_close(journal);
    file_read(FIRST, first, sizeof first);
    file_read("gate-00000002.journal", second, sizeof second);
    memcpy(first + HEADER + RECORD, second + HEADER, RECORD);
    file_write(FIRST, first, sizeof first);
    assert_ok(try_open(&journal));
    assert_int_equal(report.damaged, 1);
    assert_int_equal(seen_count, 3);
    journal_close(journal);
}

static void test_header(void **state)
{
    char whole[HEADER + 3 * RECORD];
    struct journal *journal;

    (void)state;
    three_records();
    file_read(FIRST, whole, sizeof whole);
    for (size_t bit = 0; bit < 36 * 8; bit++) {
        whole[bit / 8] = (char)(whole[bit / 8] ^ (1 << (bit % 8)));
        file_write(FIRST, whole, sizeof whole);
        whole[bit / 8] = (char)(whole[bit / 8] ^ (1 << (bit % 8)));
        assert_int_equal(try_open(&journal), ERR_CORRUPT);
        assert_non_null(strstr(report.problem, "header is damaged"));
        assert_non_null(strstr(report.problem, FIRST));
        assert_int_equal(seen_count, 0);
    }
    file_write(FIRST, whole, sizeof whole);
    options.database_id[15] ^= 1;
    assert_int_equal(try_open(&journal), ERR_CONFLICT);
    assert_non_null(strstr(report.problem, "belongs to another database"));
    assert_int_equal(file_size(FIRST), sizeof whole);
    assert_int_equal(dir_count(""), 3); /* it, ".", "..": nothing was begun */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zeros_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cutting_back_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_of_another_generation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
