/* autograd.c - backward and grad (B1-B6): taking the arguments apart, the walk, what comes out. Attributes of Tensor
 * that tell of history are in history.c, modes in mode.c, nodes in node.c, hooks in hooks.c.
 *
 * A short walk keeps the GIL: giving it up costs as much as a few nodes. A long one gives it up; hooks take it back.
 */
#include <string.h>

#include "wgpy.h"

#define SHORT_WALK 32768 /* elements, nodes counting 512 each: about 20 us */

static PyObject *edge_type; /* autograd.graph.GradientEdge, once that module is there */

/* ---- arguments by name
 * ---------------------------------------------------------------------------------------------------- */

typedef struct parameters {
    const char *who;
    int n, npos, required, self; /* self: counted in messages */
    const char *names[10];
} parameters;

static int unexpected(const parameters *p, PyObject *name) {
    PyErr_Format(PyExc_TypeError, "%s got an unexpected keyword argument '%U'", p->who, name);
    return -1;
}

static int take_keyword(const parameters *p, PyObject *name, PyObject *value, PyObject **out) {
    int i = 0;
    while (i < p->n && PyUnicode_CompareWithASCIIString(name, p->names[i])) i++;
    if (i == p->n) return unexpected(p, name);
    if (out[i]) {
        PyErr_Format(PyExc_TypeError, "%s got multiple values for argument '%s'", p->who, p->names[i]);
        return -1;
    }
    out[i] = value;
    return 0;
}

static int take_arguments(const parameters *p, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                          PyObject **out) {
    if (nargs > p->npos) {
        PyErr_Format(PyExc_TypeError, "%s takes from %d to %d positional arguments but %zd were given", p->who,
                     p->required + p->self, p->npos + p->self, nargs + p->self);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) out[i] = args[i];
    Py_ssize_t nk = kwnames ? PyTuple_Size(kwnames) : 0;
    for (Py_ssize_t k = 0; k < nk; k++)
        if (take_keyword(p, PyTuple_GetItem(kwnames, k), args[nargs + k], out) < 0) return -1;
    for (int i = 0; i < p->required; i++) {
        if (out[i]) continue;
        PyErr_Format(PyExc_TypeError, "%s missing a required argument: '%s'", p->who, p->names[i]);
        return -1;
    }
    return 0;
}

static int truth(PyObject *o, bool otherwise) { return !o ? otherwise : PyObject_IsTrue(o); }

/* ---- lists of tensors and edges
 * ---------------------------------------------------------------------------------------------- */

/* Tensors, or edges where t[i] is NULL. owner keeps them alive: hooks may do what they like with the caller's list. */
typedef struct places {
    PyObject *owner;
    int n;
    wg_tensor **t;
    wg_edge *edge; /* NULL: all are tensors */
} places;

static bool is_edge(PyObject *o) { return edge_type && (PyObject *)Py_TYPE(o) == edge_type; }

/* One of them, or a sequence: a new tuple. */
static PyObject *as_tuple(PyObject *o) {
    if (wgpy_is_tensor(o) || is_edge(o)) return Py_BuildValue("(O)", o);
    return PySequence_Tuple(o);
}

static int take_edge(places *p, int i, PyObject *o) {
    PyObject *node = PyTuple_GetItem(o, 0), *nr = PyTuple_GetItem(o, 1);
    if (!node || !PyObject_TypeCheck(node, wgpy.node) || !((wgpy_node *)node)->n) {
        PyErr_SetString(PyExc_RuntimeError, "a GradientEdge without a node, or whose graph is gone");
        return -1;
    }
    if (!p->edge && !(p->edge = PyMem_Calloc((size_t)p->n, sizeof(*p->edge)))) return PyErr_NoMemory(), -1;
    long k = PyLong_AsLong(nr);
    if (k == -1 && PyErr_Occurred()) return -1;
    p->edge[i] = (wg_edge){((wgpy_node *)node)->n, k < 0 || k > INT32_MAX ? -1 : (int)k};
    return 0;
}

