/* test_ops.c - every op against what PyTorch recorded (tools/dump_ops.py): values, dtypes, sizes, strides, shared
 * storage, the graph's node names, gradients, and the type of exception where PyTorch raised.
 *
 * float64 must agree within 1e-12 of the sum of absolute terms; narrower types may be twice as far from the float64
 * result as PyTorch's own, plus 4 ulp; what only moves elements agrees bit for bit.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/op.h"
#include "support/recorded.h"
#include "wengert/wengert.h"

enum { MAX_IN = 6, MAX_ARGS = 8, MAX_OUT = 16, MAX_DIM = 8, MAX_SHOWN = 40, NOT_GIVEN = 255, MIN_SHAPES = 5 };
enum { COMPARE_BITS, COMPARE_ELEMENT, COMPARE_NORM, COMPARE_VALUES }; /* VALUES: 0 and -0 are the same */
enum { MODE_PLAIN, MODE_INPLACE, MODE_INPLACE_VIEW };

typedef struct call {
    char name[64], error[64];
    int number, mode, compare, nin, nargs;
    wg_tensor *in[MAX_IN], *list[MAX_IN];
    bool needs_grad[MAX_IN];
    int64_t ints[MAX_ARGS][MAX_DIM];
    wg_arg args[MAX_ARGS];
    uint64_t shapes;    /* a hash of the inputs' sizes */
    bool wrong, failed; /* complained about; raised where PyTorch did not */
} call;

static struct {
    int calls, wrong, known;
    long values, gradients, graphs, strides, errors;
} total;

/* ---- which ops were seen, with how many shapes ------------------------------------------------------------------- */

typedef struct seen {
    char name[64];
    int nshapes;
    uint64_t shapes[MIN_SHAPES];
} seen;
static seen all_seen[400];
static int nseen;

static seen *seen_of(const char *name) {
    for (int i = 0; i < nseen; i++)
        if (strcmp(all_seen[i].name, name) == 0) return &all_seen[i];
    assert_true(nseen < 400);
    strcpy(all_seen[nseen].name, name);
    return &all_seen[nseen++];
}
static void note_shapes(const call *c) {
    seen *s = seen_of(c->name);
    if (s->nshapes == MIN_SHAPES) return;
    for (int i = 0; i < s->nshapes; i++)
        if (s->shapes[i] == c->shapes) return;
    s->shapes[s->nshapes++] = c->shapes;
}

/* ---- differences that are known ---------------------------------------------------------------------------------- */

/* A complaint about op that holds part is one of these. One that is not met any more fails the test: strike it out. */
static struct {
    const char *op, *part, *why;
    int met;
} known[] = {
    {"remainder", "backward raises  ()", "number % tensor: PyTorch has no derivative, Wengert has", 0},
    {"pow", "\"pow\" not implemented for 'Bool'", "bool ** True is bool in PyTorch", 0},
    {"pow", "PyTorch nan", "-inf ** 0.5 by sqrt: PyTorch's way for that number, not for a tensor that holds it", 0},
    {"pow", "PyTorch -nan", "-inf ** -0.5, the same", 0},
    {"rsub", "stride 0 is 1", "y - x is laid out as y in PyTorch, as x here", 0},
    {"_threshold_backward", "stride 0 is 1", "internal; the same", 0},
    {"logsumexp", "PyTorch RuntimeError", "no dims: PyTorch fails, here it means all, as in the other reductions", 0},
    {"nll_loss", "NllLoss2DBackward0(ViewBackward0", "(N, C, d): PyTorch goes through (N, C, 1, d)", 0},
    {"cross_entropy", "NllLoss2DBackward0(ViewBackward0", "the same", 0},
    {"cross_entropy", "MulBackward1(", "PyTorch's C++ multiplies by a scalar there: another overload's name", 0},
    {"cross_entropy", "DivBackward1(", "the same", 0},
    {"mse_loss", "ExpandBackward0", "different shapes: PyTorch's Python function expands first", 0},
    {"mse_loss", "stride 0 is 5", "no reduction: row-major here, laid out as the first input in PyTorch", 0},
    {"scatter_add", "backward raises  ()", "src larger than index: PyTorch's gradient of src does not fit it", 0},
    {"clamp", "PyTorch's ClampBackward0(", "one tensor bound: PyTorch lists a place for the other", 0},
    {"clamp_", "PyTorch's ClampBackward0(", "the same", 0},
    {"clamp_", "leaf1,-)", "the same", 0},
    {"clamp.min_only", "PyTorch's ClampBackward0(", "the same", 0},
    {"clamp.max_only", "PyTorch's ClampBackward0(", "the same", 0},
    {"matmul", "CloneBackward0(TransposeBackward0", "a batch of one against a batch: PyTorch folds it", 0},
};
static bool is_known(const char *op, const char *text) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].op, op) == 0 && strstr(text, known[i].part)) return ++known[i].met;
    return false;
}

