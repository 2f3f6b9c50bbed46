// SPDX-License-Identifier: MIT
// The helper and the caller share a look-up by two references: getaddrinfo cannot be interrupted,
// so a caller whose deadline passed leaves, and the helper frees what it found.
#include "io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/platform.h"
#include "base/waiter.h"
#include "coir/io.h"
#include "io/offload.h"
#include "sched/park.h"

#define NAME_BYTES 256

struct lookup {
    // Constant.
    const struct memory *memory;
    struct offload_job job;
    char host[NAME_BYTES], service[NAME_BYTES];
    bool has_host, has_service, has_hints;
    struct addrinfo hints;

    atomic_u32 refs; // the helper's and the waiter's

    // Guarded by lock.
    struct lock lock;
    struct waiter *waiter; // NULL: nobody waits any more
    bool done;
    int err;
    struct addrinfo *list; // NULL: none, or the caller took it
};

static void put_lookup(struct lookup *l)
{
    // [LOOKUP-REF] acq_rel, pairs with itself.
    if (add_acq_rel(&l->refs, (uint32_t)-1) != 1) return;
    os_resolve_free(l->list);
    MEMORY_PUT(l->memory, l, struct lookup, 1);
}

static void look_up(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo *list = NULL;
    struct task *t = NULL;
    int err = l->job.err;

    if (err == 0)
        err = os_resolve(l->has_host ? l->host : NULL, l->has_service ? l->service : NULL,
                         l->has_hints ? &l->hints : NULL, &list);
    lock_acquire(&l->lock);
    l->list = list;
    l->err = err;
    l->done = true;
    if (l->waiter && waiter_claim(l->waiter)) t = l->waiter->task;
    if (t) t->outcome = 0;
    lock_release(&l->lock);
    if (t) ready(t);
    put_lookup(l);
}

static int wait_for(struct lookup *l, int64_t deadline, bool deaf)
{
    struct task here;
    struct waiter w = {.task = task_self(&here)};
    int outcome = 0;

    lock_acquire(&l->lock);
    if (!l->done) {
        w.ticket = deaf ? wait_open_shielded(w.task, "name look-up", NULL)
                        : wait_open(w.task, "name look-up", NULL);
        l->waiter = &w;
        lock_release(&l->lock);
        outcome = park(w.task, deadline);
        lock_acquire(&l->lock);
        l->waiter = NULL;
        if (l->done) outcome = 0; // it came at the last moment
    }
    lock_release(&l->lock);
    return outcome;
}

static int copy(char to[NAME_BYTES], const char *from, bool *ret_has)
{
    *ret_has = from != NULL;
    if (!from) return 0;
    if (strlen(from) >= NAME_BYTES) return -ENAMETOOLONG;
    strcpy(to, from);
    return 0;
}

static int fill(struct lookup *l, const char *host, const char *service,
                const struct addrinfo *hints)
{
    int err = copy(l->host, host, &l->has_host);

    if (err == 0) err = copy(l->service, service, &l->has_service);
    if (hints) {
        l->has_hints = true;
        l->hints = (struct addrinfo){.ai_flags = hints->ai_flags,
                                     .ai_family = hints->ai_family,
                                     .ai_socktype = hints->ai_socktype,
                                     .ai_protocol = hints->ai_protocol};
    }
    l->job.fn = look_up;
    l->job.arg = l;
    store_relaxed(&l->refs, 2); // relaxed: nobody knows it yet
    lock_init(&l->lock, LOCK_RANK_OBJECT);
    return err;
}

// No host, or one in numbers: nobody has to be asked.
static bool is_answered_here(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return !host || inet_pton(AF_INET, host, bytes) == 1 ||
           inet_pton(AF_INET6, host, bytes) == 1;
}

int resolve(const char *host, const char *service, const struct addrinfo *hints,
            struct addrinfo **ret_list, int64_t deadline, bool deaf)
{
    if (is_answered_here(host)) return os_resolve(host, service, hints, ret_list);
    if (deadline <= CLOCK_PAST) return -ETIMEDOUT;
    const struct memory *mem = park_memory();
    struct lookup *l = MEMORY_GET(mem, struct lookup, 1);
    if (!l) return -ENOMEM;
    l->memory = mem;
    int err = fill(l, host, service, hints);
    if (err < 0) {
        MEMORY_PUT(mem, l, struct lookup, 1);
        return err;
    }
    offload_start(&l->job);
    err = wait_for(l, deadline, deaf);
    if (err == 0) err = l->err;
    if (err == 0) {
        *ret_list = l->list;
        l->list = NULL;
    }
    put_lookup(l);
    return err;
}

int coir_resolve(const char *host, const char *service, const struct addrinfo *hints,
                 struct addrinfo **ret_list, int64_t deadline)
{
    int err = park_canceled();

    if (err < 0) return err;
    if ((!host && !service) || !ret_list) return -EINVAL;
    if (park_real_io() < 0) return -ENOTSUP;
    return resolve(host, service, hints, ret_list, deadline, false);
}

void coir_resolve_free(struct addrinfo *list)
{
    os_resolve_free(list);
}
