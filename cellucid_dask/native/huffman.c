/* Huffman codes of limited length, as deflate has them. */
#include "huffman.h"

typedef struct {
    uint32_t count;
    uint32_t symbol;
} Leaf;

/* Sort by rising counts, equal ones by symbol: one stable pass for each byte that counts need. */
static void sort_leaves(int n, Leaf *leaves, uint32_t highest)
{
    Leaf buffer[MAX_SYMBOLS];
    Leaf *from = leaves, *to = buffer;
    for (int shift = 0; shift < 32 && highest >> shift; shift += 8) {
        uint16_t ends[256] = {0};
        for (int i = 0; i < n; i++)
            ends[from[i].count >> shift & 255]++;
        for (int digit = 1; digit < 256; digit++)
            ends[digit] += ends[digit - 1];
        for (int i = n - 1; i >= 0; i--)
            to[--ends[from[i].count >> shift & 255]] = from[i];
        Leaf *swap = from;
        from = to;
        to = swap;
    }
    if (from != leaves)
        memcpy(leaves, from, n * sizeof *leaves);
}

/* Depths of `n` (at least 2) leaves with rising counts, in their place (Moffat and Katajainen,
 * "In-place calculation of minimum-redundancy codes", 1995). */
static void depths(int n, uint32_t *tree)
{
    /* Nodes [0, next) are inner ones. Those below `root` know their parent, those from it on have
     * their count. Leaves [leaf, n) are not joined yet. */
    int root = 0, leaf = 0;
    for (int next = 0; next < n - 1; next++) {
        uint32_t count = 0;
        for (int child = 0; child < 2; child++) {
            if (leaf >= n || (root < next && tree[root] < tree[leaf])) {
                count += tree[root];
                tree[root++] = next;
            } else {
                count += tree[leaf++];
            }
        }
        tree[next] = count;
    }
    tree[n - 2] = 0;
    for (int node = n - 3; node >= 0; node--)
        tree[node] = tree[tree[node]] + 1;
    /* At `depth` there are `places` nodes, of which `inner` are inner ones and the rest leaves. */
    int node = n - 2, places = 1;
    leaf = n - 1;
    for (uint32_t depth = 0; places > 0; depth++) {
        int inner = 0;
        for (; node >= 0 && tree[node] == depth; node--)
            inner++;
        for (int i = inner; i < places; i++)
            tree[leaf--] = depth;
        places = 2 * inner;
    }
}

void huffman_lengths(int n, const uint32_t *counts, int limit, uint8_t *lengths)
{
    Leaf leaves[MAX_SYMBOLS];
    uint32_t tree[MAX_SYMBOLS], highest = 0;
    int n_leaves = 0;
    memset(lengths, 0, n);
    for (int symbol = 0; symbol < n; symbol++) {
        leaves[n_leaves] = (Leaf){counts[symbol], symbol};
        highest |= counts[symbol];
        n_leaves += counts[symbol] != 0;
    }
    if (n_leaves < 2) {
        if (n_leaves)
            lengths[leaves[0].symbol] = 1;
        return;
    }
    sort_leaves(n_leaves, leaves, highest);
    for (int i = 0; i < n_leaves; i++)
        tree[i] = leaves[i].count;
    depths(n_leaves, tree);
    int of_length[16] = {0};
    int32_t used = -(1 << limit); /* what codes take of the space of 2**limit, too much above 0 */
    for (int i = 0; i < n_leaves; i++) {
        const int length = tree[i] < (uint32_t)limit ? (int)tree[i] : limit;
        of_length[length]++;
        used += 1 << (limit - length);
    }
    /* A shorter code becomes two of one bit more, the second for a code of length `limit`. */
    for (; used > 0; used--) {
        int length = limit - 1;
        while (!of_length[length])
            length--;
        of_length[length]--;
        of_length[length + 1] += 2;
        of_length[limit]--;
    }
    for (int length = limit, i = 0; length > 0; length--)
        for (int j = of_length[length]; j > 0; j--)
            lengths[leaves[i++].symbol] = length;
}

static uint16_t reverse_bits(uint32_t code, int length)
{
    code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
    code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
    code = (code & 0x0F0F) << 4 | (code >> 4 & 0x0F0F);
    code = (code & 0x00FF) << 8 | (code >> 8 & 0x00FF);
    return code >> (16 - length);
}

void huffman_codes(int n, const uint8_t *lengths, uint16_t *codes)
{
    uint32_t of_length[16] = {0}, next[16] = {0};
    for (int symbol = 0; symbol < n; symbol++)
        of_length[lengths[symbol]]++;
    of_length[0] = 0;
    for (int length = 1; length < 16; length++)
        next[length] = (next[length - 1] + of_length[length - 1]) << 1;
    for (int symbol = 0; symbol < n; symbol++)
        codes[symbol] =
            lengths[symbol] ? reverse_bits(next[lengths[symbol]]++, lengths[symbol]) : 0;
}
