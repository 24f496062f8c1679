/* signature.c - schemas as signatures: parsing them once, binding a call's arguments to the first overload that fits,
 * and saying in PyTorch's words what does not fit.
 */
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    uint8_t type;
} types[] = {{"Tensor|Scalar", PT_OPERAND},
             {"Tensor", PT_TENSOR},
             {"int", PT_INT},
             {"SymInt", PT_INT},
             {"bool", PT_BOOL},
             {"float", PT_FLOAT},
             {"Scalar", PT_SCALAR},
             {"ScalarType", PT_DTYPE},
             {"str", PT_STR},
             {"Generator", PT_GENERATOR},
             {"Device", PT_DEVICE},
             {"Layout", PT_LAYOUT},
             {"MemoryFormat", PT_FORMAT},
             {"Any", PT_ANY}};

/* Names that NumPy's users write, and the function form's name of self. */
static const char *alias_of(const char *name, bool is_self) {
    static const char *const pairs[][2] = {{"dim", "axis"}, {"keepdim", "keepdims"}, {"other", "x2"}};
    if (is_self) return "input";
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (strcmp(pairs[i][0], name) == 0) return pairs[i][1];
    return NULL;
}

static bool parse_type(char *text, wgpy_param *p) {
    size_t len = strlen(text);
    if (len && text[len - 1] == '?') {
        p->optional = true;
        text[--len] = 0;
    }
    char *bracket = strchr(text, '[');
    bool list = bracket != NULL, one = list && bracket[1] != ']';
    if (list) {
        *bracket = 0;
        len = strlen(text);
        if (len && text[len - 1] == '?') {
            p->nullable = true;
            text[--len] = 0;
        }
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(text, types[i].text)) continue;
        p->type = types[i].type;
        if (!list) return true;
        if (p->type == PT_TENSOR)
            p->type = PT_TENSORS;
        else if (p->type == PT_INT)
            p->type = one ? PT_INTS1 : PT_INTS;
        else if (p->type == PT_SCALAR || p->type == PT_FLOAT)
            p->type = PT_ANY;
        else
            return false;
        return true;
    }
    return false;
}

/* "TYPE name=default", cut in place. */
static bool parse_param(char *item, wgpy_param *p, bool is_self) {
    char *space = strrchr(item, ' '), *equals = strchr(item, '=');
    if (equals) {
        *equals = 0;
        p->has_default = true;
        space = strrchr(item, ' ');
    }
    if (!space) return false;
    *space = 0;
    char *alias = strchr(item, '('); /* Tensor(a!) */
    if (alias) {
        char *end = strchr(alias, ')');
        if (!end) return false;
        memmove(alias, end + 1, strlen(end));
    }
    p->name = is_self && strcmp(space + 1, "self") == 0 ? "input" : space + 1;
    p->key = PyUnicode_InternFromString(p->name);
    const char *other = alias_of(space + 1, false);
    p->alias = other ? PyUnicode_InternFromString(other) : NULL;
    return p->key && parse_type(item, p);
}

static bool parse_params(wgpy_signature *s, wgpy_param *p, char *at, char *end, bool is_method) {
    bool kwonly = false;
    while (at < end) {
        char *stop = at;
        for (int depth = 0; stop < end && (depth || *stop != ','); stop++)
            depth += (*stop == '(' || *stop == '[') - (*stop == ')' || *stop == ']');
        *stop = 0;
        while (*at == ' ') at++;
        if (strcmp(at, "*") == 0) {
            kwonly = true;
        } else if (*at) {
            if (s->n == WGPY_MAX_ARGS || !parse_param(at, &p[s->n], !is_method)) return false;
            if (is_method && strcmp(p[s->n].name, "self") == 0) s->self_at = s->n;
            p[s->n].kwonly = kwonly;
            if (!p[s->n].has_default) s->needed = s->n + 1;
            if (!kwonly) s->npos++;
            s->operands += p[s->n].type == PT_OPERAND;
            p[s->n].tensors = p[s->n].type == PT_TENSOR || p[s->n].type == PT_OPERAND || p[s->n].type == PT_TENSORS;
            s->lists |= p[s->n].type == PT_TENSORS;
            s->n++;
        }
        at = stop + 1;
    }
    return true;
}

