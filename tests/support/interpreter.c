/* interpreter.c - tensors of the naive interpreter: memory, elements and their rounding, promotion, pointwise ops with
 * their derivatives, writes. See interpreter.h. Nothing here calls the library.
 */
#include "interpreter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: one arena, emptied between programs ----------------------------------------------------------------- */

static _Alignas(16) char arena[64 << 20];
static size_t used;

void nt_reset(void) { used = 0; }
void *nt_alloc(size_t bytes) {
    void *p = arena + used;
    used += (bytes + 15) & ~(size_t)15;
    if (used > sizeof arena) {
        fprintf(stderr, "interpreter: a program needs more than the arena\n");
        abort();
    }
    return memset(p, 0, bytes);
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

bool nt_floating(wg_dtype d) { return d >= WG_FLOAT16 && d <= WG_FLOAT64; }
static bool half(wg_dtype d) { return d == WG_FLOAT16 || d == WG_BFLOAT16; }
double nt_unit(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-10 : d == WG_BFLOAT16 ? 0x1p-7 : d == WG_FLOAT32 ? 0x1p-23 : 0x1p-52;
}
double nt_greatest(wg_dtype d) {
    return d == WG_FLOAT16    ? 65504
           : d == WG_BFLOAT16 ? 0x1.fep127
           : d == WG_FLOAT32  ? 0x1.fffffep127
                              : 0x1.fffffffffffffp1023;
}
static double least(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-24 : d == WG_BFLOAT16 ? 0x1p-133 : d == WG_FLOAT32 ? 0x1p-149 : 0x1p-1074;
}

/* The nearest number with so many bits, a multiple of 2^floor, ties to even. */
static double with_bits(double v, int bits, int floor_exponent, double greatest) {
    int e;
    if (v == 0 || v - v != 0) return v;
    frexp(v, &e);
    int q = e - bits > floor_exponent ? e - bits : floor_exponent;
    double r = ldexp(nearbyint(ldexp(v, -q)), q);
    return fabs(r) > greatest ? copysign(INFINITY, v) : r;
}
double nt_held(wg_dtype d, double v) {
    if (d == WG_FLOAT64) return v;
    double f = (double)(float)v;
    if (d == WG_FLOAT16) return with_bits(f, 11, -24, 65504);
    return d == WG_BFLOAT16 ? with_bits(f, 8, -133, 0x1.fep127) : f;
}

static int64_t wrapped(wg_dtype d, int64_t i) {
    switch (d) {
    case WG_BOOL: return i != 0;
    case WG_UINT8: return (int64_t)((uint64_t)i & 0xff);
    case WG_INT8: return (int64_t)(((uint64_t)i & 0xff) ^ 0x80) - 0x80;
    case WG_INT16: return (int64_t)(((uint64_t)i & 0xffff) ^ 0x8000) - 0x8000;
    case WG_INT32: return (int64_t)(((uint64_t)i & 0xffffffff) ^ 0x80000000) - 0x80000000LL;
    default: return i;
    }
}
/* What an integer of so many bits cannot hold becomes its least number, as on x86. */
static int64_t cut(double v, int bits) {
    double limit = ldexp(1, bits - 1), whole = trunc(v);
    if (!(whole >= -limit && whole < limit)) return bits == 64 ? INT64_MIN : INT32_MIN;
    return (int64_t)whole;
}

cell nt_as(cell c, wg_dtype from, wg_dtype to) {
    if (from == to) return c;
    cell r = {.slack = c.slack};
    if (nt_floating(to)) {
        if (nt_floating(from))
            r.v = nt_held(to, c.v), r.t = c.t;
        else
            r.v = to == WG_FLOAT64 ? (double)c.i : nt_held(to, (double)(float)c.i);
        if (c.slack > 0) r.slack += fabs(r.v) * nt_unit(to);
    } else if (to == WG_BOOL) {
        r.i = nt_floating(from) ? c.v != 0 : c.i != 0;
    } else if (nt_floating(from)) {
        bool wide = to == WG_INT64 || (to == WG_UINT8 && from == WG_FLOAT64);
        r.i = wrapped(to, cut(c.v, wide ? 64 : 32));
    } else {
        r.i = wrapped(to, c.i);
    }
    return r;
}
cell nt_cell(wg_dtype d, double v) {
    return nt_floating(d) ? (cell){.v = nt_held(d, v)} : (cell){.i = wrapped(d, (int64_t)v)};
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

int64_t nt_numel(const nt *t) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->sizes[i];
    return n;
}
nt *nt_new(wg_dtype d, int ndim, const int64_t *sizes) {
    nt *t = nt_alloc(sizeof *t);
    int64_t n = 1;
    t->dtype = d;
    t->ndim = ndim;
    for (int i = ndim; i-- > 0; n *= sizes[i]) {
        t->sizes[i] = sizes[i];
        t->strides[i] = n;
    }
    t->memory = nt_alloc(sizeof *t->memory);
    t->memory->n = n;
    t->memory->v = nt_alloc((size_t)n * 8);
    t->memory->slack = nt_alloc((size_t)n * 8);
    t->memory->i = nt_alloc((size_t)n * 8);
    t->tangents = nt_alloc((size_t)n * 8);
    t->root = nt_alloc(sizeof *t->root);
    t->root->leaf = true;
    return t;
}
nt *nt_number(wg_dtype d, double v) {
    nt *t = nt_new(d, 0, NULL);
    t->number = true;
    nt_put(t, 0, nt_cell(d, v));
    return t;
}
nt *nt_alias(const nt *t) {
    nt *a = nt_alloc(sizeof *a);
    *a = *t;
    a->view = true;
    a->number = false;
    return a;
}
int64_t nt_place(const nt *t, int64_t flat) {
    int64_t at = t->offset;
    for (int i = t->ndim; i-- > 0; flat /= t->sizes[i]) at += flat % t->sizes[i] * t->strides[i];
    return at;
}
cell nt_get(const nt *t, int64_t flat) {
    int64_t p = nt_place(t, flat);
    const nt_memory *m = t->memory;
    return (cell){.v = m->v[p], .i = m->i[p], .t = t->tangents[p], .slack = m->slack[p]};
}
void nt_put(nt *t, int64_t flat, cell c) {
    int64_t p = nt_place(t, flat);
    nt_memory *m = t->memory;
    m->v[p] = nt_floating(t->dtype) ? nt_held(t->dtype, c.v) : 0;
    m->i[p] = nt_floating(t->dtype) ? 0 : wrapped(t->dtype, c.i);
    m->slack[p] = c.slack;
    t->tangents[p] = c.t;
}
bool nt_requires(const nt *t) { return nt_floating(t->dtype) && t->root->requires_grad; }
bool nt_same_shape(const nt *a, const nt *b) {
    return a->ndim == b->ndim && memcmp(a->sizes, b->sizes, (size_t)a->ndim * 8) == 0;
}

/* Dims by stride, each the product of the smaller ones. */
bool nt_dense(const nt *t) {
    int64_t step = 1, left = 0;
    bool done[NT_DIMS] = {false};
    if (nt_numel(t) == 0) return true;
    for (int i = 0; i < t->ndim; i++) left += t->sizes[i] > 1;
    while (left--) {
        int found = -1;
        for (int i = 0; i < t->ndim; i++)
            if (t->sizes[i] > 1 && !done[i] && t->strides[i] == step) found = i;
        if (found < 0) return false;
        done[found] = true;
        step *= t->sizes[found];
    }
    return true;
}
bool nt_meets_itself(const nt *t) {
    int64_t n = nt_numel(t);
    char *seen = nt_alloc((size_t)t->memory->n + 1);
    for (int64_t f = 0; f < n; f++) {
        char *s = &seen[nt_place(t, f)];
        if (*s) return true;
        *s = 1;
    }
    return false;
}
unsigned nt_wrap(int64_t *dim, int ndim) {
    int n = ndim ? ndim : 1;
    if (*dim < -n || *dim >= n) return INDEX;
    if (*dim < 0) *dim += n;
    return 0;
}
unsigned nt_broadcast(nt *const *in, int n, int *ndim, int64_t *sizes) {
    *ndim = 0;
    for (int k = 0; k < n; k++)
        if (in[k]->ndim > *ndim) *ndim = in[k]->ndim;
    for (int i = 0; i < *ndim; i++) {
        sizes[i] = 1;
        for (int k = 0; k < n; k++) {
            int own = i - (*ndim - in[k]->ndim);
            int64_t s = own < 0 ? 1 : in[k]->sizes[own];
            if (s == 1) continue;
            if (sizes[i] != 1 && sizes[i] != s) return RUNTIME;
            sizes[i] = s;
        }
    }
    return 0;
}
nt *nt_spread(const nt *t, int ndim, const int64_t *sizes) {
    nt *r = nt_alias(t);
    r->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        int own = i - (ndim - t->ndim);
        r->sizes[i] = sizes[i];
        r->strides[i] = own < 0 || t->sizes[own] != sizes[i] ? 0 : t->strides[own];
    }
    return r;
}

