/* The header of a dynamic deflate block: code lengths, run-length coded with a code of their own. */
#ifndef CELLUCID_BLOCK_HEADER_H
#define CELLUCID_BLOCK_HEADER_H

#include "bit_writer.h"
#include "symbols.h"

/* Of literals, lengths and distances: four literals are put at once. */
enum { LONGEST_CODE = 14 };

typedef struct {
    int n_symbols, n_distances, n_tokens, n_order;
    uint8_t tokens[N_SYMBOLS + N_DISTANCES], repeats[N_SYMBOLS + N_DISTANCES];
    uint8_t lengths[19];
    uint16_t codes[19];
    uint64_t n_bits;
} CodeHeader;

/* Describe the codes of literals and match lengths, and of the first `n_distances` distances, at
 * least 1, of which one or more occur. */
void make_header(const uint8_t *code_lengths, const uint8_t *distance_lengths, int n_distances,
                 CodeHeader *header);

/* What stands before the first symbol of a block, of which one is the last of the stream. */
BitWriter put_codes(const CodeHeader *header, int is_last, BitWriter out);

#endif
