/* Sort the values of a strip by gene into two arrays, cells and values, as CSC stores them.
 *
 * A strip is read as the segments that cut_rows wrote, in the order of the cells; so the cells of a
 * gene rise. */
#include "native.h"

/* Adds how many values of a segment each gene has to counts (n_genes). Returns 0, or ERROR_INDEX
 * for a gene that is not below n_genes. */
EXPORT int64_t count_entries(int64_t n_values, const uint16_t *genes, int64_t n_genes,
                             int64_t *counts)
{
    for (int64_t i = 0; i < n_values; i++) {
        if (genes[i] >= n_genes)
            return ERROR_INDEX;
        counts[genes[i]]++;
    }
    return 0;
}

/* A stored value, of `width` bytes: uint8, float32 or float64. */
static inline double stored_value(const uint8_t *values, int64_t width, int64_t i)
{
    if (width == 1)
        return values[i];
    if (width == 4) {
        float value;
        memcpy(&value, values + 4 * i, 4);
        return value;
    }
    double value;
    memcpy(&value, values + 8 * i, 8);
    return value;
}

/* Puts the values of one segment behind those of their genes. Of the strip, only the genes from
 * first_gene up to first_gene + n_genes are taken: next (n_genes) says where the next value of each
 * goes and moves on, stop (n_genes) where those of the gene end.
 *
 * Row r is cell first_cell + r; row_lengths say how many values each row has. Returns 0,
 * ERROR_LENGTH if the row lengths do not add up to n_values, or ERROR_CAPACITY if a gene has more
 * values than places. */
static inline int64_t place_entries(int64_t first_cell, int64_t n_rows, const uint16_t *row_lengths,
                                    int64_t n_values, const uint16_t *genes, const uint8_t *values,
                                    int64_t width, int64_t first_gene, int64_t n_genes,
                                    int64_t *next, const int64_t *stop, int64_t cell_size,
                                    void *cells, int64_t value_size, void *out)
{
    int64_t i = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        const int64_t end = i + row_lengths[r], cell = first_cell + r;
        if (end > n_values)
            return ERROR_LENGTH;
        for (; i < end; i++) {
            const int64_t gene = (int64_t)genes[i] - first_gene;
            if (gene < 0 || gene >= n_genes)
                continue;
            const int64_t place = next[gene];
            if (place >= stop[gene])
                return ERROR_CAPACITY;
            next[gene] = place + 1;
            if (cell_size == 4)
                ((int32_t *)cells)[place] = (int32_t)cell;
            else
                ((int64_t *)cells)[place] = cell;
            if (value_size == 4)
                ((float *)out)[place] = (float)stored_value(values, width, i);
            else
                ((double *)out)[place] = stored_value(values, width, i);
        }
    }
    return i == n_values ? 0 : ERROR_LENGTH;
}

/* place_entries with its cases compiled apart. cells (n_entries) are int32 or int64, out
 * (n_entries) float32 or float64: ERROR_CAPACITY if they have no room for the places of all genes,
 * ERROR_INDEX for cells that the type does not hold. */
EXPORT int64_t sort_entries(int64_t first_cell, int64_t n_rows, const uint16_t *row_lengths,
                            int64_t n_values, const uint16_t *genes, const uint8_t *values,
                            int64_t width, int64_t first_gene, int64_t n_genes, int64_t *next,
                            const int64_t *stop, int64_t n_entries, int64_t cell_size, void *cells,
                            int64_t value_size, void *out)
{
    const int64_t n_cells = cell_size == 4 ? (int64_t)1 << 31 : (int64_t)1 << 62;
    int64_t misfits = 0;
    if (first_gene < 0 || first_cell < 0 || n_rows < 0 || n_rows > n_cells ||
        first_cell > n_cells - n_rows)
        return ERROR_INDEX;
    for (int64_t g = 0; g < n_genes; g++)
        misfits += next[g] < 0 || stop[g] > n_entries;
    if (misfits)
        return ERROR_CAPACITY;
#define CASE(WIDTH, CELL, VALUE)                                                                   \
    if (width == WIDTH && cell_size == CELL && value_size == VALUE)                                \
    return place_entries(first_cell, n_rows, row_lengths, n_values, genes, values, WIDTH,          \
                         first_gene, n_genes, next, stop, CELL, cells, VALUE, out)
    CASE(1, 4, 4);
    CASE(4, 4, 4);
    CASE(8, 4, 4);
    CASE(1, 4, 8);
    CASE(4, 4, 8);
    CASE(8, 4, 8);
    CASE(1, 8, 4);
    CASE(4, 8, 4);
    CASE(8, 8, 4);
    CASE(1, 8, 8);
    CASE(4, 8, 8);
    CASE(8, 8, 8);
#undef CASE
    return ERROR_LENGTH;
}
