/* gemm_stamp.h - the inner loops of the matrix product for one dtype. Included by isa_gemm.c with
 *
 *   T    the element       SFX  its suffix: f32       VL  elements of a vector
 *
 * defined; undefines them. A tile of MR x NV vectors stays in registers; everything around it only feeds it. Each
 * element of C is summed over p in ascending order within a block of k, so its bits depend on nothing but the block.
 */

#define NR (NV * VL)
#define NAME(x) WG_PASTE(x, SFX)
#define VEC NAME(vec)
#define MEM NAME(mem)

typedef T VEC __attribute__((vector_size(VL * sizeof(T))));
typedef T MEM __attribute__((vector_size(VL * sizeof(T)), aligned(sizeof(T)), may_alias));

INLINE VEC NAME(load)(const T *p) { return *(const MEM *)p; }
INLINE void NAME(store)(T *p, VEC v) { *(MEM *)p = v; }
INLINE VEC NAME(all)(T x) { return x - (VEC){0}; } /* x - 0 is x for every x, so that it costs nothing; x + 0 is not */

/* ---- the tile ----------------------------------------------------------------------------------------------------- */

/* n < 2 NR elements, as a few moves of fixed size. */
INLINE void NAME(move)(T *to, const T *from, int64_t n) {
    UNROLL for (int h = NR; h; h /= 2) {
        if (!(n & h)) continue;
        memcpy(to, from, (size_t)h * sizeof(T));
        to += h;
        from += h;
    }
}

/* One row of a tile into C when it is not a run of whole vectors; v is scratch too. */
static NOINLINE void NAME(put_row)(T *v, int64_t row, int64_t cols, const wg_gemm_out *o) {
    T *c = (T *)o->c + row * o->rs;
    const T *bias = o->bias;
    if (o->cs == 1 && !o->add && !bias) {
        NAME(move)(c, v, cols);
        return;
    }
    for (int64_t j = 0; j < cols; j++) {
        T x = v[j];
        if (o->add) x += c[j * o->cs];
        if (bias) x += bias[j];
        c[j * o->cs] = x;
    }
}

/* R rows, N vectors wide, of which cols elements are C's. */
INLINE void NAME(tile)(const int R, const int N, int64_t k, const T *a, int64_t ra, int64_t ca, const T *b, int64_t rb,
                       int64_t cols, const wg_gemm_out *o) {
    VEC acc[MR][NV];
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < N; j++) acc[i][j] = (VEC){0};
    const T *rows[MR / 3]; /* three rows are reached from one pointer: all pointers stay in registers */
    UNROLL for (int i = 0; i < (R + 2) / 3; i++) rows[i] = a + 3 * i * ra;
    for (int64_t p = 0; p < k; p++, b += rb) {
        VEC v[NV];
        UNROLL for (int j = 0; j < N; j++) v[j] = NAME(load)(b + j * VL);
        UNROLL for (int i = 0; i < R; i++) {
            VEC x = NAME(all)(rows[i / 3][i % 3 * ra]);
            if (i % 3 == 2 || i == R - 1) rows[i / 3] += ca;
            UNROLL for (int j = 0; j < N; j++) acc[i][j] += x * v[j];
        }
    }
    if (o->cs != 1 || cols != N * VL) {
        T row[NR];
        UNROLL for (int i = 0; i < R; i++) {
            UNROLL for (int j = 0; j < N; j++) NAME(store)(row + j * VL, acc[i][j]);
            NAME(put_row)(row, i, cols, o);
        }
        return;
    }
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < N; j++) {
        T *c = (T *)o->c + i * o->rs + j * VL;
        if (o->add) acc[i][j] += NAME(load)(c);
        if (o->bias) acc[i][j] += NAME(load)((const T *)o->bias + j * VL);
        NAME(store)(c, acc[i][j]);
    }
}

typedef void (*NAME(tile_fn))(int64_t k, const T *a, int64_t ra, int64_t ca, const T *b, int64_t rb, int64_t cols,
                              const wg_gemm_out *o);
#define TILE(R, N)                                                                                                    \
    static NOINLINE void NAME(tile_##R##_##N##_)(int64_t k, const T *a, int64_t ra, int64_t ca, const T *b,           \
                                                 int64_t rb, int64_t cols, const wg_gemm_out *o) {                    \
        NAME(tile)(R, N, k, a, ra, ca, b, rb, cols, o);                                                               \
    }
