/* tensor.h - the data model, seen from inside the library. ARCHITECTURE.md draws it; this file is the authority.
 *
 * One block of 192 bytes carries a handle (sizes, strides, history), the storage that it owns, its version cell, and,
 * when the tensor is small, sizes and elements too. A view has a block of its own whose storage pointer and version
 * home lead to the block of its base. So a block can outlive its handle:
 *
 *   refs        owners of the handle: scopes, nodes that saved it, users, views (their base)
 *   own.refs    handles whose storage is &own; elements are freed when it reaches 0
 *   block_refs  (handle alive) + (own.refs > 0) + (handles elsewhere that use only our version cell, TF_VSEP)
 *
 * The version cell is not part of the storage: .data shares the storage with a fresh cell, and `.data =` changes the
 * storage under a handle that keeps its cell.
 */
#ifndef WG_CORE_TENSOR_H
#define WG_CORE_TENSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define WG_HAVE_SINGLE_THREADED 1
#endif
#endif

#include "wengert/core.h"

#define WG_LIKELY(x) __builtin_expect(!!(x), 1)
#define WG_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Failures and the like: what leads to them is kept apart from what runs, which so takes less of the instruction cache.
 */
#define WG_COLD __attribute__((cold))
#define WG_SITE __builtin_extract_return_addr(__builtin_return_address(0))

enum {
    TF_POISON = 1,
    TF_REQUIRES = 2,                            /* requires_grad, leaf or not */
    TF_VIEW = 4,                                /* meta->base is set */
    TF_NUMBER = 8,                              /* a Python-like number: lowest promotion priority */
    TF_BATCHED = 16,                            /* a wrapper made by vmap: meta->batch; no storage */
    TF_DUAL = 32,                               /* meta->tangents is not empty */
    TF_STACK = 64,                              /* lives in a caller's frame; must be copied to be kept */
    TF_CONTIG = 128,                            /* row-major without gaps */
    TF_HEAPDIMS = 256,                          /* dims was allocated */
    TF_VSEP = 512,                              /* holds a block_ref on vhome */
    TF_RETAINS = 1024,                          /* retain_grad was called: grad_fn's hooks know this handle */
    TF_CLOSED = 2048,                           /* debug: the handle's last owner is gone */
    TF_SLOW = TF_POISON | TF_BATCHED | TF_DUAL, /* what sends an op down the waist's slow path */
};

enum { SF_READ_ONLY = 1, SF_FOREIGN = 2, SF_INLINE = 4 };

typedef struct wg_storage {
    atomic_uint refs;
    uint8_t flags;
    uint8_t device_type;
    int16_t device_index;
    char *data;
    size_t bytes;
    struct wg_foreign *foreign; /* who owns the memory, when not we */
} wg_storage;

struct wg_foreign {
    void (*release)(void *user);
    void *user;
};

typedef struct wg_vcell {
    atomic_uint version;
    uint32_t unused;
    void *site; /* call site of the last write */
} wg_vcell;

#define WG_INLINE_BYTES 64

struct wg_tensor {
    atomic_uint refs, block_refs;
    uint8_t dtype, ndim;
    uint16_t flags;
    uint32_t output_nr;
    int64_t numel; /* of a dead block: the next one of a free list */
    char *data;
    wg_storage *storage;
    wg_tensor *vhome; /* the block whose version cell counts our writes */
    int64_t *dims;    /* ndim sizes, then ndim strides */
    wg_node *grad_fn;
    struct wg_meta *meta;
    void *slot; /* a binding's object */
    wg_storage own;
    wg_vcell version;
    char inline_[WG_INLINE_BYTES];
};
_Static_assert(sizeof(wg_tensor) == 192, "a tensor block is three cache lines");

/* How a view came to be (V1): decides whether it may be written in place. */
enum { VIEW_NORMAL = 0, VIEW_NO_GRAD = 1, VIEW_MULTI = 2, VIEW_CUSTOM = 3 };

typedef struct wg_tangent {
    int level;
    wg_tensor *value;
} wg_tangent;

