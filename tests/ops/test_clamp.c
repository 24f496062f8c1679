/* test_clamp.c - clamp's bounds: numbers and tensors, one-sided, crossed, nan, beyond the dtype's range; and
 * elementwise ops of integers at the ends of their range, where PyTorch wraps, refuses or promotes.
 */
#include <math.h>

#include "support/facts.h"

static wg_tensor *reals(void) { return NUMBERS(-2, -1, 0, 1, 2, NAN, INFINITY); }
static wg_tensor *leaf(void) { return wg_set_requires_grad(NUMBERS(-2, -1, 0, 1, 2), true); }
static wg_tensor *of(wg_dtype d, int64_t a, int64_t b, int64_t c) { return wg_to(AT(a, b, c), d); }

/* ---- clamp ------------------------------------------------------------------------------------------------------- */

static void clamp_by_numbers(void **state) {
    (void)state;
    wg_tensor *x = reals(), *l = leaf(), *whole = of(WG_INT32, -5, 0, 5), *flags = of(WG_BOOL, 0, 1, 0);
    IS(wg_clamp(x, wg_s(-1), wg_s(1)), "float64 (7): -1 -1 0 1 1 nan 1");
    IS(wg_clamp(x, wg_i(0), NULL), "float64 (7): 0 0 0 1 2 nan inf");
    IS(wg_clamp(x, NULL, wg_s(0.5)), "float64 (7): -2 -1 0 0.5 0.5 nan 0.5");
    IS(wg_clamp(x, wg_s(1), wg_s(-1)),
       "float64 (7): -1 -1 -1 -1 -1 nan -1"); /* crossed: the greater bound has the last word */
    IS(wg_clamp(x, wg_s(NAN), wg_s(1)), "float64 (7): nan nan nan nan nan nan nan");
    IS(wg_clamp(x, NULL, wg_s(NAN)), "float64 (7): nan nan nan nan nan nan nan");
    IS(wg_clamp(x, wg_s(-INFINITY), wg_s(INFINITY)), "float64 (7): -2 -1 0 1 2 nan inf");
    IS(wg_clamp(whole, wg_i(-1), wg_i(1)), "int32 (3): -1 0 1");
    IS(wg_clamp(whole, wg_s(-1.5), NULL), "float32 (3): -1.5 0 5");
    IS(wg_clamp(flags, wg_i(-1), wg_i(3)), "int64 (3): 0 1 0");
    IS(wg_clamp_min(x, wg_s(0.5)), "float64 (7): 0.5 0.5 0.5 1 2 nan inf");
    IS(wg_clamp_max(whole, wg_i(-1)), "int32 (3): -5 -1 -1");
    IS(wg_clamp(CELL(7), wg_i(0), wg_i(3)), "float64 (): 3");
    IS(wg_clamp(NOTHING(WG_FLOAT32), wg_i(0), NULL), "float32 (0):");
    GRAD(wg_clamp(l, wg_s(-1), wg_s(1)), l, "float64 (5): 0 0 3 0 0");
    GRAD(wg_clamp(l, wg_s(1), wg_s(-1)), l, "float64 (5): 0 0 0 0 0");
    GRAD(wg_clamp_min(l, wg_s(0)), l, "float64 (5): 0 0 0 4 5");
    GRAD(wg_clamp_max(l, wg_s(0)), l, "float64 (5): 1 2 0 0 0");
    NO_FACT_WRONG;
}
/* A bound that holds everything is an error, one that holds nothing back is none. */
static void clamp_beyond_the_range(void **state) {
    (void)state;
    wg_tensor *u = of(WG_UINT8, 0, 1, 100), *c = of(WG_INT8, -100, 1, 100), *f = COUNT(WG_FLOAT32, 2),
              *h = COUNT(WG_FLOAT16, 2);
    IS(wg_clamp(u, wg_i(-1), wg_i(1)), "uint8 (3): 0 1 1");
    IS(wg_clamp(u, wg_i(-300), wg_i(300)), "uint8 (3): 0 1 100");
    IS(wg_clamp_min(u, wg_i(-1)), "uint8 (3): 0 1 100");
    IS(wg_clamp(c, wg_i(-300), wg_i((int64_t)1 << 40)), "int8 (3): -100 1 100");
    IS(wg_clamp_(wg_clone(u), wg_i(-1), wg_i(1)), "uint8 (3): 0 1 1");
    IS(wg_clamp(f, wg_s(-INFINITY), wg_s(INFINITY)), "float32 (2): 0 1");
    REFUSED(wg_clamp(u, NULL, wg_i(-1)), WG_ERR_RUNTIME,
            "Clamp max value -1 is outside the representable range of Byte");
    REFUSED(wg_clamp(u, wg_i(300), wg_i(5)), WG_ERR_RUNTIME,
            "Clamp min value 300 is outside the representable range of Byte");
    REFUSED(wg_clamp_max(c, wg_i(-300)), WG_ERR_RUNTIME,
            "Clamp max value -300 is outside the representable range of Char");
    REFUSED(wg_clamp_min(of(WG_INT32, 0, 1, 2), wg_i((int64_t)1 << 40)), WG_ERR_RUNTIME,
            "Clamp min value 1.09951e+12 is outside the representable range of Int");
    REFUSED(wg_clamp(f, wg_s(1e300), NULL), WG_ERR_RUNTIME, "value cannot be converted to type float without overflow");
    REFUSED(wg_clamp_max(h, wg_s(70000)), WG_ERR_RUNTIME,
            "value cannot be converted to type c10::Half without overflow");
    REFUSED(wg_clamp(AT(1), wg_s(1e300), NULL), WG_ERR_RUNTIME,
            "value cannot be converted to type float without overflow");
    REFUSED(wg_clamp(f, NULL, NULL), WG_ERR_RUNTIME, "torch.clamp: At least one of 'min' or 'max' must not be None");
    REFUSED(wg_clamp_(of(WG_INT32, 0, 1, 2), wg_s(0.5), NULL), WG_ERR_RUNTIME, "result type Float can't be cast to");
    NO_FACT_WRONG;
}
static void clamp_by_tensors(void **state) {
    (void)state;
    wg_tensor *x = reals(), *low = NUMBERS(-1, -1, 0, NAN, -1, -1, -1), *l = leaf();
    wg_tensor *lo = wg_set_requires_grad(NUMBERS(-1, -1, 0, 0, 3), true), *hi = wg_set_requires_grad(CELL(1), true);
    IS(wg_clamp(x, low, CELL(1)), "float64 (7): -1 -1 0 nan 1 nan 1");
    IS(wg_clamp(x, NULL, low), "float64 (7): -2 -1 0 nan -1 nan -1");
    IS(wg_clamp(RESHAPED(NUMBERS(1, 5), 2, 1), NUMBERS(2, 0), NULL), "float64 (2, 2): 2 1 5 5");
    IS(wg_clamp(AT(1, 5), NUMBERS(2, 0), NULL), "float64 (2): 2 5");
    IS(wg_clamp(COUNT(WG_FLOAT32, 2), AT(1, 1), AT(1, 1)), "float32 (2): 1 1");
    /* on a bound it and x have half each; both bounds at x: all is x's */
    GRAD(wg_clamp(l, lo, hi), l, "float64 (5): 0 1 1.5 2 0");
    GRAD(wg_clamp(l, lo, hi), lo, "float64 (5): 1 1 1.5 0 0");
    GRAD(wg_clamp(l, lo, hi), hi, "float64 (): 7");
    GRAD(wg_clamp(l, lo, NULL), l, "float64 (5): 0 1 1.5 4 0");
    GRAD(wg_clamp_max(l, hi), hi, "float64 (): 7");
    REFUSED(wg_clamp(x, NUMBERS(1, 2), NULL), WG_ERR_RUNTIME,
            "The size of tensor a (7) must match the size of tensor b (2) at non-singleton dimension 0");
    NO_FACT_WRONG;
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */

static void integers_wrap(void **state) {
    (void)state;
    wg_tensor *c = of(WG_INT8, -128, 127, 3), *u = of(WG_UINT8, 0, 255, 3);
    IS(wg_add(c, c), "int8 (3): 0 -2 6");
    IS(wg_mul(c, c), "int8 (3): 0 1 9");
    IS(wg_neg(c), "int8 (3): -128 -127 -3");
    IS(wg_abs(c), "int8 (3): -128 127 3");
    IS(wg_neg(u), "uint8 (3): 0 1 253");
    IS(wg_sub(u, wg_i(1)), "uint8 (3): 255 254 2");
    IS(wg_rsub(u, wg_i(1)), "uint8 (3): 1 2 254");
    IS(wg_add(u, wg_i(300)), "uint8 (3): 44 43 47");
    IS(wg_square(u), "uint8 (3): 0 1 9");
    IS(wg_sign(c), "int8 (3): -1 1 1");
    IS(wg_sum(c), "int64 (): 2");
    IS(wg_pow(c, wg_i(7)), "int8 (3): 0 127 -117");
    IS(wg_pow(c, of(WG_INT8, -1, -2, 0)), "int8 (3): 0 0 1"); /* exponents in a tensor: 1/x, cut off */
    IS(wg_add(of(WG_INT64, INT64_MAX, INT64_MIN, 0), wg_i(-1)), "int64 (3): 9.2234e+18 9.2234e+18 -1");
    NO_FACT_WRONG;
}
static void integers_divide(void **state) {
    (void)state;
    wg_tensor *x = of(WG_INT32, -7, 7, -8), *y = of(WG_INT32, 2, -2, 3), *zero = of(WG_INT32, 1, 0, 1);
    wg_tensor *least = of(WG_INT64, INT64_MIN, 1, 1), *minus = of(WG_INT64, -1, -1, -1);
    IS(wg_div(x, y), "float32 (3): -3.5 -3.5 -2.6667");
    IS(wg_floor_divide(x, y), "int32 (3): -4 -4 -3");
    IS(wg_remainder(x, y), "int32 (3): 1 -1 1");
    IS(wg_fmod(x, y), "int32 (3): -1 1 -2");
    IS(wg_div(x, zero), "float32 (3): -7 inf -8");
    IS(wg_remainder(least, minus), "int64 (3): 0 0 0");
    IS(wg_fmod(least, minus), "int64 (3): 0 0 0");
    IS(wg_remainder(x, wg_s(2.5)), "float32 (3): 0.5 2 2");
    IS(wg_floor_divide(of(WG_BOOL, 1, 0, 1), wg_i(1)), "int64 (3): 1 0 1");
    REFUSED(wg_floor_divide(x, zero), WG_ERR_RUNTIME, "ZeroDivisionError");
    REFUSED(wg_remainder(x, wg_i(0)), WG_ERR_RUNTIME, "ZeroDivisionError");
    REFUSED(wg_fmod(x, wg_b(false)), WG_ERR_RUNTIME, "ZeroDivisionError");
    /* 2^40 is 0 as int32 */
    REFUSED(wg_floor_divide(x, wg_i((int64_t)1 << 40)), WG_ERR_RUNTIME, "ZeroDivisionError");
    IS(wg_floor_divide(NOTHING(WG_INT32), wg_i(0)), "int32 (0):");
    NO_FACT_WRONG;
}
static void integers_shift_and_mask(void **state) {
    (void)state;
    wg_tensor *c = of(WG_INT8, -128, 127, 1), *u = of(WG_UINT8, 255, 2, 1), *flags = of(WG_BOOL, 1, 0, 1);
    IS(wg_bitwise_left_shift(c, of(WG_INT8, 1, 1, 7)), "int8 (3): 0 -2 -128");
    IS(wg_bitwise_left_shift(c, of(WG_INT8, 8, -1, 100)), "int8 (3): 0 0 0");
    IS(wg_bitwise_right_shift(c, of(WG_INT8, 1, 7, 8)), "int8 (3): -64 0 0");
    IS(wg_bitwise_right_shift(c, of(WG_INT8, -1, -1, -1)), "int8 (3): -1 0 0");
    IS(wg_bitwise_right_shift(u, wg_i(1)), "uint8 (3): 127 1 0");
    IS(wg_bitwise_and(c, wg_i(3)), "int8 (3): 0 3 1");
    IS(wg_bitwise_xor(flags, wg_b(true)), "bool (3): 0 1 0");
    IS(wg_bitwise_not(flags), "bool (3): 0 1 0");
    IS(wg_bitwise_not(u), "uint8 (3): 0 253 254");
    IS(wg_bitwise_or(u, c), "int16 (3): -1 127 1");
    REFUSED(wg_bitwise_and(NUMBERS(1), wg_i(1)), WG_ERR_NOT_IMPLEMENTED,
            "\"bitwise_and_cpu\" not implemented for 'Double'");
    NO_FACT_WRONG;
}
static void integers_and_truth(void **state) {
    (void)state;
    wg_tensor *whole = of(WG_INT16, -3, 0, 4), *flags = of(WG_BOOL, 1, 0, 1);
    IS(wg_exp(of(WG_INT64, 0, 1, -1)), "float32 (3): 1 2.7183 0.36788");
    IS(wg_reciprocal(whole), "float32 (3): -0.33333 inf 0.25");
    IS(wg_sqrt(whole), "float32 (3): nan 0 2");
    IS(wg_floor(whole), "int16 (3): -3 0 4");
    IS(wg_relu(whole), "int16 (3): 0 0 4");
    IS(wg_isnan(whole), "bool (3): 0 0 0");
    IS(wg_logical_not(whole), "bool (3): 0 1 0");
    IS(wg_logical_xor(whole, flags), "bool (3): 0 0 0");
    IS(wg_maximum(whole, flags), "int16 (3): 1 0 4");
    IS(wg_add(flags, flags), "bool (3): 1 0 1");
    IS(wg_mul(flags, whole), "int16 (3): -3 0 4");
    IS(wg_eq(whole, wg_s(4)), "bool (3): 0 0 1");
    REFUSED(wg_neg(flags), WG_ERR_NOT_IMPLEMENTED, "Negation, the `-` operator, on a bool tensor is not supported.");
    REFUSED(wg_sub(flags, flags), WG_ERR_NOT_IMPLEMENTED,
            "Subtraction, the `-` operator, with two bool tensors is not supported.");
    REFUSED(wg_pow(whole, wg_i(-1)), WG_ERR_RUNTIME, "Integers to negative integer powers are not allowed.");
    REFUSED(wg_pow(of(WG_INT8, 1, 2, 3), wg_i(300)), WG_ERR_RUNTIME,
            "value cannot be converted to type int8_t without overflow");
    REFUSED(wg_pow(flags, flags), WG_ERR_NOT_IMPLEMENTED, "\"pow\" not implemented for 'Bool'");
    REFUSED(wg_add_(whole, wg_s(0.5)), WG_ERR_RUNTIME,
            "result type Float can't be cast to the desired output type Short");
    NO_FACT_WRONG;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FACT_TEST(clamp_by_numbers),   FACT_TEST(clamp_beyond_the_range), FACT_TEST(clamp_by_tensors),
        FACT_TEST(integers_wrap),      FACT_TEST(integers_divide),        FACT_TEST(integers_shift_and_mask),
        FACT_TEST(integers_and_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