static void parse_result(wgpy_signature *s, const char *r) {
    s->nresults = 1;
    if (strncmp(r, "Tensor[]", 8) == 0)
        s->returns_list = true;
    else if (strncmp(r, "bool", 4) == 0)
        s->returns_bool = true;
    else if (*r == '(') {
        s->nresults = 1;
        for (const char *p = r; *p; p++) s->nresults += *p == ',';
    }
}

wgpy_signature *wgpy_parse_schema(const char *schema, bool is_method) {
    wgpy_param p[WGPY_MAX_ARGS] = {{0}};
    wgpy_signature *s = calloc(1, sizeof(*s));
    const char *arrow = strstr(schema, ") ->");
    if (s && arrow && (s->text = strdup(schema))) {
        s->schema = schema;
        char *open = strchr(s->text, '('), *close = s->text + (arrow - schema);
        parse_result(s, arrow + 5);
        if (open && open <= close && parse_params(s, p, open + 1, close, is_method) &&
            (s->p = malloc((size_t)(s->n + 1) * sizeof(*p)))) {
            memcpy(s->p, p, (size_t)s->n * sizeof(*p));
            return s;
        }
    }
    if (s) free(s->text);
    free(s);
    if (!PyErr_Occurred()) PyErr_Format(PyExc_SystemError, "wengert: malformed schema '%s'", schema);
    return NULL;
}

/* ---- one argument ------------------------------------------------------------------------------------------------ */

/* Converters: 1 fits, 0 does not (no exception), -1 exception. */

static void *list_space(wgpy_call *c, size_t bytes) {
    if (c->nheap == 4) return NULL;
    void *p = malloc(bytes ? bytes : 1);
    if (p) c->heap[c->nheap++] = p;
    return p;
}

bool wgpy_is_numpy_bool(PyObject *o) {
    PyObject *name = wgpy_is_array_scalar(o) ? PyType_GetName(Py_TYPE(o)) : NULL;
    bool yes = name && PyUnicode_CompareWithASCIIString(name, "bool_") == 0;
    Py_XDECREF(name);
    return yes;
}
static bool is_integer(PyObject *o) { /* also NumPy's, and tensors of one integer */
    if (PyLong_Check(o)) return o != Py_True && o != Py_False;
    if (wgpy_is_tensor(o))
        return wg_numel(wgpy_handle(o)) == 1 && wg_dtype_is_integral(wg_dtype_of(wgpy_handle(o))) &&
               !wg_requires_grad(wgpy_handle(o));
    return !PyFloat_Check(o) && o != Py_True && o != Py_False && o != Py_None && PyIndex_Check(o) &&
           wgpy_is_number(o) && !wgpy_is_numpy_bool(o);
}

/* What may stand at the start of a list of sizes or dims. */
static bool is_index(PyObject *o) {
    if (is_integer(o)) return true;
    if (o == Py_True || o == Py_False || wgpy_is_tensor(o) || !PyIndex_Check(o)) return false;
    PyObject *i = PyNumber_Index(o); /* NumPy's arrays may refuse */
    if (!i) PyErr_Clear();
    Py_XDECREF(i);
    return i != NULL;
}

/* Numbers that stand for values overflow in Python's words, sizes and dims in PyTorch's. */
static int to_int(PyObject *o, int64_t *v, bool is_value) {
    int overflow = 0;
    PyObject *i = PyLong_Check(o) ? Py_NewRef(o) : PyNumber_Index(o);
    if (!i) return -1;
    *v = PyLong_AsLongLongAndOverflow(i, &overflow);
    Py_DECREF(i);
    if (!overflow) return *v == -1 && PyErr_Occurred() ? -1 : 1;
    if (is_value)
        PyErr_SetString(PyExc_OverflowError, overflow > 0 ? "int too big to convert" : "int too small to convert");
    else
        PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
    return -1;
}

static int put_int(wg_arg *a, PyObject *o) {
    if (!is_integer(o)) return 0;
    a->tag = WG_TAG_INT;
    return to_int(o, &a->v.i, false);
}

/* The first element decides whether it is a list of ints; what is wrong with a later one ends the search for an
 * overload. */
