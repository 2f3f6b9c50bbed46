// SPDX-License-Identifier: MIT
// Goal:   who is fed from outside looks before it sleeps, sees all that ends a look, and looks more
//         and more rarely where nothing comes.
// Method: a worker that is only its fields, with a poller of its own and a global queue; the looks
//         that were in vain are counted by the worker itself, so nothing here depends on time.
#include "sched/linger.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "sched/g.h"
#include "sched/sched.h"

#define SOON 0
#define LATE INT64_C(1000000000)

static struct sched s;
static struct p p;
static struct m m;
static struct g g;

static void push(void)
{
    struct queue one = {0};

    queue_push(&one, &g.node);
    globq_push(&s.globq, &one, 1);
}

static void take(void)
{
    struct queue one = {0};

    cr_assert_eq(globq_pop(&s.globq, 1, &one), 1);
}

static void set_up(void)
{
    s.n_p = 1;
    globq_init(&s.globq);
    store_relaxed(&p.timers.earliest, CLOCK_NEVER);
    m.sched = &s;
    m.p = &p;
    cr_assert_eq(poller_open(POLLER_EPOLL, 0, NULL, NULL, &m.poller), 0);
}

static void tear_down(void)
{
    poller_close(m.poller);
}

// It looks now if it ever does.
static bool is_fed_and_lingers(void)
{
    m.fed = true;
    m.vain_left = 0;
    return linger(&m);
}

#define WITH_A_WORKER .init = set_up, .fini = tear_down

Test(linger, only_the_only_worker_that_is_woken_soon_for_work_from_outside_is_fed,
     WITH_A_WORKER)
{
    linger_note(&m, SOON);
    cr_assert_not(m.fed, "nothing came from outside");
    push();
    linger_note(&m, SOON);
    cr_assert(m.fed);
    linger_note(&m, LATE);
    cr_assert_not(m.fed, "it came late");
    s.n_p = 2;
    linger_note(&m, SOON);
    cr_assert_not(m.fed, "there are others");
    s.n_p = 1;
    m.pinned = &g;
    linger_note(&m, SOON);
    cr_assert_not(m.fed, "it runs one only");
}

Test(linger, who_is_not_fed_does_not_look, WITH_A_WORKER)
{
    push();
    cr_assert_not(linger(&m));
    cr_assert_eq(m.vain_most, 0);
}

Test(linger, work_ends_the_look_and_it_is_fed_still, WITH_A_WORKER)
{
    m.vain_most = 7;
    push();
    cr_assert(is_fed_and_lingers());
    cr_assert(m.fed);
    cr_assert_eq(m.vain_most, 0, "it begins anew");
    cr_assert_eq(load_relaxed(&p.counts.spared), 1);
    take();
    cr_assert_not(linger(&m), "found nothing");
    cr_assert_not(m.fed, "fed until it looked in vain");
}

Test(linger, the_end_of_the_runtime_ends_the_look, WITH_A_WORKER)
{
    store_relaxed(&s.exiting, 1);
    cr_assert(is_fed_and_lingers());
    cr_assert_not(m.fed);
}

Test(linger, what_the_poller_has_ends_the_look, WITH_A_WORKER)
{
    struct op nop = {.code = OP_NOP};

    poller_submit(m.poller, &nop);
    cr_assert(is_fed_and_lingers());
    cr_assert_not(m.fed);
    struct queue done = poller_poll(m.poller, CLOCK_PAST);
    cr_assert_eq(queue_pop(&done), &nop.node);
}

Test(linger, nobody_looks_where_a_timer_is_due, WITH_A_WORKER)
{
    store_relaxed(&p.timers.earliest, clock_now());
    push();
    cr_assert_not(is_fed_and_lingers());
    cr_assert_eq(m.vain_most, 0, "nor was it in vain");
}

Test(linger, after_looks_in_vain_come_sleeps_without, WITH_A_WORKER)
{
    static const unsigned without[] = {1, 3, 7, 15, 31, 63, 127, 127, 127};

    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        m.fed = true;
        cr_assert_not(linger(&m));
        cr_assert_eq(m.vain_left, without[i]);
        for (unsigned n = without[i]; n > 0; n--) {
            push(); // one that looked would find it
            m.fed = true;
            cr_assert_not(linger(&m));
            cr_assert_not(m.fed);
            take();
        }
    }
    push();
    m.fed = true;
    cr_assert(linger(&m));
    cr_assert_eq(m.vain_most, 0);
}
