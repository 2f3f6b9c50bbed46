// SPDX-License-Identifier: MIT
// hand_scope - scenes for scopes: what a cancel, a deadline, a failure reach, and what they must
// not.
//
// The reference model of a tree of scopes is a record for each, kept by the scene: which reasons
// there were to cancel it, noted before the library hears of them, and how many children live.
// Whoever is refused finds a reason in a scope around; whoever closes a scope finds no child, and
// a result for which there was a reason.
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/platform.h"
#include "coir/chan.h"
#include "coir/io.h"
#include "coir/scope.h"
#include "tests/model/handmade.h"
#include "tests/model/kernel_sim.h"
#include "tests/model/sim.h"
#include "tests/model/world.h"

// ---- The reference ---------------------------------------------------------------------------

enum { CAUSE_CANCEL = 1, CAUSE_FAILURE = 2 };

struct record {
    struct record *outer;
    coir_scope scope;
    int64_t deadline;
    atomic_u32 causes, live, n_failed;
};

static void record_open(struct record *r, struct record *outer, int64_t deadline)
{
    r->outer = outer;
    r->deadline = deadline;
    sim_expect_eq(coir_scope_open(&r->scope, deadline), 0);
}

// True if something may have cancelled it: itself or one around.
static bool record_has_cause(struct record *r)
{
    for (; r; r = r->outer) {
        // [RECORD-CAUSE] acquire, pairs with itself.
        if (load_acquire(&r->causes)) return true;
        if (r->deadline != COIR_FOREVER && os_now() >= r->deadline) return true;
    }
    return false;
}

static void record_cause(struct record *r, uint32_t cause)
{
    // [RECORD-CAUSE] acq_rel, pairs with itself: noted before the library acts on it.
    or_acq_rel(&r->causes, cause);
}

static void record_refused(struct record *r, int err)
{
    sim_expect_eq(err, -ECANCELED);
    sim_expect(record_has_cause(r));
}

static int record_wait(struct record *r)
{
    int result = coir_scope_wait(&r->scope);

    sim_expect_eq(load_relaxed(&r->live), 0); // relaxed: the wait has ordered it
    switch (result) {
    case 0: break;
    case -EIO: sim_expect(load_relaxed(&r->causes) & CAUSE_FAILURE); break;
    case -ETIMEDOUT: sim_expect_late(r->deadline); break;
    case -ECANCELED: sim_expect(record_has_cause(r)); break;
    default: sim_fail("a scope ended with %d", result);
    }
    // relaxed: they have ended. A failure is never lost, and the others' never counted.
    if (load_relaxed(&r->n_failed) > 0) sim_expect_eq(result, -EIO);
    return result;
}

// ---- A tree ----------------------------------------------------------------------------------

struct tree {
    uint32_t depth, width;
    atomic_u32 nodes;
};

static int tree_node(struct tree *t, struct record *outer, uint32_t depth);

static int64_t some_deadline(void)
{
    switch (sim_choose(4, 2)) {
    case 1: return coir_after(2000);
    case 2: return coir_after(60000);
    case 3: return COIR_NOW;
    default: return COIR_FOREVER;
    }
}

static int tree_leaf(struct record *r)
{
    int err = coir_sleep(sim_choose(2, 1) ? 3000 : 100000);

    if (err < 0) record_refused(r, err);
    return err;
}

// What a child does and returns, with its scope's count of the living.
static int tree_child(struct tree *t, struct record *r, uint32_t depth)
{
    int err = depth ? tree_node(t, r, depth) : tree_leaf(r);

    add_relaxed(&t->nodes, 1); // relaxed: a counter
    if (err == 0 && sim_choose(2, 6)) {
        record_cause(r, CAUSE_CANCEL);
        coir_scope_cancel(&r->scope);
    } else if (err == 0 && sim_choose(2, 6)) {
        record_cause(r, CAUSE_FAILURE);
        add_relaxed(&r->n_failed, 1); // relaxed: read after its end
        err = -EIO;
    } else if (depth || err == -EIO || err == -ETIMEDOUT) {
        // An inner scope's affair. Its -ECANCELED too: a cause may be noted around that the
        // library has not heard of yet, and then it would be this one's failure.
        err = 0;
    }
    add_relaxed(&r->live, (uint32_t)-1); // relaxed: the scope's wait orders it
    return err;
}

// Into a scope that is cancelled already.
static int tree_comes_late(void)
{
    int err = coir_sleep(1000);

    sim_expect_eq(err, -ECANCELED);
    return err;
}

static int tree_node(struct tree *t, struct record *outer, uint32_t depth)
{
    struct record r = {0};

    record_open(&r, outer, some_deadline());
    for (uint32_t i = 0; i < t->width; i++) {
        add_relaxed(&r.live, 1); // relaxed: before its start
        sim_expect_eq(coir_scope_go(&r.scope, tree_child, t, &r, depth - 1), 0);
    }
    if (sim_choose(2, 3)) {
        int err = coir_yield();
        if (err < 0) record_refused(&r, err);
    }
    if (sim_choose(2, 8)) {
        record_cause(&r, CAUSE_CANCEL);
        coir_scope_cancel(&r.scope);
        sim_expect_eq(coir_scope_go(&r.scope, tree_comes_late), 0);
    }
    return record_wait(&r);
}

