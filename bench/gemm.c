/* gemm.c - products of float32 matrices, GFLOP/s: wg_matmul as it is installed, with the BLAS that it loaded, against
 * that BLAS called directly; squares and the shapes of a training step. Run once more with WENGERT_BLAS=none, it gives
 * our own kernels.
 */
#include "blas.h"

typedef struct shape {
    const char *name;
    bool ta, tb;
    int m, n, k;
} shape;
static const shape shapes[] = {
    {"square_16", false, false, 16, 16, 16},     {"square_64", false, false, 64, 64, 64},
    {"square_128", false, false, 128, 128, 128}, {"square_256", false, false, 256, 256, 256},
    {"square_512", false, false, 512, 512, 512}, {"square_1024", false, false, 1024, 1024, 1024},
    {"mlp_forward", false, true, 64, 128, 784},  {"mlp_weight", true, false, 128, 784, 64},
    {"mlp_input", false, false, 64, 128, 64},    {"row_forward", false, true, 1, 128, 784},
    {"row_weight", true, false, 128, 784, 1},
};

typedef struct job {
    const shape *s;
    wg_tensor *a, *b;
    float *c;
} job;

static void run_wengert(void *context) {
    job *j = context;
    WG_SCOPE { wg_matmul(j->a, j->b); }
}
static void run_blas(void *context) {
    const job *j = context;
    const shape *s = j->s;
    const float *a = wg_const_data(j->a), *b = wg_const_data(j->b);
    if (s->m == 1 && s->tb)
        blas.gemv(ROWS, PLAIN, s->n, s->k, 1, b, s->k, a, 1, 0, j->c, 1);
    else
        blas.gemm(ROWS, s->ta ? TRANSPOSED : PLAIN, s->tb ? TRANSPOSED : PLAIN, s->m, s->n, s->k, 1, a,
                  s->ta ? s->m : s->k, b, s->tb ? s->k : s->n, 0, j->c, s->n);
}

static wg_tensor *operand(bool transposed, int rows, int columns) {
    wg_tensor *t = wg_rand(WG_SHAPE(transposed ? columns : rows, transposed ? rows : columns), NULL, NULL);
    return transposed ? wg_t(t) : t;
}

static void measure(const shape *s, const char *side, bool with_blas) {
    job j = {.s = s, .a = operand(s->ta, s->m, s->k), .b = operand(s->tb, s->k, s->n)};
    j.c = random_floats((size_t)s->m * (size_t)s->n, 0, 1);
    double flops = 2.0 * s->m * s->n * s->k, ours = INFINITY, theirs = INFINITY;
    int calls = (int)(2e8 / flops) + 1;
    if (calls > 2000) calls = 2000;
    for (int round = 0; round < 15; round++) {
        keep_least(&ours, least_time(run_wengert, &j, 1, calls));
        if (with_blas) keep_least(&theirs, least_time(run_blas, &j, 1, calls));
    }
    char name[64];
    snprintf(name, sizeof(name), "gemm.%s.%s", s->name, side);
    report(name, flops / ours * 1e-9);
    snprintf(name, sizeof(name), "gemm.%s.blas", s->name);
    if (with_blas) report(name, flops / theirs * 1e-9);
    free(j.c);
}

int main(void) {
    const char *file = getenv("WENGERT_BLAS");
    bool with_blas = file && strcmp(file, "none") != 0;
    check(wg_set_num_threads(1));
    wg_manual_seed(0);
    if (with_blas) blas_open();
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) WG_SCOPE {
            measure(&shapes[i], with_blas ? "wengert" : "own", with_blas);
        }
    return finish();
}
