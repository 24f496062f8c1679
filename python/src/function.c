/* function.c - torch.autograd.Function (F1-F9): apply, and the context that forward and backward are given.
 *
 * The context is the grad_fn of its call's node (wgpy.h says who keeps whom): one type per Function, made in Python by
 * FunctionMeta (wengert/autograd/function.py). apply begins a call of the library, runs forward, hands over what
 * forward said of saved, written and constant tensors, and ends the call; the library calls back for backward and jvp.
 */
#include <string.h>

#include "wgpy.h"
#include <structmember.h>

enum { NO_TENSOR, TENSOR, NEEDS_GRAD }; /* an argument of forward */
enum { FEW = 12 };

typedef struct context {
    wgpy_node node;
    wg_context *c; /* NULL: the call is over and was not recorded, or its graph is gone */
    PyObject *cls; /* the Function */
    PyObject *to_save, *for_forward, *dirty, *constant, *grad_dtypes, *needs;
    wg_tensor *const *in; /* while apply runs */
    Py_ssize_t nargs;
    uint8_t *which, few[FEW];   /* per argument */
    bool no_materialize, taken; /* taken: saved_tensors, which may be asked for once only */
} context;

static PyTypeObject *context_type;
static PyObject *default_backward, *default_setup, *bind_keywords, *bind_defaults; /* from function.py */
static PyObject *s_forward, *s_backward, *s_vjp, *s_jvp, *s_setup, *s_backward_cls, *s_boxed, *s_clear, *s_code,
    *s_argcount;

static int type_error(PyObject *type, const char *format, Py_ssize_t i, PyObject *o) {
    PyObject *name = PyType_GetName(Py_TYPE(o));
    if (name) PyErr_Format(type, format, i, name);
    Py_XDECREF(name);
    return -1;
}

/* ---- results of backward and jvp --------------------------------------------------------------------------------- */

/* An entry's tensor for the library, NULL for None; poison with an exception. */
static wg_tensor *take(PyObject *o, const char *after) {
    if (o == Py_None) return NULL;
    if (wgpy_is_tensor(o)) return wgpy_give(o);
    PyObject *name = PyType_GetName(Py_TYPE(o));
    PyErr_Format(PyExc_RuntimeError, "expected Variable or None (got %U)%s", name, after);
    Py_XDECREF(name);
    return wgpy_poison;
}

static PyObject *as_tuple(PyObject *r) { /* takes the reference */
    if (!r || PyTuple_Check(r)) return r;
    PyObject *t = PyTuple_Pack(1, r);
    Py_DECREF(r);
    return t;
}

static PyObject *class_name(const context *self) { return PyType_GetName(Py_TYPE((PyObject *)&self->node)); }

static int wrong_count(const context *self, Py_ssize_t got) {
    PyObject *name = class_name(self);
    PyErr_Format(PyExc_RuntimeError, "function %U returned an incorrect number of gradients (expected %zd, got %zd)",
                 name, self->nargs, got);
    Py_XDECREF(name);
    return -1;
}
static int not_a_tensor(const context *self, Py_ssize_t i) {
    PyObject *name = class_name(self);
    PyErr_Format(PyExc_RuntimeError,
                 "function %U returned a gradient different than None at position %zd, but the corresponding forward "
                 "input was not a Variable",
                 name, i + 1);
    Py_XDECREF(name);
    return -1;
}

/* One gradient per argument; more only if they are None (F5). */
static int take_gradients(const context *self, PyObject *r, wg_tensor **gi) {
    Py_ssize_t n = PyTuple_Size(r);
    bool extra = false;
    for (Py_ssize_t i = self->nargs; i < n; i++) extra |= PyTuple_GetItem(r, i) != Py_None;
    if (n < self->nargs || extra) return wrong_count(self, n);
    for (Py_ssize_t i = 0, k = 0; i < self->nargs; i++) {
        PyObject *o = PyTuple_GetItem(r, i);
        if (self->which[i] == NO_TENSOR) {
            if (o != Py_None) return not_a_tensor(self, i);
            continue;
        }
        gi[k] = take(o, "");
        if (gi[k++] == wgpy_poison) return -1;
    }
    return 0;
}

static int take_tangents(PyObject *r, wg_tensor **dt, int nout) {
    char after[40];
    if (PyTuple_Size(r) != nout) {
        PyErr_Format(PyExc_RuntimeError,
                     "Function's jvp returned an invalid number of forward gradients (expected %d but got %zd)", nout,
                     PyTuple_Size(r));
        return -1;
    }
    for (int o = 0; o < nout; o++) {
        PyOS_snprintf(after, sizeof(after), " for grad output %d.", o);
        dt[o] = take(PyTuple_GetItem(r, o), after);
        if (dt[o] == wgpy_poison) return -1;
    }
    return 0;
}

