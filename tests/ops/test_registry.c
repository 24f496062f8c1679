/* Every op of the registry in every mode: reverse and forward mode against finite differences, second order, forward
 * over reverse, batch = loop, strided = contiguous, every dtype, poison. Counts what it ran.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "support/samples.h"
#include "wengert/wengert.h"

static int checks;

static void say(const sample *s, int k, const char *what) {
    print_error("%s sample %d: %s: %s\n", s->op->name, k, what, wg_last_message());
}

/* ---- the op as a function of its differentiable inputs ----------------------------------------------------------- */

static bool takes_gradient(const sample *s, int i) {
    const wg_op *op = s->op;
    if (!s->in[i] || !wg_dtype_is_floating(wg_dtype_of(s->in[i])) || (s->in[i]->flags & TF_NUMBER)) return false;
    if (op->traits & WG_POINTWISE) return op->partial[i].kind != WG_P_NONE;
    return i >= 32 || !(op->nondiff_in >> i & 1);
}
static bool differentiable(const sample *s) {
    if (!wg__op_differentiable(s->op)) return false;
    if (strcmp(s->op->name, "floor_divide") == 0) return false; /* declared: its backward raises */
    for (int i = 0; i < s->nin; i++)
        if (takes_gradient(s, i)) return true;
    return false;
}
/* user is the sample; in[] are the differentiable inputs in order. All floating outputs, flattened and joined. */
static wg_tensor *call(void *user, wg_tensor *const *in, int nin) {
    const sample *s = user;
    wg_tensor *all[MAX_SAMPLE_IN], *out[8], *parts[8];
    int n = 0, k = 0;
    (void)nin;
    for (int i = 0; i < s->nin; i++) all[i] = takes_gradient(s, i) ? in[k++] : s->in[i];
    if (sample_call(s, all, out) != WG_OK) return WG_POISON;
    for (int o = 0; o < s->nout; o++)
        if (out[o] && wg_dtype_is_floating(wg_dtype_of(out[o])) && !(o > 0 && (s->op->traits & WG_INT_SECOND)))
            parts[n++] = wg_reshape(out[o], 1, (int64_t[]){-1});
    return n == 1 ? parts[0] : wg_cat(parts, n, 0);
}
static int leaves(const sample *s, wg_tensor **in) {
    int n = 0;
    for (int i = 0; i < s->nin; i++)
        if (takes_gradient(s, i)) in[n++] = wg_set_requires_grad(wg_clone(s->in[i]), true);
    return n;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_every_op_has_a_sample(void **state) {
    (void)state;
    int missing = 0;
    for (int i = 0; wg__op_at(i); i++) {
        sample s;
        const wg_op *op = wg__op_at(i);
        WG_SCOPE {
            if (!op->shape && !(op->traits & WG_POINTWISE)) break; /* composite: its parts are here */
            if (!sample_make(op, 0, &s)) {
                print_error("no sample for %s: add one to tests/support/samples.c\n", op->name);
                missing++;
            }
        }
    }
    assert_int_equal(missing, 0);
}

/* Runs body for each sample; returns failures. */
static int each(bool (*body)(sample *s, int k)) {
    int failed = 0;
    for (int i = 0; wg__op_at(i); i++) {
        const wg_op *op = wg__op_at(i);
        if (!op->shape && !(op->traits & WG_POINTWISE)) continue;
        bool more = true;
        for (int k = 0; more; k++) WG_SCOPE {
                sample s;
                more = sample_make(op, k, &s);
                if (!more) break;
                wg_clear_error();
                if (!body(&s, k)) failed++;
                checks++;
            }
    }
    wg_clear_error();
    return failed;
}

static bool forward_works(sample *s, int k) {
    wg_tensor *out[8];
    if (sample_call(s, s->in, out) == WG_OK) return true;
    const wg_op *op = s->op;
    if ((op->traits & WG_POINTWISE) && (op->kind == WG_K_INT || op->kind == WG_K_WHOLE))
        return true; /* floats are refused */
    say(s, k, "forward");
    return false;
}
static void test_forward(void **state) { (void)state, assert_int_equal(each(forward_works), 0); }

static bool first_order(sample *s, int k) {
    wg_tensor *in[MAX_SAMPLE_IN];
    if (!differentiable(s)) return true;
    int n = leaves(s, in);
    if (wg_gradcheck(call, s, in, n, &(wg_check_opts){.size = sizeof(wg_check_opts), .check_forward = true}) == WG_OK)
        return true;
    say(s, k, "gradcheck");
    return false;
}
static void test_first_order(void **state) { (void)state, assert_int_equal(each(first_order), 0); }

static bool second_order(sample *s, int k) {
    wg_tensor *in[MAX_SAMPLE_IN];
    if (!differentiable(s)) return true;
    int n = leaves(s, in);
    if (wg_gradgradcheck(call, s, in, n, &(wg_check_opts){.size = sizeof(wg_check_opts), .check_forward = true}) ==
        WG_OK)
        return true;
    say(s, k, "gradgradcheck");
    return false;
}
static void test_second_order_and_forward_over_reverse(void **state) {
    (void)state, assert_int_equal(each(second_order), 0);
}

/* ---- batch = loop ------------------------------------------------------------------------------------------------ */

static wg_tensor *mapped(void *user, wg_tensor *const *in, int nin) {
    const sample *s = user;
    wg_tensor *all[MAX_SAMPLE_IN], *out[8];
    int k = 0;
    (void)nin;
    for (int i = 0; i < s->nin; i++) all[i] = takes_gradient(s, i) ? in[k++] : s->in[i];
    return sample_call(s, all, out) == WG_OK ? out[0] : WG_POISON;
}
static bool batch_is_loop(sample *s, int k) {
    wg_tensor *in[MAX_SAMPLE_IN], *batches[MAX_SAMPLE_IN], *copies[3][MAX_SAMPLE_IN], *loop[3];
    int64_t dims[MAX_SAMPLE_IN];
    int n = 0;
    bool same = false;
    if (strcmp(s->op->name, "as_strided") == 0) return true; /* has no meaning inside vmap: raises */
    for (int i = 0; i < s->nin; i++)
        if (takes_gradient(s, i)) in[n++] = s->in[i];
    if (n == 0) return true;
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < n; i++) copies[b][i] = wg_mul(in[i], wg_s(1 - 0.25 * b));
        loop[b] = mapped(s, copies[b], n);
    }
    for (int i = 0; i < n; i++) {
        wg_tensor *parts[3] = {copies[0][i], copies[1][i], copies[2][i]};
        dims[i] = wg_ndim(in[i]) && i % 2 == 0 ? wg_ndim(in[i]) : 0;
        batches[i] = wg_stack(parts, 3, dims[i]);
    }
    wg_tensor *got = wg_vmap(mapped, s, batches, dims, n, 0), *want = wg_stack(loop, 3, 0);
    if (!wg_is_poison(got) && !wg_is_poison(want) && wg_allclose(got, want, 1e-12, 1e-12, true, &same) == WG_OK && same)
        return true;
    say(s, k, "vmap differs from the loop");
    return false;
}
static void test_batch_is_loop(void **state) { (void)state, assert_int_equal(each(batch_is_loop), 0); }

