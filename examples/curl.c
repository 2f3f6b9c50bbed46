// SPDX-License-Identifier: MIT
// curl URL [N] - libcurl inside coroutines: N requests at once, each waits in coir_poll and never
// stops a worker. Prints how many answered 200. Try: ./example_curl http://127.0.0.1:8080/ 50
//
//     perform -> which descriptor does curl wait for, how long at most -> coir_poll -> perform
//
// A multi handle of one easy handle is a request that never blocks. curl opens and closes the
// sockets itself: nobody else waits on them, so that is no close behind the library's back.
#include <coir/go.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int good;
static coir_waitgroup all;

static size_t drop(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

// Waits for what curl waits for. A connection has one socket, or none yet (a look-up, a back-off).
static int wait_for(CURLM *multi)
{
    fd_set in, out, err;
    int most = -1, fd = 0;
    long ms = -1;
    short events = 0;

    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&err);
    curl_multi_fdset(multi, &in, &out, &err, &most);
    curl_multi_timeout(multi, &ms);
    if (ms < 0 || ms > 1000) ms = 1000;
    if (most < 0) return coir_sleep((ms < 10 ? ms : 10) * COIR_MS);
    while (fd < most && !FD_ISSET(fd, &in) && !FD_ISSET(fd, &out)) fd++;
    if (FD_ISSET(fd, &in)) events |= POLLIN;
    if (FD_ISSET(fd, &out)) events |= POLLOUT;
    int got = coir_poll(fd, events, coir_after(ms * COIR_MS));
    return got == -ETIMEDOUT || got >= 0 ? 0 : got; // curl looks at its own clock
}

static void fetch(const char *url)
{
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();
    int running = 1;
    long status = 0;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 20L);
    curl_multi_add_handle(multi, easy);
    while (curl_multi_perform(multi, &running) == CURLM_OK && running)
        if (wait_for(multi) < 0) break;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) atomic_fetch_add(&good, 1);
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    coir_waitgroup_done(&all);
}

static int run(void *arg)
{
    char **argv = arg;
    int n = argv[2] ? atoi(argv[2]) : 1;

    for (int i = 0; i < n; i++) {
        coir_waitgroup_add(&all, 1);
        // TLS and name look-ups of libraries like more than the default stack.
        if (coir_go_with(coir_opts(.stack_bytes = 256 << 10), fetch,
                         (const char *)argv[1]))
            coir_waitgroup_done(&all);
    }
    int err = coir_waitgroup_wait(&all, coir_after(60 * COIR_SEC));
    printf("%d of %d answered\n", good, n);
    return err < 0 || good != n;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [N]\n", argv[0]);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int err = coir_run(NULL, run, argv);
    curl_global_cleanup();
    return err ? 1 : 0;
}