/* ---- called by the library --------------------------------------------------------------------------------------- */

/* backward or vjp, whichever the class has. */
static PyObject *backward_of(PyObject *cls) {
    PyObject *backward = PyObject_GetAttr(cls, s_backward), *vjp = backward ? PyObject_GetAttr(cls, s_vjp) : NULL;
    if (vjp && backward != default_backward && vjp != default_backward) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                        "implement one of them.");
        Py_CLEAR(vjp);
        Py_CLEAR(backward);
    }
    if (!vjp || vjp == default_backward) {
        Py_XDECREF(vjp);
        return vjp ? backward : (Py_XDECREF(backward), NULL);
    }
    Py_DECREF(backward);
    return vjp;
}

static int flag(PyObject *cls, PyObject *name) {
    PyObject *o = PyObject_GetAttr(cls, name);
    int on = o ? PyObject_IsTrue(o) : -1;
    Py_XDECREF(o);
    return on;
}

static PyObject *gradient_arguments(context *self, wg_tensor *const *g, int n) {
    PyObject *all = PyTuple_New(n + 1);
    if (!all) return NULL;
    PyTuple_SetItem(all, 0, Py_NewRef((PyObject *)self));
    for (int o = 0; all && o < n; o++) {
        PyObject *grad = wgpy_wrap_borrowed(g[o]);
        if (grad)
            PyTuple_SetItem(all, o + 1, grad);
        else
            Py_CLEAR(all);
    }
    return all;
}

/* boxed_grads_call: (ctx, [grads]), a list that backward may empty as it goes. */
static PyObject *boxed(PyObject *args) {
    PyObject *rest = args ? PyTuple_GetSlice(args, 1, PyTuple_Size(args)) : NULL,
             *list = rest ? PySequence_List(rest) : NULL;
    PyObject *both = list ? PyTuple_Pack(2, PyTuple_GetItem(args, 0), list) : NULL;
    Py_XDECREF(list);
    Py_XDECREF(rest);
    Py_XDECREF(args);
    return both;
}

static int run_backward(context *self, wg_tensor *const *g, int nout, wg_tensor **gi) {
    PyObject *fn = backward_of(self->cls);
    int in_box = fn ? flag(self->cls, s_boxed) : -1;
    PyObject *args = in_box >= 0 ? gradient_arguments(self, g, nout) : NULL;
    if (in_box > 0) args = boxed(args);
    PyObject *r = args ? as_tuple(PyObject_Call(fn, args, NULL)) : NULL;
    Py_XDECREF(args);
    Py_XDECREF(fn);
    int failed = r ? take_gradients(self, r, gi) : -1;
    Py_XDECREF(r);
    return failed;
}

static wg_status vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nin;
    wgpy_entry e = wgpy_enter_python();
    context *self = wg_context_user(c);
    Py_INCREF((PyObject *)self);
    int failed = run_backward(self, g, nout, gi);
    Py_DECREF((PyObject *)self);
    wgpy_leave_python(e);
    return failed ? WG_ERR_CALLBACK : WG_OK;
}

static PyObject *tangent(const context *self, wg_tensor *const *t, int k) {
    wg_tensor *in = self->in[k];
    if (t[k] || self->no_materialize || !wg_dtype_is_floating(wg_dtype_of(in))) return wgpy_wrap_borrowed(t[k]);
    return wgpy_result(wg_zeros_like(in, NULL));
}

static PyObject *tangent_arguments(context *self, wg_tensor *const *t) {
    PyObject *all = PyTuple_New(self->nargs + 1);
    if (!all) return NULL;
    PyTuple_SetItem(all, 0, Py_NewRef((PyObject *)self));
    int k = 0;
    for (Py_ssize_t i = 0; all && i < self->nargs; i++) {
        PyObject *o = self->which[i] == NO_TENSOR ? Py_NewRef(Py_None) : tangent(self, t, k++);
        if (o)
            PyTuple_SetItem(all, i + 1, o);
        else
            Py_CLEAR(all);
    }
    return all;
}

