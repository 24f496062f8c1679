/* function.c - custom functions: torch.autograd.Function in C (F1-F8). A call is one node whose rule is the user's vjp;
 * written in public ops it differentiates again, and jvp makes it run forward.
 *
 * A call begins (node and edges are made, grad mode goes off, tangents are hidden), the user computes, and it ends: the
 * outputs get their history, what was saved its versions, and jvp pushes the tangents through.
 */
#include <stdio.h>

#include "autograd/levels.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

typedef struct saved {
    wg_tensor *t; /* owned */
    uint32_t version;
    int output; /* which output it is, or -1 */
} saved;

typedef struct tensor_list { /* not owned */
    wg_tensor **v;
    int n;
} tensor_list;

enum { OUT_NONE, OUT_CONSTANT, OUT_DIFFERENTIABLE }; /* no tensor; without a gradient; with one */

struct wg_context {
    wg_function f;
    void *user;
    wg_node *node; /* we are its payload; NULL when the call is not recorded */
    saved *saved;
    int nsaved, nin, nout;
    uint8_t *kind;               /* per output */
    uint8_t *grad_dtype, *dtype; /* per output: its cotangent's, its own; NULL: the same */
    int ngrad_dtypes;
    bool no_materialize, released;
    void *freed_site;
    /* while the call runs */
    wg_tensor *const *in;
    tensor_list constant, dirty;
    int level; /* the lowest level that is hidden, 0: none */
    wg_hidden hidden;
    uint8_t no_grad;
    size_t bytes;
    char name[]; /* "SquareBackward" */
};

/* ---- ctx --------------------------------------------------------------------------------------------------------- */

void *wg_context_user(wg_context *ctx) { return ctx ? ctx->user : NULL; }
wg_node *wg_context_node(const wg_context *ctx) { return ctx ? ctx->node : NULL; }
bool wg_needs_input_grad(const wg_context *ctx, int i) {
    if (!ctx || i < 0 || i >= ctx->nin) return false;
    if (ctx->node) return ctx->node->in[i].node != NULL;
    return ctx->in[i] && !wg_is_poison(ctx->in[i]) && wg__wants_grad(ctx->in[i]);
}
void wg_set_materialize_grads(wg_context *ctx, bool on) {
    if (ctx) ctx->no_materialize = !on;
}

static void drop_saved(wg_context *c) {
    saved *s = c->saved;
    int n = c->nsaved;
    c->saved = NULL;
    c->nsaved = 0;
    for (int i = 0; i < n; i++) wg_release(s[i].t);
    if (s) wg__mfree(s, (size_t)n * sizeof(*s));
}

wg_status wg_save_for_backward(wg_context *ctx, wg_tensor *const *tensors, int n) {
    if (!ctx || n < 0 || (n && !tensors))
        return wg__raise(WG_ERR_TYPE, "save_for_backward", "save_for_backward expects tensors");
    drop_saved(ctx);
    if (n == 0) return WG_OK;
    ctx->saved = wg__calloc((size_t)n * sizeof(*ctx->saved));
    if (!ctx->saved) return wg__no_memory("save_for_backward", (size_t)n * sizeof(*ctx->saved));
    ctx->nsaved = n;
    for (int i = 0; i < n; i++) {
        ctx->saved[i].output = -1;
        if (!tensors[i]) continue;
        if (wg_is_poison(tensors[i])) return wg__sink_check("save_for_backward", tensors[i]);
        ctx->saved[i].t = wg__retain_safe(tensors[i]);
        if (!ctx->saved[i].t) return WG_ERR_MEMORY;
        ctx->saved[i].version = wg__version(tensors[i]);
    }
    return WG_OK;
}

int wg_saved_count(const wg_context *ctx) { return ctx ? ctx->nsaved : 0; }

/* An own output was saved without history: its handle gets it back. */
static wg_tensor *with_history(wg_context *ctx, const saved *s) {
    wg_tensor *t = s->t, *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
    if (!a) return WG_POISON;
    a->grad_fn = wg__node_retain(ctx->node);
    a->output_nr = (uint32_t)s->output;
    a->flags |= TF_REQUIRES;
    if ((t->flags & TF_DUAL) && wg__tangents_share(a, t) != WG_OK) {
        wg_release(a);
        return WG_POISON;
    }
    return wg__scope_push(a);
}

