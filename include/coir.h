// SPDX-License-Identifier: MIT
// coir.h - everything, every name with the prefix coir_. <coir/go.h> adds the short word go.
//
// Start reading at coir/base.h (deadlines and errors), then coir/runtime.h and coir/spawn.h.
#ifndef COIR_H
#define COIR_H

#include <coir/base.h>
#include <coir/chan.h>
#include <coir/debug.h>
#include <coir/hosted.h>
#include <coir/io.h>
#include <coir/local.h>
#include <coir/runtime.h>
#include <coir/scope.h>
#include <coir/spawn.h>
#include <coir/sync.h>

#endif
