/* loss.c - nll_loss, cross_entropy, mse_loss. nll_loss and its backward are primitives; cross_entropy is log_softmax
 * and nll_loss, as in PyTorch; mse_loss is a primitive with a composed rule.
 */
#include <stdio.h>

#include "core/apply.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int reduction_of(const wg_loss *o) { return o && o->has_reduction ? (int)o->reduction : WG_REDUCE_MEAN; }
static int64_t ignored(const wg_loss *o) { return o && o->has_ignore_index ? o->ignore_index : -100; }
static wg_tensor *reduce(wg_tensor *x, int how) {
    return how == WG_REDUCE_NONE ? x : how == WG_REDUCE_SUM ? wg_sum_opt(x, NULL) : wg_mean_opt(x, NULL);
}

/* ---- nll_loss: x is (N, C, rest), target (N, rest), weight (C) --------------------------------------------------- */

/* in: self, target, weight or NULL. attr: reduction, ignore_index. out: loss, total weight. */
typedef struct nll {
    int64_t n, classes, rest; /* the element (i, c, r) is at (i * classes + c) * rest + r */
    const int64_t *target;
    const double *weight;
    int64_t ignore;
    int reduction;
    wg_tensor *x, *t, *w; /* owned copies */
} nll;

static int class_dim(const wg_tensor *x) { return x->ndim == 1 ? 0 : 1; }

