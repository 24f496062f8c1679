/* wgpy.h - what the files of the extension share. The extension holds no arithmetic: it turns Python's arguments into
 * calls of libwengert and the results into Python objects. Functions and methods come from the registry's schemas
 * (ops.c), the rest from schemas that stand beside their function (create.c, random.c ...), parsed by signature.c.
 *
 * One module state per process (wgpy): the library's binding is one per process too, and a second interpreter gets
 * ImportError.
 */
#ifndef WGPY_H
#define WGPY_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <pyconfig.h>
#ifdef Py_GIL_DISABLED
#error "Wengert does not support free-threaded builds of Python yet; use the ordinary build of the same version"
#endif
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "wengert/wengert.h"

#define WGPY_LIKELY(x) __builtin_expect(!!(x), 1)
#define WGPY_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* What leads to a failure is kept apart from what runs, which so takes less of the instruction cache. */
#define WGPY_COLD __attribute__((cold))
PyAPI_FUNC(PyObject *) PyErr_Format(PyObject *exception, const char *format, ...) WGPY_COLD;
PyAPI_FUNC(void) PyErr_SetString(PyObject *exception, const char *string) WGPY_COLD;
PyAPI_FUNC(PyObject *) PyErr_NoMemory(void) WGPY_COLD;

/* Replaces an owned reference. */
#define WGPY_SET(variable, value)                                                                                      \
    do {                                                                                                               \
        PyObject *before_ = (variable);                                                                                \
        (variable) = (value);                                                                                          \
        Py_XDECREF(before_);                                                                                           \
    } while (0)

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* A Tensor owns one reference to its handle, whose slot points back. When Python lets go of a Tensor that has a
 * __dict__, weak references or a subclass while the library still holds the handle, roles change: the handle keeps the
 * object (kept) until it dies or is asked for again. Others are made anew when they are asked for. */
typedef struct wgpy_tensor {
    PyObject_HEAD wg_tensor *t;
    PyObject *dict, *weakrefs;
    bool kept;
} wgpy_tensor;

typedef struct wgpy_dtype {
    PyObject_HEAD wg_dtype code;
} wgpy_dtype;

typedef struct wgpy_device {
    PyObject_HEAD wg_device device;
    bool has_index;
    char type[16];
} wgpy_device;

typedef struct wgpy_generator {
    PyObject_HEAD wg_generator *g;
} wgpy_generator;

/* A grad_fn: owns a reference to its node, whose slot points back. When Python lets go of one that must be remembered
 * (it has metadata) while the graph still holds the node, roles change as for a Tensor: the node keeps the object.
 * A Function's context begins with this struct and has is_context set: from wgpy_node_attach on it is the grad_fn of
 * its node, which owns it as long as it lives; the context does not own the node, as in PyTorch, so that there is no
 * cycle. */
typedef struct wgpy_node {
    PyObject_HEAD wg_node *n; /* NULL once the graph is gone */
    PyObject *dict, *weakrefs, *metadata;
    bool kept; /* the node keeps us */
    bool is_context;
} wgpy_node;

typedef struct wgpy_state {
    PyObject *module;
    PyTypeObject *tensor_meta, *tensor, *parameter, *dtype, *device, *size, *generator, *layout, *memory_format, *finfo,
        *iinfo;
    PyTypeObject *node;     /* base of the grad_fn types */
    PyObject *dtypes[32];   /* torch.float32 … ; NULL where the library has none */
    PyObject *reserved[32]; /* dtypes that exist as names only (complex64 …) */
    PyObject *cpu;          /* device('cpu') */
    PyObject *strided;      /* torch.strided */
    PyObject *contiguous_format, *preserve_format, *channels_last, *channels_last_3d;
    PyObject *default_generator;
    PyObject *functions; /* dict: name -> builtin function, all of torch's */
    PyObject *nn;        /* dict: functions of nn.functional */
    PyObject *hidden;    /* dict: ops that are parts of others: torch.ops.aten shows them */
    bool overrides;      /* somebody entered a __torch_function__ mode */
} wgpy_state;
extern wgpy_state wgpy;

