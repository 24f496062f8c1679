/* types.c - the small types: dtype, device, Size, layout, memory_format, finfo, iinfo. Their names and reprs are
 * PyTorch's, since programs and error texts show them.
 */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- dtype ------------------------------------------------------------------------------------------------------- */

/* Other names that torch gives to dtypes. */
static const struct {
    const char *name;
    wg_dtype code;
} other_names[] = {{"float", WG_FLOAT32},    {"double", WG_FLOAT64},     {"half", WG_FLOAT16},
                   {"int", WG_INT32},        {"long", WG_INT64},         {"short", WG_INT16},
                   {"cfloat", WG_COMPLEX64}, {"cdouble", WG_COMPLEX128}, {"chalf", WG_COMPLEX32}};
static const struct {
    wg_dtype code;
    const char *name;
    int bytes;
} reserved[] = {{WG_COMPLEX64, "complex64", 8},
                {WG_COMPLEX128, "complex128", 16},
                {WG_COMPLEX32, "complex32", 4},
                {WG_UINT16, "uint16", 2},
                {WG_UINT32, "uint32", 4},
                {WG_UINT64, "uint64", 8},
                {WG_FLOAT8_E4M3, "float8_e4m3fn", 1},
                {WG_FLOAT8_E5M2, "float8_e5m2", 1}};

const char *wgpy_scalar_name(wg_dtype d) {
    static const char *const names[] = {"Bool", "Byte", "Char",     "Short", "Int",
                                        "Long", "Half", "BFloat16", "Float", "Double"};
    return (unsigned)d < sizeof(names) / sizeof(*names) ? names[d] : wg_dtype_name(d);
}
const char *wgpy_cxx_name(wg_dtype d) {
    static const char *const names[] = {"bool",     "unsigned char", "signed char",   "short int", "int",
                                        "long int", "c10::Half",     "c10::BFloat16", "float",     "double"};
    return (unsigned)d < sizeof(names) / sizeof(*names) ? names[d] : wg_dtype_name(d);
}

static const char *dtype_name(wg_dtype code) {
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (reserved[i].code == code) return reserved[i].name;
    return wg_dtype_name(code);
}
static bool is_complex(wg_dtype d) { return d == WG_COMPLEX64 || d == WG_COMPLEX128 || d == WG_COMPLEX32; }
static bool is_floating(wg_dtype d) { return wg_dtype_is_floating(d) || d == WG_FLOAT8_E4M3 || d == WG_FLOAT8_E5M2; }
static wg_dtype code_of(PyObject *self) { return ((wgpy_dtype *)self)->code; }

static PyObject *dtype_repr(PyObject *self) { return PyUnicode_FromFormat("torch.%s", dtype_name(code_of(self))); }
static PyObject *dtype_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *rebuild = PyObject_GetAttrString(wgpy.module, "_dtype_by_name");
    return rebuild ? Py_BuildValue("N(s)", rebuild, dtype_name(code_of(self))) : NULL;
}
static PyObject *dtype_self(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_NewRef(self);
}
static PyObject *dtype_is_floating_point(PyObject *self, void *u) {
    return (void)u, PyBool_FromLong(is_floating(code_of(self)));
}
static PyObject *dtype_is_complex(PyObject *self, void *u) {
    return (void)u, PyBool_FromLong(is_complex(code_of(self)));
}
static PyObject *dtype_is_signed(PyObject *self, void *u) {
    wg_dtype d = code_of(self);
    return (void)u,
           PyBool_FromLong(d != WG_BOOL && d != WG_UINT8 && d != WG_UINT16 && d != WG_UINT32 && d != WG_UINT64);
}
static PyObject *dtype_itemsize(PyObject *self, void *u) {
    (void)u;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (reserved[i].code == code_of(self)) return PyLong_FromLong(reserved[i].bytes);
    return PyLong_FromSize_t(wg_dtype_size(code_of(self)));
}
static PyObject *dtype_to(PyObject *self, wg_dtype code) {
    (void)self;
    return wgpy_dtype_object(code);
}
/* Int, Bool …: PyTorch's other names of dtypes without a complex counterpart. */
static const char *scalar_name(wg_dtype d) {
    switch ((int)d) {
    case WG_BOOL: return "Bool";
    case WG_UINT8: return "Byte";
    case WG_INT8: return "Char";
    case WG_INT16: return "Short";
    case WG_INT32: return "Int";
    case WG_INT64: return "Long";
    case WG_UINT16: return "UInt16";
    case WG_UINT32: return "UInt32";
    case WG_UINT64: return "UInt64";
    case WG_FLOAT8_E4M3: return "Float8_e4m3fn";
    case WG_FLOAT8_E5M2: return "Float8_e5m2";
    default: return NULL;
    }
}
static PyObject *dtype_to_complex(PyObject *self, PyObject *unused) {
    (void)unused;
    wg_dtype d = code_of(self);
    if (scalar_name(d))
        return PyErr_Format(PyExc_RuntimeError, "Unknown Complex ScalarType for %s", scalar_name(d)), NULL;
    if (d == WG_BFLOAT16)
        return PyErr_SetString(PyExc_NotImplementedError, "Wengert does not have dtype torch.bcomplex32 yet"), NULL;
    return dtype_to(self, d == WG_FLOAT64 || d == WG_COMPLEX128 ? WG_COMPLEX128
                          : d == WG_FLOAT16                     ? WG_COMPLEX32
                                                                : WG_COMPLEX64);
}
static PyObject *dtype_to_real(PyObject *self, PyObject *unused) {
    (void)unused;
    wg_dtype d = code_of(self);
    return dtype_to(self, d == WG_COMPLEX128  ? WG_FLOAT64
                          : d == WG_COMPLEX64 ? WG_FLOAT32
                          : d == WG_COMPLEX32 ? WG_FLOAT16
                                              : d);
}
static PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, NULL}, {"__copy__", dtype_self, METH_NOARGS, NULL},
    {"__deepcopy__", dtype_self, METH_O, NULL},      {"to_complex", dtype_to_complex, METH_NOARGS, NULL},
    {"to_real", dtype_to_real, METH_NOARGS, NULL},   {NULL, NULL, 0, NULL}};
