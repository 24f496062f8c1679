/* apply.c - the waist: every op call passes here. Read this file first.
 *
 *   poison or NULL? -> a transform's level? (autograd/forward.c, batch.c) -> dtypes -> shape -> output -> kernel
 *   -> record a node if a gradient is wanted (autograd/record.c) -> the scope owns the result
 *
 * Pointwise ops (rows of ops/elementwise.def) have a short way through for the common case: row-major operands of one
 * dtype and shape, or a number. Everything else takes the general way, one function per step. In-place calls are in
 * inplace.c.
 */
#include "core/apply.h"

#include "core/messages.h"

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static wg_status check_inputs(const wg_op *op, wg_tensor *const *in, int nin) {
    for (int i = 0; i < nin; i++) {
        if (!in[i]) {
            if (op->traits & WG_LIST && i > 0) continue;
            if (op->optional_in >> i & 1) continue;
            return wg__raise(WG_ERR_TYPE, op->name, "%s(): argument %d must be Tensor, not None", op->name, i + 1);
        }
        if (in[i]->flags & TF_POISON) {
            if (in[i]->flags & TF_CLOSED)
                wg__raise(WG_ERR_RUNTIME, op->name,
                          "%s(): argument %d is a handle whose scope was closed. Keep it with wg_keep", op->name,
                          i + 1);
            return WG_ERR_RUNTIME;
        }
    }
    return WG_OK;
}

static wg_status poison_out(wg_tensor **out, int nout, wg_status st) {
    for (int o = 0; o < nout; o++) out[o] = WG_POISON;
    return st;
}

/* ---- dtypes of a pointwise call ---------------------------------------------------------------------------------- */

/* PyTorch's names of kernels that are not called as their op. */
static const char *kernel_name(const char *op) {
    static const char *const names[][2] = {{"floor_divide", "div_floor_cpu"},    {"pow", "pow"},
                                           {"bitwise_left_shift", "lshift_cpu"}, {"bitwise_right_shift", "rshift_cpu"},
                                           {"floor", "floor_vml_cpu"},           {"ceil", "ceil_vml_cpu"},
                                           {"round", "round_vml_cpu"},           {"trunc", "trunc_vml_cpu"},
                                           {"clamp.bounds", "clamp_cpu"},        {"_div_floor", "div_floor_cpu"},
                                           {"_div_trunc", "div_trunc_cpu"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i][0], op) == 0) return names[i][1];
    return NULL;
}

static wg_status refuse_dtype(const wg_op *op, wg_dtype d) {
    const char *kernel = kernel_name(op->name);
    const char *what = strcmp(op->name, "neg") == 0 ? "Negation" : strstr(op->name, "sub") ? "Subtraction" : NULL;
    if (d == WG_BOOL && what)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, op->name, WG_MSG_BOOL_MINUS, what, what[0] == 'N' ? "on" : "with");
    if (strcmp(op->name, "relu") == 0)
        return wg__raise(WG_ERR_NOT_IMPLEMENTED, "relu", "Boolean inputs not supported for relu");
    return wg__raise(WG_ERR_NOT_IMPLEMENTED, op->name, "\"%s%s\" not implemented for '%s'. Convert it with wg_to first",
                     kernel ? kernel : op->name, kernel ? "" : "_cpu", wg__dtype_scalar_name(d));
}

/* PyTorch's minus takes no bool, not even beside a float. */
static bool subtracts_bool(const wg_op *op, wg_tensor *const *in, int nin) {
    bool any = false;
    for (int i = 0; i < nin; i++) any |= in[i]->dtype == WG_BOOL;
    return any && nin == 2 && strstr(op->name, "sub");
}

wg_status wg__check_kernel(const wg_op *op, wg_tensor *const *in, int nin, wg_dtype d) {
    if (WG_UNLIKELY(subtracts_bool(op, in, nin)))
        return d == WG_BOOL ? wg__raise(WG_ERR_NOT_IMPLEMENTED, op->name, WG_MSG_TWO_BOOLS) : refuse_dtype(op, WG_BOOL);
    return wg__kernel(op, d) ? WG_OK : refuse_dtype(op, d);
}

