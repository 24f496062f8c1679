/* reduce.h - reductions over rows and columns, and softmax, by ISA. A row is contiguous; a block is [n, inner] with the
 * reduced index first. All orders of summation are fixed by n alone, so the bits do not depend on threads.
 */
#ifndef WG_CPU_REDUCE_H
#define WG_CPU_REDUCE_H

#include "core/tensor.h"

#define WG_REDUCE_TABLE(T, S)                                                                                          \
    T (*sum_##S)(const T *x, int64_t n);                                                                               \
    T (*sum_abs2_##S)(const T *x, T mean, int64_t n); /* sum of (x - mean)^2 */                                        \
    T (*max_##S)(const T *x, int64_t n);              /* nan if any is nan; n >= 1 */                                  \
    T (*min_##S)(const T *x, int64_t n);                                                                               \
    void (*column_sum_##S)(const T *x, int64_t n, int64_t inner, int64_t width, T *out); /* row stride: inner */       \
    void (*softmax_##S)(const T *x, T *out, int64_t n);                                                                \
    void (*log_softmax_##S)(const T *x, T *out, int64_t n);                                                            \
    void (*softmax_backward_##S)(const T *g, const T *z, T *out, int64_t n);                                           \
    void (*log_softmax_backward_##S)(const T *g, const T *z, T *out, int64_t n);

struct wg_reduce_table {
    WG_REDUCE_TABLE(float, f32)
    WG_REDUCE_TABLE(double, f64)
};
/* The kernels of the ISA in use; of a given one, NULL when the machine lacks it. */
const struct wg_reduce_table *wg__reduce(void);
const struct wg_reduce_table *wg__reduce_for(const char *isa);

#endif
