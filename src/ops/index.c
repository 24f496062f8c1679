/* index.c - reading and writing at positions that are data: index and index_put (numpy's advanced indexing),
 * index_select, index_add, index_fill, gather, scatter_add, nonzero, embedding. Slices and single indices are views
 * (view.c).
 *
 * Each is one of two loops over elements: with a list of index tensors (index, index_put), or with an index along one
 * dim. Writes that may meet twice add in index order, by one thread, so that the bits do not depend on threads.
 */
#include <stdio.h>

#include "core/apply.h"
#include "core/messages.h"
#include "wengert/ops.h"

/* ---- positions --------------------------------------------------------------------------------------------------- */

/* PyTorch has a sentence and a type for each op; index_add of a vector is another path there, as is index_select of dim
 * 1 or of nothing (which comes as dim 1). */
static wg_status out_of_bounds(const char *who, int64_t index, int dim, int64_t size, int ndim) {
    bool select = strcmp(who, "index_select") == 0 || strcmp(who, "embedding") == 0;
    long long i = index, n = size;
    if (select && size == 0)
        return wg__raise(WG_ERR_RUNTIME, who,
                         "index_select(): self indexing axis dim should be positive. It is 0 and has no index %lld", i);
    if (select && dim == 1)
        return wg__raise(WG_ERR_RUNTIME, who, "INDICES element is out of DATA bounds, id=%lld axis_dim=%lld", i, n);
    if (select || (strcmp(who, "index_add") == 0 && ndim <= 1))
        return wg__raise(WG_ERR_INDEX, who, "index out of range in self. Index %lld of dimension %d with size %lld", i,
                         dim, n);
    bool runtime = strcmp(who, "index") && strcmp(who, "index_put") && strcmp(who, "index_fill");
    return wg__raise(runtime ? WG_ERR_RUNTIME : WG_ERR_INDEX, who,
                     "index %lld is out of bounds for dimension %d with size %lld", i, dim, n);
}
/* An index tensor as row-major int64, owned. */
static wg_tensor *positions(wg_tensor *t) { return wg__contiguous(t, WG_INT64); }
static const int64_t *ints(const wg_tensor *t) { return (const int64_t *)(const void *)t->data; }

enum { ASK = 65536 }; /* elements between two looks whether to stop */

typedef void (*move_fn)(char *to, const char *from, wg_dtype d, size_t item);
static void copy_one(char *to, const char *from, wg_dtype d, size_t item) {
    (void)d;
    memcpy(to, from, item);
}
#define ADD(T)                                                                                                         \
    {                                                                                                                  \
        T a, b;                                                                                                        \
        memcpy(&a, to, sizeof(a));                                                                                     \
        memcpy(&b, from, sizeof(b));                                                                                   \
        a = (T)(a + b);                                                                                                \
        memcpy(to, &a, sizeof(a));                                                                                     \
        return;                                                                                                        \
    }
static void add_one(char *to, const char *from, wg_dtype d, size_t item) {
    (void)item;
    switch (d) {
    case WG_FLOAT32: ADD(float)
    case WG_FLOAT64: ADD(double)
    case WG_INT64: ADD(uint64_t)
    case WG_INT32: ADD(uint32_t)
    case WG_BOOL: *to = (*to != 0) | (*from != 0); return;
    case WG_FLOAT16:
    case WG_BFLOAT16: wg__store_double(to, d, wg__load_double(to, d) + wg__load_double(from, d)); return;
    default: wg__store_int(to, d, wg__load_int(to, d) + wg__load_int(from, d)); return;
    }
}

/* ---- index: x[i, j, ...] ----------------------------------------------------------------------------------------- */

/* A call understood: dims that are indexed, the broadcast shape of the indices, where its dims stand in the result. */
typedef struct indexing {
    int ndim;                   /* of x */
    int64_t sizes[WG_MAX_DIMS]; /* of x */
    bool indexed[WG_MAX_DIMS];
    wg_tensor *list[WG_MAX_DIMS + 1]; /* the index of each dim that has one, of the caller's scope */
    int bdims;
    int64_t bsizes[WG_MAX_DIMS];
    int first;         /* dim of the result where the broadcast dims begin */
    int64_t count;     /* positions */
    wg_tensor *offset; /* for each position where it is in x, in elements; owned */
} indexing;

static void indexing_close(indexing *k) { wg_release(k->offset); }

static wg_status mask_fits(const char *who, const wg_tensor *x, const wg_tensor *mask, int first) {
    for (int d = 0; d < mask->ndim; d++) {
        if (first + d >= x->ndim) return wg__wrap_dim(who, first + d, x->ndim), WG_ERR_INDEX; /* says so */
        if (mask->dims[d] != x->dims[first + d])
            return wg__raise(WG_ERR_INDEX, who,
                             "The shape of the mask %s at index %d does not match the shape of the indexed "
                             "tensor %s at index %d",
                             wg__sizes_text((char[256]){0}, 256, mask->ndim, mask->dims), d,
                             wg__sizes_text((char[256]){0}, 256, x->ndim, x->dims), first + d);
    }
    return WG_OK;
}

static bool is_mask(const wg_tensor *t) { return t->dtype == WG_BOOL || t->dtype == WG_UINT8; }
static wg_status too_many(const char *who, const wg_tensor *x, int n) {
    return wg__raise(WG_ERR_INDEX, who, "too many indices for tensor of dimension %d (got %d)", x->ndim, n);
}

static wg_status check_index_dtypes(const char *who, const wg_tensor *x, wg_tensor *const *idx, int n) {
    if (n > x->ndim) return too_many(who, x, n);
    for (int i = 0; i < n; i++)
        if (idx[i] && !is_mask(idx[i]) && idx[i]->dtype != WG_INT64 && idx[i]->dtype != WG_INT32)
            return wg__raise(WG_ERR_INDEX, who, "tensors used as indices must be long, int, byte or bool tensors");
    return WG_OK;
}

static wg_status warn_of_bytes(void) {
    bool stop = wg__warn(WG_WARN_USER,
                         "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.");
    return stop ? WG_ERR_CALLBACK : WG_OK;
}

/* A mask takes as many dims as it has: its nonzero coordinates are indices for them. */
static wg_status expand_masks(const char *who, const wg_tensor *x, wg_tensor *const *idx, int n, bool warn,
                              wg_tensor **list, int *count) {
    *count = 0;
    wg_status st = check_index_dtypes(who, x, idx, n);
    while (n && !idx[n - 1]) n--;
    for (int i = 0; i < n && st == WG_OK; i++) {
        wg_tensor *t = idx[i];
        if (*count >= WG_MAX_DIMS || (*count >= x->ndim && t && is_mask(t) && t->ndim == 0))
            return too_many(who, x, *count + 1);
        if (!t || !is_mask(t)) {
            list[(*count)++] = t;
            continue;
        }
        st = warn && t->dtype == WG_UINT8 ? warn_of_bytes() : WG_OK;
        if (st == WG_OK) st = mask_fits(who, x, t, *count);
        wg_tensor *where = st == WG_OK ? wg_nonzero(t) : NULL;
        if (where && wg_is_poison(where)) return WG_ERR_RUNTIME;
        for (int d = 0; d < t->ndim && st == WG_OK; d++, (*count)++) {
            list[*count] = wg_select(where, 1, d);
            if (wg_is_poison(list[*count])) return WG_ERR_MEMORY;
        }
    }
    return st;
}

static wg_status broadcast_indices(const char *who, indexing *k, int n) {
    const wg_tensor *given[WG_MAX_DIMS];
    wg_geometry g;
    char text[512];
    int m = 0;
    for (int d = 0; d < n; d++)
        if (k->list[d]) given[m++] = k->list[d];
    k->bdims = 0;
    k->count = 1;
    if (m == 0) return WG_OK;
    bool pending = wg_error_pending();
    if (wg__broadcast(who, given, m, &g) != WG_OK) {
        size_t at = 0;
        if (!pending) wg_clear_error();
        text[0] = 0;
        for (int i = 0; i < m && at < sizeof(text) - 64; i++) {
            if (i) at += (size_t)snprintf(text + at, sizeof(text) - at, ", ");
            wg__sizes_text(text + at, sizeof(text) - at, given[i]->ndim, given[i]->dims);
            at += strlen(text + at);
        }
        return wg__raise(WG_ERR_INDEX, who,
                         "shape mismatch: indexing tensors could not be broadcast together with shapes %s", text);
    }
    k->bdims = g.ndim;
    memcpy(k->bsizes, g.sizes, (size_t)g.ndim * 8);
    k->count = wg__numel(g.ndim, g.sizes);
    return WG_OK;
}

