// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_uv_internal.h"

static void work_run(uv_work_t *request)
{
    struct loop_work *work = request->data;

    work->work(work);
    log_flush();
}

static void work_done(uv_work_t *request, int status)
{
    struct loop_work *work = request->data;

    (void)status; /* never cancelled */
    work->impl = mem_free(request);
    work->done(work);
}

enum err loop_work_start(struct loop *loop, struct loop_work *work)
{
    uv_work_t *request = mem_alloc(sizeof *request);

    if (!request)
        return ERR_NOMEM;
    request->data = work;
    work->impl = request;
    if (uv_queue_work(&loop->uv, request, work_run, work_done) != 0) {
        work->impl = mem_free(request);
        return ERR_NOMEM;
    }
    return ERR_OK;
}
