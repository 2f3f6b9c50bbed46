// SPDX-License-Identifier: MIT
// deadlock: coir_run returns -EDEADLK with a list of who waits on what, and never falsely.
// Method: one process with no thread but coir's: so neither Criterion nor the watchdog of tests/lib
// is linked. Programs that cannot go on, and programs that only look like it.
#include <coir/go.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char said[1 << 16];

static void keep(void *arg, int level, const char *line)
{
    size_t n = strlen(said);

    (void)arg;
    if (level == COIR_LOG_ERROR) snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

static void claim(int ok, const char *what, long is)
{
    if (ok) return;
    printf("deadlock: %s (%ld)\n%s", what, is, said);
    exit(1);
}
#define EQ(is, wanted)                                                                   \
    do {                                                                                 \
        long is_ = (long)(is);                                                           \
        claim(is_ == (wanted), #is " is not " #wanted, is_);                             \
    } while (0)
#define SAYS(text) claim(strstr(said, text) != NULL, "the log does not say: " text, 0)

static int run(unsigned workers, int (*fn)(void *), void *arg)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = workers;
    config.log = keep;
    config.stop_ns = 100 * COIR_MS;
    said[0] = 0;
    return coir_run(&config, fn, arg);
}

static coir_chan *chan;
static coir_mutex mutex;
static coir_waitgroup group;

static void receives(void)
{
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), -ECANCELED); // by the stop that follows
}

static void locks(void)
{
    EQ(coir_mutex_lock(&mutex, COIR_FOREVER), -ECANCELED);
}

static int everybody_waits(void *arg)
{
    coir_scope s;

    (void)arg;
    EQ(coir_mutex_lock(&mutex, COIR_NOW), 0);
    EQ(coir_waitgroup_add(&group, 1), 0);
    EQ(coir_scope_open(&s, COIR_FOREVER), 0);
    EQ(coir_scope_go_with(&s, coir_opts(.name = "reader"), receives), 0);
    EQ(coir_scope_go_with(&s, coir_opts(.name = "locker"), locks), 0);
    int err = coir_waitgroup_wait(&group, COIR_FOREVER);
    EQ(err, -ECANCELED);
    coir_scope_wait(&s);
    coir_mutex_unlock(&mutex);
    coir_waitgroup_done(&group);
    return 0;
}

static void everybody_is_listed(unsigned workers)
{
    EQ(run(workers, everybody_waits, NULL), -EDEADLK);
    SAYS("nothing can run any more, 3 coroutines wait");
    SAYS("(reader) spawned at");
    SAYS("waits: chan recv 0x");
    SAYS("(locker) spawned at");
    SAYS("waits: mutex 0x");
    SAYS("waits: waitgroup 0x");
}

static int forgets_cancel(void *arg)
{
    (void)arg;
    coir_shield_begin();
    return coir_chan_recv(chan, NULL, COIR_FOREVER);
}

// ---- What is none ----------------------------------------------------------------------------

static void *sends_twice(void *arg)
{
    (void)arg;
    usleep(50000);
    EQ(coir_chan_send(chan, NULL, COIR_FOREVER), 0);
    usleep(50000);
    return NULL;
}

static int waits_for_a_thread(void *arg)
{
    pthread_t thread;

    EQ(pthread_create(&thread, NULL, sends_twice, NULL), 0);
    EQ(pthread_detach(thread), 0);
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), 0);
    if (arg) return 5;
    return coir_chan_recv(chan, NULL,
                          COIR_FOREVER); // that thread will not send again, and ends
}

static void sleeps_and_sends(void)
{
    coir_sleep(60 * COIR_MS);
    EQ(coir_chan_send(chan, NULL, COIR_FOREVER), 0);
}

static int waits_for_a_sleeper(void *arg)
{
    (void)arg;
    EQ(go(sleeps_and_sends), 0);
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), 0);
    return 6;
}

static int pair[2];

static void reads_and_sends(void)
{
    char byte;

    EQ(coir_read(pair[0], &byte, 1, COIR_FOREVER), 1);
    EQ(coir_chan_send(chan, NULL, COIR_FOREVER), 0);
}

static int waits_for_a_reader(void *arg)
{
    (void)arg;
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EQ(go(reads_and_sends), 0);
    EQ(coir_sleep(20 * COIR_MS), 0);
    if (fork() == 0) { // another process ends it
        usleep(60000);
        _exit(write(pair[1], "x", 1) == 1 ? 0 : 1);
    }
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), 0);
    close(pair[0]);
    close(pair[1]);
    return 7;
}

