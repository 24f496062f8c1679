/* softmax.c - softmax and log_softmax, each in one pass over a row forward and one backward; the backwards are ops with
 * rules of their own, so they differentiate again.
 */
#include "core/apply.h"
#include "cpu/pool.h"
#include "cpu/reduce.h"
#include "ops/reduce.h"
#include "wengert/ops.h"

/* ---- running rows: the dim last, float32 or float64 -------------------------------------------------------------- */

enum { SOFTMAX, LOG_SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD };
typedef struct job {
    int kind;
    bool single;
    const char *a, *b; /* x; or g and z */
    char *out;
    int64_t n, bytes;
} job;

#define RUN(T, S)                                                                                                      \
    switch (j->kind) {                                                                                                 \
    case SOFTMAX: k->softmax_##S((const T *)a, (T *)out, j->n); break;                                                 \
    case LOG_SOFTMAX: k->log_softmax_##S((const T *)a, (T *)out, j->n); break;                                         \
    case SOFTMAX_BACKWARD: k->softmax_backward_##S((const T *)a, (const T *)b, (T *)out, j->n); break;                 \
    default: k->log_softmax_backward_##S((const T *)a, (const T *)b, (T *)out, j->n); break;                           \
    }
static void run_rows(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    const struct wg_reduce_table *k = wg__reduce();
    for (int64_t r = begin; r < end; r++) {
        const void *a = j->a + r * j->bytes, *b = j->b ? j->b + r * j->bytes : NULL;
        void *out = j->out + r * j->bytes;
        if (j->single)
            RUN(float, f32)
        else
            RUN(double, f64)
    }
}

/* t with dim d moved last, row-major, in the compute dtype. Owned. */
static wg_tensor *rows_of(wg_tensor *t, int d, wg_dtype compute) {
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    int n = 0;
    if (t->ndim == 0 || d == t->ndim - 1) return wg__contiguous(t, compute);
    for (int i = 0; i < t->ndim; i++) {
        if (i == d) continue;
        sizes[n] = t->dims[i];
        strides[n++] = wg__strides(t)[i];
    }
    sizes[n] = t->dims[d];
    strides[n++] = wg__strides(t)[d];
    wg_tensor *view = wg__alias(t, n, sizes, strides, 0, false), *r = view ? wg__contiguous(view, compute) : NULL;
    wg_release(view);
    return r;
}

/* Rows back into out, whose dim d they are. */
static wg_status put_back(wg_tensor *out, wg_tensor *r, int d) {
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    const int64_t *from = wg__strides(r);
    for (int i = 0; i < out->ndim; i++) {
        sizes[i] = out->dims[i];
        strides[i] = i == d ? 1 : from[i < d ? i : i - 1];
    }
    wg_tensor *view = wg__alias(r, out->ndim, sizes, strides, 0, false);
    if (!view) return WG_ERR_MEMORY;
    wg_status st = wg__copy_into(out, view);
    wg_release(view);
    return st;
}

static wg_status run(const wg_call *c, int kind, int64_t dim) {
    wg_tensor *out = c->out[0], *t = c->in[0];
    wg_dtype compute = out->dtype == WG_FLOAT64 ? WG_FLOAT64 : WG_FLOAT32;
    int d = t->ndim ? (int)(dim < 0 ? dim + t->ndim : dim) : 0;
    if (out->numel == 0) return WG_OK;
    bool direct = out->dtype == compute && (t->ndim == 0 || d == t->ndim - 1);
    wg_tensor *a = rows_of(t, d, compute), *b = c->nin > 1 ? rows_of(c->in[1], d, compute) : NULL, *r = NULL;
    wg_status st = a && (b || c->nin == 1) ? WG_OK : WG_ERR_MEMORY;
    if (st == WG_OK) {
        r = direct ? wg__retain(out) : wg__temp(compute, a->ndim, a->dims);
        if (!r) st = WG_ERR_MEMORY;
    }
    if (st == WG_OK) {
        int64_t n = t->ndim ? t->dims[d] : 1;
        job j = {
            kind, compute == WG_FLOAT32, a->data, b ? b->data : NULL, r->data, n, n * (int64_t)wg_dtype_size(compute)};
        int64_t count = out->numel / n;
        if (out->numel < WG_GRAIN / 4)
            run_rows(&j, 0, count);
        else
            st = wg__parallel_for(count, 8192 / n + 1, run_rows, &j);
    }
    if (st == WG_OK && !direct) st = put_back(out, r, d);
    wg_release(r);
    wg_release(a);
    wg_release(b);
    return st;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static wg_tensor *sum_dim(wg_tensor *t, int64_t dim) {
    wg_reduce keep = {.size = sizeof(keep), .keepdim = true, .dims = {1, &dim}};
    return t->ndim ? wg_sum_opt(t, &keep) : t;
}
static wg_status shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    int d = wg__wrap_dim(c->op->name, c->attr[0].i, t->ndim);
    if (d < 0) return WG_ERR_INDEX;
    g->ndim = t->ndim;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    g->dtype = c->attr[1].tag == WG_V_DTYPE ? (wg_dtype)c->attr[1].i : (wg_dtype)t->dtype;
    if (wg_dtype_is_floating(g->dtype) || t->numel == 0) return WG_OK;
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, c->op->name,
                     "\"%ssoftmax%s_kernel_impl\" not implemented for '%s'. Convert the input "
                     "with wg_to",
                     strstr(c->op->name, "log") ? "log_" : "", d >= t->ndim - 1 ? "_lastdim" : "",
                     wg__dtype_scalar_name(g->dtype));
}
static wg_status backward_shape(const wg_call *c, wg_geometry *g) {
    g->ndim = c->in[0]->ndim;
    memcpy(g->sizes, c->in[0]->dims, (size_t)g->ndim * 8);
    g->dtype = (wg_dtype)c->in[0]->dtype;
    return WG_OK;
}
static wg_status softmax_run(const wg_call *c) { return run(c, SOFTMAX, c->attr[0].i); }
static wg_status log_softmax_run(const wg_call *c) { return run(c, LOG_SOFTMAX, c->attr[0].i); }
static wg_status softmax_backward_run(const wg_call *c) { return run(c, SOFTMAX_BACKWARD, c->attr[0].i); }
static wg_status log_softmax_backward_run(const wg_call *c) { return run(c, LOG_SOFTMAX_BACKWARD, c->attr[0].i); }

