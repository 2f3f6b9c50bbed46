// SPDX-License-Identifier: MIT
// unwind - who called whom on a stack that does not run, from the tables that compilers write.
//
//      registers of a saved context --> the frame table of its code --> the caller's registers
//      pc, sp, rbx, rbp, r12..r15       (.eh_frame, found by os_frame_table)    ... until it stops
//
// Every object for x86_64 carries these tables unless it was built to have none; frame pointers
// are not needed. The stack is read from a copy, so it may be run meanwhile. Whatever does not
// make sense (a table of another form, an address beyond the copy, a frame that does not grow)
// ends the walk: what was found before is right.
//
// Source: DWARF 4, section 6.4, and the Linux Standard Base's .eh_frame and .eh_frame_hdr. Not
// there: expressions (the linker's lazy stubs use them; nobody waits in one), signal frames.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNWIND_REGS                                                                      \
    17 // numbered by the ABI's DWARF numbers; 7 is sp, 16 the return address

struct unwind {
    uintptr_t regs[UNWIND_REGS]; // of the innermost frame; [16]: where it goes on
    // A copy of the stack from 'low' on.
    const char *copy;
    uintptr_t low;
    size_t bytes;
};

// Writes up to 'most' return addresses, innermost first. Any thread; may take the loader's lock.
// Their number.
int unwind_walk(struct unwind *u, void **ret_frames, int most);
