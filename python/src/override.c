/* override.c - __torch_function__: classes that take the library's functions over (subclasses of Tensor, and classes
 * that only look like one), the modes that take all of them, and the ways to switch this off.
 *
 * Plain tensors and numbers pay a comparison of types.
 */
#include <string.h>

#include "wgpy.h"

static _Thread_local int subclasses_off, all_off; /* nested contexts */
static _Thread_local PyObject *modes;             /* list: the innermost last; owned */
static int modes_entered;                         /* in all threads */
static PyObject *disabled_impl;                   /* what a class that opts out has as __torch_function__ */

/* ---- who overrides ----------------------------------------------------------------------------------------------- */

static bool is_common(PyObject *o) {
    PyTypeObject *t = Py_TYPE(o);
    return t == &PyLong_Type || t == &PyFloat_Type || t == &PyBool_Type || t == &PyUnicode_Type || t == &PySlice_Type ||
           t == wgpy.dtype || t == wgpy.size || t == wgpy.device || t == wgpy.parameter || t == wgpy.tensor ||
           o == Py_None || o == Py_Ellipsis;
}

/* The type's own __torch_function__ as a new reference; NULL (no exception) where it has none or opts out. */
static PyObject *hook_of(PyObject *o) {
    if (wgpy_is_tensor(o) ? subclasses_off || all_off : all_off) return NULL;
    PyObject *hook = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__torch_function__");
    if (!hook) PyErr_Clear();
    if (!hook && !PyType_Check(o)) hook = PyObject_GetAttrString(o, "__torch_function__"); /* an object's own will do */
    if (!hook) PyErr_Clear();
    if (hook == disabled_impl) Py_CLEAR(hook);
    return hook;
}

bool wgpy_may_override(PyObject *o) {
    if (WGPY_LIKELY(is_common(o))) return false;
    bool tuple = PyTuple_CheckExact(o);
    if (tuple || PyList_CheckExact(o)) {
        Py_ssize_t n = tuple ? PyTuple_Size(o) : PyList_Size(o);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *item = tuple ? PyTuple_GetItem(o, i) : PyList_GetItem(o, i);
            if (!is_common(item) && !PyTuple_CheckExact(item) && !PyList_CheckExact(item) && wgpy_may_override(item))
                return true;
        }
        return false;
    }
    PyObject *hook = hook_of(o);
    Py_XDECREF(hook);
    return hook != NULL;
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

enum { MOST = 16 };
typedef struct overriders {
    PyObject *object[MOST]; /* borrowed, one per type, subclasses before their bases */
    int n;
} overriders;

static void consider(overriders *w, PyObject *o) {
    if (is_common(o) || w->n == MOST) return;
    if (PyTuple_CheckExact(o) || PyList_CheckExact(o)) {
        Py_ssize_t n = PySequence_Size(o);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *item = PyTuple_CheckExact(o) ? PyTuple_GetItem(o, i) : PyList_GetItem(o, i);
            if (!PyTuple_CheckExact(item) && !PyList_CheckExact(item)) consider(w, item);
        }
        return;
    }
    PyObject *hook = hook_of(o);
    if (!hook) return;
    Py_DECREF(hook);
    int at = w->n;
    for (int i = 0; i < w->n; i++) {
        if (Py_TYPE(w->object[i]) == Py_TYPE(o)) return;
        if (at == w->n && PyType_IsSubtype(Py_TYPE(o), Py_TYPE(w->object[i]))) at = i;
    }
    memmove(&w->object[at + 1], &w->object[at], (size_t)(w->n - at) * sizeof(*w->object));
    w->object[at] = o;
    w->n++;
}

static PyObject *types_of(const overriders *w) {
    PyObject *types = PyTuple_New(w->n);
    for (int i = 0; types && i < w->n; i++) PyTuple_SetItem(types, i, Py_NewRef((PyObject *)Py_TYPE(w->object[i])));
    return types;
}

