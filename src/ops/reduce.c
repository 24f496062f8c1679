/* reduce.c - reductions over dims: sum, mean, prod, extremes, all, any, var, std, norm, logsumexp, argmax. Softmax is
 * in softmax.c, sort in sort.c; the row kernels are in cpu/isa_reduce.c.
 *
 * A reduction sees its input as [outer, n, inner]: in place when the reduced dims lie together in a row-major tensor,
 * else through a copy with the reduced dims last. 16-bit floats are summed as float32, integers as int64.
 */
#include "ops/reduce.h"

#include <math.h>

#include "core/apply.h"
#include "core/options.h"
#include "cpu/pool.h"
#include "cpu/reduce.h"
#include "wengert/ops.h"

/* ---- dims -------------------------------------------------------------------------------------------------------- */

wg_status wg__reduced_dims(const char *op, const wg_value *v, int ndim, bool *reduced) {
    bool all = v->tag == WG_V_NONE || (v->tag == WG_V_INTS && v->n == 0);
    int n = v->tag == WG_V_INTS ? (int)v->n : 1;
    reduced[0] = all;
    for (int i = 1; i < ndim; i++) reduced[i] = all;
    for (int k = 0; k < n && !all; k++) {
        int d = wg__wrap_dim(op, v->tag == WG_V_INTS ? v->ints[k] : v->i, ndim);
        if (d < 0) return WG_ERR_INDEX;
        if (reduced[d]) return wg__raise(WG_ERR_RUNTIME, op, "dim %d appears multiple times in the list of dims", d);
        reduced[d] = true;
    }
    return WG_OK;
}

/* Of the one dim that most calls name. */
static wg_status one_reduced(const wg_tensor *t, int dim, bool keepdim, wg_geometry *g) {
    if (dim < 0) return WG_ERR_INDEX;
    g->ndim = 0;
    for (int i = 0; i < t->ndim; i++)
        if (i != dim || keepdim) g->sizes[g->ndim++] = i == dim ? 1 : t->dims[i];
    return WG_OK;
}
wg_status wg__reduced_shape(const wg_call *c, const wg_value *dims, bool keepdim, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    if (dims->tag == WG_V_NONE) {
        g->ndim = keepdim ? t->ndim : 0;
        for (int i = 0; i < g->ndim; i++) g->sizes[i] = 1;
        return WG_OK;
    }
    if (dims->tag == WG_V_INTS && dims->n == 1)
        return one_reduced(t, wg__wrap_dim(c->op->name, dims->ints[0], t->ndim), keepdim, g);
    bool reduced[WG_MAX_DIMS];
    wg_status st = wg__reduced_dims(c->op->name, dims, t->ndim, reduced);
    g->ndim = 0;
    for (int i = 0; i < t->ndim && st == WG_OK; i++) {
        if (!reduced[i])
            g->sizes[g->ndim++] = t->dims[i];
        else if (keepdim)
            g->sizes[g->ndim++] = 1;
    }
    return st;
}

/* A reduced tensor with the dims back as size 1, ready to broadcast against the input. */
wg_tensor *wg__restore(const wg_call *c, wg_tensor *r, const wg_value *dims, bool keepdim) {
    bool reduced[WG_MAX_DIMS];
    int n;
    wg__input_sizes(c, 0, &n);
    if (keepdim || n == 0 || wg__reduced_dims(c->op->name, dims, n, reduced) != WG_OK) return r;
    for (int i = 0; i < n && !wg_is_poison(r); i++)
        if (reduced[i]) r = wg_unsqueeze(r, i);
    return r;
}
static int64_t reduced_count(const wg_call *c, const wg_value *dims) {
    bool reduced[WG_MAX_DIMS];
    int n;
    const int64_t *sizes = wg__input_sizes(c, 0, &n);
    int64_t count = 1;
    if (dims->tag == WG_V_NONE) return wg__numel(n, sizes);
    if (wg__reduced_dims(c->op->name, dims, n, reduced) != WG_OK) return 0;
    for (int i = 0; i < n; i++) count *= reduced[i] ? sizes[i] : 1;
    return count;
}
static wg_tensor *expanded(const wg_call *c, wg_tensor *g, const wg_value *dims, bool keepdim) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, 0, &n);
    if (dims->tag == WG_V_NONE && g->ndim == 0) return wg_expand(g, n, sizes);
    return wg_expand(wg__restore(c, g, dims, keepdim), n, sizes);
}
/* One number divided and spread over sizes: expand, then divide, without the steps between. */
static wg_tensor *spread_quotient(const wg_tensor *g, int n, const int64_t *sizes, double by) {
    wg_tensor *t = wg__tensor_new((wg_dtype)g->dtype, n, sizes, NULL);
    if (!t) return WG_POISON;
    _Alignas(16) char one[16];
    double v = wg__load_double(g->data, (wg_dtype)g->dtype);
    wg__store_double(one, (wg_dtype)g->dtype, g->dtype == WG_FLOAT64 ? v / by : (double)((float)v / (float)by));
    if (wg__fill_value(t, one) == WG_OK) return wg__scope_push(t);
    wg_release(t);
    return WG_POISON;
}

/* vmap: every dim named, one higher than in the sample. */
wg_status wg__batch_dims(const wg_call *c, const int *bdim, int k, wg_tensor **out, int *out_bdim) {
    wg_value attr[8];
    int64_t dims[WG_MAX_DIMS], order[WG_MAX_DIMS];
    bool reduced[WG_MAX_DIMS];
    wg_tensor *v = c->in[0];
    int n = 0, m = 0, sample = v->ndim - 1;
    order[n++] = bdim[0];
    for (int i = 0; i < v->ndim; i++)
        if (i != bdim[0]) order[n++] = i;
    if (bdim[0] != 0) v = wg_permute(v, n, order);
    if (wg__reduced_dims(c->op->name, &c->attr[k], sample, reduced) != WG_OK) return WG_ERR_INDEX;
    for (int i = 0; i < sample; i++)
        if (reduced[i]) dims[m++] = i + 1;
    if (sample == 0) {
        v = wg_unsqueeze(v, 1);
        dims[m++] = 1;
    }
    memcpy(attr, c->attr, (size_t)c->nattr * sizeof(*attr));
    attr[k] = c->attr[k].tag == WG_V_INT ? WG_VAL_I(dims[0]) : WG_VAL_INTS(dims, m);
    wg_status st = wg__apply_n(c->op, &v, 1, attr, c->nattr, out, c->nout, WG_SITE);
    for (int o = 0; o < c->nout && st == WG_OK; o++) {
        out_bdim[o] = 0;
        if (sample == 0 && out[o]->ndim == 2) out[o] = wg_squeeze_dim(out[o], 1);
    }
    return st;
}
static wg_status batch_first(const wg_call *c, const int *b, wg_tensor **o, int *ob) {
    return wg__batch_dims(c, b, 0, o, ob);
}

/* ---- [outer, n, inner] ------------------------------------------------------------------------------------------- */

/* Do the reduced dims lie together? Size-1 dims are in nobody's way. */
static bool together(const wg_tensor *t, const bool *reduced, wg__block *b) {
    int state = 0; /* before, in, after */
    b->outer = b->n = b->inner = 1;
    if (!(t->flags & TF_CONTIG)) return false;
    for (int i = 0; i < t->ndim; i++) {
        if (reduced[i]) {
            if (state == 2 && t->dims[i] != 1) return false;
            if (state == 0) state = 1;
            b->n *= t->dims[i];
        } else if (t->dims[i] != 1) {
            if (state == 1) state = 2;
            *(state == 0 ? &b->outer : &b->inner) *= t->dims[i];
        }
    }
    return true;
}

wg_status wg__block_open(wg__block *b, wg_tensor *t, const bool *reduced, wg_dtype compute, bool rows) {
    b->x = NULL;
    if (together(t, reduced, b) && (!rows || b->inner == 1)) {
        b->x = wg__contiguous(t, compute);
        return b->x ? WG_OK : WG_ERR_MEMORY;
    }
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    int n = 0;
    b->outer = b->n = b->inner = 1;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < t->ndim; i++) {
            if (reduced[i] != (pass == 1)) continue;
            sizes[n] = t->dims[i];
            strides[n++] = wg__strides(t)[i];
            *(pass ? &b->n : &b->outer) *= t->dims[i];
        }
    wg_tensor *view = wg__alias(t, n, sizes, strides, 0, false);
    if (!view) return WG_ERR_MEMORY;
    b->x = wg__contiguous(view, compute);
    wg_release(view);
    return b->x ? WG_OK : WG_ERR_MEMORY;
}
void wg__block_close(wg__block *b) { wg_release(b->x); }

