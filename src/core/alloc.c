/* alloc.c - where memory comes from: size classes, a small cache per thread, one shared cache behind a lock, the host.
 *
 * Fresh pages cost more than most kernels (2 GB/s against 20 in reused memory), so freed blocks are kept, up to
 * WENGERT_CACHE_MB. Blocks of up to 4 KiB pass through a cache of the thread without a lock. Blocks of 2 MiB and more
 * are mapped at huge-page boundaries, which makes even fresh ones five to ten times cheaper.
 *
 * Not here: handles and nodes, which have their own free lists (tensor.c).
 */
#include "core/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Under AddressSanitizer nothing is kept or rounded, so that it sees each block's bounds and life. */
#if defined(__SANITIZE_ADDRESS__)
#define CACHING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHING 0
#endif
#endif
#ifndef CACHING
#define CACHING 1
#endif

/* ---- size classes: 64-byte steps up to 512 bytes, then four per doubling ----------------------------------------- */

enum {
    ALIGNMENT = 64,
    FINE_CLASSES = 8,
    SMALL_MAX = 4096,
    SMALL_CLASSES = FINE_CLASSES + 4 * 3, /* up to SMALL_MAX */
    MAX_SHIFT = 40,                       /* above 1 TiB nothing is kept */
    CLASSES = FINE_CLASSES + 4 * (MAX_SHIFT - 9),
    FLUSH_BYTES = 256 << 10, /* a thread's count may run ahead of the shared one by this much */
};
#define HUGE_BYTES ((size_t)2 << 20)
/* No machine has more; AddressSanitizer ends the process when it is asked for a terabyte. */
#define MOST_BYTES ((size_t)1 << (CACHING ? 47 : 39))

static const uint16_t small_bytes[SMALL_CLASSES] = {64,  128,  192,  256,  320,  384,  448,  512,  640,  768,
                                                    896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096};
/* Class by 64-byte lines, for up to 64 lines. */
static const uint8_t small_class[SMALL_MAX / 64 + 1] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  8,  9,  9,  10, 10, 11, 11, 12, 12, 12, 12, 13,
    13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17,
    17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19,
};

/* For bytes > SMALL_MAX: the class, or CLASSES when there is none; *rounded is the block's size. */
static int big_class(size_t bytes, size_t *rounded) {
    int shift = 63 - __builtin_clzll((unsigned long long)bytes - 1); /* 2^shift < bytes <= 2^(shift + 1) */
    if (shift >= MAX_SHIFT) {
        *rounded = bytes;
        return CLASSES;
    }
    size_t step = (size_t)1 << (shift - 2), part = (bytes - 1 - ((size_t)1 << shift)) / step;
    *rounded = ((size_t)1 << shift) + (part + 1) * step;
    return FINE_CLASSES + 4 * (shift - 9) + (int)part;
}

static int class_of(size_t bytes, size_t *rounded) {
    if (bytes > SMALL_MAX) return big_class(bytes, rounded);
    int c = small_class[(bytes + 63) / 64];
    *rounded = small_bytes[c];
    return c;
}

static size_t class_bytes(int c) {
    if (c < SMALL_CLASSES) return small_bytes[c];
    int shift = 9 + (c - FINE_CLASSES) / 4, part = (c - FINE_CLASSES) % 4;
    return ((size_t)1 << shift) + (size_t)(part + 1) * ((size_t)1 << (shift - 2));
}

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static struct {
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    void (*deallocate)(void *user, void *p, size_t bytes);
    void *user;
} host;
static _Atomic int64_t requests;
static _Atomic int64_t fail_in = -1;

void wg__alloc_fail_at(int64_t n) { atomic_store(&fail_in, n); }
int64_t wg__alloc_requests(void) { return atomic_load_explicit(&requests, memory_order_relaxed); }

/* Counts one request; false when it is absurd or a test wants it to fail. */
static bool count_request(size_t bytes) {
    if (UNLIKELY(bytes > MOST_BYTES)) return false;
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    if (LIKELY(atomic_load_explicit(&fail_in, memory_order_relaxed) < 0)) return true;
    return atomic_fetch_sub(&fail_in, 1) != 0;
}

#if defined(__linux__) && CACHING
#define MAPS_BIG 1
static size_t page_round(size_t bytes) { return (bytes + 4095) & ~(size_t)4095; }

