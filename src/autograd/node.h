/* node.h - a node of the graph, seen from inside the library.
 *
 * A node is one block of 192 bytes, as a tensor is. It holds what its rule needs and where the results go: for each
 * tensor input an edge (node, output number) and the saved value; the call's other arguments; its own output, saved as
 * an alias without history (saving the handle itself would be a cycle). It never holds its outputs' handles.
 *
 * References: a node is held by the tensors whose grad_fn it is and by the edges of later nodes. A leaf's
 * AccumulateGrad lives in the leaf's meta, and references to it are references to the leaf (L3).
 */
#ifndef WG_AUTOGRAD_NODE_H
#define WG_AUTOGRAD_NODE_H

#include "core/op.h"
#include "wengert/autograd.h"

typedef struct wg_input {
    wg_node *node; /* NULL: no gradient goes here */
    wg_tensor *saved;
    uint32_t nr; /* which output of node */
    uint32_t version;
} wg_input;

typedef struct wg_out_info { /* shape and dtype of an output: what a cotangent must have */
    uint8_t dtype, ndim;
    const int64_t *sizes;
} wg_out_info;

/* What one walk knows of a node. Lives in the node for one walk at a time, in a side table for the others. */
typedef struct wg_node_state {
    union {
        wg_tensor *one;   /* the cotangent, of a node with one output */
        wg_tensor **many; /* nout of them */
    } cot;
    uint32_t bits; /* WS_: flags, and above them the edges into this node that have not delivered */
    uint32_t mark; /* the walk that saw it */
} wg_node_state;

enum { WS_VISITED = 1, WS_NEEDED = 2, WS_CAPTURED = 4, WS_WANTED = WS_NEEDED | WS_CAPTURED, WS_EDGE = 8 };

enum {               /* written while the node is made, by one thread */
       NF_OUTS = 2,  /* info.outs describes the outputs (several, or more than 3 dims) */
       NF_SAVES = 4, /* saved something (else it may run again and again, B7) */
       NF_ACCUMULATE = 8,
       NF_HEAP_IN = 16,
       NF_ATTR_BLOCK = 32, /* attr came from wg__block_new, else from wg__malloc */
       NF_SAVED_OUT = 64,
       NF_TAKEN = 128, /* the tensor itself took the view's shape (t_, squeeze_ …): another name */
};

#define WG_NODE_INLINE 3

struct wg_node {
    atomic_uint refs;
    atomic_flag lock; /* while saved values are read or released */
    uint8_t flags;
    uint16_t nout;
    uint64_t seq; /* O1; of a dead node: the next one to destroy */
    const wg_op *op;
    wg_input *in;
    uint32_t nin;
    uint8_t nattr;
    atomic_bool released; /* saved values are gone: freed_site tells who. Written under the lock */
    uint8_t dtype, ndim;
    void *site; /* call site of the forward */
    wg_value *attr;
    struct wg_node_cold *cold; /* hooks, a binding's object */
    wg_node_state state;
    union {
        wg_tensor *saved_out; /* nout == 1 */
        wg_input *saved_outs; /* nout of them; only saved and version are used */
        void *payload;        /* custom functions, CopySlices */
        void *freed_site;     /* released: the backward that freed us */
    } u;
    uint32_t out_version;
    uint32_t attr_bytes : 24;
    uint32_t numbers : 4; /* bit i: input i was a number (names: x**2 is PowBackward0) */
    uint32_t columns : 4; /* bit i: input i was a matrix whose columns lie together: its gradient shall too */
    union {
        int64_t sizes[3];
        wg_out_info *outs;
    } info;
    wg_input inline_in[WG_NODE_INLINE];
};
_Static_assert(sizeof(struct wg_node) <= 192, "a node fits a block");

/* Asked without the lock too, as a hint. */
static inline bool wg__released(const wg_node *n) { return atomic_load_explicit(&n->released, memory_order_relaxed); }
static inline void wg__set_released(wg_node *n) { atomic_store_explicit(&n->released, true, memory_order_relaxed); }

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

enum { HOOK_TENSOR, HOOK_PRE, HOOK_POST, HOOK_ACCUMULATED };
typedef struct wg_hook {
    struct wg_hook *next, **home; /* home: the head of its list */
    wg_hook_id id;
    uint8_t kind;
    uint32_t output_nr; /* HOOK_TENSOR */
    atomic_uint refs;   /* the list's, and one per walk that is calling it */
    union {
        wg_tensor *(*tensor)(void *user, wg_tensor *g);
        wg_status (*pre)(void *user, wg_tensor **g, int n);
        wg_status (*post)(void *user, wg_tensor **gi, int ni, wg_tensor *const *go, int no);
        wg_status (*leaf)(void *user, wg_tensor *leaf);
    } fn;
    void *user;
    void (*destroy)(void *user);
} wg_hook;

