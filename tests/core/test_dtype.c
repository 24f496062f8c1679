/* test_dtype.c - element types: names, sizes, promotion as a lattice, the default; 16-bit floats and conversions by
 * their definition. What PyTorch gives for mixed operands and for conversions is in tests/golden.
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

enum { DTYPES = 10 };

/* ---- what dtypes say of themselves
 * ----------------------------------------------------------------------------------- */

static void names_and_sizes(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        bool floating, integral;
    } want[DTYPES] = {{"bool", 1, false, false},   {"uint8", 1, false, true},    {"int8", 1, false, true},
                      {"int16", 2, false, true},   {"int32", 4, false, true},    {"int64", 8, false, true},
                      {"float16", 2, true, false}, {"bfloat16", 2, true, false}, {"float32", 4, true, false},
                      {"float64", 8, true, false}};
    for (int d = 0; d < DTYPES; d++) {
        assert_string_equal(wg_dtype_name((wg_dtype)d), want[d].name);
        assert_int_equal(wg_dtype_size((wg_dtype)d), want[d].size);
        assert_int_equal(wg_dtype_is_floating((wg_dtype)d), want[d].floating);
        assert_int_equal(wg_dtype_is_integral((wg_dtype)d), want[d].integral);
    }
    for (int d = -2; d < 300; d++) { /* reserved, and no dtype at all */
        if (d >= 0 && d < DTYPES) continue;
        assert_int_equal(wg_dtype_size((wg_dtype)d), 0);
        assert_false(wg_dtype_is_floating((wg_dtype)d));
        assert_false(wg_dtype_is_integral((wg_dtype)d));
        assert_int_equal(wg_promote_types((wg_dtype)d, WG_FLOAT32), WG_DTYPE_NONE);
        assert_int_equal(wg_promote_types(WG_FLOAT32, (wg_dtype)d), WG_DTYPE_NONE);
        assert_non_null(wg_dtype_name((wg_dtype)d));
    }
    assert_string_equal(wg_dtype_name(WG_COMPLEX64), "complex64");
    assert_string_equal(wg_dtype_name((wg_dtype)77), "unknown");
}

static void promotion_is_symmetric_and_idempotent(void **state) {
    (void)state;
    for (int a = 0; a < DTYPES; a++)
        for (int b = 0; b < DTYPES; b++) {
            wg_dtype p = wg_promote_types((wg_dtype)a, (wg_dtype)b);
            assert_int_equal(p, wg_promote_types((wg_dtype)b, (wg_dtype)a));
            assert_int_equal(wg_promote_types(p, (wg_dtype)a), p);
            assert_int_equal(wg_dtype_is_floating(p),
                             wg_dtype_is_floating((wg_dtype)a) || wg_dtype_is_floating((wg_dtype)b));
        }
}

static void the_default_is_a_floating_dtype(void **state) {
    (void)state;
    static const wg_dtype refused[] = {WG_BOOL,        WG_UINT8,      WG_INT64,    WG_COMPLEX64,
                                       WG_FLOAT8_E5M2, WG_DTYPE_NONE, (wg_dtype)99};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        const char *sentence = "only floating-point types are supported as the default type";
        assert_int_equal(wg_set_default_dtype(refused[i]), WG_ERR_TYPE);
        assert_int_equal(wg_last_status(), WG_ERR_TYPE);
        assert_memory_equal(wg_last_message(), sentence, strlen(sentence));
        assert_int_equal(wg_default_dtype(), WG_FLOAT32);
    }
}

/* ---- 16-bit floats
 * --------------------------------------------------------------------------------------------------- */

enum { PATTERNS = 65536 };

static wg_tensor *all_patterns(wg_dtype d) {
    uint16_t bits[PATTERNS];
    for (int i = 0; i < PATTERNS; i++) bits[i] = (uint16_t)i;
    return wg_from_data(bits, d, WG_SHAPE(PATTERNS), NULL);
}

/* From the fields of the format: 1 sign bit, exponent bits, mantissa bits. */
static double decoded(uint16_t bits, int exponent_bits) {
    int mantissa_bits = 15 - exponent_bits, top = (1 << exponent_bits) - 1, bias = top >> 1;
    int exponent = bits >> mantissa_bits & top, mantissa = bits & ((1 << mantissa_bits) - 1);
    double v = exponent == top ? (mantissa ? NAN : INFINITY)
               : exponent      ? ldexp(1 + ldexp(mantissa, -mantissa_bits), exponent - bias)
                               : ldexp(mantissa, 1 - bias - mantissa_bits);
    return bits & 0x8000 ? -v : v;
}

