/* site.c - call sites: a word per node (a return address, or what a binding pinned), turned into text only when shown.
 *
 * The default resolver loads libdw (elfutils) when it is there and reads function, file and line from debug
 * information; otherwise module and offset, which addr2line understands.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/tensor.h"
#include "wengert/autograd.h"

static size_t (*resolver)(void *user, void *site, char *text, size_t size);
static void *resolver_user;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
void wg__site_fork(int phase) { wg__around_fork(&lock, phase); }

void *(*wg__site_source)(void *here);
void wg_set_site_source(void *(*source)(void *here)) { wg__site_source = source; }

void *wg_pin_site(void *site) {
    void *before = wg__tls.site;
    wg__tls.site = site;
    return before;
}
void wg_set_site_resolver(size_t (*resolve)(void *user, void *site, char *text, size_t size), void *user) {
    pthread_mutex_lock(&lock);
    resolver = resolve;
    resolver_user = user;
    pthread_mutex_unlock(&lock);
}

/* ---- libdw, as far as it is needed ------------------------------------------------------------------------------- */

typedef struct callbacks { /* Dwfl_Callbacks of elfutils/libdwfl.h */
    void *find_elf, *find_debuginfo, *section_address;
    char **debuginfo_path;
} callbacks;
static struct {
    void *(*begin)(const callbacks *);
    int (*report)(void *, pid_t);
    int (*report_end)(void *, void *, void *);
    void *(*module)(void *, uint64_t);
    const char *(*name)(void *, uint64_t);
    void *(*line)(void *, uint64_t);
    const char *(*info)(void *, uint64_t *, int *, int *, uint64_t *, uint64_t *);
    void (*end)(void *);
    void *(*next_unit)(void *, void *, uint64_t *);
    int (*has_pc)(void *, uint64_t);
    void *(*line_of_unit)(void *, uint64_t);
    const char *(*line_file)(void *, uint64_t *, uint64_t *);
    int (*line_number)(void *, int *);
    callbacks calls;
    char *path;
    int state; /* 0: not tried, 1: there, -1: not */
} dw;

static void load(void) {
    dw.state = -1;
    void *h = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!h) return;
    *(void **)&dw.begin = dlsym(h, "dwfl_begin");
    *(void **)&dw.report = dlsym(h, "dwfl_linux_proc_report");
    *(void **)&dw.report_end = dlsym(h, "dwfl_report_end");
    *(void **)&dw.module = dlsym(h, "dwfl_addrmodule");
    *(void **)&dw.name = dlsym(h, "dwfl_module_addrname");
    *(void **)&dw.line = dlsym(h, "dwfl_getsrc");
    *(void **)&dw.info = dlsym(h, "dwfl_lineinfo");
    *(void **)&dw.end = dlsym(h, "dwfl_end");
    *(void **)&dw.next_unit = dlsym(h, "dwfl_module_nextcu");
    *(void **)&dw.has_pc = dlsym(h, "dwarf_haspc");
    *(void **)&dw.line_of_unit = dlsym(h, "dwarf_getsrc_die");
    *(void **)&dw.line_file = dlsym(h, "dwarf_linesrc");
    *(void **)&dw.line_number = dlsym(h, "dwarf_lineno");
    dw.calls =
        (callbacks){dlsym(h, "dwfl_linux_proc_find_elf"), dlsym(h, "dwfl_standard_find_debuginfo"), NULL, &dw.path};
    if (dw.begin && dw.report && dw.report_end && dw.module && dw.name && dw.line && dw.info && dw.end &&
        dw.next_unit && dw.has_pc && dw.line_of_unit && dw.line_file && dw.line_number && dw.calls.find_elf)
        dw.state = 1;
}

/* The file, and its line in *number. clang writes no table from addresses to units: then every unit is asked. */
static const char *file_of(void *dwfl, void *module, uint64_t address, int *number) {
    void *line = dw.line(dwfl, address), *unit = NULL;
    uint64_t bias = 0;
    if (line) return dw.info(line, NULL, number, NULL, NULL, NULL);
    while ((unit = dw.next_unit(module, unit, &bias))) {
        if (dw.has_pc(unit, address - bias) <= 0) continue;
        line = dw.line_of_unit(unit, address - bias);
        return line && dw.line_number(line, number) == 0 ? dw.line_file(line, NULL, NULL) : NULL;
    }
    return NULL;
}

static size_t from_debug_info(uint64_t address, char *text, size_t size) {
    if (dw.state == 0) load();
    if (dw.state < 0) return 0;
    void *d = dw.begin(&dw.calls);
    size_t n = 0;
    if (d && dw.report(d, getpid()) == 0 && dw.report_end(d, NULL, NULL) == 0) {
        void *m = dw.module(d, address);
        int number = 0;
        const char *function = m ? dw.name(m, address) : NULL, *file = m ? file_of(d, m, address, &number) : NULL;
        if (file) {
            const char *base = strrchr(file, '/');
            char line[16] = ""; /* code that a compiler merged from several lines has none */
            if (number > 0) snprintf(line, sizeof(line), ":%d", number);
            int w = snprintf(text, size, "%s (%s%s)", function ? function : "?", base ? base + 1 : file, line);
            n = w > 0 ? (size_t)w : 0;
        }
    }
    if (d) dw.end(d);
    return n;
}

static size_t from_module(const char *address, char *text, size_t size) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname)
        return (size_t)snprintf(text, size, "address %p", (const void *)address);
    const char *base = strrchr(info.dli_fname, '/');
    return (size_t)snprintf(text, size, "%s+0x%zx%s%s", base ? base + 1 : info.dli_fname,
                            (size_t)(address - (const char *)info.dli_fbase), info.dli_sname ? " in " : "",
                            info.dli_sname ? info.dli_sname : "");
}

size_t wg_site_text(void *site, char *text, size_t size) {
    if (!text || size == 0) return 0;
    text[0] = 0;
    if (!site) return (size_t)snprintf(text, size, "an unknown place");
    pthread_mutex_lock(&lock);
    size_t (*ask)(void *, void *, char *, size_t) = resolver;
    void *user = resolver_user;
    pthread_mutex_unlock(&lock); /* a binding's may wait for a lock of its own */
    size_t n = ask ? ask(user, site, text, size) : 0;
    if (n) return n;
    /* a return address is one past the call */
    pthread_mutex_lock(&lock);
    n = from_debug_info((uint64_t)(uintptr_t)site - 1, text, size);
    pthread_mutex_unlock(&lock);
    return n ? n : from_module((const char *)site - 1, text, size);
}
