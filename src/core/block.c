/* block.c - blocks: the cells of 192 bytes that tensors, nodes and what hangs on them live in.
 *
 * Blocks are cut from slabs, at first small ones, later of 2 MB on huge pages: a graph of a million nodes costs neither a
 * call of malloc per node nor a page fault per twenty. A thread keeps a list of free blocks and, behind it, one full
 * batch; what is more than that goes, a batch at a time, to a list that all threads share, and so does everything when a
 * thread ends. wg_empty_cache gives slabs back of which every block is free.
 *
 * Under the address sanitizer every block is an allocation of its own, so that the sanitizer sees its life. Debug builds
 * keep dead handles for a while, marked, so that using one is noticed (check_inputs in apply.c).
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "core/fork.h"
#include "core/tensor.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLABS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLABS 0
#endif
#endif
#ifndef SLABS
#define SLABS 1
#endif

#define BYTES sizeof(wg_tensor)
const uint32_t wg__block_batch = SLABS ? 32768 : 0;

#if SLABS

enum { FIRST_SLAB = 48 << 10, LAST_SLAB = 2 << 20 };

/* A free block; the first one of a batch also says where the next batch is, and how many it has. */
typedef struct cell {
    struct cell *next, *batch;
    uint32_t n;
} cell;

typedef struct slab {
    char *base;
    size_t bytes;
    uint32_t free; /* while trimming */
} slab;

static struct {
    pthread_mutex_t lock;
    cell *batches;
    slab *slabs; /* ascending base */
    size_t nslabs, cap;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

void wg__blocks_fork(int phase) { wg__around_fork(&shared.lock, phase); }

/* ---- slabs ----------------------------------------------------------------------------------------------------------- */

/* The first slab whose base is above p. */
static size_t above(const void *p) {
    size_t lo = 0, hi = shared.nslabs;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((uintptr_t)shared.slabs[mid].base > (uintptr_t)p) hi = mid;
        else lo = mid + 1;
    }
    return lo;
}

static bool list_slab(char *base, size_t bytes) {
    if (shared.nslabs == shared.cap) {
        size_t cap = shared.cap ? shared.cap * 2 : 16;
        slab *bigger = wg__malloc(cap * sizeof(*bigger));
        if (!bigger) return false;
        if (shared.nslabs) memcpy(bigger, shared.slabs, shared.nslabs * sizeof(*bigger));
        wg__mfree(shared.slabs, shared.cap * sizeof(*bigger));
        shared.slabs = bigger;
        shared.cap = cap;
    }
    size_t at = above(base);
    memmove(shared.slabs + at + 1, shared.slabs + at, (shared.nslabs - at) * sizeof(slab));
    shared.slabs[at] = (slab){.base = base, .bytes = bytes};
    shared.nslabs++;
    return true;
}

/* A slab for s to cut; larger each time. */
static bool new_slab(struct wg_tls *s) {
    size_t bytes = s->slab_bytes ? s->slab_bytes : FIRST_SLAB;
    char *base = wg__raw_alloc(bytes);
    if (!base) return false;
    pthread_mutex_lock(&shared.lock);
    bool listed = list_slab(base, bytes);
    pthread_mutex_unlock(&shared.lock);
    if (!listed) {
        wg__raw_free(base, bytes);
        return false;
    }
    s->slab_at = base;
    s->slab_end = base + bytes / BYTES * BYTES;
    s->slab_bytes = bytes * 4 < LAST_SLAB ? bytes * 4 : LAST_SLAB;
    return true;
}

/* ---- taking ---------------------------------------------------------------------------------------------------------- */

static bool take_batch(struct wg_tls *s) {
    cell *b = s->spare_blocks;
    s->spare_blocks = NULL;
    if (!b) {
        pthread_mutex_lock(&shared.lock);
        b = shared.batches;
        if (b) shared.batches = b->batch;
        pthread_mutex_unlock(&shared.lock);
    }
    if (!b) return false;
    s->free_blocks = b;
    s->nfree = b->n;
    return true;
}

