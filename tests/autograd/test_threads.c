/* Threads: graphs built and walked at once on shared leaves and on shared nodes, tensors that pass from thread to
 * thread, what a thread leaves behind when it ends, fork. Meant to be run under ThreadSanitizer too.
 *
 * Numbers are small integers in float64, so that sums are exact in any order and can be compared with ==.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "wengert/wengert.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

enum { THREADS = 4, ROUNDS = 200 };

/* ---- threads that report instead of asserting -------------------------------------------------------------------- */

typedef struct worker {
    int number;
    void (*run)(struct worker *w);
    char failure[400];
    bool in_no_scope; /* run keeps its own scopes */
} worker;

#define CHECK(w, condition, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition) && !(w)->failure[0]) snprintf((w)->failure, sizeof((w)->failure), __VA_ARGS__);               \
    } while (0)
#define CHECK_OK(w, status) CHECK(w, (status) == WG_OK, "line %d: %s: %s", __LINE__, wg_last_op(), wg_last_message())

static pthread_barrier_t together;

static void *start(void *arg) {
    worker *w = arg;
    pthread_barrier_wait(&together);
    if (w->in_no_scope) {
        w->run(w);
        return NULL;
    }
    WG_SCOPE { w->run(w); }
    return NULL;
}

static void run_threads(void (*run)(worker *), int n, bool in_no_scope) {
    pthread_t threads[16];
    worker workers[16];
    pthread_barrier_init(&together, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        workers[i] = (worker){.number = i, .run = run, .in_no_scope = in_no_scope};
        assert_int_equal(pthread_create(&threads[i], NULL, start, &workers[i]), 0);
    }
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    for (int i = 0; i < n; i++)
        if (workers[i].failure[0]) fail_msg("thread %d: %s", i, workers[i].failure);
}

static wg_memory_stats stats(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m;
}
static int nothing_alive(void **state) {
    (void)state;
    wg_memory_stats m = stats();
    if (m.live_tensors || m.live_nodes || m.live_bytes)
        print_error("%lld tensors, %lld nodes, %zu bytes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes, m.live_bytes);
    return m.live_tensors || m.live_nodes || m.live_bytes;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* n x m small integers. */
static wg_tensor *integers(int seed, int64_t n, int64_t m, bool requires_grad) {
    double v[64];
    for (int64_t i = 0; i < n * m; i++) v[i] = (double)((i * 7 + seed * 5) % 11 - 5);
    return wg_from_data(v, WG_FLOAT64, WG_SHAPE(n, m), WG_OPT(.requires_grad = requires_grad));
}
static void values(wg_tensor *t, double *out, int n) {
    memset(out, 0, (size_t)n * sizeof(*out));
    if (wg_copy_out(t, WG_FLOAT64, out, (size_t)n * sizeof(*out)) != WG_OK) out[0] = -1e300;
}

/* ---- shared leaves ----------------------------------------------------------------------------------------------- */

static wg_tensor *weight, *bias, *turned; /* 4 x 4, 1 x 4 (broadcast), 4 x 4 stored column by column */

static void make_leaves(void) {
    weight = wg_take(integers(1, 4, 4, true));
    bias = wg_take(integers(2, 1, 4, true));
    turned = wg_take(wg_set_requires_grad(wg_clone(wg_t(integers(3, 4, 4, false))), true));
}
static void drop_leaves(void) {
    wg_release(weight);
    wg_release(bias);
    wg_release(turned);
}
/* A graph of its own for every thread and round. */
static wg_tensor *loss(int thread, int round) {
    wg_tensor *x = integers(thread * 31 + round, 4, 4, false);
    wg_tensor *h = wg_add(wg_matmul(x, weight), bias), *k = wg_relu(wg_sub(h, turned));
    wg_tensor *row = wg_select(wg_mul(k, turned), 0, round % 4);
    return wg_add(wg_sum(wg_mul(k, x)), wg_sum(row));
}
static void build_and_walk(worker *w) {
    for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
            CHECK_OK(w, wg_backward(loss(w->number, round)));
        }
}

static void test_shared_leaves(void **state) {
    (void)state;
    double parallel[36], serial[36];
    for (int pass = 0; pass < 2; pass++) {
        double *to = pass ? serial : parallel;
        WG_SCOPE {
            make_leaves();
            if (pass == 0) run_threads(build_and_walk, THREADS, true);
            for (int t = 0; pass == 1 && t < THREADS; t++)
                for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
                        assert_int_equal(wg_backward(loss(t, round)), WG_OK);
                    }
            values(wg_grad_of(weight), to, 16);
            values(wg_grad_of(bias), to + 16, 4);
            values(wg_grad_of(turned), to + 20, 16);
            drop_leaves();
        }
    }
    for (int i = 0; i < 36; i++) assert_true(parallel[i] == serial[i]);
    double sum = 0;
    for (int i = 0; i < 36; i++) sum += serial[i] * serial[i];
    assert_true(sum > 1000); /* there was something to add */
}

