/* Tables of the CRC-32 and its arithmetic: polynomials over GF(2) modulo that of gzip.
 *
 * A polynomial is a 32-bit word with the coefficient of x**0 in its highest bit. Appending n zero
 * bytes to a message multiplies its crc by x**(8 n). */
#include "crc32.h"

#define MODULUS 0xEDB88320u
#define ONE 0x80000000u

uint32_t crc_place[CRC_BLOCK][256];
uint32_t crc_skip[CRC_LEVELS][4][256];

static uint32_t times_x(uint32_t a)
{
    return a & 1 ? a >> 1 ^ MODULUS : a >> 1;
}

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    /* `b` is the given one times x**i when bit i of `a` is looked at. */
    for (; a; a <<= 1, b = times_x(b))
        product ^= a & ONE ? b : 0;
    return product;
}

/* x**(8 unit n), and in `*sum` the sum of x**(8 unit i) for i below n. */
static uint32_t powers(uint64_t n, int unit, uint32_t *sum)
{
    uint32_t power = ONE, total = 0;
    /* `power` and `total` are those of the leading bits of n that were looked at. */
    for (int bit = n ? 63 - __builtin_clzll(n) : -1; bit >= 0; bit--) {
        total ^= multiply(total, power);
        power = multiply(power, power);
        if (n >> bit & 1) {
            total ^= power;
            power = multiply(power, ONE >> 8 * unit);
        }
    }
    *sum = total;
    return power;
}

/* Before any other function: as the library is loaded. */
__attribute__((constructor)) static void fill_tables(void)
{
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++)
            crc = times_x(crc);
        crc_place[CRC_BLOCK - 1][value] = crc;
    }
    for (int place = CRC_BLOCK - 2; place >= 0; place--)
        for (int value = 0; value < 256; value++) {
            const uint32_t crc = crc_place[place + 1][value];
            crc_place[place][value] = crc >> 8 ^ crc_place[CRC_BLOCK - 1][crc & 255];
        }
    uint64_t n_bytes = CRC_BLOCK;
    for (int level = 0; level < CRC_LEVELS; level++, n_bytes *= 8) {
        uint32_t sum;
        const uint32_t factor = powers(n_bytes, 1, &sum);
        for (int byte = 0; byte < 4; byte++)
            for (uint32_t value = 1; value < 256; value++) {
                const uint32_t rest = value & (value - 1); /* without its lowest bit */
                crc_skip[level][byte][value] =
                    rest ? crc_skip[level][byte][rest] ^ crc_skip[level][byte][value ^ rest]
                         : multiply(factor, value << 8 * byte);
            }
    }
}

CrcLength crc_length(uint64_t n_bytes, int max_unit)
{
    CrcLength length = {.n_bytes = n_bytes};
    length.ones = ~multiply(powers(n_bytes, 1, &length.repeating[0]), ~0u);
    if (max_unit == 2)
        powers(n_bytes / 2, 2, &length.repeating[1]);
    return length;
}

uint32_t crc_end(const CrcLength *length, SparseCrc sum, const Background *background)
{
    const uint64_t n_blocks = (length->n_bytes + sum.shift) / CRC_BLOCK;
    const uint64_t left = n_blocks ? n_blocks - 1 - sum.block : 0;
    uint32_t once = 0; /* crc of one unit */
    for (int byte = 0; byte < background->unit; byte++)
        once ^= crc_place[CRC_BLOCK - background->unit + byte][background->bytes[byte]];
    return crc_skip_blocks(sum.crc, left) ^ length->ones ^
           multiply(length->repeating[background->unit - 1], once);
}
