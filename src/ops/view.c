/* view.c - ops whose result shares the input's storage: a shape rule gives sizes, strides and offset, the waist makes
 * the view. All are linear, so forward mode runs them on the tangent, which is then a view of the tangent (D1).
 * Copies and joins are in copy.c.
 */
#include "core/apply.h"
#include "wengert/ops.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static void start_from(const wg_tensor *t, wg_geometry *g) {
    g->ndim = t->ndim;
    g->dtype = (wg_dtype)t->dtype;
    g->strided = true;
    g->offset = 0;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    memcpy(g->strides, wg__strides(t), (size_t)t->ndim * 8);
}
static void drop_dim(wg_geometry *g, int d) {
    size_t rest = (size_t)(g->ndim - d - 1) * 8;
    memmove(g->sizes + d, g->sizes + d + 1, rest);
    memmove(g->strides + d, g->strides + d + 1, rest);
    g->ndim--;
}
static wg_status add_dim(const char *op, wg_geometry *g, int d, int64_t stride) {
    if (g->ndim == WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, op, "%s: only tensors with up to %d dims are supported", op, WG_MAX_DIMS);
    size_t rest = (size_t)(g->ndim - d) * 8;
    memmove(g->sizes + d + 1, g->sizes + d, rest);
    memmove(g->strides + d + 1, g->strides + d, rest);
    g->sizes[d] = 1;
    g->strides[d] = stride;
    g->ndim++;
    return WG_OK;
}
static int64_t int_or(const wg_value *v, int64_t otherwise) { return v->tag == WG_V_NONE ? otherwise : v->i; }

/* vmap: the batch dim goes to the front of the value, so that a dim of the sample is one higher. */
static wg_tensor *front(const wg_call *c, const int *bdim) {
    int64_t order[WG_MAX_DIMS];
    wg_tensor *v = c->in[0];
    int n = 0;
    if (bdim[0] == 0) return v;
    order[n++] = bdim[0];
    for (int i = 0; i < v->ndim; i++)
        if (i != bdim[0]) order[n++] = i;
    return wg_permute(v, n, order);
}
static int64_t shifted(int64_t dim, int sample_dims) { return (dim < 0 ? dim + sample_dims : dim) + 1; }
static wg_status batched(wg_tensor *r, wg_tensor **out, int *out_bdim) {
    out[0] = r;
    out_bdim[0] = 0;
    return wg_is_poison(r) ? WG_ERR_RUNTIME : WG_OK;
}

/* Zeros of the input's shape with the view of them written by g: the vjp of select, slice and as_strided. */
static wg_tensor *zeros_like_input(const wg_call *c, wg_tensor *g) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, 0, &n);
    return wg__zeros((wg_dtype)g->dtype, n, sizes);
}

/* ---- permute, transpose, t --------------------------------------------------------------------------------------- */

static wg_status permute_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    const wg_value *v = &c->attr[0];
    bool seen[WG_MAX_DIMS] = {false};
    if (v->tag != WG_V_INTS || (int)v->n != t->ndim)
        return wg__raise(
            WG_ERR_RUNTIME, "permute",
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length of the desired ordering of dimensions i.e. input.dim() = %d is not equal to len(dims) = %u",
            t->ndim, v->n);
    start_from(t, g);
    for (int i = 0; i < t->ndim; i++) {
        int d = wg__wrap_dim("permute", v->ints[i], t->ndim);
        if (d < 0) return WG_ERR_INDEX;
        if (seen[d]) return wg__raise(WG_ERR_RUNTIME, "permute", "permute(): duplicate dims are not allowed.");
        seen[d] = true;
        g->sizes[i] = t->dims[d];
        g->strides[i] = wg__strides(t)[d];
    }
    return WG_OK;
}
static wg_tensor *permute_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int64_t back[WG_MAX_DIMS];
    int n = (int)c->attr[0].n;
    (void)i;
    for (int k = 0; k < n; k++) {
        int64_t d = c->attr[0].ints[k];
        back[d < 0 ? d + n : d] = k;
    }
    return wg_permute(g[0], n, back);
}
static wg_status permute_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    int64_t order[WG_MAX_DIMS] = {0};
    int n = (int)c->attr[0].n;
    for (int k = 0; k < n; k++) order[k + 1] = shifted(c->attr[0].ints[k], n);
    return batched(wg_permute(front(c, bdim), n + 1, order), out, out_bdim);
}
static const wg_op op_permute = {.name = "permute",
                                 .schema = "permute(Tensor self, int[] dims) -> Tensor",
                                 .doc = "the dims in another order",
                                 .traits = WG_VIEW | WG_LINEAR,
                                 .nin = 1,
                                 .nout = 1,
                                 .shape = permute_shape,
                                 .vjp = permute_vjp,
                                 .batch = permute_batch,
                                 .formula = {"permuted back"}};
wg_tensor *wg_permute(wg_tensor *x, int ndim, const int64_t *dims) {
    wg_value a = WG_VAL_INTS(dims, ndim);
    return wg__apply(&op_permute, &x, 1, &a, 1, WG_SITE);
}

static wg_status transpose_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    int a = wg__wrap_dim("transpose", c->attr[0].i, t->ndim);
    int b = a < 0 ? -1 : wg__wrap_dim("transpose", c->attr[1].i, t->ndim);
    if (b < 0) return WG_ERR_INDEX;
    start_from(t, g);
    if (t->ndim == 0) return WG_OK;
    g->sizes[a] = t->dims[b];
    g->sizes[b] = t->dims[a];
    g->strides[a] = wg__strides(t)[b];
    g->strides[b] = wg__strides(t)[a];
    return WG_OK;
}
static wg_tensor *transpose_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_transpose(g[0], c->attr[0].i, c->attr[1].i);
}
static wg_status transpose_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *v = front(c, bdim);
    int n = v->ndim - 1;
    if (n == 0) return batched(v, out, out_bdim);
    return batched(wg_transpose(v, shifted(c->attr[0].i, n), shifted(c->attr[1].i, n)), out, out_bdim);
}
static wg_tensor *transpose_boxed_(const wg_value *a) {
    return wg_take_geometry_(a[0].t, wg_transpose(a[0].t, a[1].i, a[2].i));
}
static const wg_op op_transpose = {.name = "transpose",
                                   .schema = "transpose(Tensor self, int dim0, int dim1) -> Tensor",
                                   .aliases = "swapdims",
                                   .shown = WG_INPLACE,
                                   .boxed_ = transpose_boxed_,
                                   .doc = "two dims exchanged",
                                   .traits = WG_VIEW | WG_LINEAR,
                                   .nin = 1,
                                   .nout = 1,
                                   .shape = transpose_shape,
                                   .vjp = transpose_vjp,
                                   .batch = transpose_batch,
                                   .formula = {"exchanged back"}};
