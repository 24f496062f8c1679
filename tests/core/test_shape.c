/* test_shape.c - sizes and strides: views up to 64 dims and no further, tensors of no dims and of no elements, sizes
 * that no memory can hold, dims out of range. Errors are compared with the first sentence of PyTorch's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wengert/wengert.h"

/* ---- helpers -------------------------------------------------------------------------------------------------------
 */

/* Who asked: the helpers' own lines say little. */
static int line;

static void check_error(const wg_tensor *t, wg_status status, const char *sentence) {
    wg_status got = wg_last_status();
    const char *message = wg_last_message();
    if (!wg_is_poison(t)) fail_msg("line %d: no error", line);
    if (got != status || strncmp(message, sentence, strlen(sentence)) != 0)
        fail_msg("line %d: %s: %s\n  instead of %s: %s", line, wg_status_name(got), message, wg_status_name(status),
                 sentence);
}
/* A tensor function raises this, and a sink returns it too. */
#define refused(t, status, sentence) (line = __LINE__, check_error(t, status, sentence))
static void check_sink(wg_status got, wg_status status, const char *sentence) {
    assert_int_equal(got, status);
    check_error(wg_view(wg_zeros(WG_SHAPE(2), NULL), 1, (int64_t[]){3}), status, sentence); /* the first error stays */
}
#define sink_refused(got, status, sentence) (line = __LINE__, check_sink(got, status, sentence))
/* No memory for it, or too large even to ask: what we say is our own. */
static void check_too_large(const wg_tensor *t) {
    if (!wg_is_poison(t)) fail_msg("line %d: no error", line);
    wg_status st = wg_last_status();
    if (st != WG_ERR_RUNTIME && st != WG_ERR_MEMORY) fail_msg("line %d: %s", line, wg_last_message());
    wg_clear_error();
}
#define too_large(t) (line = __LINE__, check_too_large(t))
#define OUT_OF_RANGE(low, high, dim)                                                                                   \
    "Dimension out of range (expected to be in range of [" #low ", " #high "], but got " #dim ")"

static wg_tensor *six(void) { return wg_view(wg_arange(wg_i(0), wg_i(6), wg_i(1), NULL), 2, (int64_t[]){2, 3}); }
static wg_tensor *single(void) { return wg_full(WG_SCALAR_SHAPE, wg_s(7), NULL); }

/* Shape, strides in elements, and the elements in row-major order. */
static void is(wg_tensor *t, int ndim, const int64_t *sizes, const int64_t *strides, const int64_t *values) {
    int64_t numel = 1, got[64];
    assert_false(wg_is_poison(t));
    assert_int_equal(wg_ndim(t), ndim);
    for (int i = 0; i < ndim; i++) {
        assert_int_equal(wg_size(t, i), sizes[i]);
        assert_int_equal(wg_size(t, i - ndim), sizes[i]);
        assert_int_equal(wg_stride(t, i), strides[i]);
        numel *= sizes[i];
    }
    assert_int_equal(wg_numel(t), numel);
    assert_int_equal(wg_copy_out(t, WG_INT64, got, sizeof(int64_t) * (size_t)numel), WG_OK);
    for (int64_t i = 0; i < numel; i++) assert_int_equal(got[i], values[i]);
}
#define L(...)                                                                                                         \
    (const int64_t[]) { __VA_ARGS__ }
#define IS(t, ndim, sizes, strides, ...) is(t, ndim, sizes, strides, L(__VA_ARGS__))

/* ---- views ---------------------------------------------------------------------------------------------------------
 */