static void every_half_means_what_its_fields_say(void **state) {
    (void)state;
    static double v[PATTERNS];
    static uint16_t back[PATTERNS];
    const wg_dtype types[] = {WG_FLOAT16, WG_BFLOAT16}, through[] = {WG_FLOAT32, WG_FLOAT64};
    for (int k = 0; k < 4; k++) WG_SCOPE {
            wg_dtype d = types[k / 2];
            wg_tensor *x = all_patterns(d), *wide = wg_to(x, through[k % 2]);
            assert_int_equal(wg_copy_out(wide, WG_FLOAT64, v, sizeof v), WG_OK);
            assert_int_equal(wg_copy_out(wg_to(wide, d), d, back, sizeof back), WG_OK);
            for (int i = 0; i < PATTERNS; i++) {
                double want = decoded((uint16_t)i, d == WG_FLOAT16 ? 5 : 8);
                if (isnan(want)) {
                    assert_true(isnan(v[i]));
                    assert_true(isnan(decoded(back[i], d == WG_FLOAT16 ? 5 : 8)));
                    continue;
                }
                assert_memory_equal(&v[i], &want, sizeof want); /* with the sign of zero */
                assert_int_equal(back[i], i);
            }
        }
}

/* The nearest 16-bit float, of two equally near the one whose last bit is 0: its neighbours are not nearer. */
static bool nearest(float f, uint16_t h, int exponent_bits) {
    double got = decoded(h, exponent_bits), error = fabs(got - (double)f);
    uint16_t magnitude = h & 0x7fff, infinity = (uint16_t)(((1 << exponent_bits) - 1) << (15 - exponent_bits));
    if ((h & 0x8000) != (signbit(f) ? 0x8000 : 0)) return false;
    if (magnitude > infinity) return false;
    for (int step = -1; step <= 1; step += 2) {
        int other = magnitude + step;
        if (other < 0 || other > infinity) continue;
        double v = decoded((uint16_t)((h & 0x8000) | other), exponent_bits);
        if (isinf(v) || isinf(got)) { /* infinity stands where the next number would be */
            double edge = ldexp(2 - ldexp(1, exponent_bits - 16), (1 << (exponent_bits - 1)) - 1);
            return isinf(got) ? fabs((double)f) >= edge : fabs((double)f) < edge;
        }
        double theirs = fabs(v - (double)f);
        if (theirs < error || (theirs == error && (h & 1))) return false;
    }
    return true;
}

static void rounding_to_16_bits_is_to_nearest_even(void **state) {
    (void)state;
    enum { N = 200000 };
    static float f[N];
    static uint16_t h[N];
    uint64_t seed = 88172645463325252u;
    for (int k = 0; k < 2; k++) {
        wg_dtype d = k ? WG_BFLOAT16 : WG_FLOAT16;
        for (int i = 0; i < N; i++) {
            uint32_t bits;
            do {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                bits = (uint32_t)(seed >> 32);
                if (i % 4 == 1) bits = (bits & 0x80ffffff) | 0x38000000; /* about a half's range */
                if (i % 4 == 2) bits &= k ? 0xffff8000 : 0xfffff000;     /* ties */
                if (i % 4 == 3) bits = (bits & 0x8fffffff) | (bits & 1 ? 0x47000000 : 0x33000000); /* its edges */
                memcpy(&f[i], &bits, 4);
            } while (isnan(f[i]) || isinf(f[i]));
        }
        WG_SCOPE {
            wg_tensor *x = wg_from_data(f, WG_FLOAT32, WG_SHAPE(N), NULL);
            assert_int_equal(wg_copy_out(x, d, h, sizeof h), WG_OK);
        }
        for (int i = 0; i < N; i++)
            if (!nearest(f[i], h[i], k ? 8 : 5)) fail_msg("%s of %a is %04x", wg_dtype_name(d), (double)f[i], h[i]);
    }
}

/* ---- conversions
 * ------------------------------------------------------------------------------------------------------- */

/* Integers that both types hold arrive unchanged, in every layout. */
static void small_integers_survive_every_conversion(void **state) {
    (void)state;
    int64_t v[60], got[60];
    for (int from = 1; from < DTYPES; from++)
        for (int to = 1; to < DTYPES; to++) WG_SCOPE {
                bool negative = from != WG_UINT8 && to != WG_UINT8;
                for (int i = 0; i < 60; i++) v[i] = negative ? i * 4 - 120 : i * 2;
                wg_tensor *x = wg_to(wg_from_data(v, WG_INT64, WG_SHAPE(6, 10), NULL), (wg_dtype)from);
                wg_tensor *y = wg_to(wg_t(x), (wg_dtype)to); /* strided in, same strides out */
                assert_int_equal(wg_dtype_of(y), to);
                assert_int_equal(wg_copy_out(wg_t(y), WG_INT64, got, sizeof got), WG_OK);
                assert_memory_equal(got, v, sizeof v);
            }
}

