// SPDX-License-Identifier: MIT
// Goal:   coir_stats_read, coir_each and coir_dump tell the truth about a runtime that goes on.
// Method: crowds whose numbers are known; what is parked is shown once each, with the function in
//         which it waits; while others come and go nobody is shown twice and nothing crashes.
#include <coir/go.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define CROWD 10000

static coir_config config = COIR_CONFIG_INIT;
static coir_chan *gate;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define ADD(x, n) __atomic_add_fetch(&(x), n, __ATOMIC_ACQ_REL)

static uint64_t parked_of(coir_runtime *rt)
{
    coir_stats stats = COIR_STATS_INIT;

    expect_eq(coir_stats_read(rt, &stats), 0);
    return stats.parked;
}

static int count_parked(void *arg, const coir_coroutine_info *info)
{
    *(uint64_t *)arg += info->state == COIR_PARKED;
    return 0;
}

static void until_parked(coir_runtime *rt, uint64_t n)
{
    uint64_t seen;

    do {
        while (parked_of(rt) < n) coir_sleep(COIR_MS);
        seen = 0;
        expect_eq(coir_each(rt, count_parked, &seen), 0);
    } while (seen < n);
}

// Not static, so that the dump can name them.
void waits_in_here(int number);
void calls_what_waits(int number);

__attribute__((noinline)) void waits_in_here(int number)
{
    char deep[200];

    memset(deep, number, sizeof(deep));
    expect_eq(coir_chan_recv(gate, NULL, COIR_FOREVER), -EPIPE);
    __asm__ volatile("" ::"r"(deep) : "memory"); // no tail call
}

__attribute__((noinline)) void calls_what_waits(int number)
{
    waits_in_here(number);
    __asm__ volatile("" ::: "memory");
}

static void make_crowd(coir_runtime *rt, int n)
{
    expect_eq(coir_chan_make(0, 0, &gate), 0);
    for (int i = 0; i < n; i++) expect_eq(coir_go_on(rt, calls_what_waits, i), 0);
}

static void end_crowd(coir_runtime *rt)
{
    coir_stats stats = COIR_STATS_INIT;

    expect_eq(coir_chan_close(gate), 0);
    do {
        coir_sleep(COIR_MS);
        expect_eq(coir_stats_read(rt, &stats), 0);
    } while (stats.coroutines > 0);
    coir_chan_unref(gate);
}

static int open_memory(void)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    expect(fd >= 0);
    return fd;
}

// ---- A crowd that stands still -----------------------------------------------------------------

struct seen {
    uint64_t first;
    int times[CROWD];
    int others;
};

static int note(void *arg, const coir_coroutine_info *info)
{
    struct seen *s = arg;

    if (info->id < s->first || info->id >= s->first + CROWD) {
        s->others++;
        return 0;
    }
    s->times[info->id - s->first]++;
    expect_eq(info->state, COIR_PARKED);
    expect(strcmp(info->waits_on, "chan recv") == 0);
    expect(info->object == gate && info->fd == -1);
    expect(strcmp(info->function, "make_crowd") == 0 && info->line > 0);
    expect(strstr(info->file, "test_debug.c"));
    expect(info->since > 0 && info->since <= coir_now());
    expect(info->stack_used > 200 && info->stack_used < info->stack_bytes);
    expect(info->stack_most >= info->stack_used && info->stack_most < info->stack_bytes);
    expect_eq(info->pins, 0);
    return 0;
}

static int least_id(void *arg, const coir_coroutine_info *info)
{
    uint64_t *least = arg;

    if (*least == 0 || info->id < *least) *least = info->id;
    return 0;
}

