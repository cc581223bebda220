/* Cut the sorted rows of a CSR chunk at gene strips: the first level of the transposition.
 *
 * A strip is a range of genes. The segment of a chunk in a strip holds, one after the other,
 *     row lengths: uint16 for each row, how many of its values lie in the strip
 *     genes:       uint16 for each value, counted from the first gene of the strip
 *     values:      float32, float64 or uint8 for each value
 * in the order of the rows. A strip has at most 65,535 genes, so both fit 16 bits. */
#include "native.h"

enum { MOST_STRIP_GENES = 65535 };

enum { CHECKED_AT_ONCE = 4096 };

/* Whether all values are whole numbers from 0 to 255, so that uint8 holds them. -0.0 is one: it is
 * exported as 0. Mostly the first few values decide. */
EXPORT int64_t are_small_counts(int64_t n, const float *values)
{
    for (int64_t start = 0; start < n; start += CHECKED_AT_ONCE) {
        const int64_t stop = start + CHECKED_AT_ONCE < n ? start + CHECKED_AT_ONCE : n;
        int32_t others = 0;
        for (int64_t i = start; i < stop; i++) {
            const float value = values[i];
            /* What is not inside, NaN included, becomes a number that is not whole. */
            const float inside = value >= 0.0f && value <= 255.0f ? value : 0.5f;
            others |= (float)(int32_t)inside != inside;
        }
        if (others)
            return 0;
    }
    return 1;
}

/* Whether bounds rise from 0, by no more than a strip has genes. */
static int bounds_rise(int64_t n_strips, const int64_t *bounds)
{
    int64_t below = 0; /* the bound before, so the difference of the two does not overflow */
    for (int64_t k = 0; k <= n_strips; k++) {
        if (bounds[k] < below || bounds[k] - below > (k ? MOST_STRIP_GENES : 0))
            return 0;
        below = bounds[k];
    }
    return n_strips >= 0;
}

/* Finds where each row crosses the bounds of the strips. Pointers and indices were checked by
 * check_rows and each row rises. bounds (n_strips + 1) rise from 0 to the number of genes.
 *
 * Fills cuts (n_rows, n_strips + 1): row r holds in strip k its values from cuts[r][k] up to
 * cuts[r][k + 1], counted from the start of the chunk; and sizes (n_strips), the values of each
 * strip. Returns 0, or ERROR_LENGTH for bounds that are none, or a chunk of 2^32 values. */
#define FIND_CUTS(NAME, INDEX)                                                                     \
    EXPORT int64_t NAME(int64_t n_rows, int64_t n_strips, const int64_t *bounds,                   \
                        const int64_t *pointers, const INDEX *indices, uint32_t *cuts,             \
                        int64_t *sizes)                                                            \
    {                                                                                              \
        const int64_t base = pointers[0];                                                          \
        if (!bounds_rise(n_strips, bounds) || pointers[n_rows] - base > (int64_t)UINT32_MAX)       \
            return ERROR_LENGTH;                                                                   \
        memset(sizes, 0, (size_t)n_strips * sizeof *sizes);                                        \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            uint32_t *row = cuts + r * (n_strips + 1);                                             \
            int64_t at = pointers[r] - base;                                                       \
            const int64_t end = pointers[r + 1] - base;                                            \
            row[0] = (uint32_t)at;                                                                 \
            for (int64_t k = 1; k <= n_strips; k++) {                                              \
                int64_t low = at;                                                                  \
                if (k == n_strips) {                                                               \
                    low = end;                                                                     \
                } else {                                                                           \
                    /* The first index >= bounds[k] lies in [low, low + left]. */                  \
                    for (int64_t left = end - at; left > 0;) {                                     \
                        const int64_t half = left >> 1;                                            \
                        const int below = (int64_t)indices[low + half] < bounds[k];                \
                        low = below ? low + half + 1 : low;                                        \
                        left = below ? left - half - 1 : half;                                     \
                    }                                                                              \
                }                                                                                  \
                row[k] = (uint32_t)low;                                                            \
                sizes[k - 1] += low - at;                                                          \
                at = low;                                                                          \
            }                                                                                      \
        }                                                                                          \
        return 0;                                                                                  \
    }

FIND_CUTS(find_cuts_i32, int32_t)
FIND_CUTS(find_cuts_i64, int64_t)

/* Copies the values into the segments, which lie in `out` one strip after the other. cuts and sizes
 * are of find_cuts. A value has `width` bytes: float32 of 4 and float64 of 8 are copied; 1 is a
 * float32 converted to uint8, which are_small_counts has found to lose nothing.
 *
 * `next` (3, n_strips) int64 is scratch: where the next row length, gene and value of each strip
 * go. A strip gets as many of them as its segment has room for, because sizes counts what cuts
 * holds. Returns the bytes written, or ERROR_CAPACITY if they are not `out_size`. */
#define CUT_ROWS(NAME, INDEX)                                                                      \
    EXPORT int64_t NAME(int64_t n_rows, int64_t n_strips, const int64_t *bounds,                   \
                        const INDEX *restrict indices, const void *restrict values,                \
                        int64_t width, const uint32_t *restrict cuts, const int64_t *sizes,        \
                        int64_t *restrict next, uint8_t *restrict out, int64_t out_size)           \
    {                                                                                              \
        int64_t *next_length = next, *next_gene = next + n_strips;                                 \
        int64_t *next_value = next_gene + n_strips;                                                \
        const float *floats = values;                                                              \
        const double *doubles = values;                                                            \
        int64_t end = 0;                                                                           \
        for (int64_t k = 0; k < n_strips; k++) {                                                   \
            next_length[k] = end;                                                                  \
            next_gene[k] = end + 2 * n_rows;                                                       \
            next_value[k] = next_gene[k] + 2 * sizes[k];                                           \
            end = next_value[k] + width * sizes[k];                                                \
        }                                                                                          \
        if (end != out_size)                                                                       \
            return ERROR_CAPACITY;                                                                 \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const uint32_t *row = cuts + r * (n_strips + 1);                                       \
            for (int64_t k = 0; k < n_strips; k++) {                                               \
                const uint32_t start = row[k], n = row[k + 1] - start;                             \
                const uint16_t length = (uint16_t)n;                                               \
                const uint16_t first_gene = (uint16_t)bounds[k]; /* differences fit 16 bits */     \
                memcpy(out + next_length[k], &length, 2);                                          \
                next_length[k] += 2;                                                               \
                for (uint32_t i = 0; i < n; i++) {                                                 \
                    const uint16_t gene = (uint16_t)((uint16_t)indices[start + i] - first_gene);   \
                    memcpy(out + next_gene[k] + 2 * i, &gene, 2);                                  \
                }                                                                                  \
                next_gene[k] += 2 * (int64_t)n;                                                    \
                if (width == 4) {                                                                  \
                    memcpy(out + next_value[k], floats + start, 4 * (size_t)n);                    \
                } else if (width == 8) {                                                           \
                    memcpy(out + next_value[k], doubles + start, 8 * (size_t)n);                   \
                } else {                                                                           \
                    for (uint32_t i = 0; i < n; i++)                                               \
                        out[next_value[k] + i] = (uint8_t)(int32_t)floats[start + i];              \
                }                                                                                  \
                next_value[k] += width * (int64_t)n;                                               \
            }                                                                                      \
        }                                                                                          \
        return end;                                                                                \
    }

CUT_ROWS(cut_rows_i32, int32_t)
CUT_ROWS(cut_rows_i64, int64_t)
