/* facts.h - a tensor as one line of text, so that a test of an operator's edges reads as a table: a call, and what
 * PyTorch gives for it; or a call, and the first sentence with which PyTorch refuses it.
 */
#ifndef WG_TESTS_FACTS_H
#define WG_TESTS_FACTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wengert/wengert.h"

#define FACTS static inline __attribute__((unused))

/* A test goes through its whole table before it fails. */
static int facts_wrong;

/* "float64 (2, 2): 1 2 3 4" */
FACTS void facts_text(wg_tensor *t, char *text, size_t size) {
    double v[64];
    size_t at = (size_t)snprintf(text, size, "%s (", wg_dtype_name(wg_dtype_of(t)));
    for (int i = 0; i < wg_ndim(t); i++)
        at += (size_t)snprintf(text + at, size - at, i ? ", %lld" : "%lld", (long long)wg_size(t, i));
    at += (size_t)snprintf(text + at, size - at, "):");
    if (wg_numel(t) > 64 || wg_copy_out(t, WG_FLOAT64, v, sizeof(double) * (size_t)wg_numel(t)) != WG_OK) return;
    for (int64_t i = 0; i < wg_numel(t) && at < size - 32; i++)
        at += (size_t)snprintf(text + at, size - at, v[i] == v[i] ? " %.5g" : " nan", v[i]);
}
FACTS void facts_is(int line, wg_tensor *t, const char *want) {
    char text[1000];
    if (wg_is_poison(t))
        snprintf(text, sizeof(text), "%s: %s", wg_status_name(wg_last_status()), wg_last_message());
    else
        facts_text(t, text, sizeof(text));
    if (strcmp(text, want) == 0) return;
    print_error("line %d:\n  want %s\n  got  %s\n", line, want, text);
    facts_wrong++;
}
#define IS(t, want) facts_is(__LINE__, (t), (want))

FACTS void facts_refused(int line, bool failed, wg_status status, const char *sentence) {
    wg_status got = wg_last_status();
    const char *text = wg_last_message();
    if (failed && got == status && strncmp(text, sentence, strlen(sentence)) == 0) return;
    print_error("line %d:\n  want %s: %s\n  got  %s: %s\n", line, wg_status_name(status), sentence, wg_status_name(got),
                text);
    facts_wrong++;
}
#define REFUSED(t, status, sentence) facts_refused(__LINE__, wg_is_poison(t), (status), (sentence))
/* The same of a call that returns a status. */
#define FAILS(call, status, sentence) facts_refused(__LINE__, (call) == (status), (status), (sentence))

/* The gradient of x for the cotangent 1, 2, 3, … */
FACTS wg_tensor *facts_grad(wg_tensor *out, wg_tensor *x) {
    wg_tensor *g = NULL, *numbers = wg_arange(wg_i(1), wg_i(wg_numel(out) + 1), wg_i(1), WG_DTYPE(wg_dtype_of(out)));
    if (wg_is_poison(out)) return out;
    numbers = wg_reshape(numbers, wg_ndim(out), wg_sizes(out));
    wg_status st = wg_grad(&out, 1, &x, 1, &numbers, NULL, &g);
    return st == WG_OK ? g : wg_exp(NULL);
}
#define GRAD(out, x, want) IS(facts_grad((out), (x)), want)

/* 0, 1, 2, … in a shape and dtype. */
#define COUNT(d, ...) facts_count(d, false, WG_SHAPE(__VA_ARGS__))
#define LEAF(...) facts_count(WG_FLOAT64, true, WG_SHAPE(__VA_ARGS__))
FACTS wg_tensor *facts_count(wg_dtype d, bool requires_grad, int ndim, const int64_t *sizes) {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= sizes[i];
    wg_tensor *t = wg_reshape(wg_arange(wg_i(0), wg_i(n), wg_i(1), NULL), ndim, sizes);
    t = wg_detach(wg_to(t, d));
    return requires_grad ? wg_set_requires_grad(t, true) : t;
}
#define LIST_(T, ...) (const T[]){__VA_ARGS__}, (int64_t)(sizeof((T[]){__VA_ARGS__}) / sizeof(T))
/* AT(0, 2): indices; NUMBERS(1.5, 2): a float64 vector. */
#define AT(...) facts_vector(WG_INT64, LIST_(int64_t, __VA_ARGS__))
#define NUMBERS(...) facts_vector(WG_FLOAT64, LIST_(double, __VA_ARGS__))
FACTS wg_tensor *facts_vector(wg_dtype d, const void *v, int64_t n) { return wg_from_data(v, d, 1, &n, NULL); }
FACTS wg_tensor *facts_cell(wg_dtype d, double v) { return wg_to(wg_from_data(&v, WG_FLOAT64, 0, NULL, NULL), d); }
#define CELL(v) facts_cell(WG_FLOAT64, (v))
#define AT0(v) facts_cell(WG_INT64, (v))
#define NOTHING(d) wg_zeros(WG_SHAPE(0), WG_DTYPE(d))
#define RESHAPED(t, ...) wg_reshape((t), WG_SHAPE(__VA_ARGS__))

/* Each test has a scope; afterwards no fact was wrong and nothing is alive. */
FACTS int facts_open(void **state) {
    wg_clear_error();
    facts_wrong = 0;
    *state = (void *)wg_scope_open();
    return 0;
}
FACTS int facts_close(void **state) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_scope_close((size_t)*state);
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes) print_error("%lld tensors are alive\n", (long long)m.live_tensors);
    return m.live_tensors || m.live_nodes;
}
#define FACT_TEST(f) cmocka_unit_test_setup_teardown(f, facts_open, facts_close)
#define NO_FACT_WRONG assert_int_equal(facts_wrong, 0)

#endif
