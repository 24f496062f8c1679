/* forward_ad.c - torch.autograd.forward_ad on the library's levels (D1, D2). Python has one level at a time, number 0;
 * the library's number of it is kept here. Levels belong to a thread.
 */
#include "wgpy.h"

static __thread int level; /* the library's, 0: none is open */

static PyObject *enter(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (level) {
        PyErr_SetString(PyExc_RuntimeError, "Nested forward mode AD is not supported at the moment");
        return NULL;
    }
    level = wg_dual_level_enter();
    return level ? PyLong_FromLong(0) : wgpy_error();
}

static PyObject *leave(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (!level) {
        PyErr_SetString(PyExc_RuntimeError, "Dual level must be a positive number.");
        return NULL;
    }
    int old = level;
    level = 0;
    wg_dual_level_exit(old);
    if (wg_error_pending()) return wgpy_error();
    Py_RETURN_NONE;
}

static PyObject *current(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong(level ? 0 : -1);
}

bool wgpy_handle_carries_tangent(wg_tensor *t) {
    if (!level || !t) return false;
    size_t scope = wg_scope_open();
    bool dual = wg_tangent_of(t, level) != NULL;
    wg_scope_close(scope);
    return dual;
}

static PyObject *dual_already(const char *text) {
    PyErr_SetString(PyExc_RuntimeError, text);
    return NULL;
}

static PyObject *make_dual(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_make_dual() expects a primal and a tangent");
        return NULL;
    }
    wg_tensor *primal = wgpy_expect(args[0], "_make_dual", "primal"),
              *tangent = primal ? wgpy_expect(args[1], "_make_dual", "tangent") : NULL;
    if (!tangent) return NULL;
    if (wgpy_handle_carries_tangent(primal))
        return dual_already("Making a dual Tensor based on a Tensor that already has a forward gradient at the same "
                            "level 0 is not supported.");
    if (wgpy_handle_carries_tangent(tangent))
        return dual_already(
            "Setting a forward grad that itself has a forward gradient at the same level0 is not supported.");
    size_t scope = wg_scope_open();
    return wgpy_leave(scope, wg_make_dual(primal, tangent, level));
}

static PyObject *unpack_dual(PyObject *module, PyObject *dual) {
    (void)module;
    if (!wgpy_is_tensor(dual)) {
        PyObject *name = wgpy_type_name(dual);
        PyErr_Format(PyExc_TypeError, "_unpack_dual(): argument 'dual' (position 1) must be Tensor, not %U", name);
        Py_XDECREF(name);
        return NULL;
    }
    wg_tensor *t = wgpy_handle(dual);
    size_t scope = wg_scope_open();
    wg_tensor *tangent = wg_tangent_of(t, level),
              *primal = tangent ? wg_primal_of(t, level) : wg_view(t, wg_ndim(t), wg_sizes(t));
    if (wg_is_poison(primal)) return wgpy_leave_error(scope);
    wg_tensor *both[] = {primal, tangent};
    return wgpy_leave_list(scope, both, 2);
}

static PyObject *is_enabled(PyObject *module, PyObject *unused) {
    return (void)module, (void)unused, PyBool_FromLong(wg_forward_enabled());
}
static PyObject *set_enabled(PyObject *module, PyObject *on) {
    (void)module;
    int yes = PyObject_IsTrue(on);
    if (yes < 0) return NULL;
    wg_set_forward_enabled(yes);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"_enter_dual_level", enter, METH_NOARGS, NULL},
                                  {"_exit_dual_level", leave, METH_NOARGS, NULL},
                                  {"_dual_level", current, METH_NOARGS, NULL},
                                  {"_make_dual", (PyCFunction)(void (*)(void))make_dual, METH_FASTCALL, NULL},
                                  {"_unpack_dual", unpack_dual, METH_O, NULL},
                                  {"_is_fwd_grad_enabled", is_enabled, METH_NOARGS, NULL},
                                  {"_set_fwd_grad_enabled", set_enabled, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};

int wgpy_init_forward_ad(PyObject *module) { return PyModule_AddFunctions(module, functions); }