static wg_status pointwise_dtypes(const wg_op *op, wg_tensor *const *in, int nin, wg_dtype *compute, wg_dtype *result) {
    wg_dtype d = wg__result_type(in, nin);
    if (op->kind == WG_K_FLT && !wg__is_floating(d)) d = wg_default_dtype();
    *compute = d;
    *result = op->kind == WG_K_FLAG ? WG_BOOL : d;
    wg_status st = wg__check_kernel(op, in, nin, d);
    return st == WG_OK && op->kind == WG_K_NUM && d <= WG_INT64 ? wg__check_integers(op, in) : st;
}

bool wg__takes_exact(const wg_op *op, wg_tensor *const *in, int nin, wg_dtype d) {
    if (nin != 2 || (d != WG_FLOAT16 && d != WG_BFLOAT16) || in[1]->numel != 1 || in[1]->dtype == d) return false;
    return op->kernel == offsetof(struct wg_cpu_table, wg_mul) || op->kernel == offsetof(struct wg_cpu_table, wg_div) ||
           op->kernel == offsetof(struct wg_cpu_table, wg_floor_divide) ||
           op->kernel == offsetof(struct wg_cpu_table, wg__div_floor) ||
           op->kernel == offsetof(struct wg_cpu_table, wg__div_trunc);
}

/* ---- operands: an input as the kernel wants it ------------------------------------------------------------------- */

static void number_operand(wg_operand *o, const wg_tensor *t, wg_dtype d) {
    if (wg__is_floating(d) || wg__is_floating(t->dtype))
        wg__store_double(o->number, d, wg__load_double(t->data, (wg_dtype)t->dtype));
    else
        wg__store_int(o->number, d, wg__load_int(t->data, (wg_dtype)t->dtype));
    o->data = o->number;
    o->single = true;
}

static inline bool unaligned(const wg_tensor *t) { return ((uintptr_t)t->data & (wg__itemsize(t) - 1)) != 0; }

wg_status wg__operand(wg_operand *o, wg_tensor *t, wg_dtype d) {
    o->temp = NULL;
    o->t = t;
    o->single = t->numel == 1;
    o->data = t->data;
    if (t->dtype == d && !unaligned(t)) return WG_OK;
    if (t->numel == 1) {
        _Alignas(16) char one[16];
        memcpy(one, t->data, wg__itemsize(t));
        wg_tensor copy = *t;
        copy.data = one;
        number_operand(o, &copy, d);
        return WG_OK;
    }
    o->temp = wg__contiguous(t, d);
    if (!o->temp) return WG_ERR_MEMORY;
    o->t = o->temp;
    o->data = o->temp->data;
    return WG_OK;
}

/* As float32, but rounded to the 16-bit dtype d first. */
static wg_status rounded_operand(wg_operand *o, wg_tensor *t, wg_dtype d) {
    if (t->dtype == d) return wg__operand(o, t, WG_FLOAT32);
    wg_tensor *r = wg__contiguous(t, d);
    if (!r) return WG_ERR_MEMORY;
    wg_status st = wg__operand(o, r, WG_FLOAT32);
    if (st == WG_OK && !o->temp) o->t = t; /* one number, which o holds */
    wg_release(r);
    return st;
}

/* ---- running a pointwise kernel ---------------------------------------------------------------------------------- */

/* Same strides as out in every dimension, so that both can be walked as one line. */
static bool lines_up(const wg_tensor *out, const wg_tensor *t) {
    if (t->ndim != out->ndim) return false;
    if ((t->flags & TF_CONTIG) && (out->flags & TF_CONTIG)) return memcmp(t->dims, out->dims, (size_t)t->ndim * 8) == 0;
    return memcmp(t->dims, out->dims, (size_t)t->ndim * 16) == 0;
}

static wg_status run_line(wg_kernel k, const wg_tensor *out, const wg_operand *x, int nin, ptrdiff_t in_size,
                          char *params) {
    char *p[WG_MAX_OPERANDS + 2];
    ptrdiff_t stride[WG_MAX_OPERANDS + 2];
    p[0] = out->data;
    stride[0] = (ptrdiff_t)wg__itemsize(out);
    for (int i = 0; i < nin; i++) {
        p[i + 1] = x[i].data;
        stride[i + 1] = x[i].single && out->numel != 1 ? 0 : in_size;
    }
    p[nin + 1] = params;
    stride[nin + 1] = 0;
    if (out->numel < WG_GRAIN) {
        k(p, stride, out->numel);
        return WG_OK;
    }
    int64_t n = out->numel;
    const int64_t *strides[WG_MAX_OPERANDS + 1];
    int64_t bytes[WG_MAX_OPERANDS + 1];
    for (int i = 0; i <= nin; i++) {
        bytes[i] = stride[i];
        strides[i] = &bytes[i];
    }
    return wg__loop(k, nin + 1, p, 1, &n, strides, params);
}

