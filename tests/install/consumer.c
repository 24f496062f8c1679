/* consumer.c - what a user's first program looks like: ones, add, mul, mean, backward. Built against an installed tree.
 */
#include <stdio.h>
#include <wengert/wengert.h>

int main(void) {
    wg_status status = WG_OK;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
        wg_tensor *y = wg_add(x, wg_s(2)), *out = wg_mean(wg_mul(wg_mul(y, y), wg_s(0.5)));
        status = wg_fprint(stdout, out);
        if (status == WG_OK) status = wg_backward(out);
        double g = 0;
        if (status == WG_OK) status = wg_item(wg_select(wg_select(wg_grad_of(x), 0, 0), 0, 0), &g);
        if (status == WG_OK && g != 0.75) status = WG_ERR_RUNTIME;
    }
    if (status != WG_OK) fprintf(stderr, "%s\n", wg_last_message());
    return status != WG_OK;
}
