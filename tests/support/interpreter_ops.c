/* interpreter_ops.c - the ops of the naive interpreter that are neither pointwise nor views: reductions, softmax, sort,
 * joins, products, indexing; each with its derivative along the tangents. See interpreter.h.
 */
#include "interpreter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What adding in another order may cost: of n terms of this total size, computed in d (16-bit floats in float32). */
static double order_slack(wg_dtype d, int64_t n, double size, double result) {
    double unit = nt_unit(d == WG_FLOAT64 ? d : WG_FLOAT32);
    if (size > nt_greatest(d == WG_FLOAT64 ? d : WG_FLOAT32) / 4) return INFINITY; /* a sum on the way may overflow */
    return unit * (double)(n + 2) * size + (d == WG_FLOAT16 || d == WG_BFLOAT16 ? nt_unit(d) * fabs(result) : 0) +
           0x1p-1070 +
           (d == WG_FLOAT16   ? 0x1p-24
            : d == WG_FLOAT64 ? 0
                              : 0x1p-133);
}

/* The size of a term; infinities and nans come out the same in any order. */
static double size_of(double v) { return v - v == 0 ? fabs(v) : 0; }

/* ---- reductions of a list ---------------------------------------------------------------------------------------- */

typedef struct list {
    int64_t n;
    const cell *c;
    wg_dtype d;
    double param;
} list;

static cell add_up(list l, double by) {
    cell r = {0};
    double size = 0;
    for (int64_t k = 0; k < l.n; k++) {
        r.v += l.c[k].v;
        r.t += l.c[k].t;
        r.i = (int64_t)((uint64_t)r.i + (uint64_t)l.c[k].i);
        size += size_of(l.c[k].v);
    }
    r.v /= by;
    r.t /= by;
    r.slack = order_slack(l.d, l.n, size, r.v);
    return r;
}
static cell multiply(list l) {
    cell r = {.v = 1, .i = 1};
    double largest = 1, size = 1, smallest = 1;
    for (int64_t k = 0; k < l.n; k++) {
        r.t = r.t * l.c[k].v + r.v * l.c[k].t;
        r.v *= l.c[k].v;
        r.i = (int64_t)((uint64_t)r.i * (uint64_t)l.c[k].i);
        size = fmax(size * fabs(l.c[k].v), size); /* of the largest part of the product */
        if (l.c[k].v != 0) smallest = fmin(smallest * fabs(l.c[k].v), smallest);
        largest = fmax(largest, fmax(fabs(r.v), size));
    }
    double unit = nt_unit(l.d == WG_FLOAT64 ? l.d : WG_FLOAT32);
    /* A part of the product may be too large for the dtype, or too small to have all its bits. */
    bool far = largest > nt_greatest(l.d == WG_FLOAT64 ? l.d : WG_FLOAT32) / 4 ||
               smallest < (l.d == WG_FLOAT64 ? 1e-290 : 1e-30);
    r.slack = far ? INFINITY : order_slack(l.d, 0, 0, r.v) + unit * (double)l.n * fabs(r.v);
    return r;
}

/* The greatest (sign 1) or least (-1); nan is either. ties share the tangent. */
static int64_t first_extreme(list l, int sign) {
    int64_t at = 0;
    for (int64_t k = 0; k < l.n; k++) {
        if (isnan(l.c[k].v)) return k;
        bool better = nt_floating(l.d) ? sign * l.c[k].v > sign * l.c[at].v
                      : sign > 0       ? l.c[k].i > l.c[at].i
                                       : l.c[k].i < l.c[at].i;
        if (better) at = k;
    }
    return at;
}
static cell extreme(list l, int sign) {
    cell r = l.c[first_extreme(l, sign)];
    double sum = 0, ties = 0;
    for (int64_t k = 0; k < l.n; k++)
        if (l.c[k].v == r.v) sum += l.c[k].t, ties++;
    r.t = sum / ties;
    r.slack = 0x1p-1074; /* 0 and -0 are equal */
    return r;
}
static bool truth(list l, int64_t k) { return nt_floating(l.d) ? l.c[k].v != 0 : l.c[k].i != 0; }
static cell count_truth(list l, bool all) {
    int64_t n = 0;
    for (int64_t k = 0; k < l.n; k++) n += truth(l, k);
    return (cell){.i = all ? n == l.n : n > 0};
}

