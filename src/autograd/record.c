/* record.c - what a node keeps of a call, and how a rule gets it back.
 *
 * Which values are kept is part of an op's contract (S1): only those that the partials of inputs that require a
 * gradient read. A saved input is the handle itself with the version it had; a saved output is an alias without
 * history, and unpacking hangs the node on a fresh handle.
 */
#include "autograd/node.h"

#include <stdio.h>

#include "core/alloc.h"
#include "core/messages.h"
#include "wengert/autograd.h"

/* ---- recording --------------------------------------------------------------------------------------------------- */

bool wg__requires_now(wg_tensor *t) {
    if (t->flags & TF_REQUIRES) return true;
    /* A view requires what its base requires, also one taken under no_grad or before the base began to. */
    return (t->flags & TF_VIEW) && (t->meta->base->flags & TF_REQUIRES) && wg_dtype_is_floating((wg_dtype)t->dtype);
}

static inline bool takes_gradient(const wg_op *op, int i) {
    if (op->traits & WG_POINTWISE) return op->partial[i].kind != WG_P_NONE;
    return i >= 32 || !(op->nondiff_in >> i & 1);
}

bool wg__any_requires(const wg_op *op, wg_tensor *const *in, int nin) {
    if (op->traits & WG_NONDIFF) return false;
    for (int i = 0; i < nin; i++)
        if (in[i] && wg__wants_grad(in[i]) && takes_gradient(op, i)) return true;
    return false;
}

unsigned wg__saved_mask(const wg_op *op, wg_tensor *const *in, int nin) {
    unsigned mask = op->saves;
    for (int i = 0; i < nin && i < 3; i++)
        if (op->partial[i].uses && in[i] && takes_gradient(op, i) && wg__wants_grad(in[i])) mask |= op->partial[i].uses;
    return mask;
}

bool wg__saves_input(unsigned mask, const wg_op *op, int i) {
    if (op->traits & WG_LIST) /* X: the first, Y: the fixed ones after it, W: the list */
        return mask & (i == 0 ? WG_USE_X : i < op->nin ? WG_USE_Y : op->nin > 1 ? WG_USE_W : WG_USE_Y);
    return i < 7 && (mask >> i & 1);
}

static inline unsigned columns_together(const wg_tensor *t) {
    return t->ndim == 2 && !(t->flags & TF_CONTIG) && wg__strides(t)[0] == 1 && wg__strides(t)[1] == t->dims[0];
}
bool wg__lay_in_columns(const wg_call *c, int i) { return c->node && (c->node->columns >> i & 1); }

wg_node *wg__record_begin(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, int nout,
                          wg_tensor *self, void *site) {
    wg_node *n = wg__node_new(op, nin, nout, site);
    if (!n) return NULL;
    unsigned mask = wg__saved_mask(op, in, nin);
    if (mask) n->flags |= NF_SAVES;
    if (mask & WG_USE_Z) n->flags |= NF_SAVED_OUT;
    if (wg__node_set_attrs(n, attr, nattr) != WG_OK) goto failed;
    for (int i = 0; i < nin; i++) {
        if (!in[i]) continue;
        if (i < 4) {
            n->numbers |= ((in[i]->flags & TF_NUMBER) != 0) << i;
            n->columns |= columns_together(in[i]) << i;
        }
        if (takes_gradient(op, i) && wg__node_set_edge(n, i, in[i]) != WG_OK) goto failed;
        if (!wg__saves_input(mask, op, i)) continue;
        wg_tensor *t = i == 0 && self ? self : in[i];
        n->in[i].saved = wg__retain_safe(t);
        if (!n->in[i].saved) goto failed;
        n->in[i].version = wg__version(n->in[i].saved);
    }
    return n;
failed:
    wg__node_release(n);
    return NULL;
}

static wg_tensor *detached(const wg_tensor *t) { return wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false); }

