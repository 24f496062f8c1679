/* Versions: what counts as a write (S2), who shares the count (L8), and what a saved value that was written since says
 * in backward (S3, S4): text, name of the maker, versions, and the two places.
 */
#include "checks.h"

#define MODIFIED "one of the variables needed for gradient computation has been modified by an inplace operation: "

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static void test_every_write_counts_one(void **state) {
    (void)state;
    wg_tensor *x = VEC(0.5, 0.25, 2), *ones = VEC(1, 1, 1), *mask = wg_gt(ones, wg_s(0)),
              *at = wg_zeros(WG_SHAPE(1), WG_DTYPE(WG_INT64));
    float row[3] = {1, 2, 3};
    uint32_t n = 0;
    assert_int_equal(wg_version_of(x), n);
#define COUNTS(call)                                                                                                   \
    ASSERT_GOOD(call);                                                                                                 \
    assert_int_equal(wg_version_of(x), ++n)
    COUNTS(wg_add_(x, ones));
    COUNTS(wg_add_alpha_(x, ones, 2));
    COUNTS(wg_sub_(x, ones));
    COUNTS(wg_sub_alpha_(x, ones, 2));
    COUNTS(wg_mul_(x, wg_s(1)));
    COUNTS(wg_div_(x, wg_s(1)));
    COUNTS(wg_pow_(x, wg_i(2)));
    COUNTS(wg_zero_(x));
    COUNTS(wg_fill_(x, wg_i(1)));
    COUNTS(wg_copy_(x, ones));
    COUNTS(wg_copy_(x, x));
    COUNTS(wg_clamp_(x, wg_s(0), wg_s(1)));
    COUNTS(wg_relu_(x));
    COUNTS(wg_exp_(x));
    COUNTS(wg_tanh_(x));
    COUNTS(wg_sigmoid_(x));
    COUNTS(wg_neg_(x));
    COUNTS(wg_masked_fill_(x, mask, wg_s(1)));
    COUNTS(wg_index_put_(x, WG_TENSORS(at), wg_s(1), false));
    COUNTS(wg_mul_(wg_slice(x, 0, 0, 0, 1), wg_s(2))); /* an empty part too */
    ASSERT_OK(wg_copy_in(x, WG_FLOAT32, row, sizeof(row)));
    assert_int_equal(wg_version_of(x), ++n);
    ASSERT_OK(wg_increment_version(x));
    assert_int_equal(wg_version_of(x), ++n);
    WG_NO_GRAD { COUNTS(wg_add_(x, ones)); }
    wg_manual_seed(1);
    COUNTS(wg_normal_(x, 0, 1, NULL));
    COUNTS(wg_uniform_(x, 0, 1, NULL));
#undef COUNTS
    wg_add(x, ones);
    wg_clone(x);
    wg_add_(wg_clone(x), ones);
    assert_int_equal(wg_version_of(x), n);
    wg_tensor *nothing = wg_empty(WG_SHAPE(0), NULL);
    wg_add_(nothing, wg_i(1));
    assert_int_equal(wg_version_of(nothing), 1);
}

static void test_who_shares(void **state) {
    (void)state;
    wg_tensor *x = VEC(1, 2, 3), *v = wg_slice(x, 0, 0, 2, 1), *r = wg_view(x, WG_SHAPE(3, 1)), *d = wg_detach(x);
    wg_tensor *data = wg_data_of(x), *dv = wg_slice(data, 0, 0, 1, 1);
    wg_add_(v, wg_i(1));
    wg_add_(r, wg_i(1));
    wg_add_(d, wg_i(1));
    ASSERT_OK(wg_increment_version(v));
    assert_int_equal(wg_version_of(x), 4);
    assert_int_equal(wg_version_of(v), 4);
    assert_int_equal(wg_version_of(r), 4);
    assert_int_equal(wg_version_of(d), 4);
    assert_int_equal(wg_version_of(data), 0);
    wg_add_(dv, wg_i(1));
    assert_int_equal(wg_version_of(data), 1);
    assert_int_equal(wg_version_of(dv), 1);
    assert_int_equal(wg_version_of(x), 4);
    assert_int_equal(wg_version_of(wg_data_of(data)), 0); /* fresh each time */
    ASSERT_VALUES(x, 5, 5, 5);
}

