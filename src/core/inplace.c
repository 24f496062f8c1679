/* inplace.c - the waist for in-place calls: in[0] is overwritten with op(in...).
 *
 * Everything that can fail (checks, memory, nodes) happens before the first element is written, so a failed call leaves
 * its target as it was; only an interrupt may leave it partly written, and then the version says so.
 */
#include "core/apply.h"
#include "core/messages.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static wg_status check_shape(const wg_op *op, wg_tensor *const *in, int nin) {
    wg_geometry g;
    char a[256], b[256];
    if (nin == 1) return WG_OK;
    wg_status st = wg__broadcast(op->name, (const wg_tensor *const *)in, nin, &g);
    if (st != WG_OK) return st;
    if (g.ndim == in[0]->ndim && memcmp(g.sizes, in[0]->dims, (size_t)g.ndim * 8) == 0) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op->name, WG_MSG_INPLACE_SHAPE,
                     wg__sizes_text(a, sizeof(a), in[0]->ndim, in[0]->dims),
                     wg__sizes_text(b, sizeof(b), g.ndim, g.sizes));
}

static wg_status check_cast(const wg_op *op, wg_tensor *t, wg_dtype result) {
    if (wg__can_cast(result, (wg_dtype)t->dtype)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op->name, WG_MSG_CANT_CAST, wg__dtype_scalar_name(result),
                     wg__dtype_scalar_name((wg_dtype)t->dtype));
}

/* First and last byte that t reaches. */
static void extent(const wg_tensor *t, const char **lo, const char **hi) {
    int64_t down = 0, up = 0;
    for (int i = 0; i < t->ndim; i++) {
        int64_t step = (t->dims[i] - 1) * wg__strides(t)[i];
        if (step < 0)
            down += step;
        else
            up += step;
    }
    *lo = t->data + down * (int64_t)wg__itemsize(t);
    *hi = t->data + (up + 1) * (int64_t)wg__itemsize(t);
}

/* Same memory walked the same way is fine; memory that may overlap otherwise is copied first. */
static bool overlaps(const wg_tensor *t, const wg_tensor *other) {
    if (!other || other->storage != t->storage || other->numel == 0 || t->numel == 0) return false;
    if (other->data == t->data && other->ndim == t->ndim && other->dtype == t->dtype &&
        memcmp(other->dims, t->dims, (size_t)t->ndim * 16) == 0)
        return false;
    const char *a, *b, *c, *d;
    extent(t, &a, &b);
    extent(other, &c, &d);
    return c < b && a < d;
}

/* What PyTorch refuses: two dense tensors over memory that they share, but not element by element. A 0-d value of an op
 * that is not pointwise (fill_) is read first; copy_ broadcasts it. */
static wg_status check_overlap(const wg_op *op, wg_tensor *const *in, int nin) {
    const wg_tensor *t = in[0];
    bool reads_first = !(op->traits & WG_POINTWISE) && strcmp(op->name, "copy_") != 0;
    for (int i = 1; i < nin; i++) {
        if (!overlaps(t, in[i]) || (in[i]->ndim == 0 && reads_first)) continue;
        if (!wg__is_dense(t->ndim, t->dims, wg__strides(t)) ||
            !wg__is_dense(in[i]->ndim, in[i]->dims, wg__strides(in[i])))
            continue;
        return wg__raise(WG_ERR_RUNTIME, op->name, WG_MSG_PARTIAL_OVERLAP);
    }
    return WG_OK;
}

/* ---- computing into the target ----------------------------------------------------------------------------------- */

typedef struct write_plan {
    const wg_op *op;
    wg_tensor *target;
    wg_tensor *const *in;
    int nin;
    wg_value const *attr;
    int nattr;
    wg_dtype compute, result;
    wg_operand x[WG_MAX_OPERANDS];
    int made;
    wg_tensor *temp; /* the result, when it cannot go straight into the target */
} write_plan;

