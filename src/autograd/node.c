/* node.c - nodes of the graph: birth, edges, names, death. What a node saves is record.c's business; running nodes is
 * backward.c's.
 */
#include "autograd/node.h"

#include <ctype.h>
#include <stdio.h>

#include "core/alloc.h"
#include "wengert/autograd.h"

/* ---- birth ------------------------------------------------------------------------------------------------------- */

wg_node *wg__node_new(const wg_op *op, int nin, int nout, void *site) {
    if (nin <= WG_NODE_INLINE) return wg__node_new_small(op, nin, nout, site);
    wg_node *n = wg__node_new_small(op, 0, nout, site);
    if (!n) return NULL;
    n->in = wg__calloc((size_t)nin * sizeof(wg_input));
    if (!n->in) {
        n->in = n->inline_in;
        wg__node_release(n);
        wg__no_memory(op->name, (size_t)nin * sizeof(wg_input));
        return NULL;
    }
    n->nin = (uint32_t)nin;
    n->flags |= NF_HEAP_IN;
    return n;
}

/* sizes of more than three dims, or of several outputs, stand in one allocation: infos, then numbers. */
wg_status wg__node_set_outs(wg_node *n, int o, const wg_tensor *t) {
    if (!(n->flags & NF_OUTS)) {
        n->info.outs = wg__calloc(n->nout * sizeof(wg_out_info));
        if (!n->info.outs) return wg__no_memory(n->op->name, n->nout * sizeof(wg_out_info));
        n->flags |= NF_OUTS;
    }
    wg_out_info *info = &n->info.outs[o];
    int64_t *sizes = NULL;
    if (t->ndim) {
        sizes = wg__malloc((size_t)t->ndim * 8);
        if (!sizes) return wg__no_memory(n->op->name, (size_t)t->ndim * 8);
        memcpy(sizes, t->dims, (size_t)t->ndim * 8);
    }
    *info = (wg_out_info){.dtype = t->dtype, .ndim = t->ndim, .sizes = sizes};
    return WG_OK;
}

wg_status wg__node_set_attrs(wg_node *n, const wg_value *attr, int nattr) {
    if (nattr == 0) return WG_OK;
    size_t bytes = (size_t)nattr * sizeof(*attr);
    for (int i = 0; i < nattr; i++) {
        if (attr[i].tag == WG_V_INTS) bytes += attr[i].n * sizeof(int64_t);
        if (attr[i].tag == WG_V_STRING && attr[i].s) bytes += (strlen(attr[i].s) + 8) & ~(size_t)7;
    }
    if (bytes >> 24) return wg__no_memory(n->op->name, bytes);
    bool block = bytes <= sizeof(wg_tensor);
    n->attr = block ? wg__block_new(&wg__tls) : wg__malloc(bytes);
    if (!n->attr) return block ? WG_ERR_MEMORY : wg__no_memory(n->op->name, bytes);
    if (block) n->flags |= NF_ATTR_BLOCK;
    n->nattr = (uint8_t)nattr;
    n->attr_bytes = (uint32_t)bytes & 0xffffff;
    memcpy(n->attr, attr, (size_t)nattr * sizeof(*attr));
    char *tail = (char *)(n->attr + nattr);
    for (int i = 0; i < nattr; i++) {
        wg_value *v = &n->attr[i];
        if (v->tag == WG_V_INTS) {
            if (v->n) memcpy(tail, v->ints, v->n * sizeof(int64_t));
            v->ints = (const int64_t *)(const void *)tail;
            tail += v->n * sizeof(int64_t);
        } else if (v->tag == WG_V_STRING && v->s) {
            size_t len = strlen(v->s) + 1;
            memcpy(tail, v->s, len);
            v->s = tail;
            tail += (len + 7) & ~(size_t)7;
        }
    }
    return WG_OK;
}

