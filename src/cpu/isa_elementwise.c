/* isa_elementwise.c - the elementwise kernels of the floating dtypes, compiled once per instruction set with WG_ISA
 * named. float32 and float64 are stamped from the rows; 16-bit floats go through blocks of float32. Everything is
 * static but one table, wg__cpu_elementwise_ISA, which isa.c completes with the integer kernels of elementwise_int.c.
 */
#include "cpu/stamp_loops.h" /* first: its pragma must come before elementwise.def is first read */

#include "cpu/half.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

#define T float
#define SFX f32
#define STAMP_FLOAT
#include "cpu/stamp.h"

#define T double
#define SFX f64
#define STAMP_FLOAT
#include "cpu/stamp.h"

/* ---- where: by size of the element ------------------------------------------------------------------------------- */

KERNEL_TERNARY(where_8, mem_u8, mem_u8, uint8_t, mem_u8, uint8_t, w ? x : y)
KERNEL_TERNARY(where_16, mem_u16, mem_u8, uint8_t, mem_u16, uint16_t, w ? x : y)
KERNEL_TERNARY(where_32, mem_u32, mem_u8, uint8_t, mem_u32, uint32_t, w ? x : y)
KERNEL_TERNARY(where_64, mem_u64, mem_u8, uint8_t, mem_u64, uint64_t, w ? x : y)

/* ---- 16-bit floats: blocks of float32 ---------------------------------------------------------------------------- */

enum { BLOCK = 512 };

typedef void (*to_floats)(float *restrict out, const half_mem *in, ptrdiff_t n);
typedef void (*from_floats)(half_mem *out, const float *restrict in, ptrdiff_t n);
static void load_f16(float *restrict out, const half_mem *in, ptrdiff_t n) { halves_to_floats(out, in, n); }
static void load_bf16(float *restrict out, const half_mem *in, ptrdiff_t n) { bfloats_to_floats(out, in, n); }
static void store_f16(half_mem *out, const float *restrict in, ptrdiff_t n) { floats_to_halves(out, in, n); }
static void store_bf16(half_mem *out, const float *restrict in, ptrdiff_t n) { floats_to_bfloats(out, in, n); }

static void load_block(to_floats load, float *restrict out, const char *in, ptrdiff_t stride, ptrdiff_t n) {
    if (stride == 2) {
        load(out, (const half_mem *)(const void *)in, n);
        return;
    }
    uint16_t line[BLOCK];
    for (ptrdiff_t i = 0; i < n; i++) memcpy(&line[i], in + i * stride, 2);
    load(out, line, n);
}
static void store_block(from_floats store, char *out, ptrdiff_t stride, const float *restrict in, ptrdiff_t n) {
    if (stride == 2) {
        store((half_mem *)(void *)out, in, n);
        return;
    }
    uint16_t line[BLOCK];
    store(line, in, n);
    for (ptrdiff_t i = 0; i < n; i++) memcpy(out + i * stride, &line[i], 2);
}

enum { PLAIN, TO_BOOL, WITH_PARAMS };

/* Runs the float32 kernel k of nin inputs. TO_BOOL: it writes straight to the output. An output that is its own first
 * input (stride 0: a reduction) is computed one element after another. */
static inline void run_halves(wg_kernel k, to_floats load, from_floats store, int nin, int what, KERNEL_ARGS) {
    _Alignas(64) float in[3][BLOCK], out[BLOCK];
    char *q[4] = {(char *)out, (char *)in[0], (char *)in[1], (char *)in[2]};
    ptrdiff_t s[4] = {4, 4, 4, 4};
    if (what == WITH_PARAMS) q[nin + 1] = p[nin + 1];
    const ptrdiff_t step = stride[0] == 0 ? 1 : BLOCK;
    for (int a = 0; a < nin; a++)
        if (stride[a + 1] == 0) s[a + 1] = 0;
    for (ptrdiff_t start = 0; start < n; start += step) {
        const ptrdiff_t m = n - start < step ? n - start : step;
        for (int a = 0; a < nin; a++)
            if (s[a + 1] || start == 0 || step == 1)
                load_block(load, in[a], p[a + 1] + start * stride[a + 1], stride[a + 1], s[a + 1] ? m : 1);
        if (what == TO_BOOL) {
            q[0] = p[0] + start * stride[0];
            s[0] = stride[0];
            k(q, s, m);
        } else {
            k(q, s, m);
            store_block(store, p[0] + start * stride[0], stride[0], out, m);
        }
    }
}
static void run_f16(wg_kernel k, int nin, int what, KERNEL_ARGS) {
    run_halves(k, load_f16, store_f16, nin, what, p, stride, n);
}
static void run_bf16(wg_kernel k, int nin, int what, KERNEL_ARGS) {
    run_halves(k, load_bf16, store_bf16, nin, what, p, stride, n);
}

#define HALF_KERNELS(name, nin, what)                                                                                  \
    static void name##_f16(KERNEL_ARGS) { run_f16(name##_f32, nin, what, p, stride, n); }                              \
    static void name##_bf16(KERNEL_ARGS) { run_bf16(name##_f32, nin, what, p, stride, n); }
#define HALVES_FLT(name, nin) HALF_KERNELS(name, nin, PLAIN)
#define HALVES_NUM(name, nin) HALF_KERNELS(name, nin, PLAIN)
#define HALVES_ANY(name, nin) HALF_KERNELS(name, nin, PLAIN)
#define HALVES_FLAG(name, nin) HALF_KERNELS(name, nin, TO_BOOL)
#define HALVES_INT(name, nin)
#define HALVES_WHOLE(name, nin)
#define WG_UNARY(name, kind, ...) HALVES_##kind(name, 1)
#define WG_BINARY(name, kind, ...) HALVES_##kind(name, 2)
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
HALF_KERNELS(clamp, 3, PLAIN)
HALF_KERNELS(rsub, 2, PLAIN)
HALF_KERNELS(add_scaled, 2, WITH_PARAMS)
HALF_KERNELS(sub_scaled, 2, WITH_PARAMS)

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define FLOATS(name)                                                                                                   \
    { [WG_FLOAT16] = name##_f16, [WG_BFLOAT16] = name##_bf16, [WG_FLOAT32] = name##_f32, [WG_FLOAT64] = name##_f64 }
#define TABLE_FLT(name) .name = FLOATS(name),
#define TABLE_NUM(name) .name = FLOATS(name),
#define TABLE_ANY(name) .name = FLOATS(name),
#define TABLE_FLAG(name) .name = FLOATS(name),
#define TABLE_INT(name)
#define TABLE_WHOLE(name)
#define TABLE_(isa) wg__cpu_elementwise_##isa
#define TABLE(isa) TABLE_(isa)

extern const struct wg_cpu_table TABLE(WG_ISA);
const struct wg_cpu_table TABLE(WG_ISA) = {
#define WG_UNARY(name, kind, ...) TABLE_##kind(name)
#define WG_BINARY(name, kind, ...) TABLE_##kind(name)
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
    .where = {where_8, where_8, where_8, where_16, where_32, where_64, where_16, where_16, where_32, where_64},
    .clamp = FLOATS(clamp),
    .rsub = FLOATS(rsub),
    .add_scaled = FLOATS(add_scaled),
    .sub_scaled = FLOATS(sub_scaled),
};
