/* tensor.c - blocks, handles and scopes: how memory of tensors is counted, shared and given back.
 *
 * Not here: elements' memory (alloc.c), what a tensor contains at birth (create.c), history (autograd/).
 *
 * Nothing here recurses: a handle that dies while another one is being destroyed waits in the thread's pending list,
 * so a chain of a million nodes is freed on any stack.
 */
#include "core/tensor.h"

#include <pthread.h>
#include <stdlib.h>

#include "autograd/node.h"
#include "core/alloc.h"
#include "core/fork.h"
#include "core/options.h"
#include "cpu/kernels.h"
#include "wengert/autograd.h"

__thread struct wg_tls wg__tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

static int64_t poison_dims[2];
wg_tensor wg__poison_tensor = {.refs = 1,
                               .block_refs = 1,
                               .dtype = WG_FLOAT32,
                               .flags = TF_POISON | TF_CONTIG,
                               .dims = poison_dims,
                               .vhome = &wg__poison_tensor};

static wg_binding binding;

/* ---- threads: every thread that made a tensor is known, so that counters can be read and lists returned ---------- */

#define FIRST_SCOPE 256 /* handles */

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wg_tls *threads;
static int64_t gone_tensors, gone_nodes; /* counts of threads that ended */
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool have_exit_key;

#ifdef NDEBUG
static void handle_block_free(struct wg_tls *s, wg_tensor *t) { wg__block_free(s, t); }
static void free_quarantine(struct wg_tls *s) { (void)s; }
#else
/* Debug builds keep dead handles for a while, marked and chained by numel, so that using one is noticed. */
enum { QUARANTINE = 512 };
static void free_oldest(struct wg_tls *s) {
    wg_tensor *old = s->oldest_dead;
    s->oldest_dead = (wg_tensor *)(intptr_t)old->numel;
    s->ndead--;
    wg__block_free(s, old);
}
static void handle_block_free(struct wg_tls *s, wg_tensor *t) {
    if (!s->scope) {
        wg__block_free(s, t);
        return;
    }
    t->flags = TF_POISON | TF_CLOSED;
    t->numel = 0;
    if (s->ndead)
        s->newest_dead->numel = (int64_t)(intptr_t)t;
    else
        s->oldest_dead = t;
    s->newest_dead = t;
    if (++s->ndead > QUARANTINE) free_oldest(s);
}
static void free_quarantine(struct wg_tls *s) {
    while (s->ndead) free_oldest(s);
}
#endif

static void free_scope(struct wg_tls *s) {
    wg__mfree(s->scope, s->scope_cap * sizeof(*s->scope));
    s->scope = NULL;
    s->scope_cap = 0;
}

