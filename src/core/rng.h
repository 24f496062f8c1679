/* rng.h - random numbers inside the library: the Mersenne Twister, generators, and the raw layer that fills memory.
 * random.c has the generators, random_kernels.c the vector loops, random_fill.c the distributions over buffers,
 * random_ops.c the public functions over tensors.
 */
#ifndef WG_CORE_RNG_H
#define WG_CORE_RNG_H

#include <pthread.h>

#include "core/tensor.h"
#include "wengert/random.h"

enum { WG_MT_N = 624, WG_MT_M = 397 };

/* next words of the block are used up, left - 1 remain; (0, 1) is the state after seeding. PyTorch saves both. */
struct wg__mt {
    uint32_t state[WG_MT_N];
    uint32_t next;
    int32_t left;
};

struct wg_generator {
    pthread_mutex_t lock; /* guards everything below */
    atomic_uint refs;
    bool poison; /* stands for a generator that could not be made */
    struct wg__mt mt;
    uint64_t seed;
    bool has_normal; /* the second of a Box-Muller pair waits in normal */
    double normal;
    bool has_normal_float; /* PyTorch's state has a place for a float one; kept, never used */
    float normal_float;
    struct wg_generator *next, *prev; /* list of all, for fork */
};

/* ---- words: random.c --------------------------------------------------------------------------------------------- */

void wg__mt_seed(struct wg__mt *mt, uint64_t seed);
void wg__mt_words(struct wg__mt *mt, uint32_t *out, size_t n);
static inline uint64_t wg__mt_join(const uint32_t *w) { return (uint64_t)w[0] << 32 | w[1]; }

/* ---- vector loops: random_kernels.c ------------------------------------------------------------------------------ */

/* One set per instruction set; all give the same bits. */
struct wg__rng_kernels {
    void (*refill)(uint32_t *state);
    void (*temper)(const uint32_t *state, uint32_t *out, size_t n);
    /* out[i] from words[i] (float) or words[2i], words[2i + 1] (double), in [from, to). */
    void (*uniform_float)(const uint32_t *words, float *out, size_t n, float from, float to);
    void (*uniform_double)(const uint32_t *words, double *out, size_t n, double from, double to);
    /* Blocks of 16 uniforms become 16 normals, in place. */
    void (*normal_float)(float *x, size_t blocks, float mean, float std);
};
const struct wg__rng_kernels *wg__rng_kernels(void);
/* For tests: the plain set, or the vector set (NULL where the machine has none). */
const struct wg__rng_kernels *wg__rng_kernels_for(bool vector);

/* ---- fills: random_fill.c ---------------------------------------------------------------------------------------- */

/* Each fills n elements of dtype in memory order, taking words from g. Arguments are checked by the caller. They fail
 * only with WG_ERR_INTERRUPTED; out is then partly written. */
wg_status wg__rng_uniform(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double from, double to);
/* scalar: one value at a time (strided tensors); else as contiguous tensors are filled. */
wg_status wg__rng_normal(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double mean, double std, bool scalar);
wg_status wg__rng_log_normal(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double mean, double std);
wg_status wg__rng_exponential(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double lambda);
wg_status wg__rng_cauchy(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double median, double sigma);
wg_status wg__rng_geometric(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double p);
wg_status wg__rng_bernoulli(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double p);
/* p: n probabilities of p_dtype (floating). */
wg_status wg__rng_bernoulli_each(wg_generator *g, wg_dtype dtype, void *out, int64_t n, wg_dtype p_dtype,
                                 const void *p);
/* from + word mod range; range 0 means 2^64. */
wg_status wg__rng_integers(wg_generator *g, wg_dtype dtype, void *out, int64_t n, int64_t from, uint64_t range);
wg_status wg__rng_random(wg_generator *g, wg_dtype dtype, void *out, int64_t n);
wg_status wg__rng_permutation(wg_generator *g, int64_t *out, int64_t n);
/* n float64 uniforms on [0, 1). */
wg_status wg__rng_doubles(wg_generator *g, double *out, int64_t n);

#endif