static wg_status save_outputs(wg_node *n, wg_tensor *const *out, int nout) {
    if (!(n->flags & NF_SAVED_OUT)) return WG_OK;
    if (nout == 1) {
        n->u.saved_out = detached(out[0]);
        n->out_version = wg__version(out[0]);
        return n->u.saved_out ? WG_OK : WG_ERR_MEMORY;
    }
    n->u.saved_outs = wg__calloc((size_t)nout * sizeof(wg_input));
    if (!n->u.saved_outs) return wg__no_memory(n->op->name, (size_t)nout * sizeof(wg_input));
    for (int o = 0; o < nout; o++) {
        bool read = o > 0 || !(n->op->traits & WG_INT_SECOND); /* rules with indices read those, not the values */
        if (!out[o] || !read) continue;
        n->u.saved_outs[o].saved = detached(out[o]);
        n->u.saved_outs[o].version = wg__version(out[o]);
        if (!n->u.saved_outs[o].saved) return WG_ERR_MEMORY;
    }
    return WG_OK;
}

static bool differentiable_out(const wg_op *op, int o, const wg_tensor *t) {
    return t && wg__is_floating(t->dtype) && !(o > 0 && (op->traits & WG_INT_SECOND));
}

wg_status wg__record_end(wg_node *n, wg_tensor *const *out, int nout) {
    wg_status st = save_outputs(n, out, nout);
    for (int o = 0; o < nout && st == WG_OK; o++)
        if (out[o]) st = wg__node_set_out(n, o, out[o]);
    if (st == WG_OK)
        for (int o = 0; o < nout; o++) {
            if (!differentiable_out(n->op, o, out[o])) continue;
            out[o]->grad_fn = wg__node_retain(n);
            out[o]->output_nr = (uint32_t)o;
            out[o]->flags |= TF_REQUIRES;
        }
    wg__node_release(n);
    return st;
}

wg_status wg__record(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                     wg_tensor *const *out, int nout, void *site) {
    wg_node *n = wg__record_begin(op, in, nin, attr, nattr, nout, NULL, site);
    return n ? wg__record_end(n, out, nout) : (wg_last_status() ? wg_last_status() : WG_ERR_MEMORY);
}

static inline void save_input(wg_node *n, int i, wg_tensor *t) {
    n->in[i].saved = wg__retain_safe(t);
    if (n->in[i].saved) n->in[i].version = wg__version(n->in[i].saved);
}

static inline wg_status set_edge(wg_node *n, int i, wg_tensor *t) {
    if (WG_UNLIKELY(t->flags & TF_VIEW)) return wg__node_set_edge(n, i, t);
    wg_node *to = t->grad_fn;
    if (!to && t->meta) to = atomic_load_explicit(&t->meta->accum, memory_order_acquire);
    if (WG_UNLIKELY(!to)) return wg__node_set_edge(n, i, t);
    wg__node_edge(n, i, to, t->output_nr);
    return WG_OK;
}

wg_status wg__record_pointwise(const wg_op *op, wg_tensor *const *in, int nin, wg_tensor *out, void *site) {
    unsigned wants = 0, mask = op->saves;
    for (int i = 0; i < nin; i++) {
        if (op->partial[i].kind == WG_P_NONE || !wg__wants_grad(in[i])) continue;
        wants |= 1u << i;
        mask |= op->partial[i].uses;
    }
    if (!wants || (op->traits & WG_NONDIFF)) return WG_OK;
    wg_node *n = wg__node_new_small(op, nin, 1, site);
    if (WG_UNLIKELY(!n)) return WG_ERR_MEMORY;
    bool failed = false;
    for (int i = 0; i < nin; i++) {
        if (in[i]->flags & TF_NUMBER) n->numbers |= 1u << i;
        if (wants >> i & 1) failed |= set_edge(n, i, in[i]) != WG_OK;
        if (!(mask >> i & 1)) continue;
        save_input(n, i, in[i]);
        failed |= !n->in[i].saved;
    }
    if (mask) n->flags |= NF_SAVES;
    if (mask & WG_USE_Z) {
        n->flags |= NF_SAVED_OUT;
        n->u.saved_out = detached(out);
        failed |= !n->u.saved_out; /* its version is 0, as a fresh tensor's */
    }
    if (WG_UNLIKELY(failed || wg__node_set_out(n, 0, out) != WG_OK)) {
        wg__node_release(n);
        return wg_error_pending() ? wg_last_status() : WG_ERR_MEMORY;
    }
    out->grad_fn = n;
    out->flags |= TF_REQUIRES;
    return WG_OK;
}

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

