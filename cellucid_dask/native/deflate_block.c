/* The codes of one deflate block, chosen from its counts. */
#include "choose_matches.h"
#include "huffman.h"

static uint8_t fixed_lengths[MAX_SYMBOLS];
static uint16_t fixed_codes[MAX_SYMBOLS];

__attribute__((constructor)) static void fill_fixed_codes(void)
{
    for (int symbol = 0; symbol < MAX_SYMBOLS; symbol++)
        fixed_lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    huffman_codes(MAX_SYMBOLS, fixed_lengths, fixed_codes);
}

/* How often each symbol occurs. */
static void count_symbols(const uint32_t *items, const Tokens *tokens, Background background,
                          uint32_t *counts)
{
    memcpy(counts, items, 256 * sizeof *counts);
    for (int byte = 0; byte < background.unit; byte++)
        counts[background.bytes[byte]] += tokens->n_units;
    counts[END_OF_BLOCK] = 1;
    memcpy(counts + END_OF_BLOCK + 1, tokens->lengths, sizeof tokens->lengths);
}

/* Bits of the block after its header. */
static uint64_t body_bits(const uint32_t *items, const Tokens *tokens, const uint8_t *lengths,
                          Background background, int distance)
{
    uint64_t n = lengths[END_OF_BLOCK];
    for (int byte = 0; byte < background.unit; byte++)
        n += tokens->n_units * lengths[background.bytes[byte]];
    for (int item = 0; item < 256; item++)
        n += (uint64_t)items[item] * lengths[item];
    for (int symbol = 0; symbol < N_LENGTHS; symbol++)
        n += (uint64_t)tokens->lengths[symbol] *
             (lengths[END_OF_BLOCK + 1 + symbol] + extra_bits[symbol] + distance);
    return n;
}

static Bits join(Bits first, Bits second)
{
    const unsigned n = first >> BITS_LENGTH;
    return (first & BITS_MASK) | (second & BITS_MASK) << n |
           ((first >> BITS_LENGTH) + (second >> BITS_LENGTH)) << BITS_LENGTH;
}

static Bits bits_of(uint64_t bits, uint64_t n)
{
    return bits | n << BITS_LENGTH;
}

/* The tables that items and gaps are written from. */
static void fill_block(const Counts *counts, const uint8_t *lengths, const uint16_t *codes,
                       Bits distance, Block *block)
{
    const int unit = block->background.unit;
    for (int item = 0; item < 256; item++)
        block->items[item] = bits_of(codes[item], lengths[item]);
    block->end = bits_of(codes[END_OF_BLOCK], lengths[END_OF_BLOCK]);
    for (int length = 3; length <= LONGEST_MATCH; length++) {
        const int symbol = length_symbol[length], code = END_OF_BLOCK + 1 + symbol;
        const Bits extra = bits_of(length - first_length[symbol], extra_bits[symbol]);
        block->lengths[length] = join(bits_of(codes[code], lengths[code]), join(extra, distance));
    }
    block->unit = 0;
    for (int byte = 0; byte < unit; byte++)
        block->unit = join(block->unit, block->items[block->background.bytes[byte]]);
    const unsigned n_unit = block->unit >> BITS_LENGTH;
    Bits literals = 0; /* as many units as the gap is long, as far as they fit */
    block->gaps[0] = 0;
    for (int gap = 1; gap < long_gap(unit); gap++) {
        Bits entry = bits_of(0, SLOW_ENTRY);
        if (gap * n_unit <= LONGEST_ENTRY)
            entry = literals = join(literals, block->unit);
        if (block->matched[gap])
            entry = join(block->unit, block->lengths[(gap - 1) * unit]);
        block->gaps[gap] = entry >> BITS_LENGTH <= LONGEST_ENTRY ? entry : bits_of(0, SLOW_ENTRY);
    }
    block->gaps[long_gap(unit)] = bits_of(0, SLOW_ENTRY);
    block->many_longest = 0;
    block->n_many = 0;
    const Bits longest = block->lengths[LONGEST_MATCH];
    if (counts->n_longest)
        while ((block->many_longest >> BITS_LENGTH) + (longest >> BITS_LENGTH) <= 56) {
            block->many_longest = join(block->many_longest, longest);
            block->n_many++;
        }
}

