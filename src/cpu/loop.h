/* loop.h - from shapes to kernel calls. */
#ifndef WG_CPU_LOOP_H
#define WG_CPU_LOOP_H

#include "cpu/kernels.h"

enum { WG_LOOP_MAX_ARGS = 6 };

/* Runs k over all elements of a shape: p[0] the output, p[1…nargs-1] the inputs, strides[a] the byte strides of
 * argument a (0 where broadcast). params, when not NULL, goes to the kernel as p[nargs] with stride 0. Drops, sorts and
 * merges dims, and splits big loops over the threads; the bits do not depend on the number of threads. The output must
 * not have stride 0 in a dim of size > 1: reductions have their own loops. */
wg_status wg__loop(wg_kernel k, int nargs, char *const *p, int ndim, const int64_t *sizes,
                   const int64_t *const *strides, char *params);

/* The same when all arguments are one-dimensional runs: stride[a] in bytes. */
wg_status wg__loop_flat(wg_kernel k, int nargs, char *const *p, const ptrdiff_t *stride, int64_t n);

#endif
