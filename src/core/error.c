/* error.c - the thread's error slot, and the host: allocator, log, warnings, should_stop.
 *
 * The first error of a thread stays until somebody reads it (wg_last_message): later failures are its consequences. The
 * slot is allocated at the thread's first error; when even that fails, a fixed text stands in.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/alloc.h"
#include "core/options.h"
#include "core/tensor.h"
#undef wg__raise
#undef wg__no_memory
#include "cpu/pool.h"

#define TEXT_BYTES 4096

struct wg_cold {
    wg_status status;
    char op[64];
    char text[TEXT_BYTES];
    char config[512];
};

/* ---- the slot ---------------------------------------------------------------------------------------------------- */

/* A thread without a slot ran out of memory while reporting an error. */
static const char no_slot[] = "out of memory, also for the error message";
static pthread_key_t cold_key;
static pthread_once_t cold_once = PTHREAD_ONCE_INIT;
static bool cold_key_made;

static void free_cold(void *arg) {
    wg__tls.cold = NULL; /* a later destructor of this thread may fail, too */
    free(arg);
}
static void make_key(void) { cold_key_made = pthread_key_create(&cold_key, free_cold) == 0; }

struct wg_cold *wg__cold(void) {
    struct wg_tls *s = &wg__tls;
    if (!s->cold) {
        pthread_once(&cold_once, make_key);
        s->cold = wg__calloc_own(sizeof(*s->cold));
        if (!s->cold) return NULL;
        if (cold_key_made) pthread_setspecific(cold_key, s->cold);
        if (s->error_unread) { /* of an error whose slot could not be made */
            s->cold->status = WG_ERR_MEMORY;
            memcpy(s->cold->text, no_slot, sizeof(no_slot));
        }
    }
    return s->cold;
}

/* The main thread's slot goes back at the end of the process. */
static void __attribute__((destructor)) free_main(void) {
    if (!wg__tls.cold) return;
    if (cold_key_made) pthread_setspecific(cold_key, NULL);
    free(wg__tls.cold);
    wg__tls.cold = NULL;
}

static void set(wg_status code, const char *op, const char *format, va_list args) {
    struct wg_tls *s = &wg__tls;
    if (s->error_unread) return;
    struct wg_cold *c = wg__cold();
    s->error_unread = 1;
    if (!c) return;
    c->status = code;
    snprintf(c->op, sizeof(c->op), "%s", op ? op : "");
    vsnprintf(c->text, sizeof(c->text), format, args);
}

wg_status wg__raise(wg_status code, const char *op, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set(code, op, format, args);
    va_end(args);
    return code;
}
wg_tensor *wg__fail(wg_status code, const char *op, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set(code, op, format, args);
    va_end(args);
    return WG_POISON;
}
wg_status wg_raise(wg_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set(code ? code : WG_ERR_RUNTIME, NULL, format ? format : "", args);
    va_end(args);
    return code ? code : WG_ERR_RUNTIME;
}
wg_status wg__no_memory(const char *op, size_t bytes) {
    if (bytes)
        return wg__raise(WG_ERR_MEMORY, op, "%s%snot enough memory: you tried to allocate %zu bytes.", op ? op : "",
                         op ? ": " : "", bytes);
    return wg__raise(WG_ERR_MEMORY, op, "%s%snot enough memory", op ? op : "", op ? ": " : "");
}

bool wg_error_pending(void) { return wg__tls.error_unread; }
void wg_clear_error(void) {
    wg__tls.error_unread = 0;
    if (wg__tls.cold) {
        wg__tls.cold->status = WG_OK;
        wg__tls.cold->text[0] = wg__tls.cold->op[0] = 0;
    }
}
wg_status wg_last_status(void) {
    if (wg__tls.cold) return wg__tls.cold->status;
    return wg__tls.error_unread ? WG_ERR_MEMORY : WG_OK;
}
const char *wg_last_message(void) {
    bool unread = wg__tls.error_unread;
    wg__tls.error_unread = 0;
    if (wg__tls.cold) return wg__tls.cold->text;
    return unread ? no_slot : "";
}
const char *wg_last_op(void) { return wg__tls.cold ? wg__tls.cold->op : ""; }

