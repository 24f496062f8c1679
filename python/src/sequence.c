/* sequence.c - tensors from Python's data: numbers, nested sequences, NumPy's arrays and scalars, buffers. Shape first
 * (from the first element of each level), then dtype (from every element), then the elements are stored in place: no
 * object is made per element. NumPy is met through attributes and the buffer protocol only, and never imported.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- NumPy
 * ------------------------------------------------------------------------------------------------------------ */

/* numpy.NAME when somebody has imported NumPy; borrowed, kept for good. */
static PyObject *numpy_type(const char *name, PyObject **known) {
    if (*known) return *known;
    PyObject *numpy = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy");
    if (!numpy) return NULL;
    *known = PyObject_GetAttrString(numpy, name);
    if (!*known) PyErr_Clear();
    return *known;
}
static bool is_a(PyObject *o, PyObject *type) {
    return type && PyType_Check(type) && PyType_IsSubtype(Py_TYPE(o), (PyTypeObject *)type);
}
static bool is_plain(PyObject *o) { /* Python's own, as nearly always */
    PyTypeObject *t = Py_TYPE(o);
    return t == &PyFloat_Type || t == &PyLong_Type || t == &PyBool_Type || t == &PyList_Type || t == &PyTuple_Type;
}

bool wgpy_is_array_scalar(PyObject *o) {
    static PyObject *generic;
    return !is_plain(o) && is_a(o, numpy_type("generic", &generic));
}
bool wgpy_is_array(PyObject *o) {
    static PyObject *ndarray;
    return !is_plain(o) && is_a(o, numpy_type("ndarray", &ndarray));
}

/* The kind letter and size of a dtype or of a buffer's format; WG_DTYPE_NONE for what no tensor holds. */
static wg_dtype of_format(const char *format, Py_ssize_t size) {
    static const struct {
        const char *letters;
        Py_ssize_t size;
        wg_dtype dtype;
    } formats[] = {{"?", 1, WG_BOOL},       {"bhilq", 1, WG_INT8},    {"bhilq", 2, WG_INT16},  {"bhilq", 4, WG_INT32},
                   {"bhilq", 8, WG_INT64},  {"BHILQ", 1, WG_UINT8},   {"BHILQ", 2, WG_UINT16}, {"BHILQ", 4, WG_UINT32},
                   {"BHILQ", 8, WG_UINT64}, {"e", 2, WG_FLOAT16},     {"f", 4, WG_FLOAT32},    {"d", 8, WG_FLOAT64},
                   {"FZ", 8, WG_COMPLEX64}, {"DZ", 16, WG_COMPLEX128}};
    while (*format && strchr("@=<|", *format)) format++;
    for (size_t i = 0; *format && i < sizeof(formats) / sizeof(*formats); i++)
        if (strchr(formats[i].letters, *format) && formats[i].size == size && (format[1] == 0 || *format == 'Z'))
            return formats[i].dtype;
    return WG_DTYPE_NONE;
}

static int refuse_array(PyObject *array) {
    PyObject *dtype = PyObject_GetAttrString(array, "dtype"),
             *type = dtype ? PyObject_GetAttrString(dtype, "type") : NULL;
    PyObject *name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError,
                 "can't convert np.ndarray of type numpy.%V. The only supported types are: float64, float32, float16, "
                 "complex64, "
                 "complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.",
                 name, "?");
    Py_XDECREF(name);
    Py_XDECREF(type);
    Py_XDECREF(dtype);
    return -1;
}

/* A dtype that exists as a name only is refused here. */
static int usable(wg_dtype d) {
    PyObject *o = wgpy_dtype_object(d);
    wg_dtype unused;
    int st = o ? wgpy_dtype_from(o, &unused) : -1;
    Py_XDECREF(o);
    return st;
}

