/* ops.c - the registry as Python functions and methods. Walks the library's ops (wg_op_get), groups their schemas by
 * name, and makes torch.X, Tensor.X, Tensor.X_ and nn.functional.X of them; so an op added in C appears in Python by
 * itself. Functions of the extension that have a schema (create.c, random.c …) go the same way.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- running a bound call ---------------------------------------------------------------------------------------- */

enum { FEW = 64 };

/* An op with a list of results gives at most one per element of a dim. */
static int most_results(const wgpy_call *c) {
    int64_t most = FEW;
    if (!c->sig->returns_list) return FEW;
    for (int i = 0; i < c->sig->n; i++) {
        if (c->arg[i].tag != WG_TAG_TENSOR) continue;
        for (int d = 0; d < wg_ndim(c->arg[i].v.t); d++)
            if (wg_size(c->arg[i].v.t, d) > most) most = wg_size(c->arg[i].v.t, d);
    }
    return most < INT32_MAX - 1 ? (int)most + 1 : INT32_MAX;
}

static bool is_long(const wgpy_call *c) {
    for (int i = 0; i < c->sig->n; i++) {
        if (c->arg[i].tag == WG_TAG_TENSOR && wgpy_long(c->arg[i].v.t)) return true;
        if (c->arg[i].tag != WG_TAG_TENSORS) continue;
        for (uint32_t k = 0; k < c->arg[i].n; k++)
            if (wgpy_long(c->arg[i].v.ts[k])) return true;
    }
    return false;
}

static bool is_tensor_type(uint8_t type) { return type == PT_TENSOR || type == PT_OPERAND || type == PT_TENSORS; }

/* The primitive itself: tensors and other arguments apart. */
static wg_status apply(const wgpy_call *c, wg_tensor **out, int max, int *n) {
    const wgpy_signature *s = c->sig;
    wg_tensor *small[WGPY_MAX_ARGS + FEW], **in = small;
    wg_arg attr[WGPY_MAX_ARGS];
    small[0] = NULL;
    attr[0].tag = WG_TAG_NONE;
    int nin = 0, nattr = 0;
    size_t most = 0;
    for (int i = 0; i < s->n && s->lists; i++) most += c->arg[i].tag == WG_TAG_TENSORS ? c->arg[i].n : 1;
    if (most > WGPY_MAX_ARGS + FEW && !(in = malloc(most * sizeof(*in))))
        return wg_raise(WG_ERR_MEMORY, "no memory for %zu arguments", most);
    for (int i = 0; i < s->n; i++) {
        const wg_arg *a = &c->arg[i];
        if (!s->p[i].tensors)
            attr[nattr++] = *a;
        else if (a->tag == WG_TAG_TENSORS) {
            for (uint32_t k = 0; k < a->n; k++) in[nin++] = a->v.ts[k];
        } else {
            in[nin++] = a->tag == WG_TAG_TENSOR ? a->v.t : NULL;
        }
    }
    wg_status st = wg_op_apply(s->op, in, nin, attr, nattr, out, max, n);
    if (in != small) free(in);
    return st;
}

static wg_status run(const wgpy_call *c, wg_tensor **out, int max, int *n) {
    const wgpy_signature *s = c->sig;
    bool two = s->binary || s->unary; /* and nothing else was given */
    for (int i = s->binary ? 2 : 1; i < s->n && two; i++) two = c->arg[i].tag == WG_TAG_NONE;
    *n = 1;
    if (two && s->unary && !s->in_place)
        out[0] = wg_op_unary(s->op, c->arg[0].v.t);
    else if (two && s->binary && !s->in_place)
        out[0] = wg_op_binary(s->op, c->arg[0].v.t, c->arg[1].v.t);
    else if (two && s->binary)
        out[0] = wg_op_binary_(s->op, c->arg[0].v.t, c->arg[1].v.t);
    else if (s->composite || s->in_place)
        return wg_op_call(s->op, s->in_place, c->arg, s->n, out, max, n);
    else
        return apply(c, out, max, n);
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}

static PyObject *named_results(const wgpy_signature *s, wg_tensor *const *out, int n) {
    PyObject *r = PyStructSequence_New(s->named);
    for (int i = 0; i < n && r; i++) {
        PyObject *o = wgpy_result(out[i]);
        if (o)
            PyStructSequence_SetItem(r, i, o);
        else
            Py_CLEAR(r);
    }
    return r;
}

