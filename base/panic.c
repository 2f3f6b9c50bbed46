// SPDX-License-Identifier: MIT
#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/platform.h"

static void (*dump_hook)(void);

void panic_set_dump(void (*dump)(void))
{
    dump_hook = dump;
}

void panic_at(const char *file, int line, const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "coir: %s:%d: %s\n", file, line, what);

    if (n > (int)sizeof(text) - 1) n = (int)sizeof(text) - 1;
    os_write(2, text, (size_t)n);
    if (dump_hook) dump_hook();
    abort();
}
