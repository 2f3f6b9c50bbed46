// SPDX-License-Identifier: MIT
#include "base/stack.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "base/stack_region.h"

#define FIRST_SLOTS 64u // of the first region; each next one has twice as many
#define MOST_SLOTS 8192u
#define MOST_BYTES ((size_t)64 << 30) // of a region
#define COLOURS 16u
#define COLOUR_BYTES 64u
#define MAPPINGS_LEFT 2048u // for the host, of vm.max_map_count

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

int stack_depot_init(struct stack_depot *d, const struct stack_config *config)
{
    size_t page = os_page_bytes();
    uint32_t limit = os_map_limit();

    *d = (struct stack_depot){
        .page_bytes = page,
        .usable_bytes = round_up(config->usable_bytes, page),
        .guard_bytes = round_up(config->guard_bytes, page),
        .head_bytes = round_up(config->head_bytes, CACHE_LINE),
        .protect_budget =
            limit > 2 * MAPPINGS_LEFT ? (limit - MAPPINGS_LEFT) / 2 : limit / 4,
        .light = !config->no_light,
        .memory = config->memory,
    };
    d->slot_bytes = d->guard_bytes + d->usable_bytes;
    lock_init(&d->lock, LOCK_RANK_STACKS);
    return 0;
}

void stack_depot_fini(struct stack_depot *d)
{
    for (struct stack_region *r; (r = d->regions);) {
        d->regions = r->older;
        os_unmap(r->base, r->bytes);
        memory_put(d->memory, r, r->own_bytes, alignof(struct stack_region));
    }
    MEMORY_PUT(d->memory, d->spare_indices, uint32_t, d->spare_room);
}

// ---- Making slots --------------------------------------------------------------------------

static struct stack_region *add_region_locked(struct stack_depot *d)
{
    uint32_t n = d->regions ? d->regions->n_slots * 2 : FIRST_SLOTS;

    if (n > MOST_SLOTS) n = MOST_SLOTS;
    while (n > STACK_BATCH && n * d->slot_bytes > MOST_BYTES) n /= 2;
    size_t own_bytes = sizeof(struct stack_region) + (n / 64 + 1) * sizeof(uint64_t);
    struct stack_region *r =
        memory_get(d->memory, own_bytes, alignof(struct stack_region));
    d->why = "no memory for the list of stacks";
    if (!r) return NULL;
    // Where address space is short a smaller region may still fit.
    while (!(r->base = os_map(n * d->slot_bytes)) && n > 1) n /= 2;
    if (!r->base) {
        d->why = "no address space for a stack (RLIMIT_AS, overcommit or locked memory)";
        memory_put(d->memory, r, own_bytes, alignof(struct stack_region));
        return NULL;
    }
    r->own_bytes = own_bytes;
    r->bytes = n * d->slot_bytes;
    r->n_slots = n;
    r->first_index = d->n_indices;
    d->n_indices += n;
    r->older = d->regions;
    d->regions = r;
    return r;
}

// PROT_NONE guards for n slots from 'first' on, within the budget. The number guarded: S1.
static uint32_t protect_locked(struct stack_depot *d, char *first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        d->why = "no mappings left for guards: vm.max_map_count is used up";
        if (d->n_protected == d->protect_budget) return i;
        if (os_guard_protect(first + i * d->slot_bytes, d->guard_bytes) < 0) return i;
        d->n_protected++;
    }
    return n;
}

// Light guards for n slots, without the lock. False: PROT_NONE ones are needed.
static bool guard_light(struct stack_depot *d, char *first, uint32_t n)
{
    return os_guard_light(first, d->guard_bytes, d->slot_bytes, n) == 0;
}

// The descriptor of the stack whose lowest usable byte is low.
static struct stack *place(struct stack_depot *d, char *low, size_t usable,
                           uint32_t index)
{
    char *top = low + usable - index % COLOURS * COLOUR_BYTES;
    struct stack *s = (struct stack *)(void *)(top - d->head_bytes);

    s->low = low;
    s->bytes = (size_t)((char *)s - low);
    s->index = index;
    return s;
}

