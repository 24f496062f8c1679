/* test_storage.c - the memory under a tensor: borrowed memory of any alignment, read-only memory, when it is given
 * back; sharing, `.data`, and exchanging the storage under one identity; devices that do not exist.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wengert/wengert.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define L(...)                                                                                                         \
    (const int64_t[]) { __VA_ARGS__ }

static int released;
static void release(void *user) {
    assert_ptr_equal(user, &released);
    released++;
}
static int64_t live_tensors(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors;
}
static bool holds(wg_tensor *t, const double *want) {
    double got[64];
    if (wg_copy_out(t, WG_FLOAT64, got, sizeof(double) * (size_t)wg_numel(t)) != WG_OK) return false;
    return memcmp(got, want, sizeof(double) * (size_t)wg_numel(t)) == 0;
}
static bool equal(wg_tensor *a, wg_tensor *b) {
    bool same = false;
    return wg_equal(a, b, &same) == WG_OK && same;
}
#define HOLDS(t, ...) assert_true(holds(t, (const double[]){__VA_ARGS__}))
#define RAISES(call, code, part)                                                                                       \
    do {                                                                                                               \
        assert_true(wg_is_poison(call));                                                                               \
        assert_string_equal(wg_status_name(wg_last_status()), wg_status_name(code));                                   \
        if (!strstr(wg_last_message(), part)) assert_string_equal(wg_last_message(), part);                            \
        wg_clear_error();                                                                                              \
    } while (0)

/* ---- borrowed memory --------------------------------------------------------------------------------------------- */

static void borrowed_memory_is_used_in_place(void **state) {
    (void)state;
    double mine[6] = {0, 1, 2, 3, 4, 5};
    released = 0;
    WG_SCOPE {
        wg_tensor *x =
            wg_from_memory(WG_FLOAT64, 2, L(2, 3),
                           WG_MEMORY(.data = mine, .bytes = sizeof mine, .release = release, .user = &released));
        assert_ptr_equal(wg_data(x), mine);
        assert_ptr_equal(wg_const_data(x), mine);
        assert_false(wg_is_view(x));
        assert_true(wg_is_contiguous(x));
        HOLDS(x, 0, 1, 2, 3, 4, 5);
        wg_add_(wg_select(x, 0, 1), wg_s(10));
        assert_true(mine[2] == 2 && mine[3] == 13 && mine[5] == 15);
        mine[0] = 100;
        HOLDS(wg_select(x, 1, 0), 100, 13);
        HOLDS(wg_sum(x), 100 + 1 + 2 + 13 + 14 + 15);
        wg_set_requires_grad(x, true);
        assert_int_equal(wg_backward(wg_sum(wg_mul(x, x))), WG_OK);
        HOLDS(wg_grad_of(x), 200, 2, 4, 26, 28, 30);
        assert_int_equal(released, 0);
    }
    assert_int_equal(released, 1);
}

static void the_last_tensor_gives_it_back(void **state) {
    (void)state;
    float mine[4] = {1, 2, 3, 4};
    wg_tensor *last = NULL;
    released = 0;
    WG_SCOPE {
        wg_tensor *x =
            wg_from_memory(WG_FLOAT32, 1, L(4), WG_MEMORY(.data = mine, .release = release, .user = &released));
        last = wg_keep(wg_data_of(wg_slice(wg_detach(x), 0, 1, 3, 1)));
    }
    assert_int_equal(released, 0);
    HOLDS(last, 2, 3);
    wg_release(last);
    assert_int_equal(released, 1);
    released = 0;
    WG_SCOPE { /* exchanged for another storage: nobody uses it any more */
        wg_tensor *x =
            wg_from_memory(WG_FLOAT32, 1, L(4), WG_MEMORY(.data = mine, .release = release, .user = &released));
        assert_int_equal(wg_set_data(x, wg_ones(WG_SHAPE(2), NULL)), WG_OK);
        assert_int_equal(released, 1);
        HOLDS(x, 1, 1);
    }
    assert_int_equal(released, 1);
}

static void *release_elsewhere(void *t) {
    wg_release(t);
    return NULL;
}
static void any_thread_may_be_the_last(void **state) {
    (void)state;
    float mine[1] = {1};
    pthread_t thread;
    released = 0;
    wg_tensor *x =
        wg_take(wg_from_memory(WG_FLOAT32, 1, L(1), WG_MEMORY(.data = mine, .release = release, .user = &released)));
    assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, x), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(released, 1);
}

