/* clamp.c - clamp and its one-sided forms. Bounds are numbers or tensors, and the gradient differs (torch 2.15): with
 * numbers it passes strictly inside and is 0 on a bound; with tensors a bound that is met shares it.
 */
#include "core/apply.h"
#include "wengert/ops.h"

/* ---- derivatives ------------------------------------------------------------------------------------------------- */

static bool number(const wg_tensor *t) { return (t->flags & TF_NUMBER) != 0; }
static wg_tensor *keep_where(wg_tensor *mask, wg_tensor *g) { return wg_where(mask, g, wg_s(0)); }
static wg_tensor *both(wg_tensor *a, wg_tensor *b) { return wg_logical_and(a, b); }
static wg_tensor *either(wg_tensor *a, wg_tensor *b) { return wg_logical_or(a, b); }
static wg_tensor *half(wg_tensor *g) { return wg_mul(g, wg_s(0.5)); }

/* One bound that is a tensor: as maximum (minimum); where x or the bound is nan, each gets all. above: x is the greater
 * side. */
static wg_tensor *one_x(wg_tensor *g, wg_tensor *passes, wg_tensor *tie) {
    return wg_where(tie, half(g), keep_where(passes, g));
}
static wg_tensor *lo_dx(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *lo = c->in[1];
    if (number(lo)) return keep_where(wg_gt(x, lo), g);
    return one_x(g, wg_logical_not(wg_lt(x, lo)), wg_eq(x, lo));
}
static wg_tensor *lo_dlo(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *lo = c->in[1];
    return one_x(g, wg_logical_not(wg_gt(x, lo)), wg_eq(x, lo));
}
static wg_tensor *hi_dx(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *hi = c->in[1];
    if (number(hi)) return keep_where(wg_lt(x, hi), g);
    return one_x(g, wg_logical_not(wg_gt(x, hi)), wg_eq(x, hi));
}
static wg_tensor *hi_dhi(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *hi = c->in[1];
    return one_x(g, wg_logical_not(wg_lt(x, hi)), wg_eq(x, hi));
}

/* Two bounds. lo > hi: the result is hi, whatever x. lo = hi = x: all to x. A bound that is nan holds nothing back. */
static wg_tensor *two_dx(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *lo = c->in[1], *hi = c->in[2];
    if (number(lo) && number(hi)) return keep_where(both(wg_gt(x, lo), wg_lt(x, hi)), g);
    wg_tensor *on_lo = wg_eq(x, lo), *on_hi = wg_eq(x, hi);
    wg_tensor *share = both(wg_logical_xor(on_lo, on_hi), wg_lt(lo, hi));
    wg_tensor *outside = either(either(wg_lt(x, lo), wg_gt(x, hi)), wg_gt(lo, hi));
    wg_tensor *all = either(wg_logical_not(outside), wg_isnan(x));
    return wg_where(share, half(g), keep_where(all, g));
}
static wg_tensor *two_dlo(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *lo = c->in[1], *hi = c->in[2];
    return wg_where(both(wg_eq(x, lo), wg_lt(lo, hi)), half(g), keep_where(both(wg_lt(x, lo), wg_le(lo, hi)), g));
}
static wg_tensor *two_dhi(const wg_call *c, wg_tensor *g) {
    wg_tensor *x = c->in[0], *lo = c->in[1], *hi = c->in[2];
    wg_tensor *all = either(both(wg_gt(x, hi), wg_le(lo, hi)), wg_gt(lo, hi));
    return wg_where(both(wg_eq(x, hi), wg_lt(lo, hi)), half(g), keep_where(all, g));
}

/* ---- records: the one-sided ones run the kernels of maximum and minimum ------------------------------------------ */

static const char *clamp_name(const wg_call *c) { return c->node->numbers & 2 ? "ClampBackward1" : "ClampBackward0"; }
static const char *min_name(const wg_call *c) {
    return c->node->numbers & 2 ? "ClampMinBackward0" : "ClampMinBackward1";
}
static const char *max_name(const wg_call *c) {
    return c->node->numbers & 2 ? "ClampMaxBackward0" : "ClampMaxBackward1";
}

static wg_tensor *least(const wg_value *a), *least_(const wg_value *a), *most(const wg_value *a),
    *most_(const wg_value *a);
#define XY (WG_USE_X | WG_USE_Y)
#define XYW (WG_USE_X | WG_USE_Y | WG_USE_W)
#define CLAMP(op_, name_, label, shown_, kernel_, n, ...)                                                              \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ label,                                                                   \
                              .doc = "x held between bounds; nan stays nan",                                           \
                              .traits = WG_POINTWISE,                                                                  \
                              .nin = n,                                                                                \
                              .nout = 1,                                                                               \
                              .kind = WG_K_ANY,                                                                        \
                              .kernel = offsetof(struct wg_cpu_table, kernel_),                                        \
                              .lo = -2,                                                                                \
                              .hi = 2,                                                                                 \
                              .shown = shown_,                                                                         \
                              __VA_ARGS__};
