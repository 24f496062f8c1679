/* test_promotion.c - which dtype and which value come out of operands of mixed kinds: every dtype as a tensor, as a 0-d
 * tensor and every kind of number, under every default dtype, against what PyTorch gave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/recorded.h"
#include "wengert/wengert.h"

enum { DTYPES = 10, OPERANDS = 2 * DTYPES + 3, MAX_TEXTS = 64, ERROR = 255 };
enum { ONE_DIM, NO_DIM, NUMBER };

typedef struct operand {
    unsigned kind;
    wg_dtype dtype;
    unsigned char element[8];
} operand;

typedef struct table {
    recorded r;
    operand operands[OPERANDS];
    struct {
        wg_status code;
        char text[256];
    } errors[MAX_TEXTS];
} table;

/* ---- the operations, in the order of the script --------------------------------------------------------------------
 */

static wg_tensor *where_true(wg_tensor *a, wg_tensor *b) {
    return wg_where(wg_from_data(&(uint8_t){1}, WG_BOOL, WG_SHAPE(1), NULL), a, b);
}
static wg_tensor *where_false(wg_tensor *a, wg_tensor *b) {
    return wg_where(wg_from_data(&(uint8_t){0}, WG_BOOL, WG_SHAPE(1), NULL), a, b);
}
static wg_tensor *first_of_cat(wg_tensor *a, wg_tensor *b) {
    wg_tensor *both = wg_cat(WG_TENSORS(a, b), 0);
    return wg_is_poison(both) ? both : wg_slice(both, 0, 0, 1, 1);
}

static const struct {
    const char *name;
    wg_tensor *(*call)(wg_tensor *, wg_tensor *);
    bool in_place;
} ops[] = {
    {"add", wg_add, false},
    {"mul", wg_mul, false},
    {"div", wg_div, false},
    {"eq", wg_eq, false},
    {"lt", wg_lt, false},
    {"where true", where_true, false},
    {"where false", where_false, false},
    {"cat", first_of_cat, false},
    {"add_", wg_add_, true},
    {"mul_", wg_mul_, true},
    {"div_", wg_div_, true},
};

/* ---- the recorded table --------------------------------------------------------------------------------------------
 */

static wg_tensor *make(const operand *o) {
    int64_t i;
    double d;
    if (o->kind != NUMBER) return wg_from_data(o->element, o->dtype, o->kind == ONE_DIM, (int64_t[]){1}, NULL);
    memcpy(&i, o->element, sizeof i);
    memcpy(&d, o->element, sizeof d);
    return o->dtype == WG_FLOAT64 ? wg_s(d) : o->dtype == WG_INT64 ? wg_i(i) : wg_b(o->element[0] != 0);
}

static void open_table(table *t) {
    if (recorded_open(&t->r, "promotion.bin", "promotion 1") != 0) fail_msg("%s", t->r.why);
}

static int promoted_types(recorded *r) {
    int wrong = 0;
    for (int a = 0; a < DTYPES; a++)
        for (int b = 0; b < DTYPES; b++) {
            wg_dtype want = (wg_dtype)recorded_u(r, 1), got = wg_promote_types((wg_dtype)a, (wg_dtype)b);
            if (got == want) continue;
            print_error("promote_types(%s, %s): PyTorch %s, ours %s\n", wg_dtype_name((wg_dtype)a),
                        wg_dtype_name((wg_dtype)b), wg_dtype_name(want), wg_dtype_name(got));
            wrong++;
        }
    return wrong;
}

static void read_operands(table *t) {
    for (int i = 0; i < OPERANDS; i++) {
        operand *o = &t->operands[i];
        o->kind = (unsigned)recorded_u(&t->r, 1);
        o->dtype = (wg_dtype)recorded_u(&t->r, 1);
        memcpy(o->element, recorded_take(&t->r, 8), 8);
    }
    int texts = (int)recorded_u(&t->r, 1);
    assert_in_range(texts, 1, MAX_TEXTS);
    for (int i = 0; i < texts; i++) {
        t->errors[i].code = (wg_status)recorded_u(&t->r, 1);
        size_t n = recorded_u(&t->r, 1);
        memcpy(t->errors[i].text, recorded_take(&t->r, n), n);
        t->errors[i].text[n] = 0;
    }
}

