/* test_matmul.c - products of matrices against three loops: cpu/gemm.c directly, over every ISA, BLAS or none, shapes
 * on both sides of each tile, all strides and dtypes; then mm, mv, dot, bmm, addmm, linear and matmul over views.
 * Numbers are small integers, whose sums are exact in any order, or real, where the bound is that of any order of
 * adding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "cpu/blas.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "support/naive.h"

static const wg_dtype dtypes[] = {WG_FLOAT32, WG_FLOAT64, WG_FLOAT16, WG_BFLOAT16, WG_UINT8,
                                  WG_INT8,    WG_INT16,   WG_INT32,   WG_INT64};
enum { DTYPES = sizeof(dtypes) / sizeof(*dtypes) };

/* ---- matrices
 * -------------------------------------------------------------------------------------------------------- */

typedef struct matrix {
    wg_dtype dtype;
    int64_t rows, columns, rs, cs; /* strides in elements */
    size_t bytes;
    char *memory, *origin; /* origin: element [0, 0] */
} matrix;

enum { ROW_MAJOR, COLUMN_MAJOR, PADDED, STEPPED, NEGATIVE, ZERO_ROW, ZERO_COLUMN, LAYOUTS };

/* Memory for exactly what is reached: a step outside is a sanitizer's. */
static matrix matrix_new(wg_dtype dtype, int64_t rows, int64_t columns, int layout) {
    matrix m = {.dtype = dtype, .rows = rows, .columns = columns, .rs = columns, .cs = 1};
    if (layout == COLUMN_MAJOR) m.rs = 1, m.cs = rows;
    if (layout == PADDED) m.rs = columns + 3;
    if (layout == STEPPED) m.cs = 2, m.rs = 2 * columns + 1;
    if (layout == NEGATIVE) m.rs = -columns, m.cs = naive_below(2) ? 1 : -1;
    if (layout == NEGATIVE && m.cs == 1) m.rs -= 1;
    if (layout == ZERO_ROW) m.rs = 0;
    if (layout == ZERO_COLUMN) m.rs = 1, m.cs = 0;
    int64_t down = (rows - 1) * m.rs, across = (columns - 1) * m.cs, low = 0, high = 0;
    if (rows > 0 && columns > 0) {
        low = (down < 0 ? down : 0) + (across < 0 ? across : 0);
        high = (down > 0 ? down : 0) + (across > 0 ? across : 0) + 1;
    }
    int64_t size = (int64_t)wg_dtype_size(dtype);
    m.bytes = (size_t)((high - low) * size);
    m.memory = malloc(m.bytes ? m.bytes : 1);
    m.origin = m.memory - low * size;
    memset(m.memory, 0x5a, m.bytes);
    return m;
}
static int64_t at(const matrix *m, int64_t i, int64_t j) { return i * m->rs + j * m->cs; }

/* whole: small integers; special: some inf and nan among them. */
static void fill(matrix *m, bool whole, bool special) {
    int64_t size = (int64_t)wg_dtype_size(m->dtype), n = (int64_t)m->bytes / size;
    for (int64_t i = 0; i < n; i++) {
        if (!wg_dtype_is_floating(m->dtype))
            naive_set_i(m->dtype, m->memory, i, (int64_t)naive_bits());
        else if (special && naive_below(64) == 0)
            naive_set(m->dtype, m->memory, i, naive_below(2) ? INFINITY : NAN);
        else
            naive_set(m->dtype, m->memory, i, whole ? (double)naive_between(-4, 4) : naive_uniform(-1, 1));
    }
}

/* ---- the oracle
 * ------------------------------------------------------------------------------------------------------- */

typedef struct job {
    matrix a, b, c, bias;
    bool accumulate, with_bias, whole;
    char *before;     /* C's memory */
    long double *sum; /* floats: the exact answer, and the sum of magnitudes for the bound */
    double *magnitude;
    int64_t *wrapped; /* integers */
} job;

