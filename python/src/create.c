/* create.c - torch.tensor and the factories (zeros, full, arange …), their forms *_like and new_*, the legacy
 * constructors (Tensor, FloatTensor …), and the default device. What becomes of data is in sequence.c.
 */
#include <string.h>

#include "wgpy.h"

/* ---- the default device
 * --------------------------------------------------------------------------------------------------- */

static PyObject *default_device; /* NULL: none was set */
static PyObject *entered;        /* list: those in force before each `with` */

static PyObject *set_default_device(PyObject *m, PyObject *o) {
    PyObject *device = NULL;
    (void)m;
    if (o != Py_None && !(device = PyObject_CallFunctionObjArgs((PyObject *)wgpy.device, o, NULL))) return NULL;
    WGPY_SET(default_device, device);
    Py_RETURN_NONE;
}
static PyObject *get_default_device(PyObject *m, PyObject *u) {
    return (void)m, (void)u, Py_NewRef(default_device ? default_device : wgpy.cpu);
}

PyObject *wgpy_device_enter(PyObject *device, PyObject *unused) {
    (void)unused;
    if (!entered && !(entered = PyList_New(0))) return NULL;
    if (PyList_Append(entered, default_device ? default_device : Py_None) < 0) return NULL;
    WGPY_SET(default_device, Py_NewRef(device));
    return Py_NewRef(device);
}
PyObject *wgpy_device_exit(PyObject *device, PyObject *args) {
    (void)device, (void)args;
    Py_ssize_t n = entered ? PyList_Size(entered) : 0;
    if (n == 0) Py_RETURN_NONE;
    PyObject *before = PyList_GetItem(entered, n - 1);
    WGPY_SET(default_device, before == Py_None ? NULL : Py_NewRef(before));
    if (PyList_SetSlice(entered, n - 1, n, NULL) < 0) return NULL;
    Py_RETURN_NONE;
}

/* ---- keywords
 * ----------------------------------------------------------------------------------------------------------------- */

static bool check_out(const wgpy_call *c, wgpy_factory *f, PyObject *out) {
    f->out_object = out;
    f->out = wgpy_handle(out);
    wg_dtype d = wg_dtype_of(f->out);
    if (f->options.has_dtype && f->options.dtype != d) {
        PyErr_Format(PyExc_RuntimeError, "dtype %s does not match dtype of out parameter (%s)",
                     wgpy_scalar_name(f->options.dtype), wgpy_scalar_name(d));
        return false;
    }
    if (wg_requires_grad(f->out) && wg_grad_enabled()) {
        PyErr_Format(PyExc_RuntimeError,
                     "%s%s(): functions with out=... arguments don't support automatic differentiation, but one of the "
                     "arguments "
                     "requires grad.",
                     c->sig->p[0].type == PT_TENSOR ? "" : "aten::", c->family->name);
        return false;
    }
    f->options.dtype = d;
    f->out_grad = f->options.requires_grad; /* what out is filled from requires nothing itself */
    f->options.requires_grad = false;
    return f->options.has_dtype = true;
}

static bool read_bool(wgpy_factory *f, const wgpy_call *c, int i) {
    if (c->sig->p[i].name[0] == 'r')
        f->options.requires_grad = c->arg[i].v.i != 0;
    else if (c->arg[i].v.i && strcmp(c->sig->p[i].name, "pin_memory") == 0) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "Cannot access accelerator device when none is available. pin_memory=True has no use on the cpu");
        return false;
    }
    return true;
}

bool wgpy_factory_of(const wgpy_call *c, wgpy_factory *f) {
    *f = (wgpy_factory){.options.size = sizeof(wg_options)};
    int out = -1;
    bool device = false;
    for (int i = c->sig->npos; i < c->sig->n; i++) { /* what may only be named stands last */
        const wgpy_param *p = &c->sig->p[i];
        if (!wgpy_given(c, i)) continue;
        switch (p->type) {
        case PT_DTYPE: f->options.dtype = wgpy_dtype_arg(c, i), f->options.has_dtype = true; break;
        case PT_GENERATOR: f->generator = ((wgpy_generator *)c->object[i])->g; break;
        case PT_FORMAT: f->format = c->object[i]; break;
        case PT_TENSOR: out = i; break;
        case PT_DEVICE: device = true; break; /* the cpu, or binding it had failed */
        case PT_BOOL:
            if (!read_bool(f, c, i)) return false;
            break;
        default: break;
        }
    }
    wg_device unused;
    if (!device && default_device && wgpy_device_from(default_device, &unused) < 0) return false;
    return out < 0 || check_out(c, f, c->object[out]);
}

static bool same_sizes(const wg_tensor *a, const wg_tensor *b) {
    return wg_ndim(a) == wg_ndim(b) && memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * 8) == 0;
}

static PyObject *into_out(const wgpy_factory *f, wg_tensor *r) {
    bool grad = wg_set_grad_enabled(false);
    wg_tensor *w = f->out;
    wg_status st = WG_OK;
    if (same_sizes(f->out, r))
        w = wg_copy_(f->out, r);
    else
        st = wg_set_data(f->out, r);
    wg_set_grad_enabled(grad);
    if (st != WG_OK || wg_is_poison(w)) return wgpy_error();
    if (f->out_grad && wg_is_poison(wg_set_requires_grad(f->out, true))) return wgpy_error();
    return Py_NewRef(f->out_object);
}

