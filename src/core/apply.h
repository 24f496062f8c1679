/* apply.h - what apply.c and inplace.c share: operands of pointwise kernels. */
#ifndef WG_CORE_APPLY_H
#define WG_CORE_APPLY_H

#include "autograd/node.h"
#include "core/alloc.h"
#include "cpu/kernels.h"
#include "cpu/loop.h"

#define WG_MAX_OPERANDS 3
#define WG_PARAM_BYTES 64
#define WG_GRAIN 32768 /* elements: below it a loop is not split over threads */

/* An input as a pointwise kernel reads it. */
typedef struct wg_operand {
    wg_tensor *t;    /* sizes and strides to read with */
    wg_tensor *temp; /* a converted copy to give back, or NULL */
    char *data;
    bool single; /* one element for all of the output */
    _Alignas(16) char number[16];
} wg_operand;

/* PyTorch's *, / and // of 16-bit floats do not round a right operand of one element that has another dtype, so that
 * x * 0.999 is not x * 1: they compute in float32 and round the result to d. */
bool wg__takes_exact(const wg_op *op, wg_tensor *const *in, int nin, wg_dtype d);
/* Can op compute in d, and would PyTorch? in[] are the operands. */
wg_status wg__check_kernel(const wg_op *op, wg_tensor *const *in, int nin, wg_dtype d);
wg_status wg__operand(wg_operand *o, wg_tensor *t, wg_dtype d);
wg_status wg__run_pointwise(wg_kernel k, const wg_tensor *out, const wg_operand *x, int nin, wg_dtype compute,
                            char *params);
/* The select kernel: x[0] is bool, x[1] and x[2] have out's dtype. */
wg_status wg__run_select(wg_kernel k, const wg_tensor *out, const wg_operand x[3]);
void wg__pack_params(const wg_value *attr, int nattr, char *params);

/* Integer operands without an answer: division by zero, negative powers. ops/elementwise.c. */
wg_status wg__check_integers(const wg_op *op, wg_tensor *const *in);

static inline wg_kernel wg__kernel(const wg_op *op, wg_dtype d) {
    return ((const wg_kernel *)(const void *)((const char *)wg__cpu + op->kernel))[d];
}

static inline void *wg__malloc_array(size_t n, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : wg__malloc(bytes);
}
static inline void wg__free_array(void *p, size_t n, size_t size) { wg__mfree(p, n * size); }

#endif
