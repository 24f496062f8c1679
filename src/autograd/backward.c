/* backward.c - the walk: reverse mode over the recorded graph.
 *
 *   1. discover: count, for each reachable node, the edges that will deliver to it (explicit stack)
 *   2. pop the ready node that was made last; run its hooks and its rule; deliver each result to the next node,
 *      reduced to that node's shape and cast to its dtype; a node is ready when all its edges have delivered
 *   3. a leaf's node accumulates into .grad
 *
 * What the walk knows of a node (cotangent, count) stands in the node itself for one walk at a time; a walk that finds
 * another one under way (in another thread, or because a hook started it) uses a side table.
 */
#include "autograd/walk.h"

#include <sched.h>

#include "core/fork.h"
#include "core/apply.h"
#include "core/messages.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- the state of a node in this walk ---------------------------------------------------------------------------- */

static atomic_bool in_node_taken;
static uint32_t in_node_mark; /* belongs to whoever holds the flag */

/* A walk of another thread does not go on in the child: the nodes are free for ours. */
void wg__walk_fork(int phase) {
    if (phase == WG_FORK_CHILD && !wg__tls.in_backward) wg__give_flag(&in_node_taken);
}

typedef struct side_entry {
    wg_node *node;
    wg_node_state state;
} side_entry;

static size_t hash(const void *p) { return (size_t)(((uintptr_t)p >> 6) * 0x9E3779B97F4A7C15ull >> 20); }

static bool side_grow(wg_walk *w) {
    size_t cap = w->side_cap ? w->side_cap * 2 : 64;
    side_entry *bigger = wg__calloc(cap * sizeof(*bigger));
    if (!bigger) return false;
    for (size_t i = 0; i < w->side_cap; i++) {
        if (!w->side[i].node) continue;
        size_t k = hash(w->side[i].node) & (cap - 1);
        while (bigger[k].node) k = (k + 1) & (cap - 1);
        bigger[k] = w->side[i];
    }
    if (w->side) wg__mfree(w->side, w->side_cap * sizeof(*bigger));
    w->side = bigger;
    w->side_cap = cap;
    return true;
}

static wg_node_state *side_state(wg_walk *w, wg_node *n) {
    if (w->side_n * 2 >= w->side_cap && !side_grow(w)) return NULL;
    size_t k = hash(n) & (w->side_cap - 1);
    while (w->side[k].node && w->side[k].node != n) k = (k + 1) & (w->side_cap - 1);
    if (!w->side[k].node) {
        w->side[k] = (side_entry){.node = n, .state = {.mark = w->mark}};
        w->side_n++;
    }
    return &w->side[k].state;
}

/* NULL only when the side table cannot grow; a pointer into it is good until the next new node. */
static inline wg_node_state *state_of(wg_walk *w, wg_node *n) {
    if (WG_UNLIKELY(!w->in_node)) return side_state(w, n);
    wg_node_state *s = &n->state;
    if (s->mark != w->mark) *s = (wg_node_state){.mark = w->mark};
    return s;
}

/* ---- growing lists ----------------------------------------------------------------------------------------------- */

static bool list_grow(wg_list *l) {
    size_t cap = l->cap * 4;
    wg_list_item *bigger = wg__malloc_array(cap, sizeof(*bigger));
    if (!bigger) return false;
    memcpy(bigger, l->v, l->n * sizeof(*bigger));
    if (l->v != l->small) wg__free_array(l->v, l->cap, sizeof(*bigger));
    l->v = bigger;
    l->cap = cap;
    return true;
}
static inline bool list_push(wg_list *l, void *p, uint32_t at) {
    if (WG_UNLIKELY(l->n == l->cap) && !list_grow(l)) return false;
    wg_list_item *item = &l->v[l->n++];
    item->p = p;
    item->at = at;
    return true;
}
static void list_free(wg_list *l) {
    if (l->v != l->small) wg__free_array(l->v, l->cap, sizeof(*l->v));
}

/* ---- the heap of ready nodes: larger sequence number first (O2) -------------------------------------------------- */

static inline wg_node *heap_at(const wg_list *h, size_t i) { return h->v[i].p; }

/* What a node that is about to run will read. */
static inline void prefetch_run(const wg_node *n) {
    for (uint32_t i = 0; i < n->nin && i < 2; i++) {
        const char *t = (const char *)n->in[i].saved, *m = (const char *)n->in[i].node;
        __builtin_prefetch(t);
        __builtin_prefetch(t + 64);
        __builtin_prefetch(t + 128);
        __builtin_prefetch(m);
        __builtin_prefetch(m + 64);
        __builtin_prefetch(m + 128);
    }
}

static void heap_rise(wg_list *h, wg_node *n) {
    size_t i = h->n - 1;
    for (; i && heap_at(h, (i - 1) / 2)->seq < n->seq; i = (i - 1) / 2) h->v[i] = h->v[(i - 1) / 2];
    h->v[i].p = n;
}
static void heap_sink(wg_list *h, wg_node *last) {
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < h->n; i = c) {
        if (c + 1 < h->n && heap_at(h, c + 1)->seq > heap_at(h, c)->seq) c++;
        if (heap_at(h, c)->seq <= last->seq) break;
        h->v[i] = h->v[c];
    }
    h->v[i].p = last;
}

/* Of a chain, one node is ready at a time: then there is nothing to sort. */
static inline bool heap_push(wg_list *h, wg_node *n) {
    if (!list_push(h, n, 0)) return false;
    if (WG_UNLIKELY(h->n > 1)) heap_rise(h, n);
    return true;
}
static inline wg_node *heap_pop(wg_list *h) {
    wg_node *top = heap_at(h, 0);
    if (--h->n) heap_sink(h, heap_at(h, h->n));
    return top;
}

/* ---- discovery --------------------------------------------------------------------------------------------------- */

static wg_status no_room(void) { return wg__no_memory("backward", 0); }

