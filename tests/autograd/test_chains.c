/* Long and wide graphs on a small stack: a million nodes in a row (add, mul, tanh, views, in-place writes, with
 * tangents, twice differentiated), a tensor used a million times, graphs dropped without a backward. Everything runs
 * in a thread whose stack holds 256 KiB, so anything that recursed along the graph would end the program.
 *
 *     autograd_test_chains [LENGTH]      (1000000 when not given)
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wengert/wengert.h"

#define STACK_BYTES (256 * 1024)

static int64_t length = 1000000;

/* ---- a small thread ---------------------------------------------------------------------------------------------- */

typedef struct job {
    void (*run)(void);
    bool leave_open;   /* the thread ends with its scope full */
    char failure[512]; /* "" when all went well: cmocka's assertions may not leave a thread */
} job;
static __thread job *current;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition) && !current->failure[0])                                                                      \
            snprintf(current->failure, sizeof(current->failure), "line %d: " __VA_ARGS__);                             \
    } while (0)
#define CHECK_OK(status) CHECK((status) == WG_OK, "%s", __LINE__, wg_last_message())
#define CHECK_NEAR(value, expected, tolerance)                                                                         \
    do {                                                                                                               \
        double a_ = (value), b_ = (expected);                                                                          \
        CHECK(fabs(a_ - b_) <= (tolerance)*fabs(b_), "%.17g, expected %.17g", __LINE__, a_, b_);                       \
    } while (0)

static void *start(void *arg) {
    current = arg;
    size_t mark = wg_scope_open();
    current->run();
    if (!current->leave_open) wg_scope_close(mark);
    return NULL;
}

static void on_small_stack(void (*run)(void)) {
    job j = {.run = run};
    pthread_attr_t attr;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attr, start, &j), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    if (j.failure[0]) fail_msg("%s", j.failure);
}

static int nothing_alive(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static wg_tensor *scalar(double value, bool requires_grad) {
    return wg_from_data(&value, WG_FLOAT64, WG_SCALAR_SHAPE,
                        &(wg_options){.size = sizeof(wg_options), .requires_grad = requires_grad});
}
static wg_tensor *matrix(bool requires_grad) {
    const double v[6] = {1, 2, 3, 4, 5, 6};
    return wg_from_data(v, WG_FLOAT64, WG_SHAPE(2, 3), WG_OPT(.requires_grad = requires_grad));
}
static double number(wg_tensor *t) {
    double v = NAN;
    CHECK(t != NULL, "there is no tensor", __LINE__);
    if (t) CHECK_OK(wg_item(t, &v));
    return v;
}
static int64_t live_nodes(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_nodes;
}

/* One step of a chain; k counts from 0. */
typedef wg_tensor *(*step)(wg_tensor *y, wg_tensor *c, int64_t k);

static wg_tensor *step_add(wg_tensor *y, wg_tensor *c, int64_t k) { return (void)k, wg_add(y, c); }
static wg_tensor *step_mul(wg_tensor *y, wg_tensor *c, int64_t k) { return (void)k, wg_mul(y, c); }
static wg_tensor *step_tanh(wg_tensor *y, wg_tensor *c, int64_t k) { return (void)k, (void)c, wg_tanh(y); }
/* A matrix of 2 x 3 (or 3 x 2) in six disguises; every sixth step is as the first. */
static wg_tensor *step_view(wg_tensor *y, wg_tensor *c, int64_t k) {
    (void)c;
    switch (k % 6) {
    case 0: return wg_transpose(y, 0, 1);
    case 1: return wg_slice(y, 0, 0, 3, 1);
    case 2: return wg_unsqueeze(y, 1);
    case 3: return wg_select(y, 1, 0);
    case 4: return wg_t(y);
    default: return wg_view(y, WG_SHAPE(2, 3));
    }
}

/* n steps. Handles on the way die at once: only the graph holds what it needs. */
static wg_tensor *chain(step f, wg_tensor *x, wg_tensor *c, int64_t n) {
    wg_tensor *y = wg_keep(x);
    for (int64_t k = 0; k < n; k++) {
        wg_tensor *next = wg_take(f(y, c, k));
        wg_release(y);
        y = next;
    }
    return wg_give(y);
}
/* The same, but every handle lives until the scope is closed, as in a user's loop. */
static wg_tensor *chain_in_scope(step f, wg_tensor *x, wg_tensor *c, int64_t n) {
    for (int64_t k = 0; k < n; k++) x = f(x, c, k);
    return x;
}

/* ---- chains ------------------------------------------------------------------------------------------------------ */

static void run_add(void) {
    wg_tensor *x = scalar(0.5, true), *c = scalar(0.25, true), *y = chain(step_add, x, c, length);
    CHECK(live_nodes() >= length, "the chain is shorter than %lld", __LINE__, (long long)length);
    CHECK_NEAR(number(y), 0.5 + 0.25 * (double)length, 0);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(x)), 1, 0);
    CHECK_NEAR(number(wg_grad_of(c)), (double)length, 0);
}