static void oracle_float(job *j) {
    int64_t m = j->c.rows, n = j->c.columns, k = j->a.columns;
    double *b = malloc((size_t)(k * n) * sizeof(double) + 1);
    for (int64_t p = 0; p < k; p++)
        for (int64_t q = 0; q < n; q++) b[p * n + q] = naive_get(j->b.dtype, j->b.origin, at(&j->b, p, q));
    j->sum = calloc((size_t)(m * n) + 1, sizeof(long double));
    j->magnitude = calloc((size_t)(m * n) + 1, sizeof(double));
    double *row = malloc((size_t)n * sizeof(double) + 1);
    for (int64_t i = 0; i < m; i++) {
        long double *s = j->sum + i * n;
        double *g = j->magnitude + i * n;
        memset(row, 0, (size_t)n * sizeof(double));
        for (int64_t p = 0; p < k; p++) {
            double x = naive_get(j->a.dtype, j->a.origin, at(&j->a, i, p));
            if (j->whole) /* exact in double, and faster */
                for (int64_t q = 0; q < n; q++) row[q] += x * b[p * n + q];
            else
                for (int64_t q = 0; q < n; q++) s[q] += (long double)x * b[p * n + q], g[q] += fabs(x * b[p * n + q]);
        }
        for (int64_t q = 0; q < n; q++) {
            double c = j->accumulate ? naive_get(j->c.dtype, j->c.origin, at(&j->c, i, q)) : 0;
            double d = j->with_bias ? naive_get(j->c.dtype, j->bias.origin, q) : 0;
            s[q] += (long double)row[q] + c + d;
            g[q] += fabs(c) + fabs(d);
        }
    }
    free(row);
    free(b);
}

static void oracle_integer(job *j) {
    int64_t m = j->c.rows, n = j->c.columns, k = j->a.columns;
    j->wrapped = calloc((size_t)(m * n) + 1, sizeof(int64_t));
    for (int64_t i = 0; i < m; i++)
        for (int64_t q = 0; q < n; q++) {
            uint64_t s = j->accumulate ? (uint64_t)naive_get_i(j->c.dtype, j->c.origin, at(&j->c, i, q)) : 0;
            if (j->with_bias) s += (uint64_t)naive_get_i(j->c.dtype, j->bias.origin, q);
            for (int64_t p = 0; p < k; p++)
                s += (uint64_t)naive_get_i(j->a.dtype, j->a.origin, at(&j->a, i, p)) *
                     (uint64_t)naive_get_i(j->b.dtype, j->b.origin, at(&j->b, p, q));
            naive_set_i(j->c.dtype, &j->wrapped[i * n + q], 0, (int64_t)s);
            j->wrapped[i * n + q] = naive_get_i(j->c.dtype, &j->wrapped[i * n + q], 0);
        }
}

static bool near(const job *j, int64_t i, int64_t q) {
    int64_t e = i * j->c.columns + q;
    if (j->wrapped) return naive_get_i(j->c.dtype, j->c.origin, at(&j->c, i, q)) == j->wrapped[e];
    double got = naive_get(j->c.dtype, j->c.origin, at(&j->c, i, q)), want = (double)j->sum[e];
    if (isnan(want) || isinf(want)) return isnan(want) ? isnan(got) : got == want;
    if (j->whole) return got == naive_round(j->c.dtype, want);
    double sums = j->c.dtype == WG_FLOAT64 ? 0x1p-53 : 0x1p-24, terms = (double)j->a.columns + 2;
    double bound = terms * sums * j->magnitude[e] * 1.01;
    if (naive_is_half(j->c.dtype)) bound += naive_unit(j->c.dtype) * (fabs(want) + bound) + naive_least(j->c.dtype);
    return (double)fabsl(got - j->sum[e]) <= bound;
}

/* What lies between C's elements. */
static bool gaps_are_untouched(const job *j) {
    size_t size = wg_dtype_size(j->c.dtype);
    char *was = malloc(j->c.bytes + 1);
    memcpy(was, j->before, j->c.bytes);
    for (int64_t i = 0; i < j->c.rows; i++)
        for (int64_t q = 0; q < j->c.columns; q++) {
            size_t here = (size_t)(j->c.origin - j->c.memory + at(&j->c, i, q) * (int64_t)size);
            memcpy(was + here, j->c.memory + here, size);
        }
    bool same = memcmp(was, j->c.memory, j->c.bytes) == 0;
    free(was);
    return same;
}

/* ---- one product
 * ------------------------------------------------------------------------------------------------------- */

static int products;

