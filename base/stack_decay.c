// SPDX-License-Identifier: MIT
// stack_decay - pages on their way back to the kernel, and how much of a stack was used.
//
//     every second    share = half of the stacks that lay free all the second long, but at least
//                     STACK_DECAY_LEAST if there are so many
//     every call      up to a batch of the share: off the free list, pages discarded, marked gone
//     a region all of whose slots are gone is made new: its page tables (a sixth of a page a
//     stack) and its guards go too
//
// A mark that is behind by a second costs a page fault when it was wrong, never a fault in the
// fast path: what a P holds in its cache is not touched, idle Ps are drained by sysmon.
//
// REJECTED: MADV_FREE (the pages count as ours until the machine is short of memory, which is
// not what a neighbour sees as given back); the free list's whole length at once (a burst every
// two seconds would fault every time).
#include <string.h>

#include "base/clock.h"
#include "base/platform.h"
#include "base/stack.h"
#include "base/stack_region.h"

// The batch that is given back now, off the free list, with the region of each.
struct farewell {
    uint32_t n;
    void *lows[STACK_DECAY_BATCH];
    uint32_t indices[STACK_DECAY_BATCH];
};

static void pick_locked(struct stack_depot *d, struct farewell *f)
{
    for (f->n = 0; f->n < STACK_DECAY_BATCH && d->decay_left > 0 && d->free; f->n++) {
        struct stack *s = d->free;

        d->free = s->next;
        d->n_free--;
        d->decay_left--;
        f->lows[f->n] = s->low;
        f->indices[f->n] = s->index;
    }
    if (d->n_free < d->n_free_low) d->n_free_low = d->n_free;
}

static struct stack_region *region_of_locked(struct stack_depot *d, uint32_t index)
{
    struct stack_region *r = d->regions; // the newest has the highest indices

    while (index < r->first_index) r = r->older;
    return r;
}

static void mark_locked(struct stack_depot *d, const struct farewell *f)
{
    struct stack_region *r = NULL;

    for (uint32_t i = 0; i < f->n; i++) {
        uint32_t index = f->indices[i];

        if (!r || index < r->first_index || index - r->first_index >= r->n_slots)
            r = region_of_locked(d, index);
        region_put_gone(r, index - r->first_index);
    }
    d->n_gone += f->n;
}

// Makes a region new all of whose slots are gone. False: there is none. Unlocks and locks again.
static bool renew_one_locked(struct stack_depot *d)
{
    struct stack_region *r = d->regions;

    while (r && (r->n_used == 0 || r->n_gone < r->n_used)) r = r->older;
    if (!r) return false;
    uint32_t n = r->n_used;
    // Nobody finds a slot there, neither gone nor new, while it is ours.
    memset(r->gone, 0, (n + 63) / 64 * sizeof(r->gone[0]));
    r->n_gone = 0;
    r->n_used = r->n_slots;
    d->n_gone -= n;
    lock_release(&d->lock);
    int err = os_renew(r->base, r->bytes);
    lock_acquire(&d->lock);
    r->n_used = err < 0 ? n : 0;
    if (err < 0) { // as it was
        for (uint32_t i = 0; i < n; i++) region_put_gone(r, i);
        d->n_gone += n;
        return false;
    }
    d->n_made -= n;
    if (!d->light) d->n_protected = d->n_protected > n ? d->n_protected - n : 0;
    return true;
}

// The share of the second that begins.
static void begin_second_locked(struct stack_depot *d, int64_t now)
{
    uint32_t low = d->n_free_low;

    d->n_free_low = d->n_free;
    d->decay_left = low > STACK_KEEP ? low - STACK_KEEP : 0;
    if (d->decay_left > 2 * STACK_DECAY_LEAST)
        d->decay_left /= 2;
    else if (d->decay_left > STACK_DECAY_LEAST)
        d->decay_left = STACK_DECAY_LEAST;
    d->decay_at = now + STACK_DECAY_NS;
}

int64_t stack_depot_decay(struct stack_depot *d, int64_t now)
{
    struct farewell f;

    if (!d->decays && now < d->decay_at) return d->decay_at;
    lock_acquire(&d->lock);
    if (now >= d->decay_at) begin_second_locked(d, now);
    pick_locked(d, &f);
    bool more = f.n > 0;
    if (more) {
        lock_release(&d->lock);
        os_discard(f.lows, d->usable_bytes, f.n);
        lock_acquire(&d->lock);
        mark_locked(d, &f);
    } else {
        d->decay_left = 0;
        more = renew_one_locked(d);
    }
    int64_t again = CLOCK_NEVER;
    if (d->n_free > STACK_KEEP) again = d->decay_at;
    if (more) again = now;
    d->decays = more;
    lock_release(&d->lock);
    return again;
}

// ---- High-water mark ---------------------------------------------------------------------------

#if defined(__clang__)
#define LOOKS_ANYWHERE __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define LOOKS_ANYWHERE __attribute__((noinline, no_sanitize("address", "thread")))
#endif

#define ZEROS_MOST ((size_t)64 << 10) // a whole stack of the default size

// Offset of the first word that is not zero, or ZEROS_MOST behind 'from'. The stack may be in use
// and is not asked.
LOOKS_ANYWHERE static size_t first_written(const char *low, size_t from, size_t bytes)
{
    if (bytes - from > ZEROS_MOST) bytes = from + ZEROS_MOST;
    while (from < bytes && *(const volatile uint64_t *)(const void *)(low + from) == 0)
        from += sizeof(uint64_t);
    return from;
}

size_t stack_touched(const struct stack *s)
{
    return os_first_touched(s->low, s->bytes);
}

size_t stack_used_from(const struct stack *s, size_t from)
{
    return from < s->bytes ? s->bytes - first_written(s->low, from, s->bytes) : 0;
}
