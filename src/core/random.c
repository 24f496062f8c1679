/* random.c - the Mersenne Twister and generators: making, seeding, sharing, saving, and surviving fork. How words
 * become numbers is in random_fill.c.
 */
#include "core/rng.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "core/alloc.h"

/* ---- the Mersenne Twister ---------------------------------------------------------------------------------------- */

void wg__mt_seed(struct wg__mt *mt, uint64_t seed) {
    mt->state[0] = (uint32_t)seed;
    for (uint32_t j = 1; j < WG_MT_N; j++)
        mt->state[j] = 1812433253u * (mt->state[j - 1] ^ (mt->state[j - 1] >> 30)) + j;
    mt->left = 1;
    mt->next = 0;
}

void wg__mt_words(struct wg__mt *mt, uint32_t *out, size_t n) {
    const struct wg__rng_kernels *k = wg__rng_kernels();
    while (n) {
        if (mt->left == 1) {
            k->refill(mt->state);
            mt->left = WG_MT_N + 1;
            mt->next = 0;
        }
        size_t len = (size_t)(mt->left - 1);
        if (len > n) len = n;
        k->temper(mt->state + mt->next, out, len);
        mt->next += (uint32_t)len;
        mt->left -= (int32_t)len;
        out += len;
        n -= len;
    }
}

/* ---- all generators, for fork ------------------------------------------------------------------------------------ */

/* A child of fork has only the forking thread: a lock that another thread held would stay locked. So fork waits for
 * every generator. No thread holds two generators' locks, and none takes list_lock while holding one. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static wg_generator default_generator = {.lock = PTHREAD_MUTEX_INITIALIZER, .refs = 1};
static wg_generator poison_generator = {.lock = PTHREAD_MUTEX_INITIALIZER, .refs = 1, .poison = true};
static wg_generator *generators = &default_generator;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void) {
    pthread_mutex_lock(&list_lock);
    for (wg_generator *g = generators; g; g = g->next) pthread_mutex_lock(&g->lock);
}
static void after_fork(void) {
    for (wg_generator *g = generators; g; g = g->next) pthread_mutex_unlock(&g->lock);
    pthread_mutex_unlock(&list_lock);
}

static void link_generator(wg_generator *g) {
    pthread_mutex_lock(&list_lock);
    g->next = generators;
    generators->prev = g;
    generators = g;
    pthread_mutex_unlock(&list_lock);
}
static void unlink_generator(wg_generator *g) {
    pthread_mutex_lock(&list_lock);
    if (g->prev)
        g->prev->next = g->next;
    else
        generators = g->next;
    if (g->next) g->next->prev = g->prev;
    pthread_mutex_unlock(&list_lock);
}

/* ---- seeding ----------------------------------------------------------------------------------------------------- */

static void seed_locked(wg_generator *g, uint64_t seed) {
    wg__mt_seed(&g->mt, seed);
    g->seed = seed;
    g->has_normal = g->has_normal_float = false;
    g->normal = 0;
    g->normal_float = 0;
}

/* 53 bits, as PyTorch's, so that a seed passes through a double. */
static uint64_t random_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
    }
    return seed & (((uint64_t)1 << 53) - 1);
}

static void start(void) {
    seed_locked(&default_generator, random_seed());
    pthread_atfork(before_fork, after_fork, after_fork);
}

wg_generator *wg_default_generator(void) {
    pthread_once(&once, start);
    return &default_generator;
}

static wg_generator *or_default(wg_generator *g) { return g ? g : wg_default_generator(); }

void wg_generator_manual_seed(wg_generator *g, uint64_t seed) {
    g = or_default(g);
    pthread_mutex_lock(&g->lock);
    seed_locked(g, seed);
    pthread_mutex_unlock(&g->lock);
}
void wg_manual_seed(uint64_t seed) { wg_generator_manual_seed(NULL, seed); }

uint64_t wg_generator_seed(wg_generator *g) {
    uint64_t seed = random_seed();
    wg_generator_manual_seed(g, seed);
    return seed;
}

uint64_t wg_generator_initial_seed(wg_generator *g) {
    g = or_default(g);
    pthread_mutex_lock(&g->lock);
    uint64_t seed = g->seed;
    pthread_mutex_unlock(&g->lock);
    return seed;
}

/* ---- ownership --------------------------------------------------------------------------------------------------- */

