/* compare.c - comparisons of whole tensors: equal, isclose, allclose. Made of elementwise ops; not differentiable.
 */
#include "core/op.h"
#include "wengert/autograd.h"
#include "wengert/ops.h"

static wg_status check_pair(const char *who, wg_tensor *a, wg_tensor *b) {
    wg_status st = wg__sink_check(who, a);
    return st == WG_OK ? wg__sink_check(who, b) : st;
}

wg_status wg_equal(wg_tensor *a, wg_tensor *b, bool *result) {
    WG_COMPOSITE;
    wg_status st = check_pair("equal", a, b);
    if (st != WG_OK) return st;
    *result = wg__same_sizes(a, b);
    if (!*result) return WG_OK;
    int truth = 0;
    WG_SCOPE { truth = wg_truth(wg_all_opt(wg_eq(a, b), NULL)); }
    *result = truth == 1;
    return truth < 0 ? wg_last_status() : WG_OK;
}

/* |a - b| <= atol + rtol |b|; equal infinities are close. */
wg_tensor *wg_isclose(wg_tensor *a, wg_tensor *b, double rtol, double atol, bool equal_nan) {
    WG_COMPOSITE;
    if (!a || !b) return wg__fail(WG_ERR_TYPE, "isclose", "isclose(): arguments must be Tensors, not None");
    if (!wg__ok(a) || !wg__ok(b)) return WG_POISON;
    if (a->dtype != b->dtype)
        return wg__fail(WG_ERR_RUNTIME, "isclose", "%s did not match %s. isclose compares tensors of one dtype",
                        wg__dtype_scalar_name((wg_dtype)a->dtype), wg__dtype_scalar_name((wg_dtype)b->dtype));
    if (rtol < 0 || atol < 0)
        return wg__fail(WG_ERR_RUNTIME, "isclose", "%s must be greater than or equal to zero, but got %g",
                        rtol < 0 ? "rtol" : "atol", rtol < 0 ? rtol : atol);
    bool before = wg_set_grad_enabled(false);
    wg_tensor *close = wg_eq(a, b);
    if (wg_dtype_is_floating((wg_dtype)a->dtype) && equal_nan)
        close = wg_logical_or(close, wg_logical_and(wg_isnan(a), wg_isnan(b)));
    if (rtol != 0 || atol != 0) {
        wg_tensor *x = a->dtype == WG_BOOL ? wg_to(a, WG_INT64) : a, *y = b->dtype == WG_BOOL ? wg_to(b, WG_INT64) : b;
        wg_tensor *allowed = wg_add(wg_mul(wg_abs(y), wg_s(rtol)), wg_s(atol)), *actual = wg_abs(wg_sub(x, y));
        close = wg_logical_or(close, wg_logical_and(wg_isfinite(actual), wg_le(actual, allowed)));
    }
    wg_set_grad_enabled(before);
    return close;
}

wg_status wg_allclose(wg_tensor *a, wg_tensor *b, double rtol, double atol, bool equal_nan, bool *result) {
    WG_COMPOSITE;
    wg_status st = check_pair("allclose", a, b);
    if (st != WG_OK) return st;
    int truth = 0;
    WG_SCOPE { truth = wg_truth(wg_all_opt(wg_isclose(a, b, rtol, atol, equal_nan), NULL)); }
    *result = truth == 1;
    return truth < 0 ? wg_last_status() : WG_OK;
}

/* ---- for bindings --------------------------------------------------------------------------------------------------
 */

static wg_tensor *truth(wg_status st, bool value) { return st == WG_OK ? wg_b(value) : WG_POISON; }
static wg_tensor *equal_of(const wg_value *a) {
    bool result = false;
    wg_status st = wg_equal(a[0].t, a[1].t, &result);
    return truth(st, result);
}
static wg_tensor *allclose_of(const wg_value *a) {
    bool result = false;
    wg_status st = wg_allclose(a[0].t, a[1].t, a[2].d, a[3].d, a[4].i, &result);
    return truth(st, result);
}
WG_COMPOSED(equal, "equal", "(Tensor self, Tensor other) -> bool", "same shape and elements?", equal_of(a),
            .traits = WG_NONDIFF)
WG_COMPOSED(allclose, "allclose",
            "(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
            "is every element close?", allclose_of(a), .traits = WG_NONDIFF)
WG_COMPOSED(isclose, "isclose",
            "(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
            "|x - y| <= atol + rtol |y|?", wg_isclose(a[0].t, a[1].t, a[2].d, a[3].d, a[4].i), .traits = WG_NONDIFF)

const wg_op *const wg__ops_compare[] = {&op_equal, &op_allclose, &op_isclose, NULL};
