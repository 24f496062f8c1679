/* dlpack.c - tensors handed to other libraries and taken from them without a copy, by the DLPack protocol: capsules of
 * both kinds (with and without a version), and the table of C functions for code that makes many such calls. The
 * structures are the standard's (dlpack.h 1.3), spelled here as far as they are used.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- the standard's structures ----------------------------------------------------------------------------------- */

typedef struct {
    int32_t type, id;
} dl_device;
typedef struct {
    uint8_t code, bits;
    uint16_t lanes;
} dl_dtype;
typedef struct {
    void *data;
    dl_device device;
    int32_t ndim;
    dl_dtype dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} dl_tensor;
typedef struct dl_managed {
    dl_tensor tensor;
    void *context;
    void (*deleter)(struct dl_managed *self);
} dl_managed;
typedef struct dl_versioned {
    struct {
        uint32_t major, minor;
    } version;
    void *context;
    void (*deleter)(struct dl_versioned *self);
    uint64_t flags;
    dl_tensor tensor;
} dl_versioned;
enum { DL_CPU = 1, DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BFLOAT = 4, DL_BOOL = 6 };
enum { DL_READ_ONLY = 1, DL_COPIED = 2 };

static dl_dtype dl_of(wg_dtype d) {
    uint8_t bits = (uint8_t)(wg_dtype_size(d) * 8);
    uint8_t code = d == WG_BOOL              ? DL_BOOL
                   : d == WG_UINT8           ? DL_UINT
                   : d == WG_BFLOAT16        ? DL_BFLOAT
                   : wg_dtype_is_floating(d) ? DL_FLOAT
                                             : DL_INT;
    return (dl_dtype){code, bits, 1};
}
static wg_dtype of_dl(dl_dtype d) {
    for (int i = 0; i <= WG_FLOAT64; i++) {
        dl_dtype ours = dl_of((wg_dtype)i);
        if (ours.code == d.code && ours.bits == d.bits && d.lanes == 1) return (wg_dtype)i;
    }
    return WG_DTYPE_NONE;
}

/* ---- giving ------------------------------------------------------------------------------------------------------ */

/* One block holds whichever structure, the sizes and the strides; its context is the handle. */
typedef struct given {
    union {
        dl_managed plain;
        dl_versioned versioned;
    } u;
    wg_tensor *t;
    int64_t dims[2 * WG_MAX_DIMS];
} given;

static void delete_plain(dl_managed *m) {
    given *g = m->context;
    wg_release(g->t);
    free(g);
}
static void delete_versioned(dl_versioned *m) {
    given *g = m->context;
    wg_release(g->t);
    free(g);
}

static void describe(given *g, dl_tensor *d, wg_tensor *t) {
    int n = wg_ndim(t);
    memcpy(g->dims, wg_sizes(t), (size_t)n * 8);
    memcpy(g->dims + n, wg_strides(t), (size_t)n * 8);
    for (int i = 0; i < n; i++) /* strides of dims that cannot be walked are 1, as consumers expect */
        if (g->dims[i] == 1) g->dims[n + i] = 1;
    void *data = wg_numel(t) ? (void *)(uintptr_t)wg_const_data(t) : NULL;
    *d = (dl_tensor){.data = data,
                     .device = {DL_CPU, 0},
                     .ndim = n,
                     .dtype = dl_of(wg_dtype_of(t)),
                     .shape = g->dims,
                     .strides = g->dims + n};
}

/* A capsule that nobody took deletes what it holds. */
static void drop_plain(PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    dl_managed *m = PyCapsule_GetPointer(capsule, "dltensor");
    if (m && m->deleter) m->deleter(m);
}
static void drop_versioned(PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor_versioned")) return;
    dl_versioned *m = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (m && m->deleter) m->deleter(m);
}

