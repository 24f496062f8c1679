/* stamp_loops.h - the loops of elementwise kernels, as macros: KERNEL_UNARY and its kin make one static function each.
 */
#ifndef WG_CPU_STAMP_LOOPS_H
#define WG_CPU_STAMP_LOOPS_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WG_PASTE_(a, b) a##_##b
#define WG_PASTE(a, b) WG_PASTE_(a, b)

/* Iterations are independent: operands are disjoint or the same. */
#ifdef __clang__
#define WG_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"
#else
#define WG_IVDEP _Pragma("GCC ivdep")
#endif

/* Elements in memory: any alignment, may alias. */
#define WG_MEM(t) __attribute__((aligned(1), may_alias)) t
typedef WG_MEM(uint8_t) mem_u8;
typedef WG_MEM(int8_t) mem_i8;
typedef WG_MEM(int16_t) mem_i16;
typedef WG_MEM(uint16_t) mem_u16;
typedef WG_MEM(int32_t) mem_i32;
typedef WG_MEM(uint32_t) mem_u32;
typedef WG_MEM(int64_t) mem_i64;
typedef WG_MEM(uint64_t) mem_u64;
typedef WG_MEM(float) mem_f32;
typedef WG_MEM(double) mem_f64;
typedef mem_u8 mem_b;

#define WG_APART __attribute__((noinline))
#define KERNEL_ARGS char *const *p, const ptrdiff_t *stride, ptrdiff_t n

/* Gathers, computes, scatters. The item size is the same in and out. */
static inline __attribute__((unused)) void through_blocks(void (*k)(KERNEL_ARGS), KERNEL_ARGS, size_t item) {
    _Alignas(64) char block[4096];
    const ptrdiff_t step = (ptrdiff_t)(sizeof block / item), line[2] = {(ptrdiff_t)item, (ptrdiff_t)item};
    char *q[2] = {block, block};
    for (ptrdiff_t start = 0; start < n; start += step) {
        const ptrdiff_t m = n - start < step ? n - start : step;
        const char *in = p[1] + start * stride[1];
        char *out = p[0] + start * stride[0];
        if (item == 4)
            for (ptrdiff_t i = 0; i < m; i++) memcpy(block + i * 4, in + i * stride[1], 4);
        else
            for (ptrdiff_t i = 0; i < m; i++) memcpy(block + i * 8, in + i * stride[1], 8);
        k(q, line, m);
        if (item == 4)
            for (ptrdiff_t i = 0; i < m; i++) memcpy(out + i * stride[0], block + i * 4, 4);
        else
            for (ptrdiff_t i = 0; i < m; i++) memcpy(out + i * stride[0], block + i * 8, 8);
    }
}

/* TO: type written, TI: type read; x and y are of the compute type C. */
#define KERNEL_UNARY(fn, TO, TI, C, expr)                                                                          \
    static void fn(KERNEL_ARGS) {                                                                                  \
        if (stride[0] == sizeof(TO) && stride[1] == sizeof(TI)) {                                                     \
            TO *o = (TO *)p[0];                                                                                    \
            const TI *a = (const TI *)p[1];                                                                        \
            WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                              \
                const C x = a[i];                                                                                  \
                o[i] = (TO)(expr);                                                                                 \
            }                                                                                                      \
            return;                                                                                                \
        }                                                                                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
            const C x = *(const TI *)(p[1] + i * stride[1]);                                                          \
            *(TO *)(p[0] + i * stride[0]) = (TO)(expr);                                                               \
        }                                                                                                          \
    }
/* As KERNEL_UNARY for a long expr: what is not contiguous goes through blocks that are. */
#define KERNEL_UNARY_LONG(fn, TO, TI, C, expr)                                                                     \
    static void fn(KERNEL_ARGS) {                                                                                  \
        if (stride[0] != sizeof(TO) || stride[1] != sizeof(TI)) {                                                     \
            through_blocks(fn, p, stride, n, sizeof(TI));                                                             \
            return;                                                                                                \
        }                                                                                                          \
        TO *o = (TO *)p[0];                                                                                        \
        const TI *a = (const TI *)p[1];                                                                            \
        WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                               \
            const C x = a[i];                                                                                      \
            o[i] = (TO)(expr);                                                                                     \
        }                                                                                                          \
    }
