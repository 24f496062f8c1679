/* node.c - grad_fn objects: one Python type per name of node, made when first met; their attributes; how they and nodes
 * keep each other.
 *
 * Identity: the node's slot leads to its object, so that t.grad_fn is t.grad_fn. The object keeps the node and is made
 * anew when nobody holds it, unless it carries something (metadata): then the node keeps it. A Function's context is
 * kept by its node always, and does not keep it.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"
#include <structmember.h>

int64_t wgpy_held;
static PyObject *types;              /* name -> type */
static PyTypeObject *input_metadata; /* shape, dtype, device of an output */

/* ---- one type per name
 * -------------------------------------------------------------------------------------------------- */

static const char *short_name(const char *name) { /* "torch::autograd::AccumulateGrad" -> "AccumulateGrad" */
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

/* The name has no dot, so that repr shows it bare, as PyTorch's; a __module__ that is there already is left alone. */
static PyObject *new_type(const char *name) {
    static PyGetSetDef module[] = {{"__module__", NULL, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
    PyType_Slot slots[] = {{Py_tp_dealloc, wgpy_node_dealloc},
                           {Py_tp_traverse, wgpy_node_traverse},
                           {Py_tp_clear, wgpy_node_clear},
                           {Py_tp_getset, module},
                           {0, NULL}};
    PyType_Spec spec = {name, sizeof(wgpy_node), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyObject *type = PyType_FromSpecWithBases(&spec, (PyObject *)wgpy.node),
             *builtins = PyUnicode_FromString("builtins");
    bool good = type && builtins && PyObject_SetAttrString(type, "__module__", builtins) == 0 &&
                PyDict_SetItemString(types, name, type) == 0;
    Py_XDECREF(builtins);
    if (!good) Py_CLEAR(type);
    return type;
}

static PyTypeObject *type_of(const wg_node *n) { /* a new reference */
    const char *name = short_name(wg_node_name(n));
    PyObject *type = PyDict_GetItemString(types, name); /* borrowed */
    return (PyTypeObject *)(type ? Py_NewRef(type) : new_type(name));
}

/* ---- life and death
 * ------------------------------------------------------------------------------------------------------- */

static PyObject *existing(wgpy_node *self, wg_node *n) {
    if (!self->kept || self->is_context) return Py_NewRef((PyObject *)self);
    self->kept = false; /* the node's reference to us becomes the caller's, ours to the node is new */
    wgpy_held--;
    wg_node_keep(n);
    return (PyObject *)self;
}

PyObject *wgpy_wrap_node(wg_node *n) {
    if (!n) Py_RETURN_NONE;
    wgpy_node *self = wg_node_slot(n);
    if (self) return existing(self, n);
    PyTypeObject *type = type_of(n);
    self = type ? PyObject_GC_New(wgpy_node, type) : NULL;
    Py_XDECREF((PyObject *)type); /* the object has one of its own */
    if (!self) return NULL;
    self->n = NULL;
    self->dict = self->weakrefs = self->metadata = NULL;
    self->kept = self->is_context = false;
    wgpy_node_attach(self, n);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

void wgpy_node_attach(wgpy_node *self, wg_node *n) {
    self->n = self->is_context ? n : wg_node_keep(n);
    wg_node_set_slot(n, self);
    if (!self->is_context) return;
    Py_INCREF((PyObject *)self);
    self->kept = true;
    wgpy_held++;
}

/* Python let go; does the node go on, and must it remember us? */
static bool keep_object(wgpy_node *self) {
    if (!self->n || self->kept || wg_node_owner_count(self->n) <= 1) return false;
    if (!self->weakrefs && !self->metadata) return false;
    self->kept = true;
    wgpy_held++;
    return true;
}

static void let_go(wgpy_node *self) {
    wg_node *n = self->n;
    self->n = NULL;
    if (!n) return;
    wg_node_set_slot(n, NULL);
    wg_node_release(n);
}

void wgpy_node_dealloc(PyObject *object) {
    wgpy_node *self = (wgpy_node *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (keep_object(self)) {
        Py_SET_REFCNT(object, 1);
        wg_node_release(self->n);
        return;
    }
    PyObject_GC_UnTrack(object);
    if (self->weakrefs) PyObject_ClearWeakRefs(object);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->metadata);
    let_go(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

void wgpy_node_released(void *object) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error e = wgpy_save_error();
    wgpy_node *self = object;
    if (self->kept) wgpy_held--;
    self->n = NULL;
    self->kept = false;
    Py_DECREF(object);
    wgpy_restore_error(e);
    PyGILState_Release(gil);
}

/* ---- cycles
 * ----------------------------------------------------------------------------------------------------------------- */

typedef struct visiting {
    visitproc visit;
    void *arg;
} visiting;
static int visit_hook(void *fn, void *arg) {
    visiting *v = arg;
    return v->visit(fn, v->arg);
}
static int visit_slot(void *object, void *arg) {
    visiting *v = arg;
    return ((wgpy_node *)object)->kept ? v->visit(object, v->arg) : 0;
}
#define VISITOR(v)                                                                                                     \
    {                                                                                                                  \
        .size = sizeof(wg_visitor), .destroy = wgpy_hook_dropped, .hook = visit_hook, .slot = visit_slot, .arg = (v),  \
        .limit = 4096                                                                                                  \
    }

int wgpy_visit_history(wg_tensor *t, visitproc visit, void *arg) {
    if (!wgpy_held) return 0;
    visiting v = {visit, arg};
    wg_visitor visitor = VISITOR(&v);
    return wg_visit_history(t, &visitor);
}

int wgpy_node_traverse(PyObject *object, visitproc visit, void *arg) {
    wgpy_node *self = (wgpy_node *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->dict);
    Py_VISIT(self->metadata);
    if (!wgpy_held || !self->n || self->kept) return 0;
    visiting v = {visit, arg};
    wg_visitor visitor = VISITOR(&v);
    return wg_node_visit_history(self->n, &visitor);
}

int wgpy_node_clear(PyObject *object) {
    wgpy_node *self = (wgpy_node *)object;
    Py_CLEAR(self->dict);
    Py_CLEAR(self->metadata);
    if (self->n && !self->kept && wg_node_owner_count(self->n) == 1) let_go(self);
    return 0;
}

/* ---- attributes
 * ---------------------------------------------------------------------------------------------------------------- */

static wg_node *node_of(PyObject *o) {
    wg_node *n = ((wgpy_node *)o)->n;
    if (!n) PyErr_SetString(PyExc_RuntimeError, "this node's graph is gone: keep a tensor of it to keep the graph");
    return n;
}

static PyObject *node_name(PyObject *self, PyObject *unused) {
    wg_node *n = node_of(self);
    (void)unused;
    return n ? PyUnicode_FromString(wg_node_name(n)) : NULL;
}

static PyObject *repr(PyObject *self) {
    PyObject *name = PyType_GetName(Py_TYPE(self));
    PyObject *text = name ? PyUnicode_FromFormat("<%U object at %p>", name, self) : NULL;
    Py_XDECREF(name);
    return text;
}

static PyObject *next_functions(PyObject *self, void *unused) {
    wg_node *n = node_of(self);
    (void)unused;
    int count = n ? wg_node_inputs(n) : 0;
    PyObject *all = n ? PyTuple_New(count) : NULL;
    for (int i = 0; all && i < count; i++) {
        int nr = 0;
        wg_node *next = wg_node_next(n, i, &nr);
        PyObject *o = wgpy_wrap_node(next), *pair = o ? Py_BuildValue("(Ni)", o, next ? nr : 0) : NULL;
        if (pair)
            PyTuple_SetItem(all, i, pair);
        else
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *metadata(PyObject *self, void *unused) {
    wgpy_node *n = (wgpy_node *)self;
    (void)unused;
    if (!n->metadata && !(n->metadata = PyDict_New())) return NULL;
    return Py_NewRef(n->metadata);
}

static PyObject *requires_grad(PyObject *self, void *unused) {
    (void)self, (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *metadata_of_output(const wg_node *n, int o) {
    wg_dtype dtype;
    int ndim;
    const int64_t *sizes;
    if (wgpy_check(wg_node_output(n, o, &dtype, &ndim, &sizes))) return NULL;
    PyObject *m = PyStructSequence_New(input_metadata);
    if (!m) return NULL;
    PyStructSequence_SetItem(m, 0, wgpy_size(ndim, sizes));
    PyStructSequence_SetItem(m, 1, wgpy_dtype_object(dtype));
    PyStructSequence_SetItem(m, 2, Py_NewRef(wgpy.cpu));
    if (PyErr_Occurred()) Py_CLEAR(m);
    return m;
}
static PyObject *all_metadata(PyObject *self, void *unused) {
    wg_node *n = node_of(self);
    (void)unused;
    int count = n ? wg_node_outputs(n) : 0;
    PyObject *all = n ? PyTuple_New(count) : NULL;
    for (int o = 0; all && o < count; o++) {
        PyObject *m = metadata_of_output(n, o);
        if (m)
            PyTuple_SetItem(all, o, m);
        else
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *sequence_nr(PyObject *self, PyObject *unused) {
    wg_node *n = node_of(self);
    (void)unused;
    return n ? PyLong_FromUnsignedLongLong(wg_node_sequence(n)) : NULL;
}

/* ---- _saved_X: what the call saved, by the schema's names
 * ---------------------------------------------------------------------------- */

/* An argument of a schema: the next after p. Returns where the one after it begins, NULL at the end. */
typedef struct argument {
    const char *name;
    size_t len;
    bool tensor, list;
} argument;
static const char *next_argument(const char *p, argument *a) {
    p += strspn(p, "(, ");
    if (*p == '*') p += 1 + strspn(p + 1, ", ");
    if (!*p || *p == ')') return NULL;
    size_t type = strcspn(p, " ");
    a->tensor = strncmp(p, "Tensor", 6) == 0;
    a->list = a->tensor && type > 6 && memchr(p, '[', type);
    a->name = p + type + 1;
    a->len = strcspn(a->name, ",)=");
    int depth = 0; /* a default may hold commas and parentheses */
    for (p = a->name + a->len; *p && (depth || (*p != ',' && *p != ')')); p++)
        depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
    return p;
}

static PyObject *number(wg_tensor *t) { /* as the Python number that it was */
    double d;
    int64_t i;
    if (wg_dtype_is_floating(wg_dtype_of(t))) return wgpy_check(wg_item(t, &d)) ? NULL : PyFloat_FromDouble(d);
    if (wgpy_check(wg_item_i(t, &i))) return NULL;
    return wg_dtype_of(t) == WG_BOOL ? PyBool_FromLong(i != 0) : PyLong_FromLongLong(i);
}

static PyObject *saved_tensor(wg_node *n, int i) {
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_node_saved(n, i);
    if (t && !wg_is_poison(t) && i >= 0 && wg_node_input_is_number(n, i)) {
        PyObject *o = number(t);
        wg_scope_close(scope);
        return o;
    }
    return wgpy_leave(scope, t);
}

static PyObject *attribute_value(const wg_arg *a) {
    switch (a->tag) {
    case WG_TAG_INT: return PyLong_FromLongLong(a->v.i);
    case WG_TAG_BOOL: return PyBool_FromLong(a->v.i != 0);
    case WG_TAG_DOUBLE: return PyFloat_FromDouble(a->v.d);
    case WG_TAG_DTYPE: return wgpy_dtype_object((wg_dtype)a->v.i);
    case WG_TAG_STRING: return a->v.s ? PyUnicode_FromString(a->v.s) : Py_NewRef(Py_None);
    case WG_TAG_INTS: break;
    default: return Py_NewRef(Py_None);
    }
    PyObject *all = PyTuple_New((Py_ssize_t)a->n);
    for (uint32_t i = 0; all && i < a->n; i++) PyTuple_SetItem(all, i, PyLong_FromLongLong(a->v.ints[i]));
    return all;
}

/* The results' names: one is "result", of two the second has one ("indices"). */
static void result_name(const char *schema, int nout, argument *a) {
    const char *arrow = strstr(schema, ") -> ("), *comma = arrow && nout == 2 ? strchr(arrow + 6, ',') : NULL;
    *a = (argument){.name = "result", .len = 6, .tensor = true};
    const char *name = comma ? strchr(comma + 2, ' ') : NULL;
    if (name) *a = (argument){.name = name + 1, .len = strcspn(name + 1, ",)"), .tensor = true};
}

/* Calls f for each name that may be saved; index: of the input, -1 of the result, or among the attributes. Stops at the
 * first that does not return 0. */
typedef int (*saved_fn)(void *user, wg_node *n, const argument *a, int index);
static int each_saved(wg_node *n, saved_fn f, void *user) {
    const char *schema = wg_node_schema(n), *p = schema ? strchr(schema, '(') : NULL;
    argument a;
    int input = 0, attr = 0, stop = 0;
    if (!p) return 0;
    while (!stop && (p = next_argument(p, &a))) {
        if (a.list) break; /* what stands after a list has no fixed number */
        if (!a.tensor)
            stop = f(user, n, &a, attr++);
        else if (wg_node_may_save(n, input++))
            stop = f(user, n, &a, input - 1);
    }
    if (stop || !wg_node_may_save(n, -1)) return stop;
    result_name(schema, wg_node_outputs(n), &a);
    return f(user, n, &a, -1);
}

typedef struct lookup {
    const char *name;
    size_t len;
    PyObject *value;
} lookup;
static int find_saved(void *user, wg_node *n, const argument *a, int index) {
    lookup *l = user;
    if (l->len != a->len || memcmp(l->name, a->name, a->len)) return 0;
    wg_arg arg;
    if (a->tensor)
        l->value = saved_tensor(n, index);
    else
        l->value = wg_node_attr(n, index, &arg) ? attribute_value(&arg) : Py_NewRef(Py_None);
    return 1;
}

/* ---- looking names up: what no type has
 * ------------------------------------------------------------------------------------------------ */

static PyObject *special_attribute(wg_node *n, const char *name, size_t len, bool *found) {
    *found = true;
    if (strcmp(name, "variable") == 0 && wg_node_variable(n)) return wgpy_wrap_borrowed(wg_node_variable(n));
    lookup l = {.name = name + 7, .len = len - 7};
    if (len > 7 && strncmp(name, "_saved_", 7) == 0 && each_saved(n, find_saved, &l)) return l.value;
    *found = false;
    return NULL;
}

static PyObject *getattro(PyObject *self, PyObject *name) {
    PyObject *value = PyObject_GenericGetAttr(self, name);
    wg_node *n = ((wgpy_node *)self)->n;
    if (value || !n || !PyErr_ExceptionMatches(PyExc_AttributeError)) return value;
    Py_ssize_t len;
    wgpy_saved_error missing = wgpy_save_error();
    const char *text = PyUnicode_AsUTF8AndSize(name, &len);
    bool found = false;
    if (text) value = special_attribute(n, text, (size_t)len, &found);
    if (text && !found) {
        wgpy_restore_error(missing);
        return NULL;
    }
    Py_XDECREF(missing.type);
    Py_XDECREF(missing.value);
    Py_XDECREF(missing.traceback);
    return value;
}

static int list_saved(void *user, wg_node *n, const argument *a, int index) {
    (void)n, (void)index;
    PyObject *word = PyUnicode_FromStringAndSize(a->name, (Py_ssize_t)a->len),
             *name = word ? PyUnicode_FromFormat("_saved_%U", word) : NULL;
    Py_XDECREF(word);
    int failed = name ? PyList_Append(user, name) : -1;
    Py_XDECREF(name);
    return failed;
}

static PyObject *node_dir(PyObject *self, PyObject *unused) {
    (void)unused;
    wg_node *n = ((wgpy_node *)self)->n;
    PyObject *names = PyObject_Dir((PyObject *)Py_TYPE(self));
    if (names && n && each_saved(n, list_saved, names) < 0) Py_CLEAR(names);
    if (names && n && wg_node_variable(n)) {
        PyObject *name = PyUnicode_FromString("variable");
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

/* ---- calling a node
 * ----------------------------------------------------------------------------------------------------------------------
 */

static int take_cotangents(PyObject *args, wg_tensor **g, int n) {
    for (int i = 0; i < n; i++) {
        PyObject *o = PyTuple_GetItem(args, i);
        if (o != Py_None && !wgpy_is_tensor(o)) {
            PyErr_Format(PyExc_TypeError, "argument %d is not a Variable", i);
            return -1;
        }
        g[i] = o == Py_None ? NULL : wgpy_handle(o);
    }
    return 0;
}

static PyObject *results_of(wg_tensor *const *r, int n) {
    if (n == 1) return wgpy_wrap_borrowed(r[0]);
    PyObject *all = PyTuple_New(n);
    for (int i = 0; all && i < n; i++) {
        PyObject *o = wgpy_wrap_borrowed(r[i]);
        if (o)
            PyTuple_SetItem(all, i, o);
        else
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *node_call(PyObject *self, PyObject *args, PyObject *kwargs) {
    wg_node *n = node_of(self);
    if (!n) return NULL;
    int given = (int)PyTuple_Size(args), nout = wg_node_outputs(n), nin = wg_node_inputs(n);
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "keyword arguments are not supported");
        return NULL;
    }
    if (given != nout) {
        PyErr_Format(PyExc_TypeError, "expected %d arguments, got %d instead", nout, given);
        return NULL;
    }
    wg_tensor **g = PyMem_Calloc((size_t)(nout + nin + 1), sizeof(*g)), **r = g + nout;
    if (!g) return PyErr_NoMemory();
    PyObject *result = NULL;
    size_t scope = wg_scope_open();
    wg_node_keep(n);
    if (take_cotangents(args, g, nout) == 0)
        result = wgpy_check(wg_node_run(n, g, nout, r)) ? NULL : results_of(r, nin);
    wg_scope_close(scope);
    wg_node_release(n);
    PyMem_Free(g);
    return result;
}

/* ---- the base type
 * --------------------------------------------------------------------------------------------------------------------------
 */

static PyMethodDef methods[] = {
    {"name", node_name, METH_NOARGS, "name() -> str\n\nAddBackward0: of which op's call this is the derivative."},
    {"register_hook", wgpy_node_register_hook, METH_O,
     "register_hook(fn) -> RemovableHandle\n\nfn(grad_inputs, grad_outputs) runs after the node; a tuple that it "
     "returns replaces grad_inputs."},
    {"register_prehook", wgpy_node_register_prehook, METH_O,
     "register_prehook(fn) -> RemovableHandle\n\nfn(grad_outputs) runs before the node; a tuple that it returns "
     "replaces them."},
    {"_sequence_nr", sequence_nr, METH_NOARGS, NULL},
    {"__dir__", node_dir, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef getset[] = {{"next_functions", next_functions, NULL,
                                "((node, output number), ...): where the gradients of its inputs go.", NULL},
                               {"metadata", metadata, NULL, "A dict for remarks on the node.", NULL},
                               {"requires_grad", requires_grad, NULL, "True.", NULL},
                               {"_input_metadata", all_metadata, NULL, NULL, NULL},
                               {NULL, NULL, NULL, NULL, NULL}};
static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(wgpy_node, weakrefs), READONLY, NULL},
                                {NULL, 0, 0, 0, NULL}};

static int make_metadata_type(void) {
    static PyStructSequence_Field fields[] = {{"shape", NULL}, {"dtype", NULL}, {"device", NULL}, {NULL, NULL}};
    static PyStructSequence_Desc desc = {"torch._C._autograd._InputMetadata",
                                         "What the cotangent of an output looks like.", fields, 3};
    input_metadata = PyStructSequence_NewType(&desc);
    return input_metadata ? 0 : -1;
}

int wgpy_init_node(PyObject *module) {
    PyType_Slot slots[] = {{Py_tp_doc, "A step of the graph: where gradients go from a tensor's grad_fn."},
                           {Py_tp_dealloc, wgpy_node_dealloc},
                           {Py_tp_traverse, wgpy_node_traverse},
                           {Py_tp_clear, wgpy_node_clear},
                           {Py_tp_repr, repr},
                           {Py_tp_call, node_call},
                           {Py_tp_getattro, getattro},
                           {Py_tp_methods, methods},
                           {Py_tp_getset, getset},
                           {Py_tp_members, members},
                           {0, NULL}};
    PyType_Spec spec = {
        "torch.autograd.graph.Node", sizeof(wgpy_node), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    types = PyDict_New();
    wgpy.node = types ? (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL) : NULL;
    if (!wgpy.node || make_metadata_type() < 0) return -1;
    return PyModule_AddObjectRef(module, "_Node", (PyObject *)wgpy.node);
}