static void push(struct stack **list, struct stack *s)
{
    s->next = *list;
    *list = s;
}

static struct stack *pop(struct stack **list)
{
    struct stack *s = *list;

    if (s) *list = s->next;
    return s;
}

// Slots on their way from a region to a list, by number.
struct lot {
    struct stack_region *region;
    char *first; // slot's base, where they are new: then they lie side by side
    bool bare;   // without guards yet
    uint32_t n;
    uint32_t slots[STACK_BATCH];
};

static char *slot_base(struct stack_depot *d, struct lot *lot, uint32_t i)
{
    return lot->region->base + lot->slots[i] * d->slot_bytes;
}

// Slots that have a guard already: their pages went back to the kernel.
static bool take_gone_locked(struct stack_depot *d, struct lot *lot, uint32_t most)
{
    struct stack_region *r = d->regions;

    if (d->n_gone == 0) return false;
    while (r->n_gone == 0) r = r->older;
    lot->region = r;
    lot->bare = false;
    for (lot->n = 0; lot->n < most && r->n_gone > 0; lot->n++) {
        lot->slots[lot->n] = region_take_gone(r);
        d->n_gone--;
    }
    return true;
}

// Slots that are new. They are the region's last used ones: see give_back_locked.
static bool take_new_locked(struct stack_depot *d, struct lot *lot, uint32_t most)
{
    struct stack_region *r = d->regions;

    while (r && r->n_used == r->n_slots) r = r->older;
    if (!r) r = add_region_locked(d);
    if (!r) return false;
    lot->region = r;
    lot->bare = true;
    lot->first = r->base + r->n_used * d->slot_bytes;
    lot->n = r->n_slots - r->n_used < most ? r->n_slots - r->n_used : most;
    for (uint32_t i = 0; i < lot->n; i++) lot->slots[i] = r->n_used + i;
    r->n_used += lot->n;
    d->n_made += lot->n;
    return true;
}

// The lot's slots from 'n' on got no guard. Where others took later ones meanwhile they are lost
// until the end: it takes two threads that find no memory for a page table at the same time.
static void give_back_locked(struct stack_depot *d, struct lot *lot, uint32_t n)
{
    struct stack_region *r = lot->region;

    if (lot->n > n && r->n_used == lot->slots[lot->n - 1] + 1) r->n_used = lot->slots[n];
    d->n_made -= lot->n - n;
    lot->n = n;
}

// Guards for a lot that needs them; it keeps those that got one. Unlocks and locks again.
static void guard_lot_locked(struct stack_depot *d, struct lot *lot)
{
    bool guarded = false;

    if (d->light) {
        lock_release(&d->lock);
        guarded = guard_light(d, lot->first, lot->n);
        lock_acquire(&d->lock);
        if (!guarded) d->light = false;
    }
    if (!guarded) give_back_locked(d, lot, protect_locked(d, lot->first, lot->n));
    lot->bare = false;
}

// Up to 'most' stacks that were nobody's, as a list; NULL: not one could be had. Unlocks and
// locks again (S5).
static struct stack *make_locked(struct stack_depot *d, uint32_t most, uint32_t *ret_n)
{
    struct stack *list = NULL;
    struct lot lot;

    if (!take_gone_locked(d, &lot, most) && !take_new_locked(d, &lot, most)) return NULL;
    if (lot.bare) guard_lot_locked(d, &lot);
    lock_release(&d->lock);
    for (uint32_t i = lot.n; i-- > 0;) { // the lowest is handed out first
        char *low = slot_base(d, &lot, i) + d->guard_bytes;
        uint32_t index = lot.region->first_index + lot.slots[i];
        struct stack *s = place(d, low, d->usable_bytes, index);

        os_stack_note(low, (char *)s + d->head_bytes);
        push(&list, s);
    }
    lock_acquire(&d->lock);
    *ret_n = lot.n;
    return list;
}