/* Of an array or a scalar of NumPy, which say it themselves. Types of scalars are remembered. */
static int numpy_dtype(PyObject *o, wg_dtype *d) {
    static struct {
        PyTypeObject *type;
        wg_dtype dtype;
    } seen[16];
    static int nseen;
    bool scalar = wgpy_is_array_scalar(o);
    for (int i = 0; scalar && i < nseen; i++)
        if (seen[i].type == Py_TYPE(o)) return *d = seen[i].dtype, 0;
    PyObject *dtype = PyObject_GetAttrString(o, "dtype"),
             *letter = dtype ? PyObject_GetAttrString(dtype, "char") : NULL;
    PyObject *size = letter ? PyObject_GetAttrString(dtype, "itemsize") : NULL;
    const char *text = size && PyUnicode_Check(letter) ? PyUnicode_AsUTF8AndSize(letter, NULL) : NULL;
    *d = text ? of_format(text, PyLong_AsSsize_t(size)) : WG_DTYPE_NONE;
    Py_XDECREF(size);
    Py_XDECREF(letter);
    Py_XDECREF(dtype);
    if (*d == WG_DTYPE_NONE) return refuse_array(o);
    if (usable(*d) < 0) return -1;
    if (scalar && nseen < 16) {
        Py_INCREF((PyObject *)Py_TYPE(o));
        seen[nseen].type = Py_TYPE(o);
        seen[nseen++].dtype = *d;
    }
    return 0;
}

/* ---- memory of others
 * --------------------------------------------------------------------------------------------------- */

static void release_view(void *user) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error e = wgpy_save_error();
    PyBuffer_Release(user);
    free(user);
    wgpy_restore_error(e);
    PyGILState_Release(gil);
}

/* A tensor over a buffer, which is given back with it. The view is consumed. */
static wg_tensor *over_view(Py_buffer *view, wg_dtype d, int ndim, const int64_t *sizes, const int64_t *strides,
                            size_t offset) {
    Py_buffer *kept = malloc(sizeof(*kept));
    if (!kept) {
        PyBuffer_Release(view);
        PyErr_NoMemory();
        return NULL;
    }
    *kept = *view;
    return wg_from_memory(d, ndim, sizes,
                          WG_MEMORY(.data = (char *)view->buf + offset, .strides = strides, .release = release_view,
                                    .user = kept, .read_only = view->readonly != 0));
}

static int one_stride(int64_t bytes, int64_t item, int64_t *stride) {
    if (bytes % item) {
        PyErr_SetString(
            PyExc_ValueError,
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate "
            "the memory.");
        return -1;
    }
    *stride = bytes / item;
    if (*stride >= 0) return 0;
    PyErr_SetString(
        PyExc_ValueError,
        "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
        "currently supported. (You can probably work around this by making a copy of your array  with "
        "array.copy().) ");
    return -1;
}

/* As the array tells them: its buffer straightens those that do not matter. */
static int array_strides(PyObject *array, const Py_buffer *view, int64_t *sizes, int64_t *strides) {
    PyObject *told = PyObject_GetAttrString(array, "strides");
    int st = told && PyTuple_Check(told) && PyTuple_Size(told) == view->ndim && view->ndim <= WG_MAX_DIMS ? 0 : -1;
    if (st < 0 && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "the array does not tell its strides");
    for (int i = 0; i < view->ndim && st == 0; i++) {
        sizes[i] = view->shape[i];
        st = one_stride(PyLong_AsLongLong(PyTuple_GetItem(told, i)), view->itemsize, &strides[i]);
    }
    Py_XDECREF(told);
    return st;
}

static wg_tensor *share_view(PyObject *array, Py_buffer *view) {
    int64_t sizes[WG_MAX_DIMS], strides[WG_MAX_DIMS];
    const char *format = view->format ? view->format : "B";
    if ((*format == '>' || *format == '!') && view->itemsize > 1)
        PyErr_SetString(
            PyExc_ValueError,
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported.");
    else if (of_format(format, view->itemsize) == WG_DTYPE_NONE)
        refuse_array(array);
    else if (usable(of_format(format, view->itemsize)) == 0 && array_strides(array, view, sizes, strides) == 0)
        return over_view(view, of_format(format, view->itemsize), view->ndim, sizes, strides, 0);
    PyBuffer_Release(view);
    return NULL;
}

wg_tensor *wgpy_from_array(PyObject *array) {
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_FULL_RO) == 0) return share_view(array, &view);
    PyErr_Clear();
    refuse_array(array);
    return NULL;
}

