/* tensor.c - the Tensor type: how handles and Python objects belong together, the number protocol, comparisons.
 *
 * Not here: attributes (attribute.c), indexing (index.c), ops by name (ops.c).
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"
#include <structmember.h>

/* ---- objects of handles ------------------------------------------------------------------------------------------ */

/* Dead plain Tensors wait here to be used again: making one costs as much as a small op. */
enum { SPARE = 64 };
static wgpy_tensor *spare[SPARE];
static int nspare;

static wgpy_tensor *new_object(PyTypeObject *type) {
    wgpy_tensor *self;
    if (WGPY_LIKELY(nspare && type == wgpy.tensor)) {
        self = spare[--nspare];
        PyObject_Init((PyObject *)self, type);
    } else {
        self = PyObject_GC_New(wgpy_tensor, type);
        if (!self) return NULL;
    }
    self->t = NULL;
    self->dict = self->weakrefs = NULL;
    self->kept = false;
    PyObject_GC_Track(self);
    return self;
}

/* CPython finalizes an object once, and notes that in bit 0 of the word before it (_gc_prev, in 3.11 to 3.14). One that
 * comes back may be let go again. */
static void may_be_finalized_again(PyObject *object) {
    if (PyObject_GC_IsFinalized(object)) ((uintptr_t *)object)[-1] &= ~(uintptr_t)1;
}

/* The object that the slot leads to, as a new reference. */
static PyObject *existing(wgpy_tensor *self, wg_tensor *t) {
    if (!self->kept) {
        wg_release(t);
        return Py_NewRef((PyObject *)self);
    }
    self->kept = false; /* our reference to the handle becomes the object's, its to the object becomes ours */
    may_be_finalized_again((PyObject *)self);
    return (PyObject *)self;
}

PyObject *wgpy_wrap(wg_tensor *t) {
    if (WGPY_UNLIKELY(!t)) Py_RETURN_NONE;
    wgpy_tensor *self = wg_slot(t);
    if (self) return existing(self, t);
    if (WGPY_UNLIKELY(wg_is_poison(t))) return wgpy_error();
    self = new_object(wgpy.tensor);
    if (!self) {
        wg_release(t);
        return NULL;
    }
    self->t = t;
    wg_set_slot(t, self);
    return (PyObject *)self;
}

PyObject *wgpy_wrap_borrowed(wg_tensor *t) { return wgpy_wrap(wg_keep(t)); }

PyObject *wgpy_wrap_as(PyTypeObject *type, wg_tensor *t) {
    if (wg_is_poison(t)) return wgpy_error();
    if (wg_slot(t)) {
        size_t scope = wg_scope_open();
        wg_tensor *alias = wg_take(wg_alias(t));
        wg_scope_close(scope);
        wg_release(t);
        if (wg_is_poison(alias)) return wgpy_error();
        t = alias;
    }
    wgpy_tensor *self;
    if (type == wgpy.tensor) {
        self = new_object(type);
    } else { /* a Python subclass may have slots of its own: its allocator knows */
        allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        self = (wgpy_tensor *)alloc(type, 0);
    }
    if (!self) {
        wg_release(t);
        return NULL;
    }
    self->t = t;
    wg_set_slot(t, self);
    return (PyObject *)self;
}

PyObject *wgpy_leave(size_t scope, wg_tensor *t) {
    t = wg_take(t);
    wg_scope_close(scope);
    return wgpy_wrap(t);
}

PyObject *wgpy_leave_error(size_t scope) {
    wg_scope_close(scope);
    return wgpy_error();
}

PyObject *wgpy_leave_list(size_t scope, wg_tensor *const *t, int n) {
    for (int i = 0; i < n; i++) wg_keep(t[i]);
    wg_scope_close(scope);
    PyObject *tuple = PyTuple_New(n);
    for (int i = 0; i < n; i++) {
        PyObject *o = tuple ? wgpy_wrap(t[i]) : NULL;
        if (o) {
            PyTuple_SetItem(tuple, i, o);
            continue;
        }
        if (!tuple) wg_release(t[i]);
        Py_CLEAR(tuple);
    }
    return tuple;
}

