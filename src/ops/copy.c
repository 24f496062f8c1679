/* copy.c - copies, casts and joins, and writes that take no arithmetic (copy_, fill_, zero_, where). Views are in
 * view.c.
 */
#include "core/apply.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- shape rules and helpers ------------------------------------------------------------------------------------- */

static wg_status same_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    g->ndim = t->ndim;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    const int64_t *strides = wg__kept_strides(t, g->strides);
    g->strided = strides != NULL;
    if (strides && strides != g->strides) memcpy(g->strides, strides, (size_t)t->ndim * 8);
    return WG_OK;
}
static wg_status same_row_major(const wg_call *c, wg_geometry *g) {
    wg_status st = same_shape(c, g);
    g->strided = false;
    return st;
}
static wg_status copy_run(const wg_call *c) { return wg__copy_into(c->out[0], c->in[0]); }
static wg_tensor *pass(const wg_call *c, wg_tensor *const *g, int i) { return (void)c, (void)i, g[0]; }
/* Ops that treat every element alike: the value's layout does not matter. */
static wg_status batch_alike(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    out[0] = wg__apply(c->op, c->in, 1, c->attr, c->nattr, WG_SITE);
    out_bdim[0] = bdim[0];
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}

/* ---- clone, contiguous, to --------------------------------------------------------------------------------------- */

static const wg_op op_clone = {.name = "clone",
                               .schema = "clone(Tensor self) -> Tensor",
                               .doc = "a copy; dense strides are kept",
                               .traits = WG_LINEAR,
                               .nin = 1,
                               .nout = 1,
                               .shape = same_shape,
                               .run = {copy_run},
                               .vjp = pass,
                               .batch = batch_alike,
                               .formula = {"1"}};
static const char *clone_name(const wg_call *c) { return c ? "CloneBackward0" : NULL; }
static wg_tensor *contiguous_boxed(const wg_value *a) { return wg_contiguous(a[0].t); }
static const wg_op op_contiguous = {.name = "contiguous",
                                    .shown = WG_METHOD,
                                    .boxed = contiguous_boxed,
                                    .schema = "contiguous(Tensor self) -> Tensor",
                                    .doc = "a row-major copy",
                                    .traits = WG_LINEAR,
                                    .nin = 1,
                                    .nout = 1,
                                    .shape = same_row_major,
                                    .run = {copy_run},
                                    .vjp = pass,
                                    .grad_name = clone_name,
                                    .formula = {"1"}};
wg_tensor *wg_clone(wg_tensor *x) { return wg__apply(&op_clone, &x, 1, NULL, 0, WG_SITE); }
wg_tensor *wg__clone_contiguous(wg_tensor *x) { return wg__apply(&op_contiguous, &x, 1, NULL, 0, WG_SITE); }
wg_tensor *wg_contiguous(wg_tensor *x) {
    if (x && (x->flags & (TF_CONTIG | TF_POISON))) return x;
    return wg__apply(&op_contiguous, &x, 1, NULL, 0, WG_SITE);
}

static wg_status to_shape(const wg_call *c, wg_geometry *g) {
    wg_dtype d = (wg_dtype)c->attr[0].i;
    if (!wg__dtype_exists((int)d))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "to", "torch.%s does not exist in this version of Wengert",
                         wg_dtype_name(d));
    wg_status st = same_shape(c, g);
    g->dtype = d;
    return st;
}
static wg_tensor *to_vjp(const wg_call *c, wg_tensor *const *g, int i) { return wg_to(g[0], wg__input_dtype(c, i)); }
static const wg_op op_to = {.name = "_to_copy",
                            .shown = WG_HIDDEN,
                            .schema = "_to_copy(Tensor self, ScalarType dtype) -> Tensor",
                            .doc = "converted to another dtype",
                            .traits = WG_LINEAR,
                            .nin = 1,
                            .nout = 1,
                            .shape = to_shape,
                            .run = {copy_run},
                            .vjp = to_vjp,
                            .batch = batch_alike,
                            .formula = {"1, in the input's dtype"}};
wg_tensor *wg_to(wg_tensor *x, wg_dtype dtype) {
    if (x && wg__ok(x) && (wg_dtype)x->dtype == dtype && !(x->flags & TF_NUMBER)) return x;
    return wg__apply(&op_to, &x, 1, &WG_VAL_DT(dtype), 1, WG_SITE);
}

/* ---- cat, stack -------------------------------------------------------------------------------------------------- */

