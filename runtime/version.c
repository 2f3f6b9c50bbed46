// SPDX-License-Identifier: MIT
// version - the library's own number, for programs that were built against other headers.
#include <coir/base.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *coir_version(void)
{
    return TEXT(COIR_VERSION_MAJOR) "." TEXT(COIR_VERSION_MINOR) "." TEXT(
        COIR_VERSION_PATCH);
}
