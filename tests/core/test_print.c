/* test_print.c - tensors as text: the specification's known answers, thousands of reprs recorded from PyTorch, options,
 * and the public functions.
 */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/alloc.h"
#include "core/print.h"
#include "support/recorded.h"
#include "wengert/wengert.h"

static const wg_print_options defaults = {
    .size = sizeof(wg_print_options), .precision = 4, .threshold = 1000, .edgeitems = 3, .linewidth = 80};

/* ---- recorded reprs ---------------------------------------------------------------------------------------------- */

enum { REQUIRES_GRAD = 1, TANGENT = 2, OPTIONS = 4 };

/* A recorded case, ready to print. */
typedef struct print_case {
    wg__print_view view, tangent;
    wg_dtype default_dtype;
    wg_print_options options;
    int64_t sizes[8], strides[8], row_major[8];
    char name[256];
    char *stored, *tangent_bytes;
    const unsigned char *text;
    size_t text_bytes;
} print_case;

static int64_t read_shape(recorded *r, print_case *c) {
    int64_t numel = 1;
    int ndim = c->view.ndim;
    for (int i = 0; i < ndim; i++) numel *= c->sizes[i] = recorded_i(r, 4);
    for (int i = 0; i < ndim; i++) c->strides[i] = recorded_i(r, 4);
    for (int64_t i = ndim - 1, step = 1; i >= 0; step *= c->sizes[i--]) c->row_major[i] = step;
    return numel;
}

/* malloc(0) may be NULL, and data are copied so that a sanitizer sees their bounds. */
static char *copy_bytes(recorded *r, size_t n) {
    char *p = malloc(n + 1);
    assert_non_null(p);
    memcpy(p, recorded_take(r, n), n);
    return p;
}

static void read_storage(recorded *r, print_case *c) {
    size_t size = wg_dtype_size(c->view.dtype), offset = recorded_u(r, 4), n = recorded_u(r, 4);
    size_t pattern = recorded_u(r, 4);
    char *p = copy_bytes(r, pattern * size);
    c->stored = malloc(n * size + 1);
    assert_non_null(c->stored);
    for (size_t i = 0; i < n; i++) memcpy(c->stored + i * size, p + i % pattern * size, size);
    c->view.data = c->stored + offset * size;
    free(p);
}

static void read_options(recorded *r, wg_print_options *o) {
    o->precision = (int)recorded_i(r, 4);
    o->threshold = recorded_f64(r);
    o->edgeitems = recorded_i(r, 4);
    o->linewidth = recorded_i(r, 4);
    o->sci_mode = (wg_sci_mode)recorded_u(r, 1);
}

static void read_case(recorded *r, print_case *c) {
    *c = (print_case){.options = defaults};
    c->view.dtype = (wg_dtype)recorded_u(r, 1);
    c->default_dtype = (wg_dtype)recorded_u(r, 1);
    c->view.ndim = (int)recorded_u(r, 1);
    unsigned flags = (unsigned)recorded_u(r, 1);
    int64_t numel = read_shape(r, c);
    c->view.sizes = c->sizes;
    c->view.strides = c->strides;
    c->view.requires_grad = (flags & REQUIRES_GRAD) != 0;
    read_storage(r, c);
    if (flags & OPTIONS) read_options(r, &c->options);
    size_t n = recorded_u(r, 1);
    memcpy(c->name, recorded_take(r, n), n);
    if (n) c->view.grad_fn = c->name;
    if (flags & TANGENT) {
        c->tangent =
            (wg__print_view){c->view.dtype, c->view.ndim, c->sizes, c->row_major, NULL, NULL, false, NULL, NULL};
        c->tangent.data = c->tangent_bytes = copy_bytes(r, (size_t)numel * wg_dtype_size(c->view.dtype));
        c->view.tangent = &c->tangent;
    }
    c->text_bytes = recorded_u(r, 2);
    c->text = recorded_take(r, c->text_bytes);
}