wg_status wg__second_time(const wg_node *n, void *freed) {
    char here[160], there[160], name[96];
    wg_site_text(n->site, here, sizeof(here));
    wg_site_text(freed, there, sizeof(there));
    snprintf(name, sizeof(name), "%s", wg_node_name(n));
    return wg__raise(WG_ERR_RUNTIME, n->op->name, WG_MSG_SECOND_TIME, name, here, there);
}

wg_status wg__modified(const wg_node *n, const wg_tensor *t, const wg_node *maker, int nr, uint32_t expected) {
    char sizes[256], which[160] = "", name[96], here[160], write[160], mine[96];
    wg__sizes_text(sizes, sizeof(sizes), t->ndim, t->dims);
    if (maker)
        snprintf(which, sizeof(which), ", which is output %d of %s,", nr, wg__node_op_name(maker, name, sizeof(name)));
    wg_site_text(n->site, here, sizeof(here));
    wg_site_text(__atomic_load_n(&t->vhome->version.site, __ATOMIC_RELAXED), write, sizeof(write));
    snprintf(mine, sizeof(mine), "%s", wg_node_name(n));
    bool old = t->dtype != WG_BOOL && t->dtype != WG_BFLOAT16; /* had a type of its own; PyTorch names the others so */
    return wg__raise(WG_ERR_RUNTIME, n->op->name, WG_MSG_MODIFIED, old ? "torch." : "CPU",
                     wg__dtype_scalar_name((wg_dtype)t->dtype), old ? "Tensor" : "Type", sizes, which, wg__version(t),
                     expected, mine, here, write);
}

static wg_status modified_out(const wg_node *n, int o, const wg_tensor *saved, uint32_t expected) {
    bool made = wg__is_floating(saved->dtype) && !(o > 0 && (n->op->traits & WG_INT_SECOND));
    return wg__modified(n, saved, made ? n : NULL, o, expected);
}

static wg_node *current_maker(wg_tensor *t) { return (t->flags & TF_VIEW) ? wg__grad_fn(t) : t->grad_fn; }

/* S4: an input that had a history when it was saved, and was detached in place since. */
static wg_status detached_since(const wg_node *n) {
    char here[160];
    wg_site_text(n->site, here, sizeof(here));
    return wg__raise(WG_ERR_RUNTIME, n->op->name, WG_MSG_DETACHED_SAVED, wg_node_name(n), here);
}

static wg_status __attribute__((noinline)) input_changed(const wg_node *n, int i, wg_tensor *t) {
    if (wg__version(t) != n->in[i].version)
        return wg__modified(n, t, current_maker(t), (int)t->output_nr, n->in[i].version);
    return t->grad_fn || (n->in[i].node->flags & NF_ACCUMULATE) ? WG_OK : detached_since(n);
}
static inline wg_status check_input(const wg_node *n, int i, wg_tensor *t) {
    bool as_it_was = wg__version(t) == n->in[i].version && (!n->in[i].node || wg__requires(t));
    return WG_LIKELY(as_it_was) ? WG_OK : input_changed(n, i, t);
}

/* A fresh handle on the saved alias, with its maker as its history when a graph is being made. */
static wg_tensor *rewrap(wg_node *n, const wg_tensor *saved, int o) {
    wg_tensor *t = detached(saved);
    if (!t || !wg__is_floating(t->dtype)) return t;
    t->grad_fn = wg__node_retain(n);
    t->output_nr = (uint32_t)o;
    t->flags |= TF_REQUIRES;
    if ((saved->flags & TF_DUAL) && wg__tangents_share(t, saved) != WG_OK) {
        wg_release(t);
        return NULL;
    }
    return t;
}

