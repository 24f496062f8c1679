/* op.h - what an op is (struct wg_op), how it is called (wg_apply), and the helpers that rules may use.
 *
 * All facts of an op stand in one constant. Elementwise ops are rows of ops/elementwise.def; every other op is a block
 * in the file of its family:  grep -rn wg_NAME src/ops
 *
 * Rules (vjp, jvp, batch) are written in public ops and never touch a data pointer; results belong to the current
 * scope; NULL means "no gradient" / "zero tangent". The walk does the chores: it reduces a cotangent to a broadcast
 * input's shape, casts it to the input's dtype, accumulates, records.
 */
#ifndef WG_CORE_OP_H
#define WG_CORE_OP_H

#include "core/tensor.h"
#include "wengert/ops.h"

/* ---- arguments that are not tensors ------------------------------------------------------------------------------ */

enum {
    WG_V_NONE = 0, /* not given */
    WG_V_INT,      /* int, and a Scalar that is an integer */
    WG_V_DOUBLE,   /* float, and a Scalar that is one */
    WG_V_BOOL,
    WG_V_INTS, /* int[] */
    WG_V_DTYPE,
    WG_V_STRING,
    WG_V_TENSOR,  /* only in boxed calls */
    WG_V_TENSORS, /* Tensor[], only in boxed calls */
};
typedef struct wg_value {
    uint8_t tag;
    uint32_t n; /* of WG_V_INTS, WG_V_TENSORS */
    union {
        int64_t i; /* also bool and dtype */
        double d;
        const int64_t *ints;
        const char *s;
        wg_tensor *t;
        wg_tensor *const *ts;
    };
} wg_value;
#define WG_VAL_NONE ((wg_value){.tag = WG_V_NONE})
#define WG_VAL_I(v) ((wg_value){.tag = WG_V_INT, .i = (v)})
#define WG_VAL_D(v) ((wg_value){.tag = WG_V_DOUBLE, .d = (v)})
#define WG_VAL_B(v) ((wg_value){.tag = WG_V_BOOL, .i = (v)})
#define WG_VAL_INTS(p, len) ((wg_value){.tag = WG_V_INTS, .n = (uint32_t)(len), .ints = (p)})
#define WG_VAL_DT(v) ((wg_value){.tag = WG_V_DTYPE, .i = (v)})
#define WG_VAL_S(v) ((wg_value){.tag = WG_V_STRING, .s = (v)})

/* ---- a call ------------------------------------------------------------------------------------------------------ */

/* What shape rules, kernels and derivative rules see. In rules run by the backward walk, inputs and outputs that the
 * op does not save are NULL. */
typedef struct wg_call {
    const wg_op *op;
    wg_tensor *const *in;
    int nin, nattr, nout;
    const wg_value *attr; /* the schema's arguments that are not tensors, in schema order */
    wg_tensor **out;
    const struct wg_node *node; /* in the backward walk: sizes of inputs, see wg__input_sizes */
} wg_call;

/* ---- elementwise derivatives ------------------------------------------------------------------------------------- */

enum { WG_P_NONE = 0, WG_P_ZERO, WG_P_ONE, WG_P_MINUS_ONE, WG_P_DERIVATIVE, WG_P_PRODUCT };
enum { WG_USE_X = 1, WG_USE_Y = 2, WG_USE_W = 4, WG_USE_Z = 128 };
/* d output / d input i. DERIVATIVE: fn returns f', the waist multiplies. PRODUCT: fn returns g·f' itself, linear in g,
 * used with a cotangent and with a tangent alike. */
typedef struct wg_partial {
    uint8_t kind, uses;
    wg_tensor *(*fn)(const wg_call *c, wg_tensor *g);
    const char *formula;
} wg_partial;

/* ---- the record -------------------------------------------------------------------------------------------------- */

enum {
    WG_POINTWISE = 1,       /* partial[] holds the derivatives; broadcasts; one batch rule for the class */
    WG_LINEAR = 2,          /* jointly linear in its tensor inputs: jvp runs the op on the tangents */
    WG_MULTILINEAR = 4,     /* linear in each tensor input: jvp sums over them */
    WG_VIEW = 8,            /* shape gives strides and offset; no kernel; output shares input 0's storage */
    WG_MULTI_VIEW = 16,     /* a view with several outputs (split, unbind) */
    WG_NONDIFF = 32,        /* no output is ever differentiable */
    WG_LIST = 64,           /* any number of inputs (Tensor[]) */
    WG_SAFE_INPLACE = 128,  /* pointwise kernel may write over input 0 */
    WG_INT_SECOND = 256,    /* output 1 and on are indices: not differentiable */
    WG_NO_PROMOTE = 512,    /* pointwise, but inputs are not brought to one dtype */
    WG_OF_TEMPORARY = 1024, /* a view whose input nobody else has: its output is no view to anybody */
};
/* What dtypes a pointwise op takes, and gives. */
enum { WG_K_FLT = 1, WG_K_NUM, WG_K_ANY, WG_K_INT, WG_K_WHOLE, WG_K_FLAG }; /* as in elementwise.def */
enum { WG_NDEV = 1 };
/* Where a binding shows the op. Of the first four none: as a function, and as a method when its first argument is self.
 */
