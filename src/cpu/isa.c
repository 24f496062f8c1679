/* isa.c - chooses the instruction set, once. WENGERT_ISA names one (baseline, avx2, avx512, neon); a name that the
 * build or the machine does not know is ignored.
 */
#include "cpu/isa.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum {
#define ENTRY(isa) ISA_##isa,
    WG_ISAS(ENTRY)
#undef ENTRY
        ISA_COUNT
};

const char *const wg__isa_names[] = {
#define ENTRY(isa) #isa,
    WG_ISAS(ENTRY)
#undef ENTRY
        NULL};

static const struct wg_cpu_table *const built[] = {
#define ENTRY(isa) &wg__cpu_elementwise_##isa,
    WG_ISAS(ENTRY)
#undef ENTRY
};

/* A table per ISA with the integer kernels filled in; written once, then only read. */
static struct wg_cpu_table tables[ISA_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int chosen;
const struct wg_cpu_table *wg__cpu = &tables[ISA_COUNT - 1];

static int find(const char *isa) {
    for (int i = 0; i < ISA_COUNT; i++)
        if (strcmp(wg__isa_names[i], isa) == 0) return i;
    return -1;
}

#if defined(__x86_64__)
static bool has_f16c(void) { /* older clangs do not know the name in __builtin_cpu_supports */
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static bool machine_has(int i) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (i == ISA_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    if (i == ISA_avx512)
        return machine_has(ISA_avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return i >= 0;
}

/* The table is nothing but kernels: the integer ones go where the ISA's has none. */
static void complete(struct wg_cpu_table *t, const struct wg_cpu_table *floats) {
    *t = *floats;
    const char *ints = (const char *)&wg__cpu_elementwise_int;
    for (size_t at = 0; at < sizeof *t; at += sizeof(wg_kernel)) {
        wg_kernel have, integer;
        memcpy(&have, (char *)t + at, sizeof have);
        memcpy(&integer, ints + at, sizeof integer);
        if (!have && integer) memcpy((char *)t + at, &integer, sizeof integer);
    }
}

static void choose(void) {
    for (int i = 0; i < ISA_COUNT; i++) complete(&tables[i], built[i]);
    const char *wanted = getenv("WENGERT_ISA");
    chosen = wanted ? find(wanted) : -1;
    if (!machine_has(chosen)) chosen = 0;
    while (!machine_has(chosen)) chosen++;
    wg__cpu = &tables[chosen];
}

void wg__cpu_init(void) { pthread_once(&once, choose); }

const char *wg__isa_name(void) {
    wg__cpu_init();
    return wg__isa_names[chosen];
}

bool wg__isa_supported(const char *isa) { return machine_has(find(isa)); }

const struct wg_cpu_table *wg__cpu_table_for(const char *isa) {
    wg__cpu_init();
    int i = find(isa);
    return machine_has(i) ? &tables[i] : NULL;
}