PyObject *wgpy_made(const wgpy_factory *f, wg_tensor *r) {
    if (!r || wg_is_poison(r)) return wgpy_error();
    return f->out ? into_out(f, r) : wgpy_result(r);
}

/* ---- memory formats
 * --------------------------------------------------------------------------------------------------------------- */

/* Strides with the second dim innermost (of 4 or 5 dims). */
static bool channels_last(PyObject *format, int ndim, const int64_t *sizes, int64_t *strides) {
    int wanted = format == wgpy.channels_last ? 4 : 5;
    if (ndim != wanted) {
        PyErr_Format(PyExc_RuntimeError, "required rank %d tensor to use channels_last%s format", wanted,
                     wanted == 5 ? "_3d" : "");
        return false;
    }
    int64_t step = 1;
    strides[1] = step;
    step *= sizes[1];
    for (int i = ndim - 1; i > 1; i--) {
        strides[i] = step;
        step *= sizes[i] ? sizes[i] : 1;
    }
    strides[0] = step;
    return true;
}

static wg_tensor *empty_in(PyObject *format, int ndim, const int64_t *sizes, const wg_options *o) {
    int64_t strides[WG_MAX_DIMS];
    if (!format || format == wgpy.contiguous_format) return wg_empty(ndim, sizes, o);
    return channels_last(format, ndim, sizes, strides) ? wg_empty_strided(ndim, sizes, strides, o) : NULL;
}

wg_tensor *wgpy_empty_like(const wgpy_factory *f, wg_tensor *t) {
    wg_options o = f->options;
    if (!f->format || f->format == wgpy.preserve_format) return wg_empty_like(t, &o);
    if (!o.has_dtype) o.dtype = wg_dtype_of(t), o.has_dtype = true;
    return empty_in(f->format, wg_ndim(t), wg_sizes(t), &o);
}

/* ---- numbers among the arguments
 * ------------------------------------------------------------------------------------------------------ */

/* A Scalar as a number of the scope: what a tensor holds counts as a Python number. */
static wg_tensor *scalar(const wgpy_call *c, int i) {
    const wg_arg *a = &c->arg[i];
    if (c->object[i] && wgpy_is_tensor(c->object[i]) && wg_dtype_of(wgpy_handle(c->object[i])) == WG_BOOL)
        return wg_b(wgpy_double(c, i, 0) != 0);
    if (a->tag == WG_TAG_INT) return wg_i(a->v.i);
    return a->tag == WG_TAG_BOOL ? wg_b(a->v.i != 0) : wg_s(wgpy_double(c, i, 0));
}

/* ---- factories
 * --------------------------------------------------------------------------------------------------------------------------
 */

#define SIZES(c, i) (int)(c)->arg[i].n, (c)->arg[i].v.ints

static PyObject *empty(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    if (f.format == wgpy.preserve_format) {
        PyErr_SetString(PyExc_RuntimeError, "unsupported memory format Preserve");
        return NULL;
    }
    return wgpy_made(&f, empty_in(f.format, SIZES(c, 0), &f.options));
}
static PyObject *zeros(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_made(&f, wg_zeros(SIZES(c, 0), &f.options)) : NULL;
}
static PyObject *ones(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_made(&f, wg_ones(SIZES(c, 0), &f.options)) : NULL;
}
static PyObject *full(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_made(&f, wg_full(SIZES(c, 0), scalar(c, 1), &f.options)) : NULL;
}
static PyObject *scalar_tensor(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    if (!f.options.has_dtype) f.options.dtype = wg_default_dtype(), f.options.has_dtype = true;
    return wgpy_made(&f, wg_full(0, NULL, scalar(c, 0), &f.options));
}
static PyObject *eye(const wgpy_call *c) {
    wgpy_factory f;
    int64_t m = c->sig->npos == 2 ? wgpy_int(c, 1, -1) : -1;
    if (c->sig->npos == 2 && m < 0 && wgpy_int(c, 0, 0) >= 0) {
        PyErr_Format(PyExc_RuntimeError, "m must be greater or equal to 0, got %lld", (long long)m);
        return NULL;
    }
    return wgpy_factory_of(c, &f) ? wgpy_made(&f, wg_eye(wgpy_int(c, 0, 0), m, &f.options)) : NULL;
}

static int warn_wrong_count(const wgpy_factory *f, wg_tensor *r) {
    if (!f->out || !r || wg_is_poison(r) || wg_numel(f->out) == 0 || wg_numel(f->out) == wg_numel(r)) return 0;
    PyObject *sizes = wgpy_size(wg_ndim(f->out), wg_sizes(f->out)), *list = sizes ? PySequence_List(sizes) : NULL;
    int st =
        list ? PyErr_WarnFormat(PyExc_UserWarning, 1,
                                "The number of elements in the out tensor of shape %S is %lld which does not match the "
                                "computed number of elements %lld. Note that this may occur as a result of rounding "
                                "error. The out tensor will be "
                                "resized to a tensor of shape (%lld,).",
                                list, (long long)wg_numel(f->out), (long long)wg_numel(r), (long long)wg_numel(r))
             : -1;
    Py_XDECREF(sizes);
    Py_XDECREF(list);
    return st;
}