// ---- The free list --------------------------------------------------------------------------

static void put_free_locked(struct stack_depot *d, struct stack *s)
{
    push(&d->free, s);
    d->n_free++;
}

static struct stack *get_free_locked(struct stack_depot *d)
{
    struct stack *s = pop(&d->free);

    if (!s) return NULL;
    if (--d->n_free < d->n_free_low) d->n_free_low = d->n_free;
    return s;
}

// Makes up to 'most' free. False: there is none, and none could be made.
static bool grow_locked(struct stack_depot *d, uint32_t most)
{
    uint32_t n = 0;
    struct stack *list = make_locked(d, most, &n);

    while (list) put_free_locked(d, pop(&list));
    return n > 0 || d->free; // others may have given some back meanwhile
}

// So many were taken. While stacks are only taken, an idle worker makes as many again.
static void want_locked(struct stack_depot *d, uint32_t n)
{
    uint32_t wanted = load_own(&d->wanted) + n;

    if (!d->grows) return;
    store_relaxed(&d->wanted, // relaxed: a look, then the lock
                  wanted < STACK_AHEAD ? wanted : STACK_AHEAD);
}

static void stop_growing_locked(struct stack_depot *d)
{
    d->grows = false;
    store_relaxed(&d->wanted, 0); // relaxed: as above
}

bool stack_depot_ahead(struct stack_depot *d)
{
    bool made = false;

    if (load_relaxed(&d->wanted) == 0) return false; // relaxed: a look, then the lock
    lock_acquire(&d->lock);
    uint32_t wanted = load_own(&d->wanted);
    uint32_t n = wanted < STACK_BATCH ? wanted : STACK_BATCH;
    if (n > 0) {
        store_relaxed(&d->wanted, wanted - n); // relaxed: as above
        made = grow_locked(d, n);
    }
    lock_release(&d->lock);
    return made;
}

// ---- Caches --------------------------------------------------------------------------------

static void list_put(struct stack_list *l, struct stack *s)
{
    if (l->n++ == 0) l->last = s;
    push(&l->first, s);
}

void stack_cache_init(struct stack_cache *c, struct stack_depot *d)
{
    *c = (struct stack_cache){.depot = d};
}

// Hands a whole list to the depot.
static void give(struct stack_depot *d, struct stack_list *l)
{
    if (l->n == 0) return;
    lock_acquire(&d->lock);
    l->last->next = d->free;
    d->free = l->first;
    d->n_free += l->n;
    stop_growing_locked(d);
    lock_release(&d->lock);
    *l = (struct stack_list){0};
}

void stack_cache_drain(struct stack_cache *c)
{
    give(c->depot, &c->hot);
    give(c->depot, &c->cold);
}

// A batch from the depot into an empty cache.
static void refill(struct stack_cache *c)
{
    struct stack_depot *d = c->depot;
    bool any = true;

    lock_acquire(&d->lock);
    if (!d->free) {
        d->grows = true;
        want_locked(d, STACK_BATCH);
        any = grow_locked(d, STACK_BATCH);
    }
    if (any) want_locked(d, STACK_BATCH);
    while (c->hot.n < STACK_BATCH && d->free) list_put(&c->hot, get_free_locked(d));
    lock_release(&d->lock);
}

// The hot half is empty.
struct stack *stack_get_slow(struct stack_cache *c)
{
    c->hot = c->cold;
    c->cold = (struct stack_list){0};
    if (c->hot.n == 0) refill(c);
    return c->hot.n > 0 ? stack_get(c) : NULL;
}

// The hot half is full.
void stack_put_slow(struct stack_cache *c)
{
    give(c->depot, &c->cold);
    c->cold = c->hot;
    c->hot = (struct stack_list){0};
}