wg_tensor *wg_transpose(wg_tensor *x, int64_t dim0, int64_t dim1) {
    wg_value a[2] = {WG_VAL_I(dim0), WG_VAL_I(dim1)};
    return wg__apply(&op_transpose, &x, 1, a, 2, WG_SITE);
}
wg_tensor *wg_mT(wg_tensor *x) {
    WG_COMPOSITE;
    if (x && wg__ok(x) && x->ndim == 0) return x;
    if (x && wg__ok(x) && x->ndim < 2)
        return wg__fail(WG_ERR_RUNTIME, "mT",
                        "tensor.mT is only supported on matrices or batches of matrices. Got %d-D tensor.", x->ndim);
    return wg_transpose(x, -2, -1);
}

static wg_status t_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    if (t->ndim > 2)
        return wg__raise(WG_ERR_RUNTIME, "t", "t() expects a tensor with <= 2 dimensions, but self is %dD", t->ndim);
    start_from(t, g);
    if (t->ndim == 2) {
        g->sizes[0] = t->dims[1];
        g->sizes[1] = t->dims[0];
        g->strides[0] = wg__strides(t)[1];
        g->strides[1] = wg__strides(t)[0];
    }
    return WG_OK;
}
static wg_tensor *t_vjp(const wg_call *c, wg_tensor *const *g, int i) { return (void)c, (void)i, wg_t(g[0]); }
static wg_status t_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *v = front(c, bdim);
    return batched(v->ndim == 3 ? wg_transpose(v, 1, 2) : v, out, out_bdim);
}
static wg_tensor *t_boxed_(const wg_value *a) { return wg_take_geometry_(a[0].t, wg_t(a[0].t)); }
static const wg_op op_t = {.name = "t",
                           .shown = WG_INPLACE,
                           .boxed_ = t_boxed_,
                           .schema = "t(Tensor self) -> Tensor",
                           .doc = "transpose of a matrix",
                           .traits = WG_VIEW | WG_LINEAR,
                           .nin = 1,
                           .nout = 1,
                           .shape = t_shape,
                           .vjp = t_vjp,
                           .batch = t_batch,
                           .formula = {"transposed back"}};
wg_tensor *wg_t(wg_tensor *x) { return wg__apply(&op_t, &x, 1, NULL, 0, WG_SITE); }

/* ---- view, reshape, flatten -------------------------------------------------------------------------------------- */

/* Fills in the one -1. */
static wg_status infer_sizes(const char *op, int64_t numel, const wg_value *v, wg_geometry *g) {
    char text[256];
    int64_t known = 1;
    int hole = -1;
    g->ndim = (int)v->n;
    if (v->n > WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, op, "%s: only tensors with up to %d dims are supported", op, WG_MAX_DIMS);
    for (int i = 0; i < g->ndim; i++) {
        g->sizes[i] = v->ints[i];
        if (v->ints[i] == -1) {
            if (hole >= 0) return wg__raise(WG_ERR_RUNTIME, op, "only one dimension can be inferred");
            hole = i;
        } else if (v->ints[i] < 0) {
            return wg__raise(WG_ERR_RUNTIME, op, "invalid shape dimension %lld at index %d of shape %s",
                             (long long)v->ints[i], i, wg__sizes_text(text, sizeof(text), g->ndim, v->ints));
        } else if (__builtin_mul_overflow(known, v->ints[i], &known)) {
            known = -1;
            break;
        }
    }
    if (hole >= 0 && known == 0 && numel == 0)
        return wg__raise(WG_ERR_RUNTIME, op,
                         "cannot reshape tensor of %lld elements into shape %s because the unspecified "
                         "dimension size -1 can be any value and is ambiguous",
                         (long long)numel, wg__sizes_text(text, sizeof(text), g->ndim, v->ints));
    if (hole >= 0 && known > 0 && numel % known == 0) {
        g->sizes[hole] = numel / known;
        return WG_OK;
    }
    if (hole < 0 && known == numel) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op, "shape '%s' is invalid for input of size %lld",
                     wg__sizes_text(text, sizeof(text), g->ndim, v->ints), (long long)numel);
}

/* Strides for the new sizes, if the old ones allow a view: runs of old dims that step as one are cut anew. Dims of size
 * 1 get the strides that PyTorch gives them, also where the tensor counts as row-major whatever they are. */
static bool view_strides(const wg_tensor *t, wg_geometry *g) {
    const int64_t *strides = wg__strides(t);
    if (t->numel == 0 || t->ndim == 0) {
        bool same = t->ndim == g->ndim && memcmp(t->dims, g->sizes, (size_t)g->ndim * 8) == 0;
        if (same)
            memcpy(g->strides, strides, (size_t)g->ndim * 8);
        else
            wg__row_major(g->ndim, g->sizes, g->strides);
        return true;
    }
    int v = g->ndim - 1;
    int64_t base = t->ndim ? strides[t->ndim - 1] : 1, run = 1, cut = 1;
    for (int d = t->ndim - 1; d >= 0; d--) {
        run *= t->dims[d];
        bool ends = d == 0 || (t->dims[d - 1] != 1 && strides[d - 1] != run * base);
        if (!ends) continue;
        while (v >= 0 && (cut < run || g->sizes[v] == 1)) {
            g->strides[v] = cut * base;
            cut *= g->sizes[v--];
        }
        if (cut != run) return false;
        if (d > 0) {
            base = strides[d - 1];
            run = cut = 1;
        }
    }
    return v == -1;
}

static wg_status view_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    g->strided = true;
    g->offset = 0;
    g->dtype = (wg_dtype)t->dtype;
    wg_status st = infer_sizes("view", t->numel, &c->attr[0], g);
    if (st != WG_OK || view_strides(t, g)) return st;
    return wg__raise(
        WG_ERR_RUNTIME, "view",
        "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
        "two contiguous subspaces). Use .reshape(...) instead.");
}
static wg_tensor *view_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    return wg_reshape(g[0], n, sizes);
}
static wg_status view_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    int64_t sizes[WG_MAX_DIMS];
    wg_tensor *v = front(c, bdim);
    sizes[0] = v->dims[0];
    for (uint32_t k = 0; k < c->attr[0].n; k++) sizes[k + 1] = c->attr[0].ints[k];
    return batched(wg_reshape(v, (int)c->attr[0].n + 1, sizes), out, out_bdim);
}
#define VIEW_OP(op_, name_, shown_, also)                                                                              \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ "(Tensor self, int[] size) -> Tensor",                                   \
                              .doc = "the same elements in another shape",                                             \
                              .traits = WG_VIEW | WG_LINEAR | (also),                                                  \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .shape = view_shape,                                                                     \
                              .vjp = view_vjp,                                                                         \
                              .batch = view_batch,                                                                     \
                              .shown = shown_,                                                                         \
                              .formula = {"reshaped back"}};
