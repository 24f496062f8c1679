/* ops.h - every operator: prototype and a document line or two, by family. Names, defaults, broadcasting, promotion
 * and special points are those of the PyTorch function of the same name, unless a line says otherwise. All results
 * belong to the innermost scope; poison on failure. "Differentiable" means reverse, double-backward and forward mode.
 * Numbers are written wg_s(2.5), wg_i(3); an int dim may be negative.
 */
#ifndef WENGERT_OPS_H
#define WENGERT_OPS_H

#include "wengert/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A list of dims or sizes; n = 0 means "all" where a reduction takes one. */
typedef struct wg_ints {
    int n;
    const int64_t *v;
} wg_ints;
#define WG_COUNT_(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define WG_DIMS(...) ((wg_ints){WG_COUNT_(__VA_ARGS__), (const int64_t[]){__VA_ARGS__}})
/* Tensor lists: wg_cat(WG_TENSORS(a, b), 0). Expands to two arguments: array, count. */
#define WG_TENSORS(...)                                                                                                \
    (wg_tensor *const[]){__VA_ARGS__}, (int)(sizeof((wg_tensor *[]){__VA_ARGS__}) / sizeof(wg_tensor *))

/* ---- elementwise: unary ------------------------------------------------------------------------------------------ */

/* A tensor of x's shape. Differentiable. exp, log, sqrt, rsqrt, sin, cos, tanh, sigmoid and reciprocal give the default
 * float for integers and bool; the others keep the dtype. neg, abs, relu, floor, ceil, round, trunc refuse bool
 * (NotImplementedError). */
WG_API wg_tensor *wg_neg(wg_tensor *x);        /* -x; bool raises */
WG_API wg_tensor *wg_abs(wg_tensor *x);        /* |x|; derivative 0 at 0 */
WG_API wg_tensor *wg_exp(wg_tensor *x);        /* e^x */
WG_API wg_tensor *wg_log(wg_tensor *x);        /* natural logarithm; -inf at 0, nan below */
WG_API wg_tensor *wg_sqrt(wg_tensor *x);       /* square root */
WG_API wg_tensor *wg_rsqrt(wg_tensor *x);      /* 1 / sqrt(x) */
WG_API wg_tensor *wg_sin(wg_tensor *x);        /* sine, radians */
WG_API wg_tensor *wg_cos(wg_tensor *x);        /* cosine, radians */
WG_API wg_tensor *wg_tanh(wg_tensor *x);       /* hyperbolic tangent */
WG_API wg_tensor *wg_sigmoid(wg_tensor *x);    /* 1 / (1 + e^-x) */
WG_API wg_tensor *wg_relu(wg_tensor *x);       /* max(x, 0); derivative 0 at 0 */
WG_API wg_tensor *wg_reciprocal(wg_tensor *x); /* 1 / x */
WG_API wg_tensor *wg_sign(wg_tensor *x);       /* -1, 0, 1; derivative 0 */
WG_API wg_tensor *wg_floor(wg_tensor *x);      /* towards -inf; derivative 0 */
WG_API wg_tensor *wg_ceil(wg_tensor *x);       /* towards inf; derivative 0 */
WG_API wg_tensor *wg_round(wg_tensor *x);      /* half to even; derivative 0 */
/* nearest multiple of 10^-decimals, ties to even; floating only; derivative 0 */
WG_API wg_tensor *wg_round_decimals(wg_tensor *x, int64_t decimals);
WG_API wg_tensor *wg_trunc(wg_tensor *x);    /* towards 0; derivative 0 */
WG_API wg_tensor *wg_square(wg_tensor *x);   /* x^2 (pow(x, 2)) */
WG_API wg_tensor *wg_conj(wg_tensor *x);     /* complex conjugate: the identity on real dtypes; returns x */
WG_API wg_tensor *wg_positive(wg_tensor *x); /* x itself; bool raises */
/* Questions: bool, of every dtype. These and bitwise_not are not differentiable. */
WG_API wg_tensor *wg_isnan(wg_tensor *x);       /* is it nan? */
WG_API wg_tensor *wg_isinf(wg_tensor *x);       /* is it inf or -inf? */
WG_API wg_tensor *wg_isfinite(wg_tensor *x);    /* is it neither inf nor nan? */
WG_API wg_tensor *wg_logical_not(wg_tensor *x); /* is it zero? */
WG_API wg_tensor *wg_bitwise_not(wg_tensor *x); /* every bit flipped; integers, and bool: not x */

