/* isa.h - the tables that isa.c puts together, one per instruction set in this build. */
#ifndef WG_CPU_ISA_H
#define WG_CPU_ISA_H

#include "cpu/kernels.h"

#if defined(__x86_64__)
#define WG_ISAS(X) X(avx512) X(avx2) X(baseline)
#elif defined(__aarch64__)
#define WG_ISAS(X) X(neon)
#else
#define WG_ISAS(X) X(baseline)
#endif

#define WG_ISA_DECLARE(isa) extern const struct wg_cpu_table wg__cpu_elementwise_##isa;
WG_ISAS(WG_ISA_DECLARE)
#undef WG_ISA_DECLARE
extern const struct wg_cpu_table wg__cpu_elementwise_int;

#endif
