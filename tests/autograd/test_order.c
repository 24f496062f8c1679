/* The order of execution (rules O1-O3), the walk one step at a time, and backward inside backward (T2). Expected
 * behaviour is PyTorch 2.15's, each case run there; stepping is ours.
 */
#include "checks.h"
#include "support/autograd_journal.h"

#include <pthread.h>

#define SECOND_TIME "Trying to backward through the graph a second time"

static wg_tensor *times(wg_tensor *x, double k) { return wg_mul(x, wg_s(k)); }
static uint64_t number_of(wg_tensor *t) { return wg_node_sequence(wg_grad_fn(t)); }

static wg_tensor *note(void *user, wg_tensor *g) {
    double v = NAN;
    if (wg_item(g, &v) != WG_OK) return wg_neg(NULL);
    journal("%s%s %g", journal_end ? ", " : "", (const char *)user, v);
    return NULL;
}
static void name(wg_tensor *t, const char *text) {
    assert_true(wg_register_hook(t, note, (void *)(uintptr_t)text, NULL));
}

/* ---- O1: numbers ------------------------------------------------------------------------------------------------- */

static void test_O1_numbers_grow(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *a = times(x, 2), *b = wg_mul(a, x), *c = NULL;
    assert_int_equal(number_of(b), number_of(a) + 1); /* AccumulateGrad takes none */
    assert_true(wg_node_sequence(wg_grad_accumulator(x)) == UINT64_MAX);
    wg_mul(VEC(1), wg_s(2)); /* nor does an op without history */
    WG_NO_GRAD { times(x, 2); }
    assert_int_equal(number_of(c = times(x, 3)), number_of(b) + 1);
    wg_tensor *g = wg_grad1(wg_mul(wg_mul(x, x), x), x, true);
    assert_true(number_of(g) > number_of(c)); /* the graph of a backward is made by it, so later */
}

static void *number_in_a_thread(void *result) {
    WG_SCOPE { *(uint64_t *)result = number_of(times(LEAF(1), 2)); }
    return NULL;
}
static void test_O1_each_thread_counts(void **state) {
    (void)state;
    pthread_t thread;
    uint64_t first = UINT64_MAX, second = 0;
    wg_tensor *x = LEAF(1);
    for (int i = 0; i < 10; i++) times(x, 2);
    uint64_t here = number_of(times(x, 2));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread, NULL, number_in_a_thread, i ? &second : &first), 0);
        pthread_join(thread, NULL);
    }
    assert_true(first == second && first < here);
    assert_int_equal(number_of(times(x, 2)), here + 1);
}

/* ---- O2: the last made runs first -------------------------------------------------------------------------------- */

static void test_O2_later_ops_first(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *a = times(x, 2), *b = times(x, 3), *c = times(x, 4);
    name(x, "x"), name(a, "a"), name(b, "b"), name(c, "c");
    ASSERT_OK(wg_backward(wg_add(wg_add(a, b), c)));
    ASSERT_JOURNAL("c 1, b 1, a 1, x 9");
}

static void test_O2_leaves_as_soon_as_ready(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *w = LEAF(1), *a = times(w, 2), *b = times(x, 3), *c = times(b, 5), *s = wg_add(a, c);
    name(x, "x"), name(w, "w"), name(a, "a"), name(b, "b"), name(c, "c"), name(s, "s");
    ASSERT_OK(wg_backward(s));
    ASSERT_JOURNAL("s 1, c 1, b 5, x 15, a 1, w 2");
}

static void test_O2_diamond(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *a = times(x, 2), *b = times(a, 3), *c = wg_mul(a, b), *d = wg_mul(c, a);
    name(x, "x"), name(a, "a"), name(b, "b"), name(c, "c"), name(d, "d");
    ASSERT_OK(wg_backward(d));
    ASSERT_JOURNAL("d 1, c 2, b 4, a 36, x 72"); /* each once, when all its users have delivered */
}

static void test_O2_across_roots(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *a = times(x, 2), *b = times(x, 3), *c = times(x, 4), *roots[] = {b, c, a};
    name(x, "x"), name(a, "a"), name(b, "b"), name(c, "c");
    ASSERT_OK(wg_backward_opt(roots, 3, NULL, NULL));
    ASSERT_JOURNAL("c 1, b 1, a 1, x 9");
    wg_tensor *h = times(x, 2), *z = times(h, 3), *nested[] = {h, z, x};
    journal_clear();
    name(h, "h"), name(z, "z");
    ASSERT_OK(wg_backward_opt(nested, 3, NULL, NULL));
    ASSERT_JOURNAL("z 1, h 4, x 9");
}

