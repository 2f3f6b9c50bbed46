// SPDX-License-Identifier: MIT
// ops - the one table of all operations: how a ring does each, how a direct call does it without
// blocking, and what is left where neither can.
//
//      ring        fill an entry; where the kernel lacks the opcode: as below
//      attempt     a call that never blocks: done | -EAGAIN (not now) | OP_NEEDS_HELPER
//      readiness   epoll or poll(2) says when to attempt again; ops that wait for nobody have none
//      call        a call that may block: on a helper thread, or on an ordinary thread
//
// T1  An attempt is made only where it cannot block: MSG_DONTWAIT on sockets, RWF_NOWAIT elsewhere,
//     a plain call on what its owner made O_NONBLOCK.
// T2  What cannot say (a tty, a blocking listener, some files) is called by a helper, after
//     readiness where there is such a thing; of a write then at most PIPE_BUF bytes, so that it
//     does not block either while nobody outside the process writes too.
// T3  connect knows no MSG_DONTWAIT: a blocking socket is O_NONBLOCK while an attempt lasts.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "netpoll/netpoll.h"

struct io_uring_sqe;

enum op_wait {
    OP_WAITS_NOT, // the kernel answers in its own time
    OP_WAITS_TO_READ,
    OP_WAITS_TO_WRITE
};

struct op_row {
    const char *name;
    uint8_t ring; // IORING_OP_*
    bool needed;  // a ring without it is none
    enum op_wait waits;
    void (*fill)(struct io_uring_sqe *sqe,
                 const struct op *op); // beside fd, opcode, user_data
    int32_t (*attempt)(struct op *op, bool is_ready);
    int32_t (*call)(struct op *op); // NULL: attempt never asks for it
};

extern const struct op_row op_rows[OP_COUNT];
