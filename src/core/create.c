/* create.c - tensors from nothing, from numbers, from memory; what they say of themselves; reading them out.
 */
#include <math.h>

#include "core/apply.h"
#include "core/messages.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

static wg_dtype dtype_or(const wg_options *o, wg_dtype otherwise) { return o && o->has_dtype ? o->dtype : otherwise; }

static wg_status check_options(const char *who, const wg_options *o, wg_dtype d) {
    if (WG_CHECK_STRUCT(wg_options, o, who) != WG_OK) return WG_ERR_VALUE;
    if (!wg__dtype_exists((int)d))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, who, "%s: torch.%s does not exist in this version of Wengert", who,
                         wg_dtype_name(d));
    if (o && (o->device.type != WG_CPU || o->device.index > 0))
        return wg__raise(WG_ERR_RUNTIME, who, "%s: only the cpu exists in this version of Wengert", who);
    if (o && o->requires_grad && !wg_dtype_is_floating(d))
        return wg__raise(WG_ERR_RUNTIME, who, WG_MSG_INT_REQUIRES_NEW);
    return WG_OK;
}

static wg_status check_sizes(const char *who, int ndim, const int64_t *sizes) {
    char text[256];
    if (ndim < 0 || ndim > WG_MAX_DIMS || (ndim && !sizes))
        return wg__raise(WG_ERR_VALUE, who, "%s: a tensor has 0 to %d dims, not %d", who, WG_MAX_DIMS, ndim);
    for (int i = 0; i < ndim; i++)
        if (sizes[i] < 0)
            return wg__raise(WG_ERR_RUNTIME, who,
                             strcmp(who, "zeros") == 0 ? "zeros: Dimension size must be non-negative. Got %lld in %s"
                                                       : "Trying to create tensor with negative dimension %lld: %s",
                             (long long)sizes[i], wg__sizes_text(text, sizeof(text), ndim, sizes));
    return WG_OK;
}

/* Owned by the scope, elements not set. */
static wg_tensor *fresh(const char *who, wg_dtype d, int ndim, const int64_t *sizes, const int64_t *strides,
                        const wg_options *o) {
    if (check_options(who, o, d) != WG_OK || check_sizes(who, ndim, sizes) != WG_OK) return WG_POISON;
    wg_tensor *t = wg__tensor_new(d, ndim, sizes, strides);
    if (!t) return WG_POISON;
    if (o && o->requires_grad) {
        if (!wg__meta(t)) {
            wg_release(t);
            return WG_POISON;
        }
        t->flags |= TF_REQUIRES;
    }
    return wg__scope_push(t);
}

static wg_tensor *finish(const char *who, wg_tensor *t, wg_status st) {
    if (st == WG_OK) return t;
    return wg__fail(st, who, st == WG_ERR_INTERRUPTED ? "%s was interrupted" : "%s failed", who);
}

/* ---- factories --------------------------------------------------------------------------------------------------- */

wg_tensor *wg_empty(int ndim, const int64_t *sizes, const wg_options *o) {
    return fresh("empty", dtype_or(o, wg_default_dtype()), ndim, sizes, NULL, o);
}
wg_tensor *wg_empty_strided(int ndim, const int64_t *sizes, const int64_t *strides, const wg_options *o) {
    for (int i = 0; i < ndim && strides; i++)
        if (strides[i] < 0)
            return wg__fail(WG_ERR_RUNTIME, "empty_strided", "empty_strided: negative strides are not supported");
    return fresh("empty_strided", dtype_or(o, wg_default_dtype()), ndim, sizes, strides, o);
}
wg_tensor *wg_zeros(int ndim, const int64_t *sizes, const wg_options *o) {
    wg_tensor *t = fresh("zeros", dtype_or(o, wg_default_dtype()), ndim, sizes, NULL, o);
    return wg__ok(t) ? finish("zeros", t, wg__fill_zero(t)) : t;
}

static wg_tensor *filled(const char *who, wg_tensor *t, const wg_tensor *value) {
    _Alignas(16) char one[16];
    if (!wg__ok(t)) return t;
    wg_dtype d = (wg_dtype)t->dtype;
    if (wg__check_fits(who, value, d) != WG_OK) return WG_POISON;
    if (wg_dtype_is_floating(d) || wg_dtype_is_floating((wg_dtype)value->dtype))
        wg__store_double(one, d, wg__load_double(value->data, (wg_dtype)value->dtype));
    else
        wg__store_int(one, d, wg__load_int(value->data, (wg_dtype)value->dtype));
    return finish(who, t, wg__fill_value(t, one));
}

