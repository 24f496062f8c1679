/* attribute.c - what a Tensor tells of itself (sizes, dtype, device, flags, its elements as Python objects, its text),
 * and conversions: to, type, float …, contiguous and clone with a memory format.
 *
 * Not here: gradients and history (autograd.c), arrays of other libraries (interop.c).
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

#define T(self) wgpy_handle(self)

/* ---- text -------------------------------------------------------------------------------------------------------- */

static PyObject *text_of(wg_tensor *t, const char *word) {
    char *text = wg_repr_named(t, word);
    if (!text) return wgpy_error();
    PyObject *r = PyUnicode_FromString(text);
    wg_free_string(text);
    return r;
}

/* Does a tensor of a subclass say that it is a parameter? */
static bool claims_parameter(PyObject *self) {
    PyObject *claim = PyObject_GetAttrString(self, "_is_param");
    if (!claim) PyErr_Clear();
    bool yes = claim && PyObject_IsTrue(claim) == 1;
    Py_XDECREF(claim);
    return yes;
}
/* A subclass shows its own name; a Parameter is a tensor with a heading; a subclass that is a parameter shows both. */
static PyObject *text_of_subclass(PyObject *self) {
    bool derived = wgpy.parameter && PyType_IsSubtype(Py_TYPE(self), wgpy.parameter),
         plain = Py_TYPE(self) == wgpy.parameter;
    PyObject *name = PyType_GetName(Py_TYPE(self));
    const char *word = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    PyObject *r = word ? text_of(T(self), plain ? NULL : word) : NULL;
    if (r && !plain && (derived || claims_parameter(self))) WGPY_SET(r, PyUnicode_FromFormat("Parameter(%U)", r));
    if (r && derived) WGPY_SET(r, PyUnicode_FromFormat("Parameter containing:\n%U", r));
    Py_XDECREF(name);
    return r;
}

PyObject *wgpy_repr(PyObject *self) {
    if (!T(self)) return PyUnicode_FromString("tensor(<collected>)");
    bool before = wg_set_grad_enabled(false);
    PyObject *r = wgpy_is_exact(self) ? text_of(T(self), NULL) : text_of_subclass(self);
    wg_set_grad_enabled(before);
    return r;
}

static PyObject *item(PyObject *self, PyObject *unused);

/* 0-d tensors format as their number does. */
static PyObject *format(PyObject *self, PyObject *spec) {
    if (!PyUnicode_Check(spec)) {
        PyObject *what = PyType_GetName(Py_TYPE(spec));
        PyErr_Format(PyExc_TypeError, "__format__() argument must be str, not %U", what);
        Py_XDECREF(what);
        return NULL;
    }
    bool plain = PyUnicode_GetLength(spec) == 0;
    if (wg_ndim(T(self)) == 0 && wgpy_is_exact(self)) {
        PyObject *number = item(self, NULL), *r = number ? PyObject_Format(number, spec) : NULL;
        Py_XDECREF(number);
        return r;
    }
    if (plain) return PyObject_Str(self);
    PyObject *name = PyType_GetName(Py_TYPE(self));
    PyErr_Format(PyExc_TypeError, "unsupported format string passed to %U.__format__", name);
    Py_XDECREF(name);
    return NULL;
}

/* ---- shape ------------------------------------------------------------------------------------------------------- */

static PyObject *get_shape(PyObject *self, void *u) { return (void)u, wgpy_size(wg_ndim(T(self)), wg_sizes(T(self))); }
static PyObject *get_ndim(PyObject *self, void *u) { return (void)u, PyLong_FromLong(wg_ndim(T(self))); }
static PyObject *dim(PyObject *self, PyObject *u) { return (void)u, PyLong_FromLong(wg_ndim(T(self))); }
static PyObject *numel(PyObject *self, PyObject *u) { return (void)u, PyLong_FromLongLong(wg_numel(T(self))); }

/* A dim of t, wrapped; -1 with PyTorch's IndexError. */
static int wrapped(const wg_tensor *t, int64_t dim) {
    int n = wg_ndim(t), most = n ? n : 1;
    if (n == 0) {
        PyErr_SetString(PyExc_IndexError, "Dimension specified as 0 but tensor has no dimensions");
        if (dim < -1 || dim > 0)
            PyErr_Format(PyExc_IndexError, "Dimension specified as %lld but tensor has no dimensions", (long long)dim);
        return -1;
    }
    if (dim >= -most && dim < most) return (int)(dim < 0 ? dim + most : dim);
    PyErr_Format(PyExc_IndexError, "Dimension out of range (expected to be in range of [%d, %d], but got %lld)", -most,
                 most - 1, (long long)dim);
    return -1;
}