static PyObject *tuple_of(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    PyObject *t = PyTuple_New(nargs + (self != NULL));
    if (t && self) PyTuple_SetItem(t, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; t && i < nargs; i++) PyTuple_SetItem(t, i + (self != NULL), Py_NewRef(args[i]));
    return t;
}
static PyObject *dict_of(PyObject *const *values, PyObject *names) { /* None when there are none */
    Py_ssize_t n = names ? PyTuple_Size(names) : 0;
    PyObject *d = n ? PyDict_New() : Py_NewRef(Py_None);
    for (Py_ssize_t i = 0; d && i < n; i++)
        if (PyDict_SetItem(d, PyTuple_GetItem(names, i), values[i]) < 0) Py_CLEAR(d);
    return d;
}

/* ---- calling them ------------------------------------------------------------------------------------------------ */

/* Once per process: a __torch_function__ that is no classmethod. */
static int warn_of_plain_method(PyObject *who, PyObject *hook) {
    static bool said;
    PyObject *of = said ? NULL : PyObject_GetAttrString(hook, "__self__");
    if (!of) PyErr_Clear();
    bool plain = of == who;
    Py_XDECREF(of);
    if (!plain) return 0;
    said = true;
    return wgpy_warn(PyExc_UserWarning, "Defining your `__torch_function__` as a plain method is deprecated and will "
                                        "be an error in future, please define it "
                                        "as a classmethod.");
}
static PyObject *ask(PyObject *who, PyObject *func, PyObject *types, PyObject *args, PyObject *kwargs) {
    PyObject *hook = PyObject_GetAttrString(who, "__torch_function__");
    if (hook && warn_of_plain_method(who, hook) < 0) Py_CLEAR(hook);
    PyObject *r = hook ? PyObject_CallFunctionObjArgs(hook, func, types, args, kwargs, NULL) : NULL;
    Py_XDECREF(hook);
    return r;
}

/* The innermost mode, which does not see its own calls. */
static PyObject *ask_mode(PyObject *func, PyObject *types, PyObject *args, PyObject *kwargs) {
    Py_ssize_t n = modes ? PyList_Size(modes) : 0;
    if (!n) return Py_NewRef(Py_NotImplemented);
    PyObject *mode = Py_NewRef(PyList_GetItem(modes, n - 1));
    if (PyList_SetSlice(modes, n - 1, n, NULL) < 0) {
        Py_DECREF(mode);
        return NULL;
    }
    PyObject *hook = PyObject_GetAttrString(mode, "__torch_function__");
    PyObject *r = hook ? PyObject_CallFunctionObjArgs(hook, func, types, args, kwargs, NULL) : NULL;
    Py_XDECREF(hook);
    wgpy_saved_error e = wgpy_save_error();
    if (PyList_Append(modes, mode) < 0) PyErr_Clear();
    wgpy_restore_error(e);
    Py_DECREF(mode);
    return r;
}

/* torch.add, torch.Tensor.add, torch.Tensor.T.__get__ */
static PyObject *full_name(PyObject *func) {
    PyObject *name = PyObject_GetAttrString(func, "__name__"), *of = PyObject_GetAttrString(func, "__self__"),
             *module = NULL, *r = NULL;
    PyErr_Clear();
    const char *text = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    if (text && of &&
        (strcmp(text, "__get__") == 0 || strcmp(text, "__set__") == 0 || strcmp(text, "__delete__") == 0)) {
        PyObject *attribute = PyObject_GetAttrString(of, "__name__");
        if (attribute) r = PyUnicode_FromFormat("torch.Tensor.%S.%s", attribute, text);
        Py_XDECREF(attribute);
    } else if (text) {
        PyObject *method = PyObject_GetAttrString((PyObject *)wgpy.tensor, text);
        PyErr_Clear();
        module = method == func ? PyUnicode_FromString("torch.Tensor") : PyObject_GetAttrString(func, "__module__");
        const char *where = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8AndSize(module, NULL) : "torch";
        bool ours = where && strncmp(where, "wengert", 7) == 0;
        r = PyUnicode_FromFormat("%s%s.%s", ours ? "torch" : "", ours ? where + 7 : where ? where : "torch", text);
        Py_XDECREF(method);
    }
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(of);
    Py_XDECREF(module);
    return r ? r : PyObject_Str(func);
}

