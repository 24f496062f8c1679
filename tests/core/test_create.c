/* test_create.c - tensors from data, from foreign memory and from nothing: contents, options, strides of the _like
 * functions, the default dtype, and what is refused. Values of sequences are in tests/golden/test_create.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wengert/wengert.h"

enum { DTYPES = 10 };
#define L(...)                                                                                                         \
    (const int64_t[]) { __VA_ARGS__ }

/* ---- helpers -------------------------------------------------------------------------------------------------------
 */

static int line;

static void check_refused(const wg_tensor *t, wg_status status, const char *sentence) {
    wg_status got = wg_last_status();
    const char *message = wg_last_message();
    if (!wg_is_poison(t)) fail_msg("line %d: no error", line);
    if (got != status || strncmp(message, sentence, strlen(sentence)) != 0)
        fail_msg("line %d: %s: %s\n  instead of %s: %s", line, wg_status_name(got), message, wg_status_name(status),
                 sentence);
}
#define refused(t, status, sentence) (line = __LINE__, check_refused(t, status, sentence))

static void check_values(const wg_tensor *t, wg_dtype dtype, int n, const double *values) {
    double got[64];
    if (wg_is_poison(t)) fail_msg("line %d: %s", line, wg_last_message());
    if (wg_dtype_of(t) != dtype) fail_msg("line %d: %s", line, wg_dtype_name(wg_dtype_of(t)));
    if (wg_numel(t) != n) fail_msg("line %d: %d elements", line, (int)wg_numel(t));
    assert_int_equal(wg_copy_out(t, WG_FLOAT64, got, sizeof(double) * (size_t)n), WG_OK);
    for (int i = 0; i < n; i++)
        if (got[i] != values[i]) fail_msg("line %d: element %d is %g, not %g", line, i, got[i], values[i]);
}
#define VALUES(t, dtype, ...)                                                                                          \
    (line = __LINE__,                                                                                                  \
     check_values(t, dtype, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (const double[]){__VA_ARGS__}))

/* ---- from data
 * ------------------------------------------------------------------------------------------------------- */

static void from_data(void **state) {
    (void)state;
    float x[] = {1, 2, 3, 4, 5, 6};
    WG_SCOPE {
        wg_tensor *t = wg_from_data(x, WG_FLOAT32, WG_SHAPE(2, 3), NULL);
        x[0] = 9; /* copied */
        VALUES(t, WG_FLOAT32, 1, 2, 3, 4, 5, 6);
        assert_true(wg_is_contiguous(t) && !wg_is_view(t) && !wg_requires_grad(t));
        assert_int_equal(wg_size(t, -1), 3);
        assert_int_equal(wg_version_of(t), 0);
        VALUES(wg_from_data(x + 1, WG_FLOAT32, WG_SCALAR_SHAPE, NULL), WG_FLOAT32, 2);
        assert_int_equal(wg_numel(wg_from_data(NULL, WG_INT64, WG_SHAPE(3, 0), NULL)), 0);
        VALUES(wg_from_data(x + 1, WG_FLOAT32, WG_SHAPE(2), WG_DTYPE(WG_INT16)), WG_INT16, 2, 3);
        wg_tensor *leaf = wg_from_data(L(1, 2), WG_INT64, WG_SHAPE(2),
                                       WG_OPT(.dtype = WG_FLOAT64, .has_dtype = true, .requires_grad = true));
        VALUES(leaf, WG_FLOAT64, 1, 2);
        assert_true(wg_requires_grad(leaf) && wg_is_leaf(leaf));
    }
}

/* Any byte but 0 is true, and is stored as 1: kernels count on it. */
static void bools_are_0_or_1(void **state) {
    (void)state;
    const uint8_t bytes[] = {0, 1, 2, 255};
    WG_SCOPE {
        wg_tensor *t = wg_from_data(bytes, WG_BOOL, WG_SHAPE(4), NULL);
        assert_memory_equal(wg_const_data(t), ((uint8_t[]){0, 1, 1, 1}), 4);
        VALUES(wg_sum(t), WG_INT64, 3);
    }
}

