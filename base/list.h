// SPDX-License-Identifier: MIT
// list - an intrusive ring of nodes, and a one-way queue.
//
// The node lives in what is listed; nothing is allocated. Neither kind locks anything.
//
//     list:   head <-> a <-> b <-> head       remove anywhere, O(1)
//     queue:  first -> a -> b <- last         one pointer a node; push at either end, pop first
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define container_of(p, type, member)                                                    \
    ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct list_node {
    struct list_node *next, *prev; // NULL when on no list
};

struct list {
    struct list_node head;
};

static inline void list_init(struct list *l)
{
    l->head.next = l->head.prev = &l->head;
}

static inline bool list_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline bool list_linked(const struct list_node *n)
{
    return n->next != NULL;
}

static inline void list_push_back(struct list *l, struct list_node *n)
{
    n->prev = l->head.prev;
    n->next = &l->head;
    n->prev->next = n;
    l->head.prev = n;
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
    n->next = l->head.next;
    n->prev = &l->head;
    n->next->prev = n;
    l->head.next = n;
}

static inline void list_remove(struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}

// NULL when empty.
static inline struct list_node *list_first(struct list *l)
{
    return list_empty(l) ? NULL : l->head.next;
}

static inline struct list_node *list_pop_front(struct list *l)
{
    struct list_node *n = list_first(l);

    if (n) list_remove(n);
    return n;
}

struct queue_node {
    struct queue_node *next;
};

// Zero-filled is empty.
struct queue {
    struct queue_node *first, *last;
};

static inline bool queue_empty(const struct queue *q)
{
    return !q->first;
}

static inline void queue_push(struct queue *q, struct queue_node *n)
{
    n->next = NULL;
    if (q->first)
        q->last->next = n;
    else
        q->first = n;
    q->last = n;
}

static inline void queue_push_front(struct queue *q, struct queue_node *n)
{
    n->next = q->first;
    if (!q->first) q->last = n;
    q->first = n;
}

// NULL when empty.
static inline struct queue_node *queue_pop(struct queue *q)
{
    struct queue_node *n = q->first;

    if (n) q->first = n->next;
    return n;
}

// Moves all of 'from' behind 'q'.
static inline void queue_append(struct queue *q, struct queue *from)
{
    if (!from->first) return;
    if (q->first)
        q->last->next = from->first;
    else
        q->first = from->first;
    q->last = from->last;
    from->first = NULL;
}