static int bad_element(const wgpy_call *c, const wg_arg *a, Py_ssize_t at, PyObject *item) {
    const char *name = c->sig->p[a - c->arg].name;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_ValueError)) return -1; /* its __index__ raised */
    if (PyErr_Occurred()) {                                                       /* it does not fit 64 bits */
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError,
                     "%s(): argument '%s' failed to unpack the object at pos %zd with error \"Overflow when unpacking "
                     "long long\"",
                     c->family->name, name, at + 1);
        return -1;
    }
    PyObject *type = PyType_GetName(Py_TYPE(item));
    PyErr_Format(PyExc_TypeError,
                 "%s(): argument '%s' failed to unpack the object at pos %zd with error \"type must be tuple of "
                 "ints,but got %V\"",
                 c->family->name, name, at + 1, type, "?");
    Py_XDECREF(type);
    return -1;
}

static int put_ints_from(wgpy_call *c, wg_arg *a, PyObject *const *items, Py_ssize_t n) {
    int64_t *v = c->nints + n <= (Py_ssize_t)(sizeof(c->ints) / sizeof(*c->ints)) ? c->ints + c->nints
                                                                                  : list_space(c, (size_t)n * 8);
    if (!v) {
        PyErr_NoMemory();
        return -1;
    }
    if (v == c->ints + c->nints) c->nints += (int)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (WGPY_LIKELY(Py_TYPE(items[i]) == &PyLong_Type)) {
            int overflow;
            v[i] = PyLong_AsLongLongAndOverflow(items[i], &overflow);
            if (WGPY_LIKELY(!overflow)) continue;
        }
        if (i ? !PyIndex_Check(items[i]) : !is_index(items[i])) return i ? bad_element(c, a, i, items[i]) : 0;
        if (to_int(items[i], &v[i], false) < 0) return bad_element(c, a, i, items[i]);
    }
    a->tag = WG_TAG_INTS;
    a->n = (uint32_t)n;
    a->v.ints = v;
    return 1;
}

static PyObject *item_of(PyObject *list, Py_ssize_t i) { /* borrowed */
    return PyTuple_Check(list) ? PyTuple_GetItem(list, i) : PyList_GetItem(list, i);
}
static Py_ssize_t length_of(PyObject *list) { return PyTuple_Check(list) ? PyTuple_Size(list) : PyList_Size(list); }

static int put_ints(wgpy_call *c, wg_arg *a, PyObject *o, bool one) {
    if (one && is_integer(o)) return put_ints_from(c, a, &o, 1);
    if (!PyTuple_Check(o) && !PyList_Check(o)) return 0;
    Py_ssize_t n = length_of(o);
    PyObject *small[16] = {NULL}, **items = n <= 16 ? small : malloc((size_t)n * sizeof(*items));
    if (!items) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) items[i] = item_of(o, i);
    int fits = put_ints_from(c, a, items, n);
    if (fits < 0 && strcmp(c->family->name, "new") == 0) { /* Tensor([1, 2.5]): data */
        PyErr_Clear();
        fits = 0;
    }
    if (items != small) free(items);
    return fits;
}

static int put_tensors(wgpy_call *c, wg_arg *a, PyObject *o, bool nullable) {
    if (!PyTuple_Check(o) && !PyList_Check(o)) return 0;
    Py_ssize_t n = length_of(o);
    wg_tensor **v = c->ntensors + n <= 64 ? c->tensors + c->ntensors : list_space(c, (size_t)n * sizeof(*v));
    if (!v) {
        PyErr_NoMemory();
        return -1;
    }
    if (v == c->tensors + c->ntensors) c->ntensors += (int)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = item_of(o, i);
        if (wgpy_is_tensor(item))
            v[i] = wgpy_handle(item);
        else if (nullable && item == Py_None)
            v[i] = NULL;
        else
            return 0;
    }
    a->tag = WG_TAG_TENSORS;
    a->n = (uint32_t)n;
    a->v.ts = v;
    return 1;
}

static int put_tensor(wg_arg *a, PyObject *o) {
    if (!wgpy_is_tensor(o)) return 0;
    a->tag = WG_TAG_TENSOR;
    a->v.t = wgpy_handle(o);
    return 1;
}
static int put_operand(wg_arg *a, PyObject *o) {
    if (wgpy_is_tensor(o)) return put_tensor(a, o);
    wg_tensor *t = wgpy_number(o);
    if (!t) return PyErr_Occurred() ? -1 : 0;
    a->tag = WG_TAG_TENSOR;
    a->v.t = t;
    return 1;
}

