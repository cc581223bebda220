/* Repeats by where something short was seen last, of streams in which little comes again. */
#include "matches.h"

/* List where three bytes of [start, end), of which 4 can be read, were seen before. Whether they
 * were cannot be predicted, and the list is made without branches. */
static unsigned list_recent(Search *search, uint32_t start, uint32_t end, Match *recent)
{
    unsigned n = 0;
    for (uint32_t i = start; i < end; i++) {
        const uint8_t *bytes = search->bytes + i;
        const uint32_t three = load4(bytes) << 8;
        uint16_t *seen = search->table + hash_word(three, TABLE_BITS - 1);
        const uint32_t back = (uint16_t)(i - *seen);
        *seen = (uint16_t)i;
        const unsigned is_inside = (back - 1 < LARGEST_DISTANCE) & (back <= i);
        recent[n] = (Match){i, 0, back};
        n += is_inside & (load4(bytes - (is_inside ? back : 0)) << 8 == three);
    }
    return n;
}

static unsigned match_length(const Search *search, Match match, uint32_t end)
{
    const uint8_t *bytes = search->bytes + match.position;
    const uint32_t left = end - match.position;
    return equal_bytes(bytes, bytes - match.distance, left < LONGEST_MATCH ? left : LONGEST_MATCH);
}

void find_recent_bytes(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    enum { BATCH = 2048, LONG = 32 };
    Match recent[BATCH + 1];
    const uint32_t readable = search->n_bytes < 3 ? 0 : search->n_bytes - 3;
    const uint32_t stop = readable < end ? readable : end;
    uint32_t next = start; /* after the last match */
    unsigned n = matches->n;
    for (uint32_t from = start; from < stop; from += BATCH) {
        const uint32_t to = stop - from < BATCH ? stop : from + BATCH;
        const unsigned n_recent = list_recent(search, from, to, recent);
        for (unsigned i = 0; i < n_recent; i++) {
            Match match = recent[i];
            if (match.position < next)
                continue;
            match.length = match_length(search, match, end);
            if (match.length < SHORTEST_MATCH || is_run(search, match))
                continue;
            if (match.length < LONG && i + 1 < n_recent &&
                recent[i + 1].position == match.position + 1 &&
                match_length(search, recent[i + 1], end) > match.length)
                continue;
            matches->at[n++] = match;
            next = match.position + match.length;
        }
    }
    matches->n = n;
}

/* Of values that hardly any other equals, or that none follows again: the last two places where
 * something of the same hash was seen, and the nearer one that fits. */
void find_recent_values(Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    enum { WINDOW = LARGEST_DISTANCE / VALUE };
    const uint8_t *bytes = search->bytes;
    unsigned n = matches->n;
    const uint32_t last = end / VALUE;
    for (uint32_t i = start / VALUE; i < last; i++) {
        const uint32_t value = load4(bytes + (size_t)i * VALUE);
        uint16_t *seen = search->table + 2 * hash_word(value, TABLE_BITS - 1);
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
                   2 * hash_word(load4(bytes + (size_t)++i * VALUE), TABLE_BITS - 1);
            seen[1] = seen[0];
            seen[0] = (uint16_t)i;
        }
    }
    matches->n = n;
}
