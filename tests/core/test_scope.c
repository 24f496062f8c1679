/* test_scope.c - who owns a handle: scopes, keep, release, take and give, in one thread and across threads; what is
 * counted as live; the objects that a binding hangs on tensors and nodes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wengert/wengert.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static wg_memory_stats stats(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m;
}
static int64_t live_tensors(void) { return stats().live_tensors; }
static wg_tensor *ones(int64_t n) { return wg_ones(1, &n, NULL); }

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

static void results_die_with_their_scope(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = ones(3);
        assert_int_equal(wg_owner_count(x), 1);
        wg_add(wg_mul(x, x), x);
        assert_int_equal(live_tensors(), 3);
        WG_SCOPE {
            for (int i = 0; i < 1000; i++) wg_neg(x); /* more than the stack begins with */
            assert_int_equal(live_tensors(), 1003);
        }
        assert_int_equal(live_tensors(), 3);
        assert_int_equal(wg_owner_count(x), 1);
    }
    assert_int_equal(live_tensors(), 0);
}

static void break_leaves_and_closes(void **state) {
    (void)state;
    int turns = 0;
    WG_SCOPE {
        ones(2);
        WG_SCOPE {
            ones(2);
            if (++turns == 1) break;
            turns = 100;
        }
        assert_int_equal(live_tensors(), 1);
        for (int i = 0; i < 3; i++) WG_SCOPE {
                ones(2);
                turns++;
                if (i == 1) continue; /* the scope's round is over, as with break */
                turns++;
            }
        assert_int_equal(live_tensors(), 1);
    }
    assert_int_equal(turns, 6);
    assert_int_equal(live_tensors(), 0);
}

static void returns_from_inside(void) {
    WG_SCOPE {
        ones(4);
        WG_SCOPE {
            ones(4);
            return;
        }
    }
}
static void an_outer_scope_closes_what_was_skipped(void **state) {
    (void)state;
    size_t outer = wg_scope_open();
    assert_true(outer > 0);
    returns_from_inside();
    assert_int_equal(live_tensors(), 2);
    size_t inner = wg_scope_open(), innermost = wg_scope_open();
    ones(1);
    assert_true(inner > outer && innermost > inner);
    assert_int_equal(wg_scope_close(outer), 0);
    assert_int_equal(live_tensors(), 0);
    ones(1); /* belongs to the root scope, which always is there */
    assert_int_equal(live_tensors(), 1);
    assert_int_equal(wg_scope_close(0), 0);
    assert_int_equal(live_tensors(), 0);
}

static void many_scopes(void **state) {
    (void)state;
    enum { DEPTH = 5000 };
    static size_t mark[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        mark[i] = wg_scope_open();
        ones(1);
    }
    assert_int_equal(live_tensors(), DEPTH);
    for (int i = DEPTH; i-- > DEPTH / 2;) {
        wg_scope_close(mark[i]);
        assert_int_equal(live_tensors(), i);
    }
    wg_scope_close(mark[0]);
    assert_int_equal(live_tensors(), 0);
}

/* ---- owners ------------------------------------------------------------------------------------------------------ */

static void kept_handles_survive(void **state) {
    (void)state;
    wg_tensor *kept = NULL, *taken = NULL, *inner = NULL;
    WG_SCOPE {
        wg_tensor *x = ones(2);
        kept = wg_keep(wg_keep(x));
        assert_ptr_equal(kept, x);
        assert_int_equal(wg_owner_count(x), 3);
        wg_release(x);
        taken = wg_take(wg_add(x, x)); /* on top of the scope */
        wg_tensor *below = wg_mul(x, x);
        wg_neg(x);
        assert_ptr_equal(wg_take(below), below); /* under something else */
        assert_int_equal(wg_owner_count(below), 1);
        inner = below;
    }
    assert_int_equal(live_tensors(), 3);
    float v[2];
    assert_int_equal(wg_copy_out(kept, WG_FLOAT32, v, sizeof v), WG_OK);
    assert_true(v[0] == 1 && v[1] == 1);
    assert_int_equal(wg_copy_out(taken, WG_FLOAT32, v, sizeof v), WG_OK);
    assert_true(v[0] == 2 && v[1] == 2);
    assert_int_equal(wg_owner_count(kept), 1);
    wg_release(kept);
    wg_release(taken);
    assert_int_equal(live_tensors(), 1);
    WG_SCOPE assert_ptr_equal(wg_give(inner), inner);
    assert_int_equal(live_tensors(), 0);
}

/* A handle of an outer scope is not the innermost scope's: taking it is one more owner. */
static void take_from_an_outer_scope(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = ones(2);
        WG_SCOPE {
            assert_ptr_equal(wg_take(x), x);
            assert_int_equal(wg_owner_count(x), 2);
            wg_give(x);
        }
        assert_int_equal(wg_owner_count(x), 1);
        assert_true(wg_is_contiguous(x));
    }
    assert_int_equal(live_tensors(), 0);
}