static wg_tensor *full(const char *who, int ndim, const int64_t *sizes, const int64_t *strides, const wg_tensor *value,
                       wg_dtype d, const wg_options *o) {
    if (!value) return wg__fail(WG_ERR_TYPE, who, "%s: the fill value is NULL", who);
    if (!wg__ok(value)) return WG_POISON;
    if (value->numel != 1 || (value->flags & TF_BATCHED))
        return wg__fail(WG_ERR_RUNTIME, who, "%s: the fill value must have one element", who);
    return filled(who, fresh(who, d, ndim, sizes, strides, o), value);
}
/* A number as it would be stored: floats in the default dtype. */
static wg_dtype number_dtype(const wg_tensor *v) {
    if (!v) return wg_default_dtype();
    return (v->flags & TF_NUMBER) && wg_dtype_is_floating((wg_dtype)v->dtype) ? wg_default_dtype() : (wg_dtype)v->dtype;
}
wg_tensor *wg_full(int ndim, const int64_t *sizes, wg_tensor *value, const wg_options *o) {
    return full("full", ndim, sizes, NULL, value, dtype_or(o, number_dtype(value)), o);
}
wg_tensor *wg_ones(int ndim, const int64_t *sizes, const wg_options *o) {
    wg_tensor *t = fresh("ones", dtype_or(o, wg_default_dtype()), ndim, sizes, NULL, o);
    _Alignas(16) char one[16];
    if (!wg__ok(t)) return t;
    wg__store_int(one, (wg_dtype)t->dtype, 1);
    return finish("ones", t, wg__fill_value(t, one));
}

/* ---- like another ------------------------------------------------------------------------------------------------ */

/* torch.preserve_format: a dense tensor's strides are kept; others get dense strides in the same order, the largest
 * outermost. Equal strides put the shorter dimension inside; expanded dimensions stay where they are. */
static int compare_dims(const wg_tensor *t, int a, int b) {
    int64_t x = wg__strides(t)[a], y = wg__strides(t)[b];
    if (x == 0 || y == 0) return 0;
    if (x != y) return x < y ? -1 : 1;
    return t->dims[a] > t->dims[b];
}
/* Puts the dimension at order[at] among those before it, which are innermost first. */
static void insert_dim(const wg_tensor *t, int *order, int at) {
    for (int k = at - 1; k >= 0; k--) {
        int c = compare_dims(t, order[k], order[at]), dim = order[at];
        if (c < 0) return;
        if (c == 0) continue;
        order[at] = order[k];
        order[k] = dim;
        at = k;
    }
}
const int64_t *wg__kept_strides(const wg_tensor *t, int64_t *made) {
    int order[WG_MAX_DIMS];
    if (t->flags & TF_BATCHED) return NULL;
    if ((t->flags & TF_CONTIG) || wg__is_dense(t->ndim, t->dims, wg__strides(t))) return wg__strides(t);
    for (int i = 0; i < t->ndim; i++) {
        order[i] = t->ndim - 1 - i;
        insert_dim(t, order, i);
    }
    int64_t step = 1;
    for (int i = 0; i < t->ndim; step *= t->dims[order[i++]]) made[order[i]] = step;
    return made;
}
static wg_tensor *like(const char *who, const wg_tensor *t, const wg_options *o) {
    if (!t) return wg__fail(WG_ERR_TYPE, who, "%s(): argument 1 must be Tensor, not None", who);
    if (!wg__ok(t)) return WG_POISON;
    int64_t made[WG_MAX_DIMS];
    return fresh(who, dtype_or(o, (wg_dtype)t->dtype), t->ndim, t->dims, wg__kept_strides(t, made), o);
}
wg_tensor *wg_empty_like(const wg_tensor *t, const wg_options *o) { return like("empty_like", t, o); }
wg_tensor *wg_zeros_like(const wg_tensor *t, const wg_options *o) {
    wg_tensor *r = like("zeros_like", t, o);
    static const uint64_t zero;
    return wg__ok(r) ? finish("zeros_like", r, wg__fill_value(r, &zero)) : r;
}
wg_tensor *wg_ones_like(const wg_tensor *t, const wg_options *o) {
    wg_tensor *r = like("ones_like", t, o);
    _Alignas(16) char one[16];
    if (!wg__ok(r)) return r;
    wg__store_int(one, (wg_dtype)r->dtype, 1);
    return finish("ones_like", r, wg__fill_value(r, one));
}
wg_tensor *wg_full_like(const wg_tensor *t, wg_tensor *value, const wg_options *o) {
    if (!value || !wg__ok(value) || value->numel != 1 || (value->flags & TF_BATCHED))
        return value && !wg__ok(value)
                   ? WG_POISON
                   : wg__fail(WG_ERR_RUNTIME, "full_like", "full_like: the fill value must have one element");
    return filled("full_like", like("full_like", t, o), value);
}

