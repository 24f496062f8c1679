/* autograd.c - backward, grad, modes, nodes, hooks. */
#include "wgpy.h"
int wgpy_visit_history(wg_tensor *t, visitproc visit, void *arg);
int wgpy_visit_history(wg_tensor *t, visitproc visit, void *arg) { return (void)t, (void)visit, (void)arg, 0; }
PyMethodDef wgpy_autograd_methods[] = {{NULL, NULL, 0, NULL}};
PyGetSetDef wgpy_autograd_getset[] = {{NULL, NULL, NULL, NULL, NULL}};
const wgpy_builtin wgpy_autograd_builtins[] = {{NULL, NULL, 0, NULL}};
int wgpy_init_autograd(PyObject *module) { return (void)module, 0; }
