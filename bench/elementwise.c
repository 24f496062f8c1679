/* elementwise.c - add, mul, relu, exp, tanh on 10^4, 10^6, 10^7 float32: microseconds a call for Wengert, whose results
 * lie in memory used before, and for C on the same memory, where the best of several loops counts:
 *
 *   plain   the loop that anyone writes, with the C library's function
 *   wide    vectors as long as this machine's, polynomials for exp and tanh
 *   stream  stores that go past the cache, for add, mul and relu on more than a cache holds
 */
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "support.h"

/* ---- C: plain loops ---------------------------------------------------------------------------------------------- */

typedef void loop(size_t n, const float *restrict x, const float *restrict y, float *restrict out);
#define PLAIN(name, expression)                                                                                        \
    static void name(size_t n, const float *restrict x, const float *restrict y, float *restrict out) {                \
        (void)y;                                                                                                       \
        for (size_t i = 0; i < n; i++) out[i] = expression;                                                            \
    }
PLAIN(plain_add, x[i] + y[i])
PLAIN(plain_mul, x[i] * y[i])
PLAIN(plain_relu, x[i] > 0 ? x[i] : 0)
PLAIN(plain_exp, expf(x[i]))
PLAIN(plain_tanh, tanhf(x[i]))

/* ---- C: vectors -------------------------------------------------------------------------------------------------- */

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int ivec __attribute__((vector_size(LANES * sizeof(int))));

static inline vec load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline void store(float *p, vec v) { memcpy(p, &v, sizeof(v)); }
static inline vec choose(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }

/* x = k ln 2 + r with |r| <= ln 2 / 2, the polynomial of degree 6 for e^r - 1 (Taylor's with the last terms fitted,
 * within 1 ulp or so), and 2^k put into the exponent. Adding 1.5 * 2^23 rounds to an integer. */
static inline vec exp_minus_one_reduced(vec r) {
    vec p = (vec){} + 1.3981999e-3f;
    p = p + r * 1.9875691e-4f;
    p = p * r + 8.3334519e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    return p * (r * r) + r;
}
static inline vec reduce(vec x, vec *power) {
    const float round = 12582912.0f;
    vec shifted = x * 1.44269504f + round, k = shifted - round;
    *power = (vec)(((ivec)shifted + 127) << 23); /* the low bits of shifted are k */
    return (x - k * 0.693359375f) + k * 2.12194440e-4f;
}
static inline vec exp_vector(vec x) {
    vec highest = (vec){} + 88.37f, lowest = (vec){} - 87.33f, power;
    x = choose(x > highest, highest, x);
    x = choose(x < lowest, lowest, x);
    vec r = reduce(x, &power);
    return exp_minus_one_reduced(r) * power + power;
}
/* tanh x = m / (m + 2) with m = e^2x - 1, whose own polynomial keeps its digits near 0; 1 beyond 9. */
static inline vec tanh_vector(vec x) {
    vec edge = (vec){} + 9.02f, power;
    x = choose(x > edge, edge, x);
    x = choose(x < -edge, -edge, x);
    vec r = reduce(x + x, &power);
    vec m = exp_minus_one_reduced(r) * power + (power - 1.0f);
    return m / (m + 2.0f);
}

#define WIDE(name, expression)                                                                                         \
    static void name(size_t n, const float *restrict x, const float *restrict y, float *restrict out) {                \
        (void)y;                                                                                                       \
        for (size_t i = 0; i < n; i += LANES) { /* n is a multiple */                                                  \
            vec a = load(x + i), b = load(y + i);                                                                      \
            (void)b;                                                                                                   \
            store(out + i, expression);                                                                                \
        }                                                                                                              \
    }
WIDE(wide_add, a + b)
WIDE(wide_mul, a *b)
WIDE(wide_relu, choose(a > 0, a, (vec){}))
WIDE(wide_exp, exp_vector(a))
WIDE(wide_tanh, tanh_vector(a))

#if defined(__AVX__)
#if defined(__AVX512F__)
#define STREAM(p, v) _mm512_stream_ps(p, (__m512)(v))
#else
#define STREAM(p, v) _mm256_stream_ps(p, (__m256)(v))
#endif
#define STREAMED(name, expression)                                                                                     \
    static void name(size_t n, const float *restrict x, const float *restrict y, float *restrict out) {                \
        (void)y;                                                                                                       \
        for (size_t i = 0; i < n; i += LANES) {                                                                        \
            vec a = load(x + i), b = load(y + i);                                                                      \
            (void)b;                                                                                                   \
            STREAM(out + i, expression);                                                                               \
        }                                                                                                              \
        _mm_sfence();                                                                                                  \
    }
