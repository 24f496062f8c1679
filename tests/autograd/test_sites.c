/* Call sites: the place of the public call that made a node, wrote a value, freed a graph; what rules make inherits the
 * forward's place. As text: function, file and line when libdw and debug information are there, else module and offset.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "checks.h"

/* A function of its own, so that it has a name in the text; clang would merge calls from several lines into one. */
#ifdef __clang__
#define FAR __attribute__((noinline, optnone))
#else
#define FAR __attribute__((noinline))
#endif

/* ---- comparing places -------------------------------------------------------------------------------------------- */

static bool have_libdw(void) {
    static int known = -1;
    if (known < 0) {
        void *h = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
        known = h != NULL;
        if (h)
            dlclose(h);
        else
            print_message("no libdw here: places are checked as module and offset\n");
    }
    return known;
}

/* "function (test_sites.c:12)", or what can be known without debug information. */
static void place_text(char *text, size_t size, const char *function, int line) {
    if (have_libdw())
        snprintf(text, size, "%s (test_sites.c:%d)", function, line);
    else
        snprintf(text, size, "autograd_test_sites+0x");
}
#define ASSERT_PLACE(site, function, line)                                                                             \
    do {                                                                                                               \
        char got_[300], want_[300];                                                                                    \
        wg_site_text((site), got_, sizeof(got_));                                                                      \
        place_text(want_, sizeof(want_), (function), (line));                                                          \
        if (have_libdw())                                                                                              \
            assert_string_equal(got_, want_);                                                                          \
        else                                                                                                           \
            assert_true(strncmp(got_, want_, strlen(want_)) == 0);                                                     \
    } while (0)
/* The unread message says before that place; reads it. */
#define ASSERT_MESSAGE_PLACE(before, function, line)                                                                   \
    do {                                                                                                               \
        char place_[300], want_[400];                                                                                  \
        place_text(place_, sizeof(place_), (function), (line));                                                        \
        snprintf(want_, sizeof(want_), "%s%s", (before), place_);                                                      \
        if (!strstr(wg_last_message(), want_)) fail_msg("\"%s\" is not in \"%s\"", want_, wg_last_message());          \
    } while (0)

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* Below, a line is what is tested: one call on it, with its number. */
/* clang-format off */
static int square_line, total_line;
FAR static wg_tensor *square_here(wg_tensor *x) {
    square_line = __LINE__; wg_tensor *y = wg_mul(x, x);
    return y;
}
FAR static wg_tensor *total_here(wg_tensor *x) {
    total_line = __LINE__; wg_tensor *y = wg_sum(x, .keepdim = false);
    return y;
}

/* clang-format on */

static void test_a_node_knows_its_call(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = square_here(x), *z = total_here(y);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(y)), "square_here", square_line);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(z)), "total_here", total_line);
    assert_ptr_not_equal(wg_node_site(wg_grad_fn(y)), wg_node_site(wg_grad_fn(z)));
    assert_null(wg_node_site(NULL));
}

static void each_node(wg_node *n, void (*f)(wg_node *n, void *user), void *user) {
    int nr;
    if (!n || wg_node_variable(n)) return;
    f(n, user);
    for (int i = 0; i < wg_node_inputs(n); i++) each_node(wg_node_next(n, i, &nr), f, user);
}
typedef struct places {
    void *allowed[2];
    int n, seen, strange;
} places;
static void among(wg_node *n, void *user) {
    places *p = user;
    bool ok = false;
    for (int i = 0; i < p->n; i++) ok |= wg_node_site(n) == p->allowed[i];
    p->seen++;
    p->strange += !ok;
}

/* One public call per line. */
/* clang-format off */
static int composed_line;
#define CALL(number, ...)                                                                                              \
    case number: composed_line = __LINE__; y = __VA_ARGS__; break;
