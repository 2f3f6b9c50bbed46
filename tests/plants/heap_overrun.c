// SPDX-License-Identifier: MIT
// A plant: one byte written behind a block. AddressSanitizer has to say so.
#include <stdlib.h>

static char *volatile block;

int main(int argc, char **argv)
{
    (void)argv;
    block = malloc(16);
    ((volatile char *)block)[15 + argc] = 1;
    free(block);
    return 0;
}
