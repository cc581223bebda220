/* Codes of values, in the float32 arithmetic of the reference. */
#ifndef CELLUCID_QUANTIZE_H
#define CELLUCID_QUANTIZE_H

#include "native.h"

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline int is_finite(float value)
{
    return (float_bits(value) & 0x7f800000u) != 0x7f800000u;
}

/* The code of a value: (value - lowest) * scale, cut to [0, missing - 1]; `missing` is that of NaN
 * and infinity. `lowest` is finite, `scale` may be infinite. */
static inline uint32_t quantize(float value, float lowest, float scale, uint32_t missing)
{
    const float top = (float)(missing - 1);
    float scaled = (value - lowest) * scale;
    scaled = scaled > 0.0f ? scaled : 0.0f; /* and NaN, of 0 times an infinite scale */
    scaled = scaled < top ? scaled : top;
    const uint32_t code = (uint32_t)(int32_t)scaled;
    return is_finite(value) ? code : missing;
}

#endif