/* torch.cat ignores 1-d tensors of no elements, whatever the others' shape. */
static bool skipped(const wg_tensor *t) { return t->ndim == 1 && t->numel == 0; }

static wg_status cat_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *first = NULL;
    char a[256];
    if (c->nin == 0) return wg__raise(WG_ERR_VALUE, "cat", "expected a non-empty list of Tensors");
    for (int i = 0; i < c->nin; i++) {
        if (c->in[i]->ndim == 0)
            return wg__raise(WG_ERR_RUNTIME, "cat", "zero-dimensional tensor (at position %d) cannot be concatenated",
                             i);
        if (!first && !skipped(c->in[i])) first = c->in[i];
    }
    g->dtype = wg__result_type(c->in, c->nin);
    if (!first) {
        g->ndim = 1;
        g->sizes[0] = 0;
        return WG_OK;
    }
    int d = wg__wrap_dim("cat", c->attr[0].tag == WG_V_NONE ? 0 : c->attr[0].i, first->ndim);
    if (d < 0) return WG_ERR_INDEX;
    g->ndim = first->ndim;
    memcpy(g->sizes, first->dims, (size_t)first->ndim * 8);
    g->sizes[d] = 0;
    for (int i = 0; i < c->nin; i++) {
        const wg_tensor *t = c->in[i];
        if (skipped(t)) continue;
        if (t->ndim != first->ndim)
            return wg__raise(WG_ERR_RUNTIME, "cat", "Tensors must have same number of dimensions: got %d and %d",
                             first->ndim, t->ndim);
        for (int k = 0; k < t->ndim; k++)
            if (k != d && t->dims[k] != first->dims[k])
                return wg__raise(
                    WG_ERR_RUNTIME, "cat",
                    "Sizes of tensors must match except in dimension %d. Expected size %lld but got size %lld for "
                    "tensor number %d in the list. Its shape is %s",
                    d, (long long)first->dims[k], (long long)t->dims[k], i,
                    wg__sizes_text(a, sizeof(a), t->ndim, t->dims));
        if (__builtin_add_overflow(g->sizes[d], t->dims[d], &g->sizes[d]))
            return wg__raise(WG_ERR_RUNTIME, "cat", "cat: the sizes along dimension %d add up to more than 2^63 - 1",
                             d);
    }
    return WG_OK;
}

/* Writes each input into its part of out, seen as a stack view over out's elements. */
static wg_status write_part(wg_tensor *out, const wg_tensor *t, int d, int64_t start) {
    wg_tensor part = *out;
    int64_t dims[2 * WG_MAX_DIMS];
    memcpy(dims, t->dims, (size_t)t->ndim * 8);
    memcpy(dims + t->ndim, wg__strides(out), (size_t)out->ndim * 8);
    part.dims = dims;
    part.numel = t->numel;
    part.data = out->data + start * wg__strides(out)[d] * (int64_t)wg__itemsize(out);
    part.flags = wg__is_row_major(part.ndim, dims, dims + t->ndim) ? TF_CONTIG : 0;
    return wg__copy_into(&part, t);
}
static wg_status cat_run(const wg_call *c) {
    wg_tensor *out = c->out[0];
    int64_t start = 0;
    wg_status st = WG_OK;
    for (int i = 0; i < c->nin && st == WG_OK; i++) {
        const wg_tensor *t = c->in[i];
        if (skipped(t)) continue;
        int64_t dim = c->attr[0].tag == WG_V_NONE ? 0 : c->attr[0].i;
        int d = (int)(dim < 0 ? dim + t->ndim : dim);
        st = write_part(out, t, d, start);
        start += t->dims[d];
    }
    return st;
}
/* Where input i begins: the lengths of those before it. A constant input has no edge, so the node cannot tell: the
 * places where the inputs begin, and where the last one ends, are an attribute of the recorded call. */
static wg_tensor *cat_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n), *starts = c->attr[1].ints;
    if (n == 1 && sizes[0] == 0) return wg__zeros(wg__input_dtype(c, i), 1, sizes);
    return wg_narrow(g[0], c->attr[0].i, starts[i], starts[i + 1] - starts[i]);
}
static wg_tensor *cat_boxed(const wg_value *a) { return wg_cat(a[0].ts, (int)a[0].n, a[1].i); }
static const wg_op op_cat = {.name = "cat",
                             .schema = "cat(Tensor[] tensors, int dim=0) -> Tensor",
                             .aliases = "concat concatenate",
                             .doc = "tensors joined along a dim",
                             .traits = WG_LINEAR | WG_LIST,
                             .nin = 1,
                             .nout = 1,
                             .shape = cat_shape,
                             .run = {cat_run},
                             .vjp = cat_vjp,
                             .boxed = cat_boxed,
                             .formula = {"the part of g where the input went"}};

