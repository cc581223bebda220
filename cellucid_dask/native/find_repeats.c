/* Repeats of what was seen before, the longest of a few lengths first.
 *
 * For each of some lengths, the levels, a table holds where what has this length was seen last. So
 * the longest match is found in a few steps, whatever there is of shorter ones. Levels follow from
 * how varied the stream is: each unit of it, a byte or a value of 4, adds about as many bits. */
#include "matches.h"

#define INLINE static inline __attribute__((always_inline))

enum { MAX_LEVELS = 4, LEVEL_BITS = TABLE_BITS - 2 };

/* Hash of `length` bytes, of which `*done` are in `*state`; 8 are readable. */
INLINE uint32_t hash_bytes(const uint8_t *bytes, int length, int *done, uint64_t *state)
{
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    if (length <= 8)
        return (load8(bytes) << (64 - 8 * length)) * factor >> (64 - LEVEL_BITS);
    for (; *done < length; *done += 8)
        *state = (*state ^ *state >> 31) * factor + load8(bytes + *done);
    return (uint32_t)((*state ^ *state >> 32) * factor >> (64 - LEVEL_BITS));
}

/* Note unit `i`, and where its levels were seen before: that many units back, modulo 2**16. */
INLINE void note(Search *search, uint32_t i, int unit, const int *levels, uint16_t *back)
{
    const uint8_t *bytes = search->bytes + (size_t)i * unit;
    uint64_t state = 0;
    int done = 0;
    for (int level = 0; level < MAX_LEVELS && levels[level]; level++) {
        const uint32_t hash = hash_bytes(bytes, levels[level], &done, &state);
        uint16_t *seen = search->table + (level << LEVEL_BITS) + hash;
        back[level] = (uint16_t)(i - *seen);
        *seen = (uint16_t)i;
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

/* Whether at least 4 bytes equal the one before, which lies in the part as well. */
INLINE int continues_run(const Search *search, uint32_t at, uint32_t start, unsigned most)
{
    const uint8_t *bytes = search->bytes + at;
    return at > start && most >= 4 && load4(bytes) == bytes[-1] * 0x01010101u;
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
        if (unit == 1 && continues_run(search, at, start, most)) {
            match = (Match){at, 0, 1};
            match.length = equal_bytes(search->bytes + at, search->bytes + at - 1, most);
        } else if (at < stop) {
            match = find_match(search, at / unit, unit, levels, most);
            if (unit == 1 && is_run(search, match))
                match.length = 0;
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

#define FIND(KIND, NAME, UNIT, SHORTEST, ...)                                                      \
    KIND NAME(Search *search, uint32_t start, uint32_t end, Matches *matches)                      \
    {                                                                                              \
        static const int levels[MAX_LEVELS] = {__VA_ARGS__};                                       \
        find(search, start, end, UNIT, levels, SHORTEST, matches);                                 \
    }

FIND(void, find_repeats, 1, SHORTEST_MATCH, 3, 4, 6)
FIND(void, find_long_repeats, 1, SHORTEST_MATCH, 3, 8, 16, 32)
FIND(static void, find_varied, VALUE, VALUE, 4, 8, 16)
FIND(static void, find_similar, VALUE, VALUE, 4, 8, 16, 32)
FIND(static void, find_alike, VALUE, VALUE, 4, 16, 32, 64)
FIND(static void, find_equal, VALUE, VALUE, 4, 32, 64, 128)

/* How many kinds of values a sample of the part has, in 1/16: two of them are equal as often as if
 * so many were equally frequent. */
static uint64_t count_kinds(const uint8_t *bytes, uint32_t start, uint32_t end)
{
    enum { BITS = 12, SAMPLE = 4096 };
    uint16_t counts[1 << BITS] = {0};
    const uint32_t step = (end - start) / VALUE / SAMPLE + 1;
    uint64_t n = 0, n_pairs = 0, n_equal = 0;
    for (uint32_t at = start; at < end; at += step * VALUE) {
        n_equal += counts[hash_word(load4(bytes + at), BITS)]++;
        n_pairs += n++;
    }
    return 16 * n_pairs / (n_equal + 1);
}

void find_values(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    const uint64_t kinds = count_kinds(search->bytes, start, end);
    if (kinds >= 16 * 32)
        find_recent_values(search, start, end, matches);
    else if (kinds >= 16 * 4)
        find_varied(search, start, end, matches);
    else if (kinds >= 16 * 2)
        find_similar(search, start, end, matches);
    else if (kinds >= 20)
        find_alike(search, start, end, matches);
    else
        find_equal(search, start, end, matches);
}
