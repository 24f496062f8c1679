/* Boxed calls of overloads, composites and in-place forms: values, dtypes, sizes and grad_fn names that PyTorch 2.15
 * gives for the same calls, its refusals, and which results are the input itself.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wengert/wengert.h"

static wg_tensor *x, *y, *i, *j; /* x, y: 2 by 2, float64, requiring gradients; i, j: int64 */
static void open_inputs(void) {
    x = wg_set_requires_grad(wg_from_data((const double[]){1.5, -2.25, 3, -0.5}, WG_FLOAT64, WG_SHAPE(2, 2), NULL),
                             true);
    y = wg_set_requires_grad(wg_from_data((const double[]){2, 0.75, -1.25, 4}, WG_FLOAT64, WG_SHAPE(2, 2), NULL), true);
    i = wg_from_data((const int64_t[]){7, -7, 9}, WG_INT64, WG_SHAPE(3), NULL);
    j = wg_from_data((const int64_t[]){2, 2, -4}, WG_INT64, WG_SHAPE(3), NULL);
}

#define T(tensor_)                                                                                                     \
    { .tag = WG_TAG_TENSOR, .v.t = (tensor_) }
#define INT(k)                                                                                                         \
    { .tag = WG_TAG_INT, .v.i = (k) }
#define NUM(d_)                                                                                                        \
    { .tag = WG_TAG_DOUBLE, .v.d = (d_) }
#define YES                                                                                                            \
    { .tag = WG_TAG_BOOL, .v.i = 1 }
#define NO                                                                                                             \
    { .tag = WG_TAG_BOOL, .v.i = 0 }
#define STR(s_)                                                                                                        \
    { .tag = WG_TAG_STRING, .v.s = (s_) }
#define NONE                                                                                                           \
    { .tag = WG_TAG_NONE }
#define INTS(...)                                                                                                      \
    {                                                                                                                  \
        .tag = WG_TAG_INTS, .n = sizeof((int64_t[]){__VA_ARGS__}) / 8, .v.ints = (const int64_t[]) { __VA_ARGS__ }     \
    }
#define NO_INTS                                                                                                        \
    { .tag = WG_TAG_INTS }