/* A handle of its own: the tensor's may be given other elements (x.data = y, resize_) while others look at these. */
static given *new_given(wg_tensor *t) {
    given *g = calloc(1, sizeof(*g));
    if (!g) return PyErr_NoMemory(), NULL;
    size_t scope = wg_scope_open();
    g->t = wg_take(wg_detach(t));
    wg_scope_close(scope);
    if (!wg_is_poison(g->t)) return g;
    free(g);
    wgpy_error();
    return NULL;
}
static dl_versioned *versioned_of(wg_tensor *t, bool copied) {
    given *g = new_given(t);
    if (!g) return NULL;
    bool read_only = !wg_data(t) && wg_numel(t);
    g->u.versioned.version.major = 1;
    g->u.versioned.context = g;
    g->u.versioned.deleter = delete_versioned;
    g->u.versioned.flags = (read_only ? DL_READ_ONLY : 0) | (copied ? DL_COPIED : 0);
    describe(g, &g->u.versioned.tensor, g->t);
    return &g->u.versioned;
}
static PyObject *capsule_of(wg_tensor *t, bool versioned, bool copied) {
    if (versioned) {
        dl_versioned *m = versioned_of(t, copied);
        PyObject *capsule = m ? PyCapsule_New(m, "dltensor_versioned", drop_versioned) : NULL;
        if (m && !capsule) m->deleter(m);
        return capsule;
    }
    given *g = new_given(t);
    if (!g) return NULL;
    g->u.plain.context = g;
    g->u.plain.deleter = delete_plain;
    describe(g, &g->u.plain.tensor, g->t);
    PyObject *capsule = PyCapsule_New(&g->u.plain, "dltensor", drop_plain);
    if (!capsule) delete_plain(&g->u.plain);
    return capsule;
}

static bool may_give(wg_tensor *t) {
    if (wg_requires_grad(t)) {
        PyErr_SetString(PyExc_BufferError, "Can't export tensors that require gradient, use tensor.detach()");
        return false;
    }
    return true;
}

/* An int of a tuple such as max_version; -1 with TypeError. */
static long part(PyObject *tuple, Py_ssize_t i) {
    PyObject *o = PySequence_GetItem(tuple, i);
    long v = o ? PyLong_AsLong(o) : -1;
    Py_XDECREF(o);
    return v;
}
static int check_stream(PyObject *stream) { /* None, or -1: do not synchronize */
    if (stream == Py_None) return 0;
    if (!PyLong_Check(stream)) return PyErr_SetString(PyExc_TypeError, "stream must be ``int`` or ``none``"), -1;
    if (PyLong_AsLong(stream) == -1 && !PyErr_Occurred()) return 0;
    PyErr_SetString(PyExc_AssertionError, "stream should be None on cpu.");
    return -1;
}
static int check_device(PyObject *device) {
    if (device == Py_None) return 0;
    long type = part(device, 0);
    if (type == -1 && PyErr_Occurred()) return -1;
    if (type == DL_CPU) return 0;
    PyErr_SetString(PyExc_BufferError, "cannot export a cpu tensor to another device");
    return -1;
}
static PyObject *give(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *max_version = Py_None, *device = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream, &max_version, &device, &copy))
        return NULL;
    long major = max_version == Py_None ? 0 : part(max_version, 0);
    wg_tensor *t = wgpy_handle(self);
    if ((major == -1 && PyErr_Occurred()) || !may_give(t) || check_stream(stream) < 0 || check_device(device) < 0)
        return NULL;
    size_t scope = wg_scope_open();
    bool copied = copy == Py_True;
    if (copied) t = wg_clone(t);
    PyObject *r = wg_is_poison(t) ? wgpy_error() : capsule_of(t, major >= 1, copied);
    wg_scope_close(scope);
    return r;
}
static PyObject *give_device(PyObject *self, PyObject *unused) {
    return (void)self, (void)unused, Py_BuildValue("ii", DL_CPU, 0);
}
static PyObject *to_dlpack(PyObject *module, PyObject *o) {
    (void)module;
    if (!wgpy_expect(o, "to_dlpack", "tensor")) return NULL;
    return capsule_of(wgpy_handle(o), false, false);
}