static wg_status discover_all(wg_walk *w, wg_node *root) {
    wg_node_state *s = state_of(w, root);
    if (!s) return no_room();
    if (s->bits & WS_VISITED) return WG_OK;
    s->bits |= WS_VISITED;
    if (!list_push(&w->stack, root, 0)) return no_room();
    while (w->stack.n) {
        wg_node *n = w->stack.v[--w->stack.n].p;
        for (uint32_t i = 0; i < n->nin; i++) {
            wg_node *m = n->in[i].node;
            if (!m) continue;
            s = state_of(w, m);
            if (!s) return no_room();
            s->bits += WS_EDGE;
            if (s->bits & WS_VISITED) continue;
            s->bits |= WS_VISITED;
            wg__prefetch_along(n, m);
            if (m->nin && !list_push(&w->stack, m, 0)) return no_room();
        }
    }
    return WG_OK;
}

/* With inputs given (O3): a depth-first walk that finishes children first, to learn which nodes lead to an input. */
static wg_status discover_needed(wg_walk *w, wg_node *root) {
    wg_node_state *s = state_of(w, root);
    if (!s) return no_room();
    if (s->bits & WS_VISITED) return WG_OK;
    s->bits |= WS_VISITED;
    if (!list_push(&w->stack, root, 0)) return no_room();
    while (w->stack.n) {
        wg_list_item *top = &w->stack.v[w->stack.n - 1];
        wg_node *n = top->p;
        if (top->at < n->nin) {
            wg_node *m = n->in[top->at++].node;
            if (!m) continue;
            s = state_of(w, m);
            if (!s) return no_room();
            s->bits += WS_EDGE;
            if (s->bits & WS_VISITED) continue;
            s->bits |= WS_VISITED;
            if (!list_push(&w->stack, m, 0)) return no_room();
            continue;
        }
        bool needed = false;
        for (uint32_t i = 0; i < n->nin && !needed; i++) {
            s = n->in[i].node ? state_of(w, n->in[i].node) : NULL;
            needed = s && (s->bits & WS_WANTED);
        }
        s = state_of(w, n);
        if (needed) s->bits |= WS_NEEDED;
        w->stack.n--;
    }
    return WG_OK;
}

/* ---- cotangents -------------------------------------------------------------------------------------------------- */

/* Nobody else can see t's elements: it may be written (A5). */
static bool exclusively_ours(const wg_tensor *t) {
    return atomic_load_explicit(&((wg_tensor *)(uintptr_t)t)->refs, memory_order_acquire) == 1 &&
           t->storage == &t->own &&
           atomic_load_explicit(&((wg_tensor *)(uintptr_t)t)->own.refs, memory_order_acquire) == 1 && !t->grad_fn &&
           !(t->flags & (TF_REQUIRES | TF_VIEW | TF_BATCHED | TF_DUAL | TF_NUMBER)) && !t->own.foreign;
}

static bool can_add_into(const wg_tensor *a, const wg_tensor *b) {
    return wg__tls.no_grad && exclusively_ours(a) && a->dtype == b->dtype && wg__same_sizes(a, b) &&
           !(b->flags & (TF_BATCHED | TF_DUAL));
}

static inline bool aligned(const wg_tensor *t) { return ((uintptr_t)t->data & (wg__itemsize(t) - 1)) == 0; }

/* a += b; the same sizes and dtype. */
static wg_status add_into(wg_tensor *a, wg_tensor *b) {
    const wg_op *add = wg__op_add();
    if ((a->flags & b->flags & TF_CONTIG) && a->numel < WG_GRAIN && aligned(a) && aligned(b)) {
        ptrdiff_t size = (ptrdiff_t)wg__itemsize(a), step[3] = {size, size, size};
        char *p[3] = {a->data, a->data, b->data};
        wg__kernel(add, (wg_dtype)a->dtype)(p, step, a->numel);
        return WG_OK;
    }
    wg_operand x[2] = {{.t = a, .data = a->data, .single = a->numel == 1},
                       {.t = b, .data = b->data, .single = b->numel == 1}};
    return wg__run_pointwise(wg__kernel(add, (wg_dtype)a->dtype), a, x, 2, (wg_dtype)a->dtype, NULL);
}

/* *slot += g; consumes g. */
static wg_status accumulate(wg_tensor **slot, wg_tensor *g) {
    if (!*slot) {
        *slot = g;
        return WG_OK;
    }
    if (can_add_into(*slot, g)) {
        wg_status st = add_into(*slot, g);
        wg__drop(g);
        return st;
    }
    if (can_add_into(g, *slot)) {
        wg_status st = add_into(g, *slot);
        wg_release(*slot);
        *slot = g;
        return st;
    }
    wg_tensor *sum = wg_add(*slot, g);
    wg_release(*slot);
    wg_release(g);
    *slot = wg_is_poison(sum) ? NULL : wg__take(sum);
    return *slot ? WG_OK : WG_ERR_RUNTIME;
}

/* The slot of output nr, with room for all outputs of n. */
static wg_tensor **cot_slot(wg_node *n, wg_node_state *s, uint32_t nr) {
    if (n->nout == 1) return &s->cot.one;
    if (!s->cot.many) {
        s->cot.many = wg__calloc(n->nout * sizeof(wg_tensor *));
        if (!s->cot.many) {
            no_room();
            return NULL;
        }
    }
    return &s->cot.many[nr];
}

static void drop_cots(wg_node *n, wg_node_state *s) {
    if (n->nout == 1) {
        wg_release(s->cot.one);
    } else if (s->cot.many) {
        for (int o = 0; o < n->nout; o++) wg_release(s->cot.many[o]);
        wg__mfree(s->cot.many, n->nout * sizeof(wg_tensor *));
    }
    s->cot.one = NULL;
}

/* O6: a cotangent must have the shape and dtype of the output it belongs to, or reduce to it. Takes and gives an owned
 * reference; NULL on failure. */