/* A thread that makes nothing and only releases: what it released is no longer counted. */
static void history_goes_with_its_last_owner(void **state) {
    (void)state;
    pthread_t thread;
    wg_tensor *loss = NULL;
    WG_SCOPE {
        wg_tensor *x = wg_set_requires_grad(wg_ones(WG_SHAPE(100), NULL), true);
        loss = wg_take(wg_sum(wg_slice(wg_mul(wg_exp(x), x), 0, 0, 9, 2)));
    }
    assert_true(live_tensors() > 2);
    assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, loss), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(live_tensors(), 0);
}

static void a_failed_call_gives_it_back_too(void **state) {
    (void)state;
    float mine[6] = {0};
    const struct {
        wg_status code;
        const char *part;
        wg_dtype dtype;
        int ndim;
        int64_t sizes[2];
        wg_memory memory;
    } bad[] = {
        {WG_ERR_RUNTIME, "reaches bytes 0 to 28", WG_FLOAT32, 1, {7}, {.data = mine, .bytes = sizeof mine}},
        {WG_ERR_RUNTIME, "reaches bytes 0 to 48", WG_FLOAT64, 2, {2, 3}, {.data = mine, .bytes = sizeof mine}},
        {WG_ERR_RUNTIME,
         "reaches bytes -20 to 4",
         WG_FLOAT32,
         1,
         {6},
         {.data = mine, .bytes = sizeof mine, .strides = L(-1)}},
        {WG_ERR_RUNTIME,
         "reaches bytes 0 to 36",
         WG_FLOAT32,
         1,
         {3},
         {.data = mine, .bytes = sizeof mine, .strides = L(4)}},
        {WG_ERR_RUNTIME, "overflow", WG_FLOAT32, 2, {INT64_MAX, 4}, {.data = mine}},
        {WG_ERR_RUNTIME, "overflow", WG_FLOAT32, 1, {4}, {.data = mine, .strides = L(INT64_MAX / 2)}},
        {WG_ERR_RUNTIME, "negative dimension -1", WG_FLOAT32, 1, {-1}, {.data = mine}},
        {WG_ERR_VALUE, "dims", WG_FLOAT32, 65, {1}, {.data = mine}},
        {WG_ERR_VALUE, "dims", WG_FLOAT32, -1, {1}, {.data = mine}},
        {WG_ERR_TYPE, "NULL", WG_FLOAT32, 1, {1}, {.data = NULL}},
        {WG_ERR_NOT_IMPLEMENTED, "complex64", WG_COMPLEX64, 1, {1}, {.data = mine}},
        {WG_ERR_RUNTIME, "only the cpu", WG_FLOAT32, 1, {1}, {.data = mine, .device = {WG_CUDA, 0}}},
    };
    for (size_t i = 0; i < COUNT(bad); i++) WG_SCOPE {
            wg_memory m = bad[i].memory;
            m.size = sizeof m;
            m.release = release;
            m.user = &released;
            released = 0;
            RAISES(wg_from_memory(bad[i].dtype, bad[i].ndim, bad[i].sizes, &m), bad[i].code, bad[i].part);
            assert_int_equal(released, 1);
        }
    RAISES(wg_from_memory(WG_FLOAT32, 1, L(1), NULL), WG_ERR_VALUE, "wg_memory.size");
    RAISES(wg_from_memory(WG_FLOAT32, 1, L(1), &(wg_memory){.data = mine}), WG_ERR_VALUE, "wg_memory.size");
    released = 0;
    WG_SCOPE { /* nothing to reach: any address, any strides */
        wg_tensor *none =
            wg_from_memory(WG_FLOAT32, 2, L(0, 5),
                           WG_MEMORY(.bytes = 1, .strides = L(100, 100), .release = release, .user = &released));
        assert_int_equal(wg_numel(none), 0);
        assert_true(wg_is_contiguous(wg_add(none, none)));
        assert_int_equal(wg_copy_out(none, WG_FLOAT32, NULL, 0), WG_OK);
    }
    assert_int_equal(released, 1);
}

