/* Forward mode: duals (D1), tangents through ops, views and in-place writes (D2), custom functions (D3), levels that
 * nest without confusion (N2), and forward and reverse mode through each other.
 */
#include "checks.h"

static int level; /* opened by the test */
static wg_tensor *dual(wg_tensor *p, wg_tensor *t) { return wg_make_dual(p, t, level); }
static wg_tensor *from(wg_tensor *t, int64_t start) { return wg_slice(t, 0, start, INT64_MAX, 1); }
static wg_tensor *until(wg_tensor *t, int64_t end) { return wg_slice(t, 0, 0, end, 1); }
#define ASSERT_TANGENT(t, ...) ASSERT_VALUES(wg_tangent_of((t), level), __VA_ARGS__)

static int enter(void **state) {
    check_open(state);
    level = wg_dual_level_enter();
    return level ? 0 : 1;
}
static int leave(void **state) {
    if (level) wg_dual_level_exit(level);
    level = 0;
    return check_close(state);
}
#define DUAL_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

/* ---- duals ------------------------------------------------------------------------------------------------------- */

static void test_a_dual_is_a_view(void **state) {
    (void)state;
    wg_tensor *x = VEC(1, 2, 3), *t = VEC(4, 5, 6), *d = dual(x, t);
    assert_ptr_not_equal(d, x);
    assert_true(wg_same_storage(d, x));
    assert_ptr_equal(wg_base(d), x);
    assert_ptr_equal(wg_tangent_of(d, level), t); /* kept as it is when the layouts match */
    assert_null(wg_tangent_of(x, level));
    wg_tensor *p = wg_primal_of(d, level);
    assert_null(wg_tangent_of(p, level));
    assert_true(wg_same_storage(p, x));
    wg_add_(d, wg_i(1));
    ASSERT_VALUES(x, 2, 3, 4);
    assert_int_equal(wg_version_of(x), 1);
    assert_null(wg_tangent_of(x, level));
    ASSERT_TANGENT(d, 4, 5, 6);
}

static void test_tangent_lies_as_its_primal(void **state) {
    (void)state;
    wg_tensor *x = wg_view(VEC(0, 1, 2, 3, 4, 5), WG_SHAPE(2, 3)),
              *t = wg_t(wg_view(VEC(0, 1, 2, 3, 4, 5), WG_SHAPE(3, 2)));
    wg_tensor *own = wg_tangent_of(dual(x, t), level);
    assert_ptr_not_equal(own, t);
    assert_int_equal(wg_stride(own, 0), 3);
    ASSERT_VALUES(own, 0, 2, 4, 1, 3, 5);
}

static void test_refusals(void **state) {
    (void)state;
    wg_tensor *whole = wg_to(VEC(1), WG_INT64);
    ASSERT_POISON(
        dual(VEC(1, 2), VEC(1, 2, 3)), WG_ERR_RUNTIME,
        "Trying to set a forward gradient that has a different size than that of the original Tensor, this is "
        "not supported. Tensor is of size [2] while the given forward gradient is of size [3].");
    ASSERT_POISON(dual(whole, VEC(1)), WG_ERR_VALUE,
                  "Expected primal to be floating point or complex, but got: torch.int64");
    ASSERT_POISON(dual(VEC(1), whole), WG_ERR_VALUE,
                  "Expected tangent to be floating point or complex, but got: torch.int64");
    char text[200];
    snprintf(text, sizeof(text),
             "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level %d is not "
             "supported.",
             level);
    ASSERT_POISON(dual(dual(VEC(1), VEC(1)), VEC(1)), WG_ERR_RUNTIME, text);
    ASSERT_POISON(
        wg_make_dual(VEC(1), VEC(1), level + 1), WG_ERR_RUNTIME,
        "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.");
    assert_true(wg_is_poison(dual(NULL, VEC(1))));
    wg_clear_error();
    assert_true(wg_is_poison(dual(wg_neg(NULL), VEC(1))));
    wg_clear_error();
    wg_dual_level_exit(level + 1);
    ASSERT_ERROR(WG_ERR_RUNTIME, "Dual level must be a positive number.");
    wg_dual_level_exit(0);
    ASSERT_ERROR(WG_ERR_RUNTIME, "Dual level must be a positive number.");
}