void *wg__block_new_slow(struct wg_tls *s) {
    if (!wg__thread_enter(s)) goto no_memory;
    if (s->slab_at == s->slab_end) {
        if (take_batch(s)) return wg__block_new(s);
        if (!new_slab(s)) goto no_memory;
    }
    char *b = s->slab_at;
    s->slab_at += BYTES;
    return b;
no_memory:
    wg__no_memory(NULL, BYTES);
    return NULL;
}

/* ---- giving back ----------------------------------------------------------------------------------------------------- */

static void share(cell *first, uint32_t n) {
    if (!first) return;
    first->n = n;
    pthread_mutex_lock(&shared.lock);
    first->batch = shared.batches;
    shared.batches = first;
    pthread_mutex_unlock(&shared.lock);
}

void wg__blocks_spill(struct wg_tls *s) {
    cell *spare = s->spare_blocks, *full = s->free_blocks;
    if (spare) share(spare, spare->n);
    full->n = s->nfree;
    s->spare_blocks = full;
    s->free_blocks = NULL;
    s->nfree = 0;
    if (!s->scope) wg__blocks_leave(s); /* a thread that made nothing: nobody would come for its list */
}

void wg__blocks_leave(struct wg_tls *s) {
    for (; s->slab_at != s->slab_end; s->slab_at += BYTES) wg__block_push(s, s->slab_at);
    cell *spare = s->spare_blocks;
    if (spare) share(spare, spare->n);
    share(s->free_blocks, s->nfree);
    s->spare_blocks = s->free_blocks = NULL;
    s->nfree = 0;
    s->slab_at = s->slab_end = NULL;
    s->slab_bytes = 0;
}

/* All that is shared, as one list. */
static cell *gather(void) {
    cell *all = NULL;
    for (cell *batch = shared.batches, *next; batch; batch = next) {
        next = batch->batch;
        cell *last = batch;
        for (;; last = last->next) {
            shared.slabs[above(last) - 1].free++;
            if (!last->next) break;
        }
        last->next = all;
        all = batch;
    }
    shared.batches = NULL;
    return all;
}

static bool wholly_free(const slab *b) { return b->free == b->bytes / BYTES; }

void wg__blocks_trim(struct wg_tls *s) {
    wg__blocks_leave(s);
    pthread_mutex_lock(&shared.lock);
    for (size_t i = 0; i < shared.nslabs; i++) shared.slabs[i].free = 0;
    cell *kept = NULL;
    uint32_t n = 0;
    for (cell *c = gather(), *next; c; c = next) {
        next = c->next;
        if (wholly_free(&shared.slabs[above(c) - 1])) continue;
        c->next = kept;
        kept = c;
        n++;
    }
    size_t m = 0;
    for (size_t i = 0; i < shared.nslabs; i++) {
        slab b = shared.slabs[i];
        if (wholly_free(&b)) wg__raw_free(b.base, b.bytes);
        else shared.slabs[m++] = b;
    }
    shared.nslabs = m;
    if (m == 0) {
        wg__mfree(shared.slabs, shared.cap * sizeof(slab));
        shared.slabs = NULL;
        shared.cap = 0;
    }
    pthread_mutex_unlock(&shared.lock);
    share(kept, n);
}

#else

void wg__blocks_fork(int phase) { (void)phase; }
void *wg__block_new_slow(struct wg_tls *s) {
    void *b = wg__thread_enter(s) ? wg__malloc(BYTES) : NULL;
    if (!b) wg__no_memory(NULL, BYTES);
    return b;
}
void wg__blocks_spill(struct wg_tls *s) {
    wg__mfree(s->free_blocks, BYTES);
    s->free_blocks = NULL;
    s->nfree = 0;
}
void wg__blocks_leave(struct wg_tls *s) { (void)s; }
void wg__blocks_trim(struct wg_tls *s) { (void)s; }

#endif
