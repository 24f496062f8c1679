/* Leaves and modes: what requires a gradient, which edges a node has, .grad, detach and .data (rules L1-L8), and the
 * thread's grad mode (M1). Expected behaviour is PyTorch 2.15's, each case run there.
 */
#include "checks.h"

#include <pthread.h>

#define IN_PLACE_LEAF "a leaf Variable that requires grad is being used in an in-place operation."

static wg_tensor *as_int(wg_tensor *t) { return wg_to(t, WG_INT64); }

/* ---- L1, L2: who requires a gradient ----------------------------------------------------------------------------- */

static void test_L1_leaf_means_no_history(void **state) {
    (void)state;
    wg_tensor *plain = VEC(1, 2), *leaf = LEAF(1, 2), *y = wg_mul(leaf, wg_s(2)), *constant = wg_mul(plain, wg_s(2));
    assert_true(wg_is_leaf(plain) && wg_is_leaf(leaf) && wg_is_leaf(constant));
    assert_false(wg_is_leaf(y));
    assert_null(wg_grad_fn(plain));
    assert_null(wg_grad_fn(leaf));
    assert_null(wg_grad_fn(constant));
    assert_non_null(wg_grad_fn(y));
    assert_ptr_equal(wg_grad_fn(y), wg_grad_fn(y));
    assert_int_equal(wg_output_nr(y), 0);
    assert_null(wg_grad_of(leaf));
    assert_int_equal(wg_version_of(leaf), 0);
}

static void test_L2_requires_grad_spreads(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *c = VEC(3, 4);
    assert_true(wg_requires_grad(wg_mul(x, c)) && wg_requires_grad(wg_mul(c, x)) && wg_requires_grad(wg_exp(x)));
    assert_false(wg_requires_grad(wg_mul(c, c)));
    assert_true(wg_requires_grad(wg_select(x, 0, 0)) && wg_requires_grad(wg_sum(x)));
    wg_tensor *y = NULL;
    WG_NO_GRAD { y = wg_mul(x, x); }
    assert_false(wg_requires_grad(y));
    assert_null(wg_grad_fn(y));
    assert_true(wg_is_leaf(y));
}

static void test_L2_integers_never_require_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(3, 1, 2), *indices[3];
    wg_tensor *values[] = {wg_sort(x, 0, false, false, &indices[0]), wg_max_dim(x, 0, false, &indices[1]),
                           wg_min_dim(x, 0, true, &indices[2])};
    for (int i = 0; i < 3; i++) {
        assert_true(wg_requires_grad(values[i]));
        assert_false(wg_requires_grad(indices[i]));
        assert_null(wg_grad_fn(indices[i]));
    }
    wg_tensor *none[] = {wg_gt(x, wg_s(0)), wg_eq(x, x), wg_argmax(x, 0, false), wg_argmin_all(x),
                         as_int(x),         wg_isnan(x), wg_nonzero(x),          wg_logical_not(x)};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        ASSERT_GOOD(none[i]);
        assert_false(wg_requires_grad(none[i]));
        assert_true(wg_is_leaf(none[i]));
    }
}

/* ---- L3: edges --------------------------------------------------------------------------------------------------- */

static void test_L3_edges(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, wg_s(2)), *z = wg_mul(y, VEC(1, 1));
    int nr = -1;
    wg_node *n = wg_grad_fn(y);
    assert_int_equal(wg_node_inputs(n), 2);
    wg_node *leaf = wg_node_next(n, 0, &nr);
    assert_string_equal(wg_node_name(leaf), "torch::autograd::AccumulateGrad");
    assert_int_equal(nr, 0);
    assert_ptr_equal(wg_node_variable(leaf), x);
    assert_int_equal(wg_node_inputs(leaf), 0);
    assert_null(wg_node_next(n, 1, &nr)); /* a number has an edge that leads nowhere */
    assert_int_equal(nr, 0);
    assert_ptr_equal(wg_node_next(wg_grad_fn(z), 0, NULL), n);
    assert_null(wg_node_next(wg_grad_fn(z), 1, NULL)); /* and so has a tensor that needs no gradient */
    assert_null(wg_node_next(n, 2, NULL));
    assert_null(wg_node_next(n, -1, NULL));
    assert_null(wg_node_variable(n));
}

