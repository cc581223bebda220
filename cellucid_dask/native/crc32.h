/* The CRC-32 of a byte stream that is background but for some bytes, in time of those bytes. */
#ifndef CELLUCID_CRC32_H
#define CELLUCID_CRC32_H

#include "native.h"

/* A CRC without its initial and final inversion is linear over GF(2): that of `stream` is the xor
 * of that of the background and that of `stream ^ background`, which is 0 in most places. */
enum { CRC_BLOCK = 256, CRC_LEVELS = 8 };

/* What a byte of value v at place p of a block adds to the crc at the end of that block. */
extern uint32_t crc_place[CRC_BLOCK][256];

/* Crc after 8**level more blocks of zeros: xor of the entries of the four bytes of the crc. */
extern uint32_t crc_skip[CRC_LEVELS][4][256];

/* The crc of `stream ^ background` up to the end of a block. Blocks are laid so that the last one
 * ends with the stream; what is missing at the front counts as zeros, which add nothing. */
typedef struct {
    uint64_t shift; /* position in the stream + shift = position on the grid of blocks */
    uint64_t block; /* `crc` covers the blocks up to and with this one */
    uint32_t crc;
} SparseCrc;

static inline SparseCrc crc_begin(uint64_t n_bytes)
{
    return (SparseCrc){(CRC_BLOCK - n_bytes % CRC_BLOCK) % CRC_BLOCK, 0, 0};
}

static inline uint32_t crc_skip_once(uint32_t crc, int level)
{
    const uint32_t(*table)[256] = crc_skip[level];
    return table[0][crc & 255] ^ table[1][crc >> 8 & 255] ^ table[2][crc >> 16 & 255] ^
           table[3][crc >> 24];
}

/* Crc after `n_blocks` (less than 8**CRC_LEVELS) more blocks of zeros. */
static inline uint32_t crc_skip_blocks(uint32_t crc, uint64_t n_blocks)
{
    for (int level = 0; n_blocks; level++, n_blocks >>= 3)
        for (uint64_t i = n_blocks & 7; i; i--)
            crc = crc_skip_once(crc, level);
    return crc;
}

/* Count a byte that differs from the background by `difference`; positions must not fall. */
static inline void crc_add(SparseCrc *sum, uint64_t position, uint8_t difference)
{
    const uint64_t place = position + sum->shift, block = place / CRC_BLOCK;
    if (block != sum->block) {
        sum->crc = crc_skip_blocks(sum->crc, block - sum->block);
        sum->block = block;
    }
    sum->crc ^= crc_place[place % CRC_BLOCK][difference];
}

/* What a stream holds where it holds nothing: one byte, or two in turn. */
typedef struct {
    int unit; /* 1 or 2 bytes */
    uint8_t bytes[2];
} Background;

/* What depends on the length of the stream alone. */
typedef struct {
    uint64_t n_bytes;
    uint32_t ones;         /* what the initial and final inversion add */
    uint32_t repeating[2]; /* from the crc of a unit of 1 or 2 bytes to that of a stream of them */
} CrcLength;

/* For backgrounds of at most max_unit bytes. */
CrcLength crc_length(uint64_t n_bytes, int max_unit);

/* The CRC-32 of the whole stream, as gzip stores it. */
uint32_t crc_end(const CrcLength *length, SparseCrc sum, const Background *background);

#endif
