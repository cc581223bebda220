/* Whether the rows of a CSR chunk are canonical: indices within the matrix, rising in every row. */
#include "native.h"

/* Returns 1 if canonical, 0 if some row is unsorted or repeats an index, ERROR_INDEX if an index
 * lies outside [0, n_columns). Row r holds indices [pointers[r] - pointers[0], pointers[r + 1] -
 * pointers[0]).
 *
 * Two branch-free sweeps: bounds, then the places where an index does not exceed the one before.
 * The rows are sorted if all those places are starts of rows. */
#define CHECK_ROWS(NAME, INDEX)                                                                    \
    EXPORT int NAME(int64_t n_rows, int64_t n_columns, const int64_t *pointers,                    \
                    const INDEX *indices)                                                          \
    {                                                                                              \
        const int64_t base = pointers[0], n = pointers[n_rows] - base;                             \
        INDEX lowest = 0, highest = 0;                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            lowest = indices[i] < lowest ? indices[i] : lowest;                                    \
            highest = indices[i] > highest ? indices[i] : highest;                                 \
        }                                                                                          \
        if (lowest < 0 || (n > 0 && highest >= n_columns))                                         \
            return ERROR_INDEX;                                                                    \
        int64_t drops = 0, drops_at_starts = 0;                                                    \
        for (int64_t i = 1; i < n; i++)                                                            \
            drops += indices[i] <= indices[i - 1];                                                 \
        for (int64_t r = 1; r < n_rows; r++) {                                                     \
            const int64_t start = pointers[r] - base;                                              \
            /* Of several rows that begin at one place all but the last are empty. */             \
            if (start > 0 && start < n && pointers[r] != pointers[r + 1])                          \
                drops_at_starts += indices[start] <= indices[start - 1];                           \
        }                                                                                          \
        return drops == drops_at_starts;                                                           \
    }

CHECK_ROWS(check_rows_i32, int32_t)
CHECK_ROWS(check_rows_i64, int64_t)
