/* matmul.c - products of matrices: mm, mv, dot, bmm, addmm are primitives over cpu/gemm.c; matmul and linear compose
 * them as PyTorch does, so that grad_fn chains are the same. Rules pass transposes as strides: nothing is copied.
 */
#include "core/apply.h"
#include "cpu/gemm.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static const char *cxx(const wg_tensor *t) { return wg__dtype_cxx_name((wg_dtype)t->dtype); }
static wg_status same_dtype(const char *who, const wg_tensor *a, const wg_tensor *b) {
    if (a->dtype == b->dtype) return WG_OK;
    if (strcmp(who, "dot") == 0)
        return wg__raise(WG_ERR_RUNTIME, who, "dot : expected both vectors to have same dtype, but found %s and %s",
                         wg__dtype_scalar_name((wg_dtype)a->dtype), wg__dtype_scalar_name((wg_dtype)b->dtype));
    return wg__raise(WG_ERR_RUNTIME, who, "expected m1 and m2 to have the same dtype, but got: %s != %s", cxx(a),
                     cxx(b));
}
static wg_status no_bool(const char *who, const wg_tensor *a) {
    if (a->dtype != WG_BOOL) return WG_OK;
    bool own = strcmp(who, "dot") == 0 || strcmp(who, "bmm") == 0;
    const char *kernel = own ? who : strcmp(who, "mv") == 0 ? "addmv_impl_cpu" : "addmm_impl_cpu_";
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, who, "\"%s\" not implemented for 'Bool'", kernel);
}
static wg_status matrix(const char *who, const wg_tensor *t, const char *what) {
    if (t->ndim == 2) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, who, "%s: %s must be a matrix, got %d-D tensor", who, what, t->ndim);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static wg_status gemm(wg_tensor *out, int64_t m, int64_t n, int64_t k, const wg_tensor *a, int64_t ra, int64_t ca,
                      const wg_tensor *b, int64_t rb, int64_t cb, int64_t ro, int64_t co, bool accumulate,
                      const void *bias) {
    return wg__gemm((wg_dtype)out->dtype, m, n, k, a->data, ra, ca, b->data, rb, cb, out->data, ro, co, accumulate,
                    bias);
}

/* ---- mm ---------------------------------------------------------------------------------------------------------- */

static wg_status mm_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *a = c->in[0], *b = c->in[1];
    wg_status st = matrix("mm", a, "self");
    if (st == WG_OK) st = matrix("mm", b, "mat2");
    if (st != WG_OK) return st;
    if (a->dims[1] != b->dims[0])
        return wg__raise(WG_ERR_RUNTIME, "mm",
                         "mm: mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld)",
                         (long long)a->dims[0], (long long)a->dims[1], (long long)b->dims[0], (long long)b->dims[1]);
    st = same_dtype("mm", a, b);
    if (st == WG_OK) st = no_bool("mm", a);
    g->ndim = 2;
    g->sizes[0] = a->dims[0];
    g->sizes[1] = b->dims[1];
    return st;
}
static wg_status mm_run(const wg_call *c) {
    const wg_tensor *a = c->in[0], *b = c->in[1];
    const int64_t *sa = wg__strides(a), *sb = wg__strides(b);
    return gemm(c->out[0], a->dims[0], b->dims[1], a->dims[1], a, sa[0], sa[1], b, sb[0], sb[1], b->dims[1], 1, false,
                NULL);
}
/* The gradients of a product's factors, laid out as the factors are: the weight of a linear layer comes transposed, and
 * its gradient need not be copied into the leaf's layout. As PyTorch's mm_mat1_backward and mm_mat2_backward. i: of the
 * call, first: the call's input that is the left factor. */
static wg_tensor *factor_vjp(const wg_call *c, wg_tensor *g, int i, int first) {
    wg_tensor *other = wg_conj(c->in[i == first ? first + 1 : first]);
    if (i == first) return wg__lay_in_columns(c, i) ? wg_t(wg_mm(other, wg_t(g))) : wg_mm(g, wg_t(other));
    return wg__lay_in_columns(c, i) ? wg_t(wg_mm(wg_t(g), other)) : wg_mm(wg_t(other), g);
}
static wg_tensor *mm_vjp(const wg_call *c, wg_tensor *const *g, int i) { return factor_vjp(c, g[0], i, 0); }
static wg_status mm_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim);
/* What the gradient of one operand reads is the other. */
#define PRODUCT_PARTIALS .partial = {{.uses = WG_USE_Y}, {.uses = WG_USE_X}}
static const wg_op op_mm = {.name = "mm",
                            .schema = "mm(Tensor self, Tensor mat2) -> Tensor",
                            .doc = "matrix product",
                            .traits = WG_MULTILINEAR,
                            .nin = 2,
                            .nout = 1,
                            PRODUCT_PARTIALS,
                            .shape = mm_shape,
                            .run = {mm_run},
                            .vjp = mm_vjp,
                            .batch = mm_batch,
                            .formula = {"g bᵀ", "aᵀ g"}};
