/* fashion_mnist.c - a network learns to tell clothes apart: 784-128-64-10 with ReLU, cross-entropy, SGD with momentum
 * and a learning rate that falls linearly to 0, on the 60,000 pictures of Fashion-MNIST. The same seed gives the
 * starting weights and the batches that PyTorch would draw.
 *
 *     fashion_mnist [--data DIR] [--seed N] [--epochs N] [--svg FILE] [--losses FILE]
 *
 * --svg draws the loss curve; --losses writes a record to compare runs by: the loss of every step, and checksums of the
 * starting weights and of each epoch's order.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wengert/wengert.h>
#include <zlib.h>

#include "idx.h"

#define PACKAGE "dataset-fashion-mnist"
#define DEFAULT_DATA "/usr/share/datasets/fashion-mnist"

enum { LAYERS = 3, PARAMETERS = 2 * LAYERS, BATCH = 64, TEST_BATCH = 1000, CLASSES = 10 };
static const int64_t widths[LAYERS + 1] = {784, 128, 64, CLASSES};
static const double first_rate = 0.05, momentum = 0.9;

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("fashion_mnist: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

/* Ops need no check one by one: a failed one gives poison, poison goes through, and the thread's first error waits
 * until a function that returns a status (wg_backward, wg_item, ...) finds it. */
static void check(wg_status status) {
    if (status != WG_OK) die("%s: %s", wg_last_op(), wg_last_message());
}

/* ---- the data ---------------------------------------------------------------------------------------------------- */

typedef struct dataset {
    wg_tensor *images; /* (n, 784), bytes */
    wg_tensor *labels; /* (n), int64 */
    int64_t n;
} dataset;

/* The whole file, unpacked; for free(). A file that is not packed is read as it is. */
static unsigned char *read_gzip(const char *path, size_t *n) {
    const size_t limit = (size_t)1 << 30;
    size_t capacity = (size_t)1 << 20, length = 0;
    unsigned char *bytes = malloc(capacity);
    gzFile f = gzopen(path, "rb");
    if (!f && errno == ENOENT)
        die("%s is missing: install it with 'apt install " PACKAGE "', or name its folder with --data.", path);
    if (!f) die("%s cannot be opened: %s.", path, strerror(errno));
    int got = 0;
    while (bytes && (got = gzread(f, bytes + length, (unsigned)(capacity - length))) > 0) {
        length += (size_t)got;
        if (length < capacity) continue;
        if (capacity == limit) die("%s is much too long: 'apt install --reinstall " PACKAGE "' mends it.", path);
        unsigned char *larger = realloc(bytes, capacity *= 2);
        if (!larger) free(bytes);
        bytes = larger;
    }
    if (!bytes) die("%s does not fit into memory.", path);
    /* a stream that ends in its middle shows only here */
    if (gzclose(f) != Z_OK || got < 0)
        die("%s is cut short or damaged: 'apt install --reinstall " PACKAGE "' mends it.", path);
    *n = length;
    return bytes;
}

/* A tensor over the file's bytes, which are given back when the last tensor over them is gone. */
static wg_tensor *read_idx(const char *folder, const char *name, int ndim) {
    char path[4096];
    size_t n;
    idx x;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) die("--data: the name is too long.");
    unsigned char *bytes = read_gzip(path, &n);
    const char *wrong = idx_parse(bytes, n, &x);
    if (!wrong && x.ndim != ndim) wrong = "has the wrong number of dimensions";
    if (wrong) die("%s %s: 'apt install --reinstall " PACKAGE "' mends it.", path, wrong);
    return wg_from_memory(WG_UINT8, x.ndim, x.sizes,
                          WG_MEMORY(.data = bytes + (x.data - bytes), .bytes = x.numel, .release = free, .user = bytes,
                                    .read_only = true));
}