static PyObject *size(const wgpy_call *c) {
    wg_tensor *t = c->arg[0].v.t;
    if (!wgpy_given(c, 1)) return wgpy_size(wg_ndim(t), wg_sizes(t));
    int d = wrapped(t, c->arg[1].v.i);
    return d < 0 ? NULL : PyLong_FromLongLong(wg_size(t, d));
}
static PyObject *stride(const wgpy_call *c) {
    wg_tensor *t = c->arg[0].v.t;
    if (wgpy_given(c, 1)) {
        int d = wrapped(t, c->arg[1].v.i);
        return d < 0 ? NULL : PyLong_FromLongLong(wg_stride(t, d));
    }
    PyObject *r = PyTuple_New(wg_ndim(t));
    for (int d = 0; r && d < wg_ndim(t); d++) PyTuple_SetItem(r, d, PyLong_FromLongLong(wg_stride(t, d)));
    return r;
}

/* Warnings of a kind come once per process, as PyTorch's. */
static int warn_once(bool *said, const char *text) {
    if (*said) return 0;
    *said = true;
    return wgpy_warn(PyExc_UserWarning, text);
}
/* A number transposed is itself, with a warning for each way of asking. */
static PyObject *number_transposed(PyObject *self, const char *name) {
    static bool said[4];
    bool hermitian = name[strlen(name) - 1] == 'H';
    char text[160];
    PyOS_snprintf(text, sizeof(text), "Tensor.%s is deprecated on 0-D tensors. %s", name,
                  hermitian ? "Consider using x.conj()." : "This function is the identity in these cases.");
    if (warn_once(&said[2 * hermitian + (name[0] == 'm')], text) < 0) return NULL;
    size_t scope = wg_scope_open();
    return wgpy_leave(scope, wg_permute(T(self), 0, NULL));
}

static PyObject *get_transposed(PyObject *self, void *u) { /* .T: all dims reversed */
    static bool said;
    int64_t dims[WG_MAX_DIMS];
    int n = wg_ndim(T(self));
    (void)u;
    if (n == 0) return number_transposed(self, "T");
    if (n != 2 &&
        warn_once(&said, "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated "
                         "and it will throw an "
                         "error in a future release. Consider `x.mT` to transpose batches of matrices or "
                         "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.") < 0)
        return NULL;
    for (int i = 0; i < n; i++) dims[i] = n - 1 - i;
    size_t scope = wg_scope_open();
    return wgpy_leave(scope, wg_permute(T(self), n, dims));
}
static PyObject *matrix_transposed(PyObject *self, const char *name) {
    if (wg_ndim(T(self)) == 0) return number_transposed(self, name);
    if (wg_ndim(T(self)) < 2) {
        PyErr_Format(PyExc_RuntimeError,
                     "tensor.%s is only supported on matrices or batches of matrices. Got %d-D tensor.", name,
                     wg_ndim(T(self)));
        return NULL;
    }
    size_t scope = wg_scope_open();
    return wgpy_leave(scope, wg_transpose(T(self), -2, -1));
}
static PyObject *get_mT(PyObject *self, void *u) { return (void)u, matrix_transposed(self, "mT"); }
static PyObject *get_mH(PyObject *self, void *u) { return (void)u, matrix_transposed(self, "mH"); }
static PyObject *get_H(PyObject *self, void *u) {
    (void)u;
    if (wg_ndim(T(self)) == 2 || wg_ndim(T(self)) == 0) return matrix_transposed(self, "H");
    PyErr_Format(PyExc_RuntimeError, "tensor.H is only supported on matrices (2-D tensors). Got %d-D tensor.%s",
                 wg_ndim(T(self)), wg_ndim(T(self)) > 2 ? " For batches of matrices, consider using tensor.mH" : "");
    return NULL;
}
static PyObject *get_real(PyObject *self, void *u) { return (void)u, Py_NewRef(self); }
static int set_real(PyObject *self, PyObject *value, void *u) { /* x.real = y writes x */
    (void)u;
    if (!value) {
        PyErr_SetString(PyExc_RuntimeError, "can't delete real attribute");
        return -1;
    }
    return PyObject_SetItem(self, Py_Ellipsis, value);
}
static PyObject *get_imag(PyObject *self, void *u) {
    (void)self, (void)u;
    PyErr_SetString(PyExc_TypeError, "imag is not implemented for tensors with non-complex dtypes.");
    return NULL;
}
static int set_imag(PyObject *self, PyObject *value, void *u) { return (void)value, get_imag(self, u), -1; }
static PyObject *get_name(PyObject *self, void *u) { /* names came and went before our time */
    (void)self, (void)u;
    Py_RETURN_NONE;
}
static PyObject *is_coalesced(PyObject *self, PyObject *u) {
    (void)self, (void)u;
    PyErr_SetString(PyExc_RuntimeError, "is_coalesced expected sparse coordinate tensor layout but got Strided");
    return NULL;
}
/* Dims from the one with the largest stride on; equal ones keep their order. */
static PyObject *dim_order(PyObject *self, PyObject *u) {
    int64_t order[WG_MAX_DIMS];
    int n = wg_ndim(T(self));
    (void)u;
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && wg_stride(T(self), (int)order[at - 1]) < wg_stride(T(self), i); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    PyObject *r = PyTuple_New(n);
    for (int i = 0; r && i < n; i++) PyTuple_SetItem(r, i, PyLong_FromLongLong(order[i]));
    return r;
}

