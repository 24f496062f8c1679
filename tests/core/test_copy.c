/* test_copy.c - moving elements: out to the caller's memory and in from it, copy_, clone and contiguous over all
 * layouts against a plain loop, item and truth; and what each refuses.
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
#define L(...)                                                                                                         \
    (const int64_t[]) { __VA_ARGS__ }

/* ---- helpers -------------------------------------------------------------------------------------------------------
 */

static int line;

/* The unread error, from a sink (t NULL) or a function that gave t. */
static void check_refused(const wg_tensor *t, wg_status status, const char *sentence) {
    wg_status got = wg_last_status();
    const char *message = wg_last_message();
    if (t && !wg_is_poison(t)) fail_msg("line %d: no error", line);
    if (got != status || strncmp(message, sentence, strlen(sentence)) != 0)
        fail_msg("line %d: %s: %s\n  instead of %s: %s", line, wg_status_name(got), message, wg_status_name(status),
                 sentence);
}
#define refused(t, status, sentence) (line = __LINE__, check_refused(t, status, sentence))
#define sink_refused(call, status, sentence)                                                                           \
    do {                                                                                                               \
        line = __LINE__;                                                                                               \
        assert_int_equal((call), (status));                                                                            \
        check_refused(NULL, (status), (sentence));                                                                     \
    } while (0)

/* 0, 1, 2, ... */
static wg_tensor *count(int64_t n, wg_dtype d) { return wg_arange(wg_i(0), wg_i(n), wg_i(1), WG_DTYPE(d)); }

/* ---- out and in
 * -------------------------------------------------------------------------------------------------------- */

static void out_is_row_major_and_converted(void **state) {
    (void)state;
    int64_t i[6];
    float f[6];
    uint8_t b[6];
    WG_SCOPE {
        wg_tensor *x = wg_t(wg_view(count(6, WG_FLOAT64), 2, L(2, 3)));
        assert_int_equal(wg_copy_out(x, WG_INT64, i, sizeof i), WG_OK);
        assert_memory_equal(i, L(0, 3, 1, 4, 2, 5), sizeof i);
        assert_int_equal(wg_copy_out(x, WG_FLOAT32, f, sizeof f), WG_OK);
        assert_true(f[1] == 3 && f[5] == 5);
        assert_int_equal(wg_copy_out(x, WG_BOOL, b, sizeof b), WG_OK);
        assert_memory_equal(b, ((uint8_t[]){0, 1, 1, 1, 1, 1}), 6);
        char odd[1 + sizeof f];
        assert_int_equal(wg_copy_out(x, WG_FLOAT32, odd + 1, sizeof f), WG_OK); /* any alignment */
        assert_memory_equal(odd + 1, f, sizeof f);
        wg_tensor *wide = wg_expand(wg_full(WG_SHAPE(1), wg_i(7), NULL), 2, L(2, 3));
        assert_int_equal(wg_copy_out(wide, WG_INT64, i, sizeof i), WG_OK);
        assert_true(i[0] == 7 && i[5] == 7);
    }
}

static void in_overwrites_and_bumps(void **state) {
    (void)state;
    const int32_t fresh[] = {10, 11, 12};
    int64_t got[6];
    WG_SCOPE {
        wg_tensor *x = wg_view(count(6, WG_INT64), 2, L(2, 3)), *row = wg_select(x, 0, 1), *column = wg_select(x, 1, 0);
        uint32_t version = wg_version_of(x);
        assert_int_equal(wg_copy_in(row, WG_INT32, fresh, sizeof fresh), WG_OK);
        assert_int_equal(wg_version_of(x), version + 1); /* of the whole family of views */
        assert_int_equal(wg_copy_in(column, WG_INT32, fresh + 1, 2 * sizeof(*fresh)), WG_OK);
        assert_int_equal(wg_copy_out(x, WG_INT64, got, sizeof got), WG_OK);
        assert_memory_equal(got, L(11, 1, 2, 12, 11, 12), sizeof got);
    }
}

static void in_obeys_autograd(void **state) {
    (void)state;
    const float v[2] = {1, 2};
    WG_SCOPE {
        wg_tensor *leaf = wg_ones(WG_SHAPE(2), WG_OPT(.requires_grad = true)), *y = wg_exp(leaf),
                  *z = wg_mul(leaf, wg_s(3));
        sink_refused(wg_copy_in(leaf, WG_FLOAT32, v, sizeof v), WG_ERR_RUNTIME,
                     "a leaf Variable that requires grad is being used in an in-place operation.");
        assert_int_equal(wg_copy_in(y, WG_FLOAT32, v, sizeof v), WG_OK); /* exp saved its result */
        sink_refused(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                     "one of the variables needed for gradient computation has been modified by an inplace operation");
        assert_int_equal(wg_copy_in(z, WG_FLOAT32, v, sizeof v), WG_OK); /* what it held is no longer used */
        assert_int_equal(wg_backward(wg_sum(z)), WG_OK);
        double g[2];
        assert_int_equal(wg_copy_out(wg_grad_of(leaf), WG_FLOAT64, g, sizeof g), WG_OK);
        assert_true(g[0] == 0 && g[1] == 0);
    }
}