static void computes_and_sends(void)
{
    int64_t until = coir_now() + 60 * COIR_MS;

    while (coir_now() < until) continue;
    EQ(coir_chan_send(chan, NULL, COIR_FOREVER), 0);
}

static void yields_a_while(void)
{
    int64_t until = coir_now() + 30 * COIR_MS;

    while (coir_now() < until) EQ(coir_yield(), 0);
}

// Its worker is taken from it, and is idle when the others are done.
static int waits_for_a_hog(void *arg)
{
    (void)arg;
    EQ(go(yields_a_while), 0);
    EQ(go(computes_and_sends), 0);
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), 0);
    return 10;
}

static void takes_its_time(void *arg)
{
    (void)arg;
    usleep(60000);
}

static void blocks_and_sends(void)
{
    EQ(coir_blocking(takes_its_time, NULL), 0);
    EQ(coir_chan_send(chan, NULL, COIR_FOREVER), 0);
}

static int waits_for_a_helper(void *arg)
{
    (void)arg;
    EQ(go(blocks_and_sends), 0);
    EQ(coir_chan_recv(chan, NULL, COIR_FOREVER), 0);
    return 9;
}

// A helper that sleeps gives no hope.
static int waits_beside_a_helper(void *arg)
{
    EQ(waits_for_a_helper(arg), 9);
    return coir_chan_recv(chan, NULL, COIR_FOREVER);
}

static void helpers_are_coirs_own(unsigned workers)
{
    EQ(run(workers, waits_for_a_helper, NULL), 9);
    int64_t start = coir_now();
    EQ(run(workers, waits_beside_a_helper, NULL), -EDEADLK);
    claim(coir_now() - start < 900 * COIR_MS, "said only when the helper had ended",
          (coir_now() - start) / COIR_MS);
}

enum { ROUNDS = 20000 };

static void answers(coir_chan *in, coir_chan *out)
{
    for (int i = 0; i < ROUNDS; i++) {
        EQ(coir_chan_recv(in, NULL, COIR_FOREVER), 0);
        EQ(coir_chan_send(out, NULL, COIR_FOREVER), 0);
    }
}

static int asks(void *arg)
{
    coir_chan *in, *out;

    (void)arg;
    EQ(coir_chan_make(0, 0, &in), 0);
    EQ(coir_chan_make(0, 0, &out), 0);
    EQ(go(answers, in, out), 0);
    for (int i = 0; i < ROUNDS; i++) {
        EQ(coir_chan_send(in, NULL, COIR_FOREVER), 0);
        EQ(coir_chan_recv(out, NULL, COIR_FOREVER), 0);
        if (i % 100 == 0) EQ(coir_sleep(COIR_US), 0); // everybody goes idle
    }
    coir_yield();
    coir_chan_unref(in);
    coir_chan_unref(out);
    return 8;
}

static int waits_pinned(void)
{
    EQ(coir_pin(), 0);
    return coir_chan_recv(chan, NULL, COIR_FOREVER);
}

// Two keep threads to themselves, the first one has none of its own: all wait.
static int threads_of_pinned_ones(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) EQ(go(waits_pinned), 0);
    for (int i = 0; i < 10; i++) EQ(coir_yield(), 0);
    return coir_chan_recv(chan, NULL, COIR_FOREVER);
}

// A seeded run has one thread beside the caller, and a clock that never waits.
static void a_seeded_run_is_told_too(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.seed = 11;
    config.log = keep;
    said[0] = 0;
    EQ(coir_run(&config, threads_of_pinned_ones, NULL), -EDEADLK);
    SAYS("3 coroutines wait");
}

int main(void)
{
    alarm(60);
    EQ(coir_chan_make(0, 0, &chan), 0);
    for (unsigned workers = 1; workers <= 4; workers += 3) {
        EQ(run(workers, waits_for_a_thread, &chan), 5);
        EQ(run(workers, waits_for_a_sleeper, NULL), 6);
        EQ(run(workers, waits_for_a_reader, NULL), 7);
        EQ(run(workers, asks, NULL), 8);
        EQ(run(workers, waits_for_a_hog, NULL), 10);
        helpers_are_coirs_own(workers);
        everybody_is_listed(workers);
        EQ(run(workers, threads_of_pinned_ones, NULL), -EDEADLK);
        EQ(run(workers, waits_for_a_thread, NULL), -EDEADLK); // once the thread has ended
    }
    a_seeded_run_is_told_too();
    EQ(run(2, forgets_cancel, NULL),
       -EDEADLK); // it stays, and coir_run returns all the same
    SAYS("1 coroutines wait");
    return 0;
}
