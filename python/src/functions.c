/* functions.c - functions of torch that are no ops: questions about tensors and dtypes, and compositions of views
 * (broadcast_tensors, meshgrid).
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- questions
 * -------------------------------------------------------------------------------------------------------------- */

static PyObject *is_tensor(PyObject *m, PyObject *o) { return (void)m, PyBool_FromLong(wgpy_is_tensor(o)); }
/* python/wengert/storage.py knows; before it is imported there are none. */
static PyObject *is_storage(PyObject *m, PyObject *o) {
    PyObject *name = PyUnicode_FromString("wengert.storage"), *module = name ? PyImport_GetModule(name) : NULL;
    (void)m;
    PyObject *r = module             ? PyObject_CallMethod(module, "is_storage", "O", o)
                  : PyErr_Occurred() ? NULL
                                     : Py_NewRef(Py_False);
    Py_XDECREF(name);
    Py_XDECREF(module);
    return r;
}
static PyObject *numel(const wgpy_call *c) { return PyLong_FromLongLong(wg_numel(c->arg[0].v.t)); }
static PyObject *is_floating_point(const wgpy_call *c) {
    return PyBool_FromLong(wg_dtype_is_floating(wg_dtype_of(c->arg[0].v.t)));
}
static PyObject *is_signed(const wgpy_call *c) {
    wg_dtype d = wg_dtype_of(c->arg[0].v.t);
    return PyBool_FromLong(d != WG_BOOL && d != WG_UINT8);
}
static PyObject *no(const wgpy_call *c) { return (void)c, Py_NewRef(Py_False); }
static PyObject *is_nonzero(const wgpy_call *c) {
    int v = wg_truth(c->arg[0].v.t);
    return v < 0 ? wgpy_error() : PyBool_FromLong(v);
}
static PyObject *is_same_size(const wgpy_call *c) {
    const wg_tensor *a = c->arg[0].v.t, *b = c->arg[1].v.t;
    return PyBool_FromLong(wg_ndim(a) == wg_ndim(b) && memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * 8) == 0);
}

/* ---- dtypes
 * -------------------------------------------------------------------------------------------------------------------
 */

/* Stands for an argument where only dtypes and the number of dims count. */
static wg_tensor *stand_in(const wgpy_call *c, int i) {
    static const int64_t none = 0;
    const wg_arg *a = &c->arg[i];
    if (a->tag == WG_TAG_TENSOR) return wg_empty(wg_ndim(a->v.t) ? 1 : 0, &none, WG_DTYPE(wg_dtype_of(a->v.t)));
    return a->tag == WG_TAG_INT ? wg_i(0) : a->tag == WG_TAG_BOOL ? wg_b(false) : wg_s(0);
}
static PyObject *result_type(const wgpy_call *c) {
    bool numbers = c->arg[0].tag != WG_TAG_TENSOR && c->arg[1].tag != WG_TAG_TENSOR;
    wg_tensor *r = wg_mul(stand_in(c, 0), stand_in(c, 1));
    if (wg_is_poison(r)) return wgpy_error();
    wg_dtype d = wg_dtype_of(r);
    return wgpy_dtype_object(numbers && wg_dtype_is_floating(d) ? wg_default_dtype() : d);
}
static PyObject *promote_types(const wgpy_call *c) {
    return wgpy_dtype_object(wg_promote_types(wgpy_dtype_arg(c, 0), wgpy_dtype_arg(c, 1)));
}
static PyObject *can_cast(const wgpy_call *c) {
    wg_dtype from = wgpy_dtype_arg(c, 0), to = wgpy_dtype_arg(c, 1);
    bool falls = (wg_dtype_is_floating(from) && !wg_dtype_is_floating(to)) || (from != WG_BOOL && to == WG_BOOL);
    return PyBool_FromLong(!falls);
}

/* ---- shapes
 * --------------------------------------------------------------------------------------------------------------------
 */

static int not_broadcastable(int64_t size, int dim, Py_ssize_t which, PyObject *shape, int n, const int64_t *sizes) {
    PyObject *size_object = wgpy_size(n, sizes), *list = size_object ? PySequence_List(size_object) : NULL;
    if (list)
        PyErr_Format(
            PyExc_RuntimeError,
            "Attempting to broadcast a dimension of length %lld at %d! Mismatching argument at index %zd had %S; but "
            "expected shape should be broadcastable to %S",
            (long long)size, dim, which, shape, list);
    Py_XDECREF(size_object);
    Py_XDECREF(list);
    return -1;
}

