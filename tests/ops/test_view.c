/* test_view.c - views at their edges: sizes that are inferred, wrong, negative, too large; dims named twice or out of
 * range; strides of what a view gives; as_strided outside the storage; pieces of a dim, joins. 64 dims and shapes
 * larger than memory are in core/test_shape.c.
 */
#include "support/facts.h"

#define L(...)                                                                                                         \
    (const int64_t[]) { __VA_ARGS__ }
#define HUGE_ ((int64_t)1 << 62)

static wg_tensor *m34(void) { return COUNT(WG_FLOAT64, 3, 4); }
static wg_tensor *empty03(void) { return wg_zeros(WG_SHAPE(0, 3), WG_DTYPE(WG_FLOAT64)); }
#define RANGE(low, high, dim)                                                                                          \
    "Dimension out of range (expected to be in range of [" #low ", " #high "], but got " #dim ")"

/* Sizes and strides: "(2, 3) (3, 1)". */
static void laid(int line, wg_tensor *t, const char *want) {
    char text[300] = "poison";
    size_t at = 0;
    for (int pass = 0; pass < 2 && !wg_is_poison(t); pass++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, pass ? " (" : "(");
        for (int i = 0; i < wg_ndim(t); i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, i ? ", %lld" : "%lld",
                                   (long long)(pass ? wg_stride(t, i) : wg_size(t, i)));
        at += (size_t)snprintf(text + at, sizeof(text) - at, ")");
    }
    if (strcmp(text, want) == 0) return;
    print_error("line %d:\n  want %s\n  got  %s\n", line, want, text);
    facts_wrong++;
}
#define LAID(t, want) laid(__LINE__, (t), (want))

/* ---- view, reshape, flatten -------------------------------------------------------------------------------------- */

static void views(void **state) {
    (void)state;
    wg_tensor *x = m34(), *z = CELL(5), *none = empty03(), *slice = wg_slice(COUNT(WG_FLOAT64, 6, 8), 1, 1, 8, 3);
    LAID(wg_view(x, 3, L(2, -1, 3)), "(2, 2, 3) (6, 3, 1)");
    LAID(wg_view(x, 4, L(1, 12, 1, 1)), "(1, 12, 1, 1) (12, 1, 1, 1)");
    LAID(wg_view(z, 2, L(1, -1)), "(1, 1) (1, 1)");
    LAID(wg_view(z, 0, NULL), "() ()");
    LAID(wg_view(none, 3, L(5, 0, 7)), "(5, 0, 7) (7, 7, 1)");
    LAID(wg_view(none, 2, L(-1, 3)), "(0, 3) (3, 1)");
    LAID(wg_view(wg_t(x), 3, L(4, 1, 3)), "(4, 1, 3) (1, 12, 4)");
    LAID(wg_view(slice, 3, L(2, 3, 3)), "(2, 3, 3) (24, 8, 3)");
    LAID(wg_view(wg_expand(NUMBERS(1), WG_SHAPE(6)), 2, L(2, 3)), "(2, 3) (0, 0)");
    IS(wg_reshape(wg_t(x), 1, L(12)), "float64 (12): 0 4 8 1 5 9 2 6 10 3 7 11");
    LAID(wg_reshape(slice, 1, L(18)), "(18) (1)");
    LAID(wg_flatten(COUNT(WG_FLOAT64, 2, 3, 4), 1, -1), "(2, 12) (12, 1)");
    LAID(wg_flatten(z, 0, -1), "(1) (1)");
    LAID(wg_flatten(z, -1, 0), "(1) (1)");
    assert_ptr_equal(wg_flatten(x, 1, 1), x);
    NO_FACT_WRONG;
}
static void view_refusals(void **state) {
    (void)state;
    wg_tensor *x = m34(), *none = empty03();
    REFUSED(wg_view(x, 2, L(5, -1)), WG_ERR_RUNTIME, "shape '[5, -1]' is invalid for input of size 12");
    REFUSED(wg_view(x, 2, L(0, -1)), WG_ERR_RUNTIME, "shape '[0, -1]' is invalid for input of size 12");
    REFUSED(wg_view(x, 0, NULL), WG_ERR_RUNTIME, "shape '[]' is invalid for input of size 12");
    REFUSED(wg_view(x, 2, L(-1, -1)), WG_ERR_RUNTIME, "only one dimension can be inferred");
    REFUSED(wg_view(x, 2, L(-2, 6)), WG_ERR_RUNTIME, "invalid shape dimension -2 at index 0 of shape [-2, 6]");
    REFUSED(wg_view(x, 2, L(HUGE_, 4)), WG_ERR_RUNTIME,
            "shape '[4611686018427387904, 4]' is invalid for input of size 12");
    REFUSED(
        wg_view(none, 2, L(0, -1)), WG_ERR_RUNTIME,
        "cannot reshape tensor of 0 elements into shape [0, -1] because the unspecified dimension size -1 can be any "
        "value and is ambiguous");
    REFUSED(wg_view(none, 1, L(3)), WG_ERR_RUNTIME, "shape '[3]' is invalid for input of size 0");
    REFUSED(wg_view(wg_t(x), 1, L(12)), WG_ERR_RUNTIME,
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces).");
    REFUSED(wg_reshape(x, 2, L(7, -1)), WG_ERR_RUNTIME, "shape '[7, -1]' is invalid for input of size 12");
    REFUSED(wg_flatten(x, 1, 0), WG_ERR_RUNTIME, "flatten() has invalid args: start_dim cannot come after end_dim");
    REFUSED(wg_flatten(x, 0, 2), WG_ERR_INDEX, RANGE(-2, 1, 2));
    NO_FACT_WRONG;
}