wg_tensor *wg_saved_tensor(wg_context *ctx, int i) {
    if (!ctx) return wg__fail(WG_ERR_TYPE, "saved_tensor", "saved_tensor: the context is NULL");
    if (ctx->released) {
        wg__second_time(ctx->node, ctx->freed_site);
        return WG_POISON;
    }
    if (i < 0 || i >= ctx->nsaved)
        return wg__fail(WG_ERR_INDEX, ctx->name, "saved tensor %d does not exist: %d were saved", i, ctx->nsaved);
    const saved *s = &ctx->saved[i];
    wg_tensor *t = s->t;
    if (!t) return NULL;
    bool own = s->output >= 0 && ctx->node;
    if (ctx->node && !ctx->in && wg__version(t) != s->version) {
        const wg_node *maker = own ? ctx->node : wg__grad_fn(t);
        wg__modified(ctx->node, t, maker, own ? s->output : (int)t->output_nr, s->version);
        return WG_POISON;
    }
    return own ? with_history(ctx, s) : wg__scope_push(wg__retain(t));
}

void wg_drop_saved_tensors(wg_context *ctx) {
    if (ctx) drop_saved(ctx);
}

static wg_status list_add(tensor_list *l, wg_tensor *t) {
    wg_tensor **bigger = wg__malloc((size_t)(l->n + 1) * sizeof(*bigger));
    if (!bigger) return wg__no_memory("function", sizeof(*bigger));
    if (l->n) memcpy(bigger, l->v, (size_t)l->n * sizeof(*bigger));
    if (l->v) wg__mfree(l->v, (size_t)l->n * sizeof(*bigger));
    bigger[l->n++] = t;
    l->v = bigger;
    return WG_OK;
}
static void list_drop(tensor_list *l) {
    if (l->v) wg__mfree(l->v, (size_t)l->n * sizeof(*l->v));
    *l = (tensor_list){NULL, 0};
}
static bool list_has(const tensor_list *l, const wg_tensor *t) {
    for (int i = 0; i < l->n; i++)
        if (l->v[i] == t) return true;
    return false;
}

wg_status wg_mark_non_differentiable(wg_context *ctx, wg_tensor *output) {
    if (ctx && output) return list_add(&ctx->constant, output);
    return wg__raise(WG_ERR_TYPE, "mark_non_differentiable", "mark_non_differentiable expects an output");
}
wg_status wg_mark_dirty(wg_context *ctx, wg_tensor *input) {
    if (ctx && input && !wg_is_poison(input)) return list_add(&ctx->dirty, input);
    return wg__raise(WG_ERR_TYPE, "mark_dirty", "mark_dirty expects an input");
}

static void drop_dtypes(wg_context *c) {
    if (c->grad_dtype) wg__mfree(c->grad_dtype, (size_t)c->ngrad_dtypes * 2 + 1);
    c->grad_dtype = c->dtype = NULL;
}
wg_status wg_set_output_grad_dtype(wg_context *ctx, const wg_dtype *dtypes, int n) {
    if (!ctx || n < 0) return wg__raise(WG_ERR_TYPE, "set_output_grad_dtype", "set_output_grad_dtype expects dtypes");
    drop_dtypes(ctx);
    ctx->grad_dtype = wg__calloc((size_t)n * 2 + 1);
    if (!ctx->grad_dtype) return wg__no_memory("set_output_grad_dtype", (size_t)n);
    ctx->dtype = ctx->grad_dtype + n;
    ctx->ngrad_dtypes = n;
    for (int o = 0; o < n; o++) ctx->grad_dtype[o] = (uint8_t)dtypes[o];
    return WG_OK;
}
wg_dtype wg__wanted_dtype(const wg_node *n, uint32_t nr) {
    return (wg_dtype)((const wg_context *)n->u.payload)->grad_dtype[nr];
}
wg_dtype wg__own_dtype(const wg_node *n, uint32_t nr) {
    return (wg_dtype)((const wg_context *)n->u.payload)->dtype[nr];
}

/* ---- the node ---------------------------------------------------------------------------------------------------- */

