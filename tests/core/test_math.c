/* test_math.c - the elementwise kernels one by one, on every ISA of the machine: accuracy against the next wider libm,
 * special values, agreement of every loop (contiguous, scalar operand, strided, in place, tails) to the bit, integers
 * against arithmetic in 128 bits, 16-bit floats against float32 rounded once, casts.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/kernels.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- a small generator: tests repeat ----------------------------------------------------------------------------- */

static uint64_t seed = 1;
static uint64_t next(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static double uniform(double lo, double hi) { return lo + (hi - lo) * (double)(next() >> 11) * 0x1p-53; }
static float any_float(void) {
    uint32_t u = (uint32_t)next();
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static double any_double(void) {
    uint64_t u = next();
    double d;
    memcpy(&d, &u, 8);
    return d;
}
static int soak(void) { return getenv("WG_SOAK") ? 100 : 1; }

/* Calls body for every ISA that this machine has; says which it lacks. */
#define FOR_EACH_ISA(table)                                                                                            \
    for (const char *const *isa = wg__isa_names; *isa; isa++)                                                          \
        for (const struct wg_cpu_table *table = wg__cpu_table_for(*isa), *once_ = table; once_; once_ = NULL)

static void says_what_is_missing(void **state) {
    (void)state;
    int have = 0;
    for (const char *const *isa = wg__isa_names; *isa; isa++) {
        bool has = wg__cpu_table_for(*isa) != NULL;
        have += has;
        if (!has) print_message("this machine lacks %s: its kernels are not tested here\n", *isa);
        assert_int_equal(has, wg__isa_supported(*isa));
    }
    assert_true(have >= 1);
    assert_null(wg__cpu_table_for("no such isa"));
    assert_false(wg__isa_supported("no such isa"));
    assert_non_null(wg__cpu_table_for(wg__isa_name()));
}

/* ---- accuracy ---------------------------------------------------------------------------------------------------- */

static long double sigmoid_ref(long double x) { return 1 / (1 + expl(-x)); }
static long double rsqrt_ref(long double x) { return 1 / sqrtl(x); }
static long double reciprocal_ref(long double x) { return 1 / x; }

#define OP(name) offsetof(struct wg_cpu_table, name)
static wg_kernel kernel_of(const struct wg_cpu_table *t, size_t op, wg_dtype d) {
    return ((const wg_kernel *)(const void *)((const char *)t + op))[d];
}

/* Distance in units in the last place of the type (mant bits, least exponent), of the exact value. */
static double ulps(long double got, long double want, int mant, int least, long double most) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isnan(got)) return INFINITY;
    if (fabsl(want) >= most) return isinf(got) && signbit(got) == signbit(want) ? 0 : INFINITY;
    if (want == 0) return got == 0 ? 0 : INFINITY;
    int e;
    frexpl(want, &e);
    if (isinf(got)) got = copysignl(most, got);
    return (double)(fabsl(got - want) / ldexpl(1, (e > least ? e : least) - mant));
}

static const struct accurate {
    const char *name;
    size_t op;
    long double (*ref)(long double);
    double lo, hi; /* where most of its life is */
    double most;   /* units in the last place: as cpu/math.h promises */
} accurate[] = {
    {"exp", OP(wg_exp), expl, -20, 20, 1.5},
    {"log", OP(wg_log), logl, 0.5, 2, 1.5},
    {"sin", OP(wg_sin), sinl, -10, 10, 1.6},
    {"cos", OP(wg_cos), cosl, -10, 10, 1.6},
    {"tanh", OP(wg_tanh), tanhl, -1, 1, 2.6},
    {"sigmoid", OP(wg_sigmoid), sigmoid_ref, -5, 5, 2.6},
    {"sqrt", OP(wg_sqrt), sqrtl, 0, 100, 0.5},
    {"rsqrt", OP(wg_rsqrt), rsqrt_ref, 0, 100, 1.5},
    {"reciprocal", OP(wg_reciprocal), reciprocal_ref, -2, 2, 0.5},
};

enum { N = 4096 };

static double worst_f32(wg_kernel k, const struct accurate *f, float *where) {
    static float x[N], z[N];
    double worst = 0;
    for (int round = 0; round < 40 * soak(); round++) {
        for (int i = 0; i < N; i++)
            x[i] = i % 4 == 0   ? any_float()
                   : i % 4 == 1 ? (float)uniform(f->lo * 20, f->hi * 20)
                   : i % 4 == 2 ? (float)uniform(-1e6, 1e6)
                                : (float)uniform(f->lo, f->hi);
        k((char *[]){(char *)z, (char *)x}, (ptrdiff_t[]){4, 4}, N);
        for (int i = 0; i < N; i++) {
            double u = ulps(z[i], f->ref(x[i]), 24, -125, 0x1.ffffffp127L);
            if (u > worst) {
                worst = u;
                *where = x[i];
            }
        }
    }
    return worst;
}
static double worst_f64(wg_kernel k, const struct accurate *f, double *where) {
    static double x[N], z[N];
    double worst = 0;
    for (int round = 0; round < 40 * soak(); round++) {
        for (int i = 0; i < N; i++)
            x[i] = i % 4 == 0   ? any_double()
                   : i % 4 == 1 ? uniform(f->lo * 50, f->hi * 50)
                   : i % 4 == 2 ? uniform(-1e6, 1e6)
                                : uniform(f->lo, f->hi);
        k((char *[]){(char *)z, (char *)x}, (ptrdiff_t[]){8, 8}, N);
        for (int i = 0; i < N; i++) {
            double u = ulps(z[i], f->ref(x[i]), 53, -1021, 0x1.fffffffffffff8p1023L);
            if (u > worst) {
                worst = u;
                *where = x[i];
            }
        }
    }
    return worst;
}

