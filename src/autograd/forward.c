/* forward.c - forward mode: tensors that carry tangents, and the rules that push them through an op (D1-D3, N2).
 *
 * A tensor may carry one tangent per open level. An op on dual tensors is peeled from the highest visible level: its
 * value is the op with that level hidden; its tangent comes from the op's rule, run with the level hidden too, so a
 * rule sees its inputs without their tangents and nested levels take care of themselves. A level's end takes all its
 * tangents away, which also breaks the cycle output -> tangent -> node -> output.
 */
#include <pthread.h>

#include "autograd/levels.h"
#include "core/fork.h"
#include "core/alloc.h"
#include "core/messages.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- visibility -------------------------------------------------------------------------------------------------- */

wg_hidden wg__hide_from(int level) {
    struct wg_tls *s = &wg__tls;
    wg_hidden before = {s->ceiling, s->hidden_top};
    s->ceiling = level;
    s->hidden_top = s->levels;
    return before;
}
void wg__unhide(wg_hidden before) {
    wg__tls.ceiling = before.ceiling;
    wg__tls.hidden_top = before.top;
}
bool wg_forward_enabled(void) { return !wg__tls.no_forward; }
bool wg_set_forward_enabled(bool on) {
    bool before = !wg__tls.no_forward;
    wg__tls.no_forward = !on;
    return before;
}
static inline bool visible(int level) {
    const struct wg_tls *s = &wg__tls;
    return s->ceiling == 0 || level < s->ceiling || level > s->hidden_top;
}

static int top_tangent(const wg_tensor *t) {
    if (wg__tls.no_forward) return 0;
    for (int k = t->meta->ntangents; k-- > 0;)
        if (visible(t->meta->tangents[k].level)) return t->meta->tangents[k].level;
    return 0;
}

const wg_tensor *wg__shown_tangent(const wg_tensor *t) {
    int level = (t->flags & TF_DUAL) ? top_tangent(t) : 0;
    return level ? wg__tangent(t, level) : NULL;
}

int wg__top_level(wg_tensor *const *in, int nin, bool *batched) {
    int top = 0;
    *batched = false;
    for (int i = 0; i < nin; i++) {
        if (!in[i]) continue;
        if ((in[i]->flags & TF_BATCHED) && visible(in[i]->meta->batch_level) && in[i]->meta->batch_level > top) {
            top = in[i]->meta->batch_level;
            *batched = true;
        }
        int level = (in[i]->flags & TF_DUAL) ? top_tangent(in[i]) : 0;
        if (level > top) {
            top = level;
            *batched = false;
        }
    }
    return top;
}

/* ---- tangents of a handle ---------------------------------------------------------------------------------------- */

static pthread_mutex_t duals_lock = PTHREAD_MUTEX_INITIALIZER;
void wg__duals_fork(int phase) { wg__around_fork(&duals_lock, phase); }
static wg_tensor *duals; /* every handle with a tangent, newest first */

static void link_dual(wg_tensor *t) {
    t->meta->dual_prev = NULL;
    t->meta->dual_next = duals;
    if (duals) duals->meta->dual_prev = t;
    duals = t;
    t->flags |= TF_DUAL;
}
static void unlink_dual(wg_tensor *t) {
    wg_meta *m = t->meta;
    if (m->dual_prev)
        m->dual_prev->meta->dual_next = m->dual_next;
    else
        duals = m->dual_next;
    if (m->dual_next) m->dual_next->meta->dual_prev = m->dual_prev;
    m->dual_next = m->dual_prev = NULL;
    t->flags &= (uint16_t)~TF_DUAL;
}

wg_tensor *wg__tangent(const wg_tensor *t, int level) {
    if (!t || !(t->flags & TF_DUAL)) return NULL;
    for (int k = 0; k < t->meta->ntangents; k++)
        if (t->meta->tangents[k].level == level) return t->meta->tangents[k].value;
    return NULL;
}

