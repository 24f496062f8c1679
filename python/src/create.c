/* create.c - torch.tensor and the factories. */
#include "wgpy.h"

static PyObject *ones(const wgpy_call *c) {
    wg_options o = {.size = sizeof(o), .requires_grad = wgpy_bool(c, 2, false)};
    if (wgpy_given(c, 1)) o.dtype = wgpy_dtype_arg(c, 1), o.has_dtype = true;
    return wgpy_result(wg_ones((int)c->arg[0].n, c->arg[0].v.ints, &o));
}
const wgpy_builtin wgpy_create_builtins[] = {
    {"ones(int[] size, *, ScalarType? dtype=None, bool requires_grad=False) -> Tensor", "all 1", WGPY_FUNCTION, ones}, {NULL, NULL, 0, NULL}};
PyObject *wgpy_tensor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    int64_t zero = 0;
    return wgpy_wrap_as(type, wg_take(wg_empty(1, &zero, NULL)));
}
int wgpy_init_create(PyObject *module) { return (void)module, 0; }
