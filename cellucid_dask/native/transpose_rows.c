/* Transpose a CSR chunk in one step, by counting: for chunks of which single genes are read. */
#include "native.h"

enum {
    AHEAD = 16,       /* values whose places are asked for before they are needed */
    MOST_ROWS = 65536 /* a row number has 16 bits */
};

/* Puts each value behind those of its gene: its row into `rows`, itself into `out`. next (n_genes)
 * says where that is. A value has `width` bytes in `out`: 4 are the float32, where -0.0 becomes 0.0;
 * 1 is uint8, which are_small_counts has found to lose nothing.
 *
 * No place is written but those below n_values, even if another thread changes the indices after
 * they were counted. */
#define PLACE_VALUES(NAME, INDEX)                                                                  \
    static inline __attribute__((always_inline)) int64_t NAME(                                     \
        int64_t n_rows, int64_t n_genes, int64_t n_values, const int64_t *pointers,                \
        const INDEX *restrict indices, const float *restrict values, int64_t width,                \
        int64_t *restrict next, uint16_t *restrict rows, uint8_t *restrict out)                    \
    {                                                                                              \
        int64_t i = 0;                                                                             \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const int64_t end = (int64_t)((uint64_t)pointers[r + 1] - (uint64_t)pointers[0]);      \
            if (end > n_values)                                                                    \
                return ERROR_LENGTH;                                                               \
            for (; i < end; i++) {                                                                 \
                const uint64_t gene = (uint64_t)indices[i];                                        \
                if (i + AHEAD < n_values) {                                                        \
                    const uint64_t later = (uint64_t)indices[i + AHEAD];                           \
                    const int64_t place = next[later < (uint64_t)n_genes ? later : 0];             \
                    PREFETCH(rows + place);                                                        \
                    PREFETCH(out + width * place);                                                 \
                }                                                                                  \
                if (gene >= (uint64_t)n_genes)                                                     \
                    return ERROR_INDEX;                                                            \
                const int64_t place = next[gene]++;                                                \
                if (place >= n_values)                                                             \
                    return ERROR_CAPACITY;                                                         \
                rows[place] = (uint16_t)r;                                                         \
                const float value = values[i] + 0.0f;                                              \
                if (width == 4)                                                                    \
                    memcpy(out + 4 * place, &value, 4);                                            \
                else                                                                               \
                    out[place] = (uint8_t)(int32_t)value;                                          \
            }                                                                                      \
        }                                                                                          \
        return i == n_values ? 0 : ERROR_LENGTH;                                                   \
    }

/* Transposes rows [0, n_rows), of which row r holds the values from pointers[r] - pointers[0] up to
 * pointers[r + 1] - pointers[0]. The values of a gene are then in the order of the rows.
 *
 * Fills starts (n_genes + 1), where the values of each gene begin; rows (n_values), and out
 * (n_values * width bytes). next (n_genes) is scratch. Returns 0, ERROR_LENGTH if the pointers do
 * not end at n_values or the rows are too many, or ERROR_INDEX. */
#define TRANSPOSE_ROWS(NAME, PLACE, INDEX)                                                         \
    PLACE_VALUES(PLACE, INDEX)                                                                     \
    EXPORT int64_t NAME(int64_t n_rows, int64_t n_genes, int64_t n_values,                         \
                        const int64_t *pointers, const INDEX *indices, const float *values,        \
                        int64_t width, int64_t *starts, int64_t *next, uint16_t *rows,             \
                        uint8_t *out)                                                              \
    {                                                                                              \
        if (n_rows < 0 || n_rows > MOST_ROWS)                                                      \
            return ERROR_LENGTH;                                                                   \
        memset(starts, 0, (size_t)(n_genes + 1) * sizeof *starts);                                 \
        for (int64_t i = 0; i < n_values; i++) {                                                   \
            const uint64_t gene = (uint64_t)indices[i];                                            \
            if (gene >= (uint64_t)n_genes)                                                         \
                return ERROR_INDEX;                                                                \
            starts[gene + 1]++;                                                                    \
        }                                                                                          \
        for (int64_t g = 0; g < n_genes; g++) {                                                    \
            next[g] = starts[g];                                                                   \
            starts[g + 1] += starts[g];                                                            \
        }                                                                                          \
        return width == 4 ? PLACE(n_rows, n_genes, n_values, pointers, indices, values, 4, next,   \
                                  rows, out)                                                       \
                          : PLACE(n_rows, n_genes, n_values, pointers, indices, values, 1, next,   \
                                  rows, out);                                                      \
    }

TRANSPOSE_ROWS(transpose_rows_i32, place_values_i32, int32_t)
TRANSPOSE_ROWS(transpose_rows_i64, place_values_i64, int64_t)
