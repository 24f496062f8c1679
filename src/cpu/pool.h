/* pool.h - one loop over several threads. */
#ifndef WG_CPU_POOL_H
#define WG_CPU_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "wengert/core.h"

/* Runs fn over [0, n) in chunks [0, grain), [grain, 2 grain), … (the last may be shorter), each exactly once, on any
 * thread. The chunks depend only on n and grain, so work that is fixed per chunk gives the same bits for any number of
 * threads. Runs in the calling thread when n <= grain, inside another loop, or while another thread has the pool.
 * WG_ERR_INTERRUPTED when the poll said stop: some chunks were then left out. Raises nothing. */
wg_status wg__parallel_for(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);

/* Asked by the calling thread between its chunks, at most every 10 ms; true ends the loop. NULL: never. */
void wg__pool_set_poll(bool (*poll)(void));
/* A host's loop instead of our threads, or NULL: wg_host.parallel_for. */
void wg__pool_set_host(void (*parallel_for)(void *user, int64_t tasks, void (*fn)(void *context, int64_t i),
                                            void *context),
                       void *user);
/* Threads of ours that exist now, the caller not counted. */
int wg__pool_workers(void);

#endif
