/* Every allocation fails once, in turn: in the tutorial, in 20 training steps, and in every op of the registry,
 * forward, backward, with tangents and mapped. Expected: a status, no crash, nothing left alive, each block given back
 * with the size it was asked for, and the same program run again at once gives what it always gave.
 *
 * Three ways to fail: one request is refused by the library's own door (wg__alloc_fail_at), one is refused by the
 * host's allocator, or all from one on are. And one way to start: in a process that has not used the library yet, so
 * that what is made only once (a thread's lists, the pool, the generator, the error slot) fails as well.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/alloc.h"
#include "support/samples.h"
#include "wengert/wengert.h"

/* ---- the tutorial, as it stands in examples/; its exit comes back here, its output goes to a file ---------------- */

static FILE *screen;
static jmp_buf stopped;
static int put_line(const char *text) { return fprintf(screen, "%s\n", text); }

int tutorial_main(int argc, char **argv);
#define main tutorial_main
#define exit(code) longjmp(stopped, (code))
#undef stdout
#define stdout screen
#undef stderr
#define stderr screen
#define puts put_line
#define printf(...) fprintf(screen, __VA_ARGS__)
#include "../../examples/tutorial.c"
#undef main
#undef exit
#undef stdout
#undef stderr
#undef puts
#undef printf

/* ---- programs: each writes what it found into text; false when a call of the library failed ---------------------- */

#define TEXT_BYTES 8192
typedef bool (*program)(char *text);

/* Addresses differ from run to run. */
static void blank_addresses(char *text) {
    for (char *p = text; (p = strstr(p, "0x")) != NULL; p += 2)
        for (char *q = p + 2; strchr("0123456789abcdef", *q) && *q; q++) *q = '#';
    char *to = text;
    for (const char *p = text; *p; p++)
        if (*p != '#') *to++ = *p;
    *to = 0;
}

static int run_main(void) {
    static char name[] = "tutorial", seed[] = "3", *argv[] = {name, seed, NULL};
    return setjmp(stopped) == 0 ? tutorial_main(2, argv) : 1;
}
static bool run_tutorial(char *text) {
    memset(text, 0, TEXT_BYTES);
    screen = fmemopen(text, TEXT_BYTES - 1, "w");
    if (!screen) return false;
    size_t mark = wg_scope_open();
    int code = run_main();
    wg_scope_close(mark);
    fclose(screen);
    blank_addresses(text);
    return code == 0;
}

/* Two layers, cross-entropy, plain gradient descent: the losses, with all digits. */
typedef struct model {
    wg_tensor *x, *target, *w[2], *b[2];
} model;
static model make_model(void) {
    static const int64_t classes[8] = {0, 1, 2, 0, 1, 2, 1, 0};
    wg_options leaf = {.size = sizeof(leaf), .requires_grad = true};
    return (model){.x = wg_randn(WG_SHAPE(8, 5), NULL, NULL),
                   .target = wg_from_data(classes, WG_INT64, WG_SHAPE(8), NULL),
                   .w = {wg_randn(WG_SHAPE(16, 5), &leaf, NULL), wg_randn(WG_SHAPE(3, 16), &leaf, NULL)},
                   .b = {wg_zeros(WG_SHAPE(16), &leaf), wg_zeros(WG_SHAPE(3), &leaf)}};
}
static wg_status descend(wg_tensor *parameter) {
    wg_status st;
    WG_NO_GRAD { wg_add_alpha_(parameter, wg_grad_of(parameter), -0.1); }
    st = wg_set_grad(parameter, NULL);
    return st;
}
static wg_status train_step(const model *m, double *loss) {
    wg_tensor *h = wg_relu(wg_linear(m->x, m->w[0], m->b[0]));
    wg_tensor *l = wg_cross_entropy(wg_linear(h, m->w[1], m->b[1]), m->target);
    wg_status st = wg_backward(l);
    for (int i = 0; i < 2 && st == WG_OK; i++) {
        st = descend(m->w[i]);
        if (st == WG_OK) st = descend(m->b[i]);
    }
    return st == WG_OK ? wg_item(l, loss) : st;
}
static bool run_training(char *text) {
    wg_status st = WG_OK;
    size_t used = 0;
    wg_manual_seed(5);
    WG_SCOPE {
        model m = make_model();
        for (int step = 0; step < 20 && st == WG_OK; step++) WG_SCOPE {
                double loss = NAN;
                st = train_step(&m, &loss);
                used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%.9g\n", loss);
            }
    }
    return st == WG_OK;
}

