/* random.c - Generator, and the functions that draw: factories, sampling, in-place fills. The streams are the
 * library's, which are PyTorch's bit for bit.
 */
#include <string.h>

#include "wgpy.h"

/* ---- Generator
 * ------------------------------------------------------------------------------------------------------------- */

static wg_generator *generator_of(PyObject *self) { return ((wgpy_generator *)self)->g; }

static PyObject *wrap_generator(wg_generator *g) { /* owned */
    wgpy_generator *o = PyObject_New(wgpy_generator, wgpy.generator);
    if (o)
        o->g = g;
    else
        wg_generator_release(g);
    return (PyObject *)o;
}

static PyObject *generator_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keys[] = {"device", NULL};
    PyObject *device = NULL;
    wg_device d;
    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Generator", keys, &device)) return NULL;
    if (device && device != Py_None && Py_TYPE(device) != wgpy.device && !PyUnicode_Check(device) &&
        !PyLong_Check(device)) {
        PyObject *name = wgpy_type_name(device);
        PyErr_Format(PyExc_TypeError, "Generator(): argument 'device' (position 1) must be torch.device, not %V", name,
                     "?");
        Py_XDECREF(name);
        return NULL;
    }
    return wgpy_device_from(device, &d) < 0 ? NULL : wrap_generator(wg_generator_new());
}
static void generator_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    wg_generator_release(generator_of(self));
    PyObject_Free(self);
    Py_DECREF(type);
}

/* -2^63 .. 2^64 - 1; a negative seed means 2^64 more. */
static int seed_of(PyObject *o, uint64_t *seed) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (v == -1 && !overflow && PyErr_Occurred()) return -1;
    *seed = (uint64_t)v;
    if (!overflow) return 0;
    if (overflow > 0) {
        *seed = PyLong_AsUnsignedLongLong(o);
        if (!(*seed == UINT64_MAX && PyErr_Occurred())) return 0;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
    return -1;
}

static PyObject *generator_manual_seed(PyObject *self, PyObject *o) {
    uint64_t seed;
    if (!PyLong_Check(o) || o == Py_True || o == Py_False) {
        PyObject *name = wgpy_type_name(o);
        PyErr_Format(PyExc_RuntimeError, "manual_seed expected a long, but got %V", name, "?");
        Py_XDECREF(name);
        return NULL;
    }
    if (seed_of(o, &seed) < 0) return NULL;
    wg_generator_manual_seed(generator_of(self), seed);
    return Py_NewRef(self);
}
static PyObject *generator_seed(PyObject *self, PyObject *u) {
    return (void)u, PyLong_FromUnsignedLongLong(wg_generator_seed(generator_of(self)));
}
static PyObject *generator_initial_seed(PyObject *self, PyObject *u) {
    return (void)u, PyLong_FromUnsignedLongLong(wg_generator_initial_seed(generator_of(self)));
}

static PyObject *generator_get_state(PyObject *self, PyObject *u) {
    static const int64_t bytes = WG_GENERATOR_STATE_BYTES;
    (void)u;
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_empty(1, &bytes, WG_DTYPE(WG_UINT8));
    if (wg_is_poison(t) || wg_generator_get_state(generator_of(self), wg_data(t), (size_t)bytes) != WG_OK)
        return wgpy_leave_error(scope);
    return wgpy_leave(scope, t);
}

static int put_state(wg_generator *g, PyObject *o) {
    char state[WG_GENERATOR_STATE_BYTES];
    if (!wgpy_is_tensor(o)) {
        PyObject *name = wgpy_type_name(o);
        PyErr_Format(PyExc_TypeError, "expected a torch.ByteTensor, but got %V", name, "?");
        Py_XDECREF(name);
        return -1;
    }
    const wg_tensor *t = wgpy_handle(o);
    if (wg_dtype_of(t) != WG_UINT8) {
        PyErr_SetString(PyExc_TypeError, "RNG state must be a torch.ByteTensor");
        return -1;
    }
    if (wg_numel(t) != WG_GENERATOR_STATE_BYTES) {
        PyErr_Format(PyExc_RuntimeError,
                     "Expected a CPUGeneratorImplState of size %d but found the input RNG state size to be %lld",
                     WG_GENERATOR_STATE_BYTES, (long long)wg_numel(t));
        return -1;
    }
    return wgpy_check(wg_copy_out(t, WG_UINT8, state, sizeof(state))) ||
                   wgpy_check(wg_generator_set_state(g, state, sizeof(state)))
               ? -1
               : 0;
}
static PyObject *generator_set_state(PyObject *self, PyObject *o) {
    return put_state(generator_of(self), o) < 0 ? NULL : Py_NewRef(self);
}

