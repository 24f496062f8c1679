/* gradcheck.c - derivatives against finite differences (G1, G2): the slow, thorough way, one entry at a time.
 *
 * For each output element and each input element: central difference of the function, against the entry of the
 * Jacobian that backward gives from a one-hot cotangent, and, when asked, against forward mode with a one-hot tangent.
 */
#include <math.h>

#include "autograd/node.h"
#include "core/alloc.h"
#include "core/options.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

typedef struct check {
    wg_fn f;
    void *user;
    wg_tensor **in; /* our own copies */
    int nin;
    double eps, atol, rtol;
    bool forward, constant; /* constant: the output does not require a gradient */
    const char *who;
} check;

static double at(const wg_tensor *t, int64_t i) { return ((const double *)(const void *)t->data)[i]; }

/* f at the inputs, as a contiguous float64 tensor, owned; NULL on failure. A copy: what f returns may be a view of the
 * input that is about to move. */
static wg_tensor *value(check *c) {
    uint8_t no_grad = wg__tls.no_grad;
    wg__tls.no_grad = 1;
    wg_tensor *y = c->f(c->user, c->in, c->nin), *flat = NULL;
    if (y && !wg_is_poison(y)) flat = wg__contiguous(wg_clone(y), WG_FLOAT64);
    wg__tls.no_grad = no_grad;
    if (!y) wg__raise(WG_ERR_TYPE, c->who, "%s: the function returned NULL", c->who);
    return flat;
}

/* d y / d in[i][j] by central differences, into column[ny]. */
static wg_status numerical(check *c, int i, int64_t j, double *column, int64_t ny) {
    double *p = (double *)(void *)c->in[i]->data + j, x = *p;
    wg_status st = WG_ERR_RUNTIME;
    WG_SCOPE {
        *p = x + c->eps;
        wg_tensor *up = value(c);
        *p = x - c->eps;
        wg_tensor *down = up ? value(c) : NULL;
        *p = x;
        if (down) {
            for (int64_t k = 0; k < ny; k++) column[k] = (at(up, k) - at(down, k)) / (2 * c->eps);
            st = WG_OK;
        }
        wg_release(up);
        wg_release(down);
    }
    return st;
}

static wg_tensor *one_hot(const wg_tensor *like, int64_t j) {
    wg_tensor *t = wg_zeros(like->ndim, like->dims, WG_DTYPE((wg_dtype)like->dtype));
    if (!wg_is_poison(t)) wg__store_double(t->data + j * (int64_t)wg__itemsize(t), (wg_dtype)t->dtype, 1);
    return t;
}

/* Row k of the Jacobian with respect to every input, into rows[i][k * numel(in i)]. */
static wg_status reverse_row(check *c, int64_t k, double **rows, const int *index, int n) {
    wg_status st = WG_ERR_RUNTIME;
    WG_SCOPE {
        wg_tensor *y = c->f(c->user, c->in, c->nin), *wanted[64], *g[64];
        if (!y || wg_is_poison(y)) break;
        for (int a = 0; a < n; a++) wanted[a] = c->in[index[a]];
        c->constant = !wg_requires_grad(y);
        if (c->constant) {
            for (int a = 0; a < n; a++)
                for (int64_t j = 0; j < wanted[a]->numel; j++) rows[a][k * wanted[a]->numel + j] = 0;
            st = WG_OK;
            break;
        }
        wg_tensor *seed = one_hot(y, k);
        wg_walk_opts o = {.size = sizeof(o), .allow_unused = true};
        st = wg_grad(&y, 1, wanted, n, &seed, &o, g);
        for (int a = 0; a < n && st == WG_OK; a++) {
            wg_tensor *flat = g[a] ? wg__contiguous(g[a], WG_FLOAT64) : NULL;
            if (g[a] && !flat) st = WG_ERR_MEMORY;
            for (int64_t j = 0; j < wanted[a]->numel; j++) rows[a][k * wanted[a]->numel + j] = flat ? at(flat, j) : 0;
            wg_release(flat);
        }
    }
    return st;
}

/* Column j of the Jacobian with respect to input i by forward mode. */
static wg_status forward_column(check *c, int i, int64_t j, double *column, int64_t ny) {
    wg_status st = WG_ERR_RUNTIME;
    WG_SCOPE {
        wg_tensor *t[64] = {NULL}, *dy;
        t[i] = one_hot(c->in[i], j);
        wg_tensor *y = wg_jvp(c->f, c->user, c->in, t, c->nin, &dy);
        if (wg_is_poison(y) || wg_is_poison(dy)) break;
        wg_tensor *flat = wg__contiguous(dy, WG_FLOAT64);
        if (!flat) break;
        for (int64_t k = 0; k < ny; k++) column[k] = at(flat, k);
        wg_release(flat);
        st = WG_OK;
    }
    return st;
}

