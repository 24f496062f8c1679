#include "support/samples.h"

#include <math.h>
#include <string.h>

#include "wengert/wengert.h"

wg_tensor *sample_tensor(uint64_t seed, double lo, double hi, int ndim, const int64_t *sizes) {
    wg_tensor *t = wg_empty(ndim, sizes, WG_DTYPE(WG_FLOAT64));
    double *p = wg_data(t);
    for (int64_t i = 0; i < wg_numel(t); i++) {
        double u = fmod((double)(i + 1) * 0.6180339887498949 + (double)seed * 0.7548776662466927, 1.0);
        p[i] = lo + (hi - lo) * u;
    }
    return t;
}
#define T(seed, lo, hi, ...) sample_tensor(seed, lo, hi, WG_SHAPE(__VA_ARGS__))
#define S0(seed, lo, hi) sample_tensor(seed, lo, hi, 0, NULL)
static wg_tensor *I(int n, const int64_t *v) { return wg_from_data(v, WG_INT64, 1, &(int64_t){n}, NULL); }
#define IDX(...) I((int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]){__VA_ARGS__})
#define IDX2(r, c, ...) wg_from_data((const int64_t[]){__VA_ARGS__}, WG_INT64, WG_SHAPE(r, c), NULL)
static wg_tensor *mask(int64_t n) {
    wg_tensor *t = wg_zeros(1, &n, WG_DTYPE(WG_BOOL));
    for (int64_t i = 0; i < n; i += 2) ((char *)wg_data(t))[i] = 1;
    return t;
}

/* ---- pointwise: same shapes, broadcast, a number, 0-d ------------------------------------------------------------ */

static bool pointwise(const wg_op *op, int k, sample *s) {
    double lo = op->lo, hi = op->hi;
    if (lo == 0 && hi == 0) lo = -2, hi = 2;
    s->nin = op->nin;
    s->nout = 1;
    if (strstr(op->name, ".alpha")) s->attr[0] = WG_VAL_D(-0.75), s->nattr = 1;
    for (int i = 0; i < op->nin; i++) {
        uint64_t seed = (uint64_t)(k * 7 + i + 1);
        switch (k) {
        case 0: s->in[i] = T(seed, lo, hi, 2, 3); break;
        case 1: s->in[i] = S0(seed, lo, hi); break;
        case 2: s->in[i] = i == 0 ? T(seed, lo, hi, 2, 1, 3) : T(seed, lo, hi, 4, 1); break;
        case 3: s->in[i] = i == 0 ? T(seed, lo, hi, 3) : wg_s(lo + (hi - lo) * 0.37); break;
        case 4: s->in[i] = T(seed, lo, hi, 0, 2); break;
        default: return false;
        }
    }
    s->label = "pointwise";
    return true;
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

#define NONE WG_VAL_NONE
#define AI(v) WG_VAL_I(v)
#define AB(v) WG_VAL_B(v)
#define AD(v) WG_VAL_D(v)
#define AL(...)                                                                                                        \
    WG_VAL_INTS(((int64_t *)keep((const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}))),                   \
                sizeof((int64_t[]){__VA_ARGS__}) / 8)

/* Lists outlive the function that names them: a small ring. */
static void *keep(const int64_t *v, size_t bytes) {
    static int64_t ring[64][8];
    static int at;
    at = (at + 1) % 64;
    memcpy(ring[at], v, bytes);
    return ring[at];
}

#define CASE(n, k_, nin_, nout_, ...)                                                                                  \
    if (strcmp(op->name, n) == 0 && k == (k_)) {                                                                       \
        s->nin = nin_;                                                                                                 \
        s->nout = nout_;                                                                                               \
        (void)(__VA_ARGS__);                                                                                           \
        return true;                                                                                                   \
    }
#define IN(i, t) s->in[i] = (t)
#define ATTR(...) set_attr(s, (wg_value[]){__VA_ARGS__}, sizeof((wg_value[]){__VA_ARGS__}) / sizeof(wg_value))

