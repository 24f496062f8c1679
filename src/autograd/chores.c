/* chores.c - what the walk does so that rules need not: reduce a cotangent to the shape of a broadcast input, make
 * zeros. All in public ops, so it differentiates again and runs under vmap.
 */
#include "autograd/node.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

bool wg__reducible(const wg_tensor *g, int ndim, const int64_t *sizes) {
    if (ndim > g->ndim) return false;
    for (int i = 0; i < ndim; i++) {
        int64_t have = g->dims[g->ndim - ndim + i];
        if (sizes[i] != have && sizes[i] != 1) return false;
    }
    return true;
}

/* Leading dims go, size-1 dims stay (W1). */
wg_tensor *wg__sum_to(wg_tensor *g, int ndim, const int64_t *sizes) {
    int64_t dims[WG_MAX_DIMS];
    int n = 0, lead = g->ndim - ndim;
    for (int i = 0; i < g->ndim; i++)
        if (i < lead || (sizes[i - lead] == 1 && g->dims[i] != 1)) dims[n++] = i;
    if (n == 0) return g;
    wg_reduce keep = {.size = sizeof(keep), .dims = {n, dims}, .keepdim = true};
    wg_tensor *r = wg_sum_opt(g, &keep);
    return lead && !wg_is_poison(r) ? wg_view(r, ndim, sizes) : r;
}

wg_tensor *wg__zeros(wg_dtype dtype, int ndim, const int64_t *sizes) { return wg_zeros(ndim, sizes, WG_DTYPE(dtype)); }

wg_tensor *wg__add_null(wg_tensor *a, wg_tensor *b) {
    if (!a) return b;
    return b ? wg_add(a, b) : a;
}
