/* test_idx.c - the IDX reader of examples/: whole files, files cut or lengthened anywhere, and random headers, judged
 * by a definition of the format written a second time. Every input is a block of its exact size, so that a sanitizer
 * sees a read past its end. A fixed seed; WG_SOAK=N tries N random headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../examples/idx.c"

/* ---- random numbers (splitmix64) --------------------------------------------------------------------------------- */

static uint64_t stream;
static uint64_t next(void) {
    uint64_t z = stream += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
static uint32_t below(uint32_t n) { return (uint32_t)(next() % n); }

/* ---- the format, written a second time --------------------------------------------------------------------------- */

/* The product of the sizes, or -1 where it is above a million million. */
static __int128 product(const unsigned char *sizes, int ndim) {
    __int128 numel = 1, limit = 1000000000000;
    bool large = false;
    for (int i = 0; i < ndim; i++) {
        __int128 size = 0;
        for (int k = 0; k < 4; k++) size = size * 256 + sizes[4 * i + k];
        if (size == 0) return 0;
        if (!large) numel *= size;
        large = large || numel > limit;
    }
    return large ? -1 : numel;
}
static bool well_formed(const unsigned char *p, size_t n) {
    if (n < 4 || p[0] || p[1] || p[2] != 8 || p[3] < 1 || p[3] > 8 || n < 4 + 4u * p[3]) return false;
    return product(p + 4, p[3]) == (__int128)n - 4 - 4 * p[3];
}

/* Parses a copy of its exact size and compares with the definition; true when the bytes were accepted. */
static bool judge(const unsigned char *bytes, size_t n) {
    unsigned char *p = malloc(n ? n : 1); /* n = 0: the byte must not be read, but malloc(0) may be NULL */
    idx x = {.ndim = 99};
    assert_non_null(p);
    memcpy(p, bytes, n);
    const char *wrong = idx_parse(p, n, &x);
    assert_int_equal(!wrong, well_formed(bytes, n));
    if (wrong) {
        assert_true(strlen(wrong) > 5);
        assert_true(x.ndim == 0 && x.numel == 0 && x.data == NULL);
    } else {
        assert_int_equal(x.ndim, p[3]);
        assert_ptr_equal(x.data, p + 4 + 4 * x.ndim);
        assert_true((__int128)x.numel == product(p + 4, x.ndim));
        for (int i = 0; i < x.ndim; i++)
            assert_true(x.sizes[i] ==
                        ((int64_t)p[4 + 4 * i] << 24 | p[5 + 4 * i] << 16 | p[6 + 4 * i] << 8 | p[7 + 4 * i]));
    }
    free(p);
    return !wrong;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

enum { MAX_BYTES = 4096 };

static void put_size(unsigned char *p, uint32_t size) {
    for (int k = 0; k < 4; k++) p[k] = (unsigned char)(size >> (24 - 8 * k));
}

/* A correct file of small random sizes; returns its length. */
static size_t correct_file(unsigned char *p) {
    size_t numel = 1, header;
    int ndim = 1 + (int)below(8);
    memcpy(p, (unsigned char[]){0, 0, 8, (unsigned char)ndim}, 4);
    for (int i = 0; i < ndim; i++) {
        uint32_t size = below(ndim > 3 ? 3 : 13);
        put_size(p + 4 + 4 * i, size);
        numel *= size;
    }
    header = 4 + 4 * (size_t)ndim;
    for (size_t i = 0; i < numel; i++) p[header + i] = (unsigned char)next();
    return header + numel;
}

static void correct_files(void **state) {
    (void)state;
    unsigned char p[MAX_BYTES];
    stream = 1;
    for (int i = 0; i < 5000; i++) assert_true(judge(p, correct_file(p)));
}

static void cut_and_lengthened(void **state) {
    (void)state;
    unsigned char p[MAX_BYTES + 16] = {0};
    int files = 0;
    stream = 2;
    for (; files < 60; files++) {
        size_t n = correct_file(p);
        for (size_t cut = 0; cut < n; cut++) assert_false(judge(p, cut));
        for (size_t more = 1; more <= 16; more++) assert_false(judge(p, n + more));
    }
}

static uint32_t random_size(void) {
    static const uint32_t edges[] = {0, 1, 2, 28, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
    return below(3) ? edges[below(sizeof edges / sizeof *edges)] : below(40);
}

/* A header that is mostly right, with sizes of any kind, and some bytes after it. */
static size_t random_file(unsigned char *p) {
    unsigned char head[4] = {0, 0, 8, (unsigned char)below(10)};
    if (below(8) == 0) head[below(4)] = (unsigned char)next();
    memcpy(p, head, 4);
    for (int i = 0; i < 10; i++) put_size(p + 4 + 4 * i, random_size());
    size_t header = 4 + 4 * (size_t)(head[3] % 10);
    __int128 numel = product(p + 4, head[3] % 10);
    if (numel >= 0 && numel < 2000 && below(4)) return header + (size_t)numel + (below(3) == 0);
    return below(2) ? header + below(100) : below(60);
}

static void random_headers(void **state) {
    (void)state;
    const char *soak = getenv("WG_SOAK");
    long n = soak ? atol(soak) : 100000, accepted = 0;
    unsigned char p[MAX_BYTES] = {0};
    stream = 3;
    for (long i = 0; i < n; i++) accepted += judge(p, random_file(p));
    assert_true(accepted > n / 50 && accepted < n - n / 50); /* both answers are tried */
    print_message("%ld random headers, %ld of them correct\n", n, accepted);
}

/* Sizes whose product wraps round to the length that is there. */
static void products_that_wrap(void **state) {
    (void)state;
    static const uint32_t wrapping[][4] = {{65536, 65536, 65536, 65536},   /* 2^64 is 0 */
                                           {0x80000000, 0x80000000, 4, 1}, /* the same */
                                           {641, 6700417, 4294967295u, 1}, /* 2^64 - 1 is -1 */
                                           {3, 1431655765, 1, 4294967295u}};
    unsigned char p[64] = {0, 0, 8, 4};
    for (size_t i = 0; i < sizeof wrapping / sizeof *wrapping; i++) {
        for (int k = 0; k < 4; k++) put_size(p + 4 + 4 * k, wrapping[i][k]);
        for (size_t n = 20; n < 40; n++) assert_false(judge(p, n));
        put_size(p + 8, 0); /* with a size of 0 the same file is empty and right */
        assert_true(judge(p, 20));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_files),
        cmocka_unit_test(cut_and_lengthened),
        cmocka_unit_test(random_headers),
        cmocka_unit_test(products_that_wrap),
    };
    return cmocka_run_group_tests_name("idx", tests, NULL, NULL);
}
