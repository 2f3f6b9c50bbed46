// SPDX-License-Identifier: MIT
// rand: the same seed gives the same choices, and each choice of a few comes about as often.
#include "base/rand.h"

#include <criterion/criterion.h>

Test(rand, the_same_seed_repeats_and_another_differs)
{
    struct rand a, b, c;
    int same = 0;

    rand_init(&a, 7);
    rand_init(&b, 7);
    rand_init(&c, 8);
    for (int i = 0; i < 100; i++) {
        uint32_t x = rand_next(&a);
        cr_assert_eq(x, rand_next(&b));
        same += x == rand_next(&c);
    }
    cr_assert_lt(same, 3);
}

Test(rand, a_zero_seed_is_not_stuck_at_zero)
{
    struct rand r;

    rand_init(&r, 0);
    cr_assert(rand_next(&r) | rand_next(&r));
}

// 70,000 draws among 7: 10,000 each, standard deviation 93; 6 of those is no chance.
Test(rand, below_stays_below_and_is_even)
{
    struct rand r;
    int seen[7] = {0};

    rand_init(&r, 12345);
    for (int i = 0; i < 70000; i++) {
        uint32_t x = rand_below(&r, 7);
        cr_assert_lt(x, 7);
        seen[x]++;
    }
    for (int i = 0; i < 7; i++) cr_assert(seen[i] > 9440 && seen[i] < 10560);
}
