/* test_error.c - what the caller sees of failure: the thread's first error and who may read it, poison, sinks, NULL,
 * the texts; and what a host may not ask for. Its hooks are tested where they are used (alloc, interrupt, random).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/tensor.h"
#include "wengert/wengert.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static wg_tensor *numbers(int64_t n) { return wg_arange(wg_s(0), wg_s((double)n), wg_s(1), NULL); }
/* Fails in mm: (2, 3) times (2, 3). */
static wg_tensor *failed_product(void) {
    wg_tensor *x = wg_ones(WG_SHAPE(2, 3), NULL);
    return wg_mm(x, x);
}
static wg_tensor *failed_sum(void) { return wg_sum(wg_ones(WG_SHAPE(2), NULL), .dims = WG_DIMS(5)); }

/* ---- the slot ---------------------------------------------------------------------------------------------------- */

static void nothing_happened(void **state) {
    (void)state;
    assert_false(wg_error_pending());
    assert_int_equal(wg_last_status(), WG_OK);
    assert_string_equal(wg_last_message(), "");
    assert_string_equal(wg_last_op(), "");
}

static void the_first_error_stays(void **state) {
    (void)state;
    WG_SCOPE {
        assert_true(wg_is_poison(failed_product()));
        assert_true(wg_error_pending());
        assert_true(wg_is_poison(failed_sum()));
        assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
        assert_string_equal(wg_last_op(), "mm");
        assert_true(wg_error_pending()); /* neither of the two reads */
        const char *text = wg_last_message();
        assert_non_null(strstr(text, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"));
        assert_false(wg_error_pending());
        assert_string_equal(wg_last_message(), text); /* it stays there until the next one */
        assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
        assert_string_equal(wg_last_op(), "mm");
        assert_true(wg_is_poison(failed_sum()));
        assert_int_equal(wg_last_status(), WG_ERR_INDEX);
        assert_string_equal(wg_last_op(), "sum");
        assert_non_null(strstr(wg_last_message(), "Dimension out of range"));
        assert_true(wg_is_poison(failed_product()));
        wg_clear_error();
        nothing_happened(NULL);
    }
}

static void users_raise(void **state) {
    (void)state;
    char text[9000];
    assert_int_equal(wg_raise(WG_ERR_VALUE, "%s is %d", "x", 3), WG_ERR_VALUE);
    assert_int_equal(wg_raise(WG_ERR_TYPE, "later"), WG_ERR_TYPE);
    assert_int_equal(wg_last_status(), WG_ERR_VALUE);
    assert_string_equal(wg_last_op(), "");
    assert_string_equal(wg_last_message(), "x is 3");
    assert_int_equal(wg_raise(WG_OK, "no error has this code"), WG_ERR_RUNTIME);
    assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
    wg_clear_error();
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    assert_int_equal(wg_raise(WG_ERR_CALLBACK, "%s", text), WG_ERR_CALLBACK);
    size_t n = strlen(wg_last_message());
    assert_in_range(n, 1000, sizeof text - 1);
    assert_memory_equal(wg_last_message(), text, n);
    wg_clear_error();
}

static void codes_have_names(void **state) {
    (void)state;
    static const struct {
        wg_status code;
        int number;
        const char *name;
    } all[] = {
        {WG_OK, 0, "OK"},
        {WG_ERR_RUNTIME, 1, "RuntimeError"},
        {WG_ERR_TYPE, 2, "TypeError"},
        {WG_ERR_VALUE, 3, "ValueError"},
        {WG_ERR_INDEX, 4, "IndexError"},
        {WG_ERR_NOT_IMPLEMENTED, 5, "NotImplementedError"},
        {WG_ERR_ZERO_DIVISION, 6, "ZeroDivisionError"},
        {WG_ERR_MEMORY, 7, "MemoryError"},
        {WG_ERR_INTERRUPTED, 8, "KeyboardInterrupt"},
        {WG_ERR_CALLBACK, 9, "CallbackError"},
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        assert_int_equal(all[i].code, all[i].number);
        assert_string_equal(wg_status_name(all[i].code), all[i].name);
    }
    assert_string_equal(wg_status_name((wg_status)77), "unknown");
}

static void *other_thread(void *arg) {
    (void)arg;
    bool clean = !wg_error_pending() && wg_last_status() == WG_OK && *wg_last_message() == 0;
    WG_SCOPE { clean &= wg_is_poison(failed_sum()) && wg_last_status() == WG_ERR_INDEX; }
    return clean ? arg : NULL;
}
static void threads_have_their_own(void **state) {
    (void)state;
    pthread_t thread;
    void *result = NULL;
    WG_SCOPE assert_true(wg_is_poison(failed_product()));
    assert_int_equal(pthread_create(&thread, NULL, other_thread, state), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, state);
    assert_string_equal(wg_last_op(), "mm");
    wg_clear_error();
}

/* ---- poison ------------------------------------------------------------------------------------------------------ */

static void poison_is_a_value(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *p = failed_product();
        assert_int_equal(wg_numel(p), 0);
        assert_int_equal(wg_ndim(p), 0);
        assert_null(wg_data(p));
        assert_null(wg_const_data(p));
        assert_false(wg_requires_grad(p));
        assert_true(wg_is_leaf(p));
        assert_null(wg_grad_of(p));
        assert_null(wg_base(p));
        assert_ptr_equal(wg_keep(p), p);
        wg_release(p);
        wg_release(p);
        assert_ptr_equal(wg_take(p), p);
        assert_ptr_equal(wg_give(p), p);
        wg_set_slot(p, state);
        assert_null(wg_slot(p));
        assert_true(wg_is_poison(wg_add(wg_mul(p, wg_s(2)), numbers(3))));
        assert_true(wg_is_poison(wg_set_requires_grad(p, true)));
        assert_false(wg_requires_grad(p));
        assert_true(wg_is_poison(wg_detach(p)));
        assert_true(wg_is_poison(wg_ones_like(p, NULL)));
        assert_true(wg_is_poison(wg_full(WG_SHAPE(2), p, NULL)));
        assert_true(wg_is_poison(wg_full_like(numbers(2), p, NULL)));
        assert_true(wg_is_poison(wg_arange(wg_i(0), p, wg_i(1), NULL)));
        assert_true(wg_is_poison(wg_cat(WG_TENSORS(numbers(2), p), 0)));
        assert_true(wg_is_poison(wg_clamp(numbers(2), NULL, p)));
        assert_true(wg_is_poison(wg_rand_like(p, NULL, NULL)));
        assert_string_equal(wg_last_op(), "mm"); /* all of it is the consequence of one error */
        wg_clear_error();
        assert_true(wg_is_poison(wg_add(p, p)));
        nothing_happened(NULL); /* what failed before does not fail again */
    }
}

static void null_is_not_given(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = numbers(3);
        assert_true(wg_is_poison(wg_mul(x, NULL)));
        assert_int_equal(wg_last_status(), WG_ERR_TYPE);
        assert_string_equal(wg_last_message(), "mul(): argument 2 must be Tensor, not None");
        wg_clear_error();
        assert_true(wg_is_poison(wg_exp(NULL)));
        assert_string_equal(wg_last_message(), "exp(): argument 1 must be Tensor, not None");
        wg_clear_error();
        assert_true(wg_is_poison(wg_add_(x, NULL)));
        assert_int_equal(wg_last_status(), WG_ERR_TYPE);
        wg_clear_error();
        assert_int_equal(wg_version_of(x), 0);
        double v = 7;
        assert_int_equal(wg_item(NULL, &v), WG_ERR_TYPE);
        assert_true(v == 7);
        wg_clear_error();
        assert_int_equal(wg_backward(NULL), WG_ERR_TYPE);
        wg_clear_error();
        assert_null(wg_keep(NULL));
        assert_null(wg_take(NULL));
        assert_null(wg_give(NULL));
        wg_release(NULL);
        assert_int_equal(wg_ndim(NULL), 0);
        assert_int_equal(wg_numel(NULL), 0);
        assert_int_equal(wg_size(NULL, 0), -1);
        assert_int_equal(wg_dtype_of(NULL), WG_DTYPE_NONE);
        assert_false(wg_is_poison(NULL));
        assert_false(wg_error_pending());
    }
}