wg_tensor *wg_mm(wg_tensor *a, wg_tensor *b) {
    wg_tensor *in[2] = {a, b};
    return wg__apply(&op_mm, in, 2, NULL, 0, WG_SITE);
}

/* ---- mv, dot ----------------------------------------------------------------------------------------------------- */

static wg_status mv_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *a = c->in[0], *x = c->in[1];
    if (a->ndim != 2 || x->ndim != 1)
        return wg__raise(WG_ERR_RUNTIME, "mv", "vector + matrix @ vector expected, got %d, %d, %d", 1, a->ndim,
                         x->ndim);
    if (a->dims[1] != x->dims[0])
        return wg__raise(WG_ERR_RUNTIME, "mv", "size mismatch, got input (%lld), mat (%lldx%lld), vec (%lld)",
                         (long long)a->dims[0], (long long)a->dims[0], (long long)a->dims[1], (long long)x->dims[0]);
    wg_status st =
        a->dtype == x->dtype
            ? WG_OK
            : wg__raise(WG_ERR_RUNTIME, "mv", "addmv input tensors must have the same dtype, but got %s, %s, and %s",
                        wg__dtype_scalar_name((wg_dtype)x->dtype), wg__dtype_scalar_name((wg_dtype)a->dtype),
                        wg__dtype_scalar_name((wg_dtype)x->dtype));
    if (st == WG_OK) st = no_bool("mv", a);
    g->ndim = 1;
    g->sizes[0] = a->dims[0];
    return st;
}
static wg_status mv_run(const wg_call *c) {
    const wg_tensor *a = c->in[0], *x = c->in[1];
    const int64_t *sa = wg__strides(a);
    return gemm(c->out[0], a->dims[0], 1, a->dims[1], a, sa[0], sa[1], x, wg__strides(x)[0], 1, 1, 1, false, NULL);
}
static wg_tensor *outer(wg_tensor *x, wg_tensor *y) { return wg_mul(wg_unsqueeze(x, 1), y); }
static wg_tensor *mv_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return i == 0 ? outer(g[0], wg_conj(c->in[1])) : wg_mv(wg_t(wg_conj(c->in[0])), g[0]);
}
static const wg_op op_mv = {.name = "mv",
                            .schema = "mv(Tensor self, Tensor vec) -> Tensor",
                            .doc = "matrix times vector",
                            .traits = WG_MULTILINEAR,
                            .nin = 2,
                            .nout = 1,
                            PRODUCT_PARTIALS,
                            .shape = mv_shape,
                            .run = {mv_run},
                            .vjp = mv_vjp,
                            .formula = {"g xᵀ", "aᵀ g"}};
wg_tensor *wg_mv(wg_tensor *a, wg_tensor *x) {
    wg_tensor *in[2] = {a, x};
    return wg__apply(&op_mv, in, 2, NULL, 0, WG_SITE);
}

static wg_status dot_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *y = c->in[1];
    if (x->ndim != 1 || y->ndim != 1)
        return wg__raise(WG_ERR_RUNTIME, "dot", "1D tensors expected, but got %dD and %dD tensors", x->ndim, y->ndim);
    wg_status st = same_dtype("dot", x, y);
    if (st == WG_OK && x->dims[0] != y->dims[0])
        st = wg__raise(WG_ERR_RUNTIME, "dot",
                       "inconsistent tensor size, expected tensor [%lld] and src [%lld] to have the same number of "
                       "elements, but got "
                       "%lld and %lld elements respectively",
                       (long long)x->dims[0], (long long)y->dims[0], (long long)x->dims[0], (long long)y->dims[0]);
    if (st == WG_OK) st = no_bool("dot", x);
    g->ndim = 0;
    return st;
}
static wg_status dot_run(const wg_call *c) {
    const wg_tensor *x = c->in[0], *y = c->in[1];
    return gemm(c->out[0], 1, 1, x->dims[0], x, 1, wg__strides(x)[0], y, wg__strides(y)[0], 1, 1, 1, false, NULL);
}
static wg_tensor *dot_vjp(const wg_call *c, wg_tensor *const *g, int i) { return wg_mul(g[0], wg_conj(c->in[1 - i])); }
static const wg_op op_dot = {.name = "dot",
                             .schema = "dot(Tensor self, Tensor tensor) -> Tensor",
                             .doc = "sum of products",
                             .traits = WG_MULTILINEAR,
                             .nin = 2,
                             .nout = 1,
                             PRODUCT_PARTIALS,
                             .shape = dot_shape,
                             .run = {dot_run},
                             .vjp = dot_vjp,
                             .formula = {"y", "x"}};
