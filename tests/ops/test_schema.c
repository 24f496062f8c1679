/* Schemas: every record's is well-formed and says what the record can do, boxed calls with only the required arguments
 * work, NONE is the default, and values of a wrong type are TypeErrors, never more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ops/schema.h"
#include "wengert/wengert.h"

static bool named(const wg_param *p, const char *name) {
    return (int)strlen(name) == p->length && memcmp(p->name, name, (size_t)p->length) == 0;
}

/* ---- well-formed ------------------------------------------------------------------------------------------------- */

static const char *result_of(const char *schema) {
    const char *p = strstr(schema, ") -> ");
    return p ? p + 5 : "";
}
static bool result_fits(const wg_op *op) {
    const char *r = result_of(op->schema);
    if (strcmp(r, "Tensor[]") == 0) return op->count_out || op->boxed_list;
    if (r[0] == '(') return op->nout == 2 && strstr(r, "(Tensor ") == r && strstr(r, ", Tensor ");
    return op->nout == 1 && (strcmp(r, "Tensor") == 0 || (strcmp(r, "bool") == 0 && op->boxed));
}
/* The tensors and attributes of a primitive without a boxed form are those of its schema. */
static bool inputs_fit(const wg_op *op, const wg_param *p, int n) {
    int tensors = 0;
    for (int i = 0; i < n; i++) tensors += p[i].type == WG_T_TENSOR && !p[i].list;
    if (wg__op_composite(op) || op->boxed || op->boxed_list) return true;
    return tensors == op->nin || (op->traits & WG_LIST);
}
static bool order_fits(const wg_param *p, int n) { /* no required positional argument after one with a default */
    bool optional = false;
    for (int i = 0; i < n; i++) {
        if (p[i].keyword) break;
        if (optional && !p[i].has_default) return false;
        optional = p[i].has_default;
    }
    return true;
}
static const char *lacks(const wg_op *op) {
    wg_param p[WG_MAX_PARAMS];
    int n = wg__schema_params(op->schema, p);
    size_t len = strlen(op->name);
    if (n < 0) return "schema that can be read";
    if (strncmp(op->schema, op->name, len) != 0 || op->schema[len] != '(') return "schema that begins with its name";
    if (!result_fits(op)) return "result that the record gives";
    if (!inputs_fit(op, p, n)) return "tensor per input";
    if (!order_fits(p, n)) return "order of arguments that Python can have";
    if (wg__op_composite(op) && !op->boxed && !op->boxed_list) return "boxed form";
    if ((op->shown & WG_INPLACE) && op->boxed && wg__op_composite(op) && !op->boxed_) return "boxed in-place form";
    return NULL;
}
static void schemas_are_well_formed(void **state) {
    (void)state;
    int bad = 0;
    for (int i = 0; wg__op_at(i); i++) {
        const char *what = lacks(wg__op_at(i));
        if (what) print_error("%s lacks a %s: %s\n", wg__op_at(i)->name, what, wg__op_at(i)->schema);
        bad += what != NULL;
    }
    assert_int_equal(bad, 0);
}