/* Takes the thread off the list; what it still counts is added to those that ended. */
static void unlist(struct wg_tls *s) {
    gone_tensors += atomic_load_explicit(&s->live_tensors, memory_order_relaxed);
    gone_nodes += atomic_load_explicit(&s->live_nodes, memory_order_relaxed);
    atomic_store_explicit(&s->live_tensors, 0, memory_order_relaxed);
    atomic_store_explicit(&s->live_nodes, 0, memory_order_relaxed);
    for (struct wg_tls **p = &threads; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    s->listed = s->leaving = false;
}

static void leave(struct wg_tls *s) {
    wg_scope_close(0);
    free_scope(s);
    free_quarantine(s);
    wg__blocks_leave(s);
    s->most_free = 0;
}

/* Other keys' destructors may still release tensors: what they leave is looked at in a second round. */
static void thread_exit(void *arg) {
    struct wg_tls *s = arg;
    leave(s);
    if (!s->leaving && pthread_setspecific(exit_key, s) == 0) {
        s->leaving = true;
        return;
    }
    pthread_mutex_lock(&threads_lock);
    unlist(s);
    pthread_mutex_unlock(&threads_lock);
}

/* At the end of the process the main thread's lists go back too, so that leak checkers see only leaks. */
static void __attribute__((destructor)) process_exit(void) {
    struct wg_tls *s = &wg__tls;
    if (!s->listed) return;
    pthread_setspecific(exit_key, NULL);
    leave(s);
    wg__blocks_trim(s);
    unlist(s);
}

static void every_lock(int phase) {
    wg__around_fork(&threads_lock, phase);
    wg__blocks_fork(phase);
    wg__hooks_fork(phase);
    wg__duals_fork(phase);
    wg__walk_fork(phase);
    wg__print_fork(phase);
    wg__site_fork(phase);
}
static void fork_lock(void) { every_lock(WG_FORK_BEFORE); }
static void fork_unlock(void) { every_lock(WG_FORK_PARENT); }
/* The child has one thread: the others' counts stay as they were, their lists are lost to it. */
static void fork_child(void) {
    every_lock(WG_FORK_CHILD);
    struct wg_tls *self = &wg__tls;
    for (struct wg_tls *s = threads, *next; s; s = next) {
        next = s->next;
        if (s != self) unlist(s);
    }
}

static void make_exit_key(void) {
    have_exit_key = pthread_key_create(&exit_key, thread_exit) == 0;
    pthread_atfork(fork_lock, fork_unlock, fork_child);
}

bool wg__thread_enter(struct wg_tls *s) {
    if (s->scope) return true;
    pthread_once(&exit_once, make_exit_key);
    wg__cpu_init();
    if (!s->listed) {
        if (!have_exit_key || pthread_setspecific(exit_key, s)) return false;
        pthread_mutex_lock(&threads_lock);
        s->next = threads;
        threads = s;
        s->listed = true;
        pthread_mutex_unlock(&threads_lock);
    }
    s->scope = wg__malloc(FIRST_SCOPE * sizeof(*s->scope));
    s->scope_cap = s->scope ? FIRST_SCOPE : 0;
    s->most_free = s->scope ? wg__block_batch : 0;
    return s->scope != NULL;
}

void wg_memory_stats_get(wg_memory_stats *stats) {
    if (!stats || stats->size < WG_FIRST_wg_memory_stats) return;
    wg_memory_stats now = {0};
    wg__alloc_stats(&now.live_bytes, &now.peak_bytes, &now.cached_bytes);
    pthread_mutex_lock(&threads_lock);
    now.live_tensors = gone_tensors;
    now.live_nodes = gone_nodes;
    for (struct wg_tls *s = threads; s; s = s->next) {
        now.live_tensors += atomic_load_explicit(&s->live_tensors, memory_order_relaxed);
        now.live_nodes += atomic_load_explicit(&s->live_nodes, memory_order_relaxed);
    }
    pthread_mutex_unlock(&threads_lock);
    WG_FILL_STRUCT(stats, &now);
}

void wg_empty_cache(void) {
    struct wg_tls *s = &wg__tls;
    if (!s->scope_top) free_scope(s); /* also so that another host's allocator finds nothing of this one's */
    free_quarantine(s);
    wg__blocks_trim(s);
    wg__alloc_trim();
}

/* A thread that only releases what others made is not known: nobody would find its counts. */
static void count_unknown(int64_t *gone, int64_t d) {
    pthread_mutex_lock(&threads_lock);
    *gone += d;
    pthread_mutex_unlock(&threads_lock);
}
static inline void count_dead_tensor(struct wg_tls *s) {
    if (WG_LIKELY(s->listed))
        wg__count(&s->live_tensors, -1);
    else
        count_unknown(&gone_tensors, -1);
}
void wg__count_node(int d) {
    if (WG_LIKELY(wg__tls.listed))
        wg__count(&wg__tls.live_nodes, d);
    else
        count_unknown(&gone_nodes, d);
}

/* ---- making handles ---------------------------------------------------------------------------------------------- */

static bool place_dims(wg_tensor *t, int ndim) {
    t->ndim = (uint8_t)ndim;
    size_t bytes = (size_t)ndim * 16;
    if (bytes <= WG_INLINE_BYTES) {
        t->dims = (int64_t *)(void *)t->inline_;
        return true;
    }
    t->dims = wg__malloc(bytes);
    t->flags |= TF_HEAPDIMS;
    return t->dims != NULL;
}

static void init_handle(wg_tensor *t, wg_dtype dtype) {
    atomic_store_explicit(&t->refs, 1, memory_order_relaxed);
    t->dtype = (uint8_t)dtype;
    t->flags = 0;
    t->output_nr = 0;
    t->grad_fn = NULL;
    t->meta = NULL;
    t->slot = NULL;
}

static bool place_data(wg_tensor *t, size_t bytes) {
    size_t used = (t->flags & TF_HEAPDIMS) ? 0 : (size_t)t->ndim * 16;
    t->own.bytes = bytes;
    if (bytes <= WG_INLINE_BYTES - used) {
        t->own.data = t->inline_ + used;
        t->own.flags = SF_INLINE;
        return true;
    }
    t->own.flags = 0;
    t->own.data = wg__alloc(bytes);
    return t->own.data != NULL;
}

static void own_storage(wg_tensor *t) {
    atomic_store_explicit(&t->own.refs, 1, memory_order_relaxed);
    atomic_store_explicit(&t->block_refs, 2, memory_order_relaxed);
    t->own.device_type = WG_CPU;
    t->own.device_index = 0;
    t->own.foreign = NULL;
    t->storage = &t->own;
    t->data = t->own.data;
    t->vhome = t;
}

static void fresh_version_cell(wg_tensor *t) {
    atomic_store_explicit(&t->version.version, 0, memory_order_relaxed);
    t->version.site = NULL;
}

/* Elements the storage must hold; -1 when a size or the reach overflows. */
static int64_t reach(int ndim, const int64_t *sizes, const int64_t *strides, int64_t numel) {
    if (!strides || numel <= 0) return numel;
    int64_t last = 0;
    for (int i = 0; i < ndim; i++) {
        int64_t step;
        if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &step) || __builtin_add_overflow(last, step, &last))
            return -1;
    }
    return last + 1;
}

