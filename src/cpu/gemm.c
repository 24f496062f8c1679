/* gemm.c - the matrix product of floats: which of the ways a product goes, blocking, packing, threads.
 *
 * The ways, by shape alone: matrix times vector; a handful of elements, one by one; small products straight from the
 * operands; the rest from slivers, packed per block of k so that the inner loops (isa_gemm.c) read them in order. Big
 * products may go to a BLAS (blas.c) in tiles that do not depend on the threads.
 *
 * Not here: integers (gemm_int.c).
 */
#include "cpu/gemm.h"

#include <stdatomic.h>
#include <string.h>

#include "core/alloc.h"
#include "cpu/blas.h"
#include "cpu/gemm_kernels.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

enum {
    TINY = 128,     /* m n k up to which a product is done one by one */
    BLOCK_M = 1536, /* rows of A packed at once */
    BLOCK_N = 3072, /* columns of B packed at once */
    TILE_M = 96,    /* a task's part of C, at most */
    TILE_N = 256,
    VECTOR_MOST = 2048, /* elements of a product with a vector that a task makes, at most */
    TASK = 1 << 19,     /* multiplications worth a task */
};

/* ---- kernels in use ---------------------------------------------------------------------------------------------- */

#define DECLARE(isa) extern const wg_gemm_table wg__gemm_table_##isa;
WG_ISAS(DECLARE)
#undef DECLARE

static const struct {
    const char *isa;
    const wg_gemm_table *table;
} tables[] = {
#define ENTRY(isa) {#isa, &wg__gemm_table_##isa},
    WG_ISAS(ENTRY)
#undef ENTRY
};

static _Atomic(const wg_gemm_table *) chosen;
static atomic_bool without_blas;

static const wg_gemm_table *table_of(const char *isa) {
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        if (strcmp(tables[i].isa, isa) == 0) return tables[i].table;
    return NULL;
}

static const wg_gemm_table *table(void) {
    const wg_gemm_table *t = atomic_load_explicit(&chosen, memory_order_acquire);
    if (WG_LIKELY(t != NULL)) return t;
    t = table_of(wg__isa_name());
    atomic_store_explicit(&chosen, t, memory_order_release);
    return t;
}

bool wg__gemm_use(const char *isa, bool blas) {
    if (isa && !wg__isa_supported(isa)) return false;
    atomic_store(&without_blas, !blas);
    atomic_store_explicit(&chosen, isa ? table_of(isa) : NULL, memory_order_release);
    return true;
}

/* ---- a product --------------------------------------------------------------------------------------------------- */

typedef struct product {
    const wg_gemm_table *table;
    const wg_gemm_kernels *kernels;
    size_t size; /* bytes of an element of A and B */
    int half;    /* A and B are 16-bit floats: 0 float16, 1 bfloat16; -1: they are what the kernels take */
    int64_t m, n, k;
    const char *a, *b;
    int64_t ra, ca, rb, cb;
    wg_gemm_out out; /* in the kernels' dtype */
} product;

