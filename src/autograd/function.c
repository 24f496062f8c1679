/* function.c - custom functions: torch.autograd.Function in C (F1, F3-F5). A call is one node whose rule is the user's
 * vjp; written in public ops it differentiates again, and jvp makes it run forward.
 */
#include "autograd/node.h"

#include <stdio.h>

#include "core/alloc.h"
#include "core/messages.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

struct wg_context {
    wg_function f;
    char name[72]; /* "SquareBackward" */
    void *user;
    wg_tensor *const *in; /* while forward or jvp runs */
    int nin, nout;
    wg_tensor **saved;         /* owned */
    uint32_t *versions;
    int *saved_output;         /* which output a saved tensor is, or -1 */
    int nsaved;
    bool *non_differentiable;  /* per output */
    wg_tensor **marked;        /* outputs given to mark_non_differentiable, compared after forward */
    int nmarked;
    bool no_materialize, released;
    void *freed_site;
    wg_node *node;             /* borrowed: we are its payload */
    wg_status status;
};

/* ---- ctx -------------------------------------------------------------------------------------------------------------- */

void *wg_context_user(wg_context *ctx) { return ctx ? ctx->user : NULL; }
bool wg_needs_input_grad(const wg_context *ctx, int i) {
    if (!ctx || i < 0 || i >= ctx->nin) return false;
    if (ctx->node) return ctx->node->in[i].node != NULL;
    return ctx->in[i] && !wg_is_poison(ctx->in[i]) && wg__wants_grad(ctx->in[i]);
}
void wg_set_materialize_grads(wg_context *ctx, bool on) {
    if (ctx) ctx->no_materialize = !on;
}

static void drop_saved(wg_context *c) {
    for (int i = 0; i < c->nsaved; i++) wg_release(c->saved[i]);
    if (c->saved) wg__mfree(c->saved, (size_t)c->nsaved * sizeof(*c->saved));
    if (c->versions) wg__mfree(c->versions, (size_t)c->nsaved * sizeof(*c->versions));
    if (c->saved_output) wg__mfree(c->saved_output, (size_t)c->nsaved * sizeof(*c->saved_output));
    c->saved = NULL;
    c->versions = NULL;
    c->saved_output = NULL;
    c->nsaved = 0;
}

wg_status wg_save_for_backward(wg_context *ctx, wg_tensor *const *tensors, int n) {
    if (!ctx || n < 0 || (n && !tensors)) return wg__raise(WG_ERR_TYPE, "save_for_backward", "save_for_backward expects tensors");
    drop_saved(ctx);
    if (n == 0) return WG_OK;
    ctx->saved = wg__calloc((size_t)n * sizeof(*ctx->saved));
    ctx->versions = wg__calloc((size_t)n * sizeof(*ctx->versions));
    ctx->saved_output = wg__calloc((size_t)n * sizeof(*ctx->saved_output));
    ctx->nsaved = n;
    if (!ctx->saved || !ctx->versions || !ctx->saved_output) return wg__no_memory("save_for_backward", (size_t)n * 16);
    for (int i = 0; i < n; i++) {
        ctx->saved_output[i] = -1;
        if (!tensors[i]) continue;
        if (wg_is_poison(tensors[i])) return wg__sink_check("save_for_backward", tensors[i]);
        ctx->saved[i] = wg__retain_safe(tensors[i]);
        if (!ctx->saved[i]) return WG_ERR_MEMORY;
        ctx->versions[i] = wg__version(ctx->saved[i]);
    }
    return WG_OK;
}

wg_tensor *wg_saved_tensor(wg_context *ctx, int i) {
    if (!ctx) return wg__fail(WG_ERR_TYPE, "saved_tensor", "saved_tensor: the context is NULL");
    if (ctx->released) {
        wg__second_time(ctx->node, ctx->freed_site);
        return WG_POISON;
    }
    if (i < 0 || i >= ctx->nsaved)
        return wg__fail(WG_ERR_INDEX, ctx->name, "saved tensor %d does not exist: %d were saved", i, ctx->nsaved);
    wg_tensor *t = ctx->saved[i];
    if (!t) return NULL;
    bool own = ctx->saved_output[i] >= 0 && ctx->node;
    if (ctx->node && wg__version(t) != ctx->versions[i]) {
        const wg_node *maker = own ? ctx->node : wg__grad_fn(t);
        wg__modified(ctx->node, t, maker, own ? ctx->saved_output[i] : (int)t->output_nr, ctx->versions[i]);
        return WG_POISON;
    }
    if (own && !wg__tls.no_grad) {
        /* an own output was saved without history: its handle gets it back */
        wg_tensor *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
        if (!a) return WG_POISON;
        a->grad_fn = wg__node_retain(ctx->node);
        a->output_nr = (uint32_t)ctx->saved_output[i];
        a->flags |= TF_REQUIRES;
        return wg__scope_push(a);
    }
    return wg__scope_push(wg__retain(t));
}