/* One shape joins those seen; sizes is filled from its end. */
static int join(PyObject *shape, Py_ssize_t which, int n, int64_t *sizes) {
    for (int k = 1; k <= (int)PyTuple_Size(shape); k++) {
        PyObject *item = PyTuple_GetItem(shape, PyTuple_Size(shape) - k);
        int64_t v = PyLong_AsLongLong(item), *into = &sizes[n - k];
        if (v == -1 && PyErr_Occurred()) return -1;
        if (v < 0) {
            PyErr_SetString(PyExc_ValueError, "Attempting to broadcast a dimension with negative length!");
            return -1;
        }
        if (v == 1 || v == *into) continue;
        if (*into != 1) return not_broadcastable(v, -k, which, shape, n, sizes);
        *into = v;
    }
    return 0;
}

static PyObject *as_shape(PyObject *o) {
    if (PyLong_Check(o)) return PyTuple_Pack(1, o);
    PyObject *size = PyObject_CallFunctionObjArgs((PyObject *)wgpy.size, o, NULL); /* checks the elements */
    PyObject *list = size ? PySequence_List(size) : NULL, *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(size);
    Py_XDECREF(list);
    return tuple;
}

static PyObject *broadcast_shapes(PyObject *m, PyObject *const *args, Py_ssize_t nargs) {
    int64_t sizes[WG_MAX_DIMS];
    int n = 0, st = 0;
    (void)m;
    PyObject *shapes = PyTuple_New(nargs);
    for (Py_ssize_t i = 0; shapes && i < nargs; i++) {
        PyObject *shape = as_shape(args[i]);
        if (!shape || PyTuple_Size(shape) > WG_MAX_DIMS) {
            if (shape) PyErr_Format(PyExc_ValueError, "broadcast_shapes: a tensor has at most %d dims", WG_MAX_DIMS);
            Py_XDECREF(shape);
            Py_DECREF(shapes);
            return NULL;
        }
        if (PyTuple_Size(shape) > n) n = (int)PyTuple_Size(shape);
        PyTuple_SetItem(shapes, i, shape);
    }
    for (int i = 0; i < n; i++) sizes[i] = 1;
    for (Py_ssize_t i = 0; shapes && i < nargs && st == 0; i++) st = join(PyTuple_GetItem(shapes, i), i, n, sizes);
    Py_XDECREF(shapes);
    return shapes && st == 0 ? wgpy_size(n, sizes) : NULL;
}

/* ---- lists of tensors
 * -------------------------------------------------------------------------------------------------------------- */

static int expect_tensors(PyObject *const *args, Py_ssize_t n) {
    for (Py_ssize_t i = 0; i < n; i++) {
        if (wgpy_is_tensor(args[i])) continue;
        PyObject *name = wgpy_type_name(args[i]);
        PyErr_Format(PyExc_TypeError, "expected Tensor as element %zd in argument 0, but got %V", i, name, "?");
        Py_XDECREF(name);
        return -1;
    }
    return 0;
}

static int too_different(int64_t a, int64_t b, int dim) {
    PyErr_Format(PyExc_RuntimeError,
                 "The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton dimension %d",
                 (long long)a, (long long)b, dim);
    return -1;
}

/* The shape that all of them broadcast to. */
static int common_shape(PyObject *const *args, Py_ssize_t nargs, int *ndim, int64_t *sizes) {
    *ndim = 0;
    for (Py_ssize_t i = 0; i < nargs; i++)
        *ndim = wg_ndim(wgpy_handle(args[i])) > *ndim ? wg_ndim(wgpy_handle(args[i])) : *ndim;
    for (int d = 0; d < *ndim; d++) sizes[d] = 1;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        const wg_tensor *t = wgpy_handle(args[i]);
        for (int d = 0; d < wg_ndim(t); d++) {
            int at = *ndim - wg_ndim(t) + d;
            int64_t v = wg_size(t, d);
            if (sizes[at] != 1 && v != 1 && v != sizes[at]) return too_different(sizes[at], v, at);
            if (v != 1) sizes[at] = v;
        }
    }
    return 0;
}