/* Index tensors that stand apart put their dims in front; together they stay where they are (numpy). */
static void place(indexing *k, int n) {
    int first = -1, last = -1, m = 0;
    for (int d = 0; d < n; d++) {
        k->indexed[d] = k->list[d] != NULL;
        if (!k->indexed[d]) continue;
        if (first < 0) first = d;
        last = d;
        m++;
    }
    k->first = first >= 0 && last - first + 1 == m ? first : 0;
}

/* The broadcast dims take the place of the indexed ones and may be more. */
static wg_status check_result_dims(const char *who, const indexing *k) {
    int dims = k->ndim + k->bdims;
    for (int d = 0; d < k->ndim; d++) dims -= k->indexed[d];
    if (dims <= WG_MAX_DIMS) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, who, "%s: the result would have %d dims, and a tensor has at most %d", who, dims,
                     WG_MAX_DIMS);
}

/* Says what the result looks like; where the elements are in x is left to locate. warn: of uint8 masks, once per call.
 */
static wg_status indexing_open(const char *who, indexing *k, const wg_tensor *x, wg_tensor *const *idx, int n,
                               bool warn) {
    int count;
    memset(k->indexed, 0, sizeof(k->indexed));
    k->offset = NULL;
    k->ndim = x->ndim;
    memcpy(k->sizes, x->dims, (size_t)x->ndim * 8);
    wg_status st = expand_masks(who, x, idx, n, warn, k->list, &count);
    if (st == WG_OK) st = broadcast_indices(who, k, count);
    if (st == WG_OK && count > x->ndim) st = too_many(who, x, count);
    for (int d = count; d < x->ndim; d++) k->list[d] = NULL;
    if (st != WG_OK) return st;
    place(k, count);
    for (int d = 0; d < count; d++)
        if (k->list[d] && k->sizes[d] == 0 && k->count)
            return wg__raise(WG_ERR_INDEX, who, "index is out of bounds for dimension with size 0. It is dimension %d",
                             d);
    return check_result_dims(who, k);
}

static void result_sizes(const indexing *k, wg_geometry *g) {
    g->ndim = 0;
    int d = 0;
    for (; d < k->ndim && g->ndim < k->first; d++)
        if (!k->indexed[d]) g->sizes[g->ndim++] = k->sizes[d];
    for (int i = 0; i < k->bdims; i++) g->sizes[g->ndim++] = k->bsizes[i];
    int seen = 0;
    for (int e = 0; e < k->ndim; e++) {
        if (k->indexed[e]) continue;
        if (seen++ >= k->first) g->sizes[g->ndim++] = k->sizes[e];
    }
}

/* A dim's index as row-major int64 over the broadcast shape, owned. */
static wg_tensor *wide_index(const indexing *k, wg_tensor *t) {
    int64_t strides[WG_MAX_DIMS];
    wg__broadcast_strides(t, k->bdims, k->bsizes, strides);
    for (int i = 0; i < k->bdims; i++) strides[i] /= (int64_t)wg__itemsize(t);
    wg_tensor *wide = wg__alias(t, k->bdims, k->bsizes, strides, 0, false),
              *r = wide ? wg__contiguous(wide, WG_INT64) : NULL;
    wg_release(wide);
    return r;
}

/* The first position that is out of range is the one reported, and of its indices the first; PyTorch numbers the
 * indices, not the dims. */
typedef struct outside {
    int64_t position, index, size;
    int number;
} outside;

static wg_status add_offsets(indexing *k, const wg_tensor *index, int number, int64_t size, int64_t stride,
                             outside *bad) {
    int64_t *to = (int64_t *)(void *)k->offset->data;
    const int64_t *p = ints(index);
    for (int64_t i = 0; i < bad->position; i++) {
        if (p[i] < -size || p[i] >= size) {
            *bad = (outside){i, p[i], size, number};
            break;
        }
        to[i] += (p[i] < 0 ? p[i] + size : p[i]) * stride;
        if (wg__poll_at(i)) return WG_ERR_INTERRUPTED;
    }
    return WG_OK;
}

/* Fills k->offset, for a tensor of x's shape with these strides. */
static wg_status locate(const char *who, indexing *k, const int64_t *xs) {
    outside bad = {.position = k->count, .number = -1};
    wg_status st = (k->offset = wg__temp(WG_INT64, 1, &k->count)) ? wg__fill_zero(k->offset) : WG_ERR_MEMORY;
    for (int d = 0, number = 0; d < k->ndim && st == WG_OK; d++) {
        if (!k->indexed[d]) continue;
        wg_tensor *index = wide_index(k, k->list[d]);
        st = index ? add_offsets(k, index, number++, k->sizes[d], xs[d], &bad) : WG_ERR_MEMORY;
        wg_release(index);
    }
    if (st == WG_OK && bad.number >= 0) return out_of_bounds(who, bad.index, bad.number, bad.size, k->ndim);
    return st;
}

/* The result's dims in the order in which they are visited: outermost first. */
typedef struct visit {
    int dims;
    int64_t sizes[WG_MAX_DIMS];
    int64_t strides[WG_MAX_DIMS]; /* in x, of a dim that is not indexed */
    int64_t steps[WG_MAX_DIMS];   /* in k->offset, of a broadcast dim */
} visit;

static void visit_open(visit *v, const indexing *k, const int64_t *xs) {
    int64_t steps[WG_MAX_DIMS];
    wg__row_major(k->bdims, k->bsizes, steps);
    v->dims = 0;
    int plain = 0;
    for (int e = 0; e <= k->ndim; e++) {
        if (e < k->ndim && k->indexed[e]) continue;
        for (int i = 0; plain == k->first && i < k->bdims; i++, v->dims++) {
            v->sizes[v->dims] = k->bsizes[i];
            v->strides[v->dims] = 0;
            v->steps[v->dims] = steps[i];
        }
        plain++;
        if (e == k->ndim) break;
        v->sizes[v->dims] = k->sizes[e];
        v->strides[v->dims] = xs[e];
        v->steps[v->dims++] = 0;
    }
}

/* ---- how a result lies in memory: PyTorch's iterator orders dims by the strides of x and of the indices ---------- */

typedef struct operands {
    const visit *v;
    const int64_t *values;         /* strides of what is written, or NULL */
    wg_tensor *index[WG_MAX_DIMS]; /* with a dim of size 1 for each of x that is not indexed */
    int n;
} operands;

/* Of a dim that lies further in so far and one further out: 1 they should change places, -1 they should not, 0 these
 * strides do not say. */
static int compare(int64_t inner, int64_t outer, int64_t inner_size, int64_t outer_size) {
    if (inner == 0 || outer == 0) return 0;
    if (inner != outer) return inner < outer ? -1 : 1;
    return inner_size > outer_size;
}
static int64_t stride_in(const operands *o, int k, int d) {
    const wg_tensor *t = o->index[k];
    return t->dims[d] == 1 && o->v->sizes[d] != 1 ? 0 : wg__strides(t)[d];
}
static int compare_dims(const operands *o, int inner, int outer) {
    const visit *v = o->v;
    int c = compare(v->strides[inner], v->strides[outer], v->sizes[inner], v->sizes[outer]);
    if (o->values && c == 0) c = compare(o->values[inner], o->values[outer], v->sizes[inner], v->sizes[outer]);
    for (int k = 0; k < o->n && c == 0; k++)
        c = compare(stride_in(o, k, inner), stride_in(o, k, outer), v->sizes[inner], v->sizes[outer]);
    return c;
}

/* From the innermost dim on each moves inwards, past those that should lie further out. */
static void outermost_first(const operands *o, int n, int *order) {
    for (int i = n - 1; i-- > 0;)
        for (int at = i, j = i + 1; j < n; j++) {
            int c = compare_dims(o, order[j], order[at]), moved = order[j];
            if (c < 0) break;
            if (c == 0) continue;
            order[j] = order[at];
            order[at] = moved;
            at = j;
        }
}

static wg_status open_operands(operands *o, const visit *v, const indexing *k) {
    int64_t sizes[WG_MAX_DIMS];
    for (int d = 0; d < v->dims; d++) sizes[d] = d < k->first || d >= k->first + k->bdims ? 1 : k->bsizes[d - k->first];
    o->v = v;
    o->n = 0;
    for (int d = 0; d < k->ndim; d++) {
        wg_tensor *t = k->list[d];
        if (!k->indexed[d]) continue;
        bool same = t->ndim == k->bdims && memcmp(t->dims, k->bsizes, (size_t)k->bdims * 8) == 0;
        t = wg_reshape(wg_to(same ? t : wg_expand(t, k->bdims, k->bsizes), WG_INT64), v->dims, sizes);
        if (wg_is_poison(t)) return WG_ERR_MEMORY;
        o->index[o->n++] = t;
    }
    return WG_OK;
}

