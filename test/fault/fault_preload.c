// SPDX-License-Identifier: Apache-2.0
/*
 * Loaded into the server under test (LD_PRELOAD): fails the n-th write, sync, truncation, opening
 * or allocation after the test has armed it, once or from then on. The product has no branch for
 * this. The test drives it through a page shared by mmap(), named by FAULT_CONTROL.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ON_WRITE = 1, ON_SYNC = 2, ON_TRUNCATE = 4, ON_ALLOC = 8, ON_OPEN = 16 };

/* As test_fault.py packs it. */
struct control {
    _Atomic uint32_t armed; /* bits of what may fail; 0: nothing */
    uint32_t nth;           /* the first that fails, from 0 */
    uint32_t from_then_on;
    uint32_t error;
    uint32_t short_write; /* a write goes half way instead of failing */
    _Atomic uint32_t calls, hits;
};

static struct control *control;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

__attribute__((constructor)) static void fault_init(void)
{
    const char *path = getenv("FAULT_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        abort();
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        abort();
    control = page;
    close(fd);
}

static bool fails(uint32_t what)
{
    if (!control || !(atomic_load(&control->armed) & what))
        return false;
    uint32_t number = atomic_fetch_add(&control->calls, 1);
    if (number != control->nth && !(number > control->nth && control->from_then_on))
        return false;
    atomic_fetch_add(&control->hits, 1);
    errno = (int)control->error;
    return true;
}

/* The stores' files: not sockets, not the log. */
static bool is_store(int fd)
{
    struct stat info;

    return fd > STDERR_FILENO && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n)
{
    static typeof(&write) real;

    if (!real)
        real = REAL(write);
    if (is_store(fd) && fails(ON_WRITE))
        return control->short_write ? real(fd, bytes, n / 2) : -1;
    return real(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    static typeof(&pwrite) real;

    if (!real)
        real = REAL(pwrite);
    if (is_store(fd) && fails(ON_WRITE))
        return control->short_write ? real(fd, bytes, n / 2, offset) : -1;
    return real(fd, bytes, n, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
    static typeof(&pwrite64) real;

    if (!real)
        real = REAL(pwrite64);
    if (is_store(fd) && fails(ON_WRITE))
        return control->short_write ? real(fd, bytes, n / 2, offset) : -1;
    return real(fd, bytes, n, offset);
}

int fsync(int fd)
{
    static typeof(&fsync) real;

    if (!real)
        real = REAL(fsync);
    return fails(ON_SYNC) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    static typeof(&fdatasync) real;

    if (!real)
        real = REAL(fdatasync);
    return fails(ON_SYNC) ? -1 : real(fd);
}

int ftruncate(int fd, off_t size)
{
    static typeof(&ftruncate) real;

    if (!real)
        real = REAL(ftruncate);
    return fails(ON_TRUNCATE) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    static typeof(&ftruncate64) real;

    if (!real)
        real = REAL(ftruncate64);
    return fails(ON_TRUNCATE) ? -1 : real(fd, size);
}

void *malloc(size_t size)
{
    return fails(ON_ALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(ON_ALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails(ON_ALLOC) ? NULL : __libc_realloc(ptr, size);
}