static void malformed_schemas_are_noticed(void **state) {
    (void)state;
    wg_param p[WG_MAX_PARAMS];
    static const char *const bad[] = {
        "x",          "x(",           "x(Tensor)",   "x(Tensor self",        "x(Teapot self)",
        "x(int a=b)", "x(int a=1.5)", "x(bool a=1)", "x(Tensor self,int b)", "x(int a=None)",
        "x(int[1 a)", "x(Tensor )"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (wg__schema_params(bad[i], p) >= 0) fail_msg("'%s' was read", bad[i]);
    assert_int_equal(wg__schema_params("x() -> Tensor", p), 0);
    assert_int_equal(wg__schema_params("x(Tensor? a=None, *, int[1]? b=[], float c=1, Tensor?[] d, Scalar? e=-2.5)", p),
                     5);
    assert_true(p[0].optional && p[0].has_default && !p[0].keyword && named(&p[0], "a"));
    assert_true(p[1].list && p[1].single && p[1].optional && p[1].keyword && p[1].value.tag == WG_V_INTS);
    assert_true(p[2].value.tag == WG_V_DOUBLE && p[2].value.d == 1);
    assert_true(p[3].list && !p[3].optional && !p[3].has_default && p[3].type == WG_T_TENSOR);
    assert_true(p[4].value.d == -2.5);
}

/* ---- what a binding is told ----------------------------------------------------------------------------------------
 */

static wg_op_info info_of(const char *name) {
    wg_op_info info = {.size = sizeof info};
    for (int i = 0; i < wg_op_count(); i++) {
        assert_int_equal(wg_op_get(i, &info), WG_OK);
        if (strcmp(info.name, name) == 0) return info;
    }
    fail_msg("there is no op named %s", name);
    return info;
}
static void infos(void **state) {
    (void)state;
    wg_op_info i = info_of("mul");
    assert_true(i.function && i.method && !i.nn && !i.composite && i.has_inplace && i.pointwise);
    assert_string_equal(i.aliases, "multiply");
    i = info_of("relu");
    assert_true(i.function && i.method && i.nn && i.has_inplace);
    i = info_of("maximum");
    assert_true(i.function && i.method && !i.has_inplace && !i.aliases);
    i = info_of("add.alpha");
    assert_true(!i.function && !i.method && !i.nn);
    i = info_of("linear");
    assert_true(!i.function && !i.method && i.nn && i.composite);
    i = info_of("cat");
    assert_true(i.function && !i.method && i.composite);
    i = info_of("view");
    assert_true(!i.function && i.method && i.is_view);
    i = info_of("add");
    assert_true(i.composite && i.pointwise && i.has_inplace);
}
static void a_binding_of_an_older_header_is_answered(void **state) {
    (void)state;
    wg_op_info info;
    memset(&info, 0x5a, sizeof info);
    info.size = offsetof(wg_op_info, function);
    assert_int_equal(wg_op_get(0, &info), WG_OK);
    assert_int_equal(*((unsigned char *)&info + offsetof(wg_op_info, aliases)), 0x5a);
    info.size = 8;
    assert_int_not_equal(wg_op_get(0, &info), WG_OK);
    wg_clear_error();
}

/* Names, with overloads and aliases, are told apart by name and arguments. */
static void names_are_unique(void **state) {
    (void)state;
    for (int i = 0; wg__op_at(i); i++) {
        const wg_op *op = wg__op_at(i);
        assert_ptr_equal(wg__op_find(op->name), op);
        for (const char *p = op->aliases; p && *p; p += strcspn(p, " "), p += strspn(p, " ")) {
            char alias[64] = {0};
            memcpy(alias, p, strcspn(p, " "));
            for (int k = 0; wg__op_at(k); k++)
                if (strcmp(wg__op_at(k)->name, alias) == 0) fail_msg("%s is an alias and an op", alias);
        }
    }
}

/* ---- calls with only the required arguments ------------------------------------------------------------------------
 */

static int64_t zero_one[2] = {0, 1}, two_two[2] = {2, 2};
static wg_tensor *list[2];

static wg_tensor *tensor_for(const wg_op *op, const wg_param *p) {
    bool whole = op->kind == WG_K_INT || op->kind == WG_K_WHOLE;
    if (named(p, "mask") || named(p, "condition")) return wg_ones(WG_SHAPE(2, 2), WG_DTYPE(WG_BOOL));
    if (named(p, "index"))
        return strncmp(op->name, "index", 5) == 0 ? wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64))
                                                  : wg_zeros(WG_SHAPE(2, 2), WG_DTYPE(WG_INT64));
    if (named(p, "indices")) return wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64));
    if (named(p, "target") && strcmp(op->name, "mse_loss")) return wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64));
    if (named(p, "value")) return wg_s(1);
    if (named(p, "start")) return wg_zeros(0, NULL, WG_DTYPE(WG_INT64));
    if (named(p, "vec") || (named(p, "weight") && p->optional) || strcmp(op->name, "dot") == 0)
        return wg_ones(WG_SHAPE(2), WG_DTYPE(WG_FLOAT64));
    if (strcmp(op->name, "bmm") == 0) return wg_ones(WG_SHAPE(2, 2, 2), NULL);
    return wg_ones(WG_SHAPE(2, 2), whole ? WG_DTYPE(WG_INT64) : WG_DTYPE(WG_FLOAT64));
}
static wg_arg value_for(const wg_op *op, const wg_param *p) {
    if (p->type == WG_T_TENSOR && p->list) {
        bool index = named(p, "indices");
        list[0] = list[1] = index ? wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64)) : wg_ones(WG_SHAPE(2, 2), NULL);
        return (wg_arg){.tag = WG_TAG_TENSORS, .n = index ? 1 : 2, .v.ts = list};
    }
    if (p->type == WG_T_TENSOR) return (wg_arg){.tag = WG_TAG_TENSOR, .v.t = tensor_for(op, p)};
    if (p->list && (named(p, "size") || named(p, "shape")))
        return (wg_arg){.tag = WG_TAG_INTS, .n = 2, .v.ints = two_two};
    if (p->list && (named(p, "sizes") || named(p, "split_size") || named(p, "split_sizes")))
        return (wg_arg){.tag = WG_TAG_INTS, .n = 1, .v.ints = two_two};
    if (p->list) return (wg_arg){.tag = WG_TAG_INTS, .n = 2, .v.ints = zero_one};
    switch (p->type) {
    case WG_T_INT: return (wg_arg){.tag = WG_TAG_INT, .v.i = named(p, "chunks") || named(p, "split_size")};
    case WG_T_BOOL: return (wg_arg){.tag = WG_TAG_BOOL};
    case WG_T_FLOAT:
    case WG_T_SCALAR: return (wg_arg){.tag = WG_TAG_DOUBLE, .v.d = 1};
    case WG_T_DTYPE: return (wg_arg){.tag = WG_TAG_DTYPE, .v.i = WG_FLOAT64};
    default: return (wg_arg){.tag = WG_TAG_STRING, .v.s = "fro"};
    }
}
/* The required arguments of op; how many there are up to the last of them. */
static int required(const wg_op *op, const wg_param *p, int n, wg_arg *args) {
    int last = 0;
    for (int i = 0; i < n; i++) {
        args[i] = (wg_arg){.tag = WG_TAG_NONE};
        if (p[i].has_default) continue;
        args[i] = value_for(op, &p[i]);
        last = i + 1;
    }
    return last;
}
/* These need more than a value of the type: parts with arguments that only their op knows, and bounds. */
static bool particular(const char *name) {
    static const char *const names[] = {"clamp", "clamp.Tensor", "as_strided_scatter", "nll_loss_backward", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}
static void required_arguments_are_enough(void **state) {
    (void)state;
    int failed = 0;
    for (int i = 0; wg__op_at(i); i++) WG_SCOPE {
            const wg_op *op = wg__op_at(i);
            wg_param p[WG_MAX_PARAMS];
            wg_arg args[WG_MAX_PARAMS];
            wg_tensor *out[8];
            int n = wg__schema_params(op->schema, p), made = 0, given = required(op, p, n, args);
            if (particular(op->name)) break;
            if (wg_call_op(op->name, args, given, out, 8, &made) != WG_OK || made < 1) {
                print_error("%s: %s\n", op->schema, wg_last_message());
                failed++;
            }
            wg_clear_error();
            if (wg_op_call(op, false, args, n, out, 8, &made) != WG_OK)
                failed++, print_error("%s with NONEs\n", op->schema);
            wg_clear_error();
            if (!(op->shown & WG_INPLACE) || given == 0) break;
            args[0].v.t = wg_clone(args[0].v.t);
            if (wg_op_call(op, true, args, n, out, 8, &made) != WG_OK || out[0] != args[0].v.t) {
                print_error("%s in place: %s\n", op->schema, wg_last_message());
                failed++;
            }
            wg_clear_error();
        }
    assert_int_equal(failed, 0);
}

/* ---- values of wrong types ------------------------------------------------------------------------------------------
 */

static bool takes_string(const wg_param *p) { return p->type == WG_T_STRING; }
static void wrong_types_are_type_errors(void **state) {
    (void)state;
    int failed = 0;
    static const uint8_t tags[] = {WG_TAG_STRING, WG_TAG_TENSORS, WG_TAG_DTYPE, 77};
    for (int i = 0; wg__op_at(i); i++) WG_SCOPE {
            const wg_op *op = wg__op_at(i);
            wg_param p[WG_MAX_PARAMS];
            wg_arg args[WG_MAX_PARAMS];
            wg_tensor *out[8];
            int n = wg__schema_params(op->schema, p), made;
            for (int k = 0; k < n; k++)
                for (size_t t = 0; t < sizeof tags; t++) {
                    bool fits = (tags[t] == WG_TAG_STRING && takes_string(&p[k])) ||
                                (tags[t] == WG_TAG_DTYPE && p[k].type == WG_T_DTYPE) ||
                                (tags[t] == WG_TAG_TENSORS && p[k].list && p[k].type == WG_T_TENSOR);
                    required(op, p, n, args);
                    args[k] = (wg_arg){.tag = tags[t], .v.s = "?"};
                    if (!fits && wg_op_call(op, false, args, n, out, 8, &made) != WG_ERR_TYPE) {
                        print_error("%s took tag %d as argument %d\n", op->schema, tags[t], k);
                        failed++;
                    }
                    wg_clear_error();
                }
        }
    assert_int_equal(failed, 0);
}

#define T(x)                                                                                                           \
    { .tag = WG_TAG_TENSOR, .v.t = (x) }
#define INT(x)                                                                                                         \
    { .tag = WG_TAG_INT, .v.i = (x) }
#define CALL(name, ...)                                                                                                \
    wg_call_op(name, (const wg_arg[]){__VA_ARGS__}, sizeof((const wg_arg[]){__VA_ARGS__}) / sizeof(wg_arg), out, 8, &n)
static void refused(const char *part) {
    if (!strstr(wg_last_message(), part)) fail_msg("expected '%s', got '%s'", part, wg_last_message());
    wg_clear_error();
}
static void refusals_say_which(void **state) {
    (void)state;
    int n;
    wg_tensor *out[8];
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2), NULL);
        assert_int_equal(CALL("unsqueeze", T(x), {.tag = WG_TAG_DOUBLE, .v.d = 1.5}), WG_ERR_TYPE);
        refused("unsqueeze(): argument 'dim' (position 2) must be int, not float");
        assert_int_equal(CALL("unsqueeze", T(x)), WG_ERR_TYPE);
        refused("unsqueeze() missing 1 required positional arguments: \"dim\"");
        assert_int_equal(CALL("exp", T(x), INT(1)), WG_ERR_TYPE);
        refused("exp() takes 1 positional argument but 2 were given");
        assert_int_equal(CALL("maximum", T(x), INT(1)), WG_ERR_TYPE);
        refused("maximum(): argument 'other' (position 2) must be Tensor, not int");
        assert_int_equal(CALL("sum", T(x), {.tag = WG_TAG_STRING, .v.s = "x"}), WG_ERR_TYPE);
        refused("sum() received an invalid combination of arguments - got (Tensor, str), but expected one of:");
        assert_int_equal(CALL("exp", T(NULL)), WG_ERR_TYPE);
        wg_clear_error();
        wg_tensor *const hole[2] = {x, NULL};
        assert_int_equal(CALL("stack", {.tag = WG_TAG_TENSORS, .n = 2, .v.ts = hole}), WG_ERR_TYPE);
        refused("stack(): argument 'tensors' (position 1) must be tuple of Tensors");
        assert_int_equal(CALL("stack", {.tag = WG_TAG_TENSORS}), WG_ERR_RUNTIME);
        refused("stack expects a non-empty TensorList");
        assert_int_equal(CALL("cat", {.tag = WG_TAG_TENSORS}), WG_ERR_VALUE);
        refused("torch.cat(): expected a non-empty list of Tensors");
        assert_int_equal(CALL("permute", T(x), {.tag = WG_TAG_INTS, .n = 1}), WG_ERR_TYPE);
        wg_clear_error();
        assert_int_equal(CALL("sum_", T(x)), WG_ERR_NOT_IMPLEMENTED);
        refused("there is no op named 'sum_'");
        assert_int_equal(wg_call_op("split", (const wg_arg[]){T(x), INT(1)}, 2, out, 1, &n), WG_ERR_VALUE);
        wg_clear_error();
        assert_int_equal(wg_call_op("sort", (const wg_arg[]){T(x)}, 1, out, 1, &n), WG_ERR_VALUE);
        wg_clear_error();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_are_well_formed),
        cmocka_unit_test(malformed_schemas_are_noticed),
        cmocka_unit_test(infos),
        cmocka_unit_test(a_binding_of_an_older_header_is_answered),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(required_arguments_are_enough),
        cmocka_unit_test(wrong_types_are_type_errors),
        cmocka_unit_test(refusals_say_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
