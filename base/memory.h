// SPDX-License-Identifier: MIT
// memory - where a runtime's own memory comes from: its host's allocator, or libc's.
//
//     a runtime's            struct sched's 'memory'          config.allocator, or libc's
//     a coroutine's call's   park_memory()                    its runtime's
//     the process's          NULL                             libc's
//
// Whoever gets a piece knows its size and alignment when it gives it back, and gives it back to
// the same memory. A piece is zero-filled. Internal locks may be held over a call, so an allocator
// must not call back into coir and must not wait for a coroutine.
#pragma once

#include <stddef.h>

struct memory {
    void *(*alloc)(void *ctx, size_t bytes, size_t align); // NULL: libc's
    void (*release)(void *ctx, void *p, size_t bytes, size_t align);
    void *ctx;
};

// Zero-filled; NULL: out of memory. 'mem' NULL is libc's. Any thread.
void *memory_get(const struct memory *mem, size_t bytes, size_t align);
// 'p' NULL is allowed.
void memory_put(const struct memory *mem, void *p, size_t bytes, size_t align);

// The same for an array of 'n' of a type.
#define MEMORY_GET(mem, type, n) memory_get(mem, (n) * sizeof(type), alignof(type))
#define MEMORY_PUT(mem, p, type, n) memory_put(mem, p, (n) * sizeof(type), alignof(type))