/* Hangs v (of the scope) on t; levels ascend because an inner level is always newer. */
static wg_status set_tangent(wg_tensor *t, int level, wg_tensor *v) {
    wg_meta *m = wg__meta(t);
    if (!m) return WG_ERR_MEMORY;
    wg_tangent *bigger = wg__malloc((size_t)(m->ntangents + 1) * sizeof(*bigger));
    if (!bigger) return wg__no_memory("forward", sizeof(*bigger));
    v = wg__take(v);
    pthread_mutex_lock(&duals_lock);
    int at = 0, n = m->ntangents;
    for (; at < n && m->tangents[at].level < level; at++) bigger[at] = m->tangents[at];
    bigger[at] = (wg_tangent){level, v};
    for (int k = at; k < n; k++) bigger[k + 1] = m->tangents[k];
    wg_tangent *old = m->tangents;
    m->tangents = bigger;
    m->ntangents++;
    if (!(t->flags & TF_DUAL)) link_dual(t);
    pthread_mutex_unlock(&duals_lock);
    if (old) wg__mfree(old, (size_t)n * sizeof(*old));
    return WG_OK;
}

wg_status wg__tangents_share(wg_tensor *to, const wg_tensor *from) {
    wg_status st = WG_OK;
    for (int k = 0; k < from->meta->ntangents && st == WG_OK; k++)
        st = set_tangent(to, from->meta->tangents[k].level, wg__scope_push(wg__retain(from->meta->tangents[k].value)));
    return st;
}

/* Also on the alias that out's node saved of it: the backward of exp is differentiated through exp's result. */
static wg_status set_tangent_of_output(wg_tensor *out, int o, int level, wg_tensor *v) {
    wg_tensor *saved = (out->flags & TF_VIEW) ? NULL : wg__saved_output(out->grad_fn, o);
    wg_status st = WG_OK;
    if (saved && !wg__tangent(saved, level)) st = set_tangent(saved, level, wg__scope_push(wg__retain_safe(v)));
    return st == WG_OK ? set_tangent(out, level, v) : st;
}

void wg__tangents_drop(wg_tensor *t) {
    wg_meta *m = t->meta;
    pthread_mutex_lock(&duals_lock);
    if (t->flags & TF_DUAL) unlink_dual(t);
    wg_tangent *list = m->tangents;
    int n = m->ntangents;
    m->tangents = NULL;
    m->ntangents = 0;
    pthread_mutex_unlock(&duals_lock);
    for (int k = 0; k < n; k++) wg_release(list[k].value);
    if (list) wg__mfree(list, (size_t)n * sizeof(*list));
}

/* One tangent of the level taken off its handle, or NULL when there are none left. */
static wg_tensor *take_one(int level) {
    wg_tensor *found = NULL;
    wg_tangent *list = NULL;
    size_t bytes = 0;
    pthread_mutex_lock(&duals_lock);
    for (wg_tensor *t = duals; t && !found; t = t->meta->dual_next) {
        wg_meta *m = t->meta;
        for (int k = 0; k < m->ntangents; k++) {
            if (m->tangents[k].level != level) continue;
            found = m->tangents[k].value;
            bytes = m->ntangents * sizeof(*list);
            if (m->ntangents == 1) {
                list = m->tangents;
                m->tangents = NULL;
                m->ntangents = 0;
                unlink_dual(t);
            } else { /* keep the block, one shorter: its size is remembered by what is freed later */
                wg_tangent *smaller = wg__malloc((size_t)(m->ntangents - 1) * sizeof(*smaller));
                if (smaller) {
                    memcpy(smaller, m->tangents, (size_t)k * sizeof(*smaller));
                    memcpy(smaller + k, m->tangents + k + 1, (size_t)(m->ntangents - k - 1) * sizeof(*smaller));
                    list = m->tangents;
                    m->tangents = smaller;
                    m->ntangents--;
                } else {
                    wg__retain(found); /* no memory to shorten the list: the level number is never used again */
                    m->tangents[k].level = -1;
                }
            }
            break;
        }
    }
    pthread_mutex_unlock(&duals_lock);
    if (list) wg__mfree(list, bytes);
    return found;
}

/* ---- fitting a tangent to its primal ----------------------------------------------------------------------------- */

static wg_tensor *fit(wg_tensor *t, const wg_tensor *out) {
    if (!t || wg_is_poison(t)) return t;
    if (!wg__same_sizes(t, out)) t = wg_expand_as(t, out);
    return t->dtype == out->dtype ? t : wg_to(t, (wg_dtype)out->dtype);
}

