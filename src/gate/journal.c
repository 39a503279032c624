// SPDX-License-Identifier: Apache-2.0
#include "gate/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { HEADER_BYTES = 64, ROTATE_EMPTY_BYTES = 1 << 20, PATH_BYTES = 4096 };

struct header {
    char magic[8];
    uint32_t version, generation;
    uint8_t database_id[JOURNAL_ID_BYTES];
    uint32_t checksum; /* of what stands before */
    uint8_t zero[HEADER_BYTES - 8 - 8 - JOURNAL_ID_BYTES - 4];
};
static const char magic[8] = { 'D', 'B', 'J', 'O', 'U', 'R', 'N', '1' };
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the file's layout");
_Static_assert(sizeof(struct journal_record) == 48, "the file's layout");

struct generation {
    uint32_t number;
    size_t held; /* entries that are not rows yet */
    size_t bytes;
};

struct journal {
    char directory[PATH_BYTES];
    struct journal_options options;
    pthread_mutex_t lock;           /* guards the rest */
    struct generation *generations; /* oldest first; the last one is being written */
    size_t count, cap;
    int fd;
    bool broken;
    uint64_t writes, failures;
};

static void generation_path(const struct journal *journal, uint32_t number, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%.4000s/gate-%08" PRIu32 ".journal", journal->directory, number);
}

static enum err generation_add(struct journal *journal, uint32_t number, size_t bytes)
{
    if (!MEM_ROOM(journal->generations, journal->count, journal->cap, 8))
        return ERR_NOMEM;
    journal->generations[journal->count++] =
        (struct generation){ .number = number, .bytes = bytes };
    return ERR_OK;
}

/* ---- reading ---- */

static uint32_t record_checksum(const struct journal_record *record)
{
    size_t skipped = offsetof(struct journal_record, generation);

    return hash_crc32c(0, (const char *)record + skipped, sizeof *record - skipped);
}

static bool record_good(const struct journal_record *record, uint32_t generation)
{
    return record->length == sizeof *record && record->generation == generation &&
           (record->kind == JOURNAL_GRANT || record->kind == JOURNAL_RELEASE) &&
           record->checksum == record_checksum(record);
}

static bool all_zero(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

static enum err read_file(const char *path, char **ret_bytes, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return ERR_IO;
    }
    size_t size = (size_t)info.st_size;
    CLEANUP(mem_freep) char *bytes = mem_alloc(size + 1);
    while (bytes && done < size) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close(fd);
    if (!bytes)
        return ERR_NOMEM;
    if (done < size)
        return ERR_IO;
    *ret_bytes = TAKE(bytes);
    *ret_size = size;
    return ERR_OK;
}

static enum err header_check(const struct journal *journal, const char *path, const char *bytes,
                             uint32_t number, struct journal_report *report)
{
    struct header header;

    memcpy(&header, bytes, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.version != 1 ||
        header.generation != number ||
        header.checksum != hash_crc32c(0, &header, offsetof(struct header, checksum))) {
        snprintf(report->problem, sizeof report->problem,
                 "%.200s: its header is damaged or not a journal's", path);
        return ERR_CORRUPT;
    }
    if (memcmp(header.database_id, journal->options.database_id, JOURNAL_ID_BYTES) != 0) {
        snprintf(
            report->problem, sizeof report->problem,
            "%.160s belongs to another database; put the two that belong together side by side",
            path);
        return ERR_CONFLICT;
    }
    return ERR_OK;
}

static void keep_damaged(const char *path)
{
    char copy[PATH_BYTES + 16];

    snprintf(copy, sizeof copy, "%s.damaged", path);
    if (link(path, copy) != 0 && errno != EEXIST)
        LOG(LOG_WARN, "damaged journal not kept", LOG_CSTR("path", copy), LOG_INT("errno", errno));
}

/* The records of one file. What follows the last good one is a torn end if it is less than a
 * record or nothing but zeros; any other bad record is damage. */
static void read_records(struct generation *generation, const char *bytes, size_t size,
                         bool (*each)(void *, const struct journal_record *), void *context,
                         struct journal_report *report)
{
    size_t bad = 0, at;
    struct journal_record record;