static wg_tensor *out[8];
static int made;
#define ARGS(...) (const wg_arg[]){__VA_ARGS__}, (int)(sizeof((const wg_arg[]){__VA_ARGS__}) / sizeof(wg_arg))
static wg_tensor *done(const char *name, const wg_arg *args, int nargs, int k) {
    if (wg_call_op(name, args, nargs, out, 8, &made) != WG_OK) fail_msg("%s: %s", name, wg_last_message());
    assert_true(k < made);
    return out[k];
}
/* The sizes as digits, "22"; the dtype; the node; the elements. */
static void check(const char *name, wg_tensor *r, const char *sizes, wg_dtype dtype, const char *node,
                  const double *want) {
    char got[16] = "";
    assert_false(wg_is_poison(r));
    for (int d = 0; d < wg_ndim(r); d++) got[d] = (char)('0' + wg_size(r, d));
    if (strcmp(got, sizes)) fail_msg("%s: sizes %s, not %s", name, got, sizes);
    if (wg_dtype_of(r) != dtype) fail_msg("%s: %s", name, wg_dtype_name(wg_dtype_of(r)));
    const char *fn = wg_grad_fn(r) ? wg_node_name(wg_grad_fn(r)) : "";
    if (strcmp(fn, node)) fail_msg("%s: grad_fn %s, not %s", name, fn, node);
    wg_tensor *flat = wg_reshape(wg_to(wg_detach(r), WG_FLOAT64), 1, (const int64_t[]){-1});
    for (int64_t k = 0; k < wg_numel(r); k++) {
        double v;
        assert_int_equal(wg_item(wg_select(flat, 0, k), &v), WG_OK);
        if (!(fabs(v - want[k]) <= 1e-14)) fail_msg("%s: element %d is %.17g, not %.17g", name, (int)k, v, want[k]);
    }
}
#define IS(k, sizes, dtype, node, values, name, ...)                                                                   \
    check(name, done(name, ARGS(__VA_ARGS__), k), sizes, WG_##dtype, node, (const double[])values)
#define V(...)                                                                                                         \
    { __VA_ARGS__ }

static void arithmetic(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        IS(0, "22", FLOAT64, "DivBackward2", V(0, -3, -3, -1), "div", T(x), T(y), STR("floor"));
        IS(0, "22", FLOAT64, "DivBackward2", V(0, -3, -2, 0), "div", T(x), T(y), STR("trunc"));
        IS(0, "22", FLOAT64, "DivBackward2", V(0, -2, 1, -1), "divide", T(x), INT(2), STR("floor"));
        IS(0, "22", FLOAT64, "DivBackward0", V(0.75, -1.125, 1.5, -0.25), "true_divide", T(x), INT(2));
        IS(0, "3", INT64, "", V(3, -4, -3), "div", T(i), T(j), STR("floor"));
        IS(0, "3", INT64, "", V(3, -3, -2), "div", T(i), T(j), STR("trunc"));
        IS(0, "3", INT64, "", V(13, -1, -3), "add", T(i), T(j), INT(3));
        IS(0, "22", FLOAT64, "SubBackward0", V(-2.5, -3.75, 5.5, -8.5), "sub", T(x), T(y), INT(2));
        IS(0, "22", FLOAT64, "SubBackward0", V(1.25, 3.125, 0.5, 2.25), "subtract", INT(2), T(x), NUM(0.5));
        IS(0, "22", FLOAT64, "RsubBackward0", V(-1, 5.25, -7.25, 5), "rsub", T(x), T(y), INT(2));
        IS(0, "22", FLOAT64, "RsubBackward1", V(0.5, 4.25, -1, 2.5), "rsub", T(x), INT(2));
        IS(0, "", INT64, "", V(5), "add", INT(2), INT(3));
        IS(0, "22", FLOAT64, "RoundBackward1", V(1.5, -2.2, 3, -0.5), "round", T(x), INT(1));
        IS(0, "22", FLOAT64, "RoundBackward0", V(2, -2, 3, 0), "round", T(x));
        IS(0, "22", FLOAT64, "PowBackward0", V(2.25, 5.0625, 9, 0.25), "square", T(x));
        IS(0, "22", FLOAT64, "MaximumBackward0", V(2, 0.75, 3, 4), "max", T(x), T(y));
        IS(0, "22", FLOAT64, "MinimumBackward0", V(1.5, -2.25, -1.25, -0.5), "min", T(x), T(y));
        IS(0, "22", FLOAT64, "ClampBackward1", V(1.5, 0, 3, 0), "clamp", T(x), INT(0));
        IS(0, "22", FLOAT64, "ClampBackward1", V(1, -2.25, 1, -0.5), "clamp", T(x), NONE, INT(1));
        IS(0, "22", FLOAT64, "ClampBackward1", V(1, -1, 1, -0.5), "clip", T(x), INT(-1), NUM(1));
        IS(0, "22", FLOAT64, "WhereBackward0", V(1.5, 0, 3, 0), "where", T(wg_gt(x, wg_i(0))), T(x), INT(0));
        IS(1, "2", INT64, "", V(0, 0), "where", T(wg_gt(x, wg_i(0))));
        IS(0, "1", INT64, "", V(0), "where", T(wg_i(1)));
        IS(0, "22", BOOL, "", V(1, 0, 0, 0), "isclose", T(x), T(y), INT(1));
        IS(0, "", BOOL, "", V(1), "allclose", T(x), T(x));
        IS(0, "", BOOL, "", V(0), "equal", T(x), T(y));
        IS(0, "22", FLOAT64, "IndexAddBackward0", V(1.5, -2.25, 7, 1), "index_add", T(x), INT(0),
           T(wg_full(WG_SHAPE(1), wg_i(1), WG_DTYPE(WG_INT64))), T(wg_narrow(y, 0, 0, 1)), INT(2));
    }
}