/* ---- sinks ------------------------------------------------------------------------------------------------------- */

static double element = 5;
static bool flag;
static int count;
static wg_tensor *parts[3];
static char text_buffer[64];

static wg_status to_item(wg_tensor *t) { return wg_item(t, &element); }
static wg_status to_item_i(wg_tensor *t) {
    int64_t v = 5;
    wg_status st = wg_item_i(t, &v);
    assert_true(st == WG_OK || v == 5);
    return st;
}
static wg_status to_copy_out(wg_tensor *t) { return wg_copy_out(t, WG_FLOAT64, &element, sizeof element); }
static wg_status to_copy_in(wg_tensor *t) { return wg_copy_in(t, WG_FLOAT64, &element, sizeof element); }
static wg_status to_truth(wg_tensor *t) { return wg_truth(t) < 0 ? wg_last_status() : WG_OK; }
static wg_status to_increment(wg_tensor *t) { return wg_increment_version(t); }
static wg_status to_equal(wg_tensor *t) { return wg_equal(t, t, &flag); }
static wg_status to_allclose(wg_tensor *t) { return wg_allclose(t, t, 0, 0, true, &flag); }
static wg_status to_backward(wg_tensor *t) { return wg_backward(t); }
static wg_status to_backward_with(wg_tensor *t) { return wg_backward_with(t, t); }
static wg_status to_grad(wg_tensor *t) { return wg_grad(&t, 1, &t, 1, NULL, WG_WALK(.retain_graph = true), parts); }
static wg_status to_set_grad(wg_tensor *t) { return wg_set_grad(t, NULL); }
static wg_status to_set_data(wg_tensor *t) { return wg_set_data(t, t); }
static wg_status to_retain_grad(wg_tensor *t) { return wg_retain_grad(t); }
static wg_status to_repr(wg_tensor *t) { return wg_repr(t, text_buffer, sizeof text_buffer, NULL); }
static wg_status to_unbind(wg_tensor *t) { return wg_unbind(t, 0, parts, 3, &count); }
static wg_status to_split(wg_tensor *t) { return wg_split(t, 1, 0, parts, 3, &count); }
static wg_status to_split_sizes(wg_tensor *t) { return wg_split_sizes(t, WG_DIMS(1), 0, parts, 3, &count); }
static wg_status to_chunk(wg_tensor *t) { return wg_chunk(t, 1, 0, parts, 3, &count); }

