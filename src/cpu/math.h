/* math.h - elementary functions of float32 and float64 as plain branch-free C, which compilers turn into vector code.
 *
 * Included by files compiled once per ISA; everything is static. wg_m_NAME_f32, wg_m_NAME_f64. Within one ISA a value
 * does not depend on where in an array it stands: files that include this are compiled with -ffp-contract=off, every
 * fused operation is spelled FMA, and a scalar tail does the same operations as a vector body. Polynomials are
 * minimax fits made for this file (relative error of each under 2^-27 of float32, 2^-57 of float64). Errors measured
 * by tests/core/test_math.c: at most 1.6 units in the last place, 2.6 for tanh and sigmoid, everywhere, denormals
 * included.
 *
 * Where a function is rare or hard (atan2, fmod; pow of float64; sin of huge arguments) libm is called.
 */
#ifndef WG_CPU_MATH_H
#define WG_CPU_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#if defined(__FMA__) || defined(__aarch64__)
#define WG_FMA32(a, b, c) __builtin_fmaf(a, b, c)
#define WG_FMA64(a, b, c) __builtin_fma(a, b, c)
#else
#define WG_FMA32(a, b, c) ((a) * (b) + (c))
#define WG_FMA64(a, b, c) ((a) * (b) + (c))
#endif
#define WG_M static inline __attribute__((always_inline, unused))

