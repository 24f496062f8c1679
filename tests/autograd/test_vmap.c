/* vmap (N3): which dims are mapped and where they come out, batch = loop for what functions are made of, nesting with
 * itself and with both gradients, what may not be done with one sample of a batch, and the count of ops without a rule.
 */
#include "checks.h"
#include "core/op.h"
#include "support/samples.h"

static wg_tensor *table(void) { return wg_view(VEC(0, 1, 2, 3, 4, 5), WG_SHAPE(2, 3)); }
#define MAP1(f, user, t, in_dim, out_dim) wg_vmap((f), (user), (wg_tensor *[]){t}, (int64_t[]){in_dim}, 1, (out_dim))

static wg_tensor *twice(void *user, wg_tensor *const *in, int nin) {
    return (void)user, (void)nin, wg_mul(in[0], wg_s(2));
}
static wg_tensor *total(void *user, wg_tensor *const *in, int nin) { return (void)user, (void)nin, wg_sum(in[0]); }
static wg_tensor *same(void *user, wg_tensor *const *in, int nin) { return (void)user, (void)nin, in[0]; }
static wg_tensor *both_totals(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_add(wg_sum(in[0]), wg_sum(in[1]));
}

/* ---- dims -------------------------------------------------------------------------------------------------------- */

static void test_dims(void **state) {
    (void)state;
    wg_tensor *a = table(), *r = MAP1(twice, NULL, a, 0, 0);
    ASSERT_VALUES(r, 0, 2, 4, 6, 8, 10);
    r = MAP1(twice, NULL, a, 0, 1);
    assert_int_equal(wg_size(r, 0), 3);
    ASSERT_VALUES(r, 0, 6, 2, 8, 4, 10);
    r = MAP1(twice, NULL, a, 0, -1);
    ASSERT_VALUES(r, 0, 6, 2, 8, 4, 10);
    r = MAP1(twice, NULL, a, 1, 0);
    assert_int_equal(wg_size(r, 0), 3);
    ASSERT_VALUES(r, 0, 6, 2, 8, 4, 10);
    ASSERT_VALUES(MAP1(total, NULL, a, 0, 0), 3, 12);
    ASSERT_VALUES(MAP1(total, NULL, a, 1, 0), 3, 5, 7);
    ASSERT_VALUES(MAP1(total, NULL, a, -1, 0), 3, 5, 7);
    ASSERT_VALUES(MAP1(total, NULL, a, -2, 0), 3, 12);
}

static wg_tensor *times(void *user, wg_tensor *const *in, int nin) {
    return (void)user, (void)nin, wg_mul(in[0], in[1]);
}
static wg_tensor *constant(void *user, wg_tensor *const *in, int nin) { return (void)in, (void)nin, user; }
static void test_unmapped_inputs_and_results(void **state) {
    (void)state;
    wg_tensor *in[2] = {table(), VEC(1, 10, 100)};
    ASSERT_VALUES(wg_vmap(times, NULL, in, (int64_t[]){0, WG_NO_DIM}, 2, 0), 0, 10, 200, 3, 40, 500);
    wg_tensor *turned[2] = {wg_t(table()), table()};
    ASSERT_VALUES(wg_vmap(times, NULL, turned, (int64_t[]){1, 0}, 2, 0), 0, 1, 4, 9, 16, 25);
    wg_tensor *r = MAP1(constant, VEC(7, 8), table(), 0, 1);
    assert_int_equal(wg_size(r, 0), 2);
    ASSERT_VALUES(r, 7, 7, 8, 8);
}

static void test_empty_batch(void **state) {
    (void)state;
    wg_tensor *none = wg_zeros(WG_SHAPE(0, 3), NULL), *r = MAP1(twice, NULL, none, 0, 0);
    assert_int_equal(wg_size(r, 0), 0);
    assert_int_equal(wg_size(r, 1), 3);
    r = MAP1(total, NULL, none, 0, 0);
    assert_int_equal(wg_ndim(r), 1);
    assert_int_equal(wg_size(r, 0), 0);
}