/* ---- dtype, device, memory --------------------------------------------------------------------------------------- */

static PyObject *get_dtype(PyObject *self, void *u) { return (void)u, wgpy_dtype_object(wg_dtype_of(T(self))); }
static PyObject *get_device(PyObject *self, void *u) { return (void)u, wgpy_device_object(wg_device_of(T(self))); }
static PyObject *get_layout(PyObject *self, void *u) { return (void)self, (void)u, Py_NewRef(wgpy.strided); }
static size_t item_bytes(PyObject *self) { return wg_dtype_size(wg_dtype_of(T(self))); }
static PyObject *get_itemsize(PyObject *self, void *u) { return (void)u, PyLong_FromSize_t(item_bytes(self)); }
static PyObject *get_nbytes(PyObject *self, void *u) {
    return (void)u, PyLong_FromLongLong(wg_numel(T(self)) * (long long)item_bytes(self));
}
static PyObject *element_size(PyObject *self, PyObject *u) { return (void)u, PyLong_FromSize_t(item_bytes(self)); }
static PyObject *no(PyObject *self, void *u) { return (void)self, (void)u, PyBool_FromLong(0); }
static PyObject *yes(PyObject *self, void *u) { return (void)self, (void)u, PyBool_FromLong(1); }
static PyObject *method_false(PyObject *self, PyObject *u) { return (void)self, (void)u, PyBool_FromLong(0); }
static PyObject *method_self(PyObject *self, PyObject *u) { return (void)u, Py_NewRef(self); }
static PyObject *get_device_number(PyObject *self, PyObject *u) { return (void)self, (void)u, PyLong_FromLong(-1); }
static PyObject *is_floating_point(PyObject *self, PyObject *u) {
    return (void)u, PyBool_FromLong(wg_dtype_is_floating(wg_dtype_of(T(self))));
}
static PyObject *is_signed(PyObject *self, PyObject *u) {
    wg_dtype d = wg_dtype_of(T(self));
    return (void)u, PyBool_FromLong(d != WG_BOOL && d != WG_UINT8);
}
static PyObject *data_ptr(PyObject *self, PyObject *u) {
    (void)u;
    return PyLong_FromVoidPtr(wg_numel(T(self)) ? (void *)(uintptr_t)wg_const_data(T(self)) : NULL);
}
static PyObject *storage_offset(PyObject *self, PyObject *u) {
    return (void)u, PyLong_FromLongLong(wg_storage_offset(T(self)));
}
static PyObject *is_set_to(PyObject *self, PyObject *other) {
    if (!wgpy_expect(other, "is_set_to", "tensor")) return NULL;
    wg_tensor *a = T(self), *b = T(other);
    bool same = wg_same_storage(a, b) && wg_storage_offset(a) == wg_storage_offset(b) && wg_ndim(a) == wg_ndim(b) &&
                memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * 8) == 0 &&
                memcmp(wg_strides(a), wg_strides(b), (size_t)wg_ndim(a) * 8) == 0;
    return PyBool_FromLong(same);
}
static PyObject *is_same_size(PyObject *self, PyObject *other) {
    if (!wgpy_expect(other, "is_same_size", "other")) return NULL;
    wg_tensor *a = T(self), *b = T(other);
    return PyBool_FromLong(wg_ndim(a) == wg_ndim(b) && memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * 8) == 0);
}
/* For python/wengert/storage.py: which storage (an address that all its tensors share), its bytes, and all its
 * elements. */
static PyObject *storage_key(PyObject *self, PyObject *u) {
    (void)u;
    const char *data = wg_const_data(T(self));
    return PyLong_FromVoidPtr(
        (void *)(uintptr_t)(data ? data - wg_storage_offset(T(self)) * (int64_t)item_bytes(self) : NULL));
}

static PyObject *storage_bytes(PyObject *self, PyObject *u) {
    return (void)u, PyLong_FromSize_t(wg_storage_bytes(T(self), NULL));
}
static PyObject *whole_storage(PyObject *self, PyObject *u) {
    int64_t n = (int64_t)(wg_storage_bytes(T(self), NULL) / item_bytes(self)), one = 1;
    (void)u;
    size_t scope = wg_scope_open();
    wg_tensor *bare = wg_data_of(T(self));
    return wgpy_leave(scope, wg_data_of(wg_as_strided(bare, 1, &n, &one, 0)));
}

/* ---- memory formats ---------------------------------------------------------------------------------------------- */

