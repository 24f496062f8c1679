/* random_ops.c - random factories and in-place fills over tensors: argument checks with PyTorch's texts, the order in
 * which strided memory is filled, and history (a fill's gradient is zero). The fills themselves are in random_fill.c;
 * sampling from tensors of parameters (bernoulli, multinomial, normal) is in random_sample.c.
 */
#include <math.h>

#include "core/options.h"
#include "core/random_draw.h"

/* ---- order: memory address --------------------------------------------------------------------------------------- */

/* t's dimensions from the largest stride to the smallest; equal ones keep their order. */
static void by_stride(const wg_tensor *t, int *order) {
    const int64_t *strides = wg__strides(t);
    for (int i = 0; i < t->ndim; i++) {
        int at = i;
        for (; at && strides[order[at - 1]] < strides[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

/* p, broadcast to t's sizes, as row-major elements in the order in which t is filled. Owned; NULL on failure. */
static wg_tensor *in_fill_order(const wg_tensor *p, const wg_tensor *t, const int *order) {
    ptrdiff_t bytes[WG_MAX_DIMS];
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    wg__broadcast_strides(p, t->ndim, t->dims, bytes);
    for (int i = 0; i < t->ndim; i++) {
        sizes[i] = t->dims[order[i]];
        strides[i] = bytes[order[i]] / (ptrdiff_t)wg__itemsize(p);
    }
    wg_tensor *view = wg__alias(p, t->ndim, sizes, strides, 0, false);
    if (!view) return NULL;
    wg_tensor *flat = wg__contiguous(view, (wg_dtype)p->dtype);
    wg_release(view);
    return flat;
}

/* Through a row-major temporary, which is then copied to where the elements belong. */
static wg_status fill_scattered(wg_tensor *t, const struct wg__draw *d, const int *order) {
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    for (int i = 0; i < t->ndim; i++) {
        sizes[i] = t->dims[order[i]];
        strides[i] = wg__strides(t)[order[i]];
    }
    wg_tensor *temp = wg__temp((wg_dtype)t->dtype, t->ndim, sizes);
    wg_tensor *view = temp ? wg__alias(t, t->ndim, sizes, strides, 0, false) : NULL;
    wg_status status = view ? d->fill(d, (wg_dtype)t->dtype, temp->data, t->numel, true) : WG_ERR_MEMORY;
    if (status == WG_OK) status = wg__copy_into(view, temp);
    wg_release(view);
    wg_release(temp);
    return status;
}

wg_status wg__draw_into(wg_tensor *t, const struct wg__draw *d) {
    int order[WG_MAX_DIMS];
    struct wg__draw drawn = *d;
    wg_tensor *p = NULL;
    if (t->numel == 0) return WG_OK;
    by_stride(t, order);
    if (d->p) {
        p = in_fill_order(d->p, t, order);
        if (!p) return WG_ERR_MEMORY;
        drawn.p = p;
    }
    bool aligned = ((uintptr_t)t->data & (wg__itemsize(t) - 1)) == 0;
    wg_status status;
    if (aligned && wg__is_dense(t->ndim, t->dims, wg__strides(t)))
        status = d->fill(&drawn, (wg_dtype)t->dtype, t->data, t->numel, !(t->flags & TF_CONTIG));
    else
        status = fill_scattered(t, &drawn, order);
    wg_release(p);
    return status;
}

/* ---- the draws: what to fill with, and what they accept ---------------------------------------------------------- */

static const char *c_name(wg_dtype dtype) {
    static const char *const names[WG_KERNEL_DTYPES] = {
        [WG_BOOL] = "bool",         [WG_UINT8] = "unsigned char",
        [WG_INT8] = "signed char",  [WG_INT16] = "short int",
        [WG_INT32] = "int",         [WG_INT64] = "long int",
        [WG_FLOAT16] = "c10::Half", [WG_BFLOAT16] = "c10::BFloat16",
        [WG_FLOAT32] = "float",     [WG_FLOAT64] = "double",
    };
    return names[dtype];
}

static double largest(wg_dtype dtype) {
    static const double values[] = {65504.0, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023};
    return values[dtype - WG_FLOAT16];
}

static int digits(wg_dtype dtype) {
    static const int values[] = {11, 8, 24, 53};
    return values[dtype - WG_FLOAT16];
}

wg_status wg__draw_needs_float(wg_dtype dtype, const char *op, const char *kernel) {
    if (wg_dtype_is_floating(dtype)) return WG_OK;
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, op, "\"%s\" not implemented for '%s'", kernel,
                     wg__dtype_scalar_name(dtype));
}

static wg_status check_uniform(const struct wg__draw *d, wg_dtype dtype) {
    wg_status status = wg__draw_needs_float(dtype, "uniform_", "check_uniform_bounds");
    if (status != WG_OK) return status;
    double most = largest(dtype);
    if (!(d->a >= -most && d->a <= most))
        return wg__raise(WG_ERR_RUNTIME, "uniform_", "from is out of bounds for %s", c_name(dtype));
    if (!(d->b >= -most && d->b <= most))
        return wg__raise(WG_ERR_RUNTIME, "uniform_", "to is out of bounds for %s", c_name(dtype));
    if (d->a > d->b)
        return wg__raise(WG_ERR_RUNTIME, "uniform_",
                         "uniform_ expects to return a [from, to) range, but found from=%g > to=%g", d->a, d->b);
    if (d->b - d->a > most)
        return wg__raise(WG_ERR_RUNTIME, "uniform_",
                         "uniform_ expects to-from <= std::numeric_limits<%s>::max(), but found to=%g and from=%g "
                         "which result in to-from to exceed the limit",
                         wg__dtype_scalar_name(dtype), d->b, d->a);
    return WG_OK;
}
static wg_status fill_uniform(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_uniform(d->g, dtype, out, n, d->a, d->b);
}

static wg_status check_normal(const struct wg__draw *d, wg_dtype dtype) {
    if (!(d->b >= 0)) return wg__raise(WG_ERR_RUNTIME, "normal_", "normal expects std >= 0.0, but found std %g", d->b);
    return wg__draw_needs_float(dtype, "normal_", "normal_kernel_cpu");
}
static wg_status fill_normal(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    return wg__rng_normal(d->g, dtype, out, n, d->a, d->b, scalar);
}

static wg_status check_log_normal(const struct wg__draw *d, wg_dtype dtype) {
    if (!(d->b > 0))
        return wg__raise(WG_ERR_RUNTIME, "log_normal_", "log_normal_ expects std > 0.0, but found std=%g", d->b);
    return wg__draw_needs_float(dtype, "log_normal_", "log_normal_cpu");
}
static wg_status fill_log_normal(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_log_normal(d->g, dtype, out, n, d->a, d->b);
}

static wg_status check_exponential(const struct wg__draw *d, wg_dtype dtype) {
    if (!(d->a > 0))
        return wg__raise(WG_ERR_RUNTIME, "exponential_", "exponential_ expects lambda > 0.0, but found lambda=%g",
                         d->a);
    if (wg_dtype_is_floating(dtype)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, "exponential_",
                     "Exponential distribution is a continuous probability distribution. dtype must be a floating "
                     "point but you specified %s",
                     wg__dtype_scalar_name(dtype));
}
static wg_status fill_exponential(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_exponential(d->g, dtype, out, n, d->a);
}

static wg_status check_cauchy(const struct wg__draw *d, wg_dtype dtype) {
    if (!(d->b > 0))
        return wg__raise(WG_ERR_RUNTIME, "cauchy_", "cauchy_ expects sigma > 0.0, but found sigma=%g", d->b);
    if (wg_dtype_is_floating(dtype)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, "cauchy_",
                     "Cauchy distribution is a continuous probability distribution. dtype must be a floating point "
                     "but you specified %s",
                     c_name(dtype));
}
static wg_status fill_cauchy(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_cauchy(d->g, dtype, out, n, d->a, d->b);
}

static wg_status check_geometric(const struct wg__draw *d, wg_dtype dtype) {
    if (!(d->a > 0 && d->a < 1))
        return wg__raise(WG_ERR_RUNTIME, "geometric_", "geometric_ expects p to be in (0, 1), but got p=%g", d->a);
    if (dtype != WG_BOOL) return WG_OK;
    return wg__draw_needs_float(dtype, "geometric_", "geometric_cpu");
}
static wg_status fill_geometric(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_geometric(d->g, dtype, out, n, d->a);
}

static wg_status check_bernoulli(const struct wg__draw *d, wg_dtype dtype) {
    (void)dtype;
    if (d->a >= 0 && d->a <= 1) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, "bernoulli_", "bernoulli_ expects p to be in [0, 1], but got p=%g", d->a);
}
static wg_status fill_bernoulli(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_bernoulli(d->g, dtype, out, n, d->a);
}

static wg_status check_any(const struct wg__draw *d, wg_dtype dtype) {
    (void)d;
    (void)dtype;
    return WG_OK;
}
static wg_status fill_random(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    return wg__rng_random(d->g, dtype, out, n);
}

/* ---- random_ with bounds ----------------------------------------------------------------------------------------- */

/* An integer as the floating dtype holds it; outside int64 the smallest one, as x86 converts. */
static int64_t through(wg_dtype dtype, int64_t v) {
    double held;
    wg__store_int(&held, dtype, v);
    held = wg__load_double(&held, dtype);
    return held >= -0x1p63 && held < 0x1p63 ? (int64_t)held : INT64_MIN;
}

/* The distance between neighbours of the floating dtype near v. */
static int64_t spacing(wg_dtype dtype, int64_t v) {
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int top = magnitude ? 63 - __builtin_clzll(magnitude) : 0;
    int shift = top - digits(dtype) + 1;
    return shift > 0 ? (int64_t)1 << shift : 1;
}

/* Bounds that the dtype would round outwards are brought in by one of its steps. */
static void bring_in(wg_dtype dtype, int64_t *from, int64_t *to) {
    int64_t first = through(dtype, *from + 1), last = through(dtype, *to - 1);
    if (first < *from) *from = first + spacing(dtype, *from + 1);
    if (last >= *to) *to = last - spacing(dtype, *to - 1);
}

static wg_status warn_precision(const char *what, wg_dtype dtype, int64_t v) {
    int64_t most = (int64_t)1 << digits(dtype);
    if (v >= -most && v <= most) return WG_OK;
    int stop = wg__warn(WG_WARN_USER,
                        "%s is out of bounds [-(2^%d), 2^%d]. Due to precision limitations %s can support discrete "
                        "uniform distribution only within this range. This warning will become an error in version "
                        "1.7 release, please fix the code in advance",
                        what, digits(dtype), digits(dtype), c_name(dtype));
    return stop ? WG_ERR_RUNTIME : WG_OK;
}

static bool fits(wg_dtype dtype, int64_t v) {
    static const int64_t low[] = {0, 0, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
    static const int64_t high[] = {1, UINT8_MAX, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    if (!wg_dtype_is_floating(dtype)) return v >= low[dtype] && v <= high[dtype];
    return fabs((double)v) <= largest(dtype);
}

/* d->from and d->to become those that the fill uses. */
static wg_status check_range(struct wg__draw *d, wg_dtype dtype) {
    const char *text = "random_ expects 'from' to be less than 'to', but got from=%lld >= to=%lld";
    if (d->from >= d->to) return wg__raise(WG_ERR_RUNTIME, "random_", text, (long long)d->from, (long long)d->to);
    bool floating = wg_dtype_is_floating(dtype);
    if (floating) bring_in(dtype, &d->from, &d->to);
    if (d->from >= d->to)
        return wg__raise(WG_ERR_RUNTIME, "random_",
                         "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got "
                         "from=%lld >= to=%lld",
                         (long long)d->from, (long long)d->to);
    if (!fits(dtype, d->from))
        return wg__raise(WG_ERR_RUNTIME, "random_", "from is out of bounds for %s", c_name(dtype));
    if (!fits(dtype, d->to - 1))
        return wg__raise(WG_ERR_RUNTIME, "random_", "to - 1 is out of bounds for %s", c_name(dtype));
    if (!floating) return WG_OK;
    wg_status status = warn_precision("from", dtype, d->from);
    return status == WG_OK ? warn_precision("to - 1", dtype, d->to - 1) : status;
}
static wg_status check_range_only(const struct wg__draw *d, wg_dtype dtype) {
    struct wg__draw copy = *d;
    return check_range(&copy, dtype);
}
static wg_status fill_range(const struct wg__draw *d, wg_dtype dtype, void *out, int64_t n, bool scalar) {
    (void)scalar;
    int64_t from = d->from, to = d->to;
    if (wg_dtype_is_floating(dtype)) bring_in(dtype, &from, &to);
    return wg__rng_integers(d->g, dtype, out, n, from, (uint64_t)to - (uint64_t)from);
}

/* ---- in place: one record per fill ------------------------------------------------------------------------------- */

wg_generator *wg__draw_generator(const wg_value *v) {
    wg_generator *g = v->tag == WG_V_INT ? (wg_generator *)(intptr_t)v->i : NULL;
    return g ? g : wg_default_generator();
}
wg_value wg__draw_value(wg_generator *g) { return g ? WG_VAL_I((intptr_t)g) : WG_VAL_NONE; }

wg_status wg__draw_usable(const char *op, const wg_tensor *t, const wg_generator *g) {
    if (g && g->poison) return wg__raise(WG_ERR_RUNTIME, op, "the generator could not be made");
    if (!wg__tls.maps && !(t && (t->flags & TF_BATCHED))) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op,
                     "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                     "'different' randomness flags on vmap or perform the randomness operation out of vmap");
}

void wg__draw_same_shape(const wg_tensor *t, wg_geometry *out) {
    out->ndim = t->ndim;
    out->dtype = (wg_dtype)t->dtype;
    if (t->ndim) memcpy(out->sizes, t->dims, (size_t)t->ndim * sizeof *t->dims);
}

wg_tensor *wg__draw_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    (void)g;
    int ndim;
    const int64_t *sizes = wg__input_sizes(c, i, &ndim);
    return wg__zeros(wg__input_dtype(c, i), ndim, sizes);
}
wg_tensor *wg__draw_jvp(const wg_call *c, wg_tensor *const *t, int o) {
    (void)c;
    (void)t;
    (void)o;
    return NULL;
}

/* The record of a fill with two parameters: double or int64, then the generator. */
static struct wg__draw draw_of(const wg_call *c) {
    struct wg__draw d = {.g = wg__draw_generator(&c->attr[2])};
    d.a = c->attr[0].tag == WG_V_DOUBLE ? c->attr[0].d : 0;
    d.b = c->attr[1].tag == WG_V_DOUBLE ? c->attr[1].d : 0;
    d.from = c->attr[0].tag == WG_V_INT ? c->attr[0].i : 0;
    d.to = c->attr[1].tag == WG_V_INT ? c->attr[1].i : 0;
    return d;
}

#define FILL(name_, check_, fill_, grad_, schema_, doc_)                                                               \
    static wg_status shape_##name_(const wg_call *c, wg_geometry *out) {                                               \
        struct wg__draw d = draw_of(c);                                                                                \
        wg__draw_same_shape(c->in[0], out);                                                                            \
        return check_(&d, (wg_dtype)c->in[0]->dtype);                                                                  \
    }                                                                                                                  \
    static wg_status run_##name_(const wg_call *c) {                                                                   \
        struct wg__draw d = draw_of(c);                                                                                \
        d.fill = fill_;                                                                                                \
        return wg__draw_into(c->out[0], &d);                                                                           \
    }                                                                                                                  \
    static const char *named_##name_(const wg_call *c) {                                                               \
        (void)c;                                                                                                       \
        return grad_;                                                                                                  \
    }                                                                                                                  \
    static const wg_op op_##name_ = {.name = #name_,                                                                   \
                                     .schema = schema_,                                                                \
                                     .doc = doc_,                                                                      \
                                     .traits = WG_SAFE_INPLACE,                                                        \
                                     .nin = 1,                                                                         \
                                     .nout = 1,                                                                        \
                                     .shape = shape_##name_,                                                           \
                                     .run = {run_##name_},                                                             \
                                     .vjp = wg__draw_vjp,                                                              \
                                     .jvp = wg__draw_jvp,                                                              \
                                     .grad_name = named_##name_};

FILL(uniform, check_uniform, fill_uniform, "UniformBackward0",
     "uniform_(Tensor(a!) self, float from=0, float to=1, *, Generator? generator=None) -> Tensor(a!)",
     "fills with uniforms on [from, to)")
FILL(normal, check_normal, fill_normal, "NormalBackward0",
     "normal_(Tensor(a!) self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor(a!)",
     "fills with normals")
FILL(log_normal, check_log_normal, fill_log_normal, "LogNormalBackward0",
     "log_normal_(Tensor(a!) self, float mean=1, float std=2, *, Generator? generator=None) -> Tensor(a!)",
     "fills with exponentials of normals")
FILL(exponential, check_exponential, fill_exponential, "ExponentialBackward0",
     "exponential_(Tensor(a!) self, float lambd=1, *, Generator? generator=None) -> Tensor(a!)",
     "fills from the exponential distribution")
FILL(cauchy, check_cauchy, fill_cauchy, "CauchyBackward0",
     "cauchy_(Tensor(a!) self, float median=0, float sigma=1, *, Generator? generator=None) -> Tensor(a!)",
     "fills from the Cauchy distribution")
FILL(geometric, check_geometric, fill_geometric, "GeometricBackward0",
     "geometric_(Tensor(a!) self, float p, *, Generator? generator=None) -> Tensor(a!)",
     "fills with numbers of trials until the first success")
FILL(bernoulli, check_bernoulli, fill_bernoulli, "BernoulliBackward2",
     "bernoulli_(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)",
     "fills with ones of probability p, else zeros")
FILL(random, check_any, fill_random, "RandomBackward2",
     "random_(Tensor(a!) self, *, Generator? generator=None) -> Tensor(a!)", "fills with integers of the dtype's range")
FILL(random_range, check_range_only, fill_range, "RandomBackward0",
     "random_(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)",
     "fills with integers from from to to - 1")

static wg_tensor *in_place(const wg_op *op, wg_tensor *t, wg_value a, wg_value b, wg_generator *g, void *site) {
    if (wg__draw_usable(op->name, t, g) != WG_OK) return WG_POISON;
    return wg__apply_inplace(op, &t, 1, (wg_value[]){a, b, wg__draw_value(g)}, 3, site);
}

wg_tensor *wg_uniform_(wg_tensor *t, double from, double to, wg_generator *generator) {
    return in_place(&op_uniform, t, WG_VAL_D(from), WG_VAL_D(to), generator, WG_SITE);
}
wg_tensor *wg_normal_(wg_tensor *t, double mean, double std, wg_generator *generator) {
    return in_place(&op_normal, t, WG_VAL_D(mean), WG_VAL_D(std), generator, WG_SITE);
}
wg_tensor *wg_log_normal_(wg_tensor *t, double mean, double std, wg_generator *generator) {
    return in_place(&op_log_normal, t, WG_VAL_D(mean), WG_VAL_D(std), generator, WG_SITE);
}
wg_tensor *wg_exponential_(wg_tensor *t, double lambda, wg_generator *generator) {
    return in_place(&op_exponential, t, WG_VAL_D(lambda), WG_VAL_NONE, generator, WG_SITE);
}
wg_tensor *wg_cauchy_(wg_tensor *t, double median, double sigma, wg_generator *generator) {
    return in_place(&op_cauchy, t, WG_VAL_D(median), WG_VAL_D(sigma), generator, WG_SITE);
}
wg_tensor *wg_geometric_(wg_tensor *t, double p, wg_generator *generator) {
    return in_place(&op_geometric, t, WG_VAL_D(p), WG_VAL_NONE, generator, WG_SITE);
}
wg_tensor *wg_bernoulli_(wg_tensor *t, double p, wg_generator *generator) {
    return in_place(&op_bernoulli, t, WG_VAL_D(p), WG_VAL_NONE, generator, WG_SITE);
}
wg_tensor *wg_random_(wg_tensor *t, wg_generator *generator) {
    return in_place(&op_random, t, WG_VAL_NONE, WG_VAL_NONE, generator, WG_SITE);
}
wg_tensor *wg_random_range_(wg_tensor *t, int64_t from, int64_t to, wg_generator *generator) {
    return in_place(&op_random_range, t, WG_VAL_I(from), WG_VAL_I(to), generator, WG_SITE);
}

/* ---- factories --------------------------------------------------------------------------------------------------- */

/* A new tensor is a leaf of version 0: it is filled without history. The dtype is checked before memory is taken. */
static wg_tensor *finish(const char *op, wg_tensor *t, const struct wg__draw *d,
                         wg_status (*check)(const struct wg__draw *d, wg_dtype dtype)) {
    if (!wg__ok(t) || wg__draw_usable(op, t, d->g) != WG_OK || check(d, (wg_dtype)t->dtype) != WG_OK) return WG_POISON;
    wg_status status = wg__draw_into(t, d);
    if (status == WG_OK) return t;
    return status == WG_ERR_INTERRUPTED ? wg__fail(status, op, "%s was interrupted", op) : WG_POISON;
}

static struct wg__draw draw(wg__draw_fill fill, wg_generator *g, double a, double b) {
    return (struct wg__draw){.fill = fill, .g = g ? g : wg_default_generator(), .a = a, .b = b};
}

/* options with an integer dtype where none is given. */
static wg_options or_int64(const wg_options *options) {
    wg_options o = {0};
    if (WG_CHECK_STRUCT(wg_options, options, "options") != WG_OK) return o; /* its size 0 fails further on */
    if (options) WG_COPY_STRUCT(&o, options);
    o.size = sizeof o;
    if (!o.has_dtype) o.dtype = WG_INT64;
    o.has_dtype = true;
    return o;
}

wg_tensor *wg_rand(int ndim, const int64_t *sizes, const wg_options *options, wg_generator *generator) {
    struct wg__draw d = draw(fill_uniform, generator, 0, 1);
    return finish("rand", wg_empty(ndim, sizes, options), &d, check_uniform);
}
wg_tensor *wg_randn(int ndim, const int64_t *sizes, const wg_options *options, wg_generator *generator) {
    struct wg__draw d = draw(fill_normal, generator, 0, 1);
    return finish("randn", wg_empty(ndim, sizes, options), &d, check_normal);
}
wg_tensor *wg_normal(double mean, double std, int ndim, const int64_t *sizes, const wg_options *options,
                     wg_generator *generator) {
    struct wg__draw d = draw(fill_normal, generator, mean, std);
    return finish("normal", wg_empty(ndim, sizes, options), &d, check_normal);
}
wg_tensor *wg_randint(int64_t low, int64_t high, int ndim, const int64_t *sizes, const wg_options *options,
                      wg_generator *generator) {
    struct wg__draw d = draw(fill_range, generator, 0, 0);
    wg_options o = or_int64(options);
    d.from = low;
    d.to = high;
    return finish("randint", wg_empty(ndim, sizes, &o), &d, check_range_only);
}

wg_tensor *wg_rand_like(const wg_tensor *t, const wg_options *options, wg_generator *generator) {
    struct wg__draw d = draw(fill_uniform, generator, 0, 1);
    return finish("rand_like", wg_empty_like(t, options), &d, check_uniform);
}
wg_tensor *wg_randn_like(const wg_tensor *t, const wg_options *options, wg_generator *generator) {
    struct wg__draw d = draw(fill_normal, generator, 0, 1);
    return finish("randn_like", wg_empty_like(t, options), &d, check_normal);
}
wg_tensor *wg_randint_like(const wg_tensor *t, int64_t low, int64_t high, const wg_options *options,
                           wg_generator *generator) {
    struct wg__draw d = draw(fill_range, generator, 0, 0);
    d.from = low;
    d.to = high;
    return finish("randint_like", wg_empty_like(t, options), &d, check_range_only);
}

/* ---- randperm ---------------------------------------------------------------------------------------------------- */

static wg_status check_permutation(int64_t n, wg_dtype dtype) {
    const char *op = "randperm";
    if (dtype == WG_BOOL) return wg__draw_needs_float(dtype, op, "randperm");
    if (dtype != WG_INT64 && !wg_dtype_is_floating(dtype) && n > 0 && !fits(dtype, n))
        return wg__raise(WG_ERR_RUNTIME, op, "value cannot be converted to type %s_t without overflow",
                         wg_dtype_name(dtype));
    bool limited = wg_dtype_is_floating(dtype) && dtype != WG_BFLOAT16;
    if (!limited || n <= ((int64_t)1 << digits(dtype)) + 1) return WG_OK;
    if (dtype == WG_FLOAT16) return wg__raise(WG_ERR_RUNTIME, op, "n cannot be greater than 2049 for Half type.");
    return wg__raise(WG_ERR_RUNTIME, op, "n cannot be greater than 2^%d+1 for %s type.", digits(dtype),
                     wg__dtype_scalar_name(dtype));
}

/* In place for int64, else through int64 numbers. */
static wg_status permute_into(wg_tensor *t, wg_generator *g) {
    if (t->dtype == WG_INT64) return wg__rng_permutation(g, (int64_t *)(void *)t->data, t->numel);
    wg_tensor *temp = wg__temp(WG_INT64, t->ndim, t->dims);
    if (!temp) return WG_ERR_MEMORY;
    wg_status status = wg__rng_permutation(g, (int64_t *)(void *)temp->data, t->numel);
    if (status == WG_OK) status = wg__copy_into(t, temp);
    wg_release(temp);
    return status;
}

wg_tensor *wg_randperm(int64_t n, const wg_options *options, wg_generator *generator) {
    wg_generator *g = generator ? generator : wg_default_generator();
    wg_options o = or_int64(options);
    if (wg__draw_usable("randperm", NULL, g) != WG_OK) return WG_POISON;
    if (check_permutation(n, o.dtype) != WG_OK) return WG_POISON;
    wg_tensor *t = wg_empty(1, &n, &o);
    if (!wg__ok(t)) return WG_POISON;
    wg_status status = permute_into(t, g);
    if (status == WG_ERR_INTERRUPTED) wg__raise(status, "randperm", "randperm was interrupted");
    return status == WG_OK ? t : WG_POISON;
}
