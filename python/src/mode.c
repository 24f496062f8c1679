/* mode.c - grad mode (M1): no_grad, enable_grad, set_grad_enabled, inference_mode as context managers and decorators.
 * Entering and leaving is C; decorating a function is Python's business (wengert/utils/_contextlib.py).
 *
 * There are no inference tensors: inference_mode is no_grad that says it is on.
 */
#include "wgpy.h"

typedef struct mode_object {
    PyObject_HEAD bool on, inference; /* what entering sets */
    bool before, before_inference;    /* what leaving sets */
} mode_object;

static __thread bool in_inference;
static PyTypeObject *no_grad, *enable_grad, *set_enabled, *inference_mode;

static void enter_mode(mode_object *m) {
    m->before = wg_set_grad_enabled(m->on);
    m->before_inference = in_inference;
    in_inference = m->inference;
}

static PyObject *enter(PyObject *self, PyObject *unused) {
    mode_object *m = (mode_object *)self;
    (void)unused;
    if (Py_TYPE(self) != inference_mode) m->inference = in_inference;
    bool first = m->before, is_set = Py_TYPE(self) == set_enabled;
    enter_mode(m);
    if (is_set) m->before = first; /* it acted when it was made; leaving goes back to before that */
    Py_RETURN_NONE;
}

static PyObject *leave(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    mode_object *m = (mode_object *)self;
    (void)args, (void)nargs;
    wg_set_grad_enabled(m->before);
    in_inference = m->before_inference;
    Py_RETURN_NONE;
}

/* ---- making one
 * ------------------------------------------------------------------------------------------------------------- */

static PyObject *new_mode(PyTypeObject *type, bool on, bool inference) {
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    mode_object *m = (mode_object *)alloc(type, 0);
    if (!m) return NULL;
    m->on = on;
    m->inference = inference;
    m->before = wg_grad_enabled();
    m->before_inference = in_inference;
    return (PyObject *)m;
}

/* Another one that does the same: a function may run inside itself. */
static PyObject *clone(PyObject *self, PyObject *unused) {
    (void)unused;
    mode_object *m = (mode_object *)self;
    if (Py_TYPE(self) == set_enabled || Py_TYPE(self) == inference_mode)
        return PyObject_CallFunction((PyObject *)Py_TYPE(self), "O",
                                     (Py_TYPE(self) == set_enabled ? m->on : m->inference) ? Py_True : Py_False);
    return PyObject_CallNoArgs((PyObject *)Py_TYPE(self));
}

static PyObject *decorate(PyObject *self, PyObject *fn) {
    PyObject *module = PyImport_ImportModule("wengert.utils._contextlib");
    PyObject *r = module ? PyObject_CallMethod(module, "_decorate_mode", "OO", self, fn) : NULL;
    Py_XDECREF(module);
    return r;
}

static int one_argument(const char *who, const char *name, PyObject *args, PyObject *kwargs, PyObject **value) {
    Py_ssize_t n = PyTuple_Size(args), nk = kwargs ? PyDict_Size(kwargs) : 0;
    *value = n ? PyTuple_GetItem(args, 0) : NULL;
    if (n > 1 || n + nk > 1) {
        PyErr_Format(PyExc_TypeError, "%s takes from 1 to 2 positional arguments but %zd were given", who, n + nk + 1);
        return -1;
    }
    if (!nk) return 0;
    *value = PyDict_GetItemString(kwargs, name); /* borrowed */
    if (*value) return 0;
    PyObject *keys = PyDict_Keys(kwargs);
    if (keys) PyErr_Format(PyExc_TypeError, "%s got an unexpected keyword argument '%U'", who, PyList_GetItem(keys, 0));
    Py_XDECREF(keys);
    return -1;
}

static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *fn;
    if (one_argument("__call__()", "orig_func", args, kwargs, &fn) < 0) return NULL;
    if (!fn) {
        PyErr_SetString(PyExc_TypeError, "__call__() missing 1 required positional argument: 'orig_func'");
        return NULL;
    }
    if (Py_TYPE(self) == set_enabled) wg_set_grad_enabled(((mode_object *)self)->before); /* it was meant for fn */
    return decorate(self, fn);
}

/* no_grad() or @no_grad */
static PyObject *plain_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *fn;
    if (one_argument("_NoParamDecoratorContextManager.__new__()", "orig_func", args, kwargs, &fn) < 0) return NULL;
    PyObject *self = new_mode(type, PyType_IsSubtype(type, enable_grad), false);
    if (!self || !fn || fn == Py_None) return self;
    PyObject *r = decorate(self, fn);
    Py_DECREF(self);
    return r;
}

