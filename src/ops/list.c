/* list.c - the registry: every family's table, look-up by name, and calls with boxed arguments, for bindings and tests.
 * An op that stands in its family's table is known everywhere; nothing else has to be told.
 */
#include <stdio.h>

#include "core/alloc.h"
#include "core/options.h"
#include "ops/schema.h"
#include "wengert/ops.h"

extern const wg_op *const wg__ops_elementwise[],
    *const wg__ops_reduce[], *const wg__ops_softmax[], *const wg__ops_sort[],
                                                           *const wg__ops_loss[],
                                                               *const wg__ops_view[],
                                                                   *const wg__ops_copy[],
                                                                       *const wg__ops_index[],
                                                                           *const wg__ops_matmul[],
                                                                               *const wg__ops_clamp[],
                                                                                   *const wg__ops_compare[],
                                                                                       *const wg__ops_shapes[];

const wg_op *const *const wg__families[] = {
    wg__ops_elementwise, wg__ops_clamp, wg__ops_reduce, wg__ops_softmax, wg__ops_sort,   wg__ops_loss, wg__ops_view,
    wg__ops_copy,        wg__ops_index, wg__ops_matmul, wg__ops_compare, wg__ops_shapes, NULL};

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

const wg_op *wg__op_at(int index) {
    for (const wg_op *const *const *f = wg__families; *f; f++)
        for (const wg_op *const *op = *f; *op; op++)
            if (index-- == 0) return *op;
    return NULL;
}

/* Is the word of that length one of the words in list, which has spaces between them? */
static bool among(const char *list, const char *w, size_t n) {
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        size_t m = strcspn(p, " ");
        if (m == n && memcmp(p, w, n) == 0) return true;
        p += m;
    }
    return false;
}
const wg_op *wg__op_find(const char *name) {
    for (int by_alias = 0; by_alias < 2; by_alias++)
        for (const wg_op *const *const *f = wg__families; *f; f++)
            for (const wg_op *const *op = *f; *op; op++)
                if (by_alias ? among((*op)->aliases, name, strlen(name)) : strcmp((*op)->name, name) == 0) return *op;
    return NULL;
}

int wg_op_count(void) {
    int n = 0;
    while (wg__op_at(n)) n++;
    return n;
}

bool wg__op_composite(const wg_op *op) { return !op->shape && !(op->traits & WG_POINTWISE); }

bool wg__op_differentiable(const wg_op *op) {
    if (op->traits & WG_NONDIFF) return false;
    if (wg__op_composite(op)) return op->formula[0] != NULL;
    if (!(op->traits & WG_POINTWISE)) return op->vjp != NULL;
    for (int i = 0; i < op->nin; i++)
        if (op->partial[i].kind != WG_P_NONE) return true;
    return false;
}

uint8_t wg__op_shown(const wg_op *op) {
    if (op->shown & (WG_FUNCTION | WG_METHOD | WG_NN | WG_HIDDEN)) return op->shown;
    const char *first = strchr(op->schema, '(');
    bool self = strncmp(first, "(Tensor self", 12) == 0 || strncmp(first, "(Tensor|Scalar self", 19) == 0;
    return op->shown | (self ? WG_FUNCTION | WG_METHOD : WG_FUNCTION);
}

wg_status wg_op_get(int index, wg_op_info *info) {
    const wg_op *op = index < 0 ? NULL : wg__op_at(index);
    if (!info || info->size < WG_FIRST_wg_op_info)
        return wg__raise(WG_ERR_VALUE, "op_get", "wg_op_info.size is not set");
    if (!op)
        return wg__raise(WG_ERR_INDEX, "op_get", "there is no op number %d; wg_op_count() = %d", index, wg_op_count());
    uint8_t shown = wg__op_shown(op);
    wg_op_info all = {.size = info->size,
                      .name = op->name,
                      .schema = op->schema,
                      .doc = op->doc,
                      .differentiable = wg__op_differentiable(op),
                      .pointwise = op->traits & WG_POINTWISE,
                      .is_view = op->traits & (WG_VIEW | WG_MULTI_VIEW),
                      .function = shown & WG_FUNCTION,
                      .method = shown & WG_METHOD,
                      .nn = shown & WG_NN,
                      .composite = op->boxed || op->boxed_list,
                      .has_inplace = shown & WG_INPLACE,
                      .aliases = op->aliases};
    for (int i = 0; i < 4; i++) all.formula[i] = op->formula[i];
    WG_FILL_STRUCT(info, &all);
    return WG_OK;
}

/* ---- boxed calls ------------------------------------------------------------------------------------------------- */

/* wg_arg is the public twin of wg_value: same layout, checked here. */
_Static_assert(sizeof(wg_arg) == sizeof(wg_value) && offsetof(wg_arg, v) == offsetof(wg_value, i), "boxed layout");
_Static_assert((int)WG_TAG_TENSORS == (int)WG_V_TENSORS && (int)WG_TAG_DTYPE == (int)WG_V_DTYPE, "boxed tags");

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* A call's arguments as the schema has them, and where an int made a list stands. */
typedef struct fitted {
    const wg_param *p;
    wg_param room[WG_MAX_PARAMS]; /* for p, if there is no memory to keep them */
    wg_value a[WG_MAX_PARAMS];
    int64_t one[WG_MAX_PARAMS];
    int n;
    int wrong; /* the argument that does not fit; n: there are too many; -1: they fit */
} fitted;