wg_tensor *wg__conform(const wg_node *from, int i, const wg_node *to, uint32_t nr, wg_tensor *g) {
    wg_out_info info = wg__node_out(to, (int)nr);
    if (!wg__has_sizes(g, info.ndim, info.sizes)) {
        wg_tensor *r = wg__reducible(g, info.ndim, info.sizes) ? wg__sum_to(g, info.ndim, info.sizes) : NULL;
        if (!r) {
            char a[256], b[256];
            wg__raise(WG_ERR_RUNTIME, NULL, WG_MSG_INVALID_GRADIENT, wg_node_name(from), i,
                      wg__sizes_text(a, sizeof(a), g->ndim, g->dims),
                      wg__sizes_text(b, sizeof(b), info.ndim, info.sizes));
            wg_release(g);
            return NULL;
        }
        r = wg__take(r);
        wg_release(g);
        g = r;
    }
    if (wg_is_poison(g)) return NULL;
    if (info.dtype == WG_DTYPE_NONE) info.dtype = (uint8_t)wg__wanted_dtype(to, nr);
    if (g->dtype == info.dtype || info.dtype == WG_DTYPE_NONE) return g;
    wg_tensor *r = wg__take(wg_to(g, (wg_dtype)info.dtype));
    wg_release(g);
    return wg_is_poison(r) ? NULL : r;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

wg_tensor *wg__partial_product(const wg_call *c, wg_tensor *g, int i) {
    const wg_partial *p = &c->op->partial[i];
    switch (p->kind) {
    case WG_P_ONE: return g;
    case WG_P_MINUS_ONE: return wg_neg(g);
    case WG_P_ZERO: return wg_zeros_like(g, NULL);
    case WG_P_PRODUCT: return p->fn(c, g);
    case WG_P_DERIVATIVE: return wg_mul(g, wg_conj(p->fn(c, g)));
    default: return NULL;
    }
}

static wg_status rule_failed(const wg_node *n) {
    if (wg_error_pending()) return WG_ERR_RUNTIME;
    return wg__raise(WG_ERR_RUNTIME, n->op->name, "the derivative of %s failed", n->op->name);
}

wg_status wg__run_rule_as(wg_node *n, wg_node *maker, wg_tensor *const *g, wg_tensor **out, const bool *need,
                          bool consume) {
    if (n->op->backward) return n->op->backward(n, g, out, need, consume);
    wg_unpacked u;
    wg_status st = wg__unpack(n, maker, &u, consume, wg__tls.walk_site);
    u.need = need;
    bool pointwise = n->op->traits & WG_POINTWISE;
    for (uint32_t i = 0; i < n->nin; i++) {
        out[i] = NULL;
        if (st != WG_OK || !need[i]) continue;
        if (pointwise)
            out[i] = g[0] ? wg__partial_product(&u.call, g[0], (int)i) : NULL;
        else if (n->op->vjp)
            out[i] = n->op->vjp(&u.call, g, (int)i);
        else
            st = wg__raise(WG_ERR_NOT_IMPLEMENTED, n->op->name, "the derivative for '%s' is not implemented.",
                           n->op->name);
        if (out[i] && wg_is_poison(out[i])) st = rule_failed(n);
    }
    wg__unpack_done(&u);
    return st;
}

wg_status wg__run_rule(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume) {
    return wg__run_rule_as(n, n, g, out, need, consume);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

/* A2: a dense leaf's gradient has the leaf's strides, another one's is row-major. */
static bool obeys_layout(const wg_tensor *leaf, const wg_tensor *g) {
    if ((leaf->flags & TF_CONTIG) || wg__is_dense(leaf->ndim, leaf->dims, wg__strides(leaf)))
        return memcmp(wg__strides(leaf), wg__strides(g), (size_t)leaf->ndim * 8) == 0;
    return g->flags & TF_CONTIG;
}

static wg_tensor *copy_for(const wg_tensor *leaf, wg_tensor *g) {
    bool dense = wg__is_dense(leaf->ndim, leaf->dims, wg__strides(leaf));
    wg_tensor *t = wg__tensor_new((wg_dtype)g->dtype, g->ndim, g->dims, dense ? wg__strides(leaf) : NULL);
    if (!t) return NULL;
    if (wg__tls.no_grad && !(g->flags & TF_SLOW)) {
        if (wg__copy_into(t, g) == WG_OK) return t;
        wg_release(t);
        return NULL;
    }
    t = wg__scope_push(t);
    t = wg_copy_(t, g);
    return wg_is_poison(t) ? NULL : wg__take(t);
}

/* These two run under the leaf's lock and release nothing there: a handle's end may call the binding, which may wait
 * for a lock of its own. */
static wg_status first_gradient(wg_tensor *leaf, wg_tensor **g) {
    bool steal = wg__tls.no_grad && exclusively_ours(*g) && obeys_layout(leaf, *g);
    wg_tensor *stored = steal ? *g : copy_for(leaf, *g);
    if (steal) *g = NULL;
    if (!stored) return rule_failed(leaf->meta->accum);
    leaf->meta->grad = stored;
    return WG_OK;
}

static wg_status further_gradient(wg_tensor *leaf, wg_tensor *g, wg_tensor **replaced) {
    wg_tensor *v = leaf->meta->grad;
    wg_status st = WG_OK;
    if (wg__tls.no_grad) {
        bool plain = v->dtype == g->dtype && wg__same_sizes(v, g) &&
                     !((v->flags | g->flags) & (TF_BATCHED | TF_DUAL)) && !(v->flags & TF_VIEW);
        if (plain) {
            st = add_into(v, g);
            wg__bump(v, wg__tls.site);
        } else if (wg_is_poison(wg_add_(v, g))) {
            st = WG_ERR_RUNTIME;
        }
    } else {
        wg_tensor *sum = wg_add(v, g);
        if (wg_is_poison(sum))
            st = WG_ERR_RUNTIME;
        else
            leaf->meta->grad = wg__take(sum);
        if (st == WG_OK) *replaced = v;
    }
    return st;
}

wg_status wg__accumulate_grad(wg_tensor *leaf, wg_tensor *g) {
    wg_meta *m = leaf->meta;
    while (!wg__take_flag(&m->lock)) sched_yield();
    wg_tensor *replaced = NULL;
    wg_status st = m->grad ? further_gradient(leaf, g, &replaced) : first_gradient(leaf, &g);
    wg__give_flag(&m->lock);
    wg__drop(replaced);
    wg__drop(g);
    return st;
}

static wg_status accumulate_backward(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume) {
    (void)out, (void)need, (void)consume;
    wg_tensor *leaf = n->inline_in[0].saved;
    /* Nothing came, or the leaf was switched off since: only the hooks run. */
    if (!g[0] || !wg__requires(leaf)) return wg__run_accumulated_hooks(leaf);
    /* The walk's own reference moves into the leaf, so that a gradient nobody else holds is taken without a copy. */
    wg_tensor **own = (wg_tensor **)(uintptr_t)g;
    wg_tensor *t = *own;
    bool watched = n->cold && wg__has_posthooks(n); /* they are given it */
    if (watched) wg__retain(t);
    *own = watched ? t : NULL;
    wg_status st = wg__accumulate_grad(leaf, t);
    return st == WG_OK ? wg__run_accumulated_hooks(leaf) : st;
}
static const char *accumulate_name(const wg_call *c) { return c ? "torch::autograd::AccumulateGrad" : NULL; }
const wg_op wg__op_accumulate = {.name = "accumulate_grad",
                                 .schema = "accumulate_grad() -> ()",
                                 .nout = 1,
                                 .doc = "sums into a leaf's grad",
                                 .grad_name = accumulate_name,
                                 .backward = accumulate_backward};

/* ---- running one node -------------------------------------------------------------------------------------------- */

/* Results of a node with more inputs than this stay in the scope until the node is done: looking for each of them there
 * would take time that grows with the square of their number. */
#define MANY_INPUTS 64

static wg_status deliver(wg_walk *w, wg_node *n, uint32_t i, wg_tensor *g) {
    wg_node *m = n->in[i].node;
    wg_node_state *s = state_of(w, m);
    wg_status st = WG_OK;
    bool wanted = !w->selective || (s->bits & WS_WANTED);
    if (g && wanted) {
        g = n->nin > MANY_INPUTS ? wg__retain_safe(g) : wg__take(g);
        if (g) g = wg__conform(n, (int)i, m, n->in[i].nr, g);
        if (!g) return rule_failed(n);
        wg_tensor **slot = cot_slot(m, s, n->in[i].nr);
        st = slot ? accumulate(slot, g) : WG_ERR_MEMORY;
        if (!slot) wg_release(g);
    }
    if ((s->bits -= WS_EDGE) < WS_EDGE && wanted && !heap_push(&w->ready, m)) return no_room();
    return st;
}

static void store_captures(wg_walk *w, const wg_node *n, wg_tensor *const *g) {
    for (int k = 0; k < w->ncaptures; k++) {
        wg_capture *c = &w->captures[k];
        if (c->node != n || !g[c->nr]) continue;
        wg_release(c->value);
        c->value = wg__retain(g[c->nr]);
    }
}

static wg_status run_rule_and_deliver(wg_walk *w, wg_node *n, wg_tensor **g) {
    wg_tensor *small_out[8], **out = small_out;
    bool small_need[8], *need = small_need;
    if (n->nin > 8) {
        out = wg__malloc(n->nin * sizeof(*out));
        need = wg__malloc(n->nin);
        if (!out || !need) {
            if (out) wg__mfree(out, n->nin * sizeof(*out));
            if (need) wg__mfree(need, n->nin);
            return no_room();
        }
    }
    bool any = (n->flags & NF_ACCUMULATE) || n->op->backward;
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_node *m = n->in[i].node;
        need[i] = m != NULL;
        if (m && w->selective) {
            wg_node_state *s = state_of(w, m);
            need[i] = (s->bits & WS_WANTED) != 0;
        }
        out[i] = NULL;
    }
    for (int o = 0; o < n->nout && !any; o++) any = g[o] != NULL;
    wg_status st = WG_OK;
    if (any)
        st = wg__run_rule(n, g, out, need, !w->keep);
    else if (!w->keep)
        wg__node_free_saved(n, w->site);
    if (st == WG_OK && n->cold) st = wg__run_posthooks(n, out, (int)n->nin, g, n->nout);
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++)
        if (n->in[i].node) st = deliver(w, n, i, out[i]);
    if (n->nin > 8) {
        wg__mfree(out, n->nin * sizeof(*out));
        wg__mfree(need, n->nin);
    }
    return st;
}