static size_t compute_size(const product *p) { return p->half >= 0 ? sizeof(float) : p->size; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t parts(int64_t n, int64_t size) { return n / size + (n % size != 0); }
static int64_t round_up(int64_t n, int64_t to) { return parts(n, to) * to; }
/* The length of equal parts of n, each at most limit, a multiple of unit. */
static int64_t part_length(int64_t n, int64_t limit, int64_t unit) {
    return least(limit, round_up(parts(n, parts(n, limit)), unit));
}

static wg_gemm_out out_at(const product *p, int64_t i, int64_t j) {
    wg_gemm_out o = p->out;
    size_t size = compute_size(p);
    o.c = (char *)o.c + (i * o.rs + j * o.cs) * (int64_t)size;
    if (o.bias) o.bias = (const char *)o.bias + (size_t)j * size;
    return o;
}

/* ---- 16-bit floats ----------------------------------------------------------------------------------------------- */

/* n elements, any stride, as floats. */
static void load_halves(const product *p, float *to, const uint16_t *from, int64_t stride, int64_t n) {
    uint16_t run[256];
    while (stride != 1 && n > 0) {
        int64_t part = least(n, 256);
        for (int64_t i = 0; i < part; i++) run[i] = from[i * stride];
        p->table->to_float[p->half](to, run, part);
        to += part;
        from += part * stride;
        n -= part;
    }
    if (n > 0) p->table->to_float[p->half](to, from, n);
}

static void store_halves(const product *p, uint16_t *to, int64_t stride, const float *from, int64_t n) {
    uint16_t run[256];
    while (stride != 1 && n > 0) {
        int64_t part = least(n, 256);
        p->table->from_float[p->half](run, from, part);
        for (int64_t i = 0; i < part; i++) to[i * stride] = run[i];
        to += part * stride;
        from += part;
        n -= part;
    }
    if (n > 0) p->table->from_float[p->half](to, from, n);
}

/* A sliver of 16-bit floats: first as floats with the same layout, then packed as such. */
static void pack_halves(const product *p, int width, int64_t n, int64_t k, const uint16_t *from, int64_t si, int64_t sp,
                        float *to) {
    enum { RUN = 64 };
    float block[WG_GEMM_MOST_NR * RUN];
    for (int64_t q = 0; q < k; q += RUN, from += RUN * sp, to += RUN * width) {
        int64_t run = least(RUN, k - q);
        if (si == 1 && sp != 1) {
            for (int64_t r = 0; r < run; r++) load_halves(p, block + r * n, from + r * sp, 1, n);
            p->kernels->pack(width, n, run, block, 1, n, to);
        } else {
            for (int64_t i = 0; i < n; i++) load_halves(p, block + i * run, from + i * si, sp, run);
            p->kernels->pack(width, n, run, block, run, 1, to);
        }
    }
}

/* ---- slivers ----------------------------------------------------------------------------------------------------- */

/* One block of a product: rows [i, i + m), columns [j, j + n), and a part of k. */
typedef struct block {
    product p;
    int64_t slivers_a, slivers_b; /* how many are to be packed */
    char *a, *b;                  /* slivers */
    int64_t tile_m, tile_n, tiles_n;
} block;

static void pack(const product *p, int width, int64_t n, const char *from, int64_t si, int64_t sp, void *to) {
    if (p->half >= 0)
        pack_halves(p, width, n, p->k, (const uint16_t *)(const void *)from, si, sp, to);
    else
        p->kernels->pack(width, n, p->k, from, si, sp, to);
}

static void pack_slivers(void *ctx, int64_t begin, int64_t end) {
    const block *w = ctx;
    const product *p = &w->p;
    int64_t mr = p->kernels->mr, nr = p->kernels->nr, bytes = p->k * (int64_t)compute_size(p);
    for (int64_t s = begin; s < end; s++) {
        int64_t t = s - w->slivers_a;
        if (t < 0) {
            const char *from = p->a + s * mr * p->ra * (int64_t)p->size;
            pack(p, (int)mr, least(mr, p->m - s * mr), from, p->ra, p->ca, w->a + s * mr * bytes);
        } else {
            const char *from = p->b + t * nr * p->cb * (int64_t)p->size;
            pack(p, (int)nr, least(nr, p->n - t * nr), from, p->cb, p->rb, w->b + t * nr * bytes);
        }
    }
}

static void make_tiles(void *ctx, int64_t begin, int64_t end) {
    const block *w = ctx;
    const product *p = &w->p;
    int64_t bytes = p->k * (int64_t)compute_size(p);
    for (int64_t t = begin; t < end; t++) {
        int64_t i = t / w->tiles_n * w->tile_m, j = t % w->tiles_n * w->tile_n;
        wg_gemm_out o = out_at(p, i, j);
        p->kernels->block(least(w->tile_m, p->m - i), least(w->tile_n, p->n - j), p->k, w->a + i * bytes,
                          w->b + j * bytes, &o);
    }
}

static wg_status run_block(block *w) {
    int64_t mr = w->p.kernels->mr, nr = w->p.kernels->nr;
    int64_t slivers = w->slivers_a + w->slivers_b, grain = most(1, 32768 / (w->p.k * nr));
    wg_status status = wg__parallel_for(slivers, grain, pack_slivers, w);
    if (status) return status;
    w->tile_m = part_length(w->p.m, TILE_M, mr);
    w->tile_n = part_length(w->p.n, TILE_N, nr);
    w->tiles_n = parts(w->p.n, w->tile_n);
    grain = most(1, TASK / (w->tile_m * w->tile_n * w->p.k));
    return wg__parallel_for(parts(w->p.m, w->tile_m) * w->tiles_n, grain, make_tiles, w);
}

/* All rows, for columns [j, j + n) and k [q, q + kc). B's slivers are packed with the first block of rows. */
static wg_status run_columns(const product *p, int64_t j, int64_t n, int64_t q, int64_t kc, char *a, char *b) {
    int64_t mr = p->kernels->mr, nr = p->kernels->nr, size = (int64_t)p->size;
    for (int64_t i = 0; i < p->m; i += BLOCK_M) {
        block w = {.p = *p, .a = a, .b = b};
        w.p.m = least(BLOCK_M, p->m - i);
        w.p.n = n;
        w.p.k = kc;
        w.p.a += (i * p->ra + q * p->ca) * size;
        w.p.b += (q * p->rb + j * p->cb) * size;
        w.p.out = out_at(p, i, j);
        if (q > 0) {
            w.p.out.add = true;
            w.p.out.bias = NULL;
        }
        w.slivers_a = parts(w.p.m, mr);
        w.slivers_b = i == 0 ? parts(n, nr) : 0;
        wg_status status = run_block(&w);
        if (status) return status;
    }
    return WG_OK;
}

static wg_status by_slivers(const product *p) {
    int64_t kc = part_length(p->k, WG_GEMM_K, 4), size = (int64_t)compute_size(p);
    int64_t m = round_up(least(p->m, BLOCK_M), p->kernels->mr), n = round_up(least(p->n, BLOCK_N), p->kernels->nr);
    size_t a_bytes = (size_t)round_up(m * kc * size, 4096), bytes = a_bytes + (size_t)(n * kc * size);
    char *scratch = wg__alloc(bytes);
    if (!scratch) return WG_ERR_MEMORY;
    wg_status status = WG_OK;
    for (int64_t j = 0; j < p->n && !status; j += BLOCK_N)
        for (int64_t q = 0; q < p->k && !status; q += kc)
            status = run_columns(p, j, least(BLOCK_N, p->n - j), q, least(kc, p->k - q), scratch, scratch + a_bytes);
    wg__free(scratch, bytes);
    return status;
}

/* ---- small products ---------------------------------------------------------------------------------------------- */

static bool is_small(const product *p) {
    if (p->half >= 0 || p->k > WG_GEMM_K) return false;
    return p->k <= 16 ? p->cb == 1 || p->n <= 64 : p->m * p->n * p->k <= 112 * 112 * 112;
}

static void small_rows(void *ctx, int64_t begin, int64_t end) {
    const product *p = ctx;
    wg_gemm_out o = out_at(p, begin, 0);
    p->kernels->direct(end - begin, p->n, p->k, p->a + begin * p->ra * (int64_t)p->size, p->ra, p->ca, p->b, p->rb,
                       p->cb, &o);
}

static wg_status by_rows(product *p) {
    int64_t grain = round_up(most(1, TASK / (p->n * most(p->k, 8))), p->kernels->mr);
    return wg__parallel_for(p->m, grain, small_rows, p);
}

/* ---- matrix times vector ----------------------------------------------------------------------------------------- */

/* y[i] = sum over p of M[i * rl + p * rk] x[p], i < n. */
typedef struct vector_job {
    const product *p;
    const char *matrix;
    int64_t rl, rk, n, k;
    const void *x; /* contiguous, in the kernels' dtype */
    char *y;       /* in the product's dtype */
    int64_t ys, bias_step;
    bool add;
    const char *bias;
} vector_job;

#define FINISH(T)                                                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        T v = ((const T *)sums)[i], *y = (T *)(void *)j->y + (begin + i) * j->ys;                                      \
        if (j->add) v += *y;                                                                                           \
        if (j->bias) v += ((const T *)(const void *)j->bias)[(begin + i) * j->bias_step];                              \
        *y = v;                                                                                                        \
    }

