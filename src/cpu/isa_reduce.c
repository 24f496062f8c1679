/* isa_reduce.c - reductions and softmax, compiled once per instruction set with WG_ISA named. The order of summation is
 * fixed: a row is cut into blocks of 1024 elements, a block is summed in 64 interleaved partial sums, blocks are added
 * pairwise. The plain loops vectorise; nothing depends on where a row lies.
 */
#include <math.h>

#include "cpu/stamp_loops.h"

#include "cpu/math.h"
#include "cpu/reduce.h"

#define BLOCK 1024
#define LANES 64
#define ROWS 64

#define STAMP(T, S)                                                                                                    \
    static T fold_##S(const T *a, int n) { /* pairwise: n is a power of two */                                         \
        T t[LANES];                                                                                                    \
        for (int i = 0; i < n; i++) t[i] = a[i];                                                                       \
        for (int h = n / 2; h; h /= 2)                                                                                 \
            for (int i = 0; i < h; i++) t[i] += t[i + h];                                                              \
        return t[0];                                                                                                   \
    }                                                                                                                  \
    static T block_##S(const T *x, int64_t n) {                                                                        \
        T a[LANES] = {0};                                                                                              \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= n; i += LANES)                                                                             \
            for (int k = 0; k < LANES; k++) a[k] += x[i + k];                                                          \
        for (int k = 0; i < n; i++, k++) a[k] += x[i];                                                                 \
        return fold_##S(a, LANES);                                                                                     \
    }                                                                                                                  \
    static T sum_##S(const T *x, int64_t n) {                                                                          \
        T level[64]; /* level[k]: the sum of 2^k blocks, when bit k of the count is set */                             \
        int64_t count = 0;                                                                                             \
        if (n < 16) {                                                                                                  \
            T s = 0;                                                                                                   \
            for (int64_t i = 0; i < n; i++) s += x[i];                                                                 \
            return s;                                                                                                  \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i += BLOCK, count++) {                                                              \
            T s = block_##S(x + i, n - i < BLOCK ? n - i : BLOCK);                                                     \
            int k = 0;                                                                                                 \
            for (; count >> k & 1; k++) s += level[k];                                                                 \
            level[k] = s;                                                                                              \
        }                                                                                                              \
        T s = 0;                                                                                                       \
        for (int k = 0; count >> k; k++)                                                                               \
            if (count >> k & 1) s += level[k];                                                                         \
        return s;                                                                                                      \
    }                                                                                                                  \
    static T sum_abs2_##S(const T *x, T mean, int64_t n) {                                                             \
        T total = 0;                                                                                                   \
        for (int64_t at = 0; at < n; at += BLOCK) {                                                                    \
            T a[LANES] = {0};                                                                                          \
            int64_t m = n - at < BLOCK ? n - at : BLOCK, i = 0;                                                        \
            for (; i + LANES <= m; i += LANES)                                                                         \
                for (int k = 0; k < LANES; k++) a[k] += (x[at + i + k] - mean) * (x[at + i + k] - mean);               \
            for (int k = 0; i < m; i++, k++) a[k] += (x[at + i] - mean) * (x[at + i] - mean);                          \
            total += fold_##S(a, LANES);                                                                               \
        }                                                                                                              \
        return total;                                                                                                  \
    }                                                                                                                  \
    static T extreme_##S(const T *x, int64_t n, T sign) {                                                              \
        T a[LANES], m = sign * x[0];                                                                                   \
        T nan = 0;                                                                                                     \
        int64_t i = 0;                                                                                                 \
        for (int k = 0; k < LANES; k++) a[k] = m;                                                                      \
        for (; i + LANES <= n; i += LANES)                                                                             \
            for (int k = 0; k < LANES; k++) {                                                                          \
                T v = sign * x[i + k];                                                                                 \
                a[k] = v > a[k] || v != v ? v : a[k]; /* a nan that is in stays: nothing is greater */                 \
            }                                                                                                          \
        for (int k = 0; i < n; i++, k++) {                                                                             \
            T v = sign * x[i];                                                                                         \
            a[k] = v > a[k] || v != v ? v : a[k];                                                                      \
        }                                                                                                              \
        for (int k = 0; k < LANES; k++) {                                                                              \
            if (a[k] != a[k]) nan = a[k];                                                                              \
            m = a[k] > m ? a[k] : m;                                                                                   \
        }                                                                                                              \
        return sign * (nan != nan ? nan : m);                                                                          \
    }                                                                                                                  \
    static T max_##S(const T *x, int64_t n) { return extreme_##S(x, n, 1); }                                           \
    static T min_##S(const T *x, int64_t n) { return extreme_##S(x, n, -1); }                                          \
    /* Strips of columns: groups of rows are added pairwise, as blocks of a row are. */                                \
    static void column_sum_##S(const T *x, int64_t n, int64_t inner, int64_t width, T *out) {                          \
        T level[58][LANES], part[LANES];                                                                               \
        for (int64_t c = 0; c < width; c += LANES) {                                                                   \
            int64_t w = width - c < LANES ? width - c : LANES, count = 0;                                              \
            for (int64_t r0 = 0; r0 < n; r0 += ROWS, count++) {                                                        \
                int64_t r1 = r0 + ROWS < n ? r0 + ROWS : n;                                                            \
                int l = 0;                                                                                             \
                for (int k = 0; k < LANES; k++) part[k] = 0;                                                           \
                if (w == LANES)                                                                                        \
                    for (int64_t r = r0; r < r1; r++)                                                                  \
                        for (int k = 0; k < LANES; k++) part[k] += x[r * inner + c + k];                               \
                else                                                                                                   \
                    for (int64_t r = r0; r < r1; r++)                                                                  \
                        for (int64_t k = 0; k < w; k++) part[k] += x[r * inner + c + k];                               \
                for (; count >> l & 1; l++)                                                                            \
                    for (int k = 0; k < LANES; k++) part[k] += level[l][k];                                            \
                for (int k = 0; k < LANES; k++) level[l][k] = part[k];                                                 \
            }                                                                                                          \
            for (int k = 0; k < LANES; k++) part[k] = 0;                                                               \
            for (int l = 0; count >> l; l++)                                                                           \
                for (int k = 0; k < LANES && (count >> l & 1); k++) part[k] += level[l][k];                            \
            for (int64_t k = 0; k < w; k++) out[c + k] = part[k];                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void softmax_##S(const T *x, T *out, int64_t n) {                                                           \
        T m = max_##S(x, n);                                                                                           \
        for (int64_t i = 0; i < n; i++) out[i] = wg_m_exp_##S(x[i] - m);                                               \
        T scale = 1 / sum_##S(out, n);                                                                                 \
        for (int64_t i = 0; i < n; i++) out[i] *= scale;                                                               \
    }                                                                                                                  \
    static void log_softmax_##S(const T *x, T *out, int64_t n) {                                                       \
        T m = max_##S(x, n);                                                                                           \
        for (int64_t i = 0; i < n; i++) out[i] = wg_m_exp_##S(x[i] - m);                                               \
        T shift = wg_m_log_##S(sum_##S(out, n));                                                                       \
        for (int64_t i = 0; i < n; i++) out[i] = x[i] - m - shift;                                                     \
    }                                                                                                                  \
    static void softmax_backward_##S(const T *g, const T *z, T *out, int64_t n) {                                      \
        for (int64_t i = 0; i < n; i++) out[i] = g[i] * z[i];                                                          \
        T s = sum_##S(out, n);                                                                                         \
        for (int64_t i = 0; i < n; i++) out[i] = out[i] - z[i] * s;                                                    \
    }                                                                                                                  \
    static void log_softmax_backward_##S(const T *g, const T *z, T *out, int64_t n) {                                  \
        T s = sum_##S(g, n);                                                                                           \
        for (int64_t i = 0; i < n; i++) out[i] = g[i] - wg_m_exp_##S(z[i]) * s;                                        \
    }

STAMP(float, f32)
STAMP(double, f64)

#define FILL(S)                                                                                                        \
    .sum_##S = sum_##S, .sum_abs2_##S = sum_abs2_##S, .max_##S = max_##S, .min_##S = min_##S,                          \
    .column_sum_##S = column_sum_##S, .softmax_##S = softmax_##S, .log_softmax_##S = log_softmax_##S,                  \
    .softmax_backward_##S = softmax_backward_##S, .log_softmax_backward_##S = log_softmax_backward_##S
#define TABLE_(isa) wg__cpu_reduce_##isa
#define TABLE(isa) TABLE_(isa)
extern const struct wg_reduce_table TABLE(WG_ISA);
const struct wg_reduce_table TABLE(WG_ISA) = {FILL(f32), FILL(f64)};