/* Most nodes of most graphs: pointwise, of few inputs, unwatched, in a walk that wants everything. */
static inline bool is_simple(const wg_walk *w, const wg_node *n) {
    return (n->op->traits & WG_POINTWISE) && n->nin <= WG_NODE_INLINE && !n->cold && !w->selective && w->in_node &&
           n->state.cot.one;
}

/* A result of a rule, out of the scope: on its top, or the cotangent itself. */
static inline wg_tensor *take_result(struct wg_tls *s, wg_tensor *r, wg_tensor *g) {
    if (r == g) return wg__retain_safe(r);
    if (WG_LIKELY(s->scope[s->scope_top - 1] == r)) { /* there is at least the mark of the walk's scope */
        s->scope_top--;
        return r;
    }
    return wg__take(r);
}

/* g is owned and given away. */
static inline wg_status deliver_simple(wg_walk *w, wg_node *n, uint32_t i, wg_tensor *g) {
    wg_node *m = n->in[i].node;
    if (m->nout != 1 || !g) return deliver(w, n, i, g ? wg__scope_push(g) : NULL);
    wg_out_info info = wg__node_out(m, 0);
    if (WG_UNLIKELY(g->dtype != info.dtype || !wg__has_sizes(g, info.ndim, info.sizes) || (g->flags & TF_POISON))) {
        g = wg__conform(n, (int)i, m, n->in[i].nr, g);
        if (!g) return rule_failed(n);
    }
    wg_status st = WG_OK;
    if (m->state.cot.one)
        st = accumulate(&m->state.cot.one, g);
    else
        m->state.cot.one = g;
    if ((m->state.bits -= WS_EDGE) < WS_EDGE) {
        prefetch_run(m);
        if (!heap_push(&w->ready, m)) return no_room();
    }
    return st;
}

