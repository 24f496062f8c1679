/* random_kernels.c - the vector loops under the generator: refilling and tempering the Mersenne Twister, words to
 * uniforms, uniforms to normals. Every loop is written once, over plain floats, and compiled twice on x86-64: for the
 * baseline and for AVX2 with FMA. Both give the same bits, because each rounding is written out: fma means one
 * rounding (the baseline calls the C library's, slow and exact), and the file is compiled with -ffp-contract=off.
 * Which words go where is not here: see random_fill.c.
 */
#include <math.h>

#include "core/rng.h"

#define BODY static inline __attribute__((always_inline)) void

/* ---- the Mersenne Twister ---------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) uint32_t twist(uint32_t far, uint32_t a, uint32_t b) {
    uint32_t mixed = (a & 0x80000000u) | (b & 0x7fffffffu);
    return far ^ (mixed >> 1) ^ (-(b & 1u) & 0x9908b0dfu);
}

BODY refill_body(uint32_t *s) {
    for (int i = 0; i < WG_MT_N - WG_MT_M; i++) s[i] = twist(s[i + WG_MT_M], s[i], s[i + 1]);
    for (int i = WG_MT_N - WG_MT_M; i < WG_MT_N - 1; i++) s[i] = twist(s[i + WG_MT_M - WG_MT_N], s[i], s[i + 1]);
    s[WG_MT_N - 1] = twist(s[WG_MT_M - 1], s[WG_MT_N - 1], s[0]);
}

BODY temper_body(const uint32_t *restrict s, uint32_t *restrict out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t y = s[i];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        out[i] = y ^ (y >> 18);
    }
}

/* ---- uniforms ---------------------------------------------------------------------------------------------------- */

BODY uniform_float_body(const uint32_t *restrict w, float *restrict out, size_t n, float from, float to) {
    float range = to - from;
    for (size_t i = 0; i < n; i++) {
        float v = fmaf((float)(int32_t)(w[i] & 0xffffffu) * 0x1p-24f, range, from);
        out[i] = v == to ? from : v;
    }
}

/* An integer below 2^53 as a double, from its two halves: both conversions and their sum are exact. */
static inline __attribute__((always_inline)) double join53(uint32_t high, uint32_t low) {
    double h = (double)(int32_t)(high & 0x1fffffu) * 0x1p32;
    double l = (double)(int32_t)(low ^ 0x80000000u) + 0x1p31;
    return h + l;
}

BODY uniform_double_body(const uint32_t *restrict w, double *restrict out, size_t n, double from, double to) {
    double range = to - from;
    for (size_t i = 0; i < n; i++) {
        double v = fma(join53(w[2 * i], w[2 * i + 1]) * 0x1p-53, range, from);
        out[i] = v == to ? from : v;
    }
}

/* ---- float32 normals --------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) float from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline __attribute__((always_inline)) uint32_t to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Logarithm of a normal positive float: the cephes polynomial, with these exact roundings. */
static inline __attribute__((always_inline)) float poly_log(float x) {
    uint32_t bits = to_bits(x);
    float e = (float)((int32_t)(bits >> 23) - 126);
    float m = from_bits((bits & 0x007fffffu) | 0x3f000000u); /* in [0.5, 1) */
    bool low = m < 0.707106781186547524f;
    e = low ? e - 1.0f : e;
    m = (m - 1.0f) + (low ? m : 0.0f);
    float z = m * m;
    float y = 7.0376836292e-2f;
    y = fmaf(y, m, -1.1514610310e-1f);
    y = fmaf(y, m, 1.1676998740e-1f);
    y = fmaf(y, m, -1.2420140846e-1f);
    y = fmaf(y, m, 1.4249322787e-1f);
    y = fmaf(y, m, -1.6668057665e-1f);
    y = fmaf(y, m, 2.0000714765e-1f);
    y = fmaf(y, m, -2.4999993993e-1f);
    y = fmaf(y, m, 3.3333331174e-1f);
    y = y * m;
    y = fmaf(y, z, e * -2.12194440e-4f);
    y = fmaf(-0.5f, z, y);
    return fmaf(e, 0.693359375f, m + y);
}