static wg_status check_list(const char *who, wg_tensor *const *tensors, int n) {
    if (n <= 0 && strcmp(who, "stack") == 0)
        return wg__raise(WG_ERR_RUNTIME, who, "stack expects a non-empty TensorList");
    if (n <= 0) return wg__raise(WG_ERR_VALUE, who, "torch.%s(): expected a non-empty list of Tensors", who);
    if (!tensors) return wg__raise(WG_ERR_TYPE, who, "%s(): tensors is NULL", who);
    for (int i = 0; i < n; i++) {
        if (!tensors[i]) return wg__raise(WG_ERR_TYPE, who, "%s(): tensor number %d is NULL", who, i);
        if (wg_is_poison(tensors[i])) return WG_ERR_RUNTIME;
    }
    return WG_OK;
}

static wg_tensor *cat(wg_tensor *const *tensors, int n, int64_t dim, void *site) {
    int64_t small[32], *starts = n < 32 ? small : wg__malloc_array((size_t)n + 1, 8);
    if (!starts) return wg__no_memory("cat", (size_t)n * 8), WG_POISON;
    memset(starts, 0, ((size_t)n + 1) * 8);
    for (int i = 0; i < n; i++) {
        int64_t d = dim < 0 ? dim + tensors[i]->ndim : dim;
        int64_t length = d >= 0 && d < tensors[i]->ndim && !skipped(tensors[i]) ? tensors[i]->dims[d] : 0;
        if (__builtin_add_overflow(starts[i], length, &starts[i + 1])) break; /* the shape rule will say so */
    }
    wg_value a[2] = {WG_VAL_I(dim), WG_VAL_INTS(starts, n + 1)};
    wg_tensor *r = wg__apply(&op_cat, tensors, n, a, 2, site);
    if (starts != small) wg__free_array(starts, (size_t)n + 1, 8);
    return r;
}
wg_tensor *wg_cat(wg_tensor *const *tensors, int n, int64_t dim) {
    if (check_list("cat", tensors, n) != WG_OK) return WG_POISON;
    return cat(tensors, n, dim, WG_SITE);
}

static wg_status stack_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *first = c->nin ? c->in[0] : NULL;
    char a[256], b[256];
    if (!first) return wg__raise(WG_ERR_RUNTIME, "stack", "stack expects a non-empty TensorList");
    for (int i = 1; i < c->nin; i++)
        if (!wg__same_sizes(first, c->in[i]))
            return wg__raise(WG_ERR_RUNTIME, "stack",
                             "stack expects each tensor to be equal size, but got %s at entry 0 and %s at entry %d",
                             wg__sizes_text(a, sizeof(a), first->ndim, first->dims),
                             wg__sizes_text(b, sizeof(b), c->in[i]->ndim, c->in[i]->dims), i);
    if (first->ndim == WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, "stack", "stack: only tensors with up to %d dims are supported", WG_MAX_DIMS);
    int d = wg__wrap_dim("stack", c->attr[0].tag == WG_V_NONE ? 0 : c->attr[0].i, first->ndim + 1);
    if (d < 0) return WG_ERR_INDEX;
    g->ndim = first->ndim + 1;
    g->dtype = wg__result_type(c->in, c->nin);
    for (int k = 0, j = 0; k < g->ndim; k++) g->sizes[k] = k == d ? c->nin : first->dims[j++];
    return WG_OK;
}
static int stack_dim(const wg_call *c, int ndim_out) {
    int64_t d = c->attr[0].tag == WG_V_NONE ? 0 : c->attr[0].i;
    return (int)(d < 0 ? d + ndim_out : d);
}
static wg_status stack_run(const wg_call *c) {
    wg_tensor *out = c->out[0];
    int d = stack_dim(c, out->ndim);
    wg_status st = WG_OK;
    for (int i = 0; i < c->nin && st == WG_OK; i++) {
        wg_tensor one = *c->in[i];
        int64_t dims[2 * WG_MAX_DIMS];
        one.ndim = out->ndim;
        for (int k = 0, j = 0; k < out->ndim; k++) {
            dims[k] = k == d ? 1 : c->in[i]->dims[j];
            dims[out->ndim + k] = k == d ? 0 : wg__strides(c->in[i])[j];
            if (k != d) j++;
        }
        one.dims = dims;
        st = write_part(out, &one, d, i);
    }
    return st;
}
static wg_tensor *stack_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return wg_select(g[0], stack_dim(c, g[0]->ndim), i);
}
static const wg_op op_stack = {.name = "stack",
                               .schema = "stack(Tensor[] tensors, int dim=0) -> Tensor",
                               .doc = "tensors of one shape joined along a new dim",
                               .traits = WG_LINEAR | WG_LIST,
                               .nin = 1,
                               .nout = 1,
                               .shape = stack_shape,
                               .run = {stack_run},
                               .vjp = stack_vjp,
                               .formula = {"g at the input's index"}};