/* ---- promotion --------------------------------------------------------------------------------------------------- */

static int category(wg_dtype d) { return d == WG_DTYPE_NONE ? -1 : d == WG_BOOL ? 0 : nt_floating(d) ? 2 : 1; }
static wg_dtype promote(wg_dtype a, wg_dtype b) {
    if (a == WG_DTYPE_NONE || a == b) return b;
    if (category(a) != category(b)) return category(a) > category(b) ? a : b;
    if (half(a) && half(b)) return WG_FLOAT32;
    if ((a == WG_UINT8 && b == WG_INT8) || (a == WG_INT8 && b == WG_UINT8)) return WG_INT16;
    return a > b ? a : b; /* the codes ascend by width */
}
/* Tensors with dims, then those without, then numbers: a later class counts where its category is higher. */
wg_dtype nt_result_type(nt *const *in, int n) {
    wg_dtype result = WG_DTYPE_NONE;
    for (int rank = 0; rank < 3; rank++) {
        wg_dtype d = WG_DTYPE_NONE;
        for (int k = 0; k < n; k++) {
            int own = in[k]->number ? 2 : in[k]->ndim == 0 ? 1 : 0;
            if (own == rank) d = promote(d, rank == 2 && nt_floating(in[k]->dtype) ? WG_FLOAT32 : in[k]->dtype);
        }
        if (category(d) > category(result)) result = promote(result, d);
    }
    return result;
}
bool nt_can_cast(wg_dtype from, wg_dtype to) { return category(from) <= category(to); }

