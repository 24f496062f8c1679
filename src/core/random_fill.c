/* random_fill.c - distributions over buffers: which words of the generator become which elements, dtype by dtype, as
 * PyTorch's CPU kernels do it. Every fill runs in pieces: a piece holds the generator's lock, and between pieces the
 * host is asked whether to stop. Tensors, argument checks and autograd are not here: see random_ops.c.
 *
 * Compiled with -ffp-contract=off: where one rounding is meant, fma says so.
 */
#include <math.h>

#include "core/rng.h"
#include "cpu/half.h"

enum { PIECE = 1 << 16 /* elements per lock and poll */, BATCH = 512 /* elements per inner buffer; multiple of 16 */ };

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

typedef struct fill {
    wg_generator *g;
    wg_dtype dtype;
    double a, b; /* the distribution's parameters */
    int64_t from;
    uint64_t range;
    const char *p; /* probabilities, element by element */
    wg_dtype p_dtype;
} fill;
typedef void (*piece_fn)(const fill *f, char *out, int64_t n, int64_t done);

static wg_status in_pieces(const fill *f, void *out, int64_t n, piece_fn fn) {
    size_t size = wg_dtype_size(f->dtype);
    for (int64_t done = 0; done < n;) {
        int64_t len = n - done < PIECE ? n - done : PIECE;
        pthread_mutex_lock(&f->g->lock);
        fn(f, (char *)out + (size_t)done * size, len, done);
        pthread_mutex_unlock(&f->g->lock);
        done += len;
        if (done < n && wg__poll()) return WG_ERR_INTERRUPTED;
    }
    return WG_OK;
}

static inline int64_t batch(int64_t n) { return n < BATCH ? n : BATCH; }

/* ---- conversions ------------------------------------------------------------------------------------------------- */

static void store_floats(wg_dtype dtype, char *out, const float *v, int64_t n) {
    uint16_t *h = (uint16_t *)out;
    if (dtype == WG_FLOAT16)
        for (int64_t i = 0; i < n; i++) h[i] = float_to_half(v[i]);
    else if (dtype == WG_BFLOAT16)
        for (int64_t i = 0; i < n; i++) h[i] = float_to_bfloat(v[i]);
    else
        memcpy(out, v, (size_t)n * sizeof *v);
}

static void store_doubles(wg_dtype dtype, char *out, const double *v, int64_t n) {
    if (dtype == WG_FLOAT64) {
        memcpy(out, v, (size_t)n * sizeof *v);
    } else if (wg_dtype_is_floating(dtype)) {
        float narrow[BATCH];
        for (int64_t i = 0; i < n; i++) narrow[i] = (float)v[i];
        store_floats(dtype, out, narrow, n);
    } else {
        size_t size = wg_dtype_size(dtype);
        for (int64_t i = 0; i < n; i++) wg__store_double(out + (size_t)i * size, dtype, v[i]);
    }
}

#define STORE_INTS(T)                                                                                                  \
    for (int64_t i = 0; i < n; i++) ((T *)out)[i] = (T)v[i]
static void store_ints(wg_dtype dtype, char *out, const int64_t *v, int64_t n) {
    float narrow[BATCH];
    switch (dtype) {
    case WG_UINT8: STORE_INTS(uint8_t); break;
    case WG_INT8: STORE_INTS(int8_t); break;
    case WG_INT16: STORE_INTS(int16_t); break;
    case WG_INT32: STORE_INTS(int32_t); break;
    case WG_INT64: memcpy(out, v, (size_t)n * sizeof *v); break;
    case WG_FLOAT64: STORE_INTS(double); break;
    case WG_BOOL:
        for (int64_t i = 0; i < n; i++) out[i] = v[i] != 0;
        break;
    default:
        for (int64_t i = 0; i < n; i++) narrow[i] = (float)v[i];
        store_floats(dtype, out, narrow, n);
    }
}

static uint16_t to_half(wg_dtype dtype, double v) {
    return dtype == WG_FLOAT16 ? wg__float_to_half((float)v) : wg__float_to_bfloat((float)v);
}

/* ---- uniform ----------------------------------------------------------------------------------------------------- */

static void draw_doubles(wg_generator *g, double *out, int64_t n, double from, double to) {
    uint32_t words[2 * BATCH];
    for (int64_t len; n; n -= len, out += len) {
        len = batch(n);
        wg__mt_words(&g->mt, words, 2 * (size_t)len);
        wg__rng_kernels()->uniform_double(words, out, (size_t)len, from, to);
    }
}