static wg_tensor *softmax_backward(wg_tensor *g, wg_tensor *z, int64_t dim);
static wg_tensor *log_softmax_backward(wg_tensor *g, wg_tensor *z, int64_t dim);

/* z (g - sum(g z)): the Jacobian is symmetric, so vjp and jvp are the same. */
static wg_tensor *softmax_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, softmax_backward(g[0], c->out[0], c->attr[0].i);
}
static wg_tensor *log_softmax_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, log_softmax_backward(g[0], c->out[0], c->attr[0].i);
}
static wg_tensor *log_softmax_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, wg_sub(t[0], sum_dim(wg_mul(t[0], wg_exp(c->out[0])), c->attr[0].i));
}
/* of the backwards: linear in g; in z by the product rule */
static wg_tensor *softmax_backward_z(const wg_call *c, wg_tensor *d) {
    wg_tensor *g = c->in[0], *z = c->in[1];
    int64_t dim = c->attr[0].i;
    return wg_sub(wg_mul(d, wg_sub(g, sum_dim(wg_mul(g, z), dim))), wg_mul(g, sum_dim(wg_mul(d, z), dim)));
}
static wg_tensor *softmax_backward_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return i == 0 ? softmax_backward(g[0], c->in[1], c->attr[0].i) : softmax_backward_z(c, g[0]);
}
static wg_tensor *softmax_backward_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    wg_tensor *g = c->in[0], *z = c->in[1], *r = NULL;
    int64_t dim = c->attr[0].i;
    (void)o;
    if (t[0]) r = softmax_backward(t[0], z, dim);
    if (t[1])
        r = wg__add_null(
            r, wg_sub(wg_mul(t[1], wg_sub(g, sum_dim(wg_mul(g, z), dim))), wg_mul(z, sum_dim(wg_mul(g, t[1]), dim))));
    return r;
}
static wg_tensor *log_softmax_backward_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    wg_tensor *p = wg_exp(c->in[1]), *s = sum_dim(wg_mul(g[0], p), c->attr[0].i);
    if (i == 0) return wg_sub(g[0], s);
    return wg_neg(wg_mul(wg_mul(g[0], p), sum_dim(c->in[0], c->attr[0].i)));
}
static wg_tensor *log_softmax_backward_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    wg_tensor *r = NULL;
    (void)o;
    if (t[0]) r = log_softmax_backward(t[0], c->in[1], c->attr[0].i);
    if (t[1]) r = wg__add_null(r, wg_neg(wg_mul(wg_mul(t[1], wg_exp(c->in[1])), sum_dim(c->in[0], c->attr[0].i))));
    return r;
}

/* vmap: batch dims in front, the dim one higher. */
static wg_status batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_tensor *in[2];
    wg_value attr[2];
    int sample = 0;
    for (int i = 0; i < c->nin; i++) sample = c->in[i]->ndim - (bdim[i] >= 0);
    for (int i = 0; i < c->nin; i++) {
        int64_t order[WG_MAX_DIMS], size = 0;
        int n = 0, from = bdim[i] >= 0 ? bdim[i] : -1;
        for (int k = 0; k < c->nin; k++)
            if (bdim[k] >= 0) size = c->in[k]->dims[bdim[k]];
        in[i] = c->in[i];
        if (from < 0) {
            int64_t sizes[WG_MAX_DIMS];
            sizes[0] = size;
            for (int k = 0; k < in[i]->ndim; k++) sizes[k + 1] = -1;
            in[i] = wg_expand(wg_unsqueeze(in[i], 0), sample + 1, sizes);
        } else if (from > 0) {
            order[n++] = from;
            for (int k = 0; k < in[i]->ndim; k++)
                if (k != from) order[n++] = k;
            in[i] = wg_permute(in[i], n, order);
        }
        if (sample == 0) in[i] = wg_unsqueeze(in[i], 1);
    }
    memcpy(attr, c->attr, (size_t)c->nattr * sizeof(*attr));
    int64_t d = c->attr[0].i;
    attr[0] = WG_VAL_I(sample == 0 ? 1 : (d < 0 ? d + sample : d) + 1);
    out[0] = wg__apply(c->op, in, c->nin, attr, c->nattr, WG_SITE);
    if (sample == 0) out[0] = wg_squeeze_dim(out[0], 1);
    out_bdim[0] = 0;
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}