/* ---- complaints -------------------------------------------------------------------------------------------------- */

static void complain(call *c, const char *format, ...) WG_PRINTF(2, 3);
static void complain(call *c, const char *format, ...) {
    char text[2000], sizes[400] = "";
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (is_known(c->name, text)) {
        total.known++;
        return;
    }
    if (!c->wrong) total.wrong++;
    c->wrong = true;
    if (total.wrong > MAX_SHOWN) return;
    for (int i = 0; i < c->nin; i++) {
        size_t n = strlen(sizes);
        n += (size_t)snprintf(sizes + n, sizeof sizes - n, " %s[", wg_dtype_name(wg_dtype_of(c->in[i])));
        for (int d = 0; d < wg_ndim(c->in[i]); d++)
            n += (size_t)snprintf(sizes + n, sizeof sizes - n, "%s%d", d ? "," : "", (int)wg_size(c->in[i], d));
        snprintf(sizes + n, sizeof sizes - n, "]");
    }
    const char *mode = c->mode == MODE_INPLACE_VIEW ? " on a view" : "";
    print_error("call %d, %s%s,%s: %s\n", c->number, c->name, mode, sizes, text);
}

/* ---- reading calls ----------------------------------------------------------------------------------------------- */

static void read_text(recorded *r, char *to, size_t room, int width) {
    size_t n = recorded_u(r, width);
    assert_true(n < room);
    memcpy(to, recorded_take(r, n), n);
    to[n] = 0;
}
static int64_t read_sizes(recorded *r, int ndim, int64_t *sizes, int64_t *strides) {
    int64_t n = 1;
    assert_true(ndim <= MAX_DIM);
    for (int i = 0; i < ndim; i++) n *= sizes[i] = recorded_i(r, 4);
    for (int i = 0; i < ndim; i++) strides[i] = recorded_i(r, 4);
    return n;
}

/* An input: a leaf that looks into a flat storage with its own strides. */
static wg_tensor *read_input(recorded *r, call *c, int k) {
    int64_t sizes[MAX_DIM], strides[MAX_DIM];
    wg_dtype dtype = (wg_dtype)recorded_u(r, 1);
    bool grad = recorded_u(r, 1) & 1;
    int ndim = (int)recorded_u(r, 1);
    read_sizes(r, ndim, sizes, strides);
    int64_t offset = recorded_i(r, 4), stored = (int64_t)recorded_u(r, 4);
    wg_tensor *flat = wg_from_data(recorded_take(r, (size_t)stored * wg_dtype_size(dtype)), dtype, 1, &stored, NULL);
    wg_tensor *t = wg_detach(wg_as_strided(flat, ndim, sizes, strides, stored ? offset : 0));
    c->shapes = c->shapes * 1000003 + (uint64_t)ndim + 1;
    for (int i = 0; i < ndim; i++) c->shapes = c->shapes * 1000003 + (uint64_t)sizes[i];
    c->needs_grad[k] = grad;
    return grad ? wg_set_requires_grad(t, true) : t;
}

static wg_arg tensor_arg(wg_tensor *t) { return (wg_arg){.tag = WG_TAG_TENSOR, .v.t = t}; }