static void reductions(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        IS(0, "", FLOAT64, "SumBackward0", V(1.75), "sum", T(x));
        IS(0, "2", FLOAT64, "SumBackward1", V(4.5, -2.75), "sum", T(x), INT(0));
        IS(0, "", FLOAT64, "SumBackward1", V(1.75), "sum", T(x), INTS(0, 1));
        IS(0, "", FLOAT64, "SumBackward1", V(1.75), "sum", T(x), NO_INTS);
        IS(0, "", FLOAT32, "SumBackward0", V(1.75), "sum", T(x), {.tag = WG_TAG_DTYPE, .v.i = WG_FLOAT32});
        IS(0, "2", FLOAT64, "MeanBackward1", V(-0.375, 1.25), "mean", T(x), INT(1));
        IS(0, "", FLOAT64, "MeanBackward0", V(0.4375), "mean", T(x));
        IS(0, "", FLOAT64, "ProdBackward0", V(5.0625), "prod", T(x));
        IS(0, "2", FLOAT64, "ProdBackward1", V(-3.375, -1.5), "prod", T(x), INT(1));
        IS(0, "22", BOOL, "", V(1, 1, 1, 1), "any", T(x), NO_INTS);
        IS(0, "2", BOOL, "", V(1, 1), "all", T(x), INT(0));
        IS(0, "", BOOL, "", V(1), "any", T(x));
        IS(0, "1", UINT8, "", V(1), "all", T(wg_full(WG_SHAPE(1), wg_i(3), WG_DTYPE(WG_UINT8))), NO_INTS);
        IS(0, "2", FLOAT64, "VarBackward0", V(0.5625, 0.765625), "var", T(x), INT(0), NO);
        IS(0, "", FLOAT64, "VarBackward0", V(3.94921875), "var", T(x), NO);
        IS(0, "", FLOAT64, "VarBackward0", V(3.94921875), "var", T(x), NONE, INT(0));
        IS(0, "21", FLOAT64, "StdBackward0", V(2.6516504294495533, 2.4748737341529163), "std", T(x), INT(1), YES, YES);
        IS(0, "", FLOAT64, "LinalgVectorNormBackward0", V(4.0697051490249265), "norm", T(x));
        IS(0, "", FLOAT64, "LinalgVectorNormBackward0", V(7.25), "norm", T(x), INT(1));
        IS(0, "2", FLOAT64, "LinalgVectorNormBackward0", V(2.25, 3), "norm", T(x), NUM(INFINITY), INT(1));
        IS(0, "2", FLOAT64, "LinalgVectorNormBackward0", V(3.3541019662496847, 2.3048861143232218), "norm", T(x),
           STR("fro"), INT(0));
        IS(0, "2", FLOAT64, "MaxBackward0", V(3, -0.5), "max", T(x), INT(0));
        IS(1, "2", INT64, "", V(1, 1), "max", T(x), INT(0));
        IS(0, "", FLOAT64, "MinBackward1", V(-2.25), "min", T(x));
        IS(0, "22", FLOAT64, "SoftmaxBackward0",
           V(0.9770226300899744, 0.022977369910025615, 0.9706877692486436, 0.02931223075135632), "softmax", T(x),
           INT(1));
        IS(0, "22", INT64, "", V(1, 0, 1, 0), "argsort", T(x), INT(1));
        IS(0, "22", INT64, "", V(1, 1, 0, 0), "argsort", T(x), YES, INT(0), YES);
        IS(0, "22", FLOAT64, "SortBackward0", V(-2.25, 1.5, -0.5, 3), "sort", T(x));
        IS(0, "22", FLOAT64, "SortBackward1", V(-2.25, 1.5, -0.5, 3), "sort", T(x), NO);
        wg_tensor *soft = done("log_softmax", ARGS(T(x), INT(1), {.tag = WG_TAG_DTYPE, .v.i = WG_FLOAT32}), 0);
        assert_int_equal(wg_dtype_of(soft), WG_FLOAT32);
        assert_string_equal(wg_node_name(wg_grad_fn(soft)), "LogSoftmaxBackward0");
    }
}

