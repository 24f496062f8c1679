/* The words of errors: who made a modified tensor (S3), the names of nodes (I3), and the texts that programs match on -
 * status and first sentence, word for word, for everything a C program can do wrong. Texts are PyTorch 2.15's, produced
 * there by the same calls; those about views, forward mode, vmap, hooks and custom functions stand with their tests.
 */
#include "checks.h"

#define MODIFIED "one of the variables needed for gradient computation has been modified by an inplace operation: "

static wg_tensor *times(wg_tensor *x, double k) { return wg_mul(x, wg_s(k)); }
static wg_tensor *ints(int64_t v) { return wg_from_data(&v, WG_INT64, WG_SHAPE(1), NULL); }
static wg_tensor *bools(void) { return wg_ones(WG_SHAPE(2), WG_DTYPE(WG_BOOL)); }
static wg_tensor *ones(int64_t rows, int64_t columns) { return wg_ones(WG_SHAPE(rows, columns), NULL); }
static wg_tensor *ones_of(int64_t n, wg_dtype dtype) { return wg_ones(WG_SHAPE(n), WG_DTYPE(dtype)); }

/* ---- S3: what was modified --------------------------------------------------------------------------------------- */

static wg_tensor *make_exp(wg_tensor *x) { return wg_exp(x); }
static wg_tensor *make_add(wg_tensor *x) { return wg_add(x, wg_i(1)); }
static wg_tensor *make_sum1(wg_tensor *x) { return wg_sum(x, .dims = WG_DIMS(0), .keepdim = true); }
static wg_tensor *make_pow0(wg_tensor *x) { return wg_pow(x, wg_i(2)); }
static wg_tensor *make_pow1(wg_tensor *x) { return wg_pow(x, x); }
static wg_tensor *make_pow2(wg_tensor *x) { return wg_pow(wg_s(2), x); }
static wg_tensor *make_softmax(wg_tensor *x) { return wg_softmax(x, 0); }
static wg_tensor *make_mm(wg_tensor *x) { return wg_mm(wg_view(x, WG_SHAPE(1, 2)), ones(2, 2)); }
static wg_tensor *make_max0(wg_tensor *x) { return wg_max_dim(wg_view(x, WG_SHAPE(2, 1)), 0, false, NULL); }
static wg_tensor *make_clamp1(wg_tensor *x) { return wg_clamp(x, wg_i(0), wg_i(1)); }
static wg_tensor *make_cast(wg_tensor *x) { return wg_to(x, WG_FLOAT64); }
static wg_tensor *make_where(wg_tensor *x) { return wg_where(wg_gt(x, wg_i(0)), x, x); }
static wg_tensor *make_cat(wg_tensor *x) { return wg_cat(WG_TENSORS(x, x), 0); }
static wg_tensor *make_rsub1(wg_tensor *x) { return wg_rsub(x, wg_i(1)); }
static wg_tensor *make_view(wg_tensor *x) { return wg_view(wg_mul(x, wg_i(1)), WG_SHAPE(2, 1)); }