static const struct sink {
    const char *name;
    wg_status (*call)(wg_tensor *t);
    bool makes_tensors; /* fails for poison only */
} sinks[] = {
    {"item", to_item, false},         {"item_i", to_item_i, false},
    {"copy_out", to_copy_out, false}, {"copy_in", to_copy_in, false},
    {"truth", to_truth, false},       {"increment_version", to_increment, false},
    {"equal", to_equal, false},       {"allclose", to_allclose, false},
    {"backward", to_backward, false}, {"backward_with", to_backward_with, false},
    {"grad", to_grad, false},         {"set_grad", to_set_grad, false},
    {"set_data", to_set_data, false}, {"retain_grad", to_retain_grad, false},
    {"repr", to_repr, false},         {"unbind", to_unbind, true},
    {"split", to_split, true},        {"split_sizes", to_split_sizes, true},
    {"chunk", to_chunk, true},
};

static void sinks_fail_while_an_error_is_unread(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(sinks); i++) WG_SCOPE {
            wg_tensor *x = wg_set_requires_grad(wg_ones(WG_SHAPE(1), NULL), true), *t = wg_mul(x, x);
            uint32_t version = wg_version_of(t);
            assert_true(wg_is_poison(failed_product()));
            wg_status want = sinks[i].makes_tensors ? WG_OK : WG_ERR_RUNTIME;
            if (sinks[i].call(t) != want) fail_msg("%s gave another status", sinks[i].name);
            assert_true(wg_error_pending());
            assert_string_equal(wg_last_op(), "mm");
            assert_int_equal(wg_version_of(t), version);
            assert_null(wg_grad_of(x));
            assert_true(element == 5);
            assert_non_null(strstr(wg_last_message(), "mat1 and mat2 shapes"));
            if (sinks[i].call(t) != WG_OK) fail_msg("%s: %s", sinks[i].name, wg_last_message()); /* it was read */
            assert_false(wg_error_pending());
            element = 5;
        }
}

