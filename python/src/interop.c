/* interop.c - NumPy, DLPack, buffers, pickle. */
#include "wgpy.h"
PyMethodDef wgpy_interop_methods[] = {{NULL, NULL, 0, NULL}};
PyGetSetDef wgpy_interop_getset[] = {{NULL, NULL, NULL, NULL, NULL}};
int wgpy_init_interop(PyObject *module) { return (void)module, 0; }