static wg_status run_simple(wg_walk *w, wg_node *n) {
    wg_unpacked u;
    wg_tensor *g = n->state.cot.one;
    wg_status st = WG_OK;
    n->state.cot.one = NULL;
    wg__tls.site = n->site;
    if (n->flags & NF_SAVES)
        st = wg__unpack(n, n, &u, !w->keep, w->site);
    else
        u.call = (wg_call){.op = n->op, .nin = (int)n->nin, .nout = 1, .attr = n->attr, .nattr = n->nattr, .node = n};
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++) {
        if (!n->in[i].node) continue;
        const wg_partial *p = &n->op->partial[i];
        wg_tensor *r = p->kind == WG_P_ONE ? g : wg__partial_product(&u.call, g, (int)i);
        wg_tensor *own = !r || WG_UNLIKELY(r->flags & TF_POISON) ? NULL : take_result(&wg__tls, r, g);
        st = WG_LIKELY(own || !r) ? deliver_simple(w, n, i, own) : rule_failed(n);
    }
    if (n->flags & NF_SAVES) wg__unpack_done(&u);
    wg__drop(g);
    return st;
}

/* A leaf that nobody watches. */
static wg_status run_leaf(wg_node *n) {
    wg_tensor *g = n->state.cot.one;
    n->state.cot.one = NULL;
    wg__tls.site = n->site;
    wg_status st = accumulate_backward(n, &g, NULL, NULL, false);
    wg__drop(g);
    return st;
}

