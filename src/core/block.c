/* block.c - blocks: the cells of 192 bytes that tensors, nodes and what hangs on them live in.
 *
 * Blocks are cut from slabs, at first small ones, later of 2 MB on huge pages: a graph of a million nodes costs neither
 * a call of malloc per node nor a page fault per twenty. A thread keeps a list of free blocks and, behind it, one full
 * batch. What is more than that goes back to its slab, where a bit says that it is free, and so does everything when a
 * thread ends; any thread may take it from there. wg_empty_cache gives slabs back of which every block is free.
 *
 * Why bits and not one long list: large graphs die in another order than they were made in, and a list would hand their
 * blocks out in that order. After a few rounds neighbours in the graph would be strangers in memory, and each step of a
 * walk would wait for it. From its slab a block comes in order of address.
 *
 * Under the address sanitizer every block is an allocation of its own, so that the sanitizer sees its life. Debug
 * builds keep dead handles for a while, marked, so that using one is noticed (check_inputs in apply.c).
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
const uint32_t wg__block_batch = SLABS ? 8192 : 0;

#if SLABS

enum { FIRST_SLAB = 48 << 10, LAST_SLAB = 2 << 20 };
enum { CUT = 32 };     /* blocks that a thread lists at a time of those that it has to itself */
enum { REFILL = 512 }; /* blocks that it takes at a time of those that came back */

typedef struct cell { /* a free block in a list */
    struct cell *next;
} cell;

/* At its start a slab has a bit for each block: is it free, and in no thread's hands? */
typedef struct slab {
    char *base, *blocks;
    size_t bytes;
    uint32_t n, free;
} slab;