static inline bool wgpy_is_exact(PyObject *o) { return Py_TYPE(o) == wgpy.tensor; }
/* What most arguments are, and what nothing can override. */
static inline bool wgpy_is_plain(PyObject *o) {
    PyTypeObject *t = Py_TYPE(o);
    return t == wgpy.tensor || t == &PyLong_Type || t == &PyFloat_Type || t == &PyBool_Type;
}
static inline bool wgpy_is_tensor(PyObject *o) {
    return Py_TYPE(o) == wgpy.tensor || PyType_IsSubtype(Py_TYPE(o), wgpy.tensor);
}
static inline wg_tensor *wgpy_handle(PyObject *o) { return ((wgpy_tensor *)o)->t; } /* of a Tensor; borrowed */
static inline bool wgpy_is_dtype(PyObject *o) { return Py_TYPE(o) == wgpy.dtype; }

/* ---- tensor.c: handles <-> objects ------------------------------------------------------------------------------- */

/* The object of an owned handle (the reference is consumed). Poison: NULL with the exception set. NULL: None. */
PyObject *wgpy_wrap(wg_tensor *t);
/* The same for a handle that somebody else owns. */
PyObject *wgpy_wrap_borrowed(wg_tensor *t);
/* A new object of a subclass over an owned handle that has no object yet; if it has one, an alias is wrapped. */
PyObject *wgpy_wrap_as(PyTypeObject *type, wg_tensor *t);
/* Borrowed handle of a Tensor; NULL with TypeError "who(): argument 'name' must be Tensor, not X". */
wg_tensor *wgpy_expect(PyObject *o, const char *who, const char *name);
/* A Python number (bool, int, float, or something with __index__ or __float__ such as NumPy's) as a number of the
 * current scope. NULL: it is none (no exception), or it does not fit (exception set: ask PyErr_Occurred). */
wg_tensor *wgpy_number(PyObject *o);
bool wgpy_is_number(PyObject *o); /* bool, int, float or a NumPy scalar; not a Tensor */

/* A call's frame: results that are not taken out go with the scope.
 *     size_t scope = wg_scope_open();  ... t = wg_op(...);  return wgpy_leave(scope, t); */
PyObject *wgpy_leave(size_t scope, wg_tensor *t);                    /* takes t out, closes, wraps */
PyObject *wgpy_leave_list(size_t scope, wg_tensor *const *t, int n); /* a tuple */
PyObject *wgpy_leave_error(size_t scope);                            /* closes; the exception of the library's error */

/* Work worth giving the GIL up for (elements, or multiplications of a product). */
#define WGPY_LONG 65536
static inline bool wgpy_long(const wg_tensor *t) { return t && wg_numel(t) >= WGPY_LONG; }
/* wgpy_release/wgpy_acquire: the call site is pinned while the GIL is away, since nobody can look at frames then. */
typedef struct wgpy_away {
    PyThreadState *state;
    void *pinned;
} wgpy_away;
wgpy_away wgpy_release_gil(void);
void wgpy_acquire_gil(wgpy_away away);

/* ---- errors: errors.c -------------------------------------------------------------------------------------------- */

/* The library's unread error as a Python exception of PyTorch's type; one that Python raised meanwhile (in a hook, on
 * Ctrl-C) goes first. Always returns NULL. */
WGPY_COLD PyObject *wgpy_error(void);
/* For statuses: 0, or -1 with the exception set. */
int wgpy_check(wg_status status);
/* A callback's Python exception seen from the library: leaves it set, returns WG_ERR_CALLBACK. */
wg_status wgpy_callback_failed(const char *who);
int wgpy_warn(PyObject *category, const char *text); /* PyErr_WarnEx at the caller's line; -1 when it became an error */
int wgpy_init_host(void);                            /* warnings, should_stop, binding callbacks, call sites */

/* ---- sites: site.c ----------------------------------------------------------------------------------------------- */
int wgpy_init_site(void);
void *wgpy_site_here(void); /* the word of the calling Python line; needs the GIL */