static PyGetSetDef dtype_getset[] = {{"is_floating_point", dtype_is_floating_point, NULL, NULL, NULL},
                                     {"is_complex", dtype_is_complex, NULL, NULL, NULL},
                                     {"is_signed", dtype_is_signed, NULL, NULL, NULL},
                                     {"itemsize", dtype_itemsize, NULL, NULL, NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};

/* Kinds without a constructor: their instances are made here and live as long as the process. */
static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    PyObject *name = PyType_GetName(type);
    PyErr_Format(PyExc_TypeError, "cannot create 'torch.%U' instances", name);
    Py_XDECREF(name);
    return NULL;
}
static void plain_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyObject *wgpy_dtype_object(wg_dtype code) {
    PyObject *o = code >= 0 && code < 32 ? wgpy.dtypes[code] : NULL;
    if (!o && code >= 0 && code < 32) o = wgpy.reserved[code];
    if (o) return Py_NewRef(o);
    PyErr_Format(PyExc_SystemError, "wengert: no dtype has the code %d", (int)code);
    return NULL;
}

int wgpy_dtype_from(PyObject *o, wg_dtype *dtype) {
    if (wgpy_is_dtype(o))
        *dtype = code_of(o);
    else if (o == (PyObject *)&PyFloat_Type)
        *dtype = WG_FLOAT64;
    else if (o == (PyObject *)&PyLong_Type)
        *dtype = WG_INT64;
    else if (o == (PyObject *)&PyBool_Type)
        *dtype = WG_BOOL;
    else {
        PyErr_Format(PyExc_TypeError, "dtype must be torch.dtype, not %S", (PyObject *)Py_TYPE(o));
        return -1;
    }
    if (wg_dtype_size(*dtype)) return 0;
    PyErr_Format(PyExc_NotImplementedError, "Wengert does not have dtype torch.%s yet", dtype_name(*dtype));
    return -1;
}

static PyObject *new_dtype(wg_dtype code) {
    wgpy_dtype *d = PyObject_New(wgpy_dtype, wgpy.dtype);
    if (d) d->code = code;
    return (PyObject *)d;
}

static int add_dtypes(PyObject *module) {
    for (int i = 0; i <= WG_FLOAT64; i++)
        if (!(wgpy.dtypes[i] = new_dtype((wg_dtype)i)) ||
            PyModule_AddObjectRef(module, wg_dtype_name((wg_dtype)i), wgpy.dtypes[i]) < 0)
            return -1;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        PyObject **slot = &wgpy.reserved[reserved[i].code];
        if (!(*slot = new_dtype(reserved[i].code)) || PyModule_AddObjectRef(module, reserved[i].name, *slot) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof(other_names) / sizeof(*other_names); i++) {
        PyObject *d = wgpy_dtype_object(other_names[i].code);
        if (!d || PyModule_AddObjectRef(module, other_names[i].name, d) < 0) return -1;
        Py_DECREF(d);
    }
    return 0;
}

/* ---- layout, memory_format: names -------------------------------------------------------------------------------- */

