// SPDX-License-Identifier: Apache-2.0
/*
 * A told file: who was answered what, as the ones who asked remember it. `stampede --told FILE`
 * writes it, and so may any load generator; `prove --told FILE` holds it against the rows.
 *
 *     issued USER_ID SEQUENCE      `issue` answered 200
 *     reserved USER_ID SEQUENCE    `reserve` answered 200
 *     already USER_ID SEQUENCE     either answered ALREADY_ISSUED_COUPON
 *
 * One line for each answer, decimal numbers, one space between them; all of one coupon. Empty lines
 * and lines that begin with '#' do not count. A file may be appended to by several runs.
 *
 * Told issued: there is a row with that user and number. Told reserved or already: that row, or a
 * place with that number that is granted and not stored yet.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum told_kind { TOLD_ISSUED, TOLD_RESERVED, TOLD_ALREADY };

struct told_entry {
    enum told_kind kind;
    uint32_t line;
    int64_t user_id, slot;
    int64_t row_slot; /* the user's row; 0: none */
    bool pending;     /* the number is one that is not stored yet */
};

struct told {
    struct told_entry *entries; /* by user once sorted */
    size_t count, cap;
    uint32_t lines; /* taken so far */
    bool sorted;
};

enum { TOLD_LIE_BYTES = 120 };

/* One more answer, in any order. ERR_NOMEM. */
enum err told_add(struct told *told, enum told_kind kind, int64_t user_id, int64_t slot) MUST_CHECK;
/* Adds the lines of a text. ERR_INVALID: *ret_line is none, counted from 1; ERR_NOMEM. */
enum err told_parse(struct told *told, struct str text, uint32_t *ret_line) MUST_CHECK;
/* Adds the lines of a file. ERR_INVALID, ERR_IO (errno), ERR_NOMEM. */
enum err told_read(struct told *told, const char *path, uint32_t *ret_line) MUST_CHECK;
/* The lines of a file, appended to `out`. */
void told_write(const struct told *told, struct buf *out);
void told_fini(struct told *told); /* empty and usable again */

/* Forgets rows and pending places that were shown before. */
void told_rewind(struct told *told);
/* There is a row; these numbers are granted and not stored yet, `user_id` 0: whose is not known. */
void told_show_row(struct told *told, int64_t slot, int64_t user_id);
void told_show_pending(struct told *told, int64_t from_slot, int64_t to_slot, int64_t user_id);
/* How many entries are not so; `first_lie` says which is the first, in the order of lines. */
int64_t told_lies(const struct told *told, char first_lie[TOLD_LIE_BYTES]);