static void test_L3_edges_to_several_outputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *out[2];
    int n = 0, nr[2];
    ASSERT_OK(wg_split(wg_mul(x, wg_s(2)), 1, 0, out, 2, &n));
    assert_int_equal(wg_output_nr(out[0]), 0);
    assert_int_equal(wg_output_nr(out[1]), 1);
    wg_node *mul = wg_grad_fn(wg_mul(out[1], out[0]));
    wg_node *a = wg_node_next(mul, 0, &nr[0]), *b = wg_node_next(mul, 1, &nr[1]);
    assert_ptr_equal(a, b);
    assert_int_equal(nr[0], 1);
    assert_int_equal(nr[1], 0);
}

static void test_L3_one_accumulator_per_leaf(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    wg_node *a = wg_node_next(wg_grad_fn(wg_mul(x, wg_s(2))), 0, NULL);
    wg_node *b = wg_node_next(wg_grad_fn(wg_mul(x, wg_s(3))), 0, NULL);
    assert_ptr_equal(a, b);
    assert_ptr_equal(wg_grad_accumulator(x), a);
    assert_null(wg_grad_accumulator(wg_mul(x, x)));
    assert_false(wg_error_pending());
    assert_null(wg_grad_accumulator(VEC(1)));
    ASSERT_ERROR(WG_ERR_RUNTIME,
                 "It is not possible to get the gradient edge for a Tensor that does not require gradients");
}

static void test_L3_a_node_keeps_its_leaf(void **state) {
    (void)state;
    wg_node *n = NULL;
    WG_SCOPE {
        wg_tensor *x = LEAF(5, 6);
        n = wg_node_keep(wg_grad_accumulator(x));
    }
    ASSERT_VALUES(wg_node_variable(n), 5, 6);
    wg_node_release(n);
    wg_tensor *y = NULL;
    WG_SCOPE { y = wg_keep(wg_mul(LEAF(5, 6), wg_s(2))); } /* the graph is all that holds the leaf */
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_VALUES(wg_grad_of(wg_node_variable(wg_node_next(wg_grad_fn(y), 0, NULL))), 2, 2);
    wg_release(y);
}

/* ---- L4, L5: requires_grad_ -------------------------------------------------------------------------------------- */

static void test_L4_switching_on(void **state) {
    (void)state;
    wg_tensor *t = VEC(1, 2), *y = wg_mul(LEAF(1, 2), wg_s(2));
    assert_ptr_equal(wg_set_requires_grad(t, true), t);
    assert_true(wg_requires_grad(t) && wg_is_leaf(t));
    assert_ptr_equal(wg_set_requires_grad(y, true), y); /* nothing new for a result */
    assert_false(wg_is_leaf(y));
    wg_tensor *i = as_int(VEC(1, 2));
    ASSERT_POISON(wg_set_requires_grad(i, true), WG_ERR_RUNTIME,
                  "only Tensors of floating point dtype can require gradients");
    assert_ptr_equal(wg_set_requires_grad(i, false), i);
    wg_options o = {.size = sizeof(o), .dtype = WG_INT64, .has_dtype = true, .requires_grad = true};
    ASSERT_POISON(wg_ones(WG_SHAPE(2), &o), WG_ERR_RUNTIME,
                  "Only Tensors of floating point and complex dtype can require gradients");
    o.dtype = WG_BOOL;
    ASSERT_POISON(wg_zeros(WG_SHAPE(2), &o), WG_ERR_RUNTIME,
                  "Only Tensors of floating point and complex dtype can require gradients");
    const wg_dtype floats[] = {WG_FLOAT16, WG_BFLOAT16, WG_FLOAT32, WG_FLOAT64};
    for (int k = 0; k < 4; k++) assert_true(wg_requires_grad(wg_set_requires_grad(wg_to(VEC(1), floats[k]), true)));
}

static void test_L4_factories_under_no_grad(void **state) {
    (void)state;
    wg_tensor *x = NULL, *y = NULL, *z = VEC(1);
    WG_NO_GRAD {
        x = wg_ones(WG_SHAPE(2), WG_OPT(.requires_grad = true));
        y = wg_mul(x, wg_s(2));
        wg_set_requires_grad(z, true);
    }
    assert_true(wg_requires_grad(x) && wg_requires_grad(z));
    assert_false(wg_requires_grad(y));
}

