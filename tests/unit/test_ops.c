// SPDX-License-Identifier: MIT
// ops: the table has no holes, and what it says of each operation fits together.
#include "netpoll/ops.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <unistd.h>

Test(ops, every_operation_has_a_whole_row)
{
    for (int i = 0; i < OP_COUNT; i++) {
        cr_assert(op_rows[i].name, "operation %d has no row", i);
        cr_assert(op_rows[i].fill, "%s cannot be given to a ring", op_rows[i].name);
        cr_assert(op_rows[i].attempt, "%s has no direct call", op_rows[i].name);
        cr_assert((op_rows[i].ring == IORING_OP_NOP) == (i == OP_NOP), "%s has no opcode",
                  op_rows[i].name);
        for (int j = 0; j < i; j++)
            cr_assert(op_rows[i].ring != op_rows[j].ring, "%s and %s are the same",
                      op_rows[i].name, op_rows[j].name);
    }
}

// Neither readiness nor a helper could ever do it.
Test(ops, what_never_waits_has_a_call_for_helpers)
{
    for (int i = OP_NOP + 1; i < OP_COUNT; i++)
        if (op_rows[i].waits == OP_WAITS_NOT)
            cr_assert(op_rows[i].call, "%s cannot be done without a ring",
                      op_rows[i].name);
}

// A ring without it would be refused, so epoll must be able to wait for it.
Test(ops, what_a_ring_must_know_can_be_waited_for_too)
{
    for (int i = OP_NOP + 1; i < OP_COUNT; i++)
        cr_assert_eq(op_rows[i].needed, op_rows[i].waits != OP_WAITS_NOT,
                     "%s is needed and cannot be waited for", op_rows[i].name);
}

Test(ops, an_attempt_never_blocks)
{
    char byte;
    int fds[2];
    struct op op = {.code = OP_READ, .buf = &byte, .len = 1};

    cr_assert_eq(pipe(fds), 0);
    op.fd = fds[0];
    cr_assert_eq(op_try(&op, false), -EAGAIN);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(op_try(&op, false), 1);

    int tty = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert_geq(tty, 0);
    op.fd = tty;
    cr_assert_eq(op_try(&op, false), -EAGAIN);
    cr_assert_eq(op_try(&op, true), OP_NEEDS_HELPER);
    cr_assert_eq(fcntl(tty, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    op.len = 0;
    cr_assert_eq(op_try(&op, true), 0); // its owner says that it does not block
    close(tty);
    close(fds[0]);
    close(fds[1]);
}