/* arange(end), (start, end), (start, end, step) */
static PyObject *arange(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    int n = c->sig->npos;
    wg_tensor *start = n > 1 ? scalar(c, 0) : wg_i(0), *end = scalar(c, n > 1),
              *step = n > 2 && wgpy_given(c, 2) ? scalar(c, 2) : wg_i(1);
    wg_tensor *r = wg_arange(start, end, step, &f.options);
    return warn_wrong_count(&f, r) < 0 ? NULL : wgpy_made(&f, r);
}

/* The ends may be tensors without dims. */
static bool refuse_dims(const wgpy_call *c) {
    int start = c->arg[0].tag == WG_TAG_TENSOR ? wg_ndim(c->arg[0].v.t) : -1,
        end = c->arg[1].tag == WG_TAG_TENSOR ? wg_ndim(c->arg[1].v.t) : -1;
    if (start <= 0 && end <= 0) return false;
    char first[48] = "", second[48] = "";
    if (start >= 0) PyOS_snprintf(first, sizeof(first), "start with %d dimension(s)%s", start, end >= 0 ? " and " : "");
    if (end >= 0) PyOS_snprintf(second, sizeof(second), "end with %d dimension(s)", end);
    PyErr_Format(PyExc_RuntimeError, "linspace only supports 0-dimensional start and end tensors, but got %s%s.", first,
                 second);
    return true;
}
static bool end_of(const wgpy_call *c, int i, double *v) {
    if (c->arg[i].tag == WG_TAG_TENSOR) return wgpy_check(wg_item(c->arg[i].v.t, v)) == 0;
    return *v = wgpy_double(c, i, 0), true;
}
static PyObject *linspace(const wgpy_call *c) {
    wgpy_factory f;
    double start, end;
    if (!wgpy_factory_of(c, &f) || refuse_dims(c) || !end_of(c, 0, &start) || !end_of(c, 1, &end)) return NULL;
    return wgpy_made(&f, wg_linspace(start, end, wgpy_int(c, 2, 0), &f.options));
}

static PyObject *empty_with_strides(const wgpy_call *c, int i, wgpy_factory *f) {
    if (c->arg[i].n != c->arg[i + 1].n) {
        PyErr_Format(PyExc_RuntimeError, "dimensionality of sizes (%u) must match dimensionality of strides (%u)",
                     (unsigned)c->arg[i].n, (unsigned)c->arg[i + 1].n);
        return NULL;
    }
    return wgpy_made(f, wg_empty_strided(SIZES(c, i), c->arg[i + 1].v.ints, &f->options));
}
static PyObject *empty_strided(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? empty_with_strides(c, 0, &f) : NULL;
}

/* The dims in the order in which they lie, outermost first. */
static PyObject *empty_permuted(const wgpy_call *c) {
    wgpy_factory f;
    int64_t strides[WG_MAX_DIMS] = {0}, step = 1;
    int n = (int)c->arg[0].n;
    const int64_t *sizes = c->arg[0].v.ints, *order = c->arg[1].v.ints;
    if (!wgpy_factory_of(c, &f)) return NULL;
    uint64_t seen = 0;
    bool good = n == (int)c->arg[1].n && n <= WG_MAX_DIMS;
    for (int i = n - 1; i >= 0 && good; i--) {
        good = order[i] >= 0 && order[i] < n && !(seen >> order[i] & 1);
        if (!good) break;
        seen |= (uint64_t)1 << order[i];
        strides[order[i]] = step;
        if (__builtin_mul_overflow(step, sizes[order[i]] > 1 ? sizes[order[i]] : 1, &step)) good = false;
    }
    if (good) return wgpy_made(&f, wg_empty_strided(n, sizes, strides, &f.options));
    PyErr_SetString(
        PyExc_RuntimeError,
        "Number of dimensions in size does not match the length of the physical_layout; i.e. the physical layout names "
        "each dim of the size once");
    return NULL;
}

/* ---- like another
 * ----------------------------------------------------------------------------------------------------------------------------
 */

static bool keeps_strides(const wgpy_factory *f) { return !f->format || f->format == wgpy.preserve_format; }

static PyObject *filled_like(const wgpy_call *c, wgpy_factory *f, wg_tensor *value) {
    wg_tensor *t = wgpy_empty_like(f, c->arg[0].v.t);
    if (!t || wg_is_poison(t)) return wgpy_error();
    bool before = wg_set_grad_enabled(false);
    t = wg_fill_(t, value);
    wg_set_grad_enabled(before);
    return wgpy_made(f, t);
}
static PyObject *empty_like(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_made(&f, wgpy_empty_like(&f, c->arg[0].v.t)) : NULL;
}
static PyObject *zeros_like(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    return keeps_strides(&f) ? wgpy_made(&f, wg_zeros_like(c->arg[0].v.t, &f.options)) : filled_like(c, &f, wg_i(0));
}
static PyObject *ones_like(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    return keeps_strides(&f) ? wgpy_made(&f, wg_ones_like(c->arg[0].v.t, &f.options)) : filled_like(c, &f, wg_i(1));
}
static PyObject *full_like(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    return keeps_strides(&f) ? wgpy_made(&f, wg_full_like(c->arg[0].v.t, scalar(c, 1), &f.options))
                             : filled_like(c, &f, scalar(c, 1));
}

