/* interop.c - elements shared with other libraries: NumPy (both ways, without its C API: through buffers), and the
 * hooks by which Python copies and pickles tensors (what they do stands in python/wengert/_pickle.py).
 *
 * DLPack is in dlpack.c.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- memory of ours as a buffer ---------------------------------------------------------------------------------- */

/* An object that shows a tensor's elements (from the first to the last byte that it reaches) as bytes, for
 * numpy.ndarray. Its handle is its own: the tensor's may be given other elements (x.data = y, resize_) while arrays
 * look at these. */
typedef struct exporter {
    PyObject_HEAD wg_tensor *t; /* owned */
} exporter;
static PyTypeObject *exporter_type;

static size_t extent(const wg_tensor *t) {
    int64_t last = 0;
    if (wg_numel(t) == 0) return 0;
    for (int d = 0; d < wg_ndim(t); d++) last += (wg_size(t, d) - 1) * wg_stride(t, d);
    return (size_t)(last + 1) * wg_dtype_size(wg_dtype_of(t));
}
static int exporter_get(PyObject *o, Py_buffer *view, int flags) {
    exporter *e = (exporter *)o;
    static char nothing[8];
    void *data = wg_data(e->t);
    bool read_only = !data && wg_numel(e->t);
    if (read_only) data = (void *)(uintptr_t)wg_const_data(e->t);
    return PyBuffer_FillInfo(view, o, data ? data : nothing, (Py_ssize_t)extent(e->t), read_only, flags);
}
static void exporter_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    wg_release(((exporter *)o)->t);
    PyObject_Free(o);
    Py_DECREF(type);
}

/* ---- to NumPy ---------------------------------------------------------------------------------------------------- */

static const struct {
    wg_dtype dtype;
    const char *numpy;
} numpy_names[] = {{WG_BOOL, "?"},   {WG_UINT8, "u1"},   {WG_INT8, "i1"},    {WG_INT16, "i2"},  {WG_INT32, "i4"},
                   {WG_INT64, "i8"}, {WG_FLOAT16, "f2"}, {WG_FLOAT32, "f4"}, {WG_FLOAT64, "f8"}};
static const char *numpy_name(wg_dtype d) {
    for (size_t i = 0; i < sizeof(numpy_names) / sizeof(*numpy_names); i++)
        if (numpy_names[i].dtype == d) return numpy_names[i].numpy;
    PyErr_Format(PyExc_TypeError, "Got unsupported ScalarType %s", d == WG_BFLOAT16 ? "BFloat16" : wg_dtype_name(d));
    return NULL;
}

static PyObject *byte_strides(const wg_tensor *t) {
    long long size = (long long)wg_dtype_size(wg_dtype_of(t));
    PyObject *r = PyTuple_New(wg_ndim(t));
    for (int d = 0; r && d < wg_ndim(t); d++) PyTuple_SetItem(r, d, PyLong_FromLongLong(wg_stride(t, d) * size));
    return r;
}
static PyObject *plain_sizes(const wg_tensor *t) {
    PyObject *r = PyTuple_New(wg_ndim(t));
    for (int d = 0; r && d < wg_ndim(t); d++) PyTuple_SetItem(r, d, PyLong_FromLongLong(wg_size(t, d)));
    return r;
}

/* numpy.ndarray(shape, dtype, buffer, 0, strides) over t's own elements. */
static PyObject *array_over(wg_tensor *t) {
    const char *name = numpy_name(wg_dtype_of(t));
    PyObject *numpy = name ? PyImport_ImportModule("numpy") : NULL;
    exporter *e = numpy ? PyObject_New(exporter, exporter_type) : NULL;
    if (!e) {
        Py_XDECREF(numpy);
        return NULL;
    }
    e->t = wg_take(wg_detach(t));
    if (wg_is_poison(e->t)) {
        Py_DECREF(e);
        Py_DECREF(numpy);
        return wgpy_error();
    }
    PyObject *sizes = plain_sizes(t), *strides = byte_strides(t), *r = NULL;
    if (sizes && strides) r = PyObject_CallMethod(numpy, "ndarray", "OsOiO", sizes, name, (PyObject *)e, 0, strides);
    Py_XDECREF(sizes);
    Py_XDECREF(strides);
    Py_DECREF(e);
    Py_DECREF(numpy);
    return r;
}

static PyObject *to_numpy(wg_tensor *t, bool force) {
    if (wg_requires_grad(t) && wg_grad_enabled() && !force) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.");
        return NULL;
    }
    size_t scope = wg_scope_open();
    PyObject *r = array_over(t);
    wg_scope_close(scope);
    return r;
}
/* numpy(force=...): -1 with TypeError for what is not a bool. */
static int as_force(PyObject *o) {
    if (PyBool_Check(o)) return o == Py_True;
    PyObject *name = wgpy_type_name(o);
    PyErr_Format(PyExc_TypeError, "numpy(): argument 'force' must be bool, not %U", name);
    Py_XDECREF(name);
    return -1;
}