static dataset load(const char *folder, const char *images, const char *labels) {
    dataset d = {.images = wg_flatten(read_idx(folder, images, 3), 1, -1),
                 .labels = wg_to(read_idx(folder, labels, 1), WG_INT64)};
    int64_t largest;
    d.n = wg_size(d.images, 0);
    if (d.n < 1 || wg_size(d.images, 1) != widths[0])
        die("%s/%s holds no pictures of 28 by 28 points: 'apt install --reinstall " PACKAGE "' mends it.", folder,
            images);
    if (wg_size(d.labels, 0) != d.n)
        die("%s/%s has not one label per picture: 'apt install --reinstall " PACKAGE "' mends it.", folder, labels);
    check(wg_item_i(wg_max(d.labels), &largest));
    if (largest >= CLASSES)
        die("%s/%s has a label above 9: 'apt install --reinstall " PACKAGE "' mends it.", folder, labels);
    return d;
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

typedef struct network {
    wg_tensor *parameter[PARAMETERS]; /* weight and bias of each layer, in turn */
    wg_tensor *velocity[PARAMETERS];  /* the optimizer's running sum of gradients */
} network;

/* Uniform between -bound and bound, as torch.nn.Linear starts. */
static wg_tensor *new_parameter(double bound, int ndim, const int64_t *sizes) {
    wg_tensor *p = wg_uniform_(wg_empty(ndim, sizes, NULL), -bound, bound, NULL);
    return wg_set_requires_grad(p, true);
}

static network new_network(void) {
    network net;
    for (int i = 0; i < LAYERS; i++) {
        double bound = 1 / sqrt((double)widths[i]);
        net.parameter[2 * i] = new_parameter(bound, WG_SHAPE(widths[i + 1], widths[i]));
        net.parameter[2 * i + 1] = new_parameter(bound, WG_SHAPE(widths[i + 1]));
    }
    for (int i = 0; i < PARAMETERS; i++) net.velocity[i] = wg_zeros_like(net.parameter[i], NULL);
    return net;
}

/* One number per class for each picture; the largest is the network's guess. */
static wg_tensor *forward(const network *net, wg_tensor *images) {
    wg_tensor *x = wg_div(images, wg_i(255)); /* bytes to float32 between 0 and 1 */
    for (int i = 0; i < LAYERS; i++) {
        x = wg_linear(x, net->parameter[2 * i], net->parameter[2 * i + 1]);
        if (i < LAYERS - 1) x = wg_relu(x);
    }
    return x;
}

/* torch.optim.SGD with momentum. The update is no part of the function that is differentiated: no_grad. */
static void descend(network *net, double rate) {
    WG_NO_GRAD {
        for (int i = 0; i < PARAMETERS; i++) {
            wg_tensor *p = net->parameter[i], *v = net->velocity[i];
            wg_add_(wg_mul_(v, wg_s(momentum)), wg_grad_of(p));
            wg_add_alpha_(p, v, -rate);
            check(wg_set_grad(p, NULL)); /* the next backward would add to it */
        }
    }
}

/* One step on the pictures in rows; returns the loss. All that it makes belongs to its scope and goes with it. */
static double train_step(network *net, const dataset *d, wg_tensor *rows, double rate) {
    double loss = NAN;
    WG_SCOPE {
        wg_tensor *images = wg_index_select(d->images, 0, rows), *labels = wg_index_select(d->labels, 0, rows);
        wg_tensor *out = wg_cross_entropy(forward(net, images), labels);
        check(wg_backward(out));
        descend(net, rate);
        check(wg_item(out, &loss));
    }
    return loss;
}

/* The share of d that the network names right. */
static double accuracy(const network *net, const dataset *d) {
    double right = 0;
    for (int64_t at = 0; at < d->n; at += TEST_BATCH) WG_SCOPE WG_NO_GRAD {
            int64_t n = d->n - at < TEST_BATCH ? d->n - at : TEST_BATCH;
            double hits;
            wg_tensor *guess = wg_argmax(forward(net, wg_narrow(d->images, 0, at, n)), 1, false);
            check(wg_item(wg_sum(wg_eq(guess, wg_narrow(d->labels, 0, at, n))), &hits));
            right += hits;
        }
    return right / (double)d->n;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

typedef struct run {
    uint64_t seed;
    int epochs;
    const char *data, *svg, *losses;
    FILE *record;        /* of --losses, or NULL */
    int64_t steps, step; /* all, and those done */
    int64_t images;      /* trained on so far */
    float *loss;         /* of each step */
    double start, shown; /* seconds on the monotonic clock */
} run;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* On a terminal one line that keeps changing; elsewhere, in a log say, one line per epoch. */
static void show_progress(run *r, int epoch, bool last) {
    bool terminal = isatty(STDERR_FILENO);
    double t = now(), seconds = t - r->start;
    if (!last && (!terminal || t - r->shown < 0.1)) return;
    r->shown = t;
    fprintf(stderr, "%sepoch %d/%d  step %lld/%lld  loss %.4f  %.0f images/s  %.0f s left%s", terminal ? "\r" : "",
            epoch + 1, r->epochs, (long long)r->step, (long long)r->steps, (double)r->loss[r->step - 1],
            (double)r->images / seconds, seconds / (double)r->step * (double)(r->steps - r->step),
            terminal ? "\033[K" : "\n");
    if (terminal && last) fputs("\r\033[K", stderr); /* the epoch's result takes its place */
}

/* Adds what of tensor t to the record, as a checksum of its bytes. */
static void record_checksum(const run *r, const char *what, wg_tensor *const *t, int n) {
    uLong sum = crc32(0, NULL, 0);
    if (!r->record) return;
    for (int i = 0; i < n; i++) {
        const void *data = wg_const_data(t[i]);
        if (!data) die("%s: %s", wg_last_op(), wg_last_message());
        sum = crc32(sum, data, (uInt)((size_t)wg_numel(t[i]) * wg_dtype_size(wg_dtype_of(t[i]))));
    }
    fprintf(r->record, "%s %08lx\n", what, sum);
}

static void train_epoch(run *r, network *net, const dataset *d, int epoch) {
    WG_SCOPE {
        wg_tensor *order = wg_randperm(d->n, NULL, NULL);
        record_checksum(r, "order", &order, 1);
        for (int64_t at = 0; at < d->n; at += BATCH) WG_SCOPE {
                int64_t n = d->n - at < BATCH ? d->n - at : BATCH;
                double rate = first_rate * (1 - (double)r->step / (double)r->steps);
                double loss = train_step(net, d, wg_narrow(order, 0, at, n), rate);
                r->loss[r->step++] = (float)loss;
                r->images += n;
                if (r->record) fprintf(r->record, "loss %.9g\n", loss);
                show_progress(r, epoch, at + n == d->n);
            }
    }
}

/* Trains; returns the accuracy on the test pictures after the last epoch. */
static double train(run *r, const dataset *training, const dataset *test) {
    double share = 0;
    wg_manual_seed(r->seed);
    network net = new_network();
    record_checksum(r, "weights", net.parameter, PARAMETERS);
    r->steps = (training->n + BATCH - 1) / BATCH * r->epochs;
    r->loss = malloc((size_t)r->steps * sizeof *r->loss);
    if (!r->loss) die("no memory for %lld losses.", (long long)r->steps);
    r->start = now();
    for (int epoch = 0; epoch < r->epochs; epoch++) {
        train_epoch(r, &net, training, epoch);
        share = accuracy(&net, test);
        printf("epoch %d of %d: %.2f %% of the test pictures are named right\n", epoch + 1, r->epochs, 100 * share);
        fflush(stdout);
        if (r->record) fprintf(r->record, "accuracy %.9g\n", share);
    }
    return share;
}

/* ---- the loss curve ---------------------------------------------------------------------------------------------- */

enum { WIDTH = 720, HEIGHT = 400, LEFT = 56, RIGHT = 16, TOP = 40, BOTTOM = 48 };

static double x_of(const run *r, double step) { return LEFT + (WIDTH - LEFT - RIGHT) * step / (double)r->steps; }
static double y_of(double loss, double top) { return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * loss / top; }

/* The mean of the last window losses, at every tenth step. */
static void draw_mean(FILE *f, const run *r, double top, int64_t window, const char *style) {
    fprintf(f, "<polyline fill=\"none\" %s points=\"", style);
    for (int64_t i = 9; i < r->steps; i += 10) {
        int64_t first = i < window ? 0 : i - window + 1;
        double sum = 0;
        for (int64_t j = first; j <= i; j++) sum += (double)r->loss[j];
        fprintf(f, "%.1f,%.1f ", x_of(r, (double)(i + 1)), y_of(sum / (double)(i - first + 1), top));
    }
    fputs("\"/>\n", f);
}

static void draw_axes(FILE *f, const run *r, double top) {
    for (double y = 0; y < top + 0.01; y += 0.5) {
        fprintf(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, WIDTH - RIGHT,
                y_of(y, top), y_of(y, top));
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f</text>\n", LEFT - 8, y_of(y, top) + 4, y);
    }
    int every = (r->epochs + 9) / 10;
    for (int e = 0; e <= r->epochs; e += every)
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
                x_of(r, (double)r->steps * e / r->epochs), HEIGHT - BOTTOM + 18, e);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>\n", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 10);
}

static void draw(const run *r, double share) {
    double top = 0.5;
    FILE *f = fopen(r->svg, "w");
    if (!f) die("%s cannot be written: %s.", r->svg, strerror(errno));
    for (int64_t i = 0; i < r->steps; i++)
        while (top < (double)r->loss[i] && top < 10) top += 0.5;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT);
    fprintf(f,
            "<text x=\"%d\" y=\"24\" font-size=\"15\">Fashion-MNIST, seed %llu: training loss; %.2f %% of the test "
            "pictures named right</text>\n",
            LEFT, (unsigned long long)r->seed, 100 * share);
    draw_axes(f, r, top);
    draw_mean(f, r, top, 10, "stroke=\"#9ecae1\"");
    draw_mean(f, r, top, 100, "stroke=\"#08519c\" stroke-width=\"2\"");
    fputs("</svg>\n", f);
    if (fclose(f) != 0) die("%s cannot be written: %s.", r->svg, strerror(errno));
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static void usage(void) {
    fputs("usage: fashion_mnist [--data DIR] [--seed N] [--epochs N] [--svg FILE] [--losses FILE]\n", stderr);
    exit(2);
}

static long long number(const char *text, long long least, long long most) {
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || *end || end == text || n < least || n > most) usage();
    return n;
}

