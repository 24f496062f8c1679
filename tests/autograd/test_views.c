/* Views and in-place writes through them: which views may be written (V1), how the history of base, view and siblings
 * is rewritten (V3), what CopySlices gives back (V4), what a view is a view of (V5).
 */
#include "checks.h"

static wg_tensor *from(wg_tensor *t, int64_t start) { return wg_slice(t, 0, start, INT64_MAX, 1); }
static wg_tensor *until(wg_tensor *t, int64_t end) { return wg_slice(t, 0, 0, end, 1); }
static wg_tensor *ones22(bool requires_grad) { return wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = requires_grad)); }

/* ---- what is a view ---------------------------------------------------------------------------------------------- */

static void test_base_is_the_root(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2, 3, 4), *b = wg_clone(x), *v = until(b, 2), *w = wg_select(v, 0, 1);
    assert_false(wg_is_view(b));
    assert_null(wg_base(b));
    assert_true(wg_is_view(v) && wg_is_view(w));
    assert_ptr_equal(wg_base(v), b);
    assert_ptr_equal(wg_base(w), b);
    assert_true(wg_same_storage(w, b));
    wg_tensor *d = wg_detach(b), *p = until(d, 2);
    assert_false(wg_is_view(d));
    assert_ptr_equal(wg_base(p), d); /* a detached tensor has views of its own */
}

/* ---- CopySlices and AsStrided ------------------------------------------------------------------------------------ */

static void test_write_through_a_slice(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1, 1), *b = wg_clone(x), *v = until(b, 2);
    assert_ptr_equal(wg_mul_(v, wg_s(2)), v);
    ASSERT_VALUES(b, 2, 2, 1, 1);
    ASSERT_GRAPH(b, COPY_SLICES "(CloneBackward0(leaf), None)");
    ASSERT_GRAPH(v, "AsStridedBackward0(" COPY_SLICES "(CloneBackward0(leaf), None))");
    assert_ptr_equal(wg_grad_fn(v), wg_grad_fn(v)); /* made once */
    assert_int_equal(wg_version_of(b), 1);
    assert_int_equal(wg_version_of(v), 1);
    ASSERT_OK(check_sum_backward(b));
    ASSERT_VALUES(wg_grad_of(x), 2, 2, 1, 1);
}

static void test_sibling_sees_the_write(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1, 1), *b = wg_clone(x), *v = until(b, 2), *w = wg_slice(b, 0, 1, 3, 1);
    ASSERT_GRAPH(w, "SliceBackward0(CloneBackward0(leaf))");
    wg_mul_(v, wg_s(2));
    ASSERT_GRAPH(w, "AsStridedBackward0(" COPY_SLICES "(CloneBackward0(leaf), None))");
    ASSERT_OK(check_sum_backward(wg_mul(w, VEC(3, 5))));
    ASSERT_VALUES(wg_grad_of(x), 0, 6, 5, 0);
}

static void test_view_of_a_view(void **state) {
    (void)state;
    wg_tensor *x = wg_ones(WG_SHAPE(2, 3), WG_OPT(.requires_grad = true)), *b = wg_clone(x), *v = from(wg_t(b), 1);
    wg_mul_(v, wg_s(3));
    wg_add_(wg_select(v, 0, 0), wg_i(1));
    ASSERT_GRAPH(b, COPY_SLICES "(" COPY_SLICES "(CloneBackward0(leaf), None), None)");
    ASSERT_GRAPH(v, "AsStridedBackward0(" COPY_SLICES "(" COPY_SLICES "(CloneBackward0(leaf), None), None))");
    assert_int_equal(wg_version_of(b), 2);
    ASSERT_OK(check_sum_backward(wg_mul(v, v)));
    ASSERT_VALUES(wg_grad_of(x), 0, 24, 18, 0, 24, 18);
}

