/* Records of the values of one gene, from their cells. */
#include "quantize.h"

/* Cells come as numbers of `cell_size` bytes (2: unsigned, 4 and 8: signed) counted from
 * `first_cell`, or one after the other (0). */
static inline int64_t cell_at(const void *cells, int64_t cell_size, int64_t i)
{
    return cell_size == 2   ? ((const uint16_t *)cells)[i]
           : cell_size == 4 ? ((const int32_t *)cells)[i]
           : cell_size == 8 ? ((const int64_t *)cells)[i]
                            : i;
}

static inline __attribute__((always_inline)) int64_t
fill_records(int64_t n_values, int64_t first_cell, const void *cells, int64_t cell_size,
             const float *values, const float *range, uint32_t missing, int64_t record_size,
             void *records)
{
    const float lowest = range[0], scale = range[1];
    const int shift = record_size == 4 ? 8 : 32;
    const int64_t limit = (int64_t)1 << (record_size == 4 ? 24 : 32); /* of cells */
    int outside = 0;
    for (int64_t i = 0; i < n_values; i++) {
        const int64_t from_first = cell_at(cells, cell_size, i);
        const uint64_t cell = (uint64_t)first_cell + (uint64_t)from_first;
        const uint32_t code =
            missing ? quantize(values[i], lowest, scale, missing) : float_bits(values[i]);
        outside |= (from_first < 0) | (cell >= (uint64_t)limit);
        if (record_size == 4)
            ((uint32_t *)records)[i] = (uint32_t)cell << shift | code;
        else
            ((uint64_t *)records)[i] = cell << shift | code;
    }
    return outside ? ERROR_INDEX : 0;
}

/* Fills n_values records of `record_size` bytes: 4 is cell << 8 | code, 8 is cell << 32 | code.
 * range is (lowest, scale). missing is 255 or 65535, the code of what is not finite, or 0 for the
 * bits of the values in place of codes. */
EXPORT int64_t make_records(int64_t n_values, int64_t first_cell, const void *cells,
                            int64_t cell_size, const float *values, const float *range,
                            int64_t missing, int64_t record_size, void *records)
{
    if (n_values < 0 || first_cell < 0 || first_cell > UINT32_MAX)
        return ERROR_INDEX;
#define CASE(CELL, MISSING, RECORD)                                                                \
    if (cell_size == CELL && missing == MISSING && record_size == RECORD)                          \
    return fill_records(n_values, first_cell, cells, CELL, values, range, MISSING, RECORD, records)
#define CASES(CELL)                                                                                \
    CASE(CELL, 255, 4);                                                                            \
    CASE(CELL, 255, 8);                                                                            \
    CASE(CELL, 65535, 8);                                                                          \
    CASE(CELL, 0, 8)
    CASES(0);
    CASES(2);
    CASES(4);
    CASES(8);
    return ERROR_LENGTH;
}