/* ---- sequences --------------------------------------------------------------------------------------------------- */

static bool whole(const wg_tensor *t) { return t->dtype <= WG_INT64; }

static wg_status sequence_dtype(const char *who, wg_dtype d) {
    if (d != WG_BOOL) return WG_OK;
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, who, "\"%s_cpu\" not implemented for 'Bool'", who);
}

static wg_status arange_check(double a, double b, double step) {
    if (step == 0) return wg__raise(WG_ERR_RUNTIME, "arange", "step must be nonzero");
    if (!isfinite(step)) return wg__raise(WG_ERR_RUNTIME, "arange", "step must be finite but got %g", step);
    if (!isfinite(a) || !isfinite(b)) return wg__raise(WG_ERR_RUNTIME, "arange", "unsupported range: %g -> %g", a, b);
    if ((step > 0 && a > b) || (step < 0 && a < b))
        return wg__raise(WG_ERR_RUNTIME, "arange",
                         "upper bound and lower bound inconsistent with step sign. start %g, end %g, step %g", a, b,
                         step);
    return WG_OK;
}

/* In range(start, end, step), end excluded; an int64 result is counted in integers. -1 when there are too many. */
static int64_t arange_count(wg_tensor *const *v, wg_dtype d, bool ints) {
    double a[3];
    for (int i = 0; i < 3; i++) a[i] = wg__load_double(v[i]->data, (wg_dtype)v[i]->dtype);
    if (ints && d == WG_INT64) {
        int64_t by = wg__load_int(v[2]->data, (wg_dtype)v[2]->dtype);
        __int128 first = wg__load_int(v[0]->data, (wg_dtype)v[0]->dtype);
        __int128 n = (wg__load_int(v[1]->data, (wg_dtype)v[1]->dtype) - first + by - (by > 0 ? 1 : -1)) / by;
        return n > INT64_MAX ? -1 : (int64_t)n;
    }
    double n = ceil((a[1] - a[0]) / a[2]);
    return n < 0x1p63 ? (int64_t)n : -1;
}

/* v as the dtype holds it. */
static double rounded_to(wg_dtype d, double v) {
    _Alignas(16) char one[16];
    wg__store_double(one, d, v);
    return wg__load_double(one, d);
}

/* Element i as PyTorch's loop of 32-byte vectors, two at a time, rounds it: each vector counts from its own first
 * element, which is rounded to the dtype; the rest, less than two vectors, counts from the start. */
static double arange_at(wg_dtype d, double start, double step, int64_t i, int64_t n) {
    int64_t lanes = 32 / (int64_t)wg_dtype_size(d), base = i / lanes * lanes,
            in_vectors = n / (2 * lanes) * (2 * lanes);
    bool half = wg_dtype_size(d) == 2; /* counted in float32, the others in float64 */
    float from = (float)start, by = (float)step;
    if (i >= in_vectors) return half ? (double)fmaf(by, (float)i, from) : fma(step, (double)i, start);
    double first = half ? (double)fmaf(by, (float)base, from) : fma(step, (double)base, start);
    first = rounded_to(d, first);
    return half ? (double)fmaf(by, (float)(i - base), (float)first) : fma(step, (double)(i - base), first);
}