static void finish_halves(const vector_job *j, int64_t begin, int64_t n, float *sums) {
    uint16_t *y = (uint16_t *)(void *)j->y + begin * j->ys;
    const uint16_t *bias = (const uint16_t *)(const void *)j->bias;
    float other[256];
    for (int64_t i = 0; i < n; i += 256) {
        int64_t part = least(256, n - i);
        if (bias) {
            load_halves(j->p, other, bias + (begin + i) * j->bias_step, j->bias_step, part);
            for (int64_t q = 0; q < part; q++) sums[i + q] += other[q];
        }
        if (j->add) {
            load_halves(j->p, other, y + i * j->ys, j->ys, part);
            for (int64_t q = 0; q < part; q++) sums[i + q] += other[q];
        }
    }
    store_halves(j->p, y, j->ys, sums, n);
}

static void finish(const vector_job *j, int64_t begin, int64_t n, void *sums) {
    if (j->p->half >= 0)
        finish_halves(j, begin, n, sums);
    else if (j->p->size == sizeof(float))
        FINISH(float)
    else
        FINISH(double)
}

/* Rows of 16-bit floats become floats piece by piece. */
static void half_dots(const vector_job *j, const uint16_t *rows, int64_t n, float *y) {
    enum { RUN = 1024, ROWS = 4 };
    float block[ROWS * RUN], part[ROWS];
    for (int64_t i = 0; i < n; i += ROWS) {
        int64_t r = least(ROWS, n - i);
        for (int64_t s = 0; s < r; s++) y[i + s] = 0;
        for (int64_t q = 0; q < j->k; q += RUN) {
            int64_t run = least(RUN, j->k - q);
            for (int64_t s = 0; s < r; s++) load_halves(j->p, block + s * RUN, rows + (i + s) * j->rl + q, 1, run);
            j->p->kernels->dots(r, run, block, RUN, (const float *)j->x + q, part);
            for (int64_t s = 0; s < r; s++) y[i + s] += part[s];
        }
    }
}