/* ---- running rows ------------------------------------------------------------------------------------------------ */

typedef void (*row_fn)(const void *x, int64_t n, void *out, double param);
typedef struct row_job {
    const char *x;
    char *out;
    int64_t n, in_bytes, out_bytes;
    row_fn fn;
    double param;
    atomic_bool *stopped; /* or NULL: rows are short */
} row_job;
static void rows(void *ctx, int64_t begin, int64_t end) {
    const row_job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        if (j->stopped && atomic_load_explicit(j->stopped, memory_order_relaxed)) return;
        j->fn(j->x + r * j->in_bytes, j->n, j->out + r * j->out_bytes, j->param);
    }
}

/* A row may be as long as memory. Its function goes through it in pieces:
 *     for (int64_t i = 0; more(i, n);)
 *         for (int64_t end = piece_end(i, n); i < end; i++) ...
 * and between them the thread that called asks whether to stop; then all rows end where they are. */
#define PIECE 65536 /* also: a long row is summed in pieces of this size, whatever the number of threads */
static __thread atomic_bool *asks; /* in the thread that called */

static bool stop_rows(void) {
    if (!asks || atomic_load_explicit(asks, memory_order_relaxed) || !wg__poll()) return asks && atomic_load(asks);
    atomic_store(asks, true);
    return true;
}
static inline int64_t piece_end(int64_t i, int64_t n) { return n - i > PIECE ? i + PIECE : n; }
static inline bool more(int64_t i, int64_t n) { return i < n && (i == 0 || !stop_rows()); }

/* One result per row of the reduced dims, in out's order. */
static wg_status run_rows(const wg_call *c, const wg_value *dims, wg_dtype compute, wg_dtype result, row_fn fn,
                          double param, wg_tensor *out) {
    bool reduced[WG_MAX_DIMS];
    wg__block b;
    wg_status st = wg__reduced_dims(c->op->name, dims, c->in[0]->ndim, reduced);
    if (st == WG_OK) st = wg__block_open(&b, c->in[0], reduced, compute, true);
    if (st != WG_OK) return st;
    wg_tensor *r = (wg_dtype)out->dtype == result ? wg__retain(out) : wg__temp(result, out->ndim, out->dims);
    if (!r) {
        wg__block_close(&b);
        return WG_ERR_MEMORY;
    }
    atomic_bool stopped = false, *before = asks;
    row_job j = {b.x->data, r->data, b.n,     b.n * (int64_t)wg_dtype_size(compute), (int64_t)wg_dtype_size(result),
                 fn,        param,   &stopped};
    int64_t grain = b.n ? 32768 / b.n + 1 : 32768;
    asks = &stopped;
    if (b.outer * b.n < WG_GRAIN)
        rows(&j, 0, b.outer);
    else
        st = wg__parallel_for(b.outer, grain, rows, &j);
    asks = before;
    if (atomic_load(&stopped)) st = WG_ERR_INTERRUPTED;
    if (st == WG_OK && r != out) st = wg__copy_into(out, r);
    wg_release(r);
    wg__block_close(&b);
    return st;
}

/* ---- sum, mean --------------------------------------------------------------------------------------------------- */

static int64_t sum_i64(const int64_t *x, int64_t n) {
    uint64_t s = 0;
    for (int64_t i = 0; i < n; i++) s += (uint64_t)x[i];
    return (int64_t)s;
}
static void sum_row_f32(const void *x, int64_t n, void *out, double scale) {
    *(float *)out = wg__reduce()->sum_f32(x, n) / (float)scale;
}
static void sum_row_f64(const void *x, int64_t n, void *out, double scale) {
    *(double *)out = wg__reduce()->sum_f64(x, n) / scale;
}
static void sum_row_i64(const void *x, int64_t n, void *out, double scale) {
    (void)scale;
    *(int64_t *)out = sum_i64(x, n);
}

typedef struct column_job {
    const char *x;
    char *out;
    int64_t n, inner, strips;
    bool single;
} column_job;
#define STRIP 256
static void columns(void *ctx, int64_t begin, int64_t end) {
    const column_job *j = ctx;
    for (int64_t k = begin; k < end; k++) {
        int64_t o = k / j->strips, c = k % j->strips * STRIP, w = j->inner - c < STRIP ? j->inner - c : STRIP;
        if (j->single)
            wg__reduce()->column_sum_f32((const float *)(const void *)j->x + o * j->n * j->inner + c, j->n, j->inner, w,
                                         (float *)(void *)j->out + o * j->inner + c);
        else
            wg__reduce()->column_sum_f64((const double *)(const void *)j->x + o * j->n * j->inner + c, j->n, j->inner,
                                         w, (double *)(void *)j->out + o * j->inner + c);
    }
}

static wg_status sum_columns(const wg__block *b, wg_tensor *r) {
    column_job j = {b->x->data, r->data, b->n, b->inner, (b->inner + STRIP - 1) / STRIP, b->x->dtype == WG_FLOAT32};
    int64_t grain = 65536 / (b->n * STRIP + 1) + 1;
    return wg__parallel_for(b->outer * j.strips, grain, columns, &j);
}

/* One long row: pieces in parallel, then the pieces' sums. */
static wg_status sum_long(const wg__block *b, wg_tensor *r, row_fn fn) {
    int64_t pieces = (b->n + PIECE - 1) / PIECE, whole = b->n / PIECE, item = (int64_t)wg__itemsize(b->x);
    char *part = wg__malloc_array((size_t)(pieces * b->outer), 8);
    if (!part) return WG_ERR_MEMORY;
    wg_status st = WG_OK;
    for (int64_t o = 0; o < b->outer && st == WG_OK; o++) {
        char *row = b->x->data + o * b->n * item;
        row_job j = {row, part, PIECE, PIECE * item, item, fn, 1, NULL};
        st = wg__parallel_for(whole, 1, rows, &j);
        if (pieces > whole) fn(row + whole * PIECE * item, b->n - whole * PIECE, part + whole * item, 1);
        fn(part, pieces, r->data + o * item, 1);
    }
    wg__free_array(part, (size_t)(pieces * b->outer), 8);
    return st;
}

static wg_status scale_down(wg_tensor *r, double by) {
    for (int64_t i = 0; i < r->numel; i++) {
        if (r->dtype == WG_FLOAT32)
            ((float *)(void *)r->data)[i] /= (float)by;
        else if (r->dtype == WG_FLOAT64)
            ((double *)(void *)r->data)[i] /= by;
    }
    return WG_OK;
}

static wg_dtype sum_compute(wg_dtype d) {
    if (d == WG_FLOAT64) return d;
    return wg_dtype_is_floating(d) ? WG_FLOAT32 : WG_INT64;
}

/* All of a row-major tensor in the dtype of the result, not too long. */
static bool is_one_row(const wg_call *c, wg_dtype compute) {
    const wg_tensor *t = c->in[0];
    return c->attr[0].tag == WG_V_NONE && (t->flags & TF_CONTIG) && t->dtype == compute &&
           c->out[0]->dtype == compute && t->numel > 0 && t->numel <= PIECE;
}

/* The same along the last dim: rows of at least one element, too few to share out. */
static bool are_rows(const wg_call *c, wg_dtype compute) {
    const wg_tensor *t = c->in[0];
    const wg_value *v = &c->attr[0];
    return v->tag == WG_V_INTS && v->n == 1 && (v->ints[0] == -1 || v->ints[0] == t->ndim - 1) && t->ndim > 0 &&
           (t->flags & TF_CONTIG) && t->dtype == compute && c->out[0]->dtype == compute && t->numel > 0 &&
           t->numel < WG_GRAIN;
}
static void sum_rows(const wg_tensor *t, wg_tensor *out, row_fn fn) {
    int64_t n = t->dims[t->ndim - 1], item = (int64_t)wg__itemsize(t);
    for (int64_t r = 0; r < out->numel; r++) fn(t->data + r * n * item, n, out->data + r * item, 1);
}