static wg_tensor *looks(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    assert_int_equal(wg_ndim(in[0]), 1);
    assert_int_equal(wg_size(in[0], 0), 2);
    assert_int_equal(wg_numel(in[0]), 2);
    assert_int_equal(wg_dtype_of(in[0]), WG_FLOAT32);
    assert_null(wg_data(in[0])); /* one sample has no address */
    char *text = wg_repr_new(in[0]);
    assert_non_null(strstr(text, "BatchedTensor(lvl="));
    assert_non_null(strstr(text, "bdim=1, value=\n    tensor([[0., 1., 2.],\n            [3., 4., 5.]])\n)"));
    wg_free_string(text);
    return in[0];
}
static void test_a_sample_shows_its_own_sizes(void **state) {
    (void)state;
    ASSERT_VALUES(MAP1(looks, NULL, table(), 1, 0), 0, 3, 1, 4, 2, 5);
}

static void test_sample_promotion(void **state) {
    (void)state;
    /* a sample without dims is a 0-d tensor: it does not raise the dtype of one with dims */
    wg_tensor *in[2] = {wg_to(VEC(1, 2, 3), WG_FLOAT64), VEC(1, 2)};
    wg_tensor *r = wg_vmap(times, NULL, in, (int64_t[]){0, WG_NO_DIM}, 2, 0);
    assert_int_equal(wg_dtype_of(r), WG_FLOAT32);
    ASSERT_VALUES(r, 1, 2, 2, 4, 3, 6);
    wg_tensor *mixed[2] = {VEC(1, 2, 3), wg_to(VEC(1, 2), WG_INT64)};
    r = wg_vmap(times, NULL, mixed, (int64_t[]){0, WG_NO_DIM}, 2, 0);
    assert_int_equal(wg_dtype_of(r), WG_FLOAT32);
    ASSERT_VALUES(r, 1, 2, 2, 4, 3, 6);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static wg_tensor *null_result(void *user, wg_tensor *const *in, int nin) {
    return (void)user, (void)in, (void)nin, NULL;
}
static wg_tensor *failing(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_add(in[0], VEC(1, 2));
}
static void test_refusals(void **state) {
    (void)state;
    wg_tensor *a = table(), *pair[2] = {a, wg_t(a)};
    ASSERT_POISON(MAP1(total, NULL, a, 2, 0), WG_ERR_VALUE,
                  "vmap(f, in_dims=2, ...)(<inputs>): Got in_dim=2 for some input, but that input is a Tensor of "
                  "dimensionality 2 "
                  "so expected in_dim to satisfy -2 <= in_dim < 2.");
    ASSERT_POISON(MAP1(total, NULL, a, -3, 0), WG_ERR_VALUE,
                  "vmap(f, in_dims=-3, ...)(<inputs>): Got in_dim=-3 for some input");
    ASSERT_POISON(MAP1(same, NULL, check_number(1, false), 0, 0), WG_ERR_VALUE,
                  "vmap(f, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of "
                  "dimensionality 0");
    ASSERT_POISON(MAP1(same, NULL, a, 0, 5), WG_ERR_INDEX,
                  "Dimension out of range (expected to be in range of [-2, 1], but got 5)");
    ASSERT_POISON(wg_vmap(both_totals, NULL, pair, (int64_t[]){0, 0}, 2, 0), WG_ERR_VALUE,
                  "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes [2, 3] for the "
                  "mapped dimension");
    ASSERT_POISON(MAP1(same, NULL, a, WG_NO_DIM, 0), WG_ERR_VALUE, "vmap: Expected at least one Tensor to vmap over");
    ASSERT_POISON(MAP1(null_result, NULL, a, 0, 0), WG_ERR_TYPE, "vmap(f, ...): `f` must only return Tensors");
    ASSERT_POISON(MAP1(failing, NULL, a, 0, 0), WG_ERR_RUNTIME,
                  "The size of tensor a (3) must match the size of tensor b (2)");
    ASSERT_POISON(MAP1(NULL, NULL, a, 0, 0), WG_ERR_TYPE, "vmap");
    ASSERT_POISON(MAP1(same, NULL, NULL, 0, 0), WG_ERR_TYPE, "vmap");
    ASSERT_VALUES(MAP1(total, NULL, a, 0, 0), 3, 12); /* none of them left a level open */
}

static wg_tensor *asks_item(void *user, wg_tensor *const *in, int nin) {
    double v;
    (void)user, (void)nin;
    return wg_item(wg_sum(in[0]), &v) == WG_OK ? wg_s(v) : wg_neg(NULL);
}
static wg_tensor *asks_truth(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    int t = wg_truth(wg_gt(wg_sum(in[0]), wg_s(0)));
    return t < 0 ? wg_neg(NULL) : in[0];
}
static void test_values_of_a_sample_are_not_read(void **state) {
    (void)state;
    ASSERT_POISON(MAP1(asks_item, NULL, table(), 0, 0), WG_ERR_RUNTIME,
                  "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() "
                  "on a Tensor");
    ASSERT_POISON(MAP1(asks_truth, NULL, table(), 0, 0), WG_ERR_RUNTIME,
                  "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow.");
}

#define RANDOM                                                                                                         \
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "       \
    "randomness flags on vmap or perform the randomness operation out of vmap"
static wg_tensor *draws(void *user, wg_tensor *const *in, int nin) {
    (void)nin;
    switch (*(int *)user) {
    case 0: return wg_normal_(wg_clone(in[0]), 0, 1, NULL);
    case 1: return wg_randn_like(in[0], NULL, NULL);
    case 2: return wg_bernoulli(in[0], NULL);
    case 3: return wg_add(in[0], wg_rand(WG_SHAPE(3), NULL, NULL));
    case 4: return wg_add(in[0], wg_to(wg_randperm(3, NULL, NULL), WG_FLOAT32));
    default: return wg_uniform_(wg_zeros(WG_SHAPE(3), NULL), 0, 1, NULL);
    }
}
static void test_nothing_random(void **state) {
    (void)state;
    for (int k = 0; k < 6; k++) {
        wg_manual_seed(7);
        wg_tensor *before = wg_rand(WG_SHAPE(1), NULL, NULL);
        wg_manual_seed(7);
        wg_tensor *r = MAP1(draws, &k, wg_mul(table(), wg_s(0.1)), 0, 0);
        if (!wg_is_poison(r)) fail_msg("draw %d went through", k);
        ASSERT_ERROR(WG_ERR_RUNTIME, RANDOM);
        bool equal = false;
        ASSERT_OK(wg_equal(wg_rand(WG_SHAPE(1), NULL, NULL), before, &equal));
        assert_true(equal); /* and nothing was drawn */
    }
    wg_manual_seed(7);
    wg_tensor *outside = wg_rand(WG_SHAPE(3), NULL, NULL);
    ASSERT_GOOD(wg_vmap(times, NULL, (wg_tensor *[]){table(), outside}, (int64_t[]){0, WG_NO_DIM}, 2, 0));
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static wg_tensor *doubles_it(void *user, wg_tensor *const *in, int nin) {
    return (void)user, (void)nin, wg_mul_(in[0], wg_s(2));
}
static wg_tensor *clears_a_part(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *b = wg_clone(in[0]);
    wg_zero_(wg_slice(b, 0, 0, 2, 1));
    wg_copy_(wg_select(b, 0, 0), wg_select(in[0], 0, 2));
    return wg_add_(b, VEC(1, 2, 3));
}
static void test_writes_on_samples(void **state) {
    (void)state;
    wg_tensor *a = table();
    ASSERT_VALUES(MAP1(doubles_it, NULL, a, 0, 0), 0, 2, 4, 6, 8, 10);
    ASSERT_VALUES(a, 0, 2, 4, 6, 8, 10); /* a sample is a view of its batch */
    assert_int_equal(wg_version_of(a), 1);
    ASSERT_VALUES(MAP1(clears_a_part, NULL, table(), 0, 0), 3, 2, 5, 6, 2, 8);
}

static wg_tensor *writes_outside(void *user, wg_tensor *const *in, int nin) {
    static int k;
    wg_tensor *c = user, *at = wg_zeros(WG_SHAPE(1), WG_DTYPE(WG_INT64));
    (void)nin;
    switch (k++ % 5) {
    case 0: return wg_add_(c, in[0]);
    case 1: return wg_copy_(wg_slice(c, 0, 0, 3, 1), in[0]);
    case 2: return wg_fill_(c, wg_sum(in[0]));
    case 3: return wg_masked_fill_(c, wg_gt(in[0], wg_s(1)), wg_s(2));
    default: return wg_index_put_(c, WG_TENSORS(at), wg_slice(in[0], 0, 0, 1, 1), false);
    }
}
static wg_tensor *counts_outside(void *user, wg_tensor *const *in, int nin) {
    return (void)nin, wg_add_(user, wg_i(1)), in[0];
}
static void test_writes_on_captured_tensors(void **state) {
    (void)state;
    wg_tensor *c = VEC(1, 2, 3);
    for (int k = 0; k < 5; k++) {
        assert_true(wg_is_poison(MAP1(writes_outside, c, table(), 0, 0)));
        assert_non_null(strstr(wg_last_message(),
                               "(self, *extra_args) is not possible because there exists a Tensor `other` in "
                               "extra_args that has more elements than `self`."));
        assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
        wg_clear_error();
        ASSERT_VALUES(c, 1, 2, 3);
        assert_int_equal(wg_version_of(c), 0);
    }
    ASSERT_GOOD(MAP1(counts_outside, c, table(), 0, 0)); /* without a sample in it the write is an ordinary one, once */
    ASSERT_VALUES(c, 2, 3, 4);
}

/* ---- nesting ----------------------------------------------------------------------------------------------------- */

static wg_tensor *square(void *user, wg_tensor *const *in, int nin) {
    return (void)user, (void)nin, wg_mul(in[0], in[0]);
}
static wg_tensor *squares(void *user, wg_tensor *const *in, int nin) {
    (void)nin, (void)user;
    return MAP1(square, NULL, in[0], 0, 0);
}
static wg_tensor *times_user(void *user, wg_tensor *const *in, int nin) { return (void)nin, wg_mul(user, in[0]); }
static wg_tensor *row_of_products(void *user, wg_tensor *const *in, int nin) {
    return (void)nin, MAP1(times_user, in[0], user, 0, 0);
}
static wg_tensor *outer_last(void *user, wg_tensor *const *in, int nin) {
    (void)nin;
    return wg_sub(MAP1(times_user, in[0], user, 0, 0), in[0]);
}
static void test_nested(void **state) {
    (void)state;
    ASSERT_VALUES(MAP1(squares, NULL, table(), 0, 0), 0, 1, 4, 9, 16, 25);
    ASSERT_VALUES(MAP1(row_of_products, VEC(1, 10), VEC(1, 2, 3), 0, 0), 1, 10, 2, 20, 3, 30);
    ASSERT_VALUES(MAP1(outer_last, VEC(1, 10), VEC(1, 2, 3), 0, 1), 0, 0, 0, 9, 18, 27);
    ASSERT_VALUES(MAP1(squares, NULL, wg_view(VEC(1, 2, 3, 4, 5, 6, 7, 8), WG_SHAPE(2, 2, 2)), 2, 1), 1, 9, 4, 16, 25,
                  49, 36, 64);
}

static wg_tensor *cubes(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_sum(wg_pow(in[0], wg_i(3)));
}
static wg_tensor *gradient_of_cubes(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *x = wg_set_requires_grad(wg_detach(in[0]), true);
    return wg_grad1(cubes(NULL, &x, 1), x, false);
}
static wg_tensor *second_gradient(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    wg_tensor *x = wg_set_requires_grad(wg_detach(in[0]), true), *g = wg_grad1(cubes(NULL, &x, 1), x, true);
    return wg_grad1(wg_sum(g), x, false);
}
static void test_map_of_a_gradient(void **state) {
    (void)state;
    ASSERT_VALUES(MAP1(gradient_of_cubes, NULL, table(), 0, 0), 0, 3, 12, 27, 48, 75);
    ASSERT_VALUES(MAP1(gradient_of_cubes, NULL, table(), 1, 1), 0, 3, 12, 27, 48, 75);
    ASSERT_VALUES(MAP1(second_gradient, NULL, table(), 0, 0), 0, 6, 12, 18, 24, 30);
}

static wg_tensor *weighted(void *user, wg_tensor *const *in, int nin) { return (void)nin, wg_sum(wg_mul(user, in[0])); }
static void test_gradient_of_a_map(void **state) {
    (void)state;
    wg_tensor *x = wg_set_requires_grad(wg_clone(table()), true);
    ASSERT_OK(check_sum_backward(MAP1(cubes, NULL, x, 0, 0)));
    ASSERT_VALUES(wg_grad_of(x), 0, 3, 12, 27, 48, 75);
    wg_tensor *w = LEAF(1, 2, 3); /* captured, not mapped */
    ASSERT_OK(check_sum_backward(MAP1(weighted, w, table(), 0, 0)));
    ASSERT_VALUES(wg_grad_of(w), 3, 5, 7);
}

static wg_tensor *mapped_cubes(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return MAP1(cubes, NULL, in[0], 0, 0);
}
static wg_tensor *pushed(void *user, wg_tensor *const *in, int nin) {
    wg_tensor *dy = NULL;
    (void)user, (void)nin;
    wg_tensor *const p[1] = {in[0]}, *const t[1] = {in[1]};
    return wg_is_poison(wg_jvp(cubes, NULL, p, t, 1, &dy)) ? wg_neg(NULL) : dy;
}
static void test_with_forward_mode(void **state) {
    (void)state;
    wg_tensor *x = table(), *t = wg_ones(WG_SHAPE(2, 3), NULL), *dy = NULL;
    ASSERT_VALUES(wg_jvp(mapped_cubes, NULL, &x, &t, 1, &dy), 9, 216);
    ASSERT_VALUES(dy, 15, 150);
    wg_tensor *in[2] = {x, t};
    ASSERT_VALUES(wg_vmap(pushed, NULL, in, (int64_t[]){0, 0}, 2, 0), 15, 150);
    /* the rows of a Jacobian, all at once: tangents mapped, the primal not */
    wg_tensor *basis = wg_eye(3, -1, NULL), *one[2] = {VEC(1, 2, 3), basis};
    ASSERT_VALUES(wg_vmap(pushed, NULL, one, (int64_t[]){WG_NO_DIM, 0}, 2, 0), 3, 12, 27);
}

/* A small network: batch = loop, and its parameters' gradients per sample. */
static wg_tensor *network(void *user, wg_tensor *const *in, int nin) {
    wg_tensor *const *p = user;
    (void)nin;
    wg_tensor *h = wg_relu(wg_linear(in[0], p[0], p[1]));
    return wg_logsumexp(wg_add(wg_softmax(h, -1), wg_mv(wg_t(p[0]), h)), .dims = WG_DIMS(0));
}
static wg_tensor *gradient_of_network(void *user, wg_tensor *const *in, int nin) {
    wg_tensor *p[2] = {wg_set_requires_grad(wg_detach(((wg_tensor **)user)[0]), true), ((wg_tensor **)user)[1]};
    return wg_grad1(network(p, in, nin), p[0], false);
}
static void test_network(void **state) {
    (void)state;
    wg_manual_seed(3);
    wg_tensor *p[2] = {wg_randn(WG_SHAPE(3, 3), WG_DTYPE(WG_FLOAT64), NULL),
                       wg_randn(WG_SHAPE(3), WG_DTYPE(WG_FLOAT64), NULL)};
    wg_tensor *x = wg_randn(WG_SHAPE(4, 3), WG_DTYPE(WG_FLOAT64), NULL), *loop[4], *slopes[4];
    bool same_values = false, same_slopes = false;
    for (int i = 0; i < 4; i++) {
        wg_tensor *row = wg_select(x, 0, i);
        loop[i] = network(p, &row, 1);
        slopes[i] = gradient_of_network(p, &row, 1);
    }
    ASSERT_OK(wg_allclose(MAP1(network, p, x, 0, 0), wg_stack(loop, 4, 0), 1e-12, 1e-12, false, &same_values));
    ASSERT_OK(
        wg_allclose(MAP1(gradient_of_network, p, x, 0, 0), wg_stack(slopes, 4, 0), 1e-12, 1e-12, false, &same_slopes));
    assert_true(same_values && same_slopes);
}

/* ---- ops without a batch rule ------------------------------------------------------------------------------------ */

static wg_tensor *call_sample(void *user, wg_tensor *const *in, int nin) {
    sample *s = user;
    wg_tensor *all[MAX_SAMPLE_IN], *out[8];
    (void)nin;
    memcpy(all, s->in, sizeof(all));
    all[0] = in[0];
    return sample_call(s, all, out) == WG_OK ? out[0] : wg_neg(NULL);
}
static void test_fallbacks_are_counted(void **state) {
    (void)state;
    int looped = 0, ruled = 0;
    for (int i = 0; wg__op_at(i); i++) {
        const wg_op *op = wg__op_at(i);
        WG_SCOPE {
            sample s;
            if (!sample_make(op, 0, &s) || !s.in[0] || wg_dtype_of(s.in[0]) != WG_FLOAT64) break;
            if (strcmp(op->name, "as_strided") == 0 || wg__op_composite(op) || op->backward) break;
            wg_tensor *batch = wg_stack(WG_TENSORS(s.in[0], s.in[0]), 0);
            int64_t before = wg_vmap_fallbacks();
            wg_tensor *r = MAP1(call_sample, &s, batch, 0, 0);
            bool counted = wg_vmap_fallbacks() > before, rule = (op->traits & WG_POINTWISE) || op->batch;
            wg_clear_error();
            if (wg_is_poison(r)) break;
            if (!rule && !counted) fail_msg("%s ran in a loop that was not counted", op->name);
            if ((op->traits & WG_POINTWISE) && counted) fail_msg("%s is pointwise and ran in a loop", op->name);
            looped += counted;
            ruled += !counted;
        }
    }
    assert_true(looped > 0 && ruled > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_dims),
        CHECK_TEST(test_unmapped_inputs_and_results),
        CHECK_TEST(test_empty_batch),
        CHECK_TEST(test_a_sample_shows_its_own_sizes),
        CHECK_TEST(test_sample_promotion),
        CHECK_TEST(test_refusals),
        CHECK_TEST(test_values_of_a_sample_are_not_read),
        CHECK_TEST(test_nothing_random),
        CHECK_TEST(test_writes_on_samples),
        CHECK_TEST(test_writes_on_captured_tensors),
        CHECK_TEST(test_nested),
        CHECK_TEST(test_map_of_a_gradient),
        CHECK_TEST(test_gradient_of_a_map),
        CHECK_TEST(test_with_forward_mode),
        CHECK_TEST(test_network),
        CHECK_TEST(test_fallbacks_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
