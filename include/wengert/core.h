/* core.h - what a tensor is: status, dtypes, scopes, creation, copies, memory, host hooks.
 *
 * Every function that makes a tensor returns a handle that belongs to the calling thread's innermost scope
 * (wg_scope_open); a handle that must live longer is kept with wg_keep and given back with wg_release. A call that
 * fails returns the poison tensor (wg_is_poison), never NULL: NULL means "argument not given". Poison in, poison out;
 * the thread's first error stays in wg_last_status/wg_last_message until it is read. Functions that take a tensor and
 * return a wg_status ("sinks") fail for poison and also while an error is unread; those that make tensors (wg_unbind,
 * wg_split, wg_call_op, ...) only for poison.
 *
 * Units: sizes and strides count elements unless a name says bytes; times are seconds.
 */
#ifndef WENGERT_CORE_H
#define WENGERT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WG_VERSION_MAJOR 0
#define WG_VERSION_MINOR 1
#define WG_VERSION_PATCH 0
#define WG_VERSION_STRING "0.1.0"

#if defined(__GNUC__) || defined(__clang__)
#define WG_API __attribute__((visibility("default")))
#define WG_MUST_CHECK __attribute__((warn_unused_result))
#define WG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define WG_API
#define WG_MUST_CHECK
#define WG_PRINTF(f, a)
#endif

/* ---- status ------------------------------------------------------------------------------------------------------ */

/* One code per PyTorch exception type, so that a binding can raise the right one. The numbers are ABI. */
typedef enum wg_status {
    WG_OK = 0,
    WG_ERR_RUNTIME = 1,         /* RuntimeError */
    WG_ERR_TYPE = 2,            /* TypeError */
    WG_ERR_VALUE = 3,           /* ValueError */
    WG_ERR_INDEX = 4,           /* IndexError */
    WG_ERR_NOT_IMPLEMENTED = 5, /* NotImplementedError */
    WG_ERR_ZERO_DIVISION = 6,   /* ZeroDivisionError */
    WG_ERR_MEMORY = 7,          /* MemoryError: the host's allocator refused */
    WG_ERR_INTERRUPTED = 8,     /* should_stop asked to stop (KeyboardInterrupt) */
    WG_ERR_CALLBACK = 9,        /* a user's hook or function failed; the binding holds the exception */
} wg_status;

/* The thread's first unread error. wg_last_message marks it read: sinks work again and the next error replaces it.
 * The text stays valid until the thread's next error. With no error: WG_OK and "". */
WG_API wg_status wg_last_status(void);
WG_API const char *wg_last_message(void);
/* The op that failed ("" when none). Does not mark the error read. */
WG_API const char *wg_last_op(void);
/* Is an error unread? */
WG_API bool wg_error_pending(void);
/* Marks the error read without looking at it. */
WG_API void wg_clear_error(void);
/* Raises an error from user code (a hook, a custom function); returns code. printf format. */
WG_API wg_status wg_raise(wg_status code, const char *format, ...) WG_PRINTF(2, 3);
/* "RuntimeError", "TypeError", ... */
WG_API const char *wg_status_name(wg_status code);

/* ---- dtypes and devices ------------------------------------------------------------------------------------------ */

/* The numbers are ABI. 0-31 are set aside for dtypes; those without a comment exist in this version. */
typedef enum wg_dtype {
    WG_BOOL = 0,
    WG_UINT8 = 1,
    WG_INT8 = 2,
    WG_INT16 = 3,
    WG_INT32 = 4,
    WG_INT64 = 5,
    WG_FLOAT16 = 6,
    WG_BFLOAT16 = 7,
    WG_FLOAT32 = 8,
    WG_FLOAT64 = 9,
    WG_COMPLEX64 = 10,   /* reserved: comes with the operators */
    WG_COMPLEX128 = 11,  /* reserved */
    WG_COMPLEX32 = 12,   /* reserved */
    WG_UINT16 = 13,      /* reserved */
    WG_UINT32 = 14,      /* reserved */
    WG_UINT64 = 15,      /* reserved */
    WG_FLOAT8_E4M3 = 16, /* reserved */
    WG_FLOAT8_E5M2 = 17, /* reserved */
    WG_DTYPE_NONE = 31,  /* "not given" */
} wg_dtype;

