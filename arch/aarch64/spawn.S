// SPDX-License-Identifier: MIT
// The spawn stub: called through the type of the function to be spawned, so the compiler has put
// the arguments where the ABI wants them. It copies the argument registers and the first 128 bytes
// of stack arguments into the thread's capture area and returns; the commit follows (coir/spawn.h).
//
//   coir_spawn_capture_      for any function
//   coir_spawn_capture_ints_ for functions that take integers and pointers only, six at most
//   coir_spawn_capture_x87_  the first again: here a long double comes back in a register
//
// The capture area is asked for after the arguments are safe on the own stack.

        .text
        .hidden spawn_capture_area

        .globl  coir_spawn_capture_
        .globl  coir_spawn_capture_x87_
        .type   coir_spawn_capture_, %function
        .type   coir_spawn_capture_x87_, %function
        .p2align 4
coir_spawn_capture_:
coir_spawn_capture_x87_:
        .cfi_startproc
        hint    #34                             // bti c
        stp     x29, x30, [sp, #-208]!
        .cfi_def_cfa_offset 208
        .cfi_offset x29, -208
        .cfi_offset x30, -200
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        stp     x2, x3, [sp, #32]
        stp     x4, x5, [sp, #48]
        stp     x6, x7, [sp, #64]
        stp     q0, q1, [sp, #80]
        stp     q2, q3, [sp, #112]
        stp     q4, q5, [sp, #144]
        stp     q6, q7, [sp, #176]
        bl      spawn_capture_area
        .set    at, 0
        .rept   6                               // registers
        ldp     q0, q1, [sp, #16 + at]
        stp     q0, q1, [x0, #at]
        .set    at, at + 32
        .endr
        .set    at, 0
        .rept   4                               // stack arguments, above this frame
        ldp     q0, q1, [sp, #208 + at]
        stp     q0, q1, [x0, #192 + at]
        .set    at, at + 32
        .endr
        ldp     x29, x30, [sp], #208
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   coir_spawn_capture_, . - coir_spawn_capture_
        .size   coir_spawn_capture_x87_, . - coir_spawn_capture_x87_

// For functions that are known to take at most six integers and nothing else.
        .globl  coir_spawn_capture_ints_
        .type   coir_spawn_capture_ints_, %function
        .p2align 4
coir_spawn_capture_ints_:
        .cfi_startproc
        hint    #34
        stp     x29, x30, [sp, #-80]!
        .cfi_def_cfa_offset 80
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        stp     x2, x3, [sp, #32]
        stp     x4, x5, [sp, #48]
        stp     x6, x7, [sp, #64]
        bl      spawn_capture_area
        ldp     q0, q1, [sp, #16]
        ldp     q2, q3, [sp, #48]
        stp     q0, q1, [x0]
        stp     q2, q3, [x0, #32]
        ldp     x29, x30, [sp], #80
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   coir_spawn_capture_ints_, . - coir_spawn_capture_ints_

// Landing pads are here; return addresses are not signed.
        .section .note.gnu.property, "a", %note
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0             // GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI

        .section .note.GNU-stack, "", %progbits