static void test_S3_makers(void **state) {
    (void)state;
    static const struct {
        wg_tensor *(*make)(wg_tensor *x);
        const char *text;
    } rows[] = {
        {make_exp, "[torch.FloatTensor [2]], which is output 0 of Exp,"},
        {make_add, "[torch.FloatTensor [2]], which is output 0 of Add,"},
        {make_sum1, "[torch.FloatTensor [1]], which is output 0 of Sum1,"},
        {wg_clone, "[torch.FloatTensor [2]], which is output 0 of Clone,"},
        {make_pow0, "[torch.FloatTensor [2]], which is output 0 of Pow,"},
        {make_pow1, "[torch.FloatTensor [2]], which is output 0 of Pow1,"},
        {make_pow2, "[torch.FloatTensor [2]], which is output 0 of Pow2,"},
        {make_softmax, "[torch.FloatTensor [2]], which is output 0 of Softmax,"},
        {make_mm, "[torch.FloatTensor [1, 2]], which is output 0 of Mm,"},
        {make_max0, "[torch.FloatTensor [1]], which is output 0 of Max,"},
        {make_clamp1, "[torch.FloatTensor [2]], which is output 0 of Clamp1,"},
        {make_cast, "[torch.DoubleTensor [2]], which is output 0 of ToCopy,"},
        {make_where, "[torch.FloatTensor [2]], which is output 0 of Where,"},
        {make_cat, "[torch.FloatTensor [4]], which is output 0 of Cat,"},
        {make_rsub1, "[torch.FloatTensor [2]], which is output 0 of Rsub1,"},
        {make_view, "[torch.FloatTensor [2, 1]], which is output 0 of AsStrided,"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        wg_tensor *y = rows[i].make(LEAF(1, 2)), *z = wg_sum(wg_mul(y, y));
        char want[300];
        WG_NO_GRAD { ASSERT_GOOD(wg_add_(y, wg_i(1))); }
        snprintf(want, sizeof(want), MODIFIED "%s is at version 1; expected version 0 instead.", rows[i].text);
        ASSERT_FAILS(wg_backward(z), WG_ERR_RUNTIME, want);
    }
}

static void test_S3_versions_and_dtypes(void **state) {
    (void)state;
    wg_options o = {.size = sizeof(o), .dtype = WG_FLOAT16, .has_dtype = true, .requires_grad = true};
    wg_tensor *y = times(wg_ones(WG_SCALAR_SHAPE, &o), 1), *z = wg_mul(y, y);
    wg_add_(y, wg_i(1));
    wg_mul_(y, wg_i(2));
    ASSERT_FAILS(wg_backward(z), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.HalfTensor []], which is output 0 of Mul, is at version 2; expected version 0 instead.");
    wg_tensor *x = LEAF(1, 2); /* a leaf has no maker */
    WG_NO_GRAD { wg_add_(x, wg_i(1)); }
    z = wg_mul(x, x);
    WG_NO_GRAD { wg_add_(x, wg_i(1)); }
    ASSERT_FAILS(wg_backward(wg_sum(z)), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [2]] is at version 2; expected version 1 instead.");
    assert_null(wg_grad_of(x));
}

/* ---- I3: names --------------------------------------------------------------------------------------------------- */

static void test_I3_names(void **state) {
    (void)state;
    wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true)), *v = LEAF(1, 2), *two = wg_i(2), *index;
    const struct {
        wg_tensor *t;
        const char *name;
    } rows[] = {
        {wg_sum(x), "SumBackward0"},
        {wg_sum(x, .dims = WG_DIMS(0)), "SumBackward1"},
        {wg_max_dim(x, 0, false, &index), "MaxBackward0"},
        {wg_max(x), "MaxBackward1"},
        {wg_pow(x, two), "PowBackward0"},
        {wg_pow(x, x), "PowBackward1"},
        {wg_pow(two, x), "PowBackward2"},
        {wg_rsub(x, wg_i(1)), "RsubBackward1"},
        {wg_clamp(x, wg_i(0), wg_i(1)), "ClampBackward1"},
        {wg_clamp(x, wg_zeros_like(x, NULL), NULL), "ClampBackward0"},
        {wg_matmul(x, x), "MmBackward0"},
        {wg_matmul(wg_expand(x, WG_SHAPE(3, 2, 2)), wg_expand(x, WG_SHAPE(3, 2, 2))), "UnsafeViewBackward0"},
        {wg_matmul(x, v), "MvBackward0"},
        {wg_matmul(v, x), "SqueezeBackward4"},
        {wg_matmul(v, v), "DotBackward0"},
        {wg_linear(x, x, v), "AddmmBackward0"},
        {wg_reshape(x, WG_SHAPE(4)), "ViewBackward0"},
        {wg_flatten(x, 0, -1), "ViewBackward0"},
        {wg_reshape(wg_t(x), WG_SHAPE(4)), "UnsafeViewBackward0"},
        {wg_norm(x), "LinalgVectorNormBackward0"},
        {wg_mT(x), "TransposeBackward0"},
        {wg_to(x, WG_FLOAT64), "ToCopyBackward0"},
        {wg_add_(times(x, 1), x), "AddBackward0"}, /* in place has no name of its own */
        {wg_floor_divide(x, two), "torch::autograd::NotImplemented"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ASSERT_GOOD(rows[i].t);
        assert_string_equal(wg_node_name(wg_grad_fn(rows[i].t)), rows[i].name);
    }
    assert_string_equal(wg_node_name(wg_grad_accumulator(x)), "torch::autograd::AccumulateGrad");
    assert_string_equal(wg_node_name(NULL), "");
}