static void views_have_pytorchs_strides(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = six(), *y = wg_t(x);
        IS(y, 2, L(3, 2), L(1, 3), 0, 3, 1, 4, 2, 5);
        assert_false(wg_is_contiguous(y));
        IS(wg_contiguous(y), 2, L(3, 2), L(2, 1), 0, 3, 1, 4, 2, 5);
        assert_ptr_equal(wg_contiguous(x), x);
        IS(wg_select(x, 1, -1), 1, L(2), L(3), 2, 5);
        IS(wg_slice(x, 1, 0, INT64_MAX, 2), 2, L(2, 2), L(3, 2), 0, 2, 3, 5);
        IS(wg_slice(x, 1, -2, -1, 1), 2, L(2, 1), L(3, 1), 1, 4);
        IS(wg_slice(x, 0, 1, 0, 1), 2, L(0, 3), L(3, 1), 0);
        IS(wg_narrow(x, -1, -2, 2), 2, L(2, 2), L(3, 1), 1, 2, 4, 5);
        IS(wg_unsqueeze(x, -1), 3, L(2, 3, 1), L(3, 1, 1), 0, 1, 2, 3, 4, 5);
        IS(wg_unsqueeze(x, 0), 3, L(1, 2, 3), L(6, 3, 1), 0, 1, 2, 3, 4, 5);
        IS(wg_expand(wg_select(x, 0, 1), 2, L(2, -1)), 2, L(2, 3), L(0, 1), 3, 4, 5, 3, 4, 5);
        IS(wg_as_strided(x, 2, L(2, 2), L(1, 2), 1), 2, L(2, 2), L(1, 2), 1, 3, 2, 4);
        assert_int_equal(wg_storage_offset(wg_select(wg_select(x, 0, 1), 0, 2)), 5);
        assert_true(wg_same_storage(y, x) && wg_is_view(y) && wg_base(y) == wg_base(x));
    }
}

static void reshape_is_a_view_where_it_can_be(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = six();
        wg_tensor *flat = wg_reshape(x, 1, L(-1)), *copy = wg_reshape(wg_t(x), 1, L(6));
        IS(flat, 1, L(6), L(1), 0, 1, 2, 3, 4, 5);
        assert_true(wg_same_storage(flat, x));
        IS(copy, 1, L(6), L(1), 0, 3, 1, 4, 2, 5);
        assert_false(wg_same_storage(copy, x));
        wg_tensor *apart = wg_slice(x, 1, 0, 2, 1); /* rows of two, three apart: rows may be cut, not joined */
        IS(wg_view(apart, 3, L(2, 1, 2)), 3, L(2, 1, 2), L(3, 2, 1), 0, 1, 3, 4);
        refused(wg_view(apart, 1, L(4)), WG_ERR_RUNTIME,
                "view size is not compatible with input tensor's size and stride");
        IS(wg_view(single(), 2, L(1, 1)), 2, L(1, 1), L(1, 1), 7);
        IS(wg_view(wg_view(single(), 2, L(1, 1)), 0, NULL), 0, L(0), L(0), 7);
        IS(wg_flatten(single(), 0, -1), 1, L(1), L(1), 7);
    }
}