static void views(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        IS(0, "221", FLOAT64, "ViewBackward0", V(1.5, -2.25, 3, -0.5), "unflatten", T(x), INT(1), INTS(2, -1));
        IS(0, "22", FLOAT64, "PermuteBackward0", V(1.5, 3, -2.25, -0.5), "movedim", T(x), INT(0), INT(1));
        IS(0, "22", FLOAT64, "PermuteBackward0", V(1.5, 3, -2.25, -0.5), "moveaxis", T(x), INTS(0, -1), INTS(1, 0));
        IS(0, "4", FLOAT64, "ViewBackward0", V(1.5, -2.25, 3, -0.5), "ravel", T(x));
        IS(0, "4", FLOAT64, "ViewBackward0", V(1.5, 3, -2.25, -0.5), "ravel", T(wg_t(x)));
        IS(0, "4", FLOAT64, "ViewBackward0", V(1.5, -2.25, 3, -0.5), "flatten", T(x));
        IS(0, "4", FLOAT64, "UnsafeViewBackward0", V(1.5, 3, -2.25, -0.5), "reshape", T(wg_t(x)), INTS(4));
        IS(1, "21", FLOAT64, "SplitWithSizesBackward0", V(-2.25, -0.5), "split", T(x), INTS(1, 1), INT(1));
        IS(1, "12", FLOAT64, "SplitBackward0", V(3, -0.5), "split", T(x), INT(1));
        IS(1, "12", FLOAT64, "SplitBackward0", V(3, -0.5), "chunk", T(x), INT(2));
        IS(0, "22", FLOAT64, "TransposeBackward0", V(1.5, 3, -2.25, -0.5), "swapaxes", T(x), INT(0), INT(1));
        IS(0, "22", FLOAT64, "TransposeBackward0", V(1.5, 3, -2.25, -0.5), "swapdims", T(x), INT(0), INT(1));
        IS(0, "22", FLOAT64, "TransposeBackward0", V(1.5, 3, -2.25, -0.5), "adjoint", T(x));
        IS(0, "21", FLOAT64, "SliceBackward0", V(-2.25, -0.5), "narrow", T(x), INT(1), INT(1), INT(1));
        IS(0, "122", FLOAT64, "ExpandBackward0", V(1.5, -2.25, 3, -0.5), "broadcast_to", T(x), INTS(1, 2, 2));
        IS(0, "4", FLOAT64, "ViewBackward0", V(1.5, -2.25, 3, -0.5), "view_as", T(x), T(wg_ones(WG_SHAPE(4), NULL)));
        IS(0, "4", FLOAT64, "ViewBackward0", V(1.5, -2.25, 3, -0.5), "reshape_as", T(x), T(wg_ones(WG_SHAPE(4), NULL)));
        IS(0, "122", FLOAT64, "ExpandBackward0", V(1.5, -2.25, 3, -0.5), "expand_as", T(x),
           T(wg_ones(WG_SHAPE(1, 2, 2), NULL)));
        wg_tensor *row = wg_unsqueeze(x, 0);
        IS(0, "22", FLOAT64, "SqueezeBackward0", V(1.5, -2.25, 3, -0.5), "squeeze", T(row));
        IS(0, "22", FLOAT64, "SqueezeBackward1", V(1.5, -2.25, 3, -0.5), "squeeze", T(row), INT(0));
        IS(0, "22", FLOAT64, "SqueezeBackward2", V(1.5, -2.25, 3, -0.5), "squeeze", T(row), INTS(0, 1));
        IS(0, "42", FLOAT64, "CatBackward0", V(1.5, -2.25, 3, -0.5, 2, 0.75, -1.25, 4), "concat",
           {.tag = WG_TAG_TENSORS, .n = 2, .v.ts = ((wg_tensor *const[]){x, y})});
    }
}

static void some_give_their_input_back(void **state) {
    (void)state;
    static const char *const names[] = {"positive", "conj", "resolve_conj", "contiguous"};
    WG_SCOPE {
        open_inputs();
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) assert_ptr_equal(done(names[k], ARGS(T(x)), 0), x);
        assert_ptr_equal(done("flatten", ARGS(T(x), INT(0), INT(0)), 0), x);
    }
}

/* On a clone w of x. */
#define WRITES(node, values, name, ...)                                                                                \
    do {                                                                                                               \
        wg_tensor *w = wg_clone(x);                                                                                    \
        wg_tensor *r = done(name, ARGS(T(w), __VA_ARGS__), 0);                                                         \
        assert_ptr_equal(r, w);                                                                                        \
        assert_int_equal(wg_version_of(w), 1);                                                                         \
        check(name, w, "22", WG_FLOAT64, node, (const double[])values);                                                \
    } while (0)