#define ONE_SIDE(dx, db, fx, fb)                                                                                       \
    .partial = {{WG_P_PRODUCT, XY, dx, fx}, {WG_P_PRODUCT, XY, db, fb}}, .formula = {fx, fb}
CLAMP(op_clamp, "clamp.bounds", "(Tensor self, Tensor min, Tensor max) -> Tensor", WG_HIDDEN, clamp, 3,
      .grad_name = clamp_name,
      .partial = {{WG_P_PRODUCT, XYW, two_dx, "1 if min < x < max else 0"},
                  {WG_P_PRODUCT, XYW, two_dlo, "1 if x < min else 0"},
                  {WG_P_PRODUCT, XYW, two_dhi, "1 if x > max else 0"}},
      .formula = {"1 if min < x < max else 0", "1 if x < min else 0", "1 if x > max else 0"})
CLAMP(op_lower, "clamp.min_only", "(Tensor self, Tensor min) -> Tensor", WG_HIDDEN, wg_maximum, 2,
      .grad_name = clamp_name, ONE_SIDE(lo_dx, lo_dlo, "1 if x > min else 0", "1 if x < min else 0"))
CLAMP(op_upper, "clamp.max_only", "(Tensor self, Tensor max) -> Tensor", WG_HIDDEN, wg_minimum, 2,
      .grad_name = clamp_name, ONE_SIDE(hi_dx, hi_dhi, "1 if x < max else 0", "1 if x > max else 0"))
CLAMP(op_clamp_min, "clamp_min", "(Tensor self, Tensor|Scalar min) -> Tensor", WG_INPLACE, wg_maximum, 2,
      .grad_name = min_name, .boxed = least, .boxed_ = least_,
      ONE_SIDE(lo_dx, lo_dlo, "1 if x > min else 0", "1 if x < min else 0"))
CLAMP(op_clamp_max, "clamp_max", "(Tensor self, Tensor|Scalar max) -> Tensor", WG_INPLACE, wg_minimum, 2,
      .grad_name = max_name, .boxed = most, .boxed_ = most_,
      ONE_SIDE(hi_dx, hi_dhi, "1 if x < max else 0", "1 if x > max else 0"))

/* ---- public ------------------------------------------------------------------------------------------------------ */

/* A number as bound of integers: beyond their range it is an error on the side that would hold everything, and no bound
 * on the other. Of floats it must be one of theirs. NULL: raised. */
static wg_tensor *fitting(wg_tensor *x, wg_tensor *b, bool upper) {
    if (!b || !x || !wg__ok(x) || !wg__ok(b) || !number(b) || number(x) || x->dtype == WG_BOOL) return b;
    if (wg_dtype_is_floating((wg_dtype)x->dtype))
        return wg__check_fits("clamp", b, (wg_dtype)x->dtype) == WG_OK ? b : NULL;
    if (x->dtype == WG_INT64 || b->dtype != WG_INT64) return b;
    int bits = 8 * (int)wg__itemsize(x) - (x->dtype != WG_UINT8);
    int64_t v = *(const int64_t *)(const void *)b->data, greatest = ((int64_t)1 << bits) - 1;
    int64_t least = x->dtype == WG_UINT8 ? 0 : -greatest - 1;
    if (upper ? v >= least : v <= greatest) return v < least ? wg_i(least) : v > greatest ? wg_i(greatest) : b;
    wg__raise(WG_ERR_RUNTIME, "clamp", "Clamp %s value %g is outside the representable range of %s",
              upper ? "max" : "min", (double)v, wg__dtype_scalar_name((wg_dtype)x->dtype));
    return NULL;
}
/* Bools have no clamp between bools that are numbers. */
static bool refuse_bools(const wg_tensor *x, const wg_tensor *min, const wg_tensor *max) {
    if (!x || !wg__ok(x) || x->dtype != WG_BOOL || (!min && !max)) return false;
    if ((min && (!number(min) || min->dtype != WG_BOOL)) || (max && (!number(max) || max->dtype != WG_BOOL)))
        return false;
    wg__raise(WG_ERR_NOT_IMPLEMENTED, "clamp", "\"clamp_%sscalar_cpu\" not implemented for 'Bool'",
              min && max ? ""
              : min      ? "min_"
                         : "max_");
    return true;
}
/* Both bounds; one that is a float makes the result one. */
static bool fit(wg_tensor *x, wg_tensor **min, wg_tensor **max) {
    if (refuse_bools(x, *min, *max)) return false;
    bool real = (*min && wg_dtype_is_floating((wg_dtype)(*min)->dtype)) ||
                (*max && wg_dtype_is_floating((wg_dtype)(*max)->dtype));
    if (real && x && !wg_dtype_is_floating((wg_dtype)x->dtype)) {
        bool low = !*min || !number(*min) || wg__check_fits("clamp", *min, wg_default_dtype()) == WG_OK;
        return low && (!*max || !number(*max) || wg__check_fits("clamp", *max, wg_default_dtype()) == WG_OK);
    }
    wg_tensor *low = fitting(x, *min, false), *high = low || !*min ? fitting(x, *max, true) : NULL;
    bool good = (low || !*min) && (high || !*max);
    *min = low;
    *max = high;
    return good;
}
static wg_tensor *call(wg_tensor *x, wg_tensor *min, wg_tensor *max, bool inplace, void *site) {
    if (!fit(x, &min, &max)) return WG_POISON;
    wg_tensor *in[3] = {x, min ? min : max, max};
    const wg_op *op = min && max ? &op_clamp : min ? &op_lower : &op_upper;
    if (!min && !max)
        return wg__fail(WG_ERR_RUNTIME, "clamp", "torch.clamp: At least one of 'min' or 'max' must not be None");
    return inplace ? wg__apply_inplace(op, in, op->nin, NULL, 0, site) : wg__apply(op, in, op->nin, NULL, 0, site);
}
wg_tensor *wg_clamp(wg_tensor *x, wg_tensor *min, wg_tensor *max) { return call(x, min, max, false, WG_SITE); }
wg_tensor *wg_clamp_(wg_tensor *x, wg_tensor *min, wg_tensor *max) { return call(x, min, max, true, WG_SITE); }
wg_tensor *wg_clamp_min(wg_tensor *x, wg_tensor *min) {
    wg_tensor *max = NULL;
    return fit(x, &min, &max) ? wg__binary(&op_clamp_min, x, min, WG_SITE) : WG_POISON;
}
wg_tensor *wg_clamp_max(wg_tensor *x, wg_tensor *max) {
    wg_tensor *min = NULL;
    return fit(x, &min, &max) ? wg__binary(&op_clamp_max, x, max, WG_SITE) : WG_POISON;
}