    for (at = HEADER_BYTES; at + sizeof record <= size; at += sizeof record) {
        memcpy(&record, bytes + at, sizeof record);
        if (!record_good(&record, generation->number)) {
            bad++;
            if (all_zero(bytes + at, size - at)) {
                bad--;
                break;
            }
            continue;
        }
        report->records++;
        if (each(context, &record))
            generation->held++;
    }
    report->damaged += bad;
    report->torn_bytes += size - at;
}

static enum err read_generation(struct journal *journal, uint32_t number,
                                bool (*each)(void *, const struct journal_record *), void *context,
                                struct journal_report *report)
{
    CLEANUP(mem_freep) char *bytes = NULL;
    char path[PATH_BYTES];
    size_t size, damaged_before = report->damaged;

    generation_path(journal, number, path);
    TRY(read_file(path, &bytes, &size));
    TRY(generation_add(journal, number, size));
    /* Killed while it was being made: nobody was told anything of it. Zeros are what a power cut
     * leaves of a file whose length was on disk before its bytes. */
    if (size < HEADER_BYTES || all_zero(bytes, size)) {
        report->torn_bytes += size;
        return ERR_OK;
    }
    TRY(header_check(journal, path, bytes, number, report));
    read_records(&journal->generations[journal->count - 1], bytes, size, each, context, report);
    if (report->damaged > damaged_before && !journal->options.read_only)
        keep_damaged(path);
    return ERR_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* "gate-00000001.journal" and nothing else. */
static bool parse_name(struct str name, uint32_t *ret_number)
{
    enum { PREFIX = 5, DIGITS = 8 };
    struct str rest = { name.ptr + PREFIX + DIGITS, name.len - PREFIX - DIGITS };
    uint32_t number = 0;

    if (name.len < PREFIX + DIGITS || !str_has_prefix(name, STR("gate-")) ||
        !str_equal(rest, STR(".journal")))
        return false;
    for (size_t i = PREFIX; i < PREFIX + DIGITS; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(name.ptr[i] - '0');
    }
    *ret_number = number;
    return true;
}

static enum err list_numbers(const struct journal *journal, uint32_t **ret_numbers,
                             size_t *ret_count)
{
    CLEANUP(mem_freep) uint32_t *numbers = NULL;
    DIR *dir = opendir(journal->directory);
    size_t count = 0, cap = 0;
    struct dirent *entry;

    if (!dir)
        return ERR_IO;
    while ((entry = readdir(dir))) {
        uint32_t number;
        if (!parse_name(str_from(entry->d_name), &number))
            continue;
        if (!MEM_ROOM(numbers, count, cap, 16)) {
            closedir(dir);
            return ERR_NOMEM;
        }
        numbers[count++] = number;
    }
    closedir(dir);
    if (count)
        qsort(numbers, count, sizeof *numbers, compare_numbers);
    *ret_numbers = TAKE(numbers);
    *ret_count = count;
    return ERR_OK;
}

/* ---- writing ---- */

static enum err write_all_or_nothing(int fd, const void *bytes, size_t n, size_t offset)
{
    ssize_t written;

    do
        written = pwrite(fd, bytes, n, (off_t)offset);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)n)
        return ERR_OK;
    if (ftruncate(fd, (off_t)offset) != 0)
        return ERR_CORRUPT;
    return ERR_IO;
}

/* A new file with its header, to be written from now on. */
static enum err generation_start(struct journal *journal)
{
    uint32_t number = journal->count ? journal->generations[journal->count - 1].number + 1 : 1;
    struct header header = { .version = 1, .generation = number };
    char path[PATH_BYTES];

    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.database_id, journal->options.database_id, JOURNAL_ID_BYTES);
    header.checksum = hash_crc32c(0, &header, offsetof(struct header, checksum));
    generation_path(journal, number, path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    enum err e = write_all_or_nothing(fd, &header, sizeof header, 0);
    if (e == ERR_OK)
        e = generation_add(journal, number, sizeof header);
    if (e != ERR_OK) {
        close(fd);
        unlink(path);
        return e;
    }
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = fd;
    return ERR_OK;
}