/* Maps bytes at a huge-page boundary: maps one huge page more and cuts both ends off. */
static void *map_big(size_t bytes) {
    size_t n = page_round(bytes), all = n + HUGE_BYTES;
    char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t head = (HUGE_BYTES - ((uintptr_t)p & (HUGE_BYTES - 1))) & (HUGE_BYTES - 1);
    if (head) munmap(p, head);
    if (all - head > n) munmap(p + head + n, all - head - n);
    madvise(p + head, n, MADV_HUGEPAGE); /* a wish: nothing is lost when it fails */
    return p + head;
}
#else
#define MAPS_BIG 0
#endif

static void *host_allocate(size_t bytes) {
    if (host.allocate) return host.allocate(host.user, bytes, ALIGNMENT);
#if MAPS_BIG
    if (bytes >= HUGE_BYTES) return map_big(bytes);
#endif
    void *p;
    return posix_memalign(&p, ALIGNMENT, bytes ? bytes : 1) ? NULL : p;
}

static void host_deallocate(void *p, size_t bytes) {
    if (host.deallocate) {
        host.deallocate(host.user, p, bytes);
        return;
    }
#if MAPS_BIG
    if (bytes >= HUGE_BYTES) {
        munmap(p, page_round(bytes));
        return;
    }
#endif
    free(p);
}

void *wg__raw_alloc(size_t bytes) { return count_request(bytes) ? host_allocate(bytes) : NULL; }
void wg__raw_free(void *p, size_t bytes) { host_deallocate(p, bytes); }

void *wg__malloc(size_t bytes) {
    if (UNLIKELY(!count_request(bytes))) return NULL;
    if (UNLIKELY(host.allocate != NULL)) return host.allocate(host.user, bytes, _Alignof(max_align_t));
    return malloc(bytes ? bytes : 1);
}

