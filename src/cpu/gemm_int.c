/* gemm_int.c - the matrix product of integers. Sums wrap around, as unsigned numbers of 32 or 64 bits: the low bits of
 * a product of narrower integers do not depend on the width it is computed in.
 */
#include <string.h>

#include "cpu/gemm.h"
#include "cpu/pool.h"

enum { ROWS = 32, COLUMNS = 128, DEPTH = 64 };

typedef struct int_job {
    int64_t m, n, k, ra, ca, rb, cb, rc, cc;
    const void *a, *b, *bias;
    void *c;
    bool add;
} int_job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* S is the element, U the unsigned type of the sums. A task is ROWS rows: B is widened block by block beside them. */
#define STAMP(name, S, U)                                                                                              \
    static void load_##name(const int_job *j, int64_t q, int64_t depth, int64_t col, int64_t cols,                     \
                            U to[DEPTH][COLUMNS]) {                                                                    \
        for (int64_t p = 0; p < depth; p++) {                                                                          \
            const S *from = (const S *)j->b + (q + p) * j->rb + col * j->cb;                                           \
            for (int64_t i = 0; i < cols; i++) to[p][i] = (U)from[i * j->cb];                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void store_##name(const int_job *j, int64_t row, int64_t col, int64_t cols, const U *sums) {                \
        S *c = (S *)j->c + row * j->rc + col * j->cc;                                                                  \
        const S *bias = j->bias ? (const S *)j->bias + col : NULL;                                                     \
        for (int64_t i = 0; i < cols; i++) {                                                                           \
            U v = sums[i] + (j->add ? (U)c[i * j->cc] : 0) + (bias ? (U)bias[i] : 0);                                  \
            c[i * j->cc] = (S)v;                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void columns_##name(const int_job *j, int64_t row, int64_t rows, int64_t col, int64_t cols) {               \
        U b[DEPTH][COLUMNS], sums[ROWS][COLUMNS];                                                                      \
        memset(sums, 0, sizeof(sums));                                                                                 \
        for (int64_t q = 0; q < j->k; q += DEPTH) {                                                                    \
            int64_t depth = least(DEPTH, j->k - q);                                                                    \
            load_##name(j, q, depth, col, cols, b);                                                                    \
            for (int64_t r = 0; r < rows; r++) {                                                                       \
                const S *a = (const S *)j->a + (row + r) * j->ra + q * j->ca;                                          \
                for (int64_t p = 0; p < depth; p++) {                                                                  \
                    U x = (U)a[p * j->ca];                                                                             \
                    for (int64_t i = 0; i < cols; i++) sums[r][i] += x * b[p][i];                                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (int64_t r = 0; r < rows; r++) store_##name(j, row + r, col, cols, sums[r]);                               \
    }                                                                                                                  \
    static void rows_##name(void *ctx, int64_t begin, int64_t end) {                                                   \
        const int_job *j = ctx;                                                                                        \
        for (int64_t row = begin; row < end; row += ROWS)                                                              \
            for (int64_t col = 0; col < j->n; col += COLUMNS)                                                          \
                columns_##name(j, row, least(ROWS, end - row), col, least(COLUMNS, j->n - col));                       \
    }

STAMP(u8, uint8_t, uint32_t)
STAMP(i8, int8_t, uint32_t)
STAMP(i16, int16_t, uint32_t)
STAMP(i32, int32_t, uint32_t)
STAMP(i64, int64_t, uint64_t)

wg_status wg__gemm_int(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa,
                       const void *b, int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate,
                       const void *bias) {
    static void (*const by_dtype[])(void *ctx, int64_t begin, int64_t end) = {
        [WG_UINT8] = rows_u8, [WG_INT8] = rows_i8, [WG_INT16] = rows_i16, [WG_INT32] = rows_i32, [WG_INT64] = rows_i64};
    if ((int)dtype < 0 || (size_t)dtype >= sizeof(by_dtype) / sizeof(*by_dtype) || !by_dtype[dtype])
        return WG_ERR_NOT_IMPLEMENTED;
    int_job j = {.m = m,
                 .n = n,
                 .k = k,
                 .ra = rsa,
                 .ca = csa,
                 .rb = rsb,
                 .cb = csb,
                 .rc = rsc,
                 .cc = csc,
                 .a = a,
                 .b = b,
                 .c = c,
                 .bias = bias,
                 .add = accumulate};
    return wg__parallel_for(m, (double)n * (double)k < 8192 ? 4 * ROWS : ROWS, by_dtype[dtype], &j);
}