/* ---- strided = contiguous ---------------------------------------------------------------------------------------- */

/* The same elements, every other one of a larger tensor, dims reversed in memory. */
static wg_tensor *strided_copy(wg_tensor *t) {
    int64_t sizes[WG_MAX_DIMS], order[WG_MAX_DIMS];
    int n = wg_ndim(t);
    if (n == 0 || wg_numel(t) == 0 || (t->flags & TF_NUMBER)) return t;
    for (int i = 0; i < n; i++) {
        sizes[i] = wg_size(t, n - 1 - i) * (i == n - 1 ? 2 : 1);
        order[i] = n - 1 - i;
    }
    wg_tensor *big = wg_permute(wg_zeros(n, sizes, WG_DTYPE(wg_dtype_of(t))), n, order);
    return wg_copy_(wg_slice(big, 0, 0, INT64_MAX, 2), t);
}
static bool strided_is_contiguous(sample *s, int k) {
    wg_tensor *in[MAX_SAMPLE_IN], *a[8], *b[8];
    if (strstr(s->op->name, "as_strided") || strcmp(s->op->name, "view") == 0 ||
        strcmp(s->op->name, "_unsafe_view") == 0)
        return true;
    for (int i = 0; i < s->nin; i++) in[i] = s->in[i] ? strided_copy(s->in[i]) : NULL;
    if (sample_call(s, s->in, a) != WG_OK) return true;
    if (sample_call(s, in, b) != WG_OK) {
        say(s, k, "strided inputs");
        return false;
    }
    for (int o = 0; o < s->nout; o++) {
        bool same = false;
        if (a[o] && (wg_allclose(a[o], b[o], 1e-15, 0, true, &same) != WG_OK || !same)) {
            say(s, k, "strided differs from contiguous");
            return false;
        }
    }
    return true;
}
static void test_strided_is_contiguous(void **state) { (void)state, assert_int_equal(each(strided_is_contiguous), 0); }

/* ---- dtypes: each either computes what float64 does, or says that it does not take the dtype --------------------- */