void *wg__calloc(size_t bytes) {
    void *p = wg__malloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *wg__calloc_own(size_t bytes) { return count_request(bytes) ? calloc(1, bytes) : NULL; }

void wg__mfree(void *p, size_t bytes) {
    if (!p) return;
    if (UNLIKELY(host.deallocate != NULL))
        host.deallocate(host.user, p, bytes);
    else
        free(p);
}

/* ---- the caches -------------------------------------------------------------------------------------------------- */

/* A free block; the link lies in the block itself. */
typedef struct block {
    struct block *next;
} block;

/* What one thread keeps. Counters are written by their thread only and read by others. */
typedef struct thread_cache {
    block *list[SMALL_CLASSES];
    _Atomic uint32_t count[SMALL_CLASSES];
    _Atomic int64_t delta, high; /* live bytes not yet in shared.live, and their highest value since the last flush */
    struct thread_cache *next;
} thread_cache;

static struct {
    pthread_mutex_t lock;
    block *list[CLASSES];
    uint32_t count[CLASSES];
    size_t cached, limit;
    bool has_limit;
    int64_t live, peak;
    thread_cache *threads;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct alloc_tls {
    thread_cache *cache;
};
static __thread struct alloc_tls tls __attribute__((tls_model("initial-exec")));
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

static void lock(void) { pthread_mutex_lock(&shared.lock); }
static void unlock(void) { pthread_mutex_unlock(&shared.lock); }

/* A number in a file, or 0. */
static unsigned long long number_in(const char *path) {
    unsigned long long v = 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%llu", &v) != 1) v = 0; /* "max" */
    fclose(f);
    return v;
}

static size_t ram_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    unsigned long long ram = pages > 0 && page > 0 ? (unsigned long long)pages * (unsigned long long)page : SIZE_MAX;
    unsigned long long group = number_in("/sys/fs/cgroup/memory.max");
    if (!group) group = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    return (size_t)(group && group < ram ? group : ram);
}

static size_t cache_limit(void) {
    const char *text = getenv("WENGERT_CACHE_MB");
    if (text && *text) {
        char *end;
        errno = 0;
        unsigned long long mb = strtoull(text, &end, 10);
        if (!errno && !*end && *text != '-' && mb < (SIZE_MAX >> 21)) return (size_t)mb << 20;
    }
    size_t most = ram_bytes() / 4, usual = (size_t)1024 << 20;
    return usual < most ? usual : most;
}

/* Moves a thread's count of live bytes into the shared one. Under the lock. */
static void flush_count(thread_cache *t) {
    int64_t high = shared.live + LOAD(t->high);
    if (high > shared.peak) shared.peak = high;
    shared.live += LOAD(t->delta);
    STORE(t->delta, 0);
    STORE(t->high, 0);
}

static void add_live(thread_cache *t, int64_t bytes) {
    if (!t) { /* a thread without a cache: no memory for one, or already past its end */
        lock();
        shared.live += bytes;
        if (shared.live > shared.peak) shared.peak = shared.live;
        unlock();
        return;
    }
    int64_t d = LOAD(t->delta) + bytes;
    STORE(t->delta, d);
    if (d > LOAD(t->high)) STORE(t->high, d);
    if (UNLIKELY(d > FLUSH_BYTES || d < -FLUSH_BYTES)) {
        lock();
        flush_count(t);
        unlock();
    }
}

/* Takes a block that does not fit out of the shared cache, largest class first. Under the lock; NULL: nothing left. */
static block *evict(int *c) {
    while (*c >= 0 && !shared.list[*c]) --*c;
    if (*c < 0) return NULL;
    block *b = shared.list[*c];
    shared.list[*c] = b->next;
    shared.count[*c]--;
    shared.cached -= class_bytes(*c);
    return b;
}

/* Empties the shared cache down to keep bytes; returns what was given back. The host is called outside the lock. */
static size_t shrink(size_t keep) {
    size_t freed = 0;
    for (int c = CLASSES - 1;;) {
        lock();
        block *b = shared.cached > keep ? evict(&c) : NULL;
        unlock();
        if (!b) return freed;
        host_deallocate(b, class_bytes(c));
        freed += class_bytes(c);
    }
}

/* A chain of n blocks of class c joins the shared cache. */
static void share(int c, block *first, block *last, uint32_t n) {
    lock();
    if (!shared.has_limit) {
        shared.limit = cache_limit();
        shared.has_limit = true;
    }
    last->next = shared.list[c];
    shared.list[c] = first;
    shared.count[c] += n;
    shared.cached += n * class_bytes(c);
    bool over = shared.cached > shared.limit;
    size_t limit = shared.limit;
    unlock();
    if (over) shrink(limit);
}

static block *unshare(int c) {
    lock();
    block *b = shared.list[c];
    if (b) {
        shared.list[c] = b->next;
        shared.count[c]--;
        shared.cached -= class_bytes(c);
    }
    unlock();
    return b;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* How many blocks of a class a thread keeps. */
static uint32_t thread_limit(int c) { return (uint32_t)(65536 / small_bytes[c]); }

/* Hands n blocks of the thread's class c to the shared cache. */
static void spill(thread_cache *t, int c, uint32_t n) {
    if (!n) return;
    block *first = t->list[c], *last = first;
    for (uint32_t i = 1; i < n; i++) last = last->next;
    t->list[c] = last->next;
    STORE(t->count[c], LOAD(t->count[c]) - n);
    share(c, first, last, n);
}

static void spill_all(thread_cache *t) {
    for (int c = 0; c < SMALL_CLASSES; c++) spill(t, c, LOAD(t->count[c]));
}

static void thread_exit(void *arg) {
    thread_cache *t = arg;
    tls.cache = NULL;
    spill_all(t);
    lock();
    flush_count(t);
    for (thread_cache **p = &shared.threads; *p; p = &(*p)->next)
        if (*p == t) {
            *p = t->next;
            break;
        }
    unlock();
    free(t);
}

static void fork_prepare(void) { lock(); }
static void fork_parent(void) { unlock(); }
static void fork_child(void) { pthread_mutex_init(&shared.lock, NULL); }

static void set_up(void) {
    have_key = !pthread_key_create(&exit_key, thread_exit);
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* This thread's cache, made on first need; NULL when that is not possible. Memory from malloc: the cache outlives a
 * change of the host's functions. */
static thread_cache *thread_enter(void) {
    pthread_once(&once, set_up);
    thread_cache *t = have_key ? wg__calloc_own(sizeof(*t)) : NULL;
    if (!t) return NULL;
    if (pthread_setspecific(exit_key, t)) {
        free(t);
        return NULL;
    }
    lock();
    t->next = shared.threads;
    shared.threads = t;
    unlock();
    return tls.cache = t;
}

/* ---- the front door ---------------------------------------------------------------------------------------------- */

/* From the host; when it refuses, once more after everything kept was given back. */
static void *fresh(size_t bytes) {
    if (!count_request(bytes)) return NULL;
    void *p = host_allocate(bytes);
    if (LIKELY(p != NULL)) return p;
    if (tls.cache) spill_all(tls.cache);
    return shrink(0) ? host_allocate(bytes) : NULL;
}

static void *alloc_slow(size_t bytes) {
    thread_cache *t = tls.cache ? tls.cache : thread_enter();
    size_t rounded = bytes;
    void *p = NULL;
    if (CACHING) {
        int c = class_of(bytes, &rounded);
        if (c < CLASSES) p = unshare(c);
    }
    if (!p) p = fresh(rounded);
    if (p) add_live(t, (int64_t)bytes);
    return p;
}

void *wg__alloc(size_t bytes) {
    thread_cache *t = tls.cache;
    if (CACHING && LIKELY(bytes <= SMALL_MAX && t)) {
        int c = small_class[(bytes + 63) / 64];
        block *b = t->list[c];
        if (LIKELY(b != NULL)) {
            t->list[c] = b->next;
            STORE(t->count[c], LOAD(t->count[c]) - 1);
            add_live(t, (int64_t)bytes);
            return b;
        }
    }
    return alloc_slow(bytes);
}

static void free_slow(void *p, size_t bytes) {
    thread_cache *t = tls.cache ? tls.cache : thread_enter();
    add_live(t, -(int64_t)bytes);
    size_t rounded = bytes;
    int c = CACHING ? class_of(bytes, &rounded) : CLASSES;
    if (c < CLASSES)
        share(c, p, p, 1);
    else
        host_deallocate(p, rounded);
}

void wg__free(void *p, size_t bytes) {
    if (!p) return;
    thread_cache *t = tls.cache;
    if (!(CACHING && LIKELY(bytes <= SMALL_MAX && t))) {
        free_slow(p, bytes);
        return;
    }
    int c = small_class[(bytes + 63) / 64];
    uint32_t n = LOAD(t->count[c]);
    if (UNLIKELY(n >= thread_limit(c))) {
        spill(t, c, n / 2);
        n -= n / 2;
    }
    block *b = p;
    b->next = t->list[c];
    t->list[c] = b;
    STORE(t->count[c], n + 1);
    add_live(t, -(int64_t)bytes);
}

/* ---- settings and counters --------------------------------------------------------------------------------------- */

void wg__alloc_trim(void) {
    if (tls.cache) spill_all(tls.cache);
    shrink(0);
}

void wg__alloc_set_host(void *(*allocate)(void *user, size_t bytes, size_t alignment),
                        void (*deallocate)(void *user, void *p, size_t bytes), void *user) {
    wg__alloc_trim();
    host.allocate = allocate;
    host.deallocate = deallocate;
    host.user = user;
}

/* Live bytes and their peak over all threads, brought up to date. Under the lock. */
static int64_t count_live(void) {
    int64_t live = shared.live, high = live;
    for (thread_cache *t = shared.threads; t; t = t->next) live += LOAD(t->delta);
    for (thread_cache *t = shared.threads; t; t = t->next) {
        int64_t one = live - LOAD(t->delta) + LOAD(t->high);
        if (one > high) high = one;
    }
    if (high > shared.peak) shared.peak = high;
    return live;
}

void wg__alloc_stats(size_t *live, size_t *peak, size_t *cached) {
    lock();
    int64_t n = count_live();
    *live = n > 0 ? (size_t)n : 0;
    *peak = shared.peak > 0 ? (size_t)shared.peak : 0;
    *cached = shared.cached;
    for (thread_cache *t = shared.threads; t; t = t->next)
        for (int c = 0; c < SMALL_CLASSES; c++) *cached += LOAD(t->count[c]) * (size_t)small_bytes[c];
    unlock();
}

void wg__alloc_reset_peak(void) {
    lock();
    int64_t live = count_live();
    for (thread_cache *t = shared.threads; t; t = t->next) STORE(t->high, LOAD(t->delta));
    shared.peak = live;
    unlock();
}

/* What is kept goes back when the library is unloaded or the process ends; blocks in use stay. */
__attribute__((destructor)) static void at_end(void) {
    if (!host.allocate) wg__alloc_trim();
}
