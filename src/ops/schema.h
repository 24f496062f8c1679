/* schema.h - schemas read: the types, names and defaults of an op's arguments, and boxed arguments brought to them.
 * Used by boxed calls (list.c) and by tests; a binding reads the texts by itself.
 */
#ifndef WG_OPS_SCHEMA_H
#define WG_OPS_SCHEMA_H

#include "core/op.h"

enum { WG_T_TENSOR, WG_T_INT, WG_T_BOOL, WG_T_FLOAT, WG_T_SCALAR, WG_T_DTYPE, WG_T_STRING };
typedef struct wg_param {
    uint8_t type;
    bool list;     /* of the type */
    bool holes;    /* a list in which None may stand: Tensor?[] */
    bool single;   /* int[1]: one int stands for a list of it */
    bool number;   /* Tensor|Scalar: a number becomes a tensor (wg_s) */
    bool optional; /* None is a value */
    bool keyword;  /* after the * */
    bool has_default;
    wg_value value; /* the default */
    const char *name;
    int length; /* of the name */
} wg_param;
enum { WG_MAX_PARAMS = 16 };

/* Fills p[]; returns how many, -1 when the text is malformed. */
int wg__schema_params(const char *schema, wg_param *p);

/* The parameters of an op of the registry, read once and kept; without memory to keep them, read into room[]. */
const wg_param *wg__schema_of(const wg_op *op, wg_param *room, int *n);

/* v as parameter p takes it: the default for NONE, an int as a float, a number as a tensor; *one holds an int made a
 * list. False: it is of another type. */
bool wg__schema_fit(const wg_param *p, wg_value v, wg_value *fit, int64_t *one);
/* "Tensor", "int", "tuple of ints", ...: what PyTorch's messages call the type, and the value's. */
const char *wg__schema_type_name(const wg_param *p);
const char *wg__schema_value_name(const wg_value *v);

#endif
