// SPDX-License-Identifier: MIT
// mirrors - asks three mirrors for a file; the first that has it wins, the others are cancelled.
//
//     scope, 2 s ---+--- ask "slow"      cancelled
//                   +--- ask "broken"    has nothing, tells nobody
//                   +--- ask "near"      puts its name into 'winner' and cancels the scope
//
// When coir_scope_wait has returned nobody is left who could touch 'winner'.
#include <coir/go.h>
#include <errno.h>
#include <stdio.h>

struct race {
    coir_scope scope;
    coir_mutex lock;
    const char *winner;
};

static int ask(struct race *race, const char *name, int64_t takes_ms, bool has_it)
{
    int err = coir_sleep(takes_ms * COIR_MS); // where a real one would dial and read

    if (err < 0 || !has_it)
        return 0; // a mirror without it is no reason to stop the others
    if ((err = coir_mutex_lock(&race->lock, COIR_FOREVER)) < 0) return 0; // too late
    if (!race->winner) race->winner = name;
    coir_mutex_unlock(&race->lock);
    coir_scope_cancel(&race->scope);
    return 0;
}

static int run(void *arg)
{
    struct race race = {.winner = NULL};
    int64_t start = coir_now();
    int err;

    (void)arg;
    if ((err = coir_scope_open(&race.scope, coir_after(2 * COIR_SEC)))) return err;
    err = coir_scope_go(&race.scope, ask, &race, "slow", 60000, true);
    if (!err) err = coir_scope_go(&race.scope, ask, &race, "broken", 1, false);
    if (!err) err = coir_scope_go(&race.scope, ask, &race, "near", 20, true);
    if (err) coir_scope_cancel(&race.scope);

    int result = coir_scope_wait(&race.scope); // -ECANCELED is how it should end
    if (err) return err;
    if (!race.winner) return result == 0 ? -ENOENT : result;
    printf("%s has it, after %s\n", race.winner,
           coir_now() - start < COIR_SEC ? "less than a second" : "a long time");
    return 0;
}

int main(void)
{
    return coir_run(NULL, run, NULL) == 0 ? 0 : 1;
}
