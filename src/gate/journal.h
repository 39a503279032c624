// SPDX-License-Identifier: Apache-2.0
/*
 * The reservation journal: what `reserve` answered must survive kill -9 before its row is stored.
 * One write() for all reservations of a loop turn, no fsync: what the kernel has, a killed process
 * does not lose. (A power cut may: gate.reserve_durability = ledger is for those who mind.)
 *
 * Generations: gate-00000001.journal, ... Each starts with a header that names its database;
 * records have one fixed size, with length, checksum and generation. A generation is deleted when
 * all its entries are rows and all older ones are gone. All functions: any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

enum journal_kind { JOURNAL_GRANT = 1, JOURNAL_RELEASE = 2 };
enum { JOURNAL_ID_BYTES = 16, JOURNAL_PROBLEM_BYTES = 256 };

/* As on disk, little-endian. */
struct journal_record {
    uint32_t length;   /* of the record */
    uint32_t checksum; /* CRC-32C of what follows */
    uint32_t generation;
    uint32_t kind;
    int64_t coupon_id, user_id, slot;
    int64_t reserved;
};

struct journal_options {
    const char *directory;
    uint8_t database_id[JOURNAL_ID_BYTES];
    size_t generation_bytes_max;
    bool read_only; /* look at what is there; never write, cut or delete */
};

struct journal_report {
    size_t records;    /* good ones */
    size_t damaged;    /* bad ones before the end: an alarm */
    size_t torn_bytes; /* cut from the ends: a write that did not finish, told to nobody */
    char problem[JOURNAL_PROBLEM_BYTES]; /* why opening failed, for people */
};

/*
 * Reads every generation in order, `each` record in turn, then starts a new generation. Each
 * record that `each` keeps (returns true) holds its generation until journal_settle().
 *
 * ERR_CONFLICT: a journal of another database; ERR_CORRUPT: a header that is none; ERR_IO;
 * ERR_NOMEM.
 */
enum err journal_open(const struct journal_options *options,
                      bool (*each)(void *context, const struct journal_record *record),
                      void *context, struct journal_report *ret_report,
                      struct journal **ret_journal) MUST_CHECK;
struct journal *journal_close(struct journal *journal); /* takes NULL */

/* What a caller fills in; the journal adds length, checksum and generation. */
static inline struct journal_record journal_record(enum journal_kind kind, int64_t coupon_id,
                                                   int64_t user_id, int64_t slot)
{
    return (struct journal_record){
        .kind = (uint32_t)kind, .coupon_id = coupon_id, .user_id = user_id, .slot = slot
    };
}

/*
 * Appends all records with one write(); every JOURNAL_GRANT holds the generation. On ERR_IO nothing
 * of them is in the file. ERR_CORRUPT: cutting back failed, too; the journal refuses from now on.
 */
enum err journal_append(struct journal *journal, struct journal_record *records, size_t count,
                        uint32_t *ret_generation) MUST_CHECK;
/* `count` entries of that generation are rows, or released. */
void journal_settle(struct journal *journal, uint32_t generation, size_t count);

struct journal_stats {
    size_t bytes, generations;
    uint64_t writes, failures;
    bool broken;
};
struct journal_stats journal_stats(struct journal *journal);