static void test_O2_many_branches(void **state) {
    (void)state;
    enum { BRANCHES = 40 };
    static char names[BRANCHES][12];
    wg_tensor *x = LEAF(1), *part[BRANCHES];
    char want[2000] = "";
    for (int i = 0; i < BRANCHES; i++) {
        snprintf(names[i], sizeof(names[i]), "%d", i);
        name(part[i] = times(x, i), names[i]);
    }
    for (int i = BRANCHES - 1; i >= 0; i--) {
        size_t end = strlen(want);
        snprintf(want + end, sizeof(want) - end, "%s%d 1", end ? ", " : "", i);
    }
    wg_tensor *shuffled[BRANCHES];
    for (int i = 0; i < BRANCHES; i++) shuffled[i] = part[i * 17 % BRANCHES];
    ASSERT_OK(wg_backward(wg_sum(wg_cat(shuffled, BRANCHES, 0))));
    ASSERT_JOURNAL(want);
    ASSERT_VALUES(wg_grad_of(x), BRANCHES * (BRANCHES - 1) / 2);
}

/* ---- O3: only what leads to an input ----------------------------------------------------------------------------- */

static void test_O3_only_paths_to_inputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *w = LEAF(1), *a = times(x, 2), *b = times(w, 3), *c = wg_add(a, b), *both[] = {a, x},
              *g[2];
    const wg_walk_opts *keep = WG_WALK(.retain_graph = true);
    name(x, "x"), name(w, "w"), name(a, "a"), name(b, "b"), name(c, "c");
    ASSERT_OK(wg_grad(&c, 1, &x, 1, NULL, keep, g));
    ASSERT_JOURNAL("c 1, a 1, x 2");
    ASSERT_OK(wg_grad(&c, 1, &a, 1, NULL, keep, g));
    ASSERT_JOURNAL("c 1, a 1");
    ASSERT_OK(wg_grad(&c, 1, both, 2, NULL, keep, g));
    ASSERT_JOURNAL("c 1, a 1, x 2");
    ASSERT_OK(wg_backward_opt(&c, 1, NULL, WG_WALK(.inputs = &a, .ninputs = 1, .retain_graph = true)));
    ASSERT_JOURNAL("c 1, a 1");
    ASSERT_OK(wg_backward_opt(&c, 1, NULL, WG_WALK(.inputs = &w, .ninputs = 1)));
    ASSERT_JOURNAL("c 1, b 1, w 3");
    assert_null(wg_grad_of(x));
    ASSERT_VALUES(wg_grad_of(w), 3);
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

static void test_stepping(void **state) {
    (void)state;
    wg_tensor *x = LEAF(2), *w = LEAF(5), *y = wg_exp(times(x, 0)), *z = wg_add(wg_mul(y, w), x);
    const char *want[] = {"AddBackward0", "MulBackward0", "torch::autograd::AccumulateGrad",
                          "ExpBackward0", "MulBackward0", "torch::autograd::AccumulateGrad"};
    wg_stepper *s = wg_stepper_begin(&z, 1, NULL, NULL);
    assert_non_null(s);
    assert_null(wg_grad_of(w));
    for (int i = 0; i < 6; i++) {
        wg_node *n = NULL;
        assert_int_equal(wg_stepper_step(s, &n), i < 5);
        assert_string_equal(wg_node_name(n), want[i]);
        if (i == 0) assert_ptr_equal(n, wg_grad_fn(z));
        if (i == 2) assert_ptr_equal(wg_node_variable(n), w);
        assert_true((wg_grad_of(w) != NULL) == (i >= 2)); /* at its own step, not before */
        assert_true((wg_grad_of(x) != NULL) == (i == 5));
    }
    wg_node *n = wg_grad_fn(z);
    assert_int_equal(wg_stepper_step(s, &n), 0);
    assert_null(n);
    wg_stepper_end(s);
    ASSERT_VALUES(wg_grad_of(w), 1);
    ASSERT_VALUES(wg_grad_of(x), 1);
    assert_true(wg_grad_enabled());
    ASSERT_FAILS(wg_backward(z), WG_ERR_RUNTIME, SECOND_TIME);
}

