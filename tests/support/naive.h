/* naive.h - what tests against naive loops share: numbers that repeat, elements of raw memory of any dtype, tensors
 * over awkward strides, the count of what is still alive.
 */
#ifndef WG_TESTS_NAIVE_H
#define WG_TESTS_NAIVE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/half.h"
#include "wengert/wengert.h"

#define NAIVE static inline __attribute__((unused))

/* ---- numbers
 * --------------------------------------------------------------------------------------------------------- */

static uint64_t naive_seed = 1;

NAIVE uint64_t naive_bits(void) {
    uint64_t z = naive_seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
NAIVE int64_t naive_below(int64_t n) { return (int64_t)(naive_bits() % (uint64_t)n); }
NAIVE int64_t naive_between(int64_t least, int64_t most) { return least + naive_below(most - least + 1); }
NAIVE double naive_uniform(double lo, double hi) { return lo + (hi - lo) * (double)(naive_bits() >> 11) * 0x1p-53; }

/* ---- elements
 * -------------------------------------------------------------------------------------------------------- */

NAIVE bool naive_is_half(wg_dtype d) { return d == WG_FLOAT16 || d == WG_BFLOAT16; }
/* Half the distance from 1 to the next number: what one rounding costs at most. */
NAIVE double naive_unit(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-11 : d == WG_BFLOAT16 ? 0x1p-8 : d == WG_FLOAT32 ? 0x1p-24 : 0x1p-53;
}
/* A quarter of the least denormal and up: rounding near zero. */
NAIVE double naive_least(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-24 : d == WG_BFLOAT16 ? 0x1p-133 : d == WG_FLOAT32 ? 0x1p-149 : 0x1p-1074;
}

NAIVE int64_t naive_get_i(wg_dtype d, const void *p, int64_t i) {
    switch (d) {
    case WG_BOOL:
    case WG_UINT8: return ((const uint8_t *)p)[i];
    case WG_INT8: return ((const int8_t *)p)[i];
    case WG_INT16: return ((const int16_t *)p)[i];
    case WG_INT32: return ((const int32_t *)p)[i];
    case WG_INT64: return ((const int64_t *)p)[i];
    default: abort();
    }
}
NAIVE double naive_get(wg_dtype d, const void *p, int64_t i) {
    switch (d) {
    case WG_FLOAT16: return half_to_float(((const uint16_t *)p)[i]);
    case WG_BFLOAT16: return bfloat_to_float(((const uint16_t *)p)[i]);
    case WG_FLOAT32: return ((const float *)p)[i];
    case WG_FLOAT64: return ((const double *)p)[i];
    default: return (double)naive_get_i(d, p, i);
    }
}
/* Narrow integers keep the low bits. */
NAIVE void naive_set_i(wg_dtype d, void *p, int64_t i, int64_t v) {
    switch (d) {
    case WG_BOOL: ((uint8_t *)p)[i] = v != 0; break;
    case WG_UINT8: ((uint8_t *)p)[i] = (uint8_t)v; break;
    case WG_INT8: ((int8_t *)p)[i] = (int8_t)v; break;
    case WG_INT16: ((int16_t *)p)[i] = (int16_t)v; break;
    case WG_INT32: ((int32_t *)p)[i] = (int32_t)v; break;
    case WG_INT64: ((int64_t *)p)[i] = v; break;
    default: abort();
    }
}
/* 16-bit floats are rounded through float: exact for what fits one. */
NAIVE void naive_set(wg_dtype d, void *p, int64_t i, double v) {
    switch (d) {
    case WG_FLOAT16: ((uint16_t *)p)[i] = float_to_half((float)v); break;
    case WG_BFLOAT16: ((uint16_t *)p)[i] = float_to_bfloat((float)v); break;
    case WG_FLOAT32: ((float *)p)[i] = (float)v; break;
    case WG_FLOAT64: ((double *)p)[i] = v; break;
    default: naive_set_i(d, p, i, (int64_t)v);
    }
}
/* v as the dtype holds it. */
NAIVE double naive_round(wg_dtype d, double v) {
    uint64_t room = 0;
    naive_set(d, &room, 0, v);
    return naive_get(d, &room, 0);
}
/* Equal, two nans included; the sign of zero counts. */
NAIVE bool naive_same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && (a != 0 || !signbit(a) == !signbit(b)));
}

/* ---- tensors
 * --------------------------------------------------------------------------------------------------------- */

/* Where numbers of a test come from: whole ones in [lo, hi], or real ones. */
typedef struct naive_range {
    double lo, hi;
    bool real;
} naive_range;
NAIVE double naive_draw(naive_range r) {
    return r.real ? naive_uniform(r.lo, r.hi) : (double)naive_between((int64_t)r.lo, (int64_t)r.hi);
}

/* A tensor of that shape over memory of its own with random strides: dims in any order, gaps, an offset; with zeros, a
 * dim may have stride 0. */
NAIVE wg_tensor *naive_strided(wg_dtype d, int ndim, const int64_t *sizes, bool zeros, naive_range range) {
    int64_t strides[WG_MAX_DIMS] = {0}, at = 1, offset = naive_below(3);
    int order[WG_MAX_DIMS];
    for (int i = 0; i < ndim; i++) order[i] = i;
    for (int i = ndim - 1; i > 0; i--) {
        int j = (int)naive_below(i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    if (naive_below(3) == 0)
        for (int i = 0; i < ndim; i++) order[i] = ndim - 1 - i; /* row-major */
    for (int i = 0; i < ndim; i++) {
        if (zeros && naive_below(5) == 0) continue;
        at *= naive_below(3) == 0 ? 2 : 1;
        strides[order[i]] = at;
        at *= sizes[order[i]] > 0 ? sizes[order[i]] : 1;
        at += naive_below(4) == 0;
    }
    wg_tensor *room = wg_zeros(1, &(int64_t){at + offset}, WG_DTYPE(d));
    for (int64_t i = 0; i < at + offset; i++) naive_set(d, wg_data(room), i, naive_draw(range));
    return wg_as_strided(room, ndim, sizes, strides, offset);
}

/* Copies, row-major; for free. */
NAIVE double *naive_doubles(const wg_tensor *t) {
    size_t bytes = (size_t)wg_numel(t) * sizeof(double);
    double *v = malloc(bytes + 1);
    if (wg_copy_out(t, WG_FLOAT64, v, bytes) != WG_OK) abort();
    return v;
}
NAIVE int64_t *naive_ints(const wg_tensor *t) {
    size_t bytes = (size_t)wg_numel(t) * sizeof(int64_t);
    int64_t *v = malloc(bytes + 1);
    if (wg_copy_out(t, WG_INT64, v, bytes) != WG_OK) abort();
    return v;
}
/* The elements themselves, row-major; for free. */
NAIVE void *naive_elements(const wg_tensor *t) {
    size_t bytes = (size_t)wg_numel(t) * wg_dtype_size(wg_dtype_of(t));
    void *v = malloc(bytes + 1);
    if (wg_copy_out(t, wg_dtype_of(t), v, bytes) != WG_OK) abort();
    return v;
}

/* Teardown: 0 when nothing is alive. */
NAIVE int naive_live(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors != 0 || m.live_nodes != 0;
}

#endif
