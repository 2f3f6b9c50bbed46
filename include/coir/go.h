// SPDX-License-Identifier: MIT
// coir/go.h - coir.h, and the one short word: go(fn, args...).
#ifndef COIR_GO_H
#define COIR_GO_H

#include <coir.h>

#if !defined(__cplusplus) && defined(__GNUC__)
// Starts fn(args...) as a coroutine of the caller's runtime; the same as coir_go.
#define go(...) coir_go(__VA_ARGS__)
#endif

#endif
