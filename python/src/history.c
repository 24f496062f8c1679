/* history.c - what a Tensor says of its history: requires_grad, grad, grad_fn, leaf or not, version, views; detaching;
 * registering hooks (L1-L8).
 */
#include "wgpy.h"

static wg_tensor *T(PyObject *self) { return wgpy_handle(self); }

/* ---- requires_grad
 * -------------------------------------------------------------------------------------------------------- */

static PyObject *get_requires_grad(PyObject *self, void *u) {
    return (void)u, PyBool_FromLong(wg_requires_grad(T(self)));
}

static int set_requires_grad(PyObject *self, PyObject *value, void *u) {
    wg_tensor *t = T(self);
    (void)u;
    if (!value || !PyBool_Check(value)) {
        PyErr_SetString(PyExc_RuntimeError, "requires_grad must be a bool");
        return -1;
    }
    bool on = value == Py_True;
    if (!wg_is_leaf(t)) {
        wg_clear_error();
        PyErr_SetString(
            PyExc_RuntimeError,
            on ? "you can only change requires_grad flags of leaf variables."
               : "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                 "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
        return -1;
    }
    if (on && !wg_dtype_is_floating(wg_dtype_of(t))) {
        PyErr_SetString(PyExc_RuntimeError, "only Tensors of floating point and complex dtype can require gradients");
        return -1;
    }
    if (!wg_is_poison(wg_set_requires_grad(t, on))) return 0;
    wgpy_error();
    return -1;
}

static PyObject *requires_grad_(const wgpy_call *c) {
    wg_tensor *t = wg_set_requires_grad(c->arg[0].v.t, wgpy_bool(c, 1, true));
    return wg_is_poison(t) ? wgpy_error() : Py_NewRef(c->object[0]);
}

/* ---- grad
 * ----------------------------------------------------------------------------------------------------------------------
 */

static int warn_of_non_leaf(void) {
    return wgpy_warn(PyExc_UserWarning, "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                                        "Its .grad attribute won't be populated during "
                                        "autograd.backward(). If you indeed want the .grad field to be populated for a "
                                        "non-leaf Tensor, use .retain_grad() on the "
                                        "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you "
                                        "access the leaf Tensor instead. See "
                                        "github.com/pytorch/pytorch/pull/30531 for more information.");
}

static bool is_leaf(wg_tensor *t) {
    bool leaf = wg_is_leaf(t);
    if (WGPY_UNLIKELY(wg_error_pending())) wg_clear_error(); /* a view whose history is invalid: grad_fn says why */
    return leaf;
}

static PyObject *get_grad(PyObject *self, void *u) {
    wg_tensor *t = T(self), *g = wg_grad_of(t);
    (void)u;
    if (g) return wgpy_wrap_borrowed(g);
    if (wg_requires_grad(t) && !is_leaf(t) && !wg_retains_grad(t) && warn_of_non_leaf() < 0) return NULL;
    Py_RETURN_NONE;
}

static int set_grad(PyObject *self, PyObject *value, void *u) {
    (void)u;
    if (value && value != Py_None && !wgpy_is_tensor(value)) {
        PyObject *type = wgpy_type_name(value);
        PyErr_Format(PyExc_TypeError, "assigned grad expected to be a Tensor or None but got grad of type %U", type);
        Py_XDECREF(type);
        return -1;
    }
    return wgpy_check(wg_set_grad(T(self), value && value != Py_None ? wgpy_handle(value) : NULL));
}

static PyObject *get_grad_dtype(PyObject *self, void *u) { return (void)u, wgpy_dtype_object(wg_dtype_of(T(self))); }

/* Only the default: a gradient has its tensor's dtype. */
static int set_grad_dtype(PyObject *self, PyObject *value, void *u) {
    wg_tensor *t = T(self);
    (void)u;
    if (!is_leaf(t)) {
        PyErr_SetString(PyExc_RuntimeError, "grad_dtype can only be set on leaf tensors.");
        return -1;
    }
    if (value && value != Py_None && !wgpy_is_dtype(value)) {
        PyObject *type = wgpy_type_name(value);
        PyErr_Format(PyExc_RuntimeError, "grad_dtype must be a torch.dtype or None, but got %U", type);
        Py_XDECREF(type);
        return -1;
    }
    if (value && value != Py_None && ((wgpy_dtype *)value)->code == wg_dtype_of(t)) return 0;
    PyErr_SetString(PyExc_NotImplementedError,
                    "grad_dtype other than the tensor's own dtype is missing in this version");
    return -1;
}

/* ---- history
 * --------------------------------------------------------------------------------------------------------------------
 */

static PyObject *get_grad_fn(PyObject *self, void *u) {
    wg_node *n = wg_grad_fn(T(self));
    (void)u;
    if (!n && WGPY_UNLIKELY(wg_error_pending())) return wgpy_error();
    return wgpy_wrap_node(n);
}
static PyObject *get_is_leaf(PyObject *self, void *u) { return (void)u, PyBool_FromLong(is_leaf(T(self))); }
static PyObject *get_output_nr(PyObject *self, void *u) { return (void)u, PyLong_FromLong(wg_output_nr(T(self))); }
static PyObject *get_version(PyObject *self, void *u) {
    return (void)u, PyLong_FromUnsignedLong(wg_version_of(T(self)));
}
static PyObject *get_retains_grad(PyObject *self, void *u) {
    return (void)u, PyBool_FromLong(wg_retains_grad(T(self)));
}
static PyObject *get_base(PyObject *self, void *u) { return (void)u, wgpy_wrap_borrowed(wg_base(T(self))); }
static PyObject *get_none(PyObject *self, void *u) {
    (void)self, (void)u;
    Py_RETURN_NONE;
}
static PyObject *is_view(PyObject *self, PyObject *u) { return (void)u, PyBool_FromLong(wg_is_view(T(self))); }
static PyObject *is_inference(const wgpy_call *c) {
    (void)c;
    Py_RETURN_FALSE; /* there are no inference tensors */
}

static PyObject *retain_grad(PyObject *self, PyObject *u) {
    (void)u;
    if (wgpy_check(wg_retain_grad(T(self)))) return NULL;
    Py_RETURN_NONE;
}

/* ---- without history
 * ----------------------------------------------------------------------------------------------------------- */

static PyObject *detach(const wgpy_call *c) { return wgpy_result(wg_detach(c->arg[0].v.t)); }
static PyObject *detach_(const wgpy_call *c) {
    return wg_is_poison(wg_detach_(c->arg[0].v.t)) ? wgpy_error() : Py_NewRef(c->object[0]);
}

static PyObject *get_data(PyObject *self, void *u) {
    (void)u;
    size_t scope = wg_scope_open();
    return wgpy_leave(scope, wg_data_of(T(self)));
}
static int set_data(PyObject *self, PyObject *value, void *u) {
    (void)u;
    if (!value) {
        PyErr_SetString(PyExc_RuntimeError, "Deleting tensor data is not allowed. Delete tensor instead!");
        return -1;
    }
    if (!wgpy_is_tensor(value)) {
        PyObject *type = wgpy_type_name(value);
        PyErr_Format(PyExc_TypeError, "Variable data has to be a tensor, but got %U", type);
        Py_XDECREF(type);
        return -1;
    }
    return wgpy_check(wg_set_data(T(self), wgpy_handle(value)));
}

/* ---- graph.increment_version
 * -------------------------------------------------------------------------------------------------- */

static PyObject *increment_version(PyObject *module, PyObject *o) {
    (void)module;
    PyObject *all = wgpy_is_tensor(o) ? Py_BuildValue("(O)", o) : PySequence_Tuple(o);
    if (!all) PyErr_Clear();
    bool good = all != NULL;
    for (Py_ssize_t i = 0; good && i < PyTuple_Size(all); i++) good = wgpy_is_tensor(PyTuple_GetItem(all, i));
    int failed = 0;
    for (Py_ssize_t i = 0; good && !failed && i < PyTuple_Size(all); i++)
        failed = wgpy_check(wg_increment_version(T(PyTuple_GetItem(all, i))));
    Py_XDECREF(all);
    if (!good) PyErr_SetString(PyExc_RuntimeError, "increment_version expect a Iterable[Tensor] as input");
    if (!good || failed) return NULL;
    Py_RETURN_NONE;
}

/* (node, token): where gradients of a tensor arrive, its grad_fn or the AccumulateGrad of a leaf. A Function's context
 * does not keep its node, so that the token does. */
static void drop_token(PyObject *capsule) { wg_node_release(PyCapsule_GetPointer(capsule, "node")); }
static PyObject *token_of(wg_node *n, PyObject *node) {
    if (!((wgpy_node *)node)->is_context) Py_RETURN_NONE;
    PyObject *token = PyCapsule_New(n, "node", drop_token);
    if (token) wg_node_keep(n);
    return token;
}

static PyObject *gradient_node(PyObject *module, PyObject *o) {
    (void)module;
    wg_tensor *t = wgpy_expect(o, "get_gradient_edge", "tensor");
    if (!t) return NULL;
    wg_node *n = wg_grad_fn(t);
    if (!n && !wg_error_pending()) n = wg_grad_accumulator(t);
    if (!n) return wgpy_error();
    PyObject *node = wgpy_wrap_node(n), *token = node ? token_of(n, node) : NULL;
    if (token) return Py_BuildValue("(NN)", node, token);
    Py_XDECREF(node);
    return NULL;
}

/* ---- tables
 * ------------------------------------------------------------------------------------------------------------------------
 */

const wgpy_builtin wgpy_autograd_builtins[] = {
    {"requires_grad_(Tensor self, bool requires_grad=True) -> Tensor",
     "requires_grad_(requires_grad=True) -> Tensor\n\nRecord what is computed from it; x itself.", WGPY_METHOD,
     requires_grad_},
    {"detach(Tensor self) -> Tensor", "detach() -> Tensor\n\nThe same elements without history.",
     WGPY_FUNCTION | WGPY_METHOD, detach},
    {"detach_(Tensor self) -> Tensor", "detach_() -> Tensor\n\nx itself loses its history.",
     WGPY_FUNCTION | WGPY_METHOD, detach_},
    {"is_inference(Tensor self) -> Any", "False: there are no inference tensors.", WGPY_FUNCTION | WGPY_METHOD,
     is_inference},
    {NULL, NULL, 0, NULL}};

PyMethodDef wgpy_autograd_methods[] = {
    {"backward", (PyCFunction)(void (*)(void))wgpy_tensor_backward, METH_FASTCALL | METH_KEYWORDS,
     "backward($self, gradient=None, retain_graph=None, create_graph=False, inputs=None)\n--\n\n"
     "Sums the gradient of this tensor into .grad of the leaves that it was computed from.\n\n"
     ">>> x = torch.ones(2, requires_grad=True)\n>>> (x * 3).sum().backward()\n>>> x.grad\ntensor([3., 3.])"},
    {"retain_grad", retain_grad, METH_NOARGS, "retain_grad()\n\nbackward keeps .grad here too, though it is no leaf."},
    {"_is_view", is_view, METH_NOARGS, NULL},
    {"register_hook", wgpy_register_hook, METH_O,
     "register_hook(fn) -> RemovableHandle\n\nfn(grad) runs when the gradient is complete; a tensor that it returns "
     "replaces it."},
    {"register_post_accumulate_grad_hook", wgpy_register_post_accumulate, METH_O,
     "register_post_accumulate_grad_hook(fn) -> RemovableHandle\n\nfn(leaf) runs after .grad of this leaf was added "
     "to."},
    {NULL, NULL, 0, NULL}};

/* Until PyTorch 0.4. */
static PyObject *get_volatile(PyObject *self, void *u) {
    (void)self, (void)u;
    if (wgpy_warn(PyExc_UserWarning, "volatile was removed (Variable.volatile is always False)") < 0) return NULL;
    Py_RETURN_FALSE;
}
static int set_volatile(PyObject *self, PyObject *value, void *u) {
    (void)self, (void)value, (void)u;
    return wgpy_warn(PyExc_UserWarning,
                     "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.");
}

PyGetSetDef wgpy_autograd_getset[] = {
    {"requires_grad", get_requires_grad, set_requires_grad, "Is what is computed from it recorded?", NULL},
    {"grad", get_grad, set_grad, "The gradient that backward summed up, or None.", NULL},
    {"grad_dtype", get_grad_dtype, set_grad_dtype, "The dtype of .grad.", NULL},
    {"grad_fn", get_grad_fn, NULL, "The node that made it; None for leaves.", NULL},
    {"is_leaf", get_is_leaf, NULL, "Has it no grad_fn?", NULL},
    {"output_nr", get_output_nr, NULL, "Which output of grad_fn.", NULL},
    {"_version", get_version, NULL, "How often it was written.", NULL},
    {"retains_grad", get_retains_grad, NULL, "Was retain_grad called, and is it no leaf?", NULL},
    {"data", get_data, set_data, "The same elements without history, and unseen by autograd.", NULL},
    {"_base", get_base, NULL, "What it is a view of, or None.", NULL},
    {"_backward_hooks", get_none, NULL, NULL, NULL},
    {"volatile", get_volatile, set_volatile, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef functions[] = {{"_increment_version", increment_version, METH_O, NULL},
                                  {"_gradient_node", gradient_node, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};
int wgpy_init_history(PyObject *module) { return PyModule_AddFunctions(module, functions); }