static wg_status run_strided(wg_kernel k, const wg_tensor *out, const wg_operand *x, int nin, char *params) {
    char *p[WG_MAX_OPERANDS + 1];
    int64_t bytes[WG_MAX_OPERANDS + 1][WG_MAX_DIMS];
    const int64_t *strides[WG_MAX_OPERANDS + 1];
    p[0] = out->data;
    wg__broadcast_strides(out, out->ndim, out->dims, bytes[0]);
    strides[0] = bytes[0];
    for (int i = 0; i < nin; i++) {
        p[i + 1] = x[i].data;
        strides[i + 1] = bytes[i + 1];
        if (x[i].single)
            memset(bytes[i + 1], 0, sizeof(int64_t) * (size_t)out->ndim);
        else
            wg__broadcast_strides(x[i].t, out->ndim, out->dims, bytes[i + 1]);
    }
    return wg__loop(k, nin + 1, p, out->ndim, out->dims, strides, params);
}

wg_status wg__run_pointwise(wg_kernel k, const wg_tensor *out, const wg_operand *x, int nin, wg_dtype compute,
                            char *params) {
    if (out->numel == 0) return WG_OK;
    bool line = (out->flags & TF_CONTIG) || wg__is_dense(out->ndim, out->dims, wg__strides(out));
    for (int i = 0; i < nin && line; i++) line = x[i].single || lines_up(out, x[i].t);
    if (line) return run_line(k, out, x, nin, (ptrdiff_t)wg_dtype_size(compute), params);
    return run_strided(k, out, x, nin, params);
}

wg_status wg__run_select(wg_kernel k, const wg_tensor *out, const wg_operand x[3]) {
    return out->numel == 0 ? WG_OK : run_strided(k, out, x, 3, NULL);
}

/* ---- where a pointwise result lies: as its operands do (PyTorch's TensorIterator) -------------------------------- */

/* Dims ordered by the operands' strides, largest first; a row-major operand set gives row-major. */
static void follow_strides(wg_tensor *const *in, int nin, wg_geometry *g) {
    int perm[WG_MAX_DIMS];
    for (int i = 0; i < g->ndim; i++) perm[i] = i;
    for (int i = 1; i < g->ndim; i++) /* insertion sort: stable, ndim is small */
        for (int j = i; j > 0; j--) {
            int order = 0, a = perm[j - 1], b = perm[j];
            for (int k = 0; k < nin && !order; k++) {
                int da = a - (g->ndim - in[k]->ndim), db = b - (g->ndim - in[k]->ndim);
                if (da < 0 || db < 0) continue;
                int64_t sa = wg__strides(in[k])[da], sb = wg__strides(in[k])[db];
                if (sa == 0 || sb == 0) continue;
                if (sa < sb)
                    order = 1;
                else if (sa > sb)
                    order = -1;
                else if (in[k]->dims[da] < in[k]->dims[db])
                    order = 1;
            }
            if (order <= 0) break;
            perm[j - 1] = b;
            perm[j] = a;
        }
    uint64_t step = 1; /* wraps where there are too many elements: then no tensor will be made */
    g->strided = true;
    for (int i = g->ndim; i-- > 0;) {
        g->strides[perm[i]] = (int64_t)step;
        step *= g->sizes[perm[i]] > 0 ? (uint64_t)g->sizes[perm[i]] : 1;
    }
}

static bool all_row_major(wg_tensor *const *in, int nin) {
    for (int i = 0; i < nin; i++)
        if (!(in[i]->flags & TF_CONTIG)) return false;
    return true;
}

/* ---- pointwise, the general way ---------------------------------------------------------------------------------- */

/* Replaces *t by its values in another dtype, in the same layout. */
static wg_status round_result(wg_tensor **t, wg_dtype d) {
    wg_tensor *r = wg__tensor_new(d, (*t)->ndim, (*t)->dims, wg__strides(*t)), *old = *t;
    if (!r) return WG_ERR_MEMORY;
    wg_status st = wg__copy_into(r, old);
    *t = r;
    wg_release(old);
    return st;
}

