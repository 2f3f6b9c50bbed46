// SPDX-License-Identifier: MIT
// service - what the echo and the HTTP servers do with what comes: built with -DHTTP, hello over
// HTTP with keep-alive, raw (no header is looked at); else the same bytes back.
#pragma once

#include <stddef.h>
#include <string.h>

enum { SERVICE_IN = 512, SERVICE_OUT = 1024 };

// A connection's, zero-filled at its beginning.
struct service {
    const char *at; // what came and is not yet answered
    size_t left;
    int seen; // of "\r\n\r\n", over the pieces of a request
    char in[SERVICE_IN];
#ifdef HTTP
    char out[SERVICE_OUT];
#endif
};

static inline void service_take(struct service *s, size_t n)
{
    s->at = s->in;
    s->left = n;
}

#ifdef HTTP

#define HELLO                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"          \
    "Hello, World\n"

// The next bytes to send, as many as *ret_n says; 0: the next ones have to be read first.
static inline const char *service_answer(struct service *s, size_t *ret_n)
{
    size_t n = 0;

    while (s->left > 0 && n + sizeof(HELLO) <= SERVICE_OUT) {
        char c = *s->at++;

        s->left--;
        if (c == '\r')
            s->seen = s->seen == 2 ? 3 : 1;
        else if (c == '\n' && s->seen & 1)
            s->seen++;
        else
            s->seen = 0;
        if (s->seen < 4) continue;
        memcpy(s->out + n, HELLO, sizeof(HELLO) - 1);
        n += sizeof(HELLO) - 1;
        s->seen = 0;
    }
    *ret_n = n;
    return s->out;
}

#else

static inline const char *service_answer(struct service *s, size_t *ret_n)
{
    *ret_n = s->left;
    s->left = 0;
    return s->at;
}

#endif