/* The first use of a leaf makes its node, the first gradient its place: both raced for, many times. */
static wg_tensor *fresh[ROUNDS];
static void first_uses(worker *w) {
    for (int i = 0; i < ROUNDS; i++) WG_SCOPE {
            CHECK_OK(w, wg_backward(wg_sum(wg_mul(fresh[i], wg_i(w->number + 1)))));
        }
}
static void test_first_use_of_a_leaf(void **state) {
    (void)state;
    WG_SCOPE {
        for (int i = 0; i < ROUNDS; i++) fresh[i] = integers(i, 2, 2, true);
        run_threads(first_uses, THREADS, true);
        for (int i = 0; i < ROUNDS; i++) {
            double g[4];
            values(wg_grad_of(fresh[i]), g, 4);
            for (int k = 0; k < 4; k++) assert_true(g[k] == 1 + 2 + 3 + 4);
        }
    }
}

/* ---- shared nodes ------------------------------------------------------------------------------------------------ */

static wg_tensor *trunk; /* tanh-like depth, but exact: products and sums */

static void walk_through_the_trunk(worker *w) {
    for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
            wg_tensor *out = wg_sum(wg_mul(trunk, wg_i(w->number + 1)));
            CHECK_OK(w, wg_backward_opt(&out, 1, NULL, WG_WALK(.retain_graph = true, .has_retain_graph = true)));
        }
}
static void test_shared_nodes(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = integers(1, 3, 3, true), *y = x;
        for (int i = 0; i < 5; i++) y = wg_add(wg_mul(y, wg_i(2)), wg_transpose(y, 0, 1));
        trunk = wg_mul(y, y);
        wg_tensor *once = wg_sum(trunk), *g;
        assert_int_equal(wg_grad(&once, 1, &x, 1, NULL, WG_WALK(.retain_graph = true, .has_retain_graph = true), &g),
                         WG_OK);
        run_threads(walk_through_the_trunk, THREADS, true);
        double all[9], one[9];
        values(g, one, 9);
        values(wg_grad_of(x), all, 9);
        for (int i = 0; i < 9; i++) assert_true(all[i] == one[i] * 10 * ROUNDS);
    }
}

/* The same graph walked by all without keeping it: who comes too late is told so, and nothing breaks. */
static wg_tensor *contested;
static atomic_int walked, refused;
static void walk_once(worker *w) {
    wg_status st = wg_backward(contested);
    if (st == WG_OK)
        atomic_fetch_add(&walked, 1);
    else
        atomic_fetch_add(&refused, 1);
    CHECK(w, st == WG_OK || strstr(wg_last_message(), "second time"), "%s", wg_last_message());
}
static void test_contested_graph(void **state) {
    (void)state;
    atomic_store(&walked, 0);
    atomic_store(&refused, 0);
    for (int round = 0; round < ROUNDS / 4; round++) WG_SCOPE {
            wg_tensor *x = integers(round, 3, 3, true), *y = x;
            for (int i = 0; i < 20; i++) y = wg_mul(y, x);
            contested = wg_sum(wg_mul(y, y));
            run_threads(walk_once, THREADS, false);
        }
    assert_int_equal(atomic_load(&walked) + atomic_load(&refused), ROUNDS / 4 * THREADS);
}

/* Hooks of a shared node run in every thread's walk. */
static atomic_int seen;
static wg_tensor *count_gradient(void *user, wg_tensor *g) {
    (void)g;
    atomic_fetch_add((atomic_int *)user, 1);
    return NULL;
}
static void test_shared_hooks(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = integers(1, 3, 3, true), *y = wg_mul(x, wg_i(2));
        trunk = wg_mul(y, y);
        atomic_store(&seen, 0);
        wg_hook_id on_node = wg_register_hook(y, count_gradient, &seen, NULL);
        wg_hook_id on_leaf = wg_register_hook(x, count_gradient, &seen, NULL);
        run_threads(walk_through_the_trunk, THREADS, true);
        assert_int_equal(atomic_load(&seen), 2 * THREADS * ROUNDS);
        wg_remove_hook(on_node);
        wg_remove_hook(on_leaf);
    }
}

