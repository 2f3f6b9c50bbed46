// SPDX-License-Identifier: MIT
#include "base/bias.h"

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"

#define NAP_NS 20000 // its thread was stopped by the kernel inside a section
#define OWNERS 64    // of a process; who comes later has ordinary locks

struct bias_owner bias_stranger, bias_nobody;

static struct bias_owner owners[OWNERS];

struct bias_owner *bias_owner_get(void)
{
    for (int i = 0; i < OWNERS; i++) {
        uint32_t was = 0;

        // [OWNER-GET] acquire, pairs with [OWNER-PUT]: the thread before was inside of nothing.
        if (cas_acquire(&owners[i].taken, &was, 1)) return &owners[i];
    }
    return &bias_stranger;
}

void bias_owner_put(struct bias_owner *owner)
{
    if (!owner || owner == &bias_stranger) return;
    must(!load_relaxed(&owner->inside)); // relaxed: its thread has ended
    fence_note_end(&owner->note);
    // [OWNER-PUT] release, pairs with [OWNER-GET].
    store_release(&owner->taken, 0);
}

void bias_forked(void)
{
    // relaxed, all: there is one thread
    for (int i = 0; i < OWNERS; i++) {
        store_relaxed(&owners[i].note.thread, 0); // those threads are not here
        if (!load_relaxed(&owners[i].inside)) store_relaxed(&owners[i].taken, 0);
    }
}

void bias_take_away(struct bias *b, struct bias_owner *owner)
{
    store_relaxed(&b->thread, &bias_nobody); // relaxed: the fence follows
    // [BIAS-TAKE] heavy, pairs with [BIAS-IN]: it is nobody's, now look where its thread is (B1).
    must(fence_heavy_one(&owner->note, CLOCK_NEVER));

    // [BIAS-GONE] acquire, pairs with [BIAS-OUT]: what was done inside is seen here.
    while (load_acquire(&owner->inside) == b) os_sleep_until(clock_after(NAP_NS));
    b->n_last = 0;
    b->n_needed = b->n_needed <= BIAS_AFTER_MOST / 4 ? b->n_needed * 4 : BIAS_AFTER_MOST;
}
