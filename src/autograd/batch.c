/* batch.c - vmap: handles that stand for one sample of a batch (N3).
 *
 * A batched handle shows the sizes of one sample; its value has one dim more. An op on batched handles runs its batch
 * rule on the values: pointwise ops share one (batch dims in front, then broadcast), views and others bring their own,
 * and an op without one runs sample by sample and is counted.
 */
#include "autograd/levels.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

static _Atomic int64_t fallbacks;
int64_t wg_vmap_fallbacks(void) { return fallbacks; }

/* ---- wrapping ---------------------------------------------------------------------------------------------------- */

/* A handle for one sample of v (retained) along dim. Owned; NULL on no memory. */
static wg_tensor *wrap(wg_tensor *v, int dim, int level) {
    int64_t sizes[WG_MAX_DIMS];
    int n = 0;
    for (int i = 0; i < v->ndim; i++)
        if (i != dim) sizes[n++] = v->dims[i];
    wg_tensor *t = wg__tensor_new_batched((wg_dtype)v->dtype, n, sizes, v);
    wg_meta *m = t ? wg__meta(t) : NULL;
    if (!m) {
        wg_release(t);
        return NULL;
    }
    m->batch_value = wg__retain_safe(v);
    m->batch_dim = (int8_t)dim;
    m->batch_level = level;
    return t;
}

wg_tensor *wg__batched_bare(wg_tensor *t, bool fresh_version) {
    wg_tensor *v = fresh_version ? wg_data_of(t->meta->batch_value) : wg_detach(t->meta->batch_value);
    if (wg_is_poison(v)) return v;
    wg_tensor *a = wrap(v, t->meta->batch_dim, t->meta->batch_level);
    return a ? wg__scope_push(a) : WG_POISON;
}

wg_tensor *wg__batched_alias(const wg_tensor *t) {
    return wrap(t->meta->batch_value, t->meta->batch_dim, t->meta->batch_level);
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

typedef struct batch_call {
    const wg_op *op;
    wg_tensor *const *in; /* the handles */
    int nin;
    const wg_value *attr;
    int nattr;
    wg_tensor *v[64]; /* the values */
    int dim[64];
    int64_t size; /* of the batch */
} batch_call;

static wg_status open_call(batch_call *b, int level) {
    if (b->nin > 64)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, b->op->name,
                         "vmap over more than 64 tensors in one call of %s is missing", b->op->name);
    b->size = -1;
    for (int i = 0; i < b->nin; i++) {
        wg_tensor *t = b->in[i];
        b->v[i] = t;
        b->dim[i] = -1;
        if (!t || !(t->flags & TF_BATCHED) || t->meta->batch_level != level) continue;
        b->v[i] = t->meta->batch_value;
        b->dim[i] = t->meta->batch_dim;
        b->size = b->v[i]->dims[b->dim[i]];
    }
    return WG_OK;
}

static wg_tensor *dim_to_front(wg_tensor *v, int dim) {
    int64_t order[WG_MAX_DIMS];
    int n = 0;
    if (dim == 0) return v;
    order[n++] = dim;
    for (int i = 0; i < v->ndim; i++)
        if (i != dim) order[n++] = i;
    return wg_permute(v, n, order);
}

/* Batch dim first, then enough size-1 dims for samples of fewer dims to line up on the right. */
static wg_tensor *aligned(wg_tensor *v, int dim, int sample_dims) {
    v = dim_to_front(v, dim);
    for (int missing = sample_dims - (v->ndim - 1); missing > 0 && !wg_is_poison(v); missing--) v = wg_unsqueeze(v, 1);
    return v;
}

static int most_dims(const batch_call *b) {
    int n = 0;
    for (int i = 0; i < b->nin; i++)
        if (b->in[i]->ndim > n) n = b->in[i]->ndim;
    return n;
}

/* Fills in[] with values that broadcast as the samples do, in the dtypes that the samples' promotion gives: a 0-d
 * sample has a value with dims, which would promote as such. The target of a write stays as it is. */
