/* index.c - x[key], x[key] = value, len, in, iteration, reversed.
 *
 * A key is read from left to right. Each part makes a view of what the parts before it left (select, slice, unsqueeze),
 * or is set aside as an index for its dim: tensors, masks, lists, True and False. Without any of the latter the last
 * view is the answer; otherwise one index (numpy's advanced indexing) of that view. Assignment reads the key in the
 * same way and writes to what it leads to. Which views are made, and by which op the writing is done, follows PyTorch,
 * because grad_fn and strides show it.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- refusals
 * -------------------------------------------------------------------------------------------------------- */

static bool bad_key(PyObject *o) {
    PyObject *name = wgpy_type_name(o);
    if (!name) return false;
    PyErr_Format(
        PyExc_IndexError,
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got %U)",
        name);
    Py_DECREF(name);
    return false;
}

static bool too_many(int dims) {
    PyErr_Format(PyExc_IndexError, "too many indices for tensor of dimension %d", dims);
    return false;
}

static bool out_of_range(int64_t i, int position, int64_t size) {
    PyErr_Format(PyExc_IndexError, "index %lld is out of bounds for dimension %d with size %lld", (long long)i,
                 position, (long long)size);
    return false;
}

static bool no_dims(void) {
    PyErr_SetString(PyExc_IndexError,
                    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ "
                    "to convert a 0-dim tensor to a number");
    return false;
}

static bool unpack_int(PyObject *o, int64_t *i) {
    int overflow;
    *i = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (WGPY_LIKELY(!overflow)) return *i != -1 || !PyErr_Occurred();
    PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
    return false;
}

/* ---- lists as indices
 * --------------------------------------------------------------------------------------------------- */

static PyObject *flat_item(PyObject *o, Py_ssize_t i) {
    if (PyList_CheckExact(o)) return Py_XNewRef(PyList_GetItem(o, i));
    return PySequence_GetItem(o, i);
}

/* What all items of a list are: 'i' ints, 'b' bools, 0 something else. None at all counts as ints. */
static char flat_kind(PyObject *o, Py_ssize_t n) {
    char kind = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = flat_item(o, i);
        if (!item) return PyErr_Clear(), 0;
        char k = PyBool_Check(item) ? 'b' : PyLong_CheckExact(item) ? 'i' : 0;
        Py_DECREF(item);
        if (!k || (kind && k != kind)) return 0;
        kind = k;
    }
    return kind ? kind : 'i';
}

static wg_tensor *flat_index(PyObject *o, Py_ssize_t n, char kind) {
    int64_t few[64] = {0}, *v = few, size = n;
    wg_tensor *t = NULL;
    if (n > 64 && !(v = malloc((size_t)n * sizeof(*v)))) return (wg_tensor *)PyErr_NoMemory();
    Py_ssize_t i = 0;
    for (; i < n; i++) {
        PyObject *item = flat_item(o, i);
        bool good = item && unpack_int(item, &v[i]);
        Py_XDECREF(item);
        if (!good) break;
    }
    if (i == n) {
        t = wg_from_data(v, WG_INT64, 1, &size, NULL);
        if (kind == 'b') t = wg_to(t, WG_BOOL);
    }
    if (v != few) free(v);
    return t;
}

/* What a sequence of the user's raises for its first item goes out as it is. */
static bool can_be_read(PyObject *o) {
    Py_ssize_t n = wgpy_is_array(o) ? 0 : PySequence_Size(o);
    PyObject *first = n > 0 ? PySequence_GetItem(o, 0) : NULL;
    Py_XDECREF(first);
    return n == 0 || first;
}

/* A sequence as an index: bools and bytes are a mask, all else is int64. NULL: an exception is set. */
static wg_tensor *sequence_index(PyObject *o) {
    Py_ssize_t n = PyList_CheckExact(o) || PyTuple_Check(o) || Py_TYPE(o) == &PyRange_Type ? PySequence_Size(o) : -1;
    char kind = n >= 0 ? flat_kind(o, n) : 0;
    if (kind) return flat_index(o, n, kind);
    if (n < 0 && !can_be_read(o)) return NULL;
    wg_tensor *t = wgpy_from_object(o, WG_DTYPE_NONE);
    if (!t) return NULL;
    if (wg_is_poison(t) && PyErr_Occurred()) return NULL;
    return wg_dtype_of(t) == WG_BOOL || wg_dtype_of(t) == WG_UINT8 ? t : wg_to(t, WG_INT64);
}

