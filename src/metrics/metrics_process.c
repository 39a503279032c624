// SPDX-License-Identifier: Apache-2.0
/* What the kernel knows about this process. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "metrics/metrics_internal.h"

/* A small file of /proc as text; empty if it cannot be read. */
static void read_proc(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;

    out[n] = '\0';
    if (f)
        fclose(f);
}

/* The number behind `blanks` blanks, 0 if there is none. */
static double number_after(const char *text, int blanks)
{
    while (text && blanks-- > 0) {
        text = strchr(text, ' ');
        text = text ? text + 1 : NULL;
    }
    return text ? (double)strtoull(text, NULL, 10) : 0;
}

static double resident_bytes(void)
{
    char text[256];

    read_proc("/proc/self/statm", text, sizeof text);
    return number_after(text, 1) * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage usage = { .ru_maxrss = 0 };

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the directory itself */

    if (!dir)
        return 0;
    while (readdir(dir)) /* NOLINT(concurrency-mt-unsafe): a stream of our own */
        count++;
    closedir(dir);
    return count;
}

/* Field 22 of stat, in ticks since boot; the name, field 2, may hold blanks and brackets. */
static double start_seconds(void)
{
    struct timespec boot, wall;
    char text[1024];

    read_proc("/proc/self/stat", text, sizeof text);
    double ticks = number_after(strrchr(text, ')'), 20);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (double)(wall.tv_sec - boot.tv_sec) + ticks / (double)sysconf(_SC_CLK_TCK);
}

double metrics_process(enum metric id)
{
    static _Atomic double started; /* reckoned once: the wall clock moves */

    switch ((int)id) {
    case METRIC_process_memory:
        return resident_bytes();
    case METRIC_process_cpu:
        return cpu_seconds();
    case METRIC_process_fds:
        return open_fds();
    default:
        if (atomic_load(&started) == 0)
            atomic_store(&started, start_seconds());
        return atomic_load(&started);
    }
}
