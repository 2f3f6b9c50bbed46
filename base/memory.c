// SPDX-License-Identifier: MIT
#include "base/memory.h"

#include <string.h>

#include "base/platform.h"

void *memory_get(const struct memory *mem, size_t bytes, size_t align)
{
    if (!mem || !mem->alloc) return os_alloc(bytes, align);
    if (align < sizeof(void *)) align = sizeof(void *);
    void *p = mem->alloc(mem->ctx, bytes, align);
    return p ? memset(p, 0, bytes) : NULL;
}

void memory_put(const struct memory *mem, void *p, size_t bytes, size_t align)
{
    if (!p) return;
    if (!mem || !mem->alloc) {
        os_free(p);
        return;
    }
    if (align < sizeof(void *)) align = sizeof(void *);
    mem->release(mem->ctx, p, bytes, align);
}