static bool acts_as_part(PyObject *o) {
    return wgpy_is_tensor(o) || PySequence_Check(o) || PySlice_Check(o) || o == Py_Ellipsis || o == Py_None;
}

/* NumPy's old rule: a short sequence with something in it that is no number stands for a tuple. */
static bool stands_for_tuple(PyObject *o) {
    if (wgpy_is_tensor(o) || !PySequence_Check(o) || wgpy_is_array(o)) return false;
    Py_ssize_t n = PySequence_Size(o);
    bool found = false;
    for (Py_ssize_t i = 0; i < n && n < 32 && !found; i++) {
        PyObject *item = PySequence_GetItem(o, i);
        if (!item) break;
        found = acts_as_part(item);
        Py_DECREF(item);
    }
    if (PyErr_Occurred()) PyErr_Clear();
    return found;
}

/* ---- the way that a key goes
 * --------------------------------------------------------------------------------------------- */

typedef struct path {
    wg_tensor *x;  /* where the parts read so far lead */
    int dims;      /* of the tensor that has the key */
    int dim;       /* of x: the next one that a part is for */
    int specified; /* how many dims the whole key speaks of */
    bool whole;    /* a slice of everything makes a view all the same */
    int nat;
    wg_tensor *at[WG_MAX_DIMS + 1]; /* indices set aside, by dim of x; NULL: the whole dim */
} path;

static bool move(path *p, wg_tensor *x) {
    p->x = x;
    if (WGPY_LIKELY(!wg_is_poison(x))) return true;
    wgpy_error();
    return false;
}

/* The list begins with the dims before its first index; after that it grows by one for each part, also where a mask is
 * for several dims. */
static bool set_aside(path *p, wg_tensor *index, int dims) {
    for (int i = 0; p->nat == i && i < p->dim && i < WG_MAX_DIMS; i++) p->at[p->nat++] = NULL;
    if (p->nat > WG_MAX_DIMS) return too_many(p->dims);
    p->at[p->nat++] = index;
    p->dim += dims;
    return true;
}

/* n dims are left as they are. */
static bool pass(path *p, int n) {
    p->dim += n;
    for (int i = 0; i < n && p->nat; i++) {
        if (p->nat > WG_MAX_DIMS) return too_many(p->dims);
        p->at[p->nat++] = NULL;
    }
    return true;
}

static bool take_one(path *p, int64_t i, int position) {
    int dims = wg_ndim(p->x);
    int64_t size = WGPY_LIKELY(p->dim < dims) ? wg_sizes(p->x)[p->dim] : 0;
    if (WGPY_LIKELY(i < size && i >= -size)) return move(p, wg_select(p->x, p->dim, i));
    return i == 0 && p->dim == 0 && dims == 0 ? no_dims() : out_of_range(i, position, size);
}

static bool take_slice(path *p, PyObject *slice) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) return false;
    if (step <= 0) {
        PyErr_SetString(PyExc_ValueError, "step must be greater than zero");
        return false;
    }
    int dims = wg_ndim(p->x);
    int64_t size = p->dim < dims ? wg_sizes(p->x)[p->dim] : 0;
    bool all = start == 0 && step == 1 && size <= stop && dims > 0 && !p->whole;
    if (!all && !move(p, wg_slice(p->x, p->dim, start, stop, step))) return false;
    return pass(p, 1);
}

/* True keeps what there is, False nothing of it, in a new dim. */
static bool take_bool(path *p, bool value) {
    int64_t n = value;
    return move(p, wg_unsqueeze(p->x, p->dim)) && set_aside(p, wg_zeros(1, &n, WG_DTYPE(WG_INT64)), 1);
}

