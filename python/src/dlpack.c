/* dlpack.c - tensors handed to other libraries and taken from them without a copy, by the DLPack protocol: capsules of both
 * kinds (with and without a version). The structures are the standard's (dlpack.h 1.0), spelled here as far as they are used.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- the standard's structures -------------------------------------------------------------------------------------------------- */

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
    uint8_t code = d == WG_BOOL ? DL_BOOL : d == WG_UINT8 ? DL_UINT : d == WG_BFLOAT16 ? DL_BFLOAT : wg_dtype_is_floating(d) ? DL_FLOAT : DL_INT;
    return (dl_dtype){code, bits, 1};
}
static wg_dtype of_dl(dl_dtype d) {
    for (int i = 0; i <= WG_FLOAT64; i++) {
        dl_dtype ours = dl_of((wg_dtype)i);
        if (ours.code == d.code && ours.bits == d.bits && d.lanes == 1) return (wg_dtype)i;
    }
    return WG_DTYPE_NONE;
}

/* ---- giving --------------------------------------------------------------------------------------------------------------------- */

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
        if (g->dims[i] < 2) g->dims[n + i] = 1;
    *d = (dl_tensor){.data = (void *)(uintptr_t)wg_const_data(t), .device = {DL_CPU, 0}, .ndim = n, .dtype = dl_of(wg_dtype_of(t)), .shape = g->dims,
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

static PyObject *capsule_of(wg_tensor *t, bool versioned, bool copied) {
    given *g = calloc(1, sizeof(*g));
    if (!g) return PyErr_NoMemory();
    g->t = wg_keep(t);
    if (!versioned) {
        g->u.plain.context = g;
        g->u.plain.deleter = delete_plain;
        describe(g, &g->u.plain.tensor, t);
        return PyCapsule_New(&g->u.plain, "dltensor", drop_plain);
    }
    bool read_only = !wg_data(t) && wg_numel(t);
    g->u.versioned.version.major = 1;
    g->u.versioned.context = g;
    g->u.versioned.deleter = delete_versioned;
    g->u.versioned.flags = (read_only ? DL_READ_ONLY : 0) | (copied ? DL_COPIED : 0);
    describe(g, &g->u.versioned.tensor, t);
    return PyCapsule_New(&g->u.versioned, "dltensor_versioned", drop_versioned);
}

static bool may_give(wg_tensor *t) {
    if (wg_requires_grad(t)) {
        PyErr_SetString(PyExc_BufferError, "Can't export tensors that require gradient, use tensor.detach()");
        return false;
    }
    return true;
}

static PyObject *give(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *max_version = Py_None, *device = Py_None, *copy = Py_None;
    int major = 0, minor = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream, &max_version, &device, &copy)) return NULL;
    if (max_version != Py_None && !PyArg_ParseTuple(max_version, "ii", &major, &minor)) return NULL;
    if (device != Py_None) {
        int type, id;
        if (!PyArg_ParseTuple(device, "ii", &type, &id)) return NULL;
        if (type != DL_CPU) {
            PyErr_SetString(PyExc_BufferError, "cannot export a cpu tensor to another device");
            return NULL;
        }
    }
    wg_tensor *t = wgpy_handle(self);
    if (!may_give(t)) return NULL;
    size_t scope = wg_scope_open();
    bool copied = copy == Py_True;
    if (copied) t = wg_clone(t);
    PyObject *r = wg_is_poison(t) ? wgpy_error() : capsule_of(t, major >= 1, copied);
    wg_scope_close(scope);
    return r;
}
static PyObject *give_device(PyObject *self, PyObject *unused) { return (void)self, (void)unused, Py_BuildValue("ii", DL_CPU, 0); }
static PyObject *to_dlpack(PyObject *module, PyObject *o) {
    (void)module;
    if (!wgpy_expect(o, "to_dlpack", "tensor") || !may_give(wgpy_handle(o))) return NULL;
    return capsule_of(wgpy_handle(o), false, false);
}

