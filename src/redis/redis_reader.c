// SPDX-License-Identifier: Apache-2.0
/* hiredis allocates an array for as many elements as are announced, up to 16 GiB. */
#include <pthread.h>

#include "redis/redis_reply.h"

enum { ELEMENTS_MAX = 1 << 22 };

static redisReplyObjectFunctions functions;
static void *(*create_array)(const redisReadTask *task, int elements);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *create_bounded_array(const redisReadTask *task, int elements)
{
    return elements <= ELEMENTS_MAX ? create_array(task, elements) : NULL;
}

/* Its own are not exported: they are taken from a reader. */
static void init(void)
{
    redisReader *reader = redisReaderCreate();

    if (!reader)
        return;
    functions = *reader->fn;
    create_array = functions.createArray;
    functions.createArray = create_bounded_array;
    redisReaderFree(reader);
}

redisReader *redis_reader_new(void)
{
    pthread_once(&once, init);
    return create_array ? redisReaderCreateWithFunctions(&functions) : NULL;
}