static wg_arg read_ints(recorded *r, int64_t *at) {
    uint32_t n = (uint32_t)recorded_u(r, 1);
    assert_true(n <= MAX_DIM);
    for (uint32_t i = 0; i < n; i++) at[i] = recorded_i(r, 4);
    return (wg_arg){.tag = WG_TAG_INTS, .n = n, .v.ints = at};
}
static wg_arg read_tensors(recorded *r, call *c) {
    uint32_t n = (uint32_t)recorded_u(r, 1);
    assert_true(n <= MAX_IN);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t k = recorded_u(r, 1);
        c->list[i] = k == NOT_GIVEN ? NULL : c->in[k];
    }
    return (wg_arg){.tag = WG_TAG_TENSORS, .n = n, .v.ts = c->list};
}
static wg_arg read_arg(recorded *r, call *c, int k) {
    switch (recorded_u(r, 1)) {
    case 1: return (wg_arg){.tag = WG_TAG_INT, .v.i = recorded_i(r, 8)};
    case 2: return (wg_arg){.tag = WG_TAG_DOUBLE, .v.d = recorded_f64(r)};
    case 3: return (wg_arg){.tag = WG_TAG_BOOL, .v.i = (int64_t)recorded_u(r, 1)};
    case 4: return read_ints(r, c->ints[k]);
    case 5: return (wg_arg){.tag = WG_TAG_DTYPE, .v.i = (int64_t)recorded_u(r, 1)};
    case 6: return tensor_arg(c->in[recorded_u(r, 1)]);
    case 7: return read_tensors(r, c);
    case 8: return tensor_arg(wg_s(recorded_f64(r)));
    case 9: return tensor_arg(wg_i(recorded_i(r, 8)));
    case 10: return tensor_arg(wg_b(recorded_i(r, 8) != 0));
    default: return (wg_arg){.tag = WG_TAG_NONE};
    }
}

static void read_call(recorded *r, call *c, int number) {
    *c = (call){.number = number};
    read_text(r, c->name, sizeof c->name, 1);
    c->mode = (int)recorded_u(r, 1);
    c->compare = (int)recorded_u(r, 1);
    if (recorded_u(r, 1)) read_text(r, c->error, sizeof c->error, 1);
    c->nin = (int)recorded_u(r, 1);
    assert_true(c->nin <= MAX_IN);
    for (int i = 0; i < c->nin; i++) c->in[i] = read_input(r, c, i);
    c->nargs = (int)recorded_u(r, 1);
    assert_true(c->nargs <= MAX_ARGS);
    for (int i = 0; i < c->nargs; i++) c->args[i] = read_arg(r, c, i);
}

/* ---- ops that are not in the registry: composites, views of one kind, in-place forms ----------------------------- */

