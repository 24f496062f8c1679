/* test_sort.c - sort by what it promises rather than by another sort: the indices are a permutation, the values are the
 * elements they name, neighbours are in order, equal neighbours come as they came. Every dtype, dim, direction, layout.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "support/naive.h"

static int rows_checked;

/* -1, 0, 1: as the dtype orders them; a nan is greater than every number and equal to every nan. */
static int order(wg_dtype d, const void *v, int64_t i, int64_t j) {
    if (!wg_dtype_is_floating(d)) {
        int64_t a = naive_get_i(d, v, i), b = naive_get_i(d, v, j);
        return (a > b) - (a < b);
    }
    double a = naive_get(d, v, i), b = naive_get(d, v, j);
    if (isnan(a) || isnan(b)) return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

/* The row of n elements, step apart, from at. seen has room for n. */
static void check_row(wg_dtype d, const void *x, const void *v, const int64_t *index, int64_t at, int64_t step,
                      int64_t n, bool descending, char *seen) {
    size_t item = wg_dtype_size(d);
    memset(seen, 0, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t here = at + i * step, from = index[here];
        assert_in_range(from, 0, n - 1);
        assert_false(seen[from]);
        seen[from] = 1;
        assert_memory_equal((const char *)v + (size_t)here * item, (const char *)x + (size_t)(at + from * step) * item,
                            item);
        if (i == 0) continue;
        int o = order(d, v, here - step, here);
        if (descending) o = -o;
        if (o > 0 || (o == 0 && index[here - step] > from))
            print_error("%s, row at %lld: places %lld and %lld\n", wg_dtype_name(d), (long long)at, (long long)i - 1,
                        (long long)i);
        assert_true(o < 0 || (o == 0 && index[here - step] < from));
    }
    rows_checked++;
}

static void check(wg_tensor *t, int64_t dim, bool descending, bool stable) {
    wg_dtype d = wg_dtype_of(t);
    wg_tensor *indices, *values = wg_sort(t, dim, descending, stable, &indices);
    if (wg_is_poison(values)) print_error("%s\n", wg_last_message());
    assert_false(wg_is_poison(values));
    assert_int_equal(wg_dtype_of(values), d);
    assert_int_equal(wg_dtype_of(indices), WG_INT64);
    assert_int_equal(wg_ndim(values), wg_ndim(t));
    assert_int_equal(wg_ndim(indices), wg_ndim(t));
    int64_t n = 1, step = 1, k = dim < 0 ? dim + wg_ndim(t) : dim;
    for (int i = 0; i < wg_ndim(t); i++) {
        assert_int_equal(wg_size(values, i), wg_size(t, i));
        assert_int_equal(wg_size(indices, i), wg_size(t, i));
        if (i == k) n = wg_size(t, i);
        if (i > k) step *= wg_size(t, i);
    }
    void *x = naive_elements(t), *v = naive_elements(values);
    int64_t *at = naive_ints(indices);
    char *seen = malloc((size_t)n + 1);
    for (int64_t i = 0; i < wg_numel(t); i++)
        if (i / step % n == 0) check_row(d, x, v, at, i, step, n, descending, seen);
    free(x), free(v), free(at), free(seen);
}

static void every_dtype_dim_and_layout(void **state) {
    (void)state;
    for (wg_dtype d = WG_BOOL; d <= WG_FLOAT64; d++)
        for (int round = 0; round < 150; round++) WG_SCOPE {
                int64_t sizes[4];
                int ndim = (int)naive_below(5);
                for (int i = 0; i < ndim; i++) sizes[i] = naive_below(10) == 0 ? 0 : naive_between(1, 9);
                if (ndim == 1) sizes[0] = naive_below(300);
                double few = naive_below(2) ? 3 : 100; /* few: many ties */
                wg_tensor *t = naive_strided(d, ndim, sizes, true, (naive_range){d == WG_UINT8 ? 0 : -few, few, false});
                int64_t dim = naive_between(-(ndim ? ndim : 1), (ndim ? ndim : 1) - 1);
                check(t, dim, naive_below(2), naive_below(2));
            }
}

static void nan_inf_and_zeros(void **state) {
    (void)state;
    static const double some[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1, -1, -NAN};
    for (wg_dtype d = WG_FLOAT16; d <= WG_FLOAT64; d++)
        for (int round = 0; round < 100; round++) WG_SCOPE {
                int64_t n = naive_between(1, 70);
                wg_tensor *t = wg_empty(1, &n, WG_DTYPE(d));
                for (int64_t i = 0; i < n; i++)
                    naive_set(d, wg_data(t), i, naive_below(2) ? some[naive_below(8)] : naive_uniform(-2, 2));
                check(t, 0, round & 1, true);
            }
}

/* Wide integers are not compared as doubles. */
static void neighbours_beyond_2_53(void **state) {
    (void)state;
    WG_SCOPE {
        int64_t n = 500;
        wg_tensor *t = wg_empty(1, &n, WG_DTYPE(WG_INT64));
        int64_t *v = wg_data(t);
        for (int64_t i = 0; i < n; i++) v[i] = (naive_below(2) ? INT64_MAX - 8 : INT64_MIN + 8) + naive_between(-8, 8);
        check(t, 0, false, true);
        check(t, 0, true, true);
    }
}

static void large(void **state) {
    (void)state;
    for (int many = 0; many < 2; many++) WG_SCOPE {
            int64_t n = 1000000;
            wg_tensor *t = wg_empty(1, &n, NULL);
            float *v = wg_data(t);
            for (int64_t i = 0; i < n; i++) v[i] = many ? (float)naive_uniform(-1, 1) : (float)naive_below(1000);
            check(t, 0, false, true);
            check(wg_view(t, WG_SHAPE(1000, 1000)), 0, true, false);
            check(wg_view(t, WG_SHAPE(250000, 4)), 1, true, false);
        }
}

static bool stop(void *user) {
    ++*(int *)user;
    return true;
}
static void can_be_interrupted(void **state) {
    (void)state;
    int asked = 0;
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .user = &asked, .should_stop = stop}), WG_OK);
    WG_SCOPE {
        int64_t n = 2000000;
        wg_tensor *t = wg_empty(1, &n, WG_DTYPE(WG_FLOAT64));
        double *v = wg_data(t);
        for (int64_t i = 0; i < n; i++) v[i] = naive_uniform(-1, 1);
        for (int rows = 1; rows <= 100; rows += 99) { /* one long row, or many that are short */
            assert_true(wg_is_poison(wg_sort(wg_view(t, WG_SHAPE(rows, n / rows)), 1, false, true, NULL)));
            assert_int_equal(wg_last_status(), WG_ERR_INTERRUPTED);
            wg_clear_error();
            assert_int_equal(asked, 1);
            asked = 0;
        }
    }
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host)}), WG_OK);
}

static void refusals(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *t = wg_zeros(WG_SHAPE(2, 3), NULL);
        for (int64_t dim = 2; dim >= -3; dim -= 5) {
            wg_tensor *indices = NULL;
            assert_true(wg_is_poison(wg_sort(t, dim, false, false, &indices)));
            assert_true(wg_is_poison(indices));
            assert_int_equal(wg_last_status(), WG_ERR_INDEX);
            const char *want = dim == 2 ? "Dimension out of range (expected to be in range of [-2, 1], but got 2)"
                                        : "Dimension out of range (expected to be in range of [-2, 1], but got -3)";
            assert_true(strncmp(wg_last_message(), want, strlen(want)) == 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_dtype_dim_and_layout, naive_live),
        cmocka_unit_test_teardown(nan_inf_and_zeros, naive_live),
        cmocka_unit_test_teardown(neighbours_beyond_2_53, naive_live),
        cmocka_unit_test_teardown(large, naive_live),
        cmocka_unit_test_teardown(can_be_interrupted, naive_live),
        cmocka_unit_test_teardown(refusals, naive_live),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("sort: %d rows\n", rows_checked);
    return failed;
}
