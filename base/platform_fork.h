// SPDX-License-Identifier: MIT
// platform_fork - between the files of the seam: what a thread of ours gives back in a child.
#pragma once

#include <signal.h>
#include <stdbool.h>

// The calling thread, just started, had this mask taken from it: a child that it forks gets it.
void fork_gives_back(const sigset_t *mask);

// The mask that a thread gives back which the caller starts: its own is 'mask', but where it is a
// thread of ours itself, the one that was taken from it.
const sigset_t *fork_mask_of(const sigset_t *mask);

// True on a thread that os_thread_start made, with its mask.
bool fork_is_ours(void);