/* x.new_zeros(…): x's dtype unless one is given */
static bool new_factory(const wgpy_call *c, wgpy_factory *f) {
    if (!wgpy_factory_of(c, f)) return false;
    if (!f->options.has_dtype) f->options.dtype = wg_dtype_of(c->arg[0].v.t), f->options.has_dtype = true;
    return true;
}
static PyObject *new_empty(const wgpy_call *c) {
    wgpy_factory f;
    return new_factory(c, &f) ? wgpy_made(&f, wg_empty(SIZES(c, 1), &f.options)) : NULL;
}
static bool negative_size(const wg_arg *a) {
    for (uint32_t i = 0; i < a->n; i++)
        if (a->v.ints[i] < 0) return true;
    return false;
}
static PyObject *new_zeros(const wgpy_call *c) {
    wgpy_factory f;
    if (negative_size(&c->arg[1])) return new_empty(c); /* which says so in other words than torch.zeros */
    return new_factory(c, &f) ? wgpy_made(&f, wg_zeros(SIZES(c, 1), &f.options)) : NULL;
}
static PyObject *new_ones(const wgpy_call *c) {
    wgpy_factory f;
    return new_factory(c, &f) ? wgpy_made(&f, wg_ones(SIZES(c, 1), &f.options)) : NULL;
}
static PyObject *new_full(const wgpy_call *c) {
    wgpy_factory f;
    return new_factory(c, &f) ? wgpy_made(&f, wg_full(SIZES(c, 1), scalar(c, 2), &f.options)) : NULL;
}
static PyObject *new_empty_strided(const wgpy_call *c) {
    wgpy_factory f;
    return new_factory(c, &f) ? empty_with_strides(c, 1, &f) : NULL;
}

/* ---- from data
 * -----------------------------------------------------------------------------------------------------------------------------------
 */

static int warn_of_copy(PyObject *data, const char *call) {
    char text[256];
    if (!wgpy_is_tensor(data)) return 0;
    PyOS_snprintf(text, sizeof(text),
                  "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                  "sourceTensor.detach().clone().requires_grad_(True), rather than %s(sourceTensor).",
                  call);
    return wgpy_warn(PyExc_UserWarning, text);
}

static PyObject *requiring(wg_tensor *t, bool grad) {
    if (!t || wg_is_poison(t) || !grad) return wgpy_result_or_error(t);
    if (wg_dtype_is_floating(wg_dtype_of(t))) return wgpy_result_or_error(wg_set_requires_grad(t, true));
    PyErr_SetString(PyExc_RuntimeError, "Only Tensors of floating point and complex dtype can require gradients");
    return NULL;
}

static PyObject *from_data(const wgpy_call *c, int i, wgpy_factory *f) {
    if (warn_of_copy(c->object[i], i == 1 ? "tensor.new_tensor" : "torch.tensor") < 0) return NULL;
    wg_tensor *t = wgpy_from_object(c->object[i], f->options.has_dtype ? f->options.dtype : WG_DTYPE_NONE);
    return requiring(t, f->options.requires_grad);
}
static PyObject *tensor(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? from_data(c, 0, &f) : NULL;
}
static PyObject *new_tensor(const wgpy_call *c) {
    wgpy_factory f;
    return new_factory(c, &f) ? from_data(c, 1, &f) : NULL;
}

static PyObject *as_tensor(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    wg_tensor *t = wgpy_share_object(c->object[0], f.options.has_dtype ? f.options.dtype : WG_DTYPE_NONE);
    if (t && wgpy_is_tensor(c->object[0]) && t == wgpy_handle(c->object[0])) return Py_NewRef(c->object[0]);
    return wgpy_result_or_error(t);
}

static PyObject *frombuffer(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    wg_tensor *t = wgpy_from_buffer(c->object[0], f.options.dtype, wgpy_int(c, 2, -1), wgpy_int(c, 3, 0));
    return requiring(t, f.options.requires_grad);
}

/* ---- asarray: shares what it can, and says whether it must
 * ------------------------------------------------------------------------------------------ */

typedef struct wish { /* what asarray was asked for */
    wg_dtype dtype;
    bool may_copy, must_copy, grad_given, grad;
} wish;

static bool is_buffer(PyObject *o) {
    if (PyUnicode_Check(o) || PyList_Check(o) || PyTuple_Check(o) || PyLong_Check(o) || PyFloat_Check(o)) return false;
    Py_buffer view;
    bool is = PyObject_GetBuffer(o, &view, PyBUF_SIMPLE) == 0;
    if (is)
        PyBuffer_Release(&view);
    else
        PyErr_Clear();
    return is;
}

static wg_tensor *sharing(PyObject *o, const wish *w) {
    if (wgpy_is_tensor(o)) return wgpy_handle(o);
    if (wgpy_is_array(o)) return wgpy_from_array(o);
    if (wgpy_is_array_scalar(o)) return wgpy_from_object(o, WG_DTYPE_NONE);
    if (PyObject_HasAttrString(o, "__dlpack__")) return wgpy_share_object(o, WG_DTYPE_NONE);
    if (wgpy_is_number(o) || !is_buffer(o)) return NULL;
    return wgpy_from_buffer(o, w->dtype == WG_DTYPE_NONE ? WG_UINT8 : w->dtype, -1, 0);
}

static int refuse_alias(const wg_tensor *t, const wish *w) {
    PyErr_Format(PyExc_ValueError, "can't alias tensor with dtype '%s' into dtype '%s'.",
                 wgpy_scalar_name(wg_dtype_of(t)), wgpy_scalar_name(w->dtype));
    return -1;
}