static void functions_are_accurate(void **state) {
    (void)state;
    int bad = 0;
    FOR_EACH_ISA(t)
    for (size_t i = 0; i < COUNT(accurate); i++) {
        const struct accurate *f = &accurate[i];
        float x32 = 0;
        double x64 = 0, u32 = worst_f32(kernel_of(t, f->op, WG_FLOAT32), f, &x32),
               u64 = worst_f64(kernel_of(t, f->op, WG_FLOAT64), f, &x64);
        print_message("%-9s %-11s float32 %.3f ulp (%a)   float64 %.3f ulp (%a)\n", *isa, f->name, u32, (double)x32,
                      u64, x64);
        bad += u32 > f->most || u64 > f->most;
    }
    assert_int_equal(bad, 0);
}

/* pow against long double, over bases and exponents of all kinds. */
static void pow_is_accurate(void **state) {
    (void)state;
    static float x[N], y[N], z[N];
    double worst = 0;
    FOR_EACH_ISA(t) {
        for (int round = 0; round < 20 * soak(); round++) {
            for (int i = 0; i < N; i++) {
                x[i] = i % 3 == 0 ? any_float() : (float)uniform(i % 3 == 1 ? 0 : -3, 3);
                y[i] = i % 5 == 0 ? any_float() : i % 5 < 3 ? (float)uniform(-30, 30) : (float)(int)uniform(-9, 9);
            }
            t->wg_pow[WG_FLOAT32]((char *[]){(char *)z, (char *)x, (char *)y}, (ptrdiff_t[]){4, 4, 4}, N);
            for (int i = 0; i < N; i++) {
                double u = ulps(z[i], powl(x[i], y[i]), 24, -125, 0x1.ffffffp127L);
                if (u > worst) worst = u;
                if (u > 1) print_message("%s pow(%a, %a) = %a\n", *isa, (double)x[i], (double)y[i], (double)z[i]);
            }
        }
    }
    print_message("pow float32 %.3f ulp\n", worst);
    assert_true(worst <= 1);
}

/* ---- special values ---------------------------------------------------------------------------------------------- */

static const double specials[] = {0.0,
                                  -0.0,
                                  1,
                                  -1,
                                  0.5,
                                  -0.5,
                                  1.5,
                                  2,
                                  -2,
                                  2.5,
                                  3,
                                  -3,
                                  INFINITY,
                                  -INFINITY,
                                  NAN,
                                  1e-45,
                                  -1e-45,
                                  1e-310,
                                  1e30,
                                  -1e30,
                                  88.8,
                                  104,
                                  -104,
                                  710,
                                  -746,
                                  16777217,
                                  4503599627370497.0,
                                  0x1p-126,
                                  0x1.fffffep127};

static bool same_value(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b)); }

/* C's own functions are the oracle where the answer is exact. */
static double exact_unary(size_t op, double x) {
    return op == OP(wg_neg)     ? -x
           : op == OP(wg_abs)   ? fabs(x)
           : op == OP(wg_sign)  ? (x > 0) - (x < 0)
           : op == OP(wg_floor) ? floor(x)
           : op == OP(wg_ceil)  ? ceil(x)
           : op == OP(wg_round) ? rint(x)
           : op == OP(wg_trunc) ? trunc(x)
           : op == OP(wg_relu)  ? (x < 0 ? 0 : x)
           : op == OP(wg_sqrt)  ? sqrt(x)
                                : NAN;
}
static void exact_functions(void **state) {
    (void)state;
    const size_t ops[] = {OP(wg_neg),   OP(wg_abs),   OP(wg_sign), OP(wg_floor), OP(wg_ceil),
                          OP(wg_round), OP(wg_trunc), OP(wg_relu), OP(wg_sqrt)};
    FOR_EACH_ISA(t)
    for (size_t o = 0; o < COUNT(ops); o++)
        for (size_t i = 0; i < COUNT(specials); i++) {
            float xf = (float)specials[i], zf;
            double xd = specials[i], zd;
            kernel_of(t, ops[o], WG_FLOAT32)((char *[]){(char *)&zf, (char *)&xf}, (ptrdiff_t[]){4, 4}, 1);
            kernel_of(t, ops[o], WG_FLOAT64)((char *[]){(char *)&zd, (char *)&xd}, (ptrdiff_t[]){8, 8}, 1);
            assert_true(same_value(zf, (float)exact_unary(ops[o], xf)));
            assert_true(same_value(zd, exact_unary(ops[o], xd)));
        }
}

/* Signs of zero, inf and nan of the approximated functions are C's. */
static void limits_are_those_of_c(void **state) {
    (void)state;
    FOR_EACH_ISA(t)
    for (size_t f = 0; f < COUNT(accurate); f++)
        for (size_t i = 0; i < COUNT(specials); i++) {
            float xf = (float)specials[i], zf;
            double xd = specials[i], zd;
            kernel_of(t, accurate[f].op, WG_FLOAT32)((char *[]){(char *)&zf, (char *)&xf}, (ptrdiff_t[]){4, 4}, 1);
            kernel_of(t, accurate[f].op, WG_FLOAT64)((char *[]){(char *)&zd, (char *)&xd}, (ptrdiff_t[]){8, 8}, 1);
            double wf = (float)accurate[f].ref(xf), wd = (double)accurate[f].ref(xd);
            if (isnan(wf) || isinf(wf) || wf == 0 || fabs(wf) == 1) assert_true(same_value(zf, wf));
            if (isnan(wd) || isinf(wd) || wd == 0 || fabs(wd) == 1) assert_true(same_value(zd, wd));
        }
}