wg_tensor *wgpy_expect(PyObject *o, const char *who, const char *name) {
    if (wgpy_is_tensor(o)) return wgpy_handle(o);
    PyObject *type = PyType_GetName(Py_TYPE(o));
    PyErr_Format(PyExc_TypeError, "%s(): argument '%s' must be Tensor, not %S", who, name, type);
    Py_XDECREF(type);
    return NULL;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static wg_tensor *integer(PyObject *o) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (WGPY_LIKELY(!overflow)) return v == -1 && PyErr_Occurred() ? NULL : wg_i(v);
    PyErr_SetString(PyExc_OverflowError, overflow > 0 ? "int too big to convert" : "int too small to convert");
    return NULL;
}

bool wgpy_is_number(PyObject *o) { return PyFloat_Check(o) || PyLong_Check(o) || wgpy_is_array_scalar(o); }

/* What item() of NumPy's scalar gives: a bool, an int or a float, if it is a number at all. */
static wg_tensor *from_array_scalar(PyObject *o) {
    PyObject *item = PyObject_CallMethod(o, "item", NULL);
    wg_tensor *t = item && !wgpy_is_array_scalar(item) ? wgpy_number(item) : NULL;
    Py_XDECREF(item);
    return t;
}

wg_tensor *wgpy_number(PyObject *o) {
    if (WGPY_LIKELY(Py_TYPE(o) == &PyLong_Type)) return integer(o);
    if (WGPY_LIKELY(Py_TYPE(o) == &PyFloat_Type)) return wg_s(PyFloat_AsDouble(o));
    if (PyFloat_Check(o)) return wg_s(PyFloat_AsDouble(o));
    if (o == Py_True || o == Py_False) return wg_b(o == Py_True);
    if (PyLong_Check(o)) return integer(o);
    return wgpy_is_array_scalar(o) ? from_array_scalar(o) : NULL;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

/* The ops that Python's operators call, by slot. right: the form with the number on the left is an op of its own. */
enum {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_AND,
    OP_OR,
    OP_XOR,
    OP_LSHIFT,
    OP_RSHIFT,
    OP_MATMUL,
    OP_RSUB,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_NEG,
    OP_ABS,
    OP_INVERT,
    OP_RECIPROCAL,
    OPERATORS
};
static const char *const op_names[OPERATORS] = {[OP_ADD] = "add",
                                                [OP_SUB] = "sub",
                                                [OP_MUL] = "mul",
                                                [OP_DIV] = "div",
                                                [OP_FLOORDIV] = "floor_divide",
                                                [OP_MOD] = "remainder",
                                                [OP_POW] = "pow",
                                                [OP_AND] = "bitwise_and",
                                                [OP_OR] = "bitwise_or",
                                                [OP_XOR] = "bitwise_xor",
                                                [OP_LSHIFT] = "bitwise_left_shift",
                                                [OP_RSHIFT] = "bitwise_right_shift",
                                                [OP_MATMUL] = "matmul",
                                                [OP_RSUB] = "rsub",
                                                [OP_EQ] = "eq",
                                                [OP_NE] = "ne",
                                                [OP_LT] = "lt",
                                                [OP_LE] = "le",
                                                [OP_GT] = "gt",
                                                [OP_GE] = "ge",
                                                [OP_NEG] = "neg",
                                                [OP_ABS] = "abs",
                                                [OP_INVERT] = "bitwise_not",
                                                [OP_RECIPROCAL] = "reciprocal"};
static const wg_op *ops[OPERATORS];
/* What __torch_function__ is told of them: the Tensor's attribute when it stands on the left, on the right, written in
 * place. */
static const char *const dunder[OPERATORS][3] = {[OP_ADD] = {"add", "add", "add_"},
                                                 [OP_SUB] = {"sub", "__rsub__", "sub_"},
                                                 [OP_MUL] = {"mul", "mul", "mul_"},
                                                 [OP_DIV] = {"div", "__rtruediv__", "div_"},
                                                 [OP_FLOORDIV] = {"__floordiv__", "__rfloordiv__", "floor_divide_"},
                                                 [OP_MOD] = {"remainder", "__rmod__", "remainder_"},
                                                 [OP_POW] = {"pow", "__rpow__", "pow_"},
                                                 [OP_AND] = {"__and__", "bitwise_and", "__iand__"},
                                                 [OP_OR] = {"__or__", "bitwise_or", "__ior__"},
                                                 [OP_XOR] = {"__xor__", "bitwise_xor", "__ixor__"},
                                                 [OP_LSHIFT] = {"__lshift__", "__rlshift__", "__ilshift__"},
                                                 [OP_RSHIFT] = {"__rshift__", "__rrshift__", "__irshift__"},
                                                 [OP_MATMUL] = {"matmul", "__rmatmul__", NULL},
                                                 [OP_EQ] = {"__eq__", "__eq__", NULL},
                                                 [OP_NE] = {"ne", "ne", NULL},
                                                 [OP_LT] = {"lt", "gt", NULL},
                                                 [OP_LE] = {"le", "ge", NULL},
                                                 [OP_GT] = {"gt", "lt", NULL},
                                                 [OP_GE] = {"ge", "le", NULL},
                                                 [OP_NEG] = {"neg", NULL, NULL},
                                                 [OP_ABS] = {"abs", NULL, NULL},
                                                 [OP_INVERT] = {"__invert__", NULL, NULL}};

/* A subclass or something foreign with __torch_function__ among two operands: as Tensor.__add__(a, b) would see it. */
static PyObject *overridden(int which, PyObject *a, PyObject *b, bool writes, bool *handled) {
    *handled = false;
    bool left = wgpy_is_tensor(a);
    const char *name = dunder[which][writes ? 2 : left ? 0 : 1];
    if (!name) return NULL;
    PyObject *method = PyObject_GetAttrString((PyObject *)wgpy.tensor, name);
    if (!method) return NULL;
    wgpy_overloads family = {.name = name, .function = method, .is_method = true};
    PyObject *args[1] = {left ? b : a};
    PyObject *r = wgpy_override(&family, left ? a : b, args, args[0] ? 1 : 0, NULL, handled);
    Py_DECREF(method);
    if (r || !args[0] || !*handled || !PyErr_ExceptionMatches(PyExc_TypeError)) return r;
    PyErr_Clear(); /* a TypeError says that the operator is not for these two */
    return Py_NewRef(Py_NotImplemented);
}

static PyObject *apply(int which, wg_tensor *x, wg_tensor *y, size_t scope) {
    const wg_op *op = ops[which];
    if (which == OP_MATMUL) {
        if (!wgpy_long(x) && !wgpy_long(y)) return wgpy_leave(scope, wg_matmul(x, y));
        wgpy_away away = wgpy_release_gil();
        wg_tensor *r = wg_matmul(x, y);
        wgpy_acquire_gil(away);
        return wgpy_leave(scope, r);
    }
    if (WGPY_LIKELY(!wgpy_long(x) && !wgpy_long(y))) return wgpy_leave(scope, wg_op_binary(op, x, y));
    wgpy_away away = wgpy_release_gil();
    wg_tensor *r = wg_op_binary(op, x, y);
    wgpy_acquire_gil(away);
    return wgpy_leave(scope, r);
}

static PyObject *binary(int which, PyObject *a, PyObject *b);
/* One operand is neither a Tensor nor a number: nearly always NotImplemented. An array is compared with ==, and what
 * stands over a tensor is multiplied with its reciprocal, by its own type's operator. */
static PyObject *with_stranger(int which, PyObject *a, PyObject *b, bool tensor_left) {
    PyObject *other = tensor_left ? b : a, *r;
    if (which == OP_EQ && wgpy_is_array(other)) {
        size_t scope = wg_scope_open();
        wg_tensor *t = wgpy_from_array(other);
        PyObject *taken = t ? wgpy_result(t) : NULL;
        wg_scope_close(scope);
        r = taken ? binary(which, tensor_left ? a : taken, tensor_left ? taken : b) : NULL;
        Py_XDECREF(taken);
    } else if (which == OP_DIV && !tensor_left) {
        size_t scope = wg_scope_open();
        PyObject *reciprocal = wgpy_leave(scope, wg_op_unary(ops[OP_RECIPROCAL], wgpy_handle(b)));
        r = reciprocal ? PyNumber_Multiply(reciprocal, a) : NULL;
        Py_XDECREF(reciprocal);
    } else {
        return Py_NewRef(Py_NotImplemented);
    }
    if (r || !PyErr_ExceptionMatches(PyExc_TypeError)) return r;
    PyErr_Clear();
    return Py_NewRef(Py_NotImplemented);
}

/* Two objects, at least one a Tensor; the other may be a number. Py_NotImplemented for what is neither. */
static PyObject *binary(int which, PyObject *a, PyObject *b) {
    bool ta = wgpy_is_exact(a), tb = wgpy_is_exact(b);
    if (WGPY_UNLIKELY(wgpy.overrides || (!wgpy_is_plain(a) && wgpy_may_override(a)) ||
                      (!wgpy_is_plain(b) && wgpy_may_override(b)))) {
        bool handled;
        PyObject *r = overridden(which, a, b, false, &handled);
        if (handled) return r;
    }
    ta = ta || (!wgpy_is_plain(a) && wgpy_is_tensor(a));
    tb = tb || (!wgpy_is_plain(b) && wgpy_is_tensor(b));
    size_t scope = wg_scope_open();
    wg_tensor *x = ta ? wgpy_handle(a) : wgpy_number(a), *y = tb ? wgpy_handle(b) : wgpy_number(b);
    if (WGPY_UNLIKELY(!x || !y)) {
        wg_scope_close(scope);
        return PyErr_Occurred() ? NULL : with_stranger(which, a, b, ta);
    }
    if (WGPY_UNLIKELY(which == OP_MATMUL && !(ta && tb))) {
        wg_scope_close(scope);
        return Py_NewRef(Py_NotImplemented);
    }
    if (WGPY_UNLIKELY(!ta && which == OP_SUB)) return apply(OP_RSUB, y, x, scope); /* named as in PyTorch */
    if (WGPY_UNLIKELY(!ta && which == OP_DIV)) /* number / tensor is reciprocal, then a product (I3) */
        return apply(OP_MUL, wg_op_unary(ops[OP_RECIPROCAL], y), x, scope);
    if (WGPY_UNLIKELY(!ta && (which == OP_ADD || which == OP_MUL))) return apply(which, y, x, scope);
    return apply(which, x, y, scope);
}

static PyObject *power(PyObject *a, PyObject *b, PyObject *mod) {
    if (mod != Py_None) return Py_NewRef(Py_NotImplemented);
    return binary(OP_POW, a, b);
}

/* x += y keeps the identity of x. */
static PyObject *in_place(int which, PyObject *a, PyObject *b) {
    if (!wgpy_is_tensor(a)) return Py_NewRef(Py_NotImplemented);
    if (WGPY_UNLIKELY(wgpy.overrides || (!wgpy_is_plain(a) && wgpy_may_override(a)) ||
                      (!wgpy_is_plain(b) && wgpy_may_override(b)))) {
        bool handled;
        PyObject *r = overridden(which, a, b, true, &handled);
        if (handled) return r;
    }
    bool tb = wgpy_is_tensor(b);
    size_t scope = wg_scope_open();
    wg_tensor *x = wgpy_handle(a), *y = tb ? wgpy_handle(b) : wgpy_number(b);
    if (!y) {
        wg_scope_close(scope);
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_NotImplemented);
    }
    wg_tensor *r;
    if (wgpy_long(x)) {
        wgpy_away away = wgpy_release_gil();
        r = wg_op_binary_(ops[which], x, y);
        wgpy_acquire_gil(away);
    } else {
        r = wg_op_binary_(ops[which], x, y);
    }
    bool failed = wg_is_poison(r);
    wg_scope_close(scope);
    return failed ? wgpy_error() : Py_NewRef(a);
}

