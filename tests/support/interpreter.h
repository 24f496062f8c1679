/* interpreter.h - a naive tensor library, written apart from Wengert, that random programs are judged by.
 *
 * A tensor is sizes, strides and an offset over shared memory of doubles (floats) or int64s (integers, bools). Every op
 * is the loop that its definition says; each result is rounded to its dtype, so that an op is judged from the very
 * numbers that the library saw. Beside every element of a float64 stands a tangent (dual numbers), kept in memory of
 * its own, so that a detached alias shares values and no tangents: what the library's gradients must agree with. An
 * element's slack says how far the library may be from it: rounding in another order, never more.
 *
 * Functions return the statuses that a call may fail with, as a set of 1 << wg_status; 0: it must succeed, and *out is
 * the result. Everything lives until nt_reset.
 */
#ifndef WG_TEST_INTERPRETER_H
#define WG_TEST_INTERPRETER_H

#include "wengert/wengert.h"

enum { NT_DIMS = 12 };
enum {
    RUNTIME = 1 << WG_ERR_RUNTIME,
    INDEX = 1 << WG_ERR_INDEX,
    VALUE = 1 << WG_ERR_VALUE,
    TYPE = 1 << WG_ERR_TYPE,
    NOT_IMPLEMENTED = 1 << WG_ERR_NOT_IMPLEMENTED,
};

/* One element: v of a float, i of an integer or bool; its tangent; how far the library may be from v. */
typedef struct cell {
    double v, t, slack;
    int64_t i;
} cell;

typedef struct nt_memory {
    int64_t n;
    double *v, *slack;
    int64_t *i;
    bool in_graph; /* an op with a history has read or made it */
    bool read;     /* has read it */
    bool stale;    /* and then it was written */
} nt_memory;

/* What views of one tensor share: does it require a gradient, and is it a leaf? */
typedef struct nt_root {
    bool requires_grad, leaf;
} nt_root;

typedef struct nt {
    wg_dtype dtype;
    int ndim;
    int64_t sizes[NT_DIMS], strides[NT_DIMS], offset;
    nt_memory *memory;
    double *tangents;
    nt_root *root;
    bool number; /* promotes as a Python number */
    bool multi;  /* one of several views made at once */
    bool view;
} nt;

void nt_reset(void);
void *nt_alloc(size_t bytes); /* zeroed */

/* ---- elements ---------------------------------------------------------------------------------------------------- */

double nt_held(wg_dtype d, double v);           /* v as a float dtype holds it */
cell nt_as(cell c, wg_dtype from, wg_dtype to); /* converted */
cell nt_cell(wg_dtype d, double v);             /* a constant */
double nt_unit(wg_dtype d);                     /* the distance from 1 to the next number */
double nt_greatest(wg_dtype d);
bool nt_floating(wg_dtype d);

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

nt *nt_new(wg_dtype d, int ndim, const int64_t *sizes); /* row-major zeros, no history */
nt *nt_number(wg_dtype d, double v);
nt *nt_alias(const nt *t); /* a view of all of it */
int64_t nt_numel(const nt *t);
int64_t nt_place(const nt *t, int64_t flat); /* of the flat-th element in row-major order, in the memory */
cell nt_get(const nt *t, int64_t flat);
void nt_put(nt *t, int64_t flat, cell c); /* c of t's dtype */
bool nt_requires(const nt *t);
bool nt_same_shape(const nt *a, const nt *b);
bool nt_dense(const nt *t);               /* a permutation of row-major */
bool nt_meets_itself(const nt *t);        /* two elements in one place */
unsigned nt_wrap(int64_t *dim, int ndim); /* a negative dim counts from the end; 0-d takes 0 and -1 */
unsigned nt_broadcast(nt *const *in, int n, int *ndim, int64_t *sizes);
nt *nt_spread(const nt *t, int ndim, const int64_t *sizes); /* expanded, no questions */
wg_dtype nt_result_type(nt *const *in, int n);
bool nt_can_cast(wg_dtype from, wg_dtype to);

/* ---- pointwise ops ----------------------------------------------------------------------------------------------- */

