/* Huffman codes of limited length, as deflate has them. */
#ifndef CELLUCID_HUFFMAN_H
#define CELLUCID_HUFFMAN_H

#include "native.h"

enum { MAX_SYMBOLS = 288 };

/* Lengths of the codes of `n` symbols (at most MAX_SYMBOLS), none above `limit` (at most 15);
 * 0 for symbols that do not occur. A symbol that occurs alone gets length 1. */
void huffman_lengths(int n, const uint32_t *counts, int limit, uint8_t *lengths);

/* The canonical codes of these lengths, with the bit that is written first in the lowest place. */
void huffman_codes(int n, const uint8_t *lengths, uint16_t *codes);

#endif
