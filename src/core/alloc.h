/* alloc.h - memory: a caching allocator for tensor data, and a plain door to the host's allocator for the rest.
 *
 * Sizes travel with the pointers: what is freed must be freed with the size it was asked for. Nothing here raises;
 * NULL means that the host refused, and the caller says so.
 */
#ifndef WG_CORE_ALLOC_H
#define WG_CORE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements of tensors: 64-byte aligned, uninitialised, kept for reuse when freed. bytes may be 0. */
void *wg__alloc(size_t bytes);
void wg__free(void *p, size_t bytes); /* p may be NULL */

/* Bookkeeping (handles, nodes, arrays): malloc's alignment, not cached, not counted as tensor data. */
void *wg__malloc(size_t bytes);
void *wg__calloc(size_t bytes);
void wg__mfree(void *p, size_t bytes); /* p may be NULL */
/* Zeroed memory of the C library, for the few things of a thread that outlive a change of the host's functions. Give
 * it back with free. */
void *wg__calloc_own(size_t bytes);

/* Memory for slabs of blocks (block.c): 64-byte aligned, on huge pages when large, not cached, not counted. */
void *wg__raw_alloc(size_t bytes);
void wg__raw_free(void *p, size_t bytes);

/* The host's functions, or NULL for our own. Cached blocks go back to the old functions first; blocks in use must not
 * exist, for they would be given to the new ones. */
void wg__alloc_set_host(void *(*allocate)(void *user, size_t bytes, size_t alignment),
                        void (*deallocate)(void *user, void *p, size_t bytes), void *user);

/* Gives the blocks of the shared cache and of this thread's back to the host. */
void wg__alloc_trim(void);
/* Bytes of tensor data in use, their highest count, and bytes kept for reuse. Exact while no other thread allocates;
 * otherwise the peak may miss what another thread took and gave back within 256 KiB. */
void wg__alloc_stats(size_t *live, size_t *peak, size_t *cached);
void wg__alloc_reset_peak(void);

/* For tests: the n-th request to the host from now (0: the next one) fails, once; -1: none. Covers wg__malloc too. */
void wg__alloc_fail_at(int64_t n);
/* Requests to the host since the process began. */
int64_t wg__alloc_requests(void);

#endif