static void draw_floats(wg_generator *g, float *out, int64_t n, float from, float to) {
    uint32_t words[BATCH];
    for (int64_t len; n; n -= len, out += len) {
        len = batch(n);
        wg__mt_words(&g->mt, words, (size_t)len);
        wg__rng_kernels()->uniform_float(words, out, (size_t)len, from, to);
    }
}

/* Half types: computed as float; a result that rounds to the upper bound becomes the lower one. */
static void draw_halves(const fill *f, uint16_t *out, int64_t n) {
    float x[BATCH];
    uint16_t bottom = to_half(f->dtype, f->a), top = to_half(f->dtype, f->b);
    for (int64_t len; n; n -= len, out += len) {
        len = batch(n);
        draw_floats(f->g, x, len, (float)f->a, (float)f->b);
        store_floats(f->dtype, (char *)out, x, len);
        for (int64_t i = 0; i < len; i++) out[i] = out[i] == top ? bottom : out[i];
    }
}

static void uniform_piece(const fill *f, char *out, int64_t n, int64_t done) {
    (void)done;
    if (f->dtype == WG_FLOAT32)
        draw_floats(f->g, (float *)out, n, (float)f->a, (float)f->b);
    else if (f->dtype == WG_FLOAT64)
        draw_doubles(f->g, (double *)out, n, f->a, f->b);
    else
        draw_halves(f, (uint16_t *)out, n);
}

wg_status wg__rng_uniform(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double from, double to) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = from, .b = to}, out, n, uniform_piece);
}

wg_status wg__rng_doubles(wg_generator *g, double *out, int64_t n) {
    return wg__rng_uniform(g, WG_FLOAT64, out, n, 0, 1);
}

/* ---- normal ------------------------------------------------------------------------------------------------------ */

/* One Box-Muller value; the pair's other half waits in the generator, whoever asks next. */
static double one_normal(wg_generator *g) {
    if (g->has_normal) {
        g->has_normal = false;
        return g->normal;
    }
    double u[2];
    draw_doubles(g, u, 2, 0, 1);
    double radius = sqrt(-2.0 * log1p(-u[1])), angle = 2.0 * M_PI * u[0];
    g->normal = radius * sin(angle);
    g->has_normal = true;
    return radius * cos(angle);
}

static void scalar_normals(const fill *f, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = fma(one_normal(f->g), f->b, f->a);
}

static void scalar_normal_piece(const fill *f, char *out, int64_t n, int64_t done) {
    (void)done;
    double v[BATCH];
    size_t size = wg_dtype_size(f->dtype);
    for (int64_t len; n; n -= len, out += (size_t)len * size) {
        len = batch(n);
        scalar_normals(f, v, len);
        store_doubles(f->dtype, out, v, len);
    }
}

/* Blocks of 16: radii from the first 8 uniforms, angles from the last 8. n is a multiple of 16. */
static void block_doubles(double *x, int64_t n, double mean, double std) {
    for (int64_t i = 0; i < n; i += 16)
        for (double *b = x + i; b < x + i + 8; b++) {
            double radius = sqrt(-2.0 * log(1.0 - b[0])), angle = 2.0 * M_PI * b[8];
            b[0] = fma(radius * cos(angle), std, mean);
            b[8] = fma(radius * sin(angle), std, mean);
        }
}

static void block_halves(const fill *f, char *out, int64_t n) {
    float x[BATCH], mean = (float)f->a, std = (float)f->b;
    for (int64_t len; n; n -= len, out += len * 2) {
        len = batch(n);
        draw_floats(f->g, x, len, 0, 1);
        wg__rng_kernels()->normal_float(x, (size_t)len / 16, mean, std);
        store_floats(f->dtype, out, x, len);
    }
}

static void block_normal_piece(const fill *f, char *out, int64_t n, int64_t done) {
    (void)done;
    size_t size = wg_dtype_size(f->dtype);
    if (size == 2) {
        block_halves(f, out, n);
        return;
    }
    for (int64_t len; n; n -= len, out += (size_t)len * size) {
        len = batch(n);
        if (f->dtype == WG_FLOAT32) {
            draw_floats(f->g, (float *)out, len, 0, 1);
            wg__rng_kernels()->normal_float((float *)out, (size_t)len / 16, (float)f->a, (float)f->b);
        } else {
            draw_doubles(f->g, (double *)out, len, 0, 1);
            block_doubles((double *)out, len, f->a, f->b);
        }
    }
}

/* What is left of n after full blocks: its words are drawn and lost (not for half types), then the last 16 elements are
 * drawn afresh. */