wg_tensor *wg_arange(wg_tensor *start, wg_tensor *end, wg_tensor *step, const wg_options *o) {
    wg_tensor *v[3] = {start, end, step};
    double a[3];
    bool ints = true;
    for (int i = 0; i < 3; i++) {
        if (!v[i] || (wg__ok(v[i]) && (v[i]->numel != 1 || (v[i]->flags & TF_BATCHED))))
            return wg__fail(WG_ERR_TYPE, "arange", "arange(): start, end and step must be numbers");
        if (!wg__ok(v[i])) return WG_POISON;
        ints &= whole(v[i]);
        a[i] = wg__load_double(v[i]->data, (wg_dtype)v[i]->dtype);
    }
    wg_dtype d = dtype_or(o, ints ? WG_INT64 : wg_default_dtype());
    if (sequence_dtype("arange", d) != WG_OK || arange_check(a[0], a[1], a[2]) != WG_OK) return WG_POISON;
    int64_t n = arange_count(v, d, ints);
    if (n < 0) return wg__fail(WG_ERR_RUNTIME, "arange", "invalid size, possible overflow?");
    wg_dtype counter = !wg_dtype_is_floating(d) ? WG_INT64 : wg_dtype_size(d) == 2 ? WG_FLOAT32 : WG_FLOAT64;
    if (wg__check_fits("arange", start, counter) != WG_OK || wg__check_fits("arange", step, counter) != WG_OK)
        return WG_POISON;
    wg_tensor *t = fresh("arange", d, 1, &n, NULL, o);
    uint64_t first = (uint64_t)wg__load_int(start->data, (wg_dtype)start->dtype),
             by = (uint64_t)wg__load_int(step->data, (wg_dtype)step->dtype);
    size_t item = wg_dtype_size(d);
    for (int64_t i = 0; wg__ok(t) && i < n; i++) {
        char *p = t->data + (size_t)i * item;
        if (wg_dtype_is_floating(d))
            wg__store_double(p, d, arange_at(d, a[0], a[2], i, n));
        else
            wg__store_int(p, d, (int64_t)(first + (uint64_t)i * by));
        if (wg__poll_at(i)) return finish("arange", t, WG_ERR_INTERRUPTED);
    }
    return t;
}

/* k steps from an end. Integers count in float64, 16-bit floats in float32; PyTorch rounds float16's product first. */
static double linspace_at(wg_dtype d, double from, double step, int64_t k) {
    if (d == WG_FLOAT32 || d == WG_BFLOAT16) return (double)fmaf((float)step, (float)k, (float)from);
    if (d != WG_FLOAT16) return fma(step, (double)k, from);
    float product = (float)(step * (double)k); /* exact before the cast, so no compiler can join it to the sum */
    return (double)((float)from + product);
}

/* From both ends, as the dtype holds them, to the middle: as PyTorch does. */
wg_tensor *wg_linspace(double start, double end, int64_t steps, const wg_options *o) {
    wg_dtype d = dtype_or(o, wg_default_dtype());
    if (steps < 0) return wg__fail(WG_ERR_RUNTIME, "linspace", "number of steps must be non-negative");
    if (steps > 1 && sequence_dtype("linspace", d) != WG_OK) return WG_POISON;
    wg_tensor *t = fresh("linspace", d, 1, &steps, NULL, o), first = {.dtype = WG_FLOAT64, .data = (char *)&start},
              last = {.dtype = WG_FLOAT64, .data = (char *)&end};
    if (!wg__ok(t) || steps == 0) return t;
    if (wg__check_fits("linspace", &first, d) != WG_OK || (steps > 1 && wg__check_fits("linspace", &last, d) != WG_OK))
        return WG_POISON;
    double a = rounded_to(d, start), b = rounded_to(d, end), step = 0;
    bool single = wg_dtype_is_floating(d) && d != WG_FLOAT64;
    if (steps > 1) step = single ? (double)(((float)b - (float)a) / (float)(steps - 1)) : (b - a) / (double)(steps - 1);
    for (int64_t i = 0; i < steps; i++) {
        bool from_start = i < steps / 2 || steps == 1;
        double v = from_start ? linspace_at(d, a, step, i) : linspace_at(d, b, -step, steps - 1 - i);
        wg__store_double(t->data + (size_t)i * wg_dtype_size(d), d, v);
        if (wg__poll_at(i)) return finish("linspace", t, WG_ERR_INTERRUPTED);
    }
    return t;
}

