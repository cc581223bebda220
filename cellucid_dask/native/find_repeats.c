/* Repeats of what was seen before, the longest of a few lengths first.
 *
 * For each of some lengths, the levels, a table holds where what has this length was seen last. So
 * the longest match is found in a few steps, whatever there is of shorter ones. Levels follow from
 * how varied the stream is: each unit of it, a byte or a value of 4, adds about as many bits. */
#include "matches.h"

#define INLINE static inline __attribute__((always_inline))

enum { MAX_LEVELS = 4, LEVEL_BITS = TABLE_BITS - 2, VALUE = 4 };

/* Hash of `length` bytes, of those up to `done` already in `*state`. */
INLINE uint32_t hash_bytes(const uint8_t *bytes, int length, int done, uint64_t *state)
{
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    for (; done + 8 <= length; done += 8)
        *state = (*state ^ *state >> 31) * factor + load8(bytes + done);
    uint64_t hash = *state;
    if (length > done && length > 8)
        hash = (hash ^ hash >> 31) * factor + load8(bytes + length - 8);
    else if (length > done)
        hash = load8(bytes) << (64 - 8 * length);
    return (uint32_t)((hash ^ hash >> 32) * factor >> (64 - LEVEL_BITS));
}

/* Note unit `i`, and where its levels were seen before: that many units back, modulo 2**16. */
INLINE void note(Search *search, uint32_t i, int unit, const int *levels, uint16_t *back)
{
    const uint8_t *bytes = search->bytes + (size_t)i * unit;
    uint64_t state = 0;
    for (int level = 0, done = 0; level < MAX_LEVELS && levels[level]; level++) {
        const uint32_t hash = hash_bytes(bytes, levels[level], done, &state);
        uint16_t *seen = search->table + (level << LEVEL_BITS) + hash;
        back[level] = (uint16_t)(i - *seen);
        *seen = (uint16_t)i;
        done = levels[level] & ~7;
    }
}

/* The longest match of unit `i` that the levels lead to, of at most `most` bytes. */
INLINE Match find_match(Search *search, uint32_t i, int unit, const int *levels, unsigned most)
{
    const uint8_t *bytes = search->bytes + (size_t)i * unit;
    const unsigned window = LARGEST_DISTANCE / unit;
    uint16_t back[MAX_LEVELS];
    note(search, i, unit, levels, back);
    Match found = {i * unit, 0, 0};
    for (int level = MAX_LEVELS - 1; level >= 0; level--) {
        if (!levels[level])
            continue;
        if (levels[level] <= found.length)
            break;
        if (back[level] - 1u >= window || back[level] > i)
            continue;
        unsigned length = equal_bytes(bytes, bytes - (size_t)back[level] * unit, most);
        length -= length % unit;
        if (length > found.length)
            found = (Match){i * unit, length, back[level] * unit};
    }
    return found;
}

/* Matches of at least `shortest` bytes from `start` on, before those that are there already. */
INLINE void find(Search *search, uint32_t start, uint32_t end, int unit, const int *levels,
                 unsigned shortest, Matches *matches)
{
    int longest = 8;
    for (int level = 0; level < MAX_LEVELS; level++)
        longest = levels[level] > longest ? levels[level] : longest;
    /* Levels are looked up where all of their bytes are there. */
    const uint32_t readable = search->n_bytes < (uint32_t)longest ? 0 : search->n_bytes - longest + 1;
    const uint32_t stop = readable < end ? readable : end;
    Match match = {0};
    unsigned n = matches->n;
    uint32_t at = start;
    while (at < end) {
        const uint32_t left = end - at;
        unsigned most = left < LONGEST_MATCH ? left : LONGEST_MATCH;
        most -= most % unit;
        if (at < stop) {
            match = find_match(search, at / unit, unit, levels, most);
        } else { /* of the last bytes, what goes on as the match before */
            const uint8_t *bytes = search->bytes + at;
            match.length = match.distance ? equal_bytes(bytes, bytes - match.distance, most) : 0;
            match.length -= match.length % unit;
            match.position = at;
        }
        if (match.length < shortest) {
            at += unit;
            continue;
        }
        matches->at[n++] = match;
        const uint32_t next = at + match.length;
        /* The inside of a run brings nothing new. */
        at = match.distance == unit && match.length > 32 ? next - unit : at + unit;
        uint16_t back[MAX_LEVELS];
        for (; at < next && at < stop; at += unit)
            note(search, at / unit, unit, levels, back);
        at = next;
    }
    matches->n = n;
}

