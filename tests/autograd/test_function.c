/* Custom functions (rules F1, F3-F6, F8, D3), their errors, and gradcheck, which must catch a wrong one (G1). Expected
 * behaviour is PyTorch 2.15's torch.autograd.Function, each case run there.
 */
#include "checks.h"
#include "support/autograd_journal.h"

#define SECOND_TIME                                                                                                    \
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "    \
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "     \
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "      \
    "saved tensors after calling backward."
#define MODIFIED "one of the variables needed for gradient computation has been modified by an inplace operation: "
#define VIEW_TAIL                                                                                                      \
    "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic "  \
    "to handle view+inplace would override the custom backward associated with the custom Function, leading to "       \
    "incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function."

typedef wg_status forward_fn(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout);
typedef wg_status vjp_fn(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin);

static wg_tensor *times(wg_tensor *x, double k) { return wg_mul(x, wg_s(k)); }
static wg_tensor *until(wg_tensor *x, int64_t end) { return wg_slice(x, 0, 0, end, 1); }

/* F.apply(x), of one output. */
static wg_tensor *call(const char *name, forward_fn *forward, vjp_fn *vjp, wg_tensor *x) {
    wg_function f = {.size = sizeof(f), .name = name, .forward = forward, .vjp = vjp};
    wg_tensor *y = NULL;
    return wg_function_apply(&f, NULL, &x, 1, &y, 1) == WG_OK ? y : wg_neg(y);
}
static wg_status call2(const char *name, forward_fn *forward, vjp_fn *vjp, wg_tensor *x, wg_tensor **out) {
    wg_function f = {.size = sizeof(f), .name = name, .forward = forward, .vjp = vjp};
    return wg_function_apply(&f, NULL, &x, 1, out, 2);
}

/* ---- forwards and vjps of several tests -------------------------------------------------------------------------- */

static wg_status double_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin, (void)nout;
    out[0] = times(in[0], 2);
    return WG_OK;
}
static wg_status double_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nout, (void)nin;
    gi[0] = times(g[0], 2);
    return WG_OK;
}
static wg_status square_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nout;
    out[0] = wg_mul(in[0], in[0]);
    return wg_save_for_backward(c, in, nin);
}
static wg_status square_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    gi[0] = times(wg_mul(g[0], wg_saved_tensor(c, 0)), 2);
    return WG_OK;
}
static wg_status exp_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin;
    out[0] = wg_exp(in[0]);
    return wg_save_for_backward(c, out, nout);
}
static wg_status exp_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    gi[0] = wg_mul(g[0], wg_saved_tensor(c, 0));
    return WG_OK;
}
/* (2x, 3x), and what arrives is noted */
static wg_status pair_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin, (void)nout;
    out[0] = times(in[0], 2);
    out[1] = times(in[0], 3);
    return WG_OK;
}
static wg_status pair_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nin;
    journal_begin("vjp", "pair");
    journal_list(g, nout);
    gi[0] = NULL;
    for (int i = 0; i < 2; i++)
        if (g[i] && wg_dtype_is_floating(wg_dtype_of(g[i]))) {
            wg_tensor *part = times(g[i], 2 + i);
            gi[0] = gi[0] ? wg_add(gi[0], part) : part;
        }
    return WG_OK;
}

/* ---- F1: forward and its node ------------------------------------------------------------------------------------ */

typedef struct seen {
    bool grad_mode, needs[4], requires[2];
    void *user;
} seen;
static seen in_forward, in_vjp;

static wg_status product_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nout;
    in_forward = (seen){.grad_mode = wg_grad_enabled(), .user = wg_context_user(c)};
    for (int i = 0; i < 4; i++) in_forward.needs[i] = wg_needs_input_grad(c, i - 1);
    for (int i = 0; i < nin; i++) in_forward.requires[i] = wg_requires_grad(in[i]);
    out[0] = wg_mul(in[0], in[1]);
    return WG_OK;
}
static wg_status product_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    in_vjp = (seen){.grad_mode = wg_grad_enabled(), .user = wg_context_user(c)};
    for (int i = 0; i < 4; i++) in_vjp.needs[i] = wg_needs_input_grad(c, i - 1);
    gi[0] = times(g[0], 2);
    gi[1] = times(g[0], 3);
    return WG_OK;
}
static const wg_function product = {
    .size = sizeof(product), .name = "Product", .forward = product_forward, .vjp = product_vjp};

static void test_F1_forward(void **state) {
    (void)state;
    int user;
    wg_tensor *x = LEAF(1, 2), *c = VEC(3, 4), *out;
    ASSERT_OK(wg_function_apply(&product, &user, (wg_tensor *[]){x, c}, 2, &out, 1));
    assert_false(in_forward.grad_mode);
    assert_true(in_forward.requires[0]); /* the tensors themselves */
    assert_true(!in_forward.needs[0] && in_forward.needs[1] && !in_forward.needs[2] && !in_forward.needs[3]);
    assert_ptr_equal(in_forward.user, &user);
    ASSERT_VALUES(out, 3, 8);
    ASSERT_GRAPH(out, "ProductBackward(leaf, None)");
    assert_true(wg_requires_grad(out));
    ASSERT_OK(wg_backward(wg_sum(out)));
    assert_false(in_vjp.grad_mode);
    assert_true(!in_vjp.needs[0] && in_vjp.needs[1] && !in_vjp.needs[2] && !in_vjp.needs[3]);
    assert_ptr_equal(in_vjp.user, &user);
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    assert_null(wg_grad_of(c)); /* F5: a gradient for what needs none is not looked at */
}

static void test_F1_without_gradient(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *c = VEC(3, 4), *out;
    ASSERT_OK(wg_function_apply(&product, NULL, (wg_tensor *[]){c, c}, 2, &out, 1));
    assert_false(wg_requires_grad(out) || in_forward.needs[1] || in_forward.needs[2]);
    WG_NO_GRAD { ASSERT_OK(wg_function_apply(&product, NULL, (wg_tensor *[]){x, c}, 2, &out, 1)); }
    assert_false(wg_requires_grad(out));
    assert_true(in_forward.needs[1]); /* asks the tensors, not the mode */
    assert_true(wg_grad_enabled());
    ASSERT_OK(wg_function_apply(&product, NULL, (wg_tensor *[]){x, x}, 2, &out, 1)); /* one input twice */
    ASSERT_OK(wg_backward(wg_sum(out)));
    ASSERT_VALUES(wg_grad_of(x), 5, 5);
}

