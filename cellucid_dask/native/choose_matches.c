/* Which gaps of a deflate block are written with matches, by the prices of its symbols. */
#include "choose_matches.h"

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