static void normal_tail(const fill *f, char *end, int64_t rest) {
    double lost[16];
    size_t size = wg_dtype_size(f->dtype);
    pthread_mutex_lock(&f->g->lock);
    if (f->dtype == WG_FLOAT32) draw_floats(f->g, (float *)lost, rest, 0, 1);
    if (f->dtype == WG_FLOAT64) draw_doubles(f->g, lost, rest, 0, 1);
    block_normal_piece(f, end - 16 * size, 16, 0);
    pthread_mutex_unlock(&f->g->lock);
}

wg_status wg__rng_normal(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double mean, double std, bool scalar) {
    fill f = {.g = g, .dtype = dtype, .a = mean, .b = std};
    if (scalar || n < 16) return in_pieces(&f, out, n, scalar_normal_piece);
    wg_status status = in_pieces(&f, out, n & ~(int64_t)15, block_normal_piece);
    if (status == WG_OK && n % 16) normal_tail(&f, (char *)out + (size_t)n * wg_dtype_size(dtype), n % 16);
    return status;
}

/* ---- distributions made from one double each --------------------------------------------------------------------- */

typedef void (*transform)(const fill *f, double *v, int64_t n);

static void each_double(const fill *f, char *out, int64_t n, transform fn) {
    double v[BATCH];
    size_t size = wg_dtype_size(f->dtype);
    for (int64_t len; n; n -= len, out += (size_t)len * size) {
        len = batch(n);
        fn(f, v, len);
        store_doubles(f->dtype, out, v, len);
    }
}

/* in_pieces over a transform. */
#define ONE_DOUBLE_EACH(name)                                                                                          \
    static void name##_piece(const fill *f, char *out, int64_t n, int64_t done) {                                      \
        (void)done;                                                                                                    \
        each_double(f, out, n, name##_values);                                                                         \
    }                                                                                                                  \
    wg_status wg__rng_##name

static void log_normal_values(const fill *f, double *v, int64_t n) {
    scalar_normals(f, v, n);
    for (int64_t i = 0; i < n; i++) v[i] = exp(v[i]);
}
ONE_DOUBLE_EACH(log_normal)(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double mean, double std) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = mean, .b = std}, out, n, log_normal_piece);
}

static void exponential_values(const fill *f, double *v, int64_t n) {
    draw_doubles(f->g, v, n, 0, 1);
    for (int64_t i = 0; i < n; i++) v[i] = -1.0 / f->a * log1p(-v[i]);
}
ONE_DOUBLE_EACH(exponential)(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double lambda) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = lambda}, out, n, exponential_piece);
}

static void cauchy_values(const fill *f, double *v, int64_t n) {
    draw_doubles(f->g, v, n, 0, 1);
    for (int64_t i = 0; i < n; i++) v[i] = fma(f->b, tan(M_PI * (v[i] - 0.5)), f->a);
}
ONE_DOUBLE_EACH(cauchy)(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double median, double sigma) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = median, .b = sigma}, out, n, cauchy_piece);
}

static void geometric_values(const fill *f, double *v, int64_t n) {
    draw_doubles(f->g, v, n, 0, 1);
    for (int64_t i = 0; i < n; i++) v[i] = ceil(log(v[i]) / log(1.0 - f->a));
}
ONE_DOUBLE_EACH(geometric)(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double p) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = p}, out, n, geometric_piece);
}

static void bernoulli_values(const fill *f, double *v, int64_t n) {
    draw_doubles(f->g, v, n, 0, 1);
    for (int64_t i = 0; i < n; i++) v[i] = v[i] < f->a ? 1.0 : 0.0;
}
ONE_DOUBLE_EACH(bernoulli)(wg_generator *g, wg_dtype dtype, void *out, int64_t n, double p) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .a = p}, out, n, bernoulli_piece);
}

/* float64 probabilities take a double uniform each, the others a float one. */
static void bernoulli_each_piece(const fill *f, char *out, int64_t n, int64_t done) {
    double u[BATCH];
    float narrow[BATCH];
    size_t size = wg_dtype_size(f->dtype), p_size = wg_dtype_size(f->p_dtype);
    const char *p = f->p + (size_t)done * p_size;
    for (int64_t len; n; n -= len, out += (size_t)len * size) {
        len = batch(n);
        bool wide = f->p_dtype == WG_FLOAT64;
        if (wide)
            draw_doubles(f->g, u, len, 0, 1);
        else
            draw_floats(f->g, narrow, len, 0, 1);
        for (int64_t i = 0; i < len; i++, p += p_size)
            u[i] = (wide ? u[i] : narrow[i]) < wg__load_double(p, f->p_dtype) ? 1.0 : 0.0;
        store_doubles(f->dtype, out, u, len);
    }
}
wg_status wg__rng_bernoulli_each(wg_generator *g, wg_dtype dtype, void *out, int64_t n, wg_dtype p_dtype,
                                 const void *p) {
    return in_pieces(&(fill){.g = g, .dtype = dtype, .p = p, .p_dtype = p_dtype}, out, n, bernoulli_each_piece);
}