static PyObject *set_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *mode;
    if (one_argument("set_grad_enabled.__init__()", "mode", args, kwargs, &mode) < 0) return NULL;
    if (!mode) {
        PyErr_SetString(PyExc_TypeError, "set_grad_enabled.__init__() missing 1 required positional argument: 'mode'");
        return NULL;
    }
    if (!PyBool_Check(mode)) {
        PyObject *got = PyType_GetName(Py_TYPE(mode));
        PyErr_Format(PyExc_TypeError, "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not %U", got);
        Py_XDECREF(got);
        return NULL;
    }
    PyObject *self = new_mode(type, mode == Py_True, in_inference);
    if (self) wg_set_grad_enabled(mode == Py_True);
    return self;
}

static PyObject *inference_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *mode;
    if (one_argument("inference_mode.__new__()", "mode", args, kwargs, &mode) < 0) return NULL;
    bool bare = mode && !PyBool_Check(mode); /* @inference_mode */
    PyObject *self = new_mode(type, !bare && mode == Py_False, bare || mode != Py_False);
    if (!self || !bare) return self;
    PyObject *r = decorate(self, mode);
    Py_DECREF(self);
    return r;
}

/* ---- types
 * ----------------------------------------------------------------------------------------------------------------------
 */

static PyObject *get_mode(PyObject *self, void *unused) {
    (void)unused;
    mode_object *m = (mode_object *)self;
    return PyBool_FromLong(Py_TYPE(self) == inference_mode ? m->inference : m->on);
}
static PyObject *get_prev(PyObject *self, void *unused) {
    return (void)unused, PyBool_FromLong(((mode_object *)self)->before);
}

static PyObject *set_repr(PyObject *self) {
    return PyUnicode_FromFormat("torch.autograd.grad_mode.set_grad_enabled(mode=%s)",
                                ((mode_object *)self)->on ? "True" : "False");
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {{"__enter__", enter, METH_NOARGS, NULL},
                                {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
                                {"clone", clone, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static PyGetSetDef getset[] = {
    {"mode", get_mode, NULL, NULL, NULL}, {"prev", get_prev, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyTypeObject *make(PyObject *module, const char *name, newfunc make_one, reprfunc repr, const char *doc) {
    PyType_Slot slots[] = {{Py_tp_new, make_one},
                           {Py_tp_dealloc, dealloc},
                           {Py_tp_call, call},
                           {Py_tp_methods, methods},
                           {Py_tp_getset, getset},
                           {Py_tp_doc, (void *)(uintptr_t)doc},
                           {repr ? Py_tp_repr : 0, repr},
                           {0, NULL}};
    PyType_Spec spec = {name, sizeof(mode_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return type && PyModule_AddType(module, type) == 0 ? type : NULL;
}

static PyObject *is_grad_enabled(PyObject *module, PyObject *unused) {
    return (void)module, (void)unused, PyBool_FromLong(wg_grad_enabled());
}
static PyObject *is_inference(PyObject *module, PyObject *unused) {
    return (void)module, (void)unused, PyBool_FromLong(in_inference);
}
static PyMethodDef functions[] = {
    {"is_grad_enabled", is_grad_enabled, METH_NOARGS, "is_grad_enabled() -> bool\n\nDo operations record now?"},
    {"is_inference_mode_enabled", is_inference, METH_NOARGS,
     "is_inference_mode_enabled() -> bool\n\nAre we inside inference_mode?"},
    {NULL, NULL, 0, NULL}};

int wgpy_init_mode(PyObject *module) {
    no_grad = make(module, "torch.autograd.grad_mode.no_grad", plain_new, NULL,
                   "with no_grad(): nothing is recorded. Also a decorator.");
    enable_grad = make(module, "torch.autograd.grad_mode.enable_grad", plain_new, NULL,
                       "with enable_grad(): recorded again. Also a decorator.");
    set_enabled = make(module, "torch.autograd.grad_mode.set_grad_enabled", set_new, set_repr,
                       "set_grad_enabled(mode): acts at once; as a context manager until its end.");
    inference_mode = make(module, "torch.autograd.grad_mode.inference_mode", inference_new, NULL,
                          "with inference_mode(): nothing is recorded, as under no_grad.");
    if (!no_grad || !enable_grad || !set_enabled || !inference_mode) return -1;
    return PyModule_AddFunctions(module, functions);
}
