/* hooks.c - user functions that run during backward: on a tensor's gradient, before and after a node, after a leaf
 * accumulated (H1-H4, H7); and retain_grad, which stores what the hooks leave (L6).
 *
 * Hooks of a tensor stand with its node, so that an in-place op leaves older hooks with the old value (H1); hooks of a
 * leaf stand with its AccumulateGrad. A hook may remove itself while it runs: it lives until the walk that calls it is
 * done with it.
 */
#include <pthread.h>

#include "autograd/node.h"
#include "core/fork.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* One lock for all lists: registration and removal are rare, and calling a hook holds no lock. */
static pthread_mutex_t hooks_lock = PTHREAD_MUTEX_INITIALIZER;
void wg__hooks_fork(int phase) { wg__around_fork(&hooks_lock, phase); }
static wg_hook_id next_id = 1;

/* id -> hook, so that removal needs no handle on the tensor. */
static wg_hook **table;
static size_t table_n, table_cap;

static bool table_add(wg_hook *h) {
    if (table_n == table_cap) {
        size_t cap = table_cap ? table_cap * 2 : 16;
        wg_hook **bigger = wg__malloc(cap * sizeof(*bigger));
        if (!bigger) return false;
        if (table_n) memcpy(bigger, table, table_n * sizeof(*bigger));
        if (table) wg__mfree(table, table_cap * sizeof(*bigger));
        table = bigger;
        table_cap = cap;
    }
    table[table_n++] = h;
    return true;
}
static void table_remove(const wg_hook *h) {
    for (size_t i = 0; i < table_n; i++)
        if (table[i] == h) {
            table[i] = table[--table_n];
            break;
        }
    if (table_n == 0 && table) {
        wg__mfree(table, table_cap * sizeof(*table));
        table = NULL;
        table_cap = 0;
    }
}

static void hook_unref(wg_hook *h) {
    if (!wg__dec(&h->refs)) return;
    if (h->destroy) h->destroy(h->user);
    wg__mfree(h, sizeof(*h));
}

/* Takes it out of its list; a walk that is calling it holds on to it. */
static void retire(wg_hook *h) {
    wg_hook **p = h->home;
    while (*p != h) p = &(*p)->next;
    *p = h->next;
    table_remove(h);
}

void wg__hooks_free(wg_hook *list) {
    if (!list) return;
    pthread_mutex_lock(&hooks_lock);
    for (wg_hook *h = list; h; h = h->next) table_remove(h);
    pthread_mutex_unlock(&hooks_lock);
    while (list) {
        wg_hook *h = list;
        list = h->next;
        hook_unref(h);
    }
}

static wg_hook_id add(wg_hook **list, wg_hook init) {
    wg_hook *h = wg__malloc(sizeof(*h));
    if (!h) {
        wg__no_memory("register_hook", sizeof(*h));
        if (init.destroy) init.destroy(init.user);
        return 0;
    }
    *h = init;
    atomic_init(&h->refs, 1);
    pthread_mutex_lock(&hooks_lock);
    bool listed = table_add(h);
    if (listed) {
        h->id = next_id++;
        h->home = list;
        while (*list) list = &(*list)->next;
        *list = h;
    }
    wg_hook_id id = h->id;
    pthread_mutex_unlock(&hooks_lock);
    if (listed) return id;
    hook_unref(h);
    wg__no_memory("register_hook", sizeof(*h));
    return 0;
}