static void run_mul(void) {
    double w = 1 + 1.0 / (double)length, n = (double)length;
    wg_tensor *x = scalar(3, true), *c = scalar(w, true), *y = chain_in_scope(step_mul, x, c, length);
    CHECK_NEAR(number(y), 3 * pow(w, n), 1e-9);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(x)), pow(w, n), 1e-9);
    CHECK_NEAR(number(wg_grad_of(c)), 3 * n * pow(w, n - 1), 1e-9);
}

/* tanh n times at x, and the logarithm of its derivative (the product itself would be denormal). */
static double tanh_chain(double x, int64_t n, double *log_derivative) {
    *log_derivative = 0;
    for (int64_t k = 0; k < n; k++) {
        x = tanh(x);
        *log_derivative += log1p(-x * x);
    }
    return x;
}

static void run_tanh(void) {
    double log_derivative, value = tanh_chain(0.75, length, &log_derivative);
    wg_tensor *x = scalar(0.75, true), *y = chain(step_tanh, x, NULL, length);
    CHECK_NEAR(number(y), value, 1e-9);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(log(number(wg_grad_of(x))), log_derivative, 1e-9);
}

/* Sum of squares through n views: the gradient is 2x, whatever the disguise. */
static void run_views(void) {
    wg_tensor *x = matrix(true), *y = chain(step_view, x, NULL, length);
    CHECK(wg_base(y) == x, "the base of a chain of views is not its root", __LINE__);
    CHECK_OK(wg_backward(wg_sum(wg_mul(y, y))));
    double g[6] = {0};
    CHECK_OK(wg_copy_out(wg_grad_of(x), WG_FLOAT64, g, sizeof(g)));
    for (int i = 0; i < 6; i++) CHECK_NEAR(g[i], 2.0 * (i + 1), 0);
}

/* ---- with tangents ----------------------------------------------------------------------------------------------- */

/* Runs the chain from x with tangent t, forward, and then back. Checks nothing; *tangent gets the output's. */
static wg_tensor *dual_chain(step f, wg_tensor *x, wg_tensor *t, wg_tensor *c, wg_tensor **tangent) {
    int level = wg_dual_level_enter();
    CHECK(level > 0, "no level", __LINE__);
    wg_tensor *y = chain(f, wg_make_dual(x, t, level), c, length);
    *tangent = wg_tangent_of(y, level);
    CHECK(*tangent != NULL, "the tangent was lost", __LINE__);
    wg_tensor *primal = wg_primal_of(y, level);
    wg_dual_level_exit(level);
    return primal;
}

static void run_add_tangents(void) {
    wg_tensor *x = scalar(0.5, true), *c = scalar(0.25, true), *t;
    wg_tensor *y = dual_chain(step_add, x, scalar(2, false), c, &t);
    CHECK_NEAR(number(t), 2, 0);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(c)), (double)length, 0);
}

/* The tangent's own graph is a chain as well: backward through it gives the second derivative. */
static void run_mul_tangents(void) {
    double w = 1 + 1.0 / (double)length, n = (double)length;
    wg_tensor *x = scalar(3, true), *c = scalar(w, true), *t;
    wg_tensor *y = dual_chain(step_mul, x, scalar(2, false), c, &t);
    CHECK_NEAR(number(y), 3 * pow(w, n), 1e-9);
    CHECK_NEAR(number(t), 2 * pow(w, n), 1e-9);
    CHECK_OK(wg_backward(t));
    CHECK_NEAR(number(wg_grad_of(c)), 2 * n * pow(w, n - 1), 1e-9);
}

static void run_tanh_tangents(void) {
    double log_derivative, value = tanh_chain(0.75, length, &log_derivative);
    wg_tensor *x = scalar(0.75, true), *t;
    wg_tensor *y = dual_chain(step_tanh, x, scalar(1, false), NULL, &t);
    CHECK_NEAR(number(y), value, 1e-9);
    CHECK_NEAR(log(number(t)), log_derivative, 1e-9);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(x)), number(t), 1e-9);
}