WG_API const char *wg_dtype_name(wg_dtype dtype); /* "float32"; "unknown" for a code that is none */
WG_API size_t wg_dtype_size(wg_dtype dtype);      /* bytes per element; 0 for a code that does not exist yet */
WG_API bool wg_dtype_is_floating(wg_dtype dtype); /* float16, bfloat16, float32, float64: what can require a gradient */
WG_API bool wg_dtype_is_integral(wg_dtype dtype); /* bool is not integral */
/* torch.promote_types; WG_DTYPE_NONE if either code does not exist. */
WG_API wg_dtype wg_promote_types(wg_dtype a, wg_dtype b);
/* torch.get_default_dtype / set_default_dtype: floating dtypes only. Process-wide. */
WG_API wg_dtype wg_default_dtype(void);
WG_API WG_MUST_CHECK wg_status wg_set_default_dtype(wg_dtype dtype);

typedef enum wg_device_type { WG_CPU = 0, WG_CUDA = 1, WG_META = 2 } wg_device_type;
/* Only the cpu exists in this version; a call that names another device raises. */
typedef struct wg_device {
    wg_device_type type;
    int index;
} wg_device;

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

typedef struct wg_tensor wg_tensor;
typedef struct wg_node wg_node;
typedef struct wg_generator wg_generator;

#define WG_MAX_DIMS 64

WG_API int wg_ndim(const wg_tensor *t);                /* number of dims: 0 for a number, at most WG_MAX_DIMS */
WG_API int64_t wg_numel(const wg_tensor *t);           /* number of elements: the product of the sizes */
WG_API int64_t wg_size(const wg_tensor *t, int dim);   /* negative dims count from the end; -1 if out of range */
WG_API int64_t wg_stride(const wg_tensor *t, int dim); /* in elements; 0 if out of range */
WG_API const int64_t *wg_sizes(const wg_tensor *t);    /* ndim numbers; valid until wg_set_data or the handle's end */
WG_API const int64_t *wg_strides(const wg_tensor *t);  /* ndim numbers; valid until wg_set_data or the handle's end */
WG_API wg_dtype wg_dtype_of(const wg_tensor *t);       /* WG_DTYPE_NONE for NULL */
WG_API wg_device wg_device_of(const wg_tensor *t);     /* cpu, index 0, in this version */
WG_API int64_t wg_storage_offset(const wg_tensor *t);  /* in elements from the start of the storage */
WG_API bool wg_is_contiguous(const wg_tensor *t);      /* row-major, no gaps */
WG_API bool wg_is_poison(const wg_tensor *t);          /* did the call that should have made it fail? */
WG_API bool wg_is_view(const wg_tensor *t);            /* Tensor._is_view() */
WG_API wg_tensor *wg_base(const wg_tensor *t);         /* Tensor._base, NULL when not a view. Borrowed from t */
/* do they share elements' memory (a view and its base do)? */
WG_API bool wg_same_storage(const wg_tensor *a, const wg_tensor *b);
/* Bytes of the storage under t, whatever part of it t sees. foreign, unless NULL: are they from wg_from_memory? */
WG_API size_t wg_storage_bytes(const wg_tensor *t, bool *foreign);
/* The address of element [0, 0, ...]. Writing through it is not seen by autograd: call wg_increment_version after.
 * NULL for poison, for a read-only storage (use wg_const_data) and for a batched handle inside wg_vmap. */
WG_API void *wg_data(wg_tensor *t);
WG_API const void *wg_const_data(const wg_tensor *t);
/* Tensor._version: how often the value was written. Shared by views and detach, not by wg_data_of. */
WG_API uint32_t wg_version_of(const wg_tensor *t);
/* Says that t was written from outside, so that a backward that saved it raises. */
WG_API WG_MUST_CHECK wg_status wg_increment_version(wg_tensor *t);

/* ---- scopes and ownership ---------------------------------------------------------------------------------------- */

/* Opens a scope: results made from here on belong to it. Returns a mark for wg_scope_close. */
WG_API size_t wg_scope_open(void);
/* Closes the scope (and any opened inside it that a return or goto skipped). Always returns 0. */
WG_API size_t wg_scope_close(size_t mark);
/* WG_SCOPE { ... }: open and close round a block; break leaves it and closes. A return inside it leaves the results
 * to the enclosing scope. */
#define WG_SCOPE                                                                                                       \
    for (size_t wg_mark_ = wg_scope_open(), wg_run_ = 1; wg_run_; wg_run_ = wg_scope_close(wg_mark_))                  \
        for (; wg_run_; wg_run_ = 0)
/* One more owner: the handle survives its scope. Returns t. Poison and NULL pass through. */
WG_API wg_tensor *wg_keep(wg_tensor *t);
/* Gives one ownership back. NULL and poison are harmless. */
WG_API void wg_release(wg_tensor *t);
/* wg_keep, and the innermost scope forgets it: the caller owns what the scope owned. */
WG_API wg_tensor *wg_take(wg_tensor *t);
/* Hands an owned handle to the innermost scope; returns it. */
WG_API wg_tensor *wg_give(wg_tensor *t);