static cell variance(list l, bool root) {
    double sum = 0, tangent = 0, squares = 0, product = 0, size = 0, n = (double)l.n, dof = n - l.param;
    for (int64_t k = 0; k < l.n; k++) sum += l.c[k].v, tangent += l.c[k].t;
    for (int64_t k = 0; k < l.n; k++) {
        double from = l.c[k].v - sum / n;
        squares += from * from;
        product += 2 * from * (l.c[k].t - tangent / n);
        size = fmax(size, fabs(l.c[k].v));
    }
    double by = dof > 0 ? dof : 0;
    cell r = {.v = squares / by, .t = product / by};
    double open =
        nt_unit(WG_FLOAT64) * (n + 4) * (size * size * 1e-15 + squares + sqrt(squares) * size) / (dof > 0 ? dof : 1);
    if (root) {
        open = r.v > 0 ? fmin(open / sqrt(r.v), sqrt(open)) : sqrt(open);
        r.v = sqrt(r.v);
        r.t /= 2 * r.v;
    }
    r.slack = open + 2 * nt_unit(l.d) * fabs(r.v) + order_slack(l.d, 0, 0, 0);
    if (size > 1e150 || fabs(r.v) > nt_greatest(l.d) / 2) r.slack = INFINITY;
    return r;
}
static cell vector_norm(list l) {
    double p = l.param, sum = 0, t = 0, size = 0;
    if (isinf(p)) {
        cell *abs = nt_alloc((size_t)l.n * sizeof *abs + 1);
        for (int64_t k = 0; k < l.n; k++)
            abs[k] = (cell){.v = fabs(l.c[k].v), .t = l.c[k].t * ((l.c[k].v > 0) - (l.c[k].v < 0))};
        return l.n ? extreme((list){l.n, abs, l.d, 0}, p > 0 ? 1 : -1) : (cell){.v = p > 0 ? 0 : INFINITY};
    }
    for (int64_t k = 0; k < l.n; k++) {
        double a = fabs(l.c[k].v), s = (l.c[k].v > 0) - (l.c[k].v < 0);
        sum += p == 0 ? a != 0 : pow(a, p);
        t += s * l.c[k].t * pow(a, p - 1);
        size = fmax(size, a);
    }
    cell r = {.v = p == 0 ? sum : pow(sum, 1 / p)};
    r.t = p == 0 ? 0 : t * pow(r.v, 1 - p);
    r.slack = nt_unit(l.d) * 2 * r.v + order_slack(l.d, 0, 0, 0) + nt_unit(WG_FLOAT64) * 4 * (double)l.n * r.v;
    if (size > 1e100 || (size > 0 && size < 1e-100) || r.v > nt_greatest(l.d) / 2) r.slack = INFINITY;
    return r;
}
static cell log_sum(list l) {
    cell r = {.v = -INFINITY};
    double top = -INFINITY, sum = 0, t = 0;
    for (int64_t k = 0; k < l.n; k++) top = isnan(l.c[k].v) || l.c[k].v > top ? l.c[k].v : top;
    for (int64_t k = 0; k < l.n; k++)
        if (isnan(l.c[k].v)) return (cell){.v = NAN, .t = NAN};
    double shift = isinf(top) ? 0 : top;
    for (int64_t k = 0; k < l.n; k++) {
        sum += exp(l.c[k].v - shift);
        t += l.c[k].t * exp(l.c[k].v - shift);
    }
    if (l.n) r = (cell){.v = log(sum) + shift, .t = t / sum};
    r.slack =
        nt_unit(l.d) * (2 * fabs(r.v) + 1e-6) + nt_unit(WG_FLOAT64) * 8 * (fabs(shift) + 1) + order_slack(l.d, 0, 0, 0);
    return r;
}

static cell reduce_list(nt_reduction kind, list l) {
    switch (kind) {
    case SUM: return add_up(l, 1);
    case MEAN: return add_up(l, (double)l.n);
    case PROD: return multiply(l);
    case AMAX: return extreme(l, 1);
    case AMIN: return extreme(l, -1);
    case ALL: return count_truth(l, true);
    case ANY_OF: return count_truth(l, false);
    case VAR: return variance(l, false);
    case STD: return variance(l, true);
    case NORM: return vector_norm(l);
    case LOGSUMEXP: return log_sum(l);
    case ARGMAX: return (cell){.i = first_extreme(l, 1)};
    case ARGMIN: return (cell){.i = first_extreme(l, -1)};
    case FIRST_MAX: return l.c[first_extreme(l, 1)];
    default: return l.c[first_extreme(l, -1)];
    }
}

/* ---- reductions of a tensor -------------------------------------------------------------------------------------- */

