/* reduce.c - picks the reductions of the instruction set in use. The kernels are in isa_reduce.c. */
#include "cpu/reduce.h"

#include "cpu/isa.h"

#define DECLARE(isa) extern const struct wg_reduce_table wg__cpu_reduce_##isa;
WG_ISAS(DECLARE)

const struct wg_reduce_table *wg__reduce_for(const char *isa) {
    if (!wg__isa_supported(isa)) return NULL;
#define ENTRY(name)                                                                                                    \
    if (strcmp(isa, #name) == 0) return &wg__cpu_reduce_##name;
    WG_ISAS(ENTRY)
    return NULL;
}

const struct wg_reduce_table *wg__reduce(void) {
    static const struct wg_reduce_table *_Atomic chosen;
    const struct wg_reduce_table *t = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!t) {
        t = wg__reduce_for(wg__isa_name());
        atomic_store_explicit(&chosen, t, memory_order_relaxed);
    }
    return t;
}