static wg_status plan_pointwise(write_plan *w) {
    const wg_op *op = w->op;
    wg_dtype d = wg__result_type(w->in, w->nin);
    if (op->kind == WG_K_FLT && !wg_dtype_is_floating(d)) d = wg_default_dtype();
    w->compute = d;
    w->result = op->kind == WG_K_FLAG ? WG_BOOL : d;
    bool minus = strstr(op->name, "sub"); /* PyTorch's looks at dtypes first, its other ops last */
    wg_status st = minus ? wg__check_kernel(op, w->in, w->nin, d) : WG_OK;
    if (st == WG_OK) st = check_shape(op, w->in, w->nin);
    if (st == WG_OK) st = check_cast(op, w->target, w->result);
    if (st == WG_OK && !minus) st = wg__check_kernel(op, w->in, w->nin, d);
    if (st == WG_OK && op->kind == WG_K_NUM && d <= WG_INT64) st = wg__check_integers(op, w->in);
    if (st != WG_OK) return st;
    bool exact = wg__takes_exact(op, w->in, w->nin, d);
    if (exact) w->compute = d = WG_FLOAT32;
    bool direct = w->result == (wg_dtype)w->target->dtype && w->compute == w->result;
    for (int i = 0; i < w->nin && st == WG_OK; i++) {
        wg_tensor *copy = NULL;
        if (i > 0 && overlaps(w->target, w->in[i])) {
            copy = wg__temp((wg_dtype)w->in[i]->dtype, w->in[i]->ndim, w->in[i]->dims);
            st = copy ? wg__copy_into(copy, w->in[i]) : WG_ERR_MEMORY;
        }
        if (st == WG_OK) st = wg__operand(&w->x[i], copy ? copy : w->in[i], d);
        if (st == WG_OK) w->made = i + 1;
        if (copy && st == WG_OK && !w->x[i].temp)
            w->x[i].temp = copy;
        else if (copy)
            wg_release(copy);
        if (st == WG_OK && w->x[i].data == w->target->data && w->x[i].single && w->target->numel == 1 && i > 0)
            continue;
    }
    if (st == WG_OK && !direct) {
        w->temp = wg__temp(exact ? w->compute : w->result, w->target->ndim, w->target->dims);
        if (!w->temp) st = WG_ERR_MEMORY;
    }
    return st;
}

static wg_status write_pointwise(write_plan *w) {
    char params[WG_PARAM_BYTES];
    wg__pack_params(w->attr, w->nattr, params);
    wg_tensor *out = w->temp ? w->temp : w->target;
    return wg__run_pointwise(wg__kernel(w->op, w->compute), out, w->x, w->nin, w->compute, params);
}

/* Structured ops compute a result of the target's shape, or write straight over it when their kernel says it can. */
static wg_status plan_structured(write_plan *w) {
    wg_geometry g = {.dtype = (wg_dtype)w->target->dtype};
    wg_tensor *none = NULL;
    wg_call c = {.op = w->op, .in = w->in, .nin = w->nin, .attr = w->attr, .nattr = w->nattr, .nout = 1, .out = &none};
    char a[256], b[256];
    wg_status st = w->op->shape(&c, &g);
    if (st != WG_OK) return st;
    if (g.ndim != w->target->ndim || memcmp(g.sizes, w->target->dims, (size_t)g.ndim * 8) != 0)
        return wg__raise(WG_ERR_RUNTIME, w->op->name, WG_MSG_INPLACE_SHAPE,
                         wg__sizes_text(a, sizeof(a), w->target->ndim, w->target->dims),
                         wg__sizes_text(b, sizeof(b), g.ndim, g.sizes));
    st = check_cast(w->op, w->target, g.dtype);
    if (st != WG_OK) return st;
    bool direct = (w->op->traits & WG_SAFE_INPLACE) && g.dtype == (wg_dtype)w->target->dtype;
    for (int i = 1; i < w->nin && direct; i++) direct = !overlaps(w->target, w->in[i]);
    if (direct) return WG_OK;
    w->temp = wg__tensor_new(g.dtype, g.ndim, g.sizes, NULL);
    if (!w->temp) return WG_ERR_MEMORY;
    c.out = &w->temp;
    return w->op->run[WG_CPU](&c);
}

static wg_status write_structured(write_plan *w) {
    if (w->temp) return WG_OK;
    wg_tensor *out = w->target;
    wg_call c = {.op = w->op, .in = w->in, .nin = w->nin, .attr = w->attr, .nattr = w->nattr, .nout = 1, .out = &out};
    return w->op->run[WG_CPU](&c);
}

static wg_status plan(write_plan *w) {
    wg_status st = check_overlap(w->op, w->in, w->nin);
    if (st != WG_OK) return st;
    return (w->op->traits & WG_POINTWISE) ? plan_pointwise(w) : plan_structured(w);
}

static wg_status write(write_plan *w, bool *touched) {
    wg_status st;
    if (w->op->traits & WG_POINTWISE) {
        *touched = !w->temp;
        st = write_pointwise(w);
    } else {
        *touched = !w->temp;
        st = write_structured(w);
    }
    if (st == WG_OK && w->temp) {
        *touched = true;
        st = wg__copy_into(w->target, w->temp);
    }
    return st;
}

static void plan_done(write_plan *w) {
    for (int i = 0; i < w->made; i++)
        if (w->x[i].temp) wg_release(w->x[i].temp);
    if (w->temp) wg_release(w->temp);
}

/* ---- history ----------------------------------------------------------------------------------------------------- */

typedef struct history {
    wg_node *node, *copy_slices;
    wg_tensor *old; /* the value before, for rules that read input 0 */
} history;