static void pow_special_cases_are_those_of_c(void **state) {
    (void)state;
    FOR_EACH_ISA(t)
    for (size_t i = 0; i < COUNT(specials); i++)
        for (size_t j = 0; j < COUNT(specials); j++) {
            float x = (float)specials[i], y = (float)specials[j], z;
            double xd = specials[i], yd = specials[j], zd;
            t->wg_pow[WG_FLOAT32]((char *[]){(char *)&z, (char *)&x, (char *)&y}, (ptrdiff_t[]){4, 4, 4}, 1);
            t->wg_pow[WG_FLOAT64]((char *[]){(char *)&zd, (char *)&xd, (char *)&yd}, (ptrdiff_t[]){8, 8, 8}, 1);
            double want = pow(x, y);
            if (!same_value(z, (float)want) && !(ulps(z, (long double)want, 24, -125, 0x1.ffffffp127L) <= 1))
                fail_msg("%s pow(%g, %g) = %g, C says %g", *isa, (double)x, (double)y, (double)z, want);
            assert_true(same_value(zd, pow(xd, yd)));
        }
}

struct binary_case {
    size_t op;
    double x, y, want;
};
/* As PyTorch 2.15 answers. */
static const struct binary_case binary_cases[] = {
    {OP(wg_maximum), 0.0, -0.0, 0.0},
    {OP(wg_maximum), -0.0, 0.0, -0.0},
    {OP(wg_maximum), NAN, 1, NAN},
    {OP(wg_maximum), 1, NAN, NAN},
    {OP(wg_minimum), 0.0, -0.0, 0.0},
    {OP(wg_minimum), 1, NAN, NAN},
    {OP(wg_minimum), NAN, 1, NAN},
    {OP(wg_floor_divide), 1, 0, INFINITY},
    {OP(wg_floor_divide), -1, 0, -INFINITY},
    {OP(wg_floor_divide), 0, 0, NAN},
    {OP(wg_floor_divide), INFINITY, 1, NAN},
    {OP(wg_floor_divide), 1, INFINITY, 0},
    {OP(wg_floor_divide), -1, INFINITY, -1},
    {OP(wg_floor_divide), 1, -INFINITY, -1},
    {OP(wg_floor_divide), -1, -INFINITY, 0},
    {OP(wg_floor_divide), 1, -3, -1},
    {OP(wg_floor_divide), -0.0, 3, -0.0},
    {OP(wg_floor_divide), 0, -3, -0.0},
    {OP(wg_floor_divide), 7, 2, 3},
    {OP(wg_floor_divide), -7, 2, -4},
    {OP(wg_remainder), 0, 0, NAN},
    {OP(wg_remainder), -1, 0, NAN},
    {OP(wg_remainder), INFINITY, 1, NAN},
    {OP(wg_remainder), 1, INFINITY, 1},
    {OP(wg_remainder), -1, INFINITY, INFINITY},
    {OP(wg_remainder), 1, -INFINITY, -INFINITY},
    {OP(wg_remainder), -1, -INFINITY, -1},
    {OP(wg_remainder), -0.0, 3, -0.0},
    {OP(wg_remainder), 6, -3, 0},
    {OP(wg_remainder), -6, 3, -0.0},
    {OP(wg_remainder), -7, 3, 2},
    {OP(wg_remainder), 7, -3, -2},
    {OP(wg_fmod), -7, 3, -1},
    {OP(wg_fmod), 7, -3, 1},
    {OP(wg_fmod), 1, 0, NAN},
    {OP(wg_atan2), 0, 0, 0},
    {OP(wg_atan2), -0.0, 1, -0.0},
    {OP(wg_pow), 0, 0, 1},
    {OP(wg_pow), NAN, 0, 1},
    {OP(wg_pow), 1, NAN, 1},
    {OP(wg__threshold_backward), 3, 0, 0},
    {OP(wg__threshold_backward), 3, NAN, 3},
    {OP(wg__threshold_backward), NAN, 0, 0},
    {OP(wg__threshold_backward), INFINITY, -1, 0},
};
static void binary_special_cases(void **state) {
    (void)state;
    FOR_EACH_ISA(t)
    for (size_t i = 0; i < COUNT(binary_cases); i++) {
        const struct binary_case *c = &binary_cases[i];
        float x = (float)c->x, y = (float)c->y, z;
        double zd;
        kernel_of(t, c->op, WG_FLOAT32)((char *[]){(char *)&z, (char *)&x, (char *)&y}, (ptrdiff_t[]){4, 4, 4}, 1);
        kernel_of(t, c->op, WG_FLOAT64)((char *[]){(char *)&zd, (char *)(uintptr_t)&c->x, (char *)(uintptr_t)&c->y},
                                        (ptrdiff_t[]){8, 8, 8}, 1);
        if (!same_value(z, c->want) || !same_value(zd, c->want))
            fail_msg("%s case %zu (%g, %g): %g and %g, want %g", *isa, i, c->x, c->y, (double)z, zd, c->want);
    }
}