/* One dim for the classes and as many others as you like; PyTorch has a way, and words, for each number of them. */
static wg_status nll_sizes(const wg_tensor *x, const wg_tensor *t) {
    char a[256], b[256];
    int64_t want[WG_MAX_DIMS], given = t->ndim ? t->dims[0] : 0;
    int n = 0;
    if (x->ndim == 0) return wg__raise(WG_ERR_VALUE, "nll_loss", "Expected 1 or more dimensions (got 0)");
    if (x->ndim > 1 && given != x->dims[0])
        return wg__raise(WG_ERR_VALUE, "nll_loss",
                         "Expected input batch_size (%lld) to match target batch_size (%lld).", (long long)x->dims[0],
                         (long long)given);
    if (x->ndim == 1 && t->ndim == 1 && t->dims[0] == 1) return WG_OK;
    if (x->ndim == 1 && t->ndim == 1)
        return wg__raise(WG_ERR_VALUE, "nll_loss",
                         "For 1D input, 1D target must have size 1, but got target size: %lld", (long long)t->dims[0]);
    if (x->ndim <= 2 && t->ndim > 1)
        return wg__raise(WG_ERR_RUNTIME, "nll_loss", "0D or 1D target tensor expected, multi-target not supported");
    if (x->ndim == 4 && t->ndim != 3)
        return wg__raise(WG_ERR_RUNTIME, "nll_loss",
                         "only batches of spatial targets supported (3D tensors) but got targets of dimension: %d",
                         t->ndim);
    for (int i = 0; i < x->ndim; i++)
        if (i != class_dim(x)) want[n++] = x->dims[i];
    if (t->ndim == n && memcmp(t->dims, want, (size_t)n * 8) == 0) return WG_OK;
    if (x->ndim == 3 || x->ndim > 4)
        return wg__raise(WG_ERR_RUNTIME, "nll_loss", "Expected target size %s, got %s",
                         wg__sizes_text(a, sizeof(a), n, want), wg__sizes_text(b, sizeof(b), t->ndim, t->dims));
    return wg__raise(WG_ERR_RUNTIME, "nll_loss",
                     x->ndim == 4 ? "size mismatch (got input: %s , target: %s"
                                  : "size mismatch (got "
                                    "input: %s, target: %s)",
                     wg__sizes_text(a, sizeof(a), x->ndim, x->dims), wg__sizes_text(b, sizeof(b), t->ndim, t->dims));
}
static wg_status weight_fits(const char *who, const char *prefix, const wg_tensor *w, int64_t classes) {
    if (!w || (w->ndim == 1 && w->dims[0] == classes)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, who,
                     "%sweight tensor should be defined either for all %lld classes or no classes but got weight "
                     "tensor of shape: %s",
                     prefix, (long long)classes, wg__sizes_text((char[256]){0}, 256, w->ndim, w->dims));
}
static wg_status nll_check(const wg_call *c) {
    const wg_tensor *x = c->in[0], *t = c->in[1], *w = c->in[2];
    if (!wg_dtype_is_floating((wg_dtype)x->dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "nll_loss", "\"nll_loss_out_frame\" not implemented for '%s'",
                         wg__dtype_scalar_name((wg_dtype)x->dtype));
    wg_status st = nll_sizes(x, t);
    if (st == WG_OK && t->dtype != WG_INT64 && t->dtype != WG_UINT8)
        return wg__raise(WG_ERR_RUNTIME, "nll_loss",
                         "expected target dtype to be Long or Byte, but got %s. It holds class numbers",
                         wg__dtype_scalar_name((wg_dtype)t->dtype));
    if (st == WG_OK) st = weight_fits("nll_loss", "", w, x->dims[class_dim(x)]);
    if (st == WG_OK && w && w->dtype != x->dtype)
        return wg__raise(WG_ERR_RUNTIME, "nll_loss", "expected scalar type %s but found %s. It is the weights'",
                         wg__dtype_scalar_name((wg_dtype)x->dtype), wg__dtype_scalar_name((wg_dtype)w->dtype));
    if (st == WG_OK && w && wg_grad_enabled() && wg_requires_grad(w))
        return wg__raise(WG_ERR_RUNTIME, "nll_loss",
                         "The function '%s' is not differentiable with respect to argument 'weight'. This "
                         "input cannot have requires_grad True.",
                         x->ndim > 2 ? "nll_loss2d_forward" : "nll_loss_forward");
    return st;
}

static wg_status nll_open(nll *k, const wg_call *c, wg_tensor *x, wg_tensor *target, wg_tensor *weight, int ndim,
                          const int64_t *sizes) {
    *k = (nll){.ignore = c->attr[1].tag == WG_V_NONE ? -100 : c->attr[1].i,
               .reduction = c->attr[0].tag == WG_V_NONE ? WG_REDUCE_MEAN : (int)c->attr[0].i};
    k->classes = sizes[ndim == 1 ? 0 : 1];
    k->n = ndim == 1 ? 1 : sizes[0];
    k->rest = 1;
    for (int i = 2; i < ndim; i++) k->rest *= sizes[i];
    k->x = x ? wg__contiguous(x, WG_FLOAT64 == (wg_dtype)x->dtype ? WG_FLOAT64 : WG_FLOAT32) : NULL;
    k->t = wg__contiguous(target, WG_INT64);
    k->w = weight ? wg__contiguous(weight, WG_FLOAT64) : NULL;
    if ((x && !k->x) || !k->t || (weight && !k->w)) return WG_ERR_MEMORY;
    k->target = (const int64_t *)(const void *)k->t->data;
    k->weight = k->w ? (const double *)(const void *)k->w->data : NULL;
    for (int64_t i = 0; i < k->n * k->rest; i++)
        if (k->target[i] != k->ignore && (k->target[i] < 0 || k->target[i] >= k->classes))
            return wg__raise(WG_ERR_INDEX, "nll_loss",
                             "Target %lld is out of bounds. There are %lld classes, 0 to %lld", (long long)k->target[i],
                             (long long)k->classes, (long long)k->classes - 1);
        else if (wg__poll_at(i))
            return WG_ERR_INTERRUPTED;
    return WG_OK;
}
static void nll_close(nll *k) {
    wg_release(k->x);
    wg_release(k->t);
    wg_release(k->w);
}
static inline double weight_of(const nll *k, int64_t i) { return k->weight ? k->weight[k->target[i]] : 1; }
static inline int64_t place_of(const nll *k, int64_t i) {
    return (i / k->rest * k->classes + k->target[i]) * k->rest + i % k->rest;
}
static inline double read(const wg_tensor *t, int64_t i) {
    return t->dtype == WG_FLOAT64 ? ((const double *)(const void *)t->data)[i]
                                  : (double)((const float *)(const void *)t->data)[i];
}

static wg_status nll_shape(const wg_call *c, wg_geometry *g) {
    wg_status st = nll_check(c);
    int how = c->attr[0].tag == WG_V_NONE ? WG_REDUCE_MEAN : (int)c->attr[0].i;
    if (st != WG_OK) return st;
    g[1].ndim = g[0].ndim = 0;
    if (how == WG_REDUCE_NONE && c->in[0]->ndim > 1) {
        g[0].ndim = c->in[1]->ndim;
        memcpy(g[0].sizes, c->in[1]->dims, (size_t)g[0].ndim * 8);
    }
    return WG_OK;
}
static wg_status nll_run(const wg_call *c) {
    nll k;
    wg_status st = nll_open(&k, c, c->in[0], c->in[1], c->in[2], c->in[0]->ndim, c->in[0]->dims);
    wg_tensor *out = c->out[0];
    double sum = 0, total = 0;
    for (int64_t i = 0; st == WG_OK && i < k.n * k.rest; i++) {
        if (wg__poll_at(i)) st = WG_ERR_INTERRUPTED;
        bool skip = k.target[i] == k.ignore;
        double w = skip ? 0 : weight_of(&k, i), v = skip ? 0 : -w * read(k.x, place_of(&k, i));
        total += w;
        sum += v;
        if (k.reduction == WG_REDUCE_NONE)
            wg__store_double(out->data + (size_t)i * wg__itemsize(out), (wg_dtype)out->dtype, v);
    }
    if (st == WG_OK) {
        if (k.reduction != WG_REDUCE_NONE)
            wg__store_double(out->data, (wg_dtype)out->dtype, k.reduction == WG_REDUCE_MEAN ? sum / total : sum);
        wg__store_double(c->out[1]->data, (wg_dtype)c->out[1]->dtype, k.reduction == WG_REDUCE_NONE ? 0 : total);
    }
    nll_close(&k);
    return st;
}

/* in: grad, target, weight, total_weight. attr: reduction, ignore_index, sizes of self. */
static wg_status nll_backward_shape(const wg_call *c, wg_geometry *g) {
    g->ndim = (int)c->attr[2].n;
    memcpy(g->sizes, c->attr[2].ints, c->attr[2].n * 8);
    return WG_OK;
}
static wg_status nll_backward_run(const wg_call *c) {
    nll k;
    wg_tensor *out = c->out[0];
    wg_status st = nll_open(&k, c, NULL, c->in[1], c->in[2], out->ndim, out->dims);
    wg_tensor *g = st == WG_OK ? wg__contiguous(c->in[0], WG_FLOAT64) : NULL;
    if (st == WG_OK && !g) st = WG_ERR_MEMORY;
    if (st == WG_OK) st = wg__fill_zero(out);
    double total = st == WG_OK && c->in[3] ? wg__load_double(c->in[3]->data, (wg_dtype)c->in[3]->dtype) : 1;
    size_t item = wg__itemsize(out);
    for (int64_t i = 0; st == WG_OK && i < k.n * k.rest; i++) {
        if (wg__poll_at(i)) st = WG_ERR_INTERRUPTED;
        if (k.target[i] == k.ignore) continue;
        double v = -weight_of(&k, i) * read(g, k.reduction == WG_REDUCE_NONE ? i : 0);
        if (k.reduction == WG_REDUCE_MEAN) v /= total;
        wg__store_double(out->data + (size_t)place_of(&k, i) * item, (wg_dtype)out->dtype, v);
    }
    wg_release(g);
    nll_close(&k);
    return st;
}
static const wg_op op_nll;
static const wg_op op_nll_backward;
static wg_tensor *nll_of(const wg_call *c, wg_tensor *x, int target, int weight) {
    wg_tensor *in[3] = {x, c->in[target], c->in[weight]}, *out[2];
    return wg__apply_n(&op_nll, in, 3, c->attr, 2, out, 2, WG_SITE) == WG_OK ? out[0] : WG_POISON;
}
/* Linear in g; its adjoint picks what nll_loss picks. */
static wg_tensor *nll_backward_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 0) return nll_of(c, g[0], 1, 2);
    int n; /* self matters to the graph only: its second derivative is zero, not absent */
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    return wg__zeros(wg__input_dtype(c, i), n, sizes);
}
static wg_tensor *nll_backward_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    wg_tensor *in[5] = {t[0], c->in[1], c->in[2], c->in[3], NULL};
    return (void)o, t[0] ? wg__apply(&op_nll_backward, in, 5, c->attr, 3, WG_SITE) : NULL;
}
static wg_tensor *nll_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    if (!g[0]) return NULL;
    wg_tensor *in[5] = {g[0], c->in[1], c->in[2], c->out[1], wg__tls.no_grad ? NULL : c->in[0]};
    wg_value a[3] = {c->attr[0], c->attr[1], WG_VAL_INTS(sizes, n)};
    return wg__apply(&op_nll_backward, in, 5, a, 3, WG_SITE);
}
static wg_tensor *nll_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return o || !t[0] ? NULL : nll_of(c, t[0], 1, 2);
}
static const char *nll_name(const wg_call *c) {
    int n;
    wg__input_sizes(c, 0, &n);
    return n > 2 ? "NllLoss2DBackward0" : "NllLossBackward0";
}
static const wg_op op_nll = {
    .name = "nll_loss_forward",
    .shown = WG_HIDDEN,
    .schema = "nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> "
              "(Tensor output, Tensor total_weight)",
    .doc = "minus the log probability of each target class, weighted",
    .traits = WG_INT_SECOND,
    .nin = 3,
    .nout = 2,
    .saves = WG_USE_X | WG_USE_Y | WG_USE_W | WG_USE_Z,
    .nondiff_in = 6,
    .optional_in = 4,
    .shape = nll_shape,
    .run = {nll_run},
    .vjp = nll_vjp,
    .jvp = nll_jvp,
    .grad_name = nll_name,
    .formula = {"-weight at the target"}};