static int frombuffer_error(const char *format, long long a, long long b, long long c) {
    char text[256];
    PyOS_snprintf(text, sizeof(text), format, a, b, c);
    PyErr_SetString(PyExc_ValueError, text);
    return -1;
}

/* How many elements, or -1. */
static int64_t elements_of(int64_t bytes, int64_t count, int64_t offset, int64_t item) {
    if (bytes == 0 || count == 0)
        return frombuffer_error("both buffer length (%lld) and count (%lld) must not be 0", bytes, count, 0);
    if (offset < 0 || offset >= bytes)
        return frombuffer_error(
            "offset (%lld bytes) must be non-negative and no greater than buffer length (%lld bytes) minus 1", offset,
            bytes, 0);
    if (count < 0) {
        if ((bytes - offset) % item == 0) return (bytes - offset) / item;
        return frombuffer_error(
            "buffer length (%lld bytes) after offset (%lld bytes) must be a multiple of element size (%lld)",
            bytes - offset, offset, item);
    }
    if (count <= (bytes - offset) / item) return count;
    char text[256];
    PyOS_snprintf(
        text, sizeof(text),
        "requested buffer length (%lld * %lld bytes) after offset (%lld bytes) must not be greater than actual buffer "
        "length (%lld bytes)",
        (long long)count, (long long)item, (long long)offset, (long long)bytes);
    PyErr_SetString(PyExc_ValueError, text);
    return -1;
}

static int warn_read_only(void) {
    static bool said;
    if (said) return 0;
    said = true;
    return wgpy_warn(
        PyExc_UserWarning,
        "The given buffer is not writable, and PyTorch does not support non-writable tensors. Here the tensor is "
        "read-only: in-place operations on it raise. Copy the buffer to write to the tensor.");
}