static struct {
    pthread_mutex_t lock;
    slab *slabs; /* ascending base */
    size_t nslabs, cap;
    size_t low; /* slabs before this one have no free block */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

void wg__blocks_fork(int phase) { wg__around_fork(&shared.lock, phase); }

/* ---- slabs ------------------------------------------------------------------------------------------------------- */

static uint64_t *bits(const slab *b) { return (uint64_t *)(void *)b->base; }
static size_t words(const slab *b) { return (b->n + 63) / 64; }
static size_t head_bytes(size_t bytes) { return (bytes / BYTES / 8 + 64) / 64 * 64 + 64; }

/* The first slab whose base is above p. */
static size_t above(const void *p) {
    size_t lo = 0, hi = shared.nslabs;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((uintptr_t)shared.slabs[mid].base > (uintptr_t)p)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static bool list_slab(slab b) {
    if (shared.nslabs == shared.cap) {
        size_t cap = shared.cap ? shared.cap * 2 : 16;
        slab *bigger = wg__malloc(cap * sizeof(*bigger));
        if (!bigger) return false;
        if (shared.nslabs) memcpy(bigger, shared.slabs, shared.nslabs * sizeof(*bigger));
        wg__mfree(shared.slabs, shared.cap * sizeof(*bigger));
        shared.slabs = bigger;
        shared.cap = cap;
    }
    size_t at = above(b.base);
    memmove(shared.slabs + at + 1, shared.slabs + at, (shared.nslabs - at) * sizeof(slab));
    shared.slabs[at] = b;
    shared.nslabs++;
    if (at < shared.low) shared.low++;
    return true;
}

static void own_slab(struct wg_tls *s, const slab *b) {
    s->slab_at = b->blocks;
    s->slab_end = b->blocks + b->n * BYTES;
}

/* A slab for s to cut; larger each time. */
static bool new_slab(struct wg_tls *s) {
    size_t bytes = s->slab_bytes ? s->slab_bytes : FIRST_SLAB, head = head_bytes(bytes);
    slab b = {.base = wg__raw_alloc(bytes), .bytes = bytes, .n = (uint32_t)((bytes - head) / BYTES)};
    if (!b.base) return false;
    b.blocks = b.base + head;
    memset(b.base, 0, head);
    pthread_mutex_lock(&shared.lock);
    bool listed = list_slab(b);
    pthread_mutex_unlock(&shared.lock);
    if (!listed) {
        wg__raw_free(b.base, bytes);
        return false;
    }
    own_slab(s, &b);
    s->slab_bytes = bytes * 4 < LAST_SLAB ? bytes * 4 : LAST_SLAB;
    return true;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

/* Blocks that follow each other mostly lie in the same slab: *at is where the last one was found. */
static void mark_free(const void *block, size_t *at) {
    slab *b = &shared.slabs[*at];
    if ((uintptr_t)block - (uintptr_t)b->blocks >= b->n * BYTES) b = &shared.slabs[ *at = above(block) - 1];
    size_t i = (size_t)((const char *)block - b->blocks) / BYTES;
    bits(b)[i / 64] |= (uint64_t)1 << (i % 64);
    b->free++;
    if (*at < shared.low) shared.low = *at;
}

static void give_back(cell *list) {
    size_t at = 0;
    pthread_mutex_lock(&shared.lock);
    for (; list; list = list->next) mark_free(list, &at);
    pthread_mutex_unlock(&shared.lock);
}

void wg__blocks_spill(struct wg_tls *s) {
    give_back(s->spare_blocks);
    s->spare_blocks = s->free_blocks;
    s->nspare = s->nfree;
    s->free_blocks = NULL;
    s->nfree = 0;
    if (!s->scope) wg__blocks_leave(s); /* a thread that made nothing: nobody would come for its list */
}

void wg__blocks_leave(struct wg_tls *s) {
    size_t at = 0;
    pthread_mutex_lock(&shared.lock);
    for (; s->slab_at != s->slab_end; s->slab_at += BYTES) mark_free(s->slab_at, &at);
    pthread_mutex_unlock(&shared.lock);
    give_back(s->spare_blocks);
    give_back(s->free_blocks);
    s->spare_blocks = s->free_blocks = NULL;
    s->nfree = 0;
    s->slab_at = s->slab_end = NULL;
    s->slab_bytes = 0;
}

void wg__blocks_trim(struct wg_tls *s) {
    wg__blocks_leave(s);
    pthread_mutex_lock(&shared.lock);
    size_t m = 0;
    for (size_t i = 0; i < shared.nslabs; i++) {
        slab b = shared.slabs[i];
        if (b.free == b.n)
            wg__raw_free(b.base, b.bytes);
        else
            shared.slabs[m++] = b;
    }
    shared.nslabs = m;
    shared.low = 0;
    if (m == 0) {
        wg__mfree(shared.slabs, shared.cap * sizeof(slab));
        shared.slabs = NULL;
        shared.cap = 0;
    }
    pthread_mutex_unlock(&shared.lock);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* Puts a run of blocks before the thread's list, first address first. */
static void list_run(struct wg_tls *s, char *from, const char *end) {
    cell *first = (cell *)(void *)from, *last = first;
    for (char *b = from + BYTES; b != end; b += BYTES) last = last->next = (cell *)(void *)b;
    last->next = s->free_blocks;
    s->free_blocks = first;
    s->nfree += (uint32_t)((size_t)(end - from) / BYTES);
}

static void cut(struct wg_tls *s) {
    char *from = s->slab_at;
    s->slab_at = (size_t)(s->slab_end - from) > CUT * BYTES ? from + CUT * BYTES : s->slab_end;
    list_run(s, from, s->slab_at);
}

/* Free blocks of a slab in order of address, at most REFILL (or a word's) of them. */
static void take_some(struct wg_tls *s, slab *b) {
    void **end = &s->free_blocks;
    for (size_t w = 0; w < words(b) && s->nfree < REFILL; w++)
        for (uint64_t *set = &bits(b)[w]; *set; *set &= *set - 1) {
            char *block = b->blocks + (w * 64 + (size_t)__builtin_ctzll(*set)) * BYTES;
            *end = block;
            end = (void **)(void *)block;
            b->free--;
            s->nfree++;
        }
    *end = NULL;
}

/* What came back to the slabs: a whole slab, to be cut, or a list. */
static bool take_back(struct wg_tls *s) {
    pthread_mutex_lock(&shared.lock);
    while (shared.low < shared.nslabs && !shared.slabs[shared.low].free) shared.low++;
    bool found = shared.low < shared.nslabs;
    slab *b = found ? &shared.slabs[shared.low] : NULL;
    if (found && b->free == b->n) {
        memset(bits(b), 0, words(b) * sizeof(uint64_t));
        b->free = 0;
        own_slab(s, b);
    } else if (found) {
        take_some(s, b);
    }
    pthread_mutex_unlock(&shared.lock);
    return found;
}

void *wg__block_new_slow(struct wg_tls *s) {
    if (!wg__thread_enter(s)) goto no_memory;
    if (s->spare_blocks) {
        s->free_blocks = s->spare_blocks;
        s->nfree = s->nspare;
        s->spare_blocks = NULL;
    } else if (s->slab_at == s->slab_end && !take_back(s) && !new_slab(s)) {
        goto no_memory;
    }
    if (!s->free_blocks) cut(s);
    return wg__block_new(s);
no_memory:
    wg__no_memory(NULL, BYTES);
    return NULL;
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