static bool take_tensor(path *p, wg_tensor *t, int position) {
    wg_dtype d = wg_dtype_of(t);
    bool mask = d == WG_BOOL || d == WG_UINT8;
    int64_t i;
    if (wg_ndim(t) > 0 || wg_dtype_is_floating(d)) return set_aside(p, t, mask ? wg_ndim(t) : 1);
    if (wgpy_check(wg_item_i(t, &i))) return false;
    return mask ? take_bool(p, i != 0) : take_one(p, i, position);
}

static bool take_other(path *p, PyObject *o, int position) {
    if (PySequence_Check(o)) {
        wg_tensor *t = sequence_index(o);
        if (!t) return false;
        if (wg_is_poison(t)) return wgpy_error(), false;
        return take_tensor(p, t, position);
    }
    PyObject *number = PyNumber_Index(o);
    if (!number) {
        PyErr_Clear();
        return bad_key(o);
    }
    int64_t i;
    bool good = unpack_int(number, &i) && take_one(p, i, position);
    Py_DECREF(number);
    return good;
}

static bool take(path *p, PyObject *o, int position) {
    int64_t i;
    if (PyLong_CheckExact(o)) return unpack_int(o, &i) && take_one(p, i, position);
    if (PySlice_Check(o)) return take_slice(p, o);
    if (o == Py_Ellipsis) return pass(p, p->dims - p->specified);
    if (o == Py_None) return move(p, wg_unsqueeze(p->x, p->dim)) && pass(p, 1);
    if (PyBool_Check(o)) return take_bool(p, o == Py_True);
    if (wgpy_is_tensor(o)) return take_tensor(p, wgpy_handle(o), position);
    if (PyLong_Check(o)) return unpack_int(o, &i) && take_one(p, i, position);
    return take_other(p, o, position);
}

/* How many dims a part speaks of. */
static int dims_of(PyObject *o) {
    if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
    if (!wgpy_is_tensor(o)) return 1;
    wg_dtype d = wg_dtype_of(wgpy_handle(o));
    return d == WG_BOOL || d == WG_UINT8 ? wg_ndim(wgpy_handle(o)) : 1;
}

/* A key that is no tuple is its only part. */
static Py_ssize_t parts_of(PyObject *key) { return PyTuple_Check(key) ? PyTuple_Size(key) : 1; }
static PyObject *part_of(PyObject *key, Py_ssize_t i) { return PyTuple_Check(key) ? PyTuple_GetItem(key, i) : key; }

static bool follow(path *p, PyObject *key) {
    Py_ssize_t n = parts_of(key);
    p->specified = 0;
    for (Py_ssize_t i = 0; i < n; i++) p->specified += dims_of(part_of(key, i));
    if (p->specified > p->dims) return too_many(p->dims);
    for (Py_ssize_t i = 0; i < n; i++)
        if (!take(p, part_of(key, i), (int)i)) return false;
    while (p->nat && !p->at[p->nat - 1]) p->nat--;
    return true;
}

static bool numpy_integer(PyObject *o) {
    return PyIndex_Check(o) && !PySequence_Check(o) && wgpy_is_number(o) && !wgpy_is_numpy_bool(o);
}

/* A single int or slice, which says more exactly what is wrong with a tensor without dims. */
static bool follow_single(path *p, PyObject *key, bool *done) {
    *done = true;
    if (PyBool_Check(key))
        *done = false;
    else if (PyLong_Check(key))
        return take(p, key, 0);
    else if (PySlice_Check(key))
        return take_slice(p, key);
    else if (p->dims == 0 && !wgpy_is_tensor(key) && numpy_integer(key))
        return take_other(p, key, 0);
    else
        *done = false;
    return true;
}

/* Reads the key from x on. */
static bool find(path *p, wg_tensor *x, PyObject *key, bool setting) {
    p->x = x;
    p->dims = wg_ndim(x);
    p->dim = p->nat = 0;
    p->whole = !setting;
    if (!PyTuple_Check(key)) {
        bool done, good = follow_single(p, key, &done);
        if (done) return good;
    }
    p->whole = false;
    return follow(p, key);
}

/* A new reference to the key, or to the tuple that it stands for. */
static PyObject *as_parts(PyObject *key) {
    if (PyTuple_Check(key) || wgpy_is_tensor(key) || !stands_for_tuple(key)) return Py_NewRef(key);
    if (PyErr_WarnEx(PyExc_UserWarning,
                     "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in "
                     "pytorch 2.9; use "
                     "x[tuple(seq)] instead of x[seq]. It would then be taken for one index, torch.tensor(seq).",
                     1) < 0)
        return NULL;
    return PySequence_Tuple(key);
}