static wg_tensor *pointwise(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr) {
    wg_dtype compute = WG_FLOAT32, result = WG_FLOAT32;
    wg_geometry g;
    wg_operand x[WG_MAX_OPERANDS];
    char params[WG_PARAM_BYTES];
    if (pointwise_dtypes(op, in, nin, &compute, &result) != WG_OK) return NULL;
    if (wg__broadcast(op->name, (const wg_tensor *const *)in, nin, &g) != WG_OK) return NULL;
    g.strided = false;
    if (g.ndim > 1 && !all_row_major(in, nin)) follow_strides(in, nin, &g);
    bool exact = wg__takes_exact(op, in, nin, compute);
    if (exact) compute = WG_FLOAT32;
    wg_tensor *out = wg__tensor_new(exact ? compute : result, g.ndim, g.sizes, g.strided ? g.strides : NULL);
    if (!out) return NULL;
    wg__pack_params(attr, nattr, params);
    int made = 0;
    wg_status st = WG_OK;
    for (; made < nin && st == WG_OK; made++)
        st = exact && made == 0 ? rounded_operand(&x[0], in[0], result) : wg__operand(&x[made], in[made], compute);
    if (st == WG_OK) st = wg__run_pointwise(wg__kernel(op, compute), out, x, nin, compute, params);
    for (int i = 0; i < made; i++)
        if (x[i].temp) wg_release(x[i].temp);
    if (st == WG_OK && exact) st = round_result(&out, result);
    if (st == WG_OK) return out;
    if (st == WG_ERR_INTERRUPTED) wg__raise(st, op->name, "%s was interrupted", op->name);
    wg_release(out);
    return NULL;
}