/* ---- permute, transpose, expand, squeeze ------------------------------------------------------------------------- */

static void dims_in_another_order(void **state) {
    (void)state;
    wg_tensor *x = m34(), *c = COUNT(WG_FLOAT64, 2, 3, 4), *z = CELL(5);
    LAID(wg_permute(c, 3, L(2, -3, 1)), "(4, 2, 3) (1, 12, 4)");
    LAID(wg_permute(z, 0, NULL), "() ()");
    LAID(wg_transpose(c, -1, 0), "(4, 3, 2) (1, 4, 12)");
    LAID(wg_transpose(z, 0, -1), "() ()");
    LAID(wg_mT(c), "(2, 4, 3) (12, 1, 4)");
    LAID(wg_t(NUMBERS(1, 2)), "(2) (1)");
    REFUSED(wg_permute(x, 1, L(0)), WG_ERR_RUNTIME,
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            "ordering of dimensions i.e. input.dim() = 2 is not equal to len(dims) = 1");
    REFUSED(wg_permute(x, 2, L(0, -2)), WG_ERR_RUNTIME, "permute(): duplicate dims are not allowed.");
    REFUSED(wg_permute(x, 2, L(0, 2)), WG_ERR_INDEX, RANGE(-2, 1, 2));
    REFUSED(wg_transpose(x, 0, 2), WG_ERR_INDEX, RANGE(-2, 1, 2));
    REFUSED(wg_transpose(z, 1, 0), WG_ERR_INDEX, RANGE(-1, 0, 1));
    REFUSED(wg_t(c), WG_ERR_RUNTIME, "t() expects a tensor with <= 2 dimensions, but self is 3D");
    NO_FACT_WRONG;
}
static void expansions(void **state) {
    (void)state;
    wg_tensor *row = COUNT(WG_FLOAT64, 1, 3), *z = CELL(5), *none = empty03(), *leaf = LEAF(2, 1);
    LAID(wg_expand(row, 3, L(2, 4, -1)), "(2, 4, 3) (0, 0, 1)");
    LAID(wg_expand(row, 2, L(0, 3)), "(0, 3) (0, 1)");
    LAID(wg_expand(z, 2, L(2, 0)), "(2, 0) (0, 0)");
    LAID(wg_expand(z, 0, NULL), "() ()");
    LAID(wg_expand(none, 3, L(2, 0, 3)), "(2, 0, 3) (0, 3, 1)");
    LAID(wg_expand_as(row, m34()), "poison");
    wg_clear_error();
    GRAD(wg_expand(leaf, 3, L(2, 2, 3)), leaf, "float64 (2, 1): 30 48");
    GRAD(wg_expand(leaf, 3, L(0, 2, 3)), leaf, "float64 (2, 1): 0 0");
    REFUSED(
        wg_expand(row, 2, L(5, 4)), WG_ERR_RUNTIME,
        "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 1.  Target "
        "sizes: [5, 4].  Tensor sizes: [1, 3]");
    REFUSED(wg_expand(none, 2, L(3, 4)), WG_ERR_RUNTIME,
            "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 1.");
    REFUSED(wg_expand(none, 2, L(-2, 3)), WG_ERR_RUNTIME,
            "The expanded size of the tensor (-2) must match the existing size (0) at non-singleton dimension 0.");
    REFUSED(wg_expand(row, 3, L(-1, 1, 3)), WG_ERR_RUNTIME,
            "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0");
    REFUSED(
        wg_expand(row, 1, L(3)), WG_ERR_RUNTIME,
        "expand(torch.DoubleTensor{[1, 3]}, size=[3]): the number of sizes provided (1) must be greater or equal to "
        "the number of dimensions in the tensor (2)");
    NO_FACT_WRONG;
}
static void squeezes(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 1, 3, 1), *z = CELL(5), *none = empty03();
    LAID(wg_squeeze(x), "(3) (1)");
    LAID(wg_squeeze(none), "(0, 3) (3, 1)");
    LAID(wg_squeeze_dim(x, -1), "(1, 3) (3, 1)");
    LAID(wg_squeeze_dim(x, 1), "(1, 3, 1) (3, 1, 1)");
    LAID(wg_squeeze_dim(z, -1), "() ()");
    LAID(wg_squeeze_dims(x, 2, L(0, -1)), "(3) (1)");
    LAID(wg_squeeze_dims(x, 0, NULL), "(1, 3, 1) (3, 1, 1)");
    LAID(wg_squeeze_dims(z, 1, L(0)), "() ()");
    LAID(wg_unsqueeze(m34(), 1), "(3, 1, 4) (4, 4, 1)");
    LAID(wg_unsqueeze(m34(), -1), "(3, 4, 1) (4, 1, 1)");
    LAID(wg_unsqueeze(wg_t(m34()), 0), "(1, 4, 3) (4, 1, 4)");
    LAID(wg_unsqueeze(none, 0), "(1, 0, 3) (0, 3, 1)");
    LAID(wg_unsqueeze(z, 0), "(1) (1)");
    REFUSED(wg_squeeze_dims(x, 2, L(0, -3)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
    REFUSED(wg_squeeze_dims(z, 2, L(0, 0)), WG_ERR_RUNTIME, "dim 0 appears multiple times in the list of dims");
    REFUSED(wg_squeeze_dim(x, 3), WG_ERR_INDEX, RANGE(-3, 2, 3));
    REFUSED(wg_squeeze_dim(z, 1), WG_ERR_INDEX, RANGE(-1, 0, 1));
    REFUSED(wg_unsqueeze(z, 1), WG_ERR_INDEX, RANGE(-1, 0, 1));
    REFUSED(wg_unsqueeze(x, -5), WG_ERR_INDEX, RANGE(-4, 3, -5));
    NO_FACT_WRONG;
}

/* ---- select, slice, narrow --------------------------------------------------------------------------------------- */

static void selections(void **state) {
    (void)state;
    wg_tensor *x = m34(), *z = CELL(5), *none = empty03(), *leaf = LEAF(2, 3);
    IS(wg_select(x, -1, -1), "float64 (3): 3 7 11");
    IS(wg_select(wg_t(x), 0, 1), "float64 (3): 1 5 9");
    IS(wg_select(none, 1, 2), "float64 (0):");
    GRAD(wg_select(leaf, 1, -2), leaf, "float64 (2, 3): 0 1 0 0 2 0");
    REFUSED(wg_select(x, 0, 3), WG_ERR_INDEX,
            "select(): index 3 out of range for tensor of size [3, 4] at dimension 0");
    REFUSED(wg_select(x, -1, -5), WG_ERR_INDEX,
            "select(): index -5 out of range for tensor of size [3, 4] at dimension 1");
    REFUSED(wg_select(x, 0, INT64_MIN), WG_ERR_INDEX,
            "select(): index -9223372036854775808 out of range for tensor of size [3, 4] at dimension 0");
    REFUSED(wg_select(none, 0, 0), WG_ERR_INDEX,
            "select(): index 0 out of range for tensor of size [0, 3] at dimension 0");
    REFUSED(wg_select(z, 0, 0), WG_ERR_INDEX, "select() cannot be applied to a 0-dim tensor.");
    REFUSED(wg_select(x, 2, 0), WG_ERR_INDEX, RANGE(-2, 1, 2));
    NO_FACT_WRONG;
}
static void slices(void **state) {
    (void)state;
    wg_tensor *x = m34(), *leaf = LEAF(5);
    IS(wg_slice(x, 0, -2, 99, 1), "float64 (2, 4): 4 5 6 7 8 9 10 11");
    IS(wg_slice(x, 1, -99, -1, 2), "float64 (3, 2): 0 2 4 6 8 10");
    IS(wg_slice(x, 0, 2, 1, 1), "float64 (0, 4):");
    IS(wg_slice(x, 0, 7, 9, 1), "float64 (0, 4):");
    LAID(wg_slice(x, 1, 0, 1, 3), "(3, 1) (4, 3)"); /* the stride of one element is as long as the step */
    LAID(wg_slice(x, 0, 3, 3, 2), "(0, 4) (8, 1)");
    IS(wg_slice(x, 0, INT64_MIN, INT64_MAX, INT64_MAX), "float64 (1, 4): 0 1 2 3");
    GRAD(wg_slice(leaf, 0, 1, 9, 3), leaf, "float64 (5): 0 1 0 0 2");
    GRAD(wg_slice(leaf, 0, 4, 2, 1), leaf, "float64 (5): 0 0 0 0 0");
    IS(wg_narrow(x, 0, -1, 1), "float64 (1, 4): 8 9 10 11");
    IS(wg_narrow(x, 1, 4, 0), "float64 (3, 0):");
    REFUSED(wg_slice(x, 0, 0, 3, 0), WG_ERR_RUNTIME, "slice step must be positive");
    REFUSED(wg_slice(x, 0, 3, 0, -1), WG_ERR_RUNTIME, "slice step must be positive");
    REFUSED(wg_slice(CELL(1), 0, 0, 1, 1), WG_ERR_INDEX, "slice() cannot be applied to a 0-dim tensor.");
    REFUSED(wg_narrow(x, 0, 1, 3), WG_ERR_RUNTIME, "start (1) + length (3) exceeds dimension size (3).");
    REFUSED(wg_narrow(x, 0, 1, INT64_MAX), WG_ERR_RUNTIME,
            "start (1) + length (9223372036854775807) exceeds dimension size (3).");
    REFUSED(wg_narrow(x, 0, 4, 0), WG_ERR_INDEX, "start out of range (expected to be in range of [-3, 3], but got 4)");
    REFUSED(wg_narrow(x, 0, 0, -1), WG_ERR_RUNTIME, "narrow(): length must be non-negative.");
    REFUSED(wg_narrow(CELL(1), 0, 0, 1), WG_ERR_RUNTIME, "narrow() cannot be applied to a 0-dim tensor.");
    NO_FACT_WRONG;
}

/* ---- as_strided -------------------------------------------------------------------------------------------------- */

static void any_geometry(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 6), *none = NOTHING(WG_FLOAT64), *tail = wg_narrow(x, 0, 4, 2);
    IS(wg_as_strided(x, 2, L(3, 2), L(1, 2), 1), "float64 (3, 2): 1 3 2 4 3 5");
    IS(wg_as_strided(x, 2, L(2, 3), L(0, 2), 0), "float64 (2, 3): 0 2 4 0 2 4");
    IS(wg_as_strided(x, 0, NULL, NULL, 5), "float64 (): 5");
    IS(wg_as_strided(tail, 1, L(2), L(1), -1), "float64 (2): 4 5"); /* from where it begins */
    IS(wg_as_strided(tail, 1, L(6), L(1), 0), "float64 (6): 0 1 2 3 4 5");
    IS(wg_as_strided(none, 2, L(3, 0), L(1, 1), 0), "float64 (3, 0):");
    IS(wg_as_strided(x, 2, L(0, HUGE_), L(1, HUGE_), 99), "float64 (0, 4611686018427387904):"); /* nothing is nowhere */
    REFUSED(
        wg_as_strided(none, 1, L(3), L(1), 0), WG_ERR_RUNTIME,
        "setStorage: sizes [3], strides [1], storage offset 0, and itemsize 8 requiring a storage size of 24 are out "
        "of bounds for storage of size 0");
    REFUSED(
        wg_as_strided(x, 0, NULL, NULL, 6), WG_ERR_RUNTIME,
        "setStorage: sizes [], strides [], storage offset 6, and itemsize 8 requiring a storage size of 56 are out of "
        "bounds for storage of size 48");
    REFUSED(wg_as_strided(x, 1, L(2), L(-1), 5), WG_ERR_RUNTIME,
            "as_strided: Negative strides are not supported at the moment, got strides: [-1]");
    REFUSED(wg_as_strided(x, 1, L(2), L(1), HUGE_), WG_ERR_RUNTIME,
            "Storage size calculation overflowed with sizes=[2] and strides=[1]");
    REFUSED(wg_as_strided(x, 1, L(-1), L(1), 0), WG_ERR_RUNTIME,
            "Storage size calculation overflowed with sizes=[-1] and strides=[1]");
    NO_FACT_WRONG;
}
/* The storage behind foreign memory of unknown length ends where the shape does. */
static void outside_foreign_memory(void **state) {
    (void)state;
    double v[4] = {1, 2, 3, 4};
    wg_tensor *x = wg_from_memory(WG_FLOAT64, 1, L(3), WG_MEMORY(.data = v));
    IS(wg_as_strided(x, 1, L(2), L(2), 0), "float64 (2): 1 3");
    REFUSED(wg_as_strided(x, 1, L(4), L(1), 0), WG_ERR_RUNTIME, "setStorage: sizes [4], strides [1], storage offset 0");
    wg_tensor *none = wg_from_memory(WG_FLOAT64, 1, L(0), WG_MEMORY(.data = v));
    REFUSED(wg_as_strided(none, 1, L(1), L(1), 0), WG_ERR_RUNTIME, "setStorage: sizes [1], strides [1]");
    NO_FACT_WRONG;
}
/* What the view shows and the input does not has no gradient; a place that the input has twice shares it. */
static void gradients_of_any_geometry(void **state) {
    (void)state;
    wg_tensor *x = LEAF(6), *column = LEAF(2, 1);
    GRAD(wg_as_strided(x, 2, L(2, 3), L(1, 1), 1), x, "float64 (6): 0 1 6 8 6 0");
    GRAD(wg_as_strided(x, 2, L(2, 2), L(0, 5), 0), x, "float64 (6): 4 0 0 0 0 6");
    GRAD(wg_as_strided(wg_narrow(x, 0, 3, 2), 1, L(6), L(1), 0), x, "float64 (6): 0 0 0 4 5 0");
    GRAD(wg_as_strided(wg_narrow(x, 0, 1, 2), 2, L(2, 2), L(2, 1), 2), x, "float64 (6): 0 0 1 0 0 0");
    GRAD(wg_as_strided(wg_expand(column, WG_SHAPE(2, 3)), 1, L(2), L(1), 0), column, "float64 (2, 1): 1 2");
    GRAD(wg_as_strided(x, 2, L(0, 3), L(1, 1), 0), x, "float64 (6): 0 0 0 0 0 0");
    NO_FACT_WRONG;
}