/* Oldest first, and only without a gap: a release must not go before the grant it undoes. */
static void delete_settled(struct journal *journal)
{
    size_t gone = 0;
    char path[PATH_BYTES];

    while (gone + 1 < journal->count && journal->generations[gone].held == 0) {
        generation_path(journal, journal->generations[gone].number, path);
        if (unlink(path) != 0 && errno != ENOENT)
            break; /* read again at the next start, harmlessly */
        gone++;
    }
    memmove(journal->generations, journal->generations + gone,
            (journal->count - gone) * sizeof *journal->generations);
    journal->count -= gone;
}

enum err journal_append(struct journal *journal, struct journal_record *records, size_t count,
                        uint32_t *ret_generation)
{
    pthread_mutex_lock(&journal->lock);
    struct generation *current = &journal->generations[journal->count - 1];
    if (current->bytes >= journal->options.generation_bytes_max &&
        generation_start(journal) == ERR_OK)
        current = &journal->generations[journal->count - 1];
    size_t grants = 0;
    for (size_t i = 0; i < count; i++) {
        records[i].length = sizeof records[i];
        records[i].generation = current->number;
        records[i].checksum = record_checksum(&records[i]);
        grants += records[i].kind == JOURNAL_GRANT;
    }
    enum err e = journal->broken ? ERR_CORRUPT
                                 : write_all_or_nothing(journal->fd, records,
                                                        count * sizeof *records, current->bytes);
    if (e == ERR_OK) {
        current->bytes += count * sizeof *records;
        current->held += grants;
        journal->writes++;
        *ret_generation = current->number;
    } else {
        journal->failures++;
        journal->broken = journal->broken || e == ERR_CORRUPT;
    }
    pthread_mutex_unlock(&journal->lock);
    return e;
}

/* Nothing holds the file that is written: begin anew before it is full. */
static void tidy(struct journal *journal)
{
    struct generation *current = &journal->generations[journal->count - 1];

    if (current->held == 0 && current->bytes >= ROTATE_EMPTY_BYTES && !journal->broken)
        err_ignore(generation_start(journal), "the old one can be written on");
    if (journal->generations[0].held == 0 && journal->count > 1)
        delete_settled(journal);
}

void journal_settle(struct journal *journal, uint32_t generation, size_t count)
{
    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < journal->count; i++)
        if (journal->generations[i].number == generation) {
            ASSERT(journal->generations[i].held >= count);
            journal->generations[i].held -= count;
        }
    if (!journal->options.read_only)
        tidy(journal);
    pthread_mutex_unlock(&journal->lock);
}

struct journal_stats journal_stats(struct journal *journal)
{
    struct journal_stats stats = { 0 };

    pthread_mutex_lock(&journal->lock);
    for (size_t i = 0; i < journal->count; i++)
        stats.bytes += journal->generations[i].bytes;
    stats.generations = journal->count;
    stats.writes = journal->writes;
    stats.failures = journal->failures;
    stats.broken = journal->broken;
    pthread_mutex_unlock(&journal->lock);
    return stats;
}

/* ---- open, close ---- */

struct journal *journal_close(struct journal *journal)
{
    if (journal) {
        if (journal->fd >= 0)
            close(journal->fd);
        pthread_mutex_destroy(&journal->lock);
        mem_free(journal->generations);
        mem_free(journal);
    }
    return NULL;
}
DEFINE_CLEANUP(struct journal, journal_close)

enum err journal_open(const struct journal_options *options,
                      bool (*each)(void *context, const struct journal_record *record),
                      void *context, struct journal_report *ret_report,
                      struct journal **ret_journal)
{
    CLEANUP(journal_closep) struct journal *journal = mem_alloc(sizeof *journal);
    CLEANUP(mem_freep) uint32_t *numbers = NULL;
    size_t count = 0;

    *ret_report = (struct journal_report){ 0 };
    if (!journal)
        return ERR_NOMEM;
    journal->options = *options;
    journal->fd = -1;
    pthread_mutex_init(&journal->lock, NULL);
    snprintf(journal->directory, sizeof journal->directory, "%s", options->directory);
    TRY(list_numbers(journal, &numbers, &count));
    for (size_t i = 0; i < count; i++)
        TRY(read_generation(journal, numbers[i], each, context, ret_report));
    if (!options->read_only) {
        TRY(generation_start(journal));
        delete_settled(journal);
    }
    *ret_journal = TAKE(journal);
    return ERR_OK;
}