static wg_status sum_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nout;
    out[0] = in[0];
    for (int i = 1; i < nin; i++) out[0] = wg_add(out[0], in[i]);
    for (int i = 0; i < nin; i++) assert_true(wg_needs_input_grad(c, i) == (i % 2 == 1));
    return WG_OK;
}
static wg_status sum_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout;
    for (int i = 0; i < nin; i++) gi[i] = wg_needs_input_grad(c, i) ? times(g[0], i) : NULL;
    return WG_OK;
}
static void test_F1_many_inputs(void **state) {
    (void)state;
    enum { MANY = 70 };
    wg_tensor *in[MANY], *out;
    for (int i = 0; i < MANY; i++) in[i] = i % 2 ? LEAF(i) : VEC(i);
    wg_function f = {.size = sizeof(f), .name = "Sum", .forward = sum_forward, .vjp = sum_vjp};
    ASSERT_OK(wg_function_apply(&f, NULL, in, MANY, &out, 1));
    ASSERT_OK(wg_backward(out));
    for (int i = 0; i < MANY; i++) {
        if (i % 2)
            ASSERT_VALUES(wg_grad_of(in[i]), i);
        else
            assert_null(wg_grad_of(in[i]));
    }
}

/* Output i is i·x; even ones are marked. */
static wg_status multiples_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin;
    for (int i = 0; i < nout; i++) {
        out[i] = times(in[0], i);
        if (i % 2 == 0 && wg_mark_non_differentiable(c, out[i]) != WG_OK) return WG_ERR_RUNTIME;
    }
    return wg_save_for_backward(c, out, nout);
}
static wg_status multiples_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nin;
    gi[0] = times(g[1], 1);
    for (int i = 3; i < nout; i += 2) gi[0] = wg_add(gi[0], times(g[i], i));
    for (int i = 0; i < nout; i++) ASSERT_VALUES(wg_saved_tensor(c, i), 2 * i);
    return WG_OK;
}
static void test_F3_many_outputs(void **state) {
    (void)state;
    enum { MANY = 150 };
    wg_function f = {.size = sizeof(f), .name = "Multiples", .forward = multiples_forward, .vjp = multiples_vjp};
    wg_tensor *x = LEAF(2), *out[MANY];
    ASSERT_OK(wg_function_apply(&f, NULL, &x, 1, out, MANY));
    for (int i = 0; i < MANY; i++) {
        assert_true(wg_requires_grad(out[i]) == (i % 2 == 1));
        if (i % 2) assert_int_equal(wg_output_nr(out[i]), i);
    }
    ASSERT_OK(wg_backward(wg_add(out[149], out[33])));
    ASSERT_VALUES(wg_grad_of(x), 182);
}

/* ---- F3: outputs ------------------------------------------------------------------------------------------------- */

static wg_status same_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin;
    for (int o = 0; o < nout; o++) out[o] = in[0];
    return WG_OK;
}
static wg_status five_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nin;
    gi[0] = times(g[nout - 1], 5);
    return WG_OK;
}
static void test_F3_an_input_as_it_is(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = call("Same", same_forward, five_vjp, x), *h = times(x, 2);
    assert_ptr_not_equal(y, x);
    assert_true(wg_is_view(y) && wg_same_storage(x, y));
    ASSERT_GRAPH(y, "SameBackward(leaf)");
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_VALUES(wg_grad_of(x), 5, 5);
    ASSERT_POISON(wg_mul_(call("Same", same_forward, five_vjp, x), wg_s(2)), WG_ERR_RUNTIME,
                  "Output 0 of Same is a view and is being modified inplace. " VIEW_TAIL);
    y = call("Same", same_forward, five_vjp, h);
    assert_ptr_equal(wg_base(y), h);
    ASSERT_POISON(wg_mul_(y, wg_s(2)), WG_ERR_RUNTIME,
                  "Output 0 of Same is a view and is being modified inplace. " VIEW_TAIL);
    wg_mul_(h, wg_s(3)); /* and when the base is written, its history is lost */
    assert_null(wg_grad_fn(y));
    ASSERT_ERROR(
        WG_ERR_RUNTIME,
        "Output 0 of Same is a view and its base or another view of its base has been modified inplace. " VIEW_TAIL);
}

static wg_status first_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin;
    out[0] = until(in[0], 1);
    if (nout > 1) out[1] = times(in[0], 2);
    return WG_OK;
}
static wg_status first_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nout, (void)nin;
    gi[0] = wg_cat(WG_TENSORS(times(g[0], 5), times(g[0], 0)), 0);
    return WG_OK;
}
static void test_F8_a_view_made_inside(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = call("First", first_forward, first_vjp, x), *both[2];
    assert_true(wg_is_view(y));
    ASSERT_GRAPH(y, "FirstBackward(leaf)");
    ASSERT_OK(wg_backward(y));
    ASSERT_VALUES(wg_grad_of(x), 5, 0);
    ASSERT_POISON(wg_mul_(call("First", first_forward, first_vjp, x), wg_s(2)), WG_ERR_RUNTIME,
                  "Output 0 of First is a view and is being modified inplace. " VIEW_TAIL);
    ASSERT_OK(call2("First", first_forward, first_vjp, x, both));
    ASSERT_POISON(
        wg_mul_(both[0], wg_s(2)), WG_ERR_RUNTIME,
        "Output 0 of First is a view and is being modified inplace. This view is the output of a function that "
        "returns multiple views.");
    ASSERT_GOOD(wg_mul_(both[1], wg_s(2))); /* not a view */
    ASSERT_GRAPH(both[1], "MulBackward0(FirstBackward(leaf), None)");
    WG_NO_GRAD { y = call("First", first_forward, first_vjp, x); }
    ASSERT_POISON(
        wg_mul_(y, wg_s(2)), WG_ERR_RUNTIME,
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled. " VIEW_TAIL);
    wg_tensor *plain = VEC(1, 2);
    ASSERT_GOOD(wg_mul_(call("First", first_forward, first_vjp, plain), wg_s(2))); /* nothing to lose */
    ASSERT_VALUES(plain, 2, 2);
}

static wg_status twice_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin, (void)nout;
    out[0] = out[1] = times(in[0], 2);
    return WG_OK;
}
static void test_F3_one_tensor_twice(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *out[2];
    ASSERT_OK(call2("Twice", twice_forward, pair_vjp, x, out));
    assert_ptr_equal(out[0], out[1]);
    ASSERT_OK(wg_backward(wg_sum(out[0])));
    ASSERT_JOURNAL("vjp pair[(0 0), (1 1)]"); /* the last slot gets it all */
    ASSERT_OK(call2("Same", same_forward, five_vjp, x, out));
    assert_ptr_equal(out[0], out[1]);
    ASSERT_OK(wg_backward(wg_sum(out[0])));
    ASSERT_VALUES(wg_grad_of(x), 8, 8);
}

