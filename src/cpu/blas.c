/* blas.c - finds a BLAS at run time: the one that WENGERT_BLAS names ("none": no other), else OpenBLAS or BLIS of the
 * system. It is loaded at the first large product, never at start, and set to one thread: our own pool calls it on
 * tiles whose size is fixed (gemm.c), since a BLAS with threads of its own gives other bits for another number of them.
 * For the same reason a BLAS that the process had before us is left alone: its settings are its owner's. One that
 * brings an OpenMP runtime is refused, for the process may have another.
 */
#define _GNU_SOURCE
#include "cpu/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    wg_blas table;
    char name[128];
    _Atomic int state; /* 0: not tried, 1: there, -1: none */
} found = {.name = "none"};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Debian keeps the builds of OpenBLAS apart; the bare names are what the system's alternatives or another system has.
 */
#if defined(__x86_64__)
#define LIBS "/usr/lib/x86_64-linux-gnu/"
#elif defined(__aarch64__)
#define LIBS "/usr/lib/aarch64-linux-gnu/"
#else
#define LIBS "/usr/lib/"
#endif
static const char *const candidates[] = {
    LIBS "openblas-serial/libopenblas.so.0", LIBS "openblas-pthread/libopenblas.so.0", "libopenblas.so.0",
    LIBS "blis-serial/libblis.so.4",         LIBS "blis-pthread/libblis.so.4",         "libblis.so.4",
};

static void *symbol(void *library, const char *name) {
    char prefixed[64];
    void *p = dlsym(library, name);
    if (p) return p;
    snprintf(prefixed, sizeof(prefixed), "scipy_%s", name); /* the scipy-openblas32 package */
    return dlsym(library, prefixed);
}

static bool one_thread(void *library) {
    int (*parallel)(void) = (int (*)(void))symbol(library, "openblas_get_parallel");
    enum { OPENMP = 2 };
    if (parallel && parallel() == OPENMP) return false;
    void (*set)(int) = (void (*)(int))symbol(library, "openblas_set_num_threads");
    if (set) set(1);
    void (*set_blis)(long) = (void (*)(long))symbol(library, "bli_thread_set_num_threads");
    if (set_blis) set_blis(1);
    return true;
}

static bool use(const char *name) {
    void *before = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (before) {
        dlclose(before);
        return false;
    }
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    found.table.sgemm = (wg_sgemm_fn *)symbol(library, "cblas_sgemm");
    found.table.dgemm = (wg_dgemm_fn *)symbol(library, "cblas_dgemm");
    if (!found.table.sgemm || !found.table.dgemm || !one_thread(library)) {
        dlclose(library);
        return false;
    }
    snprintf(found.name, sizeof(found.name), "%s", name);
    return true;
}

static void search(void) {
    const char *named = getenv("WENGERT_BLAS");
    bool there = false;
    if (named && *named) {
        there = strcmp(named, "none") != 0 && use(named);
    } else if (!dlsym(RTLD_DEFAULT, "cblas_sgemm")) {
        for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates) && !there; i++) there = use(candidates[i]);
    }
    atomic_store_explicit(&found.state, there ? 1 : -1, memory_order_release);
}

const wg_blas *wg__blas(void) {
    int state = atomic_load_explicit(&found.state, memory_order_acquire);
    if (state == 0) {
        pthread_once(&once, search);
        state = atomic_load_explicit(&found.state, memory_order_acquire);
    }
    return state > 0 ? &found.table : NULL;
}

const char *wg__blas_name(void) {
    int state = atomic_load_explicit(&found.state, memory_order_acquire);
    return state == 0 ? "not looked for yet" : found.name;
}