/* Row-major in the strides of dims of size 1, too. */
static bool steps_row_major(const wg_tensor *t) {
    int64_t step = 1;
    for (int d = t->ndim; d-- > 0; step *= t->dims[d])
        if (wg__strides(t)[d] != step) return false;
    return true;
}

/* Everything is row-major, or nothing but indices has a size: so is the result, without a closer look. */
static bool all_row_major(const wg_tensor *x, const indexing *k, const visit *v) {
    int64_t numel = wg__numel(v->dims, v->sizes);
    if (numel <= 1 && wg__numel(k->bdims, k->bsizes) == numel) {
        int sized = 0;
        for (int d = 0; d < v->dims; d++) sized += (d < k->first || d >= k->first + k->bdims) && v->sizes[d] != 1;
        if (sized == 0) return true;
    }
    bool plain = steps_row_major(x) && numel > 0;
    for (int d = 0; d < k->ndim && plain; d++) {
        const wg_tensor *t = k->list[d];
        if (k->indexed[d])
            plain = steps_row_major(t) && t->ndim == k->bdims && memcmp(t->dims, k->bsizes, (size_t)t->ndim * 8) == 0;
    }
    return plain;
}

/* The result's dims, outermost first; *plain: that is row-major. */
static wg_status layout_order(const wg_tensor *x, const visit *v, const indexing *k, const int64_t *values, int *order,
                              bool *plain) {
    operands o;
    for (int i = 0; i < v->dims; i++) order[i] = i;
    *plain = true;
    if (v->dims < 2 || all_row_major(x, k, v)) return WG_OK;
    wg_status st = open_operands(&o, v, k);
    o.values = values;
    if (st == WG_OK) outermost_first(&o, v->dims, order);
    for (int i = 0; i < v->dims; i++) *plain &= order[i] == i;
    return st;
}

static void reorder(visit *v, const int *order) {
    visit w = *v;
    for (int i = 0; i < v->dims; i++) {
        v->sizes[i] = w.sizes[order[i]];
        v->strides[i] = w.strides[order[i]];
        v->steps[i] = w.steps[order[i]];
    }
}

typedef struct mover {
    const int64_t *offset;
    char *x, *other;
    wg_dtype d;
    int64_t item, step, next; /* of the innermost dim: in x, in offset */
    move_fn move;             /* NULL: other gets x's elements */
    bool single;              /* other is one element, for all places */
} mover;

/* n elements along the innermost dim. */
static void move_run(mover *m, int64_t position, int64_t plain, int64_t n) {
    char *p = m->x + (m->offset[position] + plain) * m->item, *to = m->other;
    int64_t apart = m->single ? 0 : m->item;
    m->other += n * apart;
    if (!m->move && m->step == 1) {
        memcpy(to, p, (size_t)(n * m->item));
        return;
    }
    for (int64_t i = 0; i < n; i++, to += apart) {
        char *at = m->next ? m->x + (m->offset[position + i * m->next] + plain) * m->item : p + i * m->step * m->item;
        if (m->move)
            m->move(at, to, m->d, (size_t)m->item);
        else
            memcpy(to, at, (size_t)m->item);
    }
}

/* Without move, other, which is dense in the order of the visit, gets x's elements; else x gets other's by move. */
static wg_status run_visit(const visit *v, const int64_t *offset, char *x, char *other, wg_dtype d, move_fn move,
                           bool single) {
    int64_t counter[WG_MAX_DIMS] = {0}, position = 0, plain = 0, total = wg__numel(v->dims, v->sizes), asked = 0;
    int inner = v->dims ? v->dims - 1 : 0;
    int64_t run = v->dims ? v->sizes[inner] : 1;
    mover m = {.offset = offset,
               .x = x,
               .other = other,
               .d = d,
               .item = (int64_t)wg_dtype_size(d),
               .move = move,
               .single = single};
    if (v->dims) m.step = v->strides[inner], m.next = v->steps[inner];
    for (int64_t done = 0; done < total; done += run) {
        for (int64_t from = 0; from < run; from += ASK) {
            int64_t n = run - from < ASK ? run - from : ASK;
            if ((asked += n) > ASK && wg__poll()) return WG_ERR_INTERRUPTED;
            if (asked > ASK) asked = 0;
            move_run(&m, position + from * m.next, plain + from * m.step, n);
        }
        for (int e = inner; e-- > 0;) {
            plain += v->strides[e];
            position += v->steps[e];
            if (++counter[e] < v->sizes[e]) break;
            plain -= v->strides[e] * v->sizes[e];
            position -= v->steps[e] * v->sizes[e];
            counter[e] = 0;
        }
    }
    return WG_OK;
}

/* Dims in another order are laid out as PyTorch's iterator does: sizes of 0 count. */
static void lay_out(const visit *v, const int *order, wg_geometry *g) {
    int64_t step = 1;
    g->strided = true;
    for (int i = v->dims; i-- > 0; step *= v->sizes[order[i]]) g->strides[order[i]] = step;
}

static wg_status index_shape(const wg_call *c, wg_geometry *g) {
    indexing k;
    visit v;
    int order[WG_MAX_DIMS];
    bool plain;
    wg_status st = indexing_open("index", &k, c->in[0], c->in + 1, c->nin - 1, true);
    if (st == WG_OK) {
        result_sizes(&k, g);
        visit_open(&v, &k, wg__strides(c->in[0]));
        st = layout_order(c->in[0], &v, &k, NULL, order, &plain);
        if (!plain) lay_out(&v, order, g);
    }
    indexing_close(&k);
    g->dtype = (wg_dtype)c->in[0]->dtype;
    return st;
}
static wg_status index_run(const wg_call *c) {
    indexing k;
    visit v;
    int order[WG_MAX_DIMS];
    bool plain;
    wg_tensor *x = c->in[0], *out = c->out[0];
    wg_status st = indexing_open("index", &k, x, c->in + 1, c->nin - 1, false);
    if (st == WG_OK && out->numel) st = locate("index", &k, wg__strides(x));
    if (st == WG_OK && out->numel) {
        visit_open(&v, &k, wg__strides(x));
        st = layout_order(x, &v, &k, NULL, order, &plain);
        reorder(&v, order);
    }
    if (st == WG_OK && out->numel)
        st = run_visit(&v, ints(k.offset), x->data, out->data, (wg_dtype)x->dtype, NULL, false);
    indexing_close(&k);
    return st;
}
static wg_tensor *index_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, 0, &n);
    if (i != 0) return NULL;
    return wg_index_put(wg__zeros((wg_dtype)g[0]->dtype, n, sizes), c->in + 1, c->nin - 1, g[0], true);
}
static wg_status batch_indices(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    /* only the tensor is mapped, not the indices: a whole dim in front of them; otherwise sample by sample */
    wg_tensor *idx[WG_MAX_DIMS];
    int64_t order[WG_MAX_DIMS];
    wg_tensor *v = c->in[0];
    int n = 0, m = 0;
    order[n++] = bdim[0];
    for (int i = 0; i < v->ndim; i++)
        if (i != bdim[0]) order[n++] = i;
    idx[m++] = NULL;
    for (int i = 1; i < c->nin; i++) idx[m++] = c->in[i];
    out[0] = wg_index(wg_permute(v, n, order), idx, m);
    out_bdim[0] = 0;
    return wg_is_poison(out[0]) ? WG_ERR_RUNTIME : WG_OK;
}
static wg_status index_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    bool alone = bdim[0] >= 0;
    int together = 0, last = 0;
    for (int i = 1; i < c->nin; i++) {
        alone &= bdim[i] < 0;
        if (c->in[i]) {
            if (together && last != i - 1) alone = false;
            together++;
            last = i;
        }
    }
    return alone ? batch_indices(c, bdim, out, out_bdim) : wg__batch_loop(c, bdim, out, out_bdim);
}
static const wg_op op_index = {.name = "index",
                               .shown = WG_HIDDEN,
                               .schema = "index(Tensor self, Tensor?[] indices) -> Tensor",
                               .doc = "elements at index tensors and masks, numpy's rules",
                               .traits = WG_LINEAR | WG_LIST,
                               .nin = 1,
                               .nout = 1,
                               .saves = WG_USE_Y,
                               .nondiff_in = ~1u,
                               .shape = index_shape,
                               .run = {index_run},
                               .vjp = index_vjp,
                               .batch = index_batch,
                               .formula = {"g added where it was read"}};

