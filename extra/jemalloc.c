// SPDX-License-Identifier: MIT
// jemalloc - coir's allocator table on jemalloc's extended interface (mallocx, sdallocx, mallctl).
//
//     thread --first call--> a place of its own in j's list: {cache, arena}
//            --end---------> the cache is flushed, the place is free for the next thread, and the
//                            arena has one thread less
//     close  --------------> every cache and every arena is destroyed
//
// The caches are explicit ones (tcache.create) and not the thread's automatic one: that one would
// hand out what the thread freed of the host's, and keep arenas from being destroyed. A place is
// taken by one compare-and-swap and never leaves the list: nothing is locked here, so a child of
// fork finds nothing locked. Whoever takes one gets the arena that the fewest living threads have.
#include "coir/jemalloc.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

// je_NAME is whatever this jemalloc was built to call NAME: on Debian NAME itself.
#define JEMALLOC_NO_DEMANGLE
#include <jemalloc/jemalloc.h>

#include "base/atomic.h"

#define ARENAS_MOST 1024u

// Where a thread allocates. 'flags' are mallocx's.
struct place {
    struct place *next; // constant once it is listed
    unsigned cache;
    struct arena *arena;
    int get_flags, put_flags;
    atomic_u32 taken;
};

struct arena {
    unsigned number; // jemalloc's
    atomic_u32 threads;
};

struct coir_jemalloc {
    coir_allocator table;
    pthread_key_t key; // the thread's place
    atomic_ptr(struct place) places;
    unsigned n_arenas;
    struct arena arenas[];
};

static int control_get(const char *name, void *ret_value, size_t bytes)
{
    return -je_mallctl(name, ret_value, &bytes, NULL, 0);
}

static int control_set(const char *name, unsigned value)
{
    return -je_mallctl(name, NULL, NULL, &value, sizeof(value));
}

// mallctl's "arena.<i>.word" and "stats.arenas.<i>.word": 'at' is where the number stands.
static int control_arena(const char *name, size_t at, unsigned arena, size_t *ret_value)
{
    size_t mib[6], n = 6, bytes = sizeof(*ret_value);
    int err = je_mallctlnametomib(name, mib, &n);

    if (err) return -err;
    mib[at] = arena;
    return -je_mallctlbymib(mib, n, ret_value, ret_value ? &bytes : NULL, NULL, 0);
}

// ---- Places ------------------------------------------------------------------------------------

static struct place *take_free_place(coir_jemalloc *j)
{
    // [PLACE-SEEN] acquire, pairs with [PLACE-LISTED]: the place is whole.
    for (struct place *p = load_acquire(&j->places); p; p = p->next) {
        uint32_t was = 0;

        // [PLACE-TAKE] acquire, pairs with [PLACE-FREE]: its cache is as the last thread left it.
        if (cas_acquire(&p->taken, &was, 1)) return p;
    }
    return NULL;
}

// The one with the fewest threads. While none ends, each gets one of its own as long as there are
// any: whoever comes second at a count looks again.
static struct arena *enter_arena(coir_jemalloc *j)
{
    for (;;) {
        struct arena *least = &j->arenas[0];
        uint32_t threads = load_relaxed(&least->threads); // relaxed, all: a count

        for (unsigned i = 1; threads && i < j->n_arenas; i++) {
            uint32_t n = load_relaxed(&j->arenas[i].threads); // relaxed: as above

            if (n >= threads) continue;
            least = &j->arenas[i];
            threads = n;
        }
        // relaxed: a count
        if (cas_relaxed(&least->threads, &threads, threads + 1)) return least;
    }
}

static void leave_arena(struct place *p)
{
    add_relaxed(&p->arena->threads, (uint32_t)-1); // relaxed: a count
}

// MALLOCX_ARENA shifts an int, which has no room for 2,047 and more; jemalloc reads it unsigned.
static int arena_flag(unsigned arena)
{
    return (int)((arena + 1u) << 20);
}

// Its own cache, or none where jemalloc has no more of them.
static struct place *make_place(coir_jemalloc *j)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p) return NULL;
    bool cached = control_get("tcache.create", &p->cache, sizeof(p->cache)) == 0;
    p->put_flags = cached ? (int)MALLOCX_TCACHE(p->cache) : (int)MALLOCX_TCACHE_NONE;
    store_relaxed(&p->taken, 1);        // relaxed: nobody sees it yet
    p->next = load_relaxed(&j->places); // relaxed: compared below
    // [PLACE-LISTED] release, pairs with [PLACE-SEEN].
    while (!cas_release(&j->places, &p->next, p)) continue;
    return p;
}

static __attribute__((cold, noinline)) struct place *new_place(coir_jemalloc *j)
{
    struct place *p = take_free_place(j);

    if (!p) p = make_place(j);
    if (!p) return NULL;
    p->arena = enter_arena(j);
    p->get_flags = p->put_flags | arena_flag(p->arena->number);
    if (pthread_setspecific(j->key, p) != 0) {
        leave_arena(p);
        // [PLACE-FREE] release, pairs with [PLACE-TAKE].
        store_release(&p->taken, 0);
        p = NULL;
    }
    return p;
}

