// SPDX-License-Identifier: MIT
// hogs - coroutines that are lost in foreign code now and then, on more workers than processors,
// and laws that must hold whatever happened.
//
// Each round takes from the seed: workers (up to four a processor), driver, pump, threads_max, how
// many there are, and whether the runtime is stopped in the middle. Everybody goes on in steps: a
// stay in foreign code of some kind, then something that needs the others. Then
//
//     H1  every step is made once: what all have counted alone is what was counted together
//     H2  a byte that was sent to an echo comes back as it went, and within the call's deadline or
//         not at all
//     H3  no foreign code changes its thread while it runs, no sleep ends early
//     H4  tokens in a channel, in hands and taken away are as many as there were
//     H5  coir_stop ends everybody, and the process has the threads that it had
//
// Runs COIR_STRESS_SECONDS (3 by default). COIR_SEED=... replays the choices, not the timing.
#include <coir/go.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { CROWD_MOST = 24, TOKENS = 3, STEPS_MOST = 24 };

struct round {
    coir_chan *tokens;
    atomic_int taken_away; // tokens that a cancel left in somebody's hands
    coir_mutex mutex;
    int under_mutex;
    atomic_int granted, steps;
    coir_waitgroup all;
    int steps_each;
};

struct one {
    struct round *round;
    unsigned state; // of its choices
    int fds[2];     // its echo's and its own
    int steps;
    bool is_cancelled;
};

static pthread_mutex_t foreign = PTHREAD_MUTEX_INITIALIZER;
static uint64_t chance;

// The main thread's choices.
static unsigned below(unsigned n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)(chance >> 33) % n;
}

static unsigned own(struct one *o, unsigned n)
{
    o->state = o->state * 1664525u + 1013904223u;
    return (o->state >> 16) % n;
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = -2;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

// ---- In foreign code ---------------------------------------------------------------------------

static void spin(int64_t ns)
{
    int64_t until = coir_now() + ns;

    while (coir_now() < until) {
        char *p = malloc(64);
        __asm__ volatile("" : : "r"(p) : "memory");
        free(p);
    }
}

static void nap(void *us)
{
    usleep((unsigned)(uintptr_t)us);
}

static void hold_the_foreign_lock(struct one *o)
{
    expect_eq(pthread_mutex_lock(&foreign), 0);
    if (own(o, 2)) usleep(own(o, 1000));
    expect_eq(pthread_mutex_unlock(&foreign), 0);
}

static void say_so(struct one *o)
{
    coir_blocking_begin();
    usleep(own(o, 3000));
    if (own(o, 4) == 0 && coir_yield() == -ECANCELED) o->is_cancelled = true;
    coir_blocking_end();
}

static void be_lost(struct one *o)
{
    pthread_t before = pthread_self();
    bool says_so = false;

    switch (own(o, 8)) {
    case 0: spin((int64_t)own(o, 12) * COIR_MS); break;
    case 1: usleep(own(o, 4000)); break;
    case 2: hold_the_foreign_lock(o); break;
    case 3:
        says_so = true;
        say_so(o);
        break;
    case 4:
        says_so = true;
        expect_eq(coir_blocking(nap, (void *)(uintptr_t)own(o, 2000)), 0);
        break;
    default: break;
    }
    expect(says_so || pthread_equal(before, pthread_self())); // H3
}

// ---- With the others ---------------------------------------------------------------------------

static void echo(int fd, coir_waitgroup *all)
{
    char c;

    while (coir_read(fd, &c, 1, COIR_FOREVER) == 1)
        if (coir_write(fd, &c, 1, COIR_FOREVER) != 1) break;
    coir_close(fd);
    expect_eq(coir_waitgroup_done(all), 0);
}

// 0 | -ECANCELED
static int ask_echo(struct one *o)
{
    char c = (char)own(o, 256), answer = 0;
    ssize_t n = coir_write(o->fds[1], &c, 1, COIR_FOREVER);

    if (n == 1) do {
            int64_t deadline = own(o, 2) ? COIR_FOREVER : coir_after(COIR_MS);
            n = coir_read(o->fds[1], &answer, 1, deadline);
            expect(n != -ETIMEDOUT || coir_now() >= deadline); // H2
        } while (n == -ETIMEDOUT);
    if (n == 1) expect_eq(answer, c); // H2
    // The others: its echo was cancelled.
    expect(n == 1 || n == -ECANCELED || n == 0 || n == -EPIPE || n == -ECONNRESET);
    return n == 1 ? 0 : -ECANCELED;
}

static int pass_a_token(struct one *o)
{
    struct round *r = o->round;
    int err = coir_chan_recv(r->tokens, NULL, COIR_FOREVER);

    expect(err == 0 || err == -ECANCELED);
    if (err) return err;
    if (own(o, 4) == 0) be_lost(o);
    err = coir_chan_send(r->tokens, NULL, COIR_FOREVER);
    if (err) atomic_fetch_add(&r->taken_away, 1);
    return err;
}

static int sleep_a_little(struct one *o)
{
    int64_t when = coir_after((int64_t)own(o, 2000) * COIR_US);
    int err = coir_sleep_until(when);

    expect(err == -ECANCELED || (err == 0 && coir_now() >= when)); // H3
    return err;
}

static int count_with_the_mutex(struct one *o)
{
    struct round *r = o->round;
    int err = coir_mutex_lock(&r->mutex, COIR_FOREVER);

    if (err) return err;
    r->under_mutex++;
    atomic_fetch_add(&r->granted, 1);
    if (own(o, 8) == 0) be_lost(o);
    expect_eq(coir_mutex_unlock(&r->mutex), 0);
    return 0;
}

static int meet(struct one *o)
{
    switch (own(o, 5)) {
    case 0: return ask_echo(o);
    case 1: return pass_a_token(o);
    case 2: return sleep_a_little(o);
    case 3: return count_with_the_mutex(o);
    default: return coir_yield();
    }
}

static void go_on(struct one *o)
{
    struct round *r = o->round;

    while (o->steps < r->steps_each) {
        be_lost(o);
        o->steps++;
        atomic_fetch_add(&r->steps, 1); // H1
        if (o->is_cancelled || meet(o) < 0) break;
    }
    coir_close(o->fds[1]);
    expect_eq(coir_waitgroup_done(&r->all), 0);
}

// ---- A round -----------------------------------------------------------------------------------

static void begin(struct round *r, struct one *crowd, int n, coir_runtime *rt)
{
    expect_eq(coir_chan_make(0, TOKENS, &r->tokens), 0);
    for (int i = 0; i < TOKENS; i++)
        expect_eq(coir_chan_send(r->tokens, NULL, COIR_NOW), 0);
    expect_eq(coir_waitgroup_add(&r->all, 2 * n), 0);
    r->steps_each = 1 + (int)below(STEPS_MOST);
    for (int i = 0; i < n; i++) {
        struct one *o = &crowd[i];

        *o = (struct one){.round = r, .state = below(1u << 30)};
        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, o->fds), 0);
        expect_eq(coir_go_on(rt, echo, o->fds[0], &r->all), 0);
        expect_eq(coir_go_on(rt, go_on, o), 0);
    }
}

