/* backward and grad: roots and seeds, what is freed and what may run again, create_graph (rules B1-B9), how a gradient
 * reaches .grad and whose memory it is (A1-A5), and gradients of broadcast operands (W1). Expected behaviour is PyTorch
 * 2.15's, each case run there.
 */
#include "checks.h"

#define SECOND_TIME                                                                                                    \
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "    \
    "been freed)."

static wg_tensor *ones(int64_t n) { return wg_ones(1, &n, NULL); }
static wg_tensor *twice(wg_tensor *x) { return wg_mul(x, wg_s(2)); }
static wg_status keep_graph(wg_tensor *out) { return wg_backward_opt(&out, 1, NULL, WG_WALK(.retain_graph = true)); }

/* ---- B1, B2: roots and their seeds ------------------------------------------------------------------------------- */

static void test_B1_sums_into_leaves(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *c = VEC(5, 6), *y = wg_sum(wg_mul(wg_mul(x, w), c));
    ASSERT_OK(wg_backward(y));
    ASSERT_VALUES(wg_grad_of(x), 15, 24);
    ASSERT_VALUES(wg_grad_of(w), 5, 12);
    assert_null(wg_grad_of(c));
    assert_false(wg_requires_grad(wg_grad_of(x)));
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    ASSERT_VALUES(wg_grad_of(x), 17, 26);
}

static void test_B1_grad_touches_no_leaf(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *y = wg_sum(wg_mul(x, w)), *in[] = {w, x}, *g[2];
    ASSERT_OK(wg_set_grad(w, VEC(9, 9)));
    ASSERT_OK(wg_grad(&y, 1, in, 2, NULL, NULL, g));
    ASSERT_VALUES(g[0], 1, 2);
    ASSERT_VALUES(g[1], 3, 4);
    assert_null(wg_grad_of(x));
    ASSERT_VALUES(wg_grad_of(w), 9, 9);
    assert_false(wg_requires_grad(g[0]));
    ASSERT_VALUES(wg_grad1(wg_sum(wg_mul(x, x)), x, false), 2, 4);
}

static void test_B1_options_may_be_absent(void **state) {
    (void)state;
    wg_tensor *x = LEAF(2), *y = wg_mul(x, x), *g;
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, NULL));
    ASSERT_VALUES(wg_grad_of(x), 4);
    y = wg_mul(x, x);
    wg_tensor *none[] = {NULL};
    ASSERT_OK(wg_backward_opt(&y, 1, none, NULL));
    y = wg_mul(x, x);
    ASSERT_OK(wg_grad(&y, 1, &x, 1, NULL, NULL, &g));
    ASSERT_VALUES(wg_grad_of(x), 8);
    ASSERT_VALUES(g, 4);
}

static void test_B2_implicit_seed_needs_one_element(void **state) {
    (void)state;
    wg_tensor *x = wg_ones(WG_SHAPE(1, 1), WG_OPT(.requires_grad = true)), *y = LEAF(1, 2);
    ASSERT_OK(wg_backward(twice(x)));
    ASSERT_VALUES(wg_grad_of(x), 2);
    assert_int_equal(wg_ndim(wg_grad_of(x)), 2);
    ASSERT_FAILS(wg_backward(twice(y)), WG_ERR_RUNTIME, "grad can be implicitly created only for scalar outputs");
    assert_null(wg_grad_of(y));
    wg_tensor *nothing = wg_zeros(WG_SHAPE(0), WG_OPT(.requires_grad = true));
    ASSERT_FAILS(wg_backward(twice(nothing)), WG_ERR_RUNTIME, "grad can be implicitly created only for scalar outputs");
}

static void test_B2_explicit_seed(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *seed = VEC(10, 100);
    ASSERT_OK(wg_backward_with(twice(x), seed));
    ASSERT_VALUES(wg_grad_of(x), 20, 200);
    ASSERT_OK(wg_backward_with(wg_sum(x), NULL));
    ASSERT_VALUES(wg_grad_of(x), 21, 201);
    ASSERT_FAILS(wg_backward_with(twice(x), VEC(1, 2, 3)), WG_ERR_RUNTIME,
                 "Mismatch in shape: grad_output[0] has a shape of torch.Size([3]) and output[0] has a shape of "
                 "torch.Size([2]).");
    ASSERT_FAILS(wg_backward_with(wg_sum(x), VEC(1)), WG_ERR_RUNTIME,
                 "Mismatch in shape: grad_output[0] has a shape of torch.Size([1]) and output[0] has a shape of "
                 "torch.Size([]).");
    wg_tensor *roots[] = {wg_sum(x), twice(x)}, *seeds[] = {NULL, VEC(1)};
    ASSERT_FAILS(wg_backward_opt(roots, 2, seeds, NULL), WG_ERR_RUNTIME,
                 "Mismatch in shape: grad_output[1] has a shape of torch.Size([1]) and output[1] has a shape of "
                 "torch.Size([2]).");
    ASSERT_VALUES(wg_grad_of(x), 21, 201);
}

