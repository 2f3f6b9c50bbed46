// SPDX-License-Identifier: MIT
#include "tests/model/toys.h"

#include <string.h>

#include "base/bias.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/parker.h"
#include "base/platform.h"
#include "sched/fresh.h"
#include "sched/g.h"
#include "sched/p.h"
#include "sched/runq.h"
#include "tests/model/sim.h"

static struct os_thread start(void (*fn)(void *), void *arg)
{
    struct os_thread thread;

    sim_expect_eq(os_thread_start(&thread, fn, arg, "toy", NULL), 0);
    return thread;
}

// ---- Dekker ---------------------------------------------------------------------------

struct side {
    atomic_u32 *mine, *theirs;
    bool fenced, saw;
};

static void meet(void *arg)
{
    struct side *s = arg;

    store_relaxed(s->mine, 1);        // relaxed: the toy is about the fence
    if (s->fenced) fence_seq_cst();   // [TOY-FENCE] seq_cst, pairs with itself
    s->saw = load_relaxed(s->theirs); // relaxed: as above
}

static void dekker(bool fenced)
{
    atomic_u32 a = {0}, b = {0};
    struct side left = {&a, &b, fenced, false}, right = {&b, &a, fenced, false};
    struct os_thread threads[2] = {start(meet, &left), start(meet, &right)};

    os_thread_join(threads[0]);
    os_thread_join(threads[1]);
    sim_expect(left.saw || right.saw);
}

void toy_dekker(void)
{
    dekker(true);
}

void toy_dekker_unfenced(void)
{
    dekker(false);
}

// ---- Parker ---------------------------------------------------------------------------

struct tokens {
    struct parker ping, pong;
    uint32_t rounds;
    int value; // plain: the token carries it
};

static void echo(void *arg)
{
    struct tokens *t = arg;

    for (uint32_t i = 0; i < t->rounds; i++) {
        sim_expect_eq(parker_park(&t->ping, CLOCK_NEVER), 0);
        t->value++;
        parker_unpark(&t->pong);
    }
}

void toy_parker(void)
{
    struct tokens t = {.rounds = 8};
    struct os_thread thread = start(echo, &t);

    for (uint32_t i = 0; i < t.rounds; i++) {
        t.value = (int)i * 2;
        parker_unpark(&t.ping);
        while (parker_park(&t.pong, i & 1 ? clock_after(300) : CLOCK_NEVER) < 0) continue;
        sim_expect_eq(t.value, i * 2 + 1);
    }
    os_thread_join(thread);
}

// ---- A sleeper that forgets to look again ---------------------------------------------

struct torn {
    atomic_u32 work, asleep;
};

static void give(void *arg)
{
    struct torn *t = arg;

    swap_seq_cst(&t->work, 1); // [TOY-WORK] seq_cst, pairs with itself
    if (!load_relaxed(&t->asleep))
        return;                   // relaxed: the bug to be found is the missing look
    store_relaxed(&t->asleep, 0); // relaxed: as above
    os_futex_wake(&t->asleep, 1);
}

void toy_torn_wait(void)
{
    struct torn t = {0};
    struct os_thread thread = start(give, &t);

    if (!load_relaxed(&t.work)) {   // relaxed: looked too early
        swap_seq_cst(&t.asleep, 1); // [TOY-ASLEEP] seq_cst, pairs with [TOY-WORK]
        while (load_relaxed(&t.asleep))
            os_futex_wait(&t.asleep, 1, CLOCK_NEVER); // relaxed: toy
    }
    os_thread_join(thread);
}

// ---- Lock -----------------------------------------------------------------------------

struct guarded {
    struct lock lock;
    uint32_t inside, total;
};

static void enter_often(void *arg)
{
    struct guarded *d = arg;

    for (int i = 0; i < 6; i++) {
        lock_acquire(&d->lock);
        sim_expect_eq(d->inside++, 0);
        choice_point();
        d->inside--;
        d->total++;
        lock_release(&d->lock);
    }
}

void toy_lock(void)
{
    struct guarded d = {0};
    struct os_thread threads[3];

    for (int i = 0; i < 3; i++) threads[i] = start(enter_often, &d);
    for (int i = 0; i < 3; i++) os_thread_join(threads[i]);
    sim_expect_eq(d.total, 18);
}

struct biased {
    struct bias bias;
    uint32_t inside, total;
};

static void enter_biased(struct biased *d, struct bias_owner *me)
{
    bias_acquire(&d->bias, me);
    sim_expect_eq(d->inside++, 0);
    choice_point();
    d->inside--;
    d->total++;
    bias_release(&d->bias, me);
}