typedef struct wg_node_cold {
    wg_hook *hooks;        /* all kinds, in order of registration */
    wg_tensor **retaining; /* per output: the handle whose .grad wants the cotangent; not owned */
    void *slot;
} wg_node_cold;

wg_node_cold *wg__node_cold(wg_node *n); /* NULL on no memory */
void wg__hooks_free(wg_hook *list);

void wg__count_node(int d);                /* tensor.c: the live counters */
void wg__node_slot_released(void *object); /* tells the binding */

/* ---- node.c ------------------------------------------------------------------------------------------------------ */

/* A node of op with room for nin inputs, all empty; refs 1, next sequence number. NULL on no memory. */
wg_node *wg__node_new(const wg_op *op, int nin, int nout, void *site);
static inline wg_node *wg__node_new_small(const wg_op *op, int nin, int nout, void *site) { /* nin <= WG_NODE_INLINE */
    struct wg_tls *s = &wg__tls;
    wg_node *n = wg__block_new(s);
    if (WG_UNLIKELY(!n)) return NULL;
    atomic_store_explicit(&n->refs, 1, memory_order_relaxed);
    atomic_flag_clear_explicit(&n->lock, memory_order_relaxed);
    n->flags = 0;
    n->nout = (uint16_t)nout;
    n->seq = s->seq++;
    n->op = op;
    n->in = n->inline_in;
    n->nin = (uint32_t)nin;
    n->nattr = 0;
    atomic_init(&n->released, false);
    n->dtype = n->ndim = 0;
    n->site = site;
    n->attr = NULL;
    n->cold = NULL;
    n->state = (wg_node_state){.cot.one = NULL};
    n->u.payload = NULL;
    n->out_version = 0;
    n->attr_bytes = 0;
    n->numbers = n->columns = 0;
    n->info.outs = NULL;
    memset(n->inline_in, 0, sizeof(n->inline_in));
    wg__count(&s->live_nodes, 1);
    return n;
}
/* A large graph's nodes are far away. They were mostly made one after the other, so that the way from n to m tells
 * where the next ones are; a wrong guess costs nothing. */
static inline void wg__prefetch_along(const wg_node *n, const wg_node *m) {
    enum { AHEAD = 6 };
    uintptr_t guess = (uintptr_t)m + AHEAD * ((uintptr_t)m - (uintptr_t)n);
    __builtin_prefetch((const void *)guess);
    __builtin_prefetch((const void *)(guess + 64));
    __builtin_prefetch((const void *)(guess + 128));
}

void wg__node_dead(wg_node *n); /* its last reference is gone */
static inline void wg__node_release(wg_node *n) {
    if (n->flags & NF_ACCUMULATE)
        wg__tensor_release(n->inline_in[0].saved);
    else if (wg__dec(&n->refs))
        wg__node_dead(n);
}
static inline wg_node *wg__node_retain(wg_node *n) {
    wg__inc((n->flags & NF_ACCUMULATE) ? &n->inline_in[0].saved->refs : &n->refs);
    return n;
}
static inline void wg__node_edge(wg_node *n, int i, wg_node *to, uint32_t nr) {
    n->in[i].node = wg__node_retain(to);
    n->in[i].nr = nr;
}
/* Describes output o. */
wg_status wg__node_set_outs(wg_node *n, int o, const wg_tensor *t);
static inline wg_status wg__node_set_out(wg_node *n, int o, const wg_tensor *t) {
    if (WG_UNLIKELY(n->nout > 1 || t->ndim > 3)) return wg__node_set_outs(n, o, t);
    n->dtype = t->dtype;
    n->ndim = t->ndim;
    for (int i = 0; i < t->ndim; i++) n->info.sizes[i] = t->dims[i];
    return WG_OK;
}
static inline wg_out_info wg__node_out(const wg_node *n, int o) {
    if (n->flags & NF_ACCUMULATE) {
        const wg_tensor *leaf = n->inline_in[0].saved;
        return (wg_out_info){.dtype = leaf->dtype, .ndim = leaf->ndim, .sizes = leaf->dims};
    }
    if (n->flags & NF_OUTS) return n->info.outs[o];
    return (wg_out_info){.dtype = n->dtype, .ndim = n->ndim, .sizes = n->info.sizes};
}
/* Where wg__node_out says WG_DTYPE_NONE: the dtype that the cotangent shall have (WG_DTYPE_NONE: any), the output's
 * own. */
