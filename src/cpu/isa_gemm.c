/* isa_gemm.c - the inner loops of the matrix product, compiled once per instruction set with WG_ISA named. Everything
 * is static but one table, wg__gemm_table_ISA. What calls them, and on which blocks, is in gemm.c.
 */
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("O3,fp-contract=fast")
#endif

#include <string.h>

#include "cpu/gemm_kernels.h"
#include "cpu/half.h"

#define WG_PASTE_(a, b) a##_##b
#define WG_PASTE(a, b) WG_PASTE_(a, b)
#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* Registers of the tile: MR x NV sums, NV of B, one of A. */
#define NV 2
#define SIX(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define TWELVE(X) SIX(X) X(7) X(8) X(9) X(10) X(11) X(12)
#if defined(__AVX512F__)
#define BYTES 64
#define MR 12
#define FOR_EACH_ROW TWELVE
#elif defined(__AVX2__)
#define BYTES 32
#define MR 6
#define FOR_EACH_ROW SIX
#elif defined(__aarch64__)
#define BYTES 16
#define MR 12
#define FOR_EACH_ROW TWELVE
#else
#define BYTES 16
#define MR 6
#define FOR_EACH_ROW SIX
#endif
_Static_assert(MR <= WG_GEMM_MOST_MR && NV * BYTES / 4 <= WG_GEMM_MOST_NR, "scratch in gemm.c is large enough");

/* ---- 4 x 4 and 2 x 2 blocks -------------------------------------------------------------------------------------- */

typedef float quad __attribute__((vector_size(16)));
typedef double pair __attribute__((vector_size(16)));
typedef float quad_mem __attribute__((vector_size(16), aligned(4), may_alias));
typedef double pair_mem __attribute__((vector_size(16), aligned(8), may_alias));

INLINE void transpose_f32(const float *from, int64_t step, float *to, int64_t to_step) {
    quad a = *(const quad_mem *)from, b = *(const quad_mem *)(from + step);
    quad c = *(const quad_mem *)(from + 2 * step), d = *(const quad_mem *)(from + 3 * step);
    quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad_mem *)to = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    *(quad_mem *)(to + to_step) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    *(quad_mem *)(to + 2 * to_step) = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    *(quad_mem *)(to + 3 * to_step) = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

INLINE void transpose_f64(const double *from, int64_t step, double *to, int64_t to_step) {
    pair a = *(const pair_mem *)from, b = *(const pair_mem *)(from + step);
    *(pair_mem *)to = __builtin_shufflevector(a, b, 0, 2);
    *(pair_mem *)(to + to_step) = __builtin_shufflevector(a, b, 1, 3);
}

/* ---- dtypes ------------------------------------------------------------------------------------------------------ */

#define T float
#define SFX f32
#define VL (BYTES / 4)
#include "cpu/gemm_stamp.h"

#define T double
#define SFX f64
#define VL (BYTES / 8)
#include "cpu/gemm_stamp.h"

static void from_f16(float *to, const void *from, int64_t n) { halves_to_floats(to, from, n); }
static void from_bf16(float *to, const void *from, int64_t n) { bfloats_to_floats(to, from, n); }
static void to_f16(void *to, const float *from, int64_t n) { floats_to_halves(to, from, n); }
static void to_bf16(void *to, const float *from, int64_t n) { floats_to_bfloats(to, from, n); }

#define KERNELS(sfx, width)                                                                                            \
    {                                                                                                                  \
        .mr = MR, .nr = NV * BYTES / width, .block = block_##sfx, .direct = direct_##sfx, .tiny = tiny_##sfx,          \
        .pack = pack_##sfx, .dots = dots_##sfx, .axpys = axpys_##sfx,                                                  \
    }

extern const wg_gemm_table WG_PASTE(wg__gemm_table, WG_ISA);
const wg_gemm_table WG_PASTE(wg__gemm_table, WG_ISA) = {
    .f32 = KERNELS(f32, 4),
    .f64 = KERNELS(f64, 8),
    .to_float = {from_f16, from_bf16},
    .from_float = {to_f16, to_bf16},
};