wg_tensor *wg_eye(int64_t n, int64_t m, const wg_options *o) {
    int64_t sizes[2] = {n, m < 0 ? n : m};
    if (n < 0) return wg__fail(WG_ERR_RUNTIME, "eye", "n must be greater or equal to 0, got %lld", (long long)n);
    wg_tensor *t = wg_zeros(2, sizes, o);
    for (int64_t i = 0; wg__ok(t) && i < n && i < sizes[1]; i++) {
        if (wg__poll_at(i)) return finish("eye", t, WG_ERR_INTERRUPTED);
        wg__store_int(t->data + (size_t)(i * sizes[1] + i) * wg__itemsize(t), (wg_dtype)t->dtype, 1);
    }
    return t;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static wg_tensor *number(wg_dtype d, const void *value) {
    wg_tensor *t = wg__tensor_new(d, 0, NULL, NULL);
    if (!t) return WG_POISON;
    memcpy(t->data, value, wg_dtype_size(d));
    t->flags |= TF_NUMBER;
    return wg__scope_push(t);
}
wg_tensor *wg_s(double value) { return number(WG_FLOAT64, &value); }
wg_tensor *wg_i(int64_t value) { return number(WG_INT64, &value); }
wg_tensor *wg_b(bool value) { return number(WG_BOOL, &value); }

/* ---- memory ------------------------------------------------------------------------------------------------------ */

wg_tensor *wg_from_data(const void *data, wg_dtype dtype, int ndim, const int64_t *sizes, const wg_options *o) {
    wg_tensor *raw = fresh("from_data", dtype, ndim, sizes, NULL, o && !(o->has_dtype && o->dtype != dtype) ? o : NULL);
    if (!wg__ok(raw)) return raw;
    if (!data && raw->numel) return wg__fail(WG_ERR_TYPE, "from_data", "from_data: the data are NULL");
    if (raw->numel) memcpy(raw->data, data, (size_t)raw->numel * wg__itemsize(raw));
    if (dtype == WG_BOOL) /* any non-zero byte is true */
        for (int64_t i = 0; i < raw->numel; i++) raw->data[i] = raw->data[i] != 0;
    if (!o || !o->has_dtype || o->dtype == dtype) return raw;
    wg_tensor *t = fresh("from_data", o->dtype, ndim, sizes, NULL, o);
    return wg__ok(t) ? finish("from_data", t, wg__copy_into(t, raw)) : t;
}

/* Bytes before and after data that the shape reaches. */
static bool reaches(int ndim, const int64_t *sizes, const int64_t *strides, size_t item, int64_t *low, int64_t *high) {
    *low = *high = 0;
    for (int i = 0; i < ndim; i++) {
        int64_t step;
        if (sizes[i] == 0) return true;
        if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &step)) return false;
        if (__builtin_add_overflow(step < 0 ? *low : *high, step, step < 0 ? low : high)) return false;
    }
    return !__builtin_mul_overflow(*high + 1, (int64_t)item, high) && !__builtin_mul_overflow(*low, (int64_t)item, low);
}

/* *bytes: what there is; when it is unknown, what the shape reaches. */
static wg_status check_memory(wg_dtype d, int ndim, const int64_t *sizes, const int64_t *strides, const wg_memory *m,
                              size_t *bytes) {
    wg_options dev = {.size = sizeof(dev), .device = m->device};
    int64_t low, high;
    wg_status st = check_options("from_memory", &dev, d);
    if (st == WG_OK) st = check_sizes("from_memory", ndim, sizes);
    if (st != WG_OK) return st;
    if (!m->data && wg__numel(ndim, sizes) != 0)
        return wg__raise(WG_ERR_TYPE, "from_memory", "from_memory: the data are NULL");
    if (wg__numel(ndim, sizes) < 0 || !reaches(ndim, sizes, strides, wg_dtype_size(d), &low, &high))
        return wg__raise(WG_ERR_RUNTIME, "from_memory", "Storage size calculation overflowed");
    if (m->bytes && (low < 0 || (uint64_t)high > m->bytes) && wg__numel(ndim, sizes))
        return wg__raise(WG_ERR_RUNTIME, "from_memory",
                         "from_memory: the shape reaches bytes %lld to %lld of a memory of %zu "
                         "bytes",
                         (long long)low, (long long)high, m->bytes);
    *bytes = m->bytes ? m->bytes : wg__numel(ndim, sizes) ? (size_t)high : 0;
    return WG_OK;
}