/* Dims from the outermost to the innermost of the format; false: row-major. */
static bool format_order(PyObject *format, int ndim, int64_t *order) {
    bool last = (format == wgpy.channels_last && ndim == 4) || (format == wgpy.channels_last_3d && ndim == 5);
    if (!last) return false;
    order[0] = 0;
    for (int i = 1; i < ndim - 1; i++) order[i] = i + 1;
    order[ndim - 1] = 1;
    return true;
}
static int check_format(PyObject *format, const wg_tensor *t) {
    int need = format == wgpy.channels_last ? 4 : format == wgpy.channels_last_3d ? 5 : 0;
    if (!need || wg_ndim(t) == need) return 0;
    PyErr_Format(PyExc_RuntimeError, "required rank %d tensor to use channels_last%s format", need,
                 need == 5 ? "_3d" : "");
    return -1;
}
static bool has_format(const wg_tensor *t, PyObject *format) {
    int64_t order[WG_MAX_DIMS], expected = 1;
    if (!format_order(format, wg_ndim(t), order)) return wg_is_contiguous(t);
    for (int i = wg_ndim(t); i-- > 0;) {
        int64_t n = wg_size(t, (int)order[i]);
        if (n != 1 && wg_stride(t, (int)order[i]) != expected) return false;
        expected *= n;
    }
    return true;
}
/* A copy of t laid out in the format: the dims turned, copied row by row, turned back. */
static wg_tensor *copied(wg_tensor *t, PyObject *format) {
    int64_t order[WG_MAX_DIMS], back[WG_MAX_DIMS];
    int n = wg_ndim(t);
    if (!format || format == wgpy.preserve_format) return wg_clone(t);
    if (!format_order(format, n, order)) return wg_is_contiguous(t) ? wg_clone(t) : wg_contiguous(t);
    for (int i = 0; i < n; i++) back[order[i]] = i;
    wg_tensor *turned = wg_permute(t, n, order);
    return wg_permute(wg_is_contiguous(turned) ? wg_clone(turned) : wg_contiguous(turned), n, back);
}

static PyObject *is_contiguous(const wgpy_call *c) {
    wg_tensor *t = c->arg[0].v.t;
    PyObject *format = c->object[1];
    bool last = format == wgpy.channels_last || format == wgpy.channels_last_3d;
    int need = format == wgpy.channels_last ? 4 : 5;
    return PyBool_FromLong(last ? wg_ndim(t) == need && has_format(t, format) : wg_is_contiguous(t));
}
static PyObject *contiguous(const wgpy_call *c) {
    wg_tensor *t = c->arg[0].v.t;
    PyObject *format = c->object[1];
    if (format == wgpy.preserve_format) format = wgpy.contiguous_format;
    if (!format || format == wgpy.contiguous_format)
        return wg_is_contiguous(t) ? Py_NewRef(c->object[0]) : wgpy_result(wg_contiguous(t));
    if (check_format(format, t) < 0) return NULL;
    return has_format(t, format) ? Py_NewRef(c->object[0]) : wgpy_result(copied(t, format));
}
static PyObject *clone(const wgpy_call *c) {
    PyObject *format = c->object[1] == Py_None ? NULL : c->object[1];
    return check_format(format, c->arg[0].v.t) < 0 ? NULL : wgpy_result(copied(c->arg[0].v.t, format));
}

/* ---- conversions ------------------------------------------------------------------------------------------------- */

/* x.to(...): x itself when nothing changes and no copy is asked for. */
static PyObject *converted(PyObject *self, wg_dtype dtype, bool copy, PyObject *format) {
    wg_tensor *t = T(self);
    if (format == Py_None || format == wgpy.preserve_format) format = NULL;
    if (check_format(format, t) < 0) return NULL;
    bool laid = !format || has_format(t, format);
    if (dtype == WG_DTYPE_NONE) dtype = wg_dtype_of(t);
    if (dtype == wg_dtype_of(t)) {
        if (!copy && laid) return Py_NewRef(self);
        return wgpy_result(copied(t, format));
    }
    if (!wgpy_long(t)) return wgpy_result(laid ? wg_to(t, dtype) : copied(wg_to(t, dtype), format));
    wgpy_away away = wgpy_release_gil();
    wg_tensor *r = wg_to(t, dtype);
    wgpy_acquire_gil(away);
    return wgpy_result(laid ? r : copied(r, format));
}

static PyObject *to_device(const wgpy_call *c) { /* the device is the cpu, or binding failed */
    return converted(c->object[0], wgpy_dtype_arg(c, 2), wgpy_bool(c, 4, false), c->object[5]);
}
static PyObject *to_dtype(const wgpy_call *c) {
    return converted(c->object[0], wgpy_dtype_arg(c, 1), wgpy_bool(c, 3, false), c->object[4]);
}
static PyObject *to_other(const wgpy_call *c) {
    return converted(c->object[0], wg_dtype_of(c->arg[1].v.t), wgpy_bool(c, 3, false), c->object[4]);
}
static PyObject *type_as(const wgpy_call *c) {
    return converted(c->object[0], wg_dtype_of(c->arg[1].v.t), false, NULL);
}
static PyObject *cpu(const wgpy_call *c) { return converted(c->object[0], WG_DTYPE_NONE, false, c->object[1]); }
static PyObject *cuda(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
    (void)self, (void)args, (void)n, (void)names;
    PyErr_SetString(
        PyExc_AssertionError,
        "Torch not compiled with CUDA enabled. Wengert computes on the cpu: ask torch.cuda.is_available() first");
    return NULL;
}

