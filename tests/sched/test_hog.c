// SPDX-License-Identifier: MIT
// Goal:   a coroutine that computes or blocks in foreign code stops nobody else: not their
// turns, not
//         their deadlines, not their input and output, also not what is in flight on its own ring.
// Method: every hog goes on until the others got what they wait for, so without hand-off the
// program
//         hangs and the watchdog says so; no claim depends on how fast this machine is. On the ring
//         with and without a pump, and on epoll; with a hog on every worker and one more.
#include <coir.h>
#include <coir/go.h>

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define TICKS 20

static coir_config config = COIR_CONFIG_INIT;

static int get(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void add(int *word, int by)
{
    __atomic_add_fetch(word, by, __ATOMIC_ACQ_REL);
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = -2;

    expect(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

static int count_threads(void)
{
    return count_entries("/proc/self/task");
}

// ---- Those who must not be stopped -------------------------------------------------------------

static int ticks, n_ended;

static void ticker(void)
{
    for (int i = 0; i < TICKS; i++) {
        int64_t when = coir_after(COIR_MS);
        expect_eq(coir_sleep_until(when), 0);
        expect(coir_now() >= when);
        add(&ticks, 1);
    }
    add(&n_ended, 1);
}

static void echo(int fd)
{
    char c;

    while (coir_read(fd, &c, 1, COIR_FOREVER) == 1)
        expect_eq(coir_write(fd, &c, 1, COIR_FOREVER), 1);
    coir_close(fd);
    add(&n_ended, 1);
}

static void asker(int fd)
{
    for (int i = 0; i < TICKS; i++) {
        char c = (char)i, answer = 0;
        expect_eq(coir_write(fd, &c, 1, COIR_FOREVER), 1);
        expect_eq(coir_read(fd, &answer, 1, COIR_FOREVER), 1);
        expect_eq(answer, c);
        expect_eq(coir_sleep(COIR_MS / 2), 0);
        add(&ticks, 1);
    }
    coir_close(fd);
    add(&n_ended, 1);
}

static void others_are_through(int *wanted)
{
    *wanted = 4 * TICKS;
}

static void start_others(void)
{
    int fds[2];

    ticks = n_ended = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(go(ticker), 0);
    expect_eq(go(ticker), 0);
    expect_eq(go(ticker), 0);
    expect_eq(go(echo, fds[0]), 0);
    expect_eq(go(asker, fds[1]), 0);
    coir_sleep(2 * COIR_MS); // their operations are in flight somewhere
}

static int through(void)
{
    int wanted;

    others_are_through(&wanted);
    return get(&ticks) >= wanted;
}

// ---- Hogs of every kind ------------------------------------------------------------------------

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int pipes[2];

static void spins(void)
{
    while (!through()) continue;
}

static void allocates(void)
{
    while (!through())
        for (size_t n = 1; n < 4096; n *= 2) {
            char *p = malloc(n);
            expect(p);
            memset(p, 1, n);
            __asm__ volatile("" : : "r"(p) : "memory");
            free(p);
        }
}

static void naps(void)
{
    while (!through()) usleep(1000);
}

static void reads_a_pipe(void)
{
    char c;

    while (read(pipes[0], &c, 1) < 0) expect_eq(errno, EINTR);
}

static void locks(void)
{
    expect_eq(pthread_mutex_lock(&held), 0);
    expect_eq(pthread_mutex_unlock(&held), 0);
}

static void resolves(void)
{
    while (!through()) {
        struct addrinfo *list = NULL;
        if (getaddrinfo("127.0.0.1", "80", NULL, &list) == 0) freeaddrinfo(list);
    }
}

static void says_so(void)
{
    coir_blocking_begin();
    coir_blocking_begin();
    naps();
    coir_blocking_end();
    coir_blocking_end();
}

// Calls that need not wait, without end: each finds that the P is gone.
static void calls(void)
{
    coir_chan *c;
    int v = 0;

    expect_eq(coir_chan_make(sizeof(v), 1, &c), 0);
    while (!through()) {
        expect_eq(coir_chan_send(c, &v, COIR_NOW), 0);
        expect_eq(coir_chan_recv(c, &v, COIR_NOW), 0);
    }
    coir_chan_unref(c);
}

static void (*const kinds[])(void) = {spins, allocates,    naps,     calls,
                                      locks, reads_a_pipe, resolves, says_so};

static void hog(int kind)
{
    pthread_t before = pthread_self();

    kinds[kind]();
    expect(pthread_equal(before, pthread_self())); // nobody moved the code under it
    add(&n_ended, 1);
    expect_eq(coir_yield(), 0); // gives itself up, and comes back
    expect_eq(coir_sleep(COIR_MS), 0);
    add(&n_ended, 1);
}

// Frees those who block on the world outside once the others are through.
static void *outside(void *n)
{
    pthread_mutex_lock(&held);
    add(n, 1);
    while (!through()) usleep(1000);
    pthread_mutex_unlock(&held);
    for (int i = 0; i < 64; i++) expect_eq(write(pipes[1], "x", 1), 1);
    return NULL;
}

static int every_kind_of_hog(void *arg)
{
    int n_hogs = (int)config.workers + 1;

    (void)arg;
    for (int kind = 0; kind < (int)(sizeof(kinds) / sizeof(kinds[0])); kind++) {
        pthread_t thread;
        int ready = 0;

        expect_eq(pipe(pipes), 0);
        start_others();
        expect_eq(pthread_create(&thread, NULL, outside, &ready), 0);
        while (!get(&ready)) coir_sleep(COIR_MS);
        for (int i = 0; i < n_hogs; i++) expect_eq(go(hog, kind), 0);
        while (get(&n_ended) < 5 + 2 * n_hogs) expect_eq(coir_sleep(COIR_MS), 0);
        pthread_join(thread, NULL);
        expect_eq(get(&n_ended), 5 + 2 * n_hogs); // none lost, none twice
        expect_eq(get(&ticks), 4 * TICKS);
        close(pipes[0]);
        close(pipes[1]);
    }
    return 0;
}

// ---- Operations in flight on the ring of a hog
// ---------------------------------------------------

static int answers, hogs_run, reading;

static void hogs_until(int wanted)
{
    add(&hogs_run, 1);
    while (get(&answers) < wanted) continue;
    add(&n_ended, 1);
}

static void reads_one(int fd)
{
    char c;

    add(&reading, 1);
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
    add(&answers, 1);
}

static void reads_late(int fd)
{
    char c;
    int64_t deadline = coir_after(20 * COIR_MS);

    add(&reading, 1);
    expect_eq(coir_read(fd, &c, 1, deadline), -ETIMEDOUT);
    expect(coir_now() >= deadline);
    add(&answers, 1);
}

static void reads_closed(int fd)
{
    char c;

    add(&reading, 1);
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), -EBADF);
    add(&answers, 1);
}

static int pair[3][2];

// From a thread of its own: it needs no worker.
static void *speaks(void *arg)
{
    (void)arg;
    while (get(&hogs_run) < (int)config.workers) usleep(1000);
    usleep(15000);
    expect_eq(write(pair[0][1], "x", 1), 1);
    expect_eq(coir_close(pair[2][0]), 0);
    return NULL;
}

static int what_is_in_flight_behind_a_hog(void *arg)
{
    pthread_t thread;

    (void)arg;
    answers = n_ended = hogs_run = reading = 0;
    for (int i = 0; i < 3; i++)
        expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
    expect_eq(go(reads_one, pair[0][0]), 0);
    expect_eq(go(reads_late, pair[1][0]), 0);
    expect_eq(go(reads_closed, pair[2][0]), 0);
    // On one worker their operations are queued now, and the hog comes before the kernel saw them.
    while (get(&reading) < 3) expect_eq(coir_yield(), 0);
    for (unsigned i = 0; i < config.workers; i++) expect_eq(go(hogs_until, 3), 0);
    expect_eq(pthread_create(&thread, NULL, speaks, NULL), 0);
    while (get(&n_ended) < (int)config.workers) expect_eq(coir_sleep(COIR_MS), 0);
    pthread_join(thread, NULL);
    expect_eq(get(&answers), 3);
    for (int i = 0; i < 3; i++) {
        if (i < 2) coir_close(pair[i][0]);
        close(pair[i][1]);
    }
    return 0;
}

// ---- Hogs that come and go --------------------------------------------------------------------

static int n_laps;

static void short_hog(int i)
{
    for (int lap = 0; lap < 12; lap++) {
        int64_t until = coir_after((1 + (i + lap) % 12) * COIR_MS);

        if (i % 4 == 0)
            while (coir_now() < until) continue;
        else if (i % 4 == 1)
            usleep(1000u * (unsigned)(1 + (i + lap) % 12));
        else if (i % 4 == 2) {
            coir_blocking_begin();
            usleep(2000);
            coir_blocking_end();
        }
        add(&n_laps, 1);
        if (lap % 3 == 0)
            expect_eq(coir_yield(), 0);
        else
            expect_eq(coir_sleep(COIR_MS / 4), 0);
    }
    add(&n_ended, 1);
}

static int hogs_come_and_go(void *arg)
{
    (void)arg;
    n_laps = 0;
    start_others();
    for (int i = 0; i < 24; i++) expect_eq(go(short_hog, i), 0);
    while (get(&n_ended) < 5 + 24) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(get(&n_laps), 24 * 12);
    expect_eq(get(&ticks), 4 * TICKS);
    return 0;
}

// A thousand a second and more: each is in foreign code for a millisecond or two, says so or not,
// and is back.
static void comes_and_goes(int i)
{
    for (int lap = 0; lap < 32; lap++) {
        bool declares = (i + lap) % 4;

        if (declares) coir_blocking_begin();
        usleep(1000u + 250u * (unsigned)((i + lap) % 5));
        if (declares) coir_blocking_end();
        add(&n_laps, 1);
        if (lap % 2) expect_eq(coir_yield(), 0);
    }
    add(&n_ended, 1);
}

static int hogs_by_the_thousand(void *arg)
{
    coir_stats stats = COIR_STATS_INIT;
    int64_t start = coir_now();

    (void)arg;
    n_laps = 0;
    start_others();
    for (int i = 0; i < 32; i++) expect_eq(go(comes_and_goes, i), 0);
    while (get(&n_ended) < 5 + 32) expect_eq(coir_sleep(COIR_MS), 0);
    expect_eq(get(&n_laps), 32 * 32);
    expect_eq(get(&ticks), 4 * TICKS);
    expect_eq(coir_stats_read(NULL, &stats), 0);
    printf("  %d came and went, %llu hand-offs, %lld ms\n", get(&n_laps),
           (unsigned long long)stats.handoffs,
           (long long)((coir_now() - start) / COIR_MS));
    return 0;
}

// ---- Threads come back to what they were -------------------------------------------------------

static void naps_once(void)
{
    usleep(30000);
    add(&n_ended, 1);
}

// Descriptors but for the two of each worker's poller; asked until nobody starts or ends.
static int other_descriptors(void)
{
    int was = 0, same = 0;

    while (same < 20) {
        int now = count_entries("/proc/self/fd") - 2 * count_threads();
        same = now == was ? same + 1 : 0;
        was = now;
        expect_eq(coir_sleep(10 * COIR_MS), 0);
    }
    return was;
}

// Among them some with operations that outlast the hogs: the threads whose they are stay as long.
static int many_block_and_their_threads_end(void *arg)
{
    int fds[2];

    (void)arg;
    n_ended = answers = reading = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    int descriptors = other_descriptors(), threads = count_threads(), most = threads;
    for (int i = 0; i < 30; i++) {
        expect_eq(go(reads_one, fds[0]), 0);
        expect_eq(go(naps_once), 0);
    }
    while (get(&n_ended) < 30 || get(&reading) < 30) {
        expect_eq(coir_sleep(COIR_MS), 0);
        if (most < count_threads()) most = count_threads();
    }
    printf("%d threads, at most %d\n", threads, most);
    for (int i = 0; i < 30; i++) expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
    while (get(&answers) < 30) expect_eq(coir_sleep(COIR_MS), 0);
    // At most the workers that were not yet started and one spare more; a hang else.
    while (count_threads() > threads + (int)config.workers + 1)
        expect_eq(coir_sleep(20 * COIR_MS), 0);
    while (other_descriptors() != descriptors) continue; // a hang else
    coir_close(fds[0]);
    close(fds[1]);
    return 0;
}

// ---- A sleep is kept among those that block and yield -------------------------------------------

#define NAPPERS 20

static int naps_are_over, late_naps;
static int64_t due;

static void naps_and_yields(void)
{
    while (!get(&naps_are_over)) {
        usleep(20000);
        int64_t when = __atomic_load_n(&due, __ATOMIC_ACQUIRE);
        if (when && coir_now() > when) add(&late_naps, 1);
        coir_yield();
    }
    add(&n_ended, 1);
}

// Each of them may have a turn, and be in one, when the sleep is over; once it took hundreds.
static int a_sleep_is_kept_among_nappers(void *arg)
{
    (void)arg;
    n_ended = naps_are_over = 0;
    for (int i = 0; i < NAPPERS; i++) expect_eq(go(naps_and_yields), 0);
    for (int i = 0; i < 5; i++) {
        int64_t when = coir_after(50 * COIR_MS);

        add(&late_naps, -get(&late_naps));
        __atomic_store_n(&due, when, __ATOMIC_RELEASE);
        expect_eq(coir_sleep_until(when), 0);
        int late = get(&late_naps);
        __atomic_store_n(&due, 0, __ATOMIC_RELEASE);
        if (late > 5 * NAPPERS) printf("%d turns before the sleeper's\n", late);
        expect(late <= 5 * NAPPERS);
    }
    add(&naps_are_over, 1);
    while (get(&n_ended) < NAPPERS) expect_eq(coir_sleep(COIR_MS), 0);
    return 0;
}

// ---- The log names them ------------------------------------------------------------------------

static int n_named;

// With a pump the line says where the coroutine stands, too.
static void note_line(void *arg, int level, const char *line)
{
    (void)arg, (void)level;
    if (config.pump_signal >= 0 && (!strstr(line, " ms at ") || !strstr(line, "+0x")))
        return; // maybe the next one
    if (strstr(line, "(greedy)") && strstr(line, "test_hog.c")) add(&n_named, 1);
}

static void greedy(void)
{
    int64_t until = coir_after(200 * COIR_MS);

    while (coir_now() < until && !get(&n_named)) continue;
    add(&n_ended, 1);
}

// On a slow machine a handler's answer may come too late for its line: so again and again.
static int the_log_names_a_hog(void *arg)
{
    int n = 0;

    (void)arg;
    n_named = n_ended = 0;
    while (!get(&n_named)) {
        // On every worker: where nobody is harmed nothing is said.
        for (unsigned i = 0; i < config.workers; i++, n++)
            expect_eq(coir_go_with(coir_opts(.name = "greedy"), greedy), 0);
        while (get(&n_ended) < n) expect_eq(coir_sleep(COIR_MS), 0);
    }
    return 0;
}

// ---- A host's signals ---------------------------------------------------------------------------

static void a_signal_that_is_taken_is_refused(void)
{
    coir_config c = config;

    c.pump_signal = 1;
    expect_eq(coir_run(&c, the_log_names_a_hog, NULL), -EINVAL);
}

static void all(unsigned workers, coir_driver driver, int pump_signal)
{
    config.workers = workers;
    config.driver = driver;
    config.pump_signal = pump_signal;
    config.log = note_line;
    printf("%u workers, driver %d, pump %d\n", workers, driver, pump_signal);
    expect_eq(coir_run(&config, what_is_in_flight_behind_a_hog, NULL), 0);
    expect_eq(coir_run(&config, every_kind_of_hog, NULL), 0);
    expect_eq(coir_run(&config, hogs_come_and_go, NULL), 0);
    expect_eq(coir_run(&config, hogs_by_the_thousand, NULL), 0);
    // A spare waits a second to be wanted: once with rings, once without.
    if (pump_signal == 0 && workers == (driver == COIR_DRIVER_EPOLL ? 1 : 2))
        expect_eq(coir_run(&config, many_block_and_their_threads_end, NULL), 0);
    expect_eq(coir_run(&config, a_sleep_is_kept_among_nappers, NULL), 0);
    expect_eq(coir_run(&config, the_log_names_a_hog, NULL), 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static const struct {
    unsigned workers;
    coir_driver driver;
    int pump;
} ways[] = {{2, COIR_DRIVER_AUTO, 0},
            {1, COIR_DRIVER_AUTO, 0},
            {2, COIR_DRIVER_AUTO, -1},
            {1, COIR_DRIVER_EPOLL, 0},
            {2, COIR_DRIVER_EPOLL, -1}};

// With an argument: that configuration alone.
int main(int argc, char **argv)
{
    int only = argc > 1 ? atoi(argv[1]) : -1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    test_watchdog(100);
    expect_eq(coir_run(&config, nothing, NULL), 0);
    int before = count_threads(); // a sanitizer's own too
    for (int i = 0; i < (int)(sizeof(ways) / sizeof(ways[0])); i++)
        if (only < 0 || only == i) all(ways[i].workers, ways[i].driver, ways[i].pump);
    a_signal_that_is_taken_is_refused();
    expect_soon(count_threads() <= before);
    return 0;
}
