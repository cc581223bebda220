/* Which gaps of a deflate block are written with matches, by the prices of its symbols. */
#ifndef CELLUCID_CHOOSE_MATCHES_H
#define CELLUCID_CHOOSE_MATCHES_H

#include "deflate_block.h"

/* In 1/16 bit. */
typedef struct {
    uint32_t unit; /* the literals of a unit of the background */
    uint32_t lengths[N_LENGTHS];
    uint32_t distance;
} Prices;

/* What a way of writing the gaps needs of symbols. */
typedef struct {
    uint64_t n_units; /* as literals */
    uint32_t lengths[N_LENGTHS];
} Tokens;

/* Write each gap the cheaper way. Rests of long gaps are matches wherever they can be. */
Tokens choose_matches(const Counts *counts, int unit, const Prices *prices, uint8_t *matched);

/* Prices in an ideal code of the symbols of `tokens` and the items. */
Prices estimate_prices(const uint32_t *items, uint64_t n_items, const Tokens *tokens,
                       Background background);

/* Prices in a code of these lengths, where a distance has `distance` bits. */
Prices code_prices(const uint8_t *lengths, Background background, int distance);

#endif
