/* hooks.c - Python functions as the library's hooks (H1-H5, H7): wrapping what they are given, checking what they
 * return, handles that remove them; and callbacks that run when a backward ends (O7).
 *
 * A hook may run in a walk that gave the GIL up, and takes it back. Its exception stays in the thread, the library
 * unwinds, and the call that began the walk finds it there (wgpy_error).
 */
#include "wgpy.h"

wg_tensor *wgpy_poison;

void wgpy_hook_dropped(void *fn) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error e = wgpy_save_error();
    wgpy_held--;
    Py_DECREF((PyObject *)fn);
    wgpy_restore_error(e);
    PyGILState_Release(gil);
}

/* ---- results
 * --------------------------------------------------------------------------------------------------------------- */

static PyObject *name_of(PyObject *fn) { /* __name__, for messages */
    PyObject *name = PyObject_GetAttrString(fn, "__name__");
    if (name && PyUnicode_Check(name)) return name;
    PyErr_Clear();
    Py_XDECREF(name);
    return PyUnicode_FromString("<unknown>");
}

static int wrong_type(const char *expected, PyObject *got) {
    PyObject *type = PyType_GetName(Py_TYPE(got));
    PyErr_Format(PyExc_TypeError, "expected %s, but hook returned '%U'", expected, type);
    Py_XDECREF(type);
    return -1;
}

static bool same_sizes(const wg_tensor *a, const wg_tensor *b) {
    if (wg_ndim(a) != wg_ndim(b)) return false;
    for (int i = 0; i < wg_ndim(a); i++)
        if (wg_size(a, i) != wg_size(b, i)) return false;
    return true;
}

static const char *type_name(const wg_tensor *t) { return wgpy_scalar_name(wg_dtype_of(t)); }

/* May r, a hook's result, stand where the gradient g stood? None may. */
static int check_result(PyObject *fn, const wg_tensor *g, PyObject *r) {
    if (r == Py_None) return 0;
    if (!wgpy_is_tensor(r)) return wrong_type("Variable", r);
    if (!g) {
        PyErr_SetString(PyExc_RuntimeError, "can't replace a None gradient with a non-None value");
        return -1;
    }
    const wg_tensor *t = wgpy_handle(r);
    bool sizes = same_sizes(g, t);
    if (sizes && wg_dtype_of(g) == wg_dtype_of(t)) return 0;
    PyObject *name = name_of(fn);
    if (!sizes)
        PyErr_Format(PyExc_RuntimeError, "hook '%U' has changed the size of value", name);
    else
        PyErr_Format(PyExc_RuntimeError,
                     "hook '%U' has changed the type of value (was torch.%sTensor got torch.%sTensor)", name,
                     type_name(g), type_name(t));
    Py_XDECREF(name);
    return -1;
}

/* ---- tensors
 * ------------------------------------------------------------------------------------------------------------------ */

static wg_tensor *run_tensor_hook(PyObject *fn, wg_tensor *g) {
    PyObject *arg = wgpy_wrap_borrowed(g), *r = arg ? PyObject_CallFunctionObjArgs(fn, arg, NULL) : NULL;
    wg_tensor *result = wgpy_poison;
    if (r && check_result(fn, g, r) == 0) result = r == Py_None || wgpy_handle(r) == g ? NULL : wgpy_give(r);
    Py_XDECREF(r);
    Py_XDECREF(arg);
    return result;
}

static wg_tensor *tensor_hook(void *user, wg_tensor *g) {
    wgpy_entry e = wgpy_enter_python();
    wg_tensor *r = run_tensor_hook(user, g);
    wgpy_leave_python(e);
    return r;
}

static int check_nothing(PyObject *leaf, PyObject *r) {
    if (r == Py_None || r == leaf) return 0;
    if (!wgpy_is_tensor(r)) return wrong_type("Variable", r);
    PyErr_SetString(PyExc_RuntimeError, "Tensor post accumulate grad hooks should return None.");
    return -1;
}

static wg_status leaf_hook(void *user, wg_tensor *leaf) {
    wgpy_entry e = wgpy_enter_python();
    PyObject *arg = wgpy_wrap_borrowed(leaf), *r = arg ? PyObject_CallFunctionObjArgs(user, arg, NULL) : NULL;
    bool good = r && check_nothing(arg, r) == 0;
    Py_XDECREF(r);
    Py_XDECREF(arg);
    wgpy_leave_python(e);
    return good ? WG_OK : WG_ERR_CALLBACK;
}

/* ---- nodes
 * --------------------------------------------------------------------------------------------------------------------
 */

static PyObject *tuple_of(wg_tensor *const *t, int n) {
    PyObject *all = PyTuple_New(n);
    for (int i = 0; all && i < n; i++) {
        PyObject *o = wgpy_wrap_borrowed(t[i]);
        if (o)
            PyTuple_SetItem(all, i, o);
        else
            Py_CLEAR(all);
    }
    return all;
}