static void test_B2_seeds_are_cast(void **state) {
    (void)state;
    const wg_dtype dtypes[] = {WG_FLOAT64, WG_INT64, WG_BOOL, WG_FLOAT16};
    for (int i = 0; i < 4; i++) {
        wg_tensor *x = LEAF(1, 2);
        ASSERT_OK(wg_backward_with(wg_mul(x, wg_s(3)), wg_to(ones(2), dtypes[i])));
        ASSERT_VALUES(wg_grad_of(x), 3, 3);
        assert_int_equal(wg_dtype_of(wg_grad_of(x)), WG_FLOAT32);
    }
}

/* ---- B3: grad's answers about unused inputs ---------------------------------------------------------------------- */

static void test_B3_unused_inputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *u = LEAF(1, 2, 3), *y = wg_sum(twice(x)), *in[] = {x, u}, *g[2];
    ASSERT_FAILS(
        wg_grad(&y, 1, in, 2, NULL, WG_WALK(.retain_graph = true), g), WG_ERR_RUNTIME,
        "The differentiated Tensor at index 1 appears to not have been used in the graph. Set allow_unused=True "
        "if this is the desired behavior.");
    assert_true(wg_is_poison(g[0]) && wg_is_poison(g[1]));
    y = wg_sum(twice(x));
    ASSERT_OK(wg_grad(&y, 1, in, 2, NULL, WG_WALK(.allow_unused = true), g));
    ASSERT_VALUES(g[0], 2, 2);
    assert_null(g[1]);
    y = wg_sum(twice(x));
    ASSERT_OK(wg_grad(&y, 1, in, 2, NULL, WG_WALK(.materialize_grads = true), g));
    ASSERT_VALUES(g[1], 0, 0, 0);
    assert_false(wg_requires_grad(g[1]));
    y = wg_sum(twice(x));
    ASSERT_OK(wg_grad(&y, 1, in, 2, NULL, WG_WALK(.materialize_grads = true, .create_graph = true), g));
    assert_false(wg_requires_grad(g[0])); /* 2 whatever x is */
    assert_true(wg_requires_grad(g[1]));  /* PyTorch's zeros want a gradient here */
    assert_true(wg_is_leaf(g[1]));
}

static void test_B3_refused_inputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_sum(twice(x)), *plain = VEC(1), *g[1];
    ASSERT_FAILS(wg_grad(&y, 1, &plain, 1, NULL, NULL, g), WG_ERR_RUNTIME,
                 "One of the differentiated Tensors does not require grad");
    ASSERT_FAILS(wg_grad(&y, 1, &x, 0, NULL, NULL, g), WG_ERR_RUNTIME,
                 "`inputs` argument to `grad()` cannot be empty.");
    ASSERT_FAILS(wg_grad(&plain, 1, &x, 1, NULL, NULL, g), WG_ERR_RUNTIME,
                 "element 0 of tensors does not require grad and does not have a grad_fn");
}

static void test_B3_same_input_twice(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = twice(x), *in[] = {x, x}, *g[2];
    ASSERT_OK(wg_grad(&y, 1, in, 2, NULL, NULL, g));
    assert_ptr_equal(g[0], g[1]);
    ASSERT_VALUES(g[0], 2);
    wg_tensor *a = LEAF(1, 1), *b = LEAF(1, 1), *s = wg_sum(wg_add(a, b)), *ab[] = {a, b};
    ASSERT_OK(wg_grad(&s, 1, ab, 2, NULL, NULL, g));
    assert_ptr_equal(g[0], g[1]); /* one expanded tensor for both */
    assert_int_equal(wg_stride(g[0], 0), 0);
}

static void test_B3_gradients_of_results(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = twice(x), *z = wg_mul(y, wg_s(3)), *roots[] = {z, y}, *in[] = {y, x}, *g[2];
    ASSERT_OK(wg_grad(roots, 2, in, 2, NULL, NULL, g));
    ASSERT_VALUES(g[0], 4);
    ASSERT_VALUES(g[1], 8);
    ASSERT_OK(wg_grad(&x, 1, &x, 1, NULL, NULL, g)); /* of itself */
    ASSERT_VALUES(g[0], 1);
    ASSERT_OK(wg_grad(&z, 1, &z, 1, NULL, NULL, g));
    ASSERT_VALUES(g[0], 1);
    assert_null(wg_grad_of(x));
}