static bool fit(const wg_op *op, const wg_value *args, int nargs, fitted *f) {
    f->p = wg__schema_of(op, f->room, &f->n);
    f->wrong = -1;
    for (int i = f->n; i < nargs && f->wrong < 0; i++)
        if (args[i].tag != WG_V_NONE) f->wrong = f->n;
    for (int i = 0; i < f->n && f->wrong < 0; i++)
        if ((i >= nargs && !f->p[i].has_default) ||
            !wg__schema_fit(&f->p[i], i < nargs ? args[i] : WG_VAL_NONE, &f->a[i], &f->one[i]))
            f->wrong = i;
    return f->wrong < 0;
}

static wg_status refuse(const wg_op *op, const char *name, const wg_value *args, int nargs, const fitted *f) {
    int i = f->wrong;
    if (i == f->n)
        return wg__raise(WG_ERR_TYPE, op->name, "%s() takes %d positional argument%s but %d were given. Schema: %s",
                         name, f->n, f->n == 1 ? "" : "s", nargs, op->schema);
    const wg_param *p = &f->p[i];
    if (i >= nargs)
        return wg__raise(WG_ERR_TYPE, op->name, "%s() missing 1 required positional arguments: \"%.*s\". Schema: %s",
                         name, p->length, p->name, op->schema);
    return wg__raise(WG_ERR_TYPE, op->name, "%s(): argument '%.*s' (position %d) must be %s, not %s. Schema: %s", name,
                     p->length, p->name, i + 1, wg__schema_type_name(p), wg__schema_value_name(&args[i]), op->schema);
}

