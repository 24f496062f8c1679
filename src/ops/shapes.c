/* shapes.c - views made of other views: reshape and its kin, dims moved, the forms that take a tensor for sizes. The
 * primitives are in view.c.
 */
#include "core/op.h"
#include "wengert/ops.h"

/* ---- dims moved ----------------------------------------------------------------------------------------------------
 */

wg_tensor *wg_adjoint(wg_tensor *x) {
    WG_COMPOSITE;
    if (!x) return wg__fail(WG_ERR_TYPE, "adjoint", "adjoint(): argument 1 must be Tensor, not None");
    if (!wg__ok(x) || x->ndim == 0) return x;
    if (x->ndim == 1)
        return wg__fail(WG_ERR_RUNTIME, "adjoint",
                        "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.");
    return wg_conj(wg_transpose(x, -2, -1));
}

/* dims in [0, ndim); false: raised. A 0-d tensor has one dim here, as everywhere. */
static bool wrap_dims(const char *what, int ndim, int n, const int64_t *dims, int *wrapped) {
    bool seen[WG_MAX_DIMS] = {false};
    char text[256];
    for (int i = 0; i < n; i++) {
        wrapped[i] = wg__wrap_dim("movedim", dims[i], ndim);
        if (wrapped[i] < 0) return false;
        if (seen[wrapped[i]]) {
            wg__raise(WG_ERR_RUNTIME, "movedim", "movedim: repeated dim in `%s` (%s)", what,
                      wg__sizes_text(text, sizeof(text), n, dims));
            return false;
        }
        seen[wrapped[i]] = true;
    }
    return true;
}
wg_tensor *wg_movedim(wg_tensor *x, int n, const int64_t *source, const int64_t *destination) {
    WG_COMPOSITE;
    int from[WG_MAX_DIMS], to[WG_MAX_DIMS];
    int64_t order[WG_MAX_DIMS];
    bool moved[WG_MAX_DIMS] = {false};
    if (!x) return wg__fail(WG_ERR_TYPE, "movedim", "movedim(): argument 1 must be Tensor, not None");
    if (!wg__ok(x)) return x;
    if (n < 0 || n > WG_MAX_DIMS)
        return wg__fail(WG_ERR_RUNTIME, "movedim", "movedim: only tensors with up to %d dims are supported",
                        WG_MAX_DIMS);
    if (!wrap_dims("source", x->ndim, n, source, from) || !wrap_dims("destination", x->ndim, n, destination, to))
        return WG_POISON;
    if (x->ndim == 0) return wg_alias(x);
    for (int i = 0; i < x->ndim; i++) order[i] = -1;
    for (int i = 0; i < n; i++) {
        order[to[i]] = from[i];
        moved[from[i]] = true;
    }
    for (int i = 0, rest = 0; i < x->ndim; i++) {
        if (order[i] >= 0) continue;
        while (moved[rest]) rest++;
        order[i] = rest++;
    }
    return wg_permute(x, x->ndim, order);
}
static wg_tensor *movedim_lists(const wg_value *a) {
    char s[256], d[256];
    if (a[1].n == a[2].n) return wg_movedim(a[0].t, (int)a[1].n, a[1].ints, a[2].ints);
    return wg__fail(
        WG_ERR_RUNTIME, "movedim",
        "movedim: Invalid source or destination dims: source (%s dims) should contain the same number of dims as "
        "destination (%s dims)",
        wg__sizes_text(s, sizeof(s), (int)a[1].n, a[1].ints), wg__sizes_text(d, sizeof(d), (int)a[2].n, a[2].ints));
}

/* ---- shapes --------------------------------------------------------------------------------------------------------
 */

/* The sizes multiplied, their -1 filled in so that they give size; false: they do not. */
static bool cut(int64_t size, int n, const int64_t *sizes, int64_t *out) {
    int64_t known = 1;
    int hole = -1;
    for (int i = 0; i < n; i++) {
        out[i] = sizes[i];
        if (sizes[i] == -1)
            hole = i;
        else if (sizes[i] < 0 || __builtin_mul_overflow(known, sizes[i], &known))
            return false;
    }
    if (hole < 0) return known == size;
    if (known == 0 || size % known) return false;
    out[hole] = size / known;
    return true;
}
static int holes(int n, const int64_t *sizes) {
    int k = 0;
    for (int i = 0; i < n; i++) k += sizes[i] == -1;
    return k;
}
wg_tensor *wg_unflatten(wg_tensor *x, int64_t dim, int n, const int64_t *sizes) {
    WG_COMPOSITE;
    int64_t shape[2 * WG_MAX_DIMS];
    char text[256];
    if (!x) return wg__fail(WG_ERR_TYPE, "unflatten", "unflatten(): argument 1 must be Tensor, not None");
    if (!wg__ok(x)) return x;
    int d = wg__wrap_dim("unflatten", dim, x->ndim);
    if (d < 0) return WG_POISON;
    if (n <= 0) return wg__fail(WG_ERR_RUNTIME, "unflatten", "unflatten: sizes must be non-empty");
    if (x->ndim == 0 || n > WG_MAX_DIMS || holes(n, sizes) > 1)
        return wg__fail(WG_ERR_RUNTIME, "unflatten", "unflatten got an unexpected error:\n%s",
                        x->ndim == 0      ? "Dimension specified as 0 but tensor has no dimensions"
                        : n > WG_MAX_DIMS ? "too many dims"
                                          : "only one dimension can be inferred");
    if (!cut(x->dims[d], n, sizes, shape + d))
        return wg__fail(
            WG_ERR_RUNTIME, "unflatten",
            "unflatten: Provided sizes %s don't multiply up to the size of dim %d (%lld) in the input tensor",
            wg__sizes_text(text, sizeof(text), n, sizes), d, (long long)x->dims[d]);
    memcpy(shape, x->dims, (size_t)d * 8);
    memcpy(shape + d + n, x->dims + d + 1, (size_t)(x->ndim - d - 1) * 8);
    return wg_view(x, x->ndim - 1 + n, shape);
}
wg_tensor *wg_ravel(wg_tensor *x) {
    WG_COMPOSITE;
    int64_t all = -1;
    if (!x) return wg__fail(WG_ERR_TYPE, "ravel", "ravel(): argument 1 must be Tensor, not None");
    return wg_view(wg_contiguous(x), 1, &all);
}
static wg_tensor *viewed_as(wg_tensor *x, wg_tensor *other, wg_tensor *(*view)(wg_tensor *, int, const int64_t *)) {
    return wg__ok(other) ? view(x, other->ndim, other->dims) : WG_POISON;
}