static void each_of_ten_thousand_is_shown_once(void)
{
    struct seen *s = calloc(1, sizeof(*s));
    coir_runtime *rt;

    expect_eq(coir_start(&config, &rt), 0);
    make_crowd(rt, CROWD);
    until_parked(rt, CROWD);
    expect_eq(coir_each(rt, least_id, &s->first), 0);
    expect_eq(coir_each(rt, note, s), 0);
    for (int i = 0; i < CROWD; i++) expect_eq(s->times[i], 1);
    expect_eq(s->others, 0);
    end_crowd(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    free(s);
}

static int stop_at_third(void *arg, const coir_coroutine_info *info)
{
    (void)info;
    return ++*(int *)arg == 3 ? -EINTR : 0;
}

static void the_callback_ends_the_walk(void)
{
    coir_runtime *rt;
    int n = 0;

    expect_eq(coir_start(&config, &rt), 0);
    make_crowd(rt, 10);
    until_parked(rt, 10);
    expect_eq(coir_each(rt, stop_at_third, &n), -EINTR);
    expect_eq(n, 3);
    end_crowd(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

// ---- A crowd that comes and goes ---------------------------------------------------------------

static int churning, lives;

static void short_life(int big)
{
    volatile char there[64];

    there[0] = (char)big;
    coir_yield();
    coir_sleep(20 * COIR_US);
    there[1] = there[0];
    ADD(lives, -1);
}

static void churn(void)
{
    for (unsigned i = 0; LOAD(churning); i++) {
        if (LOAD(lives) > 200) {
            coir_sleep(50 * COIR_US);
            continue;
        }
        ADD(lives, 1);
        if (i % 8 == 0) // a mapping of its own, which goes
            expect_eq(coir_go_with(coir_opts(.name = "big", .stack_bytes = 32 << 10),
                                   short_life, 1),
                      0);
        else
            expect_eq(coir_go(short_life, 0), 0);
    }
}

struct ids {
    uint64_t *ids;
    size_t n, room;
    int steady;
};

static int gather(void *arg, const coir_coroutine_info *info)
{
    struct ids *l = arg;

    if (l->n == l->room) {
        l->room = l->room ? l->room * 2 : 1024;
        l->ids = realloc(l->ids, l->room * sizeof(l->ids[0]));
        expect(l->ids);
    }
    l->ids[l->n++] = info->id;
    l->steady += info->object == gate;
    expect(info->name[0] == 0 || strcmp(info->name, "big") == 0);
    expect(info->n_frames >= 0 && info->n_frames <= COIR_FRAMES_MAX);
    return coir_now() < 0; // a coir call is allowed here
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void look_once(coir_runtime *rt)
{
    struct ids l = {0};

    expect_eq(coir_each(rt, gather, &l), 0);
    qsort(l.ids, l.n, sizeof(l.ids[0]), by_value);
    for (size_t i = 1; i < l.n; i++) expect(l.ids[i - 1] != l.ids[i]);
    expect_eq(l.steady, 100);
    free(l.ids);
}

static void nobody_is_shown_twice_while_others_come_and_go(void)
{
    int64_t end = coir_after(400 * COIR_MS * test_slowness());
    int null = open_memory();
    coir_runtime *rt;

    expect_eq(coir_start(&config, &rt), 0);
    make_crowd(rt, 100);
    until_parked(rt, 100);
    __atomic_store_n(&churning, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) expect_eq(coir_go_on(rt, churn), 0);
    for (int i = 0; coir_now() < end; i++) {
        look_once(rt);
        if (i % 16 == 0) {
            expect_eq(ftruncate(null, 0), 0);
            expect_eq(coir_dump(rt, null), 0);
        }
    }
    __atomic_store_n(&churning, 0, __ATOMIC_RELEASE);
    end_crowd(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    close(null);
}

// ---- The dump ----------------------------------------------------------------------------------

static int pipe_ends[2];

static void reads_a_pipe(void)
{
    char c;

    expect_eq(coir_read(pipe_ends[0], &c, 1, COIR_FOREVER), 0);
}

static char *dump_of(coir_runtime *rt)
{
    int fd = open_memory();
    char *text;
    off_t n;

    expect_eq(coir_dump(rt, fd), 0);
    n = lseek(fd, 0, SEEK_END);
    text = calloc(1, (size_t)n + 1);
    expect_eq(pread(fd, text, (size_t)n, 0), n);
    close(fd);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;

    while ((text = strstr(text, word))) n++, text++;
    return n;
}

static void the_dump_names_the_function_that_waits(void)
{
    coir_runtime *rt;

    expect_eq(pipe(pipe_ends), 0);
    expect_eq(coir_start(&config, &rt), 0);
    make_crowd(rt, 50);
    expect_eq(coir_go_with(coir_opts(.name = "reader", .rt = rt), reads_a_pipe), 0);
    until_parked(rt, 51);

    char *text = dump_of(rt);
    expect_eq(count(text, "coroutine "), 51);
    expect_eq(count(text, " s in chan recv "), 50);
    expect_eq(count(text, "\"reader\": parked"), 1);
    expect_eq(count(text, " s in read fd "), 1);
    expect_eq(count(text, "waits_in_here"), 50);
    expect_eq(count(text, "calls_what_waits"),
              50); // two deep, and no frame pointers needed
    free(text);

    close(pipe_ends[1]);
    end_crowd(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    close(pipe_ends[0]);
}

// High-water mark: what a call used that is over, beside what the wait uses.
__attribute__((noinline)) static void goes_deep(void)
{
    char *frame = __builtin_alloca(20000); // stays on this stack under ASan too

    memset(frame, 1, 20000);
    __asm__ volatile("" ::"r"(frame) : "memory");
}

static void goes_deep_and_waits(void)
{
    goes_deep();
    expect_eq(coir_chan_recv(gate, NULL, COIR_FOREVER), -EPIPE);
}

static int how_deep(void *arg, const coir_coroutine_info *info)
{
    if (info->state != COIR_PARKED) return 0;
    printf("%zu of %zu bytes in use, at most %zu\n", info->stack_used, info->stack_bytes,
           info->stack_most);
    expect(info->stack_used < 16000);
    expect(info->stack_most > 20000 && info->stack_most < 60000);
    expect(info->stack_most < info->stack_bytes);
    ++*(int *)arg;
    return 0;
}

static void the_dump_says_how_deep_it_was(void)
{
    coir_runtime *rt;
    int n = 0;

    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_chan_make(0, 0, &gate), 0);
    expect_eq(coir_go_on(rt, goes_deep_and_waits), 0);
    // One of another size too, whose mapping goes when it ends.
    expect_eq(coir_go_with(coir_opts(.rt = rt, .stack_bytes = 1 << 20),
                           goes_deep_and_waits),
              0);
    // And the largest there is.
    expect_eq(coir_go_with(coir_opts(.rt = rt, .stack_bytes = (size_t)1 << 30),
                           goes_deep_and_waits),
              0);
    until_parked(rt, 3);
    expect_eq(coir_each(rt, how_deep, &n), 0);
    expect_eq(n, 3);
    char *text = dump_of(rt);
    const char *most = strstr(text, " at most ");
    expect(most && strtoul(most + strlen(" at most "), NULL, 10) > 20000);
    free(text);
    end_crowd(rt);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

static void a_dump_into_a_closed_pipe_is_an_error(void)
{
    coir_runtime *rt;

    expect_eq(pipe(pipe_ends), 0);
    close(pipe_ends[0]);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_dump(rt, pipe_ends[1]), -EPIPE); // and no SIGPIPE
    expect_eq(coir_dump(rt, -1), -EBADF);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    close(pipe_ends[1]);
}

// ---- Counts and errors -------------------------------------------------------------------------

static void nothing(void *arg)
{
    (void)arg;
}

static int looks_at_itself(void *arg)
{
    coir_stats stats = COIR_STATS_INIT;
    uint64_t me = 0, threads;

    (void)arg;
    expect_eq(coir_each(NULL, least_id, &me), 0); // NULL: its own
    expect_eq(me, coir_id());
    expect_eq(coir_stats_read(NULL, &stats), 0);
    expect_eq(stats.coroutines, 1);
    expect_eq(stats.made, 1);
    expect_eq(stats.parked, 0);
    expect(stats.threads >= 1 && stats.stacks >= 1);
    threads = stats.threads;
    expect_eq(coir_blocking(nothing, NULL), 0);
    expect_eq(coir_stats_read(NULL, &stats), 0);
    expect(stats.threads > threads); // the helper, which stays for a second
    for (int i = 0; i < 5; i++) expect_eq(coir_go(short_life, ADD(lives, 1) & 0), 0);
    do {
        coir_sleep(COIR_MS);
        expect_eq(coir_stats_read(NULL, &stats), 0);
    } while (stats.coroutines > 1);
    expect_eq(stats.made, 6);
    return 0;
}

static void bad_values_are_refused(void)
{
    coir_stats stats = COIR_STATS_INIT;
    coir_runtime *rt;
    int n = 0;

    expect_eq(coir_stats_read(NULL, &stats), -EINVAL);
    expect_eq(coir_each(NULL, stop_at_third, &n), -EINVAL);
    expect_eq(coir_dump(NULL, 2), -EINVAL);
    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_stats_read(rt, NULL), -EINVAL);
    expect_eq(coir_each(rt, NULL, NULL), -EINVAL);
    stats.size = 0;
    expect_eq(coir_stats_read(rt, &stats), -EINVAL);
    stats.made = 77; // beyond what this caller knows
    stats.size = offsetof(coir_stats, made);
    expect_eq(coir_stats_read(rt, &stats), 0);
    expect_eq(stats.made, 77);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
}

int main(void)
{
    each_of_ten_thousand_is_shown_once();
    the_callback_ends_the_walk();
    for (unsigned workers = 1; workers <= 2; workers++) {
        config.workers = workers;
        nobody_is_shown_twice_while_others_come_and_go();
    }
    the_dump_names_the_function_that_waits();
    config.driver = COIR_DRIVER_EPOLL;
    the_dump_names_the_function_that_waits();
    the_dump_says_how_deep_it_was();
    a_dump_into_a_closed_pipe_is_an_error();
    expect_eq(coir_run(&config, looks_at_itself, NULL), 0);
    bad_values_are_refused();
    return 0;
}
