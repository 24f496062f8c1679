/* attribute.c - what a Tensor tells of itself, and its methods that are not ops. */
#include <string.h>

#include "wgpy.h"

PyObject *wgpy_repr(PyObject *self);
PyObject *wgpy_repr(PyObject *self) {
    char *text = wg_repr_new(wgpy_handle(self));
    if (!text) return wgpy_error();
    PyObject *r = PyUnicode_FromString(text);
    wg_free_string(text);
    return r;
}

static PyObject *get_shape(PyObject *self, void *u) { return (void)u, wgpy_size(wg_ndim(wgpy_handle(self)), wg_sizes(wgpy_handle(self))); }
static PyObject *get_dtype(PyObject *self, void *u) { return (void)u, wgpy_dtype_object(wg_dtype_of(wgpy_handle(self))); }
static PyObject *get_requires_grad(PyObject *self, void *u) { return (void)u, PyBool_FromLong(wg_requires_grad(wgpy_handle(self))); }
static PyObject *get_grad(PyObject *self, void *u) { return (void)u, wgpy_wrap_borrowed(wg_grad_of(wgpy_handle(self))); }
static PyObject *backward(PyObject *self, PyObject *unused) {
    (void)unused;
    if (wgpy_check(wg_backward(wgpy_handle(self)))) return NULL;
    Py_RETURN_NONE;
}

PyMethodDef wgpy_attribute_methods[] = {{"backward", backward, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
PyGetSetDef wgpy_attribute_getset[] = {{"shape", get_shape, NULL, NULL, NULL}, {"dtype", get_dtype, NULL, NULL, NULL},
                                       {"requires_grad", get_requires_grad, NULL, NULL, NULL}, {"grad", get_grad, NULL, NULL, NULL},
                                       {NULL, NULL, NULL, NULL, NULL}};
const wgpy_builtin wgpy_tensor_builtins[] = {{NULL, NULL, 0, NULL}};