/* A copy of t's value, with its history, so that the rule can be differentiated through it. */
static wg_status value_before(wg_tensor *t, wg_tensor **copy) {
    wg_node *n = NULL;
    wg_status st = WG_OK;
    if (wg__wants_grad(t)) {
        n = t->grad_fn;
        if (t->flags & TF_VIEW) st = wg__view_grad_fn(t, &n);
    }
    if (st != WG_OK) return st;
    *copy = wg__temp((wg_dtype)t->dtype, t->ndim, t->dims);
    if (!*copy) return WG_ERR_MEMORY;
    if (n) {
        (*copy)->grad_fn = wg__node_retain(n);
        (*copy)->output_nr = t->output_nr;
        (*copy)->flags |= TF_REQUIRES;
    }
    return wg__copy_into(*copy, t);
}

static wg_status history_begin(history *h, write_plan *w, void *site) {
    *h = (history){0};
    struct wg_tls *s = &wg__tls;
    if (!wg__recording(s) || !wg_dtype_is_floating((wg_dtype)w->target->dtype)) return WG_OK;
    if (!wg__any_requires(w->op, w->in, w->nin)) return WG_OK;
    unsigned mask = wg__saved_mask(w->op, w->in, w->nin);
    if (mask & WG_USE_X) {
        wg_status st = value_before(w->target, &h->old);
        if (st != WG_OK) return st;
    }
    h->node = wg__record_begin(w->op, w->in, w->nin, w->attr, w->nattr, 1, h->old, site);
    if (!h->node) return WG_ERR_MEMORY;
    if (h->node->flags & NF_SAVED_OUT) {
        wg_tensor *t = w->target;
        h->node->u.saved_out = wg__alias(t, t->ndim, t->dims, wg__strides(t), 0, false);
        if (!h->node->u.saved_out) return WG_ERR_MEMORY;
    }
    wg_status st = wg__rebase_begin(w->target, h->node, &h->copy_slices);
    return st == WG_OK ? wg__let_go_of(w->target, h->node) : st;
}

static void history_end(history *h, wg_tensor *target) {
    if (!h->node) return;
    h->node->out_version = wg__version(target);
    wg__rebase_end(target, h->node, 0, h->copy_slices);
    h->node = h->copy_slices = NULL;
}

static void history_drop(history *h) {
    if (h->copy_slices) wg__node_release(h->copy_slices);
    if (h->node) wg__node_release(h->node);
    if (h->old) wg_release(h->old);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static wg_status check_operands(const wg_op *op, wg_tensor *const *in, int nin, unsigned *flags) {
    *flags = 0;
    for (int i = 0; i < nin; i++) {
        if (!in[i] && ((op->traits & WG_LIST) || (op->optional_in >> i & 1)) && i > 0) continue;
        if (!in[i])
            return wg__raise(WG_ERR_TYPE, op->name, "%s_(): argument %d must be Tensor, not None", op->name, i + 1);
        if (in[i]->flags & TF_POISON) return WG_ERR_RUNTIME;
        *flags |= in[i]->flags;
    }
    if (in[0]->flags & TF_NUMBER)
        return wg__raise(WG_ERR_TYPE, op->name, "%s_(): a number cannot be written in place", op->name);
    return WG_OK;
}

wg_tensor *wg__apply_inplace(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                             void *site) {
    struct wg_tls *s = &wg__tls;
    unsigned flags;
    if (check_operands(op, in, nin, &flags) != WG_OK) return WG_POISON;
    if (WG_UNLIKELY(flags & (TF_BATCHED | TF_DUAL))) {
        bool batched;
        int level = wg__top_level(in, nin, &batched);
        if (level && batched) return wg__inplace_batched(op, in, nin, attr, nattr, level, site);
        if (level) return wg__inplace_dual(op, in, nin, attr, nattr, level, site);
    }
    site = wg__site(s, site);
    write_plan w = {.op = op, .target = in[0], .in = in, .nin = nin, .attr = attr, .nattr = nattr};
    history h = {0};
    bool touched = false;
    wg_status st = wg__check_inplace(op, in, nin);
    if (st == WG_OK) st = plan(&w);
    if (st == WG_OK) st = history_begin(&h, &w, site);
    if (st == WG_OK) st = write(&w, &touched);
    if (touched) wg__bump(in[0], site);
    if (st == WG_OK) history_end(&h, in[0]);
    history_drop(&h);
    plan_done(&w);
    if (st == WG_OK) return in[0];
    if (st == WG_ERR_MEMORY) wg__no_memory(op->name, 0);
    if (st == WG_ERR_INTERRUPTED)
        wg__raise(st, op->name, "%s_ was interrupted; its target may be partly written", op->name);
    return WG_POISON;
}