static wg_status run_node(wg_walk *w, wg_node *n) {
    if (WG_LIKELY(is_simple(w, n))) return run_simple(w, n);
    if ((n->flags & NF_ACCUMULATE) && !n->cold && !w->selective && w->in_node) return run_leaf(n);
    wg_node_state *s = state_of(w, n);
    wg_tensor *one = s->cot.one, **many = s->cot.many, **g = n->nout == 1 ? &one : many;
    s->cot.one = NULL;
    bool captured = s->bits & WS_CAPTURED, needed = !w->selective || (s->bits & WS_NEEDED);
    if (!g) { /* several outputs and no cotangent for any */
        g = wg__calloc(n->nout * sizeof(wg_tensor *));
        if (!g) return no_room();
        many = g;
    }
    wg__tls.site = n->site;
    wg_status st = n->cold ? wg__run_tensor_hooks(n, g) : WG_OK;
    if (captured && st == WG_OK) store_captures(w, n, g);
    if (needed && st == WG_OK) {
        if (n->cold) st = wg__run_prehooks(n, g);
        if (st == WG_OK) st = run_rule_and_deliver(w, n, g);
    }
    for (int o = 0; o < n->nout; o++) wg__drop(g[o]);
    if (n->nout != 1) wg__mfree(many, n->nout * sizeof(wg_tensor *));
    return st;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static inline void enter(struct wg_tls *s, wg_walk *w) {
    w->outer = s->walk;
    s->walk = w;
}

int wg__walk_step(wg_walk *w, wg_node **ran) {
    if (w->status != WG_OK) return -1;
    if (!w->ready.n) return 0;
    struct wg_tls *s = &wg__tls;
    wg_node *n = heap_pop(&w->ready);
    uint8_t no_grad = s->no_grad;
    void *site = s->site, *walk_site = s->walk_site;
    s->no_grad = !w->create;
    s->walk_site = w->site;
    enter(s, w);
    size_t mark = wg_scope_open();
    w->status = run_node(w, n);
    wg_scope_close(mark);
    s->walk = w->outer;
    s->no_grad = no_grad;
    s->site = site;
    s->walk_site = walk_site;
    if (ran) *ran = n;
    if (w->status != WG_OK) return -1;
    return w->ready.n ? 1 : 0;
}

static wg_status run_all(wg_walk *w) {
    struct wg_tls *s = &wg__tls;
    uint8_t no_grad = s->no_grad;
    void *site = s->site, *walk_site = s->walk_site;
    wg_status st = WG_OK;
    s->no_grad = !w->create;
    s->walk_site = w->site;
    enter(s, w);
    size_t mark = wg_scope_open();
    for (unsigned count = 0; w->ready.n && st == WG_OK; count++) {
        st = run_node(w, heap_pop(&w->ready));
        if (s->scope_top > mark) wg__scope_trim(s, mark);
        if ((count & 63) == 63 && wg__poll())
            st = wg__raise(WG_ERR_INTERRUPTED, "backward", "backward was interrupted");
    }
    wg_scope_close(mark);
    s->walk = w->outer;
    s->no_grad = no_grad;
    s->site = site;
    s->walk_site = walk_site;
    return st;
}

/* Cotangents that were not used up: after a failure, or of nodes that were not needed. The failure may be that there is
 * no memory, so this must not need any: it goes the way that the discovery went, whose stack is large enough. (Before a
 * complete discovery only roots have cotangents.) */
static void forget_node(wg_node *n) {
    drop_cots(n, &n->state);
    n->state.bits &= ~(uint32_t)WS_VISITED;
}
static bool must_forget(const wg_walk *w, const wg_node *n) {
    return n && n->state.mark == w->mark && (n->state.bits & WS_VISITED);
}
static void forget_all(wg_walk *w, wg_node *root) {
    list_push(&w->stack, root, 0);
    while (w->stack.n) {
        wg_node *n = w->stack.v[--w->stack.n].p;
        for (uint32_t i = 0; i < n->nin; i++) {
            wg_node *m = n->in[i].node;
            if (!must_forget(w, m)) continue;
            forget_node(m);
            if (m->nin) list_push(&w->stack, m, 0);
        }
    }
}
static void forget_needed(wg_walk *w, wg_node *root) {
    list_push(&w->stack, root, 0);
    while (w->stack.n) {
        wg_list_item *top = &w->stack.v[w->stack.n - 1];
        wg_node *n = top->p;
        if (top->at == n->nin) {
            w->stack.n--;
            continue;
        }
        wg_node *m = n->in[top->at++].node;
        if (!must_forget(w, m)) continue;
        forget_node(m);
        list_push(&w->stack, m, 0);
    }
}
static void forget(wg_walk *w) {
    if (!w->in_node) {
        for (size_t i = 0; i < w->side_cap; i++)
            if (w->side[i].node) drop_cots(w->side[i].node, &w->side[i].state);
        return;
    }
    w->stack.n = 0;
    for (int r = 0; r < w->nroots; r++) {
        wg_node *n = w->roots[r];
        if (n->state.mark != w->mark) continue;
        bool visited = n->state.bits & WS_VISITED;
        forget_node(n);
        if (!visited || !w->discovered) continue;
        if (w->selective)
            forget_needed(w, n);
        else
            forget_all(w, n);
    }
}

void wg__walk_end(wg_walk *w) {
    bool clean = w->status == WG_OK && !w->ready.n && !w->leftover;
    if (w->started && !clean) forget(w);
    if (w->started) wg__tls.in_backward--;
    if (w->in_node) wg__give_flag(&in_node_taken);
    for (int r = 0; r < w->nroots; r++) wg__node_release(w->roots[r]);
    if (w->roots && w->roots != &w->one_root) wg__free_array(w->roots, (size_t)w->roots_cap, sizeof(*w->roots));
    for (int k = 0; k < w->ncaptures; k++) {
        wg_release(w->captures[k].value);
        wg__node_release(w->captures[k].node);
    }
    if (w->captures) wg__free_array(w->captures, (size_t)w->captures_cap, sizeof(*w->captures));
    if (w->side) wg__mfree(w->side, w->side_cap * sizeof(side_entry));
    list_free(&w->stack);
    list_free(&w->ready);
}

static void take_state(wg_walk *w) {
    wg__tls.in_backward++;
    w->in_node = wg__take_flag(&in_node_taken);
    if (!w->in_node) {
        w->mark = 1;
        return;
    }
    if (++in_node_mark == 0) in_node_mark = 1;
    w->mark = in_node_mark;
    w->started = true;
}

/* ---- roots and seeds --------------------------------------------------------------------------------------------- */

static wg_out_info info_of(const wg_tensor *t) {
    return (wg_out_info){.dtype = t->dtype, .ndim = t->ndim, .sizes = t->dims};
}

static wg_tensor *implicit_seed(wg_out_info out) {
    if (wg__numel(out.ndim, out.sizes) != 1) {
        char text[256];
        wg__raise(WG_ERR_RUNTIME, "backward",
                  WG_MSG_SCALAR_ROOT ". This output has shape %s: reduce it first, or give "
                                     "backward a gradient of that shape",
                  wg__sizes_text(text, sizeof(text), out.ndim, out.sizes));
        return NULL;
    }
    wg_tensor *seed = wg__tensor_new((wg_dtype)out.dtype, out.ndim, out.sizes, NULL);
    if (seed) wg__store_double(seed->data, (wg_dtype)seed->dtype, 1);
    return seed;
}

static wg_tensor *explicit_seed(wg_out_info out, wg_tensor *g, int i) {
    char a[256], b[256];
    if (!wg__has_sizes(g, out.ndim, out.sizes)) {
        wg__raise(WG_ERR_RUNTIME, "backward", WG_MSG_SEED_SHAPE, i, wg__sizes_text(a, sizeof(a), g->ndim, g->dims), i,
                  wg__sizes_text(b, sizeof(b), out.ndim, out.sizes));
        return NULL;
    }
    if (g->dtype == out.dtype || out.dtype == WG_DTYPE_NONE) return wg__retain_safe(g);
    wg_tensor *cast = wg__take(wg_to(g, (wg_dtype)out.dtype));
    return wg_is_poison(cast) ? NULL : cast;
}

static wg_status seed_node(wg_walk *w, wg_node *n, uint32_t nr, wg_tensor *seed) {
    if (!seed) return WG_ERR_RUNTIME;
    w->roots[w->nroots++] = wg__node_retain(n);
    wg_node_state *s = state_of(w, n);
    wg_tensor **slot = s ? cot_slot(n, s, nr) : NULL;
    if (!slot) {
        wg_release(seed);
        return no_room();
    }
    return accumulate(slot, seed);
}

static wg_status seed_root(wg_walk *w, wg_tensor *out, wg_tensor *g, int i) {
    wg_node *n = (out->flags & TF_VIEW) ? wg__grad_fn(out) : out->grad_fn;
    if (!n && wg__requires(out)) n = wg__accumulator(out);
    if (!n) return wg__raise(WG_ERR_RUNTIME, "backward", WG_MSG_NO_GRAD_ROOT, i);
    wg_out_info info = info_of(out);
    if (g && wg__node_out(n, (int)out->output_nr).dtype == WG_DTYPE_NONE)
        info.dtype = (uint8_t)wg__wanted_dtype(n, out->output_nr);
    return seed_node(w, n, out->output_nr, g ? explicit_seed(info, g, i) : implicit_seed(info));
}

static const wg_edge *output_edges(const wg_walk_opts *o) {
    return WG_GIVEN(wg_walk_opts, o, output_edges) ? o->output_edges : NULL;
}
static const wg_edge *input_edges(const wg_walk_opts *o) {
    return WG_GIVEN(wg_walk_opts, o, input_edges) ? o->input_edges : NULL;
}

static wg_status check_edge(const char *who, const wg_edge *e) {
    if (!e->node) return wg__raise(WG_ERR_RUNTIME, who, "%s(): a gradient edge without a node", who);
    if (e->nr < 0 || e->nr >= e->node->nout)
        return wg__raise(WG_ERR_INDEX, who, "%s(): %s has no output %d", who, wg_node_name(e->node), e->nr);
    return WG_OK;
}

static wg_status seed_edge(wg_walk *w, const wg_edge *e, wg_tensor *g, int i) {
    wg_status st = check_edge("backward", e);
    if (st != WG_OK) return st;
    wg_out_info info = wg__node_out(e->node, e->nr);
    if (info.dtype == WG_DTYPE_NONE)
        info.dtype =
            (uint8_t)(g ? wg__wanted_dtype(e->node, (uint32_t)e->nr) : wg__own_dtype(e->node, (uint32_t)e->nr));
    return seed_node(w, e->node, (uint32_t)e->nr, g ? explicit_seed(info, g, i) : implicit_seed(info));
}

static wg_status discover(wg_walk *w) {
    wg_status st = WG_OK;
    for (int r = 0; r < w->nroots && st == WG_OK; r++)
        st = w->selective ? discover_needed(w, w->roots[r]) : discover_all(w, w->roots[r]);
    for (int r = 0; r < w->nroots && st == WG_OK; r++) {
        wg_node_state *s = state_of(w, w->roots[r]);
        bool twice = false;
        for (int q = 0; q < r; q++) twice |= w->roots[q] == w->roots[r];
        bool wanted = !w->selective || (s->bits & WS_WANTED);
        w->leftover |= !wanted;
        if (s->bits < WS_EDGE && wanted && !twice && !heap_push(&w->ready, w->roots[r])) st = no_room();
    }
    return st;
}

/* ---- captures ---------------------------------------------------------------------------------------------------- */

static wg_status capture(wg_walk *w, wg_tensor *t, bool accumulate_mode) {
    if (!wg__wants_grad(t))
        return wg__raise(WG_ERR_RUNTIME, accumulate_mode ? "backward" : "grad", "%s",
                         accumulate_mode ? WG_MSG_RETAIN_NO_GRAD : WG_MSG_INPUT_NO_GRAD);
    wg_node *n = (t->flags & TF_VIEW) ? wg__grad_fn(t) : t->grad_fn;
    if (!n) n = wg__accumulator(t);
    if (!n) return WG_ERR_MEMORY;
    wg_node_state *s = state_of(w, n);
    if (!s) return no_room();
    s->bits |= WS_CAPTURED;
    if (accumulate_mode) { /* B5: the node runs, a leaf's as ever, another's with its hooks */
        s->bits |= WS_NEEDED;
        return wg_retain_grad(t);
    }
    w->captures[w->ncaptures++] = (wg_capture){.node = wg__node_retain(n), .nr = t->output_nr};
    return WG_OK;
}

static wg_status capture_edge(wg_walk *w, const wg_edge *e, bool accumulate_mode) {
    wg_status st = check_edge(accumulate_mode ? "backward" : "grad", e);
    if (st != WG_OK) return st;
    wg_node_state *s = state_of(w, e->node);
    if (!s) return no_room();
    s->bits |= WS_CAPTURED;
    if (accumulate_mode)
        s->bits |= WS_NEEDED; /* a leaf's accumulates, another one runs, which stores nothing */
    else
        w->captures[w->ncaptures++] = (wg_capture){.node = wg__node_retain(e->node), .nr = (uint32_t)e->nr};
    return WG_OK;
}

static wg_status capture_input(wg_walk *w, const wg_walk_opts *o, int k, bool accumulate_mode) {
    if (o->inputs[k]) return capture(w, o->inputs[k], accumulate_mode);
    return capture_edge(w, &input_edges(o)[k], accumulate_mode);
}

static wg_status allocate_walk(wg_walk *w, int n, const wg_walk_opts *o) {
    w->roots = &w->one_root;
    if (n > 1) {
        w->roots = wg__malloc_array((size_t)n, sizeof(*w->roots));
        w->roots_cap = n;
        if (!w->roots) return no_room();
    }
    if (o && o->ninputs > 0) {
        w->captures = wg__malloc_array((size_t)o->ninputs, sizeof(*w->captures));
        w->captures_cap = o->ninputs;
        if (!w->captures) return no_room();
        w->selective = true;
    }
    return WG_OK;
}

wg_status wg__walk_begin(wg_walk *w, wg_tensor *const *out, int n, wg_tensor *const *g, const wg_walk_opts *o,
                         bool accumulate_mode, void *site) {
    memset(w, 0, offsetof(wg_walk, small_stack));
    w->site = site;
    w->stack = (wg_list){w->small_stack, 0, WG_SMALL_LIST, w->small_stack};
    w->ready = (wg_list){w->small_ready, 0, WG_SMALL_LIST, w->small_ready};
    w->create = o && o->create_graph;
    w->keep = o && (o->has_retain_graph ? o->retain_graph : (o->retain_graph || o->create_graph));
    wg_status st = allocate_walk(w, n, o);
    take_state(w);
    w->started = true;
    for (int k = 0; w->selective && k < o->ninputs && st == WG_OK; k++) st = capture_input(w, o, k, accumulate_mode);
    for (int i = 0; i < n && st == WG_OK; i++)
        st = out[i] ? seed_root(w, out[i], g ? g[i] : NULL, i) : seed_edge(w, &output_edges(o)[i], g ? g[i] : NULL, i);
    if (st == WG_OK) st = discover(w);
    w->discovered = st == WG_OK;
    w->status = st;
    return st;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static wg_status check_roots(const char *who, wg_tensor *const *out, int n, wg_tensor *const *g,
                             const wg_walk_opts *o) {
    wg_status st = WG_OK;
    if (n <= 0 || !out) return wg__raise(WG_ERR_RUNTIME, who, "%s(): there is no output to start from", who);
    for (int i = 0; i < n && st == WG_OK; i++) {
        if (!out[i] && !output_edges(o)) return wg__raise(WG_ERR_TYPE, who, "%s(): output %d is NULL", who, i);
        if (out[i]) st = wg__sink_check(who, out[i]);
        if (st == WG_OK && g && g[i] && wg_is_poison(g[i])) st = wg__sink_check(who, g[i]);
    }
    return st;
}

static wg_status check_inputs(const char *who, wg_tensor *const *in, int n, const wg_walk_opts *o) {
    wg_status st = WG_OK;
    for (int i = 0; i < n && st == WG_OK; i++) {
        if (!in[i] && !input_edges(o)) return wg__raise(WG_ERR_TYPE, who, "%s(): input %d is NULL", who, i);
        if (in[i]) st = wg__sink_check(who, in[i]);
    }
    return st;
}

static wg_status backward(wg_tensor *const *out, int n, wg_tensor *const *g, const wg_walk_opts *o, void *site) {
    wg_status st = WG_CHECK_STRUCT(wg_walk_opts, o, "backward");
    if (st == WG_OK) st = check_roots("backward", out, n, g, o);
    if (st == WG_OK && o && o->inputs) {
        if (o->ninputs <= 0) return wg__raise(WG_ERR_RUNTIME, "backward", WG_MSG_EMPTY_INPUTS, "backward()");
        st = check_inputs("backward", o->inputs, o->ninputs, o);
    }
    if (st != WG_OK) return st;
    wg_walk w;
    size_t mark = wg_scope_open();
    st = wg__walk_begin(&w, out, n, g, o, true, wg__site(&wg__tls, site));
    if (st == WG_OK) st = w.status = run_all(&w);
    wg__walk_end(&w);
    wg_scope_close(mark);
    if (st != WG_OK && wg_error_pending()) st = wg_last_status();
    return st;
}

wg_status wg_backward(wg_tensor *out) { return backward(&out, 1, NULL, NULL, WG_SITE); }
wg_status wg_backward_with(wg_tensor *out, wg_tensor *gradient) {
    return backward(&out, 1, gradient ? &gradient : NULL, NULL, WG_SITE);
}
wg_status wg_backward_opt(wg_tensor *const *out, int n, wg_tensor *const *g, const wg_walk_opts *o) {
    return backward(out, n, g, o, WG_SITE);
}

static wg_status collect(wg_walk *w, wg_tensor *const *in, const wg_walk_opts *o, wg_tensor **results) {
    for (int k = 0; k < w->ncaptures; k++) {
        wg_tensor *v = w->captures[k].value;
        results[k] = v ? wg__retain(v) : NULL;
        if (v) continue;
        if (o->materialize_grads) {
            if (!in[k]) return wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_MATERIALIZE_EDGE);
            results[k] = wg__take(wg_zeros_like(in[k], WG_OPT(.requires_grad = o->create_graph)));
            if (wg_is_poison(results[k])) return WG_ERR_RUNTIME;
        } else if (!o->allow_unused) {
            return wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_UNUSED, k);
        }
    }
    return WG_OK;
}

