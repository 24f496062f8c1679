/* test_programs.c - random op programs, in the library and in a naive interpreter (tests/support/interpreter.h),
 * compared after every step: values, shapes, which tensors share memory, which calls must fail and how; a third of the
 * programs is smooth and ends with backward, whose gradients must agree with dual numbers. Nothing may be alive after a
 * program.
 *
 * A fixed seed; WG_SOAK=N runs N programs, WG_SEED=K the one program K, with its listing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/program.h"

/* ---- pointwise --------------------------------------------------------------------------------------------------- */

typedef wg_tensor *(*call1)(wg_tensor *);
typedef wg_tensor *(*call2)(wg_tensor *, wg_tensor *);
typedef wg_tensor *(*call3)(wg_tensor *, wg_tensor *, wg_tensor *);

static wg_tensor *call(void *f, int nin, wg_tensor *const *t) {
    uintptr_t at = (uintptr_t)f;
    return nin == 1 ? ((call1)at)(t[0]) : nin == 2 ? ((call2)at)(t[0], t[1]) : ((call3)at)(t[0], t[1], t[2]);
}

static const nt_op *any_op(program *p, int nin) {
    for (;;) {
        int n = 0;
        while (nt_ops[n].name) n++;
        const nt_op *op = &nt_ops[below(p, n)];
        if (op->nin == nin) return op;
    }
}
static const nt_op *op_named(const char *name) {
    const nt_op *op = nt_ops;
    while (strcmp(op->name, name) != 0) op++;
    return op;
}

static void run_pointwise(program *p, const nt_op *op, const item *x) {
    nt *in[3], *m = NULL;
    wg_tensor *lib[3];
    for (int k = 0; k < op->nin; k++) {
        in[k] = x[k].model;
        lib[k] = x[k].lib;
    }
    say(p, "  %s(%s", op->name, x[0].name);
    for (int k = 1; k < op->nin; k++) say(p, ", %s", x[k].name);
    say(p, ")\n");
    unsigned wrong = nt_pointwise(op, in, &m);
    wg_tensor *r = call(op->call, op->nin, lib);
    if (settle(p, wrong, r)) take_result(p, r, m, in, op->nin, op->smooth || op->kind == FLAG);
}
/* d/db of a^b is nan where a is negative, whatever b is; and PyTorch's backward refuses a bool exponent. */
static bool rough_power(const program *p, const nt_op *op, nt *const *in) {
    if (!p->gradients || op != op_named("pow")) return false;
    if (in[1]->dtype == WG_BOOL) return true;
    for (int64_t f = nt_requires(in[1]) ? nt_numel(in[0]) : 0; f-- > 0;)
        if (nt_get(in[0], f).v < 0) return true;
    return false;
}
static void unary(program *p) { run_pointwise(p, any_op(p, 1), any_item(p)); }
static void binary(program *p) {
    item x[2] = {*any_item(p)};
    x[1] = chance(p, 30) ? x[0] : partner(p, x[0].model);
    if (chance(p, 3)) {
        item t = x[0];
        x[0] = x[1];
        x[1] = t;
    }
    const nt_op *op = any_op(p, 2);
    if (!rough_power(p, op, (nt *[]){x[0].model, x[1].model})) run_pointwise(p, op, x);
}
static void square(program *p) {
    item x = *any_item(p);
    nt *in[2] = {x.model, nt_number(WG_INT64, 2)}, *m = NULL;
    say(p, "  square(%s)\n", x.name);
    unsigned wrong = nt_pointwise(op_named("pow"), in, &m);
    wg_tensor *r = wg_square(x.lib);
    if (settle(p, wrong, r)) take_result(p, r, m, in, 1, true);
}
/* A byte's bound below 0 is refused or taken for 0, depending on which it is: tests/ops hold that. */
static bool below_bytes(const item *x) {
    bool low = false;
    for (int k = 1; k < 3; k++)
        low |= x[k].model->number && (x[k].model->memory->i[0] < 0 || x[k].model->memory->v[0] < 0);
    return low && x[0].model->dtype == WG_UINT8;
}
static void clamp(program *p) {
    item x[3] = {*any_item(p)};
    bool numbers = chance(p, 2);
    for (int k = 1; k < 3; k++)
        x[k] = numbers ? number(p, p->gradients || chance(p, 2) ? WG_FLOAT64 : WG_INT64) : partner(p, x[0].model);
    if (!below_bytes(x)) run_pointwise(p, op_named("clamp"), x);
}