static job job_new(wg_dtype d, int64_t m, int64_t n, int64_t k, const int *layouts, bool whole, bool special) {
    job j = {.accumulate = naive_below(3) == 0, .with_bias = naive_below(3) == 0};
    j.whole = whole && wg_dtype_is_floating(d);
    j.a = matrix_new(d, m, k, layouts[0]);
    j.b = matrix_new(d, k, n, layouts[1]);
    j.c = matrix_new(d, m, n, layouts[2]);
    j.bias = matrix_new(d, 1, n, ROW_MAJOR);
    fill(&j.a, whole, special);
    fill(&j.b, whole, special && naive_below(2));
    fill(&j.c, whole, false);
    fill(&j.bias, whole, false);
    j.before = malloc(j.c.bytes + 1);
    memcpy(j.before, j.c.memory, j.c.bytes);
    if (wg_dtype_is_floating(d))
        oracle_float(&j);
    else
        oracle_integer(&j);
    return j;
}
static void job_free(job *j) {
    free(j->a.memory), free(j->b.memory), free(j->c.memory), free(j->bias.memory);
    free(j->before), free(j->sum), free(j->magnitude), free(j->wrapped);
}
static wg_status job_run(job *j) {
    memcpy(j->c.memory, j->before, j->c.bytes);
    products++;
    return wg__gemm(j->c.dtype, j->c.rows, j->c.columns, j->a.columns, j->a.origin, j->a.rs, j->a.cs, j->b.origin,
                    j->b.rs, j->b.cs, j->c.origin, j->c.rs, j->c.cs, j->accumulate,
                    j->with_bias ? j->bias.origin : NULL);
}
static void job_check(job *j, const char *isa, bool blas) {
    assert_int_equal(job_run(j), WG_OK);
    int64_t bad = 0;
    for (int64_t i = 0; i < j->c.rows; i++)
        for (int64_t q = 0; q < j->c.columns; q++)
            if (!near(j, i, q) && bad++ == 0)
                print_error("%s%s %s (%lld x %lld) (%lld x %lld) strides %lld %lld, %lld %lld, %lld %lld%s%s: [%lld, "
                            "%lld] = %.9g\n",
                            isa, blas ? " with BLAS" : "", wg_dtype_name(j->c.dtype), (long long)j->a.rows,
                            (long long)j->a.columns, (long long)j->b.rows, (long long)j->b.columns, (long long)j->a.rs,
                            (long long)j->a.cs, (long long)j->b.rs, (long long)j->b.cs, (long long)j->c.rs,
                            (long long)j->c.cs, j->accumulate ? " accumulate" : "", j->with_bias ? " bias" : "",
                            (long long)i, (long long)q, naive_get(j->c.dtype, j->c.origin, at(&j->c, i, q)));
    assert_int_equal(bad, 0);
    assert_true(gaps_are_untouched(j));
}

/* Each ISA without a BLAS, and the first with one. */
static void on_every_isa(job *j) {
    bool first = true;
    for (const char *const *isa = wg__isa_names; *isa; isa++) {
        if (!wg__gemm_use(*isa, false)) continue;
        job_check(j, *isa, false);
        if (first && wg__gemm_use(*isa, true)) job_check(j, *isa, true);
        first = false;
    }
    assert_true(wg__gemm_use(NULL, true));
}

static void random_layouts(int *layouts) {
    layouts[0] = (int)naive_below(LAYOUTS);
    layouts[1] = (int)naive_below(LAYOUTS);
    layouts[2] = (int)naive_below(NEGATIVE); /* C's elements are distinct */
}
static int soak(void) { return getenv("WG_SOAK") ? 50 : 1; }

static void odd_sizes(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 63, 64, 65};
    enum { SIZES = sizeof(sizes) / sizeof(*sizes) };
    for (int d = 0; d < DTYPES; d++)
        for (int round = 0; round < 400 * soak(); round++) {
            int layouts[3];
            random_layouts(layouts);
            job j = job_new(dtypes[d], sizes[naive_below(SIZES)], sizes[naive_below(SIZES)], sizes[naive_below(SIZES)],
                            layouts, naive_below(2), naive_below(4) == 0);
            on_every_isa(&j);
            job_free(&j);
        }
}