wg_tensor *wg_from_memory(wg_dtype dtype, int ndim, const int64_t *sizes, const wg_memory *m) {
    int64_t row_major[WG_MAX_DIMS], one = 1;
    static const wg_memory none;
    if (!m) m = &none;
    if (WG_CHECK_STRUCT(wg_memory, m, "from_memory") != WG_OK) return WG_POISON;
    const int64_t *strides = m->strides ? m->strides : row_major;
    if (!m->strides && ndim >= 0 && ndim <= WG_MAX_DIMS && (sizes || !ndim)) wg__row_major(ndim, sizes, row_major);
    wg_tensor *holder = NULL, *t = NULL;
    struct wg_foreign *f = NULL;
    size_t bytes = 0;
    if (check_memory(dtype, ndim, sizes, strides, m, &bytes) != WG_OK) goto failed;
    f = wg__malloc(sizeof(*f));
    holder =
        f ? wg__tensor_new(WG_UINT8, 1, &one, NULL) : NULL; /* one inline byte: its storage becomes the foreign one */
    if (!holder) goto failed;
    holder->own.data = holder->data = m->data;
    holder->own.bytes = bytes;
    holder->own.flags = (uint8_t)(SF_FOREIGN | (m->read_only ? SF_READ_ONLY : 0));
    holder->dtype = (uint8_t)dtype;
    *f = (struct wg_foreign){NULL, NULL};
    holder->own.foreign = f;
    t = wg__alias(holder, ndim, sizes, strides, 0, false);
    if (t) *f = (struct wg_foreign){m->release, m->user};
    wg_release(holder);
    if (!t) {
        if (m->release) m->release(m->user);
        return WG_POISON;
    }
    return wg__scope_push(t);
failed:
    if (f) wg__mfree(f, sizeof(*f));
    if (m->release) m->release(m->user);
    if (!wg_error_pending()) wg__no_memory("from_memory", sizeof(*f));
    return WG_POISON;
}

/* ---- what a tensor says of itself -------------------------------------------------------------------------------- */

int wg_ndim(const wg_tensor *t) { return t ? t->ndim : 0; }
int64_t wg_numel(const wg_tensor *t) { return t ? t->numel : 0; }
static int wrapped(const wg_tensor *t, int dim) {
    if (!t) return -1;
    if (dim < 0) dim += t->ndim;
    return dim >= 0 && dim < t->ndim ? dim : -1;
}
int64_t wg_size(const wg_tensor *t, int dim) {
    int d = wrapped(t, dim);
    return d < 0 ? -1 : t->dims[d];
}
int64_t wg_stride(const wg_tensor *t, int dim) {
    int d = wrapped(t, dim);
    return d < 0 ? 0 : wg__strides(t)[d];
}
const int64_t *wg_sizes(const wg_tensor *t) { return t ? t->dims : NULL; }
const int64_t *wg_strides(const wg_tensor *t) { return t ? wg__strides(t) : NULL; }
wg_dtype wg_dtype_of(const wg_tensor *t) { return t ? (wg_dtype)t->dtype : WG_DTYPE_NONE; }
wg_device wg_device_of(const wg_tensor *t) {
    if (!t || !t->storage) return (wg_device){WG_CPU, 0};
    return (wg_device){(wg_device_type)t->storage->device_type, t->storage->device_index};
}
int64_t wg_storage_offset(const wg_tensor *t) {
    return t && t->storage ? (t->data - t->storage->data) / (ptrdiff_t)wg__itemsize(t) : 0;
}
bool wg_is_contiguous(const wg_tensor *t) { return t && (t->flags & TF_CONTIG); }
bool wg_is_poison(const wg_tensor *t) { return t && (t->flags & TF_POISON); }
bool wg_is_view(const wg_tensor *t) { return t && (t->flags & TF_VIEW); }
wg_tensor *wg_base(const wg_tensor *t) { return wg_is_view(t) ? t->meta->base : NULL; }
bool wg_same_storage(const wg_tensor *a, const wg_tensor *b) {
    return a && b && a->storage && a->storage == b->storage;
}
size_t wg_storage_bytes(const wg_tensor *t, bool *foreign) {
    const wg_storage *s = t ? t->storage : NULL;
    if (foreign) *foreign = s && (s->flags & SF_FOREIGN);
    return s ? s->bytes : 0;
}
void *wg_data(wg_tensor *t) {
    return t && wg__ok(t) && t->storage && !(t->storage->flags & SF_READ_ONLY) ? t->data : NULL;
}
const void *wg_const_data(const wg_tensor *t) { return t && wg__ok(t) ? t->data : NULL; }
uint32_t wg_version_of(const wg_tensor *t) { return t ? wg__version(t) : 0; }
wg_status wg_increment_version(wg_tensor *t) {
    wg_status st = wg__sink_check("increment_version", t);
    if (st == WG_OK) wg__bump(t, wg__site(&wg__tls, WG_SITE));
    return st;
}