static void drop_marks(wg_context *c) {
    list_drop(&c->constant);
    list_drop(&c->dirty);
}
static void context_free(wg_context *c) {
    if (c->f.destroy) c->f.destroy(c->user);
    drop_saved(c);
    drop_marks(c);
    drop_dtypes(c);
    if (c->kind) wg__mfree(c->kind, (size_t)c->nout);
    wg__mfree(c, c->bytes);
}
static void custom_destroy(wg_node *n) {
    if (n->u.payload) context_free(n->u.payload);
}
static const char *custom_name(const wg_call *c) {
    const wg_context *ctx = c->node->u.payload;
    return ctx ? ctx->name : "FunctionBackward"; /* only a name: stale.c */
}

/* Outputs whose gradient did not arrive read as zeros (set_materialize_grads). */
static wg_status materialize(const wg_context *c, const wg_node *n, wg_tensor **full) {
    for (int o = 0; o < n->nout; o++) {
        if (full[o] || c->kind[o] == OUT_NONE) continue;
        wg_out_info info = wg__node_out(n, o);
        wg_dtype dtype = (wg_dtype)info.dtype;
        if (dtype == WG_DTYPE_NONE) dtype = wg__wanted_dtype(n, (uint32_t)o);
        if (dtype == WG_DTYPE_NONE) dtype = wg__own_dtype(n, (uint32_t)o);
        full[o] = wg__zeros(dtype, info.ndim, info.sizes);
        if (wg_is_poison(full[o])) return WG_ERR_MEMORY;
    }
    return WG_OK;
}

static wg_status callback_status(wg_status st, const char *name) {
    if (st == WG_OK || wg_error_pending()) return st;
    return wg__raise(WG_ERR_CALLBACK, name, "%s failed", name);
}

static wg_status call_vjp(wg_context *c, wg_node *n, wg_tensor **full, wg_tensor **out) {
    wg_status st = c->no_materialize ? WG_OK : materialize(c, n, full);
    if (st == WG_OK && !c->f.vjp) st = wg__raise(WG_ERR_NOT_IMPLEMENTED, c->name, WG_MSG_NO_VJP);
    if (st == WG_OK) st = callback_status(c->f.vjp(c, full, n->nout, out, (int)n->nin), c->name);
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++) {
        if (!n->in[i].node) out[i] = NULL;
        if (out[i] && wg_is_poison(out[i])) st = callback_status(WG_ERR_RUNTIME, c->name);
    }
    return st;
}

static void release_saved(wg_context *c) {
    c->released = true;
    c->freed_site = wg__tls.walk_site;
    for (int i = 0; i < c->nsaved; i++) {
        wg_tensor *t = c->saved[i].t;
        c->saved[i].t = NULL;
        wg_release(t);
    }
}

static wg_status custom_backward(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume) {
    wg_context *c = n->u.payload;
    wg_tensor *small[8], **full = small;
    (void)need;
    if (!c || (c->released && c->nsaved)) return wg__second_time(n, c ? c->freed_site : n->site);
    size_t bytes = n->nout * sizeof(*full);
    if (n->nout > 8 && !(full = wg__malloc(bytes))) return wg__no_memory(c->name, bytes);
    memcpy(full, g, bytes);
    for (uint32_t i = 0; i < n->nin; i++) out[i] = NULL;
    wg_status st = call_vjp(c, n, full, out);
    if (full != small) wg__mfree(full, bytes);
    if (st == WG_OK && consume && c->nsaved) release_saved(c);
    return st;
}

static const wg_op op_custom = {.name = "custom",
                                .schema = "custom(Tensor[] inputs) -> Tensor[]",
                                .traits = WG_LIST,
                                .doc = "a user's function",
                                .grad_name = custom_name,
                                .backward = custom_backward,
                                .destroy = custom_destroy};

/* ---- outputs ----------------------------------------------------------------------------------------------------- */

static int input_number(const wg_context *c, const wg_tensor *t) {
    for (int i = 0; i < c->nin; i++)
        if (c->in[i] == t) return i;
    return -1;
}

static wg_status check_outputs(const wg_context *c, wg_tensor *const *out, int nout) {
    for (int o = 0; o < nout; o++)
        if (out[o] && wg_is_poison(out[o])) return callback_status(WG_ERR_RUNTIME, c->name);
    for (int k = 0; k < c->dirty.n; k++) {
        bool returned = false;
        for (int o = 0; o < nout; o++) returned |= out[o] == c->dirty.v[k];
        if (!returned) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_DIRTY_NOT_RETURNED);
    }
    if (c->grad_dtype && c->ngrad_dtypes != nout)
        return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_GRAD_DTYPES, nout, c->ngrad_dtypes);
    return WG_OK;
}

