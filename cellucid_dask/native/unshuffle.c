/* Undo the shuffle of HDF5, which stores the first bytes of all values, then all second bytes. */
#include "native.h"

/* Value i is made of byte i of each plane; `out` may be aligned to nothing. */
#define UNSHUFFLE(VALUE, BYTES)                                                                    \
    static void unshuffle_##BYTES(int64_t n, const uint8_t *planes, uint8_t *out)                  \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            VALUE value = 0;                                                                       \
            for (int byte = 0; byte < BYTES; byte++)                                               \
                value |= (VALUE)((VALUE)planes[byte * n + i] << (8 * byte));                       \
            memcpy(out + i * BYTES, &value, BYTES);                                                \
        }                                                                                          \
    }

UNSHUFFLE(uint16_t, 2)
UNSHUFFLE(uint32_t, 4)
UNSHUFFLE(uint64_t, 8)

/* `planes` and `out` hold n_values * width bytes each, and do not overlap. Returns 0, or
 * ERROR_LENGTH when the width is none of 2, 4 and 8. */
EXPORT int64_t unshuffle(int64_t n_values, int64_t width, const uint8_t *planes, uint8_t *out)
{
    switch (width) {
    case 2:
        unshuffle_2(n_values, planes, out);
        return 0;
    case 4:
        unshuffle_4(n_values, planes, out);
        return 0;
    case 8:
        unshuffle_8(n_values, planes, out);
        return 0;
    default:
        return ERROR_LENGTH;
    }
}