VIEW_OP(op_view, "view", WG_METHOD, 0)
VIEW_OP(op_unsafe_view, "_unsafe_view", WG_HIDDEN, WG_OF_TEMPORARY)
VIEW_OP(op_reshape_alias, "_reshape_alias", WG_HIDDEN,
        0) /* reshape's view of a tensor that is not contiguous: a name of its own */

wg_tensor *wg_view(wg_tensor *x, int ndim, const int64_t *sizes) {
    wg_value a = WG_VAL_INTS(sizes, ndim);
    return wg__apply(&op_view, &x, 1, &a, 1, WG_SITE);
}
/* The view of a temporary that nobody else sees. */
wg_tensor *wg__unsafe_view(wg_tensor *x, int ndim, const int64_t *sizes) {
    wg_value a = WG_VAL_INTS(sizes, ndim);
    return wg__apply(&op_unsafe_view, &x, 1, &a, 1, WG_SITE);
}

wg_tensor *wg_reshape(wg_tensor *x, int ndim, const int64_t *sizes) {
    WG_COMPOSITE;
    wg_geometry g;
    wg_value a = WG_VAL_INTS(sizes, ndim);
    if (!x) return wg__fail(WG_ERR_TYPE, "reshape", "reshape(): argument 1 must be Tensor, not None");
    if (!wg__ok(x)) return x;
    if (x->flags & TF_BATCHED) return wg_view(x, ndim, sizes);
    if (infer_sizes("reshape", x->numel, &a, &g) != WG_OK) return WG_POISON;
    a = WG_VAL_INTS(g.sizes, g.ndim);
    if (view_strides(x, &g))
        return wg__apply(x->flags & TF_CONTIG ? &op_view : &op_reshape_alias, &x, 1, &a, 1, WG_SITE);
    return wg__unsafe_view(wg__clone_contiguous(x), g.ndim, g.sizes);
}
wg_tensor *wg_flatten(wg_tensor *x, int64_t start_dim, int64_t end_dim) {
    WG_COMPOSITE;
    if (!x) return wg__fail(WG_ERR_TYPE, "flatten", "flatten(): argument 1 must be Tensor, not None");
    if (!wg__ok(x)) return x;
    int64_t sizes[WG_MAX_DIMS], one = 1;
    int a = wg__wrap_dim("flatten", start_dim, x->ndim), b = a < 0 ? -1 : wg__wrap_dim("flatten", end_dim, x->ndim),
        n = 0;
    if (b < 0) return WG_POISON;
    if (a > b)
        return wg__fail(WG_ERR_RUNTIME, "flatten", "flatten() has invalid args: start_dim cannot come after end_dim");
    if (x->ndim == 0) return wg_reshape(x, 1, &one);
    if (a == b) return x;
    for (int i = 0; i < x->ndim; i++) {
        if (i <= a || i > b)
            sizes[n++] = x->dims[i];
        else
            sizes[n - 1] *= x->dims[i];
    }
    return wg_reshape(x, n, sizes);
}

/* ---- expand ------------------------------------------------------------------------------------------------------ */

static wg_status expand_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    const wg_value *v = &c->attr[0];
    char want[256], have[256];
    int lead = (int)v->n - t->ndim;
    if (v->n > WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, "expand", "expand: only tensors with up to %d dims are supported",
                         WG_MAX_DIMS);
    if (lead < 0)
        return wg__raise(
            WG_ERR_RUNTIME, "expand",
            "expand(torch.%sTensor{%s}, size=%s): the number of sizes provided (%u) must be greater or equal to "
            "the number of dimensions in the tensor (%d)",
            wg__dtype_scalar_name((wg_dtype)t->dtype), wg__sizes_text(have, sizeof(have), t->ndim, t->dims),
            wg__sizes_text(want, sizeof(want), (int)v->n, v->ints), v->n, t->ndim);
    *g = (wg_geometry){.ndim = (int)v->n, .dtype = (wg_dtype)t->dtype, .strided = true};
    for (int i = g->ndim; i-- > 0;) { /* the last dim that does not fit is named */
        int64_t size = v->ints[i], old = i < lead ? 1 : t->dims[i - lead];
        if (size == -1 && i >= lead) size = old;
        if (size < 0 && (old == 1 || i < lead))
            return wg__raise(WG_ERR_RUNTIME, "expand",
                             "The expanded size of the tensor (%lld) isn't allowed in a leading, "
                             "non-existing dimension %d",
                             (long long)size, i);
        if (old != 1 && old != size)
            return wg__raise(
                WG_ERR_RUNTIME, "expand",
                "The expanded size of the tensor (%lld) must match the existing size (%lld) at non-singleton "
                "dimension %d.  Target sizes: %s.  Tensor sizes: %s",
                (long long)size, (long long)old, i, wg__sizes_text(want, sizeof(want), (int)v->n, v->ints),
                wg__sizes_text(have, sizeof(have), t->ndim, t->dims));
        g->sizes[i] = size;
        g->strides[i] = i < lead || old != size ? 0 : wg__strides(t)[i - lead];
    }
    return WG_OK;
}
static wg_tensor *expand_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    return wg__sum_to(g[0], n, sizes);
}
static wg_status expand_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    int64_t sizes[WG_MAX_DIMS];
    wg_tensor *v = front(c, bdim);
    int n = (int)c->attr[0].n;
    while (v->ndim - 1 < n && !wg_is_poison(v)) v = wg_unsqueeze(v, 1);
    sizes[0] = v->dims[0];
    for (int k = 0; k < n; k++) sizes[k + 1] = c->attr[0].ints[k];
    return batched(wg_expand(v, n + 1, sizes), out, out_bdim);
}
static const wg_op op_expand = {.name = "expand",
                                .schema = "expand(Tensor self, int[] size, *, bool implicit=False) -> Tensor",
                                .doc = "size-1 and new leading dims repeated, without copying",
                                .traits = WG_VIEW | WG_LINEAR,
                                .nin = 1,
                                .nout = 1,
                                .shown = WG_METHOD,
                                .shape = expand_shape,
                                .vjp = expand_vjp,
                                .batch = expand_batch,
                                .formula = {"summed over the repeated dims"}};