static void test_no_level(void **state) {
    (void)state;
    ASSERT_POISON(wg_make_dual(VEC(1), VEC(1), 1), WG_ERR_RUNTIME,
                  "Trying to create a dual Tensor for forward AD but no level exists");
    assert_null(wg_tangent_of(VEC(1), 1));
}

static void test_tangents_end_with_their_level(void **state) {
    (void)state;
    wg_tensor *d = dual(VEC(1, 2), VEC(3, 4)), *e = wg_mul(d, wg_s(2));
    ASSERT_TANGENT(e, 6, 8);
    int old = level;
    wg_dual_level_exit(level);
    assert_null(wg_tangent_of(d, old));
    assert_null(wg_tangent_of(e, old));
    level = wg_dual_level_enter();
    assert_null(wg_tangent_of(d, level)); /* nor does a new level of the same number bring it back */
    assert_null(wg_tangent_of(wg_mul(e, e), level));
}

static void test_what_cuts_a_tangent(void **state) {
    (void)state;
    wg_tensor *d = dual(VEC(1, 2, 3), VEC(4, 5, 6)), *i = NULL;
    assert_null(wg_tangent_of(wg_detach(d), level));
    assert_null(wg_tangent_of(wg_data_of(d), level));
    assert_null(wg_tangent_of(wg_gt(d, wg_s(1)), level));
    assert_null(wg_tangent_of(wg_argmax_all(d), level));
    assert_null(wg_tangent_of(wg_to(d, WG_INT64), level));
    ASSERT_VALUES(wg_tangent_of(wg_max_dim(d, 0, false, &i), level), 6);
    assert_null(wg_tangent_of(i, level));
    wg_tensor *wide = wg_tangent_of(wg_to(d, WG_FLOAT64), level);
    assert_int_equal(wg_dtype_of(wide), WG_FLOAT64);
    WG_NO_GRAD { ASSERT_TANGENT(wg_mul(d, wg_s(2)), 8, 10, 12); } /* no_grad does not */
    wg_tensor *e = wg_clone(d), *plain = wg_detach(e);
    wg_add_(plain, wg_i(1));
    ASSERT_TANGENT(e, 4, 5, 6);
    assert_true(wg_is_poison(wg_floor_divide(d, wg_i(2)))); /* no formula: an error, not a zero */
    wg_clear_error();
}

static void test_printing(void **state) {
    (void)state;
    char *text = wg_repr_new(dual(VEC(1, 2), VEC(3, 4)));
    assert_string_equal(text, "tensor([1., 2.], tangent=tensor([3., 4.]))");
    wg_free_string(text);
}

/* ---- views and writes -------------------------------------------------------------------------------------------- */

static void test_views_of_duals(void **state) {
    (void)state;
    wg_tensor *d = dual(VEC(1, 2, 3, 4), VEC(4, 5, 6, 7)), *out[4];
    int n = 0;
    ASSERT_TANGENT(from(d, 1), 5, 6, 7);
    ASSERT_TANGENT(wg_t(wg_view(d, WG_SHAPE(2, 2))), 4, 6, 5, 7);
    assert_true(wg_is_view(wg_tangent_of(from(d, 1), level))); /* a view of a tangent is a view */
    ASSERT_OK(wg_chunk(d, 2, 0, out, 4, &n));
    ASSERT_TANGENT(out[1], 6, 7);
    ASSERT_OK(wg_unbind(d, 0, out, 4, &n));
    ASSERT_TANGENT(out[3], 7);
    ASSERT_TANGENT(wg_expand(wg_unsqueeze(d, 0), WG_SHAPE(2, 4)), 4, 5, 6, 7, 4, 5, 6, 7);
}

