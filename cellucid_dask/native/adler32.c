/* The checksum of zlib streams: the sum of the bytes, and the sum of all these sums. */
#include "adler32.h"

enum {
    MODULUS = 65521,
    COLUMNS = 32,
    ROWS = 21 /* the most whose sums of sums stay below 2**16 */
};

/* Bytes are summed in columns, which a compiler does with vectors. A byte adds to the sum of sums
 * once for each byte from it on: for the rows after its own COLUMNS times, and for its own row as
 * its column says. */
uint32_t adler32(const uint8_t *bytes, uint64_t n_bytes)
{
    uint32_t sum = 1, sums = 0;
    for (; n_bytes >= ROWS * COLUMNS; n_bytes -= ROWS * COLUMNS) {
        uint16_t column_sum[COLUMNS] = {0}, column_sums[COLUMNS] = {0};
        for (int row = 0; row < ROWS; row++, bytes += COLUMNS)
            for (int column = 0; column < COLUMNS; column++) {
                column_sums[column] += column_sum[column];
                column_sum[column] += bytes[column];
            }
        sums += ROWS * COLUMNS * sum;
        for (int column = 0; column < COLUMNS; column++) {
            sum += column_sum[column];
            sums += COLUMNS * (uint32_t)column_sums[column] +
                    (COLUMNS - column) * (uint32_t)column_sum[column];
        }
        sum %= MODULUS;
        sums %= MODULUS;
    }
    for (; n_bytes; n_bytes--) {
        sum += *bytes++;
        sums += sum;
    }
    return sums % MODULUS << 16 | sum % MODULUS;
}