static wg_status align_pointwise(const batch_call *b, wg_tensor **in, bool write) {
    int n = most_dims(b);
    wg_dtype type = wg__result_type(b->in, b->nin);
    for (int i = 0; i < b->nin; i++) {
        in[i] = b->dim[i] < 0 ? b->v[i] : aligned(b->v[i], b->dim[i], n);
        if (wg_is_poison(in[i])) return WG_ERR_RUNTIME;
        if (b->dim[i] >= 0 && b->in[i]->ndim == 0 && wg_dtype_is_floating(type) && in[i]->dtype != type &&
            !(write && i == 0))
            in[i] = wg_to(in[i], type);
    }
    return WG_OK;
}

static wg_status batch_pointwise(const batch_call *b, wg_tensor **out, int *out_dim) {
    wg_tensor *in[64];
    wg_status st = align_pointwise(b, in, false);
    if (st == WG_OK) st = wg__apply_n(b->op, in, b->nin, b->attr, b->nattr, out, 1, WG_SITE);
    out_dim[0] = 0;
    return st;
}

static void sample(const batch_call *b, int64_t k, wg_tensor **in) {
    for (int i = 0; i < b->nin; i++) in[i] = b->dim[i] < 0 ? b->v[i] : wg_select(b->v[i], b->dim[i], k);
}

/* Sample by sample, then stacked. */
static wg_status batch_loop(const batch_call *b, wg_tensor **out, int nout, int *out_dim) {
    size_t count = (size_t)b->size * (size_t)nout;
    if (b->size == 0)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, b->op->name,
                         "vmap over a batch of 0 needs a batch rule, which %s lacks", b->op->name);
    wg_tensor *in[64], **parts = wg__malloc(count * sizeof(*parts)), *one[64];
    if (!parts || nout > 64) {
        if (parts) wg__mfree(parts, count * sizeof(*parts));
        return wg__no_memory(b->op->name, count * sizeof(*parts));
    }
    fallbacks++;
    wg_status st = WG_OK;
    for (int64_t k = 0; k < b->size && st == WG_OK; k++) {
        sample(b, k, in);
        st = wg__apply_n(b->op, in, b->nin, b->attr, b->nattr, one, nout, WG_SITE);
        for (int o = 0; o < nout; o++) parts[o * b->size + k] = one[o];
    }
    for (int o = 0; o < nout && st == WG_OK; o++) {
        out_dim[o] = 0;
        out[o] = parts[o * b->size] ? wg_stack(parts + o * b->size, (int)b->size, 0) : NULL;
        if (out[o] && wg_is_poison(out[o])) st = WG_ERR_RUNTIME;
    }
    wg__mfree(parts, count * sizeof(*parts));
    return st;
}

wg_status wg__batch_loop(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    batch_call b = {.op = c->op, .in = c->in, .nin = c->nin, .attr = c->attr, .nattr = c->nattr};
    for (int i = 0; i < c->nin; i++) {
        b.v[i] = c->in[i];
        b.dim[i] = bdim[i];
        if (bdim[i] >= 0) b.size = c->in[i]->dims[bdim[i]];
    }
    return batch_loop(&b, out, c->nout, out_bdim);
}

static wg_status run_rule(const batch_call *b, wg_tensor **out, int nout, int *out_dim) {
    if (b->op->traits & WG_POINTWISE) return batch_pointwise(b, out, out_dim);
    if (!b->op->batch) return batch_loop(b, out, nout, out_dim);
    wg_call c = {.op = b->op, .in = b->v, .nin = b->nin, .attr = b->attr, .nattr = b->nattr, .out = out, .nout = nout};
    return b->op->batch(&c, b->dim, out, out_dim);
}

/* One dim is the batch's. Rules put it before the dims or sizes of a call, in arrays of WG_MAX_DIMS; splits
 * and joins of a dim may have any number of pieces. */
