/* Sort the values of a strip by gene: the second level of the transposition.
 *
 * A strip is read as the segments that cut_rows wrote, in the order of the cells. A first sweep over
 * them counts the values of each gene and finds their range, a second one puts each value as a
 * record behind those of its gene. The records of a gene are then in the order of the cells. */
#include "quantize.h"

typedef struct {
    int64_t n_values, n_nan, n_inf;
    float lowest, highest; /* of the finite values; lowest > highest if there is none */
} GeneStatistics;

static float value_at(const uint8_t *values, int64_t width, int64_t i)
{
    float value;
    if (width == 1)
        return values[i];
    memcpy(&value, values + 4 * i, 4);
    return value + 0.0f; /* -0.0 is exported as 0.0, as when added to an empty cell */
}

/* Adds one segment to the statistics of its genes. Returns 0, or ERROR_INDEX for a gene that is not
 * below n_genes. */
static inline int64_t add_statistics(int64_t n_values, const uint16_t *genes,
                                     const uint8_t *values, int64_t width, int64_t n_genes,
                                     GeneStatistics *statistics)
{
    for (int64_t i = 0; i < n_values; i++) {
        if (genes[i] >= n_genes)
            return ERROR_INDEX;
        GeneStatistics *gene = statistics + genes[i];
        const float value = value_at(values, width, i);
        gene->n_values++;
        if (width == 4 && !is_finite(value)) {
            gene->n_nan += value != value;
            gene->n_inf += value == value;
            continue;
        }
        gene->lowest = value < gene->lowest ? value : gene->lowest;
        gene->highest = value > gene->highest ? value : gene->highest;
    }
    return 0;
}

/* add_statistics with its cases compiled apart; width is 1 for uint8 and 4 for float32. */
EXPORT int64_t count_strip(int64_t n_values, const uint16_t *genes, const uint8_t *values,
                           int64_t width, int64_t n_genes, void *statistics)
{
    if (width == 1)
        return add_statistics(n_values, genes, values, 1, n_genes, statistics);
    if (width == 4)
        return add_statistics(n_values, genes, values, 4, n_genes, statistics);
    return ERROR_LENGTH;
}

typedef struct {
    int64_t next, stop;  /* where the next record of the gene goes, and where its last one ends */
    float lowest, scale; /* code = (value - lowest) * scale, cut to [0, missing - 1] */
    int64_t missing;     /* code of what is not finite */
} GenePlace;

/* Whether the records of all genes have their places among n_records, and no code reaches into the
 * bits of the cell. */
static int places_fit(int64_t n_genes, const GenePlace *places, int codes, int64_t record_size,
                      int64_t n_records)
{
    int64_t misfits = 0;
    for (int64_t g = 0; g < n_genes; g++) {
        const int64_t missing = places[g].missing;
        misfits += places[g].next < 0 || places[g].stop > n_records;
        misfits += codes && missing != 255 && (missing != 65535 || record_size == 4);
    }
    return misfits == 0;
}

/* Puts the values of one segment behind the records of their genes. Of the strip, only the genes
 * from first_gene up to first_gene + n_genes are taken; places (n_genes) are theirs. record_size 4
 * is cell << 8 | code, 8 is cell << 32 | code. codes says whether to quantize; if not, the code is
 * the bits of the value as float32.
 *
 * No record is written beyond the `stop` of its gene. Row r is cell first_cell + r; row_lengths say
 * how many values each row has. Returns 0, ERROR_LENGTH if the row lengths do not add up to
 * n_values, or ERROR_CAPACITY if a gene has more values than the statistics counted. */
static inline int64_t place_segment(int64_t first_cell, int64_t n_rows,
                                    const uint16_t *row_lengths, int64_t n_values,
                                    const uint16_t *genes, const uint8_t *values, int64_t width,
                                    int64_t first_gene, int64_t n_genes, int codes,
                                    GenePlace *places, int64_t record_size, void *records)
{
    int64_t i = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        const int64_t end = i + row_lengths[r];
        const uint64_t cell = (uint64_t)(first_cell + r);
        if (end > n_values)
            return ERROR_LENGTH;
        for (; i < end; i++) {
            const int64_t number = (int64_t)genes[i] - first_gene;
            if (number < 0 || number >= n_genes)
                continue;
            GenePlace *gene = places + number;
            const float value = value_at(values, width, i);
            const uint32_t missing = (uint32_t)gene->missing;
            const uint32_t code = codes ? quantize(value, gene->lowest, gene->scale, missing)
                                        : float_bits(value);
            if (gene->next >= gene->stop)
                return ERROR_CAPACITY;
            if (record_size == 4)
                ((uint32_t *)records)[gene->next++] = (uint32_t)(cell << 8) | code;
            else
                ((uint64_t *)records)[gene->next++] = cell << 32 | code;
        }
    }
    return i == n_values ? 0 : ERROR_LENGTH;
}

/* place_segment with its cases compiled apart. `records` has room for n_records: ERROR_CAPACITY if
 * that is not enough for the places, ERROR_INDEX for cells that a record has no bits for. */
EXPORT int64_t sort_strip(int64_t first_cell, int64_t n_rows, const uint16_t *row_lengths,
                          int64_t n_values, const uint16_t *genes, const uint8_t *values,
                          int64_t width, int64_t first_gene, int64_t n_genes, int64_t codes,
                          void *places, int64_t record_size, int64_t n_records, void *records)
{
    const int64_t n_cells = (int64_t)1 << (record_size == 4 ? 24 : 32);
    if (first_gene < 0 || first_cell < 0 || n_rows < 0 || n_rows > n_cells ||
        first_cell > n_cells - n_rows)
        return ERROR_INDEX;
    if (!places_fit(n_genes, places, codes != 0, record_size, n_records))
        return ERROR_CAPACITY;
#define CASE(WIDTH, CODES, SIZE)                                                                   \
    if (width == WIDTH && !codes == !CODES && record_size == SIZE)                                 \
    return place_segment(first_cell, n_rows, row_lengths, n_values, genes, values, WIDTH,          \
                         first_gene, n_genes, CODES, places, SIZE, records)
    CASE(4, 1, 4);
    CASE(1, 1, 4);
    CASE(4, 1, 8);
    CASE(1, 1, 8);
    CASE(4, 0, 8);
    CASE(1, 0, 8);
#undef CASE
    return ERROR_LENGTH;
}
