// SPDX-License-Identifier: MIT
// resolve - getaddrinfo(3) on a helper thread, which is forgotten if nobody waits any more.
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

// As coir_resolve, which is this; 'deaf' to cancels for who may not be interrupted.
int resolve(const char *host, const char *service, const struct addrinfo *hints,
            struct addrinfo **ret_list, int64_t deadline, bool deaf);