#define MAX_INDICES (WG_MAX_DIMS + 1)
static bool gather_list(wg_tensor **in, wg_tensor *x, wg_tensor *const *indices, int n, const char *who) {
    if (n < 0 || n > WG_MAX_DIMS || (n && !indices)) {
        wg__raise(WG_ERR_INDEX, who, "too many indices for tensor of dimension %d (got %d)", x ? x->ndim : 0, n);
        return false;
    }
    in[0] = x;
    for (int i = 0; i < n; i++) in[i + 1] = indices[i];
    return true;
}
/* A mask without dims asks whether there is anything at all: numpy gives it a new dim of size 1. Replaces it in in[1]
 * and on, and in[0] by a view with such dims; false: there was none. */
static bool lift_flags(wg_tensor **in, int n, int *dims, int *count) {
    *count = 0;
    if (!in[0] || wg_is_poison(in[0])) return false;
    for (int i = 1, at = 0; i <= n; i++) {
        bool mask = in[i] && wg__ok(in[i]) && is_mask(in[i]);
        if (mask && in[i]->ndim == 0 && at <= in[0]->ndim) {
            int64_t one = 1;
            dims[(*count)++] = at;
            in[0] = wg_unsqueeze(in[0], at);
            in[i] = wg_reshape(in[i], 1, &one);
            if (wg_is_poison(in[0])) break;
        }
        at += mask ? in[i]->ndim : 1;
    }
    return *count > 0;
}
wg_tensor *wg_index(wg_tensor *x, wg_tensor *const *indices, int n) {
    wg_tensor *in[MAX_INDICES];
    int dims[WG_MAX_DIMS], count;
    if (!gather_list(in, x, indices, n, "index")) return WG_POISON;
    lift_flags(in, n, dims, &count);
    return wg__apply(&op_index, in, n + 1, NULL, 0, WG_SITE);
}

/* ---- index_put: in[0] self, in[1] values, then indices. attr: accumulate. ---------------------------------------- */

/* A copy of self keeps its dense strides. */
static wg_status laid_as_self(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0];
    const int64_t *strides = wg__kept_strides(x, g->strides);
    g->strided = strides != NULL;
    if (strides && strides != g->strides) memcpy(g->strides, strides, (size_t)x->ndim * 8);
    return WG_OK;
}
/* One value at a mask alone may have any dtype: it is put as masked_fill puts it. Fails for a mask that does not fit.
 */
static wg_status fills_mask(const wg_call *c, const wg_tensor **mask) {
    int at = 0;
    *mask = NULL;
    if (c->in[1]->numel != 1 || c->attr[0].i) return WG_OK;
    for (int i = 2; i < c->nin; i++) {
        const wg_tensor *t = c->in[i];
        if (!t) at++;
        if (!t) continue;
        if (*mask || !is_mask(t)) return *mask = NULL, WG_OK;
        if (at + t->ndim <= c->in[0]->ndim && mask_fits("index_put", c->in[0], t, at) != WG_OK) return WG_ERR_INDEX;
        *mask = t;
    }
    return WG_OK;
}
static wg_status check_mask_value(const wg_call *c, const wg_tensor *mask) {
    const wg_tensor *x = c->in[0], *v = c->in[1];
    if (mask->dtype != WG_BOOL)
        return wg__raise(WG_ERR_RUNTIME, "masked_fill_",
                         "masked_fill_ only supports boolean masks, but got mask with dtype unsigned char");
    if (x->dtype == v->dtype) return WG_OK;
    wg_tensor one = *v;
    one.ndim = 0;
    return wg__check_fits("index_put", &one, (wg_dtype)x->dtype);
}
static wg_status check_value(const wg_call *c, const wg_geometry *r) {
    const wg_tensor *x = c->in[0], *v = c->in[1];
    char a[256], b[256];
    bool fits = v->ndim <= r->ndim;
    for (int i = 0; i < v->ndim && fits; i++) {
        int64_t want = r->sizes[r->ndim - v->ndim + i];
        fits = v->dims[i] == want || v->dims[i] == 1;
    }
    if (!fits)
        return wg__raise(WG_ERR_RUNTIME, "index_put",
                         "shape mismatch: value tensor of shape %s cannot be broadcast to indexing result of shape %s",
                         wg__sizes_text(a, sizeof(a), v->ndim, v->dims),
                         wg__sizes_text(b, sizeof(b), r->ndim, r->sizes));
    if (x->dtype == v->dtype || (v->flags & TF_NUMBER)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, "index_put",
                     "Index put requires the source and destination dtypes match, got %s for the "
                     "destination and %s for the source.",
                     wg__dtype_scalar_name((wg_dtype)x->dtype), wg__dtype_scalar_name((wg_dtype)v->dtype));
}
static wg_status put_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *mask;
    indexing k;
    wg_geometry r;
    k.offset = NULL;
    wg_status st = fills_mask(c, &mask);
    if (st == WG_OK) st = indexing_open("index_put", &k, x, c->in + 2, c->nin - 2, !mask);
    if (st == WG_OK && mask)
        st = check_mask_value(c, mask);
    else if (st == WG_OK) {
        result_sizes(&k, &r);
        st = check_value(c, &r);
        if (st == WG_OK && wg__numel(r.ndim, r.sizes)) st = locate("index_put", &k, wg__strides(x));
    }
    indexing_close(&k);
    if (st != WG_OK) return st;
    g->ndim = x->ndim;
    g->dtype = (wg_dtype)x->dtype;
    memcpy(g->sizes, x->dims, (size_t)x->ndim * 8);
    return laid_as_self(c, g);
}
/* The values' strides over what is written. One value may have more dims, at a mask. */
static void value_strides(const wg_tensor *v, const wg_geometry *r, int64_t *strides) {
    memset(strides, 0, (size_t)r->ndim * 8);
    if (v->ndim > r->ndim) return;
    wg__broadcast_strides(v, r->ndim, r->sizes, strides);
    for (int i = 0; i < r->ndim; i++) strides[i] /= (int64_t)wg__itemsize(v);
}
/* The values as they are visited, one after the other. */
static wg_tensor *wide_values(wg_tensor *v, wg_dtype d, const visit *way, const int64_t *strides) {
    wg_tensor *wide = wg__alias(v, way->dims, way->sizes, strides, 0, false),
              *r = wide ? wg__contiguous(wide, d) : NULL;
    wg_release(wide);
    return r;
}
/* With indices of several dims the order decides which of two values for a place stays: PyTorch's. */
static wg_status put_order(const wg_tensor *out, const indexing *k, visit *v, int64_t *strides) {
    int order[WG_MAX_DIMS];
    int64_t own[WG_MAX_DIMS];
    bool plain;
    if (k->bdims < 2) return WG_OK;
    wg_status st = layout_order(out, v, k, strides, order, &plain);
    reorder(v, order);
    memcpy(own, strides, sizeof(own));
    for (int i = 0; i < v->dims; i++) strides[i] = own[order[i]];
    return st;
}
static wg_status put_values(const wg_call *c, indexing *k, const wg_geometry *r) {
    wg_tensor *out = c->out[0];
    int64_t strides[WG_MAX_DIMS];
    visit v;
    value_strides(c->in[1], r, strides);
    visit_open(&v, k, wg__strides(out));
    wg_status st = put_order(out, k, &v, strides);
    wg_tensor *values = st == WG_OK ? wide_values(c->in[1], (wg_dtype)out->dtype, &v, strides) : NULL;
    if (st == WG_OK) st = values ? locate("index_put", k, wg__strides(out)) : WG_ERR_MEMORY;
    if (st == WG_OK)
        st = run_visit(&v, ints(k->offset), out->data, values->data, (wg_dtype)out->dtype,
                       c->attr[0].i ? add_one : copy_one, false);
    wg_release(values);
    return st;
}
/* In place, into what several elements share. */
static wg_status warn_expanded(const wg_call *c) {
    const wg_tensor *mask;
    if (c->out[0] != c->in[0] || !wg__may_overlap_itself(c->in[0])) return WG_OK;
    wg_status st = fills_mask(c, &mask);
    if (st != WG_OK || !mask) return st;
    return wg__warn(WG_WARN_USER, WG_MSG_EXPANDED, "masked_fill") ? WG_ERR_CALLBACK : WG_OK;
}
static wg_status put_run(const wg_call *c) {
    wg_tensor *x = c->in[0], *out = c->out[0];
    indexing k;
    wg_geometry r;
    wg_status st = warn_expanded(c);
    if (st != WG_OK) return st;
    st = indexing_open("index_put", &k, x, c->in + 2, c->nin - 2, false);
    if (st == WG_OK && out != x) st = wg__copy_into(out, x);
    if (st == WG_OK) {
        result_sizes(&k, &r);
        if (wg__numel(r.ndim, r.sizes)) st = put_values(c, &k, &r);
    }
    indexing_close(&k);
    return st;
}
static wg_tensor *put_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 1) return wg_index(g[0], c->in + 2, c->nin - 2);
    if (i > 1) return NULL;
    if (c->attr[0].i) return g[0];
    wg_tensor *at[WG_MAX_DIMS]; /* bytes would be refused as a mask for one value */
    for (int k = 2; k < c->nin; k++)
        at[k - 2] = c->in[k] && c->in[k]->dtype == WG_UINT8 ? wg_to(c->in[k], WG_BOOL) : c->in[k];
    return wg_index_put(g[0], at, c->nin - 2, wg__zeros((wg_dtype)g[0]->dtype, 0, NULL), false);
}
static wg_status loop_batch(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim) {
    return wg__batch_loop(c, bdim, out, out_bdim);
}
static wg_tensor *put_boxed(const wg_value *a) { return wg_index_put(a[0].t, a[1].ts, (int)a[1].n, a[2].t, a[3].i); }
static wg_tensor *put_boxed_(const wg_value *a) { return wg_index_put_(a[0].t, a[1].ts, (int)a[1].n, a[2].t, a[3].i); }
static const wg_op op_put = {
    .name = "index_put",
    .schema = "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    .doc = "self with values at index tensors and masks",
    .traits = WG_LINEAR | WG_LIST | WG_SAFE_INPLACE,
    .nin = 2,
    .nout = 1,
    .saves = WG_USE_W,
    .nondiff_in = ~3u,
    .shape = put_shape,
    .run = {put_run},
    .vjp = put_vjp,
    .batch = loop_batch,
    .boxed = put_boxed,
    .boxed_ = put_boxed_,
    .shown = WG_INPLACE,
    .formula = {"g, 0 where written", "g at the places"}};