PyMethodDef wgpy_dlpack_methods[] = {
    {"__dlpack__", (PyCFunction)(void (*)(void))give, METH_VARARGS | METH_KEYWORDS, NULL},
    {"__dlpack_device__", give_device, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static void release_plain(void *user) {
    dl_managed *m = user;
    if (m->deleter) m->deleter(m);
}
static void release_versioned(void *user) {
    dl_versioned *m = user;
    if (m->deleter) m->deleter(m);
}

/* Can a tensor stand over it? -1 with an exception. */
static int check_given(const dl_tensor *d) {
    if (d->device.type != DL_CPU) {
        PyErr_Format(PyExc_BufferError, "The given capsule's device type %d is not the cpu", (int)d->device.type);
        return -1;
    }
    if (of_dl(d->dtype) == WG_DTYPE_NONE || d->ndim < 0 || d->ndim > WG_MAX_DIMS) {
        PyErr_Format(PyExc_BufferError, "Unsupported dtype in the capsule: code %d, %d bits, %d lanes",
                     (int)d->dtype.code, (int)d->dtype.bits, (int)d->dtype.lanes);
        return -1;
    }
    for (int i = 0; d->strides && i < d->ndim; i++)
        if (d->strides[i] < 0 && d->shape[i] > 1) {
            PyErr_SetString(PyExc_RuntimeError, "Storage size calculation overflowed: strides must not be negative");
            return -1;
        }
    return 0;
}
/* From here on m is the tensor's, also when it fails. The deleter may be Python's (NumPy's takes the GIL itself). */
static wg_tensor *over(const dl_tensor *d, bool read_only, void (*release)(void *), void *user) {
    wg_tensor *t =
        wg_from_memory(of_dl(d->dtype), d->ndim, d->shape,
                       WG_MEMORY(.data = d->data ? (char *)d->data + d->byte_offset : NULL, .strides = d->strides,
                                 .release = release, .user = user, .read_only = read_only));
    if (wg_is_poison(t)) wgpy_error();
    return wg_is_poison(t) ? NULL : t;
}
static int check_version(const dl_versioned *m) {
    if (m->version.major == 1) return check_given(&m->tensor);
    PyErr_Format(PyExc_BufferError, "the capsule has DLPack version %u; 1 is the one known here", m->version.major);
    return -1;
}

/* A capsule that is refused keeps what it holds. */
static wg_tensor *take(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        dl_versioned *m = PyCapsule_GetPointer(capsule, "dltensor_versioned");
        if (check_version(m) < 0 || PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0) return NULL;
        return over(&m->tensor, m->flags & DL_READ_ONLY, release_versioned, m);
    }
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        dl_managed *m = PyCapsule_GetPointer(capsule, "dltensor");
        if (check_given(&m->tensor) < 0 || PyCapsule_SetName(capsule, "used_dltensor") < 0) return NULL;
        return over(&m->tensor, false, release_plain, m);
    }
    PyErr_SetString(PyExc_RuntimeError, "from_dlpack received an invalid capsule. Note that DLTensor capsules can be "
                                        "consumed only once, so you might have "
                                        "already constructed a tensor from it once.");
    return NULL;
}

/* The capsule of any object that speaks the protocol; older ones do not know max_version, nor copy: then we copy. */
static PyObject *capsule_from(PyObject *o, PyObject *copy, bool *still_to_copy) {
    *still_to_copy = copy == Py_True;
    if (PyCapsule_IsValid(o, "dltensor") || PyCapsule_IsValid(o, "dltensor_versioned") ||
        !PyObject_HasAttrString(o, "__dlpack__"))
        return Py_NewRef(o);
    PyObject *give_it = PyObject_GetAttrString(o, "__dlpack__"), *none = PyTuple_New(0);
    PyObject *kwargs = copy == Py_None ? Py_BuildValue("{s:(ii)}", "max_version", 1, 0)
                                       : Py_BuildValue("{s:(ii),s:O}", "max_version", 1, 0, "copy", copy);
    PyObject *r = give_it && none && kwargs ? PyObject_Call(give_it, none, kwargs) : NULL;
    if (r) *still_to_copy = false;
    if (!r && give_it && none && kwargs && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        r = PyObject_Call(give_it, none, NULL);
    }
    Py_XDECREF(give_it);
    Py_XDECREF(none);
    Py_XDECREF(kwargs);
    return r;
}

static PyObject *from_dlpack(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ext_tensor", "device", "copy", NULL};
    PyObject *o, *device = Py_None, *copy = Py_None;
    bool still_to_copy;
    wg_device d;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:from_dlpack", names, &o, &device, &copy) ||
        wgpy_device_from(device, &d) < 0)
        return NULL;
    PyObject *capsule = capsule_from(o, copy, &still_to_copy);
    if (!capsule) return NULL;
    size_t scope = wg_scope_open();
    wg_tensor *t = take(capsule);
    if (t && still_to_copy) t = wg_clone(t);
    t = t ? wg_take(t) : NULL;
    wg_scope_close(scope);
    Py_DECREF(capsule);
    return t ? wgpy_wrap(t) : NULL;
}