static void test_write_through_a_view(void **state) {
    (void)state;
    wg_tensor *b = wg_clone(dual(VEC(1, 2, 3), VEC(4, 5, 6))), *v = from(b, 1), *early = until(b, 2);
    wg_mul_(v, wg_s(2));
    ASSERT_TANGENT(b, 4, 10, 12);
    ASSERT_TANGENT(v, 10, 12);
    ASSERT_TANGENT(early, 4, 10);
}

static void test_write_of_a_dual_into_plain_memory(void **state) {
    (void)state;
    wg_tensor *b = VEC(1, 2, 3), *v = from(b, 1);
    wg_mul_(v, dual(VEC(2, 3), VEC(1, 1)));
    ASSERT_TANGENT(b, 0, 2, 3); /* the part that was not written: zeros */
    ASSERT_TANGENT(v, 2, 3);
    ASSERT_TANGENT(until(b, 2), 0, 2);
    wg_tensor *c = VEC(1, 2, 3);
    wg_mul_(c, dual(VEC(2, 3, 4), VEC(1, 1, 1)));
    wg_mul_(until(c, 2), wg_s(10));
    ASSERT_TANGENT(c, 10, 20, 3);
}

static void test_constants_written(void **state) {
    (void)state;
    wg_tensor *d = dual(VEC(1, 2, 3), VEC(4, 5, 6)), *a = wg_clone(d), *b = wg_clone(d), *c = wg_clone(d),
              *e = wg_clone(d);
    ASSERT_TANGENT(wg_zero_(a), 0, 0, 0);
    ASSERT_TANGENT(wg_fill_(b, wg_s(2)), 0, 0, 0);
    ASSERT_TANGENT(wg_copy_(c, VEC(1, 1, 1)), 0, 0, 0);
    ASSERT_TANGENT(wg_copy_(e, dual(VEC(1, 1, 1), VEC(7, 8, 9))), 7, 8, 9);
    ASSERT_TANGENT(wg_zero_(until(d, 1)), 0);
    ASSERT_TANGENT(d, 0, 5, 6);
}

static void test_operands_that_share_memory(void **state) {
    (void)state;
    wg_tensor *a = wg_clone(dual(VEC(1, 2, 3), VEC(1, 1, 1)));
    ASSERT_TANGENT(wg_mul_(a, a), 2, 4, 6);
    wg_tensor *b = wg_clone(dual(VEC(1, 2, 3), VEC(1, 1, 1)));
    ASSERT_TANGENT(wg_mul_(b, wg_alias(b)), 2, 4, 6);
    wg_tensor *c = wg_clone(dual(VEC(1, 2, 3), VEC(1, 10, 100)));
    ASSERT_TANGENT(wg_pow_(c, wg_i(3)), 3, 120, 2700);
    wg_tensor *t = VEC(1, 1), *d = dual(VEC(1, 2), t);
    wg_mul_(d, wg_s(3));
    ASSERT_VALUES(t, 3, 3); /* the tangent is written in place */
    assert_ptr_equal(wg_tangent_of(d, level), t);
}

static void test_failed_write(void **state) {
    (void)state;
    wg_tensor *b = wg_clone(dual(VEC(1, 2, 3), VEC(4, 5, 6)));
    ASSERT_POISON(wg_add_(b, VEC(1, 2)), WG_ERR_RUNTIME,
                  "The size of tensor a (3) must match the size of tensor b (2)");
    ASSERT_VALUES(b, 1, 2, 3);
    ASSERT_TANGENT(b, 4, 5, 6);
    wg_tensor *leaf = LEAF(1, 2, 3);
    ASSERT_POISON(wg_mul_(leaf, b), WG_ERR_RUNTIME, "a leaf Variable that requires grad");
    assert_null(wg_tangent_of(leaf, level));
}

/* ---- jvp of a function of everything ----------------------------------------------------------------------------- */

