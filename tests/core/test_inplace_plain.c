/* test_inplace_plain.c - in-place ops without gradients: each writes what its other form computes, into any layout,
 * once, as one write; what it refuses it leaves as it was. And the corners of integer arithmetic, in both forms.
 */
#include <math.h>
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

static bool equal(wg_tensor *a, wg_tensor *b) {
    bool same = false;
    if (wg_is_poison(a) || wg_is_poison(b)) return false;
    return wg_equal(a, b, &same) == WG_OK && same;
}
static wg_tensor *count(int64_t n) { return wg_to(wg_arange(wg_i(0), wg_i(n), wg_i(1), NULL), WG_FLOAT32); }

/* ---- both forms -------------------------------------------------------------------------------------------------- */

typedef wg_tensor *(*unary)(wg_tensor *);
typedef wg_tensor *(*binary)(wg_tensor *, wg_tensor *);

static wg_tensor *clamp(wg_tensor *x, wg_tensor *y) { return wg_clamp(x, y, wg_s(3)); }
static wg_tensor *clamp_(wg_tensor *x, wg_tensor *y) { return wg_clamp_(x, y, wg_s(3)); }
static wg_tensor *add_twice(wg_tensor *x, wg_tensor *y) { return wg_add_alpha(x, y, 2); }
static wg_tensor *add_twice_(wg_tensor *x, wg_tensor *y) { return wg_add_alpha_(x, y, 2); }
static wg_tensor *sub_twice(wg_tensor *x, wg_tensor *y) { return wg_sub_alpha(x, y, 2); }
static wg_tensor *sub_twice_(wg_tensor *x, wg_tensor *y) { return wg_sub_alpha_(x, y, 2); }
static wg_tensor *masked(wg_tensor *x, wg_tensor *y) { return wg_masked_fill(x, wg_gt(y, wg_s(1)), wg_s(7)); }
static wg_tensor *masked_(wg_tensor *x, wg_tensor *y) { return wg_masked_fill_(x, wg_gt(y, wg_s(1)), wg_s(7)); }
static wg_tensor *copied(wg_tensor *x, wg_tensor *y) { return wg_expand_as(y, x); }
static wg_tensor *zeros(wg_tensor *x) { return wg_zeros_like(x, NULL); }
static wg_tensor *filled(wg_tensor *x) { return wg_full_like(x, wg_s(2.5), NULL); }
static wg_tensor *fill_(wg_tensor *x) { return wg_fill_(x, wg_s(2.5)); }

static const struct {
    const char *name;
    unary plain, in_place;
} unaries[] = {
    {"relu", wg_relu, wg_relu_}, {"exp", wg_exp, wg_exp_},
    {"tanh", wg_tanh, wg_tanh_}, {"sigmoid", wg_sigmoid, wg_sigmoid_},
    {"neg", wg_neg, wg_neg_},    {"zero", zeros, wg_zero_},
    {"fill", filled, fill_},
};
static const struct {
    const char *name;
    binary plain, in_place;
} binaries[] = {
    {"add", wg_add, wg_add_},
    {"sub", wg_sub, wg_sub_},
    {"mul", wg_mul, wg_mul_},
    {"div", wg_div, wg_div_},
    {"pow", wg_pow, wg_pow_},
    {"clamp", clamp, clamp_},
    {"add alpha", add_twice, add_twice_},
    {"sub alpha", sub_twice, sub_twice_},
    {"masked_fill", masked, masked_},
    {"copy", copied, wg_copy_},
};

/* Targets of 2 x 3 elements in a memory of 40: row-major, turned, stepped, rows apart. */
static wg_tensor *laid_out(wg_tensor *memory, int layout) {
    if (layout == 0) return wg_view(wg_slice(memory, 0, 3, 9, 1), 2, L(2, 3));
    if (layout == 1) return wg_t(wg_view(wg_slice(memory, 0, 3, 9, 1), 2, L(3, 2)));
    if (layout == 2)
        return wg_slice(wg_slice(wg_view(wg_slice(memory, 0, 0, 36, 1), 2, L(6, 6)), 0, 1, 6, 3), 1, 0, 6, 2);
    return wg_as_strided(memory, 2, L(2, 3), L(17, 5), 1);
}
enum { LAYOUTS = 4 };

