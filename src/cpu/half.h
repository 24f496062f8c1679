/* half.h - float16 and bfloat16 to float and back, round to nearest even: one element, and blocks that vectorise.
 * Included by files compiled once per ISA; everything is static.
 */
#ifndef WG_CPU_HALF_H
#define WG_CPU_HALF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __F16C__
#include <immintrin.h>
#endif

#define WG_H static inline __attribute__((always_inline, unused))

WG_H float half_from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
WG_H uint32_t half_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Exponent and mantissa moved into place are the value times 2^-112, denormals included. */
WG_H float half_to_float(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    uint32_t finite = half_bits(half_from_bits(magnitude) * 0x1p112f);
    uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000u | magnitude : finite;
    return half_from_bits(special | (uint32_t)(h & 0x8000) << 16);
}
/* Small results: adding 1/2 rounds at the place of a half's last denormal bit. Others: add half a place less one bit,
 * and the last bit kept, then cut. */
WG_H uint16_t float_to_half(float f) {
    uint32_t u = half_bits(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
    uint32_t tiny = half_bits(half_from_bits(a) + 0.5f) - 0x3f000000u;
    uint32_t normal = (a - 0x38000000u + 0xfff + ((a >> 13) & 1)) >> 13;
    uint32_t r = a < 0x38800000u ? tiny : normal;
    r = a >= 0x477ff000u ? 0x7c00 : r;
    r = a > 0x7f800000u ? 0x7e00 : r;
    return (uint16_t)(r | sign);
}
WG_H float bfloat_to_float(uint16_t h) { return half_from_bits((uint32_t)h << 16); }
WG_H uint16_t float_to_bfloat(float f) {
    uint32_t u = half_bits(f), r = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000u ? 0x7fc0 : r);
}

typedef __attribute__((aligned(1), may_alias)) uint16_t half_mem;

/* Blocks, contiguous. */
WG_H void halves_to_floats(float *restrict out, const half_mem *in, ptrdiff_t n) {
    ptrdiff_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
#endif
    for (; i < n; i++) out[i] = half_to_float(in[i]);
}
WG_H void floats_to_halves(half_mem *out, const float *restrict in, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = float_to_half(in[i]);
}
WG_H void bfloats_to_floats(float *restrict out, const half_mem *in, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = bfloat_to_float(in[i]);
}
WG_H void floats_to_bfloats(half_mem *out, const float *restrict in, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = float_to_bfloat(in[i]);
}

#endif