wg_tensor *wg_dot(wg_tensor *x, wg_tensor *y) {
    wg_tensor *in[2] = {x, y};
    return wg__apply(&op_dot, in, 2, NULL, 0, WG_SITE);
}

/* ---- bmm --------------------------------------------------------------------------------------------------------- */

static wg_status bmm_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *a = c->in[0], *b = c->in[1];
    if (a->ndim != 3) return wg__raise(WG_ERR_RUNTIME, "bmm", "batch1 must be a 3D tensor");
    if (b->ndim != 3) return wg__raise(WG_ERR_RUNTIME, "bmm", "batch2 must be a 3D tensor");
    if (b->dims[0] != a->dims[0] || b->dims[1] != a->dims[2])
        return wg__raise(
            WG_ERR_RUNTIME, "bmm",
            "Expected size for first two dimensions of batch2 tensor to be: [%lld, %lld] but got: [%lld, %lld].",
            (long long)a->dims[0], (long long)a->dims[2], (long long)b->dims[0], (long long)b->dims[1]);
    wg_status st = a->dtype == b->dtype ? no_bool("bmm", a)
                                        : wg__raise(WG_ERR_RUNTIME, "bmm", "expected scalar type %s but found %s",
                                                    wg__dtype_scalar_name((wg_dtype)a->dtype),
                                                    wg__dtype_scalar_name((wg_dtype)b->dtype));
    g->ndim = 3;
    g->sizes[0] = a->dims[0];
    g->sizes[1] = a->dims[1];
    g->sizes[2] = b->dims[2];
    return st;
}
static wg_status bmm_run(const wg_call *c) {
    const wg_tensor *a = c->in[0], *b = c->in[1];
    wg_tensor *out = c->out[0];
    const int64_t *sa = wg__strides(a), *sb = wg__strides(b);
    int64_t m = a->dims[1], n = b->dims[2], k = a->dims[2];
    return wg__gemm_batch((wg_dtype)out->dtype, a->dims[0], m, n, k, a->data, sa[0], sa[1], sa[2], b->data, sb[0],
                          sb[1], sb[2], out->data, m * n, n, 1, false);
}
static wg_tensor *bmm_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return i == 0 ? wg_bmm(g[0], wg_transpose(wg_conj(c->in[1]), 1, 2))
                  : wg_bmm(wg_transpose(wg_conj(c->in[0]), 1, 2), g[0]);
}
static const wg_op op_bmm = {.name = "bmm",
                             .schema = "bmm(Tensor self, Tensor mat2) -> Tensor",
                             .doc = "a product per batch entry",
                             .traits = WG_MULTILINEAR,
                             .nin = 2,
                             .nout = 1,
                             PRODUCT_PARTIALS,
                             .shape = bmm_shape,
                             .run = {bmm_run},
                             .vjp = bmm_vjp,
                             .formula = {"g bᵀ", "aᵀ g"}};
wg_tensor *wg_bmm(wg_tensor *a, wg_tensor *b) {
    wg_tensor *in[2] = {a, b};
    return wg__apply(&op_bmm, in, 2, NULL, 0, WG_SITE);
}

/* vmap of mm: one bmm; an operand without a batch dim is expanded. */
static wg_tensor *as_batch(wg_tensor *t, int bdim, int64_t size) {
    int64_t sizes[3], order[3] = {bdim, bdim == 0 ? 1 : 0, bdim == 2 ? 1 : 2};
    if (bdim >= 0) return bdim == 0 ? t : wg_permute(t, 3, order);
    sizes[0] = size;
    sizes[1] = sizes[2] = -1;
    return wg_expand(wg_unsqueeze(t, 0), 3, sizes);
}
static wg_status mm_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    int64_t size = bdim[0] >= 0 ? c->in[0]->dims[bdim[0]] : c->in[1]->dims[bdim[1]];
    out[0] = wg_bmm(as_batch(c->in[0], bdim[0], size), as_batch(c->in[1], bdim[1], size));
    out_bdim[0] = 0;
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}

