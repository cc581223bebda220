/* One deflate block of a byte stream that is background but for some bytes, its items.
 *
 * The background repeats a unit of one byte, or of two that differ. A gap is the run of units
 * before an item, or after the last one. It is written as literals only, or as the literals of one
 * unit and matches of the distance of a unit. Lengths of gaps are in units, of matches in bytes. */
#ifndef CELLUCID_DEFLATE_BLOCK_H
#define CELLUCID_DEFLATE_BLOCK_H

#include "block_header.h"
#include "crc32.h"

enum {
    MAX_LONG_GAP = LONGEST_MATCH + 2,
    LANES = 4 /* equal items one after the other count in different places */
};

/* Gaps from here on take several matches. */
static inline int long_gap(int unit)
{
    return LONGEST_MATCH / unit + 2;
}

/* How often there is what. Everything of a block follows from these counts. */
typedef struct {
    uint32_t items[LANES][256];
    uint32_t gaps[MAX_LONG_GAP];   /* by length, the shorter ones */
    uint32_t n_long;               /* longer ones */
    uint32_t rests[LONGEST_MATCH]; /* units of these after the first one and longest matches */
    uint64_t n_longest;            /* matches of LONGEST_MATCH in these */
    uint32_t repeats[LONGEST_MATCH + 1]; /* matches that repeat an item, by length */
} Counts;

static inline void count_gap(Counts *counts, int unit, uint64_t gap)
{
    const unsigned longest = LONGEST_MATCH / unit;
    if (gap < (uint64_t)long_gap(unit)) {
        counts->gaps[gap]++;
    } else {
        counts->n_long++;
        counts->rests[(gap - 1) % longest]++;
        counts->n_longest += (gap - 1) / longest;
    }
}

/* Bits in the lower 56 places, how many there are in the upper 8. */
typedef uint64_t Bits;
#define BITS_MASK 0x00FFFFFFFFFFFFFFu
#define BITS_LENGTH 56

enum {
    /* Bits of a gap that `put` takes together with an item, beside up to 7 that are waiting. */
    LONGEST_ENTRY = 3 * LONGEST_CODE,
    SLOW_ENTRY = 255 /* length of an entry that `put_gap` has to write */
};

typedef struct {
    Bits gaps[MAX_LONG_GAP + 1]; /* that of `long_gap` stands for all long ones */
    Bits items[256];
    Bits unit; /* the literals of a unit */
    Bits lengths[LONGEST_MATCH + 1]; /* matches, by length */
    Bits end;
    Bits many_longest; /* several longest matches */
    int n_many;
    Background background;
    uint8_t matched[MAX_LONG_GAP]; /* whether gaps of this length are a unit and a match */
    uint8_t dynamic; /* whether it brings its codes, in `header` */
    CodeHeader header;
    uint64_t n_bits; /* of the whole block */
} Block;

static inline void put_bits(BitWriter *out, Bits entry)
{
    put(out, entry & BITS_MASK, entry >> BITS_LENGTH);
}

/* Choose codes for a stream with these counts. */
void plan_block(const Counts *counts, Background background, Block *block);

/* What stands before the first gap. */
BitWriter put_header(const Block *block, BitWriter out);

/* Any gap of 1 and more. */
BitWriter put_gap(const Block *block, BitWriter out, uint64_t gap);

/* The end of the block, to a whole byte; returns the place after it. */
uint8_t *put_end(const Block *block, BitWriter out);

#endif