static void test_L4_switching_off(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, wg_s(2));
    ASSERT_POISON(
        wg_set_requires_grad(y, false), WG_ERR_RUNTIME,
        "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
        "a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    assert_true(wg_requires_grad(y));
    assert_ptr_equal(wg_set_requires_grad(x, false), x);
    assert_false(wg_requires_grad(x));
    assert_true(wg_requires_grad(y)); /* its history stays */
    assert_false(wg_requires_grad(wg_mul(x, wg_s(2))));
    ASSERT_OK(wg_backward(wg_sum(y)));
    assert_null(wg_grad_of(x)); /* but a leaf that wants no gradient any more gets none */
}

static void test_L5_in_place_makes_a_result(void **state) {
    (void)state;
    wg_tensor *a = VEC(0, 0), *b = LEAF(1, 2);
    wg_add_(a, b);
    assert_true(wg_requires_grad(a));
    assert_false(wg_is_leaf(a));
    ASSERT_GRAPH(a, "AddBackward0(None, leaf)");
    ASSERT_OK(wg_backward(wg_sum(a)));
    ASSERT_VALUES(wg_grad_of(b), 1, 1);
}

/* ---- L6, L7: .grad ----------------------------------------------------------------------------------------------- */

static void test_L6_retain_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = wg_mul(x, wg_s(2)), *z = wg_sum(y);
    assert_false(wg_retains_grad(y));
    ASSERT_OK(wg_retain_grad(y));
    ASSERT_OK(wg_retain_grad(y));
    assert_true(wg_retains_grad(y));
    assert_null(wg_grad_of(y));
    ASSERT_OK(wg_backward_opt(&z, 1, NULL, WG_WALK(.retain_graph = true)));
    wg_tensor *first = wg_keep(wg_grad_of(y));
    ASSERT_OK(wg_backward(z));
    assert_ptr_not_equal(wg_grad_of(y), first); /* a new object each time */
    ASSERT_VALUES(first, 1, 1);
    ASSERT_VALUES(wg_grad_of(y), 2, 2);
    ASSERT_VALUES(wg_grad_of(x), 4, 4);
    wg_release(first);
    ASSERT_OK(wg_retain_grad(x)); /* a leaf has its gradient anyway */
    assert_false(wg_retains_grad(x));
    ASSERT_FAILS(wg_retain_grad(VEC(1)), WG_ERR_RUNTIME, "can't retain_grad on Tensor that has requires_grad=False");
}

static void test_L6_not_retained_is_not_stored(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = wg_mul(x, wg_s(2));
    ASSERT_OK(wg_backward(wg_sum(y)));
    assert_null(wg_grad_of(y));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
}

static void test_L6_retained_tensor_may_die_first(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *z = NULL;
    WG_SCOPE {
        wg_tensor *y = wg_mul(x, wg_s(2));
        ASSERT_OK(wg_retain_grad(y));
        z = wg_keep(wg_sum(y));
    }
    ASSERT_OK(wg_backward(z));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    wg_release(z);
}

static void test_L6_retained_outputs_of_one_node(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2, 3), *out[3];
    int n;
    ASSERT_OK(wg_unbind(wg_mul(x, wg_s(2)), 0, out, 3, &n));
    ASSERT_OK(wg_retain_grad(out[0]));
    ASSERT_OK(wg_retain_grad(out[1]));
    ASSERT_OK(wg_backward(wg_mul(out[1], out[2])));
    assert_null(wg_grad_of(out[0])); /* no gradient came */
    ASSERT_VALUES(wg_grad_of(out[1]), 6);
    assert_null(wg_grad_of(out[2])); /* not asked for */
    ASSERT_VALUES(wg_grad_of(x), 0, 12, 8);
}

static void test_L7_setting_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *g = VEC(10, 10), *plain = VEC(1, 2);
    ASSERT_OK(wg_set_grad(x, g));
    assert_ptr_equal(wg_grad_of(x), g);
    ASSERT_OK(wg_backward(wg_sum(wg_mul(x, wg_s(2)))));
    assert_ptr_equal(wg_grad_of(x), g); /* A1: summed into the same object */
    ASSERT_VALUES(g, 12, 12);
    assert_int_equal(wg_version_of(g), 1);
    ASSERT_OK(wg_set_grad(x, NULL));
    assert_null(wg_grad_of(x));
    ASSERT_OK(wg_set_grad(x, NULL));
    ASSERT_OK(wg_set_grad(plain, VEC(7, 8))); /* any tensor may carry one */
    ASSERT_VALUES(wg_grad_of(plain), 7, 8);
    wg_tensor *i = as_int(VEC(1, 2));
    ASSERT_OK(wg_set_grad(i, as_int(VEC(3, 4))));
    ASSERT_VALUES(wg_grad_of(i), 3, 4);
}