/* Elementwise, reductions, products, views, joins, indexing, softmax, losses, writes: one function of both inputs. */
static wg_tensor *composite(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *x = in[0], *w = in[1], *at = wg_to(wg_arange(wg_i(0), wg_i(3), wg_i(1), NULL), WG_INT64);
    wg_tensor *h = wg_tanh(wg_add(wg_mm(x, w), wg_sum(x, .dims = WG_DIMS(1), .keepdim = true)));
    wg_tensor *s = wg_softmax(h, -1), *l = wg_log_softmax(wg_t(h), 0);
    wg_tensor *b = wg_clone(s);
    wg_mul_(wg_select(b, 0, 1), wg_sin(wg_select(l, 1, 0)));
    wg_exp_(wg_slice(b, 1, 0, 3, 2));
    wg_tensor *j = wg_cat(WG_TENSORS(b, wg_maximum(h, s)), 0);
    wg_tensor *k = wg_stack(WG_TENSORS(wg_index_select(j, 0, at), wg_index(j, WG_TENSORS(at))), 1);
    wg_tensor *m = wg_where(wg_gt(k, wg_s(0.5)), wg_sqrt(wg_add(wg_abs(k), wg_s(1))), wg_pow(k, wg_i(3)));
    wg_tensor *r = wg_add(wg_logsumexp(m, .dims = WG_DIMS(0)), wg_var(m, .dims = WG_DIMS(0)));
    wg_tensor *loss = wg_cross_entropy(h, wg_slice(at, 0, 0, 3, 1)), *dist = wg_mse_loss(s, wg_zeros_like(h, NULL));
    return wg_add(wg_mul(wg_flatten(r, 0, -1), loss), wg_add(dist, wg_norm(m)));
}
static wg_tensor *numbers(uint64_t seed, int n, int m, bool requires_grad) {
    wg_manual_seed(seed);
    wg_tensor *t = wg_randn(WG_SHAPE(n, m), WG_DTYPE(WG_FLOAT64), NULL);
    return requires_grad ? wg_set_requires_grad(t, true) : t;
}

static void test_composite_by_differences(void **state) {
    (void)state;
    wg_check_opts forward = {.size = sizeof(forward), .check_forward = true};
    wg_tensor *x = numbers(1, 3, 4, true), *w = numbers(2, 4, 3, true);
    ASSERT_OK(wg_gradcheck(composite, NULL, WG_TENSORS(x, w), &forward));
    ASSERT_OK(wg_gradgradcheck(composite, NULL, WG_TENSORS(x, w), &forward));
}

/* u . (J t) by forward mode is (u J) . t by reverse mode. */
static void test_forward_agrees_with_reverse(void **state) {
    (void)state;
    wg_tensor *x = numbers(1, 3, 4, true), *w = numbers(2, 4, 3, true), *tx = numbers(3, 3, 4, false),
              *tw = numbers(4, 4, 3, false);
    wg_tensor *tangent = NULL;
    wg_tensor *const in[2] = {x, w}, *const t[2] = {tx, tw};
    wg_tensor *out = wg_jvp(composite, NULL, in, t, 2, &tangent), *u = wg_cos(wg_detach(out)), *g[2];
    ASSERT_OK(wg_grad(&out, 1, in, 2, &u, NULL, g));
    double a = 0, b = 0;
    ASSERT_OK(wg_item(wg_sum(wg_mul(u, tangent)), &a));
    ASSERT_OK(wg_item(wg_add(wg_sum(wg_mul(g[0], tx)), wg_sum(wg_mul(g[1], tw))), &b));
    assert_true(fabs(a - b) <= 1e-12 * fabs(a));
}

static wg_tensor *square(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_mul(in[0], in[0]);
}
static wg_tensor *nothing_of_it(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)in, (void)nin;
    return VEC(1, 1);
}
static wg_tensor *fails(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_add(in[0], VEC(1, 2, 3));
}
static wg_tensor *returns_null(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)in, (void)nin;
    return NULL;
}