static void squeezing(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_view(wg_arange(wg_i(0), wg_i(2), wg_i(1), NULL), 4, L(1, 2, 1, 1));
        IS(wg_squeeze(x), 1, L(2), L(1), 0, 1);
        IS(wg_squeeze_dim(x, 1), 4, L(1, 2, 1, 1), L(2, 1, 1, 1), 0, 1);
        IS(wg_squeeze_dim(x, -2), 3, L(1, 2, 1), L(2, 1, 1), 0, 1);
        IS(wg_squeeze_dims(x, 2, L(0, -1)), 2, L(2, 1), L(1, 1), 0, 1);
        refused(wg_squeeze_dims(x, 2, L(0, -4)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
        IS(wg_squeeze_dim(single(), -1), 0, L(0), L(0), 7);
    }
}

/* ---- 64 dims -------------------------------------------------------------------------------------------------------
 */

enum { MOST = WG_MAX_DIMS };

static void sixty_four_dims(void **state) {
    (void)state;
    int64_t sizes[MOST], order[MOST], index[2] = {0, 1};
    for (int i = 0; i < MOST; i++) {
        sizes[i] = i == 5 || i == 63 ? 2 : 1;
        order[i] = MOST - 1 - i;
    }
    WG_SCOPE {
        wg_tensor *x = wg_view(wg_arange(wg_i(0), wg_i(4), wg_i(1), NULL), MOST, sizes),
                  *y = wg_permute(x, MOST, order);
        int64_t got[4];
        double sum = 0;
        assert_int_equal(wg_ndim(x), MOST);
        assert_int_equal(wg_stride(x, 5), 2);
        assert_int_equal(wg_size(y, 0), 2);
        assert_int_equal(wg_stride(y, 0), 1);
        assert_int_equal(wg_stride(y, -6), 2);
        assert_int_equal(wg_copy_out(y, WG_INT64, got, sizeof got), WG_OK);
        assert_memory_equal(got, L(0, 2, 1, 3), sizeof got);
        assert_int_equal(wg_copy_out(wg_add(x, wg_clone(y)), WG_INT64, got, sizeof got), WG_ERR_VALUE);
        wg_clear_error();
        assert_int_equal(wg_numel(wg_add(x, y)), 16); /* broadcast to 2 2 2 2 */
        assert_int_equal(wg_item(wg_sum(wg_mul(x, x)), &sum), WG_OK);
        assert_true(sum == 14);
        IS(wg_squeeze(wg_transpose(x, 5, -1)), 2, L(2, 2), L(1, 2), 0, 2, 1, 3);
        wg_tensor *i = wg_from_data(index, WG_INT64, WG_SHAPE(2), NULL);
        assert_int_equal(wg_ndim(wg_index_select(x, -1, i)), MOST);
        assert_int_equal(wg_ndim(wg_clone(y)), MOST);
        assert_int_equal(wg_ndim(wg_to(y, WG_FLOAT64)), MOST);
        assert_int_equal(wg_ndim(wg_cat(WG_TENSORS(x, x), 63)), MOST);
        assert_int_equal(wg_ndim(wg_zeros_like(y, NULL)), MOST);
        assert_false(wg_error_pending());
    }
}

static void sixty_four_dims_differentiate(void **state) {
    (void)state;
    int64_t sizes[MOST];
    for (int i = 0; i < MOST; i++) sizes[i] = i == 63 ? 3 : 1;
    WG_SCOPE {
        wg_tensor *x = wg_ones(MOST, sizes, WG_OPT(.requires_grad = true));
        assert_int_equal(wg_backward(wg_sum(wg_mul(wg_transpose(x, 0, 63), wg_s(3)))), WG_OK);
        double got[3];
        assert_int_equal(wg_ndim(wg_grad_of(x)), MOST);
        assert_int_equal(wg_copy_out(wg_grad_of(x), WG_FLOAT64, got, sizeof got), WG_OK);
        assert_true(got[0] == 3 && got[1] == 3 && got[2] == 3);
    }
}

/* PyTorch has no such limit: the words are ours. */
static void check_dims65(const wg_tensor *t) {
    if (!wg_is_poison(t)) fail_msg("line %d: no error", line);
    assert_int_not_equal(wg_last_status(), WG_OK);
    if (!strstr(wg_last_message(), "64")) fail_msg("line %d: %s", line, wg_last_message());
}
#define dims65(t) (line = __LINE__, check_dims65(t))
static void one_more_is_an_error(void **state) {
    (void)state;
    int64_t ones[MOST + 1], zeros[MOST + 1] = {0}, sizes[2] = {1, 1};
    for (int i = 0; i <= MOST; i++) ones[i] = 1;
    WG_SCOPE {
        wg_tensor *x = wg_ones(MOST, ones, NULL), *one = single();
        dims65(wg_zeros(MOST + 1, ones, NULL));
        dims65(wg_empty(MOST + 1, ones, NULL));
        dims65(wg_empty_strided(MOST + 1, ones, ones, NULL));
        dims65(wg_ones(MOST + 1, ones, NULL));
        dims65(wg_full(MOST + 1, ones, wg_s(1), NULL));
        dims65(wg_from_data(&(float){1}, WG_FLOAT32, MOST + 1, ones, NULL));
        dims65(wg_from_memory(WG_FLOAT32, MOST + 1, ones, WG_MEMORY(.data = ones, .strides = zeros)));
        dims65(wg_rand(MOST + 1, ones, NULL, NULL));
        dims65(wg_unsqueeze(x, 0));
        dims65(wg_unsqueeze(x, -1));
        dims65(wg_view(one, MOST + 1, ones));
        dims65(wg_reshape(one, MOST + 1, ones));
        dims65(wg_expand(one, MOST + 1, ones));
        dims65(wg_stack(WG_TENSORS(x, x), 0));
        dims65(wg_stack(WG_TENSORS(x, x), -1));
        dims65(wg_as_strided(one, MOST + 1, ones, zeros, 0));
        wg_tensor *pair = wg_from_data(L(0, 0), WG_INT64, 2, sizes, NULL);
        dims65(wg_index(x, &pair, 1)); /* one dim replaced by two */
        dims65(wg_embedding(wg_ones(WG_SHAPE(2, 2), NULL), wg_to(x, WG_INT64), -1));
        assert_int_equal(wg_ndim(x), MOST);
    }
}
/* Inside vmap a sample has one dim less to spare: the batch's is there too. */
static wg_tensor *in_a_map(void *user, wg_tensor *const *in, int n) {
    int64_t many[MOST + 6] = {0};
    int which = *(int *)user;
    (void)n;
    for (int i = 0; i < MOST + 6; i++) many[i] = which == 2 || which == 5 ? i : 1;
    switch (which) {
    case 0: return wg_view(in[0], MOST, many);
    case 1: return wg_expand(in[0], MOST, many);
    case 2: return wg_permute(in[0], MOST, many);
    case 3: return wg_squeeze_dims(in[0], MOST + 6, many);
    case 4: return wg_sum_opt(in[0], &(wg_reduce){.size = sizeof(wg_reduce), .dims = {MOST + 6, many}});
    case 5: return wg_amax_opt(in[0], &(wg_reduce){.size = sizeof(wg_reduce), .dims = {MOST + 6, many}});
    case 6: return wg_unsqueeze(wg_view(in[0], MOST - 1, many), 0);
    case 7: return wg_as_strided(in[0], MOST + 6, many, many, 0);
    case 8: return wg_reshape(in[0], MOST + 6, many);
    default: return NULL;
    }
}
static void too_many_inside_vmap(void **state) {
    (void)state;
    for (int which = 0; which < 9; which++) WG_SCOPE {
            wg_tensor *x = wg_ones(WG_SHAPE(3, 1), NULL);
            int64_t dim = 0;
            wg_tensor *mapped = wg_vmap(in_a_map, &which, &x, &dim, 1, 0);
            if (!wg_is_poison(mapped)) fail_msg("%d: no error inside vmap", which);
            wg_clear_error();
            wg_tensor *plain = in_a_map(&which, &x, 1);
            if (!wg_is_poison(plain)) fail_msg("%d: no error", which);
            wg_clear_error();
        }
    WG_SCOPE {
        int which = 0;
        assert_true(wg_is_poison(in_a_map(&which, (wg_tensor *[]){wg_ones(WG_SHAPE(3, 1), NULL)}, 1)));
        wg_clear_error();
        assert_int_equal(wg_ndim(in_a_map(&which, (wg_tensor *[]){single()}, 1)), MOST); /* 64 dims are fine outside */
    }
}

static void negative_ndim_is_an_error(void **state) {
    (void)state;
    WG_SCOPE {
        refused(wg_zeros(-1, L(1), NULL), WG_ERR_VALUE, "zeros: a tensor has 0 to 64 dims, not -1");
        refused(wg_zeros(1, NULL, NULL), WG_ERR_VALUE, "zeros: a tensor has 0 to 64 dims");
        too_large(wg_view(single(), -1, L(1)));
        too_large(wg_reshape(single(), -1, L(1)));
        too_large(wg_expand(single(), -1, L(1)));
        too_large(wg_permute(single(), -1, L(0)));
        too_large(wg_as_strided(single(), -1, L(1), L(1), 0));
    }
}

/* ---- nothing and next to nothing
 * ------------------------------------------------------------------------------------- */

static void no_dims(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = single();
        IS(x, 0, L(0), L(0), 7);
        assert_int_equal(wg_size(x, 0), -1);
        assert_int_equal(wg_stride(x, -1), 0);
        assert_true(wg_is_contiguous(x));
        IS(wg_transpose(x, -1, 0), 0, L(0), L(0), 7);
        IS(wg_t(x), 0, L(0), L(0), 7);
        IS(wg_permute(x, 0, NULL), 0, L(0), L(0), 7);
        IS(wg_unsqueeze(x, -1), 1, L(1), L(1), 7);
        IS(wg_expand(x, 2, L(2, 2)), 2, L(2, 2), L(0, 0), 7, 7, 7, 7);
        IS(wg_stack(WG_TENSORS(x, x), 0), 1, L(2), L(1), 7, 7);
        refused(wg_transpose(x, 0, 1), WG_ERR_INDEX, OUT_OF_RANGE(-1, 0, 1));
        refused(wg_unsqueeze(x, 1), WG_ERR_INDEX, OUT_OF_RANGE(-1, 0, 1));
        refused(wg_select(x, 0, 0), WG_ERR_INDEX, "select() cannot be applied to a 0-dim tensor.");
        refused(wg_slice(x, 0, 0, 1, 1), WG_ERR_INDEX, "slice() cannot be applied to a 0-dim tensor.");
        refused(wg_narrow(x, 0, 0, 1), WG_ERR_RUNTIME, "narrow() cannot be applied to a 0-dim tensor.");
        refused(wg_cat(WG_TENSORS(x, x), 0), WG_ERR_RUNTIME,
                "zero-dimensional tensor (at position 0) cannot be concatenated");
    }
}