/* Attributes of pointwise ops as the kernels read them: doubles and int64s in schema order, 8 bytes each. */
void wg__pack_params(const wg_value *attr, int nattr, char *params) {
    for (int i = 0; i < nattr && (i + 1) * 8 <= WG_PARAM_BYTES; i++) memcpy(params + (ptrdiff_t)i * 8, &attr[i].i, 8);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static int view_kind(const wg_op *op) {
    if (op->traits & WG_MULTI_VIEW) return VIEW_MULTI;
    return VIEW_NORMAL;
}

static wg_status make_views(const wg_call *c, const wg_geometry *g) {
    wg_tensor *t = c->in[0];
    for (int o = 0; o < c->nout; o++) {
        wg_tensor *a = wg__alias(t, g[o].ndim, g[o].sizes, g[o].strides, g[o].offset, false);
        if (a && !(c->op->traits & WG_OF_TEMPORARY) && wg__mark_view(a, t, view_kind(c->op)) != WG_OK) {
            wg_release(a);
            a = NULL;
        }
        if (!a) return WG_ERR_MEMORY;
        c->out[o] = a;
    }
    return WG_OK;
}

/* ---- structured ops ---------------------------------------------------------------------------------------------- */

static wg_status allocate(const wg_call *c, const wg_geometry *g) {
    for (int o = 0; o < c->nout; o++) {
        if (g[o].dtype == WG_DTYPE_NONE) continue; /* the shape rule says: no such output in this call */
        c->out[o] = wg__tensor_new(g[o].dtype, g[o].ndim, g[o].sizes, g[o].strided ? g[o].strides : NULL);
        if (!c->out[o]) return WG_ERR_MEMORY;
    }
    return WG_OK;
}

static wg_status run_structured(const wg_call *c) {
    const wg_op *op = c->op;
    wg_geometry one, *g = &one;
    if (c->nout > 1) {
        g = wg__malloc_array((size_t)c->nout, sizeof(*g));
        if (!g) return wg__no_memory(op->name, (size_t)c->nout * sizeof(*g));
    }
    for (int o = 0; o < c->nout; o++) {
        g[o].strided = false;
        g[o].offset = 0;
        g[o].ndim = 0;
        g[o].dtype = (wg_dtype)(c->in[0] ? c->in[0]->dtype : WG_FLOAT32);
    }
    wg_status st = op->shape(c, g);
    if (st == WG_OK) st = (op->traits & (WG_VIEW | WG_MULTI_VIEW)) ? make_views(c, g) : allocate(c, g);
    if (c->nout > 1) wg__free_array(g, (size_t)c->nout, sizeof(*g));
    if (st == WG_OK && op->run[WG_CPU]) st = op->run[WG_CPU](c);
    if (st == WG_ERR_INTERRUPTED)
        wg__raise(st, op->name, "%s was interrupted", op->name);
    else if (st == WG_ERR_MEMORY)
        wg__no_memory(op->name, 0);
    return st;
}

/* Inputs over memory of odd alignment are copied once, so that kernels may load whole elements. */
static wg_status align_inputs(const wg_op *op, wg_tensor *const *in, int nin, wg_tensor **aligned, bool *any) {
    *any = false;
    if (op->traits & (WG_VIEW | WG_MULTI_VIEW)) return WG_OK;
    for (int i = 0; i < nin; i++)
        if (in[i] && unaligned(in[i])) *any = true;
    if (!*any) return WG_OK;
    for (int i = 0; i < nin; i++) {
        aligned[i] = in[i] && unaligned(in[i]) ? wg__contiguous(in[i], (wg_dtype)in[i]->dtype) : wg_keep(in[i]);
        if (in[i] && !aligned[i]) {
            while (i-- > 0) wg_release(aligned[i]);
            return WG_ERR_MEMORY;
        }
    }
    return WG_OK;
}

static wg_status structured(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                            wg_tensor **out, int nout) {
    for (int o = 0; o < nout; o++) out[o] = NULL;
    wg_call c = {.op = op, .in = in, .nin = nin, .attr = attr, .nattr = nattr, .nout = nout, .out = out};
    wg_tensor *aligned[8];
    bool copied = false;
    wg_status st = nin <= 8 ? align_inputs(op, in, nin, aligned, &copied) : WG_OK;
    if (st == WG_OK) {
        if (copied) c.in = aligned;
        st = run_structured(&c);
        if (copied)
            for (int i = 0; i < nin; i++) wg_release(aligned[i]);
    }
    if (st == WG_OK) return WG_OK;
    for (int o = 0; o < nout; o++) {
        wg_release(out[o]);
        out[o] = NULL;
    }
    return st;
}

/* ---- the general way --------------------------------------------------------------------------------------------- */

static unsigned all_flags(wg_tensor *const *in, int nin) {
    unsigned flags = 0;
    for (int i = 0; i < nin; i++) flags |= in[i] ? in[i]->flags : 0;
    return flags;
}

/* Results in out[], owned by the caller, not yet in a scope. */
static wg_status compute(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                         wg_tensor **out, int nout) {
    if (op->traits & WG_POINTWISE) {
        out[0] = pointwise(op, in, nin, attr, nattr);
        return out[0] ? WG_OK : WG_ERR_RUNTIME;
    }
    if (!op->shape)
        return wg__raise(WG_ERR_TYPE, op->name, "%s is a composite and cannot be applied directly", op->name);
    return structured(op, in, nin, attr, nattr, out, nout);
}

wg_status wg__apply_n(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, wg_tensor **out,
                      int nout, void *site) {
    struct wg_tls *s = &wg__tls;
    wg_status st = check_inputs(op, in, nin);
    if (st != WG_OK) return poison_out(out, nout, st);
    unsigned flags = all_flags(in, nin);
    if (WG_UNLIKELY(flags & (TF_BATCHED | TF_DUAL))) {
        bool batched;
        int level = wg__top_level(in, nin, &batched);
        if (level && batched) return wg__apply_batched(op, in, nin, attr, nattr, out, nout, level, site);
        if (level) return wg__apply_dual(op, in, nin, attr, nattr, out, nout, level, site);
    }
    st = compute(op, in, nin, attr, nattr, out, nout);
    if (st != WG_OK) return poison_out(out, nout, st);
    if (wg__recording(s) && (flags & (TF_REQUIRES | TF_VIEW)) && wg__any_requires(op, in, nin)) {
        st = wg__record(op, in, nin, attr, nattr, out, nout, wg__site(s, site));
        if (st != WG_OK) {
            for (int o = 0; o < nout; o++) wg_release(out[o]);
            return poison_out(out, nout, st);
        }
    }
    for (int o = 0; o < nout; o++)
        if (out[o]) out[o] = wg__scope_push(out[o]);
    return WG_OK;
}

wg_tensor *wg__apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, void *site) {
    wg_tensor *out = NULL;
    wg__apply_n(op, in, nin, attr, nattr, &out, 1, site);
    return out ? out : WG_POISON;
}

