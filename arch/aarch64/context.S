// SPDX-License-Identifier: MIT
// The switch and the first frame of a coroutine, AAPCS64.
//
//   void *arch_switch(void **ret_sp, void *to_sp, void *word)
//
//   saved stack, from sp up:   x19 ... x28  x29 x30  d8 ... d15
//   entry frame, from sp up:   fn enter leave base mark ...  0 arch_entry  ... | struct arch_call
//
// The unwind rules of the switch hold on both stacks, because both have the same layout there.
// The entry frame has no caller: its return address is undefined, so unwinders stop. FPCR belongs
// to the thread (docs/stacks.md).

#include "arch/aarch64/frame.h"

        .text
        .globl  arch_switch
        .hidden arch_switch
        .type   arch_switch, %function
        .p2align 4
arch_switch:
        .cfi_startproc
        hint    #34                             // bti c
        sub     sp, sp, #160
        .cfi_def_cfa_offset 160
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .cfi_offset x19, -160
        .cfi_offset x20, -152
        .cfi_offset x21, -144
        .cfi_offset x22, -136
        .cfi_offset x23, -128
        .cfi_offset x24, -120
        .cfi_offset x25, -112
        .cfi_offset x26, -104
        .cfi_offset x27, -96
        .cfi_offset x28, -88
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        .cfi_offset d8, -64
        .cfi_offset d9, -56
        .cfi_offset d10, -48
        .cfi_offset d11, -40
        .cfi_offset d12, -32
        .cfi_offset d13, -24
        .cfi_offset d14, -16
        .cfi_offset d15, -8
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        mov     x0, x2
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #160
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        ret
        .cfi_endproc
        .size   arch_switch, . - arch_switch

// void arch_on_stack(void (*fn)(void *), void *arg, void *top)
// The frame pointer leads back, for this function and for unwinders.
        .globl  arch_on_stack
        .hidden arch_on_stack
        .type   arch_on_stack, %function
        .p2align 4
arch_on_stack:
        .cfi_startproc
        hint    #34
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa_register x29
        mov     sp, x2
        mov     x9, x0
        mov     x0, x1
        blr     x9
        mov     sp, x29
        .cfi_def_cfa_register sp
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   arch_on_stack, . - arch_on_stack

// Reached by the switch's ret. x0: the word; x19: fn; x20: enter; x21: leave; x22: the frame's
// base; x23: the address of the low mark (context.h). What was restored from below sp is free now:
// enter's frame goes there. arch_entry_ints is for functions that take integers only: their frame
// ends behind those.
        .macro  entry name, bytes
        .globl  \name
        .hidden \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        .cfi_undefined x30
        blr     x20
        ldp     x0, x1, [x22, #FRAME_CALL]
        ldp     x2, x3, [x22, #FRAME_CALL + 16]
        ldp     x4, x5, [x22, #FRAME_CALL + 32]
        ldp     x6, x7, [x22, #FRAME_CALL + 48]
        .if     \bytes == FRAME_BYTES
        ldp     q0, q1, [x22, #FRAME_CALL + 64]
        ldp     q2, q3, [x22, #FRAME_CALL + 96]
        ldp     q4, q5, [x22, #FRAME_CALL + 128]
        ldp     q6, q7, [x22, #FRAME_CALL + 160]
        add     sp, x22, #FRAME_CALL + 192      // the stack arguments, where a callee looks
        .else
        add     sp, x22, #\bytes
        .endif
        blr     x19
        ldr     x9, [x23]
        mov     sp, x9                          // below what must outlive fn's frame
        blr     x21                             // x0 is fn's value, or what a void one left
        brk     #1
        .cfi_endproc
        .size   \name, . - \name
        .endm

        entry   arch_entry, FRAME_BYTES
        entry   arch_entry_ints, FRAME_BYTES_INTS

// Landing pads are here; return addresses are not signed.
        .section .note.gnu.property, "a", %note
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0             // GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI

        .section .note.GNU-stack, "", %progbits