static void run_view_tangents(void) {
    wg_tensor *x = matrix(true), *t;
    wg_tensor *y = dual_chain(step_view, x, wg_detach(matrix(false)), NULL, &t);
    CHECK_NEAR(number(wg_sum(wg_mul(t, y))), 1 + 4 + 9 + 16 + 25 + 36, 0);
    CHECK_OK(wg_backward(wg_sum(y)));
    CHECK_NEAR(number(wg_sum(wg_grad_of(x))), 6, 0);
}

/* ---- writes in place: each rewrites the history of its target ---------------------------------------------------- */

static void run_inplace(void) {
    wg_tensor *x = scalar(0.5, true), *c = scalar(0.25, true), *y = wg_clone(x);
    for (int64_t k = 0; k < length; k++) wg_add_(y, c);
    CHECK_NEAR(number(y), 0.5 + 0.25 * (double)length, 0);
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(x)), 1, 0);
    CHECK_NEAR(number(wg_grad_of(c)), (double)length, 0);
}

/* Through a view: one CopySlices per write, each holding the write's own node. A tenth, for each costs ten nodes. */
static void run_inplace_views(void) {
    int64_t n = length / 10;
    wg_tensor *x = matrix(true), *c = scalar(0.25, true), *y = wg_clone(x), *row = wg_select(y, 0, 1);
    for (int64_t k = 0; k < n; k++) wg_add_(row, c);
    CHECK_OK(wg_backward(wg_sum(y)));
    CHECK_NEAR(number(wg_sum(wg_grad_of(x))), 6, 0);
    CHECK_NEAR(number(wg_grad_of(c)), 3 * (double)n, 0);
}

/* ---- the gradient's own graph ------------------------------------------------------------------------------------ */

/* x^n by n - 1 products, twice differentiated: the graph of the gradient is several times as long. */
static void run_twice(void) {
    int64_t n = length / 10;
    double v = 1 + 1.0 / (double)n, m = (double)n + 1;
    wg_tensor *x = scalar(v, true), *y = chain(step_mul, x, x, n), *g = wg_grad1(y, x, true);
    CHECK_NEAR(number(g), m * pow(v, m - 1), 1e-9);
    CHECK_NEAR(number(wg_grad1(g, x, false)), m * (m - 1) * pow(v, m - 2), 1e-9);
}

/* ---- wide -------------------------------------------------------------------------------------------------------- */

/* One leaf read by as many nodes as the chain is long, all under one sum of pairs. */
static void run_wide_uses(void) {
    wg_tensor *x = scalar(0.5, true), *sum = wg_keep(wg_mul(x, wg_s(0)));
    for (int64_t k = 0; k < length; k++) WG_SCOPE {
            wg_tensor *next = wg_keep(wg_add(sum, wg_mul(x, wg_i(k % 3))));
            wg_release(sum);
            sum = next;
        }
    wg_give(sum);
    double expected = 0;
    for (int64_t k = 0; k < length; k++) expected += (double)(k % 3);
    CHECK_OK(wg_backward(sum));
    CHECK_NEAR(number(wg_grad_of(x)), expected, 0);
}

/* One node with a million inputs: time must grow with their number, not with its square. */
static void wide_node(wg_tensor *x, wg_tensor *(*join)(wg_tensor *const *, int, int64_t)) {
    wg_tensor **many = calloc((size_t)length, sizeof(*many));
    CHECK(many != NULL, "no memory", __LINE__);
    if (!many) return;
    for (int64_t k = 0; k < length; k++) many[k] = x;
    CHECK_OK(wg_backward(wg_sum(join(many, (int)length, 0))));
    CHECK_NEAR(number(wg_sum(wg_grad_of(x))), (double)(length * wg_numel(x)), 0);
    free(many);
}
static void run_wide_stack(void) { wide_node(scalar(0.5, true), wg_stack); }
static void run_wide_cat(void) { wide_node(wg_set_requires_grad(wg_zeros(WG_SHAPE(2), NULL), true), wg_cat); }

/* A million nodes that all end at one root, whose backward has as many outputs to start from. */
static void run_wide_roots(void) {
    int64_t n = length / 100;
    wg_tensor *x = scalar(0.5, true), **many = calloc((size_t)n, sizeof(*many));
    CHECK(many != NULL, "no memory", __LINE__);
    if (!many) return;
    for (int64_t k = 0; k < n; k++) many[k] = wg_mul(x, wg_i(2));
    CHECK_OK(wg_backward_opt(many, (int)n, NULL, NULL));
    CHECK_NEAR(number(wg_grad_of(x)), 2 * (double)n, 0);
    free(many);
}