static double eps_of(wg_dtype d) {
    return d == WG_FLOAT16 ? 0x1p-8 : d == WG_BFLOAT16 ? 0x1p-5 : d == WG_FLOAT32 ? 1e-5 : 1e-12;
}
static bool dtypes(sample *s, int k) {
    static const wg_dtype all[] = {WG_FLOAT32, WG_FLOAT16, WG_BFLOAT16, WG_INT64, WG_INT32,
                                   WG_INT16,   WG_INT8,    WG_UINT8,    WG_BOOL};
    bool backward_op = strstr(s->op->name, "backward") != NULL;
    for (size_t d = 0; d < sizeof(all) / sizeof(*all); d++) {
        wg_tensor *low[MAX_SAMPLE_IN], *high[MAX_SAMPLE_IN], *a[8], *b[8];
        for (int i = 0; i < s->nin; i++) {
            bool converts = s->in[i] && wg_dtype_is_floating(wg_dtype_of(s->in[i])) && !(s->in[i]->flags & TF_NUMBER);
            low[i] = converts ? wg_to(s->in[i], all[d]) : s->in[i];
            high[i] = converts ? wg_to(low[i], WG_FLOAT64) : s->in[i];
        }
        wg_clear_error();
        if (sample_call(s, low, a) != WG_OK) {
            if (wg_dtype_is_floating(all[d]) && s->op->kind != WG_K_INT && s->op->kind != WG_K_WHOLE) {
                say(s, k, wg_dtype_name(all[d]));
                return false;
            }
            if (!wg_error_pending()) return false;
            wg_clear_error();
            continue;
        }
        bool same = false;
        if (!wg_dtype_is_floating(all[d]) || backward_op || strcmp(s->op->name, "_to_copy") == 0) continue;
        if (sample_call(s, high, b) != WG_OK || !b[0]) continue;
        bool close = wg_allclose(wg_to(a[0], WG_FLOAT64), wg_to(b[0], WG_FLOAT64), 4 * eps_of(all[d]),
                                 4 * eps_of(all[d]), true, &same) == WG_OK;
        if (!close || !same) {
            say(s, k, wg_dtype_name(all[d]));
            return false;
        }
    }
    return true;
}
static void test_dtypes(void **state) { (void)state, assert_int_equal(each(dtypes), 0); }

/* ---- poison in, poison out --------------------------------------------------------------------------------------- */

static bool poison(sample *s, int k) {
    for (int i = 0; i < s->nin; i++) {
        wg_tensor *in[MAX_SAMPLE_IN], *out[8];
        if (!s->in[i]) continue;
        memcpy(in, s->in, sizeof(in));
        in[i] = wg_neg(NULL);
        wg_clear_error();
        sample_call(s, in, out);
        for (int o = 0; o < s->nout; o++)
            if (!wg_is_poison(out[o])) {
                say(s, k, "a poisoned input gave a result");
                return false;
            }
    }
    return true;
}
static void test_poison(void **state) { (void)state, assert_int_equal(each(poison), 0); }

/* ---- the records themselves -------------------------------------------------------------------------------------- */

static void test_records_are_complete(void **state) {
    (void)state;
    int bad = 0;
    for (int i = 0; wg__op_at(i); i++) {
        const wg_op *op = wg__op_at(i);
        bool pointwise = op->traits & WG_POINTWISE;
        const char *lack =
            !op->name || !op->name[0]                                        ? "name"
            : !op->schema || strncmp(op->schema, op->name, strlen(op->name)) ? "schema that begins with its name"
            : !strstr(op->schema, "->")                                      ? "schema with a result"
            : !op->doc || !op->doc[0]                                        ? "document line"
            : !pointwise && !op->shape && !op->boxed && !op->boxed_list      ? "shape rule"
            : !pointwise && op->shape && !op->run[0] && !(op->traits & (WG_VIEW | WG_MULTI_VIEW)) ? "kernel"
            : !pointwise && op->shape && !op->vjp && !(op->traits & WG_NONDIFF) ? "vjp or an explicit none"
            : !pointwise && op->vjp && !op->jvp && !(op->traits & (WG_LINEAR | WG_MULTILINEAR)) ? "forward rule"
            : !(op->traits & WG_NONDIFF) && wg__op_differentiable(op) && !op->formula[0] && !op->formula[1] &&
                    strcmp(op->name, "floor_divide")
                ? "formula"
            : wg__op_find(op->name) != op ? "name of its own"
                                          : NULL;
        if (lack) {
            print_error("%s lacks a %s\n", op->name ? op->name : "?", lack);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static int live(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    if (m.live_tensors || m.live_nodes)
        print_error("%lld tensors and %lld nodes are still alive\n", (long long)m.live_tensors,
                    (long long)m.live_nodes);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_op_has_a_sample, live),
        cmocka_unit_test_teardown(test_records_are_complete, live),
        cmocka_unit_test_teardown(test_forward, live),
        cmocka_unit_test_teardown(test_first_order, live),
        cmocka_unit_test_teardown(test_second_order_and_forward_over_reverse, live),
        cmocka_unit_test_teardown(test_batch_is_loop, live),
        cmocka_unit_test_teardown(test_strided_is_contiguous, live),
        cmocka_unit_test_teardown(test_dtypes, live),
        cmocka_unit_test_teardown(test_poison, live),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("registry: %d ops, %d checks\n", wg_op_count(), checks);
    return failed;
}
