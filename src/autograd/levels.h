/* levels.h - levels of transforms (forward mode, vmap): hiding the one that is being peeled, and all inside it. */
#ifndef WG_AUTOGRAD_LEVELS_H
#define WG_AUTOGRAD_LEVELS_H

#include "autograd/node.h"

typedef struct wg_hidden {
    int ceiling, top;
} wg_hidden;
/* Levels from this one up to the newest become invisible; ones entered later are visible. */
wg_hidden wg__hide_from(int level);
void wg__unhide(wg_hidden before);

#endif