wg_dtype wg__wanted_dtype(const wg_node *n, uint32_t nr);
wg_dtype wg__own_dtype(const wg_node *n, uint32_t nr);
wg_status wg__node_set_attrs(wg_node *n, const wg_value *attr, int nattr);
/* Edge of input i to where t's gradient goes; nothing when t does not require one. */
wg_status wg__node_set_edge(wg_node *n, int i, wg_tensor *t);
/* Takes away what the node saved (iteratively freed); marks it released by site. */
void wg__node_free_saved(wg_node *n, void *site);
/* Is input i in next_functions? Indices, masks and the numbers of some ops are not. */
bool wg__has_place(const wg_node *n, uint32_t i);
wg_node *wg__accumulator(wg_tensor *leaf); /* borrowed; NULL on no memory */
void wg__accumulator_free(wg_node *n);
const char *wg__node_op_name(const wg_node *n, char *buffer, size_t size); /* "Add", "Sum1": error texts (S3) */

extern const wg_op wg__op_accumulate, wg__op_copy_slices;

/* ---- record.c ---------------------------------------------------------------------------------------------------- */

static inline bool wg__recording(const struct wg_tls *s) { return !s->no_grad; }
/* Does t require a gradient, history of its base included (V3)? */
bool wg__requires_now(wg_tensor *t);
static inline bool wg__wants_grad(wg_tensor *t) {
    return (t->flags & TF_REQUIRES) || ((t->flags & TF_VIEW) && wg__requires_now(t));
}
/* Would a call with these inputs be recorded? */
bool wg__any_requires(const wg_op *op, wg_tensor *const *in, int nin);
/* First half: node, edges, saved inputs. self, when not NULL, is saved in place of in[0] (in-place ops). */
wg_node *wg__record_begin(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, int nout,
                          wg_tensor *self, void *site);
/* What begin would save: USE bits. */
unsigned wg__saved_mask(const wg_op *op, wg_tensor *const *in, int nin);
/* Does a call with that mask save input i? */
bool wg__saves_input(unsigned mask, const wg_op *op, int i);
/* Second half: hangs the node on the outputs, saves them if the rule reads them. Consumes the node. */
wg_status wg__record_end(wg_node *n, wg_tensor *const *out, int nout);
wg_status wg__record(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                     wg_tensor *const *out, int nout, void *site);

/* Both halves at once for a pointwise call without attributes; nothing when no input requires a gradient. */
wg_status wg__record_pointwise(const wg_op *op, wg_tensor *const *in, int nin, wg_tensor *out, void *site);

/* ---- view.c ------------------------------------------------------------------------------------------------------ */

/* Makes alias a differentiable view of t (base, kind, version). */
wg_status wg__mark_view(wg_tensor *alias, wg_tensor *t, int kind);
/* grad_fn, regenerated when the base was written since (V3). NULL with an error for bad views. */
wg_node *wg__grad_fn(wg_tensor *t);
wg_status wg__view_grad_fn(wg_tensor *view, wg_node **n); /* the same; *n is NULL for a leaf */
/* May in[0] be written in place by op(in...) now (V1)? */
wg_status wg__check_inplace(const wg_op *op, wg_tensor *const *in, int nin);
/* The node of the write that a CopySlices node owns. */
const wg_node *wg__write_in_slices(const wg_node *n);
/* The node of the last recorded write to t or its base, inside CopySlices if it was to a view; borrowed, may be NULL.
 */
wg_node *wg__last_write(const wg_tensor *t);
/* May t, which a custom function wrote, have that as its history? */
wg_status wg__check_written(const char *name, wg_tensor *t);
/* In-place history in two halves, so that nothing can fail once the target is written. nr: which output of n t is. */
wg_status wg__rebase_begin(wg_tensor *t, wg_node *n, wg_node **copy_slices);
void wg__rebase_end(wg_tensor *t, wg_node *n, int nr, wg_node *copy_slices);
/* The CopySlices of a write to the view t by n, whose input at is what t was. */
wg_status wg__slices_begin(wg_tensor *t, wg_node *n, int at, wg_node **copy_slices);

