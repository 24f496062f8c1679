/* random.c - Generator, and the functions that draw. */
#include "wgpy.h"
const wgpy_builtin wgpy_random_builtins[] = {{NULL, NULL, 0, NULL}};
int wgpy_init_random(PyObject *module) { return (void)module, 0; }
