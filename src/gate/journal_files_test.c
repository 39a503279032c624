// SPDX-License-Identifier: Apache-2.0
/* Which files the journal makes, keeps and deletes, and what happens when it cannot. */
#include "base/mem.h"
#include "gate/gate_fixture_test.h"
#include "gate/journal.h"

enum { RECORD = sizeof(struct journal_record), HEADER = 64, PER_FILE = 4 };

static struct journal_options options;
static struct journal_report report;
static size_t seen_count;
static int64_t let_go; /* see() keeps all but the records of this user */

static bool see(void *context, const struct journal_record *record)
{
    (void)context;
    seen_count++;
    return record->kind == JOURNAL_GRANT && record->user_id != let_go;
}

static struct journal *open_it(void)
{
    struct journal *journal;

    seen_count = 0;
    assert_ok(journal_open(&options, see, NULL, &report, &journal));
    return journal;
}

static uint32_t append(struct journal *journal, enum journal_kind kind, int64_t user_id)
{
    struct journal_record record = journal_record(kind, 7, user_id, user_id);
    uint32_t generation = 0;

    assert_ok(journal_append(journal, &record, 1, &generation));
    return generation;
}

static int setup(void **state)
{
    (void)state;
    dir_make();
    options = (struct journal_options){ .directory = dir,
                                        .generation_bytes_max = HEADER + PER_FILE * RECORD };
    let_go = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dir_remove();
    return mem_live_count() == 0 ? 0 : -1;
}

static void test_rotation(void **state)
{
    struct journal *journal = open_it();

    (void)state;
    for (int64_t user = 1; user <= 3 * PER_FILE; user++)
        assert_int_equal(append(journal, JOURNAL_GRANT, user), (user - 1) / PER_FILE + 1);
    assert_int_equal(dir_count(".journal"), 3);
    assert_int_equal(journal_stats(journal).generations, 3);
    assert_int_equal(journal_stats(journal).bytes, 3 * (HEADER + PER_FILE * RECORD));
    journal_settle(journal, 1, PER_FILE - 1);
    assert_int_equal(dir_count(".journal"), 3); /* one of the first is no row yet */
    journal_settle(journal, 2, PER_FILE);
    assert_int_equal(dir_count(".journal"), 3); /* settled, but not the oldest */
    journal_settle(journal, 1, 1);
    assert_int_equal(dir_count(".journal"), 1);
    journal_settle(journal, 3, PER_FILE);
    assert_int_equal(dir_count(".journal"), 1); /* being written */
    journal_settle(journal, 1, 1);              /* gone: no matter */
    journal_close(journal);
    journal = open_it();
    assert_int_equal(seen_count, PER_FILE);
    journal_close(journal);
}

/* A release undoes its grant at replay: it is there as long as the grant is. */
static void test_release_outlives_its_grant(void **state)
{
    struct journal *journal = open_it();

    (void)state;
    for (int64_t user = 1; user <= PER_FILE; user++)
        append(journal, JOURNAL_GRANT, user);
    for (int64_t user = 1; user <= PER_FILE; user++)
        assert_int_equal(append(journal, JOURNAL_RELEASE, 1), 2);
    assert_int_equal(append(journal, JOURNAL_GRANT, 9), 3);
    journal_settle(journal, 1, 1); /* the released one; three are pending */
    assert_int_equal(dir_count(".journal"), 3);
    journal_close(journal);
    let_go = 1;
    journal = open_it();
    assert_int_equal(seen_count, 2 * PER_FILE + 1);
    assert_int_equal(dir_count(".journal"), 4);
    journal_settle(journal, 1, PER_FILE - 1);
    assert_int_equal(dir_count(".journal"), 2); /* grants first, releases with them */
    journal_close(journal);
}

static void test_deleted_at_open(void **state)
{
    struct journal *journal = open_it();

    (void)state;
    for (int64_t user = 1; user <= 2 * PER_FILE; user++)
        append(journal, JOURNAL_GRANT, 5);
    journal_close(journal);
    let_go = 5; /* all superseded, so nothing holds the files */
    journal = open_it();
    assert_int_equal(seen_count, 2 * PER_FILE);
    assert_int_equal(dir_count(".journal"), 1);
    assert_int_equal(append(journal, JOURNAL_GRANT, 6), 3);
    journal_close(journal);
}