/* ---- reading out ------------------------------------------------------------------------------------------------- */

static wg_status readable(const char *who, const wg_tensor *t) {
    wg_status st = wg__sink_check(who, t);
    if (st == WG_OK && (t->flags & TF_BATCHED))
        return wg__raise(WG_ERR_RUNTIME, who,
                         "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap "
                         "over calling .item() on a Tensor");
    return st;
}
static wg_status one_element(const wg_tensor *t) {
    wg_status st = readable("item", t);
    if (st == WG_OK && t->numel != 1)
        return wg__raise(WG_ERR_RUNTIME, "item", "a Tensor with %lld elements cannot be converted to Scalar",
                         (long long)t->numel);
    return st;
}
wg_status wg_item(const wg_tensor *t, double *value) {
    wg_status st = one_element(t);
    if (st == WG_OK && value) *value = wg__load_double(t->data, (wg_dtype)t->dtype);
    return st;
}
wg_status wg_item_i(const wg_tensor *t, int64_t *value) {
    wg_status st = one_element(t);
    if (st == WG_OK && value) *value = wg__load_int(t->data, (wg_dtype)t->dtype);
    return st;
}
int wg_truth(const wg_tensor *t) {
    if (t && wg__ok(t) && !wg_error_pending() && t->numel != 1) {
        wg__raise(WG_ERR_RUNTIME, "bool", "Boolean value of Tensor with %s is ambiguous",
                  t->numel ? "more than one value" : "no values");
        return -1;
    }
    if (t && wg__ok(t) && !wg_error_pending() && (t->flags & TF_BATCHED)) {
        wg__raise(WG_ERR_RUNTIME, "bool",
                  "vmap: It looks like you're attempting to use a Tensor in some data-dependent control "
                  "flow. We don't support that yet: use wg_where");
        return -1;
    }
    if (readable("bool", t) != WG_OK) return -1;
    return wg__load_double(t->data, (wg_dtype)t->dtype) != 0;
}

/* A tensor over the caller's row-major memory, owned by us for the call; data may be of any alignment. */
static wg_tensor *over(const wg_tensor *t, wg_dtype dtype, const void *data) {
    wg_memory m = {.size = sizeof(m), .data = (void *)(uintptr_t)data};
    return wg__take(wg_from_memory(dtype, t->ndim, t->dims, &m));
}

static wg_status check_bytes(const char *who, const wg_tensor *t, wg_dtype dtype, const void *data, size_t bytes) {
    if (!wg__dtype_exists((int)dtype))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, who, "torch.%s does not exist in this version of Wengert",
                         wg_dtype_name(dtype));
    if (bytes != (size_t)t->numel * wg_dtype_size(dtype) || (!data && bytes))
        return wg__raise(WG_ERR_VALUE, who, "%s: %lld elements of torch.%s are %zu bytes, not %zu", who,
                         (long long)t->numel, wg_dtype_name(dtype), (size_t)t->numel * wg_dtype_size(dtype), bytes);
    return WG_OK;
}

wg_status wg_copy_out(const wg_tensor *t, wg_dtype dtype, void *data, size_t bytes) {
    wg_status st = readable("copy_out", t);
    if (st == WG_OK) st = check_bytes("copy_out", t, dtype, data, bytes);
    if (st != WG_OK || t->numel == 0) return st;
    wg_tensor *out = over(t, dtype, data);
    if (wg_is_poison(out)) return WG_ERR_MEMORY;
    st = wg__copy_into(out, t);
    wg_release(out);
    if (st == WG_ERR_INTERRUPTED)
        wg__raise(st, "copy_out", "copy_out was interrupted; the memory may be partly written");
    return st;
}

wg_status wg_copy_in(wg_tensor *t, wg_dtype dtype, const void *data, size_t bytes) {
    WG_COMPOSITE;
    wg_status st = readable("copy_in", t);
    if (st == WG_OK) st = check_bytes("copy_in", t, dtype, data, bytes);
    if (st != WG_OK) return st;
    if (t->numel == 0) return WG_OK;
    wg_tensor *in = over(t, dtype, data), *r = wg_is_poison(in) ? in : wg_copy_(t, in);
    wg_release(in);
    return wg_is_poison(r) ? wg_last_status() : WG_OK;
}