static void in_place_forms(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        wg_tensor *mask = wg_gt(x, wg_i(0)), *first = wg_zeros(WG_SHAPE(1), WG_DTYPE(WG_INT64)),
                  *row = wg_narrow(y, 0, 0, 1);
        WRITES("AddBackward0", V(5.5, -0.75, 0.5, 7.5), "add_", T(y), INT(2));
        WRITES("AddBackward0", V(3.5, -0.25, 5, 1.5), "add_", INT(1), INT(2));
        WRITES("SubBackward0", V(-2.5, -3.75, 5.5, -8.5), "sub_", T(y), INT(2));
        WRITES("MulBackward0", V(3, -4.5, 6, -1), "multiply_", INT(2));
        WRITES("DivBackward2", V(0, -1, 1, 0), "div_", INT(2), STR("trunc"));
        WRITES("DivBackward0", V(0.75, -1.125, 1.5, -0.25), "div_", INT(2));
        WRITES("ClampBackward1", V(1, -1, 1, -0.5), "clip_", INT(-1), INT(1));
        WRITES("MaskedFillBackward0", V(7, -2.25, 7, -0.5), "masked_fill_", T(mask), INT(7));
        WRITES("IndexFillBackward0", V(7, 7, 3, -0.5), "index_fill_", INT(0), T(first), INT(7));
        WRITES("IndexAddBackward0", V(5.5, -0.75, 3, -0.5), "index_add_", INT(0), T(first), T(row), INT(2));
        WRITES("FillBackward2", V(4, 4, 4, 4), "fill_", INT(4));
        WRITES("RoundBackward1", V(1.5, -2.2, 3, -0.5), "round_", INT(1));
        WRITES("RemainderBackward0", V(1.5, 1.75, 1, 1.5), "remainder_", INT(2));
        WRITES("torch::autograd::CopyBackwards", V(2, 0.75, -1.25, 4), "copy_", T(y));
        wg_tensor *w = wg_clone(x);
        check("square_", done("square_", ARGS(T(w)), 0), "22", WG_FLOAT64, "PowBackward0",
              (const double[]){2.25, 5.0625, 9, 0.25});
    }
}

static void refused(const char *name, const wg_arg *args, int nargs, wg_status code, const char *text) {
    wg_status st = wg_call_op(name, args, nargs, out, 8, &made);
    if (st != code || !strstr(wg_last_message(), text)) fail_msg("%s: %d, %s", name, st, wg_last_message());
    wg_clear_error();
}
/* What a NONE holds does not count. */
static void none_is_none(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        const wg_arg attr[] = {INTS(0), {.tag = WG_TAG_NONE, .v.i = 77}, {.tag = WG_TAG_NONE, .v.i = 77}};
        assert_int_equal(wg_op_apply(wg_op_find("sum"), &x, 1, attr, 3, out, 8, &made), WG_OK);
        check("sum", out[0], "2", WG_FLOAT64, "SumBackward1", (const double[]){4.5, -2.75});
        IS(0, "2", FLOAT64, "SumBackward1", V(4.5, -2.75), "sum", T(x), INT(0), {.tag = WG_TAG_NONE, .v.i = 77});
        refused("clamp", ARGS(T(x), {.tag = WG_TAG_NONE, .v.i = 77}), WG_ERR_RUNTIME, "At least one of");
        refused("clamp", ARGS(T(x), T(y), INT(1)), WG_ERR_TYPE, "clamp() received an invalid combination of arguments");
        IS(0, "22", FLOAT64, "ClampBackward0", V(2, 0.75, 3, 4), "clamp", T(x), T(y));
    }
}

static void refusals(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        wg_tensor *b = wg_ones(WG_SHAPE(2), WG_DTYPE(WG_BOOL)), *row = wg_ones(WG_SHAPE(3), NULL);
        refused("div", ARGS(T(x), T(y), STR("x")), WG_ERR_RUNTIME,
                "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'x'");
        refused("add", ARGS(T(i), T(j), NUM(1)), WG_ERR_RUNTIME,
                "For integral input tensors, argument alpha must not be a floating point number.");
        refused("sub", ARGS(T(i), T(j), YES), WG_ERR_RUNTIME, "Boolean alpha only supported for Boolean results.");
        refused("positive", ARGS(T(b)), WG_ERR_NOT_IMPLEMENTED, "The `+` operator, on a bool tensor is not supported.");
        refused("round", ARGS(T(i), INT(1)), WG_ERR_NOT_IMPLEMENTED, "\"round_cpu\" not implemented for 'Long'");
        refused("adjoint", ARGS(T(row)), WG_ERR_RUNTIME,
                "only supported on matrices or batches of matrices. Got 1-D tensor.");
        refused("unflatten", ARGS(T(x), INT(0), INTS(2, 2)), WG_ERR_RUNTIME,
                "unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 0 (2) in the input tensor");
        refused("unflatten", ARGS(T(x), INT(5), INTS(2)), WG_ERR_INDEX, "Dimension out of range");
        refused("unflatten", ARGS(T(x), INT(0), NO_INTS), WG_ERR_RUNTIME, "unflatten: sizes must be non-empty");
        refused(
            "movedim", ARGS(T(x), INTS(0), INTS(1, 0)), WG_ERR_RUNTIME,
            "movedim: Invalid source or destination dims: source ([0] dims) should contain the same number of dims as "
            "destination ([1, 0] dims)");
        refused("movedim", ARGS(T(x), INTS(0, 0), INTS(1, 0)), WG_ERR_RUNTIME,
                "movedim: repeated dim in `source` ([0, 0])");
        refused("norm", ARGS(T(x), STR("abc")), WG_ERR_RUNTIME, "linalg.matrix_norm: Order abc not supported.");
        refused("norm", ARGS(T(x), NONE, NONE, NO, {.tag = WG_TAG_DTYPE, .v.i = WG_FLOAT32}), WG_ERR_RUNTIME,
                "should be convertible without narrowing to the specified dtype (Float)");
        refused("max", ARGS(T(wg_zeros(WG_SHAPE(0), NULL)), INT(0)), WG_ERR_INDEX,
                "max(): Expected reduction dim 0 to have non-zero size.");
        refused("clamp", ARGS(T(x)), WG_ERR_RUNTIME, "torch.clamp: At least one of 'min' or 'max' must not be None");
        refused("add_", ARGS(T(x), T(y)), WG_ERR_RUNTIME,
                "a leaf Variable that requires grad is being used in an in-place operation");
        refused("as_strided", ARGS(T(x), INTS(2), INTS(1), INT(-1)), WG_ERR_RUNTIME,
                "Tensor: invalid storage offset -1");
        refused("as_strided", ARGS(T(x), INTS(2), INTS(1, 1)), WG_ERR_RUNTIME,
                "mismatch in length of strides and shape");
        refused("embedding", ARGS(T(x), T(wg_zeros(WG_SHAPE(1), WG_DTYPE(WG_INT64))), NONE, YES),
                WG_ERR_NOT_IMPLEMENTED, "not implemented");
    }
}