/* What few tensors have. Made on first need by wg__meta. */
typedef struct wg_meta {
    wg_tensor *grad;
    _Atomic(wg_node *) accum; /* a leaf's AccumulateGrad: lives as long as the leaf, its references are the leaf's */
    wg_tensor *base;          /* of a view: the root, never itself a view */
    uint32_t view_version;    /* version at which grad_fn was made (V3) */
    uint8_t view_kind;
    uint8_t ntangents;
    int8_t batch_dim; /* where the batched dimension of batch_value is */
    int batch_level;
    wg_tangent *tangents;                    /* ascending level */
    struct wg_tensor *dual_next, *dual_prev; /* of the innermost level's list, see forward.c */
    wg_tensor *batch_value;
    struct wg_hook *post_accumulate;
    char *name;
    atomic_bool lock; /* serialises accumulation into grad */
} wg_meta;

/* ---- thread state: one small struct, initial-exec, read once per call -------------------------------------------- */

struct wg_cold; /* error text and other things that are rarely touched: error.c */

struct wg_tls {
    wg_tensor **scope; /* the scope stack: a scope is an index */
    size_t scope_top, scope_cap;
    void *free_blocks;                 /* tensors and nodes share one size */
    uint32_t nfree, nspare, most_free; /* most_free is 0 in a thread that made nothing yet: it keeps nothing */
    void *spare_blocks;                /* a full batch */
    char *slab_at, *slab_end;          /* not yet cut */
    size_t slab_bytes;                 /* of the next slab */
    uint8_t no_grad;                   /* grad mode, inverted so that zero is the default */
    uint8_t error_unread;              /* the error slot holds something nobody read */
    uint8_t in_release;                /* a release is under way: push instead of recursing */
    uint8_t no_forward;                /* tangents are out of sight; inverted too */
    uint8_t in_backward;               /* depth of walks, capped at 255 */
    int ceiling, hidden_top; /* levels in [ceiling, hidden_top] are invisible; ceiling 0: none (see forward.c) */
    int levels;              /* levels open now */
    int maps;                /* of these, by wg_vmap */
    void *site;              /* pinned call site, or NULL */
    void *walk_site;         /* of the call to backward that is running */
    struct wg_walk *walk;    /* the innermost walk that is running */
    uint64_t seq;            /* next sequence number */
    _Atomic int64_t live_tensors, live_nodes; /* written by this thread only */
#ifndef NDEBUG
    wg_tensor *oldest_dead, *newest_dead; /* handles kept to notice their use */
    uint32_t ndead;
#endif
    void *pending;        /* tensors waiting to be destroyed */
    wg_node *dying_nodes; /* nodes that are; */
    bool in_node_release; /* somebody is at it */
    struct wg_cold *cold;
    struct wg_tls *next; /* of the list of threads: tensor.c */
    bool listed, leaving;
};
extern __thread struct wg_tls wg__tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* ---- counting ---------------------------------------------------------------------------------------------------- */

/* While the process has one thread nobody can interfere, and a plain addition will do: the C library tells us, and
 * takes it back before a second thread can run. */
static inline bool wg__one_thread(void) {
#ifdef WG_HAVE_SINGLE_THREADED
    return __libc_single_threaded;
#else
    return false;
#endif
}
static inline void wg__inc(atomic_uint *c) {
    if (WG_LIKELY(wg__one_thread()))
        atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}
/* True when the caller was the last. A count of 1 that only we can see needs no locked operation. */
static inline bool wg__dec(atomic_uint *c) {
    unsigned n = atomic_load_explicit(c, memory_order_acquire);
    if (n == 1 || WG_LIKELY(wg__one_thread())) {
        atomic_store_explicit(c, n - 1, memory_order_relaxed);
        return n == 1;
    }
    return atomic_fetch_sub_explicit(c, 1, memory_order_acq_rel) == 1;
}
static inline void wg__count(_Atomic int64_t *c, int64_t d) { /* of this thread: nobody else writes it */
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + d, memory_order_relaxed);
}
/* A lock around a few instructions that start no thread: a node's saved values. */
static inline void wg__lock(atomic_flag *f) {
    if (wg__one_thread()) return;
    while (atomic_flag_test_and_set_explicit(f, memory_order_acquire)) {
    }
}
static inline void wg__unlock(atomic_flag *f) { atomic_flag_clear_explicit(f, memory_order_release); }
/* A flag that is held for longer, in which a thread may start: false when it is taken already. */
static inline bool wg__take_flag(atomic_bool *f) {
    if (!wg__one_thread()) return !atomic_exchange_explicit(f, true, memory_order_acquire);
    bool taken = atomic_load_explicit(f, memory_order_relaxed);
    atomic_store_explicit(f, true, memory_order_relaxed);
    return !taken;
}
static inline void wg__give_flag(atomic_bool *f) { atomic_store_explicit(f, false, memory_order_release); }

