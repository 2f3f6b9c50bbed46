// SPDX-License-Identifier: MIT
// allocator: what a runtime needs comes from config.allocator, piece by piece as it was asked for,
// and all of it is given back; where there is none left a call says so and the next one works.
// Method: an allocator that writes size and alignment in front of each piece, a mark behind it and
// rubbish into it, counts what is out, and can refuse the n-th call.
#include <coir.h>
#include <coir/go.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define FRONT 4096 // the most that 'align' may be here
#define MARK 0xc01fee
#define KINDS 16 // alignments are powers of two

struct counted {
    atomic_long n_out, bytes_out, n_got;
    atomic_long aligned[KINDS];
    atomic_long until; // calls until one is refused, that one counted; 0: none is
    atomic_bool and_after;
    atomic_long n_refused;
};

struct front {
    size_t size, align;
    char *block;
};

static bool is_refused(struct counted *c)
{
    long n = atomic_load(&c->until);

    while (n > 0) {
        long next = n == 1 && c->and_after ? 1 : n - 1;
        if (!atomic_compare_exchange_weak(&c->until, &n, next)) continue;
        if (n == 1) atomic_fetch_add(&c->n_refused, 1);
        return n == 1;
    }
    return false;
}

static void *get(void *ctx, size_t size, size_t align)
{
    struct counted *c = ctx;
    const int mark = MARK;

    expect(size > 0);
    expect(align >= sizeof(void *) && align <= FRONT && (align & (align - 1)) == 0);
    if (is_refused(c)) return NULL;
    char *block = malloc(sizeof(struct front) + 2 * align + size + sizeof(mark));
    expect(block != NULL);
    uintptr_t at = (uintptr_t)block + sizeof(struct front);
    at = (at + align - 1) & ~(uintptr_t)(align - 1);
    if (at % (2 * align) == 0) at += align; // as asked for, and not more by chance
    char *p = (char *)at;
    struct front front = {size, align, block};
    memcpy(p - sizeof(front), &front, sizeof(front));
    memset(p, 0xa5, size);
    memcpy(p + size, &mark, sizeof(mark));
    atomic_fetch_add(&c->n_out, 1);
    atomic_fetch_add(&c->n_got, 1);
    atomic_fetch_add(&c->bytes_out, (long)size);
    atomic_fetch_add(&c->aligned[__builtin_ctzl(align)], 1);
    return p;
}

static void put(void *ctx, void *p, size_t size, size_t align)
{
    struct counted *c = ctx;
    struct front front;
    int mark;

    expect(p != NULL);
    memcpy(&front, (char *)p - sizeof(front), sizeof(front));
    memcpy(&mark, (char *)p + front.size, sizeof(mark));
    expect_eq(size, front.size);
    expect_eq(align, front.align);
    expect_eq(mark, MARK);
    memset(p, 0x5a, size);
    atomic_fetch_sub(&c->n_out, 1);
    atomic_fetch_sub(&c->bytes_out, (long)size);
    free(front.block);
}

// ---- A program that needs every kind of memory there is --------------------------------------

#define SLEEPERS 200 // the heap of deadlines grows
#define READERS 100  // so do the table of operations and epoll's
#define CASES 100    // more than select has room for in its frame

static coir_chan *all_ended, *silent;
static struct counted *is_short; // refuses memory now and then: calls may fail

static bool fine(int err)
{
    return err == 0 || (is_short && (err == -ENOMEM || err == -EAGAIN));
}

static void ends(void)
{
    expect_eq(coir_chan_send(all_ended, NULL, COIR_FOREVER), 0);
}

static void sleeps(int64_t ns)
{
    coir_sleep(ns); // or not, where a deadline finds no memory
    ends();
}

static void reads(int fd)
{
    char byte;

    ssize_t n = coir_read(fd, &byte, 1, coir_after(2 * COIR_MS));
    expect(n == -ETIMEDOUT || fine((int)n));
    ends();
}

static void keeps(coir_key key)
{
    int err = coir_local_set(key, &all_ended);

    expect(fine(err));
    expect(coir_local_get(key) == (err == 0 ? &all_ended : NULL));
    ends();
}