wg_status wg_mark_non_differentiable(wg_context *ctx, wg_tensor *output) {
    if (!ctx || !output) return wg__raise(WG_ERR_TYPE, "mark_non_differentiable", "mark_non_differentiable expects an output");
    wg_tensor **bigger = wg__malloc((size_t)(ctx->nmarked + 1) * sizeof(*bigger));
    if (!bigger) return wg__no_memory("mark_non_differentiable", sizeof(*bigger));
    if (ctx->nmarked) {
        memcpy(bigger, ctx->marked, (size_t)ctx->nmarked * sizeof(*bigger));
        wg__mfree(ctx->marked, (size_t)ctx->nmarked * sizeof(*bigger));
    }
    bigger[ctx->nmarked++] = output;
    ctx->marked = bigger;
    return WG_OK;
}

/* ---- the node ---------------------------------------------------------------------------------------------------------- */

static void context_free(wg_context *c) {
    drop_saved(c);
    if (c->marked) wg__mfree(c->marked, (size_t)c->nmarked * sizeof(*c->marked));
    if (c->non_differentiable) wg__mfree(c->non_differentiable, (size_t)c->nout * sizeof(*c->non_differentiable));
    if (c->f.destroy) c->f.destroy(c->user);
    wg__mfree(c, sizeof(*c));
}
static void custom_destroy(wg_node *n) {
    if (n->u.payload) context_free(n->u.payload);
}
static const char *custom_name(const wg_call *c) {
    return ((const wg_context *)c->node->u.payload)->name;
}

/* Outputs whose gradient did not arrive read as zeros (set_materialize_grads). */
static wg_status materialize(const wg_node *n, wg_tensor *const *g, wg_tensor **full) {
    for (int o = 0; o < n->nout; o++) {
        full[o] = g[o];
        if (g[o]) continue;
        wg_out_info info = wg__node_out(n, o);
        full[o] = wg__zeros((wg_dtype)info.dtype, info.ndim, info.sizes);
        if (wg_is_poison(full[o])) return WG_ERR_MEMORY;
    }
    return WG_OK;
}

static wg_status callback_status(wg_status st, const char *name) {
    if (st == WG_OK || wg_error_pending()) return st;
    return wg__raise(WG_ERR_CALLBACK, name, "%s failed", name);
}

static wg_status custom_backward(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume) {
    wg_context *c = n->u.payload;
    wg_tensor *small[8], **full = small;
    (void)need;
    if (c->released && c->nsaved) return wg__second_time(n, c->freed_site);
    if (n->nout > 8 && !(full = wg__malloc(n->nout * sizeof(*full)))) return wg__no_memory(c->name, n->nout * sizeof(*full));
    memcpy(full, g, n->nout * sizeof(*full));
    wg_status st = c->no_materialize ? WG_OK : materialize(n, g, full);
    for (uint32_t i = 0; i < n->nin; i++) out[i] = NULL;
    if (st == WG_OK && !c->f.vjp)
        st = wg__raise(WG_ERR_NOT_IMPLEMENTED, c->name, "You must implement either the backward or vjp method for your "
                       "custom autograd.Function to use it with backward mode AD.");
    if (st == WG_OK) st = callback_status(c->f.vjp(c, full, n->nout, out, (int)n->nin), c->name);
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++) {
        if (!n->in[i].node) out[i] = NULL;
        if (out[i] && wg_is_poison(out[i])) st = callback_status(WG_ERR_RUNTIME, c->name);
    }
    if (full != small) wg__mfree(full, n->nout * sizeof(*full));
    if (st == WG_OK && consume && c->nsaved) {
        c->released = true;
        c->freed_site = wg__tls.walk_site;
        for (int i = 0; i < c->nsaved; i++) {
            wg_release(c->saved[i]);
            c->saved[i] = NULL;
        }
    }
    return st;
}

static const wg_op op_custom = {.name = "custom", .schema = "custom(Tensor[] inputs) -> Tensor[]", .traits = WG_LIST,
                                .doc = "a user's function", .grad_name = custom_name, .backward = custom_backward,
                                .destroy = custom_destroy};

/* ---- apply -------------------------------------------------------------------------------------------------------------- */

static bool differentiable(const wg_context *c, const wg_tensor *t, int o) {
    return t && !c->non_differentiable[o] && wg_dtype_is_floating((wg_dtype)t->dtype);
}