wg_tensor *wgpy_from_buffer(PyObject *o, wg_dtype d, int64_t count, int64_t offset) {
    Py_buffer view;
    if (PyObject_GetBuffer(o, &view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        if (PyObject_GetBuffer(o, &view, PyBUF_SIMPLE) < 0) {
            PyErr_SetString(PyExc_ValueError, "object does not implement Python buffer protocol.");
            return NULL;
        }
    }
    int64_t n = elements_of(view.len, count, offset, (int64_t)wg_dtype_size(d));
    if (n < 0 || (view.readonly && warn_read_only() < 0)) {
        PyBuffer_Release(&view);
        return NULL;
    }
    return over_view(&view, d, 1, &n, NULL, (size_t)offset);
}

/* ---- shape
 * -------------------------------------------------------------------------------------------------------------- */

typedef struct shape {
    int n;
    int64_t sizes[WG_MAX_DIMS], numel;
} shape;

static bool is_sequence(PyObject *o) {
    PyTypeObject *t = Py_TYPE(o);
    if (t == &PyFloat_Type || t == &PyLong_Type || t == &PyBool_Type) return false;
    return !wgpy_is_tensor(o) && PySequence_Check(o);
}

static int invalid_type(PyObject *o) {
    PyObject *name = wgpy_type_name(o);
    PyErr_Format(PyExc_TypeError, "new(): invalid data type '%V'", name, "?");
    Py_XDECREF(name);
    return -1;
}

static PyObject *first_of(PyObject *o) {
    PyObject *first = PySequence_GetItem(o, 0);
    if (first || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) return first;
    PyErr_Clear();
    PyObject *name = wgpy_type_name(o);
    PyErr_Format(PyExc_ValueError, "could not determine the shape of object type '%V'", name, "?");
    Py_XDECREF(name);
    return NULL;
}

static int add_size(shape *s, PyObject *o) {
    Py_ssize_t n = PySequence_Size(o);
    if (n < 0) return -1;
    if (s->n < WG_MAX_DIMS) {
        s->sizes[s->n++] = n;
        return 0;
    }
    PyObject *name = wgpy_type_name(o);
    PyErr_Format(PyExc_ValueError, "too many dimensions '%V'", name, "?");
    Py_XDECREF(name);
    return -1;
}

static int shape_of(PyObject *o, shape *s) {
    s->n = 0;
    s->numel = 1;
    int st = 0;
    Py_INCREF(o);
    while (st == 0 && is_sequence(o)) {
        st = add_size(s, o);
        if (st < 0 || s->sizes[s->n - 1] == 0) break;
        WGPY_SET(o, first_of(o));
        if (!o) return -1;
    }
    Py_DECREF(o);
    for (int i = 0; i < s->n; i++)
        if (__builtin_mul_overflow(s->numel, s->sizes[i], &s->numel)) s->numel = INT64_MAX;
    return st;
}

/* ---- dtype
 * ----------------------------------------------------------------------------------------------------------------- */

static int infer(PyObject *o, wg_dtype *d);

static int infer_item(PyObject *o, wg_dtype *d) {
    wg_dtype one = WG_DTYPE_NONE;
    Py_INCREF(o); /* an element's __len__ may change the list */
    int st = infer(o, &one);
    Py_DECREF(o);
    if (st == 0) *d = *d == WG_DTYPE_NONE ? one : wg_promote_types(*d, one);
    return st;
}

/* d: so far, or WG_DTYPE_NONE. */
static int infer_items(PyObject *o, wg_dtype *d) {
    bool tuple = PyTuple_Check(o);
    PyTypeObject *last = NULL; /* a plain type that was counted already */
    for (Py_ssize_t i = 0; i < (tuple ? PyTuple_Size(o) : PyList_Size(o)); i++) {
        PyObject *item = tuple ? PyTuple_GetItem(o, i) : PyList_GetItem(o, i);
        if (WGPY_LIKELY(Py_TYPE(item) == last)) continue;
        if (infer_item(item, d) < 0) return -1;
        last = Py_TYPE(item) == &PyFloat_Type || Py_TYPE(item) == &PyLong_Type || Py_TYPE(item) == &PyBool_Type
                   ? Py_TYPE(item)
                   : NULL;
    }
    return 0;
}

static int infer_sequence(PyObject *o, wg_dtype *d) {
    PyObject *items = PySequence_Fast(o, "not a sequence");
    if (!items) return -1;
    bool itself = false;
    for (Py_ssize_t i = 0; i < PySequence_Size(items) && !itself; i++)
        itself = (PyTuple_Check(items) ? PyTuple_GetItem(items, i) : PyList_GetItem(items, i)) == o;
    int st = -1;
    if (itself)
        PyErr_SetString(PyExc_TypeError, "new(): self-referential lists are incompatible");
    else if (Py_EnterRecursiveCall(" while reading nested data") == 0) {
        st = infer_items(items, d);
        Py_LeaveRecursiveCall();
    }
    Py_DECREF(items);
    if (st == 0 && *d == WG_DTYPE_NONE) *d = wg_default_dtype();
    return st;
}

static int no_dtype(PyObject *o) {
    if (PyComplex_Check(o)) return usable(wg_default_dtype() == WG_FLOAT64 ? WG_COMPLEX128 : WG_COMPLEX64);
    PyObject *name = wgpy_type_name(o);
    PyErr_Format(PyExc_RuntimeError, "Could not infer dtype of %V", name, "?");
    Py_XDECREF(name);
    return -1;
}

static int infer(PyObject *o, wg_dtype *d) {
    if (PyFloat_Check(o) && !wgpy_is_array_scalar(o))
        return *d = wg_default_dtype(), 0; /* numpy.float64 is a float, too */
    if (o == Py_True || o == Py_False) return *d = WG_BOOL, 0;
    if (wgpy_is_array(o) || (wgpy_is_array_scalar(o) && !PyUnicode_Check(o) && !PyBytes_Check(o)))
        return numpy_dtype(o, d);
    if (PyLong_Check(o)) return *d = WG_INT64, 0;
    if (PyUnicode_Check(o) || PyBytes_Check(o)) return invalid_type(o);
    if (wgpy_is_tensor(o)) return *d = wg_dtype_of(wgpy_handle(o)), 0;
    return is_sequence(o) ? infer_sequence(o, d) : no_dtype(o);
}

/* ---- elements
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct sink {
    char *at;
    wg_dtype to; /* not a 16-bit float: those come by way of float64 */
    const shape *shape;
} sink;

static int does_not_fit(wg_dtype to) {
    PyErr_Format(PyExc_RuntimeError, "value cannot be converted to type %s without overflow", wg_dtype_name(to));
    return -1;
}

