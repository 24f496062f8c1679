/* copy.c - moving elements between layouts and dtypes, for kernels and the waist. No checks, no history.
 */
#include "core/apply.h"

#include "cpu/pool.h"

/* ---- copying ----------------------------------------------------------------------------------------------------- */

static bool same_layout(const wg_tensor *a, const wg_tensor *b) {
    if (!wg__same_sizes(a, b)) return false;
    if (a->flags & b->flags & TF_CONTIG) return true;
    return memcmp(a->dims, b->dims, (size_t)a->ndim * 16) == 0 && wg__is_dense(a->ndim, a->dims, wg__strides(a));
}

struct bytes {
    char *to;
    const char *from;
};
static void copy_range(void *ctx, int64_t begin, int64_t end) {
    struct bytes *b = ctx;
    memcpy(b->to + begin, b->from + begin, (size_t)(end - begin));
}

static wg_status copy_flat(wg_tensor *dst, const wg_tensor *src) {
    struct bytes b = {dst->data, src->data};
    int64_t bytes = dst->numel * (int64_t)wg__itemsize(dst);
    if (bytes <= (1 << 20)) {
        memcpy(b.to, b.from, (size_t)bytes);
        return WG_OK;
    }
    return wg__parallel_for(bytes, 1 << 19, copy_range, &b);
}

/* A matrix whose source runs along the other dim: square tiles, so that both sides stay in cache. */
#define TILE 32
struct tiles {
    char *to;
    const char *from;
    int64_t rows, cols, to_row, to_col, from_row, from_col; /* strides in bytes */
    size_t item;
};
#define TILE_LOOP(T)                                                                                                   \
    for (int64_t r = r0; r < r1; r++)                                                                                  \
        for (int64_t c = c0; c < c1; c++)                                                                              \
            memcpy(t->to + r * t->to_row + c * t->to_col, t->from + r * t->from_row + c * t->from_col, sizeof(T));
static void copy_tiles(void *ctx, int64_t begin, int64_t end) {
    const struct tiles *t = ctx;
    for (int64_t r0 = begin * TILE; r0 < end * TILE && r0 < t->rows; r0 += TILE)
        for (int64_t c0 = 0; c0 < t->cols; c0 += TILE) {
            int64_t r1 = r0 + TILE < t->rows ? r0 + TILE : t->rows, c1 = c0 + TILE < t->cols ? c0 + TILE : t->cols;
            switch (t->item) {
            case 1: TILE_LOOP(uint8_t) break;
            case 2: TILE_LOOP(uint16_t) break;
            case 4: TILE_LOOP(uint32_t) break;
            default: TILE_LOOP(uint64_t) break;
            }
        }
}

static bool transposed(const wg_tensor *dst, const wg_tensor *src) {
    return dst->ndim == 2 && dst->dtype == src->dtype && (dst->flags & TF_CONTIG) && wg__strides(src)[0] == 1 &&
           dst->dims[0] >= TILE && dst->dims[1] >= 4;
}

static wg_status copy_transposed(wg_tensor *dst, const wg_tensor *src) {
    int64_t item = (int64_t)wg__itemsize(dst);
    struct tiles t = {dst->data,
                      src->data,
                      dst->dims[0],
                      dst->dims[1],
                      wg__strides(dst)[0] * item,
                      wg__strides(dst)[1] * item,
                      wg__strides(src)[0] * item,
                      wg__strides(src)[1] * item,
                      (size_t)item};
    int64_t bands = (t.rows + TILE - 1) / TILE, grain = 262144 / (TILE * t.cols) + 1;
    return wg__parallel_for(bands, grain, copy_tiles, &t);
}

static wg_status copy_strided(wg_tensor *dst, const wg_tensor *src, wg_kernel k) {
    int64_t to[WG_MAX_DIMS], from[WG_MAX_DIMS];
    const int64_t *strides[2] = {to, from};
    char *p[2] = {dst->data, src->data};
    wg__broadcast_strides(dst, dst->ndim, dst->dims, to);
    wg__broadcast_strides(src, dst->ndim, dst->dims, from);
    return wg__loop(k, 2, p, dst->ndim, dst->dims, strides, NULL);
}

wg_status wg__copy_into(wg_tensor *dst, const wg_tensor *src) {
    if (dst->numel == 0) return WG_OK;
    if (dst->dtype == src->dtype) {
        if (same_layout(dst, src)) return copy_flat(dst, src);
        if (wg__same_sizes(dst, src) && transposed(dst, src)) return copy_transposed(dst, src);
        return copy_strided(dst, src, wg__copy_kernel(wg__itemsize(dst)));
    }
    return copy_strided(dst, src, wg__cast_kernel((wg_dtype)src->dtype, (wg_dtype)dst->dtype));
}

wg_tensor *wg__contiguous(wg_tensor *t, wg_dtype dtype) {
    bool aligned = ((uintptr_t)t->data & (wg__itemsize(t) - 1)) == 0;
    if (t->dtype == dtype && (t->flags & TF_CONTIG) && aligned) return wg__retain_safe(t);
    wg_tensor *c = wg__tensor_new(dtype, t->ndim, t->dims, NULL);
    wg_status st = c ? wg__copy_into(c, t) : WG_OK;
    if (st == WG_OK) return c;
    wg__raise(st, NULL, "a copy was interrupted"); /* a caller that finds NULL believes in a lack of memory */
    wg_release(c);
    return NULL;
}

wg_tensor *wg__temp(wg_dtype dtype, int ndim, const int64_t *sizes) { return wg__tensor_new(dtype, ndim, sizes, NULL); }

/* ---- filling ----------------------------------------------------------------------------------------------------- */

static void zero_range(void *ctx, int64_t begin, int64_t end) { memset((char *)ctx + begin, 0, (size_t)(end - begin)); }

wg_status wg__fill_zero(wg_tensor *t) {
    static const uint64_t zero;
    if (!(t->flags & TF_CONTIG)) return wg__fill_value(t, &zero);
    int64_t bytes = t->numel * (int64_t)wg__itemsize(t);
    if (bytes > (1 << 20)) return wg__parallel_for(bytes, 1 << 19, zero_range, t->data);
    if (bytes) memset(t->data, 0, (size_t)bytes);
    return WG_OK;
}

wg_status wg__fill_value(wg_tensor *t, const void *value) {
    enum { SMALL = 32768 };
    size_t size = wg__itemsize(t);
    if ((t->flags & TF_CONTIG) && t->numel < SMALL && ((uintptr_t)t->data & (size - 1)) == 0) {
        char *one[2] = {t->data, (char *)(uintptr_t)value};
        ptrdiff_t step[2] = {(ptrdiff_t)size, 0};
        wg__fill_kernel(size)(one, step, t->numel);
        return WG_OK;
    }
    int64_t to[WG_MAX_DIMS], from[WG_MAX_DIMS] = {0};
    const int64_t *strides[2] = {to, from};
    char *p[2] = {t->data, (char *)(uintptr_t)value};
    if (t->numel == 0) return WG_OK;
    int64_t sizes[WG_MAX_DIMS]; /* of a repeated dim one is enough, and two threads shall not meet there */
    wg__broadcast_strides(t, t->ndim, t->dims, to);
    for (int i = 0; i < t->ndim; i++) sizes[i] = to[i] ? t->dims[i] : 1;
    return wg__loop(wg__fill_kernel(size), 2, p, t->ndim, sizes, strides, NULL);
}