static bool needs_elements(nt_reduction k) {
    return k == AMAX || k == AMIN || k == ARGMAX || k == ARGMIN || k == FIRST_MAX || k == FIRST_MIN;
}
static unsigned reduction_dtype(nt_reduction k, wg_dtype d, wg_dtype *out) {
    *out = d;
    if (k == SUM || k == PROD) *out = nt_floating(d) ? d : WG_INT64;
    if (k == ALL || k == ANY_OF) *out = d == WG_UINT8 ? d : WG_BOOL;
    if (k == ARGMAX || k == ARGMIN) *out = WG_INT64;
    if (k == LOGSUMEXP && !nt_floating(d)) *out = WG_FLOAT32;
    bool floats = k == MEAN || k == VAR || k == STD || k == NORM;
    if (floats && !nt_floating(d)) return NOT_IMPLEMENTED;
    return (k == ARGMAX || k == ARGMIN) && d == WG_BOOL ? NOT_IMPLEMENTED : 0;
}
static unsigned empty_rows(nt_reduction kind, const nt *x, int n, const bool *reduced, double param) {
    bool norm = kind == NORM && (param < 0 || param == INFINITY);
    if ((!needs_elements(kind) && !norm) || nt_numel(x) > 0) return 0;
    if (n == 0) return kind == ARGMAX || kind == ARGMIN ? INDEX : RUNTIME;
    for (int i = 0; i < x->ndim; i++)
        if (reduced[i] && x->sizes[i] == 0) return norm ? RUNTIME : INDEX;
    return 0;
}
/* The flat index in the result of each element of x. */
static int64_t *owners(const nt *x, const bool *reduced) {
    int64_t n = nt_numel(x), *owner = nt_alloc((size_t)n * 8 + 1);
    for (int64_t f = 0; f < n; f++) {
        int64_t rest = f, step = 1;
        for (int i = x->ndim; i-- > 0; rest /= x->sizes[i]) {
            if (reduced[i]) continue;
            owner[f] += rest % x->sizes[i] * step;
            step *= x->sizes[i];
        }
    }
    return owner;
}

unsigned nt_reduce(nt_reduction kind, nt *x, int n, const int64_t *dims, bool keepdim, double param, nt **out) {
    bool reduced[NT_DIMS] = {false};
    wg_dtype d;
    unsigned wrong = reduction_dtype(kind, x->dtype, &d);
    for (int i = 0; i < x->ndim; i++) reduced[i] = n == 0;
    for (int k = 0; k < n; k++) {
        int64_t dim = dims[k];
        if (nt_wrap(&dim, x->ndim))
            wrong |= INDEX;
        else if (reduced[dim])
            wrong |= RUNTIME;
        else
            reduced[dim] = true;
    }
    wrong |= empty_rows(kind, x, n, reduced, param);
    if (wrong) return wrong;
    int64_t sizes[NT_DIMS], total = nt_numel(x);
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++)
        if (!reduced[i] || keepdim) sizes[ndim++] = reduced[i] ? 1 : x->sizes[i];
    *out = nt_new(d, ndim, sizes);
    int64_t *owner = owners(x, reduced);
    cell *c = nt_alloc((size_t)total * sizeof *c + 1);
    wg_dtype by = kind == LOGSUMEXP ? d : x->dtype;
    for (int64_t f = nt_numel(*out); f-- > 0;) {
        list l = {0, c, by, param};
        for (int64_t k = 0; k < total; k++)
            if (owner[k] == f) c[l.n++] = nt_as(nt_get(x, k), x->dtype, by);
        nt_put(*out, f, reduce_list(kind, l));
    }
    return 0;
}

/* ---- along one dim: every line in turn --------------------------------------------------------------------------- */

/* The k-th element of the line-th line along dim, as a flat index. */
static int64_t on_line(const nt *x, int64_t dim, int64_t line, int64_t k) {
    int64_t inner = 1;
    for (int i = (int)dim + 1; i < x->ndim; i++) inner *= x->sizes[i];
    int64_t size = x->ndim ? x->sizes[dim] : 1;
    return (line / inner * size + k) * inner + line % inner;
}
static int64_t length_of(const nt *x, int64_t dim) { return x->ndim ? x->sizes[dim] : 1; }
static int64_t lines_of(const nt *x, int64_t dim) { return nt_numel(x) ? nt_numel(x) / length_of(x, dim) : 0; }