/* Bounds as PyTorch checks them: a negative int may wrap round into uint8, a float may not. */
static const int64_t lowest[] = {0, -UINT8_MAX, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
static const int64_t highest[] = {1, UINT8_MAX, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};

static int integer_of(PyObject *o, wg_dtype to, int64_t *v) {
    if (PyFloat_Check(o)) {
        double f = PyFloat_AsDouble(o), low = to == WG_UINT8 ? 0 : (double)lowest[to];
        bool fits = to == WG_INT64 ? f >= low && f < 0x1p63 : f >= low && f <= (double)highest[to];
        if (!fits) return does_not_fit(to);
        *v = (int64_t)f;
        return 0;
    }
    int overflow;
    bool plain = Py_TYPE(o) == &PyLong_Type;
    PyObject *i = plain ? o : PyNumber_Index(o);
    if (!i) return -1;
    *v = PyLong_AsLongLongAndOverflow(i, &overflow);
    if (!plain) Py_DECREF(i);
    if (overflow) {
        PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
        return -1;
    }
    return *v < lowest[to] || *v > highest[to] ? does_not_fit(to) : 0;
}

static int truth_of(PyObject *o) {
    wg_dtype d;
    if (PyFloat_Check(o) || PyLong_Check(o)) return PyObject_IsTrue(o);
    if (wgpy_is_array_scalar(o) && numpy_dtype(o, &d) == 0 && d == WG_BOOL) return PyObject_IsTrue(o);
    PyErr_Clear();
    PyObject *i = PyNumber_Index(o);
    int truth = i ? PyObject_IsTrue(i) : -1;
    Py_XDECREF(i);
    return truth;
}

static int store_one(sink *s, PyObject *o) {
    int64_t v = 0;
    double f = 0;
    int truth;
    if (wg_dtype_is_floating(s->to)) {
        f = PyFloat_AsDouble(o);
        if (f == -1 && PyErr_Occurred()) return -1;
    } else if (s->to != WG_BOOL && integer_of(o, s->to, &v) < 0)
        return -1;
    switch (s->to) {
    case WG_BOOL:
        if ((truth = truth_of(o)) < 0) return -1;
        *s->at = (char)truth;
        break;
    case WG_UINT8:
    case WG_INT8: *(uint8_t *)s->at = (uint8_t)v; break;
    case WG_INT16: *(int16_t *)(void *)s->at = (int16_t)v; break;
    case WG_INT32: *(int32_t *)(void *)s->at = (int32_t)v; break;
    case WG_INT64: *(int64_t *)(void *)s->at = v; break;
    case WG_FLOAT32: *(float *)(void *)s->at = (float)f; break;
    default: *(double *)(void *)s->at = f;
    }
    s->at += wg_dtype_size(s->to);
    return 0;
}

/* The last dim of lists: floats and ints, whose types are looked at and nothing else, go straight in. */
static int store_row(sink *s, PyObject *items, int64_t n) {
    bool tuple = PyTuple_Check(items);
    for (int64_t i = 0; i < n; i++) {
        PyObject *o = tuple ? PyTuple_GetItem(items, i) : PyList_GetItem(items, i);
        if (!o) return -1; /* shortened by an element's __float__ */
        if (WGPY_LIKELY(Py_TYPE(o) == &PyFloat_Type) && WGPY_LIKELY(s->to == WG_FLOAT32)) {
            *(float *)(void *)s->at = (float)PyFloat_AsDouble(o);
            s->at += sizeof(float);
            continue;
        }
        Py_INCREF(o);
        int st = store_one(s, o);
        Py_DECREF(o);
        if (st < 0) return -1;
    }
    return 0;
}

/* An array or tensor among the data, of the wanted shape: copied in one piece. 0: it is not such. */
static int store_block(sink *s, PyObject *o, int dim) {
    bool tensor = wgpy_is_tensor(o);
    if (!tensor && !wgpy_is_array(o)) return 0;
    wg_tensor *t = tensor ? wgpy_handle(o) : wgpy_from_array(o);
    if (!t) {
        PyErr_Clear(); /* strides that no tensor has: element by element */
        return 0;
    }
    if (wg_is_poison(t)) return wgpy_error(), -1;
    int rest = s->shape->n - dim;
    if (wg_ndim(t) != rest || (rest && memcmp(wg_sizes(t), s->shape->sizes + dim, (size_t)rest * 8)) ||
        wg_promote_types(wg_dtype_of(t), s->to) != s->to)
        return 0;
    size_t bytes = (size_t)wg_numel(t) * wg_dtype_size(s->to);
    if (wgpy_check(wg_copy_out(t, s->to, s->at, bytes))) return -1;
    s->at += bytes;
    return 1;
}

static int store(sink *s, PyObject *o, int dim) {
    if (dim == s->shape->n) return store_one(s, o);
    int whole = store_block(s, o, dim);
    if (whole) return whole < 0 ? -1 : 0;
    PyObject *items = PySequence_Fast(o, "not a sequence");
    if (!items) return -1;
    int64_t n = s->shape->sizes[dim], got = PySequence_Size(items);
    int st = got == n ? 0 : -1;
    if (st < 0)
        PyErr_Format(PyExc_ValueError, "expected sequence of length %lld at dim %d (got %lld)", (long long)n, dim,
                     (long long)got);
    else if (dim + 1 == s->shape->n)
        st = store_row(s, items, n);
    for (int64_t i = 0; st == 0 && dim + 1 < s->shape->n && i < n; i++) {
        PyObject *item = PySequence_GetItem(items, i);
        st = item ? store(s, item, dim + 1) : -1;
        Py_XDECREF(item);
    }
    Py_DECREF(items);
    return st;
}

static wg_tensor *from_nested(PyObject *data, wg_dtype d) {
    shape sh;
    if (shape_of(data, &sh) < 0 || (d == WG_DTYPE_NONE && infer(data, &d) < 0)) return NULL;
    bool half = wg_dtype_size(d) == 2 && wg_dtype_is_floating(d);
    wg_tensor *t = wg_empty(sh.n, sh.sizes, WG_DTYPE(half ? WG_FLOAT64 : d));
    if (wg_is_poison(t)) return t;
    sink s = {wg_data(t), half ? WG_FLOAT64 : d, &sh};
    if (sh.numel && store(&s, data, 0) < 0) return NULL;
    return half ? wg_to(t, d) : t;
}

/* ---- what torch.tensor takes
 * ---------------------------------------------------------------------------------------------------- */

/* A new handle even when nothing is converted. */
static wg_tensor *copied(wg_tensor *t, wg_dtype d) {
    if (d == WG_DTYPE_NONE || d == wg_dtype_of(t)) return wg_clone(t);
    return wg_to(t, d);
}

/* Sharing memory where data has some; fresh: it has none. */
static wg_tensor *source(PyObject *data, wg_dtype d, bool *fresh) {
    *fresh = false;
    if (PyUnicode_Check(data) || PyBytes_Check(data)) return invalid_type(data), NULL;
    if (wgpy_is_array(data)) return wgpy_from_array(data);
    if (!is_plain(data) && !wgpy_is_array_scalar(data) && PyObject_HasAttrString(data, "__dlpack__")) {
        PyObject *o = PyObject_CallMethod(wgpy.module, "from_dlpack", "O", data);
        wg_tensor *t = o && wgpy_is_tensor(o) ? wg_give(wg_keep(wgpy_handle(o))) : NULL;
        Py_XDECREF(o);
        return t;
    }
    *fresh = true;
    return from_nested(data, d);
}

wg_tensor *wgpy_share_object(PyObject *data, wg_dtype d) {
    bool fresh;
    wg_tensor *t = wgpy_is_tensor(data) ? wgpy_handle(data) : source(data, d, &fresh);
    return t && d != WG_DTYPE_NONE ? wg_to(t, d) : t;
}

wg_tensor *wgpy_from_object(PyObject *data, wg_dtype d) {
    bool before = wg_set_grad_enabled(false), fresh = false;
    wg_tensor *t = wgpy_is_tensor(data) ? wg_detach(wgpy_handle(data)) : source(data, d, &fresh);
    if (t && !fresh) t = copied(t, d);
    wg_set_grad_enabled(before);
    return t;
}