WG_M uint32_t bits32(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
WG_M float from32(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
WG_M uint64_t bits64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
WG_M double from64(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Adding and subtracting these rounds to an integer, which then stands in the low bits of the sum. */
#define ROUND32 0x1.8p23f
#define ROUND64 0x1.8p52

/* ---- float32: exponentials --------------------------------------------------------------------------------------- */

#define LOG2E_F 0x1.715476p+0f
#define LN2_HI_F 0x1.62p-1f /* 9 bits: its product with an exponent is exact */
#define LN2_LO_F 0x1.c85fe0p-10f

/* x = k ln2 + r, |r| <= ln2 / 2; returns r, and k as integer and float. */
WG_M float reduce_exp_f32(float x, int32_t *ki, float *kf) {
    float t = WG_FMA32(x, LOG2E_F, ROUND32);
    *ki = (int32_t)(bits32(t) - bits32(ROUND32));
    float k = t - ROUND32;
    *kf = k;
    float r = WG_FMA32(k, -LN2_HI_F, x);
    return WG_FMA32(k, -LN2_LO_F, r);
}
/* e^r - 1 for |r| <= ln2 / 2 */
WG_M float expm1_poly_f32(float r) {
    float q = 0x1.a032dep-13f;
    q = WG_FMA32(q, r, 0x1.6d7296p-10f);
    q = WG_FMA32(q, r, 0x1.11118ap-7f);
    q = WG_FMA32(q, r, 0x1.5554bp-5f);
    q = WG_FMA32(q, r, 0x1.555554p-3f);
    q = WG_FMA32(q, r, 0.5f);
    return WG_FMA32(r * r, q, r);
}
/* 2^k; -126 <= k <= 127 */
WG_M float pow2_f32(int32_t k) { return from32((uint32_t)(k + 127) << 23); }

/* 2^k in two factors, so that the result goes to inf, to denormals and to 0 with one rounding. The low bits of t are k:
 * those above them leave by the shift, and half of them is half of k. */
WG_M float wg_m_exp_f32(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float t = WG_FMA32(x, LOG2E_F, ROUND32), k = t - ROUND32;
    float r = WG_FMA32(k, -LN2_LO_F, WG_FMA32(k, -LN2_HI_F, x));
    uint32_t u = bits32(t), half = u >> 1;
    float a = from32((half << 23) + 0x3f800000u), b = from32(((u - half) << 23) + 0x3f800000u);
    return WG_FMA32(expm1_poly_f32(r), a, a) * b;
}

/* With e = exp(-|x|): 1 / (1 + e), or e / (1 + e) for negative x, so that nothing overflows. */
WG_M float wg_m_sigmoid_f32(float x) {
    float e = wg_m_exp_f32(-__builtin_fabsf(x));
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/* (e^2a - 1) / (e^2a + 1), a = |x|. For small a the subtraction happens inside the polynomial. */
WG_M float wg_m_tanh_f32(float x) {
    int32_t k;
    float kf, a = __builtin_fabsf(x);
    a = a > 10.0f ? 10.0f : a;
    float r = reduce_exp_f32(2 * a, &k, &kf), s = pow2_f32(k);
    float em1 = WG_FMA32(s, expm1_poly_f32(r), s - 1.0f);
    return __builtin_copysignf(em1 / (em1 + 2.0f), x);
}

/* ---- float32: logarithm, powers ---------------------------------------------------------------------------------- */

WG_M float wg_m_log_f32(float x) {
    int tiny = x < 0x1p-126f;
    uint32_t u = bits32(tiny ? x * 0x1p24f : x);
    int32_t e = (int32_t)(u - 0x3f3504f3u) >> 23; /* m in [sqrt(1/2), sqrt(2)) */
    float f = from32(u - ((uint32_t)e << 23)) - 1.0f, k = (float)(tiny ? e - 24 : e);
    float p = 0x1.145802p-4f;
    p = WG_FMA32(p, f, -0x1.de3c28p-4f);
    p = WG_FMA32(p, f, 0x1.e6f04ap-4f);
    p = WG_FMA32(p, f, -0x1.fc2202p-4f);
    p = WG_FMA32(p, f, 0x1.23376ap-3f);
    p = WG_FMA32(p, f, -0x1.555c4ep-3f);
    p = WG_FMA32(p, f, 0x1.99a4b6p-3f);
    p = WG_FMA32(p, f, -0x1.000006p-2f);
    p = WG_FMA32(p, f, 0x1.555548p-2f);
    float f2 = f * f;
    float r = WG_FMA32(f2 * f, p, k * LN2_LO_F);
    r = WG_FMA32(f2, -0.5f, r) + f;
    r = WG_FMA32(k, LN2_HI_F, r);
    r = x < INFINITY ? r : x; /* inf and nan */
    r = x < 0 ? NAN : r;
    return x == 0 ? -INFINITY : r;
}
WG_M float wg_m_sqrt_f32(float x) { return __builtin_sqrtf(x); }

/* log2 of a positive finite double that came from a float */
WG_M double log2_f32(double x) {
    uint64_t u = bits64(x);
    int64_t e = (int64_t)(u - 0x3fe6a09e667f3bcdu) >> 52;
    double m = from64(u - ((uint64_t)e << 52)), s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 0x1.f188d50d25faap-3;
    p = WG_FMA64(p, z, 0x1.0bb790012c75ap-2);
    p = WG_FMA64(p, z, 0x1.484fada560eaep-2);
    p = WG_FMA64(p, z, 0x1.a61756712ff73p-2);
    p = WG_FMA64(p, z, 0x1.2776c516ae82ap-1);
    p = WG_FMA64(p, z, 0x1.ec709dc39c9b0p-1);
    p = WG_FMA64(p, z, 0x1.71547652b82ffp+1);
    double k = from64((uint64_t)(e + 0x4338000000000000)) - ROUND64; /* (double)e */
    return WG_FMA64(s, p, k);
}
/* 2^t for |t| <= 200, about 2^-34 relative: enough for one rounding to float */
WG_M double exp2_f32(double t) {
    double n = t + ROUND64, r = t - (n - ROUND64);
    double p = 0x1.fe1765667f452p-17;
    p = WG_FMA64(p, r, 0x1.446a1fcc33feep-13);
    p = WG_FMA64(p, r, 0x1.5d8a70a6b6ca9p-10);
    p = WG_FMA64(p, r, 0x1.3b29dc410e387p-7);
    p = WG_FMA64(p, r, 0x1.c6b08aaf0cbd6p-5);
    p = WG_FMA64(p, r, 0x1.ebfbe0a4bdf0dp-3);
    p = WG_FMA64(p, r, 0x1.62e42ff11638bp-1);
    p = WG_FMA64(p, r, 1.0);
    return p * from64(((bits64(n) + 1023) & 0xfff) << 52);
}
/* All in double, so that y log2(x) keeps its bits (and so that compilers see one width). Special cases are C's; x * x
 * where y is 2. */
WG_M double pow_f32(double x, double y) {
    double ax = __builtin_fabs(x), ay = __builtin_fabs(y);
    double l = log2_f32(ax);
    l = ax < (double)INFINITY ? l : ax;
    l = ax == 0 ? -(double)INFINITY : l;
    double t = y * l;
    t = t > 200.0 ? 200.0 : t;
    t = t < -200.0 ? -200.0 : t;
    double r = exp2_f32(t);
    r = ax == 1.0 ? 1.0 : r;
    /* Floats from 2^24 up are even integers, inf included. */
    double h = ay < 0x1p24 ? ay : 0.0, whole = (h + ROUND64) - ROUND64;
    double twice = (((h * 0.5) + ROUND64) - ROUND64) * 2.0;
    uint64_t sign = bits64(x) & ((uint64_t)1 << 63);
    double flipped = from64(bits64(r) | sign);
    r = twice == h ? r : flipped; /* odd */
    double fraction = whole == h ? r : (ax < (double)INFINITY ? (double)NAN : ax == 0 ? r : __builtin_fabs(r));
    fraction = ax == 0 ? __builtin_fabs(r) : fraction;
    double unsigned_ = whole == h ? r : __builtin_fabs(r);
    r = x < 0 ? fraction : unsigned_;
    r = y == y ? r : y;
    r = y == 0 ? 1.0 : r;
    r = x == 1.0 ? 1.0 : r;
    return y == 2.0 ? x * x : r;
}
WG_M float wg_m_pow_f32(float x, float y) { return (float)pow_f32(x, y); }

/* ---- float32: sine and cosine ------------------------------------------------------------------------------------ */

#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define PIO2_1 0x1.921fb54400000p+0 /* 33 bits each: products with |k| < 2^20 are exact */
#define PIO2_2 0x1.0b4611a600000p-34
#define PIO2_3 0x1.3198a2e037073p-69
#define PIO2_23 0x1.0b4611a626331p-34

/* Beyond this the reduction runs out of bits. */
WG_M int wg_m_sin_far_f32(float x) { return __builtin_fabsf(x) > 1e6f; }
WG_M float wg_m_sin_slow_f32(float x) { return (float)sin((double)x); }
WG_M float wg_m_cos_slow_f32(float x) { return (float)cos((double)x); }

/* sin(x + quarters * pi / 2). The reduction is done in double. */
WG_M float sin_quarters_f32(float x, uint32_t quarters) {
    double xd = x, t = xd * TWO_OVER_PI + ROUND64, k = t - ROUND64;
    float y = (float)((xd - k * PIO2_1) - k * PIO2_23), z = y * y;
    uint32_t q = (uint32_t)bits64(t) + quarters;
    float s = WG_FMA32(-0x1.994e5ep-13f, z, 0x1.110760p-7f);
    s = WG_FMA32(s, z, -0x1.555546p-3f);
    s = WG_FMA32(y * z, s, y);
    float c = WG_FMA32(0x1.9a020ep-16f, z, -0x1.6c0c8ap-10f);
    c = WG_FMA32(c, z, 0x1.55554ap-5f);
    c = WG_FMA32(z * z, c, WG_FMA32(z, -0.5f, 1.0f));
    float r = (q & 1) ? c : s;
    return from32(bits32(r) ^ ((q & 2) << 30));
}
WG_M float wg_m_sin_f32(float x) {
    float r = sin_quarters_f32(x, 0);
    return x == 0 ? x : r; /* -0 */
}
WG_M float wg_m_cos_f32(float x) { return sin_quarters_f32(x, 1); }

/* ---- float64 ----------------------------------------------------------------------------------------------------- */

#define LOG2E 0x1.71547652b82fep+0
#define LN2_HI 0x1.62e42fee00000p-1 /* 32 bits */
#define LN2_LO 0x1.a39ef35793c76p-33

WG_M double reduce_exp_f64(double x, int64_t *ki) {
    double t = WG_FMA64(x, LOG2E, ROUND64), k = t - ROUND64;
    *ki = (int64_t)(bits64(t) - bits64(ROUND64));
    return WG_FMA64(k, -LN2_LO, WG_FMA64(k, -LN2_HI, x));
}
WG_M double expm1_poly_f64(double r) {
    double q = 0x1.1ee889f7feb85p-29;
    q = WG_FMA64(q, r, 0x1.af5ee7fda1152p-26);
    q = WG_FMA64(q, r, 0x1.27e5365e7050cp-22);
    q = WG_FMA64(q, r, 0x1.71ddf84231302p-19);
    q = WG_FMA64(q, r, 0x1.a01a017b969c6p-16);
    q = WG_FMA64(q, r, 0x1.a01a01afe9931p-13);
    q = WG_FMA64(q, r, 0x1.6c16c16c1f162p-10);
    q = WG_FMA64(q, r, 0x1.111111110f6aap-7);
    q = WG_FMA64(q, r, 0x1.555555555553ep-5);
    q = WG_FMA64(q, r, 0x1.5555555555559p-3);
    q = WG_FMA64(q, r, 0.5);
    return WG_FMA64(r * r, q, r);
}
WG_M double pow2_f64(int64_t k) { return from64((uint64_t)(k + 1023) << 52); }

WG_M double wg_m_exp_f64(double x) {
    int64_t k;
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double r = reduce_exp_f64(x, &k), e = 1.0 + expm1_poly_f64(r);
    /* Half of k without a 64-bit arithmetic shift, which AVX2 lacks. */
    int64_t half = (int64_t)((uint64_t)(k + 2048) >> 1) - 1024;
    return e * pow2_f64(half) * pow2_f64((int64_t)((uint64_t)k - (uint64_t)half)); /* nan: k is anything */
}
WG_M double wg_m_sigmoid_f64(double x) {
    double e = wg_m_exp_f64(-__builtin_fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
WG_M double wg_m_tanh_f64(double x) {
    int64_t k;
    double a = __builtin_fabs(x);
    a = a > 22.0 ? 22.0 : a;
    double r = reduce_exp_f64(2 * a, &k), s = pow2_f64(k);
    double em1 = WG_FMA64(s, expm1_poly_f64(r), s - 1.0);
    return __builtin_copysign(em1 / (em1 + 2.0), x);
}

/* log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f / (2 + f) */
WG_M double wg_m_log_f64(double x) {
    int tiny = x < 0x1p-1022;
    uint64_t u = bits64(tiny ? x * 0x1p54 : x);
    /* The exponent through a biased unsigned shift (AVX2), then to double by the rounding constant. */
    uint64_t biased = (u - 0x3fe6a09e667f3bcdu + ((uint64_t)2048 << 52)) >> 52; /* e + 2048 modulo 4096 */
    double k = from64(biased + 0x4338000000000000u) - (ROUND64 + 2048.0) - (tiny ? 54.0 : 0.0);
    double f = from64(u - ((biased - 2048) << 52)) - 1.0;
    double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double p = 0x1.0f623981fae7ep-3;
    p = WG_FMA64(p, z, 0x1.0f5ce08f3a7a2p-3);
    p = WG_FMA64(p, z, 0x1.3b20aa87dbe67p-3);
    p = WG_FMA64(p, z, 0x1.745cde3b8c61ap-3);
    p = WG_FMA64(p, z, 0x1.c71c7258eb27ep-3);
    p = WG_FMA64(p, z, 0x1.249249242b507p-2);
    p = WG_FMA64(p, z, 0x1.9999999999dfep-2);
    p = WG_FMA64(p, z, 0x1.5555555555555p-1);
    double r = k * LN2_HI - ((h - (s * (h + z * p) + k * LN2_LO)) - f);
    r = x < (double)INFINITY ? r : x;
    r = x < 0 ? (double)NAN : r;
    return x == 0 ? -(double)INFINITY : r;
}
WG_M double wg_m_sqrt_f64(double x) { return __builtin_sqrt(x); }
WG_M double wg_m_pow_f64(double x, double y) {
    double r = pow(x, y);
    return y == 2.0 ? x * x : r;
}

WG_M int wg_m_sin_far_f64(double x) { return __builtin_fabs(x) > 1e6; }
WG_M double wg_m_sin_slow_f64(double x) { return sin(x); }
WG_M double wg_m_cos_slow_f64(double x) { return cos(x); }

/* x - k pi / 2 = y + tail to about 100 bits, as long as k < 2^20. */
WG_M double sin_quarters_f64(double x, uint64_t quarters) {
    double t = x * TWO_OVER_PI + ROUND64, k = t - ROUND64;
    double a = x - k * PIO2_1, b = k * PIO2_2, hi = a - b;
    double low = ((a - hi) - b) - k * PIO2_3;
    double y = hi + low, tail = (hi - y) + low, z = y * y;
    uint64_t q = bits64(t) + quarters;
    double s = WG_FMA64(-0x1.aaa5474c45346p-41, z, 0x1.612092b7505bdp-33);
    s = WG_FMA64(s, z, -0x1.ae6452984a0a1p-26);
    s = WG_FMA64(s, z, 0x1.71de3a533974cp-19);
    s = WG_FMA64(s, z, -0x1.a01a01a018ae4p-13);
    s = WG_FMA64(s, z, 0x1.111111111110bp-7);
    s = WG_FMA64(s, z, -0x1.5555555555555p-3);
    s = y + WG_FMA64(y * z, s, tail - 0.5 * z * tail);
    double c = WG_FMA64(0x1.aac5a9d49ccf0p-45, z, -0x1.93933839ef8cfp-37);
    c = WG_FMA64(c, z, 0x1.1eed8ca3a25aap-29);
    c = WG_FMA64(c, z, -0x1.27e4fb75fd6ebp-22);
    c = WG_FMA64(c, z, 0x1.a01a01a018de9p-16);
    c = WG_FMA64(c, z, -0x1.6c16c16c16c10p-10);
    c = WG_FMA64(c, z, 0x1.5555555555555p-5);
    double h = 0.5 * z, w = 1.0 - h;
    c = w + (((1.0 - w) - h) + (z * z * c - y * tail));
    double r = (q & 1) ? c : s;
    return from64(bits64(r) ^ ((q & 2) << 62));
}
WG_M double wg_m_sin_f64(double x) {
    double r = sin_quarters_f64(x, 0);
    return x == 0 ? x : r;
}
WG_M double wg_m_cos_f64(double x) { return sin_quarters_f64(x, 1); }

/* ---- both widths: arithmetic ------------------------------------------------------------------------------------- */

/* Python's division: the quotient and the remainder that agree with floor(x / y), computed from fmod as PyTorch does.
 */
#define WG_MATH_BOTH(T, S, F, W, INF)                                                                                  \
    WG_M T wg_m_neg_##S(T x) { return -x; }                                                                            \
    WG_M T wg_m_abs_##S(T x) { return __builtin_fabs##F(x); }                                                          \
    WG_M T wg_m_sign_##S(T x) { return (T)((x > 0) - (x < 0)); }                                                       \
    WG_M T wg_m_relu_##S(T x) { return x < 0 ? 0 : x; }                                                                \
    WG_M T wg_m_floor_##S(T x) { return __builtin_floor##F(x); }                                                       \
    WG_M T wg_m_ceil_##S(T x) { return __builtin_ceil##F(x); }                                                         \
    WG_M T wg_m_round_##S(T x) { return __builtin_rint##F(x); }                                                        \
    WG_M T wg_m_trunc_##S(T x) { return __builtin_trunc##F(x); }                                                       \
    WG_M int wg_m_isnan_##S(T x) { return x != x; }                                                                    \
    WG_M int wg_m_isinf_##S(T x) { return __builtin_fabs##F(x) == INF; }                                               \
    WG_M int wg_m_isfinite_##S(T x) { return __builtin_fabs##F(x) < INF; }                                             \
    WG_M T wg_m_add_##S(T x, T y) { return x + y; }                                                                    \
    WG_M T wg_m_sub_##S(T x, T y) { return x - y; }                                                                    \
    WG_M T wg_m_mul_##S(T x, T y) { return x * y; }                                                                    \
    WG_M T wg_m_alpha_##S(double a) { return (T)a; }                                                                   \
    WG_M T wg_m_add_scaled_##S(T x, T y, T a) { return WG_FMA##W(a, y, x); }                                           \
    WG_M T wg_m_maximum_##S(T x, T y) { return ((x >= y) | (x != x)) ? x : y; }                                        \
    WG_M T wg_m_minimum_##S(T x, T y) { return ((x <= y) | (x != x)) ? x : y; }                                        \
    WG_M T wg_m_fmod_##S(T x, T y) { return fmod##F(x, y); }                                                           \
    WG_M T wg_m_div_trunc_##S(T x, T y) { return __builtin_trunc##F(x / y); }                                          \
    WG_M T wg_m_atan2_##S(T x, T y) { return atan2##F(x, y); }                                                         \
    WG_M T wg_m_remainder_##S(T x, T y) {                                                                              \
        T r = fmod##F(x, y);                                                                                           \
        return ((r != 0) & ((y < 0) != (r < 0))) ? r + y : r;                                                          \
    }                                                                                                                  \
    WG_M T wg_m_floor_divide_##S(T x, T y) {                                                                           \
        if (y == 0) return x / y;                                                                                      \
        T r = fmod##F(x, y), q = (x - r) / y;                                                                          \
        if ((r != 0) & ((y < 0) != (r < 0))) q -= 1;                                                                   \
        if (q == 0) return __builtin_copysign##F(0, x / y);                                                            \
        T f = __builtin_floor##F(q);                                                                                   \
        return q - f > (T)0.5 ? f + 1 : f;                                                                             \
    }

WG_MATH_BOTH(float, f32, f, 32, INFINITY)
WG_MATH_BOTH(double, f64, , 64, (double)INFINITY)

#endif
