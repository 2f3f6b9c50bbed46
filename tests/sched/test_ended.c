// SPDX-License-Identifier: MIT
// Goal:   a thread that is on its way out holds nobody up, and counts as long as it is there.
// Method: a coroutine that ends with a pin takes its thread along (sched/pin.h). Once the
//         destructor of a thread-local of that thread waits until the test lets it go, and
//         another coroutine wants a thread meanwhile; once an operation that was begun on the
//         thread's ring keeps it, and one more thread would be too many. Ring and epoll.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

static coir_config config = COIR_CONFIG_INIT;

static int get(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void set(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void wait_for(const int *word)
{
    while (!get(word)) poll(NULL, 0, 1);
}

// ---- A slow destructor -----------------------------------------------------------------

static pthread_key_t key;
static int is_ending, may_end, has_thread;

static void wait_to_end(void *value)
{
    (void)value;
    set(&is_ending, 1);
    wait_for(&may_end);
}

static void end_pinned_with_a_thread_local(void)
{
    expect_eq(coir_pin(), 0);
    expect_eq(pthread_setspecific(key, &key), 0);
}

static void run_beside(int *ran)
{
    set(ran, 1);
}

// Needs a thread for the others beside its own.
static void pin_and_let_run(void)
{
    int ran = 0;

    expect_eq(coir_pin(), 0);
    expect_eq(coir_go(run_beside, &ran), 0);
    while (!get(&ran)) expect_eq(coir_yield(), 0);
    expect_eq(coir_unpin(), 0);
    set(&has_thread, 1);
}

static void a_slow_destructor_keeps_nobody_waiting(void)
{
    coir_runtime *rt;

    is_ending = may_end = has_thread = 0;
    expect_eq(pthread_key_create(&key, wait_to_end), 0);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, end_pinned_with_a_thread_local), 0);
    wait_for(&is_ending);
    expect_eq(coir_go_on(rt, pin_and_let_run), 0);
    wait_for(&has_thread); // for ever, if somebody waits for that thread's end
    set(&may_end, 1);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(pthread_key_delete(key), 0);
}

// ---- An operation under way ------------------------------------------------------------

static int read_thread, pinned_thread;

static void read_one(int fd)
{
    char c;

    set(&read_thread, gettid());
    expect_eq(coir_read(fd, &c, 1, COIR_FOREVER), 1);
}

static void end_pinned(void)
{
    expect_eq(coir_pin(), 0);
    set(&pinned_thread, gettid());
}

// True: it was seen. On a slow machine the worker may change between the two.
static bool stays_and_counts(void)
{
    int fds[2];
    coir_scope scope;

    read_thread = pinned_thread = 0;
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_eq(coir_scope_open(&scope, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&scope, read_one, fds[0]), 0);
    while (!get(&read_thread)) expect_eq(coir_yield(), 0);
    expect_eq(coir_sleep(COIR_MS), 0); // the worker was idle: what was queued is begun
    expect_eq(coir_go(end_pinned), 0);
    while (!get(&pinned_thread)) expect_eq(coir_yield(), 0);
    expect_eq(coir_yield(), 0);
    bool same = read_thread == pinned_thread;
    if (same) expect_eq(coir_pin(), -EAGAIN); // there is no thread beside the two
    expect_eq(write(fds[1], "x", 1), 1);
    expect_eq(coir_scope_wait(&scope), 0);
    int err;
    while ((err = coir_pin()) == -EAGAIN) expect_eq(coir_yield(), 0);
    expect_eq(err, 0);
    expect_eq(coir_unpin(), 0);
    expect_eq(coir_close(fds[0]), 0);
    expect_eq(coir_close(fds[1]), 0);
    return same;
}

// One worker, one thread more, and the one that watches.
static int a_thread_that_stays_for_an_operation_counts(void *arg)
{
    (void)arg;
    while (!stays_and_counts()) continue;
    return 0;
}

int main(void)
{
    config.workers = 1;
    for (int i = 0; i < 2; i++) {
        config.driver = i ? COIR_DRIVER_EPOLL : COIR_DRIVER_AUTO;
        config.threads_max = 0;
        a_slow_destructor_keeps_nobody_waiting();
        config.threads_max = 3;
        expect_eq(coir_run(&config, a_thread_that_stays_for_an_operation_counts, NULL),
                  0);
    }
    return 0;
}
