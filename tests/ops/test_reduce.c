/* test_reduce.c - reductions against naive loops in long double: every dtype, subset of dims and layout; nan, inf and
 * nothing; the kernels of every ISA; long rows and columns, whose error must not grow with their length and whose bits
 * must not depend on the number of threads. What is exact is compared exactly, the rest within a bound that follows
 * from the way of summing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "cpu/kernels.h"
#include "cpu/reduce.h"
#include "support/naive.h"

static int checks;

/* What an answer may be: [want - tolerance, want + tolerance], each end rounded to the dtype. */
typedef struct bounds {
    long double want, tolerance;
} bounds;

static bool within(wg_dtype d, double got, bounds b) {
    if (isnan(b.want) || isnan(got)) return isnan(b.want) && isnan(got);
    double low = naive_round(d, (double)(b.want - b.tolerance)), high = naive_round(d, (double)(b.want + b.tolerance));
    return low <= got && got <= high;
}
/* One rounding in the type that sums: float32 for the narrower ones. */
static long double unit(wg_dtype d) { return d == WG_FLOAT64 ? 0x1p-53L : 0x1p-24L; }

/* ---- the oracle -------------------------------------------------------------------------------------------------- */

/* v: the reduced elements in order. p: the op's number, if it has one. */
typedef bounds naive_fn(const double *v, int64_t n, double p, wg_dtype d);