static wg_status set_kinds(wg_context *c, wg_tensor *const *out, int nout) {
    if (nout == 0) return WG_OK;
    c->kind = wg__calloc((size_t)nout);
    if (!c->kind) return wg__no_memory(c->name, (size_t)nout);
    c->nout = nout;
    for (int o = 0; o < nout; o++) {
        bool constant = out[o] && (!c->node || !wg__is_floating(out[o]->dtype) || list_has(&c->constant, out[o]));
        c->kind[o] = !out[o] ? OUT_NONE : constant ? OUT_CONSTANT : OUT_DIFFERENTIABLE;
    }
    return WG_OK;
}

/* What the node knows of its outputs; of one that is no tensor, nothing. */
static wg_status describe(wg_context *c, wg_tensor *const *out, int nout) {
    wg_node *n = c->node;
    n->nout = (uint16_t)nout;
    for (int o = 0; o < nout; o++) {
        wg_status st = out[o] ? wg__node_set_out(n, o, out[o]) : WG_OK;
        if (st != WG_OK) return st;
        if (!c->grad_dtype || !out[o]) continue;
        c->dtype[o] = out[o]->dtype;
        if (n->flags & NF_OUTS)
            n->info.outs[o].dtype = WG_DTYPE_NONE; /* says: ask us */
        else
            n->dtype = WG_DTYPE_NONE;
    }
    return WG_OK;
}

/* A handle of its own on t; view: a view of t that may be written only as part of the function (F8). Of the scope. */
static wg_tensor *own_handle(wg_tensor *t, bool view) {
    wg_tensor *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
    if (!a) return WG_POISON;
    if (view && wg__mark_view(a, t, VIEW_CUSTOM) != WG_OK) {
        wg_release(a);
        return WG_POISON;
    }
    return wg__scope_push(a);
}

static wg_status check_dirty(const wg_context *c, wg_tensor *t, int input) {
    if (!t->grad_fn && !(t->flags & TF_VIEW) && wg__requires(t))
        return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_DIRTY_LEAF);
    if (input < 0 && wg__warn(WG_WARN_USER, WG_MSG_DIRTY_NO_INPUT)) return WG_ERR_RUNTIME;
    if (!(t->flags & TF_VIEW)) return WG_OK;
    if (c->nout > 1) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_DIRTY_VIEW);
    return wg__check_written(c->name, t);
}

/* The written t has this call as its history from now on; what it was leads to input. */
static wg_status settle_dirty(wg_context *c, wg_tensor *t, int o, int input) {
    wg_node *n = c->node, *slices = NULL;
    wg_status st = check_dirty(c, t, input);
    if (st == WG_OK) st = wg__let_go_of(t, n);
    if (st == WG_OK && (t->flags & TF_VIEW)) st = wg__slices_begin(t, n, input < 0 ? 0 : input, &slices);
    if (st == WG_OK) wg__rebase_end(t, wg__node_retain(n), o, slices);
    return st;
}

static wg_status settle_output(wg_context *c, wg_tensor **out, int o) {
    wg_tensor *t = out[o];
    int input = input_number(c, t);
    bool dirty = c->dirty.n && list_has(&c->dirty, t), constant = !c->node || c->kind[o] == OUT_CONSTANT;
    if (input < 0 && (t->flags & TF_VIEW)) t->meta->view_kind = VIEW_CUSTOM; /* made inside (F8) */
    if (constant && !wg__requires(t)) {
        if (input >= 0 && !dirty) out[o] = own_handle(t, true);
    } else if (constant) {
        out[o] = own_handle(t, false);
    } else if (dirty) {
        return settle_dirty(c, t, o, input);
    } else {
        if (input >= 0 || t->grad_fn || wg__requires(t)) out[o] = own_handle(t, input >= 0);
        if (wg_is_poison(out[o])) return WG_ERR_MEMORY;
        out[o]->grad_fn = wg__node_retain(c->node);
        out[o]->output_nr = (uint32_t)o;
        out[o]->flags |= TF_REQUIRES;
    }
    return wg_is_poison(out[o]) ? WG_ERR_MEMORY : WG_OK;
}

