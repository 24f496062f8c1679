/* stamp.h - makes the kernels of one dtype from the rows of ops/elementwise.def. Included once per dtype with
 *
 *   T     the compute type          SFX  its suffix: f32
 *   STAMP_FLOAT or STAMP_INT or STAMP_BOOL: which kinds of rows apply
 *
 * defined; undefines them. M(f) names f for the type. The loops are in stamp_loops.h.
 */
#include "cpu/stamp_loops.h"

#define TM WG_PASTE(mem, SFX)
#define M(f) WG_PASTE(wg_m_##f, SFX)
#define NAME(name) WG_PASTE(name, SFX)

/* Which kinds of rows this dtype has: the others expand to nothing. */
#define UNARY_ROW(name, expr) KERNEL_UNARY(NAME(name), TM, TM, T, expr)
#define BINARY_ROW(name, expr) KERNEL_BINARY(NAME(name), TM, TM, T, expr)
#define UNARY_FLAG(name, expr) KERNEL_UNARY(NAME(name), mem_u8, TM, T, expr)
#define BINARY_FLAG(name, expr) KERNEL_BINARY(NAME(name), mem_u8, TM, T, expr)
#define UNARY_ANY UNARY_ROW
#define BINARY_ANY(name, expr) KERNEL_BINARY_SHORT(NAME(name), NAME(name##_long), TM, TM, T, expr)
#ifdef STAMP_FLOAT
#define UNARY_FLT(name, expr) KERNEL_UNARY_LONG(NAME(name), TM, TM, T, expr)
#define BINARY_FLT BINARY_ROW
#else
#define UNARY_FLT(name, expr)
#define BINARY_FLT(name, expr)
#endif
#ifdef STAMP_BOOL
#define UNARY_NUM(name, expr)
#define BINARY_NUM(name, expr)
#else
#define UNARY_NUM UNARY_ROW
#define BINARY_NUM BINARY_ROW
#endif
#ifdef STAMP_FLOAT
#define UNARY_INT(name, expr)
#define BINARY_INT(name, expr)
#else
#define UNARY_INT UNARY_ROW
#define BINARY_INT BINARY_ROW
#endif
#ifdef STAMP_INT
#define BINARY_WHOLE BINARY_ROW
#else
#define BINARY_WHOLE(name, expr)
#endif
#define WG_UNARY(name, kind, expr, ...) UNARY_##kind(name, expr)
#define WG_BINARY(name, kind, expr, ...) BINARY_##kind(name, expr)
#ifdef STAMP_FLOAT
#define WG_UNARY_FAR(name, kind, expr, far, far_expr, ...)                                                            \
    KERNEL_UNARY_FAR(NAME(name), TM, TM, T, expr, far, far_expr)
#endif

#include "ops/elementwise.def"

/* Without rows: their records are in ops/. alpha is a double at p[3]. */
#if defined(STAMP_FLOAT) || defined(STAMP_INT)
KERNEL_TERNARY(NAME(clamp), TM, TM, T, TM, T, M(minimum)(M(maximum)(w, x), y))
BINARY_ROW(rsub, M(sub)(y, x))
#define ALPHA M(alpha)(*(const mem_f64 *)p[3])
BINARY_ROW(add_scaled, M(add_scaled)(x, y, ALPHA))
BINARY_ROW(sub_scaled, M(add_scaled)(x, y, M(neg)(ALPHA)))
#undef ALPHA
#endif

#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
#undef UNARY_ROW
#undef BINARY_ROW
#undef UNARY_FLAG
#undef BINARY_FLAG
#undef UNARY_ANY
#undef BINARY_ANY
#undef UNARY_FLT
#undef BINARY_FLT
#undef UNARY_NUM
#undef BINARY_NUM
#undef UNARY_INT
#undef BINARY_INT
#undef BINARY_WHOLE
#undef TM
#undef M
#undef NAME
#undef T
#undef SFX
#undef STAMP_FLOAT
#undef STAMP_INT
#undef STAMP_BOOL
