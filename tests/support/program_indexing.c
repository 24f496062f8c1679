/* program_indexing.c - the steps of random programs that read and write at positions which are data. See program.h and
 * tests/fuzz/test_programs.c.
 */
#include "support/program.h"

#include <string.h>

/* Bad indices for nothing: PyTorch refuses some, in some order; the library need only live. */
static bool open_question(program *p, const item *x, unsigned wrong) {
    if (!wrong || nt_numel(x->model) > 0) return false;
    wg_clear_error();
    p->stale = true; /* it may count as a write */
    return true;
}

/* Up to three indices and masks for x; NULL: a whole dim. */
static int any_indices(program *p, const nt *x, wg_tensor **lib, nt **m) {
    int64_t shape[NT_DIMS] = {between(p, chance(p, 20) ? 0 : 1, 3), between(p, 1, 2)};
    int n = 0, ndim = (int)below(p, 3);
    for (int d = 0; d < x->ndim && n < 3; n++) {
        item t = {0};
        if (chance(p, 3)) {
            d++;
        } else if (chance(p, 4)) {
            int k = d + 1 < x->ndim && chance(p, 3) ? 2 : 1;
            t = fresh_mask(p, k, x->sizes + d);
            d += k;
        } else {
            t = fresh_index(p, chance(p, 6) ? WG_INT32 : WG_INT64, ndim, shape, -x->sizes[d], x->sizes[d] - 1);
            d++;
        }
        lib[n] = t.lib;
        m[n] = t.model;
        if (!t.lib) say(p, "    (a whole dim)\n");
    }
    if (chance(p, 40)) {
        item t = *any_item(p);
        if (t.model->ndim == 0 && t.model->dtype <= WG_UINT8)
            return n; /* a mask without dims: tests/ops/test_index.c */
        lib[n] = t.lib;
        m[n++] = t.model;
        say(p, "    and %s\n", t.name);
    }
    return n;
}
void step_index_read(program *p) {
    item x = *any_item(p);
    wg_tensor *lib[5];
    nt *at[5], *m = NULL;
    int n = any_indices(p, x.model, lib, at);
    say(p, "  index(%s, those %d)\n", x.name, n);
    unsigned wrong = nt_index(x.model, at, n, &m);
    wg_tensor *r = wg_index(x.lib, lib, n);
    if (!open_question(p, &x, wrong) && settle(p, wrong, r) && m->ndim < 7) take_result(p, r, m, &x.model, 1, true);
}

/* Without accumulation a place that is named twice may hold either. */
static bool names_twice(nt *x, nt *const *at, int n) {
    nt *ones = nt_number(WG_INT64, 1), *zeros = nt_new(WG_INT64, x->ndim, x->sizes), *counts = NULL;
    if (nt_index_put(zeros, at, n, ones, true, &counts)) return false;
    for (int64_t f = nt_numel(x); f-- > 0;)
        if (nt_get(counts, f).i > 1) return true;
    return false;
}
void step_index_write(program *p) {
    item x = *any_item(p), v;
    wg_tensor *lib[5];
    nt *at[5], *m = NULL, *sample = NULL;
    int n = any_indices(p, x.model, lib, at);
    bool write = chance(p, 2), accumulate = chance(p, 2);
    int64_t sizes[NT_DIMS];
    if (nt_index(x.model, at, n, &sample)) sample = x.model;
    int ndim = mate_shape(p, sample, sizes);
    v = fresh(p, chance(p, 25) ? any_dtype(p) : x.model->dtype, chance(p, 3) ? 0 : ndim, sizes);
    nt *in[2] = {x.model, v.model};
    /* What a masked_fill does with another dtype, and that its backward refuses a value of more dims, is PyTorch's own.
     */
    bool odd = v.model->dtype != x.model->dtype || (p->gradients && v.model->ndim > sample->ndim);
    if (odd && nt_fills_mask(at, n, v.model, accumulate)) return;
    unsigned wrong = nt_index_put(x.model, at, n, v.model, accumulate, &m);
    if (!wrong && !accumulate && names_twice(x.model, at, n) && (p->gradients || nt_numel(v.model) > 1)) return;
    for (int k = 0; k < n && write; k++)
        if (at[k] && at[k]->memory == x.model->memory) return;
    if (write && !plan_write(p, &x, m, &v.model, 1, &wrong, NT_INDEXED)) return;
    if (write && wrong && nt_numel(x.model) == 0 && p->recording && nt_requires(v.model))
        return; /* it may make a history too */
    say(p, "  index_put%s(%s, those %d, %s, accumulate %d)\n", write ? "_" : "", x.name, n, v.name, accumulate);
    wg_tensor *r =
        write ? wg_index_put_(x.lib, lib, n, v.lib, accumulate) : wg_index_put(x.lib, lib, n, v.lib, accumulate);
    if (open_question(p, &x, wrong)) return;
    if (write)
        end_write(p, &x, m, &v.model, 1, wrong, r);
    else if (settle(p, wrong, r))
        take_result(p, r, m, in, 2, true);
}

