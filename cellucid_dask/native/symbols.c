/* The symbols of deflate: how lengths of matches are written, and what symbols cost. */
#include "symbols.h"

uint8_t length_symbol[LONGEST_MATCH + 1];
uint8_t extra_bits[N_LENGTHS];
uint16_t first_length[N_LENGTHS];

__attribute__((constructor)) static void fill_tables(void)
{
    int length = 3;
    for (int symbol = 0; symbol < N_LENGTHS - 1; symbol++) {
        extra_bits[symbol] = symbol < 8 ? 0 : symbol / 4 - 1;
        first_length[symbol] = length;
        for (int i = 0; i < 1 << extra_bits[symbol]; i++)
            length_symbol[length++] = symbol;
    }
    /* 258 has a symbol of its own, without extra bits. */
    first_length[N_LENGTHS - 1] = LONGEST_MATCH;
    length_symbol[LONGEST_MATCH] = N_LENGTHS - 1;
}

/* log2 in 1/16, the fraction by a straight line: the same on all machines. */
static uint32_t logarithm(uint64_t n)
{
    const int whole = 63 - __builtin_clzll(n | 1);
    const uint64_t fraction = whole >= 4 ? n >> (whole - 4) : n << (4 - whole);
    return BIT * whole + (fraction & 15);
}

uint32_t ideal_price(uint64_t n_symbols, uint64_t count)
{
    const uint32_t price = logarithm(n_symbols) - logarithm(count);
    return price < BIT ? BIT : price;
}