static void sinks_fail_for_poison(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(sinks); i++) WG_SCOPE {
            wg_tensor *p = failed_sum();
            assert_int_equal(sinks[i].call(p), WG_ERR_INDEX);
            assert_string_equal(wg_last_op(), "sum");
            wg_clear_error();
            if (sinks[i].call(p) == WG_OK) fail_msg("%s worked", sinks[i].name); /* also when nobody knows why it is */
            assert_true(wg_error_pending());
            assert_true(strlen(wg_last_message()) > 0);
            wg_clear_error();
        }
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void *allocate(void *user, size_t bytes, size_t alignment) {
    (void)user, (void)bytes, (void)alignment;
    return NULL;
}
static void hosts_are_checked(void **state) {
    (void)state;
    assert_int_equal(wg_set_host(&(wg_host){.size = 8}), WG_ERR_VALUE);
    assert_string_equal(wg_last_op(), "set_host");
    wg_clear_error();
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .allocate = allocate}), WG_ERR_VALUE);
    assert_non_null(strstr(wg_last_message(), "allocate and deallocate go together"));
    WG_SCOPE assert_false(wg_is_poison(numbers(1000))); /* a refused host changes nothing */
    assert_int_equal(wg_set_host(NULL), WG_OK);
    assert_int_equal(wg_set_num_threads(0), WG_ERR_RUNTIME);
    wg_clear_error();
    assert_int_equal(wg_set_default_dtype(WG_INT64), WG_ERR_TYPE);
    assert_non_null(strstr(wg_last_message(), "only floating-point types are supported as the default type"));
    assert_int_equal(wg_default_dtype(), WG_FLOAT32);
}

/* ---- texts: the first sentence is PyTorch's ---------------------------------------------------------------------- */

static bool failed_with(wg_tensor *t, const char *call, wg_status code, const char *sentence) {
    wg_status status = wg_last_status();
    const char *message = wg_last_message();
    bool ok = wg_is_poison(t) && status == code && strncmp(message, sentence, strlen(sentence)) == 0;
    if (!ok) print_error("%s: %s: %s\n", call, wg_status_name(status), message);
    wg_clear_error();
    return ok;
}

static void first_sentences(void **state) {
    (void)state;
    int wrong = 0;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 3), NULL), *y = wg_ones(WG_SHAPE(4), NULL),
                  *i = wg_arange(wg_i(0), wg_i(3), wg_i(1), NULL);
