// SPDX-License-Identifier: MIT
// The entry frame's layout, for the assembler and for C alike: offsets from its base, which is
// where the stack pointer of a new context stands.
#pragma once

#define FRAME_CALL                                                                       \
    160 // struct arch_call; below it what the switch restores: x19 to x30, d8 to d15
#define FRAME_BYTES 480
#define FRAME_BYTES_INTS 224 // the same up to the end of the integer registers

#ifndef __ASSEMBLER__

// What the switch restores, and what arch_entry finds.
struct entry_frame {
    uintptr_t fn;       // x19
    uintptr_t enter;    // x20
    uintptr_t leave;    // x21
    uintptr_t base;     // x22
    uintptr_t low_mark; // x23: its address
    uintptr_t x24, x25, x26, x27, x28;
    uintptr_t x29;       // 0: frame-pointer walks end here
    uintptr_t entry;     // x30, where the switch returns to
    uint64_t vectors[8]; // d8 to d15
    struct arch_call call;
};

#endif
