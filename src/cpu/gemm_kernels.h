/* gemm_kernels.h - what isa_gemm.c gives gemm.c: the inner loops of the matrix product for one dtype and ISA. */
#ifndef WG_CPU_GEMM_KERNELS_H
#define WG_CPU_GEMM_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a product goes: c = A B, or c += A B; then bias[j] is added to column j. */
typedef struct wg_gemm_out {
    void *c;
    int64_t rs, cs; /* strides of c, in elements */
    bool add;
    const void *bias; /* NULL: none */
} wg_gemm_out;

enum {
    WG_GEMM_K = 384, /* no kernel is called with a longer k, the vector kernels apart */
    WG_GEMM_MOST_MR = 12,
    WG_GEMM_MOST_NR = 32,
};

typedef struct wg_gemm_kernels {
    int mr, nr; /* rows and columns of a register tile; a sliver holds mr rows of A or nr columns of B */
    /* m x n from slivers: a[s][p][mr], b[s][p][nr], both zero-padded; k <= WG_GEMM_K. */
    void (*block)(int64_t m, int64_t n, int64_t k, const void *a, const void *b, const wg_gemm_out *out);
    /* m x n from A of any strides and B with unit column stride; k <= WG_GEMM_K. */
    void (*direct)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ra, int64_t ca, const void *b, int64_t rb,
                   int64_t cb, const wg_gemm_out *out);
    /* One element after the other: for a handful of them. Any strides, any k. */
    void (*tiny)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ra, int64_t ca, const void *b, int64_t rb,
                 int64_t cb, const wg_gemm_out *out);
    /* Sliver: to[p * width + i] = from[i * si + p * sp] for i < n; zero for n <= i < width. */
    void (*pack)(int width, int64_t n, int64_t k, const void *from, int64_t si, int64_t sp, void *to);
    /* y[i] = sum over p of a[i * ra + p] x[p]. */
    void (*dots)(int64_t m, int64_t k, const void *a, int64_t ra, const void *x, void *y);
    /* y[i] (+)= sum over p of a[p * ca + i] x[p]. */
    void (*axpys)(int64_t m, int64_t k, const void *a, int64_t ca, const void *x, void *y, bool add);
} wg_gemm_kernels;

typedef struct wg_gemm_table {
    wg_gemm_kernels f32, f64;
    void (*to_float[2])(float *to, const void *from, int64_t n); /* float16, bfloat16 */
    void (*from_float[2])(void *to, const float *from, int64_t n);
} wg_gemm_table;

#endif
