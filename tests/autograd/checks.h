/* checks.h - what the autograd tests share: short names for making and reading tensors, a graph written as text, the
 * comparison of error texts, and the rule that a test leaves no tensor and no node behind.
 */
#ifndef WG_TESTS_AUTOGRAD_CHECKS_H
#define WG_TESTS_AUTOGRAD_CHECKS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wengert/wengert.h"

/* ---- a test has a scope of its own ------------------------------------------------------------------------------- */

static int check_open(void **state) {
    wg_clear_error();
    *state = (void *)wg_scope_open();
    return 0;
}
static int check_close(void **state) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_set_grad_enabled(true);
    wg_scope_close((size_t)*state);
    if (wg_error_pending()) print_error("unread: %s\n", wg_last_message());
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}
#define CHECK_TEST(f) cmocka_unit_test_setup_teardown(f, check_open, check_close)

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* VEC(1, 2, 3): a float32 vector; LEAF(1, 2, 3): one that requires grad. */
#define CHECK_LIST_(...) (const double[]){__VA_ARGS__}, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))
#define VEC(...) check_vector(CHECK_LIST_(__VA_ARGS__), false)
#define LEAF(...) check_vector(CHECK_LIST_(__VA_ARGS__), true)
static inline wg_tensor *check_vector(const double *v, int64_t n, bool requires_grad) {
    wg_options o = {.size = sizeof(o), .dtype = WG_FLOAT32, .has_dtype = true, .requires_grad = requires_grad};
    return wg_from_data(v, WG_FLOAT64, 1, &n, &o);
}
static inline wg_tensor *check_number(double v, bool requires_grad) {
    return wg_from_data(
        &v, WG_FLOAT64, WG_SCALAR_SHAPE,
        &(wg_options){
            .size = sizeof(wg_options), .dtype = WG_FLOAT32, .has_dtype = true, .requires_grad = requires_grad});
}

/* The elements of t, row-major, are these, within a few float32 roundings. */
#define ASSERT_VALUES(t, ...) check_values((t), CHECK_LIST_(__VA_ARGS__), __FILE__, __LINE__)
static inline void check_values(wg_tensor *t, const double *want, int64_t n, const char *file, int line) {
    double got[256];
    if (!t) fail_msg("%s:%d: no tensor", file, line);
    if (wg_is_poison(t)) fail_msg("%s:%d: poison: %s", file, line, wg_last_message());
    if (wg_numel(t) != n) fail_msg("%s:%d: %lld elements, not %lld", file, line, (long long)wg_numel(t), (long long)n);
    if (wg_copy_out(t, WG_FLOAT64, got, sizeof(double) * (size_t)n) != WG_OK)
        fail_msg("%s:%d: %s", file, line, wg_last_message());
    for (int64_t i = 0; i < n; i++)
        if (!(got[i] == want[i] || fabs(got[i] - want[i]) <= 1e-5 * fabs(want[i]) || (isnan(got[i]) && isnan(want[i]))))
            fail_msg("%s:%d: element %lld is %.9g, not %.9g", file, line, (long long)i, got[i], want[i]);
}

/* ---- calls that succeed, calls that fail ------------------------------------------------------------------------- */

#define ASSERT_OK(call) check_ok((call), __FILE__, __LINE__)
static inline void check_ok(wg_status s, const char *file, int line) {
    if (s != WG_OK) fail_msg("%s:%d: %s: %s", file, line, wg_status_name(s), wg_last_message());
}
#define ASSERT_GOOD(t) check_good((t), __FILE__, __LINE__)
static inline wg_tensor *check_good(wg_tensor *t, const char *file, int line) {
    if (!t || wg_is_poison(t)) fail_msg("%s:%d: %s", file, line, t ? wg_last_message() : "NULL");
    return t;
}
/* The thread's error is of this kind and its text begins so. Read, so that the next call works again. */
#define ASSERT_ERROR(code, beginning) check_error((code), (beginning), __FILE__, __LINE__)
static inline void check_error(wg_status code, const char *beginning, const char *file, int line) {
    wg_status got = wg_last_status();
    const char *text = wg_last_message();
    if (got != code || strncmp(text, beginning, strlen(beginning)) != 0)
        fail_msg("%s:%d: %s: \"%s\"\n  instead of %s: \"%s\"", file, line, wg_status_name(got), text,
                 wg_status_name(code), beginning);
    wg_clear_error();
}
#define ASSERT_POISON(t, code, beginning)                                                                              \
    do {                                                                                                               \
        assert_true(wg_is_poison(t));                                                                                  \
        ASSERT_ERROR(code, beginning);                                                                                 \
    } while (0)
#define ASSERT_FAILS(call, code, beginning)                                                                            \
    do {                                                                                                               \
        assert_int_equal((call), (code));                                                                              \
        ASSERT_ERROR(code, beginning);                                                                                 \
    } while (0)

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

/* "MulBackward0(CloneBackward0(leaf), None)": names as PyTorch prints them, "leaf" for an AccumulateGrad. */
static inline size_t check_write_graph(wg_node *n, char *text, size_t size, size_t at) {
    if (!n) return at + (size_t)snprintf(text + at, size - at, "None");
    if (wg_node_variable(n)) return at + (size_t)snprintf(text + at, size - at, "leaf");
    at += (size_t)snprintf(text + at, size - at, "%s(", wg_node_name(n));
    for (int i = 0; i < wg_node_inputs(n); i++) {
        int nr;
        if (i) at += (size_t)snprintf(text + at, size - at, ", ");
        at = check_write_graph(wg_node_next(n, i, &nr), text, size, at);
    }
    return at + (size_t)snprintf(text + at, size - at, ")");
}
#define ASSERT_GRAPH(t, want)                                                                                          \
    do {                                                                                                               \
        char graph_[2000] = "";                                                                                        \
        check_write_graph(wg_grad_fn(t), graph_, sizeof(graph_), 0);                                                   \
        assert_string_equal(graph_, want);                                                                             \
    } while (0)
#define COPY_SLICES "torch::autograd::CopySlices"

static inline wg_status check_sum_backward(wg_tensor *t) { return wg_backward(wg_sum(t)); }

#endif