static wg_status make_node(wg_context *c, wg_tensor *const *in, wg_tensor **out, void *site) {
    wg_node *n = wg__node_new(&op_custom, c->nin, c->nout, site);
    if (!n) {
        context_free(c);
        return WG_ERR_MEMORY;
    }
    wg_status st = WG_OK;
    n->u.payload = c;
    c->node = n;
    for (int i = 0; i < c->nin && st == WG_OK; i++)
        if (in[i]) st = wg__node_set_edge(n, i, in[i]);
    for (int o = 0; o < c->nout && st == WG_OK; o++)
        if (out[o]) st = wg__node_set_out(n, o, out[o]);
    int several = 0;
    for (int o = 0; o < c->nout; o++) several += differentiable(c, out[o], o);
    for (int o = 0; o < c->nout && st == WG_OK; o++) {
        if (!differentiable(c, out[o], o)) continue;
        if (several > 1 && (out[o]->flags & TF_VIEW)) out[o]->meta->view_kind = VIEW_MULTI;
        for (int i = 0; i < c->nsaved; i++)
            if (c->saved[i] == out[o]) { /* saving the handle would be a cycle: keep an alias */
                wg_tensor *a = wg__alias(out[o], out[o]->ndim, out[o]->dims, wg__strides(out[o]), 0, false);
                if (!a) {
                    st = WG_ERR_MEMORY;
                    break;
                }
                wg_release(c->saved[i]);
                c->saved[i] = a;
                c->saved_output[i] = o;
            }
        if (!out[o]->grad_fn) out[o]->grad_fn = wg__node_retain(n);
        out[o]->output_nr = (uint32_t)o; /* of one that is returned twice: the last (F3) */
        out[o]->flags |= TF_REQUIRES;
    }
    wg__node_release(n); /* the outputs hold it now; with none, context and node go together */
    return st;
}

/* An input returned as it is, and anything with a history of its own, becomes a new handle for the node (F3). */
static wg_status own_outputs(wg_context *c, wg_tensor *const *in, wg_tensor **out) {
    c->non_differentiable = wg__calloc((size_t)c->nout * sizeof(*c->non_differentiable));
    if (!c->non_differentiable) return wg__no_memory(c->name, (size_t)c->nout * sizeof(*c->non_differentiable));
    for (int o = 0; o < c->nout; o++) {
        if (!out[o]) return wg__raise(WG_ERR_TYPE, c->name, "forward left output %d NULL", o);
        if (wg_is_poison(out[o])) return callback_status(WG_ERR_RUNTIME, c->name);
        for (int k = 0; k < c->nmarked; k++)
            if (c->marked[k] == out[o]) c->non_differentiable[o] = true;
        bool is_input = false, twice = false;
        for (int i = 0; i < c->nin; i++) is_input |= in[i] == out[o];
        for (int q = 0; q < o; q++) twice |= out[q] == out[o];
        /* A view that forward made, to be written only as part of the function (F8). */
        if (!is_input && (out[o]->flags & TF_VIEW)) out[o]->meta->view_kind = VIEW_CUSTOM;
        if (twice || (!is_input && !out[o]->grad_fn && !(out[o]->flags & TF_REQUIRES))) continue;
        wg_tensor *t = out[o], *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
        if (!a) return WG_ERR_MEMORY;
        if (is_input && wg__mark_view(a, t, VIEW_CUSTOM) != WG_OK) {
            wg_release(a);
            return WG_ERR_MEMORY;
        }
        a = wg__scope_push(a);
        for (int p = o; p < c->nout; p++)
            if (out[p] == t) out[p] = a;
    }
    return WG_OK;
}

static wg_status push_forward(wg_context *c, wg_tensor *const *in, wg_tensor **out) {
    bool batched;
    int level = wg__top_level(in, c->nin, &batched);
    if (!level || batched) return WG_OK;
    if (!c->f.jvp)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, c->name,
                         "You must implement the jvp function for custom autograd.Function to use it with forward mode AD.");
    return wg__custom_tangents(c, c->f.jvp, in, c->nin, out, c->nout, level);
}

wg_status wg_function_apply(const wg_function *f, void *user, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    void *site = wg__site(&wg__tls, WG_SITE);
    for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    if (WG_CHECK_STRUCT(wg_function, f, "function") != WG_OK) {
        if (f->size >= WG_FIRST_wg_function && f->destroy) f->destroy(user);
        return WG_ERR_VALUE;
    }
    if (!f || !f->forward || nin < 0 || nout < 1) {
        if (f && f->destroy) f->destroy(user);
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "function", "You must implement the forward function for custom autograd.Function.");
    }
    wg_context *c = wg__calloc(sizeof(*c));
    if (!c) {
        if (f->destroy) f->destroy(user);
        return wg__no_memory("function", sizeof(*c));
    }
    *c = (wg_context){.user = user, .in = in, .nin = nin, .nout = nout};
    WG_COPY_STRUCT(&c->f, f);
    snprintf(c->name, sizeof(c->name), "%sBackward", f->name ? f->name : "Function");
    wg_status st = WG_OK;
    bool record = false;
    for (int i = 0; i < nin && st == WG_OK; i++) {
        if (!in[i]) continue;
        if (wg_is_poison(in[i])) st = WG_ERR_RUNTIME;
        else record |= !wg__tls.no_grad && wg__wants_grad(in[i]);
    }
    uint8_t no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    for (int o = 0; o < nout; o++) out[o] = NULL;
    if (st == WG_OK) st = callback_status(f->forward(c, in, nin, out, nout), c->name);
    wg__tls.no_grad = no_grad;
    if (st == WG_OK) st = own_outputs(c, in, out);
    if (st == WG_OK) st = push_forward(c, in, out);
    if (st == WG_OK && record) st = make_node(c, in, out, site);
    else context_free(c);
    if (st != WG_OK)
        for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    return st != WG_OK && wg_error_pending() ? wg_last_status() : st;
}
