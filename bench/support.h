/* support.h - what the programs that call Wengert share: failing loudly, and random numbers for both sides. */
#ifndef WENGERT_BENCH_SUPPORT_H
#define WENGERT_BENCH_SUPPORT_H

#include <wengert/wengert.h>

#include "bench.h"

static inline void check(wg_status status) {
    if (status == WG_OK) return;
    fprintf(stderr, "%s: %s\n", wg_last_op(), wg_last_message());
    exit(1);
}

/* Every program ends with this: no call may have failed unseen. */
static inline int finish(void) {
    if (wg_error_pending()) check(WG_ERR_RUNTIME);
    return 0;
}

static inline float uniform(float from, float to) { return from + (to - from) * ((float)rand() / (float)RAND_MAX); }

/* n floats on a page boundary, uniform on [from, to). */
static inline float *random_floats(size_t n, float from, float to) {
    float *p = aligned_alloc(4096, (n * sizeof(float) + 4095) / 4096 * 4096);
    require(p != NULL, "no memory");
    for (size_t i = 0; i < n; i++) p[i] = uniform(from, to);
    return p;
}

#endif