static bool replay(const print_case *c, uint64_t number) {
    wg__text out = {0};
    assert_true(wg__repr_view(&c->view, &c->options, c->default_dtype, &out));
    bool same = out.n == c->text_bytes && memcmp(out.s, c->text, out.n) == 0;
    if (!same) print_error("case %d: PyTorch\n%.*s\nours\n%s\n", (int)number, (int)c->text_bytes, c->text, out.s);
    wg__text_free(&out);
    return same;
}

static void recorded_reprs(void **state) {
    (void)state;
    recorded r;
    if (recorded_open(&r, "print.bin", "print 1") != 0) fail_msg("%s", r.why);
    uint64_t n = recorded_u(&r, 4), wrong = 0;
    for (uint64_t i = 0; i < n; i++) {
        print_case c;
        read_case(&r, &c);
        if (!replay(&c, i) && ++wrong == 10) break;
        free(c.stored);
        free(c.tangent_bytes);
    }
    assert_int_equal(wrong, 0);
    assert_ptr_equal(r.at, r.end);
    assert_true(n >= 3000);
    print_message("%d recorded reprs compared byte for byte\n", (int)n);
    recorded_close(&r);
}

static void refuses_foreign_data(void **state) {
    (void)state;
    static const char other[] =
        "wengert-golden print 1\nproducer wengert 0.1.0\nscript tools/dump_print.py\nsha256 0\n\n";
    static const char stale[] =
        "wengert-golden print 1\nproducer pytorch 2.15.0\nscript tools/dump_print.py\nsha256 0123\n\n";
    recorded r;
    assert_int_equal(recorded_open_bytes(&r, other, sizeof other - 1, "print 1"), -1);
    assert_non_null(strstr(r.why, "made by wengert"));
    assert_int_equal(recorded_open_bytes(&r, stale, sizeof stale - 1, "print 1"), -1);
    assert_non_null(strstr(r.why, "has changed"));
    assert_int_equal(recorded_open_bytes(&r, "PK", 2, "print 1"), -1);
    assert_int_equal(recorded_open(&r, "no-such-file", "print 1"), -1);
}

/* ---- the specification's known answers --------------------------------------------------------------------------- */

static void expect_view(const wg__print_view *v, const char *text) {
    wg__text out = {0};
    assert_true(wg__repr_view(v, &defaults, WG_FLOAT32, &out));
    assert_string_equal(out.s, text);
    wg__text_free(&out);
}

static void expect_doubles(wg_dtype dtype, const double *values, int64_t n, const char *text) {
    char data[16 * 8];
    const int64_t one = 1;
    for (int64_t i = 0; i < n; i++)
        if (dtype == WG_FLOAT64)
            memcpy(data + 8 * i, values + i, 8);
        else
            memcpy(data + 4 * i, &(float){(float)values[i]}, 4);
    expect_view(&(wg__print_view){.dtype = dtype, .ndim = 1, .sizes = &n, .strides = &one, .data = data}, text);
}
#define VALUES(...) (const double[]){__VA_ARGS__}, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static void known_floats(void **state) {
    (void)state;
    expect_doubles(WG_FLOAT32, VALUES(1, 20, -3), "tensor([ 1., 20., -3.])");
    expect_doubles(WG_FLOAT32, VALUES(1.5, 20, -3), "tensor([ 1.5000, 20.0000, -3.0000])");
    expect_doubles(WG_FLOAT32, VALUES(-INFINITY, 1.5, NAN), "tensor([  -inf, 1.5000,    nan])");
    expect_doubles(WG_FLOAT32, VALUES(INFINITY, 1), "tensor([inf, 1.])");
    expect_doubles(WG_FLOAT32, VALUES(NAN, 0), "tensor([nan, 0.])");
    expect_doubles(WG_FLOAT32, VALUES(0, -0.0), "tensor([0., -0.])");
    expect_doubles(WG_FLOAT32, VALUES(1000, 1), "tensor([1000.,    1.])");
    expect_doubles(WG_FLOAT32, VALUES(1001, 1), "tensor([1.0010e+03, 1.0000e+00])");
    expect_doubles(WG_FLOAT32, VALUES(1e8), "tensor([100000000.])");
    expect_doubles(WG_FLOAT32, VALUES(123456789), "tensor([1.2346e+08])");
    expect_doubles(WG_FLOAT32, VALUES(0.0001), "tensor([1.0000e-04])");
    expect_doubles(WG_FLOAT32, VALUES(0.1, 100), "tensor([  0.1000, 100.0000])");
    expect_doubles(WG_FLOAT32, VALUES(1, NAN, INFINITY, 1e10),
                   "tensor([1.0000e+00,        nan,        inf, 1.0000e+10])");
    expect_doubles(WG_FLOAT64, VALUES(1e-300, 1), "tensor([1.0000e-300,  1.0000e+00], dtype=torch.float64)");
    expect_doubles(WG_FLOAT32, VALUES(12345.678), "tensor([12345.6777])");
}