FAR static wg_tensor *composed_here(wg_tensor *x, wg_tensor *w, wg_tensor *b, int k) {
    wg_tensor *target = wg_to(VEC(0, 1), WG_INT64), *mask = wg_gt(w, wg_s(0)), *y = NULL, *parts[2] = {NULL, NULL};
    wg_arg boxed[2] = {{.tag = WG_TAG_TENSOR, .v.t = x}, {.tag = WG_TAG_TENSOR, .v.t = w}};
    int n = 0;
    switch (k) {
    CALL(0, wg_linear(x, w, b))
    CALL(1, wg_cross_entropy(x, target))
    CALL(2, wg_matmul(wg_detach(w), x))
    CALL(3, wg_std(x, .dims = WG_DIMS(0)))
    CALL(4, wg_flatten(x, 0, 1))
    CALL(5, wg_mse_loss(x, w))
    CALL(6, wg_narrow(x, 0, 0, 1))
    CALL(7, wg_square(x))
    CALL(8, wg_reshape(x, WG_SHAPE(4)))
    CALL(9, wg_reshape(x, WG_SHAPE(-1, 1)))
    CALL(10, wg_view(x, WG_SHAPE(4)))
    CALL(11, wg_t(x))
    CALL(12, wg_mT(x))
    CALL(13, wg_permute(x, WG_SHAPE(1, 0)))
    CALL(14, wg_expand_as(x, w))
    CALL(15, wg_squeeze(x))
    CALL(16, wg_squeeze_dims(x, WG_SHAPE(0, 1)))
    CALL(17, wg_clone(x))
    CALL(18, wg_to(x, WG_FLOAT64))
    CALL(19, wg_cat(WG_TENSORS(x, x), 0))
    CALL(20, wg_stack(WG_TENSORS(x, x), 0))
    CALL(21, wg_index(x, WG_TENSORS(target)))
    CALL(22, wg_index(x, WG_TENSORS(mask)))
    CALL(23, wg_index_put(x, WG_TENSORS(target), wg_s(1), false))
    CALL(24, wg_index_fill(x, 0, target, wg_s(1)))
    CALL(25, wg_index_select(x, 0, target))
    CALL(26, wg_gather(x, 0, wg_unsqueeze(target, 1)))
    CALL(27, wg_scatter_add(x, 0, wg_unsqueeze(target, 1), w))
    CALL(28, wg_embedding(x, target, -1))
    CALL(29, wg_masked_fill(x, mask, wg_s(1)))
    CALL(30, wg_where(mask, x, w))
    CALL(31, wg_clamp(x, wg_s(0), wg_s(2)))
    CALL(32, wg_clamp_min(x, wg_s(0)))
    CALL(33, wg_clamp_max(x, w))
    CALL(34, wg_rsub(x, w))
    CALL(35, wg_add_alpha(x, w, 2))
    CALL(36, wg_pow(x, wg_i(2)))
    CALL(37, wg_pow(wg_s(2), x))
    CALL(38, wg_norm(x))
    CALL(39, wg_norm_opt(x, INFINITY, NULL))
    CALL(40, wg_var(x))
    CALL(41, wg_prod(x))
    CALL(42, wg_amax(x))
    CALL(43, wg_logsumexp(x, .dims = WG_DIMS(0, 1)))
    CALL(44, wg_max(x))
    CALL(45, wg_max_dim(x, 0, false, NULL))
    CALL(46, wg_sort(x, 0, false, true, NULL))
    CALL(47, wg_softmax(x, 0))
    CALL(48, wg_log_softmax(x, -1))
    CALL(49, wg_nll_loss(x, target))
    CALL(50, wg_mv(x, b))
    CALL(51, wg_mm(x, w))
    CALL(52, wg_addmm(w, x, w))
    CALL(53, wg_addmm_scaled(b, x, w, 0.5, 2))
    CALL(54, wg_matmul(x, b))
    CALL(55, wg_matmul(b, x))
    CALL(56, wg_matmul(wg_expand(wg_unsqueeze(w, 0), WG_SHAPE(3, 2, 2)), x))
    CALL(57, wg_unbind(x, 0, parts, 2, &n) == WG_OK ? parts[1] : NULL)
    CALL(58, wg_chunk(x, 2, 0, parts, 2, &n) == WG_OK ? parts[1] : NULL)
    CALL(59, wg_split_sizes(x, WG_DIMS(1, 1), 1, parts, 2, &n) == WG_OK ? parts[1] : NULL)
    CALL(60, wg_call_op("mul", boxed, 2, parts, 2, &n) == WG_OK ? parts[0] : NULL)
    default: break;
    }
    return y;
}
/* clang-format on */
static void test_a_composed_op_is_one_call(void **state) {
    (void)state;
    int calls = 0;
    for (int k = 0;; k++, calls++) {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true)), *w = wg_ones(WG_SHAPE(2, 2), NULL);
        composed_line = 0;
        wg_tensor *y = composed_here(x, w, VEC(1, 2), k);
        if (composed_line == 0) break;
        wg_node *n = wg_grad_fn(ASSERT_GOOD(y));
        if (!n) fail_msg("line %d: no history", composed_line);
        places p = {.allowed = {wg_node_site(n)}, .n = 1};
        ASSERT_PLACE(wg_node_site(n), "composed_here", composed_line);
        each_node(n, among, &p);
        if (p.strange) fail_msg("line %d: %d of %d nodes name another place", composed_line, p.strange, p.seen);
    }
    assert_true(calls > 50);
}