static void test_jvp(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *t = VEC(1, 1), *dy = NULL, *y = wg_jvp(square, NULL, &x, &t, 1, &dy);
    ASSERT_VALUES(y, 1, 4);
    ASSERT_VALUES(dy, 2, 4);
    assert_true(wg_requires_grad(y) && wg_requires_grad(dy));
    ASSERT_OK(check_sum_backward(dy));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    y = wg_jvp(nothing_of_it, NULL, &x, &t, 1, &dy);
    ASSERT_VALUES(dy, 0, 0);
    wg_tensor *none = NULL;
    y = wg_jvp(square, NULL, &x, &none, 1, &dy);
    ASSERT_VALUES(y, 1, 4);
    ASSERT_VALUES(dy, 0, 0);
    wg_tensor *longer = VEC(1, 1, 1);
    ASSERT_POISON(wg_jvp(square, NULL, &x, &longer, 1, &dy), WG_ERR_RUNTIME,
                  "Trying to set a forward gradient that has a different size than that of the original Tensor");
    assert_true(wg_is_poison(dy));
    ASSERT_POISON(wg_jvp(fails, NULL, &x, &t, 1, &dy), WG_ERR_RUNTIME, "The size of tensor a (2) must match");
    assert_true(wg_is_poison(dy));
    ASSERT_POISON(wg_jvp(returns_null, NULL, &x, &t, 1, &dy), WG_ERR_TYPE, "jvp");
    ASSERT_POISON(wg_jvp(NULL, NULL, &x, &t, 1, &dy), WG_ERR_TYPE, "jvp");
    int next = wg_dual_level_enter(); /* every one of those closed its level */
    assert_int_equal(next, level + 1);
    wg_dual_level_exit(next);
}

/* ---- levels ------------------------------------------------------------------------------------------------------ */

static wg_tensor *one(void) { return check_number(1, false); }
static wg_tensor *derivative(wg_fn f, void *user, wg_tensor *x) {
    wg_tensor *t = wg_ones_like(x, NULL), *dy = NULL;
    ASSERT_GOOD(wg_jvp(f, user, &x, &t, 1, &dy));
    return dy;
}
static wg_tensor *outer_plus(void *user, wg_tensor *const *in, int nin) { return (void)nin, wg_add(user, in[0]); }
static wg_tensor *outer_times(void *user, wg_tensor *const *in, int nin) { return (void)nin, wg_mul(user, in[0]); }
static wg_tensor *confused_plus(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_mul(in[0], derivative(outer_plus, in[0], one()));
}
static wg_tensor *confused_times(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_mul(in[0], derivative(outer_times, in[0], check_number(2, false)));
}
static wg_tensor *fourth_power(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_pow(in[0], wg_i(4));
}
static wg_tensor *first_derivative(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return derivative(fourth_power, NULL, in[0]);
}
static wg_tensor *second_derivative(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return derivative(first_derivative, NULL, in[0]);
}

static void test_no_confusion(void **state) {
    (void)state;
    wg_tensor *x = check_number(3, false);
    ASSERT_VALUES(derivative(confused_plus, NULL, x), 1);      /* d/dx x * (d/dy (x + y)) = 1, not 2 */
    ASSERT_VALUES(derivative(confused_times, NULL, x), 6);     /* d/dx x * x */
    ASSERT_VALUES(derivative(second_derivative, NULL, x), 72); /* 24 x */
}

static void test_levels_are_apart(void **state) {
    (void)state;
    int inner = wg_dual_level_enter();
    wg_tensor *x = VEC(1, 2), *d = dual(x, VEC(10, 20)), *e = wg_make_dual(d, VEC(3, 4), inner);
    wg_tensor *y = wg_mul(e, e);
    ASSERT_VALUES(wg_tangent_of(y, level), 20, 80);
    ASSERT_VALUES(wg_tangent_of(y, inner), 6, 16);
    ASSERT_VALUES(wg_tangent_of(wg_tangent_of(y, inner), level), 60, 160); /* d of 2 e t */
    assert_null(wg_tangent_of(d, inner));
    wg_tensor *p = wg_primal_of(y, inner);
    assert_null(wg_tangent_of(p, inner));
    ASSERT_VALUES(wg_tangent_of(p, level), 20, 80);
    wg_dual_level_exit(level); /* not the innermost */
    ASSERT_ERROR(WG_ERR_RUNTIME, "Dual level must be a positive number.");
    wg_dual_level_exit(inner);
    ASSERT_TANGENT(y, 20, 80);
    assert_null(wg_tangent_of(y, inner));
}