static void set_attr(sample *s, const wg_value *list, size_t n) {
    s->nattr = (int)n;
    memcpy(s->attr, list, n * sizeof(*list));
}

static bool views(const wg_op *op, int k, sample *s) {
    CASE("permute", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3, 4)), ATTR(AL(2, 0, 1)))
    CASE("transpose", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(0), AI(-1)))
    CASE("t", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("t", 1, 1, 1, IN(0, T(1, -2, 2, 3)))
    CASE("view", 0, 1, 1, IN(0, T(1, -2, 2, 2, 6)), ATTR(AL(3, -1)))
    CASE("_unsafe_view", 0, 1, 1, IN(0, T(1, -2, 2, 2, 6)), ATTR(AL(12)))
    CASE("expand", 0, 1, 1, IN(0, T(1, -2, 2, 3, 1)), ATTR(AL(2, 3, 4), AB(false)))
    CASE("squeeze", 0, 1, 1, IN(0, T(1, -2, 2, 1, 3, 1)), ATTR(NONE))
    CASE("squeeze", 1, 1, 1, IN(0, T(1, -2, 2, 1, 3, 1)), ATTR(AI(-1)))
    CASE("squeeze", 2, 1, 1, IN(0, T(1, -2, 2, 1, 3, 1)), ATTR(AL(0, 1)))
    CASE("squeeze_row", 0, 1, 1, IN(0, T(1, -2, 2, 1, 3)), ATTR(AI(0)))
    CASE("unsqueeze", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(-2)))
    CASE("select", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1), AI(-1)))
    CASE("slice", 0, 1, 1, IN(0, T(1, -2, 2, 5, 2)), ATTR(AI(0), AI(1), AI(5), AI(2)))
    CASE("slice", 1, 1, 1, IN(0, T(1, -2, 2, 5, 2)), ATTR(AI(0), AI(4), AI(2), AI(1)))
    CASE("alias", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("as_strided", 0, 1, 1, IN(0, T(1, -2, 2, 6)), ATTR(AL(2, 2), AL(3, 1), AI(1)))
    CASE("as_strided", 1, 1, 1, IN(0, T(1, -2, 2, 6)), ATTR(AL(3, 3), AL(1, 1), AI(0)))
    CASE("unbind", 0, 1, 3, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1)))
    CASE("split", 0, 1, 2, IN(0, T(1, -2, 2, 5, 2)), ATTR(AI(3), AI(0)))
    CASE("split_with_sizes", 0, 1, 3, IN(0, T(1, -2, 2, 5, 2)), ATTR(AL(2, 0, 3), AI(0)))
    return false;
}

static bool copies(const wg_op *op, int k, sample *s) {
    CASE("round.decimals", 0, 1, 1, IN(0, T(1, 0.011, 0.014, 2, 3)), ATTR(AI(2)))
    CASE("clone", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("contiguous", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("_to_copy", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(WG_VAL_DT(WG_FLOAT64)))
    CASE("cat", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 2, 1)), ATTR(AI(1), AL(0, 3, 4)))
    CASE("stack", 0, 3, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 2, 3)), IN(2, T(3, -2, 2, 2, 3)), ATTR(AI(1)))
    CASE("copy_", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 3)))
    CASE("zero_", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("fill_", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, S0(2, -2, 2)))
    CASE("where", 0, 3, 1, IN(0, mask(3)), IN(1, T(1, -2, 2, 2, 3)), IN(2, T(2, -2, 2, 3)))
    CASE("masked_fill", 0, 3, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, mask(3)), IN(2, S0(2, -2, 2)))
    CASE("as_strided_scatter", 0, 2, 1, IN(0, T(1, -2, 2, 6)), IN(1, T(2, -2, 2, 2, 2)),
         ATTR(AL(2, 2), AL(3, 1), AI(1), AL(1)))
    return false;
}