static void half_axpys(const vector_job *j, const uint16_t *columns, int64_t n, float *y) {
    enum { COLUMNS = 4 };
    float block[COLUMNS * VECTOR_MOST];
    for (int64_t q = 0; q < j->k; q += COLUMNS) {
        int64_t r = least(COLUMNS, j->k - q);
        for (int64_t s = 0; s < r; s++) load_halves(j->p, block + s * n, columns + (q + s) * j->rk, 1, n);
        j->p->kernels->axpys(n, r, block, n, (const float *)j->x + q, y, q > 0);
    }
}

static void vector_part(void *ctx, int64_t begin, int64_t end) {
    const vector_job *j = ctx;
    double sums[VECTOR_MOST];
    const char *m = j->matrix + begin * j->rl * (int64_t)j->p->size;
    int64_t n = end - begin;
    if (j->p->half >= 0) {
        const uint16_t *h = (const uint16_t *)(const void *)m;
        if (j->rk == 1)
            half_dots(j, h, n, (float *)sums);
        else
            half_axpys(j, h, n, (float *)sums);
    } else if (j->rk == 1) {
        j->p->kernels->dots(n, j->k, m, j->rl, j->x, sums);
    } else {
        j->p->kernels->axpys(n, j->k, m, j->rk, j->x, sums, false);
    }
    finish(j, begin, n, sums);
}

static int64_t vector_grain(const vector_job *j) {
    if (j->rk == 1) return least(VECTOR_MOST, round_up(most(1, 65536 / j->k), 4));
    return most(256, least(VECTOR_MOST, round_up(j->n / 8, 64)));
}

/* x as a run of the kernels' dtype. */
static void load_vector(const product *p, void *to, const char *from, int64_t stride, int64_t n) {
    if (p->half >= 0)
        load_halves(p, to, (const uint16_t *)(const void *)from, stride, n);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy((char *)to + (size_t)i * p->size, from + i * stride * (int64_t)p->size, p->size);
}

static wg_status run_vector(vector_job *j, const char *x, int64_t stride) {
    if (j->p->half < 0 && (stride == 1 || j->k == 1)) {
        j->x = x;
        return wg__parallel_for(j->n, vector_grain(j), vector_part, j);
    }
    size_t bytes = (size_t)j->k * compute_size(j->p);
    double small[64];
    void *copy = bytes <= sizeof(small) ? small : wg__alloc(bytes);
    if (!copy) return WG_ERR_MEMORY;
    load_vector(j->p, copy, x, stride, j->k);
    j->x = copy;
    wg_status status = wg__parallel_for(j->n, vector_grain(j), vector_part, j);
    if (copy != small) wg__free(copy, bytes);
    return status;
}