/* What is wrong with a write, or NULL. memory was copied to before. */
static const char *write_differs(wg_tensor *got, wg_tensor *target, wg_tensor *want, wg_tensor *memory,
                                 wg_tensor *before, int layout, uint32_t version) {
    if (wg_is_poison(got)) return wg_last_message();
    if (got != target) return "another handle came back";
    if (wg_version_of(memory) != version + 1) return "not one write";
    if (!equal(target, want)) return "another result";
    wg_copy_(laid_out(before, layout), want);
    return equal(memory, before) ? NULL : "something else was written";
}

static void each_writes_what_the_other_form_computes(void **state) {
    (void)state;
    int checked = 0;
    for (int layout = 0; layout < LAYOUTS; layout++)
        for (size_t i = 0; i < COUNT(unaries); i++, checked++) WG_SCOPE {
                wg_tensor *memory = wg_mul(wg_sub(count(40), wg_s(9)), wg_s(0.25)), *before = wg_clone(memory);
                wg_tensor *target = laid_out(memory, layout), *want = unaries[i].plain(target);
                const char *wrong = write_differs(unaries[i].in_place(target), target, want, memory, before, layout, 0);
                if (wrong) fail_msg("%s_, layout %d: %s", unaries[i].name, layout, wrong);
            }
    for (int layout = 0; layout < LAYOUTS; layout++)
        for (size_t i = 0; i < COUNT(binaries); i++)
            for (int kind = 0; kind < 6; kind++, checked++) WG_SCOPE {
                    wg_tensor *memory = wg_mul(wg_add(count(40), wg_s(9)), wg_s(0.25)), *before = wg_clone(memory);
                    wg_tensor *y[] = {wg_view(count(6), 2, L(2, 3)), wg_t(wg_view(count(6), 2, L(3, 2))),     count(3),
                                      wg_unsqueeze(count(2), 1),     wg_full(WG_SCALAR_SHAPE, wg_s(2), NULL), wg_i(2)};
                    wg_tensor *target = laid_out(memory, layout), *want = binaries[i].plain(target, y[kind]);
                    const char *wrong =
                        write_differs(binaries[i].in_place(target, y[kind]), target, want, memory, before, layout, 0);
                    if (wrong) fail_msg("%s_, layout %d, operand %d: %s", binaries[i].name, layout, kind, wrong);
                }
    assert_int_equal(checked, 4 * 7 + 4 * 10 * 6);
}

static void other_dtypes_are_converted(void **state) {
    (void)state;
    static const wg_dtype dtypes[] = {WG_UINT8,   WG_INT8,     WG_INT16,   WG_INT32,  WG_INT64,
                                      WG_FLOAT16, WG_BFLOAT16, WG_FLOAT32, WG_FLOAT64};
    for (size_t a = 0; a < COUNT(dtypes); a++)
        for (size_t b = 0; b < COUNT(dtypes); b++) WG_SCOPE {
                wg_tensor *x = wg_to(wg_add(count(50), wg_s(1)), dtypes[a]),
                          *y = wg_to(wg_add(count(50), wg_s(2)), dtypes[b]);
                bool up = wg_dtype_is_floating(dtypes[b]) && !wg_dtype_is_floating(dtypes[a]);
                wg_tensor *want = wg_to(wg_mul(x, y), dtypes[a]), *got = wg_mul_(x, y);
                assert_int_equal(wg_is_poison(got), up);
                if (!up) assert_true(equal(got, want));
                if (up) assert_non_null(strstr(wg_last_message(), "can't be cast to the desired output type"));
                wg_clear_error();
                assert_true(equal(wg_copy_(x, y), wg_to(y, dtypes[a]))); /* a copy converts in every direction */
            }
}

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