static PyMethodDef functions[] = {
    {"from_dlpack", (PyCFunction)(void (*)(void))from_dlpack, METH_VARARGS | METH_KEYWORDS,
     "from_dlpack(ext_tensor, *, device=None, copy=None) -> Tensor\n\nA tensor over the memory of an object that "
     "speaks DLPack."},
    {"to_dlpack", to_dlpack, METH_O,
     "to_dlpack(tensor) -> PyCapsule\n\nThe tensor as a DLPack capsule without a version."},
    {NULL, NULL, 0, NULL}};

/* ---- the C functions --------------------------------------------------------------------------------------------- */

typedef struct dl_exchange {
    struct {
        struct {
            uint32_t major, minor;
        } version;
        void *previous;
    } header;
    int (*allocate)(dl_tensor *like, dl_versioned **out, void *context,
                    void (*fail)(void *context, const char *kind, const char *message));
    int (*from_object)(void *object, dl_versioned **out);
    int (*to_object)(dl_versioned *given, void **object);
    int (*borrow)(void *object, dl_tensor *out);
    int (*stream)(int32_t device_type, int32_t device_id, void **out);
} dl_exchange;

/* Without the GIL perhaps: no Python here. */
static int exchange_allocate(dl_tensor *like, dl_versioned **out, void *context,
                             void (*fail)(void *, const char *, const char *)) {
    wg_dtype dtype = of_dl(like->dtype);
    *out = NULL;
    if (like->device.type != DL_CPU || dtype == WG_DTYPE_NONE || like->ndim < 0 || like->ndim > WG_MAX_DIMS) {
        if (fail) fail(context, "BufferError", "wengert allocates tensors of its own dtypes, on the cpu");
        return -1;
    }
    given *g = calloc(1, sizeof(*g));
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_take(wg_empty(like->ndim, like->shape, WG_OPT(.dtype = dtype, .has_dtype = true)));
    wg_scope_close(scope);
    if (!g || wg_is_poison(t)) {
        wg_clear_error();
        free(g);
        if (fail) fail(context, "MemoryError", "wengert could not allocate the tensor");
        return -1;
    }
    g->t = t;
    g->u.versioned.version.major = 1;
    g->u.versioned.context = g;
    g->u.versioned.deleter = delete_versioned;
    describe(g, &g->u.versioned.tensor, t);
    *out = &g->u.versioned;
    return 0;
}
static int exchange_from(void *object, dl_versioned **out) {
    *out = NULL;
    if (!wgpy_expect(object, "from_py_object", "tensor") || !may_give(wgpy_handle(object))) return -1;
    *out = versioned_of(wgpy_handle(object), false);
    return *out ? 0 : -1;
}
static int exchange_to(dl_versioned *m, void **object) {
    *object = NULL;
    if (check_version(m) < 0) return -1;
    size_t scope = wg_scope_open();
    wg_tensor *t = over(&m->tensor, m->flags & DL_READ_ONLY, release_versioned, m);
    t = t ? wg_take(t) : NULL;
    wg_scope_close(scope);
    *object = t ? wgpy_wrap(t) : NULL;
    return *object ? 0 : -1;
}
/* Valid as long as the object keeps its sizes and elements. */
static int exchange_borrow(void *object, dl_tensor *out) {
    if (!wgpy_expect(object, "dltensor_from_py_object", "tensor") || !may_give(wgpy_handle(object))) return -1;
    wg_tensor *t = wgpy_handle(object);
    *out = (dl_tensor){.data = (void *)(uintptr_t)wg_const_data(t),
                       .device = {DL_CPU, 0},
                       .ndim = wg_ndim(t),
                       .dtype = dl_of(wg_dtype_of(t)),
                       .shape = (int64_t *)(uintptr_t)wg_sizes(t),
                       .strides = (int64_t *)(uintptr_t)wg_strides(t)};
    return 0;
}
static int exchange_stream(int32_t device_type, int32_t device_id, void **out) {
    (void)device_type, (void)device_id;
    *out = NULL;
    return 0;
}
static dl_exchange exchange = {.header = {.version = {1, 3}},
                               .allocate = exchange_allocate,
                               .from_object = exchange_from,
                               .to_object = exchange_to,
                               .borrow = exchange_borrow,
                               .stream = exchange_stream};

int wgpy_init_dlpack(PyObject *module) {
    PyObject *table = PyCapsule_New(&exchange, "dlpack_exchange_api", NULL);
    int st = table ? PyObject_SetAttrString((PyObject *)wgpy.tensor, "__dlpack_c_exchange_api__", table) : -1;
    Py_XDECREF(table);
    return st < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