/* A number as itself; a tensor of one element is read. */
static int put_scalar(wg_arg *a, PyObject *o, bool only_float) {
    if (PyFloat_Check(o)) {
        a->tag = WG_TAG_DOUBLE;
        a->v.d = PyFloat_AsDouble(o);
        return 1;
    }
    if (o == Py_True || o == Py_False) {
        a->tag = only_float ? WG_TAG_DOUBLE : WG_TAG_BOOL;
        if (only_float)
            a->v.d = o == Py_True;
        else
            a->v.i = o == Py_True;
        return 1;
    }
    if (is_integer(o) && !(wgpy_is_tensor(o) && wg_ndim(wgpy_handle(o)))) {
        int fits = to_int(o, &a->v.i, true);
        a->tag = WG_TAG_INT;
        if (fits < 0 || !only_float) return fits;
        a->tag = WG_TAG_DOUBLE;
        a->v.d = (double)a->v.i;
        return 1;
    }
    if (wgpy_is_tensor(o)
            ? wg_numel(wgpy_handle(o)) == 1 && wg_ndim(wgpy_handle(o)) == 0 && !wg_requires_grad(wgpy_handle(o))
            : wgpy_is_number(o)) {
        a->tag = WG_TAG_DOUBLE;
        a->v.d = PyFloat_AsDouble(o);
        return a->v.d == -1 && PyErr_Occurred() ? -1 : 1;
    }
    return 0;
}

static int put_dtype(wg_arg *a, PyObject *o) {
    wg_dtype d;
    if (!wgpy_is_dtype(o) && o != (PyObject *)&PyFloat_Type && o != (PyObject *)&PyLong_Type &&
        o != (PyObject *)&PyBool_Type)
        return 0;
    if (wgpy_dtype_from(o, &d) < 0) return -1;
    a->tag = WG_TAG_DTYPE;
    a->v.i = d;
    return 1;
}

static int put_string(wg_arg *a, PyObject *o) {
    if (!PyUnicode_Check(o)) return 0;
    a->tag = WG_TAG_STRING;
    a->v.s = PyUnicode_AsUTF8AndSize(o, NULL);
    return a->v.s ? 1 : -1;
}

static int put_bool(wg_arg *a, PyObject *o) {
    if (o != Py_True && o != Py_False) { /* NumPy's bool, and a tensor of one bool */
        if (!wgpy_is_number(o) || PyLong_Check(o) || PyFloat_Check(o)) return 0;
        int v = PyObject_IsTrue(o);
        if (v < 0) return -1;
        a->v.i = v;
    } else {
        a->v.i = o == Py_True;
    }
    a->tag = WG_TAG_BOOL;
    return 1;
}

static int put_device(wg_arg *a, PyObject *o) {
    if (Py_TYPE(o) != wgpy.device && !PyUnicode_Check(o) && !(PyLong_Check(o) && o != Py_True && o != Py_False))
        return 0;
    wg_device d;
    if (wgpy_device_from(o, &d) < 0) return -1;
    a->tag = WG_TAG_STRING; /* given; the object tells which */
    a->v.s = "device";
    return 1;
}

static int put_object(wg_arg *a, bool fits) {
    a->tag = WG_TAG_STRING;
    a->v.s = "";
    return fits;
}

static int put(wgpy_call *c, int i, PyObject *o) {
    const wgpy_param *p = &c->sig->p[i];
    wg_arg *a = &c->arg[i];
    c->object[i] = o;
    if (o == Py_None && (p->optional || (p->type == PT_OPERAND && p->has_default))) return 1; /* NONE */
    switch (p->type) {
    case PT_TENSOR: return put_tensor(a, o);
    case PT_OPERAND: return put_operand(a, o);
    case PT_TENSORS: return put_tensors(c, a, o, p->nullable);
    case PT_INT: return put_int(a, o);
    case PT_INTS: return put_ints(c, a, o, false);
    case PT_INTS1: return put_ints(c, a, o, true);
    case PT_BOOL: return put_bool(a, o);
    case PT_FLOAT: return put_scalar(a, o, true);
    case PT_SCALAR: return put_scalar(a, o, false);
    case PT_DTYPE: return put_dtype(a, o);
    case PT_STR: return put_string(a, o);
    case PT_GENERATOR: return put_object(a, Py_TYPE(o) == wgpy.generator);
    case PT_DEVICE: return put_device(a, o);
    case PT_LAYOUT: return put_object(a, Py_TYPE(o) == wgpy.layout);
    case PT_FORMAT: return put_object(a, Py_TYPE(o) == wgpy.memory_format);
    default: return put_object(a, true);
    }
}