/* ---- B5: backward(inputs=) --------------------------------------------------------------------------------------- */

static void test_B5_only_named_inputs_accumulate(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *u = LEAF(5), *y = wg_sum(wg_mul(x, w)), *in[] = {x, u};
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.inputs = in, .ninputs = 2)));
    ASSERT_VALUES(wg_grad_of(x), 3, 4);
    assert_null(wg_grad_of(w));
    assert_null(wg_grad_of(u)); /* unused: left alone */
    y = wg_sum(wg_mul(x, w));
    ASSERT_FAILS(wg_backward_opt(&y, 1, NULL, WG_WALK(.inputs = in, .ninputs = 0)), WG_ERR_RUNTIME,
                 "`inputs` argument to `backward()` cannot be empty.");
    wg_tensor *plain = VEC(1);
    ASSERT_FAILS(wg_backward_opt(&y, 1, NULL, WG_WALK(.inputs = &plain, .ninputs = 1)), WG_ERR_RUNTIME,
                 "can't retain_grad on Tensor that has requires_grad=False");
    ASSERT_VALUES(wg_grad_of(x), 3, 4);
}

static void test_B5_a_result_as_input(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = twice(x), *z = wg_sum(wg_mul(y, y));
    ASSERT_OK(wg_backward_opt(&z, 1, NULL, WG_WALK(.inputs = &y, .ninputs = 1, .retain_graph = true)));
    ASSERT_VALUES(wg_grad_of(y), 4, 8);
    assert_null(wg_grad_of(x));
    assert_true(wg_retains_grad(y)); /* as after retain_grad */
    z = wg_sum(wg_mul(y, wg_s(3)));
    ASSERT_OK(wg_backward_opt(&z, 1, NULL, WG_WALK(.inputs = &y, .ninputs = 1)));
    ASSERT_VALUES(wg_grad_of(y), 7, 11); /* once, though it was retained already */
    wg_tensor *u = twice(x), *both[] = {u, x};
    z = wg_sum(wg_mul(u, wg_s(3)));
    ASSERT_OK(wg_backward_opt(&z, 1, NULL, WG_WALK(.inputs = both, .ninputs = 2)));
    ASSERT_VALUES(wg_grad_of(u), 3, 3);
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

/* ---- B6: several roots ------------------------------------------------------------------------------------------- */

static void test_B6_roots_repeat_and_nest(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *y = twice(x), *z = wg_mul(y, wg_s(3)), *all[] = {z, y, z};
    ASSERT_OK(wg_backward_opt(all, 3, NULL, NULL));
    ASSERT_VALUES(wg_grad_of(x), 14);
    wg_tensor *v = LEAF(1), *mixed[] = {v, wg_mul(v, wg_s(6)), v};
    ASSERT_OK(wg_backward_opt(mixed, 3, NULL, NULL));
    ASSERT_VALUES(wg_grad_of(v), 8);
    wg_tensor *u = LEAF(1, 1), *a = twice(u), *roots[] = {a, wg_sum(u)}, *seeds[] = {VEC(5, 7), NULL};
    ASSERT_OK(wg_backward_opt(roots, 2, seeds, NULL));
    ASSERT_VALUES(wg_grad_of(u), 11, 15);
}

static void test_B6_every_root_requires_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *roots[] = {twice(x), VEC(1)};
    ASSERT_FAILS(wg_backward_opt(roots, 2, NULL, NULL), WG_ERR_RUNTIME,
                 "element 1 of tensors does not require grad and does not have a grad_fn");
    assert_null(wg_grad_of(x));
    ASSERT_FAILS(wg_backward(VEC(1)), WG_ERR_RUNTIME,
                 "element 0 of tensors does not require grad and does not have a grad_fn");
}

static void test_B6_a_leaf_as_root(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1);
    ASSERT_OK(wg_backward(x));
    ASSERT_OK(wg_backward(x));
    WG_NO_GRAD { ASSERT_OK(wg_backward(x)); }
    ASSERT_VALUES(wg_grad_of(x), 3);
}

/* ---- B7: what is freed ------------------------------------------------------------------------------------------- */

static void test_B7_saved_values_go(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, x), *z = wg_sum(y);
    ASSERT_OK(wg_backward(z));
    ASSERT_FAILS(wg_backward(z), WG_ERR_RUNTIME,
                 SECOND_TIME
                 " Saved intermediate values of the graph are freed when you call .backward() or "
                 "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second "
                 "time or if you need to access saved tensors after calling backward.");
    ASSERT_POISON(wg_node_saved(wg_grad_fn(y), 0), WG_ERR_RUNTIME, SECOND_TIME);
    ASSERT_VALUES(wg_grad_of(x), 2, 4);
    /* a part that another graph shares */
    wg_tensor *a = wg_mul(x, x), *b = wg_sum(a), *c = wg_sum(wg_exp(a));
    ASSERT_OK(wg_backward(b));
    ASSERT_FAILS(wg_backward(c), WG_ERR_RUNTIME, SECOND_TIME);
}