static PyObject *in_place_power(PyObject *a, PyObject *b, PyObject *mod) {
    (void)mod;
    return in_place(OP_POW, a, b);
}

static PyObject *unary(int which, PyObject *a) {
    if (WGPY_UNLIKELY(wgpy.overrides || !wgpy_is_exact(a))) {
        bool handled;
        PyObject *r = overridden(which, a, NULL, false, &handled);
        if (handled) return r;
    }
    size_t scope = wg_scope_open();
    wg_tensor *x = wgpy_handle(a);
    if (!wgpy_long(x)) return wgpy_leave(scope, wg_op_unary(ops[which], x));
    wgpy_away away = wgpy_release_gil();
    wg_tensor *r = wg_op_unary(ops[which], x);
    wgpy_acquire_gil(away);
    return wgpy_leave(scope, r);
}

#define BINARY(name, which)                                                                                            \
    static PyObject *number_##name(PyObject *a, PyObject *b) { return binary(which, a, b); }
#define IN_PLACE(name, which)                                                                                          \
    static PyObject *number_i##name(PyObject *a, PyObject *b) { return in_place(which, a, b); }
#define UNARY(name, which)                                                                                             \
    static PyObject *number_##name(PyObject *a) { return unary(which, a); }
BINARY(add, OP_ADD)
BINARY(sub, OP_SUB)
BINARY(mul, OP_MUL)
BINARY(div, OP_DIV) BINARY(floordiv, OP_FLOORDIV) BINARY(mod, OP_MOD) BINARY(and, OP_AND) BINARY(or, OP_OR)
    BINARY(xor, OP_XOR) BINARY(lshift, OP_LSHIFT) BINARY(rshift, OP_RSHIFT) BINARY(matmul, OP_MATMUL)
        IN_PLACE(add, OP_ADD) IN_PLACE(sub, OP_SUB) IN_PLACE(mul, OP_MUL) IN_PLACE(div, OP_DIV)
            IN_PLACE(floordiv, OP_FLOORDIV) IN_PLACE(mod, OP_MOD) IN_PLACE(and, OP_AND) IN_PLACE(or, OP_OR)
                IN_PLACE(xor, OP_XOR) IN_PLACE(lshift, OP_LSHIFT) IN_PLACE(rshift, OP_RSHIFT) UNARY(neg, OP_NEG)
                    UNARY(abs, OP_ABS) static PyObject *number_invert(PyObject *a) {
    if (WGPY_LIKELY(!wg_dtype_is_floating(wg_dtype_of(wgpy_handle(a)))) || !wgpy_is_exact(a))
        return unary(OP_INVERT, a);
    PyErr_SetString(PyExc_TypeError, "~ (operator.invert) is only implemented on integer and Boolean-type tensors");
    return NULL;
}
#undef BINARY
#undef IN_PLACE
#undef UNARY

