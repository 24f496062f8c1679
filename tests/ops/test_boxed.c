/* Boxed calls by name: the in-place forms write, the others do not, and what does not fit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wengert/wengert.h"

#define T(x)                                                                                                           \
    { .tag = WG_TAG_TENSOR, .v.t = (x) }
#define CALL(name, result, ...)                                                                                        \
    wg_call_op(name, (const wg_arg[]){__VA_ARGS__}, sizeof((const wg_arg[]){__VA_ARGS__}) / sizeof(wg_arg), &(result), \
               1, &n)

static double first(wg_tensor *t) {
    double v = 0;
    assert_int_equal(wg_item(wg_select(t, 0, 0), &v), WG_OK);
    return v;
}

static void in_place_forms_write(void **state) {
    (void)state;
    int n;
    WG_SCOPE {
        wg_tensor *out, *x = wg_full(WG_SHAPE(3), wg_s(2), NULL), *y = wg_full(WG_SHAPE(3), wg_s(5), NULL);
        assert_int_equal(CALL("mul_", out, T(x), T(y)), WG_OK);
        assert_ptr_equal(out, x);
        assert_true(first(x) == 10 && wg_version_of(x) == 1);
        assert_int_equal(CALL("copy_", out, T(x), T(y)), WG_OK);
        assert_true(first(x) == 5);
        assert_int_equal(CALL("fill_", out, T(x), T(wg_s(-1))), WG_OK);
        assert_true(first(x) == -1);
        assert_int_equal(CALL("clamp_", out, T(x), T(wg_s(0))), WG_OK);
        assert_true(first(x) == 0);
        assert_int_equal(CALL("add_", out, T(x), T(y)), WG_OK);
        assert_int_equal(CALL("zero_", out, T(x)), WG_OK);
        assert_true(first(x) == 0 && first(y) == 5);
        assert_int_equal(wg_version_of(x), 6);
    }
}

static void others_do_not(void **state) {
    (void)state;
    int n;
    WG_SCOPE {
        wg_tensor *out, *x = wg_full(WG_SHAPE(3), wg_s(2), NULL);
        assert_int_equal(CALL("exp", out, T(x)), WG_OK);
        assert_true(first(x) == 2 && out != x);
        assert_int_not_equal(CALL("sum_", out, T(x)), WG_OK);
        wg_clear_error();
        assert_int_not_equal(CALL("no_such_op", out, T(x)), WG_OK);
        assert_non_null(strstr(wg_last_message(), "no_such_op"));
        assert_int_not_equal(wg_call_op(NULL, NULL, 0, &out, 1, &n), WG_OK);
        wg_clear_error();
        assert_int_not_equal(CALL("mul_", out, T(x)), WG_OK);
        wg_clear_error();
        assert_true(first(x) == 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_place_forms_write), cmocka_unit_test(others_do_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
