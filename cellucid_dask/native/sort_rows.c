/* Sort the rows of a CSR chunk by index, and keep the order of equal indices. */
#include "native.h"

enum { LONGEST_ITEM = 16 }; /* bytes of a value */

typedef struct {
    int64_t index;
    int64_t position; /* where its value was, counted from the start of the row */
} Entry;

enum { DIGIT_BITS = 8, N_DIGITS = 1 << DIGIT_BITS, SHORT_ROW = 48 };

/* Insertion sort: entries before `i` are sorted, and an entry never passes an equal one. */
static void sort_short_row(Entry *entries, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const Entry entry = entries[i];
        int64_t place = i;
        for (; place > 0 && entries[place - 1].index > entry.index; place--)
            entries[place] = entries[place - 1];
        entries[place] = entry;
    }
}

/* Sorts `entries`, whose indices are from 0 to `highest`, with the help of `other`, both of n
 * entries; returns the one that is sorted.
 *
 * A radix sort from the lowest digit. After each round, the entries are in the order of the digits
 * so far, and those that are equal in them are in the order of their positions. */
static Entry *sort_entries(Entry *entries, Entry *other, int64_t n, int64_t highest)
{
    if (n <= SHORT_ROW) {
        sort_short_row(entries, n);
        return entries;
    }
    for (int shift = 0; shift < 64 && highest >> shift > 0; shift += DIGIT_BITS) {
        int64_t next[N_DIGITS] = {0}; /* first how many, then where the next of each digit goes */
        for (int64_t i = 0; i < n; i++)
            next[entries[i].index >> shift & (N_DIGITS - 1)]++;
        int64_t before = 0;
        for (int digit = 0; digit < N_DIGITS; digit++) {
            const int64_t count = next[digit];
            next[digit] = before;
            before += count;
        }
        for (int64_t i = 0; i < n; i++)
            other[next[entries[i].index >> shift & (N_DIGITS - 1)]++] = entries[i];
        Entry *sorted = other;
        other = entries;
        entries = sorted;
    }
    return entries;
}

/* Sorts the rows in place. Pointers and indices were checked by check_rows. `values` holds items of
 * `itemsize` bytes (at most LONGEST_ITEM). `scratch` has room for the longest row: 2 * sizeof(Entry) +
 * itemsize bytes for each value.
 *
 * Returns the number of indices that repeat the one before them in their row, ERROR_CAPACITY, or
 * ERROR_LENGTH for values of another size. */
#define SORT_ROWS(NAME, INDEX)                                                                     \
    EXPORT int64_t NAME(int64_t n_rows, const int64_t *pointers, INDEX *indices, uint8_t *values,  \
                        int64_t itemsize, void *scratch, int64_t scratch_size)                     \
    {                                                                                              \
        if (itemsize < 1 || itemsize > LONGEST_ITEM)                                               \
            return ERROR_LENGTH;                                                                   \
        int64_t repeats = 0;                                                                       \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const int64_t start = pointers[r] - pointers[0], n = pointers[r + 1] - pointers[r];    \
            INDEX *row = indices + start;                                                          \
            uint8_t *row_values = values + start * itemsize;                                       \
            int64_t falls = 0, equal = 0, highest = n > 0 ? row[0] : 0;                            \
            for (int64_t i = 1; i < n; i++) {                                                      \
                falls += row[i] < row[i - 1];                                                      \
                equal += row[i] == row[i - 1];                                                     \
                highest = row[i] > highest ? row[i] : highest;                                     \
            }                                                                                      \
            if (falls) {                                                                           \
                if (scratch_size / (int64_t)(2 * sizeof(Entry) + itemsize) < n)                    \
                    return ERROR_CAPACITY;                                                         \
                Entry *entries = scratch, *other = entries + n;                                    \
                uint8_t *copy = (uint8_t *)(other + n);                                            \
                for (int64_t i = 0; i < n; i++)                                                    \
                    entries[i] = (Entry){row[i], i};                                               \
                const Entry *sorted = sort_entries(entries, other, n, highest);                    \
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