static void test_B7_saved_values_stay(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, x), *z = wg_sum(y);
    assert_ptr_equal(wg_node_saved(wg_grad_fn(y), 0), x); /* an input is saved as the object itself */
    ASSERT_OK(keep_graph(z));
    ASSERT_OK(keep_graph(z));
    assert_ptr_equal(wg_node_saved(wg_grad_fn(y), 0), x);
    ASSERT_OK(wg_backward(z));
    ASSERT_VALUES(wg_grad_of(x), 6, 12);
    assert_int_equal(wg_backward(z), WG_ERR_RUNTIME);
    wg_clear_error();
    /* create_graph keeps the graph, unless told otherwise */
    z = wg_sum(wg_mul(x, x));
    wg_tensor *g;
    ASSERT_OK(wg_grad(&z, 1, &x, 1, NULL, WG_WALK(.create_graph = true), &g));
    ASSERT_OK(wg_grad(&z, 1, &x, 1, NULL, WG_WALK(.create_graph = true, .has_retain_graph = true), &g));
    ASSERT_FAILS(wg_grad(&z, 1, &x, 1, NULL, NULL, &g), WG_ERR_RUNTIME, SECOND_TIME);
}

static void test_B7_nothing_saved_nothing_freed(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_sum(wg_add(wg_view(x, WG_SHAPE(2, 1)), wg_s(1)));
    ASSERT_OK(wg_backward(y));
    ASSERT_OK(wg_backward(y));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    y = wg_sum(twice(x)); /* the other operand is needed, number or not */
    ASSERT_OK(wg_backward(y));
    ASSERT_FAILS(wg_backward(y), WG_ERR_RUNTIME, SECOND_TIME);
}

static void test_B7_only_what_ran_is_freed(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *z = wg_sum(wg_add(wg_mul(x, x), wg_mul(w, w)));
    ASSERT_VALUES(wg_grad1(z, x, false), 2, 4);
    ASSERT_VALUES(wg_grad1(z, w, false), 6, 8);
    assert_true(wg_is_poison(wg_grad1(z, x, false)));
    ASSERT_ERROR(WG_ERR_RUNTIME, SECOND_TIME);
    wg_tensor *a = wg_mul(x, x), *b = wg_sum(wg_mul(a, a));
    ASSERT_VALUES(wg_grad1(b, a, false), 2, 8); /* a's own node did not run */
    ASSERT_VALUES(wg_grad1(wg_sum(a), x, false), 2, 4);
}

/* ---- B8: create_graph -------------------------------------------------------------------------------------------- */

static void test_B8_derivatives_to_order_six(void **state) {
    (void)state;
    wg_tensor *x = check_number(2, true), *d = wg_pow(x, wg_s(5));
    const double want[] = {80, 160, 240, 240, 120, 0};
    for (int i = 0; i < 6; i++) {
        d = wg_grad1(d, x, true);
        ASSERT_VALUES(d, want[i]);
        assert_true(wg_requires_grad(d) == (i < 5)); /* the sixth is 0 whatever x is */
    }
}

static void test_B8_mixed_derivatives(void **state) {
    (void)state;
    wg_tensor *x = check_number(0.5, true), *y = check_number(1.5, true), *f = wg_mul(wg_sin(wg_mul(x, y)), wg_exp(x));
    wg_tensor *xy = wg_grad1(wg_grad1(f, x, true), y, true), *yx = wg_grad1(wg_grad1(f, y, true), x, true);
    wg_tensor *xyxy = wg_grad1(wg_grad1(xy, x, true), y, true), *yyxx = wg_grad1(wg_grad1(yx, y, true), x, true);
    /* d2/dxdy of sin(xy) e^x, and d4/dx2dy2, written out */
    double s = sin(0.75), c = cos(0.75), e = exp(0.5);
    ASSERT_VALUES(xy, e * (c * (1 + 0.5) - 0.75 * s));
    ASSERT_VALUES(yx, e * (c * (1 + 0.5) - 0.75 * s));
    double fourth = e * (s * (0.75 * 0.75 - 2 - 4 * 0.5 - 0.25) - c * 2 * 0.75 * (2 + 0.5));
    ASSERT_VALUES(xyxy, fourth);
    ASSERT_VALUES(yyxx, fourth);
}