wg_tensor *wg_stack(wg_tensor *const *tensors, int n, int64_t dim) {
    if (check_list("stack", tensors, n) != WG_OK) return WG_POISON;
    return wg__apply(&op_stack, tensors, n, &WG_VAL_I(dim), 1, WG_SITE);
}

wg_tensor *wg__join_cotangents(wg_tensor *const *g, int n, int dim, bool stack, wg_dtype dtype, int ndim,
                               const int64_t *sizes, const int64_t *lengths) {
    wg_tensor *small[64], **parts = n <= 64 ? small : wg__malloc_array((size_t)n, sizeof(*parts));
    int64_t part[WG_MAX_DIMS];
    if (!parts) return wg__no_memory("split", (size_t)n * 8), WG_POISON;
    memcpy(part, sizes, (size_t)ndim * 8);
    for (int o = 0; o < n; o++) {
        if (lengths) part[dim] = lengths[o];
        parts[o] = g[o] ? g[o] : wg__zeros(dtype, ndim, part);
    }
    wg_tensor *r = stack ? wg_stack(parts, n, dim) : wg_cat(parts, n, dim);
    if (parts != small) wg__free_array(parts, (size_t)n, sizeof(*parts));
    return r;
}

/* ---- copy_, zero_, fill_ ----------------------------------------------------------------------------------------- */

static wg_status like_first(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    g->ndim = t->ndim;
    g->dtype = (wg_dtype)t->dtype;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    return WG_OK;
}
static wg_status copy_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0], *s = c->in[1];
    wg_geometry both;
    char a[256], b[256];
    wg_status st = wg__broadcast("copy_", (const wg_tensor *const *)c->in, 2, &both);
    if (st != WG_OK) return st;
    if (both.ndim != t->ndim || memcmp(both.sizes, t->dims, (size_t)t->ndim * 8) != 0)
        return wg__raise(WG_ERR_RUNTIME, "copy_", "output with shape %s doesn't match the broadcast shape %s",
                         wg__sizes_text(a, sizeof(a), t->ndim, t->dims),
                         wg__sizes_text(b, sizeof(b), both.ndim, both.sizes));
    (void)s;
    return like_first(c, g);
}
static wg_status copy_second(const wg_call *c) { return wg__copy_into(c->out[0], c->in[1]); }
static wg_tensor *copy_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)c, i == 0 ? wg_zeros_like(g[0], NULL) : g[0];
}
static const char *copy_name(const wg_call *c) { return c ? "torch::autograd::CopyBackwards" : NULL; }
static const wg_op op_copy = {.name = "copy_",
                              .shown = WG_METHOD,
                              .schema = "copy_(Tensor self, Tensor|Scalar src, bool non_blocking=False) -> Tensor",
                              .doc = "src's elements, broadcast and converted, in self",
                              .traits = WG_LINEAR | WG_SAFE_INPLACE,
                              .nin = 2,
                              .nout = 1,
                              .shape = copy_shape,
                              .run = {copy_second},
                              .vjp = copy_vjp,
                              .grad_name = copy_name,
                              .formula = {"0", "1"}};
wg_tensor *wg_copy_(wg_tensor *x, wg_tensor *source) {
    wg_tensor *in[2] = {x, source};
    return wg__apply_inplace(&op_copy, in, 2, NULL, 0, WG_SITE);
}

static wg_status zero_run(const wg_call *c) { return wg__fill_zero(c->out[0]); }
static wg_tensor *zero_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)c, (void)i, wg_zeros_like(g[0], NULL);
}
static const wg_op op_zero = {.name = "zero_",
                              .schema = "zero_(Tensor self) -> Tensor",
                              .doc = "every element 0",
                              .traits = WG_LINEAR | WG_SAFE_INPLACE,
                              .nin = 1,
                              .nout = 1,
                              .shape = like_first,
                              .run = {zero_run},
                              .vjp = zero_vjp,
                              .formula = {"0"}};
