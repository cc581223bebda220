/* The header of a dynamic deflate block: the lengths of its codes. */
#include "block_header.h"
#include "huffman.h"

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

void make_header(const uint8_t *code_lengths, const uint8_t *distance_lengths, int n_distances,
                 CodeHeader *header)
{
    uint8_t lengths[N_SYMBOLS + N_DISTANCES];
    uint32_t counts[19] = {0};
    int n = N_SYMBOLS;
    while (!code_lengths[n - 1])
        n--;
    header->n_symbols = n;
    header->n_distances = n_distances;
    memcpy(lengths, code_lengths, n);
    memcpy(lengths + n, distance_lengths, n_distances);
    n += n_distances;
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

BitWriter put_codes(const CodeHeader *header, int is_last, BitWriter out)
{
    put(&out, is_last | 2 << 1, 3);
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