/* ---- __torch_function__
 * --------------------------------------------------------------------------------------------------- */

static PyObject *overridden(const char *name, PyObject *self, PyObject *const *args, int n, bool *handled) {
    *handled = false;
    PyObject *method = PyObject_GetAttrString((PyObject *)wgpy.tensor, name);
    if (!method) {
        *handled = true;
        return NULL;
    }
    wgpy_overloads family = {.name = name, .function = method, .is_method = true};
    PyObject *r = wgpy_override(&family, self, args, n, NULL, handled);
    Py_DECREF(method);
    return r;
}

static bool overrides(PyObject *o) { return !wgpy_is_exact(o) && !PyLong_CheckExact(o) && wgpy_may_override(o); }
static bool any_part_overrides(PyObject *key) {
    for (Py_ssize_t i = 0, n = parts_of(key); i < n; i++)
        if (overrides(part_of(key, i))) return true;
    return false;
}
static bool asks_override(PyObject *self, PyObject *key) {
    return WGPY_UNLIKELY(wgpy.overrides) || overrides(self) || any_part_overrides(key);
}

/* ---- reading
 * ---------------------------------------------------------------------------------------------------------------- */

static wg_tensor *gather(wg_tensor *x, wg_tensor *const *at, int n) {
    bool long_work = wgpy_long(x);
    for (int i = 0; i < n && !long_work; i++) long_work = wgpy_long(at[i]);
    if (!long_work) return wg_index(x, at, n);
    wgpy_away away = wgpy_release_gil();
    wg_tensor *r = wg_index(x, at, n);
    wgpy_acquire_gil(away);
    return r;
}

static PyObject *read_at(wg_tensor *x, PyObject *key) {
    path p;
    size_t scope = wg_scope_open();
    if (WGPY_UNLIKELY(!find(&p, x, key, false))) {
        wg_scope_close(scope);
        return NULL;
    }
    if (p.nat) return wgpy_leave(scope, gather(p.x, p.at, p.nat));
    return wgpy_leave(scope, p.x == x ? wg_alias(x) : p.x);
}

static PyObject *read_one(wg_tensor *x, PyObject *key) {
    path p = {.x = x, .dim = 0};
    int64_t i;
    if (!unpack_int(key, &i)) return NULL;
    size_t scope = wg_scope_open();
    if (WGPY_LIKELY(take_one(&p, i, 0))) return wgpy_leave(scope, p.x);
    wg_scope_close(scope);
    return NULL;
}

PyObject *wgpy_getitem(PyObject *self, PyObject *key) {
    bool plain = wgpy_is_exact(self) && !WGPY_UNLIKELY(wgpy.overrides);
    if (WGPY_LIKELY(plain && PyLong_CheckExact(key))) return read_one(wgpy_handle(self), key);
    if (WGPY_UNLIKELY(asks_override(self, key))) {
        bool handled;
        PyObject *r = overridden("__getitem__", self, &key, 1, &handled);
        if (handled) return r;
    }
    if (PyTuple_Check(key) || PySlice_Check(key)) return read_at(wgpy_handle(self), key);
    PyObject *parts = as_parts(key);
    if (!parts) return NULL;
    PyObject *r = read_at(wgpy_handle(self), parts);
    Py_DECREF(parts);
    return r;
}

/* ---- what is assigned
 * --------------------------------------------------------------------------------------------------------- */

static const char *tensor_type(wg_dtype d) {
    static const char *const name[] = {
        "torch.BoolTensor", "torch.ByteTensor", "torch.CharTensor",     "torch.ShortTensor", "torch.IntTensor",
        "torch.LongTensor", "torch.HalfTensor", "torch.BFloat16Tensor", "torch.FloatTensor", "torch.DoubleTensor"};
    return name[d];
}