static void where(program *p) {
    int64_t sizes[NT_DIMS];
    item x[3];
    x[1] = *any_item(p);
    x[2] = partner(p, x[1].model);
    int ndim = mate_shape(p, x[1].model, sizes);
    x[0] = chance(p, 20) ? *any_item(p) : fresh_mask(p, ndim, sizes);
    nt *in[3] = {x[0].model, x[1].model, x[2].model}, *m = NULL;
    say(p, "  where(%s, %s, %s)\n", x[0].name, x[1].name, x[2].name);
    unsigned wrong = nt_where(in, &m);
    wg_tensor *r = wg_where(x[0].lib, x[1].lib, x[2].lib);
    if (settle(p, wrong, r)) take_result(p, r, m, in + 1, 2, true);
}

static void cast(program *p) {
    item x = *any_item(p);
    wg_dtype d = p->gradients ? WG_FLOAT64 : any_dtype(p);
    nt *m = NULL;
    say(p, "  to(%s, %s)\n", x.name, wg_dtype_name(d));
    unsigned wrong = nt_cast(x.model, d, &m);
    wg_tensor *r = wg_to(x.lib, d);
    if (!settle(p, wrong, r)) return;
    if (d != x.model->dtype)
        take_result(p, r, m, &x.model, 1, true);
    else if (r != x.lib)
        differ(p, "to its own dtype is another tensor");
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *op;
    int nin;
    uintptr_t call;
} writers[] = {
    {"add_", "add", 2, (uintptr_t)wg_add_},    {"sub_", "sub", 2, (uintptr_t)wg_sub_},
    {"mul_", "mul", 2, (uintptr_t)wg_mul_},    {"div_", "div", 2, (uintptr_t)wg_div_},
    {"pow_", "pow", 2, (uintptr_t)wg_pow_},    {"clamp_", "clamp", 3, (uintptr_t)wg_clamp_},
    {"relu_", "relu", 1, (uintptr_t)wg_relu_}, {"exp_", "exp", 1, (uintptr_t)wg_exp_},
    {"tanh_", "tanh", 1, (uintptr_t)wg_tanh_}, {"sigmoid_", "sigmoid", 1, (uintptr_t)wg_sigmoid_},
    {"neg_", "neg", 1, (uintptr_t)wg_neg_},
};
static void write_pointwise(program *p) {
    int k = (int)below(p, sizeof writers / sizeof *writers), nin = writers[k].nin;
    item x[3] = {*any_item(p)};
    for (int i = 1; i < nin; i++)
        x[i] = nin == 3 ? number(p, p->gradients ? WG_FLOAT64 : WG_INT64) : partner(p, x[0].model);
    if (nin == 3 && below_bytes(x)) return;
    nt *in[3] = {x[0].model}, *m = NULL;
    wg_tensor *lib[3] = {x[0].lib};
    for (int i = 1; i < nin; i++) {
        in[i] = x[i].model;
        lib[i] = x[i].lib;
    }
    if (nin == 2 && rough_power(p, op_named(writers[k].op), in)) return;
    unsigned wrong = nt_pointwise(op_named(writers[k].op), in, &m);
    if (!wrong)
        wrong = nt_may_cast(x[0].model, m) | (nt_same_shape(x[0].model, m) ? 0 : RUNTIME);
    else
        wrong |= RUNTIME; /* the result's dtype may not fit either */
    if (!plan_write(p, &x[0], m, in + 1, nin - 1, &wrong, NT_WRITES)) return;
    say(p, "  %s(%s%s%s)\n", writers[k].name, x[0].name, nin > 1 ? ", " : "", nin > 1 ? x[1].name : "");
    end_write(p, &x[0], m, in + 1, nin - 1, wrong, call((void *)writers[k].call, nin, lib));
}