static void test_rules_inherit_the_forward(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = square_here(wg_exp(x)), *z = total_here(y);
    void *forward = wg_node_site(wg_grad_fn(y));
    wg_tensor *g = wg_grad1(z, y, true);
    assert_null(wg_grad_fn(g)); /* the gradient of a sum is constant */
    wg_tensor *slope = wg_grad1(z, x, true), *again = wg_grad1(wg_sum(slope), x, true);
    int nr;
    wg_node *exponential = wg_node_next(wg_grad_fn(y), 0, &nr);
    places p = {.allowed = {forward, wg_node_site(exponential)}, .n = 2};
    each_node(wg_grad_fn(slope), among, &p);
    assert_true(p.seen > 3);
    assert_int_equal(p.strange, 0);
    assert_ptr_equal(wg_node_site(wg_grad_fn(slope)), wg_node_site(exponential));
    assert_non_null(wg_grad_fn(again));
}

/* ---- functions, transforms --------------------------------------------------------------------------------------- */

static wg_tensor *mapped(void *user, wg_tensor *const *in, int nin) {
    (void)nin;
    wg_tensor *y = square_here(in[0]);
    *(void **)user = wg_requires_grad(y) ? wg_node_site(wg_grad_fn(y)) : NULL;
    return y;
}
static void test_inside_transforms(void **state) {
    (void)state;
    void *seen = NULL;
    wg_tensor *x = LEAF(1, 2), *t = VEC(1, 1), *dy = NULL, *y = wg_jvp(mapped, &seen, &x, &t, 1, &dy);
    ASSERT_PLACE(seen, "square_here", square_line);
    places p = {.allowed = {seen}, .n = 1};
    each_node(wg_grad_fn(dy), among, &p); /* the nodes of the tangent too */
    int nr;
    wg_node *n = wg_grad_fn(y);
    while (n && strcmp(wg_node_name(n), "MulBackward0") != 0) n = wg_node_next(n, 0, &nr);
    ASSERT_PLACE(wg_node_site(n), "square_here", square_line);
    wg_tensor *r = wg_vmap(mapped, &seen, &x, (int64_t[]){0}, 1, 0);
    for (n = wg_grad_fn(r); n && strcmp(wg_node_name(n), "MulBackward0") != 0;) n = wg_node_next(n, 0, &nr);
    ASSERT_PLACE(wg_node_site(n), "square_here", square_line);
}

static wg_status double_forward(wg_context *ctx, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)ctx, (void)nin, (void)nout;
    out[0] = wg_mul(in[0], wg_s(2));
    return WG_OK;
}
static wg_status double_vjp(wg_context *ctx, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)ctx, (void)nin, (void)nout;
    gi[0] = wg_mul(g[0], wg_s(2));
    return WG_OK;
}
/* clang-format off */
static int apply_line;
FAR static wg_tensor *apply_here(wg_tensor *x) {
    static const wg_function f = {.size = sizeof(f), .name = "Double", .forward = double_forward, .vjp = double_vjp};
    wg_tensor *out = NULL;
    apply_line = __LINE__; wg_status s = wg_function_apply(&f, NULL, &x, 1, &out, 1);
    return s == WG_OK ? out : NULL;
}
/* clang-format on */
static void test_custom_function(void **state) {
    (void)state;
    wg_tensor *y = apply_here(LEAF(1, 2));
    assert_non_null(y);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(y)), "apply_here", apply_line);
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

/* clang-format off */
static int write_line;
FAR static bool write_here(wg_tensor *y, int k) {
    const float row[2] = {5, 6};
    bool ok = false;
    wg_generator *none = NULL;
    switch (k) {
    case 0: write_line = __LINE__; ok = !wg_is_poison(wg_add_(y, wg_i(1))); break;
    case 1: write_line = __LINE__; ok = wg_copy_in(y, WG_FLOAT32, row, sizeof(row)) == WG_OK; break;
    case 2: write_line = __LINE__; ok = wg_increment_version(y) == WG_OK; break;
    case 3: write_line = __LINE__; ok = !wg_is_poison(wg_normal_(y, 0, 1, none)); break;
    case 4: write_line = __LINE__; ok = !wg_is_poison(wg_zero_(y)); break;
    case 5: write_line = __LINE__; ok = !wg_is_poison(wg_copy_(y, VEC(1, 1))); break;
    default: write_line = __LINE__; ok = !wg_is_poison(wg_fill_(wg_select(y, 0, 0), wg_i(1))); break;
    }
    return ok;
}
/* clang-format on */
enum { WRITES = 7 };