typedef struct named {
    PyObject_HEAD const char *name;
} named;
static PyObject *named_repr(PyObject *self) { return PyUnicode_FromFormat("torch.%s", ((named *)self)->name); }
static PyObject *named_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *rebuild = PyObject_GetAttrString(wgpy.module, "_dtype_by_name");
    return rebuild ? Py_BuildValue("N(s)", rebuild, ((named *)self)->name) : NULL;
}
static PyMethodDef named_methods[] = {{"__reduce__", named_reduce, METH_NOARGS, NULL},
                                      {"__copy__", dtype_self, METH_NOARGS, NULL},
                                      {"__deepcopy__", dtype_self, METH_O, NULL},
                                      {NULL, NULL, 0, NULL}};

static PyObject *add_named(PyObject *module, PyTypeObject *type, const char *name) {
    named *o = PyObject_New(named, type);
    if (!o) return NULL;
    o->name = name;
    return PyModule_AddObjectRef(module, name, (PyObject *)o) < 0 ? NULL : (PyObject *)o;
}

/* ---- device ------------------------------------------------------------------------------------------------------ */

static const char *const device_types[] = {
    "cpu", "cuda", "meta", "mps",  "xpu", "hpu",  "mkldnn", "opengl", "opencl",        "ideep",
    "hip", "ve",   "fpga", "maia", "xla", "lazy", "vulkan", "mtia",   "privateuseone", "ipu"};

static PyObject *new_device(PyTypeObject *type, const char *name, Py_ssize_t len, bool has_index, long index) {
    bool known = false;
    for (size_t i = 0; i < sizeof(device_types) / sizeof(*device_types); i++)
        known |= strlen(device_types[i]) == (size_t)len && strncmp(device_types[i], name, (size_t)len) == 0;
    if (!known || len > 15) {
        PyErr_Format(
            PyExc_RuntimeError,
            "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, "
            "vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: %s",
            name);
        return NULL;
    }
    if (has_index && (index < 0 || index > INT32_MAX))
        return PyErr_SetString(PyExc_RuntimeError, "Device index must not be negative"), NULL;
    wgpy_device *d = PyObject_New(wgpy_device, type);
    if (!d) return NULL;
    memset(d->type, 0, sizeof(d->type));
    memcpy(d->type, name, (size_t)len);
    d->has_index = has_index;
    d->device = (wg_device){strcmp(d->type, "cpu") == 0    ? WG_CPU
                            : strcmp(d->type, "meta") == 0 ? WG_META
                                                           : WG_CUDA,
                            (int)index};
    return (PyObject *)d;
}

/* "cuda:1": letters, perhaps a colon and a number without zeros before it. */
static PyObject *parse_device(PyTypeObject *type, const char *text) {
    Py_ssize_t letters = 0;
    if (!*text) return PyErr_SetString(PyExc_RuntimeError, "Device string must not be empty"), NULL;
    while ((text[letters] | 32) >= 'a' && (text[letters] | 32) <= 'z') letters++;
    const char *digits = text[letters] == ':' ? text + letters + 1 : NULL;
    size_t n = digits ? strspn(digits, "0123456789") : 0;
    bool odd = digits ? n == 0 || digits[n] || (digits[0] == '0' && n > 1) : text[letters] != 0;
    if (odd || letters == 0) return PyErr_Format(PyExc_RuntimeError, "Invalid device string: '%s'", text), NULL;
    if (!digits) return new_device(type, text, letters, false, 0);
    if (n <= 9) return new_device(type, text, letters, true, strtol(digits, NULL, 10));
    return PyErr_Format(PyExc_RuntimeError, "Could not parse device index '%s' in device string '%s'", digits, text),
           NULL;
}

static PyObject *device_wants(PyObject *what, const char *argument, int position, const char *wanted) {
    PyObject *name = wgpy_type_name(what);
    PyErr_Format(PyExc_TypeError, "device(): argument '%s' (position %d) must be %s, not %U", argument, position,
                 wanted, name);
    Py_XDECREF(name);
    return NULL;
}
static PyObject *device_takes(PyObject *what) { /* PyTorch's list of what it takes */
    PyObject *name = what ? wgpy_type_name(what) : PyUnicode_FromString("");
    PyErr_Format(PyExc_TypeError,
                 "device() received an invalid combination of arguments - got (%U), but expected one of:\n"
                 " * (torch.device device)\n * (str type, int index = -1)\n",
                 name);
    Py_XDECREF(name);
    return NULL;
}

static PyObject *device_with_index(PyTypeObject *type, const char *text, PyObject *index) {
    if (!PyLong_Check(index) || PyBool_Check(index)) return device_wants(index, "index", 2, "int");
    if (strchr(text, ':'))
        return PyErr_Format(PyExc_RuntimeError,
                            "type (string) must not include an index because index was passed explicitly: %s", text),
               NULL;
    int overflow;
    long i = PyLong_AsLongAndOverflow(index, &overflow);
    if (overflow) return PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long"), NULL;
    return i == -1 && PyErr_Occurred() ? NULL : new_device(type, text, (Py_ssize_t)strlen(text), true, i);
}