static void known_shapes(void **state) {
    (void)state;
    const int64_t none = 0, one = 1, many = 1001, two[] = {2, 2}, by_two[] = {2, 1}, empty[] = {0, 3},
                  tall[] = {600, 2};
    static const float zeros[1200];
    static int64_t count[1001];
    for (int i = 0; i < 1001; i++) count[i] = i;
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .ndim = 1, .sizes = &none, .strides = &one}, "tensor([])");
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .ndim = 2, .sizes = empty, .strides = by_two},
                "tensor([], size=(0, 3))");
    expect_view(&(wg__print_view){.dtype = WG_INT64, .ndim = 1, .sizes = &none, .strides = &one},
                "tensor([], dtype=torch.int64)");
    expect_view(&(wg__print_view){.dtype = WG_INT64, .ndim = 1, .sizes = &many, .strides = &one, .data = count},
                "tensor([   0,    1,    2,  ...,  998,  999, 1000])");
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .ndim = 1, .sizes = &many, .strides = &one, .data = zeros},
                "tensor([0., 0., 0.,  ..., 0., 0., 0.])");
    expect_view(&(wg__print_view){.dtype = WG_BOOL, .ndim = 2, .sizes = two, .strides = by_two, .data = "\1\0\0\1"},
                "tensor([[ True, False],\n        [False,  True]])");
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .ndim = 2, .sizes = tall, .strides = by_two, .data = zeros},
                "tensor([[0., 0.],\n        [0., 0.],\n        [0., 0.],\n        ...,\n        [0., 0.],\n"
                "        [0., 0.],\n        [0., 0.]])");
}

static void known_suffixes(void **state) {
    (void)state;
    const int64_t twenty = 20, one = 1;
    float twos[20], half = 0.1f, single = 1;
    for (int i = 0; i < 20; i++) twos[i] = 2;
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32,
                                  .ndim = 1,
                                  .sizes = &twenty,
                                  .strides = &one,
                                  .data = twos,
                                  .grad_fn = "MulBackward0",
                                  .requires_grad = true},
                "tensor([2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2.,\n"
                "        2., 2.], grad_fn=<MulBackward0>)");
    wg__print_view tangent = {.dtype = WG_FLOAT32, .data = &half};
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .data = &single, .tangent = &tangent},
                "tensor(1., tangent=0.10000000149011612)");
    half = 1e17f;
    expect_view(&(wg__print_view){.dtype = WG_FLOAT32, .data = &single, .requires_grad = true, .tangent = &tangent},
                "tensor(1., requires_grad=True, tangent=9.999999843067494e+16)");
}

