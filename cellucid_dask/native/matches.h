/* Matches of a byte stream, and how they are found.
 *
 * A finder lists matches of the part [start, end) of the stream: they rise, do not overlap, and lie
 * within the part; what they repeat may lie before it. Bytes between them are literals. */
#ifndef CELLUCID_MATCHES_H
#define CELLUCID_MATCHES_H

#include "symbols.h"

enum {
    LARGEST_PART = 65536, /* bytes */
    MAX_MATCHES = LARGEST_PART / SHORTEST_MATCH,
    TABLE_BITS = 17,
    VALUE = 4 /* bytes */
};

typedef struct {
    uint32_t position;
    uint16_t length, distance; /* in bytes */
} Match;

/* A stream, and where what was last seen. Positions in `table` are modulo 2**16 and those of any
 * other finder may be among them: each is checked against the bytes before it is used. */
typedef struct {
    const uint8_t *bytes;
    uint32_t n_bytes;
    uint16_t table[1 << TABLE_BITS];
} Search;

/* Matches that are found in a part. There is room for one more than there can be. */
typedef struct {
    unsigned n;
    Match at[MAX_MATCHES + 1];
} Matches;

/* Bytes that equal the byte before. */
void find_runs(const Search *search, uint32_t start, uint32_t end, Matches *matches);

/* What was seen before of any bytes: where many of them were, or nearly all. */
void find_repeats(Search *search, uint32_t start, uint32_t end, Matches *matches);
void find_long_repeats(Search *search, uint32_t start, uint32_t end, Matches *matches);

/* The same where few of them were: three bytes by where these were seen last. */
void find_recent_bytes(Search *search, uint32_t start, uint32_t end, Matches *matches);

/* What was seen before of values of 4 bytes; `start` and `end` are multiples of it. */
void find_values(Search *search, uint32_t start, uint32_t end, Matches *matches);

/* The same where hardly any equals another: by where each was seen last. */
void find_recent_values(Search *search, uint32_t start, uint32_t end, Matches *matches);

static inline uint64_t load8(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word;
}

static inline uint32_t load4(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, 4);
    return word;
}

static inline uint32_t hash_word(uint32_t word, int bits)
{
    return word * 2654435761u >> (32 - bits);
}

/* How many of at most `most` bytes are equal. */
static inline unsigned equal_bytes(const uint8_t *one, const uint8_t *other, unsigned most)
{
    unsigned n = 0;
    for (; n + 8 <= most; n += 8) {
        const uint64_t difference = load8(one + n) ^ load8(other + n);
        if (difference)
            return n + (__builtin_ctzll(difference) >> 3);
    }
    while (n < most && one[n] == other[n])
        n++;
    return n;
}

/* Whether a match goes not far beyond the run that begins with it: a literal and a run are cheaper
 * than a long distance. */
static inline int is_run(const Search *search, Match match)
{
    const uint8_t *bytes = search->bytes + match.position;
    return match.distance > 1 && match.length > SHORTEST_MATCH &&
           match.length < SHORTEST_MATCH + equal_bytes(bytes, bytes + 1, match.length - 1);
}

#endif