static void write_copy(program *p) {
    item x = *any_item(p), y = partner(p, x.model);
    nt *pair[2] = {x.model, y.model}, *m = y.model;
    int ndim;
    int64_t sizes[NT_DIMS];
    unsigned wrong = nt_broadcast(pair, 2, &ndim, sizes);
    if (!wrong && (ndim != x.model->ndim || memcmp(sizes, x.model->sizes, (size_t)ndim * 8) != 0)) wrong = RUNTIME;
    if (!plan_write(p, &x, m, &y.model, 1, &wrong, NT_WRITES)) return;
    say(p, "  copy_(%s, %s)\n", x.name, y.name);
    end_write(p, &x, m, &y.model, 1, wrong, wg_copy_(x.lib, y.lib));
}
static void write_value(program *p) {
    item x = *any_item(p), y = chance(p, 3) ? number(p, WG_INT64) : partner(p, x.model);
    unsigned wrong = y.model->ndim ? RUNTIME : 0;
    bool negative = nt_floating(y.model->dtype) && y.model->memory->v[0] < 0;
    if (y.model->number && x.model->dtype == WG_UINT8 && negative) wrong = RUNTIME; /* that number does not fit */
    if (!plan_write(p, &x, y.model, &y.model, 1, &wrong, NT_FILLS)) return;
    say(p, "  fill_(%s, %s)\n", x.name, y.name);
    end_write(p, &x, y.model, &y.model, 1, wrong, wg_fill_(x.lib, y.lib));
}
static void write_zero(program *p) {
    item x = *any_item(p);
    nt *zero = nt_new(x.model->dtype, 0, NULL);
    unsigned wrong = 0;
    if (!plan_write(p, &x, zero, NULL, 0, &wrong, NT_FILLS)) return;
    say(p, "  zero_(%s)\n", x.name);
    end_write(p, &x, zero, NULL, 0, wrong, wg_zero_(x.lib));
}

static void masked_fill(program *p) {
    int64_t sizes[NT_DIMS] = {1};
    item x = *any_item(p);
    int ndim = mate_shape(p, x.model, sizes);
    item mask = chance(p, 25) ? *any_item(p) : fresh_mask(p, ndim, sizes);
    item v =
        chance(p, 2) ? number(p, p->gradients ? WG_FLOAT64 : WG_INT64) : fresh(p, x.model->dtype, chance(p, 20), sizes);
    nt *in[3] = {x.model, mask.model, v.model}, *m = NULL, *seen[2] = {x.model, v.model};
    bool write = chance(p, 2);
    if (nt_floating(v.model->dtype) && !nt_floating(x.model->dtype)) return; /* its value decides */
    if (!v.model->number && v.model->ndim == 0 && !(v.model->memory->v[0] - v.model->memory->v[0] == 0)) return;
    unsigned wrong = nt_masked_fill(in, &m);
    if (write && !wrong && !nt_same_shape(x.model, m)) wrong = RUNTIME;
    nt *value = nt_copy(v.model), *read[2] = {mask.model, value}; /* read before anything is written */
    value->root = v.model->root;
    if (write && !plan_write(p, &x, m, read, 2, &wrong, NT_INDEXED)) return;
    say(p, "  masked_fill%s(%s, %s, %s)\n", write ? "_" : "", x.name, mask.name, v.name);
    wg_tensor *r = write ? wg_masked_fill_(x.lib, mask.lib, v.lib) : wg_masked_fill(x.lib, mask.lib, v.lib);
    if (write)
        end_write(p, &x, m, &v.model, 1, wrong, r);
    else if (settle(p, wrong, r))
        take_result(p, r, m, seen, 2, true);
}

/* ---- reductions -------------------------------------------------------------------------------------------------- */

static int any_dims(program *p, const nt *x, int64_t *dims, int most) {
    int n = 0;
    if (chance(p, 3)) return 0;
    for (int i = 0; i < x->ndim && n < most; i++)
        if (chance(p, 2)) dims[n++] = chance(p, 3) ? i - x->ndim : i;
    if (n == 0 || chance(p, 25)) dims[n == most ? 0 : n++] = any_dim(p, x->ndim);
    return n;
}
static void reduce(program *p) {
    static const nt_reduction kinds[] = {SUM, SUM, MEAN, PROD, AMAX, AMIN, ALL, ANY_OF, VAR, STD, NORM, LOGSUMEXP};
    static const char *const names[] = {"sum", "mean", "prod", "amax", "amin",     "all",
                                        "any", "var",  "std",  "norm", "logsumexp"};
    static const double orders[] = {2, 1, 2, 3, 0.5, 0, INFINITY, -INFINITY};
    nt_reduction k = kinds[below(p, 12)];
    item x = *any_item(p);
    int64_t dims[NT_DIMS];
    wg_reduce o = {.size = sizeof o, .keepdim = chance(p, 2)};
    double param = k == NORM ? orders[below(p, 8)] : chance(p, 2) ? 1 : (double)below(p, 3);
    nt *m = NULL;
    o.dims = (wg_ints){any_dims(p, x.model, dims, k == PROD ? 1 : NT_DIMS), dims};
    if (k == PROD && o.dims.n == 0) o.keepdim = false;
    say(p, "  %s(%s, dims [", names[k], x.name);
    for (int i = 0; i < o.dims.n; i++) say(p, " %lld", (long long)dims[i]);
    say(p, " ], keepdim %d, %g)\n", o.keepdim, param);
    unsigned wrong = nt_reduce(k, x.model, o.dims.n, dims, o.keepdim, param, &m);
    wg_tensor *(*const calls[])(wg_tensor *, const wg_reduce *) = {
        wg_sum_opt, wg_mean_opt, wg_prod_opt, wg_amax_opt, wg_amin_opt,     wg_all_opt,
        wg_any_opt, NULL,        NULL,        NULL,        wg_logsumexp_opt};
    wg_tensor *r = k == VAR    ? wg_var_opt(x.lib, param, &o)
                   : k == STD  ? wg_std_opt(x.lib, param, &o)
                   : k == NORM ? wg_norm_opt(x.lib, param, &o)
                               : calls[k](x.lib, &o);
    if (settle(p, wrong, r)) take_result(p, r, m, &x.model, 1, true);
}