typedef enum nt_kind { FLT, NUM, ANY, INT, WHOLE, FLAG } nt_kind;
/* Computes in the dtype d from cells of d. */
typedef cell (*nt_fn)(wg_dtype d, const cell *x);
typedef struct nt_op {
    const char *name;
    int nin;
    nt_kind kind;
    double ulps; /* how far from the exact value; 0: exactly that */
    nt_fn fn;
    void *call;  /* the library's function */
    bool smooth; /* has a derivative */
} nt_op;
extern const nt_op nt_ops[];
unsigned nt_pointwise(const nt_op *op, nt *const *in, nt **out);
unsigned nt_where(nt *const in[3], nt **out);
unsigned nt_masked_fill(nt *const in[3], nt **out);
unsigned nt_cast(nt *x, wg_dtype d, nt **out);

/* ---- writes ------------------------------------------------------------------------------------------------------ */

/* How a write meets a target that repeats its places: most are refused; filling with one number is fine; writes at
 * indices and masks only warn. A 0-d value that fills is read first. */
typedef enum nt_manner { NT_WRITES, NT_FILLS, NT_INDEXED } nt_manner;
/* May target be overwritten with something made of in? recording: grad mode is on. */
unsigned nt_may_write(const nt *target, nt *const *in, int n, bool recording, nt_manner manner);
unsigned nt_may_cast(const nt *target, const nt *result);
/* result, of a shape that broadcasts to target's, goes there. tangents: and its tangents. */
void nt_write(nt *target, const nt *result, bool tangents);

/* ---- views: interpreter_views.c ---------------------------------------------------------------------------------- */

unsigned nt_transpose(nt *x, int64_t a, int64_t b, nt **out);
unsigned nt_permute(nt *x, int n, const int64_t *dims, nt **out);
unsigned nt_expand(nt *x, int n, const int64_t *sizes, nt **out);
unsigned nt_unsqueeze(nt *x, int64_t dim, nt **out);
unsigned nt_squeeze(nt *x, int n, const int64_t *dims, nt **out); /* n < 0: all */
unsigned nt_select(nt *x, int64_t dim, int64_t index, nt **out);
unsigned nt_slice(nt *x, int64_t dim, int64_t start, int64_t end, int64_t step, nt **out);
unsigned nt_as_strided(nt *x, int n, const int64_t *sizes, const int64_t *strides, int64_t offset, nt **out);
/* copies: reshape, which makes a copy where no view is possible. *copied says so. */
unsigned nt_reshape(nt *x, int n, const int64_t *sizes, bool copies, nt **out, bool *copied);
nt *nt_copy(const nt *x);   /* fresh, row-major */
nt *nt_detach(const nt *x); /* shares values, not tangents */

/* ---- the rest: interpreter_ops.c --------------------------------------------------------------------------------- */

typedef enum nt_reduction {
    SUM,
    MEAN,
    PROD,
    AMAX,
    AMIN,
    ALL,
    ANY_OF,
    VAR,
    STD,
    NORM,
    LOGSUMEXP,
    ARGMAX,
    ARGMIN,
    FIRST_MAX,
    FIRST_MIN
} nt_reduction;
/* dims[n]; n = 0: all. param: the correction of VAR and STD, the order of NORM. */
unsigned nt_reduce(nt_reduction kind, nt *x, int n, const int64_t *dims, bool keepdim, double param, nt **out);
unsigned nt_softmax(nt *x, int64_t dim, bool logarithm, nt **out);
unsigned nt_sort(nt *x, int64_t dim, bool descending, nt **values, nt **indices);
unsigned nt_cat(nt *const *in, int n, int64_t dim, nt **out);
unsigned nt_stack(nt *const *in, int n, int64_t dim, nt **out);
unsigned nt_matmul(nt *a, nt *b, nt **out);
/* index may hold NULL: a whole dim. */
unsigned nt_index(nt *x, nt *const *index, int n, nt **out);
unsigned nt_index_put(nt *x, nt *const *index, int n, nt *values, bool accumulate, nt **out);
bool nt_fills_mask(nt *const *index, int n, const nt *values, bool accumulate);
unsigned nt_index_select(nt *x, int64_t dim, nt *index, nt **out);
unsigned nt_index_add(nt *x, int64_t dim, nt *index, nt *source, nt **out);
unsigned nt_index_fill(nt *x, int64_t dim, nt *index, nt *value, nt **out);
unsigned nt_gather(nt *x, int64_t dim, nt *index, nt **out);
unsigned nt_scatter_add(nt *x, int64_t dim, nt *index, nt *source, nt **out);
unsigned nt_nonzero(nt *x, nt **out);

#endif
