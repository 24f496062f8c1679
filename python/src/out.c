/* out.c - out=: results put into a tensor that the caller gives. What may be written (no history, no tangent, no memory
 * that the inputs share), whether the dtype may hold the result, and making room where the shape differs.
 */
#include <string.h>

#include "wgpy.h"

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static bool any_argument(const wgpy_call *c, bool (*has)(wg_tensor *t, const wg_tensor *other),
                         const wg_tensor *other) {
    for (int i = 0; i < c->sig->n; i++) {
        if (c->arg[i].tag == WG_TAG_TENSOR && has(c->arg[i].v.t, other)) return true;
        for (uint32_t k = 0; c->arg[i].tag == WG_TAG_TENSORS && k < c->arg[i].n; k++)
            if (c->arg[i].v.ts[k] && has(c->arg[i].v.ts[k], other)) return true;
    }
    return false;
}
static bool requires_grad(wg_tensor *t, const wg_tensor *other) { return (void)other, wg_requires_grad(t); }
static bool has_tangent(wg_tensor *t, const wg_tensor *other) { return (void)other, wgpy_handle_carries_tangent(t); }
static bool shares_storage(wg_tensor *t, const wg_tensor *other) { return wg_same_storage(t, other); }

static bool is_pointwise(const wgpy_signature *s) { return s->unary || s->binary; }
static bool repeats(const wg_tensor *t) { /* two indices lead to one element */
    for (int d = 0; d < wg_ndim(t); d++)
        if (wg_stride(t, d) == 0 && wg_size(t, d) > 1) return true;
    return false;
}
static int refuse_overlap(const wgpy_call *c, const wg_tensor *out) {
    const char *what = NULL;
    if (repeats(out))
        what = "more than one element of the written-to tensor refers";
    else if (!is_pointwise(c->sig) && any_argument(c, shares_storage, out))
        what = "some elements of the input tensor and the written-to tensor refer";
    if (!what) return 0;
    PyErr_Format(
        PyExc_RuntimeError,
        "unsupported operation: %s to a single memory location. Please clone() the tensor before performing the "
        "operation.",
        what);
    return -1;
}

/* Elementwise ops, joins, and reductions that compute in a dtype of choice convert into out; the others do not. */
static bool wants_own_dtype(const wgpy_signature *s) {
    if (!s->op || s->composite || s->unary || s->binary) return false;
    for (int i = 0; i < s->n; i++)
        if (s->p[i].type == PT_DTYPE || s->p[i].type == PT_SCALAR || s->p[i].type == PT_TENSORS) return false;
    return true;
}

static int refuse_dtype(const wgpy_call *c, wg_dtype from, wg_dtype to) {
    bool extreme = strcmp(c->family->name, "amax") == 0 || strcmp(c->family->name, "amin") == 0;
    bool falls = (wg_dtype_is_floating(from) && !wg_dtype_is_floating(to)) || (from != WG_BOOL && to == WG_BOOL);
    if (from != to && from != WG_BOOL && wants_own_dtype(c->sig)) {
        if (extreme)
            PyErr_Format(
                PyExc_RuntimeError,
                "Expected the dtype for input and out to match, but got %s for input's dtype and %s for out's dtype.",
                wgpy_scalar_name(from), wgpy_scalar_name(to));
        else
            PyErr_Format(PyExc_RuntimeError, "Expected out tensor to have dtype %s, but got %s instead",
                         wgpy_cxx_name(from), wgpy_cxx_name(to));
        return -1;
    }
    if (!falls) return 0;
    PyErr_Format(PyExc_RuntimeError, "result type %s can't be cast to the desired output type %s",
                 wgpy_scalar_name(from), wgpy_scalar_name(to));
    return -1;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static PyObject *sizes_text(const wg_tensor *t) {
    PyObject *list = PyList_New(0);
    for (int d = 0; list && d < wg_ndim(t); d++) {
        PyObject *v = PyLong_FromLongLong(wg_size(t, d));
        if (!v || PyList_Append(list, v) < 0) Py_CLEAR(list);
        Py_XDECREF(v);
    }
    return list;
}

static int warn_resized(const wg_tensor *out, const wg_tensor *r) {
    PyObject *was = sizes_text(out), *is = sizes_text(r);
    int st = -1;
    if (was && is)
        st = PyErr_WarnFormat(
            PyExc_UserWarning, 1,
            "An output with one or more elements was resized since it had shape %S, which does not match the "
            "required output shape %S. This behavior is deprecated, and in a future PyTorch release outputs will "
            "not be resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing "
            "it, inplace, to zero elements with t.resize_(0).",
            was, is);
    Py_XDECREF(was);
    Py_XDECREF(is);
    return st;
}

static bool same_shape(const wg_tensor *a, const wg_tensor *b) {
    return wg_ndim(a) == wg_ndim(b) && memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * 8) == 0;
}