/* ---- one sample of an op, in every mode -------------------------------------------------------------------------- */

static const sample *current; /* made before anything fails */

static bool floating_input(const sample *s, int i) {
    return s->in[i] && wg_dtype_is_floating(wg_dtype_of(s->in[i])) && !(s->in[i]->flags & TF_NUMBER);
}
static wg_tensor *call(void *user, wg_tensor *const *in, int nin) {
    const sample *s = user;
    wg_tensor *all[MAX_SAMPLE_IN], *out[8];
    int k = 0;
    (void)nin;
    for (int i = 0; i < s->nin; i++) all[i] = floating_input(s, i) ? in[k++] : s->in[i];
    return sample_call(s, all, out) == WG_OK ? out[0] : WG_POISON;
}
/* Sum of a result's elements; NaN when it cannot be had. */
static double total(wg_tensor *t) {
    double v = NAN;
    if (t && wg_item(wg_sum(wg_to(t, WG_FLOAT64)), &v) != WG_OK) return NAN;
    return v;
}
static bool settle(char *text, size_t *used, const char *what, double v) {
    *used += (size_t)snprintf(text + *used, TEXT_BYTES - *used, "%s %.12g\n", what, v);
    return !wg_error_pending();
}

/* Errors that the op itself raises (no backward, no forward mode) are part of the text; those of memory end the run. */
static bool tolerable(char *text, size_t *used) {
    if (wg_last_status() == WG_ERR_MEMORY) return false;
    *used += (size_t)snprintf(text + *used, TEXT_BYTES - *used, "refused: %.40s\n", wg_last_message());
    wg_clear_error();
    return true;
}
static bool in_all_modes(const sample *s, char *text, size_t *used) {
    wg_tensor *in[MAX_SAMPLE_IN], *tangents[MAX_SAMPLE_IN], *batch[MAX_SAMPLE_IN], *grads[MAX_SAMPLE_IN], *dt = NULL;
    int64_t dims[MAX_SAMPLE_IN] = {0};
    int n = 0;
    for (int i = 0; i < s->nin; i++) {
        if (!floating_input(s, i)) continue;
        in[n] = wg_set_requires_grad(wg_clone(s->in[i]), true);
        tangents[n] = wg_ones_like(s->in[i], NULL);
        batch[n++] = wg_stack(WG_TENSORS(s->in[i], s->in[i]), 0);
    }
    wg_tensor *y = call((void *)(uintptr_t)s, in, n);
    if (!settle(text, used, "value", total(y)) && !tolerable(text, used)) return false;
    if (n == 0) return true;
    if (wg_requires_grad(y)) {
        wg_status st = wg_grad(&y, 1, in, n, (wg_tensor *[]){wg_ones_like(y, NULL)},
                               WG_WALK(.allow_unused = true, .create_graph = true), grads);
        for (int i = 0; i < n && st == WG_OK; i++) settle(text, used, "gradient", total(grads[i]));
        if (wg_error_pending() && !tolerable(text, used)) return false;
    }
    wg_jvp(call, (void *)(uintptr_t)s, in, tangents, n, &dt);
    if (!settle(text, used, "tangent", total(dt)) && !tolerable(text, used)) return false;
    wg_tensor *mapped = wg_vmap(call, (void *)(uintptr_t)s, batch, dims, n, 0);
    return settle(text, used, "mapped", total(mapped)) || tolerable(text, used);
}
static bool run_sample(char *text) {
    bool done = false;
    size_t used = 0;
    WG_SCOPE { done = in_all_modes(current, text, &used); }
    return done;
}

/* ---- a host that counts ------------------------------------------------------------------------------------------ */

/* Before each block: what was asked for. */
typedef struct header {
    size_t bytes, space;
    uint64_t magic;
} header;
#define MAGIC 0x57656e6765727421u

static struct {
    int64_t requests, blocks, bytes;
    int64_t fail_at;
    bool and_all_after, wrong_size;
} host = {.fail_at = -1};