/* As much as lets a file be left when nothing is pending in it. Returns how many. */
static size_t append_much(struct journal *journal)
{
    struct journal_record records[256];
    uint32_t generation;
    size_t written = 0;

    for (size_t i = 0; i < ARRAY_COUNT(records); i++)
        records[i] = journal_record(JOURNAL_GRANT, 7, 1 + (int64_t)i, 1);
    for (; written * RECORD < 1 << 20; written += ARRAY_COUNT(records))
        assert_ok(journal_append(journal, records, ARRAY_COUNT(records), &generation));
    return written;
}

/* A file in which nothing is pending any more does not wait for its full size. */
static void test_rotates_when_empty(void **state)
{
    (void)state;
    options.generation_bytes_max = 64 << 20;
    struct journal *journal = open_it();
    size_t written = append_much(journal);
    journal_settle(journal, 1, written - 1);
    assert_true(file_size("gate-00000001.journal") > 1 << 20);
    journal_settle(journal, 1, 1);
    assert_int_equal(file_size("gate-00000001.journal"), -1);
    assert_int_equal(file_size("gate-00000002.journal"), HEADER);
    assert_int_equal(append(journal, JOURNAL_GRANT, 1), 2);
    journal_close(journal);
}

/* No room for a new file: the old one grows on, nobody is turned away. */
static void test_rotation_fails(void **state)
{
    struct journal *journal = open_it();
    char name[512];

    (void)state;
    for (int64_t user = 1; user <= PER_FILE; user++)
        append(journal, JOURNAL_GRANT, user);
    dir_path("gate-00000002.journal", name);
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(append(journal, JOURNAL_GRANT, 9), 1);
    assert_int_equal(rmdir(name), 0);
    assert_int_equal(append(journal, JOURNAL_GRANT, 10), 2);
    journal_close(journal);
    journal = open_it();
    assert_int_equal(seen_count, PER_FILE + 2);
    journal_close(journal);
}

/* Read only is what `prove` uses, maybe while a server runs: no file comes, goes or changes. */
static void test_read_only(void **state)
{
    struct journal *journal = open_it();

    (void)state;
    for (int64_t user = 1; user <= 2 * PER_FILE; user++)
        append(journal, JOURNAL_GRANT, user);
    journal_close(journal);
    options.read_only = true;
    journal = open_it();
    assert_int_equal(seen_count, 2 * PER_FILE);
    journal_settle(journal, 1, PER_FILE);
    journal_settle(journal, 2, PER_FILE);
    journal_close(journal);
    assert_int_equal(dir_count(".journal"), 2);
    assert_int_equal(dir_count(""), 4);
    assert_int_equal(file_size("gate-00000002.journal"), HEADER + PER_FILE * RECORD);
}

/* The same where a file is large enough to be left when it is empty. */
static void test_read_only_large(void **state)
{
    (void)state;
    options.generation_bytes_max = 64 << 20;
    struct journal *journal = open_it();
    size_t written = append_much(journal);
    journal_close(journal);
    options.read_only = true;
    journal = open_it();
    journal_settle(journal, 1, written);
    journal_close(journal);
    assert_int_equal(dir_count(".journal"), 1);
    assert_true(file_size("gate-00000001.journal") > 1 << 20);
}

static void test_every_allocation(void **state)
{
    struct journal *journal = open_it();

    (void)state;
    for (int64_t user = 1; user <= 10 * PER_FILE; user++)
        append(journal, JOURNAL_GRANT, user);
    journal_close(journal);
    for (int after = 0;; after++) {
        long live = mem_live_count();
        mem_fault_set(after);
        enum err e = journal_open(&options, see, NULL, &report, &journal);
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        if (hits == 0) {
            assert_ok(e);
            journal_close(journal);
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
        assert_int_equal(mem_live_count(), live);
        assert_int_equal(dir_count(".journal"), 10);
    }
}

static void test_unreadable(void **state)
{
    struct journal *journal;
    char name[512];

    (void)state;
    options.directory = "/nonexistent/doorbuster";
    assert_int_equal(journal_open(&options, see, NULL, &report, &journal), ERR_IO);
    options.directory = dir;
    dir_path("gate-00000001.journal", name);
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(journal_open(&options, see, NULL, &report, &journal), ERR_IO);
    assert_int_equal(rmdir(name), 0);
    file_write("gate-0000001x.journal", "no", 2); /* not ours */
    file_write("gate-00000001.journal.damaged", "no", 2);
    journal = open_it();
    assert_int_equal(report.torn_bytes, 0);
    journal_close(journal);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_release_outlives_its_grant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleted_at_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotates_when_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_allocation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
