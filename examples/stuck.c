// SPDX-License-Identifier: MIT
// stuck - two philosophers, two forks, and the report that coir_run makes of it.
//
//     ada     has the left fork, wants the right one
//     zeno    has the right fork, wants the left one
//
// Nothing can ever run again, so coir_run says who waits on what, cancels, and returns -EDEADLK.
#include <coir/go.h>
#include <errno.h>
#include <stdio.h>

static coir_mutex left, right;

static int dine(coir_mutex *first, coir_mutex *second)
{
    int err = coir_mutex_lock(first, COIR_FOREVER);

    if (err < 0) return err;
    coir_sleep(COIR_MS); // the other one takes his first fork
    err = coir_mutex_lock(second, COIR_FOREVER);
    if (err == 0) coir_mutex_unlock(second);
    coir_mutex_unlock(first);
    return err; // -ECANCELED, from the stop that follows the report
}

static int run(void *arg)
{
    coir_scope table;

    (void)arg;
    int err = coir_scope_open(&table, COIR_FOREVER);
    if (err < 0) return err;
    err = coir_scope_go_with(&table, coir_opts(.name = "ada"), dine, &left, &right);
    if (!err)
        err = coir_scope_go_with(&table, coir_opts(.name = "zeno"), dine, &right, &left);
    int result = coir_scope_wait(&table);
    return err ? err : result;
}

static void print(void *arg, int level, const char *line)
{
    (void)arg;
    if (level == COIR_LOG_ERROR) puts(line);
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.log = print;
    return coir_run(&config, run, NULL) == -EDEADLK ? 0 : 1;
}