void find_repeats(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    static const int levels[MAX_LEVELS] = {3, 4, 6, 0};
    find(search, start, end, 1, levels, SHORTEST_MATCH, matches);
}

#define FIND_VALUES(NAME, ...)                                                                     \
    static void NAME(Search *search, uint32_t start, uint32_t end, Matches *matches)               \
    {                                                                                              \
        static const int levels[MAX_LEVELS] = {__VA_ARGS__};                                       \
        find(search, start, end, VALUE, levels, VALUE, matches);                                   \
    }

FIND_VALUES(find_varied, 4, 8, 16)
FIND_VALUES(find_similar, 4, 8, 16, 32)
FIND_VALUES(find_alike, 4, 16, 32, 64)
FIND_VALUES(find_equal, 4, 32, 64, 128)

INLINE uint32_t hash_value(uint32_t value, int bits)
{
    return value * 2654435761u >> (32 - bits);
}

/* Of values that hardly any other equals, or that none follows again: the last two places where
 * something of the same hash was seen, and the nearer one that fits. */
static void find_single(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    enum { WINDOW = LARGEST_DISTANCE / VALUE };
    const uint8_t *bytes = search->bytes;
    unsigned n = matches->n;
    const uint32_t last = end / VALUE;
    for (uint32_t i = start / VALUE; i < last; i++) {
        const uint32_t value = load4(bytes + (size_t)i * VALUE);
        uint16_t *seen = search->table + 2 * hash_value(value, TABLE_BITS - 1);
        const uint32_t near = (uint16_t)(i - seen[0]), far = (uint16_t)(i - seen[1]);
        seen[1] = seen[0];
        seen[0] = (uint16_t)i;
        uint32_t back = far;
        if (near - 1 < WINDOW && near <= i && load4(bytes + (size_t)(i - near) * VALUE) == value)
            back = near;
        else if (far - 1 >= WINDOW || far > i || load4(bytes + (size_t)(i - far) * VALUE) != value)
            continue;
        const uint8_t *next = bytes + (size_t)(i + 1) * VALUE;
        unsigned length = VALUE;
        if (i + 1 < last && load4(next) == load4(next - (size_t)back * VALUE)) {
            const uint32_t left = (last - i) * VALUE;
            const unsigned most = left < LONGEST_MATCH ? left : LONGEST_MATCH & ~3;
            length = equal_bytes(next - VALUE, next - (size_t)(back + 1) * VALUE, most) & ~3u;
        }
        matches->at[n++] = (Match){i * VALUE, length, back * VALUE};
        for (const uint32_t end_of_match = i + length / VALUE; i + 1 < end_of_match;) {
            seen = search->table +
                   2 * hash_value(load4(bytes + (size_t)++i * VALUE), TABLE_BITS - 1);
            seen[1] = seen[0];
            seen[0] = (uint16_t)i;
        }
    }
    matches->n = n;
}

/* How many kinds of values a sample of the part has, in 1/16: two of them are equal as often as if
 * so many were equally frequent. */
static uint64_t count_kinds(const uint8_t *bytes, uint32_t start, uint32_t end)
{
    enum { BITS = 12, SAMPLE = 4096 };
    uint16_t counts[1 << BITS] = {0};
    const uint32_t step = (end - start) / VALUE / SAMPLE + 1;
    uint64_t n = 0, n_pairs = 0, n_equal = 0;
    for (uint32_t at = start; at < end; at += step * VALUE) {
        n_equal += counts[hash_value(load4(bytes + at), BITS)]++;
        n_pairs += n++;
    }
    return 16 * n_pairs / (n_equal + 1);
}

void find_values(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    const uint64_t kinds = count_kinds(search->bytes, start, end);
    if (kinds >= 16 * 32)
        find_single(search, start, end, matches);
    else if (kinds >= 16 * 4)
        find_varied(search, start, end, matches);
    else if (kinds >= 16 * 2)
        find_similar(search, start, end, matches);
    else if (kinds >= 20)
        find_alike(search, start, end, matches);
    else
        find_equal(search, start, end, matches);
}