/* PyTorch's two overloads: both bounds are tensors, or both are numbers. */
static wg_tensor *tensors(const wg_value *a) { return wg_clamp(a[0].t, a[1].t, a[2].t); }
static wg_tensor *tensors_(const wg_value *a) { return wg_clamp_(a[0].t, a[1].t, a[2].t); }
static wg_tensor *bound(const wg_value *v) {
    switch (v->tag) {
    case WG_V_INT: return wg_i(v->i);
    case WG_V_DOUBLE: return wg_s(v->d);
    case WG_V_BOOL: return wg_b(v->i != 0);
    default: return NULL;
    }
}
static wg_tensor *operand(const wg_value *v) { return v->tag == WG_V_TENSOR ? v->t : bound(v); }
static wg_tensor *least(const wg_value *a) { return wg_clamp_min(a[0].t, operand(&a[1])); }
static wg_tensor *most(const wg_value *a) { return wg_clamp_max(a[0].t, operand(&a[1])); }
static wg_tensor *least_(const wg_value *a) {
    wg_tensor *in[2] = {a[0].t, operand(&a[1])}, *max = NULL;
    return fit(in[0], &in[1], &max) ? wg__apply_inplace(&op_clamp_min, in, 2, NULL, 0, WG_SITE) : WG_POISON;
}
static wg_tensor *most_(const wg_value *a) {
    wg_tensor *in[2] = {a[0].t, operand(&a[1])}, *min = NULL;
    return fit(in[0], &min, &in[1]) ? wg__apply_inplace(&op_clamp_max, in, 2, NULL, 0, WG_SITE) : WG_POISON;
}
static wg_tensor *numbers(const wg_value *a) { return wg_clamp(a[0].t, bound(&a[1]), bound(&a[2])); }
static wg_tensor *numbers_(const wg_value *a) { return wg_clamp_(a[0].t, bound(&a[1]), bound(&a[2])); }
#define OVERLOAD(op_, name_, args_, boxed_of)                                                                          \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ args_,                                                                   \
                              .doc = "x held between bounds; nan stays nan",                                           \
                              .aliases = "clip",                                                                       \
                              .nin = 3,                                                                                \
                              .nout = 1,                                                                               \
                              .shown = WG_INPLACE,                                                                     \
                              .boxed = boxed_of,                                                                       \
                              .boxed_ = boxed_of##_,                                                                   \
                              .formula = {"1 if min < x < max else 0", "1 if x < min else 0", "1 if x > max else 0"}};
OVERLOAD(op_numbers, "clamp", "(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", numbers)
OVERLOAD(op_tensors, "clamp.Tensor", "(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", tensors)

const wg_op *const wg__ops_clamp[] = {&op_tensors, &op_numbers,   &op_clamp,     &op_lower,
                                      &op_upper,   &op_clamp_min, &op_clamp_max, NULL};
