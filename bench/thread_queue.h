// SPDX-License-Identifier: MIT
// thread_queue - what a pthread program uses for a channel: a ring, a mutex, two conditions.
#pragma once

#include <pthread.h>

#define THREAD_QUEUE_MOST 128

struct thread_queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled, emptied;
    long values[THREAD_QUEUE_MOST];
    int capacity, n, first;
};

static inline void thread_queue_init(struct thread_queue *q, int capacity)
{
    *q = (struct thread_queue){PTHREAD_MUTEX_INITIALIZER,
                               PTHREAD_COND_INITIALIZER,
                               PTHREAD_COND_INITIALIZER,
                               {0},
                               capacity,
                               0,
                               0};
}

static inline void thread_queue_put(struct thread_queue *q, long value)
{
    pthread_mutex_lock(&q->mutex);
    while (q->n == q->capacity) pthread_cond_wait(&q->emptied, &q->mutex);
    q->values[(q->first + q->n++) % q->capacity] = value;
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->mutex);
}

static inline long thread_queue_get(struct thread_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    while (q->n == 0) pthread_cond_wait(&q->filled, &q->mutex);
    long value = q->values[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->n--;
    pthread_cond_signal(&q->emptied);
    pthread_mutex_unlock(&q->mutex);
    return value;
}
