/* The checksum of zlib streams. */
#ifndef CELLUCID_ADLER32_H
#define CELLUCID_ADLER32_H

#include "native.h"

uint32_t adler32(const uint8_t *bytes, uint64_t n_bytes);

#endif