/* ---- every row, every dtype: one value, whatever the loop -------------------------------------------------------- */

static const struct row {
    const char *name;
    size_t op;
    int nin;
    bool flag;
} rows[] = {
#define IS_FLT false
#define IS_NUM false
#define IS_ANY false
#define IS_INT false
#define IS_WHOLE false
#define IS_FLAG true
#define WG_UNARY(name, kind, ...) {#name, OP(name), 1, IS_##kind},
#define WG_BINARY(name, kind, ...) {#name, OP(name), 2, IS_##kind},
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
};
static const size_t item[WG_KERNEL_DTYPES] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};

/* Values at which functions change their minds, among ordinary ones. */
static void fill(char *data, wg_dtype d, ptrdiff_t n) {
    wg_kernel from_double = wg__cast_kernel(WG_FLOAT64, d), from_int = wg__cast_kernel(WG_INT64, d);
    for (ptrdiff_t i = 0; i < n; i++) {
        double x = next() % 4 ? uniform(-4, 4) : specials[next() % COUNT(specials)];
        if (next() % 64 == 0) x = uniform(-1e7, 1e7);
        int64_t v = next() % 4 ? (int64_t)(next() % 40) - 20 : (int64_t)next();
        char *p[2] = {data + i * (ptrdiff_t)item[d], wg_dtype_is_floating(d) ? (char *)&x : (char *)&v};
        ptrdiff_t s[2] = {8, 8};
        (wg_dtype_is_floating(d) ? from_double : from_int)(p, s, 1);
    }
}

enum { LONG = 1100 };
struct buffers {
    _Alignas(64) char a[LONG * 8 + 64], b[LONG * 8 + 64], want[LONG * 8], got[LONG * 8 * 3 + 64],
        spread[2][LONG * 8 * 3];
};

static void spread_out(char *to, const char *from, size_t size, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) memcpy(to + i * 3 * (ptrdiff_t)size, from + i * (ptrdiff_t)size, size);
}
static void expect(const struct row *r, const char *isa, wg_dtype d, const char *what, const char *got, ptrdiff_t step,
                   const char *want, size_t size, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (memcmp(got + i * step, want + i * (ptrdiff_t)size, size) != 0)
            fail_msg("%s of %s on %s: %s, element %td of %td, differs", r->name, wg_dtype_name(d), isa, what, i, n);
}

/* want: each element on its own, through the strided loop. */
static void check_row(const struct row *r, wg_kernel k, const char *isa, wg_dtype d, struct buffers *m, ptrdiff_t n) {
    const ptrdiff_t in = (ptrdiff_t)item[d], out = r->flag ? 1 : in;
    fill(m->a, d, n);
    fill(m->b, d, n);
    for (ptrdiff_t i = 0; i < n; i++)
        k((char *[]){m->want + i * out, m->a + i * in, m->b + i * in}, (ptrdiff_t[]){3 * out, 3 * in, 3 * in}, 1);
    k((char *[]){m->got, m->a, m->b}, (ptrdiff_t[]){out, in, in}, n);
    expect(r, isa, d, "contiguous", m->got, out, m->want, (size_t)out, n);
    spread_out(m->spread[0], m->a, (size_t)in, n);
    spread_out(m->spread[1], m->b, (size_t)in, n);
    k((char *[]){m->got, m->spread[0], m->spread[1]}, (ptrdiff_t[]){3 * out, 3 * in, 3 * in}, n);
    expect(r, isa, d, "strided", m->got, 3 * out, m->want, (size_t)out, n);
    k((char *[]){m->got + (n - 1) * out, m->a + (n - 1) * in, m->b + (n - 1) * in}, (ptrdiff_t[]){-out, -in, -in}, n);
    expect(r, isa, d, "backwards", m->got, out, m->want, (size_t)out, n);
    memmove(m->got + 1, m->a, (size_t)(n * in));
    k((char *[]){m->spread[0] + 1, m->got + 1, m->b}, (ptrdiff_t[]){out, in, in}, n);
    expect(r, isa, d, "unaligned", m->spread[0] + 1, out, m->want, (size_t)out, n);
    if (out == in) {
        memcpy(m->got, m->a, (size_t)(n * in));
        k((char *[]){m->got, m->got, m->b}, (ptrdiff_t[]){out, in, in}, n);
        expect(r, isa, d, "in place", m->got, out, m->want, (size_t)out, n);
    }
    if (r->nin == 1) return;
    for (ptrdiff_t i = 0; i < n; i++)
        k((char *[]){m->want + i * out, m->a + i * in, m->b}, (ptrdiff_t[]){3 * out, 3 * in, 3 * in}, 1);
    k((char *[]){m->got, m->a, m->b}, (ptrdiff_t[]){out, in, 0}, n);
    expect(r, isa, d, "second a scalar", m->got, out, m->want, (size_t)out, n);
    for (ptrdiff_t i = 0; i < n; i++)
        k((char *[]){m->want + i * out, m->a, m->b + i * in}, (ptrdiff_t[]){3 * out, 3 * in, 3 * in}, 1);
    k((char *[]){m->got, m->a, m->b}, (ptrdiff_t[]){out, 0, in}, n);
    expect(r, isa, d, "first a scalar", m->got, out, m->want, (size_t)out, n);
}