#define CAST(name, code)                                                                                               \
    static PyObject *to_##name(const wgpy_call *c) { return converted(c->object[0], code, false, c->object[1]); }
CAST(float, WG_FLOAT32)
CAST(double, WG_FLOAT64)
CAST(half, WG_FLOAT16)
CAST(bfloat16, WG_BFLOAT16) CAST(long, WG_INT64) CAST(int, WG_INT32) CAST(short, WG_INT16) CAST(char, WG_INT8)
    CAST(byte, WG_UINT8) CAST(bool, WG_BOOL)
#undef CAST

    /* Tensor.type(): "torch.FloatTensor". */
    static const struct {
    const char *name;
    wg_dtype dtype;
} type_names[] = {{"torch.FloatTensor", WG_FLOAT32}, {"torch.DoubleTensor", WG_FLOAT64},
                  {"torch.HalfTensor", WG_FLOAT16},  {"torch.BFloat16Tensor", WG_BFLOAT16},
                  {"torch.LongTensor", WG_INT64},    {"torch.IntTensor", WG_INT32},
                  {"torch.ShortTensor", WG_INT16},   {"torch.CharTensor", WG_INT8},
                  {"torch.ByteTensor", WG_UINT8},    {"torch.BoolTensor", WG_BOOL}};
enum { TYPE_NAMES = sizeof(type_names) / sizeof(*type_names) };

static PyObject *type_name(wg_dtype d) {
    for (size_t i = 0; i < TYPE_NAMES; i++)
        if (type_names[i].dtype == d) return PyUnicode_FromString(type_names[i].name);
    return PyUnicode_FromString("torch.Tensor");
}
/* "float", "numpy.float32": a class as error texts name it. */
static PyObject *full_name(PyObject *cls) {
    PyObject *module = PyObject_GetAttrString(cls, "__module__"), *name = PyObject_GetAttrString(cls, "__name__");
    bool builtin = module && PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, "builtins") == 0;
    PyObject *full =
        module && name ? PyUnicode_FromFormat("%S%s%S", builtin ? name : module, builtin ? "" : ".", name) : NULL;
    if (full && builtin) WGPY_SET(full, Py_NewRef(name));
    Py_XDECREF(module);
    Py_XDECREF(name);
    return full;
}
/* A dtype, one of those names, or a legacy type, whose name it is; -1 with ValueError. */
static int dtype_of_type(PyObject *o, wg_dtype *d) {
    if (wgpy_is_dtype(o)) return wgpy_dtype_from(o, d);
    PyObject *text = NULL;
    if (PyUnicode_Check(o))
        text = Py_NewRef(o);
    else if (PyType_Check(o) && o != (PyObject *)wgpy.tensor)
        text = full_name(o);
    else if (PyObject_HasAttrString(o, "dtype")) {
        PyObject *own = PyObject_GetAttrString(o, "dtype");
        int st = own && wgpy_is_dtype(own) ? wgpy_dtype_from(own, d) : -1;
        Py_XDECREF(own);
        if (st == 0) return 0;
        PyErr_Clear();
    }
    for (size_t i = 0; text && i < TYPE_NAMES; i++)
        if (PyUnicode_CompareWithASCIIString(text, type_names[i].name) == 0) {
            Py_DECREF(text);
            *d = type_names[i].dtype;
            return 0;
        }
    if (o == (PyObject *)wgpy.tensor || (text && PyUnicode_CompareWithASCIIString(text, "torch.Tensor") == 0)) {
        Py_XDECREF(text);
        *d = wg_default_dtype();
        return 0;
    }
    if (text)
        PyErr_Format(PyExc_ValueError, "invalid type: '%U'", text);
    else
        PyErr_SetString(PyExc_TypeError, "dtype must be a type, str, or dtype object");
    Py_XDECREF(text);
    return -1;
}
static PyObject *type(const wgpy_call *c) {
    wg_dtype d;
    if (!c->object[1] || c->object[1] == Py_None) return type_name(wg_dtype_of(c->arg[0].v.t));
    return dtype_of_type(c->object[1], &d) < 0 ? NULL : converted(c->object[0], d, false, c->object[3]);
}

/* ---- elements as Python objects ---------------------------------------------------------------------------------- */

static PyObject *number(const char *p, wg_dtype d) {
    if (d == WG_BOOL) return PyBool_FromLong(*(const int64_t *)(const void *)p != 0);
    return wg_dtype_is_floating(d) ? PyFloat_FromDouble(*(const double *)(const void *)p)
                                   : PyLong_FromLongLong(*(const int64_t *)(const void *)p);
}

