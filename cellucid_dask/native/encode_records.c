/* Gzip members of genes from their records, in time of the records. */
#include "gzip_member.h"

typedef struct {
    const void *records; /* of one gene */
    uint64_t n_records, n_cells;
    uint32_t background; /* code of cells without record */
} Gene;

/* Walk over a gene whose records are `record_bits` wide and hold codes of `width` bytes. Items are
 * those bytes of the codes that are not the background (unit 1), or codes of two bytes (unit 2).
 * Returns 0 or what is wrong with the cells. */
INLINE int walk_gene(const Gene *gene, int record_bits, int width, int unit, Pass pass, Walk *walk)
{
    const uint32_t *short_records = gene->records;
    const uint64_t *long_records = gene->records;
    const uint32_t mask = unit == 1 ? 255 : 65535, background = gene->background & mask;
    uint64_t next_cell = 0; /* after that of the record before */
    for (uint64_t i = 0; i < gene->n_records; i++) {
        const uint64_t cell = record_bits == 32 ? short_records[i] >> 8 : long_records[i] >> 32;
        uint32_t code = record_bits == 32 ? short_records[i] & 255 : (uint32_t)long_records[i];
        if (UNLIKELY(cell - next_cell >= gene->n_cells - next_cell))
            return cell < next_cell ? ERROR_ORDER : ERROR_INDEX;
        next_cell = cell + 1;
        for (int byte = 0; byte < width; byte += unit, code = unit == 1 ? code >> 8 : code >> 16)
            if ((code & mask) != background)
                take_item(walk, pass, unit, cell * width + byte, code & mask, background,
                          (unsigned)i + byte);
    }
    take_tail(walk, pass, unit, gene->n_cells * width);
    return 0;
}

typedef int WalkGene(const Gene *gene, Walk *walk);

/* The walk is copied so that it stays in registers. */
#define WALK(NAME, RECORD_BITS, WIDTH, UNIT, PASS)                                                 \
    static int NAME(const Gene *gene, Walk *into)                                                  \
    {                                                                                              \
        Walk walk = *into;                                                                         \
        const int error = walk_gene(gene, RECORD_BITS, WIDTH, UNIT, PASS, &walk);                  \
        *into = walk;                                                                              \
        return error;                                                                              \
    }