/* ---- signatures: signature.c ------------------------------------------------------------------------------------- */

/* What a schema's argument may be. */
typedef enum wgpy_type {
    PT_TENSOR = 1, /* Tensor */
    PT_OPERAND,    /* Tensor|Scalar */
    PT_TENSORS,    /* Tensor[], Tensor?[] */
    PT_INT,
    PT_INTS,  /* int[], SymInt[]; a Size, a list, or several ints */
    PT_INTS1, /* int[1]: a single int will do */
    PT_BOOL,
    PT_FLOAT,
    PT_SCALAR,
    PT_DTYPE,
    PT_STR,
    PT_GENERATOR,
    PT_DEVICE,
    PT_LAYOUT,
    PT_FORMAT, /* MemoryFormat */
    PT_ANY,    /* Any: the object itself */
} wgpy_type;

#define WGPY_MAX_ARGS 24
typedef struct wgpy_param {
    const char *name;
    PyObject *key, *alias; /* interned names; alias: NumPy's or the function form's (input, axis, keepdims) */
    uint8_t type;
    bool optional; /* takes None */
    bool has_default;
    bool kwonly;
    bool tensors;  /* one, or several */
    bool nullable; /* Tensor?[]: elements may be None */
} wgpy_param;

struct wgpy_call;
typedef struct wgpy_signature {
    const char *schema;
    char *text; /* own copy, cut into names */
    int n, npos;
    bool lists;    /* an argument is a list of tensors */
    int needed;    /* behind the last argument without a default */
    int self_at;   /* of a method: where self stands, nearly always 0 */
    int operands;  /* how many arguments may be a tensor or a number */
    wgpy_param *p; /* n of them */
    /* what it calls: an op of the registry, or a function of the extension */
    const wg_op *op;
    bool composite, in_place, unary, binary; /* unary, binary: the short way will do */
    bool returns_bool, returns_list;
    bool deprecated; /* works, with a warning; messages do not mention it */
    uint8_t nresults;
    PyTypeObject *named; /* torch.return_types.X */
    PyObject *(*run)(const struct wgpy_call *c);
    PyObject *strange; /* the last name looked for that it does not have; owned */
} wgpy_signature;

typedef struct wgpy_overloads {
    const char *name; /* "sum", "add_" */
    int n;
    wgpy_signature **s;
    PyObject *function; /* torch.X or Tensor.X, handed to __torch_function__ */
    bool is_method;
    bool takes_out;
    bool plain;                /* not overridable by arguments */
    const PyMethodDef *direct; /* a method written by hand: overridable like the others, no schema */
} wgpy_overloads;

/* Arguments after binding, in schema order. given[i]: passed (not default). Defaults are left to the op: tag NONE. */
typedef struct wgpy_call {
    const wgpy_signature *sig;
    const wgpy_overloads *family;
    wg_arg arg[WGPY_MAX_ARGS];
    PyObject *object[WGPY_MAX_ARGS]; /* borrowed; what was given, NULL when it was not */
    PyObject *out;                   /* out=, borrowed or NULL */
    int nints, ntensors;
    int64_t ints[64 * 3];
    wg_tensor *tensors[64];
    void *heap[4]; /* lists that were longer */
    int nheap;
} wgpy_call;

/* Parses a schema; NULL with an exception when it is malformed. */
wgpy_signature *wgpy_parse_schema(const char *schema, bool is_method);
/* Binds args to the first overload that takes them. self: a method's object, or NULL. Numbers become numbers of the
 * current scope: open one first. On failure a TypeError in PyTorch's words. Call wgpy_unbind when done (also on
 * failure). */
int wgpy_bind(wgpy_call *c, const wgpy_overloads *family, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames);
void wgpy_unbind(wgpy_call *c);
PyObject *wgpy_type_name(PyObject *o); /* an object's type as error texts name it; new reference */