/* The handle is gone, its elements and its version are not: a view needs them. */
static void views_hold_what_they_see(void **state) {
    (void)state;
    wg_tensor *view = NULL;
    for (int64_t n = 4; n <= 4096; n *= 32) { /* elements inside the handle's block, and outside */
        WG_SCOPE {
            wg_tensor *x = wg_arange(wg_i(0), wg_i(n), wg_i(1), NULL);
            wg_add_(x, wg_i(1));
            view = wg_keep(wg_detach(wg_slice(x, 0, n - 2, n, 1)));
        }
        assert_int_equal(live_tensors(), 1);
        int64_t v[2];
        assert_int_equal(wg_copy_out(view, WG_INT64, v, sizeof v), WG_OK);
        assert_int_equal(v[0], n - 1);
        assert_int_equal(v[1], n);
        assert_int_equal(wg_version_of(view), 1);
        WG_SCOPE wg_add_(view, wg_i(1));
        assert_int_equal(wg_version_of(view), 2);
        wg_release(view);
        assert_int_equal(live_tensors(), 0);
    }
}

/* A loss holds its history, the history what it saved, and leaves hold their gradients. */
static void history_holds_what_it_saved(void **state) {
    (void)state;
    wg_tensor *loss = NULL, *x = NULL;
    WG_SCOPE {
        x = wg_keep(wg_set_requires_grad(ones(3), true));
        loss = wg_keep(wg_sum(wg_mul(wg_exp(x), x)));
    }
    assert_int_equal(stats().live_nodes, 4); /* three ops, and where the leaf's gradient goes */
    assert_true(live_tensors() > 2);
    WG_SCOPE assert_int_equal(wg_backward(loss), WG_OK);
    assert_int_equal(live_tensors(), 3); /* loss, x, its gradient: what was saved is gone */
    wg_release(loss);
    wg_release(x);
    assert_int_equal(live_tensors(), 0);
    assert_int_equal(stats().live_nodes, 0);
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

static void bytes_are_counted(void **state) {
    (void)state;
    wg_empty_cache();
    size_t before = stats().live_bytes;
    wg_reset_peak();
    assert_int_equal(stats().peak_bytes, before);
    enum { BYTES = 1 << 20 };
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(BYTES), WG_DTYPE(WG_UINT8));
        size_t one = stats().live_bytes - before;
        assert_in_range(one, BYTES, BYTES + BYTES / 4);
        WG_SCOPE {
            wg_view(x, 2, (int64_t[]){2, BYTES / 2}); /* costs nothing */
            assert_int_equal(stats().live_bytes - before, one);
            wg_clone(x);
            wg_clone(x);
        }
        assert_int_equal(stats().live_bytes - before, one);
        assert_in_range(stats().peak_bytes - before, 3 * BYTES, 4 * BYTES);
        wg_reset_peak();
        assert_int_equal(stats().peak_bytes - before, one);
    }
    assert_int_equal(stats().live_bytes, before);
#ifndef __SANITIZE_ADDRESS__ /* with it nothing is cached */
    assert_true(stats().cached_bytes >= BYTES);
#endif
    wg_empty_cache();
    assert_int_equal(stats().cached_bytes, 0);
    wg_memory_stats old = {.size = 8}; /* another version's struct is left alone */
    wg_memory_stats_get(&old);
    assert_int_equal(old.live_tensors, 0);
    assert_int_equal(old.peak_bytes, 0);
    wg_memory_stats_get(NULL);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void *in_a_thread(void *arg) {
    wg_tensor *shared = arg;
    ones(5); /* in the thread's root scope: goes with it */
    size_t unclosed = wg_scope_open();
    wg_neg(shared);
    (void)unclosed;
    return wg_keep(wg_add(shared, shared));
}
static void a_thread_closes_its_scopes(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = ones(3);
        for (int i = 0; i < 20; i++) {
            pthread_t thread;
            void *made = NULL;
            assert_int_equal(pthread_create(&thread, NULL, in_a_thread, x), 0);
            assert_int_equal(pthread_join(thread, &made), 0);
            assert_int_equal(live_tensors(), 2);
            assert_int_equal(wg_owner_count(made), 1);
            wg_release(made); /* in another thread than made it */
            assert_int_equal(live_tensors(), 1);
        }
    }
}

/* ---- debug builds ------------------------------------------------------------------------------------------------ */

#ifndef NDEBUG
static char logged[300];
static void to_log(void *user, wg_log_level level, const char *message) {
    (void)user;
    if (level == WG_LOG_WARN) snprintf(logged, sizeof logged, "%s", message);
}
static void a_loop_that_fills_the_root_scope_is_noticed(void **state) {
    (void)state;
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .log = to_log}), WG_OK);
    for (int i = 0; i < 150000; i++) WG_SCOPE ones(1);
    assert_string_equal(logged, "");
    for (int i = 0; i < 150000; i++) ones(1);
    assert_non_null(strstr(logged, "root scope"));
    wg_scope_close(0);
    assert_int_equal(wg_set_host(NULL), WG_OK);
}
static void a_dead_handle_is_noticed(void **state) {
    (void)state;
    wg_tensor *dead = NULL;
    WG_SCOPE dead = ones(2);
    WG_SCOPE assert_true(wg_is_poison(wg_exp(dead)));
    assert_int_equal(wg_last_status(), WG_ERR_RUNTIME);
    assert_non_null(strstr(wg_last_message(), "wg_keep"));
    wg_clear_error();
}
#else
static void a_loop_that_fills_the_root_scope_is_noticed(void **state) { (void)state, skip(); }
static void a_dead_handle_is_noticed(void **state) { (void)state, skip(); }
#endif