enum {
    WG_FUNCTION = 1, /* torch.NAME */
    WG_METHOD = 2,   /* Tensor.NAME; the tensor is the argument called self */
    WG_NN = 4,       /* torch.nn.functional.NAME */
    WG_HIDDEN = 8,   /* nowhere: a part of other ops */
    WG_INPLACE = 16, /* NAME_ writes its result into self */
};

struct wg_op {
    const char *name;    /* PyTorch's: "softmax" */
    const char *schema;  /* PyTorch's form: "softmax(Tensor self, int dim) -> Tensor"; the types are in ops/schema.h */
    const char *aliases; /* other names, with spaces between; NULL: none */
    const char *doc;     /* one line */
    uint16_t traits;
    uint8_t nin, nout, kind, shown;
    uint8_t
        saves; /* inputs the vjp reads: WG_USE_X is input 0, Y 1, W 2…; WG_USE_Z: outputs. Pointwise: from partial */
    uint32_t optional_in; /* bit i: input i may be NULL */
    uint32_t nondiff_in;  /* bit i: input i never gets a gradient (an index, a mask) */
    size_t kernel;        /* pointwise: offset of the kernels in struct wg_cpu_table */
    wg_partial partial[3];
    wg_status (*shape)(const wg_call *c, wg_geometry *out); /* out[nout] */
    wg_status (*run[WG_NDEV])(const wg_call *c);
    wg_tensor *(*vjp)(const wg_call *c, wg_tensor *const *g, int i); /* g per output, NULL: none arrived */
    wg_tensor *(*jvp)(const wg_call *c, wg_tensor *const *t, int o); /* t per input, NULL: zero; tangent of output o */
    /* in[] are the values, bdim[i] the batched dimension or -1; fills out[] and out_bdim[]. NULL: loop and stack. */
    wg_status (*batch)(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim);
    int (*count_out)(wg_tensor *const *in, int nin, const wg_value *attr); /* split, unbind: how many; -1: raised */
    const char *(*grad_name)(const wg_call *c); /* "MulBackward0"; NULL: made from name with Backward0 */
    const char *formula[4];                     /* of each differentiable input's partial, for people; NULL: none */
    double lo, hi;                              /* where tests draw inputs; both 0: [-2, 2] */
    /* Nodes that are not calls of an op (AccumulateGrad, CopySlices, custom functions): runs the node. */
    wg_status (*backward)(struct wg_node *node, wg_tensor *const *g, wg_tensor **out, const bool *need, bool consume);
    void (*destroy)(struct wg_node *node); /* frees what such a node holds */
    /* Calls with all arguments of the schema, checked and defaults filled in (ops/schema.h). A composite has no shape
     * and no run, only these; a primitive has them when its schema says more than the op's own inputs and attributes
     * do. */
    wg_tensor *(*boxed)(const wg_value *a);
    wg_status (*boxed_list)(const wg_value *a, wg_tensor **out, int max, int *n); /* several results */
    wg_tensor *(*boxed_)(const wg_value *a);                                      /* in place, when boxed is set */
};

/* ---- the waist: apply.c ------------------------------------------------------------------------------------------ */

/* Every op call passes here. Results are owned by the scope; poison on failure. */
wg_tensor *wg__apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, void *site);
/* Several outputs (out[nout]); on failure all are poison. */
wg_status wg__apply_n(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr, wg_tensor **out,
                      int nout, void *site);
/* Pointwise with one or two inputs and no attributes: the fast way in. */
wg_tensor *wg__unary(const wg_op *op, wg_tensor *x, void *site);
wg_tensor *wg__binary(const wg_op *op, wg_tensor *x, wg_tensor *y, void *site);
/* In place: in[0] is overwritten with op(in…). Checks V1, promotion, overlap; bumps the version; rewrites history. */
wg_tensor *wg__apply_inplace(const wg_op *op, wg_tensor *const *in, int nin, const wg_value *attr, int nattr,
                             void *site);

/* ---- for kernels ------------------------------------------------------------------------------------------------- */