static void test_set_data_keeps_the_count(void **state) {
    (void)state;
    wg_tensor *x = VEC(1, 1, 1), *y = VEC(2, 2, 2);
    wg_add_(y, wg_i(1));
    ASSERT_OK(wg_set_data(x, y));
    assert_int_equal(wg_version_of(x), 0);
    assert_int_equal(wg_version_of(y), 1);
    wg_add_(x, wg_i(1));
    assert_int_equal(wg_version_of(x), 1);
    assert_int_equal(wg_version_of(y), 1);
    ASSERT_VALUES(y, 4, 4, 4);
}

/* ---- saved inputs ------------------------------------------------------------------------------------------------ */

static void test_saved_input(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *c = wg_sum(wg_mul(b, b));
    wg_add_(b, wg_i(1));
    ASSERT_FAILS(wg_backward(c), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [3]], which is output 0 of Add, is at version 1; expected version 0 "
                          "instead. Hint: enable anomaly detection to find the operation that failed to compute its "
                          "gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).");
    assert_null(wg_grad_of(x));
    wg_sub_(b, wg_i(1)); /* the old value again, but nobody can know */
    ASSERT_FAILS(wg_backward(c), WG_ERR_RUNTIME, "");
    wg_tensor *d = wg_sum(wg_mul(x, x));
    WG_NO_GRAD { wg_add_(x, wg_i(1)); }
    ASSERT_FAILS(wg_backward(d), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.FloatTensor [3]] is at version 1; expected version 0 instead."); /* a leaf: no maker */
    wg_tensor *plain = VEC(1, 1, 1), *e = wg_sum(wg_mul(x, plain));
    wg_add_(wg_add_(plain, wg_i(1)), wg_i(1));
    ASSERT_FAILS(wg_backward(e), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [3]] is at version 2; expected version 0 instead.");
    wg_tensor *other = VEC(1, 1, 1), *f = wg_sum(wg_mul(x, other));
    wg_add_(wg_detach(other), wg_i(1));
    ASSERT_FAILS(wg_backward(f), WG_ERR_RUNTIME, MODIFIED "[torch.FloatTensor [3]] is at version 1;");
}

static void test_saved_views_and_bases(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = wg_slice(b, 0, 0, 2, 1), *c = wg_mul(v, v), *d = wg_mul(b, b);
    wg_mul_(v, wg_s(2));
    ASSERT_FAILS(check_sum_backward(c), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [2]], which is output 0 of AsStrided, is at version 1;");
    ASSERT_FAILS(check_sum_backward(d), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.FloatTensor [3]], which is output 0 of torch::autograd::CopySlices, is at version 1;");
    wg_tensor *e = wg_exp(wg_clone(x));
    wg_mul_(wg_slice(e, 0, 0, 2, 1), wg_s(2));
    ASSERT_FAILS(check_sum_backward(e), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [3]], which is output 0 of Exp, is at version 1;");
}

/* ---- saved outputs ----------------------------------------------------------------------------------------------- */

typedef wg_tensor *(*unary)(wg_tensor *);
static wg_tensor *soft(wg_tensor *x) { return wg_softmax(x, -1); }
static wg_tensor *log_soft(wg_tensor *x) { return wg_log_softmax(x, -1); }

static void test_saved_output(void **state) {
    (void)state;
    static const struct {
        unary f;
        const char *name;
    } saves[] = {{wg_exp, "Exp"},   {wg_tanh, "Tanh"},        {wg_sigmoid, "Sigmoid"},
                 {wg_sqrt, "Sqrt"}, {wg_rsqrt, "Rsqrt"},      {wg_relu, "Relu"},
                 {soft, "Softmax"}, {log_soft, "LogSoftmax"}, {wg_reciprocal, "Reciprocal"}};
    for (size_t k = 0; k < sizeof(saves) / sizeof(*saves); k++) {
        char text[400];
        wg_tensor *x = LEAF(1, 2, 3), *y = saves[k].f(x);
        wg_mul_(y, wg_s(2));
        snprintf(text, sizeof(text),
                 MODIFIED "[torch.FloatTensor [3]], which is output 0 of %s, is at version 1; expected "
                          "version 0 instead.",
                 saves[k].name);
        ASSERT_FAILS(check_sum_backward(y), WG_ERR_RUNTIME, text);
    }
}