static wg_status constant_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)in, (void)nin, (void)nout;
    out[0] = wg_context_user(c); /* has a history that the function does not know of */
    return WG_OK;
}
static void test_F3_a_tensor_with_another_history(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *w = LEAF(1, 1), *h = times(w, 2), *y;
    wg_function f = {.size = sizeof(f), .name = "Constant", .forward = constant_forward, .vjp = double_vjp};
    ASSERT_OK(wg_function_apply(&f, h, &x, 1, &y, 1));
    assert_ptr_not_equal(y, h);
    ASSERT_GRAPH(y, "ConstantBackward(leaf)");
    ASSERT_GRAPH(h, "MulBackward0(leaf, None)");
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    assert_null(wg_grad_of(w));
}

static wg_status and_integers(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)nin, (void)nout;
    out[0] = times(in[0], 2);
    out[1] = wg_to(in[0], WG_INT64);
    return WG_OK;
}
static void test_F3_integer_outputs(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *out[2];
    ASSERT_OK(call2("Mixed", and_integers, pair_vjp, x, out));
    assert_true(wg_requires_grad(out[0]));
    assert_false(wg_requires_grad(out[1]));
    assert_null(wg_grad_fn(out[1]));
    ASSERT_OK(wg_backward(wg_sum(out[0])));
    ASSERT_JOURNAL("vjp pair[(1 1), (0 0)]");
}

static void test_F3_results_are_written_in_place(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *y = call("Double", double_forward, double_vjp, x);
    wg_mul_(y, wg_s(3));
    ASSERT_GRAPH(y, "MulBackward0(DoubleBackward(leaf), None)");
    ASSERT_OK(wg_backward(wg_sum(y)));
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

/* ---- F4: the context --------------------------------------------------------------------------------------------- */

static wg_status saves_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin, (void)nout;
    out[0] = wg_mul(in[0], in[1]);
    wg_tensor *first[] = {in[1]}, *then[] = {in[0], NULL, out[0]};
    wg_status st = wg_save_for_backward(c, first, 1);
    return st == WG_OK ? wg_save_for_backward(c, then, 3) : st; /* the second call replaces the first */
}
static wg_tensor *saved_was;
static wg_status saves_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    saved_was = wg_saved_tensor(c, 0);
    assert_null(wg_saved_tensor(c, 1));
    ASSERT_VALUES(wg_saved_tensor(c, 2), 3, 8);
    assert_true(wg_requires_grad(wg_saved_tensor(c, 2))); /* an output has its history, recorded or not */
    ASSERT_POISON(wg_saved_tensor(c, 3), WG_ERR_INDEX, "");
    ASSERT_POISON(wg_saved_tensor(c, -1), WG_ERR_INDEX, "");
    gi[0] = wg_div(wg_mul(g[0], wg_saved_tensor(c, 2)), saved_was);
    return WG_OK;
}
static void test_F4_saved_tensors(void **state) {
    (void)state;
    wg_function f = {.size = sizeof(f), .name = "Saves", .forward = saves_forward, .vjp = saves_vjp};
    wg_tensor *x = LEAF(1, 2), *y;
    ASSERT_OK(wg_function_apply(&f, NULL, (wg_tensor *[]){x, VEC(3, 4)}, 2, &y, 1));
    ASSERT_OK(wg_backward(wg_sum(y)));
    assert_ptr_equal(saved_was, x);
    ASSERT_VALUES(wg_grad_of(x), 3, 4);
}

static void test_F4_freed(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y = wg_sum(call("Square", square_forward, square_vjp, x));
    ASSERT_OK(wg_backward_opt(&y, 1, NULL, WG_WALK(.retain_graph = true)));
    ASSERT_OK(wg_backward(y));
    ASSERT_FAILS(wg_backward(y), WG_ERR_RUNTIME, SECOND_TIME);
    ASSERT_VALUES(wg_grad_of(x), 4, 8);
    y = wg_sum(call("Double", double_forward, double_vjp, x)); /* saves nothing: runs as often as you like */
    ASSERT_OK(wg_backward(y));
    ASSERT_OK(wg_backward(y));
    ASSERT_VALUES(wg_grad_of(x), 8, 12);
}

static void test_F4_versions(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *h = times(x, 1), *y = call("Sq", square_forward, square_vjp, h);
    wg_add_(h, wg_s(1));
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.FloatTensor [2]], which is output 0 of Add, is at version 1; expected version 0 instead.");
    y = call("Sq", square_forward, square_vjp, x);
    WG_NO_GRAD { wg_add_(x, wg_s(1)); }
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 MODIFIED "[torch.FloatTensor [2]] is at version 1; expected version 0 instead.");
    y = call("Ex", exp_forward, exp_vjp, x); /* its own output */
    wg_tensor *z = wg_mul(y, y);
    WG_NO_GRAD { wg_add_(y, wg_s(1)); }
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.FloatTensor [2]], which is output 0 of Ex, is at version 1; expected version 0 instead.");
    ASSERT_FAILS(wg_backward(wg_sum(z)), WG_ERR_RUNTIME,
                 MODIFIED
                 "[torch.FloatTensor [2]], which is output 0 of Ex, is at version 1; expected version 0 instead.");
    assert_null(wg_grad_of(x));
}