static PyObject *device_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keys[] = {"type", "index", NULL}, *one[] = {"device", NULL};
    PyObject *what = NULL, *index = NULL;
    if (PyTuple_Size(args) == 0 && (!kwargs || PyDict_Size(kwargs) == 0)) return device_takes(NULL);
    if (kwargs && PyDict_GetItemString(kwargs, "device")) {
        if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:device", one, &what)) return NULL;
    } else if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:device", keys, &what, &index)) {
        return NULL;
    }
    bool bare = !index || index == Py_None;
    if (Py_TYPE(what) == wgpy.device) return bare ? Py_NewRef(what) : device_wants(what, "type", 1, "str");
    if (PyLong_Check(what) && !PyBool_Check(what)) {
        int overflow;
        long i = PyLong_AsLongAndOverflow(what, &overflow);
        return new_device(type, "cuda", 4, true, overflow ? -1 : i);
    }
    if (!PyUnicode_Check(what)) return bare ? device_takes(what) : device_wants(what, "type", 1, "str");
    const char *text = PyUnicode_AsUTF8AndSize(what, NULL);
    if (!text) return NULL;
    return bare ? parse_device(type, text) : device_with_index(type, text, index);
}

static PyObject *device_repr(PyObject *self) {
    wgpy_device *d = (wgpy_device *)self;
    if (d->has_index) return PyUnicode_FromFormat("device(type='%s', index=%d)", d->type, d->device.index);
    return PyUnicode_FromFormat("device(type='%s')", d->type);
}
static PyObject *device_str(PyObject *self) {
    wgpy_device *d = (wgpy_device *)self;
    return d->has_index ? PyUnicode_FromFormat("%s:%d", d->type, d->device.index) : PyUnicode_FromString(d->type);
}
static Py_hash_t device_hash(PyObject *self) {
    wgpy_device *d = (wgpy_device *)self;
    Py_hash_t h = d->has_index ? d->device.index + 2 : 1;
    for (const char *p = d->type; *p; p++) h = h * 31 + *p;
    return h == -1 ? 1 : h;
}
static PyObject *device_compare(PyObject *a, PyObject *b, int how) {
    if (Py_TYPE(b) != wgpy.device) Py_RETURN_NOTIMPLEMENTED;
    if (how != Py_EQ && how != Py_NE) return PyErr_SetString(PyExc_TypeError, "comparison not implemented"), NULL;
    wgpy_device *x = (wgpy_device *)a, *y = (wgpy_device *)b;
    bool same = strcmp(x->type, y->type) == 0 && x->has_index == y->has_index &&
                (!x->has_index || x->device.index == y->device.index);
    return PyBool_FromLong(same == (how == Py_EQ));
}
static PyObject *device_type(PyObject *self, void *u) {
    return (void)u, PyUnicode_FromString(((wgpy_device *)self)->type);
}
static PyObject *device_index(PyObject *self, void *u) {
    (void)u;
    if (!((wgpy_device *)self)->has_index) Py_RETURN_NONE;
    return PyLong_FromLong(((wgpy_device *)self)->device.index);
}
static PyObject *device_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *rebuild = PyObject_GetAttrString(wgpy.module, "_rebuild_device");
    return rebuild ? Py_BuildValue("N(N)", rebuild, device_str(self)) : NULL;
}
static PyMethodDef device_methods[] = {
    {"__reduce__", device_reduce, METH_NOARGS, NULL},   {"__enter__", wgpy_device_enter, METH_NOARGS, NULL},
    {"__exit__", wgpy_device_exit, METH_VARARGS, NULL}, {"__copy__", dtype_self, METH_NOARGS, NULL},
    {"__deepcopy__", dtype_self, METH_O, NULL},         {NULL, NULL, 0, NULL}};
