// SPDX-License-Identifier: MIT
// atomic - shared words, with the memory order in the verb.
//
// A shared word is a struct, so plain access does not compile. Every access is one of the
// verbs below; every access that orders something carries a [LABEL] in the line above it or
// at its end, and names its partner. tools/tidy.py checks that and writes docs/memory-order.md.
//
// This header is one half of the seam (base/platform.h is the other): in the model build each
// verb first calls the simulator, which may run another virtual worker there and which keeps a
// store buffer per worker, so that a missing fence shows on one thread and from a seed.
//
// ThreadSanitizer does not model fences. In its build fence_seq_cst() is the machine
// instruction alone: no data of ours becomes visible on the strength of a fence (fences only
// order a store before a load of another word), so nothing is lost and no report is hidden.
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#define CACHE_LINE 64

typedef struct {
    uint32_t value;
} atomic_u32;

typedef struct {
    uint64_t value;
} atomic_u64;

typedef struct {
    int64_t value;
} atomic_i64;

// atomic_ptr(struct g) head;
#define atomic_ptr(type)                                                                 \
    struct {                                                                             \
        type *value;                                                                     \
    }

#ifdef COIR_MODEL

// The simulator's half. sim_rmw and sim_fence drain the worker's store buffer.
void sim_load(const void *word, unsigned bytes, void *ret_value);
void sim_store(void *word, unsigned bytes, const void *value);
void sim_rmw(void);
void sim_fence(void);
void sim_point(void);

#define ATOMIC_LOAD(w, order)                                                            \
    __extension__({                                                                      \
        __typeof__((void)0, (w)->value) atomic_v_; /* without its const */               \
        sim_load(&(w)->value, sizeof(atomic_v_), &atomic_v_);                            \
        atomic_v_;                                                                       \
    })
#define ATOMIC_STORE(w, x, order)                                                        \
    __extension__({                                                                      \
        __typeof__((w)->value) atomic_s_ = (x);                                          \
        sim_store(&(w)->value, sizeof(atomic_s_), &atomic_s_);                           \
    })
#define ATOMIC_RMW() sim_rmw()
#define fence_seq_cst() sim_fence()
// A place where another worker may run although no shared word is touched.
#define choice_point() sim_point()
// The caller's words in some memory become plain memory again: a frame that returns.
#define atomics_end() sim_fence()

#else

#define ATOMIC_LOAD(w, order) __atomic_load_n(&(w)->value, order)
#define ATOMIC_STORE(w, x, order) __atomic_store_n(&(w)->value, x, order)
#define ATOMIC_RMW() ((void)0)
#define choice_point() ((void)0)
#define atomics_end() ((void)0)

#if defined(__SANITIZE_THREAD__)
#define ATOMIC_FENCE_BY_HAND 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMIC_FENCE_BY_HAND 1
#endif
#endif

#if defined(ATOMIC_FENCE_BY_HAND) && defined(__x86_64__)
#define fence_seq_cst() __asm__ volatile("mfence" ::: "memory")
#elif defined(ATOMIC_FENCE_BY_HAND)
#define fence_seq_cst() __asm__ volatile("dmb ish" ::: "memory")
#elif defined(__x86_64__)
// A locked instruction on the own stack is a full fence and twice as fast as mfence.
#define fence_seq_cst() __asm__ volatile("lock; orl $0, -8(%%rsp)" ::: "memory", "cc")
#else
#define fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

#endif

// Half of an asymmetric pair: orders a store before a load only against os_fence_heavy() of another
// thread (base/platform.h), and costs nothing.
#define fence_light() __asm__ volatile("" ::: "memory")

#define load_relaxed(w) ATOMIC_LOAD(w, __ATOMIC_RELAXED)
#define load_acquire(w) ATOMIC_LOAD(w, __ATOMIC_ACQUIRE)
#define load_seq_cst(w) ATOMIC_LOAD(w, __ATOMIC_SEQ_CST)
// The one writer of a word reads it back: needs no order.
#define load_own(w) ATOMIC_LOAD(w, __ATOMIC_RELAXED)

#define store_relaxed(w, x) ATOMIC_STORE(w, x, __ATOMIC_RELAXED)
#define store_release(w, x) ATOMIC_STORE(w, x, __ATOMIC_RELEASE)

// Read-modify-writes return the value from before.
#define ATOMIC_SWAP(w, x, order)                                                         \
    (ATOMIC_RMW(), __atomic_exchange_n(&(w)->value, x, order))
#define ATOMIC_ADD(w, x, order) (ATOMIC_RMW(), __atomic_fetch_add(&(w)->value, x, order))
#define ATOMIC_OR(w, x, order) (ATOMIC_RMW(), __atomic_fetch_or(&(w)->value, x, order))
#define ATOMIC_AND(w, x, order) (ATOMIC_RMW(), __atomic_fetch_and(&(w)->value, x, order))

#define swap_relaxed(w, x) ATOMIC_SWAP(w, x, __ATOMIC_RELAXED)
#define swap_acquire(w, x) ATOMIC_SWAP(w, x, __ATOMIC_ACQUIRE)
#define swap_release(w, x) ATOMIC_SWAP(w, x, __ATOMIC_RELEASE)
#define swap_acq_rel(w, x) ATOMIC_SWAP(w, x, __ATOMIC_ACQ_REL)
#define swap_seq_cst(w, x) ATOMIC_SWAP(w, x, __ATOMIC_SEQ_CST)

#define add_relaxed(w, x) ATOMIC_ADD(w, x, __ATOMIC_RELAXED)
#define add_acquire(w, x) ATOMIC_ADD(w, x, __ATOMIC_ACQUIRE)
#define add_release(w, x) ATOMIC_ADD(w, x, __ATOMIC_RELEASE)
#define add_acq_rel(w, x) ATOMIC_ADD(w, x, __ATOMIC_ACQ_REL)
#define add_seq_cst(w, x) ATOMIC_ADD(w, x, __ATOMIC_SEQ_CST)

#define or_acq_rel(w, x) ATOMIC_OR(w, x, __ATOMIC_ACQ_REL)
#define or_seq_cst(w, x) ATOMIC_OR(w, x, __ATOMIC_SEQ_CST)
#define and_acq_rel(w, x) ATOMIC_AND(w, x, __ATOMIC_ACQ_REL)

// Strong compare and swap: true when *was was there and x stands there now; else *was is
// what was found.
#define ATOMIC_CAS(w, was, x, order, fail)                                               \
    (ATOMIC_RMW(), __atomic_compare_exchange_n(&(w)->value, was, x, false, order, fail))

#define cas_relaxed(w, was, x) ATOMIC_CAS(w, was, x, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define cas_acquire(w, was, x) ATOMIC_CAS(w, was, x, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)
#define cas_release(w, was, x) ATOMIC_CAS(w, was, x, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define cas_acq_rel(w, was, x) ATOMIC_CAS(w, was, x, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define cas_seq_cst(w, was, x) ATOMIC_CAS(w, was, x, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