wg_tensor *wg_zero_(wg_tensor *x) { return wg__apply_inplace(&op_zero, &x, 1, NULL, 0, WG_SITE); }

static wg_status fill_shape(const wg_call *c, wg_geometry *g) {
    if (c->in[1]->ndim != 0)
        return wg__raise(WG_ERR_RUNTIME, "fill_",
                         "fill_ only supports 0-dimension value tensor but got tensor with %d dimensions.",
                         c->in[1]->ndim);
    wg_dtype d = (wg_dtype)c->in[0]->dtype;
    bool inf = c->in[0]->numel == 1 && (d == WG_FLOAT16 || d == WG_BFLOAT16); /* in one element too large becomes inf */
    wg_status st = (c->in[1]->flags & TF_NUMBER) && !inf ? wg__check_fits("fill_", c->in[1], d) : WG_OK;
    return st == WG_OK ? like_first(c, g) : st;
}
static wg_status fill_run(const wg_call *c) {
    _Alignas(16) char one[16];
    int64_t no_dims[1] = {0};
    wg_tensor *out = c->out[0],
              cell = {.dtype = out->dtype, .flags = TF_CONTIG, .numel = 1, .data = one, .dims = no_dims};
    wg_status st = wg__copy_into(&cell, c->in[1]);
    return st == WG_OK ? wg__fill_value(out, one) : st;
}
static wg_tensor *fill_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)c, i == 0 ? wg_zeros_like(g[0], NULL) : wg_sum_opt(g[0], NULL);
}
static const char *fill_name(const wg_call *c) { return c->node->numbers & 2 ? "FillBackward2" : "FillBackward3"; }
static const wg_op op_fill = {.name = "fill_",
                              .schema = "fill_(Tensor self, Tensor|Scalar value) -> Tensor",
                              .doc = "one value everywhere",
                              .traits = WG_LINEAR | WG_SAFE_INPLACE,
                              .nin = 2,
                              .nout = 1,
                              .shape = fill_shape,
                              .run = {fill_run},
                              .vjp = fill_vjp,
                              .grad_name = fill_name,
                              .formula = {"0", "sum"}};
wg_tensor *wg_fill_(wg_tensor *x, wg_tensor *value) {
    wg_tensor *in[2] = {x, value};
    return wg__apply_inplace(&op_fill, in, 2, NULL, 0, WG_SITE);
}

/* ---- where, masked_fill ------------------------------------------------------------------------------------------ */

static wg_status check_bool(const char *who, const char *what, const wg_tensor *t) {
    if (t->dtype == WG_BOOL) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, who, "%s expected %s to be a boolean tensor, but got a tensor with dtype %s", who,
                     what, wg__dtype_scalar_name((wg_dtype)t->dtype));
}
static wg_status where_shape(const wg_call *c, wg_geometry *g) {
    /* a uint8 condition is an old form that PyTorch still takes */
    wg_status st = c->in[0]->dtype == WG_UINT8 ? WG_OK : check_bool("where", "condition", c->in[0]);
    if (st == WG_OK) st = wg__broadcast("where", (const wg_tensor *const *)c->in, 3, g);
    g->strided = false;
    g->dtype = wg__result_type(c->in + 1, 2);
    bool half =
        wg_dtype_is_floating(g->dtype) && wg_dtype_size(g->dtype) == 2; /* too large a number becomes inf there */
    for (int i = 1; i < 3 && st == WG_OK; i++)
        if ((c->in[i]->flags & TF_NUMBER) && !half) st = wg__check_fits("where", c->in[i], g->dtype);
    return st;
}
/* Runs the select kernel: out, condition, x, y; the inputs broadcast to out and come in out's dtype. */
static wg_status select_into(wg_tensor *out, wg_tensor *cond, wg_tensor *x, wg_tensor *y) {
    wg_operand v[3];
    wg_dtype d = (wg_dtype)out->dtype;
    int made = 0;
    wg_status st = wg__operand(&v[0], cond, WG_BOOL);
    if (st == WG_OK) made = 1, st = wg__operand(&v[1], x, d);
    if (st == WG_OK) made = 2, st = wg__operand(&v[2], y, d);
    if (st == WG_OK) {
        made = 3;
        st = wg__run_select(wg__cpu->where[d], out, v);
    }
    for (int i = 0; i < made; i++)
        if (v[i].temp) wg_release(v[i].temp);
    return st;
}
static wg_status where_run(const wg_call *c) { return select_into(c->out[0], c->in[0], c->in[1], c->in[2]); }
static wg_tensor *where_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return i == 1 ? wg_where(c->in[0], g[0], wg_s(0)) : wg_where(c->in[0], wg_s(0), g[0]);
}
static wg_tensor *where_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    (void)o;
    if (!t[1] && !t[2]) return NULL;
    return wg_where(c->in[0], t[1] ? t[1] : wg_s(0), t[2] ? t[2] : wg_s(0));
}
/* Broadcasting ops without promotion of all inputs: batch dims in front, samples lined up on the right. */
static wg_status batch_broadcast(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *in[3];
    int most = 0;
    for (int i = 0; i < c->nin; i++) {
        int n = c->in[i]->ndim - (bdim[i] >= 0);
        if (n > most) most = n;
    }
    for (int i = 0; i < c->nin; i++) {
        in[i] = c->in[i];
        if (bdim[i] < 0) continue;
        int64_t order[WG_MAX_DIMS];
        int n = 0;
        order[n++] = bdim[i];
        for (int k = 0; k < in[i]->ndim; k++)
            if (k != bdim[i]) order[n++] = k;
        in[i] = wg_permute(in[i], n, order);
        while (in[i]->ndim - 1 < most && !wg_is_poison(in[i])) in[i] = wg_unsqueeze(in[i], 1);
    }
    out[0] = wg__apply(c->op, in, c->nin, c->attr, c->nattr, WG_SITE);
    out_bdim[0] = 0;
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}
static const wg_op op_where = {.name = "where",
                               .shown = WG_FUNCTION | WG_METHOD,
                               .schema = "where(Tensor condition, Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
                               .doc = "self where condition, else other",
                               .nin = 3,
                               .nout = 1,
                               .saves = WG_USE_X,
                               .nondiff_in = 1,
                               .shape = where_shape,
                               .run = {where_run},
                               .vjp = where_vjp,
                               .jvp = where_jvp,
                               .batch = batch_broadcast,
                               .formula = {NULL, "1 where condition", "1 where not condition"}};