/* ---- creation ---------------------------------------------------------------------------------------------------- */

/* Options of the factories; zero is the default. The first field is the struct's size: it is the ABI version. */
typedef struct wg_options {
    size_t size;
    wg_dtype dtype; /* used when has_dtype */
    bool has_dtype;
    bool requires_grad;
    wg_device device;
} wg_options;
/* wg_zeros(2, shape, WG_OPT(.requires_grad = true)) ; NULL means all defaults. */
#define WG_OPT(...) (&(wg_options){.size = sizeof(wg_options), __VA_ARGS__})
#define WG_DTYPE(d) (&(wg_options){.size = sizeof(wg_options), .dtype = (d), .has_dtype = true})
/* A shape in place: wg_ones(WG_SHAPE(2, 2), NULL). Expands to two arguments: ndim, sizes. */
#define WG_SHAPE(...)                                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }
/* The shape of a 0-d tensor. */
#define WG_SCALAR_SHAPE 0, NULL

/* A new tensor from row-major elements of dtype in memory (copied; converted when options name another dtype). */
WG_API wg_tensor *wg_from_data(const void *data, wg_dtype dtype, int ndim, const int64_t *sizes,
                               const wg_options *options);
/* A tensor over memory that the library does not own. strides in elements (NULL: row-major), any alignment.
 * release(user) is called once when the last tensor over it is gone (also if this call fails). read_only: in-place
 * ops on it raise. Device: cpu only. */
typedef struct wg_memory {
    size_t size;
    void *data;
    size_t bytes; /* 0: unknown, the shape is trusted; otherwise a shape that reaches outside raises */
    const int64_t *strides;
    void (*release)(void *user);
    void *user;
    bool read_only;
    wg_device device;
} wg_memory;
WG_API wg_tensor *wg_from_memory(wg_dtype dtype, int ndim, const int64_t *sizes, const wg_memory *memory);
#define WG_MEMORY(...) (&(wg_memory){.size = sizeof(wg_memory), __VA_ARGS__})

/* New tensors of ndim sizes, row-major, on the cpu; the default dtype unless options say one. Leaves: they require a
 * gradient when options say so (floating dtypes only). A negative size, more than 64 dims, a dtype of a later version
 * and another device raise; so does lack of memory (WG_ERR_MEMORY). torch.empty, empty_strided, zeros, ones. */
WG_API wg_tensor *wg_empty(int ndim, const int64_t *sizes, const wg_options *options);
WG_API wg_tensor *wg_empty_strided(int ndim, const int64_t *sizes, const int64_t *strides, const wg_options *options);
WG_API wg_tensor *wg_zeros(int ndim, const int64_t *sizes, const wg_options *options);
WG_API wg_tensor *wg_ones(int ndim, const int64_t *sizes, const wg_options *options);
/* torch.full: value has one element. value's own dtype unless options say one: full of an int64 scalar is int64. A
 * value that the dtype cannot hold raises. */
WG_API wg_tensor *wg_full(int ndim, const int64_t *sizes, wg_tensor *value, const wg_options *options);
/* t's sizes, dtype (unless options say one) and dense strides; never t's history. torch.empty_like ... */
WG_API wg_tensor *wg_empty_like(const wg_tensor *t, const wg_options *options);
WG_API wg_tensor *wg_zeros_like(const wg_tensor *t, const wg_options *options);
WG_API wg_tensor *wg_ones_like(const wg_tensor *t, const wg_options *options);
WG_API wg_tensor *wg_full_like(const wg_tensor *t, wg_tensor *value, const wg_options *options);
/* torch.arange: start, end, step are scalars (wg_s, wg_i); int64 when all are integers. end is excluded. */
WG_API wg_tensor *wg_arange(wg_tensor *start, wg_tensor *end, wg_tensor *step, const wg_options *options);
/* torch.linspace: steps values from start to end, both included; the default dtype unless options say one. */
WG_API wg_tensor *wg_linspace(double start, double end, int64_t steps, const wg_options *options);
/* torch.eye: n x m, 1 on the diagonal; m < 0: square. */
WG_API wg_tensor *wg_eye(int64_t n, int64_t m, const wg_options *options);

/* Numbers: 0-d tensors that promote as PyTorch's Python numbers do, so that int64 * wg_i(3) stays int64 and float32 *
 * wg_s(3) stays float32. */