static void extremes(program *p) {
    item x = *any_item(p);
    int64_t dim = any_dim(p, x.model->ndim);
    bool keep = chance(p, 2), max = chance(p, 2);
    nt *value = NULL, *at = NULL;
    wg_tensor *r, *where_r = NULL;
    say(p, "  %s_dim(%s, %lld, keepdim %d)\n", max ? "max" : "min", x.name, (long long)dim, keep);
    unsigned wrong = nt_reduce(max ? FIRST_MAX : FIRST_MIN, x.model, 1, &dim, keep, 0, &value);
    if (x.model->dtype == WG_BOOL) return; /* argmax takes no bools, so the interpreter has no index */
    wrong |= nt_reduce(max ? ARGMAX : ARGMIN, x.model, 1, &dim, keep, 0, &at);
    r = max ? wg_max_dim(x.lib, dim, keep, &where_r) : wg_min_dim(x.lib, dim, keep, &where_r);
    if (!settle(p, wrong, r)) return;
    take_result(p, r, value, &x.model, 1, true);
    compare(p, "the indices", where_r, at);
}
static void extreme_places(program *p) {
    item x = *any_item(p);
    bool all = chance(p, 2), max = chance(p, 2), keep = !all && chance(p, 2);
    int64_t dim = any_dim(p, x.model->ndim);
    nt *m = NULL;
    say(p, "  arg%s(%s, %s %lld, keepdim %d)\n", max ? "max" : "min", x.name, all ? "all, not" : "dim", (long long)dim,
        keep);
    unsigned wrong = nt_reduce(max ? ARGMAX : ARGMIN, x.model, !all, &dim, keep, 0, &m);
    wg_tensor *r = all ? (max ? wg_argmax_all(x.lib) : wg_argmin_all(x.lib))
                       : (max ? wg_argmax(x.lib, dim, keep) : wg_argmin(x.lib, dim, keep));
    if (settle(p, wrong, r) && !p->gradients) take_result(p, r, m, &x.model, 1, true);
}
static void whole_extreme(program *p) {
    item x = *any_item(p);
    bool max = chance(p, 2);
    nt *m = NULL;
    say(p, "  %s(%s)\n", max ? "max" : "min", x.name);
    unsigned wrong = nt_reduce(max ? AMAX : AMIN, x.model, 0, NULL, false, 0, &m);
    wg_tensor *r = max ? wg_max(x.lib) : wg_min(x.lib);
    if (settle(p, wrong, r)) take_result(p, r, m, &x.model, 1, true);
}
static void softmax(program *p) {
    item x = *any_item(p);
    int64_t dim = any_dim(p, x.model->ndim);
    bool logarithm = chance(p, 2);
    nt *m = NULL;
    say(p, "  %ssoftmax(%s, %lld)\n", logarithm ? "log_" : "", x.name, (long long)dim);
    unsigned wrong = nt_softmax(x.model, dim, logarithm, &m);
    wg_tensor *r = logarithm ? wg_log_softmax(x.lib, dim) : wg_softmax(x.lib, dim);
    if (settle(p, wrong, r)) take_result(p, r, m, &x.model, 1, true);
}
static void sort(program *p) {
    item x = *any_item(p);
    int64_t dim = any_dim(p, x.model->ndim);
    bool down = chance(p, 2);
    nt *values = NULL, *at = NULL;
    wg_tensor *r, *where_r = NULL;
    say(p, "  sort(%s, %lld, descending %d)\n", x.name, (long long)dim, down);
    unsigned wrong = nt_sort(x.model, dim, down, &values, &at);
    r = wg_sort(x.lib, dim, down, chance(p, 2), &where_r);
    if (!settle(p, wrong, r)) return;
    take_result(p, r, values, &x.model, 1, true);
    compare(p, "the indices", where_r, at);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static void done_view(program *p, const item *x, unsigned wrong, nt *m, wg_tensor *r) {
    if (settle(p, wrong, r)) take_view(p, r, m, x);
}
static void transpose(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t a = any_dim(p, x.model->ndim), b = any_dim(p, x.model->ndim);
    say(p, "  transpose(%s, %lld, %lld)\n", x.name, (long long)a, (long long)b);
    unsigned wrong = nt_transpose(x.model, a, b, &m);
    done_view(p, &x, wrong, m, wg_transpose(x.lib, a, b));
}
static void permute(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t dims[NT_DIMS];
    int n = x.model->ndim;
    say(p, "  permute(%s,", x.name);
    for (int i = 0; i < n; i++) dims[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)below(p, i + 1);
        int64_t t = dims[i];
        dims[i] = dims[j];
        dims[j] = t;
    }
    if (n && chance(p, 4)) dims[0] -= n;
    if (n && chance(p, 25)) dims[below(p, n)] = any_dim(p, n);
    if (chance(p, 40)) dims[n++] = 0;
    for (int i = 0; i < n; i++) say(p, " %lld", (long long)dims[i]);
    say(p, ")\n");
    unsigned wrong = nt_permute(x.model, n, dims, &m);
    done_view(p, &x, wrong, m, wg_permute(x.lib, n, dims));
}
static void expand(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t sizes[NT_DIMS];
    int n = 0, more = x.model->ndim < 4 && nt_numel(x.model) < 40 ? (int)below(p, 2) : 0;
    for (int i = 0; i < more; i++) sizes[n++] = between(p, chance(p, 20) ? -1 : 0, 3);
    for (int i = 0; i < x.model->ndim; i++) {
        int64_t s = x.model->sizes[i];
        sizes[n++] = chance(p, 4)                       ? -1
                     : s == 1 && nt_numel(x.model) < 40 ? between(p, 0, 3)
                     : chance(p, 40)                    ? s + 1
                                                        : s;
    }
    if (n && chance(p, 50)) n--;
    say(p, "  expand(%s,", x.name);
    for (int i = 0; i < n; i++) say(p, " %lld", (long long)sizes[i]);
    say(p, ")\n");
    unsigned wrong = nt_expand(x.model, n, sizes, &m);
    done_view(p, &x, wrong, m, wg_expand(x.lib, n, sizes));
}
static void squeeze(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t dims[2] = {any_dim(p, x.model->ndim), any_dim(p, x.model->ndim)};
    int n = (int)below(p, 3);
    if (chance(p, 2) && x.model->ndim < 5) {
        int64_t d = any_dim(p, x.model->ndim + 1);
        say(p, "  unsqueeze(%s, %lld)\n", x.name, (long long)d);
        unsigned wrong = nt_unsqueeze(x.model, d, &m);
        done_view(p, &x, wrong, m, wg_unsqueeze(x.lib, d));
        return;
    }
    say(p, "  squeeze(%s, %d: %lld %lld)\n", x.name, n, (long long)dims[0], (long long)dims[1]);
    unsigned wrong = nt_squeeze(x.model, n ? n : -1, dims, &m);
    done_view(p, &x, wrong, m,
              n == 0   ? wg_squeeze(x.lib)
              : n == 1 ? wg_squeeze_dim(x.lib, dims[0])
                       : wg_squeeze_dims(x.lib, n, dims));
}
static void select_one(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t d = any_dim(p, x.model->ndim), at = d;
    int64_t size = x.model->ndim && !nt_wrap(&at, x.model->ndim) ? x.model->sizes[at] : 0;
    int64_t index = size == 0 || chance(p, 20) ? between(p, -6, 5) : between(p, -size, size - 1);
    say(p, "  select(%s, %lld, %lld)\n", x.name, (long long)d, (long long)index);
    unsigned wrong = nt_select(x.model, d, index, &m);
    done_view(p, &x, wrong, m, wg_select(x.lib, d, index));
}
static void slice(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t d = any_dim(p, x.model->ndim), a = between(p, -3, 3), b = chance(p, 3) ? INT64_MAX : between(p, -2, 6);
    int64_t step = chance(p, 40) ? 0 : chance(p, 2) ? 1 : between(p, 1, 3);
    say(p, "  slice(%s, %lld, %lld, %lld, %lld)\n", x.name, (long long)d, (long long)a, (long long)b, (long long)step);
    unsigned wrong = nt_slice(x.model, d, a, b, step, &m);
    done_view(p, &x, wrong, m, wg_slice(x.lib, d, a, b, step));
}
/* What as_strided reads of the storage outside its input has no gradient. A view cannot say so; a copy can. */
static void take_from_storage(program *p, const item *x, nt *m, wg_tensor *r) {
    nt *copy = nt_copy(m);
    bool outside = false;
    char *inside = nt_alloc((size_t)x->model->memory->n + 1);
    for (int64_t f = nt_numel(x->model); f-- > 0;) inside[nt_place(x->model, f)] = 1;
    for (int64_t f = nt_numel(m); f-- > 0;) {
        cell c = nt_get(m, f);
        if (inside[nt_place(m, f)]) continue;
        outside = true;
        c.t = 0;
        nt_put(copy, f, c);
    }
    if (!outside)
        take_view(p, r, m, x);
    else
        take_result(p, wg_clone(r), copy, &m, 1, true);
}
static void strided(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t sizes[3], strides[3];
    int n = (int)below(p, 4);
    for (int i = 0; i < n; i++) {
        sizes[i] = chance(p, 20) ? 0 : between(p, 1, 3);
        strides[i] = between(p, chance(p, 6) ? 0 : 1, 4);
    }
    int64_t offset = between(p, -1, 4);
    say(p, "  as_strided(%s,", x.name);
    for (int i = 0; i < n; i++) say(p, " %lld/%lld", (long long)sizes[i], (long long)strides[i]);
    say(p, ", %lld)\n", (long long)offset);
    unsigned wrong = nt_as_strided(x.model, n, sizes, strides, offset, &m);
    wg_tensor *r = wg_as_strided(x.lib, n, sizes, strides, offset);
    if (wrong || !p->gradients || !nt_requires(x.model))
        done_view(p, &x, wrong, m, r);
    else if (settle(p, wrong, r))
        take_from_storage(p, &x, m, r);
}