static void out_and_in_refuse(void **state) {
    (void)state;
    float v[8] = {0};
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 3), NULL);
        sink_refused(wg_copy_out(x, WG_FLOAT32, v, 20), WG_ERR_VALUE,
                     "copy_out: 6 elements of torch.float32 are 24 bytes, not 20");
        sink_refused(wg_copy_out(x, WG_FLOAT32, v, 28), WG_ERR_VALUE,
                     "copy_out: 6 elements of torch.float32 are 24 bytes, not 28");
        sink_refused(wg_copy_in(x, WG_FLOAT64, v, 24), WG_ERR_VALUE,
                     "copy_in: 6 elements of torch.float64 are 48 bytes, not 24");
        sink_refused(wg_copy_out(x, WG_FLOAT32, NULL, 24), WG_ERR_VALUE, "copy_out: 6 elements of torch.float32");
        sink_refused(wg_copy_in(x, WG_FLOAT32, NULL, 24), WG_ERR_VALUE, "copy_in: 6 elements of torch.float32");
        sink_refused(wg_copy_out(x, WG_COMPLEX64, v, 24), WG_ERR_NOT_IMPLEMENTED, "torch.complex64 does not exist");
        sink_refused(wg_copy_in(x, (wg_dtype)200, v, 24), WG_ERR_NOT_IMPLEMENTED, "torch.unknown does not exist");
        assert_int_equal(wg_version_of(x), 0); /* nothing was written */
        wg_tensor *bad = wg_add(x, wg_ones(WG_SHAPE(4), NULL));
        assert_int_equal(wg_copy_out(bad, WG_FLOAT32, v, 24), WG_ERR_RUNTIME);
        assert_int_equal(wg_copy_out(x, WG_FLOAT32, v, 24), WG_ERR_RUNTIME); /* while an error is unread */
        refused(bad, WG_ERR_RUNTIME, "The size of tensor a (3) must match the size of tensor b (4)");
        assert_int_equal(wg_copy_out(x, WG_FLOAT32, v, 24), WG_OK);
    }
}

/* ---- every layout against a plain loop
 * ------------------------------------------------------------------------------------- */

/* A tensor of that shape whose elements lie in memory in another way: order of dims, a step along the last, an offset.
 */
typedef struct layout {
    const char *name;
    int64_t order[3], step;
} layout;
static const layout layouts[] = {{"row-major", {0, 1, 2}, 1}, {"transposed", {0, 2, 1}, 1}, {"reversed", {2, 1, 0}, 1},
                                 {"rotated", {1, 2, 0}, 1},   {"stepped", {0, 1, 2}, 2},    {"both", {2, 0, 1}, 3}};
enum { LAYOUTS = sizeof(layouts) / sizeof(*layouts) };

static wg_tensor *laid_out(const layout *l, const int64_t *sizes, wg_dtype d) {
    int64_t memory[3], back[3];
    for (int i = 0; i < 3; i++) {
        memory[i] = sizes[l->order[i]];
        back[l->order[i]] = i;
    }
    memory[2] *= l->step;
    wg_tensor *whole = wg_zeros(3, memory, WG_DTYPE(d));
    return wg_permute(wg_slice(whole, 2, 0, INT64_MAX, l->step), 3, back);
}

/* Element i of the row-major order, found by strides alone. */
static double element(wg_tensor *t, int64_t i) {
    const int64_t *sizes = wg_sizes(t), *strides = wg_strides(t);
    int64_t at = 0;
    double v = 0;
    for (int d = wg_ndim(t); d-- > 0; i /= sizes[d]) at += i % sizes[d] * strides[d];
    const char *p = (const char *)wg_const_data(t) + at * (int64_t)wg_dtype_size(wg_dtype_of(t));
    switch (wg_dtype_of(t)) {
    case WG_UINT8: return *(const uint8_t *)p;
    case WG_INT16: return *(const int16_t *)(const void *)p;
    case WG_FLOAT32: return (double)*(const float *)(const void *)p;
    case WG_FLOAT64: memcpy(&v, p, sizeof v); return v;
    default: fail_msg("no reader"); return 0;
    }
}