/* ---- what each op computes --------------------------------------------------------------------------------------- */

/* F: of floats, v from x and y, the tangent from them, their tangents p and q, and v. I: of integers and bools. */
#define UNUSED (void)d, (void)x, (void)y, (void)p, (void)q
#define FN(name, value, tangent, whole)                                                                                \
    static cell do_##name(wg_dtype d, const cell *c) {                                                                 \
        if (!nt_floating(d)) {                                                                                         \
            int64_t x = c[0].i, y = c[1].i, p = 0, q = 0;                                                              \
            UNUSED;                                                                                                    \
            return (cell){.i = wrapped(d, whole)};                                                                     \
        }                                                                                                              \
        double x = c[0].v, y = c[1].v, p = c[0].t, q = c[1].t, v = value;                                              \
        UNUSED;                                                                                                        \
        return (cell){.v = v, .t = tangent};                                                                           \
    }
/* to a bool */
#define TEST(name, value, whole)                                                                                       \
    static cell do_##name(wg_dtype d, const cell *c) {                                                                 \
        double x = c[0].v, y = c[1].v;                                                                                 \
        int64_t p = c[0].i, q = c[1].i;                                                                                \
        UNUSED;                                                                                                        \
        return (cell){.i = nt_floating(d) ? (value) : (whole)};                                                        \
    }
static int64_t plus(int64_t x, int64_t y) { return (int64_t)((uint64_t)x + (uint64_t)y); }
static int64_t minus(int64_t x, int64_t y) { return (int64_t)((uint64_t)x - (uint64_t)y); }
static int64_t times(int64_t x, int64_t y) { return (int64_t)((uint64_t)x * (uint64_t)y); }
static double sign(double x) { return (x > 0) - (x < 0); }
static double step(wg_dtype d, double v) { return d == WG_FLOAT64 ? v : (double)(float)v; } /* an intermediate number */