static wg_tensor *no_value(PyObject *value, wg_dtype d) {
    PyObject *name = wgpy_type_name(value);
    if (name) PyErr_Format(PyExc_TypeError, "can't assign a %U to a %s", name, tensor_type(d));
    Py_XDECREF(name);
    return NULL;
}

/* A complex number has to be a real one; index_fill_ does not even look. */
static wg_tensor *real_part(PyObject *value, wg_dtype d, bool by_index) {
    static const char *const name[] = {"bool",    "uint8_t",   "int8_t",        "int16_t", "int",
                                       "int64_t", "c10::Half", "c10::BFloat16", "float",   "double"};
    if (by_index) {
        PyErr_SetString(PyExc_RuntimeError,
                        "index_fill_(): Converting complex Scalar to non-complex type is not supported");
        return NULL;
    }
    if (d == WG_BOOL) return wg_b(PyObject_IsTrue(value) == 1);
    if (PyComplex_ImagAsDouble(value) == 0) return wg_s(PyComplex_RealAsDouble(value));
    PyErr_Format(PyExc_RuntimeError, "value cannot be converted to type %s without overflow", name[d]);
    return NULL;
}

static wg_tensor *integer_value(PyObject *value) {
    PyObject *number = PyNumber_Index(value);
    int64_t i;
    bool good = number && unpack_int(number, &i);
    Py_XDECREF(number);
    return good ? wg_i(i) : NULL;
}

/* The value as a tensor, a number when it is one. NULL: an exception is set. */
static wg_tensor *value_of(PyObject *value, wg_dtype d, bool *number) {
    *number = !wgpy_is_tensor(value);
    if (!*number) return wgpy_handle(value);
    if (PyFloat_Check(value)) return wg_s(PyFloat_AsDouble(value));
    if (PyBool_Check(value)) return wg_b(value == Py_True);
    if (PyLong_Check(value) || numpy_integer(value)) {
        wg_tensor *t = integer_value(value);
        if (t || PyLong_Check(value) || !PyErr_ExceptionMatches(PyExc_TypeError)) return t;
        PyErr_Clear(); /* numpy.bool has an __index__ that refuses */
        return no_value(value, d);
    }
    return PyComplex_Check(value) ? wg_i(0) : no_value(value, d); /* looked at when it is known where it goes */
}

static bool same_shape(const wg_tensor *a, const wg_tensor *b) {
    return wg_ndim(a) == wg_ndim(b) && memcmp(wg_sizes(a), wg_sizes(b), (size_t)wg_ndim(a) * sizeof(int64_t)) == 0;
}

/* Leading sizes of 1 are dropped, so that (1, 1, 3) can be written where (2, 3) is. */
static int leading_ones(const wg_tensor *t) {
    int n = 0;
    while (n < wg_ndim(t) && wg_sizes(t)[n] == 1) n++;
    return n;
}

/* ---- writing
 * -------------------------------------------------------------------------------------------------------------------
 */

/* A write by one of the in-place ops; index_fill_ has no function of its own in C. */
typedef struct writing {
    enum { FILL, COPY, PUT, MASK, AT } how;
    wg_tensor *x, *value;
    wg_tensor *const *at;
    int n; /* of at; AT: the dim */
} writing;

static wg_tensor *fill_at(const writing *w) {
    static const wg_op *op;
    if (!op && !(op = wg_op_find("index_fill"))) return NULL;
    wg_arg args[4] = {{.tag = WG_TAG_TENSOR, .v.t = w->x},
                      {.tag = WG_TAG_INT, .v.i = w->n},
                      {.tag = WG_TAG_TENSOR, .v.t = w->at[0]},
                      {.tag = WG_TAG_TENSOR, .v.t = w->value}};
    wg_tensor *out = NULL;
    int n;
    return wg_op_call(op, true, args, 4, &out, 1, &n) == WG_OK ? out : NULL;
}

static bool run_write(const writing *w) {
    wg_tensor *r = NULL;
    switch (w->how) {
    case FILL: r = wg_fill_(w->x, w->value); break;
    case COPY: r = wg_copy_(w->x, w->value); break;
    case PUT: r = wg_index_put_(w->x, w->at, w->n, w->value, false); break;
    case MASK: r = wg_masked_fill_(w->x, w->at[0], w->value); break;
    case AT: r = fill_at(w); break;
    }
    return r && !wg_is_poison(r);
}

