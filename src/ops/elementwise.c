/* elementwise.c - stamps the rows of elementwise.def into records (wg_op), their derivative functions, and the public
 * functions; and the few elementwise functions that are made of others. Kernels are stamped from the same rows in
 * cpu/isa_elementwise.c.
 */
#include <math.h>

#include "core/apply.h"
#include "ops/rules.h"
#include "wengert/ops.h"

/* ---- derivatives: one function per partial. A wrapper declares only the names it promises. ----------------------- */

/* clang-format off */
#define X(e) wg_tensor *x = c->in[0]; return e;
#define Y(e) wg_tensor *y = c->in[1]; return e;
#define Z(e) wg_tensor *z = c->out[0]; return e;
#define XY(e) wg_tensor *x = c->in[0], *y = c->in[1]; return e;
#define XZ(e) wg_tensor *x = c->in[0], *z = c->out[0]; return e;
#define YZ(e) wg_tensor *y = c->in[1], *z = c->out[0]; return e;
#define XYZ(e) wg_tensor *x = c->in[0], *y = c->in[1], *z = c->out[0]; return e;
#define CONST(e) return e;
#define G(e) return e;
#define GX(e) X(e)
#define GY(e) Y(e)
#define GZ(e) Z(e)
#define GXY(e) XY(e)
#define GXZ(e) XZ(e)
#define GYZ(e) YZ(e)
#define GXYZ(e) XYZ(e)
#define ONE return g;
#define MINUS_ONE return wg_neg(g);
#define ZERO return NULL;
#define NONE return NULL;
/* clang-format on */
#define PARTIAL(name, i, ...)                                                                                          \
    static wg_tensor *name##_d##i(const wg_call *c, wg_tensor *g) {                                                    \
        (void)c, (void)g;                                                                                              \
        __VA_ARGS__                                                                                                    \
    }
#define WG_UNARY(name, kind, expr, partial, ...) PARTIAL(name, 0, partial)
#define WG_BINARY(name, kind, expr, px, fx, py, ...) PARTIAL(name, 0, px) PARTIAL(name, 1, py)
#include "ops/elementwise.def"
#undef X
#undef Y
#undef Z
#undef XY
#undef XZ
#undef YZ
#undef XYZ
#undef CONST
#undef G
#undef GX
#undef GY
#undef GZ
#undef GXY
#undef GXZ
#undef GYZ
#undef GXYZ
#undef ONE
#undef MINUS_ONE
#undef ZERO
#undef NONE
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR

/* ---- names of nodes ---------------------------------------------------------------------------------------------- */