/* Copies src into dst (same sizes, any strides and dtypes). No checks, no history. */
wg_status wg__copy_into(wg_tensor *dst, const wg_tensor *src);
/* A contiguous tensor of dtype with t's elements: t itself (retained) when it already is. Owned; NULL on failure. */
wg_tensor *wg__contiguous(wg_tensor *t, wg_dtype dtype);
wg_status wg__fill_zero(wg_tensor *t);
/* One element everywhere; value has t's dtype. */
wg_status wg__fill_value(wg_tensor *t, const void *value);
/* An uninitialised or zeroed temporary, owned by the caller; NULL on failure (raised). */
wg_tensor *wg__temp(wg_dtype dtype, int ndim, const int64_t *sizes);

/* ---- for rules --------------------------------------------------------------------------------------------------- */

/* Sizes of input i, in forward and backward alike (in backward the tensor itself may not be saved). */
const int64_t *wg__input_sizes(const wg_call *c, int i, int *ndim);
wg_dtype wg__input_dtype(const wg_call *c, int i);
/* Does the walk want the gradient of input i? Forward: does it require one? */
bool wg__wants(const wg_call *c, int i);
/* In the backward walk: was input i a matrix whose columns lie together? Its gradient had better lie so too. */
bool wg__lay_in_columns(const wg_call *c, int i);
wg_tensor *wg__sum_to(wg_tensor *g, int ndim, const int64_t *sizes);    /* reverse of broadcasting */
bool wg__reducible(const wg_tensor *g, int ndim, const int64_t *sizes); /* does sizes broadcast to g's? */
const wg_op *wg__op_add(void);
/* Zeros of the given shape, in the dtype. */
wg_tensor *wg__zeros(wg_dtype dtype, int ndim, const int64_t *sizes);
/* a + b where NULL counts as zero. */
wg_tensor *wg__add_null(wg_tensor *a, wg_tensor *b);

/* A copy of self, laid out as self, where the view of that geometry (from self's first element) holds src. */
wg_tensor *wg__as_strided_scatter(wg_tensor *self, wg_tensor *src, int ndim, const int64_t *sizes,
                                  const int64_t *strides, int64_t offset);
/* The gradient of as_strided's input: g added at each place of it that was read. own: the input's strides (NULL:
 * row-major); offset from its first element. */
wg_tensor *wg__as_strided_backward(wg_tensor *g, int ndim, const int64_t *sizes, const int64_t *own, int view_ndim,
                                   const int64_t *view_sizes, const int64_t *view_strides, int64_t offset);
/* Cotangents of several views put together along dim (stack or cat), zeros for those that did not arrive: of shape
 * sizes, with lengths[o] along dim when given. */
wg_tensor *wg__join_cotangents(wg_tensor *const *g, int n, int dim, bool stack, wg_dtype dtype, int ndim,
                               const int64_t *sizes, const int64_t *lengths);
/* A batch rule that runs the op sample by sample and stacks: for rules that only know some cases. batch.c */
wg_status wg__batch_loop(const wg_call *c, const int *bdim, wg_tensor **out, int *out_bdim);
wg_tensor *wg__clone_contiguous(wg_tensor *x);                  /* clone, row-major */
wg_tensor *wg__squeeze_inplace_like(wg_tensor *x, int64_t dim); /* squeeze, named as squeeze_ (SqueezeBackward4) */
wg_tensor *wg__unsafe_view(wg_tensor *x, int ndim, const int64_t *sizes);
/* t with these strides: t itself when it has them, else a copy. Differentiable. autograd/view.c */
wg_tensor *wg__lay_out(wg_tensor *t, int ndim, const int64_t *sizes, const int64_t *strides);

/* ---- registry: ops/list.c ---------------------------------------------------------------------------------------- */

/* Every family file ends with a NULL-terminated table of its records; list.c concatenates the tables. */
extern const wg_op *const *const wg__families[];
const wg_op *wg__op_find(const char *name); /* also by an alias */
bool wg__op_composite(const wg_op *op);
uint8_t wg__op_shown(const wg_op *op); /* with the default filled in */

/* A composite's record op_ID: EXPR is its value, a[] are the schema's arguments. */
#define WG_COMPOSED(id, name_, args_, doc_, expr, ...)                                                                 \
    static wg_tensor *id##_composed(const wg_value *a) { return expr; }                                                \
    static const wg_op op_##id = {                                                                                     \
        .name = name_, .schema = name_ args_, .doc = doc_, .nout = 1, .boxed = id##_composed, __VA_ARGS__};
const wg_op *wg__op_at(int index); /* NULL past the last */
bool wg__op_differentiable(const wg_op *op);

#endif