static void test_base_written_between(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = from(b, 1);
    wg_mul_(v, wg_s(2));
    wg_mul_(b, wg_s(3));
    ASSERT_GRAPH(v, "AsStridedBackward0(MulBackward0(" COPY_SLICES "(CloneBackward0(leaf), None), None))");
    wg_add_(v, wg_i(1));
    ASSERT_GRAPH(b, COPY_SLICES "(MulBackward0(" COPY_SLICES "(CloneBackward0(leaf), None), None), None)");
    ASSERT_OK(check_sum_backward(wg_mul(b, VEC(1, 10, 100))));
    ASSERT_VALUES(wg_grad_of(x), 3, 60, 600);
}

static void test_base_begins_to_require_grad(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_zeros(WG_SHAPE(4), NULL), *v = from(b, 1), *w = until(b, 2);
    assert_false(wg_requires_grad(w));
    wg_copy_(v, x);
    assert_true(wg_requires_grad(b) && wg_requires_grad(v) && wg_requires_grad(w));
    assert_false(wg_is_leaf(b) || wg_is_leaf(v) || wg_is_leaf(w));
    ASSERT_GRAPH(b, COPY_SLICES "(None, leaf)");
    ASSERT_GRAPH(w, "AsStridedBackward0(" COPY_SLICES "(None, leaf))");
    ASSERT_OK(check_sum_backward(w));
    ASSERT_VALUES(wg_grad_of(x), 1, 0, 0);
    wg_tensor *c = wg_zeros(WG_SHAPE(3), NULL), *whole = wg_alias(c);
    wg_copy_(c, x); /* the base itself is written, the view follows */
    ASSERT_GRAPH(whole, "AsStridedBackward0(torch::autograd::CopyBackwards(None, leaf))");
}

static void test_written_values_cut_the_gradient(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2, 3), *b = wg_clone(x);
    wg_zero_(from(b, 1));
    ASSERT_OK(check_sum_backward(b));
    ASSERT_VALUES(wg_grad_of(x), 1, 0, 0);
    wg_tensor *y = LEAF(1, 2, 3), *c = wg_clone(y);
    wg_fill_(from(c, 1), wg_select(y, 0, 0));
    ASSERT_GRAPH(c, COPY_SLICES "(CloneBackward0(leaf), SelectBackward0(leaf))");
    ASSERT_OK(check_sum_backward(c));
    ASSERT_VALUES(wg_grad_of(y), 3, 0, 0);
}

static void test_views_of_every_kind_write_through(void **state) {
    (void)state;
    enum { KINDS = 11 };
    for (int k = 0; k < KINDS; k++) {
        wg_tensor *x =
            wg_from_data((double[]){1, 2, 3, 4, 5, 6}, WG_FLOAT64, WG_SHAPE(2, 3), WG_OPT(.requires_grad = true));
        wg_tensor *b = wg_clone(x), *mask = wg_zeros(WG_SHAPE(2, 3), WG_DTYPE(WG_FLOAT64));
        wg_tensor *pair[2] = {b, mask}, *v[2];
        for (int i = 0; i < 2; i++) {
            wg_tensor *t = pair[i];
            v[i] = k == 0   ? wg_t(t)
                   : k == 1 ? wg_view(t, WG_SHAPE(6))
                   : k == 2 ? wg_transpose(t, 0, 1)
                   : k == 3 ? wg_permute(t, WG_SHAPE(1, 0))
                   : k == 4 ? wg_unsqueeze(t, 1)
                   : k == 5 ? wg_squeeze(wg_unsqueeze(t, 0))
                   : k == 6 ? wg_select(t, 1, 2)
                   : k == 7 ? wg_slice(t, 1, 0, 3, 2)
                   : k == 8 ? wg_narrow(t, 1, 1, 2)
                   : k == 9 ? wg_as_strided(t, WG_SHAPE(2, 2), (int64_t[]){1, 3}, 1)
                            : wg_flatten(wg_mT(wg_slice(t, 1, 1, 2, 1)), 0, 1);
        }
        wg_fill_(v[1], wg_s(1)); /* where the view lies in the base */
        wg_mul_(v[0], wg_s(10));
        ASSERT_GRAPH(b, COPY_SLICES "(CloneBackward0(leaf), None)");
        ASSERT_OK(check_sum_backward(b));
        wg_tensor *want = wg_add(wg_mul(mask, wg_s(9)), wg_s(1));
        bool same = false;
        ASSERT_OK(wg_equal(wg_grad_of(x), want, &same));
        if (!same) fail_msg("view %d", k);
    }
}