/* x**2, x**y, 2**x are three formulas of one op (I3). */
static const char *pow_name(const wg_call *c) {
    static const char *const names[] = {"PowBackward1", "PowBackward2", "PowBackward0", "PowBackward0"};
    return names[c->node->numbers & 3];
}
/* PyTorch's names of the overloads: with a tensor, with a number on the right, with a number on the left. */
static const struct {
    const char *op, *tensors, *right, *left;
} overloads[] = {
    {"floor_divide", "torch::autograd::NotImplemented", "torch::autograd::NotImplemented",
     "torch::autograd::NotImplemented"},
    {"remainder", "RemainderBackward1", "RemainderBackward0", "torch::autograd::NotImplemented"},
    {"fmod", "FmodBackward1", "FmodBackward0", "FmodBackward1"},
    {"_div_floor", "DivBackward2", "DivBackward2", "DivBackward2"},
    {"_div_trunc", "DivBackward2", "DivBackward2", "DivBackward2"},
};
static const char *row_name(const wg_call *c) {
    unsigned numbers = c->node->numbers;
    if (strcmp(c->op->name, "pow") == 0) return pow_name(c);
    for (size_t i = 0; i < sizeof(overloads) / sizeof(*overloads); i++)
        if (strcmp(c->op->name, overloads[i].op) == 0)
            return numbers & 2 ? overloads[i].right : numbers & 1 ? overloads[i].left : overloads[i].tensors;
    return NULL;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* kind and uses as one number, so that a row's column stays one macro argument */
#define D(k, u) (WG_P_##k | (u) << 8)
#define KIND(d) .kind = (d)&0xff, .uses = (d) >> 8
#define X(e) D(DERIVATIVE, WG_USE_X)
#define Y(e) D(DERIVATIVE, WG_USE_Y)
#define Z(e) D(DERIVATIVE, WG_USE_Z)
#define XY(e) D(DERIVATIVE, WG_USE_X | WG_USE_Y)
#define XZ(e) D(DERIVATIVE, WG_USE_X | WG_USE_Z)
#define YZ(e) D(DERIVATIVE, WG_USE_Y | WG_USE_Z)
#define XYZ(e) D(DERIVATIVE, WG_USE_X | WG_USE_Y | WG_USE_Z)
#define CONST(e) D(DERIVATIVE, 0)
#define G(e) D(PRODUCT, 0)
#define GX(e) D(PRODUCT, WG_USE_X)
#define GY(e) D(PRODUCT, WG_USE_Y)
#define GZ(e) D(PRODUCT, WG_USE_Z)
#define GXY(e) D(PRODUCT, WG_USE_X | WG_USE_Y)
#define GXZ(e) D(PRODUCT, WG_USE_X | WG_USE_Z)
#define GYZ(e) D(PRODUCT, WG_USE_Y | WG_USE_Z)
#define GXYZ(e) D(PRODUCT, WG_USE_X | WG_USE_Y | WG_USE_Z)
#define ONE D(ONE, 0)
#define MINUS_ONE D(MINUS_ONE, 0)
#define ZERO D(ZERO, 0)
#define NONE D(NONE, 0)
#define SELF(n) .schema = #n "(Tensor self) -> Tensor"
#define SELF_(n) SELF(n), .shown = WG_INPLACE
#define ACTIVATION_(n) SELF(n), .shown = WG_FUNCTION | WG_METHOD | WG_NN | WG_INPLACE
#define PAIR(n) .schema = #n "(Tensor self, Tensor other) -> Tensor"
#define PAIR_(n) PAIR(n), .shown = WG_INPLACE
#define PART(n) PAIR(n), .shown = WG_HIDDEN
#define RIGHT(n) .schema = #n "(Tensor self, Tensor|Scalar other) -> Tensor"
#define RIGHT_(n) RIGHT(n), .shown = WG_INPLACE
#define EITHER_(n) .schema = #n "(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", .shown = WG_INPLACE
#define FORM_(text) .schema = text, .shown = WG_INPLACE
#define ALIAS(names) .aliases = names
#define BOXED_(n) .boxed = n##_boxed, .boxed_ = n##_boxed_
static wg_tensor *add_boxed(const wg_value *a), *sub_boxed(const wg_value *a), *div_boxed(const wg_value *a);
static wg_tensor *add_boxed_(const wg_value *a), *sub_boxed_(const wg_value *a), *div_boxed_(const wg_value *a);
#define ROW(name_, kind_, n, lo_, hi_, doc_)                                                                           \
    .name = &#name_[3], .doc = doc_, .traits = WG_POINTWISE, .nin = n, .nout = 1, .kind = WG_K_##kind_,                \
    .kernel = offsetof(struct wg_cpu_table, name_), .grad_name = row_name, .lo = lo_, .hi = hi_
#define WG_UNARY(name, kind, expr, p, f, lo, hi, doc, ...)                                                             \
    static const wg_op op_##name = {ROW(name, kind, 1, lo, hi, doc), __VA_ARGS__,                                      \
                                    .partial = {{KIND(p), .fn = name##_d0, .formula = f}}, .formula = {f}};
#define WG_BINARY(name, kind, expr, px, fx, py, fy, lo, hi, doc, ...)                                                  \
    static const wg_op op_##name = {                                                                                   \
        ROW(name, kind, 2, lo, hi, doc), __VA_ARGS__,                                                                  \
        .partial = {{KIND(px), .fn = name##_d0, .formula = fx}, {KIND(py), .fn = name##_d1, .formula = fy}},           \
        .formula = {fx, fy}};
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR

/* ---- public functions -------------------------------------------------------------------------------------------- */

#define WG_UNARY(name, ...)                                                                                            \
    wg_tensor *name(wg_tensor *x) { return wg__unary(&op_##name, x, WG_SITE); }
#define WG_BINARY(name, ...)                                                                                           \
    wg_tensor *name(wg_tensor *x, wg_tensor *y) { return wg__binary(&op_##name, x, y, WG_SITE); }
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR

/* ---- in place ---------------------------------------------------------------------------------------------------- */

static wg_tensor *inplace1(const wg_op *op, wg_tensor *x, void *site) {
    return wg__apply_inplace(op, &x, 1, NULL, 0, site);
}
static wg_tensor *inplace2(const wg_op *op, wg_tensor *x, wg_tensor *y, void *site) {
    wg_tensor *in[2] = {x, y};
    return wg__apply_inplace(op, in, 2, NULL, 0, site);
}
wg_tensor *wg_add_(wg_tensor *x, wg_tensor *y) { return inplace2(&op_wg_add, x, y, WG_SITE); }
wg_tensor *wg_sub_(wg_tensor *x, wg_tensor *y) { return inplace2(&op_wg_sub, x, y, WG_SITE); }
wg_tensor *wg_mul_(wg_tensor *x, wg_tensor *y) { return inplace2(&op_wg_mul, x, y, WG_SITE); }
wg_tensor *wg_div_(wg_tensor *x, wg_tensor *y) { return inplace2(&op_wg_div, x, y, WG_SITE); }
wg_tensor *wg_pow_(wg_tensor *x, wg_tensor *y) { return inplace2(&op_wg_pow, x, y, WG_SITE); }
wg_tensor *wg_relu_(wg_tensor *x) { return inplace1(&op_wg_relu, x, WG_SITE); }
wg_tensor *wg_exp_(wg_tensor *x) { return inplace1(&op_wg_exp, x, WG_SITE); }
wg_tensor *wg_tanh_(wg_tensor *x) { return inplace1(&op_wg_tanh, x, WG_SITE); }
wg_tensor *wg_sigmoid_(wg_tensor *x) { return inplace1(&op_wg_sigmoid, x, WG_SITE); }
wg_tensor *wg_neg_(wg_tensor *x) { return inplace1(&op_wg_neg, x, WG_SITE); }

/* ---- integer operands that have no answer ------------------------------------------------------------------------ */

static bool any_element(const wg_tensor *t, bool (*bad)(int64_t)) {
    wg_tensor *flat = wg__contiguous((wg_tensor *)(uintptr_t)t, WG_INT64);
    if (!flat) return false;
    bool found = false;
    for (int64_t i = 0; i < flat->numel && !found; i++) found = bad(((const int64_t *)(const void *)flat->data)[i]);
    wg_release(flat);
    return found;
}
static bool is_zero(int64_t v) { return v == 0; }
static bool is_negative(int64_t v) { return v < 0; }

/* A number whose bits that fit t's dtype are all 0. */
static bool vanishes(const wg_tensor *number, const wg_tensor *t) {
    if (!(number->flags & TF_NUMBER) || (t->flags & TF_NUMBER) || t->dtype == WG_BOOL || number->dtype != WG_INT64)
        return false;
    return wg__itemsize(t) < 8 && (*(const uint64_t *)(const void *)number->data << (64 - 8 * wg__itemsize(t))) == 0;
}

wg_status wg__check_integers(const wg_op *op, wg_tensor *const *in) {
    bool divides = op == &op_wg_floor_divide || op == &op_wg_remainder || op == &op_wg_fmod ||
                   op == &op_wg__div_floor || op == &op_wg__div_trunc;
    if (divides && in[0]->numel && (any_element(in[1], is_zero) || vanishes(in[1], in[0])))
        return wg__raise(WG_ERR_RUNTIME, op->name,
                         "ZeroDivisionError. %s of integers met a zero divisor; floating "
                         "operands would give inf or nan",
                         op->name);
    if (op == &op_wg_pow && (in[1]->flags & TF_NUMBER) && any_element(in[1], is_negative))
        return wg__raise(WG_ERR_RUNTIME, "pow", "Integers to negative integer powers are not allowed.");
    if (op == &op_wg_pow && (in[1]->flags & TF_NUMBER) && !(in[0]->flags & TF_NUMBER))
        return wg__check_fits("pow", in[1], (wg_dtype)in[0]->dtype);
    return WG_OK;
}

/* ---- made of others ---------------------------------------------------------------------------------------------- */

wg_tensor *wg_square(wg_tensor *x) {
    WG_COMPOSITE;
    return wg_pow(x, wg_i(2));
}
static wg_tensor *square_boxed_(const wg_value *a) { return wg_pow_(a[0].t, wg_i(2)); }
wg_tensor *wg_conj(wg_tensor *x) { return x ? x : wg__fail(WG_ERR_TYPE, "conj", "conj(): argument 1 must be Tensor"); }
wg_tensor *wg_positive(wg_tensor *x) {
    if (!x) return wg__fail(WG_ERR_TYPE, "positive", "positive(): argument 1 must be Tensor");
    if (wg__ok(x) && x->dtype == WG_BOOL)
        return wg__fail(WG_ERR_NOT_IMPLEMENTED, "positive", "The `+` operator, on a bool tensor is not supported.");
    return x;
}
WG_COMPOSED(square, "square", "(Tensor self) -> Tensor", "x^2", wg_square(a[0].t), .shown = WG_INPLACE,
            .boxed_ = square_boxed_, .formula = {"2 x"})
WG_COMPOSED(positive, "positive", "(Tensor self) -> Tensor", "x itself; bool raises", wg_positive(a[0].t),
            .formula = {"1"})
WG_COMPOSED(conj, "conj", "(Tensor self) -> Tensor", "x itself: there are real numbers only", wg_conj(a[0].t),
            .aliases = "resolve_conj resolve_neg conj_physical", .formula = {"1"})
WG_COMPOSED(max_other, "max.other", "(Tensor self, Tensor other) -> Tensor", "maximum", wg_maximum(a[0].t, a[1].t),
            .formula = {"1 if x > y, 1/2 if x = y, else 0", "1 if y > x, 1/2 if x = y, else 0"})
WG_COMPOSED(min_other, "min.other", "(Tensor self, Tensor other) -> Tensor", "minimum", wg_minimum(a[0].t, a[1].t),
            .formula = {"1 if x < y, 1/2 if x = y, else 0", "1 if y < x, 1/2 if x = y, else 0"})

/* ---- ops with a number of their own: alpha ----------------------------------------------------------------------- */

static const char *add_name(const wg_call *c) { return c ? "AddBackward0" : NULL; }
static const char *sub_name(const wg_call *c) { return c ? "SubBackward0" : NULL; }
static const char *rsub_name(const wg_call *c) { return c->node->numbers & 2 ? "RsubBackward1" : "RsubBackward0"; }

static wg_tensor *attr_number(const wg_value *v) {
    return v->tag == WG_V_DOUBLE ? wg_s(v->d) : v->tag == WG_V_INT ? wg_i(v->i) : wg_i(1);
}
static wg_tensor *scaled_dy(const wg_call *c, wg_tensor *g) { return wg_mul(g, attr_number(&c->attr[0])); }
static wg_tensor *scaled_minus_dy(const wg_call *c, wg_tensor *g) { return wg_neg(scaled_dy(c, g)); }
static wg_tensor *pass_g(const wg_call *c, wg_tensor *g) { return (void)c, g; }
static wg_tensor *minus_g(const wg_call *c, wg_tensor *g) { return (void)c, wg_neg(g); }

#define SCALED(op_, name_, grad_, schema_, doc_, px, fx, ky, py, fy)                                                   \
    static const wg_op op_ = {                                                                                         \
        .name = name_,                                                                                                 \
        .schema = schema_,                                                                                             \
        .doc = doc_,                                                                                                   \
        .traits = WG_POINTWISE,                                                                                        \
        .nin = 2,                                                                                                      \
        .nout = 1,                                                                                                     \
        .kind = WG_K_ANY,                                                                                              \
        .kernel = offsetof(struct wg_cpu_table, op_),                                                                  \
        .grad_name = grad_,                                                                                            \
        .lo = -2,                                                                                                      \
        .hi = 2,                                                                                                       \
        .shown = WG_HIDDEN,                                                                                            \
        .partial = {{.kind = px, .fn = pass_g, .formula = fx}, {.kind = ky, .fn = py, .formula = fy}},                 \
        .formula = {fx, fy}};
SCALED(add_scaled, "add.alpha", add_name, "add.alpha(Tensor self, Tensor other, float alpha) -> Tensor",
       "x + alpha y, rounded once", WG_P_ONE, "1", WG_P_PRODUCT, scaled_dy, "alpha")
SCALED(sub_scaled, "sub.alpha", sub_name, "sub.alpha(Tensor self, Tensor other, float alpha) -> Tensor",
       "x - alpha y, rounded once", WG_P_ONE, "1", WG_P_PRODUCT, scaled_minus_dy, "-alpha")

static wg_tensor *rsub_boxed(const wg_value *a);
static const wg_op op_rsub = {.name = "rsub",
                              .shown = WG_FUNCTION,
                              .boxed = rsub_boxed,
                              .schema = "rsub(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
                              .doc = "y - alpha x",
                              .traits = WG_POINTWISE,
                              .nin = 2,
                              .nout = 1,
                              .kind = WG_K_NUM,
                              .kernel = offsetof(struct wg_cpu_table, rsub),
                              .grad_name = rsub_name,
                              .lo = -2,
                              .hi = 2,
                              .partial = {{.kind = WG_P_MINUS_ONE, .fn = minus_g, .formula = "-1"},
                                          {.kind = WG_P_ONE, .fn = pass_g, .formula = "1"}},
                              .formula = {"-1", "1"}};

static wg_tensor *scaled(const wg_op *op, wg_tensor *x, wg_tensor *y, double alpha, bool inplace, void *site) {
    wg_tensor *in[2] = {x, y};
    wg_value a = WG_VAL_D(alpha);
    return inplace ? wg__apply_inplace(op, in, 2, &a, 1, site) : wg__apply(op, in, 2, &a, 1, site);
}
wg_tensor *wg_add_alpha(wg_tensor *x, wg_tensor *y, double a) { return scaled(&add_scaled, x, y, a, false, WG_SITE); }
wg_tensor *wg_sub_alpha(wg_tensor *x, wg_tensor *y, double a) { return scaled(&sub_scaled, x, y, a, false, WG_SITE); }
wg_tensor *wg_add_alpha_(wg_tensor *x, wg_tensor *y, double a) { return scaled(&add_scaled, x, y, a, true, WG_SITE); }
wg_tensor *wg_sub_alpha_(wg_tensor *x, wg_tensor *y, double a) { return scaled(&sub_scaled, x, y, a, true, WG_SITE); }
wg_tensor *wg_rsub(wg_tensor *x, wg_tensor *y) { return wg__binary(&op_rsub, x, y, WG_SITE); }

/* Does alpha go with x and y? As PyTorch, which asks even when it is 1. */
static bool alpha_fits(const char *who, const wg_value *a) {
    if (!wg__ok(a[0].t) || !wg__ok(a[1].t)) return true; /* poison: the op will hand it on */
    wg_dtype d = wg__result_type((wg_tensor *const[]){a[0].t, a[1].t}, 2);
    if (a[2].tag == WG_V_BOOL && d != WG_BOOL)
        return wg__raise(WG_ERR_RUNTIME, who, "Boolean alpha only supported for Boolean results."), false;
    if (a[2].tag == WG_V_DOUBLE && !wg_dtype_is_floating(d))
        return wg__raise(WG_ERR_RUNTIME, who,
                         "For integral input tensors, argument alpha must not be a floating point number."),
               false;
    return true;
}
static wg_tensor *with_alpha(const wg_value *a, const wg_op *plain, const wg_op *times, bool in_place) {
    double alpha = a[2].tag == WG_V_DOUBLE ? a[2].d : (double)a[2].i;
    if (!alpha_fits(plain->name, a)) return WG_POISON;
    if (alpha != 1) return scaled(times, a[0].t, a[1].t, alpha, in_place, WG_SITE);
    return in_place ? inplace2(plain, a[0].t, a[1].t, WG_SITE) : wg__binary(plain, a[0].t, a[1].t, WG_SITE);
}
static wg_tensor *add_boxed(const wg_value *a) { return with_alpha(a, &op_wg_add, &add_scaled, false); }
static wg_tensor *sub_boxed(const wg_value *a) { return with_alpha(a, &op_wg_sub, &sub_scaled, false); }
static wg_tensor *add_boxed_(const wg_value *a) { return with_alpha(a, &op_wg_add, &add_scaled, true); }
static wg_tensor *sub_boxed_(const wg_value *a) { return with_alpha(a, &op_wg_sub, &sub_scaled, true); }
static wg_tensor *rsub_boxed(const wg_value *a) {
    bool one = a[2].tag == WG_V_DOUBLE ? a[2].d == 1 : a[2].i == 1;
    if (!alpha_fits("rsub", a)) return WG_POISON;
    return wg_rsub(one ? a[0].t : wg_mul(a[0].t, attr_number(&a[2])), a[1].t);
}

/* ---- division with a rounding ------------------------------------------------------------------------------------ */

/* The op of a mode; NULL: raised. */
static const wg_op *division(const char *mode) {
    if (!mode) return &op_wg_div;
    if (strcmp(mode, "floor") == 0) return &op_wg__div_floor;
    if (strcmp(mode, "trunc") == 0) return &op_wg__div_trunc;
    wg__raise(WG_ERR_RUNTIME, "div", "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '%s'",
              mode);
    return NULL;
}
wg_tensor *wg_div_mode(wg_tensor *x, wg_tensor *y, const char *mode) {
    const wg_op *op = division(mode);
    return op ? wg__binary(op, x, y, WG_SITE) : WG_POISON;
}
wg_tensor *wg_div_mode_(wg_tensor *x, wg_tensor *y, const char *mode) {
    const wg_op *op = division(mode);
    return op ? inplace2(op, x, y, WG_SITE) : WG_POISON;
}
static wg_tensor *div_boxed(const wg_value *a) { return wg_div_mode(a[0].t, a[1].t, a[2].s); }
static wg_tensor *div_boxed_(const wg_value *a) { return wg_div_mode_(a[0].t, a[1].t, a[2].s); }

/* ---- round to decimals ------------------------------------------------------------------------------------------- */

static wg_status decimals_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    g->ndim = t->ndim;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    g->strided = !(t->flags & TF_CONTIG) && wg__is_dense(t->ndim, t->dims, wg__strides(t));
    if (g->strided) memcpy(g->strides, wg__strides(t), (size_t)t->ndim * 8);
    if (wg_dtype_is_floating((wg_dtype)t->dtype)) return WG_OK;
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, "round", "\"round_cpu\" not implemented for '%s'",
                     wg__dtype_scalar_name((wg_dtype)t->dtype));
}
static wg_status decimals_run(const wg_call *c) {
    wg_status st = WG_ERR_RUNTIME;
    uint8_t no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    WG_SCOPE {
        int64_t n = c->attr[0].i;
        wg_tensor *ten = wg_s(pow(10, (double)(n < 0 ? -n : n))), *x = c->in[0];
        wg_tensor *r = n < 0 ? wg_mul(wg_round(wg_div(x, ten)), ten) : wg_div(wg_round(wg_mul(x, ten)), ten);
        if (!wg_is_poison(r)) st = wg__copy_into(c->out[0], r);
    }
    wg__tls.no_grad = no_grad;
    return st;
}
static wg_tensor *flat_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)c, (void)i, wg_zeros_like(g[0], NULL);
}
static wg_tensor *flat_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)c, (void)o, wg_zeros_like(t[0], NULL);
}
static wg_status decimals_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    out[0] = wg_round_decimals(c->in[0], c->attr[0].i);
    out_bdim[0] = bdim[0];
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}
static const char *decimals_name(const wg_call *c) { return c ? "RoundBackward1" : NULL; }
static const wg_op op_decimals = {.name = "round.decimals",
                                  .schema = "round.decimals(Tensor self, *, int decimals) -> Tensor",
                                  .doc = "nearest multiple of 10^-decimals, ties to even",
                                  .nin = 1,
                                  .nout = 1,
                                  .shown = WG_INPLACE,
                                  .shape = decimals_shape,
                                  .run = {decimals_run},
                                  .vjp = flat_vjp,
                                  .jvp = flat_jvp,
                                  .batch = decimals_batch,
                                  .grad_name = decimals_name,
                                  .formula = {"0"}};
wg_tensor *wg_round_decimals(wg_tensor *x, int64_t decimals) {
    return wg__apply(&op_decimals, &x, 1, &WG_VAL_I(decimals), 1, WG_SITE);
}

/* ---- the family -------------------------------------------------------------------------------------------------- */

const wg_op *const wg__ops_elementwise[] = {
#define WG_UNARY(name, ...) &op_##name,
#define WG_BINARY(name, ...) &op_##name,
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
    &add_scaled,  &sub_scaled, &op_rsub,      &op_decimals,  &op_square,
    &op_positive, &op_conj,    &op_max_other, &op_min_other, NULL};

const wg_op *wg__op_add(void) { return &op_wg_add; }
