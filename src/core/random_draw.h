/* random_draw.h - what random_ops.c and random_sample.c share: filling a tensor's memory in PyTorch's order, and the
 * parts of a record whose gradient is zero.
 */
#ifndef WG_CORE_RANDOM_DRAW_H
#define WG_CORE_RANDOM_DRAW_H

#include "core/op.h"
#include "core/rng.h"

struct wg__draw;
/* Fills n row-major elements; scalar: the target is not contiguous. */
typedef wg_status (*wg__draw_fill)(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar);
/* A distribution with its parameters. */
struct wg__draw {
    wg__draw_fill fill;
    wg_generator *g;
    double a, b;
    int64_t from, to;
    const wg_tensor *p; /* one parameter per element; broadcasts to the target. fill sees it in fill order */
};
/* Fills t in the order of memory addresses (largest stride outermost). Raises nothing but memory errors. */
wg_status wg__draw_into(wg_tensor *t, const struct wg__draw *d);

/* A generator among a call's attributes: its address, or none for the default one. */
wg_value wg__draw_value(wg_generator *g);
wg_generator *wg__draw_generator(const wg_value *v);
/* Refuses generators that could not be made, and tensors of a vmap. t and g may be NULL. */
wg_status wg__draw_usable(const char *op, const wg_tensor *t, const wg_generator *g);
/* NotImplementedError in PyTorch's words unless dtype is floating. */
wg_status wg__draw_needs_float(wg_dtype dtype, const char *op, const char *kernel);
void wg__draw_same_shape(const wg_tensor *t, wg_geometry *out);
wg_tensor *wg__draw_vjp(const wg_call *c, wg_tensor *const *g, int i); /* zeros */
wg_tensor *wg__draw_jvp(const wg_call *c, wg_tensor *const *t, int o); /* no tangent */

#endif