static wg_status check_lists(const wg_op *op, const wg_value *attr, int nattr) {
    for (int i = 0; i < nattr; i++)
        if (attr[i].tag == WG_V_INTS && attr[i].n >= WG_MAX_DIMS && !(op->traits & (WG_MULTI_VIEW | WG_LIST)))
            return wg__raise(WG_ERR_RUNTIME, op->name,
                             "vmap: %s names %u dims, and with the batch's a tensor has at most %d", op->name,
                             attr[i].n, WG_MAX_DIMS);
    return WG_OK;
}

wg_status wg__apply_batched(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                            wg_tensor **out, int nout, int level, void *site) {
    batch_call b = {.op = op, .in = in, .nin = nin, .attr = attr, .nattr = nattr};
    wg_tensor *values[64];
    int dims[64];
    wg_status st = open_call(&b, level);
    if (st == WG_OK) st = check_lists(op, attr, nattr);
    if (st == WG_OK && nout > 64) st = wg__raise(WG_ERR_NOT_IMPLEMENTED, op->name, "vmap: more than 64 results");
    for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    if (st != WG_OK) return st;
    void *pinned = wg__tls.site;
    wg_hidden before = wg__hide_from(level);
    wg__tls.site = wg__site(&wg__tls, site);
    for (int o = 0; o < nout; o++) values[o] = NULL;
    st = run_rule(&b, values, nout, dims);
    for (int o = 0; o < nout && st == WG_OK; o++) {
        if (values[o] && wg_is_poison(values[o])) st = WG_ERR_RUNTIME;
        wg_tensor *t = st == WG_OK && values[o]
                           ? (dims[o] < 0 ? wg__retain_safe(values[o]) : wrap(values[o], dims[o], level))
                           : NULL;
        if (st == WG_OK && values[o] && !t) st = WG_ERR_MEMORY;
        out[o] = t ? wg__scope_push(t) : NULL;
    }
    wg__tls.site = pinned;
    wg__unhide(before);
    /* Handles that require a gradient of their own (leaves made inside the mapped function) are recorded as such. */
    if (st == WG_OK && !wg__tls.no_grad && wg__any_requires(op, in, nin))
        st = wg__record(op, in, nin, attr, nattr, out, nout, wg__site(&wg__tls, site));
    if (st != WG_OK)
        for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    return st;
}

/* ---- in place ---------------------------------------------------------------------------------------------------- */

wg_tensor *wg__inplace_batched(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                               int level, void *site) {
    batch_call b = {.op = op, .in = in, .nin = nin, .attr = attr, .nattr = nattr};
    wg_tensor *v[64];
    if (open_call(&b, level) != WG_OK) return WG_POISON;
    if (b.dim[0] < 0)
        return wg__fail(
            WG_ERR_RUNTIME, op->name,
            "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` "
            "in extra_args that has more elements than `self`. This happened due to `other` being vmapped over "
            "but `self` not being vmapped over. Use the out-of-place %s",
            op->name);
    if (!wg__tls.no_grad && wg__any_requires(op, in, nin))
        return wg__fail(WG_ERR_NOT_IMPLEMENTED, op->name,
                        "%s_ in place on a mapped tensor that requires grad inside the "
                        "mapped function is missing; use the out-of-place op",
                        op->name);
    void *pinned = wg__tls.site;
    wg_hidden before = wg__hide_from(level);
    wg__tls.site = wg__site(&wg__tls, site);
    wg_status st = WG_OK;
    if (op->traits & WG_POINTWISE) {
        st = align_pointwise(&b, v, true);
        if (st == WG_OK && wg_is_poison(wg__apply_inplace(op, v, nin, attr, nattr, site))) st = WG_ERR_RUNTIME;
    } else {
        fallbacks++;
        for (int64_t k = 0; k < b.size && st == WG_OK; k++) {
            sample(&b, k, v);
            if (wg_is_poison(wg__apply_inplace(op, v, nin, attr, nattr, site))) st = WG_ERR_RUNTIME;
        }
    }
    wg__tls.site = pinned;
    wg__unhide(before);
    return st == WG_OK ? in[0] : WG_POISON;
}

/* ---- torch.func.vmap --------------------------------------------------------------------------------------------- */