static void test_empty_and_temporary(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x);
    wg_mul_(until(b, 0), wg_s(2));
    ASSERT_GRAPH(b, COPY_SLICES "(CloneBackward0(leaf), None)");
    ASSERT_OK(check_sum_backward(b));
    ASSERT_VALUES(wg_grad_of(x), 1, 1, 1);
    wg_tensor *a = wg_ones(WG_SHAPE(2, 3), WG_OPT(.requires_grad = true)), *v = NULL;
    WG_SCOPE { v = wg_keep(wg_t(wg_clone(a))); } /* nobody but the view holds the base */
    wg_mul_(wg_select(v, 0, 0), wg_s(4));
    ASSERT_OK(check_sum_backward(v));
    ASSERT_VALUES(wg_grad_of(a), 4, 1, 1, 4, 1, 1);
    wg_release(v);
}

/* Each write saves what it needs itself or reads a copy, so that no later write touches a saved value. */
static wg_tensor *squares_and_slices(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *b = wg_mul(in[0], in[0]), *v = wg_slice(b, 0, 1, 2, 1);
    wg_mul_(v, in[1]);
    wg_pow_(wg_select(wg_t(b), 0, 0), wg_s(3));
    wg_add_(v, wg_mul(in[1], wg_clone(wg_select(b, 0, 0))));
    wg_tanh_(wg_select(b, 1, 1));
    return wg_mul(wg_alias(v), wg_sum(b));
}
static void test_gradients_by_differences(void **state) {
    (void)state;
    double p[4] = {0.3, -0.7, 1.1, 0.9}, q[4] = {1.5, 0.2, -0.4, 0.6};
    wg_tensor *a = wg_from_data(p, WG_FLOAT64, WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
    wg_tensor *b = wg_from_data(q, WG_FLOAT64, WG_SHAPE(1, 2), WG_OPT(.requires_grad = true));
    wg_check_opts forward = {.size = sizeof(forward), .check_forward = true};
    ASSERT_OK(wg_gradcheck(squares_and_slices, NULL, WG_TENSORS(a, b), &forward));
    ASSERT_OK(wg_gradgradcheck(squares_and_slices, NULL, WG_TENSORS(a, b), &forward));
}

/* ---- hooks and retain_grad across a write ------------------------------------------------------------------------ */

static wg_tensor *count_call(void *user, wg_tensor *g) {
    (void)g;
    ++*(int *)user;
    return NULL;
}
static void test_hooks_stay_with_the_old_history(void **state) {
    (void)state;
    int of_view = 0, of_base = 0, of_new_view = 0;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = until(b, 2);
    assert_true(wg_register_hook(v, count_call, &of_view, NULL));
    assert_true(wg_register_hook(b, count_call, &of_base, NULL));
    wg_mul_(v, wg_s(2));
    assert_true(wg_register_hook(v, count_call, &of_new_view, NULL));
    ASSERT_OK(wg_backward(wg_add(wg_sum(b), wg_sum(v))));
    assert_int_equal(of_view, 0); /* the slice made before the write is not on the path any more */
    assert_int_equal(of_base, 1);
    assert_int_equal(of_new_view, 1);
}

static void test_retain_grad_follows(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x);
    ASSERT_OK(wg_retain_grad(b));
    wg_mul_(b, wg_s(2));
    wg_mul_(from(b, 1), wg_s(3));
    ASSERT_OK(check_sum_backward(b));
    ASSERT_VALUES(wg_grad_of(b), 1, 1, 1);
    ASSERT_VALUES(wg_grad_of(x), 2, 6, 6);
    wg_tensor *y = LEAF(1, 1, 1), *c = wg_clone(y), *v = until(c, 2);
    ASSERT_OK(wg_retain_grad(v));
    wg_mul_(v, wg_s(2));
    ASSERT_OK(check_sum_backward(v));
    ASSERT_VALUES(wg_grad_of(v), 1, 1);
    ASSERT_VALUES(wg_grad_of(y), 2, 2, 0);
    wg_tensor *z = LEAF(1, 1, 1), *d = wg_clone(z), *w = until(d, 2);
    wg_mul_(w, wg_s(2));
    ASSERT_OK(wg_retain_grad(w));
    ASSERT_OK(wg_retain_grad(d));
    ASSERT_OK(wg_backward(wg_add(wg_mul(wg_sum(w), wg_s(3)), wg_sum(d))));
    ASSERT_VALUES(wg_grad_of(w), 3, 3);
    ASSERT_VALUES(wg_grad_of(d), 4, 4, 1);
    ASSERT_VALUES(wg_grad_of(z), 8, 8, 1);
}

