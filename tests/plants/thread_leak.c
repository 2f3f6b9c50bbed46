// SPDX-License-Identifier: MIT
// A plant: memory whose only pointer is overwritten. LeakSanitizer has to say so.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *volatile kept;

static void *forget(void *arg)
{
    for (int i = 0; i < 10; i++) {
        kept = malloc(100);
        memset(kept, 1, 100);
        kept = arg;
    }
    return NULL;
}

int main(void)
{
    pthread_t t;

    pthread_create(&t, NULL, forget, NULL);
    pthread_join(t, NULL);
    return 0;
}