static wg_status wrap_inputs(wg_tensor *const *in, const int64_t *in_dims, int nin, int level, wg_tensor **w,
                             int64_t *size) {
    *size = -1;
    for (int i = 0; i < nin; i++) {
        if (!in[i] || wg_is_poison(in[i])) return wg__raise(WG_ERR_TYPE, "vmap", "vmap: input %d is not a tensor", i);
        w[i] = in[i];
        if (in_dims[i] == WG_NO_DIM) continue;
        int64_t d = in_dims[i];
        if (d < -in[i]->ndim || d >= in[i]->ndim)
            return wg__raise(
                WG_ERR_VALUE, "vmap",
                "vmap(f, in_dims=%lld, ...)(<inputs>): Got in_dim=%lld for some input, but that input is a "
                "Tensor of dimensionality %d so expected in_dim to satisfy -%d <= in_dim < %d.",
                (long long)d, (long long)d, in[i]->ndim, in[i]->ndim, in[i]->ndim);
        if (d < 0) d += in[i]->ndim;
        if (*size >= 0 && in[i]->dims[d] != *size)
            return wg__raise(
                WG_ERR_VALUE, "vmap",
                "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes [%lld, "
                "%lld] for the mapped dimension",
                (long long)*size, (long long)in[i]->dims[d]);
        *size = in[i]->dims[d];
        w[i] = wrap(in[i], (int)d, level);
        if (!w[i]) return WG_ERR_MEMORY;
        w[i] = wg__scope_push(w[i]);
    }
    if (*size < 0) return wg__raise(WG_ERR_VALUE, "vmap", "vmap: Expected at least one Tensor to vmap over");
    return WG_OK;
}

static wg_tensor *dim_to(wg_tensor *v, int from, int to) {
    int64_t order[WG_MAX_DIMS];
    int n = 0;
    if (from == to) return v;
    for (int i = 0; i < v->ndim; i++)
        if (i != from) order[n++] = i;
    for (int i = n; i > to; i--) order[i] = order[i - 1];
    order[to] = from;
    return wg_permute(v, v->ndim, order);
}

static wg_tensor *unwrap(wg_tensor *t, int level, int64_t size, int64_t out_dim) {
    int ndim = t->ndim + 1;
    if (out_dim < -ndim || out_dim >= ndim)
        return wg__fail(WG_ERR_INDEX, "vmap",
                        "Dimension out of range (expected to be in range of [%d, %d], but got %lld)", -ndim, ndim - 1,
                        (long long)out_dim);
    int to = (int)(out_dim < 0 ? out_dim + ndim : out_dim);
    if ((t->flags & TF_BATCHED) && t->meta->batch_level == level) {
        wg_tensor *v = wg__scope_push(wg__retain(t->meta->batch_value));
        return dim_to(v, t->meta->batch_dim, to);
    }
    int64_t sizes[WG_MAX_DIMS];
    for (int i = 0; i < ndim; i++) sizes[i] = i == to ? size : -1;
    return wg_expand(wg_unsqueeze(t, to), ndim, sizes);
}

wg_tensor *wg_vmap(wg_fn f, void *user, wg_tensor *const *in, const int64_t *in_dims, int nin, int64_t out_dim) {
    if (!f || nin < 1 || nin > 64 || !in || !in_dims)
        return wg__fail(WG_ERR_TYPE, "vmap", "vmap expects a function and 1 to 64 inputs");
    wg_tensor *w[64], *result = WG_POISON;
    int64_t size;
    int level = ++wg__tls.levels;
    wg__tls.maps++;
    if (wrap_inputs(in, in_dims, nin, level, w, &size) == WG_OK) {
        wg_tensor *out = f(user, w, nin);
        if (!out)
            wg__raise(WG_ERR_TYPE, "vmap", "vmap(f, ...): `f` must only return Tensors, got NULL");
        else if (!wg_is_poison(out))
            result = unwrap(out, level, size, out_dim);
    }
    wg__tls.levels--;
    wg__tls.maps--;
    return result;
}