/* ---- views that may not be written ------------------------------------------------------------------------------- */

#define MULTI_TAIL                                                                                                     \
    "This view is the output of a function that returns multiple views. Such functions do not allow the output views " \
    "to be modified inplace. You should replace the inplace operation by an out-of-place one."
#define NO_GRAD_TAIL "with grad mode enabled. Given that this use case is ambiguous and error-prone, it is forbidden. "

static const char *const multi_names[] = {"Unbind", "Split", "Split", "SplitWithSizes"};
static wg_tensor *second_part(int kind, wg_tensor *t) {
    wg_tensor *out[2];
    int n = 0;
    wg_status s = kind == 0   ? wg_unbind(t, 0, out, 2, &n)
                  : kind == 1 ? wg_split(t, 1, 0, out, 2, &n)
                  : kind == 2 ? wg_chunk(t, 2, 0, out, 2, &n)
                              : wg_split_sizes(t, WG_DIMS(1, 1), 0, out, 2, &n);
    assert_int_equal(s, WG_OK);
    assert_int_equal(n, 2);
    return out[1];
}

static void test_multi_views_are_not_written(void **state) {
    (void)state;
    char text[400];
    for (int k = 0; k < 4; k++) {
        wg_tensor *x = ones22(true), *b = wg_clone(x), *v = second_part(k, b);
        snprintf(text, sizeof(text), "Output 1 of %s is a view and is being modified inplace. " MULTI_TAIL,
                 multi_names[k]);
        ASSERT_POISON(wg_mul_(v, wg_s(2)), WG_ERR_RUNTIME, text);
        ASSERT_VALUES(b, 1, 1, 1, 1);
        assert_int_equal(wg_version_of(b), 0);
        ASSERT_POISON(wg_mul_(second_part(k, x), wg_s(2)), WG_ERR_RUNTIME, text); /* not the text of leaves */
        ASSERT_POISON(wg_mul_(wg_select(v, 0, 0), wg_s(2)), WG_ERR_RUNTIME,
                      "Output 0 of Select is a view and is being modified inplace. " MULTI_TAIL);
        wg_mul_(b, wg_s(2));
        snprintf(
            text, sizeof(text),
            "Output 1 of %s is a view and its base or another view of its base has been modified inplace. " MULTI_TAIL,
            multi_names[k]);
        assert_null(wg_grad_fn(v));
        ASSERT_ERROR(WG_ERR_RUNTIME, text);
        ASSERT_POISON(wg_add(v, v), WG_ERR_RUNTIME, text); /* nor used in a new op */
    }
}