wg_tensor *wg_where(wg_tensor *condition, wg_tensor *x, wg_tensor *y) {
    wg_tensor *in[3] = {condition, x, y};
    return wg__apply(&op_where, in, 3, NULL, 0, WG_SITE);
}

/* where(condition): the coordinates where it holds, a tensor per dim. */
static wg_status where_holds(const wg_value *a, wg_tensor **out, int max, int *n) {
    wg_tensor *t = a[0].t;
    return wg_unbind(wg_nonzero(wg__ok(t) && t->ndim == 0 ? wg_unsqueeze(t, 0) : t), 1, out, max, n);
}
static const wg_op op_where_holds = {.name = "where.condition",
                                     .schema = "where.condition(Tensor condition) -> Tensor[]",
                                     .doc = "coordinates of the elements that are not zero, a tensor per dim",
                                     .traits = WG_NONDIFF,
                                     .boxed_list = where_holds};

static wg_status masked_fill_shape(const wg_call *c, wg_geometry *g) {
    wg_status st = WG_OK;
    if (c->in[1]->dtype != WG_BOOL)
        st = wg__raise(WG_ERR_RUNTIME, "masked_fill_",
                       "masked_fill_ only supports boolean masks, but got mask with dtype %s",
                       wg__dtype_cxx_name((wg_dtype)c->in[1]->dtype));
    if (st == WG_OK && c->in[2]->ndim != 0)
        st = wg__raise(WG_ERR_RUNTIME, "masked_fill",
                       "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with %d "
                       "dimension(s).",
                       c->in[2]->ndim);
    if (st == WG_OK) st = wg__broadcast("masked_fill", (const wg_tensor *const *)c->in, 2, g);
    g->strided = false;
    g->dtype = (wg_dtype)c->in[0]->dtype;
    return st == WG_OK ? wg__check_fits("masked_fill", c->in[2], g->dtype) : st;
}
static const char *masked_fill_name(const wg_call *c) {
    return c->node->numbers & 4 ? "MaskedFillBackward0" : "MaskedFillBackward1";
}
static wg_status masked_fill_run(const wg_call *c) { return select_into(c->out[0], c->in[1], c->in[2], c->in[0]); }
static wg_tensor *masked_fill_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 0) return wg_masked_fill(g[0], c->in[1], wg_s(0));
    return wg_sum_opt(wg_where(c->in[1], g[0], wg_s(0)), NULL);
}
static wg_tensor *masked_fill_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    (void)o;
    if (!t[0] && !t[2]) return NULL;
    if (!t[2]) return wg_masked_fill(t[0], c->in[1], wg_s(0));
    return wg_where(c->in[1], t[2], t[0] ? t[0] : wg_s(0));
}
static const wg_op op_masked_fill = {.name = "masked_fill",
                                     .shown = WG_INPLACE,
                                     .schema = "masked_fill(Tensor self, Tensor mask, Tensor|Scalar value) -> Tensor",
                                     .doc = "value where mask, else self",
                                     .traits = WG_SAFE_INPLACE,
                                     .nin = 3,
                                     .nout = 1,
                                     .saves = WG_USE_Y,
                                     .nondiff_in = 2,
                                     .shape = masked_fill_shape,
                                     .run = {masked_fill_run},
                                     .vjp = masked_fill_vjp,
                                     .jvp = masked_fill_jvp,
                                     .grad_name = masked_fill_name,
                                     .formula = {"0 where mask, else 1", NULL, "sum of g where mask"}};