/* ---- a binding's objects ----------------------------------------------------------------------------------------- */

static struct {
    int tensors, nodes;
    void *last;
} released;
static void tensor_released(void *object) { released.last = object, released.tensors++; }
static void node_released(void *object) { released.last = object, released.nodes++; }

static void objects_go_with_their_handles(void **state) {
    (void)state;
    int a = 0, b = 0, c = 0;
    memset(&released, 0, sizeof released);
    assert_int_equal(wg_set_binding(&(wg_binding){.size = sizeof(wg_binding),
                                                  .tensor_released = tensor_released,
                                                  .node_released = node_released}),
                     WG_OK);
    WG_SCOPE {
        wg_tensor *x = wg_set_requires_grad(ones(2), true), *y = wg_mul(x, x), *view = wg_slice(x, 0, 0, 1, 1);
        assert_null(wg_slot(x));
        wg_set_slot(x, &a);
        assert_ptr_equal(wg_slot(x), &a);
        assert_null(wg_slot(view)); /* a handle's own */
        assert_null(wg_slot(wg_detach(x)));
        wg_set_slot(view, &b);
        wg_set_slot(view, &a);
        wg_set_slot(view, NULL);
        wg_node_set_slot(wg_grad_fn(y), &c);
        assert_ptr_equal(wg_node_slot(wg_grad_fn(y)), &c);
        wg_tensor *other = ones(40);
        assert_int_equal(wg_set_data(x, other), WG_OK); /* another storage, the same identity */
        assert_ptr_equal(wg_slot(x), &a);
        wg_keep(x);
        WG_SCOPE wg_set_slot(wg_exp(x), &b);
        assert_int_equal(released.tensors, 1);
        assert_ptr_equal(released.last, &b);
        wg_release(x);
        assert_int_equal(released.tensors, 1);
    }
    assert_int_equal(released.tensors, 2);
    assert_int_equal(released.nodes, 1);
    assert_null(wg_slot(NULL));
    wg_set_slot(NULL, &a);
    assert_null(wg_node_slot(NULL));
    wg_node_set_slot(NULL, &a);
    assert_int_equal(wg_set_binding(&(wg_binding){.size = 4}), WG_ERR_VALUE);
    wg_clear_error();
    WG_SCOPE wg_set_slot(ones(1), &a);
    assert_int_equal(released.tensors, 3); /* the refused binding changed nothing */
    assert_int_equal(wg_set_binding(NULL), WG_OK);
    WG_SCOPE wg_set_slot(ones(1), &a);
    assert_int_equal(released.tensors, 3);
}

/* A callback may call the library: the object may own tensors. */
static void releases_more(void *object) {
    released.tensors++;
    wg_release(object);
}
static void objects_may_own_tensors(void **state) {
    (void)state;
    enum { LENGTH = 100000 };
    memset(&released, 0, sizeof released);
    assert_int_equal(wg_set_binding(&(wg_binding){.size = sizeof(wg_binding), .tensor_released = releases_more}),
                     WG_OK);
    wg_tensor *next = NULL;
    for (int i = 0; i < LENGTH; i++) WG_SCOPE {
            wg_tensor *t = wg_keep(ones(1));
            wg_set_slot(t, next);
            next = t;
        }
    assert_int_equal(live_tensors(), LENGTH);
    wg_release(next); /* a chain: without recursion */
    assert_int_equal(released.tensors, LENGTH - 1);
    assert_int_equal(wg_set_binding(NULL), WG_OK);
}

static int live(void **state) {
    (void)state;
    wg_clear_error();
    wg_memory_stats m = stats();
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(results_die_with_their_scope, live),
        cmocka_unit_test_teardown(break_leaves_and_closes, live),
        cmocka_unit_test_teardown(an_outer_scope_closes_what_was_skipped, live),
        cmocka_unit_test_teardown(many_scopes, live),
        cmocka_unit_test_teardown(kept_handles_survive, live),
        cmocka_unit_test_teardown(take_from_an_outer_scope, live),
        cmocka_unit_test_teardown(views_hold_what_they_see, live),
        cmocka_unit_test_teardown(history_holds_what_it_saved, live),
        cmocka_unit_test_teardown(bytes_are_counted, live),
        cmocka_unit_test_teardown(a_thread_closes_its_scopes, live),
        cmocka_unit_test_teardown(a_loop_that_fills_the_root_scope_is_noticed, live),
        cmocka_unit_test_teardown(a_dead_handle_is_noticed, live),
        cmocka_unit_test_teardown(objects_go_with_their_handles, live),
        cmocka_unit_test_teardown(objects_may_own_tensors, live),
    };
    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