wg_tensor *wg_expand(wg_tensor *x, int ndim, const int64_t *sizes) {
    wg_value a[2] = {WG_VAL_INTS(sizes, ndim), WG_VAL_B(false)};
    return wg__apply(&op_expand, &x, 1, a, 2, WG_SITE);
}
wg_tensor *wg_expand_as(wg_tensor *x, const wg_tensor *other) {
    WG_COMPOSITE;
    if (!other) return wg__fail(WG_ERR_TYPE, "expand_as", "expand_as(): argument 2 must be Tensor, not None");
    return wg__ok(other) ? wg_expand(x, other->ndim, other->dims) : WG_POISON;
}

/* ---- squeeze, unsqueeze ------------------------------------------------------------------------------------------ */

/* attr: NONE (all size-1 dims), an int, or ints. */
static wg_status squeeze_mask(const wg_call *c, const wg_tensor *t, bool *drop) {
    const wg_value *v = &c->attr[0];
    for (int i = 0; i < t->ndim; i++) drop[i] = v->tag == WG_V_NONE;
    int n = v->tag == WG_V_INTS ? (int)v->n : v->tag == WG_V_INT ? 1 : 0;
    for (int k = 0; k < n; k++) {
        int d = wg__wrap_dim("squeeze", v->tag == WG_V_INTS ? v->ints[k] : v->i, t->ndim);
        if (d < 0) return WG_ERR_INDEX;
        if ((t->ndim ? drop[d] : k > 0) && v->tag == WG_V_INTS)
            return wg__raise(WG_ERR_RUNTIME, "squeeze", "dim %d appears multiple times in the list of dims", d);
        if (t->ndim) drop[d] = true;
    }
    return WG_OK;
}
static wg_status squeeze_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    bool drop[WG_MAX_DIMS];
    wg_status st = squeeze_mask(c, t, drop);
    start_from(t, g);
    for (int d = t->ndim; st == WG_OK && d-- > 0;)
        if (drop[d] && t->dims[d] == 1) drop_dim(g, d);
    return st;
}
static const char *squeeze_name(const wg_call *c) {
    switch (c->attr[0].tag) {
    case WG_V_NONE: return "SqueezeBackward0";
    case WG_V_INTS: return "SqueezeBackward2";
    default: return "SqueezeBackward1";
    }
}
static wg_status squeeze_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    int64_t dims[WG_MAX_DIMS];
    wg_tensor *v = front(c, bdim);
    const wg_value *a = &c->attr[0];
    int n = 0, sample = v->ndim - 1;
    if (a->tag == WG_V_NONE)
        for (int i = 0; i < sample; i++) dims[n++] = i + 1;
    else if (a->tag == WG_V_INTS)
        for (uint32_t k = 0; k < a->n; k++) dims[n++] = shifted(a->ints[k], sample);
    else
        dims[n++] = shifted(a->i, sample);
    return batched(sample ? wg_squeeze_dims(v, n, dims) : v, out, out_bdim);
}
static wg_tensor *squeeze_boxed(const wg_value *a) { return wg_squeeze(a[0].t); }
static wg_tensor *squeeze_boxed_(const wg_value *a) { return wg_take_geometry_(a[0].t, wg_squeeze(a[0].t)); }
static wg_tensor *squeeze_dim_boxed_(const wg_value *a) {
    return wg_take_geometry_(a[0].t, wg_squeeze_dim(a[0].t, a[1].i));
}
static wg_tensor *squeeze_dims_boxed_(const wg_value *a) {
    return wg_take_geometry_(a[0].t, wg_squeeze_dims(a[0].t, (int)a[1].n, a[1].ints));
}
static const wg_op op_squeeze = {.name = "squeeze",
                                 .shown = WG_INPLACE,
                                 .boxed_ = squeeze_boxed_,
                                 .schema = "squeeze(Tensor self) -> Tensor",
                                 .boxed = squeeze_boxed,
                                 .doc = "drops dims of size 1",
                                 .traits = WG_VIEW | WG_LINEAR,
                                 .nin = 1,
                                 .nout = 1,
                                 .shape = squeeze_shape,
                                 .vjp = view_vjp,
                                 .batch = squeeze_batch,
                                 .grad_name = squeeze_name,
                                 .formula = {"with the dims back"}};
WG_COMPOSED(squeeze_dim, "squeeze.dim", "(Tensor self, int dim) -> Tensor", "drops a dim of size 1",
            wg_squeeze_dim(a[0].t, a[1].i), .traits = WG_VIEW, .shown = WG_INPLACE, .boxed_ = squeeze_dim_boxed_,
            .formula = {"with the dim back"})
WG_COMPOSED(squeeze_dims, "squeeze.dims", "(Tensor self, int[] dim) -> Tensor",
            "drops those of the dims that have size 1", wg_squeeze_dims(a[0].t, (int)a[1].n, a[1].ints),
            .traits = WG_VIEW, .shown = WG_INPLACE, .boxed_ = squeeze_dims_boxed_, .formula = {"with the dims back"})
/* What matmul does to the row of a vector times a matrix; PyTorch numbers its node apart. */
static const char *squeeze_row_name(const wg_call *c) { return c ? "SqueezeBackward4" : NULL; }
static const wg_op op_squeeze_row = {.name = "squeeze_row",
                                     .schema = "squeeze_row(Tensor self, int dim) -> Tensor",
                                     .doc = "drops a dim of size 1",
                                     .traits = WG_VIEW | WG_LINEAR | WG_OF_TEMPORARY,
                                     .nin = 1,
                                     .nout = 1,
                                     .shown = WG_HIDDEN,
                                     .shape = squeeze_shape,
                                     .vjp = view_vjp,
                                     .batch = squeeze_batch,
                                     .grad_name = squeeze_row_name,
                                     .formula = {"with the dim back"}};
wg_tensor *wg__squeeze_inplace_like(wg_tensor *x, int64_t dim) {
    return wg__apply(&op_squeeze_row, &x, 1, &WG_VAL_I(dim), 1, WG_SITE);
}
wg_tensor *wg_squeeze(wg_tensor *x) { return wg__apply(&op_squeeze, &x, 1, &WG_VAL_NONE, 1, WG_SITE); }
wg_tensor *wg_squeeze_dim(wg_tensor *x, int64_t dim) {
    return wg__apply(&op_squeeze, &x, 1, &WG_VAL_I(dim), 1, WG_SITE);
}
wg_tensor *wg_squeeze_dims(wg_tensor *x, int n, const int64_t *dims) {
    return wg__apply(&op_squeeze, &x, 1, &WG_VAL_INTS(dims, n), 1, WG_SITE);
}

