/* Hooks: on tensors, before and after nodes, after a leaf accumulated (rules H1-H5, H7). Each test compares the whole
 * journal of the calls with what PyTorch 2.15's hooks see in the same program. Hooks live as long as what they watch,
 * until the test's scope closes: so what they are given is static.
 */
#include "checks.h"
#include "support/autograd_journal.h"

static wg_hook_id on_tensor(wg_tensor *t, watch *w) { return wg_register_hook(t, watch_tensor, w, watch_destroyed); }
static wg_hook_id before_node(wg_node *n, watch *w) {
    return wg_node_register_prehook(n, watch_pre, w, watch_destroyed);
}
static wg_hook_id after_node(wg_node *n, watch *w) { return wg_node_register_hook(n, watch_post, w, watch_destroyed); }
static wg_hook_id accumulated(wg_tensor *t, watch *w) {
    return wg_register_post_accumulate_hook(t, watch_leaf, w, watch_destroyed);
}
static wg_tensor *times(wg_tensor *x, double k) { return wg_mul(x, wg_s(k)); }
static wg_status keep_graph(wg_tensor *out) { return wg_backward_opt(&out, 1, NULL, WG_WALK(.retain_graph = true)); }

/* A custom function of one input whose gradient is undefined. */
static wg_status double_it(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin, (void)nout;
    out[0] = times(in[0], 2);
    return WG_OK;
}
static wg_status no_gradient(wg_context *c, wg_tensor *const *g, int n, wg_tensor **gi, int ni) {
    (void)c, (void)g, (void)n, (void)gi, (void)ni;
    return WG_OK;
}
static wg_tensor *blocked(wg_tensor *x) {
    static const wg_function f = {.size = sizeof(f), .name = "Blocked", .forward = double_it, .vjp = no_gradient};
    wg_tensor *y = NULL;
    ASSERT_OK(wg_function_apply(&f, NULL, &x, 1, &y, 1));
    return y;
}

/* ---- H1: tensors ------------------------------------------------------------------------------------------------- */

static void test_H1_changes_the_gradient(void **state) {
    (void)state;
    static watch a = {.name = "a", .times = 10}, b = {.name = "b", .times = 7}, look = {.name = "x"};
    wg_tensor *x = LEAF(1, 2), *y = times(x, 2);
    assert_true(on_tensor(y, &a) != on_tensor(y, &b));
    assert_true(on_tensor(x, &look));
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_JOURNAL("tensor a(1 1); tensor b(10 10); tensor x(140 140)"); /* in the order of registration */
    ASSERT_VALUES(wg_grad_of(x), 140, 140);
}

static void test_H1_runs_when_the_gradient_is_complete(void **state) {
    (void)state;
    static watch a = {.name = "y"}, leaf = {.name = "x"};
    wg_tensor *x = LEAF(1), *y = times(x, 2), *z = wg_add(wg_add(times(y, 3), times(y, 4)), x);
    assert_true(on_tensor(y, &a) && on_tensor(x, &leaf));
    ASSERT_OK(keep_graph(z));
    ASSERT_JOURNAL("tensor y(7); tensor x(15)");
    ASSERT_OK(keep_graph(z)); /* and at each backward */
    ASSERT_JOURNAL("tensor y(7); tensor x(15)");
    ASSERT_OK(wg_backward(wg_add(x, x))); /* a leaf's hooks belong to the leaf, not to one graph */
    ASSERT_JOURNAL("tensor x(2)");
}

static void test_H1_a_leaf_as_root(void **state) {
    (void)state;
    static watch a = {.name = "x", .times = 3};
    wg_tensor *x = LEAF(1);
    assert_true(on_tensor(x, &a));
    ASSERT_OK(wg_backward(x));
    ASSERT_JOURNAL("tensor x(1)");
    ASSERT_VALUES(wg_grad_of(x), 3);
}

static void test_H1_same_hook_twice(void **state) {
    (void)state;
    static watch a = {.name = "a", .times = 2};
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    assert_true(on_tensor(y, &a) && on_tensor(y, &a));
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("tensor a(1); tensor a(2)");
    ASSERT_VALUES(wg_grad_of(x), 8);
}

static void test_H1_versions(void **state) {
    (void)state;
    static watch old = {.name = "old"}, new = {.name = "new"};
    wg_tensor *x = LEAF(1, 1), *y = times(x, 2);
    assert_true(on_tensor(y, &old));
    wg_mul_(y, wg_s(5));
    assert_true(on_tensor(y, &new));
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_JOURNAL("tensor new(1 1); tensor old(5 5)");
}

