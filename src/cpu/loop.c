/* loop.c - from shapes to kernel calls: a nest of dims with byte strides is brought to as few dims as possible, the
 * innermost of which a kernel runs over. Big loops are split into chunks whose bounds depend only on the shape, so that
 * the bits do not depend on the number of threads.
 */
#include "cpu/loop.h"

#include <string.h>

#include "cpu/pool.h"

/* Chunks of work stay under a millisecond even for slow kernels, so that should_stop is asked often enough. */
enum { GRAIN = 32768 };

/* ---- one dimension ----------------------------------------------------------------------------------------------- */

typedef struct {
    wg_kernel k;
    int nargs; /* pointers, parameters included */
    char *p[WG_LOOP_MAX_ARGS + 1];
    ptrdiff_t stride[WG_LOOP_MAX_ARGS + 1];
} line;

static void run_line(void *context, int64_t begin, int64_t end) {
    const line *l = context;
    char *q[WG_LOOP_MAX_ARGS + 1];
    for (int a = 0; a < l->nargs; a++) q[a] = l->p[a] + begin * l->stride[a];
    l->k(q, l->stride, end - begin);
}

/* ---- results larger than caches: stored past them, which saves reading what is overwritten: a quarter of the traffic
 * of an addition. The kernel writes a piece that stays in the first-level cache, and the piece is streamed out.
 * --------- */

#ifdef __SSE2__
#include <emmintrin.h>
#define STREAMS 1
enum { PIECE = 512 };

static void stream_piece(char *to, const char *from, ptrdiff_t bytes) {
    for (ptrdiff_t i = 0; i < bytes; i += 64) {
        const __m128i *f = (const __m128i *)(const void *)(from + i);
        __m128i *t = (__m128i *)(void *)(to + i);
        __m128i a = _mm_load_si128(f), b = _mm_load_si128(f + 1), c = _mm_load_si128(f + 2), d = _mm_load_si128(f + 3);
        _mm_stream_si128(t, a);
        _mm_stream_si128(t + 1, b);
        _mm_stream_si128(t + 2, c);
        _mm_stream_si128(t + 3, d);
    }
}

static void run_line_streamed(void *context, int64_t begin, int64_t end) {
    _Alignas(64) char piece[PIECE];
    const line *l = context;
    const int64_t step = PIECE / l->stride[0];
    char *q[WG_LOOP_MAX_ARGS + 1];
    for (int64_t i = begin; i < end; i += step) {
        const int64_t n = end - i < step ? end - i : step, whole = n * l->stride[0] / 64 * 64 / l->stride[0];
        for (int a = 0; a < l->nargs; a++) q[a] = l->p[a] + i * l->stride[a];
        char *to = q[0];
        q[0] = piece;
        l->k(q, l->stride, n);
        stream_piece(to, piece, whole * l->stride[0]);
        if (whole < n)
            memcpy(to + whole * l->stride[0], piece + whole * l->stride[0], (size_t)((n - whole) * l->stride[0]));
    }
    _mm_sfence();
}

/* Functions of one argument mostly compute more than they move, and lose by short pieces: not these. */
static bool only_moves(wg_kernel k) {
    const wg_kernel *const light[] = {wg__cpu->wg_relu, wg__cpu->wg_neg, wg__cpu->wg_abs};
    for (size_t i = 0; i < sizeof(light) / sizeof(*light); i++)
        for (int d = 0; d < WG_KERNEL_DTYPES; d++)
            if (light[i][d] == k) return true;
    return false;
}

/* A result that no cache holds, and that is none of the inputs: what is read in place is there anyway. */
static bool wants_stream(const line *l, int64_t n) {
    const ptrdiff_t item = l->stride[0];
    enum { LARGE = 24 << 20 };
    if (item < 1 || item > 8 || (item & (item - 1)) || n * item < LARGE || ((uintptr_t)l->p[0] & 63)) return false;
    int read = 0;
    for (int a = 1; a < l->nargs; a++) {
        if (l->p[a] == l->p[0]) return false;
        read += l->stride[a] == item;
    }
    return read >= 2 || (read == 1 && only_moves(l->k));
}
#else
#define STREAMS 0
#endif

static wg_status flat(wg_kernel k, int nargs, char *const *p, const ptrdiff_t *stride, int64_t n) {
    if (n < GRAIN) {
        if (n > 0) k(p, stride, n);
        return WG_OK;
    }
    line l = {.k = k, .nargs = nargs};
    for (int a = 0; a < nargs; a++) {
        l.p[a] = p[a];
        l.stride[a] = stride[a];
    }
#if STREAMS
    if (wants_stream(&l, n)) return wg__parallel_for(n, GRAIN, run_line_streamed, &l);
#endif
    return wg__parallel_for(n, GRAIN, run_line, &l);
}

wg_status wg__loop_flat(wg_kernel k, int nargs, char *const *p, const ptrdiff_t *stride, int64_t n) {
    return flat(k, nargs, p, stride, n);
}

/* ---- many dimensions --------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t size;
    ptrdiff_t stride[WG_LOOP_MAX_ARGS + 1];
} dim;

typedef struct {
    wg_kernel k;
    int nargs, ndim;      /* dim[0] is the innermost */
    int64_t rows;         /* product of the outer sizes */
    int64_t pieces, step; /* a row is cut into pieces of step elements */
    char *p[WG_LOOP_MAX_ARGS + 1];
    dim dim[WG_MAX_DIMS];
} nest;