/* Makes a locale whose decimal point is a comma, where localedef and its character maps are installed. */
static const char *made_locale(void) {
    static char folder[] = "/tmp/wengert-locale-XXXXXX";
    char command[400];
    if (!mkdtemp(folder)) return NULL;
    snprintf(command, sizeof command,
             "cd %s && printf 'comment_char %%%%\\nescape_char /\\nLC_NUMERIC\\ndecimal_point \"<U002C>\"\\n"
             "thousands_sep \"\"\\ngrouping -1\\nEND LC_NUMERIC\\nLC_CTYPE\\ncopy \"POSIX\"\\nEND LC_CTYPE\\n' >comma; "
             "localedef -c -i ./comma -f ANSI_X3.4-1968 ./de_DE >/dev/null 2>&1",
             folder);
    int code = system(command); /* not 0 for warnings too: setlocale tells whether it worked */
    (void)code;
    setenv("LOCPATH", folder, 1);
    const char *found = setlocale(LC_NUMERIC, "de_DE");
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (system(command) != 0) print_message("%s stays\n", folder);
    return found;
}

static void other_decimal_point(void **state) {
    (void)state;
    const char *names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) found = setlocale(LC_NUMERIC, names[i]);
    if (!found && !made_locale()) {
        print_message("no locale with another decimal point is installed here, and none can be made\n");
        skip();
    }
    assert_string_equal(localeconv()->decimal_point, ",");
    expect_doubles(WG_FLOAT32, VALUES(1.5, -2.25), "tensor([ 1.5000, -2.2500])");
    expect_doubles(WG_FLOAT32, VALUES(1001, 1), "tensor([1.0010e+03, 1.0000e+00])");
    const double half = 0.5;
    wg__print_view tangent = {.dtype = WG_FLOAT64, .data = &half};
    expect_view(&(wg__print_view){.dtype = WG_FLOAT64, .data = &half, .tangent = &tangent},
                "tensor(0.5000, dtype=torch.float64, tangent=0.5)");
    setlocale(LC_NUMERIC, "C");
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static wg_tensor *three(void) { return wg_from_data((float[]){1.5f, 20, -3}, WG_FLOAT32, WG_SHAPE(3), NULL); }
static const char three_text[] = "tensor([ 1.5000, 20.0000, -3.0000])";

static void to_strings(void **state) {
    (void)state;
    WG_SCOPE {
        char buffer[64];
        size_t needed = 0;
        assert_int_equal(wg_repr(three(), buffer, sizeof buffer, &needed), WG_OK);
        assert_string_equal(buffer, three_text);
        assert_int_equal(needed, strlen(three_text));
        assert_int_equal(wg_repr(three(), buffer, 8, &needed), WG_OK);
        assert_string_equal(buffer, "tensor(");
        assert_int_equal(needed, strlen(three_text));
        assert_int_equal(wg_repr(three(), NULL, 0, &needed), WG_OK);
        assert_int_equal(needed, strlen(three_text));
        char *text = wg_repr_new(three());
        assert_string_equal(text, three_text);
        wg_free_string(text);
        wg_free_string(NULL);
    }
}

static void to_files(void **state) {
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    WG_SCOPE { assert_int_equal(wg_fprint(f, three()), WG_OK); }
    fclose(f);
    assert_string_equal(text, three_text);
    free(text);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    WG_SCOPE { assert_int_equal(wg_fprint(full, three()), WG_ERR_RUNTIME); }
    assert_string_equal(wg_last_op(), "print");
    wg_clear_error();
    fclose(full);
}

