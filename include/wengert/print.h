/* print.h - tensors as text: exactly what PyTorch's repr gives, suffixes (dtype, grad_fn, requires_grad) included. */
#ifndef WENGERT_PRINT_H
#define WENGERT_PRINT_H

#include <stdio.h>

#include "wengert/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* repr(t) to f. No newline is added. */
WG_API WG_MUST_CHECK wg_status wg_fprint(FILE *f, const wg_tensor *t);
/* repr(t) and a newline to stdout: Python's print(t). */
WG_API WG_MUST_CHECK wg_status wg_print(const wg_tensor *t);
/* repr(t) into buffer, always terminated, cut at size - 1 bytes. *needed (unless NULL) is the length of the whole text
 * without the terminator, as snprintf counts. buffer may be NULL when size is 0. */
WG_API WG_MUST_CHECK wg_status wg_repr(const wg_tensor *t, char *buffer, size_t size, size_t *needed);
/* repr(t) as a new string, given back with wg_free_string. NULL on failure. */
WG_API char *wg_repr_new(const wg_tensor *t);
/* The same with another word than "tensor" before the parenthesis: what PyTorch shows of a subclass. NULL: "tensor". */
WG_API char *wg_repr_named(const wg_tensor *t, const char *word);
WG_API void wg_free_string(char *text); /* NULL is harmless */

/* ---- print options: torch.set_printoptions. Process-wide --------------------------------------------------------- */

typedef enum wg_print_profile {
    WG_PRINT_NONE = 0,    /* no profile: has_... fields alone */
    WG_PRINT_DEFAULT = 1, /* 4 digits, summarise above 1000 elements, 3 edge items, 80 columns */
    WG_PRINT_SHORT = 2,   /* 2 digits, 2 edge items */
    WG_PRINT_FULL = 3,    /* never summarise */
} wg_print_profile;
typedef enum wg_sci_mode { WG_SCI_AUTO = 0, WG_SCI_ON = 1, WG_SCI_OFF = 2 } wg_sci_mode;

/* First the profile, then each option whose has_ field is set; the others keep their value. sci_mode is always taken
 * (WG_SCI_AUTO when not given), as PyTorch does. */
typedef struct wg_print_options {
    size_t size;
    wg_print_profile profile;
    wg_sci_mode sci_mode;
    bool has_precision, has_threshold, has_edgeitems, has_linewidth;
    int precision;     /* digits after the point, 0 to 1000 */
    double threshold;  /* tensors with more elements are summarised; INFINITY: never */
    int64_t edgeitems; /* elements shown at each end of a summarised dimension, >= 0 */
    int64_t linewidth;
} wg_print_options;
WG_API WG_MUST_CHECK wg_status wg_set_print_options(const wg_print_options *options);
/* The options in force, all has_ fields set. Set options->size first. */
WG_API void wg_get_print_options(wg_print_options *options);
#ifndef __cplusplus
/* wg_set_print_options(WG_PRINT(.has_precision = true, .precision = 2)) */
#define WG_PRINT(...) (&(wg_print_options){.size = sizeof(wg_print_options), __VA_ARGS__})
#endif

#ifdef __cplusplus
}
#endif
#endif
