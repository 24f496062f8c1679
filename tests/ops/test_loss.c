/* test_loss.c - nll_loss, cross_entropy and mse_loss: classes in one to five dims, weights, ignored targets, smoothing,
 * probabilities as targets, every reduction, nothing at all; and what they refuse, in PyTorch's words.
 */
#include <math.h>

#include "support/facts.h"

static wg_tensor *scores(void) { return RESHAPED(NUMBERS(0.5, -1, 2, 0, 0.25, -0.5), 2, 3); }
static wg_tensor *leaf(void) { return wg_set_requires_grad(scores(), true); }
static wg_tensor *weights(void) { return NUMBERS(1, 0.5, 2); }
#define NONE .has_reduction = true, .reduction = WG_REDUCE_NONE
#define SUM .has_reduction = true, .reduction = WG_REDUCE_SUM
#define IGNORE(k) .has_ignore_index = true, .ignore_index = (k)

/* ---- nll_loss ---------------------------------------------------------------------------------------------------- */

static void nll_values(void **state) {
    (void)state;
    wg_tensor *x = scores(), *l = leaf(), *t = AT(2, 0), *w = weights();
    IS(wg_nll_loss(x, t), "float64 (): -1");
    IS(wg_nll_loss(x, t, .weight = w), "float64 (): -1.3333");
    IS(wg_nll_loss(x, t, .weight = w, NONE), "float64 (2): -4 -0");
    IS(wg_nll_loss(x, t, .weight = w, SUM), "float64 (): -4");
    IS(wg_nll_loss(x, t, IGNORE(0)), "float64 (): -2");
    IS(wg_nll_loss(x, AT(-100, 1), NONE), "float64 (2): 0 -0.25");
    IS(wg_nll_loss(x, AT(-100, -100)), "float64 (): nan");
    IS(wg_nll_loss(x, AT(-100, -100), SUM), "float64 (): 0");
    IS(wg_nll_loss(x, AT(77, 0), IGNORE(77)), "float64 (): 0");
    IS(wg_nll_loss(x, t, .weight = wg_zeros_like(w, NULL)), "float64 (): nan");
    IS(wg_nll_loss(x, wg_to(t, WG_UINT8)), "float64 (): -1");
    IS(wg_nll_loss(wg_to(x, WG_FLOAT16), t), "float16 (): -1");
    IS(wg_nll_loss(NUMBERS(1, 2, 3), AT0(1)), "float64 (): -2");
    IS(wg_nll_loss(NUMBERS(1, 2, 3), AT(1), NONE), "float64 (): -2"); /* one class number in a vector will do */
    GRAD(wg_nll_loss(l, t, .weight = w), l, "float64 (2, 3): 0 0 -0.66667 -0.33333 0 0");
    GRAD(wg_nll_loss(l, t, .weight = w, NONE), l, "float64 (2, 3): 0 0 -2 -2 0 0");
    GRAD(wg_nll_loss(l, t, IGNORE(2)), l, "float64 (2, 3): 0 0 0 -1 0 0");
    NO_FACT_WRONG;
}
static void nll_in_more_dims(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 1, 2, 3), *t = RESHAPED(AT(0, 1, 1), 1, 3), *images = RESHAPED(x, 1, 2, 3, 1);
    wg_tensor *l = LEAF(1, 2, 3);
    IS(wg_nll_loss(x, t), "float64 (): -3");
    IS(wg_nll_loss(x, t, NONE), "float64 (1, 3): -0 -4 -5");
    IS(wg_nll_loss(images, RESHAPED(t, 1, 3, 1), NONE), "float64 (1, 3, 1): -0 -4 -5");
    IS(wg_nll_loss(RESHAPED(x, 1, 2, 1, 3, 1), RESHAPED(t, 1, 1, 3, 1), IGNORE(1)), "float64 (): 0");
    GRAD(wg_nll_loss(l, t, .weight = NUMBERS(1, 3)), l, "float64 (1, 2, 3): -0.14286 0 0 0 -0.42857 -0.42857");
    NO_FACT_WRONG;
}
static void nll_of_nothing(void **state) {
    (void)state;
    wg_tensor *x = wg_zeros(WG_SHAPE(0, 3), NULL), *t = NOTHING(WG_INT64);
    IS(wg_nll_loss(x, t), "float32 (): nan");
    IS(wg_nll_loss(x, t, SUM), "float32 (): 0");
    IS(wg_nll_loss(x, t, NONE), "float32 (0):");
    IS(wg_nll_loss(wg_zeros(WG_SHAPE(2, 3, 0), NULL), wg_zeros(WG_SHAPE(2, 0), WG_DTYPE(WG_INT64))), "float32 (): nan");
    REFUSED(wg_nll_loss(wg_zeros(WG_SHAPE(2, 0), NULL), AT(0, 0)), WG_ERR_INDEX, "Target 0 is out of bounds.");
    NO_FACT_WRONG;
}
static void nll_refusals(void **state) {
    (void)state;
    wg_tensor *x = scores(), *t = AT(2, 0), *v = NUMBERS(1, 2, 3), *c = COUNT(WG_FLOAT64, 2, 3, 2),
              *images = COUNT(WG_FLOAT64, 2, 3, 2, 2), *w = weights();
    REFUSED(wg_nll_loss(x, AT(3, 0)), WG_ERR_INDEX, "Target 3 is out of bounds.");
    REFUSED(wg_nll_loss(x, AT(-1, 0)), WG_ERR_INDEX, "Target -1 is out of bounds.");
    REFUSED(wg_nll_loss(x, AT(1, 0, 0)), WG_ERR_VALUE, "Expected input batch_size (2) to match target batch_size (3).");
    REFUSED(wg_nll_loss(x, AT0(1)), WG_ERR_VALUE, "Expected input batch_size (2) to match target batch_size (0).");
    REFUSED(wg_nll_loss(x, RESHAPED(t, 2, 1)), WG_ERR_RUNTIME,
            "0D or 1D target tensor expected, multi-target not supported");
    REFUSED(wg_nll_loss(v, AT(1, 2)), WG_ERR_VALUE, "For 1D input, 1D target must have size 1, but got target size: 2");
    REFUSED(wg_nll_loss(CELL(1), AT0(0)), WG_ERR_VALUE, "Expected 1 or more dimensions (got 0)");
    REFUSED(wg_nll_loss(c, COUNT(WG_INT64, 2, 2, 2)), WG_ERR_RUNTIME, "Expected target size [2, 2], got [2, 2, 2]");
    REFUSED(wg_nll_loss(images, COUNT(WG_INT64, 2, 2)), WG_ERR_RUNTIME,
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: 2");
    REFUSED(wg_nll_loss(images, COUNT(WG_INT64, 2, 1, 2)), WG_ERR_RUNTIME,
            "size mismatch (got input: [2, 3, 2, 2] , target: [2, 1, 2]");
    REFUSED(wg_nll_loss(x, NUMBERS(1, 0)), WG_ERR_RUNTIME, "expected target dtype to be Long or Byte, but got Double");
    REFUSED(wg_nll_loss(x, wg_to(t, WG_INT32)), WG_ERR_RUNTIME,
            "expected target dtype to be Long or Byte, but got Int");
    REFUSED(wg_nll_loss(wg_to(x, WG_INT64), t), WG_ERR_NOT_IMPLEMENTED,
            "\"nll_loss_out_frame\" not implemented for 'Long'");
    REFUSED(
        wg_nll_loss(x, t, .weight = NUMBERS(1, 2)), WG_ERR_RUNTIME,
        "weight tensor should be defined either for all 3 classes or no classes but got weight tensor of shape: [2]");
    REFUSED(wg_nll_loss(x, t, .weight = wg_to(w, WG_FLOAT32)), WG_ERR_RUNTIME,
            "expected scalar type Double but found Float");
    REFUSED(
        wg_nll_loss(x, t, .weight = wg_set_requires_grad(weights(), true)), WG_ERR_RUNTIME,
        "The function 'nll_loss_forward' is not differentiable with respect to argument 'weight'. This input cannot "
        "have requires_grad True.");
    NO_FACT_WRONG;
}

/* ---- cross_entropy ----------------------------------------------------------------------------------------------- */

static void cross_entropy_of_classes(void **state) {
    (void)state;
    wg_tensor *x = scores(), *l = leaf(), *t = AT(2, 0), *w = weights();
    IS(wg_cross_entropy(x, t), "float64 (): 0.65138");
    IS(wg_cross_entropy(x, t, NONE), "float64 (2): 0.24131 1.0614");
    IS(wg_cross_entropy(x, t, .weight = w), "float64 (): 0.51469");
    IS(wg_cross_entropy(x, t, .weight = w, IGNORE(2)), "float64 (): 1.0614");
    IS(wg_cross_entropy(x, t, .label_smoothing = 0.1), "float64 (): 0.73055");
    IS(wg_cross_entropy(x, t, .label_smoothing = 1), "float64 (): 1.443");
    IS(wg_cross_entropy(x, t, .label_smoothing = 0.1, .weight = w, NONE), "float64 (2): 0.56251 1.1083");
    IS(wg_cross_entropy(x, t, .label_smoothing = 0.1, .weight = w, IGNORE(0)), "float64 (): 0.28126");
    IS(wg_cross_entropy(x, AT(-100, -100), .label_smoothing = 0.1), "float64 (): nan");
    IS(wg_cross_entropy(wg_mul(x, wg_s(1e4)), t, NONE), "float64 (2): -0 2500");
    IS(wg_cross_entropy(NUMBERS(-INFINITY, 0), AT0(0)), "float64 (): inf");
    IS(wg_cross_entropy(NUMBERS(INFINITY, 0), AT0(0)), "float64 (): nan");
    IS(wg_cross_entropy(wg_zeros(WG_SHAPE(0, 3), NULL), NOTHING(WG_INT64)), "float32 (): nan");
    GRAD(wg_cross_entropy(l, t), l, "float64 (2, 3): 0.087645 0.019556 -0.1072 -0.32702 0.22211 0.10492");
    GRAD(wg_cross_entropy(l, t, .weight = w, .label_smoothing = 0.1), l,
         "float64 (2, 3): 0.10088 0.019433 -0.12031 -0.19387 0.14498 0.048887");
    GRAD(wg_cross_entropy(l, AT(-100, -100), SUM), l, "float64 (2, 3): 0 0 0 0 0 0");
    NO_FACT_WRONG;
}
static void cross_entropy_of_probabilities(void **state) {
    (void)state;
    wg_tensor *x = scores(), *l = leaf(), *p = RESHAPED(NUMBERS(0.5, 0.25, 0.25, 0, 0, 1), 2, 3), *w = weights();
    wg_tensor *lp = wg_set_requires_grad(wg_clone(p), true), *lw = wg_set_requires_grad(weights(), true);
    IS(wg_cross_entropy(x, p), "float64 (): 1.6514");
    IS(wg_cross_entropy(x, p, NONE), "float64 (2): 1.7413 1.5614");
    IS(wg_cross_entropy(x, p, SUM, .weight = w), "float64 (): 4.5194");
    IS(wg_cross_entropy(x, p, .label_smoothing = 0.1, .weight = w), "float64 (): 2.1743");
    IS(wg_cross_entropy(NUMBERS(1, 2), NUMBERS(0.5, 0.5)), "float64 (): 0.81326");
    GRAD(wg_cross_entropy(l, p), l, "float64 (2, 3): -0.16235 -0.10544 0.2678 0.17298 0.22211 -0.39508");
    GRAD(wg_cross_entropy(scores(), lp), lp, "float64 (2, 3): 0.87066 1.6207 0.12066 0.53072 0.40572 0.78072");
    GRAD(wg_cross_entropy(scores(), p, .weight = lw), lw, "float64 (3): 0.43533 0.40516 0.81089");
    NO_FACT_WRONG;
}
static void cross_entropy_refusals(void **state) {
    (void)state;
    wg_tensor *x = scores(), *p = wg_softmax(x, 1), *t = AT(2, 0);
    REFUSED(wg_cross_entropy(x, wg_to(p, WG_INT64)), WG_ERR_RUNTIME,
            "Expected floating point type for target with class probabilities, got Long");
    REFUSED(wg_cross_entropy(x, wg_narrow(p, 0, 0, 1)), WG_ERR_VALUE,
            "Expected input batch_size (2) to match target batch_size (1).");
    REFUSED(wg_cross_entropy(x, NUMBERS(1, 0)), WG_ERR_RUNTIME,
            "expected target dtype to be Long or Byte, but got Double");
    REFUSED(wg_cross_entropy(x, p, IGNORE(1)), WG_ERR_RUNTIME,
            "ignore_index is not supported for floating point target");
    IS(wg_cross_entropy(x, p, IGNORE(-1), SUM), "float64 (): 1.6769");
    REFUSED(
        wg_cross_entropy(x, p, .weight = NUMBERS(1, 2)), WG_ERR_RUNTIME,
        "cross_entropy: weight tensor should be defined either for all 3 classes or no classes but got weight tensor "
        "of shape: [2]");
    REFUSED(wg_cross_entropy(x, t, .label_smoothing = 1.5), WG_ERR_RUNTIME,
            "label_smoothing must be between 0.0 and 1.0. Got: 1.5");
    REFUSED(wg_cross_entropy(x, AT(3, 0)), WG_ERR_INDEX, "Target 3 is out of bounds.");
    REFUSED(wg_cross_entropy(CELL(1), AT0(0)), WG_ERR_RUNTIME,
            "Expected floating point type for target with class probabilities, got Long");
    REFUSED(wg_cross_entropy(NULL, t), WG_ERR_TYPE, "cross_entropy(): input and target must be Tensors");
    NO_FACT_WRONG;
}

/* ---- mse_loss ---------------------------------------------------------------------------------------------------- */

static void mse(void **state) {
    (void)state;
    wg_tensor *x = scores(), *y = COUNT(WG_FLOAT64, 2, 3), *l = leaf(),
              *row = wg_set_requires_grad(NUMBERS(1, 2, 3), true);
    IS(wg_mse_loss(x, y), "float64 (): 9.5938");
    IS(wg_mse_loss(x, y, SUM), "float64 (): 57.562");
    IS(wg_mse_loss(x, y, NONE), "float64 (2, 3): 0.25 4 0 9 14.062 30.25");
    IS(wg_mse_loss(x, wg_to(y, WG_INT32), SUM), "float64 (): 57.562");
    IS(wg_mse_loss(wg_to(x, WG_FLOAT32), y, SUM), "float64 (): 57.562");
    IS(wg_mse_loss(x, NUMBERS(1, 2, 3), NONE), "float64 (2, 3): 0.25 9 1 1 3.0625 12.25");
    IS(wg_mse_loss(NOTHING(WG_FLOAT64), NOTHING(WG_FLOAT64)), "float64 (): nan");
    IS(wg_mse_loss(NOTHING(WG_FLOAT64), NOTHING(WG_FLOAT64), SUM), "float64 (): 0");
    GRAD(wg_mse_loss(l, y), l, "float64 (2, 3): 0.16667 -0.66667 0 -1 -1.25 -1.8333");
    GRAD(wg_mse_loss(y, row, SUM), row, "float64 (3): -2 -2 -2");
    GRAD(wg_mse_loss(l, l), l, "float64 (2, 3): 0 0 0 0 0 0");
    REFUSED(wg_mse_loss(x, NUMBERS(1, 2)), WG_ERR_RUNTIME,
            "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
    REFUSED(wg_mse_loss(wg_to(x, WG_INT64), wg_to(y, WG_INT64)), WG_ERR_NOT_IMPLEMENTED,
            "\"mse_cpu\" not implemented for 'Long'");
    NO_FACT_WRONG;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FACT_TEST(nll_values),
        FACT_TEST(nll_in_more_dims),
        FACT_TEST(nll_of_nothing),
        FACT_TEST(nll_refusals),
        FACT_TEST(cross_entropy_of_classes),
        FACT_TEST(cross_entropy_of_probabilities),
        FACT_TEST(cross_entropy_refusals),
        FACT_TEST(mse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