double wgpy_double(const wgpy_call *c, int i, double otherwise) {
    const wg_arg *a = &c->arg[i];
    if (a->tag == WG_TAG_DOUBLE) return a->v.d;
    return a->tag == WG_TAG_INT || a->tag == WG_TAG_BOOL ? (double)a->v.i : otherwise;
}

/* ---- a call ------------------------------------------------------------------------------------------------------ */

/* What did not fit, told once no overload does. */
typedef struct misfit {
    enum { FITS, TOO_MANY, MISSING, UNKNOWN, TWICE, WRONG_TYPE } kind;
    int param, position;
    PyObject *object; /* borrowed: the argument or its name */
    int missing;
} misfit;

/* Names are nearly always the same objects; one that another overload has is looked up by its text once. */
static int find_key(wgpy_signature *s, PyObject *key, int from) {
    for (int i = from; i < s->n; i++)
        if (s->p[i].key == key || s->p[i].alias == key) return i;
    if (key == s->strange) return -1;
    for (int i = from; i < s->n; i++)
        if (PyUnicode_Compare(s->p[i].key, key) == 0 || (s->p[i].alias && PyUnicode_Compare(s->p[i].alias, key) == 0))
            return i;
    if (PyUnicode_CheckExact(key)) WGPY_SET(s->strange, Py_NewRef(key));
    return -1;
}

/* x.view(2, 3): the ints that follow stand for one list, where that is the only positional argument. */
static bool takes_the_rest(const wgpy_signature *s, int i, int first, PyObject *arg) {
    return s->p[i].type == PT_INTS && i == first && i + 1 == s->npos && (Py_TYPE(arg) == &PyLong_Type || is_index(arg));
}

static int positional(wgpy_call *c, int first, PyObject *const *args, Py_ssize_t nargs, misfit *why) {
    const wgpy_signature *s = c->sig;
    if (nargs && first < s->npos && takes_the_rest(s, first, first, args[0])) {
        c->object[first] = args[0];
        return put_ints_from(c, &c->arg[first], args, nargs);
    }
    bool later =
        !first && s->self_at > 0 && c->object[s->self_at]; /* x.where(condition, other): self stands in between */
    if (nargs > s->npos - first - later) {
        *why = (misfit){.kind = TOO_MANY};
        return 0;
    }
    for (Py_ssize_t k = 0; k < nargs; k++) {
        int i = first + (int)k + (later && first + (int)k >= s->self_at), fits = put(c, i, args[k]);
        if (fits < 0) return -1;
        if (!fits) {
            *why = (misfit){.kind = WRONG_TYPE, .param = i, .position = (int)k + 1, .object = args[k]};
            return 0;
        }
    }
    return 1;
}

/* searching: an overload without that name is not the one; else what else is wrong is looked for as well. */
static int keywords(wgpy_call *c, int first, PyObject *const *values, PyObject *names, bool searching, misfit *why) {
    Py_ssize_t n = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *key = PyTuple_GetItem(names, k);
        int i = find_key((wgpy_signature *)(uintptr_t)c->sig, key, first);
        if (i < 0) {
            if (c->family->takes_out && PyUnicode_CompareWithASCIIString(key, "out") == 0) {
                c->out = values[k] == Py_None ? NULL : values[k];
                continue;
            }
            *why = (misfit){.kind = UNKNOWN, .object = key};
            if (searching) return 0;
            continue; /* one that is missing is told first */
        }
        if (c->object[i]) {
            *why = (misfit){.kind = TWICE, .object = key};
            return 0;
        }
        int fits = put(c, i, values[k]);
        if (fits < 0) return -1;
        if (!fits) {
            *why = (misfit){.kind = WRONG_TYPE, .param = i, .object = values[k]};
            return 0;
        }
    }
    return 1;
}