static PyObject *item(PyObject *self, PyObject *unused) {
    wg_tensor *t = T(self);
    wg_dtype d = wg_dtype_of(t);
    double v;
    int64_t i;
    (void)unused;
    if (wg_dtype_is_floating(d)) return wgpy_check(wg_item(t, &v)) ? NULL : PyFloat_FromDouble(v);
    if (wgpy_check(wg_item_i(t, &i))) return NULL;
    return d == WG_BOOL ? PyBool_FromLong(i != 0) : PyLong_FromLongLong(i);
}

/* Elements lie row-major as 8-byte numbers from *at on. */
static PyObject *nested(const wg_tensor *t, int dim, const char **at, wg_dtype d) {
    if (dim == wg_ndim(t)) {
        PyObject *o = number(*at, d);
        *at += 8;
        return o;
    }
    int64_t n = wg_size(t, dim);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (int64_t i = 0; list && i < n; i++) {
        PyObject *o = nested(t, dim + 1, at, d);
        if (o)
            PyList_SetItem(list, (Py_ssize_t)i, o);
        else
            Py_CLEAR(list);
    }
    return list;
}
static PyObject *tolist(PyObject *self, PyObject *unused) {
    wg_tensor *t = T(self);
    wg_dtype d = wg_dtype_of(t), wide = wg_dtype_is_floating(d) ? WG_FLOAT64 : WG_INT64;
    size_t bytes = (size_t)wg_numel(t) * 8;
    (void)unused;
    char *copy = malloc(bytes ? bytes : 8);
    if (!copy) return PyErr_NoMemory();
    const char *at = copy;
    PyObject *r = wgpy_check(wg_copy_out(t, wide, copy, bytes)) ? NULL : nested(t, 0, &at, d);
    free(copy);
    return r;
}

/* ---- functions made of two ops ----------------------------------------------------------------------------------- */