static void test_indices_are_saved_too(void **state) {
    (void)state;
    wg_tensor *x = wg_ones(WG_SHAPE(2, 3), WG_OPT(.requires_grad = true)), *i = NULL;
    wg_tensor *m = wg_max_dim(x, 1, false, &i);
    wg_zero_(i);
    ASSERT_FAILS(check_sum_backward(m), WG_ERR_RUNTIME,
                 MODIFIED "[torch.LongTensor [2]] is at version 1; expected version 0 instead.");
    wg_tensor *s = wg_sort(x, 1, false, true, &i);
    wg_zero_(i);
    ASSERT_FAILS(check_sum_backward(s), WG_ERR_RUNTIME,
                 MODIFIED "[torch.LongTensor [2, 3]] is at version 1; expected version 0 instead.");
    wg_tensor *at = wg_zeros(WG_SHAPE(2, 1), WG_DTYPE(WG_INT64)), *g = wg_gather(x, 1, at);
    wg_fill_(at, wg_i(1));
    ASSERT_FAILS(check_sum_backward(g), WG_ERR_RUNTIME, MODIFIED "[torch.LongTensor [2, 1]] is at version 1;");
}

/* ---- what does not count as saved -------------------------------------------------------------------------------- */

static void test_values_that_nobody_saved(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *y = VEC(1, 1, 1), *c = wg_add(x, y);
    wg_add_(y, wg_i(1));
    wg_mul_(c, wg_s(3));
    ASSERT_OK(check_sum_backward(c));
    ASSERT_VALUES(wg_grad_of(x), 3, 3, 3);
    /* the operand whose partner requires no gradient is not saved */
    wg_tensor *z = LEAF(1, 1, 1), *b = wg_clone(z), *k = VEC(2, 2, 2), *d = wg_mul(b, k);
    wg_zero_(b);
    ASSERT_OK(check_sum_backward(d));
    ASSERT_VALUES(wg_grad_of(z), 2, 2, 2);
    wg_tensor *w = LEAF(1, 2, 3), *m = wg_max_dim(wg_clone(w), 0, true, &(wg_tensor *){NULL});
    wg_zero_(m); /* values are not saved, indices are */
    ASSERT_OK(check_sum_backward(m));
    ASSERT_VALUES(wg_grad_of(w), 0, 0, 0);
}

