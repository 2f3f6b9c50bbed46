// SPDX-License-Identifier: MIT
// A plant: a program that waits for what never comes. The watchdog of tests/lib has to say so.
#include <unistd.h>

int main(void)
{
    for (;;) pause();
}
