/* Decompress LZF, the fast compressor that h5py brings: literals and copies of what came before. */
#include "native.h"

/* Copy to `at` the `length` bytes that begin `distance` before it; they may overlap, and then
 * repeat: byte i is the one `distance` before. `room` counts the bytes of the output from `at`.
 *
 * Eight bytes at a time where they come from before those being written, and fit: what is written
 * beyond `length` is written again by what comes next. */
static void copy_match(uint8_t *at, int64_t distance, int64_t length, int64_t room)
{
    const uint8_t *from = at - distance;
    if (distance >= 8 && room >= length + 8) {
        for (int64_t i = 0; i < length; i += 8)
            memcpy(at + i, from + i, 8);
        return;
    }
    for (int64_t i = 0; i < length; i++)
        at[i] = from[i];
}

/* Decompress n_in bytes to exactly n_out. Returns n_out; ERROR_LENGTH when the input ends within an
 * item or does not fill the output, ERROR_CAPACITY when it has more, ERROR_INDEX when it copies
 * from before the output.
 *
 * An item is a byte below 32, and that many literals and one; or three bits of length, 13 of
 * distance, with a byte more of length between them where the three bits are all set. Before each
 * item, in <= n_in and out <= n_out count what is read and written. */
EXPORT int64_t lzf_decompress(int64_t n_in, const uint8_t *input, int64_t n_out, uint8_t *output)
{
    int64_t in = 0, out = 0;
    while (in < n_in) {
        const int64_t control = input[in++];
        if (control < 32) {
            const int64_t length = control + 1;
            if (length > n_in - in)
                return ERROR_LENGTH;
            if (length > n_out - out)
                return ERROR_CAPACITY;
            if (n_in - in >= 32 && n_out - out >= 32)
                memcpy(output + out, input + in, 32);
            else
                memcpy(output + out, input + in, (size_t)length);
            in += length;
            out += length;
            continue;
        }
        int64_t length = (control >> 5) + 2;
        if (length == 9) {
            if (in >= n_in)
                return ERROR_LENGTH;
            length += input[in++];
        }
        if (in >= n_in)
            return ERROR_LENGTH;
        const int64_t distance = ((control & 31) << 8 | input[in++]) + 1;
        if (distance > out)
            return ERROR_INDEX;
        if (length > n_out - out)
            return ERROR_CAPACITY;
        copy_match(output + out, distance, length, n_out - out);
        out += length;
    }
    return out == n_out ? n_out : ERROR_LENGTH;
}
