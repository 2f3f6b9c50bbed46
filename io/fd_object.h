// SPDX-License-Identifier: MIT
// fd_object - the object of a descriptor: for fd.c, which keeps it, and fd_run.c, which runs an
// operation on it. Everybody else has fd.h.
#pragma once

#include "base/atomic.h"
#include "base/lock.h"
#include "io/fd.h"

struct fd {
    // Guarded by lock.
    struct lock lock;
    bool known, closing;
    bool is_socket, is_file;
    bool is_direct; // a file that goes past the page cache: nothing comes without waiting
    bool busy[FD_SIDES];
    struct list uses;
    struct list turns[FD_SIDES]; // waiters, by their nodes
    struct waiter *closer;       // the close that waits for the last use

    // Written by the reader whose turn it is.
    bool more;    // the socket had more when the last receive finished
    bool at_once; // the last receive found its data there

    uint32_t life; // closes so far; changes where there is neither a use nor an attempt
    // Atomic: whether a file may be attempted without a use, and how many do so now (D4).
    atomic_u32 cache;
};

//     CACHE_UNKNOWN <--an attempt by who has a use: found nothing, something--> CACHE_HAS
//           ^                                  |                                    |
//           '-- the number goes -- CACHE_CLOSES <---------- a close begins ---------'
enum { CACHE_UNKNOWN, CACHE_HAS, CACHE_CLOSES, CACHE_STATE = 3, CACHE_ATTEMPT };

// 0 | -EBADF | -ENOMEM
int fd_find(int number, struct fd **ret_fd);

// D4. True: no close gives the number away before fd_end_attempt.
bool fd_begin_attempt(struct fd *f);
void fd_end_attempt(struct fd *f);
// The next call of this file may leave the use out, or need not.
void fd_note_cached(struct fd *f, bool has);
