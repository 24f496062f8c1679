/* list.c - the registry: every family's table, look-up by name, and calls with boxed arguments, for bindings and tests.
 * An op that stands in its family's table is known everywhere; nothing else has to be told.
 */
#include "core/alloc.h"
#include "core/op.h"
#include "wengert/ops.h"

extern const wg_op *const wg__ops_elementwise[], *const wg__ops_reduce[], *const wg__ops_softmax[],
    *const wg__ops_sort[], *const wg__ops_loss[], *const wg__ops_view[], *const wg__ops_copy[], *const wg__ops_index[],
    *const wg__ops_matmul[], *const wg__ops_clamp[];

const wg_op *const *const wg__families[] = {wg__ops_elementwise, wg__ops_clamp,  wg__ops_reduce, wg__ops_softmax,
                                            wg__ops_sort,        wg__ops_loss,   wg__ops_view,   wg__ops_copy,
                                            wg__ops_index,       wg__ops_matmul, NULL};

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

const wg_op *wg__op_at(int index) {
    for (const wg_op *const *const *f = wg__families; *f; f++)
        for (const wg_op *const *op = *f; *op; op++)
            if (index-- == 0) return *op;
    return NULL;
}

const wg_op *wg__op_find(const char *name) {
    for (const wg_op *const *const *f = wg__families; *f; f++)
        for (const wg_op *const *op = *f; *op; op++)
            if (strcmp((*op)->name, name) == 0) return *op;
    return NULL;
}

int wg_op_count(void) {
    int n = 0;
    while (wg__op_at(n)) n++;
    return n;
}

bool wg__op_differentiable(const wg_op *op) {
    if (op->traits & WG_NONDIFF) return false;
    if (op->boxed) return op->formula[0] != NULL;
    if (!(op->traits & WG_POINTWISE)) return op->vjp != NULL;
    for (int i = 0; i < op->nin; i++)
        if (op->partial[i].kind != WG_P_NONE) return true;
    return false;
}

wg_status wg_op_get(int index, wg_op_info *info) {
    const wg_op *op = index < 0 ? NULL : wg__op_at(index);
    if (!info || info->size < sizeof(*info)) return wg__raise(WG_ERR_VALUE, "op_get", "wg_op_info.size is not set");
    if (!op) return wg__raise(WG_ERR_INDEX, "op_get", "there is no op number %d; wg_op_count() = %d", index, wg_op_count());
    *info = (wg_op_info){.size = info->size, .name = op->name, .schema = op->schema, .doc = op->doc,
                         .differentiable = wg__op_differentiable(op), .pointwise = op->traits & WG_POINTWISE,
                         .is_view = op->traits & (WG_VIEW | WG_MULTI_VIEW)};
    for (int i = 0; i < 4; i++) info->formula[i] = op->formula[i];
    return WG_OK;
}

/* ---- boxed calls --------------------------------------------------------------------------------------------------- */

/* wg_arg is the public twin of wg_value: same layout, checked here. */
_Static_assert(sizeof(wg_arg) == sizeof(wg_value) && offsetof(wg_arg, v) == offsetof(wg_value, i), "boxed layout");
_Static_assert((int)WG_TAG_TENSORS == (int)WG_V_TENSORS && (int)WG_TAG_DTYPE == (int)WG_V_DTYPE, "boxed tags");

/* The schema's arguments: walks "type name[=default]" items between the parentheses, calling them out as tensor, list
 * of tensors, or other. Returns the number of arguments. */
enum { ARG_OTHER, ARG_TENSOR, ARG_TENSORS };
#define MAX_ARGS 16
static int schema_args(const char *schema, uint8_t *kinds) {
    const char *p = strchr(schema, '(');
    int n = 0;
    for (p = p ? p + 1 : ""; *p && *p != ')' && n < MAX_ARGS;) {
        while (*p == ' ' || *p == ',') p++;
        if (*p == '*') {
            p++;
            continue;
        }
        if (*p == ')') break;
        kinds[n] = strncmp(p, "Tensor", 6) ? ARG_OTHER : ARG_TENSOR;
        if (kinds[n] == ARG_TENSOR) {
            const char *q = p + 6;
            int depth = 0;
            if (*q == '(') q = strchr(q, ')') + 1;
            if (*q == '?') q++;
            if (*q == '[') kinds[n] = ARG_TENSORS;
            (void)depth;
        }
        n++;
        int depth = 0;
        for (; *p && (depth || (*p != ',' && *p != ')')); p++) depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
    }
    return n;
}

typedef struct unboxed {
    wg_tensor **in;
    int nin, cap;
    wg_value attr[MAX_ARGS];
    int nattr;
    wg_tensor *small[8];
} unboxed;