static void any_strides(void **state) {
    (void)state;
    double mine[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    WG_SCOPE {
        wg_tensor *turned =
            wg_from_memory(WG_FLOAT64, 2, L(2, 3), WG_MEMORY(.data = mine, .bytes = sizeof mine, .strides = L(1, 2)));
        assert_false(wg_is_contiguous(turned));
        HOLDS(turned, 0, 2, 4, 1, 3, 5);
        wg_tensor *backwards = wg_from_memory(WG_FLOAT64, 1, L(4), WG_MEMORY(.data = mine + 7, .strides = L(-2)));
        HOLDS(backwards, 7, 5, 3, 1);
        HOLDS(wg_mul(backwards, wg_s(2)), 14, 10, 6, 2);
        HOLDS(wg_sum(backwards), 16);
        HOLDS(wg_dot(backwards, backwards), 49 + 25 + 9 + 1);
        HOLDS(wg_sort(backwards, 0, false, false, NULL), 1, 3, 5, 7);
        HOLDS(wg_cat(WG_TENSORS(backwards, backwards), 0), 7, 5, 3, 1, 7, 5, 3, 1);
        wg_add_(wg_slice(backwards, 0, 1, 3, 1), wg_s(100));
        assert_true(mine[5] == 105 && mine[3] == 103 && mine[7] == 7 && mine[4] == 4);
        wg_tensor *repeated = wg_from_memory(WG_FLOAT64, 2, L(2, 2), WG_MEMORY(.data = mine, .strides = L(0, 1)));
        HOLDS(repeated, 0, 1, 0, 1);
        RAISES(wg_add_(repeated, wg_s(1)), WG_ERR_RUNTIME, "single memory location");
        assert_true(mine[0] == 0 && mine[1] == 1);
    }
}

/* Elements at odd addresses, through every dtype and kind of op, give what aligned ones give. */
static void any_alignment(void **state) {
    (void)state;
    enum { N = 40 };
    static char memory[2][N * 8 + 8];
    int checked = 0;
    for (wg_dtype d = WG_BOOL; d <= WG_FLOAT64; d++)
        for (int odd = 1; odd < 4; odd++) WG_SCOPE {
                size_t bytes = N * wg_dtype_size(d);
                wg_tensor *a = wg_to(wg_rand(WG_SHAPE(N), NULL, NULL), WG_FLOAT32);
                a = wg_to(wg_mul(a, wg_s(5)), d);
                assert_int_equal(wg_copy_out(a, d, memory[0] + odd, bytes), WG_OK);
                memcpy(memory[1] + odd, memory[0] + odd, bytes);
                wg_tensor *x = wg_from_memory(d, 1, L(N), WG_MEMORY(.data = memory[0] + odd, .bytes = bytes)),
                          *y = wg_from_memory(d, 1, L(N), WG_MEMORY(.data = memory[1] + odd, .bytes = bytes));
                const int64_t matrix[] = {4, 10};
                wg_tensor *mx = wg_view(x, 2, matrix), *ma = wg_view(a, 2, matrix);
                wg_tensor *pairs[][2] = {
                    {wg_add(x, y), wg_add(a, a)},
                    {wg_mul(x, wg_i(1)), wg_mul(a, wg_i(1))},
                    {wg_eq(x, y), wg_eq(a, a)},
                    {wg_to(x, WG_FLOAT64), wg_to(a, WG_FLOAT64)},
                    {wg_clone(x), a},
                    {wg_contiguous(wg_t(mx)), wg_contiguous(wg_t(ma))},
                    {wg_sum(x), wg_sum(a)},
                    {wg_sum(mx, .dims = WG_DIMS(0)), wg_sum(ma, .dims = WG_DIMS(0))},
                    {d == WG_BOOL ? wg_any(x) : wg_argmax_all(x), d == WG_BOOL ? wg_any(a) : wg_argmax_all(a)},
                    {wg_sort(x, 0, true, true, NULL), wg_sort(a, 0, true, true, NULL)},
                    {wg_cat(WG_TENSORS(x, a), 0), wg_cat(WG_TENSORS(a, a), 0)},
                    {wg_where(wg_gt(x, wg_i(1)), x, y), wg_where(wg_gt(a, wg_i(1)), a, a)},
                    {wg_index_select(x, 0, wg_arange(wg_i(3), wg_i(30), wg_i(4), NULL)),
                     wg_index_select(a, 0, wg_arange(wg_i(3), wg_i(30), wg_i(4), NULL))},
                    {wg_slice(x, 0, 1, 40, 3), wg_slice(a, 0, 1, 40, 3)},
                    {d == WG_BOOL ? x : wg_mm(mx, wg_t(mx)), d == WG_BOOL ? a : wg_mm(ma, wg_t(ma))},
                };
                for (size_t i = 0; i < COUNT(pairs); i++, checked++)
                    if (!equal(pairs[i][0], pairs[i][1]))
                        fail_msg("%s at offset %d, case %zu: %s", wg_dtype_name(d), odd, i, wg_last_message());
                wg_tensor *ones = wg_eq(a, wg_i(1));
                assert_true(equal(wg_masked_fill_(y, ones, wg_i(0)), wg_masked_fill(a, ones, wg_i(0))));
                assert_true(equal(wg_fill_(y, wg_i(1)), wg_ones_like(a, NULL)));
                assert_true(equal(wg_copy_(y, x), a));
                assert_true(equal(wg_mul_(y, x), wg_mul(a, a)));
                assert_true(equal(wg_zero_(mx), wg_zeros_like(ma, NULL)));
            }
    assert_int_equal(checked, 10 * 3 * 15);
}

/* ---- read-only memory -------------------------------------------------------------------------------------------- */

static wg_tensor *target, *argument, *mask, *index_zero;

static wg_tensor *write_add(void) { return wg_add_(target, argument); }
static wg_tensor *write_add_alpha(void) { return wg_add_alpha_(target, argument, 2); }
static wg_tensor *write_sub(void) { return wg_sub_(target, argument); }
static wg_tensor *write_sub_alpha(void) { return wg_sub_alpha_(target, argument, 2); }
static wg_tensor *write_mul(void) { return wg_mul_(target, argument); }
static wg_tensor *write_div(void) { return wg_div_(target, argument); }
static wg_tensor *write_pow(void) { return wg_pow_(target, argument); }
static wg_tensor *write_zero(void) { return wg_zero_(target); }
static wg_tensor *write_fill(void) { return wg_fill_(target, wg_s(3)); }
static wg_tensor *write_copy(void) { return wg_copy_(target, argument); }
static wg_tensor *write_clamp(void) { return wg_clamp_(target, wg_s(0), wg_s(1)); }
static wg_tensor *write_relu(void) { return wg_relu_(target); }
static wg_tensor *write_exp(void) { return wg_exp_(target); }
static wg_tensor *write_tanh(void) { return wg_tanh_(target); }
static wg_tensor *write_sigmoid(void) { return wg_sigmoid_(target); }
static wg_tensor *write_neg(void) { return wg_neg_(target); }
static wg_tensor *write_masked_fill(void) { return wg_masked_fill_(target, mask, wg_s(0)); }
static wg_tensor *write_index_put(void) { return wg_index_put_(target, &index_zero, 1, wg_s(9), false); }
static wg_tensor *write_uniform(void) { return wg_uniform_(target, 0, 1, NULL); }
static wg_tensor *write_normal(void) { return wg_normal_(target, 0, 1, NULL); }
static wg_tensor *write_bernoulli(void) { return wg_bernoulli_(target, 0.5, NULL); }
static wg_tensor *write_bernoulli_tensor(void) { return wg_bernoulli_tensor_(target, mask, NULL); }
static wg_tensor *write_exponential(void) { return wg_exponential_(target, 1, NULL); }
static wg_tensor *write_random(void) { return wg_random_(target, NULL); }
static wg_tensor *write_random_range(void) { return wg_random_range_(target, 0, 9, NULL); }
static wg_tensor *write_cauchy(void) { return wg_cauchy_(target, 0, 1, NULL); }
static wg_tensor *write_geometric(void) { return wg_geometric_(target, 0.5, NULL); }
static wg_tensor *write_log_normal(void) { return wg_log_normal_(target, 0, 1, NULL); }
static wg_tensor *write_copy_in(void) {
    const float v[4] = {9, 9, 9, 9};
    return wg_copy_in(target, WG_FLOAT32, v, sizeof v) == WG_OK ? target : wg_neg(NULL);
}

static const struct {
    const char *name;
    wg_tensor *(*call)(void);
} writes[] = {
#define W(name)                                                                                                        \
    { #name, write_##name }
    W(add),          W(add_alpha),
    W(sub),          W(sub_alpha),
    W(mul),          W(div),
    W(pow),          W(zero),
    W(fill),         W(copy),
    W(clamp),        W(relu),
    W(exp),          W(tanh),
    W(sigmoid),      W(neg),
    W(masked_fill),  W(index_put),
    W(uniform),      W(normal),
    W(bernoulli),    W(bernoulli_tensor),
    W(exponential),  W(random),
    W(random_range), W(cauchy),
    W(geometric),    W(log_normal),
    W(copy_in),
#undef W
};

static void read_only_memory_is_not_written(void **state) {
    (void)state;
    static const float fixed[4] = {1, 2, 3, 4}; /* in a page that cannot be written */
    WG_SCOPE {
        wg_tensor *x = wg_from_memory(
            WG_FLOAT32, 1, L(4), WG_MEMORY(.data = (void *)(uintptr_t)fixed, .bytes = sizeof fixed, .read_only = true));
        wg_tensor *handles[] = {x, wg_alias(x), wg_detach(x), wg_data_of(x), wg_view(x, 2, L(1, 4))};
        argument = wg_full(WG_SHAPE(4), wg_s(2), NULL);
        mask = wg_gt(x, wg_s(0));
        index_zero = wg_arange(wg_i(0), wg_i(1), wg_i(1), NULL);
        HOLDS(wg_add(x, x), 2, 4, 6, 8);
        for (size_t h = 0; h < COUNT(handles); h++) {
            target = handles[h];
            assert_null(wg_data(target));
            assert_ptr_equal(wg_const_data(target), fixed);
            for (size_t i = 0; i < COUNT(writes); i++) {
                if (!wg_is_poison(writes[i].call())) fail_msg("%s_ wrote", writes[i].name);
                if (wg_last_status() != WG_ERR_RUNTIME || !strstr(wg_last_message(), "read-only"))
                    fail_msg("%s_: %s", writes[i].name, wg_last_message());
                wg_clear_error();
            }
        }
        assert_int_equal(wg_version_of(x), 0);
        HOLDS(x, 1, 2, 3, 4);
        wg_tensor *copy = wg_clone(x);
        assert_non_null(wg_data(copy));
        HOLDS(wg_add_(copy, wg_s(1)), 2, 3, 4, 5);
    }
}

/* ---- sharing ----------------------------------------------------------------------------------------------------- */

static void who_shares_what(void **state) {
    (void)state;
    for (int64_t n = 4; n <= 400; n *= 100) /* inside a block and outside */
        WG_SCOPE {
            wg_tensor *x = wg_arange(wg_i(0), wg_i(n), wg_i(1), NULL), *view = wg_slice(x, 0, 1, 3, 1),
                      *data = wg_data_of(x), *detached = wg_detach(x), *copy = wg_clone(x),
                      *of_data = wg_slice(data, 0, 2, 4, 1);
            assert_true(wg_same_storage(x, view) && wg_same_storage(view, data) && wg_same_storage(detached, of_data));
            assert_false(wg_same_storage(x, copy));
            assert_false(wg_same_storage(x, NULL));
            assert_int_equal(wg_storage_offset(view), 1);
            assert_int_equal(wg_storage_offset(of_data), 2);
            wg_add_(view, wg_i(10));
            assert_int_equal(wg_version_of(x), 1);
            assert_int_equal(wg_version_of(view), 1);
            assert_int_equal(wg_version_of(detached), 1);
            assert_int_equal(wg_version_of(data), 0); /* .data counts for itself */
            wg_add_(of_data, wg_i(100));
            assert_int_equal(wg_version_of(data), 1);
            assert_int_equal(wg_version_of(of_data), 1);
            assert_int_equal(wg_version_of(x), 1);
            assert_int_equal(wg_increment_version(detached), WG_OK);
            assert_int_equal(wg_version_of(x), 2);
            HOLDS(wg_slice(x, 0, 0, 4, 1), 0, 11, 112, 103);
            HOLDS(wg_slice(copy, 0, 0, 4, 1), 0, 1, 2, 3);
        }
}

/* `.data =`: identity, version and who looks at the version stay; elements, sizes and dtype are the other's. */
static void storage_is_exchanged_under_one_identity(void **state) {
    (void)state;
    static const struct {
        int ndim;
        int64_t sizes[4];
    } shapes[] = {{0, {0}}, {1, {3}}, {1, {300}}, {2, {2, 2}}, {4, {2, 1, 3, 2}}, {3, {5, 0, 2}}};
    for (size_t a = 0; a < COUNT(shapes); a++)
        for (size_t b = 0; b < COUNT(shapes); b++) WG_SCOPE {
                int64_t before = live_tensors();
                WG_SCOPE {
                    wg_tensor *x = wg_full(shapes[a].ndim, shapes[a].sizes, wg_s(1), NULL),
                              *y = wg_full(shapes[b].ndim, shapes[b].sizes, wg_s(2), WG_DTYPE(WG_FLOAT64));
                    wg_tensor *alias = wg_alias(x), *detached = wg_detach(x);
                    wg_add_(x, wg_s(0));
                    assert_int_equal(wg_set_data(x, y), WG_OK);
                    assert_int_equal(wg_ndim(x), shapes[b].ndim);
                    for (int i = 0; i < shapes[b].ndim; i++) assert_int_equal(wg_size(x, i), shapes[b].sizes[i]);
                    assert_int_equal(wg_dtype_of(x), WG_FLOAT64);
                    assert_true(wg_same_storage(x, y));
                    assert_false(wg_same_storage(x, alias));
                    assert_int_equal(wg_numel(alias), wg_numel(detached));
                    bool same = false;
                    assert_int_equal(wg_equal(x, y, &same), WG_OK);
                    assert_true(same);
                    assert_int_equal(wg_equal(alias, wg_full(shapes[a].ndim, shapes[a].sizes, wg_s(1), NULL), &same),
                                     WG_OK);
                    assert_true(same); /* who saw the old elements sees them still */
                    assert_int_equal(wg_version_of(x), 1);
                    assert_int_equal(wg_version_of(y), 0);
                    wg_mul_(x, wg_s(2)); /* its own version, the shared elements */
                    assert_int_equal(wg_version_of(x), 2);
                    assert_int_equal(wg_version_of(detached), 2);
                    assert_int_equal(wg_version_of(y), 0);
                    assert_int_equal(wg_equal(x, y, &same), WG_OK);
                    assert_true(same);
                    assert_int_equal(wg_set_data(x, alias), WG_OK); /* and back */
                    assert_true(wg_same_storage(x, alias));
                    assert_int_equal(wg_dtype_of(x), WG_FLOAT32);
                    assert_int_equal(wg_set_data(x, x), WG_OK);
                    assert_int_equal(wg_version_of(x), 2);
                }
                assert_int_equal(live_tensors(), before);
            }
}

static void what_cannot_be_exchanged(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_set_requires_grad(wg_ones(WG_SHAPE(2), NULL), true),
                  *i = wg_arange(wg_i(0), wg_i(2), wg_i(1), NULL);
        assert_int_equal(wg_set_data(x, i), WG_ERR_RUNTIME);
        assert_non_null(strstr(wg_last_message(), "must be floating point or complex dtype"));
        assert_int_equal(wg_set_data(x, NULL), WG_ERR_TYPE);
        assert_non_null(strstr(wg_last_message(), "Variable data has to be a tensor, but got NoneType"));
        assert_int_equal(wg_set_data(NULL, x), WG_ERR_TYPE);
        wg_clear_error();
        HOLDS(x, 1, 1);
        assert_int_equal(wg_dtype_of(x), WG_FLOAT32);
        wg_tensor *half = wg_full(WG_SHAPE(3), wg_s(0.5), NULL);
        assert_int_equal(wg_set_data(x, half), WG_OK);
        assert_true(wg_requires_grad(x) && wg_is_leaf(x));
        assert_int_equal(wg_backward(wg_sum(wg_mul(x, x))), WG_OK);
        HOLDS(wg_grad_of(x), 1, 1, 1);
    }
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static void only_the_cpu_exists(void **state) {
    (void)state;
    static const wg_device others[] = {{WG_CUDA, 0}, {WG_CUDA, 3}, {WG_META, 0}, {WG_CPU, 1}};
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2), WG_OPT(.device = {WG_CPU, 0}));
        assert_int_equal(wg_device_of(x).type, WG_CPU);
        assert_int_equal(wg_device_of(x).index, 0);
        const float data[2] = {0};
        for (size_t i = 0; i < COUNT(others); i++) {
            const wg_options *o = WG_OPT(.device = others[i]);
            const char *text = "only the cpu exists";
            RAISES(wg_empty(WG_SHAPE(2), o), WG_ERR_RUNTIME, text);
            RAISES(wg_empty_strided(1, L(2), L(1), o), WG_ERR_RUNTIME, text);
            RAISES(wg_zeros(WG_SHAPE(2), o), WG_ERR_RUNTIME, text);
            RAISES(wg_ones(WG_SHAPE(2), o), WG_ERR_RUNTIME, text);
            RAISES(wg_full(WG_SHAPE(2), wg_s(1), o), WG_ERR_RUNTIME, text);
            RAISES(wg_empty_like(x, o), WG_ERR_RUNTIME, text);
            RAISES(wg_zeros_like(x, o), WG_ERR_RUNTIME, text);
            RAISES(wg_ones_like(x, o), WG_ERR_RUNTIME, text);
            RAISES(wg_full_like(x, wg_s(1), o), WG_ERR_RUNTIME, text);
            RAISES(wg_arange(wg_i(0), wg_i(2), wg_i(1), o), WG_ERR_RUNTIME, text);
            RAISES(wg_linspace(0, 1, 3, o), WG_ERR_RUNTIME, text);
            RAISES(wg_eye(2, 2, o), WG_ERR_RUNTIME, text);
            RAISES(wg_from_data(data, WG_FLOAT32, 1, L(2), o), WG_ERR_RUNTIME, text);
            RAISES(wg_rand(WG_SHAPE(2), o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_randn(WG_SHAPE(2), o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_randint(0, 3, WG_SHAPE(2), o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_randperm(3, o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_normal(0, 1, WG_SHAPE(2), o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_rand_like(x, o, NULL), WG_ERR_RUNTIME, text);
            RAISES(wg_from_memory(WG_FLOAT32, 1, L(2), WG_MEMORY(.data = (void *)(uintptr_t)data, .device = others[i])),
                   WG_ERR_RUNTIME, text);
        }
    }
}

static int live(void **state) {
    (void)state;
    wg_clear_error();
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}

static void how_large_it_is(void **state) {
    (void)state;
    float mine[6] = {0};
    bool foreign = false;
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(100, 3), NULL);
        assert_int_equal(wg_storage_bytes(x, &foreign), 1200);
        assert_false(foreign);
        assert_int_equal(wg_storage_bytes(wg_select(x, 0, 99), NULL), 1200);
        assert_int_equal(wg_storage_bytes(wg_s(1), NULL), 8);
        assert_int_equal(wg_storage_bytes(wg_zeros(WG_SHAPE(0), NULL), NULL), 0);
        assert_int_equal(wg_storage_bytes(wg_from_memory(WG_FLOAT32, 1, L(6), WG_MEMORY(.data = mine)), &foreign), 24);
        assert_true(foreign);
        assert_int_equal(wg_storage_bytes(NULL, &foreign), 0);
        assert_false(foreign);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(borrowed_memory_is_used_in_place, live),
        cmocka_unit_test_teardown(the_last_tensor_gives_it_back, live),
        cmocka_unit_test_teardown(any_thread_may_be_the_last, live),
        cmocka_unit_test_teardown(history_goes_with_its_last_owner, live),
        cmocka_unit_test_teardown(a_failed_call_gives_it_back_too, live),
        cmocka_unit_test_teardown(any_strides, live),
        cmocka_unit_test_teardown(any_alignment, live),
        cmocka_unit_test_teardown(read_only_memory_is_not_written, live),
        cmocka_unit_test_teardown(who_shares_what, live),
        cmocka_unit_test_teardown(storage_is_exchanged_under_one_identity, live),
        cmocka_unit_test_teardown(what_cannot_be_exchanged, live),
        cmocka_unit_test_teardown(how_large_it_is, live),
        cmocka_unit_test_teardown(only_the_cpu_exists, live),
    };
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