static PyObject *tuple_of(wg_tensor *const *out, int n) {
    PyObject *r = PyTuple_New(n);
    for (int i = 0; i < n && r; i++) {
        PyObject *o = wgpy_result(out[i]);
        if (o)
            PyTuple_SetItem(r, i, o);
        else
            Py_CLEAR(r);
    }
    return r;
}

static PyObject *truth_of(wg_tensor *t) {
    int v = wg_truth(t);
    return v < 0 ? wgpy_error() : PyBool_FromLong(v);
}

/* ---- a call from Python ------------------------------------------------------------------------------------------ */

PyObject *wgpy_run_op(wgpy_call *c) {
    wg_tensor *few[FEW], **out = few;
    int n = 0, max = most_results(c);
    if (c->out && !wgpy_may_deliver(c)) return NULL;
    if (max > FEW && !(out = malloc((size_t)max * sizeof(*out)))) return PyErr_NoMemory();
    wg_status st;
    if (is_long(c)) {
        wgpy_away away = wgpy_release_gil();
        st = run(c, out, max, &n);
        wgpy_acquire_gil(away);
    } else {
        st = run(c, out, max, &n);
    }
    PyObject *r;
    if (st != WG_OK)
        r = wgpy_error();
    else if (c->out)
        r = wgpy_deliver_all(c, out, n);
    else if (c->sig->returns_bool)
        r = truth_of(out[0]);
    else if (c->sig->returns_list)
        r = tuple_of(out, n);
    else if (c->sig->named)
        r = named_results(c->sig, out, n);
    else
        r = n > 1 ? tuple_of(out, n) : c->sig->in_place ? Py_NewRef(c->object[0]) : wgpy_result(out[0]);
    if (out != few) free(out);
    return r;
}

/* A method written by hand, called as its flags say. */
static PyObject *call_direct(const wgpy_overloads *f, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames) {
    int flags = f->direct->ml_flags;
    PyCFunction fn = f->direct->ml_meth;
    if (flags == (METH_FASTCALL | METH_KEYWORDS))
        return ((PyObject * (*)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *))(void (*)(void))fn)(
            self, args, nargs, kwnames);
    if (kwnames && PyTuple_Size(kwnames)) {
        PyErr_Format(PyExc_TypeError, "Tensor.%s() takes no keyword arguments", f->name);
        return NULL;
    }
    if (flags == METH_FASTCALL)
        return ((PyObject * (*)(PyObject *, PyObject *const *, Py_ssize_t))(void (*)(void))fn)(self, args, nargs);
    if (flags == METH_NOARGS && nargs == 0) return fn(self, NULL);
    if (flags == METH_O && nargs == 1) return fn(self, args[0]);
    PyErr_Format(PyExc_TypeError,
                 flags == METH_O ? "Tensor.%s() takes exactly one argument (%zd given)"
                                 : "Tensor.%s() takes no arguments (%zd given)",
                 f->name, nargs);
    return NULL;
}

static bool overrides(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (self && !wgpy_is_plain(self) && wgpy_may_override(self)) return true;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!wgpy_is_plain(args[i]) && wgpy_may_override(args[i])) return true;
    return false;
}

static PyObject *call(const wgpy_overloads *f, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames) {
    Py_ssize_t all = nargs + (kwnames ? PyTuple_Size(kwnames) : 0);
    if (WGPY_UNLIKELY(wgpy.overrides || (!f->plain && overrides(self, args, all)))) {
        bool handled;
        PyObject *r = wgpy_override(f, self, args, nargs, kwnames, &handled);
        if (handled) return r;
    }
    if (f->direct) return call_direct(f, self, args, nargs, kwnames);
    wgpy_call c;
    size_t scope = wg_scope_open();
    PyObject *r = NULL;
    if (wgpy_bind(&c, f, self, args, nargs, kwnames) == 0) r = c.sig->run ? c.sig->run(&c) : wgpy_run_op(&c);
    wgpy_unbind(&c);
    wg_scope_close(scope);
    return r;
}

/* ---- C functions for them: a method descriptor carries no data, so each name has a function of its own ----------- */

enum { MAX_NAMES = 2048 };
static wgpy_overloads *names[MAX_NAMES];
static PyMethodDef defs[MAX_NAMES];
static int nnames;