static void test_B8_a_gradient_penalty(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(3, 4), *y = wg_sum(wg_mul(wg_mul(x, x), w));
    wg_tensor *g = wg_grad1(y, x, true); /* 2xw */
    ASSERT_OK(wg_backward(wg_sum(wg_mul(g, g))));
    ASSERT_VALUES(wg_grad_of(w), 24, 128); /* 8x²w */
    ASSERT_VALUES(wg_grad_of(x), 72, 256); /* 8xw² */
}

static void test_B8_modes(void **state) {
    (void)state;
    wg_tensor *x = LEAF(3), *y = wg_mul(x, x), *g = NULL;
    WG_NO_GRAD {
        ASSERT_OK(wg_grad(&y, 1, &x, 1, NULL, WG_WALK(.create_graph = true), &g));
        assert_false(wg_grad_enabled());
    }
    assert_true(wg_requires_grad(g)); /* the caller's mode does not matter */
    ASSERT_VALUES(wg_grad1(g, x, false), 2);
    ASSERT_OK(wg_grad(&y, 1, &x, 1, NULL, NULL, &g));
    assert_true(wg_grad_enabled());
    assert_false(wg_requires_grad(g));
    assert_int_equal(wg_backward(y), WG_ERR_RUNTIME); /* freed: the mode comes back after a failure too */
    wg_clear_error();
    assert_true(wg_grad_enabled());
    y = wg_mul(x, x);
    WG_NO_GRAD { ASSERT_OK(wg_backward(y)); }
    ASSERT_VALUES(wg_grad_of(x), 6);
}

/* ---- B9: failures ------------------------------------------------------------------------------------------------ */

static wg_tensor *broken_hook(void *user, wg_tensor *g) {
    (void)g;
    return wg_raise(*(wg_status *)user, "boom"), wg_add(NULL, NULL);
}
static void test_B9_a_failure_leaves_what_was_done(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1), *w = LEAF(1), *a = twice(x), *b = wg_mul(w, w), *c = wg_add(a, b);
    wg_status kind = WG_ERR_VALUE;
    wg_hook_id hook = wg_register_hook(a, broken_hook, &kind, NULL);
    assert_true(hook);
    ASSERT_FAILS(wg_backward(c), WG_ERR_VALUE, "boom"); /* the error's own kind */
    assert_null(wg_grad_of(x));
    ASSERT_VALUES(wg_grad_of(w), 2);
    wg_remove_hook(hook);
    ASSERT_FAILS(wg_backward(c), WG_ERR_RUNTIME, SECOND_TIME); /* b's node ran, and stays freed */
    assert_null(wg_grad_of(x));
    ASSERT_VALUES(wg_grad_of(w), 2);
    ASSERT_OK(wg_backward(wg_add(a, wg_mul(w, w)))); /* a's node did not run: it still can */
    ASSERT_VALUES(wg_grad_of(x), 2);
    ASSERT_VALUES(wg_grad_of(w), 4);
}

static void test_B9_poison_and_unread_errors(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *bad = wg_add(x, VEC(1, 2, 3));
    const char *text = "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0";
    assert_int_equal(wg_backward(bad), WG_ERR_RUNTIME);
    ASSERT_ERROR(WG_ERR_RUNTIME, text);
    bad = wg_add(x, VEC(1, 2, 3));
    assert_int_equal(wg_backward(wg_sum(x)), WG_ERR_RUNTIME); /* not poison, but somebody did not look */
    ASSERT_ERROR(WG_ERR_RUNTIME, text);
    assert_null(wg_grad_of(x));
    ASSERT_OK(wg_backward(wg_sum(x)));
}

/* ---- A1-A5: accumulation ----------------------------------------------------------------------------------------- */

static void test_A1_no_two_owners(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *g = ones(2);
    ASSERT_OK(wg_backward_with(x, g)); /* the caller's gradient is copied */
    assert_ptr_not_equal(wg_grad_of(x), g);
    assert_false(wg_same_storage(wg_grad_of(x), g));
    ASSERT_OK(wg_backward_with(x, g));
    ASSERT_VALUES(g, 1, 1);
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    wg_tensor *a = LEAF(1, 1), *b = LEAF(1, 1);
    ASSERT_OK(wg_backward_with(wg_add(a, b), g));
    assert_false(wg_same_storage(wg_grad_of(a), wg_grad_of(b)));
    assert_false(wg_same_storage(wg_grad_of(a), g) || wg_same_storage(wg_grad_of(b), g));
}