static void larger_sizes(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{100, 300, 200}, {130, 70, 385},  {257, 129, 777}, {1537, 33, 40}, {5, 3100, 40},
                                       {1, 3000, 300},  {3000, 1, 300},  {1, 2049, 7},    {2500, 1, 3},   {1, 1, 5000},
                                       {97, 257, 12},   {193, 513, 100}, {40, 40, 2100},  {16, 16, 9000}, {300, 5, 1}};
    for (int d = 0; d < DTYPES; d++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
            int layouts[3];
            random_layouts(layouts);
            if (naive_below(2))
                layouts[0] = (int)naive_below(2), layouts[1] = (int)naive_below(2), layouts[2] = ROW_MAJOR;
            job j = job_new(dtypes[d], sizes[s][0], sizes[s][1], sizes[s][2], layouts, true, false);
            on_every_isa(&j);
            job_free(&j);
        }
}

static void real_numbers(void **state) {
    (void)state;
    for (int d = 0; d < 4; d++)
        for (int round = 0; round < 6; round++) {
            int layouts[3];
            random_layouts(layouts);
            if (round < 3) layouts[0] = round & 1, layouts[1] = round >> 1, layouts[2] = ROW_MAJOR;
            job j = job_new(dtypes[d], naive_between(100, 180), naive_between(100, 180), naive_between(100, 800),
                            layouts, false, false);
            on_every_isa(&j);
            job_free(&j);
        }
}

/* A BLAS is used where there is one: the shapes above reach it. Says so when there is none. */
static void says_whether_a_blas_was_there(void **state) {
    (void)state;
    if (!wg__blas()) print_message("no BLAS here: only our own kernels are tested\n");
    assert_false(wg__gemm_use("no such isa", true));
}

static void nothing_to_do(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++)
        for (int round = 0; round < 60; round++) {
            int layouts[3];
            int64_t m = naive_below(70), n = naive_below(140), k = 0;
            if (round % 3 == 1) m = 0, k = 5;
            if (round % 3 == 2) n = 0, k = 5;
            random_layouts(layouts);
            job j = job_new(dtypes[d], m, n, k, layouts, true, false);
            on_every_isa(&j);
            job_free(&j);
        }
    assert_int_equal(wg__gemm(WG_BOOL, 1, 1, 1, "", 1, 1, "", 1, 1, (char[1]){0}, 1, 1, false, NULL),
                     WG_ERR_NOT_IMPLEMENTED);
}

static void same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{300, 400, 500}, {700, 60, 90},  {50, 3100, 64}, {1, 4000, 500}, {4000, 1, 500},
                                       {600, 2, 1000},  {1600, 48, 30}, {9, 9, 9},      {140, 150, 13}};
    int before = wg_num_threads();
    for (int d = 0; d < DTYPES; d++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
            for (int blas = 0; blas < 2; blas++) {
                int layouts[3] = {(int)naive_below(2), (int)naive_below(2), ROW_MAJOR};
                job j = {.a = matrix_new(dtypes[d], sizes[s][0], sizes[s][2], layouts[0]),
                         .b = matrix_new(dtypes[d], sizes[s][2], sizes[s][1], layouts[1]),
                         .c = matrix_new(dtypes[d], sizes[s][0], sizes[s][1], layouts[2])};
                fill(&j.a, false, false);
                fill(&j.b, false, false);
                j.before = malloc(j.c.bytes);
                memcpy(j.before, j.c.memory, j.c.bytes);
                assert_true(wg__gemm_use(NULL, blas));
                char *one = malloc(j.c.bytes);
                for (int threads = 1; threads <= 4; threads *= 2) {
                    assert_int_equal(wg_set_num_threads(threads), WG_OK);
                    assert_int_equal(job_run(&j), WG_OK);
                    if (threads == 1) memcpy(one, j.c.memory, j.c.bytes);
                    assert_memory_equal(one, j.c.memory, j.c.bytes);
                }
                free(one);
                job_free(&j);
            }
    assert_int_equal(wg_set_num_threads(before), WG_OK);
    assert_true(wg__gemm_use(NULL, true));
}

/* ---- batches
 * -------------------------------------------------------------------------------------------------------------- */