static bool same_strides(const wg_tensor *a, const wg_tensor *b) {
    const int64_t *sa = wg__strides(a), *sb = wg__strides(b);
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] > 1 && sa[i] != sb[i]) return false;
    return true;
}

/* A tangent lies in memory as its primal does, so that what is a view of the one is a view of the other. */
static wg_tensor *lay_as(wg_tensor *t, wg_tensor *out) {
    if (wg_is_poison(t) || t->numel == 0 || same_strides(t, out) || wg__may_overlap_itself(out)) return t;
    return wg_copy_(wg_empty_strided(t->ndim, t->dims, wg__strides(out), WG_DTYPE((wg_dtype)t->dtype)), t);
}

/* A primal that is part of a storage gets a tangent at the same place of a storage as large, zero elsewhere: as_strided
 * of the one and of the other see the same. */
static wg_tensor *lay_within(wg_tensor *t, wg_tensor *primal) {
    int64_t room = (int64_t)(primal->storage ? primal->storage->bytes / wg__itemsize(primal) : 0),
            at = wg_storage_offset(primal);
    if (room <= primal->numel || t->numel == 0 || wg__may_overlap_itself(primal)) return lay_as(t, primal);
    if (same_strides(t, primal) && at == wg_storage_offset(t) && t->storage &&
        t->storage->bytes == primal->storage->bytes)
        return t;
    wg_tensor *whole = wg_zeros(1, &room, WG_DTYPE((wg_dtype)t->dtype));
    return wg_copy_(wg_as_strided(whole, t->ndim, t->dims, wg__strides(primal), at), t);
}

/* ---- levels ------------------------------------------------------------------------------------------------------ */

int wg_dual_level_enter(void) { return ++wg__tls.levels; }

void wg_dual_level_exit(int level) {
    if (level <= 0 || level != wg__tls.levels) {
        wg__raise(WG_ERR_RUNTIME, "dual_level",
                  "Dual level must be a positive number. Levels end in the opposite order "
                  "of their beginning; the innermost is %d, not %d",
                  wg__tls.levels, level);
        return;
    }
    for (wg_tensor *v; (v = take_one(level));) wg_release(v);
    wg__tls.levels--;
}

static wg_status check_dual(const wg_tensor *p, const wg_tensor *t, int level) {
    char a[256], b[256];
    if (level <= 0 || level > wg__tls.levels) return wg__raise(WG_ERR_RUNTIME, "make_dual", WG_MSG_NO_LEVEL);
    const wg_tensor *bad = !wg_dtype_is_floating((wg_dtype)p->dtype) ? p : t;
    if (!wg_dtype_is_floating((wg_dtype)bad->dtype))
        return wg__raise(WG_ERR_VALUE, "make_dual", WG_MSG_TANGENT_FLOAT, bad == p ? "primal" : "tangent",
                         wg_dtype_name((wg_dtype)bad->dtype));
    if (!wg__same_sizes(p, t))
        return wg__raise(WG_ERR_RUNTIME, "make_dual", WG_MSG_TANGENT_SIZE,
                         wg__sizes_text(a, sizeof(a), p->ndim, p->dims),
                         wg__sizes_text(b, sizeof(b), t->ndim, t->dims));
    if (wg__tangent(p, level)) return wg__raise(WG_ERR_RUNTIME, "make_dual", WG_MSG_ALREADY_DUAL, level);
    return WG_OK;
}

wg_tensor *wg_make_dual(wg_tensor *primal, wg_tensor *tangent, int level) {
    WG_COMPOSITE;
    if (!primal || !tangent) return wg__fail(WG_ERR_TYPE, "make_dual", "make_dual expects a primal and a tangent");
    if (wg_is_poison(primal) || wg_is_poison(tangent)) return WG_POISON;
    if (check_dual(primal, tangent, level) != WG_OK) return WG_POISON;
    wg_tensor *dual = wg_view(primal, primal->ndim, primal->dims),
              *own = wg__scope_push(wg__retain_safe(lay_within(tangent, primal)));
    if (wg_is_poison(dual) || wg_is_poison(own)) return WG_POISON;
    return set_tangent(dual, level, own) == WG_OK ? dual : WG_POISON;
}

wg_tensor *wg_tangent_of(wg_tensor *t, int level) {
    wg_tensor *v = wg__tls.no_forward ? NULL : wg__tangent(t, level);
    return v ? wg__scope_push(wg__retain(v)) : NULL;
}

