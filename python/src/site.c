/* site.c - call sites of Python: a word per line that made a node or wrote a tensor, asked for by the library when it
 * needs one, turned into "function (file:line)" only when shown.
 *
 * A word is the address of an entry (code object, instruction). Entries are interned and stay: there are as many as
 * places in the program that record.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "wgpy.h"

typedef struct entry {
    PyObject *code; /* owned */
    int lasti;
    struct entry *next;
} entry;

enum { BUCKETS = 1 << 10 };
static entry *table[BUCKETS];
static entry *recent[64]; /* direct-mapped, in front of the chains */

/* Not in the stable ABI, but exported by every CPython since 3.11: asked for by name, and done without where absent. */
static int (*get_lasti)(PyFrameObject *);
static int (*have_gil)(void);
static PyThreadState *(*holder)(void); /* of the GIL; from CPython 3.12 on: of this thread, while it has the GIL */

static unsigned hash(const void *code, int lasti) {
    uintptr_t h = ((uintptr_t)code >> 4) ^ ((uintptr_t)(unsigned)lasti * 0x9e3779b1u);
    return (unsigned)(h ^ h >> 16);
}

static entry *find(PyObject *code, int lasti) {
    unsigned h = hash(code, lasti);
    entry **quick = &recent[h % 64], *e = *quick;
    if (e && e->code == code && e->lasti == lasti) return e;
    for (e = table[h % BUCKETS]; e && (e->code != code || e->lasti != lasti); e = e->next) {
    }
    if (!e && (e = malloc(sizeof(*e)))) {
        Py_INCREF(code);
        *e = (entry){code, lasti, table[h % BUCKETS]};
        table[h % BUCKETS] = e;
    }
    return *quick = e;
}

void *wgpy_site_here(void) {
    PyFrameObject *frame = PyEval_GetFrame();
    if (!frame) return NULL;
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    entry *e = find(code, get_lasti ? get_lasti(frame) : -PyFrame_GetLineNumber(frame));
    Py_DECREF(code);
    return e;
}

/* Does this thread have the GIL? Asked for every node, so the answer is known again by the state that had it last time;
 * its number tells it from another thread's at the same address. */
static bool gil_is_ours(void) {
    static _Thread_local struct {
        PyThreadState *state;
        uint64_t number;
    } last __attribute__((tls_model("initial-exec")));
    PyThreadState *now = holder ? holder() : NULL;
    if (WGPY_LIKELY(now && now == last.state && PyThreadState_GetID(now) == last.number)) return true;
    if (!have_gil || !have_gil()) return false;
    last.state = now;
    if (now) last.number = PyThreadState_GetID(now);
    return true;
}

static void *source(void *here) {
    if (!gil_is_ours()) return here;
    void *e = wgpy_site_here();
    return e ? e : here;
}

static const entry *own(const void *site) {
    for (int b = 0; b < BUCKETS; b++)
        for (const entry *e = table[b]; e; e = e->next)
            if (e == site) return e;
    return NULL;
}

/* co_positions or co_lines give the line; co_positions is there since 3.11. */
static long line_of(const entry *e) {
    if (e->lasti < 0) return -e->lasti;
    PyObject *lines = PyObject_CallMethod(e->code, "co_lines", NULL);
    long found = 0;
    for (PyObject *item; lines && !found && (item = PyIter_Next(lines)); Py_DECREF(item)) {
        long start = PyLong_AsLong(PyTuple_GetItem(item, 0)), end = PyLong_AsLong(PyTuple_GetItem(item, 1));
        PyObject *line = PyTuple_GetItem(item, 2);
        if (start <= e->lasti && e->lasti < end && line != Py_None) found = PyLong_AsLong(line);
    }
    Py_XDECREF(lines);
    return found;
}

static size_t write_text(const entry *e, char *text, size_t size) {
    PyObject *file = PyObject_GetAttrString(e->code, "co_filename"), *name = PyObject_GetAttrString(e->code, "co_name");
    PyObject *file8 = file ? PyUnicode_AsEncodedString(file, "utf-8", "replace") : NULL;
    PyObject *name8 = name ? PyUnicode_AsEncodedString(name, "utf-8", "replace") : NULL;
    int n = 0;
    if (file8 && name8) {
        const char *f = PyBytes_AsString(file8), *f_end = strrchr(f, '/'), *who = PyBytes_AsString(name8);
        n = snprintf(text, size, "%s (%s:%ld)", who, f_end ? f_end + 1 : f, line_of(e));
    }
    Py_XDECREF(file8);
    Py_XDECREF(name8);
    Py_XDECREF(file);
    Py_XDECREF(name);
    return n > 0 ? (size_t)n : 0;
}

static size_t resolve(void *user, void *site, char *text, size_t size) {
    (void)user;
    PyGILState_STATE gil = PyGILState_Ensure();
    wgpy_saved_error saved = wgpy_save_error();
    const entry *e = own(site);
    size_t n = e ? write_text(e, text, size) : 0;
    PyErr_Clear();
    wgpy_restore_error(saved);
    PyGILState_Release(gil);
    return n < size ? n : size - 1;
}

int wgpy_init_site(void) {
    *(void **)&get_lasti = dlsym(RTLD_DEFAULT, "PyFrame_GetLasti");
    *(void **)&have_gil = dlsym(RTLD_DEFAULT, "PyGILState_Check");
    *(void **)&holder = dlsym(RTLD_DEFAULT, "_PyThreadState_UncheckedGet");
    if (!holder) *(void **)&holder = dlsym(RTLD_DEFAULT, "PyThreadState_GetUnchecked");
    wg_set_site_resolver(resolve, NULL);
    wg_set_site_source(source);
    return 0;
}

/* ---- the GIL ----------------------------------------------------------------------------------------------------- */

wgpy_away wgpy_release_gil(void) {
    wgpy_away away = {.pinned = wg_pin_site(NULL)};
    wg_pin_site(away.pinned ? away.pinned : wgpy_site_here());
    away.state = PyEval_SaveThread();
    return away;
}
void wgpy_acquire_gil(wgpy_away away) {
    PyEval_RestoreThread(away.state);
    wg_pin_site(away.pinned);
}
