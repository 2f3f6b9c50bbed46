// SPDX-License-Identifier: MIT
// overflow - says which coroutine ran off its stack, and what to do about it.
//
// The one place beside must that prints (docs/stacks.md). Runs in a SIGSEGV handler on a worker's
// alternate stack: the coroutine's descriptor lies above what it overran, so it can be read.
#pragma once

#include <stdint.h>

// For os_fault_begin: prints if 'address' lies in the guard of the stack that this worker's
// coroutine runs on, else nothing.
void overflow_look(uintptr_t address);