struct stack *stack_get_direct(struct stack_depot *d)
{
    lock_acquire(&d->lock);
    if (!d->free) { // the first one alone, then as for a cache
        uint32_t n = d->grows ? STACK_BATCH : 1;

        d->grows = true;
        want_locked(d, 2 * (n - 1));
        grow_locked(d, n);
    }
    struct stack *s = get_free_locked(d);
    lock_release(&d->lock);
    return s;
}

void stack_put_direct(struct stack_depot *d, struct stack *s)
{
    lock_acquire(&d->lock);
    put_free_locked(d, s);
    stop_growing_locked(d);
    lock_release(&d->lock);
}

// ---- Other sizes ---------------------------------------------------------------------------

// Room to give every index back is made when the index is taken: giving back cannot fail.
static bool take_index_locked(struct stack_depot *d, uint32_t *ret_index)
{
    if (d->n_spare > 0) {
        *ret_index = d->spare_indices[--d->n_spare];
        return true;
    }
    uint32_t room = d->spare_room ? d->spare_room * 2 : STACK_BATCH;
    if (d->n_sized == d->spare_room) {
        uint32_t *bigger = MEMORY_GET(d->memory, uint32_t, room);
        d->why = "no memory for the list of stacks";
        if (!bigger) return false;
        MEMORY_PUT(d->memory, d->spare_indices, uint32_t, d->spare_room); // empty here
        d->spare_indices = bigger;
        d->spare_room = room;
    }
    *ret_index = d->n_indices++;
    d->n_sized++;
    return true;
}

static void put_index_locked(struct stack_depot *d, uint32_t index)
{
    check(d->n_spare < d->spare_room);
    d->spare_indices[d->n_spare++] = index;
}

// The guard of one mapping. Unlocks and locks again.
static bool guard_one_locked(struct stack_depot *d, char *base)
{
    if (d->light) {
        lock_release(&d->lock);
        bool guarded = guard_light(d, base, 1);
        lock_acquire(&d->lock);
        if (guarded) return true;
        d->light = false;
    }
    return protect_locked(d, base, 1) == 1;
}

struct stack *stack_get_sized(struct stack_depot *d, size_t usable_bytes)
{
    size_t usable = round_up(usable_bytes, d->page_bytes);
    uint32_t index;
    bool guarded = false;

    char *base = os_map(d->guard_bytes + usable);
    lock_acquire(&d->lock);
    if (!base) {
        d->why = "no address space for a stack (RLIMIT_AS, overcommit or locked memory)";
    } else if (take_index_locked(d, &index)) {
        guarded = guard_one_locked(d, base);
        if (!guarded) put_index_locked(d, index);
    }
    lock_release(&d->lock);
    if (guarded) {
        struct stack *s = place(d, base + d->guard_bytes, usable, index);
        os_stack_note(s->low, (char *)s + d->head_bytes);
        return s;
    }
    if (base) os_unmap(base, d->guard_bytes + usable);
    return NULL;
}

void stack_put_sized(struct stack_depot *d, struct stack *s)
{
    char *base = s->low - d->guard_bytes;
    size_t above = d->head_bytes + s->index % COLOURS * COLOUR_BYTES;
    size_t bytes = d->guard_bytes + s->bytes + above;
    uint32_t index = s->index;

    os_unmap(base, bytes);
    lock_acquire(&d->lock);
    put_index_locked(d, index);
    // Light guards may have ended while stacks with such ones lived: never more than were made.
    if (!d->light && d->n_protected > 0) d->n_protected--;
    lock_release(&d->lock);
}

// ---- Questions -----------------------------------------------------------------------------

void stack_depot_count(struct stack_depot *d, uint32_t *ret_made, uint32_t *ret_free)
{
    lock_acquire(&d->lock);
    *ret_made = d->n_made - d->n_gone + d->n_sized - d->n_spare;
    *ret_free = d->n_free;
    lock_release(&d->lock);
}

const char *stack_depot_why(struct stack_depot *d)
{
    lock_acquire(&d->lock);
    const char *why = d->why;
    lock_release(&d->lock);
    return why;
}