#define FAILS(call, status, sentence) wrong += !failed_with(call, #call, status, sentence)
        FAILS(wg_add(x, y), WG_ERR_RUNTIME,
              "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1");
        FAILS(wg_add(x, wg_t(x)), WG_ERR_RUNTIME,
              "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
        FAILS(wg_where(wg_gt(x, wg_s(0)), x, wg_t(x)), WG_ERR_RUNTIME,
              "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
        FAILS(wg_transpose(x, 0, 2), WG_ERR_INDEX,
              "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
        FAILS(wg_transpose(x, -3, 1), WG_ERR_INDEX,
              "Dimension out of range (expected to be in range of [-2, 1], but got -3)");
        FAILS(wg_unsqueeze(x, 4), WG_ERR_INDEX,
              "Dimension out of range (expected to be in range of [-3, 2], but got 4)");
        FAILS(wg_softmax(wg_ones(WG_SCALAR_SHAPE, NULL), 1), WG_ERR_INDEX,
              "Dimension out of range (expected to be in range of [-1, 0], but got 1)");
        FAILS(wg_select(x, 1, 3), WG_ERR_INDEX,
              "select(): index 3 out of range for tensor of size [2, 3] at dimension 1");
        FAILS(wg_select(wg_ones(WG_SCALAR_SHAPE, NULL), 0, 0), WG_ERR_INDEX,
              "select() cannot be applied to a 0-dim tensor.");
        FAILS(wg_narrow(x, 0, 1, 2), WG_ERR_RUNTIME, "start (1) + length (2) exceeds dimension size (2).");
        FAILS(wg_slice(x, 0, 0, 2, 0), WG_ERR_RUNTIME, "slice step must be positive");
        FAILS(wg_view(x, 1, (int64_t[]){5}), WG_ERR_RUNTIME, "shape '[5]' is invalid for input of size 6");
        FAILS(
            wg_view(wg_t(x), 1, (int64_t[]){6}), WG_ERR_RUNTIME,
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces).");
        FAILS(wg_reshape(x, 2, (int64_t[]){-1, -1}), WG_ERR_RUNTIME, "only one dimension can be inferred");
        FAILS(wg_reshape(x, 1, (int64_t[]){-2}), WG_ERR_RUNTIME, "invalid shape dimension -2");
        FAILS(wg_expand(x, 2, (int64_t[]){4, 3}), WG_ERR_RUNTIME,
              "The expanded size of the tensor (4) must match the existing size (2) at non-singleton dimension 0.");
        FAILS(wg_permute(x, 2, (int64_t[]){0, 0}), WG_ERR_RUNTIME, "permute(): duplicate dims are not allowed.");
        FAILS(wg_t(wg_ones(WG_SHAPE(2, 2, 2), NULL)), WG_ERR_RUNTIME,
              "t() expects a tensor with <= 2 dimensions, but self is 3D");
        FAILS(wg_matmul(x, y), WG_ERR_RUNTIME, "size mismatch, got input (2), mat (2x3), vec (4)");
        FAILS(wg_mm(x, y), WG_ERR_RUNTIME, "mm: mat2 must be a matrix, got 1-D tensor");
        FAILS(wg_addmm(i, y, x), WG_ERR_RUNTIME, "addmm: self must be a matrix, got 1-D tensor");
        FAILS(wg_addmm(i, x, wg_to(wg_t(x), WG_FLOAT64)), WG_ERR_RUNTIME,
              "self and mat2 must have the same dtype, but got Long and Double");
        FAILS(wg_addmm(y, x, wg_t(x)), WG_ERR_RUNTIME,
              "The expanded size of the tensor (2) must match the existing size (4) at non-singleton dimension 1.");
        FAILS(wg_dot(y, wg_ones(WG_SHAPE(3), NULL)), WG_ERR_RUNTIME,
              "inconsistent tensor size, expected tensor [4] and src [3] to have the same number of elements, but got "
              "4 and 3 "
              "elements respectively");
        FAILS(wg_mean(i), WG_ERR_NOT_IMPLEMENTED, "mean(): could not infer output dtype.");
        FAILS(wg_softmax(i, 0), WG_ERR_NOT_IMPLEMENTED, "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'");
        FAILS(wg_sum(x, .dims = WG_DIMS(0, 0)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
        FAILS(wg_max(wg_ones(WG_SHAPE(0), NULL)), WG_ERR_RUNTIME,
              "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
              "the 'dim' "
              "argument.");
        FAILS(wg_cat(WG_TENSORS(x, y), 0), WG_ERR_RUNTIME, "Tensors must have same number of dimensions: got 2 and 1");
        FAILS(wg_stack(WG_TENSORS(x, y), 0), WG_ERR_RUNTIME,
              "stack expects each tensor to be equal size, but got [2, 3] at entry 0 and [4] at entry 1");
        FAILS(wg_pow(i, wg_i(-1)), WG_ERR_RUNTIME, "Integers to negative integer powers are not allowed.");
        FAILS(wg_zeros(WG_SHAPE(2, -3), NULL), WG_ERR_RUNTIME, "zeros: Dimension size must be non-negative.");
        FAILS(wg_empty(WG_SHAPE(2, -3), NULL), WG_ERR_RUNTIME,
              "Trying to create tensor with negative dimension -3: [2, -3]");
        FAILS(wg_masked_fill(x, x, wg_s(1)), WG_ERR_RUNTIME,
              "masked_fill_ only supports boolean masks, but got mask with dtype");
        FAILS(wg_clamp(x, NULL, NULL), WG_ERR_RUNTIME, "torch.clamp: At least one of 'min' or 'max' must not be None");
#undef FAILS
    }
    assert_int_equal(wrong, 0);
}

/* ---- structs that begin with their size ----------------------------------------------------------------------------
 */

/* What a program built with a later header passes: our fields, then one that we do not know. */
typedef struct later {
    wg_options known;
    int64_t unknown;
} later;
static void structs_of_other_versions(void **state) {
    (void)state;
    later o = {.known = {.size = sizeof(later), .dtype = WG_INT64, .has_dtype = true}};
    WG_SCOPE {
        assert_int_equal(wg_dtype_of(wg_ones(WG_SHAPE(2), &o.known)), WG_INT64);
        assert_int_equal(wg_dtype_of(wg_randperm(3, &o.known, NULL)), WG_INT64);
        o.unknown = 1;
        assert_true(wg_is_poison(wg_ones(WG_SHAPE(2), &o.known)));
        assert_int_equal(wg_last_status(), WG_ERR_VALUE);
        assert_string_equal(wg_last_message(),
                            "wg_options has a field set that version " WG_VERSION_STRING " of Wengert does not know");
        assert_true(wg_is_poison(wg_randperm(3, &o.known, NULL)));
        assert_int_equal(wg_last_status(), WG_ERR_VALUE);
        wg_clear_error();
    }
}

/* Every one of them refuses a size that was not set. */
static wg_tensor *same(void *user, wg_tensor *const *in, int nin) { return (void)user, (void)nin, in[0]; }
static void sizes_not_set(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true)), *g = NULL, *y = wg_sum(x);
        wg_tensor *target = wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64));
        const wg_reduce r = {0};
        const wg_loss l = {0};
        const wg_walk_opts w = {0};
        const wg_check_opts c = {0};
        const wg_function f = {0};
        wg_memory_stats stats = {.live_tensors = -1};
        wg_op_info info = {0};