// A heavy fence may be refused: then it is had of this thread, with a signal or without.
static struct os_pump *goes_light(struct fence_note *note)
{
    struct os_pump *pump = sim_choose(2, 1) ? os_pump_get(60) : NULL;

    fence_note_begin(note, pump);
    return pump;
}

static void enter_as_owner(void *arg)
{
    struct bias_owner *me = bias_owner_get();
    struct os_pump *pump = goes_light(&me->note);

    for (int i = 0; i < 6; i++) enter_biased(arg, me);
    bias_owner_put(me);
    os_pump_put(pump);
}

static void enter_as_stranger(void *arg)
{
    for (int i = 0; i < 2; i++) enter_biased(arg, &bias_stranger);
}

void toy_bias(void)
{
    struct biased d = {0};
    struct os_thread threads[3];

    bias_init(&d.bias, LOCK_RANK_OBJECT, &bias_stranger);
    for (int i = 0; i < 2; i++) threads[i] = start(enter_as_owner, &d);
    threads[2] = start(enter_as_stranger, &d);
    for (int i = 0; i < 3; i++) os_thread_join(threads[i]);
    sim_expect_eq(d.total, 14);
}

// ---- A P and who takes it ---------------------------------------------------------------

struct held {
    struct p p;
    struct hold hold;
    uint32_t inside, total;
};

static void touch(struct held *d)
{
    sim_expect_eq(d->inside++, 0);
    choice_point();
    d->inside--;
    d->total++;
}

static void call_as_its_m(struct held *d)
{
    touch(d);
    for (int i = 0; i < 6; i++) {
        if (i % 3 == 2)
            p_leave_blocking(&d->p, &d->hold);
        else
            p_leave(&d->hold);
        choice_point();
        if (!p_enter(&d->p, &d->hold)) return; // from now on the other one's
        touch(d);
    }
    p_give(&d->p);
}

static void call_often(void *arg)
{
    struct held *d = arg;
    struct os_pump *pump = goes_light(&d->hold.note);

    call_as_its_m(d);
    fence_note_end(&d->hold.note);
    os_pump_put(pump);
}

// True: the P was taken.
static bool take_from_outside(struct held *d)
{
    uint64_t seen = load_acquire(&d->p.word); // [P-SEEN] acquire, pairs with [P-BLOCK]

    if (p_word_state(seen) == P_HELD) {
        if (!p_is_out(&d->hold) || !p_ask(&d->p, seen, &d->hold)) return false;
    } else if (p_word_state(seen) != P_BLOCK) {
        return false;
    }
    choice_point();
    if (!p_steal(&d->p, seen)) return false;
    touch(d);
    return true;
}

void toy_hold(void)
{
    struct held *d = os_alloc(sizeof(*d), alignof(struct held));

    d->hold.light = os_fence_heavy_get();
    p_take(&d->p, 0);
    hold_set(&d->hold, load_relaxed(&d->p.word)); // relaxed: no thread yet
    struct os_thread thread = start(call_often, d);
    bool taken = false;
    for (int i = 0; i < 8 && !taken; i++) taken = take_from_outside(d);
    os_thread_join(thread);
    sim_expect(taken || d->total == 7);
    sim_expect(p_word_state(load_relaxed(&d->p.word)) == P_IDLE); // relaxed: joined
    os_free(d);
}

// ---- Run queue ------------------------------------------------------------------------

#define ITEMS 14u

static struct toy_queue {
    struct runq owner, thieves[2];
    struct g *items;
    uint32_t taken[ITEMS];
    atomic_u32 n_taken;
} * toy;

static void take(struct g *g)
{
    size_t i = (size_t)(g - toy->items);

    sim_expect(g >= toy->items && i < ITEMS); // else an unwritten slot was read
    sim_expect_eq(toy->taken[i]++, 0);
    add_relaxed(&toy->n_taken, 1); // relaxed: a counter
}

static void thieve(void *arg)
{
    struct runq *mine = arg;
    struct g *g;

    for (int i = 0; i < 12; i++) {
        if ((g = runq_steal(mine, &toy->owner, i % 3 == 2))) take(g);
        while ((g = runq_pop(mine))) take(g);
        choice_point();
    }
}

static void start_near_wrap(struct runq *q)
{
    // relaxed: before any thread
    store_relaxed(&q->head, UINT32_MAX - 2);
    store_relaxed(&q->tail, UINT32_MAX - 2);
    fence_seq_cst(); // [TOY-START] seq_cst, no partner: the simulator shows the stores
}