#define A(k) a[k].v.t
#define INT(k) a[k].v.i
static double number_of(const wg_arg *a) { return a->tag == WG_TAG_DOUBLE ? a->v.d : (double)a->v.i; }
static wg_reduce over(const wg_arg *dims, bool keepdim) {
    wg_reduce o = {.size = sizeof o, .keepdim = keepdim};
    if (dims->tag == WG_TAG_INTS) o.dims = (wg_ints){(int)dims->n, dims->v.ints};
    return o;
}
static wg_tensor *do_norm(const wg_arg *a) {
    wg_reduce o = over(&a[2], a[3].v.i);
    return wg_norm_opt(A(0), number_of(&a[1]), &o);
}
static wg_tensor *truth(wg_status st, bool value) { return st == WG_OK ? wg_b(value) : wg_neg(NULL); }
static wg_tensor *do_prod(const wg_arg *a) {
    int64_t dim = INT(1);
    wg_reduce o = {.size = sizeof o,
                   .keepdim = INT(2),
                   .dims = {a[1].tag != WG_TAG_NONE, &dim},
                   .has_dtype = a[3].tag == WG_TAG_DTYPE,
                   .dtype = (wg_dtype)INT(3)};
    return wg_prod_opt(A(0), &o);
}
static wg_tensor *do_equal(const wg_arg *a) {
    bool same = false;
    wg_status st = wg_equal(A(0), A(1), &same);
    return truth(st, same);
}
static wg_tensor *do_allclose(const wg_arg *a) {
    bool same = false;
    wg_status st = wg_allclose(A(0), A(1), a[2].v.d, a[3].v.d, INT(4), &same);
    return truth(st, same);
}
static wg_tensor *do_isclose(const wg_arg *a) { return wg_isclose(A(0), A(1), a[2].v.d, a[3].v.d, INT(4)); }
static wg_tensor *do_square(const wg_arg *a) { return wg_square(A(0)); }
static wg_tensor *do_conj(const wg_arg *a) { return wg_conj(A(0)); }
static wg_tensor *do_reshape(const wg_arg *a) { return wg_reshape(A(0), (int)a[1].n, a[1].v.ints); }
static wg_tensor *do_narrow(const wg_arg *a) { return wg_narrow(A(0), INT(1), INT(2), INT(3)); }
static wg_tensor *do_flatten(const wg_arg *a) { return wg_flatten(A(0), INT(1), INT(2)); }
static wg_tensor *do_mT(const wg_arg *a) { return wg_mT(A(0)); }
static wg_tensor *do_expand_as(const wg_arg *a) { return wg_expand_as(A(0), A(1)); }
static wg_tensor *do_contiguous(const wg_arg *a) { return wg_contiguous(A(0)); }
static wg_tensor *do_to(const wg_arg *a) { return wg_to(A(0), (wg_dtype)INT(1)); }
static wg_tensor *do_add_(const wg_arg *a) {
    return a[2].tag ? wg_add_alpha_(A(0), A(1), number_of(&a[2])) : wg_add_(A(0), A(1));
}
static wg_tensor *do_sub_(const wg_arg *a) {
    return a[2].tag ? wg_sub_alpha_(A(0), A(1), number_of(&a[2])) : wg_sub_(A(0), A(1));
}
static wg_tensor *do_mul_(const wg_arg *a) { return wg_mul_(A(0), A(1)); }
static wg_tensor *do_div_(const wg_arg *a) { return wg_div_(A(0), A(1)); }
static wg_tensor *do_pow_(const wg_arg *a) { return wg_pow_(A(0), A(1)); }
static wg_tensor *do_copy_(const wg_arg *a) { return wg_copy_(A(0), A(1)); }
static wg_tensor *do_fill_(const wg_arg *a) { return wg_fill_(A(0), A(1)); }
static wg_tensor *do_zero_(const wg_arg *a) { return wg_zero_(A(0)); }
static wg_tensor *do_relu_(const wg_arg *a) { return wg_relu_(A(0)); }
static wg_tensor *do_exp_(const wg_arg *a) { return wg_exp_(A(0)); }
static wg_tensor *do_tanh_(const wg_arg *a) { return wg_tanh_(A(0)); }
static wg_tensor *do_sigmoid_(const wg_arg *a) { return wg_sigmoid_(A(0)); }
static wg_tensor *do_neg_(const wg_arg *a) { return wg_neg_(A(0)); }
static wg_tensor *do_clamp_(const wg_arg *a) { return wg_clamp_(A(0), A(1), A(2)); }
static wg_tensor *do_masked_fill_(const wg_arg *a) { return wg_masked_fill_(A(0), A(1), A(2)); }
static wg_tensor *do_index_put_(const wg_arg *a) { return wg_index_put_(A(0), a[1].v.ts, (int)a[1].n, A(2), INT(3)); }

typedef wg_tensor *(*direct_fn)(const wg_arg *a);
static const struct {
    const char *name;
    direct_fn fn;
} direct[] = {
    {"norm", do_norm},
    {"prod", do_prod},
    {"equal", do_equal},
    {"allclose", do_allclose},
    {"isclose", do_isclose},
    {"square", do_square},
    {"conj", do_conj},
    {"reshape", do_reshape},
    {"narrow", do_narrow},
    {"flatten", do_flatten},
    {"mT", do_mT},
    {"expand_as", do_expand_as},
    {"contiguous", do_contiguous},
    {"to", do_to},
    {"add_", do_add_},
    {"sub_", do_sub_},
    {"mul_", do_mul_},
    {"div_", do_div_},
    {"pow_", do_pow_},
    {"copy_", do_copy_},
    {"fill_", do_fill_},
    {"zero_", do_zero_},
    {"relu_", do_relu_},
    {"exp_", do_exp_},
    {"tanh_", do_tanh_},
    {"sigmoid_", do_sigmoid_},
    {"neg_", do_neg_},
    {"clamp_", do_clamp_},
    {"masked_fill_", do_masked_fill_},
    {"index_put_", do_index_put_},
};

