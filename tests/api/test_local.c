// SPDX-License-Identifier: MIT
// local: each coroutine has its own values, and their end is on time.
// Method: values that tell whose they are, looked at after yields on two workers; counts of
// destroys.
#include <coir.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "tests/lib/test.h"

static coir_key key, other;
static atomic_int destroyed, ended;

static int on_two_workers(int (*fn)(void *))
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 2;
    destroyed = ended = 0;
    return coir_run(&config, fn, NULL);
}

static void count_destroy(void *value)
{
    destroyed += (int)(uintptr_t)value;
}

static void keeps_its_own(int i)
{
    expect(coir_local_get(key) == NULL);
    expect_eq(coir_local_set(key, (void *)(uintptr_t)i), 0);
    for (int turn = 0; turn < 50; turn++) {
        coir_yield();
        expect_eq((uintptr_t)coir_local_get(key), (uintptr_t)i);
        expect(coir_local_get(other) == NULL);
    }
    ended++;
}

static int many_keep_their_own(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_local_make(count_destroy, &key), 0);
    expect_eq(coir_local_make(NULL, &other), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 1; i <= 100; i++) expect_eq(coir_scope_go(&s, keeps_its_own, i), 0);
    expect_eq(coir_scope_wait(&s), 0);
    expect_eq(ended, 100);
    expect_eq(destroyed, 5050); // before the scope's wait returned
    expect_eq(coir_local_free(key), 0);
    return coir_local_free(other);
}

Test(local, values_are_a_coroutines_own_and_are_destroyed_at_its_end)
{
    cr_assert_eq(on_two_workers(many_keep_their_own), 0);
}

static void destroy_and_set_again(void *value)
{
    destroyed++;
    coir_shield_begin();
    expect_eq(coir_sleep(COIR_US), 0); // it runs on the coroutine, and may wait
    coir_shield_end();
    expect(coir_local_get(key) == NULL);
    expect_eq(coir_local_set(key, value), 0); // for ever
}

static void sets_one(void)
{
    expect_eq(coir_local_set(key, &key), 0);
}

static int set_for_ever(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_local_make(destroy_and_set_again, &key), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&s, sets_one), 0);
    expect_eq(coir_scope_wait(&s), 0);
    expect_eq(destroyed, 4);
    return coir_local_free(key);
}

Test(local, set_by_a_destroy_is_destroyed_too_but_not_for_ever)
{
    cr_assert_eq(on_two_workers(set_for_ever), 0);
}

static void frees_its_key(void)
{
    coir_key later;

    expect_eq(coir_local_set(key, &key), 0);
    expect_eq(coir_local_free(key), 0);
    expect(coir_local_get(key) == NULL);
    expect_eq(coir_local_set(key, &key), -EINVAL);
    expect_eq(coir_local_free(key), -EINVAL);
    expect_eq(coir_local_make(count_destroy, &later), 0);
    expect(later != key);
    expect(coir_local_get(later) == NULL); // in the same place, of another time
    expect_eq(coir_local_free(later), 0);
}

static int free_a_key(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_local_make(count_destroy, &key), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    expect_eq(coir_scope_go(&s, frees_its_key), 0);
    expect_eq(coir_scope_wait(&s), 0);
    return destroyed;
}

Test(local, of_a_freed_key_is_forgotten)
{
    cr_assert_eq(on_two_workers(free_a_key), 0);
}

static int make_all(void *arg)
{
    static coir_key all[1024];
    coir_key one_more = 7;

    (void)arg;
    for (int i = 0; i < 1024; i++) {
        expect_eq(coir_local_make(NULL, &all[i]), 0);
        expect_eq(coir_local_set(all[i], &all[i]), 0);
    }
    expect_eq(coir_local_make(NULL, &one_more), -EAGAIN);
    expect_eq(one_more, 7);
    for (int i = 0; i < 1024; i++) {
        expect(coir_local_get(all[i]) == &all[i]);
        expect_eq(coir_local_free(all[i]), 0);
    }
    expect_eq(coir_local_make(NULL, NULL), -EINVAL);
    expect_eq(coir_local_free(0), -EINVAL);
    expect_eq(coir_local_free(UINT64_MAX), -EINVAL);
    expect_eq(coir_local_set(0, arg), -EINVAL);
    expect(coir_local_get(0) == NULL);
    return 0;
}

Test(local, has_a_thousand_keys_and_says_when_there_are_no_more)
{
    cr_assert_eq(on_two_workers(make_all), 0);
}

Test(local, is_nothing_for_threads)
{
    coir_key k;

    cr_assert_eq(coir_local_make(NULL, &k), -EPERM);
    cr_assert_eq(coir_local_free(1), -EPERM);
    cr_assert_eq(coir_local_set(1, &k), -EPERM);
    cr_assert_null(coir_local_get(1));
}
