/* tutorial.c - the tutorial's graph once through, microseconds: ones, + 2, y * y * 3, mean, backward, free. */
#include "support.h"

enum { REPEATS = 200, CALLS = 1000 };

static void once(void *unused) {
    (void)unused;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
        wg_tensor *y = wg_add(x, wg_s(2));
        wg_tensor *out = wg_mean(wg_mul(wg_mul(y, y), wg_i(3)));
        check(wg_backward(out));
    }
}

int main(void) {
    report("tutorial.graph", least_time(once, NULL, REPEATS, CALLS) * 1e6);
    return finish();
}