/* ---- split, chunk, unbind ---------------------------------------------------------------------------------------- */

/* Lengths of the pieces along dim. */
static void pieces_are(int line, wg_tensor **out, int n, int dim, const char *want) {
    char text[200] = "";
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, i ? " %lld" : "%lld", (long long)wg_size(out[i], dim));
    if (strcmp(text, want) == 0) return;
    print_error("line %d:\n  want %s\n  got  %s\n", line, want, text);
    facts_wrong++;
}
#define PIECES(call, dim, want)                                                                                        \
    do {                                                                                                               \
        assert_int_equal((call), WG_OK);                                                                               \
        pieces_are(__LINE__, out, n, dim, want);                                                                       \
    } while (0)

static void pieces(void **state) {
    (void)state;
    wg_tensor *out[12], *x = COUNT(WG_FLOAT64, 2, 7), *none = empty03(), *leaf = LEAF(5);
    int n;
    PIECES(wg_split(x, 3, 1, out, 12, &n), 1, "3 3 1");
    IS(out[2], "float64 (2, 1): 6 13");
    PIECES(wg_split(x, 100, -1, out, 12, &n), 1, "7");
    PIECES(wg_split(x, INT64_MAX, 1, out, 12, &n), 1, "7");
    PIECES(wg_split(none, 0, 0, out, 12, &n), 0, "0");
    PIECES(wg_split(none, 5, 0, out, 12, &n), 0, "0");
    PIECES(wg_split_sizes(x, WG_DIMS(0, 7, 0), 1, out, 12, &n), 1, "0 7 0");
    PIECES(wg_chunk(x, 3, 1, out, 12, &n), 1, "3 3 1");
    PIECES(wg_chunk(x, 5, 1, out, 12, &n), 1, "2 2 2 1");
    PIECES(wg_chunk(x, 100, 1, out, 12, &n), 1, "1 1 1 1 1 1 1");
    PIECES(wg_chunk(x, INT64_MAX, 0, out, 12, &n), 0, "1 1");
    PIECES(wg_chunk(none, 3, 0, out, 12, &n), 0, "0 0 0");
    PIECES(wg_unbind(x, 0, out, 12, &n), 0, "7 7");
    IS(out[1], "float64 (7): 7 8 9 10 11 12 13");
    PIECES(wg_unbind(none, 0, out, 12, &n), 0, "");
    PIECES(wg_split(leaf, 2, 0, out, 12, &n), 0, "2 2 1");
    GRAD(out[1], leaf, "float64 (5): 0 0 1 2 0");
    NO_FACT_WRONG;
}
static void pieces_refused(void **state) {
    (void)state;
    wg_tensor *out[4], *x = m34(), *z = CELL(5);
    int n;
    FAILS(wg_split(x, 0, 0, out, 4, &n), WG_ERR_RUNTIME,
          "split_size can only be 0 if dimension size is 0, but got dimension size of 3");
    FAILS(wg_split(x, -1, 0, out, 4, &n), WG_ERR_RUNTIME,
          "split expects split_size be non-negative, but got split_size=-1");
    FAILS(wg_split(z, 1, 0, out, 4, &n), WG_ERR_RUNTIME, "split expects at least a 1-dimensional tensor");
    FAILS(wg_split(x, 1, 2, out, 4, &n), WG_ERR_INDEX, RANGE(-2, 1, 2));
    FAILS(wg_split_sizes(x, WG_DIMS(1, 1), -2, out, 4, &n), WG_ERR_RUNTIME,
          "split_with_sizes expects split_sizes to sum exactly to 3 (input tensor's size at dimension -2), but got "
          "split_sizes=[1, 1]");
    FAILS(wg_split_sizes(x, WG_DIMS(-1, 4), 0, out, 4, &n), WG_ERR_RUNTIME,
          "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[-1, 4]");
    /* their sum is 3 modulo 2^64 */
    FAILS(wg_split_sizes(x, WG_DIMS(INT64_MAX, INT64_MAX, 5), 0, out, 4, &n), WG_ERR_RUNTIME,
          "split_with_sizes expects split_sizes to sum exactly to 3");
    FAILS(wg_chunk(x, 0, 0, out, 4, &n), WG_ERR_RUNTIME, "chunk expects `chunks` to be greater than 0, got: 0");
    FAILS(wg_chunk(z, 1, 0, out, 4, &n), WG_ERR_RUNTIME, "chunk expects at least a 1-dimensional tensor");
    FAILS(wg_unbind(z, -1, out, 4, &n), WG_ERR_INDEX, "Dimension specified as 0 but tensor has no dimensions");
    FAILS(wg_unbind(z, 1, out, 4, &n), WG_ERR_INDEX, RANGE(-1, 0, 1));
    FAILS(wg_unbind(COUNT(WG_FLOAT64, 5), 0, out, 4, &n), WG_ERR_VALUE, "unbind() gives 5 views; there is room for 4");
    NO_FACT_WRONG;
}