/* Does a belong inside b? By the output's strides, then the inputs'; an expanded dim (stride 0) says nothing. */
static bool inside(const dim *a, const dim *b, int nargs) {
    for (int i = 0; i < nargs; i++) {
        ptrdiff_t x = a->stride[i] < 0 ? -a->stride[i] : a->stride[i],
                  y = b->stride[i] < 0 ? -b->stride[i] : b->stride[i];
        if (x && y && x != y) return x < y;
    }
    return false;
}

/* Insertion sort that keeps the given order (last dim innermost) where strides do not decide. */
static void sort(nest *t) {
    for (int i = 1; i < t->ndim; i++)
        for (int j = i; j > 0 && inside(&t->dim[j], &t->dim[j - 1], t->nargs); j--) {
            dim swap = t->dim[j];
            t->dim[j] = t->dim[j - 1];
            t->dim[j - 1] = swap;
        }
}

static bool continues(const dim *outer, const dim *inner, int nargs) {
    for (int a = 0; a < nargs; a++)
        if (outer->stride[a] != inner->stride[a] * inner->size) return false;
    return true;
}

static void merge(nest *t) {
    int last = 0;
    for (int i = 1; i < t->ndim; i++) {
        if (continues(&t->dim[i], &t->dim[last], t->nargs))
            t->dim[last].size *= t->dim[i].size;
        else
            t->dim[++last] = t->dim[i];
    }
    t->ndim = last + 1;
}

/* Walks pieces [begin, end): piece i is the part i % pieces of row i / pieces. */
static void run_rows(void *context, int64_t begin, int64_t end) {
    const nest *t = context;
    int64_t index[WG_MAX_DIMS], row = begin / t->pieces, piece = begin % t->pieces;
    char *q[WG_LOOP_MAX_ARGS + 1], *r[WG_LOOP_MAX_ARGS + 1];
    memcpy(q, t->p, sizeof q);
    for (int d = 1; d < t->ndim; d++) {
        index[d] = row % t->dim[d].size;
        row /= t->dim[d].size;
        for (int a = 0; a < t->nargs; a++) q[a] += index[d] * t->dim[d].stride[a];
    }
    for (int64_t i = begin; i < end; i++) {
        const int64_t from = piece * t->step, left = t->dim[0].size - from;
        for (int a = 0; a < t->nargs; a++) r[a] = q[a] + from * t->dim[0].stride[a];
        t->k(r, t->dim[0].stride, left < t->step ? left : t->step);
        if (++piece < t->pieces) continue;
        piece = 0;
        for (int d = 1; d < t->ndim; d++) {
            for (int a = 0; a < t->nargs; a++) q[a] += t->dim[d].stride[a];
            if (++index[d] < t->dim[d].size) break;
            for (int a = 0; a < t->nargs; a++) q[a] -= t->dim[d].stride[a] * t->dim[d].size;
            index[d] = 0;
        }
    }
}

/* Fills the nest without dims of size 1. Returns the number of elements. */
static int64_t gather(nest *t, int ndim, const int64_t *sizes, const int64_t *const *strides, int nargs) {
    int64_t numel = 1;
    t->ndim = 0;
    for (int d = ndim - 1; d >= 0; d--) {
        numel *= sizes[d];
        if (sizes[d] == 1) continue;
        dim *to = &t->dim[t->ndim++];
        to->size = sizes[d];
        for (int a = 0; a < nargs; a++) to->stride[a] = (ptrdiff_t)strides[a][d];
        for (int a = nargs; a < t->nargs; a++) to->stride[a] = 0;
    }
    return numel;
}

wg_status wg__loop(wg_kernel k, int nargs, char *const *p, int ndim, const int64_t *sizes,
                   const int64_t *const *strides, char *params) {
    nest t;
    t.k = k;
    t.nargs = nargs + 1; /* parameters ride along with stride 0 */
    for (int a = 0; a < nargs; a++) t.p[a] = p[a];
    char unused = 0;
    t.p[nargs] = params ? params : &unused; /* an address that 0 may be added to */
    const int64_t numel = gather(&t, ndim, sizes, strides, nargs);
    if (numel == 0) return WG_OK;
    if (t.ndim == 0) {
        static const ptrdiff_t none[WG_LOOP_MAX_ARGS + 1];
        k(t.p, none, 1);
        return WG_OK;
    }
    sort(&t);
    merge(&t);
    if (t.ndim == 1) return flat(k, t.nargs, t.p, t.dim[0].stride, t.dim[0].size);
    t.rows = numel / t.dim[0].size;
    t.step = t.dim[0].size < 2 * GRAIN ? t.dim[0].size : GRAIN;
    t.pieces = (t.dim[0].size + t.step - 1) / t.step;
    const int64_t all = t.rows * t.pieces;
    if (numel < GRAIN) {
        run_rows(&t, 0, all);
        return WG_OK;
    }
    const int64_t grain = GRAIN / t.step;
    return wg__parallel_for(all, grain > 0 ? grain : 1, run_rows, &t);
}