static void refused(wg_tensor *t, wg_status status, const char *sentence) {
    assert_true(wg_is_poison(t));
    assert_string_equal(wg_status_name(wg_last_status()), wg_status_name(status));
    const char *message = wg_last_message();
    if (strncmp(message, sentence, strlen(sentence)) != 0) assert_string_equal(message, sentence);
    wg_clear_error();
}
#define PARTIAL                                                                                                        \
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "     \
    "location."
#define REPEATED                                                                                                       \
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location."

static void operands_may_share_the_target(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *m = count(6);
        assert_true(equal(wg_add_(m, m), wg_mul(count(6), wg_s(2))));
        m = wg_view(count(6), 2, L(2, 3));
        assert_true(
            equal(wg_add_(wg_select(m, 0, 0), wg_select(m, 0, 1)), wg_add(count(3), wg_add(count(3), wg_s(3)))));
        m = count(6); /* every other element, and those between */
        wg_add_(wg_slice(m, 0, 0, 6, 2), wg_slice(m, 0, 1, 6, 2));
        assert_true(equal(m, wg_from_data((float[]){1, 1, 5, 3, 9, 5}, WG_FLOAT32, WG_SHAPE(6), NULL)));
        m = count(6); /* these meet; each element is read before anything is written */
        wg_add_(wg_slice(m, 0, 0, 6, 2), wg_slice(m, 0, 0, 3, 1));
        assert_true(equal(m, wg_from_data((float[]){0, 1, 3, 3, 6, 5}, WG_FLOAT32, WG_SHAPE(6), NULL)));
        m = count(4);
        assert_true(equal(wg_fill_(m, wg_select(m, 0, 3)), wg_full(WG_SHAPE(4), wg_s(3), NULL)));

        m = wg_view(count(9), 2, L(3, 3));
        refused(wg_add_(m, wg_t(m)), WG_ERR_RUNTIME, PARTIAL);
        refused(wg_copy_(m, wg_t(m)), WG_ERR_RUNTIME, PARTIAL);
        refused(wg_add_(m, wg_select(m, 0, 0)), WG_ERR_RUNTIME, PARTIAL);
        wg_tensor *row = count(6);
        refused(wg_sub_(row, wg_select(row, 0, 0)), WG_ERR_RUNTIME, PARTIAL);
        refused(wg_clamp_(row, wg_select(row, 0, 1), wg_select(row, 0, 4)), WG_ERR_RUNTIME, PARTIAL);
        refused(wg_copy_(wg_slice(row, 0, 0, 3, 1), wg_slice(row, 0, 1, 4, 1)), WG_ERR_RUNTIME, PARTIAL);
        assert_true(equal(row, count(6)));
        assert_int_equal(wg_version_of(row), 0);
        assert_int_equal(wg_version_of(m), 0);
    }
}

static void a_repeated_target_takes_one_value_only(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *one = wg_ones(WG_SHAPE(2, 1), NULL), *wide = wg_expand(one, 2, L(2, 3)),
                  *y = wg_ones(WG_SHAPE(2, 3), NULL);
        for (size_t i = 0; i < COUNT(unaries); i++)
            if (unaries[i].in_place != fill_ && unaries[i].in_place != wg_zero_)
                refused(unaries[i].in_place(wide), WG_ERR_RUNTIME, REPEATED);
        for (size_t i = 0; i < COUNT(binaries); i++)
            if (binaries[i].in_place != masked_) refused(binaries[i].in_place(wide, y), WG_ERR_RUNTIME, REPEATED);
        refused(wg_fill_(wide, wg_ones(WG_SCALAR_SHAPE, NULL)), WG_ERR_RUNTIME, REPEATED); /* a number only */
        refused(wg_normal_(wide, 0, 1, NULL), WG_ERR_RUNTIME, REPEATED);
        assert_int_equal(wg_version_of(one), 0);
        assert_true(equal(one, wg_ones(WG_SHAPE(2, 1), NULL)));
        assert_ptr_equal(wg_fill_(wide, wg_s(5)), wide); /* as PyTorch */
        assert_true(equal(one, wg_full(WG_SHAPE(2, 1), wg_s(5), NULL)));
        assert_ptr_equal(wg_zero_(wide), wide);
        assert_true(equal(one, wg_zeros(WG_SHAPE(2, 1), NULL)));
        assert_int_equal(wg_version_of(one), 2);
        wg_tensor *large = wg_expand(wg_ones(WG_SHAPE(1), NULL), 1, L(1 << 20));
        assert_true(equal(wg_fill_(large, wg_s(2)), wg_full(WG_SHAPE(1 << 20), wg_s(2), NULL)));
    }
}

