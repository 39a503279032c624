// SPDX-License-Identifier: Apache-2.0
/* A command's arguments, one after the other in one buffer that is kept for the next. */
#include <string.h>

#include "base/mem.h"
#include "gate/gate_redis_internal.h"

void args_begin(struct call_args *args)
{
    buf_reset(&args->text);
    args->count = 0;
    args->failed = false;
}

static bool args_grow(struct call_args *args)
{
    size_t cap = args->cap ? args->cap * 2 : 256;
    size_t *ends = mem_resize(args->ends, cap * sizeof *ends);

    if (ends)
        args->ends = ends;
    const char **argv = mem_resize(args->argv, cap * sizeof *argv);
    if (argv)
        args->argv = argv;
    size_t *bytes = mem_resize(args->bytes, cap * sizeof *bytes);
    if (bytes)
        args->bytes = bytes;
    if (!ends || !argv || !bytes)
        return false;
    args->cap = cap;
    return true;
}

static void args_next(struct call_args *args)
{
    if (args->count == args->cap && !args_grow(args))
        args->failed = true;
    else
        args->ends[args->count++] = args->text.len;
}

void args_str(struct call_args *args, const char *text)
{
    buf_bytes(&args->text, text, strlen(text));
    args_next(args);
}

void args_int(struct call_args *args, int64_t value)
{
    buf_int(&args->text, value);
    args_next(args);
}

void args_uint(struct call_args *args, uint64_t value)
{
    buf_uint(&args->text, value);
    args_next(args);
}

void args_function(struct call_args *args, const struct redis_drop *drop, const char *function)
{
    char name[FUNCTION_BYTES];

    args_begin(args);
    redis_function_name(function, name);
    args_str(args, "FCALL");
    args_str(args, name);
    args_int(args, DROP_KEYS);
    for (size_t i = 0; i < DROP_KEYS; i++)
        args_str(args, drop->keys[i]);
}

/* The buffer may have moved while it grew: pointers into it only now. */
bool args_end(struct call_args *args)
{
    size_t begin = 0;

    if (args->failed || !buf_ok(&args->text))
        return false;
    for (size_t i = 0; i < args->count; i++) {
        args->argv[i] = args->text.ptr + begin;
        args->bytes[i] = args->ends[i] - begin;
        begin = args->ends[i];
    }
    return true;
}

void args_fini(struct call_args *args)
{
    buf_fini(&args->text);
    mem_free(args->ends);
    mem_free(args->argv);
    mem_free(args->bytes);
    *args = (struct call_args){ 0 };
}