static wg_status marked_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_status st = pair_forward(c, in, nin, out, nout);
    return st == WG_OK ? wg_mark_non_differentiable(c, out[1]) : st;
}
static void test_F4_not_differentiable(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *out[2];
    ASSERT_OK(call2("Marked", marked_forward, pair_vjp, x, out));
    assert_true(wg_requires_grad(out[0]));
    assert_false(wg_requires_grad(out[1]));
    assert_null(wg_grad_fn(out[1]));
    ASSERT_OK(wg_backward(wg_sum(wg_mul(out[0], out[1]))));
    ASSERT_JOURNAL("vjp pair[(3 3), (0 0)]");
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

static wg_status not_materialized(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_set_materialize_grads(c, false);
    return pair_forward(c, in, nin, out, nout);
}
static void test_F4_materialize(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *out[2];
    ASSERT_OK(call2("Pair", pair_forward, pair_vjp, x, out));
    ASSERT_OK(wg_backward(wg_sum(out[1])));
    ASSERT_JOURNAL("vjp pair[(0 0), (1 1)]");
    ASSERT_OK(call2("Pair", not_materialized, pair_vjp, x, out));
    ASSERT_OK(wg_backward(wg_sum(out[1])));
    ASSERT_JOURNAL("vjp pair[None, (1 1)]");
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
}

/* ---- O4: nothing arrives ----------------------------------------------------------------------------------------- */

static wg_status none_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)g, (void)nout, (void)gi, (void)nin;
    return WG_OK;
}
static void test_O4_behind_a_function_without_gradient(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1), *w = LEAF(1, 1), *u = LEAF(1, 1), *g = VEC(0);
    ASSERT_OK(
        wg_backward(wg_sum(call("None", double_forward, none_vjp, call("Double", double_forward, double_vjp, x)))));
    ASSERT_VALUES(wg_grad_of(x), 0, 0); /* the function behind ran, with zeros */
    ASSERT_OK(wg_backward(wg_sum(call("None", double_forward, none_vjp, times(w, 2)))));
    assert_null(wg_grad_of(w)); /* an op has nothing to compute */
    wg_tensor *y = wg_sum(call("None", double_forward, none_vjp, u));
    ASSERT_OK(wg_grad(&y, 1, &u, 1, NULL, WG_WALK(.allow_unused = true), &g));
    assert_null(g);
    wg_tensor *h = wg_mul(u, u); /* what is behind is done with, all the same: freed, and its other users are served */
    y = wg_sum(wg_add(call("None", double_forward, none_vjp, h), u));
    ASSERT_OK(wg_backward(y));
    ASSERT_VALUES(wg_grad_of(u), 1, 1);
    ASSERT_FAILS(wg_backward(wg_sum(times(h, 1))), WG_ERR_RUNTIME, SECOND_TIME);
}

/* ---- differentiating again --------------------------------------------------------------------------------------- */

static void test_double_backward(void **state) {
    (void)state;
    wg_tensor *x = check_number(2, true), *y = call("Square", square_forward, square_vjp, x), *d = wg_grad1(y, x, true);
    ASSERT_VALUES(d, 4);
    d = wg_grad1(d, x, true);
    ASSERT_VALUES(d, 2);
    y = call("Exp", exp_forward, exp_vjp, x); /* through a saved output */
    for (int i = 0; i < 4; i++) {
        y = wg_grad1(y, x, true);
        ASSERT_VALUES(y, exp(2));
    }
    wg_tensor *z = call("Square", square_forward, square_vjp, call("Exp", exp_forward, exp_vjp, x));
    ASSERT_VALUES(wg_grad1(wg_grad1(z, x, true), x, false), 4 * exp(4));
}

static void test_hooks_on_outputs(void **state) {
    (void)state;
    static watch u = {.name = "u", .times = 10};
    wg_tensor *x = LEAF(1, 1), *out[2];
    ASSERT_OK(call2("Pair", pair_forward, pair_vjp, x, out));
    assert_true(wg_register_hook(out[0], watch_tensor, &u, NULL));
    ASSERT_OK(wg_retain_grad(out[1]));
    ASSERT_OK(wg_backward(wg_sum(wg_add(out[0], out[1]))));
    ASSERT_JOURNAL("tensor u(1 1); vjp pair[(10 10), (1 1)]");
    ASSERT_VALUES(wg_grad_of(x), 23, 23);
    ASSERT_VALUES(wg_grad_of(out[1]), 1, 1);
}

/* ---- F5, O6: what vjp returns ------------------------------------------------------------------------------------ */

static wg_tensor *given;
static wg_status given_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)g, (void)nout, (void)nin;
    gi[0] = given;
    return WG_OK;
}
static void test_O6_gradients_are_checked(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    const char *text[] = {"[3]", "[3, 4]", "[]"};
    wg_tensor *bad[] = {VEC(1, 2, 3), wg_ones(WG_SHAPE(3, 4), NULL), check_number(1, false)};
    for (int i = 0; i < 3; i++) {
        char want[200];
        given = bad[i];
        snprintf(want, sizeof(want),
                 "Function BadBackward returned an invalid gradient at index 0 - got %s but expected shape compatible "
                 "with [2]",
                 text[i]);
        ASSERT_FAILS(wg_backward(wg_sum(call("Bad", double_forward, given_vjp, x))), WG_ERR_RUNTIME, want);
    }
    assert_null(wg_grad_of(x));
    given = wg_reshape(wg_arange(wg_i(0), wg_i(10), wg_i(1), WG_DTYPE(WG_FLOAT32)),
                       WG_SHAPE(5, 2)); /* reducible: reduced */
    ASSERT_OK(wg_backward(wg_sum(call("Tall", double_forward, given_vjp, x))));
    ASSERT_VALUES(wg_grad_of(x), 20, 25);
    given = wg_to(VEC(1, 1), WG_FLOAT64); /* another dtype: cast */
    ASSERT_OK(wg_backward(wg_sum(call("Wide", double_forward, given_vjp, x))));
    ASSERT_VALUES(wg_grad_of(x), 21, 26);
    assert_int_equal(wg_dtype_of(wg_grad_of(x)), WG_FLOAT32);
}

static void test_A1_a_users_gradient_is_not_taken(void **state) {
    (void)state;
    given = VEC(1, 1);
    wg_tensor *x = LEAF(1, 1), *y;
    ASSERT_OK(wg_backward(wg_sum(call("Keep", double_forward, given_vjp, x))));
    assert_false(wg_same_storage(wg_grad_of(x), given));
    ASSERT_OK(wg_backward(wg_sum(call("Keep", double_forward, given_vjp, x))));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    y = wg_add(call("Keep", double_forward, given_vjp, x), call("Keep", double_forward, given_vjp, x));
    ASSERT_VALUES(wg_grad1(wg_sum(y), x, false), 2, 2);
    ASSERT_VALUES(given, 1, 1);
    assert_ptr_equal(wg_grad1(wg_sum(call("Keep", double_forward, given_vjp, x)), x, false), given);
}

/* ---- failures, user data ----------------------------------------------------------------------------------------- */

static void count_destroyed(void *user) { ++*(int *)user; }
static wg_status fails_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)in, (void)nin, (void)out, (void)nout;
    return wg_raise(WG_ERR_VALUE, "no forward today");
}
static wg_status silent_failure(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)g, (void)nout, (void)gi, (void)nin;
    return WG_ERR_CALLBACK;
}
static wg_status forgets_output(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)c, (void)in, (void)nin, (void)out, (void)nout;
    return WG_OK;
}
static wg_status poison_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nout, (void)nin;
    gi[0] = wg_add(g[0], VEC(1, 2, 3));
    return WG_OK;
}

