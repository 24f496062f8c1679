/* index.c - x[...] and x[...] = v. */
#include "wgpy.h"

PyObject *wgpy_getitem(PyObject *self, PyObject *key) {
    size_t scope = wg_scope_open();
    if (PyLong_Check(key)) return wgpy_leave(scope, wg_select(wgpy_handle(self), 0, PyLong_AsLongLong(key)));
    wg_scope_close(scope);
    PyErr_SetString(PyExc_NotImplementedError, "index");
    return NULL;
}
int wgpy_setitem(PyObject *self, PyObject *key, PyObject *value) {
    (void)self, (void)key, (void)value;
    PyErr_SetString(PyExc_NotImplementedError, "index");
    return -1;
}
Py_ssize_t wgpy_length(PyObject *self) { return (Py_ssize_t)wg_size(wgpy_handle(self), 0); }
int wgpy_contains(PyObject *self, PyObject *value) { return (void)self, (void)value, 0; }
PyObject *wgpy_iter(PyObject *self) { return PySeqIter_New(self); }
int wgpy_init_index(PyObject *module) { return (void)module, 0; }
PyMethodDef wgpy_index_methods[] = {{NULL, NULL, 0, NULL}};
const wgpy_builtin wgpy_index_builtins[] = {{NULL, NULL, 0, NULL}};