/* Nodes that lead to write, the node of a write to target, let go of target's handle: no cycle. stale.c */
wg_status wg__let_go_of(wg_tensor *target, wg_node *write);

/* ---- unpack: record.c -------------------------------------------------------------------------------------------- */

#define WG_UNPACK_INLINE 4
/* A node's call, put together again for its rule. */
typedef struct wg_unpacked {
    wg_call call;
    wg_tensor *in_buf[WG_UNPACK_INLINE], *out_buf[WG_UNPACK_INLINE];
    wg_tensor **in, **out; /* own the references */
    bool const *need;
} wg_unpacked;
/* Checks versions and "a second time"; consume: the node gives its saved values away. maker: the history of saved
 * outputs, n itself unless n is the inner node of a CopySlices. */
wg_status wg__unpack(wg_node *n, wg_node *maker, wg_unpacked *u, bool consume, void *site);
void wg__unpack_done(wg_unpacked *u);
/* Raise: n was freed by the backward at freed; n saved t at version expected, which is output nr of maker (NULL: leaf).
 */
wg_status wg__second_time(const wg_node *n, void *freed);
wg_status wg__modified(const wg_node *n, const wg_tensor *t, const wg_node *maker, int nr, uint32_t expected);
/* The alias of output o that n saved, borrowed; NULL when there is none. */
wg_tensor *wg__saved_output(wg_node *n, int o);

/* ---- backward.c -------------------------------------------------------------------------------------------------- */

/* Runs a node's rule for the inputs in need[]; out[nin] belong to the current scope (NULL: no gradient). */
wg_status wg__run_rule(wg_node *n, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume);
wg_status wg__run_rule_as(wg_node *n, wg_node *maker, wg_tensor *const *g, wg_tensor **out, const bool *need,
                          bool consume);
/* g as output nr of to must have it (O6): result i of from. Takes and gives an owned reference; NULL on failure. */
wg_tensor *wg__conform(const wg_node *from, int i, const wg_node *to, uint32_t nr, wg_tensor *g);
/* g times partial i (or its transpose: the same, elementwise). */
wg_tensor *wg__partial_product(const wg_call *c, wg_tensor *g, int i);
/* Accumulates g, whose reference is the caller's and is consumed, into leaf's grad (A1). */
wg_status wg__accumulate_grad(wg_tensor *leaf, wg_tensor *g);

/* ---- hooks.c ----------------------------------------------------------------------------------------------------- */

/* Runs the hooks of tensor outputs, then retain_grad, on owned cotangents g[nout] (replaced in place). */
wg_status wg__run_tensor_hooks(wg_node *n, wg_tensor **g);
wg_status wg__run_prehooks(wg_node *n, wg_tensor **g);
wg_status wg__run_posthooks(wg_node *n, wg_tensor **gi, int ni, wg_tensor *const *go, int no);
wg_status wg__run_accumulated_hooks(wg_tensor *leaf);
bool wg__has_posthooks(const wg_node *n);

/* ---- forward.c, batch.c ------------------------------------------------------------------------------------------ */

/* The highest visible level among the inputs; 0 when there is none. *batched tells which kind it is. */
int wg__top_level(wg_tensor *const *in, int nin, bool *batched);
wg_status wg__apply_dual(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                         wg_tensor **out, int nout, int level, void *site);
wg_status wg__apply_batched(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                            wg_tensor **out, int nout, int level, void *site);
wg_tensor *wg__inplace_dual(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, int level,
                            void *site);
wg_tensor *wg__inplace_batched(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                               int level, void *site);
void wg__tangents_drop(wg_tensor *t);                  /* when the handle dies */
wg_tensor *wg__tangent(const wg_tensor *t, int level); /* borrowed */
/* The lowest visible level above floor at which an input has a tangent, 0: none; above all levels of wg_vmap. */
int wg__level_above(wg_tensor *const *in, int nin, int floor);
int wg__level_above_batches(wg_tensor *const *in, int nin);
/* Hangs v on t, laid out as t is; written: t was written in place, so that its base must have it too. */
wg_status wg__set_tangent(wg_tensor *t, int level, wg_tensor *v, bool written);
wg_status wg__tangents_share(wg_tensor *to, const wg_tensor *from); /* all levels */
wg_tensor *wg__batched_bare(wg_tensor *t, bool fresh_version);      /* detach, data of a batched handle */

#endif
