/* view.c - views and in-place writes: which are allowed (V1), and how history is rewritten (V2, V3, V4).
 *
 * A write to a plain non-leaf replaces its grad_fn. A write to a view makes one CopySlices node the grad_fn of the
 * base: it owns the write's node and applies it to the slice of the base that was written. The view, and every sibling,
 * finds out by its version and makes a new grad_fn (AsStrided of the base) when asked.
 */
#include "autograd/node.h"

#include <stdio.h>

#include "core/alloc.h"
#include "core/messages.h"
#include "ops/rules.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

wg_status wg__mark_view(wg_tensor *alias, wg_tensor *t, int kind) {
    wg_meta *m = wg__meta(alias);
    if (!m) return WG_ERR_MEMORY;
    bool nested = (t->flags & TF_VIEW) != 0;
    if (t->flags & TF_STACK) return WG_OK; /* alias copied the number: nothing to be a view of */
    m->base = wg__retain(nested ? t->meta->base : t);
    m->view_version = wg__version(alias);
    m->view_kind = (uint8_t)kind;
    if (nested && t->meta->view_kind != VIEW_NORMAL)
        m->view_kind = t->meta->view_kind;
    else if (wg__tls.no_grad && kind == VIEW_NORMAL)
        m->view_kind = VIEW_NO_GRAD;
    alias->flags |= TF_VIEW;
    return WG_OK;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static wg_status refuse_view(wg_tensor *t, const char *what) {
    char name[96] = "";
    switch (t->meta->view_kind) {
    case VIEW_MULTI:
    case VIEW_CUSTOM:
        if (!t->grad_fn)
            return wg__raise(WG_ERR_RUNTIME, NULL,
                             t->meta->view_kind == VIEW_MULTI ? WG_MSG_NO_GRAD_MULTI_VIEW : WG_MSG_NO_GRAD_CUSTOM_VIEW,
                             what);
        wg__node_op_name(t->grad_fn, name, sizeof(name));
        if (t->meta->view_kind == VIEW_MULTI)
            return wg__raise(WG_ERR_RUNTIME, NULL, WG_MSG_MULTI_VIEW, (int)t->output_nr, name, what);
        return wg__raise(WG_ERR_RUNTIME, NULL, WG_MSG_CUSTOM_VIEW, (int)t->output_nr, name, what);
    case VIEW_NO_GRAD: return wg__raise(WG_ERR_RUNTIME, NULL, WG_MSG_NO_GRAD_VIEW, what);
    default: return WG_OK;
    }
}

static wg_status check_history(const char *name, wg_tensor *t) {
    bool required = wg__wants_grad(t);
    if (t->flags & TF_VIEW) {
        if (t->meta->view_kind != VIEW_NORMAL) return refuse_view(t, WG_MSG_VIEW_WRITTEN);
        if (required && !t->meta->base->grad_fn)
            return wg__raise(WG_ERR_RUNTIME, name, WG_MSG_INPLACE_VIEW_OF_LEAF, name);
        return WG_OK;
    }
    if (required && !t->grad_fn) return wg__raise(WG_ERR_RUNTIME, name, WG_MSG_INPLACE_LEAF, name);
    return WG_OK;
}

/* A place written more than once by one call: PyTorch still lets the ops pass that assignment to x[...] uses. */
static wg_status refuse_overlap(const wg_op *op) {
    static const char *const allowed[] = {"index_put", "index_fill", "masked_fill"};
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
        if (strcmp(op->name, allowed[i]) == 0)
            return wg__warn(WG_WARN_USER, WG_MSG_EXPANDED, op->name) ? WG_ERR_CALLBACK : WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op->name, WG_MSG_SELF_OVERLAP);
}

wg_status wg__check_written(const char *name, wg_tensor *t) { return check_history(name, t); }

wg_status wg__check_inplace(const wg_op *op, wg_tensor *const *in, int nin) {
    wg_tensor *t = in[0];
    if (t->storage && (t->storage->flags & SF_READ_ONLY)) return wg__raise(WG_ERR_RUNTIME, op->name, WG_MSG_READ_ONLY);
    bool any = false;
    for (int i = 0; i < nin && !any && !wg__tls.no_grad; i++) any = in[i] && wg__wants_grad(in[i]);
    wg_status st = any ? check_history(op->name, t) : WG_OK;
    /* one number everywhere: who writes a place twice writes the same */
    bool fills =
        !any && ((strcmp(op->name, "fill_") == 0 && (in[1]->flags & TF_NUMBER)) || strcmp(op->name, "zero_") == 0);
    if (st == WG_OK && !fills && wg__may_overlap_itself(t)) return refuse_overlap(op);
    return st;
}

/* ---- grad_fn of a view ------------------------------------------------------------------------------------------- */

