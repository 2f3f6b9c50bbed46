// SPDX-License-Identifier: MIT
// Goal:   a pinned coroutine comes back on its own thread from every call, and nobody else ran
//         there meanwhile; it is no obstacle to the others, nor to cancel, hand-off and stop; a
//         coroutine that ends pinned takes its thread along.
// Method: every coroutine writes its number into a thread-local when it comes back from a wait; a
//         pinned one finds its own there, on the thread of the same number. One, two and four
//         workers, ring and epoll.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define ROUNDS 60

static coir_config config = COIR_CONFIG_INIT;
static _Thread_local uint64_t ran_last;
static int n_ended;

static int get(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void add(int *word, int by)
{
    __atomic_add_fetch(word, by, __ATOMIC_ACQ_REL);
}

// Not inlined: the address of a thread-local must not be kept over a wait.
__attribute__((noinline)) static uint64_t swap_last(uint64_t id)
{
    uint64_t was = ran_last;

    ran_last = id;
    return was;
}

static long thread_here(void)
{
    return syscall(SYS_gettid);
}

static void runs_free(void)
{
    swap_last(coir_id());
}

static void runs_pinned(long thread)
{
    expect_eq(thread_here(), thread);
    expect_eq(swap_last(coir_id()), coir_id());
}

// ---- Every kind of wait ---------------------------------------------------------------

struct place {
    coir_chan *chan;
    coir_mutex lock;
    coir_sema sema;
    int fds[2];
};

static void naps(void *arg)
{
    (void)arg;
    usleep(200);
}

static void waits(struct place *p, int i)
{
    char c = 'x';

    switch (i % 8) {
    case 0: expect_eq(coir_yield(), 0); break;
    case 1: expect_eq(coir_sleep(COIR_US * (i % 5) * 20), 0); break;
    case 2: expect_eq(coir_chan_send(p->chan, &i, COIR_FOREVER), 0); break;
    case 3: expect_eq(coir_chan_recv(p->chan, &i, COIR_FOREVER), 0); break;
    case 4:
        expect_eq(coir_mutex_lock(&p->lock, COIR_FOREVER), 0);
        expect_eq(coir_yield(), 0);
        expect_eq(coir_mutex_unlock(&p->lock), 0);
        break;
    case 5:
        expect_eq(coir_write(p->fds[1], &c, 1, COIR_FOREVER), 1);
        expect_eq(coir_read(p->fds[0], &c, 1, COIR_FOREVER), 1);
        break;
    case 6:
        coir_blocking_begin();
        usleep(100);
        coir_blocking_end();
        break;
    default: expect_eq(coir_blocking(naps, NULL), 0);
    }
}

static void free_one(struct place *p)
{
    runs_free();
    for (int i = 0; i < ROUNDS; i++) {
        waits(p, i);
        runs_free();
    }
    add(&n_ended, 1);
}

static void pinned_one(struct place *p, int seed)
{
    expect_eq(coir_pin(), 0);
    long thread = thread_here();
    swap_last(coir_id());
    for (int i = 0; i < ROUNDS; i++) {
        waits(p, i + seed);
        runs_pinned(thread);
    }
    expect_eq(coir_unpin(), 0);
    add(&n_ended, 1);
}

static int keeps_its_thread_in_every_wait(void *arg)
{
    struct place p = {.chan = NULL};

    (void)arg;
    n_ended = 0;
    expect_eq(coir_chan_make(sizeof(int), 64, &p.chan), 0);
    for (int i = 0; i < 32; i++) expect_eq(coir_chan_send(p.chan, &i, COIR_FOREVER), 0);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fds), 0);
    for (int i = 0; i < 4; i++) expect_eq(go(free_one, &p), 0);
    for (int i = 0; i < 3; i++) expect_eq(go(pinned_one, &p, 8 * i), 0);
    pinned_one(&p, 8);
    while (get(&n_ended) < 8) expect_eq(coir_sleep(COIR_MS), 0);
    coir_close(p.fds[0]);
    coir_close(p.fds[1]);
    coir_chan_unref(p.chan);
    return 0;
}

// ---- What a thread keeps --------------------------------------------------------------

// A thread's own locale is seen by its pinned coroutine, and by nobody else.
static void has_a_locale(coir_chan *turn)
{
    locale_t mine = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    expect(mine);
    expect_eq(coir_pin(), 0);
    expect(uselocale(mine) == LC_GLOBAL_LOCALE);
    for (int i = 0; i < 20; i++) {
        expect_eq(coir_chan_recv(turn, NULL, COIR_FOREVER), 0);
        expect(uselocale((locale_t)0) == mine);
    }
    expect(uselocale(LC_GLOBAL_LOCALE) == mine);
    expect_eq(coir_unpin(), 0);
    freelocale(mine);
    add(&n_ended, 1);
}