static PyObject *generator_clone(PyObject *self, PyObject *u) {
    char state[WG_GENERATOR_STATE_BYTES];
    (void)u;
    PyObject *copy = wrap_generator(wg_generator_new());
    if (copy && !wgpy_check(wg_generator_get_state(generator_of(self), state, sizeof(state))) &&
        !wgpy_check(wg_generator_set_state(generator_of(copy), state, sizeof(state))))
        return copy;
    Py_XDECREF(copy);
    return NULL;
}
static PyObject *generator_deepcopy(PyObject *self, PyObject *memo) { return (void)memo, generator_clone(self, NULL); }

static PyObject *no_offset(PyObject *self, PyObject *u) {
    (void)self, (void)u;
    PyErr_SetString(PyExc_RuntimeError, "CPU Generator does not use offset");
    return NULL;
}
static PyObject *not_graphsafe(PyObject *self, PyObject *u) {
    (void)self, (void)u;
    PyErr_SetString(PyExc_NotImplementedError, "graphsafe_get_state is not supported in this Generator");
    return NULL;
}

/* As PyTorch's: rebuilt on a device, then the seed, an offset (none here) and the state. */
static PyObject *generator_reduce(PyObject *self, PyObject *u) {
    (void)u;
    PyObject *make = PyObject_GetAttrString(wgpy.module, "_make_generator"), *seed = generator_initial_seed(self, NULL),
             *state = generator_get_state(self, NULL), *r = NULL;
    if (make && seed && state) r = Py_BuildValue("O(O)(OOO)", make, wgpy.cpu, seed, Py_None, state);
    Py_XDECREF(make);
    Py_XDECREF(seed);
    Py_XDECREF(state);
    return r;
}
static PyObject *generator_setstate(PyObject *self, PyObject *args) {
    PyObject *seed, *offset, *state;
    uint64_t v;
    if (!PyTuple_Check(args)) {
        PyErr_SetString(PyExc_TypeError, "Generator.__setstate__: a tuple (seed, offset, state) is expected");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OOO:__setstate__", &seed, &offset, &state) || seed_of(seed, &v) < 0) return NULL;
    wg_generator_manual_seed(generator_of(self), v);
    if (put_state(generator_of(self), state) < 0) return NULL;
    Py_RETURN_NONE;
}
static PyObject *generator_device(PyObject *self, void *u) { return (void)self, (void)u, Py_NewRef(wgpy.cpu); }

static PyMethodDef generator_methods[] = {
    {"manual_seed", generator_manual_seed, METH_O, "manual_seed(seed) -> Generator\n\nStarts the stream of that seed."},
    {"seed", generator_seed, METH_NOARGS, "seed() -> int\n\nStarts at a random seed, which is returned."},
    {"initial_seed", generator_initial_seed, METH_NOARGS, "initial_seed() -> int\n\nThe seed set last."},
    {"get_state", generator_get_state, METH_NOARGS, "get_state() -> Tensor\n\nWhere the stream stands, as bytes."},
    {"set_state", generator_set_state, METH_O, "set_state(state)\n\nGoes on from there."},
    {"clone_state", generator_clone, METH_NOARGS,
     "clone_state() -> Generator\n\nA new one that stands at the same place."},
    {"graphsafe_get_state", not_graphsafe, METH_NOARGS, NULL},
    {"graphsafe_set_state", not_graphsafe, METH_O, NULL},
    {"get_offset", no_offset, METH_NOARGS, NULL},
    {"set_offset", no_offset, METH_O, NULL},
    {"__deepcopy__", generator_deepcopy, METH_O, NULL},
    {"__copy__", generator_clone, METH_NOARGS, NULL},
    {"__reduce__", generator_reduce, METH_NOARGS, NULL},
    {"__setstate__", generator_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef generator_getset[] = {{"device", generator_device, NULL, "The cpu.", NULL},
                                         {NULL, NULL, NULL, NULL, NULL}};

/* ---- the default generator
 * ---------------------------------------------------------------------------------------------------- */

static PyObject *manual_seed(PyObject *m, PyObject *args, PyObject *kwargs) {
    static char *keys[] = {"seed", NULL};
    PyObject *o;
    uint64_t seed;
    (void)m;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:manual_seed", keys, &o)) return NULL;
    PyObject *whole = PyNumber_Long(o);
    int st = whole ? seed_of(whole, &seed) : -1;
    Py_XDECREF(whole);
    if (st < 0) return NULL;
    wg_manual_seed(seed);
    return Py_NewRef(wgpy.default_generator);
}
static PyObject *seed(PyObject *m, PyObject *u) { return (void)m, generator_seed(wgpy.default_generator, u); }
static PyObject *initial_seed(PyObject *m, PyObject *u) {
    return (void)m, generator_initial_seed(wgpy.default_generator, u);
}
static PyObject *get_rng_state(PyObject *m, PyObject *u) {
    return (void)m, generator_get_state(wgpy.default_generator, u);
}
static PyObject *set_rng_state(PyObject *m, PyObject *o) {
    (void)m;
    if (put_state(generator_of(wgpy.default_generator), o) < 0) return NULL;
    Py_RETURN_NONE;
}
static PyObject *make_generator(PyObject *m, PyObject *device) {
    (void)m;
    return PyObject_CallFunctionObjArgs((PyObject *)wgpy.generator, device, NULL);
}

/* ---- drawing
 * --------------------------------------------------------------------------------------------------------------------
 */

/* Long fills give the GIL up. */
typedef struct unlocked {
    bool away;
    wgpy_away state;
} unlocked;
static unlocked begin(int64_t n) {
    unlocked p = {.away = n >= WGPY_LONG};
    if (p.away) p.state = wgpy_release_gil();
    return p;
}
static void end(unlocked p) {
    if (p.away) wgpy_acquire_gil(p.state);
}

static int64_t count(const wg_arg *a) {
    int64_t n = 1;
    for (uint32_t i = 0; i < a->n; i++)
        if (__builtin_mul_overflow(n, a->v.ints[i], &n)) return INT64_MAX;
    return n;
}

/* out= with the sizes of the argument: it is filled where it lies. */
static wg_tensor *place(const wgpy_factory *f, const wg_arg *sizes) {
    wg_tensor *t = f->out;
    bool fits = wg_ndim(t) == (int)sizes->n;
    for (uint32_t i = 0; i < sizes->n && fits; i++) fits = wg_size(t, (int)i) == sizes->v.ints[i];
    if (fits) return t;
    wg_tensor *room = wg_empty((int)sizes->n, sizes->v.ints, &f->options);
    if (wg_is_poison(room)) return room;
    return wg_set_data(t, room) == WG_OK ? t : NULL;
}

static PyObject *placed(const wgpy_factory *f, wg_tensor *r) {
    if (!r || wg_is_poison(r)) return wgpy_error();
    if (f->out_grad && wg_is_poison(wg_set_requires_grad(f->out, true))) return wgpy_error();
    return Py_NewRef(f->out_object);
}

enum kind { RAND, RANDN, NORMAL, RANDINT };
typedef struct draw {
    enum kind kind;
    double a, b;
    int64_t low, high;
} draw;

static wg_tensor *fill(wg_tensor *t, const draw *d, wg_generator *g) {
    if (!t || wg_is_poison(t)) return t;
    if (d->kind == RAND) return wg_uniform_(t, 0, 1, g);
    if (d->kind == RANDINT) return wg_random_range_(t, d->low, d->high, g);
    return wg_normal_(t, d->kind == NORMAL ? d->a : 0, d->kind == NORMAL ? d->b : 1, g);
}
static wg_tensor *fresh(const draw *d, int n, const int64_t *sizes, const wgpy_factory *f) {
    if (d->kind == RAND) return wg_rand(n, sizes, &f->options, f->generator);
    if (d->kind == RANDN) return wg_randn(n, sizes, &f->options, f->generator);
    if (d->kind == RANDINT) return wg_randint(d->low, d->high, n, sizes, &f->options, f->generator);
    return wg_normal(d->a, d->b, n, sizes, &f->options, f->generator);
}

static PyObject *drawn(const wgpy_call *c, int sizes, const draw *d) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    const wg_arg *s = &c->arg[sizes];
    unlocked p = begin(count(s));
    wg_tensor *r;
    if (f.out) {
        bool before = wg_set_grad_enabled(false);
        r = fill(place(&f, s), d, f.generator);
        wg_set_grad_enabled(before);
    } else {
        r = fresh(d, (int)s->n, s->v.ints, &f);
    }
    end(p);
    return f.out ? placed(&f, r) : wgpy_result_or_error(r);
}

static PyObject *rand_(const wgpy_call *c) { return drawn(c, 0, &(draw){.kind = RAND}); }
static PyObject *randn(const wgpy_call *c) { return drawn(c, 0, &(draw){.kind = RANDN}); }
static PyObject *randint(const wgpy_call *c) {
    int low = c->sig->npos == 3;
    return drawn(c, low + 1, &(draw){.kind = RANDINT, .low = low ? wgpy_int(c, 0, 0) : 0, .high = wgpy_int(c, low, 0)});
}
static PyObject *normal_sizes(const wgpy_call *c) {
    return drawn(c, 2, &(draw){.kind = NORMAL, .a = wgpy_double(c, 0, 0), .b = wgpy_double(c, 1, 1)});
}

static PyObject *randperm(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    int64_t n = wgpy_int(c, 0, 0);
    unlocked p = begin(n);
    wg_tensor *r = wg_randperm(n, &f.options, f.generator);
    end(p);
    return wgpy_made(&f, r);
}

static wg_tensor *like(const draw *d, wg_tensor *t, wgpy_factory *f) {
    if (!f->format || f->format == wgpy.preserve_format) {
        if (d->kind == RAND) return wg_rand_like(t, &f->options, f->generator);
        if (d->kind == RANDN) return wg_randn_like(t, &f->options, f->generator);
        return wg_randint_like(t, d->low, d->high, &f->options, f->generator);
    }
    bool before = wg_set_grad_enabled(false);
    wg_tensor *r = fill(wgpy_empty_like(f, t), d, f->generator);
    wg_set_grad_enabled(before);
    return r;
}
static PyObject *drawn_like(const wgpy_call *c, const draw *d) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? wgpy_result_or_error(like(d, c->arg[0].v.t, &f)) : NULL;
}
static PyObject *rand_like(const wgpy_call *c) { return drawn_like(c, &(draw){.kind = RAND}); }
static PyObject *randn_like(const wgpy_call *c) { return drawn_like(c, &(draw){.kind = RANDN}); }
static PyObject *randint_like(const wgpy_call *c) {
    int low = c->sig->npos == 3;
    int64_t high;
    if (c->arg[1 + low].tag == WG_TAG_TENSOR) {
        if (wgpy_check(wg_item_i(c->arg[1].v.t, &high))) return NULL;
    } else {
        high = wgpy_int(c, 1 + low, 0);
    }
    return drawn_like(c, &(draw){.kind = RANDINT, .low = low ? wgpy_int(c, 1, 0) : 0, .high = high});
}

/* ---- sampling from tensors
 * ----------------------------------------------------------------------------------------------------------- */

static wg_tensor *parameter(const wgpy_call *c, int i, double otherwise) {
    return c->arg[i].tag == WG_TAG_TENSOR ? c->arg[i].v.t : wg_s(wgpy_double(c, i, otherwise));
}

/* out= of a function of tensors; its dtype is its own affair. */
static bool with_out(const wgpy_call *c, wgpy_factory *f) {
    if (!wgpy_factory_of(c, f)) return false;
    bool history = false;
    for (int i = 0; i < 2; i++) history |= c->arg[i].tag == WG_TAG_TENSOR && wg_requires_grad(c->arg[i].v.t);
    if (!f->out || !wg_grad_enabled() || !history) return true;
    PyErr_Format(PyExc_RuntimeError,
                 "%s(): functions with out=... arguments don't support automatic differentiation, but one of the "
                 "arguments requires "
                 "grad.",
                 c->family->name);
    return false;
}

static PyObject *normal(const wgpy_call *c) {
    wgpy_factory f;
    if (!with_out(c, &f)) return NULL;
    wg_tensor *mean = parameter(c, 0, 0), *std = parameter(c, 1, 1);
    unlocked p = begin(wg_numel(mean) + wg_numel(std));
    wg_tensor *r = wg_normal_tensor(mean, std, f.generator);
    end(p);
    return wgpy_made(&f, r);
}

static PyObject *bernoulli(const wgpy_call *c) {
    wgpy_factory f;
    if (!with_out(c, &f)) return NULL;
    wg_tensor *t = c->arg[0].v.t, *r;
    if (f.out) {
        r = wg_empty_like(t, &f.options);
        if (!wg_is_poison(r)) r = wg_bernoulli_tensor_(r, t, f.generator);
        return wgpy_made(&f, r);
    }
    unlocked p = begin(wg_numel(t));
    r = wg_bernoulli(t, f.generator);
    end(p);
    return wgpy_result_or_error(r);
}
static PyObject *bernoulli_p(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    wg_tensor *r = wg_empty_like(c->arg[0].v.t, NULL);
    return wgpy_result_or_error(wg_is_poison(r) ? r : wg_bernoulli_(r, wgpy_double(c, 1, 0), f.generator));
}

static PyObject *multinomial(const wgpy_call *c) {
    wgpy_factory f;
    if (!with_out(c, &f)) return NULL;
    if (f.out && f.options.dtype != WG_INT64) {
        PyErr_Format(PyExc_RuntimeError, "multinomial expects Long tensor out, got: %s",
                     wgpy_scalar_name(f.options.dtype));
        return NULL;
    }
    unlocked p = begin(wg_numel(c->arg[0].v.t) + wgpy_int(c, 1, 0));
    wg_tensor *r = wg_multinomial(c->arg[0].v.t, wgpy_int(c, 1, 0), wgpy_bool(c, 2, false), f.generator);
    end(p);
    return wgpy_made(&f, r);
}

/* ---- in place
 * --------------------------------------------------------------------------------------------------------------------------
 */

static PyObject *written(const wgpy_call *c, wg_tensor *r) {
    return wg_is_poison(r) ? wgpy_error() : Py_NewRef(c->object[0]);
}

/* name(self, a, b, *, generator) with defaults da, db */
#define FILL(name, da, db, call)                                                                                       \
    static PyObject *name(const wgpy_call *c) {                                                                        \
        wgpy_factory f;                                                                                                \
        if (!wgpy_factory_of(c, &f)) return NULL;                                                                      \
        wg_tensor *t = c->arg[0].v.t;                                                                                  \
        double a = wgpy_double(c, 1, da), b = wgpy_double(c, 2, db);                                                   \
        (void)b;                                                                                                       \
        unlocked p = begin(wg_numel(t));                                                                               \
        wg_tensor *r = call;                                                                                           \
        end(p);                                                                                                        \
        return written(c, r);                                                                                          \
    }
FILL(uniform_, 0, 1, wg_uniform_(t, a, b, f.generator))
FILL(normal_, 0, 1, wg_normal_(t, a, b, f.generator))
FILL(log_normal_, 1, 2, wg_log_normal_(t, a, b, f.generator))
FILL(cauchy_, 0, 1, wg_cauchy_(t, a, b, f.generator))
FILL(exponential_, 1, 0, wg_exponential_(t, a, f.generator))
FILL(geometric_, 0, 0, wg_geometric_(t, a, f.generator))
FILL(bernoulli_, 0.5, 0, wg_bernoulli_(t, a, f.generator))
#undef FILL

static PyObject *bernoulli_tensor_(const wgpy_call *c) {
    wgpy_factory f;
    return wgpy_factory_of(c, &f) ? written(c, wg_bernoulli_tensor_(c->arg[0].v.t, c->arg[1].v.t, f.generator)) : NULL;
}

/* One past the largest integer that random_(from, None) draws. */
static int64_t past_largest(wg_dtype d) {
    static const int64_t v[] = {2,         256,           128,          32768,         INT64_C(1) << 31,
                                INT64_MAX, (1 << 11) + 1, (1 << 8) + 1, (1 << 24) + 1, (INT64_C(1) << 53) + 1};
    return v[d];
}
static PyObject *random_(const wgpy_call *c) {
    wgpy_factory f;
    if (!wgpy_factory_of(c, &f)) return NULL;
    wg_tensor *t = c->arg[0].v.t, *r;
    bool to_only = c->sig->npos == 2;
    int64_t from = to_only ? 0 : wgpy_int(c, 1, 0),
            to = to_only ? wgpy_int(c, 1, 0) : wgpy_int(c, 2, past_largest(wg_dtype_of(t)));
    bool all = c->sig->npos == 1;
    if (c->sig->npos == 3 && !wgpy_given(c, 2) && wg_dtype_of(t) == WG_INT64) { /* its end is past int64 */
        all = from == 0;
        if (!all) {
            PyErr_SetString(PyExc_NotImplementedError,
                            "random_: int64 from a number other than 0 to the largest: Wengert does not have it yet");
            return NULL;
        }
    }
    unlocked p = begin(wg_numel(t));
    r = all ? wg_random_(t, f.generator) : wg_random_range_(t, from, to, f.generator);
    end(p);
    return written(c, r);
}

/* ---- tables
 * ------------------------------------------------------------------------------------------------------------------------------
 */

#define DTYPE_ON                                                                                                       \
    "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool? "                 \
    "requires_grad=False) -> Tensor"
#define OPTIONS "Tensor? out=None, " DTYPE_ON
#define LIKE "MemoryFormat? memory_format=None, " DTYPE_ON
#define END ", *, Generator? generator=None) -> Tensor"
#define OUT_END ", *, Generator? generator=None, Tensor? out=None) -> Tensor"
#define FUNCTION WGPY_FUNCTION
#define METHOD WGPY_METHOD

const wgpy_builtin wgpy_random_builtins[] = {
    {"rand(int[] size, *, " OPTIONS, "rand(*size, generator=None) -> Tensor\n\nUniform on [0, 1).", FUNCTION, rand_},
    {"rand.generator(int[] size, *, Generator? generator, " OPTIONS, NULL, FUNCTION, rand_},
    {"randn(int[] size, *, " OPTIONS, "randn(*size, generator=None) -> Tensor\n\nNormal, mean 0, standard deviation 1.",
     FUNCTION, randn},
    {"randn.generator(int[] size, *, Generator? generator, " OPTIONS, NULL, FUNCTION, randn},
    {"randint(int high, int[] size, *, " OPTIONS,
     "randint(low=0, high, size, generator=None) -> Tensor\n\nIntegers from low to high - 1.", FUNCTION, randint},
    {"randint.generator(int high, int[] size, *, Generator? generator, " OPTIONS, NULL, FUNCTION, randint},
    {"randint.low(int low, int high, int[] size, *, " OPTIONS, NULL, FUNCTION, randint},
    {"randint.low_generator(int low, int high, int[] size, *, Generator? generator, " OPTIONS, NULL, FUNCTION, randint},
    {"randperm(int n, *, " OPTIONS, "randperm(n, generator=None) -> Tensor\n\n0 .. n - 1 in a random order.", FUNCTION,
     randperm},
    {"randperm.generator(int n, *, Generator? generator, " OPTIONS, NULL, FUNCTION, randperm},
    {"rand_like(Tensor self, *, " LIKE, "rand_like(input) -> Tensor\n\nrand of input's sizes and dtype.", FUNCTION,
     rand_like},
    {"rand_like.generator(Tensor self, *, Generator? generator, " LIKE, NULL, FUNCTION, rand_like},
    {"randn_like(Tensor self, *, " LIKE, "randn_like(input) -> Tensor\n\nrandn of input's sizes and dtype.", FUNCTION,
     randn_like},
    {"randn_like.generator(Tensor self, *, Generator? generator, " LIKE, NULL, FUNCTION, randn_like},
    {"randint_like(Tensor self, int high, *, " LIKE,
     "randint_like(input, low=0, high) -> Tensor\n\nrandint of input's sizes and dtype.", FUNCTION, randint_like},
    {"randint_like.generator(Tensor self, int high, *, Generator? generator, " LIKE, NULL, FUNCTION, randint_like},
    {"randint_like.low(Tensor self, int low, int high, *, " LIKE, NULL, FUNCTION, randint_like},
    {"randint_like.low_generator(Tensor self, int low, int high, *, Generator? generator, " LIKE, NULL, FUNCTION,
     randint_like},
    {"randint_like.tensor(Tensor self, Tensor high, *, " LIKE, NULL, FUNCTION, randint_like},
    {"randint_like.tensor_generator(Tensor self, Tensor high, *, Generator? generator, " LIKE, NULL, FUNCTION,
     randint_like},
    {"normal(Tensor mean, Tensor std" OUT_END,
     "normal(mean, std, size=None, generator=None) -> Tensor\n\nNormal; mean and std may be tensors.", FUNCTION,
     normal},
    {"normal.mean(Tensor mean, float std=1" OUT_END, NULL, FUNCTION, normal},
    {"normal.std(float mean, Tensor std" OUT_END, NULL, FUNCTION, normal},
    {"normal.size(float mean, float std, int[] size, *, Generator? generator=None, " OPTIONS, NULL, FUNCTION,
     normal_sizes},
    {"bernoulli(Tensor self" OUT_END, "bernoulli(input, generator=None) -> Tensor\n\n1 with probability input, else 0.",
     FUNCTION, bernoulli},
    {"bernoulli.p(Tensor self, float p" END, NULL, FUNCTION | METHOD, bernoulli_p},
    {"bernoulli(Tensor self" END, "bernoulli(generator=None) -> Tensor\n\n1 with probability x, else 0.", METHOD,
     bernoulli},
    {"multinomial(Tensor self, int num_samples, bool replacement=False" OUT_END,
     "multinomial(input, num_samples, replacement=False, generator=None) -> Tensor\n\nIndices, drawn by weight.",
     FUNCTION, multinomial},
    {"multinomial(Tensor self, int num_samples, bool replacement=False" END,
     "multinomial(num_samples, replacement=False) -> Tensor\n\nIndices, drawn by weight.", METHOD, multinomial},
    {"uniform_(Tensor self, float from=0, float to=1" END,
     "uniform_(from=0, to=1) -> Tensor\n\nFills with uniforms on [from, to).", METHOD, uniform_},
    {"normal_(Tensor self, float mean=0, float std=1" END, "normal_(mean=0, std=1) -> Tensor\n\nFills with normals.",
     METHOD, normal_},
    {"log_normal_(Tensor self, float mean=1, float std=2" END,
     "log_normal_(mean=1, std=2) -> Tensor\n\nFills with exponentials of normals.", METHOD, log_normal_},
    {"cauchy_(Tensor self, float median=0, float sigma=1" END,
     "cauchy_(median=0, sigma=1) -> Tensor\n\nFills from the Cauchy distribution.", METHOD, cauchy_},
    {"exponential_(Tensor self, float lambd=1" END,
     "exponential_(lambd=1) -> Tensor\n\nFills from the exponential distribution.", METHOD, exponential_},
    {"geometric_(Tensor self, float p" END,
     "geometric_(p) -> Tensor\n\nFills with numbers of trials until the first success.", METHOD, geometric_},
    {"bernoulli_.tensor(Tensor self, Tensor p" END,
     "bernoulli_(p=0.5) -> Tensor\n\nFills with 1 of probability p, else 0.", METHOD, bernoulli_tensor_},
    {"bernoulli_(Tensor self, float p=0.5" END, NULL, METHOD, bernoulli_},
    {"random_(Tensor self" END,
     "random_(from=0, to=None) -> Tensor\n\nFills with integers below to, or of the dtype's range.", METHOD, random_},
    {"random_.to(Tensor self, int to" END, NULL, METHOD, random_},
    {"random_.from(Tensor self, int from, int? to" END, NULL, METHOD, random_},
    {NULL, NULL, 0, NULL}};

static PyMethodDef functions[] = {
    {"manual_seed", (PyCFunction)(void (*)(void))manual_seed, METH_VARARGS | METH_KEYWORDS,
     "manual_seed(seed) -> Generator\n\nStarts the default generator's stream of that seed."},
    {"seed", seed, METH_NOARGS, "seed() -> int\n\nStarts the default generator at a random seed, which is returned."},
    {"initial_seed", initial_seed, METH_NOARGS, "initial_seed() -> int\n\nThe default generator's seed."},
    {"get_rng_state", get_rng_state, METH_NOARGS,
     "get_rng_state() -> Tensor\n\nWhere the default generator's stream stands."},
    {"set_rng_state", set_rng_state, METH_O, "set_rng_state(new_state)\n\nGoes on from there."},
    {"_make_generator", make_generator, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

int wgpy_init_random(PyObject *module) {
    PyType_Slot slots[] = {{Py_tp_new, generator_new},
                           {Py_tp_dealloc, generator_dealloc},
                           {Py_tp_methods, generator_methods},
                           {Py_tp_getset, generator_getset},
                           {Py_tp_doc, "A stream of random numbers."},
                           {0, NULL}};
    PyType_Spec spec = {"torch._C.Generator", sizeof(wgpy_generator), 0, Py_TPFLAGS_DEFAULT, slots};
    wgpy.generator = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!wgpy.generator || PyModule_AddType(module, wgpy.generator) < 0) return -1;
    wgpy.default_generator = wrap_generator(wg_generator_keep(wg_default_generator()));
    if (!wgpy.default_generator || PyModule_AddObjectRef(module, "default_generator", wgpy.default_generator) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}