/* ---- blocks and handles: tensor.c -------------------------------------------------------------------------------- */

extern wg_tensor wg__poison_tensor;
#define WG_POISON (&wg__poison_tensor)

WG_COLD void *wg__block_new_slow(struct wg_tls *s);
/* 192 bytes, uninitialised; NULL on no memory (error raised). The next block will be wanted soon and may be far away.
 */
static inline void *wg__block_new(struct wg_tls *s) {
    void *b = s->free_blocks;
    if (WG_UNLIKELY(!b)) return wg__block_new_slow(s);
    char *next = *(void **)b;
    s->free_blocks = next;
    s->nfree--;
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + 64, 1);
    __builtin_prefetch(next + 128, 1);
    return b;
}
extern const uint32_t wg__block_batch __attribute__((visibility("hidden"))); /* blocks of a batch */
void wg__blocks_spill(struct wg_tls *s);                                     /* a list that became long */
void wg__blocks_leave(struct wg_tls *s);                                     /* the thread ends: all lists to all */
void wg__blocks_trim(struct wg_tls *s);                                      /* slabs that are wholly free go back */
static inline void wg__block_push(struct wg_tls *s, void *block) {
    *(void **)block = s->free_blocks;
    s->free_blocks = block;
    s->nfree++;
}
static inline void wg__block_free(struct wg_tls *s, void *block) {
    wg__block_push(s, block);
    if (WG_UNLIKELY(s->nfree >= s->most_free)) wg__blocks_spill(s);
}
bool wg__thread_enter(struct wg_tls *s); /* first tensor of a thread */
/* An uninitialised tensor of its own storage, owned by the caller (refs 1, in no scope). sizes may alias nothing.
 * strides NULL: row-major. NULL on failure, with the error raised. */
wg_tensor *wg__tensor_new(wg_dtype dtype, int ndim, const int64_t *sizes, const int64_t *strides);
/* The same for a result shaped as x, row-major. x is row-major. */
wg_tensor *wg__tensor_like(const wg_tensor *x, wg_dtype dtype);
/* A handle over t's storage with another geometry (offset in elements relative to t->data); shares the version cell
 * unless fresh_version. Not yet a differentiable view: see wg__make_view in autograd/view.c. Owned by the caller. */
wg_tensor *wg__alias(const wg_tensor *t, int ndim, const int64_t *sizes, const int64_t *strides, int64_t offset,
                     bool fresh_version);
wg_tensor *wg__tensor_new_batched(wg_dtype dtype, int ndim, const int64_t *sizes, const wg_tensor *value);
wg_tensor *wg__batched_alias(const wg_tensor *t);       /* batch.c */
const wg_tensor *wg__shown_tangent(const wg_tensor *t); /* of the innermost level in sight, or NULL: forward.c */
wg_status wg__swap_storage(wg_tensor *t, const wg_tensor *source); /* .data = */
wg_meta *wg__meta(wg_tensor *t);                                   /* NULL on no memory (error raised) */
void wg__tensor_dead(wg_tensor *t);                                /* its last owner is gone */
static inline void wg__tensor_release(wg_tensor *t) {
    if (wg__dec(&t->refs)) wg__tensor_dead(t);
}
/* Owned handle to the innermost scope; returns it, or poison (and releases) when the scope cannot grow. */
WG_COLD wg_tensor *wg__scope_push_slow(wg_tensor *t);
static inline wg_tensor *wg__scope_push(wg_tensor *t) {
#ifdef NDEBUG
    struct wg_tls *s = &wg__tls;
    if (WG_LIKELY(s->scope_top < s->scope_cap)) return s->scope[s->scope_top++] = t;
#endif
    return wg__scope_push_slow(t);
}
/* Releases what was pushed since the stack was top high. */
void wg__scope_trim(struct wg_tls *s, size_t top);
/* The opposite: takes a result back out of the scope. Pops when it is on top (the usual case). */
wg_tensor *wg__take(wg_tensor *t);