/* The ops of x[...] = value still write there, as in PyTorch, which warns. */
static void indexed_writes_may_repeat(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *one = wg_zeros(WG_SHAPE(2, 1), NULL), *wide = wg_expand(one, 2, L(2, 3)),
                  *first = wg_to(wg_zeros(WG_SHAPE(1), NULL), WG_INT64), *mask = wg_eq(one, wg_s(0));
        assert_ptr_equal(wg_index_put_(wide, &first, 1, wg_s(1), false), wide);
        assert_true(equal(one, wg_from_data((float[]){1, 0}, WG_FLOAT32, WG_SHAPE(2, 1), NULL)));
        assert_ptr_equal(wg_index_put_(wide, &first, 1, wg_s(1), true), wide);
        assert_true(equal(one, wg_from_data((float[]){4, 0}, WG_FLOAT32, WG_SHAPE(2, 1), NULL)));
        wg_arg args[4] = {{.tag = WG_TAG_TENSOR, .v.t = wide},
                          {.tag = WG_TAG_INT, .v.i = 0},
                          {.tag = WG_TAG_TENSOR, .v.t = first},
                          {.tag = WG_TAG_TENSOR, .v.t = wg_s(2)}};
        wg_tensor *out;
        int n;
        assert_int_equal(wg_call_op("index_fill_", args, 4, &out, 1, &n), WG_OK);
        assert_true(equal(one, wg_from_data((float[]){2, 0}, WG_FLOAT32, WG_SHAPE(2, 1), NULL)));
        assert_ptr_equal(wg_masked_fill_(wide, mask, wg_s(3)), wide);
        assert_true(equal(one, wg_full(WG_SHAPE(2, 1), wg_s(3), NULL)));
    }
}

/* ---- refusals leave everything as it was ------------------------------------------------------------------------- */

