/* interpreter_views.c - views of the naive interpreter: other sizes, strides and offsets over the same memory. See
 * interpreter.h.
 */
#include "interpreter.h"

#include <string.h>

static void drop_dim(nt *t, int64_t d) {
    t->ndim--;
    for (int64_t i = d; i < t->ndim; i++) {
        t->sizes[i] = t->sizes[i + 1];
        t->strides[i] = t->strides[i + 1];
    }
}

unsigned nt_transpose(nt *x, int64_t a, int64_t b, nt **out) {
    unsigned wrong = nt_wrap(&a, x->ndim) | nt_wrap(&b, x->ndim);
    if (wrong) return wrong;
    *out = nt_alias(x);
    if (x->ndim == 0) return 0;
    (*out)->sizes[a] = x->sizes[b];
    (*out)->strides[a] = x->strides[b];
    (*out)->sizes[b] = x->sizes[a];
    (*out)->strides[b] = x->strides[a];
    return 0;
}

unsigned nt_permute(nt *x, int n, const int64_t *dims, nt **out) {
    bool seen[NT_DIMS] = {false};
    if (n != x->ndim) return RUNTIME;
    *out = nt_alias(x);
    unsigned wrong = 0;
    for (int i = 0; i < n; i++) {
        int64_t d = dims[i];
        if (nt_wrap(&d, n)) {
            wrong |= INDEX;
            continue;
        }
        if (seen[d]) wrong |= RUNTIME;
        seen[d] = true;
        (*out)->sizes[i] = x->sizes[d];
        (*out)->strides[i] = x->strides[d];
    }
    return wrong;
}

unsigned nt_expand(nt *x, int n, const int64_t *sizes, nt **out) {
    int64_t full[NT_DIMS];
    if (n < x->ndim) return RUNTIME;
    for (int i = 0; i < n; i++) {
        int own = i - (n - x->ndim);
        int64_t old = own < 0 ? 1 : x->sizes[own];
        full[i] = sizes[i] == -1 && own >= 0 ? old : sizes[i];
        if (full[i] < 0 || (old != 1 && old != full[i])) return RUNTIME;
    }
    *out = nt_spread(x, n, full);
    return 0;
}

unsigned nt_unsqueeze(nt *x, int64_t dim, nt **out) {
    if (nt_wrap(&dim, x->ndim + 1)) return INDEX;
    nt *r = *out = nt_alias(x);
    for (int i = x->ndim; i > dim; i--) {
        r->sizes[i] = r->sizes[i - 1];
        r->strides[i] = r->strides[i - 1];
    }
    r->sizes[dim] = r->strides[dim] = 1;
    r->ndim++;
    return 0;
}

unsigned nt_squeeze(nt *x, int n, const int64_t *dims, nt **out) {
    bool drop[NT_DIMS] = {false};
    unsigned wrong = 0;
    for (int k = 0; k < n; k++) {
        int64_t d = dims[k];
        if (nt_wrap(&d, x->ndim))
            wrong |= INDEX;
        else if (drop[d])
            wrong |= RUNTIME;
        else
            drop[d] = true;
    }
    if (wrong) return wrong;
    *out = nt_alias(x);
    for (int i = x->ndim; i-- > 0;)
        if (x->sizes[i] == 1 && (n < 0 || drop[i])) drop_dim(*out, i);
    return 0;
}

unsigned nt_select(nt *x, int64_t dim, int64_t index, nt **out) {
    if (x->ndim == 0 || nt_wrap(&dim, x->ndim)) return INDEX;
    int64_t size = x->sizes[dim];
    if (index < -size || index >= size) return INDEX;
    *out = nt_alias(x);
    (*out)->offset += (index < 0 ? index + size : index) * x->strides[dim];
    drop_dim(*out, dim);
    return 0;
}

/* Counts the indices that Python's range takes. */
unsigned nt_slice(nt *x, int64_t dim, int64_t start, int64_t end, int64_t step, nt **out) {
    if (x->ndim == 0 || nt_wrap(&dim, x->ndim)) return INDEX;
    if (step <= 0) return RUNTIME;
    int64_t size = x->sizes[dim], length = 0, first = -1;
    if (start < 0) start += size;
    if (end < 0) end += size;
    if (start < 0) start = 0;
    for (int64_t i = start; i < size && i < end; i += step) {
        if (first < 0) first = i;
        length++;
    }
    *out = nt_alias(x);
    (*out)->offset += first < 0 ? 0 : first * x->strides[dim];
    (*out)->sizes[dim] = length;
    (*out)->strides[dim] *= step;
    return 0;
}

unsigned nt_as_strided(nt *x, int n, const int64_t *sizes, const int64_t *strides, int64_t offset, nt **out) {
    nt *r = nt_alias(x);
    r->ndim = n;
    r->offset = offset < 0 ? x->offset : offset;
    int64_t last = r->offset;
    for (int i = 0; i < n; i++) {
        if (sizes[i] < 0 || strides[i] < 0) return RUNTIME;
        r->sizes[i] = sizes[i];
        r->strides[i] = strides[i];
        last += (sizes[i] - 1) * strides[i];
    }
    if (nt_numel(r) > 0 && last >= x->memory->n) return RUNTIME;
    *out = r;
    return 0;
}

/* A view in another shape exists when stepping along each new dim moves by one distance wherever one stands. */
static bool regroup(const nt *x, nt *r) {
    int64_t n = nt_numel(x), unit = 1;
    if (n == 0) return true;
    for (int i = r->ndim; i-- > 0; unit *= r->sizes[i])
        r->strides[i] = r->sizes[i] > 1 ? nt_place(x, unit) - nt_place(x, 0) : 1;
    for (int64_t f = 0; f < n; f++)
        if (nt_place(r, f) != nt_place(x, f)) return false;
    return true;
}
static unsigned fill_hole(nt *x, int n, const int64_t *sizes, nt *r) {
    int64_t known = 1, total = nt_numel(x);
    int hole = -1;
    r->ndim = n;
    for (int i = 0; i < n; i++) {
        r->sizes[i] = sizes[i];
        if (sizes[i] < -1 || (sizes[i] == -1 && hole >= 0)) return RUNTIME;
        if (sizes[i] == -1)
            hole = i;
        else
            known *= sizes[i];
    }
    if (hole < 0) return known == total ? 0 : RUNTIME;
    if (known == 0 || total % known != 0) return RUNTIME;
    r->sizes[hole] = total / known;
    return 0;
}
unsigned nt_reshape(nt *x, int n, const int64_t *sizes, bool copies, nt **out, bool *copied) {
    nt *r = nt_alias(x);
    *copied = false;
    if (fill_hole(x, n, sizes, r)) return RUNTIME;
    *out = r;
    if (regroup(x, r)) return 0;
    if (!copies) return RUNTIME;
    *copied = true;
    nt *copy = nt_copy(x);
    *out = nt_new(x->dtype, n, r->sizes);
    for (int64_t f = nt_numel(x); f-- > 0;) nt_put(*out, f, nt_get(copy, f));
    return 0;
}

nt *nt_copy(const nt *x) {
    nt *r = nt_new(x->dtype, x->ndim, x->sizes);
    for (int64_t f = nt_numel(x); f-- > 0;) nt_put(r, f, nt_get(x, f));
    return r;
}
nt *nt_detach(const nt *x) {
    nt *r = nt_alias(x);
    r->view = r->multi = false;
    r->tangents = nt_alloc((size_t)x->memory->n * 8);
    r->root = nt_alloc(sizeof *r->root);
    r->root->leaf = true;
    return r;
}