static bool put(unboxed *u, wg_tensor *t) {
    if (u->nin == u->cap) {
        wg_tensor **bigger = wg__malloc((size_t)u->cap * 2 * sizeof(*bigger));
        if (!bigger) return false;
        memcpy(bigger, u->in, (size_t)u->nin * sizeof(*bigger));
        if (u->in != u->small) wg__mfree(u->in, (size_t)u->cap * sizeof(*bigger));
        u->in = bigger;
        u->cap *= 2;
    }
    u->in[u->nin++] = t;
    return true;
}

static wg_status unbox(const wg_op *op, const wg_value *args, int nargs, unboxed *u) {
    uint8_t kinds[MAX_ARGS];
    int n = schema_args(op->schema, kinds);
    if (nargs > n)
        return wg__raise(WG_ERR_TYPE, op->name, "%s() takes %d positional arguments but %d were given. Schema: %s", op->name,
                         n, nargs, op->schema);
    for (int i = 0; i < n; i++) {
        wg_value v = i < nargs ? args[i] : WG_VAL_NONE;
        if (kinds[i] == ARG_OTHER) {
            if (v.tag == WG_V_TENSOR || v.tag == WG_V_TENSORS) goto type;
            u->attr[u->nattr++] = v;
        } else if (kinds[i] == ARG_TENSOR) {
            if (v.tag != WG_V_TENSOR && v.tag != WG_V_NONE) goto type;
            if (!put(u, v.tag == WG_V_TENSOR ? v.t : NULL)) return wg__no_memory(op->name, 0);
        } else {
            if (v.tag != WG_V_TENSORS) goto type;
            for (uint32_t k = 0; k < v.n; k++)
                if (!put(u, v.ts[k])) return wg__no_memory(op->name, 0);
        }
        continue;
    type:
        return wg__raise(WG_ERR_TYPE, op->name, "%s(): argument %d has the wrong type. Schema: %s", op->name, i + 1,
                         op->schema);
    }
    return WG_OK;
}

/* Arguments past a composite's given ones read as "not given". */
static wg_status call_composite(const wg_op *op, const wg_value *args, int nargs, wg_tensor **out, int max, int *n) {
    wg_value all[MAX_ARGS];
    if (nargs > MAX_ARGS) return wg__raise(WG_ERR_TYPE, op->name, "%s(): too many arguments", op->name);
    for (int i = 0; i < MAX_ARGS; i++) all[i] = i < nargs ? args[i] : WG_VAL_NONE;
    return op->boxed(all, MAX_ARGS, out, max, n);
}

/* "mul_" is mul written into its first argument; the records of copy_, fill_ and zero_ have that name themselves. NULL
 * when name is no in-place form. */
static const wg_op *in_place_form(const char *name) {
    size_t len = name ? strlen(name) : 0;
    char base[64];
    if (len < 2 || len >= sizeof(base) || name[len - 1] != '_' || name[len - 2] == '_') return NULL;
    const wg_op *op = wg__op_find(name);
    if (op) return op;
    memcpy(base, name, len - 1);
    base[len - 1] = 0;
    op = wg__op_find(base);
    bool fits = op && op->nout == 1 && !(op->traits & (WG_VIEW | WG_MULTI_VIEW)) && op->kind != WG_K_FLAG;
    bool writes = fits && ((op->traits & WG_POINTWISE) || strcmp(base, "clamp") == 0 || strcmp(base, "masked_fill") == 0 ||
                           strncmp(base, "index_", 6) == 0 || strcmp(base, "scatter_add") == 0);
    return writes && strcmp(base, "index_select") ? op : NULL;
}

/* The forms whose public function does more than write the op's result; NULL for the others. */
static wg_tensor *write_by_function(const wg_op *op, const wg_value *a, int nargs) {
    wg_tensor *t[3] = {NULL};
    for (int i = 0; i < 3 && i < nargs; i++) t[i] = a[i].tag == WG_V_TENSOR ? a[i].t : NULL;
    if (strcmp(op->name, "clamp") == 0) return wg_clamp_(t[0], t[1], t[2]);
    if (strcmp(op->name, "copy_") == 0) return wg_copy_(t[0], t[1]);
    if (strcmp(op->name, "fill_") == 0) return wg_fill_(t[0], t[1]);
    if (strcmp(op->name, "masked_fill") == 0) return wg_masked_fill_(t[0], t[1], t[2]);
    if (op->boxed) return wg__fail(WG_ERR_NOT_IMPLEMENTED, op->name, "%s_ has no boxed form", op->name);
    return NULL;
}