static void test_stepping_can_stop(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *z = wg_mul(wg_mul(x, w), wg_exp(w)), *seed = VEC(1, 1);
    for (int steps = 0; steps < 7; steps++) {
        wg_tensor *h = wg_mul(z, times(x, 1));
        wg_stepper *s = wg_stepper_begin(&h, 1, &seed, WG_WALK(.retain_graph = true));
        for (int i = 0; i < steps; i++) assert_true(wg_stepper_step(s, NULL) >= 0);
        wg_stepper_end(s);
    }
    wg_stepper_end(NULL);
    ASSERT_OK(wg_set_grad(x, NULL));
    ASSERT_OK(wg_set_grad(w, NULL));
    ASSERT_OK(wg_backward_with(z, seed)); /* nothing of the abandoned walks is left in the graph */
    double e[] = {exp(3), exp(4)};
    ASSERT_VALUES(wg_grad_of(x), 3 * e[0], 4 * e[1]);
    ASSERT_VALUES(wg_grad_of(w), e[0] * (1 + 3), 2 * e[1] * (1 + 4));
}

static void test_stepping_beside_other_walks(void **state) {
    (void)state;
    wg_tensor *x = LEAF(3), *y = wg_mul(x, x), *z = wg_mul(y, y), *g = NULL;
    wg_stepper *a = wg_stepper_begin(&z, 1, NULL, WG_WALK(.retain_graph = true));
    wg_stepper *b = wg_stepper_begin(&y, 1, NULL, WG_WALK(.retain_graph = true));
    int more[2] = {1, 1};
    for (int i = 0; more[0] > 0 || more[1] > 0;
         i++) { /* two walks over the same nodes, in turns, and whole ones between */
        more[i % 2] = wg_stepper_step(i % 2 ? b : a, NULL);
        assert_true(more[i % 2] >= 0);
        ASSERT_OK(wg_grad(&z, 1, &x, 1, NULL, WG_WALK(.retain_graph = true), &g));
        ASSERT_VALUES(g, 108);
    }
    wg_stepper_end(a);
    wg_stepper_end(b);
    ASSERT_VALUES(wg_grad_of(x), 108 + 6);
}

static wg_tensor *fails(void *user, wg_tensor *g) {
    (void)user;
    return wg_add(g, VEC(1, 2, 3, 4));
}
static void test_stepping_fails_as_backward_does(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *plain = VEC(1), *two = times(x, 2), *y = wg_sum(two);
    assert_null(wg_stepper_begin(&plain, 1, NULL, NULL));
    ASSERT_ERROR(WG_ERR_RUNTIME, "element 0 of tensors does not require grad and does not have a grad_fn");
    assert_null(wg_stepper_begin(&two, 1, NULL, NULL));
    ASSERT_ERROR(WG_ERR_RUNTIME, "grad can be implicitly created only for scalar outputs");
    assert_true(wg_register_hook(two, fails, NULL, NULL));
    wg_stepper *s = wg_stepper_begin(&y, 1, NULL, NULL);
    assert_int_equal(wg_stepper_step(s, NULL), 1);
    assert_int_equal(wg_stepper_step(s, NULL), -1);
    ASSERT_ERROR(WG_ERR_RUNTIME, "The size of tensor a (2) must match the size of tensor b (4)");
    assert_int_equal(wg_stepper_step(s, NULL), -1); /* it stays failed */
    wg_stepper_end(s);
    wg_clear_error();
    assert_int_equal(wg_stepper_step(NULL, NULL), -1);
    assert_null(wg_grad_of(x));
    assert_true(wg_grad_enabled());
}

static void test_stepping_with_a_graph(void **state) {
    (void)state;
    wg_tensor *x = LEAF(3), *y = wg_mul(x, x);
    wg_stepper *s = wg_stepper_begin(&y, 1, NULL, WG_WALK(.create_graph = true));
    while (wg_stepper_step(s, NULL) == 1) continue;
    wg_stepper_end(s);
    wg_tensor *g = wg_grad_of(x);
    ASSERT_VALUES(wg_grad1(g, x, false), 2);
    ASSERT_OK(wg_set_grad(x, NULL));
}

/* ---- T2: backward inside backward -------------------------------------------------------------------------------- */