/* What has room in its block, with dims, data and flags to be filled in. */
static inline wg_tensor *new_inline(struct wg_tls *s, wg_dtype dtype, int ndim, int64_t numel, size_t bytes) {
    wg_tensor *t = wg__block_new(s);
    if (WG_UNLIKELY(!t)) return NULL;
    init_handle(t, dtype);
    t->flags = TF_CONTIG;
    t->ndim = (uint8_t)ndim;
    t->numel = numel;
    t->dims = (int64_t *)(void *)t->inline_;
    t->own.bytes = bytes;
    t->own.data = t->inline_ + (size_t)ndim * 16;
    t->own.flags = SF_INLINE;
    own_storage(t);
    fresh_version_cell(t);
    wg__count(&s->live_tensors, 1);
    return t;
}

/* A number, or a row-major matrix of a handful of elements, none of its sizes 0: nothing overflows, all is in the
 * block. */
static bool is_tiny(int ndim, const int64_t *sizes, const int64_t *strides) {
    enum { MOST = WG_INLINE_BYTES - 32 }; /* of bytes elements */
    if (ndim == 0) return true;
    return ndim == 2 && !strides && (uint64_t)sizes[0] - 1 < MOST && (uint64_t)sizes[1] - 1 < MOST;
}

wg_tensor *wg__tensor_new(wg_dtype dtype, int ndim, const int64_t *sizes, const int64_t *strides) {
    struct wg_tls *s = &wg__tls;
    if (is_tiny(ndim, sizes, strides)) {
        int64_t n = ndim ? sizes[0] * sizes[1] : 1;
        size_t item = wg__dtype_bytes[dtype & 31], room = WG_INLINE_BYTES - (size_t)ndim * 16;
        if ((size_t)n * item <= room) {
            wg_tensor *t = new_inline(s, dtype, ndim, n, (size_t)n * item);
            if (t && ndim) memcpy(t->dims, (int64_t[]){sizes[0], sizes[1], sizes[1], 1}, 32);
            return t;
        }
    }
    int64_t numel = wg__numel(ndim, sizes), elements = reach(ndim, sizes, strides, numel);
    size_t bytes;
    if (numel < 0 || elements < 0 || __builtin_mul_overflow((size_t)elements, wg_dtype_size(dtype), &bytes) ||
        bytes > (size_t)INT64_MAX) {
        char text[256];
        wg__raise(WG_ERR_RUNTIME, NULL,
                  "Storage size calculation overflowed with sizes=%s. The shape asks for more bytes than can "
                  "be addressed",
                  wg__sizes_text(text, sizeof(text), ndim, sizes));
        return NULL;
    }
    wg_tensor *t = wg__block_new(s);
    if (!t) return NULL;
    init_handle(t, dtype);
    t->numel = numel;
    if (!place_dims(t, ndim)) goto no_memory;
    if (ndim) memcpy(t->dims, sizes, (size_t)ndim * 8);
    if (strides) {
        memcpy(t->dims + ndim, strides, (size_t)ndim * 8);
        if (wg__is_row_major(ndim, sizes, strides)) t->flags |= TF_CONTIG;
    } else {
        wg__row_major(ndim, sizes, t->dims + ndim);
        t->flags |= TF_CONTIG;
    }
    if (!place_data(t, bytes)) goto no_memory;
    own_storage(t);
    fresh_version_cell(t);
    wg__count(&s->live_tensors, 1);
    return t;
no_memory:
    if (t->flags & TF_HEAPDIMS && t->dims) wg__mfree(t->dims, (size_t)ndim * 16);
    wg__block_free(s, t);
    wg__no_memory(NULL, bytes);
    return NULL;
}