static wg_status sum_like(const wg_call *c, bool mean) {
    wg_tensor *out = c->out[0], *t = c->in[0];
    bool reduced[WG_MAX_DIMS];
    wg__block b;
    wg_dtype compute = sum_compute((wg_dtype)out->dtype);
    row_fn fn = compute == WG_FLOAT32 ? sum_row_f32 : compute == WG_FLOAT64 ? sum_row_f64 : sum_row_i64;
    if (is_one_row(c, compute)) { /* what most losses end in: nothing to arrange */
        fn(t->data, t->numel, out->data, 1);
        return mean ? scale_down(out, (double)t->numel) : WG_OK;
    }
    if (are_rows(c, compute)) {
        sum_rows(t, out, fn);
        return mean ? scale_down(out, (double)t->dims[t->ndim - 1]) : WG_OK;
    }
    /* integers asked for as floats are converted first; floats asked for as integers are too */
    wg_status st = wg__reduced_dims(c->op->name, &c->attr[0], t->ndim, reduced);
    if (st == WG_OK) st = wg__block_open(&b, t, reduced, compute, compute == WG_INT64);
    if (st != WG_OK) return st;
    wg_tensor *r = (wg_dtype)out->dtype == compute ? wg__retain(out) : wg__temp(compute, out->ndim, out->dims);
    if (!r)
        st = WG_ERR_MEMORY;
    else if (r->numel == 0)
        st = WG_OK;
    else if (b.inner > 1)
        st = sum_columns(&b, r);
    else if (b.n > PIECE)
        st = sum_long(&b, r, fn);
    else {
        int64_t item = (int64_t)wg_dtype_size(compute);
        row_job j = {b.x->data, r->data, b.n, b.n * item, item, fn, 1, NULL};
        if (b.outer * b.n < WG_GRAIN)
            rows(&j, 0, b.outer);
        else
            st = wg__parallel_for(b.outer, b.n ? 32768 / b.n + 1 : 32768, rows, &j);
    }
    if (st == WG_OK && mean) st = scale_down(r, (double)b.n);
    if (st == WG_OK && r != out) st = wg__copy_into(out, r);
    wg_release(r);
    wg__block_close(&b);
    return st;
}

static wg_status sum_shape(const wg_call *c, wg_geometry *g) {
    wg_dtype d = (wg_dtype)c->in[0]->dtype;
    g->dtype = c->attr[2].tag == WG_V_DTYPE ? (wg_dtype)c->attr[2].i : wg_dtype_is_floating(d) ? d : WG_INT64;
    if (!wg__dtype_exists((int)g->dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "sum", "torch.%s does not exist in this version of Wengert",
                         wg_dtype_name(g->dtype));
    return wg__reduced_shape(c, &c->attr[0], c->attr[1].i, g);
}
static wg_status sum_run(const wg_call *c) { return sum_like(c, false); }
static wg_tensor *sum_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, expanded(c, g[0], &c->attr[0], c->attr[1].i);
}
static const char *sum_name(const wg_call *c) { return c->attr[0].tag == WG_V_NONE ? "SumBackward0" : "SumBackward1"; }
static const wg_op op_sum = {
    .name = "sum",
    .schema = "sum(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    .doc = "sum; pairwise in blocks, so that the error grows with log n",
    .traits = WG_LINEAR,
    .nin = 1,
    .nout = 1,
    .shape = sum_shape,
    .run = {sum_run},
    .vjp = sum_vjp,
    .batch = batch_first,
    .grad_name = sum_name,
    .formula = {"1"}};

static wg_status mean_shape(const wg_call *c, wg_geometry *g) {
    wg_dtype d = c->attr[2].tag == WG_V_DTYPE ? (wg_dtype)c->attr[2].i : (wg_dtype)c->in[0]->dtype;
    if (wg__dtype_exists((int)d) && !wg_dtype_is_floating(d))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "mean",
                         "mean(): could not infer output dtype. %s dtype must be either a floating "
                         "point or complex dtype. Got: %s",
                         c->attr[2].tag == WG_V_DTYPE ? "Optional" : "Input", wg__dtype_scalar_name(d));
    return sum_shape(c, g);
}
static wg_status mean_run(const wg_call *c) { return sum_like(c, true); }
static wg_tensor *mean_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int ndim;
    const int64_t *sizes = wg__input_sizes(c, 0, &ndim);
    double n = (double)reduced_count(c, &c->attr[0]);
    if (wg__tls.no_grad && g[0]->numel == 1 && c->attr[0].tag == WG_V_NONE && !(g[0]->flags & TF_SLOW))
        return spread_quotient(g[0], ndim, sizes, n);
    return (void)i, wg_div(expanded(c, g[0], &c->attr[0], c->attr[1].i), wg_s(n));
}
static const char *mean_name(const wg_call *c) {
    return c->attr[0].tag == WG_V_NONE ? "MeanBackward0" : "MeanBackward1";
}
static const wg_op op_mean = {
    .name = "mean",
    .schema = "mean(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    .doc = "arithmetic mean; nan of nothing",
    .traits = WG_LINEAR,
    .nin = 1,
    .nout = 1,
    .shape = mean_shape,
    .run = {mean_run},
    .vjp = mean_vjp,
    .batch = batch_first,
    .grad_name = mean_name,
    .formula = {"1/n"}};

/* ---- prod -------------------------------------------------------------------------------------------------------- */

#define ROW(name, T, init, step)                                                                                       \
    static void name(const void *p, int64_t n, void *out, double param) {                                              \
        const T *x = p;                                                                                                \
        T r = init;                                                                                                    \
        (void)param;                                                                                                   \
        for (int64_t i = 0; more(i, n);)                                                                               \
            for (int64_t end = piece_end(i, n); i < end; i++) step;                                                    \
        *(T *)out = r;                                                                                                 \
    }
ROW(prod_row_f32, float, 1, r *= x[i])
ROW(prod_row_f64, double, 1, r *= x[i])
static void prod_row_i64(const void *p, int64_t n, void *out, double param) {
    const int64_t *x = p;
    uint64_t r = 1;
    (void)param;
    for (int64_t i = 0; more(i, n);)
        for (int64_t end = piece_end(i, n); i < end; i++) r *= (uint64_t)x[i];
    *(int64_t *)out = (int64_t)r;
}
static wg_status prod_run(const wg_call *c) {
    wg_dtype d = sum_compute((wg_dtype)c->out[0]->dtype);
    return run_rows(c, &c->attr[0], d, d,
                    d == WG_FLOAT32   ? prod_row_f32
                    : d == WG_FLOAT64 ? prod_row_f64
                                      : prod_row_i64,
                    0, c->out[0]);
}
/* The products of the elements before each along d, and of those behind it, by doubling: no division, so that zeros do
 * not matter and derivatives of any order are right. */
static wg_tensor *product_of_others(wg_tensor *x, int d) {
    int64_t sizes[WG_MAX_DIMS], n = x->dims[d];
    memcpy(sizes, x->dims, (size_t)x->ndim * 8);
    sizes[d] = 1;
    wg_tensor *one = wg_ones(x->ndim, sizes, WG_DTYPE((wg_dtype)x->dtype));
    wg_tensor *left = wg_cat(WG_TENSORS(one, wg_narrow(x, d, 0, n - 1)), d);
    wg_tensor *right = wg_cat(WG_TENSORS(wg_narrow(x, d, 1, n - 1), one), d);
    for (int64_t step = 1, m = n - 1; step < n; step *= 2, m = n - step) {
        wg_tensor *more = wg_mul(wg_narrow(left, d, step, m), wg_narrow(left, d, 0, m));
        left = wg_cat(WG_TENSORS(wg_narrow(left, d, 0, step), more), d);
        more = wg_mul(wg_narrow(right, d, 0, m), wg_narrow(right, d, step, m));
        right = wg_cat(WG_TENSORS(more, wg_narrow(right, d, m, step)), d);
    }
    return wg_mul(left, right);
}
/* Will the derivative be differentiated, and is there a zero (or no telling)? Then the short way through quotients
 * would lose what a zero's own derivative owes to the others. */
