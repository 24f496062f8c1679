/* test_alloc.c - the data allocator: alignment, size classes, reuse, counters, the host's functions, refusals, threads
 * and fork.
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
#include <unistd.h>

#include <cmocka.h>

#include "core/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define CACHING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHING 0
#endif
#endif
#ifndef CACHING
#define CACHING 1
#endif

typedef struct counters {
    size_t live, peak, cached;
} counters;

static counters stats(void) {
    counters s;
    wg__alloc_stats(&s.live, &s.peak, &s.cached);
    return s;
}

/* ---- a host that counts and can refuse --------------------------------------------------------------------------- */

static struct {
    size_t bytes;
    int blocks, calls, refuse_from, wrong_alignment;
} counting;

static void *count_allocate(void *user, size_t bytes, size_t alignment) {
    (void)user;
    if (counting.refuse_from >= 0 && counting.calls++ >= counting.refuse_from) return NULL;
    counting.wrong_alignment += alignment != 64 && alignment != _Alignof(max_align_t);
    void *p;
    if (posix_memalign(&p, alignment, bytes ? bytes : 1)) return NULL;
    counting.bytes += bytes;
    counting.blocks++;
    return p;
}

static void count_deallocate(void *user, void *p, size_t bytes) {
    (void)user;
    counting.bytes -= bytes;
    counting.blocks--;
    free(p);
}

static int start(void **state) {
    (void)state;
    wg__alloc_trim();
    wg__alloc_reset_peak();
    memset(&counting, 0, sizeof(counting));
    counting.refuse_from = -1;
    return 0;
}

static int start_counting(void **state) {
    start(state);
    wg__alloc_set_host(count_allocate, count_deallocate, NULL);
    return 0;
}

static int stop_counting(void **state) {
    (void)state;
    wg__alloc_set_host(NULL, NULL, NULL);
    return counting.blocks != 0 || counting.bytes != 0 || counting.wrong_alignment != 0;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static const size_t sizes[] = {0,    1,    63,   64,   65,    127,     512,     513,     640,     641,     1000,   4095,
                               4096, 4097, 5120, 5121, 65536, 1 << 20, 1500000, 2097151, 2097152, 2097153, 5000000};
enum { NSIZES = sizeof(sizes) / sizeof(*sizes) };

static void test_blocks_are_aligned_and_do_not_overlap(void **state) {
    (void)state;
    unsigned char *p[NSIZES];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < NSIZES; i++) {
            p[i] = wg__alloc(sizes[i]);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            memset(p[i], i + round, sizes[i]);
        }
        for (int i = 0; i < NSIZES; i++) {
            for (size_t j = 0; j < sizes[i]; j++)
                if (p[i][j] != (unsigned char)(i + round)) fail_msg("block %d was overwritten at %zu", i, j);
            wg__free(p[i], sizes[i]);
        }
    }
    wg__free(NULL, 100);
}

static void test_freed_blocks_come_back(void **state) {
    (void)state;
    if (!CACHING) skip();
    for (int i = 0; i < NSIZES; i++) {
        void *p = wg__alloc(sizes[i]);
        wg__free(p, sizes[i]);
        int64_t before = wg__alloc_requests();
        void *q = wg__alloc(sizes[i]);
        assert_ptr_equal(p, q);
        assert_int_equal(wg__alloc_requests(), before);
        wg__free(q, sizes[i]);
    }
}