/* With one row or column; false when neither stride of the matrix is 1. c and bias are as the caller gave them. */
static bool by_vector(const product *p, void *c, const void *bias, wg_status *status) {
    vector_job j = {.p = p, .k = p->k, .y = c, .add = p->out.add, .bias = bias};
    const char *x;
    int64_t stride;
    if (p->n == 1) {
        j.matrix = p->a, j.rl = p->ra, j.rk = p->ca, j.n = p->m, j.ys = p->out.rs;
        x = p->b, stride = p->rb;
    } else {
        j.matrix = p->b, j.rl = p->cb, j.rk = p->rb, j.n = p->n, j.ys = p->out.cs, j.bias_step = 1;
        x = p->a, stride = p->ca;
    }
    if (j.k == 1 && j.rl != 1) j.rk = 1; /* the stride of a single element says nothing */
    if (j.n == 1 && j.rk != 1) j.rl = 1;
    if (j.rk != 1 && j.rl != 1) return false;
    *status = run_vector(&j, x, stride);
    return true;
}

/* ---- a BLAS ------------------------------------------------------------------------------------------------------ */

enum {
    BLAS_TILE = 512,      /* rows and columns that one call makes, at most: fixed, whatever the threads */
    BLAS_K = 2048,        /* terms that one call adds up, at most */
    BLAS_LEAST = 1 << 21, /* multiplications from which it is worth a call */
};

typedef struct blas_job {
    const product *p;
    const wg_blas *blas;
    int64_t tile_m, tile_n, tiles_n;
    int64_t q, k; /* the terms of this round: between rounds somebody may stop us */
} blas_job;

static int leading(int64_t unit, int64_t other) { return (int)(unit == 1 ? other : unit); }

static void blas_tile(const blas_job *j, int64_t i0, int64_t j0) {
    const product *p = j->p;
    int m = (int)least(j->tile_m, p->m - i0), n = (int)least(j->tile_n, p->n - j0);
    int ta = p->ca == 1 ? WG_BLAS_PLAIN : WG_BLAS_TRANSPOSED, tb = p->cb == 1 ? WG_BLAS_PLAIN : WG_BLAS_TRANSPOSED;
    int lda = leading(p->ca, p->ra), ldb = leading(p->cb, p->rb), ldc = (int)p->out.rs;
    wg_gemm_out o = out_at(p, i0, j0);
    const char *a = p->a + (i0 * p->ra + j->q * p->ca) * (int64_t)p->size;
    const char *b = p->b + (j->q * p->rb + j0 * p->cb) * (int64_t)p->size;
    double beta = p->out.add || j->q > 0 ? 1 : 0;
    if (p->size == sizeof(float))
        j->blas->sgemm(WG_BLAS_ROWS, ta, tb, m, n, (int)j->k, 1, (const float *)(const void *)a, lda,
                       (const float *)(const void *)b, ldb, (float)beta, o.c, ldc);
    else
        j->blas->dgemm(WG_BLAS_ROWS, ta, tb, m, n, (int)j->k, 1, (const double *)(const void *)a, lda,
                       (const double *)(const void *)b, ldb, beta, o.c, ldc);
}

static void add_bias(const product *p, int64_t i0, int64_t m, int64_t j0, int64_t n) {
    wg_gemm_out o = out_at(p, i0, j0);
    for (int64_t i = 0; i < m; i++)
        for (int64_t q = 0; q < n; q++) {
            int64_t at = i * o.rs + q;
            if (p->size == sizeof(float))
                ((float *)o.c)[at] += ((const float *)o.bias)[q];
            else
                ((double *)o.c)[at] += ((const double *)o.bias)[q];
        }
}

static void blas_tiles(void *ctx, int64_t begin, int64_t end) {
    const blas_job *j = ctx;
    for (int64_t t = begin; t < end; t++) {
        int64_t i0 = t / j->tiles_n * j->tile_m, j0 = t % j->tiles_n * j->tile_n;
        blas_tile(j, i0, j0);
        if (j->p->out.bias && j->q + j->k == j->p->k)
            add_bias(j->p, i0, least(j->tile_m, j->p->m - i0), j0, least(j->tile_n, j->p->n - j0));
    }
}