/* PyTorch's second overload: where the run starts is told by a tensor. */
static wg_tensor *narrow_at(wg_tensor *x, int64_t dim, wg_tensor *start, int64_t length) {
    double v;
    if (!wg__ok(x) || !wg__ok(start)) return WG_POISON;
    if (start->ndim != 0 || wg_dtype_is_floating((wg_dtype)start->dtype) || start->dtype == WG_BOOL)
        return wg__fail(WG_ERR_RUNTIME, "narrow", "start must be an 0-dim integral Tensor.");
    if (wg_item(start, &v) != WG_OK) return WG_POISON;
    return wg_narrow(x, dim, (int64_t)v, length);
}

/* ---- records -------------------------------------------------------------------------------------------------------
 */

#define VIEWED(id, name, args, doc, expr, f, ...)                                                                      \
    WG_COMPOSED(id, name, args, doc, expr, .traits = WG_VIEW, .formula = {f}, __VA_ARGS__)
#define DIMS(k) (int)a[k].n, a[k].ints

VIEWED(swapaxes, "swapaxes", "(Tensor self, int axis0, int axis1) -> Tensor", "transpose",
       wg_transpose(a[0].t, a[1].i, a[2].i), "exchanged back", .shown = 0)
VIEWED(adjoint, "adjoint", "(Tensor self) -> Tensor", "the last two dims exchanged, conjugated", wg_adjoint(a[0].t),
       "exchanged back", .shown = 0)
VIEWED(movedim, "movedim.int", "(Tensor self, int source, int destination) -> Tensor", "a dim moved to another place",
       wg_movedim(a[0].t, 1, &a[1].i, &a[2].i), "moved back", .aliases = "moveaxis")
VIEWED(movedims, "movedim.intlist", "(Tensor self, int[] source, int[] destination) -> Tensor",
       "dims moved to other places", movedim_lists(a), "moved back", .aliases = "moveaxis")
VIEWED(reshape, "reshape", "(Tensor self, int[] shape) -> Tensor",
       "the same elements in another shape; a copy if it must be", wg_reshape(a[0].t, DIMS(1)), "reshaped back",
       .shown = 0)
VIEWED(flatten, "flatten", "(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor",
       "dims made one; a copy if it must be", wg_flatten(a[0].t, a[1].i, a[2].i), "reshaped back", .shown = 0)
VIEWED(unflatten, "unflatten", "(Tensor self, int dim, int[] sizes) -> Tensor", "a dim cut into several",
       wg_unflatten(a[0].t, a[1].i, DIMS(2)), "reshaped back", .shown = 0)
VIEWED(ravel, "ravel", "(Tensor self) -> Tensor", "one dim; a copy if it must be", wg_ravel(a[0].t), "reshaped back",
       .shown = 0)
VIEWED(narrow, "narrow", "(Tensor self, int dim, int start, int length) -> Tensor", "a run of indices of a dim",
       wg_narrow(a[0].t, a[1].i, a[2].i, a[3].i), "zeros with g in the run", .shown = 0)
VIEWED(narrow_tensor, "narrow.Tensor", "(Tensor self, int dim, Tensor start, int length) -> Tensor",
       "a run of indices of a dim", narrow_at(a[0].t, a[1].i, a[2].t, a[3].i), "zeros with g in the run", .shown = 0)
VIEWED(broadcast_to, "broadcast_to", "(Tensor self, int[] size) -> Tensor", "expand", wg_expand(a[0].t, DIMS(1)),
       "summed over the repeated dims", .shown = 0)
VIEWED(view_as, "view_as", "(Tensor self, Tensor other) -> Tensor", "view in other's shape",
       viewed_as(a[0].t, a[1].t, wg_view), "reshaped back", .shown = WG_METHOD)
VIEWED(reshape_as, "reshape_as", "(Tensor self, Tensor other) -> Tensor", "reshape to other's shape",
       viewed_as(a[0].t, a[1].t, wg_reshape), "reshaped back", .shown = WG_METHOD)
VIEWED(expand_as, "expand_as", "(Tensor self, Tensor other) -> Tensor", "expand to other's shape",
       viewed_as(a[0].t, a[1].t, wg_expand), "summed over the repeated dims", .shown = WG_METHOD)

const wg_op *const wg__ops_shapes[] = {&op_swapaxes,     &op_adjoint,   &op_movedim,    &op_movedims,      &op_reshape,
                                       &op_flatten,      &op_unflatten, &op_ravel,      &op_narrow_tensor, &op_narrow,
                                       &op_broadcast_to, &op_view_as,   &op_reshape_as, &op_expand_as,     NULL};
