/* idx.c - checks an IDX header against the bytes that are there. */
#include "idx.h"

#include <stdbool.h>

enum { UNSIGNED_BYTES = 8, MAGIC_BYTES = 4, SIZE_BYTES = 4 };

static int64_t big_endian(const unsigned char *p) {
    return (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3]);
}

/* Reads the sizes; false when there are more elements than memory could hold. */
static bool read_sizes(const unsigned char *p, idx *x) {
    x->numel = 1;
    for (int i = 0; i < x->ndim; i++) {
        x->sizes[i] = big_endian(p + SIZE_BYTES * i);
        if (x->sizes[i] == 0) x->numel = 0;
    }
    if (x->numel == 0) return true; /* however large the other sizes are */
    for (int i = 0; i < x->ndim; i++) {
        if ((uint64_t)x->sizes[i] > PTRDIFF_MAX / x->numel) return false;
        x->numel *= (size_t)x->sizes[i];
    }
    return true;
}

const char *idx_parse(const void *bytes, size_t n, idx *out) {
    const unsigned char *p = bytes;
    *out = (idx){0};
    if (n < MAGIC_BYTES) return "is cut short: it ends inside its header";
    if (p[0] != 0 || p[1] != 0) return "is no IDX file";
    if (p[2] != UNSIGNED_BYTES) return "is an IDX file, but not of unsigned bytes";
    if (p[3] == 0 || p[3] > IDX_MAX_DIMS) return "is an IDX file with no dimension, or too many";
    idx x = {.ndim = p[3]};
    size_t header = MAGIC_BYTES + SIZE_BYTES * (size_t)x.ndim;
    if (n < header) return "is cut short: it ends inside its header";
    if (!read_sizes(p + MAGIC_BYTES, &x)) return "has a header with impossible sizes";
    if (n - header < x.numel) return "is cut short: it holds less than its header says";
    if (n - header > x.numel) return "is longer than its header says";
    x.data = p + header;
    *out = x;
    return NULL;
}