static wg_status jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)nin;
    wgpy_entry e = wgpy_enter_python();
    context *self = wg_context_user(c);
    PyObject *fn = PyObject_GetAttr(self->cls, s_jvp), *args = fn ? tangent_arguments(self, t) : NULL;
    PyObject *r = args ? as_tuple(PyObject_Call(fn, args, NULL)) : NULL;
    int failed = r ? take_tangents(r, dt, nout) : -1;
    Py_XDECREF(r);
    Py_XDECREF(args);
    Py_XDECREF(fn);
    wgpy_leave_python(e);
    return failed ? WG_ERR_CALLBACK : WG_OK;
}

/* The call's data are gone: it was not recorded, or its node dies. */
static void destroyed(void *user) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    ((context *)user)->c = NULL;
    PyGILState_Release(gil);
}

/* ---- a call: arguments ------------------------------------------------------------------------------------------- */

typedef struct call {
    context *self;
    PyObject *args, *forward, *result;
    bool setup; /* forward without ctx, and setup_context */
    wg_tensor **in, **out, *small[2 * FEW];
    int nin, nout;
    size_t scope;
} call;

/* setup_context is given all arguments, those too that have their default value. */
static bool complete(PyObject *forward, Py_ssize_t nargs) {
    if (Py_TYPE(forward) != Py_TYPE(default_setup)) return false; /* not a plain function */
    PyObject *code = PyObject_GetAttr(forward, s_code), *count = code ? PyObject_GetAttr(code, s_argcount) : NULL;
    bool full = count && PyLong_AsSsize_t(count) <= nargs;
    Py_XDECREF(count);
    Py_XDECREF(code);
    PyErr_Clear();
    return full;
}

static PyObject *tuple_of(PyObject *const *args, Py_ssize_t n) {
    PyObject *t = PyTuple_New(n);
    for (Py_ssize_t i = 0; t && i < n; i++) PyTuple_SetItem(t, i, Py_NewRef(args[i]));
    return t;
}

static PyObject *with_keywords(call *k, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    PyObject *positional = tuple_of(args, nargs), *named = positional ? PyDict_New() : NULL;
    for (Py_ssize_t i = 0; named && i < PyTuple_Size(kwnames); i++)
        if (PyDict_SetItem(named, PyTuple_GetItem(kwnames, i), args[nargs + i]) < 0) Py_CLEAR(named);
    PyObject *r =
        named ? PyObject_CallFunction(bind_keywords, "OOOi", k->forward, positional, named, (int)k->setup) : NULL;
    Py_XDECREF(named);
    Py_XDECREF(positional);
    return r;
}

static int take_arguments(call *k, PyObject *cls, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    PyObject *setup = PyObject_GetAttr(cls, s_setup);
    k->forward = setup ? PyObject_GetAttr(cls, s_forward) : NULL;
    k->setup = setup && setup != default_setup;
    Py_XDECREF(setup);
    if (!k->forward) return -1;
    k->args = kwnames && PyTuple_Size(kwnames) ? with_keywords(k, args, nargs, kwnames) : tuple_of(args, nargs);
    if (k->args && k->setup && !complete(k->forward, PyTuple_Size(k->args))) {
        PyObject *all = PyObject_CallFunctionObjArgs(bind_defaults, k->forward, k->args, NULL);
        WGPY_SET(k->args, all);
    }
    return k->args ? 0 : -1;
}

/* ---- a call: the context ----------------------------------------------------------------------------------------- */

static context *new_context(PyObject *cls) {
    PyObject *type = PyObject_GetAttr(cls, s_backward_cls);
    context *self = NULL;
    if (type && PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, context_type)) {
        allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
        self = (context *)alloc((PyTypeObject *)type, 0);
    } else if (type) {
        PyErr_SetString(PyExc_TypeError, "_backward_cls of a Function is made by its metaclass and cannot be replaced");
    }
    Py_XDECREF(type);
    if (!self) return NULL;
    self->node.is_context = true;
    self->cls = Py_NewRef(cls);
    return self;
}

/* Which arguments are tensors: the inputs of the node. */
static int take_inputs(call *k) {
    context *self = k->self;
    Py_ssize_t n = self->nargs = PyTuple_Size(k->args);
    self->which = n <= FEW ? self->few : PyMem_Calloc((size_t)n, 1);
    k->in = n <= FEW ? k->small : PyMem_Calloc((size_t)n, sizeof(*k->in));
    if (!self->which || !k->in) return PyErr_NoMemory(), -1;
    self->in = k->in;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(k->args, i);
        if (!wgpy_is_tensor(o)) continue;
        wg_tensor *t = k->in[k->nin++] = wgpy_handle(o);
        self->which[i] = wg_requires_grad(t) ? NEEDS_GRAD : TENSOR;
    }
    return 0;
}