/* Rows or columns lie next to each other, and the distance from one to the next is one that a BLAS takes. */
static bool takes(int64_t rows, int64_t columns, int64_t rs, int64_t cs) {
    if (cs == 1) return rs >= most(1, columns) && rs <= INT32_MAX;
    return rs == 1 && cs >= most(1, rows) && cs <= INT32_MAX;
}

static const wg_blas *blas_for(const product *p) {
    if (p->half >= 0 || p->m < 16 || p->n < 16 || p->k < 16 || p->m * p->n < BLAS_LEAST / p->k) return NULL;
    if (p->out.cs != 1 || p->out.rs < p->n || p->out.rs > INT32_MAX) return NULL;
    if (!takes(p->m, p->k, p->ra, p->ca) || !takes(p->k, p->n, p->rb, p->cb)) return NULL;
    return atomic_load_explicit(&without_blas, memory_order_relaxed) ? NULL : wg__blas();
}

static wg_status by_blas(const product *p, const wg_blas *blas) {
    blas_job j = {
        .p = p, .blas = blas, .tile_m = part_length(p->m, BLAS_TILE, 16), .tile_n = part_length(p->n, BLAS_TILE, 16)};
    j.tiles_n = parts(p->n, j.tile_n);
    wg_status status = WG_OK;
    for (; j.q < p->k && !status; j.q += BLAS_K) {
        j.k = least(BLAS_K, p->k - j.q);
        int64_t grain = most(1, TASK / (j.tile_m * j.tile_n * j.k));
        status = wg__parallel_for(parts(p->m, j.tile_m) * j.tiles_n, grain, blas_tiles, &j);
    }
    return status;
}

/* ---- the ways ---------------------------------------------------------------------------------------------------- */

static wg_status run(product *p) {
    if (p->out.rs == 1 && p->out.cs != 1 && !p->out.bias) { /* by columns: the transposed product has rows */
        product t = *p;
        t.m = p->n, t.n = p->m;
        t.a = p->b, t.ra = p->cb, t.ca = p->rb;
        t.b = p->a, t.rb = p->ca, t.cb = p->ra;
        t.out.rs = p->out.cs, t.out.cs = 1;
        *p = t;
    }
    const wg_blas *blas = blas_for(p);
    if (blas) return by_blas(p, blas);
    return is_small(p) ? by_rows(p) : by_slivers(p);
}

/* Sums in floats, then one rounding into c. */
static wg_status run_halves(product *p, void *c, const void *bias) {
    size_t sums_bytes = (size_t)p->m * (size_t)p->n * sizeof(float), bias_bytes = (size_t)p->n * sizeof(float);
    if ((uint64_t)p->m > SIZE_MAX / 8 / (uint64_t)p->n) return WG_ERR_MEMORY;
    float *sums = wg__alloc(sums_bytes + bias_bytes);
    if (!sums) return WG_ERR_MEMORY;
    wg_gemm_out out = p->out;
    p->out = (wg_gemm_out){.c = sums, .rs = p->n, .cs = 1};
    if (bias) {
        load_halves(p, sums + p->m * p->n, bias, 1, p->n);
        p->out.bias = sums + p->m * p->n;
    }
    wg_status status = by_slivers(p);
    vector_job j = {.p = p, .y = c, .ys = out.cs, .add = out.add};
    for (int64_t i = 0; i < p->m && !status; i++, j.y += out.rs * (int64_t)sizeof(uint16_t))
        finish_halves(&j, 0, p->n, sums + i * p->n);
    wg__free(sums, sums_bytes + bias_bytes);
    return status;
}

/* k = 0: nothing but the bias. */
static void no_sum(const product *p, void *c, const void *bias) {
    double zeros[64] = {0};
    vector_job j = {.p = p, .y = c, .ys = p->out.cs, .add = p->out.add, .bias = bias, .bias_step = 1};
    for (int64_t i = 0; i < p->m; i++, j.y += p->out.rs * (int64_t)p->size)
        for (int64_t begin = 0; begin < p->n; begin += 64) {
            memset(zeros, 0, sizeof(zeros));
            finish(&j, begin, least(64, p->n - begin), zeros);
        }
}