/* Small results of small operands are most of what small programs make: nothing to check, everything in one block. */
wg_tensor *wg__tensor_like(const wg_tensor *x, wg_dtype dtype) {
    enum { SMALL_NDIM = 2 };
    size_t bytes = (size_t)x->numel * wg__dtype_bytes[dtype & 31], used = (size_t)x->ndim * 16;
    struct wg_tls *s = &wg__tls;
    if (x->ndim > SMALL_NDIM || bytes > WG_INLINE_BYTES - used || !s->free_blocks)
        return wg__tensor_new(dtype, x->ndim, x->dims, NULL);
    wg_tensor *t = new_inline(s, dtype, x->ndim, x->numel, bytes);
    if (WG_LIKELY((char *)x->dims == x->inline_))
        memcpy(t->inline_, x->inline_, SMALL_NDIM * 16);
    else if (x->ndim)
        memcpy(t->inline_, x->dims, used);
    return t;
}

/* A copy of one number from a caller's frame. */
static wg_tensor *copy_number(const wg_tensor *t) {
    wg_tensor *c = wg__tensor_new((wg_dtype)t->dtype, 0, NULL, NULL);
    if (!c) return NULL;
    memcpy(c->data, t->data, wg__itemsize(t));
    c->flags |= t->flags & TF_NUMBER;
    return c;
}

wg_tensor *wg__retain_safe(wg_tensor *t) {
    if (WG_UNLIKELY(t->flags & TF_STACK)) return copy_number(t);
    return wg__retain(t);
}

/* Uses t's version cell: the storage that we hold keeps its block alive unless it lives elsewhere. */
static void share_version(wg_tensor *a, const wg_tensor *t) {
    a->vhome = t->vhome;
    if (a->vhome != wg__home(a->storage)) {
        wg__inc(&a->vhome->block_refs);
        a->flags |= TF_VSEP;
    }
}

wg_tensor *wg__alias(const wg_tensor *t, int ndim, const int64_t *sizes, const int64_t *strides, int64_t offset,
                     bool fresh_version) {
    if (t->flags & TF_BATCHED) return wg__batched_alias(t); /* its geometry is always the handle's own */
    if (t->flags & TF_STACK) {
        wg_tensor *c = copy_number(t);
        wg_tensor *a = c ? wg__alias(c, ndim, sizes, strides, offset, fresh_version) : NULL;
        if (c) wg_release(c);
        return a;
    }
    int64_t numel = wg__numel(ndim, sizes);
    if (numel < 0) { /* expanded: each size is fine, their product is not */
        wg__raise(WG_ERR_RUNTIME, NULL,
                  "numel: integer multiplication overflow. The shape has more than 2^63 - 1 elements");
        return NULL;
    }
    struct wg_tls *s = &wg__tls;
    wg_tensor *a = wg__block_new(s);
    if (!a) return NULL;
    init_handle(a, (wg_dtype)t->dtype);
    if (!place_dims(a, ndim)) {
        wg__block_free(s, a);
        wg__no_memory(NULL, (size_t)ndim * 16);
        return NULL;
    }
    if (ndim) {
        memcpy(a->dims, sizes, (size_t)ndim * 8);
        memcpy(a->dims + ndim, strides, (size_t)ndim * 8);
    }
    a->numel = numel;
    if (wg__is_row_major(ndim, sizes, strides)) a->flags |= TF_CONTIG;
    atomic_store_explicit(&a->own.refs, 0, memory_order_relaxed);
    atomic_store_explicit(&a->block_refs, 1, memory_order_relaxed);
    a->storage = t->storage;
    wg__inc(&a->storage->refs);
    a->data = t->data ? t->data + offset * (int64_t)wg__itemsize(t) : NULL;
    if (fresh_version) {
        a->vhome = a;
        fresh_version_cell(a);
    } else {
        share_version(a, t);
    }
    wg__count(&s->live_tensors, 1);
    return a;
}