static wg_tensor *put(wg_tensor *x, wg_tensor *const *indices, int n, wg_tensor *values, bool accumulate, bool inplace,
                      void *site) {
    wg_tensor *in[MAX_INDICES + 1];
    if (!gather_list(in + 1, values, indices, n, "index_put")) return WG_POISON;
    if (!values) return wg__fail(WG_ERR_TYPE, "index_put", "index_put(): argument 'values' must be Tensor, not None");
    wg_value a = WG_VAL_B(accumulate);
    int dims[WG_MAX_DIMS], count;
    in[1] = x;
    bool lifted = lift_flags(in + 1, n, dims, &count);
    in[0] = in[1];
    in[1] = values;
    if (lifted) {
        wg_tensor *r =
            inplace ? wg__apply_inplace(&op_put, in, n + 2, &a, 1, site) : wg__apply(&op_put, in, n + 2, &a, 1, site);
        while (count-- > 0 && !inplace && !wg_is_poison(r)) r = wg_squeeze_dim(r, dims[count]);
        return wg_is_poison(r) || !inplace ? r : x;
    }
    return inplace ? wg__apply_inplace(&op_put, in, n + 2, &a, 1, site) : wg__apply(&op_put, in, n + 2, &a, 1, site);
}
wg_tensor *wg_index_put(wg_tensor *x, wg_tensor *const *indices, int n, wg_tensor *values, bool accumulate) {
    return put(x, indices, n, values, accumulate, false, WG_SITE);
}
wg_tensor *wg_index_put_(wg_tensor *x, wg_tensor *const *indices, int n, wg_tensor *values, bool accumulate) {
    return put(x, indices, n, values, accumulate, true, WG_SITE);
}

/* ---- along one dim ----------------------------------------------------------------------------------------------- */

static wg_status in_range(const char *who, const wg_tensor *index, int64_t size, int dim, int ndim, bool negative) {
    const int64_t *p = ints(index);
    for (int64_t i = 0; i < index->numel; i++) {
        if (p[i] < (negative ? -size : 0) || p[i] >= size)
            return out_of_bounds(who, p[i], dim < 0 ? 0 : dim, size, ndim);
        if (wg__poll_at(i)) return WG_ERR_INTERRUPTED;
    }
    return WG_OK;
}
/* Copies of n elements each: asks when enough have been made. */
typedef struct asking {
    int64_t since;
} asking;
static inline wg_status ask(asking *k, int64_t n) {
    k->since += n + 1;
    if (k->since < ASK) return WG_OK;
    k->since = 0;
    return wg__poll() ? WG_ERR_INTERRUPTED : WG_OK;
}
static int dim_of(const wg_call *c, int ndim) {
    int64_t d = c->attr[0].i;
    return (int)(d < 0 ? d + ndim : d);
}
/* [outer, dim, inner] of a row-major tensor. */
static void around(const wg_tensor *t, int d, int64_t *outer, int64_t *inner) {
    *outer = *inner = 1;
    for (int i = 0; i < t->ndim; i++) *(i < d ? outer : inner) *= i == d ? 1 : t->dims[i];
}

/* index_select */
static wg_status select_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *index = c->in[1];
    int d = wg__wrap_dim("index_select", c->attr[0].i, x->ndim);
    if (d < 0) return WG_ERR_INDEX;
    if (index->ndim > 1)
        return wg__raise(WG_ERR_INDEX, "index_select", "index_select(): Index is supposed to be a vector");
    if (index->dtype != WG_INT64 && index->dtype != WG_INT32)
        return wg__raise(WG_ERR_RUNTIME, "index_select",
                         "index_select(): Expected dtype int32 or int64 for index. Got %s",
                         wg_dtype_name((wg_dtype)index->dtype));
    if (x->ndim == 0 && index->numel != 1)
        return wg__raise(WG_ERR_RUNTIME, "index_select",
                         "index_select(): Index to scalar can have only 1 value, got %lld value(s)",
                         (long long)index->numel);
    g->ndim = x->ndim;
    memcpy(g->sizes, x->dims, (size_t)x->ndim * 8);
    if (x->ndim) g->sizes[d] = index->numel;
    return WG_OK;
}
static wg_status select_run(const wg_call *c) {
    wg_tensor *out = c->out[0], *x = wg__contiguous(c->in[0], (wg_dtype)out->dtype), *index = positions(c->in[1]);
    wg_status st = x && index ? WG_OK : WG_ERR_MEMORY;
    int d = dim_of(c, c->in[0]->ndim);
    int64_t outer, inner, size = st == WG_OK && x->ndim ? x->dims[d] : 1;
    if (st == WG_OK) st = in_range("index_select", index, size, x->numel ? d : 1, x->ndim, false);
    if (st == WG_OK) {
        around(x, d, &outer, &inner);
        size_t run = (size_t)inner * wg__itemsize(x);
        char *to = out->data;
        asking k = {0};
        for (int64_t o = 0; o < outer && st == WG_OK; o++)
            for (int64_t i = 0; i < index->numel && st == WG_OK; i++, to += run) {
                memcpy(to, x->data + (size_t)(o * size + ints(index)[i]) * run, run);
                st = ask(&k, inner);
            }
    }
    wg_release(x);
    wg_release(index);
    return st;
}
static wg_tensor *select_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    return wg_index_add(wg__zeros((wg_dtype)g[0]->dtype, n, sizes), c->attr[0].i, c->in[1], g[0]);
}
static const wg_op op_index_select = {.name = "index_select",
                                      .schema = "index_select(Tensor self, int dim, Tensor index) -> Tensor",
                                      .doc = "slices of a dim, in the order of index",
                                      .traits = WG_LINEAR,
                                      .nin = 2,
                                      .nout = 1,
                                      .saves = WG_USE_Y,
                                      .nondiff_in = 2,
                                      .shape = select_shape,
                                      .run = {select_run},
                                      .vjp = select_vjp,
                                      .formula = {"g added at the index"}};
wg_tensor *wg_index_select(wg_tensor *x, int64_t dim, wg_tensor *index) {
    wg_tensor *in[2] = {x, index};
    return wg__apply(&op_index_select, in, 2, &WG_VAL_I(dim), 1, WG_SITE);
}

