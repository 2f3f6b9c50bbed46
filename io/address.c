// SPDX-License-Identifier: MIT
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/platform.h"
#include "io/resolve.h"

#define HOST_BYTES 256

// ---- Unix paths ----------------------------------------------------------------------------

// "unix:/path"; "unix:@name" is in the abstract namespace.
static int unix_address(const char *path, struct address *ret)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->addr;
    size_t n = strlen(path);

    if (n == 0) return -EINVAL;
    if (n >= sizeof(un->sun_path)) return -ENAMETOOLONG;
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n);
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    if (path[0] == '@') {
        un->sun_path[0] = 0;
        ret->len--;
    }
    return 1;
}

// ---- Numbers -------------------------------------------------------------------------------

static int read_port(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;

    if (!*text) return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return -EINVAL;
        port = port * 10 + (unsigned)(*text - '0');
        if (port > UINT16_MAX) return -EINVAL;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

static void set_ip4(struct address *a, in_addr_t host, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&a->addr;

    *in = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = host};
    a->len = sizeof(*in);
}

static void set_ip6(struct address *a, const struct in6_addr *host, uint16_t port)
{
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&a->addr;

    *in = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                .sin6_port = htons(port),
                                .sin6_addr = *host};
    a->len = sizeof(*in);
}

// What needs no look-up; 0: a name.
static int number_address(const char *host, uint16_t port, int to_listen,
                          struct address *ret)
{
    struct in6_addr ip6;
    struct in_addr ip4;

    if (!*host && to_listen) {
        set_ip4(ret, htonl(INADDR_ANY), port);
    } else if (inet_pton(AF_INET, host, &ip4) == 1) {
        set_ip4(ret, ip4.s_addr, port);
    } else if (inet_pton(AF_INET6, host, &ip6) == 1) {
        set_ip6(ret, &ip6, port);
    } else if (strcmp(host, "localhost") == 0) {
        set_ip4(ret, htonl(INADDR_LOOPBACK), port);
        if (to_listen) return 1;
        set_ip6(ret + 1, &in6addr_loopback, port);
        return 2;
    } else {
        return 0;
    }
    return 1;
}

// Cuts "host:port" or "[host]:port".
static int split(const char *text, char host[HOST_BYTES], uint16_t *ret_port)
{
    bool bracket = text[0] == '[';
    const char *from = text + bracket;
    const char *end = bracket ? strchr(from, ']') : strrchr(from, ':');

    if (!end || (!bracket && memchr(from, ':', (size_t)(end - from)))) return -EINVAL;
    if (bracket && end[1] != ':') return -EINVAL;
    if ((size_t)(end - from) >= HOST_BYTES) return -ENAMETOOLONG;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = 0;
    return read_port(end + 1 + bracket, ret_port);
}

// ---- Names -----------------------------------------------------------------------------------

static int name_address(const char *host, uint16_t port, int to_listen, int64_t deadline,
                        struct address ret_list[ADDRESS_MOST])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    int n = 0;

    snprintf(service, sizeof(service), "%u", port);
    int err = resolve(host, service, &hints, &found, deadline, to_listen != 0);
    if (err < 0) return err;
    for (struct addrinfo *a = found; a && n < ADDRESS_MOST; a = a->ai_next, n++) {
        memcpy(&ret_list[n].addr, a->ai_addr, a->ai_addrlen);
        ret_list[n].len = a->ai_addrlen;
    }
    os_resolve_free(found);
    return n;
}

int address_find(const char *text, int to_listen, int64_t deadline,
                 struct address ret_list[ADDRESS_MOST])
{
    char host[HOST_BYTES];
    uint16_t port;
    int n;

    if (!text) return -EINVAL;
    if (strncmp(text, "unix:", 5) == 0) return unix_address(text + 5, ret_list);
    if ((n = split(text, host, &port)) < 0) return n;
    if ((n = number_address(host, port, to_listen, ret_list)) > 0) return n;
    if (!*host) return -EINVAL;
    return name_address(host, port, to_listen, deadline, ret_list);
}