#define REFUSED(call, type)                                                                                            \
    do {                                                                                                               \
        assert_true(call);                                                                                             \
        assert_int_equal(wg_last_status(), WG_ERR_VALUE);                                                              \
        assert_non_null(strstr(wg_last_message(), type ".size is not set"));                                           \
    } while (0)
        REFUSED(wg_is_poison(wg_zeros_like(x, &(wg_options){0})), "wg_options");
        REFUSED(wg_is_poison(wg_randint(0, 3, WG_SHAPE(2), &(wg_options){0}, NULL)), "wg_options");
        REFUSED(wg_is_poison(wg_sum_opt(x, &r)), "wg_reduce");
        REFUSED(wg_is_poison(wg_prod_opt(x, &r)), "wg_reduce");
        REFUSED(wg_is_poison(wg_var_opt(x, 1, &r)), "wg_reduce");
        REFUSED(wg_is_poison(wg_norm_opt(x, 2, &r)), "wg_reduce");
        REFUSED(wg_is_poison(wg_nll_loss_opt(x, target, &l)), "wg_loss");
        REFUSED(wg_is_poison(wg_cross_entropy_opt(x, target, &l)), "wg_loss");
        REFUSED(wg_is_poison(wg_mse_loss_opt(x, x, &l)), "wg_loss");
        REFUSED(wg_backward_opt(&y, 1, NULL, &w) == WG_ERR_VALUE, "wg_walk_opts");
        REFUSED(wg_grad(&y, 1, &x, 1, NULL, &w, &g) == WG_ERR_VALUE, "wg_walk_opts");
        REFUSED(wg_stepper_begin(&y, 1, NULL, &w) == NULL, "wg_walk_opts");
        REFUSED(wg_gradcheck(same, NULL, &x, 1, &c) == WG_ERR_VALUE, "wg_check_opts");
        REFUSED(wg_gradgradcheck(same, NULL, &x, 1, &c) == WG_ERR_VALUE, "wg_check_opts");
        REFUSED(wg_function_apply(&f, NULL, &x, 1, &g, 1) == WG_ERR_VALUE, "wg_function");
        REFUSED(wg_set_host(&(wg_host){0}) == WG_ERR_VALUE, "wg_host");
        REFUSED(wg_set_binding(&(wg_binding){0}) == WG_ERR_VALUE, "wg_binding");
        REFUSED(wg_set_print_options(&(wg_print_options){0}) == WG_ERR_VALUE, "wg_print_options");
        REFUSED(wg_op_get(0, &info) == WG_ERR_VALUE, "wg_op_info");
        wg_memory_stats_get(&stats);
        assert_int_equal(stats.live_tensors, -1);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_happened, live),
        cmocka_unit_test_teardown(the_first_error_stays, live),
        cmocka_unit_test_teardown(users_raise, live),
        cmocka_unit_test_teardown(codes_have_names, live),
        cmocka_unit_test_teardown(threads_have_their_own, live),
        cmocka_unit_test_teardown(poison_is_a_value, live),
        cmocka_unit_test_teardown(null_is_not_given, live),
        cmocka_unit_test_teardown(sinks_fail_while_an_error_is_unread, live),
        cmocka_unit_test_teardown(sinks_fail_for_poison, live),
        cmocka_unit_test_teardown(hosts_are_checked, live),
        cmocka_unit_test_teardown(first_sentences, live),
        cmocka_unit_test_teardown(structs_of_other_versions, live),
        cmocka_unit_test_teardown(sizes_not_set, live),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