/* ---- addmm ------------------------------------------------------------------------------------------------------- */

/* attr: beta, alpha. A row as c and both 1 is the bias of a layer: the product writes it in its tail. */
static double scalar(const wg_value *v) { return v->tag == WG_V_DOUBLE ? v->d : v->tag == WG_V_INT ? (double)v->i : 1; }
static wg_status addmm_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *s = c->in[0], *a = c->in[1], *b = c->in[2];
    char x[256];
    wg_status st = matrix("addmm", a, "self");
    if (st == WG_OK) st = matrix("addmm", b, "mat2");
    if (st != WG_OK) return st;
    if (a->dims[1] != b->dims[0])
        return wg__raise(WG_ERR_RUNTIME, "addmm",
                         "addmm: mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld)",
                         (long long)a->dims[0], (long long)a->dims[1], (long long)b->dims[0], (long long)b->dims[1]);
    if (s->dtype != b->dtype)
        return wg__raise(WG_ERR_RUNTIME, "addmm", "self and mat2 must have the same dtype, but got %s and %s",
                         wg__dtype_scalar_name((wg_dtype)s->dtype), wg__dtype_scalar_name((wg_dtype)b->dtype));
    if (a->dtype != b->dtype)
        return wg__raise(WG_ERR_RUNTIME, "addmm", "mat1 and mat2 must have the same dtype, but got %s and %s",
                         wg__dtype_scalar_name((wg_dtype)a->dtype), wg__dtype_scalar_name((wg_dtype)b->dtype));
    g->ndim = 2;
    g->dtype = (wg_dtype)a->dtype;
    g->sizes[0] = a->dims[0];
    g->sizes[1] = b->dims[1];
    for (int i = 0; i < s->ndim; i++) {
        int64_t want = s->ndim <= 2 ? g->sizes[2 - s->ndim + i] : 0;
        if (s->ndim > 2 || (s->dims[i] != 1 && s->dims[i] != want))
            return wg__raise(WG_ERR_RUNTIME, "addmm",
                             "The expanded size of the tensor (%lld) must match the existing size (%lld) at "
                             "non-singleton dimension %d.  "
                             "Target sizes: [%lld, %lld].  Tensor sizes: %s",
                             (long long)want, (long long)s->dims[i], 2 - s->ndim + i, (long long)g->sizes[0],
                             (long long)g->sizes[1], wg__sizes_text(x, sizeof(x), s->ndim, s->dims));
    }
    return no_bool("addmm", a);
}
static wg_status addmm_run(const wg_call *c) {
    wg_tensor *s = c->in[0], *out = c->out[0];
    const wg_tensor *a = c->in[1], *b = c->in[2];
    const int64_t *sa = wg__strides(a), *sb = wg__strides(b);
    double beta = scalar(&c->attr[0]), alpha = scalar(&c->attr[1]);
    int64_t m = a->dims[0], n = b->dims[1], k = a->dims[1];
    bool row = s->ndim == 1 && s->dims[0] == n && (n == 1 || wg__strides(s)[0] == 1);
    if (row && beta == 1 && alpha == 1)
        return gemm(out, m, n, k, a, sa[0], sa[1], b, sb[0], sb[1], n, 1, false, s->data);
    wg_status st = gemm(out, m, n, k, a, sa[0], sa[1], b, sb[0], sb[1], n, 1, false, NULL);
    if (st != WG_OK) return st;
    uint8_t no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    WG_SCOPE {
        bool whole = out->dtype <= WG_INT64;
        wg_tensor *r = out;
        if (alpha != 1) r = wg_mul(r, whole ? wg_i((int64_t)alpha) : wg_s(alpha));
        if (beta != 0) r = wg_add(r, beta == 1 ? s : wg_mul(s, whole ? wg_i((int64_t)beta) : wg_s(beta)));
        st = wg_is_poison(r) ? WG_ERR_RUNTIME : r == out ? WG_OK : wg__copy_into(out, r);
    }
    wg__tls.no_grad = no_grad;
    return st;
}
static wg_tensor *times(wg_tensor *t, double by) { return by == 1 ? t : wg_mul(t, wg_s(by)); }
static wg_tensor *addmm_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    double beta = scalar(&c->attr[0]), alpha = scalar(&c->attr[1]);
    if (i == 0) return times(g[0], beta);
    return times(factor_vjp(c, g[0], i, 1), alpha);
}
static wg_tensor *addmm_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    double beta = scalar(&c->attr[0]), alpha = scalar(&c->attr[1]);
    wg_tensor *r = t[0] ? wg_expand_as(times(t[0], beta), c->out[o]) : NULL;
    if (t[1]) r = wg__add_null(r, times(wg_mm(t[1], c->in[2]), alpha));
    if (t[2]) r = wg__add_null(r, times(wg_mm(c->in[1], t[2]), alpha));
    return r;
}
static const wg_op op_addmm = {
    .name = "addmm",
    .schema = "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    .doc = "beta self + alpha mat1 @ mat2",
    .shown = WG_INPLACE,
    .nin = 3,
    .nout = 1,
    .partial = {{.uses = 0}, {.uses = WG_USE_W}, {.uses = WG_USE_Y}},
    .shape = addmm_shape,
    .run = {addmm_run},
    .vjp = addmm_vjp,
    .jvp = addmm_jvp,
    .formula = {"beta", "alpha g bᵀ", "alpha aᵀ g"}};