static void test_user_data_dies_once(void **state) {
    (void)state;
    int gone[5] = {0};
    wg_function f = {
        .size = sizeof(f), .name = "F", .forward = double_forward, .vjp = double_vjp, .destroy = count_destroyed};
    wg_function bad = {.size = sizeof(f), .name = "F", .forward = fails_forward, .destroy = count_destroyed},
                none = {0};
    WG_SCOPE {
        wg_tensor *x = LEAF(1, 2), *plain = VEC(1, 2), *y, *z, *w;
        ASSERT_OK(wg_function_apply(&f, &gone[0], &x, 1, &y, 1));
        ASSERT_OK(wg_function_apply(&f, &gone[1], &plain, 1, &z, 1));
        assert_int_equal(gone[1], 1); /* no node: at once */
        assert_int_equal(wg_function_apply(&bad, &gone[2], &x, 1, &w, 1), WG_ERR_VALUE);
        assert_true(wg_is_poison(w));
        ASSERT_ERROR(WG_ERR_VALUE, "no forward today");
        assert_int_equal(gone[2], 1);
        none.size = sizeof(none);
        none.destroy = count_destroyed;
        ASSERT_FAILS(wg_function_apply(&none, &gone[3], &x, 1, &w, 1), WG_ERR_NOT_IMPLEMENTED,
                     "You must implement the forward function for custom autograd.Function.");
        assert_int_equal(gone[3], 1);
        wg_tensor *poison = wg_add(x, VEC(1, 2, 3));
        assert_int_not_equal(wg_function_apply(&f, &gone[4], &poison, 1, &w, 1), WG_OK);
        assert_true(wg_is_poison(w));
        wg_clear_error();
        assert_int_equal(gone[4], 1);
        ASSERT_OK(wg_backward_with(y, VEC(1, 1)));
        ASSERT_OK(wg_backward_with(y, VEC(1, 1)));
        assert_int_equal(gone[0], 0);
    }
    for (int i = 0; i < 5; i++) assert_int_equal(gone[i], 1);
}

static void test_failures_inside(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *y;
    ASSERT_FAILS(
        wg_backward(wg_sum(call("F", double_forward, NULL, x))), WG_ERR_NOT_IMPLEMENTED,
        "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
        "backward mode AD.");
    ASSERT_FAILS(wg_backward(wg_sum(call("F", double_forward, silent_failure, x))), WG_ERR_CALLBACK, "");
    ASSERT_FAILS(wg_backward(wg_sum(call("F", double_forward, poison_vjp, x))), WG_ERR_RUNTIME,
                 "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0");
    wg_function f = {.size = sizeof(f), .name = "F", .forward = forgets_output, .vjp = double_vjp};
    assert_int_equal(wg_function_apply(&f, NULL, &x, 1, &y, 1), WG_ERR_TYPE);
    wg_clear_error();
    assert_true(wg_is_poison(y));
    assert_true(wg_grad_enabled()); /* however forward ended */
    assert_null(wg_grad_of(x));
    ASSERT_OK(wg_backward(wg_sum(call("F", double_forward, double_vjp, x))));
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
}

/* ---- F6: inputs that forward writes ------------------------------------------------------------------------------ */

static wg_status triple_dirty(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    out[0] = wg_mul_(in[0], wg_s(3));
    for (int o = 1; o < nout; o++) out[o] = times(in[nin - 1], 2);
    return wg_mark_dirty(c, in[0]);
}
static wg_status triple_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nout, (void)nin;
    gi[0] = times(g[0], 3);
    return WG_OK;
}
static void test_F6_an_input_written(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *h = times(x, 2), *y = call("Triple", triple_dirty, triple_vjp, h), *plain = VEC(1, 2);
    assert_ptr_equal(y, h);
    assert_int_equal(wg_version_of(h), 2); /* the write, and the word for it */
    ASSERT_GRAPH(h, "TripleBackward(MulBackward0(leaf, None))");
    ASSERT_OK(wg_backward(wg_sum(h)));
    ASSERT_VALUES(wg_grad_of(x), 6, 6);
    assert_ptr_equal(call("Triple", triple_dirty, triple_vjp, plain), plain);
    assert_false(wg_requires_grad(plain));
    WG_NO_GRAD {
        wg_tensor *leaf = LEAF(1, 2);
        y = call("Triple", triple_dirty, triple_vjp, leaf);
        assert_ptr_not_equal(y, leaf);
        assert_false(wg_requires_grad(y));
        ASSERT_VALUES(leaf, 3, 6);
    }
}

static void test_F6_a_view_written(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 1, 1), *h = times(x, 2), *v = until(h, 2), *both[2];
    assert_ptr_equal(call("Triple", triple_dirty, triple_vjp, v), v);
    ASSERT_GRAPH(v, "AsStridedBackward0(torch::autograd::CopySlices(MulBackward0(leaf, None)))");
    ASSERT_OK(wg_backward(wg_sum(wg_mul(h, VEC(1, 2, 3)))));
    ASSERT_VALUES(wg_grad_of(x), 6, 12, 6);
    v = until(times(x, 2), 2);
    assert_int_equal(call2("Triple", triple_dirty, triple_vjp, v, both), WG_ERR_RUNTIME);
    ASSERT_ERROR(WG_ERR_RUNTIME,
                 "If your Function modifies inplace an input that is a view of another Tensor, your Function "
                 "cannot return more than one Tensor.");
    ASSERT_POISON(call("Triple", triple_dirty, triple_vjp, until(x, 2)), WG_ERR_RUNTIME,
                  "a view of a leaf Variable that requires grad is being used in an in-place operation.");
}

/* Writes its second input: in[1] += in[0]. */
static wg_status add_to_second(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin, (void)nout;
    out[0] = wg_add_(in[1], in[0]);
    return wg_mark_dirty(c, in[1]);
}
static wg_status add_to_second_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)c, (void)nout, (void)nin;
    gi[0] = times(g[0], 10);
    gi[1] = times(g[0], 100);
    return WG_OK;
}
static void test_F6_the_second_input_is_a_view(void **state) {
    (void)state;
    wg_tensor *a = LEAF(1, 1), *x = LEAF(1, 1, 1), *h = times(x, 1), *out;
    wg_function f = {.size = sizeof(f), .name = "Add", .forward = add_to_second, .vjp = add_to_second_vjp};
    ASSERT_OK(wg_function_apply(&f, NULL, (wg_tensor *[]){a, until(h, 2)}, 2, &out, 1));
    ASSERT_OK(wg_backward(wg_sum(wg_mul(h, VEC(1, 2, 3)))));
    ASSERT_VALUES(wg_grad_of(a), 10, 20);
    ASSERT_VALUES(wg_grad_of(x), 100, 200, 3);
}

