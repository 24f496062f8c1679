/* gemm.c - products of matrices: plain loops. */
#include "cpu/gemm.h"

#define STAMP(T, LOAD, STORE, ACC)                                                                                    \
    for (int64_t i = 0; i < m; i++)                                                                                   \
        for (int64_t j = 0; j < n; j++) {                                                                             \
            ACC s = 0;                                                                                                \
            for (int64_t p = 0; p < k; p++)                                                                           \
                s += (ACC)LOAD(((const T *)a)[i * rsa + p * csa]) * (ACC)LOAD(((const T *)b)[p * rsb + j * csb]);     \
            T *to = (T *)c + i * rsc + j * csc;                                                                       \
            if (bias) s += (ACC)LOAD(((const T *)bias)[j]);                                                           \
            if (accumulate) s += (ACC)LOAD(*to);                                                                      \
            *to = (T)STORE(s);                                                                                        \
        }
wg_status wg__gemm(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa, const void *b,
                   int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate, const void *bias) {
    switch (dtype) {
    case WG_FLOAT32: STAMP(float, , , float) break;
    case WG_FLOAT64: STAMP(double, , , double) break;
    case WG_FLOAT16: STAMP(uint16_t, wg__half_to_float, wg__float_to_half, float) break;
    case WG_BFLOAT16: STAMP(uint16_t, wg__bfloat_to_float, wg__float_to_bfloat, float) break;
    case WG_INT64: STAMP(uint64_t, , , uint64_t) break;
    case WG_INT32: STAMP(uint32_t, , , uint32_t) break;
    case WG_INT16: STAMP(uint16_t, , , uint32_t) break;
    default: STAMP(uint8_t, , , uint32_t) break;
    }
    return WG_OK;
}
wg_status wg__gemm_batch(wg_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t bsa, int64_t rsa,
                         int64_t csa, const void *b, int64_t bsb, int64_t rsb, int64_t csb, void *c, int64_t bsc, int64_t rsc,
                         int64_t csc) {
    int64_t item = (int64_t)wg_dtype_size(dtype);
    for (int64_t i = 0; i < batch; i++)
        wg__gemm(dtype, m, n, k, (const char *)a + i * bsa * item, rsa, csa, (const char *)b + i * bsb * item, rsb, csb,
                 (char *)c + i * bsc * item, rsc, csc, false, NULL);
    return WG_OK;
}
const char *wg__blas_name(void) { return "none"; }
