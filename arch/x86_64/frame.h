// SPDX-License-Identifier: MIT
// The entry frame's layout, for the assembler and for C alike: offsets from its base, which is
// where the stack pointer of a new context stands.
#pragma once

#define FRAME_REGS 48 // six registers, then the return address; 16-aligned
#define FRAME_CALL 64 // struct arch_call
#define FRAME_BYTES 368
#define FRAME_BYTES_INTS 112 // the same up to the end of the integer registers

#ifndef __ASSEMBLER__

// What the switch pops, and what arch_entry finds.
struct entry_frame {
    uintptr_t low_mark; // r15: its address
    uintptr_t leave;    // r14
    uintptr_t enter;    // r13
    uintptr_t base;     // r12
    uintptr_t fn;       // rbx
    uintptr_t rbp;      // 0: frame-pointer walks end here
    uintptr_t entry;    // return address
    uintptr_t pad;
    struct arch_call call;
};

static_assert(offsetof(struct entry_frame, entry) == FRAME_REGS,
              "known to the assembler");

#endif