/* The functions below take any number of tensors: no schema says so, so overriding is asked for here. */
static PyObject *overridden(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                            bool *handled) {
    *handled = false;
    bool may = wgpy.overrides;
    for (Py_ssize_t i = 0; i < nargs && !may; i++) may = !wgpy_is_exact(args[i]) && wgpy_may_override(args[i]);
    if (!may) return NULL;
    PyObject *function = PyObject_GetAttrString(wgpy.module, name);
    if (!function) return *handled = true, NULL;
    wgpy_overloads family = {.name = name, .function = function};
    PyObject *r = wgpy_override(&family, NULL, args, nargs, kwnames, handled);
    Py_DECREF(function);
    return r;
}

static PyObject *broadcast_tensors(PyObject *m, PyObject *const *args, Py_ssize_t nargs) {
    int64_t sizes[WG_MAX_DIMS];
    int ndim;
    bool handled;
    (void)m;
    PyObject *other = overridden("broadcast_tensors", args, nargs, NULL, &handled);
    if (handled) return other;
    if (expect_tensors(args, nargs) < 0 || common_shape(args, nargs, &ndim, sizes) < 0) return NULL;
    PyObject *r = PyTuple_New(nargs);
    size_t scope = wg_scope_open();
    for (Py_ssize_t i = 0; r && i < nargs; i++) {
        wg_tensor *t = wgpy_handle(args[i]);
        bool same = wg_ndim(t) == ndim && memcmp(wg_sizes(t), sizes, (size_t)ndim * 8) == 0;
        PyObject *o = same ? Py_NewRef(args[i]) : wgpy_result(wg_expand(t, ndim, sizes));
        if (o)
            PyTuple_SetItem(r, i, o);
        else
            Py_CLEAR(r);
    }
    wg_scope_close(scope);
    return r;
}

static PyObject *broadcast_to(const wgpy_call *c) {
    return wgpy_result(wg_expand(c->arg[0].v.t, (int)c->arg[1].n, c->arg[1].v.ints));
}

static int check_grid(PyObject *const *args, Py_ssize_t n) {
    if (expect_tensors(args, n) < 0) return -1;
    if (n == 0 || n > WG_MAX_DIMS) {
        PyErr_SetString(PyExc_RuntimeError,
                        n ? "meshgrid: too many tensors" : "meshgrid expects a non-empty TensorList");
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        const wg_tensor *t = wgpy_handle(args[i]);
        if (wg_ndim(t) > 1) {
            PyErr_Format(PyExc_RuntimeError,
                         "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: one of %d dims",
                         wg_ndim(t));
            return -1;
        }
        if (wg_dtype_of(t) == wg_dtype_of(wgpy_handle(args[0]))) continue;
        PyErr_SetString(PyExc_RuntimeError, "meshgrid expects all tensors to have the same dtype");
        return -1;
    }
    return 0;
}

/* Tensor i of n, along dim i. swap: the first two dims are exchanged. */
static wg_tensor *grid(PyObject *const *args, int n, int i, const int64_t *sizes, bool swap) {
    int64_t ones[WG_MAX_DIMS];
    for (int d = 0; d < n; d++) ones[d] = 1;
    ones[i] = sizes[i];
    wg_tensor *t = wg_expand(wg_view(wgpy_handle(args[i]), n, ones), n, sizes);
    return swap ? wg_transpose(t, 0, 1) : t;
}

static PyObject *make_grid(PyObject *const *args, Py_ssize_t n, bool xy) {
    int64_t sizes[WG_MAX_DIMS];
    if (check_grid(args, n) < 0) return NULL;
    for (Py_ssize_t i = 0; i < n; i++) sizes[i] = wg_numel(wgpy_handle(args[i]));
    bool swap = xy && n > 1;
    PyObject *r = PyTuple_New(n);
    size_t scope = wg_scope_open();
    for (Py_ssize_t i = 0; r && i < n; i++) {
        PyObject *o = wgpy_result(grid(args, (int)n, (int)i, sizes, swap));
        if (o)
            PyTuple_SetItem(r, i, o);
        else
            Py_CLEAR(r);
    }
    wg_scope_close(scope);
    return r;
}

static int indexing_of(PyObject *value, bool *xy) {
    if (!PyUnicode_Check(value)) {
        PyObject *name = wgpy_type_name(value);
        PyErr_Format(PyExc_TypeError, "meshgrid(): argument 'indexing' must be str, not %V", name, "?");
        Py_XDECREF(name);
        return -1;
    }
    if (PyUnicode_CompareWithASCIIString(value, "xy") == 0)
        *xy = true;
    else if (PyUnicode_CompareWithASCIIString(value, "ij")) {
        PyErr_Format(PyExc_RuntimeError, "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: %S",
                     value);
        return -1;
    }
    return 0;
}

