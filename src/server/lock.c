// SPDX-License-Identifier: Apache-2.0
#include "server/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_BYTES = LOCK_URL_BYTES + 32 };

static int lock_open(const char *directory, int flags)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/doorbuster.lock", directory) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, flags | O_CLOEXEC, 0600);
}

bool lock_parse(struct str text, struct lock_holder *ret_holder)
{
    struct lock_holder holder = { 0 };
    const char *newline = text.len ? memchr(text.ptr, '\n', text.len) : NULL;

    *ret_holder = holder;
    if (!newline)
        return false;
    text.len = (size_t)(newline - text.ptr);
    const char *space = text.len ? memchr(text.ptr, ' ', text.len) : NULL;
    size_t pid_len = space ? (size_t)(space - text.ptr) : text.len;
    size_t url_len = space ? text.len - pid_len - 1 : 0;
    if (url_len >= sizeof holder.url || memchr(text.ptr, '\0', text.len) ||
        !str_parse_int64((struct str){ text.ptr, pid_len }, &holder.pid) || holder.pid <= 0)
        return false;
    if (url_len)
        memcpy(holder.url, space + 1, url_len);
    *ret_holder = holder;
    return true;
}

/* An unreadable or half-written text leaves pid 0: held, by whom is not known. */
static void holder_read(int fd, struct lock_holder *holder)
{
    char text[TEXT_BYTES];
    ssize_t n = pread(fd, text, sizeof text, 0);

    lock_parse((struct str){ text, n > 0 ? (size_t)n : 0 }, holder);
}

/* Whoever would keep `type` from being set; F_UNLCK: nobody. */
static int lock_test(int fd, short type)
{
    struct flock test = { .l_type = type, .l_whence = SEEK_SET };

    return fcntl(fd, F_OFD_GETLK, &test) == 0 ? test.l_type : -1;
}

static enum err lock_try(int fd, enum lock_mode mode, struct lock_holder *ret_holder)
{
    struct flock lock = { .l_type = mode == LOCK_TO_WRITE ? F_WRLCK : F_RDLCK,
                          .l_whence = SEEK_SET };

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return mode == LOCK_TO_WRITE ? lock_tell(fd, "") : ERR_OK;
    if (errno != EAGAIN && errno != EACCES)
        return ERR_IO;
    *ret_holder = (struct lock_holder){ .reading = lock_test(fd, lock.l_type) == F_RDLCK };
    if (!ret_holder->reading)
        holder_read(fd, ret_holder);
    return ERR_CONFLICT;
}

enum err lock_take(const char *directory, enum lock_mode mode, int *ret_fd,
                   struct lock_holder *ret_holder)
{
    int fd = lock_open(directory, mode == LOCK_TO_WRITE ? O_RDWR | O_CREAT : O_RDONLY);

    if (fd < 0)
        return mode == LOCK_TO_READ && errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err e = lock_try(fd, mode, ret_holder);
    if (e == ERR_OK) {
        *ret_fd = fd;
        return ERR_OK;
    }
    int why = errno;
    close(fd);
    errno = why;
    return e;
}

enum err lock_tell(int fd, const char *url)
{
    char text[TEXT_BYTES];
    int n = snprintf(text, sizeof text, url[0] ? "%ld %s\n" : "%ld\n", (long)getpid(), url);

    /* One write, so that a reader finds the old line or the new one; then nothing is left of it. */
    if (n < 0 || (size_t)n >= sizeof text || pwrite(fd, text, (size_t)n, 0) != n ||
        ftruncate(fd, n) != 0)
        return ERR_IO;
    return ERR_OK;
}

void lock_release(int fd)
{
    if (fd < 0)
        return;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR && ftruncate(fd, 0) != 0)
        errno = 0; /* the lock goes with the descriptor; the text is only a courtesy */
    close(fd);
}

enum err lock_look(const char *directory, struct lock_holder *ret_holder)
{
    int fd = lock_open(directory, O_RDONLY);

    *ret_holder = (struct lock_holder){ 0 };
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    int type = lock_test(fd, F_RDLCK);
    if (type == F_WRLCK)
        holder_read(fd, ret_holder);
    close(fd);
    return type == F_WRLCK ? ERR_OK : type == F_UNLCK ? ERR_NOT_FOUND : ERR_IO;
}
