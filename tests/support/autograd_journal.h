/* autograd_journal.h - hooks that write down what they see. A test registers them, runs backward and compares the whole
 * journal, so that order, number and values of the calls are tested at once.
 */
#ifndef WG_TESTS_AUTOGRAD_JOURNAL_H
#define WG_TESTS_AUTOGRAD_JOURNAL_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wengert/wengert.h"

static char journal_text[4000];
static size_t journal_end;

static inline void journal(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void journal(const char *format, ...) {
    va_list list;
    va_start(list, format);
    int n = vsnprintf(journal_text + journal_end, sizeof(journal_text) - journal_end, format, list);
    va_end(list);
    journal_end += (size_t)n < sizeof(journal_text) - journal_end ? (size_t)n : sizeof(journal_text) - journal_end - 1;
}
static inline void journal_clear(void) {
    journal_end = 0;
    journal_text[0] = 0;
}
/* The calls since the last look, separated by "; ". */
#define ASSERT_JOURNAL(want)                                                                                           \
    do {                                                                                                               \
        assert_string_equal(journal_text, (want));                                                                     \
        journal_clear();                                                                                               \
    } while (0)

/* "(1 2)", or "None" for a gradient that is undefined. */
static inline void journal_values(wg_tensor *t) {
    double v[64];
    if (!t) {
        journal("None");
        return;
    }
    if (wg_numel(t) > 64 || wg_copy_out(t, WG_FLOAT64, v, sizeof(double) * (size_t)wg_numel(t)) != WG_OK) {
        journal("(unreadable)");
        return;
    }
    journal("(");
    for (int64_t i = 0; i < wg_numel(t); i++) journal("%s%g", i ? " " : "", v[i]);
    journal(")");
}
static inline void journal_list(wg_tensor *const *t, int n) {
    journal("[");
    for (int i = 0; i < n; i++) {
        if (i) journal(", ");
        journal_values(t[i]);
    }
    journal("]");
}
static inline void journal_begin(const char *kind, const char *name) {
    journal("%s%s %s", journal_end ? "; " : "", kind, name);
}

/* ---- what a test registers ------------------------------------------------------------------------------------------
 */

typedef struct watch {
    const char *name;
    double times;    /* the hook multiplies by this; 0: it leaves the value */
    wg_tensor *kept; /* the last gradient seen, kept when keep */
    bool keep;
    int destroyed;
} watch;

static inline void watch_destroyed(void *user) { ((watch *)user)->destroyed++; }

static inline wg_tensor *watch_tensor(void *user, wg_tensor *g) {
    watch *w = user;
    journal_begin("tensor", w->name);
    journal_values(g);
    if (w->keep) {
        wg_release(w->kept);
        w->kept = wg_keep(g);
    }
    return g && w->times != 0 ? wg_mul(g, wg_s(w->times)) : NULL;
}
static inline wg_status watch_pre(void *user, wg_tensor **g, int n) {
    watch *w = user;
    journal_begin("pre", w->name);
    journal_list(g, n);
    if (w->times != 0)
        for (int i = 0; i < n; i++) g[i] = g[i] ? wg_mul(g[i], wg_s(w->times)) : NULL;
    return WG_OK;
}
static inline wg_status watch_post(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    watch *w = user;
    journal_begin("post", w->name);
    journal_list(gi, ni);
    journal_list(go, no);
    if (w->times != 0)
        for (int i = 0; i < ni; i++) gi[i] = gi[i] ? wg_mul(gi[i], wg_s(w->times)) : NULL;
    return WG_OK;
}
static inline wg_status watch_leaf(void *user, wg_tensor *leaf) {
    watch *w = user;
    journal_begin("accumulated", w->name);
    journal_values(wg_grad_of(leaf));
    return WG_OK;
}

#endif