/* The batch is innermost, outermost, backwards or shared. */
static void batches(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++)
        for (int round = 0; round < 100; round++) {
            wg_dtype type = dtypes[d];
            int64_t batch = naive_below(7), m = naive_between(1, 20), n = naive_between(1, 20), k = naive_below(20);
            if (round == 0) batch = 40, m = 30, n = 30, k = 200;
            int64_t size = (int64_t)wg_dtype_size(type), count = batch > 0 ? batch : 1;
            matrix a = matrix_new(type, count * m, k, ROW_MAJOR), b = matrix_new(type, count * n, k, ROW_MAJOR);
            matrix c = matrix_new(type, count * m, n, ROW_MAJOR), want = matrix_new(type, count * m, n, ROW_MAJOR);
            fill(&a, true, false), fill(&b, true, false), fill(&c, true, false);
            memcpy(want.memory, c.memory, c.bytes);
            bool inner = naive_below(2), accumulate = naive_below(2);
            int64_t sa = naive_below(3) == 0 ? 0 : m * k, sb = inner ? 1 : naive_below(3) == 0 ? 0 : n * k;
            int64_t rb = inner ? count : 1, cb = inner ? count * k : k, sc = m * n;
            char *cc = c.memory;
            if (batch && naive_below(2)) cc += (batch - 1) * sc * size, sc = -sc;
            assert_int_equal(wg__gemm_batch(type, batch, m, n, k, a.memory, sa, k, 1, b.memory, sb, rb, cb, cc, sc, n,
                                            1, accumulate),
                             WG_OK);
            for (int64_t i = 0; i < batch; i++) {
                matrix x = {
                    .dtype = type, .rows = m, .columns = k, .rs = k, .cs = 1, .origin = a.memory + i * sa * size};
                matrix y = {
                    .dtype = type, .rows = k, .columns = n, .rs = rb, .cs = cb, .origin = b.memory + i * sb * size};
                matrix z = {.dtype = type, .rows = m, .columns = n, .rs = n, .cs = 1};
                z.origin = want.memory + (cc - c.memory) + i * sc * size;
                job j = {.a = x, .b = y, .c = z, .accumulate = accumulate, .whole = wg_dtype_is_floating(type)};
                if (j.whole)
                    oracle_float(&j);
                else
                    oracle_integer(&j);
                j.c.origin = cc + i * sc * size;
                for (int64_t r = 0; r < m; r++)
                    for (int64_t q = 0; q < n; q++) assert_true(near(&j, r, q));
                free(j.sum), free(j.magnitude), free(j.wrapped);
            }
            if (batch == 0) assert_memory_equal(c.memory, want.memory, c.bytes);
            products += (int)batch;
            free(a.memory), free(b.memory), free(c.memory), free(want.memory);
        }
}

/* ---- the ops over views
 * ------------------------------------------------------------------------------------------------------ */

/* Small integers, so that every order of adding gives the same. */
static wg_tensor *view_of(wg_dtype d, int ndim, const int64_t *sizes) {
    return naive_strided(d, ndim, sizes, true, (naive_range){d == WG_UINT8 ? 0 : -4, 4, false});
}
#define VIEW(d, ...) view_of(d, WG_SHAPE(__VA_ARGS__))

/* out (m x n) = x (m x k) y (k x n), row-major. */
static double *three_loops(const double *x, const double *y, int64_t m, int64_t n, int64_t k) {
    double *z = calloc((size_t)(m * n) + 1, sizeof(double));
    for (int64_t i = 0; i < m; i++)
        for (int64_t q = 0; q < n; q++)
            for (int64_t p = 0; p < k; p++) z[i * n + q] += x[i * k + p] * y[p * n + q];
    return z;
}
static void same(wg_tensor *t, wg_dtype d, int ndim, const int64_t *sizes, const double *want) {
    if (wg_is_poison(t)) print_error("%s\n", wg_last_message());
    assert_false(wg_is_poison(t));
    assert_int_equal(wg_dtype_of(t), d);
    assert_int_equal(wg_ndim(t), ndim);
    for (int i = 0; i < ndim; i++) assert_int_equal(wg_size(t, i), sizes[i]);
    double *got = naive_doubles(t);
    for (int64_t i = 0; i < wg_numel(t); i++) {
        double w = wg_dtype_is_floating(d) ? naive_round(d, want[i]) : 0;
        if (!wg_dtype_is_floating(d)) {
            int64_t room = 0;
            naive_set_i(d, &room, 0, (int64_t)want[i]);
            w = naive_get(d, &room, 0);
        }
        assert_true(got[i] == w);
    }
    free(got);
    products++;
}
#define SAME(t, d, want, ...) same(t, d, WG_SHAPE(__VA_ARGS__), want)