void wg_remove_hook(wg_hook_id id) {
    wg_hook *h = NULL;
    if (!id) return;
    pthread_mutex_lock(&hooks_lock);
    for (size_t i = 0; i < table_n && !h; i++)
        if (table[i]->id == id) h = table[i];
    if (h) retire(h);
    pthread_mutex_unlock(&hooks_lock);
    if (h) hook_unref(h);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static wg_node *node_of(wg_tensor *t) {
    wg_node *n = wg__grad_fn(t);
    return n ? n : wg__accumulator(t);
}

static wg_hook_id refuse(wg_status code, const char *text, void *user, void (*destroy)(void *)) {
    if (text) wg__raise(code, "register_hook", "%s", text);
    if (destroy) destroy(user);
    return 0;
}

wg_hook_id wg_register_hook(wg_tensor *t, wg_tensor_hook fn, void *user, void (*destroy)(void *user)) {
    if (!t || !fn || !wg__ok(t))
        return refuse(WG_ERR_TYPE, "register_hook expects a tensor and a function", user, destroy);
    if (!wg_requires_grad(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_HOOK_NO_GRAD, user, destroy);
    wg_node *n = node_of(t);
    wg_node_cold *cold = n ? wg__node_cold(n) : NULL;
    if (!cold) return refuse(WG_OK, NULL, user, destroy);
    return add(
        &cold->hooks,
        (wg_hook){.kind = HOOK_TENSOR, .output_nr = t->output_nr, .fn.tensor = fn, .user = user, .destroy = destroy});
}

wg_hook_id wg_register_post_accumulate_hook(wg_tensor *t, wg_leaf_hook fn, void *user, void (*destroy)(void *user)) {
    if (!t || !fn || !wg__ok(t))
        return refuse(WG_ERR_TYPE, "register_hook expects a tensor and a function", user, destroy);
    if (!wg_requires_grad(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_HOOK_NO_GRAD, user, destroy);
    if (!wg_is_leaf(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_POST_ACCUMULATE, user, destroy);
    wg_meta *m = wg__meta(t);
    if (!m) return refuse(WG_OK, NULL, user, destroy);
    return add(&m->post_accumulate,
               (wg_hook){.kind = HOOK_ACCUMULATED, .fn.leaf = fn, .user = user, .destroy = destroy});
}

static wg_hook_id add_to_node(wg_node *n, wg_hook h) {
    wg_node_cold *cold = n ? wg__node_cold(n) : NULL;
    if (!cold) return refuse(n ? WG_OK : WG_ERR_TYPE, n ? NULL : "register_hook expects a node", h.user, h.destroy);
    return add(&cold->hooks, h);
}
wg_hook_id wg_node_register_prehook(wg_node *n, wg_node_prehook fn, void *user, void (*destroy)(void *user)) {
    return add_to_node(n, (wg_hook){.kind = HOOK_PRE, .fn.pre = fn, .user = user, .destroy = destroy});
}
wg_hook_id wg_node_register_hook(wg_node *n, wg_node_hook fn, void *user, void (*destroy)(void *user)) {
    return add_to_node(n, (wg_hook){.kind = HOOK_POST, .fn.post = fn, .user = user, .destroy = destroy});
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The calls of one list's hooks of one kind, in the order of their ids. A hook that is added meanwhile waits for the
 * next backward; one that is removed meanwhile is not called any more (its user data may be gone). */
typedef struct calls {
    wg_hook *const *list;
    wg_hook *now; /* retained */
    wg_hook_id last, end;
    uint8_t kind;
} calls;

static bool next_call(calls *c) {
    pthread_mutex_lock(&hooks_lock);
    if (!c->end) c->end = next_id;
    wg_hook *p = *c->list, *done = c->now;
    while (p && (p->kind != c->kind || p->id <= c->last || p->id >= c->end)) p = p->next;
    if (p) wg__inc(&p->refs);
    pthread_mutex_unlock(&hooks_lock);
    if (done) hook_unref(done);
    c->now = p;
    if (p) c->last = p->id;
    return p != NULL;
}
static void end_calls(calls *c) {
    if (c->now) hook_unref(c->now);
}

static wg_status failed(const char *what) {
    if (wg_error_pending()) return wg_last_status();
    return wg__raise(WG_ERR_CALLBACK, what, "a %s failed", what);
}

static wg_status check_result(const wg_tensor *g, const wg_tensor *r) {
    if (!wg__same_sizes(g, r))
        return wg__raise(WG_ERR_RUNTIME, "hook",
                         "hook has changed the size of value. It must return a gradient of the "
                         "shape that it was given");
    if (g->dtype != r->dtype)
        return wg__raise(WG_ERR_RUNTIME, "hook",
                         "hook has changed the type of value (was torch.%sTensor got torch.%sTensor)",
                         wg__dtype_scalar_name((wg_dtype)g->dtype), wg__dtype_scalar_name((wg_dtype)r->dtype));
    return WG_OK;
}

/* May r stand where g stood? */
static wg_status check_replacement(const wg_tensor *g, const wg_tensor *r) {
    if (wg_is_poison(r)) return failed("hook");
    if (!g) return wg__raise(WG_ERR_RUNTIME, "hook", "can't replace a None gradient with a non-None value");
    return check_result(g, r);
}

/* Puts r (of the scope; NULL: undefined) in the place of the owned *g. */
static wg_status replace(wg_tensor **g, wg_tensor *r) {
    if (r == *g) return WG_OK;
    wg_status st = r ? check_replacement(*g, r) : WG_OK;
    if (st != WG_OK) return st;
    r = r ? wg__take(r) : NULL;
    wg_release(*g);
    *g = r;
    return WG_OK;
}

static wg_status store_retained(wg_node *n, int o, wg_tensor *g) {
    wg_tensor *t = n->cold->retaining ? n->cold->retaining[o] : NULL;
    if (!t || !g) return WG_OK;
    if (!wg__meta(t)) return WG_ERR_MEMORY;
    wg_tensor *old = t->meta->grad, *fresh = old ? wg_add(old, g) : wg_clone(g);
    if (wg_is_poison(fresh)) return failed("retain_grad");
    t->meta->grad = wg__take(fresh);
    wg_release(old);
    return WG_OK;
}

wg_status wg__run_tensor_hooks(wg_node *n, wg_tensor **g) {
    wg_status st = WG_OK;
    calls c = {.list = &n->cold->hooks, .kind = HOOK_TENSOR};
    while (st == WG_OK && next_call(&c)) {
        wg_tensor **slot = &g[c.now->output_nr], *r = c.now->fn.tensor(c.now->user, *slot);
        if (r) st = replace(slot, r);
    }
    end_calls(&c);
    for (int o = 0; o < n->nout && st == WG_OK; o++) st = store_retained(n, o, g[o]);
    return st;
}

/* Calls one prehook with borrowed copies of the owned g[count]; entries that it changed are taken over. */
static wg_status call_prehook(const wg_hook *h, wg_tensor **g, int count) {
    wg_tensor *small[16], **copy = count <= 16 ? small : wg__malloc((size_t)count * sizeof(*copy));
    if (!copy) return wg__no_memory("prehook", (size_t)count * sizeof(*copy));
    memcpy(copy, g, (size_t)count * sizeof(*copy));
    wg_status st = h->fn.pre(h->user, copy, count) == WG_OK ? WG_OK : failed("prehook");
    for (int i = 0; i < count && st == WG_OK; i++) st = replace(&g[i], copy[i]);
    if (copy != small) wg__mfree(copy, (size_t)count * sizeof(*copy));
    return st;
}

wg_status wg__run_prehooks(wg_node *n, wg_tensor **g) {
    wg_status st = WG_OK;
    calls c = {.list = &n->cold->hooks, .kind = HOOK_PRE};
    while (st == WG_OK && next_call(&c)) st = call_prehook(c.now, g, n->nout);
    end_calls(&c);
    return st;
}

/* gi[] are results of the current scope (not owned): a hook's replacements need no count. */
static wg_status call_posthook(const wg_hook *h, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    wg_tensor *small[16], **before = ni <= 16 ? small : wg__malloc((size_t)ni * sizeof(*before));
    if (!before) return wg__no_memory("hook", (size_t)ni * sizeof(*before));
    if (ni) memcpy(before, gi, (size_t)ni * sizeof(*before));
    wg_status st = h->fn.post(h->user, gi, ni, go, no) == WG_OK ? WG_OK : failed("hook");
    for (int i = 0; i < ni && st == WG_OK; i++)
        if (gi[i] && gi[i] != before[i]) st = check_replacement(before[i], gi[i]);
    if (before != small) wg__mfree(before, (size_t)ni * sizeof(*before));
    return st;
}

bool wg__has_posthooks(const wg_node *n) {
    bool found = false;
    pthread_mutex_lock(&hooks_lock);
    for (const wg_hook *h = n->cold->hooks; h && !found; h = h->next) found = h->kind == HOOK_POST;
    pthread_mutex_unlock(&hooks_lock);
    return found;
}

/* Hooks see the gradients of next_functions. */
wg_status wg__run_posthooks(wg_node *n, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    wg_tensor *small[16], **seen = ni <= 16 ? small : wg__malloc((size_t)ni * sizeof(*seen));
    if (!seen) return wg__no_memory("hook", (size_t)ni * sizeof(*seen));
    int k = 0;
    for (int i = 0; i < ni; i++)
        if (wg__has_place(n, (uint32_t)i)) seen[k++] = gi[i];
    wg_status st = WG_OK;
    calls c = {.list = &n->cold->hooks, .kind = HOOK_POST};
    while (st == WG_OK && next_call(&c)) st = call_posthook(c.now, seen, k, go, no);
    end_calls(&c);
    k = 0;
    for (int i = 0; i < ni; i++)
        if (wg__has_place(n, (uint32_t)i)) gi[i] = seen[k++];
    if (seen != small) wg__mfree(seen, (size_t)ni * sizeof(*seen));
    return st;
}

wg_status wg__run_accumulated_hooks(wg_tensor *leaf) {
    wg_status st = WG_OK;
    if (!leaf->meta->post_accumulate) return st;
    calls c = {.list = &leaf->meta->post_accumulate, .kind = HOOK_ACCUMULATED};
    while (st == WG_OK && next_call(&c))
        if (c.now->fn.leaf(c.now->user, leaf) != WG_OK) st = failed("post accumulate hook");
    end_calls(&c);
    return st;
}

/* ---- for collectors ---------------------------------------------------------------------------------------------- */

static int visit_list(const wg_hook *h, void (*destroy)(void *), int (*visit)(void *, void *), void *arg) {
    int stop = 0;
    for (; h && !stop; h = h->next)
        if (h->destroy == destroy) stop = visit(h->user, arg);
    return stop;
}
int wg_node_visit_hooks(const wg_node *n, void (*destroy)(void *), int (*visit)(void *, void *), void *arg) {
    return n && n->cold ? visit_list(n->cold->hooks, destroy, visit, arg) : 0;
}
int wg_visit_hooks(const wg_tensor *t, void (*destroy)(void *), int (*visit)(void *, void *), void *arg) {
    if (!t || !wg__ok(t)) return 0;
    const wg_node *accum = t->meta ? atomic_load_explicit(&t->meta->accum, memory_order_acquire) : NULL;
    int stop = wg_node_visit_hooks(accum, destroy, visit, arg);
    if (!stop && t->meta) stop = visit_list(t->meta->post_accumulate, destroy, visit, arg);
    if (!stop && t->grad_fn && wg_node_owner_count(t->grad_fn) == 1)
        stop = wg_node_visit_hooks(t->grad_fn, destroy, visit, arg);
    return stop;
}
uint32_t wg_node_owner_count(const wg_node *n) {
    if (!n) return 0;
    if (n->flags & NF_ACCUMULATE) return wg_owner_count(n->inline_in[0].saved);
    return atomic_load_explicit(&((wg_node *)(uintptr_t)n)->refs, memory_order_relaxed);
}

static int visit_node(const wg_node *n, const wg_visitor *v) {
    if (!n->cold && !(n->flags & NF_ACCUMULATE)) return 0;
    int stop = n->cold ? visit_list(n->cold->hooks, v->destroy, v->hook, v->arg) : 0;
    if (!stop && n->cold && n->cold->slot) stop = v->slot(n->cold->slot, v->arg);
    if (!stop && (n->flags & NF_ACCUMULATE)) /* the node owns its leaf */
        stop = visit_list(n->inline_in[0].saved->meta->post_accumulate, v->destroy, v->hook, v->arg);
    return stop;
}

/* From a node that one owner keeps: what only it keeps is a tree, so that nothing is seen twice. */
int wg_node_visit_history(const wg_node *n, const wg_visitor *v) {
    enum { ROOM = 64 };
    const wg_node *stack[ROOM];
    int top = 0, stop = 0, seen = 0;
    if (WG_CHECK_STRUCT(wg_visitor, v, "visit_history") != WG_OK) return 0;
    if (n) stack[top++] = n;
    while (top && !stop && seen++ < v->limit) {
        n = stack[--top];
        if (wg_node_owner_count(n) != 1) continue;
        stop = visit_node(n, v);
        for (uint32_t i = 0; i < n->nin && top < ROOM; i++)
            if (n->in[i].node) stack[top++] = n->in[i].node;
    }
    return stop;
}

int wg_visit_history(const wg_tensor *t, const wg_visitor *v) {
    if (!t || !wg__ok(t)) return 0;
    const wg_node *accum = t->meta ? atomic_load_explicit(&t->meta->accum, memory_order_acquire) : NULL;
    int stop = accum && accum->cold ? visit_list(accum->cold->hooks, v->destroy, v->hook, v->arg) : 0;
    if (!stop && accum && accum->cold && accum->cold->slot) stop = v->slot(accum->cold->slot, v->arg);
    if (!stop && t->meta) stop = visit_list(t->meta->post_accumulate, v->destroy, v->hook, v->arg);
    return stop ? stop : wg_node_visit_history(t->grad_fn, v);
}
