// SPDX-License-Identifier: MIT
// platform_memory - the seam's memory: allocations, the mappings of stacks, and their guards.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/platform.h"
#include "base/platform_call.h"
#ifdef COIR_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 // Linux 6.13
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 // Linux 5.18
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000) // Linux 6.14; before it the advice goes piece by piece
#endif

#define ADVICE_BATCH 64u // of one process_madvise

void *os_alloc(size_t bytes, size_t align)
{
    void *p = NULL;

    if (fault_here(FAULT_ALLOC)) return NULL;
    if (align < sizeof(void *)) align = sizeof(void *);
    if (posix_memalign(&p, align, bytes)) return NULL;
    memset(p, 0, bytes);
    return p;
}

void os_free(void *p)
{
    free(p);
}

size_t os_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

#define MAP_WHAT (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK)

// Makes a mapping that was made without access usable. Under mlockall(MCL_FUTURE) the kernel
// would have filled every page of it at once; without access it could not, and from now on a page
// is locked when it is touched. -ENOMEM
static int open_mapping(void *p, size_t bytes, size_t page)
{
    if (madvise(p, page, MADV_DONTNEED) < 0 && errno == EINVAL)
        mlock2(p, bytes, MLOCK_ONFAULT);
    if (mprotect(p, bytes, PROT_READ | PROT_WRITE) < 0) return -ENOMEM;
    madvise(p, bytes, MADV_NOHUGEPAGE); // a kernel without huge pages refuses: as well
    return 0;
}

int os_renew(void *p, size_t bytes)
{
    // Never without access, not for a moment: somebody may look. So not where memory is locked.
    if (madvise(p, os_page_bytes(), MADV_DONTNEED) < 0) return -ENOMEM;
    if (mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_WHAT | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -ENOMEM;
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return 0;
}

void *os_map(size_t bytes)
{
    if (fault_here(FAULT_MAP)) return NULL;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_WHAT, -1, 0);

    if (p == MAP_FAILED) return NULL;
    if (open_mapping(p, bytes, os_page_bytes()) < 0) {
        munmap(p, bytes);
        return NULL;
    }
    return p;
}

void os_unmap(void *p, size_t bytes)
{
#ifdef COIR_ASAN
    // The marks of stacks that lay here: whoever maps this place next knows nothing of them.
    __asan_unpoison_memory_region(p, bytes);
#endif
    munmap(p, bytes);
}

// The same advice for n pieces, each of 'bytes': in one call where the kernel takes advice for
// oneself in batches (Linux 6.13). 0 | what madvise says
static int advise_all(void *const *pieces, size_t bytes, unsigned n, int advice)
{
    struct iovec batch[ADVICE_BATCH];

    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        while (k < ADVICE_BATCH && i + k < n) {
            batch[k] = (struct iovec){pieces[i + k], bytes};
            k++;
        }
        ssize_t done = syscall(SYS_process_madvise, PIDFD_SELF, batch, k, advice, 0);
        if (done == (ssize_t)(k * bytes)) {
            i += k;
            continue;
        }
        for (unsigned j = 0; j < k; j++, i++) {
            int err = RETRY(madvise(pieces[i], bytes, advice));
            if (err < 0) return err;
        }
    }
    return 0;
}

void os_discard(void *const *pieces, size_t bytes, unsigned n)
{
    // Locked memory wants a word of its own.
    if (advise_all(pieces, bytes, n, MADV_DONTNEED) < 0)
        advise_all(pieces, bytes, n, MADV_DONTNEED_LOCKED);
}

size_t os_first_touched(const void *low, size_t bytes)
{
    size_t page = os_page_bytes();
    unsigned char there[512]; // also on a small stack, and in a signal handler

    for (size_t at = 0; at < bytes; at += sizeof(there) * page) {
        size_t left = (bytes - at + page - 1) / page;
        size_t n = left < sizeof(there) ? left : sizeof(there);

        if (mincore((char *)(uintptr_t)low + at, n * page, there) < 0) return bytes;
        for (size_t i = 0; i < n; i++)
            if (there[i] & 1) return at + i * page;
    }
    return bytes;
}

// True if the kernel itself cannot read the byte at p: qemu-user accepts any advice.
static bool is_guarded(const void *p)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ssize_t n;

    if (fd < 0) return false;
    n = write(fd, p, sizeof(uint64_t));
    bool guarded = n < 0 && errno == EFAULT;
    close(fd);
    return guarded;
}

int os_guard_light(void *first, size_t bytes, size_t stride, unsigned n)
{
    static atomic_u32 believed;
    void *guards[ADVICE_BATCH];

    if (fault_here(FAULT_LIGHT)) return -EINVAL;
    if (fault_here(FAULT_GUARD)) return -ENOMEM;
    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        while (k < ADVICE_BATCH && i < n) guards[k++] = (char *)first + i++ * stride;
        int err = advise_all(guards, bytes, k, MADV_GUARD_INSTALL);

        if (err == -EINVAL || err == -ENOMEM) return err;
        if (err < 0) return -EINVAL;
        if (load_relaxed(&believed)) continue; // relaxed: a fact about the kernel
        if (!UNCANCELED(is_guarded(guards[0]))) return -EINVAL;
        store_relaxed(&believed, 1); // relaxed: as above
    }
    return 0;
}

int os_guard_protect(void *p, size_t bytes)
{
    if (fault_here(FAULT_GUARD)) return -ENOMEM;
    return ONCE(mprotect(p, bytes, PROT_NONE));
}

void os_stack_note(void *low, void *high)
{
#ifdef VALGRIND_STACK_REGISTER
    (void)VALGRIND_STACK_REGISTER(low, high); // for good: slots are not unmapped
#else
    (void)low;
    (void)high;
#endif
}

static unsigned read_map_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned limit = 0;

    if (file) {
        if (fscanf(file, "%u", &limit) != 1) limit = 0;
        fclose(file);
    }
    return limit ? limit : 65530;
}

unsigned os_map_limit(void)
{
    return UNCANCELED(read_map_limit());
}