static void ops_over_views(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++)
        for (int round = 0; round < 60; round++) WG_SCOPE {
                wg_dtype t = dtypes[d];
                int64_t m = naive_below(20), n = naive_below(20), k = naive_below(20);
                wg_tensor *a = VIEW(t, m, k), *b = VIEW(t, k, n), *x = VIEW(t, k), *y = VIEW(t, k), *row = VIEW(t, n);
                wg_tensor *c = VIEW(t, m, n), *one = VIEW(t, 1), *column = VIEW(t, m, 1);
                double *va = naive_doubles(a), *vb = naive_doubles(b), *vx = naive_doubles(x), *vy = naive_doubles(y);
                double *vr = naive_doubles(row), *vc = naive_doubles(c), *vo = naive_doubles(one),
                       *vcol = naive_doubles(column);
                double *mm = three_loops(va, vb, m, n, k), *mv = three_loops(va, vx, m, 1, k),
                       *dot = three_loops(vx, vy, 1, 1, k);
                SAME(wg_mm(a, b), t, mm, m, n);
                SAME(wg_matmul(a, b), t, mm, m, n);
                SAME(wg_linear(a, wg_t(b), NULL), t, mm, m, n);
                SAME(wg_mv(a, x), t, mv, m);
                SAME(wg_matmul(a, x), t, mv, m);
                same(wg_dot(x, y), t, 0, NULL, dot);
                same(wg_matmul(x, y), t, 0, NULL, dot);
                double *sums = malloc((size_t)(m * n) * sizeof(double) + 1);
                for (int64_t i = 0; i < m * n; i++) sums[i] = mm[i] + vr[i % n];
                SAME(wg_addmm(row, a, b), t, sums, m, n);
                SAME(wg_linear(a, wg_t(b), row), t, sums, m, n);
                for (int64_t i = 0; i < m * n; i++) sums[i] = mm[i] + vc[i];
                SAME(wg_addmm(c, a, b), t, sums, m, n);
                for (int64_t i = 0; i < m * n; i++) sums[i] = mm[i] + vo[0];
                SAME(wg_addmm(one, a, b), t, sums, m, n);
                for (int64_t i = 0; i < m * n; i++) sums[i] = mm[i] + vcol[i / n];
                SAME(wg_addmm(column, a, b), t, sums, m, n);
                if (t != WG_FLOAT16 && t != WG_BFLOAT16) { /* those are rounded in between */
                    for (int64_t i = 0; i < m * n; i++) sums[i] = 2 * mm[i] + 3 * vc[i];
                    SAME(wg_addmm_scaled(c, a, b, 3, 2), t, sums, m, n);
                }
                free(sums), free(mm), free(mv), free(dot);
                free(va), free(vb), free(vx), free(vy), free(vr), free(vc), free(vo), free(vcol);
            }
}