unsigned nt_softmax(nt *x, int64_t dim, bool logarithm, nt **out) {
    bool refused = !nt_floating(x->dtype) && nt_numel(x) > 0; /* nothing is whatever its dtype */
    unsigned wrong = nt_wrap(&dim, x->ndim) | (refused ? NOT_IMPLEMENTED : 0);
    if (wrong) return wrong;
    *out = nt_new(x->dtype, x->ndim, x->sizes);
    int64_t n = length_of(x, dim);
    wg_dtype d = x->dtype == WG_FLOAT64 ? WG_FLOAT64 : WG_FLOAT32;
    for (int64_t line = lines_of(x, dim); line-- > 0;) {
        double top = -INFINITY, sum = 0, t = 0;
        for (int64_t k = 0; k < n; k++) {
            double v = nt_get(x, on_line(x, dim, line, k)).v;
            top = isnan(v) || v > top ? v : top;
        }
        for (int64_t k = 0; k < n; k++) {
            cell c = nt_get(x, on_line(x, dim, line, k));
            sum += exp(c.v - top);
            t += exp(c.v - top) * c.t;
        }
        for (int64_t k = 0; k < n; k++) {
            int64_t f = on_line(x, dim, line, k);
            cell c = nt_get(x, f);
            double p = exp(c.v - top) / sum, v = logarithm ? c.v - top - log(sum) : p;
            double slack =
                nt_unit(d) * ((double)n + 6) * (logarithm ? 1 + fabs(v) + fabs(log(sum)) : p * (1 + fabs(c.v - top))) +
                nt_unit(x->dtype) * fabs(v) + order_slack(x->dtype, 0, 0, 0);
            nt_put(*out, f, (cell){.v = v, .t = logarithm ? c.t - t / sum : p * (c.t - t / sum), .slack = slack});
        }
    }
    return 0;
}

/* Is a before b? nan is greater than all. */
static bool before(wg_dtype d, cell a, cell b, bool descending) {
    if (!nt_floating(d)) return descending ? a.i > b.i : a.i < b.i;
    if (isnan(a.v) || isnan(b.v)) return descending ? isnan(a.v) && !isnan(b.v) : isnan(b.v) && !isnan(a.v);
    return descending ? a.v > b.v : a.v < b.v;
}
unsigned nt_sort(nt *x, int64_t dim, bool descending, nt **values, nt **indices) {
    if (nt_wrap(&dim, x->ndim)) return INDEX;
    *values = nt_new(x->dtype, x->ndim, x->sizes);
    *indices = nt_new(WG_INT64, x->ndim, x->sizes);
    int64_t n = length_of(x, dim);
    for (int64_t line = lines_of(x, dim); line-- > 0;)
        for (int64_t k = 0; k < n; k++) {
            cell c = nt_get(x, on_line(x, dim, line, k));
            int64_t rank = 0; /* how many come before it; of equals, those that stood before */
            for (int64_t j = 0; j < n; j++) {
                cell o = nt_get(x, on_line(x, dim, line, j));
                rank += before(x->dtype, o, c, descending) || (j < k && !before(x->dtype, c, o, descending));
            }
            nt_put(*values, on_line(x, dim, line, rank), c);
            nt_put(*indices, on_line(x, dim, line, rank), (cell){.i = k});
        }
    return 0;
}

/* ---- joins ------------------------------------------------------------------------------------------------------- */

static bool skipped(const nt *t) { return t->ndim == 1 && t->sizes[0] == 0; } /* cat's old rule */

/* Writes part at start along dim of whole. */
static void put_part(nt *whole, const nt *part, int64_t dim, int64_t start) {
    for (int64_t line = lines_of(part, dim); line-- > 0;)
        for (int64_t k = 0; k < part->sizes[dim]; k++)
            nt_put(whole, on_line(whole, dim, line, start + k),
                   nt_as(nt_get(part, on_line(part, dim, line, k)), part->dtype, whole->dtype));
}
unsigned nt_cat(nt *const *in, int n, int64_t dim, nt **out) {
    nt *first = NULL;
    unsigned wrong = 0;
    int64_t sizes[NT_DIMS] = {0}, start = 0;
    for (int k = 0; k < n; k++) {
        if (in[k]->ndim == 0)
            wrong |= RUNTIME;
        else if (!first && !skipped(in[k]))
            first = in[k];
    }
    if (!first) first = in[0];
    bool far = nt_wrap(&dim, first->ndim) != 0;
    for (int k = 0; k < n && !far; k++) {
        if (in[k]->ndim == 0 || skipped(in[k])) continue;
        if (in[k]->ndim != first->ndim) wrong |= RUNTIME;
        for (int i = 0; i < first->ndim && in[k]->ndim == first->ndim; i++)
            if (i != dim && in[k]->sizes[i] != first->sizes[i]) wrong |= RUNTIME;
        start += in[k]->sizes[dim < in[k]->ndim ? dim : 0];
    }
    bool none = skipped(first);
    if (far && !none) wrong |= INDEX;
    if (wrong) return wrong;
    memcpy(sizes, first->sizes, sizeof sizes);
    if (!none) sizes[dim] = start;
    *out = nt_new(nt_result_type(in, n), first->ndim, sizes);
    start = 0;
    for (int k = 0; k < n; k++) {
        if (skipped(in[k])) continue;
        put_part(*out, in[k], dim, start);
        start += in[k]->sizes[dim];
    }
    return 0;
}
unsigned nt_stack(nt *const *in, int n, int64_t dim, nt **out) {
    nt *parts[16];
    unsigned wrong = 0;
    for (int k = 1; k < n; k++) wrong |= nt_same_shape(in[0], in[k]) ? 0 : RUNTIME;
    if (nt_wrap(&dim, in[0]->ndim + 1)) wrong |= INDEX;
    if (wrong) return wrong;
    for (int k = 0; k < n; k++) nt_unsqueeze(in[k], dim, &parts[k]);
    int64_t sizes[NT_DIMS];
    memcpy(sizes, parts[0]->sizes, sizeof sizes);
    sizes[dim] = n;
    *out = nt_new(nt_result_type(in, n), parts[0]->ndim, sizes);
    for (int k = 0; k < n; k++) put_part(*out, parts[k], dim, k);
    return 0;
}

