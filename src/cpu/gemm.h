/* gemm.h - the matrix product of raw memory: C = A B (+ C) (+ bias). */
#ifndef WG_CPU_GEMM_H
#define WG_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "wengert/core.h"

/* C (m x n) = A (m x k) B (k x n), or C += A B when accumulate; then bias (n elements, or NULL) is added to each row.
 * All of one dtype: floating (16-bit floats are summed in float32 and rounded once) or integral (wraps around). Strides
 * count elements and may be anything, also 0 or negative for A and B; the elements of C must be distinct and apart from
 * A and B. Pointers must be aligned to their element. m, n, k may be 0; with k = 0, C is zero (or kept) plus bias.
 *
 * The same bits for any number of threads, a given ISA and a given BLAS. WG_ERR_MEMORY, WG_ERR_INTERRUPTED,
 * WG_ERR_NOT_IMPLEMENTED (bool); nothing is raised. After a failure C holds anything. */
wg_status wg__gemm(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa,
                   const void *b, int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate,
                   const void *bias);

/* batch products of one shape; sa, sb, sc lead from one matrix to the next (sa, sb may be 0). */
wg_status wg__gemm_batch(wg_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t sa,
                         int64_t rsa, int64_t csa, const void *b, int64_t sb, int64_t rsb, int64_t csb, void *c,
                         int64_t sc, int64_t rsc, int64_t csc, bool accumulate);

/* The same for integers; m, n and k are positive. */
wg_status wg__gemm_int(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa,
                       const void *b, int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate,
                       const void *bias);

/* For tests and benchmarks: uses the kernels of another ISA (NULL: the machine's) and none or any BLAS. False when the
 * machine lacks it. */
bool wg__gemm_use(const char *isa, bool blas);

#endif
