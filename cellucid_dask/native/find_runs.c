/* Runs of a byte, as matches that repeat the byte before. */
#include "matches.h"

void find_runs(const Search *search, uint32_t start, uint32_t end, Matches *matches)
{
    const uint8_t *bytes = search->bytes;
    unsigned n = 0;
    for (uint32_t i = start + 1; i < end;) {
        if (bytes[i] != bytes[i - 1]) {
            i++;
            continue;
        }
        const uint64_t eight = bytes[i] * 0x0101010101010101u;
        uint32_t next = i + 1; /* after the run */
        while (end - next >= 8 && load8(bytes + next) == eight)
            next += 8;
        while (next < end && bytes[next] == bytes[i])
            next++;
        while (next - i >= SHORTEST_MATCH) {
            const uint32_t length = next - i < LONGEST_MATCH ? next - i : LONGEST_MATCH;
            matches->at[n++] = (Match){i, length, 1};
            i += length;
        }
        i = next + 1;
    }
    matches->n = n;
}
