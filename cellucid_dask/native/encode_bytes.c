/* Gzip members of byte streams without records: the codes of a gene that most cells have. */
#include "gzip_member.h"

/* Shorter runs of an item are literals. */
enum { SHORTEST_RUN = 6 };

/* Whether the 8 bytes from `bytes` on equal the one of which `eight` has eight. */
INLINE int are_all(const uint8_t *bytes, uint64_t eight)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word == eight;
}

/* Walk over `n` bytes, whose background makes the gaps. Items of a part of the stream are listed
 * first: whether a byte is one cannot be predicted, and the list is made without branches. */
INLINE void walk_items(const uint8_t *bytes, uint64_t n, uint8_t background, Pass pass, Walk *walk)
{
    enum { PART = 2048 };
    uint16_t items[PART];
    for (uint64_t start = 0; start < n; start += PART) {
        const unsigned end = n - start < PART ? n - start : PART;
        unsigned n_items = 0;
        for (unsigned i = 0; i < end; i++) {
            items[n_items] = i;
            n_items += bytes[start + i] != background;
        }
        for (unsigned i = 0; i < n_items; i++)
            take_item(walk, pass, 1, start + items[i], bytes[start + items[i]], background, i);
    }
    take_tail(walk, pass, 1, n);
}

/* The same for streams where other bytes make runs too: an item, and a match that repeats it. */
INLINE void walk_runs(const uint8_t *bytes, uint64_t n, uint8_t background, Pass pass, Walk *walk)
{
    const uint64_t eight = background * 0x0101010101010101u;
    for (uint64_t i = 0; i < n;) {
        const uint8_t item = bytes[i];
        if (item == background) {
            while (n - i >= 8 && are_all(bytes + i, eight))
                i += 8;
            while (i < n && bytes[i] == background)
                i++;
            continue;
        }
        uint64_t end = i + 1; /* of the run */
        while (end < n && bytes[end] == item)
            end++;
        take_item(walk, pass, 1, i, item, background, (unsigned)i);
        i++;
        if (end - i + 1 < SHORTEST_RUN)
            continue;
        while (end - i >= SHORTEST_MATCH) {
            const unsigned length = end - i < LONGEST_MATCH ? end - i : LONGEST_MATCH;
            take_repeats(walk, pass, length, item ^ background);
            i += length;
        }
    }
    take_tail(walk, pass, 1, n);
}

INLINE void walk_bytes(const uint8_t *bytes, uint64_t n, uint8_t background, int runs, Pass pass,
                       Walk *walk)
{
    if (runs)
        walk_runs(bytes, n, background, pass, walk);
    else
        walk_items(bytes, n, background, pass, walk);
}

typedef struct {
    uint8_t byte;
    uint32_t count;
} Frequent;

static Frequent most_frequent(const uint8_t *bytes, uint64_t n)
{
    uint32_t counts[LANES][256] = {0};
    for (uint64_t i = 0; i < n; i++)
        counts[i % LANES][bytes[i]]++;
    Frequent found = {0, 0};
    for (int byte = 0; byte < 256; byte++) {
        const uint32_t count = counts[0][byte] + counts[1][byte] + counts[2][byte] + counts[3][byte];
        if (count > found.count)
            found = (Frequent){byte, count};
    }
    return found;
}

/* Whether many bytes that are not the background equal the byte before. */
static int has_runs(const uint8_t *bytes, uint64_t n, Frequent background)
{
    uint64_t n_repeats = 0;
    for (uint64_t i = 1; i < n; i++)
        n_repeats += (bytes[i] == bytes[i - 1]) & (bytes[i] != background.byte);
    return n_repeats > (n - background.count) / 4;
}

int64_t encode_bytes(const CrcLength *length, const uint8_t *bytes, uint8_t *out, int64_t capacity)
{
    const uint64_t n = length->n_bytes;
    const Frequent background = most_frequent(bytes, n);
    const int runs = has_runs(bytes, n, background);
    Counts counts = {0};
    Block block;
    Walk walk = {.counts = &counts, .crc = crc_begin(n)};
    walk_bytes(bytes, n, background.byte, runs, COUNT, &walk);
    const int64_t size =
        begin_member(&walk, (Background){1, {background.byte, 0}}, &block, out, capacity);
    if (size < 0)
        return size;
    walk_bytes(bytes, n, background.byte, runs, WRITE, &walk);
    end_member(&walk, length);
    return size;
}

/* One gzip member at `out`; returns its size or an error. */
EXPORT int64_t encode_dense(int64_t n_bytes, const uint8_t *bytes, uint8_t *out, int64_t capacity)
{
    if (n_bytes < 0 || n_bytes > UINT32_MAX)
        return ERROR_LENGTH;
    const CrcLength length = crc_length(n_bytes, 1);
    return encode_bytes(&length, bytes, out, capacity);
}
