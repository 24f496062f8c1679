/* random.h - random numbers: the generator, factories, in-place fills, sampling. Streams are those of PyTorch's CPU
 * generator, bit for bit: the same seed and the same calls give the same values, on every machine and with any number
 * of threads. (float64 normals and the exponential, Cauchy, geometric and log-normal fills go through the C library's
 * functions: the same bits with glibc on hardware with fused multiply-add, else within 2 ulp.)
 *
 * generator NULL means the default generator, which starts at a random seed. A generator may be shared by threads:
 * each fill takes its words in one piece (fills of more than 65,536 elements take several pieces).
 */
#ifndef WENGERT_RANDOM_H
#define WENGERT_RANDOM_H

#include "wengert/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- generators -------------------------------------------------------------------------------------------------- */

/* torch.Generator(): seed 67280421310721. Owned by the caller. On no memory: raises, and returns a generator whose use
 * raises again. */
WG_API wg_generator *wg_generator_new(void);
WG_API wg_generator *wg_generator_keep(wg_generator *g); /* one more owner; returns g */
WG_API void wg_generator_release(wg_generator *g);       /* gives one ownership back; NULL is harmless */
WG_API wg_generator *wg_default_generator(void);         /* borrowed: lives as long as the process */
/* torch.manual_seed: seeds the default generator. A negative seed means seed + 2^64, which C's conversion does. */
WG_API void wg_manual_seed(uint64_t seed);
/* Generator.manual_seed; g NULL: the default generator. */
WG_API void wg_generator_manual_seed(wg_generator *g, uint64_t seed);
/* Generator.seed(): a fresh non-deterministic seed (53 bits), which is returned. */
WG_API uint64_t wg_generator_seed(wg_generator *g);
WG_API uint64_t wg_generator_initial_seed(wg_generator *g); /* the seed last set */
/* get_state / set_state: WG_GENERATOR_STATE_BYTES bytes in PyTorch's layout, so states can be exchanged with it. */
#define WG_GENERATOR_STATE_BYTES 5056
WG_API WG_MUST_CHECK wg_status wg_generator_get_state(wg_generator *g, void *state, size_t bytes);
WG_API WG_MUST_CHECK wg_status wg_generator_set_state(wg_generator *g, const void *state, size_t bytes);

/* ---- factories --------------------------------------------------------------------------------------------------- */

/* Uniform on [0, 1). */
WG_API wg_tensor *wg_rand(int ndim, const int64_t *sizes, const wg_options *options, wg_generator *generator);
/* Normal, mean 0, standard deviation 1. */
WG_API wg_tensor *wg_randn(int ndim, const int64_t *sizes, const wg_options *options, wg_generator *generator);
/* Integers from low to high - 1; int64 unless options say another dtype. */
WG_API wg_tensor *wg_randint(int64_t low, int64_t high, int ndim, const int64_t *sizes, const wg_options *options,
                             wg_generator *generator);
/* A random permutation of 0 .. n - 1; int64 unless options say another dtype. */
WG_API wg_tensor *wg_randperm(int64_t n, const wg_options *options, wg_generator *generator);
WG_API wg_tensor *wg_normal(double mean, double std, int ndim, const int64_t *sizes, const wg_options *options,
                            wg_generator *generator);
/* One draw per element of mean and std, which broadcast; either may be a number (wg_s). Its gradients are zero. */
WG_API wg_tensor *wg_normal_tensor(wg_tensor *mean, wg_tensor *std, wg_generator *generator);
/* As the ones above, with t's shape, and t's dtype unless options say another. */
WG_API wg_tensor *wg_rand_like(const wg_tensor *t, const wg_options *options, wg_generator *generator);
WG_API wg_tensor *wg_randn_like(const wg_tensor *t, const wg_options *options, wg_generator *generator);
WG_API wg_tensor *wg_randint_like(const wg_tensor *t, int64_t low, int64_t high, const wg_options *options,
                                  wg_generator *generator);

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* 1 with probability p, element by element, else 0, in p's dtype. Its gradient is zero. */
WG_API wg_tensor *wg_bernoulli(wg_tensor *p, wg_generator *generator);
/* n indices (int64) from each row of weights (1-d or 2-d, need not sum to 1). Without replacement, where two categories
 * come out exactly equal (float32 rows of hundreds), the smaller index goes first; PyTorch leaves it to its sort. */
WG_API wg_tensor *wg_multinomial(wg_tensor *weights, int64_t n, bool replacement, wg_generator *generator);

/* ---- in-place fills: overwrite t, bump its version, return t (poison on failure) --------------------------------- */

WG_API wg_tensor *wg_uniform_(wg_tensor *t, double from, double to, wg_generator *generator); /* [from, to) */
WG_API wg_tensor *wg_normal_(wg_tensor *t, double mean, double std, wg_generator *generator); /* normal */
WG_API wg_tensor *wg_bernoulli_(wg_tensor *t, double p, wg_generator *generator); /* 1 with probability p, else 0 */
WG_API wg_tensor *wg_bernoulli_tensor_(wg_tensor *t, wg_tensor *p, wg_generator *generator); /* p broadcasts to t */
WG_API wg_tensor *wg_exponential_(wg_tensor *t, double lambda, wg_generator *generator);     /* mean 1 / lambda */
/* Integers over the dtype's range; floating dtypes: 0 .. 2^digits. */
WG_API wg_tensor *wg_random_(wg_tensor *t, wg_generator *generator);
/* Integers from from to to - 1. */
WG_API wg_tensor *wg_random_range_(wg_tensor *t, int64_t from, int64_t to, wg_generator *generator);
WG_API wg_tensor *wg_cauchy_(wg_tensor *t, double median, double sigma, wg_generator *generator);
WG_API wg_tensor *wg_geometric_(wg_tensor *t, double p, wg_generator *generator); /* trials until the first success */
WG_API wg_tensor *wg_log_normal_(wg_tensor *t, double mean, double std, wg_generator *generator); /* of the logarithm */

#ifdef __cplusplus
}
#endif
#endif