static const wg_op op_nll_backward = {.name = "nll_loss_backward",
                                      .shown = WG_HIDDEN,
                                      .schema = "nll_loss_backward(Tensor grad_output, Tensor target, Tensor? weight, "
                                                "Tensor? total_weight, int reduction, int ignore_index, "
                                                "int[] size, Tensor? self=None) -> Tensor",
                                      .doc = "gradient of nll_loss",
                                      .nin = 5,
                                      .nout = 1,
                                      .saves = WG_USE_Y | WG_USE_W,
                                      .nondiff_in = 14,
                                      .optional_in = 28,
                                      .shape = nll_backward_shape,
                                      .run = {nll_backward_run},
                                      .vjp = nll_backward_vjp,
                                      .jvp = nll_backward_jvp,
                                      .formula = {"nll_loss of g", NULL, NULL, NULL}};

static wg_tensor *nll_call(wg_tensor *x, wg_tensor *t, wg_tensor *w, int reduction, int64_t ignore, void *site) {
    wg_tensor *in[3] = {x, t, w}, *out[2];
    wg_value a[2] = {WG_VAL_I(reduction), WG_VAL_I(ignore)};
    wg__apply_n(&op_nll, in, 3, a, 2, out, 2, site);
    return out[0];
}
wg_tensor *wg_nll_loss_opt(wg_tensor *x, wg_tensor *target, const wg_loss *o) {
    if (WG_CHECK_STRUCT(wg_loss, o, "nll_loss") != WG_OK) return WG_POISON;
    return nll_call(x, target, o ? o->weight : NULL, reduction_of(o), ignored(o), WG_SITE);
}