/* ---- making the call --------------------------------------------------------------------------------------------- */

static wg_status call_direct(const call *c, wg_tensor **out, int *n) {
    if (strcmp(c->name, "chunk") == 0) return wg_chunk(c->in[0], c->args[1].v.i, c->args[2].v.i, out, MAX_OUT, n);
    if (strcmp(c->name, "sort") == 0) { /* x, dim, descending, stable */
        out[0] = wg_sort(c->in[0], c->args[1].v.i, c->args[2].v.i, c->args[3].v.i, &out[1]);
        *n = 2;
        return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
    }
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++)
        if (strcmp(direct[i].name, c->name) == 0) {
            out[0] = direct[i].fn(c->args);
            *n = 1;
            return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
        }
    return wg_call_op(c->name, c->args, c->nargs, out, MAX_OUT, n);
}

/* In place means on a clone of the first input, or on a view of that clone; the clone is the result. */
static wg_status make_call(call *c, wg_tensor **out, int *n) {
    if (c->mode == MODE_PLAIN) return call_direct(c, out, n);
    wg_tensor *base = wg_clone(c->in[0]);
    c->args[0].v.t = c->mode == MODE_INPLACE ? base : wg_transpose(base, -1, -2);
    wg_status st = call_direct(c, out, n);
    out[0] = base;
    return st;
}

/* ---- comparing tensors ------------------------------------------------------------------------------------------- */

typedef struct wanted {
    wg_dtype dtype;
    int ndim;
    int64_t sizes[MAX_DIM], strides[MAX_DIM], n;
    const char *bytes;
    bool has_reference;
    double size; /* norm of the sum of absolute terms */
    const unsigned char *reference;
} wanted;

static void read_wanted(recorded *r, wanted *w) {
    *w = (wanted){.dtype = (wg_dtype)recorded_u(r, 1)};
    w->ndim = (int)recorded_u(r, 1);
    w->n = read_sizes(r, w->ndim, w->sizes, w->strides);
    w->bytes = (const char *)recorded_take(r, (size_t)w->n * wg_dtype_size(w->dtype));
    w->has_reference = recorded_u(r, 1) != 0;
    if (!w->has_reference) return;
    w->size = recorded_f64(r);
    if (w->dtype != WG_FLOAT64) w->reference = recorded_take(r, (size_t)w->n * 8);
}

static double ulp_of_one(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-10 : d == WG_BFLOAT16 ? 0x1p-7 : d == WG_FLOAT32 ? FLT_EPSILON : DBL_EPSILON;
}
static double smallest_normal(wg_dtype d) { return d == WG_FLOAT16 ? 0x1p-14 : d == WG_FLOAT64 ? DBL_MIN : FLT_MIN; }
static double ulp_at(double v, wg_dtype d) {
    int e;
    frexp(fmax(fabs(v), smallest_normal(d)), &e);
    return ldexp(ulp_of_one(d), e - 1);
}
static double element(const void *bytes, wg_dtype d, int64_t i) {
    return wg__load_double((const char *)bytes + (size_t)i * wg_dtype_size(d), d);
}
static double reference_at(const wanted *w, int64_t i) {
    double v;
    if (!w->reference) return element(w->bytes, w->dtype, i);
    memcpy(&v, w->reference + i * 8, 8);
    return v;
}
static bool same_element(const wanted *w, const char *ours, int64_t i, int compare) {
    size_t size = wg_dtype_size(w->dtype);
    if (memcmp(w->bytes + (size_t)i * size, ours + (size_t)i * size, size) == 0) return true;
    double o = element(ours, w->dtype, i), t = element(w->bytes, w->dtype, i);
    if (!wg_dtype_is_floating(w->dtype)) return false;
    return (isnan(o) && isnan(t)) || (compare == COMPARE_VALUES && o == t);
}
/* Both nan, or the same infinity, or both finite. */
static bool same_kind(double a, double b) { return isfinite(a) ? isfinite(b) : isnan(a) ? isnan(b) : a == b; }
static double distance(double a, double b) { return isfinite(a) && isfinite(b) ? fabs(a - b) : 0; }