static int begin(call *k) {
    context *self = k->self;
    PyObject *name = PyType_GetName((PyTypeObject *)self->cls);
    const char *text = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    wg_function f = {.size = sizeof(f), .name = text, .vjp = vjp, .jvp = jvp, .destroy = destroyed};
    if (text) self->c = wg_function_begin(&f, self, k->in, k->nin);
    Py_XDECREF(name);
    if (!self->c) {
        if (text) wgpy_error();
        return -1;
    }
    wg_node *n = wg_context_node(self->c);
    if (n) wgpy_node_attach(&self->node, n);
    return 0;
}

/* ---- a call: forward --------------------------------------------------------------------------------------------- */

static PyObject *with_context(call *k) {
    Py_ssize_t n = PyTuple_Size(k->args);
    PyObject *all = PyTuple_New(n + 1);
    if (!all) return NULL;
    PyTuple_SetItem(all, 0, Py_NewRef((PyObject *)k->self));
    for (Py_ssize_t i = 0; i < n; i++) PyTuple_SetItem(all, i + 1, Py_NewRef(PyTuple_GetItem(k->args, i)));
    return all;
}

static int run_setup(call *k) {
    PyObject *setup = PyObject_GetAttr(k->self->cls, s_setup);
    PyObject *r = setup ? PyObject_CallFunctionObjArgs(setup, (PyObject *)k->self, k->args, k->result, NULL) : NULL;
    Py_XDECREF(setup);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int run_forward(call *k) {
    if (k->setup) {
        k->result = PyObject_Call(k->forward, k->args, NULL);
        return k->result ? run_setup(k) : -1;
    }
    PyObject *args = with_context(k);
    k->result = args ? PyObject_Call(k->forward, args, NULL) : NULL;
    Py_XDECREF(args);
    return k->result ? 0 : -1;
}

/* ---- a call: what forward said ----------------------------------------------------------------------------------- */

static bool returned(const call *k, const wg_tensor *t) {
    for (int o = 0; o < k->nout; o++)
        if (k->out[o] == t) return true;
    return false;
}
static bool among(PyObject *tuple, PyObject *o) {
    Py_ssize_t n = tuple ? PyTuple_Size(tuple) : 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyTuple_GetItem(tuple, i) == o) return true;
    return false;
}

/* With setup_context an input that came back as it was would be saved in place of the output. */
static int check_saved(const call *k, PyObject *o) {
    if (!k->setup || !among(k->args, o) || !returned(k, wgpy_handle(o)) || among(k->self->dirty, o)) return 0;
    PyErr_SetString(PyExc_RuntimeError, "An input that has been returned as-is as output is being saved for backward. "
                                        "This is not supported if you override "
                                        "setup_context. You should return and save a view of the input instead, e.g. "
                                        "with x.view_as(x) or setup ctx inside the "
                                        "forward function itself.");
    return -1;
}

static int hand_saved(call *k) {
    context *self = k->self;
    Py_ssize_t n = self->to_save ? PyTuple_Size(self->to_save) : 0;
    if (!n || !self->node.n) return 0;
    wg_tensor *small[FEW], **t = n <= FEW ? small : PyMem_Calloc((size_t)n, sizeof(*t));
    if (!t) return PyErr_NoMemory(), -1;
    int failed = 0;
    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        PyObject *o = PyTuple_GetItem(self->to_save, i);
        t[i] = wgpy_is_tensor(o) ? wgpy_handle(o) : NULL;
        if (t[i])
            failed = check_saved(k, o);
        else if (o != Py_None)
            failed = type_error(PyExc_TypeError,
                                "save_for_backward can only save variables, but argument %zd is of type %U", i, o);
    }
    if (!failed) failed = wgpy_check(wg_save_for_backward(self->c, t, (int)n));
    if (t != small) PyMem_Free(t);
    return failed;
}

static int hand_dirty(context *self) {
    for (Py_ssize_t i = 0, n = self->dirty ? PyTuple_Size(self->dirty) : 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(self->dirty, i);
        if (!wgpy_is_tensor(o))
            return type_error(PyExc_RuntimeError,
                              "mark_dirty can only accept variables, but argument %zd is of type %U", i, o);
        if (wgpy_check(wg_mark_dirty(self->c, wgpy_handle(o)))) return -1;
    }
    return 0;
}

