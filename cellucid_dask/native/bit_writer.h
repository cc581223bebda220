/* Bits on their way out. */
#ifndef CELLUCID_BIT_WRITER_H
#define CELLUCID_BIT_WRITER_H

#include "native.h"

/* Up to 8 bytes from `at` on are written to, whatever is put. */
typedef struct {
    uint64_t waiting;
    unsigned n_waiting; /* at most 7 after each `put` */
    uint8_t *at;
} BitWriter;

/* Put the lowest `n`, at most 56, of `bits`; those above are 0. */
static inline void put(BitWriter *out, uint64_t bits, unsigned n)
{
    out->waiting |= bits << out->n_waiting;
    out->n_waiting += n;
    memcpy(out->at, &out->waiting, 8);
    out->at += out->n_waiting >> 3;
    out->waiting >>= out->n_waiting & ~7u;
    out->n_waiting &= 7;
}

#endif