/* ---- cross_entropy ----------------------------------------------------------------------------------------------- */

/* Class probabilities as target: - sum over classes of p log q, weighted. */
static wg_tensor *soft_targets(wg_tensor *logq, wg_tensor *p, const wg_loss *o, int64_t dim) {
    int how = reduction_of(o);
    if (weight_fits("cross_entropy", "cross_entropy: ", o ? o->weight : NULL, wg_size(logq, (int)dim)) != WG_OK)
        return WG_POISON;
    if (o && o->label_smoothing > 0)
        p = wg_add(wg_mul(p, wg_s(1 - o->label_smoothing)), wg_s(o->label_smoothing / (double)wg_size(logq, (int)dim)));
    wg_tensor *e = wg_mul(logq, p);
    if (o && o->weight) {
        int64_t shape[WG_MAX_DIMS];
        for (int i = 0; i < wg_ndim(logq); i++) shape[i] = i == dim ? wg_numel(o->weight) : 1;
        e = wg_mul(e, wg_reshape(o->weight, wg_ndim(logq), shape));
    }
    wg_reduce along = {.size = sizeof(along), .dims = {1, &dim}};
    if (how == WG_REDUCE_NONE) return wg_neg(wg_sum_opt(e, &along));
    wg_tensor *sum = wg_neg(wg_sum_opt(e, NULL));
    if (how == WG_REDUCE_SUM) return sum;
    double n = (double)wg_numel(logq) / (double)wg_size(logq, (int)dim);
    return wg_div(sum, wg_s(n));
}