static void refusals(void **state) {
    (void)state;
    float x = 1;
    WG_SCOPE {
        refused(wg_from_data(NULL, WG_FLOAT32, WG_SHAPE(1), NULL), WG_ERR_TYPE, "from_data: the data are NULL");
        refused(wg_from_data(&x, WG_COMPLEX64, WG_SHAPE(1), NULL), WG_ERR_NOT_IMPLEMENTED,
                "from_data: torch.complex64");
        refused(wg_from_data(&x, WG_DTYPE_NONE, WG_SHAPE(1), NULL), WG_ERR_NOT_IMPLEMENTED, "from_data: torch.unknown");
        refused(wg_zeros(WG_SHAPE(1), WG_DTYPE((wg_dtype)-3)), WG_ERR_NOT_IMPLEMENTED, "zeros: torch.unknown");
        refused(wg_ones(WG_SHAPE(1), WG_DTYPE(WG_UINT16)), WG_ERR_NOT_IMPLEMENTED, "ones: torch.uint16");
        refused(wg_ones(WG_SHAPE(1), WG_OPT(.device = {WG_CUDA, 0})), WG_ERR_RUNTIME, "ones: only the cpu exists");
        refused(wg_ones(WG_SHAPE(1), WG_OPT(.device = {WG_CPU, 1})), WG_ERR_RUNTIME, "ones: only the cpu exists");
        refused(wg_ones(WG_SHAPE(1), &(wg_options){.requires_grad = true}), WG_ERR_VALUE, "wg_options.size is not set");
        refused(wg_full(WG_SHAPE(2), NULL, NULL), WG_ERR_TYPE, "full: the fill value is NULL");
        refused(wg_full(WG_SHAPE(2), wg_ones(WG_SHAPE(2), NULL), NULL), WG_ERR_RUNTIME,
                "full: the fill value must have");
        refused(wg_zeros_like(NULL, NULL), WG_ERR_TYPE, "zeros_like(): argument 1 must be Tensor, not None");
        refused(wg_full_like(NULL, wg_s(1), NULL), WG_ERR_TYPE, "full_like(): argument 1 must be Tensor, not None");
        refused(wg_arange(wg_i(0), NULL, wg_i(1), NULL), WG_ERR_TYPE, "arange(): start, end and step must be numbers");
        refused(wg_arange(wg_i(0), wg_i(2), wg_i(1), WG_DTYPE(WG_BOOL)), WG_ERR_NOT_IMPLEMENTED,
                "\"arange_cpu\" not implemented for 'Bool'");
        refused(wg_linspace(0, 1, 2, WG_DTYPE(WG_BOOL)), WG_ERR_NOT_IMPLEMENTED,
                "\"linspace_cpu\" not implemented for 'Bool'");
        refused(wg_eye(-1, -1, NULL), WG_ERR_RUNTIME, "n must be greater or equal to 0, got -1");
        wg_dtype integral[] = {WG_BOOL, WG_UINT8, WG_INT8, WG_INT16, WG_INT32, WG_INT64};
        for (int i = 0; i < 6; i++)
            refused(wg_zeros(WG_SHAPE(1), WG_OPT(.dtype = integral[i], .has_dtype = true, .requires_grad = true)),
                    WG_ERR_RUNTIME, "Only Tensors of floating point and complex dtype can require gradients");
        wg_tensor *bad = wg_zeros(WG_SHAPE(-1), NULL); /* poison in, poison out, and the first error stays */
        assert_true(wg_is_poison(wg_zeros_like(bad, NULL)) && wg_is_poison(wg_full(WG_SHAPE(1), bad, NULL)));
        assert_true(wg_is_poison(wg_arange(wg_i(0), bad, wg_i(1), NULL)) &&
                    wg_is_poison(wg_full_like(bad, wg_i(1), NULL)));
        refused(bad, WG_ERR_RUNTIME, "zeros: Dimension size must be non-negative.");
    }
}

/* ---- foreign memory
 * ---------------------------------------------------------------------------------------------------- */