wg_meta *wg__meta(wg_tensor *t) {
    _Static_assert(sizeof(wg_meta) <= sizeof(wg_tensor), "a meta fits a block");
    if (t->meta) return t->meta;
    wg_meta *m = wg__block_new(&wg__tls);
    if (!m) return NULL;
    memset(m, 0, sizeof(*m));
    atomic_store_explicit(&m->lock, false, memory_order_relaxed); /* nobody sees it yet */
    return t->meta = m;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

static void block_unref(struct wg_tls *s, wg_tensor *block) {
    if (wg__dec(&block->block_refs)) handle_block_free(s, block);
}

static void storage_unref(struct wg_tls *s, wg_storage *st) {
    if (!wg__dec(&st->refs)) return;
    if (st->foreign) {
        struct wg_foreign *f = st->foreign;
        if (f->release) f->release(f->user);
        wg__mfree(f, sizeof(*f));
    } else if (!(st->flags & SF_INLINE)) {
        wg__free(st->data, st->bytes);
    }
    block_unref(s, wg__home(st));
}

static void forget_retained(wg_tensor *t) {
    wg_node_cold *cold = t->grad_fn ? t->grad_fn->cold : NULL;
    if (cold && cold->retaining && cold->retaining[t->output_nr] == t) cold->retaining[t->output_nr] = NULL;
}

static void destroy_meta(wg_tensor *t) {
    wg_meta *m = t->meta;
    if (t->flags & TF_DUAL) wg__tangents_drop(t);
    wg_node *accum = atomic_load_explicit(&m->accum, memory_order_acquire);
    if (accum) wg__accumulator_free(accum);
    wg__hooks_free(m->post_accumulate);
    if (m->grad) wg_release(m->grad);
    if (m->base) wg_release(m->base);
    if (m->batch_value) wg_release(m->batch_value);
    free(m->name);
    wg__block_free(&wg__tls, m);
    t->meta = NULL;
}

static void destroy_tensor(struct wg_tls *s, wg_tensor *t) {
    if (WG_UNLIKELY(t->flags & TF_RETAINS)) forget_retained(t);
    if (t->grad_fn) wg__node_release(t->grad_fn);
    if (t->meta) destroy_meta(t);
    if (t->slot && binding.tensor_released) binding.tensor_released(t->slot);
    if (t->flags & TF_HEAPDIMS) wg__mfree(t->dims, t->ndim ? (size_t)t->ndim * 16 : 16);
    if (t->flags & TF_VSEP) block_unref(s, t->vhome);
    if (t->storage) storage_unref(s, t->storage);
    count_dead_tensor(s);
    block_unref(s, t);
}

/* The usual death: nothing but the handle refers to the block any more. */
static inline bool dies_alone(const wg_tensor *t) {
    uintptr_t more = (uintptr_t)t->meta | (uintptr_t)t->slot | (uintptr_t)t->own.foreign |
                     ((uintptr_t)t->storage ^ (uintptr_t)&t->own) | (t->flags & (TF_HEAPDIMS | TF_VSEP | TF_RETAINS));
    return !more && atomic_load_explicit(&t->own.refs, memory_order_acquire) == 1 &&
           atomic_load_explicit(&t->block_refs, memory_order_acquire) == 2;
}

/* Nothing is left to do than to note it and to put the block back; not in debug builds, which keep the dead. */
static inline bool dies_quietly(const struct wg_tls *s, const wg_tensor *t) {
#ifdef NDEBUG
    return dies_alone(t) && (t->own.flags & SF_INLINE) && s->listed && s->nfree + 1 < s->most_free;
#else
    (void)s, (void)t;
    return false;
#endif
}

static void drain(struct wg_tls *s) {
    s->in_release = 1;
    while (s->pending) {
        wg_tensor *t = s->pending;
        s->pending = (void *)(intptr_t)t->numel;
        destroy_tensor(s, t);
    }
    s->in_release = 0;
}

static void __attribute__((noinline)) die(struct wg_tls *s, wg_tensor *t) {
    if (dies_alone(t)) {
        wg_node *history = t->grad_fn;
        if (!(t->own.flags & SF_INLINE)) wg__free(t->own.data, t->own.bytes);
        count_dead_tensor(s);
        handle_block_free(s, t);
        if (history) wg__node_release(history);
        return;
    }
    t->numel = (int64_t)(intptr_t)s->pending;
    s->pending = t;
    if (!s->in_release) drain(s);
}

void wg__tensor_dead(wg_tensor *t) {
    struct wg_tls *s = &wg__tls;
    if (WG_UNLIKELY(!dies_quietly(s, t))) {
        die(s, t);
        return;
    }
    wg_node *history = t->grad_fn;
    wg__count(&s->live_tensors, -1);
    wg__block_push(s, t);
    if (history) wg__node_release(history);
}

wg_tensor *wg_keep(wg_tensor *t) {
    if (!t || (t->flags & TF_POISON)) return t;
    return wg__retain(t);
}

void wg_release(wg_tensor *t) {
    if (t && !(t->flags & (TF_POISON | TF_STACK))) wg__tensor_release(t);
}

uint32_t wg_owner_count(const wg_tensor *t) {
    return t ? atomic_load_explicit(&((wg_tensor *)(uintptr_t)t)->refs, memory_order_relaxed) : 0;
}

wg_status wg_set_binding(const wg_binding *b) {
    if (!b) {
        binding = (wg_binding){0};
        return WG_OK;
    }
    if (WG_CHECK_STRUCT(wg_binding, b, "set_binding") != WG_OK) return WG_ERR_VALUE;
    WG_COPY_STRUCT(&binding, b);
    return WG_OK;
}
void wg__node_slot_released(void *object) {
    if (binding.node_released) binding.node_released(object);
}
void *wg_slot(const wg_tensor *t) { return t ? t->slot : NULL; }
void wg_set_slot(wg_tensor *t, void *object) {
    if (t && wg__ok(t)) t->slot = object;
}

/* ---- scopes: a stack of handles. A scope begins with an odd entry that holds where the one before it began ------- */

#define MARK(at) ((wg_tensor *)(((uintptr_t)(at) << 1) | 1))
#define IS_MARK(p) (((uintptr_t)(p)) & 1)

static bool grow(struct wg_tls *s) {
    size_t cap = s->scope ? s->scope_cap * 2 : FIRST_SCOPE, bytes = cap * sizeof(*s->scope);
    if (!s->scope && wg__thread_enter(s)) return true;
    wg_tensor **bigger = s->scope ? wg__malloc(bytes) : NULL;
    if (!bigger) {
        wg__no_memory("scope", bytes);
        return false;
    }
    memcpy(bigger, s->scope, s->scope_top * sizeof(*bigger));
    wg__mfree(s->scope, s->scope_cap * sizeof(*bigger));
    s->scope = bigger;
    s->scope_cap = cap;
    return true;
}

#ifndef NDEBUG
#define ROOT_WARNING 100000
static void warn_root(struct wg_tls *s) {
    for (size_t i = 0; i < s->scope_top; i++)
        if (IS_MARK(s->scope[i])) return;
    wg__log(WG_LOG_WARN,
            "the root scope holds %d results: a loop without WG_SCOPE keeps every temporary until its thread ends",
            ROOT_WARNING);
}
#endif

wg_tensor *wg__scope_push_slow(wg_tensor *t) {
    struct wg_tls *s = &wg__tls;
    if (WG_UNLIKELY(s->scope_top >= s->scope_cap) && !grow(s)) {
        wg_release(t);
        return WG_POISON;
    }
#ifndef NDEBUG
    if (s->scope_top == ROOT_WARNING) warn_root(s);
#endif
    s->scope[s->scope_top++] = t;
    return t;
}

size_t wg_scope_open(void) {
    struct wg_tls *s = &wg__tls;
    if (WG_UNLIKELY(s->scope_top >= s->scope_cap) && !grow(s)) return s->scope_top + 1;
    s->scope[s->scope_top++] = MARK(0);
    return s->scope_top; /* never 0: closing 0 empties the root scope, at thread exit */
}

void wg__scope_trim(struct wg_tls *s, size_t top) {
    enum { AHEAD = 8 }; /* a long scope's first results are far away */
    while (s->scope_top > top) {
        wg_tensor *t = s->scope[--s->scope_top];
        if (s->scope_top > AHEAD) {
            const char *later = (const char *)s->scope[s->scope_top - AHEAD];
            __builtin_prefetch(later, 1);
            __builtin_prefetch(later + 64, 1);
        }
        if (t && !IS_MARK(t)) wg__tensor_release(t);
    }
}

size_t wg_scope_close(size_t mark) {
    wg__scope_trim(&wg__tls, mark ? mark - 1 : 0);
    return 0;
}

wg_tensor *wg__take(wg_tensor *t) {
    struct wg_tls *s = &wg__tls;
    if (!t || (t->flags & TF_POISON)) return t;
    if (WG_LIKELY(s->scope_top && s->scope[s->scope_top - 1] == t)) {
        s->scope_top--;
        return t;
    }
    for (size_t i = s->scope_top; i-- > 0 && !IS_MARK(s->scope[i]);)
        if (s->scope[i] == t) {
            s->scope[i] = NULL;
            return t;
        }
    return wg__retain_safe(t);
}
wg_tensor *wg_take(wg_tensor *t) { return wg__take(t); }
wg_tensor *wg_give(wg_tensor *t) {
    if (!t || (t->flags & TF_POISON)) return t;
    return wg__scope_push(t);
}

void wg__bump(wg_tensor *t, void *site) {
    atomic_fetch_add_explicit(&t->vhome->version.version, 1, memory_order_relaxed);
    __atomic_store_n(&t->vhome->version.site, site, __ATOMIC_RELAXED);
}

/* ---- data = : one identity, another storage ---------------------------------------------------------------------- */

/* Our version cell may have been kept alive by the storage that we leave: from now on it is held by itself. */
static void keep_version(wg_tensor *t, const wg_storage *next) {
    wg_tensor *home = t->vhome;
    bool need = home != t && home != wg__home(next), have = (t->flags & TF_VSEP) != 0;
    if (need && !have) {
        wg__inc(&home->block_refs);
        t->flags |= TF_VSEP;
    }
}

wg_status wg__swap_storage(wg_tensor *t, const wg_tensor *source) {
    struct wg_tls *s = &wg__tls;
    size_t bytes = (size_t)source->ndim * 16;
    /* t's inline space may hold elements that views still read: sizes move out unless they fit where they are. */
    int64_t *dims = t->dims;
    if (source->ndim != t->ndim) {
        dims = wg__malloc(bytes ? bytes : 16);
        if (!dims) return wg__no_memory("data", bytes);
        if (t->flags & TF_HEAPDIMS) wg__mfree(t->dims, t->ndim ? (size_t)t->ndim * 16 : 16);
        t->flags |= TF_HEAPDIMS;
    }
    if (bytes) memmove(dims, source->dims, bytes);
    keep_version(t, source->storage);
    wg_storage *old = t->storage;
    wg__inc(&source->storage->refs);
    t->dims = dims;
    t->ndim = source->ndim;
    t->numel = source->numel;
    t->dtype = source->dtype;
    t->data = source->data;
    t->storage = source->storage;
    t->flags = (uint16_t)((t->flags & ~TF_CONTIG) | (source->flags & TF_CONTIG));
    storage_unref(s, old);
    return WG_OK;
}

/* A handle without elements of its own: one sample of value, whose version cell it uses. For batch.c. */
wg_tensor *wg__tensor_new_batched(wg_dtype dtype, int ndim, const int64_t *sizes, const wg_tensor *value) {
    struct wg_tls *s = &wg__tls;
    wg_tensor *t = wg__block_new(s);
    if (!t) return NULL;
    init_handle(t, dtype);
    if (!place_dims(t, ndim)) {
        wg__block_free(s, t);
        wg__no_memory(NULL, (size_t)ndim * 16);
        return NULL;
    }
    if (ndim) memcpy(t->dims, sizes, (size_t)ndim * 8);
    wg__row_major(ndim, sizes, t->dims + ndim);
    t->numel = wg__numel(ndim, sizes);
    atomic_store_explicit(&t->own.refs, 0, memory_order_relaxed);
    atomic_store_explicit(&t->block_refs, 1, memory_order_relaxed);
    t->storage = NULL;
    t->data = NULL;
    t->vhome = value->vhome;
    wg__inc(&t->vhome->block_refs);
    t->flags |= TF_BATCHED | TF_VSEP;
    wg__count(&s->live_tensors, 1);
    return t;
}