/* ---- matmul ------------------------------------------------------------------------------------------------------ */

/* Row r, column c of a dot product. */
static cell dot(const nt *a, const nt *b, int64_t at_a, int64_t step_a, int64_t at_b, int64_t step_b, int64_t k) {
    cell r = {0};
    double size = 0;
    for (int64_t j = 0; j < k; j++) {
        cell x = nt_get(a, at_a + j * step_a), y = nt_get(b, at_b + j * step_b);
        r.v += x.v * y.v;
        r.t += x.t * y.v + x.v * y.t;
        r.i = (int64_t)((uint64_t)r.i + (uint64_t)x.i * (uint64_t)y.i);
        size += size_of(x.v) * size_of(y.v); /* inf where finite factors overflow */
    }
    r.slack = order_slack(a->dtype, k, size, r.v);
    return r;
}
unsigned nt_matmul(nt *a, nt *b, nt **out) {
    if (a->ndim == 0 || b->ndim == 0) return RUNTIME;
    nt *x = a, *y = b;
    if (a->ndim == 1) nt_unsqueeze(a, 0, &x);
    if (b->ndim == 1) nt_unsqueeze(b, 1, &y);
    nt bx = *x, by = *y, *batches[2] = {&bx, &by};
    int64_t sizes[NT_DIMS], m = x->sizes[x->ndim - 2], k = x->sizes[x->ndim - 1], n = y->sizes[y->ndim - 1];
    int nb;
    bx.ndim -= 2;
    by.ndim -= 2;
    unsigned wrong = nt_broadcast(batches, 2, &nb, sizes);
    if (a->dtype != b->dtype || y->sizes[y->ndim - 2] != k) wrong |= RUNTIME;
    if (a->dtype == WG_BOOL || b->dtype == WG_BOOL) wrong |= NOT_IMPLEMENTED;
    if (wrong) return wrong;
    sizes[nb] = m, sizes[nb + 1] = k;
    x = nt_spread(x, nb + 2, sizes);
    sizes[nb] = k, sizes[nb + 1] = n;
    y = nt_spread(y, nb + 2, sizes);
    int ndim = nb;
    if (a->ndim > 1) sizes[ndim++] = m;
    if (b->ndim > 1) sizes[ndim++] = n;
    *out = nt_new(a->dtype, ndim, sizes);
    for (int64_t f = nt_numel(*out); f-- > 0;) {
        int64_t batch = f / (m * n), row = f / n % m, column = f % n;
        nt_put(*out, f, dot(x, y, (batch * m + row) * k, 1, batch * k * n + column, n, k));
    }
    return 0;
}

/* ---- index, index_put: numpy's rules ----------------------------------------------------------------------------- */

/* Which element of x the f-th of the result is: coordinates of the result are the broadcast positions, in the place of
 * the indexed dims when they stand together and else in front, and those of the other dims in order. */
typedef struct indexing {
    nt *at[NT_DIMS]; /* int64, of the broadcast shape; NULL: a whole dim */
    int ndim, first, bdims;
    bool known, far; /* the result's shape is; a position is out of range */
    int64_t sizes[NT_DIMS];
} indexing;