static void count_release(void *user) { ++*(int *)user; }

static void foreign_memory_outlives_its_first_tensor(void **state) {
    (void)state;
    int released = 0;
    wg_tensor *column = NULL;
    double x[6] = {0, 1, 2, 3, 4, 5};
    WG_SCOPE {
        wg_tensor *t = wg_from_memory(WG_FLOAT64, WG_SHAPE(2, 3),
                                      WG_MEMORY(.data = x, .release = count_release, .user = &released));
        assert_ptr_equal(wg_data(t), x);
        column = wg_keep(wg_select(t, 1, 1));
    }
    assert_int_equal(released, 0);
    x[4] = 40; /* shared */
    VALUES(column, WG_FLOAT64, 1, 40);
    assert_false(wg_is_poison(wg_add_(column, wg_s(1))));
    assert_true(x[1] == 2 && x[4] == 41);
    wg_release(column);
    assert_int_equal(released, 1);
}

static void foreign_strides_and_alignment(void **state) {
    (void)state;
    unsigned char bytes[1 + 4 * 6];
    float v[6] = {0, 1, 2, 3, 4, 5};
    int64_t negative[2] = {-3, 1};
    memcpy(bytes + 1, v, sizeof v);
    WG_SCOPE {
        wg_tensor *odd = wg_from_memory(WG_FLOAT32, WG_SHAPE(3, 2), WG_MEMORY(.data = bytes + 1, .strides = L(1, 3)));
        VALUES(odd, WG_FLOAT32, 0, 3, 1, 4, 2, 5);
        VALUES(wg_add(odd, odd), WG_FLOAT32, 0, 6, 2, 8, 4, 10);
        VALUES(wg_sum(odd, .dims = WG_DIMS(0)), WG_FLOAT32, 3, 12);
        assert_false(wg_is_poison(wg_mul_(odd, wg_s(2))));
        memcpy(v, bytes + 1, sizeof v);
        assert_true(v[1] == 2 && v[5] == 10);
        wg_tensor *flipped = wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), WG_MEMORY(.data = v + 3, .strides = negative));
        VALUES(flipped, WG_FLOAT32, 6, 8, 10, 0, 2, 4);
        VALUES(wg_neg(flipped), WG_FLOAT32, -6, -8, -10, 0, -2, -4);
    }
}

static void foreign_refusals(void **state) {
    (void)state;
    int released = 0;
    float x[6] = {0};
    int64_t wide[2] = {4, 1}, huge[2] = {INT64_MAX, INT64_MAX};
#define MEMORY(...) WG_MEMORY(.release = count_release, .user = &released, __VA_ARGS__)
    WG_SCOPE {
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), NULL), WG_ERR_VALUE, "wg_memory.size is not set");
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), MEMORY(.data = x, .bytes = 20)), WG_ERR_RUNTIME,
                "from_memory: the shape reaches bytes 0 to 24");
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), MEMORY(.data = x, .bytes = 24, .strides = wide)),
                WG_ERR_RUNTIME, "from_memory: the shape reaches bytes 0 to 28");
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), MEMORY(.data = x, .strides = huge)), WG_ERR_RUNTIME,
                "Storage size calculation overflowed");
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2, 3), MEMORY(.data = NULL)), WG_ERR_TYPE,
                "from_memory: the data are NULL");
        refused(wg_from_memory(WG_FLOAT32, WG_SHAPE(2), MEMORY(.data = x, .device = {WG_CUDA, 0})), WG_ERR_RUNTIME,
                "from_memory: only the cpu exists");
        assert_int_equal(released, 5); /* each time the memory was handed over */
        wg_tensor *constant = wg_from_memory(WG_FLOAT32, WG_SHAPE(6), MEMORY(.data = x, .read_only = true));
        assert_null(wg_data(constant));
        assert_ptr_equal(wg_const_data(constant), x);
        refused(wg_add_(constant, wg_s(1)), WG_ERR_RUNTIME, "cannot write to a tensor over read-only memory");
        refused(wg_zero_(wg_slice(constant, 0, 0, 2, 1)), WG_ERR_RUNTIME,
                "cannot write to a tensor over read-only memory");
        assert_int_equal(wg_copy_in(constant, WG_FLOAT32, x, sizeof x), WG_ERR_RUNTIME);
        wg_clear_error();
        VALUES(wg_add(constant, wg_s(1)), WG_FLOAT32, 1, 1, 1, 1, 1, 1);
    }
    assert_int_equal(released, 6);
}

