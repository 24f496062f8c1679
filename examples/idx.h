/* idx.h - the IDX format, in which MNIST and its kin store pictures and labels: two zero bytes, a byte for the element
 * type (8: unsigned bytes, the only one read here), a byte for the number of dimensions, their sizes as big-endian
 * 32-bit numbers, then the elements, row-major. Reads from memory; needs nothing else, Wengert included.
 */
#ifndef EXAMPLES_IDX_H
#define EXAMPLES_IDX_H

#include <stddef.h>
#include <stdint.h>

#define IDX_MAX_DIMS 8

typedef struct idx {
    int ndim;
    int64_t sizes[IDX_MAX_DIMS];
    const unsigned char *data; /* points into the bytes that were parsed */
    size_t numel;
} idx;

/* Parses n bytes. Returns NULL, or what is wrong with them: a phrase to follow the file's name ("is cut short"). */
const char *idx_parse(const void *bytes, size_t n, idx *out);

#endif