/* Sizes of as many elements, mostly. */
static int regrouped(program *p, const nt *x, int64_t *sizes) {
    int64_t left = nt_numel(x);
    int n = 0;
    for (int64_t f = 2; left > 1 && n < 4;) {
        int64_t s = 1;
        while (f <= left && chance(p, 2)) {
            if (left % f == 0)
                s *= f, left /= f;
            else
                f++;
        }
        sizes[n++] = s;
        if (f > 5) break;
    }
    if (left != 1 || chance(p, 6)) sizes[n++] = left;
    if (n && chance(p, 4)) sizes[below(p, n)] = -1;
    if (n && chance(p, 40)) sizes[0]++;
    return n;
}
static void reshape(program *p) {
    item x = *any_item(p);
    nt *m = NULL;
    int64_t sizes[NT_DIMS];
    int n = regrouped(p, x.model, sizes);
    bool copies = chance(p, 2), copied = false;
    say(p, "  %s(%s,", copies ? "reshape" : "view", x.name);
    for (int i = 0; i < n; i++) say(p, " %lld", (long long)sizes[i]);
    say(p, ")\n");
    unsigned wrong = nt_reshape(x.model, n, sizes, copies, &m, &copied);
    wg_tensor *r = copies ? wg_reshape(x.lib, n, sizes) : wg_view(x.lib, n, sizes);
    if (!settle(p, wrong, r)) return;
    if (copied)
        take_result(p, r, m, &x.model, 1, true);
    else
        take_view(p, r, m, &x);
}
static void copies(program *p) {
    item x = *any_item(p);
    int way = (int)below(p, 3);
    say(p, "  %s(%s)\n", way == 0 ? "clone" : way == 1 ? "contiguous" : "detach", x.name);
    wg_tensor *r = way == 0 ? wg_clone(x.lib) : way == 1 ? wg_contiguous(x.lib) : wg_detach(x.lib);
    if (!settle(p, 0, r)) return;
    if (way == 2)
        take_view(p, r, nt_detach(x.model), &x);
    else if (r != x.lib)
        take_result(p, r, nt_copy(x.model), &x.model, 1, true);
    if (way == 1 && !wg_is_contiguous(r)) differ(p, "contiguous is not");
}