static wg_tensor *adapt(wg_tensor *t, const wish *w) {
    bool other = w->dtype != WG_DTYPE_NONE && w->dtype != wg_dtype_of(t);
    if (other && !w->may_copy) return refuse_alias(t, w), NULL;
    if (other) return wg_to(t, w->dtype);
    return w->must_copy ? wg_clone(t) : t;
}

static int warn_of_grad(const wg_tensor *t, const wish *w) {
    static bool said;
    if (said || w->grad_given || !wg_requires_grad(t)) return 0;
    said = true;
    return wgpy_warn(PyExc_UserWarning, "torch.asarray: unspecified requires_grad now defaults to obj.requires_grad "
                                        "instead of False. Pass requires_grad "
                                        "to be explicit.");
}

static PyObject *asarray(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    wish w = {f.options.has_dtype ? f.options.dtype : WG_DTYPE_NONE, !wgpy_given(c, 3) || wgpy_bool(c, 3, true),
              wgpy_bool(c, 3, false), wgpy_given(c, 4), wgpy_bool(c, 4, false)};
    wg_tensor *t = sharing(c->object[0], &w);
    if (!t && PyErr_Occurred()) return NULL;
    if (!t && !w.may_copy) {
        PyErr_SetString(PyExc_ValueError, "can't alias arbitrary sequence into a tensor.");
        return NULL;
    }
    t = t ? adapt(t, &w) : wgpy_from_object(c->object[0], w.dtype);
    if (!t || wg_is_poison(t) || warn_of_grad(t, &w) < 0) return wgpy_error();
    if (w.grad_given && !w.grad && wg_requires_grad(t)) t = wg_detach(t);
    if (w.grad && !wg_requires_grad(t)) t = wg_set_requires_grad(t, true);
    if (wgpy_is_tensor(c->object[0]) && t == wgpy_handle(c->object[0])) return Py_NewRef(c->object[0]);
    return wgpy_result_or_error(t);
}

/* ---- the legacy constructors: Tensor(2, 3), Tensor([2, 3]), FloatTensor(…), x.new(…)
 * ------------------------------------------------------------------- */

static int legacy_sequence(PyObject *data) {
    if (wgpy_is_array(data) || PyUnicode_Check(data) || (PySequence_Check(data) && !wgpy_is_tensor(data))) return 0;
    PyObject *name = wgpy_type_name(data);
    PyErr_Format(PyExc_TypeError, "new(): data must be a sequence (got %V)", name, "?");
    Py_XDECREF(name);
    return -1;
}

static wg_tensor *legacy_other(wg_tensor *t, wg_dtype d, bool any) {
    static const char rest[] = "device=cpu, layout=Strided, requires_grad=false (default), pinned_memory=false "
                               "(default), memory_format=(nullopt)";
    if (any || wg_dtype_of(t) == d) return wg_alias(t);
    PyErr_Format(PyExc_TypeError, "expected TensorOptions(dtype=%s, %s) (got TensorOptions(dtype=%s, %s))",
                 wgpy_cxx_name(d), rest, wgpy_cxx_name(wg_dtype_of(t)), rest);
    return NULL;
}

/* any: a tensor of any dtype is taken as it is. first: 1 for the method x.new. named: size= was given by name. */
static wg_tensor *legacy(const wgpy_call *c, int first, wg_dtype d, bool any, bool named) {
    PyObject *given = c->sig->n > first && !c->sig->p[first].kwonly ? c->object[first] : NULL;
    int64_t zero = 0;
    if (!given) return wg_empty(1, &zero, WG_DTYPE(d));
    wgpy_type type = c->sig->p[first].type;
    if (type == PT_TENSOR) return legacy_other(c->arg[first].v.t, d, any);
    bool sizes = type == PT_INTS && (named || Py_TYPE(given) == wgpy.size || PyIndex_Check(given));
    if (sizes) return wg_empty(SIZES(c, first), WG_DTYPE(d));
    return legacy_sequence(given) < 0 ? NULL : wgpy_share_object(given, d);
}

#define LEGACY(self)                                                                                                   \
    "new(" self "*, Device? device=None) -> Tensor", "new(" self "Tensor other) -> Tensor",                            \
        "new(" self "int[] size, *, Device? device=None) -> Tensor",                                                   \
        "new(" self "Any data, *, Device? device=None) -> Tensor"

static wgpy_overloads *legacy_family(void) {
    static const char *const schemas[] = {LEGACY("")};
    static wgpy_signature *s[4];
    static wgpy_overloads f = {.name = "new", .s = s, .is_method = true};
    while (f.n < 4) {
        if (!(s[f.n] = wgpy_parse_schema(schemas[f.n], true))) return NULL;
        f.n++;
    }
    return &f;
}