static void *host_allocate(void *user, size_t bytes, size_t alignment) {
    (void)user;
    int64_t k = host.requests++;
    if (host.fail_at >= 0 && (k == host.fail_at || (host.and_all_after && k > host.fail_at))) return NULL;
    size_t space = (sizeof(header) + alignment - 1) / alignment * alignment;
    char *p;
    if (posix_memalign((void **)&p, alignment < sizeof(void *) ? sizeof(void *) : alignment, space + bytes))
        return NULL;
    header *h = (header *)(void *)(p + space) - 1;
    *h = (header){.bytes = bytes, .space = space, .magic = MAGIC};
    memset(p + space, 0xA5, bytes); /* nothing may rely on zeros */
    host.blocks++;
    host.bytes += (int64_t)bytes;
    return p + space;
}
static void host_deallocate(void *user, void *p, size_t bytes) {
    (void)user;
    header *h = (header *)p - 1;
    if (h->magic != MAGIC || h->bytes != bytes) host.wrong_size = true;
    h->magic = 0;
    host.blocks--;
    host.bytes -= (int64_t)bytes;
    free((char *)p - h->space);
}
static const wg_host counting_host = {
    .size = sizeof(wg_host), .allocate = host_allocate, .deallocate = host_deallocate};

/* ---- the three ways ---------------------------------------------------------------------------------------------- */

enum way { DOOR, HOST_ONCE, HOST_FROM_NOW_ON, WAYS };

static void arm(enum way way, int64_t k) {
    if (way == DOOR) wg__alloc_fail_at(k);
    host.fail_at = way == DOOR ? -1 : k;
    host.and_all_after = way == HOST_FROM_NOW_ON;
    host.requests = 0;
}
static void disarm(void) {
    wg__alloc_fail_at(-1);
    host.fail_at = -1;
}

/* What there is before a run, and must be there again after it. */
typedef struct balance {
    int64_t tensors, nodes, blocks;
    size_t bytes;
} balance;
static balance take_stock(void) {
    wg_memory_stats m = {.size = sizeof(m)};
    wg_empty_cache();
    wg_memory_stats_get(&m);
    return (balance){m.live_tensors, m.live_nodes, host.blocks, m.live_bytes};
}
/* NULL, or what is wrong. */
static const char *disorder(const balance *before) {
    static char message[200];
    balance now = take_stock();
    if (host.wrong_size) return "a block was given back with another size than it was asked for";
    if (!wg_grad_enabled()) return "gradients are off";
    if (memcmp(&now, before, sizeof(now)) == 0) return NULL;
    snprintf(message, sizeof(message),
             "%lld tensors, %lld nodes, %lld bytes of elements, %lld blocks were not given back",
             (long long)(now.tensors - before->tensors), (long long)(now.nodes - before->nodes),
             (long long)(now.bytes - before->bytes), (long long)(now.blocks - before->blocks));
    return message;
}

static char reference[TEXT_BYTES], text[TEXT_BYTES];

/* Fails request k of a run, then runs again. Returns false when there is no request k. */
static bool fail_one(program run, enum way way, int64_t k, const balance *before_all) {
    memset(text, 0, sizeof(text));
    wg_empty_cache();
    arm(way, k);
    int64_t before = wg__alloc_requests();
    bool done = run(text);
    bool happened = way == DOOR ? wg__alloc_requests() - before > k : host.requests > k;
    disarm();
    if (done && strcmp(text, reference) != 0)
        fail_msg("request %lld: no error, but another result:\n%s", (long long)k, text);
    if (!done && !wg_last_status()) fail_msg("request %lld: failed without a status", (long long)k);
    if (!done && wg_last_status() != WG_ERR_MEMORY)
        fail_msg("request %lld: %s: %s", (long long)k, wg_last_op(), wg_last_message());
    wg_clear_error();
    const char *wrong = disorder(before_all);
    if (wrong) fail_msg("request %lld refused: %s", (long long)k, wrong);
    if (!happened) return false;
    memset(text, 0, sizeof(text));
    if (!run(text)) fail_msg("request %lld: the run after it failed: %s", (long long)k, wg_last_message());
    if (strcmp(text, reference) != 0)
        fail_msg("request %lld: the run after it gave another result:\n%s", (long long)k, text);
    wrong = disorder(before_all);
    if (wrong) fail_msg("the run after request %lld was refused: %s", (long long)k, wrong);
    return true;
}