static void failures_write_nothing(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_view(count(6), 2, L(2, 3)), *i = wg_to(x, WG_INT64), *b = wg_gt(x, wg_s(2)),
                  *two = wg_ones(WG_SHAPE(2), NULL);
        wg_tensor *poison = wg_mm(two, two);
        wg_clear_error();
        refused(wg_add_(x, wg_ones(WG_SHAPE(4), NULL)), WG_ERR_RUNTIME,
                "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1");
        refused(wg_add_(x, wg_ones(WG_SHAPE(4, 2, 3), NULL)), WG_ERR_RUNTIME,
                "output with shape [2, 3] doesn't match the broadcast shape [4, 2, 3]");
        refused(wg_copy_(x, wg_ones(WG_SHAPE(3, 2), NULL)), WG_ERR_RUNTIME,
                "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
        refused(wg_copy_(x, wg_ones(WG_SHAPE(4, 2, 3), NULL)), WG_ERR_RUNTIME,
                "output with shape [2, 3] doesn't match the broadcast shape [4, 2, 3]");
        refused(wg_fill_(x, two), WG_ERR_RUNTIME,
                "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.");
        refused(wg_masked_fill_(x, x, wg_s(0)), WG_ERR_RUNTIME,
                "masked_fill_ only supports boolean masks, but got mask with dtype float");
        refused(wg_clamp_(x, NULL, NULL), WG_ERR_RUNTIME,
                "torch.clamp: At least one of 'min' or 'max' must not be None");
        refused(wg_exp_(i), WG_ERR_RUNTIME, "result type Float can't be cast to the desired output type Long");
        refused(wg_div_(i, wg_i(2)), WG_ERR_RUNTIME, "result type Float can't be cast to the desired output type Long");
        refused(wg_pow_(i, wg_s(2.5)), WG_ERR_RUNTIME,
                "result type Float can't be cast to the desired output type Long");
        refused(wg_pow_(i, wg_i(-1)), WG_ERR_RUNTIME, "Integers to negative integer powers are not allowed.");
        refused(wg_add_(b, wg_i(1)), WG_ERR_RUNTIME, "result type Long can't be cast to the desired output type Bool");
        refused(wg_neg_(b), WG_ERR_NOT_IMPLEMENTED, "Negation, the `-` operator, on a bool tensor is not supported.");
        refused(wg_sub_(b, b), WG_ERR_NOT_IMPLEMENTED,
                "Subtraction, the `-` operator, with two bool tensors is not supported.");
        refused(wg_sub_(x, b), WG_ERR_NOT_IMPLEMENTED,
                "Subtraction, the `-` operator, with a bool tensor is not supported.");
        refused(wg_sub_(x, wg_b(true)), WG_ERR_NOT_IMPLEMENTED,
                "Subtraction, the `-` operator, with a bool tensor is not supported.");
        refused(wg_relu_(b), WG_ERR_NOT_IMPLEMENTED, "Boolean inputs not supported for relu");
        refused(wg_pow_(b, b), WG_ERR_NOT_IMPLEMENTED, "\"pow\" not implemented for 'Bool'");
        refused(wg_add_(wg_s(1), wg_s(1)), WG_ERR_TYPE, "");
        refused(wg_add_(NULL, x), WG_ERR_TYPE, "add_(): argument 1 must be Tensor, not None");
        refused(wg_add_(x, NULL), WG_ERR_TYPE, "add_(): argument 2 must be Tensor, not None");
        assert_true(wg_is_poison(wg_add_(x, poison)));
        assert_true(wg_is_poison(wg_copy_(x, poison)));
        assert_true(wg_is_poison(wg_zero_(poison)));
        assert_false(wg_error_pending());
        assert_int_equal(wg_version_of(x) + wg_version_of(i) + wg_version_of(b), 0);
        assert_true(equal(x, wg_view(count(6), 2, L(2, 3))) && equal(i, x) && equal(b, wg_gt(x, wg_s(2))));
    }
}

static void nothing_to_write_is_a_write_too(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *none = wg_ones(WG_SHAPE(0, 3), NULL);
        assert_ptr_equal(wg_add_(none, wg_s(1)), none);
        assert_ptr_equal(wg_copy_(none, wg_ones(WG_SHAPE(3), NULL)), none);
        assert_ptr_equal(wg_zero_(none), none);
        assert_ptr_equal(wg_exp_(none), none);
        assert_int_equal(wg_version_of(none), 4); /* as PyTorch counts */
    }
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */

/* The results by the definition, in numbers wide enough for everything, then cut to the dtype. */
typedef struct range {
    wg_dtype dtype;
    int bits;
    int64_t least, greatest;
} range;
static const range ranges[] = {{WG_UINT8, 8, 0, 255},
                               {WG_INT8, 8, -128, 127},
                               {WG_INT16, 16, INT16_MIN, INT16_MAX},
                               {WG_INT32, 32, INT32_MIN, INT32_MAX},
                               {WG_INT64, 64, INT64_MIN, INT64_MAX}};

