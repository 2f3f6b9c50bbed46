// SPDX-License-Identifier: MIT
// A plant: two threads write one word, nothing orders them. ThreadSanitizer has to say so.
#include <pthread.h>

static int word;

static void *writer(void *arg)
{
    for (int i = 0; i < 1000; i++) word += *(int *)arg;
    return NULL;
}

int main(void)
{
    pthread_t a, b;
    int one = 1;

    pthread_create(&a, NULL, writer, &one);
    pthread_create(&b, NULL, writer, &one);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