static int hand_constant(context *self) {
    for (Py_ssize_t i = 0, n = self->constant ? PyTuple_Size(self->constant) : 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(self->constant, i), *name;
        if (wgpy_is_tensor(o)) {
            if (wgpy_check(wg_mark_non_differentiable(self->c, wgpy_handle(o)))) return -1;
            continue;
        }
        name = PyType_GetName(Py_TYPE(o));
        PyErr_Format(PyExc_RuntimeError, "mark_non_differentiable only accepts variable arguments, but got %U", name);
        Py_XDECREF(name);
        return -1;
    }
    return 0;
}

static int hand_grad_dtypes(context *self) {
    Py_ssize_t n = self->grad_dtypes ? PyTuple_Size(self->grad_dtypes) : 0;
    if (!self->grad_dtypes) return 0;
    wg_dtype *d = PyMem_Calloc((size_t)n + 1, sizeof(*d));
    if (!d) return PyErr_NoMemory(), -1;
    int failed = 0;
    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        PyObject *o = PyTuple_GetItem(self->grad_dtypes, i);
        d[i] = wgpy_is_dtype(o) ? ((wgpy_dtype *)o)->code : WG_DTYPE_NONE;
        if (wgpy_is_dtype(o) || o == Py_None) continue;
        PyObject *name = PyType_GetName(Py_TYPE(o));
        PyErr_Format(PyExc_RuntimeError,
                     "set_output_grad_dtype expects each declaration to be a torch.dtype or None, but got %U", name);
        Py_XDECREF(name);
        failed = -1;
    }
    if (!failed) failed = wgpy_check(wg_set_output_grad_dtype(self->c, d, (int)n));
    PyMem_Free(d);
    return failed;
}

/* ---- a call: outputs --------------------------------------------------------------------------------------------- */

static PyObject *output(const call *k, int o) {
    return PyTuple_Check(k->result) ? PyTuple_GetItem(k->result, o) : k->result;
}

static int take_outputs(call *k) {
    Py_ssize_t n = PyTuple_Check(k->result) ? PyTuple_Size(k->result) : 1;
    if (n > UINT16_MAX) {
        PyErr_Format(PyExc_ValueError, "forward returned %zd values; %d can be", n, UINT16_MAX);
        return -1;
    }
    k->nout = (int)n;
    k->out = n <= FEW ? k->small + FEW : PyMem_Calloc((size_t)n, sizeof(*k->out));
    if (!k->out) return PyErr_NoMemory(), -1;
    for (int o = 0; o < k->nout; o++) k->out[o] = wgpy_is_tensor(output(k, o)) ? wgpy_handle(output(k, o)) : NULL;
    return 0;
}

static PyObject *final_output(const call *k, int o) {
    return k->out[o] ? wgpy_wrap_borrowed(k->out[o]) : Py_NewRef(output(k, o));
}

static PyObject *final_outputs(const call *k) {
    if (!PyTuple_Check(k->result)) return final_output(k, 0);
    PyObject *all = PyTuple_New(k->nout);
    for (int o = 0; all && o < k->nout; o++) {
        PyObject *item = final_output(k, o);
        if (item)
            PyTuple_SetItem(all, o, item);
        else
            Py_CLEAR(all);
    }
    return all;
}

/* Ends the call, whose context is the library's from then on. */
static int end(call *k) {
    context *self = k->self;
    if (take_outputs(k) < 0 || hand_dirty(self) < 0 || hand_constant(self) < 0 || hand_grad_dtypes(self) < 0 ||
        hand_saved(k) < 0) {
        wg_function_cancel(self->c);
        return -1;
    }
    wg_set_materialize_grads(self->c, !self->no_materialize);
    if (wg_function_end(self->c, k->out, k->nout) == WG_OK) return 0;
    wgpy_error();
    return -1;
}

static void done(call *k) {
    context *self = k->self;
    if (k->in && k->in != k->small) PyMem_Free(k->in);
    if (k->out && k->out != k->small + FEW) PyMem_Free(k->out);
    Py_XDECREF(k->result);
    Py_XDECREF(k->forward);
    Py_XDECREF(k->args);
    if (!self) return;
    self->in = NULL;
    Py_CLEAR(self->to_save);
    Py_CLEAR(self->constant);
    Py_CLEAR(self->dirty);
    Py_CLEAR(self->for_forward);
    Py_DECREF((PyObject *)self);
}

