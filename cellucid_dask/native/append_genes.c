/* Join genes that lie in several chunks of cells: the runs of a gene, one behind the other. */
#include "native.h"

static inline __attribute__((always_inline)) void
append_run(int64_t n, uint64_t first_cell, const uint16_t *rows, const uint8_t *values,
           int64_t width, int64_t cell_size, void *cells, int64_t out_width, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++)
        if (cell_size == 4)
            ((uint32_t *)cells)[i] = (uint32_t)(first_cell + rows[i]);
        else
            ((uint64_t *)cells)[i] = first_cell + rows[i];
    if (width == out_width) {
        memcpy(out, values, (size_t)(n * width));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const float value = values[i];
        memcpy(out + 4 * i, &value, 4);
    }
}

/* Appends the genes of one chunk, whose first cell is first_cell, to those of the chunks before it.
 * Gene g has in the chunk the rows and values from bounds[g] up to bounds[g + 1] of n_values, and in
 * the whole the places from starts[g] up to starts[g + 1] of `cells` and `out`, which are filled up
 * to next[g]. A value has `width` bytes in the chunk and `out_width` in `out`: 4 (float32) or 1
 * (uint8), which may become 4. A cell has cell_size bytes, 4 or 8.
 *
 * No gene is written beyond its places, which the caller has made room for. Returns 0, ERROR_LENGTH
 * for bounds that are none, or ERROR_CAPACITY if a gene has more values than places. */
EXPORT int64_t append_genes(int64_t n_genes, int64_t n_values, const int64_t *bounds,
                            int64_t first_cell, const uint16_t *rows, const uint8_t *values,
                            int64_t width, const int64_t *starts, int64_t *next, int64_t cell_size,
                            uint8_t *cells, int64_t out_width, uint8_t *out)
{
    if ((width != 1 && width != 4) || (out_width != 4 && out_width != width) ||
        (cell_size != 4 && cell_size != 8))
        return ERROR_LENGTH;
    for (int64_t g = 0; g < n_genes; g++) {
        const int64_t start = bounds[g], end = bounds[g + 1], place = next[g];
        if (start < 0 || end < start || end > n_values)
            return ERROR_LENGTH;
        const int64_t n = end - start;
        if (place < starts[g] || n > starts[g + 1] - place)
            return ERROR_CAPACITY;
        const uint8_t *run = values + width * start;
        if (cell_size == 4)
            append_run(n, (uint64_t)first_cell, rows + start, run, width, 4, cells + 4 * place,
                       out_width, out + out_width * place);
        else
            append_run(n, (uint64_t)first_cell, rows + start, run, width, 8, cells + 8 * place,
                       out_width, out + out_width * place);
        next[g] = place + n;
    }
    return 0;
}