static bool zeros_matter(wg_tensor *x) {
    if (!wg__ok(x) || x->numel == 0 || (wg__tls.no_grad && !(x->flags & TF_DUAL))) return false;
    return (x->flags & TF_SLOW) || wg_truth(wg_all_opt(wg_detach(x), NULL)) == 0;
}
/* With one zero in a row only that place has a derivative: the product of the others. */
static wg_tensor *prod_derivative(const wg_call *c, wg_tensor *g) {
    const wg_value *dim = &c->attr[0];
    bool keep = c->attr[1].i;
    wg_tensor *x = c->in[0];
    if (x->ndim == 0) return g; /* of one number the others' product is 1 */
    if (zeros_matter(x)) {
        int64_t numel = x->numel, at = dim->tag == WG_V_NONE ? 0 : dim->i;
        wg_tensor *t = dim->tag == WG_V_NONE ? wg_reshape(x, 1, &numel) : x;
        if (wg_is_poison(t)) return t;
        t = product_of_others(t, (int)(at < 0 ? at + t->ndim : at));
        return wg_mul(g, wg_reshape(t, x->ndim, x->dims));
    }
    wg_tensor *is_zero = wg_eq(x, wg_i(0)), *safe = wg_masked_fill(x, is_zero, wg_i(1));
    int64_t d = dim->tag == WG_V_NONE ? 0 : dim->i;
    wg_reduce some = {.size = sizeof(some), .keepdim = keep, .dims = {dim->tag == WG_V_NONE ? 0 : 1, &d}};
    wg_tensor *zeros = wg__restore(c, wg_sum_opt(is_zero, &some), dim, keep);
    wg_tensor *rest = wg__restore(c, wg_prod_opt(safe, &some), dim, keep);
    wg_tensor *here = wg_masked_fill(rest, wg_ne(zeros, wg_i(1)), wg_i(0));
    wg_tensor *there = wg_masked_fill(wg_div(rest, safe), wg_ne(zeros, wg_i(0)), wg_i(0));
    return wg_mul(g, wg_where(is_zero, here, there));
}
static wg_tensor *prod_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, prod_derivative(c, wg__restore(c, g[0], &c->attr[0], c->attr[1].i));
}
static wg_tensor *reduced_again(const wg_call *c, wg_tensor *t) {
    wg_value a[3] = {c->attr[0], c->attr[1], WG_VAL_NONE};
    return wg__apply(&op_sum, &t, 1, a, 3, WG_SITE);
}
static wg_tensor *prod_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, reduced_again(c, prod_derivative(c, t[0]));
}
static const char *prod_name(const wg_call *c) {
    return c->attr[0].tag == WG_V_NONE ? "ProdBackward0" : "ProdBackward1";
}
static const wg_op op_prod = {.name = "prod",
                              .schema =
                                  "prod(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
                              .doc = "product; exact derivatives at zeros",
                              .nin = 1,
                              .nout = 1,
                              .saves = WG_USE_X,
                              .shape = sum_shape,
                              .run = {prod_run},
                              .vjp = prod_vjp,
                              .jvp = prod_jvp,
                              .batch = batch_first,
                              .grad_name = prod_name,
                              .formula = {"product of the others"}};

/* ---- amax, amin, max, min ---------------------------------------------------------------------------------------- */

#define EXTREME(name, T)                                                                                               \
    static T name##_row(const T *x, int64_t n) {                                                                       \
        T r[2] = {wg__reduce()->name(x, piece_end(0, n))};                                                             \
        for (int64_t i = PIECE; more(i, n); i += PIECE) {                                                              \
            r[1] = wg__reduce()->name(x + i, piece_end(i, n) - i);                                                     \
            r[0] = wg__reduce()->name(r, 2);                                                                           \
        }                                                                                                              \
        return r[0];                                                                                                   \
    }                                                                                                                  \
    static void name(const void *x, int64_t n, void *out, double p) { (void)p, *(T *)out = name##_row(x, n); }
EXTREME(max_f32, float)
EXTREME(max_f64, double)
EXTREME(min_f32, float)
EXTREME(min_f64, double)
ROW(max_i64, int64_t, x[0], r = x[i] > r ? x[i] : r)
ROW(min_i64, int64_t, x[0], r = x[i] < r ? x[i] : r)

static bool is_min(const wg_op *op) { return strstr(op->name, "min") != NULL; }
static wg_status extreme_run(const wg_call *c) {
    wg_dtype d = sum_compute((wg_dtype)c->in[0]->dtype);
    bool min = is_min(c->op);
    row_fn fn = d == WG_FLOAT32   ? (min ? min_f32 : max_f32)
                : d == WG_FLOAT64 ? (min ? min_f64 : max_f64)
                : min             ? min_i64
                                  : max_i64;
    return run_rows(c, c->nattr ? &c->attr[0] : &WG_VAL_NONE, d, d, fn, 0, c->out[0]);
}
static wg_status refuse_empty(const wg_call *c, const wg_value *dims) {
    const wg_tensor *t = c->in[0];
    int name = (int)strcspn(c->op->name, "."); /* "max.dim" is known as max */
    bool reduced[WG_MAX_DIMS];
    if (t->numel) return WG_OK;
    if (dims->tag == WG_V_NONE || (dims->tag == WG_V_INTS && dims->n == 0))
        return wg__raise(strncmp(c->op->name, "arg", 3) == 0 ? WG_ERR_INDEX : WG_ERR_RUNTIME, c->op->name,
                         "%s(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                         "reduction dim with the 'dim' argument.",
                         c->op->name);
    for (uint32_t k = 0; dims->tag == WG_V_INTS && k < dims->n; k++) { /* named as it was given */
        int d = wg__wrap_dim(c->op->name, dims->ints[k], t->ndim);
        if (d < 0) return WG_ERR_INDEX;
        if (t->dims[d] == 0)
            return wg__raise(WG_ERR_INDEX, c->op->name, "%s(): Expected reduction dim %lld to have non-zero size.",
                             c->op->name, (long long)dims->ints[k]);
    }
    wg_status st = wg__reduced_dims(c->op->name, dims, t->ndim, reduced);
    for (int i = 0; i < t->ndim && st == WG_OK; i++)
        if (reduced[i] && t->dims[i] == 0)
            return wg__raise(WG_ERR_INDEX, c->op->name, "%.*s(): Expected reduction dim %d to have non-zero size.",
                             name, c->op->name, i);
    return st;
}
static wg_status amax_shape(const wg_call *c, wg_geometry *g) {
    wg_status st = refuse_empty(c, &c->attr[0]);
    return st == WG_OK ? wg__reduced_shape(c, &c->attr[0], c->attr[1].i, g) : st;
}
/* The places that hold the extreme share evenly. */
static wg_tensor *shares(const wg_call *c, wg_tensor *mask, const wg_value *dims) {
    bool reduced[WG_MAX_DIMS];
    int64_t list[WG_MAX_DIMS];
    int n = 0;
    if (wg__reduced_dims(c->op->name, dims, c->in[0]->ndim, reduced) != WG_OK) return WG_POISON;
    for (int i = 0; i < c->in[0]->ndim; i++)
        if (reduced[i]) list[n++] = i;
    wg_reduce keep = {.size = sizeof(keep), .keepdim = true, .dims = {n, list}};
    return wg_div(wg_to(mask, (wg_dtype)c->in[0]->dtype), wg_sum_opt(mask, &keep));
}
static wg_tensor *amax_shares(const wg_call *c) {
    wg_tensor *z = wg__restore(c, wg_detach(c->out[0]), &c->attr[0], c->attr[1].i);
    return shares(c, wg_eq(wg_detach(c->in[0]), z), &c->attr[0]);
}
static wg_tensor *amax_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_mul(wg__restore(c, g[0], &c->attr[0], c->attr[1].i), amax_shares(c));
}
static wg_tensor *amax_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, reduced_again(c, wg_mul(t[0], amax_shares(c)));
}
#define AMAX(op_, name_, doc_)                                                                                         \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ "(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor",            \
                              .doc = doc_,                                                                             \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .saves = WG_USE_X | WG_USE_Z,                                                            \
                              .shape = amax_shape,                                                                     \
                              .run = {extreme_run},                                                                    \
                              .vjp = amax_vjp,                                                                         \
                              .jvp = amax_jvp,                                                                         \
                              .batch = batch_first,                                                                    \
                              .formula = {"1/ties where x is the extreme"}};
AMAX(op_amax, "amax", "greatest element; ties share the gradient")
AMAX(op_amin, "amin", "least element; ties share the gradient")