/* ---- a shared constant ------------------------------------------------------------------------------------------- */

static wg_tensor *constant;

static double read_constant(int number, int round) {
    double v = 0, w = 0;
    bool same = false;
    char *text = NULL;
    wg_tensor *row = wg_select(constant, 0, (number + round) % 4), *turn = wg_t(constant);
    wg_tensor *sum = wg_add(wg_sum(wg_matmul(constant, turn)), wg_sum(wg_mul(row, wg_detach(row))));
    wg_tensor *data = wg_data_of(constant), *copy = wg_clone(wg_expand(row, WG_SHAPE(3, 4)));
    text = wg_repr_new(constant);
    if (wg_item(sum, &v) != WG_OK || wg_item(wg_sum(wg_sub(wg_amax(data), copy)), &w) != WG_OK) return -1;
    if (wg_equal(turn, wg_contiguous(turn), &same) != WG_OK || !same || !text) v = -1e300;
    wg_free_string(text);
    return v + w * 1000;
}
static void read_often(worker *w) {
    for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
            double a = read_constant(w->number, round), b = read_constant(w->number, round);
            CHECK(w, a == b && a > -1e200, "round %d: %g and %g: %s", round, a, b, wg_last_message());
        }
}
static void test_shared_constant(void **state) {
    (void)state;
    WG_SCOPE {
        constant = integers(4, 4, 4, false);
        run_threads(read_often, THREADS, true);
        assert_int_equal(wg_version_of(constant), 0);
        assert_int_equal(wg_owner_count(constant), 1);
    }
}

/* ---- from hand to hand ------------------------------------------------------------------------------------------- */

/* A ring of places: each thread puts what it made where the next one takes it. */
static struct {
    pthread_mutex_t lock;
    wg_tensor *held[THREADS];
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static wg_tensor *swap_at(int place, wg_tensor *t) {
    pthread_mutex_lock(&ring.lock);
    wg_tensor *before = ring.held[place];
    ring.held[place] = t;
    pthread_mutex_unlock(&ring.lock);
    return before;
}
static void hand_on(worker *w) {
    for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
            int n = 1 + round % 5;
            wg_tensor *x = integers(round, n, n, true), *y = wg_sum(wg_mul(wg_t(x), x));
            for (int i = 0; i < 50; i++) y = wg_mul(y, wg_i(1));
            wg_release(swap_at(w->number, wg_take(y))); /* nobody came for it */
            wg_tensor *other = swap_at((w->number + 1) % THREADS, NULL);
            if (other && round % 2) CHECK_OK(w, wg_backward(other));
            wg_release(other);
        }
}
static void test_made_here_released_there(void **state) {
    (void)state;
    run_threads(hand_on, THREADS, true);
    for (int i = 0; i < THREADS; i++) wg_release(swap_at(i, NULL));
}

/* ---- errors, modes, levels are a thread's own -------------------------------------------------------------------- */

static void own_state(worker *w) {
    for (int round = 0; round < ROUNDS; round++) WG_SCOPE {
            wg_tensor *x = integers(round, 2, 2, true);
            if (w->number == 0) {
                wg_tensor *bad = wg_view(x, WG_SHAPE(3, 3));
                CHECK(w, wg_is_poison(bad) && wg_last_status() == WG_ERR_RUNTIME, "the view did not fail");
                wg_clear_error();
            } else if (w->number == 1) {
                WG_NO_GRAD { CHECK(w, !wg_requires_grad(wg_mul(x, x)), "recorded in no_grad"); }
            } else if (w->number == 2) {
                int level = wg_dual_level_enter();
                wg_tensor *d = wg_mul(wg_make_dual(weight, wg_ones_like(weight, NULL), level), weight);
                wg_tensor *t = wg_tangent_of(d, level);
                bool same = false;
                CHECK(w, t && wg_equal(t, weight, &same) == WG_OK && same, "a wrong tangent");
                wg_dual_level_exit(level);
            }
            CHECK(w, !wg_error_pending() && wg_grad_enabled() && wg_requires_grad(wg_mul(x, weight)), "%s",
                  wg_last_message());
            if (round % 16 == 0) CHECK(w, stats().live_tensors > 0, "nothing alive");
        }
}
static void test_own_state(void **state) {
    (void)state;
    weight = wg_take(integers(1, 2, 2, true));
    run_threads(own_state, THREADS, true);
    wg_release(weight);
}

