/* What bindings ask: gradient edges as roots and inputs (B1, B5, B6), a node run alone, what a call saved and was
 * given, how much there is to walk, detaching in place (S4), and what a hook learns of its walk.
 */
#include "checks.h"

static void test_edges_are_roots_and_inputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, wg_s(3)), *z = wg_sum(y), *none = NULL, *r[2];
    wg_edge at_z = {wg_grad_fn(z), 0}, in[2] = {{wg_grad_fn(y), 0}, {wg_grad_accumulator(x), 0}};
    wg_tensor *no_inputs[2] = {NULL, NULL};
    wg_walk_opts o = {
        .size = sizeof(o), .output_edges = &at_z, .input_edges = in, .retain_graph = true, .has_retain_graph = true};
    ASSERT_OK(wg_grad(&none, 1, no_inputs, 2, NULL, &o, r));
    ASSERT_VALUES(r[0], 1, 1);
    ASSERT_VALUES(r[1], 3, 3);
    ASSERT_OK(wg_backward_opt(&none, 1, NULL, &o));
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
    o.inputs = no_inputs;
    o.ninputs = 1; /* a result's edge: its node runs, nothing is stored */
    ASSERT_OK(wg_backward_opt(&none, 1, NULL, &o));
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
    assert_null(wg_grad_of(y));
}

static void test_bad_edges(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *z = wg_sum(x), *other = LEAF(1), *none = NULL, *r;
    wg_edge e = {NULL, 0};
    assert_int_equal(wg_backward_opt(&none, 1, NULL, WG_WALK(.output_edges = &e)), WG_ERR_RUNTIME);
    wg_clear_error();
    e = (wg_edge){wg_grad_fn(z), 1};
    assert_int_equal(wg_backward_opt(&none, 1, NULL, WG_WALK(.output_edges = &e)), WG_ERR_INDEX);
    wg_clear_error();
    e = (wg_edge){wg_grad_accumulator(other), 0};
    assert_int_equal(wg_grad(&z, 1, &none, 1, NULL, WG_WALK(.input_edges = &e, .materialize_grads = true), &r),
                     WG_ERR_RUNTIME);
    assert_string_equal(wg_last_message(), "materialize_grads cannot be used when the given input is a GradientEdge");
}

static void test_a_node_runs_alone(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(5), *y = wg_mul(x, w), *g = VEC(1, 10), *r[2];
    for (int twice = 0; twice < 2; twice++) {
        ASSERT_OK(wg_node_run(wg_grad_fn(y), &g, 1, r));
        ASSERT_VALUES(r[0], 5, 50);
        ASSERT_VALUES(r[1], 21); /* reduced to w's shape */
    }
    ASSERT_OK(wg_node_run(wg_grad_accumulator(x), &g, 1, r));
    ASSERT_VALUES(wg_grad_of(x), 1, 10);
    assert_int_equal(wg_node_run(wg_grad_fn(y), &g, 0, r), WG_ERR_TYPE);
    assert_string_equal(wg_last_message(), "expected 1 arguments, got 0 instead");
}

static void test_what_a_call_saved(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    wg_node *add = wg_grad_fn(wg_add(x, wg_s(1))), *mul = wg_grad_fn(wg_mul(x, VEC(1, 2))),
            *exp = wg_grad_fn(wg_exp(x));
    assert_false(wg_node_may_save(add, 0));
    assert_true(wg_node_may_save(mul, 0) && wg_node_may_save(mul, 1) && !wg_node_may_save(mul, -1));
    assert_null(wg_node_saved(mul, 0)); /* the other factor needs no gradient */
    assert_true(wg_node_may_save(exp, -1) && !wg_node_may_save(exp, 0));
    assert_non_null(strstr(wg_node_schema(mul), "mul("));
    assert_null(wg_node_schema(wg_grad_accumulator(x)));
    assert_true(wg_node_input_is_number(wg_grad_fn(wg_pow(x, wg_s(2))), 1));
    wg_arg a;
    assert_true(wg_node_attr(wg_grad_fn(wg_softmax(x, 0)), 0, &a));
    assert_int_equal(a.tag, WG_TAG_INT);
    assert_int_equal(a.v.i, 0);
    assert_false(wg_node_attr(mul, 0, &a));
    wg_dtype d;
    int ndim;
    const int64_t *sizes;
    ASSERT_OK(wg_node_output(mul, 0, &d, &ndim, &sizes));
    assert_true(d == WG_FLOAT32 && ndim == 1 && sizes[0] == 2 && wg_node_outputs(mul) == 1);
}

static void test_weight_of_a_walk(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_sum(wg_exp(x)), *z = x;
    assert_int_equal(wg_walk_weight(&y, 1, 1 << 20), 3 * 512 + 1 + 2 + 2);
    for (int i = 0; i < 40; i++) z = wg_mul(z, z);
    assert_int_equal(wg_walk_weight(&z, 1, 10000), 10000);
    wg_tensor *c = VEC(1);
    assert_int_equal(wg_walk_weight(&c, 1, 10), 0);
}