wg_generator *wg_generator_new(void) {
    wg_default_generator();
    wg_generator *g = wg__calloc(sizeof *g);
    if (!g) {
        wg__no_memory("Generator", sizeof *g);
        return &poison_generator;
    }
    pthread_mutex_init(&g->lock, NULL);
    atomic_init(&g->refs, 1);
    seed_locked(g, 67280421310721u);
    link_generator(g);
    return g;
}

static bool is_static(const wg_generator *g) { return g == &default_generator || g == &poison_generator; }

wg_generator *wg_generator_keep(wg_generator *g) {
    if (g && !is_static(g)) wg__inc(&g->refs);
    return g;
}

void wg_generator_release(wg_generator *g) {
    if (!g || is_static(g) || !wg__dec(&g->refs)) return;
    unlink_generator(g);
    pthread_mutex_destroy(&g->lock);
    wg__mfree(g, sizeof *g);
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

/* PyTorch's layout: that of its first C generator, with one word per 8 bytes, and a float normal behind. */
struct saved {
    uint64_t seed;
    int32_t left, seeded;
    uint64_t next;
    uint64_t state[WG_MT_N];
    double unused_x, normal, unused_rho;
    int32_t has_normal, unused;
    float normal_float;
    uint8_t has_normal_float, padding[3];
};
_Static_assert(sizeof(struct saved) == WG_GENERATOR_STATE_BYTES, "PyTorch's size");
enum { LEGACY_BYTES = offsetof(struct saved, normal_float) };

wg_status wg_generator_get_state(wg_generator *g, void *state, size_t bytes) {
    if (bytes < sizeof(struct saved))
        return wg__raise(WG_ERR_VALUE, "get_state", "a generator's state takes %zu bytes, the buffer has %zu",
                         sizeof(struct saved), bytes);
    g = or_default(g);
    if (g->poison) return wg__raise(WG_ERR_RUNTIME, "get_state", "the generator could not be made");
    struct saved s = {.seeded = 1};
    pthread_mutex_lock(&g->lock);
    s.seed = g->seed;
    s.left = g->mt.left;
    s.next = g->mt.next;
    for (int i = 0; i < WG_MT_N; i++) s.state[i] = g->mt.state[i];
    s.has_normal = g->has_normal;
    s.normal = g->has_normal ? g->normal : 0;
    s.has_normal_float = g->has_normal_float;
    s.normal_float = g->has_normal_float ? g->normal_float : 0;
    pthread_mutex_unlock(&g->lock);
    memcpy(state, &s, sizeof s);
    return WG_OK;
}

/* The block position is what a draw computes with: a state that lies must not lead outside the block. */
static bool is_valid(const struct saved *s) {
    bool fresh = s->left == 1 && s->next == 0;
    return s->seeded == 1 && (fresh || (s->left >= 1 && s->left <= WG_MT_N && s->next <= WG_MT_N &&
                                        s->next + (uint64_t)s->left == WG_MT_N + 1));
}

wg_status wg_generator_set_state(wg_generator *g, const void *state, size_t bytes) {
    struct saved s = {0};
    if (bytes != sizeof s && bytes != LEGACY_BYTES)
        return wg__raise(WG_ERR_RUNTIME, "set_state",
                         "Expected either a CPUGeneratorImplStateLegacy of size %d or a CPUGeneratorImplState of size "
                         "%zu but found the input RNG state size to be %zu",
                         LEGACY_BYTES, sizeof s, bytes);
    g = or_default(g);
    if (g->poison) return wg__raise(WG_ERR_RUNTIME, "set_state", "the generator could not be made");
    memcpy(&s, state, bytes);
    if (!is_valid(&s)) return wg__raise(WG_ERR_RUNTIME, "set_state", "Invalid mt19937 state");
    pthread_mutex_lock(&g->lock);
    g->seed = s.seed;
    g->mt.left = s.left;
    g->mt.next = (uint32_t)s.next;
    for (int i = 0; i < WG_MT_N; i++) g->mt.state[i] = (uint32_t)s.state[i];
    g->has_normal = s.has_normal != 0;
    g->normal = s.normal;
    g->has_normal_float = s.has_normal_float != 0;
    g->normal_float = s.normal_float;
    pthread_mutex_unlock(&g->lock);
    return WG_OK;
}