static int make_room(wg_tensor *out, const wg_tensor *r) {
    if (wg_numel(out) && warn_resized(out, r) < 0) return -1;
    wg_tensor *room = wg_empty(wg_ndim(r), wg_sizes(r), WG_OPT(.dtype = wg_dtype_of(out), .has_dtype = true));
    if (wg_is_poison(room)) return wgpy_error(), -1;
    return wgpy_check(wg_set_data(out, room));
}

/* ---- delivering -------------------------------------------------------------------------------------------------- */

/* Puts r where the user wants it. Everything that may be refused is, before out changes. */
static int deliver(const wgpy_call *c, PyObject *where, wg_tensor *r) {
    wg_tensor *out = wgpy_handle(where);
    bool fits = same_shape(out, r);
    if ((fits || !is_pointwise(c->sig)) && refuse_overlap(c, out) < 0) return -1;
    if (refuse_dtype(c, wg_dtype_of(r), wg_dtype_of(out)) < 0 || (!fits && make_room(out, r) < 0)) return -1;
    bool before = wg_set_grad_enabled(false);
    wg_tensor *written = wg_copy_(out, r);
    wg_set_grad_enabled(before);
    return wg_is_poison(written) ? (wgpy_error(), -1) : 0;
}

PyObject *wgpy_deliver_all(const wgpy_call *c, wg_tensor *const *r, int n) {
    if (n == 1 && wgpy_is_tensor(c->out)) return deliver(c, c->out, r[0]) < 0 ? NULL : Py_NewRef(c->out);
    if (!PyTuple_Check(c->out) || PyTuple_Size(c->out) != n) {
        PyErr_Format(PyExc_TypeError, "%s(): argument 'out' must be %s, not %S", c->family->name,
                     n == 1 ? "Tensor" : "tuple of Tensors", (PyObject *)Py_TYPE(c->out));
        return NULL;
    }
    PyObject *all = c->sig->named ? PyStructSequence_New(c->sig->named) : NULL;
    for (int i = 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(c->out, i);
        if (!wgpy_expect(o, c->family->name, "out") || deliver(c, o, r[i]) < 0) {
            Py_XDECREF(all);
            return NULL;
        }
        if (all) PyStructSequence_SetItem(all, i, Py_NewRef(o));
    }
    return all ? all : Py_NewRef(c->out);
}

bool wgpy_may_deliver(const wgpy_call *c) {
    if (wgpy_carries_tangent(c->out) || any_argument(c, has_tangent, NULL)) {
        PyErr_Format(PyExc_NotImplementedError,
                     "Trying to use forward AD with %s_out that does not support it because it is an out= function",
                     c->family->name);
        return false;
    }
    bool history =
        any_argument(c, requires_grad, NULL) || (wgpy_is_tensor(c->out) && wg_requires_grad(wgpy_handle(c->out)));
    if (!history || !wg_grad_enabled()) return true;
    PyErr_Format(PyExc_RuntimeError,
                 "%s(): functions with out=... arguments don't support automatic differentiation, but one of the "
                 "arguments requires grad.",
                 c->family->name);
    return false;
}

PyObject *wgpy_deliver(const wgpy_call *c, wg_tensor *t) {
    if (!c->out) return wgpy_result(t);
    if (wg_is_poison(t)) return wgpy_error();
    return wgpy_may_deliver(c) ? wgpy_deliver_all(c, &t, 1) : NULL;
}
