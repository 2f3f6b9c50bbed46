// SPDX-License-Identifier: MIT
// The entry frame's layout, for the assembler and for C alike: offsets from its base, which is
// where the stack pointer of a new context stands.
#pragma once

#define FRAME_REGS 48 // six registers, then the return address; 16-aligned
#define FRAME_CALL 64 // struct arch_call
#define FRAME_BYTES 368
#define FRAME_BYTES_INTS 112 // the same up to the end of the integer registers