/* ---- the default generator: every number is drawn once ----------------------------------------------------------- */

enum { DRAWS = 100, AT_ONCE = 10 };
static float drawn[THREADS * DRAWS * AT_ONCE];

static void draw(worker *w) {
    for (int i = 0; i < DRAWS; i++) WG_SCOPE {
            float *to = drawn + (w->number * DRAWS + i) * AT_ONCE;
            CHECK_OK(w, wg_copy_out(wg_rand(WG_SHAPE(AT_ONCE), NULL, NULL), WG_FLOAT32, to, AT_ONCE * sizeof(float)));
        }
}
static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
static void test_generator(void **state) {
    (void)state;
    enum { N = THREADS * DRAWS * AT_ONCE };
    static float serial[N];
    wg_manual_seed(7);
    run_threads(draw, THREADS, true);
    wg_manual_seed(7);
    for (int i = 0; i < N; i += AT_ONCE) WG_SCOPE {
            assert_int_equal(
                wg_copy_out(wg_rand(WG_SHAPE(AT_ONCE), NULL, NULL), WG_FLOAT32, serial + i, AT_ONCE * sizeof(float)),
                WG_OK);
        }
    qsort(drawn, N, sizeof(float), by_value);
    qsort(serial, N, sizeof(float), by_value);
    assert_memory_equal(drawn, serial, sizeof(serial));
}

/* ---- large ops: the pool serves several callers ------------------------------------------------------------------ */

static void large_ops(worker *w) {
    for (int round = 0; round < 10; round++) WG_SCOPE {
            wg_tensor *x =
                wg_set_requires_grad(wg_full(WG_SHAPE(400, 500), wg_s(w->number + 1), WG_DTYPE(WG_FLOAT64)), true);
            double v = 0;
            CHECK_OK(w, wg_backward(wg_sum(wg_mul(x, x))));
            CHECK_OK(w, wg_item(wg_sum(wg_grad_of(x)), &v));
            CHECK(w, v == 2.0 * (w->number + 1) * 200000, "%g", v);
        }
}
static void test_large_ops(void **state) {
    (void)state;
    int before = wg_num_threads();
    assert_int_equal(wg_set_num_threads(3), WG_OK);
    run_threads(large_ops, THREADS, true);
    assert_int_equal(wg_set_num_threads(before), WG_OK);
}

/* ---- the end of a thread ----------------------------------------------------------------------------------------- */

static atomic_llong blocks;
static void *count_allocate(void *user, size_t bytes, size_t alignment) {
    void *p;
    (void)user;
    if (posix_memalign(&p, alignment < sizeof(p) ? sizeof(p) : alignment, bytes ? bytes : 1)) return NULL;
    atomic_fetch_add(&blocks, 1);
    return p;
}
static void count_deallocate(void *user, void *p, size_t bytes) {
    (void)user;
    (void)bytes;
    atomic_fetch_sub(&blocks, 1);
    free(p);
}

static void leave_everything(worker *w) { /* no scope: all of it is the thread's own when it ends */
    wg_tensor *x = integers(w->number, 4, 4, true), *y = x;
    for (int i = 0; i < 3000; i++) y = wg_add(wg_mul(y, wg_i(1)), x);
    wg_empty(WG_SHAPE(1000), NULL);
    CHECK_OK(w, wg_backward(wg_sum(y)));
    wg_view(x, WG_SHAPE(7)); /* an error nobody reads */
}
static void test_lists_go_back(void **state) {
    (void)state;
    atomic_store(&blocks, 0);
    wg_host host = {.size = sizeof(host), .allocate = count_allocate, .deallocate = count_deallocate};
    assert_int_equal(wg_set_host(&host), WG_OK);
    WG_SCOPE { wg_ones(WG_SHAPE(2), NULL); }
    wg_empty_cache();
    long long before = atomic_load(&blocks);
    run_threads(leave_everything, THREADS, true);
    assert_int_equal(stats().live_tensors, 0);
    wg_empty_cache(); /* elements: the shared cache keeps what the threads gave back */
    assert_int_equal(atomic_load(&blocks), before);
    assert_int_equal(wg_set_host(NULL), WG_OK);
}