static void test_multi_views_without_grad(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        wg_tensor *plain = ones22(false);
        ASSERT_GOOD(wg_mul_(second_part(k, plain), wg_s(2)));
        ASSERT_VALUES(plain, 1, 1, 2, 2);
        wg_tensor *x = ones22(true), *b = wg_clone(x), *v = second_part(k, b);
        WG_NO_GRAD { ASSERT_GOOD(wg_mul_(v, wg_s(2))); }
        ASSERT_VALUES(b, 1, 1, 2, 2);
        ASSERT_GRAPH(b, "CloneBackward0(leaf)");
        wg_tensor *operand = ones22(true);
        assert_true(wg_is_poison(wg_mul_(second_part(k, plain), wg_select(operand, 0, 0))));
        assert_non_null(strstr(wg_last_message(), MULTI_TAIL));
        wg_clear_error();
    }
}

static void test_no_grad_views(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = NULL, *w = NULL;
    WG_NO_GRAD {
        v = until(b, 2);
        w = until(x, 2);
    }
    ASSERT_POISON(wg_mul_(v, wg_s(2)), WG_ERR_RUNTIME,
                  "A view was created in no_grad mode and is being modified inplace " NO_GRAD_TAIL);
    ASSERT_POISON(wg_mul_(w, wg_s(2)), WG_ERR_RUNTIME,
                  "A view was created in no_grad mode and is being modified inplace " NO_GRAD_TAIL);
    ASSERT_VALUES(b, 1, 1, 1);
    WG_NO_GRAD { ASSERT_GOOD(wg_mul_(v, wg_s(2))); }
    ASSERT_VALUES(b, 2, 2, 1);
    wg_mul_(b, wg_s(2));
    assert_null(wg_grad_fn(v));
    ASSERT_ERROR(WG_ERR_RUNTIME, "A view was created in no_grad mode and its base or another view of its base has been "
                                 "modified inplace " NO_GRAD_TAIL);
    char *text = wg_repr_new(v);
    assert_non_null(strstr(text, "grad_fn=<Invalid>"));
    wg_free_string(text);
    wg_tensor *plain = VEC(1, 1, 1), *u = NULL;
    WG_NO_GRAD { u = until(plain, 2); }
    ASSERT_GOOD(wg_mul_(u, wg_s(2)));
    ASSERT_VALUES(plain, 2, 2, 1);
    ASSERT_POISON(wg_mul_(u, LEAF(1, 1)), WG_ERR_RUNTIME,
                  "A view was created in no_grad mode and is being modified inplace " NO_GRAD_TAIL);
}

static void test_write_in_no_grad_is_only_a_version(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = until(b, 2);
    WG_NO_GRAD { wg_mul_(v, wg_s(2)); }
    assert_int_equal(wg_version_of(b), 1);
    ASSERT_GRAPH(b, "CloneBackward0(leaf)");
    ASSERT_GRAPH(v, "AsStridedBackward0(CloneBackward0(leaf))"); /* made anew, as the version moved */
    ASSERT_OK(check_sum_backward(v));
    ASSERT_VALUES(wg_grad_of(x), 1, 1, 0);
    wg_tensor *c = wg_clone(x), *w = until(c, 2), *seen = NULL;
    WG_NO_GRAD {
        wg_mul_(c, wg_s(2));
        assert_string_equal(wg_node_name(wg_grad_fn(w)), "AsStridedBackward0"); /* also under no_grad */
        seen = w;
    }
    ASSERT_GRAPH(seen, "AsStridedBackward0(CloneBackward0(leaf))");
}