/* Of PyTorch's functions on two operands only these compute with two numbers. */
static bool takes_numbers(const char *name) {
    static const char *const names[] = {"add",      "sub",    "mul",         "div",          "subtract",
                                        "multiply", "divide", "true_divide", "floor_divide", "where"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}
static bool only_numbers(const wgpy_call *c, misfit *why) {
    int operands = 0, first = -1;
    for (int i = 0; i < c->sig->n; i++) {
        if (c->sig->p[i].type == PT_TENSOR || (c->object[i] && wgpy_is_tensor(c->object[i]))) return false;
        if (c->sig->p[i].type != PT_OPERAND || !c->object[i]) continue;
        if (first < 0) first = i;
        operands++;
    }
    if (operands < 2 || takes_numbers(c->family->name)) return false;
    *why = (misfit){.kind = WRONG_TYPE, .param = first, .position = first + 1, .object = c->object[first]};
    return true;
}

static int complete(wgpy_call *c, misfit *why) {
    if (WGPY_UNLIKELY(c->sig->operands > 1) && why->kind == FITS && only_numbers(c, why)) return 0;
    for (int i = 0; i < c->sig->needed; i++) {
        if (c->object[i] || c->sig->p[i].has_default) continue;
        if (why->kind != MISSING) *why = (misfit){.kind = MISSING, .param = i};
        why->missing++;
    }
    return why->kind == FITS;
}

static int bind_one(wgpy_call *c, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                    bool searching, misfit *why) {
    int first = 0;
    for (int i = 0; i < c->sig->n; i++) {
        c->arg[i] = (wg_arg){.tag = WG_TAG_NONE};
        c->object[i] = NULL;
    }
    c->out = NULL;
    c->nints = c->ntensors = 0;
    *why = (misfit){.kind = FITS};
    if (self) {
        int at = c->sig->self_at;
        first = at == 0;
        c->object[at] = self;
        c->arg[at].tag = WG_TAG_TENSOR;
        c->arg[at].v.t = wgpy_handle(self);
    }
    int fits = positional(c, first, args, nargs, why);
    if (fits == 1) fits = keywords(c, first, args + nargs, kwnames, searching, why);
    return fits == 1 ? complete(c, why) : fits; /* 0 after an unknown name, too */
}

/* ---- saying what does not fit ------------------------------------------------------------------------------------ */

static const char *type_text(const wgpy_param *p) {
    static const char *const names[] = {[PT_TENSOR] = "Tensor",
                                        [PT_OPERAND] = "Tensor",
                                        [PT_TENSORS] = "tuple of Tensors",
                                        [PT_INT] = "int",
                                        [PT_INTS] = "tuple of ints",
                                        [PT_INTS1] = "tuple of ints",
                                        [PT_BOOL] = "bool",
                                        [PT_FLOAT] = "float",
                                        [PT_SCALAR] = "Number",
                                        [PT_DTYPE] = "torch.dtype",
                                        [PT_STR] = "str",
                                        [PT_GENERATOR] = "torch.Generator",
                                        [PT_DEVICE] = "torch.device",
                                        [PT_LAYOUT] = "torch.layout",
                                        [PT_FORMAT] = "torch.memory_format",
                                        [PT_ANY] = "object"};
    return names[p->type];
}

/* As C knows it: types made in C carry their module's name, those made in Python and Python's own do not. A type on the
 * heap that cannot be changed was made in C (decimal.Decimal, from Python 3.13 on). */
PyObject *wgpy_type_name(PyObject *o) {
    const unsigned long immutable = 1UL << 8;
    PyTypeObject *t = Py_TYPE(o);
    PyObject *name = PyType_GetName(t);
    bool ours = t == wgpy.dtype || t == wgpy.device || t == wgpy.size || t == wgpy.layout || t == wgpy.memory_format ||
                t == wgpy.generator;
    if (!name || (!ours && PyType_GetFlags(t) & Py_TPFLAGS_HEAPTYPE && !(PyType_GetFlags(t) & immutable))) return name;
    PyObject *module = PyObject_GetAttrString((PyObject *)t, "__module__");
    if (!module)
        PyErr_Clear();
    else if (PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, "builtins"))
        WGPY_SET(name, PyUnicode_FromFormat("%U.%U", module, name));
    Py_XDECREF(module);
    return name;
}
static PyObject *type_name(PyObject *o) { return wgpy_type_name(o); }

