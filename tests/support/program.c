/* program.c - drawing, listing, comparing. See program.h.
 */
#include "support/program.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/naive.h"

/* ---- listing ----------------------------------------------------------------------------------------------------- */

static void add_text(program *p, const char *format, va_list list) {
    if (p->written >= LISTING - 2) return;
    int n = vsnprintf(p->listing + p->written, LISTING - p->written - 1, format, list);
    p->written += n < 0 ? 0 : (size_t)n;
    if (p->written > LISTING - 2) p->written = LISTING - 2;
}
void say(program *p, const char *format, ...) {
    va_list list;
    va_start(list, format);
    add_text(p, format, list);
    va_end(list);
}
void differ(program *p, const char *format, ...) {
    va_list list;
    if (p->failed) return;
    p->failed = true;
    say(p, "  DIFFERS: ");
    va_start(list, format);
    add_text(p, format, list);
    va_end(list);
    fprintf(stderr, "program %llu (replay: WG_SEED=%llu)\n%s\n", (unsigned long long)p->seed,
            (unsigned long long)p->seed, p->listing);
}
static const char *shape_text(const nt *m) {
    static char text[4][256];
    static int turn;
    char *t = text[turn++ & 3], *at = t;
    at += sprintf(at, "%s [", wg_dtype_name(m->dtype));
    for (int i = 0; i < m->ndim; i++) at += sprintf(at, i ? ", %lld" : "%lld", (long long)m->sizes[i]);
    at += sprintf(at, "] strides (");
    for (int i = 0; i < m->ndim; i++) at += sprintf(at, i ? ", %lld" : "%lld", (long long)m->strides[i]);
    sprintf(at, ")%s", nt_requires(m) ? " requires grad" : "");
    return t;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static uint64_t bits(program *p) {
    uint64_t z = p->stream += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
int64_t below(program *p, int64_t n) { return (int64_t)(bits(p) % (uint64_t)n); }
int64_t between(program *p, int64_t least, int64_t most) { return least + below(p, most - least + 1); }
bool chance(program *p, int one_in) { return below(p, one_in) == 0; }
double uniform(program *p, double lo, double hi) { return lo + (hi - lo) * (double)(bits(p) >> 11) * 0x1p-53; }

wg_dtype any_dtype(program *p) {
    static const wg_dtype likely[] = {WG_FLOAT32, WG_FLOAT64, WG_FLOAT32, WG_INT64};
    if (p->gradients) return WG_FLOAT64;
    return chance(p, 2) ? likely[below(p, 4)] : (wg_dtype)below(p, WG_FLOAT64 + 1);
}
int any_shape(program *p, int64_t *sizes) {
    static const int dims[] = {0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5};
    static const int64_t small[] = {1, 1, 2, 2, 3, 3, 4, 5};
    int ndim = dims[below(p, 13)];
    int64_t n = 1, room = p->large ? 1500 : 100;
    for (int i = 0; i < ndim; i++) {
        sizes[i] = chance(p, 25) ? 0 : p->large && ndim < 3 ? between(p, 1, 70) : small[below(p, 8)];
        if (n * sizes[i] > room) sizes[i] = 1;
        n *= sizes[i] ? sizes[i] : 1;
    }
    return ndim;
}
int64_t any_dim(program *p, int ndim) {
    if (chance(p, 20)) return between(p, -ndim - 2, ndim + 1);
    return ndim ? between(p, -ndim, ndim - 1) : between(p, -1, 0);
}
int mate_shape(program *p, const nt *t, int64_t *sizes) {
    int skip = t->ndim && chance(p, 3) ? (int)below(p, t->ndim + 1) : 0, ndim = 0;
    if (skip == 0 && t->ndim < 5 && nt_numel(t) < 30 && chance(p, 6)) sizes[ndim++] = between(p, 1, 3);
    for (int i = skip; i < t->ndim; i++) {
        sizes[ndim] = chance(p, 5) ? 1 : t->sizes[i];
        if (t->sizes[i] == 1 && nt_numel(t) < 30 && chance(p, 3)) sizes[ndim] = between(p, 1, 3);
        if (chance(p, 60)) sizes[ndim]++;
        ndim++;
    }
    return ndim;
}

/* ---- new tensors ------------------------------------------------------------------------------------------------- */

static double whole_number(program *p, wg_dtype d) {
    static const double ends[] = {-0x1p63, 0x1p62, -0x1p31, 0x1p31 - 1, -32768, 32767, -128, 127, 255};
    if (d == WG_BOOL) return (double)below(p, 2);
    if (chance(p, 25)) return ends[below(p, 9)];
    return (double)between(p, -5, 5);
}
static double special(program *p, wg_dtype d) {
    const double v[] = {NAN,     INFINITY, -INFINITY, 0,    -0.0,   nt_greatest(d), -nt_greatest(d),
                        0x1p-24, 0x1p-149, 0x1p-1074, 1e10, 0x1p31, -0x1p63};
    return v[below(p, 13)];
}
static cell draw(program *p, wg_dtype d, bool specials, double lo) {
    if (!nt_floating(d)) return nt_cell(d, whole_number(p, d));
    if (p->gradients) return (cell){.v = uniform(p, lo, 2), .t = 0};
    if (specials && chance(p, 4)) return nt_cell(d, special(p, d));
    return nt_cell(d, chance(p, 3) ? (double)between(p, -4, 4) : uniform(p, -4, 4));
}

static void name_it(program *p, item *x) { snprintf(x->name, sizeof x->name, "t%d", p->names++); }

/* Row-major, the same elements in both. */
static item make(program *p, nt *m) {
    item x = {.model = m};
    int64_t n = nt_numel(m);
    char *data = nt_alloc((size_t)n * 8 + 8);
    for (int64_t f = 0; f < n; f++) {
        cell c = nt_get(m, f);
        if (nt_floating(m->dtype))
            naive_set(m->dtype, data, f, c.v);
        else
            naive_set_i(m->dtype, data, f, c.i);
    }
    x.lib = wg_from_data(data, m->dtype, m->ndim, m->sizes, NULL);
    name_it(p, &x);
    return x;
}

static void want_gradient(program *p, item *x) {
    if (!p->gradients || x->model->dtype != WG_FLOAT64 || p->nleaves == LEAVES || chance(p, 3)) return;
    int64_t n = x->model->memory->n;
    x->model->root->requires_grad = true;
    for (int64_t k = 0; k < n; k++) x->model->tangents[k] = uniform(p, -1, 1);
    if (wg_is_poison(wg_set_requires_grad(x->lib, true))) differ(p, "requires_grad: %s", wg_last_message());
    leaf *l = &p->leaves[p->nleaves++];
    *l = (leaf){x->lib, x->model, nt_alloc((size_t)n * 8 + 8)};
    memcpy(l->direction, x->model->tangents, (size_t)n * 8);
}

/* Strides in any order of dims, with gaps. */
static int64_t any_strides(program *p, int ndim, const int64_t *sizes, int64_t *strides) {
    int order[NT_DIMS];
    int64_t at = 1;
    for (int i = 0; i < ndim; i++) order[i] = i;
    for (int i = ndim - 1; i > 0; i--) {
        int j = (int)below(p, i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (int i = 0; i < ndim; i++) {
        strides[order[i]] = at;
        at = (at * (sizes[order[i]] ? sizes[order[i]] : 1)) + (chance(p, 3) ? between(p, 1, 2) : 0);
    }
    return at;
}

static nt *random_elements(program *p, wg_dtype d, int ndim, const int64_t *sizes) {
    nt *m = nt_new(d, ndim, sizes);
    bool specials = chance(p, 4);
    double lo = chance(p, 2) ? 0.2 : -2;
    for (int64_t f = nt_numel(m); f-- > 0;) nt_put(m, f, draw(p, d, specials, lo));
    return m;
}

item fresh(program *p, wg_dtype d, int ndim, const int64_t *sizes) {
    int64_t strides[NT_DIMS], offset = below(p, 3);
    if (!chance(p, 4)) {
        item x = make(p, random_elements(p, d, ndim, sizes));
        want_gradient(p, &x);
        say(p, "  %s = new(%s)\n", x.name, shape_text(x.model));
        return x;
    }
    int64_t room = any_strides(p, ndim, sizes, strides) + offset;
    item base = make(p, random_elements(p, d, 1, &room)), x;
    want_gradient(p, &base);
    bool before = wg_set_grad_enabled(true); /* a view made under no_grad is good for little */
    x.lib = wg_as_strided(base.lib, ndim, sizes, strides, offset);
    wg_set_grad_enabled(before);
    nt_as_strided(base.model, ndim, sizes, strides, offset, &x.model);
    name_it(p, &x);
    say(p, "  %s = as_strided(%s = new(%s)) offset %lld: %s\n", x.name, base.name, shape_text(base.model),
        (long long)offset, shape_text(x.model));
    return x;
}
item fresh_mask(program *p, int ndim, const int64_t *sizes) {
    nt *m = nt_new(WG_BOOL, ndim, sizes);
    for (int64_t f = nt_numel(m); f-- > 0;) nt_put(m, f, (cell){.i = below(p, 2)});
    item x = make(p, m);
    say(p, "  %s = mask(%s)\n", x.name, shape_text(m));
    return x;
}
item fresh_index(program *p, wg_dtype d, int ndim, const int64_t *sizes, int64_t least, int64_t most) {
    nt *m = nt_new(d, ndim, sizes);
    bool wild = chance(p, 15);
    for (int64_t f = nt_numel(m); f-- > 0;)
        nt_put(
            m, f,
            nt_cell(d, (double)(most < least || (wild && chance(p, 4)) ? between(p, -6, 6) : between(p, least, most))));
    item x = make(p, m);
    say(p, "  %s = index(%s)\n", x.name, shape_text(m));
    return x;
}
item number(program *p, wg_dtype kind) {
    item x;
    if (kind == WG_FLOAT64) {
        double v = p->gradients ? uniform(p, 0.3, 2) : (double)between(p, -8, 8) / 4;
        x = (item){wg_s(v), nt_number(WG_FLOAT64, v), ""};
        snprintf(x.name, sizeof x.name, "%g", v);
        return x;
    }
    int64_t v = kind == WG_BOOL ? below(p, 2) : between(p, -3, 3);
    x = (item){kind == WG_BOOL ? wg_b(v != 0) : wg_i(v), nt_number(kind, (double)v), ""};
    snprintf(x.name, sizeof x.name, kind == WG_BOOL ? "bool %lld" : "%lld", (long long)v);
    return x;
}

item *any_item(program *p) {
    if (p->n == 0) {
        int64_t sizes[NT_DIMS];
        int ndim = any_shape(p, sizes);
        p->pool[p->n++] = fresh(p, any_dtype(p), ndim, sizes);
    }
    return &p->pool[chance(p, 2) ? p->n - 1 - below(p, p->n < 3 ? p->n : 3) : below(p, p->n)];
}
item partner(program *p, const nt *t) {
    static const wg_dtype kinds[] = {WG_FLOAT64, WG_INT64, WG_FLOAT64, WG_INT64, WG_BOOL};
    int64_t sizes[NT_DIMS];
    int way = (int)below(p, 10);
    if (way < 2) return number(p, p->gradients ? WG_FLOAT64 : kinds[below(p, 5)]);
    for (int k = 0; way < 6 && k < 6; k++) { /* one that fits, mostly */
        item *x = any_item(p);
        nt *both[2] = {(nt *)(uintptr_t)t, x->model};
        int ndim;
        if (nt_broadcast(both, 2, &ndim, sizes) == 0 || chance(p, 25)) return *x;
    }
    int ndim = mate_shape(p, t, sizes);
    return fresh(p, p->gradients || chance(p, 2) ? t->dtype : any_dtype(p), ndim, sizes);
}

static bool is_leaf_of(const program *p, const wg_tensor *t) {
    for (int k = 0; k < p->nleaves; k++)
        if (p->leaves[k].lib == t) return true;
    return false;
}
void drop(program *p, int at) {
    wg_tensor *t = p->pool[at].lib;
    say(p, "  drop %s\n", p->pool[at].name);
    if (!is_leaf_of(p, t)) wg_release(wg_take(t));
    memmove(&p->pool[at], &p->pool[at + 1], (size_t)(p->n - at - 1) * sizeof *p->pool);
    p->n--;
}
static void keep(program *p, wg_tensor *r, nt *m) {
    for (int k = 0; k < p->n; k++)
        if (p->pool[k].lib == r) return; /* the very tensor: contiguous of what is */
    if (p->n == POOL) drop(p, (int)below(p, POOL));
    item x = {.lib = r, .model = m};
    name_it(p, &x);
    say(p, "    %s: %s\n", x.name, shape_text(m));
    p->pool[p->n++] = x;
}

/* ---- after a call ------------------------------------------------------------------------------------------------ */

bool settle_status(program *p, unsigned wrong, wg_status st) {
    p->steps++;
    if (st == WG_OK) {
        if (wg_error_pending()) differ(p, "succeeded, but left an error: %s", wg_last_message());
        if (wrong) differ(p, "succeeded, but must fail (statuses %#x)", wrong);
        return !wrong && !p->failed;
    }
    p->refused++;
    bool known = wg_error_pending();
    wg_status last = wg_last_status();
    char text[512];
    snprintf(text, sizeof text, "%s: %s", wg_status_name(last), wg_last_message());
    say(p, "    refused: %s\n", text);
    if (!known || last == WG_OK)
        differ(p, "failed without an error");
    else if (!wrong)
        differ(p, "failed: %s", text);
    else if (!(wrong >> last & 1))
        differ(p, "failed with another status than of the set %#x: %s", wrong, text);
    return false;
}
bool settle(program *p, unsigned wrong, wg_tensor *r) {
    return settle_status(p, wrong, wg_is_poison(r) ? WG_ERR_RUNTIME : WG_OK);
}

static bool close_enough(double a, const cell *c, wg_dtype d) {
    if (naive_same(a, c->v)) return true;
    if (c->slack == 0) return false;
    if (a == c->v || isinf(c->slack) || fabs(a - c->v) <= c->slack) return true;
    double edge = nt_greatest(d) * 0.99; /* one rounds to inf, the other just not */
    return fabs(a) >= edge && fabs(c->v) >= edge && signbit(a) == signbit(c->v);
}
static bool same_geometry(program *p, const char *what, wg_tensor *r, const nt *m) {
    bool same = wg_ndim(r) == m->ndim && wg_dtype_of(r) == m->dtype;
    for (int i = 0; i < m->ndim && same; i++) same = wg_size(r, i) == m->sizes[i];
    if (same) return true;
    char text[256], *at = text;
    for (int i = 0; i < wg_ndim(r); i++) at += sprintf(at, " %lld", (long long)wg_size(r, i));
    *at = 0;
    differ(p, "%s: expected %s, the library has %s of sizes%s", what, shape_text(m), wg_dtype_name(wg_dtype_of(r)),
           text);
    return false;
}

/* Reads r's memory by its own strides: nothing of the library's copying has a part in it. */
void compare(program *p, const char *what, wg_tensor *r, nt *m) {
    if (p->failed || !same_geometry(p, what, r, m)) return;
    int64_t n = nt_numel(m);
    nt lib = *m;
    memcpy(lib.strides, wg_strides(r), (size_t)m->ndim * 8);
    lib.offset = 0;
    for (int64_t f = 0; f < n && !p->failed; f++) {
        int64_t at = nt_place(&lib, f);
        cell c = nt_get(m, f);
        if (nt_floating(m->dtype)) {
            double v = naive_get(m->dtype, wg_const_data(r), at);
            if (!close_enough(v, &c, m->dtype))
                differ(p, "%s: element %lld is %.17g, expected %.17g (within %g)", what, (long long)f, v, c.v, c.slack);
            c.v = v;
            c.slack = 0;
            nt_put(m, f, c);
        } else {
            int64_t v = naive_get_i(m->dtype, wg_const_data(r), at);
            if (v != c.i)
                differ(p, "%s: element %lld is %lld, expected %lld", what, (long long)f, (long long)v, (long long)c.i);
        }
    }
    if (wg_requires_grad(r) != nt_requires(m)) differ(p, "%s: requires_grad is %d", what, wg_requires_grad(r));
}

/* New memory may lie in any order of dims, but without gaps; the interpreter's is laid so too. */
static void lay_as(program *p, wg_tensor *r, nt *m) {
    nt *copy = nt_copy(m);
    int64_t n = nt_numel(m);
    if (!same_geometry(p, "the result", r, m) || n == 0) return;
    for (int i = 0; i < m->ndim; i++)
        if (m->sizes[i] > 1)
            m->strides[i] = wg_stride(r, i);
        else
            m->strides[i] = wg_stride(r, i);
    if (!nt_dense(m)) {
        differ(p, "a new tensor has gaps: %s", shape_text(m));
        return;
    }
    if (wg_storage_offset(r) != 0) differ(p, "a new tensor begins at %lld", (long long)wg_storage_offset(r));
    for (int64_t f = 0; f < n; f++) nt_put(m, f, nt_get(copy, f));
}

static bool history(program *p, nt *m, nt *const *in, int nin) {
    bool any = false;
    for (int k = 0; k < nin; k++) any |= in[k] && nt_requires(in[k]);
    any &= p->recording && nt_floating(m->dtype);
    for (int k = 0; k < nin && any; k++)
        if (in[k]) in[k]->memory->in_graph = in[k]->memory->read = true;
    if (any) m->memory->in_graph = true;
    return any;
}

bool tame(const program *p, const nt *m) {
    if (!p->gradients || m->dtype != WG_FLOAT64) return true;
    for (int64_t f = nt_numel(m); f-- > 0;) {
        cell c = nt_get(m, f);
        if (!(fabs(c.v) < 30) || !(fabs(c.t) < 1e3)) return false;
    }
    return true;
}

void take_result(program *p, wg_tensor *r, nt *m, nt *const *in, int nin, bool smooth) {
    if (p->failed) return;
    bool recorded = history(p, m, in, nin);
    m->root->requires_grad = recorded;
    m->root->leaf = !recorded;
    if (!recorded) memset(m->tangents, 0, (size_t)m->memory->n * 8);
    lay_as(p, r, m);
    compare(p, "the result", r, m);
    bool barred = wg_is_view(r) && !p->recording && p->gradients; /* matmul may end with a view */
    if (!p->failed && tame(p, m) && (smooth || !recorded) && nt_numel(m) <= 3000 && !barred) keep(p, r, m);
}

void take_view(program *p, wg_tensor *r, nt *m, const item *of) {
    if (p->failed || !same_geometry(p, "the view", r, m)) return;
    if (nt_numel(m) > 0) {
        for (int i = 0; i < m->ndim; i++)
            if (m->sizes[i] > 1 && wg_stride(r, i) != m->strides[i])
                differ(p, "stride of dim %d is %lld, expected %lld", i, (long long)wg_stride(r, i),
                       (long long)m->strides[i]);
        if (wg_storage_offset(r) != m->offset)
            differ(p, "begins at %lld, expected %lld", (long long)wg_storage_offset(r), (long long)m->offset);
    } else {
        m->offset = wg_storage_offset(r);
    }
    for (int i = 0; i < m->ndim; i++) m->strides[i] = wg_stride(r, i); /* of sizes 0 and 1: the library's choice */
    if (!wg_same_storage(r, of->lib)) differ(p, "the view has another storage");
    if (nt_requires(m) && p->recording) m->memory->in_graph = true;
    if (!p->recording && p->gradients) return; /* PyTorch forbids most of what one could do with it */
    compare(p, "the view", r, m);
    if (!p->failed) keep(p, r, m);
}

void take_write(program *p, const item *target, const nt *r, nt *const *in, int nin) {
    nt *t = target->model;
    if (t->memory->in_graph) p->stale = true;
    if (t->memory->read) t->memory->stale = true;
    nt_write(t, r, p->recording);
    if (history(p, t, in, nin) || (p->recording && nt_requires(t))) {
        t->root->requires_grad = true;
        t->root->leaf = false;
        t->memory->in_graph = true;
    }
    compare(p, "the target", target->lib, t);
    for (int k = p->n; k-- > 0 && !p->failed;) {
        item *x = &p->pool[k];
        if (x->model->memory != t->memory) continue;
        if (p->gradients && x->model->multi)
            drop(p, k); /* their history is gone: using them is refused */
        else
            compare(p, x->name, x->lib, x->model);
    }
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

/* A node that saved x before its last write, and now would be led to from x: a cycle that is never freed (src/autograd/
 * stale.c looks no further back than the last write), as in PyTorch. */
static bool knots(const program *p, const item *x, nt *const *in, int nin) {
    bool any = false;
    for (int k = 0; k < nin; k++) any |= nt_requires(in[k]);
    return any && p->recording && x->model->memory->stale;
}
/* m: what goes into x. Decides whether that may be, or is worth doing; true: call the library. */
bool plan_write(program *p, const item *x, nt *m, nt *const *in, int nin, unsigned *wrong, nt_manner manner) {
    *wrong |= nt_may_write(x->model, in, nin, p->recording, manner);
    if (*wrong) return true;
    if (manner != NT_FILLS && nt_meets_itself(x->model)) return false; /* the order of writes is nobody's promise */
    return !knots(p, x, in, nin) && tame(p, m);
}
void end_write(program *p, const item *x, nt *m, nt *const *in, int nin, unsigned wrong, wg_tensor *r) {
    if (!settle(p, wrong, r)) return;
    if (r != x->lib) differ(p, "an in-place op returned another tensor");
    take_write(p, x, m, in, nin);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void compare_sharing(program *p) {
    for (int a = 0; a < p->n; a++) {
        compare(p, p->pool[a].name, p->pool[a].lib, p->pool[a].model);
        for (int b = 0; b < a; b++) {
            bool shared = p->pool[a].model->memory == p->pool[b].model->memory;
            if (wg_same_storage(p->pool[a].lib, p->pool[b].lib) != shared)
                differ(p, "%s and %s %s memory", p->pool[a].name, p->pool[b].name, shared ? "do not share" : "share");
        }
    }
}

/* A cotangent for r; its product with r's tangent is added to *along, the sizes of the terms to *size. */
static wg_tensor *seed_for(program *p, const item *r, double *along, double *size) {
    int64_t n = nt_numel(r->model);
    double *seed = nt_alloc((size_t)n * 8 + 8);
    for (int64_t f = 0; f < n; f++) {
        seed[f] = uniform(p, -1, 1);
        double term = seed[f] * nt_get(r->model, f).t;
        *along += term;
        *size += fabs(term);
    }
    return wg_from_data(seed, WG_FLOAT64, r->model->ndim, r->model->sizes, NULL);
}
static double along_leaf(const leaf *l, double *size) {
    wg_tensor *g = wg_grad_of(l->lib);
    double sum = 0;
    if (!g) return 0;
    double *v = naive_doubles(g);
    for (int64_t f = nt_numel(l->model); f-- > 0;) {
        double term = v[f] * l->direction[f]; /* a leaf is row-major from the beginning of its memory */
        sum += term;
        *size += fabs(term);
    }
    free(v);
    return sum;
}

/* The derivative along the leaves' directions: by the interpreter's tangents, and by the library's gradients. */
static void compare_gradients(program *p) {
    wg_tensor *out[POOL], *seed[POOL];
    double forward = 0, backward = 0, size = 1;
    int n = 0;
    for (int k = 0; k < p->n && n < 4; k++) {
        if (!nt_requires(p->pool[k].model)) continue;
        out[n] = p->pool[k].lib;
        seed[n++] = seed_for(p, &p->pool[k], &forward, &size);
        say(p, "  backward from %s\n", p->pool[k].name);
    }
    if (n == 0 || p->failed) return;
    wg_status st = wg_backward_opt(out, n, seed, NULL);
    if (st != WG_OK) {
        const char *text = wg_last_message();
        bool excused = strstr(text, "modified by an inplace operation") || strstr(text, "has been modified inplace");
        if (!p->stale || !excused) differ(p, "backward: %s", text);
        p->refused++;
        return;
    }
    for (int k = 0; k < p->nleaves; k++) backward += along_leaf(&p->leaves[k], &size);
    if (!(fabs(forward - backward) <= 1e-8 * size))
        differ(p, "the derivative is %.17g by gradients, %.17g by tangents", backward, forward);
}

void program_start(program *p, uint64_t seed) {
    nt_reset();
    memset(p, 0, offsetof(program, listing));
    p->seed = seed;
    p->stream = seed * 0x9e3779b97f4a7c15u + 1;
    p->recording = true;
    p->gradients = chance(p, 3);
    p->large = chance(p, 60);
    p->listing[0] = 0;
}
void program_end(program *p) {
    if (!p->recording) wg_set_grad_enabled(true);
    p->recording = true;
    if (!p->failed) compare_sharing(p);
    if (p->gradients && !p->failed) compare_gradients(p);
    wg_clear_error();
}