/* Everybody asked said NotImplemented. Functions written in Python have a text of their own. */
static PyObject *say_nobody(PyObject *func, const overriders *w, PyObject *types, bool in_python) {
    PyObject *name = full_name(func), *list = PySequence_List(types), *lines = PyUnicode_FromString("");
    Py_ssize_t n = modes ? PyList_Size(modes) : 0;
    if (lines && n && !all_off)
        WGPY_SET(lines, PyUnicode_FromFormat("  - mode object %R\n", PyList_GetItem(modes, n - 1)));
    for (int i = 0; lines && i < w->n; i++)
        WGPY_SET(lines, PyUnicode_FromFormat("%U  - tensor subclass %R\n", lines, (PyObject *)Py_TYPE(w->object[i])));
    if (name && list && lines && in_python)
        PyErr_Format(PyExc_TypeError, "no implementation found for '%U' on types that implement __torch_function__: %S",
                     name, list);
    else if (name && lines)
        PyErr_Format(
            PyExc_TypeError,
            "Multiple dispatch failed for '%U'; all __torch_function__ handlers returned NotImplemented:\n\n%U", name,
            lines);
    Py_XDECREF(name);
    Py_XDECREF(list);
    Py_XDECREF(lines);
    return NULL;
}

static PyObject *dispatch(PyObject *func, const overriders *w, PyObject *args, PyObject *kwargs, bool in_python) {
    PyObject *types = types_of(w);
    if (!types) return NULL;
    PyObject *r = all_off ? Py_NewRef(Py_NotImplemented) : ask_mode(func, types, args, kwargs);
    for (int i = 0; r == Py_NotImplemented && i < w->n; i++) WGPY_SET(r, ask(w->object[i], func, types, args, kwargs));
    if (r == Py_NotImplemented) {
        Py_CLEAR(r);
        say_nobody(func, w, types, in_python);
    }
    Py_DECREF(types);
    return r;
}

PyObject *wgpy_override(const wgpy_overloads *f, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames, bool *handled) {
    overriders w = {.n = 0};
    Py_ssize_t nkw = kwnames ? PyTuple_Size(kwnames) : 0;
    if (self) consider(&w, self);
    for (Py_ssize_t i = 0; i < nargs + nkw; i++) consider(&w, args[i]);
    *handled = (w.n || (modes && !all_off && PyList_Size(modes) > 0)) && f->function;
    if (!*handled) return NULL;
    PyObject *tuple = tuple_of(self, args, nargs), *dict = dict_of(args + nargs, kwnames);
    PyObject *r = tuple && dict ? dispatch(f->function, &w, tuple, dict, false) : NULL;
    Py_XDECREF(tuple);
    Py_XDECREF(dict);
    return r;
}

/* ---- Tensor.__torch_function__: a subclass's results are of the subclass ----------------------------------------- */

static PyObject *as_subclass(PyObject *o, PyTypeObject *cls) {
    size_t scope = wg_scope_open();
    wg_tensor *alias = wg_take(wg_alias(wgpy_handle(o)));
    wg_scope_close(scope);
    return wgpy_wrap_as(cls, alias);
}