wg_tensor *wg_masked_fill(wg_tensor *x, wg_tensor *mask, wg_tensor *value) {
    wg_tensor *in[3] = {x, mask, value};
    wg_geometry both; /* out of place PyTorch names the mask's size first */
    if (x && mask && wg__ok(x) && wg__ok(mask) && mask->dtype == WG_BOOL && !wg__same_sizes(x, mask) &&
        wg__broadcast("masked_fill", (const wg_tensor *const[]){mask, x}, 2, &both) != WG_OK)
        return WG_POISON;
    return wg__apply(&op_masked_fill, in, 3, NULL, 0, WG_SITE);
}
wg_tensor *wg_masked_fill_(wg_tensor *x, wg_tensor *mask, wg_tensor *value) {
    wg_tensor *in[3] = {x, mask, value};
    return wg__apply_inplace(&op_masked_fill, in, 3, NULL, 0, WG_SITE);
}

/* ---- as_strided_scatter: the adjoint of a view ------------------------------------------------------------------- */

/* attr: view sizes, view strides, offset; strides in terms of self's own layout, kept in the copy. */
static wg_tensor slice_of(wg_tensor *whole, const wg_value *attr, int64_t *dims) {
    wg_tensor part = *whole;
    part.ndim = (uint8_t)attr[0].n;
    memcpy(dims, attr[0].ints, attr[0].n * 8);
    memcpy(dims + attr[0].n, attr[1].ints, attr[0].n * 8);
    part.dims = dims;
    part.numel = wg__numel(part.ndim, dims);
    part.data = whole->data + attr[2].i * (int64_t)wg__itemsize(whole);
    part.flags = wg__is_row_major(part.ndim, dims, dims + part.ndim) ? TF_CONTIG : 0;
    return part;
}
static wg_status scatter_run(const wg_call *c) {
    int64_t dims[2 * WG_MAX_DIMS];
    wg_status st = wg__copy_into(c->out[0], c->in[0]);
    wg_tensor part = slice_of(c->out[0], c->attr, dims);
    return st == WG_OK ? wg__copy_into(&part, c->in[1]) : st;
}
static wg_tensor *scatter_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    const wg_value *a = c->attr;
    int n = (int)a[3].n;
    wg_tensor *laid = wg__lay_out(g[0], n, g[0]->dims, a[3].ints);
    if (i == 1) return wg_as_strided(laid, (int)a[0].n, a[0].ints, a[1].ints, a[2].i);
    wg_tensor *zeros = wg__zeros((wg_dtype)laid->dtype, (int)a[0].n, a[0].ints);
    return wg__as_strided_scatter(laid, zeros, (int)a[0].n, a[0].ints, a[1].ints, a[2].i);
}
static const wg_op op_scatter = {
    .name = "as_strided_scatter",
    .shown = WG_HIDDEN,
    .schema = "as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, int storage_offset, "
              "int[] layout) -> Tensor",
    .doc = "a copy of self with src in one of its views",
    .traits = WG_LINEAR,
    .nin = 2,
    .nout = 1,
    .shape = same_shape,
    .run = {scatter_run},
    .vjp = scatter_vjp,
    .formula = {"g, 0 in the view", "g of the view"}};
wg_tensor *wg__as_strided_scatter(wg_tensor *self, wg_tensor *src, int ndim, const int64_t *sizes,
                                  const int64_t *strides, int64_t offset) {
    wg_tensor *in[2] = {self, src};
    if (!self || !src || !wg__ok(self) || !wg__ok(src)) return WG_POISON;
    wg_value a[4] = {WG_VAL_INTS(sizes, ndim), WG_VAL_INTS(strides, ndim), WG_VAL_I(offset),
                     WG_VAL_INTS(wg__strides(self), self->ndim)};
    return wg__apply(&op_scatter, in, 2, a, 4, WG_SITE);
}