static int64_t cut(const range *r, __int128 v) {
    uint64_t low = (uint64_t)v;
    if (r->bits < 64) low &= ((uint64_t)1 << r->bits) - 1;
    if (r->least < 0 && r->bits < 64 && low >> (r->bits - 1)) low -= (uint64_t)1 << r->bits;
    return (int64_t)low;
}
static __int128 floor_divided(__int128 x, __int128 y) { return x / y - (x % y != 0 && (x < 0) != (y < 0)); }
static __int128 shifted_left(const range *r, __int128 x, __int128 y) {
    return y < 0 || y >= r->bits ? 0 : (__int128)((unsigned __int128)x << (int)y);
}
static __int128 shifted_right(const range *r, __int128 x, __int128 y) {
    return y < 0 || y >= r->bits ? (x < 0 ? -1 : 0) : x >> (int)y;
}

enum { ADD, SUB, MUL, AND, OR, XOR, LEFT, RIGHT, MAX, MIN, DIVIDES, FLOOR = DIVIDES, REMAINDER, FMOD, FUNCTIONS };
static const binary functions[] = {wg_add,
                                   wg_sub,
                                   wg_mul,
                                   wg_bitwise_and,
                                   wg_bitwise_or,
                                   wg_bitwise_xor,
                                   wg_bitwise_left_shift,
                                   wg_bitwise_right_shift,
                                   wg_maximum,
                                   wg_minimum,
                                   wg_floor_divide,
                                   wg_remainder,
                                   wg_fmod};

static int64_t defined(const range *r, int f, __int128 x, __int128 y) {
    switch (f) {
    case ADD: return cut(r, x + y);
    case SUB: return cut(r, x - y);
    case MUL: return cut(r, x * y);
    case AND: return cut(r, x & y);
    case OR: return cut(r, x | y);
    case XOR: return cut(r, x ^ y);
    case LEFT: return cut(r, shifted_left(r, x, y));
    case RIGHT: return cut(r, shifted_right(r, x, y));
    case MAX: return cut(r, x > y ? x : y);
    case MIN: return cut(r, x < y ? x : y);
    case FLOOR: return cut(r, floor_divided(x, y));
    case REMAINDER: return cut(r, x - floor_divided(x, y) * y);
    default: return cut(r, x % y);
    }
}

/* Edges and their neighbours; of 8 bits, everything. */
static int64_t some_numbers(const range *r, int64_t *v) {
    static const int64_t edges[] = {0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64, 100, 181, 46341, 3037000499};
    int64_t n = 0;
    if (r->bits == 8) {
        for (int64_t i = r->least; i <= r->greatest; i++) v[n++] = i;
        return n;
    }
    for (size_t i = 0; i < COUNT(edges); i++)
        if (edges[i] <= r->greatest) {
            v[n++] = edges[i];
            if (edges[i]) v[n++] = -edges[i];
        }
    for (int i = 0; i < 3; i++) v[n++] = r->least + i, v[n++] = r->greatest - i;
    return n;
}

static void integers_by_definition(void **state) {
    (void)state;
    static int64_t v[256], got[256];
    long checked = 0;
    for (size_t k = 0; k < COUNT(ranges); k++) {
        const range *r = &ranges[k];
        int64_t n = some_numbers(r, v);
        for (int f = 0; f < FUNCTIONS; f++)
            for (int64_t j = 0; j < n; j++) WG_SCOPE {
                    if (f >= DIVIDES && v[j] == 0) break;
                    wg_tensor *x = wg_from_data(v, WG_INT64, 1, &n, WG_DTYPE(r->dtype)),
                              *y = wg_full(WG_SCALAR_SHAPE, wg_i(v[j]), WG_DTYPE(r->dtype)), *z = functions[f](x, y);
                    assert_int_equal(wg_dtype_of(z), r->dtype);
                    assert_int_equal(wg_copy_out(z, WG_INT64, got, 8 * (size_t)n), WG_OK);
                    for (int64_t i = 0; i < n; i++, checked++)
                        if (got[i] != defined(r, f, v[i], v[j]))
                            fail_msg("%s, function %d of %lld and %lld: %lld", wg_dtype_name(r->dtype), f,
                                     (long long)v[i], (long long)v[j], (long long)got[i]);
                }
    }
    assert_true(checked > 2 * 13 * 255 * 256);
    print_message("%ld integer results\n", checked);
}

