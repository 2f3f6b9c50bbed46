// SPDX-License-Identifier: MIT
// coir/jemalloc.h - an allocator for config.allocator: jemalloc with arenas of its own.
//
// In a library of its own, libcoir_jemalloc (pkg-config coir-jemalloc), which libcoir never links.
// What is linked with it has jemalloc in the process, and where that is built without a prefix, as
// Debian's is, malloc is jemalloc's there too.
//
//     coir_jemalloc *j;
//     coir_jemalloc_open(0, &j);
//     config.allocator = coir_jemalloc_allocator(j);
//     ... coir_run or coir_start and coir_stop ...
//     coir_jemalloc_close(j);
//
// The arenas are j's alone: what is allocated there lies beside nothing of the host's, is counted
// by itself and goes whole. Each thread that uses the table has one of them, the one that the
// fewest living threads had when it came, and a cache of its own; whoever frees may be any thread.
// A program may use the table for its own memory as well: in a server, what a request needs and
// another worker frees.
#ifndef COIR_JEMALLOC_H
#define COIR_JEMALLOC_H

#include <stddef.h>

#include <coir/base.h>
#include <coir/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

// Some arenas and the caches of the threads that use them.
typedef struct coir_jemalloc coir_jemalloc;

// Makes 'arenas' arenas, at most 1,024; 0: one for each processor of this process. Threads
// share them evenly, and with as many as there are threads that use the table none is shared: that
// is the workers, and beside them who starts the runtime, its watching thread, spares and helpers.
// Any thread, never waits.
// 0 | -EINVAL (too many, NULL ret_j) | -ENOMEM | -EAGAIN (jemalloc has no more arenas, or the
// process no more thread-specific keys)
COIR_API COIR_MUST_USE int coir_jemalloc_open(unsigned arenas, coir_jemalloc **ret_j);

// The table for config.allocator: lives as long as j. NULL for NULL. Never fails, any thread.
COIR_API const coir_allocator *coir_jemalloc_allocator(coir_jemalloc *j);

// What lies in j's arenas, in bytes.
typedef struct coir_jemalloc_stats {
    size_t size;
    size_t arenas;
    size_t threads;   // that have a cache now
    size_t allocated; // handed out, caches included
    size_t active;    // pages that hold some of that
    size_t resident;  // pages that the kernel has given
    size_t mapped;
} coir_jemalloc_stats;

#ifdef __cplusplus
static inline coir_jemalloc_stats coir_jemalloc_stats_init_(void)
{
    coir_jemalloc_stats stats = coir_jemalloc_stats();
    stats.size = sizeof(stats);
    return stats;
}
#define COIR_JEMALLOC_STATS_INIT coir_jemalloc_stats_init_()
#else
#define COIR_JEMALLOC_STATS_INIT                                                         \
    {                                                                                    \
        .size = sizeof(struct coir_jemalloc_stats)                                       \
    }
#endif

// Reads them, by mallctl(3) of jemalloc. Some microseconds an arena; any thread.
// 0 | -EINVAL (NULL, .size is 0) | -ENOTSUP (a jemalloc that was built without statistics)
COIR_API int coir_jemalloc_stats_read(coir_jemalloc *j, coir_jemalloc_stats *ret_stats);

// Gives the arenas back, and all that still lies in them. No thread uses j any more: runtimes with
// its table have stopped. NULL is allowed. 0 | -EBUSY (jemalloc kept an arena; j is gone)
COIR_API int coir_jemalloc_close(coir_jemalloc *j);

#ifdef __cplusplus
}
#endif

#endif