static void nothing(void *arg)
{
    (void)arg;
}

static int looks_at(void *arg, const coir_coroutine_info *info)
{
    (void)arg;
    return info->id == 0;
}

static int crowd(int n, void (*fn)(int64_t), int64_t arg)
{
    int made = 0;

    for (int i = 0; i < n; i++) {
        int err = i % 4 ? go(fn, arg)
                        : coir_go_with(coir_opts(.stack_bytes = 128 << 10), fn, arg);
        expect(fine(err));
        made += err == 0;
    }
    return made;
}

static int read_crowd(int fds[][2])
{
    int made = 0;

    for (int i = 0; i < READERS; i++) {
        expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]), 0);
        int err = go(reads, fds[i][0]);
        expect(fine(err));
        made += err == 0;
    }
    return made;
}

static void select_among_many(void)
{
    coir_case cases[CASES];

    for (int i = 0; i < CASES; i++)
        cases[i] = (coir_case){.chan = silent, .dir = COIR_RECV};
    int err = coir_select(cases, CASES, COIR_NOW);
    expect(err == -ETIMEDOUT || (is_short && err == -ENOMEM));
}

static void sends_a_file(void)
{
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to[2];
    off_t offset = 0;

    expect(from >= 0);
    expect_eq(pipe2(to, O_CLOEXEC), 0);
    ssize_t n = coir_sendfile(to[1], from, &offset, 1000, coir_after(COIR_SEC));
    expect(n == 1000 || is_short);
    for (int i = 0; i < 2; i++) coir_close(to[i]);
    coir_close(from);
}

static void looks_up_a_name(void)
{
    struct addrinfo *list = NULL;

    // Whatever this machine says: what counts is that the look-up's memory comes back.
    if (coir_resolve("localhost", "80", NULL, &list, coir_after(5 * COIR_SEC)) == 0)
        coir_resolve_free(list);
}

static void every_kind(coir_runtime *rt)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int(*fds)[2] = malloc(READERS * sizeof(*fds));
    coir_key key;
    int n;

    expect(null >= 0 && fds != NULL);
    n = crowd(SLEEPERS, sleeps, COIR_MS) + read_crowd(fds);
    expect_eq(coir_local_make(NULL, &key), 0);
    int err = go(keeps, key);
    expect(fine(err));
    n += err == 0;
    err = coir_dump(rt, null);
    expect(fine(err));
    err = coir_each(rt, looks_at, NULL);
    expect(fine(err));
    err = coir_on_big_stack(1 << 20, nothing, NULL);
    expect(fine(err));
    err = coir_blocking(nothing, NULL);
    expect(fine(err));
    select_among_many();
    sends_a_file();
    looks_up_a_name();
    // What is under way ends without memory: deadlines, wakes, closes.
    for (int i = 0; i < n; i++)
        expect_eq(coir_chan_recv(all_ended, NULL, COIR_FOREVER), 0);
    expect_eq(coir_local_free(key), 0);
    for (int i = 0; i < READERS; i++)
        for (int j = 0; j < 2; j++) coir_close(fds[i][j]);
    free(fds);
    close(null);
}

static int first(void *arg)
{
    (void)arg;
    every_kind(coir_current());
    return 7;
}

// ---- The claims ------------------------------------------------------------------------------

static coir_config config_with(const coir_allocator *allocator, coir_driver driver)
{
    coir_config config = COIR_CONFIG_INIT;

    config.allocator = allocator;
    config.driver = driver;
    config.workers = 2;
    config.stop_ns = 50 * COIR_SEC;
    return config;
}

static void all_comes_from_it_and_goes_back(coir_driver driver)
{
    struct counted c = {0};
    coir_allocator a = {get, put, &c};
    coir_config config = config_with(&a, driver);
    int result = coir_run(&config, first, NULL);

    if (driver == COIR_DRIVER_URING && result < 0) return; // no ring here
    expect_eq(result, 7);
    expect(c.n_got > 25);     // how many threads start is a matter of time
    expect(c.aligned[6] > 0); // a cache line
    expect_eq(c.n_out, 0);
    expect_eq(c.bytes_out, 0);
    printf("%s: %ld pieces\n", driver == COIR_DRIVER_URING ? "ring" : "epoll", c.n_got);
}