/* ---- elementwise: binary ----------------------------------------------------------------------------------------- */

/* The shapes broadcast (RuntimeError where they do not), the dtypes are promoted, a number (wg_s) stands on either
 * side. Differentiable in both unless said. */
WG_API wg_tensor *wg_add(wg_tensor *x, wg_tensor *y);                     /* x + y; of bools: or */
WG_API wg_tensor *wg_add_alpha(wg_tensor *x, wg_tensor *y, double alpha); /* x + alpha * y */
WG_API wg_tensor *wg_sub(wg_tensor *x, wg_tensor *y);                     /* x - y; bools raise */
WG_API wg_tensor *wg_sub_alpha(wg_tensor *x, wg_tensor *y, double alpha); /* x - alpha * y */
WG_API wg_tensor *wg_rsub(wg_tensor *x, wg_tensor *y);                    /* y - x */
WG_API wg_tensor *wg_mul(wg_tensor *x, wg_tensor *y);                     /* x y; of bools: and */
WG_API wg_tensor *wg_div(wg_tensor *x, wg_tensor *y); /* true division: integers give the default float */
/* rounding: NULL none, "trunc" towards 0, "floor"; rounded, integers stay integers and the derivative is 0 */
WG_API wg_tensor *wg_div_mode(wg_tensor *x, wg_tensor *y, const char *rounding);
WG_API wg_tensor *wg_floor_divide(wg_tensor *x, wg_tensor *y); /* floor(x / y); backward raises, as PyTorch's */
WG_API wg_tensor *wg_remainder(wg_tensor *x, wg_tensor *y);    /* Python's %: sign of y */
WG_API wg_tensor *wg_fmod(wg_tensor *x, wg_tensor *y);         /* C's fmod: sign of x */
WG_API wg_tensor *wg_pow(wg_tensor *x, wg_tensor *y);          /* x^y; an integer to a negative integer power raises */
/* the greater; nan wins; a tie gives each half the gradient */
WG_API wg_tensor *wg_maximum(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_minimum(wg_tensor *x, wg_tensor *y); /* the lesser; likewise */
WG_API wg_tensor *wg_atan2(wg_tensor *x, wg_tensor *y);   /* angle of (y, x) as atan2(x, y) of C */
/* Comparisons: bool. These and all down to the shifts are not differentiable. */
WG_API wg_tensor *wg_eq(wg_tensor *x, wg_tensor *y);          /* x == y */
WG_API wg_tensor *wg_ne(wg_tensor *x, wg_tensor *y);          /* x != y */
WG_API wg_tensor *wg_lt(wg_tensor *x, wg_tensor *y);          /* x < y */
WG_API wg_tensor *wg_le(wg_tensor *x, wg_tensor *y);          /* x <= y */
WG_API wg_tensor *wg_gt(wg_tensor *x, wg_tensor *y);          /* x > y */
WG_API wg_tensor *wg_ge(wg_tensor *x, wg_tensor *y);          /* x >= y */
WG_API wg_tensor *wg_logical_and(wg_tensor *x, wg_tensor *y); /* both non-zero? */
WG_API wg_tensor *wg_logical_or(wg_tensor *x, wg_tensor *y);  /* either non-zero? */
WG_API wg_tensor *wg_logical_xor(wg_tensor *x, wg_tensor *y); /* exactly one non-zero? */
/* Integers and bool; the shifts integers only; floating dtypes raise NotImplementedError. */
WG_API wg_tensor *wg_bitwise_and(wg_tensor *x, wg_tensor *y); /* bits set in both */
WG_API wg_tensor *wg_bitwise_or(wg_tensor *x, wg_tensor *y);  /* bits set in either */
WG_API wg_tensor *wg_bitwise_xor(wg_tensor *x, wg_tensor *y); /* bits set in exactly one */
/* x << y; 0 when y is negative or not below the width */
WG_API wg_tensor *wg_bitwise_left_shift(wg_tensor *x, wg_tensor *y);
/* x >> y, the sign repeated; all sign when y is negative or not below the width */
WG_API wg_tensor *wg_bitwise_right_shift(wg_tensor *x, wg_tensor *y);

/* ---- elementwise: ternary and with bounds ------------------------------------------------------------------------ */
WG_API wg_tensor *wg_where(wg_tensor *condition, wg_tensor *x,
                           wg_tensor *y); /* condition bool; differentiable in x, y */
/* x held between bounds: numbers, tensors that broadcast, or NULL for "no bound" (not both NULL: RuntimeError). nan
 * stays nan; min > max gives max. Differentiable in all three: on a bound that is a number x gets no gradient, on a
 * tensor's it shares. */
WG_API wg_tensor *wg_clamp(wg_tensor *x, wg_tensor *min, wg_tensor *max);
WG_API wg_tensor *wg_clamp_min(wg_tensor *x, wg_tensor *min); /* wg_clamp with a lower bound alone */
WG_API wg_tensor *wg_clamp_max(wg_tensor *x, wg_tensor *max); /* wg_clamp with an upper bound alone */
/* x, and value where mask; value: a number or a 0-d tensor, which gets a gradient too; mask: bool */
WG_API wg_tensor *wg_masked_fill(wg_tensor *x, wg_tensor *mask, wg_tensor *value);

/* ---- comparison of whole tensors. Not differentiable ------------------------------------------------------------- */
/* same shape and elements; nan is unequal */
WG_API WG_MUST_CHECK wg_status wg_equal(wg_tensor *a, wg_tensor *b, bool *result);
WG_API WG_MUST_CHECK wg_status wg_allclose(wg_tensor *a, wg_tensor *b, double rtol, double atol, bool equal_nan,
                                           bool *result); /* all of wg_isclose; the shapes broadcast */
/* |a - b| <= atol + rtol |b|, as bool; one dtype; equal_nan: two nans are close */
WG_API wg_tensor *wg_isclose(wg_tensor *a, wg_tensor *b, double rtol, double atol, bool equal_nan);

/* ---- reductions. Differentiable unless said ---------------------------------------------------------------------- */

/* dims none: all. A dim out of range is an IndexError, one named twice a RuntimeError. */
typedef struct wg_reduce {
    size_t size;
    wg_ints dims;
    bool keepdim;
    bool has_dtype;
    wg_dtype dtype; /* sum, mean, prod, softmax: compute and return in this dtype */
} wg_reduce;
/* Each reduction is a function of (x, options), options NULL for defaults, and in C a macro with named arguments:
 * wg_sum(x, .dims = WG_DIMS(1), .keepdim = true). */
WG_API wg_tensor *wg_sum_opt(wg_tensor *x, const wg_reduce *options);       /* bool and integers: int64 */
WG_API wg_tensor *wg_mean_opt(wg_tensor *x, const wg_reduce *options);      /* floating only */
WG_API wg_tensor *wg_prod_opt(wg_tensor *x, const wg_reduce *options);      /* at most one dim */
WG_API wg_tensor *wg_amax_opt(wg_tensor *x, const wg_reduce *options);      /* ties share the gradient evenly */
WG_API wg_tensor *wg_amin_opt(wg_tensor *x, const wg_reduce *options);      /* likewise */
WG_API wg_tensor *wg_all_opt(wg_tensor *x, const wg_reduce *options);       /* bool; not differentiable */
WG_API wg_tensor *wg_any_opt(wg_tensor *x, const wg_reduce *options);       /* likewise */
WG_API wg_tensor *wg_logsumexp_opt(wg_tensor *x, const wg_reduce *options); /* dims needed; shifted by the maximum */
/* mean squared distance from the mean, / (n - correction); floating only */
WG_API wg_tensor *wg_var_opt(wg_tensor *x, double correction, const wg_reduce *options);
WG_API wg_tensor *wg_std_opt(wg_tensor *x, double correction, const wg_reduce *options); /* the square root of wg_var */
/* Vector norm of order p (2, 1, inf, -inf, 0, any p) over dims; gradient 0 at 0. torch.norm. */
WG_API wg_tensor *wg_norm_opt(wg_tensor *x, double p, const wg_reduce *options);
#ifndef __cplusplus
/* The comma at the end of a call gives "..." something to stand for, as ISO C wants. */
#define WG_REDUCE_(...) (&(wg_reduce){.size = sizeof(wg_reduce), __VA_ARGS__})
#define WG_REDUCED_(f, x, ...) f((x), WG_REDUCE_(__VA_ARGS__))
#define WG_REDUCED_BY_(f, p, x, ...) f((x), (p), WG_REDUCE_(__VA_ARGS__))
#define wg_sum(...) WG_REDUCED_(wg_sum_opt, __VA_ARGS__, )
#define wg_mean(...) WG_REDUCED_(wg_mean_opt, __VA_ARGS__, )
#define wg_prod(...) WG_REDUCED_(wg_prod_opt, __VA_ARGS__, )
#define wg_amax(...) WG_REDUCED_(wg_amax_opt, __VA_ARGS__, )
#define wg_amin(...) WG_REDUCED_(wg_amin_opt, __VA_ARGS__, )
#define wg_all(...) WG_REDUCED_(wg_all_opt, __VA_ARGS__, )
#define wg_any(...) WG_REDUCED_(wg_any_opt, __VA_ARGS__, )
#define wg_logsumexp(...) WG_REDUCED_(wg_logsumexp_opt, __VA_ARGS__, )
#define wg_var(...) WG_REDUCED_BY_(wg_var_opt, 1, __VA_ARGS__, )
#define wg_std(...) WG_REDUCED_BY_(wg_std_opt, 1, __VA_ARGS__, )
#define wg_norm(...) WG_REDUCED_BY_(wg_norm_opt, 2, __VA_ARGS__, )
#endif
WG_API wg_tensor *wg_max(wg_tensor *x); /* over all elements; nan wins; ties share the gradient evenly */
WG_API wg_tensor *wg_min(wg_tensor *x); /* likewise */
/* torch.max(x, dim): values; *indices (int64) when indices is not NULL. The first of equal elements is chosen and gets
 * the gradient. An empty dim is an IndexError. */
WG_API wg_tensor *wg_max_dim(wg_tensor *x, int64_t dim, bool keepdim, wg_tensor **indices);
WG_API wg_tensor *wg_min_dim(wg_tensor *x, int64_t dim, bool keepdim, wg_tensor **indices);
/* int64 index of the first extreme element along dim, or in the flattened tensor for the _all forms. Not
 * differentiable; bool and empty dims raise. */
WG_API wg_tensor *wg_argmax(wg_tensor *x, int64_t dim, bool keepdim);
WG_API wg_tensor *wg_argmin(wg_tensor *x, int64_t dim, bool keepdim);
WG_API wg_tensor *wg_argmax_all(wg_tensor *x);
WG_API wg_tensor *wg_argmin_all(wg_tensor *x);
WG_API wg_tensor *wg_softmax(wg_tensor *x, int64_t dim);     /* e^(x - max) / sum; floating only */
WG_API wg_tensor *wg_log_softmax(wg_tensor *x, int64_t dim); /* x - max - log(sum(e^(x - max))); floating only */
/* Sorted values; *indices when not NULL. stable keeps the order of equal elements (PyTorch's default sorts the same).
 */
WG_API wg_tensor *wg_sort(wg_tensor *x, int64_t dim, bool descending, bool stable, wg_tensor **indices);
/* sort's indices */
WG_API wg_tensor *wg_argsort(wg_tensor *x, int64_t dim, bool descending, bool stable);

/* ---- products of matrices. Differentiable ------------------------------------------------------------------------ */

/* Both of one dtype, floating or integer: others raise, as do sizes that do not meet (RuntimeError). */
WG_API wg_tensor *wg_matmul(wg_tensor *a, wg_tensor *b); /* every combination of ranks, batched and broadcast */
WG_API wg_tensor *wg_mm(wg_tensor *a, wg_tensor *b);     /* (n, k) (k, m) */
WG_API wg_tensor *wg_mv(wg_tensor *a, wg_tensor *x);     /* (n, k) (k) */
WG_API wg_tensor *wg_dot(wg_tensor *x, wg_tensor *y);    /* (k) (k), 0-d */
WG_API wg_tensor *wg_bmm(wg_tensor *a, wg_tensor *b);    /* (b, n, k) (b, k, m) */
WG_API wg_tensor *wg_addmm(wg_tensor *c, wg_tensor *a, wg_tensor *b); /* c + a @ b */
/* beta c + alpha a @ b; beta 0 ignores c, nan included */
WG_API wg_tensor *wg_addmm_scaled(wg_tensor *c, wg_tensor *a, wg_tensor *b, double beta, double alpha);
WG_API wg_tensor *wg_linear(wg_tensor *x, wg_tensor *weight,
                            wg_tensor *bias); /* x @ weight.T + bias; bias may be NULL */

/* ---- views: share the storage. Differentiable -------------------------------------------------------------------- */

/* Every dtype. A write through a view is a write to its base. Dims out of range are IndexErrors, sizes that do not fit
 * RuntimeErrors. */
WG_API wg_tensor *wg_t(wg_tensor *x);       /* transpose of a matrix; 0-d and 1-d as they are */
WG_API wg_tensor *wg_mT(wg_tensor *x);      /* last two dims exchanged */
WG_API wg_tensor *wg_adjoint(wg_tensor *x); /* mT, conjugated; a 0-d tensor itself */
WG_API wg_tensor *wg_view(wg_tensor *x, int ndim,
                          const int64_t *sizes); /* one size may be -1; needs matching strides */
WG_API wg_tensor *wg_reshape(wg_tensor *x, int ndim, const int64_t *sizes); /* a view when possible, else a copy */
WG_API wg_tensor *wg_transpose(wg_tensor *x, int64_t dim0, int64_t dim1);   /* two dims exchanged */
/* the dims in another order; each is named once */
WG_API wg_tensor *wg_permute(wg_tensor *x, int ndim, const int64_t *dims);
WG_API wg_tensor *wg_expand(wg_tensor *x, int ndim, const int64_t *sizes);   /* -1 keeps a size */
WG_API wg_tensor *wg_expand_as(wg_tensor *x, const wg_tensor *other);        /* wg_expand to other's sizes */
WG_API wg_tensor *wg_squeeze(wg_tensor *x);                                  /* drops every size-1 dim */
WG_API wg_tensor *wg_squeeze_dim(wg_tensor *x, int64_t dim);                 /* drops the dim if its size is 1 */
WG_API wg_tensor *wg_squeeze_dims(wg_tensor *x, int n, const int64_t *dims); /* drops those of size 1 */
WG_API wg_tensor *wg_unsqueeze(wg_tensor *x, int64_t dim);                   /* a new dim of size 1 at dim */
/* one index of a dim; the dim goes. Negative: from the end; out of range raises */
WG_API wg_tensor *wg_select(wg_tensor *x, int64_t dim, int64_t index);
WG_API wg_tensor *wg_slice(wg_tensor *x, int64_t dim, int64_t start, int64_t end, int64_t step); /* Python's x[a:b:s] */
/* start .. start + length - 1 of a dim */
WG_API wg_tensor *wg_narrow(wg_tensor *x, int64_t dim, int64_t start, int64_t length);
/* start_dim .. end_dim made one dim; a copy if it must be */
WG_API wg_tensor *wg_flatten(wg_tensor *x, int64_t start_dim, int64_t end_dim);
/* dim cut into sizes, one of which may be -1; a view */
WG_API wg_tensor *wg_unflatten(wg_tensor *x, int64_t dim, int n, const int64_t *sizes);
WG_API wg_tensor *wg_ravel(wg_tensor *x); /* one dim; a copy when x is not row-major */
/* dims moved to other places, the others in order */
WG_API wg_tensor *wg_movedim(wg_tensor *x, int n, const int64_t *source, const int64_t *destination);
/* x takes the sizes, strides and history of view, which is a view of x: so Tensor.t_, transpose_, squeeze_, unsqueeze_
 * and as_strided_ work. Bumps the version; a leaf that requires a gradient is refused. Returns x. */
WG_API wg_tensor *wg_take_geometry_(wg_tensor *x, wg_tensor *view);
WG_API wg_tensor *wg_alias(wg_tensor *x); /* another handle on the same elements, recorded */
WG_API wg_tensor *wg_as_strided(wg_tensor *x, int ndim, const int64_t *sizes, const int64_t *strides,
                                int64_t storage_offset); /* storage_offset < 0: that of x */
/* Several views at once: fills out[] (capacity max), returns their number in *n. Such views may not be written in
 * place while gradients are recorded. */
WG_API WG_MUST_CHECK wg_status wg_unbind(wg_tensor *x, int64_t dim, wg_tensor **out, int max, int *n);
WG_API WG_MUST_CHECK wg_status wg_split(wg_tensor *x, int64_t size, int64_t dim, wg_tensor **out, int max, int *n);
WG_API WG_MUST_CHECK wg_status wg_split_sizes(wg_tensor *x, wg_ints sizes, int64_t dim, wg_tensor **out, int max,
                                              int *n);
WG_API WG_MUST_CHECK wg_status wg_chunk(wg_tensor *x, int64_t chunks, int64_t dim, wg_tensor **out, int max, int *n);

/* ---- copies, casts, joins. Differentiable ------------------------------------------------------------------------ */
WG_API wg_tensor *wg_clone(wg_tensor *x);              /* keeps dense strides */
WG_API wg_tensor *wg_contiguous(wg_tensor *x);         /* x itself when it is row-major */
WG_API wg_tensor *wg_to(wg_tensor *x, wg_dtype dtype); /* x itself when it has the dtype; float to int cuts the graph */
/* joined along a dim; dtypes are promoted; empty 1-d tensors are skipped */
WG_API wg_tensor *wg_cat(wg_tensor *const *tensors, int n, int64_t dim);
WG_API wg_tensor *wg_stack(wg_tensor *const *tensors, int n, int64_t dim); /* joined along a new dim; equal shapes */

/* ---- indexing ---------------------------------------------------------------------------------------------------- */
/* x[i, j, …]: indices are int64 (or int32, uint8/bool masks) tensors, NULL for a whole dim; numpy's rules.
 * Differentiable in x. An index out of range is an IndexError, here and below (gather and scatter_add: RuntimeError).
 */
WG_API wg_tensor *wg_index(wg_tensor *x, wg_tensor *const *indices, int n);
/* a copy of x with values (broadcast, of x's dtype) at the indices; accumulate adds. Differentiable in x and values */
WG_API wg_tensor *wg_index_put(wg_tensor *x, wg_tensor *const *indices, int n, wg_tensor *values, bool accumulate);
/* a copy of x with value (a number or 0-d) at the indices of dim */
WG_API wg_tensor *wg_index_fill(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *value);
/* slices of dim in the order of index (1-d, int32 or int64) */
WG_API wg_tensor *wg_index_select(wg_tensor *x, int64_t dim, wg_tensor *index);
/* a copy of x with source's slices added at index, in order */
WG_API wg_tensor *wg_index_add(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *source);
/* out[i][j] = x[index[i][j]][j] for dim 0; index int64, same ndim */
WG_API wg_tensor *wg_gather(wg_tensor *x, int64_t dim, wg_tensor *index);
/* a copy of x with out[index[i][j]][j] += source[i][j] for dim 0 */
WG_API wg_tensor *wg_scatter_add(wg_tensor *x, int64_t dim, wg_tensor *index, wg_tensor *source);
WG_API wg_tensor *wg_nonzero(wg_tensor *x); /* (count, ndim) int64; not differentiable */
/* Rows of weight (2-d) at indices (int32 or int64, any shape). Differentiable in weight; padding_idx: a row that gets
 * no gradient, < 0: none. */
WG_API wg_tensor *wg_embedding(wg_tensor *weight, wg_tensor *indices, int64_t padding_idx);

/* ---- losses ------------------------------------------------------------------------------------------------------ */
typedef enum wg_reduction { WG_REDUCE_NONE = 0, WG_REDUCE_MEAN = 1, WG_REDUCE_SUM = 2 } wg_reduction;
typedef struct wg_loss {
    size_t size;
    wg_tensor *weight;  /* per class, or NULL */
    bool has_reduction; /* default: mean */
    wg_reduction reduction;
    bool has_ignore_index; /* default: -100 */
    int64_t ignore_index;
    double label_smoothing; /* cross_entropy */
} wg_loss;
/* Minus the log probability of each target class, weighted. log_probs floating, (N, C), (C) or (N, C, d1, …); target
 * int64 class numbers, without the C. Differentiable in log_probs. A class out of range is an IndexError. */
WG_API wg_tensor *wg_nll_loss_opt(wg_tensor *log_probs, wg_tensor *target, const wg_loss *options);
/* log_softmax over the classes, then nll_loss; a floating target holds class probabilities. */
WG_API wg_tensor *wg_cross_entropy_opt(wg_tensor *logits, wg_tensor *target, const wg_loss *options);
/* (x - y)^2, broadcast; floating */
WG_API wg_tensor *wg_mse_loss_opt(wg_tensor *x, wg_tensor *y, const wg_loss *options);
#ifndef __cplusplus
#define WG_LOSS_(...) (&(wg_loss){.size = sizeof(wg_loss), __VA_ARGS__})
#define WG_LOST_(f, x, y, ...) f((x), (y), WG_LOSS_(__VA_ARGS__))
#define wg_nll_loss(...) WG_LOST_(wg_nll_loss_opt, __VA_ARGS__, )
#define wg_cross_entropy(...) WG_LOST_(wg_cross_entropy_opt, __VA_ARGS__, )
#define wg_mse_loss(...) WG_LOST_(wg_mse_loss_opt, __VA_ARGS__, )
#endif

/* ---- in place ---------------------------------------------------------------------------------------------------- */

/* Write x and return it; poison on failure, x then unchanged (an interrupted one may be partly written, and says so).
 * The other argument broadcasts to x's shape; a result dtype that x's category cannot hold raises RuntimeError. They
 * bump the version and are recorded: a leaf that requires a gradient is refused while gradients are recorded, and so is
 * a view that may not be written. */
WG_API wg_tensor *wg_add_(wg_tensor *x, wg_tensor *y);                            /* x += y */
WG_API wg_tensor *wg_add_alpha_(wg_tensor *x, wg_tensor *y, double alpha);        /* x += alpha * y */
WG_API wg_tensor *wg_sub_(wg_tensor *x, wg_tensor *y);                            /* x -= y */
WG_API wg_tensor *wg_sub_alpha_(wg_tensor *x, wg_tensor *y, double alpha);        /* x -= alpha * y */
WG_API wg_tensor *wg_mul_(wg_tensor *x, wg_tensor *y);                            /* x *= y */
WG_API wg_tensor *wg_div_(wg_tensor *x, wg_tensor *y);                            /* x /= y; x must be floating */
WG_API wg_tensor *wg_div_mode_(wg_tensor *x, wg_tensor *y, const char *rounding); /* wg_div_mode in place */
WG_API wg_tensor *wg_pow_(wg_tensor *x, wg_tensor *y);                            /* x = x^y */
WG_API wg_tensor *wg_zero_(wg_tensor *x);                                         /* every element 0 */
WG_API wg_tensor *wg_fill_(wg_tensor *x, wg_tensor *value);                       /* a number or a 0-d tensor */
WG_API wg_tensor *wg_copy_(wg_tensor *x, wg_tensor *source);                      /* broadcasts, converts */
WG_API wg_tensor *wg_clamp_(wg_tensor *x, wg_tensor *min, wg_tensor *max);        /* wg_clamp in place */
WG_API wg_tensor *wg_relu_(wg_tensor *x);                                         /* max(x, 0) */
WG_API wg_tensor *wg_exp_(wg_tensor *x);                                          /* e^x; x floating */
WG_API wg_tensor *wg_tanh_(wg_tensor *x);                                         /* hyperbolic tangent; x floating */
WG_API wg_tensor *wg_sigmoid_(wg_tensor *x);                                      /* 1 / (1 + e^-x); x floating */
WG_API wg_tensor *wg_neg_(wg_tensor *x);                                          /* -x */
/* value where mask; mask broadcasts to x */
WG_API wg_tensor *wg_masked_fill_(wg_tensor *x, wg_tensor *mask, wg_tensor *value);
/* wg_index_put in place */
WG_API wg_tensor *wg_index_put_(wg_tensor *x, wg_tensor *const *indices, int n, wg_tensor *values, bool accumulate);

/* ---- the registry, for bindings and tools ------------------------------------------------------------------------ */
/* One argument or result of a boxed call, in schema order. tag: see enum; n counts ints and tensors. */
typedef enum wg_tag {
    WG_TAG_NONE = 0,
    WG_TAG_INT,
    WG_TAG_DOUBLE,
    WG_TAG_BOOL,
    WG_TAG_INTS,
    WG_TAG_DTYPE,
    WG_TAG_STRING,
    WG_TAG_TENSOR,
    WG_TAG_TENSORS,
} wg_tag;
typedef struct wg_arg {
    uint8_t tag;
    uint32_t n;
    union {
        int64_t i;
        double d;
        const int64_t *ints;
        const char *s;
        wg_tensor *t;
        wg_tensor *const *ts;
    } v;
} wg_arg;
typedef struct wg_op_info {
    size_t size;
    const char *name, *schema, *doc;
    bool differentiable, pointwise, is_view;
    const char *formula[4]; /* per differentiable input, NULL where none */
    /* Where a binding shows it: torch.NAME, Tensor.NAME (the tensor is the argument called self),
     * torch.nn.functional.NAME; all false: nowhere, the op is a part of others. */
    bool function, method, nn;
    bool composite;      /* the schema is not the inputs and attributes of wg_op_apply: call it by wg_op_call */
    bool has_inplace;    /* "NAME_" writes self */
    const char *aliases; /* other names, with spaces between; NULL: none */
} wg_op_info;
WG_API int wg_op_count(void); /* how many ops there are: numbers 0 .. count - 1 */
/* What is known of op number index. Set info->size first. The texts are constants. IndexError out of range. */
WG_API WG_MUST_CHECK wg_status wg_op_get(int index, wg_op_info *info);
/* A schema is NAME[.OVERLOAD](TYPE NAME[=DEFAULT], ..., *, TYPE NAME, ...) -> RESULT. TYPE: Tensor, Tensor|Scalar (or a
 * number), Tensor[], int, int[], int[1] (or one int), bool, float, Scalar, ScalarType, str; a ? after it: or None.
 * RESULT: Tensor, (Tensor values, Tensor indices), Tensor[], or bool (a number tensor). */
/* Calls the op of that name with arguments in schema order; NONE, and missing ones at the end, are the default. Of the
 * overloads (max, max.dim, ...) the first that the arguments fit is called; if none: TypeError. Ints are taken for
 * floats, numbers for Tensor|Scalar. A name that ends in "_" is the in-place form: "mul_" writes its first argument and
 * gives it back. Fills out[] (capacity max) and *n. */
WG_API WG_MUST_CHECK wg_status wg_call_op(const char *name, const wg_arg *args, int nargs, wg_tensor **out, int max,
                                          int *n);

/* Argument i of a node's call among those of its schema that are not tensors, in schema order; false: no such one. */
WG_API bool wg_node_attr(const wg_node *n, int i, wg_arg *value);

/* ---- ops looked up once, for bindings that call them often ------------------------------------------------------- */

typedef struct wg_op wg_op;
/* The op of that name ("add", "max.dim"), or NULL; raises nothing. Lives as long as the process. */
WG_API const wg_op *wg_op_find(const char *name);
/* wg_call_op by record; in_place: the form whose name ends in "_". */
WG_API WG_MUST_CHECK wg_status wg_op_call(const wg_op *op, bool in_place, const wg_arg *args, int nargs,
                                          wg_tensor **out, int max, int *n);
/* A primitive (not wg_op_info.composite) with its tensors and its other arguments apart, each in schema order: every
 * one of them, absent tensors NULL, absent others NONE. */
WG_API WG_MUST_CHECK wg_status wg_op_apply(const wg_op *op, wg_tensor *const *in, int nin, const wg_arg *attr,
                                           int nattr, wg_tensor **out, int max, int *n);
/* Pointwise ops of one and two inputs, without further arguments: the short way in. x and y as in wg_add(x, y). */
WG_API wg_tensor *wg_op_unary(const wg_op *op, wg_tensor *x);
WG_API wg_tensor *wg_op_binary(const wg_op *op, wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_op_binary_(const wg_op *op, wg_tensor *x, wg_tensor *y); /* in place, as wg_add_(x, y) */

#ifdef __cplusplus
}
#endif
#endif