static wg_status run_float(product *p, void *c, const void *bias) {
    wg_status status;
    if (p->k == 0) {
        no_sum(p, c, bias);
        return WG_OK;
    }
    if ((p->n == 1 || p->m == 1) && by_vector(p, c, bias, &status)) return status;
    return p->half >= 0 ? run_halves(p, c, bias) : run(p);
}

wg_status wg__gemm(wg_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t rsa, int64_t csa,
                   const void *b, int64_t rsb, int64_t csb, void *c, int64_t rsc, int64_t csc, bool accumulate,
                   const void *bias) {
    if (m <= 0 || n <= 0) return WG_OK;
    bool half = dtype == WG_FLOAT16 || dtype == WG_BFLOAT16;
    if (!half && dtype != WG_FLOAT32 && dtype != WG_FLOAT64)
        return wg__gemm_int(dtype, m, n, k, a, rsa, csa, b, rsb, csb, c, rsc, csc, accumulate, bias);
    const wg_gemm_table *t = table();
    product p = {.table = t,
                 .kernels = dtype == WG_FLOAT64 ? &t->f64 : &t->f32,
                 .half = half ? dtype == WG_BFLOAT16 : -1,
                 .size = half                  ? 2
                         : dtype == WG_FLOAT64 ? 8
                                               : 4,
                 .m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .b = b,
                 .ra = rsa,
                 .ca = csa,
                 .rb = rsb,
                 .cb = csb,
                 .out = {.c = c, .rs = rsc, .cs = csc, .add = accumulate, .bias = bias}};
    if (!half && m <= TINY && n <= TINY && k <= TINY && m * n * k <= TINY) {
        p.kernels->tiny(m, n, k, a, rsa, csa, b, rsb, csb, &p.out);
        return WG_OK;
    }
    return run_float(&p, c, bias);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

typedef struct batch_job {
    wg_dtype dtype;
    int64_t m, n, k;
    const char *a, *b;
    char *c;
    int64_t sa, rsa, csa, sb, rsb, csb, sc, rsc, csc;
    bool accumulate;
    atomic_int status; /* the first failure */
} batch_job;

static void run_batch(void *ctx, int64_t begin, int64_t end) {
    batch_job *j = ctx;
    int64_t size = (int64_t)wg_dtype_size(j->dtype);
    for (int64_t i = begin; i < end; i++) {
        wg_status s =
            wg__gemm(j->dtype, j->m, j->n, j->k, j->a + i * j->sa * size, j->rsa, j->csa, j->b + i * j->sb * size,
                     j->rsb, j->csb, j->c + i * j->sc * size, j->rsc, j->csc, j->accumulate, NULL);
        int none = WG_OK;
        if (s) atomic_compare_exchange_strong(&j->status, &none, (int)s);
    }
}

wg_status wg__gemm_batch(wg_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t sa,
                         int64_t rsa, int64_t csa, const void *b, int64_t sb, int64_t rsb, int64_t csb, void *c,
                         int64_t sc, int64_t rsc, int64_t csc, bool accumulate) {
    if (m <= 0 || n <= 0 || batch <= 0) return WG_OK;
    batch_job j = {.dtype = dtype,
                   .m = m,
                   .n = n,
                   .k = k,
                   .a = a,
                   .b = b,
                   .c = c,
                   .sa = sa,
                   .rsa = rsa,
                   .csa = csa,
                   .sb = sb,
                   .rsb = rsb,
                   .csb = csb,
                   .sc = sc,
                   .rsc = rsc,
                   .csc = csc,
                   .accumulate = accumulate};
    double work = (double)m * (double)n * (double)most(k, 1);
    if (work > 64.0 * TASK) { /* each has work for all threads */
        for (int64_t i = 0; i < batch && !j.status; i++) run_batch(&j, i, i + 1);
        return (wg_status)j.status;
    }
    wg_status status = wg__parallel_for(batch, most(1, (int64_t)(TASK / work)), run_batch, &j);
    return j.status ? (wg_status)j.status : status;
}
