// SPDX-License-Identifier: MIT
#include "base/fence.h"

#include "base/clock.h"
#include "base/platform.h"

#define NAP_NS 20000 // between two looks at a thread

atomic_u32 fence_refused;

bool fence_heavy_get(void)
{
    // relaxed: it is set once, and who does not see it asks in vain
    return !load_relaxed(&fence_refused) && os_fence_heavy_get();
}

bool fence_heavy(void)
{
    // relaxed: as above
    if (!load_relaxed(&fence_refused) && os_fence_heavy()) return true;
    store_relaxed(&fence_refused, 1); // relaxed: as above
    return false;
}

// One thread that owes a fence: what was known of it behind the store of who pays.
struct debtor {
    const struct fence_note *note;
    uint32_t changes;
    int64_t cpu;
    struct os_pump *sent; // the signal was sent behind that store; NULL: not yet
};

static void send_signal(struct debtor *d)
{
    // [FENCE-NOTE-SEEN] acquire, pairs with [FENCE-NOTE]: the box is filled.
    struct os_pump *pump = load_acquire(&d->note->pump);

    if (pump && !d->sent && os_pump_send(pump)) d->sent = pump;
}

// True if it sleeps. Two witnesses: of the clock alone one may read too coarse a time, and in what
// the kernel says of a thread that has just been woken it may still sleep.
static bool sleeps(struct debtor *d)
{
    uint64_t thread =
        load_relaxed(&d->note->thread); // relaxed: 'changes' tells a newer one
    int64_t before = d->cpu;

    d->cpu = os_thread_cpu(thread);
    return before >= 0 && d->cpu == before && os_thread_sleeps(thread);
}

bool fence_heavy_one(const struct fence_note *note, int64_t until)
{
    // [FENCE-ONE] heavy, pairs with the callers' [P-ENTER], [BIAS-IN].
    if (fence_heavy()) return true;
    // [FENCE-ONE] seq_cst, pairs with [FENCE-NOTE]: what the caller stored comes before the looks.
    fence_seq_cst();
    // relaxed: behind the fence
    struct debtor d = {.note = note, .changes = load_relaxed(&note->changes), .cpu = -1};
    if (load_relaxed(&note->thread) == 0)
        return true; // relaxed: the same; nobody goes without
    do {
        send_signal(&d);
        if (d.sent && os_pump_answered(d.sent)) return true;
        if (sleeps(&d)) return true;
        // [FENCE-NOTE-SEEN] acquire, pairs with [FENCE-NOTE]: whose it was is through.
        if (load_acquire(&note->changes) != d.changes) return true;
        os_sleep_until(clock_after(NAP_NS));
    } while (clock_now() < until);
    return false;
}

void fence_note_begin(struct fence_note *note, struct os_pump *pump)
{
    store_relaxed(&note->thread, os_thread_id()); // relaxed: [FENCE-NOTE] follows
    // [FENCE-NOTE] release, pairs with [FENCE-NOTE-SEEN].
    store_release(&note->pump, pump);
    // [FENCE-NOTE] seq_cst, pairs with [FENCE-NOTE-SEEN], [FENCE-ONE]: what the thread does from
    // here on without fences comes behind this one.
    add_seq_cst(&note->changes, 1);
}

void fence_note_end(struct fence_note *note)
{
    store_relaxed(&note->pump, NULL); // relaxed, both: [FENCE-NOTE] follows
    store_relaxed(&note->thread, 0);
    // [FENCE-NOTE] seq_cst, pairs with [FENCE-NOTE-SEEN], [FENCE-ONE].
    add_seq_cst(&note->changes, 1);
}