static wg_status dirty_but_not_returned(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    (void)nin, (void)nout;
    out[0] = times(in[0], 2);
    return wg_mark_dirty(c, in[0]);
}
static void test_F6_refusals(void **state) {
    (void)state;
    ASSERT_POISON(call("Triple", triple_dirty, triple_vjp, LEAF(1, 2)), WG_ERR_RUNTIME,
                  "a leaf Variable that requires grad has been used in an in-place operation.");
    ASSERT_POISON(
        call("Forgets", dirty_but_not_returned, triple_vjp, times(LEAF(1, 2), 1)), WG_ERR_RUNTIME,
        "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "
        "modified inplace must all be outputs of the Function.");
    assert_int_equal(wg_mark_dirty(NULL, VEC(1)), WG_ERR_TYPE);
    wg_clear_error();
}

static wg_status dirty_and_saved(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_status st = wg_save_for_backward(c, in, nin);
    return st == WG_OK ? triple_dirty(c, in, nin, out, nout) : st;
}
static wg_status times_saved_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    gi[0] = wg_mul(g[0], wg_saved_tensor(c, 0));
    return WG_OK;
}
static void test_F6_what_is_written_may_be_saved(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2), *h = times(x, 1);
    ASSERT_OK(wg_backward(wg_sum(call("Triple", dirty_and_saved, times_saved_vjp, h))));
    ASSERT_VALUES(wg_grad_of(x), 3, 6); /* as it was when forward ended; and no cycle: the teardown counts */
    wg_tensor *y = times(x, 1), *z = wg_mul(y, y);
    wg_function f = {.size = sizeof(f), .name = "Add", .forward = add_to_second, .vjp = add_to_second_vjp};
    ASSERT_OK(wg_function_apply(&f, NULL, (wg_tensor *[]){z, y}, 2, &h, 1)); /* z's node saved y, and leads to it now */
    ASSERT_FAILS(wg_backward(wg_sum(y)), WG_ERR_RUNTIME, MODIFIED);
}

/* ---- a call in two halves ---------------------------------------------------------------------------------------- */

static void test_begin_and_end(void **state) {
    (void)state;
    wg_function f = {.size = sizeof(f), .name = "Pair", .vjp = pair_vjp};
    wg_tensor *x = LEAF(1, 2);
    wg_context *c = wg_function_begin(&f, NULL, &x, 1);
    assert_non_null(c);
    assert_false(wg_grad_enabled());
    assert_string_equal(wg_node_name(wg_context_node(c)), "PairBackward");
    assert_int_equal(wg_node_inputs(wg_context_node(c)), 1);
    wg_tensor *out[3] = {times(x, 2), NULL, times(x, 3)};
    ASSERT_OK(wg_function_end(c, out, 3));
    assert_true(wg_grad_enabled());
    assert_null(out[1]); /* no tensor: gets no gradient, not even zeros */
    assert_int_equal(wg_output_nr(out[2]), 2);
    ASSERT_OK(wg_backward(wg_sum(out[0])));
    ASSERT_JOURNAL("vjp pair[(1 1), None, (0 0)]");
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
}

static void test_begin_and_cancel(void **state) {
    (void)state;
    int gone = 0;
    wg_function f = {.size = sizeof(f), .name = "F", .vjp = pair_vjp, .destroy = count_destroyed};
    wg_tensor *x = LEAF(1, 2), *poison = wg_add(x, VEC(1, 2, 3));
    wg_context *c = wg_function_begin(&f, &gone, &x, 1);
    wg_function_cancel(c);
    assert_int_equal(gone, 1);
    assert_true(wg_grad_enabled());
    wg_clear_error();
    assert_null(wg_function_begin(&f, &gone, &poison, 1));
    assert_int_equal(gone, 2);
    c = wg_function_begin(&f, &gone, &x, 1);
    ASSERT_OK(wg_function_end(c, NULL, 0)); /* no outputs: nothing to differentiate */
    assert_int_equal(gone, 3);
    wg_function_cancel(NULL);
    assert_int_equal(wg_function_end(NULL, NULL, 0), WG_ERR_TYPE);
    wg_clear_error();
}

static wg_dtype arrived;
static wg_status wide_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_status st = double_forward(c, in, nin, out, nout);
    return st == WG_OK ? wg_set_output_grad_dtype(c, &(wg_dtype){WG_FLOAT64}, 1) : st;
}
static wg_status any_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_status st = double_forward(c, in, nin, out, nout);
    return st == WG_OK ? wg_set_output_grad_dtype(c, &(wg_dtype){WG_DTYPE_NONE}, 1) : st;
}
static wg_status two_dtypes(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    wg_status st = double_forward(c, in, nin, out, nout);
    return st == WG_OK ? wg_set_output_grad_dtype(c, (wg_dtype[]){WG_FLOAT64, WG_FLOAT64}, 2) : st;
}
static wg_status dtype_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    arrived = wg_dtype_of(g[0]);
    return double_vjp(c, g, nout, gi, nin);
}
static void test_F4_dtypes_of_gradients(void **state) {
    (void)state;
    wg_tensor *x = LEAF(1, 2);
    ASSERT_OK(wg_backward(wg_sum(call("Wide", wide_forward, dtype_vjp, x))));
    assert_int_equal(arrived, WG_FLOAT64);
    assert_int_equal(wg_dtype_of(wg_grad_of(x)), WG_FLOAT32);
    ASSERT_VALUES(wg_grad_of(x), 2, 2);
    ASSERT_OK(wg_backward_with(call("Wide", wide_forward, dtype_vjp, x), VEC(1, 1)));
    assert_int_equal(arrived, WG_FLOAT64);
    ASSERT_OK(wg_backward_with(call("Any", any_forward, dtype_vjp, x), wg_to(VEC(1, 1), WG_FLOAT64)));
    assert_int_equal(arrived, WG_FLOAT64); /* as it comes */
    ASSERT_OK(wg_backward(wg_sum(call("Any", any_forward, dtype_vjp, x))));
    assert_int_equal(arrived, WG_FLOAT32);
    ASSERT_POISON(
        call("Two", two_dtypes, dtype_vjp, x), WG_ERR_RUNTIME,
        "set_output_grad_dtype expected the number of declarations to match the number of outputs: the Function "
        "returned 1 values but 2 declarations were provided");
}

/* ---- D3: jvp ----------------------------------------------------------------------------------------------------- */