/* A comparison in place writes 0 and 1 in self's dtype. */
static void comparisons_in_place(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *t = wg_from_data((const double[]){1, 2, 0}, WG_FLOAT64, WG_SHAPE(3), NULL);
        wg_tensor *r = done("eq_", ARGS(T(t), NUM(2)), 0);
        assert_ptr_equal(r, t);
        check("eq_", t, "3", WG_FLOAT64, "", (const double[]){0, 1, 0});
        done("logical_not_", ARGS(T(t)), 0);
        check("logical_not_", t, "3", WG_FLOAT64, "", (const double[]){1, 0, 1});
        assert_int_equal(wg_version_of(t), 2);
    }
}

/* t_ and its kin change the shape of the handle, keep its identity and history, and count as a write. */
static void shapes_in_place(void **state) {
    (void)state;
    WG_SCOPE {
        open_inputs();
        wg_tensor *z = wg_mul(wg_cat((wg_tensor *const[]){x, x, x}, 3, 0), wg_s(2)), *r = done("t_", ARGS(T(z)), 0);
        assert_ptr_equal(r, z);
        assert_int_equal(wg_size(z, 0), 2);
        assert_int_equal(wg_size(z, 1), 6);
        assert_string_equal(wg_node_name(wg_grad_fn(z)), "TBackward1");
        assert_int_equal(wg_version_of(z), 1);
        done("unsqueeze_", ARGS(T(z), INT(0)), 0);
        assert_string_equal(wg_node_name(wg_grad_fn(z)), "UnsqueezeBackward1");
        assert_int_equal(wg_ndim(z), 3);
        done("squeeze_", ARGS(T(z)), 0);
        assert_string_equal(wg_node_name(wg_grad_fn(z)), "SqueezeBackward3");
        assert_int_equal(wg_ndim(z), 2);
        done("transpose_", ARGS(T(z), INT(0), INT(1)), 0);
        assert_int_equal(wg_backward(wg_sum(wg_mul(z, z))), WG_OK);
        double g[4];
        assert_int_equal(wg_copy_out(wg_grad_of(x), WG_FLOAT64, g, sizeof(g)), WG_OK);
        assert_true(g[0] == 3 * 8 * 1.5 && g[3] == 3 * 8 * -0.5);
        refused("t_", ARGS(T(x)), WG_ERR_RUNTIME,
                "a leaf Variable that requires grad is being used in an in-place operation");
        assert_true(wg_is_poison(wg_take_geometry_(z, wg_t(x))));
        wg_clear_error();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),      cmocka_unit_test(reductions),
        cmocka_unit_test(views),           cmocka_unit_test(some_give_their_input_back),
        cmocka_unit_test(in_place_forms),  cmocka_unit_test(none_is_none),
        cmocka_unit_test(refusals),        cmocka_unit_test(comparisons_in_place),
        cmocka_unit_test(shapes_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
