// SPDX-License-Identifier: MIT
// Goal:   a seeded run is the same every time, another seed makes another one, time passes without
//         being waited for, and what the kernel would have to do is refused.
// Method: a program of every kind of wait writes down what it does; two runs of one seed have one
//         hash and one text. A race that needs one order of many is found by counting seeds.
#include <coir.h>
#include <coir/go.h>
#include <coir/hosted.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char said[1 << 16];
static size_t n_said;

static void say(int who, int what)
{
    n_said += (size_t)snprintf(said + n_said, sizeof(said) - n_said, "%d:%d ", who, what);
}

static coir_config seeded(uint64_t seed)
{
    coir_config config = COIR_CONFIG_INIT;

    config.seed = seed;
    return config;
}

static uint64_t hash_now(void)
{
    coir_stats stats = COIR_STATS_INIT;

    expect_eq(coir_stats_read(NULL, &stats), 0);
    expect(stats.events > 0);
    return stats.event_hash;
}

// ---- A program of every kind of wait --------------------------------------------------

struct everything {
    coir_chan *meet, *roomy;
    coir_timer *timer;
    coir_mutex mutex;
    coir_rwmutex rw;
    coir_cond cond;
    coir_sema sema;
    coir_once once;
    int turn;
    uint64_t hash;
};

static void says_once(void *arg)
{
    (void)arg;
    say(0, 99);
}

static int worker(struct everything *e, int me)
{
    int v = me;

    for (int i = 0; i < 6; i++) {
        coir_case cases[] = {{.chan = e->meet, .dir = COIR_RECV, .value = &v},
                             {.chan = e->roomy, .dir = COIR_SEND, .value = &me},
                             {.chan = e->roomy, .dir = COIR_RECV, .value = &v}};
        switch ((i + me) % 6) {
        case 0: say(me, coir_select(cases, 3, coir_after(100 * COIR_US))); break;
        case 1: say(me, coir_chan_send(e->meet, &me, coir_after(50 * COIR_US))); break;
        case 2:
            if (coir_mutex_lock(&e->mutex, COIR_FOREVER) < 0) return -1;
            e->turn++;
            coir_cond_broadcast(&e->cond);
            say(me, coir_cond_wait(&e->cond, &e->mutex, coir_after(COIR_MS)));
            coir_mutex_unlock(&e->mutex);
            break;
        case 3:
            if (coir_sema_acquire(&e->sema, 1, COIR_FOREVER) < 0) return -1;
            if (coir_sleep(10 * COIR_US) < 0) return -1;
            coir_sema_release(&e->sema, 1);
            break;
        case 4:
            if (coir_rwmutex_rlock(&e->rw, COIR_FOREVER) < 0) return -1;
            coir_yield();
            coir_rwmutex_runlock(&e->rw);
            break;
        default:
            coir_once_do(&e->once, says_once, NULL);
            if (coir_timer_reset(e->timer, coir_after(20 * COIR_US), 0) < 0) return -1;
            say(me, coir_chan_recv(coir_timer_chan(e->timer), NULL, coir_after(COIR_MS)));
        }
        say(me, v);
    }
    return 0;
}

static int uses_everything(void *arg)
{
    struct everything *e = arg;
    coir_scope s;

    expect_eq(coir_chan_make(sizeof(int), 0, &e->meet), 0);
    expect_eq(coir_chan_make(sizeof(int), 2, &e->roomy), 0);
    expect_eq(coir_timer_make(COIR_FOREVER, 0, &e->timer), 0);
    expect_eq(coir_sema_init(&e->sema, 2), 0);
    expect_eq(coir_scope_open(&s, coir_after(COIR_SEC)), 0);
    for (int i = 1; i <= 6; i++) expect_eq(coir_scope_go(&s, worker, e, i), 0);
    say(0, coir_scope_wait(&s));
    coir_chan_unref(e->meet);
    coir_chan_unref(e->roomy);
    coir_timer_free(e->timer);
    e->hash = hash_now();
    return 0;
}