static bool reductions(const wg_op *op, int k, sample *s) {
    static const char *const plain[] = {"sum", "mean", NULL};
    for (int i = 0; plain[i]; i++) {
        CASE(plain[i], 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(NONE, AB(false), NONE))
        CASE(plain[i], 1, 1, 1, IN(0, T(1, -2, 2, 2, 3, 2)), ATTR(AL(0, -1), AB(true), NONE))
        CASE(plain[i], 2, 1, 1, IN(0, T(1, -2, 2, 2, 3, 2)), ATTR(AL(1), AB(false), NONE))
        CASE(plain[i], 3, 1, 1, IN(0, S0(1, -2, 2)), ATTR(NONE, AB(false), NONE))
    }
    CASE("prod", 0, 1, 1, IN(0, T(1, 0.5, 2, 2, 3)), ATTR(NONE, AB(false), NONE))
    CASE("prod", 1, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1), AB(true), NONE))
    CASE("amax", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(1), AB(false)))
    CASE("amin", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(0, 1), AB(true)))
    CASE("max", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("min", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("max.dim", 0, 1, 2, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1), AB(false)))
    CASE("min.dim", 0, 1, 2, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(0), AB(true)))
    CASE("argmax", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1), AB(false)))
    CASE("argmin", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(NONE, AB(false)))
    CASE("all", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(1), AB(false)))
    CASE("any", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(NONE, AB(false)))
    CASE("var", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(1), AI(1), AB(false)))
    CASE("var", 1, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(NONE, AI(0), AB(true)))
    CASE("std", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(1), AI(1), AB(false)))
    static const double orders[] = {2, 1, 3, 1.5, INFINITY, -INFINITY, 0.5};
    for (int i = 0; i < 7; i++)
        CASE("linalg_vector_norm", i, 1, 1, IN(0, T(1, 0.3, 2, 2, 3)), ATTR(AD(orders[i]), AL(1), AB(i & 1), NONE))
    CASE("logsumexp", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AL(1), AB(false)))
    CASE("softmax", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(1), NONE))
    CASE("softmax", 1, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(0), NONE))
    CASE("log_softmax", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)), ATTR(AI(-1), NONE))
    CASE("log_softmax", 1, 1, 1, IN(0, T(1, -2, 2, 2, 3, 2)), ATTR(AI(1), NONE))
    CASE("_softmax_backward_data", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, 0.1, 1, 2, 3)), ATTR(AI(1)))
    CASE("_log_softmax_backward_data", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, -0.1, 2, 3)), ATTR(AI(0)))
    CASE("sort", 0, 1, 2, IN(0, T(1, -2, 2, 2, 4)), ATTR(AI(-1), AB(false), AB(false)))
    CASE("sort", 1, 1, 2, IN(0, T(1, -2, 2, 4, 2)), ATTR(AI(0), AB(true), AB(true)))
    return false;
}

static bool products_and_losses(const wg_op *op, int k, sample *s) {
    CASE("mm", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 3, 4)))
    CASE("mv", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 3)))
    CASE("dot", 0, 2, 1, IN(0, T(1, -2, 2, 3)), IN(1, T(2, -2, 2, 3)))
    CASE("bmm", 0, 2, 1, IN(0, T(1, -2, 2, 2, 2, 3)), IN(1, T(2, -2, 2, 2, 3, 2)))
    CASE("addmm", 0, 3, 1, IN(0, T(3, -2, 2, 4)), IN(1, T(1, -2, 2, 2, 3)), IN(2, T(2, -2, 2, 3, 4)),
         ATTR(AI(1), AI(1)))
    CASE("addmm", 1, 3, 1, IN(0, T(3, -2, 2, 2, 1)), IN(1, T(1, -2, 2, 2, 3)), IN(2, T(2, -2, 2, 3, 4)),
         ATTR(AD(0.5), AD(-2)))
    CASE("nll_loss_forward", 0, 3, 2, IN(0, T(1, -2, 2, 3, 4)), IN(1, IDX(0, 3, 1)), IN(2, NULL), ATTR(AI(1), AI(-100)))
    CASE("nll_loss_forward", 1, 3, 2, IN(0, T(1, -2, 2, 3, 4)), IN(1, IDX(0, 3, 1)), IN(2, T(5, 0.5, 2, 4)),
         ATTR(AI(0), AI(3)))
    CASE("nll_loss_backward", 0, 4, 1, IN(0, S0(1, -2, 2)), IN(1, IDX(0, 3, 1)), IN(2, NULL),
         IN(3, wg_to(wg_s(3), WG_FLOAT64)), ATTR(AI(1), AI(-100), AL(3, 4)))
    CASE("mse_loss", 0, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 2, 3)), ATTR(AI(1)))
    CASE("mse_loss", 1, 2, 1, IN(0, T(1, -2, 2, 2, 3)), IN(1, T(2, -2, 2, 2, 3)), ATTR(AI(0)))
    return false;
}