wg_tensor *wg_addmm_scaled(wg_tensor *s, wg_tensor *a, wg_tensor *b, double beta, double alpha) {
    wg_tensor *in[3] = {s, a, b};
    wg_value v[2] = {WG_VAL_D(beta), WG_VAL_D(alpha)};
    return wg__apply(&op_addmm, in, 3, v, 2, WG_SITE);
}
wg_tensor *wg_addmm(wg_tensor *s, wg_tensor *a, wg_tensor *b) {
    wg_tensor *in[3] = {s, a, b};
    wg_value v[2] = {WG_VAL_I(1), WG_VAL_I(1)};
    return wg__apply(&op_addmm, in, 3, v, 2, WG_SITE);
}

/* ---- matmul ------------------------------------------------------------------------------------------------------ */

static int64_t product(const int64_t *sizes, int n) {
    int64_t p = 1;
    for (int i = 0; i < n; i++) p *= sizes[i];
    return p;
}

/* Many rows against one matrix: the leading dims fold into the rows of one mm (or mv). */
static wg_tensor *fold_left(wg_tensor *a, wg_tensor *b) {
    int64_t flat[2] = {product(a->dims, a->ndim - 1), a->dims[a->ndim - 1]}, out[WG_MAX_DIMS];
    memcpy(out, a->dims, (size_t)(a->ndim - 1) * 8);
    wg_tensor *rows = wg_reshape(a, 2, flat);
    if (b->ndim == 1) return wg__unsafe_view(wg_mv(rows, b), a->ndim - 1, out);
    out[a->ndim - 1] = b->dims[1];
    return wg__unsafe_view(wg_mm(rows, b), a->ndim, out);
}

static wg_tensor *batched(wg_tensor *a, wg_tensor *b) {
    int na = a->ndim > 2 ? a->ndim - 2 : 0, nb = b->ndim > 2 ? b->ndim - 2 : 0, n = na > nb ? na : nb;
    int64_t batch[WG_MAX_DIMS], sizes[WG_MAX_DIMS], flat[3];
    int64_t m = a->ndim == 1 ? 1 : a->dims[a->ndim - 2], k = a->dims[a->ndim - 1],
            cols = b->ndim == 1 ? 1 : b->dims[b->ndim - 1];
    int64_t kb = b->ndim == 1 ? b->dims[0] : b->dims[b->ndim - 2];
    for (int i = 0; i < n; i++) {
        int64_t x = i < n - na ? 1 : a->dims[i - (n - na)], y = i < n - nb ? 1 : b->dims[i - (n - nb)];
        if (x != y && x != 1 && y != 1)
            return wg__fail(
                WG_ERR_RUNTIME, "matmul",
                "The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton dimension %d",
                (long long)x, (long long)y, i);
        batch[i] = x == 1 ? y : x;
    }
    wg_tensor *x = a->ndim == 1 ? wg_unsqueeze(a, 0) : a, *y = b->ndim == 1 ? wg_unsqueeze(b, 1) : b;
    memcpy(sizes, batch, (size_t)n * 8);
    sizes[n] = m, sizes[n + 1] = k;
    flat[0] = product(batch, n), flat[1] = m, flat[2] = k;
    x = wg_reshape(wg_expand(x, n + 2, sizes), 3, flat);
    sizes[n] = kb, sizes[n + 1] = cols;
    flat[1] = kb, flat[2] = cols;
    y = wg_reshape(wg_expand(y, n + 2, sizes), 3, flat);
    int out = n;
    memcpy(sizes, batch, (size_t)n * 8);
    if (a->ndim > 1) sizes[out++] = m;
    if (b->ndim > 1) sizes[out++] = cols;
    return wg__unsafe_view(wg_bmm(x, y), out, sizes);
}