static void no_elements(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(2, 0, 3), NULL), *r;
        double sum = -1;
        assert_int_equal(wg_numel(x), 0);
        assert_int_equal(wg_stride(x, 0), 3); /* a size of 0 counts as 1 in the strides, as in PyTorch */
        assert_int_equal(wg_stride(x, 1), 3);
        assert_true(wg_is_contiguous(x));
        assert_int_equal(wg_copy_out(x, WG_FLOAT32, NULL, 0), WG_OK);
        assert_int_equal(wg_copy_in(x, WG_FLOAT32, NULL, 0), WG_OK);
        assert_int_equal(wg_item(wg_sum(x), &sum), WG_OK);
        assert_true(sum == 0);
        r = wg_sum(x, .dims = WG_DIMS(1));
        assert_int_equal(wg_numel(r), 6);
        assert_int_equal(wg_item(wg_sum(r), &sum), WG_OK);
        assert_true(sum == 0);
        assert_int_equal(wg_numel(wg_add(x, wg_ones(WG_SHAPE(1, 3), NULL))), 0);
        assert_int_equal(wg_numel(wg_view(x, 1, L(0))), 0);
        assert_int_equal(wg_size(wg_view(x, 3, L(5, 0, -1 + 8)), 2), 7);
        assert_int_equal(wg_numel(wg_permute(x, 3, L(2, 0, 1))), 0);
        assert_int_equal(wg_numel(wg_clone(wg_transpose(x, 0, 2))), 0);
        assert_int_equal(wg_size(wg_cat(WG_TENSORS(x, wg_ones(WG_SHAPE(2, 1, 3), NULL)), 1), 1), 1);
        assert_int_equal(wg_numel(wg_cat(WG_TENSORS(wg_zeros(WG_SHAPE(0), NULL), wg_ones(WG_SHAPE(2, 1), NULL)), 1)),
                         2);
        assert_int_equal(wg_size(wg_matmul(wg_zeros(WG_SHAPE(2, 0), NULL), wg_zeros(WG_SHAPE(0, 3), NULL)), 1), 3);
        refused(wg_view(x, 2, L(-1, 0)), WG_ERR_RUNTIME,
                "cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified dimension size -1 can "
                "be any "
                "value and is ambiguous");
        refused(wg_select(x, 1, 0), WG_ERR_INDEX,
                "select(): index 0 out of range for tensor of size [2, 0, 3] at dimension 1");
        assert_false(wg_error_pending());
    }
}

