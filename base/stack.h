// SPDX-License-Identifier: MIT
// stack - memory for coroutines: guarded, reused last-in first-out, a page when it sleeps.
//
//     region:  [guard|.........stack.......head|colour][guard|.........stack.......head|colour] ...
//              '------------- slot ------------------'
//
// A region is one NORESERVE mapping cut into slots. The descriptor of whoever owns the stack
// ('head', with a struct stack first) lives at the top of its own stack, so that a coroutine that
// sleeps touches one page; below it the stack grows down, towards the guard. The tops are
// coloured: shifted by some cache lines from slot to slot, or a thousand descriptors would share
// a few cache sets.
//
//     cache (a P's own, no lock) <--batches--> depot (a lock) <-- slots whose pages went back
//                                              |         ^    <-- regions
//                                              '- decay -'
//
// S1  No stack without a guard: light ones (MADV_GUARD_INSTALL, no mapping) where the kernel has
//     them, else PROT_NONE ones while vm.max_map_count leaves room, else out of memory.
// S2  A slot keeps its index for ever. Slots are never unmapped while the depot lives: who looks
//     late sees an old descriptor, or zeros where the kernel took the page back, never nothing.
// S3  Handing a stack from one coroutine to the next costs no system call.
// S4  The pages of stacks that nobody needed for a second go back to the kernel, half of them
//     every second, a few at a time and by one thread that has nothing else to do (sysmon). A
//     slot that comes back then has a descriptor of zeros; its guard is still there.
// S5  A new slot's guard and first page are made outside the lock: two workers that need stacks,
//     or one that needs and one that has nothing to do, take their page faults side by side.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"

#define STACK_BATCH 32u  // from the depot to a cache
#define STACK_HALF 1024u // of a cache: a half goes to the depot when both are full
#define STACK_CACHE_MOST (2 * STACK_HALF)
#define STACK_AHEAD 512u // most that are made before somebody asks
#define STACK_DECAY_NS INT64_C(1000000000)
#define STACK_DECAY_LEAST 1024u // of a second's share, if so many are there
#define STACK_DECAY_BATCH 256u  // that go back to the kernel in one call
#ifdef COIR_MODEL
#define STACK_KEEP 0u
#else
#define STACK_KEEP 64u // free ones that the depot keeps for ever
#endif

// First member of the descriptor at a stack's top.
struct stack {
    struct stack *next; // while it is free
    char *low;          // lowest usable byte
    size_t bytes;       // from low to the descriptor
    uint32_t index;     // S2
};

struct stack_config {
    size_t usable_bytes; // of a default stack, descriptor included
    size_t guard_bytes;
    size_t head_bytes; // of the owner's descriptor, which begins with a struct stack
    bool no_light;     // do as if the kernel had no light guards
    const struct memory *memory; // for its lists; NULL: libc's. Outlives the depot
};

struct stack_region;

struct stack_depot {
    // Constant after init.
    size_t page_bytes, usable_bytes, guard_bytes, head_bytes, slot_bytes;
    const struct memory *memory;
    uint32_t protect_budget; // PROT_NONE guards that vm.max_map_count leaves room for

    // Guarded by lock.
    struct lock lock;
    struct stack *free;
    uint32_t n_free, n_free_low;  // and the least since the last decay
    struct stack_region *regions; // the newest first
    uint32_t n_indices, n_made;
    uint32_t n_gone;         // slots whose pages went back to the kernel
    uint32_t *spare_indices; // of sized stacks that are gone
    uint32_t n_spare, spare_room;
    uint32_t n_sized;     // indices ever given to sized stacks: all may come back at once
    bool light;           // light guards work here
    bool grows;           // new stacks were made since one was given back
    uint32_t n_protected; // PROT_NONE guards made
    const char *why;      // the last failure, in words

    // The one thread that calls stack_depot_decay.
    int64_t decay_at;
    uint32_t decay_left; // to be given back until then
    bool decays;         // there was something to do at the last call

