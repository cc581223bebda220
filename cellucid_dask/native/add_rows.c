/* Sums of coordinates by category: the reduction of obs columns. */
#include "native.h"

enum {
    AHEAD = 8,     /* cells whose sums are asked for before they are needed */
    CACHE_LINE = 8 /* float64 in a line of the caches */
};

/* Adds each of `n_cells` rows to the sum of its category: rows (n_cells, width), sums
 * (n_categories, width). A cell of code `missing` has no category. ERROR_INDEX if any other code
 * has no category either; the rows before that cell are then added.
 *
 * After cell c, sums[k] holds what it held before, and then, one after the other, the rows of the
 * cells up to c whose code is k: no bit of a sum depends on how many cells come at a time. */
#define ADD_ROWS(NAME, CODE)                                                                       \
    EXPORT int64_t NAME(int64_t n_cells, int64_t n_categories, int64_t width, int64_t missing,     \
                        const CODE *codes, const double *restrict rows, double *restrict sums)     \
    {                                                                                              \
        for (int64_t c = 0; c < n_cells; c++) {                                                    \
            if (c + AHEAD < n_cells && codes[c + AHEAD] < n_categories)                            \
                for (int64_t i = 0; i < width; i += CACHE_LINE)                                    \
                    PREFETCH(sums + codes[c + AHEAD] * width + i);                                 \
            if (codes[c] == missing)                                                               \
                continue;                                                                          \
            if (codes[c] >= n_categories)                                                          \
                return ERROR_INDEX;                                                                \
            const double *restrict row = rows + c * width;                                         \
            double *restrict sum = sums + codes[c] * width;                                        \
            for (int64_t i = 0; i < width; i++)                                                    \
                sum[i] += row[i];                                                                  \
        }                                                                                          \
        return 0;                                                                                  \
    }

ADD_ROWS(add_rows_u8, uint8_t)
ADD_ROWS(add_rows_u16, uint16_t)