/* ---- from nothing
 * ------------------------------------------------------------------------------------------------------ */

static void every_dtype(void **state) {
    (void)state;
    for (int d = 0; d < DTYPES; d++) WG_SCOPE {
            const wg_options *o = WG_DTYPE((wg_dtype)d);
            VALUES(wg_zeros(WG_SHAPE(2, 2), o), (wg_dtype)d, 0, 0, 0, 0);
            VALUES(wg_ones(WG_SHAPE(3), o), (wg_dtype)d, 1, 1, 1);
            VALUES(wg_full(WG_SHAPE(2), wg_b(true), o), (wg_dtype)d, 1, 1);
            VALUES(wg_eye(2, 3, o), (wg_dtype)d, 1, 0, 0, 0, 1, 0);
            assert_int_equal(wg_dtype_of(wg_empty(WG_SHAPE(2), o)), d);
            wg_tensor *x = wg_t(wg_ones(WG_SHAPE(2, 3), o));
            VALUES(wg_zeros_like(x, NULL), (wg_dtype)d, 0, 0, 0, 0, 0, 0);
            VALUES(wg_ones_like(x, WG_DTYPE(WG_INT32)), WG_INT32, 1, 1, 1, 1, 1, 1);
            VALUES(wg_full_like(x, wg_i(1), NULL), (wg_dtype)d, 1, 1, 1, 1, 1, 1);
        }
}

/* Large enough to be filled by several threads. */
static void large_fills(void **state) {
    (void)state;
    const int64_t n = 3 << 20;
    for (int d = 0; d < DTYPES; d++) WG_SCOPE {
            wg_tensor *one = wg_ones(1, &n, WG_DTYPE((wg_dtype)d)), *zero = wg_zeros(1, &n, WG_DTYPE((wg_dtype)d));
            double sum = 0;
            assert_int_equal(wg_item(wg_sum(one, .has_dtype = true, .dtype = WG_FLOAT64), &sum), WG_OK);
            assert_true(sum == (double)n);
            assert_int_equal(wg_item(wg_sum(zero, .has_dtype = true, .dtype = WG_FLOAT64), &sum), WG_OK);
            assert_true(sum == 0);
        }
}

static void strides_of(const wg_tensor *t, int n, const int64_t *strides) {
    assert_false(wg_is_poison(t));
    assert_int_equal(wg_ndim(t), n);
    assert_memory_equal(wg_strides(t), strides, sizeof(int64_t) * (size_t)n);
}
/* torch.preserve_format, as PyTorch 2.15 answered. */
static void likes_keep_strides(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(2, 3, 4), NULL);
        strides_of(wg_empty_like(x, NULL), 3, L(12, 4, 1));
        strides_of(wg_empty_like(wg_permute(x, 3, L(2, 0, 1)), NULL), 3, L(1, 12, 4));
        strides_of(wg_zeros_like(wg_slice(x, 2, 0, 4, 2), NULL), 3, L(6, 2, 1));
        strides_of(wg_ones_like(wg_slice(wg_permute(x, 3, L(2, 1, 0)), 0, 0, 4, 2), NULL), 3, L(1, 2, 6));
        strides_of(wg_full_like(wg_expand(wg_zeros(WG_SHAPE(3, 1), NULL), 2, L(3, 2)), wg_s(1), NULL), 2, L(2, 1));
        strides_of(wg_zeros_like(wg_t(x = wg_zeros(WG_SHAPE(2, 3), NULL)), WG_DTYPE(WG_INT8)), 2, L(1, 3));
    }
}

