/* override.c - __torch_function__. */
#include "wgpy.h"
bool wgpy_may_override(PyObject *o) { return (void)o, false; }
PyObject *wgpy_override(const wgpy_overloads *family, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bool *handled) {
    (void)family, (void)self, (void)args, (void)nargs, (void)kwnames;
    *handled = false;
    return NULL;
}
int wgpy_init_override(PyObject *module) { return (void)module, 0; }
