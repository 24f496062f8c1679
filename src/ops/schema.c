/* schema.c - reads schemas, "sum(Tensor self, int[1]? dim=None) -> Tensor", and fits boxed values to their parameters.
 */
#include "ops/schema.h"

#include <stdlib.h>

#include "wengert/core.h"

/* ---- reading -------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    uint8_t type;
    bool number;
} bases[] = {{"Tensor", WG_T_TENSOR, false},    {"Tensor|Scalar", WG_T_TENSOR, true}, {"int", WG_T_INT, false},
             {"bool", WG_T_BOOL, false},        {"float", WG_T_FLOAT, false},         {"Scalar", WG_T_SCALAR, false},
             {"ScalarType", WG_T_DTYPE, false}, {"str", WG_T_STRING, false}};

static bool read_base(const char *p, size_t n, wg_param *a) {
    for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++)
        if (strlen(bases[i].name) == n && memcmp(bases[i].name, p, n) == 0) {
            a->type = bases[i].type;
            a->number = bases[i].number;
            return true;
        }
    return false;
}
/* "int[1]?", "Tensor?[]": what follows the type; NULL: no type. */
static const char *read_type(const char *p, wg_param *a) {
    size_t n = strcspn(p, " ?[,)");
    if (!read_base(p, n, a)) return NULL;
    p += n;
    if (*p == '?') a->optional = true, p++;
    if (*p == '[') {
        a->list = true;
        a->holes = a->optional; /* the ? was of the elements */
        a->optional = false;
        a->single = p[1] != ']';
        p += strcspn(p, "]");
        if (*p == ']') p++;
        if (*p == '?') a->optional = true, p++;
    }
    return *p == ' ' ? p + 1 : NULL;
}
static bool word(const char *p, size_t n, const char *w) { return strlen(w) == n && memcmp(p, w, n) == 0; }
/* A default's text as a value; false: neither None, True, False, [] nor a number. */
static bool read_value(const char *p, size_t n, wg_value *v) {
    char *end;
    *v = WG_VAL_NONE;
    if (word(p, n, "None")) return true;
    if (word(p, n, "True") || word(p, n, "False")) return *v = WG_VAL_B(*p == 'T'), true;
    if (word(p, n, "[]")) return *v = WG_VAL_INTS(NULL, 0), true;
    *v = WG_VAL_I(strtoll(p, &end, 10));
    if (end == p + n && n) return true;
    *v = WG_VAL_D(strtod(p, &end));
    return end == p + n && n;
}
static bool read_default(const char *p, size_t n, wg_param *a) {
    int64_t one;
    wg_value v;
    a->has_default = true;
    if (!read_value(p, n, &v)) return false;
    if (v.tag == WG_V_NONE) return a->optional;
    a->has_default = false; /* so that NONE is not looked up here */
    bool fits = wg__schema_fit(a, v, &a->value, &one);
    a->has_default = true;
    return fits;
}
/* One parameter, up to the comma or parenthesis after it; NULL: malformed. */
static const char *read_param(const char *p, wg_param *a) {
    p = read_type(p, a);
    if (!p) return NULL;
    a->name = p;
    a->length = (int)strcspn(p, "=,)");
    p += a->length;
    if (a->length == 0) return NULL;
    if (*p != '=') return p;
    size_t n = strcspn(++p, ",)");
    return read_default(p, n, a) ? p + n : NULL;
}

int wg__schema_params(const char *schema, wg_param *params) {
    const char *p = strchr(schema, '(');
    bool keyword = false;
    int n = 0;
    if (!p) return -1;
    for (p++; *p != ')';) {
        if (*p == '*') {
            keyword = true;
            p++;
        } else {
            if (n == WG_MAX_PARAMS) return -1;
            params[n] = (wg_param){.keyword = keyword};
            p = read_param(p, &params[n++]);
            if (!p) return -1;
        }
        if (*p == ',' && p[1] == ' ')
            p += 2;
        else if (*p != ')')
            return -1;
    }
    return n;
}

/* ---- read once -----------------------------------------------------------------------------------------------------
 */

/* By the op's address, in an open table with room for more ops than there are. What is in it stays. */
typedef struct known {
    const wg_op *op;
    int n;
    wg_param p[];
} known;
enum { SLOTS = 2048, PROBES = 64 };
static _Atomic(known *) table[SLOTS];