STREAMED(stream_add, a + b)
STREAMED(stream_mul, a *b)
STREAMED(stream_relu, choose(a > 0, a, (vec){}))
STREAMED(stream_exp, exp_vector(a))
STREAMED(stream_tanh, tanh_vector(a))
#else
#define stream_add NULL
#define stream_mul NULL
#define stream_relu NULL
#define stream_exp NULL
#define stream_tanh NULL
#endif

/* ---- both sides -------------------------------------------------------------------------------------------------- */

typedef struct job {
    size_t n;
    float *x, *y, *out;
    wg_tensor *tx, *ty;
    loop *c;
    wg_tensor *(*unary)(wg_tensor *);
    wg_tensor *(*binary)(wg_tensor *, wg_tensor *);
} job;

static void run_c(void *context) {
    job *j = context;
    j->c(j->n, j->x, j->y, j->out);
}
static void run_wengert(void *context) {
    job *j = context;
    WG_SCOPE {
        if (j->unary)
            j->unary(j->tx);
        else
            j->binary(j->tx, j->ty);
    }
}

typedef struct row {
    const char *name;
    wg_tensor *(*unary)(wg_tensor *);
    wg_tensor *(*binary)(wg_tensor *, wg_tensor *);
    loop *c[3];
    double error; /* the C loops are held to this, relative, against double */
    double (*exact)(double, double);
} row;

static double exact_add(double x, double y) { return x + y; }
static double exact_mul(double x, double y) { return x * y; }
static double exact_relu(double x, double y) { return (void)y, x > 0 ? x : 0; }
static double exact_exp(double x, double y) { return (void)y, exp(x); }
static double exact_tanh(double x, double y) { return (void)y, tanh(x); }

static const row rows[] = {
    {"add", NULL, wg_add, {plain_add, wide_add, stream_add}, 1e-7, exact_add},
    {"mul", NULL, wg_mul, {plain_mul, wide_mul, stream_mul}, 1e-7, exact_mul},
    {"relu", wg_relu, NULL, {plain_relu, wide_relu, stream_relu}, 1e-7, exact_relu},
    {"exp", wg_exp, NULL, {plain_exp, wide_exp, stream_exp}, 3e-7, exact_exp},
    {"tanh", wg_tanh, NULL, {plain_tanh, wide_tanh, stream_tanh}, 3e-7, exact_tanh},
};
static const struct {
    size_t n;
    int calls, rounds;
} sizes[] = {{10000, 100, 40}, {1000000, 15, 15}, {10000000, 2, 7}};

static void verify(const row *r, const job *j, const float *out, const char *who) {
    for (size_t i = 0; i < j->n; i += 7) {
        double want = r->exact(j->x[i], j->y[i]);
        if (fabs(out[i] - want) <= r->error * fabs(want)) continue;
        fprintf(stderr, "%s %s(%.9g) is %.9g, not %.9g\n", who, r->name, (double)j->x[i], (double)out[i], want);
        exit(1);
    }
}

/* The sides take turns, so that a slow spell of the machine meets both. */
static void measure(const row *r, job *j, int calls, int rounds) {
    double c = INFINITY, ours = INFINITY;
    j->unary = r->unary;
    j->binary = r->binary;
    for (int l = 0; l < 3; l++) {
        if (!r->c[l]) continue;
        memset(j->out, 0, j->n * sizeof(float));
        r->c[l](j->n, j->x, j->y, j->out);
        verify(r, j, j->out, "C's");
    }
    WG_SCOPE {
        wg_tensor *out = r->unary ? r->unary(j->tx) : r->binary(j->tx, j->ty);
        verify(r, j, wg_const_data(out), "Wengert's");
    }
    for (int round = 0; round < rounds; round++) {
        keep_least(&ours, least_time(run_wengert, j, 1, calls));
        for (int l = 0; l < 3; l++) {
            j->c = r->c[l];
            if (j->c) keep_least(&c, least_time(run_c, j, 1, calls));
        }
    }
    char name[64];
    snprintf(name, sizeof(name), "elementwise.%s.%zu", r->name, j->n);
    report(name, ours * 1e6);
    snprintf(name, sizeof(name), "elementwise.%s.%zu.c", r->name, j->n);
    report(name, c * 1e6);
}

int main(void) {
    check(wg_set_num_threads(1));
    wg_manual_seed(0);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        size_t n = sizes[s].n;
        WG_SCOPE {
            job j = {.n = n};
            j.tx = wg_uniform_(wg_empty(WG_SHAPE((int64_t)n), NULL), -3, 3, NULL);
            j.ty = wg_uniform_(wg_empty(WG_SHAPE((int64_t)n), NULL), -3, 3, NULL);
            j.x = wg_data(j.tx);
            j.y = wg_data(j.ty);
            j.out = wg_data(wg_empty(WG_SHAPE((int64_t)n), NULL));
            for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++)
                measure(&rows[r], &j, sizes[s].calls, sizes[s].rounds);
        }
    }
    return finish();
}