/* What is wrong, or NULL. */
static const char *error_differs(const table *t, wg_tensor *got, int text) {
    if (!wg_is_poison(got)) return "PyTorch raises";
    if (wg_last_status() != t->errors[text].code) return "another status";
    const char *message = wg_last_message(), *want = t->errors[text].text;
    return strncmp(message, want, strlen(want)) == 0 ? NULL : "another text";
}
static const char *result_differs(wg_tensor *got, wg_dtype dtype, int ndim, const unsigned char *element) {
    if (wg_is_poison(got)) return wg_last_message();
    if (wg_dtype_of(got) != dtype) return "another dtype";
    if (wg_ndim(got) != ndim) return "another shape";
    return memcmp(wg_const_data(got), element, wg_dtype_size(dtype)) == 0 ? NULL : "another value";
}

static void describe(char *text, size_t n, const operand *o) {
    snprintf(text, n, "%s %s",
             o->kind == NUMBER   ? "number"
             : o->kind == NO_DIM ? "0-d"
                                 : "1-d",
             wg_dtype_name(o->dtype));
}

static bool one_case(table *t) {
    wg_dtype standard = (wg_dtype)recorded_u(&t->r, 1);
    size_t op = recorded_u(&t->r, 1), left = recorded_u(&t->r, 1), right = recorded_u(&t->r, 1);
    unsigned result = (unsigned)recorded_u(&t->r, 1), ndim_or_text = (unsigned)recorded_u(&t->r, 1);
    const unsigned char *element = result == ERROR ? NULL : recorded_take(&t->r, wg_dtype_size((wg_dtype)result));
    const char *wrong = NULL;
    char a[40], b[40];
    assert_int_equal(wg_set_default_dtype(standard), WG_OK);
    WG_SCOPE {
        wg_tensor *x = make(&t->operands[left]), *y = make(&t->operands[right]);
        uint32_t version = wg_version_of(x);
        wg_tensor *got = ops[op].call(x, y);
        wrong = result == ERROR ? error_differs(t, got, (int)ndim_or_text)
                                : result_differs(got, (wg_dtype)result, (int)ndim_or_text, element);
        if (!wrong && ops[op].in_place && result == ERROR &&
            (wg_version_of(x) != version ||
             memcmp(wg_const_data(x), t->operands[left].element, wg_dtype_size(wg_dtype_of(x)))))
            wrong = "the failed op wrote its target";
    }
    if (!wrong) return true;
    describe(a, sizeof a, &t->operands[left]);
    describe(b, sizeof b, &t->operands[right]);
    print_error("%s(%s, %s), default %s: %s\n", ops[op].name, a, b, wg_dtype_name(standard), wrong);
    wg_clear_error();
    return false;
}

static void recorded_promotion(void **state) {
    (void)state;
    table t;
    open_table(&t);
    int wrong = promoted_types(&t.r);
    read_operands(&t);
    uint64_t n = recorded_u(&t.r, 4);
    for (uint64_t i = 0; i < n && wrong < 40; i++) wrong += !one_case(&t);
    assert_int_equal(wg_set_default_dtype(WG_FLOAT32), WG_OK);
    assert_int_equal(wrong, 0);
    assert_ptr_equal(t.r.at, t.r.end);
    assert_true(n >= 4 * 11 * 100);
    print_message("%d cases of promotion compared with PyTorch\n", (int)n);
    recorded_close(&t.r);
}

static int live(void **state) {
    (void)state;
    wg_memory_stats m = {.size = sizeof(m)};
    wg_memory_stats_get(&m);
    return m.live_tensors || m.live_nodes;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(recorded_promotion, live),
    };
    return cmocka_run_group_tests_name("promotion", tests, NULL, NULL);
}