#define KERNEL_BINARY(fn, TO, TI, C, expr)                                                                         \
    static WG_APART void fn(KERNEL_ARGS) {                                                                                  \
        const ptrdiff_t s1 = stride[1], s2 = stride[2];                                                               \
        if (stride[0] == sizeof(TO) && n > 1) {                                                                    \
            TO *o = (TO *)p[0];                                                                                    \
            const TI *a = (const TI *)p[1], *b = (const TI *)p[2];                                                    \
            if (s1 == sizeof(TI) && s2 == sizeof(TI)) {                                                               \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const C x = a[i], y = b[i];                                                                    \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
            if (s1 == sizeof(TI) && s2 == 0) {                                                                     \
                const C y = *b;                                                                                    \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const C x = a[i];                                                                              \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
            if (s1 == 0 && s2 == sizeof(TI)) {                                                                     \
                const C x = *a;                                                                                    \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const C y = b[i];                                                                              \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
        }                                                                                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
            const C x = *(const TI *)(p[1] + i * s1), y = *(const TI *)(p[2] + i * s2);                               \
            *(TO *)(p[0] + i * stride[0]) = (TO)(expr);                                                               \
        }                                                                                                          \
    }
/* As KERNEL_BINARY for ops that small programs are full of: a handful of elements goes four at a time, without what the
 * other loops need to decide and to save. */
#define HANDFUL 16
#define HANDFUL_LOOP(TO, TI, C, expr, Y)                                                                              \
    for (ptrdiff_t i = 0; i < n; i += 4) {                                                                            \
        const TI *a = (const TI *)p[1] + i, *b = (const TI *)p[2];                                                    \
        TO four[4];                                                                                                   \
        for (int j = 0; j < 4; j++) {                                                                                 \
            const C x = a[j], y = Y;                                                                                  \
            four[j] = (TO)(expr);                                                                                     \
        }                                                                                                             \
        memcpy(p[0] + (size_t)i * sizeof(TO), four, sizeof four);                                                     \
    }
#define KERNEL_BINARY_SHORT(fn, fn_long, TO, TI, C, expr)                                                             \
    KERNEL_BINARY(fn_long, TO, TI, C, expr)                                                                           \
    static void fn(KERNEL_ARGS) {                                                                                     \
        if (n < HANDFUL && !(n & 3) && stride[0] == sizeof(TO) && stride[1] == sizeof(TI)) {                          \
            if (stride[2] == sizeof(TI)) {                                                                            \
                HANDFUL_LOOP(TO, TI, C, expr, b[i + j])                                                               \
                return;                                                                                               \
            }                                                                                                         \
            if (stride[2] == 0) {                                                                                     \
                HANDFUL_LOOP(TO, TI, C, expr, *b)                                                                     \
                return;                                                                                               \
            }                                                                                                         \
        }                                                                                                             \
        fn_long(p, stride, n);                                                                                        \
    }
/* Three inputs w, x, y; w of type TW. One fast loop: all contiguous but perhaps x and y. */
#define KERNEL_TERNARY(fn, TO, TW, CW, TI, C, expr)                                                                \
    static void fn(KERNEL_ARGS) {                                                                                  \
        const ptrdiff_t s1 = stride[1], s2 = stride[2], s3 = stride[3];                                               \
        if (stride[0] == sizeof(TO) && s1 == sizeof(TW) && n > 1) {                                                   \
            TO *o = (TO *)p[0];                                                                                    \
            const TW *c = (const TW *)p[1];                                                                        \
            const TI *a = (const TI *)p[2], *b = (const TI *)p[3];                                                    \
            if (s2 == sizeof(TI) && s3 == sizeof(TI)) {                                                               \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const CW w = c[i];                                                                             \
                    const C x = a[i], y = b[i];                                                                    \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
            if (s2 == sizeof(TI) && s3 == 0) {                                                                     \
                const C y = *b;                                                                                    \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const CW w = c[i];                                                                             \
                    const C x = a[i];                                                                              \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
            if (s2 == 0 && s3 == sizeof(TI)) {                                                                     \
                const C x = *a;                                                                                    \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const CW w = c[i];                                                                             \
                    const C y = b[i];                                                                              \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
            if (s2 == 0 && s3 == 0) {                                                                              \
                const C x = *a, y = *b;                                                                            \
                WG_IVDEP for (ptrdiff_t i = 0; i < n; i++) {                                                          \
                    const CW w = c[i];                                                                             \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                return;                                                                                            \
            }                                                                                                      \
        }                                                                                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
            const CW w = *(const TW *)(p[1] + i * s1);                                                             \
            const C x = *(const TI *)(p[2] + i * s2), y = *(const TI *)(p[3] + i * s3);                               \
            *(TO *)(p[0] + i * stride[0]) = (TO)(expr);                                                               \
        }                                                                                                          \
    }
/* As KERNEL_UNARY; expr holds where far does not. A block without far elements takes the vector loop, and an element's
 * value does not depend on its block. */
#define KERNEL_UNARY_FAR(fn, TO, TI, C, expr, far, far_expr)                                                          \
    static void fn(KERNEL_ARGS) {                                                                                  \
        const bool line = stride[0] == sizeof(TO) && stride[1] == sizeof(TI);                                         \
        for (ptrdiff_t start = 0; start < n; start += 512) {                                                          \
            const ptrdiff_t m = n - start < 512 ? n - start : 512;                                                    \
            int any = !line;                                                                                       \
            if (line) {                                                                                            \
                const TI *a = (const TI *)p[1] + start;                                                               \
                for (ptrdiff_t i = 0; i < m; i++) {                                                                \
                    const C x = a[i];                                                                              \
                    any |= (far);                                                                                  \
                }                                                                                                  \
            }                                                                                                      \
            if (!any) {                                                                                            \
                TO *o = (TO *)p[0] + start;                                                                        \
                const TI *a = (const TI *)p[1] + start;                                                               \
                WG_IVDEP for (ptrdiff_t i = 0; i < m; i++) {                                                          \
                    const C x = a[i];                                                                              \
                    o[i] = (TO)(expr);                                                                             \
                }                                                                                                  \
                continue;                                                                                          \
            }                                                                                                      \
            for (ptrdiff_t i = start; i < start + m; i++) {                                                           \
                const C x = *(const TI *)(p[1] + i * stride[1]);                                                      \
                *(TO *)(p[0] + i * stride[0]) = (TO)((far) ? (far_expr) : (expr));                                    \
            }                                                                                                      \
        }                                                                                                          \
    }

#endif