/* A tensor in a thread-specific key of the program's own, released by the key's destructor. */
static pthread_key_t own_key;
static void release_at_exit(void *t) {
    wg_release(t);
    wg_view(wg_ones(WG_SHAPE(2), NULL), WG_SHAPE(7)); /* the library still works, and still fails */
}
static void use_own_key(worker *w) {
    (void)w;
    pthread_setspecific(own_key, wg_keep(wg_mul(integers(1, 2, 2, true), wg_i(2))));
}
static void test_released_by_a_destructor(void **state) {
    (void)state;
    WG_SCOPE {
        wg_view(wg_ones(WG_SHAPE(2), NULL), WG_SHAPE(7));
    } /* the library's keys exist: their destructors come first */
    wg_clear_error();
    assert_int_equal(pthread_key_create(&own_key, release_at_exit), 0);
    run_threads(use_own_key, THREADS, false);
    pthread_key_delete(own_key);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

static atomic_bool stop;
static void work_until_stopped(worker *w) {
    for (int round = 0; !atomic_load(&stop); round++) WG_SCOPE {
            CHECK_OK(w, wg_backward(loss(w->number, round)));
            wg_rand(WG_SHAPE(100), NULL, NULL);
        }
}
/* Builds, walks, draws, and uses the pool, in the child. */
static int child(void) {
    int64_t before = stats().live_tensors;
    int wrong = 0;
    WG_SCOPE {
        double g = 0, s = 0;
        wg_tensor *x = integers(1, 4, 4, true);
        if (wg_backward(wg_sum(wg_mul(x, wg_i(3)))) != WG_OK || wg_item(wg_sum(wg_grad_of(x)), &g) != WG_OK) wrong = 1;
        if (g != 48) wrong = 2;
        if (wg_is_poison(wg_randn(WG_SHAPE(100), NULL, NULL))) wrong = 3;
        int64_t n = UNDER_TSAN ? 100 : 1000000; /* it knows no new threads after a fork */
        if (wg_item(wg_sum(wg_add(wg_ones(1, &n, NULL), wg_i(1))), &s) != WG_OK || s != 2.0 * (double)n) wrong = 4;
    }
    if (stats().live_tensors != before) wrong = 5;
    wg_empty_cache();
    return wrong;
}
static void test_fork(void **state) {
    (void)state;
    int before = wg_num_threads();
    assert_int_equal(wg_set_num_threads(3), WG_OK);
    WG_SCOPE { make_leaves(); }
    atomic_store(&stop, false);
    pthread_t threads[2];
    worker workers[2];
    pthread_barrier_init(&together, NULL, 3);
    for (int i = 0; i < 2; i++) {
        workers[i] = (worker){.number = i, .run = work_until_stopped, .in_no_scope = true};
        assert_int_equal(pthread_create(&threads[i], NULL, start, &workers[i]), 0);
    }
    pthread_barrier_wait(&together);
    int bad = 0;
    for (int i = 0; i < 20 && !bad; i++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) _exit(child());
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) bad = status ? status : -1;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    drop_leaves();
    assert_int_equal(wg_set_num_threads(before), WG_OK);
    if (bad) fail_msg("a child ended with %d", bad);
    for (int i = 0; i < 2; i++)
        if (workers[i].failure[0]) fail_msg("thread %d: %s", i, workers[i].failure);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lists_go_back, nothing_alive), /* sets the host: before any other tensor */
        cmocka_unit_test_teardown(test_shared_leaves, nothing_alive),
        cmocka_unit_test_teardown(test_first_use_of_a_leaf, nothing_alive),
        cmocka_unit_test_teardown(test_shared_nodes, nothing_alive),
        cmocka_unit_test_teardown(test_contested_graph, nothing_alive),
        cmocka_unit_test_teardown(test_shared_hooks, nothing_alive),
        cmocka_unit_test_teardown(test_shared_constant, nothing_alive),
        cmocka_unit_test_teardown(test_made_here_released_there, nothing_alive),
        cmocka_unit_test_teardown(test_own_state, nothing_alive),
        cmocka_unit_test_teardown(test_generator, nothing_alive),
        cmocka_unit_test_teardown(test_large_ops, nothing_alive),
        cmocka_unit_test_teardown(test_released_by_a_destructor, nothing_alive),
        cmocka_unit_test_teardown(test_fork, nothing_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
