/* chain.c - the cost of a small op: y = y * w + b on 2x2 float32 matrices, a thousand links, nanoseconds per op (a link
 * is two). Counted as bench/tape.c counts: "recording" ends when only the last result is still owned, "total" adds
 * backward and the end of the graph. The same with a million ops in the graph, where memory is what costs.
 */
#include "support.h"

enum { SHORT = 1000, LONG = 500000 };
typedef struct times {
    double no_grad, recording, backward, end, total;
} times;

static const times never = {INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};

static wg_tensor *matrix(float value, bool requires_grad) {
    const float v[4] = {value, value, value, value};
    return wg_keep(wg_from_data(v, WG_FLOAT32, WG_SHAPE(2, 2), WG_OPT(.requires_grad = requires_grad)));
}

/* The last result, owned by the caller; the others go with the scope. */
static wg_tensor *chain(wg_tensor *y, wg_tensor *w, wg_tensor *b, int links) {
    size_t scope = wg_scope_open();
    for (int i = 0; i < links; i++) y = wg_add(wg_mul(y, w), b);
    wg_keep(y);
    wg_scope_close(scope);
    return y;
}

static void with_gradients(times *t, int links, int repeats) {
    wg_tensor *y = matrix(1, true), *w = matrix(1.0000001f, true), *b = matrix(1e-9f, true);
    for (int r = 0; r < repeats + 1; r++) {
        double start = now();
        wg_tensor *out = chain(y, w, b, links);
        double recorded = now();
        wg_tensor *ones = wg_ones(WG_SHAPE(2, 2), NULL);
        check(wg_backward_with(out, ones));
        double walked = now();
        wg_release(out);
        double ended = now();
        if (r > 0) {
            keep_least(&t->recording, recorded - start);
            keep_least(&t->backward, walked - recorded);
            keep_least(&t->end, ended - walked);
            keep_least(&t->total, ended - start);
        }
        float g[4];
        check(wg_copy_out(wg_grad_of(b), WG_FLOAT32, g, sizeof(g)));
        require(fabsf(g[0] / (float)links - 1) < 0.1f, "chain: a wrong gradient"); /* each link adds about 1 */
        check(wg_set_grad(y, NULL));
        check(wg_set_grad(w, NULL));
        check(wg_set_grad(b, NULL));
    }
    wg_release(y);
    wg_release(w);
    wg_release(b);
}

static void without(times *t, int links, int repeats) {
    wg_tensor *y = matrix(1, false), *w = matrix(1.0000001f, false), *b = matrix(1e-9f, false);
    for (int r = 0; r < repeats + 1; r++) {
        double start = now();
        wg_tensor *out = chain(y, w, b, links);
        if (r > 0) keep_least(&t->no_grad, now() - start);
        wg_release(out);
    }
    wg_release(y);
    wg_release(w);
    wg_release(b);
}

static double per_op(double seconds, int links) { return seconds / (2.0 * links) * 1e9; }

int main(void) {
    times brief = never, lengthy = never;
    WG_SCOPE {
        without(&brief, SHORT, 2000);
        with_gradients(&brief, SHORT, 2000);
        with_gradients(&lengthy, LONG, 7);
    }
    report("chain.no_grad", per_op(brief.no_grad, SHORT));
    report("chain.recording", per_op(brief.recording, SHORT));
    report("chain.backward", per_op(brief.backward, SHORT));
    report("chain.end", per_op(brief.end, SHORT));
    report("chain.total", per_op(brief.total, SHORT));
    report("chain.long_recording", per_op(lengthy.recording, LONG));
    report("chain.long_backward", per_op(lengthy.backward, LONG));
    report("chain.long_end", per_op(lengthy.end, LONG));
    report("chain.long_total", per_op(lengthy.total, LONG));
    return finish();
}