static PyObject *convert(PyObject *r, PyTypeObject *cls);
static PyObject *convert_item(PyObject *item, PyTypeObject *cls) { /* lists may hold themselves */
    if (Py_EnterRecursiveCall(" in a result of __torch_function__")) return NULL;
    PyObject *r = convert(Py_NewRef(item), cls);
    Py_LeaveRecursiveCall();
    return r;
}
static PyObject *convert(PyObject *r, PyTypeObject *cls) { /* consumes r */
    if (!r) return NULL;
    if (wgpy_is_tensor(r) && !PyType_IsSubtype(Py_TYPE(r), cls)) {
        WGPY_SET(r, as_subclass(r, cls));
    } else if (PyTuple_Check(r) || PyList_CheckExact(r)) {
        bool exact = PyTuple_CheckExact(r), list = PyList_CheckExact(r);
        if (Py_TYPE(r) == wgpy.size) return r;
        PyObject *items = PySequence_List(r);
        for (Py_ssize_t i = 0; items && i < PyList_Size(items); i++) {
            PyObject *item = convert_item(PyList_GetItem(items, i), cls);
            if (!item || PyList_SetItem(items, i, item) < 0) Py_CLEAR(items);
        }
        if (items && !list)
            WGPY_SET(items,
                     exact ? PyList_AsTuple(items) : PyObject_CallFunctionObjArgs((PyObject *)Py_TYPE(r), items, NULL));
        WGPY_SET(r, items);
    }
    return r;
}

static int all_subtypes(PyTypeObject *cls, PyObject *types) { /* -1: exception */
    PyObject *list = PySequence_List(types);
    if (!list) return -1;
    bool all = true;
    for (Py_ssize_t i = 0; all && i < PyList_Size(list); i++) {
        PyObject *t = PyList_GetItem(list, i);
        all = PyType_Check(t) && PyType_IsSubtype(cls, (PyTypeObject *)t);
    }
    Py_XDECREF(list);
    return all;
}

/* Properties whose value keeps its own type. */
static bool keeps_type(PyObject *func) {
    PyObject *of = PyObject_GetAttrString(func, "__self__"), *name = of ? PyObject_GetAttrString(of, "__name__") : NULL;
    PyErr_Clear();
    bool keeps =
        name && PyUnicode_Check(name) &&
        (PyUnicode_CompareWithASCIIString(name, "grad") == 0 || PyUnicode_CompareWithASCIIString(name, "_base") == 0 ||
         PyUnicode_CompareWithASCIIString(name, "_grad") == 0);
    Py_XDECREF(of);
    Py_XDECREF(name);
    return keeps;
}

static bool are_keywords(PyObject *kwargs) {
    if (!kwargs || kwargs == Py_None || PyDict_Check(kwargs)) return true;
    PyErr_Format(PyExc_TypeError, "__torch_function__: kwargs must be a dict, not %R", (PyObject *)Py_TYPE(kwargs));
    return false;
}

static PyObject *default_impl(PyObject *cls, PyObject *args) {
    PyObject *func, *types, *call_args = NULL, *kwargs = NULL;
    if (!PyArg_ParseTuple(args, "OO|OO:__torch_function__", &func, &types, &call_args, &kwargs)) return NULL;
    int fits = all_subtypes((PyTypeObject *)cls, types);
    if (fits <= 0) return fits ? NULL : Py_NewRef(Py_NotImplemented);
    if (!are_keywords(kwargs)) return NULL;
    PyObject *list = call_args ? PySequence_Tuple(call_args) : PyTuple_New(0);
    if (!list) return NULL;
    subclasses_off++;
    PyObject *r = PyObject_Call(func, list, kwargs && kwargs != Py_None ? kwargs : NULL);
    subclasses_off--;
    Py_DECREF(list);
    return r && keeps_type(func) ? r : convert(r, (PyTypeObject *)cls);
}
static PyObject *default_impl_keywords(PyObject *cls, PyObject *args, PyObject *kw) {
    if (!kw || PyDict_Size(kw) == 0) return default_impl(cls, args);
    static char *names[] = {"func", "types", "args", "kwargs", NULL};
    PyObject *func, *types, *call_args = Py_None, *kwargs = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "OO|OO:__torch_function__", names, &func, &types, &call_args, &kwargs))
        return NULL;
    PyObject *empty = PyTuple_New(0);
    PyObject *all = empty ? PyTuple_Pack(4, func, types, call_args == Py_None ? empty : call_args, kwargs) : NULL;
    PyObject *r = all ? default_impl(cls, all) : NULL;
    Py_XDECREF(empty);
    Py_XDECREF(all);
    return r;
}

