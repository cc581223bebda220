/* Which gaps of a deflate block are written with matches, by the prices of its symbols. */
#include "choose_matches.h"

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

static uint32_t match_price(const Prices *prices, int length)
{
    const int symbol = length_symbol[length];
    return prices->lengths[symbol] + BIT * extra_bits[symbol] + prices->distance;
}

Tokens choose_matches(const Counts *counts, int unit, const Prices *prices, uint8_t *matched)
{
    Tokens tokens = {0};
    for (int gap = 1; gap < long_gap(unit); gap++) {
        const uint32_t count = counts->gaps[gap], more = gap - 1;
        matched[gap] = 0;
        if (!count)
            continue;
        matched[gap] = more * unit >= SHORTEST_MATCH &&
                       match_price(prices, more * unit) < more * prices->unit;
        tokens.n_units += matched[gap] ? count : (uint64_t)count * gap;
        if (matched[gap])
            tokens.lengths[length_symbol[more * unit]] += count;
    }
    for (int length = SHORTEST_MATCH; length <= LONGEST_MATCH; length++)
        tokens.lengths[length_symbol[length]] += counts->repeats[length];
    if (counts->n_long) {
        tokens.n_units += counts->n_long;
        for (int rest = 1; rest < LONGEST_MATCH / unit; rest++)
            if (rest * unit < SHORTEST_MATCH)
                tokens.n_units += (uint64_t)counts->rests[rest] * rest;
            else
                tokens.lengths[length_symbol[rest * unit]] += counts->rests[rest];
        tokens.lengths[N_LENGTHS - 1] += counts->n_longest;
    }
    return tokens;
}

/* log2 in 1/16, the fraction by a straight line: the same on all machines. */
static uint32_t logarithm(uint64_t n)
{
    const int whole = 63 - __builtin_clzll(n | 1);
    const uint64_t fraction = whole >= 4 ? n >> (whole - 4) : n << (4 - whole);
    return BIT * whole + (fraction & 15);
}

/* Price of a symbol that occurs so often, in an ideal code; once, if it does not. */
static uint32_t ideal_price(uint64_t n_symbols, uint64_t count)
{
    const uint32_t price = logarithm(n_symbols) - logarithm(count);
    return price < BIT ? BIT : price;
}

Prices estimate_prices(const uint32_t *items, uint64_t n_items, const Tokens *tokens,
                       Background background)
{
    uint64_t n = n_items + background.unit * tokens->n_units + 1;
    for (int symbol = 0; symbol < N_LENGTHS; symbol++)
        n += tokens->lengths[symbol];
    Prices prices = {.distance = BIT};
    for (int byte = 0; byte < background.unit; byte++)
        prices.unit += ideal_price(n, tokens->n_units + items[background.bytes[byte]]);
    for (int symbol = 0; symbol < N_LENGTHS; symbol++)
        prices.lengths[symbol] = ideal_price(n, tokens->lengths[symbol]);
    return prices;
}

Prices code_prices(const uint8_t *lengths, Background background, int distance)
{
    Prices prices = {.distance = BIT * distance};
    for (int byte = 0; byte < background.unit; byte++)
        prices.unit += BIT * lengths[background.bytes[byte]];
    for (int symbol = 0; symbol < N_LENGTHS; symbol++) {
        const int length = lengths[END_OF_BLOCK + 1 + symbol];
        prices.lengths[symbol] = length ? BIT * length : NO_CODE;
    }
    return prices;
}