static void test_data_is_not_watched(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *c = wg_mul(x, x);
    wg_add_(wg_data_of(x), wg_i(1));
    ASSERT_OK(check_sum_backward(c));
    ASSERT_VALUES(wg_grad_of(x), 4, 4, 4); /* wrong, as the rule says */
    float *p = wg_data(x);
    wg_tensor *d = wg_mul(x, x);
    p[0] = 5;
    ASSERT_OK(wg_increment_version(x)); /* who writes by hand says so */
    ASSERT_FAILS(check_sum_backward(d), WG_ERR_RUNTIME, MODIFIED);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void test_dtype_names(void **state) {
    (void)state;
    static const struct {
        wg_dtype d;
        const char *text;
    } types[] = {{WG_FLOAT64, "[torch.DoubleTensor [2]]"},
                 {WG_FLOAT32, "[torch.FloatTensor [2]]"},
                 {WG_FLOAT16, "[torch.HalfTensor [2]]"},
                 {WG_BFLOAT16, "[CPUBFloat16Type [2]]"}};
    for (size_t k = 0; k < sizeof(types) / sizeof(*types); k++) {
        char text[300];
        wg_tensor *x = wg_ones(WG_SHAPE(2), WG_OPT(.dtype = types[k].d, .has_dtype = true, .requires_grad = true));
        wg_tensor *c = wg_mul(x, x);
        WG_NO_GRAD { wg_add_(x, wg_i(1)); }
        snprintf(text, sizeof(text), MODIFIED "%s is at version 1; expected version 0 instead.", types[k].text);
        ASSERT_FAILS(check_sum_backward(c), WG_ERR_RUNTIME, text);
    }
    wg_tensor *s = check_number(2, true), *c = wg_mul(s, s);
    WG_NO_GRAD { wg_add_(s, wg_i(1)); }
    ASSERT_FAILS(wg_backward(c), WG_ERR_RUNTIME, MODIFIED "[torch.FloatTensor []] is at version 1;");
}

static void test_op_names(void **state) {
    (void)state;
    wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
    wg_tensor *s = wg_sum(x, .dims = WG_DIMS(0)), *c = wg_mul(s, s);
    wg_tensor *shared = wg_detach(s);
    wg_add_(shared, wg_i(1)); /* the maker stays: nobody wrote s through its own handle */
    ASSERT_FAILS(check_sum_backward(c), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [2]], which is output 0 of Sum1, is at version 1;");
    wg_tensor *p = wg_pow(x, wg_i(2)), *d = wg_mul(p, p);
    wg_add_(wg_detach(p), wg_i(1));
    ASSERT_FAILS(check_sum_backward(d), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [2, 2]], which is output 0 of Pow, is at version 1;");
    wg_tensor *parts[2];
    int n = 0;
    ASSERT_OK(wg_unbind(x, 0, parts, 2, &n));
    wg_tensor *e = wg_mul(parts[1], parts[1]);
    WG_NO_GRAD { wg_add_(parts[0], wg_i(1)); }
    ASSERT_FAILS(check_sum_backward(e), WG_ERR_RUNTIME, /* its maker cannot be named: the view is invalid now */
                 "Output 1 of Unbind is a view and its base or another view of its base has been modified inplace.");
}

/* ---- an error does not harm the graph ---------------------------------------------------------------------------- */

static void test_other_paths_still_run(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *b = wg_clone(x), *good = wg_sum(wg_mul(x, wg_s(3))), *bad = wg_sum(wg_mul(b, b));
    wg_add_(b, wg_i(1));
    ASSERT_FAILS(wg_backward(bad), WG_ERR_RUNTIME, MODIFIED);
    ASSERT_OK(wg_backward(good));
    ASSERT_VALUES(wg_grad_of(x), 3, 3);
}

static void test_reading_a_saved_value(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *b = wg_clone(x), *c = wg_mul(b, b);
    wg_node *n = wg_node_keep(wg_grad_fn(c));
    assert_ptr_equal(wg_node_saved(n, 0), b);
    assert_null(wg_node_saved(n, -1));
    wg_tensor *y = wg_exp(x);
    wg_tensor *saved = wg_node_saved(wg_grad_fn(y), -1);
    assert_ptr_not_equal(saved, y);
    assert_ptr_equal(wg_grad_fn(saved), wg_grad_fn(y));
    assert_true(wg_same_storage(saved, y));
    wg_add_(b, wg_i(1));
    ASSERT_POISON(wg_node_saved(n, 0), WG_ERR_RUNTIME, MODIFIED);
    wg_node_release(n);
    wg_tensor *z = wg_mul(x, x);
    wg_node *m = wg_grad_fn(z);
    ASSERT_OK(check_sum_backward(z));
    ASSERT_POISON(wg_node_saved(m, 0), WG_ERR_RUNTIME, "Trying to backward through the graph a second time");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_every_write_counts_one),
        CHECK_TEST(test_who_shares),
        CHECK_TEST(test_set_data_keeps_the_count),
        CHECK_TEST(test_saved_input),
        CHECK_TEST(test_saved_views_and_bases),
        CHECK_TEST(test_saved_output),
        CHECK_TEST(test_indices_are_saved_too),
        CHECK_TEST(test_values_that_nobody_saved),
        CHECK_TEST(test_data_is_not_watched),
        CHECK_TEST(test_dtype_names),
        CHECK_TEST(test_op_names),
        CHECK_TEST(test_other_paths_still_run),
        CHECK_TEST(test_reading_a_saved_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