static PyObject *numpy(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    int force = 0;
    for (Py_ssize_t i = 0; names && i < PyTuple_Size(names); i++) {
        if (PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, i), "force") == 0) {
            if ((force = as_force(args[nargs + i])) < 0) return NULL;
            continue;
        }
        PyErr_Format(PyExc_TypeError, "numpy() got an unexpected keyword argument '%U'", PyTuple_GetItem(names, i));
        return NULL;
    }
    if (nargs) {
        PyErr_Format(PyExc_TypeError, "numpy() takes 0 positional arguments but %zd %s given", nargs,
                     nargs == 1 ? "was" : "were");
        return NULL;
    }
    return to_numpy(wgpy_handle(self), force);
}

/* __array__(dtype=None, copy=None): NumPy 2 passes copy, NumPy 1 does not know it. */
static PyObject *array(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"dtype", "copy", NULL};
    PyObject *dtype = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy)) return NULL;
    PyObject *a = to_numpy(wgpy_handle(self), false);
    if (a && dtype != Py_None) {
        PyObject *no_copy = copy == Py_True ? Py_True : Py_False, *astype = PyObject_GetAttrString(a, "astype");
        PyObject *call_args = Py_BuildValue("(O)", dtype), *call_kwargs = Py_BuildValue("{s:O}", "copy", no_copy);
        PyObject *was = PyObject_GetAttrString(a, "dtype"),
                 *converted = astype ? PyObject_Call(astype, call_args, call_kwargs) : NULL;
        PyObject *is = converted ? PyObject_GetAttrString(converted, "dtype") : NULL;
        if (is && was && copy == Py_False && PyObject_RichCompareBool(is, was, Py_NE) == 1) {
            Py_CLEAR(converted);
            PyErr_SetString(PyExc_ValueError, "Unable to avoid copy while creating an array as requested.");
        }
        Py_XDECREF(is);
        Py_XDECREF(was);
        Py_XDECREF(astype);
        Py_XDECREF(call_args);
        Py_XDECREF(call_kwargs);
        WGPY_SET(a, converted);
    } else if (a && copy == Py_True) {
        WGPY_SET(a, PyObject_CallMethod(a, "copy", NULL));
    }
    return a;
}

/* ---- from NumPy -------------------------------------------------------------------------------------------------- */

/* Once per process, as PyTorch. */
static int warn_read_only(PyObject *array) {
    static bool said;
    PyObject *flags = said ? NULL : PyObject_GetAttrString(array, "flags"),
             *writable = flags ? PyObject_GetAttrString(flags, "writeable") : NULL;
    bool warn = writable == Py_False;
    Py_XDECREF(flags);
    Py_XDECREF(writable);
    PyErr_Clear();
    said |= warn;
    return !warn ? 0
                 : wgpy_warn(PyExc_UserWarning,
                             "The given NumPy array is not writable, and PyTorch does not support non-writable "
                             "tensors. Here the "
                             "tensor is read-only: in-place operations on it raise. Copy the array to write to it.");
}

static PyObject *from_numpy(PyObject *module, PyObject *array) {
    (void)module;
    if (!wgpy_is_array(array)) {
        PyObject *name = wgpy_type_name(array);
        PyErr_Format(PyExc_TypeError, "expected np.ndarray (got %U)", name);
        Py_XDECREF(name);
        return NULL;
    }
    if (warn_read_only(array) < 0) return NULL;
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_take(wgpy_from_array(array));
    wg_scope_close(scope);
    return t ? wgpy_wrap(t) : NULL;
}

/* __array_wrap__: results of NumPy's functions on tensors are tensors; bools become uint8, as PyTorch has it. */
static PyObject *array_wrap(PyObject *self, PyObject *args) {
    PyObject *array = PyTuple_Size(args) ? PyTuple_GetItem(args, 0) : NULL;
    (void)self;
    if (!array) {
        PyErr_SetString(PyExc_TypeError, "__array_wrap__ expects an array");
        return NULL;
    }
    PyObject *dtype = PyObject_GetAttrString(array, "dtype"),
             *kind = dtype ? PyObject_GetAttrString(dtype, "kind") : NULL;
    bool is_bool = kind && PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "b") == 0;
    Py_XDECREF(dtype);
    Py_XDECREF(kind);
    PyErr_Clear();
    PyObject *a = is_bool ? PyObject_CallMethod(array, "astype", "s", "uint8") : Py_NewRef(array);
    PyObject *r = a ? from_numpy(NULL, a) : NULL;
    Py_XDECREF(a);
    return r;
}
static PyObject *get_priority(PyObject *self, void *u) {
    return (void)self, (void)u, PyLong_FromLong(1000);
} /* before ndarray's operators */