static const wg_op *as_strided_op(void) {
    static const wg_op *_Atomic op;
    if (!op) op = wg__op_find("as_strided");
    return op;
}

/* retain_grad follows the tensor to its new history (L6). */
static void retaining_follows(wg_tensor *t, wg_node *old, wg_node *n, int nr) {
    if (!(t->flags & TF_RETAINS) || !old || !old->cold || !old->cold->retaining) return;
    old->cold->retaining[t->output_nr] = NULL;
    wg_node_cold *cold = wg__node_cold(n);
    if (cold && !cold->retaining) cold->retaining = wg__calloc(n->nout * sizeof(wg_tensor *));
    if (cold && cold->retaining) cold->retaining[nr] = t;
}

static void set_history(wg_tensor *t, wg_node *n, int nr) {
    wg_node *old = t->grad_fn;
    retaining_follows(t, old, n, nr);
    t->grad_fn = n;
    t->output_nr = (uint32_t)nr;
    t->flags |= TF_REQUIRES;
    if (old) wg__node_release(old);
}

/* The base was written since: the view's history is now "this part of the base". */
static wg_node *regenerate(wg_tensor *t) {
    wg_tensor *base = t->meta->base;
    int64_t offset = wg_storage_offset(t);
    wg_value attr[5] = {WG_VAL_INTS(t->dims, t->ndim), WG_VAL_INTS(wg__strides(t), t->ndim), WG_VAL_I(offset),
                        WG_VAL_INTS(wg__strides(base), base->ndim), WG_VAL_I(wg_storage_offset(base))};
    bool before = wg_set_grad_enabled(true);
    wg_node *n =
        wg__record_begin(as_strided_op(), &base, 1, attr, 5, 1, NULL, base->grad_fn ? base->grad_fn->site : NULL);
    wg_set_grad_enabled(before);
    if (!n) return NULL;
    if (wg__node_set_out(n, 0, t) != WG_OK) {
        wg__node_release(n);
        return NULL;
    }
    set_history(t, n, 0);
    t->meta->view_version = wg__version(t);
    return n;
}

wg_status wg__view_grad_fn(wg_tensor *t, wg_node **n) {
    wg_tensor *base = t->meta->base;
    *n = t->grad_fn;
    if (wg__version(t) == t->meta->view_version || !wg__requires(base)) return WG_OK;
    if (!wg_dtype_is_floating((wg_dtype)t->dtype)) return WG_OK;
    wg_status st = t->meta->view_kind == VIEW_NORMAL ? WG_OK : refuse_view(t, WG_MSG_BASE_WRITTEN);
    if (st == WG_OK) *n = regenerate(t);
    return st == WG_OK && !*n ? WG_ERR_MEMORY : st;
}

wg_node *wg__grad_fn(wg_tensor *t) {
    wg_node *n = t->grad_fn;
    if (!(t->flags & TF_VIEW)) return n;
    return wg__view_grad_fn(t, &n) == WG_OK ? n : NULL;
}

/* ---- laying out -------------------------------------------------------------------------------------------------- */

static wg_status lay_out_shape(const wg_call *c, wg_geometry *g) {
    const wg_tensor *t = c->in[0];
    g->ndim = t->ndim;
    g->strided = true;
    memcpy(g->sizes, t->dims, (size_t)t->ndim * 8);
    memcpy(g->strides, c->attr[0].ints, (size_t)t->ndim * 8);
    return WG_OK;
}
static wg_status lay_out_run(const wg_call *c) { return wg__copy_into(c->out[0], c->in[0]); }
static wg_tensor *lay_out_vjp(const wg_call *c, wg_tensor *const *g, int i) { return (void)c, (void)i, g[0]; }
static const wg_op op_lay_out = {.name = "lay_out",
                                 .schema = "lay_out(Tensor self, int[] stride) -> Tensor",
                                 .doc = "a copy with other strides",
                                 .traits = WG_LINEAR,
                                 .nin = 1,
                                 .nout = 1,
                                 .shape = lay_out_shape,
                                 .run = {lay_out_run},
                                 .vjp = lay_out_vjp,
                                 .formula = {"1"}};

wg_tensor *wg__lay_out(wg_tensor *t, int ndim, const int64_t *sizes, const int64_t *strides) {
    (void)sizes;
    if (t->ndim == ndim && memcmp(wg__strides(t), strides, (size_t)ndim * 8) == 0) return t;
    wg_value a = WG_VAL_INTS(strides, ndim);
    return wg__apply(&op_lay_out, &t, 1, &a, 1, WG_SITE);
}

/* ---- CopySlices -------------------------------------------------------------------------------------------------- */

/* What the node keeps: the write's own node, and where the slice lies in the base. */
typedef struct slices {
    wg_node *fn;
    int base_ndim, view_ndim, at; /* at: which input of the write was the slice */
    int64_t offset;               /* of the slice, from the base's first element */
    int64_t numbers[];            /* base sizes, base strides, view sizes, view strides */
} slices;

