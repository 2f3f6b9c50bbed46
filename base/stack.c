// SPDX-License-Identifier: MIT
#include "base/stack.h"

#include <errno.h>
#include <string.h>

#include "base/panic.h"
#include "base/platform.h"

#define FIRST_SLOTS 64u // of the first region; each next one has twice as many
#define MOST_SLOTS 8192u
#define COLOURS 16u
#define COLOUR_BYTES 64u
#define MAPPINGS_LEFT 2048u // for the host, of vm.max_map_count

struct stack_region {
    struct stack_region *older;
    char *base;
    size_t bytes;
    uint32_t n_slots, n_used;
};

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
        os_free(r);
    }
    os_free(d->spare_indices);
}

// ---- Making slots --------------------------------------------------------------------------

static struct stack_region *add_region_locked(struct stack_depot *d)
{
    uint32_t n = d->regions ? d->regions->n_slots * 2 : FIRST_SLOTS;
    struct stack_region *r = os_alloc(sizeof(*r), alignof(struct stack_region));

    if (!r) return NULL;
    if (n > MOST_SLOTS) n = MOST_SLOTS;
    // Where address space is short a smaller region may still fit.
    while (!(r->base = os_map(n * d->slot_bytes)) && n > STACK_BATCH) n /= 2;
    if (!r->base) {
        os_free(r);
        return NULL;
    }
    r->bytes = n * d->slot_bytes;
    r->n_slots = n;
    r->older = d->regions;
    d->regions = r;
    return r;
}

// Slots that nobody used yet: reserved under the lock, guarded and touched outside it, because
// that takes the kernel a microsecond a guard and two to three a page.
struct slots {
    char *first;
    uint32_t n, index;
    bool light; // the guards that they get
};

// How many of n guards there may be. PROT_NONE ones are counted before they are made.
static uint32_t count_guards_locked(struct stack_depot *d, uint32_t n)
{
    if (d->light) return n;
    uint32_t left = d->protect_budget - d->n_protected;
    if (n > left) n = left;
    d->n_protected += n;
    return n;
}

// The n - made guards that could not be had; -EINVAL: the kernel has no light ones.
static void miss_guards_locked(struct stack_depot *d, const struct slots *v,
                               uint32_t made, int err)
{
    if (!v->light) d->n_protected -= v->n - made;
    if (v->light && err == -EINVAL) d->light = false;
}

// Guards the slots. The number guarded; fewer than all: *ret_err says why (S1).
static uint32_t guard(struct stack_depot *d, const struct slots *v, int *ret_err)
{
    if (v->light) {
        *ret_err = os_guard_light(v->first, d->guard_bytes, d->slot_bytes, v->n);
        return *ret_err == 0 ? v->n : 0;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        *ret_err = os_guard_protect(v->first + i * d->slot_bytes, d->guard_bytes);
        if (*ret_err < 0) return i;
    }
    return v->n;
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
    os_stack_note(low, top);
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

// Up to 'most' slots that nobody used yet. False: no address space, or no more guards.
static bool reserve_locked(struct stack_depot *d, uint32_t most, struct slots *ret)
{
    struct stack_region *r = d->regions;

    if (!r || r->n_used == r->n_slots) r = add_region_locked(d);
    if (!r) return false;
    uint32_t n = r->n_slots - r->n_used < most ? r->n_slots - r->n_used : most;
    *ret = (struct slots){.first = r->base + r->n_used * d->slot_bytes,
                          .n = count_guards_locked(d, n),
                          .index = d->n_indices,
                          .light = d->light};
    r->n_used += ret->n;
    d->n_indices += ret->n;
    return ret->n > 0;
}

// What could not be guarded is free again, unless another has reserved behind it meanwhile: then
// there was no memory for page tables, and the slots are lost with their address space.
static void give_back_locked(struct stack_depot *d, const struct slots *v, uint32_t made)
{
    struct stack_region *r = d->regions;

    if (v->first + v->n * d->slot_bytes != r->base + r->n_used * d->slot_bytes ||
        v->index + v->n != d->n_indices)
        return;
    r->n_used -= v->n - made;
    d->n_indices -= v->n - made;
}

static void list_put(struct stack_list *l, struct stack *s)
{
    if (l->n++ == 0) l->last = s;
    push(&l->first, s);
}

// Up to 'most' new stacks into an empty list. None: they could not be had.
static void carve(struct stack_depot *d, uint32_t most, struct stack_list *ret)
{
    struct slots v;
    uint32_t n;
    int err;

    do {
        lock_acquire(&d->lock);
        bool got = reserve_locked(d, most, &v);
        lock_release(&d->lock);
        if (!got) return;
        n = guard(d, &v, &err);
        if (n < v.n) {
            lock_acquire(&d->lock);
            miss_guards_locked(d, &v, n, err);
            give_back_locked(d, &v, n);
            lock_release(&d->lock);
        }
    } while (n == 0 && err == -EINVAL); // once: then the other kind
    for (uint32_t i = n; i-- > 0;) {    // the lowest is handed out first
        char *low = v.first + i * d->slot_bytes + d->guard_bytes;
        list_put(ret, place(d, low, d->usable_bytes, v.index + i));
    }
}

// ---- Caches --------------------------------------------------------------------------------

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
    lock_release(&d->lock);
    *l = (struct stack_list){0};
}