/* ---- copy and pickle: python/wengert/_pickle.py ------------------------------------------------------------------ */

static PyObject *delegate(const char *function, PyObject *self, PyObject *argument) {
    PyObject *module = PyImport_ImportModule("wengert._pickle");
    PyObject *r = module ? PyObject_CallMethod(module, function, argument ? "OO" : "O", self, argument) : NULL;
    Py_XDECREF(module);
    return r;
}
/* x.untyped_storage(), x.storage(): python/wengert/storage.py. */
static PyObject *storage_as(PyObject *self, const char *kind) {
    PyObject *module = PyImport_ImportModule("wengert.storage");
    PyObject *r = module ? PyObject_CallMethod(module, kind, "O", self) : NULL;
    Py_XDECREF(module);
    return r;
}
static PyObject *untyped_storage(PyObject *self, PyObject *unused) {
    return (void)unused, storage_as(self, "UntypedStorage");
}
static PyObject *storage(PyObject *self, PyObject *unused) { return (void)unused, storage_as(self, "TypedStorage"); }
static PyObject *deepcopy(PyObject *self, PyObject *memo) { return delegate("deepcopy", self, memo); }
static PyObject *copy(PyObject *self, PyObject *unused) { return (void)unused, delegate("copy", self, NULL); }
static PyObject *reduce_ex(PyObject *self, PyObject *protocol) { return delegate("reduce", self, protocol); }

/* The elements row by row, as bytes; and back. */
static PyObject *to_bytes(PyObject *self, PyObject *unused) {
    wg_tensor *t = wgpy_handle(self);
    wg_dtype d = wg_dtype_of(t);
    size_t bytes = (size_t)wg_numel(t) * wg_dtype_size(d);
    (void)unused;
    char *copy = malloc(bytes ? bytes : 1);
    if (!copy) return PyErr_NoMemory();
    PyObject *r =
        wgpy_check(wg_copy_out(t, d, copy, bytes)) ? NULL : PyBytes_FromStringAndSize(copy, (Py_ssize_t)bytes);
    free(copy);
    return r;
}
static PyObject *set_bytes(PyObject *self, PyObject *bytes) {
    wg_tensor *t = wgpy_handle(self);
    if (!PyBytes_Check(bytes)) {
        PyErr_SetString(PyExc_TypeError, "bytes expected");
        return NULL;
    }
    if (wgpy_check(wg_copy_in(t, wg_dtype_of(t), PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)))) return NULL;
    return Py_NewRef(self);
}

PyMethodDef wgpy_interop_methods[] = {
    {"numpy", (PyCFunction)(void (*)(void))numpy, METH_FASTCALL | METH_KEYWORDS,
     "numpy(*, force=False) -> ndarray\n\nThe elements as a NumPy array over the same memory."},
    {"__array__", (PyCFunction)(void (*)(void))array, METH_VARARGS | METH_KEYWORDS, NULL},
    {"__array_wrap__", array_wrap, METH_VARARGS, NULL},
    {"untyped_storage", untyped_storage, METH_NOARGS,
     "untyped_storage() -> UntypedStorage\n\nThe bytes under the tensor."},
    {"storage", storage, METH_NOARGS, "storage() -> TypedStorage\n\nThe elements under the tensor (deprecated)."},
    {"__deepcopy__", deepcopy, METH_O, NULL},
    {"__copy__", copy, METH_NOARGS, NULL},
    {"__reduce_ex__", reduce_ex, METH_O, NULL},
    {"_to_bytes", to_bytes, METH_NOARGS, NULL},
    {"_set_bytes", set_bytes, METH_O, NULL},
    {NULL, NULL, 0, NULL}};
PyGetSetDef wgpy_interop_getset[] = {{"__array_priority__", get_priority, NULL, NULL, NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef functions[] = {
    {"from_numpy", from_numpy, METH_O, "from_numpy(ndarray) -> Tensor\n\nA tensor over the array's memory."},
    {NULL, NULL, 0, NULL}};

int wgpy_init_interop(PyObject *module) {
    static PyType_Slot slots[] = {{Py_tp_dealloc, exporter_dealloc}, {Py_bf_getbuffer, exporter_get}, {0, NULL}};
    PyType_Spec spec = {"wengert._C._Memory", sizeof(exporter), 0, Py_TPFLAGS_DEFAULT | (1UL << 7),
                        slots}; /* Py_TPFLAGS_DISALLOW_INSTANTIATION */
    exporter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!exporter_type || PyModule_AddFunctions(module, functions) < 0) return -1;
    return wgpy_init_dlpack(module);
}