wg_tensor *wg__saved_output(wg_node *n, int o) {
    if (!n || n->op->backward || !(n->flags & NF_SAVED_OUT) || wg__released(n)) return NULL;
    return n->nout == 1 ? n->u.saved_out : n->u.saved_outs[o].saved;
}

static wg_status unpack_out(wg_node *n, wg_node *maker, int o, wg_tensor *saved, uint32_t version, wg_tensor **out) {
    if (!saved) return WG_OK;
    if (wg__version(saved) != version) return modified_out(n, o, saved, version);
    *out = wg__tls.no_grad ? wg__retain(saved) : rewrap(maker, saved, o);
    return *out ? WG_OK : WG_ERR_MEMORY;
}

/* Under the node's lock: retains what the node saved, or takes it when it is consumed. */
static wg_status grab(wg_node *n, wg_unpacked *u, bool consume, void *site) {
    wg__lock(&n->lock);
    if (wg__released(n) && (n->flags & NF_SAVES)) {
        void *freed = n->u.freed_site;
        wg__unlock(&n->lock);
        return wg__second_time(n, freed);
    }
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_tensor *t = n->in[i].saved;
        u->in[i] = t;
        if (!t) continue;
        if (consume)
            n->in[i].saved = NULL;
        else
            wg__retain(t);
    }
    if (n->flags & NF_SAVED_OUT) {
        for (int o = 0; o < n->nout; o++) {
            wg_tensor *t = n->nout == 1 ? n->u.saved_out : n->u.saved_outs[o].saved;
            u->out[o] = t;
            if (t && !consume) wg__retain(t);
            if (consume && n->nout > 1) n->u.saved_outs[o].saved = NULL;
        }
    }
    wg_input *array = NULL;
    if (consume && (n->flags & NF_SAVES)) {
        if (n->nout > 1) array = n->u.saved_outs;
        wg__set_released(n);
        n->u.freed_site = site;
    }
    wg__unlock(&n->lock);
    if (array && !(n->flags & NF_SAVED_OUT)) array = NULL;
    if (array) {
        /* keep the versions for the check below */
        for (int o = 0; o < n->nout; o++)
            if (u->out[o] && wg__version(u->out[o]) != array[o].version) {
                wg_status st = modified_out(n, o, u->out[o], array[o].version);
                wg__mfree(array, n->nout * sizeof(wg_input));
                return st;
            }
        wg__mfree(array, n->nout * sizeof(wg_input));
    }
    return WG_OK;
}

static wg_status check_all(wg_node *n, wg_node *maker, wg_unpacked *u, bool consumed) {
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_status st = u->in[i] ? check_input(n, (int)i, u->in[i]) : WG_OK;
        if (st != WG_OK) return st;
    }
    if (!(n->flags & NF_SAVED_OUT)) return WG_OK;
    for (int o = 0; o < n->nout; o++) {
        wg_tensor *saved = u->out[o], *fresh = NULL;
        if (!saved) continue;
        bool many_done = consumed && n->nout > 1;
        uint32_t version =
            many_done ? wg__version(saved) : (n->nout == 1 ? n->out_version : n->u.saved_outs[o].version);
        wg_status st = unpack_out(n, maker, o, saved, version, &fresh);
        u->out[o] = fresh;
        wg_release(saved);
        if (st != WG_OK) return st;
    }
    return WG_OK;
}

/* The usual node: few inputs, one output. */
static wg_status unpack_small(wg_node *n, wg_node *maker, wg_unpacked *u, bool consume, void *site) {
    u->out[0] = NULL;
    memset(u->in_buf, 0, sizeof(u->in_buf));
    if (!(n->flags & NF_SAVES)) return WG_OK;
    wg__lock(&n->lock);
    if (wg__released(n)) {
        void *freed = n->u.freed_site;
        wg__unlock(&n->lock);
        return wg__second_time(n, freed);
    }
    wg_tensor *saved_out = (n->flags & NF_SAVED_OUT) ? n->u.saved_out : NULL;
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_tensor *t = u->in[i] = n->in[i].saved;
        if (consume)
            n->in[i].saved = NULL;
        else if (t)
            wg__retain(t);
    }
    if (saved_out && !consume) wg__retain(saved_out);
    if (consume) {
        wg__set_released(n);
        n->u.freed_site = site;
    }
    wg__unlock(&n->lock);
    wg_status st = WG_OK;
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++)
        if (u->in[i]) st = check_input(n, (int)i, u->in[i]);
    if (!saved_out) return st;
    if (st == WG_OK) st = unpack_out(n, maker, 0, saved_out, n->out_version, &u->out[0]);
    wg__drop(saved_out);
    return st;
}

