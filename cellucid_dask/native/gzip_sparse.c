/* Gzip members of vectors that are mostly one byte, in time of what differs from it.
 *
 * A vector is walked twice. The first walk counts its items (the bytes that differ) and gaps and
 * sums the crc; from the counts follow the codes and the exact size; the second walk writes. */
#include "crc32.h"
#include "deflate_block.h"

#define INLINE static inline __attribute__((always_inline))
#define UNLIKELY(condition) __builtin_expect(condition, 0)

enum { GZIP_HEAD = 10, GZIP_TAIL = 8 };

typedef struct {
    uint64_t next; /* position after the last item; the next gap starts here */
    Counts *counts;
    SparseCrc crc;
    const Block *block;
    BitWriter out;
} Walk;

typedef enum { COUNT, WRITE } Pass;

INLINE void take_gap(Walk *walk, Pass pass, uint64_t gap)
{
    if (pass == COUNT) {
        count_gap(walk->counts, gap);
    } else if (gap) {
        const Bits entry = walk->block->gaps[gap < LONG_GAP ? gap : LONG_GAP];
        if (entry >> BITS_LENGTH == SLOW_ENTRY)
            walk->out = put_gap(walk->block, walk->out, gap);
        else
            put_bits(&walk->out, entry);
    }
}

/* The byte at `position`, which is not the background; positions rise. */
INLINE void take_item(Walk *walk, Pass pass, uint64_t position, uint8_t item, uint8_t background,
                      unsigned lane)
{
    const uint64_t gap = position - walk->next;
    walk->next = position + 1;
    if (pass == COUNT) {
        count_gap(walk->counts, gap);
        walk->counts->items[lane % LANES][item]++;
        crc_add(&walk->crc, position, item ^ background);
        return;
    }
    Bits entry = walk->block->gaps[gap < LONG_GAP ? gap : LONG_GAP];
    if (UNLIKELY(entry >> BITS_LENGTH == SLOW_ENTRY)) {
        walk->out = put_gap(walk->block, walk->out, gap);
        entry = 0;
    }
    const Bits code = walk->block->items[item];
    const unsigned n_gap = entry >> BITS_LENGTH, n_code = code >> BITS_LENGTH;
    put(&walk->out, (entry & BITS_MASK) | (code & BITS_MASK) << n_gap, n_gap + n_code);
}

typedef struct {
    const void *records; /* of one gene */
    uint64_t n_records, n_cells;
    uint32_t background; /* code of cells without record */
} Gene;

/* Walk over a gene whose records are `record_bits` wide and hold codes of `width` bytes, of which
 * the background's are equal. Returns 0 or what is wrong with the cells. */
INLINE int walk_gene(const Gene *gene, int record_bits, int width, Pass pass, Walk *walk)
{
    const uint32_t *short_records = gene->records;
    const uint64_t *long_records = gene->records;
    const uint8_t background = gene->background;
    uint64_t next_cell = 0; /* after that of the record before */
    for (uint64_t i = 0; i < gene->n_records; i++) {
        const uint64_t cell = record_bits == 32 ? short_records[i] >> 8 : long_records[i] >> 32;
        uint32_t code = record_bits == 32 ? short_records[i] & 255 : (uint32_t)long_records[i];
        if (UNLIKELY(cell - next_cell >= gene->n_cells - next_cell))
            return cell < next_cell ? ERROR_ORDER : ERROR_INDEX;
        next_cell = cell + 1;
        for (int byte = 0; byte < width; byte++, code >>= 8)
            if ((code & 255) != background)
                take_item(walk, pass, cell * width + byte, code & 255, background, i + byte);
    }
    take_gap(walk, pass, gene->n_cells * width - walk->next);
    return 0;
}

#define WALK_GENE(NAME, RECORD_BITS, WIDTH)                                                        \
    static int NAME##_count(const Gene *gene, Walk *into)                                          \
    {                                                                                              \
        Walk walk = *into;                                                                         \
        const int error = walk_gene(gene, RECORD_BITS, WIDTH, COUNT, &walk);                       \
        *into = walk;                                                                              \
        return error;                                                                              \
    }                                                                                              \
    static int NAME##_write(const Gene *gene, Walk *into)                                          \
    {                                                                                              \
        Walk walk = *into;                                                                         \
        const int error = walk_gene(gene, RECORD_BITS, WIDTH, WRITE, &walk);                       \
        *into = walk;                                                                              \
        return error;                                                                              \
    }

WALK_GENE(short_u8, 32, 1)
WALK_GENE(long_u8, 64, 1)
WALK_GENE(long_u16, 64, 2)
WALK_GENE(long_f32, 64, 4)

