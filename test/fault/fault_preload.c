// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the server, fails what the test says: the N-th call of a kind since it was armed,
 * and as many after it as it says. The test and this share struct control in a mapped file, which
 * FAULT_CONTROL names. Files count only within FAULT_DIRECTORY, and only if FAULT_CONTROL's `path`
 * is part of their name; allocations count whoever makes them.
 *
 * When somebody calls abort(), the libraries on the stack are named on stderr: the test wants to
 * know whose abort it was.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { CALL_WRITE = 1, CALL_SYNC = 2, CALL_TRUNCATE = 4, CALL_OPEN = 8, CALL_ALLOC = 16 };

/* As in support/fault.py. */
struct control {
    _Atomic int32_t armed;
    int32_t calls;    /* enum call, or several of them */
    int32_t error;    /* errno of what fails */
    int32_t is_short; /* a write that fails takes half of the bytes the first time */
    int64_t first, count;
    _Atomic int64_t seen, hit;
    char path[64];
};

static struct control *control;
static char directory[PATH_MAX];
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_open)(const char *, int, ...);

/* The C library's own: looking malloc up with dlsym() would allocate. */
extern void *libc_malloc(size_t size) __asm__("__libc_malloc");
extern void *libc_calloc(size_t count, size_t size) __asm__("__libc_calloc");
extern void *libc_realloc(void *ptr, size_t size) __asm__("__libc_realloc");

#define FIND(name) (real_##name = (__typeof__(real_##name))dlsym(RTLD_NEXT, #name))

/* Other libraries' constructors may have come first. */
static void find_all(void)
{
    FIND(write);
    FIND(pwrite);
    FIND(writev);
    FIND(pwritev);
    FIND(fsync);
    FIND(fdatasync);
    FIND(ftruncate);
    FIND(open);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULT_CONTROL"), *within = getenv("FAULT_DIRECTORY");
    void *frames[4];

    find_all();
    backtrace(frames, 4); /* it allocates, the first time */
    if (!path || !within)
        return;
    snprintf(directory, sizeof directory, "%s", within);
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

/* The how-many-th failing call this is, from 1; 0: it does not fail. */
static int64_t fails(enum call call)
{
    if (!control || !control->armed || !(control->calls & call))
        return 0;
    int64_t seen = ++control->seen;
    if (seen < control->first || seen - control->first >= control->count)
        return 0;
    control->hit++;
    return seen - control->first + 1;
}

static bool name_counts(const char *name)
{
    return strncmp(name, directory, strlen(directory)) == 0 && strstr(name, control->path);
}

static bool counts(int fd)
{
    char link[64], name[PATH_MAX];

    if (!real_open)
        find_all();
    if (!control || !control->armed || fd <= STDERR_FILENO)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n <= 0)
        return false;
    name[n] = '\0';
    return name_counts(name);
}

/* Nothing, or, where it is to be short, half of it. */
static ssize_t fail_write(int64_t nth, int fd, const void *bytes, size_t n, off_t at)
{
    if (nth == 1 && control->is_short && n > 1)
        return at < 0 ? real_write(fd, bytes, n / 2) : real_pwrite(fd, bytes, n / 2, at);
    errno = control->error;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    int64_t nth = counts(fd) ? fails(CALL_WRITE) : 0;

    return nth ? fail_write(nth, fd, bytes, n, -1) : real_write(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    int64_t nth = counts(fd) ? fails(CALL_WRITE) : 0;

    return nth ? fail_write(nth, fd, bytes, n, at) : real_pwrite(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
    return pwrite(fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    if (counts(fd) && fails(CALL_WRITE)) {
        errno = control->error;
        return -1;
    }
    return real_writev(fd, pieces, count);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    if (counts(fd) && fails(CALL_WRITE)) {
        errno = control->error;
        return -1;
    }
    return real_pwritev(fd, pieces, count, at);
}

static int fail(void)
{
    errno = control->error;
    return -1;
}

int fsync(int fd)
{
    return counts(fd) && fails(CALL_SYNC) ? fail() : real_fsync(fd);
}

int fdatasync(int fd)
{
    return counts(fd) && fails(CALL_SYNC) ? fail() : real_fdatasync(fd);
}

int ftruncate(int fd, off_t size)
{
    return counts(fd) && fails(CALL_TRUNCATE) ? fail() : real_ftruncate(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!real_open)
        find_all();
    if (control && control->armed && name_counts(path) && fails(CALL_OPEN))
        return fail();
    return real_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open(path, flags, mode);
}

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return fails(CALL_ALLOC) ? no_memory() : libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(CALL_ALLOC) ? no_memory() : libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails(CALL_ALLOC) ? no_memory() : libc_realloc(ptr, size);
}

_Noreturn void abort(void)
{
    void *frames[64];

    if (control)
        control->armed = 0;
    dprintf(STDERR_FILENO, "ABORTED\n");
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
    _exit(134);
}