static void test_H1_undefined_gradients(void **state) {
    (void)state;
    static watch a = {.name = "a"}, b = {.name = "b", .times = 4}, before = {.name = "n"};
    wg_tensor *x = LEAF(1, 1), *out[2];
    int n;
    ASSERT_OK(wg_unbind(times(x, 2), 0, out, 2, &n));
    assert_true(on_tensor(out[0], &a) && on_tensor(out[1], &b) && before_node(wg_grad_fn(out[0]), &before));
    ASSERT_OK(wg_backward(out[0]));
    ASSERT_JOURNAL("tensor a(1); tensor bNone; pre n[(1), None]");
    ASSERT_VALUES(wg_grad_of(x), 2, 0);
}

static void test_H1_all_hooks_run_without_a_gradient(void **state) {
    (void)state;
    static watch t = {.name = "y"}, pre = {.name = "n"}, post = {.name = "n"}, leaf = {.name = "x"},
                 done = {.name = "x"};
    wg_tensor *x = LEAF(1, 1), *y = times(x, 2);
    assert_true(on_tensor(y, &t) && before_node(wg_grad_fn(y), &pre) && after_node(wg_grad_fn(y), &post));
    assert_true(on_tensor(x, &leaf) && accumulated(x, &done));
    ASSERT_OK(wg_backward(wg_sum(blocked(y))));
    ASSERT_JOURNAL("tensor yNone; pre n[None]; post n[None, None][None]; tensor xNone; accumulated xNone");
    assert_null(wg_grad_of(x));
}

/* ---- H2: nodes --------------------------------------------------------------------------------------------------- */

static void test_H2_around_a_node(void **state) {
    (void)state;
    static watch pre = {.name = "mul", .times = 7}, post = {.name = "mul", .times = 10};
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *y = wg_mul(x, w);
    assert_true(before_node(wg_grad_fn(y), &pre) && after_node(wg_grad_fn(y), &post));
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_JOURNAL("pre mul[(1 1)]; post mul[(21 28), (7 14)][(7 7)]");
    ASSERT_VALUES(wg_grad_of(x), 210, 280);
    ASSERT_VALUES(wg_grad_of(w), 70, 140);
}

static void test_H2_inputs_without_gradient(void **state) {
    (void)state;
    static watch post = {.name = "mul"};
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, VEC(3, 4));
    assert_true(after_node(wg_grad_fn(y), &post));
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_JOURNAL("post mul[(3 4), None][(1 1)]");
}

static wg_status drop_all(void *user, wg_tensor **g, int n) {
    (void)user;
    for (int i = 0; i < n; i++) g[i] = NULL;
    return WG_OK;
}
static wg_status drop_results(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    (void)user, (void)go, (void)no;
    for (int i = 0; i < ni; i++) gi[i] = NULL;
    return WG_OK;
}
static void test_H2_making_gradients_undefined(void **state) {
    (void)state;
    static watch pre = {.name = "n"};
    wg_tensor *x = LEAF(1, 2), *y = times(x, 2);
    assert_true(wg_node_register_prehook(wg_grad_fn(y), drop_all, NULL, NULL) && before_node(wg_grad_fn(y), &pre));
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_JOURNAL("pre n[None]");
    assert_null(wg_grad_of(x));
    y = times(x, 2);
    assert_true(wg_node_register_hook(wg_grad_fn(y), drop_results, NULL, NULL));
    ASSERT_OK(wg_backward(wg_sum(y)));
    assert_null(wg_grad_of(x));
}

static void test_H2_many_outputs(void **state) {
    (void)state;
    enum { PARTS = 40 };
    static watch pre = {.name = "unbind", .times = 2};
    wg_tensor *x = wg_ones(WG_SHAPE(PARTS), WG_OPT(.requires_grad = true)), *out[PARTS];
    int n;
    ASSERT_OK(wg_unbind(x, 0, out, PARTS, &n));
    assert_true(before_node(wg_grad_fn(out[0]), &pre));
    ASSERT_OK(wg_backward(wg_add(out[39], times(out[20], 3))));
    journal_clear();
    double g[PARTS];
    ASSERT_OK(wg_copy_out(wg_grad_of(x), WG_FLOAT64, g, sizeof(g)));
    for (int i = 0; i < PARTS; i++) assert_true(g[i] == (i == 39 ? 2 : i == 20 ? 6 : 0));
}