/* index_add, index_fill: in self, index, source */
static wg_status like_self(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0];
    g->ndim = x->ndim;
    g->dtype = (wg_dtype)x->dtype;
    memcpy(g->sizes, x->dims, (size_t)x->ndim * 8);
    return WG_OK;
}
static wg_status index_add_types(const wg_tensor *x, const wg_tensor *index, const wg_tensor *s) {
    const char *type = wg__dtype_scalar_name((wg_dtype)index->dtype);
    if (index->ndim > 1)
        return wg__raise(WG_ERR_INDEX, "index_add",
                         "index_add_(): Index is supposed to be a vector, but got dim: %d with type: %s and "
                         "size: %s",
                         index->ndim, type, wg__sizes_text((char[256]){0}, 256, index->ndim, index->dims));
    if (index->dtype != WG_INT64 && index->dtype != WG_INT32)
        return wg__raise(WG_ERR_RUNTIME, "index_add", "index_add_(): Expected dtype int32/int64 for index but got: %s",
                         type);
    if (s->dtype != x->dtype)
        return wg__raise(WG_ERR_RUNTIME, "index_add",
                         "index_add_(): self (%s) and source (%s) must have the same scalar type",
                         wg__dtype_scalar_name((wg_dtype)x->dtype), wg__dtype_scalar_name((wg_dtype)s->dtype));
    return WG_OK;
}
static wg_status index_add_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *index = c->in[1], *s = c->in[2];
    int d = wg__wrap_dim("index_add", c->attr[0].i, x->ndim);
    if (d < 0) return WG_ERR_INDEX;
    wg_status st = index_add_types(x, index, s);
    if (st != WG_OK) return st;
    if (s->ndim == 0 && index->numel != 1)
        return wg__raise(WG_ERR_INDEX, "index_add",
                         "Dimension specified as %d but tensor has no dimensions. The source is one element, "
                         "the indices are %lld",
                         d, (long long)index->numel);
    bool fits = s->ndim == x->ndim;
    if (d < s->ndim && index->numel != s->dims[d])
        return wg__raise(
            WG_ERR_RUNTIME, "index_add",
            "index_add_(): Number of indices (%lld) should be equal to source.size(dim): (%lld), for dim: %d",
            (long long)index->numel, (long long)s->dims[d], d);
    for (int i = 0; i < s->ndim && fits; i++) fits = i == d || s->dims[i] == x->dims[i];
    if (!fits)
        return wg__raise(WG_ERR_RUNTIME, "index_add",
                         "source tensor shape must match self tensor shape, excluding the specified "
                         "dimension. Got self.shape = %s source.shape = %s",
                         wg__sizes_text((char[256]){0}, 256, x->ndim, x->dims),
                         wg__sizes_text((char[256]){0}, 256, s->ndim, s->dims));
    return like_self(c, g);
}
static wg_status index_write(const wg_call *c, wg_tensor *source, bool single, move_fn move) {
    wg_tensor *out = c->out[0], *index = positions(c->in[1]);
    wg_dtype dt = (wg_dtype)out->dtype;
    wg_tensor *s = wg__contiguous(source, dt),
              *whole = (out->flags & TF_CONTIG) ? wg__retain(out) : wg__temp(dt, out->ndim, out->dims);
    wg_status st = index && s && whole ? WG_OK : WG_ERR_MEMORY;
    int d = dim_of(c, out->ndim);
    int64_t outer, inner, size = out->ndim ? out->dims[d] : 1;
    if (st == WG_OK && (out->numel || (single && size == 0)))
        st = in_range(c->op->name, index, size, d, out->ndim, single);
    if (st == WG_OK && (whole != out || out != c->in[0])) st = wg__copy_into(whole, c->in[0]);
    if (st == WG_OK) {
        around(whole, d, &outer, &inner);
        if (out->numel == 0) outer = 0;
        size_t item = wg__itemsize(out);
        asking asked = {0};
        for (int64_t o = 0; o < outer && st == WG_OK; o++)
            for (int64_t i = 0; i < index->numel && st == WG_OK; i++) {
                int64_t at = ints(index)[i] < 0 ? ints(index)[i] + size : ints(index)[i];
                char *to = whole->data + (size_t)((o * size + at) * inner) * item;
                const char *from = s->data + (single ? 0 : (size_t)((o * index->numel + i) * inner) * item);
                for (int64_t k = 0; k < inner; k++)
                    move(to + (size_t)k * item, from + (single ? 0 : (size_t)k * item), dt, item);
                st = ask(&asked, inner);
            }
        if (st == WG_OK && whole != out) st = wg__copy_into(out, whole);
    }
    wg_release(whole);
    wg_release(s);
    wg_release(index);
    return st;
}
static wg_status index_add_run(const wg_call *c) { return index_write(c, c->in[2], false, add_one); }
static wg_tensor *index_add_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 0) return g[0];
    wg_tensor *r = wg_index_select(g[0], c->attr[0].i, c->in[1]);
    int n;
    const int64_t *sizes = wg__input_sizes(c, 2, &n);
    return wg_is_poison(r) || r->ndim == n ? r : wg_reshape(r, n, sizes);
}
static wg_tensor *index_add_boxed(const wg_value *a), *index_add_boxed_(const wg_value *a);
static const wg_op op_index_add = {
    .name = "index_add",
    .shown = WG_INPLACE,
    .boxed = index_add_boxed,
    .boxed_ = index_add_boxed_,
    .schema = "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
    .doc = "self with alpha times source's slices added at index",
    .traits = WG_LINEAR,
    .nin = 3,
    .nout = 1,
    .saves = WG_USE_Y,
    .nondiff_in = 2,
    .shape = index_add_shape,
    .run = {index_add_run},
    .vjp = index_add_vjp,
    .formula = {"g", NULL, "g at the index"}};
wg_tensor *wg_index_add(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *source) {
    wg_tensor *in[3] = {x, index, source};
    return wg__apply(&op_index_add, in, 3, &WG_VAL_I(dim), 1, WG_SITE);
}
static wg_tensor *times_alpha(wg_tensor *source, const wg_value *alpha) {
    bool one = alpha->tag == WG_V_DOUBLE ? alpha->d == 1 : alpha->i == 1;
    return one ? source : wg_mul(source, alpha->tag == WG_V_DOUBLE ? wg_s(alpha->d) : wg_i(alpha->i));
}
static wg_tensor *index_add_boxed(const wg_value *a) {
    return wg_index_add(a[0].t, a[1].i, a[2].t, times_alpha(a[3].t, &a[4]));
}
static wg_tensor *index_add_boxed_(const wg_value *a) {
    wg_tensor *in[3] = {a[0].t, a[2].t, times_alpha(a[3].t, &a[4])};
    return wg__apply_inplace(&op_index_add, in, 3, &a[1], 1, WG_SITE);
}

/* Before the first element is written. A dim of size 0 has no place even when nothing would be written, unless another
 * dim is empty too. */
static wg_status check_fill_places(const wg_call *c) {
    const wg_tensor *x = c->in[0];
    int d = dim_of(c, x->ndim);
    int64_t others = 1;
    for (int i = 0; i < x->ndim; i++) others *= i == d ? 1 : x->dims[i];
    if (others == 0) return WG_OK;
    wg_tensor *index = positions(c->in[1]);
    wg_status st = index ? in_range("index_fill", index, x->ndim ? x->dims[d] : 1, d, x->ndim, true) : WG_ERR_MEMORY;
    wg_release(index);
    return st;
}
static wg_status index_fill_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *index = c->in[1];
    wg_status st = WG_OK;
    if (c->in[2]->ndim != 0)
        return wg__raise(WG_ERR_RUNTIME, "index_fill",
                         "index_fill_ only supports a 0-dimensional value tensor, but got tensor with %d "
                         "dimension(s).",
                         c->in[2]->ndim);
    if (index->dtype != WG_INT64)
        return wg__raise(WG_ERR_INDEX, "index_fill", "index_fill_(): Expected dtype int64 for index. Got %s",
                         wg_dtype_name((wg_dtype)index->dtype));
    if (wg__wrap_dim("index_fill", c->attr[0].i, c->in[0]->ndim) < 0) return WG_ERR_INDEX;
    if (index->ndim > 1)
        return wg__raise(WG_ERR_RUNTIME, "index_fill", "Index has to be a vector/scalar. It has %d dims", index->ndim);
    st = wg__check_fits("index_fill", c->in[2], (wg_dtype)c->in[0]->dtype);
    if (st == WG_OK) st = check_fill_places(c);
    if (st == WG_OK) st = like_self(c, g);
    return st == WG_OK ? laid_as_self(c, g) : st;
}
static const char *index_fill_name(const wg_call *c) {
    return c->node->numbers & 4 ? "IndexFillBackward0" : "IndexFillBackward1";
}
/* Straight into out, whatever its strides are: its elements may share memory. */
static wg_status index_fill_run(const wg_call *c) {
    _Alignas(16) char one[16];
    int64_t no_dims[1] = {0};
    wg_tensor *out = c->out[0],
              cell = {.dtype = out->dtype, .flags = TF_CONTIG, .numel = 1, .data = one, .dims = no_dims};
    indexing k = {.ndim = out->ndim, .bdims = c->in[1]->ndim, .count = c->in[1]->numel, .first = dim_of(c, out->ndim)};
    visit v;
    if (out->ndim == 0) return index_write(c, c->in[2], true, copy_one);
    memcpy(k.sizes, out->dims, (size_t)out->ndim * 8);
    k.list[k.first] = c->in[1];
    k.indexed[k.first] = true;
    k.bsizes[0] = k.count;
    wg_status st = out == c->in[0] ? WG_OK : wg__copy_into(out, c->in[0]);
    if (st == WG_OK) st = wg__copy_into(&cell, c->in[2]);
    if (st == WG_OK && out->numel) st = locate("index_fill", &k, wg__strides(out));
    if (st == WG_OK && out->numel) {
        visit_open(&v, &k, wg__strides(out));
        st = run_visit(&v, ints(k.offset), out->data, one, (wg_dtype)out->dtype, copy_one, true);
    }
    indexing_close(&k);
    return st;
}
static wg_tensor *index_fill_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 0) return wg_index_fill(g[0], c->attr[0].i, c->in[1], wg_s(0));
    wg_tensor *written = wg_zeros_like(g[0], WG_DTYPE(WG_BOOL)); /* an index that stands there twice wrote once */
    written = wg_index_fill(written, c->attr[0].i, c->in[1], wg_b(true));
    return wg_sum_opt(wg_where(written, g[0], wg_s(0)), NULL);
}
static const wg_op op_index_fill = {.name = "index_fill",
                                    .shown = WG_INPLACE,
                                    .schema =
                                        "index_fill(Tensor self, int dim, Tensor index, Tensor|Scalar value) -> Tensor",
                                    .doc = "self with a value in the slices at index",
                                    .traits = WG_LINEAR | WG_SAFE_INPLACE,
                                    .nin = 3,
                                    .nout = 1,
                                    .saves = WG_USE_Y,
                                    .nondiff_in = 2,
                                    .shape = index_fill_shape,
                                    .run = {index_fill_run},
                                    .vjp = index_fill_vjp,
                                    .grad_name = index_fill_name,
                                    .formula = {"g, 0 at the index", NULL, "sum of g at the index"}};