static int take_places(places *p, PyObject *o, PyObject *error, const char *message) {
    p->owner = as_tuple(o);
    if (!p->owner) return -1;
    Py_ssize_t n = PyTuple_Size(p->owner);
    if (n > 1 << 24) return PyErr_NoMemory(), -1;
    p->n = (int)n;
    p->t = PyMem_Calloc((size_t)n + 1, sizeof(*p->t));
    if (!p->t) return PyErr_NoMemory(), -1;
    for (int i = 0; i < p->n; i++) {
        PyObject *item = PyTuple_GetItem(p->owner, i);
        if (wgpy_is_tensor(item)) {
            p->t[i] = wgpy_handle(item);
        } else if (!is_edge(item)) {
            PyObject *type = PyType_GetName(Py_TYPE(item));
            PyErr_Format(error, message, type);
            Py_XDECREF(type);
            return -1;
        } else if (take_edge(p, i, item) < 0) {
            return -1;
        }
    }
    return 0;
}
static void drop_places(places *p) {
    Py_XDECREF(p->owner);
    PyMem_Free(p->t);
    PyMem_Free(p->edge);
}

static int wrong_seed(PyObject *o) {
    PyObject *type = PyType_GetName(Py_TYPE(o));
    PyErr_Format(PyExc_TypeError, "gradients can be either Tensors or None, but got %U", type);
    Py_XDECREF(type);
    return -1;
}

/* Gradients for n outputs: NULL, a tensor, or a sequence with None where there is none. More than outputs are checked
 * and left alone. */
static int take_seeds(places *p, PyObject *o, int n) {
    if (!o || o == Py_None) return 0;
    p->owner = wgpy_is_tensor(o) ? Py_BuildValue("(O)", o) : PySequence_Tuple(o);
    if (!p->owner) return -1;
    int given = (int)PyTuple_Size(p->owner);
    p->n = n;
    p->t = PyMem_Calloc((size_t)n + 1, sizeof(*p->t));
    if (!p->t) return PyErr_NoMemory(), -1;
    for (int i = 0; i < n && i < given; i++) {
        PyObject *item = PyTuple_GetItem(p->owner, i);
        if (item != Py_None && !wgpy_is_tensor(item)) return wrong_seed(item);
        p->t[i] = item == Py_None ? NULL : wgpy_handle(item);
    }
    if (given >= n) return 0;
    PyErr_Format(PyExc_RuntimeError, "got %d tensors and %d gradients", n, given);
    return -1;
}

/* ---- callbacks that run when a backward ends (O7)
 * ---------------------------------------------------------------------------- */

static __thread int depth;           /* of walks that Python began in this thread */
static __thread PyObject *callbacks; /* of the innermost, NULL: none */

PyObject *wgpy_queue_callback(PyObject *module, PyObject *fn) {
    (void)module;
    if (!depth) {
        PyErr_SetString(PyExc_RuntimeError, "Final callbacks can only be installed during backward pass.");
        return NULL;
    }
    if (!callbacks && !(callbacks = PyList_New(0))) return NULL;
    if (PyList_Append(callbacks, fn) < 0) return NULL;
    Py_RETURN_NONE;
}

/* They may queue more. */
static int run_callbacks(PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *fn = Py_NewRef(PyList_GetItem(list, i)), *r = PyObject_CallNoArgs(fn);
        Py_DECREF(fn);
        if (!r) return -1;
        Py_DECREF(r);
    }
    return 0;
}

/* ---- the walk
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct job {
    places out, seed, in;
    wg_walk_opts o;
    wg_tensor **results; /* NULL: backward */
} job;

static wg_status walk(job *j) {
    wg_tensor *const *seeds = j->seed.t;
    if (!j->results) return wg_backward_opt(j->out.t, j->out.n, seeds, &j->o);
    return wg_grad(j->out.t, j->out.n, j->in.t, j->in.n, seeds, &j->o, j->results);
}

static wg_status walk_away(job *j) {
    if (!j->out.edge && wg_walk_weight(j->out.t, j->out.n, SHORT_WALK) < SHORT_WALK) return walk(j);
    wgpy_away away = wgpy_release_gil();
    wg_status st = walk(j);
    wgpy_acquire_gil(away);
    return st;
}

/* f(j) as a walk that callbacks can wait for. 0, or -1 with an exception. */
static int as_backward(wg_status (*f)(job *), job *j) {
    PyObject *outer = callbacks;
    callbacks = NULL;
    depth++;
    int failed = wgpy_check(f(j));
    if (!failed && WGPY_UNLIKELY(callbacks != NULL)) failed = run_callbacks(callbacks);
    depth--;
    Py_CLEAR(callbacks);
    callbacks = outer;
    return failed;
}

static void drop_job(job *j) {
    drop_places(&j->out);
    drop_places(&j->seed);
    drop_places(&j->in);
    PyMem_Free(j->results);
}

