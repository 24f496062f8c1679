/* test_pool_threads.c - the thread pool: each element once, chunks that do not depend on the threads, nesting, several
 * callers, stopping, a host's loop, fork. Runs under ThreadSanitizer too.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/pool.h"

/* ThreadSanitizer does not let a forked child start threads. */
#if defined(__SANITIZE_THREAD__)
#define FORKED_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKED_THREADS 0
#endif
#endif
#ifndef FORKED_THREADS
#define FORKED_THREADS 1
#endif

enum { N = 100000 };

static void set_threads(int n) { assert_int_equal(wg_set_num_threads(n), WG_OK); }

static void sleep_us(long us) {
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* Plain, not atomic: two visits of one element are a data race that ThreadSanitizer reports. */
typedef struct marks {
    int visits[N];
    int64_t begin_of[N], end_of[N];
} marks;
static marks seen;

static void mark(void *ctx, int64_t begin, int64_t end) {
    marks *m = ctx;
    for (int64_t i = begin; i < end; i++) {
        m->visits[i]++;
        m->begin_of[i] = begin;
        m->end_of[i] = end;
    }
}

static void check_chunks(int64_t n, int64_t grain) {
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(wg__parallel_for(n, grain, mark, &seen), WG_OK);
    int wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = i / grain * grain, end = begin + grain < n ? begin + grain : n;
        wrong += seen.visits[i] != 1 || seen.begin_of[i] != begin || seen.end_of[i] != end;
    }
    for (int64_t i = n; i < N; i++) wrong += seen.visits[i] != 0;
    assert_int_equal(wrong, 0);
}

static void test_every_element_once(void **state) {
    (void)state;
    static const int64_t n[] = {0, 1, 2, 3, 16, 1000, 4097, N}, grains[] = {1, 2, 7, 64, 1000, 5000, N};
    for (int threads = 1; threads <= 4; threads++) {
        set_threads(threads);
        for (size_t i = 0; i < sizeof(n) / sizeof(*n); i++)
            for (size_t j = 0; j < sizeof(grains) / sizeof(*grains); j++) check_chunks(n[i], grains[j]);
    }
}

static void nothing(void *ctx, int64_t begin, int64_t end) {
    (void)begin, (void)end;
    *(bool *)ctx = true;
}

static void test_empty_and_odd_arguments(void **state) {
    (void)state;
    bool called = false;
    assert_int_equal(wg__parallel_for(0, 10, nothing, &called), WG_OK);
    assert_int_equal(wg__parallel_for(-5, 10, nothing, &called), WG_OK);
    assert_false(called);
    assert_int_equal(wg__parallel_for(3, 0, nothing, &called), WG_OK);
    assert_true(called);
}

static void slow_thread(void *ctx, int64_t begin, int64_t end) {
    pthread_t *who = ctx;
    (void)end;
    who[begin] = pthread_self();
    sleep_us(2000);
}

/* A pool that never used its workers would pass all other tests. */
static void test_workers_work(void **state) {
    (void)state;
    set_threads(3);
    pthread_t who[32];
    assert_int_equal(wg__parallel_for(32, 1, slow_thread, who), WG_OK);
    int others = 0, different = 0;
    for (int i = 0; i < 32; i++) {
        others += !pthread_equal(who[i], pthread_self());
        for (int j = 0; j < i; j++)
            if (pthread_equal(who[i], who[j])) goto next;
        different++;
    next:;
    }
    assert_true(others > 0);
    assert_in_range(different, 2, 3);
    assert_in_range(wg__pool_workers(), 2, 3);
}

static void test_fewer_threads_again(void **state) {
    (void)state;
    set_threads(4);
    pthread_t who[32];
    assert_int_equal(wg__parallel_for(32, 1, slow_thread, who), WG_OK);
    set_threads(1);
    assert_int_equal(wg__parallel_for(32, 1, slow_thread, who), WG_OK);
    for (int i = 0; i < 32; i++) assert_true(pthread_equal(who[i], pthread_self()));
    assert_int_equal(wg_num_threads(), 1);
}

/* ---- nesting and several callers --------------------------------------------------------------------------------- */

typedef struct row {
    int64_t index;
    int (*cell)[50];
} row;

static void fill_row(void *ctx, int64_t begin, int64_t end) {
    row *r = ctx;
    for (int64_t i = begin; i < end; i++) r->cell[r->index][i]++;
}

static void fill_rows(void *ctx, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        row r = {i, ctx};
        if (wg__parallel_for(50, 3, fill_row, &r) != WG_OK) r.cell[i][0] = -1000;
    }
}

static void test_nested(void **state) {
    (void)state;
    static int cell[40][50];
    set_threads(4);
    for (int round = 1; round <= 20; round++) {
        assert_int_equal(wg__parallel_for(40, 2, fill_rows, cell), WG_OK);
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 50; j++) assert_int_equal(cell[i][j], round);
    }
}

static void add(void *ctx, int64_t begin, int64_t end) {
    _Atomic int64_t *sum = ctx;
    int64_t s = 0;
    for (int64_t i = begin; i < end; i++) s += i;
    atomic_fetch_add(sum, s);
}

static void *many_loops(void *arg) {
    uintptr_t wrong = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t n = 10 + i % 77;
        _Atomic int64_t sum = 0;
        wrong += wg__parallel_for(n, 1 + i % 9, add, &sum) != WG_OK || sum != n * (n - 1) / 2;
        if (i % 100 == 0) sleep_us(100); /* let workers fall asleep */
    }
    (void)arg;
    return (void *)wrong;
}