/* ---- several views, and joins ------------------------------------------------------------------------------------ */

static void take_pieces(program *p, const item *x, unsigned wrong, wg_status st, wg_tensor **out, int n, nt **m,
                        int expected) {
    if (!settle_status(p, wrong, st)) return;
    if (n != expected) differ(p, "%d views, expected %d", n, expected);
    wg_keep(x->lib); /* the pool may drop it to make room */
    for (int k = 0; k < n && !p->failed; k++) {
        m[k]->multi = true;
        take_view(p, out[k], m[k], x);
    }
    wg_release(x->lib);
}
static void unbind(program *p) {
    item x = *any_item(p);
    int64_t d = any_dim(p, x.model->ndim), at = d;
    wg_tensor *out[1600];
    static nt *m[1600];
    int n = 0, expected = 0;
    unsigned wrong = x.model->ndim == 0 || nt_wrap(&at, x.model->ndim) ? INDEX : 0;
    for (; !wrong && expected < x.model->sizes[at]; expected++) nt_select(x.model, at, expected, &m[expected]);
    say(p, "  unbind(%s, %lld)\n", x.name, (long long)d);
    wg_status st = wg_unbind(x.lib, d, out, 1600, &n);
    take_pieces(p, &x, wrong, st, out, n, m, expected);
}
static void split(program *p) {
    item x = *any_item(p);
    int64_t d = any_dim(p, x.model->ndim), at = d, each = chance(p, 20) ? between(p, -1, 0) : between(p, 1, 3);
    wg_tensor *out[1600];
    static nt *m[1600];
    int n = 0, expected = 0;
    bool chunks = chance(p, 2);
    unsigned wrong = x.model->ndim == 0 ? RUNTIME : nt_wrap(&at, x.model->ndim);
    int64_t size = wrong ? 0 : x.model->sizes[at];
    if (chunks ? each <= 0 : each < 0 || (each == 0 && size > 0)) wrong |= RUNTIME;
    int64_t length = chunks && each > 0 ? (size + each - 1) / each : each;
    for (int64_t s = 0; !wrong && length > 0 && s < size; s += length)
        nt_slice(x.model, at, s, s + length, 1, &m[expected++]);
    int empties = wrong || expected ? 0 : chunks ? (int)each : 1;
    for (int k = 0; k < empties; k++) nt_slice(x.model, at, 0, 0, 1, &m[expected++]);
    say(p, "  %s(%s, %lld, %lld)\n", chunks ? "chunk" : "split", x.name, (long long)each, (long long)d);
    wg_status st = chunks ? wg_chunk(x.lib, each, d, out, 1600, &n) : wg_split(x.lib, each, d, out, 1600, &n);
    take_pieces(p, &x, wrong, st, out, n, m, expected);
}

