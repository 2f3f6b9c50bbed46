// SPDX-License-Identifier: MIT
// address - from "127.0.0.1:8080", "[::1]:80", "name:80", "unix:/run/x" to socket addresses.
//
// Numbers and "localhost" are answered at once, other names by a helper thread (resolve.h).
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_MOST 16

struct address {
    struct sockaddr_storage addr;
    socklen_t len;
};

// Addresses for 'text', best first. 'to_listen': an empty host means any.
// The number of them | -EINVAL (not an address) | -ENAMETOOLONG | -ENOENT (unknown name)
// | -ETIMEDOUT | -ECANCELED | -ENOMEM | -EAGAIN (no thread for the look-up, or no answer)
int address_find(const char *text, int to_listen, int64_t deadline,
                 struct address ret_list[ADDRESS_MOST]);
