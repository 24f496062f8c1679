/* random_sample.c - sampling with tensors of parameters: bernoulli(p), normal(mean, std), multinomial. Their gradients
 * are zero. Fills with plain numbers for parameters are in random_ops.c.
 */
#include <math.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/random_draw.h"

/* ---- bernoulli --------------------------------------------------------------------------------------------------- */

static wg_status fill_each(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_bernoulli_each(d->g, dtype, out, n, (wg_dtype)d->p->dtype, d->p->data);
}

/* Every probability in [0, 1], nan refused. p is read in any order. */
static wg_status check_probabilities(wg_tensor *p) {
    wg_status status = wg__draw_needs_float((wg_dtype)p->dtype, "bernoulli", "bernoulli_tensor_cpu_p_");
    if (status != WG_OK) return status;
    wg_tensor *flat = wg__contiguous(p, (wg_dtype)p->dtype);
    if (!flat) return WG_ERR_MEMORY;
    bool good = true;
    for (int64_t i = 0; i < flat->numel && good; i++) {
        double v = wg__load_double(flat->data + (size_t)i * wg__itemsize(flat), (wg_dtype)p->dtype);
        good = v >= 0 && v <= 1;
    }
    wg_release(flat);
    return good ? WG_OK
                : wg__raise(WG_ERR_RUNTIME, "bernoulli",
                            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (every probability must be "
                            "between 0 and 1)");
}

static wg_status shape_bernoulli(const wg_call *c, wg_geometry *out) {
    wg__draw_same_shape(c->in[0], out);
    return check_probabilities(c->in[0]);
}
static wg_status run_bernoulli(const wg_call *c) {
    struct wg__draw d = {.fill = fill_each, .g = wg__draw_generator(&c->attr[0]), .p = c->in[0]};
    return wg__draw_into(c->out[0], &d);
}
static const wg_op op_bernoulli = {
    .name = "bernoulli",
    .schema = "bernoulli(Tensor self, *, Generator? generator=None) -> Tensor",
    .doc = "1 with probability self, else 0",
    .nin = 1,
    .nout = 1,
    .shape = shape_bernoulli,
    .run = {run_bernoulli},
    .vjp = wg__draw_vjp,
    .jvp = wg__draw_jvp,
};

wg_tensor *wg_bernoulli(wg_tensor *p, wg_generator *generator) {
    if (wg__draw_usable("bernoulli", p, generator) != WG_OK) return WG_POISON;
    return wg__apply(&op_bernoulli, &p, 1, (wg_value[]){wg__draw_value(generator)}, 1, WG_SITE);
}

/* p must broadcast to the target as expand does. */
static wg_status shape_bernoulli_each(const wg_call *c, wg_geometry *out) {
    const wg_tensor *t = c->in[0], *p = c->in[1];
    char a[256], b[256];
    wg__draw_same_shape(t, out);
    wg__sizes_text(a, sizeof a, t->ndim, t->dims);
    wg__sizes_text(b, sizeof b, p->ndim, p->dims);
    if (p->ndim > t->ndim)
        return wg__raise(WG_ERR_RUNTIME, "bernoulli_",
                         "expand: the requested shape has too few dimensions! Target sizes: %s. Tensor sizes: %s", a,
                         b);
    for (int i = 1; i <= p->ndim; i++) {
        int at = t->ndim - i;
        int64_t had = p->dims[p->ndim - i];
        if (had != 1 && had != t->dims[at])
            return wg__raise(WG_ERR_RUNTIME, "bernoulli_",
                             "The expanded size of the tensor (%lld) must match the existing size (%lld) at "
                             "non-singleton dimension %d.  Target sizes: %s.  Tensor sizes: %s",
                             (long long)t->dims[at], (long long)had, at, a, b);
    }
    return check_probabilities(c->in[1]);
}
static wg_status run_bernoulli_each(const wg_call *c) {
    struct wg__draw d = {.fill = fill_each, .g = wg__draw_generator(&c->attr[0]), .p = c->in[1]};
    return wg__draw_into(c->out[0], &d);
}
static const char *bernoulli_each_name(const wg_call *c) {
    (void)c;
    return "BernoulliBackward1";
}
static const wg_op op_bernoulli_each = {
    .name = "bernoulli",
    .schema = "bernoulli_(Tensor(a!) self, Tensor p, *, Generator? generator=None) -> Tensor(a!)",
    .doc = "fills with 1 of probability p, element by element, else 0",
    .traits = WG_SAFE_INPLACE,
    .nin = 2,
    .nout = 1,
    .shape = shape_bernoulli_each,
    .run = {run_bernoulli_each},
    .vjp = wg__draw_vjp,
    .jvp = wg__draw_jvp,
    .grad_name = bernoulli_each_name,
};

wg_tensor *wg_bernoulli_tensor_(wg_tensor *t, wg_tensor *p, wg_generator *generator) {
    if (wg__draw_usable("bernoulli", t, generator) != WG_OK) return WG_POISON;
    if (wg__draw_usable("bernoulli", p, generator) != WG_OK) return WG_POISON;
    return wg__apply_inplace(&op_bernoulli_each, (wg_tensor *[]){t, p}, 2, (wg_value[]){wg__draw_value(generator)}, 1,
                             WG_SITE);
}

/* ---- normal ------------------------------------------------------------------------------------------------------ */

static double rounded(wg_dtype dtype, double v) {
    char held[8];
    wg__store_double(held, dtype, v);
    return wg__load_double(held, dtype);
}

/* One op, three calls: mean and std, only mean (std an attribute), only std. Attributes: the number, the generator. */
static const wg_tensor *std_of(const wg_call *c) { return c->op->nin == 2 ? c->in[1] : c->in[0]; }

static wg_status check_std(const wg_tensor *std) {
    wg_tensor *flat = wg__contiguous((wg_tensor *)(uintptr_t)std, (wg_dtype)std->dtype);
    if (!flat) return WG_ERR_MEMORY;
    bool good = true;
    for (int64_t i = 0; i < flat->numel && good; i++)
        good = wg__load_double(flat->data + (size_t)i * wg__itemsize(flat), (wg_dtype)std->dtype) >= 0;
    wg_release(flat);
    return good ? WG_OK : wg__raise(WG_ERR_RUNTIME, "normal", "normal expects all elements of std >= 0.0");
}

static wg_status shape_normal_mean(const wg_call *c, wg_geometry *out) {
    wg__draw_same_shape(c->in[0], out);
    if (!(c->attr[0].d >= 0))
        return wg__raise(WG_ERR_RUNTIME, "normal", "normal expects std >= 0.0, but found std %g", c->attr[0].d);
    return wg__draw_needs_float(out->dtype, "normal", "normal_kernel_cpu");
}
static wg_status shape_normal_std(const wg_call *c, wg_geometry *out) {
    wg__draw_same_shape(c->in[0], out);
    wg_status status = wg__draw_needs_float(out->dtype, "normal", "normal_kernel_cpu");
    return status == WG_OK ? check_std(std_of(c)) : status;
}
static wg_status shape_normal_both(const wg_call *c, wg_geometry *out) {
    wg_status status = wg__broadcast("normal", (const wg_tensor *const *)c->in, 2, out);
    if (status != WG_OK) return status;
    out->dtype = (wg_dtype)c->in[0]->dtype;
    status = wg__draw_needs_float(out->dtype, "normal", "normal_kernel_cpu");
    return status == WG_OK ? check_std(std_of(c)) : status;
}

/* x broadcast to out's sizes, as row-major elements. Owned; NULL on failure. */
static wg_tensor *spread(const wg_tensor *x, const wg_tensor *out) {
    ptrdiff_t bytes[WG_MAX_DIMS];
    int64_t strides[WG_MAX_DIMS];
    wg__broadcast_strides(x, out->ndim, out->dims, bytes);
    for (int i = 0; i < out->ndim; i++) strides[i] = bytes[i] / (ptrdiff_t)wg__itemsize(x);
    wg_tensor *view = wg__alias(x, out->ndim, out->dims, strides, 0, false);
    wg_tensor *flat = view ? wg__contiguous(view, (wg_dtype)x->dtype) : NULL;
    wg_release(view);
    return flat;
}

/* out = out op x with one rounding to out's dtype, out row-major. In double: exact enough for every dtype here. */
static wg_status scale_or_shift(wg_tensor *out, const wg_tensor *x, bool scale) {
    wg_tensor *flat = spread(x, out);
    if (!flat) return WG_ERR_MEMORY;
    wg_dtype dtype = (wg_dtype)out->dtype, x_dtype = (wg_dtype)x->dtype;
    char *p = out->data;
    const char *q = flat->data;
    for (int64_t i = 0; i < out->numel; i++, p += wg_dtype_size(dtype), q += wg_dtype_size(x_dtype)) {
        double a = wg__load_double(p, dtype), b = wg__load_double(q, x_dtype);
        wg__store_double(p, dtype, scale ? a * b : a + b);
    }
    wg_release(flat);
    return WG_OK;
}

static wg_status shift_by(wg_tensor *out, double by) {
    wg_dtype dtype = (wg_dtype)out->dtype;
    char *p = out->data;
    by = rounded(dtype, by);
    for (int64_t i = 0; i < out->numel; i++, p += wg_dtype_size(dtype))
        wg__store_double(p, dtype, wg__load_double(p, dtype) + by);
    return WG_OK;
}

static wg_status draw_normal(const wg_call *c, double std) {
    wg_tensor *out = c->out[0];
    return wg__rng_normal(wg__draw_generator(&c->attr[1]), (wg_dtype)out->dtype, out->data, out->numel, 0, std, false);
}
static wg_status run_normal_mean(const wg_call *c) {
    wg_status status = draw_normal(c, c->attr[0].d);
    return status == WG_OK ? scale_or_shift(c->out[0], c->in[0], false) : status;
}
static wg_status run_normal_std(const wg_call *c) {
    wg_status status = draw_normal(c, 1);
    if (status == WG_OK) status = scale_or_shift(c->out[0], c->in[0], true);
    return status == WG_OK ? shift_by(c->out[0], c->attr[0].d) : status;
}
static wg_status run_normal_both(const wg_call *c) {
    wg_status status = draw_normal(c, 1);
    if (status == WG_OK) status = scale_or_shift(c->out[0], c->in[1], true);
    return status == WG_OK ? scale_or_shift(c->out[0], c->in[0], false) : status;
}

static const char *normal_name(const wg_call *c);
#define NORMAL(which, nin_, schema_)                                                                                   \
    static const wg_op op_normal_##which = {.name = "normal",                                                          \
                                            .schema = schema_,                                                         \
                                            .doc = "normals with these means and standard deviations",                 \
                                            .nin = nin_,                                                               \
                                            .nout = 1,                                                                 \
                                            .shape = shape_normal_##which,                                             \
                                            .run = {run_normal_##which},                                               \
                                            .vjp = wg__draw_vjp,                                                       \
                                            .jvp = wg__draw_jvp,                                                       \
                                            .grad_name = normal_name}
NORMAL(mean, 1, "normal.Tensor_float(Tensor mean, float std=1, *, Generator? generator=None) -> Tensor");
NORMAL(std, 1, "normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor");
NORMAL(both, 2, "normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor");
static const char *normal_name(const wg_call *c) {
    return c->op == &op_normal_mean  ? "NormalBackward1"
           : c->op == &op_normal_std ? "NormalBackward2"
                                     : "NormalBackward3";
}

static bool is_number(const wg_tensor *t) { return (t->flags & TF_NUMBER) != 0; }
static double number(const wg_tensor *t) { return wg__load_double(t->data, (wg_dtype)t->dtype); }

wg_tensor *wg_normal_tensor(wg_tensor *mean, wg_tensor *std, wg_generator *generator) {
    wg_tensor *in[2] = {mean, std};
    if (!mean || !std)
        return wg__fail(WG_ERR_TYPE, "normal", "normal(): argument %d must be Tensor, not None", mean ? 2 : 1);
    if (!wg__ok(mean) || !wg__ok(std)) return WG_POISON;
    if (wg__draw_usable("normal", mean, generator) != WG_OK) return WG_POISON;
    if (wg__draw_usable("normal", std, generator) != WG_OK) return WG_POISON;
    wg_value attr[2] = {WG_VAL_NONE, wg__draw_value(generator)};
    if (is_number(mean) && is_number(std))
        return wg_normal(number(mean), number(std), WG_SCALAR_SHAPE, NULL, generator);
    if (is_number(std)) {
        attr[0] = WG_VAL_D(number(std));
        return wg__apply(&op_normal_mean, &mean, 1, attr, 2, WG_SITE);
    }
    if (!is_number(mean)) return wg__apply(&op_normal_both, in, 2, attr, 2, WG_SITE);
    attr[0] = WG_VAL_D(number(mean));
    return wg__apply(&op_normal_std, &std, 1, attr, 2, WG_SITE);
}

/* ---- multinomial ------------------------------------------------------------------------------------------------- */

typedef struct candidate {
    double value;
    int64_t index;
} candidate;

/* Largest value first, nan before all, equal values by index. */
static int by_value(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    bool x_nan = isnan(x->value), y_nan = isnan(y->value);
    if (x_nan != y_nan) return x_nan ? -1 : 1;
    if (!x_nan && x->value != y->value) return x->value > y->value ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* What a draw reads of a row: weights in double, and the dtype that sums and quotients are rounded to. */
typedef struct row {
    const char *weights;
    wg_dtype dtype;
    int64_t categories;
} row;
static double weight(const row *r, int64_t i) {
    return wg__load_double(r->weights + (size_t)i * wg_dtype_size(r->dtype), r->dtype);
}

static wg_status check_row(const row *r) {
    double sum = 0;
    for (int64_t i = 0; i < r->categories; i++) {
        double w = weight(r, i);
        if (!(w >= 0) || isinf(w))
            return wg__raise(WG_ERR_RUNTIME, "multinomial",
                             "probability tensor contains either `inf`, `nan` or element < 0");
        sum += w;
    }
    return sum > 0 ? WG_OK
                   : wg__raise(WG_ERR_RUNTIME, "multinomial",
                               "invalid multinomial distribution (sum of probabilities <= 0)");
}

/* Exponential races: the n categories whose weight over an exponential is largest. q: the row's exponentials. */
static wg_status race(const row *r, const char *q, int64_t n, int64_t *out) {
    size_t bytes = (size_t)r->categories * sizeof(candidate);
    candidate *c = wg__malloc(bytes);
    if (!c) return wg__no_memory("multinomial", bytes);
    for (int64_t i = 0; i < r->categories; i++) {
        double e = wg__load_double(q + (size_t)i * wg_dtype_size(r->dtype), r->dtype);
        c[i] = (candidate){rounded(r->dtype, weight(r, i) / e), i};
    }
    qsort(c, (size_t)r->categories, sizeof *c, by_value);
    for (int64_t i = 0; i < n; i++) out[i] = c[i].index;
    wg__mfree(c, bytes);
    return WG_OK;
}

static wg_status without_replacement(wg_tensor *weights, const wg_tensor *flat, int64_t rows, int64_t n,
                                     wg_generator *g, int64_t *out) {
    row r = {flat->data, (wg_dtype)flat->dtype, flat->dims[flat->ndim - 1]};
    size_t bytes = (size_t)r.categories * wg_dtype_size(r.dtype);
    wg_status status = WG_OK;
    for (int64_t i = 0; i < rows && status == WG_OK; i++, r.weights += bytes) status = check_row(&r);
    if (status != WG_OK) return status;
    /* The exponentials lie in memory as the weights do, which decides which weight gets which. */
    wg_tensor *q = wg_exponential_(wg_empty_like(weights, NULL), 1, g), *e = NULL;
    if (wg__ok(q)) e = wg__contiguous(q, r.dtype);
    if (!e) return WG_ERR_MEMORY;
    r.weights = flat->data;
    for (int64_t i = 0; i < rows && status == WG_OK; i++, r.weights += bytes)
        status = race(&r, e->data + (size_t)i * bytes, n, out + i * n);
    wg_release(e);
    return status;
}

/* Running sums of the row, divided by the last. Sums are float32 for the half types. */
static wg_status cumulate(const row *r, double *sums) {
    wg_dtype dtype = r->dtype == WG_FLOAT64 ? WG_FLOAT64 : WG_FLOAT32;
    double sum = 0;
    for (int64_t i = 0; i < r->categories; i++) {
        double w = weight(r, i);
        if (!(w >= 0))
            return wg__raise(WG_ERR_RUNTIME, "multinomial",
                             "invalid multinomial distribution (encountering probability entry < 0)");
        if (isinf(w))
            return wg__raise(WG_ERR_RUNTIME, "multinomial",
                             "invalid multinomial distribution (encountering probability entry = infinity or NaN)");
        sums[i] = sum = rounded(dtype, sum + w);
        if (wg__poll_at(i)) return WG_ERR_INTERRUPTED;
    }
    if (!(sum > 0))
        return wg__raise(WG_ERR_RUNTIME, "multinomial", "invalid multinomial distribution (sum of probabilities <= 0)");
    for (int64_t i = 0; i < r->categories; i++) {
        sums[i] = rounded(dtype, sums[i] / sum);
        if (wg__poll_at(i)) return WG_ERR_INTERRUPTED;
    }
    return WG_OK;
}

/* First index whose running sum reaches u. */
static int64_t first_reaching(const double *sums, int64_t n, double u) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (sums[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n ? low : n - 1;
}

static wg_status with_replacement(const wg_tensor *flat, int64_t rows, int64_t n, wg_generator *g, int64_t *out) {
    row r = {flat->data, (wg_dtype)flat->dtype, flat->dims[flat->ndim - 1]};
    size_t bytes = (size_t)r.categories * sizeof(double);
    double *sums = wg__malloc(bytes), u[256];
    wg_status status = sums ? WG_OK : wg__no_memory("multinomial", bytes);
    for (int64_t i = 0; i < rows && status == WG_OK; i++) {
        status = cumulate(&r, sums);
        for (int64_t done = 0, len; done < n && status == WG_OK; done += len) {
            len = n - done < 256 ? n - done : 256;
            status = wg__rng_doubles(g, u, len);
            for (int64_t j = 0; j < len; j++) *out++ = first_reaching(sums, r.categories, u[j]);
            if (status == WG_OK && wg__poll()) status = WG_ERR_INTERRUPTED;
        }
        r.weights += (size_t)r.categories * wg_dtype_size(r.dtype);
    }
    wg__mfree(sums, bytes);
    return status;
}

static wg_status check_multinomial(const wg_tensor *w, int64_t n, bool replacement) {
    const char *op = "multinomial";
    if (!wg_dtype_is_floating((wg_dtype)w->dtype))
        return wg__raise(WG_ERR_RUNTIME, op, "multinomial only supports floating-point dtypes for input, got: %s",
                         wg__dtype_scalar_name((wg_dtype)w->dtype));
    if (w->ndim != 1 && w->ndim != 2) return wg__raise(WG_ERR_RUNTIME, op, "prob_dist must be 1 or 2 dim");
    if (n <= 0) return wg__raise(WG_ERR_RUNTIME, op, "cannot sample n_sample <= 0 samples");
    if (!replacement && n > w->dims[w->ndim - 1])
        return wg__raise(WG_ERR_RUNTIME, op, "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
    if (w->dims[w->ndim - 1] >= (int64_t)1 << 24)
        return wg__raise(WG_ERR_RUNTIME, op, "number of categories cannot exceed 2^24");
    return WG_OK;
}

static wg_tensor *sample(wg_tensor *weights, int64_t n, bool replacement, wg_generator *g) {
    int64_t rows = weights->ndim == 2 ? weights->dims[0] : 1;
    wg_tensor *out = wg_empty(weights->ndim, weights->ndim == 2 ? (int64_t[]){rows, n} : &n, WG_DTYPE(WG_INT64));
    wg_tensor *flat = wg__ok(out) ? wg__contiguous(weights, (wg_dtype)weights->dtype) : NULL;
    if (!flat) return WG_POISON;
    int64_t *to = (int64_t *)(void *)out->data;
    wg_status status = WG_OK;
    if (out->numel)
        status = replacement && n > 1 ? with_replacement(flat, rows, n, g, to)
                                      : without_replacement(weights, flat, rows, n, g, to);
    wg_release(flat);
    if (status == WG_ERR_INTERRUPTED) wg__raise(status, "multinomial", "multinomial was interrupted");
    return status == WG_OK ? out : WG_POISON;
}

wg_tensor *wg_multinomial(wg_tensor *weights, int64_t n, bool replacement, wg_generator *generator) {
    if (!weights) return wg__fail(WG_ERR_TYPE, "multinomial", "multinomial(): argument 1 must be Tensor, not None");
    if (!wg__ok(weights) || wg__draw_usable("multinomial", weights, generator) != WG_OK) return WG_POISON;
    if (check_multinomial(weights, n, replacement) != WG_OK) return WG_POISON;
    wg_generator *g = generator ? generator : wg_default_generator();
    size_t mark = wg_scope_open();
    wg_tensor *out = sample(weights, n, replacement, g);
    if (wg__ok(out)) wg__take(out);
    wg_scope_close(mark);
    return wg__ok(out) ? wg__scope_push(out) : out;
}