static int64_t refused;

static void fail_each(program run) {
    memset(reference, 0, sizeof(reference));
    if (!run(reference)) fail_msg("without any failure: %s", wg_last_message());
    balance before = take_stock(); /* after a run, for some things stay for good */
    for (int way = 0; way < WAYS; way++)
        for (int64_t k = 0; fail_one(run, way, k, &before); k++) refused++;
}

static int set_host(void **state) { return (void)state, wg_set_host(&counting_host) != WG_OK; }
static int unset_host(void **state) {
    (void)state;
    disarm();
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return wg_set_host(NULL) != WG_OK || m.live_tensors || m.live_nodes;
}

static void test_tutorial(void **state) { (void)state, fail_each(run_tutorial); }
static void test_training(void **state) { (void)state, fail_each(run_training); }

/* The k-th sample of op; false past the last. */
static bool fail_sample(const wg_op *op, int k) {
    bool more = false;
    WG_SCOPE {
        sample s;
        more = sample_make(op, k, &s);
        wg_clear_error();
        if (!more) break;
        if (getenv("WG_VERBOSE")) print_message("%s %d\n", op->name, k);
        current = &s;
        fail_each(run_sample);
    }
    return more;
}
static void test_every_op(void **state) {
    (void)state;
    int samples = 0;
    const wg_op *op;
    for (int i = 0; (op = wg__op_at(i)); i++) {
        if (!op->shape && !(op->traits & WG_POINTWISE)) continue; /* composite: its parts are here */
        for (int k = 0; fail_sample(op, k); k++) samples++;
    }
    assert_true(samples >= 100);
}

/* ---- in a fresh process ------------------------------------------------------------------------------------------ */

/* What a child tells: this memory is shared with it. */
static struct report {
    int64_t requests;
    bool happened;
    char reference[TEXT_BYTES], message[TEXT_BYTES + 200];
} * report;

static void child(program run, int64_t k) {
    wg__alloc_fail_at(k);
    bool done = run(text);
    wg__alloc_fail_at(-1);
    report->happened = k >= 0 && wg__alloc_requests() > k;
    report->requests = wg__alloc_requests();
    if (k < 0) {
        snprintf(report->reference, TEXT_BYTES, "%s", text);
        return;
    }
    if (done ? strcmp(text, report->reference) != 0 : wg_last_status() != WG_ERR_MEMORY)
        snprintf(report->message, sizeof(report->message), "%.150s\n%s", wg_last_message(), text);
    wg_clear_error();
    const char *wrong = disorder(&(balance){.blocks = host.blocks});
    if (wrong) snprintf(report->message, TEXT_BYTES, "%s", wrong);
    memset(text, 0, sizeof(text));
    if (!run(text) || strcmp(text, report->reference) != 0)
        snprintf(report->message, sizeof(report->message), "the run after it: %.150s\n%s", wg_last_message(), text);
}

/* Runs a child to its end, its exit handlers and a leak checker's included. */
static void in_child(program run, int64_t k) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child(run, k);
        exit(report->message[0] ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (report->message[0]) fail_msg("request %lld: %s", (long long)k, report->message);
    if (status != 0) fail_msg("request %lld: the process ended with %d", (long long)k, status);
}

static void fresh_each(program run) {
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(report, MAP_FAILED);
    in_child(run, -1);
    assert_true(report->requests > 10 && report->reference[0]);
    int64_t k = 0;
    do in_child(run, k++);
    while (report->happened);
    refused += k;
    munmap(report, sizeof(*report));
}

static void test_tutorial_fresh(void **state) { (void)state, fresh_each(run_tutorial); }
static void test_training_fresh(void **state) { (void)state, fresh_each(run_training); }

int main(void) {
    /* The fresh ones come first: this process must not have called the library when it forks. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tutorial_fresh),
        cmocka_unit_test(test_training_fresh),
        cmocka_unit_test_setup_teardown(test_tutorial, set_host, unset_host),
        cmocka_unit_test_setup_teardown(test_training, set_host, unset_host),
        cmocka_unit_test_setup_teardown(test_every_op, set_host, unset_host),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("allocation failure: %lld requests refused\n", (long long)refused);
    return failed;
}