wg_status wg__unpack(wg_node *n, wg_node *maker, wg_unpacked *u, bool consume, void *site) {
    u->in = u->in_buf;
    u->out = u->out_buf;
    u->call = (wg_call){.op = n->op,
                        .in = u->in,
                        .out = u->out,
                        .attr = n->attr,
                        .nattr = n->nattr,
                        .nin = (int)n->nin,
                        .nout = n->nout,
                        .node = n};
    if (WG_LIKELY(n->nin <= WG_UNPACK_INLINE && n->nout == 1)) return unpack_small(n, maker, u, consume, site);
    if (n->nin > WG_UNPACK_INLINE || n->nout > WG_UNPACK_INLINE) {
        size_t bytes = (n->nin + n->nout) * sizeof(wg_tensor *);
        u->in = wg__malloc(bytes);
        if (!u->in) {
            u->in = u->in_buf;
            u->call.nin = u->call.nout = 0;
            return wg__no_memory(n->op->name, bytes);
        }
        u->out = u->in + n->nin;
    }
    for (int o = 0; o < n->nout; o++) u->out[o] = NULL;
    for (uint32_t i = 0; i < n->nin; i++) u->in[i] = NULL;
    u->call.in = u->in;
    u->call.out = u->out;
    wg_status st = grab(n, u, consume, site);
    return st == WG_OK ? check_all(n, maker, u, consume) : st;
}

void wg__unpack_done(wg_unpacked *u) {
    for (int i = 0; i < u->call.nin; i++) wg__drop(u->in[i]);
    for (int o = 0; o < u->call.nout; o++) wg__drop(u->out[o]);
    if (u->in != u->in_buf) wg__mfree(u->in, (size_t)(u->call.nin + u->call.nout) * sizeof(wg_tensor *));
}

wg_tensor *wg_node_saved(wg_node *n, int i) {
    if (!n || n->op->backward || i < -1 || i >= (int)n->nin) return NULL;
    wg_unpacked u;
    if (wg__unpack(n, n, &u, false, NULL) != WG_OK) {
        wg__unpack_done(&u);
        return WG_POISON;
    }
    wg_tensor *t = i < 0 ? u.out[0] : u.in[i];
    for (int o = 1; i < 0 && !t && o < u.call.nout; o++) t = u.out[o];
    if (t) t = wg__scope_push(wg__retain(t));
    wg__unpack_done(&u);
    return t;
}

/* ---- for rules --------------------------------------------------------------------------------------------------- */

static wg_out_info input_info(const wg_call *c, int i) {
    if (c->node && c->node->in[i].node) {
        const wg_node *m = c->node->in[i].node;
        wg_out_info info = wg__node_out(m, (int)c->node->in[i].nr);
        if (info.dtype == WG_DTYPE_NONE) info.dtype = (uint8_t)wg__own_dtype(m, c->node->in[i].nr);
        return info;
    }
    const wg_tensor *t = c->in[i];
    return t ? (wg_out_info){.dtype = t->dtype, .ndim = t->ndim, .sizes = t->dims} : (wg_out_info){0};
}
const int64_t *wg__input_sizes(const wg_call *c, int i, int *ndim) {
    wg_out_info info = input_info(c, i);
    *ndim = info.ndim;
    return info.sizes;
}
wg_dtype wg__input_dtype(const wg_call *c, int i) { return (wg_dtype)input_info(c, i).dtype; }
bool wg__wants(const wg_call *c, int i) {
    if (c->node) return c->node->in[i].node != NULL;
    return c->in[i] && wg__wants_grad(c->in[i]);
}
