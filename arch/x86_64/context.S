// SPDX-License-Identifier: MIT
// The switch and the first frame of a coroutine, System V ABI for x86_64.
//
//   void *arch_switch(void **ret_sp, void *to_sp, void *word)
//
//   saved stack, from sp up:   r15 r14 r13 r12 rbx rbp  return address
//   entry frame, from sp up:   mark leave enter base fn 0 arch_entry  pad | struct arch_call
//
// The unwind rules of the switch hold on both stacks, because both have the same layout there.
// The entry frame has no caller: its return address is undefined, so unwinders stop.

#include "arch/x86_64/frame.h"

        .text
        .globl  arch_switch
        .hidden arch_switch
        .type   arch_switch, @function
        .p2align 4
arch_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        movq    %rdx, %rax
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
// A new context is entered by a jump: its return address is none that the processor has seen a
// call for, so a ret would be predicted to the wrong place (20 cycles). Those that come back do
// so behind the one call of this function, as the processor expects.
        leaq    arch_entry_ints(%rip), %rcx
        cmpq    %rcx, (%rsp)
        je      arch_entry_ints
        ret
        .cfi_endproc
        .size   arch_switch, . - arch_switch

// void arch_on_stack(void (*fn)(void *), void *arg, void *top)
// The frame pointer leads back, for this function and for unwinders.
        .globl  arch_on_stack
        .hidden arch_on_stack
        .type   arch_on_stack, @function
        .p2align 4
arch_on_stack:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        movq    %rdx, %rsp
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   arch_on_stack, . - arch_on_stack

// Reached by the switch. rax: the word; rbx: fn; r12: the frame's base; r13: enter;
// r14: leave; r15: the address of the low mark (context.h). The six slots below the return
// address are free now: enter's frame goes there.
// arch_entry_ints is for functions that take integers only: their frame ends behind those.
        .macro  entry name, bytes
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        .cfi_undefined %rip
        leaq    FRAME_REGS(%r12), %rsp
        movq    %rax, %rdi
        call    *%r13
        movq    FRAME_CALL+0(%r12), %rdi
        movq    FRAME_CALL+8(%r12), %rsi
        movq    FRAME_CALL+16(%r12), %rdx
        movq    FRAME_CALL+24(%r12), %rcx
        movq    FRAME_CALL+32(%r12), %r8
        movq    FRAME_CALL+40(%r12), %r9
        .if     \bytes == FRAME_BYTES
        movaps  FRAME_CALL+48(%r12), %xmm0
        movaps  FRAME_CALL+64(%r12), %xmm1
        movaps  FRAME_CALL+80(%r12), %xmm2
        movaps  FRAME_CALL+96(%r12), %xmm3
        movaps  FRAME_CALL+112(%r12), %xmm4
        movaps  FRAME_CALL+128(%r12), %xmm5
        movaps  FRAME_CALL+144(%r12), %xmm6
        movaps  FRAME_CALL+160(%r12), %xmm7
        leaq    FRAME_CALL+176(%r12), %rsp      // the stack arguments, where a callee looks
        movl    $8, %eax                        // a variadic fn saves all vector registers
        .else
        leaq    \bytes(%r12), %rsp
        xorl    %eax, %eax
        .endif
        call    *%rbx
        ffree   %st(0)                          // a long double that nobody takes: eight of them
        ffree   %st(1)                          // (a complex one is two) fill the thread's x87
        movq    %rax, %rdi                      // fn's value, or what a void one left there
        movq    (%r15), %rsp                    // below what must outlive fn's frame
        call    *%r14
        ud2
        .cfi_endproc
        .size   \name, . - \name
        .endm

        entry   arch_entry, FRAME_BYTES
        entry   arch_entry_ints, FRAME_BYTES_INTS

// Landing pads are here; no SHSTK, because a switch leaves the shadow stack behind.
        .section .note.gnu.property, "a", @note
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0             // GNU_PROPERTY_X86_FEATURE_1_AND: IBT

        .section .note.GNU-stack, "", @progbits
