/* tutorial.c - PyTorch's autograd tutorial, step by step, in C. Prints what PyTorch prints.
 *
 *     tutorial [SEED]      (0 when not given)
 */
#include <stdio.h>
#include <stdlib.h>
#include <wengert/wengert.h>

/* Prints a tensor, or says what went wrong and ends. */
static void show(const wg_tensor *t, const char *after) {
    if (wg_fprint(stdout, t) != WG_OK) {
        fprintf(stderr, "%s: %s\n", wg_last_op(), wg_last_message());
        exit(1);
    }
    fputs(after, stdout);
}
static void check(wg_status status) {
    if (status == WG_OK) return;
    fprintf(stderr, "%s: %s\n", wg_last_op(), wg_last_message());
    exit(1);
}
static void show_grad_fn(wg_tensor *t) {
    const wg_node *n = wg_grad_fn(t);
    printf("<%s object at %p>\n", wg_node_name(n), (const void *)n);
}
static void show_bool(bool b) { puts(b ? "True" : "False"); }

/* Variable: a tensor that remembers how it was made. */
static void variables(void) {
    wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
    show(x, "\n");
    wg_tensor *y = wg_add(x, wg_s(2));
    show(y, "\n");
    show_grad_fn(y);
    wg_tensor *z = wg_mul(wg_mul(y, y), wg_i(3)), *out = wg_mean(z);
    show(z, " ");
    show(out, "\n");

    /* requires_grad_ changes an existing tensor's flag in place */
    wg_tensor *a = wg_randn(WG_SHAPE(2, 2), NULL, NULL);
    a = wg_div(wg_mul(a, wg_i(3)), wg_sub(a, wg_i(1)));
    show_bool(wg_requires_grad(a));
    wg_set_requires_grad(a, true);
    show_bool(wg_requires_grad(a));
    wg_tensor *b = wg_sum(wg_mul(a, a));
    show_grad_fn(b);

    /* gradients: d(out)/dx = 3/2 (x + 2) */
    check(wg_backward(out));
    show(wg_grad_of(x), "\n");
}

/* A vector-Jacobian product: y is no scalar, so backward needs a vector. */
static void vector_jacobian(void) {
    wg_tensor *x = wg_randn(WG_SHAPE(3), WG_OPT(.requires_grad = true), NULL), *y = wg_mul(x, wg_i(2));
    while (wg_truth(wg_lt(wg_norm(wg_data_of(y)), wg_i(1000))) == 1) y = wg_mul(y, wg_i(2));
    show(y, "\n");
    const float v[] = {0.1f, 1.0f, 0.0001f};
    check(wg_backward_with(y, wg_from_data(v, WG_FLOAT32, WG_SHAPE(3), NULL)));
    show(wg_grad_of(x), "\n");

    /* stop recording: no_grad for a block, detach for a tensor */
    show_bool(wg_requires_grad(x));
    show_bool(wg_requires_grad(wg_pow(x, wg_i(2))));
    WG_NO_GRAD { show_bool(wg_requires_grad(wg_pow(x, wg_i(2)))); }
    show_bool(wg_requires_grad(x));
    wg_tensor *d = wg_detach(x);
    show_bool(wg_requires_grad(d));
    show(wg_all(wg_eq(x, d)), "\n");
}

int main(int argc, char **argv) {
    wg_manual_seed(argc > 1 ? strtoll(argv[1], NULL, 10) : 0);
    WG_SCOPE { variables(); }
    WG_SCOPE { vector_jacobian(); }
    return wg_error_pending() ? (fprintf(stderr, "%s\n", wg_last_message()), 1) : 0;
}