/* ---- autograd ---------------------------------------------------------------------------------------------------- */

static void test_no_derivative(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_floor_divide(x, wg_i(2)), *z = wg_floor_divide(VEC(4, 4), x);
    assert_true(wg_requires_grad(y));
    ASSERT_GRAPH(z, "torch::autograd::NotImplemented(leaf)");
    wg_tensor *roots[] = {wg_sum(y), wg_sum(z)};
    for (int i = 0; i < 2; i++)
        ASSERT_FAILS(wg_backward(roots[i]), WG_ERR_RUNTIME, "derivative for aten::floor_divide is not implemented");
    assert_null(wg_grad_of(x));
}

static void test_in_place(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    ASSERT_POISON(wg_add_(x, wg_i(1)), WG_ERR_RUNTIME,
                  "a leaf Variable that requires grad is being used in an in-place operation.");
    ASSERT_POISON(wg_zero_(x), WG_ERR_RUNTIME,
                  "a leaf Variable that requires grad is being used in an in-place operation.");
    ASSERT_POISON(wg_fill_(wg_select(x, 0, 0), wg_i(1)), WG_ERR_RUNTIME,
                  "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    ASSERT_POISON(wg_add_(VEC(1, 1), ones(3, 2)), WG_ERR_RUNTIME,
                  "output with shape [2] doesn't match the broadcast shape [3, 2]");
    ASSERT_POISON(wg_add_(ints(1), wg_s(1.5)), WG_ERR_RUNTIME,
                  "result type Float can't be cast to the desired output type Long");
    ASSERT_POISON(
        wg_add_(wg_expand(VEC(1), WG_SHAPE(2)), wg_i(1)), WG_ERR_RUNTIME,
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation.");
    ASSERT_POISON(wg_copy_(VEC(1, 1, 1), VEC(1, 1)), WG_ERR_RUNTIME,
                  "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0");
    ASSERT_VALUES(x, 1, 2);
    assert_int_equal(wg_version_of(x), 0);
}

/* ---- reading values ---------------------------------------------------------------------------------------------- */

static void test_item_and_truth(void **state) {
    (void)state;
    double d = 5;
    int64_t i = 5;
    ASSERT_FAILS(wg_item(VEC(1, 2), &d), WG_ERR_RUNTIME, "a Tensor with 2 elements cannot be converted to Scalar");
    ASSERT_FAILS(wg_item_i(VEC(1, 2), &i), WG_ERR_RUNTIME, "a Tensor with 2 elements cannot be converted to Scalar");
    assert_true(d == 5 && i == 5);
    assert_int_equal(wg_truth(VEC(1, 2)), -1);
    ASSERT_ERROR(WG_ERR_RUNTIME, "Boolean value of Tensor with more than one value is ambiguous");
    assert_int_equal(wg_truth(wg_zeros(WG_SHAPE(0), NULL)), -1);
    ASSERT_ERROR(WG_ERR_RUNTIME, "Boolean value of Tensor with no values is ambiguous");
    ASSERT_OK(wg_item(LEAF(3), &d)); /* a gradient is no obstacle */
    assert_true(d == 3);
    assert_int_equal(wg_truth(LEAF(3)), 1);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static void test_shapes(void **state) {
    (void)state;
    const char *mm = "mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)";
    ASSERT_POISON(wg_mm(ones(2, 3), ones(2, 3)), WG_ERR_RUNTIME, mm);
    ASSERT_POISON(wg_matmul(ones(2, 3), ones(2, 3)), WG_ERR_RUNTIME, mm);
    ASSERT_POISON(wg_linear(ones(2, 3), ones(2, 2), VEC(1, 1)), WG_ERR_RUNTIME,
                  "addmm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x2)");
    ASSERT_POISON(wg_mv(ones(2, 3), VEC(1, 1)), WG_ERR_RUNTIME, "size mismatch, got input (2), mat (2x3), vec (2)");
    ASSERT_POISON(
        wg_dot(VEC(1, 1, 1), VEC(1, 1)), WG_ERR_RUNTIME,
        "inconsistent tensor size, expected tensor [3] and src [2] to have the same number of elements, but got 3 "
        "and 2 elements respectively");
    wg_tensor *batch = wg_ones(WG_SHAPE(2, 2, 3), NULL);
    ASSERT_POISON(wg_bmm(batch, batch), WG_ERR_RUNTIME,
                  "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [2, 2].");
    ASSERT_POISON(wg_add(VEC(1, 1), VEC(1, 1, 1)), WG_ERR_RUNTIME,
                  "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0");
    ASSERT_POISON(wg_view(wg_ones(WG_SHAPE(6), NULL), WG_SHAPE(4)), WG_ERR_RUNTIME,
                  "shape '[4]' is invalid for input of size 6");
    ASSERT_POISON(
        wg_view(wg_t(ones(2, 3)), WG_SHAPE(6)), WG_ERR_RUNTIME,
        "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
        "contiguous subspaces). Use .reshape(...) instead.");
    ASSERT_POISON(
        wg_expand(VEC(1, 1), WG_SHAPE(3)), WG_ERR_RUNTIME,
        "The expanded size of the tensor (3) must match the existing size (2) at non-singleton dimension 0.  Target "
        "sizes: [3].  Tensor sizes: [2]");
    ASSERT_POISON(
        wg_cat(WG_TENSORS(ones(2, 2), ones(2, 3)), 0), WG_ERR_RUNTIME,
        "Sizes of tensors must match except in dimension 0. Expected size 2 but got size 3 for tensor number 1 in the "
        "list.");
    ASSERT_POISON(wg_stack(WG_TENSORS(VEC(1, 1), VEC(1, 1, 1)), 0), WG_ERR_RUNTIME,
                  "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1");
    ASSERT_POISON(wg_permute(ones(2, 3), WG_SHAPE(0, 0)), WG_ERR_RUNTIME, "permute(): duplicate dims are not allowed.");
}

static void test_indices(void **state) {
    (void)state;
    wg_tensor *five = ints(5), *v = VEC(1, 2, 3);
    ASSERT_POISON(wg_sum(VEC(1, 1), .dims = WG_DIMS(2)), WG_ERR_INDEX,
                  "Dimension out of range (expected to be in range of [-1, 0], but got 2)");
    ASSERT_POISON(wg_squeeze_dim(ones(2, 2), 4), WG_ERR_INDEX,
                  "Dimension out of range (expected to be in range of [-2, 1], but got 4)");
    ASSERT_POISON(wg_select(ones(2, 3), 0, 5), WG_ERR_INDEX,
                  "select(): index 5 out of range for tensor of size [2, 3] at dimension 0");
    ASSERT_POISON(wg_select(wg_s(1), 0, 0), WG_ERR_INDEX, "select() cannot be applied to a 0-dim tensor.");
    ASSERT_POISON(wg_index(v, (wg_tensor *[]){five}, 1), WG_ERR_INDEX,
                  "index 5 is out of bounds for dimension 0 with size 3");
    ASSERT_POISON(wg_gather(v, 0, five), WG_ERR_RUNTIME, "index 5 is out of bounds for dimension 0 with size 3");
    ASSERT_POISON(wg_index_select(v, 0, five), WG_ERR_INDEX, "index out of range in self");
    ASSERT_POISON(wg_index(v, (wg_tensor *[]){five, five}, 2), WG_ERR_INDEX,
                  "too many indices for tensor of dimension 1");
    ASSERT_POISON(
        wg_max(wg_zeros(WG_SHAPE(0), NULL)), WG_ERR_RUNTIME,
        "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
        "'dim' argument.");
    ASSERT_POISON(wg_argmax_all(wg_zeros(WG_SHAPE(0), NULL)), WG_ERR_INDEX,
                  "argmax(): Expected reduction dim to be specified for input.numel() == 0.");
    ASSERT_POISON(wg_argmin(ones(0, 2), 0, false), WG_ERR_INDEX,
                  "argmin(): Expected reduction dim 0 to have non-zero size.");
    ASSERT_POISON(wg_amax(ones(0, 2)), WG_ERR_RUNTIME, "amax(): Expected reduction dim to be specified");
    ASSERT_POISON(wg_amax(ones(0, 2), .dims = WG_DIMS(0)), WG_ERR_INDEX,
                  "amax(): Expected reduction dim 0 to have non-zero size.");
    ASSERT_POISON(wg_nll_loss(ones(1, 3), five), WG_ERR_INDEX, "Target 5 is out of bounds.");
}

/* ---- dtypes ------------------------------------------------------------------------------------------------------ */

static void test_dtypes(void **state) {
    (void)state;
    wg_tensor *wide = wg_to(ones(3, 2), WG_FLOAT64), *whole = wg_to(ones(3, 2), WG_INT64);
    ASSERT_POISON(wg_mm(ones(2, 3), wide), WG_ERR_RUNTIME,
                  "expected m1 and m2 to have the same dtype, but got: float != double");
    ASSERT_POISON(wg_mm(ones(2, 3), whole), WG_ERR_RUNTIME,
                  "expected m1 and m2 to have the same dtype, but got: float != long int");
    ASSERT_POISON(wg_dot(ones_of(2, WG_FLOAT32), ones_of(2, WG_FLOAT64)), WG_ERR_RUNTIME,
                  "dot : expected both vectors to have same dtype, but found Float and Double");
    ASSERT_POISON(wg_pow(ints(2), wg_i(-1)), WG_ERR_RUNTIME, "Integers to negative integer powers are not allowed.");
    ASSERT_POISON(wg_floor_divide(ints(2), wg_i(0)), WG_ERR_RUNTIME, "ZeroDivisionError"); /* so PyTorch names it */
    ASSERT_POISON(wg_remainder(ints(2), wg_i(0)), WG_ERR_RUNTIME, "ZeroDivisionError");
    ASSERT_POISON(wg_fmod(ints(2), wg_i(0)), WG_ERR_RUNTIME, "ZeroDivisionError");
    ASSERT_POISON(
        wg_mean(ints(2)), WG_ERR_NOT_IMPLEMENTED,
        "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: "
        "Long");
    ASSERT_POISON(wg_softmax(ints(2), 0), WG_ERR_NOT_IMPLEMENTED,
                  "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'");
    ASSERT_POISON(
        wg_sub(bools(), bools()), WG_ERR_NOT_IMPLEMENTED,
        "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
        "operator instead.");
    ASSERT_POISON(
        wg_sub(VEC(1, 1), bools()), WG_ERR_NOT_IMPLEMENTED,
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use "
        "the `~` or `logical_not()` operator instead.");
    ASSERT_POISON(
        wg_neg(bools()), WG_ERR_NOT_IMPLEMENTED,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
        "`~` or `logical_not()` operator instead.");
}

/* ---- the thread's error ------------------------------------------------------------------------------------------ */

static void test_the_first_error_stays(void **state) {
    (void)state;
    wg_tensor *bad = wg_add(VEC(1, 1), VEC(1, 1, 1)), *worse = wg_view(VEC(1, 1), WG_SHAPE(4)),
              *after = wg_mul(bad, worse);
    assert_true(wg_is_poison(bad) && wg_is_poison(worse) && wg_is_poison(after));
    assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
    assert_string_equal(wg_last_op(), "add");
    assert_true(wg_error_pending());
    double d;
    assert_int_equal(wg_item(VEC(1), &d), WG_ERR_RUNTIME); /* sinks fail while nobody looked */
    ASSERT_ERROR(WG_ERR_RUNTIME, "The size of tensor a (2) must match the size of tensor b (3)");
    assert_false(wg_error_pending());
    ASSERT_OK(wg_item(VEC(1), &d));
    static const char *const names[] = {"RuntimeError",        "TypeError",         "ValueError",  "IndexError",
                                        "NotImplementedError", "ZeroDivisionError", "MemoryError", "KeyboardInterrupt"};
    for (int i = 0; i < 8; i++) assert_string_equal(wg_status_name((wg_status)(WG_ERR_RUNTIME + i)), names[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_S3_makers), CHECK_TEST(test_S3_versions_and_dtypes),
        CHECK_TEST(test_I3_names),  CHECK_TEST(test_no_derivative),
        CHECK_TEST(test_in_place),  CHECK_TEST(test_item_and_truth),
        CHECK_TEST(test_shapes),    CHECK_TEST(test_indices),
        CHECK_TEST(test_dtypes),    CHECK_TEST(test_the_first_error_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
