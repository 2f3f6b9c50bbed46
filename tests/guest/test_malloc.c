// SPDX-License-Identifier: MIT
// malloc: a process that uses libcoir.so keeps its own.
// Method: the one that the loader finds is libc's, before, while and after a runtime is there; and
// with OWN_MALLOC the program has one of its own, which everything of the runtime's goes through.
#include <coir.h>
#include <coir/go.h>

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static atomic_long n_own;

#ifdef OWN_MALLOC
// The least that glibc asks of a replacement; nothing is ever given back.
static char heap[16 << 20];
static atomic_size_t used;

void *memalign(size_t align, size_t size);
void *memalign(size_t align, size_t size)
{
    size_t room = size + align + 16;
    uintptr_t at = (uintptr_t)heap + atomic_fetch_add(&used, (room + 15) & ~(size_t)15);

    atomic_fetch_add(&n_own, 1);
    at = (at + 16 + align - 1) & ~(uintptr_t)(align - 1);
    if (at + size > (uintptr_t)heap + sizeof(heap)) abort();
    ((size_t *)at)[-1] = size;
    return (void *)at;
}

void *malloc(size_t size)
{
    return memalign(16, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    *ret = memalign(align, size);
    return 0;
}

void *calloc(size_t n, size_t size)
{
    return memalign(16, n * size); // fresh, so zero
}

void *realloc(void *p, size_t size)
{
    void *q = memalign(16, size);

    if (p) memcpy(q, p, ((size_t *)p)[-1] < size ? ((size_t *)p)[-1] : size);
    return q;
}

void free(void *p)
{
    (void)p;
}
#endif

static void expect_own_malloc(void)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "free",
                                        "posix_memalign"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        Dl_info info = {0};

        expect(dladdr(dlsym(RTLD_DEFAULT, names[i]), &info) != 0);
#ifndef OWN_MALLOC
        expect(strstr(info.dli_fname, "/libc.") != NULL);
#else
        expect(strstr(info.dli_fname, ".so") == NULL);
#endif
    }
}

static int first(void *arg)
{
    (void)arg;
    expect_own_malloc();
    return 7;
}

int main(void)
{
    expect_own_malloc();
    long before = n_own;
    expect_eq(coir_run(NULL, first, NULL), 7);
    expect_own_malloc();
#ifdef OWN_MALLOC
    expect(n_own > before + 10);
#else
    expect_eq(n_own, before);
#endif
    return 0;
}