/* ---- sizes that no memory holds
 * ---------------------------------------------------------------------------------------- */

#define HUGE_ ((int64_t)1 << 62)

static void sizes_overflow(void **state) {
    (void)state;
    WG_SCOPE {
        refused(wg_zeros(WG_SHAPE((int64_t)1 << 40, (int64_t)1 << 40), NULL), WG_ERR_RUNTIME,
                "Storage size calculation overflowed");
        refused(wg_empty(WG_SHAPE(HUGE_), NULL), WG_ERR_RUNTIME,
                "Storage size calculation overflowed with sizes=[4611686018427387904].");
        refused(wg_empty_strided(WG_SHAPE(3, 3), L(HUGE_, HUGE_), NULL), WG_ERR_RUNTIME,
                "Storage size calculation overflowed");
        too_large(wg_ones(WG_SHAPE(INT64_MAX, INT64_MAX), NULL));
        too_large(wg_full(WG_SHAPE(INT64_MAX), wg_i(1), NULL));
        too_large(wg_eye(INT64_MAX, -1, NULL));
        too_large(wg_eye((int64_t)1 << 33, (int64_t)1 << 33, NULL));
        too_large(wg_arange(wg_i(0), wg_i(HUGE_), wg_i(1), NULL));
        too_large(wg_arange(wg_i(INT64_MIN), wg_i(INT64_MAX), wg_i(1), NULL));
        too_large(wg_linspace(0, 1, INT64_MAX, NULL));
        too_large(wg_rand(WG_SHAPE(HUGE_), NULL, NULL));
        too_large(wg_randperm(HUGE_, NULL, NULL));
        too_large(wg_from_data(&(float){1}, WG_FLOAT32, WG_SHAPE(HUGE_, HUGE_), NULL));
        assert_int_equal(wg_numel(wg_zeros(WG_SHAPE(INT64_MAX, INT64_MAX, 0), NULL)), 0);
    }
}