static void test_version_error_names_both_places(void **state) {
    (void)state;
    for (int k = 0; k < WRITES; k++) {
        wg_tensor *x = LEAF(1, 2), *b = wg_clone(x), *y = square_here(b);
        if (k == 2)
            assert_true(write_here(b, k));
        else
            WG_NO_GRAD { assert_true(write_here(b, k)); }
        assert_int_equal(check_sum_backward(y), WG_ERR_RUNTIME);
        ASSERT_MESSAGE_PLACE("MulBackward0, made at ", "square_here", square_line);
        ASSERT_MESSAGE_PLACE("the last write was at ", "write_here", write_line);
        wg_clear_error();
    }
    wg_tensor *x = LEAF(1, 2), *y = square_here(wg_clone(x)), *b = wg_node_saved(wg_grad_fn(y), 0);
    WG_NO_GRAD {
        assert_true(write_here(b, 0));
        wg_mul_(b, wg_s(2));
    }
    int last = __LINE__ - 2;
    assert_int_equal(check_sum_backward(y), WG_ERR_RUNTIME);
    ASSERT_MESSAGE_PLACE("the last write was at ", "test_version_error_names_both_places", last);
    wg_clear_error();
}

static void test_history_of_a_write(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *b = wg_clone(x), *whole = wg_alias(b);
    assert_true(write_here(b, 0));
    ASSERT_PLACE(wg_node_site(wg_grad_fn(b)), "write_here", write_line);
    assert_true(write_here(b, 6)); /* through a view: CopySlices, and what the views of it become */
    assert_string_equal(wg_node_name(wg_grad_fn(b)), COPY_SLICES);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(b)), "write_here", write_line);
    assert_string_equal(wg_node_name(wg_grad_fn(whole)), "AsStridedBackward0");
    ASSERT_PLACE(wg_node_site(wg_grad_fn(whole)), "write_here", write_line);
}

/* ---- freed graphs ------------------------------------------------------------------------------------------------ */

/* clang-format off */
static int backward_line;
FAR static wg_status backward_here(wg_tensor *y, int k) {
    wg_tensor *g = NULL, *const outputs[1] = {y}, *const no[1] = {NULL};
    wg_status s = WG_OK;
    switch (k) {
    case 0: backward_line = __LINE__; s = wg_backward(y); break;
    case 1: backward_line = __LINE__; s = wg_backward_with(y, wg_ones_like(y, NULL)); break;
    case 2: backward_line = __LINE__; s = wg_backward_opt(outputs, 1, no, NULL); break;
    default: backward_line = __LINE__; s = wg_grad(outputs, 1, outputs, 0, NULL, NULL, &g); break;
    }
    return s;
}
/* clang-format on */
static void test_second_time_names_both_places(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        wg_tensor *x = LEAF(1, 2), *y = total_here(square_here(x));
        ASSERT_OK(backward_here(y, k));
        int freed = backward_line;
        assert_int_equal(backward_here(y, (k + 1) % 3), WG_ERR_RUNTIME);
        ASSERT_MESSAGE_PLACE("MulBackward0, made at ", "square_here", square_line);
        ASSERT_MESSAGE_PLACE("was freed by the backward at ", "backward_here", freed);
        wg_clear_error();
    }
    wg_tensor *x = LEAF(1, 2), *y = total_here(square_here(x)), *g = wg_grad1(y, x, false);
    int freed = __LINE__ - 1;
    ASSERT_VALUES(g, 2, 4);
    assert_true(wg_is_poison(wg_grad1(y, x, false)));
    ASSERT_MESSAGE_PLACE("was freed by the backward at ", "test_second_time_names_both_places", freed);
    wg_clear_error();
}

/* ---- words of a binding ------------------------------------------------------------------------------------------ */

static int word_a, word_b;
static size_t name_of_word(void *user, void *site, char *text, size_t size) {
    ++*(int *)user;
    return (size_t)snprintf(text, size, "<%s>", site == &word_a ? "first" : site == &word_b ? "second" : "other");
}

