/* print_format.c - a tensor as text, byte for byte as PyTorch's repr: number formats, columns, line breaks,
 * summarising, suffixes. It sees memory through struct wg__print_view; options, handles and files are in print.c.
 *
 * The order of work is PyTorch's: choose a format from the values shown (all, or the edges of long dimensions), write
 * the body with every cell right-justified to one width, then place the suffixes.
 */
#include "core/print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/alloc.h"

/* ---- text -------------------------------------------------------------------------------------------------------- */

static bool grow(wg__text *t, size_t more) {
    if (t->failed) return false;
    if (t->capacity - t->n > more) return true;
    size_t capacity = (t->n + more + 1) * 3 / 2 + 64;
    char *s = wg__malloc(capacity);
    if (!s) {
        t->failed = true;
        return false;
    }
    if (t->n) memcpy(s, t->s, t->n);
    wg__mfree(t->s, t->capacity);
    t->s = s;
    t->capacity = capacity;
    return true;
}

void wg__text_free(wg__text *t) {
    wg__mfree(t->s, t->capacity);
    *t = (wg__text){0};
}

void wg__text_add(wg__text *t, const char *s, size_t n) {
    if (!grow(t, n)) return;
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}
static void put(wg__text *t, const char *s) { wg__text_add(t, s, strlen(s)); }