FN(neg, -x, -p, minus(0, x))
FN(abs, fabs(x), p *sign(x), x < 0 ? minus(0, x) : x)
FN(sign, sign(x), 0, (x > 0) - (x < 0))
FN(exp, exp(x), p *v, 0)
FN(log, log(x), p / x, 0)
FN(sqrt, sqrt(x), p / (2 * v), 0)
FN(rsqrt, step(d, 1 / step(d, sqrt(x))), p * -0.5 * v * v * v, 0)
FN(sin, sin(x), p *cos(x), 0)
FN(cos, cos(x), p * -sin(x), 0)
FN(tanh, tanh(x), p *(1 - v * v), 0)
FN(sigmoid, x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)), p *v *(1 - v), 0)
FN(relu, x<0 ? 0 : x, x> 0 ? p : 0, x < 0 ? 0 : x)
FN(reciprocal, 1 / x, p * -v * v, 0)
FN(floor, floor(x), 0, x)
FN(ceil, ceil(x), 0, x)
FN(round, nearbyint(x), 0, x)
FN(trunc, trunc(x), 0, x)
FN(bitwise_not, 0, 0, d == WG_BOOL ? !x : ~x)
TEST(isnan, isnan(x), 0)
TEST(isinf, isinf(x) != 0, 0)
TEST(isfinite, isfinite(x) != 0, 1)
TEST(logical_not, x == 0, p == 0)

FN(add, x + y, p + q, d == WG_BOOL ? x | y : plus(x, y))
FN(sub, x - y, p - q, minus(x, y))
FN(rsub, y - x, q - p, minus(y, x))
FN(mul, x *y, p *y + q * x, times(x, y))
FN(div, x / y, p / y - q * x / y / y, 0)
FN(maximum, isnan(x) ? x : isnan(y) ? y : x > y ? x : y, x == y ? (p + q) / 2 : x > y ? p : q, x > y ? x : y)
FN(minimum, isnan(x) ? x : isnan(y) ? y : x < y ? x : y, x == y ? (p + q) / 2 : x < y ? p : q, x < y ? x : y)
FN(atan2, atan2(x, y), (p * y - q * x) / (x * x + y * y), 0)
FN(fmod, fmod(x, y), p - q * trunc(x / y), y == 0 || y == -1 ? 0 : x % y)
TEST(eq, x == y, p == q)
TEST(ne, x != y, p != q)
TEST(lt, x < y, p < q)
TEST(le, x <= y, p <= q)
TEST(gt, x > y, p > q)
TEST(ge, x >= y, p >= q)
TEST(logical_and, x != 0 && y != 0, p &&q)
TEST(logical_or, x != 0 || y != 0, p || q)
TEST(logical_xor, (x != 0) != (y != 0), !p != !q)
FN(bitwise_and, 0, 0, x &y)
FN(bitwise_or, 0, 0, x | y)
FN(bitwise_xor, 0, 0, x ^ y)

static int bits_of(wg_dtype d) { return d <= WG_INT8 ? 8 : d == WG_INT16 ? 16 : d == WG_INT32 ? 32 : 64; }
FN(left_shift, 0, 0, y < 0 || y >= bits_of(d) ? 0 : (int64_t)((uint64_t)x << y))
FN(right_shift, 0, 0, y < 0 || y >= bits_of(d) ? (x < 0 ? -1 : 0) : x >> y)

/* Python's // and %, as PyTorch makes them from fmod. */
static int64_t floor_whole(int64_t x, int64_t y) {
    if (y == 0) return 0;
    if (y == -1) return minus(0, x);
    int64_t q = x / y;
    return x % y != 0 && (x % y < 0) != (y < 0) ? q - 1 : q;
}
static double floor_quotient(wg_dtype d, double x, double y) {
    if (y == 0) return x / y;
    double r = fmod(x, y), q = step(d, step(d, x - r) / y);
    if (r != 0 && (r < 0) != (y < 0)) q = step(d, q - 1);
    if (q == 0) return copysign(0, x / y);
    return q - floor(q) > 0.5 ? floor(q) + 1 : floor(q);
}
static double remainder_of(wg_dtype d, double x, double y) {
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? step(d, r + y) : r;
}
FN(floor_divide, floor_quotient(d, x, y), 0, floor_whole(x, y))
FN(remainder, remainder_of(d, x, y), p - q * floor_quotient(d, x, y),
   y == 0 ? 0 : minus(x, times(floor_whole(x, y), y)))