static inline wg_tensor *wg__retain(wg_tensor *t) {
    wg__inc(&t->refs);
    return t;
}
static inline void wg__drop(wg_tensor *t) { /* wg_release, without the call for what owns nothing */
    if (t && !(t->flags & (TF_POISON | TF_STACK))) wg__tensor_release(t);
}
/* Retain, but a number in a caller's frame is copied to the heap. NULL on no memory. */
wg_tensor *wg__retain_safe(wg_tensor *t);

static inline const int64_t *wg__strides(const wg_tensor *t) { return t->dims + t->ndim; }
extern const uint8_t wg__dtype_bytes[32] __attribute__((visibility("hidden"))); /* dtype.c */
static inline size_t wg__itemsize(const wg_tensor *t) { return wg__dtype_bytes[t->dtype & 31]; }
static inline bool wg__is_floating(unsigned dtype) { return dtype - WG_FLOAT16 <= (unsigned)(WG_FLOAT64 - WG_FLOAT16); }
static inline bool wg__ok(const wg_tensor *t) { return !(t->flags & TF_POISON); }
static inline bool wg__requires(const wg_tensor *t) { return (t->flags & TF_REQUIRES) != 0; }
static inline wg_tensor *wg__home(const wg_storage *s) {
    return (wg_tensor *)((char *)(uintptr_t)s - offsetof(wg_tensor, own));
}
static inline uint32_t wg__version(const wg_tensor *t) {
    return atomic_load_explicit(&t->vhome->version.version, memory_order_relaxed);
}
void wg__bump(wg_tensor *t, void *site); /* one write: version + 1, remembers who */

/* ---- shapes: shape.c --------------------------------------------------------------------------------------------- */

/* What a shape rule fills in. strides only when strided (else row-major); offset only for views. */
typedef struct wg_geometry {
    int ndim;
    wg_dtype dtype;
    bool strided;
    int64_t offset; /* in elements, from the input's first element */
    int64_t sizes[WG_MAX_DIMS];
    int64_t strides[WG_MAX_DIMS];
} wg_geometry;

int64_t wg__numel(int ndim, const int64_t *sizes); /* -1 on overflow */
void wg__row_major(int ndim, const int64_t *sizes, int64_t *strides);
/* The strides of a copy: t's own when they are dense, else dense ones in the order of t's dims, put in made; NULL:
 * row-major. */
const int64_t *wg__kept_strides(const wg_tensor *t, int64_t *made);
bool wg__is_row_major(int ndim, const int64_t *sizes, const int64_t *strides);
static inline bool wg__has_sizes(const wg_tensor *t, int ndim, const int64_t *sizes) {
    if (t->ndim != ndim) return false;
    if (WG_LIKELY(ndim == 2)) return !((t->dims[0] ^ sizes[0]) | (t->dims[1] ^ sizes[1]));
    for (int i = 0; i < ndim; i++)
        if (t->dims[i] != sizes[i]) return false;
    return true;
}
static inline bool wg__same_sizes(const wg_tensor *a, const wg_tensor *b) { return wg__has_sizes(a, b->ndim, b->dims); }
bool wg__is_dense(int ndim, const int64_t *sizes, const int64_t *strides); /* non-overlapping and dense */
bool wg__may_overlap_itself(const wg_tensor *t);
/* Wraps a negative dim; -1 with PyTorch's IndexError raised when out of range. ndim 0 accepts -1 and 0. */
int wg__wrap_dim(const char *op, int64_t dim, int ndim);
/* Broadcasts into out->sizes; raises PyTorch's text. */
wg_status wg__broadcast(const char *op, const wg_tensor *const *in, int n, wg_geometry *out);
/* "[2, 3]" into a caller's buffer; returns it. */
const char *wg__sizes_text(char *buffer, size_t n, int ndim, const int64_t *sizes);
/* Strides of t broadcast to sizes (0 where t is expanded), in bytes. */
void wg__broadcast_strides(const wg_tensor *t, int ndim, const int64_t *sizes, int64_t *bytes);