static void join(program *p) {
    bool cat = chance(p, 2);
    int n = (int)between(p, 1, 4);
    item x = *any_item(p);
    int64_t d = any_dim(p, x.model->ndim + !cat), at = d;
    wg_tensor *lib[4] = {x.lib};
    nt *in[4] = {x.model}, *m = NULL;
    if (nt_numel(x.model) > 200) return;
    for (int k = 1; k < n; k++) {
        int64_t sizes[NT_DIMS];
        memcpy(sizes, x.model->sizes, sizeof sizes);
        if (cat && x.model->ndim && !nt_wrap(&at, x.model->ndim)) sizes[at] = between(p, 0, 3);
        item y = chance(p, 12)
                     ? *any_item(p)
                     : fresh(p, p->gradients || chance(p, 2) ? x.model->dtype : any_dtype(p), x.model->ndim, sizes);
        if (chance(p, 6)) y = x;
        lib[k] = y.lib;
        in[k] = y.model;
        say(p, "    and %s\n", y.name);
    }
    say(p, "  %s(%d of them from %s, %lld)\n", cat ? "cat" : "stack", n, x.name, (long long)d);
    unsigned wrong = cat ? nt_cat(in, n, d, &m) : nt_stack(in, n, d, &m);
    wg_tensor *r = cat ? wg_cat(lib, n, d) : wg_stack(lib, n, d);
    if (settle(p, wrong, r)) take_result(p, r, m, in, n, true);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

static void matmul(program *p) {
    item x = *any_item(p), y;
    int64_t sizes[NT_DIMS];
    int n = x.model->ndim, more = (int)below(p, 3);
    nt *m = NULL;
    if (n == 0 && !chance(p, 10)) return;
    int64_t k = n ? x.model->sizes[n - 1] : 1, to = 0;
    for (int i = 0; i < more; i++) {
        int own = n - 2 - more + i;
        sizes[to++] = own >= 0 && !chance(p, 3) ? x.model->sizes[own] : chance(p, 20) ? 4 : 1;
    }
    sizes[to++] = chance(p, 20) ? k + 1 : k;
    if (more || chance(p, 2)) sizes[to++] = between(p, chance(p, 20) ? 0 : 1, 4);
    y = chance(p, 20) ? *any_item(p) : fresh(p, chance(p, 30) ? any_dtype(p) : x.model->dtype, (int)to, sizes);
    if (chance(p, 5)) {
        item t = x;
        x = y;
        y = t;
    }
    nt *in[2] = {x.model, y.model};
    say(p, "  matmul(%s, %s)\n", x.name, y.name);
    unsigned wrong = nt_matmul(x.model, y.model, &m);
    wg_tensor *r = wg_matmul(x.lib, y.lib);
    if (settle(p, wrong, r)) take_result(p, r, m, in, 2, true);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void add_new(program *p) {
    int64_t sizes[NT_DIMS];
    int ndim = any_shape(p, sizes);
    if (p->n == POOL) drop(p, (int)below(p, POOL));
    p->pool[p->n++] = fresh(p, any_dtype(p), ndim, sizes);
}
static void drop_one(program *p) {
    if (p->n > 1) drop(p, (int)below(p, p->n));
}
static void switch_mode(program *p) {
    p->recording = !p->recording;
    say(p, "  grad mode %s\n", p->recording ? "on" : "off");
    wg_set_grad_enabled(p->recording);
}
/* Poison in, poison out, and no new error. */
static void poison(program *p) {
    wg_tensor *bad = wg_reshape(any_item(p)->lib, 1, (int64_t[]){-7}), *r;
    if (!settle(p, RUNTIME, bad)) {
        r = wg_add(wg_exp(bad), any_item(p)->lib);
        if (!wg_is_poison(r) || wg_error_pending()) differ(p, "poison was not handed on in silence");
    }
}

static const struct {
    void (*step)(program *p);
    int weight;
} steps[] = {{unary, 8},
             {binary, 16},
             {square, 1},
             {clamp, 2},
             {where, 3},
             {cast, 4},
             {write_pointwise, 12},
             {write_copy, 5},
             {write_value, 3},
             {write_zero, 1},
             {masked_fill, 4},
             {reduce, 9},
             {extremes, 3},
             {extreme_places, 1},
             {whole_extreme, 2},
             {softmax, 3},
             {sort, 2},
             {transpose, 4},
             {permute, 3},
             {expand, 4},
             {squeeze, 4},
             {select_one, 5},
             {slice, 6},
             {strided, 4},
             {reshape, 6},
             {copies, 5},
             {unbind, 2},
             {split, 2},
             {join, 4},
             {matmul, 5},
             {step_index_read, 4},
             {step_index_write, 5},
             {step_along_vector, 4},
             {step_along_same, 4},
             {step_nonzero, 1},
             {add_new, 6},
             {drop_one, 4},
             {switch_mode, 1},
             {poison, 1}};

static void any_step(program *p) {
    int total = 0, at = 0;
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) total += steps[k].weight;
    for (int64_t left = below(p, total); (left -= steps[at].weight) >= 0;) at++;
    if (!p->recording && chance(p, 2)) switch_mode(p);
    steps[at].step(p);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static program now; /* large */
static long calls, refusals;

static int64_t alive(void) {
    wg_memory_stats m = {.size = sizeof m};
    wg_memory_stats_get(&m);
    return m.live_tensors + m.live_nodes;
}

/* False: the library and the interpreter differ. */
static bool run_program(uint64_t seed) {
    program *p = &now;
    int64_t before = alive();
    WG_SCOPE {
        program_start(p, seed);
        for (int64_t left = between(p, 4, 24); left > 0 && !p->failed; left--) any_step(p);
        program_end(p);
    }
    if (!p->failed && alive() != before)
        differ(p, "%lld tensors and nodes are still alive", (long long)(alive() - before));
    calls += p->steps;
    refusals += p->refused;
    return !p->failed;
}

static void random_programs(void **state) {
    (void)state;
    const char *soak = getenv("WG_SOAK"), *one = getenv("WG_SEED");
    assert_int_equal(alive(), 0);
    long n = soak ? atol(soak) : 20000, differences = 0;
    if (one) {
        differences = !run_program(strtoull(one, NULL, 10));
        fputs(now.listing, stderr);
    }
    for (long i = 0; i < n && !one && differences < 10; i++) differences += !run_program((uint64_t)i + 1);
    print_message("%ld random programs: %ld calls compared, %ld refused as they must be; %ld differences\n",
                  one ? 1 : n, calls, refusals, differences);
    assert_int_equal(differences, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs)};
    return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