/* ---- H3, H4: leaves ---------------------------------------------------------------------------------------------- */

static void test_H4_order_at_a_leaf(void **state) {
    (void)state;
    static watch post = {.name = "node"}, pre = {.name = "node"}, acc = {.name = "leaf"}, t = {.name = "x", .times = 2};
    wg_tensor *x = LEAF(1, 1);
    wg_node *n = wg_grad_accumulator(x);
    assert_true(after_node(n, &post) && before_node(n, &pre) && accumulated(x, &acc) && on_tensor(x, &t));
    ASSERT_OK(wg_backward(wg_sum(times(x, 3))));
    ASSERT_JOURNAL("tensor x(3 3); pre node[(6 6)]; accumulated leaf(6 6); post node[][(6 6)]");
    /* H5: grad runs the tensor's hooks only */
    ASSERT_VALUES(wg_grad1(wg_sum(times(x, 3)), x, false), 6, 6);
    ASSERT_JOURNAL("tensor x(3 3)");
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

static void test_H4_order_at_a_result(void **state) {
    (void)state;
    static watch t = {.name = "y", .times = 10}, pre = {.name = "n", .times = 7}, post = {.name = "n"};
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    ASSERT_OK(wg_retain_grad(y)); /* stores what the tensor's hooks leave, whenever they were registered */
    assert_true(on_tensor(y, &t) && before_node(wg_grad_fn(y), &pre) && after_node(wg_grad_fn(y), &post));
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("tensor y(1); pre n[(10)]; post n[(140), None][(70)]");
    ASSERT_VALUES(wg_grad_of(y), 10);
    ASSERT_VALUES(wg_grad_of(x), 140);
}

static void test_H4_all_hooks_of_a_node_before_the_next(void **state) {
    (void)state;
    static watch w[6] = {{.name = "a"}, {.name = "a"}, {.name = "a"}, {.name = "b"}, {.name = "b"}, {.name = "b"}};
    wg_tensor *x = LEAF(1), *a = times(x, 2), *b = times(a, 3);
    wg_tensor *t[] = {a, b};
    for (int i = 0; i < 2; i++) {
        assert_true(after_node(wg_grad_fn(t[i]), &w[3 * i]) && before_node(wg_grad_fn(t[i]), &w[3 * i + 1]));
        assert_true(on_tensor(t[i], &w[3 * i + 2]));
    }
    ASSERT_OK(wg_backward(b));
    ASSERT_JOURNAL("tensor b(1); pre b[(1)]; post b[(3), None][(1)]; tensor a(3); pre a[(3)]; post a[(6), None][(3)]");
}

static wg_status step_of_sgd(void *user, wg_tensor *leaf) {
    (void)user;
    WG_NO_GRAD { wg_sub_(leaf, wg_mul(wg_grad_of(leaf), wg_s(0.5))); }
    return wg_set_grad(leaf, NULL);
}
static void test_H3_may_consume_the_gradient(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1);
    assert_true(wg_register_post_accumulate_hook(x, step_of_sgd, NULL, NULL));
    ASSERT_OK(wg_backward(times(x, 2)));
    assert_null(wg_grad_of(x));
    ASSERT_VALUES(x, 0);
}

/* ---- H5: captured tensors ---------------------------------------------------------------------------------------- */

static void test_H5_grad_of_a_result(void **state) {
    (void)state;
    static watch t = {.name = "y", .times = 10}, pre = {.name = "n"}, post = {.name = "n"};
    wg_tensor *x = LEAF(1), *y = times(x, 2), *z = times(y, 3), *in[] = {y, x}, *g[2];
    ASSERT_OK(wg_retain_grad(y));
    assert_true(on_tensor(y, &t) && before_node(wg_grad_fn(y), &pre) && after_node(wg_grad_fn(y), &post));
    ASSERT_OK(wg_grad(&z, 1, in, 1, NULL, WG_WALK(.retain_graph = true), g));
    ASSERT_JOURNAL("tensor y(3)"); /* its own node did not run */
    ASSERT_VALUES(g[0], 30);
    ASSERT_VALUES(wg_grad_of(y), 30);
    ASSERT_OK(wg_grad(&z, 1, in, 2, NULL, NULL, g)); /* now it is on the way to x */
    ASSERT_JOURNAL("tensor y(3); pre n[(30)]; post n[(60), None][(30)]");
    ASSERT_VALUES(g[0], 30);
    ASSERT_VALUES(g[1], 60);
}

