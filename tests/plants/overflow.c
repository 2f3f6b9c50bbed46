// SPDX-License-Identifier: MIT
// A plant: a sum of int beyond INT_MAX. UndefinedBehaviorSanitizer has to say so, and end.
#include <limits.h>

int main(int argc, char **argv)
{
    volatile int big = INT_MAX;

    (void)argv;
    big += argc;
    return 0;
}