wg_tensor *wg_primal_of(wg_tensor *t, int level) {
    WG_COMPOSITE;
    if (!t || !wg__tangent(t, level)) return t ? t : WG_POISON;
    wg_hidden before = wg__hide_from(level);
    wg_tensor *p = wg_view(t, t->ndim, t->dims);
    wg__unhide(before);
    return p;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static wg_tensor *jvp_pointwise(const wg_call *c, wg_tensor *const *t) {
    wg_tensor *sum = NULL;
    for (int i = 0; i < c->nin; i++) {
        if (!t[i]) continue;
        wg_tensor *term = wg__partial_product(c, t[i], i);
        if (!term) continue;
        sum = wg__add_null(sum, fit(term, c->out[0]));
    }
    return sum;
}

/* The op on the tangents; an input without one counts as zeros, an index stays as it is. */
static wg_status jvp_linear(const wg_call *c, wg_tensor *const *t, wg_tensor **dt) {
    wg_tensor *small[16], **in = small;
    if (c->nin > 16 && !(in = wg__malloc((size_t)c->nin * sizeof(*in)))) return wg__no_memory(c->op->name, 0);
    for (int i = 0; i < c->nin; i++) {
        bool fixed = !c->in[i] || (i < 32 && (c->op->nondiff_in >> i & 1));
        in[i] = fixed ? c->in[i] : t[i] ? t[i] : wg_zeros_like(c->in[i], NULL);
    }
    wg_status st = wg__apply_n(c->op, in, c->nin, c->attr, c->nattr, dt, c->nout, WG_SITE);
    if (in != small) wg__mfree(in, (size_t)c->nin * sizeof(*in));
    return st;
}

static wg_tensor *jvp_multilinear(const wg_call *c, wg_tensor *const *t) {
    wg_tensor *sum = NULL, *in[8];
    for (int i = 0; i < c->nin && c->nin <= 8; i++) {
        if (!t[i]) continue;
        memcpy(in, c->in, (size_t)c->nin * sizeof(*in));
        in[i] = t[i];
        sum = wg__add_null(sum, wg__apply(c->op, in, c->nin, c->attr, c->nattr, WG_SITE));
    }
    return sum;
}

/* Tangents of all outputs; NULL where zero. */
static wg_status push_forward(const wg_call *c, wg_tensor *const *t, wg_tensor **dt) {
    const wg_op *op = c->op;
    for (int o = 0; o < c->nout; o++) dt[o] = NULL;
    if (op->traits & WG_NONDIFF) return WG_OK;
    if (op->traits & WG_POINTWISE)
        dt[0] = jvp_pointwise(c, t);
    else if (op->jvp)
        for (int o = 0; o < c->nout; o++) dt[o] = c->out[o] ? op->jvp(c, t, o) : NULL;
    else if (op->traits & WG_LINEAR)
        return jvp_linear(c, t, dt);
    else if (op->traits & WG_MULTILINEAR)
        dt[0] = jvp_multilinear(c, t);
    else
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, op->name, WG_MSG_NO_FORWARD, op->name);
    return WG_OK;
}

static bool carries_tangent(const wg_op *op, int o, const wg_tensor *out) {
    return out && wg_dtype_is_floating((wg_dtype)out->dtype) && !(o > 0 && (op->traits & WG_INT_SECOND));
}

static wg_status attach(const wg_op *op, wg_tensor **out, int nout, wg_tensor **dt, int level) {
    for (int o = 0; o < nout; o++) {
        if (!dt[o] || !carries_tangent(op, o, out[o])) continue;
        if (wg_is_poison(dt[o])) return wg_error_pending() ? wg_last_status() : WG_ERR_RUNTIME;
        wg_tensor *t = (op->traits & (WG_VIEW | WG_MULTI_VIEW)) ? dt[o] : lay_as(fit(dt[o], out[o]), out[o]);
        if (wg_is_poison(t)) return WG_ERR_RUNTIME;
        wg_status st = set_tangent_of_output(out[o], o, level, t);
        if (st != WG_OK) return st;
    }
    return WG_OK;
}