/* dtype converts the input first, by an op of its own, as PyTorch. */
static wg_tensor *converted(const wg_value *a) {
    return a[2].tag == WG_V_NONE ? a[0].t : wg_to(a[0].t, (wg_dtype)a[2].i);
}
static wg_tensor *softmax_boxed(const wg_value *a) { return wg_softmax(converted(a), a[1].i); }
static wg_tensor *log_softmax_boxed(const wg_value *a) { return wg_log_softmax(converted(a), a[1].i); }
static const char *softmax_name(const wg_call *c) { return c ? "SoftmaxBackward0" : NULL; }
static const char *log_softmax_name(const wg_call *c) { return c ? "LogSoftmaxBackward0" : NULL; }
static const wg_op op_softmax = {.name = "softmax",
                                 .shown = WG_FUNCTION | WG_METHOD | WG_NN,
                                 .schema = "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
                                 .doc = "exp(x - max) / sum along dim",
                                 .boxed = softmax_boxed,
                                 .nin = 1,
                                 .nout = 1,
                                 .saves = WG_USE_Z,
                                 .shape = shape,
                                 .run = {softmax_run},
                                 .vjp = softmax_vjp,
                                 .jvp = softmax_vjp,
                                 .batch = batch,
                                 .grad_name = softmax_name,
                                 .formula = {"z (g - sum(g z))"}};
static const wg_op op_log_softmax = {.name = "log_softmax",
                                     .shown = WG_FUNCTION | WG_METHOD | WG_NN,
                                     .schema = "log_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
                                     .doc = "x - max - log(sum(exp(x - max))) along dim",
                                     .boxed = log_softmax_boxed,
                                     .nin = 1,
                                     .nout = 1,
                                     .saves = WG_USE_Z,
                                     .shape = shape,
                                     .run = {log_softmax_run},
                                     .vjp = log_softmax_vjp,
                                     .jvp = log_softmax_jvp,
                                     .batch = batch,
                                     .grad_name = log_softmax_name,
                                     .formula = {"g - exp(z) sum(g)"}};
static const wg_op op_softmax_backward = {
    .name = "_softmax_backward_data",
    .shown = WG_HIDDEN,
    .schema = "_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor",
    .doc = "output (grad - sum(grad output))",
    .nin = 2,
    .nout = 1,
    .saves = WG_USE_X | WG_USE_Y,
    .shape = backward_shape,
    .run = {softmax_backward_run},
    .vjp = softmax_backward_vjp,
    .jvp = softmax_backward_jvp,
    .batch = batch,
    .formula = {"the same of g", "product rule"}};
static const wg_op op_log_softmax_backward = {
    .name = "_log_softmax_backward_data",
    .shown = WG_HIDDEN,
    .schema = "_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim) -> Tensor",
    .doc = "grad - exp(output) sum(grad)",
    .nin = 2,
    .nout = 1,
    .saves = WG_USE_X | WG_USE_Y,
    .shape = backward_shape,
    .run = {log_softmax_backward_run},
    .vjp = log_softmax_backward_vjp,
    .jvp = log_softmax_backward_jvp,
    .batch = batch,
    .formula = {"g - sum(g exp(z))", "product rule"}};

static wg_tensor *backward(const wg_op *op, wg_tensor *g, wg_tensor *z, int64_t dim) {
    wg_tensor *in[2] = {g, z};
    wg_value a = WG_VAL_I(dim);
    return wg__apply(op, in, 2, &a, 1, WG_SITE);
}
static wg_tensor *softmax_backward(wg_tensor *g, wg_tensor *z, int64_t dim) {
    return backward(&op_softmax_backward, g, z, dim);
}
static wg_tensor *log_softmax_backward(wg_tensor *g, wg_tensor *z, int64_t dim) {
    return backward(&op_log_softmax_backward, g, z, dim);
}

wg_tensor *wg_softmax(wg_tensor *x, int64_t dim) {
    wg_value a[2] = {WG_VAL_I(dim), WG_VAL_NONE};
    return wg__apply(&op_softmax, &x, 1, a, 2, WG_SITE);
}
wg_tensor *wg_log_softmax(wg_tensor *x, int64_t dim) {
    wg_value a[2] = {WG_VAL_I(dim), WG_VAL_NONE};
    return wg__apply(&op_log_softmax, &x, 1, a, 2, WG_SITE);
}

const wg_op *const wg__ops_softmax[] = {&op_softmax, &op_log_softmax, &op_softmax_backward, &op_log_softmax_backward,
                                        NULL};
