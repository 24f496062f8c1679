/* program.h - a random program as it runs: a pool of tensors, each once in the library and once in the naive
 * interpreter; a listing of its steps for people; drawing shapes, numbers and operands; comparing.
 * tests/fuzz/test_programs.c holds the steps.
 */
#ifndef WG_TEST_PROGRAM_H
#define WG_TEST_PROGRAM_H

#include "support/interpreter.h"

enum { POOL = 12, LEAVES = 24, LISTING = 1 << 16 };

typedef struct item {
    wg_tensor *lib;
    nt *model;
    char name[24];
} item;

typedef struct leaf {
    wg_tensor *lib;
    nt *model;
    double *direction; /* in which the derivative is taken */
} leaf;

typedef struct program {
    uint64_t seed, stream;
    bool gradients; /* all float64, smooth, and backward at the end */
    bool recording; /* grad mode is on */
    bool stale;     /* something that a graph may have saved was written */
    bool large;     /* some hundred elements instead of a dozen */
    bool failed;
    item pool[POOL];
    int n, names;
    leaf leaves[LEAVES];
    int nleaves;
    long refused, steps; /* calls that failed as they must; all calls */
    size_t written;
    char listing[LISTING];
} program;

void program_start(program *p, uint64_t seed);
/* Adds a line to the listing. printf format. */
void say(program *p, const char *format, ...) WG_PRINTF(2, 3);
/* The library and the interpreter disagree: says how, and prints the listing. */
void differ(program *p, const char *format, ...) WG_PRINTF(2, 3);

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

int64_t below(program *p, int64_t n);
int64_t between(program *p, int64_t least, int64_t most);
bool chance(program *p, int one_in);
double uniform(program *p, double lo, double hi);
wg_dtype any_dtype(program *p);
int any_shape(program *p, int64_t *sizes);
int64_t any_dim(program *p, int ndim); /* mostly one that exists */
/* A shape that broadcasts with t's. */
int mate_shape(program *p, const nt *t, int64_t *sizes);

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

item *any_item(program *p);
/* A new tensor of random elements, row-major or strided; a leaf that requires a gradient, perhaps. Not in the pool. */
item fresh(program *p, wg_dtype d, int ndim, const int64_t *sizes);
item fresh_mask(program *p, int ndim, const int64_t *sizes);
/* Integers in [least, most], mostly. */
item fresh_index(program *p, wg_dtype d, int ndim, const int64_t *sizes, int64_t least, int64_t most);
item number(program *p, wg_dtype kind); /* bool, int64 or float64 */
item partner(program *p, const nt *t);  /* to go with t in a binary op */
void drop(program *p, int at);

/* ---- after a call ------------------------------------------------------------------------------------------------ */

/* Did the call fail exactly when it must, with the right status? True: it gave a result. */
bool settle(program *p, unsigned wrong, wg_tensor *r);
bool settle_status(program *p, unsigned wrong, wg_status st);
/* The result of an op with operands in: new memory. Compares, takes the library's bits and layout, and puts it in the
 * pool. */
void take_result(program *p, wg_tensor *r, nt *m, nt *const *in, int nin, bool smooth);
/* A view of of: compares geometry too. */
void take_view(program *p, wg_tensor *r, nt *m, const item *of);
/* Same sizes and elements? Afterwards the interpreter has the library's bits. */
void compare(program *p, const char *what, wg_tensor *r, nt *m);
/* target was overwritten with r: what shares its memory must show it. */
void take_write(program *p, const item *target, const nt *r, nt *const *in, int nin);
/* m: what goes into x. Decides whether that may be, or is worth doing; true: call the library. */
bool plan_write(program *p, const item *x, nt *m, nt *const *in, int nin, unsigned *wrong, nt_manner manner);
void end_write(program *p, const item *x, nt *m, nt *const *in, int nin, unsigned wrong, wg_tensor *r);
/* Values, sharing and, for smooth programs, gradients. */
void program_end(program *p);
/* Small enough to go on with, in a smooth program? */
bool tame(const program *p, const nt *m);

/* ---- steps that index: program_indexing.c ------------------------------------------------------------------------ */

void step_index_read(program *p);
void step_index_write(program *p);
void step_along_vector(program *p); /* index_select, index_add, index_fill */
void step_along_same(program *p);   /* gather, scatter_add */
void step_nonzero(program *p);

#endif