void stack_cache_fini(struct stack_cache *c)
{
    give(c->depot, &c->hot);
    give(c->depot, &c->cold);
}

// A batch from the depot into an empty cache, or a new one.
static void refill(struct stack_cache *c)
{
    struct stack_depot *d = c->depot;

    lock_acquire(&d->lock);
    while (c->hot.n < STACK_BATCH && d->free) {
        list_put(&c->hot, pop(&d->free));
        d->n_free--;
    }
    lock_release(&d->lock);
    if (c->hot.n == 0) carve(d, STACK_BATCH, &c->hot);
}

struct stack *stack_get(struct stack_cache *c)
{
    if (c->hot.n == 0) {
        c->hot = c->cold;
        c->cold = (struct stack_list){0};
        if (c->hot.n == 0) refill(c);
        if (c->hot.n == 0) return NULL;
    }
    c->hot.n--;
    struct stack *s = pop(&c->hot.first);
    if (c->hot.first) { // whoever spawns one spawns another
        __builtin_prefetch(c->hot.first, 1);
        __builtin_prefetch((char *)c->hot.first + CACHE_LINE, 1);
        __builtin_prefetch((char *)c->hot.first + 2 * CACHE_LINE, 1);
    }
    return s;
}

void stack_put(struct stack_cache *c, struct stack *s)
{
    list_put(&c->hot, s);
    if (c->hot.n < STACK_HALF) return;
    give(c->depot, &c->cold);
    c->cold = c->hot;
    c->hot = (struct stack_list){0};
}

struct stack *stack_get_direct(struct stack_depot *d)
{
    struct stack_list one = {0};

    lock_acquire(&d->lock);
    struct stack *s = pop(&d->free);
    if (s) d->n_free--;
    lock_release(&d->lock);
    if (s) return s;
    carve(d, 1, &one);
    return one.first;
}

void stack_put_direct(struct stack_depot *d, struct stack *s)
{
    lock_acquire(&d->lock);
    push(&d->free, s);
    d->n_free++;
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
        uint32_t *bigger = os_alloc(room * sizeof(*bigger), alignof(uint32_t));
        if (!bigger) return false;
        os_free(d->spare_indices); // empty here
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

// Guards the mapping at base, which is none of a region's slots.
static bool guard_sized(struct stack_depot *d, char *base)
{
    struct slots v = {.first = base};
    int err;

    do {
        lock_acquire(&d->lock);
        v.light = d->light;
        v.n = count_guards_locked(d, 1);
        lock_release(&d->lock);
        if (v.n == 0) return false;
        if (guard(d, &v, &err) == 1) return true;
        lock_acquire(&d->lock);
        miss_guards_locked(d, &v, 0, err);
        lock_release(&d->lock);
    } while (err == -EINVAL);
    return false;
}

struct stack *stack_get_sized(struct stack_depot *d, size_t usable_bytes)
{
    size_t usable = round_up(usable_bytes, d->page_bytes);
    uint32_t index;

    char *base = os_map(d->guard_bytes + usable);
    if (!base) return NULL;
    if (guard_sized(d, base)) {
        lock_acquire(&d->lock);
        bool got = take_index_locked(d, &index);
        if (!got && !d->light && d->n_protected > 0) d->n_protected--;
        lock_release(&d->lock);
        if (got) return place(d, base + d->guard_bytes, usable, index);
    }
    os_unmap(base, d->guard_bytes + usable);
    return NULL;
}

void stack_put_sized(struct stack_depot *d, struct stack *s)
{
    char *base = s->low - d->guard_bytes;
    size_t above = d->head_bytes + s->index % COLOURS * COLOUR_BYTES;
    size_t bytes = d->guard_bytes + s->bytes + above;

    lock_acquire(&d->lock);
    put_index_locked(d, s->index);
    if (!d->light && d->n_protected > 0) d->n_protected--;
    lock_release(&d->lock);
    os_unmap(base, bytes);
}

void stack_depot_count(struct stack_depot *d, uint32_t *ret_made, uint32_t *ret_free)
{
    lock_acquire(&d->lock);
    *ret_made = d->n_indices - d->n_spare;
    *ret_free = d->n_free;
    lock_release(&d->lock);
}