/* A mask becomes the coordinates of its elements. */
static unsigned unmask(nt *x, nt *const *index, int n, nt **at, int *dims) {
    unsigned wrong = 0;
    *dims = 0;
    for (int k = 0; k < n; k++) {
        nt *t = index[k];
        bool mask = t && (t->dtype == WG_BOOL || t->dtype == WG_UINT8);
        if (t && !mask && t->dtype != WG_INT64 && t->dtype != WG_INT32) wrong |= INDEX;
        for (int j = 0; mask && j < t->ndim; j++)
            if (*dims + j >= x->ndim || t->sizes[j] != x->sizes[*dims + j]) return wrong | INDEX;
        if (*dims + (mask ? t->ndim : 1) > x->ndim) return wrong | INDEX;
        if (!mask) {
            at[(*dims)++] = t;
            continue;
        }
        nt *where;
        nt_nonzero(t, &where);
        for (int j = 0; j < t->ndim; j++) nt_select(where, 1, j, &at[(*dims)++]);
    }
    return wrong;
}
static unsigned check_positions(const nt *x, indexing *g, int64_t *count) {
    nt *given[NT_DIMS];
    int m = 0;
    int64_t shape[NT_DIMS];
    unsigned wrong = 0;
    for (int i = 0; i < x->ndim; i++)
        if (g->at[i]) given[m++] = g->at[i];
    if (nt_broadcast(given, m, &g->bdims, shape)) return INDEX;
    *count = 1;
    for (int i = 0; i < g->bdims; i++) *count *= shape[i];
    memcpy(g->sizes, shape, sizeof shape);
    for (int i = 0; i < x->ndim; i++) {
        if (!g->at[i]) continue;
        g->at[i] = nt_spread(g->at[i], g->bdims, shape);
        for (int64_t f = 0; f < *count; f++) {
            int64_t p = nt_get(g->at[i], f).i;
            if (p < -x->sizes[i] || p >= x->sizes[i]) {
                wrong = INDEX;
                g->far = true;
            }
        }
    }
    return wrong;
}
/* All that can be known of a call with positions out of range is known too. */
static unsigned open_index(nt *x, nt *const *index, int n, indexing *g) {
    int dims, first = -1, last = -1, m = 0, plain = 0;
    int64_t count, shape[NT_DIMS];
    memset(g, 0, sizeof *g);
    unsigned wrong = unmask(x, index, n, g->at, &dims);
    if (!wrong) wrong = check_positions(x, g, &count);
    g->known = !wrong || g->far;
    if (!g->known) return wrong;
    for (int i = 0; i < x->ndim; i++)
        if (g->at[i]) {
            first = first < 0 ? i : first;
            last = i;
            m++;
        }
    g->first = m && last - first + 1 == m ? first : 0;
    memcpy(shape, g->sizes, sizeof shape);
    for (int i = 0; i <= x->ndim; i++) {
        if (plain == g->first && g->ndim == plain)
            for (int k = 0; k < g->bdims; k++) g->sizes[g->ndim++] = shape[k];
        if (i < x->ndim && !g->at[i]) g->sizes[g->ndim++] = x->sizes[i], plain++;
    }
    return wrong;
}
static int64_t indexed(const nt *x, const indexing *g, int64_t f) {
    int64_t coordinate[NT_DIMS], position = 0, flat = 0;
    int other = 0;
    for (int i = g->ndim; i-- > 0; f /= g->sizes[i]) coordinate[i] = f % g->sizes[i];
    for (int k = 0; k < g->bdims; k++) position = position * g->sizes[g->first + k] + coordinate[g->first + k];
    for (int i = 0; i < x->ndim; i++) {
        int64_t c;
        if (g->at[i])
            c = nt_get(g->at[i], position).i;
        else
            c = coordinate[other < g->first ? other : other + g->bdims], other++;
        flat = flat * x->sizes[i] + (c < 0 ? c + x->sizes[i] : c);
    }
    return flat;
}
unsigned nt_index(nt *x, nt *const *index, int n, nt **out) {
    indexing g;
    unsigned wrong = open_index(x, index, n, &g);
    if (wrong) return wrong;
    *out = nt_new(x->dtype, g.ndim, g.sizes);
    for (int64_t f = nt_numel(*out); f-- > 0;) nt_put(*out, f, nt_get(x, indexed(x, &g, f)));
    return 0;
}