wg_status wg__sink_check(const char *sink, const wg_tensor *t) {
    if (!t) return wg__raise(WG_ERR_TYPE, sink, "%s(): argument 1 must be Tensor, not None", sink);
    if (wg__tls.error_unread) return wg_last_status() ? wg_last_status() : WG_ERR_RUNTIME;
    if (!(t->flags & TF_POISON)) return WG_OK;
    wg_status before = wg_last_status();
    return wg__raise(before ? before : WG_ERR_RUNTIME, sink,
                     "%s got the result of a call that failed; its message was read or cleared before", sink);
}

const char *wg_status_name(wg_status code) {
    switch (code) {
    case WG_OK: return "OK";
    case WG_ERR_RUNTIME: return "RuntimeError";
    case WG_ERR_TYPE: return "TypeError";
    case WG_ERR_VALUE: return "ValueError";
    case WG_ERR_INDEX: return "IndexError";
    case WG_ERR_NOT_IMPLEMENTED: return "NotImplementedError";
    case WG_ERR_ZERO_DIVISION: return "ZeroDivisionError";
    case WG_ERR_MEMORY: return "MemoryError";
    case WG_ERR_INTERRUPTED: return "KeyboardInterrupt";
    case WG_ERR_CALLBACK: return "CallbackError";
    }
    return "unknown";
}

/* ---- structs that begin with their size -------------------------------------------------------------------------- */

wg_status wg__check_struct(const void *o, size_t known, size_t first, const char *who, const char *type) {
    size_t size;
    memcpy(&size, o, sizeof(size));
    if (size < first)
        return wg__raise(WG_ERR_VALUE, who, "%s.size is not set: it must be sizeof(%s), as the macros set it", type,
                         type);
    for (size_t at = known; at < size; at++)
        if (((const char *)o)[at])
            return wg__raise(WG_ERR_VALUE, who, "%s has a field set that version %s of Wengert does not know", type,
                             WG_VERSION_STRING);
    return WG_OK;
}

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static wg_host host;
static atomic_bool has_stop;

wg_status wg_set_host(const wg_host *h) {
    wg_host next = {0};
    if (WG_CHECK_STRUCT(wg_host, h, "set_host") != WG_OK) return WG_ERR_VALUE;
    if (h) WG_COPY_STRUCT(&next, h);
    if (!next.allocate != !next.deallocate)
        return wg__raise(WG_ERR_VALUE, "set_host", "wg_host: allocate and deallocate go together");
    if (next.allocate != host.allocate || next.deallocate != host.deallocate || next.user != host.user) {
        wg_empty_cache(); /* blocks of the old allocator go back to it */
        wg__alloc_set_host(next.allocate, next.deallocate, next.user);
    }
    host = next;
    wg__pool_set_host(next.parallel_for, next.user);
    atomic_store(&has_stop, next.should_stop != NULL);
    wg__pool_set_poll(next.should_stop ? wg__poll : NULL);
    return WG_OK;
}

bool wg__should_stop(void) {
    return atomic_load_explicit(&has_stop, memory_order_relaxed) && host.should_stop && host.should_stop(host.user);
}

#define POLL_NS 10000000
bool wg__poll(void) {
    static __thread int64_t last __attribute__((tls_model("initial-exec")));
    if (!atomic_load_explicit(&has_stop, memory_order_relaxed)) return false;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t now = t.tv_sec * 1000000000ll + t.tv_nsec;
    if (now - last < POLL_NS) return false;
    last = now;
    return wg__should_stop();
}

void wg__log(wg_log_level level, const char *format, ...) {
    if (!host.log) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    host.log(host.user, level, text);
}

int wg__warn(wg_warning category, const char *format, ...) {
    if (!host.warn) return 0;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int refused = host.warn(host.user, category, text);
    if (refused) wg__raise(WG_ERR_RUNTIME, "warning", "%s", text);
    return refused;
}

void wg_reset_peak(void) { wg__alloc_reset_peak(); }
const char *wg_version(void) { return WG_VERSION_STRING; }

/* ---- what is in use ---------------------------------------------------------------------------------------------- */

const char *wg__isa_name(void);
const char *wg__blas_name(void);

const char *wg_config(void) {
    struct wg_cold *c = wg__cold();
    if (!c) return no_slot;
    snprintf(c->config, sizeof(c->config), "wengert %s\nisa %s\nblas %s\nthreads %d\n", WG_VERSION_STRING,
             wg__isa_name(), wg__blas_name(), wg_num_threads());
    return c->config;
}