static PyObject *number_inverted(PyObject *a) {
    if (!wg_dtype_is_floating(wg_dtype_of(wgpy_handle(a)))) return number_invert(a);
    PyErr_SetString(PyExc_TypeError, "~ (operator.invert) is only implemented on integer and Boolean-type tensors");
    return NULL;
}

/* The slots whose work is not an op, of a subclass: as Tensor.__float__(a) would see them. */
static PyObject *overridden_slot(const char *name, PyObject *a, bool *handled) {
    *handled = false;
    if (WGPY_LIKELY(!wgpy.overrides && (wgpy_is_exact(a) || !wgpy_may_override(a)))) return NULL;
    PyObject *method = PyObject_GetAttrString((PyObject *)wgpy.tensor, name);
    if (!method) PyErr_Clear();
    if (!method) return NULL;
    wgpy_overloads family = {.name = name, .function = method, .is_method = true};
    PyObject *r = wgpy_override(&family, a, NULL, 0, NULL, handled);
    Py_DECREF(method);
    return r;
}
#define OVERRIDDEN(name, a)                                                                                            \
    do {                                                                                                               \
        bool handled_;                                                                                                 \
        PyObject *r_ = overridden_slot(name, a, &handled_);                                                            \
        if (WGPY_UNLIKELY(handled_)) return r_;                                                                        \
    } while (0)