wg_tensor *wg_index_fill(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *value) {
    wg_tensor *in[3] = {x, index, value};
    return wg__apply(&op_index_fill, in, 3, &WG_VAL_I(dim), 1, WG_SITE);
}

/* ---- gather, scatter_add: the index has the dims of self --------------------------------------------------------- */

static int dims_or_one(const wg_tensor *t) { return t->ndim ? t->ndim : 1; }
/* Is the index within t's sizes, save along dim d (-1: nowhere)? */
static bool index_within(const wg_tensor *index, const wg_tensor *t, int d) {
    for (int i = 0; i < dims_or_one(index); i++)
        if (i != d && (index->ndim ? index->dims[i] : 1) > (t->ndim ? t->dims[i] : 1)) return false;
    return true;
}
static wg_status gather_check(const char *who, const char *name, const wg_call *c) {
    const wg_tensor *index = c->in[1];
    if (wg__wrap_dim(who, c->attr[0].i, c->in[0]->ndim) < 0) return WG_ERR_INDEX;
    bool bytes =
        index->dtype == WG_UINT8 && strcmp(who, "gather") == 0; /* PyTorch reads them there, and not in scatter */
    if (index->dtype != WG_INT64 && index->dtype != WG_INT32 && !bytes)
        return wg__raise(WG_ERR_RUNTIME, who, "%s(): Expected dtype int32/int64 for index. Got %s", name,
                         wg_dtype_name((wg_dtype)index->dtype));
    return WG_OK;
}
static wg_status gather_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *index = c->in[1];
    wg_status st = gather_check("gather", "gather", c);
    g->ndim = index->ndim;
    memcpy(g->sizes, index->dims, (size_t)g->ndim * 8);
    if (st != WG_OK || index->numel == 0) return st;
    if (dims_or_one(x) != dims_or_one(index))
        return wg__raise(WG_ERR_RUNTIME, "gather",
                         "Index tensor must have the same number of dimensions as input tensor");
    int d = dim_of(c, dims_or_one(x));
    if (index_within(index, x, d)) return WG_OK;
    int i = 0;
    while (i == d || index->dims[i] <= x->dims[i]) i++;
    return wg__raise(WG_ERR_RUNTIME, "gather",
                     "Size does not match at dimension %d expected index %s to be no larger than self %s apart "
                     "from dimension %d",
                     i, wg__sizes_text((char[256]){0}, 256, index->ndim, index->dims),
                     wg__sizes_text((char[256]){0}, 256, x->ndim, x->dims), d);
}
/* For every element of index (row-major counter i over its sizes): offsets of the place in a (with the index along d)
 * and in b (the same counter). */
static wg_status walk_index(const char *who, const wg_tensor *index, int d, char *a, const int64_t *as, int64_t size,
                            char *b, const int64_t *bs, wg_dtype dt, bool read, move_fn move) {
    int64_t counter[WG_MAX_DIMS] = {0}, at = 0, bt = 0;
    size_t item = wg_dtype_size(dt);
    const int64_t *p = ints(index);
    for (int64_t i = 0; i < index->numel; i++) {
        if (p[i] < 0 || p[i] >= size) return out_of_bounds(who, p[i], d, size, index->ndim);
        char *pa = a + (at + p[i] * as[d]) * (int64_t)item, *pb = b + bt * (int64_t)item;
        if (read)
            memcpy(pb, pa, item);
        else
            move(pa, pb, dt, item);
        if (wg__poll_at(i)) return WG_ERR_INTERRUPTED;
        for (int e = index->ndim; e-- > 0;) {
            int64_t step = e == d ? 0 : as[e];
            at += step;
            bt += bs[e];
            if (++counter[e] < index->dims[e]) break;
            at -= step * index->dims[e];
            bt -= bs[e] * index->dims[e];
            counter[e] = 0;
        }
    }
    return WG_OK;
}
static const int64_t unit_stride[1] = {1};
static wg_status gather_run(const wg_call *c) {
    wg_tensor *x = c->in[0], *out = c->out[0], *index = positions(c->in[1]);
    if (!index) return WG_ERR_MEMORY;
    int d = dim_of(c, x->ndim);
    const int64_t *xs = x->ndim ? wg__strides(x) : unit_stride;
    wg_status st = walk_index("gather", index, d < 0 ? 0 : d, x->data, xs, x->ndim ? x->dims[d] : 1, out->data,
                              wg__strides(out), (wg_dtype)x->dtype, true, NULL);
    wg_release(index);
    return st;
}
static wg_tensor *gather_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    wg_tensor *index = c->in[1]->dtype == WG_UINT8 ? wg_to(c->in[1], WG_INT64) : c->in[1];
    return wg_scatter_add(wg__zeros((wg_dtype)g[0]->dtype, n, sizes), c->attr[0].i, index, g[0]);
}
static const wg_op op_gather = {.name = "gather",
                                .schema =
                                    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
                                .doc = "out[i][j] = self[index[i][j]][j] for dim 0",
                                .traits = WG_LINEAR,
                                .nin = 2,
                                .nout = 1,
                                .saves = WG_USE_Y,
                                .nondiff_in = 2,
                                .shape = gather_shape,
                                .run = {gather_run},
                                .vjp = gather_vjp,
                                .formula = {"g added where it was read"}};
wg_tensor *wg_gather(wg_tensor *x, int64_t dim, wg_tensor *index) {
    wg_tensor *in[2] = {x, index};
    return wg__apply(&op_gather, in, 2, &WG_VAL_I(dim), 1, WG_SITE);
}

