/* Sort the rows of a CSR chunk by index, and keep the order of equal indices. */
#include "native.h"

typedef struct {
    int64_t index;
    int64_t position; /* where its value was, counted from the start of the row */
} Entry;

/* Sorts `entries` with the help of `other`, both of n entries; returns the one that is sorted.
 *
 * A merge sort from the bottom. Before each round, all runs of `width` entries are sorted and equal
 * indices are in the order of their positions; a merge takes the left one of two equal entries, so
 * both hold for runs of twice the width. */
static Entry *merge_sort(Entry *entries, Entry *other, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t left = start, out = start;
            const int64_t middle = start + width < n ? start + width : n;
            const int64_t stop = start + 2 * width < n ? start + 2 * width : n;
            int64_t right = middle;
            while (left < middle && right < stop)
                other[out++] = entries[right].index < entries[left].index ? entries[right++]
                                                                          : entries[left++];
            while (left < middle)
                other[out++] = entries[left++];
            while (right < stop)
                other[out++] = entries[right++];
        }
        Entry *sorted = other;
        other = entries;
        entries = sorted;
    }
    return entries;
}

/* Sorts the rows in place. Pointers and indices were checked by check_rows. `values` holds items of
 * `itemsize` bytes (at most 16). `scratch` has room for the longest row: 2 * sizeof(Entry) +
 * itemsize bytes for each value.
 *
 * Returns the number of indices that repeat the one before them in their row, or ERROR_CAPACITY. */
#define SORT_ROWS(NAME, INDEX)                                                                     \
    EXPORT int64_t NAME(int64_t n_rows, const int64_t *pointers, INDEX *indices, uint8_t *values,  \
                        int64_t itemsize, void *scratch, int64_t scratch_size)                     \
    {                                                                                              \
        int64_t repeats = 0;                                                                       \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const int64_t start = pointers[r] - pointers[0], n = pointers[r + 1] - pointers[r];    \
            INDEX *row = indices + start;                                                          \
            uint8_t *row_values = values + start * itemsize;                                       \
            int64_t falls = 0, equal = 0;                                                          \
            for (int64_t i = 1; i < n; i++) {                                                      \
                falls += row[i] < row[i - 1];                                                      \
                equal += row[i] == row[i - 1];                                                     \
            }                                                                                      \
            if (falls) {                                                                           \
                if (scratch_size / (int64_t)(2 * sizeof(Entry) + itemsize) < n)                    \
                    return ERROR_CAPACITY;                                                         \
                Entry *entries = scratch, *other = entries + n;                                    \
                uint8_t *copy = (uint8_t *)(other + n);                                            \
                for (int64_t i = 0; i < n; i++)                                                    \
                    entries[i] = (Entry){row[i], i};                                               \
                const Entry *sorted = merge_sort(entries, other, n);                               \
                memcpy(copy, row_values, (size_t)(n * itemsize));                                  \
                equal = 0;                                                                         \
                for (int64_t i = 0; i < n; i++) {                                                  \
                    row[i] = (INDEX)sorted[i].index;                                               \
                    memcpy(row_values + i * itemsize, copy + sorted[i].position * itemsize,        \
                           (size_t)itemsize);                                                      \
                    equal += i > 0 && row[i] == row[i - 1];                                        \
                }                                                                                  \
            }                                                                                      \
            repeats += equal;                                                                      \
        }                                                                                          \
        return repeats;                                                                            \
    }

SORT_ROWS(sort_rows_i32, int32_t)
SORT_ROWS(sort_rows_i64, int64_t)