static int64_t pow_whole(wg_dtype d, int64_t x, int64_t y) {
    if (y < 0) return x == 1 ? 1 : x == wrapped(d, -1) ? (y % 2 ? wrapped(d, -1) : 1) : 0;
    int64_t r = 1;
    for (; y; y >>= 1, x = times(x, x))
        if (y & 1) r = times(r, x);
    return r;
}
/* Only where the base is positive does the interpreter know the exponent's derivative. */
static double pow_tangent(double x, double y, double p, double q, double v) {
    double base = y == 0 ? 0 : p * y * pow(x, y - 1);
    return q == 0 ? base : x > 0 ? base + q * v * log(x) : NAN;
}
FN(pow, y == 2 ? x * x : pow(x, y), pow_tangent(x, y, p, q, v), pow_whole(d, x, y))

/* Bounds: of two, the upper one is the last word. A derivative on a bound that is a tensor is shared. */
static double clamp_low(double x, double lo) { return isnan(x) ? x : isnan(lo) ? lo : x < lo ? lo : x; }
static double clamp_high(double x, double hi) { return isnan(x) ? x : isnan(hi) ? hi : x > hi ? hi : x; }
static cell do_clamp(wg_dtype d, const cell *c) {
    if (!nt_floating(d)) {
        int64_t x = c[0].i < c[1].i ? c[1].i : c[0].i;
        return (cell){.i = x > c[2].i ? c[2].i : x};
    }
    double x = c[0].v, lo = c[1].v, hi = c[2].v;
    double t = lo > hi ? c[2].t : x < lo ? c[1].t : x > hi ? c[2].t : c[0].t;
    return (cell){.v = clamp_high(clamp_low(x, lo), hi), .t = x == lo || x == hi ? NAN : t};
}