void plan_block(const Counts *counts, Background background, Block *block)
{
    enum { ROUNDS = 3, FIXED_DISTANCE = 5, DYNAMIC_DISTANCE = 1 };
    uint32_t items[256], symbols[N_SYMBOLS];
    uint64_t n_items = 0;
    for (int item = 0; item < 256; item++) {
        items[item] = 0;
        for (int lane = 0; lane < LANES; lane++)
            items[item] += counts->items[lane][item];
        n_items += items[item];
    }
    block->background = background;

    const int unit = background.unit;
    const Prices all_matches = {.unit = BIT * unit};
    Tokens tokens = choose_matches(counts, unit, &all_matches, block->matched);
    for (int round = 0; round < ROUNDS; round++) {
        const Prices prices = estimate_prices(items, n_items, &tokens, background);
        tokens = choose_matches(counts, unit, &prices, block->matched);
    }
    uint8_t lengths[N_SYMBOLS];
    count_symbols(items, &tokens, background, symbols);
    huffman_lengths(N_SYMBOLS, symbols, LONGEST_CODE, lengths);

    /* With the real lengths some gaps are cheaper the other way. */
    Prices prices = code_prices(lengths, background, DYNAMIC_DISTANCE);
    tokens = choose_matches(counts, unit, &prices, block->matched);
    static const uint8_t of_unit[2][2] = {{1}, {0, 1}}; /* code lengths of the distances */
    make_header(lengths, of_unit[unit - 1], unit, &block->header);
    const uint64_t n_dynamic =
        block->header.n_bits + body_bits(items, &tokens, lengths, background, DYNAMIC_DISTANCE);

    uint8_t matched[MAX_LONG_GAP];
    prices = code_prices(fixed_lengths, background, FIXED_DISTANCE);
    tokens = choose_matches(counts, unit, &prices, matched);
    const uint64_t n_fixed =
        3 + body_bits(items, &tokens, fixed_lengths, background, FIXED_DISTANCE);

    block->dynamic = n_dynamic < n_fixed;
    if (block->dynamic) {
        uint16_t codes[N_SYMBOLS];
        huffman_codes(N_SYMBOLS, lengths, codes);
        fill_block(counts, lengths, codes, bits_of(0, DYNAMIC_DISTANCE), block);
        block->n_bits = n_dynamic;
    } else {
        memcpy(block->matched, matched, sizeof matched);
        const Bits distance = bits_of(unit == 1 ? 0 : 1 << 4, FIXED_DISTANCE); /* reversed */
        fill_block(counts, fixed_lengths, fixed_codes, distance, block);
        block->n_bits = n_fixed;
    }
}

BitWriter put_header(const Block *block, BitWriter out)
{
    if (block->dynamic)
        return put_codes(&block->header, 1, out);
    put(&out, 1 | 1 << 1, 3);
    return out;
}

BitWriter put_gap(const Block *block, BitWriter out, uint64_t gap)
{
    const int unit = block->background.unit;
    const uint64_t longest = LONGEST_MATCH / unit, many = block->n_many * longest;
    const int is_long = gap >= (uint64_t)long_gap(unit);
    put_bits(&out, block->unit);
    uint64_t left = gap - 1;
    if (is_long) {
        for (; left >= many; left -= many)
            put_bits(&out, block->many_longest);
        for (; left >= longest; left -= longest)
            put_bits(&out, block->lengths[LONGEST_MATCH]);
    }
    if (left * unit >= SHORTEST_MATCH && (is_long || block->matched[gap]))
        put_bits(&out, block->lengths[left * unit]);
    else
        for (; left > 0; left--)
            put_bits(&out, block->unit);
    return out;
}

uint8_t *put_end(const Block *block, BitWriter out)
{
    put_bits(&out, block->end);
    return out.at + (out.n_waiting > 0);
}