static known *read_op(const wg_op *op) {
    wg_param p[WG_MAX_PARAMS];
    int n = wg__schema_params(op->schema, p);
    size_t bytes = (size_t)(n > 0 ? n : 0) * sizeof(*p);
    known *k = malloc(sizeof(*k) + bytes);
    if (!k) return NULL;
    k->op = op;
    k->n = n;
    memcpy(k->p, p, bytes);
    return k;
}

const wg_param *wg__schema_of(const wg_op *op, wg_param *room, int *n) {
    size_t at = (size_t)((uintptr_t)op >> 4) % SLOTS;
    for (int i = 0; i < PROBES; i++, at = (at + 1) % SLOTS) {
        known *k = atomic_load_explicit(&table[at], memory_order_acquire);
        if (!k) {
            known *made = read_op(op);
            if (!made) break;
            if (atomic_compare_exchange_strong(&table[at], &k, made))
                k = made;
            else
                free(made); /* another thread was first here, perhaps with another op */
        }
        if (k->op == op) return *n = k->n, k->p;
    }
    *n = wg__schema_params(op->schema, room);
    return room;
}

/* ---- fitting -------------------------------------------------------------------------------------------------------
 */

static bool fit_list(const wg_param *p, const wg_value *v, wg_value *fit, int64_t *one) {
    *fit = *v;
    if (p->type == WG_T_TENSOR) {
        bool fits = v->tag == WG_V_TENSORS && (v->n == 0 || v->ts);
        for (uint32_t i = 0; fits && !p->holes && i < v->n; i++) fits = v->ts[i] != NULL;
        return fits;
    }
    if (v->tag == WG_V_INT && p->single) {
        *one = v->i;
        *fit = WG_VAL_INTS(one, 1);
        return true;
    }
    return v->tag == WG_V_INTS && (v->n == 0 || v->ints);
}
static bool fit_tensor(const wg_param *p, const wg_value *v, wg_value *fit) {
    *fit = (wg_value){.tag = WG_V_TENSOR, .t = v->t};
    if (v->tag == WG_V_TENSOR) return v->t != NULL || p->optional;
    if (!p->number) return false;
    if (v->tag == WG_V_INT)
        fit->t = wg_i(v->i);
    else if (v->tag == WG_V_DOUBLE)
        fit->t = wg_s(v->d);
    else if (v->tag == WG_V_BOOL)
        fit->t = wg_b(v->i != 0);
    else
        return false;
    return true;
}
static bool fit_float(const wg_value *v, wg_value *fit) {
    bool whole = v->tag == WG_V_INT || v->tag == WG_V_BOOL;
    *fit = whole ? WG_VAL_D((double)v->i) : *v;
    return whole || v->tag == WG_V_DOUBLE;
}

bool wg__schema_fit(const wg_param *p, wg_value v, wg_value *fit, int64_t *one) {
    *fit = v;
    if (v.tag == WG_V_NONE) {
        *fit = p->has_default ? p->value : WG_VAL_NONE;
        return p->has_default || p->optional;
    }
    if (p->list) return fit_list(p, &v, fit, one);
    switch (p->type) {
    case WG_T_TENSOR: return fit_tensor(p, &v, fit);
    case WG_T_INT: return v.tag == WG_V_INT;
    case WG_T_BOOL: return v.tag == WG_V_BOOL;
    case WG_T_FLOAT: return fit_float(&v, fit);
    case WG_T_SCALAR: return v.tag == WG_V_INT || v.tag == WG_V_DOUBLE || v.tag == WG_V_BOOL;
    case WG_T_DTYPE: return v.tag == WG_V_DTYPE;
    default: return v.tag == WG_V_STRING && v.s;
    }
}

/* ---- for messages --------------------------------------------------------------------------------------------------
 */

const char *wg__schema_type_name(const wg_param *p) {
    static const char *const one[] = {"Tensor", "int", "bool", "float", "Number", "torch.dtype", "str"};
    if (p->list) return p->type == WG_T_TENSOR ? "tuple of Tensors" : "tuple of ints";
    return one[p->type];
}
const char *wg__schema_value_name(const wg_value *v) {
    static const char *const names[] = {"NoneType", "int",    "float",           "bool", "tuple of ints", "torch.dtype",
                                        "str",      "Tensor", "tuple of Tensors"};
    return v->tag < sizeof(names) / sizeof(*names) ? names[v->tag] : "something unknown";
}
