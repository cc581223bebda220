/* The codes of one deflate block, chosen from its counts. */
#include "deflate_block.h"
#include "huffman.h"

/* Match lengths: symbol 257 + `length_symbol`, then `extra_bits` of that symbol. */
static uint8_t length_symbol[LONGEST_MATCH + 1];
static uint8_t extra_bits[N_LENGTHS];
static uint16_t first_length[N_LENGTHS];

static uint8_t fixed_lengths[MAX_SYMBOLS];
static uint16_t fixed_codes[MAX_SYMBOLS];

__attribute__((constructor)) static void fill_tables(void)
{
    int length = 3;
    for (int symbol = 0; symbol < N_LENGTHS - 1; symbol++) {
        extra_bits[symbol] = symbol < 8 ? 0 : symbol / 4 - 1;
        first_length[symbol] = length;
        for (int i = 0; i < 1 << extra_bits[symbol]; i++)
            length_symbol[length++] = symbol;
    }
    /* 258 has a symbol of its own, without extra bits. */
    first_length[N_LENGTHS - 1] = LONGEST_MATCH;
    length_symbol[LONGEST_MATCH] = N_LENGTHS - 1;
    for (int symbol = 0; symbol < MAX_SYMBOLS; symbol++)
        fixed_lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    huffman_codes(MAX_SYMBOLS, fixed_lengths, fixed_codes);
}

/* Prices of symbols in 1/16 bit. */
enum { BIT = 16, NO_CODE = 1 << 20 };

typedef struct {
    uint32_t unit; /* the literals of a unit of the background */
    uint32_t lengths[N_LENGTHS];
    uint32_t distance;
} Prices;

static uint32_t match_price(const Prices *prices, int length)
{
    const int symbol = length_symbol[length];
    return prices->lengths[symbol] + BIT * extra_bits[symbol] + prices->distance;
}

/* What a way of writing the gaps needs of symbols. */
typedef struct {
    uint64_t n_units; /* as literals */
    uint32_t lengths[N_LENGTHS];
} Tokens;

/* Write each gap the cheaper way. Rests of long gaps are matches wherever they can be. */
static Tokens choose_matches(const Counts *counts, int unit, const Prices *prices,
                             uint8_t *matched)
{
    Tokens tokens = {0};
    for (int gap = 1; gap < long_gap(unit); gap++) {
        const uint32_t count = counts->gaps[gap], more = gap - 1;
        matched[gap] = 0;
        if (!count)
            continue;
        matched[gap] = more * unit >= SHORTEST_MATCH &&
                       match_price(prices, more * unit) < more * prices->unit;
        tokens.n_units += matched[gap] ? count : (uint64_t)count * gap;
        if (matched[gap])
            tokens.lengths[length_symbol[more * unit]] += count;
    }
    for (int length = SHORTEST_MATCH; length <= LONGEST_MATCH; length++)
        tokens.lengths[length_symbol[length]] += counts->repeats[length];
    if (counts->n_long) {
        tokens.n_units += counts->n_long;
        for (int rest = 1; rest < LONGEST_MATCH / unit; rest++)
            if (rest * unit < SHORTEST_MATCH)
                tokens.n_units += (uint64_t)counts->rests[rest] * rest;
            else
                tokens.lengths[length_symbol[rest * unit]] += counts->rests[rest];
        tokens.lengths[N_LENGTHS - 1] += counts->n_longest;
    }
    return tokens;
}

/* log2 in 1/16, the fraction by a straight line: the same on all machines. */
static uint32_t logarithm(uint64_t n)
{
    const int whole = 63 - __builtin_clzll(n | 1);
    const uint64_t fraction = whole >= 4 ? n >> (whole - 4) : n << (4 - whole);
    return BIT * whole + (fraction & 15);
}

/* Price of a symbol that occurs so often, in an ideal code; once, if it does not. */
static uint32_t ideal_price(uint64_t n_symbols, uint64_t count)
{
    const uint32_t price = logarithm(n_symbols) - logarithm(count);
    return price < BIT ? BIT : price;
}

