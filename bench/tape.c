/* tape.c - how fast is this machine at small ops? A bare counted tape does y = y * w + b on 2x2 matrices: no dtypes, no
 * broadcasting, no errors, no threads. Its time per op over 22 ns (a 3 GHz Zen 3) is the factor by which bench/run
 * scales the targets.
 *
 * It keeps what any tape must do per op: a counted node from a free list, a shape check, a backward function called
 * through a pointer, gradients summed in the node, a walk in the order of recording, and freeing by count.
 */
#include <string.h>

#include "bench.h"

enum { LINKS = 1000, REPEATS = 2000, ELEMENTS = 4 };

typedef struct node {
    int owners, ndim;
    long sizes[4], strides[4];
    float *data, *grad; /* both in `own` */
    void (*backward)(struct node *);
    struct node *in[2]; /* in[0] links the free list too */
    int nin;
    unsigned sequence;
    int requires_grad;
    float own[2 * ELEMENTS];
} node;

static node *free_list;
static unsigned sequence;

static node *node_new(void) {
    node *n = free_list;
    if (n) {
        free_list = n->in[0];
    } else {
        n = malloc(sizeof(*n));
        require(n != NULL, "no memory");
    }
    n->owners = 1;
    n->ndim = 2;
    for (int i = 0; i < n->ndim; i++) {
        n->sizes[i] = 2;
        n->strides[i] = i == 0 ? 2 : 1;
    }
    n->data = n->own;
    n->grad = NULL;
    n->backward = NULL;
    n->nin = 0;
    n->requires_grad = 0;
    return n;
}

/* Down the first inputs by loop, so that a long chain needs no stack; the second inputs are leaves here. */
static void node_release(node *n) {
    while (n && --n->owners == 0) {
        node *first = n->nin > 0 ? n->in[0] : NULL;
        if (n->nin > 1) node_release(n->in[1]);
        n->in[0] = free_list;
        free_list = n;
        n = first;
    }
}

static float *gradient(node *n) {
    if (!n->grad) n->grad = memset(n->own + ELEMENTS, 0, ELEMENTS * sizeof(float));
    return n->grad;
}

static void add_backward(node *out) {
    for (int k = 0; k < 2; k++) {
        if (!out->in[k]->requires_grad) continue;
        float *g = gradient(out->in[k]);
        for (int i = 0; i < ELEMENTS; i++) g[i] += out->grad[i];
    }
}

static void mul_backward(node *out) {
    for (int k = 0; k < 2; k++) {
        if (!out->in[k]->requires_grad) continue;
        float *g = gradient(out->in[k]);
        const float *other = out->in[!k]->data;
        for (int i = 0; i < ELEMENTS; i++) g[i] += out->grad[i] * other[i];
    }
}

static node *apply(node *a, node *b, int multiply) {
    require(a->ndim == b->ndim, "shapes differ");
    for (int i = 0; i < a->ndim; i++) require(a->sizes[i] == b->sizes[i], "shapes differ");
    node *out = node_new();
    if (multiply)
        for (int i = 0; i < ELEMENTS; i++) out->data[i] = a->data[i] * b->data[i];
    else
        for (int i = 0; i < ELEMENTS; i++) out->data[i] = a->data[i] + b->data[i];
    if (a->requires_grad | b->requires_grad) {
        out->requires_grad = 1;
        out->nin = 2;
        out->in[0] = a;
        out->in[1] = b;
        a->owners++;
        b->owners++;
        out->backward = multiply ? mul_backward : add_backward;
        out->sequence = sequence++;
    }
    return out;
}

static node *leaf(float value, int requires_grad) {
    node *n = node_new();
    for (int i = 0; i < ELEMENTS; i++) n->data[i] = value;
    n->requires_grad = requires_grad;
    return n;
}

/* Takes y's ownership, gives the last result's. */
static node *chain(node *y, node *w, node *b) {
    for (int i = 0; i < LINKS; i++) {
        node *product = apply(y, w, 1);
        node_release(y);
        y = apply(product, b, 0);
        node_release(product);
    }
    return y;
}

static void walk(node *y, node **order) {
    int count = 0;
    for (int i = 0; i < ELEMENTS; i++) gradient(y)[i] = 1;
    for (node *n = y; n && n->nin; n = n->in[0]) order[count++] = n;
    for (int i = 0; i < count; i++) order[i]->backward(order[i]);
}

int main(void) {
    static node *order[2 * LINKS];
    double no_grad = INFINITY, recording = INFINITY, total = INFINITY;
    float sink = 0;
    for (int r = 0; r < REPEATS; r++) {
        node *w = leaf(1.0001f, 1), *b = leaf(1e-5f, 1), *y = leaf(1, 1);
        double start = wall();
        y = chain(y, w, b);
        double recorded = wall();
        walk(y, order);
        sink += w->grad[0];
        node_release(y);
        keep_least(&total, wall() - start);
        keep_least(&recording, recorded - start);
        w->requires_grad = b->requires_grad = 0;
        y = leaf(1, 0);
        start = wall();
        y = chain(y, w, b);
        keep_least(&no_grad, wall() - start);
        sink += y->data[0];
        node_release(y);
        node_release(w);
        node_release(b);
    }
    require(isfinite(sink), "the tape computed nonsense");
    report("tape.no_grad", no_grad / (2 * LINKS) * 1e9);
    report("tape.recording", recording / (2 * LINKS) * 1e9);
    report("tape.total", total / (2 * LINKS) * 1e9);
    return 0;
}
