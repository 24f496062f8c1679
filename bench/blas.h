/* blas.h - the BLAS that Wengert loaded, for C's side of a comparison: WENGERT_BLAS names the file, bench/run sets it.
 */
#ifndef WENGERT_BENCH_BLAS_H
#define WENGERT_BENCH_BLAS_H

#include <dlfcn.h>
#include <string.h>

#include "support.h"

enum { ROWS = 101, PLAIN = 111, TRANSPOSED = 112 }; /* CBLAS's numbers */

static struct {
    void (*gemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                 int ldb, float beta, float *c, int ldc);
    void (*gemv)(int order, int ta, int m, int n, float alpha, const float *a, int lda, const float *x, int step_x,
                 float beta, float *y, int step_y);
    void (*ger)(int order, int m, int n, float alpha, const float *x, int step_x, const float *y, int step_y, float *a,
                int lda);
} blas;

/* After Wengert's first large product, for Wengert leaves alone a BLAS that was there before it. */
static inline void blas_open(void) {
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(512, 512), NULL);
        require(!wg_is_poison(wg_matmul(x, x)), "the product failed");
    }
    const char *file = getenv("WENGERT_BLAS");
    require(file && strstr(wg_config(), file), "WENGERT_BLAS names no BLAS that Wengert could load");
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    require(library != NULL, "the BLAS cannot be loaded");
    *(void **)&blas.gemm = dlsym(library, "cblas_sgemm");
    *(void **)&blas.gemv = dlsym(library, "cblas_sgemv");
    *(void **)&blas.ger = dlsym(library, "cblas_sger");
    require(blas.gemm && blas.gemv && blas.ger, "the BLAS lacks cblas_sgemm, cblas_sgemv or cblas_sger");
}

#endif