static bounds sum_naive(const double *v, int64_t n, double p, wg_dtype d) {
    long double s = 0, a = 0;
    (void)p;
    for (int64_t i = 0; i < n; i++) s += v[i], a += fabs(v[i]);
    return (bounds){s, isinf(a) ? 0 : (long double)n * unit(d) * a};
}
static bounds mean_naive(const double *v, int64_t n, double p, wg_dtype d) {
    bounds b = sum_naive(v, n, p, d);
    if (!isfinite(b.want)) return (bounds){b.want, 0};
    return (bounds){b.want / n, b.tolerance / n + fabsl(b.want / n) * unit(d) * 2};
}
static bounds prod_naive(const double *v, int64_t n, double p, wg_dtype d) {
    long double r = 1;
    (void)p;
    for (int64_t i = 0; i < n; i++) r *= v[i];
    return (bounds){r, isfinite(r) ? fabsl(r) * n * unit(d) * 1.01L : 0};
}
static bounds amax_naive(const double *v, int64_t n, double p, wg_dtype d) {
    double r = v[0];
    (void)p, (void)d;
    for (int64_t i = 1; i < n; i++) r = isnan(r) || v[i] <= r ? r : v[i];
    return (bounds){r, 0};
}
static bounds amin_naive(const double *v, int64_t n, double p, wg_dtype d) {
    double r = v[0];
    (void)p, (void)d;
    for (int64_t i = 1; i < n; i++) r = isnan(r) || v[i] >= r ? r : v[i];
    return (bounds){r, 0};
}
static bounds all_naive(const double *v, int64_t n, double p, wg_dtype d) {
    int r = 1;
    (void)p, (void)d;
    for (int64_t i = 0; i < n; i++) r = r && v[i] != 0;
    return (bounds){r, 0};
}
static bounds any_naive(const double *v, int64_t n, double p, wg_dtype d) {
    int r = 0;
    (void)p, (void)d;
    for (int64_t i = 0; i < n; i++) r = r || v[i] != 0;
    return (bounds){r, 0};
}
/* Everything below is computed in double. */
static bounds var_naive(const double *v, int64_t n, double correction, wg_dtype d) {
    long double mean = 0, s = 0, dof = n - (long double)correction, largest = 0;
    (void)d;
    for (int64_t i = 0; i < n; i++) mean += v[i];
    mean /= n;
    for (int64_t i = 0; i < n; i++) s += (v[i] - mean) * (v[i] - mean), largest = fmaxl(largest, fabsl(v[i]));
    long double want = s / (dof > 0 ? dof : 0), slack = 4 * (long double)n * 0x1p-53L;
    if (!isfinite(want)) return (bounds){want, 0};
    return (bounds){want, want * slack + powl(largest * slack, 2)};
}
static bounds std_naive(const double *v, int64_t n, double correction, wg_dtype d) {
    bounds b = var_naive(v, n, correction, d);
    if (!isfinite(b.want)) return (bounds){sqrtl(b.want), 0};
    long double low = sqrtl(fmaxl(0, b.want - b.tolerance)), high = sqrtl(b.want + b.tolerance);
    return (bounds){sqrtl(b.want), (high - low) + high * 0x1p-52L};
}
static bounds norm_naive(const double *v, int64_t n, double p, wg_dtype d) {
    long double r = p == -INFINITY ? INFINITY : 0;
    (void)d;
    for (int64_t i = 0; i < n; i++) {
        long double a = fabsl(v[i]);
        if (isnan(v[i]) && isinf(p)) return (bounds){NAN, 0};
        if (isinf(p))
            r = p > 0 ? fmaxl(r, a) : fminl(r, a);
        else
            r += p == 0 ? a != 0 : powl(a, p);
    }
    if (p != 0 && !isinf(p)) r = powl(r, 1 / (long double)p);
    if (isinf(p) || p == 0 || !isfinite(r)) return (bounds){r, 0};
    return (bounds){r, r * (n + 8) * 0x1p-52L * fmaxl(1, 1 / fabsl(p))};
}
static bounds logsumexp_naive(const double *v, int64_t n, double p, wg_dtype d) {
    long double m = -INFINITY, s = 0;
    (void)p, (void)d;
    for (int64_t i = 0; i < n; i++) m = isnan(v[i]) || isnan(m) ? (long double)NAN : fmaxl(m, v[i]);
    if (!isfinite(m)) return (bounds){m, 0};
    for (int64_t i = 0; i < n; i++) s += expl(v[i] - m);
    return (bounds){m + logl(s), (n + 8) * 0x1p-52L * (1 + fabsl(m))};
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

typedef wg_tensor *reduce_fn(wg_tensor *x, double p, const wg_reduce *o);
#define PLAIN(name)                                                                                                    \
    static wg_tensor *call_##name(wg_tensor *x, double p, const wg_reduce *o) { return (void)p, wg_##name##_opt(x, o); }
#define NUMBERED(name)                                                                                                 \
    static wg_tensor *call_##name(wg_tensor *x, double p, const wg_reduce *o) { return wg_##name##_opt(x, p, o); }
PLAIN(sum)
PLAIN(mean)
PLAIN(prod)
PLAIN(amax)
PLAIN(amin)
PLAIN(all)
PLAIN(any)
PLAIN(logsumexp)
NUMBERED(var)
NUMBERED(std)
NUMBERED(norm)

enum { SAME, WIDE, TRUTH, REAL }; /* results: the input's dtype; int64 of integers; bool; a float of integers */
static const struct reduction {
    const char *name;
    reduce_fn *call;
    naive_fn *naive;
    int result;
    bool floats_only, not_empty, one_dim;
    double p[8]; /* the numbers to try */
    int np;
} reductions[] = {
    {"sum", call_sum, sum_naive, WIDE, false, false, false, {0}, 1},
    {"mean", call_mean, mean_naive, SAME, true, false, false, {0}, 1},
    {"prod", call_prod, prod_naive, WIDE, false, false, true, {0}, 1},
    {"amax", call_amax, amax_naive, SAME, false, true, false, {0}, 1},
    {"amin", call_amin, amin_naive, SAME, false, true, false, {0}, 1},
    {"all", call_all, all_naive, TRUTH, false, false, false, {0}, 1},
    {"any", call_any, any_naive, TRUTH, false, false, false, {0}, 1},
    {"logsumexp", call_logsumexp, logsumexp_naive, REAL, false, false, false, {0}, 1},
    {"var", call_var, var_naive, SAME, true, false, false, {0, 1, 2.5, 40}, 4},
    {"std", call_std, std_naive, SAME, true, false, false, {0, 1, 2.5, 40}, 4},
    {"norm", call_norm, norm_naive, SAME, true, false, false, {2, 1, 0, 3, 0.5, 1.5}, 6},
    {"norm", call_norm, norm_naive, SAME, true, true, false, {INFINITY, -INFINITY, -1}, 3},
};
enum { REDUCTIONS = sizeof(reductions) / sizeof(*reductions) };

static wg_dtype result_dtype(const struct reduction *r, wg_dtype d) {
    if (r->result == TRUTH) return d == WG_UINT8 ? d : WG_BOOL;
    if (wg_dtype_is_floating(d) || r->result == SAME) return d;
    return r->result == WIDE ? WG_INT64 : wg_default_dtype();
}

/* ---- a tensor taken apart ---------------------------------------------------------------------------------------- */

/* The elements of t, grouped: groups[o * n + k] is the k-th element that result o is made of. */
typedef struct grouped {
    int64_t outer, n;
    int ndim;
    int64_t sizes[8]; /* of the result */
    double *groups;
    int64_t *whole; /* the same of integers */
} grouped;

static grouped group(const wg_tensor *t, const bool *reduced, bool keepdim) {
    grouped g = {.outer = 1, .n = 1};
    int ndim = wg_ndim(t);
    for (int i = 0; i < ndim; i++) {
        *(reduced[i] ? &g.n : &g.outer) *= wg_size(t, i);
        if (!reduced[i] || keepdim) g.sizes[g.ndim++] = reduced[i] ? 1 : wg_size(t, i);
    }
    bool whole = !wg_dtype_is_floating(wg_dtype_of(t));
    double *x = naive_doubles(t);
    int64_t *xi = whole ? naive_ints(t) : NULL;
    g.groups = malloc((size_t)wg_numel(t) * sizeof(double) + 1);
    g.whole = whole ? malloc((size_t)wg_numel(t) * sizeof(int64_t) + 1) : NULL;
    for (int64_t e = 0; e < wg_numel(t); e++) {
        int64_t o = 0, k = 0, rest = e, step_o = 1, step_k = 1;
        for (int i = ndim - 1; i >= 0; i--) {
            int64_t at = rest % wg_size(t, i);
            rest /= wg_size(t, i);
            *(reduced[i] ? &k : &o) += at * *(reduced[i] ? &step_k : &step_o);
            *(reduced[i] ? &step_k : &step_o) *= wg_size(t, i);
        }
        g.groups[o * g.n + k] = x[e];
        if (whole) g.whole[o * g.n + k] = xi[e];
    }
    free(x), free(xi);
    return g;
}
static void group_free(grouped *g) { free(g->groups), free(g->whole); }

static int64_t wrapped(const struct reduction *r, const int64_t *v, int64_t n) {
    bool prod = r->naive == prod_naive, sum = r->naive == sum_naive;
    uint64_t s = prod;
    int64_t m = sum || prod ? 0 : v[0];
    for (int64_t i = 0; i < n; i++) {
        if (prod)
            s *= (uint64_t)v[i];
        else if (sum)
            s += (uint64_t)v[i];
        else if (r->naive == amax_naive ? v[i] > m : v[i] < m)
            m = v[i];
    }
    return sum || prod ? (int64_t)s : m;
}

static void same_geometry(const wg_tensor *t, wg_dtype d, const grouped *g) {
    if (wg_is_poison(t)) print_error("%s\n", wg_last_message());
    assert_false(wg_is_poison(t));
    assert_int_equal(wg_dtype_of(t), d);
    assert_int_equal(wg_ndim(t), g->ndim);
    for (int i = 0; i < g->ndim; i++) assert_int_equal(wg_size(t, i), g->sizes[i]);
}

static void compare(const struct reduction *r, double p, wg_tensor *x, const wg_tensor *z, const grouped *g) {
    wg_dtype d = wg_dtype_of(x), to = result_dtype(r, d);
    same_geometry(z, to, g);
    bool exact = g->whole && r->result != REAL && r->result != TRUTH;
    double *got = naive_doubles(z);
    int64_t *got_i = exact ? naive_ints(z) : NULL;
    for (int64_t o = 0; o < g->outer; o++) {
        bool good;
        if (exact) {
            good = got_i[o] == wrapped(r, g->whole + o * g->n, g->n);
        } else {
            bounds b = r->naive(g->groups + o * g->n, g->n, p, d);
            good = within(to, got[o], b);
            if (!good)
                print_error("%s(%g) of %lld %s: %.17Lg, not %.17g, tolerance %Lg\n", r->name, p, (long long)g->n,
                            wg_dtype_name(d), b.want, got[o], b.tolerance);
        }
        assert_true(good);
    }
    free(got), free(got_i);
    checks++;
}

/* ---- every dtype, subset of dims and layout ---------------------------------------------------------------------- */

static wg_tensor *sample(wg_dtype d, bool product, bool empty, bool special) {
    int64_t sizes[4];
    int ndim = (int)naive_below(5);
    for (int i = 0; i < ndim; i++) sizes[i] = naive_between(1, 7);
    if (ndim == 1) sizes[0] = naive_between(1, 200);
    if (empty && ndim) sizes[naive_below(ndim)] = 0;
    naive_range range = {-4, 4, wg_dtype_is_floating(d)};
    if (product && range.real) range.lo = 0.8, range.hi = 1.25; /* so that no step leaves the type's range */
    if (!range.real && naive_below(2)) range.lo = -1e9, range.hi = 1e9;
    if (d == WG_BOOL) range.lo = naive_below(2), range.hi = 1;
    wg_tensor *t = naive_strided(d, ndim, sizes, true, range);
    int64_t n = wg_numel(t);
    static const double some[] = {NAN, INFINITY, -INFINITY, 0, -0.0};
    for (int k = 0; special && n && range.real && k < 3; k++) {
        int64_t at = 0;
        for (int i = 0; i < ndim; i++) at += naive_below(sizes[i]) * wg_stride(t, i);
        naive_set(d, wg_data(t), at, some[naive_below(5)]);
    }
    return t;
}

static void every_subset_of_dims(void **state) {
    (void)state;
    for (int k = 0; k < REDUCTIONS; k++)
        for (wg_dtype d = WG_BOOL; d <= WG_FLOAT64; d++) {
            const struct reduction *r = &reductions[k];
            if (r->floats_only && !wg_dtype_is_floating(d)) continue;
            for (int round = 0; round < 80; round++) WG_SCOPE {
                    bool empty = !r->not_empty && round % 8 == 0, special = round % 4 == 1, reduced[4];
                    wg_tensor *x = sample(d, r->naive == prod_naive, empty, special);
                    int ndim = wg_ndim(x), n = 0;
                    int64_t dims[4];
                    for (int i = 0; i < ndim; i++) {
                        reduced[i] = naive_below(2) && !(r->one_dim && n == 1);
                        if (reduced[i]) dims[n++] = naive_below(2) ? i : i - ndim;
                    }
                    for (int i = 0; i < ndim && n == 0; i++) reduced[i] = true; /* no dims: all */
                    wg_reduce o = {.size = sizeof(o), .dims = {n, dims}, .keepdim = naive_below(2)};
                    double p = r->p[round % r->np];
                    grouped g = group(x, reduced, o.keepdim);
                    compare(r, p, x, r->call(x, p, &o), &g);
                    group_free(&g);
                }
        }
}

/* sum, mean and prod in a dtype that is asked for: converted first. */
static void in_another_dtype(void **state) {
    (void)state;
    for (wg_dtype d = WG_BOOL; d <= WG_FLOAT64; d++)
        for (wg_dtype to = WG_UINT8; to <= WG_FLOAT64; to++) WG_SCOPE {
                if (!wg_dtype_is_floating(to) && wg_dtype_is_floating(d))
                    break; /* floats that an integer does not hold */
                wg_tensor *x =
                    naive_strided(d, 2, (int64_t[]){5, 6}, false, (naive_range){0, d == WG_BOOL ? 1 : 4, false});
                wg_reduce o = {.size = sizeof(o), .has_dtype = true, .dtype = to, .dims = WG_DIMS(1)};
                wg_tensor *same = wg_to(x, to), *s = wg_sum_opt(x, &o), *p = wg_prod_opt(x, &o);
                assert_int_equal(wg_dtype_of(s), to);
                assert_int_equal(wg_dtype_of(p), to);
                double *v = naive_doubles(same), *vs = naive_doubles(s), *vp = naive_doubles(p);
                for (int i = 0; i < 5; i++) {
                    double sum = 0, prod = 1;
                    for (int k = 0; k < 6; k++) sum += v[i * 6 + k], prod *= v[i * 6 + k];
                    int64_t room = 0;
                    naive_set(to, &room, 0, prod);
                    assert_true(vs[i] == sum);
                    assert_true(vp[i] == naive_get(to, &room, 0));
                }
                free(v), free(vs), free(vp);
                if (wg_dtype_is_floating(to)) assert_int_equal(wg_dtype_of(wg_mean_opt(x, &o)), to);
            }
}

/* ---- extremes and where they are --------------------------------------------------------------------------------- */

/* The first of equal ones; a nan is extreme. */
static int64_t first_extreme(const double *v, const int64_t *w, int64_t n, bool min) {
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++) {
        if (w ? (min ? w[i] < w[at] : w[i] > w[at])
              : !isnan(v[at]) && (isnan(v[i]) || (min ? v[i] < v[at] : v[i] > v[at])))
            at = i;
    }
    return at;
}
static void check_extreme(const grouped *g, const wg_tensor *values, const wg_tensor *indices, wg_dtype d, bool min) {
    same_geometry(indices, WG_INT64, g);
    if (values) same_geometry(values, d, g);
    int64_t *at = naive_ints(indices);
    double *v = values ? naive_doubles(values) : NULL;
    for (int64_t o = 0; o < g->outer; o++) {
        int64_t want = first_extreme(g->groups + o * g->n, g->whole ? g->whole + o * g->n : NULL, g->n, min);
        assert_int_equal(at[o], want);
        if (v) assert_true(v[o] == g->groups[o * g->n + want] || (isnan(v[o]) && isnan(g->groups[o * g->n + want])));
    }
    free(at), free(v);
    checks++;
}
static void extremes(void **state) {
    (void)state;
    for (wg_dtype d = WG_BOOL; d <= WG_FLOAT64; d++)
        for (int round = 0; round < 120; round++) WG_SCOPE {
                wg_tensor *x = sample(d, false, false, round % 2), *at;
                int ndim = wg_ndim(x), some = ndim ? ndim : 1;
                int64_t dim = naive_between(-some, some - 1);
                bool reduced[4] = {false}, keep = naive_below(2), all[4] = {true, true, true, true};
                if (ndim) reduced[dim < 0 ? dim + ndim : dim] = true;
                grouped g = group(x, reduced, keep), whole = group(x, all, false);
                wg_tensor *top = wg_max_dim(x, dim, keep, &at);
                check_extreme(&g, top, at, d, false);
                wg_tensor *bottom = wg_min_dim(x, dim, keep, &at);
                check_extreme(&g, bottom, at, d, true);
                assert_false(wg_is_poison(wg_max_dim(x, dim, keep, NULL)));
                if (d != WG_BOOL) {
                    check_extreme(&g, NULL, wg_argmax(x, dim, keep), d, false);
                    check_extreme(&g, NULL, wg_argmin(x, dim, keep), d, true);
                    check_extreme(&whole, wg_max(x), wg_argmax_all(x), d, false);
                    check_extreme(&whole, wg_min(x), wg_argmin_all(x), d, true);
                }
                group_free(&g), group_free(&whole);
            }
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

/* e^(x - m): the difference is rounded, then the function has its own error; the sum is as good as its worst term. */
static long double softmax_slack(const double *v, int64_t n, long double m, wg_dtype d) {
    long double range = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i])) range = fmaxl(range, m - v[i]);
    return (2 * fminl(range, 750) + 16 + log2l((long double)n + 1)) * unit(d);
}
static void check_softmax(wg_tensor *x, int64_t dim, bool logarithm) {
    wg_dtype d = wg_dtype_of(x);
    int ndim = wg_ndim(x);
    bool reduced[4] = {false};
    if (ndim) reduced[dim < 0 ? dim + ndim : dim] = true;
    wg_tensor *z = logarithm ? wg_log_softmax(x, dim) : wg_softmax(x, dim);
    assert_false(wg_is_poison(z));
    assert_int_equal(wg_dtype_of(z), d);
    grouped in = group(x, reduced, false), out = group(z, reduced, false);
    for (int64_t o = 0; o < in.outer; o++) {
        const double *v = in.groups + o * in.n, *w = out.groups + o * in.n;
        long double m = -INFINITY, s = 0;
        for (int64_t i = 0; i < in.n; i++) m = isnan(v[i]) || isnan(m) ? (long double)NAN : fmaxl(m, v[i]);
        for (int64_t i = 0; i < in.n; i++) s += expl(v[i] - m);
        long double slack = softmax_slack(v, in.n, m, d);
        for (int64_t i = 0; i < in.n; i++) {
            long double want = logarithm ? v[i] - m - logl(s) : expl(v[i] - m) / s;
            bounds b = {want, logarithm ? slack + fabsl(want) * 2 * unit(d) : want * slack + naive_least(d)};
            if (!isfinite(want)) b.tolerance = 0;
            if (!within(d, w[i], b))
                print_error("%s %s: %.17Lg, not %.17g\n", wg_dtype_name(d), logarithm ? "log_softmax" : "softmax", want,
                            w[i]);
            assert_true(within(d, w[i], b));
        }
    }
    group_free(&in), group_free(&out);
    checks++;
}
static void softmaxes(void **state) {
    (void)state;
    for (wg_dtype d = WG_FLOAT16; d <= WG_FLOAT64; d++)
        for (int round = 0; round < 200; round++) WG_SCOPE {
                int64_t sizes[4];
                int ndim = (int)naive_below(5), some = ndim ? ndim : 1;
                for (int i = 0; i < ndim; i++) sizes[i] = naive_below(12) == 0 ? 0 : naive_between(1, 7);
                if (ndim == 1) sizes[0] = naive_between(1, 3000);
                double wide = round % 3 == 0 ? 100 : 5;
                wg_tensor *x = naive_strided(d, ndim, sizes, true, (naive_range){-wide, wide, true});
                if (round % 5 == 0 && wg_numel(x))
                    naive_set(d, wg_data(x), 0, round % 2 ? -INFINITY : round % 4 ? INFINITY : NAN);
                check_softmax(x, naive_between(-some, some - 1), round % 2);
            }
    WG_SCOPE { /* nothing but -inf has no softmax */
        wg_tensor *x = wg_full(WG_SHAPE(3), wg_s(-INFINITY), NULL);
        check_softmax(x, 0, false);
        check_softmax(x, 0, true);
    }
}

