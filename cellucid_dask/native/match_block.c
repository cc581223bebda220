/* One deflate block of literals and matches. */
#include "match_block.h"
#include "huffman.h"

enum {
    LANES = 4, /* equal symbols one after the other count in different places */
    LONGEST_STORED = 65535
};

typedef struct {
    uint32_t symbols[N_SYMBOLS], distances[N_DISTANCES];
} SymbolCounts;

static void count_all(const uint8_t *bytes, uint32_t start, uint32_t end, const Matches *matches,
                      SymbolCounts *counts)
{
    uint32_t literals[LANES][256] = {0}, lengths[LANES][N_LENGTHS] = {0};
    uint32_t at = start;
    memset(counts, 0, sizeof *counts);
    for (unsigned i = 0; i <= matches->n; i++) {
        const uint32_t next = i < matches->n ? matches->at[i].position : end;
        for (; next - at >= LANES; at += LANES)
            for (int lane = 0; lane < LANES; lane++)
                literals[lane][bytes[at + lane]]++;
        for (; at < next; at++)
            literals[at % LANES][bytes[at]]++;
        if (i == matches->n)
            break;
        const Match *match = &matches->at[i];
        lengths[i % LANES][length_symbol[match->length]]++;
        counts->distances[distance_symbol(match->distance)]++;
        at += match->length;
    }
    for (int lane = 0; lane < LANES; lane++) {
        for (int byte = 0; byte < 256; byte++)
            counts->symbols[byte] += literals[lane][byte];
        for (int symbol = 0; symbol < N_LENGTHS; symbol++)
            counts->symbols[END_OF_BLOCK + 1 + symbol] += lengths[lane][symbol];
    }
    counts->symbols[END_OF_BLOCK] = 1;
}

/* By the prices of ideal codes for all matches. Longer ones are worth their price. */
static void drop_dear_matches(const uint8_t *bytes, Matches *matches, SymbolCounts *counts)
{
    enum { LONGEST_DROPPED = 8 };
    uint32_t price[N_SYMBOLS], distance_price[N_DISTANCES];
    uint64_t n = 0;
    for (int symbol = 0; symbol < N_SYMBOLS; symbol++)
        n += counts->symbols[symbol];
    for (int symbol = 0; symbol < N_SYMBOLS; symbol++)
        price[symbol] = ideal_price(n, counts->symbols[symbol]);
    for (unsigned symbol = 0; symbol < N_DISTANCES; symbol++)
        distance_price[symbol] = ideal_price(matches->n, counts->distances[symbol]) +
                                 BIT * distance_bits(symbol);
    unsigned n_kept = 0;
    for (unsigned i = 0; i < matches->n; i++) {
        const Match match = matches->at[i];
        matches->at[n_kept++] = match;
        if (match.length > LONGEST_DROPPED)
            continue;
        /* Lengths up to 10 have no extra bits. */
        const unsigned symbol = END_OF_BLOCK + 1 + length_symbol[match.length];
        const unsigned distance = distance_symbol(match.distance);
        const uint8_t *literals = bytes + match.position;
        uint32_t as_literals = 0;
        for (int byte = 0; byte < match.length; byte++)
            as_literals += price[literals[byte]];
        if (price[symbol] + distance_price[distance] <= as_literals)
            continue;
        n_kept--;
        counts->symbols[symbol]--;
        counts->distances[distance]--;
        for (int byte = 0; byte < match.length; byte++)
            counts->symbols[literals[byte]]++;
    }
    matches->n = n_kept;
}

void plan_matches(const uint8_t *bytes, uint32_t start, uint32_t end, Matches *matches,
                  MatchBlock *block)
{
    SymbolCounts counts;
    count_all(bytes, start, end, matches, &counts);
    drop_dear_matches(bytes, matches, &counts);
    huffman_lengths(N_SYMBOLS, counts.symbols, LONGEST_CODE, block->lengths);
    huffman_lengths(N_DISTANCES, counts.distances, LONGEST_CODE, block->distance_lengths);
    int n_distances = N_DISTANCES;
    while (n_distances > 1 && !block->distance_lengths[n_distances - 1])
        n_distances--;
    if (!matches->n)
        block->distance_lengths[0] = 1; /* some decoders want one */
    make_header(block->lengths, block->distance_lengths, n_distances, &block->header);
    block->n_bits = block->header.n_bits;
    for (int symbol = 0; symbol < N_SYMBOLS; symbol++) {
        const int is_length = symbol > END_OF_BLOCK;
        const uint64_t n = block->lengths[symbol] +
                           (is_length ? extra_bits[symbol - END_OF_BLOCK - 1] : 0);
        block->n_bits += n * counts.symbols[symbol];
    }
    for (unsigned symbol = 0; symbol < N_DISTANCES; symbol++)
        block->n_bits += (uint64_t)counts.distances[symbol] *
                         (block->distance_lengths[symbol] + distance_bits(symbol));
}