static bool near_element(const wanted *w, double ours, double theirs, double exact) {
    if (!isfinite(theirs)) return same_kind(ours, theirs);
    if (w->dtype == WG_FLOAT64) return distance(ours, theirs) <= 1e-12 * fabs(theirs);
    return distance(ours, exact) <= 2 * distance(theirs, exact) + 4 * ulp_at(exact, w->dtype);
}

typedef struct errors {
    double ours, theirs, between; /* squared: to the reference, and from each other */
} errors;

static bool near_norm(const wanted *w, const errors *e) {
    if (w->dtype == WG_FLOAT64) return sqrt(e->between) <= 1e-12 * w->size;
    return sqrt(e->ours) <= 2 * sqrt(e->theirs) + 4 * ulp_of_one(w->dtype) * w->size;
}

static void compare_values(call *c, const wanted *w, const char *ours, int compare, const char *what) {
    errors sum = {0};
    if (!wg_dtype_is_floating(w->dtype)) compare = COMPARE_BITS;
    for (int64_t i = 0; i < w->n; i++) {
        double o = element(ours, w->dtype, i), t = element(w->bytes, w->dtype, i), x = reference_at(w, i);
        bool good = compare == COMPARE_BITS || compare == COMPARE_VALUES
                        ? same_element(w, ours, i, compare)
                        : same_kind(o, t) && (compare == COMPARE_NORM || near_element(w, o, t, x));
        sum.ours += distance(o, x) * distance(o, x);
        sum.theirs += distance(t, x) * distance(t, x);
        sum.between += distance(o, t) * distance(o, t);
        if (good) continue;
        complain(c, "%s, element %d: %.17g, PyTorch %.17g, exactly %.17g", what, (int)i, o, t, x);
        return;
    }
    if (compare == COMPARE_NORM && !near_norm(w, &sum))
        complain(c, "%s: error %.3g, PyTorch's %.3g, between them %.3g, of terms %.3g", what, sqrt(sum.ours),
                 sqrt(sum.theirs), sqrt(sum.between), w->size);
}

/* Dtype, sizes and values; false when the shapes differ. */
static bool compare_tensor(call *c, const wanted *w, wg_tensor *t, int compare, const char *what) {
    if (wg_dtype_of(t) != w->dtype) {
        complain(c, "%s is %s, PyTorch's %s", what, wg_dtype_name(wg_dtype_of(t)), wg_dtype_name(w->dtype));
        return false;
    }
    if (wg_ndim(t) != w->ndim || memcmp(wg_sizes(t), w->sizes, (size_t)w->ndim * 8) != 0) {
        complain(c, "%s has other sizes than PyTorch's", what);
        return false;
    }
    size_t bytes = (size_t)w->n * wg_dtype_size(w->dtype);
    char *ours = malloc(bytes + 1);
    assert_non_null(ours);
    assert_int_equal(wg_copy_out(t, w->dtype, ours, bytes), WG_OK);
    compare_values(c, w, ours, compare, what);
    free(ours);
    return true;
}

static void compare_strides(call *c, const wanted *w, const wg_tensor *t) {
    for (int i = 0; i < w->ndim; i++)
        if (wg_stride(t, i) != w->strides[i]) {
            complain(c, "stride %d is %d, PyTorch's %d", i, (int)wg_stride(t, i), (int)w->strides[i]);
            return;
        }
    total.strides++;
}

/* ---- the graph as text ------------------------------------------------------------------------------------------- */