/* The fitted arguments of a primitive, sorted into tensors and attributes. */
typedef struct unboxed {
    wg_tensor **in;
    int nin, cap;
    wg_value attr[WG_MAX_PARAMS];
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
static wg_status unbox(const wg_op *op, const fitted *f, unboxed *u) {
    u->cap = 8;
    u->in = u->small;
    bool room = true;
    for (int i = 0; i < f->n && room; i++) {
        const wg_value *v = &f->a[i];
        if (f->p[i].type != WG_T_TENSOR)
            u->attr[u->nattr++] = *v;
        else if (!f->p[i].list)
            room = put(u, v->tag == WG_V_TENSOR ? v->t : NULL);
        else
            for (uint32_t k = 0; k < v->n && room; k++) room = put(u, v->ts[k]);
    }
    return room ? WG_OK : wg__no_memory(op->name, 0);
}
static void unbox_done(unboxed *u) {
    if (u->in != u->small) wg__mfree(u->in, (size_t)u->cap * sizeof(wg_tensor *));
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

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

static wg_status one_result(const wg_op *op, wg_tensor *r, wg_tensor **out, int *n) {
    out[0] = r;
    if (n) *n = 1;
    if (!wg_is_poison(r)) return WG_OK;
    return wg_error_pending() ? wg_last_status()
                              : wg__raise(WG_ERR_RUNTIME, op->name, "%s() was given poison", op->name);
}
static wg_status no_room(const wg_op *op, int max) {
    return wg__raise(WG_ERR_VALUE, op->name, "%s() gives 1 result; there is room for %d", op->name, max);
}

static wg_status call_fitted(const wg_op *op, const fitted *f, wg_tensor **out, int max, int *n, void *site) {
    if (op->boxed_list) return op->boxed_list(f->a, out, max, n ? n : &(int){0});
    if (op->boxed && max < 1) return no_room(op, max);
    if (op->boxed) return one_result(op, op->boxed(f->a), out, n);
    unboxed u = {0};
    wg_status st = unbox(op, f, &u);
    if (st == WG_OK) st = apply(op, u.in, u.nin, u.attr, u.nattr, out, max, n, site);
    unbox_done(&u);
    return st;
}

static bool is_written(const wg_op *op) { /* copy_, fill_, zero_: the op itself writes its first argument */
    size_t n = strlen(op->name);
    return n && op->name[n - 1] == '_';
}
static wg_status write_fitted(const wg_op *op, const fitted *f, wg_tensor **out, int max, int *n, void *site) {
    if (max < 1) return no_room(op, max);
    if (op->boxed_) return one_result(op, op->boxed_(f->a), out, n);
    unboxed u = {0};
    wg_tensor *r = WG_POISON;
    if (unbox(op, f, &u) == WG_OK) r = wg__apply_inplace(op, u.in, u.nin, u.attr, u.nattr, site);
    unbox_done(&u);
    return one_result(op, r, out, n);
}

/* Of a record. */
static wg_status call(const wg_op *op, bool in_place, const wg_value *args, int nargs, wg_tensor **out, int max, int *n,
                      void *site) {
    fitted f;
    if (n) *n = 0;
    if (!fit(op, args, nargs, &f)) return refuse(op, op->name, args, nargs, &f);
    bool writes = in_place ? (op->shown & WG_INPLACE) || is_written(op) : is_written(op);
    if (in_place && !writes) return wg__raise(WG_ERR_TYPE, op->name, "%s has no in-place form", op->name);
    return writes ? write_fitted(op, &f, out, max, n, site) : call_fitted(op, &f, out, max, n, site);
}

/* Is op one of those that name calls? "max" calls max, max.dim and max.other, "max.dim" only itself; parts have to be
 * named in full. */
static bool is_called(const wg_op *op, const char *name, size_t len) {
    if (op->name[0] != name[0] && !op->aliases) return false;
    size_t base = strcspn(op->name, ".");
    if (strlen(op->name) == len && memcmp(op->name, name, len) == 0) return true;
    if (op->shown & WG_HIDDEN) return false;
    return (base == len && memcmp(op->name, name, len) == 0) || among(op->aliases, name, len);
}
/* The first record of that name that the arguments fit; *seen counts those of the name, *last is the last of them. */
static const wg_op *choose(const char *name, size_t len, bool in_place, const wg_value *args, int nargs, fitted *f,
                           const wg_op **last, int *seen) {
    for (const wg_op *const *const *family = wg__families; *family; family++)
        for (const wg_op *const *op = *family; *op; op++) {
            if ((in_place && !((*op)->shown & WG_INPLACE)) || !is_called(*op, name, len)) continue;
            *last = *op;
            ++*seen;
            if (fit(*op, args, nargs, f)) return *op;
        }
    return NULL;
}

static wg_status none_fits(const char *name, size_t len, const wg_value *args, int nargs) {
    char text[1024];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s() received an invalid combination of arguments - got (", name);
    for (int i = 0; i < nargs && at < sizeof(text) - 64; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? ", " : "", wg__schema_value_name(&args[i]));
    at += (size_t)snprintf(text + at, sizeof(text) - at, "), but expected one of:");
    for (int i = 0; wg__op_at(i) && at < sizeof(text) - 1; i++)
        if (is_called(wg__op_at(i), name, len))
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %s;", wg__op_at(i)->schema);
    return wg__raise(WG_ERR_TYPE, name, "%s", text);
}

wg_status wg_call_op(const char *name, const wg_arg *args, int nargs, wg_tensor **out, int max, int *n) {
    WG_COMPOSITE;
    const wg_value *values = (const wg_value *)(const void *)args;
    const wg_op *last = NULL, *op = NULL;
    size_t len = name ? strlen(name) : 0;
    fitted f;
    int seen = 0;
    if (n) *n = 0;
    bool in_place = false;
    if (len) op = choose(name, len, false, values, nargs, &f, &last, &seen);
    if (!seen && len > 1 && name[len - 1] == '_') {
        in_place = true;
        op = choose(name, len - 1, true, values, nargs, &f, &last, &seen);
    }
    if (!seen) return wg__raise(WG_ERR_NOT_IMPLEMENTED, name, "there is no op named '%s'", name ? name : "");
    if (!op && seen == 1) return refuse(last, name, values, nargs, &f);
    if (!op) return none_fits(name, in_place ? len - 1 : len, values, nargs);
    return in_place || is_written(op) ? write_fitted(op, &f, out, max, n, WG_SITE)
                                      : call_fitted(op, &f, out, max, n, WG_SITE);
}

/* ---- ops looked up once ------------------------------------------------------------------------------------------ */

const wg_op *wg_op_find(const char *name) { return name ? wg__op_find(name) : NULL; }

wg_status wg_op_call(const wg_op *op, bool in_place, const wg_arg *args, int nargs, wg_tensor **out, int max, int *n) {
    WG_COMPOSITE;
    if (!op) return wg__raise(WG_ERR_TYPE, "op_call", "the op is NULL");
    return call(op, in_place, (const wg_value *)(const void *)args, nargs, out, max, n, WG_SITE);
}

/* A binding need not clear what a NONE holds; ops read it as 0 and False. */
static const wg_value *cleared(const wg_value *attr, int n, wg_value *room) {
    for (int i = 0; i < n; i++) room[i] = attr[i].tag == WG_V_NONE ? WG_VAL_NONE : attr[i];
    return room;
}
wg_status wg_op_apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_arg *attr, int nattr, wg_tensor **out,
                      int max, int *n) {
    if (!op || (!op->shape && !(op->traits & WG_POINTWISE)))
        return wg__raise(WG_ERR_TYPE, "op_apply", "op_apply takes a primitive op");
    wg_value room[WG_MAX_PARAMS];
    if (nattr < 0 || nattr > WG_MAX_PARAMS)
        return wg__raise(WG_ERR_TYPE, op->name, "op_apply: %d attributes; %d at most", nattr, WG_MAX_PARAMS);
    return apply(op, in, nin, cleared((const wg_value *)(const void *)attr, nattr, room), nattr, out, max, n, WG_SITE);
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