/* Outputs that are views, and not the only one with a gradient, are never written in place. */
static void mark_multi(const wg_context *c, wg_tensor *const *out) {
    int several = 0;
    for (int o = 0; o < c->nout; o++) several += c->kind[o] == OUT_DIFFERENTIABLE;
    for (int o = 0; o < c->nout && several > 1; o++)
        if (out[o] && (out[o]->flags & TF_VIEW)) out[o]->meta->view_kind = VIEW_MULTI;
}

/* Saved tensors as they are at the end; saving an output's handle would be a cycle, so an alias is kept. */
static wg_status settle_saved(wg_context *c, wg_tensor *const *raw, wg_tensor *const *out) {
    for (int i = 0; i < c->nsaved; i++) {
        saved *s = &c->saved[i];
        if (!s->t) continue;
        for (int o = 0; o < c->nout; o++) {
            if (c->kind[o] != OUT_DIFFERENTIABLE || (raw[o] != s->t && out[o] != s->t)) continue;
            if (out[o] != raw[o] && raw[o] == s->t && input_number(c, s->t) >= 0) continue; /* the input was saved */
            s->output = o;
        }
        s->version = wg__version(s->t);
        if (s->output < 0) continue;
        wg_tensor *t = s->t, *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
        if (!a) return WG_ERR_MEMORY;
        s->t = a;
        wg_release(t);
    }
    return WG_OK;
}

/* History of all outputs. One that is returned twice is the same handle twice, and the last one's number counts (F3).
 */
static wg_status settle(wg_context *c, wg_tensor *const *raw, wg_tensor **out) {
    for (int k = 0; k < c->dirty.n; k++) wg__bump(c->dirty.v[k], c->node ? c->node->site : wg__site(&wg__tls, WG_SITE));
    wg_status st = c->node ? describe(c, raw, c->nout) : WG_OK;
    for (int o = 0; o < c->nout && st == WG_OK; o++) {
        int first = o;
        for (int p = o; p-- > 0;)
            if (raw[p] == raw[o]) first = p;
        if (c->kind[o] == OUT_NONE) continue;
        if (first == o)
            st = settle_output(c, out, o);
        else
            out[o] = out[first];
        if (first < o && c->kind[o] == OUT_DIFFERENTIABLE) out[o]->output_nr = (uint32_t)o;
    }
    if (st != WG_OK) return st;
    mark_multi(c, out);
    return settle_saved(c, raw, out);
}

/* ---- forward mode ------------------------------------------------------------------------------------------------ */

/* t's tangent at a level before jvp ran, to see whether jvp wrote it. */
typedef struct tangent_seen {
    wg_tensor *t;
    uint32_t version;
} tangent_seen;

static wg_tensor *root_of(wg_tensor *t) { return (t->flags & TF_VIEW) ? t->meta->base : t; }

/* A view of an input must get a view of that input's tangent. */
static wg_status check_view(const wg_context *c, wg_tensor *out, wg_tensor *dt, const tangent_seen *seen) {
    if (!(out->flags & TF_VIEW)) return WG_OK;
    for (int i = 0; i < c->nin; i++) {
        if (!c->in[i] || !seen[i].t || root_of(c->in[i]) != root_of(out)) continue;
        if (!dt || !(dt->flags & TF_VIEW)) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_JVP_NO_VIEW);
        if (root_of(dt) != root_of(seen[i].t)) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_JVP_OTHER_VIEW);
        break;
    }
    return WG_OK;
}

static wg_status check_written_tangent(const wg_context *c, wg_tensor *dt, const tangent_seen *seen) {
    if (!dt || wg__version(dt) == seen->version) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_JVP_NOT_INPLACE);
    if (dt != seen->t) return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_JVP_NOT_AS_IS);
    return WG_OK;
}