static Prices estimate_prices(const uint32_t *items, uint64_t n_items, const Tokens *tokens,
                              Background background)
{
    uint64_t n = n_items + background.unit * tokens->n_units + 1;
    for (int symbol = 0; symbol < N_LENGTHS; symbol++)
        n += tokens->lengths[symbol];
    Prices prices = {.distance = BIT};
    for (int byte = 0; byte < background.unit; byte++)
        prices.unit += ideal_price(n, tokens->n_units + items[background.bytes[byte]]);
    for (int symbol = 0; symbol < N_LENGTHS; symbol++)
        prices.lengths[symbol] = ideal_price(n, tokens->lengths[symbol]);
    return prices;
}

static Prices code_prices(const uint8_t *lengths, Background background, int distance)
{
    Prices prices = {.distance = BIT * distance};
    for (int byte = 0; byte < background.unit; byte++)
        prices.unit += BIT * lengths[background.bytes[byte]];
    for (int symbol = 0; symbol < N_LENGTHS; symbol++) {
        const int length = lengths[END_OF_BLOCK + 1 + symbol];
        prices.lengths[symbol] = length ? BIT * length : NO_CODE;
    }
    return prices;
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

enum { REPEAT = 16, FEW_ZEROS = 17, MANY_ZEROS = 18 };
static const uint8_t repeat_bits[19] = {[REPEAT] = 2, [FEW_ZEROS] = 3, [MANY_ZEROS] = 7};
static const uint8_t header_order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                         11, 4,  12, 3, 13, 2, 14, 1, 15};

static void add_token(CodeHeader *header, uint32_t *counts, int token, int repeat)
{
    header->tokens[header->n_tokens] = token;
    header->repeats[header->n_tokens++] = repeat;
    counts[token]++;
}

static void make_header(const uint8_t *code_lengths, int unit, CodeHeader *header)
{
    uint8_t lengths[N_SYMBOLS + 2];
    uint32_t counts[19] = {0};
    int n = N_SYMBOLS;
    while (!code_lengths[n - 1])
        n--;
    header->n_symbols = n;
    header->n_distances = unit; /* of which the last one is used */
    memcpy(lengths, code_lengths, n);
    if (unit == 2)
        lengths[n++] = 0;
    lengths[n++] = 1;
    header->n_tokens = 0;
    for (int i = 0; i < n;) {
        const int length = lengths[i], start = i;
        while (i < n && lengths[i] == length)
            i++;
        int run = i - start;
        if (length) {
            add_token(header, counts, length, 0);
            run--;
        }
        while (run >= 3) {
            const int most = length ? 6 : 138, repeat = run < most ? run : most;
            if (length)
                add_token(header, counts, REPEAT, repeat - 3);
            else if (repeat <= 10)
                add_token(header, counts, FEW_ZEROS, repeat - 3);
            else
                add_token(header, counts, MANY_ZEROS, repeat - 11);
            run -= repeat;
        }
        for (; run > 0; run--)
            add_token(header, counts, length, 0);
    }
    huffman_lengths(19, counts, 7, header->lengths);
    huffman_codes(19, header->lengths, header->codes);
    header->n_order = 19;
    while (!header->lengths[header_order[header->n_order - 1]])
        header->n_order--;
    header->n_bits = 3 + 5 + 5 + 4 + 3 * header->n_order;
    for (int token = 0; token < 19; token++)
        header->n_bits += (uint64_t)counts[token] * (header->lengths[token] + repeat_bits[token]);
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
    make_header(lengths, unit, &block->header);
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
    if (!block->dynamic) {
        put(&out, 1 | 1 << 1, 3);
        return out;
    }
    const CodeHeader *header = &block->header;
    put(&out, 1 | 2 << 1, 3);
    put(&out, header->n_symbols - 257, 5);
    put(&out, header->n_distances - 1, 5);
    put(&out, header->n_order - 4, 4);
    for (int i = 0; i < header->n_order; i++)
        put(&out, header->lengths[header_order[i]], 3);
    for (int i = 0; i < header->n_tokens; i++) {
        const int token = header->tokens[i];
        put(&out, header->codes[token] | (uint64_t)header->repeats[i] << header->lengths[token],
            header->lengths[token] + repeat_bits[token]);
    }
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
