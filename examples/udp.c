// SPDX-License-Identifier: MIT
// udp - a server of datagrams and three clients; a client asks again when no answer comes.
#include <arpa/inet.h>
#include <coir.h>
#include <coir/go.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static coir_waitgroup clients;
static struct sockaddr_in server_address;

// Answers in capitals, but leaves every second datagram unanswered.
static void serve(int fd)
{
    struct sockaddr_in from;
    char text[512];

    for (int i = 0;; i++) {
        socklen_t len = sizeof(from);
        ssize_t n = coir_recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from,
                                  &len, COIR_FOREVER);
        if (n < 0) break; // closed
        for (ssize_t j = 0; j < n; j++) text[j] = (char)toupper((unsigned char)text[j]);
        if (i % 2 && coir_sendto(fd, text, (size_t)n, 0, (struct sockaddr *)&from, len,
                                 COIR_FOREVER) < 0)
            break;
    }
}

static void ask(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char out[64], in[64];
    int n = snprintf(out, sizeof(out), "hello from %s", name);
    ssize_t got = -1;

    for (int i = 0; i < 10 && got < 0; i++) {
        if (coir_sendto(fd, out, (size_t)n, 0, (struct sockaddr *)&server_address,
                        sizeof(server_address), COIR_FOREVER) < 0)
            break;
        got = coir_recvfrom(fd, in, sizeof(in), 0, NULL, NULL, coir_after(50 * COIR_MS));
    }
    if (got >= 0) printf("%.*s\n", (int)got, in);
    coir_close(fd);
    coir_waitgroup_done(&clients);
}

static int run(void *arg)
{
    static const char *names[] = {"coconut", "coir", "copra"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(server_address);

    (void)arg;
    server_address = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&server_address, len) ||
        getsockname(fd, (struct sockaddr *)&server_address, &len))
        return -1;
    coir_waitgroup_add(&clients, 3);
    if (go(serve, fd)) return -1;
    for (int i = 0; i < 3; i++)
        if (go(ask, names[i])) return -1;
    if (coir_waitgroup_wait(&clients, COIR_FOREVER)) return -1;
    return coir_close(fd);
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