static void suffixes_of_tensors(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2, 2), WG_OPT(.requires_grad = true));
        char *leaf = wg_repr_new(x), *sum = wg_repr_new(wg_add(x, wg_s(2))), *cut = wg_repr_new(wg_detach(x));
        char *whole = wg_repr_new(wg_i(3)), *wide = wg_repr_new(wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT16)));
        assert_string_equal(leaf, "tensor([[1., 1.],\n        [1., 1.]], requires_grad=True)");
        assert_string_equal(sum, "tensor([[3., 3.],\n        [3., 3.]], grad_fn=<AddBackward0>)");
        assert_string_equal(cut, "tensor([[1., 1.],\n        [1., 1.]])");
        assert_string_equal(whole, "tensor(3)");
        assert_string_equal(wide, "tensor([0, 0], dtype=torch.int16)");
        wg_free_string(leaf);
        wg_free_string(sum);
        wg_free_string(cut);
        wg_free_string(whole);
        wg_free_string(wide);
    }
}

static wg_tensor *show(void *text, wg_tensor *const *in, int nin) {
    (void)nin;
    *(char **)text = wg_repr_new(in[0]);
    return in[0];
}

static wg_tensor *show_rows(void *text, wg_tensor *const *in, int nin) {
    return wg_vmap(show, text, in, (int64_t[]){0}, nin, 0);
}

static void batched_tensors(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *one = wg_ones(WG_SHAPE(2, 3), NULL), *two = wg_ones(WG_SHAPE(2, 2, 1, 1), NULL);
        char *text = NULL;
        assert_false(wg_is_poison(wg_vmap(show, &text, &one, (int64_t[]){0}, 1, 0)));
        assert_string_equal(text, "BatchedTensor(lvl=1, bdim=0, value=\n    tensor([[1., 1., 1.],\n"
                                  "            [1., 1., 1.]])\n)");
        wg_free_string(text);
        assert_false(wg_is_poison(wg_vmap(show_rows, &text, &two, (int64_t[]){0}, 1, 0)));
        assert_string_equal(text, "BatchedTensor(lvl=2, bdim=0, value=\n    BatchedTensor(lvl=1, bdim=0, value=\n"
                                  "        tensor([[[[1.]],\n\n                 [[1.]]],\n\n\n"
                                  "                [[[1.]],\n\n                 [[1.]]]])\n    )\n)");
        wg_free_string(text);
    }
}

static void dual_tensors(void **state) {
    (void)state;
    int level = wg_dual_level_enter();
    WG_SCOPE {
        wg_tensor *x = wg_make_dual(wg_ones(WG_SHAPE(2), NULL), wg_full(WG_SHAPE(2), wg_s(0.25), NULL), level);
        char *text = wg_repr_new(x), *twice = wg_repr_new(wg_mul(x, wg_s(2)));
        assert_string_equal(text, "tensor([1., 1.], tangent=tensor([0.2500, 0.2500]))");
        assert_string_equal(twice, "tensor([2., 2.], tangent=tensor([0.5000, 0.5000]))");
        wg_free_string(text);
        wg_free_string(twice);
    }
    wg_dual_level_exit(level);
}

/* A view made under no_grad whose base was then written: its history cannot be read. */
static void invalid_history(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2), WG_OPT(.requires_grad = true)), *y = wg_mul(x, wg_s(1)), *v = NULL;
        WG_NO_GRAD { v = wg_narrow(y, 0, 0, 1); }
        wg_mul_(y, wg_s(2));
        char *text = wg_repr_new(v);
        assert_string_equal(text, "tensor([2.], grad_fn=<Invalid>)");
        wg_free_string(text);
        assert_false(wg_error_pending());
    }
}

static void failures(void **state) {
    (void)state;
    WG_SCOPE {
        char buffer[16] = "before";
        size_t needed = 99;
        wg_tensor *poison = wg_zeros(1, (const int64_t[]){-1}, NULL);
        assert_true(wg_is_poison(poison));
        assert_int_not_equal(wg_repr(poison, buffer, sizeof buffer, &needed), WG_OK);
        assert_string_equal(buffer, "");
        assert_int_equal(needed, 0);
        assert_null(wg_repr_new(three())); /* the first error is still unread */
        wg_clear_error();
        assert_int_not_equal(wg_repr(poison, buffer, sizeof buffer, &needed), WG_OK);
        wg_clear_error();
    }
}

