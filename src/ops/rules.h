/* rules.h - helpers of the derivative rules in elementwise.def: the internal ops among its rows, and derivatives that
 * take more than a line. All are written in public ops (rules.c), so they differentiate again. Not installed.
 */
#ifndef WG_OPS_RULES_H
#define WG_OPS_RULES_H

#include "wengert/core.h"

/* Stamped from elementwise.def like the public ops. */
wg_tensor *wg__tanh_backward(wg_tensor *x, wg_tensor *y);
wg_tensor *wg__sigmoid_backward(wg_tensor *x, wg_tensor *y);
wg_tensor *wg__threshold_backward(wg_tensor *x, wg_tensor *y);
wg_tensor *wg__div_floor(wg_tensor *x, wg_tensor *y);
wg_tensor *wg__div_trunc(wg_tensor *x, wg_tensor *y);

/* Each returns g times the partial; g is a cotangent or a tangent. */
wg_tensor *wg__pow_vjp_base(wg_tensor *g, wg_tensor *x, wg_tensor *y);
wg_tensor *wg__pow_vjp_exponent(wg_tensor *g, wg_tensor *x, wg_tensor *y, wg_tensor *z);
/* g's share for a in maximum(a, b), minimum(a, b): all, half at a tie, none; all where either is nan. */
wg_tensor *wg__maximum_vjp(wg_tensor *g, wg_tensor *a, wg_tensor *b);
wg_tensor *wg__minimum_vjp(wg_tensor *g, wg_tensor *a, wg_tensor *b);
/* a / (a^2 + b^2), 0 where the denominator is 0. */
wg_tensor *wg__atan2_partial(wg_tensor *a, wg_tensor *b);
/* Raises "derivative for aten::NAME is not implemented". */
wg_tensor *wg__no_derivative(wg_tensor *g, const char *name);

#endif
