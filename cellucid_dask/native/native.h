/* What all C files of the native gene path share. */
#ifndef CELLUCID_NATIVE_H
#define CELLUCID_NATIVE_H

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

/* Asks for the cache line at an address, which will be written; any address is allowed. */
#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address, 1)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* Negative results of exported functions. */
enum {
    ERROR_INDEX = -1,    /* an index lies outside of what it counts */
    ERROR_ORDER = -2,    /* cells do not rise */
    ERROR_CAPACITY = -3, /* the output does not fit: the caller gave too little */
    ERROR_LENGTH = -4    /* lengths do not add up */
};

#endif
