// SPDX-License-Identifier: MIT
// http_hello - what the raw HTTP servers share: the end of a request, and the answer to it.
#pragma once

#include <stddef.h>
#include <string.h>

#define HTTP_HELLO                                                                       \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"          \
    "Hello, World\n"
#define HTTP_IN 2048
#define HTTP_OUT                                                                         \
    (HTTP_IN / 4 * (sizeof(HTTP_HELLO) - 1)) // an end takes four bytes at least

struct http {
    int seen; // of "\r\n\r\n", over the pieces of a request
};

// Looks for ends in n bytes and writes an answer for each; the bytes of the answers.
static inline size_t http_answer(struct http *h, const char *in, size_t n, char *out)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        if (in[i] == '\r')
            h->seen = h->seen == 2 ? 3 : 1;
        else if (in[i] == '\n' && h->seen & 1)
            h->seen++;
        else
            h->seen = 0;
        if (h->seen < 4) continue;
        memcpy(out + bytes, HTTP_HELLO, sizeof(HTTP_HELLO) - 1);
        bytes += sizeof(HTTP_HELLO) - 1;
        h->seen = 0;
    }
    return bytes;
}