/* Sizes that can be counted in bytes, but no machine gives them. */
static void more_than_the_address_space(void **state) {
    (void)state;
    WG_SCOPE {
        too_large(wg_empty(WG_SHAPE(INT64_MAX), WG_DTYPE(WG_INT8)));
        too_large(wg_zeros(WG_SHAPE((int64_t)1 << 58), NULL));
        too_large(wg_ones(WG_SHAPE((int64_t)1 << 57), WG_DTYPE(WG_FLOAT64)));
        too_large(wg_arange(wg_i(0), wg_i((int64_t)1 << 58), wg_i(1), NULL));
        too_large(wg_linspace(0, 1, (int64_t)1 << 58, NULL));
        assert_int_equal(wg_numel(wg_ones(WG_SHAPE(3), NULL)), 3); /* usable after */
    }
}

/* Expanded dims take no memory, so the view is there; what it would take to compute with it is not. */
static void views_larger_than_memory(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_expand(wg_ones(WG_SHAPE(1), NULL), 1, L(HUGE_));
        assert_int_equal(wg_numel(x), HUGE_);
        too_large(wg_add(x, wg_s(1)));
        too_large(wg_clone(x));
        too_large(wg_contiguous(x));
        too_large(wg_exp(x));
        too_large(wg_to(x, WG_FLOAT64));
        too_large(wg_cat(WG_TENSORS(x, x), 0));
        too_large(wg_cat(WG_TENSORS(x, x, x), 0));
        too_large(wg_stack(WG_TENSORS(x, x, x), 0));
        too_large(wg_zeros_like(x, NULL));
        too_large(wg_mul(wg_unsqueeze(x, 0), wg_unsqueeze(x, 1)));
        too_large(wg_where(wg_b(true), x, wg_s(0)));
        too_large(wg_expand(wg_ones(WG_SHAPE(1, 1), NULL), 2, L((int64_t)1 << 40, (int64_t)1 << 40)));
        too_large(wg_as_strided(wg_ones(WG_SHAPE(1), NULL), 2, L(HUGE_, HUGE_), L(0, 0), 0));
        refused(wg_as_strided(six(), 1, L(3), L(HUGE_), 0), WG_ERR_RUNTIME,
                "Storage size calculation overflowed with sizes=[3] and strides=[4611686018427387904]");
        refused(wg_as_strided(six(), 1, L(7), L(1), 0), WG_ERR_RUNTIME,
                "setStorage: sizes [7], strides [1], storage offset 0");
        refused(wg_as_strided(six(), 1, L(2), L(1), 5), WG_ERR_RUNTIME,
                "setStorage: sizes [2], strides [1], storage offset 5");
        too_large(wg_as_strided(six(), 1, L(1), L(1), INT64_MAX));
    }
}