wg_status wg__node_set_edge(wg_node *n, int i, wg_tensor *t) {
    if (!wg__wants_grad(t)) return WG_OK;
    wg_node *to = (t->flags & TF_VIEW) ? wg__grad_fn(t) : t->grad_fn;
    if (!to) {
        if (wg_error_pending() && (t->flags & TF_VIEW)) return wg_last_status();
        to = wg__accumulator(t);
    }
    if (!to) return WG_ERR_MEMORY;
    wg__node_edge(n, i, to, t->output_nr);
    return WG_OK;
}

wg_node_cold *wg__node_cold(wg_node *n) {
    if (!n->cold) {
        n->cold = wg__calloc(sizeof(*n->cold));
        if (!n->cold) wg__no_memory(n->op->name, sizeof(*n->cold));
    }
    return n->cold;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

/* One per leaf, made at its first use; two threads may race to make it. */
wg_node *wg__accumulator(wg_tensor *leaf) {
    wg_meta *m = wg__meta(leaf);
    if (!m) return NULL;
    wg_node *n = atomic_load_explicit(&m->accum, memory_order_acquire);
    if (n) return n;
    struct wg_tls *s = &wg__tls;
    uint64_t seq = s->seq;
    n = wg__node_new(&wg__op_accumulate, 0, 1, NULL);
    if (!n) return NULL;
    s->seq = seq; /* it has the highest number, and takes none from the thread (O1) */
    n->seq = UINT64_MAX;
    n->flags |= NF_ACCUMULATE;
    n->inline_in[0] = (wg_input){.saved = leaf};
    wg_node *expected = NULL;
    if (wg__one_thread()) {
        atomic_store_explicit(&m->accum, n, memory_order_relaxed);
        return n;
    }
    if (atomic_compare_exchange_strong(&m->accum, &expected, n)) return n;
    wg__accumulator_free(n);
    return expected;
}

/* ---- death ------------------------------------------------------------------------------------------------------- */

static void free_cold(wg_node *n) {
    if (!n->cold) return;
    wg__hooks_free(n->cold->hooks);
    if (n->cold->retaining) wg__mfree(n->cold->retaining, n->nout * sizeof(wg_tensor *));
    if (n->cold->slot) wg__node_slot_released(n->cold->slot);
    wg__mfree(n->cold, sizeof(*n->cold));
    n->cold = NULL;
}

void wg__accumulator_free(wg_node *n) {
    free_cold(n);
    wg__count_node(-1);
    wg__block_free(&wg__tls, n);
}

static void drop_outs(wg_node *n, wg_tensor *one, wg_input *many) {
    if (one) wg_release(one);
    if (many) {
        for (int o = 0; o < n->nout; o++) wg_release(many[o].saved);
        wg__mfree(many, n->nout * sizeof(wg_input));
    }
}

void wg__node_free_saved(wg_node *n, void *site) {
    if (!(n->flags & NF_SAVES) || n->op->backward) return;
    wg__lock(&n->lock);
    bool gone = wg__released(n);
    wg__set_released(n);
    wg_tensor *one = !gone && n->nout == 1 ? n->u.saved_out : NULL;
    wg_input *many = !gone && n->nout > 1 ? n->u.saved_outs : NULL;
    if (!gone) n->u.freed_site = site;
    wg__unlock(&n->lock);
    if (gone) return;
    drop_outs(n, one, many);
    for (uint32_t i = 0; i < n->nin; i++) {
        wg_tensor *t = n->in[i].saved;
        n->in[i].saved = NULL;
        wg_release(t);
    }
}

static void free_attrs(wg_node *n) {
    if (!n->attr) return;
    if (n->flags & NF_ATTR_BLOCK)
        wg__block_free(&wg__tls, n->attr);
    else
        wg__mfree(n->attr, n->attr_bytes);
}

static void free_outs(wg_node *n) {
    if (!(n->flags & NF_OUTS)) return;
    for (int o = 0; o < n->nout; o++)
        if (n->info.outs[o].sizes)
            wg__mfree((void *)(uintptr_t)n->info.outs[o].sizes, (size_t)n->info.outs[o].ndim * 8);
    wg__mfree(n->info.outs, n->nout * sizeof(wg_out_info));
}

static inline bool is_plain(const wg_node *n) {
    return !(n->flags & (NF_HEAP_IN | NF_OUTS)) && !n->attr && !n->cold && !n->op->destroy;
}
static void destroy_extras(wg_node *n) {
    if (n->flags & NF_HEAP_IN) wg__mfree(n->in, n->nin * sizeof(wg_input));
    free_attrs(n);
    free_outs(n);
    free_cold(n);
}

static inline void wait_to_die(struct wg_tls *s, wg_node *n) {
    n->seq = (uint64_t)(uintptr_t)s->dying_nodes;
    s->dying_nodes = n;
}
/* A node's hold on another, given up while nodes are being destroyed. */
static inline void drop_edge(struct wg_tls *s, const wg_node *from, wg_node *to) {
    if (to->flags & NF_ACCUMULATE) {
        wg__tensor_release(to->inline_in[0].saved);
    } else if (wg__dec(&to->refs)) {
        wg__prefetch_along(from, to);
        wait_to_die(s, to);
    }
}

static void destroy_node(struct wg_tls *s, wg_node *n) {
    if (WG_UNLIKELY(n->op->destroy != NULL))
        n->op->destroy(n);
    else if (!wg__released(n))
        drop_outs(n, n->nout == 1 ? n->u.saved_out : NULL, n->nout > 1 ? n->u.saved_outs : NULL);
    for (uint32_t i = 0; i < n->nin; i++) {
        wg__drop(n->in[i].saved);
        if (n->in[i].node) drop_edge(s, n, n->in[i].node);
    }
    if (WG_UNLIKELY(!is_plain(n))) destroy_extras(n);
    if (WG_LIKELY(s->listed))
        wg__count(&s->live_nodes, -1);
    else
        wg__count_node(-1);
    wg__block_free(s, n);
}

/* Nodes that die while one is being destroyed wait in a list: no recursion along the graph. Tensors freed here may
 * free nodes and the other way round; each kind has its own list and both are drained by whoever came first. */
void wg__node_dead(wg_node *n) {
    struct wg_tls *s = &wg__tls;
    wait_to_die(s, n);
    if (s->in_node_release) return;
    s->in_node_release = true;
    while (s->dying_nodes) {
        wg_node *d = s->dying_nodes;
        s->dying_nodes = (wg_node *)(uintptr_t)d->seq;
        destroy_node(s, d);
    }
    s->in_node_release = false;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* log_softmax -> LogSoftmax, _to_copy -> ToCopy, log1p -> Log1P. */
static size_t camel(const char *name, char *out, size_t size) {
    size_t k = 0;
    bool up = true;
    for (const char *p = name; *p && k + 1 < size; p++) {
        if (*p == '_') {
            up = true;
            continue;
        }
        out[k++] = up ? (char)toupper((unsigned char)*p) : *p;
        up = isdigit((unsigned char)*p);
    }
    out[k] = 0;
    return k;
}

/* PyTorch numbers the derivatives of a function's overloads; the in-place ones come last. */
static const char *taken_name(const wg_node *n) {
    static const char *const names[][2] = {{"t", "TBackward1"},
                                           {"transpose", "TransposeBackward1"},
                                           {"unsqueeze", "UnsqueezeBackward1"},
                                           {"as_strided", "AsStridedBackward1"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(n->op->name, names[i][0]) == 0) return names[i][1];
    if (strncmp(n->op->name, "squeeze", 7) != 0) return NULL;
    int tag = n->nattr ? n->attr[0].tag : WG_V_NONE;
    return tag == WG_V_NONE ? "SqueezeBackward3" : tag == WG_V_INTS ? "SqueezeBackward5" : "SqueezeBackward4";
}

const char *wg_node_name(const wg_node *n) {
    static __thread char buffer[128];
    if (!n) return "";
    const char *taken = n->flags & NF_TAKEN ? taken_name(n) : NULL;
    if (taken) return taken;
    if (n->op->grad_name) {
        wg_call c = {.op = n->op, .nin = (int)n->nin, .attr = n->attr, .nattr = n->nattr, .nout = n->nout, .node = n};
        const char *name = n->op->grad_name(&c);
        if (name) return name;
    }
    size_t k = camel(n->op->name, buffer, sizeof(buffer) - 16);
    memcpy(buffer + k, "Backward0", 10);
    return buffer;
}

/* The node's name without "Backward" and without a final 0 (S3). */
const char *wg__node_op_name(const wg_node *n, char *buffer, size_t size) {
    const char *name = wg_node_name(n), *cut = strstr(name, "Backward");
    if (strncmp(name, "torch::", 7) == 0 || !cut || (cut[8] && cut[9])) {
        snprintf(buffer, size, "%s", name);
    } else {
        snprintf(buffer, size, "%.*s%s", (int)(cut - name), name, cut[8] == '0' ? "" : cut + 8);
    }
    return buffer;
}

/* ---- introspection ----------------------------------------------------------------------------------------------- */

wg_node *wg_grad_fn(wg_tensor *t) {
    if (!t || !wg__ok(t)) {
        wg__raise(WG_ERR_TYPE, "grad_fn", "grad_fn expects a tensor");
        return NULL;
    }
    return wg__grad_fn(t);
}
int wg_output_nr(const wg_tensor *t) { return t ? (int)t->output_nr : 0; }

wg_node *wg_grad_accumulator(wg_tensor *t) {
    if (!t || !wg__ok(t) || !wg__requires(t)) {
        wg__raise(WG_ERR_RUNTIME, "grad_accumulator",
                  "It is not possible to get the gradient edge for a Tensor that does not require gradients");
        return NULL;
    }
    return t->grad_fn ? NULL : wg__accumulator(t);
}
wg_node *wg_node_keep(wg_node *n) { return n ? wg__node_retain(n) : NULL; }
void wg_node_release(wg_node *n) {
    if (n) wg__node_release(n);
}
/* PyTorch's overloads that take a Scalar have no edge for it. */
static bool number_has_place(const wg_op *op) {
    static const char *const scalar[] = {"pow",          "remainder",      "fmod",           "rsub",      "clamp",
                                         "clamp.bounds", "clamp.min_only", "clamp.max_only", "clamp_min", "clamp_max",
                                         "masked_fill",  "index_fill",     "fill_"};
    for (size_t i = 0; i < sizeof(scalar) / sizeof(*scalar); i++)
        if (strcmp(op->name, scalar[i]) == 0) return false;
    return true;
}

bool wg__has_place(const wg_node *n, uint32_t i) {
    const wg_op *op = n->op;
    if (n->in[i].node) return true;
    if (op == &wg__op_copy_slices && i > 0) return wg__has_place(wg__write_in_slices(n), i);
    if (op->backward) return true;
    if (strcmp(op->name, "floor_divide") == 0)
        return false; /* a node that only raises lists what requires a gradient */
    if ((op->traits & WG_POINTWISE) ? op->partial[i].kind == WG_P_NONE : i < 32 && (op->nondiff_in >> i & 1))
        return false;
    return i >= 4 || !(n->numbers >> i & 1) || number_has_place(op);
}

int wg_node_inputs(const wg_node *n) {
    int count = 0;
    for (uint32_t i = 0; n && i < n->nin; i++) count += wg__has_place(n, i);
    return count;
}
wg_node *wg_node_next(const wg_node *n, int i, int *input_nr) {
    if (!n || i < 0) return NULL;
    for (uint32_t k = 0; k < n->nin; k++) {
        if (!wg__has_place(n, k) || i-- > 0) continue;
        if (input_nr) *input_nr = (int)n->in[k].nr;
        return n->in[k].node;
    }
    return NULL;
}
uint64_t wg_node_sequence(const wg_node *n) { return n ? n->seq : 0; }
wg_tensor *wg_node_variable(const wg_node *n) { return n && (n->flags & NF_ACCUMULATE) ? n->inline_in[0].saved : NULL; }
void *wg_node_site(const wg_node *n) { return n ? n->site : NULL; }
void *wg_node_slot(const wg_node *n) { return n && n->cold ? n->cold->slot : NULL; }
void wg_node_set_slot(wg_node *n, void *object) {
    if (n && wg__node_cold(n)) n->cold->slot = object;
}