static void count_up(struct round *r, const struct one *crowd, int n, bool stopped)
{
    int steps = 0;

    for (int i = 0; i < n; i++) {
        steps += crowd[i].steps;
        if (!stopped) expect_eq(crowd[i].steps, r->steps_each);
    }
    expect_eq(atomic_load(&r->steps), steps); // H1
    expect_eq(r->under_mutex, atomic_load(&r->granted));
    // H4
    expect_eq((int)coir_chan_len(r->tokens) + atomic_load(&r->taken_away), TOKENS);
    coir_chan_unref(r->tokens);
}

static unsigned long long handoffs;

static void play(void)
{
    static const unsigned caps[] = {0, 0, 12, 40};
    static struct one crowd[CROWD_MOST];
    struct round r = {0};
    coir_config config = COIR_CONFIG_INIT;
    coir_stats stats = COIR_STATS_INIT;
    coir_runtime *rt;
    int n = 2 + (int)below(CROWD_MOST - 1), threads = count_threads();
    bool stops_early = below(4) == 0;

    config.workers = 1 + below(4 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
    config.driver = below(3) ? COIR_DRIVER_AUTO : COIR_DRIVER_EPOLL;
    config.pump_signal = below(4) ? 0 : -1;
    config.threads_max = caps[below(4)];
    expect_eq(coir_start(&config, &rt), 0);
    begin(&r, crowd, n, rt);
    if (stops_early)
        coir_sleep((int64_t)below(20) * COIR_MS);
    else
        expect_eq(coir_waitgroup_wait(&r.all, COIR_FOREVER), 0);
    expect_eq(coir_stats_read(rt, &stats), 0);
    handoffs += stats.handoffs;
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(coir_waitgroup_wait(&r.all, COIR_NOW), 0); // H5
    expect_soon(count_threads() <= threads);
    count_up(&r, crowd, n, stops_early);
}

int main(void)
{
    const char *given = getenv("COIR_STRESS_SECONDS");
    int64_t end = coir_after((given ? atoi(given) : 3) * COIR_SEC);
    coir_runtime *rt;
    int rounds = 0;

    chance = test_seed();
    expect_eq(coir_start(NULL, &rt),
              0); // a sanitizer's own threads are there from now on
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    while (coir_now() < end) {
        test_watchdog(60);
        play();
        rounds++;
    }
    printf("%d rounds, %llu hand-offs\n", rounds, handoffs);
    return 0;
}