/* retain_graph, create_graph and the edges. */
static int set_options(job *j, PyObject *retain, PyObject *create) {
    int r = truth(retain == Py_None ? NULL : retain, false), c = truth(create, false);
    if (r < 0 || c < 0) return -1;
    if (create == Py_None) {
        PyErr_SetString(PyExc_TypeError, "'NoneType' object cannot be interpreted as an integer");
        return -1;
    }
    j->o.size = sizeof(j->o);
    j->o.has_retain_graph = retain && retain != Py_None;
    j->o.retain_graph = r != 0;
    j->o.create_graph = c != 0;
    j->o.output_edges = j->out.edge;
    j->o.input_edges = j->in.edge;
    return 0;
}

/* ---- backward
 * --------------------------------------------------------------------------------------------------------------------
 */

static int warn_of_cycle(void) {
    static bool said;
    if (said) return 0;
    said = true;
    return wgpy_warn(PyExc_UserWarning, "Using backward() with create_graph=True will create a reference cycle between "
                                        "the parameter and its gradient which "
                                        "can cause a memory leak. We recommend using autograd.grad when creating the "
                                        "graph to avoid this. If you have to use "
                                        "this function, make sure to reset the .grad fields of your parameters to None "
                                        "after use to break the cycle and avoid "
                                        "the leak.");
}

static bool is_mapping(PyObject *o) {
    return !wgpy_is_tensor(o) && !PyTuple_Check(o) && !PyList_Check(o) && PyObject_HasAttrString(o, "keys");
}
static int not_a_dict(const char *who, PyObject *o) {
    PyObject *type = PyType_GetName(Py_TYPE(o));
    PyErr_Format(PyExc_TypeError,
                 "`inputs` argument to `%s()` must be a dict, not %U. Other Mapping types are not supported.", who,
                 type);
    Py_XDECREF(type);
    return -1;
}

static int take_backward_inputs(job *j, PyObject *inputs) {
    if (!inputs || inputs == Py_None) return 0;
    if (!PyDict_CheckExact(inputs) && is_mapping(inputs)) return not_a_dict("backward", inputs);
    PyObject *values = PyDict_CheckExact(inputs) ? PyDict_Values(inputs) : Py_NewRef(inputs);
    int failed = values ? take_places(&j->in, values, PyExc_RuntimeError,
                                      "all inputs have to be Tensors or GradientEdges, but got %U")
                        : -1;
    Py_XDECREF(values);
    if (failed) return -1;
    j->o.inputs = j->in.t;
    j->o.ninputs = j->in.n;
    if (j->in.n) return 0;
    PyErr_SetString(PyExc_RuntimeError, "`inputs` argument to `backward()` cannot be empty.");
    return -1;
}

