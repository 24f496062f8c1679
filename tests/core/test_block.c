/* test_block.c - blocks of handles: none is handed out twice, those of the dead are used again, in order of address
 * however they died, by any thread.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wengert/wengert.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLABS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLABS 0
#endif
#endif
#ifndef SLABS
#define SLABS 1
#endif

enum { MANY = 60000 }; /* several times what a thread keeps for itself */
static wg_tensor *first[MANY], *second[MANY];

static void make(wg_tensor **t) {
    for (int i = 0; i < MANY; i++) {
        t[i] = wg_take(wg_empty(WG_SHAPE(2, 2), NULL));
        assert_false(wg_is_poison(t[i]));
    }
}
static void end_all(wg_tensor *const *t) {
    for (int i = 0; i < MANY; i++) wg_release(t[i]);
}

static void shuffle(wg_tensor **t) {
    uint32_t x = 1;
    for (int i = MANY - 1; i > 0; i--) {
        x = x * 1664525 + 1013904223;
        int j = (int)((x >> 8) % (uint32_t)(i + 1));
        wg_tensor *swap = t[i];
        t[i] = t[j];
        t[j] = swap;
    }
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (wg_tensor *const *)a, y = (uintptr_t) * (wg_tensor *const *)b;
    return (x > y) - (x < y);
}
static void sort(wg_tensor **t) {
    qsort(t, MANY, sizeof(*t), by_address);
    for (int i = 1; i < MANY; i++) assert_ptr_not_equal(t[i - 1], t[i]);
}

/* How many of b are in a, both sorted. */
static int common(wg_tensor *const *a, wg_tensor *const *b) {
    int n = 0;
    for (int i = 0, j = 0; i < MANY && j < MANY;) {
        int c = by_address(&a[i], &b[j]);
        n += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    return n;
}

static void test_the_dead_come_back_in_order_of_address(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        make(first);
        shuffle(first);
        end_all(first);
        make(second);
        int ascending = 0;
        for (int i = 1; i < MANY; i++) ascending += by_address(&second[i - 1], &second[i]) < 0;
        sort(first);
        sort(second);
        if (SLABS) {
            assert_true(ascending > MANY * 3 / 4);
            assert_true(common(first, second) > MANY * 3 / 4);
        }
        end_all(second);
        if (round == 1) wg_empty_cache();
    }
}

static void *make_and_end(void *unused) {
    make(first);
    end_all(first);
    return unused;
}

static void test_blocks_of_a_thread_that_ended(void **state) {
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, make_and_end, NULL), 0);
    pthread_join(thread, NULL);
    make(second);
    sort(first);
    sort(second);
    if (SLABS) assert_true(common(first, second) > MANY / 2);
    end_all(second);
}

static void *end_second(void *unused) {
    end_all(second);
    return unused;
}

static void test_one_thread_makes_and_another_ends(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        make(second);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, end_second, NULL), 0);
        pthread_join(thread, NULL);
        if (round > 0) {
            sort(first);
            sort(second);
            if (SLABS) assert_true(common(first, second) > MANY / 2);
        }
        memcpy(first, second, sizeof(first));
    }
    wg_memory_stats s = {.size = sizeof(s)};
    wg_memory_stats_get(&s);
    assert_int_equal(s.live_tensors, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_dead_come_back_in_order_of_address),
        cmocka_unit_test(test_blocks_of_a_thread_that_ended),
        cmocka_unit_test(test_one_thread_makes_and_another_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