static uint64_t run_everything(uint64_t seed)
{
    struct everything e = {0};
    coir_config config = seeded(seed);

    n_said = 0;
    said[0] = 0;
    expect_eq(coir_run(&config, uses_everything, &e), 0);
    return e.hash;
}

static void one_seed_is_one_run(void)
{
    static char before[sizeof(said)];
    uint64_t hashes[20];
    int n_alike = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t hash = hashes[seed - 1] = run_everything(seed);
        strcpy(before, said);
        expect(run_everything(seed) == hash);
        expect(strcmp(said, before) == 0);
    }
    for (int i = 0; i < 20; i++)
        for (int k = 0; k < i; k++) n_alike += hashes[i] == hashes[k];
    expect_eq(n_alike, 0);
}

// ---- Races ----------------------------------------------------------------------------

struct bank {
    coir_mutex lock;
    coir_chan *coins;
    int stock, lowest;
};

// Looks, lets go, and takes: between the two another may have taken.
static void takes_one(struct bank *b)
{
    expect_eq(coir_mutex_lock(&b->lock, COIR_FOREVER), 0);
    bool any = b->stock > 0;
    expect_eq(coir_mutex_unlock(&b->lock), 0);
    if (!any) return;
    expect_eq(coir_mutex_lock(&b->lock, COIR_FOREVER), 0);
    if (--b->stock < b->lowest) b->lowest = b->stock;
    expect_eq(coir_mutex_unlock(&b->lock), 0);
}

static int two_take(void *arg)
{
    struct bank *b = arg;
    coir_scope s;

    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 2; i++) expect_eq(coir_scope_go(&s, takes_one, b), 0);
    return coir_scope_wait(&s);
}

static void a_race_is_found_by_some_seeds(void)
{
    int n_found = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct bank b = {.stock = 1};
        coir_config config = seeded(seed);

        expect_eq(coir_run(&config, two_take, &b), 0);
        n_found += b.lowest < 0;
    }
    expect(n_found > 0 && n_found < 100);
}

struct order {
    int64_t due;
    int n, first, seen[24];
    int places[4];
};

static void sleeps_till(struct order *o, int me)
{
    expect_eq(coir_sleep_until(o->due), 0);
    o->places[o->n++] = me;
}

static int four_are_due_at_once(void *arg)
{
    struct order *o = arg;
    coir_scope s;

    o->due = coir_after(COIR_SEC);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 0; i < 4; i++) expect_eq(coir_scope_go(&s, sleeps_till, o, i), 0);
    return coir_scope_wait(&s);
}

// Timers of one time end in every one of the 24 orders, under one seed or another.
static void equal_times_end_in_any_order(void)
{
    bool seen[256] = {false};
    int n_seen = 0;

    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct order o = {0};
        coir_config config = seeded(seed);

        expect_eq(coir_run(&config, four_are_due_at_once, &o), 0);
        int as = o.places[0] << 6 | o.places[1] << 4 | o.places[2] << 2 | o.places[3];
        n_seen += !seen[as];
        seen[as] = true;
    }
    expect_eq(n_seen, 24);
}

static int chooses(void *arg)
{
    coir_chan *c[4];
    coir_case cases[4];

    for (int i = 0; i < 4; i++) {
        expect_eq(coir_chan_make(0, 1, &c[i]), 0);
        expect_eq(coir_chan_send(c[i], NULL, COIR_FOREVER), 0);
        cases[i] = (coir_case){.chan = c[i], .dir = COIR_RECV};
    }
    *(int *)arg = coir_select(cases, 4, COIR_FOREVER);
    for (int i = 0; i < 4; i++) coir_chan_unref(c[i]);
    return 0;
}

static void a_select_takes_any_ready_case(void)
{
    int n[4] = {0};

    for (uint64_t seed = 1; seed <= 200; seed++) {
        coir_config config = seeded(seed);
        int first = -1, again = -2;

        expect_eq(coir_run(&config, chooses, &first), 0);
        expect_eq(coir_run(&config, chooses, &again), 0);
        expect_eq(first, again);
        n[first]++;
    }
    for (int i = 0; i < 4; i++) expect(n[i] > 0);
}