static PyObject *positive(PyObject *a) {
    OVERRIDDEN("positive", a);
    if (wg_dtype_of(wgpy_handle(a)) != WG_BOOL) return Py_NewRef(a);
    PyErr_SetString(PyExc_NotImplementedError, "The `+` operator, on a bool tensor is not supported.");
    return NULL;
}

static PyObject *compare(PyObject *a, PyObject *b, int how) {
    static const int which[] = {
        [Py_LT] = OP_LT, [Py_LE] = OP_LE, [Py_EQ] = OP_EQ, [Py_NE] = OP_NE, [Py_GT] = OP_GT, [Py_GE] = OP_GE};
    return binary(which[how], a, b);
}

/* A tensor is a key by identity, since == gives a tensor. */
static Py_hash_t hash(PyObject *self) { return (Py_hash_t)(size_t)self; /* id(), as in PyTorch */ }

/* ---- one element as a Python number ------------------------------------------------------------------------------ */

static int truth(PyObject *self) {
    bool handled;
    PyObject *r = overridden_slot("__bool__", self, &handled);
    if (WGPY_UNLIKELY(handled)) {
        int v = r ? PyObject_IsTrue(r) : -1;
        Py_XDECREF(r);
        return v;
    }
    int v = wg_truth(wgpy_handle(self));
    if (v < 0) wgpy_error();
    return v;
}

static int one_element(PyObject *self) {
    if (wg_numel(wgpy_handle(self)) == 1) return 0;
    PyErr_SetString(PyExc_ValueError, "only one element tensors can be converted to Python scalars");
    return -1;
}