/* Where the gradient lies that a leaf is about to take. */
static wg_tensor *note_address(void *user, wg_tensor *g) {
    *(const void **)user = wg_const_data(g);
    return NULL;
}
static wg_tensor *keep_gradient(void *user, wg_tensor *g) {
    *(wg_tensor **)user = wg_keep(g);
    return NULL;
}
static void test_A1_steals_what_nobody_holds(void **state) {
    (void)state;
    const void *address = NULL;
    wg_tensor *x = LEAF(1, 1), *kept = NULL;
    wg_hook_id hook = wg_register_hook(x, note_address, &address, NULL);
    ASSERT_OK(wg_backward_with(twice(x), ones(2)));
    assert_ptr_equal(wg_const_data(wg_grad_of(x)), address);
    wg_remove_hook(hook);
    wg_tensor *y = LEAF(1, 1);
    assert_true(wg_register_hook(y, keep_gradient, &kept, NULL));
    ASSERT_OK(wg_backward_with(twice(y), ones(2)));
    assert_ptr_not_equal(wg_grad_of(y), kept); /* somebody kept it: copied */
    assert_false(wg_same_storage(wg_grad_of(y), kept));
    wg_release(kept);
}

static void test_A1_later_gradients(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1);
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    wg_tensor *first = wg_grad_of(x);
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    assert_ptr_equal(wg_grad_of(x), first); /* in place, the same object */
    ASSERT_VALUES(first, 4, 4);
    assert_int_equal(wg_version_of(first), 1);
    wg_tensor *y = wg_sum(twice(x));
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.create_graph = true)));
    assert_ptr_not_equal(wg_grad_of(x), first); /* with create_graph: a new one */
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

static void test_A1_create_graph(void **state) {
    (void)state;
    const wg_walk_opts *create = WG_WALK(.create_graph = true);
    wg_tensor *c = LEAF(1, 1), *y = wg_sum(wg_mul(c, wg_s(3)));
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, create));
    assert_false(wg_requires_grad(wg_grad_of(c))); /* constant: no history */
    assert_null(wg_grad_fn(wg_grad_of(c)));
    wg_tensor *x = LEAF(1, 2);
    y = wg_sum(wg_mul(x, x));
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, create));
    wg_tensor *g = wg_grad_of(x);
    assert_string_equal(wg_node_name(wg_grad_fn(g)), "torch::autograd::CopyBackwards");
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, create));
    assert_string_equal(wg_node_name(wg_grad_fn(wg_grad_of(x))), "AddBackward0");
    g = wg_grad_of(x);
    ASSERT_OK(wg_backward(wg_sum(wg_mul(x, x)))); /* without create_graph: into that one, its history as it was */
    assert_ptr_equal(wg_grad_of(x), g);
    assert_string_equal(wg_node_name(wg_grad_fn(g)), "AddBackward0");
    ASSERT_VALUES(g, 6, 12);
    ASSERT_OK(wg_set_grad(x, NULL)); /* x -> grad -> graph -> x would live for ever */
}

static void test_A1_preset_grads(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *g = ones(2);
    ASSERT_OK(wg_set_grad(x, g));
    wg_tensor *y = wg_sum(twice(x));
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.create_graph = true)));
    assert_ptr_not_equal(wg_grad_of(x), g);
    ASSERT_VALUES(g, 1, 1);
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
    wg_tensor *leaf = LEAF(1, 1);
    ASSERT_OK(wg_set_grad(x, leaf)); /* one that requires a gradient is written all the same */
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    assert_ptr_equal(wg_grad_of(x), leaf);
    ASSERT_VALUES(leaf, 3, 3);
    wg_tensor *spread = wg_expand(VEC(1), WG_SHAPE(2));
    ASSERT_OK(wg_set_grad(x, spread));
    ASSERT_FAILS(
        wg_backward(wg_sum(twice(x))), WG_ERR_RUNTIME,
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation.");
    wg_tensor *rows = wg_zeros(WG_SHAPE(2, 2), NULL), *column = wg_select(rows, 1, 0);
    ASSERT_OK(wg_set_grad(x, column)); /* a view: the sum goes through it */
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    assert_ptr_equal(wg_grad_of(x), column);
    ASSERT_VALUES(rows, 2, 0, 2, 0);
}

