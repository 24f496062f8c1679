/* gemm.h - products of matrices with any strides. */
#ifndef WG_CPU_GEMM_H
#define WG_CPU_GEMM_H

#include "core/tensor.h"

/* c = a b (+ c when accumulate) (+ bias, n numbers added to each row); strides in elements. */
wg_status wg__gemm(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b,
                   int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate, const void *bias);
wg_status wg__gemm_batch(wg_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t bsa, int64_t rsa,
                         int64_t csa, const void *b, int64_t bsb, int64_t rsb, int64_t csb, void *c, int64_t bsc, int64_t rsc,
                         int64_t csc);
const char *wg__blas_name(void);

#endif