static int warn_of_history(const wg_tensor *t) {
    static bool said;
    if (said || !wg_requires_grad(t)) return 0;
    said = true;
    return wgpy_warn(PyExc_UserWarning,
                     "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                     "Consider using tensor.detach() first.");
}

static PyObject *as_float(PyObject *self) {
    double v;
    OVERRIDDEN("__float__", self);
    if (one_element(self) || warn_of_history(wgpy_handle(self)) || wgpy_check(wg_item(wgpy_handle(self), &v)))
        return NULL;
    return PyFloat_FromDouble(v);
}

static PyObject *as_int(PyObject *self) {
    wg_tensor *t = wgpy_handle(self);
    int64_t i;
    double v;
    OVERRIDDEN("__int__", self);
    if (one_element(self)) return NULL;
    if (!wg_dtype_is_floating(wg_dtype_of(t))) return wgpy_check(wg_item_i(t, &i)) ? NULL : PyLong_FromLongLong(i);
    return wgpy_check(wg_item(t, &v)) ? NULL : PyLong_FromDouble(v);
}

static PyObject *as_index(PyObject *self) {
    wg_tensor *t = wgpy_handle(self);
    OVERRIDDEN("__index__", self);
    if (wg_numel(t) == 1 && !wg_dtype_is_floating(wg_dtype_of(t))) return as_int(self);
    PyErr_SetString(PyExc_TypeError, "only integer tensors of a single element can be converted to an index");
    return NULL;
}

static PyObject *repr(PyObject *self) {
    OVERRIDDEN("__repr__", self);
    return wgpy_repr(self);
}

/* ---- life and death ---------------------------------------------------------------------------------------------- */

/* What only this object keeps alive: hooks, and the object of a grad_fn that nobody else holds (a Function's context).
 */
static int traverse(PyObject *object, visitproc visit, void *arg) {
    wgpy_tensor *self = (wgpy_tensor *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->dict);
    if (!self->t || wg_is_poison(self->t) || wg_owner_count(self->t) != 1) return 0;
    return wgpy_visit_history(self->t, visit, arg);
}

static int clear(PyObject *object) {
    wgpy_tensor *self = (wgpy_tensor *)object;
    wg_tensor *t = self->t;
    Py_CLEAR(self->dict);
    if (t && wg_owner_count(t) == 1) { /* part of a cycle: what it keeps goes now, the handle stays usable as poison */
        wg_set_slot(t, NULL);
        self->t = NULL;
        wg_release(t);
    }
    return 0;
}

/* Python let go, the library did not: true when the handle keeps the object from now on. */
static bool keep_object(wgpy_tensor *self) {
    if (!self->t || self->kept || wg_owner_count(self->t) <= 1) return false;
    bool worth =
        self->weakrefs || Py_TYPE((PyObject *)self) != wgpy.tensor || (self->dict && PyDict_Size(self->dict) > 0);
    if (!worth) return false;
    self->kept = true;
    return true;
}

/* Of a Python subclass, before its dealloc takes the object apart; of ours, from dealloc. */
static void finalize(PyObject *object) {
    wgpy_tensor *self = (wgpy_tensor *)object;
    if (!keep_object(self)) return;
    Py_INCREF(object);   /* the handle's reference */
    wg_release(self->t); /* may be the last one by now: then tensor_released drops the object again */
}

static void dealloc(PyObject *object) {
    wgpy_tensor *self = (wgpy_tensor *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (type == wgpy.tensor && keep_object(self)) {
        Py_SET_REFCNT(object, 1);
        wg_release(self->t);
        return;
    }
    PyObject_GC_UnTrack(object);
    if (self->weakrefs) PyObject_ClearWeakRefs(object);
    Py_CLEAR(self->dict);
    wg_tensor *t = self->t;
    self->t = NULL;
    if (t) {
        wg_set_slot(t, NULL);
        wg_release(t);
    }
    if (type == wgpy.tensor && nspare < SPARE) {
        spare[nspare++] = self;
    } else if (type == wgpy.tensor) {
        PyObject_GC_Del(object);
    } else {
        freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
        release(object);
    }
    Py_DECREF(type);
}

/* ---- the type ---------------------------------------------------------------------------------------------------- */

static PyMemberDef members[] = {{"__dictoffset__", T_PYSSIZET, offsetof(wgpy_tensor, dict), READONLY, NULL},
                                {"__weaklistoffset__", T_PYSSIZET, offsetof(wgpy_tensor, weakrefs), READONLY, NULL},
                                {NULL, 0, 0, 0, NULL}};

static size_t count_getset(const PyGetSetDef *g) {
    size_t n = 0;
    while (g[n].name) n++;
    return n;
}

/* Written by hand, of the kinds that __torch_function__ may take over. */
static bool overridable(const PyMethodDef *m) {
    int f = m->ml_flags;
    return f == METH_NOARGS || f == METH_O || f == METH_FASTCALL || f == (METH_FASTCALL | METH_KEYWORDS);
}

static PyMethodDef *all_methods(void) {
    const PyMethodDef *const tables[] = {wgpy_attribute_methods, wgpy_index_methods,    wgpy_autograd_methods,
                                         wgpy_interop_methods,   wgpy_override_methods, wgpy_dlpack_methods};
    enum { TABLES = sizeof(tables) / sizeof(*tables) };
    size_t n = 1, k = 0;
    int nops;
    for (size_t i = 0; i < TABLES; i++)
        for (const PyMethodDef *m = tables[i]; m->ml_name; m++) {
            n++;
            if (overridable(m) && wgpy_add_direct(m) < 0) return NULL;
        }
    const PyMethodDef *from_ops = wgpy_op_methods(&nops);
    PyMethodDef *all = PyMem_Calloc(n + (size_t)nops, sizeof(*all));
    if (!all) return NULL;
    for (size_t i = 0; i < TABLES; i++)
        for (const PyMethodDef *m = tables[i]; m->ml_name; m++)
            if (!overridable(m)) all[k++] = *m;
    memcpy(all + k, from_ops, (size_t)nops * sizeof(*all));
    return all;
}

/* An attribute of a subclass goes through __torch_function__ as Tensor.X.__get__. */
static PyObject *overridden_get(PyObject *self, const PyGetSetDef *g, bool *handled) {
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)wgpy.tensor, g->name);
    PyObject *get = descriptor ? PyObject_GetAttrString(descriptor, "__get__") : NULL;
    Py_XDECREF(descriptor);
    if (!get) return NULL;
    wgpy_overloads family = {.name = g->name, .function = get, .is_method = true};
    PyObject *r = wgpy_override(&family, self, NULL, 0, NULL, handled);
    Py_DECREF(get);
    return r;
}
static PyObject *guarded_get(PyObject *self, void *original) {
    const PyGetSetDef *g = original;
    if (WGPY_UNLIKELY(wgpy.overrides ||
                      (!wgpy_is_exact(self) && Py_TYPE(self) != wgpy.parameter && wgpy_may_override(self)))) {
        bool handled = false;
        PyObject *r = overridden_get(self, g, &handled);
        if (handled || PyErr_Occurred()) return r;
    }
    return g->get(self, g->closure);
}
/* Writing and deleting: Tensor.X.__set__, Tensor.X.__delete__. */
static int overridden_set(PyObject *self, PyObject *value, const PyGetSetDef *g, bool *handled) {
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)wgpy.tensor, g->name);
    PyObject *set = descriptor ? PyObject_GetAttrString(descriptor, value ? "__set__" : "__delete__") : NULL;
    Py_XDECREF(descriptor);
    if (!set) return -1;
    wgpy_overloads family = {.name = g->name, .function = set, .is_method = true};
    PyObject *r = wgpy_override(&family, self, &value, value != NULL, NULL, handled);
    Py_DECREF(set);
    Py_XDECREF(r);
    return r ? 0 : -1;
}
static int guarded_set(PyObject *self, PyObject *value, void *original) {
    const PyGetSetDef *g = original;
    if (!g->set)
        return PyErr_Format(PyExc_AttributeError, "attribute '%s' of 'torch._C.TensorBase' objects is not writable",
                            g->name),
               -1;
    if (WGPY_UNLIKELY(wgpy.overrides ||
                      (!wgpy_is_exact(self) && Py_TYPE(self) != wgpy.parameter && wgpy_may_override(self)))) {
        bool handled = false;
        int st = overridden_set(self, value, g, &handled);
        if (handled || PyErr_Occurred()) return st;
    }
    return g->set(self, value, g->closure);
}

