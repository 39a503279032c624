// SPDX-License-Identifier: Apache-2.0
#include "server/key_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* A file system's clock may be coarse: what was written a moment ago may be written on, and its
 * time stay. */
enum { EVERY_MS = 1000, STILL_WARM_S = 3 };

struct key_file {
    const char *option, *path; /* path "": not given */
    struct buf text;           /* in force */
    struct buf last;           /* as it was last read, usable or not */
    struct stat seen;
    bool warm; /* it was written just before it was read */
};

enum { SECRET, PUBLIC_KEY, JWKS, FILES };

struct key_files {
    const struct config *config;
    struct auth_keys *keys;
    struct key_file files[FILES];
    struct loop *loop;
    struct loop_timer timer;
};

bool key_files_any(const struct config *config)
{
    return config->auth_secret[0] || config->auth_secret_file[0] ||
           config->auth_public_key_file[0] || config->auth_jwks_file[0];
}

struct auth_keys *key_files_keys(const struct key_files *files)
{
    return files->keys;
}

/* ---- reading ---- */

static enum err read_all(int fd, struct buf *out)
{
    while (out->len <= AUTH_KEY_FILE_BYTES_MAX) {
        if (!buf_reserve(out, 4096))
            return ERR_NOMEM;
        ssize_t n = read(fd, out->ptr + out->len, 4096);
        if (n == 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        out->len += (size_t)MAX(n, 0);
    }
    return ERR_OK; /* the keys' parser says that it is too long */
}

static bool is_as_seen(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What the file was when it was opened, and is. */
static enum err file_read(struct key_file *file, struct buf *out, struct config_error *error)
{
    struct timespec now;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return config_refuse(error, "%s %.300s cannot be opened: %s", file->option, file->path,
                             strerror(errno));
    clock_gettime(CLOCK_REALTIME, &now);
    enum err e =
        fstat(fd, &file->seen) == 0 && S_ISREG(file->seen.st_mode) ? read_all(fd, out) : ERR_IO;
    file->warm = now.tv_sec - file->seen.st_mtim.tv_sec < STILL_WARM_S;
    close(fd);
    return e == ERR_IO ? config_refuse(error, "%s %.300s cannot be read", file->option, file->path)
                       : e;
}

static struct str without_line_ends(struct str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

static struct str text_of(const struct key_file *file)
{
    return file->path[0] ? file->text.len > 0 ? buf_str(&file->text) : STR("") : STR_NONE;
}

static struct auth_source source_of(const struct key_files *files)
{
    const struct config *config = files->config;
    struct str secret = text_of(&files->files[SECRET]);

    return (struct auth_source){
        .secret = secret.ptr               ? without_line_ends(secret)
                  : config->auth_secret[0] ? str_from(config->auth_secret)
                                           : STR_NONE,
        .pem = text_of(&files->files[PUBLIC_KEY]),
        .jwks = text_of(&files->files[JWKS]),
    };
}

/* The sentence that auth has begun. */
static enum err explain(const struct key_files *files, const struct auth_error *why,
                        struct config_error *error)
{
    const struct key_file *file = &files->files[why->from == AUTH_FROM_PEM    ? PUBLIC_KEY
                                                : why->from == AUTH_FROM_JWKS ? JWKS
                                                                              : SECRET];

    return config_refuse(error, "%s%s%.200s %s%s", file->path[0] ? file->option : "auth.secret",
                         file->path[0] ? " " : "", file->path, why->text,
                         why->from == AUTH_FROM_SECRET ? ": `openssl rand -hex 32` makes one" : "");
}

/* ---- life ---- */

static void forget(struct buf *secret)
{
    if (secret->ptr)
        explicit_bzero(secret->ptr, secret->cap);
    buf_fini(secret);
}

struct key_files *key_files_free(struct key_files *files)
{
    if (!files)
        return NULL;
    key_files_stop(files);
    auth_keys_free(files->keys);
    for (size_t i = 0; i < FILES; i++) {
        forget(&files->files[i].text);
        forget(&files->files[i].last);
    }
    return mem_free(files);
}

DEFINE_CLEANUP(struct key_files, key_files_free)

enum err key_files_open(const struct config *config, struct key_files **ret_files,
                        struct config_error *ret_error)
{
    CLEANUP(key_files_freep) struct key_files *files = mem_alloc(sizeof *files);
    struct auth_error why;

    if (!files)
        return ERR_NOMEM;
    files->config = config;
    files->files[SECRET] =
        (struct key_file){ .option = "auth.secret_file", .path = config->auth_secret_file };
    files->files[PUBLIC_KEY] =
        (struct key_file){ .option = "auth.public_key_file", .path = config->auth_public_key_file };
    files->files[JWKS] =
        (struct key_file){ .option = "auth.jwks_file", .path = config->auth_jwks_file };
    if (config->auth_secret[0] && config->auth_secret_file[0])
        return config_refuse(ret_error,
                             "auth.secret and auth.secret_file are both given: keep one");
    for (size_t i = 0; i < FILES; i++)
        if (files->files[i].path[0])
            TRY(file_read(&files->files[i], &files->files[i].last, ret_error));
    for (size_t i = 0; i < FILES; i++) {
        buf_str_append(&files->files[i].text, buf_str(&files->files[i].last));
        if (!buf_ok(&files->files[i].text))
            return ERR_NOMEM;
    }
    const struct auth_source source = source_of(files);
    enum err e = auth_keys_open(&source, config->auth_leeway_ms, &files->keys, &why);
    if (e != ERR_OK)
        return e == ERR_INVALID ? explain(files, &why, ret_error) : e;
    *ret_files = TAKE(files);
    return ERR_OK;
}

/* ---- watching ---- */

static void complain(const struct config_error *error)
{
    LOG(LOG_ERROR, "keys for tokens stay as they are", LOG_CSTR("why", error->text));
}

/* Whether there are bytes that have not been seen yet, in `last`. What cannot be read is said once.
 */
static bool file_changed(struct key_file *file)
{
    struct config_error error = { "out of memory" };
    struct buf text = { 0 };
    struct stat now;

    if (!file->path[0])
        return false;
    if (stat(file->path, &now) == 0 && is_as_seen(&now, &file->seen) && !file->warm)
        return false;
    bool was_there = file->seen.st_ino != 0;
    if (file_read(file, &text, &error) != ERR_OK) {
        file->seen = (struct stat){ 0 };
        if (was_there)
            complain(&error);
        forget(&text);
        return false;
    }
    bool changed = !str_equal(buf_str(&text), buf_str(&file->last));
    struct buf other = file->last;
    file->last = text;
    forget(&other);
    return changed;
}

/* The last of what was read takes the place of the text in force, if it is of any use. */
static bool file_take(struct key_files *files, struct key_file *file)
{
    struct config_error error = { "out of memory" };
    struct auth_keys *alone = NULL;
    struct auth_error why;
    struct buf text = { 0 }, old = file->text;

    buf_str_append(&text, buf_str(&file->last));
    file->text = text;
    const struct auth_source all = source_of(files);
    const struct auth_source one = {
        .secret = file == &files->files[SECRET] ? all.secret : STR_NONE,
        .pem = file == &files->files[PUBLIC_KEY] ? all.pem : STR_NONE,
        .jwks = file == &files->files[JWKS] ? all.jwks : STR_NONE,
    };
    enum err e = buf_ok(&text) ? auth_keys_open(&one, 0, &alone, &why) : ERR_NOMEM;
    auth_keys_free(alone);
    if (e == ERR_OK) {
        forget(&old);
        return true;
    }
    if (e == ERR_INVALID)
        err_ignore(explain(files, &why, &error), "the sentence is what is wanted");
    complain(&error);
    forget(&file->text);
    file->text = old;
    return false;
}

static void look(struct key_files *files)
{
    struct config_error error = { "out of memory" };
    struct auth_error why;
    bool changed = false;

    for (size_t i = 0; i < FILES; i++)
        if (file_changed(&files->files[i]))
            changed |= file_take(files, &files->files[i]);
    if (!changed)
        return;
    const struct auth_source source = source_of(files);
    enum err e = auth_keys_replace(files->keys, &source, &why);
    if (e == ERR_OK) {
        LOG(LOG_INFO, "keys for tokens replaced", LOG_INT("keys", auth_keys_count(files->keys)));
        return;
    }
    if (e == ERR_INVALID) /* together they are too many */
        err_ignore(explain(files, &why, &error), "the sentence is what is wanted");
    complain(&error);
}

static void look_again(struct loop_timer *timer)
{
    struct key_files *files = CONTAINER_OF(timer, struct key_files, timer);

    look(files);
    if (loop_timer_start(files->loop, timer, EVERY_MS) != ERR_OK)
        LOG(LOG_ERROR, "no memory to watch the keys for tokens: changes are not seen any more");
}

enum err key_files_watch(struct key_files *files, struct loop *loop)
{
    files->loop = loop;
    files->timer.run = look_again;
    return loop_timer_start(loop, &files->timer, EVERY_MS);
}

void key_files_stop(struct key_files *files)
{
    if (files && files->loop)
        loop_timer_stop(&files->timer);
}
