/* sort.c - sort along a dim: a stable merge sort of indices, nan last (first when descending), as PyTorch.
 */
#include "core/apply.h"
#include "ops/reduce.h"
#include "wengert/ops.h"

enum { POLL_EVERY = 1 << 16 }; /* elements between two looks at the host's wish to stop */

/* attr: dim, descending, stable. Out: values, indices. */
#define MERGE(name, T)                                                                                                 \
    static inline bool name##_before(T a, T b, bool descending) { /* strictly; a nan is greater than every number */   \
        bool na = a != a, nb = b != b;                                                                                 \
        if (na || nb) return descending ? na && !nb : nb && !na;                                                       \
        return descending ? a > b : a < b;                                                                             \
    }                                                                                                                  \
    /* False: somebody said stop, index is then in no order. */                                                        \
    static bool name(const T *x, int64_t *index, int64_t *spare, int64_t n, bool descending) {                         \
        int64_t *from = index, *to = spare;                                                                            \
        for (int64_t i = 0; i < n; i++) index[i] = i;                                                                  \
        for (int64_t width = 1; width < n; width *= 2) {                                                               \
            for (int64_t lo = 0; lo < n; lo += 2 * width) {                                                            \
                int64_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;           \
                int64_t a = lo, b = mid;                                                                               \
                for (int64_t k = lo; k < hi; k++) {                                                                    \
                    if (wg__poll_at(k)) return false;                                                                  \
                    to[k] = a < mid && (b >= hi || !name##_before(x[from[b]], x[from[a]], descending)) ? from[a++]     \
                                                                                                       : from[b++];    \
                }                                                                                                      \
            }                                                                                                          \
            int64_t *t = from;                                                                                         \
            from = to;                                                                                                 \
            to = t;                                                                                                    \
        }                                                                                                              \
        if (from != index) memcpy(index, from, (size_t)n * sizeof(*index));                                            \
        return true;                                                                                                   \
    }
MERGE(sort_f64, double)
MERGE(sort_i64, int64_t)

static wg_status shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    if (wg__wrap_dim("sort", c->attr[0].tag == WG_V_NONE ? -1 : c->attr[0].i, t->ndim) < 0) return WG_ERR_INDEX;
    for (int o = 0; o < 2; o++) {
        g[o].ndim = t->ndim;
        memcpy(g[o].sizes, t->dims, (size_t)t->ndim * 8);
        g[o].strided = !(t->flags & TF_CONTIG) && wg__is_dense(t->ndim, t->dims, wg__strides(t));
        if (g[o].strided) memcpy(g[o].strides, wg__strides(t), (size_t)t->ndim * 8);
    }
    g[1].dtype = WG_INT64;
    return WG_OK;
}

static int dim_of(const wg_call *c, int ndim) {
    int64_t d = c->attr[0].tag == WG_V_NONE ? -1 : c->attr[0].i;
    return ndim ? (int)(d < 0 ? d + ndim : d) : 0;
}

/* Rows of the dim, in the type to compare in; order[] of each row; both results, row-major, back along the dim. */
static wg_status sort_into(const wg_call *c, wg_tensor *out, wg_tensor *indices) {
    wg_tensor *t = c->in[0];
    bool reduced[WG_MAX_DIMS] = {false}, descending = c->attr[1].tag != WG_V_NONE && c->attr[1].i;
    bool floating = wg_dtype_is_floating((wg_dtype)t->dtype);
    int d = dim_of(c, t->ndim);
    wg__block b = {0};
    if (t->ndim) reduced[d] = true;
    if (out->numel == 0) return WG_OK;
    wg_status st = wg__block_open(&b, t, reduced, floating ? WG_FLOAT64 : WG_INT64, true);
    if (st != WG_OK) return st;
    int64_t *spare = wg__malloc_array((size_t)b.n, 8), *order = wg__malloc_array((size_t)b.n, 8), step = 1, since = 0;
    for (int i = t->ndim; i-- > d + 1;) step *= t->dims[i];
    if (!spare || !order) st = WG_ERR_MEMORY;
    size_t item = wg__itemsize(out);
    for (int64_t r = 0; st == WG_OK && r < b.outer; r++) {
        const char *x = b.x->data + (size_t)(r * b.n) * 8;
        bool done = floating ? sort_f64((const double *)(const void *)x, order, spare, b.n, descending)
                             : sort_i64((const int64_t *)(const void *)x, order, spare, b.n, descending);
        if (!done) {
            st = WG_ERR_INTERRUPTED;
            break;
        }
        int64_t at = r / step * step * b.n + r % step; /* of the row's first element in the results */
        for (int64_t i = 0; i < b.n && st == WG_OK; i++) {
            const char *v = x + (size_t)order[i] * 8;
            char *to = out->data + (size_t)(at + i * step) * item;
            if (floating)
                wg__store_double(to, (wg_dtype)out->dtype, *(const double *)(const void *)v);
            else
                wg__store_int(to, (wg_dtype)out->dtype, *(const int64_t *)(const void *)v);
            ((int64_t *)(void *)indices->data)[at + i * step] = order[i];
            if (wg__poll_at(i)) st = WG_ERR_INTERRUPTED;
        }
        if ((since += b.n) < POLL_EVERY) continue;
        since = 0;
        if (wg__poll()) st = WG_ERR_INTERRUPTED;
    }
    if (spare) wg__free_array(spare, (size_t)b.n, 8);
    if (order) wg__free_array(order, (size_t)b.n, 8);
    wg__block_close(&b);
    return st;
}
static wg_status run(const wg_call *c) {
    wg_tensor *out = c->out[0], *indices = c->out[1];
    if (out->flags & TF_CONTIG) return sort_into(c, out, indices);
    wg_tensor *values = wg__temp((wg_dtype)out->dtype, out->ndim, out->dims),
              *at = wg__temp(WG_INT64, out->ndim, out->dims);
    wg_status st = values && at ? sort_into(c, values, at) : WG_ERR_MEMORY;
    if (st == WG_OK) st = wg__copy_into(out, values);
    if (st == WG_OK) st = wg__copy_into(indices, at);
    wg_release(values);
    wg_release(at);
    return st;
}