static wg_status max_shape(const wg_call *c, wg_geometry *g) {
    g->ndim = 0;
    return refuse_empty(c, &WG_VAL_NONE);
}
static wg_tensor *max_mask(const wg_call *c) {
    wg_tensor *x = wg_detach(c->in[0]), *z = wg_detach(c->out[0]);
    return wg_logical_or(wg_eq(x, z), wg_logical_and(wg_isnan(x), wg_isnan(z)));
}
static wg_tensor *max_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_mul(g[0], shares(c, max_mask(c), &WG_VAL_NONE));
}
static wg_tensor *max_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, wg_sum_opt(wg_mul(t[0], shares(c, max_mask(c), &WG_VAL_NONE)), NULL);
}
static const char *max_name(const wg_call *c) { return is_min(c->op) ? "MinBackward1" : "MaxBackward1"; }
#define MAX_ALL(op_, name_)                                                                                            \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ "(Tensor self) -> Tensor",                                               \
                              .doc = "extreme of all elements; ties share the gradient",                               \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .saves = WG_USE_X | WG_USE_Z,                                                            \
                              .shape = max_shape,                                                                      \
                              .run = {extreme_run},                                                                    \
                              .vjp = max_vjp,                                                                          \
                              .jvp = max_jvp,                                                                          \
                              .grad_name = max_name,                                                                   \
                              .formula = {"1/ties where x is the extreme"}};
MAX_ALL(op_max, "max")
MAX_ALL(op_min, "min")

/* ---- index of the extreme ---------------------------------------------------------------------------------------- */

#define ARG(name, T, better)                                                                                           \
    static int64_t name(const T *x, int64_t n) {                                                                       \
        int64_t at = 0;                                                                                                \
        for (int64_t i = 0; more(i, n);)                                                                               \
            for (int64_t end = piece_end(i, n); i < end; i++) {                                                        \
                if (x[i] != x[i]) return i; /* the first nan */                                                        \
                if (x[i] better x[at]) at = i;                                                                         \
            }                                                                                                          \
        return at;                                                                                                     \
    }                                                                                                                  \
    static void name##_row(const void *x, int64_t n, void *out, double p) { (void)p, *(int64_t *)out = name(x, n); }
ARG(argmax_f32, float, >)
ARG(argmax_f64, double, >)
ARG(argmax_i64, int64_t, >)
ARG(argmin_f32, float, <)
ARG(argmin_f64, double, <)
ARG(argmin_i64, int64_t, <)

static row_fn arg_fn(wg_dtype d, bool min) {
    if (d == WG_FLOAT32) return min ? argmin_f32_row : argmax_f32_row;
    if (d == WG_FLOAT64) return min ? argmin_f64_row : argmax_f64_row;
    return min ? argmin_i64_row : argmax_i64_row;
}
static wg_status arg_into(const wg_call *c, wg_tensor *out) {
    wg_dtype d = sum_compute((wg_dtype)c->in[0]->dtype);
    return run_rows(c, &c->attr[0], d, WG_INT64, arg_fn(d, is_min(c->op)), 0, out);
}
static wg_status arg_shape(const wg_call *c, wg_geometry *g) {
    if (c->in[0]->dtype == WG_BOOL)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, c->op->name, "%s(): does not support bool input", c->op->name);
    wg_status st = refuse_empty(c, &c->attr[0]);
    g->dtype = WG_INT64;
    if (st == WG_OK) st = wg__reduced_shape(c, &c->attr[0], c->attr[1].i, g);
    return st;
}
static wg_status arg_run(const wg_call *c) { return arg_into(c, c->out[0]); }
#define ARG_OP(op_, name_)                                                                                             \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_ "(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",            \
                              .doc = "index of the first extreme element; a nan is extreme",                           \
                              .traits = WG_NONDIFF,                                                                    \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .shape = arg_shape,                                                                      \
                              .run = {arg_run},                                                                        \
                              .batch = batch_first};
ARG_OP(op_argmax, "argmax")
ARG_OP(op_argmin, "argmin")

static wg_status max_dim_shape(const wg_call *c, wg_geometry *g) {
    wg_status st = refuse_empty(c, &c->attr[0]);
    if (st == WG_OK) st = wg__reduced_shape(c, &c->attr[0], c->attr[1].i, &g[0]);
    if (st == WG_OK) st = wg__reduced_shape(c, &c->attr[0], c->attr[1].i, &g[1]);
    g[1].dtype = WG_INT64;
    return st;
}
static wg_status max_dim_run(const wg_call *c) {
    wg_status st = arg_into(c, c->out[1]);
    if (st != WG_OK) return st;
    wg_call values = *c;
    values.nout = 1;
    return extreme_run(&values);
}
static wg_tensor *at_index(const wg_call *c, wg_tensor *r) { return wg__restore(c, r, &c->attr[0], c->attr[1].i); }
static wg_tensor *max_dim_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    if (!g[0]) return NULL;
    wg_tensor *zeros = wg__zeros((wg_dtype)g[0]->dtype, n, sizes);
    if (n == 0) return g[0];
    return wg_scatter_add(zeros, c->attr[0].i, at_index(c, c->out[1]), at_index(c, g[0]));
}
static wg_tensor *max_dim_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    if (o) return NULL;
    if (c->in[0]->ndim == 0) return t[0];
    wg_tensor *r = wg_gather(t[0], c->attr[0].i, at_index(c, c->out[1]));
    return c->attr[1].i ? r : wg_squeeze_dim(r, c->attr[0].i);
}
static const char *max_dim_name(const wg_call *c) { return is_min(c->op) ? "MinBackward0" : "MaxBackward0"; }
#define MAX_DIM(op_, name_)                                                                                            \
    static const wg_op op_ = {.name = name_,                                                                           \
                              .schema = name_                                                                          \
                              "(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",         \
                              .doc = "extreme along a dim and the index of its first place",                           \
                              .traits = WG_INT_SECOND,                                                                 \
                              .nin = 1,                                                                                \
                              .nout = 2,                                                                               \
                              .saves = WG_USE_Z,                                                                       \
                              .shape = max_dim_shape,                                                                  \
                              .run = {max_dim_run},                                                                    \
                              .vjp = max_dim_vjp,                                                                      \
                              .jvp = max_dim_jvp,                                                                      \
                              .batch = batch_first,                                                                    \
                              .grad_name = max_dim_name,                                                               \
                              .formula = {"1 at the index"}};
MAX_DIM(op_max_dim, "max.dim")
MAX_DIM(op_min_dim, "min.dim")

/* ---- all, any ---------------------------------------------------------------------------------------------------- */