/* Adding in the dtype, one after the other; several at one place may come in another order. */
static cell sum_of(wg_dtype d, cell a, cell b) {
    if (d == WG_BOOL) return (cell){.i = a.i | b.i};
    cell r = {.v = nt_held(d, a.v + b.v), .t = a.t + b.t, .i = (int64_t)((uint64_t)a.i + (uint64_t)b.i)};
    double size = size_of(a.v) + size_of(b.v);
    r.slack = size > nt_greatest(d) / 4 ? INFINITY : a.slack + nt_unit(d) * size;
    return r;
}
/* One element at one mask is a masked_fill, however many dims it has. */
bool nt_fills_mask(nt *const *index, int n, const nt *values, bool accumulate) {
    int masks = 0, others = 0;
    for (int k = 0; k < n; k++) *(index[k] && index[k]->dtype <= WG_UINT8 ? &masks : &others) += index[k] != NULL;
    return masks == 1 && others == 0 && !accumulate && nt_numel(values) == 1;
}
static unsigned values_fit(const indexing *g, const nt *values) {
    if (values->ndim > g->ndim) return RUNTIME;
    for (int i = 0; i < values->ndim; i++) {
        int64_t s = values->sizes[i];
        if (s != 1 && s != g->sizes[g->ndim - values->ndim + i]) return RUNTIME;
    }
    return 0;
}
unsigned nt_index_put(nt *x, nt *const *index, int n, nt *values, bool accumulate, nt **out) {
    indexing g;
    unsigned wrong = open_index(x, index, n, &g);
    if (nt_fills_mask(index, n, values, accumulate)) {
        values = nt_alias(values);
        values->ndim = 0;
    }
    if (values->dtype != x->dtype && !values->number) wrong |= RUNTIME;
    if (g.known) wrong |= values_fit(&g, values);
    if (wrong) return wrong;
    nt *wide = nt_spread(values, g.ndim, g.sizes);
    int64_t total = 1;
    for (int i = 0; i < g.ndim; i++) total *= g.sizes[i];
    *out = nt_copy(x);
    for (int64_t f = 0; f < total; f++) {
        int64_t to = indexed(x, &g, f);
        cell c = nt_as(nt_get(wide, f), values->dtype, x->dtype);
        nt_put(*out, to, accumulate ? sum_of(x->dtype, nt_get(*out, to), c) : c);
    }
    return 0;
}

/* ---- along one dim: index_select and its kin --------------------------------------------------------------------- */

/* far: what an index out of range is. */
static unsigned check_vector(const nt *x, int64_t *dim, const nt *index, bool fill, unsigned far) {
    unsigned wrong = nt_wrap(dim, x->ndim);
    if (index->dtype != WG_INT64 && (fill || index->dtype != WG_INT32)) wrong |= fill ? INDEX : RUNTIME;
    if (index->ndim > 1) wrong |= fill ? RUNTIME : INDEX;
    int64_t size = wrong ? 0 : length_of(x, *dim);
    for (int64_t f = nt_numel(index); f-- > 0 && !wrong;) {
        int64_t p = nt_get(index, f).i;
        if (p < (fill ? -size : 0) || p >= size) wrong |= far;
    }
    return wrong;
}
unsigned nt_index_select(nt *x, int64_t dim, nt *index, nt **out) {
    unsigned wrong = check_vector(x, &dim, index, false, INDEX | RUNTIME);
    int64_t sizes[NT_DIMS], n = nt_numel(index);
    if (x->ndim == 0 && n != 1) wrong |= RUNTIME;
    if (wrong) return wrong;
    memcpy(sizes, x->sizes, sizeof sizes);
    if (x->ndim) sizes[dim] = n;
    *out = nt_new(x->dtype, x->ndim, sizes);
    for (int64_t line = lines_of(*out, dim); line-- > 0;)
        for (int64_t k = 0; k < n; k++)
            nt_put(*out, on_line(*out, dim, line, k), nt_get(x, on_line(x, dim, line, nt_get(index, k).i)));
    return 0;
}
unsigned nt_index_add(nt *x, int64_t dim, nt *index, nt *source, nt **out) {
    int64_t n = nt_numel(index), d = dim;
    unsigned wrong = check_vector(x, &dim, index, false, x->ndim > 1 ? RUNTIME : INDEX);
    if (source->dtype != x->dtype) wrong |= RUNTIME;
    if (nt_wrap(&d, x->ndim)) return wrong;
    if (source->ndim != x->ndim) wrong |= RUNTIME;
    if (source->ndim == 0 && n != 1) wrong |= INDEX;
    for (int i = 0; i < source->ndim && source->ndim == x->ndim; i++)
        if (source->sizes[i] != (i == d ? n : x->sizes[i])) wrong |= RUNTIME;
    if (wrong) return wrong;
    *out = nt_copy(x);
    for (int64_t line = lines_of(*out, dim); line-- > 0;)
        for (int64_t k = 0; k < n; k++) {
            int64_t to = on_line(x, dim, line, nt_get(index, k).i);
            cell s = nt_get(source, source->ndim ? on_line(source, dim, line, k) : 0);
            nt_put(*out, to, sum_of(x->dtype, nt_get(*out, to), s));
        }
    return 0;
}
unsigned nt_index_fill(nt *x, int64_t dim, nt *index, nt *value, nt **out) {
    unsigned wrong = check_vector(x, &dim, index, true, INDEX);
    if (value->ndim != 0) wrong |= RUNTIME;
    if (wrong) return wrong;
    *out = nt_copy(x);
    for (int64_t line = lines_of(x, dim); line-- > 0;)
        for (int64_t k = nt_numel(index); k-- > 0;) {
            int64_t at = nt_get(index, k).i;
            nt_put(*out, on_line(x, dim, line, at < 0 ? at + length_of(x, dim) : at),
                   nt_as(nt_get(value, 0), value->dtype, x->dtype));
        }
    return 0;
}