static wg_tensor *seen_in_forward;
static wg_status peeking_forward(wg_context *c, wg_tensor *const *in, int nin, wg_tensor **out, int nout) {
    seen_in_forward = wg_tangent_of(times(in[0], 2), 1);
    return square_forward(c, in, nin, out, nout);
}
static wg_status square_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)nin, (void)nout;
    dt[0] = t[0] ? times(wg_mul(t[0], wg_saved_tensor(c, 0)), 2) : NULL;
    return WG_OK;
}
static void test_D3_forward_sees_no_tangents(void **state) {
    (void)state;
    wg_function f = {
        .size = sizeof(f), .name = "Square", .forward = peeking_forward, .vjp = square_vjp, .jvp = square_jvp};
    int level = wg_dual_level_enter();
    wg_tensor *x = LEAF(1, 2), *d = wg_make_dual(x, VEC(1, 10), level), *y;
    ASSERT_OK(wg_function_apply(&f, NULL, &d, 1, &y, 1));
    assert_null(seen_in_forward);
    ASSERT_VALUES(wg_tangent_of(y, level), 2, 40);
    ASSERT_VALUES(wg_grad1(wg_sum(wg_tangent_of(y, level)), x, false), 2, 20); /* the tangent has a history */
    wg_tensor *g = wg_grad1(wg_sum(y), d, true);                               /* and backward runs forward */
    ASSERT_VALUES(wg_tangent_of(g, level), 2, 20);
    wg_dual_level_exit(level);
}
static void test_D3_two_levels(void **state) {
    (void)state;
    wg_function f = {
        .size = sizeof(f), .name = "Square", .forward = square_forward, .vjp = square_vjp, .jvp = square_jvp};
    int outer = wg_dual_level_enter(), inner = wg_dual_level_enter();
    wg_tensor *d = wg_make_dual(wg_make_dual(VEC(3), VEC(1), outer), VEC(1), inner), *y;
    ASSERT_OK(wg_function_apply(&f, NULL, &d, 1, &y, 1));
    ASSERT_VALUES(wg_tangent_of(y, inner), 6);
    ASSERT_VALUES(wg_tangent_of(wg_primal_of(y, inner), outer), 6);
    ASSERT_VALUES(wg_tangent_of(wg_tangent_of(y, inner), outer), 2);
    wg_dual_level_exit(inner);
    wg_dual_level_exit(outer);
}

static wg_status same_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)nout;
    dt[0] = t[0];
    return WG_OK;
}
static wg_status alias_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)nout;
    dt[0] = wg_alias(t[0]);
    return WG_OK;
}
static wg_status copy_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)nout;
    dt[0] = wg_alias(times(t[0], 3));
    return WG_OK;
}
static wg_status triple_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)nout;
    dt[0] = wg_mul_(t[0], wg_s(3));
    return WG_OK;
}
static wg_status triple_copy_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    wg_status st = triple_jvp(c, t, nin, dt, nout);
    dt[0] = wg_mul_(wg_clone(t[0]), wg_s(1));
    return st;
}
static wg_status ones_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)t;
    for (int o = 0; o < nout; o++) dt[o] = VEC(1, 1);
    return WG_OK;
}
static wg_status long_jvp(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout) {
    (void)c, (void)nin, (void)nout, (void)t;
    dt[0] = VEC(1, 1, 1);
    return WG_OK;
}
typedef wg_status jvp_fn(wg_context *c, wg_tensor *const *t, int nin, wg_tensor **dt, int nout);
static wg_status push(forward_fn *forward, jvp_fn *jvp, wg_tensor **out, int nout, int level) {
    wg_function f = {.size = sizeof(f), .name = "F", .forward = forward, .vjp = double_vjp, .jvp = jvp};
    wg_tensor *d = wg_make_dual(VEC(1, 2), VEC(5, 6), level);
    return wg_function_apply(&f, NULL, &d, 1, out, nout);
}
static void test_D3_views_and_writes(void **state) {
    (void)state;
    wg_tensor *out[2];
    int level = wg_dual_level_enter();
    ASSERT_OK(push(same_forward, alias_jvp, out, 1, level));
    ASSERT_VALUES(wg_tangent_of(out[0], level), 5, 6);
    ASSERT_FAILS(
        push(same_forward, same_jvp, out, 1, level), WG_ERR_RUNTIME,
        "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view.");
    ASSERT_FAILS(push(same_forward, copy_jvp, out, 1, level), WG_ERR_RUNTIME,
                 "A custom Function is returning a view but the jvp is not returning a view of the given grad input.");
    ASSERT_OK(push(triple_dirty, triple_jvp, out, 1, level));
    ASSERT_VALUES(wg_tangent_of(out[0], level), 15, 18);
    ASSERT_FAILS(push(triple_dirty, same_jvp, out, 1, level), WG_ERR_RUNTIME,
                 "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is "
                 "modifying an "
                 "input inplace, then the jvp function must modify the corresponding gradient inplace.");
    ASSERT_FAILS(push(triple_dirty, triple_copy_jvp, out, 1, level), WG_ERR_RUNTIME,
                 "An inplace custom Function is not returning the forward mode gradients as-is.");
    ASSERT_FAILS(push(and_integers, ones_jvp, out, 2, level), WG_ERR_RUNTIME,
                 "Function's jvp returned a gradient at position 1, but  the corresponding forward output is not a "
                 "differentiable Tensor.You should return None at that position instead.");
    ASSERT_FAILS(
        push(double_forward, long_jvp, out, 1, level), WG_ERR_RUNTIME,
        "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
        "supported. Tensor is of size [2] while the given forward gradient is of size [3].");
    wg_dual_level_exit(level);
}

static void test_D2_out_of_sight(void **state) {
    (void)state;
    int level = wg_dual_level_enter();
    wg_tensor *d = wg_make_dual(VEC(1, 2), VEC(5, 6), level);
    assert_true(wg_set_forward_enabled(false));
    assert_null(wg_tangent_of(times(d, 2), level));
    assert_null(wg_tangent_of(d, level));
    assert_false(wg_set_forward_enabled(true));
    assert_true(wg_forward_enabled());
    ASSERT_VALUES(wg_tangent_of(times(d, 2), level), 10, 12);
    wg_dual_level_exit(level);
}

/* ---- gradcheck --------------------------------------------------------------------------------------------------- */

