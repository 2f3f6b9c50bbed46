// SPDX-License-Identifier: MIT
// local - a table of keys for the process, a small array of values for each coroutine that has any.
//
//     key:   [ generation : 32 | index : 32 ]      odd generations live, even ones are free
//
//     keys[index]            generation, destroy                  one table
//     g->locals[index]       generation, value                    made at the first set
//
// L1  A value counts only while its generation is that of its key: freeing a key forgets the values
//     of all coroutines in one step.
// L2  'destroy' is read under the lock and called without it.
#include "coir/local.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"
#include "runtime/runtime.h"
#include "sched/g.h"

#define KEYS_MOST 1024u
#define FIRST_ROOM 8u
#define ROUNDS 4 // as many as POSIX asks of threads

struct key {
    atomic_u32 generation;   // written under the lock, read by anybody
    void (*destroy)(void *); // guarded by the lock
};

struct local {
    uint32_t generation;
    void *value;
};

struct locals {
    uint32_t n;
    struct local at[];
};

static struct lock lock;
static struct key keys[KEYS_MOST];

static uint32_t index_of(coir_key key)
{
    return (uint32_t)key;
}

static uint32_t generation_of(coir_key key)
{
    return (uint32_t)(key >> 32);
}

static bool is_live(coir_key key)
{
    // relaxed: who frees a key while others use it has to order that himself
    return generation_of(key) % 2 && index_of(key) < KEYS_MOST &&
           load_relaxed(&keys[index_of(key)].generation) == generation_of(key);
}

int coir_local_make(void (*destroy)(void *), coir_key *ret_key)
{
    int err = -EAGAIN;

    if (!g_self()) return -EPERM;
    if (!ret_key) return -EINVAL;
    lock_acquire(&lock);
    for (uint32_t i = 0; i < KEYS_MOST; i++) {
        uint32_t generation = load_own(&keys[i].generation) + 1;

        if (generation % 2 == 0) continue;
        keys[i].destroy = destroy;
        store_relaxed(&keys[i].generation, generation); // relaxed: see is_live
        *ret_key = (coir_key)generation << 32 | i;
        err = 0;
        break;
    }
    lock_release(&lock);
    return err;
}

int coir_local_free(coir_key key)
{
    if (!g_self()) return -EPERM;
    lock_acquire(&lock);
    bool live = is_live(key);
    if (live) // relaxed: see is_live
        store_relaxed(&keys[index_of(key)].generation, generation_of(key) + 1);
    lock_release(&lock);
    return live ? 0 : -EINVAL;
}

// The caller's place; NULL: it has none yet.
static struct local *place_of(struct g *g, uint32_t i)
{
    return g->has_locals && i < g->locals->n ? &g->locals->at[i] : NULL;
}

void *coir_local_get(coir_key key)
{
    struct g *g = g_self();

    if (!g || !is_live(key)) return NULL;
    struct local *l = place_of(g, index_of(key));
    return l && l->generation == generation_of(key) ? l->value : NULL; // L1
}

static size_t bytes_of(uint32_t n)
{
    return sizeof(struct locals) + n * sizeof(struct local);
}

static void free_locals(struct g *g, struct locals *l)
{
    if (l) memory_put(g->sched->memory, l, bytes_of(l->n), alignof(struct locals));
}

// 0 | -ENOMEM
static int make_room(struct g *g, uint32_t i)
{
    uint32_t n = FIRST_ROOM;
    struct locals *old = g->has_locals ? g->locals : NULL;

    while (n <= i) n *= 2;
    struct locals *more =
        memory_get(g->sched->memory, bytes_of(n), alignof(struct locals));
    if (!more) return -ENOMEM;
    if (old) memcpy(more->at, old->at, old->n * sizeof(old->at[0]));
    more->n = n;
    free_locals(g, old);
    g->locals = more;
    g->has_locals = true;
    return 0;
}

int coir_local_set(coir_key key, void *value)
{
    struct g *g = g_self();

    if (!g) return -EPERM;
    if (!is_live(key)) return -EINVAL;
    if (!place_of(g, index_of(key)) && make_room(g, index_of(key)) < 0) return -ENOMEM;
    *place_of(g, index_of(key)) = (struct local){generation_of(key), value};
    return 0;
}

// ---- The end of a coroutine ------------------------------------------------------------------

// Destroys what stands at i now. False: nothing does.
static bool destroy_one(struct g *g, uint32_t i)
{
    void (*destroy)(void *) = NULL;
    struct local l = g->locals->at[i];

    g->locals->at[i].value = NULL;
    if (!l.value) return false;
    lock_acquire(&lock);
    if (load_own(&keys[i].generation) == l.generation) destroy = keys[i].destroy; // L1
    lock_release(&lock);
    if (destroy) destroy(l.value); // L2; may set values, and wait
    return true;
}

void locals_end(struct g *g)
{
    bool more = true;

    for (int round = 0; more && round < ROUNDS; round++) {
        more = false;
        for (uint32_t i = 0; i < g->locals->n; i++)
            if (destroy_one(g, i)) more = true;
    }
    free_locals(g, g->locals);
    g->has_locals = false;
}