void scope_tree_grow(uint32_t depth, uint32_t width)
{
    struct tree t = {.depth = depth, .width = width};
    uint32_t nodes = 0;

    for (uint32_t i = 0, n = 1; i < depth; i++) nodes += n *= width;
    tree_node(&t, NULL, depth);
    sim_expect_eq(load_relaxed(&t.nodes),
                  nodes);            // relaxed: all have ended; each child ran
    sim_expect_eq(coir_sleep(1), 0); // outside again
}

static void grow_tree(void *arg)
{
    scope_tree_grow(1 + sim_choose(3, 1), 2);
    world_done(arg);
}

void scene_scope_tree(void)
{
    struct world w;

    world_start(&w, 2 + sim_choose(3, 1), 1);
    world_go(&w, grow_tree, &w);
    world_end(&w);
}

// ---- A cancel that loses ---------------------------------------------------------------------

struct contest {
    struct world world;
    coir_scope scope;
    coir_chan *chan;
    int received, sent; // 1: yes
};

static int contest_receives(struct contest *c)
{
    int value = 0;
    int err = coir_chan_recv(c->chan, &value, COIR_FOREVER);

    c->received = err == 0;
    if (err == 0) sim_expect_eq(value, 5);
    return err;
}

static void contest_sends(struct contest *c)
{
    int value = 5;

    c->sent = coir_chan_send(c->chan, &value, coir_after(1000)) == 0;
    world_done(&c->world);
}

static void contest_cancels(struct contest *c)
{
    sim_expect_eq(coir_scope_go(&c->scope, contest_receives, c), 0);
    coir_scope_cancel(&c->scope);
}

static void hold_contest(void *arg)
{
    struct contest *c = arg;

    sim_expect_eq(coir_scope_open(&c->scope, COIR_FOREVER), 0);
    sim_expect_eq(coir_go(contest_sends, c), 0);
    contest_cancels(c);
    sim_expect_eq(coir_scope_wait(&c->scope), -ECANCELED);
    world_done(&c->world);
}

// A value is received or stays with its sender, never both and never neither.
void scene_scope_cancel_or_value(void)
{
    struct contest c = {0};

    sim_expect_eq(coir_chan_make(sizeof(int), 0, &c.chan), 0);
    world_start(&c.world, 2, 2);
    world_go(&c.world, hold_contest, &c);
    world_end(&c.world);
    sim_expect_eq(c.received, c.sent);
    coir_chan_unref(c.chan);
}

// ---- The outer one, while inner ones come and go ---------------------------------------------

struct turnstile {
    struct world world;
    coir_scope outer;
    atomic_u32 done; // the cancel has returned
};

static int turnstile_passes(struct turnstile *t)
{
    for (int i = 0; i < 40; i++) {
        coir_scope first, second;

        // [TURN-SEEN] acquire, pairs with [TURN-DONE].
        uint32_t done = load_acquire(&t->done);
        sim_expect_eq(coir_scope_open(&first, COIR_FOREVER), 0);
        sim_expect_eq(coir_scope_open(&second, i % 2 ? coir_after(500) : COIR_FOREVER),
                      0);
        if (coir_yield() == 0) sim_expect(!done);
        coir_scope_wait(&second);
        if (coir_yield() == 0) sim_expect(!done);
        coir_scope_wait(&first);
        int err = coir_sleep(100);
        if (err == 0) sim_expect(!done); // S5: once cancelled, for good
    }
    return 0;
}

static void turnstile_cancels(struct turnstile *t)
{
    coir_sleep(1000);
    coir_scope_cancel(&t->outer);
    // [TURN-DONE] release, pairs with [TURN-SEEN].
    store_release(&t->done, 1);
    world_done(&t->world);
}

static void hold_turnstile(void *arg)
{
    struct turnstile *t = arg;

    sim_expect_eq(coir_scope_open(&t->outer, COIR_FOREVER), 0);
    sim_expect_eq(coir_go(turnstile_cancels, t), 0);
    sim_expect_eq(coir_scope_go(&t->outer, turnstile_passes, t), 0);
    turnstile_passes(t); // the opener itself, too
    // Open until the stranger is through.
    coir_shield_begin();
    while (!load_relaxed(&t->done)) coir_sleep(500); // relaxed: a look
    coir_shield_end();
    sim_expect_eq(coir_scope_wait(&t->outer), -ECANCELED);
    sim_expect_eq(coir_sleep(1), 0);
    world_done(&t->world);
}

void scene_scope_turnstile(void)
{
    struct turnstile t = {0};

    world_start(&t.world, 2 + sim_choose(2, 1), 2);
    world_go(&t.world, hold_turnstile, &t);
    world_end(&t.world);
}