/* Stored blocks hold at most LONGEST_STORED bytes; there is one even of none. */
static uint64_t stored_bits(uint32_t n_bytes)
{
    return 8 * (uint64_t)n_bytes + 40 * (n_bytes / LONGEST_STORED + 1);
}

uint64_t match_block_bound(const MatchBlock *block, uint32_t n_bytes)
{
    const uint64_t stored = stored_bits(n_bytes);
    /* Up to 7 bits wait; `put` writes 8 bytes at a time. */
    return ((block->n_bits < stored ? block->n_bits : stored) + 7) / 8 + 1 + 8;
}

static BitWriter put_stored(const uint8_t *bytes, uint32_t n_bytes, int is_last, BitWriter out)
{
    do {
        const uint32_t n = n_bytes < LONGEST_STORED ? n_bytes : LONGEST_STORED;
        n_bytes -= n;
        put(&out, is_last && !n_bytes, 3);
        if (out.n_waiting)
            put(&out, 0, 8 - out.n_waiting);
        put(&out, n | (uint64_t)(~n & 0xFFFF) << 16, 32);
        memcpy(out.at, bytes, n);
        out.at += n;
        bytes += n;
    } while (n_bytes);
    return out;
}

BitWriter put_matches(const uint8_t *bytes, uint32_t start, uint32_t end, const Matches *matches,
                      const MatchBlock *block, int is_last, BitWriter out)
{
    if (block->n_bits >= stored_bits(end - start))
        return put_stored(bytes + start, end - start, is_last, out);
    uint16_t codes[N_SYMBOLS], distance_codes[N_DISTANCES];
    uint32_t literals[256], lengths[LONGEST_MATCH + 1]; /* bits, and above them how many */
    huffman_codes(N_SYMBOLS, block->lengths, codes);
    huffman_codes(N_DISTANCES, block->distance_lengths, distance_codes);
    for (int byte = 0; byte < 256; byte++)
        literals[byte] = codes[byte] | (uint32_t)block->lengths[byte] << 24;
    for (unsigned length = SHORTEST_MATCH; length <= LONGEST_MATCH; length++) {
        const unsigned symbol = length_symbol[length], code = END_OF_BLOCK + 1 + symbol;
        const unsigned n_code = block->lengths[code];
        lengths[length] = codes[code] | (length - first_length[symbol]) << n_code |
                          (n_code + extra_bits[symbol]) << 24;
    }
    const uint32_t mask = 0xFFFFFF;
    out = put_codes(&block->header, is_last, out);
    uint32_t at = start;
    for (unsigned i = 0; i <= matches->n; i++) {
        const uint32_t next = i < matches->n ? matches->at[i].position : end;
        for (; next - at >= 4; at += 4) {
            const uint32_t a = literals[bytes[at]], b = literals[bytes[at + 1]];
            const uint32_t c = literals[bytes[at + 2]], d = literals[bytes[at + 3]];
            const unsigned n_ab = (a >> 24) + (b >> 24), n_cd = (c >> 24) + (d >> 24);
            const uint64_t ab = (a & mask) | (uint64_t)(b & mask) << (a >> 24);
            const uint64_t cd = (c & mask) | (uint64_t)(d & mask) << (c >> 24);
            put(&out, ab | cd << n_ab, n_ab + n_cd);
        }
        for (; at < next; at++)
            put(&out, literals[bytes[at]] & mask, literals[bytes[at]] >> 24);
        if (i == matches->n)
            break;
        const Match match = matches->at[i];
        const uint32_t length = lengths[match.length];
        const unsigned symbol = distance_symbol(match.distance), extra = distance_bits(symbol);
        const unsigned n_code = block->distance_lengths[symbol], n_length = length >> 24;
        const uint64_t rest = (match.distance - 1) & ((1u << extra) - 1);
        const uint64_t distance = distance_codes[symbol] | rest << n_code;
        put(&out, (length & mask) | distance << n_length, n_length + n_code + extra);
        at += match.length;
    }
    put(&out, codes[END_OF_BLOCK], block->lengths[END_OF_BLOCK]);
    return out;
}
