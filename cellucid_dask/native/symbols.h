/* The symbols of deflate: how lengths and distances of matches are written, and what symbols cost. */
#ifndef CELLUCID_SYMBOLS_H
#define CELLUCID_SYMBOLS_H

#include "native.h"

enum {
    SHORTEST_MATCH = 3,
    LONGEST_MATCH = 258,
    LARGEST_DISTANCE = 32768,
    N_SYMBOLS = 286, /* literals, end of block, lengths */
    END_OF_BLOCK = 256,
    N_LENGTHS = 29,
    N_DISTANCES = 30
};

/* Match lengths: symbol 257 + `length_symbol`, then `extra_bits` of that symbol. */
extern uint8_t length_symbol[LONGEST_MATCH + 1];
extern uint8_t extra_bits[N_LENGTHS];
extern uint16_t first_length[N_LENGTHS];

/* How many bits follow the symbol of a distance: the lowest ones of `distance - 1`. */
static inline unsigned distance_bits(unsigned symbol)
{
    return symbol < 4 ? 0 : symbol / 2 - 1;
}

/* Two symbols for each power of two, by the bit below the highest one. */
static inline unsigned distance_symbol(uint32_t distance)
{
    const uint32_t n = distance - 1;
    if (n < 4)
        return n;
    const unsigned highest = 31 - __builtin_clz(n);
    return 2 * highest + (n >> (highest - 1) & 1);
}

/* Prices of symbols in 1/16 bit. */
enum { BIT = 16, NO_CODE = 1 << 20 };

/* Price of a symbol that occurs so often, in an ideal code; once, if it does not. */
uint32_t ideal_price(uint64_t n_symbols, uint64_t count);

#endif