static PyObject *wrong_element(const wgpy_param *p, PyObject *o) { /* "found element of type float at pos 0", or NULL */
    if ((p->type != PT_INTS && p->type != PT_INTS1 && p->type != PT_TENSORS) || (!PyTuple_Check(o) && !PyList_Check(o)))
        return NULL;
    for (Py_ssize_t i = 0; i < length_of(o); i++) {
        PyObject *item = item_of(o, i);
        bool fits = p->type == PT_TENSORS ? wgpy_is_tensor(item) || (p->nullable && item == Py_None) : is_integer(item);
        if (fits) continue;
        PyObject *name = type_name(item);
        PyObject *text = p->type == PT_TENSORS ? PyUnicode_FromFormat("element %zd in argument 0, but got %U", i, name)
                                               : PyUnicode_FromFormat("found element of type %U at pos %zd", name, i);
        Py_XDECREF(name);
        return text;
    }
    return NULL;
}

static void say_wrong_type(const wgpy_call *c, const misfit *why, bool self) {
    const wgpy_param *p = &c->sig->p[why->param];
    PyObject *name = type_name(why->object), *element = wrong_element(p, why->object);
    (void)self;
    char position[32] = "";
    if (why->position) PyOS_snprintf(position, sizeof(position), " (position %d)", why->position);
    if (element && p->type == PT_TENSORS)
        PyErr_Format(PyExc_TypeError, "expected Tensor as %U", element);
    else if (element)
        PyErr_Format(PyExc_TypeError, "%s(): argument '%s'%s must be %s, but %U", c->family->name, p->name, position,
                     type_text(p), element);
    else
        PyErr_Format(PyExc_TypeError, "%s(): argument '%s'%s must be %s, not %U", c->family->name, p->name, position,
                     type_text(p), name);
    Py_XDECREF(name);
    Py_XDECREF(element);
}

static void say_missing(const wgpy_call *c, const misfit *why) {
    PyObject *names = PyUnicode_FromString("");
    for (int i = 0; names && i < c->sig->n; i++) {
        if (c->object[i] || c->sig->p[i].has_default) continue;
        PyObject *more =
            PyUnicode_FromFormat("%U%s\"%s\"", names, PyUnicode_GetLength(names) ? ", " : "", c->sig->p[i].name);
        WGPY_SET(names, more);
    }
    PyErr_Format(PyExc_TypeError, "%s() missing %d required positional argument%s: %U", c->family->name, why->missing,
                 why->missing == 1 ? "s" : "", names); /* PyTorch's plural */
    Py_XDECREF(names);
}

/* A method that takes nothing: in the words of Python's own. */
static bool say_nothing_taken(const wgpy_call *c, bool self, Py_ssize_t nargs, PyObject *kwnames) {
    if (!self || c->sig->n != 1 || c->family->takes_out) return false;
    if (kwnames && PyTuple_Size(kwnames))
        PyErr_Format(PyExc_TypeError, "TensorBase.%s() takes no keyword arguments", c->family->name);
    else
        PyErr_Format(PyExc_TypeError, "TensorBase.%s() takes no arguments (%zd given)", c->family->name, nargs);
    return true;
}

static void say_one(const wgpy_call *c, const misfit *why, bool self, Py_ssize_t nargs) {
    switch (why->kind) {
    case TOO_MANY: {
        int most = c->sig->npos - self, least = -self;
        for (int i = 0; i < c->sig->n; i++) least += !c->sig->p[i].has_default;
        if (least == most)
            PyErr_Format(PyExc_TypeError, "%s() takes %d positional argument%s but %zd %s given", c->family->name, most,
                         most == 1 ? "" : "s", nargs, nargs == 1 ? "was" : "were");
        else
            PyErr_Format(PyExc_TypeError, "%s() takes from %d to %d positional arguments but %zd %s given",
                         c->family->name, least, most, nargs, nargs == 1 ? "was" : "were");
        break;
    }
    case MISSING: say_missing(c, why); break;
    case UNKNOWN:
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", c->family->name, why->object);
        break;
    case TWICE:
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", c->family->name, why->object);
        break;
    default: say_wrong_type(c, why, self);
    }
}