/* index_select, index_add, index_fill */
void step_along_vector(program *p) {
    static const char *const names[] = {"index_select", "index_add", "index_fill"};
    item x = *any_item(p), s = {0};
    int64_t d = any_dim(p, x.model->ndim), at = d, n = between(p, 0, 4), sizes[NT_DIMS] = {0};
    bool known = !nt_wrap(&at, x.model->ndim);
    int64_t size = !known ? 1 : x.model->ndim ? x.model->sizes[at] : 1;
    int way = (int)below(p, 3);
    item i = fresh_index(p, chance(p, 6) ? WG_INT32 : WG_INT64, chance(p, 6) ? 0 : 1, &n, 0, size - 1);
    n = nt_numel(i.model);
    memcpy(sizes, x.model->sizes, sizeof sizes);
    if (known && x.model->ndim) sizes[at] = chance(p, 30) ? n + 1 : n;
    if (way == 1) s = fresh(p, chance(p, 30) ? any_dtype(p) : x.model->dtype, x.model->ndim, sizes);
    if (way == 2)
        s = chance(p, 2) ? number(p, p->gradients ? WG_FLOAT64 : WG_INT64)
                         : fresh(p, x.model->dtype, chance(p, 20), sizes);
    nt *in[2] = {x.model, s.model}, *m = NULL;
    say(p, "  %s(%s, %lld, %s, %s)\n", names[way], x.name, (long long)d, i.name, s.name);
    unsigned wrong = way == 0   ? nt_index_select(x.model, d, i.model, &m)
                     : way == 1 ? nt_index_add(x.model, d, i.model, s.model, &m)
                                : nt_index_fill(x.model, d, i.model, s.model, &m);
    wg_tensor *r = way == 0   ? wg_index_select(x.lib, d, i.lib)
                   : way == 1 ? wg_index_add(x.lib, d, i.lib, s.lib)
                              : wg_index_fill(x.lib, d, i.lib, s.lib);
    if (!open_question(p, &x, wrong) && settle(p, wrong, r)) take_result(p, r, m, in, way ? 2 : 1, true);
}
/* gather, scatter_add */
void step_along_same(program *p) {
    item x = *any_item(p), s = {0};
    int64_t d = any_dim(p, x.model->ndim), at = d, sizes[NT_DIMS] = {0};
    bool known = !nt_wrap(&at, x.model->ndim), add = chance(p, 2);
    int64_t size = !known ? 1 : x.model->ndim ? x.model->sizes[at] : 1;
    for (int k = 0; k < x.model->ndim; k++) {
        sizes[k] = k == at ? between(p, 0, 3) : chance(p, 3) ? between(p, 0, x.model->sizes[k]) : x.model->sizes[k];
        if (chance(p, 60)) sizes[k]++;
    }
    item i = fresh_index(p, chance(p, 25) ? WG_INT32 : WG_INT64, x.model->ndim, sizes, 0, size - 1);
    for (int k = 0; k < x.model->ndim; k++) sizes[k] += chance(p, 4);
    if (add) s = fresh(p, chance(p, 30) ? any_dtype(p) : x.model->dtype, x.model->ndim, sizes);
    nt *in[2] = {x.model, s.model}, *m = NULL;
    say(p, "  %s(%s, %lld, %s, %s)\n", add ? "scatter_add" : "gather", x.name, (long long)d, i.name, s.name);
    unsigned wrong = add ? nt_scatter_add(x.model, d, i.model, s.model, &m) : nt_gather(x.model, d, i.model, &m);
    wg_tensor *r = add ? wg_scatter_add(x.lib, d, i.lib, s.lib) : wg_gather(x.lib, d, i.lib);
    if (!open_question(p, &x, wrong) && settle(p, wrong, r)) take_result(p, r, m, in, 1 + add, true);
}
void step_nonzero(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    say(p, "  nonzero(%s)\n", x.name);
    nt_nonzero(x.model, &m);
    wg_tensor *r = wg_nonzero(x.lib);
    if (settle(p, 0, r) && !p->gradients) take_result(p, r, m, &x.model, 1, true);
}
