/* leaf.c - what a tensor says of itself: requires_grad, leaf or not, grad, detach, data; and the thread's grad mode.
 * Rules L1-L8 and M1.
 */
#include "autograd/node.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "wengert/autograd.h"

/* ---- grad mode --------------------------------------------------------------------------------------------------- */

bool wg_set_grad_enabled(bool on) {
    bool before = !wg__tls.no_grad;
    wg__tls.no_grad = !on;
    return before;
}
bool wg_grad_enabled(void) { return !wg__tls.no_grad; }

/* ---- requires_grad ----------------------------------------------------------------------------------------------- */

bool wg_requires_grad(const wg_tensor *t) {
    if (!t || !wg__ok(t)) return false;
    return wg__wants_grad((wg_tensor *)(uintptr_t)t);
}
bool wg_is_leaf(const wg_tensor *t) {
    if (!t || !wg__ok(t)) return true;
    return !wg__wants_grad((wg_tensor *)(uintptr_t)t) || !wg__grad_fn((wg_tensor *)(uintptr_t)t);
}

wg_tensor *wg_set_requires_grad(wg_tensor *t, bool on) {
    if (!t) return wg__fail(WG_ERR_TYPE, "requires_grad_", "requires_grad_(): the tensor is NULL");
    if (!wg__ok(t)) return t;
    if (on && !wg_dtype_is_floating((wg_dtype)t->dtype))
        return wg__fail(WG_ERR_RUNTIME, "requires_grad_",
                        WG_MSG_INT_REQUIRES ". This one is torch.%s: convert it with "
                                            "wg_to first",
                        wg_dtype_name((wg_dtype)t->dtype));
    if (!wg_is_leaf(t)) {
        if (on) return t;
        return wg__fail(WG_ERR_RUNTIME, "requires_grad_", WG_MSG_REQUIRES_NON_LEAF);
    }
    if (on && (t->flags & TF_STACK))
        return wg__fail(WG_ERR_TYPE, "requires_grad_", "a number cannot require a gradient");
    if (on && !wg__meta(t)) return WG_POISON;
    t->flags = (uint16_t)(on ? (t->flags | TF_REQUIRES) & ~TF_NUMBER : t->flags & ~TF_REQUIRES);
    return t;
}

/* ---- grad -------------------------------------------------------------------------------------------------------- */

wg_tensor *wg_grad_of(const wg_tensor *t) { return t && t->meta && wg__ok(t) ? t->meta->grad : NULL; }

static wg_status check_grad(const wg_tensor *t, const wg_tensor *g) {
    char a[256], b[256];
    if (g == t) return wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_GRAD_SELF);
    if (!wg__same_sizes(t, g))
        return wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_GRAD_SIZE, wg__sizes_text(a, sizeof(a), g->ndim, g->dims),
                         wg__sizes_text(b, sizeof(b), t->ndim, t->dims));
    if (g->dtype != t->dtype)
        return wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_GRAD_DTYPE, wg__dtype_cxx_name((wg_dtype)g->dtype),
                         wg__dtype_scalar_name((wg_dtype)t->dtype));
    return WG_OK;
}

wg_status wg_set_grad(wg_tensor *t, wg_tensor *g) {
    wg_status st = t ? wg__sink_check("grad", t) : wg__raise(WG_ERR_TYPE, "grad", "grad: the tensor is NULL");
    if (st == WG_OK && g) st = wg__sink_check("grad", g);
    if (st == WG_OK && g) st = check_grad(t, g);
    if (st != WG_OK) return st;
    if (!g && !t->meta) return WG_OK;
    if (!wg__meta(t)) return WG_ERR_MEMORY;
    wg_tensor *old = t->meta->grad, *fresh = g ? wg__retain_safe(g) : NULL;
    if (g && !fresh) return WG_ERR_MEMORY;
    t->meta->grad = fresh;
    wg_release(old);
    return WG_OK;
}

/* ---- retain_grad ------------------------------------------------------------------------------------------------- */

wg_status wg_retain_grad(wg_tensor *t) {
    wg_status st = t ? wg__sink_check("retain_grad", t) : wg__raise(WG_ERR_TYPE, "retain_grad", "the tensor is NULL");
    if (st != WG_OK) return st;
    if (!wg_requires_grad(t)) return wg__raise(WG_ERR_RUNTIME, "retain_grad", WG_MSG_RETAIN_NO_GRAD);
    if (wg_is_leaf(t) || (t->flags & TF_RETAINS)) return WG_OK;
    wg_node *n = wg__grad_fn(t);
    if (!n) return WG_ERR_RUNTIME;
    wg_node_cold *cold = wg__meta(t) ? wg__node_cold(n) : NULL;
    if (cold && !cold->retaining) cold->retaining = wg__calloc(n->nout * sizeof(wg_tensor *));
    if (!cold || !cold->retaining) return wg__no_memory("retain_grad", n->nout * sizeof(wg_tensor *));
    cold->retaining[t->output_nr] = t;
    t->flags |= TF_RETAINS;
    return WG_OK;
}
bool wg_retains_grad(const wg_tensor *t) { return t && (t->flags & TF_RETAINS) && !wg_is_leaf(t); }

/* ---- detach, data ------------------------------------------------------------------------------------------------ */

static wg_tensor *bare(const char *who, wg_tensor *t, bool fresh_version) {
    if (!t) return wg__fail(WG_ERR_TYPE, who, "%s: the tensor is NULL", who);
    if (!wg__ok(t)) return t;
    if (t->flags & TF_BATCHED) return wg__batched_bare(t, fresh_version);
    wg_tensor *a = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, fresh_version);
    return a ? wg__scope_push(a) : WG_POISON;
}
wg_tensor *wg_detach(wg_tensor *t) { return bare("detach", t, false); }
wg_tensor *wg_data_of(wg_tensor *t) { return bare("data", t, true); }

wg_tensor *wg_detach_(wg_tensor *t) {
    if (!t) return wg__fail(WG_ERR_TYPE, "detach_", "detach_: the tensor is NULL");
    if (!wg__ok(t)) return t;
    if (t->flags & TF_VIEW) return wg__fail(WG_ERR_RUNTIME, "detach_", WG_MSG_DETACH_VIEW);
    wg_node *n = t->grad_fn;
    if (n && n->cold && n->cold->retaining && n->cold->retaining[t->output_nr] == t)
        n->cold->retaining[t->output_nr] = NULL;
    t->grad_fn = NULL;
    t->output_nr = 0;
    t->flags &= (uint16_t) ~(TF_REQUIRES | TF_RETAINS);
    wg_node_release(n);
    return t;
}

wg_status wg_set_data(wg_tensor *t, wg_tensor *source) {
    wg_status st = t && source ? wg__sink_check("data", t)
                               : wg__raise(WG_ERR_TYPE, "data", "Variable data has to be a tensor, but got NoneType");
    if (st == WG_OK) st = wg__sink_check("data", source);
    if (st != WG_OK) return st;
    if ((t->flags | source->flags) & (TF_BATCHED | TF_STACK))
        return wg__raise(WG_ERR_RUNTIME, "data", "data cannot be exchanged inside vmap, nor with a number");
    if (wg__requires(t) && !wg_dtype_is_floating((wg_dtype)source->dtype))
        return wg__raise(WG_ERR_RUNTIME, "data",
                         "data set to a tensor that requires gradients must be floating point or complex dtype");
    return wg__swap_storage(t, source);
}
