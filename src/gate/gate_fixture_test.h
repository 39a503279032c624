// SPDX-License-Identifier: Apache-2.0
/* What the gate's tests share: a directory of their own, and its files. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

static char dir[64];

static inline void dir_make(void)
{
    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline void dir_path(const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", dir, name);
}

/* Files whose names end in `suffix`. */
static inline size_t dir_count(const char *suffix)
{
    DIR *stream = opendir(dir);
    size_t count = 0;
    struct dirent *entry;

    assert_non_null(stream);
    while ((entry = readdir(stream))) {
        size_t n = strlen(entry->d_name), m = strlen(suffix);
        count += n > m && strcmp(entry->d_name + n - m, suffix) == 0;
    }
    closedir(stream);
    return count;
}

static inline void dir_empty(void)
{
    DIR *stream = opendir(dir);
    struct dirent *entry;
    char path[512];

    assert_non_null(stream);
    while ((entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%.200s", dir, entry->d_name);
            assert_int_equal(unlink(path), 0);
        }
    closedir(stream);
}

static inline void dir_remove(void)
{
    dir_empty();
    assert_int_equal(rmdir(dir), 0);
}

static inline long file_size(const char *name)
{
    char path[512];
    struct stat info;

    dir_path(name, path);
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static inline size_t file_read(const char *name, char *out, size_t room)
{
    char path[512];

    dir_path(name, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, room);
    assert_true(n >= 0);
    close(fd);
    return (size_t)n;
}

static inline void file_write(const char *name, const char *bytes, size_t n)
{
    char path[512];

    dir_path(name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}