typedef int (*WalkGene)(const Gene *gene, Walk *walk);

/* The head and tail of a gzip member, and room for the block between them. */
static uint8_t *put_head(uint8_t *at)
{
    static const uint8_t head[GZIP_HEAD] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    memcpy(at, head, GZIP_HEAD);
    return at + GZIP_HEAD;
}

static uint8_t *put_tail(uint8_t *at, uint32_t crc, uint32_t n_bytes)
{
    memcpy(at, &crc, 4);
    memcpy(at + 4, &n_bytes, 4);
    return at + GZIP_TAIL;
}

/* One gene as a gzip member at `out`; returns its length or an error. `put` writes 8 bytes at a
 * time, at most to the end of the tail. */
static int64_t encode_gene(const Gene *gene, WalkGene count, WalkGene write,
                           const CrcLength *length, uint8_t *out, int64_t capacity)
{
    const uint8_t background = gene->background;
    Counts counts = {0};
    Walk walk = {.counts = &counts, .crc = crc_begin(length->n_bytes)};
    const int error = count(gene, &walk);
    if (error)
        return error;
    Block block;
    plan_block(&counts, background, &block);
    const int64_t size = GZIP_HEAD + (int64_t)((block.n_bits + 7) / 8) + GZIP_TAIL;
    if (size > capacity)
        return ERROR_CAPACITY;
    walk.next = 0;
    walk.block = &block;
    walk.out = put_header(&block, (BitWriter){.at = put_head(out)});
    write(gene, &walk);
    put_tail(put_end(&block, walk.out), crc_end(length, walk.crc, background), length->n_bytes);
    return size;
}

static int equal_bytes(uint32_t code, int64_t width)
{
    return code == (code & 255) * (width == 4 ? 0x01010101u : width == 2 ? 0x0101u : 1u);
}

/* Genes one after the other into `out`. Those of gene g are the records [starts[g], starts[g + 1])
 * of `n_records`, and its member is out[offsets[g]] up to out[offsets[g + 1]]. After an error
 * offsets[0] is the gene where it was found. */
static int64_t encode_records(int64_t n_genes, int64_t n_cells, int record_bits, int64_t width,
                              const int64_t *starts, int64_t n_records, const void *records,
                              const uint32_t *backgrounds, uint8_t *out, int64_t capacity,
                              int64_t *offsets)
{
    const WalkGene count = record_bits == 32 ? short_u8_count
                           : width == 1      ? long_u8_count
                           : width == 2      ? long_u16_count
                                             : long_f32_count;
    const WalkGene write = record_bits == 32 ? short_u8_write
                           : width == 1      ? long_u8_write
                           : width == 2      ? long_u16_write
                                             : long_f32_write;
    if (n_genes < 0 || n_cells < 0 || n_records < 0 || (width != 1 && width != 2 && width != 4) ||
        (record_bits == 32 && width != 1) || n_cells > UINT32_MAX / width)
        return ERROR_LENGTH;
    const CrcLength length = crc_length((uint64_t)n_cells * width);
    int64_t done = 0;
    for (int64_t g = 0; g < n_genes; g++) {
        const int64_t start = starts[g], end = starts[g + 1];
        int64_t size = ERROR_LENGTH;
        if (0 <= start && start <= end && end <= n_records && equal_bytes(backgrounds[g], width)) {
            const Gene gene = {(const uint8_t *)records + start * (record_bits / 8),
                               end - start, n_cells, backgrounds[g]};
            size = encode_gene(&gene, count, write, &length, out + done, capacity - done);
        }
        if (size < 0) {
            offsets[0] = g;
            return size;
        }
        offsets[g] = done;
        done += size;
    }
    offsets[n_genes] = done;
    return done;
}

/* Records `cell << 8 | code`. */
EXPORT int64_t encode_records32(int64_t n_genes, int64_t n_cells, const int64_t *starts,
                                int64_t n_records, const uint32_t *records,
                                const uint32_t *backgrounds, uint8_t *out, int64_t capacity,
                                int64_t *offsets)
{
    return encode_records(n_genes, n_cells, 32, 1, starts, n_records, records, backgrounds, out,
                          capacity, offsets);
}

/* Records `cell << 32 | code`, codes of `width` bytes: 1, 2, or 4 (the bits of a float32). */
EXPORT int64_t encode_records64(int64_t n_genes, int64_t n_cells, int64_t width,
                                const int64_t *starts, int64_t n_records, const uint64_t *records,
                                const uint32_t *backgrounds, uint8_t *out, int64_t capacity,
                                int64_t *offsets)
{
    return encode_records(n_genes, n_cells, 64, width, starts, n_records, records, backgrounds,
                          out, capacity, offsets);
}