static void test_L7_refused_grads(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *g = VEC(3, 4);
    ASSERT_OK(wg_set_grad(x, g));
    ASSERT_FAILS(
        wg_set_grad(x, VEC(1, 2, 3)), WG_ERR_RUNTIME,
        "attempting to assign a gradient of size '[3]' to a tensor of size '[2]'. Please ensure that the gradient "
        "and the tensor are the same size");
    ASSERT_FAILS(
        wg_set_grad(x, wg_to(g, WG_FLOAT64)), WG_ERR_RUNTIME,
        "attempting to assign a gradient with dtype 'double' to a tensor with grad_dtype 'Float'. The gradient "
        "must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype "
        "attribute with a specific dtype, or None to allow any dtype.");
    ASSERT_FAILS(wg_set_grad(x, as_int(g)), WG_ERR_RUNTIME,
                 "attempting to assign a gradient with dtype 'long int' to a tensor with grad_dtype 'Float'.");
    ASSERT_FAILS(wg_set_grad(x, x), WG_ERR_RUNTIME, "can't assign Variable as its own grad");
    assert_ptr_equal(wg_grad_of(x), g); /* a refusal changes nothing */
}

/* ---- L8: detach and data ----------------------------------------------------------------------------------------- */

static void test_L8_detach(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_mul(x, x), *d = wg_detach(y), *e = wg_detach(x);
    assert_false(wg_requires_grad(d) || wg_is_view(d));
    assert_true(wg_is_leaf(d) && wg_same_storage(d, y) && wg_same_storage(e, x));
    wg_add_(e, wg_s(1));
    ASSERT_VALUES(x, 2, 3);
    assert_int_equal(wg_version_of(x), 1);
    assert_int_equal(wg_version_of(e), 1);
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 "one of the variables needed for gradient computation has been modified by an inplace operation: "
                 "[torch.FloatTensor [2]] is at version 1; expected version 0 instead.");
    /* the constant part of a product */
    wg_tensor *u = LEAF(3, 5);
    ASSERT_OK(wg_backward(wg_sum(wg_mul(u, wg_detach(u)))));
    ASSERT_VALUES(wg_grad_of(u), 3, 5);
}

static void test_L8_data_has_its_own_version(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = wg_mul(x, x), *d = wg_data_of(x);
    assert_false(wg_requires_grad(d));
    assert_true(wg_same_storage(d, x));
    wg_add_(d, wg_s(1));
    assert_int_equal(wg_version_of(x), 0);
    assert_int_equal(wg_version_of(d), 1);
    ASSERT_OK(wg_backward(wg_sum(y))); /* autograd does not see the write: the new value enters the gradient */
    ASSERT_VALUES(wg_grad_of(x), 4, 4);
}

static void test_L8_set_data(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = wg_mul(x, x);
    wg_node *accumulator = wg_grad_accumulator(x);
    ASSERT_OK(wg_set_data(x, VEC(3, 3)));
    ASSERT_VALUES(x, 3, 3);
    assert_int_equal(wg_version_of(x), 0);
    assert_true(wg_requires_grad(x) && wg_is_leaf(x));
    assert_ptr_equal(wg_grad_accumulator(x), accumulator);
    ASSERT_OK(wg_backward(wg_sum(y))); /* what was saved is x itself */
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
    ASSERT_OK(wg_set_grad(x, NULL));
    ASSERT_OK(wg_set_data(x, wg_to(VEC(1, 2, 3, 4, 5), WG_FLOAT64)));
    assert_int_equal(wg_numel(x), 5);
    assert_int_equal(wg_dtype_of(x), WG_FLOAT64);
    ASSERT_OK(wg_backward(wg_sum(wg_mul(x, x))));
    ASSERT_VALUES(wg_grad_of(x), 2, 4, 6, 8, 10);
    assert_int_equal(wg_dtype_of(wg_grad_of(x)), WG_FLOAT64);
}