wg_status wg__apply_dual(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                         wg_tensor **out, int nout, int level, void *site) {
    void *pinned = wg__tls.site;
    size_t bytes = (size_t)(nin + nout) * sizeof(wg_tensor *);
    wg_tensor *small[16], **t = nin + nout <= 16 ? small : wg__malloc(bytes), **dt = t + nin;
    if (!t) return wg__no_memory(op->name, bytes);
    wg_hidden before = wg__hide_from(level);
    wg__tls.site = wg__site(&wg__tls, site);
    wg_status st = wg__apply_n(op, in, nin, attr, nattr, out, nout, site);
    if (st == WG_OK) {
        wg_call c = {.op = op, .in = in, .nin = nin, .attr = attr, .nattr = nattr, .out = out, .nout = nout};
        for (int i = 0; i < nin; i++) t[i] = wg__tangent(in[i], level);
        st = push_forward(&c, t, dt);
        if (st == WG_OK) st = attach(op, out, nout, dt, level);
        if (st != WG_OK)
            for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    }
    wg__tls.site = pinned;
    wg__unhide(before);
    if (t != small) wg__mfree(t, bytes);
    return st;
}

/* ---- in place: the tangent is written in place too, so that views of it see it (D2) ------------------------------ */

/* The tangent to write into: the target's own, or the target's part of a fresh zero tangent of its base. */
static wg_tensor *tangent_target(wg_tensor *t, int level) {
    wg_tensor *have = wg__tangent(t, level);
    if (have) return have;
    wg_tensor *base = (t->flags & TF_VIEW) ? t->meta->base : t;
    wg_tensor *whole = wg__tangent(base, level);
    if (!whole) {
        whole = wg_zero_(wg_empty_strided(base->ndim, base->dims, wg__strides(base), WG_DTYPE((wg_dtype)base->dtype)));
        if (wg_is_poison(whole) || set_tangent(base, level, wg__scope_push(wg__retain(whole))) != WG_OK)
            return WG_POISON;
    }
    if (base == t) return whole;
    int64_t offset = (t->data - base->data) / (ptrdiff_t)wg__itemsize(base) + wg_storage_offset(whole);
    wg_tensor *part = wg_as_strided(whole, t->ndim, t->dims, wg__strides(t), offset);
    if (wg_is_poison(part) || set_tangent(t, level, wg__scope_push(wg__retain(part))) != WG_OK) return WG_POISON;
    return part;
}

/* What the write's node saved of its target carries tangents too: the result the new one, the value before the old. */
static wg_status tangents_of_saved(wg_tensor *target, const wg_node *before, int level, wg_tensor *now,
                                   wg_tensor *was) {
    wg_node *n = wg__last_write(target);
    if (!n || n == before || n->op->backward) return WG_OK;
    wg_tensor *result = wg__saved_output(n, 0), *old = n->nin ? n->in[0].saved : NULL;
    wg_status st = WG_OK;
    if (result && !wg__tangent(result, level)) st = set_tangent(result, level, wg__scope_push(wg__retain(now)));
    if (st == WG_OK && old && was && !wg__tangent(old, level)) st = set_tangent(old, level, was);
    return st;
}

/* Copies, with their history, of the values and tangents that the write changes: the rule reads them as they were. */
static wg_status before_write(wg_tensor *const *in, int nin, int level, wg_tensor **values, wg_tensor **t) {
    for (int i = 0; i < nin; i++) {
        bool changes = in[i] && wg_same_storage(in[i], in[0]);
        values[i] = in[i] == in[0] && i ? values[0] : changes ? wg_clone(in[i]) : in[i];
        t[i] = wg__tangent(in[i], level);
        if (t[i] && changes) t[i] = in[i] == in[0] && i ? t[0] : wg_clone(t[i]);
        if ((values[i] && wg_is_poison(values[i])) || (t[i] && wg_is_poison(t[i]))) return WG_ERR_RUNTIME;
    }
    return WG_OK;
}

static wg_status write_tangent(wg_tensor *target, int level, wg_tensor *dt, const wg_node *last, wg_tensor *was) {
    wg_tensor *into = tangent_target(target, level);
    if (wg_is_poison(into)) return WG_ERR_RUNTIME;
    wg_tensor *written = dt ? wg_copy_(into, fit(dt, target)) : wg_zero_(into);
    return wg_is_poison(written) ? WG_ERR_RUNTIME : tangents_of_saved(target, last, level, into, was);
}

