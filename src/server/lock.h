// SPDX-License-Identifier: Apache-2.0
/*
 * `doorbuster.lock` in the data directory: one program at a time works on the stores. The kernel's
 * lock on the file (fcntl(2), open file description) is what counts and goes with the process; the
 * text in it, "PID URL\n", tells people and other verbs who holds it and where it listens. A server
 * that has not come so far writes "PID\n". The file stays when nobody holds it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { LOCK_URL_BYTES = 96 };

struct lock_holder {
    int64_t pid;              /* 0: not known (yet) */
    char url[LOCK_URL_BYTES]; /* "http://127.0.0.1:8080"; "" while it does not listen */
    bool reading;             /* a verb that reads the stores at rest */
};

enum lock_mode {
    LOCK_TO_WRITE, /* alone; makes the file if need be */
    LOCK_TO_READ,  /* beside other readers; writes nothing */
};

/*
 * *ret_fd: the lock, until lock_release(). ERR_CONFLICT: *ret_holder has it. ERR_NOT_FOUND: to
 * read, and there is no file (so no server has ever been here). ERR_IO: errno says why.
 */
enum err lock_take(const char *directory, enum lock_mode mode, int *ret_fd,
                   struct lock_holder *ret_holder) MUST_CHECK;
/* Says where the holder listens, "" for nowhere yet. ERR_IO. */
enum err lock_tell(int fd, const char *url) MUST_CHECK;
void lock_release(int fd); /* of LOCK_TO_WRITE: the text goes, too */
/* Who holds it to write? ERR_NOT_FOUND: nobody. ERR_IO. Changes nothing. */
enum err lock_look(const char *directory, struct lock_holder *ret_holder) MUST_CHECK;

/* The file's text. False: not complete; *ret_holder is zeroed then. */
bool lock_parse(struct str text, struct lock_holder *ret_holder);