static wg_status unsqueeze_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    int d = wg__wrap_dim("unsqueeze", c->attr[0].i, t->ndim + 1);
    if (d < 0) return WG_ERR_INDEX;
    start_from(t, g);
    int64_t stride = d < t->ndim ? t->dims[d] * wg__strides(t)[d] : 1;
    return add_dim("unsqueeze", g, d, stride);
}
static wg_tensor *unsqueeze_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_squeeze_dim(g[0], c->attr[0].i);
}
static wg_status unsqueeze_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *v = front(c, bdim);
    return batched(wg_unsqueeze(v, shifted(c->attr[0].i, v->ndim)), out, out_bdim);
}
static wg_tensor *unsqueeze_boxed_(const wg_value *a) {
    return wg_take_geometry_(a[0].t, wg_unsqueeze(a[0].t, a[1].i));
}
static const wg_op op_unsqueeze = {.name = "unsqueeze",
                                   .shown = WG_INPLACE,
                                   .boxed_ = unsqueeze_boxed_,
                                   .schema = "unsqueeze(Tensor self, int dim) -> Tensor",
                                   .doc = "a new dim of size 1",
                                   .traits = WG_VIEW | WG_LINEAR,
                                   .nin = 1,
                                   .nout = 1,
                                   .shape = unsqueeze_shape,
                                   .vjp = unsqueeze_vjp,
                                   .batch = unsqueeze_batch,
                                   .formula = {"without the dim"}};
wg_tensor *wg_unsqueeze(wg_tensor *x, int64_t dim) {
    return wg__apply(&op_unsqueeze, &x, 1, &WG_VAL_I(dim), 1, WG_SITE);
}

/* ---- select, slice, narrow --------------------------------------------------------------------------------------- */

static wg_status select_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    if (t->ndim == 0) return wg__raise(WG_ERR_INDEX, "select", "select() cannot be applied to a 0-dim tensor.");
    int d = wg__wrap_dim("select", c->attr[0].i, t->ndim);
    if (d < 0) return WG_ERR_INDEX;
    int64_t index = c->attr[1].i, size = t->dims[d];
    if (index < -size || index >= size)
        return wg__raise(WG_ERR_INDEX, "select",
                         "select(): index %lld out of range for tensor of size %s at dimension %d", (long long)index,
                         wg__sizes_text((char[256]){0}, 256, t->ndim, t->dims), d);
    start_from(t, g);
    g->offset = (index < 0 ? index + size : index) * wg__strides(t)[d];
    drop_dim(g, d);
    return WG_OK;
}
static wg_tensor *select_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    (void)i;
    wg_tensor *zeros = zeros_like_input(c, g[0]);
    int64_t strides[WG_MAX_DIMS];
    if (wg_is_poison(zeros)) return zeros;
    int d = (int)(c->attr[0].i < 0 ? c->attr[0].i + zeros->ndim : c->attr[0].i), n = 0;
    int64_t index = c->attr[1].i < 0 ? c->attr[1].i + zeros->dims[d] : c->attr[1].i;
    for (int k = 0; k < zeros->ndim; k++)
        if (k != d) strides[n++] = wg__strides(zeros)[k];
    return wg__as_strided_scatter(zeros, g[0], g[0]->ndim, g[0]->dims, strides, index * wg__strides(zeros)[d]);
}
static wg_status select_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *v = front(c, bdim);
    return batched(wg_select(v, shifted(c->attr[0].i, v->ndim - 1), c->attr[1].i), out, out_bdim);
}
static const wg_op op_select = {.name = "select",
                                .schema = "select(Tensor self, int dim, int index) -> Tensor",
                                .doc = "one index of a dim; the dim goes",
                                .traits = WG_VIEW | WG_LINEAR,
                                .nin = 1,
                                .nout = 1,
                                .shape = select_shape,
                                .vjp = select_vjp,
                                .batch = select_batch,
                                .formula = {"zeros with g at the index"}};
wg_tensor *wg_select(wg_tensor *x, int64_t dim, int64_t index) {
    wg_value a[2] = {WG_VAL_I(dim), WG_VAL_I(index)};
    return wg__apply(&op_select, &x, 1, a, 2, WG_SITE);
}

/* Python's clipping of a start or an end. */
static int64_t clip(int64_t v, int64_t size) {
    if (v < 0) v = v < -size ? 0 : v + size;
    return v > size ? size : v;
}
typedef struct span {
    int dim;
    int64_t start, length, step;
} span;
static wg_status slice_span(const wg_value *attr, int ndim, const int64_t *sizes, span *s) {
    s->dim = wg__wrap_dim("slice", int_or(&attr[0], 0), ndim);
    if (s->dim < 0) return WG_ERR_INDEX;
    s->step = int_or(&attr[3], 1);
    if (s->step <= 0) return wg__raise(WG_ERR_RUNTIME, "slice", "slice step must be positive");
    int64_t size = sizes[s->dim], end = clip(int_or(&attr[2], INT64_MAX), size);
    s->start = clip(int_or(&attr[1], 0), size);
    s->length = end > s->start ? (end - s->start - 1) / s->step + 1 : 0;
    return WG_OK;
}
static wg_status slice_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    span s;
    if (t->ndim == 0) return wg__raise(WG_ERR_INDEX, "slice", "slice() cannot be applied to a 0-dim tensor.");
    wg_status st = slice_span(c->attr, t->ndim, t->dims, &s);
    if (st != WG_OK) return st;
    start_from(t, g);
    g->offset = s.start * wg__strides(t)[s.dim];
    g->sizes[s.dim] = s.length;
    int64_t stride = g->strides[s.dim]; /* of a dim of one element or none it does not matter, and may overflow */
    if (!__builtin_mul_overflow(stride, s.step, &stride)) g->strides[s.dim] = stride;
    return WG_OK;
}
static wg_tensor *slice_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    span s;
    int64_t strides[WG_MAX_DIMS];
    wg_tensor *zeros = zeros_like_input(c, g[0]);
    (void)i;
    if (wg_is_poison(zeros) || slice_span(c->attr, zeros->ndim, zeros->dims, &s) != WG_OK) return WG_POISON;
    memcpy(strides, wg__strides(zeros), (size_t)zeros->ndim * 8);
    if (s.length > 1) strides[s.dim] *= s.step;
    return wg__as_strided_scatter(zeros, g[0], g[0]->ndim, g[0]->dims, strides, s.start * wg__strides(zeros)[s.dim]);
}
static wg_status slice_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *v = front(c, bdim);
    return batched(wg_slice(v, shifted(int_or(&c->attr[0], 0), v->ndim - 1), int_or(&c->attr[1], 0),
                            int_or(&c->attr[2], INT64_MAX), int_or(&c->attr[3], 1)),
                   out, out_bdim);
}
static const wg_op op_slice = {
    .name = "slice",
    .shown = WG_HIDDEN,
    .schema = "slice(Tensor self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    .doc = "Python's x[start:end:step] of one dim",
    .traits = WG_VIEW | WG_LINEAR,
    .nin = 1,
    .nout = 1,
    .shape = slice_shape,
    .vjp = slice_vjp,
    .batch = slice_batch,
    .formula = {"zeros with g in the slice"}};