/* (1 - s) nll + s/C times the mean over all classes. */
static wg_tensor *smoothed(wg_tensor *logq, wg_tensor *target, const wg_loss *o, int64_t dim) {
    int how = reduction_of(o);
    double s = o->label_smoothing, classes = (double)wg_size(logq, (int)dim);
    wg_tensor *hard = nll_call(logq, target, o->weight, how, ignored(o), NULL), *w = NULL, *e = logq;
    if (o->weight) {
        int64_t shape[WG_MAX_DIMS];
        for (int i = 0; i < wg_ndim(logq); i++) shape[i] = i == dim ? wg_numel(o->weight) : 1;
        w = wg_reshape(o->weight, wg_ndim(logq), shape);
        e = wg_mul(logq, w);
    }
    wg_reduce along = {.size = sizeof(along), .dims = {1, &dim}};
    wg_tensor *skip = wg_eq(target, wg_i(ignored(o)));
    wg_tensor *all = wg_masked_fill(wg_neg(wg_sum_opt(e, &along)), skip, wg_i(0)), *soft = all;
    if (how == WG_REDUCE_SUM) soft = wg_sum_opt(all, NULL);
    if (how == WG_REDUCE_MEAN) {
        wg_tensor *count =
            w ? wg_sum_opt(wg_masked_fill(wg_index(wg_detach(o->weight),
                                                   (wg_tensor *const[]){wg_masked_fill(target, skip, wg_i(0))}, 1),
                                          skip, wg_i(0)),
                           NULL)
              : wg_sum_opt(wg_logical_not(skip), NULL);
        soft = wg_div(wg_sum_opt(all, NULL), count);
    }
    return wg_add(wg_mul(hard, wg_s(1 - s)), wg_mul(soft, wg_s(s / classes)));
}

wg_tensor *wg_cross_entropy_opt(wg_tensor *logits, wg_tensor *target, const wg_loss *o) {
    WG_COMPOSITE;
    if (WG_CHECK_STRUCT(wg_loss, o, "cross_entropy") != WG_OK) return WG_POISON;
    if (!logits || !target)
        return wg__fail(WG_ERR_TYPE, "cross_entropy", "cross_entropy(): input and target must be Tensors");
    if (!wg__ok(logits) || !wg__ok(target)) return WG_POISON;
    int64_t dim = logits->ndim == 1 ? 0 : 1;
    bool soft = wg__same_sizes(logits, target); /* so PyTorch tells probabilities from classes */
    if (soft && o && o->has_ignore_index && o->ignore_index >= 0 && wg_dtype_is_floating((wg_dtype)target->dtype))
        return wg__fail(WG_ERR_RUNTIME, "cross_entropy", "ignore_index is not supported for floating point target");
    if (soft && !wg_dtype_is_floating((wg_dtype)target->dtype))
        return wg__fail(WG_ERR_RUNTIME, "cross_entropy",
                        "Expected floating point type for target with class probabilities, got %s",
                        wg__dtype_scalar_name((wg_dtype)target->dtype));
    if (o && o->label_smoothing > 1)
        return wg__fail(WG_ERR_RUNTIME, "cross_entropy", "label_smoothing must be between 0.0 and 1.0. Got: %g",
                        o->label_smoothing);
    if (logits->ndim == 0) return wg__fail(WG_ERR_VALUE, "cross_entropy", "Expected 1 or more dimensions (got 0)");
    wg_tensor *logq = wg_log_softmax(logits, dim);
    if (wg_is_poison(logq)) return logq;
    if (soft) return soft_targets(logq, target, o, dim);
    if (o && o->label_smoothing > 0) return smoothed(logq, target, o, dim);
    return nll_call(logq, target, o ? o->weight : NULL, reduction_of(o), ignored(o), NULL);
}

/* ---- mse_loss ---------------------------------------------------------------------------------------------------- */

