/* shape.c - sizes and strides: overflow, density, dims, broadcasting. No tensors are made here.
 */
#include <stdio.h>

#include "core/tensor.h"

int64_t wg__numel(int ndim, const int64_t *sizes) {
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < ndim; i++) {
        if (sizes[i] < 0) return -1;
        if (sizes[i] == 0)
            zero = true;
        else if (__builtin_mul_overflow(n, sizes[i], &n))
            return -1;
    }
    return zero ? 0 : n;
}

/* Beside a size of 0 the others may have any product: the strides then wrap, and nobody walks them. */
void wg__row_major(int ndim, const int64_t *sizes, int64_t *strides) {
    uint64_t step = 1;
    for (int i = ndim; i-- > 0;) {
        strides[i] = (int64_t)step;
        if (sizes[i] > 1) step *= (uint64_t)sizes[i];
    }
}

bool wg__is_row_major(int ndim, const int64_t *sizes, const int64_t *strides) {
    int64_t step = 1;
    for (int i = 0; i < ndim; i++)
        if (sizes[i] == 0) return true;
    for (int i = ndim; i-- > 0;) {
        if (sizes[i] == 1) continue;
        if (strides[i] != step) return false;
        step *= sizes[i];
    }
    return true;
}

/* Dims of size > 1 in order of stride, smallest first. Returns how many. */
static int by_stride(int ndim, const int64_t *sizes, const int64_t *strides, int *order) {
    int n = 0;
    for (int i = 0; i < ndim; i++) {
        if (sizes[i] <= 1) continue;
        int j = n++;
        for (; j && strides[order[j - 1]] > strides[i]; j--) order[j] = order[j - 1];
        order[j] = i;
    }
    return n;
}

bool wg__is_dense(int ndim, const int64_t *sizes, const int64_t *strides) {
    int order[WG_MAX_DIMS];
    for (int i = 0; i < ndim; i++)
        if (sizes[i] == 0) return true;
    int n = by_stride(ndim, sizes, strides, order);
    int64_t step = 1;
    for (int k = 0; k < n; k++) {
        if (strides[order[k]] != step) return false;
        step *= sizes[order[k]];
    }
    return true;
}

/* Sufficient, as PyTorch's: expanded dims (stride 0) surely overlap; strides that nest surely do not. */
bool wg__may_overlap_itself(const wg_tensor *t) {
    if ((t->flags & TF_CONTIG) || t->numel <= 1) return false;
    for (int i = 0; i < t->ndim; i++)
        if (t->dims[i] > 1 && wg__strides(t)[i] == 0) return true;
    return false;
}

int wg__wrap_dim(const char *op, int64_t dim, int ndim) {
    int64_t n = ndim ? ndim : 1;
    if (dim < -n || dim >= n) {
        wg__raise(WG_ERR_INDEX, op, "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
                  (long long)-n, (long long)n - 1, (long long)dim);
        return -1;
    }
    return (int)(dim < 0 ? dim + n : dim);
}

wg_status wg__broadcast(const char *op, const wg_tensor *const *in, int n, wg_geometry *out) {
    out->ndim = 0;
    for (int k = 0; k < n; k++) {
        const wg_tensor *t = in[k];
        if (t->ndim > out->ndim) { /* what is there moves right, the new leading dims are 1 */
            int more = t->ndim - out->ndim;
            memmove(out->sizes + more, out->sizes, (size_t)out->ndim * sizeof(int64_t));
            for (int i = 0; i < more; i++) out->sizes[i] = 1;
            out->ndim = t->ndim;
        }
        for (int i = t->ndim; i-- > 0;) { /* the last dim that does not fit is named */
            int64_t *have = &out->sizes[out->ndim - t->ndim + i], want = t->dims[i];
            if (want == 1 || want == *have) continue;
            if (*have == 1)
                *have = want;
            else
                return wg__raise(WG_ERR_RUNTIME, op,
                                 "The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton "
                                 "dimension %d",
                                 (long long)*have, (long long)want, out->ndim - t->ndim + i);
        }
    }
    return WG_OK;
}

const char *wg__sizes_text(char *buffer, size_t n, int ndim, const int64_t *sizes) {
    size_t at = 0;
    if (n == 0) return "";
    buffer[0] = 0;
    for (int i = 0; i <= ndim && at < n; i++) {
        int w = i == ndim ? snprintf(buffer + at, n - at, ndim ? "]" : "[]")
                          : snprintf(buffer + at, n - at, "%s%lld", i ? ", " : "[", (long long)sizes[i]);
        if (w < 0) break;
        at += (size_t)w;
    }
    return buffer;
}

void wg__broadcast_strides(const wg_tensor *t, int ndim, const int64_t *sizes, int64_t *bytes) {
    int64_t item = (int64_t)wg__itemsize(t);
    int lead = ndim - t->ndim;
    for (int i = 0; i < ndim; i++) {
        bool repeated = i < lead || (t->dims[i - lead] == 1 && sizes[i] != 1);
        bytes[i] = repeated ? 0 : wg__strides(t)[i - lead] * item;
    }
}