WG_API wg_tensor *wg_s(double value);
WG_API wg_tensor *wg_i(int64_t value);
WG_API wg_tensor *wg_b(bool value); /* a bool */

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Tensor.item(): the only element, converted; RuntimeError when there are none or several. */
WG_API WG_MUST_CHECK wg_status wg_item(const wg_tensor *t, double *value);
WG_API WG_MUST_CHECK wg_status wg_item_i(const wg_tensor *t, int64_t *value);
/* Copies the elements, row-major, converted to dtype, into memory of bytes bytes. */
WG_API WG_MUST_CHECK wg_status wg_copy_out(const wg_tensor *t, wg_dtype dtype, void *data, size_t bytes);
/* Overwrites t's elements from row-major memory; bumps the version (Tensor.copy_ from data). */
WG_API WG_MUST_CHECK wg_status wg_copy_in(wg_tensor *t, wg_dtype dtype, const void *data, size_t bytes);
/* bool(t): 1, 0, or -1 with an error (more than one value, none, poison). */
WG_API int wg_truth(const wg_tensor *t);

/* ---- the host ---------------------------------------------------------------------------------------------------- */

typedef enum wg_log_level { WG_LOG_DEBUG = 0, WG_LOG_INFO = 1, WG_LOG_WARN = 2 } wg_log_level;
typedef enum wg_warning { WG_WARN_USER = 0, WG_WARN_DEPRECATION = 1, WG_WARN_FUTURE = 2 } wg_warning;

/* Everything the library asks of its host. A NULL member keeps the default: malloc's family, silence, no stop, our
 * own pool. Set before the first tensor is made (allocator) or at any quiet moment (the others). */
typedef struct wg_host {
    size_t size;
    void *user;
    void *(*allocate)(void *user, size_t bytes, size_t alignment); /* NULL on failure */
    void (*deallocate)(void *user, void *p, size_t bytes);
    void (*log)(void *user, wg_log_level level, const char *message);
    /* Returns 0, or non-zero to turn the warning into an error. */
    int (*warn)(void *user, wg_warning category, const char *message);
    /* Asked at least every 50 ms in long work, from the thread that called; true: the op fails with
     * WG_ERR_INTERRUPTED. */
    bool (*should_stop)(void *user);
    /* Runs fn(context, i) for every i in [0, tasks), in any order, on any threads; returns when all are done. */
    void (*parallel_for)(void *user, int64_t tasks, void (*fn)(void *context, int64_t i), void *context);
} wg_host;
/* Copies *host; NULL: the defaults again. allocate and deallocate go together. */
WG_API WG_MUST_CHECK wg_status wg_set_host(const wg_host *host);

WG_API int wg_num_threads(void); /* torch.get_num_threads; at first WENGERT_NUM_THREADS, or the processors */
WG_API WG_MUST_CHECK wg_status wg_set_num_threads(int n); /* torch.set_num_threads; n >= 1 */

typedef struct wg_memory_stats {
    size_t size;
    size_t live_bytes;   /* tensor data in use */
    size_t peak_bytes;   /* highest live_bytes since start or wg_reset_peak */
    size_t cached_bytes; /* freed data kept for reuse */
    int64_t live_tensors;
    int64_t live_nodes;
} wg_memory_stats;
/* Of the whole process. Set stats->size first. */
WG_API void wg_memory_stats_get(wg_memory_stats *stats);
WG_API void wg_reset_peak(void);  /* peak_bytes = live_bytes (torch.cuda.reset_peak_memory_stats) */
WG_API void wg_empty_cache(void); /* gives cached data and this thread's free lists back to the allocator */

/* Version, ISA, BLAS, threads, as text lines; valid until the next call in this thread. */
WG_API const char *wg_config(void);
WG_API const char *wg_version(void); /* WG_VERSION_STRING of the library that runs */

/* ---- bindings ---------------------------------------------------------------------------------------------------- */

/* A language binding hangs one object on a tensor (or node) handle. The library calls back when the handle dies, and
 * to let a collector see what the library holds. */
typedef struct wg_binding {
    size_t size;
    void (*tensor_released)(void *object); /* the tensor that carried object is gone */
    void (*node_released)(void *object);
} wg_binding;
WG_API WG_MUST_CHECK wg_status wg_set_binding(const wg_binding *binding);
WG_API void *wg_slot(const wg_tensor *t);
WG_API void wg_set_slot(wg_tensor *t, void *object);
/* Owners of the handle right now: a hint for collectors. */
WG_API uint32_t wg_owner_count(const wg_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