static void test_H5_the_captured_value_is_before_prehooks(void **state) {
    (void)state;
    static watch pre = {.name = "leaf", .times = 7};
    wg_tensor *x = LEAF(1), *z = times(x, 6);
    assert_true(before_node(wg_grad_accumulator(x), &pre));
    ASSERT_VALUES(wg_grad1(z, x, false), 6);
    ASSERT_JOURNAL("");
}

static void test_H5_backward_into_a_result(void **state) {
    (void)state;
    static watch t = {.name = "y", .times = 10}, pre = {.name = "n", .times = 7}, post = {.name = "n"};
    wg_tensor *x = LEAF(1), *y = times(x, 2), *z = times(y, 3);
    assert_true(on_tensor(y, &t) && before_node(wg_grad_fn(y), &pre) && after_node(wg_grad_fn(y), &post));
    ASSERT_OK(wg_backward_opt(&z, 1, NULL, WG_WALK(.inputs = &y, .ninputs = 1)));
    ASSERT_JOURNAL("tensor y(3); pre n[(30)]; post n[None, None][(210)]"); /* B5 */
    ASSERT_VALUES(wg_grad_of(y), 30);
    assert_null(wg_grad_of(x));
}

/* ---- hooks in a graph of a graph --------------------------------------------------------------------------------- */

static wg_tensor *times_user(void *user, wg_tensor *g) { return wg_mul(g, user); }
static void test_hooks_are_differentiated(void **state) {
    (void)state;
    wg_tensor *x = check_number(2, true), *y = wg_mul(x, x);
    assert_true(wg_register_hook(y, times_user, x, NULL)); /* the gradient becomes 2x·x */
    wg_tensor *g = wg_grad1(y, x, true);
    ASSERT_VALUES(g, 8);
    ASSERT_VALUES(wg_grad1(g, x, false), 8);
}

static wg_tensor *tell_mode(void *user, wg_tensor *g) {
    (void)user, (void)g;
    journal_begin("mode", wg_grad_enabled() ? "on" : "off");
    return NULL;
}
static void test_mode_inside_hooks(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = wg_mul(x, x);
    assert_true(wg_register_hook(x, tell_mode, NULL, NULL));
    ASSERT_OK(keep_graph(y));
    ASSERT_GOOD(wg_grad1(y, x, true));
    WG_NO_GRAD { ASSERT_GOOD(wg_grad1(y, x, true)); }
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("mode off; mode on; mode on; mode off");
}

/* ---- H7: handles and checks -------------------------------------------------------------------------------------- */

static void test_H7_removal(void **state) {
    (void)state;
    static watch w[4] = {{.name = "t"}, {.name = "pre"}, {.name = "post"}, {.name = "leaf"}}, stays = {.name = "stays"};
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    wg_hook_id id[4] = {on_tensor(y, &w[0]), before_node(wg_grad_fn(y), &w[1]), after_node(wg_grad_fn(y), &w[2]),
                        accumulated(x, &w[3])};
    assert_true(on_tensor(y, &stays));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w[i].destroyed, 0);
        wg_remove_hook(id[i]);
        assert_int_equal(w[i].destroyed, 1); /* at once, and once */
        wg_remove_hook(id[i]);
        assert_int_equal(w[i].destroyed, 1);
    }
    wg_remove_hook(0);
    wg_remove_hook(UINT64_MAX);
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("tensor stays(1)");
}

static void test_H7_hooks_die_with_what_they_watch(void **state) {
    (void)state;
    static watch dying[4];
    wg_hook_id late;
    WG_SCOPE {
        wg_tensor *x = LEAF(1), *y = times(x, 2);
        assert_true(on_tensor(y, &dying[0]) && before_node(wg_grad_fn(y), &dying[1]) && accumulated(x, &dying[2]));
        late = on_tensor(x, &dying[3]);
        for (int i = 0; i < 4; i++) assert_int_equal(dying[i].destroyed, 0);
    }
    for (int i = 0; i < 4; i++) assert_int_equal(dying[i].destroyed, 1);
    wg_remove_hook(late);
    assert_int_equal(dying[3].destroyed, 1);
}