/* ---- the kernels of every ISA ------------------------------------------------------------------------------------ */

#define KERNELS(T, S, D)                                                                                               \
    static void kernels_##S(const char *isa, const struct wg_reduce_table *k) {                                        \
        static const int64_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 1000, 1023, 1024, 1025, 2049, 70001};     \
        for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)                                                \
            for (int special = 0; special < 2; special++) {                                                            \
                int64_t n = lengths[l];                                                                                \
                T *x = malloc((size_t)n * sizeof(T)); /* exactly: a step outside is a sanitizer's */                   \
                double *v = malloc((size_t)n * sizeof(double));                                                        \
                for (int64_t i = 0; i < n; i++) x[i] = (T)naive_uniform(-1, 1);                                        \
                if (special) x[naive_below(n)] = naive_below(2) ? (T)NAN : (T)-INFINITY;                               \
                for (int64_t i = 0; i < n; i++) v[i] = x[i];                                                           \
                T mean = (T)0.25;                                                                                      \
                bool good = within(D, k->sum_##S(x, n), sum_naive(v, n, 0, D));                                        \
                good &= within(D, k->max_##S(x, n), amax_naive(v, n, 0, D));                                           \
                good &= within(D, k->min_##S(x, n), amin_naive(v, n, 0, D));                                           \
                for (int64_t i = 0; i < n; i++) v[i] = (double)(((long double)x[i] - mean) * (x[i] - mean));           \
                bounds squares = sum_naive(v, n, 0, D);                                                                \
                squares.tolerance += isfinite(squares.want) ? squares.want * 4 * unit(D) : 0;                          \
                good &= within(D, k->sum_abs2_##S(x, mean, n), squares);                                               \
                if (!good) print_error("%s %s: n = %lld\n", isa, #S, (long long)n);                                    \
                assert_true(good);                                                                                     \
                free(x), free(v);                                                                                      \
                checks++;                                                                                              \
            }                                                                                                          \
    }                                                                                                                  \
    static void columns_##S(const char *isa, const struct wg_reduce_table *k) {                                        \
        static const int64_t shapes[][3] = {                                                                           \
            {1, 1, 1},    {3, 7, 5},       {127, 64, 64}, {128, 65, 65}, {129, 130, 64},                               \
            {1000, 3, 2}, {257, 256, 256}, {0, 4, 4},     {5000, 66, 63}};                                             \
        for (size_t l = 0; l < sizeof(shapes) / sizeof(*shapes); l++) {                                                \
            int64_t n = shapes[l][0], inner = shapes[l][1], width = shapes[l][2];                                      \
            T *x = malloc((size_t)(n * inner) * sizeof(T) + 1), *out = malloc((size_t)width * sizeof(T));              \
            double *v = malloc((size_t)n * sizeof(double) + 1);                                                        \
            for (int64_t i = 0; i < n * inner; i++) x[i] = (T)naive_uniform(-1, 1);                                    \
            k->column_sum_##S(x, n, inner, width, out);                                                                \
            for (int64_t c = 0; c < width; c++) {                                                                      \
                for (int64_t i = 0; i < n; i++) v[i] = x[i * inner + c];                                               \
                if (!within(D, out[c], sum_naive(v, n, 0, D))) print_error("%s column_sum_%s\n", isa, #S);             \
                assert_true(within(D, out[c], sum_naive(v, n, 0, D)));                                                 \
            }                                                                                                          \
            free(x), free(out), free(v);                                                                               \
            checks++;                                                                                                  \
        }                                                                                                              \
    }
KERNELS(float, f32, WG_FLOAT32)
KERNELS(double, f64, WG_FLOAT64)

static void kernels_of_every_isa(void **state) {
    (void)state;
    int have = 0;
    for (const char *const *isa = wg__isa_names; *isa; isa++) {
        const struct wg_reduce_table *k = wg__reduce_for(*isa);
        if (!k) continue;
        kernels_f32(*isa, k), kernels_f64(*isa, k);
        columns_f32(*isa, k), columns_f64(*isa, k);
        have++;
    }
    assert_true(have > 0);
    assert_null(wg__reduce_for("no such isa"));
}

/* ---- long rows and columns --------------------------------------------------------------------------------------- */

/* Adding in blocks: the error is a few roundings and one per doubling, not one per element. */
static void error_does_not_grow_with_length(void **state) {
    (void)state;
    static const int64_t shapes[][2] = {{1, 10000000}, {10000000, 1}, {2500000, 4},
                                        {1000000, 9},  {100000, 70},  {70, 100000}};
    for (int constant = 0; constant < 2; constant++)
        for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) WG_SCOPE {
                int64_t n = shapes[s][0], m = shapes[s][1];
                wg_tensor *x = wg_empty(2, shapes[s], NULL);
                float *v = wg_data(x);
                for (int64_t i = 0; i < n * m; i++) v[i] = constant ? 0.1f : (float)naive_uniform(0, 1);
                double *exact = calloc((size_t)m, sizeof(double)), all = 0;
                for (int64_t i = 0; i < n; i++)
                    for (int64_t q = 0; q < m; q++) exact[q] += v[i * m + q];
                for (int64_t q = 0; q < m; q++) all += exact[q];
                double bound = (40 + log2((double)(n * m))) * 0x1p-24, got;
                assert_int_equal(wg_item(wg_sum(x), &got), WG_OK);
                assert_true(fabs(got - all) <= bound * all);
                assert_int_equal(wg_item(wg_mean(x), &got), WG_OK);
                assert_true(fabs(got * (double)(n * m) - all) <= bound * all);
                wg_tensor *columns = wg_sum(x, .dims = WG_DIMS(0));
                double *z = naive_doubles(columns), worst = 0;
                for (int64_t q = 0; q < m; q++) worst = fmax(worst, fabs(z[q] - exact[q]) / exact[q]);
                if (worst > bound)
                    print_error("columns of %lld x %lld%s: relative error %g, not %g\n", (long long)n, (long long)m,
                                constant ? ", all equal" : "", worst, bound);
                assert_true(worst <= bound);
                free(z), free(exact);
                checks += 3;
            }
}

static wg_tensor *threads_case(int k, wg_tensor *x) {
    int64_t n = wg_numel(x);
    wg_tensor *wide = wg_view(x, WG_SHAPE(1000, n / 1000)), *tall = wg_view(x, WG_SHAPE(n / 8, 8)), *at;
    wg_tensor *cube = wg_view(x, WG_SHAPE(10, n / 1000, 100));
    switch (k) {
    case 0: return wg_sum(x);
    case 1: return wg_sum(wide, .dims = WG_DIMS(0));
    case 2: return wg_sum(wide, .dims = WG_DIMS(1));
    case 3: return wg_sum(tall, .dims = WG_DIMS(0));
    case 4: return wg_mean(cube, .dims = WG_DIMS(1));
    case 5: return wg_sum(cube, .dims = WG_DIMS(0, 2));
    case 6: return wg_var(wide, .dims = WG_DIMS(1));
    case 7: return wg_norm(wide, .dims = WG_DIMS(1));
    case 8: return wg_amax(wide, .dims = WG_DIMS(0));
    case 9: return wg_logsumexp(wide, .dims = WG_DIMS(1));
    case 10: return wg_softmax(wide, 1);
    case 11: return wg_log_softmax(wide, 0);
    case 12: return wg_max_dim(wide, 1, false, &at);
    case 13: return wg_argmin(wide, 0, false);
    case 14: return wg_prod(tall, .dims = WG_DIMS(1));
    case 15: return wg_sum(wg_t(wide), .dims = WG_DIMS(0));
    case 16: return wg_std(x);
    default: return NULL;
    }
}
static void same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    int before = wg_num_threads();
    for (wg_dtype d = WG_FLOAT16; d <= WG_FLOAT64; d++) WG_SCOPE {
            int64_t n = 1000000;
            wg_tensor *x = wg_empty(1, &n, WG_DTYPE(d));
            for (int64_t i = 0; i < n; i++) naive_set(d, wg_data(x), i, naive_uniform(-1, 1));
            void *one = NULL;
            for (int k = 0;; k++) {
                bool more = true;
                for (int threads = 1; threads <= 4 && more; threads *= 2) WG_SCOPE {
                        assert_int_equal(wg_set_num_threads(threads), WG_OK);
                        wg_tensor *z = threads_case(k, x);
                        more = z != NULL;
                        if (!more) break;
                        assert_false(wg_is_poison(z));
                        void *bits = naive_elements(z);
                        if (threads == 1)
                            one = bits;
                        else
                            assert_memory_equal(one, bits, (size_t)wg_numel(z) * wg_dtype_size(wg_dtype_of(z)));
                        if (threads != 1) free(bits);
                        checks++;
                    }
                if (!more) break;
                free(one);
            }
        }
    assert_int_equal(wg_set_num_threads(before), WG_OK);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static int wrong;
static void refused(wg_tensor *t, wg_status status, const char *first) {
    assert_true(wg_is_poison(t));
    wg_status got = wg_last_status();
    const char *message = wg_last_message();
    if (got == status && strncmp(message, first, strlen(first)) == 0) return;
    print_error("want: %s: %s\ngot:  %s: %s\n", wg_status_name(status), first, wg_status_name(got), message);
    wrong++;
}

/* A zero's derivative is the product of the others, and changes with them: second derivatives too, in both modes. */
static wg_tensor *prod_of_rows(void *user, wg_tensor *const *x, int n) {
    return (void)user, (void)n, wg_prod(x[0], .dims = WG_DIMS(1));
}
static wg_tensor *prod_of_all(void *user, wg_tensor *const *x, int n) { return (void)user, (void)n, wg_prod(x[0]); }
static void derivatives_of_prod_at_zeros(void **state) {
    (void)state;
    WG_SCOPE {
        const double v[8] = {2, 0, 3, -1, 0, 0, 0.5, 4}, want[4] = {0, 3, 0, 2}; /* d/dx0, d/dx2 of the zero's */
        wg_tensor *x = wg_from_data(v, WG_FLOAT64, WG_SHAPE(2, 4), WG_OPT(.requires_grad = true));
        wg_tensor *row = wg_narrow(wg_from_data(v, WG_FLOAT64, WG_SHAPE(4), WG_OPT(.requires_grad = true)), 0, 0, 3);
        assert_int_equal(wg_gradcheck(prod_of_rows, NULL, &x, 1, NULL), WG_OK);
        assert_int_equal(wg_gradgradcheck(prod_of_rows, NULL, &x, 1, NULL), WG_OK);
        assert_int_equal(wg_gradgradcheck(prod_of_all, NULL, &x, 1, NULL), WG_OK);
        wg_tensor *g = wg_grad1(wg_prod(row), row, true), *h = wg_grad1(wg_select(g, 0, 1), row, false);
        double *got = naive_doubles(h);
        assert_true(got[0] == want[1] && got[1] == want[2] && got[2] == want[3]);
        free(got);
    }
}
/* The greatest of values with a nan is nan, and stands nowhere. */
static void norm_of_nan(void **state) {
    (void)state;
    WG_SCOPE {
        const double v[3] = {1, NAN, -2};
        wg_tensor *x = wg_from_data(v, WG_FLOAT64, WG_SHAPE(3), WG_OPT(.requires_grad = true));
        double *got = naive_doubles(wg_grad1(wg_norm_opt(x, INFINITY, NULL), x, false));
        for (int i = 0; i < 3; i++) assert_true(got[i] == 0);
        free(got);
    }
}

static void refusals(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *none = wg_zeros(WG_SHAPE(0), NULL), *gap = wg_zeros(WG_SHAPE(2, 0, 3), NULL),
                  *x = wg_ones(WG_SHAPE(2, 3), NULL);
        wg_tensor *whole = wg_to(x, WG_INT64), *flags = wg_to(x, WG_BOOL), *zero_d = wg_to(wg_s(3), WG_FLOAT32);
        refused(wg_amax(none), WG_ERR_RUNTIME,
                "amax(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                "reduction dim with the 'dim' argument.");
        refused(wg_min(none), WG_ERR_RUNTIME, "min(): Expected reduction dim to be specified for input.numel() == 0.");
        refused(wg_argmax_all(none), WG_ERR_INDEX,
                "argmax(): Expected reduction dim to be specified for input.numel() == 0.");
        refused(wg_amin(gap, .dims = WG_DIMS(1)), WG_ERR_INDEX,
                "amin(): Expected reduction dim 1 to have non-zero size.");
        refused(wg_amin(none, .dims = WG_DIMS(-1)), WG_ERR_INDEX,
                "amin(): Expected reduction dim -1 to have non-zero size.");
        refused(wg_amax(gap, .dims = WG_DIMS(0, 1)), WG_ERR_INDEX,
                "amax(): Expected reduction dim 1 to have non-zero size.");
        refused(wg_argmin(gap, 1, false), WG_ERR_INDEX, "argmin(): Expected reduction dim 1 to have non-zero size.");
        refused(wg_max_dim(gap, 1, false, NULL), WG_ERR_INDEX,
                "max(): Expected reduction dim 1 to have non-zero size.");
        assert_int_equal(wg_numel(wg_max_dim(gap, 0, false, NULL)), 0);
        assert_int_equal(wg_numel(wg_amax(gap, .dims = WG_DIMS(0, 2))), 0);
        refused(wg_sum(x, .dims = WG_DIMS(0, 0)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
        refused(wg_amax(x, .dims = WG_DIMS(1, -1)), WG_ERR_RUNTIME, "dim 1 appears multiple times in the list of dims");
        refused(wg_sum(x, .dims = WG_DIMS(2)), WG_ERR_INDEX,
                "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
        refused(wg_sum(zero_d, .dims = WG_DIMS(1)), WG_ERR_INDEX,
                "Dimension out of range (expected to be in range of [-1, 0], but got 1)");
        refused(wg_softmax(x, -3), WG_ERR_INDEX,
                "Dimension out of range (expected to be in range of [-2, 1], but got -3)");
        refused(wg_mean(whole), WG_ERR_NOT_IMPLEMENTED,
                "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
                "Got: Long");
        refused(wg_mean(x, .has_dtype = true, .dtype = WG_INT64), WG_ERR_NOT_IMPLEMENTED,
                "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex "
                "dtype. Got: Long");
        refused(wg_var(whole), WG_ERR_NOT_IMPLEMENTED, "std and var only support floating point and complex dtypes");
        refused(wg_norm(whole), WG_ERR_NOT_IMPLEMENTED,
                "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long");
        refused(wg_norm_opt(none, INFINITY, NULL), WG_ERR_RUNTIME,
                "linalg.vector_norm cannot compute the inf norm on an empty tensor because the operation does not have "
                "an identity");
        refused(wg_norm_opt(none, -1, NULL), WG_ERR_RUNTIME,
                "linalg.vector_norm cannot compute the -1 norm on an empty tensor because the operation does not have "
                "an identity");
        refused(
            wg_norm_opt(gap, -INFINITY, WG_REDUCE_(.dims = WG_DIMS(1))), WG_ERR_RUNTIME,
            "linalg.vector_norm cannot compute the -inf norm on the dimension 1because this dimension is empty and the "
            "operation does not have an identity");
        assert_int_equal(wg_numel(wg_norm_opt(gap, INFINITY, WG_REDUCE_(.dims = WG_DIMS(0)))), 0);
        refused(wg_argmax_all(flags), WG_ERR_NOT_IMPLEMENTED, "argmax(): does not support bool input");
        refused(wg_norm(x, .has_dtype = true, .dtype = WG_INT64), WG_ERR_RUNTIME,
                "linalg.vector_norm: dtype should be floating point or complex, but got Long");
        refused(wg_log_softmax(whole, 1), WG_ERR_NOT_IMPLEMENTED,
                "\"log_softmax_lastdim_kernel_impl\" not implemented for 'Long'");
        assert_int_equal(wg_dtype_of(wg_softmax(wg_to(gap, WG_INT64), 1)), WG_INT64);
        refused(wg_softmax(whole, 0), WG_ERR_NOT_IMPLEMENTED, "\"softmax_kernel_impl\" not implemented for 'Long'");
        refused(wg_softmax(flags, 1), WG_ERR_NOT_IMPLEMENTED,
                "\"softmax_lastdim_kernel_impl\" not implemented for 'Bool'");
        refused(wg_log_softmax(whole, 0), WG_ERR_NOT_IMPLEMENTED,
                "\"log_softmax_kernel_impl\" not implemented for 'Long'");
    }
    assert_int_equal(wrong, 0);
}

static int warned, refuse;
static int count_warning(void *user, wg_warning category, const char *message) {
    (void)user;
    assert_int_equal(category, WG_WARN_USER);
    assert_non_null(strstr(message, "degrees of freedom is <= 0."));
    warned++;
    return refuse;
}

static double number(wg_tensor *t) {
    double v = 0;
    assert_int_equal(wg_item(t, &v), WG_OK);
    return v;
}

/* A host may make an error of the warning. */
static void degrees_of_freedom(void **state) {
    (void)state;
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .warn = count_warning}), WG_OK);
    WG_SCOPE {
        wg_tensor *one = wg_ones(WG_SHAPE(1), NULL), *rows = wg_ones(WG_SHAPE(2, 1), NULL);
        assert_true(isnan(number(wg_std_opt(one, 1, NULL))));
        assert_true(isnan(number(wg_var_opt(wg_ones(WG_SHAPE(0), NULL), 1, NULL))));
        assert_false(wg_is_poison(wg_var_opt(rows, 1, &(wg_reduce){.size = sizeof(wg_reduce), .dims = WG_DIMS(1)})));
        assert_int_equal(warned, 3);
        assert_true(number(wg_var_opt(one, 0, NULL)) == 0);
        assert_true(number(wg_std_opt(rows, 1, NULL)) == 0);
        assert_int_equal(warned, 3);
        refuse = 1;
        refused(wg_std_opt(one, 1, NULL), WG_ERR_RUNTIME, "std(): degrees of freedom is <= 0.");
    }
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host)}), WG_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_subset_of_dims, naive_live),
        cmocka_unit_test_teardown(in_another_dtype, naive_live),
        cmocka_unit_test_teardown(extremes, naive_live),
        cmocka_unit_test_teardown(softmaxes, naive_live),
        cmocka_unit_test_teardown(kernels_of_every_isa, naive_live),
        cmocka_unit_test_teardown(error_does_not_grow_with_length, naive_live),
        cmocka_unit_test_teardown(same_bits_for_any_number_of_threads, naive_live),
        cmocka_unit_test_teardown(derivatives_of_prod_at_zeros, naive_live),
        cmocka_unit_test_teardown(norm_of_nan, naive_live),
        cmocka_unit_test_teardown(refusals, naive_live),
        cmocka_unit_test_teardown(degrees_of_freedom, naive_live),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("reduce: %d checks\n", checks);
    return failed;
}