static void integers_divided_by_zero(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(ranges); k++)
        for (int f = DIVIDES; f < FUNCTIONS; f++) WG_SCOPE {
                wg_dtype d = ranges[k].dtype;
                wg_tensor *x = wg_ones(WG_SHAPE(3), WG_DTYPE(d)), *y = wg_to(count(3), d),
                          *none = wg_ones(WG_SHAPE(0), WG_DTYPE(d));
                refused(functions[f](x, y), WG_ERR_RUNTIME, "ZeroDivisionError");
                refused(functions[f](x, wg_i(0)), WG_ERR_RUNTIME, "ZeroDivisionError");
                refused(functions[f](y, wg_zeros(WG_SCALAR_SHAPE, WG_DTYPE(d))), WG_ERR_RUNTIME, "ZeroDivisionError");
                refused(functions[f](wg_expand(x, 2, L(2, 3)), wg_zeros(WG_SHAPE(2, 1), WG_DTYPE(d))), WG_ERR_RUNTIME,
                        "ZeroDivisionError");
                assert_false(wg_is_poison(functions[f](none, wg_i(0)))); /* no division takes place */
                assert_false(wg_is_poison(functions[f](x, wg_s(0))));    /* nor here: these are floats */
            }
    WG_SCOPE { /* true division has no such trouble */
        wg_tensor *q = wg_div(wg_from_data((int64_t[]){1, -1, 0}, WG_INT64, WG_SHAPE(3), NULL), wg_i(0));
        float v[3];
        assert_int_equal(wg_copy_out(q, WG_FLOAT32, v, sizeof v), WG_OK);
        assert_true(isinf(v[0]) && v[0] > 0 && isinf(v[1]) && v[1] < 0 && isnan(v[2]));
    }
}

/* A number does not change an integer's dtype: it wraps with it. */
static void numbers_beside_integers(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(ranges); k++) WG_SCOPE {
            const range *r = &ranges[k];
            wg_tensor *x = wg_full(WG_SHAPE(2), wg_i(r->greatest), WG_DTYPE(r->dtype));
            int64_t v[2];
            assert_int_equal(wg_dtype_of(wg_mul(x, wg_i(3))), r->dtype);
            assert_int_equal(wg_copy_out(wg_add(x, wg_i(1)), WG_INT64, v, sizeof v), WG_OK);
            assert_true(v[0] == r->least && v[1] == r->least);
            assert_int_equal(wg_copy_out(wg_add_(x, wg_i(2)), WG_INT64, v, sizeof v), WG_OK);
            assert_true(v[0] == r->least + 1);
            assert_int_equal(wg_dtype_of(wg_mul(x, wg_s(3))), WG_FLOAT32);
            assert_int_equal(wg_dtype_of(wg_mul(x, wg_b(true))), r->dtype);
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
        cmocka_unit_test_teardown(each_writes_what_the_other_form_computes, live),
        cmocka_unit_test_teardown(other_dtypes_are_converted, live),
        cmocka_unit_test_teardown(operands_may_share_the_target, live),
        cmocka_unit_test_teardown(a_repeated_target_takes_one_value_only, live),
        cmocka_unit_test_teardown(indexed_writes_may_repeat, live),
        cmocka_unit_test_teardown(failures_write_nothing, live),
        cmocka_unit_test_teardown(nothing_to_write_is_a_write_too, live),
        cmocka_unit_test_teardown(integers_by_definition, live),
        cmocka_unit_test_teardown(integers_divided_by_zero, live),
        cmocka_unit_test_teardown(numbers_beside_integers, live),
    };
    return cmocka_run_group_tests_name("in place, plain", tests, NULL, NULL);
}
