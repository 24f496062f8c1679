/* mlp.c - one training step of the Fashion-MNIST network (784-128-64-10, ReLU, cross-entropy, plain SGD), microseconds:
 * Wengert, and C written by hand for just this network, with buffers made once and gradients kept apart from weights,
 * on the same BLAS. Batches of 64 and of 1.
 */
#include "blas.h"

enum { LAYERS = 3, CLASSES = 10, BATCHES = 64, ROUNDS = 25 };
static const int width[LAYERS + 1] = {784, 128, 64, 10};
static const float rate = 0.01f;

/* ---- C ----------------------------------------------------------------------------------------------------------- */

typedef struct network {
    float *weight[LAYERS], *bias[LAYERS], *weight_grad[LAYERS], *bias_grad[LAYERS];
    float *value[LAYERS + 1], *value_grad[LAYERS + 1];
} network;

static float *zeros(size_t n) {
    float *p = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
    require(p != NULL, "no memory");
    return memset(p, 0, n * sizeof(float));
}

/* c[m, n] = a[m, k] @ b[k, n] + beta c, either read transposed. A single row goes as matrix times vector, an outer
 * product as an update: that is what the BLAS is fast at. */
static void product(bool ta, bool tb, int m, int n, int k, const float *a, const float *b, float beta, float *c) {
    if (m == 1 && !ta) {
        if (tb)
            blas.gemv(ROWS, PLAIN, n, k, 1, b, k, a, 1, beta, c, 1);
        else
            blas.gemv(ROWS, TRANSPOSED, k, n, 1, b, n, a, 1, beta, c, 1);
    } else if (k == 1) {
        if (beta == 0) memset(c, 0, sizeof(float) * (size_t)m * (size_t)n);
        blas.ger(ROWS, m, n, 1, a, 1, b, 1, c, n);
    } else {
        blas.gemm(ROWS, ta ? TRANSPOSED : PLAIN, tb ? TRANSPOSED : PLAIN, m, n, k, 1, a, ta ? m : k, b, tb ? k : n,
                  beta, c, n);
    }
}

static void forward(network *net, int batch) {
    for (int l = 0; l < LAYERS; l++) {
        int in = width[l], out = width[l + 1];
        float *value = net->value[l + 1];
        for (int i = 0; i < batch; i++) memcpy(value + i * out, net->bias[l], sizeof(float) * (size_t)out);
        product(false, true, batch, out, in, net->value[l], net->weight[l], 1, value);
        if (l == LAYERS - 1) continue;
        for (int i = 0; i < batch * out; i++) value[i] = value[i] > 0 ? value[i] : 0;
    }
}

/* The mean loss; the logits' gradient is left in value_grad. */
static float cross_entropy(network *net, int batch, const int64_t *label) {
    float loss = 0;
    for (int i = 0; i < batch; i++) {
        const float *z = net->value[LAYERS] + i * CLASSES;
        float *d = net->value_grad[LAYERS] + i * CLASSES, most = z[0], sum = 0;
        for (int j = 1; j < CLASSES; j++) most = z[j] > most ? z[j] : most;
        for (int j = 0; j < CLASSES; j++) sum += d[j] = expf(z[j] - most);
        loss -= z[label[i]] - most - logf(sum);
        for (int j = 0; j < CLASSES; j++) d[j] = (d[j] / sum - (float)(j == label[i])) / (float)batch;
    }
    return loss / (float)batch;
}

static void backward(network *net, int batch) {
    for (int l = LAYERS - 1; l >= 0; l--) {
        int in = width[l], out = width[l + 1];
        const float *grad = net->value_grad[l + 1];
        if (l > 0) {
            float *below = net->value_grad[l];
            const float *value = net->value[l];
            product(false, false, batch, in, out, grad, net->weight[l], 0, below);
            for (int i = 0; i < batch * in; i++) below[i] = value[i] > 0 ? below[i] : 0;
        }
        product(true, false, out, in, batch, grad, net->value[l], 0, net->weight_grad[l]);
        memset(net->bias_grad[l], 0, sizeof(float) * (size_t)out);
        for (int i = 0; i < batch; i++)
            for (int j = 0; j < out; j++) net->bias_grad[l][j] += grad[i * out + j];
    }
}

static void descend(network *net) {
    for (int l = 0; l < LAYERS; l++) {
        for (int i = 0; i < width[l] * width[l + 1]; i++) net->weight[l][i] -= rate * net->weight_grad[l][i];
        for (int i = 0; i < width[l + 1]; i++) net->bias[l][i] -= rate * net->bias_grad[l][i];
    }
}

static float c_step(network *net, int batch, float *images, const int64_t *labels) {
    net->value[0] = images;
    forward(net, batch);
    float loss = cross_entropy(net, batch, labels);
    backward(net, batch);
    descend(net);
    return loss;
}