ROW(all_row, uint8_t, 1, r &= x[i] != 0)
ROW(any_row, uint8_t, 0, r |= x[i] != 0)
static wg_status all_shape(const wg_call *c, wg_geometry *g) {
    g->dtype = c->in[0]->dtype == WG_UINT8 ? WG_UINT8 : WG_BOOL; /* as PyTorch: uint8 stays */
    return wg__reduced_shape(c, &c->attr[0], c->attr[1].i, g);
}
static wg_status all_run(const wg_call *c) { return run_rows(c, &c->attr[0], WG_BOOL, WG_BOOL, all_row, 0, c->out[0]); }
static wg_status any_run(const wg_call *c) { return run_rows(c, &c->attr[0], WG_BOOL, WG_BOOL, any_row, 0, c->out[0]); }
/* No dims, where a list is given: each element by itself. */
static wg_tensor *each_truth(wg_tensor *x) {
    wg_tensor *r = wg_ne(x, wg_i(0));
    return wg__ok(x) && x->dtype == WG_UINT8 ? wg_to(r, WG_UINT8) : r;
}
static bool no_dims(const wg_value *dims) { return dims->tag == WG_V_INTS && dims->n == 0; }
static wg_tensor *all_boxed(const wg_value *a), *any_boxed(const wg_value *a);
#define TRUTH(op_, name_)                                                                                              \
    static const wg_op op_ = {.name = #name_,                                                                          \
                              .schema = #name_ "(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",         \
                              .doc = "over the truth of the elements",                                                 \
                              .traits = WG_NONDIFF,                                                                    \
                              .nin = 1,                                                                                \
                              .nout = 1,                                                                               \
                              .shape = all_shape,                                                                      \
                              .run = {name_##_run},                                                                    \
                              .batch = batch_first,                                                                    \
                              .boxed = name_##_boxed};
TRUTH(op_all, all)
TRUTH(op_any, any)

/* ---- var, std ---------------------------------------------------------------------------------------------------- */

/* attr: dim, correction, keepdim. In double, in two passes: mean, then squares of distances. */
static double correction(const wg_call *c) {
    const wg_value *v = &c->attr[1];
    return v->tag == WG_V_DOUBLE ? v->d : v->tag == WG_V_INT ? (double)v->i : 1;
}
static double sum_of(const double *x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; more(i, n); i += PIECE) s += wg__reduce()->sum_f64(x + i, piece_end(i, n) - i);
    return s;
}
/* Of squares of distances from a value. */
static double squares_of(const double *x, double from, int64_t n) {
    double s = 0;
    for (int64_t i = 0; more(i, n); i += PIECE) s += wg__reduce()->sum_abs2_f64(x + i, from, piece_end(i, n) - i);
    return s;
}
static void var_row(const void *p, int64_t n, void *out, double corr) {
    const double *x = p;
    double mean = sum_of(x, n) / (double)n, dof = (double)n - corr, squares = squares_of(x, mean, n);
    if (squares < mean * mean * 1e-24 * (double)n) { /* almost constant: the mean's own rounding would show */
        double rest = 0;
        for (int64_t i = 0; more(i, n);)
            for (int64_t end = piece_end(i, n); i < end; i++) rest += x[i] - mean;
        squares = squares_of(x, mean + rest / (double)n, n);
    }
    *(double *)out = squares / (dof > 0 ? dof : 0);
}
static void std_row(const void *p, int64_t n, void *out, double corr) {
    var_row(p, n, out, corr);
    *(double *)out = sqrt(*(double *)out);
}
static wg_status var_shape(const wg_call *c, wg_geometry *g) {
    if (!wg_dtype_is_floating((wg_dtype)c->in[0]->dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, c->op->name,
                         "std and var only support floating point and complex dtypes");
    return wg__reduced_shape(c, &c->attr[0], c->attr[2].i, g);
}
static wg_status spread_run(const wg_call *c, void (*row)(const void *, int64_t, void *, double)) {
    double corr = correction(c), count = c->out[0]->numel ? (double)reduced_count(c, &c->attr[0]) : 0;
    if (count - corr <= 0 &&
        wg__warn(WG_WARN_USER,
                 "%s(): degrees of freedom is <= 0. The correction (%g) must be less than the number of "
                 "elements that go into one result (%g), or it is nan",
                 c->op->name, corr, count))
        return WG_ERR_RUNTIME;
    return run_rows(c, &c->attr[0], WG_FLOAT64, WG_FLOAT64, row, corr, c->out[0]);
}
static wg_status var_run(const wg_call *c) { return spread_run(c, var_row); }
static wg_status std_run(const wg_call *c) { return spread_run(c, std_row); }
static wg_tensor *centred(const wg_call *c) {
    bool reduced[WG_MAX_DIMS];
    int64_t list[WG_MAX_DIMS];
    int n = 0;
    if (wg__reduced_dims(c->op->name, &c->attr[0], c->in[0]->ndim, reduced) != WG_OK) return WG_POISON;
    for (int i = 0; i < c->in[0]->ndim; i++)
        if (reduced[i]) list[n++] = i;
    wg_reduce keep = {.size = sizeof(keep), .keepdim = true, .dims = {n, list}};
    double dof = (double)reduced_count(c, &c->attr[0]) - correction(c);
    wg_tensor *mean = wg_mean_opt(c->in[0], &keep);
    if (dof <= 0 && (c->attr[0].tag == WG_V_NONE || c->in[0]->ndim == 0)) /* as PyTorch: inf, nan at the mean */
        return wg_where(wg_eq(c->in[0], mean), wg_s(NAN), wg_s(INFINITY));
    return wg_mul(wg_sub(c->in[0], mean), wg_s(2 / dof));
}
static wg_tensor *half_over(wg_tensor *g, wg_tensor *z) {
    return wg_masked_fill(wg_div(g, wg_mul(z, wg_s(2))), wg_eq(z, wg_i(0)), wg_i(0));
}
static wg_tensor *summed(const wg_call *c, wg_tensor *t) {
    wg_value a[3] = {c->attr[0], c->attr[2], WG_VAL_NONE};
    return wg__apply(&op_sum, &t, 1, a, 3, WG_SITE);
}
static wg_tensor *var_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_mul(wg__restore(c, g[0], &c->attr[0], c->attr[2].i), centred(c));
}
static wg_tensor *var_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, summed(c, wg_mul(t[0], centred(c)));
}
static wg_tensor *std_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_mul(wg__restore(c, half_over(g[0], c->out[0]), &c->attr[0], c->attr[2].i), centred(c));
}
static wg_tensor *std_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, half_over(summed(c, wg_mul(t[0], centred(c))), c->out[0]);
}
#define VAR(op_, name_, saves_, doc_, f)                                                                               \
    static const wg_op op_ = {                                                                                         \
        .name = #name_,                                                                                                \
        .schema = #name_ "(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",  \
        .doc = doc_,                                                                                                   \
        .nin = 1,                                                                                                      \
        .nout = 1,                                                                                                     \
        .saves = saves_,                                                                                               \
        .shape = var_shape,                                                                                            \
        .run = {name_##_run},                                                                                          \
        .vjp = name_##_vjp,                                                                                            \
        .jvp = name_##_jvp,                                                                                            \
        .batch = batch_first,                                                                                          \
        .formula = {f}};
VAR(op_var, var, WG_USE_X, "variance, in two passes; nan without degrees of freedom", "2(x - mean)/(n - correction)")
VAR(op_std, std, WG_USE_X | WG_USE_Z, "standard deviation", "(x - mean)/((n - correction) std)")

/* ---- norm -------------------------------------------------------------------------------------------------------- */

/* attr: ord, dim, keepdim, dtype. Summed in double. */
static double norm_order(const wg_call *c) {
    const wg_value *v = &c->attr[0];
    return v->tag == WG_V_DOUBLE ? v->d : v->tag == WG_V_INT ? (double)v->i : 2;
}
static void norm_row(const void *q, int64_t n, void *out, double p) {
    const double *x = q;
    double r = 0;
    if (p == 2)
        r = sqrt(squares_of(x, 0, n));
    else if (p == INFINITY || p == -INFINITY) {
        r = p > 0 || n == 0 ? 0 : INFINITY;
        bool nan = false;
        for (int64_t i = 0; more(i, n);)
            for (int64_t end = piece_end(i, n); i < end; i++) {
                double a = fabs(x[i]);
                nan |= isnan(a);
                r = p > 0 ? fmax(r, a) : fmin(r, a);
            }
        if (nan) r = NAN;
    } else {
        for (int64_t i = 0; more(i, n);)
            for (int64_t end = piece_end(i, n); i < end; i++)
                r += p == 0 ? x[i] != 0 : p == 1 ? fabs(x[i]) : pow(fabs(x[i]), p);
        if (p != 0 && p != 1) r = pow(r, 1 / p);
    }
    *(double *)out = r;
}
/* The least or greatest of nothing does not exist; dims are named as they were given. */
static wg_status refuse_empty_norm(const wg_call *c) {
    const wg_tensor *t = c->in[0];
    const wg_value *dims = &c->attr[1];
    double p = norm_order(c);
    if (t->numel || (p >= 0 && !isinf(p))) return WG_OK;
    if (dims->tag != WG_V_INTS || dims->n == 0)
        return wg__raise(WG_ERR_RUNTIME, "norm",
                         "linalg.vector_norm cannot compute the %g norm on an empty tensor because the operation "
                         "does not have an identity",
                         p);
    for (uint32_t k = 0; k < dims->n; k++) {
        int d = wg__wrap_dim("norm", dims->ints[k], t->ndim);
        if (d < 0) return WG_ERR_INDEX;
        if (t->dims[d] == 0)
            return wg__raise(WG_ERR_RUNTIME, "norm",
                             "linalg.vector_norm cannot compute the %g norm on the dimension %lldbecause this "
                             "dimension is empty and the operation does not have an identity",
                             p, (long long)dims->ints[k]);
    }
    return WG_OK;
}
static wg_status norm_shape(const wg_call *c, wg_geometry *g) {
    wg_dtype d = c->attr[3].tag == WG_V_DTYPE ? (wg_dtype)c->attr[3].i : (wg_dtype)c->in[0]->dtype;
    if (!wg_dtype_is_floating((wg_dtype)c->in[0]->dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "norm",
                         "linalg.vector_norm: Expected a floating point or complex tensor as input. Got %s",
                         wg__dtype_scalar_name((wg_dtype)c->in[0]->dtype));
    if (!wg_dtype_is_floating(d))
        return wg__raise(WG_ERR_RUNTIME, "norm",
                         "linalg.vector_norm: dtype should be floating point or complex, but got %s",
                         wg__dtype_scalar_name(d));
    if (wg_promote_types((wg_dtype)c->in[0]->dtype, d) != d)
        return wg__raise(WG_ERR_RUNTIME, "norm",
                         "linalg.vector_norm: the dtype of the input (%s) should be convertible without "
                         "narrowing to the specified dtype (%s)",
                         wg__dtype_scalar_name((wg_dtype)c->in[0]->dtype), wg__dtype_scalar_name(d));
    g->dtype = d;
    wg_status st = refuse_empty_norm(c);
    return st == WG_OK ? wg__reduced_shape(c, &c->attr[1], c->attr[2].i, g) : st;
}
static wg_status norm_run(const wg_call *c) {
    return run_rows(c, &c->attr[1], WG_FLOAT64, WG_FLOAT64, norm_row, norm_order(c), c->out[0]);
}
static wg_tensor *norm_ties(const wg_call *c, wg_tensor *z) {
    wg_tensor *there = wg_eq(wg_abs(wg_detach(c->in[0])), wg_detach(z)); /* nowhere, when it is nan */
    return wg_where(there, wg_mul(wg_sign(c->in[0]), shares(c, there, &c->attr[1])), wg_s(0));
}
/* g (restored) times d norm / d x. */
static wg_tensor *norm_product(const wg_call *c, wg_tensor *g) {
    double p = norm_order(c);
    wg_tensor *x = c->in[0], *z = wg__restore(c, c->out[0], &c->attr[1], c->attr[2].i);
    if (p == 0) return wg_zeros_like(x, NULL);
    if (p == 1) return wg_mul(g, wg_sign(x));
    if (p == 2) return wg_mul(x, wg_masked_fill(wg_div(g, z), wg_eq(z, wg_i(0)), wg_i(0)));
    if (isinf(p)) return wg_mul(g, norm_ties(c, z));
    wg_tensor *a = wg_abs(x);
    if (p < 2) {
        wg_tensor *up = wg_masked_fill(wg_pow(a, wg_s(p - 1)), wg_eq(x, wg_i(0)), wg_i(0));
        wg_tensor *scale = wg_masked_fill(wg_mul(g, wg_pow(z, wg_s(1 - p))), wg_eq(z, wg_i(0)), wg_i(0));
        return wg_mul(wg_mul(wg_sign(x), up), scale);
    }
    wg_tensor *scale = wg_masked_fill(wg_div(g, wg_pow(z, wg_s(p - 1))), wg_eq(z, wg_i(0)), wg_i(0));
    return wg_mul(wg_mul(x, wg_pow(a, wg_s(p - 2))), scale);
}
static wg_tensor *norm_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (norm_order(c) == 0) return NULL; /* a number of elements */
    return (void)i, norm_product(c, wg__restore(c, g[0], &c->attr[1], c->attr[2].i));
}
static wg_tensor *norm_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    wg_value a[3] = {c->attr[1], c->attr[2], WG_VAL_NONE};
    wg_tensor *s = norm_product(c, t[0]);
    return (void)o, wg__apply(&op_sum, &s, 1, a, 3, WG_SITE);
}
static wg_status batch_second(const wg_call *c, const int *b, wg_tensor **o, int *ob) {
    return wg__batch_dims(c, b, 1, o, ob);
}
static const wg_op op_norm = {
    .name = "linalg_vector_norm",
    .shown = WG_HIDDEN,
    .schema = "linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? "
              "dtype=None) -> Tensor",
    .doc = "vector norm of order ord; gradient 0 at 0",
    .nin = 1,
    .nout = 1,
    .saves = WG_USE_X | WG_USE_Z,
    .shape = norm_shape,
    .run = {norm_run},
    .vjp = norm_vjp,
    .jvp = norm_jvp,
    .batch = batch_second,
    .formula = {"x |x|^(p-2) / norm^(p-1)"}};