static void negative_sizes(void **state) {
    (void)state;
    WG_SCOPE {
        refused(wg_zeros(WG_SHAPE(2, -1), NULL), WG_ERR_RUNTIME, "zeros: Dimension size must be non-negative.");
        refused(wg_empty(WG_SHAPE(2, -1), NULL), WG_ERR_RUNTIME,
                "Trying to create tensor with negative dimension -1: [2, -1]");
        refused(wg_ones(WG_SHAPE(2, -1), NULL), WG_ERR_RUNTIME,
                "Trying to create tensor with negative dimension -1: [2, -1]");
        refused(wg_full(WG_SHAPE(-7), wg_i(1), NULL), WG_ERR_RUNTIME,
                "Trying to create tensor with negative dimension -7: [-7]");
        refused(wg_view(six(), 1, L(-2)), WG_ERR_RUNTIME, "invalid shape dimension -2 at index 0 of shape [-2]");
        refused(wg_expand(six(), 3, L(-1, 2, 3)), WG_ERR_RUNTIME,
                "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0");
        too_large(wg_expand(six(), 2, L(-2, 3)));
        too_large(wg_as_strided(six(), 1, L(-1), L(1), 0));
        refused(wg_narrow(six(), 0, 0, -1), WG_ERR_RUNTIME, "narrow(): length must be non-negative.");
    }
}

/* ---- arguments out of range
 * ---------------------------------------------------------------------------------------------- */

static void dims_out_of_range(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = six(), *f = wg_to(x, WG_FLOAT32), *out[8];
        int n;
        refused(wg_transpose(x, 0, 2), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_transpose(x, -3, 0), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, -3));
        refused(wg_squeeze_dim(x, 2), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_unsqueeze(x, 3), WG_ERR_INDEX, OUT_OF_RANGE(-3, 2, 3));
        refused(wg_unsqueeze(x, -4), WG_ERR_INDEX, OUT_OF_RANGE(-3, 2, -4));
        refused(wg_select(x, 2, 0), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_slice(x, 2, 0, 1, 1), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_narrow(x, 2, 0, 1), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_permute(x, 2, L(0, 2)), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_flatten(x, 0, 2), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_cat(WG_TENSORS(x, x), 2), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_stack(WG_TENSORS(x, x), 3), WG_ERR_INDEX, OUT_OF_RANGE(-3, 2, 3));
        refused(wg_sum(x, .dims = WG_DIMS(2)), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_argmax(x, 2, false), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_softmax(f, -3), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, -3));
        refused(wg_sort(x, 2, false, false, NULL), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_index_select(x, 2, wg_zeros(WG_SHAPE(1), WG_DTYPE(WG_INT64))), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        refused(wg_transpose(x, INT64_MIN, 0), WG_ERR_INDEX, "Dimension out of range");
        refused(wg_transpose(x, (int64_t)1 << 32, 0), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 4294967296));
        sink_refused(wg_unbind(x, 2, out, 8, &n), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        sink_refused(wg_split(x, 1, 2, out, 8, &n), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
        sink_refused(wg_chunk(x, 1, 2, out, 8, &n), WG_ERR_INDEX, OUT_OF_RANGE(-2, 1, 2));
    }
}