#define CALL(i)                                                                                                        \
    static PyObject *call_##i(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {            \
        const wgpy_overloads *f = names[0x##i];                                                                        \
        return call(f, f->is_method ? self : NULL, args, nargs, kwnames);                                              \
    }
#define ROW(m, i)                                                                                                      \
    m(i##0) m(i##1) m(i##2) m(i##3) m(i##4) m(i##5) m(i##6) m(i##7) m(i##8) m(i##9) m(i##a) m(i##b) m(i##c) m(i##d)    \
        m(i##e) m(i##f)
#define PAGE(m, i)                                                                                                     \
    ROW(m, i##0)                                                                                                       \
    ROW(m, i##1)                                                                                                       \
    ROW(m, i##2) ROW(m, i##3) ROW(m, i##4) ROW(m, i##5) ROW(m, i##6) ROW(m, i##7) ROW(m, i##8) ROW(m, i##9)            \
        ROW(m, i##a) ROW(m, i##b) ROW(m, i##c) ROW(m, i##d) ROW(m, i##e) ROW(m, i##f)
#define ALL(m) PAGE(m, 0) PAGE(m, 1) PAGE(m, 2) PAGE(m, 3) PAGE(m, 4) PAGE(m, 5) PAGE(m, 6) PAGE(m, 7)
ALL(CALL)
typedef PyObject *(*caller)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
#define NAME(i) call_##i,
static const caller callers[MAX_NAMES] = {ALL(NAME)};

/* ---- grouping by name -------------------------------------------------------------------------------------------- */

/* kind: 'f' torch.X, 'm' Tensor.X, 'n' nn.functional.X, 'h' parts of other ops */
static char kinds[MAX_NAMES];

static wgpy_overloads *family(const char *name, char kind, const char *doc) {
    for (int i = 0; i < nnames; i++)
        if (kinds[i] == kind && strcmp(names[i]->name, name) == 0) return names[i];
    wgpy_overloads *f = nnames < MAX_NAMES ? calloc(1, sizeof(*f)) : NULL;
    if (!f || !(f->name = strdup(name))) {
        PyErr_NoMemory();
        return NULL;
    }
    f->is_method = kind == 'm';
    kinds[nnames] = kind;
    defs[nnames] =
        (PyMethodDef){f->name, (PyCFunction)(void (*)(void))callers[nnames], METH_FASTCALL | METH_KEYWORDS, doc};
    names[nnames++] = f;
    return f;
}

static wgpy_signature *add(const char *name, char kind, const char *schema, const char *doc) {
    wgpy_overloads *f = family(name, kind, doc);
    wgpy_signature *s = f ? wgpy_parse_schema(schema, kind == 'm') : NULL;
    wgpy_signature **bigger = s ? realloc(f->s, (size_t)(f->n + 1) * sizeof(*bigger)) : NULL;
    if (!bigger) return NULL;
    f->s = bigger;
    f->s[f->n++] = s;
    return s;
}

/* ---- torch.return_types ------------------------------------------------------------------------------------------ */

static PyObject *named_repr(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__qualname__");
    PyObject *text = type ? PyUnicode_FromFormat("torch.return_types.%U(", type) : NULL;
    Py_XDECREF(type);
    PyObject *fields = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__match_args__");
    for (Py_ssize_t i = 0; text && fields && i < PyTuple_Size(fields); i++) {
        PyObject *value = PyTuple_GetItem(self, i);
        WGPY_SET(text, PyUnicode_FromFormat("%U%s%U=%R", text, i ? ",\n" : "\n", PyTuple_GetItem(fields, i), value));
    }
    Py_XDECREF(fields);
    if (text) WGPY_SET(text, PyUnicode_FromFormat("%U)", text));
    return text;
}
/* Pickled by name, as types that live in torch.return_types only. */
static PyObject *named_reduce(PyObject *self, PyObject *unused) {
    PyObject *module = PyImport_ImportModule("wengert._pickle"), *name = PyType_GetName(Py_TYPE(self));
    PyObject *rebuild = module ? PyObject_GetAttrString(module, "_rebuild_named") : NULL, *list = PySequence_List(self);
    PyObject *values = list ? PyList_AsTuple(list) : NULL, *r = NULL;
    (void)unused;
    if (rebuild && name && values) r = Py_BuildValue("O(OO)", rebuild, name, values);
    Py_XDECREF(module);
    Py_XDECREF(name);
    Py_XDECREF(rebuild);
    Py_XDECREF(list);
    Py_XDECREF(values);
    return r;
}
static PyMethodDef named_reduce_def = {"__reduce__", named_reduce, METH_NOARGS, NULL};
static PyMethodDef named_repr_def = {"__repr__", named_repr, METH_NOARGS, NULL};

/* "(Tensor values, Tensor indices)" of op max.dim -> torch.return_types.max */
static PyTypeObject *named_type(const char *name, const char *result) {
    static char storage[64 * 64]; /* field names live as long as the types */
    static size_t used;
    PyStructSequence_Field fields[8] = {{0}};
    int n = 0;
    for (const char *p = strchr(result, '('); p && *p && *p != ')' && n < 7;) {
        p = strstr(p, "Tensor ");
        if (!p) break;
        p += 7;
        size_t len = strcspn(p, ",)");
        if (used + len + 1 > sizeof(storage)) break;
        memcpy(storage + used, p, len);
        storage[used + len] = 0;
        fields[n++].name = storage + used;
        used += len + 1;
        p += len;
    }
    char full[96];
    PyOS_snprintf(full, sizeof(full), "torch.return_types.%s", name);
    PyStructSequence_Desc desc = {strdup(full), "named results", fields, n};
    PyTypeObject *type = PyStructSequence_NewType(&desc);
    PyObject *repr = type ? PyDescr_NewMethod(type, &named_repr_def) : NULL;
    PyObject *reduce = repr ? PyDescr_NewMethod(type, &named_reduce_def) : NULL;
    if (!reduce || PyObject_SetAttrString((PyObject *)type, "__repr__", repr) < 0 ||
        PyObject_SetAttrString((PyObject *)type, "__reduce__", reduce) < 0)
        Py_CLEAR(type);
    Py_XDECREF(repr);
    Py_XDECREF(reduce);
    return type;
}

static struct {
    const char *name;
    PyTypeObject *type;
} named_types[64];
static int nnamed;

static PyTypeObject *find_named(const char *name) {
    for (int i = 0; i < nnamed; i++)
        if (strcmp(named_types[i].name, name) == 0) return named_types[i].type;
    return NULL;
}
static PyTypeObject *named_of(const char *name, const char *schema) {
    const char *result = strstr(schema, ") -> (");
    if (!result) return NULL;
    PyTypeObject *type = find_named(name);
    if (type) return type;
    type = named_type(name, result + 4);
    if (!type || nnamed == 64) return type;
    named_types[nnamed].name = strdup(name);
    named_types[nnamed++].type = type;
    return type;
}
PyObject *wgpy_return_type(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    PyTypeObject *type = text ? find_named(text) : NULL;
    if (type) return Py_NewRef((PyObject *)type);
    if (!PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
}

/* ---- the registry ------------------------------------------------------------------------------------------------ */

static int add_form(const wg_op_info *info, const char *name, char kind, bool in_place, const char *doc) {
    wgpy_signature *s = add(name, kind, info->schema, doc);
    if (!s) return -1;
    s->op = wg_op_find(info->name);
    s->in_place = in_place;
    s->composite = info->composite;
    int tensors = 0;
    for (int i = 0; i < s->n; i++) tensors += is_tensor_type(s->p[i].type);
    s->unary = info->pointwise && tensors == 1;
    s->binary = info->pointwise && tensors == 2 && !info->composite; /* clamp_min looks at its bound first */
    if (!in_place) s->named = named_of(name, info->schema);
    if (PyErr_Occurred()) return -1;
    wgpy_overloads *f = family(name, kind, doc);
    f->takes_out |= !in_place && kind != 'm' && !info->is_view && !s->returns_list && !s->returns_bool;
    return 0;
}

static int add_name(const wg_op_info *info, const char *from, size_t len, const char *doc) {
    char name[96], written[97];
    if (len == 0 || len >= sizeof(name)) return 0;
    memcpy(name, from, len);
    name[len] = 0;
    PyOS_snprintf(written, sizeof(written), "%s_", name);
    if (info->nn && add_form(info, name, 'n', false, doc) < 0) return -1;
    if (!info->nn && !info->function && !info->method && from == info->name &&
        add_form(info, name, 'h', false, doc) < 0)
        return -1;
    bool writes = name[len - 1] == '_';
    if (info->function && add_form(info, name, 'f', writes, doc) < 0) return -1;
    if (info->method && add_form(info, name, 'm', writes, doc) < 0) return -1;
    if (!info->has_inplace || writes) return 0;
    if (info->function && add_form(info, written, 'f', true, doc) < 0) return -1;
    return info->method || info->nn ? add_form(info, written, info->method ? 'm' : 'n', true, doc) : 0;
}

static int add_op(const wg_op_info *info) {
    const char *doc = info->doc, *alias = info->aliases ? info->aliases : "";
    if (add_name(info, info->name, strcspn(info->name, "."), doc) < 0) return -1;
    while (*alias) {
        size_t len = strcspn(alias, " ");
        if (add_name(info, alias, len, doc) < 0) return -1;
        alias += len + strspn(alias + len, " ");
    }
    return 0;
}

static int add_builtin(const wgpy_builtin *b, bool deprecated) {
    char name[96];
    size_t len = strcspn(b->schema, ".(");
    memcpy(name, b->schema, len);
    name[len] = 0;
    static const struct {
        int where;
        char kind;
    } places[] = {{WGPY_FUNCTION, 'f'}, {WGPY_METHOD, 'm'}, {WGPY_NN, 'n'}};
    for (size_t i = 0; i < 3; i++) {
        if (!(b->where & places[i].where)) continue;
        wgpy_signature *s = add(name, places[i].kind, b->schema, b->doc);
        if (!s) return -1;
        s->run = b->run;
        s->deprecated = deprecated;
        if (b->where & WGPY_PLAIN) family(name, places[i].kind, b->doc)->plain = true;
    }
    return 0;
}

int wgpy_init_ops(PyObject *module) {
    (void)module;
    static const wgpy_builtin *const tables[] = {wgpy_create_builtins, wgpy_function_builtins, wgpy_random_builtins,
                                                 wgpy_tensor_builtins, wgpy_index_builtins,    wgpy_autograd_builtins};
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) /* first: a builtin of the same schema wins */
        for (const wgpy_builtin *b = tables[i]; b->schema; b++)
            if (add_builtin(b, false) < 0) return -1;
    int count = wg_op_count();
    for (int i = 0; i < count; i++) {
        wg_op_info info = {.size = sizeof(info)};
        if (wgpy_check(wg_op_get(i, &info)) || add_op(&info) < 0) return -1;
    }
    for (const wgpy_builtin *b = wgpy_deprecated_builtins; b->schema; b++)
        if (add_builtin(b, true) < 0) return -1;
    return 0;
}

/* ---- docstrings: a signature per overload, what it does, an example ---------------------------------------------- */

static int by_key(const void *key, const void *row) { return strcmp(key, ((const wgpy_example *)row)->key); }
static const char *example_of(char kind, const char *name) {
    char key[128];
    PyOS_snprintf(key, sizeof(key), "%c.%s", kind, name);
    const wgpy_example *found = bsearch(key, wgpy_examples, wgpy_nexamples, sizeof(*found), by_key);
    return found ? found->text : NULL;
}

/* A text written for a function begins with its signature; one from the registry does not. */
static bool has_signature(const char *doc, const char *name) {
    size_t len = strlen(name);
    return doc && strncmp(doc, name, len) == 0 && doc[len] == '(';
}

static int write_doc(int i) {
    const wgpy_overloads *f = names[i];
    const char *doc = defs[i].ml_doc ? defs[i].ml_doc : "", *example = example_of(kinds[i], f->name);
    size_t room = strlen(doc) + (example ? strlen(example) : 0) + 64, used = 0;
    for (int k = 0; k < f->n; k++) room += strlen(f->s[k]->schema) + strlen(f->name) + 2;
    char *text = malloc(room);
    if (!text) return PyErr_NoMemory(), -1;
    for (int k = 0; k < f->n && !has_signature(doc, f->name); k++)
        used += (size_t)PyOS_snprintf(text + used, room - used, "%s%s\n", f->name,
                                      f->s[k]->schema + strcspn(f->s[k]->schema, "("));
    if (used) text[used++] = '\n';
    used += (size_t)PyOS_snprintf(text + used, room - used, "%s", doc);
    if (example && !strstr(doc, ">>> ")) PyOS_snprintf(text + used, room - used, "\n\nExample:\n\n%s", example);
    defs[i].ml_doc = text;
    return 0;
}

int wgpy_add_direct(const PyMethodDef *method) {
    wgpy_overloads *f = family(method->ml_name, 'm', method->ml_doc);
    if (!f) return -1;
    f->direct = method; /* before the registry's of the same name */
    return 0;
}

PyMethodDef *wgpy_op_methods(int *n) {
    static PyMethodDef methods[MAX_NAMES];
    *n = 0;
    for (int i = 0; i < nnames; i++)
        if (write_doc(i) < 0) return NULL;
    for (int i = 0; i < nnames; i++)
        if (kinds[i] == 'm') methods[(*n)++] = defs[i];
    return methods;
}

const wg_op *wgpy_need_op(const char *name) {
    const wg_op *op = wg_op_find(name);
    if (!op) PyErr_Format(PyExc_SystemError, "wengert: the library has no op '%s'", name);
    return op;
}

/* What tools that write stubs and examples read: (kind, name, schema, writes in place, takes out=) of every overload.
 */
PyObject *wgpy_schemas(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *all = PyList_New(0);
    for (int i = 0; all && i < nnames; i++) {
        for (int k = 0; all && k < names[i]->n; k++) {
            const wgpy_signature *s = names[i]->s[k];
            PyObject *row = Py_BuildValue("(CssOO)", kinds[i], names[i]->name, s->schema,
                                          s->in_place ? Py_True : Py_False, names[i]->takes_out ? Py_True : Py_False);
            if (!row || PyList_Append(all, row) < 0) Py_CLEAR(all);
            Py_XDECREF(row);
        }
    }
    return all;
}

/* Methods, once the type exists, know their descriptor: __torch_function__ is given it. */
static int note_descriptors(void) {
    for (int i = 0; i < nnames; i++) {
        if (kinds[i] != 'm') continue;
        names[i]->function = PyObject_GetAttrString((PyObject *)wgpy.tensor, names[i]->name);
        if (!names[i]->function) return -1;
    }
    return 0;
}

/* The type that owns torch's functions, as PyTorch has one: pickle writes a function as an attribute of it, which is
 * found whether or not there is a module torch. */
static PyObject *functions_class(PyObject *module) {
    static PyType_Slot slots[] = {{Py_tp_doc, (void *)"The owner of torch's functions."}, {0, NULL}};
    static PyType_Spec spec = {"wengert._C._VariableFunctionsClass", sizeof(PyObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyObject *type = PyType_FromSpec(&spec);
    if (!type || PyModule_AddObjectRef(module, "_VariableFunctionsClass", type) < 0) Py_CLEAR(type);
    return type;
}

static PyObject *place_of(char kind) { return kind == 'n' ? wgpy.nn : kind == 'h' ? wgpy.hidden : wgpy.functions; }

static int add_function(PyObject *module, int i, PyObject *owner, PyObject *home) {
    bool shown = kinds[i] == 'f';
    PyObject *f = names[i]->function = PyCFunction_NewEx(&defs[i], shown ? owner : NULL, home);
    if (!f || PyDict_SetItemString(place_of(kinds[i]), names[i]->name, f) < 0) return -1;
    if (!shown) return 0;
    return PyObject_SetAttrString(owner, names[i]->name, f) < 0 || PyModule_AddObjectRef(module, names[i]->name, f) < 0
               ? -1
               : 0;
}

int wgpy_add_functions(PyObject *module) {
    PyObject *name = PyUnicode_FromString("torch"), *nn_name = PyUnicode_FromString("wengert.nn.functional"),
             *owner = functions_class(module);
    wgpy.functions = PyDict_New();
    wgpy.nn = PyDict_New();
    wgpy.hidden = PyDict_New();
    if (!name || !nn_name || !owner || !wgpy.functions || !wgpy.nn || !wgpy.hidden || note_descriptors() < 0) return -1;
    for (int i = 0; i < nnames; i++)
        if (kinds[i] != 'm' && add_function(module, i, owner, kinds[i] == 'n' ? nn_name : name) < 0) return -1;
    Py_DECREF(name);
    Py_DECREF(nn_name);
    Py_DECREF(owner);
    return PyModule_AddObjectRef(module, "_nn", wgpy.nn) < 0 ? -1
                                                             : PyModule_AddObjectRef(module, "_hidden", wgpy.hidden);
}