static PyObject *run_backward(PyObject *tensors, PyObject *seeds, PyObject *retain, PyObject *create,
                              PyObject *inputs) {
    job j = {.o.size = 0};
    int failed = take_backward_inputs(&j, inputs) < 0 ||
                 take_places(&j.out, tensors, PyExc_AssertionError, "Expected output to be a torch.Tensor") < 0 ||
                 take_seeds(&j.seed, seeds, j.out.n) < 0 || set_options(&j, retain, create) < 0;
    if (!failed && j.o.create_graph) failed = warn_of_cycle() < 0;
    if (!failed && j.out.n) failed = as_backward(walk_away, &j);
    drop_job(&j);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

/* out.backward() */
static wg_status short_backward(job *j) { return wg_backward(*j->out.t); }
static PyObject *quick_backward(PyObject *self) {
    wg_tensor *t = wgpy_handle(self);
    job j = {.out = {.n = 1, .t = &t}};
    bool is_short = wg_walk_weight(&t, 1, SHORT_WALK) < SHORT_WALK;
    if (!is_short) j.o.size = sizeof(j.o);
    if (as_backward(is_short ? short_backward : walk_away, &j)) return NULL;
    Py_RETURN_NONE;
}

PyObject *wgpy_tensor_backward(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const parameters p = {
        "Tensor.backward()", 4, 4, 0, 1, {"gradient", "retain_graph", "create_graph", "inputs"}};
    if (WGPY_LIKELY(nargs == 0 && !kwnames)) return quick_backward(self);
    PyObject *v[4] = {0};
    if (take_arguments(&p, args, nargs, kwnames, v) < 0) return NULL;
    return run_backward(self, v[0], v[1], v[2], v[3]);
}

static PyObject *backward(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const parameters p = {
        "backward()",
        6,
        6,
        1,
        0,
        {"tensors", "grad_tensors", "retain_graph", "create_graph", "grad_variables", "inputs"}};
    PyObject *v[6] = {0};
    (void)module;
    if (take_arguments(&p, args, nargs, kwnames, v) < 0) return NULL;
    if (v[4] && v[4] != Py_None) {
        if (wgpy_warn(PyExc_FutureWarning, "`grad_variables` is deprecated. Use `grad_tensors` instead.") < 0)
            return NULL;
        if (v[1] && v[1] != Py_None) {
            PyErr_SetString(PyExc_RuntimeError,
                            "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. "
                            "Please only use `grad_tensors`.");
            return NULL;
        }
        v[1] = v[4];
    }
    return run_backward(v[0], v[1], v[2], v[3], v[5]);
}

/* ---- grad
 * ----------------------------------------------------------------------------------------------------------------------------
 */

static int take_grad_inputs(job *j, PyObject *inputs, PyObject **keys) {
    PyObject *values;
    if (PyDict_CheckExact(inputs)) {
        values = PyDict_Values(inputs);
        *keys = PyDict_Keys(inputs);
        if (!*keys) Py_CLEAR(values);
    } else if (is_mapping(inputs)) {
        return not_a_dict("grad", inputs);
    } else {
        values = Py_NewRef(inputs);
    }
    int failed = values ? take_places(&j->in, values, PyExc_RuntimeError,
                                      "all inputs have to be Tensors or GradientEdges, but got %U")
                        : -1;
    Py_XDECREF(values);
    if (failed || j->in.n) return failed;
    PyErr_SetString(PyExc_RuntimeError, "`inputs` argument to `grad()` cannot be empty.");
    return -1;
}

static int unused(int k) {
    PyErr_Format(PyExc_RuntimeError,
                 "The differentiated Tensor at index %d appears to not have been used in the graph. Set "
                 "allow_unused=True if this is the desired behavior.",
                 k);
    return -1;
}

static int set_unused(job *j, PyObject *allow, PyObject *materialize) {
    int m = truth(materialize, false), a = truth(allow == Py_None ? NULL : allow, m > 0);
    if (m < 0 || a < 0) return -1;
    if (m && !a) {
        PyErr_SetString(
            PyExc_ValueError,
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.");
        return -1;
    }
    j->o.allow_unused = a != 0;
    j->o.materialize_grads = m != 0;
    return 0;
}

/* From no outputs everything is unused. */
static int nothing_to_start_from(job *j) {
    for (int k = 0; k < j->in.n; k++) {
        if (!j->o.allow_unused) return unused(k);
        if (!j->o.materialize_grads) continue;
        j->results[k] = j->in.t[k] ? wg_zeros_like(j->in.t[k], WG_OPT(.requires_grad = j->o.create_graph)) : NULL;
        if (j->results[k] && wg_is_poison(j->results[k])) return wgpy_error(), -1;
    }
    return 0;
}

static PyObject *hand_out(const job *j, PyObject *keys) {
    PyObject *all = keys ? PyDict_New() : PyTuple_New(j->in.n);
    for (int k = 0; all && k < j->in.n; k++) {
        PyObject *o = wgpy_wrap_borrowed(j->results[k]);
        int failed = !o     ? -1
                     : keys ? PyDict_SetItem(all, PyList_GetItem(keys, k), o)
                            : PyTuple_SetItem(all, k, Py_NewRef(o));
        Py_XDECREF(o);
        if (failed) Py_CLEAR(all);
    }
    return all;
}

/* ---- is_grads_batched (B4): a walk per sample, which vmap makes one walk
 * -------------------------------------------------------------- */

typedef struct batch {
    job *j;
    int which; /* the input whose gradient is wanted */
    bool none;
} batch;

static wg_tensor *one_sample(void *user, wg_tensor *const *in, int nin) {
    batch *b = user;
    job *j = b->j;
    wg_tensor *seeds[64], *result = NULL;
    (void)nin;
    for (int i = 0, k = 0; i < j->out.n; i++) seeds[i] = j->seed.t && j->seed.t[i] ? in[k++] : NULL;
    wg_walk_opts o = j->o;
    o.allow_unused = true;
    o.materialize_grads = false;
    o.input_edges = j->in.edge ? j->in.edge + b->which : NULL;
    o.retain_graph = b->which + 1 < j->in.n || (j->o.has_retain_graph ? j->o.retain_graph : j->o.create_graph);
    o.has_retain_graph = true;
    wg_status st = wg_grad(j->out.t, j->out.n, j->in.t + b->which, 1, seeds, &o, &result);
    if (st != WG_OK) return wgpy_poison;
    b->none = !result;
    return result ? result : wg_zeros(WG_SCALAR_SHAPE, NULL);
}

static wg_tensor *zeros_for(const job *j, int k, int64_t size) {
    int64_t sizes[WG_MAX_DIMS + 1] = {size};
    wg_tensor *t = j->in.t[k];
    if (!t) {
        wg_raise(WG_ERR_RUNTIME, "materialize_grads cannot be used when the given input is a GradientEdge");
        return wgpy_poison;
    }
    for (int d = 0; d < wg_ndim(t); d++) sizes[d + 1] = wg_size(t, d);
    return wg_zeros(wg_ndim(t) + 1, sizes,
                    WG_OPT(.dtype = wg_dtype_of(t), .has_dtype = true, .requires_grad = j->o.create_graph));
}

static wg_status batched_walk(job *j) {
    wg_tensor *in[64];
    int64_t dims[64] = {0};
    int n = 0;
    for (int i = 0; i < j->out.n; i++)
        if (j->seed.t && j->seed.t[i]) in[n++] = j->seed.t[i];
    for (int k = 0; k < j->in.n; k++) {
        batch b = {.j = j, .which = k};
        wg_tensor *r = wg_vmap(one_sample, &b, in, dims, n, 0);
        if (wg_is_poison(r)) return wg_error_pending() ? wg_last_status() : WG_ERR_CALLBACK;
        if (b.none && j->o.materialize_grads)
            r = zeros_for(j, k, wg_size(in[0], 0));
        else if (b.none && !j->o.allow_unused)
            return unused(k), WG_ERR_CALLBACK;
        else if (b.none)
            r = NULL;
        if (r && wg_is_poison(r)) return WG_ERR_RUNTIME;
        j->results[k] = r;
    }
    return WG_OK;
}

static int check_batched_seed(const wg_tensor *g, const wg_tensor *t, int i) {
    int n = g ? wg_ndim(g) : 0;
    if (!g)
        PyErr_SetString(
            PyExc_ValueError,
            "vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of "
            "dimensionality 0 so expected in_dim to satisfy 0 <= in_dim < 0. is_grads_batched=True needs a "
            "gradient for each output");
    else if (n == 0)
        PyErr_SetString(
            PyExc_IndexError,
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
            "convert a 0-dim tensor to a number");
    if (n == 0) return -1;
    if (!t || (wg_ndim(t) == n - 1 && (n == 1 || memcmp(wg_sizes(g) + 1, wg_sizes(t), (size_t)(n - 1) * 8) == 0)))
        return 0;
    PyObject *a = wgpy_size(n - 1, wg_sizes(g) + 1), *b = wgpy_size(wg_ndim(t), wg_sizes(t));
    if (a && b)
        PyErr_Format(PyExc_RuntimeError,
                     "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                     "dimension. The sizes of "
                     "the remaining dimensions are expected to match the shape of corresponding output, but a mismatch "
                     "was detected: "
                     "grad_output[%d] has a shape of %R and output[%d] has a shape of %R. If you only want some "
                     "tensors in `grad_output` to "
                     "be considered batched, consider using vmap.",
                     i, a, i, b);
    Py_XDECREF(a);
    Py_XDECREF(b);
    return -1;
}

/* The seeds' shapes behind the first dim are the outputs'. */
static int check_batched(const job *j) {
    if (j->out.n > 64) {
        PyErr_SetString(PyExc_NotImplementedError, "is_grads_batched=True takes at most 64 outputs");
        return -1;
    }
    for (int i = 0; i < j->out.n; i++)
        if (check_batched_seed(j->seed.t ? j->seed.t[i] : NULL, j->out.t[i], i) < 0) return -1;
    return 0;
}

enum { G_OUTPUTS, G_INPUTS, G_SEEDS, G_RETAIN, G_CREATE, G_ONLY, G_ALLOW, G_BATCHED, G_MATERIALIZE, G_COUNT };

static int take_grad(job *j, PyObject **v, PyObject **keys, bool *batched) {
    int only = truth(v[G_ONLY], true), b = truth(v[G_BATCHED], false);
    if (only < 0 || b < 0) return -1;
    *batched = b;
    if (set_unused(j, v[G_ALLOW] ? v[G_ALLOW] : Py_None, v[G_MATERIALIZE]) < 0) return -1;
    if (!only &&
        wgpy_warn(PyExc_FutureWarning,
                  "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient "
                  "for other parts of the graph, please use torch.autograd.backward.") < 0)
        return -1;
    if (take_grad_inputs(j, v[G_INPUTS], keys) < 0) return -1;
    if (take_places(&j->out, v[G_OUTPUTS], PyExc_AssertionError, "Expected output to be a torch.Tensor") < 0) return -1;
    if (take_seeds(&j->seed, v[G_SEEDS], j->out.n) < 0 || set_options(j, v[G_RETAIN], v[G_CREATE]) < 0) return -1;
    j->results = PyMem_Calloc((size_t)j->in.n, sizeof(*j->results));
    if (!j->results) return PyErr_NoMemory(), -1;
    return b ? check_batched(j) : 0;
}

static PyObject *grad_function; /* what __torch_function__ is told of */

static PyObject *grad(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const parameters p = {"grad()",
                                 G_COUNT,
                                 G_COUNT,
                                 2,
                                 0,
                                 {"outputs", "inputs", "grad_outputs", "retain_graph", "create_graph", "only_inputs",
                                  "allow_unused", "is_grads_batched", "materialize_grads"}};
    PyObject *v[G_COUNT] = {0}, *keys = NULL, *r = NULL;
    (void)module;
    if (nargs && (wgpy.overrides || wgpy_may_override(args[0]) || (nargs > 1 && wgpy_may_override(args[1])))) {
        bool handled;
        wgpy_overloads family = {.name = "grad", .function = grad_function};
        r = wgpy_override(&family, NULL, args, nargs, kwnames, &handled);
        if (handled) return r;
    }
    if (take_arguments(&p, args, nargs, kwnames, v) < 0) return NULL;
    job j = {.o.size = 0};
    bool batched;
    size_t scope = wg_scope_open();
    if (take_grad(&j, v, &keys, &batched) == 0) {
        int failed = !j.out.n ? nothing_to_start_from(&j) : as_backward(batched ? batched_walk : walk_away, &j);
        if (!failed) r = hand_out(&j, keys);
    }
    Py_XDECREF(keys);
    drop_job(&j);
    wg_scope_close(scope);
    return r;
}

/* ---- tables
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static PyObject *set_edge_type(PyObject *module, PyObject *type) {
    (void)module;
    WGPY_SET(edge_type, Py_NewRef(type));
    Py_RETURN_NONE;
}

#define WITH_NAMES(f) (PyCFunction)(void (*)(void)) f, METH_FASTCALL | METH_KEYWORDS
static PyMethodDef functions[] = {{"backward", WITH_NAMES(backward),
                                   "backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, "
                                   "grad_variables=None, inputs=None)\n--\n\n"
                                   "Sums the gradients of tensors into .grad of the leaves."},
                                  {"grad", WITH_NAMES(grad),
                                   "grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, "
                                   "only_inputs=True, allow_unused=None, "
                                   "is_grads_batched=False, materialize_grads=False)\n--\n\n"
                                   "The gradients of outputs with respect to inputs, as a tuple; no .grad is touched."},
                                  {NULL, NULL, 0, NULL}};
static PyMethodDef private_functions[] = {{"_set_edge_type", set_edge_type, METH_O, NULL}, {NULL, NULL, 0, NULL}};

/* torch.autograd.backward and grad: module._autograd, from which wengert/autograd takes them. */
int wgpy_init_autograd(PyObject *module) {
    PyObject *all = PyDict_New(), *name = PyUnicode_FromString("torch.autograd");
    for (PyMethodDef *m = functions; all && name && m->ml_name; m++) {
        PyObject *f = PyCFunction_NewEx(m, NULL, name);
        if (!f || PyDict_SetItemString(all, m->ml_name, f) < 0) Py_CLEAR(all);
        Py_XDECREF(f);
    }
    Py_XDECREF(name);
    if (all) grad_function = Py_XNewRef(PyDict_GetItemString(all, "grad"));
    int failed = !all || PyModule_AddObjectRef(module, "_autograd", all) < 0 ||
                 PyModule_AddFunctions(module, private_functions) < 0;
    Py_XDECREF(all);
    return failed ? -1 : 0;
}