static wg_status set_tangent(wg_context *c, wg_tensor *raw, wg_tensor *out, int o, wg_tensor *dt,
                             const tangent_seen *seen, int level) {
    char a[256], b[256];
    int input = input_number(c, raw);
    if (dt && wg_is_poison(dt)) return callback_status(WG_ERR_RUNTIME, c->name);
    if (!out || !wg__is_floating(out->dtype) || list_has(&c->constant, raw))
        return dt && out ? wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_JVP_CONSTANT, o) : WG_OK;
    if (list_has(&c->dirty, raw) && input >= 0 && seen[input].t) return check_written_tangent(c, dt, &seen[input]);
    wg_status st = check_view(c, out, dt, seen);
    if (st != WG_OK || !dt || wg__tangent(out, level)) return st;
    if (!wg__same_sizes(dt, out))
        return wg__raise(WG_ERR_RUNTIME, c->name, WG_MSG_TANGENT_SIZE,
                         wg__sizes_text(a, sizeof(a), out->ndim, out->dims),
                         wg__sizes_text(b, sizeof(b), dt->ndim, dt->dims));
    return wg__set_tangent(out, level, dt, list_has(&c->dirty, raw));
}

/* The aliases of outputs that we saved carry what the outputs carry. */
static wg_status tangents_of_saved(wg_context *c, wg_tensor *const *out, int level) {
    for (int i = 0; i < c->nsaved; i++) {
        saved *s = &c->saved[i];
        wg_tensor *v = s->output >= 0 ? wg__tangent(out[s->output], level) : NULL;
        wg_status st = v && !wg__tangent(s->t, level) ? wg__set_tangent(s->t, level, v, false) : WG_OK;
        if (st != WG_OK) return st;
    }
    return WG_OK;
}

static wg_status push_level(wg_context *c, wg_tensor *const *raw, wg_tensor **out, int level) {
    size_t n = (size_t)c->nin + (size_t)c->nout, bytes = n * (sizeof(wg_tensor *) + sizeof(tangent_seen));
    tangent_seen *seen = wg__calloc(bytes);
    if (!seen) return wg__no_memory(c->name, bytes);
    wg_tensor **t = (wg_tensor **)(void *)(seen + n), **dt = t + c->nin;
    for (int i = 0; i < c->nin; i++) {
        t[i] = wg__tangent(c->in[i], level);
        seen[i] = (tangent_seen){t[i], t[i] ? wg__version(t[i]) : 0};
    }
    wg_status st = callback_status(c->f.jvp(c, t, c->nin, dt, c->nout), c->name);
    for (int o = 0; o < c->nout && st == WG_OK; o++) st = set_tangent(c, raw[o], out[o], o, dt[o], seen, level);
    wg__mfree(seen, bytes);
    return st == WG_OK ? tangents_of_saved(c, out, level) : st;
}