static void test_write_at_two_levels(void **state) {
    (void)state;
    int inner = wg_dual_level_enter();
    wg_tensor *d = dual(VEC(1, 2, 3), VEC(1, 1, 1)), *b = wg_clone(wg_make_dual(d, VEC(1, 2, 4), inner)),
              *v = from(b, 1);
    wg_mul_(v, v);
    ASSERT_VALUES(b, 1, 4, 9);
    ASSERT_VALUES(wg_tangent_of(b, level), 1, 4, 6);
    ASSERT_VALUES(wg_tangent_of(b, inner), 1, 8, 24);
    ASSERT_VALUES(wg_tangent_of(wg_tangent_of(v, inner), level), 4, 8); /* d (2 v t) = 2 t */
    wg_dual_level_exit(inner);
    ASSERT_TANGENT(b, 1, 4, 6);
}

/* ---- with reverse mode ------------------------------------------------------------------------------------------- */

static void test_reverse_over_forward(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2, 3), *t = LEAF(1, 1, 1), *d = dual(x, t), *y = wg_mul(wg_mul(d, d), d);
    ASSERT_OK(check_sum_backward(wg_tangent_of(y, level)));
    ASSERT_VALUES(wg_grad_of(x), 6, 12, 18);
    ASSERT_VALUES(wg_grad_of(t), 3, 12, 27);
    wg_tensor *x2 = LEAF(1, 2, 3), *b = wg_clone(dual(x2, VEC(1, 1, 1)));
    wg_pow_(b, wg_i(3)); /* the same through a write */
    ASSERT_OK(check_sum_backward(wg_tangent_of(b, level)));
    ASSERT_VALUES(wg_grad_of(x2), 6, 12, 18);
}

static void test_forward_over_reverse(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2, 3), *d = dual(x, VEC(1, 0, 2)), *y = wg_sum(wg_mul(wg_mul(d, d), d));
    wg_tensor *g = wg_grad1(y, d, false);
    ASSERT_VALUES(g, 3, 12, 27);
    ASSERT_TANGENT(g, 6, 0, 36);
    wg_tensor *b = wg_clone(d);
    wg_pow_(b, wg_i(3));
    g = wg_grad1(wg_sum(b), d, false);
    ASSERT_TANGENT(g, 6, 0, 36);
    wg_tensor *e = wg_clone(d);
    wg_exp_(from(e, 1)); /* saves its result, inside CopySlices */
    g = wg_grad1(wg_sum(e), d, false);
    ASSERT_VALUES(g, 1, exp(2), exp(3));
    ASSERT_TANGENT(g, 0, 0, 2 * exp(3));
}

static wg_tensor *gradient_of_cubes(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *x = wg_set_requires_grad(wg_alias(in[0]), true);
    return wg_grad1(wg_sum(wg_mul(wg_mul(x, x), x)), x, false);
}
static void test_hessian_times_vector(void **state) {
    (void)state;
    wg_tensor *x = VEC(1, 2, 3), *v = VEC(1, -1, 2), *hv = NULL;
    ASSERT_VALUES(wg_jvp(gradient_of_cubes, NULL, &x, &v, 1, &hv), 3, 12, 27);
    ASSERT_VALUES(hv, 6, -12, 36);
}

/* ---- custom functions -------------------------------------------------------------------------------------------- */

static wg_status cube_forward(wg_context *ctx, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin, (void)nout;
    out[0] = wg_mul(wg_mul(in[0], in[0]), in[0]);
    return wg_save_for_backward(ctx, in, 1);
}
static wg_tensor *times_slope(wg_context *ctx, wg_tensor *t) {
    wg_tensor *x = wg_saved_tensor(ctx, 0);
    return wg_mul(t, wg_mul(wg_mul(x, x), wg_s(3)));
}
static wg_status cube_vjp(wg_context *ctx, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nin, (void)nout;
    gi[0] = times_slope(ctx, g[0]);
    return WG_OK;
}
static wg_status cube_jvp(wg_context *ctx, wg_tensor *const *t, int nin, wg_tensor **dy, int nout) {
    (void)nin, (void)nout;
    dy[0] = t[0] ? times_slope(ctx, t[0]) : NULL;
    return WG_OK;
}
static const wg_function cube = {
    .size = sizeof(wg_function), .name = "Cube", .forward = cube_forward, .vjp = cube_vjp, .jvp = cube_jvp};