static void test_L8_set_data_refused(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *plain = VEC(1, 1), *i = as_int(VEC(4, 5));
    ASSERT_FAILS(wg_set_data(x, i), WG_ERR_RUNTIME,
                 "data set to a tensor that requires gradients must be floating point or complex dtype");
    ASSERT_VALUES(x, 1, 1);
    ASSERT_OK(wg_set_data(plain, i));
    assert_int_equal(wg_dtype_of(plain), WG_INT64);
    ASSERT_FAILS(wg_set_data(x, NULL), WG_ERR_TYPE, "Variable data has to be a tensor, but got NoneType");
    wg_tensor *y = wg_mul(x, wg_s(2));
    ASSERT_OK(wg_set_data(y, VEC(7, 7))); /* a result keeps its history */
    ASSERT_GRAPH(y, "MulBackward0(leaf, None)");
    ASSERT_VALUES(y, 7, 7);
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
}

/* ---- M1: grad mode ----------------------------------------------------------------------------------------------- */

static void test_M1_modes_nest(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1);
    assert_true(wg_grad_enabled());
    WG_NO_GRAD {
        assert_false(wg_grad_enabled() || wg_requires_grad(wg_exp(x)));
        WG_ENABLE_GRAD {
            assert_true(wg_grad_enabled() && wg_requires_grad(wg_exp(x)));
            WG_NO_GRAD assert_false(wg_grad_enabled());
            assert_true(wg_grad_enabled());
        }
        assert_false(wg_grad_enabled());
        WG_NO_GRAD { break; } /* leaves the inner block only, and restores */
        assert_false(wg_grad_enabled());
    }
    assert_true(wg_grad_enabled());
    assert_true(wg_set_grad_enabled(false)); /* acts at once, and tells what was */
    assert_false(wg_set_grad_enabled(false));
    assert_false(wg_requires_grad(wg_exp(x)));
    assert_false(wg_set_grad_enabled(true));
}

static void *mode_of_a_new_thread(void *mode) {
    *(bool *)mode = wg_grad_enabled();
    wg_set_grad_enabled(false);
    return NULL;
}
static void test_M1_modes_belong_to_threads(void **state) {
    (void)state;
    pthread_t thread;
    bool mode = false;
    WG_NO_GRAD {
        assert_int_equal(pthread_create(&thread, NULL, mode_of_a_new_thread, &mode), 0);
        pthread_join(thread, NULL);
    }
    assert_true(mode);
    assert_true(wg_grad_enabled());
}

static void test_M1_writing_under_no_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_exp(wg_mul(x, wg_s(0)));
    ASSERT_POISON(wg_add_(x, wg_s(1)), WG_ERR_RUNTIME, IN_PLACE_LEAF);
    WG_NO_GRAD {
        assert_ptr_equal(wg_add_(x, wg_s(1)), x);
        wg_mul_(y, wg_s(3));
    }
    ASSERT_VALUES(x, 2, 3);
    assert_true(wg_is_leaf(x) && wg_requires_grad(x));
    assert_int_equal(wg_version_of(x), 1); /* not recorded, but counted */
    ASSERT_GRAPH(y, "ExpBackward0(MulBackward0(leaf, None))");
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 "one of the variables needed for gradient computation has been modified by an inplace operation: "
                 "[torch.FloatTensor [2]], which is output 0 of Exp, is at version 1; expected version 0 instead.");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_L1_leaf_means_no_history),
        CHECK_TEST(test_L2_requires_grad_spreads),
        CHECK_TEST(test_L2_integers_never_require_grad),
        CHECK_TEST(test_L3_edges),
        CHECK_TEST(test_L3_edges_to_several_outputs),
        CHECK_TEST(test_L3_one_accumulator_per_leaf),
        CHECK_TEST(test_L3_a_node_keeps_its_leaf),
        CHECK_TEST(test_L4_switching_on),
        CHECK_TEST(test_L4_factories_under_no_grad),
        CHECK_TEST(test_L4_switching_off),
        CHECK_TEST(test_L5_in_place_makes_a_result),
        CHECK_TEST(test_L6_retain_grad),
        CHECK_TEST(test_L6_not_retained_is_not_stored),
        CHECK_TEST(test_L6_retained_tensor_may_die_first),
        CHECK_TEST(test_L6_retained_outputs_of_one_node),
        CHECK_TEST(test_L7_setting_grad),
        CHECK_TEST(test_L7_refused_grads),
        CHECK_TEST(test_L8_detach),
        CHECK_TEST(test_L8_data_has_its_own_version),
        CHECK_TEST(test_L8_set_data),
        CHECK_TEST(test_L8_set_data_refused),
        CHECK_TEST(test_M1_modes_nest),
        CHECK_TEST(test_M1_modes_belong_to_threads),
        CHECK_TEST(test_M1_writing_under_no_grad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