/* Reading bound arguments: i is the position in the schema. */
static inline bool wgpy_given(const wgpy_call *c, int i) { return c->arg[i].tag != WG_TAG_NONE; }
static inline int64_t wgpy_int(const wgpy_call *c, int i, int64_t otherwise) {
    return c->arg[i].tag == WG_TAG_INT || c->arg[i].tag == WG_TAG_BOOL ? c->arg[i].v.i : otherwise;
}
static inline bool wgpy_bool(const wgpy_call *c, int i, bool otherwise) {
    return c->arg[i].tag == WG_TAG_BOOL ? c->arg[i].v.i != 0 : otherwise;
}
double wgpy_double(const wgpy_call *c, int i, double otherwise);
static inline wg_dtype wgpy_dtype_arg(const wgpy_call *c, int i) {
    return c->arg[i].tag == WG_TAG_DTYPE ? (wg_dtype)c->arg[i].v.i : WG_DTYPE_NONE;
}

/* ---- ops.c: the registry as functions and methods ---------------------------------------------------------------- */

/* A function of the extension with a schema: becomes torch.X, a method, or both. It runs in a scope that the caller
 * opened and closes: results are returned with wgpy_result. */
enum { WGPY_FUNCTION = 1, WGPY_METHOD = 2, WGPY_NN = 4, WGPY_PLAIN = 8 }; /* PLAIN: arguments do not override it */
typedef struct wgpy_builtin {
    const char *schema, *doc;
    int where; /* WGPY_FUNCTION | WGPY_METHOD | WGPY_NN */
    PyObject *(*run)(const wgpy_call *c);
} wgpy_builtin;
/* Tables of these, one per file, ended by a NULL schema; ops.c lists them. */
extern const wgpy_builtin wgpy_deprecated_builtins[]; /* overloads tried last */
extern const wgpy_builtin wgpy_create_builtins[], wgpy_function_builtins[], wgpy_random_builtins[],
    wgpy_tensor_builtins[], wgpy_index_builtins[], wgpy_autograd_builtins[];

int wgpy_init_ops(PyObject *module); /* reads the registry: before the Tensor type is made */
/* A method written by hand as an entry among those of the registry: what __torch_function__ may take over. */
int wgpy_add_direct(const PyMethodDef *method);
PyObject *wgpy_return_type(PyObject *module, PyObject *name); /* torch.return_types.X */
PyMethodDef *wgpy_op_methods(int *n);                         /* methods of Tensor made from all that */
/* examples.c, written by tools/make_examples: an example per function, sorted by key ("f.add", "m.add_", "n.linear").
 */
typedef struct wgpy_example {
    const char *key, *text;
} wgpy_example;
extern const wgpy_example wgpy_examples[];
extern const size_t wgpy_nexamples;
PyObject *wgpy_schemas(PyObject *module, PyObject *unused);
int wgpy_add_functions(PyObject *module);    /* torch.X and nn.functional.X */
const wg_op *wgpy_need_op(const char *name); /* an op that operators need; a missing one is a SystemError */
static inline PyObject *wgpy_result(wg_tensor *t) { return wgpy_wrap(wg_take(t)); }
static inline PyObject *wgpy_result_or_error(wg_tensor *t) {
    return t ? wgpy_result(t) : wgpy_error();
} /* NULL: failed */
/* The same where out= may have been given; out.c. */
PyObject *wgpy_deliver(const wgpy_call *c, wg_tensor *t);
PyObject *wgpy_deliver_all(const wgpy_call *c, wg_tensor *const *r,
                           int n);         /* several results; returns what out= named */
bool wgpy_may_deliver(const wgpy_call *c); /* out= takes no history and no tangents: false with the exception set */
/* Runs a bound call of a registry op; results as Python objects. */
PyObject *wgpy_run_op(wgpy_call *c);

/* ---- other files ------------------------------------------------------------------------------------------------- */

/* Methods and attributes of Tensor that are not ops. Ended by a NULL name. */
extern PyMethodDef wgpy_attribute_methods[], wgpy_index_methods[], wgpy_autograd_methods[], wgpy_interop_methods[],
    wgpy_override_methods[], wgpy_dlpack_methods[];