static bool has_cache(const struct place *p)
{
    return p->put_flags != (int)MALLOCX_TCACHE_NONE;
}

// The thread ends.
static void leave_place(void *place)
{
    struct place *p = place;

    if (has_cache(p)) control_set("tcache.flush", p->cache);
    leave_arena(p);
    // [PLACE-FREE] release, pairs with [PLACE-TAKE].
    store_release(&p->taken, 0);
}

static struct place *here(coir_jemalloc *j)
{
    struct place *p = pthread_getspecific(j->key);

    return p ? p : new_place(j);
}

// ---- The table ---------------------------------------------------------------------------------

// Nothing may be given to mallocx that is 0, and alignments below its own cost a look-up.
static int align_flag(size_t align)
{
    return align > sizeof(void *) ? (int)MALLOCX_ALIGN(align) : 0;
}

static void *get(void *ctx, size_t size, size_t align)
{
    struct place *p = here(ctx);

    return p ? je_mallocx(size ? size : 1, p->get_flags | align_flag(align)) : NULL;
}

static void put(void *ctx, void *memory, size_t size, size_t align)
{
    struct place *p = here(ctx);
    int flags = p ? p->put_flags : (int)MALLOCX_TCACHE_NONE;

    je_sdallocx(memory, size ? size : 1, flags | align_flag(align));
}

// ---- Open and close ----------------------------------------------------------------------------

static unsigned processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (unsigned)n : 1;
}

// 0 | -EBUSY
static int destroy_arenas(coir_jemalloc *j)
{
    int err = 0;

    for (unsigned i = 0; i < j->n_arenas; i++)
        if (control_arena("arena.0.destroy", 1, j->arenas[i].number, NULL) < 0)
            err = -EBUSY;
    return err;
}

int coir_jemalloc_open(unsigned arenas, coir_jemalloc **ret_j)
{
    unsigned n = arenas ? arenas : processors();

    if (!ret_j || n > ARENAS_MOST) return -EINVAL;
    coir_jemalloc *j = calloc(1, sizeof(*j) + n * sizeof(j->arenas[0]));
    if (!j) return -ENOMEM;
    j->table = (coir_allocator){.alloc = get, .release = put, .ctx = j};
    int err = -pthread_key_create(&j->key, leave_place);
    if (err < 0) goto free_j;
    while (err == 0 && j->n_arenas < n) {
        err = control_get("arenas.create", &j->arenas[j->n_arenas].number,
                          sizeof(unsigned));
        if (err == 0) j->n_arenas++;
    }
    if (err < 0) goto destroy;
    *ret_j = j;
    return 0;

destroy:
    destroy_arenas(j);
    pthread_key_delete(j->key);
free_j:
    free(j);
    return err == -ENOMEM ? -ENOMEM : -EAGAIN;
}

const coir_allocator *coir_jemalloc_allocator(coir_jemalloc *j)
{
    return j ? &j->table : NULL;
}

int coir_jemalloc_close(coir_jemalloc *j)
{
    if (!j) return 0;
    pthread_key_delete(j->key);
    // [PLACE-SEEN] acquire, pairs with [PLACE-LISTED].
    for (struct place *p = load_acquire(&j->places), *next; p; p = next) {
        next = p->next;
        if (has_cache(p)) control_set("tcache.destroy", p->cache);
        free(p);
    }
    int err = destroy_arenas(j);
    free(j);
    return err;
}

// ---- Statistics --------------------------------------------------------------------------------

static int add_arena(coir_jemalloc_stats *s, unsigned arena, size_t page)
{
    static const char *const names[] = {"stats.arenas.0.small.allocated",
                                        "stats.arenas.0.large.allocated",
                                        "stats.arenas.0.pactive",
                                        "stats.arenas.0.resident",
                                        "stats.arenas.0.mapped"};
    size_t v[sizeof(names) / sizeof(names[0])];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (control_arena(names[i], 2, arena, &v[i]) < 0) return -ENOTSUP;
    s->allocated += v[0] + v[1];
    s->active += v[2] * page;
    s->resident += v[3];
    s->mapped += v[4];
    return 0;
}

int coir_jemalloc_stats_read(coir_jemalloc *j, coir_jemalloc_stats *ret_stats)
{
    uint64_t epoch = 1;
    size_t page = 0;
    int err = 0;

    if (!j || !ret_stats || ret_stats->size == 0) return -EINVAL;
    coir_jemalloc_stats s = {.size = ret_stats->size, .arenas = j->n_arenas};
    // They stand still until the epoch moves.
    je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    if (control_get("arenas.page", &page, sizeof(page)) < 0) return -ENOTSUP;
    for (unsigned i = 0; err == 0 && i < j->n_arenas; i++)
        err = add_arena(&s, j->arenas[i].number, page);
    if (err < 0) return err;
    // [PLACE-SEEN] acquire, pairs with [PLACE-LISTED].
    for (struct place *p = load_acquire(&j->places); p; p = p->next)
        s.threads += load_relaxed(&p->taken); // relaxed: a count
    memcpy(ret_stats, &s, s.size < sizeof(s) ? s.size : sizeof(s));
    return 0;
}
