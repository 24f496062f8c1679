/* reduce.h - what reduce.c shares with softmax.c, sort.c and loss.c: dims and rows. */
#ifndef WG_OPS_REDUCE_H
#define WG_OPS_REDUCE_H

#include "core/op.h"

/* attr (NONE, INT or INTS; empty: all) as a mask over ndim dims. */
wg_status wg__reduced_dims(const char *op, const wg_value *v, int ndim, bool *reduced);
wg_status wg__reduced_shape(const wg_call *c, const wg_value *dims, bool keepdim, wg_geometry *g);
wg_tensor *wg__restore(const wg_call *c, wg_tensor *r, const wg_value *dims, bool keepdim);
/* Batch rule of ops whose attribute k is a dim or dims. */
wg_status wg__batch_dims(const wg_call *c, const int *bdim, int k, wg_tensor **out, int *out_bdim);

/* The input as [outer, n, inner], in the compute dtype, row-major. rows: inner must be 1. */
typedef struct wg__block {
    wg_tensor *x; /* owned */
    int64_t outer, n, inner;
} wg__block;
wg_status wg__block_open(wg__block *b, wg_tensor *t, const bool *reduced, wg_dtype compute, bool rows);
void wg__block_close(wg__block *b);

#endif
