// SPDX-License-Identifier: MIT
// tls ADDRESS CERTIFICATE KEY - an echo server that speaks TLS: OpenSSL inside coroutines, which
// wait in coir_poll and never stop a worker. docs/io.md says how to make the two files.
//
// OpenSSL's error queue is the thread's, and a coroutine may change its thread in every wait: it is
// emptied before each call and asked right after it, with no wait between the two.
#include <coir/go.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static SSL_CTX *context;

enum what { HANDSHAKE, READ, WRITE };
// What SSL_accept, SSL_read or SSL_write gives: > 0; 0: the other end is through; < 0: an error.
static int talk(SSL *ssl, enum what what, char *buf, int n)
{
    for (;;) {
        ERR_clear_error();
        int got = what == HANDSHAKE ? SSL_accept(ssl)
                  : what == READ    ? SSL_read(ssl, buf, n)
                                    : SSL_write(ssl, buf, n);
        int why = SSL_get_error(ssl, got);
        if (why == SSL_ERROR_NONE) return got;
        if (why == SSL_ERROR_ZERO_RETURN) return 0;
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return -1;
        int ready =
            coir_poll(SSL_get_fd(ssl), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT,
                      coir_after(10 * COIR_SEC));
        if (ready < 0) return ready;
    }
}

// The keys' arithmetic and the certificates' parser are the deep part.
static void shake_hands(void *ssl)
{
    talk(ssl, HANDSHAKE, NULL, 0);
}

static void serve(int fd)
{
    SSL *ssl = SSL_new(context);
    char buf[4096];
    int n;

    if (ssl && SSL_set_fd(ssl, fd) == 1 &&
        coir_on_big_stack(256 << 10, shake_hands, ssl) == 0 &&
        SSL_is_init_finished(ssl)) {
        while ((n = talk(ssl, READ, buf, sizeof(buf))) > 0)
            if (talk(ssl, WRITE, buf, n) != n) break;
        if (n == 0) SSL_shutdown(ssl); // says that we are through too
    }
    SSL_free(ssl);
    coir_close(fd);
}

static int run(void *address)
{
    int fd, listener = coir_listen(address, NULL);

    // SOCK_NONBLOCK: OpenSSL reads and writes by itself and must not block.
    while ((fd = coir_accept(listener, NULL, NULL, SOCK_NONBLOCK, COIR_FOREVER)) >= 0)
        if (go(serve, fd) != 0) coir_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); // OpenSSL's own write may meet a closed connection
    context = SSL_CTX_new(TLS_server_method());
    if (argc < 4 || !context ||
        SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "usage: %s ADDRESS CERTIFICATE KEY\n", argv[0]);
        return 2;
    }
    return coir_run(NULL, run, argv[1]) < 0;
}