/* Sine and cosine of t >= 0, the same way. */
static inline __attribute__((always_inline)) void poly_sincos(float t, float *sine, float *cosine) {
    int32_t j = ((int32_t)(t * 1.27323954473516f) + 1) & ~1;
    float f = (float)j;
    float x = fmaf(f, -0.78515625f, t);
    x = fmaf(f, -2.4187564849853515625e-4f, x);
    x = fmaf(f, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f);
    c = fmaf(c, z, 4.166664568298827e-2f) * z;
    c = fmaf(c, z, -(z * 0.5f)) + 1.0f;
    float s = fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f);
    s = fmaf(s, z, -1.6666654611e-1f) * z;
    s = fmaf(s, x, x);
    uint32_t swap = -(((uint32_t)j >> 1) & 1u); /* all ones when the octant swaps them */
    uint32_t cb = to_bits(c), sb = to_bits(s);
    uint32_t sin_sign = ((uint32_t)j & 4u) << 29, cos_sign = (~((uint32_t)j - 2u) & 4u) << 29;
    *sine = from_bits(((cb & swap) | (sb & ~swap)) ^ sin_sign);
    *cosine = from_bits(((sb & swap) | (cb & ~swap)) ^ cos_sign);
}

/* Box-Muller over 8 lanes: the first half of a block gives radii, the second half angles. */
BODY normal_float_body(float *restrict x, size_t blocks, float mean, float std) {
    for (; blocks; blocks--, x += 16) {
        float first[8], second[8];
        for (int j = 0; j < 8; j++) {
            float radius = sqrtf(-2.0f * poly_log(1.0f - x[j])), sine, cosine;
            poly_sincos(6.2831855f * x[j + 8], &sine, &cosine);
            first[j] = fmaf(radius * cosine, std, mean);
            second[j] = fmaf(radius * sine, std, mean);
        }
        memcpy(x, first, sizeof first);
        memcpy(x + 8, second, sizeof second);
    }
}

/* ---- stamps ------------------------------------------------------------------------------------------------------ */

#define STAMP(isa, target)                                                                                             \
    target static void refill_##isa(uint32_t *s) { refill_body(s); }                                                   \
    target static void temper_##isa(const uint32_t *s, uint32_t *out, size_t n) { temper_body(s, out, n); }            \
    target static void uniform_float_##isa(const uint32_t *w, float *out, size_t n, float a, float b) {                \
        uniform_float_body(w, out, n, a, b);                                                                           \
    }                                                                                                                  \
    target static void uniform_double_##isa(const uint32_t *w, double *out, size_t n, double a, double b) {            \
        uniform_double_body(w, out, n, a, b);                                                                          \
    }                                                                                                                  \
    target static void normal_float_##isa(float *x, size_t blocks, float mean, float std) {                            \
        normal_float_body(x, blocks, mean, std);                                                                       \
    }                                                                                                                  \
    static const struct wg__rng_kernels kernels_##isa = {refill_##isa, temper_##isa, uniform_float_##isa,              \
                                                         uniform_double_##isa, normal_float_##isa};

STAMP(plain, )

#ifdef __x86_64__
STAMP(avx2, __attribute__((target("avx2,fma"))))

const struct wg__rng_kernels *wg__rng_kernels_for(bool vector) {
    if (!vector) return &kernels_plain;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels_avx2 : NULL;
}
#else
const struct wg__rng_kernels *wg__rng_kernels_for(bool vector) { return vector ? NULL : &kernels_plain; }
#endif

const struct wg__rng_kernels *wg__rng_kernels(void) {
    static const struct wg__rng_kernels *_Atomic chosen;
    const struct wg__rng_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (WG_LIKELY(k)) return k;
    k = wg__rng_kernels_for(true);
    if (!k) k = wg__rng_kernels_for(false);
    atomic_store_explicit(&chosen, k, memory_order_relaxed);
    return k;
}