/* Each element of index stands for its place with the coordinate along dim replaced by it. */
static int64_t redirected(const nt *x, int64_t dim, const nt *index, int64_t f) {
    int64_t flat = 0, coordinate[NT_DIMS], p = nt_get(index, f).i;
    for (int i = index->ndim; i-- > 0; f /= index->sizes[i]) coordinate[i] = f % index->sizes[i];
    for (int i = 0; i < x->ndim; i++) flat = flat * x->sizes[i] + (i == dim ? p : coordinate[i]);
    return flat;
}
static unsigned check_same_dims(const nt *x, int64_t *dim, const nt *index) {
    unsigned wrong = nt_wrap(dim, x->ndim);
    if (index->dtype != WG_INT64 && index->dtype != WG_INT32) wrong |= RUNTIME;
    if (wrong || nt_numel(index) == 0) return wrong;
    if ((x->ndim ? x->ndim : 1) != (index->ndim ? index->ndim : 1)) return RUNTIME;
    for (int i = 0; i < index->ndim && x->ndim; i++)
        if (i != *dim && index->sizes[i] > x->sizes[i]) wrong |= RUNTIME;
    for (int64_t f = nt_numel(index); f-- > 0;) {
        int64_t p = nt_get(index, f).i;
        if (p < 0 || p >= length_of(x, *dim)) wrong |= RUNTIME;
    }
    return wrong;
}
unsigned nt_gather(nt *x, int64_t dim, nt *index, nt **out) {
    unsigned wrong = check_same_dims(x, &dim, index);
    if (wrong) return wrong;
    *out = nt_new(x->dtype, index->ndim, index->sizes);
    for (int64_t f = nt_numel(index); f-- > 0;) nt_put(*out, f, nt_get(x, redirected(x, dim, index, f)));
    return 0;
}
unsigned nt_scatter_add(nt *x, int64_t dim, nt *index, nt *source, nt **out) {
    unsigned wrong = check_same_dims(x, &dim, index);
    int64_t n = nt_numel(index);
    if (source->dtype != x->dtype) wrong |= RUNTIME;
    if (n && (source->ndim ? source->ndim : 1) != (index->ndim ? index->ndim : 1)) wrong |= RUNTIME;
    for (int i = 0; i < index->ndim && n && source->ndim == index->ndim; i++)
        if (index->sizes[i] > source->sizes[i]) wrong |= RUNTIME;
    if (wrong) return wrong;
    *out = nt_copy(x);
    for (int64_t f = 0; f < n; f++) {
        int64_t to = redirected(x, dim, index, f), rest = f, from = 0, step = 1;
        for (int i = index->ndim; i-- > 0; rest /= index->sizes[i]) {
            from += rest % index->sizes[i] * step;
            step *= source->ndim ? source->sizes[i] : 1;
        }
        nt_put(*out, to, sum_of(x->dtype, nt_get(*out, to), nt_get(source, from)));
    }
    return 0;
}

unsigned nt_nonzero(nt *x, nt **out) {
    int64_t n = nt_numel(x), found = 0, *flat = nt_alloc((size_t)n * 8 + 1);
    for (int64_t f = 0; f < n; f++) {
        cell c = nt_get(x, f);
        if (nt_floating(x->dtype) ? c.v != 0 : c.i != 0) flat[found++] = f;
    }
    *out = nt_new(WG_INT64, 2, (int64_t[]){found, x->ndim});
    for (int64_t k = 0; k < found; k++) {
        int64_t rest = flat[k];
        for (int i = x->ndim; i-- > 0; rest /= x->sizes[i])
            nt_put(*out, k * x->ndim + i, (cell){.i = rest % x->sizes[i]});
    }
    return 0;
}