    // Atomic: new stacks that an idle worker may make; written under the lock.
    atomic_u32 wanted;
};

struct stack_list {
    struct stack *first, *last;
    uint32_t n;
};

// The cache of one owner: no lock. Two halves, so that a full one can be handed over whole: what
// is got and put alternately at the brim costs no walk and no lock. (Bonwick and Adams,
// "Magazines and Vmem", USENIX 2001.)
struct stack_cache {
    struct stack_depot *depot;
    struct stack_list hot, cold; // the last put is the next got
};

// 0 | -ENOMEM
int stack_depot_init(struct stack_depot *d, const struct stack_config *config);
// Unmaps everything. Every stack is back, caches are finished.
void stack_depot_fini(struct stack_depot *d);

void stack_cache_init(struct stack_cache *c, struct stack_depot *d);
void stack_cache_drain(struct stack_cache *c); // gives its stacks to the depot

struct stack *stack_get_slow(struct stack_cache *c);
void stack_put_slow(struct stack_cache *c);

// A default stack; NULL: out of memory, address space or guards. Owner of c.
static inline struct stack *stack_get(struct stack_cache *c)
{
    struct stack *s = c->hot.first;

    if (__builtin_expect(!s, 0)) return stack_get_slow(c);
    c->hot.n--;
    c->hot.first = s->next;
    if (s->next) { // whoever spawns one spawns another
        __builtin_prefetch(s->next, 1);
        __builtin_prefetch((char *)s->next + CACHE_LINE, 1);
        __builtin_prefetch((char *)s->next + 2 * CACHE_LINE, 1);
    }
    return s;
}

static inline void stack_put(struct stack_cache *c, struct stack *s)
{
    s->next = c->hot.first;
    if (c->hot.n++ == 0) c->hot.last = s;
    c->hot.first = s;
    if (__builtin_expect(c->hot.n == STACK_HALF, 0)) stack_put_slow(c);
}

// The same without a cache. Any thread.
struct stack *stack_get_direct(struct stack_depot *d);
void stack_put_direct(struct stack_depot *d, struct stack *s);

// A stack of another size, with a mapping of its own that goes with it. Any thread.
struct stack *stack_get_sized(struct stack_depot *d, size_t usable_bytes);
void stack_put_sized(struct stack_depot *d, struct stack *s);

// Stacks that there are, and those of them that lie free in the depot. Any thread; a snapshot.
void stack_depot_count(struct stack_depot *d, uint32_t *ret_made, uint32_t *ret_free);

// Why the last stack could not be had, in words; NULL: none was refused. Any thread.
const char *stack_depot_why(struct stack_depot *d);

// Makes a batch of the stacks that others are about to need. False: none are wanted. For a worker
// with nothing to do.
bool stack_depot_ahead(struct stack_depot *d);

// Gives pages of stacks that nobody needed back to the kernel (S4), a batch at most. One thread,
// at any interval; free when there is nothing to give. When to call it again: 'now', if there is
// more of this second's share; CLOCK_NEVER, if the depot holds nothing more to give.
int64_t stack_depot_decay(struct stack_depot *d, int64_t now);

// Bytes from s's lowest to its first page that was ever touched: asks the kernel, a page a bit, and
// reads nothing of the stack, which may be unmapped meanwhile (then s->bytes, or what lies there
// now). Long for a large one: not under a lock.
size_t stack_touched(const struct stack *s);

// High-water mark: bytes of s below its descriptor that were written since its pages were last
// new, by this owner or by one before, 'from' being what stack_touched said. More, where the first
// 64 KiB there are zeros. The owner may be running: then a snapshot.
size_t stack_used_from(const struct stack *s, size_t from);

// Both. Never waits, takes no lock: fit for a signal handler.
static inline size_t stack_used(const struct stack *s)
{
    return stack_used_from(s, stack_touched(s));
}