extern PyGetSetDef wgpy_attribute_getset[], wgpy_autograd_getset[], wgpy_interop_getset[];

PyObject *wgpy_repr(PyObject *self); /* attribute.c */

/* index.c: mp_subscript, mp_ass_subscript, mp_length, sq_contains, tp_iter */
PyObject *wgpy_getitem(PyObject *self, PyObject *key);
int wgpy_setitem(PyObject *self, PyObject *key, PyObject *value);
Py_ssize_t wgpy_length(PyObject *self);
int wgpy_contains(PyObject *self, PyObject *value);
PyObject *wgpy_iter(PyObject *self);

/* create.c: torch.tensor and Tensor(...) */
PyObject *wgpy_tensor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs); /* the legacy constructor */
/* sequence.c: results belong to the current scope; NULL or poison on error (wgpy_result_or_error). */
/* torch.tensor: a new tensor from nested sequences, numbers, arrays, tensors (W4); WG_DTYPE_NONE: inferred. */
wg_tensor *wgpy_from_object(PyObject *data, wg_dtype dtype);
wg_tensor *wgpy_share_object(PyObject *data, wg_dtype dtype); /* torch.as_tensor: shares memory where it can */
wg_tensor *wgpy_from_array(PyObject *array);                  /* over the memory of a NumPy array */
wg_tensor *wgpy_from_buffer(PyObject *o, wg_dtype dtype, int64_t count, int64_t offset); /* torch.frombuffer */
bool wgpy_is_array(PyObject *o);                                                         /* a numpy.ndarray */
bool wgpy_is_array_scalar(PyObject *o);                                                  /* a numpy.generic */
bool wgpy_is_numpy_bool(
    PyObject *o); /* numpy.bool_ of NumPy 1, which has __index__, with a warning: it is no integer */

/* create.c: what the keywords of factories say; false with an exception. The generator is borrowed, NULL: default. */
typedef struct wgpy_factory {
    wg_options options;
    wg_tensor *out;
    bool out_grad;
    PyObject *out_object, *format;
    wg_generator *generator;
} wgpy_factory;
bool wgpy_factory_of(const wgpy_call *c, wgpy_factory *f);
/* The new tensor r (poison or NULL: the error), or out= filled with it. */
PyObject *wgpy_made(const wgpy_factory *f, wg_tensor *r);
/* An empty tensor like t, in the memory format asked for. */
wg_tensor *wgpy_empty_like(const wgpy_factory *f, wg_tensor *t);
PyObject *wgpy_device_enter(PyObject *device, PyObject *unused); /* with torch.device("cpu"): */
PyObject *wgpy_device_exit(PyObject *device, PyObject *args);

/* types.c: dtype, device, Size, layout, memory_format, finfo, iinfo */
int wgpy_init_types(PyObject *module);
const char *wgpy_scalar_name(wg_dtype dtype);     /* "Float": the dtype in PyTorch's error texts */
const char *wgpy_cxx_name(wg_dtype dtype);        /* "float", "long int": as C++ calls it, in others of them */
PyObject *wgpy_dtype_object(wg_dtype dtype);      /* new reference */
PyObject *wgpy_size(int n, const int64_t *sizes); /* torch.Size */
PyObject *wgpy_device_object(wg_device device);   /* new reference */
/* device argument: a device, "cpu", "cpu:0", None; -1 with an exception. */
int wgpy_device_from(PyObject *o, wg_device *device);
int wgpy_dtype_from(PyObject *o, wg_dtype *dtype); /* torch.float32, or Python's float, int, bool */

/* override.c: __torch_function__ */
/* May this argument's type override? Cheap for tensors and Python's own types. */
bool wgpy_may_override(PyObject *o);
/* Calls the overriding argument's __torch_function__; NULL with or without exception: *handled tells. */
PyObject *wgpy_override(const wgpy_overloads *family, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames, bool *handled);