/* nonzero(as_tuple=True): a vector of indices per dim. */
static PyObject *nonzero(const wgpy_call *c) {
    wg_tensor *t = c->arg[0].v.t, *columns[WG_MAX_DIMS], *r = wg_nonzero(t);
    int n = 0;
    if (!wgpy_bool(c, 1, false)) return wgpy_deliver(c, r);
    if (wg_ndim(t) == 0) r = wg_nonzero(wg_unsqueeze(t, 0));
    if (wgpy_check(wg_unbind(r, 1, columns, WG_MAX_DIMS, &n))) return NULL;
    PyObject *all = PyTuple_New(n);
    for (int i = 0; all && i < n; i++) {
        PyObject *o = wgpy_result(columns[i]);
        if (o)
            PyTuple_SetItem(all, i, o);
        else
            Py_CLEAR(all);
    }
    return all;
}
static PyObject *fill(const wgpy_call *c) { return wgpy_deliver(c, wg_fill_(wg_clone(c->arg[0].v.t), c->arg[1].v.t)); }

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* Strides of a new tensor of these sizes in a memory format. */
static void strides_of(PyObject *format, int n, const int64_t *sizes, int64_t *strides) {
    int64_t order[WG_MAX_DIMS], step = 1;
    if (!format_order(format, n, order))
        for (int i = 0; i < n; i++) order[i] = i;
    for (int i = n; i-- > 0;) {
        strides[order[i]] = step;
        step *= sizes[order[i]] > 1 ? sizes[order[i]] : 1;
    }
}
/* A vector over t's storage, or over a larger one that begins with the same elements. */
static wg_tensor *with_room(wg_tensor *t, int64_t needed) {
    bool foreign;
    int64_t have = (int64_t)(wg_storage_bytes(t, &foreign) / wg_dtype_size(wg_dtype_of(t))), one = 1;
    wg_tensor *old = wg_as_strided(wg_data_of(t), 1, &have, &one, 0);
    if (needed <= have) return old;
    if (foreign) {
        PyErr_SetString(PyExc_RuntimeError, "Trying to resize storage that is not resizable");
        return NULL;
    }
    wg_tensor *fresh = wg_empty(1, &needed, WG_OPT(.dtype = wg_dtype_of(t), .has_dtype = true));
    if (have && !wg_is_poison(fresh)) wg_copy_(wg_slice(fresh, 0, 0, have, 1), old);
    return fresh;
}
/* Checks sizes and counts elements; -1 with an exception. */
static int64_t count_sizes(int n, const int64_t *sizes) {
    int64_t count = 1;
    for (int i = 0; i < n; i++)
        if (sizes[i] < 0 || __builtin_mul_overflow(count, sizes[i], &count)) {
            PyErr_SetString(PyExc_RuntimeError, "numel: integer multiplication overflow");
            return -1;
        }
    return count;
}
/* x.resize_: another shape over the storage from the same offset on; a larger storage when it is too small. */
static PyObject *resized(PyObject *self, int n, const int64_t *sizes, PyObject *format) {
    wg_tensor *t = T(self);
    int64_t strides[WG_MAX_DIMS], offset = wg_storage_offset(t), count = count_sizes(n, sizes);
    if (wg_requires_grad(t)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot resize variables that require grad");
        return NULL;
    }
    int need = format == wgpy.channels_last ? 4 : format == wgpy.channels_last_3d ? 5 : n;
    if (count < 0) return NULL;
    if (n != need)
        return PyErr_Format(PyExc_RuntimeError, "required rank %d tensor to use channels_last%s format", need,
                            need == 5 ? "_3d" : ""),
               NULL;
    if (!format && n == wg_ndim(t) && memcmp(sizes, wg_sizes(t), (size_t)n * 8) == 0) return Py_NewRef(self);
    strides_of(format, n, sizes, strides);
    bool before = wg_set_grad_enabled(false);
    wg_tensor *room = with_room(t, count ? offset + count : 0);
    wg_status st = room ? wg_set_data(t, wg_data_of(wg_as_strided(room, n, sizes, strides, offset))) : WG_OK;
    if (room && st == WG_OK) st = wg_increment_version(t);
    wg_set_grad_enabled(before);
    return !room || wgpy_check(st) ? NULL : Py_NewRef(self);
}
static PyObject *given_format(const wgpy_call *c, int i) {
    PyObject *format = c->object[i];
    return format == Py_None || format == wgpy.contiguous_format ? NULL : format;
}
static PyObject *resize(const wgpy_call *c) {
    if (c->arg[1].n > WG_MAX_DIMS) return PyErr_SetString(PyExc_RuntimeError, "resize_: too many dims"), NULL;
    return resized(c->object[0], (int)c->arg[1].n, c->arg[1].v.ints, given_format(c, 2));
}
static PyObject *resize_as(const wgpy_call *c) {
    wg_tensor *like = c->arg[1].v.t;
    return resized(c->object[0], wg_ndim(like), wg_sizes(like), given_format(c, 2));
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

#define BOTH (WGPY_FUNCTION | WGPY_METHOD)
#define TO_END "bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor"
#define CAST(name, dtype)                                                                                              \
    {                                                                                                                  \
#name "(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor",                                          \
            "x." #name "(): converted to torch." dtype, WGPY_METHOD, to_##name                                         \
    }
const wgpy_builtin wgpy_tensor_builtins[] = {
    {"size(Tensor self, int? dim=None) -> Any", "size(dim=None) -> torch.Size or int\n\nThe sizes, or one of them.",
     WGPY_METHOD, size},
    {"stride(Tensor self, int? dim=None) -> Any",
     "stride(dim=None) -> tuple or int\n\nElements from one index to the next, per dim.", WGPY_METHOD, stride},
    {"is_contiguous(Tensor self, *, MemoryFormat? memory_format=None) -> Any", "Does it lie row by row, without gaps?",
     WGPY_METHOD, is_contiguous},
    {"contiguous(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", "x itself when it lies so, else a copy.",
     WGPY_METHOD, contiguous},
    {"clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", "A copy; the gradient flows through it.",
     BOTH, clone},
    {"to(Tensor self, Device? device=None, ScalarType? dtype=None, " TO_END,
     "x in another dtype; x itself when nothing changes.", WGPY_METHOD, to_device},
    {"to.dtype(Tensor self, ScalarType dtype, " TO_END, NULL, WGPY_METHOD, to_dtype},
    {"to.other(Tensor self, Tensor tensor, " TO_END, NULL, WGPY_METHOD, to_other},
    {"nonzero(Tensor self, *, bool as_tuple=False) -> Tensor",
     "nonzero(input, *, as_tuple=False)\n\nWhere the elements are not zero.", BOTH, nonzero},
    {"fill(Tensor self, Tensor|Scalar value) -> Tensor", "One value in the shape of input.", WGPY_FUNCTION, fill},
    {"type_as(Tensor self, Tensor other) -> Tensor", "x in other's dtype.", WGPY_METHOD, type_as},
    {"type(Tensor self, Any dtype=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Any",
     "The name of x's type, or x converted to one.", WGPY_METHOD, type},
    {"cpu(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", "x itself: every tensor is on the cpu.",
     WGPY_METHOD, cpu},
    {"resize_(Tensor self, int[] size, *, MemoryFormat? memory_format=None) -> Tensor",
     "Another shape over the same elements; new ones have no value.", WGPY_METHOD, resize},
    {"resize_as_(Tensor self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor",
     "resize_ to the sizes of another.", WGPY_METHOD, resize_as},
    CAST(float, "float32"),
    CAST(double, "float64"),
    CAST(half, "float16"),
    CAST(bfloat16, "bfloat16"),
    CAST(long, "int64"),
    CAST(int, "int32"),
    CAST(short, "int16"),
    CAST(char, "int8"),
    CAST(byte, "uint8"),
    CAST(bool, "bool"),
    {NULL, NULL, 0, NULL}};
#undef CAST

PyMethodDef wgpy_attribute_methods[] = {
    {"dim", dim, METH_NOARGS, "dim() -> int\n\nHow many dims."},
    {"ndimension", dim, METH_NOARGS, "dim() by another name."},
    {"numel", numel, METH_NOARGS, "numel() -> int\n\nHow many elements."},
    {"nelement", numel, METH_NOARGS, "numel() by another name."},
    {"element_size", element_size, METH_NOARGS, "element_size() -> int\n\nBytes of an element."},
    {"item", item, METH_NOARGS, "item() -> number\n\nThe one element as a Python number."},
    {"tolist", tolist, METH_NOARGS, "tolist() -> list\n\nThe elements as nested lists of Python numbers."},
    {"data_ptr", data_ptr, METH_NOARGS, "data_ptr() -> int\n\nAddress of the first element."},
    {"storage_offset", storage_offset, METH_NOARGS, "storage_offset() -> int\n\nElements from the storage's start."},
    {"_storage_key", storage_key, METH_VARARGS, NULL},
    {"_storage_bytes", storage_bytes, METH_VARARGS, NULL},
    {"_whole_storage", whole_storage, METH_VARARGS, NULL},
    {"is_set_to", is_set_to, METH_O, "Same storage, offset, sizes and strides?"},
    {"is_same_size", is_same_size, METH_O, "Same sizes?"},
    {"is_floating_point", is_floating_point, METH_NOARGS, "Is the dtype a floating one?"},
    {"is_complex", method_false, METH_NOARGS, "Is the dtype complex?"},
    {"is_signed", is_signed, METH_NOARGS, "Can the dtype hold negative numbers?"},
    {"is_conj", method_false, METH_NOARGS,
     "is_conj() -> bool\n\nIs its conjugation put off? Never: there are no complex numbers."},
    {"is_neg", method_false, METH_NOARGS, "is_neg() -> bool\n\nIs its negation put off? Never."},
    {"is_pinned", method_false, METH_NOARGS, "is_pinned() -> bool\n\nIs its memory pinned for a device? Never."},
    {"is_shared", method_false, METH_NOARGS,
     "is_shared() -> bool\n\nIs its memory shared with other processes? Never."},
    {"is_coalesced", is_coalesced, METH_NOARGS,
     "is_coalesced() -> bool\n\nOf sparse tensors, of which there are none: raises."},
    {"dim_order", dim_order, METH_NOARGS,
     "dim_order() -> tuple\n\nThe dims from the outermost in memory to the innermost."},
    {"get_device", get_device_number, METH_NOARGS, "get_device() -> int\n\n-1: the cpu."},
    {"pin_memory", method_self, METH_NOARGS, "x itself: there is no other device to copy to."},
    {"share_memory_", method_self, METH_NOARGS, "x itself: threads see it as it is."},
    {"cuda", (PyCFunction)(void (*)(void))cuda, METH_FASTCALL | METH_KEYWORDS,
     "There is no CUDA: raises AssertionError."},
    {"__format__", format, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

PyGetSetDef wgpy_attribute_getset[] = {{"shape", get_shape, NULL, "The sizes: a torch.Size.", NULL},
                                       {"ndim", get_ndim, NULL, "How many dims.", NULL},
                                       {"dtype", get_dtype, NULL, "The elements' type.", NULL},
                                       {"device", get_device, NULL, "Where it lies.", NULL},
                                       {"layout", get_layout, NULL, "torch.strided", NULL},
                                       {"itemsize", get_itemsize, NULL, "Bytes of an element.", NULL},
                                       {"nbytes", get_nbytes, NULL, "Bytes of all elements.", NULL},
                                       {"T", get_transposed, NULL, "The dims reversed.", NULL},
                                       {"mT", get_mT, NULL, "The last two dims exchanged.", NULL},
                                       {"H", get_H, NULL, "The conjugate transpose of a matrix.", NULL},
                                       {"mH", get_mH, NULL, "The conjugate transpose of matrices.", NULL},
                                       {"real", get_real, set_real, "x itself: it is real.", NULL},
                                       {"imag", get_imag, set_imag, "Complex tensors only.", NULL},
                                       {"is_cpu", yes, NULL, NULL, NULL},
                                       {"is_cuda", no, NULL, NULL, NULL},
                                       {"is_meta", no, NULL, NULL, NULL},
                                       {"is_sparse", no, NULL, NULL, NULL},
                                       {"is_sparse_csr", no, NULL, NULL, NULL},
                                       {"is_quantized", no, NULL, NULL, NULL},
                                       {"is_mkldnn", no, NULL, NULL, NULL},
                                       {"is_mps", no, NULL, NULL, NULL},
                                       {"is_xpu", no, NULL, NULL, NULL},
                                       {"is_ipu", no, NULL, NULL, NULL},
                                       {"is_xla", no, NULL, NULL, NULL},
                                       {"name", get_name, NULL, NULL, NULL},
                                       {"is_maia", no, NULL, NULL, NULL},
                                       {"is_mtia", no, NULL, NULL, NULL},
                                       {"is_vulkan", no, NULL, NULL, NULL},
                                       {"is_nested", no, NULL, NULL, NULL},
                                       {NULL, NULL, NULL, NULL, NULL}};