/* ---- the gradient of as_strided ---------------------------------------------------------------------------------- */

/* Elements of the input's storage that the view read more than once get the sum; done as index_add on the flat storage.
 */
static bool view_overlaps(int n, const int64_t *sizes, const int64_t *strides) {
    int order[WG_MAX_DIMS], m = 0;
    for (int i = 0; i < n; i++) {
        if (sizes[i] <= 1) continue;
        int j = m++;
        for (; j && strides[order[j - 1]] > strides[i]; j--) order[j] = order[j - 1];
        order[j] = i;
    }
    int64_t reach = 0;
    for (int k = 0; k < m; k++) {
        if (strides[order[k]] <= reach) return true;
        reach += (sizes[order[k]] - 1) * strides[order[k]];
    }
    return false;
}

static wg_tensor *view_positions(int n, const int64_t *sizes, const int64_t *strides, int64_t offset) {
    wg_tensor *at = wg_add(wg_zeros(n, sizes, WG_DTYPE(WG_INT64)), wg_i(offset));
    for (int d = 0; d < n && !wg_is_poison(at); d++) {
        int64_t shape[WG_MAX_DIMS];
        for (int k = 0; k < n; k++) shape[k] = k == d ? sizes[d] : 1;
        wg_tensor *steps = wg_arange(wg_i(0), wg_i(sizes[d]), wg_i(1), NULL);
        at = wg_add(at, wg_mul(wg_reshape(steps, n, shape), wg_i(strides[d])));
    }
    return at;
}

static int64_t reach_of(int n, const int64_t *sizes, const int64_t *strides) {
    int64_t reach = 1;
    for (int i = 0; i < n; i++) {
        if (sizes[i] == 0) return 0;
        reach += (sizes[i] - 1) * strides[i];
    }
    return reach;
}
/* g added to flat at each place that the view has. */
static wg_tensor *add_view(wg_tensor *flat, wg_tensor *g, int n, const int64_t *sizes, const int64_t *strides,
                           int64_t offset) {
    if (!view_overlaps(n, sizes, strides)) return wg__as_strided_scatter(flat, g, n, sizes, strides, offset);
    wg_tensor *at = wg_flatten(view_positions(n, sizes, strides, offset), 0, -1);
    return wg_index_add(flat, 0, at, wg_flatten(g, 0, -1));
}
wg_tensor *wg__as_strided_backward(wg_tensor *g, int ndim, const int64_t *sizes, const int64_t *own, int view_ndim,
                                   const int64_t *view_sizes, const int64_t *view_strides, int64_t offset) {
    int64_t row_major[WG_MAX_DIMS];
    wg__row_major(ndim, sizes, row_major);
    if (!own) own = row_major;
    int64_t have = reach_of(ndim, sizes, own), seen = reach_of(view_ndim, view_sizes, view_strides);
    if (have == 0 || seen == 0) return wg__zeros((wg_dtype)g->dtype, ndim, sizes);
    /* gradient of the storage, flat, as far as either goes; then what the input saw of it */
    int64_t before = offset < 0 ? -offset : 0, after = offset + seen > have ? offset + seen : have,
            size = before + after;
    wg_tensor *flat = wg__zeros((wg_dtype)g->dtype, 1, &size);
    flat = add_view(flat, g, view_ndim, view_sizes, view_strides, offset + before);
    if (view_overlaps(ndim, sizes, own)) { /* one place that the input has several times: an equal share for each */
        wg_tensor *ones = wg_ones(ndim, sizes, WG_DTYPE((wg_dtype)g->dtype));
        flat = wg_div(flat, add_view(wg__zeros((wg_dtype)g->dtype, 1, &size), ones, ndim, sizes, own, before));
        flat = wg_masked_fill(flat, wg_isnan(flat), wg_s(0)); /* between the input's places */
    }
    return wg_as_strided(flat, ndim, sizes, own, before);
}

/* ---- the family -------------------------------------------------------------------------------------------------- */

const wg_op *const wg__ops_copy[] = {&op_clone,       &op_contiguous, &op_to,   &op_cat,   &op_stack,
                                     &op_copy,        &op_zero,       &op_fill, &op_where, &op_where_holds,
                                     &op_masked_fill, &op_scatter,    NULL};
