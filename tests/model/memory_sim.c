// SPDX-License-Identifier: MIT
// memory_sim - the seam's memory: two arenas at fixed places, emptied after every run.
//
// Small blocks come from a heap: each has a header and is poisoned when freed. In half of the runs
// a freed block is never handed out again in that run, so a late write is found by its spoilt
// poison; in the others it is handed out at once, so a late write spoils somebody's data, which
// other oracles see. Mappings come from a second arena whose pages go back to the kernel.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/platform.h"
#include "tests/model/sim.h"

#define HEAP_AT ((void *)0x100000000000)
#define HEAP_BYTES ((size_t)64 << 20)
#define MAPS_AT ((void *)0x200000000000)
#define MAPS_BYTES ((size_t)4 << 30)
#define POISON 0xdd
#define POISON_MOST 4096u // of a block, checked at the end
#define PAGE 4096u
#define CLASSES 32u

struct block {
    size_t bytes; // of what follows
    uint32_t live, class;
    struct block *next; // free ones; in order of age when quarantined
    uint64_t pad;
};

static char *heap, *heap_end, *maps, *maps_end;
static size_t n_live, n_maps;
static struct block *freed[CLASSES], *quarantine;
static char *dirty_end; // of maps, over the runs

static char *reserve(void *at, size_t bytes)
{
    char *p =
        mmap(at, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (p == MAP_FAILED) abort();
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}

void memory_reset(void)
{
    if (!heap) {
        heap = reserve(HEAP_AT, HEAP_BYTES);
        maps = dirty_end = reserve(MAPS_AT, MAPS_BYTES);
    }
    if (dirty_end > maps) madvise(maps, (size_t)(dirty_end - maps), MADV_DONTNEED);
    dirty_end = maps;
    heap_end = heap;
    maps_end = maps;
    n_live = n_maps = 0;
    quarantine = NULL;
    memset(freed, 0, sizeof(freed));
}

static uint32_t class_of(size_t bytes)
{
    return bytes <= 64 ? 6 : 64 - (uint32_t)__builtin_clzl(bytes - 1);
}

static void *take(struct block *b, size_t bytes)
{
    b->bytes = bytes;
    b->live = 1;
    n_live++;
    memset(b + 1, 0, bytes);
    return b + 1;
}

void *os_alloc(size_t bytes, size_t align)
{
    uint32_t class = class_of(bytes);
    struct block *b = freed[class];

    if (align < 64) align = 64;
    if (sim.active && sim.allocs_fail && sim_choose(2, sim.allocs_fail)) return NULL;
    if (sim.reuses && b && (uintptr_t)(b + 1) % align == 0) {
        freed[class] = b->next;
        return take(b, bytes);
    }
    uintptr_t at =
        ((uintptr_t)heap_end + sizeof(*b) + align - 1) & ~(uintptr_t)(align - 1);
    if (at + ((size_t)1 << class) > (uintptr_t)heap + HEAP_BYTES)
        sim_fail("the arena is full");
    b = (struct block *)at - 1;
    b->class = class;
    heap_end = (char *)at + ((size_t)1 << class);
    return take(b, bytes);
}

void os_free(void *p)
{
    struct block *b = (struct block *)p - 1;

    if (!p) return;
    if (b->live != 1) sim_fail("freed twice, or never allocated");
    sim_forget_stores(p, b->bytes);
    b->live = 2;
    n_live--;
    memset(p, POISON, b->bytes);
    struct block **list = sim.reuses ? &freed[b->class] : &quarantine;
    b->next = *list;
    *list = b;
}

static bool spoilt(const struct block *b)
{
    const unsigned char *p = (const unsigned char *)(b + 1);
    size_t n = b->bytes < POISON_MOST ? b->bytes : POISON_MOST;

    return n && (p[0] != POISON || memcmp(p, p + 1, n - 1) != 0);
}

const char *memory_leftover(void)
{
    for (struct block *b = quarantine; b; b = b->next)
        if (spoilt(b)) return "memory was written after it was freed";
    if (n_live > sim.kept_blocks) return "allocations are left";
    if (n_maps) return "mappings are left";
    return NULL;
}

// ---- Mappings -------------------------------------------------------------------------

size_t os_page_bytes(void)
{
    return PAGE;
}

void *os_map(size_t bytes)
{
    char *p = maps_end;

    if (sim.active && sim.allocs_fail && sim_choose(2, sim.allocs_fail)) return NULL;
    if ((size_t)(maps + MAPS_BYTES - p) < bytes)
        sim_fail("the arena of mappings is full");
    maps_end += (bytes + PAGE - 1) / PAGE * PAGE;
    if (maps_end > dirty_end) dirty_end = maps_end;
    n_maps++;
    return p;
}

void os_unmap(void *p, size_t bytes)
{
    sim_forget_stores(p, bytes);
    n_maps--;
}

void os_discard(void *const *pieces, size_t bytes, unsigned n)
{
    sim.discards += n;
    for (unsigned i = 0; i < n; i++) {
        sim_forget_stores(pieces[i], bytes);
        madvise(pieces[i], bytes, MADV_DONTNEED);
    }
}

int os_renew(void *p, size_t bytes)
{
    if (sim.active && sim.allocs_fail && sim_choose(2, sim.allocs_fail)) return -ENOMEM;
    os_discard(&p, bytes, 1);
    return 0;
}

size_t os_first_touched(const void *low, size_t bytes)
{
    (void)low, (void)bytes;
    return 0;
}

void os_fault_begin(void (*look)(uintptr_t address))
{
    (void)look;
}

void os_fault_end(void)
{
}

void *os_altstack_begin(void)
{
    return NULL;
}

void os_altstack_end(void *altstack)
{
    (void)altstack;
}

int os_guard_light(void *first, size_t bytes, size_t stride, unsigned n)
{
    (void)first, (void)bytes, (void)stride, (void)n;
    return 0;
}

int os_guard_protect(void *p, size_t bytes)
{
    (void)p, (void)bytes;
    return 0;
}

unsigned os_map_limit(void)
{
    return 65530;
}