static wg_status mse_shape(const wg_call *c, wg_geometry *g) {
    wg_status st = wg__broadcast("mse_loss", (const wg_tensor *const *)c->in, 2, g);
    g->dtype = wg__result_type(c->in, 2);
    g->strided = false;
    if (st == WG_OK && !wg_dtype_is_floating(g->dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "mse_loss", "\"mse_cpu\" not implemented for '%s'",
                         wg__dtype_scalar_name(g->dtype));
    if (c->attr[0].tag == WG_V_NONE || c->attr[0].i != WG_REDUCE_NONE) g->ndim = 0;
    return st;
}
/* Runs the differences and squares by the pointwise kernels, without history. */
static wg_status mse_run(const wg_call *c) {
    int how = c->attr[0].tag == WG_V_NONE ? WG_REDUCE_MEAN : (int)c->attr[0].i;
    wg_status st = WG_ERR_RUNTIME;
    uint8_t no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    WG_SCOPE {
        wg_tensor *d = wg_sub(c->in[0], c->in[1]), *r = reduce(wg_mul(d, d), how);
        if (!wg_is_poison(r)) st = wg__copy_into(c->out[0], r);
    }
    wg__tls.no_grad = no_grad;
    return st;
}
static wg_tensor *mse_product(const wg_call *c, wg_tensor *g) {
    wg_tensor *d = wg_sub(c->in[0], c->in[1]);
    double n = c->attr[0].tag == WG_V_NONE || c->attr[0].i == WG_REDUCE_MEAN ? (double)wg_numel(d) : 1;
    return wg_mul(g, wg_mul(d, wg_s(2 / n)));
}
static wg_tensor *mse_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    wg_tensor *r = mse_product(c, g[0]);
    return i == 0 ? r : wg_neg(r);
}
static wg_tensor *mse_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    wg_tensor *d = t[0] && t[1] ? wg_sub(t[0], t[1]) : t[0] ? t[0] : wg_neg(t[1]);
    wg_tensor *r = mse_product(c, d);
    (void)o;
    return c->attr[0].tag != WG_V_NONE && c->attr[0].i == WG_REDUCE_NONE ? r : wg_sum_opt(r, NULL);
}
static const wg_op op_mse = {.name = "mse_loss",
                             .schema = "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
                             .shown = WG_NN,
                             .doc = "mean of squared differences",
                             .nin = 2,
                             .nout = 1,
                             .saves = WG_USE_X | WG_USE_Y,
                             .shape = mse_shape,
                             .run = {mse_run},
                             .vjp = mse_vjp,
                             .jvp = mse_jvp,
                             .formula = {"2(x - y)/n", "-2(x - y)/n"}};
wg_tensor *wg_mse_loss_opt(wg_tensor *x, wg_tensor *y, const wg_loss *o) {
    if (WG_CHECK_STRUCT(wg_loss, o, "mse_loss") != WG_OK) return WG_POISON;
    wg_tensor *in[2] = {x, y};
    wg_value a = WG_VAL_I(reduction_of(o));
    return wg__apply(&op_mse, in, 2, &a, 1, WG_SITE);
}

/* ---- boxed composites -------------------------------------------------------------------------------------------- */

/* a[2] … of the schemas below. */
static wg_loss loss_args(const wg_value *a) {
    return (wg_loss){.size = sizeof(wg_loss),
                     .weight = a[2].t,
                     .has_reduction = true,
                     .reduction = (wg_reduction)a[3].i,
                     .has_ignore_index = true,
                     .ignore_index = a[4].i};
}
static wg_tensor *cross_entropy_of(const wg_value *a) {
    wg_loss o = loss_args(a);
    o.label_smoothing = a[5].d;
    return wg_cross_entropy_opt(a[0].t, a[1].t, &o);
}
static wg_tensor *nll_of_args(const wg_value *a) {
    wg_loss o = loss_args(a);
    return wg_nll_loss_opt(a[0].t, a[1].t, &o);
}
WG_COMPOSED(nll_loss, "nll_loss",
            "(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> Tensor",
            "minus the log probability of each target class; reduction: 0 none, 1 mean, 2 sum", nll_of_args(a),
            .shown = WG_NN, .formula = {"-weight at the target"})
WG_COMPOSED(cross_entropy, "cross_entropy",
            "(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100, float "
            "label_smoothing=0.0) -> Tensor",
            "log_softmax over the classes, then nll_loss", cross_entropy_of(a), .shown = WG_NN,
            .formula = {"softmax(x) - target"})

const wg_op *const wg__ops_loss[] = {&op_nll, &op_nll_backward, &op_mse, &op_nll_loss, &op_cross_entropy, NULL};