/* ---- Wengert ----------------------------------------------------------------------------------------------------- */

typedef struct model {
    wg_tensor *weight[LAYERS], *bias[LAYERS];
} model;

static void update(wg_tensor *parameter) {
    wg_add_alpha_(parameter, wg_grad_of(parameter), -rate);
    check(wg_set_grad(parameter, NULL));
}

static float wengert_step(model *m, wg_tensor *images, wg_tensor *labels) {
    double value = 0;
    WG_SCOPE {
        wg_tensor *x = images;
        for (int l = 0; l < LAYERS; l++) {
            x = wg_linear(x, m->weight[l], m->bias[l]);
            if (l < LAYERS - 1) x = wg_relu(x);
        }
        wg_tensor *loss = wg_cross_entropy(x, labels);
        check(wg_backward(loss));
        WG_NO_GRAD {
            for (int l = 0; l < LAYERS; l++) {
                update(m->weight[l]);
                update(m->bias[l]);
            }
        }
        check(wg_item(loss, &value));
    }
    return (float)value;
}

/* ---- both sides on the same numbers ------------------------------------------------------------------------------ */

static void start_alike(network *net, model *m, int batch) {
    for (int l = 0; l < LAYERS; l++) {
        size_t in = (size_t)width[l], out = (size_t)width[l + 1];
        float bound = 1 / sqrtf((float)in);
        net->weight[l] = random_floats(in * out, -bound, bound);
        net->bias[l] = random_floats(out, -bound, bound);
        net->weight_grad[l] = zeros(in * out);
        net->bias_grad[l] = zeros(out);
        net->value[l + 1] = zeros((size_t)batch * out);
        net->value_grad[l + 1] = zeros((size_t)batch * out);
        m->weight[l] = wg_keep(
            wg_from_data(net->weight[l], WG_FLOAT32, WG_SHAPE(width[l + 1], width[l]), WG_OPT(.requires_grad = true)));
        m->bias[l] =
            wg_keep(wg_from_data(net->bias[l], WG_FLOAT32, WG_SHAPE(width[l + 1]), WG_OPT(.requires_grad = true)));
    }
}

static void end_both(network *net, model *m) {
    for (int l = 0; l < LAYERS; l++) {
        float *buffers[] = {net->weight[l],    net->bias[l],      net->weight_grad[l],
                            net->bias_grad[l], net->value[l + 1], net->value_grad[l + 1]};
        for (size_t i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) free(buffers[i]);
        wg_release(m->weight[l]);
        wg_release(m->bias[l]);
    }
}

static void measure(int batch) {
    network net = {0};
    model m;
    start_alike(&net, &m, batch);
    size_t pixels = (size_t)batch * (size_t)width[0];
    float *images = random_floats(BATCHES * pixels, 0, 1);
    int64_t *labels = malloc(sizeof(*labels) * BATCHES * (size_t)batch);
    require(labels != NULL, "no memory");
    wg_tensor *x[BATCHES], *y[BATCHES];
    for (int i = 0; i < BATCHES * batch; i++) labels[i] = rand() % CLASSES;
    for (int i = 0; i < BATCHES; i++) {
        x[i] = wg_from_data(images + (size_t)i * pixels, WG_FLOAT32, WG_SHAPE(batch, width[0]), NULL);
        y[i] = wg_from_data(labels + i * batch, WG_INT64, WG_SHAPE(batch), NULL);
    }
    double c = INFINITY, ours = INFINITY;
    for (int r = 0; r < ROUNDS; r++) {
        float c_loss = 0, our_loss = 0;
        double start = now();
        for (int i = 0; i < BATCHES; i++)
            c_loss += c_step(&net, batch, images + (size_t)i * pixels, labels + i * batch);
        double middle = now();
        for (int i = 0; i < BATCHES; i++) our_loss += wengert_step(&m, x[i], y[i]);
        double end = now();
        require(fabsf(c_loss - our_loss) < 1e-2f * fabsf(c_loss) + 1e-2f, "mlp: the two sides differ");
        if (r == 0) continue; /* warming up */
        keep_least(&c, (middle - start) / BATCHES);
        keep_least(&ours, (end - middle) / BATCHES);
    }
    char name[32];
    snprintf(name, sizeof(name), "mlp.%d", batch);
    report(name, ours * 1e6);
    snprintf(name, sizeof(name), "mlp.%d.c", batch);
    report(name, c * 1e6);
    end_both(&net, &m);
    free(images);
    free(labels);
}

int main(void) {
    check(wg_set_num_threads(1));
    blas_open();
    WG_SCOPE { measure(64); }
    WG_SCOPE { measure(1); }
    return finish();
}