/* A call with a tuple and a dict, as tp_new and tp_call get it, bound. */
static wg_tensor *legacy_call(PyObject *args, PyObject *kwargs, wg_dtype d, bool any) {
    wgpy_overloads *f = legacy_family();
    Py_ssize_t n = PyTuple_Size(args), k = kwargs ? PyDict_Size(kwargs) : 0, at = 0;
    PyObject *names = PyTuple_New(k), **all = PyMem_Calloc((size_t)(n + k + 1), sizeof(*all)), *key, *value;
    wgpy_call c;
    wg_tensor *r = NULL;
    if (!f || !names || !all) {
        Py_XDECREF(names);
        PyMem_Free(all);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) all[i] = PyTuple_GetItem(args, i);
    for (Py_ssize_t i = 0; k && PyDict_Next(kwargs, &at, &key, &value); i++) {
        all[n + i] = value;
        PyTuple_SetItem(names, i, Py_NewRef(key));
    }
    wgpy_factory options;
    if (wgpy_bind(&c, f, NULL, all, n, k ? names : NULL) == 0 && wgpy_factory_of(&c, &options))
        r = legacy(&c, 0, d, any, n == 0);
    wgpy_unbind(&c);
    Py_DECREF(names);
    PyMem_Free(all);
    return r;
}

static PyObject *legacy_new(PyTypeObject *type, PyObject *args, PyObject *kwargs, wg_dtype d, bool any) {
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_take(legacy_call(args, kwargs, d, any));
    wg_scope_close(scope);
    return t ? wgpy_wrap_as(type, t) : wgpy_error();
}
PyObject *wgpy_tensor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return legacy_new(type, args, kwargs, wg_default_dtype(), true);
}

static PyObject *method_new(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_result_or_error(legacy(c, 1, wg_dtype_of(c->arg[0].v.t), false, false)) : NULL;
}

/* torch.FloatTensor: called it makes tensors, and isinstance asks it about the dtype. */
typedef struct tensortype {
    PyObject_HEAD wg_dtype dtype;
    const char *name;
} tensortype;
static PyTypeObject *tensortype_type;
static wg_dtype type_code(PyObject *self) { return ((tensortype *)self)->dtype; }

static PyObject *tensortype_call(PyObject *self, PyObject *args, PyObject *kwargs) {
    return legacy_new(wgpy.tensor, args, kwargs, type_code(self), false);
}
static PyObject *tensortype_repr(PyObject *self) {
    return PyUnicode_FromFormat("<class 'torch.%s'>", ((tensortype *)self)->name);
}
static void tensortype_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}
static PyObject *is_instance(PyObject *self, PyObject *o) {
    return PyBool_FromLong(wgpy_is_tensor(o) && wg_dtype_of(wgpy_handle(o)) == type_code(self));
}
static PyObject *is_subclass(PyObject *self, PyObject *o) { return PyBool_FromLong(self == o); }
static PyObject *tensortype_reduce(PyObject *self, PyObject *u) {
    (void)u;
    PyObject *module = PyImport_ImportModule("wengert._pickle"),
             *by_name = module ? PyObject_GetAttrString(module, "_named") : NULL;
    Py_XDECREF(module);
    return by_name ? Py_BuildValue("N(s)", by_name, ((tensortype *)self)->name) : NULL;
}
static PyObject *tensortype_dtype(PyObject *self, void *u) { return (void)u, wgpy_dtype_object(type_code(self)); }
static PyObject *tensortype_layout(PyObject *self, void *u) { return (void)self, (void)u, Py_NewRef(wgpy.strided); }
static PyObject *tensortype_name(PyObject *self, void *u) {
    return (void)u, PyUnicode_FromString(((tensortype *)self)->name);
}
static PyObject *tensortype_module(PyObject *self, void *u) {
    return (void)self, (void)u, PyUnicode_FromString("torch");
}
static PyObject *no(PyObject *self, void *u) { return (void)self, (void)u, Py_NewRef(Py_False); }

static PyMethodDef tensortype_methods[] = {{"__instancecheck__", is_instance, METH_O, NULL},
                                           {"__subclasscheck__", is_subclass, METH_O, NULL},
                                           {"__reduce__", tensortype_reduce, METH_NOARGS, NULL},
                                           {NULL, NULL, 0, NULL}};
static PyGetSetDef tensortype_getset[] = {{"dtype", tensortype_dtype, NULL, NULL, NULL},
                                          {"layout", tensortype_layout, NULL, NULL, NULL},
                                          {"is_cuda", no, NULL, NULL, NULL},
                                          {"is_xpu", no, NULL, NULL, NULL},
                                          {"is_sparse", no, NULL, NULL, NULL},
                                          {"__name__", tensortype_name, NULL, NULL, NULL},
                                          {"__qualname__", tensortype_name, NULL, NULL, NULL},
                                          {"__module__", tensortype_module, NULL, NULL, NULL},
                                          {NULL, NULL, NULL, NULL, NULL}};

static const char *const type_names[] = {"BoolTensor", "ByteTensor", "CharTensor",     "ShortTensor", "IntTensor",
                                         "LongTensor", "HalfTensor", "BFloat16Tensor", "FloatTensor", "DoubleTensor"};