static void to_the_same_dtype_is_the_tensor_itself(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++) WG_SCOPE {
            wg_tensor *x = wg_ones(WG_SHAPE(2), WG_DTYPE((wg_dtype)d));
            assert_ptr_equal(wg_to(x, (wg_dtype)d), x);
        }
    WG_SCOPE {
        assert_true(wg_is_poison(wg_to(wg_ones(WG_SHAPE(2), NULL), WG_COMPLEX64)));
        assert_int_equal(wg_last_status(), WG_ERR_NOT_IMPLEMENTED);
        wg_clear_error();
    }
}

/* W5: gradients flow between floating dtypes and come back in the leaf's; an integer between cuts them. */
static void casts_and_gradients(void **state) {
    (void)state;
    for (int from = WG_FLOAT16; from <= WG_FLOAT64; from++)
        for (int to = 0; to < DTYPES; to++) WG_SCOPE {
                wg_tensor *x = wg_full(WG_SHAPE(3), wg_s(2),
                                       WG_OPT(.dtype = (wg_dtype)from, .has_dtype = true, .requires_grad = true));
                wg_tensor *y = wg_to(x, (wg_dtype)to);
                assert_int_equal(wg_requires_grad(y), wg_dtype_is_floating((wg_dtype)to));
                if (!wg_dtype_is_floating((wg_dtype)to)) continue;
                assert_int_equal(wg_backward(wg_sum(wg_mul(y, y))), WG_OK);
                double g[3];
                assert_int_equal(wg_dtype_of(wg_grad_of(x)), from);
                assert_int_equal(wg_copy_out(wg_grad_of(x), WG_FLOAT64, g, sizeof g), WG_OK);
                assert_true(g[0] == 4 && g[1] == 4 && g[2] == 4);
            }
}

/* x * 1.0039 of a 16-bit float is rounded once, from a product with 1.0039, not with 1.0039 rounded (which is 1 in
 * bfloat16): out of place, in place, in vmap, backward, strided. */
static wg_tensor *times(void *user, wg_tensor *const *in, int n) {
    return (void)user, (void)n, wg_mul(in[0], wg_s(1.0039));
}
static void numbers_meet_16_bit_floats_unrounded(void **state) {
    (void)state;
    const double want = 201; /* 200 * 1.0039 = 200.78 */
    double v[2], scale;
    WG_SCOPE {
        const wg_options *o = WG_OPT(.dtype = WG_BFLOAT16, .has_dtype = true, .requires_grad = true);
        wg_tensor *x = wg_full(WG_SHAPE(2), wg_i(200), o), *y = wg_mul(x, wg_s(1.0039));
        int64_t dim = 0;
        assert_int_equal(wg_copy_out(y, WG_FLOAT64, v, sizeof v), WG_OK);
        assert_true(v[0] == want && v[1] == want);
        wg_tensor *strided = wg_slice(wg_full(WG_SHAPE(4), wg_i(200), WG_DTYPE(WG_BFLOAT16)), 0, 0, 4, 2);
        assert_int_equal(wg_copy_out(wg_mul_(strided, wg_s(1.0039)), WG_FLOAT64, v, sizeof v), WG_OK);
        assert_true(v[0] == want && v[1] == want);
        assert_int_equal(wg_item(wg_select(wg_div(wg_detach(x), wg_s(1.0039)), 0, 0), &scale), WG_OK);
        assert_true(scale == 199); /* 199.22 */
        wg_tensor *mapped = wg_vmap(times, NULL, &x, &dim, 1, 0), *plain = times(NULL, &x, 1);
        bool same = false;
        assert_int_equal(wg_equal(mapped, plain, &same), WG_OK);
        assert_true(same);
        assert_int_equal(wg_backward_with(y, wg_full(WG_SHAPE(2), wg_i(200), WG_DTYPE(WG_BFLOAT16))), WG_OK);
        assert_int_equal(wg_copy_out(wg_grad_of(x), WG_FLOAT64, v, sizeof v), WG_OK);
        assert_true(v[0] == want && v[1] == want);
    }
}

static size_t mark;
static int open_scope(void **state) {
    (void)state;
    mark = wg_scope_open();
    return 0;
}
static int live(void **state) {
    (void)state;
    wg_scope_close(mark);
    wg_clear_error();
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors || m.live_nodes;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, live)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(names_and_sizes),
        TEST(promotion_is_symmetric_and_idempotent),
        TEST(the_default_is_a_floating_dtype),
        TEST(every_half_means_what_its_fields_say),
        TEST(rounding_to_16_bits_is_to_nearest_even),
        TEST(small_integers_survive_every_conversion),
        TEST(to_the_same_dtype_is_the_tensor_itself),
        TEST(casts_and_gradients),
        TEST(numbers_meet_16_bit_floats_unrounded),
    };
    return cmocka_run_group_tests_name("dtypes", tests, NULL, NULL);
}