/* r replaces g[n] unless it is None. */
static int take_tuple(PyObject *fn, PyObject *r, wg_tensor **g, int n) {
    if (r == Py_None) return 0;
    if (!PyTuple_Check(r)) return wrong_type("tuple", r);
    if (PyTuple_Size(r) != n) {
        PyObject *name = name_of(fn);
        PyErr_Format(PyExc_RuntimeError,
                     "hook '%U' has returned an incorrect number of values (got %zd, but expected %d)", name,
                     PyTuple_Size(r), n);
        Py_XDECREF(name);
        return -1;
    }
    for (int i = 0; i < n; i++)
        if (check_result(fn, g[i], PyTuple_GetItem(r, i)) < 0) return -1;
    for (int i = 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(r, i);
        if (o == Py_None)
            g[i] = NULL;
        else if (wgpy_handle(o) != g[i])
            g[i] = wgpy_give(o);
    }
    return 0;
}

static wg_status node_prehook(void *user, wg_tensor **g, int n) {
    wgpy_entry e = wgpy_enter_python();
    PyObject *args = tuple_of(g, n), *r = args ? PyObject_CallFunctionObjArgs(user, args, NULL) : NULL;
    bool good = r && take_tuple(user, r, g, n) == 0;
    Py_XDECREF(r);
    Py_XDECREF(args);
    wgpy_leave_python(e);
    return good ? WG_OK : WG_ERR_CALLBACK;
}

static wg_status node_hook(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    wgpy_entry e = wgpy_enter_python();
    PyObject *in = tuple_of(gi, ni), *out = in ? tuple_of(go, no) : NULL;
    PyObject *r = out ? PyObject_CallFunctionObjArgs(user, in, out, NULL) : NULL;
    bool good = r && take_tuple(user, r, gi, ni) == 0;
    Py_XDECREF(r);
    Py_XDECREF(out);
    Py_XDECREF(in);
    wgpy_leave_python(e);
    return good ? WG_OK : WG_ERR_CALLBACK;
}

/* ---- registering
 * ---------------------------------------------------------------------------------------------------------------- */

static PyObject *handle_class(void) {
    static PyObject *cls;
    if (cls) return cls;
    PyObject *hooks = PyImport_ImportModule("wengert.utils.hooks");
    if (hooks) cls = PyObject_GetAttrString(hooks, "RemovableHandle");
    Py_XDECREF(hooks);
    return cls;
}

static PyObject *handle(wg_hook_id id) {
    if (!id) return wgpy_error();
    PyObject *cls = handle_class();
    PyObject *h = cls ? PyObject_CallMethod(cls, "_of_hook", "K", (unsigned long long)id) : NULL;
    if (!h) {
        wgpy_saved_error e = wgpy_save_error();
        wg_remove_hook(id);
        wgpy_restore_error(e);
    }
    return h;
}

/* The library's reference to fn; it gives it back, also when registering fails. */
static PyObject *hold(PyObject *fn) {
    wgpy_held++;
    return Py_NewRef(fn);
}

PyObject *wgpy_register_hook(PyObject *self, PyObject *fn) {
    return handle(wg_register_hook(wgpy_handle(self), tensor_hook, hold(fn), wgpy_hook_dropped));
}
PyObject *wgpy_register_post_accumulate(PyObject *self, PyObject *fn) {
    return handle(wg_register_post_accumulate_hook(wgpy_handle(self), leaf_hook, hold(fn), wgpy_hook_dropped));
}

static wg_node *node_of(PyObject *self) {
    wg_node *n = ((wgpy_node *)self)->n;
    if (!n) PyErr_SetString(PyExc_RuntimeError, "this node's graph is gone: keep a tensor of it to keep the graph");
    return n;
}
PyObject *wgpy_node_register_hook(PyObject *self, PyObject *fn) {
    wg_node *n = node_of(self);
    return n ? handle(wg_node_register_hook(n, node_hook, hold(fn), wgpy_hook_dropped)) : NULL;
}
PyObject *wgpy_node_register_prehook(PyObject *self, PyObject *fn) {
    wg_node *n = node_of(self);
    return n ? handle(wg_node_register_prehook(n, node_prehook, hold(fn), wgpy_hook_dropped)) : NULL;
}

static PyObject *remove_hook(PyObject *module, PyObject *id) {
    (void)module;
    unsigned long long n = PyLong_AsUnsignedLongLong(id);
    if (PyErr_Occurred()) return NULL;
    wg_remove_hook(n);
    Py_RETURN_NONE;
}

/* ---- what a hook learns of its walk: register_multi_grad_hook is made of these
 * -------------------------------------------------------- */

static PyObject *walk_id(PyObject *module, PyObject *unused) {
    return (void)module, (void)unused, PyLong_FromUnsignedLongLong(wg_walk_id());
}
static PyObject *will_run(PyObject *module, PyObject *node) {
    (void)module;
    if (PyObject_TypeCheck(node, wgpy.node)) return PyBool_FromLong(wg_walk_will_run(((wgpy_node *)node)->n));
    PyErr_Format(PyExc_TypeError, "expected a Node, not %S", (PyObject *)Py_TYPE(node));
    return NULL;
}

static PyMethodDef functions[] = {{"_remove_hook", remove_hook, METH_O, NULL},
                                  {"_walk_id", walk_id, METH_NOARGS, NULL},
                                  {"_walk_will_run", will_run, METH_O, NULL},
                                  {"_queue_callback", wgpy_queue_callback, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};

int wgpy_init_hooks(PyObject *module) {
    wgpy_poison = wg_neg(NULL); /* the one poison tensor; callbacks fail by returning it */
    wg_clear_error();
    return PyModule_AddFunctions(module, functions);
}