static void check_elements(const char *what, const layout *a, const layout *b, wg_tensor *t) {
    for (int64_t i = 0; i < wg_numel(t); i++)
        if (element(t, i) != (double)(i % 100))
            fail_msg("%s from %s to %s: element %d is %g", what, a->name, b->name, (int)i, element(t, i));
}

static void every_layout(void **state) {
    (void)state;
    static const wg_dtype types[] = {WG_UINT8, WG_INT16, WG_FLOAT32, WG_FLOAT64};
    static const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {1, 70, 66}, {3, 1, 129}, {40, 1, 33}};
    for (int c = 0; c < 5 * LAYOUTS * LAYOUTS * 4; c++) WG_SCOPE {
            const layout *from = &layouts[c % LAYOUTS], *to = &layouts[c / LAYOUTS % LAYOUTS];
            wg_dtype d = types[c / (LAYOUTS * LAYOUTS) % 4], other = types[(c / (LAYOUTS * LAYOUTS) + c) % 4];
            const int64_t *sizes = shapes[c / (LAYOUTS * LAYOUTS * 4)];
            int64_t n = sizes[0] * sizes[1] * sizes[2];
            wg_tensor *x = laid_out(from, sizes, d), *y = laid_out(to, sizes, other);
            uint8_t *v = malloc((size_t)n);
            for (int64_t i = 0; i < n; i++) v[i] = (uint8_t)(i % 100);
            assert_int_equal(wg_copy_in(x, WG_UINT8, v, (size_t)n), WG_OK);
            free(v);
            check_elements("copy_in", from, from, x);
            assert_ptr_equal(wg_copy_(y, x), y);
            check_elements("copy_", from, to, y);
            check_elements("clone", from, from, wg_clone(x));
            check_elements("to", from, from, wg_to(x, other));
            wg_tensor *row = wg_contiguous(x);
            assert_true(wg_is_contiguous(row));
            check_elements("contiguous", from, from, row);
        }
}

/* Large enough for several threads, in each of the loops: flat, tiled, strided, converting. */
static void large_copies(void **state) {
    (void)state;
    const int64_t rows = 1111, columns = 1237;
    WG_SCOPE {
        wg_tensor *x = wg_view(count(rows * columns, WG_INT32), 2, L(rows, columns)), *flat = wg_clone(x),
                  *turned = wg_contiguous(wg_t(x)), *wide = wg_to(wg_t(x), WG_FLOAT64),
                  *apart = wg_slice(wg_zeros(WG_SHAPE(rows, 2 * columns), WG_DTYPE(WG_INT32)), 1, 0, INT64_MAX, 2);
        assert_ptr_equal(wg_copy_(apart, x), apart);
        const int32_t *f = wg_const_data(flat), *t = wg_const_data(turned), *a = wg_const_data(apart);
        const double *w = wg_const_data(wide);
        assert_int_equal(wg_stride(wide, 0), 1); /* dense strides are kept */
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) {
                int64_t i = r * columns + c;
                if (f[i] != i || t[c * rows + r] != i || a[2 * i] != i || w[i] != (double)i)
                    fail_msg("element %d", (int)i);
            }
    }
}

/* ---- copy_
 * --------------------------------------------------------------------------------------------------------------- */