static wg_status grad(wg_tensor *const *out, int n, wg_tensor *const *in, int nin, wg_tensor *const *g,
                      const wg_walk_opts *given, wg_tensor **results, void *site) {
    wg_walk_opts o = {0};
    for (int k = 0; k < nin; k++) results[k] = NULL;
    wg_status st = WG_CHECK_STRUCT(wg_walk_opts, given, "grad");
    if (st == WG_OK && given) WG_COPY_STRUCT(&o, given);
    o.size = sizeof(o);
    if (st == WG_OK) st = check_roots("grad", out, n, g, given);
    if (st == WG_OK && nin <= 0) st = wg__raise(WG_ERR_RUNTIME, "grad", WG_MSG_EMPTY_INPUTS, "grad()");
    if (st == WG_OK) st = check_inputs("grad", in, nin, given);
    if (st != WG_OK) return st;
    o.inputs = in;
    o.ninputs = nin;
    wg_walk w;
    size_t mark = wg_scope_open();
    st = wg__walk_begin(&w, out, n, g, &o, false, wg__site(&wg__tls, site));
    if (st == WG_OK) st = w.status = run_all(&w);
    if (st == WG_OK) st = collect(&w, in, &o, results);
    wg__walk_end(&w);
    wg_scope_close(mark);
    for (int k = 0; k < nin; k++) {
        if (st != WG_OK) {
            wg_release(results[k]);
            results[k] = WG_POISON;
        } else if (results[k]) {
            results[k] = wg__scope_push(results[k]);
        }
    }
    if (st != WG_OK && wg_error_pending()) st = wg_last_status();
    return st;
}

