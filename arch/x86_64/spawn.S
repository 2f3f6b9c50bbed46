// SPDX-License-Identifier: MIT
// The spawn stub: called through the type of the function to be spawned, so the compiler has put
// the arguments where the ABI wants them. It copies the argument registers and the first 128 bytes
// of stack arguments into the thread's capture area and returns; the commit follows (coir/spawn.h).
//
//   coir_spawn_capture_      for functions that return in registers, or nothing
//   coir_spawn_capture_ints_ for functions that take integers and pointers only, six at most
//   coir_spawn_capture_x87_  for those that return a long double: the caller pops st(0)
//
// The capture area is asked for after the arguments are safe on the own stack. They are loaded back
// as they were stored, eight bytes at a time: a load of sixteen that two stores have to answer
// waits until both are in the cache, longer than all the rest of a stub takes.

        .macro  capture name
        .globl  \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $176, %rsp
        movq    %rdi, 0(%rsp)
        movq    %rsi, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rcx, 24(%rsp)
        movq    %r8, 32(%rsp)
        movq    %r9, 40(%rsp)
        movaps  %xmm0, 48(%rsp)
        movaps  %xmm1, 64(%rsp)
        movaps  %xmm2, 80(%rsp)
        movaps  %xmm3, 96(%rsp)
        movaps  %xmm4, 112(%rsp)
        movaps  %xmm5, 128(%rsp)
        movaps  %xmm6, 144(%rsp)
        movaps  %xmm7, 160(%rsp)
        call    spawn_capture_area
        .set    at, 0
        .rept   3                               // ints
        movq    at(%rsp), %xmm0
        movhps  8+at(%rsp), %xmm0
        movaps  %xmm0, at(%rax)
        .set    at, at + 16
        .endr
        .rept   8                               // vectors
        movaps  at(%rsp), %xmm0
        movaps  %xmm0, at(%rax)
        .set    at, at + 16
        .endr
        .set    at, 0
        .rept   8                               // stack arguments, above the return address
        movaps  16+at(%rbp), %xmm0
        movaps  %xmm0, 176+at(%rax)
        .set    at, at + 16
        .endr
        leave
        .cfi_def_cfa %rsp, 8
        .endm

        .text
        .hidden spawn_capture_area

        capture coir_spawn_capture_
        ret
        .cfi_endproc
        .size   coir_spawn_capture_, . - coir_spawn_capture_

        capture coir_spawn_capture_x87_
        fldz
        ret
        .cfi_endproc
        .size   coir_spawn_capture_x87_, . - coir_spawn_capture_x87_

// For functions that are known to take at most six integers and nothing else.
        .globl  coir_spawn_capture_ints_
        .type   coir_spawn_capture_ints_, @function
        .p2align 4
coir_spawn_capture_ints_:
        .cfi_startproc
        endbr64
        subq    $56, %rsp
        .cfi_def_cfa_offset 64
        movq    %rdi, 0(%rsp)
        movq    %rsi, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rcx, 24(%rsp)
        movq    %r8, 32(%rsp)
        movq    %r9, 40(%rsp)
        call    spawn_capture_area
        movq    0(%rsp), %xmm0
        movq    16(%rsp), %xmm1
        movq    32(%rsp), %xmm2
        movhps  8(%rsp), %xmm0
        movhps  24(%rsp), %xmm1
        movhps  40(%rsp), %xmm2
        movaps  %xmm0, 0(%rax)
        movaps  %xmm1, 16(%rax)
        movaps  %xmm2, 32(%rax)
        addq    $56, %rsp
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   coir_spawn_capture_ints_, . - coir_spawn_capture_ints_

// Landing pads are here; no SHSTK, because a switch leaves the shadow stack behind.
        .section .note.gnu.property, "a", @note
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0             // GNU_PROPERTY_X86_FEATURE_1_AND: IBT

        .section .note.GNU-stack, "", @progbits