static bool do_write(writing w) {
    bool good;
    if (!wgpy_long(w.x)) {
        good = run_write(&w);
    } else {
        wgpy_away away = wgpy_release_gil();
        good = run_write(&w);
        wgpy_acquire_gil(away);
    }
    if (!good) wgpy_error();
    return good;
}

static bool may_fill(const wg_tensor *x, const wg_tensor *value) {
    if (wg_dtype_is_floating(wg_dtype_of(x)) || !wg_requires_grad(value) || !wg_grad_enabled()) return true;
    static const char *const name[] = {"Bool", "Byte", "Char", "Short", "Int", "Long"};
    PyErr_Format(PyExc_RuntimeError, "Autograd not support dtype: %s", name[wg_dtype_of(x)]);
    return false;
}

/* To a view, or to everything. */
static bool write_view(wg_tensor *x, wg_tensor *value, bool number) {
    if (number) return do_write((writing){FILL, x, value, NULL, 0});
    if (!same_shape(x, value)) {
        if (wg_ndim(value) == 0) return may_fill(x, value) && do_write((writing){FILL, x, value, NULL, 0});
        int ones = leading_ones(value);
        value = wg_view(value, wg_ndim(value) - ones, wg_sizes(value) + ones);
        if (!wg_is_poison(value) && !same_shape(x, value)) value = wg_expand(value, wg_ndim(x), wg_sizes(x));
        if (wg_is_poison(value)) return wgpy_error(), false;
    }
    return do_write((writing){COPY, x, value, NULL, 0});
}

static bool is_mask(const wg_tensor *t) { return wg_dtype_of(t) == WG_BOOL || wg_dtype_of(t) == WG_UINT8; }

/* The one index, when there is no other; and the dim that it is for. */
static wg_tensor *only_index(const path *p, int *dim) {
    wg_tensor *t = NULL;
    for (int i = 0; i < p->nat; i++) {
        if (!p->at[i]) continue;
        if (t) return NULL;
        t = p->at[i];
        *dim = i;
    }
    return t;
}

/* The first index, if it is a mask, has the sizes that it stands for; later ones are looked at when the writing is
 * done. */
static bool mask_fits(const path *p) {
    int dim = 0;
    while (dim < p->nat && !p->at[dim]) dim++;
    if (dim == p->nat || !is_mask(p->at[dim])) return true;
    for (int i = 0; i < wg_ndim(p->at[dim]); i++)
        if (dim + i >= wg_ndim(p->x) || wg_size(p->at[dim], i) != wg_size(p->x, dim + i)) return false;
    return true;
}

/* A number at a mask is masked_fill_, with a mask of as many dims as x has from its dim on. */
static bool write_mask(const path *p, wg_tensor *mask, int dim, wg_tensor *value) {
    for (int i = dim + wg_ndim(mask); i < wg_ndim(p->x) && !wg_is_poison(mask); i++) mask = wg_unsqueeze(mask, -1);
    if (wg_is_poison(mask)) return wgpy_error(), false;
    return do_write((writing){MASK, p->x, value, &mask, 1});
}

/* The index that index_fill_ takes, if that is the way. */
static wg_tensor *fill_index(const path *p, int *dim) {
    wg_tensor *index = only_index(p, dim);
    bool fits = index && wg_dtype_of(index) == WG_INT64 && (wg_ndim(index) <= 1 || wg_is_contiguous(index));
    return fits ? index : NULL;
}

static bool write_number(const path *p, wg_tensor *value, wg_dtype d) {
    if (!mask_fits(p)) { /* says what does not match, before anything else is looked at */
        bool before = wg_set_grad_enabled(false), good = do_write((writing){PUT, p->x, value, p->at, p->nat});
        wg_set_grad_enabled(before);
        return good;
    }
    int dim = 0;
    wg_tensor *index = only_index(p, &dim);
    if (index && is_mask(index)) return write_mask(p, index, dim, value);
    index = fill_index(p, &dim);
    if (index) {
        int64_t flat = -1;
        if (wg_ndim(index) > 1) index = wg_view(index, 1, &flat);
        if (wg_is_poison(index)) return wgpy_error(), false;
        return do_write((writing){AT, p->x, value, &index, dim});
    }
    bool half = d == WG_FLOAT16 || d == WG_BFLOAT16; /* what is too large is inf here */
    value = half ? wg_to(value, d) : wg_full(WG_SCALAR_SHAPE, value, WG_DTYPE(d));
    if (wg_is_poison(value)) return wgpy_error(), false;
    return do_write((writing){PUT, p->x, value, p->at, p->nat});
}

