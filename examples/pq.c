// SPDX-License-Identifier: MIT
// pq CONNINFO [N] - libpq inside coroutines: N connections to PostgreSQL, each query waits in
// coir_poll. Every query sleeps 100 ms in the server: one after the other would take N times as
// long.
// Try: ./example_pq "host=127.0.0.1 dbname=postgres" 20
#include <coir/go.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE (20 * COIR_SEC)

static atomic_int good;
static coir_waitgroup all;
static const char *conninfo;

// libpq says what it waits for; false: an error, or nobody answers.
static bool wait_for(PGconn *conn, short events)
{
    return coir_poll(PQsocket(conn), events, coir_after(PATIENCE)) > 0;
}

static bool connect_to(PGconn *conn)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    if (PQstatus(conn) == CONNECTION_BAD) return false;
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED) return false;
        if (!wait_for(conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT))
            return false;
        next = PQconnectPoll(conn);
    }
    return PQsetnonblocking(conn, 1) == 0;
}

// Sends the query and returns its result; NULL: the connection is broken.
static PGresult *query(PGconn *conn, const char *sql, const char *arg)
{
    PGresult *result, *more;
    int left;

    if (!PQsendQueryParams(conn, sql, 1, NULL, &arg, NULL, NULL, 0)) return NULL;
    while ((left = PQflush(conn)) > 0)
        if (!wait_for(conn, POLLIN | POLLOUT) || !PQconsumeInput(conn)) return NULL;
    while (left == 0 && PQisBusy(conn))
        if (!wait_for(conn, POLLIN) || !PQconsumeInput(conn)) return NULL;
    result = PQgetResult(conn);
    while ((more = PQgetResult(conn))) PQclear(more);
    return result;
}

static void ask(int number)
{
    PGconn *conn = PQconnectStart(conninfo);
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    if (conn && connect_to(conn)) {
        PGresult *result = query(conn, "select $1::int * 2 from pg_sleep(0.1)", text);

        if (PQresultStatus(result) == PGRES_TUPLES_OK &&
            atoi(PQgetvalue(result, 0, 0)) == number * 2)
            atomic_fetch_add(&good, 1);
        PQclear(result);
    } else {
        fprintf(stderr, "%s", PQerrorMessage(conn));
    }
    PQfinish(conn);
    coir_waitgroup_done(&all);
}

static int run(void *arg)
{
    int n = *(int *)arg;
    int64_t start = coir_now();

    for (int i = 0; i < n; i++) {
        coir_waitgroup_add(&all, 1);
        if (coir_go_with(coir_opts(.stack_bytes = 256 << 10), ask, i))
            coir_waitgroup_done(&all);
    }
    int err = coir_waitgroup_wait(&all, coir_after(60 * COIR_SEC));
    printf("%d of %d answered in %lld ms\n", good, n,
           (long long)((coir_now() - start) / COIR_MS));
    return err < 0 || good != n;
}

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[2]) : 1;

    if (argc < 2) {
        fprintf(stderr, "usage: %s CONNINFO [N]\n", argv[0]);
        return 2;
    }
    conninfo = argv[1];
    return coir_run(NULL, run, &n) ? 1 : 0;
}