wg_tensor *wg__inplace_dual(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, int level,
                            void *site) {
    wg_tensor *target = in[0], *values[16], *t[16], *dt = NULL;
    if (nin > 16) return wg__fail(WG_ERR_NOT_IMPLEMENTED, op->name, WG_MSG_NO_FORWARD, op->name);
    void *pinned = wg__tls.site;
    wg_hidden before = wg__hide_from(level);
    const wg_node *last = wg__last_write(target);
    wg__tls.site = wg__site(&wg__tls, site);
    wg_status st = before_write(in, nin, level, values, t);
    if (st == WG_OK && wg_is_poison(wg__apply_inplace(op, in, nin, attr, nattr, site))) st = WG_ERR_RUNTIME;
    wg_call c = {.op = op, .in = values, .nin = nin, .attr = attr, .nattr = nattr, .out = &target, .nout = 1};
    if (st == WG_OK) st = push_forward(&c, t, &dt);
    if (st == WG_OK && dt && wg_is_poison(dt)) st = WG_ERR_RUNTIME;
    if (st == WG_OK) st = write_tangent(target, level, dt, last, t[0]);
    wg__tls.site = pinned;
    wg__unhide(before);
    return st == WG_OK ? target : WG_POISON;
}

/* ---- for custom functions ---------------------------------------------------------------------------------------- */

int wg__level_above(wg_tensor *const *in, int nin, int floor) {
    int lowest = 0;
    for (int i = 0; i < nin; i++) {
        if (!in[i] || !(in[i]->flags & TF_DUAL)) continue;
        const wg_meta *m = in[i]->meta;
        for (int k = 0; k < m->ntangents; k++) {
            int level = m->tangents[k].level;
            if (level > floor && visible(level) && (!lowest || level < lowest)) lowest = level;
        }
    }
    return lowest;
}

int wg__level_above_batches(wg_tensor *const *in, int nin) {
    unsigned flags = 0;
    int floor = 0;
    for (int i = 0; i < nin; i++) flags |= in[i] ? in[i]->flags : 0;
    if (WG_LIKELY(!(flags & TF_DUAL)) || wg__tls.no_forward) return 0;
    for (int i = 0; i < nin; i++) {
        bool batched = in[i] && (in[i]->flags & TF_BATCHED) && visible(in[i]->meta->batch_level);
        if (batched && in[i]->meta->batch_level > floor) floor = in[i]->meta->batch_level;
    }
    return wg__level_above(in, nin, floor);
}

wg_status wg__set_tangent(wg_tensor *t, int level, wg_tensor *v, bool written) {
    v = lay_as(v, t);
    if (wg_is_poison(v)) return WG_ERR_RUNTIME;
    if (!written || !(t->flags & TF_VIEW)) return set_tangent(t, level, wg__scope_push(wg__retain_safe(v)));
    wg_tensor *into = tangent_target(t, level);
    return wg_is_poison(into) || wg_is_poison(wg_copy_(into, v)) ? WG_ERR_RUNTIME : WG_OK;
}

/* ---- torch.func.jvp ---------------------------------------------------------------------------------------------- */

wg_tensor *wg_jvp(wg_fn f, void *user, wg_tensor *const *primals, wg_tensor *const *tangents, int n,
                  wg_tensor **tangent_out) {
    *tangent_out = WG_POISON;
    if (!f || n < 1 || n > 64) return wg__fail(WG_ERR_TYPE, "jvp", "jvp expects a function and 1 to 64 primals");
    int level = wg_dual_level_enter();
    wg_tensor *duals_in[64], *out = NULL;
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        duals_in[i] = tangents[i] ? wg_make_dual(primals[i], tangents[i], level) : primals[i];
        ok = !wg_is_poison(duals_in[i]);
    }
    if (ok) out = f(user, duals_in, n);
    wg_tensor *value = WG_POISON;
    if (ok && out && !wg_is_poison(out)) {
        value = wg_primal_of(out, level);
        wg_tensor *t = wg_tangent_of(out, level);
        *tangent_out = t ? t : wg_zeros_like(value, NULL);
    } else if (ok && !out) {
        wg__raise(WG_ERR_TYPE, "jvp", "jvp: the function returned NULL");
    }
    wg_dual_level_exit(level);
    return value;
}