static wg_status call_in_place(const wg_op *op, const wg_value *args, int nargs, wg_tensor **out, int max, int *n,
                               void *site) {
    unboxed u = {.cap = 8};
    u.in = u.small;
    if (max < 1) return wg__raise(WG_ERR_VALUE, op->name, "%s() gives 1 result; there is room for %d", op->name, max);
    wg_tensor *written = write_by_function(op, args, nargs);
    if (!written)
        written = unbox(op, args, nargs, &u) != WG_OK ? WG_POISON
                                                      : wg__apply_inplace(op, u.in, u.nin, u.attr, u.nattr, site);
    if (u.in != u.small) wg__mfree(u.in, (size_t)u.cap * sizeof(wg_tensor *));
    out[0] = written;
    if (n) *n = 1;
    return wg_is_poison(written) ? (wg_error_pending() ? wg_last_status() : WG_ERR_RUNTIME) : WG_OK;
}

/* How many results a call gives; -1: raised. */
static int results(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int max) {
    int nout = op->count_out ? op->count_out(in, nin, attr) : op->nout;
    if (nout <= max) return nout;
    wg__raise(WG_ERR_VALUE, op->name, "%s() gives %d results; there is room for %d", op->name, nout, max);
    return -1;
}

static wg_status apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, wg_tensor **out,
                       int max, int *n, void *site) {
    int nout = results(op, in, nin, attr, max);
    if (nout < 0) return wg_error_pending() ? wg_last_status() : WG_ERR_RUNTIME;
    if (n) *n = nout;
    return wg__apply_n(op, in, nin, attr, nattr, out, nout, site);
}

static wg_status call(const wg_op *op, const wg_value *args, int nargs, wg_tensor **out, int max, int *n, void *site) {
    if (n) *n = 0;
    if (op->boxed) {
        int made = 0;
        wg_status st = call_composite(op, args, nargs, out, max, &made);
        if (n) *n = made;
        return st;
    }
    unboxed u = {.cap = 8};
    u.in = u.small;
    wg_status st = unbox(op, args, nargs, &u);
    if (st == WG_OK) st = apply(op, u.in, u.nin, u.attr, u.nattr, out, max, n, site);
    if (u.in != u.small) wg__mfree(u.in, (size_t)u.cap * sizeof(wg_tensor *));
    return st;
}

wg_status wg_call_op(const char *name, const wg_arg *args, int nargs, wg_tensor **out, int max, int *n) {
    const wg_value *values = (const wg_value *)(const void *)args;
    const wg_op *write = in_place_form(name), *op = name && !write ? wg__op_find(name) : NULL;
    if (n) *n = 0;
    if (write) return call_in_place(write, values, nargs, out, max, n, WG_SITE);
    if (!op) return wg__raise(WG_ERR_NOT_IMPLEMENTED, name, "there is no op named '%s'", name ? name : "");
    return call(op, values, nargs, out, max, n, WG_SITE);
}

/* ---- ops looked up once -------------------------------------------------------------------------------------------- */

const wg_op *wg_op_find(const char *name) { return name ? wg__op_find(name) : NULL; }

wg_status wg_op_call(const wg_op *op, bool in_place, const wg_arg *args, int nargs, wg_tensor **out, int max, int *n) {
    const wg_value *values = (const wg_value *)(const void *)args;
    if (!op) return wg__raise(WG_ERR_TYPE, "op_call", "the op is NULL");
    return in_place ? call_in_place(op, values, nargs, out, max, n, WG_SITE) : call(op, values, nargs, out, max, n, WG_SITE);
}

wg_status wg_op_apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_arg *attr, int nattr, wg_tensor **out,
                      int max, int *n) {
    if (!op || (!op->shape && !(op->traits & WG_POINTWISE))) return wg__raise(WG_ERR_TYPE, "op_apply", "op_apply takes a primitive op");
    return apply(op, in, nin, (const wg_value *)(const void *)attr, nattr, out, max, n, WG_SITE);
}

static bool pointwise_of(const wg_op *op, int nin) { return op && (op->traits & WG_POINTWISE) && op->nin == nin; }
static wg_tensor *not_pointwise(int nin) {
    return wg__fail(WG_ERR_TYPE, "op", "the op is not elementwise with %d input%s", nin, nin == 1 ? "" : "s");
}
wg_tensor *wg_op_unary(const wg_op *op, wg_tensor *x) {
    return WG_LIKELY(pointwise_of(op, 1)) ? wg__unary(op, x, WG_SITE) : not_pointwise(1);
}
wg_tensor *wg_op_binary(const wg_op *op, wg_tensor *x, wg_tensor *y) {
    return WG_LIKELY(pointwise_of(op, 2)) ? wg__binary(op, x, y, WG_SITE) : not_pointwise(2);
}
wg_tensor *wg_op_binary_(const wg_op *op, wg_tensor *x, wg_tensor *y) {
    wg_tensor *in[2] = {x, y};
    return WG_LIKELY(pointwise_of(op, 2)) ? wg__apply_inplace(op, in, 2, NULL, 0, WG_SITE) : not_pointwise(2);
}