wg_tensor *wg_slice(wg_tensor *x, int64_t dim, int64_t start, int64_t end, int64_t step) {
    wg_value a[4] = {WG_VAL_I(dim), WG_VAL_I(start), WG_VAL_I(end), WG_VAL_I(step)};
    return wg__apply(&op_slice, &x, 1, a, 4, WG_SITE);
}
wg_tensor *wg_narrow(wg_tensor *x, int64_t dim, int64_t start, int64_t length) {
    WG_COMPOSITE;
    if (!x) return wg__fail(WG_ERR_TYPE, "narrow", "narrow(): argument 1 must be Tensor, not None");
    if (!wg__ok(x)) return x;
    if (x->ndim == 0) return wg__fail(WG_ERR_RUNTIME, "narrow", "narrow() cannot be applied to a 0-dim tensor.");
    if (length < 0) return wg__fail(WG_ERR_RUNTIME, "narrow", "narrow(): length must be non-negative.");
    int d = wg__wrap_dim("narrow", dim, x->ndim);
    if (d < 0) return WG_POISON;
    int64_t size = x->dims[d];
    if (start < -size || start > size)
        return wg__fail(WG_ERR_INDEX, "narrow",
                        "start out of range (expected to be in range of [%lld, %lld], but got %lld)", (long long)-size,
                        (long long)size, (long long)start);
    if (start < 0) start += size;
    if (start > size - length)
        return wg__fail(WG_ERR_RUNTIME, "narrow", "start (%lld) + length (%lld) exceeds dimension size (%lld).",
                        (long long)start, (long long)length, (long long)size);
    return wg_slice(x, d, start, start + length, 1);
}

/* ---- alias, as_strided ------------------------------------------------------------------------------------------- */

static wg_status alias_shape(const wg_call *c, wg_geometry *g) {
    start_from(c->in[0], g);
    return WG_OK;
}
static wg_tensor *alias_vjp(const wg_call *c, wg_tensor *const *g, int i) { return (void)c, (void)i, g[0]; }
static wg_status alias_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    return batched(wg_alias(front(c, bdim)), out, out_bdim);
}
static const wg_op op_alias = {.name = "alias",
                               .shown = WG_HIDDEN,
                               .schema = "alias(Tensor self) -> Tensor",
                               .doc = "another handle on the same value",
                               .traits = WG_VIEW | WG_LINEAR,
                               .nin = 1,
                               .nout = 1,
                               .shape = alias_shape,
                               .vjp = alias_vjp,
                               .batch = alias_batch,
                               .formula = {"1"}};
wg_tensor *wg_alias(wg_tensor *x) { return wg__apply(&op_alias, &x, 1, NULL, 0, WG_SITE); }

/* Elements from the start of the storage to the end of the view; 0 of nothing, -1: more than fits a number. */
static int64_t view_end(const wg_geometry *g, int64_t first) {
    int64_t end = first, step;
    for (int i = 0; i < g->ndim; i++)
        if (g->sizes[i] == 0) return 0;
    for (int i = 0; i < g->ndim; i++)
        if (__builtin_mul_overflow(g->sizes[i] - 1, g->strides[i], &step) || __builtin_add_overflow(end, step, &end))
            return -1;
    return __builtin_add_overflow(end, 1, &end) ? -1 : end;
}
static wg_status as_strided_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    const wg_value *size = &c->attr[0], *stride = &c->attr[1];
    if (size->n > WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, "as_strided", "as_strided: only tensors with up to %d dims are supported",
                         WG_MAX_DIMS);
    if (size->n != stride->n) return wg__raise(WG_ERR_RUNTIME, "as_strided", "mismatch in length of strides and shape");
    int64_t here = wg_storage_offset(t), first = c->attr[2].tag == WG_V_NONE || c->attr[2].i < 0 ? here : c->attr[2].i;
    *g = (wg_geometry){.ndim = (int)size->n, .dtype = (wg_dtype)t->dtype, .strided = true, .offset = first - here};
    for (int i = 0; i < g->ndim; i++) {
        g->sizes[i] = size->ints[i];
        g->strides[i] = stride->ints[i];
        if (g->strides[i] < 0)
            return wg__raise(WG_ERR_RUNTIME, "as_strided",
                             "as_strided: Negative strides are not supported at the moment, got strides: "
                             "%s",
                             wg__sizes_text((char[256]){0}, 256, g->ndim, stride->ints));
    }
    char sizes[256], strides[256];
    wg__sizes_text(sizes, sizeof(sizes), g->ndim, g->sizes);
    wg__sizes_text(strides, sizeof(strides), g->ndim, g->strides);
    int64_t end = wg__numel(g->ndim, g->sizes) < 0 ? -1 : view_end(g, first), item = (int64_t)wg__itemsize(t), bytes;
    if (end < 0 || __builtin_mul_overflow(end, item, &bytes))
        return wg__raise(WG_ERR_RUNTIME, "as_strided",
                         "Storage size calculation overflowed with sizes=%s and strides=%s", sizes, strides);
    if ((uint64_t)bytes > t->storage->bytes)
        return wg__raise(WG_ERR_RUNTIME, "as_strided",
                         "setStorage: sizes %s, strides %s, storage offset %lld, and itemsize %lld "
                         "requiring a storage size of %lld are out of bounds for storage of size %zu",
                         sizes, strides, (long long)first, (long long)item, (long long)bytes, t->storage->bytes);
    return WG_OK;
}
/* The input's own geometry is in the node only as sizes: the rule takes it as row-major from its first element, which
 * is how as_strided's input looks unless it is itself a strided view; then the record keeps its geometry (attr 3 to 5).
 */