static void every_loop_gives_the_same_bits(void **state) {
    (void)state;
    struct buffers *m = malloc(sizeof *m);
    assert_non_null(m);
    const ptrdiff_t lengths[] = {1, 2, 3, 7, 16, 17, 31, 65, 600, LONG};
    int checked = 0;
    FOR_EACH_ISA(t)
    for (size_t r = 0; r < COUNT(rows); r++)
        for (int d = 0; d < WG_KERNEL_DTYPES; d++) {
            wg_kernel k = kernel_of(t, rows[r].op, (wg_dtype)d);
            if (!k) continue;
            for (size_t l = 0; l < COUNT(lengths); l++) check_row(&rows[r], k, *isa, (wg_dtype)d, m, lengths[l]);
            checked++;
        }
    free(m);
    print_message("%d kernels checked\n", checked);
    assert_true(checked > 300);
}

/* Which dtypes an op takes is said by its kind. */
static void kinds_have_their_dtypes(void **state) {
    (void)state;
    FOR_EACH_ISA(t) {
        for (int d = 0; d < WG_KERNEL_DTYPES; d++) {
            bool floating = d >= WG_FLOAT16;
            assert_int_equal(t->wg_exp[d] != NULL, floating);
            assert_int_equal(t->wg_neg[d] != NULL, d != WG_BOOL);
            assert_int_equal(t->wg_bitwise_and[d] != NULL, !floating);
            assert_int_equal(t->wg_bitwise_left_shift[d] != NULL, !floating && d != WG_BOOL);
            assert_non_null(t->wg_add[d]);
            assert_non_null(t->wg_eq[d]);
            assert_non_null(t->where[d]);
        }
    }
}

/* A reduction: output stride 0, the output first input too. */
static void output_stride_zero_reduces(void **state) {
    (void)state;
    FOR_EACH_ISA(t)
    for (int d = 1; d < WG_KERNEL_DTYPES; d++) {
        char in[50 * 8], sum[8], one[8] = {0};
        const ptrdiff_t size = (ptrdiff_t)item[d];
        for (int64_t i = 0; i < 50; i++)
            wg__cast_kernel(WG_INT64, (wg_dtype)d)((char *[]){in + i * size, (char *)&(int64_t){i % 3}},
                                                   (ptrdiff_t[]){8, 8}, 1);
        memcpy(sum, one, 8);
        t->wg_add[d]((char *[]){sum, sum, in}, (ptrdiff_t[]){0, 0, size}, 50);
        int64_t got;
        wg__cast_kernel((wg_dtype)d, WG_INT64)((char *[]){(char *)&got, sum}, (ptrdiff_t[]){8, 8}, 1);
        assert_int_equal(got, 49);
        t->wg_maximum[d]((char *[]){sum, sum, in}, (ptrdiff_t[]){0, 0, size}, 50);
        wg__cast_kernel((wg_dtype)d, WG_INT64)((char *[]){(char *)&got, sum}, (ptrdiff_t[]){8, 8}, 1);
        assert_int_equal(got, 49);
    }
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */

static __int128 floor_quotient(__int128 x, __int128 y) { return x / y - ((x % y != 0) && ((x < 0) != (y < 0))); }
static __int128 power(__int128 x, __int128 y) {
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint64_t r = 1, b = (uint64_t)x;
    for (uint64_t e = (uint64_t)y; e; e >>= 1, b *= b)
        if (e & 1) r *= b;
    return (__int128)r;
}
/* The answer before it is cut to the width. */
static __int128 integer_answer(size_t op, __int128 x, __int128 y, int bits) {
    if (op == OP(wg_add)) return x + y;
    if (op == OP(wg_sub)) return x - y;
    if (op == OP(wg_mul)) return x * y;
    if (op == OP(wg_floor_divide)) return y ? floor_quotient(x, y) : 0;
    if (op == OP(wg_remainder)) return y ? x - y * floor_quotient(x, y) : 0;
    if (op == OP(wg_fmod)) return y ? x % y : 0;
    if (op == OP(wg_pow)) return power(x, y);
    if (op == OP(wg_maximum)) return x > y ? x : y;
    if (op == OP(wg_minimum)) return x < y ? x : y;
    if (op == OP(wg_bitwise_and)) return x & y;
    if (op == OP(wg_bitwise_or)) return x | y;
    if (op == OP(wg_bitwise_xor)) return x ^ y;
    if (op == OP(wg_bitwise_left_shift)) return y < 0 || y >= bits ? 0 : (__int128)((unsigned __int128)x << y);
    if (op == OP(wg_bitwise_right_shift)) return y < 0 || y >= bits ? (x < 0 ? -1 : 0) : x >> y;
    return op == OP(wg_eq) ? x == y : op == OP(wg_lt) ? x < y : x >= y;
}
static int64_t load_integer(const char *p, wg_dtype d) {
    int64_t v;
    wg__cast_kernel(d, WG_INT64)((char *[]){(char *)&v, (char *)(uintptr_t)p}, (ptrdiff_t[]){8, 8}, 1);
    return v;
}

static void integers_agree_with_wide_arithmetic(void **state) {
    (void)state;
    const size_t ops[] = {OP(wg_add),
                          OP(wg_sub),
                          OP(wg_mul),
                          OP(wg_floor_divide),
                          OP(wg_remainder),
                          OP(wg_fmod),
                          OP(wg_pow),
                          OP(wg_maximum),
                          OP(wg_minimum),
                          OP(wg_bitwise_and),
                          OP(wg_bitwise_or),
                          OP(wg_bitwise_xor),
                          OP(wg_bitwise_left_shift),
                          OP(wg_bitwise_right_shift),
                          OP(wg_eq),
                          OP(wg_lt),
                          OP(wg_ge)};
    const struct wg_cpu_table *t = wg__cpu_table_for(wg__isa_name());
    for (int d = WG_UINT8; d <= WG_INT64; d++)
        for (size_t o = 0; o < COUNT(ops); o++)
            for (int i = 0; i < 4000; i++) {
                char x[8], y[8], z[8] = {0}, want[8];
                fill(x, (wg_dtype)d, 1);
                fill(y, (wg_dtype)d, 1);
                if (i % 8 == 0) memset(x, 0, 8), x[item[d] - 1] = (char)0x80; /* the least of a signed type */
                if (i % 8 < 2) memset(y, 0xff, 8);                            /* -1 */
                const ptrdiff_t s = (ptrdiff_t)item[d];
                kernel_of(t, ops[o], (wg_dtype)d)((char *[]){z, x, y}, (ptrdiff_t[]){s, s, s}, 1);
                int64_t xv = load_integer(x, (wg_dtype)d), yv = load_integer(y, (wg_dtype)d);
                int64_t answer = (int64_t)(uint64_t)integer_answer(ops[o], xv, yv, 8 * (int)s);
                memcpy(want, &answer, 8);
                if (memcmp(z, want, o >= 14 ? 1 : (size_t)s) != 0)
                    fail_msg("op %zu of %s: (%lld, %lld)", o, wg_dtype_name((wg_dtype)d), (long long)xv, (long long)yv);
            }
}

/* ---- 16-bit floats ----------------------------------------------------------------------------------------------- */

static float half_value(uint16_t h) {
    int e = (h >> 10) & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return (float)(h & 0x8000 ? -v : v);
}
static void half_precision_round_trips(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t in = (uint16_t)h, back;
        float f, want = half_value(in);
        wg__cast_kernel(WG_FLOAT16, WG_FLOAT32)((char *[]){(char *)&f, (char *)&in}, (ptrdiff_t[]){4, 2}, 1);
        assert_true(same_value(f, want));
        wg__cast_kernel(WG_FLOAT32, WG_FLOAT16)((char *[]){(char *)&back, (char *)&f}, (ptrdiff_t[]){2, 4}, 1);
        if (!isnan(want)) assert_int_equal(back, in);
        wg__cast_kernel(WG_BFLOAT16, WG_FLOAT32)((char *[]){(char *)&f, (char *)&in}, (ptrdiff_t[]){4, 2}, 1);
        wg__cast_kernel(WG_FLOAT32, WG_BFLOAT16)((char *[]){(char *)&back, (char *)&f}, (ptrdiff_t[]){2, 4}, 1);
        if (!isnan(f)) assert_int_equal(back, in);
    }
}

