/* Gzip members of byte streams that are background but for some bytes.
 *
 * A stream is walked twice. The first walk counts its items and gaps and sums the crc; from the
 * counts follow the codes and the exact size; the second walk writes. */
#ifndef CELLUCID_GZIP_MEMBER_H
#define CELLUCID_GZIP_MEMBER_H

#include "crc32.h"
#include "deflate_block.h"

#define INLINE static inline __attribute__((always_inline))
#define UNLIKELY(condition) __builtin_expect(condition, 0)

typedef struct {
    uint64_t next; /* position after the last item; the next gap starts here */
    Counts *counts;
    SparseCrc crc;
    const Block *block;
    BitWriter out;
} Walk;

typedef enum { COUNT, WRITE } Pass;

/* A gap of `gap` units, and an item of `unit` bytes after it. Positions are in bytes and rise. */
INLINE void take_item(Walk *walk, Pass pass, int unit, uint64_t position, uint32_t item,
                      uint32_t background, unsigned lane)
{
    const uint64_t gap = (position - walk->next) / unit;
    walk->next = position + unit;
    if (pass == COUNT) {
        count_gap(walk->counts, unit, gap);
        for (int byte = 0; byte < unit; byte++, item >>= 8, background >>= 8) {
            walk->counts->items[(lane + byte) % LANES][item & 255]++;
            crc_add(&walk->crc, position + byte, (item ^ background) & 255);
        }
        return;
    }
    const uint64_t limit = long_gap(unit);
    Bits entry = walk->block->gaps[gap < limit ? gap : limit];
    if (UNLIKELY(entry >> BITS_LENGTH == SLOW_ENTRY)) {
        walk->out = put_gap(walk->block, walk->out, gap);
        entry = 0;
    }
    const Bits code = walk->block->items[item & 255];
    const unsigned n_gap = entry >> BITS_LENGTH, n_code = code >> BITS_LENGTH;
    put(&walk->out, (entry & BITS_MASK) | (code & BITS_MASK) << n_gap, n_gap + n_code);
    if (unit == 2)
        put_bits(&walk->out, walk->block->items[item >> 8 & 255]);
}

/* The item before `n` times more, in a stream whose background is one byte. */
INLINE void take_repeats(Walk *walk, Pass pass, unsigned n, uint8_t difference)
{
    if (pass == COUNT) {
        walk->counts->repeats[n]++;
        for (unsigned i = 0; i < n; i++)
            crc_add(&walk->crc, walk->next + i, difference);
    } else {
        put_bits(&walk->out, walk->block->lengths[n]);
    }
    walk->next += n;
}

/* The gap after the last item. */
INLINE void take_tail(Walk *walk, Pass pass, int unit, uint64_t n_bytes)
{
    const uint64_t gap = (n_bytes - walk->next) / unit;
    if (pass == COUNT)
        count_gap(walk->counts, unit, gap);
    else if (gap)
        walk->out = put_gap(walk->block, walk->out, gap);
}

/* Choose the codes after the first walk and write what stands before the first gap, so that the
 * second walk can start. Returns the size of the member, or ERROR_CAPACITY and writes nothing. */
int64_t begin_member(Walk *walk, Background background, Block *block, uint8_t *out,
                     int64_t capacity);

/* Write what stands after the last gap. */
void end_member(const Walk *walk, const CrcLength *length);

/* The gzip member of a stream of `length->n_bytes` bytes that may be any, with their most frequent
 * one as background. Returns its size or ERROR_CAPACITY. */
int64_t encode_bytes(const CrcLength *length, const uint8_t *bytes, uint8_t *out,
                     int64_t capacity);

#endif