static void test_waste_is_bounded(void **state) {
    (void)state;
    if (!CACHING) skip();
    for (size_t n = 449; n < (size_t)1 << 26; n += 1 + n / 37) {
        size_t before = counting.bytes;
        void *p = wg__alloc(n);
        size_t got = counting.bytes - before;
        assert_true(got >= n && (double)(got - n) <= 0.25 * (double)got);
        wg__free(p, n);
        wg__alloc_trim();
    }
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

static void test_counters(void **state) {
    (void)state;
    counters s0 = stats();
    assert_int_equal(s0.cached, 0);
    void *a = wg__alloc(1000), *b = wg__alloc(3000000), *c = wg__alloc(5000);
    assert_int_equal(stats().live, s0.live + 3006000);
    wg__free(b, 3000000);
    counters s = stats();
    assert_int_equal(s.live, s0.live + 6000);
    assert_int_equal(s.peak, s0.live + 3006000);
    if (CACHING) assert_true(s.cached >= 3000000);
    wg__alloc_reset_peak();
    assert_int_equal(stats().peak, s0.live + 6000);
    wg__free(a, 1000);
    wg__free(c, 5000);
    assert_int_equal(stats().live, s0.live);
    assert_int_equal(stats().peak, s0.live + 6000);
    wg__alloc_trim();
    assert_int_equal(stats().cached, 0);
}

static void test_peak_of_many_small_blocks(void **state) {
    (void)state;
    enum { N = 5000 };
    static void *p[N];
    counters s0 = stats();
    for (int i = 0; i < N; i++) assert_non_null(p[i] = wg__alloc(200));
    for (int i = 0; i < N; i++) wg__free(p[i], 200);
    assert_int_equal(stats().peak, s0.live + N * 200);
    assert_int_equal(stats().live, s0.live);
}

static void test_cache_is_limited(void **state) {
    (void)state;
    if (!CACHING) skip();
    /* WENGERT_CACHE_MB was set to 64 in main. */
    enum { N = 12 };
    void *p[N];
    for (int i = 0; i < N; i++) assert_non_null(p[i] = wg__alloc((size_t)10 << 20));
    for (int i = 0; i < N; i++) wg__free(p[i], (size_t)10 << 20);
    assert_true(stats().cached <= (size_t)64 << 20);
    assert_true(stats().cached >= (size_t)50 << 20);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void test_injected_failure(void **state) {
    (void)state;
    counters s0 = stats();
    wg__alloc_fail_at(1);
    void *a = wg__alloc(100);
    assert_non_null(a);
    assert_null(wg__alloc(200));
    void *b = wg__alloc(200);
    assert_non_null(b);
    wg__alloc_fail_at(0);
    assert_null(wg__malloc(10));
    wg__alloc_fail_at(0);
    assert_null(wg__calloc(10));
    wg__alloc_fail_at(0);
    wg__alloc_fail_at(-1);
    void *c = wg__calloc(1000);
    assert_non_null(c);
    for (int i = 0; i < 1000; i++) assert_int_equal(((char *)c)[i], 0);
    assert_int_equal(stats().live, s0.live + 300);
    wg__free(a, 100);
    wg__free(b, 200);
    wg__mfree(c, 1000);
    wg__mfree(NULL, 10);
    assert_int_equal(stats().live, s0.live);
}

static void test_impossible_sizes(void **state) {
    (void)state;
    counters s0 = stats();
    assert_null(wg__alloc(SIZE_MAX));
    assert_null(wg__alloc(SIZE_MAX / 2 + 1));
    assert_null(wg__alloc(SIZE_MAX - 63));
    assert_int_equal(stats().live, s0.live);
}

static void test_host_gets_every_block_back(void **state) {
    (void)state;
    for (int i = 0; i < NSIZES; i++) wg__free(wg__alloc(sizes[i]), sizes[i]);
    assert_true(!CACHING || counting.blocks > 10);
    void *p = wg__malloc(24);
    assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
    wg__mfree(p, 24);
    wg__alloc_trim();
    assert_int_equal(counting.blocks, 0);
    assert_int_equal(counting.bytes, 0);
}

static void test_refusing_host_gets_the_cache_first(void **state) {
    (void)state;
    if (!CACHING) skip();
    wg__free(wg__alloc(100000), 100000);
    wg__free(wg__alloc(100), 100);
    assert_int_equal(counting.blocks, 2);
    counting.refuse_from = 0;
    counting.calls = 0;
    assert_null(wg__alloc(300000));
    assert_int_equal(counting.calls, 2); /* asked again after the cache was emptied */
    assert_int_equal(counting.blocks, 0);
}

/* ---- threads and fork -------------------------------------------------------------------------------------------- */

enum { SLOTS = 64, STEPS = 20000 };
static _Atomic(void *) slots[SLOTS];

static size_t slot_bytes(int i) { return (size_t)(i + 1) * (i % 7 == 0 ? 997 : 61); }

/* Threads swap blocks through slots: most are freed by another thread than the one that made them. */
static void *churn(void *arg) {
    uint64_t x = (uintptr_t)arg * 0x9e3779b97f4a7c15u + 1;
    for (int step = 0; step < STEPS; step++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        int i = (int)(x % SLOTS);
        char *p = wg__alloc(slot_bytes(i));
        if (p) memset(p, (int)x, slot_bytes(i));
        p = atomic_exchange(&slots[i], p);
        if (p) wg__free(p, slot_bytes(i));
    }
    return NULL;
}

static void test_threads_share_blocks(void **state) {
    (void)state;
    counters s0 = stats();
    pthread_t t[4];
    for (uintptr_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, churn, (void *)i), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < SLOTS; i++) {
        wg__free(slots[i], slot_bytes(i));
        slots[i] = NULL;
    }
    assert_int_equal(stats().live, s0.live);
    wg__alloc_trim();
    assert_int_equal(stats().cached, 0); /* threads that ended kept nothing */
}

static void test_fork(void **state) {
    (void)state;
    void *p = wg__alloc(100000), *q = wg__alloc(100);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        churn((void *)5);
        wg__free(p, 100000);
        wg__free(q, 100);
        wg__alloc_trim();
        _exit(wg__alloc(10) ? 7 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    wg__free(p, 100000);
    wg__free(q, 100);
}

int main(void) {
    setenv("WENGERT_CACHE_MB", "64", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_blocks_are_aligned_and_do_not_overlap, start),
        cmocka_unit_test_setup(test_freed_blocks_come_back, start),
        cmocka_unit_test_setup_teardown(test_waste_is_bounded, start_counting, stop_counting),
        cmocka_unit_test_setup(test_counters, start),
        cmocka_unit_test_setup(test_peak_of_many_small_blocks, start),
        cmocka_unit_test_setup(test_cache_is_limited, start),
        cmocka_unit_test_setup(test_injected_failure, start),
        cmocka_unit_test_setup(test_impossible_sizes, start),
        cmocka_unit_test_setup_teardown(test_host_gets_every_block_back, start_counting, stop_counting),
        cmocka_unit_test_setup_teardown(test_refusing_host_gets_the_cache_first, start_counting, stop_counting),
        cmocka_unit_test_setup(test_threads_share_blocks, start),
        cmocka_unit_test_setup(test_fork, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
