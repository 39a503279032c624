// SPDX-License-Identifier: Apache-2.0
/* What the kernel knows about this process. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "metrics/metrics_internal.h"

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long total = 0, resident = 0;

    if (f) {
        if (fscanf(f, "%ld %ld", &total, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
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

/* Field 22 of stat, in ticks since boot; the name before it may hold blanks and brackets. */
static double start_seconds(void)
{
    char text[1024];
    unsigned long long ticks = 0;
    struct timespec boot, wall;
    FILE *f = fopen("/proc/self/stat", "re");

    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (!p || sscanf(p, "%llu", &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (double)wall.tv_sec - (double)boot.tv_sec + (double)ticks / (double)sysconf(_SC_CLK_TCK);
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