static PyGetSetDef device_getset[] = {
    {"type", device_type, NULL, NULL, NULL}, {"index", device_index, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

PyObject *wgpy_device_object(wg_device device) {
    if (device.type == WG_CPU) return Py_NewRef(wgpy.cpu);
    return new_device(wgpy.device, device.type == WG_META ? "meta" : "cuda", 4, true, device.index);
}

int wgpy_device_from(PyObject *o, wg_device *device) {
    *device = (wg_device){WG_CPU, 0};
    if (!o || o == Py_None) return 0;
    PyObject *d = Py_TYPE(o) == wgpy.device ? Py_NewRef(o) : NULL;
    if (!d && PyUnicode_Check(o)) {
        const char *text = PyUnicode_AsUTF8AndSize(o, NULL);
        d = text ? parse_device(wgpy.device, text) : NULL;
    } else if (!d && PyLong_Check(o)) {
        d = new_device(wgpy.device, "cuda", 4, true, PyLong_AsLong(o));
    } else if (!d) {
        PyErr_Format(PyExc_TypeError, "device must be torch.device, str or int, not %S", (PyObject *)Py_TYPE(o));
    }
    if (!d) return -1;
    *device = ((wgpy_device *)d)->device;
    int st = 0;
    if (device->type != WG_CPU) {
        PyErr_Format(strcmp(((wgpy_device *)d)->type, "cuda") == 0 ? PyExc_AssertionError : PyExc_NotImplementedError,
                     strcmp(((wgpy_device *)d)->type, "cuda") == 0
                         ? "Torch not compiled with CUDA enabled. Wengert computes on the cpu; '%S' is not there"
                         : "Wengert does not have device '%S' yet",
                     d);
        st = -1;
    }
    Py_DECREF(d);
    return st;
}

/* ---- Size: a tuple of ints --------------------------------------------------------------------------------------- */

PyObject *wgpy_size(int n, const int64_t *sizes) {
    static allocfunc alloc;
    if (!alloc) alloc = (allocfunc)PyType_GetSlot(wgpy.size, Py_tp_alloc);
    PyObject *s = alloc(wgpy.size, n);
    for (int i = 0; s && i < n; i++) {
        PyObject *v = PyLong_FromLongLong(sizes[i]);
        if (!v)
            Py_CLEAR(s);
        else
            PyTuple_SetItem(s, i, v); /* an exact tuple is not asked for: one reference, a tuple subclass */
    }
    return s;
}

static PyObject *size_of_tuple(PyObject *t) {
    if (!t || !PyTuple_CheckExact(t)) return t;
    PyObject *s = PyObject_CallFunctionObjArgs((PyObject *)wgpy.size, t, NULL);
    Py_DECREF(t);
    return s;
}

static PyObject *size_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    newfunc base = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    PyObject *s = base(type, args, kwargs);
    for (Py_ssize_t i = 0; s && i < PyTuple_Size(s); i++) {
        PyObject *item = PyTuple_GetItem(s, i);
        int overflow = 0;
        if (PyLong_CheckExact(item)) {
            (void)PyLong_AsLongLongAndOverflow(item, &overflow);
            if (!overflow) continue;
            PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
            Py_CLEAR(s);
            break;
        }
        PyObject *v = PyBool_Check(item)    ? PyLong_FromLong(item == Py_True)
                      : PyIndex_Check(item) ? PyNumber_Index(item)
                                            : NULL;
        if (!v) {
            PyErr_Clear();
            PyObject *name = wgpy_type_name(item);
            PyErr_Format(PyExc_TypeError, "torch.Size() takes an iterable of 'int' (item %zd is '%V')", i, name, "?");
            Py_XDECREF(name);
            Py_CLEAR(s);
            break;
        }
        PyTuple_SetItem(s, i, v);
    }
    return s;
}
static PyObject *size_repr(PyObject *self) {
    PyObject *list = PySequence_List(self);
    PyObject *text = list ? PyUnicode_FromFormat("torch.Size(%R)", list) : NULL;
    Py_XDECREF(list);
    return text;
}
static PyObject *size_numel(PyObject *self, PyObject *unused) {
    (void)unused;
    uint64_t n = 1;
    for (Py_ssize_t i = 0; i < PyTuple_Size(self); i++) n *= (uint64_t)PyLong_AsLongLong(PyTuple_GetItem(self, i));
    return PyErr_Occurred() ? NULL : PyLong_FromLongLong((long long)n);
}
static PyObject *size_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *rebuild = PyObject_GetAttrString(wgpy.module, "_rebuild_size");
    PyObject *list = PySequence_List(self), *plain = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return rebuild && plain ? Py_BuildValue("N(N)", rebuild, plain) : NULL;
}
static PyObject *size_concat(PyObject *a, PyObject *b) {
    if (!PyTuple_Check(a) || !PyTuple_Check(b)) {
        PyObject *name = PyType_GetName(Py_TYPE(PyTuple_Check(a) ? b : a));
        PyErr_Format(PyExc_TypeError, "can only concatenate tuple (not %U) to torch.Size", name);
        Py_XDECREF(name);
        return NULL;
    }
    binaryfunc base = (binaryfunc)PyType_GetSlot(&PyTuple_Type, Py_sq_concat);
    return size_of_tuple(base(a, b));
}
static PyObject *size_add(PyObject *a, PyObject *b) {
    if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED; /* then size_concat is asked */
    return size_concat(a, b);
}
static PyObject *size_repeat(PyObject *self, Py_ssize_t n) {
    ssizeargfunc base = (ssizeargfunc)PyType_GetSlot(&PyTuple_Type, Py_sq_repeat);
    PyObject *t = base(self, n);
    return size_of_tuple(t);
}
static PyObject *size_subscript(PyObject *self, PyObject *key) {
    binaryfunc base = (binaryfunc)PyType_GetSlot(&PyTuple_Type, Py_mp_subscript);
    PyObject *t = base(self, key);
    return t && PySlice_Check(key) ? size_of_tuple(t) : t;
}
static PyMethodDef size_methods[] = {{"numel", size_numel, METH_NOARGS, "The product of the sizes."},
                                     {"__reduce__", size_reduce, METH_NOARGS, NULL},
                                     {NULL, NULL, 0, NULL}};