static void test_A2_layout(void **state) {
    (void)state;
    wg_tensor *x =
        wg_set_requires_grad(wg_detach(wg_t(wg_ones(WG_SHAPE(3, 2), NULL))), true); /* dense: its own strides */
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    assert_int_equal(wg_stride(wg_grad_of(x), 0), 1);
    assert_int_equal(wg_stride(wg_grad_of(x), 1), 2);
    x = wg_ones(WG_SHAPE(2, 3), WG_OPT(.requires_grad = true)); /* the gradient arrives transposed */
    ASSERT_OK(wg_backward_with(wg_t(x), wg_mul(wg_ones(WG_SHAPE(3, 2), NULL), wg_s(2))));
    assert_true(wg_is_contiguous(wg_grad_of(x)));
    ASSERT_VALUES(wg_grad_of(x), 2, 2, 2, 2, 2, 2);
    wg_tensor *expanded = wg_set_requires_grad(wg_detach(wg_expand(VEC(1), WG_SHAPE(3))), true);
    wg_tensor *gaps = wg_set_requires_grad(wg_detach(wg_slice(wg_ones(WG_SHAPE(2, 4), NULL), 1, 0, 4, 2)), true);
    ASSERT_OK(wg_backward(wg_add(wg_sum(twice(expanded)), wg_sum(twice(gaps))))); /* not dense: row-major */
    assert_int_equal(wg_stride(expanded, 0), 0);
    assert_int_equal(wg_stride(gaps, 1), 2);
    assert_true(wg_is_contiguous(wg_grad_of(expanded)) && wg_is_contiguous(wg_grad_of(gaps)));
    x = wg_ones(WG_SHAPE(2, 3), WG_OPT(.requires_grad = true)); /* a grad that is there keeps its strides */
    ASSERT_OK(wg_set_grad(x, wg_detach(wg_t(wg_ones(WG_SHAPE(3, 2), NULL)))));
    ASSERT_OK(wg_backward(wg_sum(twice(x))));
    assert_int_equal(wg_stride(wg_grad_of(x), 0), 1);
    ASSERT_VALUES(wg_grad_of(x), 3, 3, 3, 3, 3, 3);
}

static void test_A4_undefined_changes_nothing(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *w = LEAF(1, 2), *out[2];
    int n;
    ASSERT_OK(wg_unbind(x, 0, out, 2, &n));
    wg_tensor *y = wg_mul(out[0], wg_sum(w)), *in[] = {w};
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.inputs = in, .ninputs = 1)));
    assert_null(wg_grad_of(x));
    ASSERT_OK(wg_backward(wg_sum(wg_where(wg_gt(w, wg_s(5)), w, wg_detach(w)))));
    ASSERT_VALUES(wg_grad_of(w), 1, 1); /* a gradient of zeros is not an undefined one: 1 + 0 */
}

static void test_A5_sums_inside_the_graph(void **state) {
    (void)state;
    wg_tensor *s = ones(2), *x = LEAF(1, 1), *y = wg_add(x, wg_s(0)),
              *z = wg_add(wg_add(x, wg_s(0)), wg_add(x, wg_s(0)));
    wg_tensor *roots[] = {y, y, x}, *seeds[] = {s, s, s};
    ASSERT_OK(wg_backward_opt(roots, 3, seeds, NULL));
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
    ASSERT_VALUES(s, 1, 1); /* the seed came several times: never written */
    ASSERT_OK(wg_backward_with(z, s));
    ASSERT_VALUES(wg_grad_of(x), 5, 5);
    ASSERT_VALUES(s, 1, 1);
    wg_tensor *g;
    y = wg_add(x, wg_s(0));
    ASSERT_OK(wg_grad(&y, 1, &x, 1, &s, NULL, &g));
    assert_ptr_equal(g, s); /* grad hands it through */
    /* the same cotangent at two places, one of which is summed into */
    wg_tensor *p = LEAF(1, 1), *q = LEAF(1, 1), *t = wg_add(p, q), *both[] = {wg_sum(t), wg_sum(wg_mul(p, wg_s(4)))};
    ASSERT_OK(wg_backward_opt(both, 2, NULL, NULL));
    ASSERT_VALUES(wg_grad_of(p), 5, 5);
    ASSERT_VALUES(wg_grad_of(q), 1, 1);
}

static void test_A5_kept_gradients_stay(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = twice(x), *kept = NULL;
    ASSERT_OK(wg_retain_grad(y));
    assert_true(wg_register_hook(y, keep_gradient, &kept, NULL));
    ASSERT_OK(wg_backward_with(wg_add(wg_add(y, wg_s(1)), y), ones(2)));
    ASSERT_VALUES(kept, 2, 2);
    ASSERT_VALUES(wg_grad_of(y), 2, 2);
    ASSERT_VALUES(wg_grad_of(x), 4, 4);
    ASSERT_OK(wg_backward_with(twice(x), ones(2)));
    ASSERT_VALUES(kept, 2, 2);
    wg_release(kept);
}

/* ---- W1, W5: shapes and dtypes on the way ------------------------------------------------------------------------ */