static void expect_text(wg_tensor *t, const char *expected) {
    char *text = wg_repr_new(t);
    assert_string_equal(text, expected);
    wg_free_string(text);
}

static void options(void **state) {
    (void)state;
    wg_print_options now = {.size = sizeof now};
    WG_SCOPE {
        wg_tensor *x = three();
        assert_int_equal(wg_set_print_options(WG_PRINT(.has_precision = true, .precision = 1)), WG_OK);
        expect_text(x, "tensor([ 1.5, 20.0, -3.0])");
        assert_int_equal(wg_set_print_options(WG_PRINT(.sci_mode = WG_SCI_ON)), WG_OK);
        expect_text(x, "tensor([ 1.5e+00,  2.0e+01, -3.0e+00])");
        assert_int_equal(wg_set_print_options(WG_PRINT(.profile = WG_PRINT_FULL)), WG_OK);
        wg_get_print_options(&now);
        assert_true(isinf(now.threshold) && now.precision == 4 && now.sci_mode == WG_SCI_AUTO);
        assert_int_equal(wg_set_print_options(WG_PRINT(.profile = WG_PRINT_SHORT)), WG_OK);
        expect_text(x, "tensor([ 1.50, 20.00, -3.00])");
        assert_int_equal(wg_set_print_options(WG_PRINT(.profile = WG_PRINT_DEFAULT)), WG_OK);
        expect_text(x, three_text);
    }
}

static void bad_options(void **state) {
    (void)state;
    const wg_print_options *bad[] = {
        WG_PRINT(.has_precision = true, .precision = -1),
        WG_PRINT(.has_precision = true, .precision = 1001),
        WG_PRINT(.has_edgeitems = true, .edgeitems = -1),
        WG_PRINT(.has_threshold = true, .threshold = NAN),
        WG_PRINT(.profile = (wg_print_profile)9),
        WG_PRINT(.sci_mode = (wg_sci_mode)9),
        &(wg_print_options){.size = 0},
        NULL,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(wg_set_print_options(bad[i]), WG_ERR_VALUE);
        wg_clear_error();
    }
    WG_SCOPE { expect_text(three(), three_text); }
}

static void a_million_elements(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_zeros(WG_SHAPE(1000, 1000), NULL);
        size_t needed = 0;
        assert_int_equal(wg_set_print_options(WG_PRINT(.profile = WG_PRINT_FULL)), WG_OK);
        assert_int_equal(wg_repr(x, NULL, 0, &needed), WG_OK);
        assert_int_equal(wg_set_print_options(WG_PRINT(.profile = WG_PRINT_DEFAULT)), WG_OK);
        assert_true(needed > 4 * 1000 * 1000);
    }
}

static void refused_memory(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(20, 20), WG_OPT(.requires_grad = true));
        char *text = NULL;
        int64_t n = 0;
        for (; !text; n++) {
            wg__alloc_fail_at(n);
            text = wg_repr_new(x);
            wg__alloc_fail_at(-1);
            if (text) break;
            assert_int_equal(wg_last_status(), WG_ERR_MEMORY);
            wg_clear_error();
        }
        assert_true(n >= 3);
        wg_free_string(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_reprs),
        cmocka_unit_test(refuses_foreign_data),
        cmocka_unit_test(known_floats),
        cmocka_unit_test(known_shapes),
        cmocka_unit_test(known_suffixes),
        cmocka_unit_test(other_decimal_point),
        cmocka_unit_test(to_strings),
        cmocka_unit_test(to_files),
        cmocka_unit_test(suffixes_of_tensors),
        cmocka_unit_test(batched_tensors),
        cmocka_unit_test(dual_tensors),
        cmocka_unit_test(invalid_history),
        cmocka_unit_test(failures),
        cmocka_unit_test(options),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(a_million_elements),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