static void empty_strided(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_empty_strided(WG_SHAPE(2, 3), L(1, 5), NULL);
        strides_of(x, 2, L(1, 5));
        assert_false(wg_is_contiguous(x));
        VALUES(wg_fill_(x, wg_s(4)), WG_FLOAT32, 4, 4, 4, 4, 4, 4);
        assert_true(wg_is_poison(wg_empty_strided(WG_SHAPE(2), L(-1), NULL)));
        wg_clear_error();
    }
}

/* ---- numbers and the default dtype
 * ---------------------------------------------------------------------------------------- */

static void numbers(void **state) {
    (void)state;
    WG_SCOPE {
        VALUES(wg_s(2.5), WG_FLOAT64, 2.5);
        VALUES(wg_i(-3), WG_INT64, -3);
        VALUES(wg_b(true), WG_BOOL, 1);
        assert_int_equal(wg_ndim(wg_s(1)), 0);
        wg_tensor *ints = wg_ones(WG_SHAPE(2), WG_DTYPE(WG_INT8)), *half = wg_ones(WG_SHAPE(2), WG_DTYPE(WG_FLOAT16));
        VALUES(wg_mul(ints, wg_i(3)), WG_INT8, 3, 3);
        VALUES(wg_mul(ints, wg_s(2.5)), WG_FLOAT32, 2.5, 2.5);
        VALUES(wg_mul(half, wg_s(2.5)), WG_FLOAT16, 2.5, 2.5);
        VALUES(wg_mul(wg_i(3), wg_i(4)), WG_INT64, 12);
        refused(wg_add_(wg_i(3), wg_i(4)), WG_ERR_TYPE, "add_(): a number cannot be written in place");
    }
}

static void the_default_dtype(void **state) {
    (void)state;
    const wg_dtype floats[] = {WG_FLOAT16, WG_BFLOAT16, WG_FLOAT64, WG_FLOAT32};
    for (int i = 0; i < 4; i++) {
        wg_dtype d = floats[i];
        assert_int_equal(wg_set_default_dtype(d), WG_OK);
        assert_int_equal(wg_default_dtype(), d);
        WG_SCOPE {
            VALUES(wg_zeros(WG_SHAPE(1), NULL), d, 0);
            VALUES(wg_ones(WG_SHAPE(1), NULL), d, 1);
            VALUES(wg_full(WG_SHAPE(1), wg_s(2.5), NULL), d, 2.5);
            VALUES(wg_eye(1, -1, NULL), d, 1);
            VALUES(wg_linspace(0, 1, 2, NULL), d, 0, 1);
            VALUES(wg_arange(wg_i(0), wg_s(2), wg_i(1), NULL), d, 0, 1);
            assert_int_equal(wg_dtype_of(wg_empty(WG_SHAPE(1), NULL)), d);
            wg_tensor *ints = wg_full(WG_SHAPE(1), wg_i(4), NULL);
            VALUES(ints, WG_INT64, 4);
            VALUES(wg_full(WG_SHAPE(1), wg_b(true), NULL), WG_BOOL, 1);
            VALUES(wg_arange(wg_i(0), wg_i(2), wg_i(1), NULL), WG_INT64, 0, 1);
            VALUES(wg_div(ints, wg_i(2)), d, 2);
            VALUES(wg_sqrt(ints), d, 2);
            VALUES(wg_zeros_like(ints, NULL), WG_INT64, 0);
        }
    }
    assert_int_equal(wg_default_dtype(), WG_FLOAT32);
}

/* A failed test leaves its scopes open: the next one shall not suffer from that. */
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
        TEST(from_data),
        TEST(bools_are_0_or_1),
        TEST(refusals),
        TEST(foreign_memory_outlives_its_first_tensor),
        TEST(foreign_strides_and_alignment),
        TEST(foreign_refusals),
        TEST(every_dtype),
        TEST(large_fills),
        TEST(likes_keep_strides),
        TEST(empty_strided),
        TEST(numbers),
        TEST(the_default_dtype),
    };
    return cmocka_run_group_tests_name("creation", tests, NULL, NULL);
}
