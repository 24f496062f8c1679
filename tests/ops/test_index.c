/* test_index.c - index, index_put and the ops with an index along one dim, at their edges: masks, indices apart,
 * nothing, 0-d, twice the same place, out of range, of the wrong dtype or shape. What is wanted is PyTorch's answer.
 */
#include <math.h>

#include "support/facts.h"

#define I1(a) (wg_tensor *const[]){a}, 1
#define I2(a, b) (wg_tensor *const[]){a, b}, 2
#define I3(a, b, c) (wg_tensor *const[]){a, b, c}, 3

static wg_tensor *m34(void) { return COUNT(WG_FLOAT64, 3, 4); }
static wg_tensor *flags(wg_tensor *t) { return wg_to(t, WG_BOOL); }
static wg_tensor *over(double v) { return wg_gt(m34(), wg_s(v)); }

/* ---- index ------------------------------------------------------------------------------------------------------- */

static void index_values(void **state) {
    (void)state;
    wg_tensor *x = m34(), *c = COUNT(WG_FLOAT64, 2, 3, 4), *tall = RESHAPED(AT(0, 1), 2, 1);
    IS(wg_index(x, I1(AT(0, 2, 2, -1))), "float64 (4, 4): 0 1 2 3 8 9 10 11 8 9 10 11 8 9 10 11");
    IS(wg_index(x, I1(AT0(1))), "float64 (4): 4 5 6 7");
    IS(wg_index(x, I2(NULL, AT(3, -4))), "float64 (3, 2): 3 0 7 4 11 8");
    IS(wg_index(x, I2(AT(0, 2), AT(1, 1))), "float64 (2): 1 9");
    IS(wg_index(x, I2(tall, AT(1, 1, 3))), "float64 (2, 3): 1 1 3 5 5 7");
    IS(wg_index(c, I3(AT(0, 1), NULL, AT(1, 3))), "float64 (2, 3): 1 5 9 15 19 23");
    IS(wg_index(c, I3(NULL, AT(0, 1), AT(1, 3))), "float64 (2, 2): 1 7 13 19");
    IS(wg_index(c, I2(NULL, tall)), "float64 (2, 2, 1, 4): 0 1 2 3 4 5 6 7 12 13 14 15 16 17 18 19");
    IS(wg_index(wg_t(x), I1(wg_to(AT(2, 0), WG_INT32))), "float64 (2, 3): 2 6 10 0 4 8");
    IS(wg_index(wg_expand(NUMBERS(1, 2), WG_SHAPE(3, 2)), I2(NULL, AT(1, 1, 0))), "float64 (3, 3): 2 2 1 2 2 1 2 2 1");
    NO_FACT_WRONG;
}
static void index_masks(void **state) {
    (void)state;
    wg_tensor *x = m34(), *rows = flags(AT(1, 0, 1)), *yes = flags(AT0(1)), *no = flags(AT0(0)), *z = CELL(5);
    IS(wg_index(x, I1(over(8))), "float64 (3): 9 10 11");
    IS(wg_index(x, I1(over(80))), "float64 (0):");
    IS(wg_index(x, I1(rows)), "float64 (2, 4): 0 1 2 3 8 9 10 11");
    IS(wg_index(x, I2(NULL, flags(AT(0, 0, 0, 1)))), "float64 (3, 1): 3 7 11");
    IS(wg_index(x, I2(rows, AT(0, 3))), "float64 (2): 0 11");
    IS(wg_index(x, I1(wg_to(AT(0, 0, 7), WG_UINT8))), "float64 (1, 4): 8 9 10 11");
    IS(wg_index(z, I1(yes)), "float64 (1): 5"); /* numpy's, and x[flag] of PyTorch: a new dim */
    IS(wg_index(z, I1(no)), "float64 (0):");
    IS(wg_index(NUMBERS(1, 2), I1(no)), "float64 (0, 2):");
    IS(wg_index(NUMBERS(1, 2), I2(yes, AT(1))), "float64 (1): 2");
    NO_FACT_WRONG;
}
static void index_of_nothing(void **state) {
    (void)state;
    wg_tensor *x = m34(), *none = NOTHING(WG_INT64), *no_rows = wg_zeros(WG_SHAPE(0, 3), WG_DTYPE(WG_FLOAT64)),
              *no_columns = wg_zeros(WG_SHAPE(3, 0), WG_DTYPE(WG_FLOAT64));
    IS(wg_index(x, I1(none)), "float64 (0, 4):");
    IS(wg_index(x, I1(RESHAPED(none, 0, 3))), "float64 (0, 3, 4):");
    IS(wg_index(no_rows, I1(none)), "float64 (0, 3):");
    IS(wg_index(no_columns, I1(AT(0, 7))), "float64 (2, 0):"); /* nothing is read */
    REFUSED(wg_index(no_rows, I1(AT(0))), WG_ERR_INDEX, "index is out of bounds for dimension with size 0");
    REFUSED(wg_index(no_columns, I2(NULL, AT(0))), WG_ERR_INDEX, "index is out of bounds for dimension with size 0");
    NO_FACT_WRONG;
}
static void index_refusals(void **state) {
    (void)state;
    wg_tensor *x = m34(), *z = CELL(5);
    REFUSED(wg_index(x, I1(AT(0, 3))), WG_ERR_INDEX, "index 3 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_index(x, I1(AT(-4))), WG_ERR_INDEX, "index -4 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_index(x, I2(AT(0), AT(4))), WG_ERR_INDEX, "index 4 is out of bounds for dimension 1 with size 4");
    REFUSED(wg_index(x, I2(NULL, AT(4))), WG_ERR_INDEX, "index 4 is out of bounds for dimension 0 with size 4");
    REFUSED(wg_index(x, I3(AT(0), AT(0), AT(0))), WG_ERR_INDEX, "too many indices for tensor of dimension 2 (got 3)");
    REFUSED(wg_index(x, I3(AT(0), NULL, NULL)), WG_ERR_INDEX, "too many indices for tensor of dimension 2 (got 3)");
    REFUSED(wg_index(z, I1(AT(0))), WG_ERR_INDEX, "too many indices for tensor of dimension 0 (got 1)");
    REFUSED(wg_index(x, I2(AT(0, 1), AT(0, 1, 2))), WG_ERR_INDEX,
            "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]");
    REFUSED(wg_index(x, I2(flags(AT(1, 0, 1)), AT(0, 1, 2))), WG_ERR_INDEX,
            "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]");
    REFUSED(wg_index(x, I1(NUMBERS(0))), WG_ERR_INDEX,
            "tensors used as indices must be long, int, byte or bool tensors");
    REFUSED(wg_index(x, I1(wg_to(AT(0), WG_INT16))), WG_ERR_INDEX,
            "tensors used as indices must be long, int, byte or bool tensors");
    REFUSED(wg_index(x, I1(flags(AT(1, 0)))), WG_ERR_INDEX,
            "The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3, 4] at index 0");
    REFUSED(wg_index(x, I1(flags(COUNT(WG_INT64, 3, 5)))), WG_ERR_INDEX,
            "The shape of the mask [3, 5] at index 1 does not match the shape of the indexed tensor [3, 4] at index 1");
    REFUSED(wg_index(x, I1(flags(COUNT(WG_INT64, 3, 4, 1)))), WG_ERR_INDEX,
            "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
    NO_FACT_WRONG;
}
static void index_gradients(void **state) {
    (void)state;
    wg_tensor *x = LEAF(3, 2), *v = LEAF(2, 2);
    GRAD(wg_index(x, I1(AT(0, 2, 2, 0))), x, "float64 (3, 2): 8 10 0 0 8 10");
    GRAD(wg_index(x, I2(NULL, AT(1, 1, 1))), x, "float64 (3, 2): 0 6 0 15 0 24");
    GRAD(wg_index(x, I1(wg_gt(wg_detach(x), wg_s(2)))), x, "float64 (3, 2): 0 0 0 1 2 3");
    GRAD(wg_index(x, I1(NOTHING(WG_INT64))), x, "float64 (3, 2): 0 0 0 0 0 0");
    GRAD(wg_index_put(x, I1(AT(0, 2)), v, false), x, "float64 (3, 2): 0 0 3 4 0 0");
    GRAD(wg_index_put(x, I1(AT(0, 2)), v, false), v, "float64 (2, 2): 1 2 5 6");
    GRAD(wg_index_put(x, I1(AT(0, 0)), v, true), x, "float64 (3, 2): 1 2 3 4 5 6");
    GRAD(wg_index_put(x, I1(AT(0, 0)), v, true), v, "float64 (2, 2): 1 2 1 2");
    GRAD(wg_index_put(x, I1(AT(0, 1)), wg_select(v, 0, 1), false), v, "float64 (2, 2): 0 0 4 6");
    NO_FACT_WRONG;
}

/* ---- index_put --------------------------------------------------------------------------------------------------- */

static void put_values(void **state) {
    (void)state;
    wg_tensor *x = wg_zeros(WG_SHAPE(3, 2), WG_DTYPE(WG_FLOAT64)),
              *u = wg_full(WG_SHAPE(2), wg_i(200), WG_DTYPE(WG_UINT8));
    wg_tensor *yes = flags(AT0(1)), *no = flags(AT0(0));
    IS(wg_index_put(x, I1(AT(0, -1)), NUMBERS(1, 2), false), "float64 (3, 2): 1 2 0 0 1 2");
    IS(wg_index_put(x, I1(AT(0, 2)), wg_s(3.5), false), "float64 (3, 2): 3.5 3.5 0 0 3.5 3.5");
    IS(wg_index_put(x, I1(AT(1)), RESHAPED(NUMBERS(4), 1, 1), false), "float64 (3, 2): 0 0 4 4 0 0");
    IS(wg_index_put(x, I1(AT(1, 1, 1)), COUNT(WG_FLOAT64, 3, 2), true), "float64 (3, 2): 0 0 6 9 0 0");
    IS(wg_index_put(x, I1(AT(1, 1)), COUNT(WG_FLOAT64, 2, 2), false), "float64 (3, 2): 0 0 2 3 0 0");
    IS(wg_index_put(x, I2(NULL, AT(1)), RESHAPED(NUMBERS(1, 2, 3), 3, 1), false), "float64 (3, 2): 0 1 0 2 0 3");
    IS(wg_index_put(x, I1(wg_eq(x, wg_i(0))), CELL(9), false), "float64 (3, 2): 9 9 9 9 9 9");
    IS(wg_index_put(x, I1(NOTHING(WG_INT64)), NUMBERS(1, 2), false), "float64 (3, 2): 0 0 0 0 0 0");
    IS(wg_index_put(wg_t(x), I1(AT(1)), NUMBERS(1, 2, 3), false), "float64 (2, 3): 0 0 0 1 2 3");
    IS(wg_index_put(u, I1(AT(0, 0)), u, true), "uint8 (2): 88 200");
    IS(wg_index_put(flags(u), I1(AT(0, 0)), flags(AT(1, 0)), true), "bool (2): 1 1");
    IS(wg_index_put(x, I1(yes), CELL(9), false), "float64 (3, 2): 9 9 9 9 9 9");
    IS(wg_index_put(x, I1(no), CELL(9), false), "float64 (3, 2): 0 0 0 0 0 0");
    IS(wg_index_put(CELL(1), I1(yes), CELL(9), true), "float64 (): 10");
    NO_FACT_WRONG;
}
static void put_in_place(void **state) {
    (void)state;
    wg_tensor *x = m34(), *yes = flags(AT0(1));
    assert_ptr_equal(wg_index_put_(x, I1(AT(0, 2)), wg_s(-1), false), x);
    IS(x, "float64 (3, 4): -1 -1 -1 -1 4 5 6 7 -1 -1 -1 -1");
    wg_tensor *y = COUNT(WG_FLOAT64, 2);
    assert_ptr_equal(wg_index_put_(y, I1(yes), CELL(7), false), y);
    IS(y, "float64 (2): 7 7");
    REFUSED(wg_index_put_(y, I1(AT(2)), CELL(7), false), WG_ERR_INDEX,
            "index 2 is out of bounds for dimension 0 with size 2");
    IS(y, "float64 (2): 7 7");
    NO_FACT_WRONG;
}
static void put_refusals(void **state) {
    (void)state;
    wg_tensor *x = m34();
    REFUSED(wg_index_put(x, I1(AT(0, 2)), m34(), false), WG_ERR_RUNTIME,
            "shape mismatch: value tensor of shape [3, 4] cannot be broadcast to indexing result of shape [2, 4]");
    REFUSED(wg_index_put(x, I1(AT(0)), RESHAPED(NUMBERS(4), 1, 1, 1), false), WG_ERR_RUNTIME,
            "shape mismatch: value tensor of shape [1, 1, 1] cannot be broadcast to indexing result of shape [1, 4]");
    REFUSED(wg_index_put(x, I1(over(6)), NUMBERS(1, 2, 3), false), WG_ERR_RUNTIME,
            "shape mismatch: value tensor of shape [3] cannot be broadcast to indexing result of shape [5]");
    REFUSED(wg_index_put(x, I1(NOTHING(WG_INT64)), m34(), true), WG_ERR_RUNTIME,
            "shape mismatch: value tensor of shape [3, 4] cannot be broadcast to indexing result of shape [0, 4]");
    REFUSED(
        wg_index_put(x, I1(AT(0)), COUNT(WG_FLOAT32, 4), false), WG_ERR_RUNTIME,
        "Index put requires the source and destination dtypes match, got Double for the destination and Float for the "
        "source.");
    REFUSED(wg_index_put(x, I1(AT(3)), wg_s(1), true), WG_ERR_INDEX,
            "index 3 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_index_put(x, I1(AT(3)), NULL, true), WG_ERR_TYPE,
            "index_put(): argument 'values' must be Tensor, not None");
    NO_FACT_WRONG;
}

/* ---- index_select, index_add, index_fill ------------------------------------------------------------------------- */

static void select_rows(void **state) {
    (void)state;
    wg_tensor *x = m34(), *z = CELL(5), *leaf = LEAF(2, 3), *none = NOTHING(WG_INT64);
    wg_tensor *no_rows = wg_zeros(WG_SHAPE(0, 3), NULL), *no_columns = wg_zeros(WG_SHAPE(3, 0), NULL);
    IS(wg_index_select(x, 0, AT(2, 2)), "float64 (2, 4): 8 9 10 11 8 9 10 11");
    IS(wg_index_select(x, -1, wg_to(AT(3, 0), WG_INT32)), "float64 (3, 2): 3 0 7 4 11 8");
    IS(wg_index_select(x, 0, AT0(1)), "float64 (1, 4): 4 5 6 7");
    IS(wg_index_select(x, 1, none), "float64 (3, 0):");
    IS(wg_index_select(z, -1, AT(0)), "float64 (): 5");
    IS(wg_index_select(no_columns, 0, AT(0, 2)), "float32 (2, 0):");
    GRAD(wg_index_select(leaf, 1, AT(2, 0, 2)), leaf, "float64 (2, 3): 2 0 4 5 0 10");
    REFUSED(wg_index_select(x, 0, AT(3)), WG_ERR_INDEX, "index out of range in self");
    REFUSED(wg_index_select(x, 0, AT(-1)), WG_ERR_INDEX, "index out of range in self");
    REFUSED(wg_index_select(x, 1, AT(4)), WG_ERR_RUNTIME, "INDICES element is out of DATA bounds, id=4 axis_dim=4");
    REFUSED(wg_index_select(no_columns, 0, AT(9)), WG_ERR_RUNTIME,
            "INDICES element is out of DATA bounds, id=9 axis_dim=3");
    REFUSED(wg_index_select(no_rows, 0, AT(0)), WG_ERR_RUNTIME,
            "index_select(): self indexing axis dim should be positive");
    REFUSED(wg_index_select(z, 0, AT(0, 0)), WG_ERR_RUNTIME,
            "index_select(): Index to scalar can have only 1 value, got 2 value(s)");
    REFUSED(wg_index_select(x, 2, AT(0)), WG_ERR_INDEX,
            "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
    REFUSED(wg_index_select(x, 0, NUMBERS(0)), WG_ERR_RUNTIME,
            "index_select(): Expected dtype int32 or int64 for index");
    REFUSED(wg_index_select(x, 0, RESHAPED(AT(0), 1, 1)), WG_ERR_INDEX,
            "index_select(): Index is supposed to be a vector");
    NO_FACT_WRONG;
}
static void add_rows(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 3, 2), *s = COUNT(WG_FLOAT64, 2, 2), *v = NUMBERS(1, 2, 3), *z = CELL(5);
    wg_tensor *leaf = LEAF(3, 2), *source = LEAF(2, 2);
    IS(wg_index_add(x, 0, AT(0, 0), s), "float64 (3, 2): 2 5 2 3 4 5");
    IS(wg_index_add(x, -2, wg_to(AT(2, 1), WG_INT32), s), "float64 (3, 2): 0 1 4 6 4 6");
    IS(wg_index_add(z, 0, AT0(0), CELL(1)), "float64 (): 6");
    IS(wg_index_add(flags(x), 0, AT(0), RESHAPED(flags(AT(1, 0)), 1, 2)), "bool (3, 2): 1 1 1 1 1 1");
    IS(wg_index_add(x, 0, NOTHING(WG_INT64), wg_zeros(WG_SHAPE(0, 2), WG_DTYPE(WG_FLOAT64))),
       "float64 (3, 2): 0 1 2 3 4 5");
    GRAD(wg_index_add(leaf, 0, AT(1, 1), source), leaf, "float64 (3, 2): 1 2 3 4 5 6");
    GRAD(wg_index_add(leaf, 0, AT(1, 1), source), source, "float64 (2, 2): 3 4 3 4");
    REFUSED(wg_index_add(x, 0, AT(0, 1, 2), s), WG_ERR_RUNTIME,
            "index_add_(): Number of indices (3) should be equal to source.size(dim): (2), for dim: 0");
    REFUSED(
        wg_index_add(x, 0, AT(0, 1), COUNT(WG_FLOAT64, 2, 3)), WG_ERR_RUNTIME,
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = [3, 2] "
        "source.shape = [2, 3]");
    REFUSED(wg_index_add(v, 0, AT(0), CELL(1)), WG_ERR_RUNTIME,
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = [3] "
            "source.shape = []");
    REFUSED(wg_index_add(v, 0, AT(0, 1), CELL(1)), WG_ERR_INDEX,
            "Dimension specified as 0 but tensor has no dimensions");
    REFUSED(wg_index_add(x, 0, AT(0, 3), s), WG_ERR_RUNTIME, "index 3 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_index_add(x, 0, AT(0, -1), s), WG_ERR_RUNTIME, "index -1 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_index_add(v, 0, AT(3), NUMBERS(1)), WG_ERR_INDEX, "index out of range in self");
    REFUSED(wg_index_add(x, 0, AT(0, 1), wg_to(s, WG_INT32)), WG_ERR_RUNTIME,
            "index_add_(): self (Double) and source (Int) must have the same scalar type");
    REFUSED(wg_index_add(x, 0, NUMBERS(0, 1), s), WG_ERR_RUNTIME,
            "index_add_(): Expected dtype int32/int64 for index but got: Double");
    REFUSED(wg_index_add(x, 0, RESHAPED(AT(0), 1, 1), s), WG_ERR_INDEX,
            "index_add_(): Index is supposed to be a vector, but got dim: 2 with type: Long and size: [1, 1]");
    REFUSED(wg_index_add(x, 5, AT(0, 1), s), WG_ERR_INDEX,
            "Dimension out of range (expected to be in range of [-2, 1], but got 5)");
    NO_FACT_WRONG;
}
static void fill_rows(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 2, 3), *whole = COUNT(WG_INT32, 2, 3), *leaf = LEAF(2, 3);
    wg_tensor *value = wg_set_requires_grad(CELL(7), true);
    IS(wg_index_fill(x, 1, AT(0, -1), wg_s(9)), "float64 (2, 3): 9 1 9 9 4 9");
    IS(wg_index_fill(whole, 0, AT(1), wg_s(2.7)), "int32 (2, 3): 0 1 2 2 2 2");
    IS(wg_index_fill(flags(x), 0, AT(1), wg_i(0)), "bool (2, 3): 0 1 1 0 0 0");
    IS(wg_index_fill(CELL(1), 0, AT0(0), wg_i(3)), "float64 (): 3");
    IS(wg_index_fill(x, 0, NOTHING(WG_INT64), wg_i(3)), "float64 (2, 3): 0 1 2 3 4 5");
    IS(wg_index_fill(wg_t(x), 0, AT(2), CELL(8)), "float64 (3, 2): 0 3 1 4 8 8");
    GRAD(wg_index_fill(leaf, 1, AT(0, 2, 2), wg_s(1)), leaf, "float64 (2, 3): 0 2 0 0 5 0");
    GRAD(wg_index_fill(leaf, 1, AT(0, 2, 2), value), value, "float64 (): 14"); /* 1 + 3 + 4 + 6: the 2 counts once */
    REFUSED(wg_index_fill(whole, 0, AT(1), wg_s(1e30)), WG_ERR_RUNTIME,
            "value cannot be converted to type int without overflow");
    REFUSED(wg_index_fill(wg_to(x, WG_UINT8), 0, AT(1), wg_i(300)), WG_ERR_RUNTIME,
            "value cannot be converted to type uint8_t without overflow");
    REFUSED(wg_index_fill(x, 0, AT(2), wg_i(1)), WG_ERR_INDEX, "index 2 is out of bounds for dimension 0 with size 2");
    REFUSED(wg_index_fill(x, 0, AT(-3), wg_i(1)), WG_ERR_INDEX,
            "index -3 is out of bounds for dimension 0 with size 2");
    REFUSED(wg_index_fill(x, 0, wg_to(AT(0), WG_INT32), wg_i(1)), WG_ERR_INDEX,
            "index_fill_(): Expected dtype int64 for index.");
    REFUSED(wg_index_fill(x, 0, RESHAPED(AT(0), 1, 1), wg_i(1)), WG_ERR_RUNTIME, "Index has to be a vector/scalar");
    REFUSED(wg_index_fill(x, 0, AT(0), NUMBERS(1)), WG_ERR_RUNTIME,
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).");
    REFUSED(wg_index_fill(x, 2, AT(0), wg_i(1)), WG_ERR_INDEX,
            "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
    NO_FACT_WRONG;
}

/* ---- gather, scatter_add ----------------------------------------------------------------------------------------- */

static wg_tensor *zeros_at(int64_t n, int64_t m) { return wg_zeros(WG_SHAPE(n, m), WG_DTYPE(WG_INT64)); }

static void gathers(void **state) {
    (void)state;
    wg_tensor *x = m34(), *at = RESHAPED(AT(0, 3, 3, 1), 2, 2), *leaf = LEAF(2, 2), *v = NUMBERS(5, 6, 7);
    IS(wg_gather(x, 1, at), "float64 (2, 2): 0 3 7 5");
    IS(wg_gather(x, -1, wg_to(at, WG_INT32)), "float64 (2, 2): 0 3 7 5");
    IS(wg_gather(wg_t(x), 0, wg_t(at)), "float64 (2, 2): 0 7 3 5");
    IS(wg_gather(x, 0, zeros_at(5, 1)), "float64 (5, 1): 0 0 0 0 0");
    IS(wg_gather(v, 0, AT0(2)), "float64 (): 7");
    IS(wg_gather(CELL(4), 0, AT(0, 0)), "float64 (2): 4 4");
    IS(wg_gather(x, 0, NOTHING(WG_INT64)), "float64 (0):");
    IS(wg_gather(x, 0, zeros_at(0, 9)), "float64 (0, 9):");
    GRAD(wg_gather(leaf, 1, RESHAPED(AT(1, 1, 1, 0, 1, 0), 2, 3)), leaf, "float64 (2, 2): 0 6 10 5");
    REFUSED(wg_gather(x, 0, zeros_at(2, 5)), WG_ERR_RUNTIME,
            "Size does not match at dimension 1 expected index [2, 5] to be no larger than self [3, 4] apart from "
            "dimension 0");
    REFUSED(wg_gather(x, 0, AT(0)), WG_ERR_RUNTIME,
            "Index tensor must have the same number of dimensions as input tensor");
    REFUSED(wg_gather(x, 0, wg_add(zeros_at(1, 1), wg_i(3))), WG_ERR_RUNTIME,
            "index 3 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_gather(x, 1, wg_sub(zeros_at(1, 1), wg_i(1))), WG_ERR_RUNTIME,
            "index -1 is out of bounds for dimension 1 with size 4");
    REFUSED(wg_gather(x, 0, wg_to(at, WG_INT16)), WG_ERR_RUNTIME, "gather(): Expected dtype int32/int64 for index");
    REFUSED(wg_gather(x, 2, at), WG_ERR_INDEX,
            "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
    NO_FACT_WRONG;
}
static void scatters(void **state) {
    (void)state;
    wg_tensor *x = m34(), *at = RESHAPED(AT(0, 2, 2, 2), 2, 2), *s = COUNT(WG_FLOAT64, 2, 2);
    wg_tensor *leaf = LEAF(2, 2), *source = LEAF(2, 3);
    IS(wg_scatter_add(x, 0, at, s), "float64 (3, 4): 0 1 2 3 4 5 6 7 10 13 10 11");
    IS(wg_scatter_add(x, 1, wg_to(at, WG_INT32), s), "float64 (3, 4): 0 1 3 3 4 5 11 7 8 9 10 11");
    IS(wg_scatter_add(wg_t(x), 0, wg_t(at), wg_t(s)), "float64 (4, 3): 0 4 8 1 5 9 3 11 10 3 7 11");
    IS(wg_scatter_add(CELL(1), 0, AT0(0), CELL(2)), "float64 (): 3");
    IS(wg_scatter_add(x, 0, zeros_at(0, 9), NUMBERS(1)), "float64 (3, 4): 0 1 2 3 4 5 6 7 8 9 10 11");
    IS(wg_scatter_add(wg_full(WG_SHAPE(2), wg_i(200), WG_DTYPE(WG_UINT8)), 0, AT(0, 0),
                      wg_full(WG_SHAPE(2), wg_i(100), WG_DTYPE(WG_UINT8))),
       "uint8 (2): 144 200");
    GRAD(wg_scatter_add(leaf, 0, RESHAPED(AT(1, 1), 1, 2), source), leaf, "float64 (2, 2): 1 2 3 4");
    /* a source larger than the index: PyTorch's gradient has the index's shape, and its walk refuses it */
    GRAD(wg_scatter_add(leaf, 0, RESHAPED(AT(1, 1), 1, 2), source), source, "float64 (2, 3): 3 4 0 0 0 0");
    REFUSED(
        wg_scatter_add(x, 0, zeros_at(2, 4), COUNT(WG_FLOAT64, 1, 4)), WG_ERR_RUNTIME,
        "Expected index [2, 4] to be no larger than self [3, 4] apart from dimension 0 and to be no larger size than "
        "src [1, 4]");
    REFUSED(
        wg_scatter_add(x, 0, zeros_at(2, 5), COUNT(WG_FLOAT64, 2, 5)), WG_ERR_RUNTIME,
        "Expected index [2, 5] to be no larger than self [3, 4] apart from dimension 0 and to be no larger size than "
        "src [2, 5]");
    REFUSED(
        wg_scatter_add(CELL(1), 0, AT(0, 0), CELL(2)), WG_ERR_RUNTIME,
        "Expected index [2] to be no larger than self [] apart from dimension 0 and to be no larger size than src []");
    REFUSED(wg_scatter_add(x, 0, AT(0), NUMBERS(1)), WG_ERR_RUNTIME,
            "Index tensor must have the same number of dimensions as self tensor");
    REFUSED(wg_scatter_add(x, 0, wg_add(at, wg_i(1)), s), WG_ERR_RUNTIME,
            "index 3 is out of bounds for dimension 0 with size 3");
    REFUSED(wg_scatter_add(x, 0, at, COUNT(WG_FLOAT32, 2, 2)), WG_ERR_RUNTIME,
            "scatter(): Expected self.dtype to be equal to src.dtype");
    REFUSED(wg_scatter_add(x, 0, s, s), WG_ERR_RUNTIME, "scatter(): Expected dtype int32/int64 for index");
    NO_FACT_WRONG;
}

/* ---- nonzero, masked_fill, embedding ----------------------------------------------------------------------------- */

static void nonzeros(void **state) {
    (void)state;
    IS(wg_nonzero(wg_sub(COUNT(WG_FLOAT64, 2, 2), wg_s(2))), "int64 (3, 2): 0 0 0 1 1 1");
    IS(wg_nonzero(NUMBERS(NAN, 0, -0.0, -1)), "int64 (2, 1): 0 3");
    IS(wg_nonzero(CELL(3)), "int64 (1, 0):");
    IS(wg_nonzero(CELL(0)), "int64 (0, 0):");
    IS(wg_nonzero(wg_zeros(WG_SHAPE(0, 3), NULL)), "int64 (0, 2):");
    IS(wg_nonzero(wg_t(over(9))), "int64 (2, 2): 2 2 3 2");
    assert_int_equal(wg_stride(wg_nonzero(over(3)), 0), 1); /* column by column */
    NO_FACT_WRONG;
}
static void masked_fills(void **state) {
    (void)state;
    wg_tensor *x = COUNT(WG_FLOAT64, 2, 3), *whole = COUNT(WG_UINT8, 2, 3), *mask = flags(AT(0, 1, 0)),
              *leaf = LEAF(2, 3);
    wg_tensor *value = wg_set_requires_grad(CELL(7), true);
    IS(wg_masked_fill(x, mask, wg_s(-INFINITY)), "float64 (2, 3): 0 -inf 2 3 -inf 5");
    IS(wg_masked_fill(whole, mask, wg_s(2.9)), "uint8 (2, 3): 0 2 2 3 2 5");
    IS(wg_masked_fill(NUMBERS(1, 2, 3), wg_gt(x, wg_s(3)), wg_i(0)), "float64 (2, 3): 1 2 3 1 0 0");
    IS(wg_masked_fill(CELL(1), flags(AT0(1)), CELL(5)), "float64 (): 5");
    IS(wg_masked_fill(wg_zeros(WG_SHAPE(0, 3), NULL), mask, wg_i(1)), "float32 (0, 3):");
    IS(wg_masked_fill(NUMBERS(NAN, 1, NAN), mask, wg_i(0)), "float64 (3): nan 0 nan");
    GRAD(wg_masked_fill(leaf, mask, value), leaf, "float64 (2, 3): 1 0 3 4 0 6");
    GRAD(wg_masked_fill(leaf, mask, value), value, "float64 (): 7");
    REFUSED(wg_masked_fill(x, wg_to(mask, WG_UINT8), wg_i(1)), WG_ERR_RUNTIME,
            "masked_fill_ only supports boolean masks, but got mask with dtype unsigned char");
    REFUSED(wg_masked_fill(x, AT(1), wg_i(1)), WG_ERR_RUNTIME,
            "masked_fill_ only supports boolean masks, but got mask with dtype long int");
    REFUSED(wg_masked_fill(x, flags(AT(1, 0)), wg_i(1)), WG_ERR_RUNTIME,
            "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1");
    REFUSED(wg_masked_fill_(x, flags(AT(1, 0)), wg_i(1)), WG_ERR_RUNTIME,
            "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1");
    REFUSED(wg_masked_fill_(NUMBERS(1, 2, 3), wg_gt(x, wg_s(3)), wg_i(0)), WG_ERR_RUNTIME,
            "output with shape [3] doesn't match the broadcast shape [2, 3]");
    REFUSED(wg_masked_fill(x, mask, NUMBERS(1)), WG_ERR_RUNTIME,
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).");
    REFUSED(wg_masked_fill(whole, mask, wg_i(256)), WG_ERR_RUNTIME,
            "value cannot be converted to type uint8_t without overflow");
    NO_FACT_WRONG;
}
static void embeddings(void **state) {
    (void)state;
    wg_tensor *w = COUNT(WG_FLOAT64, 3, 2), *leaf = LEAF(3, 2);
    IS(wg_embedding(w, RESHAPED(AT(2, 0), 2, 1), -1), "float64 (2, 1, 2): 4 5 0 1");
    IS(wg_embedding(w, AT0(1), -1), "float64 (2): 2 3");
    IS(wg_embedding(w, zeros_at(2, 0), -1), "float64 (2, 0, 2):");
    IS(wg_embedding(wg_zeros(WG_SHAPE(3, 0), NULL), AT(0, 2), -1), "float32 (2, 0):");
    IS(wg_embedding(wg_t(w), wg_to(AT(1), WG_INT32), -1), "float64 (1, 3): 1 3 5");
    GRAD(wg_embedding(leaf, AT(2, 0, 2), -1), leaf, "float64 (3, 2): 3 4 0 0 6 8");
    GRAD(wg_embedding(leaf, AT(2, 0, 2), 2), leaf, "float64 (3, 2): 3 4 0 0 0 0");
    REFUSED(wg_embedding(w, AT(3), -1), WG_ERR_INDEX, "index out of range in self");
    REFUSED(wg_embedding(w, AT(-1), -1), WG_ERR_INDEX, "index out of range in self");
    REFUSED(wg_embedding(wg_zeros(WG_SHAPE(0, 2), NULL), AT(0), -1), WG_ERR_RUNTIME,
            "index_select(): self indexing axis dim should be positive");
    REFUSED(wg_embedding(NUMBERS(1), AT(0), -1), WG_ERR_RUNTIME, "'weight' must be 2-D");
    REFUSED(wg_embedding(w, NUMBERS(0), -1), WG_ERR_RUNTIME,
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            "torch.DoubleTensor instead (while checking arguments for embedding)");
    NO_FACT_WRONG;
}

static int warnings;
static int count_warning(void *user, wg_warning category, const char *message) {
    (void)user, (void)category;
    assert_non_null(strstr(message, "_ on expanded tensors is deprecated."));
    warnings++;
    return 0;
}

/* One value at a mask: only a write in place into what several elements share is worth a warning. */
static void put_into_expanded(void **state) {
    (void)state;
    wg_tensor *wide = wg_expand(wg_ones(WG_SHAPE(4), NULL), WG_SHAPE(3, 4)), *mask = over(-1);
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .warn = count_warning}), WG_OK);
    IS(wg_sum_opt(wg_index_put(wide, I1(mask), wg_s(2), false), NULL), "float32 (): 24");
    assert_int_equal(warnings, 0);
    IS(wg_sum_opt(wg_index_put_(wide, I1(mask), wg_s(2), false), NULL), "float32 (): 24");
    assert_int_equal(warnings, 2); /* of index_put_, and of masked_fill_ which it is then: so says PyTorch */
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host)}), WG_OK);
    NO_FACT_WRONG;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FACT_TEST(index_values),      FACT_TEST(index_masks), FACT_TEST(index_of_nothing), FACT_TEST(index_refusals),
        FACT_TEST(index_gradients),   FACT_TEST(put_values),  FACT_TEST(put_in_place),     FACT_TEST(put_refusals),
        FACT_TEST(select_rows),       FACT_TEST(add_rows),    FACT_TEST(fill_rows),        FACT_TEST(gathers),
        FACT_TEST(scatters),          FACT_TEST(nonzeros),    FACT_TEST(masked_fills),     FACT_TEST(embeddings),
        FACT_TEST(put_into_expanded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
