/* cast.c - conversion between all dtypes, copies and fills: kernels with the signature of kernels.h. Semantics are
 * PyTorch's on x86: float to integer cuts the fraction; what int32 (for int8 to int32) or int64 (the others) cannot
 * hold becomes the least one, whose low bits are then taken; to bool: is it non-zero (nan is); to a 16-bit float:
 * through float32. One loop per pair of dtypes, but that integers of one size share their stores.
 */
#include "cpu/half.h"
#include "cpu/kernels.h"
#include "cpu/stamp_loops.h"

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

#define W static inline __attribute__((always_inline, unused))
W int32_t to_i32(double x) { return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN; }
W int64_t to_i64(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }
W int32_t to_i32f(float x) { return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN; }
W int64_t to_i64f(float x) { return x >= -0x1p63f && x < 0x1p63f ? (int64_t)x : INT64_MIN; }

/* ---- one loop per source and destination ------------------------------------------------------------------------- */

#define SOURCE_INT(S, C)                                                                                               \
    KERNEL_UNARY(S##_to_b, mem_u8, mem_##S, C, x != 0)                                                                 \
    KERNEL_UNARY(S##_to_8, mem_u8, mem_##S, C, x)                                                                      \
    KERNEL_UNARY(S##_to_16, mem_i16, mem_##S, C, x)                                                                    \
    KERNEL_UNARY(S##_to_32, mem_i32, mem_##S, C, x)                                                                    \
    KERNEL_UNARY(S##_to_64, mem_i64, mem_##S, C, x)                                                                    \
    KERNEL_UNARY(S##_to_f16, mem_u16, mem_##S, C, float_to_half((float)x))                                             \
    KERNEL_UNARY(S##_to_bf16, mem_u16, mem_##S, C, float_to_bfloat((float)x))                                          \
    KERNEL_UNARY(S##_to_f32, mem_f32, mem_##S, C, x)                                                                   \
    KERNEL_UNARY(S##_to_f64, mem_f64, mem_##S, C, x)
SOURCE_INT(u8, uint8_t)
SOURCE_INT(i8, int8_t)
SOURCE_INT(i16, int16_t)
SOURCE_INT(i32, int32_t)
SOURCE_INT(i64, int64_t)

/* LOAD turns the stored x into F; I32, I64 convert it. */
#define SOURCE_FLOAT(S, TI, C, LOAD, I32, I64)                                                                         \
    KERNEL_UNARY(S##_to_b, mem_u8, TI, C, LOAD(x) != 0)                                                                \
    KERNEL_UNARY(S##_to_8, mem_u8, TI, C, I32(LOAD(x)))                                                                \
    KERNEL_UNARY(S##_to_16, mem_i16, TI, C, I32(LOAD(x)))                                                              \
    KERNEL_UNARY(S##_to_32, mem_i32, TI, C, I32(LOAD(x)))                                                              \
    KERNEL_UNARY(S##_to_64, mem_i64, TI, C, I64(LOAD(x)))                                                              \
    KERNEL_UNARY(S##_to_f16, mem_u16, TI, C, float_to_half((float)LOAD(x)))                                            \
    KERNEL_UNARY(S##_to_bf16, mem_u16, TI, C, float_to_bfloat((float)LOAD(x)))                                         \
    KERNEL_UNARY(S##_to_f32, mem_f32, TI, C, LOAD(x))                                                                  \
    KERNEL_UNARY(S##_to_f64, mem_f64, TI, C, LOAD(x))
#define SAME(x) (x)
SOURCE_FLOAT(f16, mem_u16, uint16_t, half_to_float, to_i32f, to_i64f)
SOURCE_FLOAT(bf16, mem_u16, uint16_t, bfloat_to_float, to_i32f, to_i64f)
SOURCE_FLOAT(f32, mem_f32, float, SAME, to_i32f, to_i64f)
SOURCE_FLOAT(f64, mem_f64, double, SAME, to_i32, to_i64)
/* To uint8 PyTorch goes by int64. Only float64 has numbers that int32 does not hold and whose low bits are not zero. */
KERNEL_UNARY(f64_to_u8, mem_u8, mem_f64, double, to_i64(x))

/* ---- copies and fills -------------------------------------------------------------------------------------------- */

#define COPY(BITS, B)                                                                                                  \
    static void copy_##BITS(KERNEL_ARGS) {                                                                             \
        if (stride[0] == B && stride[1] == B) {                                                                        \
            memmove(p[0], p[1], (size_t)n *B);                                                                         \
            return;                                                                                                    \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) memcpy(p[0] + i * stride[0], p[1] + i * stride[1], B);                       \
    }                                                                                                                  \
    static void fill_##BITS(KERNEL_ARGS) {                                                                             \
        uint##BITS##_t v;                                                                                              \
        memcpy(&v, p[1], B);                                                                                           \
        if (stride[0] == B) {                                                                                          \
            mem_u##BITS *o = (mem_u##BITS *)(void *)p[0];                                                              \
            for (ptrdiff_t i = 0; i < n; i++) o[i] = v;                                                                \
            return;                                                                                                    \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) memcpy(p[0] + i * stride[0], &v, B);                                         \
    }
COPY(8, 1)
COPY(16, 2)
COPY(32, 4)
COPY(64, 8)

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* A bool is a uint8 of 0 or 1, so as a source it is one. */
#define ROW_BY(S, U8)                                                                                                  \
    { S##_to_b, U8, S##_to_8, S##_to_16, S##_to_32, S##_to_64, S##_to_f16, S##_to_bf16, S##_to_f32, S##_to_f64 }
#define ROW(S) ROW_BY(S, S##_to_8)
static const wg_kernel casts[WG_KERNEL_DTYPES][WG_KERNEL_DTYPES] = {
    ROW(u8), ROW(u8), ROW(i8), ROW(i16), ROW(i32), ROW(i64), ROW(f16), ROW(bf16), ROW(f32), ROW_BY(f64, f64_to_u8)};

wg_kernel wg__copy_kernel(size_t itemsize) {
    return itemsize == 1 ? copy_8 : itemsize == 2 ? copy_16 : itemsize == 4 ? copy_32 : copy_64;
}

wg_kernel wg__fill_kernel(size_t itemsize) {
    return itemsize == 1 ? fill_8 : itemsize == 2 ? fill_16 : itemsize == 4 ? fill_32 : fill_64;
}

wg_kernel wg__cast_kernel(wg_dtype from, wg_dtype to) {
    static const uint8_t size[WG_KERNEL_DTYPES] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
    return from == to ? wg__copy_kernel(size[from]) : casts[from][to];
}
