/* test_create.c - tensors made from numbers, and elements converted between all dtypes, against what PyTorch made: bit
 * for bit, errors by their first sentence.
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

#include "support/recorded.h"
#include "wengert/wengert.h"

enum { MAX_ARGS = 3, NOT_GIVEN = 255, ERROR = 255, MOST_SHOWN = 60 };

/* An argument as PyTorch got it, and as a number of ours. */
typedef struct argument {
    wg_dtype dtype;
    double d;
    int64_t i;
} argument;

typedef struct call {
    unsigned function;
    wg_dtype standard, dtype;
    const wg_options *options;
    unsigned nargs;
    argument arg[MAX_ARGS];
} call;

static wg_tensor *number(const argument *a) {
    return a->dtype == WG_FLOAT64 ? wg_s(a->d) : a->dtype == WG_INT64 ? wg_i(a->i) : wg_b(a->i != 0);
}

/* ---- the functions, in the order of the script ----------------------------------------------------------------------
 */

static wg_tensor *ones3(const call *c) { return wg_ones(WG_SHAPE(3), c->options); }
static wg_tensor *mask(void) { return wg_from_data((uint8_t[]){1, 0, 1}, WG_BOOL, WG_SHAPE(3), NULL); }

static wg_tensor *arange(const call *c) {
    return wg_arange(number(&c->arg[0]), number(&c->arg[1]), number(&c->arg[2]), c->options);
}
static wg_tensor *linspace(const call *c) { return wg_linspace(c->arg[0].d, c->arg[1].d, c->arg[2].i, c->options); }
static wg_tensor *eye(const call *c) { return wg_eye(c->arg[0].i, c->nargs > 1 ? c->arg[1].i : -1, c->options); }
static wg_tensor *full(const call *c) { return wg_full(WG_SHAPE(3), number(c->arg), c->options); }
static wg_tensor *full_like(const call *c) { return wg_full_like(ones3(c), number(c->arg), NULL); }
static wg_tensor *fill(const call *c) { return wg_fill_(ones3(c), number(c->arg)); }
static wg_tensor *where(const call *c) { return wg_where(mask(), ones3(c), number(c->arg)); }
static wg_tensor *masked_fill(const call *c) { return wg_masked_fill(ones3(c), mask(), number(c->arg)); }
static wg_tensor *add(const call *c) { return wg_add(ones3(c), number(c->arg)); }
static wg_tensor *mul(const call *c) { return wg_mul(ones3(c), number(c->arg)); }
static wg_tensor *eq(const call *c) { return wg_eq(ones3(c), number(c->arg)); }

static const struct {
    const char *name;
    wg_tensor *(*run)(const call *c);
} functions[] = {{"arange", arange},
                 {"linspace", linspace},
                 {"eye", eye},
                 {"full", full},
                 {"full_like", full_like},
                 {"fill_", fill},
                 {"where", where},
                 {"masked_fill", masked_fill},
                 {"add", add},
                 {"mul", mul},
                 {"eq", eq}};

/* ---- calls
 * ------------------------------------------------------------------------------------------------------------ */

static argument read_argument(recorded *r) {
    argument a = {.dtype = (wg_dtype)recorded_u(r, 1)};
    if (a.dtype == WG_FLOAT64) {
        a.d = recorded_f64(r);
    } else {
        a.i = recorded_i(r, 8);
        a.d = (double)a.i;
    }
    return a;
}

static void read_call(recorded *r, call *c) {
    c->function = (unsigned)recorded_u(r, 1);
    c->standard = (wg_dtype)recorded_u(r, 1);
    c->dtype = (wg_dtype)recorded_u(r, 1);
    c->nargs = (unsigned)recorded_u(r, 1);
    for (unsigned i = 0; i < c->nargs; i++) c->arg[i] = read_argument(r);
}

static bool is_nan(wg_dtype d, const unsigned char *p) {
    uint16_t h;
    float f;
    double v;
    memcpy(&h, p, 2);
    switch (d) {
    case WG_FLOAT16: return (h & 0x7fff) > 0x7c00;
    case WG_BFLOAT16: return (h & 0x7fff) > 0x7f80;
    case WG_FLOAT32: return memcpy(&f, p, 4), isnan(f);
    case WG_FLOAT64: return memcpy(&v, p, 8), isnan(v);
    default: return false;
    }
}

/* The first element that differs, or n. Which nan it is does not matter. */
static size_t first_difference(wg_dtype d, const unsigned char *a, const unsigned char *b, size_t n) {
    size_t size = wg_dtype_size(d), i = 0;
    while (i < n &&
           (memcmp(a + i * size, b + i * size, size) == 0 || (is_nan(d, a + i * size) && is_nan(d, b + i * size))))
        i++;
    return i;
}