static PyGetSetDef *all_getset(void) {
    const PyGetSetDef *const tables[] = {wgpy_attribute_getset, wgpy_autograd_getset, wgpy_interop_getset};
    size_t n = 2, k = 0;
    for (size_t i = 0; i < 3; i++) n += count_getset(tables[i]);
    PyGetSetDef *all = PyMem_Calloc(n, sizeof(*all));
    for (size_t i = 0; all && i < 3; i++)
        for (const PyGetSetDef *g = tables[i]; g->name; g++)
            all[k++] = (PyGetSetDef){g->name, guarded_get, guarded_set, g->doc, (void *)(uintptr_t)g};
    if (all) all[k] = (PyGetSetDef){"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL};
    return all;
}

/* Classes of tensors are pickled by a function (copyreg), which needs a type of their own. */
static int give_metaclass(PyObject *module) {
    PyObject *meta = PyObject_CallFunction((PyObject *)&PyType_Type, "s(O){ss}", "_TensorMeta",
                                           (PyObject *)&PyType_Type, "__module__", "torch._C");
    if (!meta || PyModule_AddObjectRef(module, "_TensorMeta", meta) < 0) return -1;
    wgpy.tensor_meta = (PyTypeObject *)meta;
    Py_SET_TYPE((PyObject *)wgpy.tensor, wgpy.tensor_meta);
    return 0;
}

int wgpy_init_tensor(PyObject *module) {
    for (int i = 0; i < OPERATORS; i++)
        if (!(ops[i] = wgpy_need_op(op_names[i]))) return -1;
    PyMethodDef *methods = all_methods();
    PyGetSetDef *getset = all_getset();
    if (!methods || !getset) return -1;
    PyType_Slot slots[] = {{Py_tp_doc, "A multi-dimensional array of one dtype that can record how it was computed."},
                           {Py_tp_new, wgpy_tensor_new},
                           {Py_tp_dealloc, dealloc},
                           {Py_tp_finalize, finalize},
                           {Py_tp_traverse, traverse},
                           {Py_tp_clear, clear},
                           {Py_tp_repr, repr},
                           {Py_tp_hash, hash},
                           {Py_tp_richcompare, compare},
                           {Py_tp_members, members},
                           {Py_tp_methods, methods},
                           {Py_tp_getset, getset},
                           {Py_tp_iter, wgpy_iter},
                           {Py_mp_subscript, wgpy_getitem},
                           {Py_mp_ass_subscript, wgpy_setitem},
                           {Py_mp_length, wgpy_length},
                           {Py_sq_contains, wgpy_contains},
                           {Py_nb_add, number_add},
                           {Py_nb_subtract, number_sub},
                           {Py_nb_multiply, number_mul},
                           {Py_nb_true_divide, number_div},
                           {Py_nb_floor_divide, number_floordiv},
                           {Py_nb_remainder, number_mod},
                           {Py_nb_power, power},
                           {Py_nb_and, number_and},
                           {Py_nb_or, number_or},
                           {Py_nb_xor, number_xor},
                           {Py_nb_lshift, number_lshift},
                           {Py_nb_rshift, number_rshift},
                           {Py_nb_matrix_multiply, number_matmul},
                           {Py_nb_negative, number_neg},
                           {Py_nb_positive, positive},
                           {Py_nb_absolute, number_abs},
                           {Py_nb_invert, number_inverted},
                           {Py_nb_inplace_add, number_iadd},
                           {Py_nb_inplace_subtract, number_isub},
                           {Py_nb_inplace_multiply, number_imul},
                           {Py_nb_inplace_true_divide, number_idiv},
                           {Py_nb_inplace_floor_divide, number_ifloordiv},
                           {Py_nb_inplace_remainder, number_imod},
                           {Py_nb_inplace_power, in_place_power},
                           {Py_nb_inplace_and, number_iand},
                           {Py_nb_inplace_or, number_ior},
                           {Py_nb_inplace_xor, number_ixor},
                           {Py_nb_inplace_lshift, number_ilshift},
                           {Py_nb_inplace_rshift, number_irshift},
                           {Py_nb_bool, truth},
                           {Py_nb_float, as_float},
                           {Py_nb_int, as_int},
                           {Py_nb_index, as_index},
                           {0, NULL}};
    PyType_Spec spec = {"torch.Tensor", sizeof(wgpy_tensor), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
    wgpy.tensor = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!wgpy.tensor || PyModule_AddType(module, wgpy.tensor) < 0 || give_metaclass(module) < 0) return -1;
    /* Messages say 'Tensor' object, as of a class written in Python. */
    PyObject *reflected =
        PyObject_GetAttrString((PyObject *)wgpy.tensor, "__rtruediv__"); /* PyTorch still has Python 2's name */
    if (!reflected || PyObject_SetAttrString((PyObject *)wgpy.tensor, "__rdiv__", reflected) < 0) return -1;
    Py_DECREF(reflected);
    PyObject *name = PyUnicode_FromString("Tensor");
    int st = name ? PyObject_SetAttrString((PyObject *)wgpy.tensor, "__name__", name) : -1;
    Py_XDECREF(name);
    return st;
}
