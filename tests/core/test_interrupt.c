/* test_interrupt.c - should_stop: every kind of long work asks it at least every 50 ms and gives up with a status of
 * its own; nothing leaks, a new result is poison, and only a target written in place may be half written, which its
 * version and the message say. Time is the calling thread's processor time, so that a busy machine does not matter.
 */
#define _GNU_SOURCE
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
#include "cpu/gemm.h"
#include "wengert/wengert.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
/* Elements of a long row, and rows and columns of a matrix of as many. */
enum { LONG = 1 << 22, SIDE = 1 << 11, CHAIN = 200000 };

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static struct {
    bool answer;
    int asked, after;     /* after: questions answered with "go on" before the answer counts */
    double last, longest; /* seconds: the last question, the longest time between two */
} stop;

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void note_gap(void) {
    double now = processor_seconds();
    if (now - stop.last > stop.longest) stop.longest = now - stop.last;
    stop.last = now;
}
static bool should_stop(void *user) {
    (void)user;
    note_gap();
    return ++stop.asked > stop.after && stop.answer;
}
/* From here on the answer is this. The library asks at most every 10 ms: so long it sleeps, then the first chance to
 * ask is taken. */
static void begin(bool answer, int after) {
    nanosleep(&(struct timespec){.tv_nsec = 11000000}, NULL);
    memset(&stop, 0, sizeof stop);
    stop.answer = answer;
    stop.after = after;
    stop.last = processor_seconds();
}
static int set_up(void **state) {
    (void)state;
    return wg_set_host(&(wg_host){.size = sizeof(wg_host), .should_stop = should_stop}) != WG_OK;
}
static int tear_down(void **state) {
    (void)state;
    return wg_set_host(NULL) != WG_OK;
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

static wg_tensor *row, *whole_row, *matrix, *turned, *mask, *places, *classes, *other, *chain;

static wg_tensor *uniform_row(int64_t n) { return wg_rand(1, &n, NULL, NULL); }

static wg_tensor *call_exp(void) { return wg_exp(row); }
static wg_tensor *call_exp_strided(void) { return wg_exp(wg_slice(row, 0, 0, INT64_MAX, 2)); }
static wg_tensor *call_add(void) { return wg_add(matrix, turned); }
static wg_tensor *call_pow(void) { return wg_pow(row, row); }
static wg_tensor *call_remainder(void) { return wg_remainder(whole_row, wg_i(7)); }
static wg_tensor *call_where(void) { return wg_where(mask, row, wg_s(0)); }
static wg_tensor *call_clamp(void) { return wg_clamp(row, wg_s(0), wg_s(0.5)); }
static wg_tensor *call_masked_fill(void) { return wg_masked_fill(row, mask, wg_s(0)); }
static wg_tensor *call_sum(void) { return wg_sum(row); }
static wg_tensor *call_sum_rows(void) { return wg_sum(matrix, .dims = WG_DIMS(1)); }
static wg_tensor *call_sum_columns(void) { return wg_sum(matrix, .dims = WG_DIMS(0)); }
static wg_tensor *call_mean(void) { return wg_mean(row); }
static wg_tensor *call_prod(void) { return wg_prod(row); }
static wg_tensor *call_max(void) { return wg_max(row); }
static wg_tensor *call_max_dim(void) { return wg_max_dim(matrix, 0, false, NULL); }
static wg_tensor *call_argmax(void) { return wg_argmax_all(row); }
static wg_tensor *call_all(void) { return wg_all(row); }
static wg_tensor *call_var(void) { return wg_var(row); }
static wg_tensor *call_norm(void) { return wg_norm(row); }
static wg_tensor *call_norm3(void) { return wg_norm_opt(row, 3, NULL); }
static wg_tensor *call_logsumexp(void) { return wg_logsumexp(matrix, .dims = WG_DIMS(1)); }
static wg_tensor *call_softmax(void) { return wg_softmax(matrix, 1); }
static wg_tensor *call_softmax_columns(void) { return wg_softmax(matrix, 0); }
static wg_tensor *call_softmax_row(void) { return wg_softmax(row, 0); }
static wg_tensor *call_sort(void) { return wg_sort(row, 0, false, true, NULL); }
static wg_tensor *call_sort_rows(void) { return wg_sort(matrix, 1, true, false, NULL); }
static wg_tensor *call_sort_integers(void) { return wg_sort(whole_row, 0, true, true, NULL); }
static wg_tensor *call_matmul(void) { return wg_mm(matrix, matrix); }
static wg_tensor *call_matmul_turned(void) { return wg_mm(turned, matrix); }
static wg_tensor *call_mv(void) { return wg_mv(matrix, wg_select(turned, 0, 0)); }
static wg_tensor *call_dot(void) { return wg_dot(row, row); }
static wg_tensor *call_bmm(void) {
    wg_tensor *x = wg_view(row, 3, (int64_t[]){LONG / 256, 16, 16});
    return wg_bmm(x, x);
}
static wg_tensor *call_clone(void) { return wg_clone(row); }
static wg_tensor *call_contiguous(void) { return wg_contiguous(turned); }
static wg_tensor *call_to(void) { return wg_to(row, WG_FLOAT16); }
static wg_tensor *call_cat(void) { return wg_cat(WG_TENSORS(row, row), 0); }
static wg_tensor *call_stack(void) { return wg_stack(WG_TENSORS(row, row), 1); }
static wg_tensor *call_zeros(void) { return wg_zeros(WG_SHAPE(LONG), NULL); }
static wg_tensor *call_ones(void) { return wg_ones(WG_SHAPE(LONG), NULL); }
static wg_tensor *call_full(void) { return wg_full(WG_SHAPE(LONG), wg_s(2), NULL); }
static wg_tensor *call_arange(void) { return wg_arange(wg_i(0), wg_i(LONG), wg_i(1), NULL); }
static wg_tensor *call_linspace(void) { return wg_linspace(0, 1, LONG, NULL); }
static wg_tensor *call_eye(void) { return wg_eye(SIDE, -1, NULL); }
static wg_tensor *call_rand(void) { return uniform_row(LONG); }
static wg_tensor *call_randn(void) { return wg_randn(WG_SHAPE(LONG), NULL, NULL); }
static wg_tensor *call_randint(void) { return wg_randint(0, 9, WG_SHAPE(LONG), NULL, NULL); }
static wg_tensor *call_randperm(void) { return wg_randperm(LONG, NULL, NULL); }
static wg_tensor *call_bernoulli(void) { return wg_bernoulli(row, NULL); }
static wg_tensor *call_multinomial(void) { return wg_multinomial(row, 1000, true, NULL); }
static wg_tensor *call_index(void) { return wg_index(row, &places, 1); }
static wg_tensor *call_index_mask(void) { return wg_index(row, &mask, 1); }
static wg_tensor *call_index_put(void) { return wg_index_put(row, &places, 1, wg_s(0), true); }
static wg_tensor *call_index_select(void) { return wg_index_select(row, 0, places); }
static wg_tensor *call_index_add(void) { return wg_index_add(row, 0, places, other); }
static wg_tensor *call_index_fill(void) { return wg_index_fill(row, 0, places, wg_s(0)); }
static wg_tensor *call_gather(void) { return wg_gather(row, 0, places); }
static wg_tensor *call_scatter_add(void) { return wg_scatter_add(row, 0, places, other); }
static wg_tensor *call_nonzero(void) { return wg_nonzero(mask); }
static wg_tensor *call_embedding(void) { return wg_embedding(wg_unsqueeze(row, 1), places, -1); }
static wg_tensor *call_cross_entropy(void) {
    return wg_cross_entropy(wg_view(row, 2, (int64_t[]){LONG / 4, 4}), classes);
}
static wg_tensor *call_mse(void) { return wg_mse_loss(row, other); }
static wg_tensor *call_add_in_place(void) { return wg_add_(other, row); }
static wg_tensor *call_copy_in_place(void) { return wg_copy_(other, row); }
static wg_tensor *call_fill_in_place(void) { return wg_fill_(other, wg_s(0.5)); }
static wg_tensor *call_zero_in_place(void) { return wg_zero_(other); }
static wg_tensor *call_normal_in_place(void) { return wg_normal_(other, 0, 1, NULL); }
static wg_tensor *call_backward(void) {
    return wg_backward_opt(&chain, 1, NULL, WG_WALK(.retain_graph = true)) == WG_OK ? chain : WG_POISON;
}
static wg_tensor *call_equal(void) {
    bool same;
    return wg_equal(row, row, &same) == WG_OK ? row : WG_POISON;
}
static wg_tensor *call_allclose(void) {
    bool same;
    return wg_allclose(row, row, 0, 0, false, &same) == WG_OK ? row : WG_POISON;
}
static wg_tensor *call_copy_out(void) {
    double *out = malloc(sizeof(double) * LONG);
    wg_status st = wg_copy_out(row, WG_FLOAT64, out, sizeof(double) * LONG);
    free(out);
    return st == WG_OK ? row : WG_POISON;
}
static wg_tensor *call_copy_in(void) {
    double *in = calloc(LONG, sizeof(double));
    wg_status st = wg_copy_in(other, WG_FLOAT64, in, sizeof(double) * LONG);
    free(in);
    return st == WG_OK ? other : WG_POISON;
}

static const struct work {
    const char *name;
    wg_tensor *(*call)(void);
} all_work[] = {
#define WORK(name)                                                                                                     \
    { #name, call_##name }
    WORK(exp),
    WORK(exp_strided),
    WORK(add),
    WORK(pow),
    WORK(remainder),
    WORK(where),
    WORK(clamp),
    WORK(masked_fill),
    WORK(sum),
    WORK(sum_rows),
    WORK(sum_columns),
    WORK(mean),
    WORK(prod),
    WORK(max),
    WORK(max_dim),
    WORK(argmax),
    WORK(all),
    WORK(var),
    WORK(norm),
    WORK(norm3),
    WORK(logsumexp),
    WORK(softmax),
    WORK(softmax_columns),
    WORK(softmax_row),
    WORK(sort),
    WORK(sort_rows),
    WORK(sort_integers),
    WORK(matmul),
    WORK(matmul_turned),
    WORK(mv),
    WORK(dot),
    WORK(bmm),
    WORK(clone),
    WORK(contiguous),
    WORK(to),
    WORK(cat),
    WORK(stack),
    WORK(zeros),
    WORK(ones),
    WORK(full),
    WORK(arange),
    WORK(linspace),
    WORK(eye),
    WORK(rand),
    WORK(randn),
    WORK(randint),
    WORK(randperm),
    WORK(bernoulli),
    WORK(multinomial),
    WORK(index),
    WORK(index_mask),
    WORK(index_put),
    WORK(index_select),
    WORK(index_add),
    WORK(index_fill),
    WORK(gather),
    WORK(scatter_add),
    WORK(nonzero),
    WORK(embedding),
    WORK(cross_entropy),
    WORK(mse),
    WORK(add_in_place),
    WORK(copy_in_place),
    WORK(fill_in_place),
    WORK(zero_in_place),
    WORK(normal_in_place),
    WORK(backward),
    WORK(equal),
    WORK(allclose),
    WORK(copy_out),
    WORK(copy_in),
#undef WORK
};

static wg_tensor *long_chain(void) {
    wg_tensor *y = wg_keep(wg_set_requires_grad(wg_ones(WG_SHAPE(1), NULL), true));
    for (int i = 0; i < CHAIN; i++) WG_SCOPE {
            wg_tensor *next = wg_keep(wg_mul(y, wg_s(1)));
            wg_release(y);
            y = next;
        }
    return wg_give(y);
}
static void make_inputs(void) {
    memset(&stop, 0, sizeof stop);
    wg_manual_seed(1);
    row = uniform_row(LONG);
    other = uniform_row(LONG);
    matrix = wg_view(row, 2, (int64_t[]){SIDE, SIDE});
    turned = wg_t(matrix);
    whole_row = wg_randint(-1000, 1000, WG_SHAPE(LONG), NULL, NULL);
    places = wg_randint(0, LONG, WG_SHAPE(LONG), NULL, NULL);
    classes = wg_randint(0, 4, WG_SHAPE(LONG / 4), NULL, NULL);
    mask = wg_lt(row, wg_s(0.5));
    chain = long_chain();
    assert_false(wg_error_pending());
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static int64_t live_tensors(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOST_SECONDS 0.5
#else
#define MOST_SECONDS 0.05
#endif

/* What is wrong with w when it is stopped, or NULL. */
static const char *stopped(const struct work *w, int after) {
    const char *wrong = NULL;
    WG_SCOPE {
        int64_t before = live_tensors();
        begin(true, after);
        wg_tensor *t = w->call();
        stop.answer = false;
        note_gap();
        bool interrupted = wg_is_poison(t) && wg_last_status() == WG_ERR_INTERRUPTED;
        if (stop.asked <= after)
            wrong = stop.longest < MOST_SECONDS ? NULL : "never asked"; /* it was over sooner */
        else if (!wg_is_poison(t))
            wrong = "went on";
        else if (!interrupted)
            wrong = "another status";
        else if (!strstr(wg_last_message(), "interrupted"))
            wrong = wg_last_message();
        else if (after == 0 && stop.asked != 1)
            wrong = "asked again";
        wg_clear_error();
        if (live_tensors() > before + 4) wrong = "left temporaries behind"; /* views of the inputs, numbers */
    }
    return wrong;
}

static void all_work_can_be_stopped(void **state) {
    (void)state;
    int wrong = 0;
    WG_SCOPE {
        make_inputs();
        for (size_t i = 0; i < COUNT(all_work); i++)
            for (int after = 0; after < 3; after++) {
                const char *why = stopped(&all_work[i], after);
                if (why) print_error("%s, after %d: %s\n", all_work[i].name, after, why);
                wrong += why != NULL;
            }
    }
    assert_int_equal(wrong, 0);
}

static void all_work_asks_often(void **state) {
    (void)state;
    int wrong = 0, asked = 0;
    WG_SCOPE {
        make_inputs();
        for (size_t i = 0; i < COUNT(all_work); i++) WG_SCOPE {
                begin(false, 0);
                if (wg_is_poison(all_work[i].call())) fail_msg("%s: %s", all_work[i].name, wg_last_message());
                note_gap();
                asked += stop.asked;
                if (stop.longest < MOST_SECONDS) break;
                print_error("%s: %.0f ms without asking\n", all_work[i].name, 1e3 * stop.longest);
                wrong++;
            }
    }
    assert_int_equal(wrong, 0);
    assert_true(asked > 0);
}

static void products_without_blas(void **state) {
    (void)state;
    static const wg_dtype dtypes[] = {WG_FLOAT32, WG_FLOAT64, WG_BFLOAT16, WG_INT64, WG_INT8};
    assert_true(wg__gemm_use(NULL, false));
    for (size_t i = 0; i < COUNT(dtypes); i++) WG_SCOPE {
            wg_tensor *x = wg_ones(WG_SHAPE(700, 700), WG_DTYPE(dtypes[i]));
            begin(true, 0);
            assert_true(wg_is_poison(wg_mm(x, x)));
            stop.answer = false;
            assert_int_equal(wg_last_status(), WG_ERR_INTERRUPTED);
            assert_string_equal(wg_last_op(), "mm");
            wg_clear_error();
        }
    assert_true(wg__gemm_use(NULL, true));
}

/* Some of the target was written before the question, none of it after. */
static void in_place_work_says_so(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(LONG), NULL);
        uint32_t version = wg_version_of(x);
        int threads = wg_num_threads();
        assert_int_equal(wg_set_num_threads(1), WG_OK);
        begin(true, 0);
        assert_true(wg_is_poison(wg_add_(x, wg_s(1))));
        stop.answer = false;
        assert_int_equal(wg_set_num_threads(threads), WG_OK);
        assert_int_equal(wg_last_status(), WG_ERR_INTERRUPTED);
        assert_non_null(strstr(wg_last_message(), "partly written"));
        assert_int_equal(wg_version_of(x), version + 1);
        double written = 0;
        assert_int_equal(wg_item(wg_sum(x), &written), WG_OK);
        assert_true(written > 0 && written < LONG);
    }
}

/* Gradients that were complete before stay; the walk can be run again. */
static void a_stopped_walk_can_be_run_again(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_set_requires_grad(wg_ones(WG_SHAPE(2), NULL), true), *y = x;
        for (int i = 0; i < 5000; i++) y = wg_mul(y, wg_s(1));
        wg_tensor *loss = wg_sum(y);
        begin(true, 0);
        assert_int_equal(wg_backward_opt(&loss, 1, NULL, WG_WALK(.retain_graph = true)), WG_ERR_INTERRUPTED);
        stop.answer = false;
        assert_string_equal(wg_last_op(), "backward");
        wg_clear_error();
        assert_null(wg_grad_of(x));
        assert_int_equal(wg_backward(loss), WG_OK);
        float g[2];
        assert_int_equal(wg_copy_out(wg_grad_of(x), WG_FLOAT32, g, sizeof g), WG_OK);
        assert_true(g[0] == 1 && g[1] == 1);
    }
}

static int live(void **state) {
    (void)state;
    wg_clear_error();
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_work_can_be_stopped, live),
        cmocka_unit_test_teardown(all_work_asks_often, live),
        cmocka_unit_test_teardown(products_without_blas, live),
        cmocka_unit_test_teardown(in_place_work_says_so, live),
        cmocka_unit_test_teardown(a_stopped_walk_can_be_run_again, live),
    };
    return cmocka_run_group_tests_name("interrupt", tests, set_up, tear_down);
}