/* ---- logsumexp --------------------------------------------------------------------------------------------------- */

static void lse_row(const void *q, int64_t n, void *out, double param) {
    const double *x = q;
    (void)param;
    if (n == 0) {
        *(double *)out = -INFINITY;
        return;
    }
    double m = max_f64_row(x, n), s = 0;
    if (isinf(m)) m = 0;
    for (int64_t i = 0; more(i, n);)
        for (int64_t end = piece_end(i, n); i < end; i++) s += exp(x[i] - m);
    *(double *)out = log(s) + m;
}
static wg_status lse_shape(const wg_call *c, wg_geometry *g) {
    if (!wg_dtype_is_floating((wg_dtype)c->in[0]->dtype)) g->dtype = wg_default_dtype();
    return wg__reduced_shape(c, &c->attr[0], c->attr[1].i, g);
}
static wg_status lse_run(const wg_call *c) {
    return run_rows(c, &c->attr[0], WG_FLOAT64, WG_FLOAT64, lse_row, 0, c->out[0]);
}
static wg_tensor *lse_weights(const wg_call *c) {
    return wg_exp(wg_sub(c->in[0], wg__restore(c, c->out[0], &c->attr[0], c->attr[1].i)));
}
static wg_tensor *lse_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    return (void)i, wg_mul(wg__restore(c, g[0], &c->attr[0], c->attr[1].i), lse_weights(c));
}
static wg_tensor *lse_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    return (void)o, reduced_again(c, wg_mul(t[0], lse_weights(c)));
}
static const wg_op op_lse = {.name = "logsumexp",
                             .schema = "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
                             .doc = "log of the sum of exponentials, shifted by the maximum",
                             .nin = 1,
                             .nout = 1,
                             .saves = WG_USE_X | WG_USE_Z,
                             .shape = lse_shape,
                             .run = {lse_run},
                             .vjp = lse_vjp,
                             .jvp = lse_jvp,
                             .batch = batch_first,
                             .formula = {"exp(x - logsumexp)"}};

/* ---- public ------------------------------------------------------------------------------------------------------ */