/* Between two neighbours the nearer is taken, in the middle the even one. */
static void half_precision_rounds_to_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float lo = half_value((uint16_t)h), hi = half_value((uint16_t)(h + 1)), mid = (lo + hi) / 2;
        float in[3] = {nextafterf(mid, lo), mid, nextafterf(mid, hi)};
        uint16_t out[3];
        wg__cast_kernel(WG_FLOAT32, WG_FLOAT16)((char *[]){(char *)out, (char *)in}, (ptrdiff_t[]){2, 4}, 3);
        assert_int_equal(out[0], h);
        assert_int_equal(out[1], h & 1 ? h + 1 : h);
        assert_int_equal(out[2], h + 1);
        uint32_t bits = (h << 16) | 0x8000, up = bits + 1, down = bits - 1;
        if (h >= 0x7f7f) continue;
        memcpy(&in[0], &down, 4), memcpy(&in[1], &bits, 4), memcpy(&in[2], &up, 4);
        wg__cast_kernel(WG_FLOAT32, WG_BFLOAT16)((char *[]){(char *)out, (char *)in}, (ptrdiff_t[]){2, 4}, 3);
        assert_int_equal(out[0], h);
        assert_int_equal(out[1], h & 1 ? h + 1 : h);
        assert_int_equal(out[2], h + 1);
    }
    const float big[] = {65519, 65520, 1e30f, -65520};
    const uint16_t want[] = {0x7bff, 0x7c00, 0x7c00, 0xfc00};
    for (int i = 0; i < 4; i++) {
        uint16_t out;
        wg__cast_kernel(WG_FLOAT32, WG_FLOAT16)((char *[]){(char *)&out, (char *)(uintptr_t)&big[i]},
                                                (ptrdiff_t[]){2, 4}, 1);
        assert_int_equal(out, want[i]);
    }
}

