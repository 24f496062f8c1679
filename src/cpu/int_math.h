/* int_math.h - the functions of elementwise.def on integers and bool: defined for every argument. Arithmetic wraps
 * around, x / 0 is 0 (the waist has raised before), and the least integer divided by -1 is itself.
 */
#ifndef WG_CPU_INT_MATH_H
#define WG_CPU_INT_MATH_H

#include <stdint.h>

#define WG_M static inline __attribute__((always_inline, unused))

/* x < 0, without a compiler's warning that an unsigned x never is. */
#define NEG(S, x) negative_##S(x)
WG_M int negative_u8(uint8_t x) { return (void)x, 0; }
WG_M int negative_i8(int8_t x) { return x < 0; }
WG_M int negative_i16(int16_t x) { return x < 0; }
WG_M int negative_i32(int32_t x) { return x < 0; }
WG_M int negative_i64(int64_t x) { return x < 0; }

/* Every integer type. U: the unsigned type of the same width, at least 32 bits wide, in which arithmetic wraps. */
#define WG_INT_MATH(T, S, U)                                                                                           \
    WG_M T wg_m_neg_##S(T x) { return (T)(0 - (U)x); }                                                                 \
    WG_M T wg_m_abs_##S(T x) { return NEG(S, x) ? wg_m_neg_##S(x) : x; }                                               \
    WG_M T wg_m_sign_##S(T x) { return (T)((x > 0) - NEG(S, x)); }                                                     \
    WG_M T wg_m_relu_##S(T x) { return NEG(S, x) ? 0 : x; }                                                            \
    WG_M T wg_m_floor_##S(T x) { return x; }                                                                           \
    WG_M T wg_m_ceil_##S(T x) { return x; }                                                                            \
    WG_M T wg_m_round_##S(T x) { return x; }                                                                           \
    WG_M T wg_m_trunc_##S(T x) { return x; }                                                                           \
    WG_M int wg_m_isnan_##S(T x) { return (void)x, 0; }                                                                \
    WG_M int wg_m_isinf_##S(T x) { return (void)x, 0; }                                                                \
    WG_M int wg_m_isfinite_##S(T x) { return (void)x, 1; }                                                             \
    WG_M T wg_m_bitwise_not_##S(T x) { return (T)~x; }                                                                 \
    WG_M T wg_m_add_##S(T x, T y) { return (T)((U)x + (U)y); }                                                         \
    WG_M T wg_m_sub_##S(T x, T y) { return (T)((U)x - (U)y); }                                                         \
    WG_M T wg_m_mul_##S(T x, T y) { return (T)((U)x * (U)y); }                                                         \
    WG_M T wg_m_alpha_##S(double a) { return (T)(int64_t)a; }                                                          \
    WG_M T wg_m_add_scaled_##S(T x, T y, T a) { return (T)((U)x + (U)a * (U)y); }                                      \
    WG_M T wg_m_maximum_##S(T x, T y) { return x >= y ? x : y; }                                                       \
    WG_M T wg_m_minimum_##S(T x, T y) { return x <= y ? x : y; }                                                       \
    WG_M T wg_m_fmod_##S(T x, T y) {                                                                                   \
        const int simple = (y == 0) | (NEG(S, (T)-1) & (y == (T)-1));                                                  \
        return simple ? 0 : (T)(x % (simple ? 1 : y));                                                                 \
    }                                                                                                                  \
    WG_M T wg_m_left_shift_##S(T x, T y) {                                                                             \
        return (NEG(S, y) | (y >= (T)(8 * sizeof(T)))) ? 0 : (T)((U)x << (y & (T)(8 * sizeof(T) - 1)));                \
    }                                                                                                                  \
    WG_M T wg_m_right_shift_##S(T x, T y) {                                                                            \
        const int bits = (int)(8 * sizeof(T));                                                                         \
        const int far = NEG(S, y) | (y >= (T)bits);                                                                    \
        if (NEG(S, (T)-1)) return (T)(x >> (far ? bits - 1 : (int)y));                                                 \
        return far ? 0 : (T)(x >> (int)y);                                                                             \
    }                                                                                                                  \
    WG_M T wg_m_div_trunc_##S(T x, T y) {                                                                              \
        const int minus = NEG(S, (T)-1) & (y == (T)-1), simple = (y == 0) | minus;                                     \
        return minus ? wg_m_neg_##S(x) : simple ? 0 : (T)(x / (simple ? 1 : y));                                       \
    }                                                                                                                  \
    WG_M T wg_m_floor_divide_##S(T x, T y) {                                                                           \
        if (y == 0) return 0;                                                                                          \
        if (NEG(S, (T)-1) && y == (T)-1) return wg_m_neg_##S(x);                                                       \
        return (T)(x / y - (((x % y) != 0) & (NEG(S, x) != NEG(S, y))));                                               \
    }                                                                                                                  \
    WG_M T wg_m_remainder_##S(T x, T y) {                                                                              \
        if (y == 0) return 0;                                                                                          \
        if (NEG(S, (T)-1) && y == (T)-1) return 0;                                                                     \
        T r = (T)(x % y);                                                                                              \
        return ((r != 0) & (NEG(S, r) != NEG(S, y))) ? (T)(r + y) : r;                                                 \
    }                                                                                                                  \
    /* A negative exponent gives the integer part of the fraction. */                                                  \
    WG_M T wg_m_pow_##S(T x, T y) {                                                                                    \
        if (NEG(S, y)) return x == 1 ? 1 : x == (T)-1 ? ((y & 1) ? (T)-1 : 1) : 0;                                     \
        U r = 1, b = (U)x;                                                                                             \
        for (U e = (U)y; e; e >>= 1, b *= b) r *= (e & 1) ? b : 1;                                                     \
        return (T)r;                                                                                                   \
    }

WG_INT_MATH(uint8_t, u8, uint32_t)
WG_INT_MATH(int8_t, i8, uint32_t)
WG_INT_MATH(int16_t, i16, uint32_t)
WG_INT_MATH(int32_t, i32, uint32_t)
WG_INT_MATH(int64_t, i64, uint64_t)

/* bool is an unsigned char that holds 0 or 1. */
WG_M uint8_t wg_m_sign_b(uint8_t x) { return x; }
WG_M int wg_m_isnan_b(uint8_t x) { return (void)x, 0; }
WG_M int wg_m_isinf_b(uint8_t x) { return (void)x, 0; }
WG_M int wg_m_isfinite_b(uint8_t x) { return (void)x, 1; }
WG_M uint8_t wg_m_bitwise_not_b(uint8_t x) { return x ^ 1; }
WG_M uint8_t wg_m_add_b(uint8_t x, uint8_t y) { return x | y; }
WG_M uint8_t wg_m_mul_b(uint8_t x, uint8_t y) { return x & y; }
WG_M uint8_t wg_m_add_scaled_b(uint8_t x, uint8_t y, uint8_t a) { return x | (y & a); }
WG_M uint8_t wg_m_alpha_b(double a) { return a != 0; }
WG_M uint8_t wg_m_maximum_b(uint8_t x, uint8_t y) { return x | y; }
WG_M uint8_t wg_m_minimum_b(uint8_t x, uint8_t y) { return x & y; }

#endif