static const int64_t *base_sizes(const slices *s) { return s->numbers; }
static const int64_t *view_sizes(const slices *s) { return s->numbers + 2 * s->base_ndim; }
static const int64_t *view_strides(const slices *s) { return s->numbers + 2 * s->base_ndim + s->view_ndim; }
static size_t slices_bytes(int base_ndim, int view_ndim) {
    return sizeof(slices) + (size_t)(base_ndim + view_ndim) * 2 * sizeof(int64_t);
}

/* What a result that the inner rule saved is now: the written part of the base. Owned. */
static wg_node *part_of_base(wg_node *n, const slices *s) {
    wg_node *m = wg__node_new(as_strided_op(), 1, 1, n->site);
    wg_value attr[5] = {WG_VAL_INTS(view_sizes(s), s->view_ndim), WG_VAL_INTS(view_strides(s), s->view_ndim),
                        WG_VAL_I(s->offset), WG_VAL_INTS(s->numbers + s->base_ndim, s->base_ndim), WG_VAL_I(0)};
    if (!m) return NULL;
    if (wg__node_set_attrs(m, attr, 5) != WG_OK || wg__node_set_out(m, 0, s->fn->u.saved_out) != WG_OK) {
        wg__node_release(m);
        return NULL;
    }
    m->in[0] = (wg_input){.node = wg__node_retain(n)};
    return m;
}

static wg_status run_inner(wg_node *n, slices *s, wg_tensor *g, wg_tensor **out, const bool *need, bool consume) {
    bool saved_result = !wg__tls.no_grad && (s->fn->flags & NF_SAVED_OUT) && !wg__released(s->fn);
    if (!saved_result) return wg__run_rule(s->fn, &g, out, need, consume);
    wg_node *maker = part_of_base(n, s);
    if (!maker) return WG_ERR_MEMORY;
    wg_status st = wg__run_rule_as(s->fn, maker, &g, out, need, consume);
    wg__node_release(maker);
    return st;
}

/* V4: the slice of G goes through the write's rule, its result takes the slice's place, the rest of G passes. */
static wg_status copy_slices_backward(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need,
                                      bool consume) {
    slices *s = n->u.payload;
    for (uint32_t i = 0; i < n->nin; i++) out[i] = NULL;
    if (!s) return wg__second_time(n, n->site); /* only a name: stale.c */
    if (!g[0]) return WG_OK;
    wg_tensor *whole = wg__lay_out(g[0], s->base_ndim, base_sizes(s), s->numbers + s->base_ndim);
    wg_tensor *part = wg_as_strided(whole, s->view_ndim, view_sizes(s), view_strides(s), s->offset);
    wg_tensor *rule_g = wg_clone(part);
    wg_tensor **inner = wg__malloc(n->nin * sizeof(*inner));
    bool *inner_need = wg__malloc(n->nin * sizeof(*inner_need));
    wg_status st = inner && inner_need ? WG_OK : wg__no_memory("CopySlices", n->nin * sizeof(*inner));
    if (st == WG_OK) {
        memcpy(inner_need, need,
               n->nin * sizeof(*need)); /* a base without history: what its rule reads was not saved */
        st = run_inner(n, s, rule_g, inner, inner_need, consume);
    }
    int at = s->at;
    if (st == WG_OK && need[at]) {
        wg_tensor *slice = inner[at] ? inner[at] : wg__zeros((wg_dtype)part->dtype, part->ndim, part->dims);
        out[at] = wg__as_strided_scatter(whole, slice, s->view_ndim, view_sizes(s), view_strides(s), s->offset);
    }
    for (uint32_t i = 0; st == WG_OK && i < n->nin; i++)
        if ((int)i != at) out[i] = inner[i];
    if (inner) wg__mfree(inner, n->nin * sizeof(*inner));
    if (inner_need) wg__mfree(inner_need, n->nin * sizeof(*inner_need));
    return st;
}

static void copy_slices_destroy(wg_node *n) {
    slices *s = n->u.payload;
    if (!s) return;
    if (s->fn) wg__node_release(s->fn);
    wg__mfree(s, slices_bytes(s->base_ndim, s->view_ndim));
}

static const char *copy_slices_name(const wg_call *c) { return c ? "torch::autograd::CopySlices" : NULL; }

const wg_op wg__op_copy_slices = {.name = "copy_slices",
                                  .schema = "copy_slices() -> Tensor",
                                  .doc = "a write to a view",
                                  .nout = 1,
                                  .grad_name = copy_slices_name,
                                  .backward = copy_slices_backward,
                                  .destroy = copy_slices_destroy};