static wg_status wrong_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    gi[0] = wg_mul(g[0], wg_saved_tensor(c, 0)); /* the 2 is missing */
    return WG_OK;
}
/* Right by itself, but what it computes with has no history. */
static wg_status once_vjp(wg_context *c, wg_tensor *const *g, int nout, wg_tensor **gi, int nin) {
    (void)nout, (void)nin;
    gi[0] = times(wg_mul(g[0], wg_detach(wg_saved_tensor(c, 0))), 2);
    return WG_OK;
}
static wg_tensor *call_user(void *user, wg_tensor *const *in, int nin) {
    const wg_function *f = user;
    wg_tensor *y = NULL;
    return wg_function_apply(f, NULL, in, nin, &y, 1) == WG_OK ? y : wg_neg(y);
}
static wg_tensor *no_history(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return times(wg_detach(in[0]), 2);
}
static wg_tensor *constant(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_ones_like(in[0], NULL);
}
static wg_tensor *fails(void *user, wg_tensor *const *in, int nin) {
    (void)user, (void)nin;
    return wg_add(in[0], VEC(1, 2, 3));
}

static void test_gradcheck(void **state) {
    (void)state;
    const double at[] = {1, 2};
    wg_tensor *x = wg_from_data(at, WG_FLOAT64, WG_SHAPE(2), WG_OPT(.requires_grad = true)), *c = VEC(1, 2),
              *s = LEAF(1, 2);
    wg_function right = {.size = sizeof(right), .name = "Square", .forward = square_forward, .vjp = square_vjp};
    wg_function wrong = right, once = right;
    wrong.vjp = wrong_vjp;
    once.vjp = once_vjp;
    ASSERT_OK(wg_gradcheck(call_user, &right, &x, 1, NULL));
    ASSERT_OK(wg_gradgradcheck(call_user, &right, &x, 1, NULL));
    ASSERT_OK(wg_gradcheck(call_user, &once, &x, 1, NULL));
    const char *mismatch = "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:";
    ASSERT_FAILS(wg_gradcheck(call_user, &wrong, &x, 1, NULL), WG_ERR_RUNTIME, mismatch);
    ASSERT_FAILS(wg_gradgradcheck(call_user, &once, &x, 1, NULL), WG_ERR_RUNTIME, mismatch);
    ASSERT_FAILS(wg_gradcheck(no_history, NULL, &x, 1, NULL), WG_ERR_RUNTIME,
                 "Numerical gradient for function expected to be zero");
    ASSERT_OK(wg_gradcheck(constant, NULL, &x, 1, NULL));
    ASSERT_FAILS(
        wg_gradcheck(constant, NULL, &c, 1, NULL), WG_ERR_VALUE,
        "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True.");
    ASSERT_FAILS(wg_gradcheck(constant, NULL, &s, 1, NULL), WG_ERR_VALUE,
                 "Input #0 requires gradient and is not a double precision floating point or complex.");
    ASSERT_FAILS(wg_gradcheck(fails, NULL, &x, 1, NULL), WG_ERR_RUNTIME, "The size of tensor a (2) must match");
    ASSERT_VALUES(x, 1, 2); /* the caller's tensors are as they were */
    assert_int_equal(wg_version_of(x), 0);
    assert_null(wg_grad_of(x));
    assert_true(wg_grad_enabled());
}

static void test_gradcheck_tolerances(void **state) {
    (void)state;
    const double at[] = {1, 2};
    wg_tensor *x = wg_from_data(at, WG_FLOAT64, WG_SHAPE(2), WG_OPT(.requires_grad = true));
    wg_function wrong = {.size = sizeof(wrong), .name = "Square", .forward = square_forward, .vjp = wrong_vjp};
    /* off by 1 and by 2, at 2 and 4 */
    ASSERT_OK(wg_gradcheck(call_user, &wrong, &x, 1, &(wg_check_opts){.size = sizeof(wg_check_opts), .rtol = 0.51}));
    ASSERT_OK(wg_gradcheck(call_user, &wrong, &x, 1, &(wg_check_opts){.size = sizeof(wg_check_opts), .atol = 2.1}));
    assert_int_equal(
        wg_gradcheck(call_user, &wrong, &x, 1, &(wg_check_opts){.size = sizeof(wg_check_opts), .atol = 1.9}),
        WG_ERR_RUNTIME);
    wg_clear_error();
}

static int nothing_noted(void **state) {
    journal_clear();
    return check_open(state);
}
#define FUNCTION_TEST(f) cmocka_unit_test_setup_teardown(f, nothing_noted, check_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        FUNCTION_TEST(test_F1_forward),
        FUNCTION_TEST(test_F1_without_gradient),
        FUNCTION_TEST(test_F1_many_inputs),
        FUNCTION_TEST(test_F3_many_outputs),
        FUNCTION_TEST(test_F3_an_input_as_it_is),
        FUNCTION_TEST(test_F8_a_view_made_inside),
        FUNCTION_TEST(test_F3_one_tensor_twice),
        FUNCTION_TEST(test_F3_a_tensor_with_another_history),
        FUNCTION_TEST(test_F3_integer_outputs),
        FUNCTION_TEST(test_F3_results_are_written_in_place),
        FUNCTION_TEST(test_F4_saved_tensors),
        FUNCTION_TEST(test_F4_freed),
        FUNCTION_TEST(test_F4_versions),
        FUNCTION_TEST(test_F4_not_differentiable),
        FUNCTION_TEST(test_F4_materialize),
        FUNCTION_TEST(test_O4_behind_a_function_without_gradient),
        FUNCTION_TEST(test_double_backward),
        FUNCTION_TEST(test_hooks_on_outputs),
        FUNCTION_TEST(test_O6_gradients_are_checked),
        FUNCTION_TEST(test_A1_a_users_gradient_is_not_taken),
        FUNCTION_TEST(test_user_data_dies_once),
        FUNCTION_TEST(test_failures_inside),
        FUNCTION_TEST(test_F6_an_input_written),
        FUNCTION_TEST(test_F6_a_view_written),
        FUNCTION_TEST(test_F6_the_second_input_is_a_view),
        FUNCTION_TEST(test_F6_refusals),
        FUNCTION_TEST(test_F6_what_is_written_may_be_saved),
        FUNCTION_TEST(test_begin_and_end),
        FUNCTION_TEST(test_begin_and_cancel),
        FUNCTION_TEST(test_F4_dtypes_of_gradients),
        FUNCTION_TEST(test_D3_forward_sees_no_tangents),
        FUNCTION_TEST(test_D3_two_levels),
        FUNCTION_TEST(test_D3_views_and_writes),
        FUNCTION_TEST(test_D2_out_of_sight),
        FUNCTION_TEST(test_gradcheck),
        FUNCTION_TEST(test_gradcheck_tolerances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