/* ---- dropped without a backward ---------------------------------------------------------------------------------- */

static void run_dropped(void) {
    wg_tensor *x = scalar(0.5, true), *c = scalar(1, true), *m = matrix(true);
    chain(step_mul, x, c, length);
    chain_in_scope(step_tanh, x, NULL, length);
    chain(step_view, m, NULL, length);
    CHECK(live_nodes() >= 3 * length, "the graphs are gone too early", __LINE__);
}

/* The scope is left open: the end of the thread frees the graph. */
static void run_left_to_the_thread(void) {
    current->leave_open = true;
    chain(step_tanh, scalar(0.5, true), NULL, length);
    chain_in_scope(step_tanh, scalar(0.5, true), NULL, length);
}

/* Another thread builds, this small one releases. */
static wg_tensor *left_behind;
static void run_build(void) { left_behind = wg_take(chain(step_tanh, scalar(0.5, true), NULL, length)); }
static void run_release(void) { wg_release(left_behind); }

/* A failing node in the middle: cotangents on the way are given back, and the graph can be walked again. */
static int failures_left;
static wg_tensor *fail_once(void *user, wg_tensor *g) {
    (void)user;
    (void)g;
    if (failures_left-- <= 0) return NULL;
    wg_raise(WG_ERR_CALLBACK, "the hook failed");
    return wg_s(NAN);
}
static wg_tensor *poisoning_hook(void *user, wg_tensor *g) {
    wg_tensor *r = fail_once(user, g);
    return r ? wg_view(g, WG_SHAPE(7)) : NULL; /* poison: no such view */
}
static void run_failing(void) {
    wg_tensor *x = scalar(0.5, true), *c = scalar(1, true), *half = chain(step_add, x, c, length / 2);
    wg_hook_id id = wg_register_hook(half, poisoning_hook, NULL, NULL);
    wg_tensor *y = chain(step_add, half, c, length / 2);
    failures_left = 1;
    CHECK(wg_backward(y) == WG_ERR_CALLBACK, "the hook's failure was lost", __LINE__);
    wg_clear_error();
    CHECK_OK(wg_backward(y));
    CHECK_NEAR(number(wg_grad_of(x)), 1, 0);
    wg_remove_hook(id);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        on_small_stack(run_##name);                                                                                    \
    }
TEST(add)
TEST(mul)
TEST(tanh)
TEST(views)
TEST(add_tangents)
TEST(mul_tangents)
TEST(tanh_tangents)
TEST(view_tangents)
TEST(inplace)
TEST(inplace_views)
TEST(twice)
TEST(wide_uses)
TEST(wide_stack)
TEST(wide_cat)
TEST(wide_roots)
TEST(dropped)
TEST(left_to_the_thread)
TEST(failing)
static void test_released_elsewhere(void **state) {
    (void)state;
    on_small_stack(run_build);
    on_small_stack(run_release);
}

int main(int argc, char **argv) {
    if (argc > 1) length = strtoll(argv[1], NULL, 10);
    if (length < 100) return fprintf(stderr, "LENGTH must be at least 100\n"), 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_add, nothing_alive),
        cmocka_unit_test_teardown(test_mul, nothing_alive),
        cmocka_unit_test_teardown(test_tanh, nothing_alive),
        cmocka_unit_test_teardown(test_views, nothing_alive),
        cmocka_unit_test_teardown(test_add_tangents, nothing_alive),
        cmocka_unit_test_teardown(test_mul_tangents, nothing_alive),
        cmocka_unit_test_teardown(test_tanh_tangents, nothing_alive),
        cmocka_unit_test_teardown(test_view_tangents, nothing_alive),
        cmocka_unit_test_teardown(test_inplace, nothing_alive),
        cmocka_unit_test_teardown(test_inplace_views, nothing_alive),
        cmocka_unit_test_teardown(test_twice, nothing_alive),
        cmocka_unit_test_teardown(test_wide_uses, nothing_alive),
        cmocka_unit_test_teardown(test_wide_stack, nothing_alive),
        cmocka_unit_test_teardown(test_wide_cat, nothing_alive),
        cmocka_unit_test_teardown(test_wide_roots, nothing_alive),
        cmocka_unit_test_teardown(test_dropped, nothing_alive),
        cmocka_unit_test_teardown(test_left_to_the_thread, nothing_alive),
        cmocka_unit_test_teardown(test_failing, nothing_alive),
        cmocka_unit_test_teardown(test_released_elsewhere, nothing_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
