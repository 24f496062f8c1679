/* introspect.c - what bindings and debuggers ask of a node besides its edges: what its call saved and was given, what
 * its outputs look like; how much there is to walk; running one node alone.
 */
#include "autograd/node.h"
#include "core/alloc.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- the call
 * ----------------------------------------------------------------------------------------------------------- */

const char *wg_node_schema(const wg_node *n) { return n && !n->op->backward ? n->op->schema : NULL; }

bool wg_node_input_is_number(const wg_node *n, int i) {
    return n && i >= 0 && i < 4 && (uint32_t)i < n->nin && (n->numbers >> i & 1) && !wg__has_place(n, (uint32_t)i);
}

bool wg_node_may_save(const wg_node *n, int i) {
    if (!n || n->op->backward || i < -1 || i >= (int)n->nin) return false;
    const wg_op *op = n->op;
    unsigned mask = op->saves;
    for (int k = 0; k < 3; k++) mask |= op->partial[k].uses;
    return i < 0 ? (mask & WG_USE_Z) != 0 : wg__saves_input(mask, op, i);
}

bool wg_node_attr(const wg_node *n, int i, wg_arg *value) {
    if (!n || !value || i < 0 || i >= n->nattr) return false;
    const wg_value *a = &n->attr[i];
    *value = (wg_arg){.tag = a->tag, .n = a->n};
    if (a->tag == WG_V_DOUBLE)
        value->v.d = a->d;
    else if (a->tag == WG_V_INTS)
        value->v.ints = a->ints;
    else if (a->tag == WG_V_STRING)
        value->v.s = a->s;
    else
        value->v.i = a->i;
    return true;
}

/* ---- outputs
 * --------------------------------------------------------------------------------------------------------------- */

int wg_node_outputs(const wg_node *n) { return n ? n->nout : 0; }

wg_status wg_node_output(const wg_node *n, int nr, wg_dtype *dtype, int *ndim, const int64_t **sizes) {
    if (!n || nr < 0 || nr >= n->nout) return wg__raise(WG_ERR_INDEX, "node", "the node has no output %d", nr);
    wg_out_info info = wg__node_out(n, nr);
    *dtype = info.dtype == WG_DTYPE_NONE ? wg__own_dtype(n, (uint32_t)nr) : (wg_dtype)info.dtype;
    *ndim = info.ndim;
    *sizes = info.sizes;
    return WG_OK;
}

/* ---- how much
 * --------------------------------------------------------------------------------------------------------------- */

#define NODE_WEIGHT 512
static inline int64_t weight_of(const wg_node *n) {
    int64_t sum = NODE_WEIGHT;
    if (WG_LIKELY(!(n->flags & (NF_OUTS | NF_ACCUMULATE)) && n->ndim <= 2))
        return sum + (n->ndim > 0 ? n->info.sizes[0] : 1) * (n->ndim > 1 ? n->info.sizes[1] : 1);
    for (int o = 0; o < n->nout; o++) {
        wg_out_info info = wg__node_out(n, o);
        int64_t numel = 1;
        for (int d = 0; d < info.ndim; d++) numel *= info.sizes[d];
        sum += numel;
    }
    return sum;
}

int64_t wg_walk_weight(wg_tensor *const *outputs, int n, int64_t limit) {
    enum { ROOM = 128 };
    const wg_node *stack[ROOM];
    int top = 0;
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        if (!outputs[i] || !outputs[i]->grad_fn) continue;
        if (top == ROOM) return limit;
        stack[top++] = outputs[i]->grad_fn;
    }
    while (top && sum < limit) {
        const wg_node *m = stack[--top];
        sum += weight_of(m);
        for (uint32_t i = 0; i < m->nin; i++) {
            const wg_node *to = m->in[i].node;
            if (!to) continue;
            if (to->flags & NF_ACCUMULATE) {
                sum += NODE_WEIGHT + to->inline_in[0].saved->numel;
                continue;
            }
            if (top == ROOM) return limit;
            stack[top++] = to;
        }
    }
    return sum < limit ? sum : limit;
}

/* ---- one node alone
 * -------------------------------------------------------------------------------------------------------------- */

/* An accumulating node takes its cotangent over, so it is given references of its own. */
static wg_status run_with(wg_node *n, wg_tensor *const *g, wg_tensor **own, wg_tensor **out, bool *need) {
    bool any = n->op->backward != NULL;
    for (int o = 0; o < n->nout; o++) {
        own[o] = g[o] ? wg__retain_safe(g[o]) : NULL;
        if (g[o] && !own[o]) return WG_ERR_MEMORY;
        any |= own[o] != NULL;
    }
    for (uint32_t i = 0; i < n->nin; i++) need[i] = n->in[i].node != NULL;
    wg_status st = any ? wg__run_rule(n, own, out, need, false) : WG_OK;
    for (uint32_t i = 0; i < n->nin && st == WG_OK; i++) {
        if (!need[i] || !out[i]) continue;
        wg_tensor *r = wg__conform(n, (int)i, n->in[i].node, n->in[i].nr, wg__take(out[i]));
        out[i] = r ? wg__scope_push(r) : NULL;
        if (!r) st = wg_error_pending() ? wg_last_status() : WG_ERR_RUNTIME;
    }
    return st;
}

wg_status wg_node_run(wg_node *n, wg_tensor *const *cotangents, int nout, wg_tensor **results) {
    if (!n || nout != n->nout)
        return wg__raise(WG_ERR_TYPE, "node", "expected %d arguments, got %d instead", n ? n->nout : 0, nout);
    for (int o = 0; o < nout; o++)
        if (cotangents[o] && wg_is_poison(cotangents[o])) return wg__sink_check("node", cotangents[o]);
    size_t bytes = (n->nin + (size_t)nout) * sizeof(wg_tensor *) + n->nin;
    wg_tensor **out = wg__calloc(bytes), **own = out + n->nin;
    if (!out) return wg__no_memory("node", bytes);
    wg_status st = run_with(n, cotangents, own, out, (bool *)(own + nout));
    for (int o = 0; o < nout; o++) wg_release(own[o]);
    int k = 0;
    for (uint32_t i = 0; i < n->nin; i++)
        if (wg__has_place(n, i)) results[k++] = st == WG_OK ? out[i] : NULL;
    wg__mfree(out, bytes);
    return st;
}