/* Reads the recorded result and says in why how got differs from it. */
static bool same_error(recorded *r, wg_tensor *got, char *why, size_t n) {
    wg_status code = (wg_status)recorded_u(r, 1);
    size_t length = recorded_u(r, 1);
    const char *want = (const char *)recorded_take(r, length);
    if (!wg_is_poison(got)) {
        snprintf(why, n, "PyTorch raises %s: %.*s", wg_status_name(code), (int)length, want);
        return false;
    }
    wg_status status = wg_last_status();
    const char *message = wg_last_message();
    if (status == code && strncmp(message, want, length) == 0) return true;
    snprintf(why, n, "PyTorch: %s: %.*s; ours: %s: %s", wg_status_name(code), (int)length, want, wg_status_name(status),
             message);
    return false;
}
static bool same_tensor(recorded *r, wg_dtype dtype, wg_tensor *got, char *why, size_t n) {
    int ndim = (int)recorded_u(r, 1);
    int64_t sizes[8], numel = 1;
    for (int i = 0; i < ndim; i++) numel *= sizes[i] = recorded_i(r, 4);
    const unsigned char *want = recorded_take(r, (size_t)numel * wg_dtype_size(dtype));
    if (wg_is_poison(got)) return snprintf(why, n, "ours raises: %s", wg_last_message()), false;
    if (wg_dtype_of(got) != dtype)
        return snprintf(why, n, "%s, not %s", wg_dtype_name(wg_dtype_of(got)), wg_dtype_name(dtype)), false;
    if (wg_ndim(got) != ndim || memcmp(wg_sizes(got), sizes, sizeof(int64_t) * (size_t)ndim) != 0)
        return snprintf(why, n, "%lld elements, not %lld", (long long)wg_numel(got), (long long)numel), false;
    size_t at = first_difference(dtype, wg_const_data(got), want, (size_t)numel);
    if (at == (size_t)numel) return true;
    double ours[1] = {0}, theirs[1] = {0};
    wg_tensor *x = wg_from_data(want, dtype, ndim, sizes, NULL), *at_x = wg_view(x, 1, (int64_t[]){-1}),
              *at_got = wg_view(got, 1, (int64_t[]){-1});
    if (wg_item(wg_select(at_x, 0, (int64_t)at), theirs) == WG_OK &&
        wg_item(wg_select(at_got, 0, (int64_t)at), ours) == WG_OK)
        snprintf(why, n, "element %d of %d is %.17g, not %.17g", (int)at, (int)numel, ours[0], theirs[0]);
    return false;
}

static void describe(const call *c) {
    print_error("%s(", functions[c->function].name);
    for (unsigned i = 0; i < c->nargs; i++)
        print_error(c->arg[i].dtype == WG_FLOAT64 ? "%s%.9g." : "%s%.17g", i ? ", " : "", c->arg[i].d);
    print_error(") dtype %s, default %s: ", (int)c->dtype == NOT_GIVEN ? "not given" : wg_dtype_name(c->dtype),
                wg_dtype_name(c->standard));
}

static bool one_call(recorded *r) {
    call c;
    char why[400] = "?";
    bool same = false;
    read_call(r, &c);
    c.options = (int)c.dtype == NOT_GIVEN ? NULL : WG_DTYPE(c.dtype);
    assert_int_equal(wg_set_default_dtype(c.standard), WG_OK);
    WG_SCOPE {
        wg_tensor *got = functions[c.function].run(&c);
        unsigned result = (unsigned)recorded_u(r, 1);
        same = result == ERROR ? same_error(r, got, why, sizeof why)
                               : same_tensor(r, (wg_dtype)result, got, why, sizeof why);
    }
    assert_int_equal(wg_set_default_dtype(WG_FLOAT32), WG_OK);
    wg_clear_error();
    if (same) return true;
    describe(&c);
    print_error("%s\n", why);
    return false;
}

/* ---- conversions
 * ------------------------------------------------------------------------------------------------------ */

/* In one row, element by element, and with a stride, which take different loops. */
static wg_tensor *converted(wg_tensor *x, wg_dtype to, int way) {
    if (way == 0) return wg_to(x, to);
    if (way == 1) { /* every second element of a wider tensor */
        wg_tensor *wide = wg_empty(2, (int64_t[]){wg_numel(x), 2}, WG_DTYPE(wg_dtype_of(x)));
        return wg_contiguous(wg_to(wg_copy_(wg_select(wide, 1, 1), x), to));
    }
    wg_tensor *out = wg_empty(1, wg_sizes(x), WG_DTYPE(to)); /* one element at a time */
    for (int64_t i = 0; i < wg_numel(x); i++) wg_copy_(wg_select(out, 0, i), wg_select(x, 0, i));
    return out;
}

static bool one_conversion(recorded *r, uint64_t *elements) {
    wg_dtype from = (wg_dtype)recorded_u(r, 1), to = (wg_dtype)recorded_u(r, 1);
    size_t n = recorded_u(r, 2), wrong = 0;
    const unsigned char *in = recorded_take(r, n * wg_dtype_size(from)),
                        *want = recorded_take(r, n * wg_dtype_size(to));
    *elements += n;
    for (int way = 0; way < 3; way++) WG_SCOPE {
            double v = 0;
            wg_tensor *x = wg_from_data(in, from, WG_SHAPE((int64_t)n), NULL), *y = converted(x, to, way);
            assert_false(wg_is_poison(y));
            assert_int_equal(wg_dtype_of(y), to);
            size_t at = first_difference(to, wg_const_data(y), want, n);
            if (at == n) continue;
            assert_int_equal(wg_item(wg_select(x, 0, (int64_t)at), &v), WG_OK);
            print_error("%s to %s (way %d): %.17g\n", wg_dtype_name(from), wg_dtype_name(to), way, v);
            wrong++;
        }
    return wrong == 0;
}

static void recorded_data(void **state) {
    (void)state;
    recorded r;
    uint64_t wrong = 0, elements = 0;
    if (recorded_open(&r, "create.bin", "create 1") != 0) fail_msg("%s", r.why);
    uint64_t calls = recorded_u(&r, 4);
    for (uint64_t i = 0; i < calls && wrong < MOST_SHOWN; i++) wrong += !one_call(&r);
    assert_int_equal(wrong, 0);
    uint64_t pairs = recorded_u(&r, 4);
    for (uint64_t i = 0; i < pairs; i++) wrong += !one_conversion(&r, &elements);
    assert_int_equal(wrong, 0);
    assert_ptr_equal(r.at, r.end);
    assert_int_equal(pairs, 100);
    assert_true(calls > 3000);
    print_message("%d calls, %d elements converted between all dtypes\n", (int)calls, (int)elements);
    recorded_close(&r);
}

static int live(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(recorded_data, live),
    };
    return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