static PyObject *apply(PyObject *cls, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    call k = {.nin = 0};
    PyObject *r = NULL;
    if (take_arguments(&k, cls, args, nargs, kwnames) == 0) k.self = new_context(cls);
    k.scope = wg_scope_open();
    if (k.self && take_inputs(&k) == 0 && begin(&k) == 0) {
        if (run_forward(&k) < 0)
            wg_function_cancel(k.self->c);
        else if (end(&k) == 0)
            r = final_outputs(&k);
    }
    wg_scope_close(k.scope);
    done(&k);
    return r;
}

/* ---- ctx: methods ------------------------------------------------------------------------------------------------ */

static context *C(PyObject *self) { return (context *)self; }

static PyObject *store(PyObject **slot, PyObject *args) {
    WGPY_SET(*slot, Py_NewRef(args));
    Py_RETURN_NONE;
}
static PyObject *save_for_backward(PyObject *self, PyObject *args) { return store(&C(self)->to_save, args); }
static PyObject *mark_dirty(PyObject *self, PyObject *args) { return store(&C(self)->dirty, args); }
static PyObject *mark_non_differentiable(PyObject *self, PyObject *args) { return store(&C(self)->constant, args); }
static PyObject *save_for_forward(PyObject *self, PyObject *args) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) {
        PyObject *o = PyTuple_GetItem(args, i);
        if (o == Py_None || wgpy_is_tensor(o)) continue;
        PyErr_SetString(PyExc_AssertionError,
                        "save_for_forward expects all arguments to be tensors; you should save non-tensors as "
                        "attributes on ctx.");
        return NULL;
    }
    return store(&C(self)->for_forward, args);
}
static PyObject *set_output_grad_dtype(PyObject *self, PyObject *args) {
    if (!C(self)->grad_dtypes) return store(&C(self)->grad_dtypes, args);
    PyErr_SetString(PyExc_RuntimeError, "set_output_grad_dtype can only be called once");
    return NULL;
}
static PyObject *set_materialize_grads(PyObject *self, PyObject *on) {
    int yes = PyObject_IsTrue(on);
    if (yes < 0) return NULL;
    C(self)->no_materialize = !yes;
    Py_RETURN_NONE;
}

static PyObject *unpack(context *self) {
    int n = self->c ? wg_saved_count(self->c) : 0;
    wg_tensor *small[FEW], **t = n <= FEW ? small : PyMem_Calloc((size_t)n, sizeof(*t));
    if (!t) return PyErr_NoMemory();
    size_t scope = wg_scope_open();
    bool good = true;
    for (int i = 0; i < n && good; i++) {
        t[i] = wg_saved_tensor(self->c, i);
        good = !t[i] || !wg_is_poison(t[i]);
    }
    PyObject *r = good ? wgpy_leave_list(scope, t, n) : wgpy_leave_error(scope);
    if (t != small) PyMem_Free(t);
    return r;
}

static PyObject *saved_tensors(PyObject *o, void *unused) {
    context *self = C(o);
    (void)unused;
    if (self->for_forward) return Py_NewRef(self->for_forward);
    if (self->taken) {
        PyErr_SetString(PyExc_RuntimeError,
                        "saved_tensors can only be accessed once when clear_saved_tensors_on_access=True is set on the "
                        "autograd.Function. "
                        "Either access saved_tensors only once, or set clear_saved_tensors_on_access=False.");
        return NULL;
    }
    int clear = flag(self->cls, s_clear);
    PyObject *r = clear >= 0 ? unpack(self) : NULL;
    if (!r || !clear) return r;
    self->taken = true;
    wg_drop_saved_tensors(self->c);
    return r;
}

/* ---- ctx: attributes --------------------------------------------------------------------------------------------- */

static PyObject *needs_input_grad(PyObject *o, void *unused) {
    context *self = C(o);
    (void)unused;
    if (self->needs) return Py_NewRef(self->needs);
    PyObject *all = PyTuple_New(self->nargs);
    for (Py_ssize_t i = 0; all && i < self->nargs; i++)
        PyTuple_SetItem(all, i, PyBool_FromLong(self->which[i] == NEEDS_GRAD));
    self->needs = all;
    return Py_XNewRef(all);
}

