/* rules.c - derivatives of elementwise ops that take more than a line, in public ops. See rules.h; the rows that use
 * them are in elementwise.def. Special points follow PyTorch 2.15.
 */
#include "ops/rules.h"

#include "core/tensor.h"
#include "wengert/ops.h"

/* y as a plain number whose value may be read: not batched, not dual, and never asked for a gradient. */
static bool is_number(const wg_tensor *y, double *value) {
    if ((y->flags & (TF_NUMBER | TF_SLOW)) != TF_NUMBER || !wg__ok(y)) return false;
    *value = wg__load_double(y->data, (wg_dtype)y->dtype);
    return true;
}

/* y x^(y-1), and 0 where y = 0: x^0 is constant, even at x = 0 where the formula says 0 * inf. */
wg_tensor *wg__pow_vjp_base(wg_tensor *g, wg_tensor *x, wg_tensor *y) {
    double e;
    if (is_number(y, &e)) {
        if (e == 0) return wg_zeros_like(g, NULL);
        /* Cheaper, but without x^1 in it, whose derivatives are defined to any order. */
        if (e == 2 && wg__tls.no_grad) return wg_mul(g, wg_mul(x, wg_s(2)));
        return wg_mul(g, wg_mul(wg_pow(x, wg_s(e - 1)), wg_s(e)));
    }
    wg_tensor *r = wg_mul(g, wg_mul(y, wg_pow(x, wg_sub(y, wg_i(1)))));
    return wg_where(wg_eq(y, wg_i(0)), wg_zeros_like(y, NULL), r);
}

/* x^y log(x), the logarithm in the result's dtype; and 0 where x = 0 and y >= 0: 0^y is constant there. */
wg_tensor *wg__pow_vjp_exponent(wg_tensor *g, wg_tensor *x, wg_tensor *y, wg_tensor *z) {
    wg_tensor *flat = wg_logical_and(wg_eq(x, wg_i(0)), wg_ge(y, wg_i(0)));
    return wg_mul(g, wg_masked_fill(wg_mul(z, wg_log(wg_to(x, wg_dtype_of(z)))), flat, wg_s(0)));
}

static wg_tensor *share(wg_tensor *g, wg_tensor *tie, wg_tensor *loses) {
    return wg_masked_fill(wg_where(tie, wg_mul(g, wg_s(0.5)), g), loses, wg_s(0));
}

wg_tensor *wg__maximum_vjp(wg_tensor *g, wg_tensor *a, wg_tensor *b) { return share(g, wg_eq(a, b), wg_lt(a, b)); }

wg_tensor *wg__minimum_vjp(wg_tensor *g, wg_tensor *a, wg_tensor *b) { return share(g, wg_eq(a, b), wg_gt(a, b)); }

wg_tensor *wg__atan2_partial(wg_tensor *a, wg_tensor *b) {
    wg_tensor *d = wg_add(wg_mul(a, a), wg_mul(b, b));
    return wg_mul(a, wg_masked_fill(wg_reciprocal(d), wg_eq(d, wg_s(0)), wg_s(0)));
}

wg_tensor *wg__no_derivative(wg_tensor *g, const char *name) {
    (void)g;
    return wg__fail(WG_ERR_RUNTIME, name, "derivative for aten::%s is not implemented", name);
}