/* "(Tensor, str, dim=int)"; keywords come last first, as PyTorch's table gives them */
static PyObject *given_types(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    PyObject *text = PyUnicode_FromString("(");
    Py_ssize_t nkw = kwnames ? PyTuple_Size(kwnames) : 0;
    for (Py_ssize_t i = 0; text && i < nargs + nkw; i++) {
        Py_ssize_t kw = i < nargs ? -1 : nkw - 1 - (i - nargs);
        PyObject *name = type_name(args[i < nargs ? i : nargs + kw]), *more;
        const char *before = i && nargs ? ", " : "", *after = nargs ? "" : ", ";
        if (kw < 0)
            more = PyUnicode_FromFormat("%U%s%V", text, before, name, "?");
        else
            more = PyUnicode_FromFormat("%U%s%U=%V%s", text, before, PyTuple_GetItem(kwnames, kw), name, "?", after);
        Py_XDECREF(name);
        WGPY_SET(text, more);
    }
    if (text) WGPY_SET(text, PyUnicode_FromFormat("%U)", text));
    return text;
}

static void say_none_fits(const wgpy_overloads *f, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    PyObject *given = given_types(args, nargs, kwnames);
    PyObject *text =
        given ? PyUnicode_FromFormat(
                    "%s() received an invalid combination of arguments - got %U, but expected one of:", f->name, given)
              : NULL;
    for (int k = 0; text && k < f->n; k++)
        if (!f->s[k]->deprecated) WGPY_SET(text, PyUnicode_FromFormat("%U\n * %s", text, f->s[k]->schema));
    if (text) PyErr_SetObject(PyExc_TypeError, text);
    Py_XDECREF(given);
    Py_XDECREF(text);
}

/* Where ours has one schema for "Tensor or number" PyTorch has an overload for each, but for those that take numbers
 * for tensors. */
static bool stands_for_two(const wgpy_overloads *f, const wgpy_signature *s) {
    static const char *const more[] = {"all",  "any",   "narrow",
                                       "view", "addmm", "addmm_"}; /* with a Tensor or dtype here and there */
    for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++)
        if (strcmp(more[i], f->name) == 0) return true;
    static const char *const single[] = {"add", "sub", "mul", "div", "add_", "sub_", "mul_", "div_", "copy_"};
    for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++)
        if (strcmp(single[i], f->name) == 0) return false;
    for (int i = 0; i < s->n; i++)
        if (s->p[i].type == PT_OPERAND) return true;
    return false;
}

/* The one overload that takes so many arguments, or NULL: what does not fit it is told in particular. */
static const wgpy_signature *plausible(const wgpy_overloads *f, bool self, Py_ssize_t given) {
    const wgpy_signature *found = NULL;
    if (strncmp(f->name, "div", 3) == 0 && given != f->s[0]->npos - self)
        return NULL; /* PyTorch's has a second, with a mode */
    if (f->n == 1 || f->s[1]->deprecated) return stands_for_two(f, f->s[0]) ? NULL : f->s[0];
    for (int k = 0; k < f->n; k++) {
        int least = -self, most = f->s[k]->n - self + f->takes_out;
        for (int i = 0; i < f->s[k]->n; i++) least += !f->s[k]->p[i].has_default;
        if (given < least || given > most || f->s[k]->deprecated) continue;
        if (found || stands_for_two(f, f->s[k])) return NULL;
        found = f->s[k];
    }
    return found;
}

int wgpy_bind(wgpy_call *c, const wgpy_overloads *f, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames) {
    misfit why;
    int named = kwnames && !nargs && !f->takes_out ? (int)PyTuple_Size(kwnames) + (self != NULL) : 0;
    c->family = f;
    c->nheap = 0;
    for (int k = 0; k < f->n; k++) {
        c->sig = f->s[k];
        if (named > c->sig->n && k + 1 < f->n) continue; /* one of the names is none of its */
        int fits = bind_one(c, self, args, nargs, kwnames, k + 1 < f->n, &why);
        if (fits == 1) return 0;
        if (fits < 0) return -1;
    }
    const wgpy_signature *one = plausible(f, self != NULL, nargs + (kwnames ? PyTuple_Size(kwnames) : 0));
    if (one) {
        c->sig = one;
        if (bind_one(c, self, args, nargs, kwnames, false, &why) < 0) return -1;
        if (!say_nothing_taken(c, self != NULL, nargs, kwnames)) say_one(c, &why, self != NULL, nargs);
    } else
        say_none_fits(f, args, nargs, kwnames);
    return -1;
}

void wgpy_unbind(wgpy_call *c) {
    while (c->nheap) free(c->heap[--c->nheap]);
}