/* Those that hold an object or None. */
static PyObject *get_object(PyObject *self, void *offset) {
    PyObject *o = *(PyObject **)((char *)self + (size_t)offset);
    return Py_NewRef(o ? o : Py_None);
}
static int set_object(PyObject *self, PyObject *value, void *offset) {
    PyObject **slot = (PyObject **)((char *)self + (size_t)offset);
    if (value && value != Py_None && slot != &C(self)->needs && !PyTuple_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple of tensors, or None");
        return -1;
    }
    WGPY_SET(*slot, value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}
static int set_materialize(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    PyObject *r = value ? set_materialize_grads(self, value)
                        : (PyErr_SetString(PyExc_AttributeError, "cannot delete materialize_grads"), NULL);
    Py_XDECREF(r);
    return r ? 0 : -1;
}
static PyObject *get_materialize(PyObject *self, void *unused) {
    return (void)unused, PyBool_FromLong(!C(self)->no_materialize);
}

static PyObject *repr(PyObject *self) {
    PyObject *name = PyType_GetName(Py_TYPE(self));
    PyObject *text = name ? PyUnicode_FromFormat("<torch.autograd.function.%U object at %p>", name, self) : NULL;
    Py_XDECREF(name);
    return text;
}

/* ---- ctx: life --------------------------------------------------------------------------------------------------- */

static int traverse(PyObject *o, visitproc visit, void *arg) {
    context *self = C(o);
    Py_VISIT(self->cls);
    Py_VISIT(self->to_save);
    Py_VISIT(self->for_forward);
    Py_VISIT(self->dirty);
    Py_VISIT(self->constant);
    Py_VISIT(self->grad_dtypes);
    Py_VISIT(self->needs);
    return wgpy_node_traverse(o, visit, arg);
}

static void forget_marks(context *self) {
    Py_CLEAR(self->to_save);
    Py_CLEAR(self->for_forward);
    Py_CLEAR(self->dirty);
    Py_CLEAR(self->constant);
    Py_CLEAR(self->grad_dtypes);
    Py_CLEAR(self->needs);
}
static int clear(PyObject *o) {
    forget_marks(C(o));
    return wgpy_node_clear(o);
}

static void dealloc(PyObject *o) {
    context *self = C(o);
    PyObject_GC_UnTrack(o);
    forget_marks(self);
    Py_CLEAR(self->cls);
    if (self->which != self->few) PyMem_Free(self->which);
    wgpy_node_dealloc(o);
}

/* ---- once_differentiable ----------------------------------------------------------------------------------------- */

static wg_status refuse(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)g, (void)nout, (void)gi, (void)nin;
    return wg_raise(WG_ERR_RUNTIME,
                    "trying to differentiate twice a function that was marked with @once_differentiable");
}

/* Tensors with the values of those given, whose history is an error. in[n], out[n] */
static wg_status refusing(wg_tensor **t, int n) {
    static const wg_function f = {.size = sizeof(f), .name = "torch::autograd::Error", .vjp = refuse};
    wg_tensor *in[FEW];
    for (int i = 0; i < n; i++) {
        in[i] = t[i] ? wg_set_requires_grad(wg_detach(t[i]), true) : NULL;
        t[i] = in[i];
    }
    wg_context *c = wg_function_begin(&f, NULL, in, n);
    return c ? wg_function_end(c, t, n) : wg_last_status();
}

static PyObject *error_when_differentiated(PyObject *module, PyObject *outputs) {
    wg_tensor *t[FEW];
    int n = PyTuple_Check(outputs) ? (int)PyTuple_Size(outputs) : -1;
    (void)module;
    if (n < 0 || n > FEW) {
        PyErr_Format(PyExc_TypeError, "expected a tuple of at most %d tensors", (int)FEW);
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(outputs, i);
        t[i] = wgpy_is_tensor(o) && wg_dtype_is_floating(wg_dtype_of(wgpy_handle(o))) ? wgpy_handle(o) : NULL;
    }
    size_t scope = wg_scope_open();
    bool enabled = wg_set_grad_enabled(true);
    wg_status st = refusing(t, n);
    wg_set_grad_enabled(enabled);
    PyObject *all = st == WG_OK ? PyTuple_New(n) : wgpy_error();
    for (int i = 0; all && i < n; i++) {
        PyObject *o = t[i] ? wgpy_wrap_borrowed(t[i]) : Py_NewRef(PyTuple_GetItem(outputs, i));
        if (o)
            PyTuple_SetItem(all, i, o);
        else
            Py_CLEAR(all);
    }
    wg_scope_close(scope);
    return all;
}

/* ---- types ------------------------------------------------------------------------------------------------------- */

static PyObject *set_defaults(PyObject *module, PyObject *args) {
    PyObject *o[4];
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOO", &o[0], &o[1], &o[2], &o[3])) return NULL;
    PyObject **slots[] = {&default_backward, &default_setup, &bind_keywords, &bind_defaults};
    for (int i = 0; i < 4; i++) WGPY_SET(*slots[i], Py_NewRef(o[i]));
    Py_RETURN_NONE;
}