static wg_tensor *vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    if (!g[0] || n == 0) return g[0];
    return wg_scatter_add(wg__zeros((wg_dtype)g[0]->dtype, n, sizes), dim_of(c, n), c->out[1], g[0]);
}
static wg_tensor *jvp(const wg_call *c, wg_tensor *const *t, int o) {
    if (o || !t[0]) return NULL;
    return t[0]->ndim ? wg_gather(t[0], dim_of(c, t[0]->ndim), c->out[1]) : t[0];
}
static wg_status batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    wg_call named = *c;
    wg_value attr[3] = {WG_VAL_I(c->attr[0].tag == WG_V_NONE ? -1 : c->attr[0].i), c->attr[1], c->attr[2]};
    if (c->in[0]->ndim == 1) return wg__batch_loop(c, bdim, out, out_bdim);
    named.attr = attr;
    return wg__batch_dims(&named, bdim, 0, out, out_bdim);
}
/* PyTorch's sort with the word stable is an overload of its own. */
static const char *name(const wg_call *c) {
    return c->attr[2].tag == WG_V_BOOL && c->attr[2].i ? "SortBackward1" : "SortBackward0";
}
static wg_status sorted(wg_tensor *x, int64_t dim, bool descending, bool stable, wg_tensor **out, int max, int *n) {
    if (max < 2) return wg__raise(WG_ERR_VALUE, "sort", "sort() gives 2 results; there is room for %d", max);
    out[0] = wg_sort(x, dim, descending, stable, &out[1]);
    *n = 2;
    return !wg_is_poison(out[0]) ? WG_OK : wg_error_pending() ? wg_last_status() : WG_ERR_RUNTIME;
}
static wg_status sort_boxed(const wg_value *a, wg_tensor **out, int max, int *n) {
    return sorted(a[0].t, a[1].i, a[2].i, false, out, max, n);
}
static const wg_op op_sort = {
    .name = "sort",
    .schema = "sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    .boxed_list = sort_boxed,
    .doc = "sorted values and where they came from; stable; nan is the greatest",
    .traits = WG_INT_SECOND,
    .nin = 1,
    .nout = 2,
    .saves = WG_USE_Z,
    .shape = shape,
    .run = {run},
    .vjp = vjp,
    .jvp = jvp,
    .grad_name = name,
    .batch = batch,
    .formula = {"g where each element came from"}};
wg_tensor *wg_sort(wg_tensor *x, int64_t dim, bool descending, bool stable, wg_tensor **indices) {
    wg_value a[3] = {WG_VAL_I(dim), WG_VAL_B(descending), WG_VAL_B(stable)};
    wg_tensor *out[2];
    wg__apply_n(&op_sort, &x, 1, a, 3, out, 2, WG_SITE);
    if (indices) *indices = out[1];
    return out[0];
}

wg_tensor *wg_argsort(wg_tensor *x, int64_t dim, bool descending, bool stable) {
    WG_COMPOSITE;
    wg_tensor *indices;
    wg_sort(x, dim, descending, stable, &indices);
    return indices;
}

/* The word stable, whatever its value, is PyTorch's second overload. */
static wg_status stable_boxed(const wg_value *a, wg_tensor **out, int max, int *n) {
    return sorted(a[0].t, a[2].i, a[3].i, true, out, max, n);
}
static const wg_op op_sort_stable = {.name = "sort.stable",
                                     .schema = "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool "
                                               "descending=False) -> (Tensor values, Tensor indices)",
                                     .doc = "sort, which keeps the order of equals anyway",
                                     .nout = 2,
                                     .boxed_list = stable_boxed,
                                     .formula = {"g where each element came from"}};
WG_COMPOSED(argsort, "argsort", "(Tensor self, int dim=-1, bool descending=False) -> Tensor", "the indices of sort",
            wg_argsort(a[0].t, a[1].i, a[2].i, false), .traits = WG_NONDIFF)
WG_COMPOSED(argsort_stable, "argsort.stable",
            "(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor", "the indices of sort",
            wg_argsort(a[0].t, a[2].i, a[3].i, a[1].i), .traits = WG_NONDIFF)

const wg_op *const wg__ops_sort[] = {&op_sort, &op_sort_stable, &op_argsort, &op_argsort_stable, NULL};