static void put_repeated(wg__text *t, char c, int64_t n) {
    if (n <= 0 || !grow(t, (size_t)n)) return;
    memset(t->s + t->n, c, (size_t)n);
    t->n += (size_t)n;
    t->s[t->n] = 0;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

enum { CELL = 1400 }; /* sign, 309 digits, point, at most 1000 decimals */

/* printf writes the locale's decimal point: whatever is not part of a number otherwise becomes '.'. */
static int without_locale(char *s) {
    int n = 0;
    bool in_point = false;
    for (const char *c = s; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || *c == '-' || *c == '+' || *c == 'e';
        if (plain)
            s[n++] = *c;
        else if (!in_point)
            s[n++] = '.';
        in_point = !plain;
    }
    s[n] = 0;
    return n;
}

typedef struct format {
    wg_dtype dtype;
    bool floating, integral_values, scientific;
    int precision, width;
} format;

static double load_float(const void *p, wg_dtype dtype) {
    float f;
    double d;
    uint16_t h;
    switch (dtype) {
    case WG_FLOAT64: memcpy(&d, p, sizeof d); return d;
    case WG_FLOAT32: memcpy(&f, p, sizeof f); return (double)f;
    default: break;
    }
    memcpy(&h, p, sizeof h);
    return (double)(dtype == WG_FLOAT16 ? wg__half_to_float(h) : wg__bfloat_to_float(h));
}

static int64_t load_int(const void *p, wg_dtype dtype) {
    int16_t s;
    int32_t i;
    int64_t l;
    switch (dtype) {
    case WG_INT8: return *(const int8_t *)p;
    case WG_INT16: memcpy(&s, p, sizeof s); return s;
    case WG_INT32: memcpy(&i, p, sizeof i); return i;
    case WG_INT64: memcpy(&l, p, sizeof l); return l;
    default: return *(const uint8_t *)p;
    }
}

static int float_text(const format *f, double v, char *cell) {
    if (isnan(v)) return snprintf(cell, CELL, "nan");
    if (isinf(v)) return snprintf(cell, CELL, v < 0 ? "-inf" : "inf");
    if (f->scientific) {
        snprintf(cell, CELL, "%.*e", f->precision, v);
    } else if (f->integral_values) {
        int n = snprintf(cell, CELL, "%.0f", v);
        cell[n] = '.';
        cell[n + 1] = 0;
        return n + 1;
    } else {
        snprintf(cell, CELL, "%.*f", f->precision, v);
    }
    return without_locale(cell);
}

static int cell_text(const format *f, const char *p, char *cell) {
    if (f->floating) return float_text(f, load_float(p, f->dtype), cell);
    int64_t v = load_int(p, f->dtype);
    if (f->dtype == WG_BOOL) return snprintf(cell, CELL, v ? "True" : "False");
    return snprintf(cell, CELL, "%lld", (long long)v);
}

/* ---- choosing the format ----------------------------------------------------------------------------------------- */

/* Extremes of the values shown. Text length grows with magnitude for each sign and each notation (in scientific
 * notation also towards 1e-100), so the longest text is that of an extreme. */
typedef struct scan {
    wg_dtype dtype;
    bool any, integral_values;
    double least[2], most[2]; /* magnitudes of finite non-zero floats, by sign */
    int64_t low, high;        /* of integers */
} scan;

static void scan_float(scan *s, double v) {
    if (!isfinite(v) || v == 0) return;
    double magnitude = fabs(v);
    int negative = v < 0;
    if (s->least[negative] == 0 || magnitude < s->least[negative]) s->least[negative] = magnitude;
    if (magnitude > s->most[negative]) s->most[negative] = magnitude;
    if (v != ceil(v)) s->integral_values = false;
    s->any = true;
}

static void scan_int(scan *s, int64_t v) {
    if (!s->any || v < s->low) s->low = v;
    if (!s->any || v > s->high) s->high = v;
    s->any = true;
}

/* Visits what is shown: when summarising, only the edges of long dimensions. At most WG_MAX_DIMS deep. */
static void scan_shown(scan *s, const wg__print_view *v, int dim, const char *p, int64_t edge) {
    if (dim == v->ndim) {
        if (wg_dtype_is_floating(s->dtype))
            scan_float(s, load_float(p, s->dtype));
        else
            scan_int(s, load_int(p, s->dtype));
        return;
    }
    int64_t n = v->sizes[dim];
    ptrdiff_t step = (ptrdiff_t)v->strides[dim] * (ptrdiff_t)wg_dtype_size(s->dtype);
    bool cut = edge >= 0 && n > 2 * edge;
    for (int64_t i = 0; i < n; i++) {
        if (cut && i == edge) i = n - edge;
        if (i < n) scan_shown(s, v, dim + 1, p + i * step, edge);
    }
}

static bool wants_scientific(const scan *s, const wg_print_options *o) {
    if (o->sci_mode != WG_SCI_AUTO) return o->sci_mode == WG_SCI_ON;
    double least = s->least[0], most = fmax(s->most[0], s->most[1]);
    if (least == 0 || (s->least[1] != 0 && s->least[1] < least)) least = s->least[1];
    return most / least > 1000 || most > 1e8 || (!s->integral_values && least < 1e-4);
}

static int longest_float(const format *f, const scan *s) {
    char cell[CELL];
    int width = 1;
    for (int negative = 0; negative < 2; negative++) {
        double sign = negative ? -1 : 1, extremes[2] = {s->least[negative], s->most[negative]};
        for (int i = 0; i < 2; i++) {
            int n = extremes[i] == 0 ? 0 : float_text(f, sign * extremes[i], cell);
            if (n > width) width = n;
        }
    }
    return width;
}

static format choose_format(const wg__print_view *v, const wg_print_options *o, int64_t edge) {
    scan s = {.dtype = v->dtype, .integral_values = true};
    char cell[CELL];
    format f = {.dtype = v->dtype, .floating = wg_dtype_is_floating(v->dtype), .precision = o->precision};
    scan_shown(&s, v, 0, v->data, edge);
    if (f.floating) {
        f.integral_values = s.integral_values;
        f.scientific = s.any && wants_scientific(&s, o);
        f.width = longest_float(&f, &s);
    } else if (s.any) {
        bool is_bool = v->dtype == WG_BOOL;
        int low = is_bool ? 4 + (s.low == 0) : snprintf(cell, CELL, "%lld", (long long)s.low);
        int high = is_bool ? 0 : snprintf(cell, CELL, "%lld", (long long)s.high);
        f.width = low > high ? low : high;
    }
    return f;
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

typedef struct body {
    const wg__print_view *v;
    const format *f;
    wg__text *out;
    int64_t edge; /* -1: not summarised */
    int64_t linewidth;
} body;

static void put_cell(const body *b, const char *p) {
    char cell[CELL];
    int n = cell_text(b->f, p, cell);
    put_repeated(b->out, ' ', b->f->width - n);
    wg__text_add(b->out, cell, (size_t)n);
}

/* One row: cells joined by ", ", so many to a line as fit. A cut row has a cell " ..." between its edges. */
static void put_row(const body *b, int dim, const char *p, int64_t indent) {
    int64_t n = b->v->sizes[dim], fit = (b->linewidth - indent) / (b->f->width + 2);
    bool cut = b->edge >= 0 && n > 2 * b->edge;
    int64_t cells = cut ? 2 * b->edge + 1 : n;
    ptrdiff_t step = (ptrdiff_t)b->v->strides[dim] * (ptrdiff_t)wg_dtype_size(b->v->dtype);
    if (fit < 1) fit = 1;
    put(b->out, "[");
    for (int64_t i = 0; i < cells; i++) {
        if (i && i % fit == 0) {
            put(b->out, ",\n");
            put_repeated(b->out, ' ', indent + 1);
        } else if (i) {
            put(b->out, ", ");
        }
        if (cut && i == b->edge)
            put(b->out, " ...");
        else
            put_cell(b, p + (cut && i > b->edge ? n - cells + i : i) * step);
    }
    put(b->out, "]");
}

/* Dimensions dim and on, from column indent. At most WG_MAX_DIMS deep. */
static void put_dims(const body *b, int dim, const char *p, int64_t indent) {
    if (dim == b->v->ndim - 1) {
        put_row(b, dim, p, indent);
        return;
    }
    int64_t n = b->v->sizes[dim];
    bool cut = b->edge >= 0 && n > 2 * b->edge;
    ptrdiff_t step = (ptrdiff_t)b->v->strides[dim] * (ptrdiff_t)wg_dtype_size(b->v->dtype);
    int64_t children = cut ? 2 * b->edge + 1 : n;
    put(b->out, "[");
    for (int64_t i = 0; i < children; i++) {
        if (i) {
            put(b->out, ",");
            put_repeated(b->out, '\n', b->v->ndim - dim - 1);
            put_repeated(b->out, ' ', indent + 1);
        }
        if (cut && i == b->edge)
            put(b->out, "...");
        else
            put_dims(b, dim + 1, p + (cut && i > b->edge ? n - children + i : i) * step, indent + 1);
    }
    put(b->out, "]");
}

static const char *word_of(const wg__print_view *v) { return v->word ? v->word : "tensor"; }
static int64_t indent_of(const wg__print_view *v) { return (int64_t)strlen(word_of(v)) + 1; }

static void put_body(const wg__print_view *v, const wg_print_options *o, int64_t numel, wg__text *out) {
    bool summarise = (double)numel > o->threshold;
    int64_t edge = summarise ? o->edgeitems : -1;
    if (numel == 0) {
        put(out, "[]");
    } else if (edge == 0 && v->ndim > 0) {
        put(out, "[...]");
    } else {
        format f = choose_format(v, o, edge);
        body b = {v, &f, out, edge, o->linewidth};
        if (v->ndim == 0) {
            f.width = 0;
            put_cell(&b, v->data);
        } else {
            put_dims(&b, 0, v->data, indent_of(v));
        }
    }
}

/* ---- suffixes ---------------------------------------------------------------------------------------------------- */

/* Where the last line ends, by PyTorch's count (a text without a line break counts two more). */
typedef struct placer {
    wg__text *out;
    int64_t column, linewidth, indent;
} placer;

static void put_suffix(placer *p, const char *text, size_t n) {
    int64_t len = 0;
    for (size_t i = 0; i < n; i++) len += ((unsigned char)text[i] & 0xc0) != 0x80; /* characters of UTF-8 */
    if (p->column + len + 2 > p->linewidth) {
        put(p->out, ",\n");
        for (int64_t i = 0; i < p->indent; i++) put(p->out, " ");
        p->column = p->indent + len;
    } else {
        put(p->out, ", ");
        p->column += len + 2;
    }
    wg__text_add(p->out, text, n);
}

/* Places t, and frees it. */
static void put_text(placer *p, wg__text *t) {
    if (t->failed)
        p->out->failed = true;
    else
        put_suffix(p, t->s, t->n);
    wg__text_free(t);
}

/* Places prefix + middle + suffix. */
static void put_joined(placer *p, const char *prefix, const char *middle, const char *suffix) {
    wg__text t = {0};
    put(&t, prefix);
    put(&t, middle);
    put(&t, suffix);
    put_text(p, &t);
}

static void put_size(placer *p, const wg__print_view *v) {
    wg__text t = {0};
    char number[32];
    put(&t, "size=(");
    for (int i = 0; i < v->ndim; i++) {
        snprintf(number, sizeof number, i ? ", %lld" : "%lld", (long long)v->sizes[i]);
        put(&t, number);
    }
    put(&t, v->ndim == 1 ? ",)" : ")");
    put_text(p, &t);
}

/* str() of a Python float: the shortest decimals that read back the same. */
static void put_shortest(wg__text *out, double v) {
    char cell[64];
    if (!isfinite(v)) {
        put(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    do snprintf(cell, sizeof cell, "%.*e", digits - 1, v);
    while (strtod(cell, NULL) != v && digits++ < 17);
    const char *e = strchr(cell, 'e');
    int exponent = atoi(e + 1);
    bool scientific = exponent < -4 || exponent >= 16;
    if (!scientific) snprintf(cell, sizeof cell, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, v);
    without_locale(cell);
    put(out, cell);
}

static void put_tangent(placer *p, const wg__print_view *v, const wg_print_options *o, wg_dtype default_dtype) {
    wg__text t = {0};
    put(&t, "tangent=");
    if (v->ndim == 0)
        put_shortest(&t, load_float(v->data, v->dtype));
    else
        wg__repr_view(v, o, default_dtype, &t);
    put_text(p, &t);
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

static int64_t count(const wg__print_view *v) {
    int64_t n = 1;
    for (int i = 0; i < v->ndim; i++) n *= v->sizes[i];
    return n;
}

static bool shows_dtype(wg_dtype dtype, bool empty, wg_dtype default_dtype) {
    if (dtype == default_dtype) return false;
    return empty || (dtype != WG_INT64 && dtype != WG_BOOL);
}

bool wg__repr_view(const wg__print_view *v, const wg_print_options *o, wg_dtype default_dtype, wg__text *out) {
    int64_t numel = count(v);
    size_t start = out->n;
    put(out, word_of(v));
    put(out, "(");
    put_body(v, o, numel, out);
    if (out->failed) return false;
    const char *begin = out->s + start, *end = out->s + out->n, *line = end;
    while (line > begin && line[-1] != '\n') line--;
    /* line is the last line's first byte; PyTorch counts from the line break before it, or from -1. */
    placer p = {out, (int64_t)(end - line) + 2, o->linewidth, indent_of(v)};
    if ((numel == 0 && v->ndim != 1) || (numel && o->edgeitems == 0)) put_size(&p, v);
    if (shows_dtype(v->dtype, numel == 0, default_dtype)) put_joined(&p, "dtype=torch.", wg_dtype_name(v->dtype), "");
    if (v->grad_fn)
        put_joined(&p, "grad_fn=<", v->grad_fn, ">");
    else if (v->requires_grad)
        put_joined(&p, "requires_grad=True", "", "");
    if (v->tangent) put_tangent(&p, v->tangent, o, default_dtype);
    put(out, ")");
    return !out->failed;
}
