/* print.c - tensors to strings and files, and the print options. How numbers, columns and suffixes look is in
 * print_format.c; here handles become the plain memory that it sees.
 */
#include "core/fork.h"
#include "core/print.h"

#include <math.h>
#include <pthread.h>

#include "core/alloc.h"
#include "core/options.h"
#include "wengert/autograd.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

static pthread_mutex_t options_lock = PTHREAD_MUTEX_INITIALIZER;
void wg__print_fork(int phase) { wg__around_fork(&options_lock, phase); }
static wg_print_options current = {
    .size = sizeof(wg_print_options),
    .has_precision = true,
    .has_threshold = true,
    .has_edgeitems = true,
    .has_linewidth = true,
    .precision = 4,
    .threshold = 1000,
    .edgeitems = 3,
    .linewidth = 80,
};

static wg_print_options options_now(void) {
    pthread_mutex_lock(&options_lock);
    wg_print_options o = current;
    pthread_mutex_unlock(&options_lock);
    return o;
}

static void apply_profile(wg_print_options *o, wg_print_profile profile) {
    if (profile == WG_PRINT_NONE) return;
    bool is_short = profile == WG_PRINT_SHORT;
    o->precision = is_short ? 2 : 4;
    o->threshold = profile == WG_PRINT_FULL ? (double)INFINITY : 1000;
    o->edgeitems = is_short ? 2 : 3;
    o->linewidth = 80;
}

static wg_status check_options(const wg_print_options *o) {
    const char *op = "set_print_options";
    if (o->profile < WG_PRINT_NONE || o->profile > WG_PRINT_FULL)
        return wg__raise(WG_ERR_VALUE, op, "there is no print profile %d", (int)o->profile);
    if (o->sci_mode < WG_SCI_AUTO || o->sci_mode > WG_SCI_OFF)
        return wg__raise(WG_ERR_VALUE, op, "there is no sci_mode %d", (int)o->sci_mode);
    if (o->has_precision && (o->precision < 0 || o->precision > 1000))
        return wg__raise(WG_ERR_VALUE, op, "precision must be between 0 and 1000, got %d", o->precision);
    if (o->has_edgeitems && (o->edgeitems < 0 || o->edgeitems > INT32_MAX))
        return wg__raise(WG_ERR_VALUE, op, "edgeitems must be between 0 and 2147483647, got %lld",
                         (long long)o->edgeitems);
    if (o->has_linewidth && (o->linewidth < INT32_MIN || o->linewidth > INT32_MAX))
        return wg__raise(WG_ERR_VALUE, op, "linewidth must fit 32 bits, got %lld", (long long)o->linewidth);
    if (o->has_threshold && isnan(o->threshold)) return wg__raise(WG_ERR_VALUE, op, "threshold is nan");
    return WG_OK;
}

wg_status wg_set_print_options(const wg_print_options *options) {
    wg_print_options o = {0};
    static const wg_print_options none;
    if (!options) options = &none;
    wg_status status = WG_CHECK_STRUCT(wg_print_options, options, "set_print_options");
    if (status != WG_OK) return status;
    WG_COPY_STRUCT(&o, options);
    status = check_options(&o);
    if (status != WG_OK) return status;
    pthread_mutex_lock(&options_lock);
    apply_profile(&current, o.profile);
    if (o.has_precision) current.precision = o.precision;
    if (o.has_threshold) current.threshold = o.threshold;
    if (o.has_edgeitems) current.edgeitems = o.edgeitems;
    if (o.has_linewidth) current.linewidth = o.linewidth;
    current.sci_mode = o.sci_mode;
    pthread_mutex_unlock(&options_lock);
    return WG_OK;
}

void wg_get_print_options(wg_print_options *options) {
    if (!options || options->size < WG_FIRST_wg_print_options) return;
    wg_print_options o = options_now();
    WG_FILL_STRUCT(options, &o);
}

/* ---- from handles to plain memory -------------------------------------------------------------------------------- */

/* The Python type name of a node: what follows the last "::" of its name. "Invalid" when the history cannot be read (a
 * view made under no_grad and then modified); the error that says so is dropped, as PyTorch drops it here. */