PyMethodDef wgpy_dlpack_methods[] = {{"__dlpack__", (PyCFunction)(void (*)(void))give, METH_VARARGS | METH_KEYWORDS, NULL},
                                     {"__dlpack_device__", give_device, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

/* ---- taking ----------------------------------------------------------------------------------------------------------------------- */

static void release_plain(void *user) {
    dl_managed *m = user;
    if (m->deleter) m->deleter(m);
}
static void release_versioned(void *user) {
    dl_versioned *m = user;
    if (m->deleter) m->deleter(m);
}

/* The deleter may be Python's (NumPy's takes the GIL itself). */
static wg_tensor *over(const dl_tensor *d, bool read_only, void (*release)(void *), void *user) {
    wg_dtype dtype = of_dl(d->dtype);
    if (d->device.type != DL_CPU) {
        PyErr_Format(PyExc_BufferError, "The given capsule's device type %d is not the cpu", d->device.type);
        return NULL;
    }
    if (dtype == WG_DTYPE_NONE || d->ndim < 0 || d->ndim > WG_MAX_DIMS) {
        PyErr_Format(PyExc_BufferError, "Unsupported dtype in the capsule: code %d, %d bits, %d lanes", d->dtype.code, d->dtype.bits, d->dtype.lanes);
        return NULL;
    }
    wg_tensor *t = wg_from_memory(dtype, d->ndim, d->shape, WG_MEMORY(.data = (char *)d->data + d->byte_offset, .strides = d->strides, .release = release,
                                                                      .user = user, .read_only = read_only));
    if (wg_is_poison(t)) wgpy_error();
    return wg_is_poison(t) ? NULL : t;
}

static wg_tensor *take(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        dl_versioned *m = PyCapsule_GetPointer(capsule, "dltensor_versioned");
        if (m->version.major > 1) {
            PyErr_Format(PyExc_BufferError, "the capsule has DLPack version %u; 1 is the newest known here", m->version.major);
            return NULL;
        }
        if (PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0) return NULL;
        return over(&m->tensor, m->flags & DL_READ_ONLY, release_versioned, m);
    }
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        dl_managed *m = PyCapsule_GetPointer(capsule, "dltensor");
        if (PyCapsule_SetName(capsule, "used_dltensor") < 0) return NULL;
        return over(&m->tensor, false, release_plain, m);
    }
    PyErr_SetString(PyExc_RuntimeError, "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have "
                                        "already constructed a tensor from it once.");
    return NULL;
}

/* The capsule of any object that speaks the protocol; older ones do not know max_version. */
static PyObject *capsule_from(PyObject *o, PyObject *copy) {
    if (PyCapsule_IsValid(o, "dltensor") || PyCapsule_IsValid(o, "dltensor_versioned") || !PyObject_HasAttrString(o, "__dlpack__")) return Py_NewRef(o);
    PyObject *give_it = PyObject_GetAttrString(o, "__dlpack__"), *none = PyTuple_New(0);
    PyObject *kwargs = copy == Py_None ? Py_BuildValue("{s:(ii)}", "max_version", 1, 0) : Py_BuildValue("{s:(ii),s:O}", "max_version", 1, 0, "copy", copy);
    PyObject *r = give_it && none && kwargs ? PyObject_Call(give_it, none, kwargs) : NULL;
    if (!r && PyErr_ExceptionMatches(PyExc_TypeError)) {
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
    wg_device d;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:from_dlpack", names, &o, &device, &copy) || wgpy_device_from(device, &d) < 0) return NULL;
    PyObject *capsule = capsule_from(o, copy);
    if (!capsule) return NULL;
    size_t scope = wg_scope_open();
    wg_tensor *t = take(capsule);
    if (t && copy == Py_True && capsule == o) t = wg_clone(t);
    t = t ? wg_take(t) : NULL;
    wg_scope_close(scope);
    Py_DECREF(capsule);
    return t ? wgpy_wrap(t) : NULL;
}

static PyMethodDef functions[] = {
    {"from_dlpack", (PyCFunction)(void (*)(void))from_dlpack, METH_VARARGS | METH_KEYWORDS,
     "from_dlpack(ext_tensor, *, device=None, copy=None) -> Tensor\n\nA tensor over the memory of an object that speaks DLPack."},
    {"_to_dlpack", to_dlpack, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

int wgpy_init_dlpack(PyObject *module) { return PyModule_AddFunctions(module, functions); }