typedef struct line {
    char s[3000];
    size_t n;
} line;
static void say(line *l, const char *text) {
    size_t n = strlen(text);
    assert_true(l->n + n < sizeof l->s);
    memcpy(l->s + l->n, text, n + 1);
    l->n += n;
}
/* Name(next,next): leaves by input number, "-" where no gradient goes. */
static void say_graph(line *l, const call *c, wg_node *node) {
    char leaf[16];
    wg_tensor *variable = wg_node_variable(node);
    for (int i = 0; variable && i < c->nin; i++)
        if (variable == c->in[i]) {
            snprintf(leaf, sizeof leaf, "leaf%d", i);
            say(l, leaf);
            return;
        }
    say(l, wg_node_name(node));
    int said = 0;
    for (int i = 0; i < wg_node_inputs(node); i++) {
        wg_node *next = wg_node_next(node, i, NULL);
        say(l, said++ ? "," : "(");
        if (next)
            say_graph(l, c, next);
        else
            say(l, "-");
    }
    if (said) say(l, ")");
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

static int which_input(const call *c, const wg_tensor *t, bool storage) {
    for (int i = 0; i < c->nin; i++)
        if (storage ? wg_numel(t) && wg_numel(c->in[i]) && wg_same_storage(t, c->in[i]) : t == c->in[i]) return i;
    return NOT_GIVEN;
}

static void check_output(recorded *r, call *c, wg_tensor *t, wanted *w) {
    char theirs[3000];
    line ours = {.n = 0};
    int shares = (int)recorded_u(r, 1), is = (int)recorded_u(r, 1);
    read_wanted(r, w);
    read_text(r, theirs, sizeof theirs, 2);
    if (!t) return;
    if (compare_tensor(c, w, t, c->compare, "value")) compare_strides(c, w, t);
    total.values++;
    int our_shares = which_input(c, t, true), our_is = which_input(c, t, false);
    if (our_shares != shares) complain(c, "shares storage with input %d, PyTorch's with %d", our_shares, shares);
    if (our_is != is) complain(c, "is input %d, PyTorch's is %d", our_is, is);
    wg_node *node = wg_grad_fn(t);
    if (node) say_graph(&ours, c, node);
    total.graphs += node != NULL;
    if (strcmp(ours.s, theirs) != 0) complain(c, "grad_fn is %s, PyTorch's %s", ours.s, theirs);
}

static void check_gradient(recorded *r, call *c, int k, wg_tensor *g, bool ran) {
    wanted w;
    char what[40];
    bool given = recorded_u(r, 1) != 0;
    snprintf(what, sizeof what, "gradient of input %d", k);
    if (given) read_wanted(r, &w);
    if (!ran) return;
    total.gradients++;
    if (given != (g != NULL))
        complain(c, "%s is %s", what, g ? "there, not in PyTorch" : "not there, but in PyTorch");
    else if (g)
        compare_tensor(c, &w, g, COMPARE_NORM, what);
}

/* What wg_grad takes: outputs with a cotangent, inputs that require grad. */
typedef struct pull {
    wg_tensor *out[MAX_OUT], *cotangent[MAX_OUT], *leaf[MAX_IN], *grad[MAX_IN];
    int nout, nleaf, number[MAX_IN];
} pull;

static void read_cotangents(recorded *r, const wanted *w, wg_tensor *const *out, int n, pull *p) {
    for (int i = 0; i < n; i++) {
        if (!recorded_u(r, 1)) continue;
        const void *bytes = recorded_take(r, (size_t)w[i].n * wg_dtype_size(w[i].dtype));
        p->out[p->nout] = out[i];
        p->cotangent[p->nout++] = wg_from_data(bytes, w[i].dtype, w[i].ndim, w[i].sizes, NULL);
    }
}

static void check_backward(recorded *r, call *c, wg_tensor *const *out, const wanted *w, int n) {
    pull p = {.nout = 0};
    char error[64];
    read_cotangents(r, w, out, n, &p);
    read_text(r, error, sizeof error, 1);
    for (int i = 0; i < c->nin; i++)
        if (c->needs_grad[i]) p.number[p.nleaf] = i, p.leaf[p.nleaf++] = c->in[i];
    bool skip = c->wrong || c->failed;
    wg_status st =
        skip ? WG_OK : wg_grad(p.out, p.nout, p.leaf, p.nleaf, p.cotangent, WG_WALK(.allow_unused = true), p.grad);
    const char *ours = st == WG_OK ? "" : wg_status_name(st);
    if (!skip && strcmp(ours, error) != 0)
        complain(c, "backward raises %s (%s), PyTorch's %s", ours, st == WG_OK ? "" : wg_last_message(), error);
    wg_clear_error();
    total.errors += error[0] != 0;
    for (int i = 0; i < p.nleaf && !error[0]; i++) check_gradient(r, c, p.number[i], p.grad[i], !skip && st == WG_OK);
}

static void check_results(recorded *r, call *c, wg_tensor **out, int n, bool ran) {
    wanted w[MAX_OUT];
    int nout = (int)recorded_u(r, 1);
    assert_true(nout <= MAX_OUT);
    if (ran && n != nout) complain(c, "%d results, PyTorch's %d", n, nout);
    for (int i = 0; i < nout; i++) check_output(r, c, ran && n == nout ? out[i] : NULL, &w[i]);
    if (recorded_u(r, 1)) check_backward(r, c, out, w, nout);
}

static void replay(recorded *r, int number) {
    call c;
    wg_tensor *out[MAX_OUT];
    int n = 0;
    read_call(r, &c, number);
    wg_status st = make_call(&c, out, &n);
    bool ran = st == WG_OK;
    const char *raised = ran ? "" : wg_status_name(wg_last_status());
    total.calls++;
    total.errors += c.error[0] != 0;
    if (strcmp(raised, c.error) != 0)
        complain(&c, "raises %s (%s), PyTorch %s", raised, ran ? "" : wg_last_message(), c.error);
    wg_clear_error();
    if (c.error[0]) return;
    c.failed = !ran;
    note_shapes(&c);
    check_results(r, &c, out, n, ran);
}

static void recorded_calls(void **state) {
    (void)state;
    recorded r;
    if (recorded_open(&r, "ops.bin", "ops 1") != 0) fail_msg("%s", r.why);
    int n = (int)recorded_u(&r, 4);
    for (int i = 0; i < n; i++) WG_SCOPE replay(&r, i);
    assert_ptr_equal(r.at, r.end);
    recorded_close(&r);
    print_message("%d recorded calls of %d ops: %ld values, %ld gradients, %ld graphs of grad_fn names, %ld sets of "
                  "strides, %ld exceptions; %d known differences, %d others\n",
                  total.calls, nseen, total.values, total.gradients, total.graphs, total.strides, total.errors,
                  total.known, total.wrong);
    assert_int_equal(total.wrong, 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!known[i].met) fail_msg("%s no longer differs (%s): strike it out", known[i].op, known[i].why);
}

/* ---- nothing is left out ----------------------------------------------------------------------------------------- */

static int lacks_shapes(const char *name) {
    const seen *s = seen_of(name);
    if (s->nshapes >= MIN_SHAPES) return 0;
    print_error("%s: recorded with %d shapes, %d are wanted\n", name, s->nshapes, MIN_SHAPES);
    return 1;
}
static void every_op_is_recorded(void **state) {
    (void)state;
    int missing = 0;
    for (int i = 0; wg__op_at(i); i++) { /* other overloads and composites: tests/ops/test_composites.c */
        const char *name = wg__op_at(i)->name;
        if (!wg__op_composite(wg__op_at(i)) || seen_of(name)->nshapes) missing += lacks_shapes(name);
    }
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) missing += lacks_shapes(direct[i].name);
    assert_int_equal(missing + lacks_shapes("chunk"), 0);
}

static void refuses_its_own_data(void **state) {
    (void)state;
    static const char own[] = "wengert-golden ops 1\nproducer wengert 0.1.0\nscript tools/dump_ops.py\nsha256 0\n\n";
    static const char stale[] =
        "wengert-golden ops 1\nproducer pytorch 2.15.0\nscript tools/dump_ops.py\nsha256 01\n\n";
    recorded r;
    assert_int_equal(recorded_open_bytes(&r, own, sizeof own - 1, "ops 1"), -1);
    assert_non_null(strstr(r.why, "made by wengert"));
    assert_int_equal(recorded_open_bytes(&r, stale, sizeof stale - 1, "ops 1"), -1);
    assert_non_null(strstr(r.why, "has changed"));
}

static int live(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(recorded_calls, live),
        cmocka_unit_test_teardown(every_op_is_recorded, live),
        cmocka_unit_test_teardown(refuses_its_own_data, live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