// The table is read at the start; what it holds is used until the stop, by a start that fails too.
static void only_the_table_may_go(void)
{
    struct counted c = {0};
    coir_allocator *a = malloc(sizeof(*a));
    coir_config config = config_with(a, COIR_DRIVER_AUTO);
    coir_runtime *rt;

    expect(a != NULL);
    *a = (coir_allocator){get, put, &c};
    expect_eq(coir_start(&config, &rt), 0);
    memset(a, 0xa5, sizeof(*a));
    free(a);
    expect(c.n_out > 0);
    for (int i = 0; i < 100; i++) expect_eq(coir_go_on(rt, nothing, NULL), 0);
    expect_eq(coir_stop(rt, COIR_FOREVER), 0);
    expect_eq(c.n_out, 0);
}

static void two_runtimes_keep_theirs_apart(void)
{
    struct counted c[2] = {0};
    coir_allocator a[2] = {{get, put, &c[0]}, {get, put, &c[1]}};
    coir_config config[2] = {config_with(&a[0], COIR_DRIVER_AUTO),
                             config_with(&a[1], COIR_DRIVER_AUTO)};
    coir_runtime *rt[2];

    for (int i = 0; i < 2; i++) expect_eq(coir_start(&config[i], &rt[i]), 0);
    expect_eq(coir_stop(rt[0], COIR_FOREVER), 0);
    expect_eq(c[0].n_out, 0);
    expect(c[1].n_out > 0);
    expect_eq(coir_stop(rt[1], COIR_FOREVER), 0);
    expect_eq(c[1].n_out, 0);
}

static void half_a_table_is_refused(void)
{
    struct counted c = {0};
    coir_allocator a[3] = {{NULL, put, &c}, {get, NULL, &c}, {NULL, NULL, NULL}};
    coir_runtime *rt = NULL;

    for (int i = 0; i < 3; i++) {
        coir_config config = config_with(&a[i], COIR_DRIVER_AUTO);

        expect_eq(coir_start(&config, &rt), -EINVAL);
        expect_eq(coir_run(&config, first, NULL), -EINVAL);
        expect(rt == NULL);
    }
    expect_eq(c.n_got, 0);
}

// The n-th call is refused. How many were.
static long refuse_at(long n, bool and_after)
{
    struct counted c = {.until = n, .and_after = and_after};
    coir_allocator a = {get, put, &c};
    coir_config config = config_with(&a, COIR_DRIVER_AUTO);
    is_short = n > 0 ? &c : NULL;
    int result = coir_run(&config, first, NULL);

    is_short = NULL;
    expect(result == 7 || result == -ENOMEM || result == -EAGAIN);
    expect_eq(c.n_out, 0);
    expect_eq(c.bytes_out, 0);
    return c.n_refused;
}

// Each of the first calls, which the start and the first coroutine make; then ever fewer.
static void what_is_refused_is_an_error(void)
{
    long n = 1;

    while (refuse_at(n, false) > 0) n += n < 40 / (long)test_slowness() ? 1 : 1 + n / 4;
    printf("refused once, up to the %ld-th call\n", n);
    expect(n > 40);
    for (n = 1; refuse_at(n, true) > 0; n += n < 8 ? 1 : 1 + n / 2) continue;
    expect_eq(refuse_at(0, false), 0);
}

int main(void)
{
    expect_eq(coir_chan_make(0, 0, &all_ended), 0);
    expect_eq(coir_chan_make(0, 0, &silent), 0);
    all_comes_from_it_and_goes_back(COIR_DRIVER_URING);
    all_comes_from_it_and_goes_back(COIR_DRIVER_EPOLL);
    only_the_table_may_go();
    two_runtimes_keep_theirs_apart();
    half_a_table_is_refused();
    what_is_refused_is_an_error();
    coir_chan_unref(all_ended);
    coir_chan_unref(silent);
    return 0;
}