static wg_tensor *as_strided_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    const wg_value *size = &c->attr[0], *stride = &c->attr[1];
    int64_t offset = c->attr[2].tag == WG_V_NONE || c->attr[2].i < 0 ? 0 : c->attr[2].i;
    const int64_t *own = NULL;
    if (c->nattr > 3) {
        own = c->attr[3].ints;
        offset -= c->attr[4].i;
    }
    return wg__as_strided_backward(g[0], n, sizes, own, (int)size->n, size->ints, stride->ints, offset);
}
/* Through the public function, which notes the input's own geometry for the derivative. */
static wg_tensor *as_strided_boxed(const wg_value *a) {
    if (a[1].n != a[2].n) return wg__fail(WG_ERR_RUNTIME, "as_strided", "mismatch in length of strides and shape");
    bool given = a[3].tag != WG_V_NONE;
    if (given && a[3].i < 0)
        return wg__fail(WG_ERR_RUNTIME, "as_strided", "Tensor: invalid storage offset %lld", (long long)a[3].i);
    return wg_as_strided(a[0].t, (int)a[1].n, a[1].ints, a[2].ints, given ? a[3].i : -1);
}
static wg_tensor *as_strided_boxed_(const wg_value *a) {
    wg_tensor *view = as_strided_boxed(a);
    return wg_take_geometry_(a[0].t, view);
}
static const wg_op op_as_strided = {
    .name = "as_strided",
    .shown = WG_INPLACE,
    .boxed_ = as_strided_boxed_,
    .schema = "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
    .doc = "a view with any geometry inside the storage",
    .traits = WG_VIEW | WG_LINEAR,
    .nin = 1,
    .nout = 1,
    .shape = as_strided_shape,
    .vjp = as_strided_vjp,
    .boxed = as_strided_boxed,
    .formula = {"g added at each place that was read"}};
wg_tensor *wg_as_strided(wg_tensor *x, int ndim, const int64_t *sizes, const int64_t *strides, int64_t storage_offset) {
    if (!x || !wg__ok(x) || (x->flags & TF_BATCHED))
        return x && !wg__ok(x)
                   ? x
                   : wg__fail(WG_ERR_RUNTIME, "as_strided", "as_strided needs a tensor with a storage of its own");
    wg_value a[5] = {WG_VAL_INTS(sizes, ndim), WG_VAL_INTS(strides, ndim),
                     storage_offset < 0 ? WG_VAL_I(wg_storage_offset(x)) : WG_VAL_I(storage_offset),
                     WG_VAL_INTS(wg__strides(x), x->ndim), WG_VAL_I(wg_storage_offset(x))};
    return wg__apply(&op_as_strided, &x, 1, a, 5, WG_SITE);
}

/* ---- several views at once: split, unbind, chunk ----------------------------------------------------------------- */

static int unbind_count(wg_tensor *const *in, int nin, const wg_value *attr) {
    (void)nin;
    if (!in[0] || !wg__ok(in[0])) return 1;
    int d = wg__wrap_dim("unbind", int_or(&attr[0], 0), in[0]->ndim);
    if (d >= 0 && in[0]->ndim == 0) {
        wg__raise(WG_ERR_INDEX, "unbind", "Dimension specified as %d but tensor has no dimensions", d);
        return -1;
    }
    return d < 0 ? -1 : (int)in[0]->dims[d];
}
static wg_status unbind_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    int d = wg__wrap_dim("unbind", int_or(&c->attr[0], 0), t->ndim);
    for (int o = 0; o < c->nout; o++) {
        start_from(t, &g[o]);
        g[o].offset = o * wg__strides(t)[d];
        drop_dim(&g[o], d);
    }
    return WG_OK;
}
/* The cotangents that arrived, zeros for the others, put together again. */
static wg_tensor *unbind_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    int64_t rest[WG_MAX_DIMS];
    int d = (int)(int_or(&c->attr[0], 0) < 0 ? int_or(&c->attr[0], 0) + n : int_or(&c->attr[0], 0)), k = 0;
    for (int a = 0; a < n; a++)
        if (a != d) rest[k++] = sizes[a];
    return wg__join_cotangents(g, c->nout, d, true, wg__input_dtype(c, i), k, rest, NULL);
}
static const wg_op op_unbind = {.name = "unbind",
                                .schema = "unbind(Tensor self, int dim=0) -> Tensor[]",
                                .doc = "every index of a dim as a view",
                                .traits = WG_MULTI_VIEW | WG_LINEAR,
                                .nin = 1,
                                .nout = 1,
                                .shape = unbind_shape,
                                .vjp = unbind_vjp,
                                .count_out = unbind_count,
                                .formula = {"stacked again"}};

/* Lengths of the pieces along the dim. attr 0: int (equal pieces) or ints. */
static wg_status pieces(const wg_tensor *t, const wg_value *attr, int *dim, int *count) {
    if (t->ndim == 0) return wg__raise(WG_ERR_RUNTIME, "split", "split expects at least a 1-dimensional tensor");
    *dim = wg__wrap_dim("split", int_or(&attr[1], 0), t->ndim);
    if (*dim < 0) return WG_ERR_INDEX;
    int64_t size = t->dims[*dim];
    if (attr[0].tag == WG_V_INTS) {
        int64_t sum = 0;
        bool wraps = false;
        for (uint32_t k = 0; k < attr[0].n; k++) {
            wraps |= __builtin_add_overflow(sum, attr[0].ints[k], &sum);
            if (attr[0].ints[k] < 0)
                return wg__raise(
                    WG_ERR_RUNTIME, "split_with_sizes",
                    "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=%s",
                    wg__sizes_text((char[256]){0}, 256, (int)attr[0].n, attr[0].ints));
        }
        if (sum != size || wraps)
            return wg__raise(
                WG_ERR_RUNTIME, "split_with_sizes",
                "split_with_sizes expects split_sizes to sum exactly to %lld (input tensor's size at dimension %lld), "
                "but got split_sizes=%s",
                (long long)size, (long long)int_or(&attr[1], 0),
                wg__sizes_text((char[256]){0}, 256, (int)attr[0].n, attr[0].ints));
        *count = (int)attr[0].n;
        return WG_OK;
    }
    int64_t each = attr[0].i;
    if (each < 0)
        return wg__raise(WG_ERR_RUNTIME, "split", "split expects split_size be non-negative, but got split_size=%lld",
                         (long long)each);
    if (each == 0 && size != 0)
        return wg__raise(WG_ERR_RUNTIME, "split",
                         "split_size can only be 0 if dimension size is 0, but got dimension size of %lld",
                         (long long)size);
    *count = each == 0 || size == 0 ? 1 : (int)((size - 1) / each + 1);
    return WG_OK;
}
static int split_count(wg_tensor *const *in, int nin, const wg_value *attr) {
    int d, n;
    (void)nin;
    if (!in[0] || !wg__ok(in[0])) return 1;
    return pieces(in[0], attr, &d, &n) == WG_OK ? n : -1;
}
static int64_t piece_length(const wg_value *attr, int64_t size, int k) {
    if (attr[0].tag == WG_V_INTS) return attr[0].ints[k];
    int64_t start = k * attr[0].i;
    return size - start < attr[0].i ? size - start : attr[0].i;
}
static wg_status split_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    int d, n;
    wg_status st = pieces(t, c->attr, &d, &n);
    int64_t start = 0;
    for (int o = 0; o < c->nout && st == WG_OK; o++) {
        start_from(t, &g[o]);
        g[o].offset = start * wg__strides(t)[d];
        g[o].sizes[d] = piece_length(c->attr, t->dims[d], o);
        start += g[o].sizes[d];
    }
    return st;
}
static wg_tensor *split_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    int64_t dim = int_or(&c->attr[1], 0), small[64],
            *lengths = c->nout <= 64 ? small : wg__malloc_array((size_t)c->nout, 8);
    int d = (int)(dim < 0 ? dim + n : dim);
    if (!lengths) return wg__no_memory("split", (size_t)c->nout * 8), WG_POISON;
    for (int o = 0; o < c->nout; o++) lengths[o] = piece_length(c->attr, sizes[d], o);
    wg_tensor *r = wg__join_cotangents(g, c->nout, d, false, wg__input_dtype(c, i), n, sizes, lengths);
    if (lengths != small) wg__free_array(lengths, (size_t)c->nout, 8);
    return r;
}
#define SPLIT_OP(op_, name_, schema_)                                                                                  \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = schema_,                                                                       \
                              .doc = "consecutive pieces of a dim as views",                                           \
                              .traits = WG_MULTI_VIEW | WG_LINEAR,                                                     \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .shape = split_shape,                                                                    \
                              .vjp = split_vjp,                                                                        \
                              .count_out = split_count,                                                                \
                              .formula = {"joined again"}};
