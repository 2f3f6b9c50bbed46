// SPDX-License-Identifier: MIT
// fd - what the library knows of a descriptor: who uses it, whose turn it is, whether it closes.
//
//      begin: a use is noted, the turn of its side comes
//      transfer: on the ring, directly, by a helper, or in poll(2)          } fd_run
//      end: the use is gone, the next one has the turn
//
//      close: no new uses; waiters are woken with -EBADF, operations asked to end with it;
//             when the last use is gone the object is as new, then close(2)
//
// D1  One object a number, in one table a process, type-stable. It is known from a descriptor's
//     first call here until coir_close; a poll leaves it unknown, so that libraries that only wait
//     here may close what is theirs.
// D2  At most one reader and one writer at a time, others wait in order of arrival; polls and what
//     names its own place in a file need no turn.
// D3  The number is closed only when no use is left, under the object's lock, and the object is
//     reset there: whoever gets the number next begins afresh, nobody begins on the old file, and
//     no old completion or cancel can name the new one, because keys are never re-used
//     (netpoll.h, N3).
// D4  A known file whose pages are cached may be attempted without a use and without the lock, by
//     system calls that do not wait. A close forbids attempts and waits until none is under way,
//     so each is of the file that it began on. What it leaves is done by a use, if the number still
//     is that file's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/waiter.h"
#include "netpoll/netpoll.h"

enum fd_side { FD_READS, FD_WRITES, FD_SIDES, FD_POLLS = FD_SIDES, FD_NO_TURN };

struct fd;

// One call that uses a descriptor; lives in its frame.
struct fd_use {
    struct list_node node; // in the object's list; guarded by its lock, like all below
    struct fd *fd;
    enum fd_side side;
    bool waits; // sleeps on 'waiter': for its turn, backing off, or for a helper
    struct waiter waiter;
    struct poller *np; // of its operation, in flight or over; NULL: there was none yet
    uint64_t key;
    int break_fd; // an ordinary thread in poll(2) listens here, -1: none
};

// Notes a use of fd and waits for its turn. 0 | -EBADF (closing, or no such descriptor) | -ENOMEM
// | -ETIMEDOUT | -ECANCELED. After 0 fd_end must follow.
int fd_begin(int fd, enum fd_side side, int64_t deadline, struct fd_use *use);
void fd_end(struct fd_use *use);

bool fd_is_socket(const struct fd_use *use);
// A file or a disk: what is read or written has a place, and always comes in its own time.
bool fd_is_file(const struct fd_use *use);
// What the last receive says of this one, which is about to run; and what this one says of the
// next. A use that has the turn to read.
void fd_guess_receive(const struct fd_use *use, struct op *op);
void fd_note_receive(struct fd_use *use, const struct op *op);

// Performs op, which this use has the turn for, and waits for its end. op->result, also returned.
// Of a file, READ and WRITE are tried where they need not wait, and what that leaves is done too.
// -ETIMEDOUT | -ECANCELED | -EBADF (closed meanwhile) | what the call says
int32_t fd_run(struct fd_use *use, struct op *op, int64_t deadline);

// A READ or WRITE at a place, as far as the page cache has it and without waiting (D4); for a call
// that has asked for its cancel. op->result, what was moved; the op names what is left.
// True: that is all that there is to do. False: 0 or more, and fd_run has to do the rest; where it
// was more, *ret_life says of which file.
bool fd_run_cached(struct op *op, uint32_t *ret_life);
// The use is of the file that the attempt was of.
bool fd_lives_on(const struct fd_use *use, uint32_t life);

// Sleeps until 'when', the deadline, a cancel or a close. 0 | -ETIMEDOUT | -ECANCELED | -EBADF
int fd_back_off(struct fd_use *use, int64_t when, int64_t deadline);

// In the child of a fork, on its only thread: nothing is known of any descriptor, whatever other
// threads had under way in the parent.
void fd_forget_all(void);

// Performs an operation that needs no descriptor of its caller's. The same results.
int32_t fd_run_path(struct op *op);

// Ends the descriptor: see above. 0 | -EBADF | what close(2) says, and then too it is closed
int fd_close(int fd);