static int warn_of_indexing(void) {
    static bool said;
    if (said) return 0;
    said = true;
    return wgpy_warn(PyExc_UserWarning,
                     "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.");
}

static PyObject *meshgrid(PyObject *m, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    bool xy = false, given = false, handled;
    (void)m;
    PyObject *other = overridden("meshgrid", args, nargs, kwnames, &handled);
    if (handled) return other;
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_Size(kwnames); k++) {
        PyObject *key = PyTuple_GetItem(kwnames, k), *value = args[nargs + k];
        if (PyUnicode_CompareWithASCIIString(key, "indexing")) {
            PyErr_Format(PyExc_TypeError, "meshgrid() got an unexpected keyword argument '%U'", key);
            return NULL;
        }
        given = value != Py_None;
        if (given && indexing_of(value, &xy) < 0) return NULL;
    }
    if (nargs == 1 && (PyList_Check(args[0]) || PyTuple_Check(args[0]))) {
        PyObject *list = PySequence_Tuple(args[0]), *r = NULL;
        Py_ssize_t n = list ? PyTuple_Size(list) : 0;
        PyObject **items = PyMem_Calloc((size_t)n + 1, sizeof(*items));
        for (Py_ssize_t i = 0; items && i < n; i++) items[i] = PyTuple_GetItem(list, i);
        if (list && items && (given || warn_of_indexing() == 0)) r = make_grid(items, n, xy);
        PyMem_Free(items);
        Py_XDECREF(list);
        return r;
    }
    if (expect_tensors(args, nargs) < 0 || (!given && nargs && warn_of_indexing() < 0)) return NULL;
    return make_grid(args, nargs, xy);
}

/* Every combination, as rows. */
static PyObject *cartesian_prod(PyObject *m, PyObject *const *args, Py_ssize_t n) {
    bool handled;
    (void)m;
    PyObject *other = overridden("cartesian_prod", args, n, NULL, &handled);
    if (handled) return other;
    for (Py_ssize_t i = 0; expect_tensors(args, n) == 0 && i < n; i++) {
        if (wg_ndim(wgpy_handle(args[i])) == 1) continue;
        PyErr_Format(PyExc_RuntimeError, "Expect a 1D vector, but got shape of %d dims", wg_ndim(wgpy_handle(args[i])));
        return NULL;
    }
    if (PyErr_Occurred()) return NULL;
    if (n == 1) return Py_NewRef(args[0]);
    PyObject *grids = make_grid(args, n, false);
    if (!grids) return NULL;
    wg_tensor *columns[WG_MAX_DIMS];
    size_t scope = wg_scope_open();
    for (Py_ssize_t i = 0; i < n; i++) columns[i] = wg_flatten(wgpy_handle(PyTuple_GetItem(grids, i)), 0, -1);
    PyObject *r = wgpy_leave(scope, wg_stack(columns, (int)n, 1));
    Py_DECREF(grids);
    return r;
}

/* ---- tables
 * -----------------------------------------------------------------------------------------------------------------------------
 */

enum { BOTH = WGPY_FUNCTION | WGPY_METHOD };
/* add(x, alpha, y), as programs of PyTorch 1.4 and before write it; warned of once. */
static PyObject *scaled_second(const wgpy_call *c) {
    static bool said;
    const char *name = c->family->name;
    char text[256];
    PyOS_snprintf(text, sizeof(text),
                  "This overload of %s is deprecated:\n\t%s(Number alpha, Tensor other)\nWrite %s(other, alpha=alpha).",
                  name, name, name);
    if (!said && wgpy_warn(PyExc_UserWarning, text) < 0) return NULL;
    said = true;
    wg_arg args[] = {c->arg[0], c->arg[2], c->arg[1]};
    wg_tensor *r;
    int n;
    if (wgpy_check(wg_call_op(name, args, 3, &r, 1, &n))) return NULL;
    return name[strlen(name) - 1] == '_' ? Py_NewRef(c->object[0]) : wgpy_result(r);
}
const wgpy_builtin wgpy_deprecated_builtins[] = {
    {"add(Tensor self, Scalar alpha, Tensor other) -> Tensor", NULL, BOTH, scaled_second},
    {"sub(Tensor self, Scalar alpha, Tensor other) -> Tensor", NULL, BOTH, scaled_second},
    {"add_(Tensor self, Scalar alpha, Tensor other) -> Tensor", NULL, WGPY_METHOD, scaled_second},
    {"sub_(Tensor self, Scalar alpha, Tensor other) -> Tensor", NULL, WGPY_METHOD, scaled_second},
    {NULL, NULL, 0, NULL}};