static const char *grad_fn_name(const wg_tensor *t) {
    if (!wg_requires_grad(t)) return NULL;
    const wg_node *node = wg_grad_fn((wg_tensor *)(uintptr_t)t);
    if (!node) {
        if (!wg_error_pending()) return NULL;
        wg_clear_error();
        return "Invalid";
    }
    const char *name = wg_node_name(node);
    for (const char *c = strstr(name, "::"); c; c = strstr(name, "::")) name = c + 2;
    return name;
}

static wg__print_view view_of(const wg_tensor *t) {
    const char *name = grad_fn_name(t);
    return (wg__print_view){
        .dtype = (wg_dtype)t->dtype,
        .ndim = t->ndim,
        .sizes = t->dims,
        .strides = wg__strides(t),
        .data = t->data,
        .grad_fn = name,
        .requires_grad = wg_requires_grad(t),
    };
}

/* Text with four spaces before every line that is not empty. */
static void append_indented(wg__text *out, const char *s) {
    while (*s && !out->failed) {
        size_t n = strcspn(s, "\n");
        if (n) wg__text_add(out, "    ", 4);
        if (s[n] == '\n') n++;
        wg__text_add(out, s, n);
        s += n;
    }
}

static bool repr(const wg_tensor *t, const char *word, const wg_print_options *o, wg__text *out);

/* BatchedTensor(lvl=1, bdim=0, value=...): one call deeper per nested vmap. */
static bool repr_batched(const wg_tensor *t, const wg_print_options *o, wg__text *out) {
    char head[80];
    wg__text inner = {0};
    snprintf(head, sizeof head, "BatchedTensor(lvl=%d, bdim=%d, value=\n", t->meta->batch_level, t->meta->batch_dim);
    wg__text_add(out, head, strlen(head));
    if (repr(t->meta->batch_value, NULL, o, &inner))
        append_indented(out, inner.s);
    else
        out->failed = true;
    wg__text_add(out, "\n)", 2);
    wg__text_free(&inner);
    return !out->failed;
}

static bool repr(const wg_tensor *t, const char *word, const wg_print_options *o, wg__text *out) {
    if (t->flags & TF_BATCHED) return repr_batched(t, o, out);
    wg__print_view v = view_of(t), tangent;
    v.word = word;
    const wg_tensor *dual = wg__shown_tangent(t); /* what torch.autograd.forward_ad shows */
    if (dual) {
        tangent = view_of(dual);
        v.tangent = &tangent;
    }
    return wg__repr_view(&v, o, wg_default_dtype(), out);
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static wg_status whole_text(const char *op, const wg_tensor *t, const char *word, wg__text *out) {
    wg_status status = wg__sink_check(op, t);
    if (status != WG_OK) return status;
    wg_print_options o = options_now();
    if (repr(t, word, &o, out)) return WG_OK;
    wg__text_free(out);
    return wg__no_memory(op, 0);
}

wg_status wg_repr(const wg_tensor *t, char *buffer, size_t size, size_t *needed) {
    wg__text text = {0};
    wg_status status = whole_text("repr", t, NULL, &text);
    size_t n = text.n < size ? text.n : size ? size - 1 : 0;
    if (n) memcpy(buffer, text.s, n);
    if (size) buffer[n] = 0;
    if (needed) *needed = text.n;
    wg__text_free(&text);
    return status;
}

char *wg_repr_new(const wg_tensor *t) { return wg_repr_named(t, NULL); }
char *wg_repr_named(const wg_tensor *t, const char *word) {
    wg__text text = {0};
    if (whole_text("repr", t, word, &text) != WG_OK) return NULL;
    char *copy = wg__malloc(text.n + 1);
    if (copy)
        memcpy(copy, text.s, text.n + 1);
    else
        wg__no_memory("repr", text.n + 1);
    wg__text_free(&text);
    return copy;
}

void wg_free_string(char *text) {
    if (text) wg__mfree(text, strlen(text) + 1);
}

static wg_status write_text(FILE *f, const wg_tensor *t, bool newline) {
    wg__text text = {0};
    wg_status status = whole_text("print", t, NULL, &text);
    if (status != WG_OK) return status;
    bool written = fwrite(text.s, 1, text.n, f) == text.n && (!newline || fputc('\n', f) != EOF);
    wg__text_free(&text);
    return written ? WG_OK : wg__raise(WG_ERR_RUNTIME, "print", "the text of a tensor could not be written");
}

wg_status wg_fprint(FILE *f, const wg_tensor *t) { return write_text(f, t, false); }
wg_status wg_print(const wg_tensor *t) { return write_text(stdout, t, true); }