static wg_value dims_value(const wg_reduce *o) {
    return o && o->dims.n ? WG_VAL_INTS(o->dims.v, o->dims.n) : WG_VAL_NONE;
}
static wg_value keep_value(const wg_reduce *o) { return WG_VAL_B(o && o->keepdim); }
static wg_value dtype_value(const wg_reduce *o) { return o && o->has_dtype ? WG_VAL_DT(o->dtype) : WG_VAL_NONE; }
static wg_tensor *reduce(const wg_op *op, wg_tensor *x, const wg_reduce *o, bool dtype, void *site) {
    if (WG_CHECK_STRUCT(wg_reduce, o, op->name) != WG_OK) return WG_POISON;
    wg_value a[3] = {dims_value(o), keep_value(o), dtype_value(o)};
    return wg__apply(op, &x, 1, a, dtype ? 3 : 2, site);
}
wg_tensor *wg_sum_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_sum, x, o, true, WG_SITE); }
wg_tensor *wg_mean_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_mean, x, o, true, WG_SITE); }
wg_tensor *wg_prod_opt(wg_tensor *x, const wg_reduce *o) {
    if (WG_CHECK_STRUCT(wg_reduce, o, "prod") != WG_OK) return WG_POISON;
    if (o && o->dims.n > 1) return wg__fail(WG_ERR_TYPE, "prod", "prod() takes one dim, not %d", o->dims.n);
    wg_value a[3] = {o && o->dims.n ? WG_VAL_I(o->dims.v[0]) : WG_VAL_NONE, keep_value(o), dtype_value(o)};
    return wg__apply(&op_prod, &x, 1, a, 3, WG_SITE);
}
wg_tensor *wg_amax_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_amax, x, o, false, WG_SITE); }
wg_tensor *wg_amin_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_amin, x, o, false, WG_SITE); }
wg_tensor *wg_all_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_all, x, o, false, WG_SITE); }
wg_tensor *wg_any_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_any, x, o, false, WG_SITE); }
wg_tensor *wg_logsumexp_opt(wg_tensor *x, const wg_reduce *o) { return reduce(&op_lse, x, o, false, WG_SITE); }
static wg_tensor *spread(const wg_op *op, wg_tensor *x, double corr, const wg_reduce *o, void *site) {
    if (WG_CHECK_STRUCT(wg_reduce, o, op->name) != WG_OK) return WG_POISON;
    wg_value a[3] = {dims_value(o), WG_VAL_D(corr), keep_value(o)};
    return wg__apply(op, &x, 1, a, 3, site);
}
wg_tensor *wg_var_opt(wg_tensor *x, double corr, const wg_reduce *o) { return spread(&op_var, x, corr, o, WG_SITE); }
wg_tensor *wg_std_opt(wg_tensor *x, double corr, const wg_reduce *o) { return spread(&op_std, x, corr, o, WG_SITE); }
wg_tensor *wg_norm_opt(wg_tensor *x, double p, const wg_reduce *o) {
    if (WG_CHECK_STRUCT(wg_reduce, o, "norm") != WG_OK) return WG_POISON;
    wg_value a[4] = {WG_VAL_D(p), dims_value(o), keep_value(o), dtype_value(o)};
    return wg__apply(&op_norm, &x, 1, a, 4, WG_SITE);
}
wg_tensor *wg_max(wg_tensor *x) { return wg__apply(&op_max, &x, 1, NULL, 0, WG_SITE); }
wg_tensor *wg_min(wg_tensor *x) { return wg__apply(&op_min, &x, 1, NULL, 0, WG_SITE); }
static wg_tensor *with_index(const wg_op *op, wg_tensor *x, int64_t dim, bool keepdim, wg_tensor **indices,
                             void *site) {
    wg_value a[2] = {WG_VAL_I(dim), WG_VAL_B(keepdim)};
    wg_tensor *out[2];
    wg__apply_n(op, &x, 1, a, 2, out, 2, site);
    if (indices) *indices = out[1];
    return out[0];
}
wg_tensor *wg_max_dim(wg_tensor *x, int64_t d, bool k, wg_tensor **i) {
    return with_index(&op_max_dim, x, d, k, i, WG_SITE);
}
wg_tensor *wg_min_dim(wg_tensor *x, int64_t d, bool k, wg_tensor **i) {
    return with_index(&op_min_dim, x, d, k, i, WG_SITE);
}
static wg_tensor *arg_of(const wg_op *op, wg_tensor *x, wg_value dim, bool keepdim, void *site) {
    wg_value a[2] = {dim, WG_VAL_B(keepdim)};
    return wg__apply(op, &x, 1, a, 2, site);
}
wg_tensor *wg_argmax(wg_tensor *x, int64_t dim, bool k) { return arg_of(&op_argmax, x, WG_VAL_I(dim), k, WG_SITE); }
wg_tensor *wg_argmin(wg_tensor *x, int64_t dim, bool k) { return arg_of(&op_argmin, x, WG_VAL_I(dim), k, WG_SITE); }
wg_tensor *wg_argmax_all(wg_tensor *x) { return arg_of(&op_argmax, x, WG_VAL_NONE, false, WG_SITE); }
wg_tensor *wg_argmin_all(wg_tensor *x) { return arg_of(&op_argmin, x, WG_VAL_NONE, false, WG_SITE); }

/* ---- overloads and other names ----------------------------------------------------------------------------------- */

/* a[1] is dtype. */
static wg_tensor *over_all(const wg_op *op, const wg_value *a) {
    wg_value attr[3] = {WG_VAL_NONE, WG_VAL_B(false), a[1]};
    return wg__apply(op, &a[0].t, 1, attr, 3, WG_SITE);
}
#define OVER_ALL(id, name, doc, f)                                                                                     \
    WG_COMPOSED(id##_all, name ".all", "(Tensor self, *, ScalarType? dtype=None) -> Tensor", doc,                      \
                over_all(&op_##id, a), .formula = {f})
OVER_ALL(sum, "sum", "sum of all elements", "1")
OVER_ALL(mean, "mean", "mean of all elements", "1/n")
OVER_ALL(prod, "prod", "product of all elements", "product of the others")

/* any and all of no dims are not over all of them, unlike the sums. */
static wg_tensor *truth(const wg_op *op, const wg_value *a) {
    return no_dims(&a[1]) ? each_truth(a[0].t) : wg__apply(op, &a[0].t, 1, &a[1], 2, WG_SITE);
}
static wg_tensor *all_boxed(const wg_value *a) { return truth(&op_all, a); }
static wg_tensor *any_boxed(const wg_value *a) { return truth(&op_any, a); }
WG_COMPOSED(all_dim, "all.dim", "(Tensor self, int dim, bool keepdim=False) -> Tensor", "over the truth along a dim",
            wg__apply(&op_all, &a[0].t, 1, &a[1], 2, WG_SITE), .traits = WG_NONDIFF)
WG_COMPOSED(any_dim, "any.dim", "(Tensor self, int dim, bool keepdim=False) -> Tensor", "over the truth along a dim",
            wg__apply(&op_any, &a[0].t, 1, &a[1], 2, WG_SITE), .traits = WG_NONDIFF)

/* var and std: unbiased is correction 1 or 0. */
static wg_tensor *unbiased(const wg_op *op, wg_tensor *x, wg_value dims, bool by_one, bool keepdim) {
    wg_value attr[3] = {dims, WG_VAL_I(by_one), WG_VAL_B(keepdim)};
    return wg__apply(op, &x, 1, attr, 3, WG_SITE);
}
#define UNBIASED(id, name, f)                                                                                          \
    WG_COMPOSED(id##_dim, name ".dim", "(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", \
                "unbiased: divided by n - 1, not n", unbiased(&op_##id, a[0].t, a[1], a[2].i, a[3].i), .formula = {f}) \
    WG_COMPOSED(id##_all, name ".unbiased", "(Tensor self, bool unbiased=True) -> Tensor",                             \
                "unbiased: divided by n - 1, not n", unbiased(&op_##id, a[0].t, WG_VAL_NONE, a[1].i, false),           \
                .formula = {f})
UNBIASED(var, "var", "2(x - mean)/(n - correction)")
UNBIASED(std, "std", "(x - mean)/((n - correction) std)")

/* norm: a[2] … are dim, keepdim, dtype. */
static wg_tensor *norm_of(const wg_value *a, double p) {
    wg_value attr[4] = {WG_VAL_D(p), a[2], a[3], a[4]};
    return wg__apply(&op_norm, &a[0].t, 1, attr, 4, WG_SITE);
}
static double order_of(const wg_value *p) {
    return p->tag == WG_V_DOUBLE ? p->d : p->tag == WG_V_NONE ? 2 : (double)p->i;
}
static wg_tensor *norm_named(const wg_value *a) {
    if (strcmp(a[1].s, "fro") == 0) return norm_of(a, 2);
    if (strcmp(a[1].s, "nuc") == 0)
        return wg__fail(WG_ERR_NOT_IMPLEMENTED, "norm", "norm: the nuclear norm ('nuc') is not implemented");
    return wg__fail(WG_ERR_RUNTIME, "norm", "linalg.matrix_norm: Order %s not supported.", a[1].s);
}
WG_COMPOSED(norm_number, "norm",
            "(Tensor self, Scalar? p=None, int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor",
            "vector norm of order p, 2 by default", norm_of(a, order_of(&a[1])),
            .formula = {"x |x|^(p-2) / norm^(p-1)"})
WG_COMPOSED(norm_named, "norm.named",
            "(Tensor self, str p, int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor",
            "p is \"fro\": vector norm of order 2", norm_named(a), .formula = {"x / norm"})

/* An overload that takes less stands before the one that could take it for something else. */
const wg_op *const wg__ops_reduce[] = {
    &op_sum_all, &op_sum,         &op_mean_all,   &op_mean,    &op_prod_all, &op_prod,    &op_amax, &op_amin,
    &op_max,     &op_max_dim,     &op_min,        &op_min_dim, &op_argmax,   &op_argmin,  &op_all,  &op_all_dim,
    &op_any,     &op_any_dim,     &op_var_dim,    &op_var,     &op_var_all,  &op_std_dim, &op_std,  &op_std_all,
    &op_norm,    &op_norm_number, &op_norm_named, &op_lse,     NULL};