#define TILES(R) TILE(R, 1) TILE(R, 2)
FOR_EACH_ROW(TILES)
#define ENTRY(R) {NAME(tile_##R##_1_), NAME(tile_##R##_2_)},
static const NAME(tile_fn) NAME(tiles)[MR][NV] = {FOR_EACH_ROW(ENTRY)};

/* The hot one: a whole tile from slivers. */
static NOINLINE void NAME(whole)(int64_t k, const T *a, const T *b, const wg_gemm_out *o) {
    NAME(tile)(MR, NV, k, a, 1, MR, b, NR, NR, o);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

static void NAME(block)(int64_t m, int64_t n, int64_t k, const void *a, const void *b, const wg_gemm_out *out) {
    for (int64_t j = 0; j < n; j += NR) {
        const T *bs = (const T *)b + j * k, *as = a;
        int64_t cols = n - j < NR ? n - j : NR;
        wg_gemm_out o = *out;
        if (o.bias) o.bias = (const T *)o.bias + j;
        for (int64_t i = 0; i < m; i += MR, as += MR * k) {
            int64_t rows = m - i < MR ? m - i : MR;
            o.c = (T *)out->c + i * out->rs + j * out->cs;
            if (rows == MR && cols == NR && o.cs == 1) NAME(whole)(k, as, bs, &o);
            else NAME(tiles)[rows - 1][(cols - 1) / VL](k, as, 1, MR, bs, NR, cols, &o);
        }
    }
}

/* ---- slivers ------------------------------------------------------------------------------------------------------ */

/* From runs along i: rows are copied. */
INLINE void NAME(pack_runs)(const int width, int64_t k, const T *from, int64_t sp, T *to) {
    for (int64_t p = 0; p < k; p++, from += sp, to += width) memcpy(to, from, (size_t)width * sizeof(T));
}

static void NAME(pack_part_runs)(int width, int64_t n, int64_t k, const T *from, int64_t sp, T *to) {
    for (int64_t p = 0; p < k; p++, from += sp, to += width) {
        NAME(move)(to, from, n);
        for (int64_t i = n; i < width; i++) to[i] = 0;
    }
}

/* From runs along p: blocks are transposed. */
static void NAME(pack_across)(int width, int64_t n, int64_t k, const T *from, int64_t si, T *to) {
    enum { B = 16 / sizeof(T) };
    int64_t whole = n / B * B, p = 0;
    for (; p + B <= k; p += B) {
        for (int64_t i = 0; i < whole; i += B) NAME(transpose)(from + i * si + p, si, to + p * width + i, width);
        for (int64_t i = whole; i < width; i++)
            UNROLL for (int q = 0; q < (int)B; q++) to[(p + q) * width + i] = i < n ? from[i * si + p + q] : 0;
    }
    for (; p < k; p++)
        for (int64_t i = 0; i < width; i++) to[p * width + i] = i < n ? from[i * si + p] : 0;
}

static void NAME(pack)(int width, int64_t n, int64_t k, const void *from, int64_t si, int64_t sp, void *to) {
    const T *f = from;
    T *t = to;
    if (si == 1 && n == NR && width == NR) NAME(pack_runs)(NR, k, f, sp, t);
    else if (si == 1 && n == MR && width == MR) NAME(pack_runs)(MR, k, f, sp, t);
    else if (si == 1) NAME(pack_part_runs)(width, n, k, f, sp, t);
    else if (sp == 1) NAME(pack_across)(width, n, k, f, si, t);
    else
        for (int64_t p = 0; p < k; p++)
            for (int64_t i = 0; i < width; i++) t[p * width + i] = i < n ? f[i * si + p * sp] : 0;
}

/* ---- without slivers ---------------------------------------------------------------------------------------------- */

/* Only the columns that fill no vector are copied, for the tile loads whole vectors; all of them when they lie across. */
static void NAME(direct)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ra, int64_t ca, const void *b,
                         int64_t rb, int64_t cb, const wg_gemm_out *out) {
    T sliver[WG_GEMM_K * NR] __attribute__((aligned(64)));
    for (int64_t j = 0; j < n; j += NR) {
        int64_t cols = n - j < NR ? n - j : NR, step = rb;
        const T *bs = (const T *)b + j * cb;
        if (cols % VL || cb != 1) {
            int width = cols > VL ? NR : VL;
            NAME(pack)(width, cols, k, bs, cb, rb, sliver);
            bs = sliver;
            step = width;
        }
        wg_gemm_out o = *out;
        if (o.bias) o.bias = (const T *)o.bias + j;
        for (int64_t i = 0; i < m; i += MR) {
            int64_t rows = m - i < MR ? m - i : MR;
            o.c = (T *)out->c + i * out->rs + j * out->cs;
            NAME(tiles)[rows - 1][(cols - 1) / VL](k, (const T *)a + i * ra, ra, ca, bs, step, cols, &o);
        }
    }
}