const wgpy_builtin wgpy_function_builtins[] = {
    {"numel(Tensor self) -> Any", "numel(input) -> int\n\nHow many elements.", WGPY_FUNCTION, numel},
    {"is_floating_point(Tensor self) -> Any", "is_floating_point(input) -> bool\n\nIs the dtype a floating one?",
     WGPY_FUNCTION, is_floating_point},
    {"is_signed(Tensor self) -> Any", "is_signed(input) -> bool\n\nCan the dtype hold negative numbers?", WGPY_FUNCTION,
     is_signed},
    {"is_complex(Tensor self) -> Any", "is_complex(input) -> bool\n\nIs the dtype complex?", WGPY_FUNCTION, no},
    {"is_conj(Tensor self) -> Any", NULL, WGPY_FUNCTION, no},
    {"is_neg(Tensor self) -> Any", NULL, WGPY_FUNCTION, no},
    {"is_distributed(Tensor self) -> Any", NULL, BOTH, no},
    {"is_inference(Tensor self) -> Any", "is_inference(input) -> bool\n\nWas it made in inference mode?", BOTH, no},
    {"is_nonzero(Tensor self) -> Any", "is_nonzero(input) -> bool\n\nIs the one element not zero?", BOTH, is_nonzero},
    {"is_same_size(Tensor self, Tensor other) -> Any", "is_same_size(input, other) -> bool\n\nSame sizes?",
     WGPY_FUNCTION, is_same_size},
    {"result_type(Tensor tensor, Tensor other) -> Any",
     "result_type(tensor1, tensor2) -> dtype\n\nThe dtype that an operation on them computes in.", WGPY_FUNCTION,
     result_type},
    {"result_type.scalar(Scalar scalar, Tensor tensor) -> Any", NULL, WGPY_FUNCTION, result_type},
    {"result_type.other(Tensor tensor, Scalar other) -> Any", NULL, WGPY_FUNCTION, result_type},
    {"result_type.numbers(Scalar scalar1, Scalar scalar2) -> Any", NULL, WGPY_FUNCTION, result_type},
    {"promote_types(ScalarType type1, ScalarType type2) -> Any",
     "promote_types(type1, type2) -> dtype\n\nThe smallest dtype that holds both.", WGPY_FUNCTION, promote_types},
    {"can_cast(ScalarType from_, ScalarType to) -> Any",
     "can_cast(from_, to) -> bool\n\nMay an in-place operation make the one of the other?", WGPY_FUNCTION, can_cast},
    {"broadcast_to(Tensor self, int[] size) -> Tensor",
     "broadcast_to(input, size) -> Tensor\n\nexpand by another name.", BOTH, broadcast_to},
    {NULL, NULL, 0, NULL}};

static PyMethodDef functions[] = {{"is_tensor", is_tensor, METH_O, "is_tensor(obj) -> bool\n\nIs it a Tensor?"},
                                  {"is_storage", is_storage, METH_O, "is_storage(obj) -> bool\n\nIs it a storage?"},
                                  {"broadcast_shapes", (PyCFunction)(void (*)(void))broadcast_shapes, METH_FASTCALL,
                                   "broadcast_shapes(*shapes) -> Size\n\nWhat the shapes broadcast to."},
                                  {"broadcast_tensors", (PyCFunction)(void (*)(void))broadcast_tensors, METH_FASTCALL,
                                   "broadcast_tensors(*tensors) -> tuple of Tensors\n\nViews of one shape."},
                                  {"cartesian_prod", (PyCFunction)(void (*)(void))cartesian_prod, METH_FASTCALL,
                                   "cartesian_prod(*tensors) -> Tensor\n\nEvery combination, as rows."},
                                  {"meshgrid", (PyCFunction)(void (*)(void))meshgrid, METH_FASTCALL | METH_KEYWORDS,
                                   "meshgrid(*tensors, indexing='ij') -> tuple of Tensors\n\nThe coordinates of a "
                                   "grid: tensor i varies along dim i."},
                                  {NULL, NULL, 0, NULL}};

int wgpy_init_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