int wgpy_init_tensor(PyObject *module);
int wgpy_init_override(PyObject *module);
int wgpy_init_autograd(PyObject *module); /* backward, grad */
int wgpy_init_history(PyObject *module);  /* history's attributes of Tensor */
PyObject *wgpy_tensor_backward(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
int wgpy_init_mode(PyObject *module); /* no_grad and its kin */
int wgpy_init_node(PyObject *module); /* grad_fn objects */
int wgpy_init_hooks(PyObject *module);
int wgpy_init_function(PyObject *module); /* autograd.Function */
int wgpy_init_forward_ad(PyObject *module);
bool wgpy_handle_carries_tangent(wg_tensor *t); /* at Python's level, if it is open; NULL does not */
static inline bool wgpy_carries_tangent(PyObject *o) {
    return o && wgpy_is_tensor(o) && wgpy_handle_carries_tangent(wgpy_handle(o));
}

/* node.c. The object of a node (borrowed): a new reference; None for NULL. */
PyObject *wgpy_wrap_node(wg_node *n);
/* self, which has no node yet, becomes the grad_fn of n (borrowed), whose slot is free. */
void wgpy_node_attach(wgpy_node *self, wg_node *n);
/* For types made on wgpy.node (a Function's context): what their slots call. */
int wgpy_node_traverse(PyObject *self, visitproc visit, void *arg);
int wgpy_node_clear(PyObject *self);
void wgpy_node_dealloc(PyObject *self);
void wgpy_node_released(void *object);                            /* the library: a node died that kept its object */
int wgpy_visit_history(wg_tensor *t, visitproc visit, void *arg); /* a Tensor's traverse: what its handle alone keeps */

/* hooks.c: Python functions as the library's hooks. Objects that the library holds for Python, in hooks and kept
 * nodes: while there are none, the collector need not look at graphs. */
extern int64_t wgpy_held;
void wgpy_hook_dropped(void *fn);
PyObject *wgpy_register_hook(PyObject *self, PyObject *fn); /* Tensor.register_hook */
PyObject *wgpy_register_post_accumulate(PyObject *self, PyObject *fn);
PyObject *wgpy_node_register_hook(PyObject *self, PyObject *fn);
PyObject *wgpy_node_register_prehook(PyObject *self, PyObject *fn);
/* What the library's callbacks do around Python code: takes the GIL, lets calls name their own lines again. */
typedef struct wgpy_entry {
    PyGILState_STATE gil;
    void *pinned;
} wgpy_entry;
static inline wgpy_entry wgpy_enter_python(void) {
    wgpy_entry e = {.gil = PyGILState_Ensure()};
    e.pinned = wg_pin_site(NULL);
    return e;
}
static inline void wgpy_leave_python(wgpy_entry e) {
    wg_pin_site(e.pinned);
    PyGILState_Release(e.gil);
}
extern wg_tensor *wgpy_poison; /* what a failed callback returns */
/* An object's tensor as a result of a callback: an owner of its own in the innermost scope. */
static inline wg_tensor *wgpy_give(PyObject *o) { return wg_give(wg_keep(wgpy_handle(o))); }
/* Inside a backward of this thread? Runs fn after the innermost one. */
PyObject *wgpy_queue_callback(PyObject *module, PyObject *fn);
int wgpy_init_create(PyObject *module);
int wgpy_init_functions(PyObject *module);
int wgpy_init_random(PyObject *module); /* Generator */
int wgpy_init_dlpack(PyObject *module);
int wgpy_init_interop(PyObject *module); /* numpy, dlpack, buffer, pickle helpers */
int wgpy_init_index(PyObject *module);

/* A PyObject kept by the library (hooks, contexts, foreign memory): drops it, with the GIL taken if need be. */
void wgpy_decref(void *object);
/* The exception in force is kept safe from what code in between does. */
typedef struct wgpy_saved_error {
    PyObject *type, *value, *traceback;
} wgpy_saved_error;
static inline wgpy_saved_error wgpy_save_error(void) {
    wgpy_saved_error e;
    PyErr_Fetch(&e.type, &e.value, &e.traceback);
    return e;
}
static inline void wgpy_restore_error(wgpy_saved_error e) { PyErr_Restore(e.type, e.value, e.traceback); }

#endif