static void test_several_callers(void **state) {
    (void)state;
    set_threads(3);
    pthread_t t[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, many_loops, NULL), 0);
    assert_null(many_loops(NULL));
    for (int i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        assert_null(wrong);
    }
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

static pthread_t main_thread;
static atomic_int polls, polls_elsewhere, stop_at;

static bool poll_counting(void) {
    if (!pthread_equal(pthread_self(), main_thread)) atomic_fetch_add(&polls_elsewhere, 1);
    return atomic_fetch_add(&polls, 1) + 1 >= atomic_load(&stop_at);
}

static void one_ms(void *ctx, int64_t begin, int64_t end) {
    sleep_us(1000);
    atomic_fetch_add((atomic_int *)ctx, (int)(end - begin));
}

static void start_polling(int stop) {
    main_thread = pthread_self();
    atomic_store(&polls, 0);
    atomic_store(&polls_elsewhere, 0);
    atomic_store(&stop_at, stop);
    wg__pool_set_poll(poll_counting);
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_stop(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        set_threads(threads);
        start_polling(3);
        atomic_int done = 0;
        assert_int_equal(wg__parallel_for(1000, 1, one_ms, &done), WG_ERR_INTERRUPTED);
        assert_in_range(done, 1, 999);
        assert_int_equal(polls, 3);
        assert_int_equal(polls_elsewhere, 0);
        start_polling(INT32_MAX);
        atomic_store(&done, 0);
        int64_t begun = now_ms();
        assert_int_equal(wg__parallel_for(100, 1, one_ms, &done), WG_OK);
        assert_int_equal(done, 100);
        assert_in_range(polls, 1, (now_ms() - begun) / 10 + 2); /* at most every 10 ms, however long the sleeps took */
        wg__pool_set_poll(NULL);
    }
}

/* ---- the host's loop --------------------------------------------------------------------------------------------- */

static int64_t host_tasks;

static void backwards(void *user, int64_t tasks, void (*fn)(void *context, int64_t i), void *context) {
    *(int64_t *)user += tasks;
    for (int64_t i = tasks; i-- > 0;) fn(context, i);
}

static void test_host_loop(void **state) {
    (void)state;
    set_threads(2);
    host_tasks = 0;
    wg__pool_set_host(backwards, &host_tasks);
    check_chunks(1000, 7);
    assert_int_equal(host_tasks, 143);
    int cell[40][50] = {{0}};
    assert_int_equal(wg__parallel_for(40, 2, fill_rows, cell), WG_OK);
    assert_int_equal(host_tasks, 143 + 20); /* inner loops stay in their task */
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < 50; j++) assert_int_equal(cell[i][j], 1);
    start_polling(1);
    sleep_us(11000);
    atomic_int done = 0;
    assert_int_equal(wg__parallel_for(100, 1, one_ms, &done), WG_ERR_INTERRUPTED);
    assert_in_range(done, 0, 99);
    wg__pool_set_poll(NULL);
    wg__pool_set_host(NULL, NULL);
}

/* ---- settings, fork ---------------------------------------------------------------------------------------------- */

static void test_number_of_threads(void **state) {
    (void)state;
    assert_int_equal(wg_set_num_threads(0), WG_ERR_RUNTIME);
    assert_int_equal(wg_set_num_threads(-3), WG_ERR_RUNTIME);
    set_threads(5);
    assert_int_equal(wg_num_threads(), 5);
    set_threads(1000000); /* taken; no more than a few hundred are started */
    assert_int_equal(wg_num_threads(), 1000000);
    set_threads(2);
}

/* Runs in a fresh process image: the number is read once. */
static void child_reads_environment(void) { _exit(wg_num_threads()); }

static int in_child(void (*body)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body();
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_environment(void **state) {
    (void)state;
    setenv("WENGERT_NUM_THREADS", "7", 1);
    assert_int_equal(in_child(child_reads_environment), 7);
    setenv("WENGERT_NUM_THREADS", "nonsense", 1);
    int n = in_child(child_reads_environment);
    unsetenv("WENGERT_NUM_THREADS");
    assert_int_equal(in_child(child_reads_environment), n);
    assert_true(n >= 1);
}

static void child_loops(void) {
    if (wg__pool_workers() != 0) _exit(1);
    pthread_t who[32];
    _Atomic int64_t sum = 0;
    if (wg__parallel_for(32, 1, slow_thread, who) != WG_OK || wg__parallel_for(100, 3, add, &sum) != WG_OK) _exit(2);
    _exit(sum == 4950 && wg__pool_workers() == 2 ? 42 : 3);
}

static void test_fork(void **state) {
    (void)state;
    set_threads(3);
    _Atomic int64_t sum = 0;
    assert_int_equal(wg__parallel_for(100, 3, add, &sum), WG_OK);
    assert_true(wg__pool_workers() >= 2);
    if (FORKED_THREADS) assert_int_equal(in_child(child_loops), 42);
    sum = 0;
    assert_int_equal(wg__parallel_for(100, 3, add, &sum), WG_OK);
    assert_int_equal(sum, 4950);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment), /* first: the number is not yet known here */
        cmocka_unit_test(test_every_element_once),
        cmocka_unit_test(test_empty_and_odd_arguments),
        cmocka_unit_test(test_workers_work),
        cmocka_unit_test(test_fewer_threads_again),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_several_callers),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_host_loop),
        cmocka_unit_test(test_number_of_threads),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