static void test_pinned_words(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    assert_null(wg_pin_site(&word_a));
    wg_tensor *y = square_here(x), *l = wg_linear(wg_unsqueeze(x, 0), wg_ones(WG_SHAPE(2, 2), NULL), VEC(1, 1));
    assert_ptr_equal(wg_pin_site(&word_b), &word_a);
    wg_tensor *z = total_here(y);
    assert_ptr_equal(wg_pin_site(NULL), &word_b);
    assert_ptr_equal(wg_node_site(wg_grad_fn(y)), &word_a);
    assert_ptr_equal(wg_node_site(wg_grad_fn(z)), &word_b);
    places p = {.allowed = {&word_a}, .n = 1};
    each_node(wg_grad_fn(l), among, &p);
    assert_true(p.seen > 1 && !p.strange);
    wg_tensor *w = square_here(x);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(w)), "square_here", square_line);
    /* pinned while a rule runs: the rule's nodes still belong to the forward */
    wg_pin_site(&word_b);
    wg_tensor *g = wg_grad1(z, x, true);
    wg_pin_site(NULL);
    assert_ptr_equal(wg_node_site(wg_grad_fn(g)), &word_a);
}

static void test_resolver(void **state) {
    (void)state;
    int calls = 0;
    char text[100];
    wg_set_site_resolver(name_of_word, &calls);
    wg_site_text(&word_a, text, sizeof(text));
    assert_string_equal(text, "<first>");
    wg_site_text(NULL, text, sizeof(text));
    assert_string_equal(text, "an unknown place");
    assert_int_equal(calls, 1);
    wg_tensor *x = LEAF(1, 2), *b = wg_clone(x);
    wg_pin_site(&word_a);
    wg_tensor *y = square_here(b);
    wg_pin_site(&word_b);
    wg_add_(b, wg_i(1));
    wg_pin_site(NULL);
    assert_int_equal(check_sum_backward(y), WG_ERR_RUNTIME);
    assert_non_null(
        strstr(wg_last_message(), "MulBackward0, made at <first>, saved it; the last write was at <second>"));
    wg_clear_error();
    wg_tensor *z = wg_sum(wg_mul(x, x));
    wg_pin_site(&word_b);
    ASSERT_OK(wg_backward(z));
    wg_pin_site(NULL);
    assert_int_equal(wg_backward(z), WG_ERR_RUNTIME);
    assert_non_null(strstr(wg_last_message(), "made at <other>, was freed by the backward at <second>"));
    wg_clear_error();
    wg_set_site_resolver(NULL, NULL);
    y = square_here(x);
    ASSERT_PLACE(wg_node_site(wg_grad_fn(y)), "square_here", square_line);
}

static void *other_thread(void *arg) {
    *(void **)arg = wg_pin_site(NULL);
    return NULL;
}
static void test_a_pin_is_the_threads_own(void **state) {
    (void)state;
    void *seen = &word_b;
    pthread_t thread;
    wg_pin_site(&word_a);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &seen), 0);
    pthread_join(thread, NULL);
    assert_ptr_equal(wg_pin_site(NULL), &word_a);
    assert_null(seen);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void test_places_without_debug_information(void **state) {
    (void)state;
    char text[300], few[8];
    wg_site_text((void *)(uintptr_t)16, text, sizeof(text));
    assert_true(strncmp(text, "address 0x", 10) == 0);
    void *libc = dlsym(RTLD_DEFAULT, "abort");
    assert_non_null(libc);
    wg_site_text((char *)libc + 1, text, sizeof(text));
    assert_true(strstr(text, "libc") || strstr(text, "abort")); /* with its debug information: abort (abort.c:…) */
    wg_tensor *y = square_here(LEAF(1));
    wg_site_text(wg_node_site(wg_grad_fn(y)), few, sizeof(few));
    assert_true(strlen(few) == sizeof(few) - 1);
    assert_int_equal(wg_site_text(&word_a, NULL, 0), 0);
    assert_int_equal(wg_site_text(&word_a, few, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_a_node_knows_its_call),
        CHECK_TEST(test_a_composed_op_is_one_call),
        CHECK_TEST(test_rules_inherit_the_forward),
        CHECK_TEST(test_inside_transforms),
        CHECK_TEST(test_custom_function),
        CHECK_TEST(test_version_error_names_both_places),
        CHECK_TEST(test_history_of_a_write),
        CHECK_TEST(test_second_time_names_both_places),
        CHECK_TEST(test_pinned_words),
        CHECK_TEST(test_resolver),
        CHECK_TEST(test_a_pin_is_the_threads_own),
        CHECK_TEST(test_places_without_debug_information),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