static wg_status scatter_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *x = c->in[0], *index = c->in[1], *s = c->in[2];
    wg_status st = gather_check("scatter_add", "scatter", c);
    if (st != WG_OK) return st;
    if (s->dtype != x->dtype)
        return wg__raise(WG_ERR_RUNTIME, "scatter_add", "scatter(): Expected self.dtype to be equal to src.dtype");
    like_self(c, g);
    if (index->numel == 0) return WG_OK;
    const wg_tensor *odd = dims_or_one(index) != dims_or_one(x) ? x : dims_or_one(index) != dims_or_one(s) ? s : NULL;
    if (odd)
        return wg__raise(WG_ERR_RUNTIME, "scatter_add",
                         "Index tensor must have the same number of dimensions as %s tensor",
                         odd == x ? "self" : "src");
    int d = dim_of(c, dims_or_one(x));
    if (index_within(index, x, d) && index_within(index, s, -1)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, "scatter_add",
                     "Expected index %s to be no larger than self %s apart from dimension %d and to be no "
                     "larger size than src %s",
                     wg__sizes_text((char[256]){0}, 256, index->ndim, index->dims),
                     wg__sizes_text((char[256]){0}, 256, x->ndim, x->dims), d,
                     wg__sizes_text((char[256]){0}, 256, s->ndim, s->dims));
}
static wg_status scatter_run(const wg_call *c) {
    wg_tensor *out = c->out[0], *s = c->in[2], *index = positions(c->in[1]);
    wg_status st = index ? WG_OK : WG_ERR_MEMORY;
    if (st == WG_OK && out != c->in[0]) st = wg__copy_into(out, c->in[0]);
    int d = dim_of(c, out->ndim);
    if (st == WG_OK)
        st = walk_index("scatter_add", index, d < 0 ? 0 : d, out->data, out->ndim ? wg__strides(out) : unit_stride,
                        out->ndim ? out->dims[d] : 1, s->data, s->ndim ? wg__strides(s) : unit_stride,
                        (wg_dtype)out->dtype, false, add_one);
    wg_release(index);
    return st;
}
static wg_tensor *scatter_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    if (i == 0) return g[0];
    wg_tensor *r = wg_gather(g[0], c->attr[0].i, c->in[1]);
    int n;
    const int64_t *sizes = wg__input_sizes(c, 2, &n);
    if (wg_is_poison(r) || (r->ndim == n && memcmp(r->dims, sizes, (size_t)n * 8) == 0)) return r;
    int64_t strides[WG_MAX_DIMS]; /* src may be larger than index: the rest gets 0 */
    wg__row_major(n, sizes, strides);
    return wg__as_strided_scatter(wg__zeros((wg_dtype)r->dtype, n, sizes), r, r->ndim, r->dims, strides, 0);
}
static const wg_op op_scatter_add = {.name = "scatter_add",
                                     .shown = WG_INPLACE,
                                     .schema = "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
                                     .doc = "self[index[i][j]][j] += src[i][j] for dim 0",
                                     .traits = WG_LINEAR | WG_SAFE_INPLACE,
                                     .nin = 3,
                                     .nout = 1,
                                     .saves = WG_USE_Y,
                                     .nondiff_in = 2,
                                     .shape = scatter_shape,
                                     .run = {scatter_run},
                                     .vjp = scatter_vjp,
                                     .formula = {"g", NULL, "g at the index"}};
wg_tensor *wg_scatter_add(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *source) {
    wg_tensor *in[3] = {x, index, source};
    return wg__apply(&op_scatter_add, in, 3, &WG_VAL_I(dim), 1, WG_SITE);
}

/* ---- nonzero ----------------------------------------------------------------------------------------------------- */

/* -1: stopped. */
static int64_t count_true(const wg_tensor *flat) {
    int64_t n = 0;
    for (int64_t i = 0, end; i < flat->numel; i = end) {
        end = flat->numel - i > ASK ? i + ASK : flat->numel;
        for (int64_t k = i; k < end; k++) n += flat->data[k] != 0;
        if (end < flat->numel && wg__poll()) return -1;
    }
    return n;
}
static wg_status nonzero_shape(const wg_call *c, wg_geometry *g) {
    wg_tensor *flat = wg__contiguous(c->in[0], WG_BOOL);
    if (!flat) return WG_ERR_MEMORY;
    g->ndim = 2;
    g->dtype = WG_INT64;
    g->sizes[0] = count_true(flat);
    g->sizes[1] = c->in[0]->ndim;
    g->strided = true; /* column by column, as PyTorch's */
    g->strides[0] = 1;
    g->strides[1] = g->sizes[0];
    wg_release(flat);
    return g->sizes[0] < 0 ? WG_ERR_INTERRUPTED : WG_OK;
}
static wg_status nonzero_run(const wg_call *c) {
    wg_tensor *flat = wg__contiguous(c->in[0], WG_BOOL);
    if (!flat) return WG_ERR_MEMORY;
    int64_t *to = (int64_t *)(void *)c->out[0]->data;
    wg_status st = WG_OK;
    for (int64_t i = 0; i < flat->numel && st == WG_OK; i++) {
        if (wg__poll_at(i)) st = WG_ERR_INTERRUPTED;
        if (!flat->data[i]) continue;
        int64_t rest = i;
        for (int d = flat->ndim; d-- > 0; rest /= flat->dims[d]) to[d * c->out[0]->dims[0]] = rest % flat->dims[d];
        to++;
    }
    wg_release(flat);
    return st;
}
static const wg_op op_nonzero = {.name = "nonzero",
                                 .schema = "nonzero(Tensor self) -> Tensor",
                                 .doc = "coordinates of the elements that are not zero, row by row",
                                 .traits = WG_NONDIFF,
                                 .nin = 1,
                                 .nout = 1,
                                 .shape = nonzero_shape,
                                 .run = {nonzero_run}};
wg_tensor *wg_nonzero(wg_tensor *x) { return wg__apply(&op_nonzero, &x, 1, NULL, 0, WG_SITE); }

/* ---- embedding --------------------------------------------------------------------------------------------------- */

/* in: weight, indices. attr: padding_idx. */
static wg_status embedding_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *w = c->in[0], *i = c->in[1];
    if (w->ndim != 2) return wg__raise(WG_ERR_RUNTIME, "embedding", "'weight' must be 2-D");
    if (i->dtype != WG_INT64 && i->dtype != WG_INT32)
        return wg__raise(
            WG_ERR_RUNTIME, "embedding",
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            "torch.%sTensor instead (while checking arguments for embedding)",
            wg__dtype_scalar_name((wg_dtype)i->dtype));
    if (i->ndim == WG_MAX_DIMS)
        return wg__raise(WG_ERR_RUNTIME, "embedding", "embedding: only tensors with up to %d dims are supported",
                         WG_MAX_DIMS);
    g->ndim = i->ndim + 1;
    memcpy(g->sizes, i->dims, (size_t)i->ndim * 8);
    g->sizes[i->ndim] = w->dims[1];
    return WG_OK;
}
static wg_status embedding_run(const wg_call *c) {
    wg_tensor *w = wg__contiguous(c->in[0], (wg_dtype)c->in[0]->dtype), *i = positions(c->in[1]);
    wg_status st = w && i ? in_range("embedding", i, w->dims[0], w->numel ? 0 : 1, 2, false) : WG_ERR_MEMORY;
    if (st == WG_OK) {
        size_t row = (size_t)w->dims[1] * wg__itemsize(w);
        asking asked = {0};
        for (int64_t k = 0; k < i->numel && st == WG_OK; k++) {
            memcpy(c->out[0]->data + (size_t)k * row, w->data + (size_t)ints(i)[k] * row, row);
            st = ask(&asked, w->dims[1]);
        }
    }
    wg_release(w);
    wg_release(i);
    return st;
}
/* The padding row takes part in the forward but gets no gradient. */
static wg_tensor *embedding_vjp(const wg_call *c, wg_tensor *const *g, int i) {
    int n;
    const int64_t *sizes = wg__input_sizes(c, i, &n);
    wg_tensor *rows = wg_flatten(c->in[1], 0, -1), *flat;
    int64_t shape[2] = {rows->numel, sizes[1]}, pad = c->attr[0].tag == WG_V_NONE ? -1 : c->attr[0].i;
    flat = wg_reshape(g[0], 2, shape);
    if (pad >= 0) {
        int64_t column[2] = {rows->numel, 1};
        flat = wg_masked_fill(flat, wg_reshape(wg_eq(rows, wg_i(pad)), 2, column), wg_s(0));
    }
    return wg_index_add(wg__zeros((wg_dtype)g[0]->dtype, 2, sizes), 0, rows, flat);
}
static wg_tensor *embedding_boxed(const wg_value *a) {
    if (a[3].i || a[4].i)
        return wg__fail(WG_ERR_NOT_IMPLEMENTED, "embedding",
                        "embedding: scale_grad_by_freq and sparse are not implemented");
    return wg_embedding(a[0].t, a[1].t, a[2].i);
}
static const wg_op op_embedding = {
    .name = "embedding",
    .boxed = embedding_boxed,
    .schema = "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool "
              "sparse=False) -> Tensor",
    .doc = "rows of weight",
    .traits = WG_LINEAR,
    .nin = 2,
    .nout = 1,
    .saves = WG_USE_Y,
    .nondiff_in = 2,
    .shape = embedding_shape,
    .run = {embedding_run},
    .vjp = embedding_vjp,
    .formula = {"g added to the rows"}};
wg_tensor *wg_embedding(wg_tensor *weight, wg_tensor *indices, int64_t padding_idx) {
    wg_tensor *in[2] = {weight, indices};
    return wg__apply(&op_embedding, in, 2, &WG_VAL_I(padding_idx), 1, WG_SITE);
}

const wg_op *const wg__ops_index[] = {&op_index,  &op_put,         &op_index_select, &op_index_add, &op_index_fill,
                                      &op_gather, &op_scatter_add, &op_nonzero,      &op_embedding, NULL};