static PyMethodDef context_methods[] = {
    {"save_for_backward", save_for_backward, METH_VARARGS,
     "save_for_backward(*tensors)\n\nKeeps inputs, outputs, and None, for backward, which finds them in "
     "ctx.saved_tensors."},
    {"save_for_forward", save_for_forward, METH_VARARGS, "save_for_forward(*tensors)\n\nThe same for jvp."},
    {"mark_dirty", mark_dirty, METH_VARARGS,
     "mark_dirty(*inputs)\n\nSays that forward wrote these inputs in place. It must return them."},
    {"mark_non_differentiable", mark_non_differentiable, METH_VARARGS,
     "mark_non_differentiable(*outputs)\n\nSays that these outputs have no gradient."},
    {"set_materialize_grads", set_materialize_grads, METH_O,
     "set_materialize_grads(value)\n\nFalse: gradients that did not arrive are None, not zeros."},
    {"set_output_grad_dtype", set_output_grad_dtype, METH_VARARGS,
     "set_output_grad_dtype(*dtypes)\n\nIn which dtype backward gets its gradients, one per output; None: as they "
     "come."},
    {NULL, NULL, 0, NULL}};
#define OBJECT(name, field)                                                                                            \
    { name, get_object, set_object, NULL, (void *)offsetof(context, field) }
static PyGetSetDef context_getset[] = {
    {"saved_tensors", saved_tensors, NULL,
     "What was saved for backward, as it is now; an error when it was written since.", NULL},
    {"needs_input_grad", needs_input_grad, set_object, "One bool per argument of forward.",
     (void *)offsetof(context, needs)},
    {"materialize_grads", get_materialize, set_materialize, NULL, NULL},
    OBJECT("to_save", to_save),
    OBJECT("non_differentiable", constant),
    OBJECT("dirty_tensors", dirty),
    OBJECT("saved_for_forward", for_forward),
    OBJECT("output_grad_dtypes", grad_dtypes),
    {NULL, NULL, NULL, NULL, NULL}};
#undef OBJECT

static PyMethodDef apply_methods[] = {
    {"apply", (PyCFunction)(void (*)(void))apply, METH_FASTCALL | METH_KEYWORDS | METH_CLASS,
     "apply(*args, **kwargs)\n\nCalls forward, and records that backward is its derivative."},
    {NULL, NULL, 0, NULL}};
static PyMethodDef functions[] = {{"_set_function_defaults", set_defaults, METH_VARARGS, NULL},
                                  {"_error_when_differentiated", error_when_differentiated, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};

static int intern_names(void) {
    const struct {
        PyObject **slot;
        const char *text;
    } names[] = {{&s_forward, "forward"},
                 {&s_backward, "backward"},
                 {&s_vjp, "vjp"},
                 {&s_jvp, "jvp"},
                 {&s_setup, "setup_context"},
                 {&s_backward_cls, "_backward_cls"},
                 {&s_boxed, "boxed_grads_call"},
                 {&s_clear, "clear_saved_tensors_on_access"},
                 {&s_code, "__code__"},
                 {&s_argcount, "co_argcount"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!(*names[i].slot = PyUnicode_InternFromString(names[i].text))) return -1;
    return 0;
}

int wgpy_init_function(PyObject *module) {
    PyType_Slot slots[] = {{Py_tp_dealloc, dealloc},
                           {Py_tp_traverse, traverse},
                           {Py_tp_clear, clear},
                           {Py_tp_repr, repr},
                           {Py_tp_methods, context_methods},
                           {Py_tp_getset, context_getset},
                           {0, NULL}};
    PyType_Spec spec = {
        "torch._C._FunctionBase", sizeof(context), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyType_Slot apply_slots[] = {{Py_tp_methods, apply_methods}, {0, NULL}};
    PyType_Spec apply_spec = {"torch._C._FunctionApply", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                              apply_slots};
    PyObject *bases = PyTuple_Pack(1, (PyObject *)wgpy.node);
    context_type = bases ? (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, bases) : NULL;
    Py_XDECREF(bases);
    PyObject *callable = context_type ? PyType_FromModuleAndSpec(module, &apply_spec, NULL) : NULL;
    int failed = !callable || intern_names() < 0 ||
                 PyModule_AddObjectRef(module, "_FunctionBase", (PyObject *)context_type) < 0 ||
                 PyModule_AddObjectRef(module, "_FunctionApply", callable) < 0;
    Py_XDECREF(callable);
    return failed ? -1 : PyModule_AddFunctions(module, functions);
}