static wg_status mismatch(const check *c, int i, int64_t k, int64_t j, double numerical_v, double other,
                          const char *mode) {
    return wg__raise(WG_ERR_RUNTIME, c->who,
                     "Jacobian mismatch for output 0 with respect to input %d,\nnumerical:%.12g\nanalytical:%.12g\n"
                     "(%s mode, entry [%lld, %lld] of d output / d input)",
                     i, numerical_v, other, mode, (long long)k, (long long)j);
}

static bool close_enough(const check *c, double analytical, double numerical_v) {
    if (isnan(analytical) || isnan(numerical_v)) return isnan(analytical) && isnan(numerical_v);
    return fabs(analytical - numerical_v) <= c->atol + c->rtol * fabs(numerical_v);
}

static wg_status compare_input(check *c, int i, const double *rows, int64_t ny, double *column, double *pushed) {
    int64_t nx = c->in[i]->numel;
    wg_status st = WG_OK;
    for (int64_t j = 0; j < nx && st == WG_OK; j++) {
        st = numerical(c, i, j, column, ny);
        if (st == WG_OK && c->forward) st = forward_column(c, i, j, pushed, ny);
        for (int64_t k = 0; k < ny && st == WG_OK; k++) {
            if (c->constant && !close_enough(c, 0, column[k]))
                st = wg__raise(WG_ERR_RUNTIME, c->who,
                               "Numerical gradient for function expected to be zero. The output does "
                               "not require a gradient, yet it changes by %.12g with input %d",
                               column[k], i);
            else if (!close_enough(c, rows[k * nx + j], column[k]))
                st = mismatch(c, i, k, j, column[k], rows[k * nx + j], "reverse");
            else if (c->forward && !close_enough(c, pushed[k], column[k]))
                st = mismatch(c, i, k, j, column[k], pushed[k], "forward");
        }
    }
    return st;
}

static wg_status compare(check *c, const int *index, int n, int64_t ny) {
    double *rows[64] = {NULL}, *columns = wg__malloc((size_t)(ny ? ny : 1) * 2 * sizeof(double));
    wg_status st = columns ? WG_OK : wg__no_memory(c->who, (size_t)ny * 16);
    for (int a = 0; a < n && st == WG_OK; a++) {
        rows[a] = wg__calloc((size_t)(ny * c->in[index[a]]->numel + 1) * sizeof(double));
        if (!rows[a]) st = wg__no_memory(c->who, 0);
    }
    for (int64_t k = 0; k < ny && st == WG_OK; k++) st = reverse_row(c, k, rows, index, n);
    for (int a = 0; a < n && st == WG_OK; a++) st = compare_input(c, index[a], rows[a], ny, columns, columns + ny);
    for (int a = 0; a < n; a++)
        if (rows[a]) wg__mfree(rows[a], (size_t)(ny * c->in[index[a]]->numel + 1) * sizeof(double));
    if (columns) wg__mfree(columns, (size_t)(ny ? ny : 1) * 2 * sizeof(double));
    return st;
}

/* Row-major leaves with the inputs' values, so that entries can be moved without touching the caller's tensors. */
static wg_status copy_inputs(check *c, wg_tensor *const *in, wg_tensor **copy, int *index, int *n) {
    *n = 0;
    for (int i = 0; i < c->nin; i++) {
        if (!in[i] || wg_is_poison(in[i])) return wg__sink_check(c->who, in[i] ? in[i] : WG_POISON);
        copy[i] = in[i];
        if (!wg_requires_grad(in[i])) continue;
        if (in[i]->dtype != WG_FLOAT64)
            return wg__raise(WG_ERR_VALUE, c->who,
                             "Input #%d requires gradient and is not a double precision floating "
                             "point or complex. Central differences need float64",
                             i);
        wg_tensor *t = wg__temp(WG_FLOAT64, in[i]->ndim, in[i]->dims);
        if (!t) return WG_ERR_MEMORY;
        copy[i] = wg__scope_push(t);
        if (wg__copy_into(t, in[i]) != WG_OK || wg_is_poison(wg_set_requires_grad(t, true))) return WG_ERR_MEMORY;
        index[(*n)++] = i;
    }
    if (*n == 0)
        return wg__raise(WG_ERR_VALUE, c->who,
                         "gradcheck expects at least one input tensor to require gradient, but none "
                         "of them have requires_grad=True.");
    return WG_OK;
}

