/* Whether the rows of a CSR chunk can be cut: pointers and indices in bounds, every row rising. */
#include "native.h"

/* Checks rows [0, n_rows), of which row r holds the indices from pointers[r] - pointers[0] up to
 * pointers[r + 1] - pointers[0].
 *
 * Returns 1 if every row rises strictly, 0 if some row is unsorted or repeats an index,
 * ERROR_LENGTH if the pointers are none, fall or do not end at n_values, ERROR_INDEX if an index lies outside
 * [0, n_columns).
 *
 * Branch-free sweeps: the bounds, then the places where an index does not exceed the one before.
 * All rows rise if each of those places is the start of a row. */
#define CHECK_ROWS(NAME, INDEX)                                                                    \
    EXPORT int64_t NAME(int64_t n_rows, int64_t n_columns, int64_t n_values,                       \
                        const int64_t *pointers, const INDEX *indices)                             \
    {                                                                                              \
        if (n_rows < 0)                                                                            \
            return ERROR_LENGTH;                                                                   \
        const int64_t base = pointers[0];                                                          \
        int64_t falls = 0;                                                                         \
        for (int64_t r = 0; r < n_rows; r++)                                                       \
            falls += pointers[r + 1] < pointers[r];                                                \
        if (falls || n_values < 0 || (uint64_t)pointers[n_rows] - (uint64_t)base !=                \
                                         (uint64_t)n_values)                                       \
            return ERROR_LENGTH;                                                                   \
        INDEX lowest = 0, highest = 0;                                                             \
        for (int64_t i = 0; i < n_values; i++) {                                                   \
            lowest = indices[i] < lowest ? indices[i] : lowest;                                    \
            highest = indices[i] > highest ? indices[i] : highest;                                 \
        }                                                                                          \
        if (lowest < 0 || (n_values > 0 && highest >= n_columns))                                  \
            return ERROR_INDEX;                                                                    \
        int64_t drops = 0, drops_at_starts = 0;                                                    \
        for (int64_t i = 1; i < n_values; i++)                                                     \
            drops += indices[i] <= indices[i - 1];                                                 \
        for (int64_t r = 1; r < n_rows; r++) {                                                     \
            const int64_t start = pointers[r] - base;                                              \
            /* Of rows that begin at the same place all but the last are empty: count it once. */  \
            if (start > 0 && start < n_values && pointers[r] != pointers[r + 1])                   \
                drops_at_starts += indices[start] <= indices[start - 1];                           \
        }                                                                                          \
        return drops == drops_at_starts;                                                           \
    }

CHECK_ROWS(check_rows_i32, int32_t)
CHECK_ROWS(check_rows_i64, int64_t)