// ---- Time -----------------------------------------------------------------------------

static int sleeps_for_a_year(void *arg)
{
    const int64_t year = 365 * 24 * 3600 * COIR_SEC;
    int64_t before = coir_now();

    (void)arg;
    expect_eq(coir_sleep(year), 0);
    expect(coir_now() - before >= year && coir_now() - before < year + COIR_MS);
    // Who looks at the clock until it is time gets there, with and without yields.
    int64_t until = coir_after(COIR_MS);
    while (coir_now() < until) continue;
    until = coir_after(COIR_MS);
    while (coir_now() < until) expect_eq(coir_yield(), 0);
    return 0;
}

static void naps(void *arg)
{
    *(int *)arg = 7;
    usleep(1000);
}

static int blocks(void *arg)
{
    int ran = 0;
    pthread_t here = pthread_self();

    (void)arg;
    expect_eq(coir_blocking(naps, &ran), 0);
    expect_eq(ran, 7);
    coir_blocking_begin();
    usleep(1000);
    coir_blocking_end();
    expect_eq(coir_pin(), 0);
    expect_eq(coir_unpin(), 0);
    expect(pthread_equal(pthread_self(), here));
    return 0;
}

// ---- What is refused, and how it ends -------------------------------------------------

static int is_refused_the_world(void *arg)
{
    int fds[2], status;
    char c = 'x';
    struct addrinfo *list;
    struct statx st;
    sigset_t set;
    pid_t pid;
    char *argv[] = {(char *)"true", NULL};

    (void)arg;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_write(fds[0], &c, 1, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_read(fds[1], &c, 1, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_send(fds[0], &c, 1, 0, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_recv(fds[1], &c, 1, 0, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_poll(fds[1], 1, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_accept(fds[1], NULL, NULL, 0, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_pread(fds[1], &c, 1, 0, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_open("/dev/null", 0, 0), -ENOTSUP);
    expect_eq(coir_statx(-100, "/", 0, STATX_SIZE, &st), -ENOTSUP);
    expect_eq(coir_listen("127.0.0.1:0", NULL), -ENOTSUP);
    expect_eq(coir_dial("127.0.0.1:1", COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_resolve("localhost", NULL, NULL, &list, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_waitpid(1, &status, COIR_FOREVER), -ENOTSUP);
    expect_eq(coir_process_start("true", argv, NULL, NULL, &pid), -ENOTSUP);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    expect_eq(coir_signal_open(&set), -ENOTSUP);
    coir_runtime *hosted = NULL; // its loop would wait in the kernel
    expect_eq(coir_hosted_start(NULL, &hosted), -ENOTSUP);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    return 0;
}

static char logged[4096];

static void keep(void *arg, int level, const char *line)
{
    size_t n = strlen(logged);

    (void)arg;
    (void)level;
    snprintf(logged + n, sizeof(logged) - n, "%s\n", line);
}

static void goes_on_for_ever(int *n_turns)
{
    while (coir_sleep(COIR_MS) == 0) ++*n_turns;
}

static int leaves_one_behind(void *arg)
{
    expect_eq(go(goes_on_for_ever, arg), 0);
    expect_eq(coir_sleep(100 * COIR_MS), 0);
    return 0;
}

// Whoever is left is cancelled at the same point of the run, whenever the stop comes.
static void the_end_is_part_of_the_run(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        coir_config config = seeded(seed);
        int first = 0, again = 0;

        expect_eq(coir_run(&config, leaves_one_behind, &first), 0);
        expect_eq(coir_run(&config, leaves_one_behind, &again), 0);
        expect(first == again && first >= 98 && first <= 101);
    }
}

// ---- Who asks with COIR_NOW ------------------------------------------------------------

enum {
    POLLS_SEND,
    POLLS_RECV,
    POLLS_SELECT,
    POLLS_MUTEX,
    POLLS_READ,
    POLLS_WRITE,
    POLLS_SEMA,
    POLLS_GROUP,
    POLLS_COND,
    N_POLLS
};

struct poll {
    int what;
    coir_chan *full, *empty;
    coir_mutex mutex, mine;
    coir_rwmutex read, write;
    coir_sema sema;
    coir_waitgroup group;
    coir_cond cond;
    bool is_held, is_said;
};

// Holds what the other one asks for, and gives it only after a switch.
static void gives(struct poll *p)
{
    expect_eq(coir_mutex_lock(&p->mutex, COIR_FOREVER), 0);
    expect_eq(coir_rwmutex_lock(&p->read, COIR_FOREVER), 0);
    expect_eq(coir_rwmutex_rlock(&p->write, COIR_FOREVER), 0);
    p->is_held = true;
    expect_eq(coir_sleep(COIR_US), 0);
    expect_eq(coir_chan_recv(p->full, NULL, COIR_FOREVER), 0);
    expect_eq(coir_chan_send(p->empty, NULL, COIR_FOREVER), 0);
    expect_eq(coir_mutex_unlock(&p->mutex), 0);
    expect_eq(coir_rwmutex_unlock(&p->read), 0);
    expect_eq(coir_rwmutex_runlock(&p->write), 0);
    expect_eq(coir_sema_release(&p->sema, 1), 0);
    expect_eq(coir_waitgroup_done(&p->group), 0);
    p->is_said = true;
    expect_eq(coir_cond_signal(&p->cond), 0);
}

static int asks(struct poll *p)
{
    coir_case one = {.chan = p->empty, .dir = COIR_RECV};

    switch (p->what) {
    case POLLS_SEND: return coir_chan_send(p->full, NULL, COIR_NOW);
    case POLLS_RECV: return coir_chan_recv(p->empty, NULL, COIR_NOW);
    case POLLS_SELECT: return coir_select(&one, 1, COIR_NOW);
    case POLLS_MUTEX: return coir_mutex_lock(&p->mutex, COIR_NOW);
    case POLLS_READ: return coir_rwmutex_rlock(&p->read, COIR_NOW);
    case POLLS_WRITE: return coir_rwmutex_lock(&p->write, COIR_NOW);
    case POLLS_SEMA: return coir_sema_acquire(&p->sema, 1, COIR_NOW);
    case POLLS_GROUP: return coir_waitgroup_wait(&p->group, COIR_NOW);
    default: return p->is_said ? 0 : coir_cond_wait(&p->cond, &p->mine, COIR_NOW);
    }
}

static int polls(void *arg)
{
    struct poll *p = arg;
    int got;

    expect_eq(coir_chan_make(0, 1, &p->full), 0);
    expect_eq(coir_chan_make(0, 1, &p->empty), 0);
    expect_eq(coir_chan_send(p->full, NULL, COIR_NOW), 0);
    expect_eq(coir_sema_init(&p->sema, 0), 0);
    expect_eq(coir_waitgroup_add(&p->group, 1), 0);
    expect_eq(coir_mutex_lock(&p->mine, COIR_FOREVER), 0);
    expect_eq(go(gives, p), 0);
    while (!p->is_held) expect_eq(coir_yield(), 0);
    while ((got = asks(p)) == -ETIMEDOUT) continue;
    expect_eq(got, 0);
    expect_eq(coir_mutex_unlock(&p->mine), 0);
    while (!p->is_said) expect_eq(coir_yield(), 0);
    coir_chan_unref(p->full);
    coir_chan_unref(p->empty);
    return 0;
}

// It hung: the only worker never came to the one who was to give it.
static void who_polls_lets_others_run(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        for (int what = 0; what < N_POLLS; what++) {
            struct poll p = {.what = what};
            coir_config config = seeded(seed);

            expect_eq(coir_run(&config, polls, &p), 0);
        }
}

static void counts(int *n_ran)
{
    ++*n_ran;
}

// A pthread lock may be held over it (docs/embedding.md): the first that fails does not switch.
static int tries_a_few_times(void *arg)
{
    coir_chan *c;
    int n_ran = 0;

    (void)arg;
    expect_eq(coir_chan_make(0, 0, &c), 0);
    expect_eq(go(counts, &n_ran), 0);
    for (int i = 0; i < 10; i++) expect_eq(coir_chan_recv(c, NULL, COIR_NOW), -ETIMEDOUT);
    expect_eq(n_ran, 0);
    coir_chan_unref(c);
    return 0;
}

// ---- A wakeup that is lost -------------------------------------------------------------

struct cup {
    coir_mutex lock;
    coir_cond changed;
    bool filled, is_lost;
};

static void waits_for_it(struct cup *cup)
{
    if (coir_mutex_lock(&cup->lock, COIR_FOREVER) < 0) return;
    if (!cup->filled) // a deadline: tools' threads keep a deadlock from being reported
        cup->is_lost =
            coir_cond_wait(&cup->changed, &cup->lock, coir_after(COIR_SEC)) < 0;
    expect_eq(coir_mutex_unlock(&cup->lock), 0);
}

// Without the lock: between the other one's look and its wait there is nobody to signal.
static void fills_it(struct cup *cup)
{
    cup->filled = true;
    expect_eq(coir_cond_signal(&cup->changed), 0);
}

static int one_waits_one_fills(void *arg)
{
    coir_scope s;

    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&s, waits_for_it, (struct cup *)arg), 0);
    expect_eq(coir_scope_go(&s, fills_it, (struct cup *)arg), 0);
    return coir_scope_wait(&s);
}

static void a_lost_wakeup_is_found_by_some_seeds(void)
{
    int n_lost = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cup cup = {0};
        coir_config config = seeded(seed);

        expect_eq(coir_run(&config, one_waits_one_fills, &cup), 0);
        n_lost += cup.is_lost;
    }
    expect(n_lost > 0 && n_lost < 200);
}

// ---- It is told what it was ------------------------------------------------------------

static void it_is_told_what_it_was(void)
{
    coir_config config = seeded(42);
    struct everything e = {0};
    char line[64];

    config.log = keep;
    n_said = 0;
    expect_eq(coir_run(&config, uses_everything, &e), 0);
    snprintf(line, sizeof(line), "hash %016llx", (unsigned long long)e.hash);
    expect(strstr(logged, "coir: seed 42: "));
    expect(strstr(logged, " events, hash "));

    unsetenv("COIR_SEED");
    setenv("COIR_SEED", "42", 1);
    struct everything from_environment = {0};
    expect_eq(coir_run(NULL, uses_everything, &from_environment), 0);
    expect(from_environment.hash == e.hash);
    unsetenv("COIR_SEED");
}

// Another process has other addresses and other numbers.
static void another_process_runs_alike(const char *self)
{
    char command[4200], line[32] = "", mine[32];
    FILE *other;

    snprintf(command, sizeof(command), "'%s' hash", self);
    snprintf(mine, sizeof(mine), "%016llx\n", (unsigned long long)run_everything(77));
    expect((other = popen(command, "r")) != NULL);
    expect(fgets(line, sizeof(line), other));
    expect_eq(pclose(other), 0);
    expect(strcmp(line, mine) == 0);
}

int main(int argc, char **argv)
{
    coir_config config = seeded(7);

    unsetenv("COIR_SEED");
    test_watchdog(100);
    if (argc > 1) {
        printf("%016llx\n", (unsigned long long)run_everything(77));
        return 0;
    }
    another_process_runs_alike(argv[0]);
    one_seed_is_one_run();
    a_race_is_found_by_some_seeds();
    equal_times_end_in_any_order();
    a_select_takes_any_ready_case();
    expect_eq(coir_run(&config, sleeps_for_a_year, NULL), 0);
    expect_eq(coir_run(&config, blocks, NULL), 0);
    expect_eq(coir_run(&config, is_refused_the_world, NULL), 0);
    the_end_is_part_of_the_run();
    who_polls_lets_others_run();
    expect_eq(coir_run(&config, tries_a_few_times, NULL), 0);
    a_lost_wakeup_is_found_by_some_seeds();
    it_is_told_what_it_was();
    return 0;
}