/* Every 16-bit kernel is the float32 kernel rounded once. */
static void half_kernels_are_float_kernels_rounded(void **state) {
    (void)state;
    static uint16_t a[N], b[N], z[N];
    static float fa[N], fb[N], fz[N];
    static uint8_t zb[N], fzb[N];
    FOR_EACH_ISA(t)
    for (int d = WG_FLOAT16; d <= WG_BFLOAT16; d++)
        for (size_t r = 0; r < COUNT(rows); r++) {
            wg_kernel k = kernel_of(t, rows[r].op, (wg_dtype)d), kf = kernel_of(t, rows[r].op, WG_FLOAT32);
            assert_int_equal(!k, !kf);
            if (!k) continue;
            fill((char *)a, (wg_dtype)d, N);
            fill((char *)b, (wg_dtype)d, N);
            wg__cast_kernel((wg_dtype)d, WG_FLOAT32)((char *[]){(char *)fa, (char *)a}, (ptrdiff_t[]){4, 2}, N);
            wg__cast_kernel((wg_dtype)d, WG_FLOAT32)((char *[]){(char *)fb, (char *)b}, (ptrdiff_t[]){4, 2}, N);
            if (rows[r].flag) {
                k((char *[]){(char *)zb, (char *)a, (char *)b}, (ptrdiff_t[]){1, 2, 2}, N);
                kf((char *[]){(char *)fzb, (char *)fa, (char *)fb}, (ptrdiff_t[]){1, 4, 4}, N);
                assert_memory_equal(zb, fzb, N);
                continue;
            }
            k((char *[]){(char *)z, (char *)a, (char *)b}, (ptrdiff_t[]){2, 2, 2}, N);
            kf((char *[]){(char *)fz, (char *)fa, (char *)fb}, (ptrdiff_t[]){4, 4, 4}, N);
            static uint16_t want[N];
            wg__cast_kernel(WG_FLOAT32, (wg_dtype)d)((char *[]){(char *)want, (char *)fz}, (ptrdiff_t[]){2, 4}, N);
            assert_memory_equal(z, want, sizeof z);
        }
}

/* ---- casts ------------------------------------------------------------------------------------------------------- */

static void casts_of_what_does_not_fit(void **state) {
    (void)state;
    const double in[] = {300, -1, NAN, INFINITY, -INFINITY, 1e20, -1e20, 3e9, -129, 1.9, -1.9};
    /* PyTorch 2.15 on x86. */
    const int64_t u8[] = {44, 255, 0, 0, 0, 0, 0, 0, 127, 1, 255}, i8[] = {44, -1, 0, 0, 0, 0, 0, 0, 127, 1, -1},
                  i16[] = {300, -1, 0, 0, 0, 0, 0, 0, -129, 1, -1},
                  i32[] = {300, -1, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, -129, 1, -1},
                  i64[] = {300, -1, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, 3000000000, -129, 1, -1};
    const int64_t *const want[] = {u8, i8, i16, i32, i64};
    for (size_t i = 0; i < COUNT(in); i++) {
        float f = (float)in[i];
        uint8_t b;
        wg__cast_kernel(WG_FLOAT32, WG_BOOL)((char *[]){(char *)&b, (char *)&f}, (ptrdiff_t[]){1, 4}, 1);
        assert_int_equal(b, 1);
        for (int d = WG_UINT8; d <= WG_INT64; d++) {
            char from32[8], from64[8];
            wg__cast_kernel(WG_FLOAT32, (wg_dtype)d)((char *[]){from32, (char *)&f}, (ptrdiff_t[]){8, 8}, 1);
            wg__cast_kernel(WG_FLOAT64, (wg_dtype)d)((char *[]){from64, (char *)(uintptr_t)&in[i]}, (ptrdiff_t[]){8, 8},
                                                     1);
            assert_int_equal(load_integer(from32, (wg_dtype)d), want[d - WG_UINT8][i]);
            assert_int_equal(load_integer(from64, (wg_dtype)d), want[d - WG_UINT8][i]);
        }
    }
}

/* All pairs, long and strided, against one element at a time; and integers through wider types and back. */
static void casts_of_all_pairs(void **state) {
    (void)state;
    struct buffers *m = malloc(sizeof *m);
    assert_non_null(m);
    for (int from = 0; from < WG_KERNEL_DTYPES; from++)
        for (int to = 0; to < WG_KERNEL_DTYPES; to++) {
            wg_kernel k = wg__cast_kernel((wg_dtype)from, (wg_dtype)to);
            const ptrdiff_t in = (ptrdiff_t)item[from], out = (ptrdiff_t)item[to];
            fill(m->a, (wg_dtype)from, LONG);
            for (ptrdiff_t i = 0; i < LONG; i++)
                k((char *[]){m->want + i * out, m->a + i * in}, (ptrdiff_t[]){3 * out, 3 * in}, 1);
            const struct row r = {"cast", 0, 1, false};
            k((char *[]){m->got, m->a}, (ptrdiff_t[]){out, in}, LONG);
            expect(&r, wg_dtype_name((wg_dtype)from), (wg_dtype)to, "contiguous", m->got, out, m->want, (size_t)out,
                   LONG);
            spread_out(m->spread[0], m->a, (size_t)in, LONG);
            k((char *[]){m->got, m->spread[0]}, (ptrdiff_t[]){2 * out, 3 * in}, LONG);
            expect(&r, wg_dtype_name((wg_dtype)from), (wg_dtype)to, "strided", m->got, 2 * out, m->want, (size_t)out,
                   LONG);
        }
    for (int i = 0; i < 1000; i++) {
        int64_t v = (int64_t)next(), back;
        int32_t i32;
        double f64;
        float f32;
        wg__cast_kernel(WG_INT64, WG_INT32)((char *[]){(char *)&i32, (char *)&v}, (ptrdiff_t[]){4, 8}, 1);
        assert_int_equal(i32, (int32_t)(uint32_t)(uint64_t)v);
        wg__cast_kernel(WG_INT32, WG_FLOAT64)((char *[]){(char *)&f64, (char *)&i32}, (ptrdiff_t[]){8, 4}, 1);
        wg__cast_kernel(WG_FLOAT64, WG_INT64)((char *[]){(char *)&back, (char *)&f64}, (ptrdiff_t[]){8, 8}, 1);
        assert_int_equal(back, i32);
        wg__cast_kernel(WG_INT64, WG_FLOAT32)((char *[]){(char *)&f32, (char *)&v}, (ptrdiff_t[]){4, 8}, 1);
        assert_true(f32 == (float)v);
    }
    free(m);
}