wg_tensor *wg_matmul(wg_tensor *a, wg_tensor *b) {
    WG_COMPOSITE;
    if (!a || !b) return wg__fail(WG_ERR_TYPE, "matmul", "matmul(): arguments must be Tensors, not None");
    if (!wg__ok(a) || !wg__ok(b)) return WG_POISON;
    if (a->ndim == 0 || b->ndim == 0)
        return wg__fail(WG_ERR_RUNTIME, "matmul",
                        "both arguments to matmul need to be at least 1D, but they are %dD and %dD", a->ndim, b->ndim);
    if (a->ndim == 1 && b->ndim == 1) return wg_dot(a, b);
    if (a->ndim == 2 && b->ndim == 1) return wg_mv(a, b);
    if (a->ndim == 1 && b->ndim == 2) return wg__squeeze_inplace_like(wg_mm(wg_unsqueeze(a, 0), b), 0);
    if (a->ndim == 2 && b->ndim == 2) return wg_mm(a, b);
    if (a->ndim > 2 && b->ndim <= 2) return fold_left(a, b);
    if (b->ndim > 2 && a->ndim == 1) return fold_left(wg_mT(b), a);
    /* A matrix before many: folded the other way, (b.mT @ a.T).mT, only when its gradient would be as many, as PyTorch
     */
    if (b->ndim > 2 && a->ndim == 2 && wg_requires_grad(a)) {
        wg_tensor *r = fold_left(wg_mT(b), wg_t(a));
        return wg_contiguous(wg_mT(r));
    }
    return batched(a, b);
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

wg_tensor *wg_linear(wg_tensor *x, wg_tensor *weight, wg_tensor *bias) {
    WG_COMPOSITE;
    if (!x || !weight) return wg__fail(WG_ERR_TYPE, "linear", "linear(): input and weight must be Tensors, not None");
    if (!wg__ok(x) || !wg__ok(weight) || (bias && !wg__ok(bias))) return WG_POISON;
    if (x->ndim == 0 || weight->ndim == 0)
        return wg__fail(WG_ERR_RUNTIME, "linear",
                        "both arguments to linear need to be at least 1D, but they are %dD and %dD", x->ndim,
                        weight->ndim);
    if (x->ndim == 2 && bias) return wg_addmm(bias, x, wg_t(weight));
    if (bias && weight->ndim == 2 && wg_is_contiguous(x)) { /* one row, or rows that fold into a matrix */
        int64_t flat[2] = {product(x->dims, x->ndim - 1), x->dims[x->ndim - 1]}, out[WG_MAX_DIMS];
        memcpy(out, x->dims, (size_t)(x->ndim - 1) * 8);
        out[x->ndim - 1] = weight->dims[0];
        return wg__unsafe_view(wg_addmm(bias, wg_view(x, 2, flat), wg_t(weight)), x->ndim, out);
    }
    wg_tensor *y = wg_matmul(x, wg_t(weight));
    return bias ? wg_add(y, bias) : y;
}

/* ---- composites for bindings ------------------------------------------------------------------------------------- */

WG_COMPOSED(matmul, "matmul", "(Tensor self, Tensor other) -> Tensor", "product in every combination of ranks",
            wg_matmul(a[0].t, a[1].t), .formula = {"g bᵀ", "aᵀ g"})
WG_COMPOSED(linear, "linear", "(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", "x @ weight.T + bias",
            wg_linear(a[0].t, a[1].t, a[2].t), .shown = WG_NN, .formula = {"g W", "gᵀ x", "sum g"})

const wg_op *const wg__ops_matmul[] = {&op_mm, &op_mv, &op_dot, &op_bmm, &op_addmm, &op_matmul, &op_linear, NULL};