/* ---- the short way ----------------------------------------------------------------------------------------------- */

/* One dtype, kind gives that dtype or bool, row-major, no transform: nothing to decide. */
static inline wg_kernel short_kernel(const wg_op *op, const wg_tensor *x) {
    if (x->dtype < WG_FLOAT16 && (op->kind == WG_K_FLT || op->kind == WG_K_NUM)) return NULL;
    return wg__kernel(op, (wg_dtype)x->dtype);
}

static inline wg_tensor *result_like(const wg_op *op, const wg_tensor *x) {
    return wg__tensor_like(x, op->kind == WG_K_FLAG ? WG_BOOL : (wg_dtype)x->dtype);
}

static inline wg_tensor *finish(const wg_op *op, wg_tensor *const *in, int nin, unsigned flags, wg_tensor *out,
                                void *site) {
    struct wg_tls *s = &wg__tls;
    if (wg__recording(s) && (flags & (TF_REQUIRES | TF_VIEW)) &&
        WG_UNLIKELY(wg__record_pointwise(op, in, nin, out, wg__site(s, site)) != WG_OK)) {
        wg_release(out);
        return WG_POISON;
    }
    return wg__scope_push(out);
}

wg_tensor *wg__unary(const wg_op *op, wg_tensor *x, void *site) {
    if (WG_UNLIKELY(!x || (x->flags & TF_SLOW) || !(x->flags & TF_CONTIG) || x->numel >= WG_GRAIN)) goto general;
    wg_kernel k = short_kernel(op, x);
    if (!k || unaligned(x)) goto general;
    wg_tensor *out = result_like(op, x);
    if (!out) return WG_POISON;
    char *p[2] = {out->data, x->data};
    ptrdiff_t stride[2] = {(ptrdiff_t)wg__itemsize(out), (ptrdiff_t)wg__itemsize(x)};
    k(p, stride, out->numel);
    return finish(op, &x, 1, x->flags, out, site);
general:
    return wg__apply(op, &x, 1, NULL, 0, site);
}

/* y is a number that does not change x's dtype. */
static inline bool plain_number(const wg_tensor *x, const wg_tensor *y) {
    if (!(y->flags & TF_NUMBER) || (x->flags & TF_NUMBER)) return false;
    return y->dtype != WG_BOOL && (wg__is_floating(x->dtype) || (y->dtype <= WG_INT64 && x->dtype != WG_BOOL));
}

wg_tensor *wg__binary(const wg_op *op, wg_tensor *x, wg_tensor *y, void *site) {
    if (WG_UNLIKELY(!x || !y)) goto general;
    unsigned flags = x->flags | y->flags;
    if (WG_UNLIKELY((flags & TF_SLOW) || !(x->flags & y->flags & TF_CONTIG) || x->numel >= WG_GRAIN)) goto general;
    wg_kernel k = short_kernel(op, x);
    wg_operand number;
    char *ydata = y->data;
    ptrdiff_t size = (ptrdiff_t)wg__itemsize(x), ystep = size;
    if (WG_UNLIKELY(!k || ((uintptr_t)x->data & (size_t)(size - 1)))) goto general;
    if (x->dtype == y->dtype && wg__same_sizes(x, y)) {
        if (WG_UNLIKELY((uintptr_t)ydata & (size_t)(size - 1))) goto general;
    } else if (plain_number(x, y) &&
               (size != 2 || !wg__takes_exact(op, (wg_tensor *[]){x, y}, 2, (wg_dtype)x->dtype))) {
        number_operand(&number, y, (wg_dtype)x->dtype);
        ydata = number.data;
        ystep = 0;
    } else {
        goto general;
    }
    wg_tensor *out = result_like(op, x);
    if (WG_UNLIKELY(!out)) return WG_POISON;
    if ((x->flags & TF_NUMBER) && (y->flags & TF_NUMBER)) out->flags |= TF_NUMBER;
    char *p[3] = {out->data, x->data, ydata};
    ptrdiff_t stride[3] = {(ptrdiff_t)wg__itemsize(out), size, ystep};
    k(p, stride, out->numel);
    wg_tensor *in[2] = {x, y};
    return finish(op, in, 2, flags, out, site);
general:;
    wg_tensor *both[2] = {x, y};
    return wg__apply(op, both, 2, NULL, 0, site);
}