#define KIND(NAME, RECORD_BITS, WIDTH, UNIT)                                                       \
    WALK(NAME##_count, RECORD_BITS, WIDTH, UNIT, COUNT)                                            \
    WALK(NAME##_write, RECORD_BITS, WIDTH, UNIT, WRITE)                                            \
    static const Kind NAME = {RECORD_BITS, WIDTH, UNIT, NAME##_count, NAME##_write};

typedef struct {
    int record_bits, width, unit;
    WalkGene *count, *write;
} Kind;

KIND(short_u8, 32, 1, 1)
KIND(long_u8, 64, 1, 1)
KIND(long_u16, 64, 2, 1)
KIND(long_u16_pairs, 64, 2, 2)
KIND(long_f32, 64, 4, 1)

/* The kind of such records, by the background; NULL if there is none. */
static const Kind *find_kind(int record_bits, int64_t width, uint32_t background)
{
    const uint32_t byte = background & 255;
    if (width == 1 && background == byte)
        return record_bits == 32 ? &short_u8 : &long_u8;
    if (record_bits == 64 && width == 2 && background <= 65535)
        return background == byte * 0x0101u ? &long_u16 : &long_u16_pairs;
    return record_bits == 64 && width == 4 && background == byte * 0x01010101u ? &long_f32 : NULL;
}

/* Whether some code of one byte is more frequent than the background: it then is the better
 * background, and the gene a stream of any bytes. */
static int is_dense(const Counts *counts, uint64_t n_cells)
{
    uint64_t n_items = 0;
    uint32_t highest = 0;
    for (int item = 0; item < 256; item++) {
        uint32_t count = 0;
        for (int lane = 0; lane < LANES; lane++)
            count += counts->items[lane][item];
        n_items += count;
        highest = count > highest ? count : highest;
    }
    return highest > n_cells - n_items;
}

/* The codes of all cells; those of the records were found to be in order. */
static void fill_codes(const Gene *gene, int record_bits, uint8_t *codes)
{
    const uint32_t *short_records = gene->records;
    const uint64_t *long_records = gene->records;
    memset(codes, (int)gene->background, gene->n_cells);
    for (uint64_t i = 0; i < gene->n_records; i++)
        if (record_bits == 32)
            codes[short_records[i] >> 8] = short_records[i] & 255;
        else
            codes[long_records[i] >> 32] = long_records[i] & 255;
}

/* One gene as a gzip member at `out`; returns its length or an error. `scratch` has room for
 * n_cells bytes. */
static int64_t encode_gene(const Gene *gene, const Kind *kind, const CrcLength *length,
                           uint8_t *scratch, uint8_t *out, int64_t capacity)
{
    const Background background = {kind->unit, {gene->background & 255, gene->background >> 8}};
    Counts counts = {0};
    Block block;
    Walk walk = {.counts = &counts, .crc = crc_begin(length->n_bytes)};
    const int error = kind->count(gene, &walk);
    if (error)
        return error;
    if (kind->width == 1 && gene->n_records > gene->n_cells / 2 &&
        is_dense(&counts, gene->n_cells)) {
        fill_codes(gene, kind->record_bits, scratch);
        return encode_bytes(length, scratch, out, capacity);
    }
    const int64_t size = begin_member(&walk, background, &block, out, capacity);
    if (size < 0)
        return size;
    kind->write(gene, &walk);
    end_member(&walk, length);
    return size;
}

/* Genes one after the other into `out`. Those of gene g are the records [starts[g], starts[g + 1])
 * of `n_records`, and its member is out[offsets[g]] up to out[offsets[g + 1]]. After an error
 * offsets[0] is the gene where it was found. `scratch` has room for n_cells bytes. */
static int64_t encode_records(int64_t n_genes, int64_t n_cells, int record_bits, int64_t width,
                              const int64_t *starts, int64_t n_records, const void *records,
                              const uint32_t *backgrounds, uint8_t *scratch, uint8_t *out,
                              int64_t capacity, int64_t *offsets)
{
    if (n_genes < 0 || n_cells < 0 || n_records < 0 || (width != 1 && width != 2 && width != 4) ||
        n_cells > UINT32_MAX / width)
        return ERROR_LENGTH;
    const CrcLength length = crc_length((uint64_t)n_cells * width, width == 2 ? 2 : 1);
    int64_t done = 0;
    for (int64_t g = 0; g < n_genes; g++) {
        const int64_t start = starts[g], end = starts[g + 1];
        int64_t size = ERROR_LENGTH;
        const Kind *kind = find_kind(record_bits, width, backgrounds[g]);
        if (kind && 0 <= start && start <= end && end <= n_records) {
            const Gene gene = {(const uint8_t *)records + start * (record_bits / 8),
                               end - start, n_cells, backgrounds[g]};
            size = encode_gene(&gene, kind, &length, scratch, out + done, capacity - done);
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
                                const uint32_t *backgrounds, uint8_t *scratch, uint8_t *out,
                                int64_t capacity, int64_t *offsets)
{
    return encode_records(n_genes, n_cells, 32, 1, starts, n_records, records, backgrounds,
                          scratch, out, capacity, offsets);
}

/* Records `cell << 32 | code`, codes of `width` bytes: 1, 2, or 4 (the bits of a float32). */
EXPORT int64_t encode_records64(int64_t n_genes, int64_t n_cells, int64_t width,
                                const int64_t *starts, int64_t n_records, const uint64_t *records,
                                const uint32_t *backgrounds, uint8_t *scratch, uint8_t *out,
                                int64_t capacity, int64_t *offsets)
{
    return encode_records(n_genes, n_cells, 64, width, starts, n_records, records, backgrounds,
                          scratch, out, capacity, offsets);
}
