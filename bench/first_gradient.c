/* first_gradient.c - as little as there is between a program's start and its first gradient; bench/launch.c waits for
 * the line that says so.
 */
#include <unistd.h>

#include "support.h"

int main(void) {
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
        wg_tensor *y = wg_add(x, wg_s(2));
        check(wg_backward(wg_mean(wg_mul(wg_mul(y, y), wg_i(3)))));
        float g[4];
        check(wg_copy_out(wg_grad_of(x), WG_FLOAT32, g, sizeof(g)));
        require(g[0] == 4.5f, "a wrong gradient");
        require(write(STDOUT_FILENO, "\n", 1) == 1, "nobody listens");
    }
    return finish();
}