static void other_refusals(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = six(), *out[8];
        int n;
        refused(wg_select(x, 1, 3), WG_ERR_INDEX,
                "select(): index 3 out of range for tensor of size [2, 3] at dimension 1");
        refused(wg_select(x, 1, -4), WG_ERR_INDEX,
                "select(): index -4 out of range for tensor of size [2, 3] at dimension 1");
        refused(wg_slice(x, 0, 0, 1, 0), WG_ERR_RUNTIME, "slice step must be positive");
        refused(wg_slice(x, 0, 0, 1, -1), WG_ERR_RUNTIME, "slice step must be positive");
        refused(wg_narrow(x, 0, 1, 2), WG_ERR_RUNTIME, "start (1) + length (2) exceeds dimension size (2).");
        refused(wg_narrow(x, 0, 3, 0), WG_ERR_INDEX,
                "start out of range (expected to be in range of [-2, 2], but got 3)");
        refused(wg_narrow(x, 0, -3, 0), WG_ERR_INDEX,
                "start out of range (expected to be in range of [-2, 2], but got -3)");
        refused(wg_permute(x, 2, L(0, 0)), WG_ERR_RUNTIME, "permute(): duplicate dims are not allowed.");
        refused(wg_view(x, 1, L(4)), WG_ERR_RUNTIME, "shape '[4]' is invalid for input of size 6");
        refused(wg_view(x, 2, L(-1, 4)), WG_ERR_RUNTIME, "shape '[-1, 4]' is invalid for input of size 6");
        refused(wg_view(x, 2, L(-1, -1)), WG_ERR_RUNTIME, "only one dimension can be inferred");
        refused(wg_expand(x, 2, L(3, 3)), WG_ERR_RUNTIME,
                "The expanded size of the tensor (3) must match the existing size (2) at non-singleton dimension 0.");
        refused(wg_expand(wg_to(x, WG_FLOAT32), 1, L(3)), WG_ERR_RUNTIME,
                "expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1) must be greater or "
                "equal to the "
                "number of dimensions in the tensor (2)");
        refused(wg_t(wg_zeros(WG_SHAPE(1, 2, 3), NULL)), WG_ERR_RUNTIME,
                "t() expects a tensor with <= 2 dimensions, but self is 3D");
        refused(wg_mT(wg_zeros(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
                "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.");
        refused(wg_flatten(x, 1, 0), WG_ERR_RUNTIME, "flatten() has invalid args: start_dim cannot come after end_dim");
        refused(wg_cat(WG_TENSORS(x, wg_zeros(WG_SHAPE(2, 2), NULL)), 0), WG_ERR_RUNTIME,
                "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for tensor number 1 "
                "in the "
                "list.");
        refused(wg_cat(WG_TENSORS(x, wg_zeros(WG_SHAPE(2), NULL)), 0), WG_ERR_RUNTIME,
                "Tensors must have same number of dimensions: got 2 and 1");
        refused(wg_stack(WG_TENSORS(x, single()), 0), WG_ERR_RUNTIME,
                "stack expects each tensor to be equal size, but got [2, 3] at entry 0 and [] at entry 1");
        refused(wg_as_strided(x, 1, L(2), L(-1), 0), WG_ERR_RUNTIME,
                "as_strided: Negative strides are not supported at the moment");
        refused(wg_add(x, wg_zeros(WG_SHAPE(2, 2), NULL)), WG_ERR_RUNTIME,
                "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
        refused(wg_sum(x, .dims = WG_DIMS(0, 0)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
        sink_refused(wg_unbind(single(), 0, out, 8, &n), WG_ERR_INDEX,
                     "Dimension specified as 0 but tensor has no dimensions");
        sink_refused(wg_split(x, -1, 0, out, 8, &n), WG_ERR_RUNTIME,
                     "split expects split_size be non-negative, but got split_size=-1");
        sink_refused(wg_split(x, 0, 0, out, 8, &n), WG_ERR_RUNTIME,
                     "split_size can only be 0 if dimension size is 0, but got dimension size of 2");
        sink_refused(
            wg_split_sizes(x, WG_DIMS(1, 2), 0, out, 8, &n), WG_ERR_RUNTIME,
            "split_with_sizes expects split_sizes to sum exactly to 2 (input tensor's size at dimension 0), but got "
            "split_sizes=[1, 2]");
        sink_refused(
            wg_split_sizes(x, WG_DIMS(3, -1), 0, out, 8, &n), WG_ERR_RUNTIME,
            "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[3, -1]");
        sink_refused(wg_split(single(), 1, 0, out, 8, &n), WG_ERR_RUNTIME,
                     "split expects at least a 1-dimensional tensor");
        sink_refused(wg_chunk(x, 0, 0, out, 8, &n), WG_ERR_RUNTIME,
                     "chunk expects `chunks` to be greater than 0, got: 0");
    }
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
        TEST(views_have_pytorchs_strides),
        TEST(reshape_is_a_view_where_it_can_be),
        TEST(squeezing),
        TEST(sixty_four_dims),
        TEST(sixty_four_dims_differentiate),
        TEST(one_more_is_an_error),
        TEST(too_many_inside_vmap),
        TEST(negative_ndim_is_an_error),
        TEST(no_dims),
        TEST(no_elements),
        TEST(sizes_overflow),
        TEST(more_than_the_address_space),
        TEST(views_larger_than_memory),
        TEST(negative_sizes),
        TEST(dims_out_of_range),
        TEST(other_refusals),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