static void batches_over_views(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++)
        for (int round = 0; round < 30; round++) WG_SCOPE {
                wg_dtype t = dtypes[d];
                int64_t p = naive_below(5), q = naive_between(1, 4), m = naive_between(1, 9), n = naive_below(9),
                        k = naive_below(9);
                wg_tensor *a = VIEW(t, p, m, k), *b = VIEW(t, p, k, n), *shared = VIEW(t, k, n), *left = VIEW(t, m, k);
                wg_tensor *wide = VIEW(t, q, 1, m, k), *x = VIEW(t, k);
                double *va = naive_doubles(a), *vb = naive_doubles(b), *vs = naive_doubles(shared),
                       *vl = naive_doubles(left);
                double *vw = naive_doubles(wide), *vx = naive_doubles(x),
                       *all = calloc((size_t)(q * p * m * n) + m + 1, sizeof(double));
                for (int64_t i = 0; i < p; i++) {
                    double *z = three_loops(va + i * m * k, vb + i * k * n, m, n, k);
                    memcpy(all + i * m * n, z, (size_t)(m * n) * sizeof(double));
                    free(z);
                }
                SAME(wg_bmm(a, b), t, all, p, m, n);
                SAME(wg_matmul(a, b), t, all, p, m, n);
                double *folded = three_loops(va, vs, p * m, n, k);
                SAME(wg_matmul(a, shared), t, folded, p, m, n);
                SAME(wg_linear(a, wg_t(shared), NULL), t, folded, p, m, n);
                for (int64_t i = 0; i < p; i++) {
                    double *z = three_loops(vl, vb + i * k * n, m, n, k);
                    memcpy(all + i * m * n, z, (size_t)(m * n) * sizeof(double));
                    free(z);
                }
                SAME(wg_matmul(left, b), t, all, p, m, n);
                for (int64_t i = 0; i < q * p; i++) {
                    double *z = three_loops(vw + i / (p ? p : 1) * m * k, vb + i % (p ? p : 1) * k * n, m, n, k);
                    memcpy(all + i * m * n, z, (size_t)(m * n) * sizeof(double));
                    free(z);
                }
                SAME(wg_matmul(wide, b), t, all, q, p, m, n);
                for (int64_t i = 0; i < p; i++) {
                    double *z = three_loops(vx, vb + i * k * n, 1, n, k);
                    memcpy(all + i * n, z, (size_t)n * sizeof(double));
                    free(z);
                }
                SAME(wg_matmul(x, b), t, all, p, n);
                double *mv = three_loops(va, vx, p * m, 1, k);
                SAME(wg_matmul(a, x), t, mv, p, m);
                free(mv), free(folded), free(all), free(va), free(vb), free(vs), free(vl), free(vw), free(vx);
            }
}

/* ---- refusals
 * -------------------------------------------------------------------------------------------------------------- */

