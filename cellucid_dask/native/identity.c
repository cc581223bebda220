/* From which sources the library was compiled, and by what. */
#include "native.h"

#ifndef SOURCES_DIGEST
#define SOURCES_DIGEST "unknown"
#endif
#ifndef COMPILER
#define COMPILER "unknown"
#endif

/* `build.is_current` looks for this text in the file of the library. */
EXPORT const char native_sources[] = "sources " SOURCES_DIGEST;

EXPORT const char *native_compiler(void)
{
    return COMPILER " " __VERSION__;
}