static int add_tensortypes(PyObject *module) {
    PyType_Slot slots[] = {{Py_tp_call, tensortype_call},
                           {Py_tp_repr, tensortype_repr},
                           {Py_tp_dealloc, tensortype_dealloc},
                           {Py_tp_methods, tensortype_methods},
                           {Py_tp_getset, tensortype_getset},
                           {Py_tp_doc, "Makes tensors of one dtype, as torch.Tensor(...) does."},
                           {0, NULL}};
    PyType_Spec spec = {"torch.tensortype", sizeof(tensortype), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    tensortype_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    for (int d = WG_BOOL; tensortype_type && d <= WG_FLOAT64; d++) {
        tensortype *t = PyObject_New(tensortype, tensortype_type);
        if (!t) return -1;
        t->dtype = (wg_dtype)d;
        t->name = type_names[d];
        int st = PyModule_AddObjectRef(module, t->name, (PyObject *)t);
        Py_DECREF(t);
        if (st < 0) return -1;
    }
    return tensortype_type ? 0 : -1;
}

/* "torch.FloatTensor" or the type itself; -1: neither, with an exception. */
static int float_type(PyObject *o) {
    if (Py_TYPE(o) == tensortype_type) return (int)type_code(o);
    for (int d = WG_BOOL; PyUnicode_Check(o) && d <= WG_FLOAT64; d++) {
        char full[32];
        PyOS_snprintf(full, sizeof(full), "torch.%s", type_names[d]);
        if (PyUnicode_CompareWithASCIIString(o, full) == 0) return d;
    }
    if (PyUnicode_Check(o))
        PyErr_Format(PyExc_ModuleNotFoundError, "No module named '%U'", o);
    else
        PyErr_SetString(PyExc_TypeError,
                        "invalid type object: only floating-point types are supported as the default type");
    return -1;
}
static PyObject *set_default_tensor_type(PyObject *m, PyObject *o) {
    static bool said;
    (void)m;
    int d = float_type(o);
    if (d < 0) return NULL;
    if (!said &&
        wgpy_warn(
            PyExc_UserWarning,
            "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and "
            "torch.set_default_device() as alternatives.") < 0)
        return NULL;
    said = true;
    if (!wg_dtype_is_floating((wg_dtype)d)) {
        PyErr_SetString(PyExc_TypeError, "only floating-point types are supported as the default type");
        return NULL;
    }
    if (wgpy_check(wg_set_default_dtype((wg_dtype)d))) return NULL;
    Py_RETURN_NONE;
}

/* ---- tables
 * ----------------------------------------------------------------------------------------------------------------------------------------------
 */

#define OPTIONS                                                                                                        \
    "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool? "                 \
    "requires_grad=False) -> Tensor"
#define OUT_OPTIONS "Tensor? out=None, " OPTIONS
#define FORMAT_OPTIONS "MemoryFormat? memory_format=None, " OPTIONS

const wgpy_builtin wgpy_create_builtins[] = {
    {"tensor(Any data, *, ScalarType? dtype=None, Device? device=None, bool pin_memory=False, bool "
     "requires_grad=False) -> Tensor",
     "tensor(data, *, dtype=None, requires_grad=False) -> Tensor\n\nA new tensor of the data: numbers, nested lists, "
     "arrays.\n\n"
     ">>> torch.tensor([[1., 2.], [3., 4.]])\ntensor([[1., 2.],\n        [3., 4.]])",
     WGPY_FUNCTION | WGPY_PLAIN, tensor},
    {"as_tensor(Any data, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
     "as_tensor(data, *, dtype=None) -> Tensor\n\nThe data as a tensor, without a copy where that can be.",
     WGPY_FUNCTION | WGPY_PLAIN, as_tensor},
    {"asarray(Any obj, *, ScalarType? dtype=None, Device? device=None, bool? copy=None, bool? requires_grad=None) -> "
     "Tensor",
     "asarray(obj, *, dtype=None, copy=None, requires_grad=None) -> Tensor\n\nThe object as a tensor; copy says "
     "whether memory may be shared.",
     WGPY_FUNCTION | WGPY_PLAIN, asarray},
    {"frombuffer(Any buffer, *, ScalarType dtype, int count=-1, int offset=0, bool requires_grad=False) -> Tensor",
     "frombuffer(buffer, *, dtype, count=-1, offset=0) -> Tensor\n\nA tensor over the memory of a buffer.",
     WGPY_FUNCTION | WGPY_PLAIN, frombuffer},
    {"scalar_tensor(Scalar s, *, " OPTIONS,
     "scalar_tensor(s) -> Tensor\n\nA number as a 0-d tensor of the default dtype.", WGPY_FUNCTION, scalar_tensor},
    {"empty(int[] size, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
     "pin_memory=False, "
     "bool? requires_grad=False, MemoryFormat? memory_format=None) -> Tensor",
     "empty(*size) -> Tensor\n\nElements that nobody has set.\n\n>>> torch.empty(2, 3).shape\ntorch.Size([2, 3])",
     WGPY_FUNCTION, empty},
    {"zeros(int[] size, *, " OUT_OPTIONS, "zeros(*size) -> Tensor\n\nAll 0.\n\n>>> torch.zeros(2)\ntensor([0., 0.])",
     WGPY_FUNCTION, zeros},
    {"ones(int[] size, *, " OUT_OPTIONS, "ones(*size) -> Tensor\n\nAll 1.\n\n>>> torch.ones(2)\ntensor([1., 1.])",
     WGPY_FUNCTION, ones},
    {"full(int[] size, Scalar fill_value, *, " OUT_OPTIONS,
     "full(size, fill_value) -> Tensor\n\nAll the same.\n\n>>> torch.full((2,), 7)\ntensor([7, 7])",
     WGPY_FUNCTION | WGPY_PLAIN, full},
    {"eye(int n, *, " OUT_OPTIONS, "eye(n, m=n) -> Tensor\n\n1 on the diagonal, else 0.", WGPY_FUNCTION, eye},
    {"eye.m(int n, int m, *, " OUT_OPTIONS, NULL, WGPY_FUNCTION, eye},
    {"arange(Scalar end, *, " OUT_OPTIONS,
     "arange(start=0, end, step=1) -> Tensor\n\nFrom start towards end, which is left out.\n\n"
     ">>> torch.arange(1, 4)\ntensor([1, 2, 3])",
     WGPY_FUNCTION, arange},
    {"arange.start(Scalar start, Scalar end, *, " OPTIONS, NULL, WGPY_FUNCTION, arange},
    {"arange.step(Scalar start, Scalar end, Scalar step=1, *, " OUT_OPTIONS, NULL, WGPY_FUNCTION, arange},
    {"linspace(Tensor start, Tensor end, int steps, *, " OUT_OPTIONS,
     "linspace(start, end, steps) -> Tensor\n\nEvenly spaced, both ends included.", WGPY_FUNCTION, linspace},
    {"linspace.end(Scalar start, Tensor end, int steps, *, " OUT_OPTIONS, NULL, WGPY_FUNCTION, linspace},
    {"linspace.start(Tensor start, Scalar end, int steps, *, " OUT_OPTIONS, NULL, WGPY_FUNCTION, linspace},
    {"linspace.numbers(Scalar start, Scalar end, int steps, *, " OUT_OPTIONS, NULL, WGPY_FUNCTION, linspace},
    {"empty_strided(int[] size, int[] stride, *, " OPTIONS,
     "empty_strided(size, stride) -> Tensor\n\nempty with the strides named.", WGPY_FUNCTION, empty_strided},
    {"empty_permuted(int[] size, int[] physical_layout, *, " OPTIONS,
     "empty_permuted(size, physical_layout) -> Tensor\n\nempty whose dims lie in the order named, outermost first.",
     WGPY_FUNCTION, empty_permuted},
    {"empty_like(Tensor self, *, " FORMAT_OPTIONS,
     "empty_like(input) -> Tensor\n\nempty of input's sizes, dtype and strides.", WGPY_FUNCTION, empty_like},
    {"zeros_like(Tensor self, *, " FORMAT_OPTIONS, "zeros_like(input) -> Tensor\n\nzeros of input's sizes and dtype.",
     WGPY_FUNCTION, zeros_like},
    {"ones_like(Tensor self, *, " FORMAT_OPTIONS, "ones_like(input) -> Tensor\n\nones of input's sizes and dtype.",
     WGPY_FUNCTION, ones_like},
    {"full_like(Tensor self, Scalar fill_value, *, " FORMAT_OPTIONS,
     "full_like(input, fill_value) -> Tensor\n\nfull of input's sizes and dtype.", WGPY_FUNCTION, full_like},
    {"new_tensor(Tensor self, Any data, *, ScalarType? dtype=None, Device? device=None, bool pin_memory=False, bool "
     "requires_grad=False) -> Tensor",
     "new_tensor(data) -> Tensor\n\ntorch.tensor with x's dtype.", WGPY_METHOD, new_tensor},
    {"new_empty(Tensor self, int[] size, *, " OPTIONS, "new_empty(*size) -> Tensor\n\nempty of x's dtype.", WGPY_METHOD,
     new_empty},
    {"new_zeros(Tensor self, int[] size, *, " OPTIONS, "new_zeros(*size) -> Tensor\n\nzeros of x's dtype.", WGPY_METHOD,
     new_zeros},
    {"new_ones(Tensor self, int[] size, *, " OPTIONS, "new_ones(*size) -> Tensor\n\nones of x's dtype.", WGPY_METHOD,
     new_ones},
    {"new_full(Tensor self, int[] size, Scalar fill_value, *, " OPTIONS,
     "new_full(size, fill_value) -> Tensor\n\nfull of x's dtype.", WGPY_METHOD, new_full},
    {"new_empty_strided(Tensor self, int[] size, int[] stride, *, " OPTIONS,
     "new_empty_strided(size, stride) -> Tensor\n\nempty_strided of x's dtype.", WGPY_METHOD, new_empty_strided},
    {"new(Tensor self, *, Device? device=None) -> Tensor",
     "new(…) -> Tensor\n\nThe constructor of x's dtype: sizes, or a sequence.", WGPY_METHOD, method_new},
    {"new.tensor(Tensor self, Tensor other) -> Tensor", NULL, WGPY_METHOD, method_new},
    {"new.size(Tensor self, int[] size, *, Device? device=None) -> Tensor", NULL, WGPY_METHOD, method_new},
    {"new.data(Tensor self, Any data, *, Device? device=None) -> Tensor", NULL, WGPY_METHOD, method_new},
    {NULL, NULL, 0, NULL}};

static PyMethodDef functions[] = {
    {"set_default_device", set_default_device, METH_O,
     "set_default_device(device)\n\nWhere factories that name no device make tensors: the cpu."},
    {"get_default_device", get_default_device, METH_NOARGS,
     "get_default_device() -> device\n\nWhere factories make tensors."},
    {"set_default_tensor_type", set_default_tensor_type, METH_O,
     "set_default_tensor_type(t)\n\nset_default_dtype by the type's old name."},
    {NULL, NULL, 0, NULL}};

int wgpy_init_create(PyObject *module) {
    return PyModule_AddFunctions(module, functions) < 0 ? -1 : add_tensortypes(module);
}