static wg_tensor *call_cube(void *user, wg_tensor *const *in, int nin) {
    wg_tensor *out = NULL;
    (void)nin;
    return wg_function_apply(user ? user : &cube, NULL, in, 1, &out, 1) == WG_OK ? out : wg_neg(NULL);
}
static void test_function_with_jvp(void **state) {
    (void)state;
    wg_tensor *d = dual(VEC(1, 2), VEC(1, 10)), *plain = VEC(1, 2);
    ASSERT_TANGENT(call_cube(NULL, &d, 1), 3, 120);
    assert_null(wg_tangent_of(call_cube(NULL, &plain, 1), level));
    wg_function no_jvp = cube;
    no_jvp.jvp = NULL;
    wg_tensor *out = NULL;
    ASSERT_FAILS(wg_function_apply(&no_jvp, NULL, &d, 1, &out, 1), WG_ERR_NOT_IMPLEMENTED,
                 "You must implement the jvp function for custom autograd.Function to use it with forward mode AD.");
    assert_true(wg_is_poison(out));
    double p[2] = {0.5, -1.5};
    wg_tensor *x = wg_from_data(p, WG_FLOAT64, WG_SHAPE(2), WG_OPT(.requires_grad = true));
    wg_check_opts forward = {.size = sizeof(forward), .check_forward = true};
    ASSERT_OK(wg_gradcheck(call_cube, NULL, &x, 1, &forward));
    ASSERT_OK(wg_gradgradcheck(call_cube, NULL, &x, 1, &forward));
}

/* The tangent of a part of a storage lies at the same place of as large a storage: as_strided past the part reads
 * zeros. */
static void test_a_part_of_a_storage(void **state) {
    (void)state;
    wg_tensor *whole = VEC(0, 1, 2, 3, 4, 5), *part = wg_detach(wg_slice(whole, 0, 2, 4, 1));
    wg_tensor *d = dual(part, VEC(10, 20));
    ASSERT_TANGENT(d, 10, 20);
    int64_t three = 3, one = 1;
    ASSERT_TANGENT(wg_as_strided(d, 1, &three, &one, 3), 20, 0, 0);
    ASSERT_TANGENT(wg_as_strided(d, 1, &three, &one, 0), 0, 0, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        DUAL_TEST(test_a_dual_is_a_view),
        DUAL_TEST(test_tangent_lies_as_its_primal),
        DUAL_TEST(test_a_part_of_a_storage),
        DUAL_TEST(test_refusals),
        CHECK_TEST(test_no_level),
        DUAL_TEST(test_tangents_end_with_their_level),
        DUAL_TEST(test_what_cuts_a_tangent),
        DUAL_TEST(test_printing),
        DUAL_TEST(test_views_of_duals),
        DUAL_TEST(test_write_through_a_view),
        DUAL_TEST(test_write_of_a_dual_into_plain_memory),
        DUAL_TEST(test_constants_written),
        DUAL_TEST(test_operands_that_share_memory),
        DUAL_TEST(test_failed_write),
        CHECK_TEST(test_composite_by_differences),
        CHECK_TEST(test_forward_agrees_with_reverse),
        DUAL_TEST(test_jvp),
        CHECK_TEST(test_no_confusion),
        DUAL_TEST(test_levels_are_apart),
        DUAL_TEST(test_write_at_two_levels),
        DUAL_TEST(test_reverse_over_forward),
        DUAL_TEST(test_forward_over_reverse),
        CHECK_TEST(test_hessian_times_vector),
        DUAL_TEST(test_function_with_jvp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
