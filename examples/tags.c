// SPDX-License-Identifier: MIT
// tags - a prefix for log lines that follows a coroutine wherever it goes.
//
// say() is called deep inside and knows nothing of requests: it asks for the caller's own value
// under a key. The value is freed when the coroutine ends.
#include <coir/go.h>
#include <stdio.h>
#include <stdlib.h>

static coir_key tag;

static void say(const char *what)
{
    const char *t = coir_local_get(tag);

    printf("%s: %s\n", t ? t : "nobody", what);
}

static int serve(int number)
{
    char *t = malloc(32);

    if (!t) return -1;
    snprintf(t, 32, "request %d", number);
    int err = coir_local_set(tag, t);
    if (err < 0) {
        free(t);
        return err;
    }
    say("begins");
    coir_sleep(number * COIR_MS); // others run, on this thread too
    say("ends");
    return 0;
}

static int run(void *arg)
{
    coir_scope s;
    int err = coir_local_make(free, &tag);

    (void)arg;
    if (err < 0 || (err = coir_scope_open(&s, COIR_FOREVER)) < 0) return err;
    for (int i = 1; i <= 3 && !err; i++) err = coir_scope_go(&s, serve, i);
    int result = coir_scope_wait(&s);
    say("all served");
    coir_local_free(tag);
    return err ? err : result;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