wg_status wg_grad(wg_tensor *const *outputs, int n, wg_tensor *const *inputs, int ninputs, wg_tensor *const *gradients,
                  const wg_walk_opts *options, wg_tensor **results) {
    return grad(outputs, n, inputs, ninputs, gradients, options, results, WG_SITE);
}

wg_tensor *wg_grad1(wg_tensor *output, wg_tensor *input, bool create_graph) {
    wg_tensor *r = NULL;
    wg_walk_opts o = {.size = sizeof(o), .create_graph = create_graph};
    wg_status st = grad(&output, 1, &input, 1, NULL, &o, &r, WG_SITE);
    return st == WG_OK && r ? r : WG_POISON;
}

/* ---- the walk under way, for hooks ------------------------------------------------------------------------------- */

uint64_t wg_walk_id(void) {
    static _Atomic uint64_t last;
    wg_walk *w = wg__tls.walk;
    if (w && !w->id) w->id = atomic_fetch_add(&last, 1) + 1;
    return w ? w->id : 0;
}

static const wg_node_state *known_state(const wg_walk *w, const wg_node *n) {
    if (w->in_node) return n->state.mark == w->mark ? &n->state : NULL;
    for (size_t k = hash(n) & (w->side_cap - 1); w->side_cap && w->side[k].node; k = (k + 1) & (w->side_cap - 1))
        if (w->side[k].node == n) return &w->side[k].state;
    return NULL;
}
bool wg_walk_will_run(const wg_node *n) {
    const wg_walk *w = wg__tls.walk;
    const wg_node_state *s = w && n ? known_state(w, n) : NULL;
    return s && (s->bits & WS_VISITED) && (!w->selective || (s->bits & WS_WANTED));
}

/* ---- one step at a time ------------------------------------------------------------------------------------------ */

struct wg_stepper {
    wg_walk walk;
    wg_status status;
};

wg_stepper *wg_stepper_begin(wg_tensor *const *outputs, int n, wg_tensor *const *gradients,
                             const wg_walk_opts *options) {
    if (WG_CHECK_STRUCT(wg_walk_opts, options, "stepper") != WG_OK ||
        check_roots("stepper", outputs, n, gradients, options) != WG_OK)
        return NULL;
    wg_stepper *s = wg__calloc(sizeof(*s));
    if (!s) {
        no_room();
        return NULL;
    }
    if (wg__walk_begin(&s->walk, outputs, n, gradients, options, true, WG_SITE) != WG_OK) {
        wg_stepper_end(s);
        return NULL;
    }
    return s;
}
int wg_stepper_step(wg_stepper *s, wg_node **node) {
    if (node) *node = NULL;
    return s ? wg__walk_step(&s->walk, node) : -1;
}
void wg_stepper_end(wg_stepper *s) {
    if (!s) return;
    wg__walk_end(&s->walk);
    wg__mfree(s, sizeof(*s));
}