static int a_locale_stays_where_it_was_set(void *arg)
{
    coir_chan *turn;

    (void)arg;
    n_ended = 0;
    expect_eq(coir_chan_make(0, 0, &turn), 0);
    for (int i = 0; i < 2; i++) expect_eq(go(has_a_locale, turn), 0);
    for (int i = 0; i < 40; i++) {
        expect_eq(coir_chan_send(turn, NULL, COIR_FOREVER), 0);
        expect(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    }
    while (get(&n_ended) < 2) expect_eq(coir_yield(), 0);
    coir_chan_unref(turn);
    return 0;
}

// ---- Computing ------------------------------------------------------------------------

static void hog_until(const int *flag)
{
    expect_eq(coir_pin(), 0);
    long thread = thread_here();
    swap_last(coir_id());
    while (!get(flag)) continue;
    runs_pinned(thread); // its P was taken: it did not notice
    expect_eq(coir_yield(), 0);
    runs_pinned(thread);
    expect_eq(coir_sleep(COIR_US), 0);
    runs_pinned(thread);
    add(&n_ended, 1);
}

// As many as workers and one more compute, pinned; the others go on.
static int hogs_stop_nobody(void *arg)
{
    int flag = 0;

    (void)arg;
    n_ended = 0;
    for (unsigned i = 0; i <= config.workers; i++) expect_eq(go(hog_until, &flag), 0);
    for (int i = 0; i < 5; i++) {
        expect_eq(coir_sleep(COIR_MS), 0);
        runs_free();
    }
    add(&flag, 1);
    while (get(&n_ended) <= (int)config.workers) expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

// ---- Ends -----------------------------------------------------------------------------

static long ended_on, stopped_on;
static int n_stopped;

static void note_stop(void *arg)
{
    (void)arg;
    long here = thread_here();

    if (here != __atomic_load_n(&ended_on, __ATOMIC_ACQUIRE)) return;
    __atomic_store_n(&stopped_on, here, __ATOMIC_RELEASE);
    add(&n_stopped, 1);
}

static void ends_pinned(void)
{
    expect_eq(coir_pin(), 0);
    expect_eq(coir_pin(), 0);
    expect_eq(coir_unpin(), 0);
    expect_eq(coir_sleep(COIR_US), 0);
    __atomic_store_n(&ended_on, thread_here(), __ATOMIC_RELEASE);
}

static int its_thread_ends_with_it(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 20; i++) {
        if (i % 2)
            expect_eq(go(ends_pinned), 0);
        else
            expect_eq(coir_go_with(coir_opts(.pinned = true), ends_pinned), 0);
        while (get(&n_stopped) < i) expect_eq(coir_sleep(COIR_MS), 0);
        expect_eq(__atomic_load_n(&stopped_on, __ATOMIC_ACQUIRE), ended_on);
        expect(thread_here() != ended_on);
    }
    return 0;
}

static int waits_for_ever(coir_chan *c, int *n_pinned)
{
    expect_eq(coir_pin(), 0);
    long thread = thread_here();
    swap_last(coir_id());
    add(n_pinned, 1);
    int err = coir_chan_recv(c, NULL, COIR_FOREVER);
    runs_pinned(thread);
    return err;
}

static int a_cancel_reaches_it_and_a_stop(void *arg)
{
    static coir_chan *c; // outlives this: the stop's cancel comes later
    static int n_pinned;
    coir_scope s;

    (void)arg;
    n_pinned = 0;
    if (!c) expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        expect_eq(coir_scope_go(&s, waits_for_ever, c, &n_pinned), 0);
    while (get(&n_pinned) < 3) expect_eq(coir_yield(), 0);
    coir_scope_cancel(&s);
    expect_eq(coir_scope_wait(&s), -ECANCELED);
    for (int i = 0; i < 3; i++) expect_eq(go(waits_for_ever, c, &n_pinned), 0);
    while (get(&n_pinned) < 6) expect_eq(coir_yield(), 0);
    return 0;
}

// ---- Values ---------------------------------------------------------------------------

static int says_what_it_cannot(void *arg)
{
    (void)arg;
    expect_eq(coir_unpin(), -EINVAL);
    expect_eq(coir_pin(), 0);
    expect_eq(coir_pin(), 0);
    expect_eq(coir_unpin(), 0);
    expect_eq(coir_unpin(), 0);
    expect_eq(coir_unpin(), -EINVAL);
    return 0;
}

static char reason[256];

static void keep_reason(void *arg, int level, const char *line)
{
    (void)arg, (void)level;
    if (strstr(line, "spawn at")) snprintf(reason, sizeof(reason), "%s", line);
}

static int finds_no_thread_beside(void *arg)
{
    (void)arg;
    // One worker, one thread more, and the one that watches.
    expect_eq(coir_pin(), 0);
    expect_eq(coir_go_with(coir_opts(.pinned = true), runs_free), -EAGAIN);
    expect(strstr(reason, "threads_max leaves no thread"));
    expect_eq(coir_unpin(), 0);
    expect_eq(coir_go_with(coir_opts(.pinned = true), runs_free), 0);
    return 0;
}

static void all(unsigned workers, coir_driver driver)
{
    config.workers = workers;
    config.driver = driver;
    printf("%u workers, driver %d\n", workers, driver);
    expect_eq(coir_run(&config, keeps_its_thread_in_every_wait, NULL), 0);
    expect_eq(coir_run(&config, a_locale_stays_where_it_was_set, NULL), 0);
    expect_eq(coir_run(&config, hogs_stop_nobody, NULL), 0);
    expect_eq(coir_run(&config, a_cancel_reaches_it_and_a_stop, NULL), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_watchdog(100);
    expect_eq(coir_pin(), -EPERM);
    expect_eq(coir_unpin(), -EPERM);
    all(1, COIR_DRIVER_AUTO);
    all(2, COIR_DRIVER_AUTO);
    all(4, COIR_DRIVER_AUTO);
    all(2, COIR_DRIVER_EPOLL);
    expect_eq(coir_run(&config, says_what_it_cannot, NULL), 0);

    coir_config few = config;
    few.workers = 1;
    few.threads_max = 3;
    few.log = keep_reason;
    expect_eq(coir_run(&few, finds_no_thread_beside, NULL), 0);
    config.thread_stop = note_stop;
    expect_eq(coir_run(&config, its_thread_ends_with_it, NULL), 0);
    return 0;
}