static bool indexing(const wg_op *op, int k, sample *s) {
    CASE("index", 0, 2, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, IDX(0, -1, 0, 2)))
    CASE("index", 1, 3, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, IDX2(2, 2, 0, 1, 3, 0)), IN(2, IDX(2, 0)))
    CASE("index", 2, 3, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, NULL), IN(2, mask(3)))
    CASE("index", 3, 4, 1, IN(0, T(1, -2, 2, 2, 3, 2)), IN(1, IDX(1, 0)), IN(2, NULL), IN(3, IDX(0, 1)))
    CASE("index_put", 0, 3, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, T(2, -2, 2, 2, 3)), IN(2, IDX(0, 2)), ATTR(AB(false)))
    CASE("index_put", 1, 3, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, T(2, -2, 2, 3)), IN(2, IDX(0, 2, 0)), ATTR(AB(true)))
    CASE("index_select", 0, 2, 1, IN(0, T(1, -2, 2, 3, 2)), IN(1, IDX(0, 2, 2)), ATTR(AI(0)))
    CASE("index_add", 0, 3, 1, IN(0, T(1, -2, 2, 3, 2)), IN(1, IDX(0, 2, 2)), IN(2, T(2, -2, 2, 3, 2)), ATTR(AI(0)))
    CASE("index_fill", 0, 3, 1, IN(0, T(1, -2, 2, 3, 2)), IN(1, IDX(0, 2)), IN(2, S0(2, -2, 2)), ATTR(AI(0)))
    CASE("gather", 0, 2, 1, IN(0, T(1, -2, 2, 3, 2)), IN(1, IDX2(2, 2, 0, 1, 2, 2)), ATTR(AI(0)))
    CASE("scatter_add", 0, 3, 1, IN(0, T(1, -2, 2, 3, 2)), IN(1, IDX2(2, 2, 0, 1, 0, 2)), IN(2, T(2, -2, 2, 2, 2)),
         ATTR(AI(0)))
    CASE("nonzero", 0, 1, 1, IN(0, T(1, -2, 2, 2, 3)))
    CASE("embedding", 0, 2, 1, IN(0, T(1, -2, 2, 4, 3)), IN(1, IDX2(2, 2, 0, 3, 3, 1)), ATTR(AI(-1)))
    return false;
}

bool sample_make(const wg_op *op, int k, sample *s) {
    memset(s, 0, sizeof(*s));
    s->op = op;
    s->label = op->name;
    if (op->traits & WG_POINTWISE) return pointwise(op, k, s);
    return views(op, k, s) || copies(op, k, s) || reductions(op, k, s) || products_and_losses(op, k, s) ||
           indexing(op, k, s);
}

wg_status sample_call(const sample *s, wg_tensor *const *in, wg_tensor **out) {
    return wg__apply_n(s->op, in, s->nin, s->attr, s->nattr, out, s->nout, NULL);
}