static wg_status run(const char *who, wg_fn f, void *user, wg_tensor *const *in, int nin, const wg_check_opts *o) {
    wg_tensor *copy[64];
    int index[64], n = 0;
    if (!f || nin < 1 || nin > 64) return wg__raise(WG_ERR_TYPE, who, "%s expects a function and 1 to 64 inputs", who);
    check c = {.f = f,
               .user = user,
               .in = copy,
               .nin = nin,
               .who = who,
               .eps = o && o->eps ? o->eps : 1e-6,
               .atol = o && o->atol ? o->atol : 1e-5,
               .rtol = o && o->rtol ? o->rtol : 1e-3,
               .forward = o && o->check_forward};
    wg_status st = WG_ERR_RUNTIME;
    bool before = wg_set_grad_enabled(true);
    WG_SCOPE {
        st = copy_inputs(&c, in, copy, index, &n);
        if (st != WG_OK) break;
        wg_tensor *y = value(&c);
        st = y ? WG_OK : WG_ERR_RUNTIME;
        int64_t ny = y ? y->numel : 0;
        wg_release(y);
        if (st == WG_OK) st = compare(&c, index, n, ny);
    }
    wg_set_grad_enabled(before);
    return st;
}

wg_status wg_gradcheck(wg_fn f, void *user, wg_tensor *const *in, int nin, const wg_check_opts *options) {
    wg_status st = WG_CHECK_STRUCT(wg_check_opts, options, "gradcheck");
    return st == WG_OK ? run("gradcheck", f, user, in, nin, options) : st;
}

/* ---- second order: (inputs, cotangent) -> sum over inputs of gradient · fixed weights, concatenated flat --------- */

typedef struct second {
    wg_fn f;
    void *user;
} second;

static wg_tensor *gradient(void *user, wg_tensor *const *in, int nin) {
    second *s = user;
    wg_tensor *wanted[64], *g[64], *parts[64], *seed = in[nin - 1], *y = s->f(s->user, in, nin - 1);
    int n = 0, m = 0;
    if (!y || wg_is_poison(y)) return y;
    for (int i = 0; i < nin - 1; i++)
        if (wg_requires_grad(in[i])) wanted[n++] = in[i];
    bool before = wg_set_grad_enabled(true);
    wg_walk_opts o = {.size = sizeof(o), .create_graph = true, .allow_unused = true, .materialize_grads = true};
    wg_status st = wg_grad(&y, 1, wanted, n, &seed, &o, g);
    for (int a = 0; a < n && st == WG_OK; a++) parts[m++] = wg_flatten(g[a], 0, -1);
    wg_set_grad_enabled(before);
    return st == WG_OK ? wg_cat(parts, m, 0) : WG_POISON;
}

/* value() switches recording off; the gradient needs it on to exist, so it is switched on inside. */
static wg_tensor *recorded_gradient(void *user, wg_tensor *const *in, int nin) {
    second *s = user;
    bool before = wg_set_grad_enabled(true);
    wg_tensor *r = gradient(s, in, nin);
    wg_set_grad_enabled(before);
    return r;
}

wg_status wg_gradgradcheck(wg_fn f, void *user, wg_tensor *const *in, int nin, const wg_check_opts *options) {
    wg_tensor *all[64];
    wg_status st = WG_CHECK_STRUCT(wg_check_opts, options, "gradgradcheck");
    if (st != WG_OK) return st;
    st = WG_ERR_RUNTIME;
    if (!f || nin < 1 || nin > 63)
        return wg__raise(WG_ERR_TYPE, "gradgradcheck", "gradgradcheck expects a function and 1 to 63 inputs");
    WG_SCOPE {
        second s = {f, user};
        for (int i = 0; i < nin; i++) all[i] = in[i];
        wg_tensor *y = f(user, in, nin);
        if (!y || wg_is_poison(y)) break;
        /* a cotangent with every entry its own, kept away from 0 */
        wg_tensor *seed = wg_add(
            wg_cos(wg_reshape(wg_arange(wg_i(0), wg_i(wg_numel(y)), wg_i(1), WG_DTYPE(WG_FLOAT64)), y->ndim, y->dims)),
            wg_s(1.5));
        all[nin] = wg_set_requires_grad(wg_detach(seed), true);
        if (wg_is_poison(all[nin])) break;
        st = run("gradgradcheck", recorded_gradient, &s, all, nin + 1, options);
    }
    return st;
}
