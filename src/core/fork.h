/* fork.h - locks around fork: held while the process splits, so that the child finds what they guard whole and free. */
#ifndef WG_CORE_FORK_H
#define WG_CORE_FORK_H

#include <pthread.h>

enum { WG_FORK_BEFORE, WG_FORK_PARENT, WG_FORK_CHILD };
static inline void wg__around_fork(pthread_mutex_t *m, int phase) {
    if (phase == WG_FORK_BEFORE)
        pthread_mutex_lock(m);
    else if (phase == WG_FORK_PARENT)
        pthread_mutex_unlock(m);
    else
        pthread_mutex_init(m, NULL);
}

/* What each file does with its locks; tensor.c calls them all. */
void wg__blocks_fork(int phase);
void wg__hooks_fork(int phase);
void wg__duals_fork(int phase);
void wg__walk_fork(int phase);
void wg__print_fork(int phase);
void wg__site_fork(int phase);

#endif
