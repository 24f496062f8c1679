/* options.h - structs that begin with their size as the caller's header had it (docs/VERSIONING.md). What the first
 * release had can always be read. A field added later is read through WG_GIVEN, and whole structs are copied with
 * WG_COPY_STRUCT, so that nothing beyond an older caller's struct is touched.
 */
#ifndef WG_CORE_OPTIONS_H
#define WG_CORE_OPTIONS_H

#include <string.h>

#include "wengert/wengert.h"

#define WG_END_OF(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* Where each ended in the first release. */
#define WG_FIRST_wg_options WG_END_OF(wg_options, device)
#define WG_FIRST_wg_memory WG_END_OF(wg_memory, device)
#define WG_FIRST_wg_host WG_END_OF(wg_host, parallel_for)
#define WG_FIRST_wg_memory_stats WG_END_OF(wg_memory_stats, live_nodes)
#define WG_FIRST_wg_binding WG_END_OF(wg_binding, node_released)
#define WG_FIRST_wg_reduce WG_END_OF(wg_reduce, dtype)
#define WG_FIRST_wg_loss WG_END_OF(wg_loss, label_smoothing)
#define WG_FIRST_wg_op_info WG_END_OF(wg_op_info, formula)
#define WG_FIRST_wg_walk_opts WG_END_OF(wg_walk_opts, ninputs)
#define WG_FIRST_wg_visitor WG_END_OF(wg_visitor, limit)
#define WG_FIRST_wg_function WG_END_OF(wg_function, destroy)
#define WG_FIRST_wg_check_opts WG_END_OF(wg_check_opts, check_forward)
#define WG_FIRST_wg_print_options WG_END_OF(wg_print_options, linewidth)

/* Is the struct usable: not shorter than at first, and nothing set that this version does not know? NULL is. */
#define WG_CHECK_STRUCT(type, o, who)                                                                                  \
    (!(o) || (o)->size == sizeof(type) ? WG_OK : wg__check_struct((o), sizeof(type), WG_FIRST_##type, (who), #type))
wg_status wg__check_struct(const void *o, size_t known, size_t first, const char *who, const char *type);

/* What both have; the rest of *to is zero. */
#define WG_COPY_STRUCT(to, o)                                                                                          \
    (memset((to), 0, sizeof(*(to))), memcpy((to), (o), (o)->size < sizeof(*(to)) ? (o)->size : sizeof(*(to))))
/* The same into a caller's struct, whose size stays. */
#define WG_FILL_STRUCT(o, from) wg__fill_struct((o), (from), (o)->size < sizeof(*(from)) ? (o)->size : sizeof(*(from)))
static inline void wg__fill_struct(void *o, const void *from, size_t bytes) {
    memcpy((char *)o + sizeof(size_t), (const char *)from + sizeof(size_t), bytes - sizeof(size_t));
}
/* Does the caller's struct have the field? */
#define WG_GIVEN(type, o, field) ((o) && (o)->size >= WG_END_OF(type, field))

#endif
