/* kernels.h - the table of CPU kernels: one per row of ops/elementwise.def and dtype, chosen once for the machine.
 *
 * A kernel computes n elements. p[0] is the output, p[1…] the inputs, strides are in bytes and may be 0 or negative;
 * pointers need not be aligned. An output may be one of the inputs (same address, same stride) but must not overlap
 * one otherwise. Output stride 0 is a reduction: the caller passes the output as first input too.
 */
#ifndef WG_CPU_KERNELS_H
#define WG_CPU_KERNELS_H

#include "core/tensor.h"

typedef void (*wg_kernel)(char *const *p, const ptrdiff_t *stride, ptrdiff_t n);

/* Indexed by dtype code; NULL where the op does not take the dtype. Rows of kind FLAG write bool. */
struct wg_cpu_table {
#define WG_UNARY(name, ...) wg_kernel name[WG_KERNEL_DTYPES];
#define WG_BINARY(name, ...) wg_kernel name[WG_KERNEL_DTYPES];
#include "ops/elementwise.def"
#undef WG_UNARY
#undef WG_BINARY
#undef WG_UNARY_FAR
    wg_kernel where[WG_KERNEL_DTYPES]; /* output, condition (bool), x, y */
    wg_kernel clamp[WG_KERNEL_DTYPES]; /* output, x, min, max: min(max(x, min), max), nan of any wins */
    wg_kernel rsub[WG_KERNEL_DTYPES];  /* y - x */
    /* x + alpha y, x - alpha y, rounded once where the ISA can; p[3] is a double, alpha. */
    wg_kernel add_scaled[WG_KERNEL_DTYPES], sub_scaled[WG_KERNEL_DTYPES];
};

/* The kernels in use. Valid after wg__cpu_init; before it, the baseline's. */
extern const struct wg_cpu_table *wg__cpu;

/* Chooses the best ISA of the machine, or the one that WENGERT_ISA names. Any thread, any number of times. */
void wg__cpu_init(void);
/* "baseline", "avx2", "avx512", "neon" */
const char *wg__isa_name(void);
/* A given ISA's kernels, NULL when this machine or build lacks it. */
const struct wg_cpu_table *wg__cpu_table_for(const char *isa);
/* The names of all ISAs built in, best first, NULL-terminated. */
extern const char *const wg__isa_names[];
/* Can this machine run it? Also for the other kernel tables compiled per ISA (matrix product). */
bool wg__isa_supported(const char *isa);

/* Converts n elements: p[0] of dtype to, p[1] of dtype from. PyTorch's rules: float to int truncates, what does not
 * fit becomes what x86 gives; to bool: is it non-zero. */
wg_kernel wg__cast_kernel(wg_dtype from, wg_dtype to);
/* Copies elements of 1, 2, 4 or 8 bytes: a cast to the same dtype. */
wg_kernel wg__copy_kernel(size_t itemsize);
/* p[1] is one element (its stride is not read), written n times. */
wg_kernel wg__fill_kernel(size_t itemsize);

#endif