static void test_H7_ids_are_new(void **state) {
    (void)state;
    static watch w = {.name = "w"};
    wg_tensor *x = LEAF(1);
    wg_hook_id seen[20];
    for (int i = 0; i < 20; i++) {
        seen[i] = on_tensor(x, &w);
        assert_true(seen[i]);
        for (int k = 0; k < i; k++) assert_true(seen[k] != seen[i]);
        if (i % 2) wg_remove_hook(seen[i]);
    }
    for (int i = 0; i < 20; i += 2) wg_remove_hook(seen[i]);
    assert_int_equal(w.destroyed, 20);
    ASSERT_OK(wg_backward(x));
    ASSERT_JOURNAL("");
}

typedef struct plan { /* what a hook does to the others */
    wg_hook_id remove[3];
    wg_tensor *add_to;
    watch added;
} plan;
static wg_tensor *change_hooks(void *user, wg_tensor *g) {
    plan *p = user;
    (void)g;
    journal_begin("change", "hooks");
    for (int i = 0; i < 3; i++) wg_remove_hook(p->remove[i]);
    if (p->add_to) assert_true(on_tensor(p->add_to, &p->added));
    p->add_to = NULL;
    return NULL;
}
static void test_H7_added_while_hooks_run(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    static plan p;
    p = (plan){.add_to = y, .added = {.name = "added"}};
    assert_true(wg_register_hook(y, change_hooks, &p, NULL));
    ASSERT_OK(keep_graph(y));
    ASSERT_JOURNAL("change hooks");
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("change hooks; tensor added(1)");
}

static void test_H7_removed_while_hooks_run(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = times(x, 2);
    static watch before = {.name = "before"}, after = {.name = "after"}, last = {.name = "last"};
    static plan p;
    p.remove[0] = on_tensor(y, &before);
    p.remove[1] = wg_register_hook(y, change_hooks, &p, NULL); /* itself */
    p.remove[2] = on_tensor(y, &after);
    assert_true(on_tensor(y, &last));
    ASSERT_OK(keep_graph(y));
    /* In C a removed hook is not called any more, not even in the walk under way: its user data may be gone. */
    ASSERT_JOURNAL("tensor before(1); change hooks; tensor last(1)");
    assert_int_equal(before.destroyed + after.destroyed, 2);
    ASSERT_OK(wg_backward(y));
    ASSERT_JOURNAL("tensor last(1)");
}

static wg_tensor *returns_user(void *user, wg_tensor *g) {
    (void)g;
    return user;
}
static wg_status puts_user_first(void *user, wg_tensor **g, int n) {
    (void)n;
    g[0] = user;
    return WG_OK;
}
static wg_status results_with_user(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    (void)go, (void)no;
    for (int i = 0; i < ni; i++) gi[i] = user;
    return WG_OK;
}
static void test_H7_results_are_checked(void **state) {
    (void)state;
    wg_tensor *longer = VEC(1, 2, 3), *doubles = wg_to(VEC(1, 2), WG_FLOAT64), *bad[] = {longer, doubles};
    const char *const text[] = {"hook has changed the size of value",
                                "hook has changed the type of value (was torch.FloatTensor got torch.DoubleTensor)"};
    for (int i = 0; i < 2; i++) {
        wg_tensor *x = LEAF(1, 2);
        for (int kind = 0; kind < 4; kind++) {
            wg_tensor *y = times(x, 2);
            wg_hook_id id = kind == 0   ? wg_register_hook(y, returns_user, bad[i], NULL)
                            : kind == 1 ? wg_register_hook(x, returns_user, bad[i], NULL)
                            : kind == 2 ? wg_node_register_prehook(wg_grad_fn(y), puts_user_first, bad[i], NULL)
                                        : wg_node_register_hook(wg_grad_fn(y), results_with_user, bad[i], NULL);
            ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME, text[i]);
            wg_remove_hook(id);
        }
        assert_null(wg_grad_of(x));
    }
}

static void test_H7_nothing_becomes_something(void **state) {
    (void)state;
    const char *text = "can't replace a None gradient with a non-None value";
    wg_tensor *x = LEAF(1, 1), *out[2], *y = times(x, 2);
    int n;
    ASSERT_OK(wg_unbind(times(x, 2), 0, out, 2, &n));
    assert_true(wg_register_hook(out[1], returns_user, check_number(5, false), NULL));
    ASSERT_FAILS(wg_backward(out[0]), WG_ERR_RUNTIME, text);
    assert_true(wg_node_register_hook(wg_grad_fn(y), results_with_user, VEC(3, 3), NULL)); /* the number's, too */
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME, text);
    assert_null(wg_grad_of(x));
}