static wg_tensor *inner_backward(void *user, wg_tensor *g) {
    (void)g;
    wg_status s = WG_OK;
    assert_false(wg_grad_enabled());
    WG_ENABLE_GRAD { s = wg_backward(times(user, 10)); }
    return s == WG_OK ? NULL : wg_neg(NULL);
}
static void test_T2_inside_a_hook(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *w = LEAF(1), *y = times(x, 2);
    assert_true(wg_register_hook(y, inner_backward, w, NULL));
    assert_true(wg_register_hook(y, inner_backward, x, NULL)); /* the leaf that the outer walk is about to reach */
    ASSERT_OK(wg_backward(wg_add(times(y, 3), times(x, 3))));
    ASSERT_VALUES(wg_grad_of(w), 10);
    ASSERT_VALUES(wg_grad_of(x), 19);
}

typedef struct again { /* walks the graph that is being walked */
    wg_tensor *root, *leaf;
    int times_left;
} again;
static wg_tensor *same_graph(void *user, wg_tensor *g) {
    again *a = user;
    (void)g;
    if (a->times_left-- <= 0) return NULL;
    wg_tensor *inner = NULL;
    ASSERT_OK(wg_grad(&a->root, 1, &a->leaf, 1, NULL, WG_WALK(.retain_graph = true), &inner));
    ASSERT_VALUES(inner, 32);
    return NULL;
}
static void test_T2_the_same_graph(void **state) {
    (void)state;
    wg_tensor *x = LEAF(2), *y = wg_mul(x, x), *z = wg_mul(y, y);
    again a = {z, x, 5};
    wg_hook_id on_z = wg_register_hook(z, same_graph, &a, NULL), on_y = wg_register_hook(y, same_graph, &a, NULL);
    ASSERT_OK(wg_backward(z));
    assert_true(a.times_left < 0);
    ASSERT_VALUES(wg_grad_of(x), 32);
    wg_remove_hook(on_z);
    wg_remove_hook(on_y);
}

static wg_tensor *deeper(void *user, wg_tensor *g) {
    int *left = user;
    if (--*left <= 0) return NULL;
    wg_status s = WG_OK;
    WG_ENABLE_GRAD {
        wg_tensor *t = times(LEAF(1), 2);
        assert_true(wg_register_hook(t, deeper, user, NULL));
        s = wg_backward_with(t, wg_detach(g));
    }
    return s == WG_OK ? NULL : wg_neg(NULL);
}
static void test_T2_deep(void **state) {
    (void)state;
    int left = 2000;
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    wg_hook_id id = wg_register_hook(y, deeper, &left, NULL);
    ASSERT_OK(wg_backward(y));
    assert_int_equal(left, 0);
    wg_remove_hook(id);
}

static wg_tensor *inner_failure(void *user, wg_tensor *g) {
    (void)g;
    return wg_backward(user) == WG_OK ? NULL : wg_neg(NULL);
}
static void test_T2_inner_errors_are_the_outers(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    assert_true(wg_register_hook(y, inner_failure, VEC(1), NULL));
    ASSERT_FAILS(wg_backward(y), WG_ERR_RUNTIME,
                 "element 0 of tensors does not require grad and does not have a grad_fn");
    assert_null(wg_grad_of(x));
}

static int nothing_noted(void **state) {
    journal_clear();
    return check_open(state);
}
#define ORDER_TEST(f) cmocka_unit_test_setup_teardown(f, nothing_noted, check_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        ORDER_TEST(test_O1_numbers_grow),
        ORDER_TEST(test_O1_each_thread_counts),
        ORDER_TEST(test_O2_later_ops_first),
        ORDER_TEST(test_O2_leaves_as_soon_as_ready),
        ORDER_TEST(test_O2_diamond),
        ORDER_TEST(test_O2_across_roots),
        ORDER_TEST(test_O2_many_branches),
        ORDER_TEST(test_O3_only_paths_to_inputs),
        ORDER_TEST(test_stepping),
        ORDER_TEST(test_stepping_can_stop),
        ORDER_TEST(test_stepping_beside_other_walks),
        ORDER_TEST(test_stepping_fails_as_backward_does),
        ORDER_TEST(test_stepping_with_a_graph),
        ORDER_TEST(test_T2_inside_a_hook),
        ORDER_TEST(test_T2_the_same_graph),
        ORDER_TEST(test_T2_deep),
        ORDER_TEST(test_T2_inner_errors_are_the_outers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