/* ---- cat, stack -------------------------------------------------------------------------------------------------- */

static void joins(void **state) {
    (void)state;
    wg_tensor *a = COUNT(WG_FLOAT64, 2, 2), *none = NOTHING(WG_FLOAT64), *whole = COUNT(WG_INT32, 1, 2),
              *leaf = LEAF(2);
    wg_tensor *v = NUMBERS(1, 2), *no_columns = wg_zeros(WG_SHAPE(2, 0), WG_DTYPE(WG_FLOAT64));
    IS(wg_cat(WG_TENSORS(a, wg_t(a)), -1), "float64 (2, 4): 0 1 0 2 2 3 1 3");
    IS(wg_cat(WG_TENSORS(none, a, none), 1), "float64 (2, 2): 0 1 2 3"); /* 1-d and empty: left out */
    IS(wg_cat(WG_TENSORS(a, no_columns), 1), "float64 (2, 2): 0 1 2 3");
    IS(wg_cat(WG_TENSORS(none, none), 0), "float64 (0):");
    IS(wg_cat(WG_TENSORS(whole, wg_to(a, WG_FLOAT16)), 0), "float16 (3, 2): 0 1 0 1 2 3");
    IS(wg_cat(WG_TENSORS(whole, wg_to(whole, WG_BOOL)), 0), "int32 (2, 2): 0 1 0 1");
    IS(wg_cat(WG_TENSORS(wg_to(none, WG_FLOAT64), whole), 0), "float64 (1, 2): 0 1");
    IS(wg_stack(WG_TENSORS(v, v), -1), "float64 (2, 2): 1 1 2 2");
    IS(wg_stack(WG_TENSORS(CELL(1), CELL(2)), 0), "float64 (2): 1 2");
    IS(wg_stack(WG_TENSORS(none, none), 1), "float64 (0, 2):");
    GRAD(wg_cat(WG_TENSORS(leaf, v, leaf), 0), leaf, "float64 (2): 6 8");
    GRAD(wg_stack(WG_TENSORS(v, leaf), 1), leaf, "float64 (2): 2 4");
    NO_FACT_WRONG;
}
static void joins_refused(void **state) {
    (void)state;
    wg_tensor *a = COUNT(WG_FLOAT64, 2, 2), *v = NUMBERS(1, 2), *z = CELL(5), *wide = COUNT(WG_FLOAT64, 2, 3);
    REFUSED(wg_cat(NULL, 0, 0), WG_ERR_VALUE, "torch.cat(): expected a non-empty list of Tensors");
    REFUSED(wg_stack(NULL, 0, 0), WG_ERR_RUNTIME, "stack expects a non-empty TensorList");
    REFUSED(
        wg_cat(WG_TENSORS(a, wide), 0), WG_ERR_RUNTIME,
        "Sizes of tensors must match except in dimension 0. Expected size 2 but got size 3 for tensor number 1 in the "
        "list.");
    REFUSED(wg_cat(WG_TENSORS(a, v), 0), WG_ERR_RUNTIME, "Tensors must have same number of dimensions: got 2 and 1");
    REFUSED(wg_cat(WG_TENSORS(v, z), 0), WG_ERR_RUNTIME,
            "zero-dimensional tensor (at position 1) cannot be concatenated");
    REFUSED(wg_cat(WG_TENSORS(a, a), 2), WG_ERR_INDEX, RANGE(-2, 1, 2));
    REFUSED(wg_stack(WG_TENSORS(a, wide), 0), WG_ERR_RUNTIME,
            "stack expects each tensor to be equal size, but got [2, 2] at entry 0 and [2, 3] at entry 1");
    REFUSED(wg_stack(WG_TENSORS(a, a), 3), WG_ERR_INDEX, RANGE(-3, 2, 3));
    NO_FACT_WRONG;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FACT_TEST(views),
        FACT_TEST(view_refusals),
        FACT_TEST(dims_in_another_order),
        FACT_TEST(expansions),
        FACT_TEST(squeezes),
        FACT_TEST(selections),
        FACT_TEST(slices),
        FACT_TEST(any_geometry),
        FACT_TEST(outside_foreign_memory),
        FACT_TEST(gradients_of_any_geometry),
        FACT_TEST(pieces),
        FACT_TEST(pieces_refused),
        FACT_TEST(joins),
        FACT_TEST(joins_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