/* For classes that opt out: the function itself. */
static PyObject *call_plainly(PyObject *module, PyObject *args) {
    PyObject *func, *types, *call_args = NULL, *kwargs = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO|OO:_disabled_torch_function_impl", &func, &types, &call_args, &kwargs)) return NULL;
    if (!are_keywords(kwargs)) return NULL;
    PyObject *list = call_args ? PySequence_Tuple(call_args) : PyTuple_New(0);
    if (!list) return NULL;
    subclasses_off++;
    PyObject *r = PyObject_Call(func, list, kwargs && kwargs != Py_None ? kwargs : NULL);
    subclasses_off--;
    Py_DECREF(list);
    return r;
}

/* Is it a class of tensors? false with TypeError. */
static bool is_tensor_class(PyObject *cls) {
    if (PyType_Check(cls) && PyType_IsSubtype((PyTypeObject *)cls, wgpy.tensor)) return true;
    PyObject *name = PyType_GetName(Py_TYPE(cls));
    if (PyType_Check(cls))
        PyErr_SetString(PyExc_TypeError, "Creating a Tensor subclass from a class that does not inherit from Tensor is "
                                         "not possible. Make sure your class "
                                         "inherits from Tensor.");
    else
        PyErr_Format(PyExc_TypeError, "cls must be a type (got %U)", name);
    Py_XDECREF(name);
    return false;
}
static PyObject *method_as_subclass(PyObject *self, PyObject *args,
                                    PyObject *kwargs) { /* not asked of __torch_function__ */
    static char *names[] = {"cls", NULL};
    PyObject *cls = NULL;
    if (PyTuple_Size(args) == 0 && !kwargs) {
        PyErr_SetString(PyExc_TypeError, "as_subclass() missing 1 required positional arguments: \"cls\"");
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:as_subclass", names, &cls) || !is_tensor_class(cls)) return NULL;
    return as_subclass(self, (PyTypeObject *)cls);
}

/* Tensor._make_subclass(cls, data, require_grad=False): data's storage under a class, a leaf. */
static PyObject *make_subclass(PyObject *unused, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"cls", "data", "require_grad", NULL};
    PyObject *cls, *data;
    int requires_grad = 0;
    (void)unused;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:_make_subclass", names, &cls, &data, &requires_grad))
        return NULL;
    if (!is_tensor_class(cls)) return NULL;
    if (!wgpy_expect(data, "_make_subclass", "data")) return NULL;
    if (requires_grad && !wg_dtype_is_floating(wg_dtype_of(wgpy_handle(data)))) {
        PyErr_SetString(PyExc_RuntimeError, "Only Tensors of floating point and complex dtype can require gradients");
        return NULL;
    }
    size_t scope = wg_scope_open();
    wg_tensor *t = wg_detach(wgpy_handle(data));
    if (requires_grad) t = wg_set_requires_grad(t, true);
    t = wg_take(t);
    wg_scope_close(scope);
    return wgpy_wrap_as((PyTypeObject *)cls, t);
}

PyMethodDef wgpy_override_methods[] = {
    {"__torch_function__", (PyCFunction)(void (*)(void))default_impl_keywords,
     METH_CLASS | METH_VARARGS | METH_KEYWORDS, NULL},
    {"as_subclass", (PyCFunction)(void (*)(void))method_as_subclass, METH_VARARGS | METH_KEYWORDS,
     "as_subclass(cls) -> cls\n\nThe same elements as an object of a subclass."},
    {"_make_subclass", (PyCFunction)(void (*)(void))make_subclass, METH_STATIC | METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL}};

/* ---- contexts and modes ------------------------------------------------------------------------------------------ */

