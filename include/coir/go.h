// SPDX-License-Identifier: MIT
// coir/go.h - coir.h, and the one short word: go(fn, args...).
#ifndef COIR_GO_H
#define COIR_GO_H

#include <coir.h>

#if !defined(__cplusplus) && defined(__GNUC__)
// Starts fn(args...) as a coroutine of the caller's runtime; the same as coir_go.
// 0 | -ENOMEM | -EAGAIN (coroutines_max) | -ECANCELED (the runtime stops)
// | -EPERM (no runtime here) | -EINVAL (NULL fn)
#define go(...) coir_go(__VA_ARGS__)
#endif

#endif