static void test_S4_detaching_in_place(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, wg_s(2)), *z = wg_sum(wg_mul(y, y));
    ASSERT_OK(wg_retain_grad(y));
    assert_ptr_equal(wg_detach_(y), y);
    assert_true(wg_is_leaf(y) && !wg_requires_grad(y) && !wg_retains_grad(y));
    assert_int_equal(wg_backward(z), WG_ERR_RUNTIME);
    assert_non_null(strstr(wg_last_message(), "Trying to use a saved tensor that has been detached in-place"));
    wg_tensor *r = wg_exp(x), *s = wg_sum(r);
    wg_detach_(r); /* a saved result is an alias: it does not mind */
    ASSERT_OK(wg_backward(s));
    assert_true(wg_is_poison(wg_detach_(wg_select(wg_exp(x), 0, 0))));
    assert_non_null(strstr(wg_last_message(), "Can't detach views in-place."));
}

static struct {
    uint64_t id, inner;
    bool x_runs, other_runs;
    wg_node *x, *other;
    wg_tensor *leaf;
} seen;
static wg_tensor *look(void *user, wg_tensor *g) {
    (void)g;
    seen.id = wg_walk_id();
    seen.x_runs = wg_walk_will_run(seen.x);
    seen.other_runs = wg_walk_will_run(seen.other);
    if (user) {
        wg_tensor *y = wg_sum(seen.leaf);
        WG_ENABLE_GRAD { y = wg_sum(wg_mul(seen.leaf, wg_s(2))); }
        ASSERT_OK(wg_backward(y));
        seen.inner = wg_walk_id();
    }
    return NULL;
}

static void test_what_a_hook_learns_of_its_walk(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *w = LEAF(1), *other = LEAF(1), *y = wg_mul(x, w);
    seen.x = wg_grad_accumulator(x);
    seen.other = wg_grad_accumulator(other);
    seen.leaf = other;
    assert_true(wg_register_hook(y, look, &seen, NULL));
    assert_int_equal(wg_walk_id(), 0);
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.retain_graph = true)));
    uint64_t first = seen.id;
    assert_true(first && seen.inner == first && seen.x_runs && !seen.other_runs);
    assert_int_equal(wg_walk_id(), 0);
    wg_tensor *r; /* only w is wanted: x's node does not run */
    ASSERT_OK(wg_grad(&y, 1, &w, 1, NULL, NULL, &r));
    assert_true(seen.id != first && !seen.x_runs);
}

/* What a collector sees: hooks and objects along what one owner keeps. */
static void dropped(void *user) { (void)user; }
static wg_tensor *ignore(void *user, wg_tensor *g) { return (void)user, (void)g, NULL; }
static int note(void *user, void *arg) {
    char *seen = arg;
    strcat(seen, user);
    return 0;
}
static const char *visited(const wg_tensor *t, int limit) {
    static char seen[32];
    seen[0] = 0;
    wg_visitor v = {.size = sizeof(v), .destroy = dropped, .hook = note, .slot = note, .arg = seen, .limit = limit};
    assert_int_equal(wg_visit_history(t, &v), 0);
    return seen;
}
static void test_what_one_tensor_keeps(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, wg_s(2));
    wg_tensor *z = wg_take(wg_exp(y));
    assert_true(wg_register_hook(x, ignore, "x", dropped) && wg_register_hook(y, ignore, "y", dropped) &&
                wg_register_hook(z, ignore, "z", dropped) && wg_register_hook(z, ignore, "other", NULL));
    assert_string_equal(visited(x, 100), "x"); /* asked of the leaf itself */
    assert_string_equal(visited(z, 100), "z"); /* y is the scope's too */
    assert_string_equal(visited(z, 0), "");
    wg_node_set_slot(wg_grad_fn(z), "s");
    assert_string_equal(visited(z, 100), "zs");
    wg_node_set_slot(wg_grad_fn(z), NULL);
    wg_tensor *w = LEAF(3);
    wg_scope_close(wg_scope_open());
    size_t scope = wg_scope_open();
    wg_tensor *a = wg_mul(w, w), *b = wg_take(wg_exp(a));
    assert_true(wg_register_hook(a, ignore, "a", dropped) != 0);
    wg_scope_close(scope); /* a's node is b's alone now; w is everybody's */
    assert_string_equal(visited(b, 100), "a");
    wg_release(b);
    wg_release(z);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_edges_are_roots_and_inputs),
        CHECK_TEST(test_bad_edges),
        CHECK_TEST(test_a_node_runs_alone),
        CHECK_TEST(test_what_a_call_saved),
        CHECK_TEST(test_weight_of_a_walk),
        CHECK_TEST(test_S4_detaching_in_place),
        CHECK_TEST(test_what_a_hook_learns_of_its_walk),
        CHECK_TEST(test_what_one_tensor_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