static bool write_indexed(const path *p, wg_tensor *value, bool number, wg_dtype d) {
    if (number) return write_number(p, value, d);
    int ones = leading_ones(value);
    if (ones) value = wg_view(value, wg_ndim(value) - ones, wg_sizes(value) + ones);
    if (wg_is_poison(value)) return wgpy_error(), false;
    int dim;
    wg_tensor *index = only_index(p, &dim);
    if (index && wg_dtype_of(index) == WG_BOOL && wg_numel(value) == 1 && !may_fill(p->x, value)) return false;
    return do_write((writing){PUT, p->x, value, p->at, p->nat});
}

static bool write_at(wg_tensor *x, PyObject *key, PyObject *value, wg_tensor *v, bool number) {
    path p;
    wg_dtype d = wg_dtype_of(x);
    if (key == Py_False) return true;
    if (!find(&p, x, key == Py_True ? Py_None : key, true)) return false;
    int dim;
    wg_tensor *only = only_index(&p, &dim);
    bool bytes = only && wg_dtype_of(only) == WG_UINT8; /* refused in any case */
    bool complex = PyComplex_Check(value) && mask_fits(&p) && !bytes;
    if (complex && !(v = real_part(value, d, p.nat && fill_index(&p, &dim)))) return false;
    return p.nat ? write_indexed(&p, v, number, d) : write_view(p.x, v, number);
}

/* The value is looked at first, then the key. */
static bool assign(wg_tensor *x, PyObject *key, PyObject *value) {
    bool number;
    wg_tensor *v = value_of(value, wg_dtype_of(x), &number);
    if (!v) return false;
    PyObject *parts = PyLong_CheckExact(key) ? Py_NewRef(key) : as_parts(key);
    bool good = parts && write_at(x, parts, value, v, number);
    Py_XDECREF(parts);
    return good;
}

int wgpy_setitem(PyObject *self, PyObject *key, PyObject *value) {
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "Tensor does not support deleting items");
        return -1;
    }
    if (WGPY_UNLIKELY(asks_override(self, key) || overrides(value))) {
        bool handled;
        PyObject *args[2] = {key, value}, *r = overridden("__setitem__", self, args, 2, &handled);
        Py_XDECREF(r);
        if (handled) return r ? 0 : -1;
    }
    size_t scope = wg_scope_open();
    bool good = assign(wgpy_handle(self), key, value);
    wg_scope_close(scope);
    return good ? 0 : -1;
}

/* ---- len, in, iteration
 * ------------------------------------------------------------------------------------------------------------ */

Py_ssize_t wgpy_length(PyObject *self) {
    if (WGPY_UNLIKELY(wgpy.overrides || overrides(self))) {
        bool handled;
        PyObject *r = overridden("__len__", self, NULL, 0, &handled);
        Py_ssize_t n = r ? PyLong_AsSsize_t(r) : -1;
        Py_XDECREF(r);
        if (handled) return n;
    }
    if (wg_ndim(wgpy_handle(self)) > 0) return (Py_ssize_t)wg_sizes(wgpy_handle(self))[0];
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
}