/* ---- finfo, iinfo ------------------------------------------------------------------------------------------------ */

static PyObject *info_wants(PyObject *what, bool floating) {
    PyObject *name = wgpy_type_name(what);
    PyErr_Format(PyExc_TypeError, "%s(): argument 'type' (position 1) must be torch.dtype, not %U",
                 floating ? "finfo" : "iinfo", name);
    Py_XDECREF(name);
    return NULL;
}
static PyObject *info_refuses(wg_dtype d, bool floating) {
    PyErr_SetString(
        PyExc_TypeError,
        floating       ? "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
        : d == WG_BOOL ? "torch.bool is not supported by torch.iinfo"
                       : "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'");
    return NULL;
}
static int unsigned_bits(wg_dtype d) {
    return d == WG_UINT8 ? 8 : d == WG_UINT16 ? 16 : d == WG_UINT32 ? 32 : d == WG_UINT64 ? 64 : 0;
}
static PyObject *info_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keys[] = {"type", NULL};
    PyObject *what = NULL;
    bool floating = type == wgpy.finfo;
    wg_dtype d = wg_default_dtype();
    if (!floating && PyTuple_Size(args) == 0 && (!kwargs || PyDict_Size(kwargs) == 0))
        return PyErr_SetString(PyExc_TypeError, "iinfo() missing 1 required positional arguments: \"type\""), NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, floating ? "|O:finfo" : "O:iinfo", keys, &what)) return NULL;
    bool python =
        what == (PyObject *)&PyFloat_Type || what == (PyObject *)&PyLong_Type || what == (PyObject *)&PyBool_Type;
    if (python ? wgpy_dtype_from(what, &d) < 0 : what && !wgpy_is_dtype(what))
        return python ? NULL : info_wants(what, floating);
    if (what && !python) d = code_of(what);
    if (floating && is_complex(d)) d = d == WG_COMPLEX128 ? WG_FLOAT64 : d == WG_COMPLEX64 ? WG_FLOAT32 : WG_FLOAT16;
    if (floating ? !wg_dtype_is_floating(d) : !wg_dtype_is_integral(d) && !unsigned_bits(d))
        return info_refuses(d, floating);
    wgpy_dtype *o = PyObject_New(wgpy_dtype, type);
    if (o) o->code = d;
    return (PyObject *)o;
}

static const struct limits {
    wg_dtype dtype;
    int bits;
    double eps, max, tiny, resolution;
} limits[] = {{WG_FLOAT16, 16, 0x1p-10, 65504, 0x1p-14, 1e-3},
              {WG_BFLOAT16, 16, 0x1p-7, 0x1.fep127, 0x1p-126, 1e-2},
              {WG_FLOAT32, 32, FLT_EPSILON, FLT_MAX, FLT_MIN, 1e-6},
              {WG_FLOAT64, 64, DBL_EPSILON, DBL_MAX, DBL_MIN, 1e-15}};
