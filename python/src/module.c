/* module.c - wengert._C: makes the types, then the functions; and the few functions that belong nowhere else.
 *
 * The library is one per process, and so is this module: a second interpreter gets ImportError, and so does a process
 * in which another copy of the library is loaded already.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "wgpy.h"

wgpy_state wgpy;

/* ---- looking names up for pickle --------------------------------------------------------------------------------- */

static PyObject *by_name(PyObject *module, PyObject *name) { return PyObject_GetAttr(module, name); }
static PyObject *rebuild_size(PyObject *module, PyObject *tuple) {
    (void)module;
    return PyObject_CallFunctionObjArgs((PyObject *)wgpy.size, tuple, NULL);
}
static PyObject *rebuild_device(PyObject *module, PyObject *text) {
    (void)module;
    return PyObject_CallFunctionObjArgs((PyObject *)wgpy.device, text, NULL);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static PyObject *get_default_dtype(PyObject *m, PyObject *u) {
    return (void)m, (void)u, wgpy_dtype_object(wg_default_dtype());
}
static PyObject *set_default_dtype(PyObject *m, PyObject *o) {
    wg_dtype d;
    (void)m;
    if (!wgpy_is_dtype(o)) {
        PyErr_Format(PyExc_TypeError,
                     "invalid dtype object: only floating-point types are supported as the default type");
        return NULL;
    }
    if (wgpy_dtype_from(o, &d) < 0 || wgpy_check(wg_set_default_dtype(d))) return NULL;
    Py_RETURN_NONE;
}
static PyObject *get_num_threads(PyObject *m, PyObject *u) {
    return (void)m, (void)u, PyLong_FromLong(wg_num_threads());
}
static PyObject *set_num_threads(PyObject *m, PyObject *o) {
    (void)m;
    if (!PyLong_Check(o)) {
        PyErr_Format(PyExc_TypeError, "set_num_threads expects an int, but got %S", (PyObject *)Py_TYPE(o));
        return NULL;
    }
    long n = PyLong_AsLong(o);
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (wgpy_check(wg_set_num_threads(n > 1 << 16 ? 1 << 16 : n < 0 ? 0 : (int)n))) return NULL;
    Py_RETURN_NONE;
}
static PyObject *config(PyObject *m, PyObject *u) { return (void)m, (void)u, PyUnicode_FromString(wg_config()); }
static PyObject *version(PyObject *m, PyObject *u) { return (void)m, (void)u, PyUnicode_FromString(wg_version()); }
static PyObject *memory_stats(PyObject *m, PyObject *u) {
    wg_memory_stats s = {.size = sizeof(s)};
    (void)m, (void)u;
    wg_memory_stats_get(&s);
    return Py_BuildValue("{s:n,s:n,s:n,s:L,s:L}", "live_bytes", (Py_ssize_t)s.live_bytes, "peak_bytes",
                         (Py_ssize_t)s.peak_bytes, "cached_bytes", (Py_ssize_t)s.cached_bytes, "live_tensors",
                         (long long)s.live_tensors, "live_nodes", (long long)s.live_nodes);
}

/* The path of the library that this module is linked with. */
static PyObject *library_path(PyObject *m, PyObject *u) {
    Dl_info info;
    (void)m, (void)u;
    if (!dladdr((void *)(uintptr_t)wg_version, &info)) Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefault(info.dli_fname);
}

/* ---- print options ----------------------------------------------------------------------------------------------- */

static int profile_of(PyObject *o, wg_print_profile *p) {
    *p = WG_PRINT_NONE;
    if (!o || o == Py_None) return 0;
    static const char *const names[] = {"default", "short", "full"};
    for (int i = 0; i < 3; i++)
        if (PyUnicode_Check(o) && PyUnicode_CompareWithASCIIString(o, names[i]) == 0) {
            *p = (wg_print_profile)(WG_PRINT_DEFAULT + i);
            return 0;
        }
    return PyUnicode_Check(o) ? 0
                              : (PyErr_SetString(PyExc_TypeError, "profile must be 'default', 'short' or 'full'"), -1);
}

/* An option that is a number and given. */
static bool option(PyObject *o, bool *has, double *value) {
    *has = o && o != Py_None;
    if (*has) *value = PyFloat_AsDouble(o);
    return !(*has && *value == -1 && PyErr_Occurred());
}

static PyObject *set_printoptions(PyObject *m, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"precision", "threshold", "edgeitems", "linewidth", "profile", "sci_mode", NULL};
    PyObject *given[6] = {NULL};
    wg_print_options o = {.size = sizeof(o)};
    double precision = 0, edgeitems = 0, linewidth = 0;
    (void)m;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOOOOO:set_printoptions", names, &given[0], &given[1], &given[2],
                                     &given[3], &given[4], &given[5]))
        return NULL;
    if (profile_of(given[4], &o.profile) < 0 || !option(given[0], &o.has_precision, &precision) ||
        !option(given[1], &o.has_threshold, &o.threshold) || !option(given[2], &o.has_edgeitems, &edgeitems) ||
        !option(given[3], &o.has_linewidth, &linewidth))
        return NULL;
    o.precision = (int)precision;
    o.edgeitems = (int64_t)edgeitems;
    o.linewidth = (int64_t)linewidth;
    if (given[5] && given[5] != Py_None) o.sci_mode = PyObject_IsTrue(given[5]) ? WG_SCI_ON : WG_SCI_OFF;
    if (wgpy_check(wg_set_print_options(&o))) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"_dtype_by_name", by_name, METH_O, NULL},
    {"_rebuild_size", rebuild_size, METH_O, NULL},
    {"_rebuild_device", rebuild_device, METH_O, NULL},
    {"get_default_dtype", get_default_dtype, METH_NOARGS,
     "get_default_dtype() -> dtype\n\nThe dtype of floats that say none."},
    {"set_default_dtype", set_default_dtype, METH_O, "set_default_dtype(d)\n\nSets it: a floating dtype."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "get_num_threads() -> int\n\nThreads that long kernels use."},
    {"set_num_threads", set_num_threads, METH_O, "set_num_threads(int)\n\nSets it; results do not depend on it."},
    {"set_printoptions", (PyCFunction)(void (*)(void))set_printoptions, METH_VARARGS | METH_KEYWORDS,
     "set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None)\n\n"
     "How repr shows tensors."},
    {"_schemas", wgpy_schemas, METH_NOARGS, NULL},
    {"_return_type", wgpy_return_type, METH_O, NULL},
    {"_config", config, METH_NOARGS, NULL},
    {"_version", version, METH_NOARGS, NULL},
    {"_memory_stats", memory_stats, METH_NOARGS, NULL},
    {"_library_path", library_path, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

/* ---- import ------------------------------------------------------------------------------------------------------ */

/* Another libwengert in the process would have its own tensors: they must not mix. Where wg_version lies in a file that
 * is loaded, if it has one. */
static bool library_in(const char *file, Dl_info *found) {
    void *handle = dlopen(file, RTLD_LAZY | RTLD_NOLOAD), *symbol = handle ? dlsym(handle, "wg_version") : NULL;
    bool has = symbol && dladdr(symbol, found);
    if (handle) dlclose(handle);
    return has;
}

/* The names of loaded files that may be libwengert, one after the other. */
typedef struct files {
    char text[4096];
    size_t used;
} files;
static int note_file(struct dl_phdr_info *info, size_t size, void *into) {
    files *f = into;
    size_t n = info->dlpi_name ? strlen(info->dlpi_name) + 1 : 0;
    (void)size;
    if (n <= 1 || !strstr(info->dlpi_name, "libwengert") || f->used + n >= sizeof(f->text)) return 0;
    memcpy(f->text + f->used, info->dlpi_name, n);
    f->used += n;
    return 0;
}

static int check_one_library(void) {
    Dl_info ours, other;
    files f = {.used = 0};
    if (!dladdr((void *)(uintptr_t)wg_version, &ours)) return 0;
    dl_iterate_phdr(note_file, &f);
    bool two =
        library_in(NULL, &other) && other.dli_fbase != ours.dli_fbase; /* the program's own, or of global scope */
    for (size_t at = 0; at < f.used && !two; at += strlen(f.text + at) + 1)
        two = library_in(f.text + at, &other) && other.dli_fbase != ours.dli_fbase;
    if (!two) return 0;
    PyErr_Format(
        PyExc_ImportError,
        "a second copy of libwengert is in this process: %s, besides %s. Tensors of the two cannot be shared; link the "
        "program with wengert.get_library()",
        other.dli_fname, ours.dli_fname);
    return -1;
}

static int exec(PyObject *module) {
    static bool loaded;
    if (loaded) {
        PyErr_SetString(
            PyExc_ImportError,
            "wengert can be loaded once per process, in one interpreter: the library's state is shared by all");
        return -1;
    }
    if (check_one_library() < 0) return -1;
    loaded = true;
    wgpy.module = module;
    if (wgpy_init_host() < 0 || wgpy_init_types(module) < 0 || wgpy_init_override(module) < 0 ||
        wgpy_init_random(module) < 0 || wgpy_init_ops(module) < 0 || wgpy_init_tensor(module) < 0 ||
        wgpy_init_index(module) < 0 || wgpy_init_create(module) < 0 || wgpy_init_functions(module) < 0 ||
        wgpy_init_node(module) < 0 || wgpy_init_hooks(module) < 0 || wgpy_init_mode(module) < 0 ||
        wgpy_init_autograd(module) < 0 || wgpy_init_function(module) < 0 || wgpy_init_forward_ad(module) < 0 ||
        wgpy_init_history(module) < 0 || wgpy_init_interop(module) < 0)
        return -1;
    return wgpy_add_functions(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                 "wengert._C",
                                 "The extension of wengert: tensors and operators on libwengert.",
                                 0,
                                 functions,
                                 slots,
                                 NULL,
                                 NULL,
                                 NULL};

PyMODINIT_FUNC PyInit__C(void);
PyMODINIT_FUNC PyInit__C(void) { return PyModuleDef_Init(&definition); }