static wg_tensor *poison_hook(void *user, wg_tensor *g) {
    (void)user;
    return wg_add(g, VEC(1, 2, 3));
}
static wg_status says_no(void *user, wg_tensor **g, int n) {
    (void)user, (void)g, (void)n;
    return WG_ERR_CALLBACK;
}
static wg_status says_no_after(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    (void)user, (void)gi, (void)ni, (void)go, (void)no;
    return WG_ERR_CALLBACK;
}
static wg_status raises(void *user, wg_tensor *leaf) {
    (void)user, (void)leaf;
    return wg_raise(WG_ERR_INDEX, "no such thing");
}
static void test_failing_hooks(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = times(x, 2);
    assert_true(wg_register_hook(y, poison_hook, NULL, NULL));
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0");
    y = times(x, 2);
    assert_true(wg_node_register_prehook(wg_grad_fn(y), says_no, NULL, NULL));
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_CALLBACK, ""); /* a binding holds the exception */
    y = times(x, 2);
    assert_true(wg_node_register_hook(wg_grad_fn(y), says_no_after, NULL, NULL));
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_CALLBACK, "");
    assert_null(wg_grad_of(x));
    assert_true(wg_register_post_accumulate_hook(x, raises, NULL, NULL));
    ASSERT_FAILS(wg_backward(wg_sum(times(x, 2))), WG_ERR_INDEX, "no such thing");
    ASSERT_VALUES(wg_grad_of(x), 2, 2); /* it came after */
}

static void test_refused_registrations(void **state) {
    (void)state;
    static watch w = {.name = "w"};
    const char *no_grad = "cannot register a hook on a tensor that doesn't require gradient";
    assert_int_equal(on_tensor(VEC(1), &w), 0);
    ASSERT_ERROR(WG_ERR_RUNTIME, no_grad);
    assert_int_equal(accumulated(VEC(1), &w), 0);
    ASSERT_ERROR(WG_ERR_RUNTIME, no_grad);
    assert_int_equal(accumulated(times(LEAF(1), 2), &w), 0);
    ASSERT_ERROR(WG_ERR_RUNTIME, "post accumulate grad hooks cannot be registered on non-leaf tensors");
    assert_int_equal(before_node(NULL, &w), 0);
    assert_int_equal(wg_last_status(), WG_ERR_TYPE);
    wg_clear_error();
    assert_int_equal(w.destroyed, 4); /* the user's data goes in any case */
}

static int nothing_noted(void **state) {
    journal_clear();
    return check_open(state);
}
#define HOOK_TEST(f) cmocka_unit_test_setup_teardown(f, nothing_noted, check_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        HOOK_TEST(test_H1_changes_the_gradient),
        HOOK_TEST(test_H1_runs_when_the_gradient_is_complete),
        HOOK_TEST(test_H1_a_leaf_as_root),
        HOOK_TEST(test_H1_same_hook_twice),
        HOOK_TEST(test_H1_versions),
        HOOK_TEST(test_H1_undefined_gradients),
        HOOK_TEST(test_H1_all_hooks_run_without_a_gradient),
        HOOK_TEST(test_H2_around_a_node),
        HOOK_TEST(test_H2_inputs_without_gradient),
        HOOK_TEST(test_H2_making_gradients_undefined),
        HOOK_TEST(test_H2_many_outputs),
        HOOK_TEST(test_H4_order_at_a_leaf),
        HOOK_TEST(test_H4_order_at_a_result),
        HOOK_TEST(test_H4_all_hooks_of_a_node_before_the_next),
        HOOK_TEST(test_H3_may_consume_the_gradient),
        HOOK_TEST(test_H5_grad_of_a_result),
        HOOK_TEST(test_H5_the_captured_value_is_before_prehooks),
        HOOK_TEST(test_H5_backward_into_a_result),
        HOOK_TEST(test_hooks_are_differentiated),
        HOOK_TEST(test_mode_inside_hooks),
        HOOK_TEST(test_H7_removal),
        HOOK_TEST(test_H7_hooks_die_with_what_they_watch),
        HOOK_TEST(test_H7_ids_are_new),
        HOOK_TEST(test_H7_added_while_hooks_run),
        HOOK_TEST(test_H7_removed_while_hooks_run),
        HOOK_TEST(test_H7_results_are_checked),
        HOOK_TEST(test_H7_nothing_becomes_something),
        HOOK_TEST(test_failing_hooks),
        HOOK_TEST(test_refused_registrations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