static const struct limits *limits_of(PyObject *self) {
    for (size_t i = 0; i < 4; i++)
        if (limits[i].dtype == code_of(self)) return &limits[i];
    return &limits[2];
}
static PyObject *finfo_bits(PyObject *s, void *u) { return (void)u, PyLong_FromLong(limits_of(s)->bits); }
static PyObject *finfo_eps(PyObject *s, void *u) { return (void)u, PyFloat_FromDouble(limits_of(s)->eps); }
static PyObject *finfo_max(PyObject *s, void *u) { return (void)u, PyFloat_FromDouble(limits_of(s)->max); }
static PyObject *finfo_min(PyObject *s, void *u) { return (void)u, PyFloat_FromDouble(-limits_of(s)->max); }
static PyObject *finfo_tiny(PyObject *s, void *u) { return (void)u, PyFloat_FromDouble(limits_of(s)->tiny); }
static PyObject *finfo_resolution(PyObject *s, void *u) {
    return (void)u, PyFloat_FromDouble(limits_of(s)->resolution);
}
static PyObject *info_dtype(PyObject *s, void *u) { return (void)u, PyUnicode_FromString(dtype_name(code_of(s))); }
static PyObject *finfo_repr(PyObject *s) {
    const struct limits *l = limits_of(s);
    char text[256];
    const double v[] = {l->resolution, -l->max, l->max, l->eps, l->tiny, l->tiny};
    char part[6][32];
    for (int i = 0; i < 6; i++) {
        char *shown = PyOS_double_to_string(v[i], 'g', 6, 0, NULL);
        if (!shown) return PyErr_NoMemory();
        PyOS_snprintf(part[i], sizeof(part[i]), "%s", shown);
        PyMem_Free(shown);
    }
    PyOS_snprintf(text, sizeof(text),
                  "finfo(resolution=%s, min=%s, max=%s, eps=%s, smallest_normal=%s, tiny=%s, dtype=%s)", part[0],
                  part[1], part[2], part[3], part[4], part[5], wg_dtype_name(l->dtype));
    return PyUnicode_FromString(text);
}
static PyGetSetDef finfo_getset[] = {{"bits", finfo_bits, NULL, NULL, NULL},
                                     {"eps", finfo_eps, NULL, NULL, NULL},
                                     {"max", finfo_max, NULL, NULL, NULL},
                                     {"min", finfo_min, NULL, NULL, NULL},
                                     {"tiny", finfo_tiny, NULL, NULL, NULL},
                                     {"smallest_normal", finfo_tiny, NULL, NULL, NULL},
                                     {"resolution", finfo_resolution, NULL, NULL, NULL},
                                     {"dtype", info_dtype, NULL, NULL, NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};

static int iinfo_width(PyObject *s) {
    return unsigned_bits(code_of(s)) ? unsigned_bits(code_of(s)) : (int)wg_dtype_size(code_of(s)) * 8;
}
static uint64_t iinfo_most(PyObject *s) { return UINT64_MAX >> (64 - iinfo_width(s) + !unsigned_bits(code_of(s))); }
static long long iinfo_least(PyObject *s) { return unsigned_bits(code_of(s)) ? 0 : -(long long)iinfo_most(s) - 1; }
static PyObject *iinfo_bits(PyObject *s, void *u) { return (void)u, PyLong_FromLong(iinfo_width(s)); }
static PyObject *iinfo_max(PyObject *s, void *u) { return (void)u, PyLong_FromUnsignedLongLong(iinfo_most(s)); }
static PyObject *iinfo_min(PyObject *s, void *u) { return (void)u, PyLong_FromLongLong(iinfo_least(s)); }
static PyObject *iinfo_repr(PyObject *s) {
    char text[96];
    /* PyTorch shows them through a double */
    char *lo = PyOS_double_to_string((double)iinfo_least(s), 'g', 6, 0, NULL),
         *hi = PyOS_double_to_string((double)iinfo_most(s), 'g', 6, 0, NULL);
    PyOS_snprintf(text, sizeof(text), "iinfo(min=%s, max=%s, dtype=%s)", lo ? lo : "", hi ? hi : "",
                  dtype_name(code_of(s)));
    PyMem_Free(lo);
    PyMem_Free(hi);
    return PyUnicode_FromString(text);
}
static PyGetSetDef iinfo_getset[] = {{"bits", iinfo_bits, NULL, NULL, NULL},
                                     {"max", iinfo_max, NULL, NULL, NULL},
                                     {"min", iinfo_min, NULL, NULL, NULL},
                                     {"dtype", info_dtype, NULL, NULL, NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};
static PyObject *info_compare(PyObject *a, PyObject *b, int how) {
    if (Py_TYPE(a) != Py_TYPE(b) || (how != Py_EQ && how != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((code_of(a) == code_of(b)) == (how == Py_EQ));
}
static Py_hash_t info_hash(PyObject *s) { return code_of(s) + 7; }

/* ---- making them ------------------------------------------------------------------------------------------------- */

static PyTypeObject *make(PyObject *module, const char *name, size_t size, PyType_Slot *slots, PyObject *base,
                          unsigned flags) {
    PyType_Spec spec = {name, (int)size, 0, Py_TPFLAGS_DEFAULT | flags, slots};
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, base);
    return type && PyModule_AddType(module, type) == 0 ? type : NULL;
}

int wgpy_init_types(PyObject *module) {
    PyType_Slot dtype_slots[] = {{Py_tp_new, no_new},
                                 {Py_tp_dealloc, plain_dealloc},
                                 {Py_tp_repr, dtype_repr},
                                 {Py_tp_methods, dtype_methods},
                                 {Py_tp_getset, dtype_getset},
                                 {Py_tp_doc, "The type of a tensor's elements."},
                                 {0, NULL}};
    PyType_Slot layout_slots[] = {{Py_tp_doc, "How elements lie in memory: torch.strided."},
                                  {Py_tp_new, no_new},
                                  {Py_tp_dealloc, plain_dealloc},
                                  {Py_tp_repr, named_repr},
                                  {Py_tp_methods, named_methods},
                                  {0, NULL}};
    PyType_Slot format_slots[] = {{Py_tp_doc, "The order of strides."}, {Py_tp_new, no_new},
                                  {Py_tp_dealloc, plain_dealloc},       {Py_tp_repr, named_repr},
                                  {Py_tp_methods, named_methods},       {0, NULL}};
    PyType_Slot device_slots[] = {{Py_tp_new, device_new},
                                  {Py_tp_dealloc, plain_dealloc},
                                  {Py_tp_repr, device_repr},
                                  {Py_tp_str, device_str},
                                  {Py_tp_hash, device_hash},
                                  {Py_tp_richcompare, device_compare},
                                  {Py_tp_methods, device_methods},
                                  {Py_tp_getset, device_getset},
                                  {Py_tp_doc, "Where a tensor lies."},
                                  {0, NULL}};
    PyType_Slot size_slots[] = {{Py_tp_new, size_new},
                                {Py_tp_repr, size_repr},
                                {Py_tp_methods, size_methods},
                                {Py_sq_concat, size_concat},
                                {Py_nb_add, size_add},
                                {Py_sq_repeat, size_repeat},
                                {Py_mp_subscript, size_subscript},
                                {Py_tp_doc, "The sizes of a tensor: a tuple of ints."},
                                {0, NULL}};
    PyType_Slot finfo_slots[] = {{Py_tp_new, info_new},
                                 {Py_tp_dealloc, plain_dealloc},
                                 {Py_tp_repr, finfo_repr},
                                 {Py_tp_getset, finfo_getset},
                                 {Py_tp_richcompare, info_compare},
                                 {Py_tp_hash, info_hash},
                                 {Py_tp_doc, "finfo(type=None)\n\nThe numbers of a floating dtype: eps, max, min ..."},
                                 {0, NULL}};
    PyType_Slot iinfo_slots[] = {{Py_tp_new, info_new},
                                 {Py_tp_dealloc, plain_dealloc},
                                 {Py_tp_repr, iinfo_repr},
                                 {Py_tp_getset, iinfo_getset},
                                 {Py_tp_richcompare, info_compare},
                                 {Py_tp_hash, info_hash},
                                 {Py_tp_doc, "iinfo(type)\n\nThe numbers of an integer dtype: bits, max, min."},
                                 {0, NULL}};
    wgpy.dtype = make(module, "torch.dtype", sizeof(wgpy_dtype), dtype_slots, NULL, 0);
    wgpy.layout = make(module, "torch.layout", sizeof(named), layout_slots, NULL, 0);
    wgpy.memory_format = make(module, "torch.memory_format", sizeof(named), format_slots, NULL, 0);
    wgpy.device = make(module, "torch.device", sizeof(wgpy_device), device_slots, NULL, 0);
    wgpy.size = make(module, "torch.Size", 0, size_slots, (PyObject *)&PyTuple_Type, Py_TPFLAGS_BASETYPE);
    wgpy.finfo = make(module, "torch.finfo", sizeof(wgpy_dtype), finfo_slots, NULL, 0);
    wgpy.iinfo = make(module, "torch.iinfo", sizeof(wgpy_dtype), iinfo_slots, NULL, 0);
    if (!wgpy.dtype || !wgpy.layout || !wgpy.memory_format || !wgpy.device || !wgpy.size || !wgpy.finfo || !wgpy.iinfo)
        return -1;
    wgpy.strided = add_named(module, wgpy.layout, "strided");
    wgpy.contiguous_format = add_named(module, wgpy.memory_format, "contiguous_format");
    wgpy.preserve_format = add_named(module, wgpy.memory_format, "preserve_format");
    wgpy.channels_last = add_named(module, wgpy.memory_format, "channels_last");
    wgpy.channels_last_3d = add_named(module, wgpy.memory_format, "channels_last_3d");
    wgpy.cpu = new_device(wgpy.device, "cpu", 3, false, 0);
    if (!wgpy.strided || !wgpy.contiguous_format || !wgpy.preserve_format || !wgpy.channels_last ||
        !wgpy.channels_last_3d || !wgpy.cpu)
        return -1;
    return add_dtypes(module);
}