static void NAME(tiny)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ra, int64_t ca, const void *b,
                       int64_t rb, int64_t cb, const wg_gemm_out *out) {
    const T *bias = out->bias;
    for (int64_t i = 0; i < m; i++) {
        T *c = (T *)out->c + i * out->rs;
        for (int64_t j = 0; j < n; j++, c += out->cs) {
            const T *x = (const T *)a + i * ra, *y = (const T *)b + j * cb;
            T s = 0;
            for (int64_t p = 0; p < k; p++) s += x[p * ca] * y[p * rb];
            if (out->add) s += *c;
            *c = bias ? s + bias[j] : s;
        }
    }
}

/* ---- vectors ------------------------------------------------------------------------------------------------------ */

/* The elements of v, added as a tree. */
INLINE T NAME(sum)(VEC v) {
    T x[VL];
    NAME(store)(x, v);
    UNROLL for (int h = VL / 2; h; h /= 2) UNROLL for (int i = 0; i < h; i++) x[i] += x[i + h];
    return x[0];
}

/* R dots at once share the loads of x. */
INLINE void NAME(dot_rows)(const int R, int64_t k, const T *a, int64_t ra, const T *x, T *y) {
    VEC acc[4][2];
    UNROLL for (int i = 0; i < R; i++) acc[i][0] = acc[i][1] = (VEC){0};
    int64_t p = 0;
    for (; p + 2 * VL <= k; p += 2 * VL) {
        VEC x0 = NAME(load)(x + p), x1 = NAME(load)(x + p + VL);
        UNROLL for (int i = 0; i < R; i++) {
            acc[i][0] += NAME(load)(a + i * ra + p) * x0;
            acc[i][1] += NAME(load)(a + i * ra + p + VL) * x1;
        }
    }
    UNROLL for (int i = 0; i < R; i++) {
        T tail = 0;
        for (int64_t q = p; q < k; q++) tail += a[i * ra + q] * x[q];
        y[i] = NAME(sum)(acc[i][0] + acc[i][1]) + tail;
    }
}

static void NAME(dots)(int64_t m, int64_t k, const void *a, int64_t ra, const void *x, void *y) {
    const T *row = a;
    T *to = y;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) NAME(dot_rows)(4, k, row + i * ra, ra, x, to + i);
    for (; i < m; i++) NAME(dot_rows)(1, k, row + i * ra, ra, x, to + i);
}

/* y += four columns, or their sum when first. */
INLINE void NAME(axpy4)(int64_t m, const T *a, int64_t ca, const T *x, T *y, const bool first) {
    VEC x0 = NAME(all)(x[0]), x1 = NAME(all)(x[1]), x2 = NAME(all)(x[2]), x3 = NAME(all)(x[3]);
    int64_t i = 0;
    for (; i + VL <= m; i += VL) {
        VEC s = first ? (VEC){0} : NAME(load)(y + i);
        s += NAME(load)(a + i) * x0;
        s += NAME(load)(a + i + ca) * x1;
        s += NAME(load)(a + i + 2 * ca) * x2;
        s += NAME(load)(a + i + 3 * ca) * x3;
        NAME(store)(y + i, s);
    }
    for (; i < m; i++) {
        T s = first ? 0 : y[i];
        s += a[i] * x[0];
        s += a[i + ca] * x[1];
        s += a[i + 2 * ca] * x[2];
        s += a[i + 3 * ca] * x[3];
        y[i] = s;
    }
}

static void NAME(axpy1)(int64_t m, const T *a, T x, T *y) {
    for (int64_t i = 0; i < m; i++) y[i] += a[i] * x;
}

static void NAME(axpys)(int64_t m, int64_t k, const void *a, int64_t ca, const void *x, void *y, bool add) {
    const T *col = a, *by = x;
    int64_t p = 0;
    if (!add && k >= 4) {
        NAME(axpy4)(m, col, ca, by, y, true);
        p = 4;
    } else if (!add) {
        memset(y, 0, (size_t)m * sizeof(T));
    }
    for (; p + 4 <= k; p += 4) NAME(axpy4)(m, col + p * ca, ca, by + p, y, false);
    for (; p < k; p++) NAME(axpy1)(m, col + p * ca, by[p], y);
}

#undef NR
#undef NAME
#undef VEC
#undef MEM
#undef TILE
#undef TILES
#undef ENTRY
#undef T
#undef SFX
#undef VL
