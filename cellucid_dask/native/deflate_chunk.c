/* Chunks of arrays as deflate streams: shuffled ones plane by plane, others value by value. */
#include "adler32.h"
#include "match_block.h"

/* All that is needed beside the input and the output; too large for the stack of a thread. */
typedef struct {
    Search search;
    Matches runs, repeats;
    MatchBlock blocks[2];
} Workshop;

/* Bytes of a chunk in the order of deflate. */
typedef enum { PLANES, VALUES } Order;

static void shuffle(const uint8_t *raw, uint64_t n_items, unsigned width, uint8_t *planes)
{
    if (width == 4) {
        for (uint64_t i = 0; i < n_items; i++) {
            const uint32_t value = load4(raw + 4 * i);
            planes[i] = (uint8_t)value;
            planes[n_items + i] = (uint8_t)(value >> 8);
            planes[2 * n_items + i] = (uint8_t)(value >> 16);
            planes[3 * n_items + i] = (uint8_t)(value >> 24);
        }
        return;
    }
    for (unsigned byte = 0; byte < width; byte++)
        for (uint64_t i = 0; i < n_items; i++)
            planes[byte * n_items + i] = raw[i * width + byte];
}

typedef void Find(Search *search, uint32_t start, uint32_t end, Matches *matches);

/* How to look for repeats beside runs, which `block` was planned with; NULL where they are not
 * likely to save bits. Those of a sample are counted, where runs leave something to save. */
static Find *choose_finder(Workshop *shop, uint32_t start, uint32_t end, const MatchBlock *block)
{
    enum { SAMPLE = 16384, MATCH_BITS = 5 }; /* beside those of the distance */
    const uint8_t *bytes = shop->search.bytes;
    const uint64_t n_bytes = end - start;
    if (n_bytes < SHORTEST_MATCH || block->n_bits < n_bytes / 16)
        return NULL;
    if (n_bytes > SAMPLE)
        end = start + SAMPLE;
    shop->repeats.n = 0;
    find_recent_bytes(&shop->search, start, end, &shop->repeats);
    const uint64_t n_sample = (end - start) * block->n_bits / n_bytes;
    uint64_t n_saved = 0;
    for (unsigned i = 0; i < shop->repeats.n; i++) {
        const Match match = shop->repeats.at[i];
        if (match.distance == 1)
            continue;
        uint64_t as_literals = 0;
        for (int byte = 0; byte < match.length; byte++)
            as_literals += block->lengths[bytes[match.position + byte]];
        const uint64_t with_runs = match.length * block->n_bits / n_bytes;
        as_literals = with_runs < as_literals ? with_runs : as_literals;
        const unsigned as_match = MATCH_BITS + distance_bits(distance_symbol(match.distance));
        n_saved += as_literals > as_match ? as_literals - as_match : 0;
    }
    /* Where runs have most of the bytes, repeats of several of them save more than the sample
     * tells, which takes three bytes at a time. */
    if (block->n_bits < 4 * n_bytes)
        return find_repeats;
    if (n_saved <= n_sample / 256)
        return NULL;
    if (n_saved > n_sample / 4 * 3)
        return find_long_repeats;
    return n_saved > n_sample / 4 ? find_repeats : find_recent_bytes;
}

/* One block of a part of a plane, or of any bytes. */
static const MatchBlock *plan_bytes(Workshop *shop, uint32_t start, uint32_t end,
                                    const Matches **matches)
{
    const uint8_t *bytes = shop->search.bytes;
    find_runs(&shop->search, start, end, &shop->runs);
    plan_matches(bytes, start, end, &shop->runs, &shop->blocks[0]);
    *matches = &shop->runs;
    Find *find = choose_finder(shop, start, end, &shop->blocks[0]);
    if (!find)
        return &shop->blocks[0];
    shop->repeats.n = 0;
    find(&shop->search, start, end, &shop->repeats);
    plan_matches(bytes, start, end, &shop->repeats, &shop->blocks[1]);
    if (shop->blocks[1].n_bits >= shop->blocks[0].n_bits)
        return &shop->blocks[0];
    *matches = &shop->repeats;
    return &shop->blocks[1];
}

