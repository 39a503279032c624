// SPDX-License-Identifier: Apache-2.0
/* Writes that fail on demand. These two stand before the C library's when a test is linked. */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

static ssize_t write_limit = -1; /* bytes the next writes may write; -1: all */
static int write_errno, write_interrupts;
static bool cut_fails;

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    if (write_interrupts > 0) {
        write_interrupts--;
        errno = EINTR;
        return -1;
    }
    if (write_errno) {
        errno = write_errno;
        return -1;
    }
    if (write_limit >= 0 && (size_t)write_limit < n)
        n = (size_t)write_limit;
    return syscall(SYS_pwrite64, fd, bytes, n, offset);
}

int ftruncate(int fd, off_t length)
{
    if (cut_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

static inline void faults_end(void)
{
    write_limit = -1;
    write_errno = write_interrupts = 0;
    cut_fails = false;
}