/* ---- where, clamp, scaled ---------------------------------------------------------------------------------------- */

static void ternary_kernels(void **state) {
    (void)state;
    FOR_EACH_ISA(t)
    for (int mode = 0; mode < 16; mode++) {
        float x[100], y[100], z[100];
        uint8_t c[100];
        for (int i = 0; i < 100; i++) x[i] = (float)i, y[i] = (float)-i, c[i] = next() & 1;
        /* Each bit makes an operand a scalar; the last strides the output. */
        ptrdiff_t s[4] = {mode & 8 ? 8 : 4, mode & 1 ? 0 : 1, mode & 2 ? 0 : 4, mode & 4 ? 0 : 4};
        const int n = mode & 8 ? 50 : 100;
        t->where[WG_FLOAT32]((char *[]){(char *)z, (char *)c, (char *)(x + 9), (char *)(y + 9)}, s, n - 9);
        for (int i = 0; i < n - 9; i++) {
            float want = c[mode & 1 ? 0 : i] ? x[mode & 2 ? 9 : 9 + i] : y[mode & 4 ? 9 : 9 + i];
            assert_true(z[mode & 8 ? 2 * i : i] == want);
        }
    }
    const float in[] = {-3, 0, 3, NAN, 5};
    FOR_EACH_ISA(t) {
        float lo = -1, hi = 4, nan = NAN, z[5];
        t->clamp[WG_FLOAT32]((char *[]){(char *)z, (char *)(uintptr_t)in, (char *)&lo, (char *)&hi},
                             (ptrdiff_t[]){4, 4, 0, 0}, 5);
        assert_true(z[0] == -1 && z[1] == 0 && z[2] == 3 && isnan(z[3]) && z[4] == 4);
        t->clamp[WG_FLOAT32]((char *[]){(char *)z, (char *)(uintptr_t)in, (char *)&hi, (char *)&lo},
                             (ptrdiff_t[]){4, 4, 0, 0}, 5);
        assert_true(z[0] == -1 && z[1] == -1 && z[4] == -1); /* min > max: max */
        t->clamp[WG_FLOAT32]((char *[]){(char *)z, (char *)(uintptr_t)in, (char *)&nan, (char *)&hi},
                             (ptrdiff_t[]){4, 4, 0, 0}, 5);
        for (int i = 0; i < 5; i++) assert_true(isnan(z[i]));
    }
}

static void scaled_kernels(void **state) {
    (void)state;
    double alpha = 3, minus = -2;
    FOR_EACH_ISA(t) {
        float x[20], y[20], z[20];
        int64_t xi[20], yi[20], zi[20];
        uint16_t h[2] = {0x4000, 0x4200}, hz; /* 2, 3 */
        for (int i = 0; i < 20; i++) x[i] = (float)i, y[i] = (float)(i * i), xi[i] = i, yi[i] = i * i;
        t->add_scaled[WG_FLOAT32]((char *[]){(char *)z, (char *)x, (char *)y, (char *)&alpha},
                                  (ptrdiff_t[]){4, 4, 4, 0}, 20);
        for (int i = 0; i < 20; i++) assert_true(z[i] == (float)(i + 3 * i * i));
        t->sub_scaled[WG_FLOAT32]((char *[]){(char *)z, (char *)x, (char *)y, (char *)&minus},
                                  (ptrdiff_t[]){4, 4, 4, 0}, 20);
        for (int i = 0; i < 20; i++) assert_true(z[i] == (float)(i + 2 * i * i));
        t->sub_scaled[WG_INT64]((char *[]){(char *)zi, (char *)xi, (char *)yi, (char *)&minus},
                                (ptrdiff_t[]){8, 8, 8, 0}, 20);
        for (int i = 0; i < 20; i++) assert_int_equal(zi[i], i + 2 * i * i);
        t->add_scaled[WG_FLOAT16]((char *[]){(char *)&hz, (char *)h, (char *)(h + 1), (char *)&alpha},
                                  (ptrdiff_t[]){2, 2, 2, 0}, 1);
        assert_int_equal(hz, 0x4980); /* 11 */
        t->rsub[WG_INT64]((char *[]){(char *)zi, (char *)xi, (char *)yi}, (ptrdiff_t[]){8, 8, 8}, 20);
        for (int i = 0; i < 20; i++) assert_int_equal(zi[i], i * i - i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(functions_are_accurate),
        cmocka_unit_test(pow_is_accurate),
        cmocka_unit_test(exact_functions),
        cmocka_unit_test(limits_are_those_of_c),
        cmocka_unit_test(pow_special_cases_are_those_of_c),
        cmocka_unit_test(binary_special_cases),
        cmocka_unit_test(every_loop_gives_the_same_bits),
        cmocka_unit_test(kinds_have_their_dtypes),
        cmocka_unit_test(output_stride_zero_reduces),
        cmocka_unit_test(integers_agree_with_wide_arithmetic),
        cmocka_unit_test(half_precision_round_trips),
        cmocka_unit_test(half_precision_rounds_to_even),
        cmocka_unit_test(half_kernels_are_float_kernels_rounded),
        cmocka_unit_test(casts_of_what_does_not_fit),
        cmocka_unit_test(casts_of_all_pairs),
        cmocka_unit_test(ternary_kernels),
        cmocka_unit_test(scaled_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
