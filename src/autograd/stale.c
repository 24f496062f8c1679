/* stale.c - a write whose history leads to nodes that saved the written tensor: z = y * y; y.add_(z). Such a node holds
 * y's handle, y would hold the write's node, and that leads back: a cycle that nothing frees. So before the write those
 * nodes get a snapshot in exchange: a handle of its own on the same memory and version, whose grad_fn is only a name.
 * Backward through them fails all the same, because the version has changed (S3).
 *
 * Looked at are the nodes that lead to the write's operands, down to those older than the tensor's history; so each
 * write of a loop looks at the nodes made since the last one.
 */
#include "autograd/node.h"
#include "core/alloc.h"

typedef struct search {
    wg_tensor *target, *root;
    wg_node *write;
    uint64_t oldest;
    wg_node **stack, **seen; /* room for half of size, and for size; not owned: the write's operands hold them */
    size_t top, count, size;
} search;

static wg_tensor *root_of(wg_tensor *t) { return (t->flags & TF_VIEW) ? t->meta->base : t; }

/* What t's grad_fn is called once the write is done: all that the error will want to know of it. A node without edges,
 * so no cycle; running it, after a write that failed for want of memory, is an error too. */
static wg_node *name_of(const wg_tensor *t, const search *s) {
    bool part = (t->flags & TF_VIEW) != 0, sliced = (s->target->flags & TF_VIEW) != 0;
    const wg_op *op = part ? wg__op_find("as_strided") : sliced ? &wg__op_copy_slices : s->write->op;
    wg_node *n = wg__node_new(op, op == s->write->op ? (int)s->write->nin : 1, 1, s->write->site);
    if (!n) return NULL;
    n->numbers = s->write->numbers;
    n->flags |= NF_SAVES;
    n->u.payload = NULL;
    wg__set_released(n);
    wg_status st = op == s->write->op ? wg__node_set_attrs(n, s->write->attr, s->write->nattr) : WG_OK;
    if (st == WG_OK && wg__node_set_out(n, 0, t) == WG_OK) return n;
    wg__node_release(n);
    return NULL;
}

static wg_tensor *snapshot(wg_tensor *t, const search *s) {
    wg_tensor *r = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
    if (!r) return NULL;
    r->grad_fn = wg__is_floating(r->dtype) ? name_of(t, s) : NULL;
    if (r->grad_fn) r->flags |= TF_REQUIRES;
    bool named = r->grad_fn || !wg__is_floating(r->dtype);
    if (named && (!(t->flags & TF_DUAL) || wg__tangents_share(r, t) == WG_OK)) return r;
    wg_release(r);
    return NULL;
}

/* What n saved as input i, retained, when it is root or a view of root. */
static wg_tensor *held(wg_node *n, uint32_t i, const wg_tensor *root) {
    wg__lock(&n->lock);
    wg_tensor *t = n->in[i].saved;
    t = t && root_of(t) == root ? wg__retain(t) : NULL;
    wg__unlock(&n->lock);
    return t;
}

static wg_status let_go(wg_node *n, const search *k) {
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_tensor *t = held(n, i, k->root);
        if (!t) continue;
        wg_tensor *s = snapshot(t, k), *old = s;
        wg__lock(&n->lock);
        if (s && n->in[i].saved == t) {
            n->in[i].saved = s;
            old = t;
        }
        wg__unlock(&n->lock);
        wg_release(old);
        wg_release(t);
        if (!s) return WG_ERR_MEMORY;
    }
    return WG_OK;
}

/* ---- the nodes to look at: a stack, and a set of those seen ------------------------------------------------------ */

static bool add(search *s, wg_node *n) { /* false: was there */
    size_t mask = s->size - 1, at = ((uintptr_t)n >> 6) * 0x9e3779b1u & mask;
    for (; s->seen[at]; at = (at + 1) & mask)
        if (s->seen[at] == n) return false;
    s->seen[at] = n;
    s->count++;
    return true;
}
static void search_free(search *s) {
    wg__mfree(s->stack, s->size / 2 * sizeof(*s->stack));
    wg__mfree(s->seen, s->size * sizeof(*s->seen));
}
static wg_status grow(search *s) {
    search g = *s;
    g.count = 0;
    g.size = s->size ? s->size * 2 : 64;
    g.stack = wg__malloc(g.size / 2 * sizeof(*g.stack));
    g.seen = wg__calloc(g.size * sizeof(*g.seen));
    if (!g.stack || !g.seen) {
        search_free(&g);
        return WG_ERR_MEMORY;
    }
    if (s->top) memcpy(g.stack, s->stack, s->top * sizeof(*s->stack));
    for (size_t k = 0; k < s->size; k++)
        if (s->seen[k]) add(&g, s->seen[k]);
    search_free(s);
    *s = g;
    return WG_OK;
}
static wg_status push(search *s, wg_node *n) {
    if (!n || n->seq <= s->oldest || (n->flags & NF_ACCUMULATE)) return WG_OK;
    if (s->count >= s->size / 2 && grow(s) != WG_OK) return WG_ERR_MEMORY;
    if (add(s, n)) s->stack[s->top++] = n;
    return WG_OK;
}
static wg_status visit(search *s, wg_node *n) {
    bool own = !n->op->backward; /* of a custom function, what the user saved is the user's */
    wg_status st = own ? let_go(n, s) : WG_OK;
    if (st == WG_OK && n->op == &wg__op_copy_slices) st = let_go((wg_node *)(uintptr_t)wg__write_in_slices(n), s);
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++) st = push(s, n->in[i].node);
    return st;
}

wg_status wg__let_go_of(wg_tensor *target, wg_node *write) {
    wg_tensor *root = root_of(target);
    unsigned owners = atomic_load_explicit(&target->refs, memory_order_relaxed);
    if (target != root)
        owners += atomic_load_explicit(&root->refs, memory_order_relaxed) - 1; /* the target is one of them */
    if (owners <= 1) return WG_OK;                                             /* no node can hold it */
    search s = {.target = target, .root = root, .write = write, .oldest = root->grad_fn ? root->grad_fn->seq : 0};
    wg_status st = let_go(write, &s);
    uint32_t first =
        write->op->backward ? 0 : 1; /* an op's first input is the target; a custom function's may be another */
    for (uint32_t i = first; i < write->nin && st == WG_OK; i++) st = push(&s, write->in[i].node);
    while (s.top && st == WG_OK) st = visit(&s, s.stack[--s.top]);
    search_free(&s);
    return st;
}