static const MatchBlock *plan_values(Workshop *shop, uint32_t start, uint32_t end,
                                     const Matches **matches)
{
    shop->runs.n = 0;
    find_values(&shop->search, start, end, &shop->runs);
    plan_matches(shop->search.bytes, start, end, &shop->runs, &shop->blocks[0]);
    *matches = &shop->runs;
    return &shop->blocks[0];
}

/* The blocks of a stream, each of at most LARGEST_PART bytes of one plane of `plane` bytes. Returns
 * the size or ERROR_CAPACITY. */
static int64_t deflate(Workshop *shop, Order order, uint32_t plane, uint8_t *out, int64_t capacity)
{
    const uint32_t n_bytes = shop->search.n_bytes;
    BitWriter writer = {.at = out};
    uint32_t start = 0, plane_end = plane;
    do {
        const uint32_t end = plane_end - start > LARGEST_PART ? start + LARGEST_PART : plane_end;
        const Matches *matches;
        const MatchBlock *block = order == VALUES ? plan_values(shop, start, end, &matches)
                                                  : plan_bytes(shop, start, end, &matches);
        if (match_block_bound(block, end - start) > (uint64_t)(capacity - (writer.at - out)))
            return ERROR_CAPACITY;
        writer = put_matches(shop->search.bytes, start, end, matches, block, end == n_bytes, writer);
        start = end;
        if (start == plane_end)
            plane_end += plane;
    } while (start < n_bytes);
    return writer.at - out + (writer.n_waiting > 0);
}

/* Memory that `deflate_chunk` needs for a chunk of so many bytes. */
EXPORT int64_t deflate_scratch(int64_t n_bytes)
{
    return n_bytes < 0 || n_bytes > INT32_MAX ? ERROR_LENGTH : (int64_t)sizeof(Workshop) + n_bytes;
}

/* A chunk of items of `width` bytes as a deflate stream, or as a zlib stream; returns its size. With
 * `shuffled` the stream holds the first bytes of all items, then all second bytes, and so on. */
EXPORT int64_t deflate_chunk(int64_t n_bytes, int64_t width, int64_t shuffled, int64_t zlib,
                             const uint8_t *raw, uint8_t *scratch, int64_t n_scratch, uint8_t *out,
                             int64_t capacity)
{
    enum { HEAD = 2, TAIL = 4 };
    if (n_bytes < 0 || n_bytes > INT32_MAX || width < 1 || width > 16 || n_bytes % width)
        return ERROR_LENGTH;
    if (n_scratch < deflate_scratch(n_bytes) || capacity < HEAD + TAIL)
        return ERROR_CAPACITY;
    Workshop *shop = (Workshop *)scratch;
    const int planes = shuffled && width > 1;
    if (planes)
        shuffle(raw, n_bytes / width, width, scratch + sizeof *shop);
    shop->search.bytes = planes ? scratch + sizeof *shop : raw;
    shop->search.n_bytes = n_bytes;
    memset(shop->search.table, 0, sizeof shop->search.table);
    const Order order = !planes && width % 4 == 0 ? VALUES : PLANES;
    const uint32_t plane = planes ? n_bytes / width : n_bytes;
    if (!zlib)
        return deflate(shop, order, plane, out, capacity);
    const int64_t size = deflate(shop, order, plane, out + HEAD, capacity - HEAD - TAIL);
    if (size < 0)
        return size;
    memcpy(out, "\x78\x9c", HEAD);
    const uint32_t sum = adler32(shop->search.bytes, n_bytes);
    for (int byte = 0; byte < TAIL; byte++)
        out[HEAD + size + byte] = (uint8_t)(sum >> (8 * (TAIL - 1 - byte)));
    return HEAD + size + TAIL;
}
