/* walk.h - one backward walk: what backward.c keeps while it runs. */
#ifndef WG_AUTOGRAD_WALK_H
#define WG_AUTOGRAD_WALK_H

#include "autograd/node.h"
#include "wengert/autograd.h"

typedef struct wg_list_item {
    void *p;
    uint32_t at; /* depth-first walk: the next edge to follow */
} wg_list_item;
typedef struct wg_list {
    wg_list_item *v;
    size_t n, cap;
    wg_list_item *small; /* where it begins, before anything is allocated */
} wg_list;
#define WG_SMALL_LIST 16

/* An input of autograd.grad. */
typedef struct wg_capture {
    wg_node *node;
    uint32_t nr;
    wg_tensor *value; /* owned */
} wg_capture;

typedef struct wg_walk {
    uint32_t mark;
    bool in_node; /* state stands in the nodes; else in the side table */
    bool started, discovered, selective, keep, create;
    bool leftover; /* a root leads to no input: its seed is still there */
    wg_status status;
    uint64_t id;           /* given when it is asked for */
    struct wg_walk *outer; /* the walk of this thread that ours runs inside of */
    void *site;            /* of the call to backward */
    wg_node *one_root, **roots;
    int nroots, roots_cap;
    wg_capture *captures;
    int ncaptures, captures_cap;
    wg_list stack, ready;
    struct side_entry *side;
    size_t side_n, side_cap;
    wg_list_item small_stack[WG_SMALL_LIST], small_ready[WG_SMALL_LIST];
} wg_walk;

wg_status wg__walk_begin(wg_walk *w, wg_tensor *const *out, int n, wg_tensor *const *g, const wg_walk_opts *o,
                         bool accumulate_mode, void *site);
/* 1: more to come, 0: done, -1: failed. */
int wg__walk_step(wg_walk *w, wg_node **ran);
void wg__walk_end(wg_walk *w);

#endif
