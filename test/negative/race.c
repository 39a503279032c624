// SPDX-License-Identifier: Apache-2.0
/* Two threads count with one number and no lock. */
#include <pthread.h>
#include <stddef.h>

static int granted;

static void *grant(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        granted++;
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, grant, NULL))
            return 0;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return granted == 0;
}