#define CALL(f) (void *)(uintptr_t)f
#define ROW(name, nin, kind, ulps, fn, smooth)                                                                         \
    { #name, nin, kind, ulps, do_##fn, CALL(wg_##name), smooth }
const nt_op nt_ops[] = {
    ROW(neg, 1, NUM, 0, neg, true),
    ROW(abs, 1, NUM, 0, abs, true),
    ROW(sign, 1, ANY, 0, sign, true),
    ROW(exp, 1, FLT, 3, exp, true),
    ROW(log, 1, FLT, 3, log, true),
    ROW(sqrt, 1, FLT, 0, sqrt, true),
    ROW(rsqrt, 1, FLT, 1, rsqrt, true),
    ROW(sin, 1, FLT, 3, sin, true),
    ROW(cos, 1, FLT, 3, cos, true),
    ROW(tanh, 1, FLT, 4, tanh, true),
    ROW(sigmoid, 1, FLT, 4, sigmoid, true),
    ROW(relu, 1, NUM, 0, relu, true),
    ROW(reciprocal, 1, FLT, 0, reciprocal, true),
    ROW(floor, 1, NUM, 0, floor, true),
    ROW(ceil, 1, NUM, 0, ceil, true),
    ROW(round, 1, NUM, 0, round, true),
    ROW(trunc, 1, NUM, 0, trunc, true),
    ROW(isnan, 1, FLAG, 0, isnan, false),
    ROW(isinf, 1, FLAG, 0, isinf, false),
    ROW(isfinite, 1, FLAG, 0, isfinite, false),
    ROW(logical_not, 1, FLAG, 0, logical_not, false),
    ROW(bitwise_not, 1, INT, 0, bitwise_not, false),
    ROW(add, 2, ANY, 0, add, true),
    ROW(sub, 2, NUM, 0, sub, true),
    ROW(rsub, 2, NUM, 0, rsub, true),
    ROW(mul, 2, ANY, 0, mul, true),
    ROW(div, 2, FLT, 0, div, true),
    ROW(floor_divide, 2, NUM, 0, floor_divide, false),
    ROW(remainder, 2, NUM, 0, remainder, true),
    ROW(fmod, 2, NUM, 0, fmod, true),
    ROW(pow, 2, NUM, 2, pow, true),
    ROW(maximum, 2, ANY, 0, maximum, true),
    ROW(minimum, 2, ANY, 0, minimum, true),
    ROW(atan2, 2, FLT, 3, atan2, true),
    ROW(eq, 2, FLAG, 0, eq, false),
    ROW(ne, 2, FLAG, 0, ne, false),
    ROW(lt, 2, FLAG, 0, lt, false),
    ROW(le, 2, FLAG, 0, le, false),
    ROW(gt, 2, FLAG, 0, gt, false),
    ROW(ge, 2, FLAG, 0, ge, false),
    ROW(logical_and, 2, FLAG, 0, logical_and, false),
    ROW(logical_or, 2, FLAG, 0, logical_or, false),
    ROW(logical_xor, 2, FLAG, 0, logical_xor, false),
    ROW(bitwise_and, 2, INT, 0, bitwise_and, false),
    ROW(bitwise_or, 2, INT, 0, bitwise_or, false),
    ROW(bitwise_xor, 2, INT, 0, bitwise_xor, false),
    ROW(bitwise_left_shift, 2, WHOLE, 0, left_shift, false),
    ROW(bitwise_right_shift, 2, WHOLE, 0, right_shift, false),
    ROW(clamp, 3, NUM, 0, clamp, true),
    {.name = NULL},
};

/* ---- running them ------------------------------------------------------------------------------------------------ */

static bool is(const nt_op *op, const char *name) { return strcmp(op->name, name) == 0; }

static unsigned check_dtype(const nt_op *op, nt *const *in, wg_dtype d) {
    if (is(op, "sub") || is(op, "rsub"))
        for (int k = 0; k < op->nin; k++)
            if (in[k]->dtype == WG_BOOL) return NOT_IMPLEMENTED;
    bool fits = op->kind == NUM     ? d != WG_BOOL
                : op->kind == INT   ? !nt_floating(d)
                : op->kind == WHOLE ? !nt_floating(d) && d != WG_BOOL
                                    : true;
    return fits ? 0 : NOT_IMPLEMENTED;
}

/* Whole numbers divided by a zero; a negative number as the power of a whole one. */
static unsigned check_whole(const nt_op *op, nt *const *in, wg_dtype d) {
    if (nt_floating(d) || op->nin != 2) return 0;
    bool divides = (is(op, "floor_divide") || is(op, "remainder") || is(op, "fmod")) && nt_numel(in[0]) > 0;
    if (is(op, "pow") && in[1]->number && in[1]->memory->i[0] < 0) return RUNTIME;
    for (int64_t f = nt_numel(in[1]); f-- > 0;)
        if (divides && nt_as(nt_get(in[1], f), in[1]->dtype, d).i == 0) return RUNTIME;
    return 0;
}

/* 16-bit floats times or over one element of another dtype: that is not rounded to 16 bits. */
static bool exact_second(const nt_op *op, nt *const *in, wg_dtype d) {
    return half(d) && op->nin == 2 && nt_numel(in[1]) == 1 && in[1]->dtype != d &&
           (is(op, "mul") || is(op, "div") || is(op, "floor_divide"));
}

static cell in_slack(const nt_op *op, wg_dtype d, cell r) {
    if (op->ulps > 0) r.slack = 2 * least(d) + (isfinite(r.v) ? op->ulps * nt_unit(d) * fabs(r.v) : 0);
    bool sign_is_open = is(op, "maximum") || is(op, "minimum") || is(op, "relu") || is(op, "clamp");
    if (sign_is_open) r.slack += 0x1p-1074;
    return r;
}

unsigned nt_pointwise(const nt_op *op, nt *const *in, nt **out) {
    int ndim;
    int64_t sizes[NT_DIMS];
    nt *wide[3];
    wg_dtype d = nt_result_type(in, op->nin);
    if (op->kind == FLT && !nt_floating(d)) d = WG_FLOAT32;
    unsigned wrong = nt_broadcast(in, op->nin, &ndim, sizes) | check_dtype(op, in, d) | check_whole(op, in, d);
    if (wrong) return wrong;
    bool exact = exact_second(op, in, d);
    for (int k = 0; k < op->nin; k++) wide[k] = nt_spread(in[k], ndim, sizes);
    *out = nt_new(op->kind == FLAG ? WG_BOOL : d, ndim, sizes);
    for (int64_t f = nt_numel(*out); f-- > 0;) {
        cell c[3] = {{0}};
        for (int k = 0; k < op->nin; k++) {
            wg_dtype to = exact && k == 1 ? WG_FLOAT32 : d;
            c[k] = nt_as(nt_get(wide[k], f), in[k]->dtype, to);
        }
        cell r = op->fn(d, c);
        r.v = half(d) ? (double)(float)r.v : r.v;
        nt_put(*out, f, in_slack(op, d, r));
    }
    return 0;
}

unsigned nt_where(nt *const in[3], nt **out) {
    int ndim;
    int64_t sizes[NT_DIMS];
    unsigned wrong = nt_broadcast(in, 3, &ndim, sizes);
    if (in[0]->dtype != WG_BOOL && in[0]->dtype != WG_UINT8) wrong |= RUNTIME;
    if (wrong) return wrong;
    nt *wide[3];
    for (int k = 0; k < 3; k++) wide[k] = nt_spread(in[k], ndim, sizes);
    *out = nt_new(nt_result_type(in + 1, 2), ndim, sizes);
    for (int64_t f = nt_numel(*out); f-- > 0;) {
        int k = nt_get(wide[0], f).i ? 1 : 2;
        nt_put(*out, f, nt_as(nt_get(wide[k], f), in[k]->dtype, (*out)->dtype));
    }
    return 0;
}

unsigned nt_masked_fill(nt *const in[3], nt **out) {
    int ndim;
    int64_t sizes[NT_DIMS];
    unsigned wrong = nt_broadcast(in, 2, &ndim, sizes);
    if (in[1]->dtype != WG_BOOL || in[2]->ndim != 0) wrong |= RUNTIME;
    if (wrong) return wrong;
    nt *x = nt_spread(in[0], ndim, sizes), *mask = nt_spread(in[1], ndim, sizes);
    cell value = nt_as(nt_get(in[2], 0), in[2]->dtype, in[0]->dtype);
    *out = nt_new(in[0]->dtype, ndim, sizes);
    for (int64_t f = nt_numel(*out); f-- > 0;) nt_put(*out, f, nt_get(mask, f).i ? value : nt_get(x, f));
    return 0;
}

unsigned nt_cast(nt *x, wg_dtype d, nt **out) {
    *out = nt_new(d, x->ndim, x->sizes);
    for (int64_t f = nt_numel(x); f-- > 0;) nt_put(*out, f, nt_as(nt_get(x, f), x->dtype, d));
    return 0;
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

/* Both dense over shared memory, but not element by element: PyTorch refuses. */
static bool half_shared(const nt *a, const nt *b) {
    if (a->memory != b->memory || nt_numel(a) == 0 || nt_numel(b) == 0 || !nt_dense(a) || !nt_dense(b)) return false;
    bool same = a->offset == b->offset && nt_same_shape(a, b) && a->dtype == b->dtype &&
                memcmp(a->strides, b->strides, (size_t)a->ndim * 8) == 0;
    return !same && a->offset < b->offset + nt_numel(b) && b->offset < a->offset + nt_numel(a);
}
unsigned nt_may_write(const nt *target, nt *const *in, int n, bool recording, nt_manner manner) {
    bool any = nt_requires(target);
    unsigned wrong = 0;
    for (int k = 0; k < n; k++) {
        any |= nt_requires(in[k]);
        if (half_shared(target, in[k]) && !(manner == NT_FILLS && in[k]->ndim == 0)) wrong |= RUNTIME;
    }
    any &= recording;
    bool one_number = manner == NT_FILLS && !any && (n == 0 || in[0]->number);
    if (any && target->multi) wrong |= RUNTIME;
    if (any && nt_requires(target) && target->root->leaf) wrong |= RUNTIME;
    for (int i = 0; i < target->ndim && !one_number && manner != NT_INDEXED; i++)
        if (target->sizes[i] > 1 && target->strides[i] == 0 && !nt_dense(target)) wrong |= RUNTIME;
    return wrong;
}
unsigned nt_may_cast(const nt *target, const nt *result) {
    return nt_can_cast(result->dtype, target->dtype) ? 0 : RUNTIME;
}
void nt_write(nt *target, const nt *result, bool tangents) {
    nt *wide = nt_spread(result, target->ndim, target->sizes),
       *copy = nt_new(result->dtype, target->ndim, target->sizes);
    int64_t n = nt_numel(target);
    for (int64_t f = 0; f < n; f++) nt_put(copy, f, nt_get(wide, f)); /* result may lie in the target */
    for (int64_t f = 0; f < n; f++) {
        cell c = nt_as(nt_get(copy, f), result->dtype, target->dtype);
        if (!tangents) c.t = target->tangents[nt_place(target, f)];
        nt_put(target, f, c);
    }
}