static void test_W1_broadcast_operands(void **state) {
    (void)state;
    wg_tensor *a = wg_ones(WG_SHAPE(2, 1, 3), WG_OPT(.requires_grad = true)), *b = LEAF(1, 2, 3),
              *c = check_number(2, true);
    wg_tensor *m = wg_ones(WG_SHAPE(4, 1), WG_OPT(.requires_grad = true));
    ASSERT_OK(wg_backward(wg_sum(wg_mul(wg_mul(wg_mul(a, b), m), c))));
    ASSERT_VALUES(wg_grad_of(a), 8, 16, 24, 8, 16, 24);
    assert_int_equal(wg_ndim(wg_grad_of(a)), 3);
    ASSERT_VALUES(wg_grad_of(b), 16, 16, 16);
    ASSERT_VALUES(wg_grad_of(m), 24, 24, 24, 24);
    assert_int_equal(wg_size(wg_grad_of(m), 1), 1);
    ASSERT_VALUES(wg_grad_of(c), 48);
    assert_int_equal(wg_ndim(wg_grad_of(c)), 0);
    wg_tensor *empty = wg_ones(WG_SHAPE(0, 3), WG_OPT(.requires_grad = true)), *row = LEAF(1, 1, 1);
    ASSERT_OK(wg_backward(wg_sum(wg_mul(empty, row))));
    ASSERT_VALUES(wg_grad_of(row), 0, 0, 0);
    assert_int_equal(wg_numel(wg_grad_of(empty)), 0);
    assert_int_equal(wg_size(wg_grad_of(empty), 1), 3);
}

static void test_W5_gradients_have_their_leafs_dtype(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1),
              *w = wg_ones(WG_SHAPE(2), WG_OPT(.dtype = WG_FLOAT64, .has_dtype = true, .requires_grad = true));
    ASSERT_OK(wg_backward(wg_sum(wg_mul(wg_mul(x, w), wg_to(x, WG_FLOAT64)))));
    assert_int_equal(wg_dtype_of(wg_grad_of(x)), WG_FLOAT32);
    assert_int_equal(wg_dtype_of(wg_grad_of(w)), WG_FLOAT64);
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    wg_tensor *c = check_number(1, true), *m = wg_ones(WG_SHAPE(2, 3), WG_DTYPE(WG_FLOAT64));
    ASSERT_OK(wg_backward(wg_sum(wg_mul(c, m))));
    ASSERT_VALUES(wg_grad_of(c), 6);
    assert_int_equal(wg_dtype_of(wg_grad_of(c)), WG_FLOAT32);
    wg_tensor *i = wg_mul(wg_to(x, WG_INT64), wg_s(2)); /* integers cut the graph */
    assert_false(wg_requires_grad(i));
    ASSERT_OK(wg_backward(wg_sum(wg_add(x, i))));
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_B1_sums_into_leaves),
        CHECK_TEST(test_B1_grad_touches_no_leaf),
        CHECK_TEST(test_B1_options_may_be_absent),
        CHECK_TEST(test_B2_implicit_seed_needs_one_element),
        CHECK_TEST(test_B2_explicit_seed),
        CHECK_TEST(test_B2_seeds_are_cast),
        CHECK_TEST(test_B3_unused_inputs),
        CHECK_TEST(test_B3_refused_inputs),
        CHECK_TEST(test_B3_same_input_twice),
        CHECK_TEST(test_B3_gradients_of_results),
        CHECK_TEST(test_B5_only_named_inputs_accumulate),
        CHECK_TEST(test_B5_a_result_as_input),
        CHECK_TEST(test_B6_roots_repeat_and_nest),
        CHECK_TEST(test_B6_every_root_requires_grad),
        CHECK_TEST(test_B6_a_leaf_as_root),
        CHECK_TEST(test_B7_saved_values_go),
        CHECK_TEST(test_B7_saved_values_stay),
        CHECK_TEST(test_B7_nothing_saved_nothing_freed),
        CHECK_TEST(test_B7_only_what_ran_is_freed),
        CHECK_TEST(test_B8_derivatives_to_order_six),
        CHECK_TEST(test_B8_mixed_derivatives),
        CHECK_TEST(test_B8_a_gradient_penalty),
        CHECK_TEST(test_B8_modes),
        CHECK_TEST(test_B9_a_failure_leaves_what_was_done),
        CHECK_TEST(test_B9_poison_and_unread_errors),
        CHECK_TEST(test_A1_no_two_owners),
        CHECK_TEST(test_A1_steals_what_nobody_holds),
        CHECK_TEST(test_A1_later_gradients),
        CHECK_TEST(test_A1_create_graph),
        CHECK_TEST(test_A1_preset_grads),
        CHECK_TEST(test_A2_layout),
        CHECK_TEST(test_A4_undefined_changes_nothing),
        CHECK_TEST(test_A5_sums_inside_the_graph),
        CHECK_TEST(test_A5_kept_gradients_stay),
        CHECK_TEST(test_W1_broadcast_operands),
        CHECK_TEST(test_W5_gradients_have_their_leafs_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
