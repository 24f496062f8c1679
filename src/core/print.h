/* print.h - the formatter behind wg_repr, over plain memory, so that it can be tested without tensors. */
#ifndef WG_CORE_PRINT_H
#define WG_CORE_PRINT_H

#include "core/tensor.h"
#include "wengert/print.h"

/* A text that grows. After a failed allocation it stays as it was and failed is set. */
typedef struct wg__text {
    char *s;
    size_t n, capacity;
    bool failed;
} wg__text;
void wg__text_add(wg__text *t, const char *s, size_t n);
void wg__text_free(wg__text *t);

/* What repr shows of a tensor. */
typedef struct wg__print_view {
    wg_dtype dtype;
    int ndim;
    const int64_t *sizes, *strides; /* in elements */
    const void *data;
    const char *grad_fn; /* node name, or NULL */
    bool requires_grad;
    const struct wg__print_view *tangent; /* or NULL */
    const char *word;                     /* before the parenthesis; NULL: tensor */
} wg__print_view;

/* Appends repr to out; false on no memory (nothing raised). options: all fields set; default_dtype's suffix is left
 * out. */
bool wg__repr_view(const wg__print_view *v, const wg_print_options *options, wg_dtype default_dtype, wg__text *out);

#endif