void toy_runq(void)
{
    struct queue overflow = {0};
    struct os_thread threads[2];
    struct g *g;

    toy = os_alloc(sizeof(*toy), alignof(struct toy_queue));
    toy->items = os_alloc(ITEMS * sizeof(struct g), alignof(struct g));
    start_near_wrap(&toy->owner);
    for (int i = 0; i < 2; i++) threads[i] = start(thieve, &toy->thieves[i]);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (i % 5 == 4) {
            if ((g = runq_put_next(&toy->owner, &toy->items[i]))) take(g);
        } else {
            runq_push(&toy->owner, &toy->items[i], &overflow);
        }
        if (i % 3 == 0 && (g = runq_pop(&toy->owner))) take(g);
    }
    while ((g = runq_pop(&toy->owner))) take(g);
    if ((g = runq_take_next(&toy->owner))) take(g);
    for (struct queue_node *n; (n = queue_pop(&overflow));) take(g_of_node(n));
    for (int i = 0; i < 2; i++) os_thread_join(threads[i]);
    sim_expect_eq(load_relaxed(&toy->n_taken), ITEMS); // relaxed: joined
    os_free(toy->items);
    os_free(toy);
}

// ---- New ones ---------------------------------------------------------------------------

static struct {
    struct fresh owner, thieves[2];
} * toy_new;

static void thieve_new(void *arg)
{
    struct fresh *mine = arg;
    struct g *g;

    for (int i = 0; i < 12; i++) {
        if ((g = fresh_steal(mine, &toy_new->owner))) take(g);
        while ((g = fresh_pop(mine))) take(g);
        choice_point();
    }
}

static void make_new(struct fresh *f, bool light)
{
    fresh_init(f, light);
    // relaxed: before any thread
    store_relaxed(&f->head, UINT32_MAX - 2);
    store_relaxed(&f->claim, UINT32_MAX - 2);
    store_relaxed(&f->tail, UINT32_MAX - 2);
    fence_seq_cst(); // [TOY-START] seq_cst, no partner: the simulator shows the stores
}

// One more, taken off at the other end in between; the last ones are wanted by all.
static void push_some_pop_some(struct fresh *f, uint32_t i)
{
    struct queue overflow = {0};
    struct g *g;

    if (!fresh_push(f, &toy->items[i])) {
        fresh_make_room(f, &overflow);
        sim_expect(fresh_push(f, &toy->items[i]));
    }
    for (struct queue_node *n; (n = queue_pop(&overflow));) take(g_of_node(n));
    if (i % 5 == 1 && (g = fresh_pop_oldest(f))) take(g);
    for (uint32_t n = i % 4 == 3 ? 3 : 0; n > 0; n--)
        if ((g = fresh_pop(f))) take(g);
}

void toy_fresh(void)
{
    bool light = sim_choose(2, 1);
    struct os_thread threads[2];
    struct g *g;

    toy = os_alloc(sizeof(*toy), alignof(struct toy_queue));
    toy->items = os_alloc(ITEMS * sizeof(struct g), alignof(struct g));
    toy_new = os_alloc(sizeof(*toy_new), CACHE_LINE);
    make_new(&toy_new->owner, light);
    for (int i = 0; i < 2; i++) {
        make_new(&toy_new->thieves[i], light);
        threads[i] = start(thieve_new, &toy_new->thieves[i]);
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        push_some_pop_some(&toy_new->owner, i);
        // relaxed: as find_work does
        if (i % 3 == 2 && load_relaxed(&fence_refused)) fresh_go_full(&toy_new->owner);
    }
    for (int i = 0; i < 2; i++) os_thread_join(threads[i]);
    while ((g = fresh_pop(&toy_new->owner))) take(g);
    sim_expect_eq(load_relaxed(&toy->n_taken), ITEMS); // relaxed: joined
    os_free(toy_new);
    os_free(toy->items);
    os_free(toy);
}

// ---- Clock ----------------------------------------------------------------------------

static void sleep_some(void *arg)
{
    int64_t when = os_now() + (int64_t)(uintptr_t)arg;

    os_sleep_until(when);
    sim_expect(os_now() >= when);
}

void toy_clock(void)
{
    struct os_thread threads[4];
    int64_t begin = os_now();

    for (uintptr_t i = 0; i < 4; i++)
        threads[i] = start(sleep_some, (void *)(i * 1000000));
    for (int i = 0; i < 4; i++) os_thread_join(threads[i]);
    sim_expect(os_now() >= begin + 3000000);
}
