/* blas.h - a BLAS found at run time, for products large enough to gain from it. */
#ifndef WG_CPU_BLAS_H
#define WG_CPU_BLAS_H

#include <stdbool.h>
#include <stdint.h>

/* The names of CBLAS's enumerators, whose values its standard fixes. */
enum { WG_BLAS_ROWS = 101, WG_BLAS_PLAIN = 111, WG_BLAS_TRANSPOSED = 112 };

typedef void wg_sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                         const float *b, int ldb, float beta, float *c, int ldc);
typedef void wg_dgemm_fn(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
                         const double *b, int ldb, double beta, double *c, int ldc);

typedef struct wg_blas {
    wg_sgemm_fn *sgemm;
    wg_dgemm_fn *dgemm;
} wg_blas;

/* Loads one at the first call; NULL when there is none, or only one that would bring threads we do not control. */
const wg_blas *wg__blas(void);
/* What it is called: the file, or "none". Does not load. */
const char *wg__blas_name(void);

#endif