/* ---- dtypes: dtype.c --------------------------------------------------------------------------------------------- */

#define WG_KERNEL_DTYPES 10 /* dtypes that have kernels: the first codes */
bool wg__dtype_exists(int dtype);
const char *wg__dtype_scalar_name(wg_dtype dtype); /* "Float", "Long": C++ names in error texts */
const char *wg__dtype_cxx_name(wg_dtype dtype);    /* "float", "long int": what C++ itself calls them, likewise */
/* torch.result_type over tensors, 0-d tensors and numbers (W2). */
wg_dtype wg__result_type(wg_tensor *const *in, int n);
bool wg__can_cast(wg_dtype from, wg_dtype to); /* category does not go down */
/* Raises PyTorch's error when a number is outside the range of a dtype that shall hold it; -1 of uint8 is 255. */
wg_status wg__check_fits(const char *op, const wg_tensor *number, wg_dtype dtype);
float wg__half_to_float(uint16_t h);
float wg__bfloat_to_float(uint16_t h);
uint16_t wg__float_to_half(float f);
uint16_t wg__float_to_bfloat(float f);
/* One element, any dtype. */
double wg__load_double(const void *p, wg_dtype dtype);
int64_t wg__load_int(const void *p, wg_dtype dtype);
void wg__store_double(void *p, wg_dtype dtype, double v);
void wg__store_int(void *p, wg_dtype dtype, int64_t v);

/* ---- errors: error.c --------------------------------------------------------------------------------------------- */

/* Sets the thread's error unless one is unread; op may be NULL. Return the code, or poison. */
WG_COLD wg_status wg__raise(wg_status code, const char *op, const char *format, ...) WG_PRINTF(3, 4);
WG_COLD wg_tensor *wg__fail(wg_status code, const char *op, const char *format, ...) WG_PRINTF(3, 4);
WG_COLD wg_status wg__no_memory(const char *op, size_t bytes);
/* For sinks: WG_OK, or the status of the unread error / of poison input. */
wg_status wg__sink_check(const char *sink, const wg_tensor *t);
#ifdef __clang_analyzer__ /* it looks at one file at a time, and must know what these return */
#define wg__raise(code, ...) ((void)wg__raise((code), __VA_ARGS__), (code))
#define wg__no_memory(op, bytes) ((void)wg__no_memory((op), (bytes)), WG_ERR_MEMORY)
#endif
/* 0, or non-zero when the host turned the warning into an error (then raised). */
int wg__warn(wg_warning category, const char *format, ...) WG_PRINTF(2, 3);
void wg__log(wg_log_level level, const char *format, ...) WG_PRINTF(2, 3);
bool wg__should_stop(void); /* asks the host; cheap when no hook is set */
/* The same, but asks the clock first: at most every 10 ms. */
bool wg__poll(void);
/* For loops over elements in the calling thread: asks at every 65536th. */
static inline bool wg__poll_at(int64_t i) { return WG_UNLIKELY((i & 0xffff) == 0xffff) && wg__poll(); }
struct wg_cold *wg__cold(void); /* NULL on no memory */

/* ---- call sites -------------------------------------------------------------------------------------------------- */

/* Composite public functions begin with WG_COMPOSITE: the ops they call then carry their caller's site. */
static inline void wg__unpin(void **saved) { wg__tls.site = *saved; }
#define WG_COMPOSITE                                                                                                   \
    void *wg_site_ __attribute__((cleanup(wg__unpin))) = wg__tls.site;                                                 \
    if (!wg_site_) wg__tls.site = wg__site(&wg__tls, WG_SITE)
extern void *(*wg__site_source)(void *here) __attribute__((visibility("hidden"))); /* a binding's, or NULL */
static inline void *wg__site(struct wg_tls *s, void *here) {
    if (s->site) return s->site;
    return WG_UNLIKELY(wg__site_source != NULL) ? wg__site_source(here) : here;
}

#endif
