/* elementwise_int.c - the elementwise kernels of integers and bool, from the same rows as isa_elementwise.c, compiled
 * once: the baseline's vectors serve them well enough.
 */
#include "cpu/stamp_loops.h" /* first: its pragma must come before elementwise.def is first read */

#include "cpu/int_math.h"
#include "cpu/isa.h"

#define T uint8_t
#define SFX b
#define STAMP_BOOL
#include "cpu/stamp.h"

#define T uint8_t
#define SFX u8
#define STAMP_INT
#include "cpu/stamp.h"

#define T int8_t
#define SFX i8
#define STAMP_INT
#include "cpu/stamp.h"

#define T int16_t
#define SFX i16
#define STAMP_INT
#include "cpu/stamp.h"

#define T int32_t
#define SFX i32
#define STAMP_INT
#include "cpu/stamp.h"

#define T int64_t
#define SFX i64
#define STAMP_INT
#include "cpu/stamp.h"

KERNEL_BINARY(add_scaled_b, mem_u8, mem_u8, uint8_t, wg_m_add_scaled_b(x, y, wg_m_alpha_b(*(const mem_f64 *)p[3])))

#define INTS(name)                                                                                                     \
    [WG_UINT8] = name##_u8, [WG_INT8] = name##_i8, [WG_INT16] = name##_i16, [WG_INT32] = name##_i32,                   \
    [WG_INT64] = name##_i64
#define TABLE_FLT(name)
#define TABLE_NUM(name) .name = {INTS(name)},
#define TABLE_WHOLE(name) .name = {INTS(name)},
#define TABLE_ANY(name) .name = {[WG_BOOL] = name##_b, INTS(name)},
#define TABLE_INT(name) .name = {[WG_BOOL] = name##_b, INTS(name)},
#define TABLE_FLAG(name) .name = {[WG_BOOL] = name##_b, INTS(name)},

const struct wg_cpu_table wg__cpu_elementwise_int = {
#define WG_UNARY(name, kind, ...) TABLE_##kind(name)
#define WG_BINARY(name, kind, ...) TABLE_##kind(name)
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
    .clamp = {INTS(clamp)},
    .rsub = {INTS(rsub)},
    .add_scaled = {[WG_BOOL] = add_scaled_b, INTS(add_scaled)},
    .sub_scaled = {INTS(sub_scaled)},
};