/* Level by level, from the lowest: a tangent carries the tangents of the levels below it. */
static wg_status push_forward(wg_context *c, wg_tensor *const *raw, wg_tensor **out) {
    wg_status st = WG_OK;
    if (c->level && !c->f.jvp) return wg__raise(WG_ERR_NOT_IMPLEMENTED, c->name, WG_MSG_NO_JVP);
    for (int level = c->level; level && st == WG_OK; level = wg__level_above(c->in, c->nin, level)) {
        wg_hidden before = wg__hide_from(level);
        st = push_level(c, raw, out, level);
        wg__unhide(before);
    }
    return st;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static wg_status check_inputs(const wg_context *c, bool *record) {
    *record = false;
    for (int i = 0; i < c->nin; i++) {
        if (!c->in[i]) continue;
        if (wg_is_poison(c->in[i])) return WG_ERR_RUNTIME;
        *record |= !wg__tls.no_grad && wg__wants_grad(c->in[i]);
    }
    return WG_OK;
}

static wg_status make_node(wg_context *c, void *site) {
    wg_node *n = wg__node_new(&op_custom, c->nin, 0, site);
    if (!n) return WG_ERR_MEMORY;
    c->node = n;
    n->u.payload = c;
    wg_status st = WG_OK;
    for (int i = 0; i < c->nin && st == WG_OK; i++)
        if (c->in[i]) st = wg__node_set_edge(n, i, c->in[i]);
    return st;
}

/* Gives the call up, or lets the outputs have it. */
static void let_go(wg_context *c) {
    if (c->node)
        wg__node_release(c->node);
    else
        context_free(c);
}

static void enter(wg_context *c) {
    c->no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    c->level = wg__level_above_batches(c->in, c->nin);
    if (c->level) c->hidden = wg__hide_from(c->level);
}
static void leave(wg_context *c) {
    wg__tls.no_grad = c->no_grad;
    if (c->level) wg__unhide(c->hidden);
}

static wg_context *new_context(const wg_function *f, void *user) {
    const char *name = f->name ? f->name : "Function", *tail = strstr(name, "::") ? "" : "Backward";
    size_t len = strlen(name), bytes = sizeof(wg_context) + len + sizeof("Backward");
    wg_context *c = wg__malloc(bytes);
    if (!c) {
        wg__no_memory("function", bytes);
        return NULL;
    }
    *c = (wg_context){.user = user, .bytes = bytes};
    WG_COPY_STRUCT(&c->f, f);
    memcpy(c->name, name, len);
    memcpy(c->name + len, tail, strlen(tail) + 1);
    return c;
}

static wg_context *begin(const wg_function *f, void *user, wg_tensor *const *in, int nin, void *site) {
    if (WG_CHECK_STRUCT(wg_function, f, "function") != WG_OK) {
        if (f->size >= WG_FIRST_wg_function && f->destroy) f->destroy(user);
        return NULL;
    }
    wg_context *c = f && nin >= 0 ? new_context(f, user) : NULL;
    if (!c) {
        if (f && f->destroy) f->destroy(user);
        if (!f || nin < 0) wg__raise(WG_ERR_TYPE, "function", "a call needs a function and its inputs");
        return NULL;
    }
    c->in = in;
    c->nin = nin;
    bool record;
    wg_status st = check_inputs(c, &record);
    if (st == WG_OK && record) st = make_node(c, site);
    if (st != WG_OK) {
        let_go(c);
        return NULL;
    }
    enter(c);
    return c;
}

wg_context *wg_function_begin(const wg_function *f, void *user, wg_tensor *const *in, int nin) {
    return begin(f, user, in, nin, wg__site(&wg__tls, WG_SITE));
}

void wg_function_cancel(wg_context *ctx) {
    if (!ctx) return;
    leave(ctx);
    let_go(ctx);
}

wg_status wg_function_end(wg_context *ctx, wg_tensor **out, int nout) {
    wg_tensor *small[8], **raw = small;
    if (!ctx) return wg__raise(WG_ERR_TYPE, "function", "wg_function_end: the context is NULL");
    leave(ctx);
    size_t bytes = (size_t)(nout > 0 ? nout : 0) * sizeof(*raw);
    wg_status st = nout >= 0 && nout <= UINT16_MAX ? WG_OK : wg__raise(WG_ERR_VALUE, ctx->name, "%d outputs", nout);
    if (st == WG_OK && nout > 8 && !(raw = wg__malloc(bytes))) st = wg__no_memory(ctx->name, bytes);
    if (st == WG_OK && nout) memcpy(raw, out, bytes);
    if (st == WG_OK) st = check_outputs(ctx, raw, nout);
    if (st == WG_OK) st = set_kinds(ctx, raw, nout);
    if (st == WG_OK) st = settle(ctx, raw, out);
    if (st == WG_OK) st = push_forward(ctx, raw, out);
    if (raw && raw != small) wg__mfree(raw, bytes);
    ctx->in = NULL;
    drop_marks(ctx);
    let_go(ctx);
    for (int o = 0; o < nout && st != WG_OK; o++) out[o] = WG_POISON;
    return st != WG_OK && wg_error_pending() ? wg_last_status() : st;
}

static wg_status forget(wg_tensor **out, int nout, wg_status st) {
    for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    return wg_error_pending() ? wg_last_status() : st;
}

wg_status wg_function_apply(const wg_function *f, void *user, wg_tensor *const *in, int nin, wg_tensor **out,
                            int nout) {
    void *site = wg__site(&wg__tls, WG_SITE);
    wg_context *c = begin(f, user, in, nin, site);
    if (!c) return forget(out, nout, WG_ERR_RUNTIME);
    for (int o = 0; o < nout; o++) out[o] = NULL;
    wg_status st =
        c->f.forward && nout > 0 ? WG_OK : wg__raise(WG_ERR_NOT_IMPLEMENTED, "function", WG_MSG_NO_FORWARD_FN);
    if (st == WG_OK) st = callback_status(c->f.forward(c, in, nin, out, nout), c->name);
    for (int o = 0; o < nout && st == WG_OK; o++)
        if (!out[o]) st = wg__raise(WG_ERR_TYPE, c->name, "forward left output %d NULL", o);
    if (st == WG_OK) return wg_function_end(c, out, nout);
    wg_function_cancel(c);
    return forget(out, nout, st);
}