static wg_node *copy_slices_new(wg_tensor *view, wg_tensor *base, wg_node *fn, int at) {
    wg_node *n = wg__node_new(&wg__op_copy_slices, (int)fn->nin, 1, fn->site);
    if (!n) return NULL;
    slices *s = wg__malloc(slices_bytes(base->ndim, view->ndim));
    if (!s) {
        wg__node_release(n);
        wg__no_memory("CopySlices", slices_bytes(base->ndim, view->ndim));
        return NULL;
    }
    *s = (slices){.base_ndim = base->ndim,
                  .view_ndim = view->ndim,
                  .at = at,
                  .offset = (view->data - base->data) / (ptrdiff_t)wg__itemsize(base)};
    memcpy(s->numbers, base->dims, (size_t)base->ndim * 16);
    memcpy(s->numbers + 2 * base->ndim, view->dims, (size_t)view->ndim * 16);
    n->u.payload = s;
    if (wg__node_set_out(n, 0, base) != WG_OK || wg__node_set_edge(n, at, base) != WG_OK) {
        wg__node_release(n);
        return NULL;
    }
    for (uint32_t i = 0; i < fn->nin; i++) {
        if ((int)i == at) continue;
        n->in[i].node = fn->in[i].node ? wg__node_retain(fn->in[i].node) : NULL;
        n->in[i].nr = fn->in[i].nr;
    }
    s->fn = wg__node_retain(fn);
    return n;
}

const wg_node *wg__write_in_slices(const wg_node *n) { return ((const slices *)n->u.payload)->fn; }
wg_node *wg__last_write(const wg_tensor *t) {
    wg_node *n = (t->flags & TF_VIEW) ? t->meta->base->grad_fn : t->grad_fn;
    return n && n->op == &wg__op_copy_slices ? ((slices *)n->u.payload)->fn : n;
}

wg_status wg__rebase_begin(wg_tensor *t, wg_node *n, wg_node **copy_slices) {
    *copy_slices = NULL;
    if (wg__node_set_out(n, 0, t) != WG_OK) return WG_ERR_MEMORY;
    return t->flags & TF_VIEW ? wg__slices_begin(t, n, 0, copy_slices) : WG_OK;
}
wg_status wg__slices_begin(wg_tensor *t, wg_node *n, int at, wg_node **copy_slices) {
    *copy_slices = copy_slices_new(t, t->meta->base, n, at);
    return *copy_slices ? WG_OK : WG_ERR_MEMORY;
}

void wg__rebase_end(wg_tensor *t, wg_node *n, int nr, wg_node *copy_slices) {
    if (!copy_slices) {
        set_history(t, n, nr);
        return;
    }
    wg_tensor *base = t->meta->base;
    set_history(base, copy_slices, 0);
    wg__node_release(n); /* CopySlices holds it */
    t->flags |= TF_REQUIRES;
    wg__grad_fn(t); /* now, so that the usual case needs no later look */
}

/* ---- a view's geometry in place ---------------------------------------------------------------------------------- */

static wg_status check_geometry(wg_tensor *t, const wg_tensor *view) {
    if ((t->flags | view->flags) & (TF_BATCHED | TF_DUAL | TF_STACK))
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "take_geometry_",
                         "the shape of a tensor inside vmap or with a tangent cannot be changed in place");
    if (t->storage != view->storage)
        return wg__raise(WG_ERR_RUNTIME, "take_geometry_", "take_geometry_ takes a view of the tensor");
    if (wg__tls.no_grad || !wg__wants_grad(t)) return WG_OK;
    if ((t->flags & TF_VIEW) && t->meta->view_kind != VIEW_NORMAL) return refuse_view(t, WG_MSG_VIEW_WRITTEN);
    if (!(t->flags & TF_VIEW) && !t->grad_fn)
        return wg__raise(WG_ERR_RUNTIME, "take_geometry_", WG_MSG_INPLACE_LEAF, "its shape");
    return WG_OK;
}

wg_tensor *wg_take_geometry_(wg_tensor *t, wg_tensor *view) {
    if (!t || !view) return wg__fail(WG_ERR_TYPE, "take_geometry_", "take_geometry_ expects two tensors");
    if (!wg__ok(t) || !wg__ok(view) || check_geometry(t, view) != WG_OK) return WG_POISON;
    wg_node *history = view->grad_fn ? wg__node_retain(view->grad_fn) : NULL, *before = t->grad_fn;
    if (wg__swap_storage(t, view) != WG_OK) {
        if (history) wg__node_release(history);
        return WG_POISON;
    }
    if (history) {
        history->flags |= NF_TAKEN;
        t->grad_fn = history;
        t->output_nr = view->output_nr;
        if (before) wg__node_release(before);
    }
    wg__bump(t, wg__site(&wg__tls, WG_SITE));
    if (t->flags & TF_VIEW) t->meta->view_version = wg__version(t);
    return t;
}