SPLIT_OP(op_split, "split", "split(Tensor self, int split_size, int dim=0) -> Tensor[]")
SPLIT_OP(op_split_sizes, "split_with_sizes", "split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]")

static wg_status several(const wg_op *op, wg_tensor *x, const wg_value *attr, int nattr, wg_tensor **out, int max,
                         int *n, void *site) {
    if (n) *n = 0;
    if (!x || !wg__ok(x)) return wg__sink_check(op->name, x);
    int count = op->count_out(&x, 1, attr);
    if (count < 0) return wg_last_status();
    if (count > max)
        return wg__raise(WG_ERR_VALUE, op->name, "%s() gives %d views; there is room for %d", op->name, count, max);
    if (count == 0) return WG_OK;
    wg_status st = wg__apply_n(op, &x, 1, attr, nattr, out, count, site);
    if (st == WG_OK && n) *n = count;
    return st;
}
wg_status wg_unbind(wg_tensor *x, int64_t dim, wg_tensor **out, int max, int *n) {
    return several(&op_unbind, x, &WG_VAL_I(dim), 1, out, max, n, WG_SITE);
}
wg_status wg_split(wg_tensor *x, int64_t size, int64_t dim, wg_tensor **out, int max, int *n) {
    wg_value a[2] = {WG_VAL_I(size), WG_VAL_I(dim)};
    return several(&op_split, x, a, 2, out, max, n, WG_SITE);
}
wg_status wg_split_sizes(wg_tensor *x, wg_ints sizes, int64_t dim, wg_tensor **out, int max, int *n) {
    wg_value a[2] = {WG_VAL_INTS(sizes.v, sizes.n), WG_VAL_I(dim)};
    return several(&op_split_sizes, x, a, 2, out, max, n, WG_SITE);
}
wg_status wg_chunk(wg_tensor *x, int64_t chunks, int64_t dim, wg_tensor **out, int max, int *n) {
    WG_COMPOSITE;
    if (n) *n = 0;
    if (!x || !wg__ok(x)) return wg__sink_check("chunk", x);
    if (x->ndim == 0) return wg__raise(WG_ERR_RUNTIME, "chunk", "chunk expects at least a 1-dimensional tensor");
    if (chunks <= 0)
        return wg__raise(WG_ERR_RUNTIME, "chunk", "chunk expects `chunks` to be greater than 0, got: %lld",
                         (long long)chunks);
    int d = wg__wrap_dim("chunk", dim, x->ndim);
    if (d < 0) return WG_ERR_INDEX;
    int64_t size = x->dims[d];
    if (size > 0) return wg_split(x, (size - 1) / chunks + 1, d, out, max, n);
    if (chunks > max)
        return wg__raise(WG_ERR_VALUE, "chunk", "chunk() gives %lld views; there is room for %d", (long long)chunks,
                         max);
    int64_t *none = wg__malloc_array((size_t)chunks, 8); /* nothing to divide: as many empty pieces as were asked for */
    if (!none) return wg__no_memory("chunk", (size_t)chunks * 8);
    memset(none, 0, (size_t)chunks * 8);
    wg_status st = wg_split_sizes(x, (wg_ints){(int)chunks, none}, d, out, max, n);
    wg__free_array(none, (size_t)chunks, 8);
    return st;
}

static wg_status split_sizes_boxed(const wg_value *a, wg_tensor **out, int max, int *n) {
    return wg_split_sizes(a[0].t, (wg_ints){(int)a[1].n, a[1].ints}, a[2].i, out, max, n);
}
static wg_status chunk_boxed(const wg_value *a, wg_tensor **out, int max, int *n) {
    return wg_chunk(a[0].t, a[1].i, a[2].i, out, max, n);
}
#define PIECES(op_, name_, args_, doc_, boxed_, f)                                                                     \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ args_,                                                                   \
                              .doc = doc_,                                                                             \
                              .traits = WG_MULTI_VIEW,                                                                 \
                              .boxed_list = boxed_,                                                                    \
                              .formula = {f}};
PIECES(op_split_list, "split.sizes", "(Tensor self, int[] split_size, int dim=0) -> Tensor[]",
       "consecutive pieces of these lengths as views", split_sizes_boxed, "joined again")
PIECES(op_chunk, "chunk", "(Tensor self, int chunks, int dim=0) -> Tensor[]", "at most so many equal pieces as views",
       chunk_boxed, "joined again")

/* ---- the family -------------------------------------------------------------------------------------------------- */

const wg_op *const wg__ops_view[] = {&op_permute, &op_transpose,  &op_t,           &op_view,         &op_unsafe_view,
                                     &op_expand,  &op_squeeze,    &op_squeeze_dim, &op_squeeze_dims, &op_unsqueeze,
                                     &op_select,  &op_slice,      &op_alias,       &op_as_strided,   &op_unbind,
                                     &op_split,   &op_split_list, &op_split_sizes, &op_chunk,        NULL};