static void copies_broadcast_but_may_not_overlap(void **state) {
    (void)state;
    int64_t got[6];
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(2, 3), WG_DTYPE(WG_INT64));
        wg_copy_(x, count(3, WG_FLOAT32));
        assert_int_equal(wg_copy_out(x, WG_INT64, got, sizeof got), WG_OK);
        assert_memory_equal(got, L(0, 1, 2, 0, 1, 2), sizeof got);
        wg_copy_(x, wg_view(count(2, WG_INT64), 2, L(2, 1)));
        assert_int_equal(wg_copy_out(x, WG_INT64, got, sizeof got), WG_OK);
        assert_memory_equal(got, L(0, 0, 0, 1, 1, 1), sizeof got);
        wg_tensor *square = wg_view(count(4, WG_INT64), 2, L(2, 2));
        refused(wg_copy_(square, wg_t(square)), WG_ERR_RUNTIME,
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                "memory "
                "location.");
        wg_copy_(square, wg_clone(wg_t(square)));
        assert_int_equal(wg_copy_out(square, WG_INT64, got, 4 * sizeof(*got)), WG_OK);
        assert_memory_equal(got, L(0, 2, 1, 3), 4 * sizeof(*got));
        refused(wg_copy_(x, wg_zeros(WG_SHAPE(2, 2), NULL)), WG_ERR_RUNTIME,
                "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
        refused(wg_copy_(wg_expand(wg_zeros(WG_SHAPE(1), NULL), 1, L(3)), wg_zeros(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
                "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location.");
    }
}

/* ---- one element
 * ------------------------------------------------------------------------------------------------------------ */

static void items(void **state) {
    (void)state;
    double d = 0;
    int64_t i = 0;
    WG_SCOPE {
        assert_int_equal(wg_item(wg_full(WG_SHAPE(1, 1), wg_s(2.5), NULL), &d), WG_OK);
        assert_true(d == 2.5);
        assert_int_equal(wg_item_i(wg_full(WG_SCALAR_SHAPE, wg_i(INT64_MAX), NULL), &i), WG_OK);
        assert_true(i == INT64_MAX); /* not by way of double */
        assert_int_equal(wg_item(wg_select(count(5, WG_FLOAT16), 0, 3), &d), WG_OK);
        assert_true(d == 3);
        assert_int_equal(wg_item_i(wg_full(WG_SHAPE(1), wg_s(-2.9), NULL), &i), WG_OK);
        assert_int_equal(i, -2);
        sink_refused(wg_item(wg_ones(WG_SHAPE(6), NULL), &d), WG_ERR_RUNTIME,
                     "a Tensor with 6 elements cannot be converted to Scalar");
        sink_refused(wg_item_i(wg_ones(WG_SHAPE(0), NULL), &i), WG_ERR_RUNTIME,
                     "a Tensor with 0 elements cannot be converted to Scalar");
        assert_int_not_equal(wg_item(NULL, &d), WG_OK);
        wg_clear_error();
    }
}

static void truth(void **state) {
    (void)state;
    const double falses[] = {0, -0.0}, trues[] = {1, -1, 1e-300, INFINITY, NAN};
    WG_SCOPE {
        for (int k = 0; k < 2; k++)
            assert_int_equal(wg_truth(wg_full(WG_SHAPE(1), wg_s(falses[k]), WG_DTYPE(WG_FLOAT64))), 0);
        for (int k = 0; k < 5; k++)
            assert_int_equal(wg_truth(wg_full(WG_SHAPE(1), wg_s(trues[k]), WG_DTYPE(WG_FLOAT64))), 1);
        for (int d = 0; d < DTYPES; d++) {
            assert_int_equal(wg_truth(wg_ones(WG_SCALAR_SHAPE, WG_DTYPE((wg_dtype)d))), 1);
            assert_int_equal(wg_truth(wg_zeros(WG_SHAPE(1, 1), WG_DTYPE((wg_dtype)d))), 0);
        }
        assert_int_equal(wg_truth(wg_ones(WG_SHAPE(2), NULL)), -1);
        refused(NULL, WG_ERR_RUNTIME, "Boolean value of Tensor with more than one value is ambiguous");
        assert_int_equal(wg_truth(wg_ones(WG_SHAPE(0), NULL)), -1);
        refused(NULL, WG_ERR_RUNTIME, "Boolean value of Tensor with no values is ambiguous");
        assert_int_equal(wg_truth(NULL), -1);
        wg_clear_error();
    }
}

/* Values inside vmap are not one: reading them out is refused. */
static wg_tensor *reads(void *user, wg_tensor *const *in, int n) {
    double d;
    (void)n;
    if (*(int *)user == 0 && wg_item(in[0], &d) == WG_OK) return in[0];
    if (*(int *)user == 1 && wg_copy_out(in[0], WG_FLOAT64, &d, sizeof d) == WG_OK) return in[0];
    if (*(int *)user == 2 && wg_truth(in[0]) >= 0) return in[0];
    if (*(int *)user == 3) return wg_full(WG_SHAPE(2), in[0], NULL);
    if (*(int *)user == 4) return wg_arange(wg_i(0), in[0], wg_i(1), NULL);
    if (*(int *)user == 5) return wg_full_like(wg_ones(WG_SHAPE(2), NULL), in[0], NULL);
    return NULL;
}
static void no_reading_inside_vmap(void **state) {
    (void)state;
    for (int which = 0; which < 6; which++) WG_SCOPE {
            wg_tensor *x = wg_ones(WG_SHAPE(3), NULL);
            int64_t dim = 0;
            assert_true(wg_is_poison(wg_vmap(reads, &which, &x, &dim, 1, 0)));
            assert_int_not_equal(wg_last_status(), WG_OK);
            wg_clear_error();
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
        TEST(out_is_row_major_and_converted),
        TEST(in_overwrites_and_bumps),
        TEST(in_obeys_autograd),
        TEST(out_and_in_refuse),
        TEST(every_layout),
        TEST(large_copies),
        TEST(copies_broadcast_but_may_not_overlap),
        TEST(items),
        TEST(truth),
        TEST(no_reading_inside_vmap),
    };
    return cmocka_run_group_tests_name("copies", tests, NULL, NULL);
}
