/* hooks.c - user functions that run during backward: on a tensor's gradient, before and after a node, after a leaf
 * accumulated (H1-H4, H7); and retain_grad, which stores what the hooks leave (L6).
 *
 * Hooks of a tensor stand with its node, so that an in-place op leaves older hooks with the old value (H1); hooks of a
 * leaf stand with its AccumulateGrad. A hook may remove itself while it runs: a list entry lives until the walk that
 * calls it is done with it.
 */
#include <pthread.h>

#include "autograd/node.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* One lock for all lists: registration and removal are rare, and calling a hook holds no lock. */
static pthread_mutex_t hooks_lock = PTHREAD_MUTEX_INITIALIZER;
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

/* Marks it removed; the list drops it when it is next walked or freed. */
static void retire(wg_hook *h) {
    h->removed = true;
    table_remove(h);
}

void wg__hooks_free(wg_hook *list) {
    while (list) {
        wg_hook *h = list;
        list = h->next;
        pthread_mutex_lock(&hooks_lock);
        if (!h->removed) retire(h);
        pthread_mutex_unlock(&hooks_lock);
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
    if (!id) return;
    pthread_mutex_lock(&hooks_lock);
    for (size_t i = 0; i < table_n; i++)
        if (table[i]->id == id) {
            retire(table[i]);
            break;
        }
    pthread_mutex_unlock(&hooks_lock);
}

/* ---- registering ------------------------------------------------------------------------------------------------------- */

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
    if (!t || !fn || !wg__ok(t)) return refuse(WG_ERR_TYPE, "register_hook expects a tensor and a function", user, destroy);
    if (!wg_requires_grad(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_HOOK_NO_GRAD, user, destroy);
    wg_node *n = node_of(t);
    wg_node_cold *cold = n ? wg__node_cold(n) : NULL;
    if (!cold) return refuse(WG_OK, NULL, user, destroy);
    return add(&cold->hooks, (wg_hook){.kind = HOOK_TENSOR, .output_nr = t->output_nr, .fn.tensor = fn, .user = user,
                                       .destroy = destroy});
}

wg_hook_id wg_register_post_accumulate_hook(wg_tensor *t, wg_leaf_hook fn, void *user, void (*destroy)(void *user)) {
    if (!t || !fn || !wg__ok(t)) return refuse(WG_ERR_TYPE, "register_hook expects a tensor and a function", user, destroy);
    if (!wg_requires_grad(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_HOOK_NO_GRAD, user, destroy);
    if (!wg_is_leaf(t)) return refuse(WG_ERR_RUNTIME, WG_MSG_POST_ACCUMULATE, user, destroy);
    wg_meta *m = wg__meta(t);
    if (!m) return refuse(WG_OK, NULL, user, destroy);
    return add(&m->post_accumulate, (wg_hook){.kind = HOOK_ACCUMULATED, .fn.leaf = fn, .user = user, .destroy = destroy});
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

/* ---- running ------------------------------------------------------------------------------------------------------------ */

/* The next live hook of a kind after h, retained; gives h back. */
static wg_hook *next_hook(wg_hook *const *list, wg_hook *h, uint8_t kind) {
    pthread_mutex_lock(&hooks_lock);
    wg_hook *p = h ? h->next : *list;
    while (p && (p->kind != kind || p->removed)) p = p->next;
    if (p) wg__inc(&p->refs);
    pthread_mutex_unlock(&hooks_lock);
    if (h) hook_unref(h);
    return p;
}

static wg_status failed(const char *what) {
    if (wg_error_pending()) return wg_last_status();
    return wg__raise(WG_ERR_CALLBACK, what, "a %s failed", what);
}

static wg_status check_result(const wg_tensor *g, const wg_tensor *r) {
    if (!wg__same_sizes(g, r))
        return wg__raise(WG_ERR_RUNTIME, "hook", "hook has changed the size of value. It must return a gradient of the "
                                                 "shape that it was given");
    if (g->dtype != r->dtype)
        return wg__raise(WG_ERR_RUNTIME, "hook", "hook has changed the type of value (was torch.%sTensor got torch.%sTensor)",
                         wg__dtype_scalar_name((wg_dtype)g->dtype), wg__dtype_scalar_name((wg_dtype)r->dtype));
    return WG_OK;
}

/* Puts r (of the scope) in the place of the owned *g. */
static wg_status replace(wg_tensor **g, wg_tensor *r) {
    if (!r || r == *g) return WG_OK;
    if (wg_is_poison(r)) return failed("hook");
    wg_status st = *g ? check_result(*g, r) : WG_OK;
    if (st != WG_OK) return st;
    r = wg__take(r);
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
    for (wg_hook *h = next_hook(&n->cold->hooks, NULL, HOOK_TENSOR); h;) {
        wg_tensor **slot = &g[h->output_nr];
        if (*slot && st == WG_OK) st = replace(slot, h->fn.tensor(h->user, *slot));
        h = next_hook(&n->cold->hooks, h, HOOK_TENSOR);
    }
    for (int o = 0; o < n->nout && st == WG_OK; o++) st = store_retained(n, o, g[o]);
    return st;
}

/* Calls fn with borrowed copies of the owned g[count]; entries that it changed are taken over. */
static wg_status swap_in(wg_tensor **g, wg_tensor **changed, int count) {
    wg_status st = WG_OK;
    for (int i = 0; i < count && st == WG_OK; i++)
        if (changed[i] != g[i] && changed[i]) st = replace(&g[i], changed[i]);
    return st;
}

wg_status wg__run_prehooks(wg_node *n, wg_tensor **g) {
    wg_status st = WG_OK;
    for (wg_hook *h = next_hook(&n->cold->hooks, NULL, HOOK_PRE); h;) {
        wg_tensor *copy[16];
        if (st == WG_OK && n->nout <= 16) {
            memcpy(copy, g, n->nout * sizeof(*copy));
            if (h->fn.pre(h->user, copy, n->nout) != WG_OK) st = failed("prehook");
            if (st == WG_OK) st = swap_in(g, copy, n->nout);
        }
        h = next_hook(&n->cold->hooks, h, HOOK_PRE);
    }
    return st;
}

/* gi[] are results of the current scope (not owned): a hook's replacements need no count. */
wg_status wg__run_posthooks(wg_node *n, wg_tensor **gi, int ni, wg_tensor *const *go, int no) {
    wg_status st = WG_OK;
    for (wg_hook *h = next_hook(&n->cold->hooks, NULL, HOOK_POST); h;) {
        if (st == WG_OK && h->fn.post(h->user, gi, ni, go, no) != WG_OK) st = failed("hook");
        for (int i = 0; i < ni && st == WG_OK; i++)
            if (gi[i] && wg_is_poison(gi[i])) st = failed("hook");
        h = next_hook(&n->cold->hooks, h, HOOK_POST);
    }
    return st;
}

wg_status wg__run_accumulated_hooks(wg_tensor *leaf) {
    wg_status st = WG_OK;
    for (wg_hook *h = next_hook(&leaf->meta->post_accumulate, NULL, HOOK_ACCUMULATED); h;) {
        if (st == WG_OK && h->fn.leaf(h->user, leaf) != WG_OK) st = failed("post accumulate hook");
        h = next_hook(&leaf->meta->post_accumulate, h, HOOK_ACCUMULATED);
    }
    return st;
}