// ---- Reading, when it ends -------------------------------------------------------------------

struct reading {
    struct world world;
    int fds[2];
    uint32_t n_read;
};

static int reads_a_byte(struct reading *r)
{
    char byte;
    ssize_t got = coir_read(r->fds[0], &byte, 1, COIR_FOREVER);

    if (got == 1) {
        sim_expect_eq(byte, 'x');
        r->n_read++; // one at a time has the turn
    } else {
        sim_expect_eq(got, -ECANCELED);
    }
    return got < 0 ? (int)got : 0;
}

static void read_in_a_scope(void *arg)
{
    struct reading *r = arg;
    bool late = sim_choose(2, 1);
    coir_scope s;
    char left[4];

    int64_t deadline = late ? coir_after(1500) : COIR_FOREVER;
    sim_expect_eq(coir_scope_open(&s, deadline), 0);
    for (int i = 0; i < 3; i++) sim_expect_eq(coir_scope_go(&s, reads_a_byte, r), 0);
    coir_shield_begin();
    sim_expect_eq(coir_write(r->fds[1], "x", 1, COIR_FOREVER), 1);
    coir_shield_end();
    if (!late) coir_scope_cancel(&s);
    int result = coir_scope_wait(&s);
    sim_expect_eq(result, late ? -ETIMEDOUT : -ECANCELED);
    if (late) sim_expect_late(deadline);
    // Nothing was consumed and lost: who did not read it left it there.
    if (r->n_read == 0) sim_expect_eq(coir_read(r->fds[0], left, 4, COIR_FOREVER), 1);
    sim_expect(r->n_read <= 1);
    world_done(&r->world);
}

void scene_scope_reading(void)
{
    struct reading r = {0};

    sim_socketpair(r.fds);
    sim.kept_blocks = 1; // the table of descriptors
    world_start(&r.world, 2, 1);
    world_go(&r.world, read_in_a_scope, &r);
    world_end(&r.world);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_close(r.fds[i]), 0);
}

// ---- Left open -------------------------------------------------------------------------------

struct forgetful {
    struct world world;
    atomic_u32 n_ended;
};

static int forgotten(struct forgetful *f)
{
    int err = coir_sleep_until(COIR_FOREVER);

    sim_expect_eq(err, -ECANCELED);
    if (add_relaxed(&f->n_ended, 1) == 3) world_done(&f->world); // relaxed: a counter
    return err;
}

static void forgets(void *arg)
{
    struct forgetful *f = arg;
    coir_scope outer, inner;

    sim_expect_eq(coir_scope_open(&outer, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_scope_go(&outer, forgotten, f), 0);
    sim_expect_eq(coir_scope_open(&inner, coir_after(COIR_SEC)), 0);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_scope_go(&inner, forgotten, f), 0);
}

void scene_scope_left_open(void)
{
    struct forgetful f = {0};

    world_start(&f.world, 2, 1);
    world_go(&f.world, forgets, &f);
    world_end(&f.world);
    sim_expect_eq(load_relaxed(&f.n_ended), 4); // relaxed: all ended
}

// ---- A thread's ------------------------------------------------------------------------------

struct outside {
    struct world world;
    coir_scope scope;
    coir_chan *chan;
    int fds[2];
};

static int cancels_the_thread(struct outside *o)
{
    coir_yield();
    coir_scope_cancel(&o->scope);
    return 0;
}

static void thread_waits(struct outside *o, uint32_t how)
{
    char byte;
    int err = how == 0 ? coir_chan_recv(o->chan, NULL, COIR_FOREVER)
              : how == 1
                  ? (int)coir_read(o->fds[0], &byte, 1, coir_after(3600 * COIR_SEC))
                  : coir_sleep(COIR_SEC);

    sim_expect_eq(err, -ECANCELED);
}

void scene_scope_of_a_thread(void)
{
    struct outside o = {0};
    bool late = sim_choose(2, 1);

    sim_expect_eq(coir_chan_make(0, 0, &o.chan), 0);
    sim_socketpair(o.fds);
    sim.kept_blocks = 1; // the table of descriptors
    world_start(&o.world, 2, 0);
    int64_t deadline = late ? coir_after(2000) : COIR_FOREVER;
    sim_expect_eq(coir_scope_open(&o.scope, deadline), 0);
    if (!late)
        sim_expect_eq(coir_scope_go_with(&o.scope, coir_opts(.rt = o.world.rt),
                                         cancels_the_thread, &o),
                      0);
    thread_waits(&o, sim_choose(3, 1));
    coir_shield_begin();
    sim_expect_eq(coir_sleep(100), 0);
    coir_shield_end();
    sim_expect_eq(coir_scope_wait(&o.scope), late ? -ETIMEDOUT : -ECANCELED);
    sim_expect_eq(coir_sleep(1), 0);
    world_end(&o.world);
    for (int i = 0; i < 2; i++) sim_expect_eq(coir_close(o.fds[i]), 0);
    coir_chan_unref(o.chan);
}