/* _off(kind, by): kind 0 subclasses, 1 everything. */
static PyObject *off(PyObject *m, PyObject *args) {
    int kind, by;
    (void)m;
    if (!PyArg_ParseTuple(args, "ii", &kind, &by)) return NULL;
    *(kind ? &all_off : &subclasses_off) += by;
    Py_RETURN_NONE;
}
static PyObject *push_mode(PyObject *m, PyObject *mode) {
    (void)m;
    if (!modes && !(modes = PyList_New(0))) return NULL;
    if (PyList_Append(modes, mode) < 0) return NULL;
    wgpy.overrides = ++modes_entered > 0;
    Py_RETURN_NONE;
}
static PyObject *pop_mode(PyObject *m, PyObject *unused) {
    (void)m, (void)unused;
    Py_ssize_t n = modes ? PyList_Size(modes) : 0;
    if (!n) {
        PyErr_SetString(PyExc_RuntimeError, "no mode is active");
        return NULL;
    }
    PyObject *mode = Py_NewRef(PyList_GetItem(modes, n - 1));
    if (PyList_SetSlice(modes, n - 1, n, NULL) < 0) Py_CLEAR(mode);
    wgpy.overrides = --modes_entered > 0;
    return mode;
}
static PyObject *count_modes(PyObject *m, PyObject *unused) {
    return (void)m, (void)unused, PyLong_FromSsize_t(modes ? PyList_Size(modes) : 0);
}
static PyObject *is_enabled(PyObject *m, PyObject *unused) {
    return (void)m, (void)unused, PyBool_FromLong(!subclasses_off && !all_off);
}

static PyObject *has_override(PyObject *m, PyObject *args) {
    (void)m;
    bool any = modes && !all_off && PyList_Size(modes) > 0;
    PyObject *list = PySequence_List(args);
    for (Py_ssize_t i = 0; list && !any && i < PyList_Size(list); i++) any = wgpy_may_override(PyList_GetItem(list, i));
    Py_XDECREF(list);
    return list ? PyBool_FromLong(any) : NULL;
}
/* handle_torch_function(func, relevant_args, args, kwargs): what a library's function written in Python calls. */
static PyObject *handle(PyObject *m, PyObject *all) {
    PyObject *func, *relevant, *args, *kwargs;
    overriders w = {.n = 0};
    (void)m;
    if (!PyArg_ParseTuple(all, "OOOO", &func, &relevant, &args, &kwargs)) return NULL;
    PyObject *list = PySequence_List(relevant);
    if (!list) return NULL;
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) consider(&w, PyList_GetItem(list, i));
    PyObject *r = dispatch(func, &w, args, kwargs, true);
    Py_DECREF(list);
    return r;
}

static PyMethodDef functions[] = {{"_disabled_torch_function_impl", call_plainly, METH_VARARGS, NULL},
                                  {"_torch_function_off", off, METH_VARARGS, NULL},
                                  {"_push_mode", push_mode, METH_O, NULL},
                                  {"_pop_mode", pop_mode, METH_NOARGS, NULL},
                                  {"_count_modes", count_modes, METH_NOARGS, NULL},
                                  {"_is_torch_function_enabled", is_enabled, METH_NOARGS, NULL},
                                  {"_has_torch_function", has_override, METH_O, NULL},
                                  {"_handle_torch_function", handle, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

static PyObject *set_parameter(PyObject *m, PyObject *cls) {
    (void)m;
    Py_INCREF(cls);
    wgpy.parameter = (PyTypeObject *)cls;
    Py_RETURN_NONE;
}
static PyMethodDef set_parameter_def = {"_set_parameter", set_parameter, METH_O, NULL};

int wgpy_init_override(PyObject *module) {
    if (PyModule_AddFunctions(module, functions) < 0) return -1;
    PyObject *set = PyCFunction_NewEx(&set_parameter_def, NULL, NULL);
    if (!set || PyModule_AddObjectRef(module, "_set_parameter", set) < 0) return -1;
    Py_DECREF(set);
    disabled_impl = PyObject_GetAttrString(module, "_disabled_torch_function_impl");
    return disabled_impl ? 0 : -1;
}