/* All views at once, as unbind gives them. */
PyObject *wgpy_iter(PyObject *self) {
    wg_tensor *x = wgpy_handle(self), *few[64], **views = few;
    if (wg_ndim(x) == 0) {
        PyErr_SetString(PyExc_TypeError, "iteration over a 0-d tensor");
        return NULL;
    }
    if (wgpy.overrides ||
        (!wgpy_is_exact(self) && wgpy_may_override(self))) { /* a subclass's parts are of the subclass */
        PyObject *parts = PyObject_CallMethod(self, "unbind", "i", 0), *over = parts ? PyObject_GetIter(parts) : NULL;
        Py_XDECREF(parts);
        return over;
    }
    int64_t size = wg_sizes(x)[0];
    int n = 0;
    if (size > INT32_MAX) return PyErr_NoMemory();
    if (size > 64 && !(views = malloc((size_t)size * sizeof(*views)))) return PyErr_NoMemory();
    size_t scope = wg_scope_open();
    bool good = wg_unbind(x, 0, views, size > 64 ? (int)size : 64, &n) == WG_OK;
    PyObject *all = good ? wgpy_leave_list(scope, views, n) : wgpy_leave_error(scope);
    if (views != few) free(views);
    PyObject *iterator = all ? PyObject_GetIter(all) : NULL;
    Py_XDECREF(all);
    return iterator;
}

static wg_tensor *any_equal(wg_tensor *x, wg_tensor *v) {
    if (!wgpy_long(x) && !wgpy_long(v)) return wg_any(wg_eq(x, v));
    wgpy_away away = wgpy_release_gil();
    wg_tensor *r = wg_any(wg_eq(x, v));
    wgpy_acquire_gil(away);
    return r;
}

/* What a number is compared as: itself; a complex number that is not real equals nothing (nan). */
static wg_tensor *sought(PyObject *value) {
    if (wgpy_is_tensor(value)) return wgpy_handle(value);
    if (PyComplex_Check(value))
        return wg_s(PyComplex_ImagAsDouble(value) == 0 ? PyComplex_RealAsDouble(value) : Py_NAN);
    wg_tensor *t = wgpy_number(value);
    if (!t && !PyErr_Occurred())
        PyErr_Format(PyExc_RuntimeError, "Tensor.__contains__ only supports Tensor or scalar, but you passed in a %R.",
                     (PyObject *)Py_TYPE(value));
    return t;
}

int wgpy_contains(PyObject *self, PyObject *value) {
    if (WGPY_UNLIKELY(wgpy.overrides || overrides(self))) {
        bool handled;
        PyObject *r = overridden("__contains__", self, &value, 1, &handled);
        int truth = r ? PyObject_IsTrue(r) : -1;
        Py_XDECREF(r);
        if (handled) return truth;
    }
    size_t scope = wg_scope_open();
    wg_tensor *v = sought(value);
    int truth = v ? wg_truth(any_equal(wgpy_handle(self), v)) : -1;
    if (v && truth < 0) wgpy_error();
    wg_scope_close(scope);
    return truth;
}

/* flip(0), by op when the library has it. */
static wg_tensor *backwards(wg_tensor *x) {
    const wg_op *op = wg_op_find("flip");
    int64_t zero = 0, n = wg_sizes(x)[0];
    wg_tensor *out = NULL;
    int made;
    wg_arg args[2] = {{.tag = WG_TAG_TENSOR, .v.t = x}, {.tag = WG_TAG_INTS, .n = 1, .v.ints = &zero}};
    if (op) return wg_op_call(op, false, args, 2, &out, 1, &made) == WG_OK ? out : NULL;
    wg_tensor *at = wg_sub(wg_i(n - 1), wg_arange(wg_i(0), wg_i(n), wg_i(1), NULL));
    return wg_index(x, &at, 1);
}

static PyObject *reversed(PyObject *self, PyObject *unused) {
    (void)unused;
    if (WGPY_UNLIKELY(wgpy.overrides || overrides(self))) {
        bool handled;
        PyObject *r = overridden("__reversed__", self, NULL, 0, &handled);
        if (handled) return r;
    }
    if (wg_ndim(wgpy_handle(self)) == 0) return Py_NewRef(self);
    size_t scope = wg_scope_open();
    wg_tensor *r = backwards(wgpy_handle(self));
    return r ? wgpy_leave(scope, r) : wgpy_leave_error(scope);
}

int wgpy_init_index(PyObject *module) { return (void)module, 0; }
PyMethodDef wgpy_index_methods[] = {
    {"__reversed__", reversed, METH_NOARGS, "The rows from the last to the first: flip(0)."}, {NULL, NULL, 0, NULL}};
const wgpy_builtin wgpy_index_builtins[] = {{NULL, NULL, 0, NULL}};
