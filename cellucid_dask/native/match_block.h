/* One deflate block of literals and matches. */
#ifndef CELLUCID_MATCH_BLOCK_H
#define CELLUCID_MATCH_BLOCK_H

#include "block_header.h"
#include "matches.h"

typedef struct {
    CodeHeader header;
    uint8_t lengths[N_SYMBOLS], distance_lengths[N_DISTANCES];
    uint64_t n_bits; /* of the whole block, if it is not stored */
} MatchBlock;

/* Leave out matches of a part that cost more than their literals, and choose codes. */
void plan_matches(const uint8_t *bytes, uint32_t start, uint32_t end, Matches *matches,
                  MatchBlock *block);

/* Bytes that `put_matches` writes to at most, with what waits in the writer. */
uint64_t match_block_bound(const MatchBlock *block, uint32_t n_bytes);

/* Write the part as planned, or as it is where that is shorter. */
BitWriter put_matches(const uint8_t *bytes, uint32_t start, uint32_t end, const Matches *matches,
                      const MatchBlock *block, int is_last, BitWriter out);

#endif