static void test_views_of_leaves(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *v = until(x, 2);
    ASSERT_POISON(wg_mul_(v, wg_s(2)), WG_ERR_RUNTIME,
                  "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    ASSERT_POISON(wg_fill_(wg_select(x, 0, 0), wg_s(1)), WG_ERR_RUNTIME,
                  "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    ASSERT_POISON(wg_mul_(wg_expand(wg_unsqueeze(x, 0), 2, (int64_t[]){2, 3}), wg_s(2)), WG_ERR_RUNTIME,
                  "a view of a leaf");
    assert_int_equal(wg_version_of(x), 0);
    WG_NO_GRAD { ASSERT_GOOD(wg_mul_(v, wg_s(2))); }
    ASSERT_VALUES(x, 2, 2, 1);
    assert_true(wg_is_leaf(x));
    ASSERT_POISON(wg_mul_(wg_expand(wg_unsqueeze(wg_clone(x), 0), 2, (int64_t[]){2, 3}), wg_s(2)), WG_ERR_RUNTIME,
                  "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                  "location. Please clone() the tensor before performing the operation.");
    wg_tensor *b = wg_clone(x);
    ASSERT_POISON(wg_set_requires_grad(until(b, 2), false), WG_ERR_RUNTIME,
                  "you can only change requires_grad flags of leaf variables.");
}

static void test_detached_views(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *b = wg_clone(x), *v = until(wg_detach(b), 2), *w = until(wg_data_of(b), 2);
    assert_false(wg_requires_grad(v) || wg_requires_grad(w));
    wg_mul_(v, wg_s(5));
    assert_int_equal(wg_version_of(b), 1);
    wg_mul_(w, wg_s(2));
    assert_int_equal(wg_version_of(b), 1);
    ASSERT_VALUES(b, 10, 10, 1);
    ASSERT_GRAPH(b, "CloneBackward0(leaf)");
    ASSERT_OK(check_sum_backward(b));
    ASSERT_VALUES(wg_grad_of(x), 1, 1, 1);
}

/* Results that end with a reshaped temporary belong to nobody else: not views, not even those made under no_grad. */
static void test_results_are_no_views(void **state) {
    (void)state;
    wg_tensor *r[6], *leaf = LEAF(2), *m = wg_ones(WG_SHAPE(2, 3), NULL), *many = wg_ones(WG_SHAPE(2, 3, 1), NULL);
    WG_NO_GRAD {
        r[0] = wg_matmul(VEC(1, 2), m);
        r[1] = wg_matmul(m, many);
        r[2] = wg_matmul(wg_permute(many, 3, (const int64_t[]){0, 2, 1}), VEC(1, 2, 3));
        r[3] = wg_matmul(many, wg_ones(WG_SHAPE(2, 1, 3), NULL));
        r[4] = wg_reshape(wg_t(m), WG_SHAPE(6));
        r[5] = wg_linear(wg_ones(WG_SHAPE(2, 2, 3), NULL), m, VEC(1, 1));
    }
    for (int i = 0; i < 6; i++) {
        ASSERT_GOOD(r[i]);
        assert_false(wg_is_view(r[i]));
        ASSERT_GOOD(wg_mul_(r[i], leaf));
        ASSERT_GRAPH(r[i], "MulBackward0(None, leaf)");
    }
    ASSERT_OK(check_sum_backward(r[0]));
    ASSERT_VALUES(wg_grad_of(leaf), 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_base_is_the_root),
        CHECK_TEST(test_write_through_a_slice),
        CHECK_TEST(test_sibling_sees_the_write),
        CHECK_TEST(test_view_of_a_view),
        CHECK_TEST(test_base_written_between),
        CHECK_TEST(test_base_begins_to_require_grad),
        CHECK_TEST(test_written_values_cut_the_gradient),
        CHECK_TEST(test_views_of_every_kind_write_through),
        CHECK_TEST(test_empty_and_temporary),
        CHECK_TEST(test_gradients_by_differences),
        CHECK_TEST(test_hooks_stay_with_the_old_history),
        CHECK_TEST(test_retain_grad_follows),
        CHECK_TEST(test_multi_views_are_not_written),
        CHECK_TEST(test_multi_views_without_grad),
        CHECK_TEST(test_no_grad_views),
        CHECK_TEST(test_write_in_no_grad_is_only_a_version),
        CHECK_TEST(test_views_of_leaves),
        CHECK_TEST(test_detached_views),
        CHECK_TEST(test_results_are_no_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
