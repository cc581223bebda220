/* What stands around the gaps and items of a gzip member. */
#include "gzip_member.h"

enum { GZIP_HEAD = 10, GZIP_TAIL = 8 };

int64_t begin_member(Walk *walk, Background background, Block *block, uint8_t *out,
                     int64_t capacity)
{
    static const uint8_t head[GZIP_HEAD] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    plan_block(walk->counts, background, block);
    /* `put` writes 8 bytes at a time, at most up to the end of the tail. */
    const int64_t size = GZIP_HEAD + (int64_t)((block->n_bits + 7) / 8) + GZIP_TAIL;
    if (size > capacity)
        return ERROR_CAPACITY;
    memcpy(out, head, GZIP_HEAD);
    walk->next = 0;
    walk->block = block;
    walk->out = put_header(block, (BitWriter){.at = out + GZIP_HEAD});
    return size;
}

void end_member(const Walk *walk, const CrcLength *length)
{
    uint8_t *tail = put_end(walk->block, walk->out);
    const uint32_t crc = crc_end(length, walk->crc, &walk->block->background);
    const uint32_t n_bytes = (uint32_t)length->n_bytes;
    memcpy(tail, &crc, 4);
    memcpy(tail + 4, &n_bytes, 4);
}