/* ---- integers ---------------------------------------------------------------------------------------------------- */

static void one_word(const fill *f, int64_t *v, int64_t n) {
    uint32_t words[BATCH], range = (uint32_t)f->range;
    wg__mt_words(&f->g->mt, words, (size_t)n);
    for (int64_t i = 0; i < n; i++) v[i] = (int64_t)((uint64_t)f->from + words[i] % range);
}

static void two_words(const fill *f, int64_t *v, int64_t n) {
    uint32_t words[2 * BATCH];
    wg__mt_words(&f->g->mt, words, 2 * (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = wg__mt_join(words + 2 * i);
        v[i] = (int64_t)((uint64_t)f->from + (f->range ? word % f->range : word));
    }
}

static void integers(const fill *f, char *out, int64_t n, void (*draw)(const fill *f, int64_t *v, int64_t n)) {
    int64_t v[BATCH];
    size_t size = wg_dtype_size(f->dtype);
    for (int64_t len; n; n -= len, out += (size_t)len * size) {
        len = batch(n);
        draw(f, v, len);
        store_ints(f->dtype, out, v, len);
    }
}
static void one_word_piece(const fill *f, char *out, int64_t n, int64_t done) {
    (void)done;
    integers(f, out, n, one_word);
}
static void two_words_piece(const fill *f, char *out, int64_t n, int64_t done) {
    (void)done;
    integers(f, out, n, two_words);
}

wg_status wg__rng_integers(wg_generator *g, wg_dtype dtype, void *out, int64_t n, int64_t from, uint64_t range) {
    bool wide = range == 0 || range >= (uint64_t)1 << 28;
    fill f = {.g = g, .dtype = dtype, .from = from, .range = range};
    return in_pieces(&f, out, n, wide ? two_words_piece : one_word_piece);
}

wg_status wg__rng_random(wg_generator *g, wg_dtype dtype, void *out, int64_t n) {
    static const uint64_t ranges[WG_KERNEL_DTYPES] = {
        [WG_BOOL] = 2,
        [WG_UINT8] = 1u << 8,
        [WG_INT8] = 1u << 7,
        [WG_INT16] = 1u << 15,
        [WG_INT32] = 1u << 31,
        [WG_INT64] = (uint64_t)1 << 63,
        [WG_FLOAT16] = (1u << 11) + 1,
        [WG_BFLOAT16] = (1u << 8) + 1,
        [WG_FLOAT32] = (1u << 24) + 1,
        [WG_FLOAT64] = ((uint64_t)1 << 53) + 1,
    };
    fill f = {.g = g, .dtype = dtype, .range = ranges[dtype]};
    bool wide = dtype == WG_INT64 || dtype == WG_FLOAT64;
    return in_pieces(&f, out, n, wide ? two_words_piece : one_word_piece);
}

/* ---- permutations ------------------------------------------------------------------------------------------------ */

/* From here on PyTorch draws 64-bit words and builds the permutation inside out. */
#define LARGE_PERMUTATION 214748364

static void shuffle(wg_generator *g, int64_t *r, int64_t n, int64_t begin, int64_t end) {
    uint32_t words[BATCH];
    for (int64_t i = begin, len; i < end; i += len) {
        len = batch(end - i);
        wg__mt_words(&g->mt, words, (size_t)len);
        for (int64_t j = 0; j < len; j++) {
            int64_t *a = r + i + j, *b = a + words[j] % (uint32_t)(n - i - j), kept = *a;
            *a = *b;
            *b = kept;
        }
    }
}

static void inside_out(wg_generator *g, int64_t *r, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        uint32_t words[2];
        wg__mt_words(&g->mt, words, 2);
        int64_t z = (int64_t)(wg__mt_join(words) % (uint64_t)(i + 1));
        r[i] = r[z];
        r[z] = i;
    }
}

wg_status wg__rng_permutation(wg_generator *g, int64_t *out, int64_t n) {
    bool large = n >= LARGE_PERMUTATION;
    int64_t steps = large ? n : n - 1;
    for (int64_t i = 0; i < n; i++) out[i] = i;
    for (int64_t done = 0; done < steps;) {
        int64_t end = steps - done < PIECE ? steps : done + PIECE;
        pthread_mutex_lock(&g->lock);
        if (large)
            inside_out(g, out, done, end);
        else
            shuffle(g, out, n, done, end);
        pthread_mutex_unlock(&g->lock);
        done = end;
        if (done < steps && wg__poll()) return WG_ERR_INTERRUPTED;
    }
    return WG_OK;
}