static run read_options(int argc, char **argv) {
    run r = {.epochs = 5, .data = DEFAULT_DATA};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1]; /* argv ends with NULL */
        if (!value) usage();
        if (strcmp(name, "--data") == 0)
            r.data = value;
        else if (strcmp(name, "--seed") == 0)
            r.seed = (uint64_t)number(value, LLONG_MIN, LLONG_MAX);
        else if (strcmp(name, "--epochs") == 0)
            r.epochs = (int)number(value, 1, 10000);
        else if (strcmp(name, "--svg") == 0)
            r.svg = value;
        else if (strcmp(name, "--losses") == 0)
            r.losses = value;
        else
            usage();
    }
    return r;
}

int main(int argc, char **argv) {
    run r = read_options(argc, argv);
    if (r.losses && !(r.record = fopen(r.losses, "w"))) die("%s cannot be written: %s.", r.losses, strerror(errno));
    WG_SCOPE {
        dataset training = load(r.data, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz");
        dataset test = load(r.data, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz");
        double share = train(&r, &training, &test);
        if (r.svg) draw(&r, share);
        printf("After %d epochs, %.1f s: test accuracy %.2f %%\n", r.epochs, now() - r.start, 100 * share);
    }
    if (r.record && fclose(r.record) != 0) die("%s cannot be written: %s.", r.losses, strerror(errno));
    free(r.loss);
    return 0;
}