static int wrong;
static void refused(wg_tensor *t, wg_status status, const char *first) {
    assert_true(wg_is_poison(t));
    assert_int_equal(wg_last_status(), status);
    const char *message = wg_last_message();
    if (strncmp(message, first, strlen(first)) == 0) return;
    print_error("want: %s\ngot:  %s\n", first, message);
    wrong++;
}
static void refusals(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *a = wg_ones(WG_SHAPE(2, 3), NULL), *b = wg_ones(WG_SHAPE(2, 3), NULL),
                  *v = wg_ones(WG_SHAPE(2), NULL);
        wg_tensor *d = wg_ones(WG_SHAPE(3, 2), WG_DTYPE(WG_FLOAT64)),
                  *flags = wg_ones(WG_SHAPE(2, 2), WG_DTYPE(WG_BOOL));
        wg_tensor *w = wg_ones(WG_SHAPE(3, 4), NULL), *cube = wg_ones(WG_SHAPE(2, 3, 4), NULL),
                  *dcube = wg_to(cube, WG_FLOAT64);
        refused(wg_mm(a, b), WG_ERR_RUNTIME, "mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
        refused(wg_mm(a, v), WG_ERR_RUNTIME, "mm: mat2 must be a matrix, got 1-D tensor");
        refused(wg_mm(v, a), WG_ERR_RUNTIME, "mm: self must be a matrix, got 1-D tensor");
        refused(wg_mm(a, d), WG_ERR_RUNTIME, "expected m1 and m2 to have the same dtype, but got: float != double");
        refused(wg_mm(flags, flags), WG_ERR_NOT_IMPLEMENTED, "\"addmm_impl_cpu_\" not implemented for 'Bool'");
        refused(wg_matmul(wg_s(1), a), WG_ERR_RUNTIME,
                "both arguments to matmul need to be at least 1D, but they are 0D and 2D");
        refused(wg_mv(a, v), WG_ERR_RUNTIME, "size mismatch, got input (2), mat (2x3), vec (2)");
        refused(wg_mv(v, v), WG_ERR_RUNTIME, "vector + matrix @ vector expected, got 1, 1, 1");
        refused(wg_mv(wg_t(d), wg_ones(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
                "addmv input tensors must have the same dtype, but got Float, Double, and Float");
        refused(wg_mv(flags, wg_select(flags, 0, 0)), WG_ERR_NOT_IMPLEMENTED,
                "\"addmv_impl_cpu\" not implemented for 'Bool'");
        refused(
            wg_dot(v, wg_ones(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
            "inconsistent tensor size, expected tensor [2] and src [3] to have the same number of elements, but got 2 "
            "and 3 elements respectively");
        refused(wg_dot(v, wg_to(v, WG_FLOAT64)), WG_ERR_RUNTIME,
                "dot : expected both vectors to have same dtype, but found Float and Double");
        refused(wg_dot(a, v), WG_ERR_RUNTIME, "1D tensors expected, but got 2D and 1D tensors");
        refused(wg_dot(wg_select(flags, 0, 0), wg_select(flags, 0, 0)), WG_ERR_NOT_IMPLEMENTED,
                "\"dot\" not implemented for 'Bool'");
        refused(wg_bmm(a, a), WG_ERR_RUNTIME, "batch1 must be a 3D tensor");
        refused(wg_bmm(cube, a), WG_ERR_RUNTIME, "batch2 must be a 3D tensor");
        refused(wg_bmm(cube, cube), WG_ERR_RUNTIME,
                "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 3].");
        refused(wg_bmm(wg_mT(cube), dcube), WG_ERR_RUNTIME, "expected scalar type Float but found Double");
        refused(wg_bmm(wg_unsqueeze(flags, 0), wg_unsqueeze(flags, 0)), WG_ERR_NOT_IMPLEMENTED,
                "\"bmm\" not implemented for 'Bool'");
        refused(wg_matmul(cube, wg_ones(WG_SHAPE(3, 4, 4), NULL)), WG_ERR_RUNTIME,
                "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0");
        refused(wg_addmm(v, a, a), WG_ERR_RUNTIME, "addmm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
        refused(wg_addmm(v, a, w), WG_ERR_RUNTIME,
                "The expanded size of the tensor (4) must match the existing size (2) at non-singleton dimension 1.  "
                "Target "
                "sizes: [2, 4].  Tensor sizes: [2]");
        refused(wg_addmm(v, a, d), WG_ERR_RUNTIME, "self and mat2 must have the same dtype, but got Float and Double");
        refused(wg_addmm(wg_ones(WG_SHAPE(4), WG_DTYPE(WG_FLOAT64)), a, w), WG_ERR_RUNTIME,
                "self and mat2 must have the same dtype, but got Double and Float");
        refused(wg_addmm(v, v, a), WG_ERR_RUNTIME, "addmm: self must be a matrix, got 1-D tensor");
        refused(wg_addmm(v, a, v), WG_ERR_RUNTIME, "addmm: mat2 must be a matrix, got 1-D tensor");
        refused(wg_addmm(flags, flags, flags), WG_ERR_NOT_IMPLEMENTED,
                "\"addmm_impl_cpu_\" not implemented for 'Bool'");
        refused(wg_linear(a, wg_ones(WG_SHAPE(4, 3), NULL), wg_ones(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
                "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 1.  "
                "Target "
                "sizes: [2, 4].  Tensor sizes: [3]");
        refused(wg_linear(a, cube, NULL), WG_ERR_RUNTIME, "t() expects a tensor with <= 2 dimensions, but self is 3D");
        refused(wg_linear(wg_s(1), cube, v), WG_ERR_RUNTIME,
                "both arguments to linear need to be at least 1D, but they are 0D and 3D");
        refused(wg_linear(a, wg_s(1), NULL), WG_ERR_RUNTIME,
                "both arguments to linear need to be at least 1D, but they are 2D and 0D");
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(odd_sizes, naive_live),
        cmocka_unit_test_teardown(larger_sizes, naive_live),
        cmocka_unit_test_teardown(real_numbers, naive_live),
        cmocka_unit_test_teardown(says_whether_a_blas_was_there, naive_live),
        cmocka_unit_test_teardown(nothing_to_do, naive_live),
        cmocka_unit_test_teardown(same_bits_for_any_number_of_threads, naive_live),
        cmocka_unit_test_teardown(batches, naive_live),
        cmocka_unit_test_teardown(ops_over_views, naive_live),
        cmocka_unit_test_teardown(batches_over_views, naive_live),
        cmocka_unit_test_teardown(refusals, naive_live),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("matmul: %d products\n", products);
    return failed;
}
